/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who of those on a port is in the way: the kernel's own conflict rules, replayed on what is known of both sockets.
 *
 * TCP is inet_bind_conflict() and what it calls, UDP is udp_lib_lport_inuse(), addresses are inet_rcv_saddr_equal().
 * Options that are not known never clear a holder: only what is known can.
 */
#include "core/explain.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

/* What an address covers. A v4-mapped IPv6 address is an IPv4 one. */
enum scope { SCOPE_V4_ONE, SCOPE_V4_ANY, SCOPE_V6_ONE, SCOPE_V6_ANY, SCOPE_V6_ANY_ONLY };

struct place {
	enum scope scope;
	uint8_t bytes[16]; /* IPv4 in the first four */
};

static const uint8_t zeroes[16];
static const uint8_t mapped_prefix[12] = { [10] = 0xff, [11] = 0xff };

static struct place place_v4(const uint8_t bytes[4])
{
	struct place p = { .scope = memcmp(bytes, zeroes, 4) ? SCOPE_V4_ONE : SCOPE_V4_ANY };

	memcpy(p.bytes, bytes, 4);
	return p;
}

/* An address that is not known counts as the wildcard of the socket's family: it may be anywhere. */
static struct place place_of(const struct address *addr, uint8_t socket_family, bool v6only)
{
	uint8_t family = addr->family ? addr->family : socket_family;
	const uint8_t *bytes = addr->family ? addr->bytes : zeroes;
	struct place p = { .scope = SCOPE_V6_ONE };

	if (family != AF_INET6)
		return place_v4(bytes);
	if (!memcmp(bytes, mapped_prefix, sizeof(mapped_prefix)))
		return place_v4(bytes + 12);
	if (!memcmp(bytes, zeroes, 16))
		p.scope = v6only ? SCOPE_V6_ANY_ONLY : SCOPE_V6_ANY;
	memcpy(p.bytes, bytes, 16);
	return p;
}

static bool is_v4(const struct place *p)
{
	return p->scope == SCOPE_V4_ONE || p->scope == SCOPE_V4_ANY;
}

static bool places_meet(const struct place *a, const struct place *b)
{
	if (is_v4(a) && is_v4(b))
		return a->scope == SCOPE_V4_ANY || b->scope == SCOPE_V4_ANY || !memcmp(a->bytes, b->bytes, 4);
	if (is_v4(a) || is_v4(b))
		return (is_v4(a) ? b : a)->scope == SCOPE_V6_ANY;
	return a->scope != SCOPE_V6_ONE || b->scope != SCOPE_V6_ONE || !memcmp(a->bytes, b->bytes, 16);
}

static struct place place_asked(const struct record *rec)
{
	return place_of(&rec->addr, rec->family, rec->has_options && (rec->options & OPT_V6ONLY));
}

static struct place place_held(const struct holder *h)
{
	return place_of(&h->addr, h->family, h->options & OPT_V6ONLY);
}

/* TCP and MPTCP share a table, UDP has its own. */
static bool same_table(const struct record *rec, const struct holder *h)
{
	return !rec->proto || !h->proto || (rec->proto == PROTO_UDP) == (h->proto == PROTO_UDP);
}

static bool same_socket(const struct record *rec, const struct holder *h)
{
	return (rec->sk && rec->sk == h->sk) || (rec->cookie && rec->cookie == h->cookie);
}

static bool both_have(const struct record *rec, const struct holder *h, uint32_t option)
{
	return rec->has_options && (rec->options & option) && (h->options & option);
}

static bool listens(const struct holder *h)
{
	return h->state == TCP_LISTEN || (!h->state && h->kind == HOLDER_LISTENER);
}

/* Do the options of both let them live side by side? */
static bool options_agree(const struct record *rec, const struct holder *h)
{
	bool udp = rec->proto == PROTO_UDP;
	bool time_wait = !udp && h->state == TCP_TIME_WAIT;

	if (both_have(rec, h, OPT_REUSEADDR) && (udp || !listens(h)))
		return true;
	return both_have(rec, h, OPT_REUSEPORT) && (time_wait || rec->sock_uid == h->sock_uid);
}

/* Could @h be on what @rec asked for at all, whatever the options? */
static bool can_meet(const struct record *rec, const struct holder *h)
{
	struct place asked = place_asked(rec);
	struct place held = place_held(h);

	if (same_socket(rec, h) || !same_table(rec, h))
		return false;
	if (rec->port && h->port && rec->port != h->port)
		return false;
	if (rec->ifindex && h->ifindex && rec->ifindex != h->ifindex)
		return false;
	return places_meet(&asked, &held);
}

/* A listen that fails after its bind worked met another socket that listens; those that are only bound agreed before. */
static bool can_conflict(const struct record *rec, const struct holder *h)
{
	if (rec->action == ACTION_LISTEN && !listens(h))
		return false;
	return can_meet(rec, h) && !options_agree(rec, h);
}

static uint32_t modifiers_of(const struct record *rec, const struct holder *h)
{
	struct place asked = place_asked(rec);
	struct place held = place_held(h);
	uint32_t modifiers = 0;

	if (is_v4(&asked) != is_v4(&held) && places_meet(&asked, &held))
		modifiers |= HOLDER_DUAL_STACK;
	if (both_have(rec, h, OPT_REUSEPORT) && rec->sock_uid != h->sock_uid && h->state != TCP_TIME_WAIT)
		modifiers |= HOLDER_REUSEPORT_UID;
	return modifiers;
}

/* The smaller, the more likely it is what the caller has to deal with. */
static const uint8_t kind_rank[N_HOLDER_KINDS] = {
	[HOLDER_LISTENER] = 0, [HOLDER_BOUND] = 1,  [HOLDER_SHUTDOWN] = 2,   [HOLDER_INHERITED] = 3,
	[HOLDER_KERNEL] = 4,   [HOLDER_CLIENT] = 5, [HOLDER_ACCEPTED] = 6,   [HOLDER_IN_FLIGHT] = 7,
	[HOLDER_UNKNOWN] = 8,  [HOLDER_NONE] = 9,   [HOLDER_TIME_WAIT] = 10,
};

static unsigned kind_score(const struct holder *h)
{
	if (listens(h))
		return kind_rank[HOLDER_LISTENER];
	if (h->state == TCP_TIME_WAIT || h->kind >= N_HOLDER_KINDS)
		return kind_rank[HOLDER_TIME_WAIT];
	return kind_rank[h->kind];
}

static unsigned score(const struct record *rec, const struct holder *h)
{
	struct place asked = place_asked(rec);
	struct place held = place_held(h);
	bool exact = asked.scope == held.scope && !memcmp(asked.bytes, held.bytes, sizeof(held.bytes));

	return !h->tripped << 8 | kind_score(h) << 4 | !exact << 1 | !h->pid;
}

/* Stable, in place; a handful of holders at most. */
static void sort_by_score(const struct record *rec, struct holder *holders, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct holder h = holders[i];
		size_t at = i;

		for (; at && score(rec, &holders[at - 1]) > score(rec, &h); at--)
			holders[at] = holders[at - 1];
		holders[at] = h;
	}
}

size_t explain_rank(const struct record *rec, struct holder *holders, size_t n)
{
	size_t left = 0;

	for (size_t i = 0; i < n; i++)
		if (can_conflict(rec, &holders[i]))
			holders[left++] = holders[i];
	/* The kernel refused, so one of them it was: our facts are older than its own. Nothing has been moved then. */
	if (!left && rec->error == EADDRINUSE)
		left = n;

	for (size_t i = 0; i < left; i++)
		holders[i].modifiers = modifiers_of(rec, &holders[i]);
	sort_by_score(rec, holders, left);
	return left;
}
