/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's own sockets: a VXLAN device takes a UDP port. */
#include <errno.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <unistd.h>

#include "live/actor/play.h"
#include "live/lib/net.h"
#include "util/cleanup.h"

#define VXLAN_PORT 6201
#define LINK_NAME "vx0"

struct request {
	struct nlmsghdr head;
	struct ifinfomsg link;
	char attrs[256];
};

/* Append an attribute; with @len 0 one that others are put into, to be ended with nest_end(). */
static struct rtattr *put(struct request *q, unsigned short type, const void *data, size_t len)
{
	struct rtattr *a = (struct rtattr *)((char *)q + NLMSG_ALIGN(q->head.nlmsg_len));

	a->rta_type = type;
	a->rta_len = (unsigned short)RTA_LENGTH(len);
	if (len)
		memcpy(RTA_DATA(a), data, len);
	q->head.nlmsg_len = (uint32_t)(NLMSG_ALIGN(q->head.nlmsg_len) + RTA_ALIGN(a->rta_len));
	return a;
}

static void nest_end(const struct request *q, struct rtattr *nest)
{
	nest->rta_len = (unsigned short)((const char *)q + q->head.nlmsg_len - (char *)nest);
}

static void request_begin(struct request *q, unsigned short type, unsigned flags)
{
	*q = (struct request){ .head = { .nlmsg_len = NLMSG_LENGTH(sizeof(q->link)),
					 .nlmsg_type = type,
					 .nlmsg_flags =
						 (unsigned short)(NLM_F_REQUEST | NLM_F_ACK | flags) } };
	put(q, IFLA_IFNAME, LINK_NAME, sizeof(LINK_NAME));
}

/* 0 or negative errno, as the kernel says. */
static int request_do(const struct request *q)
{
	auto_close int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct {
		struct nlmsghdr head;
		struct nlmsgerr error;
		char rest[512];
	} answer;

	if (send(fd, q, q->head.nlmsg_len, 0) < 0 || recv(fd, &answer, sizeof(answer), 0) < 0)
		return -errno;
	return answer.error.error;
}

static int make_vxlan(void)
{
	struct request q;
	struct rtattr *info, *data;
	uint16_t port = htons(VXLAN_PORT);
	uint32_t id = 42;

	request_begin(&q, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
	q.link.ifi_flags = q.link.ifi_change = IFF_UP;
	info = put(&q, IFLA_LINKINFO, NULL, 0);
	put(&q, IFLA_INFO_KIND, "vxlan", 5);
	data = put(&q, IFLA_INFO_DATA, NULL, 0);
	put(&q, IFLA_VXLAN_ID, &id, sizeof(id));
	put(&q, IFLA_VXLAN_PORT, &port, sizeof(port));
	nest_end(&q, data);
	nest_end(&q, info);
	return request_do(&q);
}

static int remove_vxlan(void)
{
	struct request q;

	request_begin(&q, RTM_DELLINK, 0);
	return request_do(&q);
}

/* In a namespace of its own: what is tried here must not be told. */
static bool makes_vxlan(void)
{
	return !make_vxlan() && !remove_vxlan();
}

static bool has_kind(void)
{
	return !net_new_namespace() && makes_vxlan();
}

static const char *no_vxlan(void)
{
	return kernel_says(has_kind) ? NULL : "no vxlan devices here";
}

static void vxlan(void)
{
	int r = make_vxlan(), fd;

	if (r)
		give_up("make a vxlan device: %s", strerror(-r));
	fd = udp_socket("0.0.0.0");
	bind_fails(fd, "0.0.0.0", VXLAN_PORT, EADDRINUSE);
	close(fd);
	sync_ledger();
	need(!remove_vxlan(), "remove a vxlan device");
}

/* clang-format off */
const struct situation kernel_situations[] = {
	{ "a socket of the kernel (vxlan), and a clash with it", no_vxlan, vxlan,
	  { "bind udp 0.0.0.0:6201 socket.kernel=true",
	    "bind!EADDRINUSE udp 0.0.0.0:6201 code=kernel kind=kernel hport=6201",
	    "fexit: release udp 0.0.0.0:6201" },
	  .forgotten_port = VXLAN_PORT },
};
/* clang-format on */
TABLE_SIZE(kernel);
