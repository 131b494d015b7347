/* SPDX-License-Identifier: GPL-2.0-only */
/* Who has which socket open, by /proc/PID/fd: slow, and only what may be looked at. For where no BPF iterator is. */
#ifndef ENRICH_SOCKETS_H
#define ENRICH_SOCKETS_H

#include <stddef.h>
#include <stdint.h>

struct socket_owner {
	uint64_t inode;
	uint32_t pid;
};

struct socket_owners {
	struct socket_owner *items; /* sorted by inode, then pid; a process is there once for each socket */
	size_t n;
	size_t refused; /* processes that may not be looked at */
	size_t cut;     /* processes that could not be, for want of open files */
};

/* Walk every process below @proc_fd (a directory like /proc). What vanishes meanwhile is left out. 0 or -ENOMEM. */
int socket_owners_read(int proc_fd, struct socket_owners *ret);
void socket_owners_done(struct socket_owners *owners);

/* The first owner of @inode, NULL: nobody known; the others follow it. */
const struct socket_owner *socket_owners_find(const struct socket_owners *owners, uint64_t inode);

#endif
