/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A day of a busy machine, made up (TIMETRAVEL_EVENTS of them, 2,000,000 unless given): what the store says was held at
 * random moments must be what a straightforward replay of all of it says. With figures: how fast, how large.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#undef fail /* ours is another */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "source/replay.h"
#include "support/day.h"
#include "support/views.h"
#include "util/cleanup.h"
#include "util/fail.h"

#define QUESTIONS 1000
#define BYTES_MAX 150 /* an event on disk */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define EVENTS 50000
#define JUDGE_SIZE false
#else
#define EVENTS DAY_EVENTS
#define JUDGE_SIZE true
#endif

struct question {
	int64_t wall_ns;
	int port; /* -1: all */
	struct model *held;
	size_t n;
};

struct test {
	char path[64];
	struct store *store;
	struct day day;
	struct question questions[QUESTIONS];
	size_t asked; /* questions whose moment has come */
	double put_s; /* spent in the store */
};

/* Of the processor: other programs on the machine are not the store's fault. */
static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int put(void *arg, const struct view *v)
{
	struct test *d = arg;
	double begin = now_s();
	int r = store_put(d->store, v);

	if (!r && d->day.events % 4096 == 0)
		r = store_commit(d->store);
	d->put_s += now_s() - begin;
	if (r)
		print_error("%s\n", fail_story());
	return r;
}

/* ---- the questions ---- */

static int by_time(const void *a, const void *b)
{
	const struct question *x = a, *y = b;

	return x->wall_ns < y->wall_ns ? -1 : x->wall_ns > y->wall_ns;
}

static void questions_make(struct test *d)
{
	for (size_t i = 0; i < QUESTIONS; i++) {
		d->questions[i].wall_ns =
			VIEWS_BOOT_WALL_NS + (int64_t)VIEWS_BASE_NS + (int64_t)(day_random(&d->day) % DAY_NS);
		d->questions[i].port = i % 20 == 0 ? -1
				       : i % 2     ? (int)(8000 + day_below(&d->day, 20))
						   : (int)(1 + day_below(&d->day, 9999));
	}
	qsort(d->questions, QUESTIONS, sizeof(d->questions[0]), by_time);
}

/* Before the event of @time_ns happens: what is held is the answer to all questions up to it. */
static void questions_note(void *arg, uint64_t time_ns)
{
	struct test *d = arg;
	int64_t wall_ns = VIEWS_BOOT_WALL_NS + (int64_t)time_ns;

	for (; d->asked < QUESTIONS && d->questions[d->asked].wall_ns < wall_ns; d->asked++) {
		struct question *q = &d->questions[d->asked];

		q->held = calloc(DAY_SLOTS, sizeof(*q->held));
		assert_non_null(q->held);
		for (size_t i = 0; i < DAY_SLOTS; i++)
			if (d->day.slots[i].socket_id && (q->port < 0 || q->port == d->day.slots[i].port))
				q->held[q->n++] = d->day.slots[i];
	}
}

/* ---- the answers ---- */

static bool same(const struct entry *e, const struct model *m)
{
	uint32_t owner = e->n_owners ? e->owners[0].pid : 0;

	return e->id == m->socket_id && e->told.port == m->port && e->told.netns == m->netns &&
	       e->told.proto == m->proto && e->key.pid == m->pid && e->listened == m->listened &&
	       owner == m->owner && e->process && e->process->exe;
}

static void assert_same(struct ledger *led, const struct question *q)
{
	size_t found = 0;

	for (struct entry *e = ledger_next(led, NULL); e; e = ledger_next(led, e)) {
		size_t i = 0;

		while (i < q->n && !same(e, &q->held[i]))
			i++;
		if (i == q->n)
			print_error("not so: socket %" PRIu64 ", port %u, pid %u, listened %d, owners %u\n",
				    e->id, e->told.port, e->key.pid, e->listened, e->n_owners);
		assert_true(i < q->n);
		found++;
	}
	assert_int_equal(found, q->n);
}

static void forget_pages(const char *path)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_int_equal(fsync(fd), 0);
	assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
}

/* As `history PORT --at` does it: open, look, close. */
static double answer(const char *path, const struct question *q)
{
	uint8_t ports[65536 / 8] = { 0 };
	struct replay *r = replay_new();
	struct store *s;
	double begin = now_s();
	int64_t id;

	if (q->port >= 0)
		ports[q->port / 8] = (uint8_t)(1u << q->port % 8);
	assert_int_equal(store_open_read(path, &s), 0);
	assert_int_equal(store_id_at(s, q->wall_ns, &id), 0);
	assert_int_equal(replay_at(r, s, id, q->port >= 0 ? ports : NULL), 0);
	begin = now_s() - begin;
	assert_same(replay_ledger(r), q);
	store_close(s);
	replay_free(r);
	return begin;
}

/* The same records one after the other, the slow way, make the same ledger as the test's own picture. */
struct slow {
	struct replay *replay;
	struct test *day;
	size_t at;
};

static int slow_apply(void *arg, int64_t id, const struct view *v)
{
	struct slow *s = arg;

	for (; s->at < QUESTIONS && s->day->questions[s->at].wall_ns < v->rec->wall_ns; s->at++)
		if (s->day->questions[s->at].port < 0)
			assert_same(replay_ledger(s->replay), &s->day->questions[s->at]);
	assert_int_equal(replay_apply(s->replay, id, v), 0);
	return 0;
}

static size_t events_wanted(void)
{
	const char *text = getenv("TIMETRAVEL_EVENTS");

	return text ? strtoul(text, NULL, 10) : EVENTS;
}

static uint64_t size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) ? 0 : (uint64_t)st.st_size;
}

static void every_moment_of_a_day_is_as_it_was(void **state)
{
	struct test *d = *state;
	struct slow slow = { .day = d };
	struct store_query all = { .until = INT64_MAX };
	double worst_port = 0, worst_all = 0, took;
	double bytes;

	day_init(&d->day);
	d->day.put = put;
	d->day.before = questions_note;
	d->day.arg = d;
	assert_int_equal(store_open(d->path, &d->store), 0);
	questions_make(d);
	assert_int_equal(day_live(&d->day, events_wanted()), 0);
	assert_int_equal(store_commit(d->store), 0);
	d->store = store_close(d->store);
	bytes = (double)size_of(d->path) / (double)d->day.events;
	for (size_t i = 0; i < QUESTIONS; i++) {
		bool cold = i % 100 == 0;

		if (cold)
			forget_pages(d->path);
		took = answer(d->path, &d->questions[i]) * 1000;
		if (d->questions[i].port < 0)
			worst_all = took > worst_all ? took : worst_all;
		else
			worst_port = took > worst_port ? took : worst_port;
	}
	slow.replay = replay_new();
	assert_int_equal(store_open_read(d->path, &d->store), 0);
	took = now_s();
	assert_int_equal(store_each(d->store, &all, slow_apply, &slow), 0);
	took = now_s() - took;
	replay_free(slow.replay);
	print_message("# %zu events: %.0f/s written (processor time), %.1f bytes an event\n", d->day.events,
		      (double)d->day.events / d->put_s, bytes);
	print_message(
		"# %d moments: one port at most %.1f ms, all ports at most %.1f ms; all events read at %.0f/s\n",
		QUESTIONS, worst_port, worst_all, (double)d->day.events / took);
	if (JUDGE_SIZE) /* tables of a small history are half empty; speed is for tests/bench/store.c to judge */
		assert_true(bytes <= BYTES_MAX);
}

static int setup(void **state)
{
	struct test *d = calloc(1, sizeof(*d));
	int fd;

	if (!d)
		return -1;
	snprintf(d->path, sizeof(d->path), "/var/tmp/portlog-day.XXXXXX");
	fd = mkstemp(d->path);
	close(fd);
	*state = d;
	return fd < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	static const char *const suffixes[] = { "", "-wal", "-shm" };
	struct test *d = *state;
	char path[80];

	store_close(d->store);
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		snprintf(path, sizeof(path), "%s%s", d->path, suffixes[i]);
		if (!getenv("KEEP"))
			(void)unlink(path);
	}
	for (size_t i = 0; i < QUESTIONS; i++)
		free(d->questions[i].held);
	free(d);
	views_free();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_moment_of_a_day_is_as_it_was, setup, teardown),
	};

	return cmocka_run_group_tests_name("timetravel", tests, NULL, NULL);
}
