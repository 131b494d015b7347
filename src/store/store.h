/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The history on disk: every event as it was told, and who held which port from when to when. One writer; readers come
 * and go meanwhile. docs/history.md has the tables. Not shared by threads: each has a store of its own.
 *
 * A record's id is its place in the store, over all streams: it only grows, and within a stream ids differ by seq.
 *
 * Errors: negative errno with a story, as in store/db.h; also -EPROTO (another version's or program's database).
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "core/boot.h"
#include "core/record.h"

struct store;

#define STORE_DEFAULT "/var/lib/portlog/history.db"

/* Make it (mode 0640, its folder too) or bring an older version's up to date. */
int store_open(const char *path, struct store **ret);
int store_open_read(const char *path, struct store **ret); /* -ENOENT: there is none */
/* What was not committed is lost. NULL is fine; always returns NULL. */
struct store *store_close(struct store *s);
/* Could store_open() take it, as far as the file says? Writes nothing, waits for no disk. 0 when there is none too. */
int store_probe(const char *path);
/* Has the path still the file that was opened? 0, or -ESTALE. */
int store_in_place(struct store *s);
void store_leave(
	struct store *s); /* it is not: nothing of it stays in the way of the next one. Then close it */

#define STORE_ASIDE_MAX \
	3 /* so many damaged ones are kept: a disk that damages each is not filled with them */
#define STORE_NAME_MAX 4096

/*
 * A damaged history gets out of the way: it and what belongs to it are renamed to PATH.damaged-1 and so on, nothing is
 * deleted. Only what surely was a history: @ours (it was open, or the path is nobody else's), or its first bytes say so.
 * Not while it is open. -EEXIST: STORE_ASIDE_MAX lie there; -EPROTO: it may be anything.
 */
int store_set_aside(const char *path, bool ours, char ret_name[STORE_NAME_MAX]);

/* ---- writing ---- */

/* One event, in a transaction that begins with the first one. After an error: store_rollback(). */
int store_put(struct store *s, const struct view *v);
/* In the same transaction: up to where which ring (session.ring) is in the store. */
int store_place(struct store *s, uint64_t ring, uint64_t position);
int store_commit(struct store *s); /* after an error: store_rollback() */
/* Forget all since the last commit, in the file and in memory. */
void store_rollback(struct store *s);
/* Has the file all that was committed of the stream of @v, up to @seq? A file that was put there instead has not. */
int store_has(struct store *s, const struct view *v, uint64_t seq, bool *ret);

/* How far systemd is in the boot @boot_id. At once, when nothing else is uncommitted. */
int store_put_boot(struct store *s, const char *boot_id, const struct boot_times *times);

struct store_limits {
	uint64_t age_ns; /* events older than that go; failures and listens when they are STORE_OUTLIVE times as old */
	uint64_t bytes; /* the oldest go when the file is larger; failures and listens last. 0: no limit, both */
};

#define STORE_OUTLIVE 4

/*
 * Delete a part of what is too old at wall clock @now_ns or too much, and commit. *ret_more: call again soon. A clock that
 * was set forward is followed STORE_CATCH_UP times as fast as the boot clock @up_ns goes, no faster: it may be wrong.
 */
int store_retain(struct store *s, const struct store_limits *limits, int64_t now_ns, uint64_t up_ns,
		 bool *ret_more);
#define STORE_CATCH_UP 24
/* What store_retain() takes the time for at first, unless the file knows: before a clock that is wrong later can be asked. */
int store_clock_begin(struct store *s, int64_t now_ns);
int store_bytes(struct store *s, uint64_t *ret); /* that hold data; the file may be larger */

/* ---- reading ---- */

/* An event as it was told. Borrowed for the call. Nonzero ends the walk and is returned. */
typedef int store_fn(void *arg, int64_t id, const struct view *v);

struct store_query {
	int64_t after, until; /* ids: after < id <= until. INT64_MAX: to the end */
	const uint8_t *ports; /* only these (struct filter_kernel.ports); NULL: all */
	bool reverse;         /* newest first */
};

int store_each(struct store *s, const struct store_query *q, store_fn *fn, void *arg);

/*
 * Until store_thaw() all that is asked is of one moment: nothing goes that was found. Not for long, and not while something is
 * written: the recorder's journal cannot begin anew meanwhile.
 */
int store_freeze(struct store *s);
void store_thaw(struct store *s);

/* The newest record not later than wall clock @time_ns; 0: there is none. Of a time that was twice, because the clock was
 * set back, the later one is meant. */
int store_id_at(struct store *s, int64_t time_ns, int64_t *ret_id);
int store_last_id(struct store *s, int64_t *ret_id);

/* A run of the recorder. */
struct store_stream {
	int64_t first, last;      /* ids of its records */
	int64_t begin_ns, end_ns; /* wall clock of these */
	char boot_id[33];
	bool stopped; /* its last record is `stop` */
};

/* Oldest first. Nonzero from @fn ends the walk and is returned. */
int store_streams(struct store *s, int (*fn)(void *arg, const struct store_stream *stream), void *arg);

/* All 0 where nothing is known of it. */
int store_boot(struct store *s, const char *boot_id, struct boot_times *ret);

enum ended {
	ENDED_NOT,
	ENDED_RELEASE,
	ENDED_HANDOFF,
	ENDED_STOPPED,
	ENDED_KILLED,
	ENDED_REBOOT,
	ENDED_LOST,
	N_ENDED
};

/* A time for which one owner held one port. All are ids of records, 0: none. */
struct store_interval {
	int64_t opened;   /* the first that is known of it: a bind, listen, snapshot, handoff */
	int64_t socket;   /* the first of the socket; another than opened after a handoff */
	int64_t listened; /* its listen, if that is another one than opened */
	int64_t closed;   /* the first that says it is over */
	enum ended ended;
	int64_t next; /* the interval of the same port (namespace, table) that began next */
};

const char *ended_name(enum ended ended); /* "release" ...; what the database has too */

struct store_interval_query {
	int64_t from, to;     /* ids: those that overlap from..to; from == to: a moment */
	const uint8_t *ports; /* as above */
	bool next;            /* fill in next */
	bool reverse;         /* the last to begin first */
};

/* In the order in which they began. Nonzero from @fn ends the walk and is returned. */
int store_intervals(struct store *s, const struct store_interval_query *q,
		    int (*fn)(void *arg, const struct store_interval *i), void *arg);
/* One record; @fn's result, or -ENOENT without a story when it is not there (any more). */
int store_record(struct store *s, int64_t id, store_fn *fn, void *arg);

/* ---- going on with a stream whose hooks outlived their recorder ---- */

/* How far a stream has come. */
struct store_left {
	int64_t first;     /* records.id - seq */
	uint64_t seq;      /* its last event */
	uint64_t ring;     /* of its source; 0: none */
	uint64_t position; /* read so far, and here */
	bool synced;       /* what was there before has been told */
};

/* A socket that still holds a port, as the kernel knows it. */
struct store_held {
	struct store_interval interval;
	uint64_t sk; /* by the mask that it was put with; 0: unknown */
	uint64_t tracked_ns;
};

/* -ENOENT without a story: it is not here, or another one came after it. */
int store_left(struct store *s, const char *stream, struct store_left *ret);
/* Those of the newest stream, in the order in which they began. Nonzero from @fn ends the walk and is returned. */
int store_held(struct store *s, int (*fn)(void *arg, const struct store_held *held), void *arg);
/* What was told as lost in the newest stream, in all. */
int store_losses(struct store *s,
		 void (*fn)(void *arg, enum lost_where where, enum action action, uint64_t count), void *arg);
/* The newest processes, at most @max, the newest last. Borrowed for the call. */
int store_processes(struct store *s, unsigned max, void (*fn)(void *arg, const struct process *p), void *arg);

/* Changes when somebody else has committed. */
int store_version(struct store *s, int64_t *ret);

#endif
