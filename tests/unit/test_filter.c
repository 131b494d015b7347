/* SPDX-License-Identifier: GPL-2.0-only */
/* The filter language: what it says yes to, what is said about a wrong one, and that the kernel's part is never stronger. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/field.h"
#include "core/filter.h"
#include "support/views.h"
#include "util/cleanup.h"

static bool matches(const char *text, const struct view *v)
{
	struct filter_error error;
	struct filter *f = NULL;
	bool yes;

	if (filter_parse(text, &f, &error) < 0)
		fail_msg("'%s': %s; %s", text, error.message, error.suggestion);
	yes = filter_match(f, v);
	filter_free(f);
	return yes;
}

static int teardown(void **state)
{
	(void)state;
	views_free();
	return 0;
}

/* ---- matching ---- */

struct expectation {
	const char *text;
	bool yes;
};

static void check(const struct view *v, const struct expectation *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (matches(rows[i].text, v) != rows[i].yes)
			fail_msg("'%s' should%s match", rows[i].text, rows[i].yes ? "" : " not");
	}
}

#define CHECK(view, ...)                                                   \
	do {                                                               \
		static const struct expectation rows_[] = { __VA_ARGS__ }; \
		check(view, rows_, ARRAY_SIZE(rows_));                     \
	} while (0)

static void an_empty_filter_matches_everything(void **state)
{
	(void)state;
	CHECK(listen_ok(.port = 80), { "", true }, { "  \t", true });
	assert_true(filter_match(NULL, listen_ok(.port = 80)));
	assert_true(filter_is_empty(NULL));
}

static void a_port_is_one_of_ranges_and_numbers(void **state)
{
	(void)state;
	CHECK(listen_ok(.port = 8050), { "port 8050", true }, { "port 8051", false },
	      { "port 8000-8099,443", true }, { "port 443,8000-8099", true }, { "port 443, 8050", true },
	      { "port 1-8049,8051-65535", false }, { "8050", true }, { ":8050", true },
	      { "8000-8099,443", true }, { ":8051-9000", false }, { "port = 8050", true },
	      { "port != 8050", false }, { "port>=8050", true }, { "port > 8050", false },
	      { "port < 8051", true }, { "port le 8050", true }, { "port gt 8050", false },
	      { "PORT 8050", true });
}

static void a_port_is_the_asked_or_the_held_one(void **state)
{
	const struct view *v = bind_ok(.port = 40000, .asked_port = 80);

	(void)state;
	CHECK(v, { "port 80", true }, { "port 40000", true }, { "port 80 and port 40000", true },
	      { "port 81", false }, { "port 0", false });
	CHECK(bind_ok(.port = 40000, .has_asked_port = true), { "port 0", true }, { "port 40000", true });
	CHECK(bind_ok(.port = 40000), { "port 0", false });
}

static void mptcp_is_a_protocol_of_its_own(void **state)
{
	(void)state;
	CHECK(listen_ok(.proto = PROTO_MPTCP), { "proto tcp", false }, { "proto mptcp", true },
	      { "proto tcp,mptcp", true }, { "proto TCP,MPTCP", true }, { "proto != udp", true });
	CHECK(listen_ok(.proto = PROTO_TCP), { "proto tcp", true }, { "proto mptcp", false },
	      { "proto udp", false });
}

static void an_address_is_compared_by_its_prefix(void **state)
{
	(void)state;
	CHECK(listen_ok(.addr = "10.1.2.3", .port = 80), { "addr 10.0.0.0/8", true },
	      { "addr 10.1.2.3", true }, { "addr 10.1.2.2/31", true }, { "addr 10.1.2.4/31", false },
	      { "addr 0.0.0.0/0", true }, { "addr 0.0.0.0", false }, { "addr ::/0", false },
	      { "10.1.2.3:80", true }, { "10.1.2.3:81", false }, { "10.0.0.0/8:80-90", true },
	      { "10.1.2.4:80", false }, { "addr 192.168.0.0/16, 10.0.0.0/8", true });
	CHECK(listen_ok(.addr = "::1", .port = 80), { "[::1]:80", true }, { "[::]:80", false },
	      { "addr ::1", true }, { "addr [::1]", true }, { "addr ::/0", true }, { "family ipv6", true },
	      { "family ipv4", false });
	CHECK(listen_ok(.addr = "0.0.0.0", .port = 80), { "0.0.0.0:80", true }, { "addr 0.0.0.0", true },
	      { "*:80", true }, { "*:81", false }, { "*:70-90", true }, { "0.0.0.0:*", true },
	      { "[::]:*", false }, { "not *:80", false }, { "0.0.0.0:* and *:80", true });
}

static void an_ipv4_prefix_holds_mapped_addresses(void **state)
{
	(void)state;
	CHECK(listen_ok(.addr = "::ffff:10.1.2.3"), { "addr 10.0.0.0/8", true }, { "addr 11.0.0.0/8", false },
	      { "addr 0.0.0.0/0", true });
	CHECK(listen_ok(.addr = "::a01:203"), { "addr 10.0.0.0/8", false });
}

static void an_address_asked_for_counts_too(void **state)
{
	(void)state;
	CHECK(bind_ok(.addr = "0.0.0.0", .asked_addr = "10.1.2.3"), { "addr 10.1.2.3", true },
	      { "addr 0.0.0.0", true }, { "addr 10.1.2.4", false });
}

static void failures_are_told_apart_by_errno(void **state)
{
	(void)state;
	CHECK(bind_failed(.error = EADDRINUSE), { "failed", true }, { "not failed", false },
	      { "!failed", false }, { "errno EADDRINUSE", true }, { "errno eaddrinuse", true },
	      { "errno 98", true }, { "errno EACCES,EADDRINUSE", true }, { "errno EACCES", false },
	      { "errno != EACCES", true }, { "action bind", true }, { "action listen,bind", true },
	      { "action release", false });
	CHECK(bind_ok(.port = 80), { "failed", false }, { "errno != EADDRINUSE", true },
	      { "errno 98", false });
}

static void a_process_is_found_by_number_name_path_and_user(void **state)
{
	const struct view *v = listen_ok(.pid = 61, .uid = 1000, .comm = "nginx", .exe = "/usr/sbin/nginx",
					 .user_name = "www-data", .unit = "nginx.service");

	(void)state;
	CHECK(v, { "pid 61", true }, { "pid 60-62", true }, { "pid 62", false }, { "pid != 61", false },
	      { "uid >= 1000", true }, { "uid > 1000", false }, { "uid < 1000", false }, { "uid 0", false },
	      { "comm nginx", true }, { "comm ngin", false }, { "comm ng*", true }, { "comm ngi??", true },
	      { "comm Nginx", false }, { "comm apache2,nginx", true }, { "comm \"nginx\"", true },
	      { "comm 'nginx'", true }, { "comm != nginx", false });
	CHECK(v, { "exe /usr/sbin/nginx", true }, { "exe /usr/*", true }, { "exe nginx", true },
	      { "exe ng*", true }, { "exe sbin/nginx", false }, { "exe */sbin/*", true },
	      { "user www-data", true }, { "user www*", true }, { "user 1000", true }, { "user root", false },
	      { "unit nginx.service", true }, { "unit nginx", true }, { "unit nginx.socket", false },
	      { "unit ngin", false }, { "unit *.service", true });
}

static void unknown_things_match_no_name(void **state)
{
	const struct view *bare = listen_ok(.no_details = true, .uid = 7, .netns = 5);

	(void)state;
	CHECK(bare, { "exe *", false }, { "unit *", false }, { "user *", false }, { "cgroup *", false },
	      { "container *", false }, { "netns *", false }, { "netns 5", true }, { "not unit x", true });
	CHECK(listen_ok(.no_process = true), { "pid 0", false }, { "pid >= 0", false }, { "uid 0", false },
	      { "comm *", false }, { "not comm *", true });
}

static void a_long_name_is_compared_by_the_15_bytes_that_are_kept(void **state)
{
	(void)state;
	CHECK(listen_ok(.comm = "systemd-resolve"), { "comm systemd-resolved", true },
	      { "comm systemd-resolve", true }, { "comm systemd-resolv", false },
	      { "comm systemd-resolxed", false });
	CHECK(listen_ok(.comm = "systemd"), { "comm systemd-resolved", false });
	CHECK(listen_ok(.comm = "0123456789abcdef"), { "comm 0123456789ab*", true },
	      { "comm 0123456789abcdef", false });
}

static void text_with_spaces_and_parentheses_goes_in_quotes(void **state)
{
	(void)state;
	CHECK(listen_ok(.comm = "(sd pam) \"a\\"), { "comm \"(sd pam) \\\"a\\\\\"", true },
	      { "comm '(sd pam) \"a\\\\'", true }, { "comm \"(sd pam)*\" and failed", false },
	      { "comm \"(sd pam)*\",x", true });
	CHECK(listen_ok(.comm = "and"), { "comm \"and\"", true });
}

static void a_container_is_a_name_or_the_beginning_of_an_id(void **state)
{
	const struct view *v =
		listen_ok(.where = { .container_id = "3f1c7d0a9b52cafe", .container_name = "shop-api-1" });

	(void)state;
	CHECK(v, { "container shop-api-1", true }, { "container shop-*", true }, { "container shop", false },
	      { "container 3f1c7d0a9b52", true }, { "container 3f1c", true }, { "container 3f1", false },
	      { "container 3f1c7d0a9b52cafe", true }, { "container 3f1c7d0a9b52cafe0", false });
}

static void a_cgroup_is_its_whole_path(void **state)
{
	struct process p = { .cgroup = (char[]){ "/system.slice/ssh.service" } };
	struct view v = *listen_ok(.port = 22);

	(void)state;
	v.process = &p;
	CHECK(&v, { "cgroup /system.slice/*", true }, { "cgroup /system.slice", false },
	      { "cgroup /system.slice/ssh.service", true }, { "cgroup /user.slice/*", false });
}

static void a_namespace_is_host_a_name_or_a_number(void **state)
{
	(void)state;
	CHECK(listen_ok(.port = 80), { "netns host", true }, { "netns 4026531840", true },
	      { "netns shop", false }, { "netns shop,host", true });
	CHECK(listen_ok(.netns = 4026532001, .netns_name = "shop"), { "netns host", false },
	      { "netns shop", true }, { "netns sh*", true }, { "netns 4026532001", true },
	      { "netns != host", true });
}

static void any_process_that_has_the_socket_open_counts(void **state)
{
	const struct view *v =
		snapshot_of(.pid = 10, .comm = "master",
			    .owners = { { .pid = 10, .comm = "master" },
					{ .pid = 11, .uid = 33, .comm = "worker", .exe = "/opt/worker" } });

	(void)state;
	CHECK(v, { "pid 10", true }, { "pid 11", true }, { "pid 12", false }, { "comm worker", true },
	      { "uid 33", true }, { "exe /opt/*", true }, { "comm master and comm worker", true },
	      { "not pid 11", false });
	CHECK(listen_ok(.pid = 10, .owners = { { .pid = 11, .comm = "worker" } }), { "pid 11", false });
}

static void bookkeeping_always_matches(void **state)
{
	static const enum action kinds[] = { ACTION_START, ACTION_STOP,   ACTION_SYNCED,
					     ACTION_LOST,  ACTION_RESYNC, ACTION_CLOCK };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		assert_true(matches("port 1 and failed", view_of(.action = kinds[i])));
		assert_true(matches("not pid >= 0", view_of(.action = kinds[i])));
	}
	assert_false(matches("port 1", view_of(.action = ACTION_FREE)));
}

static void and_binds_tighter_than_or_and_not_tightest(void **state)
{
	const struct view *v = bind_failed(.port = 80, .error = EADDRINUSE, .comm = "a", .pid = 1);

	(void)state;
	CHECK(v, { "port 80 or port 81 and comm b", true }, { "(port 80 or port 81) and comm b", false },
	      { "not port 81 and comm a", true }, { "not (port 81 or comm a)", false },
	      { "not not failed", true }, { "not !not failed", false },
	      { "port 81 || port 80 && failed", true });
}

static void side_by_side_means_and(void **state)
{
	const struct view *v = bind_failed(.port = 80, .error = EADDRINUSE, .comm = "a");

	(void)state;
	CHECK(v, { "port 80 failed", true }, { "80 failed comm a", true }, { "80 failed comm b", false },
	      { "80 comm b or failed", true }, { "80 not failed", false }, { "80 (failed)", true },
	      { "(80)(failed)", true }, { "port 80 and port 80", true }, { "failed not comm b", true });
}

static void a_pattern_costs_no_more_than_length_times_length(void **state)
{
	char text[4096] = "exe ", name[2048];
	struct process p = { .exe = name };
	struct view v = *listen_ok(.port = 80);

	(void)state;
	for (size_t i = 0; i < 1000; i++)
		strcat(text, "*a");
	strcat(text, "b");
	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	v.process = &p;
	assert_false(matches(text, &v));
}

/* ---- errors ---- */

struct mistake {
	const char *text;
	size_t at, len;
	const char *message;
	const char *suggestion;
};

static void every_mistake_has_its_place_and_a_way_out(void **state)
{
	static const struct mistake rows[] = {
		{ "port 65536", 5, 5, "65536 is no port: ports end at 65535", "" },
		{ "port 80-65536", 5, 8, "65536 is no port: ports end at 65535", "" },
		{ "65536", 0, 5, "65536 is no port: ports end at 65535", "" },
		{ "port http", 5, 4, "'http' is not a port", "a port is a number, 0 to 65535" },
		{ "port 8099-8000", 5, 9, "the range is empty: 8099 is above 8000",
		  "did you mean 8000-8099?" },
		{ "port 8000-", 5, 5, "the range has no end", "port >= 8000" },
		{ "port 80,,81", 7, 1, "'port' needs a port", "" },
		{ "port 80,", 7, 1, "'port' needs a port", "" },
		{ "port -80", 5, 3, "'-80' is not a port", "a port is a number, 0 to 65535" },
		{ "53/udp", 0, 6, "'53/udp' is not a port", "did you mean 'port 53 and proto udp'?" },
		{ "port", 0, 4, "'port' needs a port", "" },
		{ ":", 0, 1, "'port' needs a port", "" },
		{ "*:*", 2, 1, "'*' is not a port", "a port is a number, 0 to 65535" },
		{ "*:", 0, 2, "'port' needs a port", "" },
		{ "failed and comm", 11, 4, "'comm' needs a process name", "" },
		{ "comm and failed", 0, 4, "'comm' needs a process name", "" },
		{ "prot 80", 0, 4, "'prot' is no keyword of a filter", "did you mean 'port'?" },
		{ "failed and cotnainer x", 11, 9, "'cotnainer' is no keyword of a filter",
		  "did you mean 'container'?" },
		{ "nginx", 0, 5, "'nginx' is no keyword of a filter", "a process name is 'comm nginx'" },
		{ "udp", 0, 3, "'udp' is no keyword of a filter", "did you mean 'proto udp'?" },
		{ "80 eaddrinuse", 3, 10, "'eaddrinuse' is no keyword of a filter",
		  "did you mean 'errno eaddrinuse'?" },
		{ "closed", 0, 6, "'closed' is no keyword of a filter", "did you mean 'action release'?" },
		{ "proto tpc", 6, 3, "'tpc' is not a protocol", "did you mean 'proto tcp'?" },
		{ "proto icmp", 6, 4, "'icmp' is not a protocol", "" },
		{ "errno EADDRINSUE", 6, 10, "'EADDRINSUE' is not an error",
		  "did you mean 'errno EADDRINUSE'?" },
		{ "action lisen", 7, 5, "'lisen' is not an action", "did you mean 'action listen'?" },
		{ "action closed", 7, 6, "'closed' is not an action", "did you mean 'action release'?" },
		{ "action none", 7, 4, "'none' is not an action", "" },
		{ "addr 10.0.0", 5, 6, "'10.0.0' is not an address", "10.0.0.1, 10.0.0.0/8 or fe80::/10" },
		{ "addr 10.0.0.0/33", 5, 11, "the prefix is too long: IPv4 addresses have 32 bits", "" },
		{ "1.2.3.4", 0, 7, "an address alone needs its keyword", "did you mean 'addr 1.2.3.4'?" },
		{ "::1", 0, 3, "an address alone needs its keyword", "did you mean 'addr ::1'?" },
		{ "1.2.3.4:99999", 0, 0, "99999 is no port: ports end at 65535", "" },
		{ "uid >= x", 7, 1, "'x' is not a uid", "a uid is a number, 0 to 4294967295" },
		{ "uid >", 0, 3, "'uid' needs a uid", "" },
		{ "uid > 4294967295", 0, 16, "no uid can be that", "" },
		{ "uid >= 1,2", 0, 10, "a comparison takes one number", "" },
		{ "comm > x", 5, 1, "a process name has no order: only = and !=", "" },
		{ "comm (x)", 5, 1, "a process name cannot begin with '('",
		  "text with parentheses goes in quotes" },
		{ "comm \"x", 5, 1, "this quote is never closed", "" },
		{ "comm \"x\"y", 8, 1, "a space is missing after the quote", "" },
		{ "comm ''", 5, 2, "empty text matches nothing", "" },
		{ "\"x\"", 0, 1, "text in quotes needs a keyword before it", "" },
		{ "(failed", 0, 1, "this '(' is never closed", "" },
		{ "failed)", 6, 1, "no '(' belongs to this ')'", "" },
		{ "()", 1, 1, "nothing stands before this ')'", "" },
		{ "failed and", 7, 3, "nothing follows 'and'", "" },
		{ "not", 0, 3, "nothing follows 'not'", "" },
		{ "(", 0, 1, "nothing follows '('", "" },
		{ "and failed", 0, 3, "nothing stands before 'and'", "" },
		{ "failed and or 80", 11, 2, "nothing stands before 'or'", "" },
		{ "failed = 1", 7, 1, "'=' cannot stand here", "" },
		{ "failed & 80", 7, 1, "'&' cannot stand here", "" },
		{ "80 90", 3, 2, "two 'port' side by side, which nothing can be both of",
		  "join them with 'or'" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct mistake *m = &rows[i];
		struct filter_error e;
		struct filter *f;
		int r = filter_parse(m->text, &f, &e);

		if (r != -EINVAL || strcmp(e.message, m->message) != 0 ||
		    strcmp(e.suggestion, m->suggestion) != 0 ||
		    (m->len && (e.at != m->at || e.len != m->len)))
			fail_msg("'%s': %d, %zu+%zu '%s' '%s'", m->text, r, e.at, e.len, e.message,
				 e.suggestion);
	}
}

static int parse_nested(unsigned depth)
{
	auto_free char *text = calloc(1, 2 * depth + sizeof("failed"));
	struct filter_error e;
	struct filter *f;
	int r;

	assert_non_null(text);
	memset(text, '(', depth);
	memcpy(text + depth, "failed", strlen("failed"));
	memset(text + depth + strlen("failed"), ')', depth);
	r = filter_parse(text, &f, &e);
	if (r == 0)
		filter_free(f);
	return r;
}

static void depth_and_length_are_bounded(void **state)
{
	static char text[64 * 1024];
	struct filter_error e;
	struct filter *f;

	(void)state;
	assert_int_equal(parse_nested(32), 0);
	assert_int_equal(parse_nested(33), -EINVAL);
	assert_int_equal(parse_nested(4000), -EINVAL);
	memset(text, '!', 8000);
	strcpy(text + 8000, "failed");
	assert_int_equal(filter_parse(text, &f, &e), 0);
	filter_free(f);
	memset(text, '8', sizeof(text) - 1);
	assert_int_equal(filter_parse(text, &f, &e), -EINVAL);
	assert_string_equal(e.message, "the filter is longer than 8192 bytes");
}

static void only_what_looks_like_a_filter_starts_one(void **state)
{
	static const char *const yes[] = { "port",   "8080",    ":8080", "1.2.3.4:80", "[::1]:80",  "(",
					   "not",    "!failed", "::1",   "*:80",       "0.0.0.0:*", "failed",
					   "uid>=0", "(port",   "PORT",  "80 and x",   "8080x",     "netns" };
	static const char *const no[] = { "",   " ",  "hisotry", "nginx", "tcp",     "and",
					  "or", "-x", "*",       "prot",  "\x1b[2J", "=80" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
		if (!filter_word_starts(yes[i]))
			fail_msg("'%s' starts a filter", yes[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(no); i++) {
		if (filter_word_starts(no[i]))
			fail_msg("'%s' starts no filter", no[i]);
	}
}

/* ---- the kernel's part ---- */

static struct filter_kernel kernel_part;

static struct filter *push_down(const char *text)
{
	struct filter_error error;
	struct filter *f = NULL;

	if (filter_parse(text, &f, &error) < 0)
		fail_msg("'%s': %s", text, error.message);
	filter_kernel(f, &kernel_part);
	return f;
}

static unsigned count_ports(void)
{
	unsigned n = 0;

	for (size_t i = 0; i < sizeof(kernel_part.ports); i++)
		n += (unsigned)__builtin_popcount(kernel_part.ports[i]);
	return n;
}

static bool has_port(unsigned port)
{
	return kernel_part.ports[port / 8] >> (port % 8) & 1;
}

static void ports_go_down_through_and_and_or(void **state)
{
	static const struct {
		const char *text;
		unsigned ports; /* 0: not valid */
	} rows[] = {
		{ "port 80", 1 },
		{ "8000-8099,443", 101 },
		{ "port 80 and comm x", 1 },
		{ "port 80 or port 81", 2 },
		{ "port 80 or comm x", 0 },
		{ "(port 80 or comm x) and port 81", 1 },
		{ "(port 80 and comm x) or (81 and failed)", 2 },
		{ "port 1-1000 and port 500-600", 101 },
		{ "not port 80", 0 },
		{ "not not port 80", 1 },
		{ "port != 80", 0 },
		{ "port 80 and not port 81", 1 },
		{ "port 0", 0 },
		{ "port 0-100", 0 },
		{ "port > 60000", 5535 },
		{ "1.2.3.4:80", 1 },
		{ "failed", 0 },
		{ "", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct filter *f = push_down(rows[i].text);

		if (kernel_part.ports_valid != (rows[i].ports != 0) || count_ports() != rows[i].ports)
			fail_msg("'%s': %d, %u ports", rows[i].text, kernel_part.ports_valid, count_ports());
		filter_free(f);
	}
}

/* An event may have both: asked for one, got the other. */
static void two_ports_joined_by_and_are_not_intersected(void **state)
{
	struct filter *f = push_down("port 80 and port 8080");

	(void)state;
	assert_true(kernel_part.ports_valid);
	assert_int_equal(count_ports(), 1);
	assert_true(has_port(80) || has_port(8080));
	assert_true(filter_match(f, bind_ok(.port = 8080, .asked_port = 80)));
	filter_free(f);
}

static void namespaces_go_down_as_typed_unless_they_are_patterns(void **state)
{
	struct filter *f = push_down("(netns host or netns 4026532001) and failed");

	(void)state;
	assert_true(kernel_part.netns_valid);
	assert_int_equal(kernel_part.n_netns, 2);
	assert_string_equal(kernel_part.netns[0], "host");
	assert_string_equal(kernel_part.netns[1], "4026532001");
	filter_free(f);
	f = push_down("netns sh*");
	assert_false(kernel_part.netns_valid);
	filter_free(f);
	f = push_down("netns a,b,c,d,e,f,g,h");
	assert_int_equal(kernel_part.n_netns, 8);
	filter_free(f);
	f = push_down("netns a,b,c,d,e,f,g,h or netns i");
	assert_false(kernel_part.netns_valid);
	assert_int_equal(kernel_part.n_netns, 0);
	filter_free(f);
}

static void failed_and_pid_go_down(void **state)
{
	static const struct {
		const char *text;
		bool failed;
		uint32_t pid; /* 0: not valid */
	} rows[] = {
		{ "failed and pid 12", true, 12 },
		{ "errno EADDRINUSE", true, 0 },
		{ "errno != EADDRINUSE", false, 0 },
		{ "failed or pid 12", false, 0 },
		{ "pid 12 or pid 13", false, 0 },
		{ "pid 12,13", false, 0 },
		{ "pid 12-13", false, 0 },
		{ "not failed", false, 0 },
		{ "(failed and 80) or errno EACCES", true, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct filter *f = push_down(rows[i].text);

		if (kernel_part.failed_only != rows[i].failed ||
		    kernel_part.pid_valid != (rows[i].pid != 0) || kernel_part.pid != rows[i].pid)
			fail_msg("'%s': failed %d, pid %d %u", rows[i].text, kernel_part.failed_only,
				 kernel_part.pid_valid, kernel_part.pid);
		filter_free(f);
	}
}

static void verbose_says_who_judges_what(void **state)
{
	static const char *const rows[][2] = {
		{ "", "no filter" },
		{ "port 8080 and comm nginx", "in the kernel: port 8080; here: comm nginx" },
		{ "8080", "in the kernel: 8080; here: nothing" },
		{ "comm nginx", "in the kernel: nothing; here: comm nginx" },
		{ "port 80 or port 81", "in the kernel: port 80 or port 81; here: nothing" },
		{ "port 80 or comm x", "in the kernel: nothing; here: port 80 or comm x" },
		{ "( port 80 or 81 )  failed", "in the kernel: port 80 or 81, failed; here: nothing" },
		{ "(port 80 and comm x) or 81 ",
		  "in the kernel: port 80 or 81; here: (port 80 and comm x) or 81" },
		{ "errno EACCES netns host", "in the kernel: netns host, failed; here: errno EACCES" },
		{ "port 1-9 and 5 and not pid 4", "in the kernel: 5; here: port 1-9 and not pid 4" },
		{ "port 80 comm \"a\x1b[2J\"", "in the kernel: port 80; here: comm \"a\033[2J\"" },
	};
	char line[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct filter *f = push_down(rows[i][0]);

		filter_describe(f, line, sizeof(line));
		assert_string_equal(line, rows[i][1]);
		filter_describe(f, line, 8);
		assert_true(strlen(line) < 8);
		filter_free(f);
	}
}

/* ---- random filters and views ---- */

static uint64_t seed;

static unsigned dice(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)(seed >> 16) % n;
}

static const char *pick(const char *const *words, size_t n)
{
	return words[dice((unsigned)n)];
}

static void random_filter(char *text, size_t size, unsigned depth)
{
	static const char *const tests[] = {
		"port 1",      "port 2,3",      "port 1-3",        "2",          ":3",
		"port != 2",   "port 0-2",      "failed",          "errno 98",   "errno 13,98",
		"pid 1",       "pid 2",         "pid 1,2",         "pid >= 2",   "netns 100",
		"netns 101",   "netns shop",    "netns host",      "netns s*",   "comm a",
		"action bind", "proto tcp",     "uid 0",           "10.0.0.1:2", "addr ::/0",
		"comm != a",   "netns != host", "netns host,shop",
	};
	static const char *const joints[] = { " and ", " or ", " && ", " || " };
	size_t n;

	text[0] = '\0';
	if (dice(4) == 0)
		snprintf(text, size, "%s", dice(2) ? "not " : "!");
	n = strlen(text);
	if (depth == 0 || dice(3) == 0) {
		snprintf(text + n, size - n, "%s", pick(tests, ARRAY_SIZE(tests)));
		return;
	}
	snprintf(text + n, size - n, "(");
	for (unsigned i = 0, sides = 1 + dice(3); i < sides; i++) {
		n = strlen(text);
		snprintf(text + n, size - n, "%s", i ? pick(joints, ARRAY_SIZE(joints)) : "");
		n = strlen(text);
		random_filter(text + n, size - n, depth - 1);
	}
	n = strlen(text);
	snprintf(text + n, size - n, ")");
}

static const struct view *random_view(void)
{
	static const enum action actions[] = { ACTION_BIND,    ACTION_LISTEN,   ACTION_RELEASE, ACTION_FREE,
					       ACTION_HANDOFF, ACTION_AUTOBIND, ACTION_SNAPSHOT };
	static const char *const addrs[] = { "10.0.0.1", "0.0.0.0", "::", "::ffff:10.0.0.1" };
	static const char *const comms[] = { "a", "b" };
	static const uint32_t spaces[] = { VIEWS_HOST_NETNS, 100, 101 };
	unsigned space = dice(3);
	struct view_spec spec = {
		.action = actions[dice(ARRAY_SIZE(actions))],
		.port = (uint16_t)(1 + dice(4)),
		.pid = 1 + dice(3),
		.uid = dice(2),
		.addr = pick(addrs, ARRAY_SIZE(addrs)),
		.comm = pick(comms, ARRAY_SIZE(comms)),
		.proto = dice(2) ? PROTO_TCP : PROTO_UDP,
		.netns = spaces[space],
		.netns_name = space == 0   ? "host"
			      : space == 1 ? "shop"
					   : NULL,
	};

	if (spec.action == ACTION_BIND || spec.action == ACTION_LISTEN)
		spec.error = dice(2) ? 0 : dice(2) ? EADDRINUSE : EACCES;
	spec.has_asked_port = dice(3) == 0;
	spec.asked_port = spec.has_asked_port ? (uint16_t)dice(5) : 0;
	for (unsigned i = 0; i < dice(3); i++)
		spec.owners[i] =
			(struct owner_spec){ .pid = 1 + dice(3), .comm = pick(comms, ARRAY_SIZE(comms)) };
	return views_make(&spec);
}

static bool is_in_namespaces(const struct view *v)
{
	for (size_t i = 0; i < kernel_part.n_netns; i++) {
		const char *name = kernel_part.netns[i];
		uint32_t inode = strcmp(name, "host") == 0   ? VIEWS_HOST_NETNS
				 : strcmp(name, "shop") == 0 ? 100
							     : (uint32_t)strtoul(name, NULL, 10);

		if (inode == v->rec->netns)
			return true;
	}
	return false;
}

/* What the kernel side does with its part, as filter.h says it. */
static bool kernel_passes(const struct view *v)
{
	const struct record *rec = v->rec;
	bool by_a_call = rec->action != ACTION_SNAPSHOT && rec->action != ACTION_HANDOFF;

	if (kernel_part.ports_valid && !has_port(rec->port) &&
	    !(rec->has_asked_port && has_port(rec->asked_port)))
		return false;
	if (kernel_part.netns_valid && !is_in_namespaces(v))
		return false;
	if (kernel_part.failed_only && !rec->error)
		return false;
	return !kernel_part.pid_valid || !by_a_call || rec->pid == kernel_part.pid;
}

static void what_matches_here_passes_in_the_kernel(void **state)
{
	unsigned matched = 0, stopped = 0;
	char text[4096];

	(void)state;
	seed = 0x9e3779b97f4a7c15;
	for (unsigned i = 0; i < 3000; i++) {
		struct filter *f;

		random_filter(text, sizeof(text), dice(4));
		f = push_down(text);
		for (unsigned j = 0; j < 40; j++) {
			const struct view *v = random_view();
			bool here = filter_match(f, v), kernel = kernel_passes(v);

			if (here && !kernel)
				fail_msg(
					"'%s' matches what the kernel holds back: action %d port %u asked %u",
					text, v->rec->action, v->rec->port, v->rec->asked_port);
			matched += here;
			stopped += !kernel;
		}
		filter_free(f);
		views_free();
	}
	/* Neither side is idle. */
	assert_true(matched > 20000);
	assert_true(stopped > 10000);
}

static void not_is_the_opposite(void **state)
{
	char text[4096], opposite[4200];

	(void)state;
	seed = 42;
	for (unsigned i = 0; i < 2000; i++) {
		const struct view *v = random_view();

		random_filter(text, sizeof(text), dice(4));
		snprintf(opposite, sizeof(opposite), "not (%s)", text);
		assert_true(matches(text, v) != matches(opposite, v));
		views_free();
	}
}

static void garbage_is_an_error_inside_the_text(void **state)
{
	static const char *const bits[] = { "port", "80", "(",  ")",    "not",  "and",    "or",  "\"", "'",
					    ",",    ">=", "!=", "-",    "/",    ":",      "[",   "]",  "::1",
					    "comm", "x*", "\\", "\x1b", "\xff", "failed", "uid", "" };
	unsigned good = 0, bad = 0;

	(void)state;
	seed = 7;
	for (unsigned i = 0; i < 20000; i++) {
		struct filter_error e;
		char text[256] = "";
		struct filter *f;
		int r;

		for (unsigned j = 0, n = dice(12); j < n; j++) {
			strcat(text, pick(bits, ARRAY_SIZE(bits)));
			strcat(text, dice(2) ? " " : "");
		}
		r = filter_parse(text, &f, &e);
		if (r == 0) {
			filter_match(f, listen_ok(.port = 80));
			filter_free(f);
			views_free();
			good++;
			continue;
		}
		assert_int_equal(r, -EINVAL);
		assert_true(e.message[0] && e.len >= 1 && e.at < strlen(text) &&
			    e.at + e.len <= strlen(text));
		bad++;
	}
	assert_true(good > 500 && bad > 500);
}

int main(void)
{
#define FACT(f) cmocka_unit_test_teardown(f, teardown)
	const struct CMUnitTest tests[] = {
		FACT(an_empty_filter_matches_everything),
		FACT(a_port_is_one_of_ranges_and_numbers),
		FACT(a_port_is_the_asked_or_the_held_one),
		FACT(mptcp_is_a_protocol_of_its_own),
		FACT(an_address_is_compared_by_its_prefix),
		FACT(an_ipv4_prefix_holds_mapped_addresses),
		FACT(an_address_asked_for_counts_too),
		FACT(failures_are_told_apart_by_errno),
		FACT(a_process_is_found_by_number_name_path_and_user),
		FACT(unknown_things_match_no_name),
		FACT(a_long_name_is_compared_by_the_15_bytes_that_are_kept),
		FACT(text_with_spaces_and_parentheses_goes_in_quotes),
		FACT(a_container_is_a_name_or_the_beginning_of_an_id),
		FACT(a_cgroup_is_its_whole_path),
		FACT(a_namespace_is_host_a_name_or_a_number),
		FACT(any_process_that_has_the_socket_open_counts),
		FACT(bookkeeping_always_matches),
		FACT(and_binds_tighter_than_or_and_not_tightest),
		FACT(side_by_side_means_and),
		FACT(a_pattern_costs_no_more_than_length_times_length),
		FACT(every_mistake_has_its_place_and_a_way_out),
		FACT(depth_and_length_are_bounded),
		FACT(only_what_looks_like_a_filter_starts_one),
		FACT(ports_go_down_through_and_and_or),
		FACT(two_ports_joined_by_and_are_not_intersected),
		FACT(namespaces_go_down_as_typed_unless_they_are_patterns),
		FACT(failed_and_pid_go_down),
		FACT(verbose_says_who_judges_what),
		FACT(what_matches_here_passes_in_the_kernel),
		FACT(not_is_the_opposite),
		FACT(garbage_is_an_error_inside_the_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
