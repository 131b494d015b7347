/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * News of sockets that are gone, by the multicast groups of NETLINK_SOCK_DIAG (SKNLGRP_INET_TCP_DESTROY and its kin, Linux
 * 4.4). Needs no privilege. Not told: the end of TIME_WAIT, and the kernel's own sockets.
 */
#ifndef SOURCE_DESTROY_H
#define SOURCE_DESTROY_H

#include <stddef.h>
#include <stdint.h>

/*
 * A socket that is readable when a TCP or UDP socket on one of @ports is gone, in the namespace of @netns_fd (-1: the
 * caller's own). 0 or negative errno with a story.
 */
int destroy_open(int netns_fd, const uint16_t *ports, size_t n, int *ret_fd);

/* Take all that came. That some may have been lost makes no difference: whoever is told looks for himself. */
void destroy_drain(int fd);

#endif
