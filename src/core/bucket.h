/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the kernel's bind bucket of a TCP port remembers of the sockets that came there: struct inet_bind_bucket,
 * include/net/inet_hashtables.h. It decides whether a bind may skip the comparison with each socket.
 */
#ifndef CORE_BUCKET_H
#define CORE_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "core/record.h"

struct port_bucket {
	int8_t fastreuse;                 /* > 0: every owner has SO_REUSEADDR and none listens */
	int8_t fastreuseport;             /* FASTREUSEPORT_*: 0 none, 1 any, 2 strict */
	uint32_t fastuid;                 /* of the socket that made it so */
	struct address fast_rcv_saddr;    /* IPv4 */
	struct address fast_v6_rcv_saddr; /* family 0: the kernel has no IPv6 */
	uint16_t fast_sk_family;
	bool fast_ipv6_only;
	uint32_t l3mdev; /* VRF; 0: none */
};

#endif
