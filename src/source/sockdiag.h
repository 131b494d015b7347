/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * NETLINK_SOCK_DIAG: the kernel's own list of sockets in one network namespace. Needs no privilege.
 * A record of the wrong size is counted and left out, never read past.
 */
#ifndef SOURCE_SOCKDIAG_H
#define SOURCE_SOCKDIAG_H

#include "core/record.h"

struct diag_row {
	enum proto proto;
	uint8_t family;
	uint8_t state; /* TCP state number; 7 with bound_only for bound, not listening */
	bool bound_only;
	struct address addr;
	uint16_t port;
	struct address peer;
	uint16_t peer_port;
	uint64_t cookie; /* 0: none */
	uint64_t inode;  /* 0: none (TIME_WAIT, orphan, kernel) */
	uint32_t uid;
	uint32_t ifindex;
	uint32_t netns;          /* inode number */
	uint32_t expires_ms;     /* TIME_WAIT: until it ends, as the kernel says it */
	uint32_t backlog;        /* listener: limit of the accept queue */
	bool has_v6only, v6only; /* INET_DIAG_SKV6ONLY */
	bool has_sockopt;        /* INET_DIAG_SOCKOPT (5.16 and later) */
	bool freebind, transparent;
};

struct diag_query {
	bool tcp, udp, mptcp;
	uint32_t states; /* 1 << state; bit 13 is bound-inactive; 0: all */
	const uint8_t *
		ports; /* NULL: any; else only these local ports, a bit each (in the kernel where they are few ranges) */
	uint16_t port; /* 0: any; else only this local port (judged in the kernel) */
};

struct sockdiag;

/* A netlink socket in the namespace of @netns_fd (-1: the caller's own). 0 or negative errno with a story. */
int sockdiag_open(int netns_fd, uint32_t netns_inode, struct sockdiag **ret);
struct sockdiag *sockdiag_close(struct sockdiag *sd); /* NULL is fine; always returns NULL */

/*
 * Call @each for every row (IPv4 and IPv6) until it returns nonzero, which is returned then. A dump that the kernel
 * says was interrupted is asked again (rows may come twice: de-duplicate by cookie). 0; negative errno with a story;
 * SOCKDIAG_NO_MODULE when the kernel has no such module loaded (Debian: tcp_diag, udp_diag).
 */
#define SOCKDIAG_NO_MODULE 1
int sockdiag_dump(struct sockdiag *sd, const struct diag_query *q,
		  int (*each)(void *arg, const struct diag_row *row), void *arg);

uint64_t sockdiag_bad_records(const struct sockdiag *sd); /* of the wrong size */

/* One received datagram decoded (what sockdiag_dump does inside): for tests and fuzzing. */
int sockdiag_decode(const void *data, size_t len, uint32_t netns_inode, enum proto proto,
		    int (*each)(void *arg, const struct diag_row *row), void *arg, uint64_t *ret_bad,
		    bool *ret_done);

#endif
