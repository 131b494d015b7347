/* SPDX-License-Identifier: GPL-2.0-only */
/* What stands in the cells of one line: a view in, a row of escaped text out. */
#include <stdio.h>
#include <string.h>
#include <netinet/in.h>

#include "core/explain.h"
#include "core/process.h"
#include "sink/text.h"
#include "util/cleanup.h"

static void put_raw(struct buf *b, const char *text, size_t size)
{
	buf_visible(b, text, strnlen(text, size));
}

static void put_text(struct buf *b, const char *text)
{
	buf_visible(b, text, strlen(text));
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

static void put_process(struct buf *b, const struct view *v, const struct sink_options *o)
{
	const struct record *rec = v->rec;

	(void)o;
	if (rec->has_process)
		text_put_process(b, rec->comm, rec->pid);
	else if (v->n_owners)
		text_put_process(b, v->owners[0].comm, v->owners[0].pid);
	else
		buf_puts(b, rec->kernel ? "kernel" : "-");
	if (rec->action == ACTION_SNAPSHOT)
		text_put_others(b, v->owners_count);
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
	[CELL_NOTE] = { "", 10, 10, 52, false, false, text_put_note },
	[CELL_EXE] = { "EXE", 12, 12, 48, true, true, put_exe },
	[CELL_ARGS] = { "ARGS", 4, 4, 80, true, true, put_args },
	[CELL_MORE] = { "", 0, 0, 0, false, false, text_put_more },
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
