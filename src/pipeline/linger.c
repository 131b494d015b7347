/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * When is a port free? A release may leave accepted connections, TIME_WAIT or other sockets on it. The hooks hint when a
 * socket dies there; TIME_WAIT dies in silence, so its timer is asked for and waited for. Never told before bind(2)
 * would succeed, at most seconds later.
 */
#include <stdlib.h>
#include <string.h>

#include "pipeline/state.h"

#define LINGERS_MAX 1024
#define CHECK_FIRST_NS (200 * NS_PER_MS)
#define CHECK_AGAIN_NS NS_PER_S
#define CHECKS_AT_ONCE 8

struct linger {
	struct record released; /* its record; pid and comm are the last owner's */
	struct process *owner;
	uint64_t check_ns; /* when to ask sock_diag again */
	unsigned checks;
};

struct lingers {
	struct linger *items[LINGERS_MAX];
	size_t n;
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
	for (size_t i = 0; ls && i < ls->n; i++)
		linger_free(ls->items[i]);
	free(ls);
	return NULL;
}

static bool same_table(enum proto a, enum proto b)
{
	return (a == PROTO_UDP) == (b == PROTO_UDP);
}

static size_t linger_find(const struct lingers *ls, uint32_t netns, enum proto proto, uint16_t port)
{
	size_t i = 0;

	while (i < ls->n && !(ls->items[i]->released.netns == netns && ls->items[i]->released.port == port &&
			      same_table(ls->items[i]->released.proto, proto)))
		i++;
	return i;
}

static void linger_drop(struct pipeline *p, size_t i)
{
	struct lingers *ls = p->lingers;

	linger_free(ls->items[i]);
	ls->items[i] = ls->items[--ls->n];
	if (!ls->n)
		tracer_watch_lingering(p->tracer, false);
}

static void linger_check(struct pipeline *p, size_t i, uint64_t now_ns);

void linger_begin(struct pipeline *p, const struct record *rec, struct process *owner)
{
	struct lingers *ls = p->lingers;
	size_t i = linger_find(ls, rec->netns, rec->proto, rec->port);
	struct linger *l;

	if (i == ls->n && ls->n == LINGERS_MAX) {
		ls->forgotten++;
		return;
	}
	l = i < ls->n ? ls->items[i] : calloc(1, sizeof(*l));
	if (!l)
		return;
	if (i == ls->n)
		ls->items[ls->n++] = l;
	process_ref(owner);
	process_unref(l->owner);
	l->owner = owner;
	l->released = *rec;
	l->checks = 0;
	l->check_ns = rec->time_ns + CHECK_FIRST_NS;
	tracer_watch_lingering(p->tracer, true);
}

void linger_cancel(struct pipeline *p, const struct record *rec)
{
	size_t i = linger_find(p->lingers, rec->netns, rec->proto, rec->port);

	if (i < p->lingers->n)
		linger_drop(p, i);
}

void linger_end(struct pipeline *p, uint32_t netns, enum proto proto, uint16_t port, uint64_t now_ns)
{
	size_t i = linger_find(p->lingers, netns, proto, port);
	struct process *owner;
	struct record rec;

	if (i == p->lingers->n)
		return;
	rec = p->lingers->items[i]->released;
	owner = process_ref(p->lingers->items[i]->owner);
	linger_drop(p, i);
	ledger_forget_past(p->ledger, netns, proto, port);
	tracer_forget_lingering(p->tracer, netns, proto == PROTO_UDP, port);
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

void linger_hint(struct pipeline *p, const struct pl_event *e)
{
	enum proto proto = decode_proto(e->proto, 0);
	size_t i = linger_find(p->lingers, e->netns, proto, e->port);

	if (i == p->lingers->n)
		return;
	if (e->flags & PL_FREE)
		linger_end(p, e->netns, proto, e->port, e->time_ns);
	else if (p->lingers->items[i]->check_ns > e->time_ns + CHECK_FIRST_NS)
		p->lingers->items[i]->check_ns = e->time_ns + CHECK_FIRST_NS;
}

/* ---- asking the kernel ---- */

struct left {
	unsigned rows;
	uint64_t expires_ms; /* the longest TIME_WAIT */
	bool others;         /* anything beside TIME_WAIT: its death is hinted */
};

static int left_row(void *arg, const struct diag_row *row)
{
	struct left *left = arg;

	left->rows++;
	if (row->state != 6)
		left->others = true;
	else if (row->expires_ms > left->expires_ms)
		left->expires_ms = row->expires_ms;
	return 0;
}

/* A bound-only socket is in no dump before 6.8: the ledger knows of those we saw. */
static bool port_is_held(struct pipeline *p, const struct record *rec)
{
	return ledger_on_port(p->ledger, rec->netns, rec->proto, rec->port, NULL) != NULL;
}

static void linger_check(struct pipeline *p, size_t i, uint64_t now_ns)
{
	struct linger *l = p->lingers->items[i];
	const struct record *rec = &l->released;
	struct diag_query q = { .tcp = rec->proto != PROTO_UDP,
				.udp = rec->proto == PROTO_UDP,
				.port = rec->port };
	bool gone;
	struct sockdiag *sd = diags_get(p->diags, rec->netns, &gone);
	struct left left = { 0 };

	l->checks++;
	if (!sd ? !gone : sockdiag_dump(sd, &q, left_row, &left) != 0) {
		l->check_ns = now_ns + CHECK_AGAIN_NS;
		return;
	}
	/* Nobody lives in the namespace any more: its ports are gone with it. */
	if (!sd || (!left.rows && !port_is_held(p, rec))) {
		linger_end(p, rec->netns, rec->proto, rec->port, now_ns);
		return;
	}
	if (left.others || !left.rows)
		l->check_ns = now_ns + CHECK_AGAIN_NS * (l->checks < 10 ? l->checks : 10);
	else
		l->check_ns =
			now_ns + (left.expires_ms > 1000 ? left.expires_ms * NS_PER_MS : CHECK_AGAIN_NS);
}

void lingers_tick(struct pipeline *p, uint64_t now_ns)
{
	unsigned asked = 0;

	for (size_t i = 0; i < p->lingers->n && asked < CHECKS_AT_ONCE; i++) {
		if (p->lingers->items[i]->check_ns > now_ns)
			continue;
		asked++;
		linger_check(p, i, now_ns);
	}
}

uint64_t lingers_next_ns(const struct lingers *ls)
{
	uint64_t next = 0;

	for (size_t i = 0; i < ls->n; i++)
		if (!next || ls->items[i]->check_ns < next)
			next = ls->items[i]->check_ns;
	return next;
}
