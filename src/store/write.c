/* SPDX-License-Identifier: GPL-2.0-only */
/* Events into the store: what repeats (processes, addresses, names) has a row of its own, the rest is numbers. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "core/explain.h"
#include "core/field.h"
#include "store/state.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/fail.h"

/* Out of memory must not end the program in a table of open sockets: what does not fit is left out. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define PROCESSES_MAX 6000
#define NAMES_MAX 2048
#define MOMENT_EVERY 256   /* records: so many are looked at for the one at a time */
#define STEP_NS 1000000000 /* a clock that was set: what follows has a moment of its own */
#define OPEN_MAX 300000    /* more than a ledger has */

/* A socket that holds a port now. */
struct open_interval {
	UT_hash_handle hh;
	int64_t socket; /* id of its first record */
	int64_t opened;
	int64_t listened; /* id of its listen; 0: none yet */
};

/* clang-format off */
enum statement {
	FIND_NAME, ADD_NAME, FIND_ADDRESS, ADD_ADDRESS, FIND_NETNS, ADD_NETNS, ADD_PROCESS, ADD_ERRNO,
	FIND_STREAM, NEXT_FIRST, ADD_STREAM, LAST_STREAM, ADD_RECORD, ADD_DETAILS, ADD_COUNTS, ADD_FAILURE, ADD_HOLDER, ADD_OWNER,
	ADD_BOUND_BY, SET_BOOT, ADD_MOMENT, ADD_INTERVAL, SET_LISTENED, SET_CLOSED, CLOSE_ALL, ALL_OPEN, SET_PLACE,
	ADD_LOSS, FORGET_TRACKED, FORGET_LOSSES, N_STATEMENTS
};

#define PARAMETERS_13 "?,?,?,?,?,?,?,?,?,?,?,?,?"
static const char *const statements[N_STATEMENTS] = {
	[FIND_NAME] = "SELECT id FROM names WHERE name = ?",
	[ADD_NAME] = "INSERT INTO names(name) VALUES(?)",
	[FIND_ADDRESS] = "SELECT id FROM addresses WHERE family = ? AND addr = ?",
	[ADD_ADDRESS] = "INSERT INTO addresses(family, addr) VALUES(?, ?)",
	[FIND_NETNS] = "SELECT id FROM namespaces WHERE inode = ? AND name = ?",
	[ADD_NETNS] = "INSERT INTO namespaces(inode, name) VALUES(?, ?)",
	[ADD_PROCESS] = "INSERT INTO processes VALUES(NULL, " PARAMETERS_13 ",?,?,?,?,?,?,?)",
	[ADD_ERRNO] = "INSERT OR IGNORE INTO words VALUES('errno', ?, ?)",
	[FIND_STREAM] = "SELECT id, first, offset, ring FROM streams WHERE stream = ?",
	[ADD_STREAM] = "INSERT INTO streams(id, stream, boot_id, hostname, version, kernel, hooks, blind, host_netns, first, offset)"
		       " VALUES(NULL, ?,?,?,?,?,?,?,?,?,?)",
	/* An id is used once: retention may have taken the newest too, its marks know. */
	[NEXT_FIRST] = "SELECT max(coalesce((SELECT max(id) FROM records), 0), coalesce((SELECT max(first) FROM streams), 0),"
		       " coalesce((SELECT max(id) FROM marks WHERE name <> '" MARK_CLOCK "'), 0))",
	[LAST_STREAM] = "SELECT s.boot_id, (SELECT action FROM records ORDER BY id DESC LIMIT 1) FROM streams s"
			" ORDER BY s.id DESC LIMIT 1",
	[ADD_RECORD] = "INSERT INTO records VALUES(" PARAMETERS_13 ",?,?,?,?,?,?,?,?,?,?,?,?)",
	[ADD_DETAILS] = "INSERT INTO details VALUES(" PARAMETERS_13 ",?,?,?,?)",
	[ADD_COUNTS] = "INSERT INTO counts VALUES(" PARAMETERS_13 ")",
	[ADD_FAILURE] = "INSERT INTO failures VALUES(?,?,?,?)",
	[ADD_HOLDER] = "INSERT INTO holders VALUES(" PARAMETERS_13 ",?,?,?,?,?,?,?,?)",
	[ADD_OWNER] = "INSERT INTO owners VALUES(?,?,?)",
	[ADD_BOUND_BY] = "INSERT INTO bound_by VALUES(?,?,?,?,?,?,?)",
	[SET_BOOT] = "INSERT OR REPLACE INTO boots VALUES(?,?,?,?,?)",
	[ADD_MOMENT] = "INSERT OR IGNORE INTO moments VALUES(?,?)",
	[ADD_INTERVAL] = "INSERT INTO intervals(opened, socket, listened, port, udp, netns, sk, tracked) VALUES(?,?,?,?,?,?,?,?)",
	[SET_LISTENED] = "UPDATE intervals SET listened = ? WHERE opened = ?",
	[SET_CLOSED] = "UPDATE intervals SET closed = ?, ended = ?, sk = NULL, tracked = NULL WHERE opened = ?",
	[CLOSE_ALL] = "UPDATE intervals SET closed = ?, ended = ?, sk = NULL, tracked = NULL WHERE closed IS NULL",
	[FORGET_TRACKED] = "UPDATE intervals SET tracked = NULL WHERE closed IS NULL AND tracked IS NOT NULL",
	[FORGET_LOSSES] = "DELETE FROM losses WHERE stream = ?",
	[SET_PLACE] = "UPDATE streams SET ring = ?, position = ? WHERE id = ?",
	[ADD_LOSS] = "INSERT INTO losses VALUES(?1,?2,?3,?4) ON CONFLICT DO UPDATE SET count = count + ?4",
	[ALL_OPEN] = "SELECT coalesce(socket, opened), opened, listened FROM intervals WHERE closed IS NULL",
};
/* clang-format on */

struct writer {
	struct query *q[N_STATEMENTS];
	struct intern names, addresses, netns, processes;
	uint64_t seed; /* so that who knows the hash cannot make two processes one */
	struct open_interval *open;
	char stream[17]; /* that of the last event; empty: none yet */
	int64_t stream_id;
	uint64_t ring;       /* of the last event's session */
	uint64_t sk_mask;    /* the same */
	int64_t first;       /* records.id - seq */
	int64_t offset;      /* wall clock minus boot clock at its start */
	int64_t last;        /* the largest id that was written */
	int64_t last_ns;     /* its wall clock */
	int64_t last_drift;  /* how far that is from the offset */
	int64_t last_moment; /* the last record that moments has; 0: none of this stream */
};

/* ---- rows of their own ---- */

static int name_id(struct store *s, const char *name, int64_t *ret)
{
	struct writer *w = s->writer;
	size_t len = strlen(name);
	struct query *find = w->q[FIND_NAME], *add = w->q[ADD_NAME];
	int r;

	if (intern_find(&w->names, name, len, ret))
		return 0;
	query_text(find, 0, name, len);
	r = query_step(find);
	if (r == QUERY_ROW) {
		*ret = query_get(find, 0);
		query_reset(find);
	} else if (!r) {
		query_text(add, 0, name, len);
		r = query_run(add);
		*ret = db_last_id(s->db);
	}
	if (r >= 0)
		intern_add(&w->names, name, len, *ret);
	return r < 0 ? r : 0;
}

/* A number and a text, by a table of these two. */
static int pair_id(struct store *s, struct intern *in, enum statement find_at, enum statement add_at,
		   int64_t number, const char *text, int64_t *ret)
{
	struct query *find = s->writer->q[find_at], *add = s->writer->q[add_at];
	char key[8 + 256];
	size_t len = strnlen(text, sizeof(key) - sizeof(number));
	int r;

	memcpy(key, &number, sizeof(number));
	memcpy(key + sizeof(number), text, len);
	if (intern_find(in, key, sizeof(number) + len, ret))
		return 0;
	query_int(find, 0, number);
	query_text(find, 1, text, len);
	r = query_step(find);
	if (r == QUERY_ROW) {
		*ret = query_get(find, 0);
		query_reset(find);
	} else if (!r) {
		query_int(add, 0, number);
		query_text(add, 1, text, len);
		r = query_run(add);
		*ret = db_last_id(s->db);
	}
	if (r >= 0)
		intern_add(in, key, sizeof(number) + len, *ret);
	return r < 0 ? r : 0;
}

static int address_id(struct store *s, const struct address *addr, int64_t *ret)
{
	char text[ADDRESS_TEXT_MAX];

	text[address_text(addr, text)] = '\0';
	return pair_id(s, &s->writer->addresses, FIND_ADDRESS, ADD_ADDRESS, addr->family, text, ret);
}

static int netns_id(struct store *s, uint32_t inode, const char *name, int64_t *ret)
{
	return pair_id(s, &s->writer->netns, FIND_NETNS, ADD_NETNS, inode, name ? name : "", ret);
}

/* Who did or has something: identity as the record has it, and what is known of the process. */
struct actor {
	uint32_t pid, ppid, uid, gid;
	uint64_t start_ns, exec_id, cgroup_id;
	char comm[16];
	const char *user;              /* NULL: unknown */
	const struct process *process; /* NULL: nothing more is known */
};

static uint64_t hash_bytes(uint64_t h, const void *data, size_t len)
{
	const uint8_t *at = data;
	uint64_t word;

	for (; len >= sizeof(word); at += sizeof(word), len -= sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		h = (h ^ word) * 0x9e3779b97f4a7c15u;
		h ^= h >> 32;
	}
	word = len;
	memcpy(&word, at, len);
	h = (h ^ word ^ (uint64_t)len << 56) * 0xbf58476d1ce4e5b9u;
	return h ^ h >> 29;
}

static uint64_t hash_text(uint64_t h, const char *text)
{
	return text ? hash_bytes(h, text, strlen(text) + 1) : h * 31 + 1;
}

/* The texts of a process in the order of their columns. */
#define PROCESS_TEXTS 8
static void process_texts(const struct process *p, const char *ret[PROCESS_TEXTS])
{
	ret[0] = p->cgroup;
	ret[1] = p->where.unit;
	ret[2] = p->where.container_id;
	ret[3] = p->where.container_runtime;
	ret[4] = p->where.container_name;
	ret[5] = p->where.pod_uid;
	ret[6] = p->where.pod_name;
	ret[7] = p->where.pod_namespace;
}

/* What makes one row of processes. Two rows of the same are allowed; two processes in one row are not. */
struct process_row_key {
	uint32_t pid, ppid, uid, gid;
	uint64_t start_ns, exec_id, cgroup_id;
	uint64_t texts;
};

static struct process_row_key row_key(const struct writer *w, const struct actor *a)
{
	struct process_row_key key = {
		.pid = a->pid,
		.ppid = a->ppid,
		.uid = a->uid,
		.gid = a->gid,
		.start_ns = a->start_ns,
		.exec_id = a->exec_id,
		.cgroup_id = a->cgroup_id,
	};
	const struct process *p = a->process;
	const char *texts[PROCESS_TEXTS];
	uint64_t h = hash_bytes(w->seed, a->comm, strnlen(a->comm, sizeof(a->comm)));

	h = hash_text(h, a->user);
	if (p) {
		h = hash_text(h, p->exe) + p->exe_cut + 2 * p->args_cut;
		h = hash_bytes(h, p->args ? p->args : "", p->args ? p->args_len : 0);
		process_texts(p, texts);
		for (size_t i = 0; i < PROCESS_TEXTS; i++)
			h = hash_text(h, texts[i]);
	}
	key.texts = h;
	return key;
}

static void put_text(struct query *q, int at, const char *text)
{
	if (text)
		query_text(q, at, text, strlen(text));
}

static int process_add(struct store *s, const struct actor *a, int64_t *ret)
{
	struct query *q = s->writer->q[ADD_PROCESS];
	const struct process *p = a->process;
	const char *texts[PROCESS_TEXTS];
	int r;

	query_int(q, 0, a->pid);
	query_int(q, 1, (int64_t)a->start_ns);
	query_int(q, 2, (int64_t)a->exec_id);
	query_int(q, 3, a->ppid);
	query_int(q, 4, a->uid);
	query_int(q, 5, a->gid);
	query_int(q, 6, (int64_t)a->cgroup_id);
	query_text(q, 7, a->comm, strnlen(a->comm, sizeof(a->comm)));
	put_text(q, 8, a->user);
	if (p) {
		put_text(q, 9, p->exe);
		if (p->args)
			query_blob(q, 10, p->args, p->args_len);
		query_int(q, 11, (p->exe_cut ? 1 : 0) | (p->args_cut ? 2 : 0));
		process_texts(p, texts);
		for (int i = 0; i < PROCESS_TEXTS; i++)
			put_text(q, 12 + i, texts[i]);
	}
	r = query_run(q);
	*ret = db_last_id(s->db);
	return r;
}

static int process_id(struct store *s, const struct actor *a, int64_t *ret)
{
	struct process_row_key key = row_key(s->writer, a);
	int r;

	if (intern_find(&s->writer->processes, &key, sizeof(key), ret))
		return 0;
	r = process_add(s, a, ret);
	if (!r)
		intern_add(&s->writer->processes, &key, sizeof(key), *ret);
	return r;
}

/* ---- columns ---- */

static uint64_t column_number(const struct column *c, const void *at)
{
	uint32_t u32;
	uint64_t u64;
	uint16_t u16;

	switch (c->type) {
	case COLUMN_U16:
		memcpy(&u16, at, sizeof(u16));
		return u16;
	case COLUMN_U32:
		memcpy(&u32, at, sizeof(u32));
		return u32;
	case COLUMN_U64:
		memcpy(&u64, at, sizeof(u64));
		return u64;
	case COLUMN_WORD:
		if (!c->wide)
			return *(const uint8_t *)at;
		memcpy(&u32, at, sizeof(u32));
		return u32;
	default:
		return *(const uint8_t *)at;
	}
}

/* What is 0 or empty stays null: that is how it is read again, and it takes no room. */
static int put_column(struct store *s, struct query *q, int at, const struct column *c, const void *value)
{
	uint64_t number = column_number(c, value);
	int64_t id;
	int r;

	if (!number)
		return 0;
	if (c->type == COLUMN_TEXT16) {
		query_text(q, at, value, strnlen(value, 16));
	} else if (c->type == COLUMN_ADDRESS) {
		r = address_id(s, value, &id);
		if (r)
			return r;
		query_int(q, at, id);
	} else if (c->type == COLUMN_WORD) {
		query_int(q, at, number < WORDS_MAX ? s->to_file[c->vocabulary][number] : 0);
	} else {
		query_int(q, at, (int64_t)number);
	}
	return 0;
}

static int put_columns(struct store *s, struct query *q, int first, const struct column *c, size_t n,
		       const void *base)
{
	int r = 0;

	for (size_t i = 0; i < n && !r; i++)
		r = put_column(s, q, first + (int)i, &c[i], (const char *)base + c[i].offset);
	return r;
}

/* ---- streams ---- */

/* Ids never end by themselves. */
static int first_check(const struct store *s, int64_t first)
{
	if (first >= 0 && first <= INT64_MAX / 2)
		return 0;
	return fail_text(-EBADMSG, "%s: it is damaged (a number that no event has)", db_path(s->db));
}

static void stream_know(struct writer *w, const char *name, int64_t id, int64_t first, int64_t offset)
{
	memcpy(w->stream, name, sizeof(w->stream));
	w->stream_id = id;
	w->first = first;
	w->offset = offset;
	w->last_moment = 0;
}

static void text_lines(struct buf *b, const char *const *lines)
{
	for (size_t i = 0; lines && lines[i]; i++) {
		if (i)
			buf_putc(b, '\n');
		buf_puts(b, lines[i]);
	}
}

static int last_id(struct store *s, int64_t *ret)
{
	return db_number(s->db, "SELECT coalesce(max(id), 0) FROM records", ret);
}

static int stream_add(struct store *s, const struct view *v, int64_t first)
{
	const struct session *session = v->session;
	struct query *q = s->writer->q[ADD_STREAM];
	struct buf blind = { 0 };
	int r;

	text_lines(&blind, session->blind);
	put_text(q, 0, session->stream);
	put_text(q, 1, session->boot_id);
	put_text(q, 2, session->hostname);
	put_text(q, 3, session->version);
	put_text(q, 4, session->kernel);
	put_text(q, 5, session->hooks);
	if (blind.len)
		query_text(q, 6, blind.data, blind.len);
	query_int(q, 7, session->host_netns);
	query_int(q, 8, first);
	query_int(q, 9, v->rec->wall_ns - (int64_t)v->rec->time_ns);
	r = blind.error ? blind.error : query_run(q);
	buf_done(&blind);
	return r;
}

static int intervals_end(struct store *s, int64_t id, enum ended ended)
{
	struct query *close = s->writer->q[CLOSE_ALL];

	query_int(close, 0, id);
	query_int(close, 1, s->to_file[WORDS_ENDED][ended]);
	return query_run(close);
}

/* A run before has left sockets open: what became of them nobody saw. This run's snapshot tells what is there. */
static int intervals_close_all(struct store *s, const struct session *now, int64_t id)
{
	struct query *last = s->writer->q[LAST_STREAM];
	enum ended ended = ENDED_KILLED;
	const char *boot;
	size_t len;
	int r;

	r = query_step(last);
	if (r != QUERY_ROW)
		return r;
	boot = query_get_text(last, 0, &len);
	if (!boot || strcmp(boot, now->boot_id) != 0)
		ended = ENDED_REBOOT;
	else if (query_get(last, 1) == s->to_file[WORDS_ACTION][ACTION_STOP])
		ended = ENDED_STOPPED;
	query_reset(last);
	return intervals_end(s, id, ended);
}

static void open_forget(struct writer *w)
{
	struct open_interval *o, *next;

	HASH_ITER(hh, w->open, o, next) {
		HASH_DEL(w->open, o);
		free(o);
	}
}

static int open_remember(struct writer *w, int64_t socket, int64_t opened, int64_t listened)
{
	struct open_interval *o = HASH_COUNT(w->open) < OPEN_MAX ? calloc(1, sizeof(*o)) : NULL;
	unsigned before = HASH_COUNT(w->open);

	if (!o)
		return fail(-ENOMEM, "remember an open socket");
	o->socket = socket;
	o->opened = opened;
	o->listened = listened;
	HASH_ADD(hh, w->open, socket, sizeof(o->socket), o);
	if (HASH_COUNT(w->open) != before)
		return 0;
	free(o);
	return fail(-ENOMEM, "remember an open socket");
}

static int open_load(struct writer *w)
{
	struct query *q = w->q[ALL_OPEN];
	int r;

	open_forget(w);
	while ((r = query_step(q)) == QUERY_ROW) {
		r = open_remember(w, query_get(q, 0), query_get(q, 1), query_get(q, 2));
		if (r) {
			query_reset(q);
			return r;
		}
	}
	return r;
}

/* The stream of @v is now known: as it was begun here before an error, or new. */
static int stream_enter(struct store *s, const struct view *v)
{
	struct writer *w = s->writer;
	struct query *q = w->q[FIND_STREAM];
	const char *name = v->session->stream;
	int64_t first;
	int r;

	put_text(q, 0, name);
	r = query_step(q);
	if (r == QUERY_ROW) {
		stream_know(w, name, query_get(q, 0), query_get(q, 1), query_get(q, 2));
		w->ring = (uint64_t)query_get(q, 3);
		query_reset(q);
		r = first_check(s, w->first);
		if (!r)
			r = last_id(s, &w->last);
		return r ? r : open_load(w);
	}
	if (!r)
		r = query_number(w->q[NEXT_FIRST], &first);
	if (!r)
		r = first_check(s, first);
	if (!r)
		r = intervals_close_all(s, v->session, first + (int64_t)v->rec->seq);
	if (!r)
		r = stream_add(s, v, first);
	put_text(q, 0, name);
	if (!r)
		r = query_step(q);
	if (r != QUERY_ROW)
		return r ? r : fail_text(-EIO, "%s lost a row", db_path(s->db));
	stream_know(w, name, query_get(q, 0), query_get(q, 1), query_get(q, 2));
	w->ring = 0;
	query_reset(q);
	open_forget(w);
	return 0;
}

/* ---- intervals ---- */

static int64_t socket_of(const struct writer *w, const struct record *rec)
{
	return w->first + (int64_t)rec->socket_id;
}

/* @listened: 0 unless the socket listens already. */
static int interval_add(struct store *s, const struct record *rec, int64_t id, int64_t listened,
			int64_t netns)
{
	int64_t socket = socket_of(s->writer, rec);
	struct query *q = s->writer->q[ADD_INTERVAL];
	int r;

	query_int(q, 0, id);
	if (socket != id)
		query_int(q, 1, socket);
	if (listened && listened != id)
		query_int(q, 2, listened);
	query_int(q, 3, rec->port);
	query_int(q, 4, rec->proto == PROTO_UDP);
	query_int(q, 5, netns);
	if (s->writer->sk_mask && rec->sk) {
		query_int(q, 6, (int64_t)(rec->sk ^ s->writer->sk_mask));
		query_int(q, 7, (int64_t)rec->tracked_ns);
	}
	r = query_run(q);
	return r ? r : open_remember(s->writer, socket, id, listened);
}

static int interval_close(struct store *s, struct open_interval *o, int64_t id, enum ended ended)
{
	struct query *q = s->writer->q[SET_CLOSED];

	query_int(q, 0, id);
	query_int(q, 1, s->to_file[WORDS_ENDED][ended]);
	query_int(q, 2, o->opened);
	HASH_DEL(s->writer->open, o);
	free(o);
	return query_run(q);
}

static int interval_listened(struct store *s, struct open_interval *o, int64_t id)
{
	struct query *q = s->writer->q[SET_LISTENED];

	o->listened = id;
	query_int(q, 0, id);
	query_int(q, 1, o->opened);
	return query_run(q);
}

static int interval_hand(struct store *s, struct open_interval *o, const struct record *rec, int64_t id,
			 int64_t netns)
{
	int64_t listened = o ? o->listened : 0;
	int r = o ? interval_close(s, o, id, ENDED_HANDOFF) : 0;

	return r ? r : interval_add(s, rec, id, listened, netns);
}

/* What an event does to who holds what; the rules of the ledger. */
static int interval_put(struct store *s, const struct record *rec, int64_t id, int64_t netns)
{
	int64_t socket = socket_of(s->writer, rec), listen = rec->action == ACTION_LISTEN ? id : 0;
	struct open_interval *o = NULL;

	/* Some event did not come: what was held is told again. */
	if (rec->action == ACTION_LOST && rec->lost_where == LOST_QUEUE) {
		open_forget(s->writer);
		return intervals_end(s, id, ENDED_LOST);
	}
	if (!rec->has_socket || rec->error)
		return 0;
	HASH_FIND(hh, s->writer->open, &socket, sizeof(socket), o);
	switch (rec->action) {
	case ACTION_SNAPSHOT:
	case ACTION_BIND:
	case ACTION_LISTEN:
	case ACTION_AUTOBIND:
		if (!o)
			return rec->port ? interval_add(s, rec, id, listen, netns) : 0;
		return listen && !o->listened ? interval_listened(s, o, id) : 0;
	case ACTION_RELEASE:
		return o ? interval_close(s, o, id, ENDED_RELEASE) : 0;
	case ACTION_HANDOFF:
		return rec->port ? interval_hand(s, o, rec, id, netns) : 0;
	default:
		return 0;
	}
}

/* ---- sides ---- */

static int details_put(struct store *s, const struct view *v, int64_t id)
{
	struct query *q = s->writer->q[ADD_DETAILS];
	int r;

	query_int(q, 0, id);
	r = put_columns(s, q, 1, detail_columns, n_detail_columns, v->rec);
	if (v->owners_count)
		query_int(q, 1 + (int)n_detail_columns, (int64_t)v->owners_count);
	return r ? r : query_run(q);
}

static int counts_put(struct store *s, const struct view *v, int64_t id)
{
	struct query *q = s->writer->q[ADD_COUNTS];
	int r;

	query_int(q, 0, id);
	r = put_columns(s, q, 1, count_columns, n_count_columns, v->rec);
	return r ? r : query_run(q);
}

static int failure_put(struct store *s, const struct view *v, int64_t id)
{
	struct query *q = s->writer->q[ADD_FAILURE];
	int64_t code;
	int r;

	r = v->explanation->code ? name_id(s, v->explanation->code, &code) : 0;
	if (r)
		return r;
	query_int(q, 0, id);
	if (v->explanation->code)
		query_int(q, 1, code);
	put_text(q, 2, v->explanation->reason);
	put_text(q, 3, v->explanation->hint);
	return query_run(q);
}

/* Of a process of a side array; its row has what the event's own would have. */
static void actor_side(struct actor *a, const struct process *p)
{
	a->process = p;
	if (!p)
		return;
	a->exec_id = p->key.exec_id;
	a->ppid = p->ppid;
	a->gid = p->gid;
	a->cgroup_id = p->cgroup_id;
}

static int holder_put(struct store *s, const struct holder *h, int64_t id, size_t rank)
{
	struct actor a = { .pid = h->pid, .uid = h->uid, .start_ns = h->start_ns };
	struct query *q = s->writer->q[ADD_HOLDER];
	int64_t process;
	int r = 0;

	if (h->pid) {
		memcpy(a.comm, h->comm, sizeof(a.comm));
		actor_side(&a, h->process);
		r = process_id(s, &a, &process);
	}
	if (r)
		return r;
	query_int(q, 0, id);
	query_int(q, 1, (int64_t)rank);
	if (h->pid)
		query_int(q, 2, process);
	query_int(q, 3, holder_flags_of(h));
	r = put_columns(s, q, 4, holder_columns, n_holder_columns, h);
	return r ? r : query_run(q);
}

static int owner_put(struct store *s, const struct owner *o, int64_t id, size_t rank)
{
	struct actor a = { .pid = o->pid, .uid = o->uid, .start_ns = o->start_ns };
	struct query *q = s->writer->q[ADD_OWNER];
	int64_t process;
	int r;

	memcpy(a.comm, o->comm, sizeof(a.comm));
	actor_side(&a, o->process);
	r = process_id(s, &a, &process);
	if (r)
		return r;
	query_int(q, 0, id);
	query_int(q, 1, (int64_t)rank);
	query_int(q, 2, process);
	return query_run(q);
}

static int bound_by_put(struct store *s, const struct bound_by *by, int64_t id, size_t rank)
{
	struct query *q = s->writer->q[ADD_BOUND_BY];
	const char *texts[BOUND_BY_TEXTS];
	int64_t name;
	int r = 0;

	if (!by)
		return 0;
	memcpy(texts, by, sizeof(texts));
	query_int(q, 0, id);
	query_int(q, 1, (int64_t)rank);
	for (int i = 0; i < BOUND_BY_TEXTS && !r; i++) {
		if (!texts[i])
			continue;
		r = name_id(s, texts[i], &name);
		query_int(q, 2 + i, name);
	}
	return r ? r : query_run(q);
}

static int bound_bys_put(struct store *s, const struct view *v, int64_t id)
{
	int r = bound_by_put(s, v->bound_by, id, 0);

	for (size_t i = 0; i < v->n_holders && !r; i++)
		r = bound_by_put(s, v->holders[i].bound_by, id, i + 1);
	return r;
}

static bool has_bound_by(const struct view *v)
{
	for (size_t i = 0; i < v->n_holders; i++)
		if (v->holders[i].bound_by)
			return true;
	return v->bound_by;
}

/* held_ns is nearly always the age; only where it is another it is a detail. */
static bool held_is_age(const struct record *rec)
{
	return rec->held_ns && rec->since_ns && rec->held_ns == rec->time_ns - rec->since_ns;
}

static unsigned sides_of(const struct view *v, const struct record *rec)
{
	unsigned sides = 0;

	if (!columns_empty(detail_columns, n_detail_columns, rec) || v->owners_count)
		sides |= SIDE_DETAILS;
	if (!columns_empty(count_columns, n_count_columns, rec))
		sides |= SIDE_COUNTS;
	return sides | (v->explanation ? SIDE_FAILURE : 0) | (v->n_holders ? SIDE_HOLDERS : 0) |
	       (v->n_owners ? SIDE_OWNERS : 0) | (has_bound_by(v) ? SIDE_BOUND_BY : 0);
}

static int sides_put(struct store *s, const struct view *v, const struct view *bare, unsigned sides,
		     int64_t id)
{
	int r = 0;

	if (sides & SIDE_DETAILS)
		r = details_put(s, bare, id);
	if (!r && sides & SIDE_COUNTS)
		r = counts_put(s, v, id);
	if (!r && sides & SIDE_FAILURE)
		r = failure_put(s, v, id);
	for (size_t i = 0; i < v->n_holders && !r; i++)
		r = holder_put(s, &v->holders[i], id, i);
	for (size_t i = 0; i < v->n_owners && !r; i++)
		r = owner_put(s, &v->owners[i], id, i);
	if (!r && sides & SIDE_BOUND_BY)
		r = bound_bys_put(s, v, id);
	return r;
}

/* ---- the record ---- */

static int errno_put(struct store *s, int error)
{
	struct query *q = s->writer->q[ADD_ERRNO];
	char scratch[16];

	query_int(q, 0, error);
	put_text(q, 1, errno_name(error, scratch));
	return query_run(q);
}

static int caller_id(struct store *s, const struct view *v, int64_t *ret)
{
	const struct record *rec = v->rec;
	struct actor a = {
		.pid = rec->pid,
		.ppid = rec->ppid,
		.uid = rec->uid,
		.gid = rec->gid,
		.start_ns = rec->start_ns,
		.exec_id = rec->exec_id,
		.cgroup_id = rec->cgroup_id,
		.user = v->user_name,
		.process = v->process,
	};

	memcpy(a.comm, rec->comm, sizeof(a.comm));
	return process_id(s, &a, ret);
}

/* Ids of what a record refers to; 0: nothing. */
struct references {
	int64_t process, netns, service;
};

static int references_find(struct store *s, const struct view *v, struct references *ret)
{
	const struct record *rec = v->rec;
	bool has_caller = rec->has_process || rec->pid || rec->cgroup_id || v->process;
	int r = 0;

	memset(ret, 0, sizeof(*ret));
	if (has_caller)
		r = caller_id(s, v, &ret->process);
	if (!r && (rec->netns || v->netns_name))
		r = netns_id(s, rec->netns, v->netns_name, &ret->netns);
	if (!r && v->service)
		r = name_id(s, v->service, &ret->service);
	return r;
}

static int record_put(struct store *s, const struct view *v, const struct references *refs, unsigned sides,
		      uint32_t flags, int64_t id)
{
	const struct record *rec = v->rec;
	struct writer *w = s->writer;
	struct query *q = w->q[ADD_RECORD];
	int after = RECORD_FIRST_COLUMN + (int)n_record_columns;
	int r;

	r = put_columns(s, q, RECORD_FIRST_COLUMN, record_columns, n_record_columns, rec);
	if (r)
		return r;
	query_int(q, 0, id);
	query_int(q, 1, w->stream_id);
	query_int(q, 2, rec->wall_ns);
	query_int(q, 3, minus(minus(rec->wall_ns, (int64_t)rec->time_ns), w->offset));
	query_int(q, 4, s->to_file[WORDS_ACTION][rec->action]);
	query_int(q, 5, flags);
	query_int(q, 6, sides);
	if (rec->socket_id && socket_of(w, rec) != id)
		query_int(q, 7, socket_of(w, rec));
	if (refs->process)
		query_int(q, 8, refs->process);
	if (rec->since_ns)
		query_int(q, 9, (int64_t)(rec->time_ns - rec->since_ns));
	/* A port of 0 is one when a socket has it. */
	if (rec->has_socket)
		query_int(q, 14, rec->port);
	if (refs->netns)
		query_int(q, after, refs->netns);
	if (refs->service)
		query_int(q, after + 1, refs->service);
	return query_run(q);
}

/* For who reads the source anew: what it counts as lost has been told so far. */
static int loss_put(struct store *s, const struct record *rec)
{
	struct query *q = s->writer->q[ADD_LOSS];

	query_int(q, 0, s->writer->stream_id);
	query_int(q, 1, s->to_file[WORDS_LOST][rec->lost_where]);
	query_int(q, 2, s->to_file[WORDS_ACTION][rec->lost_action]);
	query_int(q, 3, (int64_t)rec->count);
	return query_run(q);
}

static int moment_put(struct store *s, const struct record *rec, int64_t id)
{
	struct writer *w = s->writer;
	struct query *q = w->q[ADD_MOMENT];
	int64_t drift = minus(minus(rec->wall_ns, (int64_t)rec->time_ns), w->offset);
	bool due = !w->last_moment || minus(id, w->last_moment) >= MOMENT_EVERY ||
		   rec->wall_ns < w->last_ns || minus(drift, w->last_drift) > STEP_NS ||
		   minus(w->last_drift, drift) > STEP_NS;

	w->last_ns = rec->wall_ns;
	w->last_drift = drift;
	if (!due)
		return 0;
	w->last_moment = id;
	query_int(q, 0, rec->wall_ns);
	query_int(q, 1, id);
	return query_run(q);
}

static int event_put(struct store *s, const struct view *v)
{
	int64_t id = s->writer->first + (int64_t)v->rec->seq;
	uint32_t flags = flags_of(v->rec);
	struct record bare = *v->rec;
	struct view bare_view = *v;
	struct references refs;
	unsigned sides;
	int r;

	bare_view.rec = &bare;
	if (held_is_age(v->rec)) {
		flags |= FLAG_HELD_IS_AGE;
		bare.held_ns = 0;
	}
	if (bare.tid == bare.pid)
		bare.tid = 0;
	else if (!bare.tid)
		flags |= FLAG_NO_TID;
	sides = sides_of(v, &bare);
	r = references_find(s, v, &refs);
	if (!r && v->rec->error)
		r = errno_put(s, v->rec->error);
	if (!r)
		r = record_put(s, v, &refs, sides, flags, id);
	if (!r && sides)
		r = sides_put(s, v, &bare_view, sides, id);
	if (!r)
		r = interval_put(s, v->rec, id, refs.netns);
	if (!r && v->session->ring && v->rec->action == ACTION_LOST)
		r = loss_put(s, v->rec);
	if (!r)
		r = moment_put(s, v->rec, id);
	s->writer->last = id;
	return r;
}

/* Other hooks count their losses anew, and have begun to track what is held at another time. */
static int ring_enter(struct store *s, const struct session *session)
{
	struct writer *w = s->writer;
	int r = 0;

	if (w->ring && session->ring && w->ring != session->ring) {
		query_int(w->q[FORGET_LOSSES], 0, w->stream_id);
		r = query_run(w->q[FORGET_LOSSES]);
		if (!r)
			r = query_run(w->q[FORGET_TRACKED]);
	}
	w->ring = session->ring;
	w->sk_mask = session->sk_mask;
	return r;
}

int store_put(struct store *s, const struct view *v)
{
	struct writer *w = s->writer;
	int r = 0;

	if (!db_in_transaction(s->db))
		r = db_exec(s->db, "BEGIN IMMEDIATE");
	if (!r && strcmp(w->stream, v->session->stream) != 0)
		r = stream_enter(s, v);
	if (!r)
		r = ring_enter(s, v->session);
	/* What has been written already, before an error that hid it, is not written twice. */
	if (!r && w->first + (int64_t)v->rec->seq <= w->last)
		return 0;
	return r ? r : event_put(s, v);
}

int store_place(struct store *s, uint64_t ring, uint64_t position)
{
	struct query *q = s->writer->q[SET_PLACE];

	if (!db_in_transaction(s->db))
		return 0;
	query_int(q, 0, (int64_t)ring);
	query_int(q, 1, (int64_t)position);
	query_int(q, 2, s->writer->stream_id);
	return query_run(q);
}

int store_has(struct store *s, const struct view *v, uint64_t seq, bool *ret)
{
	struct query *q = s->writer->q[FIND_STREAM];
	int64_t first, last;
	int r;

	put_text(q, 0, v->session->stream);
	r = query_step(q);
	*ret = false;
	if (r != QUERY_ROW)
		return r;
	first = query_get(q, 1);
	query_reset(q);
	r = last_id(s, &last);
	*ret = !r && (!last || last >= plus(first, (int64_t)seq));
	return r;
}

int store_commit(struct store *s)
{
	return db_in_transaction(s->db) ? db_exec(s->db, "COMMIT") : 0;
}

int store_put_boot(struct store *s, const char *boot_id, const struct boot_times *times)
{
	struct query *q = s->writer->q[SET_BOOT];

	put_text(q, 0, boot_id);
	query_int(q, 1, (int64_t)times->userspace_ns);
	query_int(q, 2, (int64_t)times->sysinit_ns);
	query_int(q, 3, (int64_t)times->network_ns);
	query_int(q, 4, (int64_t)times->finished_ns);
	return query_run(q);
}

void writer_forget_rows(struct store *s)
{
	struct writer *w = s->writer;

	intern_clear(&w->names);
	intern_clear(&w->addresses);
	intern_clear(&w->netns);
	intern_clear(&w->processes);
}

static void writer_forget(struct store *s)
{
	struct writer *w = s->writer;

	writer_forget_rows(s);
	open_forget(w);
	w->stream[0] = '\0';
	w->last = w->last_moment = 0;
}

void store_rollback(struct store *s)
{
	for (size_t i = 0; i < N_STATEMENTS; i++)
		query_reset(s->writer->q[i]);
	if (db_in_transaction(s->db))
		(void)db_exec(s->db, "ROLLBACK");
	writer_forget(s);
}

/* ---- opening ---- */

struct writer *writer_free(struct writer *w)
{
	if (!w)
		return NULL;
	intern_clear(&w->names);
	intern_clear(&w->addresses);
	intern_clear(&w->netns);
	intern_clear(&w->processes);
	open_forget(w);
	free(w);
	return NULL;
}

int writer_new(struct store *s)
{
	struct writer *w = calloc(1, sizeof(*w));

	if (!w)
		return fail(-ENOMEM, "open %s", db_path(s->db));
	s->writer = w;
	w->names.max = w->addresses.max = w->netns.max = NAMES_MAX;
	w->processes.max = PROCESSES_MAX;
	if (getrandom(&w->seed, sizeof(w->seed), GRND_NONBLOCK) < 0)
		w->seed = (uintptr_t)w;
	return db_prepare_all(s->db, statements, N_STATEMENTS, w->q);
}
