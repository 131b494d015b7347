/* SPDX-License-Identifier: GPL-2.0-only */
/* The verdict of a bind and a listen, rule by rule. tests/live/verdict.c compares it with the kernel itself. */
#include "core/verdict.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "util/cleanup.h"

#define REUSE OPT_REUSEADDR
#define SHARE OPT_REUSEPORT
#define ONLY6 OPT_V6ONLY
#define BOUND TCP_CLOSE
#define HIDDEN 0x80000000u /* the options of this socket are not known */

static struct address address_of(const char *text)
{
	struct address a = { .family = strchr(text, ':') ? AF_INET6 : AF_INET };

	assert_int_equal(inet_pton(a.family, text, a.bytes), 1);
	return a;
}

struct side {
	const char *addr; /* NULL: nobody */
	uint32_t options;
	uint8_t state;
	uint32_t uid;
	uint32_t ifindex;
};

static struct asker asker_at(enum proto proto, const struct side *s)
{
	struct asker a = { .proto = proto, .port = 8080, .options = s->options, .uid = s->uid };

	a.addr = address_of(s->addr);
	a.family = a.addr.family;
	a.ifindex = s->ifindex;
	return a;
}

static struct holder holder_at(enum proto proto, const struct side *s)
{
	struct holder h = { .proto = proto, .port = 8080, .state = s->state, .sock_uid = s->uid };

	h.addr = address_of(s->addr);
	h.family = h.addr.family;
	h.options = s->options & ~HIDDEN;
	h.has_options = !(s->options & HIDDEN);
	h.v6only = s->options & ONLY6;
	h.ifindex = s->ifindex;
	return h;
}

/* A bucket as two sockets of these options would have left it, for those who look at it in earnest. */
static const struct port_bucket nothing_remembered = { .fastreuse = 0 };
static const struct verdict_facts plain = { .bucket = &nothing_remembered,
					    .unprivileged_port_start = 1024,
					    .locality = LOCALITY_HERE };

static const struct {
	const char *fact;
	enum proto proto;
	struct side asked;
	struct side held[2];
	enum answer bind, listen;
	enum missing missing;
} rules[] = {
	/* clang-format off */
	{ "an empty port is free", PROTO_TCP, { "0.0.0.0" }, { { 0 } }, ANSWER_YES, ANSWER_YES, 0 },
	{ "a listener keeps others off", PROTO_TCP, { "0.0.0.0", REUSE }, { { "0.0.0.0", REUSE, TCP_LISTEN } }, ANSWER_NO, ANSWER_NO, 0 },
	{ "reuse on both sides lets two bind", PROTO_TCP, { "0.0.0.0", REUSE }, { { "0.0.0.0", REUSE, BOUND } }, ANSWER_YES, ANSWER_YES, 0 },
	{ "reuse on one side does not", PROTO_TCP, { "0.0.0.0", REUSE }, { { "0.0.0.0", 0, BOUND } }, ANSWER_NO, ANSWER_NO, 0 },
	{ "without root the options of a bound socket decide", PROTO_TCP, { "0.0.0.0", REUSE }, { { "0.0.0.0", HIDDEN, BOUND } }, ANSWER_UNKNOWN, ANSWER_UNKNOWN, MISSING_OPTIONS },
	{ "without root a plain bind still fails", PROTO_TCP, { "0.0.0.0" }, { { "0.0.0.0", HIDDEN, BOUND } }, ANSWER_NO, ANSWER_NO, 0 },
	{ "TIME_WAIT of another uid shares a group", PROTO_TCP, { "0.0.0.0", SHARE, 0, 7 }, { { "0.0.0.0", SHARE, TCP_TIME_WAIT, 9 } }, ANSWER_YES, ANSWER_YES, 0 },
	{ "a group is of one uid", PROTO_TCP, { "0.0.0.0", SHARE, 0, 7 }, { { "0.0.0.0", SHARE, TCP_LISTEN, 9 } }, ANSWER_NO, ANSWER_NO, 0 },
	{ "a group of one uid is shared", PROTO_TCP, { "0.0.0.0", SHARE, 0, 7 }, { { "0.0.0.0", SHARE, TCP_LISTEN, 7 } }, ANSWER_YES, ANSWER_YES, 0 },
	{ "[::] covers IPv4", PROTO_TCP, { "127.0.0.1" }, { { "::", 0, TCP_LISTEN } }, ANSWER_NO, ANSWER_NO, 0 },
	{ "[::] with V6ONLY does not", PROTO_TCP, { "127.0.0.1" }, { { "::", ONLY6, TCP_LISTEN } }, ANSWER_YES, ANSWER_YES, 0 },
	{ "a new [::] meets IPv4", PROTO_TCP, { "::" }, { { "127.0.0.1", 0, TCP_LISTEN } }, ANSWER_NO, ANSWER_NO, 0 },
	{ "a new [::] with V6ONLY does not", PROTO_TCP, { "::", ONLY6 }, { { "127.0.0.1", 0, TCP_LISTEN } }, ANSWER_YES, ANSWER_YES, 0 },
	{ "a mapped address is IPv4", PROTO_TCP, { "::ffff:127.0.0.1" }, { { "127.0.0.1", 0, TCP_LISTEN } }, ANSWER_NO, ANSWER_NO, 0 },
	{ "a mapped wildcard is the IPv4 wildcard", PROTO_TCP, { "127.0.0.1" }, { { "::ffff:0.0.0.0", 0, TCP_LISTEN } }, ANSWER_NO, ANSWER_NO, 0 },
	{ "::1 leaves IPv4 alone", PROTO_TCP, { "0.0.0.0" }, { { "::1", ONLY6, TCP_LISTEN } }, ANSWER_YES, ANSWER_YES, 0 },
	{ "a connection at ::1 is in the way of 0.0.0.0", PROTO_TCP, { "0.0.0.0" }, { { "::1", 0, TCP_ESTABLISHED } }, ANSWER_NO, ANSWER_NO, 0 },
	{ "but not of another IPv4 address", PROTO_TCP, { "127.0.0.1" }, { { "::1", 0, TCP_ESTABLISHED } }, ANSWER_YES, ANSWER_YES, 0 },
	{ "two devices are two places", PROTO_TCP, { "0.0.0.0", 0, 0, 0, 3 }, { { "0.0.0.0", 0, TCP_LISTEN, 0, 4 } }, ANSWER_YES, ANSWER_YES, 0 },
	{ "a request socket holds nothing", PROTO_TCP, { "0.0.0.0" }, { { "0.0.0.0", 0, 12 } }, ANSWER_YES, ANSWER_YES, 0 },
	{ "UDP does not see TCP", PROTO_UDP, { "0.0.0.0" }, { { 0 } }, ANSWER_YES, ANSWER_YES, 0 },
	{ "UDP sockets with reuse share", PROTO_UDP, { "0.0.0.0", REUSE }, { { "0.0.0.0", REUSE, BOUND } }, ANSWER_YES, ANSWER_YES, 0 },
	{ "a UDP group of one uid is shared", PROTO_UDP, { "0.0.0.0", SHARE, 0, 7 }, { { "0.0.0.0", SHARE, BOUND, 7 } }, ANSWER_YES, ANSWER_YES, 0 },
	{ "a UDP group beside a stranger: the order decides", PROTO_UDP, { "0.0.0.0", SHARE, 0, 7 }, { { "127.0.0.1", SHARE, BOUND, 7 }, { "127.0.0.2", 0, BOUND, 9 } }, ANSWER_UNKNOWN, ANSWER_UNKNOWN, MISSING_ORDER },
	/* clang-format on */
};

static void each_rule_gives_its_verdict(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		struct asker a = asker_at(rules[i].proto, &rules[i].asked);
		struct holder held[2];
		struct verdict v;
		size_t n = 0;

		while (n < 2 && rules[i].held[n].addr) {
			held[n] = holder_at(rules[i].proto, &rules[i].held[n]);
			n++;
		}
		for (int bhash2 = 0; bhash2 < 2; bhash2++) {
			for (size_t k = 0; k < n; k++)
				held[k].bhash2 = bhash2;
			verdict(&a, &plain, held, n, &v);
			if (v.bind != rules[i].bind || v.listen != rules[i].listen ||
			    v.missing != rules[i].missing)
				fail_msg("%s (bhash2 %d): bind %d, listen %d, missing %d", rules[i].fact,
					 bhash2, v.bind, v.listen, v.missing);
			assert_int_equal(v.bind_error, v.bind == ANSWER_NO ? EADDRINUSE : 0);
		}
	}
}

static void a_flag_cleared_after_bind_still_admits_by_the_bucket(void **state)
{
	struct port_bucket b = { .fastreuseport = 1, .fastuid = 7 };
	struct verdict_facts facts = plain;
	struct asker a = asker_at(PROTO_TCP, &(struct side){ "0.0.0.0", SHARE, 0, 7 });
	struct holder h = holder_at(PROTO_TCP, &(struct side){ "0.0.0.0", 0, BOUND, 7 });
	struct verdict v;

	(void)state;
	facts.bucket = &b;
	verdict(&a, &facts, &h, 1, &v);
	assert_int_equal(v.bind, ANSWER_YES);
	assert_int_equal(v.listen, ANSWER_YES);

	a.uid = 8;
	verdict(&a, &facts, &h, 1, &v);
	assert_int_equal(v.bind, ANSWER_NO);

	facts.bucket = NULL;
	a.uid = 7;
	verdict(&a, &facts, &h, 1, &v);
	assert_int_equal(v.bind, ANSWER_UNKNOWN);
	assert_int_equal(v.missing, MISSING_BUCKET);
}

static void without_the_bucket_a_listener_keeps_reuse_off(void **state)
{
	struct verdict_facts facts = plain;
	struct asker a = asker_at(PROTO_TCP, &(struct side){ "0.0.0.0", REUSE });
	struct holder h = holder_at(PROTO_TCP, &(struct side){ "0.0.0.0", HIDDEN, TCP_LISTEN });
	struct verdict v;

	(void)state;
	facts.bucket = NULL;
	verdict(&a, &facts, &h, 1, &v);
	assert_int_equal(v.bind, ANSWER_NO);
}

static void a_strict_bucket_admits_at_its_address_alone(void **state)
{
	struct port_bucket b = { .fastreuseport = 2, .fastuid = 7, .fast_sk_family = AF_INET };
	struct verdict_facts facts = plain;
	struct asker a = asker_at(PROTO_TCP, &(struct side){ "127.0.0.1", SHARE, 0, 7 });
	struct holder h = holder_at(PROTO_TCP, &(struct side){ "0.0.0.0", 0, BOUND, 7 });
	struct verdict v;

	(void)state;
	facts.bucket = &b;
	b.fast_rcv_saddr = address_of("127.0.0.2");
	verdict(&a, &facts, &h, 1, &v);
	assert_int_equal(v.bind, ANSWER_NO);
	b.fast_rcv_saddr = address_of("127.0.0.1");
	verdict(&a, &facts, &h, 1, &v);
	assert_int_equal(v.bind, ANSWER_YES);
}

static void bind_may_work_and_listen_fail(void **state)
{
	struct port_bucket b = { .fastreuse = 1 };
	struct verdict_facts facts = plain;
	struct asker a = asker_at(PROTO_TCP, &(struct side){ "0.0.0.0", REUSE });
	struct holder h = holder_at(PROTO_TCP, &(struct side){ "0.0.0.0", 0, BOUND });
	struct verdict v;

	(void)state;
	facts.bucket = &b;
	verdict(&a, &facts, &h, 1, &v);
	assert_int_equal(v.bind, ANSWER_YES);
	assert_int_equal(v.listen, ANSWER_NO);
	assert_int_equal(v.listen_error, EADDRINUSE);
	assert_int_equal(v.n_in_way, 1);
}

static void of_two_that_share_by_reuse_the_second_listen_fails(void **state)
{
	struct asker a = asker_at(PROTO_TCP, &(struct side){ "0.0.0.0", REUSE });
	struct holder h = holder_at(PROTO_TCP, &(struct side){ "127.0.0.1", REUSE, BOUND });
	struct verdict v;

	(void)state;
	verdict(&a, &plain, &h, 1, &v);
	assert_int_equal(v.bind, ANSWER_YES);
	assert_true(v.race);
	h.state = TCP_TIME_WAIT;
	verdict(&a, &plain, &h, 1, &v);
	assert_false(v.race);
}

static int early(const char *addr, uint16_t port, uint32_t options, enum locality locality, bool capable)
{
	struct verdict_facts facts = plain;
	struct asker a = asker_at(PROTO_TCP, &(struct side){ addr, options });
	struct verdict v;

	a.port = port;
	a.capable = capable;
	facts.locality = locality;
	verdict(&a, &facts, NULL, 0, &v);
	return v.bind_error;
}

static void what_comes_before_the_port_is_asked_in_the_kernels_order(void **state)
{
	(void)state;
	assert_int_equal(early("0.0.0.0", 80, 0, LOCALITY_HERE, false), EACCES);
	assert_int_equal(early("0.0.0.0", 80, 0, LOCALITY_HERE, true), 0);
	assert_int_equal(early("0.0.0.0", 1024, 0, LOCALITY_HERE, false), 0);
	assert_int_equal(early("192.0.2.1", 80, 0, LOCALITY_ABSENT, false), EADDRNOTAVAIL);
	assert_int_equal(early("2001:db8::1", 80, 0, LOCALITY_ABSENT, false), EACCES);
	assert_int_equal(early("2001:db8::1", 80, 0, LOCALITY_ABSENT, true), EADDRNOTAVAIL);
	assert_int_equal(early("2001:db8::1", 80, 0, LOCALITY_TENTATIVE, true), EADDRNOTAVAIL);
	assert_int_equal(early("2001:db8::1", 80, OPT_FREEBIND, LOCALITY_ABSENT, true), 0);
	assert_int_equal(early("fe80::1", 80, 0, LOCALITY_NEEDS_SCOPE, true), EINVAL);
	assert_int_equal(early("::ffff:127.0.0.1", 8080, ONLY6, LOCALITY_HERE, true), EINVAL);
	assert_int_equal(early("ff02::1", 8080, 0, LOCALITY_HERE, true), EINVAL);
}

static void what_is_not_known_of_the_place_never_decides(void **state)
{
	struct verdict_facts facts = plain;
	struct asker a = asker_at(PROTO_TCP, &(struct side){ "192.0.2.1" });
	struct holder h = holder_at(PROTO_TCP, &(struct side){ "0.0.0.0", 0, TCP_LISTEN });
	struct verdict v;

	(void)state;
	facts.locality = LOCALITY_UNKNOWN;
	verdict(&a, &facts, &h, 0, &v);
	assert_int_equal(v.bind, ANSWER_UNKNOWN);
	assert_int_equal(v.missing, MISSING_ADDRESS);
	verdict(&a, &facts, &h, 1, &v);
	assert_int_equal(v.bind, ANSWER_NO);

	facts = plain;
	facts.cut = true;
	verdict(&a, &facts, &h, 0, &v);
	assert_int_equal(v.missing, MISSING_SOCKETS);
}

static void those_in_the_way_come_first(void **state)
{
	struct asker a = asker_at(PROTO_TCP, &(struct side){ "127.0.0.1" });
	struct holder h[] = {
		holder_at(PROTO_TCP, &(struct side){ "127.0.0.2", 0, TCP_LISTEN }),
		holder_at(PROTO_UDP, &(struct side){ "127.0.0.1", 0, BOUND }),
		holder_at(PROTO_TCP, &(struct side){ "127.0.0.1", 0, TCP_LISTEN }),
	};
	struct verdict v;

	(void)state;
	h[2].pid = 5;
	verdict(&a, &plain, h, ARRAY_SIZE(h), &v);
	assert_int_equal(v.n_in_way, 1);
	assert_int_equal(h[0].pid, 5);
}

static void a_crowded_udp_slot_is_not_judged(void **state)
{
	struct asker a = asker_at(PROTO_UDP, &(struct side){ "0.0.0.0" });
	struct holder h[11];
	struct verdict v;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(h); i++)
		h[i] = holder_at(PROTO_UDP, &(struct side){ "127.0.0.1", REUSE, BOUND });
	verdict(&a, &plain, h, 10, &v);
	assert_int_equal(v.bind, ANSWER_NO);
	verdict(&a, &plain, h, 11, &v);
	assert_int_equal(v.missing, MISSING_SLOT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_rule_gives_its_verdict),
		cmocka_unit_test(a_flag_cleared_after_bind_still_admits_by_the_bucket),
		cmocka_unit_test(without_the_bucket_a_listener_keeps_reuse_off),
		cmocka_unit_test(a_strict_bucket_admits_at_its_address_alone),
		cmocka_unit_test(bind_may_work_and_listen_fail),
		cmocka_unit_test(of_two_that_share_by_reuse_the_second_listen_fails),
		cmocka_unit_test(what_comes_before_the_port_is_asked_in_the_kernels_order),
		cmocka_unit_test(what_is_not_known_of_the_place_never_decides),
		cmocka_unit_test(those_in_the_way_come_first),
		cmocka_unit_test(a_crowded_udp_slot_is_not_judged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
