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
#include "support/views.h"
#include "util/cleanup.h"
#include "util/fail.h"

#define NS_PER_S 1000000000ull
#define DAY_NS (86400 * NS_PER_S)
#define QUESTIONS 1000
#define SLOTS 512      /* sockets that live at one time, at most */
#define PROCESSES 3000 /* pids in use; each has many lives */
#define AT_MS_MAX 50   /* of a cold question about one port */
#define RATE_MIN 50000 /* events written a second */
#define BYTES_MAX 150  /* an event on disk */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define EVENTS 50000
#define JUDGE_SPEED false
#else
#define EVENTS 2000000
#define JUDGE_SPEED true
#endif

/* The test's own picture of a socket. */
struct model {
	uint64_t socket_id; /* 0: free slot */
	uint32_t pid;
	uint32_t owner; /* after a handoff; 0: none */
	uint32_t netns;
	uint16_t port;
	enum proto proto;
	bool listened;
	uint64_t since_ns;
};

struct question {
	int64_t wall_ns;
	int port; /* -1: all */
	struct model *held;
	size_t n;
};

struct day {
	char path[64];
	struct store *store;
	struct session session;
	struct model slots[SLOTS];
	struct question questions[QUESTIONS];
	size_t asked; /* questions whose moment has come */
	uint64_t random;
	uint64_t seq;
	uint64_t time_ns;
	size_t events, streams;
	double put_s; /* spent in the store */
};

static uint64_t next_random(struct day *d)
{
	d->random ^= d->random << 13;
	d->random ^= d->random >> 7;
	d->random ^= d->random << 17;
	return d->random;
}

static uint32_t below(struct day *d, uint32_t n)
{
	return (uint32_t)(next_random(d) >> 20) % n;
}

/* Of the processor: other programs on the machine are not the store's fault. */
static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* ---- one event ---- */

struct actor_names {
	char comm[16];
	char exe[64];
	char unit[32];
	char args[3][32];
};

static struct actor_names names_of(uint32_t pid)
{
	struct actor_names n;

	snprintf(n.comm, sizeof(n.comm), "server-%u", pid % 40);
	snprintf(n.exe, sizeof(n.exe), "/usr/lib/services/bin/%s", n.comm);
	snprintf(n.unit, sizeof(n.unit), "%s.service", n.comm);
	snprintf(n.args[0], sizeof(n.args[0]), "%s", n.comm);
	snprintf(n.args[1], sizeof(n.args[1]), "--config=/etc/%u.conf", pid % 40);
	snprintf(n.args[2], sizeof(n.args[2]), "--worker=%u", pid);
	return n;
}

static void put(struct day *d, struct view_spec *spec)
{
	struct actor_names n = names_of(spec->pid);
	const struct view *v;
	double begin;
	int r;

	spec->seq = ++d->seq;
	spec->at_ns = (int64_t)(d->time_ns - VIEWS_BASE_NS);
	spec->session = &d->session;
	spec->start_ms = 1000 + spec->pid % PROCESSES;
	if (spec->pid) {
		spec->comm = n.comm;
		spec->exe = n.exe;
		spec->unit = n.unit;
		for (size_t i = 0; i < ARRAY_SIZE(n.args); i++)
			spec->args[i] = n.args[i];
	}
	v = views_make(spec);
	begin = now_s();
	r = store_put(d->store, v);
	if (!r && d->events % 4096 == 0)
		r = store_commit(d->store);
	d->put_s += now_s() - begin;
	if (r)
		print_error("%s\n", fail_story());
	assert_int_equal(r, 0);
	d->events++;
	views_free();
}

static struct view_spec of_socket(struct model *m, enum action action)
{
	return (struct view_spec){
		.action = action,
		.socket_id = m->socket_id,
		.pid = m->pid,
		.port = m->port,
		.proto = m->proto,
		.netns = m->netns,
		.cookie = m->socket_id * 4 + 4096,
		.inode = 20000 + m->socket_id * 3,
		.options = OPT_REUSEADDR,
		.uid = m->pid % 3 ? 33 : 0,
		.ppid = 1,
		.tid = m->pid,
		.via = 1,
		.cgroup_id = m->pid,
		.addr = m->pid % 5 ? "0.0.0.0" : "::",
		.since_ms = action == ACTION_RELEASE || action == ACTION_HANDOFF
				    ? (int64_t)((m->since_ns - VIEWS_BASE_NS) / 1000000) ?: 1
				    : 0,
	};
}

static void begin(struct day *d, struct model *m)
{
	struct view_spec spec;

	*m = (struct model){
		.socket_id = d->seq + 1,
		.pid = 100 + below(d, PROCESSES),
		.netns = VIEWS_HOST_NETNS + below(d, 4),
		.port = (uint16_t)(below(d, 4) ? 1 + below(d, 9999) : 8000 + below(d, 20)),
		.proto = below(d, 3) ? PROTO_TCP : PROTO_UDP,
		.since_ns = d->time_ns,
	};
	spec = of_socket(m, ACTION_BIND);
	put(d, &spec);
}

static void go_on(struct day *d, struct model *m)
{
	struct view_spec spec;
	uint32_t what = below(d, 100);

	if (m->proto == PROTO_TCP && !m->listened && what < 80) {
		spec = of_socket(m, ACTION_LISTEN);
		m->listened = true;
	} else if (what < 5) {
		m->owner = 100 + below(d, PROCESSES);
		spec = of_socket(m, ACTION_HANDOFF);
		spec.owners[0] = (struct owner_spec){ .pid = m->owner, .comm = "heir" };
	} else {
		spec = of_socket(m, ACTION_RELEASE);
		put(d, &spec);
		m->socket_id = 0;
		return;
	}
	put(d, &spec);
}

/* Somebody else wants a port that is taken. */
static void clash(struct day *d, struct model *m)
{
	struct view_spec spec = of_socket(m, ACTION_BIND);

	spec.error = EADDRINUSE;
	spec.socket_id = 0;
	spec.code = "listener";
	spec.why = "held by server-7[812] (server-7.service), listening for 45 ms";
	spec.hint = "systemctl stop server-7, or another port";
	spec.holders[0] = (struct holder_spec){
		.kind = HOLDER_LISTENER, .pid = m->pid, .comm = "server-7", .since_ms = -45
	};
	spec.pid = 100 + below(d, PROCESSES);
	put(d, &spec);
}

static void start(struct day *d)
{
	struct view_spec spec = { .action = ACTION_START };

	d->streams++;
	snprintf(d->session.stream, sizeof(d->session.stream), "%016zu", d->streams);
	d->seq = 0;
	put(d, &spec);
}

/* What lives through a gap is told by the snapshot again, with new ids. */
static void restart(struct day *d)
{
	start(d);
	for (size_t i = 0; i < SLOTS; i++) {
		struct model *m = &d->slots[i];
		struct view_spec spec;

		if (!m->socket_id || below(d, 4) == 0) {
			m->socket_id = 0;
			continue;
		}
		m->socket_id = d->seq + 1;
		m->owner = 0;
		m->listened = false; /* a snapshot of these says nothing of it */
		spec = of_socket(m, ACTION_SNAPSHOT);
		put(d, &spec);
	}
}

/* ---- the questions ---- */

static int by_time(const void *a, const void *b)
{
	const struct question *x = a, *y = b;

	return x->wall_ns < y->wall_ns ? -1 : x->wall_ns > y->wall_ns;
}

static void questions_make(struct day *d)
{
	for (size_t i = 0; i < QUESTIONS; i++) {
		d->questions[i].wall_ns =
			VIEWS_BOOT_WALL_NS + (int64_t)VIEWS_BASE_NS + (int64_t)(next_random(d) % DAY_NS);
		d->questions[i].port = i % 20 == 0 ? -1
				       : i % 2     ? (int)(8000 + below(d, 20))
						   : (int)(1 + below(d, 9999));
	}
	qsort(d->questions, QUESTIONS, sizeof(d->questions[0]), by_time);
}

/* Before the event of @time_ns happens: what is held is the answer to all questions up to it. */
static void questions_note(struct day *d, uint64_t time_ns)
{
	int64_t wall_ns = VIEWS_BOOT_WALL_NS + (int64_t)time_ns;

	for (; d->asked < QUESTIONS && d->questions[d->asked].wall_ns < wall_ns; d->asked++) {
		struct question *q = &d->questions[d->asked];

		q->held = calloc(SLOTS, sizeof(*q->held));
		assert_non_null(q->held);
		for (size_t i = 0; i < SLOTS; i++)
			if (d->slots[i].socket_id && (q->port < 0 || q->port == d->slots[i].port))
				q->held[q->n++] = d->slots[i];
	}
}

static void day_live(struct day *d, size_t events)
{
	size_t restart_at = events / 3;

	d->time_ns = VIEWS_BASE_NS;
	start(d);
	while (d->events < events) {
		struct model *m = &d->slots[below(d, SLOTS)];
		uint64_t next_ns =
			VIEWS_BASE_NS + (uint64_t)((double)DAY_NS / (double)events * (double)d->events);

		questions_note(d, next_ns);
		d->time_ns = next_ns;
		if (d->events >= restart_at) {
			restart(d);
			restart_at += events / 3;
		} else if (!m->socket_id) {
			begin(d, m);
		} else if (below(d, 20) == 0) {
			clash(d, m);
		} else {
			go_on(d, m);
		}
	}
	questions_note(d, UINT64_MAX / 4);
	assert_int_equal(store_commit(d->store), 0);
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
	struct day *day;
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
	struct day *d = *state;
	struct slow slow = { .day = d };
	struct store_query all = { .until = INT64_MAX };
	double worst_port = 0, worst_all = 0, took;
	double bytes;

	d->random = 88172645463325252ull;
	d->session = *views_session();
	assert_int_equal(store_open(d->path, &d->store), 0);
	questions_make(d);
	day_live(d, events_wanted());
	d->store = store_close(d->store);
	bytes = (double)size_of(d->path) / (double)d->events;
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
	print_message("# %zu events: %.0f/s written (processor time), %.1f bytes an event\n", d->events,
		      (double)d->events / d->put_s, bytes);
	print_message(
		"# %d moments: one port at most %.1f ms, all ports at most %.1f ms; all events read at %.0f/s\n",
		QUESTIONS, worst_port, worst_all, (double)d->events / took);
	if (!JUDGE_SPEED)
		return;
	assert_true(bytes <= BYTES_MAX);
	assert_true(worst_port < AT_MS_MAX);
	assert_true((double)d->events / d->put_s >= RATE_MIN);
}

static int setup(void **state)
{
	struct day *d = calloc(1, sizeof(*d));
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
	struct day *d = *state;
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
