/* SPDX-License-Identifier: GPL-2.0-only */
/* The pipeline: what it is made of, and the one loop. */
#include "pipeline/pipeline.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/timerfd.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "enrich/cgroup.h"
#include "pipeline/state.h"
#include "source/netns.h"
#include "util/cleanup.h"
#include "util/fail.h"

#define PROCESSES_MAX 8192
#define LEDGER_MAX 262144
#define BUSY_NS (4 * NS_PER_MS) /* after the last record the reader keeps looking by itself for so long */
#define NAP_NS NS_PER_MS
#define OFFSET_EVERY_NS NS_PER_S /* the wall clock is slewed: look again so often while there is traffic */
#define MISSED_EVERY_NS NS_PER_S /* it costs 70 us */
#define LOOK_EVERY_NS (10 * NS_PER_MS) /* for signals and exits, in a storm that leaves no time to sleep */
#define STEP_NS ((int64_t)(100 * NS_PER_MS))
#define RESYNC_SHARE 20

/* ---- clocks ---- */

/* The wall clock was set, or has drifted: records from now on carry the new time. */
static void offset_refresh(struct pipeline *p, uint64_t now_ns)
{
	int64_t before = p->session.boot_offset_ns, after = clock_boot_offset_ns();
	struct record rec;

	p->offset_due_ns = now_ns + OFFSET_EVERY_NS;
	p->session.boot_offset_ns = after;
	if (llabs(after - before) <= STEP_NS)
		return;
	record_now(&rec, ACTION_CLOCK);
	rec.clock_old_ns = (int64_t)rec.time_ns + before;
	rec.clock_new_ns = (int64_t)rec.time_ns + after;
	pipeline_tell(p, &rec, NULL, NULL, NULL);
}

static int clock_arm(int fd)
{
	/* Far away: the timer is there for its cancellation when the clock is set (timerfd_create(2)). */
	struct itimerspec far = { .it_value.tv_sec = INT64_C(1) << 40 };

	return timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &far, NULL) ? -errno : 0;
}

static int clock_stepped(void *arg, int fd)
{
	uint64_t n;

	(void)!read(fd, &n, sizeof(n));
	offset_refresh(arg, clock_boot_ns());
	(void)clock_arm(fd);
	return 0;
}

static int clock_watch(struct pipeline *p)
{
	p->clock_fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (p->clock_fd < 0)
		return fail(-errno, "make a timer");
	(void)clock_arm(p->clock_fd);
	return loop_watch(p->loop, p->clock_fd, clock_stepped, p);
}

/* ---- signals ---- */

/* A line that somebody asked for. Nobody waits for whoever does not read it: then it is dropped. */
static void __attribute__((format(printf, 1, 2))) line_print(const char *fmt, ...)
{
	struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };
	char line[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	/* A pipe that can be written takes PIPE_BUF bytes at once (pipe(7)). */
	if (poll(&p, 1, 0) > 0 && p.revents & POLLOUT)
		(void)!write(STDERR_FILENO, line, strlen(line));
}

static void missed_print(void *arg, const char *program, uint64_t missed)
{
	(void)arg;
	line_print("portlog: the kernel skipped %s %llu times\n", program, (unsigned long long)missed);
}

void statistics_print(const struct pipeline *p)
{
	line_print(
		"portlog: %llu events told, %llu lost, %llu ephemeral binds hidden, %zu sockets in the ledger "
		"(%llu refused), %zu processes, %llu bad records, %llu passes put off\n",
		(unsigned long long)p->told, (unsigned long long)lost_all(p),
		(unsigned long long)tracer_hidden(p->tracer), ledger_count(p->ledger),
		(unsigned long long)ledger_refused(p->ledger), processes_count(p->processes),
		(unsigned long long)p->bad_records, (unsigned long long)p->scan.refused);
	(void)tracer_missed(p->tracer, missed_print, NULL);
}

static int signal_taken(void *arg, int number)
{
	struct pipeline *p = arg;

	if (number == SIGUSR1) {
		statistics_print(p);
		keeper_figures(p);
	}
	if (number == SIGHUP && keeper_reopens(p)) {
		p->config->keeper->reopen(p->config->keeper->arg);
		return 0;
	}
	if (number != SIGINT && number != SIGTERM && number != SIGHUP)
		return 0;
	p->stop = true;
	p->asked_to_end++;
	return 0;
}

/* ---- opening ---- */

static void stream_name(struct session *s)
{
	uint64_t random = 0;

	if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
		random = clock_boot_ns() ^ (uint64_t)getpid() << 40;
	snprintf(s->stream, sizeof(s->stream), "%016llx", (unsigned long long)random);
}

/* A mistyped name would wait in silence for what never comes. */
static void netns_missing_say(const struct pipeline *p, const char *name)
{
	struct buf b = { 0 };

	if (p->output.options.talk_fd <= 0)
		return;
	buf_puts(&b, "portlog: no network namespace is called '");
	buf_visible(&b, name, strlen(name));
	buf_puts(&b, "' now; what happens in one that will be is told\n");
	(void)sink_put(&p->output.options, &b, p->output.options.talk_fd);
	buf_done(&b);
}

/* Names of namespaces become numbers while they exist; one that does not cannot be judged in the kernel. */
static void netns_resolve(struct pipeline *p)
{
	const struct filter_kernel *k = p->config->kernel;
	bool all = true;

	for (size_t i = 0; k && k->netns_valid && i < k->n_netns; i++) {
		uint32_t inode = enrich_netns_inode(p->enrich, k->netns[i]);

		if (!inode)
			netns_missing_say(p, k->netns[i]);
		all = all && inode && p->n_netns < TRACER_NETNS_MAX;
		if (all)
			p->netns[p->n_netns++] = inode;
	}
	if (!all)
		p->n_netns = 0;
}

void tracer_options_fill(struct pipeline *p, struct tracer_options *o, char *mount, size_t size)
{
	*o = (struct tracer_options){
		.hooks = p->config->hooks,
		.ring_bytes = p->config->ring_bytes,
		.filter = p->config->kernel,
		.ephemeral = p->config->ephemeral,
		.autobind = p->config->autobind,
		.no_iterators = p->config->no_iterators,
		.tree = p->config->tree,
		.pin = p->config->pin,
		.stream = p->session.stream,
		.pin_salt = p->config->pin_salt,
	};
	memcpy(o->netns, p->netns, sizeof(o->netns));
	o->n_netns = p->n_netns;
	if (!cgroup2_find(mount, size))
		o->cgroup2 = mount;
}

static int tracer_start(struct pipeline *p)
{
	const struct tracer_pinned *pinned;
	struct tracer_options o;
	char mount[4096];
	int r;

	netns_resolve(p);
	tracer_options_fill(p, &o, mount, sizeof(mount));
	r = tracer_open(&o, &p->tracer);
	if (r < 0)
		return r;
	pinned = tracer_pinned(p->tracer);
	r = ring_open(tracer_ring_fd(p->tracer), pinned ? pinned->ring_bytes : o.ring_bytes, &p->ring);
	if (!r && p->config->pin)
		r = resume_open(p);
	if (r < 0)
		return r;
	tracer_set_awake(p->tracer, true);
	p->session.hooks = tracer_hooks(p->tracer);
	p->session.blind = tracer_blind(p->tracer);
	return 0;
}

static int parts_make(struct pipeline *p)
{
	p->root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	p->processes = processes_new(PROCESSES_MAX);
	p->ledger = ledger_new(LEDGER_MAX);
	p->lingers = lingers_new();
	p->handoffs = handoffs_new();
	p->diags = diags_new();
	p->places = places_new();
	p->proc_fd = openat(p->root_fd, "proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (p->processes)
		p->enrich = enrich_new(p->root_fd, p->processes);
	if (!p->ledger || !p->lingers || !p->handoffs || !p->diags || !p->places || !p->enrich)
		return fail(-ENOMEM, "start");
	return loop_new(&p->loop);
}

/*
 * A reader that is woken must not push the producer off its processor: that is still inside the program that woke us,
 * and the kernel skips the programs of everybody else there until it comes back.
 */
static void reader_yields(void)
{
	struct sched_param none = { 0 };

	(void)sched_setscheduler(0, SCHED_BATCH, &none);
}

/* Under nohup(1) the terminal may go: what is ignored from the start stays so. */
static bool is_ignored(int number)
{
	struct sigaction now;

	return !sigaction(number, NULL, &now) && now.sa_handler == SIG_IGN;
}

static int pipeline_open(struct pipeline *p)
{
	const bool hup = keeper_reopens(p) || !is_ignored(SIGHUP);
	const int signals[] = { SIGINT, SIGTERM, SIGUSR1, hup ? SIGHUP : 0, 0 };
	static const int none[] = { 0 };
	struct utsname kernel;
	int r;

	p->clock_fd = p->root_fd = p->proc_fd = p->output.fd = p->output.talk_fd = -1;
	reader_yields();
	r = parts_make(p);
	if (r < 0)
		return r;
	r = loop_signals(p->loop, p->config->until_fd ? none : signals, signal_taken, p);
	if (r < 0)
		return r;
	p->session.own_pid = (uint32_t)getpid();
	p->session.version = PORTLOG_VERSION;
	p->session.boot_offset_ns = clock_boot_offset_ns();
	stream_name(&p->session);
	if (!uname(&kernel))
		snprintf(p->session.kernel, sizeof(p->session.kernel), "%s", kernel.release);
	enrich_session(p->enrich, &p->session);
	r = clock_watch(p);
	if (!r)
		r = until_watch(p);
	if (r < 0)
		return r;
	r = output_open(p);
	if (r < 0)
		return r;
	return tracer_start(p);
}

static void pipeline_close(struct pipeline *p)
{
	output_close(p);
	resume_free(p->resume);
	handoffs_free(p->handoffs, p);
	lingers_free(p->lingers);
	ledger_free(p->ledger);
	enrich_free(p->enrich);
	processes_free(p->processes);
	diags_free(p->diags);
	places_free(p->places);
	ring_close(p->ring);
	tracer_close(p->tracer);
	loop_free(p->loop);
	if (p->clock_fd >= 0)
		close(p->clock_fd);
	if (p->proc_fd >= 0)
		close(p->proc_fd);
	if (p->root_fd >= 0)
		close(p->root_fd);
}

/* ---- the loop ---- */

static void earlier(uint64_t *when, uint64_t other)
{
	if (other && other < *when)
		*when = other;
}

static uint64_t next_deadline(const struct pipeline *p)
{
	uint64_t when = UINT64_MAX;

	earlier(&when, p->deadline_ns);
	earlier(&when, p->sink_next_ns);
	earlier(&when, p->resync_due_ns);
	earlier(&when, p->map_due_ns);
	earlier(&when, lingers_next_ns(p->lingers));
	earlier(&when, handoffs_next_ns(p->handoffs));
	earlier(&when, diags_next_ns(p->diags));
	earlier(&when, p->unchecked ? p->missed_due_ns : 0);
	earlier(&when, p->look_next_ns);
	return when;
}

static int sink_tick(struct pipeline *p, uint64_t now_ns)
{
	return p->config->sink->tick ? p->config->sink->tick(p->sink, now_ns, &p->sink_next_ns) : 0;
}

static int resync_when_due(struct pipeline *p)
{
	uint64_t begin = clock_boot_ns(), took;
	int r;

	if (!p->resync_due_ns || begin < p->resync_due_ns || begin < p->resync_next_ns)
		return 0;
	r = pipeline_resync(p);
	took = clock_boot_ns() - begin;
	p->resync_next_ns = begin + took * RESYNC_SHARE;
	if (p->resync_due_ns && p->resync_due_ns < p->resync_next_ns)
		p->resync_due_ns = p->resync_next_ns;
	return r;
}

/* Whatever is due beside the ring. */
static int pipeline_tick(struct pipeline *p)
{
	uint64_t now_ns = clock_boot_ns();
	int r;

	if (p->deadline_ns && now_ns >= p->deadline_ns) {
		p->stop = true;
		return 0;
	}
	if (p->busy && now_ns >= p->offset_due_ns)
		offset_refresh(p, now_ns);
	if (p->unchecked && now_ns >= p->missed_due_ns) {
		p->unchecked = false;
		p->missed_due_ns = now_ns + MISSED_EVERY_NS;
		missed_check(p);
	}
	lingers_tick(p, now_ns);
	handoffs_tick(p, now_ns);
	diags_tick(p->diags, now_ns);
	keeper_tick(p, now_ns);
	r = resync_when_due(p);
	if (!r)
		r = sink_tick(p, now_ns);
	return r ? r : p->error;
}

/*
 * Sleep until there is something to do. While records come the reader looks every millisecond by itself, so that nobody
 * pays for waking it; then it says that it sleeps, looks once more (a record under way counts), and sleeps without end.
 */
static int pipeline_sleep(struct pipeline *p)
{
	uint64_t now_ns = clock_boot_ns(), deadline = next_deadline(p);
	uint64_t timeout = deadline == UINT64_MAX ? UINT64_MAX : deadline > now_ns ? deadline - now_ns : 0;
	int r;

	if (keep_is_behind(p))
		return keep_nap(p, timeout);
	if (now_ns - p->last_record_ns < BUSY_NS) {
		p->busy = true;
		return loop_wait(p->loop, -1, timeout < NAP_NS ? timeout : NAP_NS);
	}
	p->busy = false;
	tracer_set_awake(p->tracer, false);
	r = ring_is_empty(p->ring) ? loop_wait(p->loop, ring_fd(p->ring), timeout) : 0;
	tracer_set_awake(p->tracer, true);
	return r;
}

/* What a sleep would have found, when there is no time for one. */
int pipeline_look(struct pipeline *p)
{
	uint64_t now_ns = clock_boot_ns();

	if (now_ns < p->look_due_ns)
		return 0;
	p->look_due_ns = now_ns + LOOK_EVERY_NS;
	return loop_wait(p->loop, -1, 0);
}

static int pipeline_loop(struct pipeline *p)
{
	bool any;
	int r;

	for (;;) {
		r = pipeline_drain(p, &any);
		if (any)
			drain_timed(p, clock_boot_ns());
		p->unchecked = p->unchecked || any;
		if (!r)
			r = pipeline_tick(p);
		keep_mark(p);
		if (!r && p->config->sink->flush)
			r = p->config->sink->flush(p->sink);
		if (r || p->stop || until_reached(p))
			return r;
		r = any ? pipeline_look(p) : pipeline_sleep(p);
		if (r < 0)
			return r;
	}
}

/* ---- the run ---- */

static void start_tell(struct pipeline *p)
{
	struct record rec;

	record_now(&rec, ACTION_START);
	rec.pinned = resume_is_on(p);
	p->started_ns = rec.time_ns;
	pipeline_tell(p, &rec, NULL, NULL, NULL);
}

/* The last records are in the ring; then the totals. */
static int stop_tell(struct pipeline *p)
{
	uint64_t next_ns;
	struct record rec;
	int r;

	losses_check(p);
	missed_check(p);
	if (p->config->tree)
		tree_left_tell(p);
	if (p->config->verbose)
		statistics_print(p);
	record_now(&rec, ACTION_STOP);
	rec.pinned = p->pinned;
	rec.told = p->told;
	rec.lost = lost_all(p);
	rec.hidden = tracer_hidden(p->tracer);
	r = p->config->sink->tick ? p->config->sink->tick(p->sink, UINT64_MAX, &next_ns) : 0;
	pipeline_tell(p, &rec, NULL, NULL, NULL);
	keep_mark(p);
	if (!r && p->config->sink->flush)
		r = p->config->sink->flush(p->sink);
	return r ? r : p->error;
}

static int pipeline_trace(struct pipeline *p)
{
	bool adopted = p->resume;
	int r = adopted ? resume_begin(p) : 0;

	if (r < 0)
		return r;
	start_tell(p);
	resume_losses(p);
	if (p->config->sink->flush)
		r = p->config->sink->flush(p->sink);
	if (p->config->duration_ns)
		p->deadline_ns = p->started_ns + p->config->duration_ns;
	if (!r && adopted)
		r = resume_end(p);
	else if (!r && p->config->snapshot)
		r = pipeline_snapshot(p);
	if (!r && !p->stop)
		r = pipeline_loop(p);
	keeper_stopping(p);
	if (r)
		return r;
	r = stop_tell(p);
	keeper_tick(p, UINT64_MAX);
	if (!r && p->config->count && p->told < p->config->count && p->deadline_ns)
		return PIPELINE_SHORT;
	return r;
}

int pipeline_run(const struct pipeline_config *config)
{
	struct pipeline *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return fail(-ENOMEM, "start");
	p->config = config;
	r = pipeline_open(p);
	if (!r)
		r = pipeline_trace(p);
	if (r < 0 && p->output.unread)
		fail_text(r, "nobody reads the output: what was left of it is dropped");
	pipeline_close(p);
	free(p);
	return r;
}
