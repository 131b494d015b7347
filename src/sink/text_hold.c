/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is not told at once, so that a person is not drowned:
 *
 *	join    a TCP bind waits a moment for its listen: a server is one line
 *	repeat  the same failure again: told once, then "x12 in 6 s" when it ends or every few seconds
 *	flood   too much from one process: one line for each kind of event
 *
 * All of it is finished text in one bounded table, told oldest first. Time is that of the records.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Without memory an entry is not kept, which its maker finds in no_memory. */
#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(entry) ((entry)->no_memory = true)
#include <uthash.h>

#include "core/explain.h"
#include "sink/text.h"
#include "util/human.h"

#define MS 1000000ULL
#define JOIN_NS (250 * MS)   /* a bind waits that long for its listen */
#define QUIET_NS (1500 * MS) /* repeats with less between them are one series */
#define SPAN_NS (6000 * MS)  /* a series that goes on is told that often */
#define SECOND_NS (1000 * MS)
#define SUCCESSES_MAX 10 /* a second, from one process */
#define FAILURES_MAX 20
#define ITEMS_MAX 1024
#define RATES_MAX 1024

enum item_type { ITEM_JOIN, ITEM_REPEAT, ITEM_FLOOD };

/* What makes two events the same. Compared as bytes: always begun as zeroes. */
struct item_key {
	uint64_t id; /* join: socket; flood and repeat without a unit: start of the process */
	uint32_t type;
	uint32_t action;
	uint32_t proto;
	uint32_t error;
	uint32_t netns;
	uint32_t pid;    /* 0: any process of the unit */
	uint32_t reason; /* and the first holder's kind */
	uint32_t holder_pid;
	uint16_t port;
	uint8_t family;
	uint8_t addr[16];
	char comm[16];
	char where[101];
};

_Static_assert(sizeof(struct item_key) == 176, "padding would be compared too");

struct item {
	struct item_key key;
	struct row row; /* of the latest */
	uint32_t row_pid;
	uint16_t port_min, port_max;
	uint64_t count;    /* not told yet */
	uint64_t first_ns; /* of those */
	uint64_t last_ns;  /* of all */
	int64_t last_wall_ns;
	uint64_t told_ns; /* the line before */
	bool no_memory;
	UT_hash_handle hh;
};

/* How much a process does. */
struct rate {
	struct rate_key {
		uint64_t start_ns;
		uint32_t pid;
		uint32_t failures; /* 1: counts failures, 0: successes */
	} key;
	uint64_t window_ns;
	uint32_t n; /* in this window */
	bool folding;
	bool no_memory;
	UT_hash_handle hh;
};

struct hold {
	const struct sink_options *o;
	hold_tell *tell;
	void *arg;
	struct item *items; /* in the order they came */
	struct rate *rates;
	size_t repeats_waiting; /* repeats with something not told yet */
	uint64_t next_ns;       /* nothing is due before; 0: nothing is held back */
	struct row row;         /* for what is told at once */
	struct item *due[ITEMS_MAX];
};

/* ---- items ---- */

static struct item *item_find(struct hold *h, const struct item_key *key)
{
	struct item *item;

	HASH_FIND(hh, h->items, key, sizeof(*key), item);
	return item;
}

static void item_drop(struct hold *h, struct item *item)
{
	if (item->key.type == ITEM_REPEAT && item->count)
		h->repeats_waiting--;
	HASH_DEL(h->items, item);
	row_done(&item->row);
	free(item);
}

/* When it is to be told; 0: nothing to tell. */
static uint64_t item_due_ns(const struct item *item)
{
	if (!item->count)
		return 0;
	if (item->key.type == ITEM_JOIN)
		return item->last_ns + JOIN_NS;
	return item->first_ns + SPAN_NS < item->last_ns + QUIET_NS ? item->first_ns + SPAN_NS
								   : item->last_ns + QUIET_NS;
}

static void note_due(struct hold *h, const struct item *item)
{
	uint64_t due_ns = item_due_ns(item);

	if (due_ns && (!h->next_ns || due_ns < h->next_ns))
		h->next_ns = due_ns;
}

/* The first word of the PORT cell is the protocol. */
static void range_text(const struct item *item, char *out, size_t size)
{
	const char *cell;
	size_t len, word = 0;

	cell = row_cell(&item->row, CELL_PORT, &len);
	while (word < len && cell[word] != ' ')
		word++;
	snprintf(out, size, "%.*s %u-%u", (int)word, cell, item->port_min, item->port_max);
}

static void item_tell_many(struct hold *h, struct item *item)
{
	char count[HUMAN_LEN], span[HUMAN_LEN], suffix[80], range[32];
	struct amend amend = { .suffix = suffix, .alone = true, .bare = !item->key.error };

	snprintf(suffix, sizeof(suffix), "x%s in %s", human_count(item->count, count),
		 human_span(item->last_ns - item->told_ns, span));
	if (item->port_min != item->port_max) {
		range_text(item, range, sizeof(range));
		amend.port = range;
	}
	item->row.time_ns = item->last_ns;
	item->row.wall_ns = item->last_wall_ns;
	h->tell(h->arg, &item->row, &amend, item->count);
}

/* Tell what has come together; the item stays and knows that it was told. */
static void item_tell(struct hold *h, struct item *item)
{
	if (!item->count)
		return;
	if (item->count == 1)
		h->tell(h->arg, &item->row, NULL, 1);
	else
		item_tell_many(h, item);
	if (item->key.type == ITEM_REPEAT)
		h->repeats_waiting--;
	item->count = 0;
	item->told_ns = item->last_ns;
}

/* A new one at the end; the oldest makes room. NULL: out of memory. */
static struct item *item_add(struct hold *h, const struct item_key *key)
{
	struct item *item, *oldest = h->items;

	if (HASH_COUNT(h->items) >= ITEMS_MAX) {
		item_tell(h, oldest);
		item_drop(h, oldest);
	}
	item = calloc(1, sizeof(*item));
	if (!item)
		return NULL;
	item->key = *key;
	HASH_ADD(hh, h->items, key, sizeof(item->key), item);
	if (!item->no_memory)
		return item;
	free(item);
	return NULL;
}

/* One more of the same that is not told yet. */
static void item_count(struct hold *h, struct item *item, const struct view *v)
{
	const struct record *rec = v->rec;

	if (!item->count || item->row_pid != rec->pid)
		row_render(&item->row, v, h->o);
	item->row_pid = rec->pid;
	if (!item->count) {
		item->first_ns = rec->time_ns;
		item->port_min = item->port_max = rec->port;
		h->repeats_waiting += item->key.type == ITEM_REPEAT;
	}
	item->port_min = rec->port < item->port_min ? rec->port : item->port_min;
	item->port_max = rec->port > item->port_max ? rec->port : item->port_max;
	item->count++;
	if (rec->time_ns >= item->last_ns) {
		item->last_ns = rec->time_ns;
		item->last_wall_ns = rec->wall_ns;
	}
	note_due(h, item);
}

/* ---- telling at once ---- */

static bool same_port(const struct item_key *key, const struct record *rec)
{
	return key->port == rec->port && key->netns == rec->netns &&
	       (key->proto == PROTO_UDP) == (rec->proto == PROTO_UDP);
}

/* What is still held about this port happened before. */
static void tell_repeats_of_port(struct hold *h, const struct record *rec)
{
	struct item *item, *next;

	if (!h->repeats_waiting)
		return;
	HASH_ITER(hh, h->items, item, next)
		if (item->key.type == ITEM_REPEAT && same_port(&item->key, rec))
			item_tell(h, item);
}

static void tell_now(struct hold *h, const struct view *v)
{
	tell_repeats_of_port(h, v->rec);
	row_render(&h->row, v, h->o);
	h->tell(h->arg, &h->row, NULL, 1);
}

/* ---- rates ---- */

static struct rate *rate_add(struct hold *h, const struct rate_key *key)
{
	struct rate *r, *oldest = h->rates;

	if (HASH_COUNT(h->rates) >= RATES_MAX) {
		HASH_DEL(h->rates, oldest);
		free(oldest);
	}
	r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	r->key = *key;
	HASH_ADD(hh, h->rates, key, sizeof(r->key), r);
	if (!r->no_memory)
		return r;
	free(r);
	return NULL;
}

static struct rate *rate_of(struct hold *h, const struct record *rec)
{
	struct rate_key key;
	struct rate *r;

	memset(&key, 0, sizeof(key));
	key.pid = rec->pid;
	key.start_ns = rec->start_ns;
	key.failures = rec->error != 0;
	HASH_FIND(hh, h->rates, &key, sizeof(key), r);
	return r ? r : rate_add(h, &key);
}

static void tell_floods_of(struct hold *h, const struct rate_key *key)
{
	struct item *item, *next;

	HASH_ITER(hh, h->items, item, next)
		if (item->key.type == ITEM_FLOOD && item->key.pid == key->pid &&
		    item->key.id == key->start_ns && !item->key.error == !key->failures)
			item_tell(h, item);
}

/* Is it too much from one process? Once it is, until a second passes with no more than is allowed. */
static bool is_flood(struct hold *h, const struct record *rec)
{
	struct rate *r = rate_of(h, rec);
	uint32_t max = rec->error ? FAILURES_MAX : SUCCESSES_MAX;
	bool before;

	if (!r)
		return false;
	before = r->folding;
	if (rec->time_ns >= r->window_ns + SECOND_NS) {
		r->folding = r->n > max && rec->time_ns < r->window_ns + 2 * SECOND_NS;
		r->window_ns = rec->time_ns;
		r->n = 0;
	}
	r->folding |= ++r->n > max;
	if (before && !r->folding)
		tell_floods_of(h, &r->key);
	return r->folding;
}

static void fold_flood(struct hold *h, const struct view *v)
{
	const struct record *rec = v->rec;
	struct item_key key;
	struct item *item;

	memset(&key, 0, sizeof(key));
	key.type = ITEM_FLOOD;
	key.id = rec->start_ns;
	key.pid = rec->pid;
	key.action = rec->action;
	key.proto = rec->proto;
	key.error = (uint32_t)rec->error;
	item = item_find(h, &key);
	if (!item) {
		item = item_add(h, &key);
		if (!item) {
			tell_now(h, v);
			return;
		}
		item->told_ns = rec->time_ns;
	}
	if (!item->count && rec->time_ns > item->told_ns + QUIET_NS)
		item->told_ns = rec->time_ns;
	item_count(h, item, v);
}

static void tell_unless_flood(struct hold *h, const struct view *v)
{
	if (is_flood(h, v->rec))
		fold_flood(h, v);
	else
		tell_now(h, v);
}

/* ---- joins ---- */

static struct item_key join_key(const struct record *rec)
{
	struct item_key key;

	memset(&key, 0, sizeof(key));
	key.type = ITEM_JOIN;
	key.id = rec->socket_id;
	return key;
}

static struct item *join_find(struct hold *h, const struct record *rec)
{
	struct item_key key = join_key(rec);

	return rec->socket_id ? item_find(h, &key) : NULL;
}

static void tell_join(struct hold *h, struct item *item)
{
	if (!item)
		return;
	item_tell(h, item);
	item_drop(h, item);
}

static void hold_bind(struct hold *h, const struct view *v)
{
	struct item_key key = join_key(v->rec);
	struct item *item;

	if (is_flood(h, v->rec)) {
		fold_flood(h, v);
		return;
	}
	item = v->rec->socket_id ? item_add(h, &key) : NULL;
	if (item)
		item_count(h, item, v);
	else
		tell_now(h, v);
}

/* ---- events ---- */

static struct item_key repeat_key(const struct view *v)
{
	const struct record *rec = v->rec;
	struct item_key key;

	memset(&key, 0, sizeof(key));
	key.type = ITEM_REPEAT;
	key.action = rec->action;
	key.proto = rec->proto;
	key.error = (uint32_t)rec->error;
	key.reason = rec->reason | (v->n_holders ? (uint32_t)v->holders[0].kind << 8 : 0);
	key.netns = rec->netns;
	key.port = rec->port;
	key.family = rec->addr.family;
	key.holder_pid = v->n_holders ? v->holders[0].pid : 0;
	memcpy(key.addr, rec->addr.bytes, sizeof(key.addr));
	memcpy(key.comm, rec->comm, strnlen(rec->comm, sizeof(key.comm)));
	explain_where(v->process, key.where, sizeof(key.where));
	if (!key.where[0]) {
		key.pid = rec->pid;
		key.id = rec->start_ns;
	}
	return key;
}

static void hold_failure(struct hold *h, const struct view *v)
{
	struct item_key key = repeat_key(v);
	const struct record *rec = v->rec;
	struct item *item = item_find(h, &key);

	if (item && rec->time_ns <= item->last_ns + QUIET_NS) {
		item_count(h, item, v);
		return;
	}
	if (is_flood(h, rec)) {
		fold_flood(h, v);
		return;
	}
	tell_now(h, v);
	if (!item)
		item = item_add(h, &key);
	if (item)
		item->told_ns = item->last_ns = rec->time_ns;
}

static bool waits_for_listen(const struct record *rec)
{
	return rec->action == ACTION_BIND && rec->proto != PROTO_UDP && !rec->correction;
}

static void hold_success(struct hold *h, const struct view *v)
{
	struct item *bind = join_find(h, v->rec);

	if (bind && v->rec->action == ACTION_LISTEN) {
		item_drop(h, bind);
		tell_now(h, v);
		return;
	}
	tell_join(h, bind);
	if (waits_for_listen(v->rec))
		hold_bind(h, v);
	else if (v->rec->action == ACTION_SNAPSHOT && !v->rec->correction)
		tell_now(h, v);
	else
		tell_unless_flood(h, v);
}

void hold_event(struct hold *h, const struct view *v)
{
	if (!v->rec->error) {
		hold_success(h, v);
		return;
	}
	tell_join(h, join_find(h, v->rec));
	hold_failure(h, v);
}

/* ---- time ---- */

static int by_time(const void *a, const void *b)
{
	const struct item *x = *(struct item *const *)a, *y = *(struct item *const *)b;

	return (x->last_ns > y->last_ns) - (x->last_ns < y->last_ns);
}

/* Those to tell at @now_ns go to h->due; those that have nothing to tell and are old are forgotten. */
static size_t collect_due(struct hold *h, uint64_t now_ns)
{
	struct item *item, *next;
	size_t n = 0;

	h->next_ns = 0;
	HASH_ITER(hh, h->items, item, next) {
		if (item->count && item_due_ns(item) <= now_ns)
			h->due[n++] = item;
		else if (item->count)
			note_due(h, item);
		else if (item->last_ns + QUIET_NS < now_ns)
			item_drop(h, item);
	}
	return n;
}

void hold_expire(struct hold *h, uint64_t now_ns)
{
	size_t n;

	if (!h->next_ns || now_ns < h->next_ns)
		return;
	n = collect_due(h, now_ns);
	qsort(h->due, n, sizeof(h->due[0]), by_time);
	for (size_t i = 0; i < n; i++) {
		item_tell(h, h->due[i]);
		if (h->due[i]->key.type == ITEM_JOIN)
			item_drop(h, h->due[i]);
	}
}

uint64_t hold_next_ns(const struct hold *h)
{
	return h->next_ns;
}

struct hold *hold_new(const struct sink_options *o, hold_tell *tell, void *arg)
{
	struct hold *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->o = o;
	h->tell = tell;
	h->arg = arg;
	return h;
}

struct hold *hold_free(struct hold *h)
{
	struct item *item, *next_item;
	struct rate *r, *next_rate;

	if (!h)
		return NULL;
	HASH_ITER(hh, h->items, item, next_item)
		item_drop(h, item);
	HASH_ITER(hh, h->rates, r, next_rate) {
		HASH_DEL(h->rates, r);
		free(r);
	}
	row_done(&h->row);
	free(h);
	return NULL;
}
