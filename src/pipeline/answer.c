/* SPDX-License-Identifier: GPL-2.0-only */
/* What `why` tells of a port: verdicts of the binds that matter, holders ranked and explained, and what else bears on it. */
#include "pipeline/answer.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/field.h"
#include "enrich/bound_for.h"
#include "enrich/enrich.h"
#include "enrich/redirect.h"
#include "pipeline/inventory.h"
#include "pipeline/judge.h"
#include "util/cleanup.h"
#include "util/fail.h"
#include "util/loop.h"

#define RANKED_MAX 512 /* of thousands of connections on one port the first few explain as much */

struct making {
	struct inventory *inv;
	const struct answer_place *where;
	const struct question *q;
	struct verdict_facts facts;
	struct holder *sockets;
	size_t n;
};

static void asker_fill(const struct making *m, const struct address *addr, struct asker *ret)
{
	const struct question *q = m->q;
	const struct place *place = &m->where->place;

	*ret = (struct asker){
		.proto = q->proto,
		.family = addr->family,
		.addr = *addr,
		.port = q->port,
		.options = q->options,
		.uid = q->uid,
		.ifindex = q->scope,
		.capable = q->capable && !place->foreign,
	};
	if (addr->family != AF_INET6)
		ret->options &= ~OPT_V6ONLY;
	else if (place->v6only)
		ret->options |= OPT_V6ONLY;
}

static bool is_wildcard6(const struct address *a)
{
	static const uint8_t zeroes[16];

	return a->family == AF_INET6 && !memcmp(a->bytes, zeroes, 16);
}

static void judge_with(struct making *m, const struct asker *a, uint32_t set, uint32_t clear,
		       struct verdict *ret)
{
	struct asker other = *a;

	other.options = (a->options & ~clear) | set;
	judge(m->inv, m->where->netns, &m->facts, &other, m->sockets, m->n, ret);
}

/* A bind as the failed call that it would be, for those who explain such. */
static struct record record_of(const struct asker *a, int error, bool bare)
{
	struct record rec = {
		.action = ACTION_BIND,
		.proto = a->proto,
		.port = a->port,
		.addr = a->addr,
		.family = a->family,
		.error = error,
		.has_socket = true,
		.has_options = true,
		.options = bare ? a->options & ~OPT_REUSEADDR : a->options,
		.sock_uid = a->uid,
		.uid = a->uid,
		.ifindex = a->ifindex,
		.hook_addr = true,
	};

	return rec;
}

/* Listeners and sockets that are only bound before connections: what is over RANKED_MAX is left out. */
static size_t in_way_pick(struct making *m, size_t n, struct holder *ret)
{
	size_t kept = 0;

	for (int connected = 0; connected < 2; connected++)
		for (size_t i = 0; i < n && kept < RANKED_MAX; i++) {
			bool lone = m->sockets[i].state == TCP_LISTEN || m->sockets[i].state == TCP_CLOSE;

			if (lone != (bool)connected)
				ret[kept++] = m->sockets[i];
		}
	return kept;
}

static int in_way_keep(struct making *m, struct ask *ask, const struct record *rec, size_t n)
{
	ask->in_way = n ? calloc(n < RANKED_MAX ? n : RANKED_MAX, sizeof(*ask->in_way)) : NULL;
	if (n && !ask->in_way)
		return fail(-ENOMEM, "explain port %u", m->q->port);
	ask->n_in_way = in_way_pick(m, n, ask->in_way);
	ask->n_in_way = explain_rank(rec, ask->in_way, ask->n_in_way);
	return 0;
}

static void ask_explain(struct making *m, struct ask *ask, struct record *rec, struct explanation *ret)
{
	struct explain_facts facts = { .unprivileged_port_start = m->where->place.unprivileged_port_start,
				       .now_ns = clock_boot_ns(),
				       .fresh = true };
	struct view view = { .rec = rec, .holders = ask->in_way, .n_holders = ask->n_in_way };

	rec->reason = explain_reason(rec, ask->in_way, ask->n_in_way, &facts);
	explain(&view, &facts, ret);
}

/* The verdict that is looked at last leaves those in the way in front. */
static const struct verdict *allowed_judge(struct making *m, struct ask *ask)
{
	struct asker allowed = ask->asker;

	allowed.capable = true;
	judge_with(m, &allowed, 0, OPT_REUSEADDR, &ask->allowed_bare);
	judge_with(m, &allowed, 0, 0, &ask->allowed);
	if (!verdict_works(&ask->allowed) || ask->allowed_bare.bind == ANSWER_YES)
		return &ask->allowed;
	judge_with(m, &allowed, 0, OPT_REUSEADDR, &ask->allowed_bare);
	return &ask->allowed_bare;
}

/* A low port is refused before anybody looks whether it is taken: who may have it would find out only then. */
static int ask_judge_allowed(struct making *m, struct ask *ask, struct record *rec)
{
	const struct verdict *told;
	int r;

	ask_explain(m, ask, rec, &ask->explanation);
	told = allowed_judge(m, ask);
	if (verdict_works(told))
		return 0;
	*rec = record_of(&ask->asker, EADDRINUSE,
			 told == &ask->allowed_bare || told->missing == MISSING_OPTIONS);
	r = in_way_keep(m, ask, rec, told->n_in_way);
	if (!r)
		ask_explain(m, ask, rec, &ask->behind);
	return r;
}

/* The verdict as given last: it leaves those in the way in front. */
static int ask_judge(struct making *m, const struct address *addr, struct ask *ask)
{
	const struct verdict *told = &ask->verdict;
	struct record rec;
	bool bare;
	int error, r;

	asker_fill(m, addr, &ask->asker);
	m->facts.locality = place_locality(m->where->proc_fd, addr, m->q->scope);
	m->facts.nonlocal_bind = address_is_v4(addr) ? m->where->place.nonlocal4 : m->where->place.nonlocal6;
	judge_with(m, &ask->asker, OPT_REUSEPORT, 0, &ask->shared);
	judge_with(m, &ask->asker, is_wildcard6(addr) ? OPT_V6ONLY : 0, 0, &ask->only6);
	judge_with(m, &ask->asker, 0, OPT_REUSEADDR, &ask->bare);
	judge_with(m, &ask->asker, 0, 0, &ask->verdict);
	ask->allowed = ask->verdict;
	ask->allowed_bare = ask->bare;
	bare = verdict_works(told) && ask->bare.bind != ANSWER_YES;
	if (bare) {
		judge_with(m, &ask->asker, 0, OPT_REUSEADDR, &ask->bare);
		told = &ask->bare;
	}
	error = told->bind_error ? told->bind_error : told->listen_error;
	if (!error && verdict_works(told))
		return 0;
	/* Where it depends on the other socket's options nothing may be said of what SO_REUSEADDR cannot do. */
	rec = record_of(&ask->asker, error ? error : EADDRINUSE, bare || told->missing == MISSING_OPTIONS);
	if (error == EACCES)
		return ask_judge_allowed(m, ask, &rec);
	r = in_way_keep(m, ask, &rec, told->n_in_way);
	if (!r)
		ask_explain(m, ask, &rec, &ask->explanation);
	return r;
}

static int asks_make(struct making *m, struct port_answer *ret)
{
	static const struct address wildcards[] = { { .family = AF_INET }, { .family = AF_INET6 } };
	bool both = m->q->ipv4 == m->q->ipv6;
	int r = 0;

	if (m->q->addr.family) {
		ret->single = true;
		ret->n_asks = 1;
		return ask_judge(m, &m->q->addr, &ret->asks[0]);
	}
	if (both || m->q->ipv4)
		r = ask_judge(m, &wildcards[0], &ret->asks[ret->n_asks++]);
	if (!r && (both || m->q->ipv6))
		r = ask_judge(m, &wildcards[1], &ret->asks[ret->n_asks++]);
	return r;
}

/* ---- what else bears on it ---- */

static bool counts_elsewhere(const struct making *m, const struct entry *e)
{
	enum proto proto = e->told.proto == PROTO_MPTCP ? PROTO_TCP : e->told.proto;

	return e->told.netns != m->where->netns && e->told.port == m->q->port && proto == m->q->proto &&
	       (proto == PROTO_UDP || e->told.state == TCP_LISTEN || e->told.state == TCP_CLOSE);
}

static void name_set(char ret[ANSWER_NAME_MAX], const char *name)
{
	snprintf(ret, ANSWER_NAME_MAX, "%s", name ?: "");
}

static void elsewhere_fill(struct making *m, struct port_answer *ret)
{
	struct ledger *led = inventory_ledger(m->inv);

	for (struct entry *e = ledger_next(led, NULL); e; e = ledger_next(led, e)) {
		struct elsewhere *at = &ret->elsewhere[ret->n_elsewhere];

		if (!counts_elsewhere(m, e))
			continue;
		if (ret->n_elsewhere++ >= ELSEWHERE_MAX)
			continue;
		entry_holder(e, &at->holder);
		at->holder.process = inventory_process(m->inv, e->key.pid, e->key.start_ns);
		at->netns = e->told.netns;
		name_set(at->netns_name, enrich_netns(inventory_enrich(m->inv), e->told.netns));
	}
}

static const struct ask *first_held(const struct port_answer *a)
{
	for (size_t i = 0; i < a->n_asks; i++)
		if (a->asks[i].n_in_way)
			return &a->asks[i];
	return NULL;
}

static void names_fill(struct making *m, struct port_answer *ret)
{
	struct enrich *e = inventory_enrich(m->inv);
	const struct ask *held = first_held(ret);

	name_set(ret->netns_name, enrich_netns(e, m->where->netns));
	name_set(ret->service, enrich_service(e, m->q->port, m->q->proto));
	name_set(ret->user_name, enrich_user(e, m->q->uid));
	if (!held)
		return;
	name_set(ret->user_of_holder,
		 enrich_user(e, held->in_way[0].pid ? held->in_way[0].uid : held->in_way[0].sock_uid));
	bound_for_find(e, &held->in_way[0], &ret->bound_for);
}

static void place_fill(const struct making *m, struct port_answer *ret)
{
	const struct place *p = &m->where->place;

	ret->ephemeral = place_is_ephemeral(p, m->q->port);
	ret->reserved = place_reserves(p, m->q->port);
	ret->range_low = p->range_low;
	ret->range_high = p->range_high;
	ret->unprivileged_port_start = p->unprivileged_port_start;
}

int answer_take(struct inventory *inv, const struct answer_place *where, const struct question *q,
		struct port_answer *ret)
{
	struct making m = { .inv = inv, .where = where, .q = q, .facts = where->kernel };
	int r;

	memset(ret, 0, sizeof(*ret));
	ret->proto = q->proto;
	ret->port = q->port;
	ret->netns = where->netns;
	ret->uid = q->uid;
	ret->reuseaddr_given = q->reuseaddr_given;
	ret->reach = inventory_reach(inv);
	ret->now_ns = clock_boot_ns();
	ret->boot_offset_ns = inventory_session(inv)->boot_offset_ns;
	m.facts.unprivileged_port_start = where->place.unprivileged_port_start;
	place_fill(&m, ret);
	r = judge_sockets(inv, where->netns, q->proto, q->port, &m.sockets, &m.n);
	if (!r)
		r = asks_make(&m, ret);
	free(m.sockets);
	if (r < 0) {
		answer_done(ret);
		return r;
	}
	elsewhere_fill(&m, ret);
	redirect_find(q->proto, q->port, ret->redirect, sizeof(ret->redirect));
	names_fill(&m, ret);
	return 0;
}
