/* SPDX-License-Identifier: GPL-2.0-only */
/* Who is in the way of a call that failed: what the hook found, ranked, and what only user space can add. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "core/field.h"
#include "pipeline/state.h"

#define TCP_STATE_TIME_WAIT 6
#define TCP_STATE_LISTEN 10
#define ASK_EVERY_NS (50 * NS_PER_MS) /* sock_diag for a failure or a release: twenty a second */

static bool budget_take(struct budget *b, uint64_t now_ns, uint64_t every_ns)
{
	if (now_ns < b->next_ns) {
		b->refused++;
		return false;
	}
	b->next_ns = now_ns + every_ns;
	return true;
}

/* ---- from sock_diag: what is on a port ---- */

struct rows {
	struct holder *holders;
	size_t n, max;
	uint64_t now_ns;
	uint64_t skip_cookie;
};

static enum holder_kind row_kind(const struct diag_row *row)
{
	if (row->state == TCP_STATE_TIME_WAIT)
		return HOLDER_TIME_WAIT;
	if (row->state == TCP_STATE_LISTEN || row->proto == PROTO_UDP)
		return row->inode ? HOLDER_LISTENER : HOLDER_KERNEL;
	if (row->bound_only)
		return HOLDER_BOUND;
	return HOLDER_ACCEPTED;
}

static int row_add(void *arg, const struct diag_row *row)
{
	struct rows *rows = arg;
	struct holder *h;

	if (rows->n == rows->max)
		return 1;
	if (rows->skip_cookie && row->cookie == rows->skip_cookie)
		return 0;
	h = &rows->holders[rows->n++];
	memset(h, 0, sizeof(*h));
	h->kind = row_kind(row);
	h->proto = row->proto;
	h->cookie = row->cookie;
	h->inode = row->inode;
	h->addr = row->addr;
	h->port = row->port;
	h->family = row->family;
	h->state = row->state;
	h->sock_uid = row->uid;
	h->ifindex = row->ifindex;
	h->options = row->has_v6only && row->v6only ? OPT_V6ONLY : 0;
	if (row->state == TCP_STATE_TIME_WAIT && row->expires_ms)
		h->expires_ns = rows->now_ns + row->expires_ms * NS_PER_MS;
	return 0;
}

static size_t rows_on_port(struct pipeline *p, const struct record *rec, struct holder *ret, size_t max)
{
	struct rows rows = {
		.holders = ret, .max = max, .now_ns = clock_boot_ns(), .skip_cookie = rec->cookie
	};
	struct diag_query q = { .tcp = rec->proto != PROTO_UDP,
				.udp = rec->proto == PROTO_UDP,
				.port = rec->port };
	struct sockdiag *sd = diags_get(p->diags, rec->netns, NULL);

	if (sd)
		(void)sockdiag_dump(sd, &q, row_add, &rows);
	return rows.n;
}

size_t holders_left(struct pipeline *p, const struct record *rec, struct holder *ret, size_t max)
{
	if (!rec->port || !budget_take(&p->ask, rec->time_ns, ASK_EVERY_NS))
		return 0;
	return rows_on_port(p, rec, ret, max);
}

/* ---- what is known of a holder besides ---- */

static bool holder_known(const struct holder *holders, size_t n, const struct entry *e)
{
	for (size_t i = 0; i < n; i++)
		if (holders[i].sk == e->sk && e->sk)
			return true;
	return false;
}

/* The walk ended early, or met a changing bucket: what the ledger has on that port is there too. */
static size_t holders_from_ledger(struct pipeline *p, const struct record *rec, struct holder *holders,
				  size_t n)
{
	struct entry *e = NULL;

	while (n < HOLDERS_MAX && (e = ledger_on_port(p->ledger, rec->netns, rec->proto, rec->port, e)))
		if (e->sk != rec->sk && !holder_known(holders, n, e))
			entry_holder(e, &holders[n++]);
	return n;
}

/* Whoever else has it open, as far as they are still there: their numbers are told in a hint. */
static void holder_others(struct holder *h, const struct owner *owners, size_t n)
{
	size_t at = 0;

	memset(h->others, 0, sizeof(h->others));
	for (size_t i = 0; i < n && at < HOLDER_OTHERS; i++)
		if (owners[i].pid != h->pid && process_alive(owners[i].pid, owners[i].start_ns))
			h->others[at++] = owners[i].pid;
}

/* A snapshot's entry knows better since when than the map does, which began with the tracer. */
static void holder_since(struct pipeline *p, struct holder *h)
{
	struct entry *e = h->last_owner ? NULL : ledger_find(p->ledger, h->sk);

	if (!e)
		return;
	h->since_ns = e->since_ns;
	h->since_precision = e->told.since_precision;
	if (e->owners_count > 1)
		h->owners_count = e->owners_count;
	holder_others(h, e->owners, e->n_owners);
}

static void holder_process(struct pipeline *p, struct holder *h, uint64_t cgroup_id)
{
	struct record who = { .pid = h->pid,
			      .start_ns = h->start_ns,
			      .exec_id = h->exec_id,
			      .uid = h->uid,
			      .cgroup_id = cgroup_id };

	memcpy(who.comm, h->comm, sizeof(who.comm));
	(void)process_of(p, &who);
}

static void holder_take(struct holder *h, const struct owner *owner)
{
	h->pid = owner->pid;
	h->uid = owner->uid;
	h->start_ns = owner->start_ns;
	h->exec_id = owner->exec_id;
	memcpy(h->comm, owner->comm, sizeof(h->comm));
}

/* The same socket still, not one that took its address meanwhile? */
static bool holder_is_there(struct pipeline *p, const struct holder *h)
{
	struct pl_tracked now;

	return h->tracked_ns && !tracer_tracked_get(p->tracer, h->sk, &now) && now.since_ns == h->tracked_ns;
}

/* That systemd has it is as it should be: a child of its own takes the port of a socket unit, in that unit's cgroup. */
static void holder_inherits(struct holder *h, const struct owner *owner)
{
	if (owner->pid != 1 || strncmp(owner->comm, "systemd", sizeof(owner->comm)))
		h->kind = HOLDER_INHERITED;
	if (!strncmp(h->comm, owner->comm, sizeof(h->comm)))
		h->modifiers |= HOLDER_SAME_PROGRAM;
	holder_take(h, owner);
}

/* As the handoff told: the first of those who had it then; nobody: it was in flight. */
static void holder_handed(struct holder *h, const struct entry *e)
{
	if (e->n_owners)
		holder_inherits(h, &e->owners[0]);
	else
		h->kind = HOLDER_IN_FLIGHT;
	h->owners_count = e->owners_count > 1 ? e->owners_count : 0;
	holder_others(h, e->owners, e->n_owners);
}

/* Who has it open, when that is not who bound it. */
static void holder_found(struct holder *h, const struct owner *owners, size_t n)
{
	bool has = false;

	h->owners_count = n > 1 ? (uint32_t)n : 0;
	for (size_t i = 0; i < n; i++)
		has |= owners[i].pid == h->pid && owners[i].start_ns == h->start_ns;
	if (n && !has)
		holder_inherits(h, &owners[0]);
	else if (!n)
		h->kind = HOLDER_IN_FLIGHT;
	holder_others(h, owners, n);
}

/*
 * Its binder may be gone, or have sent the descriptor away. Then whoever has the socket open inherited it; nobody does:
 * it is on its way in a message. A socket that was let go while we looked stays its binder's, unless that is known to
 * have been gone before.
 */
static void holder_inherited(struct pipeline *p, struct holder *h, const struct record *rec)
{
	const struct timespec moment = { .tv_nsec = NS_PER_MS / 5 };
	struct entry *e = ledger_find(p->ledger, h->sk);
	bool there = holder_is_there(p, h), alive = process_alive(h->pid, h->start_ns);
	struct owner owners[LEDGER_OWNERS_MAX];
	bool scanned;
	size_t n = 0;

	if (alive && (!there || h->open || owner_has(p, h->sk, h->inode, h->pid)))
		return;
	scanned = there && owners_scan(p, h->sk, h->inode, owners, LEDGER_OWNERS_MAX, &n);
	if (scanned && !n) {
		/* A close, or an exit, takes the descriptor away first: in the middle of one is not in flight. */
		(void)nanosleep(&moment, NULL);
		scanned = there = holder_is_there(p, h);
	}
	if (alive && !there)
		return;
	if (scanned) {
		holder_found(h, owners, n);
	} else if (e && e->handed) {
		holder_handed(h, e);
	} else if (there || gone_before(p->handoffs, h->pid, h->start_ns, rec->time_ns)) {
		h->kind = HOLDER_UNKNOWN;
		h->last_owner = true;
	}
}

/* A connection: which process has it? The last owner of the port stays the answer for accepted ones nobody has. */
static void holder_connection(struct pipeline *p, struct holder *h, const struct record *rec)
{
	struct owner owners[LEDGER_OWNERS_MAX];
	size_t n = 0;

	if (h->kind == HOLDER_CLIENT && !h->pid && !place_gives_port(p, rec->netns, rec->port))
		h->kind = HOLDER_ACCEPTED;
	if (!owners_scan(p, h->sk, h->inode, owners, LEDGER_OWNERS_MAX, &n) || !n)
		return;
	holder_take(h, &owners[0]);
	h->last_owner = false;
	h->since_ns = 0;
	h->since_precision = SINCE_UNKNOWN;
	if (n > 1)
		h->owners_count = (uint32_t)n;
	holder_others(h, owners, n);
}

/* Seconds left of a TIME_WAIT, and its last owner, which no socket remembers. */
static void holder_time_wait(struct pipeline *p, struct holder *h, const struct record *rec)
{
	const struct past_owner *past = ledger_past(p->ledger, rec->netns, rec->proto, rec->port);
	struct holder rows[HOLDERS_MAX];
	size_t n;

	if (!h->pid && past) {
		h->pid = past->pid;
		h->uid = past->uid;
		h->start_ns = past->start_ns;
		h->exec_id = past->exec_id;
		h->since_ns = past->gone_ns;
		h->since_precision = SINCE_EXACT;
		h->last_owner = true;
		memcpy(h->comm, past->comm, sizeof(h->comm));
	}
	n = holders_left(p, rec, rows, HOLDERS_MAX);
	for (size_t i = 0; i < n; i++)
		if (rows[i].kind == HOLDER_TIME_WAIT && rows[i].expires_ns > h->expires_ns)
			h->expires_ns = rows[i].expires_ns;
}

/* What costs a question to the kernel is asked for the best holder alone. */
static void holder_refine(struct pipeline *p, struct holder *h, const struct record *rec)
{
	if (h->kind == HOLDER_TIME_WAIT)
		holder_time_wait(p, h, rec);
	else if (h->kind == HOLDER_CLIENT || h->kind == HOLDER_ACCEPTED)
		holder_connection(p, h, rec);
	else if (h->kind != HOLDER_KERNEL && h->pid)
		holder_inherited(p, h, rec);
	else if (h->kind != HOLDER_KERNEL)
		h->kind = HOLDER_UNKNOWN;
}

static size_t holders_build(struct pipeline *p, const struct record *rec, const struct pl_failure *f,
			    struct holder *holders)
{
	size_t n = 0;

	for (uint32_t i = 0; i < f->count && i < PL_HOLDERS_MAX; i++) {
		decode_holder(&f->holder[i], rec->proto, &holders[n]);
		holder_since(p, &holders[n]);
		holder_process(p, &holders[n], f->holder[i].cgroup_id);
		n++;
	}
	if (!n || f->more)
		n = holders_from_ledger(p, rec, holders, n);
	if (!n && budget_take(&p->ask, rec->time_ns, ASK_EVERY_NS)) {
		n = rows_on_port(p, rec, holders, HOLDERS_MAX);
		if (n)
			((struct record *)rec)->via = VIA_NETLINK;
	}
	return n;
}

static void explained_tell(struct pipeline *p, struct record *rec, struct process *process,
			   struct holder *holders, size_t n)
{
	struct explain_facts facts = { .now_ns = rec->time_ns };
	struct view extra = {
		.rec = rec, .session = &p->session, .process = process, .holders = holders, .n_holders = n
	};
	struct explanation why = { 0 };
	struct entry *e = ledger_find(p->ledger, rec->sk);

	/* The same socket may have been told before: a bind on a bound socket, a listen after a bind. */
	if (e && !entry_is_stale(e, rec)) {
		entry_tell_snapshot(p, e);
		rec->socket_id = e->id;
	}
	facts.unprivileged_port_start = rec->error == EACCES ? place_port_start(p, rec->netns) : -1;
	if (process && !process->enriched)
		enrich_process(p->enrich, process);
	for (size_t i = 0; i < n; i++)
		holders[i].process = side_process(p, holders[i].pid, holders[i].start_ns, holders[i].exec_id);
	enrich_bound_by(p->enrich, &extra);
	rec->reason = explain_reason(rec, holders, n, &facts);
	explain(&extra, &facts, &why);
	extra.explanation = &why;
	pipeline_tell(p, rec, NULL, process, &extra);
}

void conflict_tell(struct pipeline *p, struct record *rec, struct process *process,
		   const struct pl_failure *failure)
{
	struct holder holders[HOLDERS_MAX];
	size_t n = holders_build(p, rec, failure, holders);

	process_ref(process);
	n = explain_rank(rec, holders, n);
	if (n)
		holder_refine(p, &holders[0], rec);
	explained_tell(p, rec, process, holders, n);
	process_unref(process);
}

void failure_tell(struct pipeline *p, struct record *rec, struct process *process)
{
	explained_tell(p, rec, process, NULL, 0);
}
