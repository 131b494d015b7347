/* SPDX-License-Identifier: GPL-2.0-only */
/* What a recorder needs to go on with the stream of one before it: how far that came, and who held what. */
#include <errno.h>
#include <string.h>

#include "store/state.h"
#include "util/fail.h"

static int synced_find(struct store *s, int64_t first, bool *ret)
{
	struct query *q;
	int r = db_prepare(s->db, "SELECT 1 FROM records WHERE id > ? AND action = ? ORDER BY id LIMIT 1",
			   &q);

	if (r)
		return r;
	query_int(q, 0, first);
	query_int(q, 1, s->to_file[WORDS_ACTION][ACTION_SYNCED]);
	r = query_step(q);
	*ret = r == QUERY_ROW;
	query_reset(q);
	return r < 0 ? r : 0;
}

int store_left(struct store *s, const char *stream, struct store_left *ret)
{
	struct query *q;
	int r = db_prepare(
		s->db,
		"SELECT first, ring, position, max(coalesce((SELECT max(id) FROM records), 0), coalesce("
		"(SELECT max(id) FROM marks WHERE name <> '" MARK_CLOCK "'), 0)) FROM streams"
		" WHERE stream = ? AND id = (SELECT max(id) FROM streams)",
		&q);

	memset(ret, 0, sizeof(*ret));
	if (r)
		return r;
	query_text(q, 0, stream, strlen(stream));
	r = query_step(q);
	if (r != QUERY_ROW)
		return r ? r : -ENOENT;
	ret->first = query_get(q, 0);
	ret->ring = (uint64_t)query_get(q, 1);
	ret->position = (uint64_t)query_get(q, 2);
	ret->seq = (uint64_t)(query_get(q, 3) - ret->first);
	query_reset(q);
	return synced_find(s, ret->first, &ret->synced);
}

int store_held(struct store *s, int (*fn)(void *arg, const struct store_held *held), void *arg)
{
	struct query *q;
	int r = db_prepare(s->db,
			   "SELECT opened, coalesce(socket, opened), listened, sk, tracked FROM intervals"
			   " WHERE closed IS NULL ORDER BY opened",
			   &q);

	while (!r && (r = query_step(q)) == QUERY_ROW) {
		struct store_held held = {
			.interval = { .opened = query_get(q, 0),
				      .socket = query_get(q, 1),
				      .listened = query_get(q, 2) },
			.sk = (uint64_t)query_get(q, 3),
			.tracked_ns = (uint64_t)query_get(q, 4),
		};

		r = fn(arg, &held);
		if (r)
			query_reset(q);
	}
	return r;
}

static uint8_t word_known(const uint8_t *from_file, int64_t id)
{
	return id > 0 && id < WORDS_MAX ? from_file[id] : 0;
}

int store_losses(struct store *s,
		 void (*fn)(void *arg, enum lost_where where, enum action action, uint64_t count), void *arg)
{
	struct query *q;
	int r = db_prepare(s->db,
			   "SELECT lost_where, lost_action, count FROM losses"
			   " WHERE stream = (SELECT max(id) FROM streams)",
			   &q);

	while (!r && (r = query_step(q)) == QUERY_ROW) {
		fn(arg, word_known(s->from_file[WORDS_LOST], query_get(q, 0)),
		   word_known(s->from_file[WORDS_ACTION], query_get(q, 1)), (uint64_t)query_get(q, 2));
		r = 0;
	}
	return r;
}

int store_processes(struct store *s, unsigned max, void (*fn)(void *arg, const struct process *p), void *arg)
{
	const struct process *p;
	int64_t last;
	int r = db_number(s->db, "SELECT max(id) FROM processes", &last);

	for (int64_t id = last > max ? last - max + 1 : 1; !r && id <= last; id++) {
		r = reader_process(s, id, &p);
		if (!r && p)
			fn(arg, p);
	}
	return r;
}
