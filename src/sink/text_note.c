/* SPDX-License-Identifier: GPL-2.0-only */
/* The last column and the line below: what is to be said of one event beside who and where. */
#include <inttypes.h>
#include <netinet/tcp.h>
#include <string.h>
#include <time.h>

#include "core/cells.h"
#include "core/explain.h"
#include "sink/text.h"
#include "util/cleanup.h"
#include "util/human.h"

#define NS_PER_S 1000000000L
#define DAY_NS (86400ULL * 1000000000ULL)

static void put_count(struct buf *b, uint64_t n)
{
	char text[HUMAN_LEN];

	buf_puts(b, human_count(n, text));
}

static void put_span(struct buf *b, uint64_t ns)
{
	char text[HUMAN_LEN];

	buf_puts(b, human_span(ns, text));
}

/* "Tue 03:12:07" or "2026-11-20 03:12:07" */
static void put_clock(struct buf *b, int64_t wall_ns, bool utc, bool weekday)
{
	time_t s = (time_t)(wall_ns / NS_PER_S);
	char text[48];
	struct tm tm;

	if (!(utc ? gmtime_r(&s, &tm) : localtime_r(&s, &tm)))
		return;
	if (strftime(text, sizeof(text), weekday ? "%a %H:%M:%S" : "%F %H:%M:%S", &tm))
		buf_puts(b, text);
}

static void note_failure(struct buf *b, const struct view *v, const struct sink_options *o)
{
	char scratch[16];

	(void)o;
	if (v->rec->action == ACTION_LISTEN)
		buf_puts(b, "listen: ");
	buf_puts(b, errno_name(v->rec->error, scratch));
}

/* A success is about what the socket has; what was asked for matters when a program on the way changed it. */
static void note_asked(struct buf *b, const struct view *v, const struct sink_options *o)
{
	const struct record *rec = v->rec;
	const struct address *addr = rec->asked_addr.family ? &rec->asked_addr : &rec->addr;
	char endpoint[64];

	(void)o;
	if (!rec->asked_addr.family && (!rec->has_asked_port || !rec->asked_port))
		return;
	buf_puts(b, "asked for ");
	buf_puts_visible(b, endpoint_text(addr, rec->has_asked_port ? rec->asked_port : rec->port, endpoint,
					  sizeof(endpoint)));
}

/* "3 TIME_WAIT", "1 listener": how many of a kind are left. */
static void put_kind_count(struct buf *b, const struct view *v, enum holder_kind kind)
{
	size_t n = 0;

	for (size_t i = 0; i < v->n_holders; i++)
		n += v->holders[i].kind == kind;
	put_count(b, n);
	buf_putc(b, ' ');
	buf_puts(b, kind == HOLDER_TIME_WAIT ? "TIME_WAIT" : holder_kind_name(kind));
}

static bool is_first_of_kind(const struct view *v, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (v->holders[j].kind == v->holders[i].kind)
			return false;
	return true;
}

static void put_lingering(struct buf *b, const struct view *v)
{
	bool only_time_wait = v->n_holders;
	uint64_t last_ns = 0;

	for (size_t i = 0; i < v->n_holders; i++) {
		if (is_first_of_kind(v, i)) {
			buf_puts(b, i ? ", " : ": ");
			put_kind_count(b, v, v->holders[i].kind);
		}
		only_time_wait &= v->holders[i].kind == HOLDER_TIME_WAIT;
		if (v->holders[i].expires_ns > last_ns)
			last_ns = v->holders[i].expires_ns;
	}
	if (!only_time_wait)
		return;
	/* The kernel keeps one for a minute. What its timer says it may exceed by up to 1.4 s. */
	if (last_ns > v->rec->time_ns)
		last_ns += 3 * NS_PER_S / 2 - v->rec->time_ns;
	else
		last_ns = 60UL * NS_PER_S;
	buf_printf(b, ", free in <= %" PRIu64 " s", (last_ns + NS_PER_S - 1) / NS_PER_S);
}

static void note_release(struct buf *b, const struct view *v, const struct sink_options *o)
{
	static const char *const how[] = {
		[SINCE_UNKNOWN] = NULL,
		[SINCE_EXACT] = "after ",
		[SINCE_NOT_BEFORE] = "after at most ",
		[SINCE_NOT_AFTER] = "after at least ",
	};
	const struct record *rec = v->rec;
	uint64_t held_ns = rec->held_ns;
	size_t begin = b->len;

	(void)o;
	if (!held_ns && rec->since_ns && rec->since_ns < rec->time_ns)
		held_ns = rec->time_ns - rec->since_ns; /* held_ns is for what is known exactly */
	if (rec->since_precision && rec->since_precision < ARRAY_SIZE(how)) {
		buf_puts(b, how[rec->since_precision]);
		put_span(b, held_ns);
	}
	if (rec->free == FREE_NO) {
		buf_puts(b, b->len > begin ? "; busy" : "busy");
		put_lingering(b, v);
	}
	if (rec->closed_by_pid && rec->closed_by_pid != rec->pid) {
		buf_puts(b, b->len > begin ? "; closed by " : "closed by ");
		cell_put_process(b, rec->closed_by_comm, rec->closed_by_pid);
	}
	if (rec->correction)
		buf_puts(b, b->len > begin ? "; found by the resync" : "found by the resync");
}

static void note_free(struct buf *b, const struct view *v, const struct sink_options *o)
{
	(void)o;
	if (!v->rec->lingered_ns)
		return;
	put_span(b, v->rec->lingered_ns);
	buf_puts(b, " after it was closed");
}

static void note_handoff(struct buf *b, const struct view *v, const struct sink_options *o)
{
	(void)o;
	if (!v->n_owners)
		return;
	buf_puts(b, "now held by ");
	cell_put_process(b, v->owners[0].comm, v->owners[0].pid);
	cell_put_others(b, v->owners_count);
}

/* "listening since Tue 03:12:07 (5h00m ago)" */
static void note_snapshot(struct buf *b, const struct view *v, const struct sink_options *o)
{
	static const char *const how[] = { [SINCE_EXACT] = " since ", [SINCE_NOT_BEFORE] = " not before " };
	const struct record *rec = v->rec;
	uint64_t age_ns = rec->time_ns > rec->since_ns ? rec->time_ns - rec->since_ns : 0;

	buf_puts(b, rec->state == TCP_LISTEN && rec->proto != PROTO_UDP ? "listening" : "bound");
	if (rec->since_ns &&
	    (rec->since_precision == SINCE_EXACT || rec->since_precision == SINCE_NOT_BEFORE)) {
		buf_puts(b, how[rec->since_precision]);
		put_clock(b, (int64_t)((uint64_t)rec->wall_ns - age_ns), o->time == TIME_STYLE_UTC,
			  age_ns < DAY_NS);
		buf_puts(b, " (");
		put_span(b, age_ns);
		buf_puts(b, " ago)");
	}
	if (rec->correction)
		buf_puts(b, "; found by the resync");
}

static const char *const lost_places[] = {
	[LOST_NOWHERE] = "somewhere",
	[LOST_RING] = "the ring was full",
	[LOST_QUEUE] = "the queue was full",
	[LOST_MAP] = "the table of sockets was full",
	[LOST_HOOK] = "the kernel skipped a hook",
	[LOST_TREE] = "the command has too many processes",
	[LOST_HISTORY] = "they are missing in the history alone",
};

static void note_lost(struct buf *b, const struct view *v, const struct sink_options *o)
{
	(void)o;
	put_count(b, v->rec->count);
	buf_puts(b, v->rec->count == 1 ? " event, " : " events, ");
	buf_puts(b, v->rec->lost_where < ARRAY_SIZE(lost_places) ? lost_places[v->rec->lost_where]
								 : lost_places[0]);
	buf_puts(b, "; a resync follows");
}

static void note_resync(struct buf *b, const struct view *v, const struct sink_options *o)
{
	(void)o;
	buf_puts(b, "compared with the kernel: ");
	put_count(b, v->rec->added);
	buf_puts(b, " added, ");
	put_count(b, v->rec->removed);
	buf_puts(b, " removed, ");
	put_count(b, v->rec->kept);
	buf_puts(b, " as they were");
}

static void note_clock(struct buf *b, const struct view *v, const struct sink_options *o)
{
	int64_t step = (int64_t)((uint64_t)v->rec->clock_new_ns - (uint64_t)v->rec->clock_old_ns);

	buf_puts(b, "the wall clock stepped ");
	buf_puts(b, step < 0 ? "back by " : "ahead by ");
	put_span(b, step < 0 ? 0 - (uint64_t)step : (uint64_t)step);
	buf_puts(b, ", from ");
	put_clock(b, v->rec->clock_old_ns, o->time == TIME_STYLE_UTC, false);
	buf_puts(b, " to ");
	put_clock(b, v->rec->clock_new_ns, o->time == TIME_STYLE_UTC, false);
}

static void (*const notes[N_ACTIONS])(struct buf *b, const struct view *v, const struct sink_options *o) = {
	[ACTION_BIND] = note_asked, [ACTION_LISTEN] = note_asked,    [ACTION_RELEASE] = note_release,
	[ACTION_FREE] = note_free,  [ACTION_HANDOFF] = note_handoff, [ACTION_SNAPSHOT] = note_snapshot,
	[ACTION_LOST] = note_lost,  [ACTION_RESYNC] = note_resync,   [ACTION_CLOCK] = note_clock,
};

void text_put_note(struct buf *b, const struct view *v, const struct sink_options *o)
{
	if (v->rec->error)
		note_failure(b, v, o);
	else if (v->rec->action < N_ACTIONS && notes[v->rec->action])
		notes[v->rec->action](b, v, o);
}

/* "held by nginx[53] (nginx.service), listening for 45 ms. Try: systemctl stop nginx, or another port" */
void text_put_more(struct buf *b, const struct view *v, const struct sink_options *o)
{
	const struct explanation *e = v->explanation;

	(void)o;
	if (!e)
		return;
	buf_puts_visible(b, e->reason);
	if (e->hint[0]) {
		buf_puts(b, e->reason[0] ? ". Try: " : "Try: ");
		buf_puts_visible(b, e->hint);
	}
}
