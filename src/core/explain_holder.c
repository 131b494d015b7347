/* SPDX-License-Identifier: GPL-2.0-only */
/* EADDRINUSE, told by what the holder is. */
#include "core/explain_matter.h"

#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "core/field.h"
#include "core/process.h"
#include "util/cleanup.h"
#include "util/human.h"

#define NS_PER_S 1000000000ULL
#define WHO_LEN 160
#define ENDPOINT_LEN 64

/* " for web.service (web.socket)", " for docker:shop-web-1"; false: it is not known for whom. */
static bool say_bound_by(struct clause *c, const struct bound_by *b)
{
	char whom[WHO_LEN];

	if (!*explain_for(b, whom, sizeof(whom)))
		return false;
	if (b->service)
		clause_say(c, " for %s (%s)", b->service, whom);
	else
		clause_say(c, " for %s", whom);
	return true;
}

static void say_process(struct clause *c, const struct holder *h)
{
	char where[WHO_LEN];

	clause_say(c, "%.*s[%u]", (int)strnlen(h->comm, sizeof(h->comm)), h->comm, h->pid);
	if (!say_bound_by(c, h->bound_by) && *explain_where(h->process, where, sizeof(where)))
		clause_say(c, " (%s)", where);
	if (h->owners_count > 1)
		clause_say(c, " and %u more", h->owners_count - 1);
}

/* A holder as the object of "held by". */
static void say_holder(struct matter *m)
{
	const struct holder *h = m->first;
	static const char *const hidden[] = {
		[REACH_ALL] = "no known process has open",
		[REACH_NEEDS_ROOT] = "only root sees",
		[REACH_NEEDS_PTRACE] = "is not seen without CAP_SYS_PTRACE",
		[REACH_NEEDS_FILES] = "was not seen for want of open files",
		[REACH_OF_PIDNS] = "no process of this pid namespace has open",
	};
	enum reach reach = m->facts->reach;
	bool lone = !m->first->inode || reach == REACH_ALL || reach == REACH_OF_PIDNS;
	struct clause *c = &m->reason;

	if (h->pid)
		say_process(c, h);
	else
		clause_say(c, "a %s of uid %u that %s", lone ? "socket" : "process", h->sock_uid,
			   hidden[h->inode ? reach : REACH_ALL]);
}

/* " for 45 ms", as exactly as it is known; "" when it is not. */
static void say_since(struct clause *c, const struct holder *h, uint64_t now_ns)
{
	static const char *const how[] = {
		[SINCE_EXACT] = " for ", [SINCE_NOT_BEFORE] = " for at most ", [SINCE_NOT_AFTER] = " for at least "
	};
	char span[HUMAN_LEN];

	if (!h->since_precision || h->since_precision > SINCE_NOT_AFTER || !h->since_ns ||
	    now_ns < h->since_ns)
		return;
	clause_say(c, "%s%s", how[h->since_precision], human_span(now_ns - h->since_ns, span));
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
	clause_say(c, " on %s",
		   endpoint_text(&h->addr, h->port ? h->port : m->rec->port, endpoint, sizeof(endpoint)));
}

/* "held by nginx[53] (nginx.service), listening on [::]:80 for 45 ms" */
static void say_held(struct matter *m, const char *doing)
{
	clause_say(&m->reason, "held by ");
	say_holder(m);
	clause_say(&m->reason, ", %s", doing);
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
		clause_say(&m->reason, "%s", unknown);
		return;
	}
	say_process(&m->reason, h);
	if (h->last_owner && h->since_ns && m->facts->now_ns >= h->since_ns)
		clause_say(&m->reason, ", which let go %s ago",
			   human_span(m->facts->now_ns - h->since_ns, span));
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
	matter_say_stop(m);
	clause_say(&m->hint, ", or another port");
	/* Nobody who did not ask for sharing is told of it; one who did lacks it on the other side. */
	if (matter_has_option(m, OPT_REUSEPORT) && !(m->first->modifiers & HOLDER_REUSEPORT_UID))
		clause_say(&m->hint, "; SO_REUSEPORT shares it only when both sockets set it before bind");
}

static void explain_bound(struct matter *m)
{
	say_held(m, "bound");
	clause_say(&m->reason, " but not listening: ss -l and lsof do not show it");
	matter_say_stop(m);
	clause_say(&m->hint, ", or another port");
}

static void explain_shutdown(struct matter *m)
{
	say_held(m, "bound");
	clause_say(&m->reason, "; the socket was shut down but not closed, which keeps the port");
	clause_say(&m->hint, "close() after shutdown(), or ");
	matter_say_stop(m);
}

static void explain_inherited(struct matter *m)
{
	if (m->first->last_owner) {
		clause_say(&m->reason, "bound by ");
		say_last_owner(m, "a process");
		clause_say(&m->reason, "; another process inherited the socket and still has it open");
	} else {
		say_held(m, doing_of(m->first));
		clause_say(&m->reason, "; the process that bound it is gone");
	}
	matter_say_stop(m);
	if (m->first->modifiers & HOLDER_SAME_PROGRAM) /* as servers do that go to the background */
		clause_say(&m->hint, ", or another port");
	else
		clause_say(&m->hint, "; SOCK_CLOEXEC on the socket keeps it out of programs that it starts");
}

static void explain_in_flight(struct matter *m)
{
	clause_say(&m->reason, "its socket is in a Unix-socket message that nobody has read");
	if (m->first->pid) {
		clause_say(&m->reason, "; last held by ");
		say_last_owner(m, "");
	}
	clause_say(&m->hint, "let the receiver read the message, or close its socket");
}

static void explain_accepted(struct matter *m)
{
	size_t n = count_kind(m->view, HOLDER_ACCEPTED);

	clause_say(&m->reason, "its listener is gone, %zu accepted connection%s not: ", n,
		   n == 1 ? " is" : "s are");
	say_last_owner(m, "the process is not known");
	if (matter_has_option(m, OPT_REUSEADDR))
		clause_say(&m->hint, "end the connections: ");
	else
		clause_say(&m->hint, "SO_REUSEADDR before bind, or end the connections: ");
	matter_say_stop(m);
	/* What closes first stays in TIME_WAIT, with the options it had. */
	if (m->first->has_options && !(m->first->options & OPT_REUSEADDR))
		clause_say(&m->hint, "; a TIME_WAIT of it may keep the port for a minute more");
}

static void explain_time_wait(struct matter *m)
{
	size_t n = count_kind(m->view, HOLDER_TIME_WAIT);
	uint64_t left_s = time_wait_left_s(m);

	clause_say(&m->reason, "%zu closed connection%s in TIME_WAIT", n, n == 1 ? " is" : "s are");
	if (left_s)
		clause_say(&m->reason, " for at most %" PRIu64 " s more", left_s);
	clause_say(&m->reason, "; last held by ");
	say_last_owner(m, "a process that is not known");

	if (!matter_has_option(m, OPT_REUSEADDR))
		clause_say(&m->hint, "SO_REUSEADDR before bind, or ");
	if (left_s)
		clause_say(&m->hint, "wait %" PRIu64 " s", left_s);
	else
		clause_say(&m->hint, "wait a minute");
	if (matter_has_option(m, OPT_REUSEADDR))
		clause_say(&m->hint, " (SO_REUSEADDR does not help: the old socket did not have it)");
}

static void explain_client(struct matter *m)
{
	clause_say(&m->reason, "a connection of ");
	say_holder(m);
	clause_say(&m->reason, " uses it as its own local port");
	say_since(&m->reason, m->first, m->facts->now_ns);
	if (m->first->pid && !m->first->last_owner) {
		matter_say_stop(m);
		clause_say(&m->hint, " now; ");
	}
	clause_say(
		&m->hint,
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

	clause_say(&m->reason, "held by the kernel itself");
	if (known)
		clause_say(&m->reason, ", most likely %s", known->name);
	say_other_address(&m->reason, m);
	say_since(&m->reason, m->first, m->facts->now_ns);
	if (known)
		clause_say(&m->hint, "%s, or another port", known->hint);
	else
		clause_say(
			&m->hint,
			"ip -d link for tunnels, or a look at file servers (NFS, SMB): no process can be stopped; or"
			" another port");
}

static void explain_unknown(struct matter *m)
{
	const struct holder *h = m->first;

	if (h->pid && h->last_owner) {
		clause_say(&m->reason, "held by a socket of uid %u; last known owner ", h->sock_uid);
		say_last_owner(m, "");
	} else {
		say_held(m, doing_of(h));
	}
	clause_say(
		&m->hint,
		"run as root in the host's pid namespace, which sees the owners of other users, or another port");
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

/* What a socket of each kind does, as a person is told beside its process and address. */
static const char *const doings[N_HOLDER_KINDS] = {
	[HOLDER_BOUND] = "bound but not listening: ss -l and lsof do not show it",
	[HOLDER_SHUTDOWN] = "shut down but not closed, which keeps the port",
	[HOLDER_INHERITED] = "inherited from a process that is gone",
	[HOLDER_IN_FLIGHT] = "open in no process: it is in a Unix-socket message that nobody has read",
	[HOLDER_ACCEPTED] = "a connection that was accepted here; its listener is gone",
	[HOLDER_CLIENT] = "the local port of a connection that it made",
};

const char *explain_doing(const struct holder *h, uint64_t now_ns, char *out, size_t size)
{
	struct clause c = clause_begin(out, size);
	struct record rec = { .port = h->port, .proto = h->proto };
	const struct kernel_port *known = h->kind == HOLDER_KERNEL ? kernel_port_find(&rec) : NULL;

	if (h->kind == HOLDER_TIME_WAIT && h->expires_ns > now_ns)
		clause_say(&c, "a closed connection in TIME_WAIT, %" PRIu64 " s more at most",
			   (uint64_t)((h->expires_ns - now_ns) / NS_PER_S + 2));
	else if (h->kind == HOLDER_TIME_WAIT)
		clause_say(&c, "a closed connection in TIME_WAIT");
	else if (known)
		clause_say(&c, "a socket of the kernel itself, most likely %s", known->name);
	else if (h->kind == HOLDER_KERNEL)
		clause_say(&c, "a socket of the kernel itself");
	else if ((unsigned)h->kind < N_HOLDER_KINDS && doings[h->kind])
		clause_say(&c, "%s", doings[h->kind]);
	else
		clause_say(&c, "%s", doing_of(h));
	return out;
}

const char *holder_kind_name(enum holder_kind kind)
{
	return (unsigned)kind < N_HOLDER_KINDS ? kinds[kind].name : "unknown";
}

/* IPv6 wildcards that take the IPv4 port along surprise most people. */
static void explain_dual_stack(struct matter *m)
{
	if (m->first->addr.family == AF_INET6) {
		clause_say(&m->reason, "; its [::] covers IPv4 too");
		clause_say(&m->hint, "; IPV6_V6ONLY on its socket would leave IPv4 free");
	} else {
		clause_say(&m->reason, "; the new [::] would cover IPv4 too");
		clause_say(&m->hint, "; or IPV6_V6ONLY on the new socket");
	}
}

static void explain_reuseport_uid(struct matter *m)
{
	clause_say(&m->reason, "; both set SO_REUSEPORT, but their sockets are of uid %u and %u",
		   m->rec->sock_uid, m->first->sock_uid);
	clause_say(&m->hint, "; to share it, make both sockets as the same user");
}

void explain_holder(struct matter *m)
{
	enum holder_kind kind = (unsigned)m->first->kind < N_HOLDER_KINDS ? m->first->kind : HOLDER_UNKNOWN;

	kinds[kind].explain(m);
	if (m->first->modifiers & HOLDER_DUAL_STACK)
		explain_dual_stack(m);
	if (m->first->modifiers & HOLDER_REUSEPORT_UID)
		explain_reuseport_uid(m);
}
