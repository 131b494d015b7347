/* SPDX-License-Identifier: GPL-2.0-only */
/* What meets a target of wait, and what of it the kernel is told. */
#include "pipeline/await.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "util/cleanup.h"

static struct address address(const char *text)
{
	struct address a = { .family = strchr(text, ':') ? AF_INET6 : AF_INET };

	assert_int_equal(inet_pton(a.family, text, a.bytes), 1);
	return a;
}

static bool served(const char *target, const char *held, bool v6only)
{
	struct address addr = address(held);
	struct target t;

	assert_int_equal(target_parse(target, NULL, &t), 0);
	return target_served_by(&t, &addr, v6only);
}

static void without_an_address_any_listener_will_do(void **state)
{
	(void)state;
	assert_true(served("80", "0.0.0.0", false));
	assert_true(served("80", "127.0.0.1", false));
	assert_true(served("80", "::", true));
	assert_true(served("80", "::1", true));
}

static void an_address_is_served_by_itself_and_by_its_wildcards(void **state)
{
	static const struct {
		const char *target, *held;
		bool v6only, want;
	} rows[] = {
		{ "127.0.0.1:80", "127.0.0.1", false, true },
		{ "127.0.0.1:80", "127.0.0.2", false, false },
		{ "127.0.0.1:80", "0.0.0.0", false, true },
		{ "127.0.0.1:80", "::", false, true },
		{ "127.0.0.1:80", "::", true, false },
		{ "127.0.0.1:80", "::ffff:127.0.0.1", false, true },
		{ "127.0.0.1:80", "::ffff:127.0.0.2", false, false },
		{ "127.0.0.1:80", "::ffff:0.0.0.0", false, true },
		{ "127.0.0.1:80", "::1", false, false },
		{ "[::1]:80", "::1", true, true },
		{ "[::1]:80", "::", true, true },
		{ "[::1]:80", "0.0.0.0", false, false },
		{ "[::1]:80", "::2", false, false },
		{ "[::ffff:127.0.0.1]:80", "127.0.0.1", false, true },
		{ "[::ffff:127.0.0.1]:80", "0.0.0.0", false, true },
		{ "0.0.0.0:80", "0.0.0.0", false, true },
		{ "0.0.0.0:80", "::", false, true },
		{ "0.0.0.0:80", "::", true, false },
		{ "0.0.0.0:80", "127.0.0.1", false, false },
		{ "[::]:80", "::", true, true },
		{ "[::]:80", "0.0.0.0", false, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (served(rows[i].target, rows[i].held, rows[i].v6only) != rows[i].want)
			fail_msg("%s by %s%s", rows[i].target, rows[i].held,
				 rows[i].v6only ? " (v6only)" : "");
}

static void the_kernel_is_told_the_ports_and_the_namespace(void **state)
{
	static const struct target targets[] = { { .proto = PROTO_TCP, .port = 80 },
						 { .proto = PROTO_UDP, .port = 65535 } };
	const struct await_config c = { .targets = targets, .n = 2 };
	struct filter_kernel k;
	unsigned n = 0;

	(void)state;
	await_filter(&c, "4026531840", &k);
	for (unsigned port = 0; port < 65536; port++)
		n += !!(k.ports[port / 8] & 1u << port % 8);
	assert_true(k.ports_valid && k.netns_valid);
	assert_int_equal(n, 2);
	assert_true(k.ports[80 / 8] & 1u << 80 % 8);
	assert_true(k.ports[65535 / 8] & 1u << 65535 % 8);
	assert_int_equal(k.n_netns, 1);
	assert_string_equal(k.netns[0], "4026531840");
	assert_false(k.failed_only || k.pid_valid);
}

static void only_a_lone_socket_with_its_inode_is_told_by_an_event(void **state)
{
	const struct await_found told = { .met = true, .n = 1, .inode = 7, .record.inode = 7 };
	struct await_found f = told;

	(void)state;
	assert_true(await_told(&f));
	f.record.inode = 8; /* it was another's */
	assert_false(await_told(&f));
	f = told;
	f.n = 2;
	assert_false(await_told(&f));
	f = told;
	f.inode = f.record.inode = 0; /* no event came, and the kernel tells no inode */
	assert_false(await_told(&f));
	f = told;
	f.met = false;
	assert_false(await_told(&f));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_an_address_any_listener_will_do),
		cmocka_unit_test(an_address_is_served_by_itself_and_by_its_wildcards),
		cmocka_unit_test(the_kernel_is_told_the_ports_and_the_namespace),
		cmocka_unit_test(only_a_lone_socket_with_its_inode_is_told_by_an_event),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
