/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A ledger out of the history. The intervals of the store say which sockets held a port at a moment; the few records of
 * each of these, in their order, make the same entry that all records since the start would have made.
 */
#include "source/replay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/fail.h"

/* Out of memory must not end the program in a table of names: an element that does not fit is left out. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define LEDGER_MAX 262144
#define PROCESSES_MAX 262144 /* all who hold something, with their owners: as many as there are */
#define LISTEN_STATE 10      /* TCP_LISTEN */

/* The names of an entry's socket. */
struct named {
	UT_hash_handle hh;
	uint64_t sk;
	char *user, *service, *netns;
};

struct replay {
	struct ledger *ledger;
	struct processes *processes;
	struct named *names;
	int64_t until; /* replay_at(): the moment */
};

/* ---- names ---- */

static void named_free(struct replay *r, struct named *n)
{
	HASH_DEL(r->names, n);
	free(n->user);
	free(n->service);
	free(n->netns);
	free(n);
}

static struct named *named_find(const struct replay *r, uint64_t sk)
{
	struct named *n = NULL;

	HASH_FIND(hh, r->names, &sk, sizeof(sk), n);
	return n;
}

static void names_clear(struct replay *r)
{
	while (r->names)
		named_free(r, r->names);
}

static char *copy(const char *text)
{
	return text ? strdup(text) : NULL;
}

static int names_keep(struct replay *r, uint64_t sk, const struct view *v)
{
	struct named *n = named_find(r, sk);
	unsigned before;

	if (n)
		named_free(r, n);
	if (!v->user_name && !v->service && !v->netns_name)
		return 0;
	n = calloc(1, sizeof(*n));
	if (!n)
		return -ENOMEM;
	before = HASH_COUNT(r->names);
	n->sk = sk;
	n->user = copy(v->user_name);
	n->service = copy(v->service);
	n->netns = copy(v->netns_name);
	HASH_ADD(hh, r->names, sk, sizeof(n->sk), n);
	if (HASH_COUNT(r->names) != before)
		return 0;
	free(n->user);
	free(n->service);
	free(n->netns);
	free(n);
	return -ENOMEM;
}

/* ---- an entry as a view ---- */

static size_t owners_list(const struct entry *e, struct owner *owners)
{
	size_t n = 0;

	if (e->key.pid && !e->handed) {
		owners[n] = (struct owner){ .pid = e->key.pid,
					    .uid = e->told.uid,
					    .start_ns = e->key.start_ns,
					    .process = e->process };
		memcpy(owners[n++].comm, e->told.comm, sizeof(owners->comm));
	}
	for (uint32_t i = 0; i < e->n_owners && n < LEDGER_OWNERS_MAX; i++)
		owners[n++] = e->owners[i];
	return n;
}

void replay_view(const struct replay *r, const struct entry *e, int64_t now_ns, struct record *rec,
		 struct owner *owners, struct view *ret)
{
	const struct named *n = named_find(r, e->sk);

	*rec = e->told;
	rec->action = ACTION_SNAPSHOT;
	rec->time_ns = e->told.time_ns + (uint64_t)now_ns - (uint64_t)e->told.wall_ns;
	rec->wall_ns = now_ns;
	rec->since_ns = e->since_ns;
	rec->has_backlog = false;
	rec->tid = 0;
	*ret = (struct view){ .rec = rec, .process = e->process, .owners = owners };
	ret->n_owners = owners_list(e, owners);
	ret->owners_count = e->owners_count > ret->n_owners ? e->owners_count : ret->n_owners;
	if (n) {
		ret->user_name = n->user;
		ret->service = n->service;
		ret->netns_name = n->netns;
	}
}

/* ---- one record ---- */

/* An id of the store names a socket for good, as (sk, tracked_ns) does in a kernel. */
static uint64_t socket_key(int64_t id, const struct record *rec)
{
	return (uint64_t)id - rec->seq + rec->socket_id;
}

static void owners_keep(struct replay *r, struct entry *e, const struct view *v)
{
	for (size_t i = 0; i < v->n_owners; i++) {
		struct owner o = v->owners[i];

		o.process = processes_keep(r->processes, o.process);
		(void)entry_owner_add(e, &o);
	}
	if (v->owners_count > e->owners_count)
		e->owners_count = (uint32_t)v->owners_count;
}

static int hold(struct replay *r, uint64_t sk, const struct view *v)
{
	struct record rec = *v->rec;
	struct entry *e;

	if (!rec.port)
		return 0;
	rec.sk = sk;
	e = ledger_hold(r->ledger, &rec, processes_keep(r->processes, v->process));
	if (!e)
		return -ENOMEM;
	e->id = rec.socket_id;
	if (!e->told.since_precision)
		e->told.since_precision = SINCE_EXACT;
	if (rec.action == ACTION_LISTEN && rec.proto != PROTO_UDP)
		e->told.state = LISTEN_STATE;
	owners_keep(r, e, v);
	return names_keep(r, sk, v);
}

/* Whoever has it now is an owner; the process stays the one that took it. */
static int hand(struct replay *r, uint64_t sk, const struct view *v)
{
	struct entry *e = ledger_find(r->ledger, sk);
	int error = e ? 0 : hold(r, sk, v);

	e = e ?: ledger_find(r->ledger, sk);
	if (error || !e)
		return error;
	e->handed = true;
	e->n_owners = 0;
	e->owners_count = 0;
	owners_keep(r, e, v);
	return 0;
}

static void let_go(struct replay *r, uint64_t sk, const struct view *v)
{
	struct entry *e = ledger_find(r->ledger, sk);
	struct named *n = named_find(r, sk);

	if (e)
		ledger_release(r->ledger, e, v->rec->time_ns);
	if (n)
		named_free(r, n);
}

static int begin_anew(struct replay *r)
{
	ledger_free(r->ledger);
	processes_free(r->processes);
	names_clear(r);
	r->ledger = ledger_new(LEDGER_MAX);
	r->processes = processes_new(PROCESSES_MAX);
	return r->ledger && r->processes ? 0 : -ENOMEM;
}

/* After a gap what is held is told again. */
static bool is_beginning(const struct record *rec)
{
	return (rec->action == ACTION_START && !rec->pinned) ||
	       (rec->action == ACTION_LOST && rec->lost_where == LOST_QUEUE);
}

int replay_apply(struct replay *r, int64_t id, const struct view *v)
{
	uint64_t sk = socket_key(id, v->rec);

	if (is_beginning(v->rec))
		return begin_anew(r);
	if (!v->rec->has_socket || v->rec->error)
		return 0;
	switch (v->rec->action) {
	case ACTION_SNAPSHOT:
	case ACTION_BIND:
	case ACTION_LISTEN:
	case ACTION_AUTOBIND:
		return hold(r, sk, v);
	case ACTION_HANDOFF:
		return hand(r, sk, v);
	case ACTION_RELEASE:
		let_go(r, sk, v);
		return 0;
	default:
		return 0;
	}
}

/* ---- a moment ---- */

static int apply(void *arg, int64_t id, const struct view *v)
{
	return replay_apply(arg, id, v);
}

/* A record that retention has taken is missing from the picture, no more. */
static int apply_one(struct replay *r, struct store *s, int64_t id)
{
	int error = id && id <= r->until ? store_record(s, id, apply, r) : 0;

	return error == -ENOENT ? 0 : error;
}

struct moment {
	struct store_interval *intervals;
	size_t n, room;
};

static int interval_keep(void *arg, const struct store_interval *i)
{
	struct moment *m = arg;

	if (m->n == m->room) {
		size_t room = m->room ? m->room * 2 : 256;
		struct store_interval *more = reallocarray(m->intervals, room, sizeof(*more));

		if (!more)
			return fail(-ENOMEM, "read the history");
		m->intervals = more;
		m->room = room;
	}
	m->intervals[m->n++] = *i;
	return 0;
}

/* In the order in which they were told: after a handoff the listen is before the interval. */
static int interval_apply(struct replay *r, struct store *s, const struct store_interval *i)
{
	bool before = i->listened < i->opened;
	int error = i->socket != i->opened ? apply_one(r, s, i->socket) : 0;

	if (!error && before && i->listened != i->socket)
		error = apply_one(r, s, i->listened);
	if (!error)
		error = apply_one(r, s, i->opened);
	return error || before ? error : apply_one(r, s, i->listened);
}

int replay_at(struct replay *r, struct store *s, int64_t id, const uint8_t *ports)
{
	struct store_interval_query q = { .from = id, .to = id, .ports = ports };
	struct moment m = { 0 };
	int error = begin_anew(r);

	if (error)
		return fail(error, "read the history");
	r->until = id;
	error = store_intervals(s, &q, interval_keep, &m);
	for (size_t i = 0; i < m.n && !error; i++)
		error = interval_apply(r, s, &m.intervals[i]);
	free(m.intervals);
	if (error == -ENOMEM)
		return fail(error, "read the history");
	return error;
}

struct ledger *replay_ledger(struct replay *r)
{
	return r->ledger;
}

struct replay *replay_free(struct replay *r)
{
	if (!r)
		return NULL;
	ledger_free(r->ledger);
	processes_free(r->processes);
	names_clear(r);
	free(r);
	return NULL;
}

struct replay *replay_new(void)
{
	struct replay *r = calloc(1, sizeof(*r));

	return r && begin_anew(r) ? replay_free(r) : r;
}
