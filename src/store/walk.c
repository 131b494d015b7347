/* SPDX-License-Identifier: GPL-2.0-only */
/* Walks over the history: events, and who held which port. */
#include <errno.h>
#include <stdlib.h>

#include "store/state.h"
#include "util/cleanup.h"
#include "util/fail.h"

/* clang-format off */
enum statement {
	EACH, EACH_REVERSE, EACH_PORT, EACH_PORT_REVERSE,
	INTERVALS_ALL, INTERVALS_ALL_REVERSE, INTERVALS_PORT, INTERVALS_PORT_REVERSE, NEXT_INTERVAL,
	RECORD_AFTER, RECORD_BEFORE, INTERVAL_AFTER, INTERVAL_BEFORE, N_STATEMENTS
};

/* Parameters: 1 after, 2 until; by port: 3 the port, 4 the block. */
#define RECORDS "SELECT * FROM records WHERE id > ?1 AND id <= ?2"
#define OF_PORT " AND port = ?3 AND " BLOCK_OF("id") " = ?4"
/* Parameters: 1 to, 2 from; by port: 3 the port, 4 the block. What is in the index alone decides which rows are read. */
#define INTERVALS "SELECT opened, socket, listened, closed, ended, port, udp, netns FROM intervals WHERE "
#define OVERLAP " opened <= ?1 AND (closed IS NULL OR closed > ?2) ORDER BY opened"
#define OPENED_ON_PORT "SELECT opened FROM intervals INDEXED BY intervals_port" \
	" WHERE " BLOCK_OF("opened") " = ?4 AND port = ?3 AND opened <= ?1 AND closed "
#define OVERLAP_ON_PORT "opened IN (" OPENED_ON_PORT "> ?2 UNION ALL " OPENED_ON_PORT "IS NULL) ORDER BY opened"
static const char *const statements[N_STATEMENTS] = {
	[EACH] = RECORDS " ORDER BY id",
	[EACH_REVERSE] = RECORDS " ORDER BY id DESC",
	[EACH_PORT] = RECORDS OF_PORT " ORDER BY id",
	[EACH_PORT_REVERSE] = RECORDS OF_PORT " ORDER BY id DESC",
	[INTERVALS_ALL] = INTERVALS OVERLAP,
	[INTERVALS_ALL_REVERSE] = INTERVALS OVERLAP " DESC",
	[INTERVALS_PORT] = INTERVALS OVERLAP_ON_PORT,
	[INTERVALS_PORT_REVERSE] = INTERVALS OVERLAP_ON_PORT " DESC",
	/*
	 * Parameters: 1 port, 2 udp, 3 netns, 4 opened, 5 closed, 6 the block. Who shared the address and had it longer came next
	 * as well. The port's records are walked in their order; in the index of intervals all those of the port would have to be
	 * sorted.
	 */
	[NEXT_INTERVAL] = "SELECT i.opened FROM records r INDEXED BY records_port CROSS JOIN intervals i ON i.opened = r.id"
			  " WHERE " BLOCK_OF("r.id") " = ?6 AND r.port = ?1 AND r.id > ?4 AND i.udp = ?2"
			  " AND (i.closed IS NULL OR i.closed > ?5)"
			  " AND (r.id >= ?5 OR r.addr IS (SELECT addr FROM records WHERE id = ?4))"
			  " AND (i.netns IS ?3 OR i.netns IN"
			  " (SELECT id FROM namespaces WHERE inode = (SELECT inode FROM namespaces WHERE id = ?3)))"
			  " ORDER BY r.id LIMIT 1",
	[RECORD_AFTER] = "SELECT id FROM records WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT 1",
	[RECORD_BEFORE] = "SELECT id FROM records WHERE id > ?1 AND id <= ?2 ORDER BY id DESC LIMIT 1",
	[INTERVAL_AFTER] = "SELECT opened FROM intervals WHERE opened > ?1 AND opened <= ?2 ORDER BY opened LIMIT 1",
	[INTERVAL_BEFORE] = "SELECT opened FROM intervals WHERE opened > ?1 AND opened <= ?2 ORDER BY opened DESC LIMIT 1",
};
/* clang-format on */

struct walker {
	struct query *q[N_STATEMENTS];
};

/* ---- blocks ---- */

/* Those of the ids after < id <= until. */
struct blocks {
	int64_t after, until; /* what is left of them */
	bool reverse;
	int64_t block;
};

/* The next that has a row. QUERY_ROW; 0: none. Ids that nobody has, however many, cost nothing. */
static int blocks_next(struct store *s, enum statement after, enum statement before, struct blocks *b)
{
	struct query *q = s->walker->q[b->reverse ? before : after];
	int64_t id;
	int r;

	query_int(q, 0, b->after);
	query_int(q, 1, b->until);
	r = query_step(q);
	if (r != QUERY_ROW)
		return r;
	id = query_get(q, 0);
	query_reset(q);
	b->block = id >> BLOCK_BITS;
	if (!b->reverse)
		b->after = id | BLOCK_IDS;
	else if (id >> BLOCK_BITS == b->after >> BLOCK_BITS)
		b->until = b->after; /* there is none before */
	else
		b->until = (id & ~BLOCK_IDS) - 1;
	return QUERY_ROW;
}

/* A walk over blocks is of one moment, as a single statement is: what is committed meanwhile is not in a part of it. */
static int moment_begin(struct store *s, bool *ret_begun)
{
	*ret_begun = !db_in_transaction(s->db);
	return *ret_begun ? db_exec(s->db, "BEGIN") : 0;
}

static int moment_end(struct store *s, bool begun, int result)
{
	int r = begun ? db_exec(s->db, "COMMIT") : 0;

	return result ? result : r;
}

/* ---- events ---- */

static bool port_asked(const uint8_t *ports, unsigned port)
{
	return !ports || ports[port / 8] >> (port % 8) & 1;
}

/* The one port that is asked for; -1: none or several. */
static int only_port(const uint8_t *ports)
{
	int only = -1;

	for (unsigned i = 0; ports && i < 65536 / 8; i++) {
		if (!ports[i])
			continue;
		if (only >= 0 || ports[i] & (ports[i] - 1))
			return -1;
		only = (int)(i * 8) + __builtin_ctz(ports[i]);
	}
	return only;
}

static int port_column(struct query *q)
{
	return query_is_null(q, 14) ? -1 : (int)query_get(q, 14);
}

static int each_of(struct store *s, struct query *q, const struct store_query *sq, store_fn *fn, void *arg)
{
	int r;

	while ((r = query_step(q)) == QUERY_ROW) {
		int port = port_column(q);

		if (port >= 0 && !port_asked(sq->ports, (unsigned)port))
			continue;
		r = reader_tell(s, q, fn, arg);
		if (r)
			break;
	}
	query_reset(q);
	return r;
}

static int each_of_port(struct store *s, const struct store_query *sq, int port, store_fn *fn, void *arg)
{
	struct query *q = s->walker->q[sq->reverse ? EACH_PORT_REVERSE : EACH_PORT];
	struct blocks b = { .after = sq->after, .until = sq->until, .reverse = sq->reverse };
	bool begun;
	int r = moment_begin(s, &begun);

	if (r)
		return r;
	while ((r = blocks_next(s, RECORD_AFTER, RECORD_BEFORE, &b)) == QUERY_ROW) {
		query_int(q, 0, sq->after);
		query_int(q, 1, sq->until);
		query_int(q, 2, port);
		query_int(q, 3, b.block);
		r = each_of(s, q, sq, fn, arg);
		if (r)
			break;
	}
	return moment_end(s, begun, r);
}

int store_each(struct store *s, const struct store_query *sq, store_fn *fn, void *arg)
{
	struct query *q = s->walker->q[sq->reverse ? EACH_REVERSE : EACH];
	int only = only_port(sq->ports);

	if (only >= 0)
		return each_of_port(s, sq, only, fn, arg);
	query_int(q, 0, sq->after);
	query_int(q, 1, sq->until);
	return each_of(s, q, sq, fn, arg);
}

/* ---- intervals ---- */

static int interval_next(struct store *s, struct query *row, int64_t opened, int64_t *ret)
{
	struct query *q = s->walker->q[NEXT_INTERVAL];
	struct blocks b = { .after = opened, .until = INT64_MAX };
	int r;

	*ret = 0;
	while (!*ret && (r = blocks_next(s, INTERVAL_AFTER, INTERVAL_BEFORE, &b)) == QUERY_ROW) {
		query_int(q, 0, query_get(row, 5));
		query_int(q, 1, query_get(row, 6));
		if (!query_is_null(row, 7))
			query_int(q, 2, query_get(row, 7));
		query_int(q, 3, opened);
		query_int(q, 4, query_get(row, 3));
		query_int(q, 5, b.block);
		r = query_number(q, ret);
		if (r)
			break;
	}
	return *ret ? 0 : r;
}

static int interval_tell(struct store *s, struct query *q, const struct store_interval_query *iq,
			 int (*fn)(void *arg, const struct store_interval *i), void *arg)
{
	struct store_interval i = { .opened = query_get(q, 0),
				    .listened = query_get(q, 2),
				    .closed = query_get(q, 3) };
	int64_t ended = query_get(q, 4);
	int r = 0;

	if (!port_asked(iq->ports, (unsigned)query_get(q, 5) & 0xffff))
		return 0;
	i.socket = query_is_null(q, 1) ? i.opened : query_get(q, 1);
	i.ended = ended > 0 && ended < WORDS_MAX ? s->from_file[WORDS_ENDED][ended] : ENDED_NOT;
	if (iq->next && i.closed)
		r = interval_next(s, q, i.opened, &i.next);
	return r ? r : fn(arg, &i);
}

static int intervals_of(struct store *s, struct query *q, const struct store_interval_query *iq,
			int (*fn)(void *arg, const struct store_interval *i), void *arg)
{
	int r;

	query_int(q, 0, iq->to);
	query_int(q, 1, iq->from);
	while ((r = query_step(q)) == QUERY_ROW) {
		r = interval_tell(s, q, iq, fn, arg);
		if (r)
			break;
	}
	query_reset(q);
	return r;
}

int store_intervals(struct store *s, const struct store_interval_query *iq,
		    int (*fn)(void *arg, const struct store_interval *i), void *arg)
{
	struct query *all = s->walker->q[iq->reverse ? INTERVALS_ALL_REVERSE : INTERVALS_ALL];
	struct query *port = s->walker->q[iq->reverse ? INTERVALS_PORT_REVERSE : INTERVALS_PORT];
	struct blocks b = { .after = INT64_MIN, .until = iq->to, .reverse = iq->reverse };
	int only = only_port(iq->ports), r;
	bool begun;

	if (only < 0)
		return intervals_of(s, all, iq, fn, arg);
	r = moment_begin(s, &begun);
	if (r)
		return r;
	while ((r = blocks_next(s, INTERVAL_AFTER, INTERVAL_BEFORE, &b)) == QUERY_ROW) {
		query_int(port, 2, only);
		query_int(port, 3, b.block);
		r = intervals_of(s, port, iq, fn, arg);
		if (r)
			break;
	}
	return moment_end(s, begun, r);
}

/* ---- opening ---- */

struct walker *walker_free(struct walker *w)
{
	free(w);
	return NULL;
}

int walker_new(struct store *s)
{
	struct walker *w = calloc(1, sizeof(*w));
	int r = 0;

	if (!w)
		return fail(-ENOMEM, "open %s", db_path(s->db));
	s->walker = w;
	for (size_t i = 0; i < N_STATEMENTS && !r; i++)
		r = db_prepare(s->db, statements[i], &w->q[i]);
	return r;
}
