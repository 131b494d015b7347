/* SPDX-License-Identifier: GPL-2.0-only */
/* The writer: a slow, blocked or failing sink stops nobody, and what it misses is counted. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#undef fail /* ours is another */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/copy.h"
#include "core/field.h"
#include "sink/writer.h"
#include "support/scenes.h"
#include "support/views.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/fail.h"

/* A sink that a test holds, makes fail and looks into. */
struct probe {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool held;    /* write waits */
	bool waiting; /* it does */
	int error;    /* of write */
	int flush_error;
	unsigned attempts; /* of write */
	unsigned pending;  /* written, not flushed */
	uint64_t last_seq;
	unsigned kept; /* flushed */
	uint64_t last_kept;
	bool ordered;  /* seq only grew */
	uint64_t lost; /* what `lost` events say is missing */
	unsigned n_lost;
	uint64_t lost_seq, before_lost; /* of the last one, and of the event before it */
	uint64_t reopened_after;        /* the last seq that was flushed before */
	bool reopened;
	uint64_t gone;
	uint64_t place, last_place; /* to be kept with the next flush, and kept */
	bool closed;
};

static int probe_open(const struct sink_options *o, void **ret_state)
{
	*ret_state = (void *)o->arg;
	return 0;
}

static int probe_write(void *state, const struct view *v)
{
	struct probe *p = state;
	int r;

	pthread_mutex_lock(&p->lock);
	p->attempts++;
	p->waiting = p->held;
	pthread_cond_broadcast(&p->changed);
	while (p->held)
		pthread_cond_wait(&p->changed, &p->lock);
	p->waiting = false;
	r = p->error;
	if (!r) {
		p->ordered = p->ordered && v->rec->seq > p->last_seq;
		if (v->rec->action == ACTION_LOST && v->rec->lost_where != LOST_HISTORY) {
			p->n_lost++;
			p->lost += v->rec->count;
			p->lost_seq = v->rec->seq;
			p->before_lost = p->last_seq;
		}
		p->last_seq = v->rec->seq;
		p->pending++;
	}
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
	return r ? fail(r, "probe") : 0;
}

static int probe_flush(void *state)
{
	struct probe *p = state;
	int r;

	pthread_mutex_lock(&p->lock);
	r = p->flush_error;
	if (!r) {
		p->kept += p->pending;
		p->last_kept = p->last_seq;
		p->last_place = p->place;
		p->pending = 0;
	}
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
	return r ? fail(r, "probe") : 0;
}

static void probe_undo(void *state)
{
	struct probe *p = state;

	pthread_mutex_lock(&p->lock);
	p->pending = 0;
	p->last_seq = p->last_kept;
	pthread_mutex_unlock(&p->lock);
}

static int probe_place(void *state, struct sink_place place)
{
	struct probe *p = state;

	pthread_mutex_lock(&p->lock);
	p->place = place.position;
	pthread_mutex_unlock(&p->lock);
	return 0;
}

static int probe_reopen(void *state)
{
	struct probe *p = state;

	pthread_mutex_lock(&p->lock);
	p->reopened = true;
	p->reopened_after = p->last_kept;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
	return 0;
}

static uint64_t probe_gone(void *state)
{
	struct probe *p = state;
	uint64_t gone;

	pthread_mutex_lock(&p->lock);
	gone = p->gone;
	pthread_mutex_unlock(&p->lock);
	return gone;
}

static void probe_close(void *state)
{
	struct probe *p = state;

	p->closed = true;
}

static const struct sink_ops sink_careful = { .name = "careful",
					      .open = probe_open,
					      .write = probe_write,
					      .flush = probe_flush,
					      .undo = probe_undo,
					      .lost = probe_gone,
					      .place = probe_place,
					      .close = probe_close };
static const struct sink_ops sink_plain = { .name = "plain",
					    .open = probe_open,
					    .write = probe_write,
					    .flush = probe_flush,
					    .reopen = probe_reopen,
					    .close = probe_close };

struct bench {
	struct probe probes[2];
	struct writer_sink sinks[2];
	struct writer_options options;
	void *writer;
	struct writer *handle;
	struct writer_gauge gauges[2];
	_Atomic unsigned complaints, recoveries;
	_Atomic uint64_t told_missed;
	uint64_t seq;
};

static void complain(void *arg, const struct writer_news *news)
{
	struct bench *b = arg;

	if (news->event == WRITER_FAILED)
		b->complaints++;
	if (news->event == WRITER_WORKS)
		b->recoveries++;
	b->told_missed += news->missed;
}

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	if (!b)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(b->probes); i++) {
		pthread_mutex_init(&b->probes[i].lock, NULL);
		pthread_cond_init(&b->probes[i].changed, NULL);
		b->probes[i].ordered = true;
		b->sinks[i] = (struct writer_sink){ .ops = i ? &sink_plain : &sink_careful,
						    .options = { .arg = &b->probes[i] },
						    .gauge = &b->gauges[i] };
	}
	b->options = (struct writer_options){ .sinks = b->sinks,
					      .n = 2,
					      .queue_bytes = 1 << 20,
					      .say = complain,
					      .say_arg = b,
					      .handle = &b->handle };
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	views_free();
	fail_clear();
	return 0;
}

static void start(struct bench *b, size_t n, size_t queue_bytes)
{
	struct sink_options o = { .arg = &b->options };

	b->options.n = n;
	b->options.queue_bytes = queue_bytes;
	assert_int_equal(sink_writer.open(&o, &b->writer), 0);
}

static void stop(struct bench *b)
{
	sink_writer.close(b->writer);
	for (size_t i = 0; i < b->options.n; i++)
		assert_true(b->probes[i].closed);
}

static void send_events(struct bench *b, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(sink_writer.write(b->writer, listen_ok(.port = 80, .seq = ++b->seq)), 0);
	assert_int_equal(sink_writer.flush(b->writer), 0);
	views_free();
}

#define wait_for(p, condition)                                        \
	do {                                                          \
		pthread_mutex_lock(&(p)->lock);                       \
		while (!(condition))                                  \
			pthread_cond_wait(&(p)->changed, &(p)->lock); \
		pthread_mutex_unlock(&(p)->lock);                     \
	} while (0)

static void hold(struct probe *p, bool held)
{
	pthread_mutex_lock(&p->lock);
	p->held = held;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
}

static void set_gone(struct probe *p, uint64_t gone)
{
	pthread_mutex_lock(&p->lock);
	p->gone = gone;
	pthread_mutex_unlock(&p->lock);
}

static bool looks_again(struct bench *b)
{
	uint64_t next;

	assert_int_equal(sink_writer.tick(b->writer, 1, &next), 0);
	return next;
}

static void set_errors(struct probe *p, int error, int flush_error)
{
	pthread_mutex_lock(&p->lock);
	p->error = error;
	p->flush_error = flush_error;
	pthread_mutex_unlock(&p->lock);
}

static void every_event_reaches_every_sink_in_order(void **state)
{
	struct bench *b = *state;

	start(b, 2, 64 << 20);
	for (unsigned i = 0; i < 20; i++)
		send_events(b, 500);
	stop(b);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(b->probes[i].kept, 10000);
		assert_true(b->probes[i].ordered);
	}
	assert_int_equal(b->complaints, 0);
}

static void what_is_sent_is_flushed_without_more_coming(void **state)
{
	struct bench *b = *state;

	start(b, 1, 1 << 20);
	send_events(b, 3);
	wait_for(&b->probes[0], b->probes[0].kept == 3);
	stop(b);
}

static void a_blocked_sink_does_not_block_the_sender_and_misses_are_counted(void **state)
{
	struct bench *b = *state;
	uint64_t lost;

	start(b, 1, 64 << 10);
	hold(&b->probes[0], true);
	send_events(b, 1);
	wait_for(&b->probes[0], b->probes[0].waiting);
	send_events(b, 1000);                             /* more than there is room for; it returns */
	assert_int_equal(sink_writer.lost(b->writer), 0); /* to be told when there is room to tell it */
	hold(&b->probes[0], false);
	/* What was written has its room for a moment longer: an event that comes too soon is missed too. */
	while (!sink_writer.lost(b->writer)) {
		send_events(b, 1);
		sched_yield();
	}
	send_events(b, 1);
	wait_for(&b->probes[0], b->probes[0].last_kept == b->seq);
	send_events(b, 1); /* when this one is being written, that one is done with */
	wait_for(&b->probes[0], b->probes[0].last_seq == b->seq);
	lost = sink_writer.lost(b->writer);
	stop(b);
	assert_true(lost > 0);
	assert_int_equal(b->probes[0].kept + lost, b->seq);
	assert_true(b->probes[0].ordered);
}

static void what_a_failing_flush_undid_is_written_again(void **state)
{
	struct bench *b = *state;

	start(b, 2, 1 << 20);
	set_errors(&b->probes[0], 0, -ENOSPC);
	send_events(b, 10);
	wait_for(&b->probes[0], b->probes[0].attempts >= 20); /* and again */
	wait_for(&b->probes[1], b->probes[1].kept == 10);     /* the other goes on */
	set_errors(&b->probes[0], 0, 0);
	wait_for(&b->probes[0], b->probes[0].kept == 10);
	stop(b);
	assert_true(b->probes[0].ordered);
	assert_int_equal(b->complaints, 1);
	assert_int_equal(b->recoveries, 1);
	assert_int_equal(b->probes[0].kept, 10);
}

static void a_sink_that_fails_for_good_does_not_keep_the_program(void **state)
{
	struct bench *b = *state;

	start(b, 2, 1 << 20);
	set_errors(&b->probes[0], -EIO, 0);
	send_events(b, 10);
	stop(b); /* after some patience */
	assert_int_equal(b->probes[0].kept, 0);
	assert_int_equal(b->probes[1].kept, 10);
}

static void a_blocked_sink_does_not_block_another(void **state)
{
	struct bench *b = *state;

	start(b, 2, 64 << 20);
	hold(&b->probes[0], true);
	send_events(b, 1);
	wait_for(&b->probes[0], b->probes[0].waiting);
	send_events(b, 999);
	wait_for(&b->probes[1], b->probes[1].kept == 1000);
	hold(&b->probes[0], false);
	stop(b);
	assert_int_equal(b->probes[0].kept, 1000);
	assert_int_equal(b->gauges[0].written, 1000);
	assert_int_equal(b->gauges[0].missed, 0);
	assert_int_equal(b->gauges[0].queued, 0);
}

static void a_lost_event_stands_where_a_sink_misses_some(void **state)
{
	struct bench *b = *state;
	struct probe *p = &b->probes[1];

	start(b, 2, 64 << 10);
	hold(p, true);
	send_events(b, 1);
	wait_for(p, p->waiting);
	send_events(b, 1000);
	hold(p, false);
	wait_for(p, p->n_lost == 1);
	send_events(b, 1);
	stop(b);
	assert_int_equal(p->n_lost, 1);
	assert_int_equal(p->lost_seq, 1001); /* of the last that is missing */
	assert_int_equal(p->lost_seq - p->before_lost, p->lost);
	assert_int_equal(p->kept - 1 + p->lost, b->seq);
	assert_true(p->ordered);
	assert_int_equal(b->gauges[1].missed, p->lost);
	assert_int_equal(b->gauges[1].written, p->kept);
	assert_int_equal(b->told_missed, b->gauges[0].missed + b->gauges[1].missed);
	assert_int_equal(b->recoveries, 1 + (b->gauges[0].missed > 0));
}

/* So that the count stands between what came before and what comes after. */
static void what_tells_of_the_stream_comes_after_the_loss_before_it(void **state)
{
	struct bench *b = *state;
	struct probe *p = &b->probes[1];

	start(b, 2, 64 << 10);
	hold(p, true);
	send_events(b, 1);
	wait_for(p, p->waiting);
	send_events(b, 1000);
	assert_int_equal(sink_writer.write(b->writer, view_of(.action = ACTION_RESYNC, .seq = ++b->seq)), 0);
	send_events(b, 1000);
	hold(p, false);
	wait_for(p, p->n_lost == 2);
	stop(b);
	assert_int_equal(p->lost_seq, b->seq);
	assert_int_equal(p->before_lost, 1002);
	assert_int_equal(p->kept - 2 + p->lost, b->seq);
	assert_true(p->ordered);
}

static void the_losses_of_the_first_sink_are_not_those_of_another(void **state)
{
	struct bench *b = *state;

	start(b, 2, 1 << 20);
	assert_int_equal(sink_writer.write(b->writer, view_of(.action = ACTION_LOST, .seq = 1, .count = 7,
							      .where_lost = LOST_QUEUE)),
			 0);
	assert_int_equal(sink_writer.write(b->writer, view_of(.action = ACTION_LOST, .seq = 2, .count = 5,
							      .where_lost = LOST_RING)),
			 0);
	stop(b);
	assert_int_equal(b->probes[0].lost, 12);
	assert_int_equal(b->probes[1].lost, 5);
	assert_int_equal(b->probes[0].n_lost, 2);
	assert_int_equal(b->probes[1].n_lost, 1);
	assert_int_equal(b->probes[1].kept,
			 2); /* the other is there, so that no number is missing, and says whose it is */
}

static void a_sink_has_what_its_filter_matches_and_the_bookkeeping(void **state)
{
	struct bench *b = *state;
	struct filter_error error;
	struct filter *f;

	assert_int_equal(filter_parse("port 81", &f, &error), 0);
	b->sinks[1].filter = f;
	start(b, 2, 1 << 20);
	send_events(b, 5);
	assert_int_equal(sink_writer.write(b->writer, listen_ok(.port = 81, .seq = ++b->seq)), 0);
	assert_int_equal(sink_writer.write(b->writer, view_of(.action = ACTION_STOP, .seq = ++b->seq)), 0);
	stop(b);
	filter_free(f);
	assert_int_equal(b->probes[0].kept, 7);
	assert_int_equal(b->probes[1].kept, 2);
}

static void a_file_is_opened_anew_after_all_that_came_before(void **state)
{
	struct bench *b = *state;

	start(b, 2, 1 << 20);
	send_events(b, 100);
	writer_reopen(b->handle);
	send_events(b, 100);
	wait_for(&b->probes[1], b->probes[1].reopened);
	stop(b);
	assert_int_equal(b->probes[1].reopened_after, 100);
	assert_int_equal(b->probes[1].kept, 200);
	assert_null(b->handle);
}

static void what_cannot_be_written_at_the_end_is_counted(void **state)
{
	struct bench *b = *state;

	start(b, 2, 1 << 20);
	set_errors(&b->probes[1], -EIO, 0);
	send_events(b, 10);
	stop(b);
	assert_int_equal(b->gauges[1].missed, 10);
	assert_int_equal(b->told_missed, 10);
	assert_int_equal(b->gauges[0].missed, 0);
}

static struct bench *volatile left_behind; /* with its writer */

static void a_sink_that_hangs_is_left_behind_at_the_end(void **state)
{
	struct bench *b = *state;

	start(b, 2, 1 << 20);
	hold(&b->probes[1], true);
	send_events(b, 10);
	wait_for(&b->probes[1], b->probes[1].waiting);
	sink_writer.close(b->writer);
	assert_true(b->probes[0].closed);
	assert_false(b->probes[1].closed);
	assert_int_equal(b->gauges[1].missed, 10);
	hold(&b->probes[1], false); /* its thread ends by itself */
	wait_for(&b->probes[1], b->probes[1].kept == 10);
	left_behind = b; /* which may look at it a moment longer */
	*state = NULL;
}

/* What a sink had and has no more (its file was taken away) is lost as what found no room is. */
static void what_a_sink_has_no_more_is_lost(void **state)
{
	struct bench *b = *state;

	start(b, 1, 1 << 20);
	send_events(b, 10);
	wait_for(&b->probes[0], b->probes[0].kept == 10);
	assert_int_equal(sink_writer.lost(b->writer), 0);
	set_gone(&b->probes[0], 10);
	send_events(b, 1);
	/* Nothing else will make the loop ask. */
	assert_true(looks_again(b) || sink_writer.lost(b->writer) == 10);
	wait_for(&b->probes[0], b->probes[0].kept == 11);
	while (sink_writer.lost(b->writer) != 10)
		sched_yield();
	stop(b);
}

/* ---- marks ---- */

static void mark(struct bench *b, uint64_t position)
{
	sink_writer.mark(b->writer, (struct sink_place){ 1, position });
}

static uint64_t kept(struct bench *b)
{
	return sink_writer.kept(b->writer).position;
}

static void await_kept(struct bench *b, uint64_t position)
{
	while (kept(b) != position)
		sched_yield();
}

static void start_held(struct bench *b, size_t queue_bytes)
{
	b->options.held = true;
	start(b, 1, queue_bytes);
}

static void what_is_not_whole_is_not_written(void **state)
{
	struct bench *b = *state;

	start_held(b, 1 << 20);
	send_events(b, 3);
	mark(b, 100);
	send_events(b, 2);
	await_kept(b, 100);
	assert_int_equal(b->probes[0].kept, 3);
	assert_int_equal(b->probes[0].attempts, 3);
	assert_int_equal(b->probes[0].last_place, 100);
	stop(b); /* the next reader of the source tells those two */
	assert_int_equal(b->probes[0].attempts, 3);
	assert_int_equal(b->probes[0].kept, 3);
}

/* However the thread cuts a storm into pieces: with each flush the place of the last event of it. */
static void the_place_that_is_kept_is_that_of_the_events(void **state)
{
	struct bench *b = *state;

	start_held(b, 64 << 20);
	for (unsigned i = 1; i <= 200; i++) {
		send_events(b, 97);
		mark(b, b->seq * 10);
		(void)sink_writer.flush(b->writer);
		pthread_mutex_lock(&b->probes[0].lock);
		assert_int_equal(b->probes[0].last_place, b->probes[0].last_kept * 10);
		assert_int_equal(b->probes[0].last_kept % 97, 0);
		pthread_mutex_unlock(&b->probes[0].lock);
	}
	await_kept(b, b->seq * 10);
	stop(b);
	assert_int_equal(b->probes[0].kept, 200 * 97);
	assert_true(b->probes[0].ordered);
}

static void a_mark_without_events_is_kept_at_once_or_after_those_before_it(void **state)
{
	struct bench *b = *state;

	start_held(b, 1 << 20);
	mark(b, 50);
	assert_int_equal(kept(b), 50);
	hold(&b->probes[0], true);
	send_events(b, 1);
	mark(b, 60);
	mark(b, 70);
	(void)sink_writer.flush(b->writer);
	wait_for(&b->probes[0], b->probes[0].waiting);
	assert_int_equal(kept(b), 50);
	hold(&b->probes[0], false);
	await_kept(b, 70);
	assert_int_equal(b->probes[0].last_place, 60);
	stop(b);
}

static void what_cannot_be_flushed_is_not_kept(void **state)
{
	struct bench *b = *state;

	start_held(b, 1 << 20);
	set_errors(&b->probes[0], 0, -ENOSPC);
	send_events(b, 10);
	mark(b, 100);
	(void)sink_writer.flush(b->writer);
	wait_for(&b->probes[0], b->probes[0].attempts >= 20);
	assert_int_equal(kept(b), 0);
	set_errors(&b->probes[0], 0, 0);
	await_kept(b, 100);
	stop(b);
	assert_int_equal(b->probes[0].kept, 10);
	assert_int_equal(b->probes[0].last_place, 100);
}

static void a_queue_says_that_it_wants_no_more_before_anything_is_lost(void **state)
{
	struct bench *b = *state;

	start_held(b, 64 << 10);
	hold(&b->probes[0], true);
	assert_false(sink_writer.full(b->writer));
	while (!sink_writer.full(b->writer)) {
		send_events(b, 1);
		mark(b, b->seq);
	}
	assert_int_equal(sink_writer.lost(b->writer), 0);
	(void)sink_writer.flush(b->writer);
	hold(&b->probes[0], false);
	await_kept(b, b->seq);
	assert_false(sink_writer.full(b->writer));
	stop(b);
	assert_int_equal(b->probes[0].kept, b->seq);
}

/* ---- copies ---- */

static int copied_write(void *state, const struct view *v)
{
	static const struct field_options all = { .args = ARGS_FULL, .hints = true };
	struct buf before = { 0 }, after = { 0 };
	struct view *copy;
	size_t size;

	(void)state;
	field_write_json(&before, v, &all, NULL, 0);
	copy = view_copy(v, &size);
	assert_non_null(copy);
	views_free(); /* the copy borrows nothing of it */
	field_write_json(&after, copy, &all, NULL, 0);
	assert_string_equal(buf_str(&after), buf_str(&before));
	buf_done(&before);
	buf_done(&after);
	view_copy_free(copy);
	return 0;
}

static int no_tick(void *state, uint64_t now_ns, uint64_t *ret_next_ns)
{
	(void)state;
	(void)now_ns;
	*ret_next_ns = 0;
	return 0;
}

static void a_copy_of_a_view_shows_the_same(void **state)
{
	static const struct sink_ops copies = { .write = copied_write, .tick = no_tick };
	static scene *const scenes[] = { scene_actions, scene_holders, scene_failures, scene_hostile,
					 scene_surroundings };
	struct stage stage = { .sink = &copies };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(scenes); i++)
		scenes[i](&stage);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(every_event_reaches_every_sink_in_order),
		TEST(what_is_sent_is_flushed_without_more_coming),
		TEST(a_blocked_sink_does_not_block_the_sender_and_misses_are_counted),
		TEST(what_a_failing_flush_undid_is_written_again),
		TEST(a_sink_that_fails_for_good_does_not_keep_the_program),
		TEST(what_a_sink_has_no_more_is_lost),
		TEST(a_blocked_sink_does_not_block_another),
		TEST(a_lost_event_stands_where_a_sink_misses_some),
		TEST(what_tells_of_the_stream_comes_after_the_loss_before_it),
		TEST(the_losses_of_the_first_sink_are_not_those_of_another),
		TEST(a_sink_has_what_its_filter_matches_and_the_bookkeeping),
		TEST(a_file_is_opened_anew_after_all_that_came_before),
		TEST(what_cannot_be_written_at_the_end_is_counted),
		TEST(what_is_not_whole_is_not_written),
		TEST(the_place_that_is_kept_is_that_of_the_events),
		TEST(a_mark_without_events_is_kept_at_once_or_after_those_before_it),
		TEST(what_cannot_be_flushed_is_not_kept),
		TEST(a_queue_says_that_it_wants_no_more_before_anything_is_lost),
		TEST(a_copy_of_a_view_shows_the_same),
		TEST(a_sink_that_hangs_is_left_behind_at_the_end),
	};
#undef TEST

	return cmocka_run_group_tests_name("writer", tests, NULL, NULL);
}
