/* SPDX-License-Identifier: GPL-2.0-only */
/* Who is in the way of a failed call by the kernel's own rules, and what a person is told about it. */
#include "core/explain.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/process.h"
#include "support/views.h"
#include "util/cleanup.h"

#define REUSE OPT_REUSEADDR
#define SHARE OPT_REUSEPORT
#define BOUND TCP_CLOSE /* the state of a socket that is only bound, and of any UDP socket */

static int teardown(void **state)
{
	(void)state;
	views_free();
	return 0;
}

static struct address address_of(const char *text)
{
	struct address a = { .family = strchr(text, ':') ? AF_INET6 : AF_INET };

	assert_int_equal(inet_pton(a.family, text, a.bytes), 1);
	return a;
}

/* One side of a possible clash. */
struct side {
	const char *addr;
	uint32_t options;
	uint8_t state;
	uint32_t uid;
	uint32_t ifindex;
};

static struct record call(enum proto proto, enum action action, const struct side *s)
{
	struct record rec = {
		.action = action, .proto = proto, .error = EADDRINUSE, .port = 80, .has_options = true
	};

	rec.addr = address_of(s->addr);
	rec.family = rec.addr.family;
	rec.options = s->options;
	rec.sock_uid = s->uid;
	rec.ifindex = s->ifindex;
	rec.sk = 1;
	return rec;
}

static struct holder holder_at(enum proto proto, const struct side *s, uint32_t pid)
{
	struct holder h = { .kind = s->state == TCP_LISTEN ? HOLDER_LISTENER : HOLDER_BOUND, .proto = proto };

	h.addr = address_of(s->addr);
	h.family = h.addr.family;
	h.options = s->options;
	h.state = s->state;
	h.sock_uid = s->uid;
	h.ifindex = s->ifindex;
	h.port = 80;
	h.pid = pid;
	return h;
}

/* Is @held in the way of @asked? A witness that always is tells "dropped" from "all were kept". */
static bool conflicts(enum proto proto, enum action action, const struct side *asked, const struct side *held,
		      uint32_t *ret_modifiers)
{
	struct record rec = call(proto, action, asked);
	struct side witness = *asked;
	struct holder holders[2];
	size_t n;

	witness.options = 0;
	witness.state = proto == PROTO_UDP ? BOUND : TCP_LISTEN;
	holders[0] = holder_at(proto, held, 7);
	holders[1] = holder_at(proto, &witness, 9);
	n = explain_rank(&rec, holders, 2);
	for (size_t i = 0; i < n; i++) {
		if (holders[i].pid != 7)
			continue;
		*ret_modifiers = holders[i].modifiers;
		return true;
	}
	assert_int_equal(n, 1);
	return false;
}

static const struct {
	const char *fact;
	enum proto proto;
	enum action action;
	struct side asked, held;
	bool conflict;
	uint32_t modifiers;
} rules[] = {
	/* clang-format off */
	{ "a listener keeps others off", PROTO_TCP, ACTION_BIND, { "0.0.0.0" }, { "0.0.0.0", 0, TCP_LISTEN }, true },
	{ "a bound socket keeps others off", PROTO_TCP, ACTION_BIND, { "0.0.0.0" }, { "0.0.0.0", 0, BOUND }, true },
	{ "MPTCP shares the table of TCP", PROTO_MPTCP, ACTION_BIND, { "0.0.0.0" }, { "0.0.0.0", 0, TCP_LISTEN }, true },

	/* SO_REUSEADDR */
	{ "reuse on both sides lets two bind", PROTO_TCP, ACTION_BIND, { "0.0.0.0", REUSE }, { "0.0.0.0", REUSE, BOUND }, false },
	{ "reuse does not help against a listener", PROTO_TCP, ACTION_BIND, { "0.0.0.0", REUSE }, { "0.0.0.0", REUSE, TCP_LISTEN }, true },
	{ "reuse on the newcomer alone does not help", PROTO_TCP, ACTION_BIND, { "0.0.0.0", REUSE }, { "0.0.0.0", 0, BOUND }, true },
	{ "reuse on the holder alone does not help", PROTO_TCP, ACTION_BIND, { "0.0.0.0" }, { "0.0.0.0", REUSE, BOUND }, true },
	{ "reuse gets past TIME_WAIT", PROTO_TCP, ACTION_BIND, { "0.0.0.0", REUSE }, { "0.0.0.0", REUSE, TCP_TIME_WAIT }, false },
	{ "TIME_WAIT without reuse stays in the way", PROTO_TCP, ACTION_BIND, { "0.0.0.0", REUSE }, { "0.0.0.0", 0, TCP_TIME_WAIT }, true },
	{ "reuse gets past accepted connections", PROTO_TCP, ACTION_BIND, { "0.0.0.0", REUSE }, { "127.0.0.1", REUSE, TCP_ESTABLISHED }, false },
	{ "reuse does not help against a client without it", PROTO_TCP, ACTION_BIND, { "0.0.0.0", REUSE }, { "127.0.0.1", 0, TCP_ESTABLISHED }, true },

	/* SO_REUSEPORT */
	{ "a group of one uid shares", PROTO_TCP, ACTION_BIND, { "0.0.0.0", SHARE, 0, 5 }, { "0.0.0.0", SHARE, TCP_LISTEN, 5 }, false },
	{ "a group of another uid does not", PROTO_TCP, ACTION_BIND, { "0.0.0.0", SHARE, 0, 5 }, { "0.0.0.0", SHARE, TCP_LISTEN, 6 }, true, HOLDER_REUSEPORT_UID },
	{ "a group needs both", PROTO_TCP, ACTION_BIND, { "0.0.0.0", SHARE }, { "0.0.0.0", 0, TCP_LISTEN }, true },
	{ "TIME_WAIT of another uid shares", PROTO_TCP, ACTION_BIND, { "0.0.0.0", SHARE, 0, 5 }, { "0.0.0.0", SHARE, TCP_TIME_WAIT, 6 }, false },
	{ "reuse with share of another uid still meets a listener", PROTO_TCP, ACTION_BIND, { "0.0.0.0", REUSE | SHARE, 0, 5 }, { "0.0.0.0", REUSE | SHARE, TCP_LISTEN, 6 }, true, HOLDER_REUSEPORT_UID },
	{ "reuse with share of another uid does not meet a bound one", PROTO_TCP, ACTION_BIND, { "0.0.0.0", REUSE | SHARE, 0, 5 }, { "0.0.0.0", REUSE | SHARE, BOUND, 6 }, false },

	/* UDP */
	{ "a UDP socket keeps others off", PROTO_UDP, ACTION_BIND, { "0.0.0.0" }, { "0.0.0.0", 0, BOUND }, true },
	{ "UDP shares with reuse on both", PROTO_UDP, ACTION_BIND, { "0.0.0.0", REUSE }, { "0.0.0.0", REUSE, BOUND }, false },
	{ "UDP reuse looks at no state", PROTO_UDP, ACTION_BIND, { "0.0.0.0", REUSE }, { "0.0.0.0", REUSE, TCP_LISTEN }, false },
	{ "UDP shares with a group of one uid", PROTO_UDP, ACTION_BIND, { "0.0.0.0", SHARE, 0, 5 }, { "0.0.0.0", SHARE, BOUND, 5 }, false },
	{ "UDP does not with one of another uid", PROTO_UDP, ACTION_BIND, { "0.0.0.0", SHARE, 0, 5 }, { "0.0.0.0", SHARE, BOUND, 6 }, true, HOLDER_REUSEPORT_UID },

	/* addresses */
	{ "the wildcard meets any address", PROTO_TCP, ACTION_BIND, { "0.0.0.0" }, { "127.0.0.1", 0, TCP_LISTEN }, true },
	{ "any address meets the wildcard", PROTO_TCP, ACTION_BIND, { "127.0.0.1" }, { "0.0.0.0", 0, TCP_LISTEN }, true },
	{ "two addresses do not meet", PROTO_TCP, ACTION_BIND, { "127.0.0.1" }, { "127.0.0.2", 0, TCP_LISTEN }, false },
	{ "equal addresses meet", PROTO_TCP, ACTION_BIND, { "127.0.0.1" }, { "127.0.0.1", 0, TCP_LISTEN }, true },
	{ "an IPv6 wildcard covers IPv4", PROTO_TCP, ACTION_BIND, { "0.0.0.0" }, { "::", 0, TCP_LISTEN }, true, HOLDER_DUAL_STACK },
	{ "it covers an IPv4 address too", PROTO_TCP, ACTION_BIND, { "127.0.0.1" }, { "::", 0, TCP_LISTEN }, true, HOLDER_DUAL_STACK },
	{ "and the reverse", PROTO_TCP, ACTION_BIND, { "::" }, { "127.0.0.1", 0, TCP_LISTEN }, true, HOLDER_DUAL_STACK },
	{ "V6ONLY on the holder keeps out of IPv4", PROTO_TCP, ACTION_BIND, { "0.0.0.0" }, { "::", OPT_V6ONLY, TCP_LISTEN }, false },
	{ "V6ONLY on the newcomer keeps out of IPv4", PROTO_TCP, ACTION_BIND, { "::", OPT_V6ONLY }, { "0.0.0.0", 0, TCP_LISTEN }, false },
	{ "V6ONLY wildcards meet each other", PROTO_TCP, ACTION_BIND, { "::", OPT_V6ONLY }, { "::", OPT_V6ONLY, TCP_LISTEN }, true },
	{ "a V6ONLY wildcard meets an IPv6 address", PROTO_TCP, ACTION_BIND, { "::", OPT_V6ONLY }, { "::1", OPT_V6ONLY, TCP_LISTEN }, true },
	{ "an IPv6 address never meets IPv4", PROTO_TCP, ACTION_BIND, { "::1" }, { "0.0.0.0", 0, TCP_LISTEN }, false },
	{ "two IPv6 addresses do not meet", PROTO_TCP, ACTION_BIND, { "::1" }, { "::2", 0, TCP_LISTEN }, false },
	{ "equal IPv6 addresses meet", PROTO_TCP, ACTION_BIND, { "::1" }, { "::1", 0, TCP_LISTEN }, true },
	{ "a mapped address is an IPv4 one", PROTO_TCP, ACTION_BIND, { "::ffff:127.0.0.1" }, { "127.0.0.1", 0, TCP_LISTEN }, true },
	{ "a mapped wildcard is the IPv4 one", PROTO_TCP, ACTION_BIND, { "127.0.0.1" }, { "::ffff:0.0.0.0", 0, TCP_LISTEN }, true },
	{ "two mapped addresses do not meet", PROTO_TCP, ACTION_BIND, { "::ffff:127.0.0.1" }, { "::ffff:127.0.0.2", 0, TCP_LISTEN }, false },
	{ "a mapped address meets a dual wildcard", PROTO_TCP, ACTION_BIND, { "::ffff:127.0.0.1" }, { "::", 0, TCP_LISTEN }, true, HOLDER_DUAL_STACK },
	{ "but no V6ONLY one", PROTO_TCP, ACTION_BIND, { "::ffff:127.0.0.1" }, { "::", OPT_V6ONLY, TCP_LISTEN }, false },

	/* devices */
	{ "two devices do not meet", PROTO_TCP, ACTION_BIND, { "0.0.0.0", .ifindex = 2 }, { "0.0.0.0", 0, TCP_LISTEN, .ifindex = 3 }, false },
	{ "one device meets itself", PROTO_TCP, ACTION_BIND, { "0.0.0.0", .ifindex = 2 }, { "0.0.0.0", 0, TCP_LISTEN, .ifindex = 2 }, true },
	{ "a device meets no device", PROTO_TCP, ACTION_BIND, { "0.0.0.0", .ifindex = 2 }, { "0.0.0.0", 0, TCP_LISTEN }, true },
	{ "no device meets a device", PROTO_TCP, ACTION_BIND, { "0.0.0.0" }, { "0.0.0.0", 0, TCP_LISTEN, .ifindex = 3 }, true },

	/* listen */
	{ "a second listen meets the first", PROTO_TCP, ACTION_LISTEN, { "0.0.0.0", REUSE }, { "0.0.0.0", REUSE, TCP_LISTEN }, true },
	{ "a listen does not meet one that is only bound", PROTO_TCP, ACTION_LISTEN, { "0.0.0.0", REUSE }, { "0.0.0.0", 0, BOUND }, false },
	{ "a listen joins a group of its uid", PROTO_TCP, ACTION_LISTEN, { "0.0.0.0", SHARE, 0, 5 }, { "0.0.0.0", SHARE, TCP_LISTEN, 5 }, false },
	/* clang-format on */
};

static void the_rules_are_those_of_the_kernel(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		uint32_t modifiers = 0;
		bool conflict = conflicts(rules[i].proto, rules[i].action, &rules[i].asked, &rules[i].held,
					  &modifiers);

		if (conflict != rules[i].conflict || modifiers != rules[i].modifiers)
			fail_msg("%s: conflict %d, modifiers %u", rules[i].fact, conflict, modifiers);
	}
}

static const struct side any = { "0.0.0.0" };
static const struct side any_listens = { "0.0.0.0", 0, TCP_LISTEN };
static const struct side any_bound = { "0.0.0.0", 0, BOUND };

static void the_other_table_is_never_in_the_way(void **state)
{
	struct record rec = call(PROTO_TCP, ACTION_BIND, &any);
	struct holder h[] = { holder_at(PROTO_UDP, &any_bound, 7), holder_at(PROTO_MPTCP, &any_listens, 8) };

	(void)state;
	assert_int_equal(explain_rank(&rec, h, 2), 1);
	assert_int_equal(h[0].pid, 8);
}

static void a_socket_is_not_in_its_own_way(void **state)
{
	struct record rec = call(PROTO_TCP, ACTION_LISTEN, &any);
	struct holder h[] = { holder_at(PROTO_TCP, &any_listens, 7), holder_at(PROTO_TCP, &any_listens, 8) };

	(void)state;
	h[0].sk = rec.sk;
	assert_int_equal(explain_rank(&rec, h, 2), 1);
	assert_int_equal(h[0].pid, 8);
}

static void another_port_is_not_in_the_way(void **state)
{
	struct record rec = call(PROTO_TCP, ACTION_BIND, &any);
	struct holder h[] = { holder_at(PROTO_TCP, &any_listens, 7), holder_at(PROTO_TCP, &any_bound, 8) };

	(void)state;
	h[0].port = 81;
	assert_int_equal(explain_rank(&rec, h, 2), 1);
	assert_int_equal(h[0].pid, 8);
}

static void unknown_options_clear_nobody(void **state)
{
	static const struct side reuses = { "0.0.0.0", REUSE, BOUND };
	struct record rec = call(PROTO_TCP, ACTION_BIND, &(struct side){ "0.0.0.0", REUSE });
	struct holder h[] = { holder_at(PROTO_TCP, &reuses, 7), holder_at(PROTO_TCP, &any_listens, 8) };

	(void)state;
	rec.has_options = false;
	assert_int_equal(explain_rank(&rec, h, 2), 2);
}

static void the_one_the_kernel_stopped_at_comes_first(void **state)
{
	struct record rec = call(PROTO_TCP, ACTION_BIND, &any);
	struct holder h[] = { holder_at(PROTO_TCP, &any_listens, 7), holder_at(PROTO_TCP, &any_bound, 8) };

	(void)state;
	h[1].tripped = true;
	assert_int_equal(explain_rank(&rec, h, 2), 2);
	assert_int_equal(h[0].pid, 8);
	assert_int_equal(h[1].pid, 7);
}

static void a_holder_that_cannot_conflict_goes_even_if_it_was_marked(void **state)
{
	static const struct side elsewhere = { "127.0.0.2", 0, TCP_LISTEN };
	struct record rec = call(PROTO_TCP, ACTION_BIND, &(struct side){ "127.0.0.1" });
	struct holder h[] = { holder_at(PROTO_TCP, &elsewhere, 7), holder_at(PROTO_TCP, &any_listens, 8) };

	(void)state;
	h[0].tripped = true;
	assert_int_equal(explain_rank(&rec, h, 2), 1);
	assert_int_equal(h[0].pid, 8);
}

static void a_refusal_always_has_somebody(void **state)
{
	static const struct side elsewhere = { "127.0.0.2", 0, TCP_LISTEN };
	struct record rec = call(PROTO_TCP, ACTION_BIND, &(struct side){ "127.0.0.1" });
	struct holder h[] = { holder_at(PROTO_TCP, &elsewhere, 7), holder_at(PROTO_TCP, &elsewhere, 8) };

	(void)state;
	h[1].tripped = true;
	assert_int_equal(explain_rank(&rec, h, 2), 2);
	assert_int_equal(h[0].pid, 8);
	assert_int_equal(h[1].pid, 7);
}

static void nobody_is_no_trouble(void **state)
{
	struct record rec = call(PROTO_TCP, ACTION_BIND, &any);

	(void)state;
	assert_int_equal(explain_rank(&rec, NULL, 0), 0);
}

static void the_most_useful_one_comes_first(void **state)
{
	static const enum holder_kind order[] = {
		HOLDER_LISTENER, HOLDER_BOUND,    HOLDER_SHUTDOWN,  HOLDER_INHERITED, HOLDER_KERNEL,
		HOLDER_CLIENT,   HOLDER_ACCEPTED, HOLDER_IN_FLIGHT, HOLDER_UNKNOWN,   HOLDER_TIME_WAIT,
	};
	struct record rec = call(PROTO_TCP, ACTION_BIND, &any);
	struct holder h[ARRAY_SIZE(order)];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		h[i] = holder_at(PROTO_TCP, &any_bound, 7);
		h[i].kind = order[ARRAY_SIZE(order) - 1 - i];
		h[i].state = h[i].kind == HOLDER_TIME_WAIT ? TCP_TIME_WAIT : BOUND;
	}
	assert_int_equal(explain_rank(&rec, h, ARRAY_SIZE(order)), ARRAY_SIZE(order));
	for (size_t i = 0; i < ARRAY_SIZE(order); i++)
		assert_int_equal(h[i].kind, order[i]);
}

static void the_exact_address_and_a_known_process_come_before_their_equals(void **state)
{
	static const struct side exact = { "127.0.0.1", 0, BOUND };
	struct record rec = call(PROTO_TCP, ACTION_BIND, &(struct side){ "127.0.0.1" });
	struct holder h[] = {
		holder_at(PROTO_TCP, &any_bound, 7),
		holder_at(PROTO_TCP, &exact, 0),
		holder_at(PROTO_TCP, &exact, 8),
	};

	(void)state;
	assert_int_equal(explain_rank(&rec, h, 3), 3);
	assert_int_equal(h[0].pid, 8);
	assert_int_equal(h[1].pid, 0);
	assert_int_equal(h[2].pid, 7);
}

/* ---- reasons ---- */

static const struct explain_facts no_facts = { .unprivileged_port_start = -1 };

static const struct {
	const char *fact;
	struct record rec;
	size_t n;
	int start;
	enum reason reason;
} reasons[] = {
	/* clang-format off */
	{ "success has none", { .action = ACTION_BIND, .port = 80 }, 0, -1, REASON_NONE },
	{ "in use by somebody", { .action = ACTION_BIND, .error = EADDRINUSE, .port = 80 }, 1, -1, REASON_HOLDER },
	{ "in use by nobody", { .action = ACTION_BIND, .error = EADDRINUSE, .port = 80 }, 0, -1, REASON_NO_HOLDER },
	{ "in use, and nobody knows which port", { .action = ACTION_BIND, .error = EADDRINUSE, .addr_unknown = true },
	  0, -1, REASON_OTHER },
	{ "port 0 in use", { .action = ACTION_BIND, .error = EADDRINUSE }, 0, -1, REASON_EPHEMERAL_EXHAUSTED },
	{ "listen without a port left", { .action = ACTION_LISTEN, .error = EADDRINUSE }, 0, -1, REASON_EPHEMERAL_EXHAUSTED },
	{ "a listen that fails", { .action = ACTION_LISTEN, .error = EADDRINUSE, .port = 80 }, 1, -1, REASON_HOLDER },
	{ "a low port", { .action = ACTION_BIND, .error = EACCES, .port = 80, .hook_addr = true }, 0, -1, REASON_LOW_PORT },
	{ "not so low here", { .action = ACTION_BIND, .error = EACCES, .port = 80, .hook_addr = true }, 0, 80, REASON_LSM },
	{ "low in this namespace", { .action = ACTION_BIND, .error = EACCES, .port = 8080, .hook_addr = true }, 0, 9000, REASON_LOW_PORT },
	{ "never got to the protocol", { .action = ACTION_BIND, .error = EACCES, .port = 80 }, 0, -1, REASON_LSM },
	{ "nor did this", { .action = ACTION_BIND, .error = EPERM, .port = 8080 }, 0, -1, REASON_LSM },
	{ "listen is not for cgroups", { .action = ACTION_LISTEN, .error = EPERM, .port = 8080, .hook_addr = true }, 0, -1, REASON_LSM },
	{ "a cgroup program", { .action = ACTION_BIND, .error = EPERM, .port = 8080, .hook_addr = true }, 0, -1, REASON_CGROUP },
	{ "no such address", { .action = ACTION_BIND, .error = EADDRNOTAVAIL, .port = 80 }, 0, -1, REASON_NOT_LOCAL },
	{ "another port already", { .action = ACTION_BIND, .error = EINVAL, .port = 80, .has_asked_port = true, .asked_port = 81 }, 0, -1, REASON_ALREADY_BOUND },
	{ "the same port already", { .action = ACTION_BIND, .error = EINVAL, .port = 80, .explicit_port = true }, 0, -1, REASON_ALREADY_BOUND },
	{ "connected", { .action = ACTION_BIND, .error = EINVAL, .port = 80, .state = TCP_ESTABLISHED }, 0, -1, REASON_ALREADY_BOUND },
	{ "a bad address", { .action = ACTION_BIND, .error = EINVAL, .port = 80, .socket_id = 9, .seq = 9, .state = TCP_CLOSE }, 0, -1, REASON_INVALID },
	{ "listen on a connected one", { .action = ACTION_LISTEN, .error = EINVAL, .port = 80, .socket_id = 3, .seq = 9 }, 0, -1, REASON_INVALID },
	{ "the wrong family", { .action = ACTION_BIND, .error = EAFNOSUPPORT, .port = 80 }, 0, -1, REASON_FAMILY },
	{ "anything else", { .action = ACTION_BIND, .error = ENOMEM, .port = 80 }, 0, -1, REASON_OTHER },
	/* clang-format on */
};

static void each_errno_has_its_reason(void **state)
{
	const struct holder h = { .kind = HOLDER_BOUND };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++) {
		struct explain_facts facts = { .unprivileged_port_start = reasons[i].start };
		enum reason r = explain_reason(&reasons[i].rec, &h, reasons[i].n, &facts);

		if (r != reasons[i].reason)
			fail_msg("%s: reason %d", reasons[i].fact, (int)r);
	}
}

/* ---- what is said ---- */

static struct explanation explained(const struct view *view)
{
	struct explain_facts facts = { .unprivileged_port_start = -1, .now_ns = view->rec->time_ns };
	struct explanation e;

	memset(&e, 'x', sizeof(e));
	explain(view, &facts, &e);
	assert_non_null(memchr(e.reason, '\0', sizeof(e.reason)));
	assert_non_null(memchr(e.hint, '\0', sizeof(e.hint)));
	return e;
}

#define says(view, want_code, want_reason, want_hint)        \
	do {                                                 \
		struct explanation e_ = explained(view);     \
		assert_string_equal(e_.code, want_code);     \
		assert_string_equal(e_.reason, want_reason); \
		assert_string_equal(e_.hint, want_hint);     \
	} while (0)

#define in_use(...) bind_failed(.error = EADDRINUSE, .port = 80, __VA_ARGS__)

static void a_service_that_listens_can_be_stopped(void **state)
{
	(void)state;
	says(in_use(.holders = { { .kind = HOLDER_LISTENER,
				   .pid = 53,
				   .comm = "nginx",
				   .unit = "nginx.service",
				   .since_ms = -45 } }),
	     "listener", "held by nginx[53] (nginx.service), listening for 45 ms",
	     "systemctl stop nginx, or another port");
}

static void a_container_is_stopped_by_its_engine(void **state)
{
	(void)state;
	says(in_use(.holders = { { .kind = HOLDER_LISTENER,
				   .pid = 53,
				   .comm = "java",
				   .container = "shop-api-1",
				   .unit = "docker-3f1c.scope",
				   .since_ms = -90000,
				   .precision = SINCE_NOT_AFTER } }),
	     "listener", "held by java[53] (docker:shop-api-1), listening for at least 1m30s",
	     "docker stop shop-api-1, or another port");
}

static void any_other_process_is_killed_by_number(void **state)
{
	(void)state;
	says(in_use(.proto = PROTO_UDP, .holders = { { .kind = HOLDER_LISTENER,
						       .pid = 53,
						       .comm = "dnsmasq",
						       .owners_count = 3 } }),
	     "listener", "held by dnsmasq[53] and 2 more, bound",
	     "kill 53 and 2 more (portlog list -o wide 80), or another port");
}

/* The port is held until the last of them is gone. */
static void all_who_have_the_socket_open_are_killed(void **state)
{
	(void)state;
	says(in_use(.holders = { { .kind = HOLDER_BOUND,
				   .pid = 53,
				   .comm = "sh",
				   .owners_count = 3,
				   .others = { 54, 57 } } }),
	     "bound", "held by sh[53] and 2 more, bound but not listening: ss -l and lsof do not show it",
	     "kill 53 54 57, or another port");
	says(in_use(.holders = { { .kind = HOLDER_LISTENER,
				   .pid = 53,
				   .comm = "sh",
				   .owners_count = 40,
				   .others = { 1, 2, 3, 4, 5, 6, 7 } } }),
	     "listener", "held by sh[53] and 39 more, listening",
	     "kill 53 2 3 4 5 6 7 and 32 more (portlog list -o wide 80), or another port");
}

static void all_sockets_in_the_way_are_ended_when_it_is_known_whose_they_are(void **state)
{
	struct explain_facts facts = { .unprivileged_port_start = -1, .fresh = true };
	const struct view *view =
		in_use(.holders = {
			       { .kind = HOLDER_LISTENER, .pid = 53, .comm = "a" },
			       { .kind = HOLDER_LISTENER, .pid = 60, .comm = "b" },
			       { .kind = HOLDER_ACCEPTED, .pid = 53, .comm = "a" },
			       { .kind = HOLDER_LISTENER, .pid = 61, .comm = "c", .unit = "c.service" },
		       });
	struct explanation e;

	(void)state;
	explain(view, &facts, &e);
	assert_string_equal(e.hint, "kill 53 60, or another port");
	facts.fresh = false; /* 60 may be another process by now */
	explain(view, &facts, &e);
	assert_string_equal(e.hint, "kill 53, or another port");
}

static void a_process_that_only_root_sees_is_said_to_be_there(void **state)
{
	struct explain_facts facts = { .unprivileged_port_start = -1, .reach = REACH_NEEDS_ROOT };
	const struct view *view =
		in_use(.holders = { { .kind = HOLDER_LISTENER, .sock_uid = 33, .inode = 9 } });
	struct explanation e;

	(void)state;
	explain(view, &facts, &e);
	assert_string_equal(e.reason, "held by a process of uid 33 that only root sees, listening");
	assert_string_equal(e.hint, "end that process (sudo portlog why 80 names it), or another port");
}

static void a_session_is_never_stopped_for_a_port(void **state)
{
	(void)state;
	says(in_use(.holders = { { .kind = HOLDER_LISTENER,
				   .pid = 53,
				   .comm = "nc",
				   .unit = "session-3.scope" } }),
	     "listener", "held by nc[53], listening", "kill 53, or another port");
}

static void pid_1_is_never_killed(void **state)
{
	struct explanation e;

	(void)state;
	e = explained(in_use(.holders = { { .kind = HOLDER_LISTENER,
					    .pid = 1,
					    .comm = "systemd",
					    .unit = "init.scope" } }));
	assert_null(strstr(e.hint, "kill"));
	assert_non_null(strstr(e.hint, "systemctl list-sockets"));
}

static void a_port_proxy_names_its_engine(void **state)
{
	(void)state;
	says(in_use(.holders = { { .kind = HOLDER_LISTENER,
				   .pid = 53,
				   .comm = "docker-proxy",
				   .unit = "docker.service" } }),
	     "listener", "held by docker-proxy[53] (docker.service), listening",
	     "docker ps --filter publish=80 names the container that publishes it: stop that, or another port");
}

static void a_program_in_its_own_way_is_told_so(void **state)
{
	(void)state;
	says(in_use(.pid = 61, .holders = { { .kind = HOLDER_LISTENER,
					      .pid = 61,
					      .comm = "python3",
					      .since_ms = -1200 } }),
	     "listener", "held by python3[61], listening for 1 s",
	     "close the socket that the same program bound before, or another port");
}

static void another_address_is_named(void **state)
{
	(void)state;
	says(in_use(.addr = "127.0.0.1",
		    .holders = { { .kind = HOLDER_LISTENER, .pid = 53, .comm = "nginx" } }),
	     "listener", "held by nginx[53], listening on 0.0.0.0:80", "kill 53, or another port");
}

static void a_dual_stack_socket_is_told_as_such(void **state)
{
	(void)state;
	says(in_use(.holders = { { .kind = HOLDER_LISTENER,
				   .pid = 53,
				   .comm = "nginx",
				   .addr = "::",
				   .modifiers = HOLDER_DUAL_STACK } }),
	     "listener", "held by nginx[53], listening on [::]:80; its [::] covers IPv4 too",
	     "kill 53, or another port; IPV6_V6ONLY on its socket would leave IPv4 free");
	says(in_use(.addr = "::", .holders = { { .kind = HOLDER_LISTENER,
						 .pid = 53,
						 .comm = "nginx",
						 .modifiers = HOLDER_DUAL_STACK } }),
	     "listener", "held by nginx[53], listening on 0.0.0.0:80; the new [::] would cover IPv4 too",
	     "kill 53, or another port; or IPV6_V6ONLY on the new socket");
}

static void a_group_of_another_user_is_told_as_such(void **state)
{
	struct explanation e;

	(void)state;
	e = explained(in_use(.uid = 1000, .options = SHARE,
			     .holders = { { .kind = HOLDER_LISTENER,
					    .pid = 53,
					    .comm = "nginx",
					    .sock_uid = 33,
					    .options = SHARE,
					    .modifiers = HOLDER_REUSEPORT_UID } }));
	assert_non_null(strstr(e.reason, "both set SO_REUSEPORT, but their sockets are of uid 1000 and 33"));
	assert_non_null(strstr(e.hint, "as the same user"));
}

static void a_bound_socket_is_one_that_others_do_not_show(void **state)
{
	(void)state;
	says(in_use(.holders = { { .kind = HOLDER_BOUND,
				   .pid = 455,
				   .comm = "java",
				   .unit = "app.service",
				   .since_ms = -5000 } }),
	     "bound",
	     "held by java[455] (app.service), bound for 5 s but not listening: ss -l and lsof do not show it",
	     "systemctl stop app, or another port");
}

static void a_shut_down_listener_must_be_closed(void **state)
{
	(void)state;
	says(in_use(.holders = { { .kind = HOLDER_SHUTDOWN, .pid = 455, .comm = "java" } }), "shutdown",
	     "held by java[455], bound; the socket was shut down but not closed, which keeps the port",
	     "close() after shutdown(), or kill 455");
}

static void an_heir_is_told_from_its_binder(void **state)
{
	struct explanation e;

	(void)state;
	e = explained(in_use(.holders = { { .kind = HOLDER_INHERITED, .pid = 88, .comm = "sleep" } }));
	assert_string_equal(e.code, "inherited");
	assert_non_null(strstr(e.reason, "held by sleep[88]"));
	assert_non_null(strstr(e.hint, "kill 88"));
	assert_non_null(strstr(e.hint, "SOCK_CLOEXEC"));

	e = explained(in_use(.holders = { { .kind = HOLDER_INHERITED,
					    .pid = 53,
					    .comm = "nginx",
					    .last_owner = true } }));
	assert_non_null(strstr(e.reason, "bound by nginx[53]"));
	assert_null(strstr(e.hint, "kill"));
}

static void a_descriptor_in_flight_waits_for_its_receiver(void **state)
{
	(void)state;
	says(in_use(.holders = { { .kind = HOLDER_IN_FLIGHT } }), "in-flight",
	     "its socket is in a Unix-socket message that nobody has read",
	     "let the receiver read the message, or close its socket");
}

static void accepted_connections_outlive_their_listener(void **state)
{
	struct explanation e;

	(void)state;
	e = explained(in_use(.holders = { { .kind = HOLDER_ACCEPTED, .pid = 53, .comm = "nginx" },
					  { .kind = HOLDER_ACCEPTED, .pid = 54, .comm = "nginx" } }));
	assert_string_equal(e.code, "accepted");
	assert_string_equal(e.reason, "its listener is gone, 2 accepted connections are not: nginx[53]");
	assert_string_equal(e.hint, "SO_REUSEADDR before bind, or end the connections: kill 53");

	e = explained(in_use(.options = REUSE,
			     .holders = { { .kind = HOLDER_ACCEPTED, .pid = 53, .comm = "nginx" } }));
	assert_null(strstr(e.hint, "SO_REUSEADDR"));
}

static void time_wait_has_its_seconds_and_its_last_owner(void **state)
{
	(void)state;
	says(in_use(.holders = { { .kind = HOLDER_TIME_WAIT,
				   .pid = 991,
				   .comm = "myserver",
				   .last_owner = true,
				   .since_ms = -17000,
				   .expires_ms = 30000 },
				 { .kind = HOLDER_TIME_WAIT, .expires_ms = 41500 } }),
	     "time-wait",
	     "2 closed connections are in TIME_WAIT for at most 43 s more; last held by myserver[991], which let go 17 s"
	     " ago",
	     "SO_REUSEADDR before bind, or wait 43 s");
}

static void time_wait_of_a_socket_without_reuse_can_only_be_waited_for(void **state)
{
	(void)state;
	says(in_use(.options = REUSE, .holders = { { .kind = HOLDER_TIME_WAIT } }), "time-wait",
	     "1 closed connection is in TIME_WAIT; last held by a process that is not known",
	     "wait a minute (SO_REUSEADDR does not help: the old socket did not have it)");
}

static void clients_are_kept_off_by_reserving_the_port(void **state)
{
	struct explanation e;

	(void)state;
	e = explained(
		in_use(.holders = {
			       { .kind = HOLDER_CLIENT, .pid = 77, .comm = "curl", .since_ms = -3000 } }));
	assert_string_equal(e.code, "client");
	assert_string_equal(e.reason, "a connection of curl[77] uses it as its own local port for 3 s");
	assert_non_null(strstr(e.hint, "sudo sysctl -w net.ipv4.ip_local_reserved_ports=80 "));
	assert_non_null(strstr(e.hint, "kill 77"));
	assert_non_null(strstr(e.hint, "SO_REUSEADDR does not help"));
}

static void the_kernel_is_named_by_what_is_known_of_the_port(void **state)
{
	static const struct {
		uint16_t port;
		enum proto proto;
		const char *name;
	} known[] = { { 4789, PROTO_UDP, "VXLAN" },
		      { 51820, PROTO_UDP, "WireGuard" },
		      { 2049, PROTO_TCP, "NFS" } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		struct explanation e = explained(bind_failed(.error = EADDRINUSE, .port = known[i].port,
							     .proto = known[i].proto,
							     .holders = { { .kind = HOLDER_KERNEL } }));

		assert_string_equal(e.code, "kernel");
		assert_non_null(strstr(e.reason, known[i].name));
	}
	assert_string_equal(explained(in_use(.holders = { { .kind = HOLDER_KERNEL } })).reason,
			    "held by the kernel itself");
}

static void of_an_unknown_holder_the_uid_is_told(void **state)
{
	(void)state;
	says(in_use(.holders = { { .kind = HOLDER_UNKNOWN, .sock_uid = 33 } }), "unknown",
	     "held by a socket of uid 33 that no known process has open, listening",
	     "run as root in the host's pid namespace, which sees the owners of other users, or another port");
}

static void every_kind_has_a_code_a_reason_and_a_hint(void **state)
{
	(void)state;
	for (int kind = HOLDER_LISTENER; kind < N_HOLDER_KINDS; kind++) {
		struct explanation e =
			explained(in_use(.holders = { { .kind = kind, .pid = 5, .comm = "x" } }));

		assert_string_equal(e.code, holder_kind_name(kind));
		assert_true(strlen(e.reason) > 10 && strlen(e.hint) > 10);
		e = explained(in_use(.holders = { { .kind = kind } }));
		assert_true(strlen(e.reason) > 10 && strlen(e.hint) > 10);
	}
	assert_string_equal(holder_kind_name(N_HOLDER_KINDS), "unknown");
}

static void nobody_left_on_the_port_is_gone(void **state)
{
	struct explanation e;

	(void)state;
	e = explained(in_use(.reason = REASON_NO_HOLDER));
	assert_string_equal(e.code, "gone");
	assert_string_equal(explained(in_use(.reason = REASON_HOLDER)).code, "gone");
	assert_string_equal(explained(in_use(.reason = REASON_EPHEMERAL_EXHAUSTED)).code, "exhausted");
}

static void a_low_port_needs_a_capability(void **state)
{
	(void)state;
	says(bind_failed(.error = EACCES, .port = 80, .reason = REASON_LOW_PORT, .uid = 1000,
			 .exe = "/srv/app"),
	     "low-port", "ports below 1024 need CAP_NET_BIND_SERVICE, which uid 1000 here does not have",
	     "sudo setcap cap_net_bind_service=+ep /srv/app, or sudo sysctl -w"
	     " net.ipv4.ip_unprivileged_port_start=80, or a port from 1024 up");
	assert_non_null(strstr(explained(bind_failed(.error = EACCES, .port = 80, .reason = REASON_LOW_PORT,
						     .unit = "app.service"))
				       .hint,
			       "AmbientCapabilities=CAP_NET_BIND_SERVICE in app.service"));
}

static void refusals_before_the_protocol_have_codes_of_their_own(void **state)
{
	(void)state;
	assert_string_equal(explained(bind_failed(.error = EACCES, .reason = REASON_LSM)).code, "lsm");
	assert_string_equal(explained(bind_failed(.error = EPERM, .reason = REASON_CGROUP)).code, "cgroup");
	assert_non_null(strstr(
		explained(bind_failed(.error = EPERM, .reason = REASON_CGROUP, .unit = "app.service")).hint,
		"SocketBindDeny="));
}

static void an_address_that_is_not_there_may_come_later(void **state)
{
	struct explanation e;

	(void)state;
	says(bind_failed(.error = EADDRNOTAVAIL, .reason = REASON_NOT_LOCAL, .addr = "10.0.0.5",
			 .unit = "app.service"),
	     "address-not-available", "no interface of this network namespace has 10.0.0.5 (yet)",
	     "Wants= and After=network-online.target in app.service, or IP_FREEBIND (FreeBind=yes in a .socket), or sudo"
	     " sysctl -w net.ipv4.ip_nonlocal_bind=1");
	e = explained(bind_failed(.error = EADDRNOTAVAIL, .reason = REASON_NOT_LOCAL, .addr = "2001:db8::1"));
	assert_non_null(strstr(e.reason, "[2001:db8::1]"));
	assert_non_null(strstr(e.reason, "tentative"));
	assert_non_null(strstr(e.hint, "net.ipv6.ip_nonlocal_bind=1"));
}

static void a_second_bind_is_told_where_the_first_one_is(void **state)
{
	struct explanation e;

	(void)state;
	e = explained(bind_failed(.error = EINVAL, .reason = REASON_ALREADY_BOUND, .port = 18094,
				  .asked_port = 18093));
	assert_string_equal(e.code, "already-bound");
	assert_string_equal(e.reason, "the socket is bound already, to port 18093");
}

static void the_other_codes(void **state)
{
	(void)state;
	assert_string_equal(explained(bind_failed(.error = EINVAL, .reason = REASON_INVALID)).code,
			    "invalid");
	assert_non_null(strstr(
		explained(bind_failed(.error = EINVAL, .reason = REASON_INVALID, .addr = "fe80::1")).hint,
		"sin6_scope_id"));
	assert_string_equal(explained(bind_failed(.error = EAFNOSUPPORT, .reason = REASON_FAMILY)).code,
			    "family");
	says(bind_failed(.error = ENETDOWN), "other", "the kernel said: Network is down", "");
	assert_non_null(strstr(explained(listen_failed(.error = EOPNOTSUPP)).hint, "UDP"));
}

/* ---- names are hostile ---- */

static void a_name_that_means_something_to_a_shell_is_in_no_command(void **state)
{
	static const char *const units[] = { "$(reboot).service", "a;b.service", "-f.service",  "x y.service",
					     "`id`.service",      ".service",    "a\nb.service" };
	static const char *const containers[] = { "x;reboot", "--all", "a b" };
	struct explanation e;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		e = explained(in_use(.holders = { { .kind = HOLDER_LISTENER,
						    .pid = 53,
						    .comm = "x",
						    .unit = units[i] } }));
		assert_string_equal(e.hint, "kill 53, or another port");
	}
	for (size_t i = 0; i < ARRAY_SIZE(containers); i++) {
		e = explained(in_use(.holders = { { .kind = HOLDER_LISTENER,
						    .pid = 53,
						    .comm = "x",
						    .container = containers[i] } }));
		assert_string_equal(e.hint, "kill 53, or another port");
	}
	e = explained(
		bind_failed(.error = EACCES, .port = 80, .reason = REASON_LOW_PORT, .exe = "/tmp/a;reboot"));
	assert_null(strstr(e.hint, "reboot"));
}

static void a_comm_of_sixteen_bytes_ends_there(void **state)
{
	struct explanation e;

	(void)state;
	e = explained(
		in_use(.holders = { { .kind = HOLDER_LISTENER, .pid = 53, .comm = "abcdefghijklmnop" } }));
	assert_string_equal(e.reason, "held by abcdefghijklmnop[53], listening");
}

static void a_long_name_is_cut_at_a_whole_character(void **state)
{
	char unit[600], out[16];
	struct process p = { .where.unit = unit };
	struct explanation e;

	(void)state;
	for (size_t i = 0; i + 3 < sizeof(unit); i += 3)
		memcpy(unit + i, "\xe2\x82\xac", 4);
	assert_int_equal(strlen(explain_where(&p, out, sizeof(out))), 15);
	unit[0] = 'x';
	unit[1] = 'y';
	unit[2] = 'z';
	memmove(unit + 1, unit + 3, strlen(unit + 3) + 1);
	assert_int_equal(strlen(explain_where(&p, out, sizeof(out))), 13);
	e = explained(
		in_use(.holders = { { .kind = HOLDER_LISTENER, .pid = 53, .comm = "x", .unit = unit } }));
	assert_true(strlen(e.reason) < sizeof(e.reason));
}

static void where_a_process_belongs(void **state)
{
	struct process p = { 0 };
	char out[64];

	(void)state;
	assert_string_equal(explain_where(NULL, out, sizeof(out)), "");
	assert_string_equal(explain_where(&p, out, sizeof(out)), "");
	p.where.unit = "user@1000.service";
	assert_string_equal(explain_where(&p, out, sizeof(out)), "");
	p.where.unit = "nginx.service";
	assert_string_equal(explain_where(&p, out, sizeof(out)), "nginx.service");
	p.where.container_id = "3f1c7d0a9b52deadbeef";
	assert_string_equal(explain_where(&p, out, sizeof(out)), "container:3f1c7d0a9b52");
	p.where.container_runtime = "podman";
	p.where.container_name = "web";
	assert_string_equal(explain_where(&p, out, sizeof(out)), "podman:web");
	p.where.pod_name = "api-0";
	p.where.pod_namespace = "shop";
	assert_string_equal(explain_where(&p, out, sizeof(out)), "pod:shop/api-0");
}

static void a_users_own_service_is_stopped_by_the_users_manager(void **state)
{
	struct view v = *in_use(.holders = { { .kind = HOLDER_LISTENER, .pid = 53, .comm = "x" } });
	struct process p = { .where.unit = "app.service",
			     .cgroup = "/user.slice/user-1000.slice/user@1000.service/app.service" };
	struct holder h = v.holders[0];

	(void)state;
	h.process = &p;
	v.holders = &h;
	assert_string_equal(explained(&v).hint, "systemctl --user stop app, or another port");
}

static void a_listen_that_lost_the_race_names_the_other_listener(void **state)
{
	(void)state;
	says(listen_failed(.error = EADDRINUSE, .port = 80, .options = REUSE,
			   .holders = { { .kind = HOLDER_LISTENER,
					  .pid = 53,
					  .comm = "nginx",
					  .options = REUSE } }),
	     "listener", "held by nginx[53], listening", "kill 53, or another port");
}

static void where_low_ports_end_is_unknown_the_protocols_eacces_says_it_was_one(void **state)
{
	struct record rec = { .action = ACTION_BIND, .error = EACCES, .port = 1023, .hook_addr = true };

	(void)state;
	assert_int_equal(explain_reason(&rec, NULL, 0, &no_facts), REASON_LOW_PORT);
	rec.port = 4000;
	assert_int_equal(explain_reason(&rec, NULL, 0, &no_facts), REASON_LOW_PORT);
	rec.hook_addr = false;
	assert_int_equal(explain_reason(&rec, NULL, 0, &no_facts), REASON_LSM);
}

#define fact(f) cmocka_unit_test_teardown(f, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		fact(the_rules_are_those_of_the_kernel),
		fact(the_other_table_is_never_in_the_way),
		fact(a_socket_is_not_in_its_own_way),
		fact(another_port_is_not_in_the_way),
		fact(unknown_options_clear_nobody),
		fact(the_one_the_kernel_stopped_at_comes_first),
		fact(a_holder_that_cannot_conflict_goes_even_if_it_was_marked),
		fact(a_refusal_always_has_somebody),
		fact(nobody_is_no_trouble),
		fact(the_most_useful_one_comes_first),
		fact(the_exact_address_and_a_known_process_come_before_their_equals),
		fact(each_errno_has_its_reason),
		fact(a_service_that_listens_can_be_stopped),
		fact(a_container_is_stopped_by_its_engine),
		fact(any_other_process_is_killed_by_number),
		fact(all_who_have_the_socket_open_are_killed),
		fact(all_sockets_in_the_way_are_ended_when_it_is_known_whose_they_are),
		fact(a_process_that_only_root_sees_is_said_to_be_there),
		fact(a_session_is_never_stopped_for_a_port),
		fact(pid_1_is_never_killed),
		fact(a_port_proxy_names_its_engine),
		fact(a_program_in_its_own_way_is_told_so),
		fact(another_address_is_named),
		fact(a_dual_stack_socket_is_told_as_such),
		fact(a_group_of_another_user_is_told_as_such),
		fact(a_bound_socket_is_one_that_others_do_not_show),
		fact(a_shut_down_listener_must_be_closed),
		fact(an_heir_is_told_from_its_binder),
		fact(a_descriptor_in_flight_waits_for_its_receiver),
		fact(accepted_connections_outlive_their_listener),
		fact(time_wait_has_its_seconds_and_its_last_owner),
		fact(time_wait_of_a_socket_without_reuse_can_only_be_waited_for),
		fact(clients_are_kept_off_by_reserving_the_port),
		fact(the_kernel_is_named_by_what_is_known_of_the_port),
		fact(of_an_unknown_holder_the_uid_is_told),
		fact(every_kind_has_a_code_a_reason_and_a_hint),
		fact(nobody_left_on_the_port_is_gone),
		fact(a_low_port_needs_a_capability),
		fact(refusals_before_the_protocol_have_codes_of_their_own),
		fact(an_address_that_is_not_there_may_come_later),
		fact(a_second_bind_is_told_where_the_first_one_is),
		fact(the_other_codes),
		fact(a_name_that_means_something_to_a_shell_is_in_no_command),
		fact(a_comm_of_sixteen_bytes_ends_there),
		fact(a_long_name_is_cut_at_a_whole_character),
		fact(where_a_process_belongs),
		fact(a_users_own_service_is_stopped_by_the_users_manager),
		fact(a_listen_that_lost_the_race_names_the_other_listener),
		fact(where_low_ports_end_is_unknown_the_protocols_eacces_says_it_was_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
