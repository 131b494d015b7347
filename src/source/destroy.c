/* SPDX-License-Identifier: GPL-2.0-only */
/* News of sockets that are gone. */
#include "source/destroy.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "source/netns.h"
#include "util/cleanup.h"
#include "util/fail.h"

#define BUFFER_BYTES (4 * 1024 * 1024) /* a burst of a few thousand; with 200 KiB 166 fitted */
#define PORTS_MAX 1024                 /* a filter has at most 4,096 instructions */

/* A busy server closes thousands of sockets a second: what is not about @ports is to wake nobody. */
static int ports_only(int fd, const uint16_t *ports, size_t n)
{
	struct sock_filter *code = calloc(2 * n + 2, sizeof(*code));
	struct sock_fprog program = { .filter = code };
	size_t len = 0;
	int r = 0;

	if (!code)
		return -ENOMEM;
	code[len++] = (struct sock_filter)BPF_STMT(
		BPF_LD | BPF_H | BPF_ABS, NLMSG_HDRLEN + offsetof(struct inet_diag_msg, id.idiag_sport));
	for (size_t i = 0; i < n; i++) {
		code[len++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ports[i], 0, 1);
		code[len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, UINT32_MAX);
	}
	code[len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0);
	program.len = (unsigned short)len;
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)))
		r = -errno;
	free(code);
	return r;
}

static int groups_join(int fd)
{
	static const int groups[] = { SKNLGRP_INET_TCP_DESTROY, SKNLGRP_INET6_TCP_DESTROY,
				      SKNLGRP_INET_UDP_DESTROY, SKNLGRP_INET6_UDP_DESTROY };
	const struct sockaddr_nl any = { .nl_family = AF_NETLINK };
	int joined = 0;

	/* Without a number of its own it has the kernel's, 0, and what a socket sends does not come back to it. */
	if (bind(fd, (const struct sockaddr *)&any, sizeof(any)))
		return -errno;
	/* A kernel without udp_diag has no such group: that is one of those that do not matter to everybody. */
	for (size_t i = 0; i < ARRAY_SIZE(groups); i++)
		joined += !setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i], sizeof(groups[i]));
	return joined ? 0 : -errno;
}

static int open_here(const uint16_t *ports, size_t n, int *ret_fd)
{
	auto_close int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);
	const int bytes = BUFFER_BYTES;
	int r;

	if (fd < 0)
		return fail(-errno, "open a sock_diag socket");
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)))
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	if (n <= PORTS_MAX)
		(void)ports_only(fd, ports, n); /* without it only more wake-ups */
	r = groups_join(fd);
	if (r < 0)
		return fail(r, "listen for sockets that are closed");
	*ret_fd = take_fd(fd);
	return 0;
}

/* The namespace of a netlink socket is that of the thread that makes it. */
int destroy_open(int netns_fd, const uint16_t *ports, size_t n, int *ret_fd)
{
	int home, fd = -1, r;

	if (netns_fd < 0)
		return open_here(ports, n, ret_fd);
	r = netns_enter(netns_fd, &home);
	if (r < 0)
		return r;
	r = open_here(ports, n, &fd);
	r = netns_leave(home) ?: r;
	if (r < 0) {
		if (fd >= 0)
			close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

void destroy_drain(int fd)
{
	char message[512];
	ssize_t n;

	do
		n = recv(fd, message, sizeof(message), MSG_TRUNC);
	while (n >= 0 || errno == EINTR || errno == ENOBUFS);
}
