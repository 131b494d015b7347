/* SPDX-License-Identifier: GPL-2.0-only */
/* Options from tables, and what is said about a wrong one. */
#include "util/fail.h" /* before cmocka.h, which has a macro fail() */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/args.h"
#include "util/cleanup.h"

#define WORDS_MAX 16

struct opts {
	bool flag;
	uint32_t number;
	uint64_t size;
	uint64_t duration;
	const char *string;
	int choice;
	int reuse;
	unsigned calls;
	const char *called_with;
};

static int call(void *opts, const char *text)
{
	struct opts *o = opts;

	o->calls++;
	o->called_with = text;
	if (text && strcmp(text, "bad") == 0)
		return fail_text(-EINVAL, "bad is bad");
	return 0;
}

static const struct arg args[] = {
	{ 'f', "flag", ARG_FLAG, offsetof(struct opts, flag), NULL, "a flag" },
	{ 'n', "number", ARG_U32, offsetof(struct opts, number), "N", "a number" },
	{ 's', "size", ARG_SIZE, offsetof(struct opts, size), "SIZE", "a size" },
	{ 0, "reuse", ARG_CHOICE, offsetof(struct opts, reuse), "both|yes|no", "or alone", .bare = "yes" },
	{ 0, "secret", ARG_FLAG, offsetof(struct opts, flag), NULL, "not told", NULL, false, true },
	{ 0 },
};

static const struct arg common[] = {
	{ 0, "duration", ARG_DURATION, offsetof(struct opts, duration), "TIME", "a duration" },
	{ 'S', "string", ARG_STRING, offsetof(struct opts, string), "TEXT", "a string" },
	{ 0, "color", ARG_CHOICE, offsetof(struct opts, choice), "auto|always|never", "a choice" },
	{ 'v', "verbose", ARG_CALL, 0, NULL, "a call", call, true },
	{ 0, "call", ARG_CALL, 0, "VALUE", "a call with a value that has a long name", call },
	{ 0 },
};

static struct opts opts;
static char **operands;
static int n_operands;

/* "-f --number 3 word": split at spaces, parsed into opts. */
static int parse(const char *line)
{
	static char text[512];
	static char *argv[WORDS_MAX + 1];
	int argc = 0;

	snprintf(text, sizeof(text), "portlog %s", line);
	for (char *word = strtok(text, " "); word && argc < WORDS_MAX; word = strtok(NULL, " "))
		argv[argc++] = word;
	argv[argc] = NULL;
	opts = (struct opts){ .choice = -1 };
	operands = NULL;
	n_operands = -1;
	fail_clear();
	return args_parse(argc, argv, args, common, &opts, &operands, &n_operands);
}

static void assert_refused(const char *line, const char *story, const char *remedy)
{
	assert_int_equal(parse(line), -EINVAL);
	assert_string_equal(fail_story(), story);
	assert_string_equal(fail_remedy(), remedy);
}

/* Of `run`: what follows the command's word is the command's. */
static void the_first_operand_may_end_the_options(void **state)
{
	char *argv[] = { "portlog", "-f", "command", "-f", "--bogus", NULL };
	int n;

	(void)state;
	opts = (struct opts){ 0 };
	assert_int_equal(args_parse_leading(5, argv, args, common, &opts, &operands, &n), 0);
	assert_int_equal(n, 3);
	assert_string_equal(operands[0], "command");
	assert_string_equal(operands[2], "--bogus");
}

static void every_type_is_stored_at_its_offset(void **state)
{
	(void)state;
	assert_int_equal(parse("-f -n 7 --size 8M --duration=250ms -Stext --color never -vv --call it"), 0);
	assert_true(opts.flag);
	assert_int_equal(opts.number, 7);
	assert_int_equal(opts.size, 8 << 20);
	assert_int_equal(opts.duration, 250000000);
	assert_string_equal(opts.string, "text");
	assert_int_equal(opts.choice, 2);
	assert_int_equal(opts.calls, 3);
	assert_string_equal(opts.called_with, "it");
	assert_int_equal(n_operands, 0);
}

static void a_choice_may_be_left_out_where_the_row_says_so(void **state)
{
	static const struct {
		const char *line;
		int reuse, n_operands;
	} rows[] = {
		{ "a", 0, 1 },
		{ "--reuse a", 1, 1 },
		{ "a --reuse", 1, 1 },
		{ "--reuse no a", 2, 1 },
		{ "--reuse=no a", 2, 1 },
		{ "--reuse both", 0, 0 },
		{ "--reuse nobody", 1, 1 },
		{ "--reuse -f", 1, 0 },
		{ "--reuse -- no", 1, 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(parse(rows[i].line), 0);
		assert_int_equal(opts.reuse, rows[i].reuse);
		assert_int_equal(n_operands, rows[i].n_operands);
	}
	assert_refused("--reuse=yess", "--reuse takes both|yes|no, not 'yess'", "did you mean yes?");
}

static void options_stand_among_operands(void **state)
{
	(void)state;
	assert_int_equal(parse("port -f 80 --number 3 and failed"), 0);
	assert_true(opts.flag);
	assert_int_equal(opts.number, 3);
	assert_int_equal(n_operands, 4);
	assert_string_equal(operands[0], "port");
	assert_string_equal(operands[1], "80");
	assert_string_equal(operands[2], "and");
	assert_string_equal(operands[3], "failed");
}

static void two_dashes_end_the_options(void **state)
{
	(void)state;
	assert_int_equal(parse("a -- -f"), 0);
	assert_false(opts.flag);
	assert_int_equal(n_operands, 2);
	assert_string_equal(operands[1], "-f");
}

static void the_same_words_parse_the_same_twice(void **state)
{
	(void)state;
	assert_int_equal(parse("-fz"), -EINVAL);
	assert_int_equal(parse("-f x"), 0);
	assert_true(opts.flag);
	assert_int_equal(n_operands, 1);
}

static void a_long_name_may_be_cut(void **state)
{
	(void)state;
	assert_int_equal(parse("--num 3"), 0);
	assert_int_equal(opts.number, 3);
	assert_refused("--s", "option '--s' is cut too short", "it may be --size, --string");
}

static void an_unknown_option_names_the_nearest(void **state)
{
	(void)state;
	assert_refused("--colour", "unknown option '--colour'", "did you mean --color?");
	assert_refused("--nubmer=3", "unknown option '--nubmer'", "did you mean --number?");
	assert_refused("--hlep", "unknown option '--hlep'", "did you mean --help?");
	assert_refused("--entirely-different", "unknown option '--entirely-different'", "");
	assert_refused("-z", "unknown option '-z'", "");
	assert_refused("-fz", "unknown option '-z'", "");
}

static void a_hidden_option_works_and_is_never_named(void **state)
{
	(void)state;
	assert_int_equal(parse("--secret"), 0);
	assert_true(opts.flag);
	assert_refused("--secert", "unknown option '--secert'", "");
}

static void a_missing_or_needless_value_is_refused(void **state)
{
	(void)state;
	assert_refused("-n", "option '--number' needs a value: N", "");
	assert_refused("--size", "option '--size' needs a value: SIZE", "");
	assert_refused("--flag=yes", "option '--flag' takes no value", "");
	assert_refused("--help=me", "option '--help' takes no value", "");
}

static void a_wrong_value_says_what_is_right(void **state)
{
	(void)state;
	assert_refused("-n x", "'x' is not a number: --number takes N", "");
	assert_refused("-n 4294967296", "'4294967296' is too large for --number", "");
	assert_refused("-s 8Q", "'8Q' is not a size like 8M or 512K: --size takes SIZE", "");
	assert_refused("--duration 5x", "'5x' is not a time like 30s, 250ms or 5m: --duration takes TIME",
		       "");
	assert_refused("--color alwys", "--color takes auto|always|never, not 'alwys'",
		       "did you mean always?");
	assert_refused("--color auto|always", "--color takes auto|always|never, not 'auto|always'", "");
	assert_refused("--call bad", "bad is bad", "");
}

static void help_is_an_outcome_of_its_own(void **state)
{
	(void)state;
	assert_int_equal(parse("-f --help"), ARGS_HELP);
	assert_int_equal(parse("x -h"), ARGS_HELP);
	assert_int_equal(parse("-- --help"), 0);
}

static void a_very_long_option_is_only_unknown(void **state)
{
	char line[400] = "--";

	(void)state;
	memset(line + 2, 'a', 300);
	line[302] = '\0';
	assert_int_equal(parse(line), -EINVAL);
	assert_true(strlen(fail_story()) < 100);
}

static void help_lists_what_is_not_hidden(void **state)
{
	auto_free char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	assert_non_null(out);
	args_help(out, args);
	args_help(out, common);
	fclose(out);
	assert_non_null(strstr(text, "  -f, --flag                      a flag\n"));
	assert_non_null(strstr(text, "      --reuse [both|yes|no]       or alone\n"));
	assert_non_null(strstr(text, "  -n, --number N                  a number\n"));
	assert_non_null(strstr(text, "      --color auto|always|never   a choice\n"));
	assert_null(strstr(text, "secret"));
}

static void the_nearest_word_is_one_slip_away(void **state)
{
	static const char *const words[] = { "port", "proto", "container", "history", NULL };
	static const char *const near[][2] = {
		{ "prot", "port" },       { "PORT", "port" },          { "potr", "port" },
		{ "porto", "port" },      { "contaner", "container" }, { "cont", "container" },
		{ "hisotry", "history" }, { "hsitroy", "history" },
	};
	static const char *const far[] = { "", "x", "nginx", "docker",
					   "history-of-the-world-and-all-that-lies-beyond" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(near); i++)
		assert_string_equal(nearest_word(near[i][0], words), near[i][1]);
	for (size_t i = 0; i < ARRAY_SIZE(far); i++)
		assert_null(nearest_word(far[i], words));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type_is_stored_at_its_offset),
		cmocka_unit_test(the_first_operand_may_end_the_options),
		cmocka_unit_test(a_choice_may_be_left_out_where_the_row_says_so),
		cmocka_unit_test(options_stand_among_operands),
		cmocka_unit_test(two_dashes_end_the_options),
		cmocka_unit_test(the_same_words_parse_the_same_twice),
		cmocka_unit_test(a_long_name_may_be_cut),
		cmocka_unit_test(an_unknown_option_names_the_nearest),
		cmocka_unit_test(a_hidden_option_works_and_is_never_named),
		cmocka_unit_test(a_missing_or_needless_value_is_refused),
		cmocka_unit_test(a_wrong_value_says_what_is_right),
		cmocka_unit_test(help_is_an_outcome_of_its_own),
		cmocka_unit_test(a_very_long_option_is_only_unknown),
		cmocka_unit_test(help_lists_what_is_not_hidden),
		cmocka_unit_test(the_nearest_word_is_one_slip_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
