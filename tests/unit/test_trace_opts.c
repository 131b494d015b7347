/* SPDX-License-Identifier: GPL-2.0-only */
/* What follows from the options of trace: the filter, and how it is shown. */
#include "util/fail.h" /* before cmocka.h, which has a macro fail() */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cmd/trace_opts.h"
#include "util/cleanup.h"

#define WORDS_MAX 32

static struct trace_opts opts;
static struct trace_config config;

/* "-x port 80": split at spaces, through the tables and trace_options(). */
static int configure(const char *line)
{
	static char text[512];
	static char *argv[WORDS_MAX + 1];
	char **operands;
	int argc = 0, n, r;

	trace_config_done(&config);
	snprintf(text, sizeof(text), "portlog %s", line);
	for (char *word = strtok(text, " "); word && argc < WORDS_MAX; word = strtok(NULL, " "))
		argv[argc++] = word;
	argv[argc] = NULL;
	trace_defaults(&opts);
	r = args_parse(argc, argv, trace_args, common_args, &opts, &operands, &n);
	return r < 0 ? r : trace_options(&opts, n, operands, &config);
}

static void assert_judged(const char *line, const char *description)
{
	char text[256];

	if (configure(line) < 0)
		fail_msg("'%s': %s", line, fail_story());
	filter_describe(config.filter, text, sizeof(text));
	assert_string_equal(text, description);
}

static int teardown(void **state)
{
	(void)state;
	trace_config_done(&config);
	unsetenv("COLUMNS");
	unsetenv("NO_COLOR");
	unsetenv("TERM");
	return 0;
}

static void without_options_everything_is_told(void **state)
{
	(void)state;
	assert_int_equal(configure(""), 0);
	assert_true(filter_is_empty(config.filter));
	assert_false(config.kernel->ports_valid || config.kernel->netns_valid || config.kernel->failed_only);
	assert_ptr_equal(config.sink, &sink_text);
	assert_int_equal(config.hooks, TRACE_HOOKS_AUTO);
	assert_int_equal(config.ring_bytes, 8 << 20);
	assert_int_equal(config.count, 0);
	assert_int_equal(config.duration_ns, 0);
	assert_true(config.snapshot);
	assert_false(config.ephemeral || config.autobind || config.quiet || config.verbose);
	assert_false(config.sink_options.current_first);
	assert_int_equal(config.sink_options.field.args, ARGS_MASKED);
}

static void every_option_arrives(void **state)
{
	(void)state;
	assert_int_equal(
		configure(
			"-j -vv -q -c 3 --duration 2s --no-snapshot --ephemeral --autobind --hooks tracepoint "
			"--ring 1M --args none"),
		0);
	assert_ptr_equal(config.sink, &sink_ndjson);
	assert_int_equal(config.verbose, 2);
	assert_true(config.quiet && config.ephemeral && config.autobind);
	assert_int_equal(config.count, 3);
	assert_int_equal(config.duration_ns, 2000000000);
	assert_false(config.snapshot);
	assert_int_equal(config.hooks, TRACE_HOOKS_TRACEPOINT);
	assert_int_equal(config.ring_bytes, 1 << 20);
	assert_int_equal(config.sink_options.field.args, ARGS_NONE);
	assert_true(config.sink_options.quiet && config.sink_options.ephemeral);
	assert_int_equal(config.sink_options.talk_fd, 0);
	assert_int_equal(configure("--hints -H --time boot"), 0);
	assert_true(config.sink_options.hints && config.sink_options.field.hints);
	assert_int_equal(config.sink_options.time, TIME_STYLE_BOOT);
}

static void the_last_of_two_outputs_counts(void **state)
{
	(void)state;
	assert_int_equal(configure("-j -o wide"), 0);
	assert_ptr_equal(config.sink, &sink_text);
	assert_true(config.sink_options.wide);
	assert_int_equal(configure("-o table -j"), 0);
	assert_ptr_equal(config.sink, &sink_ndjson);
}

static void shorthands_become_a_filter(void **state)
{
	(void)state;
	assert_judged("-x", "in the kernel: failed; here: nothing");
	assert_judged("-t", "in the kernel: nothing; here: proto tcp,mptcp");
	assert_judged("-u", "in the kernel: nothing; here: proto udp");
	assert_judged("-tu", "in the kernel: nothing; here: proto tcp,mptcp,udp");
	assert_judged("-4", "in the kernel: nothing; here: family ipv4");
	assert_judged("-6", "in the kernel: nothing; here: family ipv6");
	assert_judged("-46", "no filter");
	assert_judged("-N host", "in the kernel: netns host; here: nothing");
	assert_judged("-N a,b", "in the kernel: netns a,b; here: nothing");
	assert_judged("-N a(b)\"", "in the kernel: netns \"a(b)\\\"\"; here: nothing");
	assert_true(config.sink_options.current_first);
	assert_string_equal(config.kernel->netns[0], "a(b)\"");
}

static void shorthands_and_words_must_both_hold(void **state)
{
	(void)state;
	assert_judged("-x -u 53 or 54 -N host",
		      "in the kernel: 53 or 54, netns host, failed; here: proto udp");
	assert_judged("port 80 or comm x -x", "in the kernel: failed; here: (port 80 or comm x)");
	assert_judged("comm x -t", "in the kernel: nothing; here: (comm x) and proto tcp,mptcp");
}

static void a_wrong_filter_is_shown_as_it_was_typed(void **state)
{
	(void)state;
	assert_int_equal(configure("-x port 80 or prot 81"), -EINVAL);
	assert_string_equal(fail_story(), "'prot' is no keyword of a filter; did you mean 'port'?");
	assert_string_equal(fail_remedy(), "  port 80 or prot 81\n             ^~~~");
	assert_int_equal(configure("comm \xc3\xa4\xc3\xb6 \x1b[2J"), -EINVAL);
	assert_string_equal(fail_remedy(), "  comm \xc3\xa4\xc3\xb6 ?[2J\n          ^~~~");
	assert_int_equal(configure("a) or (failed"), -EINVAL);
}

static void of_a_long_filter_the_place_is_shown(void **state)
{
	char *words[] = { NULL, (char[]){ "prot" }, (char[]){ "80" } };
	struct filter *f;
	auto_free char *name = malloc(301);
	char *caret;

	(void)state;
	assert_non_null(name);
	memset(name, 'x', 300);
	memcpy(name, "comm ", 5);
	name[300] = '\0';
	words[0] = name;
	trace_defaults(&opts);
	assert_int_equal(common_filter(&opts.common, false, 3, words, &f), -EINVAL);
	caret = strchr(fail_remedy(), '\n');
	assert_non_null(caret);
	assert_true(caret - fail_remedy() < 80);
	assert_memory_equal(fail_remedy() + (strchr(caret, '^') - caret - 1), "prot", 4);
}

static void fields_are_found_by_name_or_path(void **state)
{
	(void)state;
	assert_int_equal(configure("-F port,process.pid"), 0);
	assert_int_equal(config.sink_options.n_only, 2);
	assert_string_equal(config.sink_options.only[0]->name, "port");
	assert_string_equal(config.sink_options.only[1]->name, "pid");
	assert_int_equal(configure("-F port,pidd,uid"), -EINVAL);
	assert_string_equal(fail_story(), "there is no field 'pidd'; did you mean 'pid'?");
	assert_string_equal(fail_remedy(), "  port,pidd,uid\n       ^~~~");
	assert_int_equal(configure("-F port,"), -EINVAL);
	assert_string_equal(fail_story(), "a field is missing; portlog-fields(7) lists them");
}

/* A terminal of 132 columns, its far end in *ret_far. */
static int open_terminal(int *ret_far)
{
	const struct winsize size = { .ws_row = 24, .ws_col = 132 };
	int far = posix_openpt(O_RDWR | O_NOCTTY), fd;

	if (far < 0 || grantpt(far) < 0 || unlockpt(far) < 0)
		return -1;
	fd = open(ptsname(far), O_RDWR | O_NOCTTY);
	if (fd >= 0)
		ioctl(fd, TIOCSWINSZ, &size);
	*ret_far = far;
	return fd;
}

static void a_terminal_gets_a_header_and_colour(void **state)
{
	auto_close int far = -1;
	auto_close int fd = open_terminal(&far);
	struct sink_options o;

	(void)state;
	if (fd < 0)
		skip();
	trace_defaults(&opts);
	setenv("TERM", "xterm", 1);
	assert_int_equal(common_sink(&opts.common, fd, &o), 0);
	assert_true(o.tty && o.header && o.color && o.line_buffered);
	assert_int_equal(o.columns, 132);
	assert_int_equal(o.talk_fd, STDERR_FILENO);
	setenv("COLUMNS", "100", 1);
	setenv("NO_COLOR", "", 1);
	opts.common.no_header = true;
	assert_int_equal(common_sink(&opts.common, fd, &o), 0);
	assert_true(o.color && !o.header);
	assert_int_equal(o.columns, 100);
}

static void colour_is_off_where_it_is_not_wanted(void **state)
{
	static const struct {
		const char *term, *no_color;
		int when;
		bool color;
	} rows[] = {
		{ "xterm", NULL, COLOR_AUTO, true }, { "dumb", NULL, COLOR_AUTO, false },
		{ NULL, NULL, COLOR_AUTO, false },   { "xterm", "1", COLOR_AUTO, false },
		{ "dumb", "1", COLOR_ALWAYS, true }, { "xterm", NULL, COLOR_NEVER, false },
	};
	auto_close int far = -1;
	auto_close int fd = open_terminal(&far);
	struct sink_options o;

	(void)state;
	if (fd < 0)
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		teardown(NULL);
		if (rows[i].term)
			setenv("TERM", rows[i].term, 1);
		if (rows[i].no_color)
			setenv("NO_COLOR", rows[i].no_color, 1);
		trace_defaults(&opts);
		opts.common.color = rows[i].when;
		assert_int_equal(common_sink(&opts.common, fd, &o), 0);
		assert_int_equal(o.color, rows[i].color);
	}
}

static void a_file_or_pipe_gets_plain_lines(void **state)
{
	auto_close int file = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	int ends[2];
	struct sink_options o;

	(void)state;
	trace_defaults(&opts);
	setenv("TERM", "xterm", 1);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(common_sink(&opts.common, ends[1], &o), 0);
	assert_true(!o.tty && !o.header && !o.color && o.line_buffered);
	assert_int_equal(o.columns, 0);
	close(ends[0]);
	close(ends[1]);
	if (file < 0)
		skip();
	assert_int_equal(common_sink(&opts.common, file, &o), 0);
	assert_false(o.line_buffered);
}

int main(void)
{
#define FACT(f) cmocka_unit_test_teardown(f, teardown)
	const struct CMUnitTest tests[] = {
		FACT(without_options_everything_is_told),  FACT(every_option_arrives),
		FACT(the_last_of_two_outputs_counts),      FACT(shorthands_become_a_filter),
		FACT(shorthands_and_words_must_both_hold), FACT(a_wrong_filter_is_shown_as_it_was_typed),
		FACT(of_a_long_filter_the_place_is_shown), FACT(fields_are_found_by_name_or_path),
		FACT(a_terminal_gets_a_header_and_colour), FACT(colour_is_off_where_it_is_not_wanted),
		FACT(a_file_or_pipe_gets_plain_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
