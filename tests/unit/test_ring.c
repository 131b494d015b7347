/* SPDX-License-Identifier: GPL-2.0-only */
/* The ring's reader against a ring made by hand: order, records under way or thrown away, the wrap, stopping early. */
#include "source/ring.h"

#include <errno.h>
#include <linux/bpf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "util/cleanup.h"

/*
 * What the kernel keeps behind a ring buffer's descriptor: a page with the consumer's position, one with the
 * producer's, then the data twice, so that a record that wraps is one piece. In a file the two copies are two places.
 */
struct fake {
	int fd;
	size_t page, size;
	uint64_t *consumer, *producer;
	unsigned char *data;
	struct ring *ring;
	unsigned char seen[4096]; /* first byte of each record handed over */
	size_t lens[4096];
	size_t n_seen;
	size_t stop_at; /* records; 0: never */
	int stop_with;
};

static int setup_of(void **state, size_t pages)
{
	static struct fake f;
	unsigned char *map;

	memset(&f, 0, sizeof(f));
	f.page = (size_t)sysconf(_SC_PAGESIZE);
	f.size = pages * f.page;
	f.fd = memfd_create("ring", MFD_CLOEXEC);
	if (f.fd < 0 || ftruncate(f.fd, (off_t)(2 * f.page + 2 * f.size)))
		return -1;
	map = mmap(NULL, 2 * f.page + 2 * f.size, PROT_READ | PROT_WRITE, MAP_SHARED, f.fd, 0);
	if (map == MAP_FAILED)
		return -1;
	f.consumer = (uint64_t *)map;
	f.producer = (uint64_t *)(map + f.page);
	f.data = map + 2 * f.page;
	*state = &f;
	return ring_open(f.fd, f.size, &f.ring);
}

static int setup(void **state)
{
	return setup_of(state, 1);
}

static int setup_large(void **state)
{
	return setup_of(state, 64);
}

static int teardown(void **state)
{
	struct fake *f = *state;

	f->ring = ring_close(f->ring);
	munmap(f->consumer, 2 * f->page + 2 * f->size);
	close(f->fd);
	return 0;
}

static void put_bytes(struct fake *f, uint64_t at, const void *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		size_t where = (at + i) & (f->size - 1);

		f->data[where] = f->data[where + f->size] = ((const unsigned char *)bytes)[i];
	}
}

static void put_head(struct fake *f, uint64_t at, uint32_t word)
{
	uint32_t head[2] = { word, 0 };

	put_bytes(f, at, head, sizeof(head));
}

/* A record of @len bytes of @fill behind what is there; @bits: busy, discarded. Returns where it begins. */
static uint64_t produce(struct fake *f, unsigned char fill, uint32_t len, uint32_t bits)
{
	uint64_t at = *f->producer;
	uint64_t end = at + ((len + BPF_RINGBUF_HDR_SZ + 7) & ~7ull);

	assert_true(end - *f->consumer <= f->size);
	put_head(f, at, len | bits);
	for (uint32_t i = 0; i < len; i++)
		put_bytes(f, at + BPF_RINGBUF_HDR_SZ + i, &fill, 1);
	*f->producer = end;
	return at;
}

static int see(void *arg, const void *data, size_t len)
{
	struct fake *f = arg;
	const unsigned char *bytes = data;

	assert_true(f->n_seen < ARRAY_SIZE(f->seen));
	assert_int_equal((uintptr_t)data % 8, 0);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(bytes[i], bytes[0]);
	f->seen[f->n_seen] = len ? bytes[0] : 0;
	f->lens[f->n_seen++] = len;
	return f->n_seen == f->stop_at ? f->stop_with : 0;
}

static size_t drain(struct fake *f, size_t max)
{
	size_t n = 99;

	assert_int_equal(ring_drain(f->ring, max, see, f, &n), 0);
	return n;
}

/* ---- the facts ---- */

static void an_empty_ring_has_nothing_to_hand_over(void **state)
{
	struct fake *f = *state;

	assert_true(ring_is_empty(f->ring));
	assert_int_equal(drain(f, 10), 0);
	assert_int_equal(f->n_seen, 0);
	assert_int_equal(ring_position(f->ring), 0);
	assert_int_equal(ring_fd(f->ring), f->fd);
}

static void records_come_whole_and_in_order(void **state)
{
	struct fake *f = *state;

	produce(f, 'a', 1, 0);
	produce(f, 'b', 8, 0);
	produce(f, 'c', 216, 0);
	assert_false(ring_is_empty(f->ring));
	assert_int_equal(drain(f, 10), 3);
	assert_memory_equal(f->seen, "abc", 3);
	assert_int_equal(f->lens[0], 1);
	assert_int_equal(f->lens[1], 8);
	assert_int_equal(f->lens[2], 216);
	assert_true(ring_is_empty(f->ring));
	assert_int_equal(ring_position(f->ring), 16 + 16 + 224);
	assert_int_equal(*f->consumer, *f->producer);
	assert_int_equal(ring_produced(f->ring), *f->producer);
}

static void a_record_under_way_holds_back_what_comes_after_it(void **state)
{
	struct fake *f = *state;
	uint64_t busy;

	produce(f, 'a', 8, 0);
	busy = produce(f, 'b', 8, BPF_RINGBUF_BUSY_BIT);
	produce(f, 'c', 8, 0);
	assert_int_equal(drain(f, 10), 1);
	assert_int_equal(ring_position(f->ring), busy);
	assert_int_equal(drain(f, 10), 0);
	assert_int_equal(ring_position(f->ring), busy);

	put_head(f, busy, 8);
	assert_int_equal(drain(f, 10), 2);
	assert_memory_equal(f->seen, "abc", 3);
}

/* Nothing is ready, yet who sleeps on it now would miss its end: that is what "empty" is asked for. */
static void a_ring_with_a_record_under_way_is_not_empty(void **state)
{
	struct fake *f = *state;
	uint64_t busy = produce(f, 'a', 8, BPF_RINGBUF_BUSY_BIT);

	assert_int_equal(drain(f, 10), 0);
	assert_false(ring_is_empty(f->ring));
	put_head(f, busy, 8);
	assert_int_equal(drain(f, 10), 1);
	assert_true(ring_is_empty(f->ring));
}

static void a_record_thrown_away_is_stepped_over(void **state)
{
	struct fake *f = *state;

	produce(f, 'a', 24, BPF_RINGBUF_DISCARD_BIT);
	produce(f, 'b', 8, 0);
	produce(f, 'c', 40, BPF_RINGBUF_DISCARD_BIT);
	assert_int_equal(drain(f, 10), 1);
	assert_memory_equal(f->seen, "b", 1);
	assert_true(ring_is_empty(f->ring));
}

static void a_record_under_way_that_will_be_thrown_away_is_waited_for(void **state)
{
	struct fake *f = *state;
	uint64_t at = produce(f, 'a', 8, BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);

	produce(f, 'b', 8, 0);
	assert_int_equal(drain(f, 10), 0);
	put_head(f, at, 8 | BPF_RINGBUF_DISCARD_BIT);
	assert_int_equal(drain(f, 10), 1);
	assert_memory_equal(f->seen, "b", 1);
}

static void no_more_than_asked_for_are_handed_over(void **state)
{
	struct fake *f = *state;

	for (unsigned char c = 'a'; c < 'f'; c++)
		produce(f, c, 8, 0);
	assert_int_equal(drain(f, 0), 0);
	assert_int_equal(drain(f, 2), 2);
	assert_int_equal(ring_position(f->ring), 32);
	assert_false(ring_is_empty(f->ring));
	assert_int_equal(drain(f, 100), 3);
	assert_memory_equal(f->seen, "abcde", 5);
}

static void who_is_handed_a_record_may_stop_there_and_go_on_later(void **state)
{
	struct fake *f = *state;
	size_t n = 0;

	for (unsigned char c = 'a'; c < 'f'; c++)
		produce(f, c, 8, 0);
	f->stop_at = 2;
	f->stop_with = -EIO;
	assert_int_equal(ring_drain(f->ring, 10, see, f, &n), -EIO);
	assert_int_equal(n, 2);
	assert_int_equal(ring_position(f->ring), 32);
	f->stop_at = 4;
	f->stop_with = 1;
	assert_int_equal(ring_drain(f->ring, 10, see, f, &n), 1);
	assert_int_equal(n, 2);
	assert_int_equal(drain(f, 10), 1);
	assert_memory_equal(f->seen, "abcde", 5);
}

static void a_record_that_wraps_is_one_piece(void **state)
{
	struct fake *f = *state;
	uint32_t most = (uint32_t)f->size - BPF_RINGBUF_HDR_SZ - 24;

	produce(f, 'a', most, 0);
	assert_int_equal(drain(f, 10), 1);
	produce(f, 'b', 100, 0); /* 16 bytes before the end, the rest at the beginning */
	assert_true((*f->producer & (f->size - 1)) < 112);
	produce(f, 'c', 8, 0);
	assert_int_equal(drain(f, 10), 2);
	assert_memory_equal(f->seen, "abc", 3);
	assert_int_equal(f->lens[1], 100);
}

static void a_record_may_fill_the_ring(void **state)
{
	struct fake *f = *state;

	produce(f, 'a', 40, 0);
	assert_int_equal(drain(f, 10), 1);
	produce(f, 'b', (uint32_t)f->size - BPF_RINGBUF_HDR_SZ, 0);
	assert_int_equal(drain(f, 10), 1);
	assert_int_equal(f->lens[1], f->size - BPF_RINGBUF_HDR_SZ);
	assert_true(ring_is_empty(f->ring));
}

static void the_longest_record_wraps_in_one_piece(void **state)
{
	struct fake *f = *state;

	produce(f, 'a', (uint32_t)f->size - BPF_RINGBUF_HDR_SZ - 16, 0);
	assert_int_equal(drain(f, 10), 1);
	produce(f, 'b', RING_RECORD_MAX, 0);
	assert_int_equal(drain(f, 10), 1);
	assert_int_equal(f->lens[1], RING_RECORD_MAX);
}

/* No program of ours makes one. It is of the wrong size for who decodes it, not one that is read behind what is mapped. */
static void a_longer_record_that_wraps_is_handed_over_as_far_as_it_is_seen(void **state)
{
	struct fake *f = *state;

	produce(f, 'a', (uint32_t)f->size - BPF_RINGBUF_HDR_SZ - 16, 0);
	assert_int_equal(drain(f, 10), 1);
	produce(f, 'b', 2 * RING_RECORD_MAX, 0);
	produce(f, 'c', 8, 0);
	assert_int_equal(drain(f, 10), 2);
	assert_int_equal(f->lens[1], RING_RECORD_MAX + 8);
	assert_int_equal(f->lens[2], 8);
}

static void positions_go_on_over_many_rounds(void **state)
{
	struct fake *f = *state;
	uint64_t total = 0;

	for (unsigned i = 0; i < 2000; i++) {
		uint32_t len = i * 7 % 300;

		produce(f, (unsigned char)i, len, i % 5 ? 0 : BPF_RINGBUF_DISCARD_BIT);
		total += (len + BPF_RINGBUF_HDR_SZ + 7) & ~7u;
		assert_int_equal(drain(f, 10), i % 5 ? 1 : 0);
		assert_int_equal(ring_position(f->ring), total);
	}
	for (size_t i = 0; i < f->n_seen; i++) {
		unsigned number = (unsigned)(i / 4 * 5 + i % 4 + 1);

		assert_int_equal(f->lens[i], number * 7 % 300);
		assert_int_equal(f->seen[i], f->lens[i] ? number & 255 : 0);
	}
	assert_int_equal(f->n_seen, 1600);
}

/* The producer's room grows while a long drain goes on, not only at its end. */
struct watcher {
	struct fake *fake;
	size_t n;
	uint64_t lag_max; /* bytes handed over that the producer may not use yet */
};

static int watch(void *arg, const void *data, size_t len)
{
	struct watcher *w = arg;
	uint64_t lag = 16 * w->n - __atomic_load_n(w->fake->consumer, __ATOMIC_ACQUIRE);

	(void)data;
	assert_int_equal(len, 8);
	if (lag > w->lag_max)
		w->lag_max = lag;
	w->n++;
	return 0;
}

static void a_long_drain_gives_room_back_on_its_way(void **state)
{
	struct fake *f = *state;
	struct watcher w = { .fake = f };
	size_t n;

	while (*f->producer < f->size)
		produce(f, 'a', 8, 0);
	assert_int_equal(ring_drain(f->ring, 10000, watch, &w, &n), 0);
	assert_int_equal(n, f->size / 16);
	assert_true(w.lag_max < f->size / 2);
	assert_true(ring_is_empty(f->ring));
}

/* As when hooks go on telling while their records are read. */
static int see_and_produce(void *arg, const void *data, size_t len)
{
	struct fake *f = arg;

	(void)see(f, data, len);
	if (f->n_seen < 5)
		produce(f, (unsigned char)('a' + f->n_seen), 8, 0);
	return 0;
}

static void what_comes_while_draining_is_handed_over_too(void **state)
{
	struct fake *f = *state;
	size_t n;

	produce(f, 'a', 8, 0);
	assert_int_equal(ring_drain(f->ring, 100, see_and_produce, f, &n), 0);
	assert_int_equal(n, 5);
	assert_memory_equal(f->seen, "abcde", 5);
}

/* Positions are kept in the ring: who opens it again goes on where the last reader stopped. */
static void another_reader_goes_on_where_the_last_one_stopped(void **state)
{
	struct fake *f = *state;

	produce(f, 'a', 8, 0);
	produce(f, 'b', 8, 0);
	assert_int_equal(drain(f, 1), 1);
	f->ring = ring_close(f->ring);
	assert_int_equal(ring_open(f->fd, f->size, &f->ring), 0);
	assert_int_equal(ring_position(f->ring), 16);
	assert_int_equal(drain(f, 10), 1);
	assert_memory_equal(f->seen, "ab", 2);
}

static void what_is_held_stays_until_it_is_released(void **state)
{
	struct fake *f = *state;

	ring_hold(f->ring, 0);
	produce(f, 'a', 8, 0);
	produce(f, 'b', 8, 0);
	assert_int_equal(drain(f, 10), 2);
	assert_int_equal(ring_position(f->ring), 32);
	assert_int_equal(*f->consumer, 0);
	assert_true(ring_is_empty(f->ring));
	ring_release(f->ring, 16);
	assert_int_equal(ring_released(f->ring), 16);
	assert_int_equal(*f->consumer, 16);
	assert_int_equal(drain(f, 10), 0);
	assert_int_equal(*f->consumer, 16);
}

/* The next reader, when the one that held it was killed. */
static void what_was_held_is_read_again_but_for_what_is_known(void **state)
{
	struct fake *f = *state;

	ring_hold(f->ring, 0);
	for (unsigned char c = 'a'; c < 'e'; c++)
		produce(f, c, 8, 0);
	assert_int_equal(drain(f, 10), 4);
	ring_release(f->ring, 16);
	f->ring = ring_close(f->ring);
	assert_int_equal(ring_open(f->fd, f->size, &f->ring), 0);
	ring_hold(f->ring, 32);
	assert_int_equal(drain(f, 10), 2);
	assert_memory_equal(f->seen, "abcdcd", 6);
}

static void a_position_that_cannot_be_is_not_believed(void **state)
{
	struct fake *f = *state;

	produce(f, 'a', 8, 0);
	produce(f, 'b', 8, 0);
	*f->consumer = 16;
	f->ring = ring_close(f->ring);
	assert_int_equal(ring_open(f->fd, f->size, &f->ring), 0);
	ring_hold(f->ring, 48); /* more than was produced */
	assert_int_equal(ring_position(f->ring), 16);
	ring_hold(f->ring, 0); /* released already */
	assert_int_equal(ring_position(f->ring), 16);
	assert_int_equal(drain(f, 10), 1);
	assert_memory_equal(f->seen, "b", 1);
}

static uint64_t ends[2];

static int note_position(void *arg, const void *data, size_t len)
{
	struct fake *f = arg;

	ends[f->n_seen] = ring_position(f->ring);
	return see(arg, data, len);
}

static void who_is_handed_a_record_can_ask_where_it_ends(void **state)
{
	struct fake *f = *state;
	size_t n;

	produce(f, 'a', 8, 0);
	produce(f, 'x', 8, BPF_RINGBUF_DISCARD_BIT);
	produce(f, 'b', 24, 0);
	assert_int_equal(ring_drain(f->ring, 10, note_position, f, &n), 0);
	assert_int_equal(ends[0], 16);
	assert_int_equal(ends[1], 64);
}

static void what_is_no_ring_is_an_error(void **state)
{
	struct ring *ring = (struct ring *)1;

	(void)state;
	assert_int_equal(ring_open(-1, 4096, &ring), -EBADF);
	assert_ptr_equal(ring, (struct ring *)1);
	assert_null(ring_close(NULL));
}

#define RING_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define LARGE_RING_TEST(name) cmocka_unit_test_setup_teardown(name, setup_large, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RING_TEST(an_empty_ring_has_nothing_to_hand_over),
		RING_TEST(records_come_whole_and_in_order),
		RING_TEST(a_record_under_way_holds_back_what_comes_after_it),
		RING_TEST(a_ring_with_a_record_under_way_is_not_empty),
		RING_TEST(a_record_thrown_away_is_stepped_over),
		RING_TEST(a_record_under_way_that_will_be_thrown_away_is_waited_for),
		RING_TEST(no_more_than_asked_for_are_handed_over),
		RING_TEST(who_is_handed_a_record_may_stop_there_and_go_on_later),
		RING_TEST(a_record_that_wraps_is_one_piece),
		RING_TEST(a_record_may_fill_the_ring),
		LARGE_RING_TEST(the_longest_record_wraps_in_one_piece),
		LARGE_RING_TEST(a_longer_record_that_wraps_is_handed_over_as_far_as_it_is_seen),
		RING_TEST(positions_go_on_over_many_rounds),
		RING_TEST(a_long_drain_gives_room_back_on_its_way),
		RING_TEST(what_comes_while_draining_is_handed_over_too),
		RING_TEST(another_reader_goes_on_where_the_last_one_stopped),
		RING_TEST(what_is_held_stays_until_it_is_released),
		RING_TEST(what_was_held_is_read_again_but_for_what_is_known),
		RING_TEST(a_position_that_cannot_be_is_not_believed),
		RING_TEST(who_is_handed_a_record_can_ask_where_it_ends),
		RING_TEST(what_is_no_ring_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
