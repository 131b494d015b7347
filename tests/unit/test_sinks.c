/* SPDX-License-Identifier: GPL-2.0-only */
/* --sink 'KIND:ARGUMENT FILTER': what is taken, and what is said of the rest. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#undef fail /* ours is another */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sink/sinks.h"
#include "support/views.h"
#include "util/fail.h"

static struct sinks sinks;

static int teardown(void **state)
{
	(void)state;
	sinks_done(&sinks);
	views_free();
	fail_clear();
	return 0;
}

static void refused(const char *text, const char *story, const char *caret)
{
	assert_int_equal(sinks_add(&sinks, text), -EINVAL);
	assert_string_equal(fail_story(), story);
	if (caret)
		assert_string_equal(fail_remedy(), caret);
}

static void a_kind_with_its_argument_and_without_a_filter(void **state)
{
	struct writer_sink w;

	(void)state;
	assert_int_equal(sinks_add(&sinks, "ndjson:/var/log/x.ndjson"), 0);
	assert_int_equal(sinks.n, 1);
	w = sink_spec_writer(&sinks.list[0]);
	assert_string_equal(w.name, "ndjson:/var/log/x.ndjson");
	assert_string_equal(w.options.arg, "/var/log/x.ndjson");
	assert_ptr_equal(w.ops, &sink_ndjson_file);
	assert_null(w.filter);
}

static void what_follows_the_first_space_is_a_filter(void **state)
{
	(void)state;
	assert_int_equal(sinks_add(&sinks, "ndjson:/x  port 80 and failed"), 0);
	assert_string_equal(sinks.list[0].name, "ndjson:/x");
	assert_true(filter_match(sinks.list[0].filter, bind_failed(.port = 80, .error = EADDRINUSE)));
	assert_false(filter_match(sinks.list[0].filter, bind_failed(.port = 81, .error = EADDRINUSE)));
	assert_false(filter_match(sinks.list[0].filter, bind_ok(.port = 80)));
}

static void an_argument_with_spaces_is_quoted(void **state)
{
	(void)state;
	assert_int_equal(sinks_add(&sinks, "ndjson:\"/a b/c\" failed"), 0);
	assert_string_equal(sinks.list[0].argument, "/a b/c");
	assert_string_equal(sinks.list[0].name, "ndjson:\"/a b/c\"");
	assert_non_null(sinks.list[0].filter);
	refused("ndjson:\"/a b", "this quote is not closed", "  ndjson:\"/a b\n         ^");
	refused("ndjson:\"/a\"b", "a space has to follow the quote", "  ndjson:\"/a\"b\n             ^");
}

static void an_unknown_kind_is_told_with_what_was_meant(void **state)
{
	(void)state;
	refused("njson:/x", "there is no kind of sink called 'njson'; did you mean 'ndjson'?",
		"  njson:/x\n  ^~~~~");
	refused("carrier-pigeon", "there is no kind of sink called 'carrier-pigeon'; the kinds are ndjson",
		"  carrier-pigeon\n  ^~~~~~~~~~~~~~");
	refused("", "there is no kind of sink called ''; the kinds are ndjson", "  \n  ^");
}

/* This program names sink_ndjson_file, so that it is linked, and not the other: a build without it is like that. */
static void a_kind_that_was_not_built_in_is_told_as_such(void **state)
{
	(void)state;
	refused("journald", "this build has no journald sink", "  journald\n  ^~~~~~~~");
}

static void a_missing_argument_is_told(void **state)
{
	(void)state;
	refused("ndjson", "FILE is missing", "  ndjson\n        ^");
	refused("ndjson:", "FILE is missing", "  ndjson:\n         ^");
	refused("ndjson: port 80", "FILE is missing", "  ndjson: port 80\n         ^");
}

static void a_wrong_filter_has_its_caret_in_the_whole_text(void **state)
{
	(void)state;
	refused("ndjson:/x prot 80", "'prot' is no keyword of a filter; did you mean 'port'?", NULL);
	assert_string_equal(fail_remedy(), "  ndjson:/x prot 80\n            ^~~~");
	assert_int_equal(sinks.n, 0);
}

static void two_sinks_in_one_file_are_refused(void **state)
{
	char name[] = "/tmp/portlog-test-XXXXXX", other[sizeof(name) + 8], text[2][64];
	int fd = mkstemp(name);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	snprintf(other, sizeof(other), "%s.too", name);
	assert_int_equal(symlink(name, other), 0);
	snprintf(text[0], sizeof(text[0]), "ndjson:%s", name);
	snprintf(text[1], sizeof(text[1]), "ndjson:%s failed", other);
	assert_int_equal(sinks_add(&sinks, text[0]), 0);
	refused(text[0], "another --sink writes there already", NULL);
	refused(text[1], "another --sink writes there already", NULL);
	assert_int_equal(sinks_add(&sinks, "ndjson:/nowhere"), 0);
	refused("ndjson:/nowhere port 80", "another --sink writes there already", NULL);
	unlink(other);
	unlink(name);
}

static void there_is_a_limit(void **state)
{
	char text[32];

	(void)state;
	for (unsigned i = 0; i < WRITER_SINKS_MAX - 2; i++) {
		snprintf(text, sizeof(text), "ndjson:/nowhere/%u", i);
		assert_int_equal(sinks_add(&sinks, text), 0);
	}
	refused("ndjson:/nowhere/more", "--sink can be given 14 times", NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_kind_with_its_argument_and_without_a_filter),
		TEST(what_follows_the_first_space_is_a_filter),
		TEST(an_argument_with_spaces_is_quoted),
		TEST(an_unknown_kind_is_told_with_what_was_meant),
		TEST(a_kind_that_was_not_built_in_is_told_as_such),
		TEST(a_missing_argument_is_told),
		TEST(a_wrong_filter_has_its_caret_in_the_whole_text),
		TEST(two_sinks_in_one_file_are_refused),
		TEST(there_is_a_limit),
	};
#undef TEST

	return cmocka_run_group_tests_name("sinks", tests, NULL, NULL);
}
