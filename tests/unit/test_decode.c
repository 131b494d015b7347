/* SPDX-License-Identifier: GPL-2.0-only */
/* Bytes from the ring: which are refused, what an event is about, and texts of lengths that nobody trusts. */
#include "core/decode.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "util/cleanup.h"

#define ESTABLISHED 1
#define TIME_WAIT 6
#define CLOSE 7
#define CLOSE_WAIT 8
#define LISTEN 10

/* An array within the arguments of a macro. */
#define BYTES(...)          \
	{                   \
		__VA_ARGS__ \
	}
#define EVENT_OF(af, ...)    \
	(&(struct pl_event){ \
		.size = sizeof(struct pl_event), .family = (af), .proto = IPPROTO_TCP, __VA_ARGS__ })
#define EVENT(...) EVENT_OF(AF_INET, __VA_ARGS__)
#define EVENT6(...) EVENT_OF(AF_INET6, __VA_ARGS__)
#define HOLDER_OF(af, ...) (&(struct pl_holder){ .family = (af), .port = 80, __VA_ARGS__ })
#define HOLDER(...) HOLDER_OF(AF_INET, __VA_ARGS__)

static struct record record_of(const struct pl_event *e)
{
	struct record rec;

	memset(&rec, 0x5a, sizeof(rec)); /* nothing of what was there before may stay */
	decode_event(e, &rec);
	return rec;
}

static struct holder holder_of(const struct pl_holder *h, enum proto proto)
{
	struct holder holder;

	memset(&holder, 0x5a, sizeof(holder));
	decode_holder(h, proto, &holder);
	return holder;
}

/* ---- which bytes are records ---- */

/* Room for the largest record; what decode() says of its first @len bytes. */
static union {
	struct pl_event event;
	struct pl_failure failure;
	struct pl_process process;
	unsigned char bytes[sizeof(struct pl_process) + 64];
} ring;

static int decode_sized(uint16_t kind, uint16_t size, size_t len, struct decoded *ret)
{
	memset(ret, 0x5a, sizeof(*ret));
	ring.event.kind = kind;
	ring.event.size = size;
	return decode(&ring, len, ret);
}

static bool is_nothing(const struct decoded *d)
{
	return !d->event && !d->failure && !d->process;
}

static void each_kind_of_its_size_is_a_record(void **state)
{
	struct decoded d;

	(void)state;
	for (uint16_t kind = 1; kind < PL_KIND_MAX; kind++) {
		if (kind == PL_PROCESS)
			continue;
		assert_int_equal(decode_sized(kind, sizeof(ring.event), sizeof(ring.event), &d), 0);
		assert_ptr_equal(d.event, &ring);
		assert_null(d.failure);
		assert_null(d.process);
	}
	assert_int_equal(decode_sized(PL_PROCESS, sizeof(ring.process), sizeof(ring.process), &d), 0);
	assert_ptr_equal(d.process, &ring);
	assert_null(d.event);
	assert_null(d.failure);
}

static void only_binds_and_listens_come_with_holders(void **state)
{
	struct decoded d;

	(void)state;
	for (uint16_t kind = 0; kind < PL_KIND_MAX + 2; kind++) {
		bool fails = kind == PL_BIND || kind == PL_LISTEN;

		ring.failure.count = PL_HOLDERS_MAX;
		assert_int_equal(decode_sized(kind, sizeof(ring.failure), sizeof(ring.failure), &d),
				 fails ? 0 : DECODE_BAD);
		assert_ptr_equal(d.failure, fails ? &ring : NULL);
		assert_ptr_equal(d.event, fails ? &ring : NULL);
		assert_null(d.process);
	}
}

static void more_holders_than_there_is_room_for_are_refused(void **state)
{
	static const uint32_t counts[] = { PL_HOLDERS_MAX + 1, 1000, UINT32_MAX };
	struct decoded d;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		ring.failure.count = counts[i];
		assert_int_equal(decode_sized(PL_BIND, sizeof(ring.failure), sizeof(ring.failure), &d),
				 DECODE_BAD);
		assert_true(is_nothing(&d));
	}
}

static void a_kind_that_nobody_knows_is_refused(void **state)
{
	static const uint16_t kinds[] = { 0, PL_KIND_MAX, 255, 256, UINT16_MAX };
	struct decoded d;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		assert_int_equal(decode_sized(kinds[i], sizeof(ring.event), sizeof(ring.event), &d),
				 DECODE_BAD);
		assert_true(is_nothing(&d));
	}
}

static void every_other_length_is_refused(void **state)
{
	struct decoded d;

	(void)state;
	ring.failure.count = 0;
	for (uint16_t kind = 0; kind <= PL_KIND_MAX; kind++) {
		for (size_t len = 0; len <= sizeof(ring.bytes); len++) {
			bool fits = kind == PL_PROCESS
					    ? len == sizeof(ring.process)
					    : len == sizeof(ring.event) && kind && kind < PL_KIND_MAX;

			fits = fits ||
			       ((kind == PL_BIND || kind == PL_LISTEN) && len == sizeof(ring.failure));
			assert_int_equal(decode_sized(kind, (uint16_t)len, len, &d), fits ? 0 : DECODE_BAD);
			assert_int_equal(is_nothing(&d), !fits);
		}
	}
}

static void a_size_that_is_not_that_of_the_ring_is_refused(void **state)
{
	struct decoded d;

	(void)state;
	assert_int_equal(decode_sized(PL_BIND, sizeof(ring.event), sizeof(ring.event) - 1, &d), DECODE_BAD);
	assert_int_equal(decode_sized(PL_BIND, sizeof(ring.event), sizeof(ring.failure), &d), DECODE_BAD);
	assert_int_equal(decode_sized(PL_BIND, sizeof(ring.failure), sizeof(ring.event), &d), DECODE_BAD);
	assert_int_equal(decode_sized(PL_BIND, 0, sizeof(ring.event), &d), DECODE_BAD);
	assert_true(is_nothing(&d));
}

/* ---- what an event is about ---- */

static void every_kind_has_its_action(void **state)
{
	static const enum action actions[] = {
		[PL_BIND] = ACTION_BIND,         [PL_LISTEN] = ACTION_LISTEN,
		[PL_RELEASE] = ACTION_RELEASE,   [PL_AUTOBIND] = ACTION_AUTOBIND,
		[PL_SNAPSHOT] = ACTION_SNAPSHOT, [PL_OWNER] = ACTION_NONE,
		[PL_HINT] = ACTION_NONE,
	};

	(void)state;
	for (uint16_t kind = 1; kind < ARRAY_SIZE(actions); kind++)
		assert_int_equal(record_of(EVENT(.kind = kind)).action, actions[kind]);
}

static void who_and_what_are_carried_over(void **state)
{
	struct record r = record_of(
		EVENT(.kind = PL_BIND, .time_ns = 1, .sk = 2, .cookie = 3, .inode = 4, .since_ns = 5,
		      .start_ns = 6, .exec_id = 7, .cgroup_id = 8, .pid = 9, .tid = 10, .ppid = 11, .uid = 12,
		      .gid = 13, .sock_uid = 14, .netns = 15, .ifindex = 16, .port = 80, .state = CLOSE,
		      .via = PL_VIA_URING, .comm = "0123456789abcdef", .iface = "eth0"));

	(void)state;
	assert_true(r.has_socket && r.has_process && r.has_options);
	assert_int_equal(r.time_ns, 1);
	assert_int_equal(r.sk, 2);
	assert_int_equal(r.cookie, 3);
	assert_int_equal(r.inode, 4);
	assert_int_equal(r.tracked_ns, 5);
	assert_int_equal(r.start_ns, 6);
	assert_int_equal(r.exec_id, 7);
	assert_int_equal(r.cgroup_id, 8);
	assert_int_equal(r.pid, 9);
	assert_int_equal(r.tid, 10);
	assert_int_equal(r.ppid, 11);
	assert_int_equal(r.uid, 12);
	assert_int_equal(r.gid, 13);
	assert_int_equal(r.sock_uid, 14);
	assert_int_equal(r.netns, 15);
	assert_int_equal(r.ifindex, 16);
	assert_int_equal(r.port, 80);
	assert_int_equal(r.state, CLOSE);
	assert_int_equal(r.via, PL_VIA_URING);
	assert_memory_equal(r.comm, "0123456789abcdef", 16);
	assert_string_equal(r.iface, "eth0");
	assert_int_equal(r.since_precision, SINCE_UNKNOWN);
	assert_int_equal(r.seq, 0);
}

static void without_a_pid_there_is_no_process(void **state)
{
	(void)state;
	assert_false(record_of(EVENT(.kind = PL_SNAPSHOT)).has_process);
}

static void a_bind_that_worked_is_about_what_the_socket_has(void **state)
{
	struct record r = record_of(EVENT(.kind = PL_BIND, .flags = PL_ASKED, .asked_family = AF_INET,
					  .port = 80, .asked_port = 80, .addr = BYTES(127, 0, 0, 1),
					  .asked_addr = BYTES(127, 0, 0, 1)));

	(void)state;
	assert_int_equal(r.port, 80);
	assert_memory_equal(r.addr.bytes, "\x7f\0\0\1", 4);
	assert_false(r.has_asked_port);
	assert_int_equal(r.asked_addr.family, 0);
	assert_int_equal(r.bound_addr.family, 0);
}

static void what_was_asked_is_kept_where_it_differs(void **state)
{
	struct record port = record_of(EVENT(.kind = PL_BIND, .flags = PL_ASKED | PL_EPHEMERAL, .port = 40001,
					     .asked_family = AF_INET));
	struct record addr = record_of(EVENT(.kind = PL_BIND, .flags = PL_ASKED, .asked_family = AF_INET,
					     .port = 8080, .asked_port = 80, .addr = BYTES(10, 0, 0, 1),
					     .asked_addr = BYTES(127, 0, 0, 1)));

	(void)state;
	assert_true(port.has_asked_port && port.ephemeral);
	assert_int_equal(port.asked_port, 0);
	assert_int_equal(port.port, 40001);
	assert_int_equal(port.asked_addr.family, 0);
	assert_true(addr.has_asked_port);
	assert_int_equal(addr.asked_port, 80);
	assert_int_equal(addr.port, 8080);
	assert_int_equal(addr.asked_addr.family, AF_INET);
	assert_memory_equal(addr.asked_addr.bytes, "\x7f\0\0\1", 4);
	assert_memory_equal(addr.addr.bytes, "\x0a\0\0\1", 4);
}

static void an_ipv4_wildcard_asked_of_an_ipv6_socket_is_another_address(void **state)
{
	struct record r = record_of(EVENT6(.kind = PL_BIND, .flags = PL_ASKED, .asked_family = AF_INET,
					   .port = 80, .asked_port = 80));

	(void)state;
	assert_int_equal(r.addr.family, AF_INET6);
	assert_int_equal(r.asked_addr.family, AF_INET);
}

/* The kernel resets a failed socket: its own port is 0 by then. */
static void a_bind_that_failed_is_about_what_was_asked(void **state)
{
	struct record r = record_of(EVENT(.kind = PL_BIND, .flags = PL_ASKED, .error = EADDRINUSE,
					  .asked_family = AF_INET, .asked_port = 80,
					  .asked_addr = BYTES(127, 0, 0, 1)));

	(void)state;
	assert_int_equal(r.error, EADDRINUSE);
	assert_int_equal(r.port, 80);
	assert_int_equal(r.addr.family, AF_INET);
	assert_memory_equal(r.addr.bytes, "\x7f\0\0\1", 4);
	assert_false(r.has_asked_port);
	assert_int_equal(r.asked_addr.family, 0);
	assert_int_equal(r.bound_port, 0);
	assert_int_equal(r.bound_addr.family, 0);
}

static void a_bind_of_a_bound_socket_says_what_it_has_too(void **state)
{
	struct record r =
		record_of(EVENT(.kind = PL_BIND, .flags = PL_ASKED, .error = EINVAL, .asked_family = AF_INET,
				.asked_port = 81, .asked_addr = BYTES(127, 0, 0, 2), .port = 80,
				.addr = BYTES(127, 0, 0, 1)));

	(void)state;
	assert_int_equal(r.port, 81);
	assert_memory_equal(r.addr.bytes, "\x7f\0\0\2", 4);
	assert_int_equal(r.bound_port, 80);
	assert_int_equal(r.bound_addr.family, AF_INET);
	assert_memory_equal(r.bound_addr.bytes, "\x7f\0\0\1", 4);
}

static void a_failure_whose_request_nobody_read_is_about_the_socket(void **state)
{
	struct record r = record_of(EVENT(.kind = PL_BIND, .error = EINVAL, .asked_family = AF_INET,
					  .asked_port = 81, .port = 80));

	(void)state;
	assert_int_equal(r.port, 80);
	assert_int_equal(r.bound_port, 0);
	assert_false(r.has_asked_port);
}

static void only_a_bind_asks_for_an_address(void **state)
{
	struct record r = record_of(EVENT(.kind = PL_LISTEN, .flags = PL_ASKED, .error = EADDRINUSE,
					  .port = 80, .asked_family = AF_INET, .asked_port = 81));

	(void)state;
	assert_int_equal(r.port, 80);
	assert_false(r.has_asked_port);
	assert_int_equal(r.bound_port, 0);
}

static void an_ipv4_address_is_four_bytes_whatever_follows_them(void **state)
{
	static const uint8_t zeroes[12];
	struct record r = record_of(EVENT(.kind = PL_BIND, .flags = PL_ASKED, .asked_family = AF_INET,
					  .port = 80, .asked_port = 80, .addr = BYTES(127, 0, 0, 1, 9, 9, 9),
					  .asked_addr = BYTES(127, 0, 0, 1, 8, 8, 8)));

	(void)state;
	assert_memory_equal(r.addr.bytes + 4, zeroes, 12);
	assert_int_equal(r.asked_addr.family, 0);
}

static void a_family_that_nobody_knows_is_no_address(void **state)
{
	static const uint16_t families[] = { 0, 1, 17, 0x0102, 0x010a, UINT16_MAX };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		struct pl_event e = { .kind = PL_BIND,
				      .family = families[i],
				      .asked_family = families[i],
				      .flags = PL_ASKED,
				      .error = EAFNOSUPPORT,
				      .asked_port = 80,
				      .asked_addr = BYTES(1, 2, 3, 4) };
		struct record failed = record_of(&e);
		struct holder h = holder_of(HOLDER_OF(families[i], .addr = BYTES(1, 2, 3, 4)), PROTO_TCP);

		assert_int_equal(failed.family, 0);
		assert_int_equal(failed.addr.family, 0);
		assert_int_equal(failed.addr.bytes[0], 0);
		assert_int_equal(failed.port, 80);
		assert_int_equal(h.addr.family, 0);
		assert_int_equal(h.family, 0);
	}
}

static void only_a_listen_that_worked_has_a_backlog(void **state)
{
	struct record worked = record_of(EVENT(.kind = PL_LISTEN, .backlog = 128));
	struct record failed = record_of(EVENT(.kind = PL_LISTEN, .backlog = 128, .error = EADDRINUSE));
	struct record zero = record_of(EVENT(.kind = PL_LISTEN));

	(void)state;
	assert_true(worked.has_backlog);
	assert_int_equal(worked.backlog, 128);
	assert_false(failed.has_backlog);
	assert_true(zero.has_backlog);
	assert_false(record_of(EVENT(.kind = PL_BIND, .backlog = 128)).has_backlog);
}

static void the_protocol_is_tcp_udp_or_mptcp(void **state)
{
	(void)state;
	assert_int_equal(decode_proto(IPPROTO_TCP, 0), PROTO_TCP);
	assert_int_equal(decode_proto(IPPROTO_UDP, 0), PROTO_UDP);
	assert_int_equal(decode_proto(IPPROTO_TCP, PL_MPTCP), PROTO_MPTCP);
	assert_int_equal(record_of(EVENT(.kind = PL_BIND, .flags = PL_MPTCP)).proto, PROTO_MPTCP);
}

/* ---- options and flags ---- */

static void each_option_has_its_flag(void **state)
{
	static const uint8_t any[16];
	static const struct {
		uint32_t flag;
		uint32_t option;
	} pairs[] = {
		{ PL_REUSEADDR, OPT_REUSEADDR },
		{ PL_REUSEPORT, OPT_REUSEPORT },
		{ PL_FREEBIND, OPT_FREEBIND },
		{ PL_TRANSPARENT, OPT_TRANSPARENT },
		{ PL_NO_PORT, OPT_NO_PORT },
		{ PL_V6ONLY, OPT_V6ONLY },
		{ PL_KERNEL, 0 },
		{ PL_EXPLICIT, 0 },
	};
	uint32_t flags = 0, options = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		assert_int_equal(decode_options(pairs[i].flag, AF_INET6, any), pairs[i].option);
		flags |= pairs[i].flag;
		options |= pairs[i].option;
	}
	assert_int_equal(decode_options(flags, AF_INET6, any), options);
}

/* On any other address the kernel sets it by itself: it says nothing about what the user wanted. */
static void v6only_is_the_users_word_on_the_ipv6_wildcard_alone(void **state)
{
	static const uint8_t any[16], loopback[16] = { [15] = 1 }, first[16] = { 0xfe, 0x80 };

	(void)state;
	assert_int_equal(decode_options(PL_V6ONLY, AF_INET6, any), OPT_V6ONLY);
	assert_int_equal(decode_options(PL_V6ONLY, AF_INET6, loopback), 0);
	assert_int_equal(decode_options(PL_V6ONLY, AF_INET6, first), 0);
	assert_int_equal(decode_options(PL_V6ONLY, AF_INET, any), 0);
	assert_int_equal(record_of(EVENT6(.kind = PL_BIND, .flags = PL_V6ONLY)).options, OPT_V6ONLY);
	assert_int_equal(
		record_of(EVENT6(.kind = PL_BIND, .flags = PL_V6ONLY, .addr = BYTES([15] = 1))).options, 0);
	assert_int_equal(holder_of(HOLDER_OF(AF_INET6, .flags = PL_V6ONLY), PROTO_TCP).options, OPT_V6ONLY);
}

static void flags_of_the_socket_are_carried_over(void **state)
{
	struct record none = record_of(EVENT(.kind = PL_BIND));

	(void)state;
	assert_false(none.kernel || none.ephemeral || none.explicit_port || none.hook_addr);
	assert_true(record_of(EVENT(.kind = PL_BIND, .flags = PL_KERNEL)).kernel);
	assert_true(record_of(EVENT(.kind = PL_BIND, .flags = PL_EPHEMERAL)).ephemeral);
	assert_true(record_of(EVENT(.kind = PL_BIND, .flags = PL_EXPLICIT)).explicit_port);
	assert_true(record_of(EVENT(.kind = PL_BIND, .flags = PL_HOOK_ADDR)).hook_addr);
}

/* ---- releases ---- */

static void a_release_says_whether_the_port_is_free(void **state)
{
	(void)state;
	assert_int_equal(record_of(EVENT(.kind = PL_RELEASE)).free, FREE_NO);
	assert_int_equal(record_of(EVENT(.kind = PL_RELEASE, .flags = PL_FREE)).free, FREE_YES);
	assert_int_equal(record_of(EVENT(.kind = PL_RELEASE, .flags = PL_FREE_UNKNOWN)).free, FREE_UNKNOWN);
	assert_int_equal(record_of(EVENT(.kind = PL_RELEASE, .flags = PL_FREE_UNKNOWN | PL_FREE)).free,
			 FREE_UNKNOWN);
}

static void a_release_knows_since_when_exactly(void **state)
{
	struct record r = record_of(EVENT(.kind = PL_RELEASE, .since_ns = 100, .time_ns = 300));

	(void)state;
	assert_int_equal(r.since_ns, 100);
	assert_int_equal(r.since_precision, SINCE_EXACT);
	assert_int_equal(r.tracked_ns, 100);
}

static struct record released_by(uint32_t flags, uint32_t tid, uint32_t owner_pid)
{
	return record_of(EVENT(.kind = PL_RELEASE, .flags = flags, .pid = owner_pid, .tid = tid,
			       .owner_pid = owner_pid, .asked_family = AF_INET, .asked_addr = "closer"));
}

static void another_process_that_dropped_the_last_reference_is_told_beside_the_owner(void **state)
{
	struct record r = released_by(PL_PROCESS_CTX | PL_FREE, 43, 42);

	(void)state;
	assert_int_equal(r.pid, 42);
	assert_int_equal(r.closed_by_pid, 43);
	assert_string_equal(r.closed_by_comm, "closer");
	assert_int_equal(r.tid, 0);
	assert_int_equal(r.free, FREE_YES);
}

static void the_owner_or_nobody_that_dropped_it_is_not_told(void **state)
{
	struct record owner = released_by(PL_PROCESS_CTX, 42, 42);
	struct record nobody = released_by(PL_PROCESS_CTX, 0, 42);
	struct record softirq = released_by(0, 43, 42);

	(void)state;
	assert_int_equal(owner.closed_by_pid, 0);
	assert_int_equal(nobody.closed_by_pid, 0);
	assert_int_equal(softirq.closed_by_pid, 0);
	assert_int_equal(owner.closed_by_comm[0], 0);
	assert_int_equal(softirq.tid, 0);
	/* These bytes are a name here, no address that was asked for. */
	assert_int_equal(softirq.asked_addr.family, 0);
}

/* ---- holders ---- */

static void what_a_holder_is_follows_from_its_state_and_flags(void **state)
{
	static const struct {
		uint8_t state;
		uint32_t flags;
		enum proto proto;
		enum holder_kind kind;
	} rows[] = {
		{ LISTEN, 0, PROTO_TCP, HOLDER_LISTENER },
		{ LISTEN, PL_TRACKED | PL_LISTENED, PROTO_TCP, HOLDER_LISTENER },
		{ CLOSE, 0, PROTO_TCP, HOLDER_BOUND },
		{ CLOSE, PL_TRACKED | PL_EXPLICIT, PROTO_TCP, HOLDER_BOUND },
		{ CLOSE, PL_TRACKED | PL_LISTENED, PROTO_TCP, HOLDER_SHUTDOWN },
		{ TIME_WAIT, PL_LAST, PROTO_TCP, HOLDER_TIME_WAIT },
		{ TIME_WAIT, PL_KERNEL, PROTO_TCP, HOLDER_TIME_WAIT },
		{ ESTABLISHED, 0, PROTO_TCP, HOLDER_CLIENT },
		{ ESTABLISHED, PL_TRACKED, PROTO_TCP, HOLDER_CLIENT },
		{ ESTABLISHED, PL_LAST, PROTO_TCP, HOLDER_ACCEPTED },
		{ ESTABLISHED, PL_TRACKED | PL_LAST, PROTO_TCP, HOLDER_CLIENT },
		{ CLOSE_WAIT, PL_LAST, PROTO_TCP, HOLDER_ACCEPTED },
		{ LISTEN, PL_KERNEL, PROTO_TCP, HOLDER_KERNEL },
		{ CLOSE, PL_KERNEL, PROTO_UDP, HOLDER_KERNEL },
		{ CLOSE, 0, PROTO_UDP, HOLDER_LISTENER },
		{ ESTABLISHED, PL_EXPLICIT | PL_PEER, PROTO_UDP, HOLDER_LISTENER },
		{ ESTABLISHED, PL_PEER, PROTO_UDP, HOLDER_CLIENT },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct holder h =
			holder_of(HOLDER(.state = rows[i].state, .flags = rows[i].flags), rows[i].proto);

		if (h.kind != rows[i].kind)
			fail_msg("row %zu: kind %d, expected %d", i, h.kind, rows[i].kind);
		assert_int_equal(h.proto, rows[i].proto);
	}
}

static void the_holder_of_an_mptcp_port_may_be_plain_tcp_and_the_reverse(void **state)
{
	(void)state;
	assert_int_equal(holder_of(HOLDER(.state = LISTEN), PROTO_MPTCP).proto, PROTO_TCP);
	assert_int_equal(holder_of(HOLDER(.state = LISTEN, .flags = PL_MPTCP), PROTO_TCP).proto, PROTO_MPTCP);
	assert_int_equal(holder_of(HOLDER(.state = LISTEN, .flags = PL_MPTCP), PROTO_MPTCP).proto,
			 PROTO_MPTCP);
}

static void a_tracked_holder_names_its_process(void **state)
{
	struct holder h =
		holder_of(HOLDER(.state = LISTEN, .flags = PL_TRACKED | PL_TRIPPED | PL_REUSEADDR, .sk = 1,
				 .cookie = 2, .inode = 3, .since_ns = 4, .start_ns = 5, .pid = 6, .uid = 7,
				 .sock_uid = 8, .ifindex = 9, .comm = "nginx", .addr = BYTES(127, 0, 0, 1)),
			  PROTO_TCP);

	(void)state;
	assert_int_equal(h.sk, 1);
	assert_int_equal(h.cookie, 2);
	assert_int_equal(h.inode, 3);
	assert_int_equal(h.since_ns, 4);
	assert_int_equal(h.tracked_ns, 4);
	assert_int_equal(h.since_precision, SINCE_EXACT);
	assert_int_equal(h.start_ns, 5);
	assert_int_equal(h.pid, 6);
	assert_int_equal(h.uid, 7);
	assert_int_equal(h.sock_uid, 8);
	assert_int_equal(h.ifindex, 9);
	assert_int_equal(h.port, 80);
	assert_int_equal(h.options, OPT_REUSEADDR);
	assert_string_equal(h.comm, "nginx");
	assert_memory_equal(h.addr.bytes, "\x7f\0\0\1", 4);
	assert_true(h.tripped);
	assert_false(h.last_owner);
	assert_null(h.process);
}

static void the_last_owner_is_marked_as_one(void **state)
{
	struct holder h =
		holder_of(HOLDER(.state = TIME_WAIT, .flags = PL_LAST, .pid = 6, .since_ns = 4), PROTO_TCP);

	(void)state;
	assert_true(h.last_owner);
	assert_int_equal(h.pid, 6);
	assert_int_equal(h.since_ns, 4);
	assert_int_equal(h.tracked_ns, 0);
	assert_false(holder_of(HOLDER(.flags = PL_LAST | PL_TRACKED, .pid = 6), PROTO_TCP).last_owner);
}

static void a_holder_that_nobody_tracked_names_nobody(void **state)
{
	struct holder h = holder_of(
		HOLDER(.state = LISTEN, .pid = 6, .uid = 7, .since_ns = 4, .comm = "stale"), PROTO_TCP);

	(void)state;
	assert_int_equal(h.pid, 0);
	assert_int_equal(h.uid, 0);
	assert_int_equal(h.since_ns, 0);
	assert_int_equal(h.since_precision, SINCE_UNKNOWN);
	assert_int_equal(h.comm[0], 0);
	assert_false(h.last_owner);
}

static void the_key_of_a_process_has_all_three_parts(void **state)
{
	struct process_key key;

	(void)state;
	decode_key(EVENT(.pid = 1, .start_ns = 2, .exec_id = 3), &key);
	assert_int_equal(key.pid, 1);
	assert_int_equal(key.start_ns, 2);
	assert_int_equal(key.exec_id, 3);
}

/* ---- processes ---- */

static void process_done(struct process *p)
{
	process_dirty(p);
	free(p->exe);
	free(p->args);
	free(p->cgroup);
}

/* Allocated to its size, so that the sanitizers see a byte read past it. */
static struct pl_process *told_new(void)
{
	struct pl_process *told = calloc(1, sizeof(*told));

	assert_non_null(told);
	told->kind = PL_PROCESS;
	told->size = sizeof(*told);
	return told;
}

static void exe_set(struct pl_process *told, const char *parts, size_t len)
{
	assert_true(len <= sizeof(told->exe));
	memcpy(told->exe, parts, len);
	told->exe_len = (uint16_t)len;
}

#define EXE(told, parts) exe_set(told, parts, sizeof(parts)) /* with the literal's own NUL */

static void assert_exe(struct pl_process *told, const char *expected)
{
	struct process p = { 0 };

	assert_int_equal(decode_process(told, &p), 0);
	if (expected) {
		assert_non_null(p.exe);
		assert_string_equal(p.exe, expected);
	} else {
		assert_null(p.exe);
	}
	process_done(&p);
}

static void a_process_is_told_whole(void **state)
{
	auto_free struct pl_process *told = told_new();
	struct process p = { .key = { 42, 1, 1 } };

	(void)state;
	told->cgroup_id = 3;
	told->ppid = 4;
	told->uid = 5;
	told->gid = 6;
	memcpy(told->comm, "0123456789abcdef", 16);
	EXE(told, "bash\0bin\0usr");
	memcpy(told->args, "bash\0-c\0x\ny", 12);
	told->args_len = told->args_full = 12;
	memcpy(told->cgroup, "a.service\0system.slice", 23);
	told->cgroup_len = 23;
	assert_int_equal(decode_process(told, &p), 0);
	assert_int_equal(p.cgroup_id, 3);
	assert_int_equal(p.ppid, 4);
	assert_int_equal(p.uid, 5);
	assert_int_equal(p.gid, 6);
	assert_memory_equal(p.comm, "0123456789abcdef", 16);
	assert_string_equal(p.exe, "/usr/bin/bash");
	assert_string_equal(p.cgroup, "/system.slice/a.service");
	assert_int_equal(p.args_len, 12);
	assert_memory_equal(p.args, "bash\0-c\0x\ny", 12);
	assert_false(p.args_cut || p.exe_cut);
	process_done(&p);
}

static void components_become_a_path_from_the_root(void **state)
{
	auto_free struct pl_process *told = told_new();

	(void)state;
	EXE(told, "init");
	assert_exe(told, "/init");
	EXE(told, "a\0b\0c\0d\0e");
	assert_exe(told, "/e/d/c/b/a");
	EXE(told, "with space\nand newline\0\x1b[31m\0\xff");
	assert_exe(told, "/\xff/\x1b[31m/with space\nand newline");
}

static void components_that_make_no_sense_make_no_path(void **state)
{
	auto_free struct pl_process *told = told_new();

	(void)state;
	assert_exe(told, NULL); /* none */
	EXE(told, "");
	assert_exe(told, NULL); /* one without a name */
	exe_set(told, "bash\0bin", 8);
	assert_exe(told, NULL); /* the last one does not end */
	exe_set(told, "x", 1);
	assert_exe(told, NULL);
}

static void empty_components_are_kept_within_the_text(void **state)
{
	auto_free struct pl_process *told = told_new();

	(void)state;
	EXE(told, "a\0\0b");
	assert_exe(told, "/b//a");
	EXE(told, "\0a");
	assert_exe(told, "/a");
	EXE(told, "a\0");
	assert_exe(told, "//a");
}

static void lengths_past_the_end_give_no_text(void **state)
{
	static const uint16_t lengths[] = { sizeof(((struct pl_process *)0)->exe) + 1, 5000, UINT16_MAX };
	auto_free struct pl_process *told = told_new();

	(void)state;
	memset(told->exe, 'x', sizeof(told->exe));
	memset(told->cgroup, 'x', sizeof(told->cgroup));
	memset(told->args, 'x', sizeof(told->args));
	told->cgroup_id = 1;
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		struct process p = { 0 };

		told->exe_len = told->args_len = told->cgroup_len = lengths[i];
		assert_int_equal(decode_process(told, &p), 0);
		assert_null(p.exe);
		assert_null(p.args);
		assert_null(p.cgroup);
		assert_int_equal(p.args_len, 0);
		process_done(&p);
	}
}

static void texts_that_fill_their_room_are_taken_whole(void **state)
{
	auto_free struct pl_process *told = told_new();
	struct process p = { 0 };

	(void)state;
	memset(told->exe, 'e', sizeof(told->exe) - 1);
	memset(told->args, 'a', sizeof(told->args));
	for (size_t i = 0; i < sizeof(told->cgroup); i += 2)
		told->cgroup[i] = 'c';
	told->exe_len = sizeof(told->exe);
	told->args_len = sizeof(told->args);
	told->cgroup_len = sizeof(told->cgroup);
	assert_int_equal(decode_process(told, &p), 0);
	assert_int_equal(strlen(p.exe), sizeof(told->exe));
	assert_int_equal(strlen(p.cgroup), sizeof(told->cgroup));
	assert_int_equal(p.args_len, sizeof(told->args));
	process_done(&p);
}

static void what_was_cut_is_marked(void **state)
{
	auto_free struct pl_process *told = told_new();
	struct process p = { 0 };

	(void)state;
	EXE(told, "deep\0path");
	told->exe_cut = 1;
	memcpy(told->args, "abc", 3);
	told->args_len = 3;
	told->args_full = 4000;
	assert_int_equal(decode_process(told, &p), 0);
	assert_true(p.exe_cut);
	assert_true(p.args_cut);
	process_done(&p);
}

static void what_is_known_already_stays_with_its_marks(void **state)
{
	auto_free struct pl_process *told = told_new();
	struct process p = {
		.exe = strdup("/known"), .args = strdup("known"), .args_len = 6, .cgroup = strdup("/k")
	};

	(void)state;
	EXE(told, "deep\0path");
	told->exe_cut = 1;
	memcpy(told->args, "abc", 3);
	told->args_len = 3;
	told->args_full = 4000;
	memcpy(told->cgroup, "x", 2);
	told->cgroup_len = 2;
	assert_int_equal(decode_process(told, &p), 0);
	assert_string_equal(p.exe, "/known");
	assert_false(p.exe_cut);
	assert_string_equal(p.args, "known");
	assert_false(p.args_cut);
	assert_string_equal(p.cgroup, "/k");
	process_done(&p);
}

static void a_cut_mark_without_a_path_marks_nothing(void **state)
{
	auto_free struct pl_process *told = told_new();
	struct process p = { 0 };

	(void)state;
	told->exe_cut = 1;
	assert_int_equal(decode_process(told, &p), 0);
	assert_null(p.exe);
	assert_false(p.exe_cut);
	process_done(&p);
}

static void a_cgroup_without_components_is_the_root(void **state)
{
	auto_free struct pl_process *told = told_new();
	struct process root = { 0 }, unknown = { 0 };

	(void)state;
	assert_int_equal(decode_process(told, &unknown), 0);
	assert_null(unknown.cgroup);
	told->cgroup_id = 1;
	assert_int_equal(decode_process(told, &root), 0);
	assert_string_equal(root.cgroup, "/");
	process_done(&root);
}

/* ---- rows of an inventory ---- */

static const struct pl_row listener_row = {
	.kind = PL_ROW,
	.size = sizeof(struct pl_row),
	.flags = PL_REUSEADDR | PL_EXPLICIT,
	.sk = 0xffff888012345678,
	.inode = 4711,
	.pid = 53,
	.uid = 33,
	.start_ns = 99,
	.netns = 4026531840u,
	.port = 80,
	.proto = IPPROTO_TCP,
	.family = AF_INET,
	.state = LISTEN,
	.comm = "nginx",
};

static void a_row_of_another_size_or_kind_is_refused(void **state)
{
	struct pl_row row = listener_row;
	const struct pl_row *ret;

	(void)state;
	assert_int_equal(decode_row(&row, sizeof(row), &ret), 0);
	assert_ptr_equal(ret, &row);
	assert_int_equal(decode_row(&row, sizeof(row) - 1, &ret), DECODE_BAD);
	assert_int_equal(decode_row(&row, 0, &ret), DECODE_BAD);
	row.size = 4;
	assert_int_equal(decode_row(&row, sizeof(row), &ret), DECODE_BAD);
	row.size = sizeof(row);
	row.kind = PL_SNAPSHOT;
	assert_int_equal(decode_row(&row, sizeof(row), &ret), DECODE_BAD);
}

static void a_row_becomes_a_snapshot_of_its_socket(void **state)
{
	struct record rec;

	(void)state;
	memset(&rec, 0x5a, sizeof(rec));
	decode_row_record(&listener_row, &rec);
	assert_int_equal(rec.action, ACTION_SNAPSHOT);
	assert_int_equal(rec.kind, HOLDER_LISTENER);
	assert_int_equal(rec.port, 80);
	assert_int_equal(rec.inode, 4711);
	assert_int_equal(rec.options, OPT_REUSEADDR);
	assert_true(rec.has_process && rec.explicit_port && rec.has_options);
	assert_int_equal(rec.pid, 53);
	assert_string_equal(rec.comm, "nginx");
	assert_int_equal(rec.tid, 0);
	assert_int_equal(rec.expires_ns, 0);
}

static void the_kind_of_a_row_is_what_its_socket_is(void **state)
{
	static const struct {
		uint8_t state;
		uint16_t proto;
		uint32_t flags;
		enum holder_kind kind;
	} cases[] = {
		{ LISTEN, IPPROTO_TCP, 0, HOLDER_LISTENER },
		{ LISTEN, IPPROTO_TCP, PL_KERNEL, HOLDER_KERNEL },
		{ CLOSE, IPPROTO_TCP, PL_EXPLICIT, HOLDER_BOUND },
		{ CLOSE, IPPROTO_TCP, PL_LISTENED, HOLDER_SHUTDOWN },
		{ TIME_WAIT, IPPROTO_TCP, 0, HOLDER_TIME_WAIT },
		{ ESTABLISHED, IPPROTO_TCP, PL_EXPLICIT, HOLDER_CLIENT },
		{ ESTABLISHED, IPPROTO_TCP, PL_CONNECT, HOLDER_CLIENT },
		{ ESTABLISHED, IPPROTO_TCP, 0, HOLDER_ACCEPTED },
		{ CLOSE, IPPROTO_UDP, 0, HOLDER_LISTENER },
		{ ESTABLISHED, IPPROTO_UDP, PL_EXPLICIT | PL_PEER, HOLDER_LISTENER },
		{ ESTABLISHED, IPPROTO_UDP, PL_PEER, HOLDER_CLIENT },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct pl_row row = listener_row;
		struct record rec;

		row.state = cases[i].state;
		row.proto = cases[i].proto;
		row.flags = cases[i].flags;
		decode_row_record(&row, &rec);
		assert_int_equal(rec.kind, cases[i].kind);
	}
}

static void a_row_without_a_process_names_nobody(void **state)
{
	struct pl_row row = listener_row;
	struct record rec;

	(void)state;
	row.pid = 0;
	decode_row_record(&row, &rec);
	assert_false(rec.has_process);
	assert_int_equal(rec.uid, 0);
	assert_int_equal(rec.comm[0], 0);
}

static void the_bind_bucket_of_a_row_is_taken_where_there_is_one(void **state)
{
	struct pl_row row = listener_row;
	struct port_bucket bucket;

	(void)state;
	assert_false(decode_row_bucket(&row, &bucket));
	row.bucket = (struct pl_bucket){ .valid = 1,
					 .fastreuse = -1,
					 .fastreuseport = 2,
					 .fastuid = 1001,
					 .fast_family = AF_INET6,
					 .fast_ipv6_only = 1,
					 .fast_addr4 = { 127, 0, 0, 1 } };
	assert_true(decode_row_bucket(&row, &bucket));
	assert_int_equal(bucket.fastreuse, -1);
	assert_int_equal(bucket.fastreuseport, 2);
	assert_int_equal(bucket.fastuid, 1001);
	assert_int_equal(bucket.fast_sk_family, AF_INET6);
	assert_true(bucket.fast_ipv6_only);
	assert_int_equal(bucket.fast_rcv_saddr.bytes[0], 127);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_kind_of_its_size_is_a_record),
		cmocka_unit_test(only_binds_and_listens_come_with_holders),
		cmocka_unit_test(more_holders_than_there_is_room_for_are_refused),
		cmocka_unit_test(a_kind_that_nobody_knows_is_refused),
		cmocka_unit_test(every_other_length_is_refused),
		cmocka_unit_test(a_size_that_is_not_that_of_the_ring_is_refused),
		cmocka_unit_test(every_kind_has_its_action),
		cmocka_unit_test(who_and_what_are_carried_over),
		cmocka_unit_test(without_a_pid_there_is_no_process),
		cmocka_unit_test(a_bind_that_worked_is_about_what_the_socket_has),
		cmocka_unit_test(what_was_asked_is_kept_where_it_differs),
		cmocka_unit_test(an_ipv4_wildcard_asked_of_an_ipv6_socket_is_another_address),
		cmocka_unit_test(a_bind_that_failed_is_about_what_was_asked),
		cmocka_unit_test(a_bind_of_a_bound_socket_says_what_it_has_too),
		cmocka_unit_test(a_failure_whose_request_nobody_read_is_about_the_socket),
		cmocka_unit_test(only_a_bind_asks_for_an_address),
		cmocka_unit_test(an_ipv4_address_is_four_bytes_whatever_follows_them),
		cmocka_unit_test(a_family_that_nobody_knows_is_no_address),
		cmocka_unit_test(only_a_listen_that_worked_has_a_backlog),
		cmocka_unit_test(the_protocol_is_tcp_udp_or_mptcp),
		cmocka_unit_test(each_option_has_its_flag),
		cmocka_unit_test(v6only_is_the_users_word_on_the_ipv6_wildcard_alone),
		cmocka_unit_test(flags_of_the_socket_are_carried_over),
		cmocka_unit_test(a_release_says_whether_the_port_is_free),
		cmocka_unit_test(a_release_knows_since_when_exactly),
		cmocka_unit_test(another_process_that_dropped_the_last_reference_is_told_beside_the_owner),
		cmocka_unit_test(the_owner_or_nobody_that_dropped_it_is_not_told),
		cmocka_unit_test(what_a_holder_is_follows_from_its_state_and_flags),
		cmocka_unit_test(the_holder_of_an_mptcp_port_may_be_plain_tcp_and_the_reverse),
		cmocka_unit_test(a_tracked_holder_names_its_process),
		cmocka_unit_test(the_last_owner_is_marked_as_one),
		cmocka_unit_test(a_holder_that_nobody_tracked_names_nobody),
		cmocka_unit_test(a_row_of_another_size_or_kind_is_refused),
		cmocka_unit_test(a_row_becomes_a_snapshot_of_its_socket),
		cmocka_unit_test(the_kind_of_a_row_is_what_its_socket_is),
		cmocka_unit_test(a_row_without_a_process_names_nobody),
		cmocka_unit_test(the_bind_bucket_of_a_row_is_taken_where_there_is_one),
		cmocka_unit_test(the_key_of_a_process_has_all_three_parts),
		cmocka_unit_test(a_process_is_told_whole),
		cmocka_unit_test(components_become_a_path_from_the_root),
		cmocka_unit_test(components_that_make_no_sense_make_no_path),
		cmocka_unit_test(empty_components_are_kept_within_the_text),
		cmocka_unit_test(lengths_past_the_end_give_no_text),
		cmocka_unit_test(texts_that_fill_their_room_are_taken_whole),
		cmocka_unit_test(what_was_cut_is_marked),
		cmocka_unit_test(what_is_known_already_stays_with_its_marks),
		cmocka_unit_test(a_cut_mark_without_a_path_marks_nothing),
		cmocka_unit_test(a_cgroup_without_components_is_the_root),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
