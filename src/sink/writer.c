/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The writer. Each sink has its own thread, lock, queue and copies of events: they share nothing. A sink that can undo (the
 * store, a file) keeps what it has written until it is flushed, to write it again after an error.
 */
#include "sink/writer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/copy.h"
#include "util/fail.h"

#define NS_PER_S 1000000000ull
#define FLUSH_NS (NS_PER_S / 4) /* an event is not kept back longer */
#define BATCH 4096              /* events written between two looks at everything else, and flushed at once */
#define WAKE_AT 512
#define TAKE 256
#define RETRY_NS NS_PER_S
#define PATIENCE_NS (3 * NS_PER_S) /* at the end, with a sink that fails */
#define HANGING_NS (5 * NS_PER_S)  /* at the end, with one that does not come back */
#define SAY_NS (10 * NS_PER_S)     /* between two troubles of one sink that are told one by one */

struct item {
	struct view *view; /* NULL: open the file anew */
	size_t size;
	bool whole;              /* the last one before a mark */
	struct sink_place place; /* of that mark */
};

/* A ring of items: [head, at) written and not flushed, [at, ready) to be written, [ready, tail) wait for a mark. */
struct queue {
	struct item *items;
	size_t room; /* a power of two */
	size_t head, at, ready, tail;
	bool held;                /* there are marks */
	struct sink_place marked; /* the last one */
	size_t bytes;
	size_t bytes_max;
};

/* Events that found no room since the last one that did: none is let in before this is told in the same queue. */
struct gap {
	uint64_t count; /* 0: there is none */
	struct record last;
	struct session session;
};

/* What was said of a sink that does not work, and not yet taken back. */
struct trouble {
	bool open, said;
	uint64_t missed;  /* meanwhile */
	uint64_t next_ns; /* none is said before */
};

struct outlet {
	const struct writer *writer;
	const struct sink_ops *ops;
	const struct filter *filter;
	struct writer_gauge *gauge;
	char *name;
	void *state;
	bool first;

	/* the thread's */
	uint64_t dirty_ns; /* when the first unflushed event was written; 0: none */
	uint64_t retry_ns; /* not before; 0: it works */
	uint64_t tick_ns;  /* when it wants to be called; 0: not */
	bool tick_failed;
	bool whole;              /* what was written ends at a mark */
	struct sink_place place; /* of that mark */
	uint64_t end_ns;         /* when it has to end, whatever is left; 0: nobody asked */

	unsigned unwoken; /* the loop's: events that the thread was not woken for */

	pthread_t thread;
	pthread_cond_t wake, gone;
	pthread_mutex_t lock; /* for what is below */
	struct queue queue;
	struct sink_place kept; /* a mark */
	uint64_t taken_away;    /* events that it had and has no more */
	struct gap gap;
	struct trouble trouble;
	bool failing;
	bool started, stop, sleeping, ended;

	struct writer_gauge own_gauge; /* where nobody gave one */
	_Atomic uint64_t lost;         /* as far as it may be told */
};

struct writer {
	struct writer_options o;
	struct outlet outlets[WRITER_SINKS_MAX];
	size_t n;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* A loss is told, and a trouble over, when there is room for what follows. */
static bool has_ease(const struct queue *q)
{
	return q->bytes <= q->bytes_max / 2;
}

/* ---- what is said ---- */

static void say(const struct outlet *out, enum writer_event event, uint64_t missed)
{
	struct writer_news news = {
		.event = event,
		.sink = out->name,
		.story = event == WRITER_FAILED ? fail_story() : "",
		.remedy = event == WRITER_FAILED ? fail_remedy() : "",
		.missed = missed,
	};

	if (out->writer->o.say)
		out->writer->o.say(out->writer->o.say_arg, &news);
}

/* Under the lock: something is wrong. True: that is to be said. A sink that flaps is told now and then, with the sum. */
static bool trouble_begins(struct outlet *out)
{
	if (!out->trouble.open)
		out->trouble.said = false;
	out->trouble.open = true;
	if (now_ns() < out->trouble.next_ns)
		return false;
	out->trouble.said = true;
	return true;
}

/* When a trouble that is over may be said to be; UINT64_MAX: there is none, or it is not over. Under the lock. */
static uint64_t trouble_due(const struct outlet *out)
{
	if (!out->trouble.open || out->failing || out->gap.count || !has_ease(&out->queue))
		return UINT64_MAX;
	return out->trouble.said ? 0 : out->trouble.next_ns;
}

static void trouble_ends(struct outlet *out, bool at_once)
{
	uint64_t now = now_ns(), due, missed;

	pthread_mutex_lock(&out->lock);
	due = trouble_due(out);
	missed = out->trouble.missed;
	if (due != UINT64_MAX && (at_once || now >= due))
		out->trouble = (struct trouble){ .next_ns = now + SAY_NS };
	else
		due = UINT64_MAX;
	pthread_mutex_unlock(&out->lock);
	if (due != UINT64_MAX)
		say(out, WRITER_WORKS, missed);
}

/* ---- the queue, under the lock ---- */

static bool queue_grow(struct queue *q)
{
	size_t room = q->room ? q->room * 2 : 256;
	struct item *items = calloc(room, sizeof(*items));

	if (!items)
		return false;
	for (size_t i = q->head; i != q->tail; i++)
		items[i & (room - 1)] = q->items[i & (q->room - 1)];
	free(q->items);
	q->items = items;
	q->room = room;
	return true;
}

/* What tells of the stream itself, a loss above all, has as much room again: else a loss of a loss were not counted. */
static bool queue_has_room(const struct queue *q, const struct item *it)
{
	bool about_a_socket = it->view && it->view->rec->has_socket;

	return q->bytes + it->size <= (about_a_socket ? q->bytes_max : q->bytes_max * 2);
}

static bool queue_push(struct queue *q, const struct item *it)
{
	if (!queue_has_room(q, it) || (q->tail - q->head == q->room && !queue_grow(q)))
		return false;
	q->items[q->tail++ & (q->room - 1)] = *it;
	if (!q->held)
		q->ready = q->tail;
	q->bytes += it->size;
	return true;
}

/* What has been written is kept no longer; returns how many events. */
static size_t queue_release(struct queue *q)
{
	size_t events = 0;

	for (; q->head != q->at; q->head++) {
		struct item *it = &q->items[q->head & (q->room - 1)];

		events += it->view != NULL;
		q->bytes -= it->size;
		view_copy_free(it->view);
	}
	return events;
}

static bool queue_has_work(const struct queue *q)
{
	return q->at != q->ready;
}

/* What no mark has made whole is not written any more: whoever reads its source next tells it. */
static void queue_cut(struct queue *q)
{
	while (q->tail != q->ready) {
		struct item *it = &q->items[--q->tail & (q->room - 1)];

		q->bytes -= it->size;
		view_copy_free(it->view);
	}
}

/* ---- what is missed, under the lock ---- */

static void gauge_queue(struct outlet *out)
{
	atomic_store_explicit(&out->gauge->queued, out->queue.bytes, memory_order_relaxed);
}

static void missed_add(struct outlet *out, uint64_t n)
{
	atomic_fetch_add_explicit(&out->gauge->missed, n, memory_order_relaxed);
	out->trouble.missed += n;
}

/* True: that is to be said. */
static bool event_missed(struct outlet *out, const struct view *v)
{
	bool news = out->trouble.missed == 0 && trouble_begins(out);

	missed_add(out, 1);
	if (out->first)
		return news;
	if (!out->gap.count && v->session)
		out->gap.session = *v->session;
	out->gap.count++;
	out->gap.last = *v->rec;
	return news;
}

static void lost_publish(struct outlet *out)
{
	if (has_ease(&out->queue))
		atomic_store_explicit(&out->lost,
				      atomic_load_explicit(&out->gauge->missed, memory_order_relaxed),
				      memory_order_relaxed);
}

/* The event that stands for those that are missing, in the place of the last of them. */
static void gap_close(struct outlet *out, bool at_once)
{
	const struct gap *gap = &out->gap;
	struct record rec = { .action = ACTION_LOST,
			      .seq = gap->last.seq,
			      .time_ns = gap->last.time_ns,
			      .wall_ns = gap->last.wall_ns,
			      .lost_where = LOST_QUEUE,
			      .count = gap->count };
	const struct view v = { .rec = &rec, .session = &gap->session };
	struct item it = { 0 };

	if (!gap->count || (!at_once && !has_ease(&out->queue)))
		return;
	it.view = view_copy(&v, &it.size);
	if (it.view && queue_push(&out->queue, &it))
		out->gap.count = 0;
	else
		view_copy_free(it.view);
}

/* ---- one sink, on its thread, without the lock ---- */

static void outlet_failed(struct outlet *out)
{
	bool news;

	pthread_mutex_lock(&out->lock);
	news = !out->failing && trouble_begins(out);
	out->failing = true;
	pthread_mutex_unlock(&out->lock);
	atomic_store_explicit(&out->gauge->failing, true, memory_order_relaxed);
	if (news)
		say(out, WRITER_FAILED, 0);
	out->retry_ns = now_ns() + RETRY_NS;
	fail_clear();
}

static void outlet_works(struct outlet *out)
{
	pthread_mutex_lock(&out->lock);
	out->failing = false;
	pthread_mutex_unlock(&out->lock);
	atomic_store_explicit(&out->gauge->failing, false, memory_order_relaxed);
	out->retry_ns = 0;
}

/* @taken_away: so many that it had are not there any more, since it was opened. Under the lock. */
static void taken_away_add(struct outlet *out, uint64_t taken_away)
{
	missed_add(out, taken_away - out->taken_away);
	out->taken_away = taken_away;
}

static void outlet_release(struct outlet *out)
{
	size_t n = queue_release(&out->queue);

	atomic_fetch_add_explicit(&out->gauge->written, n, memory_order_relaxed);
	lost_publish(out);
	gap_close(out, false);
	gauge_queue(out);
}

/* Later it is written again: from the last flush on, or (@n, who cannot undo) from so many before the next one. */
static void outlet_undo(struct outlet *out, size_t n)
{
	outlet_failed(out);
	if (out->ops->undo)
		out->ops->undo(out->state);
	out->dirty_ns = 0;
	pthread_mutex_lock(&out->lock);
	out->queue.at = out->ops->undo ? out->queue.head : out->queue.at - n;
	outlet_release(out);
	pthread_mutex_unlock(&out->lock);
}

/* After a flush, under the lock. A mark after the last event need not be on disk: it holds nothing. */
static void kept_note(struct outlet *out)
{
	const struct queue *q = &out->queue;

	if (q->held)
		out->kept = q->at == q->tail ? q->marked : out->place;
}

static bool outlet_flush(struct outlet *out)
{
	int r = out->queue.held && out->ops->place ? out->ops->place(out->state, out->place) : 0;
	uint64_t taken_away;

	if (!r && out->ops->flush)
		r = out->ops->flush(out->state);
	taken_away = out->ops->lost ? out->ops->lost(out->state) : 0;
	if (r < 0) {
		outlet_undo(out, 0);
		return false;
	}
	outlet_works(out);
	out->dirty_ns = 0;
	pthread_mutex_lock(&out->lock);
	taken_away_add(out, taken_away);
	outlet_release(out);
	kept_note(out);
	pthread_mutex_unlock(&out->lock);
	return true;
}

/* Up to @max events to write; few and long visits to the queue, since the loop comes there for each event. */
static size_t outlet_take(struct outlet *out, struct item *items, size_t max)
{
	struct queue *q = &out->queue;
	size_t n = 0;

	pthread_mutex_lock(&out->lock);
	while (n < max && queue_has_work(q))
		items[n++] = q->items[q->at++ & (q->room - 1)];
	pthread_mutex_unlock(&out->lock);
	return n;
}

/* Those after one that fails: they are to be written as well. */
static void outlet_give_back(struct outlet *out, size_t n)
{
	pthread_mutex_lock(&out->lock);
	out->queue.at -= n;
	pthread_mutex_unlock(&out->lock);
}

/* What came before is in the file that is let go. */
static void outlet_reopen(struct outlet *out)
{
	if (outlet_flush(out) && out->ops->reopen(out->state) < 0)
		outlet_failed(out);
}

/* False: there is no use in going on now. */
static bool items_write(struct outlet *out, const struct item *items, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!items[i].view) {
			outlet_give_back(out, n - i - 1);
			outlet_reopen(out);
			return false;
		}
		if (!out->dirty_ns)
			out->dirty_ns = now_ns();
		if (out->ops->write(out->state, items[i].view) >= 0) {
			out->whole = items[i].whole || !out->queue.held;
			out->place = items[i].place;
			continue;
		}
		outlet_give_back(out, n - i - 1);
		outlet_undo(out, 1);
		return false;
	}
	return true;
}

static void outlet_write(struct outlet *out)
{
	struct item items[TAKE];
	size_t n, all = 0;

	do {
		n = outlet_take(out, items, TAKE);
		if (!items_write(out, items, n))
			return;
		all += n;
	} while (n == TAKE && (all < BATCH || !out->whole));
	if (out->dirty_ns && out->whole &&
	    (out->queue.at - out->queue.head >= BATCH || now_ns() - out->dirty_ns >= FLUSH_NS))
		(void)outlet_flush(out);
}

/* With nothing unflushed, so that an error loses nothing. */
static void outlet_tick(struct outlet *out, uint64_t now)
{
	if (!out->ops->tick || (out->tick_ns && out->tick_ns > now))
		return;
	if (out->dirty_ns && !outlet_flush(out))
		return;
	if (out->ops->tick(out->state, now, &out->tick_ns) >= 0) {
		if (out->tick_failed)
			outlet_works(out);
		out->tick_failed = false;
		return;
	}
	out->tick_failed = true;
	out->tick_ns = now + RETRY_NS;
	outlet_failed(out);
	if (out->ops->undo)
		out->ops->undo(out->state);
}

/* ---- the thread ---- */

static void earlier(uint64_t *when, uint64_t other)
{
	if (other && other < *when)
		*when = other;
}

/* When there is something to do; UINT64_MAX: when something comes. Under the lock. */
static uint64_t outlet_due(const struct outlet *out)
{
	uint64_t when = UINT64_MAX, over = trouble_due(out);

	if (over == 0 || (out->gap.count && has_ease(&out->queue)))
		return 0;
	earlier(&when, over);
	earlier(&when, out->tick_ns);
	if (out->retry_ns && queue_has_work(&out->queue))
		earlier(&when, out->retry_ns);
	else if (queue_has_work(&out->queue))
		return 0;
	if (out->dirty_ns)
		earlier(&when, out->dirty_ns + FLUSH_NS);
	if (out->end_ns)
		earlier(&when, out->end_ns);
	return when;
}

static bool is_finished(const struct outlet *out)
{
	return out->queue.head == out->queue.tail && !out->gap.count;
}

/* Until @when_ns of the boot clock, or a signal. A suspended machine is late by that. */
static void wait_until(struct outlet *out, pthread_cond_t *cond, uint64_t when_ns)
{
	uint64_t now = now_ns(), span = when_ns > now ? when_ns - now : 0;
	struct timespec until;

	if (when_ns == UINT64_MAX) {
		pthread_cond_wait(cond, &out->lock);
		return;
	}
	clock_gettime(CLOCK_MONOTONIC, &until);
	span += (uint64_t)until.tv_nsec;
	until.tv_sec += (time_t)(span / NS_PER_S);
	until.tv_nsec = (long)(span % NS_PER_S);
	(void)pthread_cond_timedwait(cond, &out->lock, &until);
}

/* False: there is nothing left to do, for ever. */
static bool outlet_sleep(struct outlet *out)
{
	uint64_t when;
	bool end;

	pthread_mutex_lock(&out->lock);
	if (out->stop && !out->end_ns)
		out->end_ns = now_ns() + PATIENCE_NS;
	when = outlet_due(out);
	out->sleeping = when > now_ns() && !(out->stop && is_finished(out));
	if (out->sleeping)
		wait_until(out, &out->wake, when);
	out->sleeping = false;
	end = out->stop && (is_finished(out) || (out->end_ns && now_ns() >= out->end_ns));
	pthread_mutex_unlock(&out->lock);
	return !end;
}

static void outlet_round(struct outlet *out)
{
	bool stop;

	pthread_mutex_lock(&out->lock);
	stop = out->stop;
	gap_close(out, false);
	pthread_mutex_unlock(&out->lock);
	if (!out->retry_ns || now_ns() >= out->retry_ns)
		outlet_write(out);
	if (stop && out->dirty_ns)
		(void)outlet_flush(out);
	outlet_tick(out, now_ns());
	trouble_ends(out, false);
}

static void *outlet_run(void *arg)
{
	struct outlet *out = arg;

	if (out->writer->o.begin)
		out->writer->o.begin(out->writer->o.begin_arg, out->name);
	do
		outlet_round(out);
	while (outlet_sleep(out));
	outlet_tick(out, UINT64_MAX);
	trouble_ends(out, true);
	pthread_mutex_lock(&out->lock);
	out->ended = true;
	pthread_cond_signal(&out->gone);
	pthread_mutex_unlock(&out->lock);
	return NULL;
}

/* Signals are the loop's. */
static int thread_start(struct outlet *out)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&out->thread, NULL, outlet_run, out);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	out->started = !r;
	return r ? fail(-r, "start a thread for %s", out->name) : 0;
}

/* ---- the end ---- */

static void outlet_stop(struct outlet *out)
{
	pthread_mutex_lock(&out->lock);
	queue_cut(&out->queue);
	out->stop = true;
	pthread_cond_signal(&out->wake);
	pthread_mutex_unlock(&out->lock);
}

/* Events in the queue that no file has seen: under the lock. */
static uint64_t queue_left(const struct queue *q)
{
	uint64_t n = 0;

	for (size_t i = q->head; i != q->tail; i++) {
		const struct view *v = q->items[i & (q->room - 1)].view;

		n += v && v->rec->action != ACTION_LOST; /* those were counted when they were missed */
	}
	return n;
}

/* False: it hangs, and keeps what it has. */
static bool outlet_join(struct outlet *out, uint64_t until_ns)
{
	uint64_t left, missed;
	bool ended;

	pthread_mutex_lock(&out->lock);
	while (out->started && !out->ended && now_ns() < until_ns)
		wait_until(out, &out->gone, until_ns);
	ended = !out->started || out->ended;
	left = out->queue.held ? 0 : queue_left(&out->queue);
	missed_add(out, left);
	missed = out->trouble.missed;
	pthread_mutex_unlock(&out->lock);
	if (missed)
		say(out, WRITER_GAVE_UP, missed);
	if (!out->started)
		return true;
	if (ended)
		pthread_join(out->thread, NULL);
	else
		pthread_detach(out->thread);
	return ended;
}

static void outlet_done(struct outlet *out)
{
	out->ops->close(out->state);
	out->queue.at = out->queue.tail;
	queue_release(&out->queue);
	free(out->queue.items);
	free(out->name);
	pthread_cond_destroy(&out->wake);
	pthread_cond_destroy(&out->gone);
	pthread_mutex_destroy(&out->lock);
}

static void writer_close(void *state)
{
	struct writer *w = state;
	uint64_t until_ns = now_ns() + HANGING_NS;
	bool hangs = false;

	if (!w)
		return;
	if (w->o.handle)
		*w->o.handle = NULL;
	for (size_t i = 0; i < w->n; i++)
		outlet_stop(&w->outlets[i]);
	for (size_t i = 0; i < w->n; i++) {
		if (outlet_join(&w->outlets[i], until_ns))
			outlet_done(&w->outlets[i]);
		else
			hangs = true;
	}
	if (!hangs) /* else a thread is still in there; the end of the program ends it too */
		free(w);
}

/* ---- the beginning ---- */

static int outlet_open(struct writer *w, const struct writer_sink *from, struct outlet *out)
{
	pthread_condattr_t monotonic;
	int r;

	out->name = strdup(from->name ? from->name : from->ops->name);
	if (!out->name)
		return fail(-ENOMEM, "start the writer");
	r = from->ops->open(&from->options, &out->state);
	if (r < 0) {
		free(out->name);
		return r;
	}
	out->writer = w;
	out->ops = from->ops;
	out->filter = from->filter;
	out->gauge = from->gauge ? from->gauge : &out->own_gauge;
	out->queue.bytes_max = w->o.queue_bytes;
	out->first = w->n == 0;
	out->queue.held = w->o.held && out->first;
	pthread_mutex_init(&out->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&out->wake, &monotonic);
	pthread_cond_init(&out->gone, &monotonic);
	pthread_condattr_destroy(&monotonic);
	w->n++;
	return 0;
}

static int writer_open(const struct sink_options *o, void **ret_state)
{
	struct writer *w = calloc(1, sizeof(*w));
	int r = 0;

	if (!w)
		return fail(-ENOMEM, "start the writer");
	w->o = *(const struct writer_options *)o->arg;
	for (size_t i = 0; !r && i < w->o.n; i++)
		r = outlet_open(w, &w->o.sinks[i], &w->outlets[i]);
	for (size_t i = 0; !r && i < w->n; i++)
		r = thread_start(&w->outlets[i]);
	if (r < 0) {
		writer_close(w);
		return r;
	}
	if (w->o.handle)
		*w->o.handle = w;
	*ret_state = w;
	return 0;
}

/* ---- the loop's side: it never waits ---- */

static void wake(struct outlet *out)
{
	bool sleeping;

	out->unwoken = 0;
	pthread_mutex_lock(&out->lock);
	sleeping = out->sleeping;
	out->sleeping = false; /* once is enough */
	pthread_mutex_unlock(&out->lock);
	if (sleeping)
		pthread_cond_signal(&out->wake);
}

static void outlet_offer(struct outlet *out, const struct view *v)
{
	struct item it = { 0 };
	bool news = false;

	it.view = view_copy(v, &it.size);
	pthread_mutex_lock(&out->lock);
	if (!v->rec->has_socket) /* what tells of losses is not to be lost itself, and comes after this one */
		gap_close(out, true);
	if (out->gap.count || !it.view || !queue_push(&out->queue, &it)) {
		news = event_missed(out, v);
		view_copy_free(it.view);
	}
	gauge_queue(out);
	pthread_mutex_unlock(&out->lock);
	if (news)
		say(out, WRITER_FULL, 0);
	if (++out->unwoken >= WAKE_AT)
		wake(out);
}

/* What the loop says of a full queue is about the first sink's, which is the history: nothing of it is missing in others. */
static void others_offer(struct writer *w, const struct view *v)
{
	struct record rec = *v->rec;
	struct view told = *v;

	if (rec.action == ACTION_LOST && rec.lost_where == LOST_QUEUE) {
		rec.lost_where = LOST_HISTORY;
		told.rec = &rec;
	}
	for (size_t i = 1; i < w->n; i++)
		if (filter_match(w->outlets[i].filter, &told))
			outlet_offer(&w->outlets[i], &told);
}

/* Never fails: what cannot be kept is counted. */
static int writer_write(void *state, const struct view *v)
{
	struct writer *w = state;

	if (w->n && filter_match(w->outlets[0].filter, v))
		outlet_offer(&w->outlets[0], v);
	if (w->n > 1)
		others_offer(w, v);
	return 0;
}

/* Called when the ring has been drained: now the other threads may run. */
static int writer_flush(void *state)
{
	struct writer *w = state;

	for (size_t i = 0; i < w->n; i++)
		if (w->outlets[i].unwoken)
			wake(&w->outlets[i]);
	return 0;
}

void writer_reopen(struct writer *w)
{
	const struct item it = { 0 };

	for (size_t i = 0; w && i < w->n; i++) {
		struct outlet *out = &w->outlets[i];

		if (!out->ops->reopen)
			continue;
		pthread_mutex_lock(&out->lock);
		(void)queue_push(&out->queue, &it); /* out of memory: it may be asked for again */
		pthread_mutex_unlock(&out->lock);
		wake(out);
	}
}

static void writer_mark(void *state, struct sink_place place)
{
	struct writer *w = state;
	struct outlet *out = &w->outlets[0];
	struct queue *q = &out->queue;

	pthread_mutex_lock(&out->lock);
	q->marked = place;
	if (q->ready != q->tail) {
		struct item *last = &q->items[(q->tail - 1) & (q->room - 1)];

		last->whole = true;
		last->place = place;
		q->ready = q->tail;
	} else if (q->head == q->tail) {
		out->kept = place;
	}
	pthread_mutex_unlock(&out->lock);
}

static struct sink_place writer_kept(void *state)
{
	struct writer *w = state;
	struct outlet *out = &w->outlets[0];
	struct sink_place kept;

	pthread_mutex_lock(&out->lock);
	kept = out->kept;
	pthread_mutex_unlock(&out->lock);
	return kept;
}

/* So much that what a drain of the ring may bring would not find room. */
static bool writer_full(void *state)
{
	struct writer *w = state;
	struct outlet *out = &w->outlets[0];
	bool full;

	pthread_mutex_lock(&out->lock);
	full = !has_ease(&out->queue);
	pthread_mutex_unlock(&out->lock);
	return full;
}

static uint64_t writer_lost(void *state)
{
	struct writer *w = state;

	return atomic_load_explicit(&w->outlets[0].lost, memory_order_relaxed);
}

/*
 * Nothing may happen that would make the loop ask again: while a loss waits to be told, or what it wrote last may turn out
 * to be one, it looks by itself.
 */
static int writer_tick(void *state, uint64_t now, uint64_t *ret_next_ns)
{
	struct writer *w = state;
	struct outlet *out = &w->outlets[0];
	bool look;

	pthread_mutex_lock(&out->lock);
	look = atomic_load_explicit(&out->gauge->missed, memory_order_relaxed) != writer_lost(w) ||
	       out->queue.head != out->queue.tail;
	pthread_mutex_unlock(&out->lock);
	*ret_next_ns = now != UINT64_MAX && look ? now + FLUSH_NS : 0;
	return 0;
}

const struct sink_ops sink_writer = {
	.name = "writer",
	.open = writer_open,
	.write = writer_write,
	.tick = writer_tick,
	.flush = writer_flush,
	.mark = writer_mark,
	.kept = writer_kept,
	.full = writer_full,
	.lost = writer_lost,
	.close = writer_close,
};
