/* SPDX-License-Identifier: GPL-2.0-only */
/* The lines that people see: columns, what is joined, folded and held back, and what never reaches a terminal. */
#include "sink/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/explain.h"
#include "support/views.h"
#include "util/cleanup.h"

#define NS_PER_MS 1000000ULL
#define AT(ms) (VIEWS_BASE_NS + (ms)*NS_PER_MS)

/* A sink that writes to files in memory; what they hold is in out and talk after text_of(). */
struct sheet {
	void *sink;
	int out_fd, talk_fd;
	char out[1 << 18];
	char talk[4096];
};

static int sheet_open(struct sheet *s, struct sink_options o)
{
	s->out_fd = memfd_create("out", MFD_CLOEXEC);
	s->talk_fd = memfd_create("talk", MFD_CLOEXEC);
	o.fd = s->out_fd;
	o.talk_fd = s->talk_fd;
	o.verbose = true;
	return sink_text.open(&o, &s->sink);
}

static int setup(void **state)
{
	struct sheet *s = calloc(1, sizeof(*s));

	setenv("TZ", "UTC", 1);
	tzset();
	*state = s;
	return s ? sheet_open(s, (struct sink_options){ .line_buffered = true }) : -1;
}

static int teardown(void **state)
{
	struct sheet *s = *state;

	sink_text.close(s->sink);
	close(s->out_fd);
	close(s->talk_fd);
	free(s);
	views_free();
	return 0;
}

/* The same sheet with other options. */
static void reopen(struct sheet *s, struct sink_options o)
{
	sink_text.close(s->sink);
	close(s->out_fd);
	close(s->talk_fd);
	o.line_buffered = true;
	assert_int_equal(sheet_open(s, o), 0);
}

static void tell(struct sheet *s, const struct view *v)
{
	assert_int_equal(sink_text.write(s->sink, v), 0);
}

static uint64_t tick(struct sheet *s, uint64_t now_ns)
{
	uint64_t next_ns = 1;

	assert_int_equal(sink_text.tick(s->sink, now_ns, &next_ns), 0);
	return next_ns;
}

static const char *read_back(int fd, char *text, size_t size)
{
	ssize_t n = pread(fd, text, size - 1, 0);

	assert_true(n >= 0);
	text[n] = '\0';
	return text;
}

static const char *out(struct sheet *s)
{
	return read_back(s->out_fd, s->out, sizeof(s->out));
}

static const char *talk(struct sheet *s)
{
	return read_back(s->talk_fd, s->talk, sizeof(s->talk));
}

static unsigned count(const char *text, const char *what)
{
	unsigned n = 0;

	for (const char *at = text; (at = strstr(at, what)); at += strlen(what))
		n++;
	return n;
}

#define assert_has(text, what) assert_non_null(strstr(text, what))
#define assert_hasnt(text, what) assert_null(strstr(text, what))

/* The view with what explain makes of it. */
static const struct view *explained(const struct view *v, struct view *copy, struct explanation *e)
{
	struct explain_facts facts = { .unprivileged_port_start = -1, .now_ns = v->rec->time_ns };

	explain(v, &facts, e);
	*copy = *v;
	copy->explanation = e;
	return copy;
}

#define NGINX .pid = 53, .comm = "nginx", .unit = "nginx.service"

static const struct view *clash(int64_t at_ms, uint32_t pid)
{
	static struct explanation e;
	static struct view v;

	return explained(bind_failed(.error = EADDRINUSE, .port = 80, .at_ms = at_ms, .pid = pid,
				     .unit = "early-http.service",
				     .holders = { { .kind = HOLDER_LISTENER, NGINX, .since_ms = 556 } }),
			 &v, &e);
}

/* ---- the picture ---- */

static void what_a_person_sees(void **state)
{
	struct sheet *s = *state;

	reopen(s, (struct sink_options){ .header = true });
	tell(s, view_of(.action = ACTION_START));
	tell(s, view_of(.action = ACTION_SYNCED, .count = 143, .at_ms = 5));
	tell(s, bind_ok(.port = 80, .socket_id = 7, .at_ms = 550, NGINX));
	tell(s, listen_ok(.port = 80, .socket_id = 7, .at_ms = 556, NGINX));
	tell(s, clash(601, 61));
	tell(s, release_of(.addr = "::", .at_ms = 3004, .pid = 812, .comm = "java", .held_ms = 187200000,
			   .since_ms = -187200000, .free = FREE_NO, .netns = 5, .netns_name = "shop-api-1",
			   .where = { .container_id = "3f1c",
				      .container_runtime = "docker",
				      .container_name = "shop-api-1" },
			   .holders = { { .kind = HOLDER_TIME_WAIT },
					{ .kind = HOLDER_TIME_WAIT },
					{ .kind = HOLDER_TIME_WAIT } }));
	tell(s, view_of(.action = ACTION_STOP, .at_ms = 242900, .hidden = 1204));
	assert_string_equal(
		out(s),
		"TIME          EVENT   PORT                 PROCESS       WHO\n"
		"08:14:08.556  listen  tcp 0.0.0.0:80       nginx[53]     nginx.service\n"
		"08:14:08.601  FAILED  tcp 0.0.0.0:80       python3[61]   early-http.service   EADDRINUSE\n"
		"                      held by nginx[53] (nginx.service), listening for 45 ms. Try: systemctl stop nginx, or"
		" another port\n"
		"08:14:11.004  closed  tcp [::]:8080        java[812]     docker:shop-api-1    after 2d 4h; busy: 3"
		" TIME_WAIT, free in <= 60 s\n");
	assert_string_equal(
		talk(s),
		"portlog: watching (tracepoint hooks); 143 ports already held (see: portlog action snapshot); port-0"
		" binds hidden (--ephemeral). Ctrl-C stops.\n"
		"portlog: cannot see: release of kernel UDP sockets\n"
		"portlog: 4m02s, 3 events shown, 1 failure, 0 lost, 1,204 ephemeral binds hidden\n");
}

static void quiet_says_nothing_beside_the_data(void **state)
{
	struct sheet *s = *state;

	reopen(s, (struct sink_options){ .quiet = true });
	tell(s, view_of(.action = ACTION_START));
	tell(s, view_of(.action = ACTION_SYNCED, .count = 1));
	tell(s, listen_ok(.port = 80));
	tell(s, view_of(.action = ACTION_STOP));
	assert_string_equal(talk(s), "");
	assert_int_equal(count(out(s), "\n"), 1);
}

static void the_opening_line_does_not_wait_for_ever(void **state)
{
	struct sheet *s = *state;

	tell(s, view_of(.action = ACTION_START));
	assert_string_equal(talk(s), "");
	assert_int_equal(tick(s, AT(10)), AT(1000));
	assert_string_equal(talk(s), "");
	assert_int_equal(tick(s, AT(1000)), 0);
	assert_string_equal(
		talk(s),
		"portlog: watching (tracepoint hooks); port-0 binds hidden (--ephemeral). Ctrl-C stops.\n"
		"portlog: cannot see: release of kernel UDP sockets\n");
	tell(s, view_of(.action = ACTION_SYNCED, .at_ms = 1500, .count = 1));
	assert_has(talk(s), "\nportlog: 1 port already held (see: portlog action snapshot)\n");
}

static void namespaces_that_were_not_looked_into_are_said(void **state)
{
	struct sheet *s = *state;
	struct view v;

	tell(s, view_of(.action = ACTION_START));
	v = *view_of(.action = ACTION_SYNCED, .count = 2);
	((struct record *)v.rec)->netns_cut = 3;
	tell(s, &v);
	assert_has(talk(s), "; 3 namespaces could not be looked into");
}

static void what_is_told_is_not_called_hidden(void **state)
{
	struct sheet *s = *state;

	reopen(s, (struct sink_options){ .ephemeral = true });
	tell(s, view_of(.action = ACTION_START));
	tell(s, view_of(.action = ACTION_SYNCED, .count = 2));
	tell(s, view_of(.action = ACTION_STOP));
	assert_hasnt(talk(s), "hidden");
}

static void the_snapshot_is_a_number_unless_it_was_asked_for(void **state)
{
	struct sheet *s = *state;

	tell(s, snapshot_of(.port = 80, .since_ms = -1800000, .owners = { { .pid = 53, .comm = "nginx" } }));
	assert_string_equal(out(s), "");
	reopen(s, (struct sink_options){ .current_first = true });
	tell(s, snapshot_of(.port = 80, .no_process = true, .since_ms = -1800000, .proto = PROTO_UDP,
			    .owners = { { .pid = 53, .comm = "nginx", .unit = "nginx.service" },
					{ .pid = 54, .comm = "nginx" } }));
	assert_string_equal(
		out(s), "08:14:08.000  held    udp 0.0.0.0:80       nginx[53] +1  nginx.service        bound"
			" since Sun 07:44:08 (30m00s ago)\n");
}

static void a_correction_is_told_even_so(void **state)
{
	struct sheet *s = *state;

	tell(s, snapshot_of(.port = 80, .correction = true));
	assert_has(out(s), "held    tcp 0.0.0.0:80");
	assert_has(out(s), "found by the resync");
}

/* ---- addresses and names ---- */

static void addresses_are_as_ss_prints_them(void **state)
{
	static const struct {
		struct view_spec spec;
		const char *text;
	} cases[] = {
		{ { .port = 80 }, "udp 0.0.0.0:80 " },
		{ { .addr = "::", .port = 80 }, "udp [::]:80 " },
		{ { .addr = "::", .port = 80, .options = OPT_V6ONLY }, "udp [::]:80 (v6only) " },
		{ { .addr = "::1", .port = 80, .options = OPT_V6ONLY }, "udp [::1]:80  " },
		{ { .addr = "2001:db8::1", .port = 443 }, "udp [2001:db8::1]:443 " },
		{ { .port = 68, .iface = "eth0" }, "udp 0.0.0.0%eth0:68 " },
		{ { .addr = "fe80::1", .port = 546, .iface = "eth0" }, "udp [fe80::1]%eth0:546 " },
		{ { .port = 80, .netns = 5, .netns_name = "blue" }, "udp 0.0.0.0:80@blue " },
		{ { .port = 80, .netns = 4026532000 }, "udp 0.0.0.0:80@4026532000 " },
		{ { .port = 80, .iface = "a\x1b[2Jb" }, "udp 0.0.0.0%a\\x1b[2Jb:80 " },
	};
	struct sheet *s = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct view_spec spec = cases[i].spec;

		spec.action = ACTION_BIND;
		spec.proto = PROTO_UDP;
		spec.pid = 100 + (uint32_t)i;
		reopen(s, (struct sink_options){ 0 });
		tell(s, views_make(&spec));
		assert_has(out(s), cases[i].text);
		assert_hasnt(out(s), "*");
	}
}

static void who_is_the_unit_else_the_user(void **state)
{
	struct sheet *s = *state;

	tell(s, listen_ok(.port = 1, .unit = "nginx.service"));
	tell(s, listen_ok(.port = 2, .uid = 1000, .user_name = "alice", .unit = "session-3.scope"));
	tell(s, listen_ok(.port = 3, .uid = 1001));
	tell(s, listen_ok(.port = 4, .no_process = true, .kernel = true));
	assert_has(out(s), "nginx.service\n");
	assert_has(out(s), "alice\n");
	assert_has(out(s), "uid 1001\n");
	assert_has(out(s), "kernel        -\n");
}

static void no_control_byte_reaches_a_terminal(void **state)
{
	static const char bad[] = "\x1b[31m\n\r\t\x07\x9b";
	struct sheet *s = *state;
	struct explanation e;
	struct view v;

	reopen(s, (struct sink_options){ .wide = true, .tty = true, .columns = 80, .current_first = true });
	tell(s, listen_ok(.port = 1, .comm = bad, .exe = bad, .unit = bad, .user_name = bad, .netns = 5,
			  .netns_name = bad, .args = { bad }));
	tell(s, explained(bind_failed(.error = EADDRINUSE, .port = 1, .comm = bad,
				      .holders = { { .kind = HOLDER_LISTENER,
						     .pid = 5,
						     .comm = bad,
						     .unit = bad } }),
			  &v, &e));
	tell(s, release_of(.port = 1, .comm = bad, .closed_by_pid = 9, .closed_by_comm = bad));
	tell(s, view_of(.action = ACTION_HANDOFF, .owners = { { .pid = 5, .comm = bad } }));
	tell(s, snapshot_of(.no_process = true, .owners = { { .pid = 5, .comm = bad, .unit = bad } }));
	tick(s, UINT64_MAX);
	for (const char *c = out(s); *c; c++)
		if (*c != '\n' && ((unsigned char)*c < ' ' || *c == 0x7f))
			fail_msg("byte %#x in %s", (unsigned char)*c, c);
	assert_hasnt(out(s), "\x9b");
	assert_true(count(out(s), "\\x1b[31m") >= 5);
}

/* ---- join ---- */

static void a_server_is_one_line(void **state)
{
	struct sheet *s = *state;

	tell(s, bind_ok(.port = 80, .socket_id = 7, .at_ms = 0, NGINX));
	assert_string_equal(out(s), "");
	tell(s, listen_ok(.port = 80, .socket_id = 7, .at_ms = 6, NGINX));
	assert_string_equal(out(s),
			    "08:14:08.006  listen  tcp 0.0.0.0:80       nginx[53]     nginx.service\n");
	assert_int_equal(tick(s, AT(9000)), 0);
	assert_int_equal(count(out(s), "\n"), 1);
}

static void a_bind_that_stays_alone_is_told_after_a_moment(void **state)
{
	struct sheet *s = *state;

	tell(s, bind_ok(.port = 80, .socket_id = 7));
	assert_int_equal(tick(s, AT(249)), AT(250));
	assert_string_equal(out(s), "");
	assert_int_equal(tick(s, AT(250)), 0);
	assert_has(out(s), "08:14:08.000  bind    tcp 0.0.0.0:80");
}

static void another_record_is_a_clock_too(void **state)
{
	struct sheet *s = *state;

	tell(s, bind_ok(.port = 80, .socket_id = 7));
	tell(s, bind_ok(.port = 53, .proto = PROTO_UDP, .at_ms = 300));
	assert_true(strstr(out(s), "tcp 0.0.0.0:80") < strstr(out(s), "udp 0.0.0.0:53"));
}

static void udp_waits_for_nothing(void **state)
{
	struct sheet *s = *state;

	tell(s, bind_ok(.port = 53, .proto = PROTO_UDP));
	assert_has(out(s), "bind    udp 0.0.0.0:53");
	assert_int_equal(tick(s, AT(0)), 0);
}

static void a_late_listen_is_a_line_of_its_own(void **state)
{
	struct sheet *s = *state;

	tell(s, bind_ok(.port = 80, .socket_id = 7));
	tell(s, listen_ok(.port = 80, .socket_id = 7, .at_ms = 251));
	assert_int_equal(count(out(s), "\n"), 2);
	assert_true(strstr(out(s), "bind") < strstr(out(s), "listen"));
}

static void a_listen_that_fails_tells_the_bind_first(void **state)
{
	struct sheet *s = *state;

	tell(s, bind_ok(.port = 80, .socket_id = 7));
	tell(s, listen_failed(.port = 80, .socket_id = 7, .at_ms = 1, .error = EADDRINUSE));
	assert_true(strstr(out(s), "bind    ") < strstr(out(s), "FAILED"));
	assert_has(out(s), "listen: EADDRINUSE");
}

static void a_release_tells_the_bind_first(void **state)
{
	struct sheet *s = *state;

	tell(s, bind_ok(.port = 80, .socket_id = 7));
	tell(s, release_of(.port = 80, .socket_id = 7, .at_ms = 1, .since_ms = 1, .held_ms = 1));
	assert_true(strstr(out(s), "bind    ") < strstr(out(s), "closed"));
	assert_int_equal(count(out(s), "\n"), 2);
}

static void other_sockets_do_not_join(void **state)
{
	struct sheet *s = *state;

	tell(s, bind_ok(.port = 80, .socket_id = 7));
	tell(s, listen_ok(.port = 80, .socket_id = 8, .at_ms = 1));
	tick(s, AT(250));
	assert_int_equal(count(out(s), "\n"), 2);
}

/* ---- folding ---- */

static void a_failure_that_repeats_is_folded(void **state)
{
	struct sheet *s = *state;

	for (int i = 0; i < 5; i++)
		tell(s, clash(1000 + i * 500, 61 + (uint32_t)i));
	assert_int_equal(count(out(s), "FAILED"), 1);
	assert_has(out(s), "held by nginx[53]");
	tick(s, AT(3000 + 1499));
	assert_int_equal(count(out(s), "FAILED"), 1);
	assert_int_equal(tick(s, AT(3000 + 1500)), 0);
	assert_has(
		out(s),
		"08:14:11.000  FAILED  tcp 0.0.0.0:80       python3[65]   early-http.service   EADDRINUSE x4 in"
		" 2 s\n");
	assert_int_equal(count(out(s), "held by"), 1);
}

static void a_failure_that_goes_on_is_told_every_few_seconds(void **state)
{
	struct sheet *s = *state;

	for (int i = 0; i <= 120; i++)
		tell(s, clash(i * 100, 61));
	assert_has(out(s), "EADDRINUSE\n");
	assert_has(out(s), "EADDRINUSE x60 in 6 s\n");
	assert_int_equal(count(out(s), "FAILED"), 2);
}

static void one_repeat_alone_is_an_ordinary_line(void **state)
{
	struct sheet *s = *state;

	tell(s, clash(0, 61));
	tell(s, clash(1000, 62));
	tick(s, AT(2500));
	assert_int_equal(count(out(s), "EADDRINUSE\n"), 2);
	assert_int_equal(count(out(s), "held by"), 2);
	assert_has(out(s), "python3[62]");
}

static void a_failure_long_after_is_a_new_one(void **state)
{
	struct sheet *s = *state;

	tell(s, clash(0, 61));
	tell(s, clash(5000, 62));
	assert_int_equal(count(out(s), "EADDRINUSE\n"), 2);
}

static void different_failures_are_not_folded_together(void **state)
{
	struct sheet *s = *state;

	tell(s, bind_failed(.error = EADDRINUSE, .port = 80));
	tell(s, bind_failed(.error = EADDRINUSE, .port = 81));
	tell(s, bind_failed(.error = EACCES, .port = 80));
	tell(s, bind_failed(.error = EADDRINUSE, .port = 80, .addr = "::"));
	tell(s, bind_failed(.error = EADDRINUSE, .port = 80, .proto = PROTO_UDP));
	tell(s, bind_failed(.error = EADDRINUSE, .port = 80, .pid = 62));
	tell(s, bind_failed(.error = EADDRINUSE, .port = 80, .netns = 5));
	tell(s, bind_failed(.error = EADDRINUSE, .port = 80, .unit = "app.service"));
	tell(s,
	     bind_failed(.error = EADDRINUSE, .port = 80, .holders = { { .kind = HOLDER_BOUND, .pid = 5 } }));
	tell(s, listen_failed(.error = EADDRINUSE, .port = 80));
	assert_int_equal(count(out(s), "FAILED"), 10);
}

static void what_was_folded_about_a_port_comes_before_the_next_event_on_it(void **state)
{
	struct sheet *s = *state;

	tell(s, clash(0, 61));
	tell(s, clash(100, 62));
	tell(s, clash(200, 63));
	tell(s, listen_ok(.port = 81, .at_ms = 250));
	assert_hasnt(out(s), " x2 ");
	tell(s, listen_ok(.port = 80, .at_ms = 300, .pid = 64));
	assert_true(strstr(out(s), "EADDRINUSE x2 in 200 ms\n") < strstr(out(s), "python3[64]"));
	assert_int_equal(tick(s, AT(9000)), 0);
	assert_int_equal(count(out(s), "FAILED"), 2);
}

static void tell_udp(struct sheet *s, enum action action, unsigned i, int64_t at_ms)
{
	tell(s, view_of(.action = action, .proto = PROTO_UDP, .port = (uint16_t)(5000 + i), .at_ms = at_ms,
			.socket_id = 1000 + i, .pid = 99, .comm = "loop", .free = FREE_YES));
}

static void a_process_that_does_too_much_is_folded(void **state)
{
	struct sheet *s = *state;

	for (unsigned i = 0; i < 100; i++)
		tell_udp(s, ACTION_BIND, i, i * 10);
	assert_int_equal(count(out(s), "\n"), 10);
	tick(s, AT(990 + 1500));
	assert_int_equal(count(out(s), "\n"), 11);
	assert_has(
		out(s),
		"08:14:08.990  bind    udp 5010-5099        loop[99]      root                 x90 in 890 ms\n");
}

static void each_kind_of_event_has_its_own_fold(void **state)
{
	struct sheet *s = *state;

	for (unsigned i = 0; i < 50; i++) {
		tell_udp(s, ACTION_BIND, i, i * 10);
		tell_udp(s, ACTION_RELEASE, i, i * 10 + 1);
	}
	tick(s, UINT64_MAX);
	assert_int_equal(count(out(s), "\n"), 12);
	assert_has(out(s), "bind    udp 5005-5049 ");
	assert_has(out(s), "closed  udp 5005-5049 ");
}

static void a_flood_stays_folded_until_it_ends(void **state)
{
	struct sheet *s = *state;

	for (unsigned i = 0; i < 2000; i++)
		tell_udp(s, ACTION_BIND, 0, i * 10);
	tick(s, UINT64_MAX);
	assert_int_equal(count(out(s), "loop[99]"), 10 + 4);
	assert_has(out(s), "udp 0.0.0.0:5000     loop[99]      root                 x600 in 5 s\n");
	tell_udp(s, ACTION_BIND, 7, 30000);
	assert_has(out(s), "bind    udp 0.0.0.0:5007");
}

static void ten_a_second_are_no_flood(void **state)
{
	struct sheet *s = *state;

	for (unsigned i = 0; i < 50; i++)
		tell_udp(s, ACTION_BIND, i, i * 100);
	assert_int_equal(count(out(s), "\n"), 50);
}

static void many_processes_are_no_flood(void **state)
{
	struct sheet *s = *state;

	for (unsigned i = 0; i < 50; i++)
		tell(s, bind_ok(.proto = PROTO_UDP, .port = 53, .pid = 100 + i));
	assert_int_equal(count(out(s), "\n"), 50);
}

static void what_is_held_back_is_bounded(void **state)
{
	struct sheet *s = *state;

	for (unsigned i = 0; i < 3000; i++)
		tell(s, bind_ok(.port = (uint16_t)(i + 1), .socket_id = i + 1, .pid = i + 1));
	assert_int_equal(count(out(s), "\n"), 3000 - 1024);
	assert_has(out(s), "tcp 0.0.0.0:1 ");
	tick(s, UINT64_MAX);
	assert_int_equal(count(out(s), "\n"), 3000);
}

static void every_event_is_in_the_totals_once(void **state)
{
	struct sheet *s = *state;

	tell(s, view_of(.action = ACTION_START));
	for (int i = 0; i < 5; i++)
		tell(s, clash(i, 61));
	tell(s, bind_ok(.port = 81, .socket_id = 90, .at_ms = 10));
	tell(s, listen_ok(.port = 81, .socket_id = 90, .at_ms = 11));
	tell(s, bind_ok(.port = 82, .socket_id = 91, .at_ms = 12));
	tell(s, view_of(.action = ACTION_STOP, .at_ms = 3000, .lost = 1234, .hidden = 1));
	assert_has(talk(s),
		   "portlog: 3 s, 7 events shown, 5 failures, 1,234 lost, 1 ephemeral bind hidden\n");
	assert_has(out(s), "x4 in 4 ms");
	assert_has(out(s), "bind    tcp 0.0.0.0:82");
}

/* ---- bookkeeping ---- */

static void the_stream_tells_of_itself(void **state)
{
	struct sheet *s = *state;

	tell(s, view_of(.action = ACTION_LOST, .count = 1204, .where_lost = LOST_RING));
	tell(s, view_of(.action = ACTION_RESYNC, .added = 3, .removed = 1, .kept = 1140));
	tell(s, view_of(.action = ACTION_CLOCK, .clock_old_ns = VIEWS_BOOT_WALL_NS,
			.clock_new_ns = VIEWS_BOOT_WALL_NS + 3600000000000LL));
	assert_string_equal(
		out(s),
		"08:14:08.000  lost    1,204 events, the ring was full; a resync follows\n"
		"08:14:08.000  resync  compared with the kernel: 3 added, 1 removed, 1,140 as they were\n"
		"08:14:08.000  clock   the wall clock stepped ahead by 1h00m, from 2026-11-22 07:31:32 to 2026-11-22"
		" 08:31:32\n");
}

static void a_loss_stands_after_what_came_before_it(void **state)
{
	struct sheet *s = *state;

	tell(s, bind_ok(.port = 80, .socket_id = 7));
	tell(s, view_of(.action = ACTION_LOST, .count = 1, .where_lost = LOST_MAP));
	assert_true(strstr(out(s), "bind  ") < strstr(out(s), "lost  "));
}

static void a_port_that_lingered_is_told_free(void **state)
{
	struct sheet *s = *state;

	tell(s, view_of(.action = ACTION_FREE, .port = 80, .lingered_ms = 58000, NGINX));
	tell(s, view_of(.action = ACTION_HANDOFF, .port = 80, NGINX,
			.owners = { { .pid = 54, .comm = "nginx" }, { .pid = 55, .comm = "nginx" } }));
	assert_has(
		out(s),
		"free    tcp 0.0.0.0:80       nginx[53]     nginx.service        58 s after it was closed\n");
	assert_has(
		out(s),
		"handoff tcp 0.0.0.0:80       nginx[53]     nginx.service        now held by nginx[54] +1\n");
}

static void a_close_says_how_long_and_by_whom(void **state)
{
	static const struct {
		struct view_spec spec;
		const char *note;
	} cases[] = {
		{ { .free = FREE_YES }, "root\n" },
		{ { .since_ms = -1000, .held_ms = 1000, .free = FREE_YES }, " after 1 s\n" },
		{ { .since_ms = -1000, .held_ms = 1000, .precision = SINCE_NOT_AFTER },
		  " after at least 1 s\n" },
		{ { .since_ms = -1000, .held_ms = 1000, .precision = SINCE_NOT_BEFORE },
		  " after at most 1 s\n" },
		{ { .since_ms = -2000, .precision = SINCE_NOT_BEFORE }, " after at most 2 s\n" },
		{ { .free = FREE_NO }, " busy\n" },
		{ { .free = FREE_NO, .holders = { { .kind = HOLDER_TIME_WAIT, .expires_ms = 9500 } } },
		  " busy: 1 TIME_WAIT, free in <= 11 s\n" },
		{ { .free = FREE_NO,
		    .holders = { { .kind = HOLDER_ACCEPTED }, { .kind = HOLDER_TIME_WAIT } } },
		  " busy: 1 accepted, 1 TIME_WAIT\n" },
		{ { .closed_by_pid = 77, .closed_by_comm = "sh" }, " closed by sh[77]\n" },
		{ { .closed_by_pid = 61, .closed_by_comm = "python3" }, "root\n" },
	};
	struct sheet *s = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct view_spec spec = cases[i].spec;

		spec.action = ACTION_RELEASE;
		reopen(s, (struct sink_options){ 0 });
		tell(s, views_make(&spec));
		if (!strstr(out(s), cases[i].note))
			fail_msg("%s lacks %s", s->out, cases[i].note);
	}
}

static void what_a_program_changed_on_the_way_is_said(void **state)
{
	struct sheet *s = *state;

	tell(s, listen_ok(.port = 8080, .asked_port = 80));
	tell(s, listen_ok(.port = 40000, .has_asked_port = true, .ephemeral = true));
	assert_has(out(s), "asked for 0.0.0.0:80\n");
	assert_int_equal(count(out(s), "asked for"), 1);
}

/* ---- layout ---- */

static void columns_widen_with_what_was_seen(void **state)
{
	struct sheet *s = *state;

	tell(s, listen_ok(.addr = "2001:db8::1234:5678", .port = 443, .pid = 1));
	tell(s, listen_ok(.port = 80, .pid = 2));
	assert_string_equal(out(s),
			    "08:14:08.000  listen  tcp [2001:db8::1234:5678]:443  python3[1]    root\n"
			    "08:14:08.000  listen  tcp 0.0.0.0:80                 python3[2]    root\n");
}

static void only_a_terminal_has_its_values_cut(void **state)
{
	static const char unit[] = "a-very-long-name-of-a-unit-that-no-column-holds.service";
	struct sheet *s = *state;

	tell(s, listen_ok(.port = 80, .unit = unit));
	assert_has(out(s), unit);
	reopen(s, (struct sink_options){ .tty = true, .columns = 200 });
	tell(s, listen_ok(.port = 80, .unit = unit));
	assert_hasnt(out(s), unit);
	assert_has(out(s), "a-very-long-name-of-a-unit-that…\n");
}

static void no_name_hides_the_pid(void **state)
{
	struct sheet *s = *state;

	reopen(s, (struct sink_options){ .tty = true, .columns = 200 });
	tell(s, listen_ok(.port = 80, .pid = 4194304, .comm = "\x1b[31m[1]\xff\x9b[2]xx"));
	assert_has(out(s), "…[4194304]");
}

static void eighty_columns_are_enough(void **state)
{
	struct sheet *s = *state;
	const char *line;
	size_t len;

	reopen(s, (struct sink_options){ .tty = true, .columns = 80, .header = true });
	tell(s, listen_ok(.port = 80, NGINX));
	tell(s, clash(1, 61));
	tell(s, release_of(.port = 80, .at_ms = 2, NGINX, .since_ms = 1, .held_ms = 1, .free = FREE_NO,
			   .holders = { { .kind = HOLDER_TIME_WAIT } }));
	tell(s, release_of(.port = 81, .at_ms = 3, NGINX, .since_ms = 1, .held_ms = 1));
	tell(s, view_of(.action = ACTION_CLOCK, .at_ms = 4, .clock_new_ns = VIEWS_BOOT_WALL_NS));
	for (line = out(s); *line; line += len + 1) {
		len = strcspn(line, "\n");
		assert_true(len > 0 && len <= 80);
	}
	assert_has(out(s), "\n                      EADDRINUSE: held by nginx[53] (nginx.service)");
	assert_has(out(s), "nginx.service  after 1 ms\n");
}

static void no_line_ends_in_spaces(void **state)
{
	struct sheet *s = *state;

	reopen(s, (struct sink_options){ .wide = true, .header = true });
	tell(s, listen_ok(.port = 80, NGINX));
	tell(s, clash(1, 61));
	tell(s, view_of(.action = ACTION_HANDOFF, .at_ms = 2));
	assert_hasnt(out(s), " \n");
}

static void wide_adds_columns(void **state)
{
	struct sheet *s = *state;

	reopen(s, (struct sink_options){ .wide = true, .header = true });
	tell(s,
	     listen_ok(.port = 80, .uid = 1000, .user_name = "alice", .ppid = 12, .backlog = 511, .via = 1,
		       .options = OPT_REUSEADDR | OPT_V6ONLY, .args = { "python3", "--password=hunter2" }));
	assert_has(out(s), "USER");
	assert_has(out(s), "alice(1000)");
	assert_has(out(s), " 12 ");
	assert_has(out(s), " host ");
	assert_has(out(s), "reuseaddr,v6only");
	assert_has(out(s), "511");
	assert_has(out(s), "fexit");
	assert_has(out(s), "/usr/bin/python3");
	assert_hasnt(out(s), "hunter2");
}

static void colour_is_only_where_it_was_asked_for(void **state)
{
	struct sheet *s = *state;

	tell(s, clash(0, 61));
	assert_hasnt(out(s), "\x1b");
	reopen(s, (struct sink_options){ .color = true });
	tell(s, clash(0, 61));
	assert_has(out(s), "  \x1b[1;31mFAILED\x1b[0m  tcp 0.0.0.0:80       python3[61]");
}

static void time_has_four_styles(void **state)
{
	static const struct {
		enum time_style style;
		const char *first, *second;
	} cases[] = {
		{ TIME_STYLE_LOCAL, "08:14:08.001  bind", "08:14:08.501  bind" },
		{ TIME_STYLE_UTC, "08:14:08.001Z  bind", "08:14:08.501Z  bind" },
		{ TIME_STYLE_BOOT, "2556.001000   bind", "2556.501000   bind" },
		{ TIME_STYLE_DELTA, "+0.000000     bind", "+0.500000     bind" },
	};
	struct sheet *s = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		reopen(s, (struct sink_options){ .time = cases[i].style });
		tell(s, bind_ok(.proto = PROTO_UDP, .at_ms = 1));
		tell(s, bind_ok(.proto = PROTO_UDP, .at_ms = 501));
		assert_int_equal(strncmp(out(s), cases[i].first, strlen(cases[i].first)), 0);
		assert_has(out(s), cases[i].second);
	}
}

static void local_time_is_that_of_the_zone(void **state)
{
	struct sheet *s = *state;

	setenv("TZ", "XYZ-2", 1);
	tzset();
	tell(s, bind_ok(.proto = PROTO_UDP));
	assert_int_equal(strncmp(out(s), "10:14:08.000  bind", 18), 0);
}

static void an_old_time_has_its_date(void **state)
{
	struct sheet *s = *state;

	tick(s, AT(90000000));
	tell(s, bind_ok(.proto = PROTO_UDP));
	assert_int_equal(strncmp(out(s), "2026-11-22 08:14:08.000  bind", 29), 0);
}

static void chosen_fields_are_columns(void **state)
{
	const struct field *only[] = { field_find("port", 4), field_find("comm", 4), field_find("errno", 5) };
	struct sheet *s = *state;

	reopen(s, (struct sink_options){ .only = only, .n_only = 3, .header = true });
	tell(s, bind_ok(.port = 80, .socket_id = 7,
			.comm = "a\x1b"
				"b"));
	tell(s, bind_failed(.port = 8080, .error = EADDRINUSE));
	tell(s, bind_failed(.port = 8080, .error = EADDRINUSE));
	tell(s, view_of(.action = ACTION_LOST, .count = 3, .where_lost = LOST_QUEUE));
	assert_int_equal(count(out(s), "\n"), 4);
	assert_int_equal(strncmp(out(s), "PORT  COMM  ERRNO\n80    ", 24), 0);
	assert_has(out(s), "\n8080  python3   EADDRINUSE\n");
	assert_hasnt(out(s), "\x1b");
	assert_string_equal(talk(s), "portlog: lost: 3 events, the queue was full; a resync follows\n");
}

/* ---- writing ---- */

static void without_line_buffering_a_flush_writes(void **state)
{
	struct sheet *s = *state;

	reopen(s, (struct sink_options){ 0 });
	sink_text.close(s->sink);
	assert_int_equal(sink_text.open(&(struct sink_options){ .fd = s->out_fd }, &s->sink), 0);
	tell(s, listen_ok(.port = 80));
	assert_string_equal(out(s), "");
	assert_int_equal(sink_text.flush(s->sink), 0);
	assert_has(out(s), "listen");
}

static void a_reader_that_has_gone_ends_it_quietly(void **state)
{
	struct sheet *s = *state;
	int ends[2];

	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	close(ends[0]);
	sink_text.close(s->sink);
	assert_int_equal(
		sink_text.open(&(struct sink_options){ .fd = ends[1], .line_buffered = true }, &s->sink), 0);
	assert_int_equal(sink_text.write(s->sink, listen_ok(.port = 80)), -EPIPE);
	close(ends[1]);
}

static void closing_nothing_is_fine(void **state)
{
	(void)state;
	sink_text.close(NULL);
}

#define fact(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		fact(what_a_person_sees),
		fact(quiet_says_nothing_beside_the_data),
		fact(the_opening_line_does_not_wait_for_ever),
		fact(namespaces_that_were_not_looked_into_are_said),
		fact(what_is_told_is_not_called_hidden),
		fact(the_snapshot_is_a_number_unless_it_was_asked_for),
		fact(a_correction_is_told_even_so),
		fact(addresses_are_as_ss_prints_them),
		fact(who_is_the_unit_else_the_user),
		fact(no_control_byte_reaches_a_terminal),
		fact(a_server_is_one_line),
		fact(a_bind_that_stays_alone_is_told_after_a_moment),
		fact(another_record_is_a_clock_too),
		fact(udp_waits_for_nothing),
		fact(a_late_listen_is_a_line_of_its_own),
		fact(a_listen_that_fails_tells_the_bind_first),
		fact(a_release_tells_the_bind_first),
		fact(other_sockets_do_not_join),
		fact(a_failure_that_repeats_is_folded),
		fact(a_failure_that_goes_on_is_told_every_few_seconds),
		fact(one_repeat_alone_is_an_ordinary_line),
		fact(a_failure_long_after_is_a_new_one),
		fact(different_failures_are_not_folded_together),
		fact(what_was_folded_about_a_port_comes_before_the_next_event_on_it),
		fact(a_process_that_does_too_much_is_folded),
		fact(each_kind_of_event_has_its_own_fold),
		fact(a_flood_stays_folded_until_it_ends),
		fact(ten_a_second_are_no_flood),
		fact(many_processes_are_no_flood),
		fact(what_is_held_back_is_bounded),
		fact(every_event_is_in_the_totals_once),
		fact(the_stream_tells_of_itself),
		fact(a_loss_stands_after_what_came_before_it),
		fact(a_port_that_lingered_is_told_free),
		fact(a_close_says_how_long_and_by_whom),
		fact(what_a_program_changed_on_the_way_is_said),
		fact(columns_widen_with_what_was_seen),
		fact(only_a_terminal_has_its_values_cut),
		fact(no_name_hides_the_pid),
		fact(eighty_columns_are_enough),
		fact(no_line_ends_in_spaces),
		fact(wide_adds_columns),
		fact(colour_is_only_where_it_was_asked_for),
		fact(time_has_four_styles),
		fact(local_time_is_that_of_the_zone),
		fact(an_old_time_has_its_date),
		fact(chosen_fields_are_columns),
		fact(without_line_buffering_a_flush_writes),
		fact(a_reader_that_has_gone_ends_it_quietly),
		fact(closing_nothing_is_fine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
