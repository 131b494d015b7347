/* SPDX-License-Identifier: GPL-2.0-only */
/* How a wait went: who has the ports now, or who is still in the way. */
#include "cmd/wait_show.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/cells.h"
#include "core/explain.h"
#include "core/field.h"
#include "core/process.h"
#include "enrich/enrich.h"
#include "pipeline/inventory.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/fail.h"
#include "util/human.h"
#include "util/json.h"
#include "util/loop.h"

#define SOCKETS_MAX 64 /* of one port that are looked at and told */

/* ---- finding out ---- */

static bool all_told(const struct wait_scene *s)
{
	for (size_t i = 0; i < s->config->n; i++)
		if (s->config->free || !await_told(&s->found[i]))
			return false;
	return true;
}

static int names_make(struct wait_scene *s)
{
	s->root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	s->processes = processes_new(64);
	s->enrich = s->processes ? enrich_new(s->root_fd, s->processes) : NULL;
	if (s->enrich)
		enrich_session(s->enrich, &s->session);
	return s->enrich ? 0 : -ENOMEM;
}

/* Connections are of interest only to those who want the port free. */
void wait_scene_look(struct wait_scene *s)
{
	struct filter_kernel kernel;
	struct inventory_options o = {
		.kernel = &kernel,
		.connections = s->config->free,
		.no_bpf = s->config->no_bpf,
	};
	char netns[16];

	s->root_fd = -1;
	if (s->config->free && s->outcome->result == AWAIT_MET)
		return; /* nobody has them */
	if (all_told(s) && !names_make(s))
		return; /* an inventory takes a tenth of a second */
	snprintf(netns, sizeof(netns), "%u", s->outcome->netns);
	await_filter(s->config, netns, &kernel);
	if (inventory_take(&o, &s->inv) < 0) {
		s->inv = NULL;
		fail_clear();
	}
}

void wait_scene_done(struct wait_scene *s)
{
	s->inv = inventory_free(s->inv);
	s->enrich = enrich_free(s->enrich);
	s->processes = processes_free(s->processes);
	if (s->root_fd >= 0)
		close(s->root_fd);
}

/* A record of an event with the names that belong to it. */
static void told_view(const struct wait_scene *s, const struct record *rec, struct view *ret)
{
	struct process_key key = { .pid = rec->pid, .start_ns = rec->start_ns, .exec_id = rec->exec_id };
	struct process *p;
	bool new;

	*ret = (struct view){ .rec = rec, .session = &s->session };
	p = processes_get(s->processes, &key, &new);
	if (p && !p->enriched)
		enrich_process(s->enrich, p);
	ret->process = p;
	enrich_view(s->enrich, ret);
}

/* ---- who is there ---- */

/* Does the socket answer at the target? */
static bool entry_serves(const struct target *t, const struct entry *e)
{
	if (t->proto == PROTO_UDP ? record_is_connected(&e->told) : e->told.state != TCP_LISTEN)
		return false;
	return target_served_by(t, &e->told.addr, e->told.v6only);
}

/*
 * Sockets on the target's port, those with a process first: those that serve it, or with @all any. Returns how many there
 * are, at most SOCKETS_MAX.
 */
static size_t entries_of(const struct wait_scene *s, const struct target *t, bool all,
			 const struct entry *ret[SOCKETS_MAX])
{
	struct entry *e = NULL;
	size_t n = 0, named = 0;

	while (s->inv && n < SOCKETS_MAX &&
	       (e = ledger_on_port(inventory_ledger(s->inv), s->outcome->netns, t->proto, t->port, e))) {
		if (!all && !entry_serves(t, e))
			continue;
		ret[n] = e;
		if (e->key.pid) {
			const struct entry *other = ret[named];

			ret[named++] = e;
			ret[n] = other == e ? ret[n] : other;
		}
		n++;
	}
	return n;
}

static void put_view(struct buf *b, const struct view *v)
{
	cell_port(b, v);
	buf_puts(b, "  ");
	cell_process(b, v);
	buf_puts(b, "  ");
	cell_who(b, v);
}

static void put_entry(struct buf *b, const struct wait_scene *s, const struct entry *e)
{
	struct owner owners[LEDGER_OWNERS_MAX];
	struct view v;

	inventory_view(s->inv, e, owners, &v);
	put_view(b, &v);
}

/* ---- text ---- */

static void put_target(struct buf *b, const struct target *t)
{
	char text[TARGET_TEXT_MAX];

	buf_puts(b, target_text(t, text));
}

static void put_served(struct buf *b, const struct wait_scene *s, size_t i)
{
	const struct target *t = &s->config->targets[i];
	const struct entry *entries[SOCKETS_MAX];
	size_t n = entries_of(s, t, false, entries);
	struct view v;

	if (n) {
		put_entry(b, s, entries[0]);
	} else if (s->enrich) {
		told_view(s, &s->found[i].record, &v);
		put_view(b, &v);
	} else {
		put_target(b, t);
		buf_puts(b, t->proto == PROTO_UDP ? "  bound" : "  listening");
	}
	if (n > 1)
		buf_printf(b, "  and %zu more socket%s", n - 1, n > 2 ? "s" : "");
	buf_putc(b, '\n');
}

static void put_freed(struct buf *b, const struct wait_scene *s, const struct target *t)
{
	char span[HUMAN_LEN];

	put_target(b, t);
	buf_puts(b, "  free");
	if (strcmp(s->outcome->how, "look") != 0)
		buf_printf(b, " after %s", human_span(s->outcome->waited_ns, span));
	buf_putc(b, '\n');
}

static void put_unserved(struct buf *b, const struct wait_scene *s, const struct target *t)
{
	const struct entry *entries[SOCKETS_MAX];
	size_t n = entries_of(s, t, true, entries);

	put_target(b, t);
	if (!n) {
		buf_puts(b, ": nobody has it\n");
		return;
	}
	buf_puts(b,
		 t->proto == PROTO_UDP ? ": nobody serves it there, but: " : ": nobody listens there, but: ");
	put_entry(b, s, entries[0]);
	buf_printf(b, "  %s\n",
		   record_is_connected(&entries[0]->told) ? "connected, hears its peer alone"
							  : holder_kind_name(entries[0]->told.kind));
}

/* A bind without any option that failed just now, as `trace` would explain it. */
static void explain_taken(const struct wait_scene *s, const struct target *t, struct explanation *ret,
			  const char **ret_kind)
{
	struct holder holders[SOCKETS_MAX], ranked[SOCKETS_MAX];
	struct record rec = {
		.action = ACTION_BIND,
		.proto = t->proto,
		.error = EADDRINUSE,
		.has_socket = true,
		.has_options = true,
		.family = t->addr.family ? t->addr.family : AF_INET,
		.addr = t->addr.family ? t->addr : (struct address){ .family = AF_INET },
		.port = t->port,
		.netns = s->outcome->netns,
	};
	struct view v = { .rec = &rec, .holders = ranked };
	size_t n =
		s->inv ? inventory_on_port(s->inv, rec.netns, rec.proto, rec.port, holders, SOCKETS_MAX) : 0;
	struct explain_facts facts = {
		.unprivileged_port_start = -1,
		.now_ns = clock_boot_ns(),
		.fresh = true,
		.reach = s->inv ? inventory_reach(s->inv) : REACH_ALL,
	};

	if (n > SOCKETS_MAX)
		n = SOCKETS_MAX;
	memcpy(ranked, holders, sizeof(ranked));
	v.n_holders = explain_rank(&rec, ranked, n);
	if (!v.n_holders && !t->addr.family) { /* 0.0.0.0 is free, [::] is not */
		rec.family = rec.addr.family = AF_INET6;
		memcpy(ranked, holders, sizeof(ranked));
		v.n_holders = explain_rank(&rec, ranked, n);
	}
	rec.reason = (uint8_t)explain_reason(&rec, ranked, v.n_holders, &facts);
	explain(&v, &facts, ret);
	*ret_kind = v.n_holders ? holder_kind_name(ranked[0].kind) : NULL;
}

static void put_taken(struct buf *b, const struct wait_scene *s, const struct target *t)
{
	struct explanation x = { 0 };
	const char *kind;

	explain_taken(s, t, &x, &kind);
	put_target(b, t);
	buf_puts(b, ": ");
	buf_puts_visible(b, x.reason);
	if (x.hint[0]) {
		buf_puts(b, ". Try: ");
		buf_puts_visible(b, x.hint);
	}
	buf_putc(b, '\n');
}

void wait_show_text(struct buf *b, const struct wait_scene *s)
{
	bool met = s->outcome->result == AWAIT_MET, is_free = s->config->free;

	for (size_t i = 0; i < s->config->n; i++) {
		const struct target *t = &s->config->targets[i];

		if (!met && s->found[i].met)
			continue;
		if (!met)
			buf_puts(b, "portlog: ");
		if (met && is_free)
			put_freed(b, s, t);
		else if (met)
			put_served(b, s, i);
		else if (is_free)
			put_taken(b, s, t);
		else
			put_unserved(b, s, t);
	}
}

/* ---- JSON ---- */

static void json_address(struct buf *b, const struct address *addr)
{
	char text[ADDRESS_TEXT_MAX];

	if (address_text(addr, text))
		json_put_text(b, "addr", text);
}

static void json_process(struct buf *b, const struct view *v)
{
	const struct record *rec = v->rec;

	if (!rec->pid)
		return;
	json_put_number(b, "pid", rec->pid);
	json_key(b, "comm");
	json_string(b, rec->comm, strnlen(rec->comm, sizeof(rec->comm)));
	json_put_number(b, "uid", rec->uid);
	if (v->owners_count > 1)
		json_put_number(b, "owners_count", v->owners_count);
	if (!v->process)
		return;
	json_put_text(b, "exe", v->process->exe);
	json_put_text(b, "unit", v->process->where.unit);
	json_put_text(b, "container", v->process->where.container_name);
}

static void json_socket(struct buf *b, const struct view *v, const char *kind)
{
	const struct record *rec = v->rec;
	uint64_t now_ns = clock_boot_ns();

	buf_puts(b, b->data[b->len - 1] == '[' ? "{" : ",{");
	json_put_text(b, "kind", kind);
	if (record_is_connected(v->rec))
		json_put_flag(b, "connected", true);
	json_address(b, &rec->addr);
	json_put_number(b, "port", rec->port);
	json_put_number(b, "sock_uid", rec->sock_uid);
	if (rec->expires_ns > now_ns)
		json_put_number(b, "expires_ms", (rec->expires_ns - now_ns) / 1000000);
	json_process(b, v);
	buf_putc(b, '}');
}

static void json_sockets(struct buf *b, const struct wait_scene *s, size_t i)
{
	const struct entry *entries[SOCKETS_MAX];
	size_t n = entries_of(s, &s->config->targets[i], s->config->free || !s->found[i].met, entries);
	struct owner owners[LEDGER_OWNERS_MAX];
	struct view v;

	if (s->enrich) {
		told_view(s, &s->found[i].record, &v);
		json_socket(b, &v, holder_kind_name(HOLDER_LISTENER));
	}
	for (size_t k = 0; k < n; k++) {
		inventory_view(s->inv, entries[k], owners, &v);
		json_socket(b, &v, holder_kind_name(entries[k]->told.kind));
	}
}

static void json_target(struct buf *b, const struct wait_scene *s, size_t i)
{
	const struct target *t = &s->config->targets[i];

	buf_puts(b, b->data[b->len - 1] == '[' ? "{" : ",{");
	json_put_text(b, "proto", proto_name(t->proto));
	json_address(b, &t->addr);
	json_put_number(b, "port", t->port);
	json_key(b, "met");
	json_bool(b, s->found[i].met);
	if (!s->found[i].met && s->config->free) {
		struct explanation x = { 0 };
		const char *kind;

		explain_taken(s, t, &x, &kind);
		json_put_text(b, "reason_code", x.code);
		json_put_text(b, "reason", x.reason);
		json_put_text(b, "hint", x.hint);
	}
	json_key(b, "sockets");
	buf_putc(b, '[');
	json_sockets(b, s, i);
	buf_puts(b, "]}");
}

void wait_show_json(struct buf *b, const struct wait_scene *s)
{
	static const char *const results[] = {
		[AWAIT_MET] = "met", [AWAIT_TIMEOUT] = "timeout", [AWAIT_SIGNALLED] = "signal"
	};

	buf_putc(b, '{');
	json_put_text(b, "schema", "portlog.wait/1");
	json_put_text(b, "result", results[s->outcome->result]);
	json_put_text(b, "until", s->config->free ? "free" : "listening");
	json_put_number(b, "waited_us", s->outcome->waited_ns / 1000);
	json_put_text(b, "how", s->outcome->how);
	json_put_number(b, "netns", s->outcome->netns);
	if (s->outcome->signal)
		json_put_number(b, "signal", (uint64_t)s->outcome->signal);
	if (s->outcome->unsure) {
		json_key(b, "unsure");
		json_bool(b, true);
	}
	json_key(b, "ports");
	buf_putc(b, '[');
	for (size_t i = 0; i < s->config->n; i++)
		json_target(b, s, i);
	buf_puts(b, "]}\n");
}
