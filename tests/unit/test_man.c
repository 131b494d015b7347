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

#define COMMAND_ROW(x) &cmd_##x,
static const struct cmd *const commands[] = { COMMANDS(COMMAND_ROW) };
#undef COMMAND_ROW

/* What stands in @page under ".Ss @title", up to the next section. */
static char *section_of(const char *page, const char *title)
{
	char head[64];
	const char *at, *end;

	snprintf(head, sizeof(head), "\n.Ss %s\n", title);
	at = strstr(page, head);
	if (!at)
		fail_msg(PAGE " has no section '%s'", title);
	at += strlen(head) - 1;
	end = strstr(at, "\n.S");
	return strndup(at, end ? (size_t)(end - at) : strlen(at));
}

static bool is_option_line(const char *line, const struct arg *arg)
{
	char start[64];
	size_t n;

	if (arg->letter)
		snprintf(start, sizeof(start), ".It Fl %c , Fl -%s", arg->letter, arg->name);
	else
		snprintf(start, sizeof(start), ".It Fl -%s", arg->name);
	n = strlen(start);
	return !strncmp(line, start, n) && (line[n] == ' ' || line[n] == '\n' || line[n] == '\0');
}

static bool has_option_line(const char *section, const struct arg *arg)
{
	for (const char *line = section; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (is_option_line(line, arg))
			return true;
	}
	return false;
}

static bool is_of_table(const char *line, const struct arg *args)
{
	for (const struct arg *arg = args; arg && arg->name; arg++)
		if (!arg->hidden && is_option_line(line, arg))
			return true;
	return false;
}

/* The section has the options of the table, and no other. */
static void check_options(const char *page, const char *title, const struct arg *args,
			  const char *const *others)
{
	auto_free char *section = section_of(page, title);

	for (const struct arg *arg = args; arg->name; arg++)
		if (!arg->hidden && !has_option_line(section, arg))
			fail_msg(PAGE ": '%s' lacks --%s", title, arg->name);
	for (const char *line = strstr(section, "\n.It Fl "); line; line = strstr(line, "\n.It Fl ")) {
		bool known = is_of_table(++line, args);

		for (const char *const *other = others; !known && other && *other; other++)
			known = !strncmp(line, *other, strlen(*other));
		if (!known)
			fail_msg(PAGE ": '%s' has an option that there is not: %.*s", title,
				 (int)strcspn(line, "\n"), line);
	}
}

static void each_command_has_a_section_with_its_options(void **state)
{
	/* main.c's own */
	static const char *const general[] = { ".It Fl h , Fl -help\n", ".It Fl V , Fl -version\n", NULL };
	auto_buf page = { 0 };

	(void)state;
	read_file(PAGE, &page);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		char title[64];

		snprintf(title, sizeof(title), "Options of %s", commands[i]->name);
		check_options(buf_str(&page), title, commands[i]->args, NULL);
	}
	check_options(buf_str(&page), "Common options", common_args, general);
}

static void the_page_names_every_command(void **state)
{
	auto_buf page = { 0 };

	(void)state;
	read_file(PAGE, &page);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		char line[64];

		snprintf(line, sizeof(line), ".It Cm %s", commands[i]->name);
		if (!has_line(buf_str(&page), line))
			fail_msg(PAGE " has no line '%s'", line);
	}
}

static void help_has_every_option_and_begins_with_examples(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		auto_free char *text = NULL;
		size_t size;
		FILE *out = open_memstream(&text, &size);

		args_help(out, commands[i]->args);
		fclose(out);
		for (const struct arg *arg = commands[i]->args; arg->name; arg++) {
			char option[40];

			snprintf(option, sizeof(option), "--%s", arg->name);
			assert_int_equal(!!strstr(text, option), !arg->hidden);
		}
		assert_non_null(commands[i]->examples);
		assert_non_null(strstr(commands[i]->examples, "portlog"));
	}
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
		cmocka_unit_test(each_command_has_a_section_with_its_options),
		cmocka_unit_test(the_page_names_every_command),
		cmocka_unit_test(help_has_every_option_and_begins_with_examples),
		cmocka_unit_test(the_page_has_every_choice_of_an_option),
		cmocka_unit_test(the_page_has_every_keyword_of_a_filter),
		cmocka_unit_test(the_fields_page_has_every_action),
		cmocka_unit_test(the_list_of_fields_is_the_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
