/* SPDX-License-Identifier: GPL-2.0-only */
/* Builds views from one-line specifications and keeps all they point at until views_free(). */
#include "support/views.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"

#define START_MS_PER_PID 419

/* One block of memory that views_free() frees, in a list. */
struct block {
	struct block *next;
	struct process *process; /* non-NULL: what renderers kept in it goes too */
	max_align_t data[];
};

static struct block *blocks;
static uint64_t last_seq;

static void *keep(size_t size, bool is_process)
{
	struct block *b = calloc(1, sizeof(*b) + size);

	if (!b)
		abort();
	b->next = blocks;
	b->process = is_process ? (struct process *)b->data : NULL;
	blocks = b;
	return b->data;
}

static char *keep_string(const char *s)
{
	char *copy;

	if (!s)
		return NULL;
	copy = keep(strlen(s) + 1, false);
	memcpy(copy, s, strlen(s) + 1);
	return copy;
}

static uint64_t start_ns(uint64_t start_ms, uint32_t pid)
{
	return (start_ms ? start_ms : (uint64_t)pid * START_MS_PER_PID) * 1000000;
}

static uint64_t moment(int64_t ms)
{
	return ms ? (uint64_t)((int64_t)VIEWS_BASE_NS + ms * 1000000) : 0;
}

/* As the kernel keeps it: 16 bytes, and no NUL when all are used. */
static void put_comm(char out[16], const char *comm)
{
	if (comm)
		memcpy(out, comm, strnlen(comm, 16));
}

static struct address address_of(const char *text)
{
	struct address a = { .family = strchr(text, ':') ? AF_INET6 : AF_INET };

	if (inet_pton(a.family, text, a.bytes) != 1)
		abort();
	return a;
}

static void put_args(struct process *p, const char *const args[16])
{
	size_t len = 0;

	for (size_t i = 0; i < 16 && args[i]; i++)
		len += strlen(args[i]) + 1;
	if (!len)
		return;
	p->args = keep(len, false);
	for (size_t i = 0; i < 16 && args[i]; i++) {
		memcpy(p->args + p->args_len, args[i], strlen(args[i]) + 1);
		p->args_len += strlen(args[i]) + 1;
	}
}

static struct process *process_of(const struct owner_spec *o)
{
	struct process *p = keep(sizeof(*p), true);

	p->key = (struct process_key){ .pid = o->pid,
				       .start_ns = start_ns(o->start_ms, o->pid),
				       .exec_id = 1 };
	p->uid = o->uid;
	put_comm(p->comm, o->comm);
	p->exe = keep_string(o->exe);
	p->where.unit = keep_string(o->unit);
	p->enriched = true;
	p->refs = 1;
	return p;
}

static const char *comm_of(const struct view_spec *spec)
{
	return spec->comm ? spec->comm : "python3";
}

static uint32_t pid_of(const struct view_spec *spec)
{
	return spec->pid ? spec->pid : 61;
}

static const struct process *caller_of(const struct view_spec *spec)
{
	char exe[64];
	struct owner_spec o = {
		.pid = pid_of(spec),
		.uid = spec->uid,
		.start_ms = spec->start_ms,
		.comm = comm_of(spec),
		.exe = spec->exe,
		.unit = spec->unit,
	};
	struct process *p;

	snprintf(exe, sizeof(exe), "/usr/bin/%s", comm_of(spec));
	if (!o.exe)
		o.exe = exe;
	p = process_of(&o);
	p->ppid = spec->ppid;
	p->gid = spec->gid;
	p->cgroup_id = spec->cgroup_id;
	p->exe_cut = spec->exe_cut;
	p->args_cut = spec->args_cut;
	put_args(p, spec->args);
	if (!spec->unit)
		p->where.unit = keep_string(spec->where.unit);
	p->where.container_id = keep_string(spec->where.container_id);
	p->where.container_runtime = keep_string(spec->where.container_runtime);
	p->where.container_name = keep_string(spec->where.container_name);
	p->where.pod_uid = keep_string(spec->where.pod_uid);
	p->where.pod_name = keep_string(spec->where.pod_name);
	p->where.pod_namespace = keep_string(spec->where.pod_namespace);
	return p;
}

static bool has_socket(const struct view_spec *spec)
{
	switch (spec->action) {
	case ACTION_START:
	case ACTION_STOP:
	case ACTION_SYNCED:
	case ACTION_LOST:
	case ACTION_RESYNC:
	case ACTION_CLOCK:
		return false;
	default:
		return !spec->no_socket;
	}
}

static void put_socket(struct record *r, const struct view_spec *spec)
{
	r->has_socket = true;
	r->proto = spec->proto ? spec->proto : PROTO_TCP;
	r->addr = address_of(spec->addr ? spec->addr : "0.0.0.0");
	r->family = r->addr.family;
	r->port = spec->port_zero ? 0 : spec->port ? spec->port : 8080;
	if (spec->asked_addr)
		r->asked_addr = address_of(spec->asked_addr);
	r->has_asked_port = spec->has_asked_port || spec->asked_port;
	r->asked_port = spec->asked_port;
	r->socket_id = spec->socket_id ? spec->socket_id : r->seq;
	r->cookie = spec->cookie;
	r->inode = spec->inode;
	r->options = spec->options;
	r->has_options = !spec->no_options;
	r->netns = spec->netns ? spec->netns : VIEWS_HOST_NETNS;
	r->has_backlog = spec->action == ACTION_LISTEN;
	r->backlog = spec->backlog ? spec->backlog : 128;
	r->kernel = spec->kernel;
	r->ephemeral = spec->ephemeral;
	r->explicit_port = !spec->ephemeral;
	r->sock_uid = spec->uid;
	r->state = spec->state;
	if (spec->iface)
		memcpy(r->iface, spec->iface, strnlen(spec->iface, sizeof(r->iface)));
}

static void put_process(struct record *r, const struct view_spec *spec)
{
	r->has_process = true;
	r->pid = pid_of(spec);
	r->tid = spec->tid ? spec->tid : r->pid;
	r->ppid = spec->ppid ? spec->ppid : 1;
	r->uid = spec->uid;
	r->gid = spec->gid;
	r->start_ns = start_ns(spec->start_ms, r->pid);
	r->exec_id = 1;
	put_comm(r->comm, comm_of(spec));
}

static void put_end(struct record *r, const struct view_spec *spec)
{
	r->since_ns = moment(spec->since_ms);
	if (r->since_ns)
		r->since_precision = spec->precision ? spec->precision : SINCE_EXACT;
	r->held_ns = (uint64_t)spec->held_ms * 1000000;
	r->lingered_ns = (uint64_t)spec->lingered_ms * 1000000;
	r->free = spec->free;
	r->closed_by_pid = spec->closed_by_pid;
	put_comm(r->closed_by_comm, spec->closed_by_comm);
	r->correction = spec->correction;
	r->tree = spec->tree;
}

static void put_bookkeeping(struct record *r, const struct view_spec *spec)
{
	r->lost_where = spec->where_lost;
	r->lost_action = (uint8_t)spec->action_lost;
	r->count = spec->count;
	r->took_us = spec->took_us;
	r->added = spec->added;
	r->removed = spec->removed;
	r->kept = spec->kept;
	r->told = spec->told;
	r->lost = spec->lost;
	r->hidden = spec->hidden;
	r->clock_old_ns = spec->clock_old_ns;
	r->clock_new_ns = spec->clock_new_ns;
}

struct record views_record(const struct view_spec *spec)
{
	struct record r = { .action = spec->action, .error = spec->error, .via = spec->via };

	last_seq = spec->seq ? spec->seq : last_seq + 1;
	r.seq = last_seq;
	r.time_ns = (uint64_t)((int64_t)VIEWS_BASE_NS + spec->at_ms * 1000000 + spec->at_ns);
	r.wall_ns = VIEWS_BOOT_WALL_NS + (int64_t)r.time_ns;
	r.reason = spec->reason;
	if (spec->error && !spec->reason)
		r.reason = spec->error == EADDRINUSE ? REASON_HOLDER : REASON_OTHER;
	if (has_socket(spec))
		put_socket(&r, spec);
	if (has_socket(spec) && !spec->no_process) {
		put_process(&r, spec);
		r.cgroup_id = spec->cgroup_id;
	}
	put_end(&r, spec);
	put_bookkeeping(&r, spec);
	return r;
}

static const struct bound_by *bound_by_of(const struct bound_by *spec)
{
	struct bound_by *by;

	if (!spec->kind)
		return NULL;
	by = keep(sizeof(*by), false);
	by->kind = keep_string(spec->kind);
	by->unit = keep_string(spec->unit);
	by->service = keep_string(spec->service);
	by->container_id = keep_string(spec->container_id);
	by->container_name = keep_string(spec->container_name);
	return by;
}

static void put_holder(struct holder *h, const struct holder_spec *s, const struct record *r)
{
	struct owner_spec o = {
		.pid = s->pid, .uid = s->uid, .comm = s->comm, .exe = s->exe, .unit = s->unit
	};

	h->kind = s->kind;
	h->proto = s->proto ? s->proto : r->proto;
	h->modifiers = s->modifiers;
	h->options = s->options;
	h->since_ns = moment(s->since_ms);
	if (h->since_ns)
		h->since_precision = s->precision ? s->precision : SINCE_EXACT;
	h->expires_ns = moment(s->expires_ms);
	h->addr = address_of(s->addr ? s->addr : "0.0.0.0");
	h->family = h->addr.family;
	h->port = s->port ? s->port : r->port;
	h->last_owner = s->last_owner;
	h->tripped = s->tripped;
	h->sock_uid = s->sock_uid;
	h->owners_count = s->owners_count;
	memcpy(h->others, s->others, sizeof(h->others));
	h->cookie = s->cookie;
	h->inode = s->inode;
	put_comm(h->comm, s->comm);
	h->bound_by = bound_by_of(&s->bound_by);
	if (!s->pid)
		return;
	h->pid = s->pid;
	h->uid = s->uid;
	h->start_ns = start_ns(0, s->pid);
	if (s->exe || s->unit || s->container) {
		struct process *p = process_of(&o);

		if (s->container) {
			p->where.container_id = keep_string("3f1c7d0a9b52");
			p->where.container_runtime = keep_string("docker");
			p->where.container_name = keep_string(s->container);
		}
		h->process = p;
	}
}

static void put_holders(struct view *v, const struct view_spec *spec)
{
	struct holder *h = keep(sizeof(*h) * ARRAY_SIZE(spec->holders), false);

	while (v->n_holders < ARRAY_SIZE(spec->holders) && spec->holders[v->n_holders].kind) {
		put_holder(&h[v->n_holders], &spec->holders[v->n_holders], v->rec);
		v->n_holders++;
	}
	v->holders = h;
}

static void put_owners(struct view *v, const struct view_spec *spec)
{
	struct owner *o = keep(sizeof(*o) * ARRAY_SIZE(spec->owners), false);

	for (; v->n_owners < ARRAY_SIZE(spec->owners) && spec->owners[v->n_owners].pid; v->n_owners++) {
		const struct owner_spec *s = &spec->owners[v->n_owners];

		o[v->n_owners] = (struct owner){ .pid = s->pid,
						 .uid = s->uid,
						 .start_ns = start_ns(s->start_ms, s->pid) };
		put_comm(o[v->n_owners].comm, s->comm);
		if (s->exe || s->unit)
			o[v->n_owners].process = process_of(s);
	}
	v->owners = o;
	v->owners_count = spec->owners_count ? spec->owners_count : v->n_owners;
}

static void put_explanation(struct view *v, const struct view_spec *spec)
{
	struct explanation *e;

	if (!spec->code && !spec->why && !spec->hint)
		return;
	e = keep(sizeof(*e), false);
	e->code = spec->code ? spec->code : "other";
	snprintf(e->reason, sizeof(e->reason), "%s", spec->why ? spec->why : "");
	snprintf(e->hint, sizeof(e->hint), "%s", spec->hint ? spec->hint : "");
	v->explanation = e;
}

const struct view *views_make(const struct view_spec *spec)
{
	struct view *v = keep(sizeof(*v), false);
	struct record *r = keep(sizeof(*r), false);

	*r = views_record(spec);
	v->rec = r;
	v->session = spec->session ? spec->session : views_session();
	put_holders(v, spec);
	put_owners(v, spec);
	put_explanation(v, spec);
	if (!r->has_socket)
		return v;
	v->service = keep_string(spec->service);
	v->netns_name = spec->netns_name ? keep_string(spec->netns_name) : spec->netns ? NULL : "host";
	if (!r->has_process)
		return v;
	v->user_name = spec->user_name ? keep_string(spec->user_name) : spec->uid ? NULL : "root";
	v->bound_by = bound_by_of(&spec->bound_by);
	if (!spec->no_details)
		v->process = caller_of(spec);
	return v;
}

const struct session *views_session(void)
{
	static const char *const blind[] = { "release of kernel UDP sockets", NULL };
	static const struct session session = {
		.stream = "9f3c41d7a0b2e865",
		.boot_id = "d23062da472e41e897d2b39cc46f5ea8",
		.hostname = "web1",
		.version = "0.1.0",
		.kernel = "6.18.44",
		.hooks = "tracepoint",
		.blind = blind,
		.host_netns = VIEWS_HOST_NETNS,
		.boot_offset_ns = VIEWS_BOOT_WALL_NS,
	};

	return &session;
}

void views_free(void)
{
	for (struct block *b = blocks, *next; b; b = next) {
		next = b->next;
		for (size_t i = 0; b->process && i < ARRAY_SIZE(b->process->rendered); i++)
			free(b->process->rendered[i]);
		free(b);
	}
	blocks = NULL;
	last_seq = 0;
}
