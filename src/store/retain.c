/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is too old or too much goes, the oldest first. Two marks walk up the records: `swept`, behind which only failures
 * and listens are left, and `purged`, behind which these are gone too. What an interval that is still told of began with
 * stays behind both.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/state.h"
#include "util/cleanup.h"
#include "util/fail.h"

#define CHUNK 10000        /* records looked at in one transaction: events wait meanwhile */
#define CLEAN_EVERY 200000 /* records gone between two looks for rows that nobody refers to */
#define VACUUM_PAGES 2000
#define SHRINK_AT 4 /* the file is made smaller when one page of so many is unused */

#define CLOCK_KEPT_NS 3600000000000ll        /* so far the clock of the file may be behind */
#define CLOCK_LEAST_NS 1767225600000000000ll /* 2026-01-01: no history is older */

enum mark { MARK_SWEPT, MARK_PURGED, MARK_CLEANED, MARK_TIME, N_ALL_MARKS };
#define N_MARKS MARK_TIME /* those that walk */

static const char *const mark_names[N_ALL_MARKS] = { "swept", "purged", "cleaned", MARK_CLOCK };

/* Parameters: 1 first id, 2 last id. */
#define ORDINARY "coalesce(errno, 0) = 0 AND action <> ?3"
#define NEEDED                                                                              \
	"id NOT IN (SELECT opened FROM intervals WHERE opened <= ?2 UNION ALL "             \
	"SELECT socket FROM intervals WHERE opened <= ?2 AND socket IS NOT NULL UNION ALL " \
	"SELECT listened FROM intervals WHERE opened <= ?2 AND listened IS NOT NULL)"

enum statement {
	GET_MARK,
	SET_MARK,
	RUNS,
	BEGUN_EARLIER,
	DROP_INTERVALS,
	DROP_MOMENTS,
	SWEEP,
	PURGE,
	N_STATEMENTS
};

static const char *const statements[N_STATEMENTS] = {
	[GET_MARK] = "SELECT id FROM marks WHERE name = ?",
	[SET_MARK] = "INSERT INTO marks VALUES(?1, ?2) ON CONFLICT DO UPDATE SET id = ?2",
	/* Of which there may be records after ?1. */
	[RUNS] =
		"SELECT first, next FROM (SELECT first, lead(first, 1, 9223372036854775807) OVER (ORDER BY id) AS next"
		" FROM streams) WHERE next > ?1 ORDER BY first",
	/* Of intervals that are over now: what they began with stayed when the mark went by. */
	[BEGUN_EARLIER] =
		"DELETE FROM records WHERE id < ?1 AND " ORDINARY " AND id IN"
		" (SELECT opened FROM intervals WHERE opened < ?1 AND closed <= ?2 UNION ALL"
		" SELECT socket FROM intervals WHERE opened < ?1 AND closed <= ?2 AND socket IS NOT NULL)",
	[DROP_INTERVALS] = "DELETE FROM intervals WHERE opened <= ?2 AND closed <= ?2 AND ?1 IS NOT NULL",
	[DROP_MOMENTS] = "DELETE FROM moments WHERE id BETWEEN ?1 AND ?2",
	[SWEEP] = "DELETE FROM records WHERE id BETWEEN ?1 AND ?2 AND " ORDINARY " AND " NEEDED,
	[PURGE] = "DELETE FROM records WHERE id BETWEEN ?1 AND ?2 AND ?3 IS NOT NULL AND " NEEDED,
};

struct retainer {
	struct query *q[N_STATEMENTS];
	int64_t clock_ns; /* what the time is, as far as it is believed; 0: not looked at yet */
	int64_t clock_kept_ns;
	uint64_t up_ns; /* when it was looked at */
};

int store_bytes(struct store *s, uint64_t *ret)
{
	int64_t pages, unused, size;
	int r = db_number(s->db, "PRAGMA page_count", &pages);

	if (!r)
		r = db_number(s->db, "PRAGMA freelist_count", &unused);
	if (!r)
		r = db_number(s->db, "PRAGMA page_size", &size);
	if (!r)
		*ret = (uint64_t)((pages - unused) * size);
	return r;
}

static int mark_get(struct store *s, enum mark mark, int64_t *ret)
{
	struct query *q = s->retainer->q[GET_MARK];
	int r;

	query_text(q, 0, mark_names[mark], strlen(mark_names[mark]));
	r = query_step(q);
	*ret = r == QUERY_ROW ? query_get(q, 0) : 0;
	query_reset(q);
	return r < 0 ? r : 0;
}

static int mark_set(struct store *s, enum mark mark, int64_t id)
{
	struct query *q = s->retainer->q[SET_MARK];

	query_text(q, 0, mark_names[mark], strlen(mark_names[mark]));
	query_int(q, 1, id);
	return query_run(q);
}

static int range_run(struct store *s, enum statement at, int64_t first, int64_t last)
{
	struct query *q = s->retainer->q[at];

	query_int(q, 0, first);
	query_int(q, 1, last);
	if (at != DROP_INTERVALS && at != DROP_MOMENTS)
		query_int(q, 2, s->to_file[WORDS_ACTION][ACTION_LISTEN]);
	return query_run(q);
}

/* What is due: where the marks are, and how far they may go. */
struct due {
	int64_t at[N_MARKS];
	int64_t to[N_MARKS];
	int64_t last; /* the newest record */
};

/*
 * How far records go that are not later than @time_ns: runs in their order, up to the first that is not over by then. A run
 * whose clock was never set right says nothing of others: one in the future is as old as the next, and one in the past
 * comes after others that are not that old.
 */
static int old_until(struct store *s, int64_t time_ns, int64_t now_ns, int64_t from, int64_t *ret)
{
	struct query *q = s->retainer->q[RUNS];
	int64_t id = 0;
	int r;

	query_int(q, 0, from);
	while ((r = query_step(q)) == QUERY_ROW) {
		struct run run;

		r = run_find(s, query_get(q, 0), query_get(q, 1), &run);
		if (r < 0)
			break;
		if (!run.last || run.end_ns > now_ns)
			continue;
		if (run.end_ns > time_ns) {
			r = run_id_at(s, &run, time_ns, &id);
			*ret = id ?: *ret;
			break;
		}
		*ret = run.last;
	}
	query_reset(q);
	return r < 0 ? r : 0;
}

static int due_by_age(struct store *s, uint64_t age_ns, int64_t now_ns, struct due *d)
{
	int64_t swept_ns, purged_ns;
	int r;

	if (!age_ns || age_ns > INT64_MAX)
		return 0;
	if (__builtin_sub_overflow(now_ns, (int64_t)age_ns, &swept_ns))
		return 0;
	r = old_until(s, swept_ns, now_ns, d->at[MARK_SWEPT], &d->to[MARK_SWEPT]);
	if (r || __builtin_mul_overflow((int64_t)age_ns, STORE_OUTLIVE, &purged_ns) ||
	    __builtin_sub_overflow(now_ns, purged_ns, &purged_ns))
		return r;
	return old_until(s, purged_ns, now_ns, d->at[MARK_PURGED], &d->to[MARK_PURGED]);
}

static int64_t larger(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t smaller(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* A chunk more, of that mark that is behind: the ordinary go STORE_OUTLIVE times as fast. Never the newest chunk. */
static int due_by_size(struct store *s, uint64_t bytes_max, struct due *d)
{
	uint64_t bytes;
	int64_t end = minus(d->last, CHUNK / 10);
	int r;

	if (!bytes_max)
		return 0;
	r = store_bytes(s, &bytes);
	if (r || bytes <= bytes_max)
		return r;
	if (d->at[MARK_SWEPT] < minus(d->last, minus(d->last, d->at[MARK_PURGED]) / STORE_OUTLIVE))
		d->to[MARK_SWEPT] = larger(d->to[MARK_SWEPT], smaller(plus(d->at[MARK_SWEPT], CHUNK), end));
	else
		d->to[MARK_PURGED] =
			larger(d->to[MARK_PURGED], smaller(plus(d->at[MARK_PURGED], CHUNK), end));
	return 0;
}

static int due_find(struct store *s, const struct store_limits *limits, int64_t now_ns, struct due *d)
{
	int r = 0;

	memset(d, 0, sizeof(*d));
	for (unsigned m = 0; m < N_MARKS && !r; m++)
		r = mark_get(s, (enum mark)m, &d->at[m]);
	if (!r)
		r = store_last_id(s, &d->last);
	if (!r)
		r = due_by_age(s, limits->age_ns, now_ns, d);
	return r ? r : due_by_size(s, limits->bytes, d);
}

static int sweep(struct store *s, int64_t first, int64_t last)
{
	int r = range_run(s, BEGUN_EARLIER, first, last);

	if (!r)
		r = range_run(s, DROP_INTERVALS, first, last);
	if (!r)
		r = range_run(s, SWEEP, first, last);
	return r ? r : mark_set(s, MARK_SWEPT, last);
}

static int purge(struct store *s, int64_t first, int64_t last)
{
	int r = range_run(s, PURGE, first, last);

	if (!r)
		r = range_run(s, DROP_MOMENTS, first, last);
	return r ? r : mark_set(s, MARK_PURGED, last);
}

/* Rows that no record refers to any more. Reads all records once. */
static int clean(struct store *s, int64_t swept)
{
	static const char unused[] =
		"DELETE FROM processes WHERE id NOT IN (SELECT process FROM records WHERE process IS NOT NULL UNION"
		" SELECT process FROM holders WHERE process IS NOT NULL UNION SELECT process FROM owners);"
		"DELETE FROM addresses WHERE id NOT IN (SELECT addr FROM records WHERE addr IS NOT NULL UNION"
		" SELECT addr FROM holders WHERE addr IS NOT NULL UNION"
		" SELECT asked_addr FROM details WHERE asked_addr IS NOT NULL UNION"
		" SELECT bound_addr FROM details WHERE bound_addr IS NOT NULL);"
		"DELETE FROM namespaces WHERE id NOT IN (SELECT netns FROM records WHERE netns IS NOT NULL UNION"
		" SELECT netns FROM intervals WHERE netns IS NOT NULL);"
		"DELETE FROM names WHERE id NOT IN (SELECT service FROM records WHERE service IS NOT NULL UNION"
		" SELECT code FROM failures WHERE code IS NOT NULL UNION SELECT kind FROM bound_by WHERE kind IS NOT NULL UNION"
		" SELECT unit FROM bound_by WHERE unit IS NOT NULL UNION"
		" SELECT service FROM bound_by WHERE service IS NOT NULL UNION"
		" SELECT container_id FROM bound_by WHERE container_id IS NOT NULL UNION"
		" SELECT container_name FROM bound_by WHERE container_name IS NOT NULL);"
		/* The newest says which ids were used. */
		"DELETE FROM streams WHERE id NOT IN (SELECT stream FROM records WHERE stream IS NOT NULL) AND"
		" id < (SELECT max(id) FROM streams)";
	int r = db_exec(s->db, unused);

	writer_forget_rows(s);
	return r ? r : mark_set(s, MARK_CLEANED, swept);
}

static int shrink(struct store *s)
{
	char pragma[64];
	int64_t pages, unused;
	int r = db_number(s->db, "PRAGMA page_count", &pages);

	if (!r)
		r = db_number(s->db, "PRAGMA freelist_count", &unused);
	if (r || unused < VACUUM_PAGES || unused < pages / SHRINK_AT)
		return r;
	snprintf(pragma, sizeof(pragma), "PRAGMA incremental_vacuum(%d)", VACUUM_PAGES);
	return db_exec(s->db, pragma);
}

/* One chunk of one mark, or a cleaning. *ret_more: there was something to do. */
static int retain_step(struct store *s, const struct due *d, bool *ret_more)
{
	int64_t swept = d->at[MARK_SWEPT], purged = d->at[MARK_PURGED];

	*ret_more = true;
	if (d->to[MARK_SWEPT] > swept)
		return sweep(s, plus(swept, 1), smaller(plus(swept, CHUNK), d->to[MARK_SWEPT]));
	if (smaller(d->to[MARK_PURGED], swept) > purged)
		return purge(s, plus(purged, 1),
			     smaller(plus(purged, CHUNK), smaller(d->to[MARK_PURGED], swept)));
	if (minus(swept, d->at[MARK_CLEANED]) >= CLEAN_EVERY)
		return clean(s, swept);
	*ret_more = false;
	return 0;
}

int store_clock_begin(struct store *s, int64_t now_ns)
{
	int64_t kept_ns;
	int r = mark_get(s, MARK_TIME, &kept_ns);

	if (!r && !kept_ns) {
		kept_ns = larger(now_ns, CLOCK_LEAST_NS);
		r = mark_set(s, MARK_TIME, kept_ns);
	}
	if (!r)
		s->retainer->clock_kept_ns = kept_ns;
	return r;
}

/*
 * A clock that says that a month has gone by may be wrong, for as long as nobody has set it right, and what is deleted does
 * not come back. So it is believed a day an hour.
 */
static int clock_follow(struct store *s, int64_t now_ns, uint64_t up_ns)
{
	struct retainer *rt = s->retainer;
	uint64_t up = up_ns > rt->up_ns ? up_ns - rt->up_ns : 0;
	int64_t most = up < INT64_MAX / STORE_CATCH_UP ? (int64_t)up * STORE_CATCH_UP : INT64_MAX;
	int64_t step;
	int r = 0;

	if (!rt->clock_ns) {
		r = store_clock_begin(s, now_ns);
		rt->clock_ns = rt->clock_kept_ns;
		most = 0;
	}
	rt->up_ns = up_ns;
	if (__builtin_sub_overflow(now_ns, rt->clock_ns, &step))
		step = 0;
	rt->clock_ns = plus(rt->clock_ns, larger(smaller(step, most), -most));
	return r;
}

static int clock_keep(struct store *s)
{
	struct retainer *rt = s->retainer;
	int64_t by = minus(rt->clock_ns, rt->clock_kept_ns);

	if (by < CLOCK_KEPT_NS && by > -CLOCK_KEPT_NS)
		return 0;
	rt->clock_kept_ns = rt->clock_ns;
	return mark_set(s, MARK_TIME, rt->clock_ns);
}

int store_retain(struct store *s, const struct store_limits *limits, int64_t now_ns, uint64_t up_ns,
		 bool *ret_more)
{
	struct due d;
	int r = store_commit(s);

	*ret_more = false;
	if (!r)
		r = clock_follow(s, now_ns, up_ns);
	if (!r)
		r = due_find(s, limits, smaller(now_ns, s->retainer->clock_ns), &d);
	if (!r)
		r = db_exec(s->db, "BEGIN IMMEDIATE");
	if (!r)
		r = retain_step(s, &d, ret_more);
	if (!r)
		r = clock_keep(s);
	if (!r)
		r = store_commit(s);
	if (!r && !*ret_more)
		r = shrink(s);
	if (r)
		store_rollback(s);
	return r;
}

struct retainer *retainer_free(struct retainer *rt)
{
	free(rt);
	return NULL;
}

int retainer_new(struct store *s)
{
	struct retainer *rt = calloc(1, sizeof(*rt));

	if (!rt)
		return fail(-ENOMEM, "open %s", db_path(s->db));
	s->retainer = rt;
	return db_prepare_all(s->db, statements, N_STATEMENTS, rt->q);
}
