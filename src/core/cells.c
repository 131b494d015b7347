/* SPDX-License-Identifier: GPL-2.0-only */
/* What stands in a cell. */
#include "core/cells.h"

#include <string.h>
#include <sys/socket.h>

#include "core/explain.h"
#include "core/field.h"
#include "core/process.h"
#include "util/buf.h"
#include "util/cleanup.h"

static void put_raw(struct buf *b, const char *text, size_t size)
{
	buf_visible(b, text, strnlen(text, size));
}

void cell_put_process(struct buf *b, const char comm[16], uint32_t pid)
{
	put_raw(b, comm, 16);
	buf_putc(b, '[');
	buf_u64(b, pid);
	buf_putc(b, ']');
}

void cell_put_others(struct buf *b, size_t n)
{
	if (n > 1) {
		buf_puts(b, " +");
		buf_u64(b, n - 1);
	}
}

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
		buf_puts_visible(b, text);
		return;
	}
	buf_visible(b, text, (size_t)(port - text));
	buf_putc(b, '%');
	put_raw(b, rec->iface, sizeof(rec->iface));
	buf_puts_visible(b, port);
}

static bool names_container(const struct view *v)
{
	const char *name = v->process ? v->process->where.container_name : NULL;

	return name && v->netns_name && !strcmp(name, v->netns_name);
}

/* Not the host's namespace (portlog's own, where the host's is not known), and nothing else on the line says so. */
static bool is_elsewhere(const struct view *v)
{
	const struct record *rec = v->rec;
	uint32_t home = v->session->host_netns ? v->session->host_netns : v->session->own_netns;

	if (!rec->netns || !home)
		return v->netns_name && strcmp(v->netns_name, "host");
	return rec->netns != home && !names_container(v);
}

static void put_netns_name(struct buf *b, const struct view *v)
{
	if (v->netns_name)
		buf_puts_visible(b, v->netns_name);
	else
		buf_u64(b, v->rec->netns);
}

void cell_port(struct buf *b, const struct view *v)
{
	const struct record *rec = v->rec;

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

void cell_process(struct buf *b, const struct view *v)
{
	const struct record *rec = v->rec;

	if (rec->has_process)
		cell_put_process(b, rec->comm, rec->pid);
	else if (v->n_owners)
		cell_put_process(b, v->owners[0].comm, v->owners[0].pid);
	else
		buf_puts(b, rec->kernel ? "kernel" : "-");
	if (rec->action == ACTION_SNAPSHOT)
		cell_put_others(b, v->owners_count);
}

static const struct process *process_of(const struct view *v)
{
	if (v->process || v->rec->has_process || !v->n_owners)
		return v->process;
	return v->owners[0].process;
}

void cell_user(struct buf *b, const struct view *v)
{
	if (v->user_name)
		buf_puts_visible(b, v->user_name);
	else if (v->rec->has_process)
		buf_printf(b, "uid %u", v->rec->uid);
	else
		buf_printf(b, "uid %u", v->n_owners ? v->owners[0].uid : v->rec->sock_uid);
}

/* The process is what the socket unit was for, not the one that holds its port until then. */
static bool is_started_service(const struct view *v)
{
	const char *unit = process_of(v) ? process_of(v)->where.unit : NULL;

	return v->bound_by && v->bound_by->service && unit && !strcmp(unit, v->bound_by->service);
}

/* The kernel's own, or a connection that is closed and not gone yet. */
static bool is_nobodys(const struct record *rec)
{
	return !rec->has_process && (rec->kernel || rec->kind == HOLDER_TIME_WAIT ||
				     (rec->kind == HOLDER_ACCEPTED && !rec->inode));
}

void cell_who(struct buf *b, const struct view *v)
{
	char where[256] = "";

	if (!is_started_service(v))
		(void)explain_for(v->bound_by, where, sizeof(where));
	if (*where || *explain_where(process_of(v), where, sizeof(where)))
		buf_puts_visible(b, where);
	else if (is_nobodys(v->rec))
		buf_putc(b, '-');
	else
		cell_user(b, v);
}

void cell_user_id(struct buf *b, const struct view *v)
{
	cell_user(b, v);
	if (v->user_name && v->rec->has_process)
		buf_printf(b, "(%u)", v->rec->uid);
}

void cell_ppid(struct buf *b, const struct view *v)
{
	if (v->rec->has_process)
		buf_u64(b, v->rec->ppid);
	else
		buf_putc(b, '-');
}

void cell_netns(struct buf *b, const struct view *v)
{
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

void cell_options(struct buf *b, const struct view *v)
{
	size_t begin = b->len;

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
