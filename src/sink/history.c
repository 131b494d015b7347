/* SPDX-License-Identifier: GPL-2.0-only */
/* Events into the store. */
#include "sink/history.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "util/cleanup.h"
#include "util/fail.h"
#include "util/loop.h"

#define NS_PER_S 1000000000ull
#define RETAIN_NS (10 * NS_PER_S)      /* between two looks for what is too old */
#define RETAIN_MORE_NS (NS_PER_S / 50) /* events are written in between */
#define RETAIN_MOST_NS (NS_PER_S / 2)  /* but not while there is much too much */
#define BOOT_NS NS_PER_S /* before systemd is asked for the first time; then twice as long each time */

struct history {
	struct history_options o;
	struct store *store; /* NULL: not open (any more) */
	bool was_open;       /* what has this name has been a history */
	uint64_t written;    /* events since the last flush */
	uint64_t written_seq;
	uint64_t kept; /* events of this run that are in the file */
	uint64_t kept_seq;
	uint64_t lost; /* events that were in a file that is not there any more */
	char boot_id[33];
	uint64_t boot_due_ns;  /* when systemd is asked how far it is; 0: not yet said */
	uint64_t boot_wait_ns; /* how long after the last time */
	bool ending;           /* the last event is the recorder's own end */
	bool boot_done;        /* the boot is over, and when is in the file */
};

/* ---- the file ---- */

int history_set_aside(const char *path, bool was_open)
{
	auto_free char *story = strdup(fail_story());
	char name[STORE_NAME_MAX];
	int r = store_set_aside(path, was_open || !strcmp(path, STORE_DEFAULT), name);

	if (r == -EPROTO) {
		fail_text(-EBADMSG, "%s", story ?: "it is damaged");
		return fail_hint(
			-EBADMSG,
			"it may be a file of somebody else, so it was left as it is; move it away, or give "
			"another file: --store FILE");
	}
	if (r < 0)
		return fail_add(r, "%s; it stays", story ?: "it is damaged");
	fail_text(-EBADMSG, "%s", story ?: "it is damaged");
	fail_hint(-EBADMSG, "it is %s now, and a new one is begun", name);
	return 0;
}

/* @r is forwarded: of a damaged file the error is told, then the next one is begun. */
static int file_failed(struct history *h, int r)
{
	if (r == -ESTALE && h->store)
		store_leave(h->store);
	if (r != -EBADMSG)
		return r;
	h->store = store_close(h->store);
	(void)history_set_aside(h->o.path, h->was_open);
	return r;
}

static int64_t wall_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * (int64_t)NS_PER_S + ts.tv_nsec;
}

/* Another file may be there than the one that this run's events went to. */
static int file_open(struct history *h, const struct view *v)
{
	bool has = true;
	int r = store_open(h->o.path, &h->store);

	if (!r)
		r = store_clock_begin(h->store, wall_ns());
	if (!r && h->kept)
		r = store_has(h->store, v, h->kept_seq, &has);
	if (r) {
		h->store = store_close(h->store);
		return r;
	}
	h->was_open = true;
	if (!has) {
		h->lost += h->kept;
		h->kept = 0;
		h->boot_done = false;
	}
	return 0;
}

/* ---- the form ---- */

static int history_open(const struct sink_options *o, void **ret_state)
{
	struct history *h = calloc(1, sizeof(*h));

	if (!h)
		return fail(-ENOMEM, "open the history");
	h->o = *(const struct history_options *)o->arg;
	*ret_state = h;
	return 0;
}

/*
 * Only systemd knows when the boot was over, and later not of this boot any more. It may be slow to answer while it boots:
 * events wait in the queue meanwhile.
 */
static int boot_ask(struct history *h)
{
	struct boot_times times;
	int r = store_boot(h->store, h->boot_id, &times);

	if (r)
		return r;
	h->boot_done = times.finished_ns; /* an earlier run has asked */
	if (h->boot_done || !h->o.boot_times(&times))
		return 0;
	r = store_put_boot(h->store, h->boot_id, &times);
	h->boot_done = !r && times.finished_ns;
	return r;
}

/* It goes, perhaps with the machine: the last chance. What cannot be had is asked for by the next run, if there is one. */
static void boot_ask_last(struct history *h)
{
	h->ending = false;
	if (!h->boot_done && h->o.boot_times && h->store && boot_ask(h))
		fail_clear();
}

static int history_write(void *state, const struct view *v)
{
	struct history *h = state;
	int r = h->store ? 0 : file_open(h, v);

	if (!h->boot_id[0])
		snprintf(h->boot_id, sizeof(h->boot_id), "%s", v->session->boot_id);
	if (!r)
		r = store_put(h->store, v);
	if (r)
		return file_failed(h, r);
	h->ending = v->rec->action == ACTION_STOP;
	h->written++;
	h->written_seq = v->rec->seq;
	return 0;
}

static int history_place(void *state, struct sink_place place)
{
	struct history *h = state;

	int r = h->store ? store_place(h->store, place.ring, place.position) : 0;

	return r ? file_failed(h, r) : 0;
}

static int history_flush(void *state)
{
	struct history *h = state;
	int r = h->store ? store_in_place(h->store) : 0;

	if (!r && h->store)
		r = store_commit(h->store);
	if (r)
		return file_failed(h, r);
	if (h->written)
		h->kept_seq = h->written_seq;
	h->kept += h->written;
	h->written = 0;
	if (h->ending)
		boot_ask_last(h);
	return 0;
}

/* The file may be another one by now, or be mended: it is opened again. */
static void history_undo(void *state)
{
	struct history *h = state;

	h->store = store_close(h->store);
	h->written = 0;
}

static uint64_t history_lost(void *state)
{
	struct history *h = state;

	return h->lost;
}

/* 0 or negative errno; *next_ns: not later than when it is to be asked again. */
static int boot_tick(struct history *h, uint64_t now_ns, uint64_t *next_ns)
{
	int r = 0;

	if (h->boot_done || !h->o.boot_times)
		return 0;
	if (h->boot_due_ns && h->boot_due_ns <= now_ns && h->store)
		r = boot_ask(h);
	if (!h->boot_due_ns || h->boot_due_ns <= now_ns) {
		h->boot_wait_ns = h->boot_wait_ns ? 2 * h->boot_wait_ns : BOOT_NS;
		h->boot_due_ns = now_ns + h->boot_wait_ns;
	}
	if (!h->boot_done && h->boot_due_ns < *next_ns)
		*next_ns = h->boot_due_ns;
	return r;
}

/*
 * Much more than it may be, the file does not grow further: what comes faster than the oldest can go waits in the queue, and
 * is counted when it finds no room there.
 */
static int retain(struct history *h, uint64_t now_ns, bool *ret_more)
{
	uint64_t bytes, most = h->o.limits.bytes + h->o.limits.bytes / 8;
	uint64_t end_ns = now_ns + RETAIN_MOST_NS;
	int r;

	do {
		r = store_retain(h->store, &h->o.limits, wall_ns(), now_ns, ret_more);
		if (!r)
			r = store_bytes(h->store, &bytes);
		now_ns = clock_boot_ns();
	} while (!r && *ret_more && h->o.limits.bytes && bytes > most && now_ns < end_ns);
	return r;
}

static int history_tick(void *state, uint64_t now_ns, uint64_t *ret_next_ns)
{
	struct history *h = state;
	bool more = false;
	int r = 0;

	if (now_ns == UINT64_MAX) /* nobody waits for that at the end */
		return 0;
	if (h->store)
		r = store_in_place(h->store);
	if (!r && h->store)
		r = retain(h, now_ns, &more);
	*ret_next_ns = now_ns + (more ? RETAIN_MORE_NS : RETAIN_NS);
	return file_failed(h, r ? r : boot_tick(h, now_ns, ret_next_ns));
}

static void history_close(void *state)
{
	struct history *h = state;

	if (!h)
		return;
	store_close(h->store);
	free(h);
}

const struct sink_ops sink_history = {
	.name = "history",
	.open = history_open,
	.write = history_write,
	.tick = history_tick,
	.place = history_place,
	.flush = history_flush,
	.undo = history_undo,
	.lost = history_lost,
	.close = history_close,
};
