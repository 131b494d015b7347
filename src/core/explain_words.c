/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Words for people: where a process belongs, and how to stop one.
 *
 * Names of processes, units and containers are copied raw: whoever renders escapes. A command is only suggested when
 * the name in it cannot mean anything else to a shell.
 */
#include "core/explain_matter.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/process.h"
#include "util/cleanup.h"

struct clause clause_begin(char *text, size_t size)
{
	text[0] = '\0';
	return (struct clause){ .text = text, .size = size };
}

static bool is_continuation(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

static size_t length_of(unsigned char lead)
{
	return lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
}

/* Drop the character that the end of the room cut through. */
static void clause_end_whole(struct clause *c)
{
	size_t begin = c->len;

	while (begin && is_continuation(c->text[begin - 1]))
		begin--;
	if (begin && begin - 1 + length_of((unsigned char)c->text[begin - 1]) > c->len)
		c->len = begin - 1;
	c->text[c->len] = '\0';
}

void clause_say(struct clause *c, const char *fmt, ...)
{
	size_t room = c->size - c->len;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(c->text + c->len, room, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	if ((size_t)n < room) {
		c->len += (size_t)n;
		return;
	}
	c->len = c->size - 1;
	clause_end_whole(c);
}

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	return len >= end_len && !strcmp(text + len - end_len, end);
}

static bool unit_is_session(const char *unit)
{
	return !strncmp(unit, "session-", 8) || !strncmp(unit, "user@", 5);
}

const char *explain_where(const struct process *p, char *out, size_t size)
{
	struct clause c = clause_begin(out, size);
	const struct cgroup_info *w = p ? &p->where : NULL;
	const char *runtime = w && w->container_runtime ? w->container_runtime : "container";

	if (!w)
		return out;
	if (w->pod_name && w->pod_namespace)
		clause_say(&c, "pod:%s/%s", w->pod_namespace, w->pod_name);
	else if (w->container_name)
		clause_say(&c, "%s:%s", runtime, w->container_name);
	else if (w->container_id)
		clause_say(&c, "%s:%.12s", runtime, w->container_id);
	else if (w->unit && !unit_is_session(w->unit))
		clause_say(&c, "%s", w->unit);
	return out;
}

const char *explain_for(const struct bound_by *b, char *out, size_t size)
{
	struct clause c = clause_begin(out, size);

	if (b && b->unit)
		clause_say(&c, "%s", b->unit);
	else if (b && (b->container_name || b->container_id))
		clause_say(&c, "%s:%.*s", b->kind, b->container_name ? 256 : 12,
			   b->container_name ? b->container_name : b->container_id);
	return out;
}

/* Nothing in @name means anything to a shell, and no command takes it for an option. */
bool is_shell_plain(const char *name)
{
	if (!name || !*name || *name == '-')
		return false;
	for (const char *p = name; *p; p++)
		if (!isascii((unsigned char)*p) || (!isalnum((unsigned char)*p) && !strchr("_.@:/+-", *p)))
			return false;
	return true;
}

static const struct {
	const char *runtime;
	const char *command;
} container_stops[] = {
	{ "docker", "docker stop" },     { "podman", "podman stop" },       { "containerd", "crictl stop" },
	{ "crio", "crictl stop" },       { "cri-o", "crictl stop" },        { "lxc", "lxc-stop -n" },
	{ "nspawn", "machinectl stop" }, { "machined", "machinectl stop" },
};

static bool say_stop_container(struct clause *c, const struct cgroup_info *w)
{
	const char *name = w->container_name ? w->container_name : w->container_id;

	if (!w->container_runtime || !is_shell_plain(name))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(container_stops); i++) {
		if (strcmp(w->container_runtime, container_stops[i].runtime))
			continue;
		/* Container engines take the first twelve digits of an id. */
		clause_say(c, "%s %.*s", container_stops[i].command, w->container_name ? 256 : 12, name);
		return true;
	}
	return false;
}

static bool say_stop_pod(struct clause *c, const struct cgroup_info *w)
{
	if (!is_shell_plain(w->pod_name) || !is_shell_plain(w->pod_namespace))
		return false;
	clause_say(c, "kubectl -n %s delete pod %s", w->pod_namespace, w->pod_name);
	return true;
}

/* Stopping a login session, a slice or the user's manager takes far more down than a port. */
const char *service_of(const struct process *p)
{
	const char *unit = p ? p->where.unit : NULL;

	if (!is_shell_plain(unit) || unit_is_session(unit) || *unit == '.' || !ends_with(unit, ".service"))
		return NULL;
	return unit;
}

static bool say_stop_unit(struct clause *c, const struct process *p)
{
	bool of_user = p->cgroup && strstr(p->cgroup, "/user@");
	const char *unit = service_of(p);

	if (!unit)
		return false;
	clause_say(c, "systemctl %sstop %.*s", of_user ? "--user " : "",
		   (int)(strlen(unit) - strlen(".service")), unit);
	return true;
}

/* Processes that hold a port for a container: stopping them, or their unit, is not what one wants. */
static const struct {
	const char *comm;
	const char *engine;
} proxies[] = {
	{ "docker-proxy", "docker" },
	{ "rootlessport", "podman" },
};

/* What asked for the port, and what was started on it and has the socket open too. */
static bool say_stop_bound_by(struct clause *c, const struct bound_by *b)
{
	const char *container = b->container_name ? b->container_name : b->container_id;

	if (is_shell_plain(b->unit)) {
		clause_say(c, "systemctl stop %s", b->unit);
		if (is_shell_plain(b->service) && !strstr(b->service, "@."))
			clause_say(c, " %s", b->service);
		return true;
	}
	if (!is_shell_plain(container))
		return false;
	clause_say(c, "%s stop %.*s", b->kind, b->container_name ? 256 : 12, container);
	return true;
}

static bool say_stop_proxy(struct clause *c, const struct holder *h)
{
	if (h->bound_by && say_stop_bound_by(c, h->bound_by))
		return true;
	if (h->pid == 1) {
		clause_say(c, "systemctl list-sockets names the .socket unit that asked for it: stop that");
		return true;
	}
	for (size_t i = 0; i < ARRAY_SIZE(proxies); i++) {
		if (strncmp(h->comm, proxies[i].comm, sizeof(h->comm)))
			continue;
		clause_say(c, "%s ps --filter publish=%u names the container that publishes it: stop that",
			   proxies[i].engine, h->port);
		return true;
	}
	return false;
}

/* Did the caller trip over a socket of its own? */
static bool is_same_process(const struct matter *m)
{
	const struct record *rec = m->rec;
	const struct holder *h = m->first;

	return rec->has_process && h->pid == rec->pid && !h->last_owner &&
	       (!h->start_ns || !rec->start_ns || h->start_ns == rec->start_ns);
}

#define KILLED_MAX 8

struct kill_list {
	uint32_t pids[KILLED_MAX];
	size_t n;
	size_t left_out;
};

static void kill_add(struct kill_list *l, uint32_t pid)
{
	if (pid == 1)
		return;
	for (size_t i = 0; i < l->n; i++)
		if (l->pids[i] == pid)
			return;
	if (l->n < KILLED_MAX)
		l->pids[l->n++] = pid;
	else
		l->left_out++;
}

static void kill_add_holder(struct kill_list *l, const struct holder *h)
{
	size_t n = 0;

	kill_add(l, h->pid);
	for (; n < HOLDER_OTHERS && h->others[n]; n++)
		kill_add(l, h->others[n]);
	if (h->owners_count > n + 1)
		l->left_out += h->owners_count - n - 1;
}

/* Is this one of the further holders ended by its number, and is that number still its own? */
static bool is_killed(const struct matter *m, const struct holder *h)
{
	const struct process *p = h->process;

	if (!m->facts->fresh || !h->pid || h->last_owner || h->bound_by || h->init_too)
		return false;
	return !p || !(service_of(p) || p->where.container_runtime || p->where.pod_name);
}

/* A port is held until the last process that has the socket open, and each other socket in the way, is gone. */
static void say_kill(struct matter *m)
{
	struct kill_list l = { .n = 0 };

	kill_add_holder(&l, m->first);
	for (size_t i = 1; i < m->view->n_holders; i++)
		if (is_killed(m, &m->view->holders[i]))
			kill_add_holder(&l, &m->view->holders[i]);
	clause_say(&m->hint, "kill");
	for (size_t i = 0; i < l.n; i++)
		clause_say(&m->hint, " %u", l.pids[i]);
	if (l.left_out)
		clause_say(&m->hint, " and %zu more (portlog list -o wide %u)", l.left_out, m->rec->port);
}

/* How to end whoever has the socket open. */
void matter_say_stop(struct matter *m)
{
	const struct holder *h = m->first;
	const struct process *p = h->process;
	struct clause *c = &m->hint;

	if (is_same_process(m)) {
		clause_say(c, "close the socket that the same program bound before");
		return;
	}
	if (say_stop_proxy(c, h))
		return;
	if (p && (say_stop_pod(c, &p->where) || say_stop_container(c, &p->where) || say_stop_unit(c, p)))
		return;
	if (h->pid && !h->last_owner)
		say_kill(m);
	else if (m->facts->reach == REACH_NEEDS_ROOT && h->inode)
		clause_say(c, "end that process (sudo portlog why %u names it)", m->rec->port);
	else if (m->facts->reach == REACH_OF_PIDNS && h->inode)
		clause_say(c, "end that process (portlog in the host's pid namespace names it)");
	else
		clause_say(c, "end what has it open");
}
