/* SPDX-License-Identifier: GPL-2.0-only */
/* The JSON sink: when lines are written, and that none is lost by halves. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#undef fail /* ours is another */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "sink/sink.h"
#include "support/views.h"
#include "util/cleanup.h"
#include "util/fail.h"

struct out {
	int fd;
	void *sink;
};

static void open_sink(struct out *out, struct sink_options o)
{
	o.fd = out->fd;
	assert_int_equal(sink_ndjson.open(&o, &out->sink), 0);
}

static int setup(void **state)
{
	struct out *out = calloc(1, sizeof(*out));

	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	if (!out)
		return -1;
	out->fd = memfd_create("out", MFD_CLOEXEC);
	*state = out;
	return out->fd < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	struct out *out = *state;

	sink_ndjson.close(out->sink);
	close(out->fd);
	free(out);
	views_free();
	fail_clear();
	return 0;
}

static size_t size_of(const struct out *out)
{
	return (size_t)lseek(out->fd, 0, SEEK_END);
}

/* All that is in the file, terminated; the caller frees it. */
static char *content(const struct out *out)
{
	size_t size = size_of(out);
	char *text = calloc(1, size + 1);

	assert_non_null(text);
	assert_int_equal(pread(out->fd, text, size, 0), (ssize_t)size);
	return text;
}

/* How many lines there are; fails unless each is whole. */
static size_t whole_lines(const struct out *out)
{
	auto_free char *text = content(out);
	size_t n = 0;

	for (char *line = text; *line; n++) {
		char *end = strchr(line, '\n');

		assert_non_null(end);
		assert_memory_equal(line, "{\"schema\":", 10);
		assert_memory_equal(end - 1, "}", 1);
		assert_null(memmem(line, (size_t)(end - line), "}{", 2));
		line = end + 1;
	}
	return n;
}

static void a_line_waits_for_the_flush(void **state)
{
	struct out *out = *state;

	open_sink(out, (struct sink_options){ 0 });
	assert_int_equal(sink_ndjson.write(out->sink, bind_ok(.port = 80)), 0);
	assert_int_equal(size_of(out), 0);
	assert_int_equal(sink_ndjson.flush(out->sink), 0);
	assert_int_equal(whole_lines(out), 1);
	assert_int_equal(sink_ndjson.flush(out->sink), 0);
	assert_int_equal(whole_lines(out), 1);
}

static void a_line_goes_at_once_where_it_is_watched(void **state)
{
	struct out *out = *state;

	open_sink(out, (struct sink_options){ .line_buffered = true });
	for (size_t i = 1; i < 4; i++) {
		assert_int_equal(sink_ndjson.write(out->sink, bind_ok(.port = 80)), 0);
		assert_int_equal(whole_lines(out), i);
	}
}

static void a_full_buffer_is_written_in_whole_lines(void **state)
{
	struct out *out = *state;
	const struct view *v = bind_ok(.port = 80);
	size_t before = 0;

	open_sink(out, (struct sink_options){ 0 });
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(sink_ndjson.write(out->sink, v), 0);
		if (size_of(out) != before) {
			assert_in_range(size_of(out) - before, 64 << 10, (64 << 10) + FIELD_LINE_MAX);
			before = size_of(out);
			(void)whole_lines(out);
		}
	}
	assert_true(before > 0);
	assert_int_equal(sink_ndjson.flush(out->sink), 0);
	assert_int_equal(whole_lines(out), 1000);
}

static void picked_fields_are_all_that_is_written(void **state)
{
	const struct field *only[] = { field_find("port", 4), field_find("action", 6) };
	auto_free char *text = NULL;
	struct out *out = *state;

	open_sink(out, (struct sink_options){ .only = only, .n_only = 2, .line_buffered = true });
	assert_int_equal(sink_ndjson.write(out->sink, bind_ok(.port = 80)), 0);
	text = content(out);
	assert_string_equal(text, "{\"action\":\"bind\",\"socket\":{\"port\":80}}\n");
}

static void options_reach_the_fields(void **state)
{
	auto_free char *text = NULL;
	struct out *out = *state;

	open_sink(out, (struct sink_options){ .field = { .args = ARGS_NONE, .hints = true },
					      .line_buffered = true });
	assert_int_equal(sink_ndjson.write(out->sink,
					   bind_failed(.error = EACCES, .args = { "x" }, .hint = "try sudo")),
			 0);
	text = content(out);
	assert_non_null(strstr(text, "\"hint\":\"try sudo\""));
	assert_null(strstr(text, "\"args\""));
}

static void a_reader_that_is_gone_is_epipe_without_a_story(void **state)
{
	struct out *out = *state;
	int fd[2];

	assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
	close(fd[0]);
	close(out->fd);
	out->fd = fd[1];
	open_sink(out, (struct sink_options){ .line_buffered = true });
	assert_int_equal(sink_ndjson.write(out->sink, bind_ok(.port = 80)), -EPIPE);
	assert_string_equal(fail_story(), "");
}

static void a_full_disk_is_an_error_with_a_story(void **state)
{
	struct out *out = *state;

	close(out->fd);
	out->fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	assert_true(out->fd >= 0);
	open_sink(out, (struct sink_options){ 0 });
	assert_int_equal(sink_ndjson.write(out->sink, bind_ok(.port = 80)), 0);
	assert_int_equal(sink_ndjson.flush(out->sink), -ENOSPC);
	assert_non_null(strstr(fail_story(), "No space left"));
}

static void limit_file(rlim_t size)
{
	struct rlimit l;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &l), 0);
	l.rlim_cur = size < l.rlim_max ? size : l.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &l), 0);
}

static void a_failed_write_loses_no_half_line(void **state)
{
	struct out *out = *state;
	int failures = 0;

	open_sink(out, (struct sink_options){ .line_buffered = true });
	for (int i = 0; i < 20; i++) {
		limit_file(size_of(out) + (i % 3 ? 100 : 100000)); /* less than a line, or enough */
		failures += sink_ndjson.write(out->sink, bind_ok(.port = 80)) == -EFBIG;
		limit_file(RLIM_INFINITY);
	}
	assert_true(failures >= 10);
	assert_int_equal(sink_ndjson.flush(out->sink), 0);
	assert_int_equal(whole_lines(out), 20);
}

static void what_cannot_be_written_for_long_is_dropped_in_whole_lines(void **state)
{
	const struct view *v = bind_ok(.port = 80);
	struct out *out = *state;
	int n = 0;

	open_sink(out, (struct sink_options){ .line_buffered = true });
	limit_file(300);
	for (int i = 0; i < 10000; i++)
		n += sink_ndjson.write(out->sink, v) == -EFBIG;
	limit_file(RLIM_INFINITY);
	assert_int_equal(n, 10000);
	assert_int_equal(sink_ndjson.flush(out->sink), 0);
	assert_in_range(size_of(out), 1 << 20, (1 << 20) + 2 * FIELD_LINE_MAX);
	assert_true(whole_lines(out) < 10000);
}

static void nothing_is_held_back_for_later(void **state)
{
	struct out *out = *state;
	uint64_t next = 1;

	open_sink(out, (struct sink_options){ 0 });
	assert_int_equal(sink_ndjson.write(out->sink, bind_ok(.port = 80)), 0);
	assert_int_equal(sink_ndjson.tick(out->sink, UINT64_MAX, &next), 0);
	assert_int_equal(next, 0);
}

#define unit(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit(a_line_waits_for_the_flush),
		unit(a_line_goes_at_once_where_it_is_watched),
		unit(a_full_buffer_is_written_in_whole_lines),
		unit(picked_fields_are_all_that_is_written),
		unit(options_reach_the_fields),
		unit(a_reader_that_is_gone_is_epipe_without_a_story),
		unit(a_full_disk_is_an_error_with_a_story),
		unit(a_failed_write_loses_no_half_line),
		unit(what_cannot_be_written_for_long_is_dropped_in_whole_lines),
		unit(nothing_is_held_back_for_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
