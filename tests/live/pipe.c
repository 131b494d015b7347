/* SPDX-License-Identifier: GPL-2.0-only */
/* How portlog ends, and what it leaves out when told to: signals, a reader that goes, counts, durations, filters. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "live/lib/bench.h"
#include "live/lib/net.h"
#include "live/lib/tap.h"
#include "live/lib/tracer.h"
#include "util/cleanup.h"

#define ARGS_MAX 16
#define PORT 4000

static char netns[16];

/* "trace -j netns OURS" and the words of @extra, up to the event @until (NULL: do not wait). */
static void start(struct tracer *t, const char *extra, const char *until)
{
	const char *args[ARGS_MAX] = { "trace", "-j", "netns", netns };
	char words[128], *save, *word;
	size_t n = 4;

	snprintf(words, sizeof(words), "%s", extra);
	for (word = strtok_r(words, " ", &save); word && n < ARGS_MAX - 1; word = strtok_r(NULL, " ", &save))
		args[n++] = word;
	if (tracer_start(t, bench_portlog(), args))
		tap_bail("cannot start portlog");
	if (until && !tracer_read_until(t, until, now_ms() + TRACER_TIMEOUT_MS)) {
		auto_free char *said = tracer_stderr(t);

		tap_bail("portlog %s did not start: %s", extra, said);
	}
}

#define START "\"action\":\"start\""
#define SYNCED "\"action\":\"synced\""

/* Every line until the end: how many have @action, and whether the last one is a stop. */
struct ending {
	unsigned n;       /* events that are not bookkeeping */
	unsigned n_found; /* of them, those with the text that was looked for */
	bool stop_is_last;
	int status;
};

static bool is_bookkeeping(const char *action)
{
	return !strcmp(action, "start") || !strcmp(action, "stop") || !strcmp(action, "synced") ||
	       !strcmp(action, "clock");
}

static struct ending read_to_the_end(struct tracer *t, const char *text)
{
	struct ending r = { 0 };
	enum tracer_next next;
	struct event e;

	while ((next = tracer_next(t, now_ms() + TRACER_TIMEOUT_MS, &e)) == TRACER_EVENT ||
	       next == TRACER_BAD) {
		if (next == TRACER_BAD) {
			tap_note("%s", t->why);
			continue;
		}
		r.stop_is_last = !strcmp(json_text_at(e.root, "action"), "stop");
		r.n += !is_bookkeeping(json_text_at(e.root, "action"));
		r.n_found += text && strstr(e.line, text);
		event_done(&e);
	}
	r.status = tracer_wait(t);
	if (r.status) {
		auto_free char *said = tracer_stderr(t);

		tap_note("status %d, signal %d: %s", WEXITSTATUS(r.status), WTERMSIG(r.status), said);
	}
	tracer_done(t);
	return r;
}

static int bind_at(unsigned port, int *ret_error)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons((uint16_t)port),
				 .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*ret_error = bind(fd, (struct sockaddr *)&a, sizeof(a)) ? errno : 0;
	return fd;
}

static void bind_and_close(unsigned port)
{
	int error;

	close(bind_at(port, &error));
}

/* ---- the end ---- */

static void ends_at_signal(int signal, const char *name)
{
	struct tracer t;
	struct ending r;

	start(&t, "", SYNCED);
	kill(t.pid, signal);
	r = read_to_the_end(&t, NULL);
	tap_result(!r.status && r.stop_is_last, "%s: a stop event last, status 0", name);
}

/* Nobody reads any more: the next event finds out. */
static void ends_with_its_reader(void)
{
	auto_free char *said = NULL;
	struct tracer t;
	int status;

	start(&t, "", SYNCED);
	close(t.out);
	t.out = open("/dev/null", O_RDONLY | O_CLOEXEC); /* tracer_wait() finds an end at once */
	bind_and_close(PORT);
	status = tracer_wait(&t);
	said = tracer_stderr(&t);
	tap_result(!status && !*said, "a reader that closes the pipe: quiet, status 0");
	if (status || *said)
		tap_note("status %d, signal %d: %s", WEXITSTATUS(status), WTERMSIG(status), said);
	tracer_done(&t);
}

/* Its pipe is full and stays so: it waits, but a signal ends it. */
static void ends_without_its_reader_reading(void)
{
	auto_free char *said = NULL;
	int fds[2], status = -1;
	struct tracer t;
	uint64_t deadline;

	if (pipe2(fds, O_CLOEXEC) || fcntl(fds[1], F_SETPIPE_SZ, 4096) < 0 ||
	    tracer_start_on(&t, bench_portlog(),
			    (const char *const[]){ "-j", "--no-snapshot", "netns", netns, NULL }, -1, fds[1]))
		tap_bail("cannot start portlog");
	close(fds[1]);
	deadline = now_ms() + TRACER_TIMEOUT_MS;
	for (int n = 0; now_ms() < deadline && (ioctl(fds[0], FIONREAD, &n) || n < 3000);)
		bind_and_close(PORT);
	for (unsigned i = 0; i < 1000; i++)
		bind_and_close(PORT);
	kill(t.pid, SIGTERM);
	while (now_ms() < deadline && waitpid(t.pid, &status, WNOHANG) == 0)
		usleep(10000);
	if (status != -1)
		t.pid = 0;
	said = tracer_stderr(&t);
	tap_result(WIFEXITED(status) && WEXITSTATUS(status) == 3 && strstr(said, "nobody reads"),
		   "SIGTERM ends it although its reader does not read: status 3, and says so");
	tap_note("status %d: %s", status, said);
	tracer_done(&t);
	close(fds[0]);
}

static void ends_after_a_count(void)
{
	struct tracer t;
	struct ending r;

	start(&t, "-c 3", SYNCED);
	bind_and_close(PORT);
	bind_and_close(PORT);
	r = read_to_the_end(&t, NULL);
	tap_result(!r.status && r.n == 3 && r.stop_is_last, "-c 3: three events, status 0");
	tap_note("%u events", r.n);
}

static void count_not_reached(void)
{
	struct tracer t;
	struct ending r;

	start(&t, "-c 1000 --duration 500ms", SYNCED);
	bind_and_close(PORT);
	r = read_to_the_end(&t, NULL);
	tap_result(WIFEXITED(r.status) && WEXITSTATUS(r.status) == 1 && r.n == 2 && r.stop_is_last,
		   "-c not reached within --duration: status 1");
}

static void ends_after_a_while(void)
{
	uint64_t begin = now_ms();
	struct tracer t;
	struct ending r;

	start(&t, "--duration 500ms", START);
	r = read_to_the_end(&t, NULL);
	tap_result(!r.status && r.stop_is_last && now_ms() - begin >= 500,
		   "--duration: over after that, status 0");
}

/* ---- what is left out ---- */

static void only_failures(void)
{
	struct tracer t;
	struct ending r;
	int error, fd;

	start(&t, "-x -c 1", SYNCED);
	fd = bind_at(PORT, &error);
	close(bind_at(PORT, &error));
	close(fd);
	r = read_to_the_end(&t, "\"holder\":{\"kind\":\"bound\"");
	tap_result(!r.status && r.n == 1 && r.n_found == 1,
		   "-x: the failure alone, and its holder is known all the same");
}

static void only_a_port(void)
{
	struct tracer t;
	struct ending r;

	start(&t, "and port 4001 -c 2", SYNCED);
	bind_and_close(PORT);
	bind_and_close(PORT + 1);
	r = read_to_the_end(&t, "\"port\":4001");
	tap_result(!r.status && r.n == 2 && r.n_found == 2, "port 4001: nothing of other ports");
}

static void only_live(void)
{
	struct tracer t;
	struct ending r;
	int error, fd = bind_at(PORT + 2, &error);

	start(&t, "--no-snapshot -c 2", START);
	bind_and_close(PORT);
	r = read_to_the_end(&t, "\"action\":\"snapshot\"");
	tap_result(!r.status && r.n == 2 && !r.n_found, "--no-snapshot: nothing of what was there before");
	close(fd);
}

int main(void)
{
	struct tracer t;
	int status;

	if (geteuid())
		return tap_skip_all("needs root");
	if (net_new_namespace())
		tap_bail("a network namespace of our own: %s", strerror(errno));
	snprintf(netns, sizeof(netns), "%u", net_namespace_inode());
	start(&t, "--duration 1ms", NULL);
	status = tracer_wait(&t);
	tracer_done(&t);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 3)
		return tap_skip_all("needs BPF: portlog cannot run here");
	ends_at_signal(SIGTERM, "SIGTERM");
	ends_at_signal(SIGHUP, "SIGHUP: the terminal is gone");
	ends_at_signal(SIGINT, "SIGINT");
	ends_with_its_reader();
	ends_without_its_reader_reading();
	ends_after_a_count();
	count_not_reached();
	ends_after_a_while();
	only_failures();
	only_a_port();
	only_live();
	return tap_end();
}
