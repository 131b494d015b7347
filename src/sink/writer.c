/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The writer. An event is copied once; each sink's queue has a pointer to it, and the last one frees it. A sink that can
 * undo (the store) keeps what it has written until it is flushed, to write it again after an error.
 */
#include "sink/writer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
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

struct item {
	struct view *view;
	size_t size;
	unsigned refs; /* under the lock */
};

/* A ring of items: [head, at) written and not flushed, [at, tail) to be written. */
struct queue {
	struct item **items;
	size_t room; /* a power of two */
	size_t head, at, tail;
	size_t bytes;
	size_t bytes_max;
	uint64_t missed; /* had no room */
};

struct outlet {
	const struct sink_ops *ops;
	void *state;
	struct queue queue;
	uint64_t dirty_ns; /* when the first unflushed event was written; 0: none */
	uint64_t retry_ns; /* not before; 0: it works */
	uint64_t tick_ns;  /* when it wants to be called; 0: not */
	uint64_t refused;  /* events that it could not take */
	bool failed;
};

struct sink_thread {
	struct writer_options o;
	struct outlet outlets[WRITER_SINKS_MAX];
	size_t n;
	pthread_t thread;
	pthread_mutex_t lock; /* queues, refs, stop */
	pthread_cond_t wake;
	bool started, stop, sleeping;
	unsigned unwoken;      /* events that the thread was not woken for; the loop's */
	_Atomic uint64_t lost; /* of the first sink, as far as it may be told */
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* ---- queues, under the lock ---- */

static bool queue_grow(struct queue *q)
{
	size_t room = q->room ? q->room * 2 : 256;
	struct item **items = calloc(room, sizeof(struct item *));

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
static size_t queue_limit(const struct queue *q, const struct item *it)
{
	return it->view->rec->has_socket ? q->bytes_max : q->bytes_max * 2;
}

static bool queue_push(struct queue *q, struct item *it)
{
	if (q->bytes + it->size > queue_limit(q, it) || (q->tail - q->head == q->room && !queue_grow(q))) {
		q->missed++;
		return false;
	}
	q->items[q->tail++ & (q->room - 1)] = it;
	q->bytes += it->size;
	it->refs++;
	return true;
}

static void item_drop(struct item *it)
{
	if (--it->refs)
		return;
	view_copy_free(it->view);
	free(it);
}

/* What has been written is kept no longer. */
static void queue_release(struct queue *q)
{
	for (; q->head != q->at; q->head++) {
		struct item *it = q->items[q->head & (q->room - 1)];

		q->bytes -= it->size;
		item_drop(it);
	}
}

static bool queue_has_work(const struct queue *q)
{
	return q->at != q->tail;
}

/* A loss is told when what tells it has room. */
static void lost_publish(struct sink_thread *w)
{
	const struct queue *q = &w->outlets[0].queue;

	if (q->bytes <= q->bytes_max / 2)
		atomic_store_explicit(&w->lost, q->missed, memory_order_relaxed);
}

/* ---- one sink, without the lock ---- */

static void outlet_failed(struct sink_thread *w, struct outlet *out)
{
	if (!out->failed && w->o.say)
		w->o.say(w->o.say_arg, out->ops->name, fail_story(), fail_remedy());
	out->failed = true;
	out->retry_ns = now_ns() + RETRY_NS;
	fail_clear();
}

static void outlet_works(struct sink_thread *w, struct outlet *out)
{
	if (out->failed && w->o.say)
		w->o.say(w->o.say_arg, out->ops->name, NULL, NULL);
	out->failed = false;
	out->retry_ns = 0;
}

/* Write again from the last flush on, later; who cannot undo has missed the event. */
static void outlet_undo(struct sink_thread *w, struct outlet *out)
{
	outlet_failed(w, out);
	if (out->ops->undo)
		out->ops->undo(out->state);
	out->dirty_ns = 0;
	pthread_mutex_lock(&w->lock);
	if (out->ops->undo) {
		out->queue.at = out->queue.head;
	} else {
		out->refused++;
		queue_release(&out->queue);
	}
	pthread_mutex_unlock(&w->lock);
}

/* Up to @max events to write; few and long visits to the queue, since the loop comes there for each event. */
static size_t outlet_take(struct sink_thread *w, struct outlet *out, struct item **items, size_t max)
{
	struct queue *q = &out->queue;
	size_t n = 0;

	pthread_mutex_lock(&w->lock);
	while (n < max && queue_has_work(q))
		items[n++] = q->items[q->at++ & (q->room - 1)];
	pthread_mutex_unlock(&w->lock);
	return n;
}

static void outlet_flush(struct sink_thread *w, struct outlet *out)
{
	int r = out->ops->flush ? out->ops->flush(out->state) : 0;

	if (r < 0) {
		outlet_undo(w, out);
		return;
	}
	outlet_works(w, out);
	out->dirty_ns = 0;
	pthread_mutex_lock(&w->lock);
	queue_release(&out->queue);
	lost_publish(w);
	pthread_mutex_unlock(&w->lock);
}

/* Those after one that fails: they are to be written as well. */
static void outlet_give_back(struct sink_thread *w, struct outlet *out, size_t n)
{
	pthread_mutex_lock(&w->lock);
	out->queue.at -= n;
	pthread_mutex_unlock(&w->lock);
}

static bool items_write(struct sink_thread *w, struct outlet *out, struct item **items, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!out->dirty_ns)
			out->dirty_ns = now_ns();
		if (out->ops->write(out->state, items[i]->view) >= 0)
			continue;
		outlet_give_back(w, out, n - i - 1);
		outlet_undo(w, out);
		return false;
	}
	return true;
}

static void outlet_write(struct sink_thread *w, struct outlet *out)
{
	struct item *items[TAKE];
	size_t n, all = 0;

	do {
		n = outlet_take(w, out, items, TAKE);
		if (!items_write(w, out, items, n))
			return;
		all += n;
	} while (n == TAKE && all < BATCH);
	if (out->dirty_ns &&
	    (out->queue.at - out->queue.head >= BATCH || now_ns() - out->dirty_ns >= FLUSH_NS))
		outlet_flush(w, out);
}

/* With nothing unflushed, so that an error loses nothing. */
static void outlet_tick(struct sink_thread *w, struct outlet *out, uint64_t now)
{
	if (!out->ops->tick || (out->tick_ns && out->tick_ns > now))
		return;
	if (out->dirty_ns)
		outlet_flush(w, out);
	if (out->dirty_ns || out->ops->tick(out->state, now, &out->tick_ns) >= 0)
		return;
	out->tick_ns = now + RETRY_NS;
	outlet_failed(w, out);
	if (out->ops->undo)
		out->ops->undo(out->state);
}

/* ---- the thread ---- */

static void earlier(uint64_t *when, uint64_t other)
{
	if (other && other < *when)
		*when = other;
}

/* When there is something to do for @out; UINT64_MAX: when something comes. Under the lock. */
static uint64_t outlet_due(const struct outlet *out)
{
	uint64_t when = UINT64_MAX;

	earlier(&when, out->tick_ns);
	if (out->retry_ns && queue_has_work(&out->queue))
		earlier(&when, out->retry_ns);
	else if (queue_has_work(&out->queue))
		return 0;
	if (out->dirty_ns)
		earlier(&when, out->dirty_ns + FLUSH_NS);
	return when;
}

static bool is_finished(const struct sink_thread *w)
{
	for (size_t i = 0; i < w->n; i++)
		if (w->outlets[i].queue.head != w->outlets[i].queue.tail)
			return false;
	return true;
}

/* Until @when_ns of the boot clock, or a signal. A suspended machine is late by that. */
static void wait_until(struct sink_thread *w, uint64_t when_ns)
{
	uint64_t now = now_ns(), span = when_ns > now ? when_ns - now : 0;
	struct timespec until;

	if (when_ns == UINT64_MAX) {
		pthread_cond_wait(&w->wake, &w->lock);
		return;
	}
	clock_gettime(CLOCK_MONOTONIC, &until);
	span += (uint64_t)until.tv_nsec;
	until.tv_sec += (time_t)(span / NS_PER_S);
	until.tv_nsec = (long)(span % NS_PER_S);
	(void)pthread_cond_timedwait(&w->wake, &w->lock, &until);
}

/* False: there is nothing left to do, for ever. */
static bool thread_sleep(struct sink_thread *w, uint64_t *end_ns)
{
	uint64_t when = UINT64_MAX;
	bool stop;

	pthread_mutex_lock(&w->lock);
	for (size_t i = 0; i < w->n; i++) {
		uint64_t due = outlet_due(&w->outlets[i]);

		when = due < when ? due : when;
	}
	if (w->stop && !*end_ns)
		*end_ns = now_ns() + PATIENCE_NS;
	if (w->stop)
		earlier(&when, *end_ns);
	w->sleeping = when > now_ns() && !(w->stop && is_finished(w));
	if (w->sleeping)
		wait_until(w, when);
	w->sleeping = false;
	stop = w->stop && (is_finished(w) || (*end_ns && now_ns() >= *end_ns));
	pthread_mutex_unlock(&w->lock);
	return !stop;
}

static bool may_write(const struct outlet *out, uint64_t now)
{
	return !out->retry_ns || now >= out->retry_ns;
}

static void *thread_run(void *arg)
{
	struct sink_thread *w = arg;
	uint64_t end_ns = 0;
	bool stop;

	if (w->o.begin)
		w->o.begin(w->o.begin_arg);
	do {
		pthread_mutex_lock(&w->lock);
		stop = w->stop;
		pthread_mutex_unlock(&w->lock);
		for (size_t i = 0; i < w->n; i++) {
			struct outlet *out = &w->outlets[i];

			if (may_write(out, now_ns()))
				outlet_write(w, out);
			if (stop && out->dirty_ns)
				outlet_flush(w, out);
			outlet_tick(w, out, now_ns());
		}
	} while (thread_sleep(w, &end_ns));
	return NULL;
}

/* Signals are the loop's. */
static int thread_start(struct sink_thread *w)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&w->thread, NULL, thread_run, w);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	w->started = !r;
	return r ? fail(-r, "start the writer") : 0;
}

/* ---- the form ---- */

static void writer_close(void *state)
{
	struct sink_thread *w = state;

	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
	if (w->started)
		pthread_join(w->thread, NULL);
	for (size_t i = 0; i < w->n; i++) {
		struct outlet *out = &w->outlets[i];

		out->ops->close(out->state);
		out->queue.at = out->queue.tail;
		queue_release(&out->queue);
		free(out->queue.items);
	}
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

static int outlets_open(struct sink_thread *w)
{
	for (size_t i = 0; i < w->o.n; i++) {
		const struct writer_sink *from = &w->o.sinks[i];
		struct outlet *out = &w->outlets[i];
		int r = from->ops->open(&from->options, &out->state);

		if (r < 0)
			return r;
		out->ops = from->ops;
		out->queue.bytes_max = w->o.queue_bytes;
		w->n++;
	}
	return thread_start(w);
}

static int writer_open(const struct sink_options *o, void **ret_state)
{
	struct sink_thread *w = calloc(1, sizeof(*w));
	pthread_condattr_t monotonic;
	int r;

	if (!w)
		return fail(-ENOMEM, "start the writer");
	w->o = *(const struct writer_options *)o->arg;
	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&w->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	r = outlets_open(w);
	if (r < 0) {
		writer_close(w);
		return r;
	}
	*ret_state = w;
	return 0;
}

static void wake(struct sink_thread *w)
{
	bool sleeping;

	w->unwoken = 0;
	pthread_mutex_lock(&w->lock);
	sleeping = w->sleeping;
	w->sleeping = false; /* once is enough */
	pthread_mutex_unlock(&w->lock);
	if (sleeping)
		pthread_cond_signal(&w->wake);
}

/* Never waits, never fails: what cannot be kept is counted. */
static int writer_write(void *state, const struct view *v)
{
	struct sink_thread *w = state;
	struct item *it = calloc(1, sizeof(*it));

	if (it) {
		it->refs = 1;
		it->view = view_copy(v, &it->size);
	}
	pthread_mutex_lock(&w->lock);
	for (size_t i = 0; i < w->n; i++) {
		struct queue *q = &w->outlets[i].queue;

		if (it && it->view)
			(void)queue_push(q, it);
		else
			q->missed++;
	}
	if (it)
		item_drop(it);
	pthread_mutex_unlock(&w->lock);
	if (++w->unwoken >= WAKE_AT)
		wake(w);
	return 0;
}

/* Called when the ring has been drained: now the other thread may run. */
static int writer_flush(void *state)
{
	struct sink_thread *w = state;

	if (w->unwoken)
		wake(w);
	return 0;
}

static uint64_t writer_lost(void *state)
{
	struct sink_thread *w = state;

	return atomic_load_explicit(&w->lost, memory_order_relaxed);
}

/* Nothing may happen that would make the loop ask again: while a loss waits to be told it looks by itself. */
static int writer_tick(void *state, uint64_t now, uint64_t *ret_next_ns)
{
	struct sink_thread *w = state;
	uint64_t missed;

	pthread_mutex_lock(&w->lock);
	missed = w->outlets[0].queue.missed;
	pthread_mutex_unlock(&w->lock);
	*ret_next_ns = now != UINT64_MAX && missed != writer_lost(w) ? now + FLUSH_NS : 0;
	return 0;
}

const struct sink_ops sink_writer = {
	.name = "writer",
	.open = writer_open,
	.write = writer_write,
	.tick = writer_tick,
	.flush = writer_flush,
	.lost = writer_lost,
	.close = writer_close,
};
