/* SPDX-License-Identifier: GPL-2.0-only */
/* A network namespace of the test's own, and the kernel's list of the sockets in it. */
#ifndef LIVE_NET_H
#define LIVE_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Enter a new network namespace and bring its loopback up. 0 or negative errno. */
int net_new_namespace(void);
uint32_t net_namespace_inode(void);
/* Give @device one more IPv6 address, /128. 0 or negative errno. */
int net_add_address6(const char *device, const char *addr);

/* One row of NETLINK_SOCK_DIAG. */
struct net_row {
	bool udp;
	uint8_t state; /* TCP state number; 7 for bound and not listening */
	char addr[46]; /* as inet_ntop writes it */
	uint16_t port;
	uint64_t cookie;
	uint32_t inode;
};

struct net_list {
	struct net_row *rows;
	size_t n, size;
	bool has_no_module; /* the kernel cannot be asked: no tcp_diag or udp_diag */
};

/* Every TCP and UDP socket with a local port in this namespace, bound ones included where the kernel can. 0 or negative errno. */
int net_list(struct net_list *ret);
void net_list_done(struct net_list *list);

/* Does this kernel list TCP sockets that are bound and do not listen? Needs a free port to try it with. */
bool net_lists_bound(uint16_t port);

#endif
