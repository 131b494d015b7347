/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The manual pages name every option, filter keyword and field. UPDATE=1 writes the list of fields anew into
 * man/portlog-fields.7. Runs in the checkout.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/common_opts.h"
#include "core/field.h"
#include "core/filter_tree.h"
#include "util/buf.h"
#include "util/cleanup.h"

#define PAGE "man/portlog.1"
#define FIELDS_PAGE "man/portlog-fields.7"
#define BEGIN ".\\\" fields begin\n"
#define END ".\\\" fields end\n"

#define auto_buf __attribute__((cleanup(buf_done))) struct buf

static void read_file(const char *path, struct buf *b)
{
	auto_fclose FILE *f = fopen(path, "r");
	int c;

	assert_non_null(f);
	while ((c = getc(f)) != EOF)
		buf_putc(b, (char)c);
}

/* Some line of @text begins with @start. */
static bool has_line(const char *text, const char *start)
{
	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, start, strlen(start)) == 0)
			return true;
	}
	return false;
}

static void check_option(const char *page, const struct arg *arg)
{
	char start[64];
	size_t n;

	if (arg->hidden)
		return;

	if (arg->letter)
		snprintf(start, sizeof(start), ".It Fl %c , Fl -%s", arg->letter, arg->name);
	else
		snprintf(start, sizeof(start), ".It Fl -%s", arg->name);
	n = strlen(start);
	strcat(start, "\n");
	if (has_line(page, start))
		return;
	start[n] = ' ';
	if (!has_line(page, start))
		fail_msg(PAGE " has no line '%s'", start);
}

#define COMMAND_ROW(x) &cmd_##x,
static const struct cmd *const commands[] = { COMMANDS(COMMAND_ROW) };
#undef COMMAND_ROW

static void the_page_has_every_option(void **state)
{
	auto_buf page = { 0 };

	(void)state;
	read_file(PAGE, &page);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		for (const struct arg *arg = commands[i]->args; arg->name; arg++)
			check_option(buf_str(&page), arg);
	}
	for (const struct arg *arg = common_args; arg->name; arg++)
		check_option(buf_str(&page), arg);
}

static void the_page_has_every_choice_of_an_option(void **state)
{
	auto_buf page = { 0 };

	(void)state;
	read_file(PAGE, &page);
	for (const struct arg *arg = common_args; arg->name; arg++) {
		char line[128] = "";

		if (arg->type != ARG_CHOICE)
			continue;
		for (const char *p = arg->value; *p; p++) {
			size_t n = strlen(line);

			snprintf(line + n, sizeof(line) - n, *p == '|' ? " | " : "%c", *p);
		}
		if (!strstr(buf_str(&page), line))
			fail_msg(PAGE " does not have --%s as %s", arg->name, line);
	}
}

static void the_page_has_every_keyword_of_a_filter(void **state)
{
	auto_buf page = { 0 };

	(void)state;
	read_file(PAGE, &page);
	for (size_t i = 0; i < N_FILTER_KEYS; i++) {
		char start[64];

		snprintf(start, sizeof(start), ".It Cm %s", filter_keys[i].name);
		if (!has_line(buf_str(&page), start))
			fail_msg(PAGE " has no line '%s'", start);
	}
}

static void the_fields_page_has_every_action(void **state)
{
	auto_buf page = { 0 };

	(void)state;
	read_file(FIELDS_PAGE, &page);
	for (unsigned i = ACTION_NONE + 1; i < N_ACTIONS; i++) {
		char start[64];

		snprintf(start, sizeof(start), ".It Cm %s\n", action_name((enum action)i));
		if (!has_line(buf_str(&page), start))
			fail_msg(FIELDS_PAGE " has no line '%s'", start);
	}
}

static void put_field(struct buf *b, const struct field *f)
{
	char first = f->help[0];

	buf_printf(b, ".It Cm %s", f->name);
	if (strcmp(f->name, f->path) != 0)
		buf_printf(b, " Pq Va %s", f->path);
	/* A sentence of its own: a capital, and a full stop unless it ends in "..." */
	buf_printf(b, "\n%c%s%s\n", first >= 'a' && first <= 'z' ? first - 'a' + 'A' : first, f->help + 1,
		   f->help[strlen(f->help) - 1] == '.' ? "" : ".");
}

static void write_fields_page(const char *page, const char *begin, const char *end, struct buf *list)
{
	auto_fclose FILE *f = fopen(FIELDS_PAGE ".new", "w");

	assert_non_null(f);
	fprintf(f, "%.*s%s%s", (int)(begin - page), page, buf_str(list), end);
	assert_int_equal(rename(FIELDS_PAGE ".new", FIELDS_PAGE), 0);
}

static void the_list_of_fields_is_the_table(void **state)
{
	auto_buf page = { 0 }, list = { 0 };
	const char *begin, *end;

	(void)state;
	read_file(FIELDS_PAGE, &page);
	for (size_t i = 0; i < n_fields; i++)
		put_field(&list, &fields[i]);
	begin = strstr(buf_str(&page), BEGIN);
	end = strstr(buf_str(&page), END);
	assert_non_null(begin);
	assert_non_null(end);
	begin += strlen(BEGIN);
	if ((size_t)(end - begin) == list.len && memcmp(begin, list.data, list.len) == 0)
		return;
	if (!getenv("UPDATE"))
		fail_msg(FIELDS_PAGE
			 " has another list of fields; UPDATE=1 build/tests/unit/test_man writes it anew");
	write_fields_page(page.data, begin, end, &list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_page_has_every_option),
		cmocka_unit_test(the_page_has_every_choice_of_an_option),
		cmocka_unit_test(the_page_has_every_keyword_of_a_filter),
		cmocka_unit_test(the_fields_page_has_every_action),
		cmocka_unit_test(the_list_of_fields_is_the_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
