/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the calling thread's network namespace says of ports and addresses: the sysctls that bind(2) obeys, and which
 * addresses it has. Nothing is bound to find out.
 */
#ifndef SOURCE_PLACE_H
#define SOURCE_PLACE_H

#include "core/verdict.h"

struct place {
	int unprivileged_port_start;    /* -1: unknown */
	uint16_t range_low, range_high; /* ip_local_port_range; 0: unknown */
	bool nonlocal4, nonlocal6;      /* ip_nonlocal_bind */
	bool v6only;                    /* bindv6only: IPv6 sockets are made with IPV6_V6ONLY */
	bool foreign; /* a user namespace above the caller's owns it: no capability counts here */
	uint8_t reserved[65536 / 8]; /* ip_local_reserved_ports: bit p%8 of byte p/8 */
};

/* @proc_fd: a directory like /proc. What cannot be read is left unknown. */
void place_read(int proc_fd, struct place *ret);

bool place_reserves(const struct place *p, uint16_t port);
bool place_is_ephemeral(const struct place *p, uint16_t port); /* the kernel may choose it for a client */

/*
 * Is @addr one of this namespace? @scope: the interface it is meant on, 0 none. LOCALITY_UNKNOWN when the kernel cannot
 * be asked.
 */
enum locality place_locality(int proc_fd, const struct address *addr, uint32_t scope);

/* For tests: "8080,9148-9150" into the bits of @ret; and one IPv6 address against the text of /proc/net/if_inet6. */
void place_parse_ports(const char *text, uint8_t *ret);
enum locality place_parse_inet6(const char *text, const uint8_t addr[16], uint32_t scope);

#endif
