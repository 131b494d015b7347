/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Would bind(2), and listen(2) after it, work now? The kernel's own checks, replayed on facts, in its order. Pure.
 *
 * Rules: __inet_bind() and __inet6_bind() for what comes before the port; inet_csk_get_port() for TCP and MPTCP,
 * udp_lib_get_port() for UDP (net/ipv4, net/ipv6; read of 5.10, 6.1 and 6.18). What is not known never decides: a verdict
 * that another value would change is ANSWER_UNKNOWN and names the fact.
 */
#ifndef CORE_VERDICT_H
#define CORE_VERDICT_H

#include "core/bucket.h"
#include "core/record.h"

enum answer { ANSWER_NO, ANSWER_YES, ANSWER_UNKNOWN };

/* The fact that would settle an unknown verdict. */
enum missing {
	MISSING_NOTHING,
	MISSING_OPTIONS, /* SO_REUSEADDR, SO_REUSEPORT of a socket on the port */
	MISSING_BUCKET,  /* what the kernel remembers of the port's sockets: struct port_bucket */
	MISSING_ORDER,   /* UDP: which of the sockets the kernel compares first */
	MISSING_SLOT,    /* UDP: how many sockets share the kernel's hash slot */
	MISSING_ADDRESS, /* whether the address is one of this namespace */
	MISSING_LIMIT,   /* ip_unprivileged_port_start of the namespace */
	MISSING_SOCKETS, /* some socket on the port could not be looked at */
	N_MISSING
};

/* Is the address one that bind may have in the namespace? The wildcard always is. */
enum locality {
	LOCALITY_UNKNOWN,
	LOCALITY_HERE,
	LOCALITY_ABSENT,
	LOCALITY_TENTATIVE,   /* IPv6: duplicate address detection has not ended, or failed */
	LOCALITY_NEEDS_SCOPE, /* IPv6 link-local without an interface */
	LOCALITY_NO_DEVICE,   /* its interface is not there */
};

/* Who asks, and how. */
struct asker {
	enum proto proto;
	uint8_t family; /* of the socket */
	struct address
		addr; /* of the same family; all zeroes: the wildcard; ::ffff:a.b.c.d is IPv4 on an IPv6 socket */
	uint16_t port;    /* not 0 */
	uint32_t options; /* OPT_* set before bind */
	uint32_t uid;     /* that makes the socket */
	uint32_t ifindex; /* SO_BINDTODEVICE; 0: none */
	uint32_t l3mdev;  /* VRF of that device; 0: none */
	bool capable;     /* CAP_NET_BIND_SERVICE in the namespace's user namespace */
};

/* What is known of the place where it asks, beside the sockets. */
struct verdict_facts {
	const struct port_bucket *bucket; /* TCP; NULL: unknown */
	int unprivileged_port_start;      /* -1: unknown */
	enum locality locality;
	bool nonlocal_bind;   /* ip_nonlocal_bind of the address's family */
	bool orphans_by_root; /* a socket without a file counts as root's (until 6.16) */
	bool cut;             /* there may be more sockets on the port than are handed in */
};

struct verdict {
	enum answer bind;
	enum answer listen; /* TCP, right after the bind; ANSWER_NO too when the bind fails; UDP: as bind */
	int bind_error;     /* errno when bind is ANSWER_NO */
	int listen_error;   /* when bind works and listen is ANSWER_NO */
	enum missing missing;
	size_t n_in_way; /* the first of the sockets: they are in the way, or may be when it is unknown */
	bool race; /* bind works beside a socket that does not listen yet: of both listens the second fails */
};

/*
 * Judge. @sockets are all @n on the port in the asker's namespace and table (others are passed over); they are put into
 * another order, those in the way first.
 */
void verdict(const struct asker *asker, const struct verdict_facts *facts, struct holder *sockets, size_t n,
	     struct verdict *ret);

bool verdict_works(const struct verdict *v); /* bind(2), and listen(2) after it */
bool verdict_equal(const struct verdict *a, const struct verdict *b);
const char *missing_name(enum missing m); /* stable word: "options" ... */
const char *missing_text(enum missing m); /* a clause: "whether its socket has SO_REUSEADDR" */

#endif
