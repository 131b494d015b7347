/* SPDX-License-Identifier: GPL-2.0-only */
/* Would bind(2), and listen(2) after it, work now? The kernel's checks in the kernel's order; see verdict.h. */
#include "core/verdict.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "util/cleanup.h"

#define TCP_STATE_NEW_SYN_RECV 12 /* a request socket: it has the port's number and is in no bind bucket */
#define FASTREUSEPORT_ANY 1
#define CROWDED_SLOT 10 /* with more sockets in a slot UDP may look at the addresses' slots instead */

/*
 * What an IPv6 socket has in its IPv4 member when its address is no mapped one: LOOPBACK4_IPV6, 127.0.0.6. The kernel
 * compares it like any other, so that a connected IPv6 socket without IPV6_V6ONLY is in the way of 0.0.0.0.
 */
static const uint8_t loopback4_ipv6[4] = { 127, 0, 0, 6 };
static const uint8_t zeroes[16];
static const uint8_t mapped_prefix[12] = { [10] = 0xff, [11] = 0xff };

/* ---- addresses: inet_rcv_saddr_equal() ---- */

enum type6 { TYPE_ANY, TYPE_MAPPED, TYPE_OTHER };

/* The address members of one socket. An IPv4 socket counts as mapped where both kinds are compared. */
struct rcv_saddr {
	bool is6;
	enum type6 type;
	bool v6only;
	uint8_t v4[4];
	uint8_t v6[16];
};

static void saddr_from_v6(struct rcv_saddr *s, const uint8_t bytes[16])
{
	memcpy(s->v6, bytes, 16);
	if (!memcmp(bytes, zeroes, 16)) {
		s->type = TYPE_ANY;
	} else if (!memcmp(bytes, mapped_prefix, sizeof(mapped_prefix))) {
		s->type = TYPE_MAPPED;
		memcpy(s->v4, bytes + 12, 4);
	} else {
		s->type = TYPE_OTHER;
		memcpy(s->v4, loopback4_ipv6, 4);
	}
}

static struct rcv_saddr saddr_of(uint8_t family, const struct address *addr, bool v6only)
{
	struct rcv_saddr s = { .is6 = family == AF_INET6, .type = TYPE_MAPPED, .v6only = v6only };

	if (!s.is6) {
		memcpy(s.v6, mapped_prefix, sizeof(mapped_prefix));
		memcpy(s.v6 + 12, addr->bytes, 4);
		memcpy(s.v4, addr->bytes, 4);
	} else if (addr->family == AF_INET) { /* told as what it means */
		memcpy(s.v6, mapped_prefix, sizeof(mapped_prefix));
		memcpy(s.v6 + 12, addr->bytes, 4);
		memcpy(s.v4, addr->bytes, 4);
	} else {
		saddr_from_v6(&s, addr->bytes);
	}
	return s;
}

/* bind() itself sets IPV6_V6ONLY on a socket that gets an IPv6 address proper. */
static struct rcv_saddr saddr_asked(const struct asker *a)
{
	struct rcv_saddr s = saddr_of(a->family, &a->addr, a->options & OPT_V6ONLY);

	if (s.is6 && s.type == TYPE_OTHER)
		s.v6only = true;
	return s;
}

static bool v4_any(const struct rcv_saddr *s)
{
	return !memcmp(s->v4, zeroes, 4);
}

static bool v4_meet(const struct rcv_saddr *a, const struct rcv_saddr *b, bool match_b_wildcard)
{
	if (b->v6only)
		return false;
	return !memcmp(a->v4, b->v4, 4) || v4_any(a) || (match_b_wildcard && v4_any(b));
}

/* Do @a and @b share an address? @a's wildcard counts as all addresses, @b's only where @match_b_wildcard. */
static bool saddr_meet(const struct rcv_saddr *a, const struct rcv_saddr *b, bool match_b_wildcard)
{
	if (!a->is6 || (a->type == TYPE_MAPPED && b->type == TYPE_MAPPED))
		return v4_meet(a, b, match_b_wildcard);
	if (a->type == TYPE_ANY && b->type == TYPE_ANY)
		return true;
	if (b->type == TYPE_ANY && match_b_wildcard && !(b->v6only && a->type == TYPE_MAPPED))
		return true;
	if (a->type == TYPE_ANY && !(a->v6only && b->type == TYPE_MAPPED))
		return true;
	return b->is6 && !memcmp(a->v6, b->v6, 16);
}

/* inet_use_hash2_on_bind(): for one address the kernel looks at the buckets of that address and of the wildcards alone. */
static bool saddr_is_one(const struct rcv_saddr *s)
{
	if (s->is6 && s->type != TYPE_MAPPED)
		return s->type == TYPE_OTHER;
	return !v4_any(s);
}

/* @by_family: an IPv6 socket that asks does not see ::ffff:0.0.0.0 (inet_bind2_bucket_match_addr_any() until 6.7). */
static bool bucket2_meets(const struct rcv_saddr *asked, const struct rcv_saddr *held, bool by_family)
{
	bool asked_v4 = !asked->is6 || asked->type == TYPE_MAPPED;

	if (held->v6only && asked_v4)
		return false;
	if (!memcmp(asked->v6, held->v6, 16) || held->type == TYPE_ANY)
		return true;
	if (by_family && asked->is6 && held->is6)
		return false;
	return held->type == TYPE_MAPPED && v4_any(held) && asked_v4;
}

/* ---- one socket against the asker ---- */

/* Facts of a socket that may be unknown, as one of their possible values. */
struct guess {
	bool reuse, reuseport, v6only, by_family;
};

/* What a socket on the port means for the bind. */
enum outcome {
	PASSES = 1, /* it is not in the way */
	CONFLICTS = 2,
	ADMITS = 4, /* UDP: the bind works, whatever comes after it in the kernel's list */
};

static bool same_device(const struct asker *a, const struct holder *h)
{
	return !a->ifindex || !h->ifindex || a->ifindex == h->ifindex;
}

static bool addresses_meet(const struct asker *a, const struct holder *h, const struct guess *g)
{
	struct rcv_saddr asked = saddr_asked(a), held = saddr_of(h->family, &h->addr, g->v6only);

	if (a->proto != PROTO_UDP && (h->bhash2 || g->by_family) && saddr_is_one(&asked))
		return bucket2_meets(&asked, &held, g->by_family);
	return saddr_meet(&asked, &held, true);
}

/* inet_bind_conflict(), as bind and listen call it for a port that was asked for. */
static enum outcome tcp_outcome(const struct asker *a, const struct holder *h, const struct guess *g)
{
	bool time_wait = h->state == TCP_TIME_WAIT;

	if ((a->options & OPT_REUSEADDR) && g->reuse && h->state != TCP_LISTEN)
		return PASSES;
	if ((a->options & OPT_REUSEPORT) && g->reuseport && (time_wait || a->uid == h->sock_uid))
		return PASSES;
	return addresses_meet(a, h, g) ? CONFLICTS : PASSES;
}

/* udp_lib_lport_inuse() */
static enum outcome udp_outcome(const struct asker *a, const struct holder *h, const struct guess *g)
{
	if (((a->options & OPT_REUSEADDR) && g->reuse) || !addresses_meet(a, h, g))
		return PASSES;
	return (a->options & OPT_REUSEPORT) && g->reuseport && a->uid == h->sock_uid ? ADMITS : CONFLICTS;
}

/* sock_diag tells IPV6_V6ONLY of sockets without a peer alone, and the other two of none. */
static bool knows_v6only(const struct holder *h)
{
	return h->has_options || h->family != AF_INET6 || h->state == TCP_LISTEN || h->state == TCP_CLOSE;
}

/* Every outcome that what is known of @h allows: bits of enum outcome. */
static unsigned outcomes(const struct asker *a, const struct holder *h)
{
	unsigned seen = 0;

	if (!same_device(a, h))
		return PASSES;
	for (unsigned i = 0; i < 16; i++) {
		struct guess g = { i & 1, i & 2, i & 4, i & 8 };

		if (h->has_options && (g.reuse != !!(h->options & OPT_REUSEADDR) ||
				       g.reuseport != !!(h->options & OPT_REUSEPORT)))
			continue;
		if (knows_v6only(h) && g.v6only != h->v6only)
			continue;
		if (h->has_options && g.by_family != h->by_family)
			continue;
		seen |= a->proto == PROTO_UDP ? udp_outcome(a, h, &g) : tcp_outcome(a, h, &g);
	}
	return seen;
}

/* TCP and MPTCP share a table, a VRF has buckets of its own; a request socket is in none. UDP knows no VRF here. */
static bool is_rival(const struct asker *a, const struct holder *h)
{
	if ((a->proto == PROTO_UDP) != (h->proto == PROTO_UDP) || (h->port && h->port != a->port))
		return false;
	if (a->proto == PROTO_UDP)
		return true;
	return h->state != TCP_STATE_NEW_SYN_RECV && h->state != TCP_SYN_RECV && h->l3mdev == a->l3mdev;
}

/* ---- all sockets of the port ---- */

struct tally {
	size_t rivals;
	size_t may_conflict;   /* the first so many of the sockets */
	bool surely_conflicts; /* at least one */
	bool may_admit;
	bool options_matter; /* some outcome depends on options that are not known */
	bool listens;        /* some socket on the port does */
	bool wide;           /* one of those in the way has the wildcard address */
	bool race;           /* passes only because both have SO_REUSEADDR, and does not listen yet */
};

static void to_front(struct holder *sockets, size_t at, size_t from)
{
	struct holder h = sockets[from];

	sockets[from] = sockets[at];
	sockets[at] = h;
}

static bool is_race(const struct asker *a, const struct holder *h)
{
	struct asker bare = *a;

	bare.options &= ~OPT_REUSEADDR;
	return h->state == TCP_CLOSE && outcomes(&bare, h) & CONFLICTS;
}

/* sock_i_uid() takes a socket without a file, but for one in TIME_WAIT, for root's; sk_uid() (6.17) remembers. */
static void orphan_adopt(struct holder *h, bool by_root)
{
	if (by_root && !h->inode && h->state != TCP_TIME_WAIT)
		h->sock_uid = 0;
}

static struct tally tally(const struct asker *a, bool orphans_by_root, struct holder *sockets, size_t n)
{
	struct tally t = { 0 };

	for (size_t i = 0; i < n; i++) {
		unsigned seen;

		if (!is_rival(a, &sockets[i]))
			continue;
		orphan_adopt(&sockets[i], orphans_by_root);
		t.rivals++;
		t.listens |= sockets[i].state == TCP_LISTEN;
		seen = outcomes(a, &sockets[i]);
		t.may_admit |= !!(seen & ADMITS);
		t.options_matter |= !!(seen & (seen - 1));
		if (!(seen & CONFLICTS)) {
			t.race |= is_race(a, &sockets[i]);
			continue;
		}
		t.surely_conflicts |= seen == CONFLICTS;
		t.wide |= !memcmp(sockets[i].addr.bytes, zeroes, 16);
		to_front(sockets, t.may_conflict++, i);
	}
	return t;
}

/* sk_reuseport_match(): does the port's bucket let the asker in without a look at its sockets? */
static bool bucket_shares(const struct port_bucket *b, const struct asker *a)
{
	struct rcv_saddr asked = saddr_asked(a), fast;

	if (b->fastreuseport <= 0 || !(a->options & OPT_REUSEPORT) || b->fastuid != a->uid)
		return false;
	if (b->fastreuseport == FASTREUSEPORT_ANY)
		return true;
	if (b->fast_sk_family == AF_INET6) {
		fast = saddr_of(AF_INET6, &b->fast_v6_rcv_saddr, b->fast_ipv6_only);
		return saddr_meet(&fast, &asked, false);
	}
	fast = saddr_of(AF_INET, &b->fast_rcv_saddr, false);
	return v4_meet(&fast, &asked, false);
}

static enum answer bind_tcp(const struct asker *a, const struct verdict_facts *facts, const struct tally *t,
			    enum missing *ret_missing)
{
	const struct port_bucket *b = facts->bucket;
	/* A socket that listens has put fastreuse out, whatever its options are. */
	bool may_skip = (a->options & OPT_REUSEPORT) || ((a->options & OPT_REUSEADDR) && !t->listens);

	if (!t->may_conflict)
		return ANSWER_YES;
	if (b && ((b->fastreuse > 0 && (a->options & OPT_REUSEADDR)) || bucket_shares(b, a)))
		return ANSWER_YES;
	if (!t->surely_conflicts) {
		*ret_missing = MISSING_OPTIONS;
		return ANSWER_UNKNOWN;
	}
	if (!b && may_skip) {
		*ret_missing = MISSING_BUCKET;
		return ANSWER_UNKNOWN;
	}
	return ANSWER_NO;
}

/* inet_csk_listen_start() takes the port again, as a socket that listens: only SO_REUSEPORT may skip the look then. */
static enum answer listen_tcp(const struct asker *a, const struct tally *t)
{
	/* With it the bind has just left its own mark in the bucket, or found the right one there. */
	if (!t->may_conflict || (a->options & OPT_REUSEPORT))
		return ANSWER_YES;
	return t->surely_conflicts ? ANSWER_NO : ANSWER_UNKNOWN;
}

/*
 * A socket that admits ends the kernel's walk, one that conflicts too: with both the order decides, which is not known.
 * In a crowded slot a wildcard is compared with wildcards alone.
 */
static enum answer bind_udp(const struct asker *a, const struct tally *t, enum missing *ret_missing)
{
	struct rcv_saddr asked = saddr_asked(a);

	if (!t->may_conflict)
		return ANSWER_YES;
	if (!t->surely_conflicts)
		*ret_missing = t->options_matter ? MISSING_OPTIONS : MISSING_ORDER;
	else if (t->may_admit)
		*ret_missing = MISSING_ORDER;
	else if (t->rivals > CROWDED_SLOT && !saddr_is_one(&asked) && !t->wide)
		*ret_missing = MISSING_SLOT;
	else
		return ANSWER_NO;
	return ANSWER_UNKNOWN;
}

static void judge_port(const struct asker *a, const struct verdict_facts *facts, struct holder *sockets,
		       size_t n, struct verdict *ret)
{
	struct tally t = tally(a, facts->orphans_by_root, sockets, n);

	ret->bind = a->proto == PROTO_UDP ? bind_udp(a, &t, &ret->missing)
					  : bind_tcp(a, facts, &t, &ret->missing);
	if (ret->bind == ANSWER_YES && facts->cut && a->proto != PROTO_UDP) {
		ret->bind = ANSWER_UNKNOWN;
		ret->missing = MISSING_SOCKETS;
	}
	ret->bind_error = ret->bind == ANSWER_NO ? EADDRINUSE : 0;
	ret->listen = ret->bind;
	ret->n_in_way = t.may_conflict;
	if (a->proto == PROTO_UDP || ret->bind != ANSWER_YES)
		return;
	ret->race = t.race || t.may_conflict;
	ret->listen = listen_tcp(a, &t);
	if (ret->listen == ANSWER_NO)
		ret->listen_error = EADDRINUSE;
	if (ret->listen == ANSWER_UNKNOWN)
		ret->missing = MISSING_OPTIONS;
	if (ret->listen == ANSWER_YES)
		ret->n_in_way = 0;
}

/* ---- before the port is looked at ---- */

static bool needs_capability(const struct asker *a, const struct verdict_facts *facts)
{
	return !a->capable && a->port < (uint32_t)facts->unprivileged_port_start;
}

static int low_port_error(const struct asker *a, const struct verdict_facts *facts)
{
	return facts->unprivileged_port_start >= 0 && needs_capability(a, facts) ? EACCES : 0;
}

static int address_error(const struct asker *a, const struct verdict_facts *facts)
{
	bool foreign = facts->nonlocal_bind || (a->options & (OPT_FREEBIND | OPT_TRANSPARENT));

	switch (facts->locality) {
	case LOCALITY_NEEDS_SCOPE:
		return EINVAL;
	case LOCALITY_NO_DEVICE:
		return ENODEV;
	case LOCALITY_ABSENT:
	case LOCALITY_TENTATIVE:
		return foreign ? 0 : EADDRNOTAVAIL;
	default:
		return 0;
	}
}

/* __inet_bind() asks for the address first, __inet6_bind() for the privilege. */
static int early_error(const struct asker *a, const struct verdict_facts *facts)
{
	struct rcv_saddr asked = saddr_asked(a);
	int low = low_port_error(a, facts), address = address_error(a, facts);

	if (!asked.is6)
		return address ? address : low;
	if (asked.v6[0] == 0xff && a->proto != PROTO_UDP) /* multicast has no streams */
		return EINVAL;
	if (low)
		return low;
	return asked.type == TYPE_MAPPED && (a->options & OPT_V6ONLY) ? EINVAL : address;
}

/* An answer that stands on a fact that is not known. */
static enum missing early_missing(const struct asker *a, const struct verdict_facts *facts)
{
	if (facts->unprivileged_port_start < 0 && !a->capable)
		return MISSING_LIMIT;
	return facts->locality == LOCALITY_UNKNOWN ? MISSING_ADDRESS : MISSING_NOTHING;
}

void verdict(const struct asker *asker, const struct verdict_facts *facts, struct holder *sockets, size_t n,
	     struct verdict *ret)
{
	int error = early_error(asker, facts);
	enum missing missing = early_missing(asker, facts);

	memset(ret, 0, sizeof(*ret));
	if (error) {
		ret->bind_error = error;
		return;
	}
	judge_port(asker, facts, sockets, n, ret);
	if (missing && ret->bind == ANSWER_YES) {
		ret->bind = ret->listen = ANSWER_UNKNOWN;
		ret->missing = missing;
	}
}

/* ---- words ---- */

static const struct {
	const char *name;
	const char *text;
} words[N_MISSING] = {
	[MISSING_NOTHING] = { "", "" },
	[MISSING_OPTIONS] = { "options", "whether its socket has SO_REUSEADDR or SO_REUSEPORT" },
	[MISSING_BUCKET] = { "bucket", "what the kernel remembers of the options of the port's sockets" },
	[MISSING_ORDER] = { "order", "which of the port's sockets the kernel compares first" },
	[MISSING_SLOT] = { "slot", "how full the kernel's table of UDP ports is there" },
	[MISSING_ADDRESS] = { "address", "whether the address is one of this network namespace" },
	[MISSING_LIMIT] = { "limit", "ip_unprivileged_port_start of this network namespace" },
	[MISSING_SOCKETS] = { "sockets", "the rest of the sockets on the port" },
};

const char *missing_name(enum missing m)
{
	return (unsigned)m < N_MISSING ? words[m].name : "";
}

const char *missing_text(enum missing m)
{
	return (unsigned)m < N_MISSING ? words[m].text : "";
}

bool verdict_works(const struct verdict *v)
{
	return v->bind == ANSWER_YES && v->listen == ANSWER_YES;
}

bool verdict_equal(const struct verdict *a, const struct verdict *b)
{
	return a->bind == b->bind && a->listen == b->listen && a->bind_error == b->bind_error &&
	       a->listen_error == b->listen_error && a->missing == b->missing && a->race == b->race;
}
