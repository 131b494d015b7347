/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The join of snapshot and stream under load: four processes bind and close without pause and log the cookies of their
 * sockets, while portlog is started again and again. Once they stop, what it told must be what they did: nothing told
 * twice, nothing missed, and its ledger is the kernel's list. JOIN_STARTS says how often; JOIN_KEEP names a file for the
 * lines of the first start that went wrong.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "live/lib/bench.h"
#include "live/lib/ledger.h"
#include "live/lib/net.h"
#include "live/lib/tap.h"
#include "live/lib/tracer.h"
#include "util/cleanup.h"

#define N_WORKERS 4
#define N_HELD 8 /* sockets that a worker has open at any time */
#define FIRST_PORT 2000
#define PORTS_EACH 2000
#define BARRIER_PORT 20000
#define BARRIER_AGAIN_MS 500 /* nothing was told for so long: the barrier is lost */
#define LOG_MAX (4u << 20)
#define COMPLAINTS_MAX 5
#define AFTER_SYNCED 4000 /* binds made once the snapshot is complete */
#define FIELDS \
	"schema,stream,seq,ts,uptime_us,action,result,errno,socket_id,proto,addr,port,netns,cookie,hooks,blind,count,where"

/* A socket's life on the boot clock. */
struct entry {
	uint64_t cookie;
	uint64_t bound_ns;  /* just before the bind */
	uint64_t closed_ns; /* just before the close; 0: it is open */
};

struct worker {
	unsigned n;
	struct entry log[LOG_MAX];
};

struct board {
	int stop;
	struct worker workers[N_WORKERS];
};

/* ---- a worker ---- */

struct held_socket {
	int fd;
	struct entry *entry; /* NULL: none */
};

struct pipes {
	int stopped[2]; /* a byte from each worker that has */
	int resume[2];  /* a byte for each to go on */
};

static void bind_one(struct worker *w, struct held_socket *h, uint16_t port, unsigned i)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons(port),
				 .sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct entry *e = &w->log[w->n % LOG_MAX];
	socklen_t len = sizeof(e->cookie);

	h->fd = socket(AF_INET, i % 3 ? SOCK_STREAM : SOCK_DGRAM, 0);
	h->entry = e;
	*e = (struct entry){ .bound_ns = now_boot_ns() };
	if (getsockopt(h->fd, SOL_SOCKET, SO_COOKIE, &e->cookie, &len) ||
	    bind(h->fd, (struct sockaddr *)&a, sizeof(a)) || (i % 3 == 1 && listen(h->fd, 5)))
		_exit(1);
	__atomic_store_n(&w->n, w->n + 1, __ATOMIC_RELEASE);
}

static void close_one(struct held_socket *h)
{
	if (!h->entry)
		return;
	h->entry->closed_ns = now_boot_ns();
	close(h->fd);
	h->entry = NULL;
}

/* The log begins anew with what is open. */
static void start_log_again(struct worker *w, struct held_socket *held)
{
	struct entry open[N_HELD];

	w->n = 0;
	for (unsigned i = 0; i < N_HELD; i++) {
		if (!held[i].entry)
			continue;
		open[w->n] = *held[i].entry;
		held[i].entry = &w->log[w->n++];
	}
	memcpy(w->log, open, w->n * sizeof(*open));
}

static void __attribute__((noreturn)) work(struct board *b, unsigned number, const struct pipes *p)
{
	struct worker *w = &b->workers[number];
	struct held_socket held[N_HELD] = { 0 };
	char byte = 'x';

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (unsigned i = 0;; i++) {
		struct held_socket *h = &held[i % N_HELD];

		if (__atomic_load_n(&b->stop, __ATOMIC_ACQUIRE)) {
			if (write(p->stopped[1], &byte, 1) != 1 || read(p->resume[0], &byte, 1) != 1)
				_exit(1);
			start_log_again(w, held);
		}
		close_one(h);
		bind_one(w, h, (uint16_t)(FIRST_PORT + number * PORTS_EACH + i % PORTS_EACH), i);
	}
}

static void stop_workers(struct board *b, const struct pipes *p)
{
	char bytes[N_WORKERS];

	__atomic_store_n(&b->stop, 1, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < N_WORKERS; i++) {
		if (read(p->stopped[0], &bytes[i], 1) != 1)
			tap_bail("a worker is gone");
	}
}

static void resume_workers(struct board *b, const struct pipes *p)
{
	char bytes[N_WORKERS] = { 0 };

	__atomic_store_n(&b->stop, 0, __ATOMIC_RELEASE);
	if (write(p->resume[1], bytes, N_WORKERS) != N_WORKERS)
		tap_bail("a worker is gone");
}

static unsigned count_binds(struct board *b)
{
	unsigned n = 0;

	for (unsigned i = 0; i < N_WORKERS; i++)
		n += __atomic_load_n(&b->workers[i].n, __ATOMIC_ACQUIRE);
	return n;
}

/* ---- what was told ---- */

struct told {
	uint64_t *cookies; /* of bind and snapshot */
	size_t n, size;
	uint64_t start_ns; /* of the start event: all is hooked */
	uint64_t synced_ns;
	uint64_t lost;
	bool unsynced; /* lost, and no resync since */
	unsigned n_complaints;
	struct ledger ledger;
	FILE *lines; /* all of them, for JOIN_KEEP; NULL: not kept */
	FILE *story;
};

static void complain(struct told *t, const char *what, const char *line)
{
	if (t->n_complaints++ < COMPLAINTS_MAX)
		fprintf(t->story, "%s: %s\n", what, line);
}

static void add_cookie(struct told *t, const struct event *e)
{
	if (t->n == t->size) {
		t->size = t->size ? 2 * t->size : 4096;
		t->cookies = realloc(t->cookies, t->size * sizeof(*t->cookies));
		if (!t->cookies)
			abort();
	}
	t->cookies[t->n++] = strtoull(json_text_at(e->root, "socket.cookie"), NULL, 10);
}

/* The first that is told of a socket: of one whose bind was lost it is the listen. */
static bool tells_socket(const struct event *e, const char *action)
{
	if (!strcmp(action, "listen"))
		return json_number_at(e->root, "socket.id") == json_number_at(e->root, "seq");
	return !strcmp(action, "bind") || !strcmp(action, "snapshot");
}

static void fold(struct told *t, const struct event *e)
{
	const char *action = json_text_at(e->root, "action");
	uint64_t time_ns = json_number_at(e->root, "uptime_us") * 1000;

	if (!strcmp(action, "start"))
		t->start_ns = time_ns;
	if (!strcmp(action, "synced"))
		t->synced_ns = time_ns;
	if (!strcmp(action, "lost")) {
		t->lost += json_number_at(e->root, "count");
		t->ledger.lossy = t->unsynced = true;
	}
	if (!strcmp(action, "resync"))
		t->unsynced = false;
	if (!strcmp(json_text_at(e->root, "result"), "error"))
		complain(t, "a bind that worked is told as failed", e->line);
	if (!ledger_apply(&t->ledger, e))
		complain(t, t->ledger.why, e->line);
	if (tells_socket(e, action) && json_number_at(e->root, "socket.port") < BARRIER_PORT)
		add_cookie(t, e);
}

static void bind_barrier(void)
{
	if (bench_bind(BARRIER_PORT, 1, 1) == 0)
		tap_bail("the clock stands still");
}

/*
 * All that was told up to the end of a barrier socket, and a resync if one is due. The ring may still be full when the
 * barrier is made, which is lost then: another one is made when nothing has come for a while.
 */
static bool read_all(struct tracer *tracer, struct told *t)
{
	uint64_t deadline = now_ms() + TRACER_TIMEOUT_MS;
	enum tracer_next next;
	bool barrier = false;
	struct event e;

	bind_barrier();
	while ((!barrier || t->unsynced) && now_ms() < deadline) {
		next = tracer_next(tracer, now_ms() + BARRIER_AGAIN_MS, &e);
		if (next == TRACER_EOF)
			break;
		if (next == TRACER_TIMEOUT && !barrier)
			bind_barrier();
		if (next == TRACER_BAD)
			complain(t, "bad line", tracer->why);
		if (next != TRACER_EVENT)
			continue;
		if (t->lines)
			fprintf(t->lines, "%s\n", e.line);
		fold(t, &e);
		barrier |= json_number_at(e.root, "socket.port") == BARRIER_PORT &&
			   !strcmp(json_text_at(e.root, "action"), "release");
		event_done(&e);
	}
	if (!barrier || t->unsynced)
		fprintf(t->story, "%s was not told\n", barrier ? "a resync" : "the barrier's end");
	return barrier;
}

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void complain_about(FILE *out, unsigned *n, const char *what, uint64_t cookie)
{
	if ((*n)++ < 5)
		fprintf(out, "%s: cookie %ju\n", what, (uintmax_t)cookie);
}

static void check_doubles(struct told *t)
{
	unsigned n = 0;

	qsort(t->cookies, t->n, sizeof(*t->cookies), compare_u64);
	for (size_t i = 1; i < t->n; i++) {
		if (t->cookies[i] == t->cookies[i - 1])
			complain_about(t->story, &n, "told twice", t->cookies[i]);
	}
}

static bool is_told(const struct told *t, uint64_t cookie)
{
	return bsearch(&cookie, t->cookies, t->n, sizeof(cookie), compare_u64);
}

/* Bound after all was hooked, or still there when the snapshot was complete. */
static bool must_be_told(const struct told *t, const struct entry *e)
{
	return e->bound_ns > t->start_ns || !e->closed_ns || e->closed_ns > t->synced_ns;
}

static void check_logs(struct told *t, const struct board *b)
{
	unsigned n_missed = 0, n_closed_missed = 0;
	size_t n_known = 0;

	for (unsigned i = 0; i < N_WORKERS; i++) {
		const struct worker *w = &b->workers[i];

		for (unsigned j = 0; j < w->n; j++) {
			const struct entry *e = &w->log[j];
			bool told = is_told(t, e->cookie);

			n_known += told;
			if (told || !must_be_told(t, e))
				continue;
			if (e->closed_ns && ++n_closed_missed <= t->lost)
				continue; /* it said so */
			complain_about(t->story, &n_missed, e->closed_ns ? "not told" : "open, but not told",
				       e->cookie);
		}
	}
	if (n_known != t->n)
		fprintf(t->story, "%zu sockets told, but only %zu of them were ever bound\n", t->n, n_known);
}

static void check_ledger(struct told *t, bool lists_bound)
{
	struct net_list kernel;

	if (net_list(&kernel))
		fprintf(t->story, "the kernel's list cannot be read\n");
	else if (!kernel.has_no_module)
		(void)ledger_equals(&t->ledger, &kernel, lists_bound, t->story);
	net_list_done(&kernel);
}

/* ---- one start ---- */

static void start_portlog(struct tracer *tracer)
{
	char inode[16];
	const char *args[] = { "trace", "-j",  "-F", FIELDS, "--hooks", getenv("HOOKS") ?: "auto",
			       "netns", inode, NULL };
	auto_free char *said = NULL;

	snprintf(inode, sizeof(inode), "%u", net_namespace_inode());
	if (tracer_start(tracer, bench_portlog(), args))
		tap_bail("cannot start portlog");
	if (tracer_read_until(tracer, "\"action\":\"synced\"", now_ms() + TRACER_TIMEOUT_MS))
		return;
	said = tracer_stderr(tracer);
	tap_bail("portlog did not get to synced: %s", said);
}

static void join_once(struct board *b, const struct pipes *p, unsigned number, bool lists_bound)
{
	const char *keep = getenv("JOIN_KEEP");
	auto_free char *text = NULL;
	struct told told = { 0 };
	struct tracer tracer;
	unsigned binds;
	size_t len;

	told.story = open_memstream(&text, &len);
	told.lines = keep ? fopen(keep, "we") : NULL;
	start_portlog(&tracer);
	binds = count_binds(b);
	while (count_binds(b) < binds + AFTER_SYNCED)
		(void)tracer_read_until(&tracer, "no such text", now_ms() + 10);
	stop_workers(b, p);
	if (read_all(&tracer, &told)) {
		check_doubles(&told);
		check_logs(&told, b);
		check_ledger(&told, lists_bound);
	}
	fclose(told.story);
	if (told.lines)
		fclose(told.lines);
	if (told.lines && *text)
		unsetenv("JOIN_KEEP"); /* what went wrong stays */
	tap_result(!*text,
		   "start %u under load: each socket told once, none missed, the ledger is the kernel's",
		   number);
	tap_note("%zu sockets told of %u bound, %ju lost", told.n, count_binds(b), (uintmax_t)told.lost);
	tap_note_text(text);
	resume_workers(b, p);
	if (tracer_stop(&tracer))
		tap_note("portlog did not end with status 0");
	tracer_done(&tracer);
	ledger_done(&told.ledger);
	free(told.cookies);
}

/* "needs BPF: ..." when portlog says that it cannot run here; NULL: it can. */
static char *cannot_run(void)
{
	static const char *const args[] = { "trace", "-j", "--duration", "0s", NULL };
	auto_free char *said = NULL;
	struct tracer tracer;
	char *why = NULL;
	int status;

	if (tracer_start(&tracer, bench_portlog(), args))
		tap_bail("cannot start portlog");
	status = tracer_stop(&tracer);
	said = tracer_stderr(&tracer);
	tracer_done(&tracer);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 3 && asprintf(&why, "needs BPF: %s", said) < 0)
		abort();
	if (why)
		why[strcspn(why, "\n")] = '\0';
	return why;
}

int main(void)
{
	unsigned n_starts = (unsigned)atoi(getenv("JOIN_STARTS") ?: "20");
	auto_free char *why = NULL;
	struct board *b;
	struct pipes p;
	bool lists_bound;

	if (geteuid())
		return tap_skip_all("needs root");
	if (net_new_namespace() || pipe(p.stopped) || pipe(p.resume))
		tap_bail("a network namespace of our own: %s", strerror(errno));
	why = cannot_run();
	if (why)
		return tap_skip_all(why);
	lists_bound = net_lists_bound(BARRIER_PORT);
	b = mmap(NULL, sizeof(*b), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (b == MAP_FAILED)
		tap_bail("memory: %s", strerror(errno));
	for (unsigned i = 0; i < N_WORKERS; i++) {
		if (!fork())
			work(b, i, &p);
	}
	for (unsigned i = 1; i <= n_starts; i++)
		join_once(b, &p, i, lists_bound);
	return tap_end();
}
