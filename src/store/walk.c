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
	RECORD_AFTER, RECORD_BEFORE, INTERVAL_AFTER, INTERVAL_BEFORE, BLOCK_PORTS, N_STATEMENTS
};

/* Parameters: 1 after, 2 until, 3 how many; by port: 4 the port, 5 the block. */
#define RECORDS "SELECT id, port FROM records WHERE id > ?1 AND id <= ?2"
#define OF_PORT " AND port = ?4 AND " BLOCK_OF("id") " = ?5"
/* Parameters: 1 to, 2 from, 3 the block; by port: 4 the port. What is in the index alone decides which rows are read. */
#define INTERVALS "SELECT opened, socket, listened, closed, ended, port, udp, netns FROM intervals WHERE "
#define OVERLAP "opened BETWEEN ?3 << 16 AND (?3 << 16) + 65535 AND opened <= ?1 AND (closed IS NULL OR closed > ?2) ORDER BY opened"
#define OPENED_ON_PORT "SELECT opened FROM intervals INDEXED BY intervals_port" \
	" WHERE " BLOCK_OF("opened") " = ?3 AND port = ?4 AND opened <= ?1 AND closed "
#define OVERLAP_ON_PORT "opened IN (" OPENED_ON_PORT "> ?2 UNION ALL " OPENED_ON_PORT "IS NULL) ORDER BY opened"
static const char *const statements[N_STATEMENTS] = {
	[EACH] = RECORDS " ORDER BY id LIMIT ?3",
	[EACH_REVERSE] = RECORDS " ORDER BY id DESC LIMIT ?3",
	[EACH_PORT] = RECORDS OF_PORT " ORDER BY id LIMIT ?3",
	[EACH_PORT_REVERSE] = RECORDS OF_PORT " ORDER BY id DESC LIMIT ?3",
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
	[BLOCK_PORTS] = "SELECT port FROM intervals INDEXED BY intervals_port WHERE " BLOCK_OF("opened") " = ?1",
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

/*
 * A walk ends with what is there when it begins: ids only grow, so all of that is committed. While something is told no
 * statement is under way: whoever reads it may take his time, and the recorder's journal is not kept from ending.
 */
static int walk_end(struct store *s, int64_t until, int64_t *ret_until)
{
	int r = store_last_id(s, ret_until);

	if (*ret_until > until)
		*ret_until = until;
	return r;
}

int store_freeze(struct store *s)
{
	return db_exec(s->db, "BEGIN");
}

void store_thaw(struct store *s)
{
	if (db_in_transaction(s->db))
		(void)db_exec(s->db, "ROLLBACK");
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

#define CHUNK 1024

/* The next ids of a walk. */
struct chunk {
	int64_t ids[CHUNK];
	size_t n;
	bool full;            /* there may be more */
	int64_t after, until; /* what is left of the walk */
};

/* @q has its parameters from the fourth on. */
static int chunk_fill(struct query *q, const struct store_query *sq, struct chunk *c)
{
	size_t rows = 0;
	int64_t id = 0;
	int r;

	c->n = 0;
	query_int(q, 0, c->after);
	query_int(q, 1, c->until);
	query_int(q, 2, CHUNK);
	while ((r = query_step(q)) == QUERY_ROW) {
		id = query_get(q, 0);
		if (query_is_null(q, 1) || port_asked(sq->ports, (unsigned)query_get(q, 1) & 0xffff))
			c->ids[c->n++] = id;
		rows++;
	}
	c->full = rows == CHUNK;
	if (rows && sq->reverse)
		c->until = id == INT64_MIN ? id : id - 1;
	else if (rows)
		c->after = id;
	return r;
}

static int chunk_tell(struct store *s, const struct chunk *c, store_fn *fn, void *arg)
{
	int r = 0;

	for (size_t i = 0; i < c->n && !r; i++) {
		r = store_record(s, c->ids[i], fn, arg);
		if (r == -ENOENT)
			r = 0; /* retention took it meanwhile */
	}
	return r;
}

static int each_of_port(struct store *s, const struct store_query *sq, int port, struct chunk *c,
			store_fn *fn, void *arg)
{
	struct query *q = s->walker->q[sq->reverse ? EACH_PORT_REVERSE : EACH_PORT];
	struct blocks b = { .after = c->after, .until = c->until, .reverse = sq->reverse };
	int r;

	while ((r = blocks_next(s, RECORD_AFTER, RECORD_BEFORE, &b)) == QUERY_ROW) {
		do {
			query_int(q, 3, port);
			query_int(q, 4, b.block);
			r = chunk_fill(q, sq, c);
			if (!r)
				r = chunk_tell(s, c, fn, arg);
		} while (!r && c->full);
		if (r)
			break;
	}
	return r;
}

static int each_of_all(struct store *s, const struct store_query *sq, struct chunk *c, store_fn *fn,
		       void *arg)
{
	struct query *q = s->walker->q[sq->reverse ? EACH_REVERSE : EACH];
	int r;

	do {
		r = chunk_fill(q, sq, c);
		if (!r)
			r = chunk_tell(s, c, fn, arg);
	} while (!r && c->full);
	return r;
}

int store_each(struct store *s, const struct store_query *sq, store_fn *fn, void *arg)
{
	auto_free struct chunk *c = malloc(sizeof(*c));
	int only = only_port(sq->ports), r;

	if (!c)
		return fail(-ENOMEM, "read the history");
	c->after = sq->after;
	r = walk_end(s, sq->until, &c->until);
	if (r)
		return r;
	return only >= 0 ? each_of_port(s, sq, only, c, fn, arg) : each_of_all(s, sq, c, fn, arg);
}

/* ---- intervals ---- */

/* Room for twice as many as *room at @at, which is left alone when there is none: NULL, with a story. */
static void *twice(void *at, size_t *room, size_t size)
{
	size_t more = *room ? 2 * *room : 64;
	void *moved = reallocarray(at, more, size);

	if (moved)
		*room = more;
	else
		fail(-ENOMEM, "read the history");
	return moved;
}

/* A row of the table. */
struct interval_row {
	struct store_interval told;
	int64_t port, udp, netns;
	bool has_netns;
};

/* Those of one block: at most as many as it has ids. */
struct interval_rows {
	struct interval_row *at;
	size_t n, room;
};

/*
 * The blocks that have intervals, and of which ports: who came next is looked for in those alone that have the port. The
 * newest is still written, so it may have any.
 */
struct block_ports {
	int64_t block;
	uint8_t *ports; /* a bit each; NULL: not looked at yet, or any */
};

struct followers {
	struct block_ports *at;
	size_t n, room, looked_at;
};

#define LOOKED_AT_MAX 1024 /* blocks, 8 KiB each */

static void followers_free(struct followers *f)
{
	for (size_t i = 0; i < f->n; i++)
		free(f->at[i].ports);
	free(f->at);
}

static int followers_find(struct store *s, struct followers *f)
{
	struct blocks b = { .after = INT64_MIN, .until = INT64_MAX };
	int r;

	while ((r = blocks_next(s, INTERVAL_AFTER, INTERVAL_BEFORE, &b)) == QUERY_ROW) {
		if (f->n == f->room) {
			struct block_ports *at = twice(f->at, &f->room, sizeof(*at));

			if (!at)
				return -ENOMEM;
			f->at = at;
		}
		f->at[f->n++] = (struct block_ports){ .block = b.block };
	}
	return r;
}

static int block_look(struct store *s, struct followers *f, struct block_ports *bp)
{
	struct query *q = s->walker->q[BLOCK_PORTS];
	int r;

	bp->ports = calloc(1, 65536 / 8);
	if (!bp->ports)
		return fail(-ENOMEM, "read the history");
	f->looked_at++;
	query_int(q, 0, bp->block);
	while ((r = query_step(q)) == QUERY_ROW) {
		unsigned port = (unsigned)query_get(q, 0) & 0xffff;

		bp->ports[port / 8] |= (uint8_t)(1 << port % 8);
	}
	return r;
}

/* May an interval of @port begin in block @i? */
static int block_may_have(struct store *s, struct followers *f, size_t i, int64_t port, bool *ret)
{
	struct block_ports *bp = &f->at[i];
	int r = 0;

	if (!bp->ports && i + 1 < f->n && f->looked_at < LOOKED_AT_MAX)
		r = block_look(s, f, bp);
	*ret = !r && (!bp->ports || port_asked(bp->ports, (unsigned)port & 0xffff));
	return r;
}

static int next_in_block(struct store *s, const struct interval_row *row, int64_t block, int64_t *ret)
{
	struct query *q = s->walker->q[NEXT_INTERVAL];

	query_int(q, 0, row->port);
	query_int(q, 1, row->udp);
	if (row->has_netns)
		query_int(q, 2, row->netns);
	query_int(q, 3, row->told.opened);
	query_int(q, 4, row->told.closed);
	query_int(q, 5, block);
	return query_number(q, ret);
}

static int interval_next(struct store *s, struct followers *f, const struct interval_row *row, int64_t *ret)
{
	int64_t first = row->told.opened >> BLOCK_BITS;
	int r = 0;

	*ret = 0;
	for (size_t i = 0; i < f->n && !r && !*ret; i++) {
		bool may = false;

		if (f->at[i].block >= first)
			r = block_may_have(s, f, i, row->port, &may);
		if (!r && may)
			r = next_in_block(s, row, f->at[i].block, ret);
	}
	return r;
}

static void interval_read(struct store *s, struct query *q, struct interval_row *row)
{
	int64_t ended = query_get(q, 4);

	*row = (struct interval_row){ .told = { .opened = query_get(q, 0),
						.listened = query_get(q, 2),
						.closed = query_get(q, 3),
						.ended = ENDED_NOT },
				      .port = query_get(q, 5),
				      .udp = query_get(q, 6),
				      .netns = query_get(q, 7),
				      .has_netns = !query_is_null(q, 7) };
	row->told.socket = query_is_null(q, 1) ? row->told.opened : query_get(q, 1);
	if (ended > 0 && ended < WORDS_MAX)
		row->told.ended = s->from_file[WORDS_ENDED][ended];
}

static int rows_grow(struct interval_rows *rows)
{
	struct interval_row *at = twice(rows->at, &rows->room, sizeof(*at));

	rows->at = at ?: rows->at;
	return at ? 0 : -ENOMEM;
}

static int rows_read(struct store *s, struct query *q, const struct store_interval_query *iq,
		     struct interval_rows *rows)
{
	int r;

	rows->n = 0;
	while ((r = query_step(q)) == QUERY_ROW) {
		if (!port_asked(iq->ports, (unsigned)query_get(q, 5) & 0xffff))
			continue;
		r = rows->n == rows->room ? rows_grow(rows) : 0;
		if (r)
			break;
		interval_read(s, q, &rows->at[rows->n++]);
	}
	query_reset(q);
	return r;
}

static int rows_tell(struct store *s, const struct store_interval_query *iq, struct followers *f,
		     struct interval_rows *rows, int (*fn)(void *arg, const struct store_interval *i),
		     void *arg)
{
	int r = 0;

	for (size_t i = 0; i < rows->n && !r; i++) {
		struct interval_row *row = &rows->at[i];

		if (iq->next && row->told.closed)
			r = interval_next(s, f, row, &row->told.next);
		if (!r)
			r = fn(arg, &row->told);
	}
	return r;
}

int store_intervals(struct store *s, const struct store_interval_query *iq,
		    int (*fn)(void *arg, const struct store_interval *i), void *arg)
{
	int only = only_port(iq->ports);
	enum statement all = iq->reverse ? INTERVALS_ALL_REVERSE : INTERVALS_ALL;
	enum statement port = iq->reverse ? INTERVALS_PORT_REVERSE : INTERVALS_PORT;
	struct query *q = s->walker->q[only < 0 ? all : port];
	struct blocks b = { .after = INT64_MIN, .reverse = iq->reverse };
	struct interval_rows rows = { .n = 0 };
	struct followers f = { .n = 0 };
	int64_t to;
	int r = walk_end(s, iq->to, &to);

	b.until = to;
	if (!r && iq->next)
		r = followers_find(s, &f);
	while (!r && (r = blocks_next(s, INTERVAL_AFTER, INTERVAL_BEFORE, &b)) == QUERY_ROW) {
		query_int(q, 0, to);
		query_int(q, 1, iq->from);
		query_int(q, 2, b.block);
		if (only >= 0)
			query_int(q, 3, only);
		r = rows_read(s, q, iq, &rows);
		if (!r)
			r = rows_tell(s, iq, &f, &rows, fn, arg);
		if (r)
			break;
	}
	followers_free(&f);
	free(rows.at);
	return r;
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

	if (!w)
		return fail(-ENOMEM, "open %s", db_path(s->db));
	s->walker = w;
	return db_prepare_all(s->db, statements, N_STATEMENTS, w->q);
}
