/* SPDX-License-Identifier: GPL-2.0-only */
/* MPTCP (T13): the port belongs to a subflow that the program never sees; each thing that happens is told once. */
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <string.h>
#include <unistd.h>

#include "live/actor/play.h"
#include "live/lib/net.h"
#include "util/cleanup.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

/* Of include/uapi/linux/mptcp_pm.h and mptcp.h; ports of endpoints since 5.12. */
#define PM_NAME "mptcp_pm"
#define PM_ADD_ADDR 1
#define PM_FLUSH_ADDRS 4
#define PM_ADDR 1 /* nested: */
#define PM_ADDR_FAMILY 1
#define PM_ADDR_ADDR4 3
#define PM_ADDR_PORT 5
#define PM_ADDR_FLAGS 6
#define PM_FLAG_SIGNAL 1

#define ENDPOINT_PORT 6007

static bool opens(void)
{
	return socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP) >= 0;
}

static const char *no_mptcp(void)
{
	return kernel_says(opens) ? NULL : "no MPTCP here";
}

static bool opens6(void)
{
	return !try_bind(socket(AF_INET6, SOCK_STREAM, IPPROTO_MPTCP), "::1", 0);
}

static const char *no_mptcp6(void)
{
	return kernel_says(opens6) ? NULL : "no MPTCP over IPv6 here";
}

static int mptcp_at(int family, const char *addr, unsigned port)
{
	int fd = new_socket(family, SOCK_STREAM, IPPROTO_MPTCP);

	bind_to(fd, addr, port);
	return fd;
}

static void life(void)
{
	int fd = mptcp_at(AF_INET, "127.0.0.1", 6001);

	listen_on(fd, 5);
	sync_ledger();
	close(fd);
}

static void life6(void)
{
	int fd = mptcp_at(AF_INET6, "::1", 6002);

	listen_on(fd, 5);
	sync_ledger();
	close(fd);
}

static void bound(void)
{
	int fd = mptcp_at(AF_INET, "127.0.0.1", 6003);

	sync_ledger();
	close(fd);
}

static void clash(void)
{
	int fd = mptcp_at(AF_INET, "127.0.0.1", 6004),
	    other = new_socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);

	listen_on(fd, 5);
	bind_fails(other, "127.0.0.1", 6004, EADDRINUSE);
	bind_fails(tcp_socket("127.0.0.1"), "127.0.0.1", 6004, EADDRINUSE);
	close(other);
	close(fd);
}

static void against_tcp(void)
{
	int fd = listener_at("127.0.0.1", 6005), other = new_socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);

	bind_fails(other, "127.0.0.1", 6005, EADDRINUSE);
	close(other);
	close(fd);
}

static void listen_alone(void)
{
	int fd = new_socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);

	listen_on(fd, 5);
	note("port", "%u", port_of(fd));
	sync_ledger();
	close(fd);
}

static void listen_twice(void)
{
	int fd = mptcp_at(AF_INET, "127.0.0.1", 6006);

	listen_on(fd, 5);
	listen_on(fd, 9);
	close(fd);
}

static void unused(void)
{
	close(new_socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP));
}

/* ---- a listener of the kernel's own: `ip mptcp endpoint add 127.0.0.1 port 6007 signal` ---- */

struct pm_request {
	struct nlmsghdr head;
	struct genlmsghdr genl;
	char attrs[128];
};

static struct nlattr *put(struct pm_request *q, unsigned type, const void *data, size_t len)
{
	struct nlattr *a = (struct nlattr *)((char *)q + NLMSG_ALIGN(q->head.nlmsg_len));

	a->nla_type = (uint16_t)type;
	a->nla_len = (uint16_t)(NLA_HDRLEN + len);
	if (len)
		memcpy((char *)a + NLA_HDRLEN, data, len);
	q->head.nlmsg_len = (uint32_t)(NLMSG_ALIGN(q->head.nlmsg_len) + NLA_ALIGN(a->nla_len));
	return a;
}

static void pm_begin(struct pm_request *q, uint16_t family, uint8_t cmd)
{
	*q = (struct pm_request){ .head = { .nlmsg_len = NLMSG_LENGTH(GENL_HDRLEN),
					    .nlmsg_type = family,
					    .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK },
				  .genl = { .cmd = cmd, .version = 1 } };
}

/* The answer's bytes, 0 or negative errno. */
static int pm_do(const struct pm_request *q, void *answer, size_t size)
{
	auto_close int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	struct nlmsghdr *head = answer;
	ssize_t n;

	if (send(fd, q, q->head.nlmsg_len, 0) < 0)
		return -errno;
	n = recv(fd, answer, size, 0);
	if (n < 0)
		return -errno;
	return head->nlmsg_type == NLMSG_ERROR ? ((struct nlmsgerr *)NLMSG_DATA(head))->error : (int)n;
}

/* The number that generic netlink has given to the family; 0: it has none. */
static uint16_t pm_family(void)
{
	char answer[4096] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct pm_request q;
	int n;

	pm_begin(&q, GENL_ID_CTRL, CTRL_CMD_GETFAMILY);
	put(&q, CTRL_ATTR_FAMILY_NAME, PM_NAME, sizeof(PM_NAME));
	n = pm_do(&q, answer, sizeof(answer));
	for (int at = NLMSG_LENGTH(GENL_HDRLEN); at + NLA_HDRLEN < n;) {
		const struct nlattr *a = (const struct nlattr *)(answer + at);

		if (a->nla_type == CTRL_ATTR_FAMILY_ID)
			return *(const uint16_t *)((const char *)a + NLA_HDRLEN);
		at += NLA_ALIGN(a->nla_len);
	}
	return 0;
}

static int add_endpoint(uint16_t port)
{
	uint32_t addr = htonl(INADDR_LOOPBACK), flags = PM_FLAG_SIGNAL;
	char answer[1024] __attribute__((aligned(NLMSG_ALIGNTO)));
	uint16_t family = AF_INET;
	struct pm_request q;
	struct nlattr *nest;

	pm_begin(&q, pm_family(), PM_ADD_ADDR);
	nest = put(&q, PM_ADDR | NLA_F_NESTED, NULL, 0);
	put(&q, PM_ADDR_FAMILY, &family, sizeof(family));
	put(&q, PM_ADDR_ADDR4, &addr, sizeof(addr));
	put(&q, PM_ADDR_PORT, &port, sizeof(port));
	put(&q, PM_ADDR_FLAGS, &flags, sizeof(flags));
	nest->nla_len = (uint16_t)((char *)&q + q.head.nlmsg_len - (char *)nest);
	return pm_do(&q, answer, sizeof(answer));
}

static int flush_endpoints(void)
{
	char answer[1024] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct pm_request q;

	pm_begin(&q, pm_family(), PM_FLUSH_ADDRS);
	return pm_do(&q, answer, sizeof(answer));
}

/* In a namespace of its own: what is tried here must not be told. Before 5.12 the port is passed over in silence. */
static bool has_endpoints(void)
{
	int fd, r;

	if (net_new_namespace() || !pm_family() || add_endpoint(ENDPOINT_PORT))
		return false;
	fd = tcp_socket("127.0.0.1");
	r = try_bind(fd, "127.0.0.1", ENDPOINT_PORT);
	flush_endpoints();
	return r == -EADDRINUSE;
}

static const char *no_endpoints(void)
{
	return kernel_says(has_endpoints) ? NULL : "no MPTCP endpoints with a port here";
}

static void endpoint(void)
{
	int r = add_endpoint(ENDPOINT_PORT), fd;

	if (r)
		give_up("add an MPTCP endpoint: %s", strerror(-r));
	fd = tcp_socket("127.0.0.1");
	bind_fails(fd, "127.0.0.1", ENDPOINT_PORT, EADDRINUSE);
	close(fd);
	sync_ledger();
	need(!flush_endpoints(), "flush the MPTCP endpoints");
	await_event("release");
}

/* clang-format off */
const struct situation mptcp_situations[] = {
	{ "mptcp: bind, listen, close, each once", no_mptcp, life,
	  { "bind mptcp 127.0.0.1:6001 family=ipv4",
	    "listen mptcp 127.0.0.1:6001 backlog=5",
	    "release mptcp 127.0.0.1:6001 free=true" } },
	{ "mptcp over IPv6: bind, listen, close, each once", no_mptcp6, life6,
	  { "bind mptcp [::1]:6002 family=ipv6",
	    "listen mptcp [::1]:6002",
	    "release mptcp [::1]:6002 free=true" } },
	{ "mptcp: bound, never listening, closed", no_mptcp, bound,
	  { "bind mptcp 127.0.0.1:6003",
	    "release mptcp 127.0.0.1:6003 free=true" } },
	{ "mptcp: a clash is told once, with its holder", no_mptcp, clash,
	  { "bind mptcp 127.0.0.1:6004",
	    "listen mptcp 127.0.0.1:6004",
	    "bind!EADDRINUSE mptcp 127.0.0.1:6004 kind=listener hpid=@self",
	    "bind!EADDRINUSE tcp 127.0.0.1:6004 kind=listener hpid=@self holder.proto=mptcp",
	    "release mptcp 127.0.0.1:6004 free=true" } },
	{ "mptcp: a clash with plain tcp", no_mptcp, against_tcp,
	  { "bind tcp 127.0.0.1:6005",
	    "listen tcp 127.0.0.1:6005",
	    "bind!EADDRINUSE mptcp 127.0.0.1:6005 kind=listener hpid=@self holder.proto=tcp",
	    "release tcp 127.0.0.1:6005 free=true" } },
	{ "mptcp: listen without bind", no_mptcp, listen_alone,
	  { "listen mptcp *:@port backlog=5",
	    "release mptcp *:@port free=true" } },
	{ "mptcp: a second listen", no_mptcp, listen_twice,
	  { "bind mptcp 127.0.0.1:6006",
	    "listen mptcp 127.0.0.1:6006 backlog=5",
	    "listen mptcp 127.0.0.1:6006 backlog=9",
	    "release mptcp 127.0.0.1:6006 free=true" } },
	{ "mptcp: a listener of the kernel's own, and a clash with it", no_endpoints, endpoint,
	  { "bind mptcp 127.0.0.1:6007 socket.kernel=true",
	    "listen mptcp 127.0.0.1:6007 socket.kernel=true",
	    "bind!EADDRINUSE tcp 127.0.0.1:6007 code=kernel kind=kernel hport=6007",
	    "release mptcp 127.0.0.1:6007" } },
	{ "mptcp: a socket that is never bound", no_mptcp, unused, { NULL } },
};
/* clang-format on */
TABLE_SIZE(mptcp);
