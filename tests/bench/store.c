/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The history: a day of events (DAY_EVENTS of them, 2,000,000 unless given) written as the recorder does, beside the same
 * day in one plain table of sqlite3; who held a port, asked of a file that no page is cached of; and what a recorder takes
 * of memory while it writes what a loop of binds makes.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/field.h"
#include "live/lib/bench.h"
#include "live/lib/net.h"
#include "store/db.h"
#include "store/store.h"
#include "support/day.h"
#include "support/views.h"
#include "util/cleanup.h"
#include "util/fail.h"
#include "util/loop.h"

#define COMMIT_EVERY 4096
#define QUESTIONS 15
#define BINDS 100000

static char folder[] = "/var/tmp/portlog-bench.XXXXXX";

static void die(const char *what)
{
	fprintf(stderr, "store: %s: %s\n", what, fail_story()[0] ? fail_story() : strerror(errno));
	exit(1);
}

static void path_in(char out[128], const char *name)
{
	snprintf(out, 128, "%s/%s", folder, name);
}

static size_t events_wanted(void)
{
	const char *text = getenv("DAY_EVENTS");

	return text ? strtoul(text, NULL, 10) : DAY_EVENTS;
}

static double bytes_of(const char *path)
{
	struct stat st;

	return stat(path, &st) ? 0 : (double)st.st_size;
}

/* ---- the store, and a plain table beside it. What makes the events is not counted ---- */

struct written {
	struct store *store;
	struct db *db;
	struct query *insert;
	size_t n;
	uint64_t ns;
};

static int store_take(void *arg, const struct view *v)
{
	struct written *w = arg;
	uint64_t begin = clock_boot_ns();
	int r = store_put(w->store, v);

	if (!r && ++w->n % COMMIT_EVERY == 0)
		r = store_commit(w->store);
	w->ns += clock_boot_ns() - begin;
	return r;
}

static void text_at(struct query *q, int at, const char *text)
{
	if (text)
		query_text(q, at, text, strlen(text));
}

/* What people put into a table of their own: the row that they see. */
static int plain_take(void *arg, const struct view *v)
{
	struct written *w = arg;
	uint64_t begin = clock_boot_ns();
	const struct process *p = v->process;
	char addr[ADDRESS_TEXT_MAX];
	int r = 0;

	if (w->n % COMMIT_EVERY == 0)
		r = db_exec(w->db, w->n ? "COMMIT; BEGIN" : "BEGIN");
	query_int(w->insert, 0, v->rec->wall_ns);
	text_at(w->insert, 1, action_name(v->rec->action));
	text_at(w->insert, 2, proto_name(v->rec->proto));
	query_text(w->insert, 3, addr, address_text(&v->rec->addr, addr));
	query_int(w->insert, 4, v->rec->port);
	query_int(w->insert, 5, v->rec->error);
	query_int(w->insert, 6, v->rec->pid);
	query_int(w->insert, 7, v->rec->uid);
	query_text(w->insert, 8, v->rec->comm, strnlen(v->rec->comm, sizeof(v->rec->comm)));
	text_at(w->insert, 9, p ? p->exe : NULL);
	if (p && p->args)
		query_blob(w->insert, 10, p->args, p->args_len);
	text_at(w->insert, 11, p ? p->where.unit : NULL);
	if (!r)
		r = query_run(w->insert);
	w->n++;
	w->ns += clock_boot_ns() - begin;
	return r;
}

static double live_a_day(struct written *w, int (*put)(void *, const struct view *))
{
	struct day *d = calloc(1, sizeof(*d));
	uint64_t begin;

	if (!d)
		die("a day");
	day_init(d);
	d->put = put;
	d->arg = w;
	if (day_live(d, events_wanted()))
		die("write an event");
	free(d);
	begin = clock_boot_ns();
	if (w->store ? store_commit(w->store) : db_exec(w->db, "COMMIT"))
		die("commit");
	w->ns += clock_boot_ns() - begin;
	return (double)w->n / ((double)w->ns / 1e9);
}

static bool measure_writing(const char *path)
{
	struct written mine = { 0 }, plain = { 0 };
	double rate, plain_rate, bytes, plain_bytes;
	char other[128];

	path_in(other, "plain.db");
	if (store_open(path, &mine.store) || db_open(other, DB_WRITE, &plain.db) ||
	    db_exec(plain.db,
		    "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
		    "CREATE TABLE events(id INTEGER PRIMARY KEY, time INTEGER, action TEXT, proto TEXT, addr TEXT,"
		    " port INTEGER, errno INTEGER, pid INTEGER, uid INTEGER, comm TEXT, exe TEXT, args BLOB,"
		    " unit TEXT); CREATE INDEX events_port ON events(port, time)") ||
	    db_prepare(plain.db, "INSERT INTO events VALUES(NULL,?,?,?,?,?,?,?,?,?,?,?,?)", &plain.insert))
		die("open");
	rate = live_a_day(&mine, store_take);
	plain_rate = live_a_day(&plain, plain_take);
	store_close(mine.store);
	db_close(plain.db);
	bytes = bytes_of(path) / (double)mine.n;
	plain_bytes = bytes_of(other) / (double)plain.n;
	printf("a day of %zu events; a plain table of sqlite3 beside it\n", mine.n);
	printf("%-52s %9.0f (at least 50,000; plain %.0f)\n", "events written a second", rate, plain_rate);
	printf("%-52s %9.1f (at most 150; plain %.1f)\n", "bytes an event on disk", bytes, plain_bytes);
	return rate >= 50000 && bytes <= 150;
}

/* ---- questions ---- */

static void forget_pages(const char *path)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED))
		die("forget the pages of the file");
}

static pid_t run(const char *const *args)
{
	pid_t pid = fork();

	if (!pid) {
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

		dup2(null, STDOUT_FILENO);
		execv(bench_portlog(), (char *const *)args);
		_exit(127);
	}
	if (pid < 0)
		die("start portlog");
	return pid;
}

/* The whole program, as somebody at a shell has it. */
static double ask(const char *path, const char *port, const char *at)
{
	const char *args[] = { "portlog", "history", "-q", "--store", path, port, "--at", at, NULL };
	uint64_t begin = clock_boot_ns();
	int status;

	if (waitpid(run(args), &status, 0) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) > 1)
		die("portlog history");
	return (double)(clock_boot_ns() - begin) / 1e6;
}

static bool measure_questions(const char *path)
{
	double cold[QUESTIONS], warm[QUESTIONS];
	bool fine;

	for (unsigned i = 0; i < QUESTIONS; i++) {
		int64_t at = (VIEWS_BOOT_WALL_NS + (int64_t)VIEWS_BASE_NS) / 1000000000 + 4000 + i * 5000;
		char port[16], when[32];

		snprintf(port, sizeof(port), "%u", 8000 + i);
		snprintf(when, sizeof(when), "@%" PRId64, at);
		forget_pages(path);
		cold[i] = ask(path, port, when);
		warm[i] = ask(path, port, when);
	}
	fine = bench_report("history PORT --at, no page of the file cached", cold, QUESTIONS, "ms", 50);
	return bench_report("history PORT --at, once more", warm, QUESTIONS, "ms", 0) && fine;
}

/* ---- the recorder ---- */

/* There is nothing to wait on before there is a file. */
static struct store *await_store(const char *path, pid_t recorder)
{
	struct store *s;

	while (store_open_read(path, &s)) {
		if (waitpid(recorder, NULL, WNOHANG))
			die("portlog record");
		(void)usleep(1000);
	}
	fail_clear();
	return s;
}

static bool measure_recorder(void)
{
	char path[128], inode[16];
	const char *args[] = { "portlog", "record", "-q", "-N", inode, "--store", path, NULL };
	double resident[1];
	struct store *s;
	int64_t last = 0;
	pid_t recorder;

	path_in(path, "recorded.db");
	if (net_new_namespace())
		die("a network namespace of our own");
	snprintf(inode, sizeof(inode), "%u", net_namespace_inode());
	recorder = run(args);
	s = await_store(path, recorder);
	bench_bind(2000, 1000, BINDS);
	while (last < 2 * BINDS) {
		if (store_last_id(s, &last))
			die("read what is recorded");
		(void)usleep(1000);
	}
	store_close(s);
	resident[0] = bench_resident_mib(recorder);
	kill(recorder, SIGTERM);
	waitpid(recorder, NULL, 0);
	return bench_report("resident memory of a recorder after 100,000 binds", resident, 1, "MiB", 32);
}

int main(void)
{
	static const char *const names[] = { "day.db", "plain.db", "recorded.db" };
	static const char *const suffixes[] = { "", "-wal", "-shm" };
	char path[128];
	bool fine;

	if (!mkdtemp(folder))
		die("make a folder");
	path_in(path, names[0]);
	fine = measure_writing(path);
	fine &= measure_questions(path);
	fine &= measure_recorder();
	for (size_t i = 0; i < ARRAY_SIZE(names) * ARRAY_SIZE(suffixes); i++) {
		char name[32];

		snprintf(name, sizeof(name), "%s%s", names[i / ARRAY_SIZE(suffixes)],
			 suffixes[i % ARRAY_SIZE(suffixes)]);
		path_in(path, name);
		(void)unlink(path);
	}
	(void)rmdir(folder);
	return fine ? 0 : 1;
}
