/* SPDX-License-Identifier: GPL-2.0-only */
/* What why says of an answer, and for whom a port is held: unit files and a proxy's arguments in a tree of the test's own. */
#include "view/why.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/process.h"
#include "enrich/bound_for.h"
#include "enrich/redirect.h"
#include "util/cleanup.h"
#include "util/command.h"

#define NS_PER_S 1000000000ULL

/* ---- text ---- */

static struct holder java = {
	.kind = HOLDER_BOUND,
	.proto = PROTO_TCP,
	.pid = 455,
	.comm = "java",
	.uid = 1001,
	.sock_uid = 1001,
	.port = 8080,
	.family = AF_INET6,
	.addr = { .family = AF_INET6 },
	.state = TCP_CLOSE,
	.since_ns = 1000 * NS_PER_S,
	.since_precision = SINCE_EXACT,
	.inode = 7,
};

static const struct verdict works = { .bind = ANSWER_YES, .listen = ANSWER_YES };
static const struct verdict fails = { .bind_error = EADDRINUSE, .n_in_way = 1 };

static struct ask ask_of(uint8_t family, const struct verdict *v, const struct verdict *bare,
			 struct holder *h)
{
	struct ask ask = {
		.verdict = *v, .bare = *bare, .shared = *v, .allowed = *v, .allowed_bare = *bare, .only6 = *v
	};

	ask.asker.family = ask.asker.addr.family = family;
	ask.asker.port = 8080;
	ask.asker.proto = PROTO_TCP;
	ask.asker.options = OPT_REUSEADDR;
	if (h) {
		ask.in_way = h;
		ask.n_in_way = 1;
		ask.explanation.code = "bound";
		strcpy(ask.explanation.hint, "systemctl stop app, or another port");
	}
	return ask;
}

static struct port_answer answer_of(const struct verdict *v4, const struct verdict *v6,
				    const struct verdict *bare, struct holder *h)
{
	struct port_answer a = {
		.proto = PROTO_TCP,
		.port = 8080,
		.uid = 1000,
		.user_name = "alice",
		.reach = REACH_ALL,
		.n_asks = 2,
		.unprivileged_port_start = 1024,
		.now_ns = 19000 * NS_PER_S,
		.user_of_holder = "app",
		.netns = 4026531840,
	};

	a.asks[0] = ask_of(AF_INET, v4, bare, v4->bind == ANSWER_YES && bare->bind == ANSWER_YES ? NULL : h);
	a.asks[1] = ask_of(AF_INET6, v6, bare, v6->bind == ANSWER_YES && bare->bind == ANSWER_YES ? NULL : h);
	return a;
}

static void assert_text(const struct port_answer *a, const char *expected)
{
	struct buf b = { 0 };

	why_text(a, true, &b);
	assert_string_equal(buf_str(&b), expected);
	buf_done(&b);
}

static void a_taken_port_is_told_with_its_holder_and_a_fix(void **state)
{
	struct port_answer a = answer_of(&fails, &fails, &fails, &java);

	(void)state;
	assert_true(answer_may_fail(&a));
	assert_text(
		&a,
		"tcp 8080: TAKEN: bind(2) on 0.0.0.0 or [::] fails with EADDRINUSE (as alice, with SO_REUSEADDR)\n"
		"  holder  java[455], user app, on [::]:8080, bound but not listening: ss -l and lsof do not show it\n"
		"  since   Thu 00:16:40 (5h00m ago)\n"
		"  fix     systemctl stop app, or another port\n");
}

static void addresses_that_differ_are_told_apart(void **state)
{
	struct port_answer a = answer_of(&works, &fails, &works, &java);

	(void)state;
	a.asks[1].bare = fails;
	assert_true(answer_may_fail(&a));
	assert_text(
		&a,
		"tcp 8080: free on 0.0.0.0\n"
		"tcp 8080: TAKEN: bind(2) on [::] fails with EADDRINUSE (as alice, with SO_REUSEADDR)\n"
		"  holder  java[455], user app, on [::]:8080, bound but not listening: ss -l and lsof do not show it\n"
		"  since   Thu 00:16:40 (5h00m ago)\n"
		"  fix     systemctl stop app, or another port\n");
}

static void what_reuseaddr_changes_is_told(void **state)
{
	struct holder tw = { .kind = HOLDER_TIME_WAIT,
			     .state = TCP_TIME_WAIT,
			     .addr = { .family = AF_INET } };
	struct port_answer a = answer_of(&works, &works, &fails, &tw);

	(void)state;
	tw.expires_ns = a.now_ns + 40 * NS_PER_S;
	assert_false(answer_may_fail(&a));
	assert_text(&a,
		    "tcp 8080: free with SO_REUSEADDR (most servers set it); without it taken for <= 43 s:"
		    " 1 TIME_WAIT, whose last owner is not known\n");
	a.reuseaddr_given = true;
	assert_text(
		&a,
		"tcp 8080: free\n"
		"  last    who had it before is not recorded; to catch the next failure: sudo portlog -x 8080\n");
	a.history = true;
	assert_text(&a, "tcp 8080: free\n"
			"  last    who had it before: sudo portlog history 8080 --intervals\n");
}

static void an_unknown_names_the_fact_and_a_hidden_process(void **state)
{
	struct verdict unknown = { .bind = ANSWER_UNKNOWN,
				   .listen = ANSWER_UNKNOWN,
				   .missing = MISSING_OPTIONS };
	struct holder hidden = java;
	struct port_answer a;

	(void)state;
	hidden.pid = 0;
	hidden.since_ns = 0;
	a = answer_of(&unknown, &unknown, &unknown, &hidden);
	a.reach = REACH_NEEDS_ROOT;
	assert_true(answer_may_fail(&a));
	assert_text(
		&a,
		"tcp 8080: UNKNOWN: whether bind(2) on 0.0.0.0 or [::] works (as alice, with SO_REUSEADDR) depends on"
		" whether its socket has SO_REUSEADDR or SO_REUSEPORT: sudo portlog why 8080\n"
		"  holder  uid 1001 (app), process hidden: sudo portlog why 8080, on [::]:8080,"
		" bound but not listening: ss -l and lsof do not show it\n"
		"  fix     systemctl stop app, or another port\n");
}

static const struct verdict refused = { .bind_error = EACCES };

/* A low port as an ordinary user asks for it; @h: who has it, NULL: nobody. */
static struct port_answer refused_of(enum proto proto, const struct verdict *allowed, struct holder *h)
{
	struct port_answer a = answer_of(&refused, &refused, &refused, h);

	a.proto = proto;
	a.port = 80;
	for (size_t i = 0; i < a.n_asks; i++) {
		a.asks[i].asker.port = 80;
		a.asks[i].allowed = a.asks[i].allowed_bare = *allowed;
		if (h) {
			a.asks[i].behind.code = "bound";
			strcpy(a.asks[i].behind.hint, "kill 455, or another port");
		}
		a.asks[i].explanation.code = "low-port";
		strcpy(a.asks[i].explanation.reason, "ports below 1024 need it");
		strcpy(a.asks[i].explanation.hint, "sudo setcap");
	}
	return a;
}

static void a_port_that_is_low_and_taken_is_told_both(void **state)
{
	struct port_answer a = refused_of(PROTO_TCP, &fails, &java);

	(void)state;
	assert_text(
		&a,
		"tcp 80: REFUSED: bind(2) on 0.0.0.0 or [::] fails with EACCES (as alice, with SO_REUSEADDR)\n"
		"  reason  ports below 1024 need it\n"
		"  fix     sudo setcap\n"
		"  and     tcp 80 is taken too: with the capability bind(2) fails with EADDRINUSE\n"
		"  holder  java[455], user app, on [::]:80, bound but not listening: ss -l and lsof do not show it\n"
		"  since   Thu 00:16:40 (5h00m ago)\n"
		"  fix     kill 455, or another port\n");
}

static void the_remedy_of_a_refusal_is_not_that_of_the_holder(void **state)
{
	struct port_answer a = refused_of(PROTO_TCP, &fails, &java);

	(void)state;
	strcpy(a.bound_for.unit, "web.socket");
	assert_text(
		&a,
		"tcp 80: REFUSED: bind(2) on 0.0.0.0 or [::] fails with EACCES (as alice, with SO_REUSEADDR)\n"
		"  reason  ports below 1024 need it\n"
		"  fix     sudo setcap\n"
		"  and     tcp 80 is taken too: with the capability bind(2) fails with EADDRINUSE\n"
		"  holder  java[455] for web.socket, user app, on [::]:80, bound but not listening:"
		" ss -l and lsof do not show it\n"
		"  since   Thu 00:16:40 (5h00m ago)\n"
		"  fix     systemctl stop web.socket, or another port\n");
}

static void a_low_port_in_time_wait_is_told(void **state)
{
	struct holder tw = { .kind = HOLDER_TIME_WAIT,
			     .state = TCP_TIME_WAIT,
			     .addr = { .family = AF_INET } };
	struct port_answer a = refused_of(PROTO_TCP, &works, &tw);

	(void)state;
	a.asks[0].allowed_bare = a.asks[1].allowed_bare = fails;
	assert_text(
		&a,
		"tcp 80: REFUSED: bind(2) on 0.0.0.0 or [::] fails with EACCES (as alice, with SO_REUSEADDR)\n"
		"  reason  ports below 1024 need it\n"
		"  fix     sudo setcap\n"
		"  and     with the capability tcp 80 is free with SO_REUSEADDR; without it taken: 1 TIME_WAIT,"
		" whose last owner is not known\n");
}

static void assert_both(const struct port_answer *tcp, const struct port_answer *udp, const char *expected)
{
	struct buf b = { 0 };

	why_text_both(tcp, udp, true, &b);
	assert_string_equal(buf_str(&b), expected);
	buf_done(&b);
}

static void what_both_tables_refuse_is_told_once(void **state)
{
	struct port_answer tcp = refused_of(PROTO_TCP, &works, NULL);
	struct port_answer udp = refused_of(PROTO_UDP, &works, NULL);

	(void)state;
	assert_both(&tcp, &udp,
		    "tcp and udp 80: REFUSED: bind(2) on 0.0.0.0 or [::] fails with EACCES"
		    " (as alice, with SO_REUSEADDR)\n"
		    "  reason  ports below 1024 need it\n"
		    "  fix     sudo setcap\n");
	udp = refused_of(PROTO_UDP, &fails, &java);
	udp.n_elsewhere = 1;
	udp.elsewhere[0] = (struct elsewhere){ .holder = java, .netns_name = "blue" };
	assert_both(
		&tcp, &udp,
		"tcp and udp 80: REFUSED: bind(2) on 0.0.0.0 or [::] fails with EACCES"
		" (as alice, with SO_REUSEADDR)\n"
		"  reason  ports below 1024 need it\n"
		"  fix     sudo setcap\n"
		"  and     udp 80 is taken too: with the capability bind(2) fails with EADDRINUSE\n"
		"  holder  java[455], user app, on [::]:80, bound but not listening: ss -l and lsof do not show it\n"
		"  since   Thu 00:16:40 (5h00m ago)\n"
		"  fix     kill 455, or another port\n"
		"  note    java[455] has udp 80 in network namespace blue: no clash\n");
}

static void answers_that_differ_are_told_one_after_the_other(void **state)
{
	struct port_answer tcp = answer_of(&works, &works, &works, NULL);
	struct port_answer udp = answer_of(&works, &works, &works, NULL);

	(void)state;
	udp.proto = PROTO_UDP;
	tcp.history = true;
	assert_both(&tcp, &udp,
		    "tcp 8080: free\n"
		    "  last    who had it before: sudo portlog history 8080 --intervals\n"
		    "udp 8080: free\n");
}

static void text_of_others_cannot_move_the_cursor(void **state)
{
	struct holder evil = java;
	struct port_answer a;
	struct buf b = { 0 };

	(void)state;
	memcpy(evil.comm, "\033[2J\nx\xff", 8);
	a = answer_of(&fails, &fails, &fails, &evil);
	strcpy(a.bound_for.unit, "a\033b.socket");
	why_text(&a, true, &b);
	assert_null(memchr(b.data, '\033', b.len));
	assert_non_null(strstr(buf_str(&b), "\\x1b[2J\\x0ax\\xff[455]"));
	buf_reset(&b);
	why_json(&a, &(struct session){ .hostname = "h" }, true, &b);
	assert_null(memchr(b.data, '\033', b.len));
	assert_ptr_equal(memchr(b.data, '\n', b.len), b.data + b.len - 1);
	buf_done(&b);
}

/* ---- for whom ---- */

static char root[] = "/tmp/portlog-why-XXXXXX";
static int root_fd = -1;

static int root_make(void **state)
{
	(void)state;
	if (!mkdtemp(root))
		return -1;
	root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return root_fd < 0 ? -1 : 0;
}

static int root_remove(void **state)
{
	char command[128];

	(void)state;
	close(root_fd);
	snprintf(command, sizeof(command), "rm -r %s", root);
	return system(command);
}

/* A file below root, with its folders. */
static void put(const char *path, const char *text)
{
	char dir[256];
	int fd;

	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path), path);
		(void)mkdirat(root_fd, dir, 0700);
	}
	fd = openat(root_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

/* What is there now, not what was when it was read last. */
static struct bound_for of_holder(const struct holder *h)
{
	struct processes *ps = processes_new(8);
	struct enrich *e = enrich_new(root_fd, ps);
	struct bound_for b;

	assert_non_null(e);
	bound_for_find(e, h, &b);
	enrich_free(e);
	processes_free(ps);
	return b;
}

static struct bound_for of_systemd(uint16_t port, enum proto proto)
{
	struct holder h = { .pid = 1, .comm = "systemd", .port = port, .proto = proto };

	h.family = h.addr.family = AF_INET6; /* [::] */
	return of_holder(&h);
}

static void a_socket_unit_is_found_by_its_port(void **state)
{
	struct bound_for b;

	(void)state;
	put("usr/lib/systemd/system/web.socket", "[Socket]\nListenStream=[::]:8081\nListenDatagram = 8082\n");
	put("usr/lib/systemd/system/ssh.socket", "[Socket]\nListenStream=22\nAccept=yes\n");
	put("usr/lib/systemd/system/log.socket",
	    "[Socket]\nListenStream=/run/log/8083\nService=logger.service\n");
	b = of_systemd(8081, PROTO_TCP);
	assert_string_equal(b.unit, "web.socket");
	assert_string_equal(b.service, "web.service");
	b = of_systemd(8082, PROTO_UDP);
	assert_string_equal(b.unit, "web.socket");
	b = of_systemd(22, PROTO_TCP);
	assert_string_equal(b.unit, "ssh.socket");
	assert_string_equal(b.service, "ssh@.service");
	assert_string_equal(of_systemd(8082, PROTO_TCP).unit, "");
	assert_string_equal(of_systemd(8083, PROTO_TCP).unit, "");
}

static void a_drop_in_takes_back_what_the_unit_says(void **state)
{
	(void)state;
	put("usr/lib/systemd/system/old.socket", "[Socket]\nListenStream=9001\n");
	put("etc/systemd/system/old.socket.d/port.conf",
	    "[Socket]\nListenStream=\nListenStream=9002\nService=new.service\n");
	assert_string_equal(of_systemd(9001, PROTO_TCP).unit, "");
	assert_string_equal(of_systemd(9002, PROTO_TCP).unit, "old.socket");
	assert_string_equal(of_systemd(9002, PROTO_TCP).service, "new.service");
}

static struct bound_for of_proxy(const char *args, size_t len)
{
	struct process p = { .args = (char *)args, .args_len = len };
	struct holder h = { .pid = 812, .comm = "docker-proxy", .port = 8080, .process = &p };

	return of_holder(&h);
}

static void a_proxy_that_docker_has_not_written_down_is_named_by_its_address(void **state)
{
	static const char args[] = "docker-proxy\0-host-port\08080\0-container-ip\0"
				   "172.17.0.2\0-container-port\0"
				   "80";
	static const char cut[] = "docker-proxy\0-container-ip";

	(void)state;
	assert_string_equal(of_proxy(args, sizeof(args)).container, "172.17.0.2");
	assert_string_equal(of_proxy(cut, sizeof(cut)).container, "");
	assert_string_equal(of_proxy(cut, sizeof(cut) - 1).container, "");
}

/* ---- where the firewall leads it ---- */

static void a_rule_that_leads_the_port_elsewhere_is_found(void **state)
{
	static const char nft[] = "table ip nat {\n\tchain prerouting {\n"
				  "\t\ttcp dport { 80, 8000-8010 } redirect to :9090\n"
				  "\t\tudp dport 53 dnat to 10.0.0.2\n\t\ttcp dport 22 accept\n\t}\n}\n";
	static const char iptables[] =
		"*nat\n-A PREROUTING -p tcp -m tcp --dport 8080 -j REDIRECT --to-ports 9090\n"
		"-A PREROUTING -p tcp -m multiport --dports 90:99,443 -j DNAT --to-destination 10.0.0.3\n";
	char rule[64];

	(void)state;
	assert_true(redirect_parse(nft, PROTO_TCP, 8005, rule, sizeof(rule)));
	assert_string_equal(rule, "tcp dport { 80, 8000-8010 } redirect to :9090");
	assert_true(redirect_parse(nft, PROTO_TCP, 80, rule, sizeof(rule)));
	assert_true(redirect_parse(nft, PROTO_UDP, 53, rule, sizeof(rule)));
	assert_false(redirect_parse(nft, PROTO_TCP, 53, rule, sizeof(rule)));
	assert_false(redirect_parse(nft, PROTO_TCP, 22, rule, sizeof(rule)));
	assert_false(redirect_parse(nft, PROTO_TCP, 8011, rule, sizeof(rule)));
	assert_true(redirect_parse(iptables, PROTO_TCP, 8080, rule, sizeof(rule)));
	assert_false(redirect_parse(iptables, PROTO_UDP, 8080, rule, sizeof(rule)));
	assert_true(redirect_parse(iptables, PROTO_TCP, 95, rule, sizeof(rule)));
	assert_true(redirect_parse(iptables, PROTO_TCP, 443, rule, sizeof(rule)));
	assert_false(redirect_parse(iptables, PROTO_TCP, 44, rule, sizeof(rule)));
	assert_false(redirect_parse("tcp dport { redirect", PROTO_TCP, 44, rule, sizeof(rule)));
}

static void a_command_is_read_for_a_bounded_time(void **state)
{
	const char *echo[] = { "/bin/sh", "-c", "echo hello", NULL };
	const char *fails_too[] = { "/bin/sh", "-c", "echo hello; exit 3", NULL };
	const char *hangs[] = { "/bin/sh", "-c", "exec sleep 60", NULL };
	const char *talks[] = { "/bin/sh", "-c", "while :; do echo talk; done", NULL };
	const char *absent[] = { "/nonexistent/nft", NULL };
	auto_free char *said = command_read(echo, 10000, 100);
	auto_free char *cut = command_read(talks, 10000, 100);

	(void)state;
	assert_string_equal(said, "hello\n");
	assert_int_equal(strlen(cut), 100);
	assert_null(command_read(fails_too, 10000, 100));
	assert_null(command_read(hangs, 50, 100));
	assert_null(command_read(absent, 10000, 100));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_taken_port_is_told_with_its_holder_and_a_fix),
		cmocka_unit_test(addresses_that_differ_are_told_apart),
		cmocka_unit_test(what_reuseaddr_changes_is_told),
		cmocka_unit_test(a_port_that_is_low_and_taken_is_told_both),
		cmocka_unit_test(the_remedy_of_a_refusal_is_not_that_of_the_holder),
		cmocka_unit_test(a_low_port_in_time_wait_is_told),
		cmocka_unit_test(what_both_tables_refuse_is_told_once),
		cmocka_unit_test(answers_that_differ_are_told_one_after_the_other),
		cmocka_unit_test(an_unknown_names_the_fact_and_a_hidden_process),
		cmocka_unit_test(text_of_others_cannot_move_the_cursor),
		cmocka_unit_test(a_socket_unit_is_found_by_its_port),
		cmocka_unit_test(a_drop_in_takes_back_what_the_unit_says),
		cmocka_unit_test(a_proxy_that_docker_has_not_written_down_is_named_by_its_address),
		cmocka_unit_test(a_rule_that_leads_the_port_elsewhere_is_found),
		cmocka_unit_test(a_command_is_read_for_a_bounded_time),
	};

	return cmocka_run_group_tests(tests, root_make, root_remove);
}
