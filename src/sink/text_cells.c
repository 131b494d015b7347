/* SPDX-License-Identifier: GPL-2.0-only */
/* What stands in the cells of one line: a view in, a row of escaped text out. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <time.h>

#include "core/explain.h"
#include "core/process.h"
#include "sink/text.h"
#include "util/cleanup.h"
#include "util/human.h"

#define NS_PER_S 1000000000L
#define DAY_NS (86400ULL * 1000000000ULL)

static void put_raw(struct buf *b, const char *text, size_t size)
{
	buf_visible(b, text, strnlen(text, size));
}

static void put_text(struct buf *b, const char *text)
{
	buf_visible(b, text, strlen(text));
}

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

/* ---- EVENT ---- */

static const struct {
	const char *word;
	enum tone tone;
} words[N_ACTIONS] = {
	[ACTION_SNAPSHOT] = { "held", TONE_PLAIN },     [ACTION_BIND] = { "bind", TONE_PLAIN },
	[ACTION_LISTEN] = { "listen", TONE_GOOD },      [ACTION_RELEASE] = { "closed", TONE_QUIET },
	[ACTION_FREE] = { "free", TONE_QUIET },         [ACTION_HANDOFF] = { "handoff", TONE_WARN },
	[ACTION_AUTOBIND] = { "autobind", TONE_PLAIN }, [ACTION_LOST] = { "lost", TONE_BAD },
	[ACTION_RESYNC] = { "resync", TONE_WARN },      [ACTION_CLOCK] = { "clock", TONE_WARN },
};

static void put_event(struct buf *b, const struct view *v, const struct sink_options *o)
{
	const char *word = v->rec->action < N_ACTIONS ? words[v->rec->action].word : NULL;

	(void)o;
	buf_puts(b, v->rec->error ? "FAILED" : word ? word : action_name(v->rec->action));
}

static enum tone tone_of(const struct record *rec)
{
	if (rec->error)
		return TONE_BAD;
	return rec->action < N_ACTIONS ? words[rec->action].tone : TONE_PLAIN;
}

/* ---- PORT ---- */

static bool is_wildcard(const struct address *a)
{
	static const uint8_t zeroes[16];

	return !memcmp(a->bytes, zeroes, a->family == AF_INET6 ? 16 : 4);
}

/* As ss prints it: 0.0.0.0%eth0:80, [::]:80. */
static void put_endpoint(struct buf *b, const struct record *rec)
{
	char text[64];
	const char *port;

	endpoint_text(&rec->addr, rec->port, text, sizeof(text));
	port = strrchr(text, ':');
	if (!rec->iface[0] || !port) {
		put_text(b, text);
		return;
	}
	buf_visible(b, text, (size_t)(port - text));
	buf_putc(b, '%');
	put_raw(b, rec->iface, sizeof(rec->iface));
	put_text(b, port);
}

static bool names_container(const struct view *v)
{
	const char *name = v->process ? v->process->where.container_name : NULL;

	return name && v->netns_name && !strcmp(name, v->netns_name);
}

/* Not the host's namespace, and nothing else on the line says so. */
static bool is_elsewhere(const struct view *v)
{
	const struct record *rec = v->rec;

	if (!rec->netns || !v->session->host_netns)
		return v->netns_name && strcmp(v->netns_name, "host");
	return rec->netns != v->session->host_netns && !names_container(v);
}

static void put_netns_name(struct buf *b, const struct view *v)
{
	if (v->netns_name)
		put_text(b, v->netns_name);
	else
		buf_u64(b, v->rec->netns);
}

static void put_port(struct buf *b, const struct view *v, const struct sink_options *o)
{
	const struct record *rec = v->rec;

	(void)o;
	buf_puts(b, proto_name(rec->proto));
	buf_putc(b, ' ');
	put_endpoint(b, rec);
	if (rec->has_options && (rec->options & OPT_V6ONLY) && rec->addr.family == AF_INET6 &&
	    is_wildcard(&rec->addr))
		buf_puts(b, " (v6only)");
	if (is_elsewhere(v)) {
		buf_putc(b, '@');
		put_netns_name(b, v);
	}
}

/* ---- PROCESS, WHO ---- */

static void put_comm_pid(struct buf *b, const char comm[16], uint32_t pid)
{
	put_raw(b, comm, 16);
	buf_putc(b, '[');
	buf_u64(b, pid);
	buf_putc(b, ']');
}

static void put_others(struct buf *b, size_t n)
{
	if (n > 1) {
		buf_puts(b, " +");
		buf_u64(b, n - 1);
	}
}

static void put_process(struct buf *b, const struct view *v, const struct sink_options *o)
{
	const struct record *rec = v->rec;

	(void)o;
	if (rec->has_process)
		put_comm_pid(b, rec->comm, rec->pid);
	else if (v->n_owners)
		put_comm_pid(b, v->owners[0].comm, v->owners[0].pid);
	else
		buf_puts(b, rec->kernel ? "kernel" : "-");
	if (rec->action == ACTION_SNAPSHOT)
		put_others(b, v->owners_count);
}

static const struct process *process_of(const struct view *v)
{
	if (v->process || v->rec->has_process || !v->n_owners)
		return v->process;
	return v->owners[0].process;
}

static void put_user(struct buf *b, const struct view *v, const struct sink_options *o)
{
	(void)o;
	if (v->user_name && v->rec->has_process)
		put_text(b, v->user_name);
	else if (v->rec->has_process)
		buf_printf(b, "uid %u", v->rec->uid);
	else
		buf_printf(b, "uid %u", v->n_owners ? v->owners[0].uid : v->rec->sock_uid);
}

static void put_who(struct buf *b, const struct view *v, const struct sink_options *o)
{
	char where[256];

	explain_where(process_of(v), where, sizeof(where));
	if (where[0])
		put_text(b, where);
	else if (v->rec->kernel && !v->rec->has_process)
		buf_putc(b, '-');
	else
		put_user(b, v, o);
}

/* ---- -o wide ---- */

static void put_user_id(struct buf *b, const struct view *v, const struct sink_options *o)
{
	put_user(b, v, o);
	if (v->user_name && v->rec->has_process)
		buf_printf(b, "(%u)", v->rec->uid);
}

static void put_ppid(struct buf *b, const struct view *v, const struct sink_options *o)
{
	(void)o;
	if (v->rec->has_process)
		buf_u64(b, v->rec->ppid);
	else
		buf_putc(b, '-');
}

static void put_netns(struct buf *b, const struct view *v, const struct sink_options *o)
{
	(void)o;
	if (v->netns_name || v->rec->netns)
		put_netns_name(b, v);
	else
		buf_putc(b, '-');
}

static const struct {
	uint32_t bit;
	const char *name;
} option_names[] = {
	{ OPT_REUSEADDR, "reuseaddr" },     { OPT_REUSEPORT, "reuseport" },
	{ OPT_V6ONLY, "v6only" },           { OPT_FREEBIND, "freebind" },
	{ OPT_TRANSPARENT, "transparent" }, { OPT_NO_PORT, "bind_address_no_port" },
};

static void put_options(struct buf *b, const struct view *v, const struct sink_options *o)
{
	size_t begin = b->len;

	(void)o;
	for (size_t i = 0; v->rec->has_options && i < ARRAY_SIZE(option_names); i++) {
		if (!(v->rec->options & option_names[i].bit))
			continue;
		if (b->len > begin)
			buf_putc(b, ',');
		buf_puts(b, option_names[i].name);
	}
	if (b->len == begin)
		buf_putc(b, '-');
}

static void put_backlog(struct buf *b, const struct view *v, const struct sink_options *o)
{
	(void)o;
	if (v->rec->has_backlog)
		buf_i64(b, v->rec->backlog);
	else
		buf_putc(b, '-');
}

static void put_via(struct buf *b, const struct view *v, const struct sink_options *o)
{
	const char *name = v->rec->via ? via_name(v->rec->via) : NULL;

	(void)o;
	buf_puts(b, name ? name : "-");
}

static void put_field(struct buf *b, const char *name, const struct view *v, const struct sink_options *o)
{
	const struct field *f = field_find(name, strlen(name));

	if (f)
		field_write_text(b, f, v, &o->field);
	else
		buf_putc(b, '-');
}

static void put_exe(struct buf *b, const struct view *v, const struct sink_options *o)
{
	put_field(b, "exe", v, o);
}

/* By the table of fields, which masks secrets. */
static void put_args(struct buf *b, const struct view *v, const struct sink_options *o)
{
	put_field(b, "args", v, o);
}

/* ---- the note ---- */

void text_clock(struct buf *b, int64_t wall_ns, bool utc, bool weekday)
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
	put_text(b, endpoint_text(addr, rec->has_asked_port ? rec->asked_port : rec->port, endpoint,
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
	size_t begin = b->len;

	(void)o;
	if (rec->since_precision && rec->since_precision < ARRAY_SIZE(how)) {
		buf_puts(b, how[rec->since_precision]);
		put_span(b, rec->held_ns);
	}
	if (rec->free == FREE_NO) {
		buf_puts(b, b->len > begin ? "; busy" : "busy");
		put_lingering(b, v);
	}
	if (rec->closed_by_pid && rec->closed_by_pid != rec->pid) {
		buf_puts(b, b->len > begin ? "; closed by " : "closed by ");
		put_comm_pid(b, rec->closed_by_comm, rec->closed_by_pid);
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
	put_comm_pid(b, v->owners[0].comm, v->owners[0].pid);
	put_others(b, v->owners_count);
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
		text_clock(b, rec->wall_ns - (int64_t)age_ns, o->time == TIME_STYLE_UTC, age_ns < DAY_NS);
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
	int64_t step = v->rec->clock_new_ns - v->rec->clock_old_ns;

	buf_puts(b, "the wall clock stepped ");
	buf_puts(b, step < 0 ? "back by " : "ahead by ");
	put_span(b, step < 0 ? 0 - (uint64_t)step : (uint64_t)step);
	buf_puts(b, ", from ");
	text_clock(b, v->rec->clock_old_ns, o->time == TIME_STYLE_UTC, false);
	buf_puts(b, " to ");
	text_clock(b, v->rec->clock_new_ns, o->time == TIME_STYLE_UTC, false);
}

static void (*const notes[N_ACTIONS])(struct buf *b, const struct view *v, const struct sink_options *o) = {
	[ACTION_BIND] = note_asked, [ACTION_LISTEN] = note_asked,    [ACTION_RELEASE] = note_release,
	[ACTION_FREE] = note_free,  [ACTION_HANDOFF] = note_handoff, [ACTION_SNAPSHOT] = note_snapshot,
	[ACTION_LOST] = note_lost,  [ACTION_RESYNC] = note_resync,   [ACTION_CLOCK] = note_clock,
};

static void put_note(struct buf *b, const struct view *v, const struct sink_options *o)
{
	if (v->rec->error)
		note_failure(b, v, o);
	else if (v->rec->action < N_ACTIONS && notes[v->rec->action])
		notes[v->rec->action](b, v, o);
}

/* "held by nginx[53] (nginx.service), listening for 45 ms. Try: systemctl stop nginx, or another port" */
static void put_more(struct buf *b, const struct view *v, const struct sink_options *o)
{
	const struct explanation *e = v->explanation;

	(void)o;
	if (!e)
		return;
	put_text(b, e->reason);
	if (e->hint[0]) {
		buf_puts(b, e->reason[0] ? ". Try: " : "Try: ");
		put_text(b, e->hint);
	}
}

const struct column text_columns[N_CELLS] = {
	[CELL_EVENT] = { "EVENT", 6, 6, 6, false, false, put_event },
	[CELL_PORT] = { "PORT", 19, 16, 48, false, false, put_port },
	[CELL_PROCESS] = { "PROCESS", 12, 11, 24, false, true, put_process },
	[CELL_WHO] = { "WHO", 19, 12, 32, false, true, put_who },
	[CELL_USER] = { "USER", 8, 8, 24, true, true, put_user_id },
	[CELL_PPID] = { "PPID", 5, 5, 10, true, false, put_ppid },
	[CELL_NETNS] = { "NETNS", 5, 5, 16, true, true, put_netns },
	[CELL_OPTIONS] = { "OPTIONS", 9, 9, 40, true, false, put_options },
	[CELL_BACKLOG] = { "BACKLOG", 7, 7, 10, true, false, put_backlog },
	[CELL_VIA] = { "VIA", 5, 5, 12, true, false, put_via },
	[CELL_NOTE] = { "", 10, 10, 52, false, false, put_note },
	[CELL_EXE] = { "EXE", 12, 12, 48, true, true, put_exe },
	[CELL_ARGS] = { "ARGS", 4, 4, 80, true, true, put_args },
	[CELL_MORE] = { "", 0, 0, 0, false, false, put_more },
};

static bool is_sentence(enum action a)
{
	return a == ACTION_LOST || a == ACTION_RESYNC || a == ACTION_CLOCK;
}

void row_render(struct row *row, const struct view *v, const struct sink_options *o)
{
	buf_reset(&row->text);
	row->time_ns = v->rec->time_ns;
	row->wall_ns = v->rec->wall_ns;
	row->tone = tone_of(v->rec);
	row->sentence = is_sentence(v->rec->action);
	for (size_t i = 0; i < N_CELLS; i++) {
		if ((o->wide || !text_columns[i].wide) &&
		    (!row->sentence || i == CELL_EVENT || i == CELL_NOTE))
			text_columns[i].put(&row->text, v, o);
		row->end[i] = (uint32_t)row->text.len;
	}
}

const char *row_cell(const struct row *row, enum cell cell, size_t *ret_len)
{
	size_t begin = cell ? row->end[cell - 1] : 0;

	*ret_len = row->end[cell] - begin;
	return *ret_len ? row->text.data + begin : "";
}

void row_done(struct row *row)
{
	buf_done(&row->text);
}
