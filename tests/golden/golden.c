/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Golden files: a scene in, exact output out. To add one, write a row in goldens[] and run with UPDATE=1, then read what
 * it wrote. Prints TAP; a file that differs is shown from the first line that does. "golden paths" lists the fields of
 * events, "golden paths list" those of the table.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "support/boots.h"
#include "support/scenes_text.h"
#include "support/tables.h"
#include "util/cleanup.h"
#include "util/fail.h"

struct golden {
	const char *file; /* below tests/golden */
	scene *play;
	const struct sink_ops *sink;
	struct sink_options options; /* fd is ours; a talk_fd that is set stands for the same file */
	const char *only[8];         /* -F */
};

/* The same of the table of what is held. */
struct golden_table {
	const char *file;
	struct table_options options;
	const char *sort;
	const char *only[8];
};

static const struct golden_table tables[] = {
	{ "list.txt", { .header = true, .tty = true, .columns = 80, .host_netns = VIEWS_HOST_NETNS } },
	{ "list-all.txt", { .all = true, .host_netns = VIEWS_HOST_NETNS } },
	{ "list-wide.txt",
	  { .form = TABLE_WIDE, .header = true, .all = true, .utc = true, .host_netns = VIEWS_HOST_NETNS } },
	{ "list-picked.txt",
	  { .header = true, .host_netns = VIEWS_HOST_NETNS },
	  "pid",
	  { "port", "pid", "kind", "range" } },
	{ "../../docs/schema/list-examples.ndjson",
	  { .form = TABLE_JSON, .all = true, .host_netns = VIEWS_HOST_NETNS } },
};

/* The same of the table of a boot. */
struct golden_boot {
	const char *file;
	boot_scene *play[3]; /* one after another */
	bool json, all, unknown;
	struct boot_form form;
	const char *filter;
	const char *only[8];
};

static const struct golden_boot boots[] = {
	{ "boot.txt", { boot_of_everything, boot_seen_late }, .form = { .header = true } },
	{ "boot-80.txt",
	  { boot_of_everything },
	  .form = { .header = true, .color = true, .limit = 80, .hints = true } },
	{ "boot-all.txt",
	  { boot_of_everything },
	  .all = true,
	  .form = { .header = true, .wide = true, .clock = BOOT_UTC } },
	{ "boot-picked.txt",
	  { boot_of_everything },
	  .form = { .header = true },
	  .filter = "port 80",
	  .only = { "action", "port", "unit", "errno", "holder.comm" } },
	{ "boot-unknown.txt",
	  { boot_of_everything, boot_seen_late },
	  .unknown = true,
	  .filter = "failed",
	  .form = { .clock = BOOT_DELTA } },
	{ "boot-hostile.txt", { boot_of_enemies }, .form = { .hints = true, .color = true } },
	{ "../../docs/schema/boot-examples.ndjson",
	  { boot_of_everything, boot_seen_late, boot_of_enemies },
	  .json = true,
	  .all = true },
};

#define OUTPUT_MAX (1u << 20)

static const struct golden goldens[] = {
	{ "../../docs/schema/examples.ndjson", scene_actions, &sink_ndjson, { 0 } },
	{ "hints.ndjson", scene_failures, &sink_ndjson, { .field.hints = true } },
	{ "holders.ndjson", scene_holders, &sink_ndjson, { 0 } },
	{ "hostile.ndjson", scene_hostile, &sink_ndjson, { .field.hints = true } },
	{ "hostile-args-full.ndjson",
	  scene_hostile,
	  &sink_ndjson,
	  { .field.args = ARGS_FULL },
	  { "args", "comm" } },
	{ "long.ndjson", scene_long, &sink_ndjson, { 0 } },
	{ "surroundings.ndjson", scene_surroundings, &sink_ndjson, { .field.args = ARGS_NONE } },
	{ "picked.ndjson",
	  scene_actions,
	  &sink_ndjson,
	  { 0 },
	  { "holder.comm", "port", "ts", "netns", "action" } },
	{ "actions.txt", scene_actions, &sink_text, { .talk_fd = 1 } },
	{ "watch.txt", scene_watch, &sink_text, { .talk_fd = 1, .header = true } },
	{ "watch-80.txt",
	  scene_watch,
	  &sink_text,
	  { .talk_fd = 1, .header = true, .tty = true, .columns = 80, .current_first = true } },
	{ "watch-wide.txt",
	  scene_watch,
	  &sink_text,
	  { .talk_fd = 1, .header = true, .wide = true, .current_first = true, .time = TIME_STYLE_BOOT } },
	{ "watch-picked.txt",
	  scene_watch,
	  &sink_text,
	  { .talk_fd = 1, .header = true },
	  { "action", "port", "comm", "errno" } },
	{ "folds.txt", scene_folds, &sink_text, { .talk_fd = 1 } },
	{ "explained.txt", scene_explained, &sink_text, { 0 } },
	{ "hostile.txt",
	  scene_hostile,
	  &sink_text,
	  { .tty = true, .columns = 100, .wide = true, .color = true, .current_first = true } },
	{ "surroundings.txt", scene_surroundings, &sink_text, { .time = TIME_STYLE_DELTA } },
};

/* What the sink wrote, as text; NULL with a story. */
static char *read_back(int fd)
{
	off_t size = lseek(fd, 0, SEEK_END);
	char *text = size < 0 || size > OUTPUT_MAX ? NULL : calloc(1, (size_t)size + 1);

	if (text && pread(fd, text, (size_t)size, 0) == size)
		return text;
	free(text);
	return NULL;
}

static size_t pick(const char *const names[8], const struct field *only[8])
{
	size_t n = 0;

	for (; n < 8 && names[n]; n++) {
		only[n] = field_find(names[n], strlen(names[n]));
		if (!only[n])
			abort();
	}
	return n;
}

static int play(const struct golden *g, const struct sink_options *o)
{
	struct stage s = { .sink = g->sink };
	uint64_t next = 0;
	int r = s.sink->open(o, &s.state);

	if (r < 0)
		return r;
	g->play(&s);
	r = s.sink->tick(s.state, UINT64_MAX, &next);
	if (!s.error)
		s.error = r;
	r = s.sink->flush(s.state);
	if (!s.error)
		s.error = r;
	s.sink->close(s.state);
	return s.error;
}

/* The scene as the sink shows it; NULL with a story. */
static char *render(const struct golden *g)
{
	auto_close int fd = memfd_create("golden", MFD_CLOEXEC);
	const struct field *only[8];
	struct sink_options o = g->options;
	int r;

	if (fd < 0)
		return NULL;
	o.fd = fd;
	o.talk_fd = o.talk_fd ? fd : 0;
	o.verbose = o.header || o.wide;
	o.n_only = pick(g->only, only);
	o.only = o.n_only ? only : NULL;
	r = play(g, &o);
	views_free();
	return r < 0 ? NULL : read_back(fd);
}

static char *read_file(const char *path)
{
	auto_fclose FILE *f = fopen(path, "re");
	char *text = f ? calloc(1, OUTPUT_MAX + 1) : NULL;

	if (text)
		(void)!fread(text, 1, OUTPUT_MAX, f);
	return text;
}

static bool write_file(const char *path, const char *text)
{
	auto_fclose FILE *f = fopen(path, "we");

	return f && fputs(text, f) >= 0;
}

/* A line of either side, controls made visible. */
static void show_line(const char *side, const char *line)
{
	printf("# %s ", side);
	for (; *line && *line != '\n'; line++)
		printf((unsigned char)*line < ' ' ? "\\x%02x" : "%c", (unsigned char)*line);
	printf("\n");
}

static void show_difference(const char *want, const char *got)
{
	int line = 1;
	size_t start = 0;

	for (size_t i = 0; want[i] && want[i] == got[i]; i++) {
		if (want[i] == '\n') {
			start = i + 1;
			line++;
		}
	}
	printf("# line %d:\n", line);
	show_line("-", want + start);
	show_line("+", got + start);
}

static char *render_table(const struct golden_table *g)
{
	struct table_options o = g->options;
	const struct field *only[8];
	struct buf out = { 0 };

	o.sort = g->sort ? field_find(g->sort, strlen(g->sort)) : NULL;
	o.n_only = pick(g->only, only);
	o.only = o.n_only ? only : NULL;
	if (table_of_everything(&o, &out) < 0 || !buf_str(&out)[0])
		buf_done(&out);
	views_free();
	return out.data;
}

static int boot_render(const struct golden_boot *g, boot_scene *scene_told, const struct boot_form *form,
		       struct buf *out)
{
	struct boot_options o = { .all = g->all };
	struct filter *filter = NULL;
	struct filter_error error;
	struct boot *b;
	size_t shown;
	int r;

	if (!g->unknown)
		o.times = boot_usual_times;
	if (g->filter && filter_parse(g->filter, &filter, &error))
		abort();
	o.filter = filter;
	b = boot_new(&o);
	if (!b)
		abort();
	r = scene_told(b);
	r = r < 0 ? r : boot_end(b, &shown);
	if (!r)
		r = g->json ? boot_json(b, form, out) : boot_text(b, form, out);
	boot_free(b);
	filter_free(filter);
	views_free();
	return r;
}

static char *render_boot(const struct golden_boot *g)
{
	struct boot_form form = g->form;
	const struct field *only[8];
	struct buf out = { 0 };
	int r = 0;

	form.n_only = pick(g->only, only);
	form.only = form.n_only ? only : NULL;
	for (size_t i = 0; i < ARRAY_SIZE(g->play) && g->play[i] && !r; i++)
		r = boot_render(g, g->play[i], &form, &out);
	if (r || !buf_str(&out)[0])
		buf_done(&out);
	return out.data;
}

/* @got is what was rendered, NULL with a story. */
static bool check(const char *file, const char *got)
{
	auto_free char *want = NULL;
	char path[256];

	if (!got) {
		printf("# %s: %s\n", file, fail_story());
		return false;
	}
	snprintf(path, sizeof(path), PORTLOG_TESTS "/golden/%s", file);
	if (getenv("UPDATE"))
		return write_file(path, got);
	want = read_file(path);
	if (!want)
		printf("# no %s: run with UPDATE=1 and read what it says\n", path);
	else if (strcmp(want, got) != 0)
		show_difference(want, got);
	return want && !strcmp(want, got);
}

static unsigned n_results, n_failed;

static void report(bool ok, const char *file)
{
	n_failed += !ok;
	printf("%s %u - %s\n", ok ? "ok" : "not ok", ++n_results, file);
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "paths")) {
		bool all = argc > 2 && !strcmp(argv[2], "list");

		for (size_t i = 0; i < n_fields; i++)
			if (all || strncmp(fields[i].help, "list: ", 6) != 0)
				puts(fields[i].path);
		return 0;
	}
	setenv("TZ", "UTC", 1);
	tzset();
	printf("1..%zu\n", ARRAY_SIZE(goldens) + ARRAY_SIZE(tables) + ARRAY_SIZE(boots));
	for (size_t i = 0; i < ARRAY_SIZE(goldens); i++) {
		auto_free char *got = render(&goldens[i]);

		report(check(goldens[i].file, got), goldens[i].file);
	}
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		auto_free char *got = render_table(&tables[i]);

		report(check(tables[i].file, got), tables[i].file);
	}
	for (size_t i = 0; i < ARRAY_SIZE(boots); i++) {
		auto_free char *got = render_boot(&boots[i]);

		report(check(boots[i].file, got), boots[i].file);
	}
	return n_failed > 0;
}
