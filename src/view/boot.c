/* SPDX-License-Identifier: GPL-2.0-only */
/* Events of a boot, folded into rows: who took which port first, who came later, who failed, and because of whom. */
#include "view/boot.h"

#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/copy.h"
#include "core/process.h"
#include "util/fail.h"
#include "view/boot_rows.h"

/* Out of memory must not end the program in a table of sockets: what does not fit is left out, and counted. */
#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(entry) ((entry)->no_memory = true)
#include <uthash.h>

/* A socket that holds a port: whose row it is. */
struct boot_sockets {
	UT_hash_handle hh;
	bool no_memory;
	int64_t id;
	size_t row;
};

struct port_key {
	uint32_t netns;
	uint16_t port;
	uint16_t udp;
};

/* All rows of a port, whatever the address; the newest first. */
struct boot_ports {
	UT_hash_handle hh;
	bool no_memory;
	struct port_key key;
	size_t last;
};

/* ---- rows ---- */

static struct port_key key_of(const struct record *rec)
{
	return (struct port_key){ .netns = rec->netns, .port = rec->port, .udp = rec->proto == PROTO_UDP };
}

static size_t port_last(const struct boot *b, const struct record *rec)
{
	struct port_key key = key_of(rec);
	struct boot_ports *p = NULL;

	HASH_FIND(hh, b->ports, &key, sizeof(key), p);
	return p ? p->last : BOOT_NONE;
}

/* @at is the newest of its port. False: out of memory. */
static bool port_put(struct boot *b, size_t at)
{
	struct port_key key = key_of(b->rows[at].view->rec);
	struct boot_ports *p = NULL;

	HASH_FIND(hh, b->ports, &key, sizeof(key), p);
	if (p) {
		p->last = at;
		return true;
	}
	p = calloc(1, sizeof(*p));
	if (!p)
		return false;
	p->key = key;
	p->last = at;
	HASH_ADD(hh, b->ports, key, sizeof(p->key), p);
	if (!p->no_memory)
		return true;
	free(p);
	return false;
}

static bool rows_grow(struct boot *b)
{
	size_t room = b->room ? 2 * b->room : 64;
	struct boot_row *more;

	if (b->n < b->room)
		return true;
	more = realloc(b->rows, room * sizeof(*more));
	if (!more)
		return false;
	b->rows = more;
	b->room = room;
	return true;
}

/*
 * 0; -ENOMEM; *ret_at: where it is, BOOT_NONE when there are too many. @first: the same failure before, which is the one that
 * is looked at when there is more of it; BOOT_NONE: none.
 */
static int row_add(struct boot *b, enum boot_kind kind, const struct view *v, size_t first, size_t *ret_at)
{
	struct boot_row row = { .kind = kind, .first = first, .before = BOOT_NONE, .times = 1 };
	struct session session = *v->session;
	struct view lasting = *v;
	size_t size;

	*ret_at = BOOT_NONE;
	if (b->n >= BOOT_ROWS_MAX) {
		b->left_out++;
		b->left_out_again += first != BOOT_NONE;
		return 0;
	}
	if (first == BOOT_NONE)
		row.first = b->n;
	row.next_port = port_last(b, v->rec);
	row.time_ns = row.last_ns = v->rec->time_ns;
	row.precision = SINCE_EXACT;
	session.version = session.hooks = NULL; /* a copy borrows these */
	session.blind = NULL;
	lasting.session = &session;
	row.view = rows_grow(b) ? view_copy(&lasting, &size) : NULL;
	if (!row.view)
		return fail(-ENOMEM, "read the history");
	b->rows[b->n] = row;
	if (first == BOOT_NONE && !port_put(b, b->n)) {
		view_copy_free(row.view);
		return fail(-ENOMEM, "read the history");
	}
	*ret_at = b->n++;
	return 0;
}

static bool same_address(const struct record *x, const struct record *y)
{
	return x->addr.family == y->addr.family &&
	       !memcmp(x->addr.bytes, y->addr.bytes, x->addr.family == AF_INET ? 4 : 16) &&
	       !memcmp(x->iface, y->iface, sizeof(x->iface));
}

static bool same_text(const char *x, const char *y)
{
	return x && y && !strcmp(x, y);
}

static const char *unit_of(const struct view *v)
{
	return v->process ? v->process->where.unit : NULL;
}

/* The same process; or another of the same program and unit, as after a restart. */
static bool same_owner(const struct view *x, const struct view *y)
{
	const struct record *a = x->rec, *b = y->rec;

	if (!a->has_process || !b->has_process)
		return !a->has_process && !b->has_process && a->kernel == b->kernel;
	if (a->pid == b->pid && a->start_ns == b->start_ns)
		return true;
	if (memcmp(a->comm, b->comm, sizeof(a->comm)) != 0 || a->uid != b->uid)
		return false;
	if (unit_of(x) || unit_of(y))
		return same_text(unit_of(x), unit_of(y));
	return x->process && y->process && same_text(x->process->exe, y->process->exe);
}

/* ---- what is shown ---- */

/* Is the event one of the namespace that is asked about? */
static bool in_scope(const struct boot *b, const struct view *v)
{
	uint32_t host = v->session->host_netns;

	return b->o.all || b->o.every_netns || !host || !v->rec->netns || v->rec->netns == host;
}

static bool was_not_asked_for(const struct record *rec)
{
	if (rec->action == ACTION_AUTOBIND || rec->ephemeral)
		return true;
	/* What /proc and sock_diag told has no such flag. */
	return !rec->explicit_port && !rec->kernel && rec->via != VIA_NETLINK && rec->via != VIA_PROC;
}

/* ---- who has it ---- */

static struct boot_sockets *socket_find(const struct boot *b, int64_t id)
{
	struct boot_sockets *s = NULL;

	HASH_FIND(hh, b->sockets, &id, sizeof(id), s);
	return s;
}

static int socket_add(struct boot *b, int64_t id, size_t row)
{
	struct boot_sockets *s = calloc(1, sizeof(*s));

	if (!s)
		return fail(-ENOMEM, "read the history");
	s->id = id;
	s->row = row;
	HASH_ADD(hh, b->sockets, id, sizeof(s->id), s);
	if (s->no_memory) {
		free(s);
		return fail(-ENOMEM, "read the history");
	}
	b->rows[row].open++;
	b->rows[row].released_ns = 0;
	return 0;
}

static void socket_drop(struct boot *b, struct boot_sockets *s)
{
	HASH_DEL(b->sockets, s);
	free(s);
}

static void sockets_forget(struct boot *b)
{
	struct boot_sockets *s, *next;

	HASH_ITER(hh, b->sockets, s, next) {
		b->rows[s->row].open = 0;
		socket_drop(b, s);
	}
}

/* The row of the same address and port that is @v's owner's; else *ret_last is the newest of another. */
static size_t owner_find(const struct boot *b, const struct view *v, size_t *ret_last)
{
	*ret_last = BOOT_NONE;
	for (size_t at = port_last(b, v->rec); at != BOOT_NONE; at = b->rows[at].next_port) {
		const struct boot_row *row = &b->rows[at];

		if (row->kind != BOOT_OWNER || !same_address(row->view->rec, v->rec))
			continue;
		if (same_owner(row->view, v))
			return at;
		if (*ret_last == BOOT_NONE)
			*ret_last = at;
	}
	return BOOT_NONE;
}

/* It listens; a UDP socket that is bound has all there is. */
static bool listens(const struct record *rec)
{
	return rec->proto == PROTO_UDP || rec->action == ACTION_LISTEN ||
	       (rec->action == ACTION_SNAPSHOT && rec->state == TCP_LISTEN);
}

static void owner_fill(struct boot *b, size_t at, const struct view *v, size_t before)
{
	struct boot_row *row = &b->rows[at];
	const struct record *rec = v->rec;

	row->quiet = was_not_asked_for(rec);
	row->before = before;
	row->before_open = before != BOOT_NONE && b->rows[before].open;
	if (rec->since_ns && rec->since_precision && rec->since_ns <= rec->time_ns) {
		row->time_ns = rec->since_ns;
		row->precision = rec->since_precision;
	} else if (rec->action == ACTION_SNAPSHOT) {
		row->precision = SINCE_NOT_AFTER;
	}
	row->held_before = b->syncing && b->runs < 2 && rec->action == ACTION_SNAPSHOT;
	row->unseen = b->syncing && b->runs > 1 && rec->action == ACTION_SNAPSHOT;
	b->held_before |= row->held_before;
}

static int taken(struct boot *b, int64_t socket, const struct view *v)
{
	const struct record *rec = v->rec;
	struct boot_sockets *s = socket_find(b, socket);
	size_t before = BOOT_NONE, at = s ? s->row : owner_find(b, v, &before);
	bool known = at != BOOT_NONE, was_free;
	int r = 0;

	if (!known) {
		/* Taken only after the boot: it was there when the recorder came even later. */
		if (rec->action == ACTION_SNAPSHOT && rec->since_ns > b->end_ns)
			return 0;
		r = row_add(b, BOOT_OWNER, v, BOOT_NONE, &at);
		if (r || at == BOOT_NONE)
			return r;
		owner_fill(b, at, v, before);
	}
	was_free = !b->rows[at].open;
	if (!s)
		r = socket_add(b, socket, at);
	if (r)
		return r;
	/* One server may have many sockets there, or be there still after the recorder was not. */
	if (known && !s && was_free && rec->action != ACTION_SNAPSHOT) {
		b->rows[at].again++;
		b->rows[at].again_ns = rec->time_ns;
	}
	if (!b->rows[at].listened_ns && listens(rec))
		b->rows[at].listened_ns = rec->time_ns;
	b->rows[at].shown |= filter_match(b->o.filter, v);
	return 0;
}

static void released(struct boot *b, int64_t socket, const struct record *rec)
{
	struct boot_sockets *s = socket_find(b, socket);
	struct boot_row *row = s ? &b->rows[s->row] : NULL;

	if (!row)
		return;
	if (row->open && !--row->open)
		row->released_ns = rec->time_ns;
	socket_drop(b, s);
}

static void handed(struct boot *b, int64_t socket, const struct view *v)
{
	struct boot_sockets *s = socket_find(b, socket);

	if (!s || !v->n_owners)
		return;
	b->rows[s->row].handed = true;
	b->rows[s->row].to = v->owners[0];
	b->rows[s->row].to.process = NULL; /* it is the event's */
}

/* ---- failures ---- */

static bool has_it(const struct boot_row *row, const struct holder *h)
{
	const struct record *rec = row->view->rec;

	if (row->kind == BOOT_HOLDER && row->holder.kind != h->kind)
		return false;
	if (!h->pid)
		return !rec->has_process && (rec->kernel == (h->kind == HOLDER_KERNEL));
	if (rec->has_process && rec->pid == h->pid)
		return !h->start_ns || !rec->start_ns || rec->start_ns == h->start_ns;
	return row->handed && row->to.pid == h->pid;
}

static size_t holder_find(const struct boot *b, const struct record *rec, const struct holder *h)
{
	for (size_t at = port_last(b, rec); at != BOOT_NONE; at = b->rows[at].next_port)
		if (b->rows[at].kind != BOOT_FAILURE && has_it(&b->rows[at], h))
			return at;
	return BOOT_NONE;
}

/* What an event of the holder would have said, had there been one. */
static void holder_event(const struct holder *h, const struct view *failure, struct record *rec,
			 struct view *ret)
{
	const struct record *of = failure->rec;

	*rec = (struct record){
		.action = ACTION_SNAPSHOT,
		.proto = h->proto ? h->proto : of->proto,
		.time_ns = of->time_ns,
		.wall_ns = of->wall_ns,
		.addr = h->addr.family ? h->addr : of->addr,
		.port = of->port,
		.netns = of->netns,
		.has_socket = true,
		.family = h->family ? h->family : of->family,
		.state = h->state,
		.kind = (uint8_t)h->kind,
		.kernel = h->kind == HOLDER_KERNEL,
		.options = h->options,
		.has_options = h->has_options,
		.sock_uid = h->sock_uid,
		.inode = h->inode,
		.cookie = h->cookie,
		.has_process = h->pid,
		.pid = h->pid,
		.tid = h->pid,
		.uid = h->uid,
		.start_ns = h->start_ns,
	};
	memcpy(rec->comm, h->comm, sizeof(rec->comm));
	*ret = (struct view){
		.rec = rec,
		.session = failure->session,
		.process = h->process,
		.user_name = h->pid && h->uid == of->uid ? failure->user_name : NULL,
		.service = failure->service,
		.netns_name = failure->netns_name,
		.bound_by = h->bound_by,
	};
}

static int holder_add(struct boot *b, const struct holder *h, const struct view *failure, size_t *ret_at)
{
	struct record rec;
	struct view v;
	struct boot_row *row;
	int r;

	holder_event(h, failure, &rec, &v);
	r = row_add(b, BOOT_HOLDER, &v, BOOT_NONE, ret_at);
	if (r || *ret_at == BOOT_NONE)
		return r;
	row = &b->rows[*ret_at];
	row->holder = *h;
	row->holder.process = row->view->process;
	row->holder.bound_by = row->view->bound_by;
	row->precision = SINCE_NOT_AFTER;
	if (!h->last_owner && h->since_ns && h->since_precision && h->since_ns <= rec.time_ns) {
		row->time_ns = h->since_ns;
		row->precision = h->since_precision;
	}
	return 0;
}

/* For how long the holder had the port when somebody else failed: as the failure says, else by its row. */
static void had_fill(const struct boot *b, size_t holder_at, struct boot_row *row)
{
	const struct view *v = row->view;
	const struct holder *h = v->n_holders ? &v->holders[0] : NULL;
	uint64_t since_ns = h && !h->last_owner && h->since_precision ? h->since_ns : 0;

	row->had_precision = h ? h->since_precision : 0;
	if (!since_ns && holder_at != BOOT_NONE && !(h && h->last_owner)) {
		since_ns = b->rows[holder_at].time_ns;
		row->had_precision = b->rows[holder_at].precision;
	}
	row->told_apart = holder_at != BOOT_NONE && b->rows[holder_at].kind == BOOT_HOLDER;
	row->had = since_ns && since_ns < v->rec->time_ns;
	row->had_ns = row->had ? v->rec->time_ns - since_ns : 0;
}

/* The rows of all that were in its way; *ret_at: that of the first. */
static int holders_add(struct boot *b, const struct view *v, bool shown, size_t *ret_at)
{
	size_t at = BOOT_NONE;
	int r = 0;

	*ret_at = BOOT_NONE;
	for (size_t i = 0; i < v->n_holders && !r; i++) {
		at = holder_find(b, v->rec, &v->holders[i]);
		if (at == BOOT_NONE)
			r = holder_add(b, &v->holders[i], v, &at);
		if (r || at == BOOT_NONE)
			continue;
		if (!i)
			*ret_at = at;
		if (b->rows[at].kind == BOOT_HOLDER && shown)
			b->rows[at].shown = true;
		/* It is of interest now, though nobody asked for its port by number. */
		if (b->rows[at].quiet && shown)
			b->rows[at].quiet = false;
	}
	return r;
}

static bool same_failure(const struct boot_row *row, const struct view *v)
{
	const struct record *x = row->view->rec, *y = v->rec;
	const struct holder *h = v->n_holders ? &v->holders[0] : NULL,
			    *other = row->view->n_holders ? &row->view->holders[0] : NULL;

	if (row->kind != BOOT_FAILURE || x->error != y->error || x->action != y->action ||
	    !same_address(x, y) || !same_owner(row->view, v))
		return false;
	if (!h || !other)
		return h == other;
	return h->kind == other->kind && h->pid == other->pid;
}

static size_t failure_find(const struct boot *b, const struct view *v, bool shown)
{
	for (size_t at = port_last(b, v->rec); at != BOOT_NONE; at = b->rows[at].next_port)
		if (b->rows[at].shown == shown && same_failure(&b->rows[at], v))
			return at;
	return BOOT_NONE;
}

static int failed(struct boot *b, const struct view *v)
{
	bool shown = filter_match(b->o.filter, v);
	size_t first = failure_find(b, v, shown), holder, at;
	int r;

	if (first != BOOT_NONE) {
		b->rows[first].times++;
		b->rows[first].last_ns = v->rec->time_ns;
	}
	r = holders_add(b, v, shown, &holder);
	if (!r)
		r = row_add(b, BOOT_FAILURE, v, first, &at);
	if (r || at == BOOT_NONE)
		return r;
	b->rows[at].shown = shown;
	had_fill(b, holder, &b->rows[at]);
	return 0;
}

/* ---- the run ---- */

static void end_find(struct boot *b, uint64_t on_ns)
{
	if (b->o.times.finished_ns)
		b->end_ns = b->o.times.finished_ns + BOOT_AFTER_NS;
	else
		b->end_ns = b->o.booting ? UINT64_MAX : on_ns + BOOT_UNKNOWN_NS;
}

static void first_note(struct boot *b, const struct view *v)
{
	b->begun = true;
	b->session = *v->session;
	b->session.version = NULL; /* borrowed */
	b->session.blind = NULL;
	if (v->session->hooks)
		snprintf(b->hooks, sizeof(b->hooks), "%s", v->session->hooks);
	b->session.hooks = NULL;
	b->cut = v->rec->action != ACTION_START;
	end_find(b, v->rec->time_ns);
}

static void gap_note(struct boot *b, uint64_t to_ns)
{
	if (b->last_ns >= b->end_ns || b->n_gaps == BOOT_GAPS_MAX)
		return;
	b->gaps[b->n_gaps++] = (struct boot_gap){ b->last_ns, to_ns < b->end_ns ? to_ns : b->end_ns };
}

/* The hooks are on; for the second time when the recorder was away. */
static void started(struct boot *b, const struct record *rec)
{
	if (b->last_ns)
		gap_note(b, rec->time_ns);
	else
		b->on_ns = rec->time_ns;
	b->runs++;
	b->stopped = false;
	b->syncing = true;
	sockets_forget(b);
}

static int socket_event(struct boot *b, int64_t id, const struct view *v)
{
	const struct record *rec = v->rec;
	int64_t socket = id - (int64_t)rec->seq + (int64_t)rec->socket_id;

	if (!in_scope(b, v))
		return 0;
	switch (rec->action) {
	case ACTION_SNAPSHOT:
	case ACTION_BIND:
	case ACTION_LISTEN:
	case ACTION_AUTOBIND:
		return rec->error ? failed(b, v) : rec->port ? taken(b, socket, v) : 0;
	case ACTION_RELEASE:
		released(b, socket, rec);
		return 0;
	case ACTION_HANDOFF:
		handed(b, socket, v);
		return 0;
	default:
		return 0;
	}
}

int boot_add(struct boot *b, int64_t id, const struct view *v)
{
	const struct record *rec = v->rec;

	if (!b->begun)
		first_note(b, v);
	if (rec->action == ACTION_START)
		started(b, rec);
	/* What the recorder found when it came late is told whenever that was. */
	if (rec->time_ns > b->end_ns && !(b->syncing && b->n_gaps == 0))
		return BOOT_OVER;
	b->last_ns = rec->time_ns;
	b->stopped = rec->action == ACTION_STOP;
	if (rec->action == ACTION_SYNCED)
		b->syncing = false;
	if (rec->action == ACTION_LOST)
		b->lost += rec->count;
	if (!rec->has_socket || (rec->time_ns > b->end_ns && rec->action != ACTION_SNAPSHOT))
		return 0;
	return socket_event(b, id, v);
}

static int by_time(const void *x, const void *y, void *arg)
{
	const struct boot_row *rows = arg;
	size_t a = *(const size_t *)x, b = *(const size_t *)y;

	if (rows[a].time_ns != rows[b].time_ns)
		return rows[a].time_ns < rows[b].time_ns ? -1 : 1;
	return a < b ? -1 : a > b;
}

int boot_end(struct boot *b, size_t *ret_shown)
{
	b->order = calloc(b->n + 1, sizeof(*b->order));
	if (!b->order)
		return fail(-ENOMEM, "read the history");
	for (size_t i = 0; i < b->n; i++)
		if (b->rows[i].shown && (b->o.all || !b->rows[i].quiet))
			b->order[b->n_order++] = i;
	qsort_r(b->order, b->n_order, sizeof(*b->order), by_time, b->rows);
	*ret_shown = b->n_order;
	return 0;
}

struct boot *boot_new(const struct boot_options *o)
{
	struct boot *b = calloc(1, sizeof(*b));

	if (b)
		b->o = *o;
	return b;
}

struct boot *boot_free(struct boot *b)
{
	struct boot_ports *p, *next;

	if (!b)
		return NULL;
	sockets_forget(b);
	HASH_ITER(hh, b->ports, p, next) {
		HASH_DEL(b->ports, p);
		free(p);
	}
	for (size_t i = 0; i < b->n; i++)
		view_copy_free(b->rows[i].view);
	free(b->order);
	free(b->rows);
	free(b);
	return NULL;
}
