/* SPDX-License-Identifier: GPL-2.0-only */
/* Events out of the store, as they were told. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/explain.h"
#include "store/state.h"
#include "util/cleanup.h"
#include "util/fail.h"

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define THINGS_MAX 4096 /* rows of each kind that are kept */
#define HOLDERS_MAX 64
#define OWNERS_MAX 64

/* clang-format off */
enum statement {
	GET_NAME, GET_ADDRESS, GET_NETNS, GET_PROCESS, GET_STREAM, GET_DETAILS, GET_COUNTS, GET_FAILURE, GET_HOLDERS, GET_OWNERS,
	GET_BOUND_BY, GET_BOOT, GET_RECORD, MOMENT_AT, ID_AT, SPAN_AT, UPTIME_AT, LAST_ID, STREAMS, STREAM_END, N_STATEMENTS
};

static const char *const statements[N_STATEMENTS] = {
	[GET_NAME] = "SELECT name FROM names WHERE id = ?",
	[GET_ADDRESS] = "SELECT family, addr FROM addresses WHERE id = ?",
	[GET_NETNS] = "SELECT inode, name FROM namespaces WHERE id = ?",
	[GET_PROCESS] = "SELECT * FROM processes WHERE id = ?",
	[GET_STREAM] = "SELECT stream, boot_id, hostname, version, kernel, hooks, blind, host_netns, first, offset FROM streams"
		       " WHERE id = ?",
	[GET_DETAILS] = "SELECT * FROM details WHERE record = ?",
	[GET_COUNTS] = "SELECT * FROM counts WHERE record = ?",
	[GET_FAILURE] = "SELECT * FROM failures WHERE record = ?",
	[GET_HOLDERS] = "SELECT * FROM holders WHERE record = ? ORDER BY rank",
	[GET_OWNERS] = "SELECT * FROM owners WHERE record = ? ORDER BY rank",
	[GET_BOUND_BY] = "SELECT * FROM bound_by WHERE record = ?",
	[GET_BOOT] = "SELECT userspace, sysinit, network, finished FROM boots WHERE boot_id = ?",
	[GET_RECORD] = "SELECT * FROM records WHERE id = ?",
	[MOMENT_AT] = "SELECT id FROM moments WHERE time <= ? ORDER BY time DESC, id DESC LIMIT 1",
	[ID_AT] = "SELECT id, time FROM records WHERE id >= ?1 AND"
		  " id < coalesce((SELECT min(id) FROM moments WHERE id > ?1), 9223372036854775807) ORDER BY id",
	/* The run that a record is of: its ids are greater than the first number, up to the second. */
	[SPAN_AT] = "SELECT s.first, coalesce((SELECT first FROM streams WHERE id > s.id ORDER BY id LIMIT 1),"
		    " 9223372036854775807) FROM streams s WHERE id = (SELECT stream FROM records WHERE id >= ? ORDER BY id LIMIT 1)",
	[UPTIME_AT] = "SELECT id, time, drift FROM records WHERE id <= ? AND id > ? ORDER BY id DESC LIMIT 1",
	[LAST_ID] = "SELECT id FROM records ORDER BY id DESC LIMIT 1",
	[STREAMS] = "SELECT first, lead(first, 1, 9223372036854775807) OVER (ORDER BY id), boot_id"
		    " FROM streams ORDER BY id",
	[STREAM_END] = "SELECT a.id, a.time, z.id, z.time, z.action FROM"
		       " (SELECT id, time FROM records WHERE id > ? ORDER BY id LIMIT 1) a,"
		       " (SELECT id, time, action FROM records WHERE id <= ? ORDER BY id DESC LIMIT 1) z",
};
/* clang-format on */

/* A row that many records refer to, kept. */
struct thing {
	UT_hash_handle hh;
	int64_t id;
	union {
		struct address address;
		uint32_t inode;
		struct {
			struct process process;
			char *user;
		};
	};
	char *name;
};

struct things {
	struct thing *all;
};

struct stream {
	int64_t id; /* 0: none */
	int64_t first, offset;
	struct session session;
	char *texts[3]; /* version, hooks, blind */
	const char *blind[32];
};

struct reader {
	struct query *q[N_STATEMENTS];
	struct things names, addresses, netns, processes;
	struct stream stream; /* of the record under way */
	struct record rec;
	struct explanation explanation;
	char code[64];
	struct holder holders[HOLDERS_MAX];
	struct owner owners[OWNERS_MAX];
	struct bound_by bound_by[1 + HOLDERS_MAX]; /* of the event, then of its holders */
};

/* ---- what many records refer to ---- */

static char *copy_text(struct query *q, int at)
{
	size_t len;
	const char *text = query_get_text(q, at, &len);
	char *copy = text ? malloc(len + 1) : NULL;

	if (copy) {
		memcpy(copy, text, len);
		copy[len] = '\0';
	}
	return copy;
}

static void copy_chars(struct query *q, int at, char *out, size_t size)
{
	size_t len;
	const char *text = query_get_text(q, at, &len);

	memset(out, 0, size);
	if (text)
		memcpy(out, text, len < size ? len : size);
}

/* The same, ended by a NUL. */
static void copy_string(struct query *q, int at, char *out, size_t size)
{
	copy_chars(q, at, out, size);
	out[size - 1] = '\0';
}

static void process_done(struct process *p)
{
	process_dirty(p);
	free(p->exe);
	free(p->args);
	free(p->cgroup);
}

/* @processes: what they are. */
static void things_clear(struct things *t, bool processes)
{
	struct thing *th, *next;

	HASH_ITER(hh, t->all, th, next) {
		HASH_DEL(t->all, th);
		if (processes) {
			process_done(&th->process);
			free(th->user);
		}
		free(th->name);
		free(th);
	}
}

typedef void fill_fn(struct thing *th, struct query *q);

/* 0 and NULL: there is no such row (any more). */
static int thing_get(struct reader *rd, struct things *t, enum statement at, int64_t id, fill_fn *fill,
		     struct thing **ret)
{
	struct query *q = rd->q[at];
	struct thing *th = NULL;
	unsigned before;
	int r;

	*ret = NULL;
	if (!id)
		return 0;
	HASH_FIND(hh, t->all, &id, sizeof(id), th);
	if (th) {
		*ret = th;
		return 0;
	}
	query_int(q, 0, id);
	r = query_step(q);
	if (r != QUERY_ROW)
		return r;
	th = calloc(1, sizeof(*th));
	if (th) {
		th->id = id;
		fill(th, q);
		before = HASH_COUNT(t->all);
		HASH_ADD(hh, t->all, id, sizeof(th->id), th);
		*ret = HASH_COUNT(t->all) != before ? th : NULL;
	}
	query_reset(q);
	return *ret ? 0 : fail(-ENOMEM, "read the history");
}

static void name_fill(struct thing *th, struct query *q)
{
	th->name = copy_text(q, 0);
}

static void address_fill(struct thing *th, struct query *q)
{
	th->address.family = (uint8_t)query_get(q, 0);
	th->name = copy_text(q, 1);
	if (!th->name || inet_pton(th->address.family, th->name, th->address.bytes) != 1)
		th->address.family = 0;
}

static void netns_fill(struct thing *th, struct query *q)
{
	th->inode = (uint32_t)query_get(q, 0);
	th->name = copy_text(q, 1);
}

static void process_texts_fill(struct process *p, struct query *q)
{
	size_t len;

	p->exe = copy_text(q, 10);
	if (query_get_text(q, 11, &len))
		p->args = copy_text(q, 11);
	p->args_len = p->args ? len : 0;
	p->exe_cut = query_get(q, 12) & 1;
	p->args_cut = query_get(q, 12) & 2;
	p->cgroup = copy_text(q, 13);
	p->where.unit = copy_text(q, 14);
	p->where.container_id = copy_text(q, 15);
	p->where.container_runtime = copy_text(q, 16);
	p->where.container_name = copy_text(q, 17);
	p->where.pod_uid = copy_text(q, 18);
	p->where.pod_name = copy_text(q, 19);
	p->where.pod_namespace = copy_text(q, 20);
}

static void process_fill(struct thing *th, struct query *q)
{
	struct process *p = &th->process;

	p->key.pid = (uint32_t)query_get(q, 1);
	p->key.start_ns = (uint64_t)query_get(q, 2);
	p->key.exec_id = (uint64_t)query_get(q, 3);
	p->ppid = (uint32_t)query_get(q, 4);
	p->uid = (uint32_t)query_get(q, 5);
	p->gid = (uint32_t)query_get(q, 6);
	p->cgroup_id = (uint64_t)query_get(q, 7);
	copy_chars(q, 8, p->comm, sizeof(p->comm));
	th->user = copy_text(q, 9);
	process_texts_fill(p, q);
	p->enriched = true;
	p->refs = 1;
}

static int process_get(struct reader *rd, int64_t id, struct thing **ret)
{
	return thing_get(rd, &rd->processes, GET_PROCESS, id, process_fill, ret);
}

/* Between two records nobody refers to what was read for the last one. */
static void things_trim(struct reader *rd)
{
	struct {
		struct things *things;
		bool processes;
	} all[] = { { &rd->names, false },
		    { &rd->addresses, false },
		    { &rd->netns, false },
		    { &rd->processes, true } };

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (HASH_COUNT(all[i].things->all) > THINGS_MAX)
			things_clear(all[i].things, all[i].processes);
}

/* ---- streams ---- */

static void stream_done(struct stream *st)
{
	for (size_t i = 0; i < ARRAY_SIZE(st->texts); i++)
		free(st->texts[i]);
	memset(st, 0, sizeof(*st));
}

/* A text of lines as the list that it was. */
static void blind_cut(struct stream *st)
{
	char *text = st->texts[2], *save = NULL;
	size_t n = 0;

	for (char *line = text ? strtok_r(text, "\n", &save) : NULL; line; line = strtok_r(NULL, "\n", &save))
		if (n < ARRAY_SIZE(st->blind) - 1)
			st->blind[n++] = line;
	st->session.blind = st->blind;
}

static void stream_fill(struct stream *st, struct query *q)
{
	struct session *s = &st->session;

	copy_string(q, 0, s->stream, sizeof(s->stream));
	copy_string(q, 1, s->boot_id, sizeof(s->boot_id));
	copy_string(q, 2, s->hostname, sizeof(s->hostname));
	s->version = st->texts[0] = copy_text(q, 3);
	copy_string(q, 4, s->kernel, sizeof(s->kernel));
	s->hooks = st->texts[1] = copy_text(q, 5);
	st->texts[2] = copy_text(q, 6);
	blind_cut(st);
	s->host_netns = (uint32_t)query_get(q, 7);
	st->first = query_get(q, 8);
	st->offset = query_get(q, 9);
	s->boot_offset_ns = st->offset;
}

static int stream_get(struct reader *rd, int64_t id)
{
	struct query *q = rd->q[GET_STREAM];
	int r;

	if (rd->stream.id == id)
		return 0;
	stream_done(&rd->stream);
	query_int(q, 0, id);
	r = query_step(q);
	if (r != QUERY_ROW)
		return r ? r : fail_text(-EBADMSG, "the history has events of a run that it does not have");
	rd->stream.id = id;
	stream_fill(&rd->stream, q);
	query_reset(q);
	return 0;
}

/* ---- columns ---- */

static void column_store(const struct column *c, uint64_t number, void *at)
{
	uint32_t u32 = (uint32_t)number;
	uint16_t u16 = (uint16_t)number;

	if (c->type == COLUMN_U64)
		memcpy(at, &number, sizeof(number));
	else if (c->type == COLUMN_U32 || (c->type == COLUMN_WORD && c->wide))
		memcpy(at, &u32, sizeof(u32));
	else if (c->type == COLUMN_U16)
		memcpy(at, &u16, sizeof(u16));
	else
		*(uint8_t *)at = (uint8_t)number;
}

static int address_get(struct store *s, int64_t id, struct address *ret)
{
	struct thing *th;
	int r = thing_get(s->reader, &s->reader->addresses, GET_ADDRESS, id, address_fill, &th);

	if (!r && th)
		*ret = th->address;
	return r;
}

static int get_column(struct store *s, struct query *q, int at, const struct column *c, void *value)
{
	uint64_t number;

	if (query_is_null(q, at))
		return 0;
	if (c->type == COLUMN_ADDRESS)
		return address_get(s, query_get(q, at), value);
	if (c->type == COLUMN_TEXT16) {
		copy_chars(q, at, value, 16);
		return 0;
	}
	number = (uint64_t)query_get(q, at);
	if (c->type == COLUMN_WORD)
		number = number < WORDS_MAX ? s->from_file[c->vocabulary][number] : 0;
	column_store(c, number, value);
	return 0;
}

/* Onto zeroes. */
static int get_columns(struct store *s, struct query *q, int first, const struct column *c, size_t n,
		       void *base)
{
	int r = 0;

	for (size_t i = 0; i < n && !r; i++)
		r = get_column(s, q, first + (int)i, &c[i], (char *)base + c[i].offset);
	return r;
}

/* ---- sides ---- */

/* Step @at to the row of @id. QUERY_ROW; 0: it is gone. */
static int side_row(struct store *s, enum statement at, int64_t id)
{
	query_int(s->reader->q[at], 0, id);
	return query_step(s->reader->q[at]);
}

static int details_get(struct store *s, int64_t id, struct view *v)
{
	struct query *q = s->reader->q[GET_DETAILS];
	int r = side_row(s, GET_DETAILS, id);

	if (r != QUERY_ROW)
		return r;
	r = get_columns(s, q, 1, detail_columns, n_detail_columns, &s->reader->rec);
	v->owners_count = (size_t)query_get(q, 1 + (int)n_detail_columns);
	query_reset(q);
	return r;
}

static int counts_get(struct store *s, int64_t id)
{
	int r = side_row(s, GET_COUNTS, id);

	if (r != QUERY_ROW)
		return r;
	r = get_columns(s, s->reader->q[GET_COUNTS], 1, count_columns, n_count_columns, &s->reader->rec);
	query_reset(s->reader->q[GET_COUNTS]);
	return r;
}

static int failure_get(struct store *s, int64_t id, struct view *v)
{
	struct reader *rd = s->reader;
	struct query *q = rd->q[GET_FAILURE];
	struct thing *code;
	int r = side_row(s, GET_FAILURE, id);

	if (r != QUERY_ROW)
		return r;
	copy_string(q, 2, rd->explanation.reason, sizeof(rd->explanation.reason));
	copy_string(q, 3, rd->explanation.hint, sizeof(rd->explanation.hint));
	r = thing_get(rd, &rd->names, GET_NAME, query_get(q, 1), name_fill, &code);
	rd->explanation.code = code ? code->name : NULL;
	query_reset(q);
	v->explanation = &rd->explanation;
	return r;
}

static int holder_fill(struct store *s, struct query *q, struct holder *h)
{
	struct thing *th;
	int r;

	memset(h, 0, sizeof(*h));
	holder_flags_into(h, (uint32_t)query_get(q, 3));
	r = get_columns(s, q, 4, holder_columns, n_holder_columns, h);
	if (!r)
		r = process_get(s->reader, query_get(q, 2), &th);
	if (r || !th)
		return r;
	h->pid = th->process.key.pid;
	h->start_ns = th->process.key.start_ns;
	h->uid = th->process.uid;
	memcpy(h->comm, th->process.comm, sizeof(h->comm));
	h->process = &th->process;
	return 0;
}

static int holders_get(struct store *s, int64_t id, struct view *v)
{
	struct reader *rd = s->reader;
	struct query *q = rd->q[GET_HOLDERS];
	int r;

	query_int(q, 0, id);
	while ((r = query_step(q)) == QUERY_ROW && v->n_holders < HOLDERS_MAX) {
		r = holder_fill(s, q, &rd->holders[v->n_holders++]);
		if (r)
			break;
	}
	query_reset(q);
	v->holders = rd->holders;
	return r < 0 ? r : 0;
}

static int owners_get(struct store *s, int64_t id, struct view *v)
{
	struct reader *rd = s->reader;
	struct query *q = rd->q[GET_OWNERS];
	struct thing *th;
	int r;

	query_int(q, 0, id);
	while ((r = query_step(q)) == QUERY_ROW && v->n_owners < OWNERS_MAX) {
		struct owner *o = &rd->owners[v->n_owners];

		r = process_get(rd, query_get(q, 2), &th);
		if (r)
			break;
		memset(o, 0, sizeof(*o));
		v->n_owners++;
		if (!th)
			continue;
		*o = (struct owner){ .pid = th->process.key.pid,
				     .uid = th->process.uid,
				     .start_ns = th->process.key.start_ns,
				     .process = &th->process };
		memcpy(o->comm, th->process.comm, sizeof(o->comm));
	}
	query_reset(q);
	v->owners = rd->owners;
	return r < 0 ? r : 0;
}

static int bound_by_fill(struct reader *rd, struct query *q, struct bound_by *ret)
{
	const char *texts[BOUND_BY_TEXTS] = { NULL };
	struct thing *th;
	int r = 0;

	for (int i = 0; i < BOUND_BY_TEXTS && !r; i++) {
		r = thing_get(rd, &rd->names, GET_NAME, query_get(q, 2 + i), name_fill, &th);
		texts[i] = !r && th ? th->name : NULL;
	}
	memcpy(ret, texts, sizeof(texts));
	return r;
}

/* After the holders. */
static int bound_by_get(struct store *s, int64_t id, struct view *v)
{
	struct reader *rd = s->reader;
	struct query *q = rd->q[GET_BOUND_BY];
	int r;

	query_int(q, 0, id);
	while ((r = query_step(q)) == QUERY_ROW) {
		uint64_t rank = (uint64_t)query_get(q, 1);

		if (rank > v->n_holders)
			continue;
		r = bound_by_fill(rd, q, &rd->bound_by[rank]);
		if (r)
			break;
		if (!rank)
			v->bound_by = &rd->bound_by[0];
		else
			rd->holders[rank - 1].bound_by = &rd->bound_by[rank];
	}
	query_reset(q);
	return r < 0 ? r : 0;
}

static int sides_get(struct store *s, unsigned sides, int64_t id, struct view *v)
{
	int r = 0;

	if (sides & SIDE_DETAILS)
		r = details_get(s, id, v);
	if (!r && sides & SIDE_COUNTS)
		r = counts_get(s, id);
	if (!r && sides & SIDE_FAILURE)
		r = failure_get(s, id, v);
	if (!r && sides & SIDE_HOLDERS)
		r = holders_get(s, id, v);
	if (!r && sides & SIDE_OWNERS)
		r = owners_get(s, id, v);
	if (!r && sides & SIDE_BOUND_BY)
		r = bound_by_get(s, id, v);
	return r;
}

/* ---- the record ---- */

static int caller_get(struct reader *rd, int64_t id, struct view *v)
{
	struct record *rec = &rd->rec;
	struct thing *th;
	int r = process_get(rd, id, &th);

	if (r || !th)
		return r;
	rec->pid = th->process.key.pid;
	rec->start_ns = th->process.key.start_ns;
	rec->exec_id = th->process.key.exec_id;
	rec->ppid = th->process.ppid;
	rec->uid = th->process.uid;
	rec->gid = th->process.gid;
	rec->cgroup_id = th->process.cgroup_id;
	memcpy(rec->comm, th->process.comm, sizeof(rec->comm));
	v->process = &th->process;
	v->user_name = th->user;
	return 0;
}

static int references_get(struct reader *rd, struct query *q, struct view *v)
{
	int after = RECORD_FIRST_COLUMN + (int)n_record_columns;
	struct thing *th;
	int r = caller_get(rd, query_get(q, 8), v);

	if (!r)
		r = thing_get(rd, &rd->netns, GET_NETNS, query_get(q, after), netns_fill, &th);
	if (r)
		return r;
	if (th) {
		rd->rec.netns = th->inode;
		v->netns_name = th->name && th->name[0] ? th->name : NULL;
	}
	r = thing_get(rd, &rd->names, GET_NAME, query_get(q, after + 1), name_fill, &th);
	v->service = th ? th->name : NULL;
	return r;
}

/* Times and ids, which are kept as differences. */
static void record_moments(struct reader *rd, struct query *q, int64_t id)
{
	const struct stream *st = &rd->stream;
	struct record *rec = &rd->rec;

	rec->seq = (uint64_t)minus(id, st->first);
	rec->wall_ns = query_get(q, 2);
	rec->time_ns = (uint64_t)minus(minus(rec->wall_ns, query_get(q, 3)), st->offset);
	if (!query_is_null(q, 9))
		rec->since_ns = rec->time_ns - (uint64_t)query_get(q, 9);
	if (!query_is_null(q, 7))
		rec->socket_id = (uint64_t)minus(query_get(q, 7), st->first);
	else if (rec->has_socket)
		rec->socket_id = rec->seq;
}

static void record_held(struct record *rec, uint32_t flags)
{
	if (flags & FLAG_HELD_IS_AGE)
		rec->held_ns = rec->time_ns - rec->since_ns;
	if (!rec->tid && !(flags & FLAG_NO_TID))
		rec->tid = rec->pid;
}

static int row_get(struct store *s, struct query *q, int64_t id, struct view *v)
{
	struct reader *rd = s->reader;
	struct record *rec = &rd->rec;
	uint32_t flags = (uint32_t)query_get(q, 5);
	int64_t action = query_get(q, 4);
	int r;

	things_trim(rd);
	r = stream_get(rd, query_get(q, 1));
	if (r)
		return r;
	memset(rec, 0, sizeof(*rec));
	memset(v, 0, sizeof(*v));
	v->rec = rec;
	v->session = &rd->stream.session;
	flags_into(rec, flags);
	rec->action = action > 0 && action < WORDS_MAX ? s->from_file[WORDS_ACTION][action] : ACTION_NONE;
	record_moments(rd, q, id);
	r = get_columns(s, q, RECORD_FIRST_COLUMN, record_columns, n_record_columns, rec);
	if (!r)
		r = references_get(rd, q, v);
	if (!r)
		r = sides_get(s, (unsigned)query_get(q, 6), id, v);
	record_held(rec, flags);
	return r;
}

/* What is told is not of the row any more: the statement is over by then, however long the telling takes. */
int store_record(struct store *s, int64_t id, store_fn *fn, void *arg)
{
	struct query *q = s->reader->q[GET_RECORD];
	struct view v;
	int r;

	query_int(q, 0, id);
	r = query_step(q);
	if (r != QUERY_ROW)
		return r ? r : -ENOENT;
	r = row_get(s, q, id, &v);
	query_reset(q);
	return r ? r : fn(arg, id, &v);
}

int reader_process(struct store *s, int64_t id, const struct process **ret)
{
	struct thing *th;
	int r;

	things_trim(s->reader);
	r = process_get(s->reader, id, &th);
	*ret = th ? &th->process : NULL;
	return r;
}

/* ---- times ---- */

/* The newest record of first < id <= last. QUERY_ROW; 0: there is none. */
static int uptime_at(struct store *s, int64_t first, int64_t last, struct run *ret)
{
	struct query *q = s->reader->q[UPTIME_AT];
	int r;

	query_int(q, 0, last);
	query_int(q, 1, first);
	r = query_step(q);
	if (r != QUERY_ROW)
		return r;
	ret->last = query_get(q, 0);
	ret->end_ns = query_get(q, 1);
	ret->drift = query_get(q, 2);
	query_reset(q);
	return QUERY_ROW;
}

int run_find(struct store *s, int64_t first, int64_t next, struct run *ret)
{
	int r;

	*ret = (struct run){ .first = first };
	r = uptime_at(s, first, next, ret);
	return r < 0 ? r : 0;
}

/*
 * Within a run the boot clock orders the records, however often the wall clock was set. What it was set to last is taken to
 * be right: with that the other times are corrected.
 */
int run_id_at(struct store *s, const struct run *run, int64_t time_ns, int64_t *ret_id)
{
	int64_t low = run->first, high = run->last;

	*ret_id = 0;
	while (low < high) {
		uint64_t span = (uint64_t)minus(high, low);
		int64_t mid = plus(low, (int64_t)(span / 2 + span % 2));
		struct run at = { 0 };
		int r = uptime_at(s, low, mid, &at);

		if (r < 0)
			return r;
		if (!r) {
			low = mid;
			continue;
		}
		if (plus(minus(at.end_ns, at.drift), run->drift) > time_ns) {
			high = at.last - 1;
		} else {
			*ret_id = at.last;
			low = mid;
		}
	}
	return 0;
}

/* The run that @id is of. ->last 0: it is not there any more. */
static int run_of(struct store *s, int64_t id, struct run *ret)
{
	struct query *q = s->reader->q[SPAN_AT];
	int64_t first, next;
	int r;

	*ret = (struct run){ 0 };
	query_int(q, 0, id);
	r = query_step(q);
	if (r != QUERY_ROW)
		return r;
	first = query_get(q, 0);
	next = query_get(q, 1);
	query_reset(q);
	return first < id ? run_find(s, first, next, ret) : 0;
}

/* Was the clock set after @moment, in the same run? Then the moment is to be looked for by what it was set to. */
static int corrected_id_at(struct store *s, int64_t moment, int64_t time_ns, int64_t *ret_id,
			   bool *ret_disowned)
{
	struct run run, at;
	int r = run_of(s, moment, &run);

	*ret_id = 0;
	if (r || !run.last)
		return r;
	r = uptime_at(s, run.first, moment, &at);
	if (r != QUERY_ROW || at.drift == run.drift)
		return r < 0 ? r : 0;
	r = run_id_at(s, &run, time_ns, ret_id);
	*ret_disowned = !r && !*ret_id;
	return r;
}

/*
 * The nearest record that is a moment, then those after it. A run's first is one, and the first after the clock was set.
 * *ret_disowned: by what the clock of its run was set to last, all of that run is later.
 */
static int nearest_id_at(struct store *s, int64_t time_ns, int64_t *ret_id, bool *ret_disowned)
{
	struct query *q = s->reader->q[ID_AT];
	int64_t moment;
	int r;

	query_int(s->reader->q[MOMENT_AT], 0, time_ns);
	r = query_number(s->reader->q[MOMENT_AT], &moment);
	*ret_id = moment;
	*ret_disowned = false;
	if (r || !moment)
		return r;
	r = corrected_id_at(s, moment, time_ns, ret_id, ret_disowned);
	if (r || *ret_id)
		return r;
	*ret_id = moment;
	query_int(q, 0, moment);
	while ((r = query_step(q)) == QUERY_ROW && query_get(q, 1) <= time_ns)
		*ret_id = query_get(q, 0);
	query_reset(q);
	return r < 0 ? r : 0;
}

/* What is nearest by what the clocks were set to last, each of its own run. 0: there is nothing up to then. */
static int corrected_nearest(struct store *s, int64_t time_ns, int64_t *ret_id)
{
	struct query *q = s->reader->q[STREAMS];
	int64_t at_ns, nearest_ns = INT64_MIN, id;
	int r;

	*ret_id = 0;
	while ((r = query_step(q)) == QUERY_ROW) {
		struct run run, at = { 0 };

		r = run_find(s, query_get(q, 0), query_get(q, 1), &run);
		if (!r)
			r = run_id_at(s, &run, time_ns, &id);
		if (!r && id)
			r = uptime_at(s, id - 1, id, &at);
		if (r < 0)
			break;
		at_ns = plus(minus(at.end_ns, at.drift), run.drift);
		if (!at.last || at_ns < nearest_ns)
			continue;
		nearest_ns = at_ns;
		*ret_id = id;
	}
	query_reset(q);
	return r < 0 ? r : 0;
}

/* After the end of a run the next may have begun, with a clock that was not set yet. */
static int next_id_at(struct store *s, int64_t time_ns, int64_t *ret_id)
{
	struct run run, next;
	int64_t later;
	int r = 0;

	while (!r && *ret_id) {
		r = run_of(s, *ret_id, &run);
		if (r || run.last > *ret_id || !run.last)
			break;
		r = run_of(s, plus(run.last, 1), &next);
		if (r || !next.last)
			break;
		r = run_id_at(s, &next, time_ns, &later);
		if (r || later <= *ret_id) /* 0, or a file that is not as it should be */
			break;
		*ret_id = later;
	}
	return r;
}

int store_id_at(struct store *s, int64_t time_ns, int64_t *ret_id)
{
	bool disowned;
	int64_t id = 0;
	int r = nearest_id_at(s, time_ns, ret_id, &disowned);

	/* The clock was set back: there is no moment that was so early by it. */
	if (!r && (disowned || !*ret_id))
		r = corrected_nearest(s, time_ns, &id);
	if (id > *ret_id)
		*ret_id = id;
	return r ? r : next_id_at(s, time_ns, ret_id);
}

int store_last_id(struct store *s, int64_t *ret_id)
{
	return query_number(s->reader->q[LAST_ID], ret_id);
}

int store_version(struct store *s, int64_t *ret)
{
	return db_number(s->db, "PRAGMA data_version", ret);
}

/* 0: all its records are gone. */
static int stream_ends(struct store *s, int64_t first, int64_t next, struct store_stream *ret)
{
	struct query *q = s->reader->q[STREAM_END];
	int r;

	query_int(q, 0, first);
	query_int(q, 1, next);
	r = query_step(q);
	if (r != QUERY_ROW)
		return r;
	ret->first = query_get(q, 0);
	ret->begin_ns = query_get(q, 1);
	ret->last = query_get(q, 2);
	ret->end_ns = query_get(q, 3);
	ret->stopped = query_get(q, 4) == s->to_file[WORDS_ACTION][ACTION_STOP];
	query_reset(q);
	return ret->first <= ret->last ? QUERY_ROW : 0;
}

int store_streams(struct store *s, int (*fn)(void *arg, const struct store_stream *stream), void *arg)
{
	struct query *q = s->reader->q[STREAMS];
	int r;

	while ((r = query_step(q)) == QUERY_ROW) {
		struct store_stream stream = { 0 };

		copy_string(q, 2, stream.boot_id, sizeof(stream.boot_id));
		r = stream_ends(s, query_get(q, 0), query_get(q, 1), &stream);
		if (r == QUERY_ROW)
			r = fn(arg, &stream);
		if (r)
			break;
	}
	query_reset(q);
	return r;
}

int store_boot(struct store *s, const char *boot_id, struct boot_times *ret)
{
	struct query *q = s->reader->q[GET_BOOT];
	int r;

	*ret = (struct boot_times){ 0 };
	query_text(q, 0, boot_id, strlen(boot_id));
	r = query_step(q);
	if (r != QUERY_ROW)
		return r;
	*ret = (struct boot_times){ .userspace_ns = (uint64_t)query_get(q, 0),
				    .sysinit_ns = (uint64_t)query_get(q, 1),
				    .network_ns = (uint64_t)query_get(q, 2),
				    .finished_ns = (uint64_t)query_get(q, 3) };
	query_reset(q);
	return 0;
}

/* ---- opening ---- */

struct reader *reader_free(struct reader *rd)
{
	if (!rd)
		return NULL;
	things_clear(&rd->names, false);
	things_clear(&rd->addresses, false);
	things_clear(&rd->netns, false);
	things_clear(&rd->processes, true);
	stream_done(&rd->stream);
	free(rd);
	return NULL;
}

int reader_new(struct store *s)
{
	struct reader *rd = calloc(1, sizeof(*rd));

	if (!rd)
		return fail(-ENOMEM, "open %s", db_path(s->db));
	s->reader = rd;
	return db_prepare_all(s->db, statements, N_STATEMENTS, rd->q);
}
