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
 */
#include "core/explain.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "core/explain_matter.h"
#include "core/field.h"
#include "core/process.h"
#include "util/cleanup.h"

#define LOW_PORTS 1024 /* ip_unprivileged_port_start as the kernel ships it */
#define ENDPOINT_LEN 64

static unsigned first_free_port(const struct explain_facts *facts)
{
	return facts->unprivileged_port_start >= 0 ? (unsigned)facts->unprivileged_port_start : LOW_PORTS;
}

static void explain_no_holder(struct matter *m)
{
	clause_say(&m->reason, "nothing is on the port any more: it was let go right after the refusal");
	clause_say(&m->hint, "the same call again, which should work now");
}

static void explain_exhausted(struct matter *m)
{
	clause_say(&m->reason, "port 0 was asked for and no port of ip_local_port_range is left");
	clause_say(&m->hint, "closing sockets (ss -s counts them), or more room:"
			     " sudo sysctl -w net.ipv4.ip_local_port_range='1024 65535'");
}

static void explain_low_port(struct matter *m)
{
	unsigned start = first_free_port(m->facts);
	const char *exe = m->view->process ? m->view->process->exe : NULL;

	if (m->rec->port < start)
		clause_say(&m->reason,
			   "ports below %u need CAP_NET_BIND_SERVICE, which uid %u here does not have", start,
			   m->rec->uid);
	else
		clause_say(&m->reason,
			   "ports below ip_unprivileged_port_start of this network namespace need "
			   "CAP_NET_BIND_SERVICE, which uid %u here does not have",
			   m->rec->uid);
	if (service_of(m->view->process))
		clause_say(&m->hint, "AmbientCapabilities=CAP_NET_BIND_SERVICE in %s, ",
			   service_of(m->view->process));
	else
		clause_say(&m->hint, "sudo setcap cap_net_bind_service=+ep %s, ",
			   is_shell_plain(exe) ? exe : "PROGRAM");
	clause_say(&m->hint, "or sudo sysctl -w net.ipv4.ip_unprivileged_port_start=%u", m->rec->port);
	if (m->rec->port < start)
		clause_say(&m->hint, ", or a port from %u up", start);
}

static void explain_lsm(struct matter *m)
{
	clause_say(&m->reason, "a security module (SELinux, AppArmor, Landlock ...) refused the call");
	clause_say(&m->hint, "sudo journalctl -k --grep 'apparmor|avc|landlock' for its message");
}

static void explain_cgroup(struct matter *m)
{
	const char *cgroup = m->view->process ? m->view->process->cgroup : NULL;

	clause_say(&m->reason, "a BPF program of the caller's cgroup refused the port");
	if (service_of(m->view->process))
		clause_say(&m->hint, "SocketBindAllow= and SocketBindDeny= of %s; ",
			   service_of(m->view->process));
	clause_say(&m->hint, "sudo bpftool cgroup show /sys/fs/cgroup%s effective",
		   is_shell_plain(cgroup) ? cgroup : "/PATH");
}

static void explain_not_local(struct matter *m)
{
	bool v6 = !address_is_v4(&m->rec->addr);
	char address[ENDPOINT_LEN];

	endpoint_text(&m->rec->addr, 0, address, sizeof(address));
	if (strrchr(address, ':'))
		*strrchr(address, ':') = '\0';
	clause_say(&m->reason, "no interface of this network namespace has %s (yet)%s", address,
		   v6 ? ", or it is still tentative" : "");
	if (service_of(m->view->process))
		clause_say(&m->hint, "Wants= and After=network-online.target in %s, or ",
			   service_of(m->view->process));
	else
		clause_say(&m->hint,
			   "ip -br addr for those there are, at boot After=network-online.target, or ");
	clause_say(&m->hint,
		   "IP_FREEBIND (FreeBind=yes in a .socket), or sudo sysctl -w net.ipv%d.ip_nonlocal_bind=1",
		   v6 ? 6 : 4);
}

/* The record is about what was asked for; what the socket has is the other port of it. */
static void explain_already_bound(struct matter *m)
{
	clause_say(&m->reason, "the socket is bound already");
	if (m->rec->has_asked_port && m->rec->asked_port)
		clause_say(&m->reason, ", to port %u", m->rec->asked_port);
	clause_say(&m->hint, "binding a socket only once; a second address or port needs a second socket");
}

static bool is_link_local(const struct address *a)
{
	return a->family == AF_INET6 && a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80;
}

static void explain_invalid(struct matter *m)
{
	if (m->rec->action == ACTION_LISTEN) {
		clause_say(&m->reason, "the socket is in no state to listen: connected, or shut down");
		clause_say(&m->hint, "listen on a socket of its own");
	} else if (is_link_local(&m->rec->addr) && !m->rec->ifindex) {
		clause_say(&m->reason, "a link-local address says nothing without its interface");
		clause_say(&m->hint, "set sin6_scope_id, as fe80::1%%eth0 does");
	} else {
		clause_say(&m->reason, "the address given to bind has a wrong length or content");
		clause_say(&m->hint,
			   "give bind the size of the struct sockaddr_in or sockaddr_in6 that it points at");
	}
}

static void explain_family(struct matter *m)
{
	bool v6 = m->rec->family == AF_INET6;

	clause_say(&m->reason, "the address is not of the socket's family, which is %s",
		   v6 ? "IPv6" : "IPv4");
	clause_say(&m->hint, v6 ? "use a sockaddr_in6; ::ffff:192.0.2.1 is how it writes an IPv4 address"
				: "use a sockaddr_in with sin_family AF_INET, or an AF_INET6 socket");
}

static const struct {
	int error;
	const char *reason;
	const char *hint;
} others[] = {
	{ EOPNOTSUPP, "a socket of this type does not listen",
	  "only TCP and MPTCP listen; UDP receives once bound" },
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
		clause_say(&m->reason, "%s", others[i].reason);
		clause_say(&m->hint, "%s", others[i].hint);
		return;
	}
	clause_say(&m->reason, "the kernel said: %s", text ? text : "an error without a name");
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
	if (rec->addr_unknown)
		return REASON_OTHER;
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
	/* The protocol itself has no other EACCES; nobody may know how high the namespace's low ports go. */
	if (facts->unprivileged_port_start < 0)
		return REASON_LOW_PORT;
	return rec->port && rec->port < first_free_port(facts) ? REASON_LOW_PORT : REASON_LSM;
}

/* A socket that has a port had it asked for by number, has another one than was asked for now, or is connected. */
static enum reason reason_invalid(const struct record *rec)
{
	bool busy = rec->state && rec->state != TCP_CLOSE;

	if (rec->action == ACTION_LISTEN)
		return REASON_INVALID;
	return rec->has_asked_port || rec->explicit_port || busy ? REASON_ALREADY_BOUND : REASON_INVALID;
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
