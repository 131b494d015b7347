/* SPDX-License-Identifier: GPL-2.0-only */
/* The error trail: what is said, in which order, and that an error never looks like success. */
#include "util/fail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

/* Before cmocka.h, which has a macro of that name. */
static int begin(int error, const char *what)
{
	return fail(error, "open %s", what);
}

#include <cmocka.h>

static int setup(void **state)
{
	(void)state;
	fail_clear();
	return 0;
}

static void a_story_says_what_and_why(void **state)
{
	(void)state;
	assert_int_equal(begin(-ENOENT, "a"), -ENOENT);
	assert_string_equal(fail_story(), "open a: No such file or directory");
	assert_string_equal(fail_remedy(), "");
}

static void what_we_were_doing_comes_before_it(void **state)
{
	(void)state;
	begin(-ENOENT, "a");
	assert_int_equal(fail_add(-ENOENT, "read the %s", "map"), -ENOENT);
	fail_add(-ENOENT, "start");
	assert_string_equal(fail_story(), "start: read the map: open a: No such file or directory");
}

static void without_a_beginning_the_error_is_one(void **state)
{
	(void)state;
	assert_int_equal(fail_add(-EPERM, "start"), -EPERM);
	assert_string_equal(fail_story(), "start: Operation not permitted");
}

static void a_text_says_all_itself(void **state)
{
	(void)state;
	assert_int_equal(fail_text(-EINVAL, "no %s here", "port"), -EINVAL);
	assert_string_equal(fail_story(), "no port here");
}

static void a_hint_is_a_line_of_its_own_until_the_next_story(void **state)
{
	(void)state;
	begin(-EPERM, "a");
	assert_int_equal(fail_hint(-EPERM, "be %s", "root"), -EPERM);
	fail_add(-EPERM, "start");
	assert_string_equal(fail_remedy(), "be root");
	assert_string_equal(fail_story(), "start: open a: Operation not permitted");
	begin(-ENOENT, "b");
	assert_string_equal(fail_remedy(), "");
	fail_hint(-ENOENT, "again");
	fail_text(-EINVAL, "wrong");
	assert_string_equal(fail_remedy(), "");
}

static void clear_leaves_nothing(void **state)
{
	(void)state;
	begin(-EPERM, "a");
	fail_hint(-EPERM, "be root");
	fail_clear();
	assert_string_equal(fail_story(), "");
	assert_string_equal(fail_remedy(), "");
}

static void what_is_no_error_becomes_one(void **state)
{
	(void)state;
	assert_int_equal(begin(0, "a"), -EIO);
	assert_string_equal(fail_story(), "open a: Input/output error");
	assert_int_equal(fail_text(0, "x"), -EIO);
	assert_int_equal(fail_add(1, "x"), -EIO);
	assert_int_equal(fail_hint(EPERM, "x"), -EIO);
}

static void a_story_too_long_ends_in_dots(void **state)
{
	char name[2000];

	(void)state;
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	begin(-ENOENT, name);
	assert_int_equal(strlen(fail_story()), 1023);
	assert_string_equal(fail_story() + 1015, "xxxxx...");
	for (int i = 0; i < 3; i++) {
		fail_add(-ENOENT, "step");
		assert_int_equal(strlen(fail_story()), 1023);
	}
	assert_memory_equal(fail_story(), "step: step: step: open xx", 25);
	assert_string_equal(fail_story() + 1020, "...");
	fail_hint(-ENOENT, "%s", name);
	assert_int_equal(strlen(fail_remedy()), 1023);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_story_says_what_and_why, setup),
		cmocka_unit_test_setup(what_we_were_doing_comes_before_it, setup),
		cmocka_unit_test_setup(without_a_beginning_the_error_is_one, setup),
		cmocka_unit_test_setup(a_text_says_all_itself, setup),
		cmocka_unit_test_setup(a_hint_is_a_line_of_its_own_until_the_next_story, setup),
		cmocka_unit_test_setup(clear_leaves_nothing, setup),
		cmocka_unit_test_setup(what_is_no_error_becomes_one, setup),
		cmocka_unit_test_setup(a_story_too_long_ends_in_dots, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
