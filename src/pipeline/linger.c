/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * When is a port free? A release may leave accepted connections, TIME_WAIT or other sockets on it. The hooks hint when a
 * socket dies there; TIME_WAIT dies in silence, so its timer is asked for and waited for. Never told before bind(2)
 * would succeed, at most seconds later.
 */
#include <stdlib.h>
#include <string.h>

#include "pipeline/state.h"

/* Out of memory must not end the program: a port that does not fit is counted like one beyond the bound. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define LINGERS_MAX 16384 /* as the map lingering of bpf/portlog.bpf.h has */
#define CHECK_FIRST_NS (200 * NS_PER_MS)
#define CHECK_AGAIN_NS NS_PER_S
#define CHECK_SHARE 20 /* asking may take a twentieth of the time */
#define TCP_STATE_TIME_WAIT 6

/* No holes: it is hashed as bytes. */
struct linger_key {
	uint32_t netns;
	uint16_t port;
	uint16_t udp; /* which table: 0 is that of TCP and MPTCP */
};

/* What the kernel has on one port. */
struct left {
	unsigned rows;
	uint64_t expires_ms; /* the longest TIME_WAIT */
	bool others;         /* anything beside TIME_WAIT: its death is hinted */
};

struct linger {
	struct linger_key key;
	struct record released; /* its record; pid and comm are the last owner's */
	struct process *owner;
	uint64_t check_ns; /* when to ask sock_diag again */
	unsigned checks;
	struct left left; /* by the dump under way */
	UT_hash_handle hh;
};

struct lingers {
	struct linger *table;
	uint64_t next_ns;   /* no check is due before */
	uint64_t rest_ns;   /* and none is made before: the last ones have taken their share */
	uint64_t forgotten; /* for want of room */
};

struct lingers *lingers_new(void)
{
	return calloc(1, sizeof(struct lingers));
}

static void linger_free(struct linger *l)
{
	process_unref(l->owner);
	free(l);
}

struct lingers *lingers_free(struct lingers *ls)
{
	struct linger *l, *next;

	if (!ls)
		return NULL;
	HASH_ITER(hh, ls->table, l, next) {
		HASH_DEL(ls->table, l);
		linger_free(l);
	}
	free(ls);
	return NULL;
}

uint64_t lingers_forgotten(const struct lingers *ls)
{
	return ls->forgotten;
}

static struct linger_key linger_key(uint32_t netns, enum proto proto, uint16_t port)
{
	return (struct linger_key){ .netns = netns, .port = port, .udp = proto == PROTO_UDP };
}

static struct linger *linger_find(const struct lingers *ls, uint32_t netns, enum proto proto, uint16_t port)
{
	struct linger_key key = linger_key(netns, proto, port);
	struct linger *l;

	HASH_FIND(hh, ls->table, &key, sizeof(key), l);
	return l;
}

/* NULL: no room, counted. */
static struct linger *linger_add(struct lingers *ls, const struct record *rec)
{
	unsigned before = HASH_COUNT(ls->table);
	struct linger *l = before < LINGERS_MAX ? calloc(1, sizeof(*l)) : NULL;

	if (l) {
		l->key = linger_key(rec->netns, rec->proto, rec->port);
		HASH_ADD(hh, ls->table, key, sizeof(l->key), l);
	}
	if (l && HASH_COUNT(ls->table) > before)
		return l;
	free(l);
	ls->forgotten++;
	return NULL;
}

static void linger_drop(struct pipeline *p, struct linger *l)
{
	struct lingers *ls = p->lingers;

	HASH_DEL(ls->table, l);
	linger_free(l);
	if (!ls->table)
		tracer_watch_lingering(p->tracer, false);
}

static void linger_due(struct lingers *ls, struct linger *l, uint64_t check_ns)
{
	l->check_ns = check_ns;
	if (check_ns < ls->next_ns || !ls->next_ns)
		ls->next_ns = check_ns;
}

void linger_begin(struct pipeline *p, const struct record *rec, struct process *owner)
{
	struct lingers *ls = p->lingers;
	struct linger *l = linger_find(ls, rec->netns, rec->proto, rec->port);

	if (!l)
		l = linger_add(ls, rec);
	if (!l)
		return;
	process_ref(owner);
	process_unref(l->owner);
	l->owner = owner;
	l->released = *rec;
	l->checks = 0;
	linger_due(ls, l, rec->time_ns + CHECK_FIRST_NS);
	tracer_watch_lingering(p->tracer, true);
}

void linger_cancel(struct pipeline *p, const struct record *rec)
{
	struct linger *l = linger_find(p->lingers, rec->netns, rec->proto, rec->port);

	if (l)
		linger_drop(p, l);
}

static void linger_tell(struct pipeline *p, struct linger *l, uint64_t now_ns)
{
	struct process *owner = process_ref(l->owner);
	struct record rec = l->released;

	linger_drop(p, l);
	ledger_forget_past(p->ledger, rec.netns, rec.proto, rec.port);
	tracer_forget_lingering(p->tracer, rec.netns, rec.proto == PROTO_UDP, rec.port);
	rec.action = ACTION_FREE;
	rec.lingered_ns = now_ns > rec.time_ns ? now_ns - rec.time_ns : 0;
	rec.time_ns = now_ns;
	rec.held_ns = 0;
	rec.since_ns = 0;
	rec.since_precision = SINCE_UNKNOWN;
	rec.free = FREE_UNKNOWN;
	rec.closed_by_pid = 0;
	pipeline_tell(p, &rec, NULL, owner, NULL);
	process_unref(owner);
}

void linger_end(struct pipeline *p, uint32_t netns, enum proto proto, uint16_t port, uint64_t now_ns)
{
	struct linger *l;

	resume_linger(p, netns, proto, port);
	l = linger_find(p->lingers, netns, proto, port);
	if (l)
		linger_tell(p, l, now_ns);
}

void linger_hint(struct pipeline *p, const struct pl_event *e)
{
	enum proto proto = decode_proto(e->proto, 0);
	struct linger *l;

	resume_linger(p, e->netns, proto, e->port);
	l = linger_find(p->lingers, e->netns, proto, e->port);
	if (!l)
		return;
	if (e->flags & PL_FREE)
		linger_tell(p, l, e->time_ns);
	else if (l->check_ns > e->time_ns + CHECK_FIRST_NS)
		linger_due(p->lingers, l, e->time_ns + CHECK_FIRST_NS);
}

bool linger_is_known(const struct pipeline *p, uint32_t netns, enum proto proto, uint16_t port)
{
	return linger_find(p->lingers, netns, proto, port);
}

/* ---- asking the kernel: one question for all ports of one table that are due ---- */

struct question {
	struct lingers *lingers;
	uint32_t netns;
	bool udp;
	uint64_t now_ns;
	unsigned due;  /* ports asked for */
	uint16_t port; /* the last of them */
};

static bool is_asked(const struct question *q, const struct linger *l)
{
	return l->key.netns == q->netns && l->key.udp == q->udp && l->check_ns <= q->now_ns;
}

static int left_row(void *arg, const struct diag_row *row)
{
	const struct question *q = arg;
	struct linger *l = linger_find(q->lingers, q->netns, row->proto, row->port);

	if (!l)
		return 0;
	l->left.rows++;
	if (row->state != TCP_STATE_TIME_WAIT)
		l->left.others = true;
	else if (row->expires_ms > l->left.expires_ms)
		l->left.expires_ms = row->expires_ms;
	return 0;
}

/* A bound-only socket is in no dump before 6.8: the ledger knows of those we saw. */
static bool port_is_held(struct pipeline *p, const struct record *rec)
{
	return ledger_on_port(p->ledger, rec->netns, rec->proto, rec->port, NULL) != NULL;
}

static void linger_answer(struct pipeline *p, struct linger *l, uint64_t now_ns)
{
	const struct left *left = &l->left;

	l->checks++;
	if (!left->rows && !port_is_held(p, &l->released))
		linger_tell(p, l, now_ns);
	else if (left->others || !left->rows)
		l->check_ns = now_ns + CHECK_AGAIN_NS * (l->checks < 10 ? l->checks : 10);
	else
		l->check_ns =
			now_ns + (left->expires_ms > 1000 ? left->expires_ms * NS_PER_MS : CHECK_AGAIN_NS);
}

static void question_begin(struct question *q)
{
	for (struct linger *l = q->lingers->table; l; l = l->hh.next) {
		if (!is_asked(q, l))
			continue;
		memset(&l->left, 0, sizeof(l->left));
		q->due++;
		q->port = l->key.port;
	}
}

/* All of one table cost the kernel little more than one port of it. */
static void question_ask(struct pipeline *p, struct question *q)
{
	struct diag_query query = { .tcp = !q->udp, .udp = q->udp };
	struct linger *l, *next;
	struct sockdiag *sd;
	bool gone, failed;

	question_begin(q);
	query.port = q->due == 1 ? q->port : 0;
	sd = diags_get(p->diags, q->netns, &gone);
	failed = sd ? sockdiag_dump(sd, &query, left_row, q) != 0 : !gone;
	HASH_ITER(hh, q->lingers->table, l, next) {
		if (!is_asked(q, l))
			continue;
		if (failed)
			l->check_ns = q->now_ns + CHECK_AGAIN_NS;
		else if (!sd) /* nobody lives in the namespace any more: its ports are gone with it */
			linger_tell(p, l, q->now_ns);
		else
			linger_answer(p, l, q->now_ns);
	}
}

/* The one that is due first; *ret_next_ns is when. */
static const struct linger *linger_first(const struct lingers *ls, uint64_t *ret_next_ns)
{
	const struct linger *first = ls->table;

	for (const struct linger *l = first; l; l = l->hh.next)
		if (l->check_ns < first->check_ns)
			first = l;
	*ret_next_ns = first ? first->check_ns : 0;
	return first;
}

void lingers_tick(struct pipeline *p, uint64_t now_ns)
{
	struct lingers *ls = p->lingers;
	const struct linger *first;
	struct question q = { .lingers = ls, .now_ns = now_ns };

	if (!ls->table || now_ns < ls->next_ns || now_ns < ls->rest_ns)
		return;
	first = linger_first(ls, &ls->next_ns);
	if (first->check_ns > now_ns)
		return;
	q.netns = first->key.netns;
	q.udp = first->key.udp;
	question_ask(p, &q);
	ls->rest_ns = now_ns + (clock_boot_ns() - now_ns) * CHECK_SHARE;
	(void)linger_first(ls, &ls->next_ns);
}

uint64_t lingers_next_ns(const struct lingers *ls)
{
	if (!ls->table)
		return 0;
	return ls->next_ns > ls->rest_ns ? ls->next_ns : ls->rest_ns;
}
