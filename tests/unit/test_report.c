/* SPDX-License-Identifier: GPL-2.0-only */
/* What `run` says: the lines of the tracing half, and which of them are shown when. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#undef fail /* ours is another */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cmd/run_show.h"
#include "sink/report.h"
#include "sink/sink.h"
#include "support/views.h"
#include "util/fail.h"

#define TEXT_MAX 16384

static char text[TEXT_MAX];

/* All that was written to @fd so far. */
static const char *written(int fd)
{
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	assert_true(n >= 0);
	text[n] = '\0';
	return text;
}

static int memory_file(void)
{
	int fd = memfd_create("report", MFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

/* ---- the sink ---- */

struct out {
	int fd;
	void *sink;
};

static struct out *out_open(bool verbose, bool json)
{
	static struct out out;
	struct sink_options o = { .fd = memory_file(), .verbose = verbose, .json = json };

	out.fd = o.fd;
	assert_int_equal(sink_report.open(&o, &out.sink), 0);
	return &out;
}

static void tell(struct out *out, const struct view *v)
{
	assert_int_equal(sink_report.write(out->sink, v), 0);
}

static const char *out_end(struct out *out)
{
	uint64_t next;

	assert_int_equal(sink_report.tick(out->sink, UINT64_MAX, &next), 0);
	assert_int_equal(sink_report.flush(out->sink), 0);
	sink_report.close(out->sink);
	written(out->fd);
	close(out->fd);
	return text;
}

static void a_failure_is_three_lines(void **state)
{
	struct out *out = out_open(false, false);

	(void)state;
	tell(out, bind_failed(.error = EADDRINUSE, .tree = true, .port = 80, .pid = 7, .code = "listener",
			      .why = "held by nginx[53]", .hint = "another port"));
	assert_string_equal(out_end(out), "!portlog: python3[7] could not bind tcp 0.0.0.0:80: EADDRINUSE\n"
					  "!         held by nginx[53]\n"
					  "!         try: another port\n");
}

static void a_failure_of_somebody_else_is_marked(void **state)
{
	struct out *out = out_open(false, false);

	(void)state;
	tell(out, listen_failed(.error = EADDRINUSE, .port = 80, .pid = 7, .unit = "web.service"));
	assert_string_equal(
		out_end(out),
		"?portlog: python3[7] (web.service) could not listen on tcp 0.0.0.0:80: EADDRINUSE\n");
}

static void the_same_failure_again_is_counted(void **state)
{
	struct out *out = out_open(false, false);

	(void)state;
	for (unsigned pid = 7; pid < 10; pid++)
		tell(out, bind_failed(.error = EADDRINUSE, .tree = true, .port = 80, .pid = pid));
	tell(out, bind_failed(.error = EACCES, .tree = true, .port = 80, .pid = 7));
	assert_string_equal(out_end(out), "!portlog: python3[7] could not bind tcp 0.0.0.0:80: EADDRINUSE\n"
					  "!portlog: python3[7] could not bind tcp 0.0.0.0:80: EACCES\n"
					  "!portlog: tcp 0.0.0.0:80 failed 2 more times\n");
}

static void what_finds_no_room_is_counted(void **state)
{
	struct out *out = out_open(false, false);

	(void)state;
	for (uint16_t port = 1; port <= 100; port++)
		tell(out, bind_failed(.error = EADDRINUSE, .tree = true, .port = port));
	assert_non_null(strstr(out_end(out), "\n!portlog: and 36 other failures\n"));
}

/* Others may fail as often as they like: what the command itself failed at is what it is all about. */
static void failures_elsewhere_leave_room_for_the_commands_own(void **state)
{
	struct out *out = out_open(false, false);

	(void)state;
	for (uint16_t port = 1; port <= 100; port++)
		tell(out, bind_failed(.error = EADDRINUSE, .port = port));
	tell(out, bind_failed(.error = EADDRINUSE, .tree = true, .port = 80, .pid = 7));
	out_end(out);
	assert_non_null(strstr(text, "!portlog: python3[7] could not bind tcp 0.0.0.0:80: EADDRINUSE\n"));
	assert_non_null(strstr(text, "?portlog: and 36 other failures\n"));
}

static void only_verbose_tells_what_works(void **state)
{
	struct out *out = out_open(false, false);

	(void)state;
	tell(out, bind_ok(.tree = true, .port = 80, .pid = 7));
	assert_string_equal(out_end(out), "");
	out = out_open(true, false);
	tell(out, bind_ok(.tree = true, .port = 80, .pid = 7));
	tell(out, bind_ok(.port = 81, .pid = 8));
	assert_string_equal(out_end(out), "-portlog: python3[7] bound tcp 0.0.0.0:80\n");
}

static void a_port_left_behind_has_its_owners(void **state)
{
	struct out *out = out_open(false, false);

	(void)state;
	tell(out, snapshot_of(.tree = true, .port = 80, .pid = 7, .owners = { { .pid = 7 }, { .pid = 8 } }));
	tell(out, snapshot_of(.tree = true, .port = 81, .correction = true));
	assert_string_equal(out_end(out),
			    "-portlog: left behind: python3[7] +1 still holds tcp 0.0.0.0:80\n");
}

static void text_of_others_makes_no_line(void **state)
{
	struct out *out = out_open(false, false);

	(void)state;
	tell(out, bind_failed(.error = EADDRINUSE, .tree = true, .port = 80, .pid = 7, .comm = "a\n!b\033[2J",
			      .code = "listener", .why = "held by \n=\n"));
	assert_string_equal(out_end(out),
			    "!portlog: a\\x0a!b\\x1b[2J[7] could not bind tcp 0.0.0.0:80: EADDRINUSE\n"
			    "!         held by \\x0a=\\x0a\n");
}

static void readiness_is_a_line_of_its_own(void **state)
{
	struct out *out = out_open(false, true);

	(void)state;
	tell(out, view_of(.action = ACTION_SYNCED));
	out_end(out);
	assert_int_equal(text[0], REPORT_EVENT);
	assert_non_null(strstr(text, "\"action\":\"synced\""));
	assert_string_equal(strchr(text, '\n'), "\n=\n");
}

/* ---- what is shown ---- */

static struct show show;

static void show_open(void)
{
	show = (struct show){ .fd = memory_file() };
}

static void line(const char *said)
{
	show_line(&show, said, strlen(said));
}

static const char *show_close(int status, bool explained)
{
	show_end(&show, status, explained);
	written(show.fd);
	show_done(&show);
	close(show.fd);
	return text;
}

static void a_failure_waits_for_the_commands_own_words(void **state)
{
	(void)state;
	show_open();
	line("!portlog: a failed");
	show_due(&show, show.due_ns - 1);
	assert_string_equal(written(show.fd), "");
	show_due(&show, show.due_ns);
	assert_string_equal(written(show.fd), "portlog: a failed\n");
	assert_string_equal(show_close(1, false), "portlog: a failed\n");
}

static void failures_elsewhere_are_for_a_command_that_failed_without_one(void **state)
{
	(void)state;
	show_open();
	line("?portlog: other failed");
	line("?         because");
	assert_string_equal(show_close(0, false), "");
	show_open();
	line("?portlog: other failed");
	line("!portlog: a failed");
	assert_string_equal(show_close(1, false), "portlog: a failed\n");
	show_open();
	line("?portlog: other failed");
	line("?         because");
	assert_string_equal(show_close(4, false),
			    "portlog: status 4, and no bind or listen of the command failed; "
			    "outside of it, meanwhile:\n"
			    "portlog: other failed\n         because\n");
}

static void many_failures_elsewhere_are_counted(void **state)
{
	(void)state;
	show_open();
	for (int i = 0; i < 10; i++)
		line("?portlog: other failed");
	assert_non_null(strstr(show_close(4, false), "portlog: and 2 more\n"));
}

static void a_signal_needs_no_explanation(void **state)
{
	(void)state;
	show_open();
	assert_string_equal(show_close(130, true), "");
}

static void events_are_shown_at_once_and_alone(void **state)
{
	(void)state;
	show_open();
	show.json = true;
	line("j{}");
	assert_string_equal(written(show.fd), "{}\n");
	assert_string_equal(show_close(4, false), "{}\n");
}

static int teardown(void **state)
{
	(void)state;
	views_free();
	fail_clear();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_failure_is_three_lines, teardown),
		cmocka_unit_test_teardown(a_failure_of_somebody_else_is_marked, teardown),
		cmocka_unit_test_teardown(the_same_failure_again_is_counted, teardown),
		cmocka_unit_test_teardown(what_finds_no_room_is_counted, teardown),
		cmocka_unit_test_teardown(failures_elsewhere_leave_room_for_the_commands_own, teardown),
		cmocka_unit_test_teardown(only_verbose_tells_what_works, teardown),
		cmocka_unit_test_teardown(a_port_left_behind_has_its_owners, teardown),
		cmocka_unit_test_teardown(text_of_others_makes_no_line, teardown),
		cmocka_unit_test_teardown(readiness_is_a_line_of_its_own, teardown),
		cmocka_unit_test(a_failure_waits_for_the_commands_own_words),
		cmocka_unit_test(failures_elsewhere_are_for_a_command_that_failed_without_one),
		cmocka_unit_test(many_failures_elsewhere_are_counted),
		cmocka_unit_test(a_signal_needs_no_explanation),
		cmocka_unit_test(events_are_shown_at_once_and_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
