/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * NETLINK_SOCK_DIAG: the kernel's own list of sockets in one network namespace. A dump is one request for each protocol
 * and family; the answer comes in datagrams of many rows. The socket is ours (libnl's asks for each datagram twice),
 * messages and attributes are taken apart with libnl.
 */
#include "source/sockdiag.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "source/netns.h"
#include "util/cleanup.h"
#include "util/fail.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

#define DATAGRAM_MAX 65536 /* the kernel fills at most 32 KiB */
#define ANSWER_SECONDS 3   /* the kernel answers at once; this only keeps a fault from hanging us */
#define ATTEMPTS 3         /* of a dump that says it was interrupted */
#define ALL_STATES 0xffffffffu
#define RANGES_MAX 48 /* of ports that the kernel is to judge: a request is one page */

struct port_range {
	unsigned low, high;
};

struct sockdiag {
	int fd;
	uint32_t netns;
	uint32_t seq;
	uint64_t bad;
};

/* One answer being taken apart. */
struct decode {
	int (*each)(void *arg, const struct diag_row *row);
	void *arg;
	enum proto proto;
	uint32_t netns;
	uint32_t seq;         /* 0: any; else older answers are left out */
	uint16_t port;        /* 0: any */
	const uint8_t *ports; /* NULL: any */
	uint64_t bad;
	int stopped; /* what @each said */
	int error;   /* what the kernel said, negative */
	bool done;
	bool interrupted;
};

static void row_address(struct address *addr, uint8_t family, const __be32 *from)
{
	addr->family = family;
	memcpy(addr->bytes, from, family == AF_INET ? 4 : 16);
}

static void row_attributes(struct diag_row *row, struct nlmsghdr *nlh)
{
	struct nlattr *tb[INET_DIAG_MAX + 1];
	struct inet_diag_sockopt opt = { 0 };

	if (nla_parse(tb, INET_DIAG_MAX, nlmsg_attrdata(nlh, sizeof(struct inet_diag_msg)),
		      nlmsg_attrlen(nlh, sizeof(struct inet_diag_msg)), NULL))
		return;
	if (tb[INET_DIAG_SKV6ONLY] && nla_len(tb[INET_DIAG_SKV6ONLY]) >= 1 && row->family == AF_INET6) {
		row->has_v6only = true;
		row->v6only = nla_get_u8(tb[INET_DIAG_SKV6ONLY]);
	}
	if (tb[INET_DIAG_SOCKOPT] && nla_len(tb[INET_DIAG_SOCKOPT]) >= (int)sizeof(opt)) {
		memcpy(&opt, nla_data(tb[INET_DIAG_SOCKOPT]), sizeof(opt));
		row->has_sockopt = true;
		row->freebind = opt.freebind;
		row->transparent = opt.transparent;
	}
}

static uint64_t row_cookie(const __u32 cookie[2])
{
	if (cookie[0] == INET_DIAG_NOCOOKIE && cookie[1] == INET_DIAG_NOCOOKIE)
		return 0;
	return (uint64_t)cookie[1] << 32 | cookie[0];
}

static bool decode_row(const struct decode *d, struct nlmsghdr *nlh, struct diag_row *ret)
{
	const struct inet_diag_msg *m = nlmsg_data(nlh);
	struct diag_row row = { .proto = d->proto, .netns = d->netns };

	if (!nlmsg_valid_hdr(nlh, sizeof(*m)) || (m->idiag_family != AF_INET && m->idiag_family != AF_INET6))
		return false;
	row.family = m->idiag_family;
	row.state = m->idiag_state;
	row.bound_only = m->idiag_state == TCP_CLOSE && d->proto != PROTO_UDP;
	row_address(&row.addr, row.family, m->id.idiag_src);
	row_address(&row.peer, row.family, m->id.idiag_dst);
	row.port = ntohs(m->id.idiag_sport);
	row.peer_port = ntohs(m->id.idiag_dport);
	row.cookie = row_cookie(m->id.idiag_cookie);
	row.inode = m->idiag_inode;
	row.uid = m->idiag_uid;
	row.ifindex = m->id.idiag_if;
	row.expires_ms = m->idiag_state == TCP_TIME_WAIT ? m->idiag_expires : 0;
	row.backlog = m->idiag_state == TCP_LISTEN ? m->idiag_wqueue : 0;
	row_attributes(&row, nlh);
	*ret = row;
	return true;
}

/* The errno at the start of the payload of NLMSG_ERROR and NLMSG_DONE; 0 when there is none. */
static int decode_errno(struct nlmsghdr *nlh)
{
	int error = 0;

	if (nlmsg_valid_hdr(nlh, sizeof(error)))
		memcpy(&error, nlmsg_data(nlh), sizeof(error));
	return error < 0 && error >= -4095 ? error : 0;
}

static bool is_asked(const struct decode *d, uint16_t port)
{
	return (!d->port || d->port == port) && (!d->ports || d->ports[port / 8] & 1u << port % 8);
}

static void decode_message(struct decode *d, struct nlmsghdr *nlh)
{
	struct diag_row row;

	if (nlh->nlmsg_flags & NLM_F_DUMP_INTR)
		d->interrupted = true;
	if (nlh->nlmsg_type == NLMSG_DONE || nlh->nlmsg_type == NLMSG_ERROR) {
		d->done = true;
		d->error = decode_errno(nlh);
		return;
	}
	if (nlh->nlmsg_type != SOCK_DIAG_BY_FAMILY && nlh->nlmsg_type != TCPDIAG_GETSOCK)
		return;
	if (!decode_row(d, nlh, &row)) {
		d->bad++;
		return;
	}
	if (!d->stopped && is_asked(d, row.port))
		d->stopped = d->each(d->arg, &row);
}

static void decode_datagram(struct decode *d, const void *data, size_t len)
{
	struct nlmsghdr *nlh = (struct nlmsghdr *)data; /* libnl's readers take no const */
	int left = (int)len;

	for (; !d->done && nlmsg_ok(nlh, left); nlh = nlmsg_next(nlh, &left)) {
		if (!d->seq || nlh->nlmsg_seq == d->seq)
			decode_message(d, nlh);
	}
	if (!d->done && left > 0)
		d->bad++;
}

int sockdiag_decode(const void *data, size_t len, uint32_t netns_inode, enum proto proto,
		    int (*each)(void *arg, const struct diag_row *row), void *arg, uint64_t *ret_bad,
		    bool *ret_done)
{
	struct decode d = { .each = each, .arg = arg, .proto = proto, .netns = netns_inode };

	decode_datagram(&d, data, len);
	*ret_bad = d.bad;
	*ret_done = d.done;
	if (d.stopped)
		return d.stopped;
	return d.error == -ENOENT ? SOCKDIAG_NO_MODULE : d.error;
}

/* Attributes of a request: port >= P, then port <= P, each leading behind the end (refused) when it does not hold. */
static int put_port_filter(struct nl_msg *msg, uint16_t port)
{
	const struct inet_diag_bc_op ops[] = {
		{ .code = INET_DIAG_BC_S_GE, .yes = 2 * sizeof(ops[0]), .no = 5 * sizeof(ops[0]) },
		{ .no = port },
		{ .code = INET_DIAG_BC_S_LE, .yes = 2 * sizeof(ops[0]), .no = 3 * sizeof(ops[0]) },
		{ .no = port },
	};

	return nla_put(msg, INET_DIAG_REQ_BYTECODE, sizeof(ops), ops);
}

/* The first port from @port on that is asked for (or not, as @asked says), or 65536. */
static unsigned ports_next(const uint8_t *ports, unsigned port, bool asked)
{
	const uint8_t nothing = asked ? 0 : 0xff;

	while (port < 65536) {
		if (port % 8 == 0 && ports[port / 8] == nothing)
			port += 8;
		else if ((ports[port / 8] >> port % 8 & 1) == asked)
			return port;
		else
			port++;
	}
	return 65536;
}

/* The next range of ports from *@port on, which moves behind it. False: there is none. */
static bool ports_range(const uint8_t *ports, unsigned *port, struct port_range *ret)
{
	ret->low = ports_next(ports, *port, true);
	*port = ports_next(ports, ret->low, false);
	ret->high = *port - 1;
	return ret->low < 65536;
}

/*
 * The same of ranges in their order: port >= low, else refused (what is below a range is above the one before); not
 * port >= high + 1, else the next range. A jump to the end accepts, one behind it refuses.
 */
static int put_ranges_filter(struct nl_msg *msg, const struct port_range *ranges, size_t n)
{
	struct inet_diag_bc_op ops[4 * RANGES_MAX + 1];
	const unsigned size = sizeof(ops[0]);
	size_t n_ops = ranges[n - 1].high == 65535 ? 4 * n - 2 : 4 * n + 1;

	for (size_t i = 0; i < n; i++) {
		unsigned left = (unsigned)(n_ops - 4 * i) * size;

		ops[4 * i] = (struct inet_diag_bc_op){ INET_DIAG_BC_S_GE, 2 * size, (__u16)(left + size) };
		ops[4 * i + 1] = (struct inet_diag_bc_op){ .no = (__u16)ranges[i].low };
		if (ranges[i].high == 65535)
			break; /* it is the last, and nothing is above it */
		ops[4 * i + 2] =
			(struct inet_diag_bc_op){ INET_DIAG_BC_S_GE, 2 * size, (__u16)(left - 2 * size) };
		ops[4 * i + 3] = (struct inet_diag_bc_op){ .no = (__u16)(ranges[i].high + 1) };
	}
	if (ranges[n - 1].high != 65535)
		ops[4 * n] = (struct inet_diag_bc_op){ INET_DIAG_BC_JMP, size, (__u16)(2 * size) };
	return nla_put(msg, INET_DIAG_REQ_BYTECODE, (int)(n_ops * size), ops);
}

/* More ranges than fit are judged here alone. */
static int put_ports_filter(struct nl_msg *msg, const uint8_t *ports)
{
	struct port_range ranges[RANGES_MAX + 1];
	unsigned port = 0;
	size_t n = 0;

	while (n <= RANGES_MAX && ports_range(ports, &port, &ranges[n]))
		n++;
	return n && n <= RANGES_MAX ? put_ranges_filter(msg, ranges, n) : 0;
}

/* A request for one family; or for both, as it was made before Linux 3.3, when there was only TCP to ask for. */
static struct nl_msg *request_new(const struct diag_query *q, int protocol, uint8_t family)
{
	const struct inet_diag_req_v2 one = {
		.sdiag_family = family,
		.sdiag_protocol = protocol > 255 ? 255 : (uint8_t)protocol, /* the attribute says it then */
		.idiag_states = q->states ?: ALL_STATES,
	};
	const struct inet_diag_req both = { .idiag_states = q->states ?: ALL_STATES };
	struct nl_msg *msg = nlmsg_alloc_simple(family == AF_UNSPEC ? TCPDIAG_GETSOCK : SOCK_DIAG_BY_FAMILY,
						NLM_F_REQUEST | NLM_F_DUMP);
	int r = 0;

	if (msg && family == AF_UNSPEC)
		r = nlmsg_append(msg, (void *)&both, sizeof(both), NLMSG_ALIGNTO);
	else if (msg)
		r = nlmsg_append(msg, (void *)&one, sizeof(one), NLMSG_ALIGNTO);
	if (!r)
		return msg;
	nlmsg_free(msg);
	return NULL;
}

static int request_send(struct sockdiag *sd, const struct diag_query *q, int protocol, uint8_t family)
{
	struct nl_msg *msg = request_new(q, protocol, family);
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	int r = 0;

	if (!msg)
		return fail(-ENOMEM, "ask for sockets");
	if ((protocol > 255 && nla_put_u32(msg, INET_DIAG_REQ_PROTOCOL, (uint32_t)protocol)) ||
	    (q->port && put_port_filter(msg, q->port)) ||
	    (q->ports && !q->port && put_ports_filter(msg, q->ports)))
		r = fail(-ENOMEM, "ask for sockets");
	nlmsg_hdr(msg)->nlmsg_seq = ++sd->seq;
	if (!r && sendto(sd->fd, nlmsg_hdr(msg), nlmsg_hdr(msg)->nlmsg_len, 0, (struct sockaddr *)&kernel,
			 sizeof(kernel)) < 0)
		r = fail(-errno, "ask for sockets");
	nlmsg_free(msg);
	return r;
}

/* One datagram of the kernel; what others send to our address is left out. */
static int answer_receive(struct sockdiag *sd, void *data, size_t size, size_t *ret_len)
{
	struct sockaddr_nl from = { 0 };
	struct iovec iov = { data, size };
	struct msghdr msg = {
		.msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov, .msg_iovlen = 1
	};
	ssize_t n;

	do
		n = recvmsg(sd->fd, &msg, 0);
	while ((n < 0 && errno == EINTR) || (n >= 0 && from.nl_pid != 0));

	if (n < 0)
		return fail(errno == EAGAIN ? -ETIMEDOUT : -errno, "wait for the list of sockets");
	if (msg.msg_flags & MSG_TRUNC)
		return fail(-EMSGSIZE, "read the list of sockets");
	*ret_len = (size_t)n;
	return 0;
}

/* One protocol and family. The answer is read to its end even when @each wants no more: the next dump needs a clean start. */
static int dump_once(struct sockdiag *sd, const struct diag_query *q, int protocol, uint8_t family,
		     struct decode *d)
{
	auto_free char *data = malloc(DATAGRAM_MAX);
	size_t len = 0;
	int r;

	if (!data)
		return fail(-ENOMEM, "read the list of sockets");
	r = request_send(sd, q, protocol, family);
	d->seq = sd->seq;
	d->done = d->interrupted = false;
	while (!r && !d->done) {
		r = answer_receive(sd, data, DATAGRAM_MAX, &len);
		if (!r)
			decode_datagram(d, data, len);
	}
	return r;
}

static int dump_family(struct sockdiag *sd, const struct diag_query *q, int protocol, uint8_t family,
		       struct decode *d)
{
	int r;

	for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
		r = dump_once(sd, q, protocol, family, d);
		if (r || d->stopped || d->error || !d->interrupted)
			break;
	}
	if (r)
		return r;
	if (d->stopped)
		return d->stopped;
	if (d->error == -ENOENT)
		return SOCKDIAG_NO_MODULE;
	return d->error ? fail(d->error, "list sockets") : 0;
}

/*
 * Both families. Of TCP each question is a walk over the listeners of every namespace: they are asked for in one, where
 * the kernel knows how.
 */
static int dump_protocol(struct sockdiag *sd, const struct diag_query *q, int protocol, struct decode *d)
{
	int r4, r;

	if (protocol == IPPROTO_TCP) {
		r = dump_family(sd, q, protocol, AF_UNSPEC, d);
		if (!d->error)
			return r;
		fail_clear();
		d->error = 0;
	}
	r4 = dump_family(sd, q, protocol, AF_INET, d);
	if (r4 < 0 || d->stopped)
		return r4;
	r = dump_family(sd, q, protocol, AF_INET6, d);
	return r ?: r4;
}

int sockdiag_dump(struct sockdiag *sd, const struct diag_query *q,
		  int (*each)(void *arg, const struct diag_row *row), void *arg)
{
	const struct {
		bool wanted;
		bool needed; /* a kernel without MPTCP is no fault unless nothing else was asked for */
		enum proto proto;
		int protocol;
	} protos[] = {
		{ q->tcp, true, PROTO_TCP, IPPROTO_TCP },
		{ q->udp, true, PROTO_UDP, IPPROTO_UDP },
		{ q->mptcp, !q->tcp && !q->udp, PROTO_MPTCP, IPPROTO_MPTCP },
	};
	bool missing = false;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(protos); i++) {
		struct decode d = {
			.each = each,
			.arg = arg,
			.proto = protos[i].proto,
			.netns = sd->netns,
			.port = q->port,
			.ports = q->ports,
		};

		if (!protos[i].wanted)
			continue;
		r = dump_protocol(sd, q, protos[i].protocol, &d);
		sd->bad += d.bad;
		if (r < 0 || d.stopped)
			return r;
		missing |= r == SOCKDIAG_NO_MODULE && protos[i].needed;
	}
	return missing ? SOCKDIAG_NO_MODULE : 0;
}

uint64_t sockdiag_bad_records(const struct sockdiag *sd)
{
	return sd->bad;
}

struct sockdiag *sockdiag_close(struct sockdiag *sd)
{
	if (!sd)
		return NULL;
	close(sd->fd);
	free(sd);
	return NULL;
}

static int open_here(int *ret_fd)
{
	const struct timeval patience = { .tv_sec = ANSWER_SECONDS };
	auto_close int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)))
		return fail(-errno, "open a sock_diag socket");
	*ret_fd = take_fd(fd);
	return 0;
}

/* The namespace of a netlink socket is that of the thread that makes it. */
static int open_there(int netns_fd, int *ret_fd)
{
	auto_close int fd = -1;
	int home, r;

	r = netns_enter(netns_fd, &home);
	if (r)
		return r;
	r = open_here(&fd);
	r = netns_leave(home) ?: r;
	if (r)
		return r;
	*ret_fd = take_fd(fd);
	return 0;
}

int sockdiag_open(int netns_fd, uint32_t netns_inode, struct sockdiag **ret)
{
	struct sockdiag *sd;
	int fd = -1, r;

	r = netns_fd < 0 ? open_here(&fd) : open_there(netns_fd, &fd);
	if (r)
		return r;
	sd = calloc(1, sizeof(*sd));
	if (!sd) {
		close(fd);
		return fail(-ENOMEM, "open a sock_diag socket");
	}
	sd->fd = fd;
	sd->netns = netns_inode;
	*ret = sd;
	return 0;
}
