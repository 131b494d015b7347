/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Why a call failed and what to do about it.
 *
 * reason_code is stable; the clause and the hint are prose and may change.
 *
 *	listener ... unknown   EADDRINUSE, by what the first holder is: holder_kind_name()
 *	gone                   EADDRINUSE, and nothing is on the port any more
 *	exhausted              EADDRINUSE for port 0: none is left
 *	low-port               EACCES below ip_unprivileged_port_start
 *	lsm                    EACCES or EPERM from a security module
 *	cgroup                 EPERM from a BPF program of the caller's cgroup
 *	address-not-available  EADDRNOTAVAIL
 *	already-bound          EINVAL: the socket has a port
 *	invalid                EINVAL otherwise
 *	family                 EAFNOSUPPORT
 *	other                  any other errno
 *
 * Names of processes, units and containers are copied raw: whoever renders escapes. A command is only suggested when
 * the name in it cannot mean anything else to a shell.
 */
#include "core/explain.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/field.h"
#include "core/process.h"
#include "util/cleanup.h"
#include "util/human.h"

#define NS_PER_S 1000000000ULL
#define LOW_PORTS 1024    /* ip_unprivileged_port_start as the kernel ships it */
#define WHO_LEN 160
#define ENDPOINT_LEN 64

/* Text of a fixed size that never ends in half a character. */
struct clause {
	char *text;
	size_t size;
	size_t len;
};

static struct clause clause_begin(char *text, size_t size)
{
	text[0] = '\0';
	return (struct clause){ .text = text, .size = size };
}

static bool is_continuation(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

/* Drop the character that the end of the room cut through. */
static void clause_end_whole(struct clause *c)
{
	size_t at = c->len;

	while (at && is_continuation(c->text[at - 1]))
		at--;
	if (at && (unsigned char)c->text[at - 1] >= 0xc0)
		c->len = at - 1;
	c->text[c->len] = '\0';
}

static void __attribute__((format(printf, 2, 3))) say(struct clause *c, const char *fmt, ...)
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

/* ---- who ---- */

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	return len >= end_len && !strcmp(text + len - end_len, end);
}

static bool is_session(const char *unit)
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
		say(&c, "pod:%s/%s", w->pod_namespace, w->pod_name);
	else if (w->container_name)
		say(&c, "%s:%s", runtime, w->container_name);
	else if (w->container_id)
		say(&c, "%s:%.12s", runtime, w->container_id);
	else if (w->unit && !is_session(w->unit))
		say(&c, "%s", w->unit);
	return out;
}

static void say_process(struct clause *c, const struct holder *h)
{
	char where[WHO_LEN];

	say(c, "%.*s[%u]", (int)strnlen(h->comm, sizeof(h->comm)), h->comm, h->pid);
	if (*explain_where(h->process, where, sizeof(where)))
		say(c, " (%s)", where);
	if (h->owners_count > 1)
		say(c, " and %u more", h->owners_count - 1);
}

/* A holder as the object of "held by". */
static void say_holder(struct clause *c, const struct holder *h)
{
	if (h->pid)
		say_process(c, h);
	else
		say(c, "a socket of uid %u that no known process has open", h->sock_uid);
}

/* ---- what can be typed ---- */

/* Nothing in @name means anything to a shell, and no command takes it for an option. */
static bool is_plain(const char *name)
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
	{ "docker", "docker stop" },       { "podman", "podman stop" },       { "containerd", "crictl stop" },
	{ "crio", "crictl stop" },         { "cri-o", "crictl stop" },        { "lxc", "lxc-stop -n" },
	{ "nspawn", "machinectl stop" },   { "machined", "machinectl stop" },
};

static bool say_stop_container(struct clause *c, const struct cgroup_info *w)
{
	const char *name = w->container_name ? w->container_name : w->container_id;

	if (!w->container_runtime || !is_plain(name))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(container_stops); i++) {
		if (strcmp(w->container_runtime, container_stops[i].runtime))
			continue;
		/* Container engines take the first twelve digits of an id. */
		say(c, "%s %.*s", container_stops[i].command, w->container_name ? 256 : 12, name);
		return true;
	}
	return false;
}

static bool say_stop_pod(struct clause *c, const struct cgroup_info *w)
{
	if (!is_plain(w->pod_name) || !is_plain(w->pod_namespace))
		return false;
	say(c, "kubectl -n %s delete pod %s", w->pod_namespace, w->pod_name);
	return true;
}

/* Only services: stopping a login session, a slice or the user's manager takes far more down than a port. */
static bool say_stop_unit(struct clause *c, const struct process *p)
{
	const char *unit = p->where.unit;
	bool of_user = p->cgroup && strstr(p->cgroup, "/user@");

	if (!is_plain(unit) || is_session(unit) || !ends_with(unit, ".service"))
		return false;
	say(c, "systemctl %sstop %.*s", of_user ? "--user " : "", (int)(strlen(unit) - strlen(".service")), unit);
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

static bool say_stop_proxy(struct clause *c, const struct holder *h)
{
	if (h->pid == 1) {
		say(c, "systemctl list-sockets names the .socket unit that asked for it: stop that");
		return true;
	}
	for (size_t i = 0; i < ARRAY_SIZE(proxies); i++) {
		if (strncmp(h->comm, proxies[i].comm, sizeof(h->comm)))
			continue;
		say(c, "%s ps --filter publish=%u names the container that publishes it: stop that", proxies[i].engine,
		    h->port);
		return true;
	}
	return false;
}

/* ---- the parts of a clause ---- */

/* One failed call and all that is known about it. */
struct matter {
	const struct view *view;
	const struct record *rec;
	const struct holder *first; /* NULL: none */
	const struct explain_facts *facts;
	struct clause reason;
	struct clause hint;
};

static bool has_option(const struct matter *m, uint32_t option)
{
	return m->rec->has_options && (m->rec->options & option);
}

/* Did the caller trip over a socket of its own? */
static bool is_same_process(const struct matter *m)
{
	const struct record *rec = m->rec;
	const struct holder *h = m->first;

	return rec->has_process && h->pid == rec->pid && !h->last_owner &&
	       (!h->start_ns || !rec->start_ns || h->start_ns == rec->start_ns);
}

/* How to end whoever has the socket open. */
static void say_stop(struct matter *m)
{
	const struct holder *h = m->first;
	const struct process *p = h->process;
	struct clause *c = &m->hint;

	if (is_same_process(m)) {
		say(c, "close the socket that the same program bound before");
		return;
	}
	if (say_stop_proxy(c, h))
		return;
	if (p && (say_stop_pod(c, &p->where) || say_stop_container(c, &p->where) || say_stop_unit(c, p)))
		return;
	if (h->pid && !h->last_owner)
		say(c, "kill %u", h->pid);
	else
		say(c, "end what has it open");
}

/* " for 45 ms", as exactly as it is known; "" when it is not. */
static void say_since(struct clause *c, const struct holder *h, uint64_t now_ns)
{
	static const char *const how[] = {
		[SINCE_EXACT] = " for ", [SINCE_NOT_BEFORE] = " for at most ", [SINCE_NOT_AFTER] = " for at least "
	};
	char span[HUMAN_LEN];

	if (!h->since_precision || h->since_precision > SINCE_NOT_AFTER || !h->since_ns || now_ns < h->since_ns)
		return;
	say(c, "%s%s", how[h->since_precision], human_span(now_ns - h->since_ns, span));
}

/* " on [::]:80" when that is not what was asked for. */
static void say_other_address(struct clause *c, const struct matter *m)
{
	const struct holder *h = m->first;
	char endpoint[ENDPOINT_LEN];

	if (!h->addr.family)
		return;
	if (h->addr.family == m->rec->addr.family &&
	    !memcmp(h->addr.bytes, m->rec->addr.bytes, h->addr.family == AF_INET ? 4 : 16))
		return;
	say(c, " on %s", endpoint_text(&h->addr, h->port ? h->port : m->rec->port, endpoint, sizeof(endpoint)));
}

/* "held by nginx[53] (nginx.service), listening on [::]:80 for 45 ms" */
static void say_held(struct matter *m, const char *doing)
{
	say(&m->reason, "held by ");
	say_holder(&m->reason, m->first);
	say(&m->reason, ", %s", doing);
	say_other_address(&m->reason, m);
	if (!m->first->last_owner)
		say_since(&m->reason, m->first, m->facts->now_ns);
}

/* The process that had the port last, as far as the ledger knows one. */
static void say_last_owner(struct matter *m, const char *unknown)
{
	const struct holder *h = m->first;
	char span[HUMAN_LEN];

	if (!h->pid) {
		say(&m->reason, "%s", unknown);
		return;
	}
	say_process(&m->reason, h);
	if (h->last_owner && h->since_ns && m->facts->now_ns >= h->since_ns)
		say(&m->reason, ", which let go %s ago", human_span(m->facts->now_ns - h->since_ns, span));
}

static size_t count_kind(const struct view *v, enum holder_kind kind)
{
	size_t n = 0;

	for (size_t i = 0; i < v->n_holders; i++)
		n += v->holders[i].kind == kind;
	return n;
}

/* Seconds until the last TIME_WAIT here is gone for certain: the kernel lets it outlive its timer by up to 1.4 s. */
static uint64_t time_wait_left_s(const struct matter *m)
{
	uint64_t last_ns = 0;

	for (size_t i = 0; i < m->view->n_holders; i++)
		if (m->view->holders[i].expires_ns > last_ns)
			last_ns = m->view->holders[i].expires_ns;
	if (last_ns <= m->facts->now_ns)
		return last_ns ? 2 : 0;
	return (last_ns - m->facts->now_ns + 3 * NS_PER_S / 2 + NS_PER_S - 1) / NS_PER_S;
}

/* ---- EADDRINUSE, kind by kind ---- */

static const char *doing_of(const struct holder *h)
{
	return h->proto == PROTO_UDP || (h->state && h->state != TCP_LISTEN) ? "bound" : "listening";
}

static void explain_listener(struct matter *m)
{
	say_held(m, doing_of(m->first));
	say_stop(m);
	say(&m->hint, ", or another port");
	/* Nobody who did not ask for sharing is told of it; one who did lacks it on the other side. */
	if (has_option(m, OPT_REUSEPORT) && !(m->first->modifiers & HOLDER_REUSEPORT_UID))
		say(&m->hint, "; SO_REUSEPORT shares it only when both sockets set it before bind");
}

static void explain_bound(struct matter *m)
{
	say_held(m, "bound");
	say(&m->reason, " but not listening: ss -l and lsof do not show it");
	say_stop(m);
	say(&m->hint, ", or another port");
}

static void explain_shutdown(struct matter *m)
{
	say_held(m, "bound");
	say(&m->reason, "; the socket was shut down but not closed, which keeps the port");
	say(&m->hint, "close() after shutdown(), or ");
	say_stop(m);
}

static void explain_inherited(struct matter *m)
{
	if (m->first->last_owner) {
		say(&m->reason, "bound by ");
		say_last_owner(m, "a process");
		say(&m->reason, "; another process inherited the socket and still has it open");
	} else {
		say_held(m, doing_of(m->first));
		say(&m->reason, "; it inherited the socket from a process that is gone");
	}
	say_stop(m);
	say(&m->hint, "; SOCK_CLOEXEC on the socket keeps it out of children");
}

static void explain_in_flight(struct matter *m)
{
	say(&m->reason, "its socket is in a Unix-socket message that nobody has read");
	if (m->first->pid) {
		say(&m->reason, "; last held by ");
		say_last_owner(m, "");
	}
	say(&m->hint, "let the receiver read the message, or close its socket");
}

static void explain_accepted(struct matter *m)
{
	size_t n = count_kind(m->view, HOLDER_ACCEPTED);

	say(&m->reason, "its listener is gone, %zu accepted connection%s not: ", n, n == 1 ? " is" : "s are");
	say_last_owner(m, "the process is not known");
	if (has_option(m, OPT_REUSEADDR))
		say(&m->hint, "end the connections: ");
	else
		say(&m->hint, "SO_REUSEADDR before bind, or end the connections: ");
	say_stop(m);
}

static void explain_time_wait(struct matter *m)
{
	size_t n = count_kind(m->view, HOLDER_TIME_WAIT);
	uint64_t left_s = time_wait_left_s(m);

	say(&m->reason, "%zu closed connection%s in TIME_WAIT", n, n == 1 ? " is" : "s are");
	if (left_s)
		say(&m->reason, " for at most %" PRIu64 " s more", left_s);
	say(&m->reason, "; last held by ");
	say_last_owner(m, "a process that is not known");

	if (!has_option(m, OPT_REUSEADDR))
		say(&m->hint, "SO_REUSEADDR before bind, or ");
	if (left_s)
		say(&m->hint, "wait %" PRIu64 " s", left_s);
	else
		say(&m->hint, "wait a minute");
	if (has_option(m, OPT_REUSEADDR))
		say(&m->hint, " (SO_REUSEADDR does not help: the old socket did not have it)");
}

static void explain_client(struct matter *m)
{
	say(&m->reason, "a connection of ");
	say_holder(&m->reason, m->first);
	say(&m->reason, " uses it as its own local port");
	say_since(&m->reason, m->first, m->facts->now_ns);
	if (m->first->pid && !m->first->last_owner) {
		say_stop(m);
		say(&m->hint, " now; ");
	}
	say(&m->hint,
	    "keep clients off it: sudo sysctl -w net.ipv4.ip_local_reserved_ports=%u (and what the list has already);"
	    " SO_REUSEADDR does not help",
	    m->rec->port);
}

/* Ports that the kernel itself is known to take. */
static const struct kernel_port {
	uint16_t port;
	enum proto proto;
	const char *name;
	const char *hint;
} kernel_ports[] = {
	{ 1701, PROTO_UDP, "L2TP", "ip l2tp show tunnel" },
	{ 2049, PROTO_TCP, "the NFS server", "systemctl stop nfs-server" },
	{ 2049, PROTO_UDP, "the NFS server", "systemctl stop nfs-server" },
	{ 2152, PROTO_UDP, "GTP-U", "ip -d link show type gtp" },
	{ 2268, PROTO_UDP, "AMT", "ip -d link show type amt" },
	{ 3260, PROTO_TCP, "the iSCSI target", "targetcli ls" },
	{ 4420, PROTO_TCP, "the NVMe target", "nvmetcli ls" },
	{ 4789, PROTO_UDP, "VXLAN", "ip -d link show type vxlan" },
	{ 4791, PROTO_UDP, "RDMA over Ethernet (rxe)", "rdma link show" },
	{ 445, PROTO_TCP, "the SMB server (ksmbd)", "systemctl stop ksmbd" },
	{ 6081, PROTO_UDP, "Geneve", "ip -d link show type geneve" },
	{ 6118, PROTO_UDP, "TIPC", "tipc bearer list" },
	{ 7001, PROTO_UDP, "AFS", "rmmod kafs" },
	{ 8472, PROTO_UDP, "VXLAN", "ip -d link show type vxlan" },
	{ 21064, PROTO_TCP, "the lock manager (dlm)", "systemctl stop dlm" },
	{ 51820, PROTO_UDP, "WireGuard", "wg show" },
	{ 51821, PROTO_UDP, "WireGuard", "wg show" },
};

static const struct kernel_port *kernel_port_find(const struct record *rec)
{
	enum proto proto = rec->proto == PROTO_UDP ? PROTO_UDP : PROTO_TCP;

	for (size_t i = 0; i < ARRAY_SIZE(kernel_ports); i++)
		if (kernel_ports[i].port == rec->port && kernel_ports[i].proto == proto)
			return &kernel_ports[i];
	return NULL;
}

static void explain_kernel(struct matter *m)
{
	const struct kernel_port *known = kernel_port_find(m->rec);

	say(&m->reason, "held by the kernel itself");
	if (known)
		say(&m->reason, ", most likely %s", known->name);
	say_other_address(&m->reason, m);
	say_since(&m->reason, m->first, m->facts->now_ns);
	if (known)
		say(&m->hint, "%s, or another port", known->hint);
	else
		say(&m->hint, "ip -d link for tunnels, or a look at file servers (NFS, SMB): no process can be stopped; or"
			      " another port");
}

static void explain_unknown(struct matter *m)
{
	const struct holder *h = m->first;

	if (h->pid && h->last_owner) {
		say(&m->reason, "held by a socket of uid %u; last known owner ", h->sock_uid);
		say_last_owner(m, "");
	} else {
		say_held(m, doing_of(h));
	}
	say(&m->hint, "run as root in the host's pid namespace, which sees the owners of other users, or another port");
}

static const struct {
	const char *name;
	void (*explain)(struct matter *m);
} kinds[N_HOLDER_KINDS] = {
	[HOLDER_NONE] = { "none", explain_unknown },
	[HOLDER_LISTENER] = { "listener", explain_listener },
	[HOLDER_BOUND] = { "bound", explain_bound },
	[HOLDER_SHUTDOWN] = { "shutdown", explain_shutdown },
	[HOLDER_INHERITED] = { "inherited", explain_inherited },
	[HOLDER_IN_FLIGHT] = { "in-flight", explain_in_flight },
	[HOLDER_ACCEPTED] = { "accepted", explain_accepted },
	[HOLDER_TIME_WAIT] = { "time-wait", explain_time_wait },
	[HOLDER_CLIENT] = { "client", explain_client },
	[HOLDER_KERNEL] = { "kernel", explain_kernel },
	[HOLDER_UNKNOWN] = { "unknown", explain_unknown },
};

const char *holder_kind_name(enum holder_kind kind)
{
	return (unsigned)kind < N_HOLDER_KINDS ? kinds[kind].name : "unknown";
}

/* IPv6 wildcards that take the IPv4 port along surprise most people. */
static void explain_dual_stack(struct matter *m)
{
	if (m->first->addr.family == AF_INET6) {
		say(&m->reason, "; its [::] covers IPv4 too");
		say(&m->hint, "; IPV6_V6ONLY on its socket would leave IPv4 free");
	} else {
		say(&m->reason, "; the new [::] would cover IPv4 too");
		say(&m->hint, "; or IPV6_V6ONLY on the new socket");
	}
}

static void explain_reuseport_uid(struct matter *m)
{
	say(&m->reason, "; both set SO_REUSEPORT, but their sockets are of uid %u and %u", m->rec->sock_uid,
	    m->first->sock_uid);
	say(&m->hint, "; to share it, make both sockets as the same user");
}

static void explain_holder(struct matter *m)
{
	enum holder_kind kind = (unsigned)m->first->kind < N_HOLDER_KINDS ? m->first->kind : HOLDER_UNKNOWN;

	kinds[kind].explain(m);
	if (m->first->modifiers & HOLDER_DUAL_STACK)
		explain_dual_stack(m);
	if (m->first->modifiers & HOLDER_REUSEPORT_UID)
		explain_reuseport_uid(m);
}

/* ---- the other reasons ---- */

static const char *unit_of(const struct matter *m)
{
	const struct process *p = m->view->process;
	const char *unit = p ? p->where.unit : NULL;

	return is_plain(unit) && !is_session(unit) && ends_with(unit, ".service") ? unit : NULL;
}

static unsigned first_free_port(const struct explain_facts *facts)
{
	return facts->unprivileged_port_start >= 0 ? (unsigned)facts->unprivileged_port_start : LOW_PORTS;
}

static void explain_no_holder(struct matter *m)
{
	say(&m->reason, "nothing is on the port any more: it was let go right after the refusal");
	say(&m->hint, "try again");
}

static void explain_exhausted(struct matter *m)
{
	say(&m->reason, "port 0 was asked for and no port of ip_local_port_range is left");
	say(&m->hint, "close sockets (ss -s counts them), or more room:"
		      " sudo sysctl -w net.ipv4.ip_local_port_range='1024 65535'");
}

static void explain_low_port(struct matter *m)
{
	unsigned start = first_free_port(m->facts);
	const char *exe = m->view->process ? m->view->process->exe : NULL;

	say(&m->reason, "ports below %u need CAP_NET_BIND_SERVICE, which uid %u here does not have", start,
	    m->rec->uid);
	if (unit_of(m))
		say(&m->hint, "AmbientCapabilities=CAP_NET_BIND_SERVICE in %s, ", unit_of(m));
	else
		say(&m->hint, "sudo setcap cap_net_bind_service=+ep %s, ", is_plain(exe) ? exe : "PROGRAM");
	say(&m->hint, "or sudo sysctl -w net.ipv4.ip_unprivileged_port_start=%u, or a port from %u up", m->rec->port,
	    start);
}

static void explain_lsm(struct matter *m)
{
	say(&m->reason, "a security module (SELinux, AppArmor, Landlock ...) refused the call");
	say(&m->hint, "sudo journalctl -k --grep 'apparmor|avc|landlock' for its message");
}

static void explain_cgroup(struct matter *m)
{
	const char *cgroup = m->view->process ? m->view->process->cgroup : NULL;

	say(&m->reason, "a BPF program of the caller's cgroup refused the port");
	if (unit_of(m))
		say(&m->hint, "SocketBindAllow= and SocketBindDeny= of %s; ", unit_of(m));
	say(&m->hint, "sudo bpftool cgroup show /sys/fs/cgroup%s effective", is_plain(cgroup) ? cgroup : "/PATH");
}

static void explain_not_local(struct matter *m)
{
	bool v6 = m->rec->addr.family == AF_INET6;
	char address[ENDPOINT_LEN];

	endpoint_text(&m->rec->addr, 0, address, sizeof(address));
	if (strrchr(address, ':'))
		*strrchr(address, ':') = '\0';
	say(&m->reason, "no interface of this network namespace has %s (yet)%s", address,
	    v6 ? ", or it is still tentative" : "");
	if (unit_of(m))
		say(&m->hint, "Wants= and After=network-online.target in %s, or ", unit_of(m));
	else
		say(&m->hint, "ip -br addr shows the ones there are; at boot After=network-online.target, or ");
	say(&m->hint, "IP_FREEBIND (FreeBind=yes in a .socket), or sudo sysctl -w net.ipv%d.ip_nonlocal_bind=1",
	    v6 ? 6 : 4);
}

static void explain_already_bound(struct matter *m)
{
	const struct record *rec = m->rec;
	char endpoint[ENDPOINT_LEN];

	if (rec->has_asked_port && rec->port)
		say(&m->reason, "the socket is bound already, to %s",
		    endpoint_text(&rec->addr, rec->port, endpoint, sizeof(endpoint)));
	else
		say(&m->reason, "the socket is bound already");
	say(&m->hint, "bind a socket once; a second address or port needs a second socket");
}

static bool is_link_local(const struct address *a)
{
	return a->family == AF_INET6 && a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80;
}

static void explain_invalid(struct matter *m)
{
	if (m->rec->action == ACTION_LISTEN) {
		say(&m->reason, "the socket is in no state to listen: connected, or shut down");
		say(&m->hint, "listen on a socket of its own");
	} else if (is_link_local(&m->rec->addr) && !m->rec->ifindex) {
		say(&m->reason, "a link-local address says nothing without its interface");
		say(&m->hint, "set sin6_scope_id, as fe80::1%%eth0 does");
	} else {
		say(&m->reason, "the address given to bind has a wrong length or content");
		say(&m->hint, "give bind the size of the struct sockaddr_in or sockaddr_in6 that it points at");
	}
}

static void explain_family(struct matter *m)
{
	bool v6 = m->rec->family == AF_INET6;

	say(&m->reason, "the address is not of the socket's family, which is %s", v6 ? "IPv6" : "IPv4");
	say(&m->hint, v6 ? "use a sockaddr_in6; ::ffff:192.0.2.1 is how it writes an IPv4 address"
			 : "use a sockaddr_in with sin_family AF_INET, or an AF_INET6 socket");
}

static const struct {
	int error;
	const char *reason;
	const char *hint;
} others[] = {
	{ EOPNOTSUPP, "a socket of this type does not listen", "only TCP and MPTCP listen; UDP receives once bound" },
	{ ENODEV, "the interface it names is not there", "ip -br link shows the ones there are" },
	{ EISCONN, "the socket is connected", "use a socket of its own" },
	{ ENOMEM, "the kernel is out of memory", "free shows how much is left; a cgroup may limit it" },
	{ ENOBUFS, "the kernel is out of socket buffers", "see net.ipv4.tcp_mem and net.core" },
};

static void explain_other(struct matter *m)
{
	const char *text = strerrordesc_np(m->rec->error);

	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		if (others[i].error != m->rec->error)
			continue;
		say(&m->reason, "%s", others[i].reason);
		say(&m->hint, "%s", others[i].hint);
		return;
	}
	say(&m->reason, "the kernel said: %s", text ? text : "an error without a name");
}

static const struct {
	const char *code;
	void (*explain)(struct matter *m);
} reasons[] = {
	[REASON_NONE] = { "other", explain_other },
	[REASON_HOLDER] = { NULL, explain_holder }, /* the code is the holder's kind */
	[REASON_NO_HOLDER] = { "gone", explain_no_holder },
	[REASON_EPHEMERAL_EXHAUSTED] = { "exhausted", explain_exhausted },
	[REASON_LOW_PORT] = { "low-port", explain_low_port },
	[REASON_LSM] = { "lsm", explain_lsm },
	[REASON_CGROUP] = { "cgroup", explain_cgroup },
	[REASON_NOT_LOCAL] = { "address-not-available", explain_not_local },
	[REASON_ALREADY_BOUND] = { "already-bound", explain_already_bound },
	[REASON_INVALID] = { "invalid", explain_invalid },
	[REASON_FAMILY] = { "family", explain_family },
	[REASON_OTHER] = { "other", explain_other },
};

/* ---- choosing ---- */

static enum reason reason_in_use(const struct record *rec, size_t n)
{
	if (!rec->port)
		return REASON_EPHEMERAL_EXHAUSTED;
	return n ? REASON_HOLDER : REASON_NO_HOLDER;
}

/* A module is asked before the protocol is: a call that never got there was refused by one. */
static enum reason reason_denied(const struct record *rec, const struct explain_facts *facts)
{
	if (rec->action == ACTION_LISTEN || !rec->hook_addr)
		return REASON_LSM;
	if (rec->error == EPERM)
		return REASON_CGROUP;
	return rec->port && rec->port < first_free_port(facts) ? REASON_LOW_PORT : REASON_LSM;
}

/* A socket that has a port differs from what was asked, was told before, or is connected. */
static enum reason reason_invalid(const struct record *rec)
{
	bool known = rec->socket_id && rec->socket_id < rec->seq;
	bool busy = rec->state && rec->state != TCP_CLOSE;

	if (rec->action == ACTION_LISTEN)
		return REASON_INVALID;
	return rec->has_asked_port || known || busy ? REASON_ALREADY_BOUND : REASON_INVALID;
}

enum reason explain_reason(const struct record *rec, const struct holder *holders, size_t n,
			   const struct explain_facts *facts)
{
	(void)holders;
	switch (rec->error) {
	case 0:
		return REASON_NONE;
	case EADDRINUSE:
		return reason_in_use(rec, n);
	case EACCES:
	case EPERM:
		return reason_denied(rec, facts);
	case EADDRNOTAVAIL:
		return REASON_NOT_LOCAL;
	case EINVAL:
		return reason_invalid(rec);
	case EAFNOSUPPORT:
		return REASON_FAMILY;
	default:
		return REASON_OTHER;
	}
}

void explain(const struct view *view, const struct explain_facts *facts, struct explanation *ret)
{
	enum reason reason = view->rec->reason < ARRAY_SIZE(reasons) ? view->rec->reason : REASON_OTHER;
	struct matter m = {
		.view = view,
		.rec = view->rec,
		.first = view->n_holders ? &view->holders[0] : NULL,
		.facts = facts,
		.reason = clause_begin(ret->reason, sizeof(ret->reason)),
		.hint = clause_begin(ret->hint, sizeof(ret->hint)),
	};

	if (reason == REASON_HOLDER && !m.first)
		reason = REASON_NO_HOLDER;
	ret->code = reason == REASON_HOLDER ? holder_kind_name(m.first->kind) : reasons[reason].code;
	reasons[reason].explain(&m);
}
