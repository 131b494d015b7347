/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Figures as a file. Failures are counted here, as events come; all else is looked up when the file is written: whole,
 * beside the old one, which it then replaces. No label says a port or a process: there must not be many.
 */
#include "sink/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/explain.h"
#include "core/field.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/fail.h"

#define NS_PER_S 1000000000ull
#define FIRST_NS (NS_PER_S / 4) /* between two looks whether there is something to write at all */
#define FAILURES_MAX 64         /* kinds of them; more are "other" */

struct failures {
	char error[24], reason[24];
	uint64_t n;
};

struct sink_name {
	char *name;
	const struct writer_gauge *gauge;
};

struct metrics {
	char *path, *temporary, *store;
	struct metrics_board *board;
	struct sink_name sinks[WRITER_SINKS_MAX];
	size_t n_sinks;
	struct session session;
	double start_s;
	struct failures failures[FAILURES_MAX];
	struct pipeline_stats stats; /* of the file that is being written */
	struct buf b;
};

void metrics_show(struct metrics_board *board, const struct pipeline_stats *stats)
{
	uint64_t lag_ns;

	pthread_mutex_lock(&board->lock);
	lag_ns = board->stats.lag_ns; /* nobody has seen the last one yet */
	board->stats = *stats;
	if (board->stats.lag_ns < lag_ns)
		board->stats.lag_ns = lag_ns;
	board->valid = true;
	pthread_mutex_unlock(&board->lock);
}

static bool board_take(struct metrics *m)
{
	bool valid;

	pthread_mutex_lock(&m->board->lock);
	m->stats = m->board->stats;
	m->board->stats.lag_ns = 0;
	valid = m->board->valid;
	pthread_mutex_unlock(&m->board->lock);
	return valid;
}

/* ---- the format ---- */

static void put_help(struct buf *b, const char *name, const char *type, const char *help)
{
	buf_printf(b, "# HELP portlog_%s %s\n# TYPE portlog_%s %s\n", name, help, name, type);
}

/* A label's value: foreign bytes made visible, and what the format itself escapes. */
static void put_label(struct buf *b, const char *name, const char *value)
{
	struct buf text = { 0 };

	buf_visible(&text, value, strlen(value));
	buf_printf(b, "%s=\"", name);
	for (const char *c = buf_str(&text); *c; c++) {
		if (*c == '"' || *c == '\\')
			buf_putc(b, '\\');
		buf_putc(b, *c);
	}
	buf_putc(b, '"');
	buf_done(&text);
}

static void put_value(struct buf *b, const char *name, const char *label, const char *of, uint64_t value)
{
	buf_printf(b, "portlog_%s", name);
	if (label) {
		buf_putc(b, '{');
		put_label(b, label, of);
		buf_putc(b, '}');
	}
	buf_putc(b, ' ');
	buf_u64(b, value);
	buf_putc(b, '\n');
}

/* ---- the figures ---- */

#define AT(member) offsetof(struct pipeline_stats, member)

static const struct {
	const char *name, *type, *help;
	size_t at;
} plain[] = {
	{ "events_total", "counter", "Events told, without bookkeeping", AT(told) },
	{ "ephemeral_binds_total", "counter", "Binds to port 0, counted and not told", AT(ephemeral) },
	{ "ledger_refused_total", "counter", "Sockets that found no room in the ledger", AT(refused) },
	{ "bad_records_total", "counter", "Records of the kernel's side that were not understood",
	  AT(bad_records) },
	{ "processes", "gauge", "Processes that are remembered", AT(processes) },
	{ "ring_used_bytes", "gauge", "Bytes in the ring from the kernel that were not read yet",
	  AT(ring_used) },
	{ "ring_size_bytes", "gauge", "Size of the ring from the kernel", AT(ring_bytes) },
};

static void plain_put(struct metrics *m)
{
	for (size_t i = 0; i < ARRAY_SIZE(plain); i++) {
		put_help(&m->b, plain[i].name, plain[i].type, plain[i].help);
		put_value(&m->b, plain[i].name, NULL, NULL,
			  *(const uint64_t *)((const char *)&m->stats + plain[i].at));
	}
}

static void sockets_put(struct metrics *m)
{
	uint64_t all = 0;

	put_help(&m->b, "sockets_held", "gauge", "Sockets that hold a port");
	for (unsigned proto = PROTO_TCP; proto < ARRAY_SIZE(m->stats.held); proto++) {
		put_value(&m->b, "sockets_held", "proto", proto_name((enum proto)proto),
			  m->stats.held[proto]);
		all += m->stats.held[proto];
	}
	put_help(&m->b, "ledger_sockets", "gauge", "Sockets in the ledger");
	put_value(&m->b, "ledger_sockets", NULL, NULL, all + m->stats.held[PROTO_NONE]);
}

static void losses_put(struct metrics *m)
{
	put_help(&m->b, "lost_events_total", "counter",
		 "Events that were lost before they could be told, or before the history");
	for (unsigned where = LOST_NOWHERE + 1; where < LOST_TREE; where++) /* the tree is `run`'s */
		put_value(&m->b, "lost_events_total", "where", lost_where_name((enum lost_where)where),
			  m->stats.lost[where]);
}

static void failures_put(struct metrics *m)
{
	put_help(&m->b, "failures_total", "counter", "Binds and listens that failed");
	for (const struct failures *f = m->failures; f < m->failures + FAILURES_MAX && f->n; f++) {
		buf_puts(&m->b, "portlog_failures_total{");
		put_label(&m->b, "errno", f->error);
		buf_putc(&m->b, ',');
		put_label(&m->b, "reason_code", f->reason);
		buf_puts(&m->b, "} ");
		buf_u64(&m->b, f->n);
		buf_putc(&m->b, '\n');
	}
}

enum sink_figure { SINK_WRITTEN, SINK_MISSED, SINK_QUEUED, SINK_FAILING };

static uint64_t sink_value(const struct writer_gauge *g, enum sink_figure figure)
{
	switch (figure) {
	case SINK_WRITTEN:
		return g->written;
	case SINK_MISSED:
		return g->missed;
	case SINK_QUEUED:
		return g->queued;
	default:
		return g->failing;
	}
}

static void sinks_put(struct metrics *m)
{
	static const struct {
		enum sink_figure figure;
		const char *name, *type, *help;
	} figures[] = {
		{ SINK_WRITTEN, "sink_events_total", "counter", "Events that a sink has written" },
		{ SINK_MISSED, "sink_missed_events_total", "counter", "Events that a sink will never have" },
		{ SINK_QUEUED, "sink_queue_bytes", "gauge", "Bytes of events that wait for a sink" },
		{ SINK_FAILING, "sink_failing", "gauge", "Whether a sink fails, and is tried again" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(figures); i++) {
		put_help(&m->b, figures[i].name, figures[i].type, figures[i].help);
		for (size_t s = 0; s < m->n_sinks; s++)
			put_value(&m->b, figures[i].name, "sink", m->sinks[s].name,
				  sink_value(m->sinks[s].gauge, figures[i].figure));
	}
}

/* With what is in its log and not yet in it. */
static void history_put(struct metrics *m)
{
	static const char *const ends[] = { "", "-wal" };
	uint64_t bytes = 0;

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		struct buf path = { 0 };
		struct stat st;

		buf_printf(&path, "%s%s", m->store, ends[i]);
		if (!stat(buf_str(&path), &st))
			bytes += (uint64_t)st.st_size;
		buf_done(&path);
	}
	put_help(&m->b, "history_size_bytes", "gauge", "Size of the history on disk");
	put_value(&m->b, "history_size_bytes", NULL, NULL, bytes);
}

static void build_put(struct metrics *m)
{
	put_help(&m->b, "build_info", "gauge", "Always 1: which portlog runs, and by which hooks it sees");
	buf_puts(&m->b, "portlog_build_info{");
	put_label(&m->b, "version", m->session.version ? m->session.version : "");
	buf_putc(&m->b, ',');
	put_label(&m->b, "hooks", m->session.hooks ? m->session.hooks : "");
	buf_puts(&m->b, "} 1\n");
	put_help(&m->b, "start_time_seconds", "gauge", "When it was started, in seconds since 1970");
	buf_printf(&m->b, "portlog_start_time_seconds %.3f\n", m->start_s);
	put_help(&m->b, "lag_seconds", "gauge", "At most, of late: from a call to its event");
	buf_printf(&m->b, "portlog_lag_seconds %.6f\n", (double)m->stats.lag_ns / (double)NS_PER_S);
}

/* ---- the file ---- */

/* Beside the old one, under a name that no reader of *.prom takes for one; it may be left from one that was killed. */
static int temporary_open(const struct metrics *m)
{
	int fd;

	(void)unlink(m->temporary);
	fd = open(m->temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd >= 0)
		(void)fchmod(fd, 0644); /* whatever a service's umask is: another user reads it */
	return fd;
}

static int file_write(struct metrics *m)
{
	auto_close int fd = temporary_open(m);
	int r = fd < 0 ? -errno : buf_write(&m->b, fd);

	if (!r && rename(m->temporary, m->path))
		r = -errno;
	if (r)
		(void)unlink(m->temporary);
	return r ? fail(r, "write %s", m->path) : 0;
}

static int metrics_put(struct metrics *m)
{
	buf_reset(&m->b);
	build_put(m);
	sockets_put(m);
	failures_put(m);
	plain_put(m);
	losses_put(m);
	sinks_put(m);
	history_put(m);
	return file_write(m);
}

/* ---- the form ---- */

static void failure_count(struct metrics *m, const struct view *v)
{
	const char *reason = v->explanation ? v->explanation->code : "unknown";
	char scratch[16];
	const char *error = errno_name(v->rec->error, scratch);
	struct failures *f = m->failures;

	while (f < m->failures + FAILURES_MAX - 1 && f->n &&
	       (strcmp(f->error, error) || strcmp(f->reason, reason)))
		f++;
	if (f == m->failures + FAILURES_MAX - 1)
		error = reason = "other";
	snprintf(f->error, sizeof(f->error), "%s", error);
	snprintf(f->reason, sizeof(f->reason), "%s", reason);
	f->n++;
}

static int metrics_write(void *state, const struct view *v)
{
	struct metrics *m = state;

	if (v->rec->action == ACTION_START && v->session)
		m->session = *v->session;
	if (v->rec->error)
		failure_count(m, v);
	return 0;
}

static int metrics_tick(void *state, uint64_t now_ns, uint64_t *ret_next_ns)
{
	struct metrics *m = state;
	bool valid = board_take(m);

	*ret_next_ns = now_ns + (valid ? METRICS_NS : FIRST_NS);
	return valid ? metrics_put(m) : 0;
}

static void metrics_close(void *state)
{
	struct metrics *m = state;

	if (!m)
		return;
	for (size_t i = 0; i < m->n_sinks; i++)
		free(m->sinks[i].name);
	free(m->path);
	free(m->temporary);
	free(m->store);
	buf_done(&m->b);
	free(m);
}

static int metrics_fill(struct metrics *m, const struct metrics_options *o)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	m->start_s = (double)now.tv_sec + (double)now.tv_nsec / (double)NS_PER_S;
	m->board = o->board;
	m->path = strdup(o->path);
	m->store = strdup(o->store);
	if (asprintf(&m->temporary, "%s.new", o->path) < 0)
		m->temporary = NULL;
	if (!m->path || !m->store || !m->temporary)
		return -ENOMEM;
	for (size_t i = 0; i < o->n; i++) {
		const struct writer_sink *s = &o->sinks[i];

		m->sinks[i].gauge = s->gauge;
		m->sinks[i].name = strdup(s->name ? s->name : s->ops->name);
		if (!m->sinks[i].name)
			return -ENOMEM;
		m->n_sinks++;
	}
	return 0;
}

/* A name that can never be a file's is better told at once. One whose folder is not there yet is waited for. */
static int path_check(const char *path)
{
	size_t len = strlen(path);
	struct stat st;

	if (stat(path, &st))
		return errno != ENOENT ? -errno : len && path[len - 1] == '/' ? -EISDIR : 0;
	if (S_ISREG(st.st_mode))
		return 0;
	return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
}

static int metrics_open(const struct sink_options *o, void **ret_state)
{
	const struct metrics_options *mo = o->arg;
	struct metrics *m = calloc(1, sizeof(*m));
	int r = m ? path_check(mo->path) : -ENOMEM;

	if (!r)
		r = metrics_fill(m, mo);
	if (r) {
		metrics_close(m);
		return fail(r, "write metrics to %s", mo->path);
	}
	*ret_state = m;
	return 0;
}

const struct sink_ops sink_metrics = {
	.name = "metrics",
	.open = metrics_open,
	.write = metrics_write,
	.tick = metrics_tick,
	.close = metrics_close,
};
