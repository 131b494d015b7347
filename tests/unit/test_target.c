/* SPDX-License-Identifier: GPL-2.0-only */
/* A port as it is typed. */
#include "core/target.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#include "util/fail.h" /* before cmocka.h, which makes a macro of fail */

#include <cmocka.h>

#include "util/cleanup.h"

static void reads_as(const char *text, const char *meaning)
{
	char out[TARGET_TEXT_MAX];
	struct target t;

	if (target_parse(text, NULL, &t) != 0)
		fail_msg("'%s' is refused: %s", text, fail_story());
	assert_string_equal(target_text(&t, out), meaning);
}

static void a_port_may_have_an_address_and_a_protocol(void **state)
{
	(void)state;
	reads_as("8080", "tcp 8080");
	reads_as(":8080", "tcp 8080");
	reads_as("*:8080", "tcp 8080");
	reads_as("*:53/udp", "udp 53");
	reads_as("53/udp", "udp 53");
	reads_as("443/TCP", "tcp 443");
	reads_as("1", "tcp 1");
	reads_as("65535", "tcp 65535");
	reads_as("127.0.0.1:80", "tcp 127.0.0.1:80");
	reads_as("0.0.0.0:53/udp", "udp 0.0.0.0:53");
	reads_as("[::1]:80", "tcp [::1]:80");
	reads_as("[::]:53/udp", "udp [::]:53");
}

static void tcp_is_meant_unless_it_is_said(void **state)
{
	struct target t;

	(void)state;
	assert_int_equal(target_parse("80", NULL, &t), 0);
	assert_int_equal(t.proto, PROTO_TCP);
	assert_false(t.proto_said);
	assert_int_equal(target_parse("80/tcp", NULL, &t), 0);
	assert_true(t.proto_said);
}

static bool is_http(const char *name, enum proto proto, uint16_t *ret_port)
{
	*ret_port = 80;
	return !strcmp(name, "http") && proto == PROTO_TCP;
}

static void a_service_and_an_interface_are_known_by_name(void **state)
{
	struct target t;

	(void)state;
	assert_int_equal(target_parse("[fe80::1%eth0]:http", is_http, &t), 0);
	assert_int_equal(t.port, 80);
	assert_string_equal(t.iface, "eth0");
	assert_int_equal(target_parse("http/udp", is_http, &t), -EINVAL);
	assert_int_equal(target_parse("http", NULL, &t), -EINVAL);
	assert_int_equal(target_parse("80/mptcp", NULL, &t), 0);
	assert_int_equal(t.proto, PROTO_MPTCP);
}

static void what_is_no_port_is_refused_by_name(void **state)
{
	static const struct {
		const char *text, *story;
	} rows[] = {
		{ "", "'' is no port: it takes 8080, 53/udp, 127.0.0.1:80 or [::1]:80" },
		{ "x", "'x' is no port: it takes 8080, 53/udp, 127.0.0.1:80 or [::1]:80" },
		{ "-1", "'-1' is no port: it takes 8080, 53/udp, 127.0.0.1:80 or [::1]:80" },
		{ "80 ", "'80 ' is no port: it takes 8080, 53/udp, 127.0.0.1:80 or [::1]:80" },
		{ "0", "'0' is no port: 0 means any free port, which nobody can hold" },
		{ "65536", "'65536' is no port: ports end at 65535" },
		{ "80/sctp", "'80/sctp' is no port: after the slash goes tcp, udp or mptcp" },
		{ "80/", "'80/' is no port: after the slash goes tcp, udp or mptcp" },
		{ "/udp", "'/udp' is no port: it takes 8080, 53/udp, 127.0.0.1:80 or [::1]:80" },
		{ "localhost:80", "'localhost:80' is no port: what stands before the port is no address" },
		{ "1.2.3:80", "'1.2.3:80' is no port: what stands before the port is no address" },
		{ "1.2.3.4:", "'1.2.3.4:' is no port: it takes 8080, 53/udp, 127.0.0.1:80 or [::1]:80" },
		{ "::1:80", "'::1:80' is no port: an IPv6 address goes in brackets" },
		{ "[::1]", "'[::1]' is no port: a port goes behind the brackets" },
		{ "[::1", "'[::1' is no port: a port goes behind the brackets" },
		{ "[1.2.3.4]:80", "'[1.2.3.4]:80' is no port: only IPv6 addresses have brackets" },
		{ "[fe80::1%]:80", "'[fe80::1%]:80' is no port: what stands after the % is no interface" },
		{ "[fe80::1%abcdefghijklmnop]:80",
		  "'[fe80::1%abcdefghijklmnop]:80' is no port: what stands after the % is no interface" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct target t = { .port = 7 };

		assert_int_equal(target_parse(rows[i].text, NULL, &t), -EINVAL);
		assert_string_equal(fail_story(), rows[i].story);
		assert_int_equal(t.port, 7);
	}
}

static void a_long_word_is_cut_in_the_story(void **state)
{
	char text[4096];
	struct target t;

	(void)state;
	memset(text, '1', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(target_parse(text, NULL, &t), -EINVAL);
	assert_true(strlen(fail_story()) < 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_port_may_have_an_address_and_a_protocol),
		cmocka_unit_test(tcp_is_meant_unless_it_is_said),
		cmocka_unit_test(a_service_and_an_interface_are_known_by_name),
		cmocka_unit_test(what_is_no_port_is_refused_by_name),
		cmocka_unit_test(a_long_word_is_cut_in_the_story),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
