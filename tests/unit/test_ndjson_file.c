/* SPDX-License-Identifier: GPL-2.0-only */
/* ndjson:FILE: every line once and whole, whatever happens to the file. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#undef fail /* ours is another */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sink/sink.h"
#include "support/views.h"
#include "util/cleanup.h"
#include "util/fail.h"

struct stage {
	char folder[32];
	char path[64], other[64];
	void *sink;
	uint64_t first, last; /* of the events that were given since the last flush */
};

static int setup(void **state)
{
	struct stage *s = calloc(1, sizeof(*s));

	signal(SIGXFSZ, SIG_IGN);
	if (!s)
		return -1;
	strcpy(s->folder, "/tmp/portlog-test-XXXXXX");
	if (!mkdtemp(s->folder))
		return -1;
	snprintf(s->path, sizeof(s->path), "%s/x.ndjson", s->folder);
	snprintf(s->other, sizeof(s->other), "%s/x.ndjson.1", s->folder);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct stage *s = *state;

	sink_ndjson_file.close(s->sink);
	unlink(s->path);
	unlink(s->other);
	rmdir(s->folder);
	free(s);
	views_free();
	fail_clear();
	return 0;
}

static int open_sink(struct stage *s, const char *path)
{
	const struct sink_options o = { .arg = (void *)path };

	return sink_ndjson_file.open(&o, &s->sink);
}

static int give(struct stage *s, uint64_t seq)
{
	s->first = s->first ? s->first : seq;
	s->last = seq;
	return sink_ndjson_file.write(s->sink, listen_ok(.port = 80, .seq = seq, .at_ms = (int64_t)seq));
}

static int flush(struct stage *s)
{
	int r = sink_ndjson_file.flush(s->sink);

	if (!r)
		s->first = 0;
	return r;
}

/* As the writer does it after an error. */
static int again(struct stage *s)
{
	uint64_t first = s->first, last = s->last;
	int r = 0;

	sink_ndjson_file.undo(s->sink);
	for (uint64_t seq = first; !r && seq <= last; seq++)
		r = give(s, seq);
	return r ? r : flush(s);
}

/* All that can be read from @fd, terminated; the caller frees it. */
static char *read_all(int fd)
{
	char *text = calloc(1, 1 << 20);
	size_t len = 0;
	ssize_t n;

	assert_non_null(text);
	while ((n = read(fd, text + len, (1 << 20) - 1 - len)) > 0)
		len += (size_t)n;
	return text;
}

/* Lines of @text, each whole and with a seq one more than that before; from @seq on. Returns the seq after the last. */
static uint64_t lines_check(const char *text, uint64_t seq)
{
	for (const char *end; *text; text = end + 1, seq++) {
		const char *at = strstr(text, "\"seq\":");

		end = strchr(text, '\n');
		assert_non_null(end);
		assert_memory_equal(text, "{\"schema\":\"portlog/1\"", 21);
		assert_true(end[-1] == '}' && at && at < end);
		assert_int_equal(strtoull(at + 6, NULL, 10), seq);
	}
	return seq;
}

static uint64_t file_check(const char *path, uint64_t seq)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	auto_free char *text = NULL;

	assert_true(fd >= 0);
	text = read_all(fd);
	return lines_check(text, seq);
}

static void lines_are_appended_and_only_owner_and_group_may_read(void **state)
{
	struct stage *s = *state;
	struct stat st;

	umask(077); /* as the service has it: the group may read all the same */
	assert_int_equal(open_sink(s, s->path), 0);
	assert_int_equal(give(s, 1), 0);
	assert_int_equal(flush(s), 0);
	sink_ndjson_file.close(s->sink);
	assert_int_equal(open_sink(s, s->path), 0);
	assert_int_equal(give(s, 2), 0);
	assert_int_equal(flush(s), 0);
	assert_int_equal(file_check(s->path, 1), 3);
	assert_int_equal(stat(s->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
}

static void a_folder_that_is_not_there_is_waited_for(void **state)
{
	struct stage *s = *state;

	assert_int_equal(rmdir(s->folder), 0);
	assert_int_equal(open_sink(s, s->path), 0);
	assert_int_equal(give(s, 1), 0);
	assert_int_equal(flush(s), -ENOENT);
	assert_string_equal(fail_story(), "open: No such file or directory");
	assert_int_equal(mkdir(s->folder, 0700), 0);
	assert_int_equal(again(s), 0);
	assert_int_equal(file_check(s->path, 1), 2);
}

static void what_can_be_no_file_is_told_at_once(void **state)
{
	struct stage *s = *state;

	assert_int_equal(open_sink(s, s->folder), -EISDIR);
	assert_non_null(strstr(fail_story(), "open: Is a directory"));
	assert_null(s->sink);
	assert_int_equal(open_sink(s, "/dev/null/x"), -ENOTDIR);
}

/* A file that may not grow cuts a write in the middle, as a full disk does. */
static void limit(rlim_t bytes)
{
	struct rlimit l;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &l), 0);
	l.rlim_cur = bytes;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &l), 0);
}

static void a_line_that_is_half_out_is_completed_and_no_other_comes_twice(void **state)
{
	struct stage *s = *state;

	assert_int_equal(open_sink(s, s->path), 0);
	for (uint64_t seq = 1; seq <= 10; seq++)
		assert_int_equal(give(s, seq), 0);
	limit(1100); /* one line and a part of the next */
	assert_int_equal(flush(s), -EFBIG);
	assert_int_equal(again(s), -EFBIG); /* not a byte more */
	limit(1101);
	assert_int_equal(again(s), -EFBIG); /* one more */
	limit(3000);
	assert_int_equal(again(s), -EFBIG);
	assert_int_equal(give(s, 11), 0);
	assert_int_equal(again(s), -EFBIG);
	limit(RLIM_INFINITY);
	assert_int_equal(again(s), 0);
	assert_int_equal(give(s, 12), 0);
	assert_int_equal(flush(s), 0);
	assert_int_equal(file_check(s->path, 1), 13);
}

/* The writer may flush before all that came before is here again. */
static void a_flush_amid_what_comes_again_is_right_too(void **state)
{
	struct stage *s = *state;

	assert_int_equal(open_sink(s, s->path), 0);
	for (uint64_t seq = 1; seq <= 10; seq++)
		assert_int_equal(give(s, seq), 0);
	limit(3000);
	assert_int_equal(flush(s), -EFBIG);
	limit(RLIM_INFINITY);
	sink_ndjson_file.undo(s->sink);
	assert_int_equal(give(s, 1), 0);
	assert_int_equal(flush(s), 0);
	for (uint64_t seq = 2; seq <= 10; seq++) {
		assert_int_equal(give(s, seq), 0);
		assert_int_equal(flush(s), 0);
	}
	assert_int_equal(file_check(s->path, 1), 11);
}

static void many_lines_are_not_kept_until_the_flush(void **state)
{
	struct stage *s = *state;
	struct stat st;

	assert_int_equal(open_sink(s, s->path), 0);
	for (uint64_t seq = 1; seq <= 500; seq++)
		assert_int_equal(give(s, seq), 0);
	assert_int_equal(stat(s->path, &st), 0);
	assert_true(st.st_size > 100 << 10);
	limit(st.st_size + 100);
	assert_int_equal(flush(s), -EFBIG);
	limit(RLIM_INFINITY);
	assert_int_equal(again(s), 0);
	assert_int_equal(file_check(s->path, 1), 501);
}

static void a_file_that_was_renamed_keeps_what_came_before(void **state)
{
	struct stage *s = *state;

	assert_int_equal(open_sink(s, s->path), 0);
	assert_int_equal(give(s, 1), 0);
	assert_int_equal(flush(s), 0);
	assert_int_equal(rename(s->path, s->other), 0);
	assert_int_equal(give(s, 2), 0);
	assert_int_equal(flush(s), 0);
	assert_int_equal(sink_ndjson_file.reopen(s->sink), 0);
	assert_int_equal(give(s, 3), 0);
	assert_int_equal(flush(s), 0);
	assert_int_equal(file_check(s->other, 1), 3);
	assert_int_equal(file_check(s->path, 3), 4);
}

static void a_pipe_that_nobody_reads_is_waited_for(void **state)
{
	struct stage *s = *state;
	auto_free char *text = NULL;
	uint64_t seq = 0;
	int r, fd;

	assert_int_equal(mkfifo(s->path, 0600), 0);
	assert_int_equal(open_sink(s, s->path), 0); /* nobody has it open */
	do {
		r = give(s, ++seq);
	} while (!r);
	assert_int_equal(r, -EAGAIN);
	assert_string_equal(fail_story(), "nobody reads it");
	assert_int_equal(sink_ndjson_file.reopen(s->sink), 0); /* what is in the pipe stays there */
	fd = open(s->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	text = read_all(fd);
	assert_int_equal(again(s), 0);
	{
		auto_free char *rest = read_all(fd);
		auto_free char *all = malloc(strlen(text) + strlen(rest) + 1);

		assert_non_null(all);
		strcpy(all, text);
		strcat(all, rest);
		assert_int_equal(lines_check(all, 1), seq + 1);
	}
	close(fd);
}

/* What a shell or a service manager gave us: @fds are the two ends. */
static void standard_output(struct stage *s, const int fds[2])
{
	int kept = dup(STDOUT_FILENO), flags = fcntl(fds[1], F_GETFL), r;
	auto_free char *text = NULL;

	assert_true(kept >= 0 && dup2(fds[1], STDOUT_FILENO) >= 0);
	r = open_sink(s, "-");
	if (!r)
		r = give(s, 1);
	if (!r)
		r = flush(s);
	if (!r)
		r = sink_ndjson_file.reopen(s->sink);
	if (!r)
		r = give(s, 2);
	if (!r)
		r = flush(s);
	dup2(kept, STDOUT_FILENO);
	close(kept);
	assert_int_equal(r, 0);
	assert_int_equal(fcntl(fds[1], F_GETFL), flags); /* others have it too */
	assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	text = read_all(fds[0]);
	assert_int_equal(lines_check(text, 1), 3);
	close(fds[0]);
	close(fds[1]);
}

static void a_pipe_is_fine_as_standard_output(void **state)
{
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	standard_output(*state, fds);
}

static void so_is_a_socket(void **state)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	standard_output(*state, fds);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(lines_are_appended_and_only_owner_and_group_may_read),
		TEST(a_folder_that_is_not_there_is_waited_for),
		TEST(what_can_be_no_file_is_told_at_once),
		TEST(a_line_that_is_half_out_is_completed_and_no_other_comes_twice),
		TEST(a_flush_amid_what_comes_again_is_right_too),
		TEST(many_lines_are_not_kept_until_the_flush),
		TEST(a_file_that_was_renamed_keeps_what_came_before),
		TEST(a_pipe_that_nobody_reads_is_waited_for),
		TEST(a_pipe_is_fine_as_standard_output),
		TEST(so_is_a_socket),
	};
#undef TEST

	return cmocka_run_group_tests_name("ndjson_file", tests, NULL, NULL);
}
