/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's own view, asked over netlink: what a ledger is compared with. */
#include "live/lib/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "util/cleanup.h"

#define ALL_STATES 0xffffffffu /* with bound-inactive, which older kernels do not know */

int net_new_namespace(void)
{
	struct ifreq ifr = { .ifr_name = "lo" };
	auto_close int fd = -1;

	if (unshare(CLONE_NEWNET))
		return -errno;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &ifr))
		return -errno;
	ifr.ifr_flags |= IFF_UP;
	return ioctl(fd, SIOCSIFFLAGS, &ifr) ? -errno : 0;
}

/* struct in6_ifreq of linux/ipv6.h, which cannot be included beside netinet/in.h. */
struct ifreq6 {
	struct in6_addr addr;
	uint32_t prefix;
	int ifindex;
};

int net_add_address6(const char *device, const char *addr)
{
	auto_close int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq6 req = { .prefix = 128, .ifindex = (int)if_nametoindex(device) };

	if (fd < 0 || inet_pton(AF_INET6, addr, &req.addr) != 1)
		return fd < 0 ? -errno : -EINVAL;
	return ioctl(fd, SIOCSIFADDR, &req) ? -errno : 0;
}

uint32_t net_namespace_inode(void)
{
	struct stat st;

	return stat("/proc/self/ns/net", &st) ? 0 : (uint32_t)st.st_ino;
}

static int add_row(struct net_list *list, bool udp, const struct inet_diag_msg *m)
{
	struct net_row *row;

	if (!m->id.idiag_sport)
		return 0;
	if (list->n == list->size) {
		size_t size = list->size ? list->size * 2 : 64;
		struct net_row *rows = realloc(list->rows, size * sizeof(*rows));

		if (!rows)
			return -ENOMEM;
		list->rows = rows;
		list->size = size;
	}
	row = &list->rows[list->n++];
	*row = (struct net_row){
		.udp = udp,
		.state = m->idiag_state,
		.port = ntohs(m->id.idiag_sport),
		.cookie = (uint64_t)m->id.idiag_cookie[1] << 32 | m->id.idiag_cookie[0],
		.inode = m->idiag_inode,
	};
	inet_ntop(m->idiag_family, m->id.idiag_src, row->addr, sizeof(row->addr));
	return 0;
}

static int ask(int fd, uint8_t family, bool udp)
{
	struct {
		struct nlmsghdr head;
		struct inet_diag_req_v2 req;
	} q = {
		.head = { .nlmsg_len = sizeof(q),
			  .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			  .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.req = { .sdiag_family = family,
			 .sdiag_protocol = udp ? IPPROTO_UDP : IPPROTO_TCP,
			 .idiag_states = ALL_STATES },
	};

	return send(fd, &q, sizeof(q), 0) < 0 ? -errno : 0;
}

/* 1: the dump is complete. */
static int read_datagram(int fd, bool udp, struct net_list *list)
{
	static char buf[64 * 1024] __attribute__((aligned(8)));
	const struct nlmsghdr *h = (const struct nlmsghdr *)buf;
	ssize_t n = recv(fd, buf, sizeof(buf), 0);

	if (n < 0)
		return -errno;
	for (; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
		if (h->nlmsg_type == NLMSG_DONE)
			return 1;
		if (h->nlmsg_type == NLMSG_ERROR)
			return ((const struct nlmsgerr *)NLMSG_DATA(h))->error ?: -EPROTO;
		if (add_row(list, udp, NLMSG_DATA(h)))
			return -ENOMEM;
	}
	return 0;
}

static int dump(int fd, uint8_t family, bool udp, struct net_list *list)
{
	int r = ask(fd, family, udp);

	while (!r)
		r = read_datagram(fd, udp, list);
	if (r == -ENOENT) {
		list->has_no_module = true;
		return 0;
	}
	return r < 0 ? r : 0;
}

int net_list(struct net_list *ret)
{
	auto_close int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	int r = fd < 0 ? -errno : 0;

	*ret = (struct net_list){ 0 };
	for (unsigned i = 0; !r && i < 4; i++)
		r = dump(fd, i & 1 ? AF_INET6 : AF_INET, i & 2, ret);
	if (r)
		net_list_done(ret);
	return r;
}

void net_list_done(struct net_list *list)
{
	free(list->rows);
	*list = (struct net_list){ 0 };
}

bool net_lists_bound(uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	auto_close int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct net_list list;
	bool found = false;

	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) || net_list(&list))
		return false;
	for (size_t i = 0; i < list.n; i++)
		found |= !list.rows[i].udp && list.rows[i].port == port;
	net_list_done(&list);
	return found;
}
