/* SPDX-License-Identifier: GPL-2.0-only */
/* Growing text: what is appended, what an error does, what reaches a file. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/buf.h"
#include "util/cleanup.h"

static void text_grows_past_any_first_size(void **state)
{
	struct buf b = { 0 };

	(void)state;
	for (int i = 0; i < 5000; i++)
		buf_puts(&b, "0123456789");
	buf_putc(&b, '!');
	assert_int_equal(b.error, 0);
	assert_int_equal(b.len, 50001);
	for (int i = 0; i < 5000; i++)
		assert_memory_equal(b.data + i * 10, "0123456789", 10);
	assert_int_equal(b.data[50000], '!');
	buf_done(&b);
}

static void an_empty_buf_is_an_empty_string(void **state)
{
	struct buf b = { 0 };

	(void)state;
	buf_put(&b, "", 0);
	assert_string_equal(buf_str(&b), "");
	assert_int_equal(b.len, 0);
	buf_done(&b);
}

static void buf_str_is_terminated_and_adds_nothing(void **state)
{
	struct buf b = { 0 };

	(void)state;
	buf_puts(&b, "abc");
	assert_string_equal(buf_str(&b), "abc");
	buf_puts(&b, "def");
	assert_string_equal(buf_str(&b), "abcdef");
	buf_done(&b);
}

static void after_an_error_nothing_is_appended_until_reset(void **state)
{
	struct buf b = { 0 };

	(void)state;
	buf_puts(&b, "kept");
	assert_false(buf_reserve(&b, SIZE_MAX - 10));
	assert_int_equal(b.error, -ENOMEM);
	buf_puts(&b, "dropped");
	buf_putc(&b, 'x');
	buf_u64(&b, 1);
	buf_digits(&b, 1, 2);
	buf_printf(&b, "%d", 1);
	assert_int_equal(b.len, 4);
	assert_string_equal(buf_str(&b), "");
	assert_int_equal(buf_write(&b, -1), -ENOMEM);

	buf_reset(&b);
	buf_puts(&b, "again");
	assert_string_equal(buf_str(&b), "again");
	buf_done(&b);
}

static void printf_appends_what_does_and_does_not_fit(void **state)
{
	struct buf b = { 0 };
	char *want;

	(void)state;
	for (int width = 0; width < 600; width += 7) {
		buf_reset(&b);
		buf_puts(&b, "start ");
		buf_printf(&b, "%*d|%s", width, 42, "end");
		assert_true(asprintf(&want, "start %*d|%s", width, 42, "end") > 0);
		assert_string_equal(buf_str(&b), want);
		free(want);
	}
	buf_done(&b);
}

static void numbers_are_as_printf_writes_them(void **state)
{
	struct buf b = { 0 };
	char want[64];

	(void)state;
	for (unsigned bit = 0; bit < 64; bit++) {
		for (int off = -1; off <= 1; off++) {
			uint64_t v = (1ULL << bit) + (uint64_t)off;

			buf_reset(&b);
			buf_u64(&b, v);
			buf_putc(&b, ' ');
			buf_i64(&b, (int64_t)v);
			snprintf(want, sizeof(want), "%llu %lld", (unsigned long long)v, (long long)v);
			assert_string_equal(buf_str(&b), want);
		}
	}
	for (uint64_t v = 1; v < UINT64_MAX / 10; v *= 10) {
		buf_reset(&b);
		buf_u64(&b, v - 1);
		buf_putc(&b, ' ');
		buf_u64(&b, v);
		snprintf(want, sizeof(want), "%llu %llu", (unsigned long long)v - 1, (unsigned long long)v);
		assert_string_equal(buf_str(&b), want);
	}
	buf_done(&b);
}

static void digits_have_zeroes_in_front(void **state)
{
	struct buf b = { 0 };

	(void)state;
	buf_digits(&b, 7, 2);
	buf_digits(&b, 123, 9);
	buf_digits(&b, 98765, 3);
	assert_string_equal(buf_str(&b), "07000000123765");
	buf_done(&b);
}

static void padding_counts_characters_not_bytes(void **state)
{
	struct buf b = { 0 };

	(void)state;
	buf_puts(&b, "begin:");
	buf_puts(&b, "caf\xc3\xa9");
	buf_pad(&b, 6, 6);
	buf_putc(&b, '|');
	buf_pad(&b, 6, 3); /* is there already */
	buf_putc(&b, '|');
	assert_string_equal(buf_str(&b), "begin:caf\xc3\xa9  ||");
	buf_done(&b);
}

static void nothing_that_a_terminal_obeys_is_visible(void **state)
{
	static const struct row {
		const char *raw, *shown;
	} rows[] = {
		{ "plain ~", "plain ~" },
		{ "caf\xc3\xa9 \xf0\x9f\x92\xa9", "caf\xc3\xa9 \xf0\x9f\x92\xa9" },
		{ "\x1b[31m\n\t\x7f", "\\x1b[31m\\x0a\\x09\\x7f" },
		{ "\xff\xc3(", "\\xff\\xc3(" },
		{ "\xc2\x9b", "\\xc2\\x9b" }, /* CSI in one character */
		{ "\xe2\x80\xae"
		  "gpj",
		  "\\xe2\\x80\\xaegpj" },                                /* right-to-left override */
		{ "\xc0\x80\xed\xa0\x80", "\\xc0\\x80\\xed\\xa0\\x80" }, /* overlong, surrogate */
		{ "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80" },
		{ "\xe2\x82", "\\xe2\\x82" },
	};
	struct buf b = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		buf_reset(&b);
		buf_visible(&b, rows[i].raw, strlen(rows[i].raw));
		assert_string_equal(buf_str(&b), rows[i].shown);
	}
	buf_reset(&b);
	buf_visible(&b, "a\0b", 3);
	assert_string_equal(buf_str(&b), "a\\x00b");
	buf_done(&b);
}

#define BIG 300000

static void *read_all(void *arg)
{
	int fd = *(int *)arg;
	char *got = calloc(1, BIG + 1);
	size_t len = 0;
	ssize_t n;

	while (got && len < BIG && (n = read(fd, got + len, BIG - len)) > 0)
		len += (size_t)n;
	return got;
}

static void a_short_write_is_continued(void **state)
{
	struct buf b = { 0 };
	int fd[2];
	pthread_t reader;
	char *got;

	(void)state;
	assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
	assert_int_equal(fcntl(fd[1], F_SETFL, O_NONBLOCK), 0); /* takes what fits, then says EAGAIN */
	for (int i = 0; b.len < BIG; i++)
		buf_putc(&b, (char)('a' + i % 26));
	assert_int_equal(pthread_create(&reader, NULL, read_all, &fd[0]), 0);
	assert_int_equal(buf_write(&b, fd[1]), 0);
	assert_int_equal(b.len, 0);
	assert_int_equal(pthread_join(reader, (void **)&got), 0);
	for (int i = 0; i < BIG; i++)
		assert_int_equal(got[i], 'a' + i % 26);
	free(got);
	close(fd[0]);
	close(fd[1]);
	buf_done(&b);
}

/* @arg: how often to go on waiting. */
static int wait_some_times(void *arg, int fd)
{
	int *left = arg;

	(void)fd;
	return (*left)-- ? 0 : -ETIMEDOUT;
}

static void who_waits_for_a_reader_may_give_up(void **state)
{
	int pipes[2], sockets[2], *const pairs[] = { pipes, sockets };

	(void)state;
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	assert_int_equal(fcntl(pipes[1], F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0); /* it may block */
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		struct buf b = { 0 };
		int left = 3;

		while (b.len < BIG)
			buf_puts(&b, "0123456789");
		assert_int_equal(buf_write_waiting(&b, pairs[i][1], wait_some_times, &left), -ETIMEDOUT);
		assert_int_equal(left, -1);
		assert_in_range(b.len, 1, BIG); /* what did not go out is still there */
		close(pairs[i][0]);
		close(pairs[i][1]);
		buf_done(&b);
	}
}

static void a_reader_that_is_gone_is_epipe(void **state)
{
	struct buf b = { 0 };
	int fd[2];

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
	close(fd[0]);
	buf_puts(&b, "line\n");
	assert_int_equal(buf_write(&b, fd[1]), -EPIPE);
	close(fd[1]);
	buf_done(&b);
}

static void what_could_not_be_written_is_the_first_the_next_time(void **state)
{
	auto_close int fd = memfd_create("out", MFD_CLOEXEC);
	struct rlimit whole, small;
	struct buf b = { 0 };
	char got[32] = "";

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &whole), 0);
	small = whole;
	small.rlim_cur = 7;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	buf_puts(&b, "line 1\nline 2\n");
	assert_int_equal(buf_write(&b, fd), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &whole), 0);
	buf_puts(&b, "line 3\n");
	assert_int_equal(buf_write(&b, fd), 0);
	assert_int_equal(pread(fd, got, sizeof(got) - 1, 0), 21);
	assert_string_equal(got, "line 1\nline 2\nline 3\n");
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_grows_past_any_first_size),
		cmocka_unit_test(an_empty_buf_is_an_empty_string),
		cmocka_unit_test(buf_str_is_terminated_and_adds_nothing),
		cmocka_unit_test(after_an_error_nothing_is_appended_until_reset),
		cmocka_unit_test(printf_appends_what_does_and_does_not_fit),
		cmocka_unit_test(numbers_are_as_printf_writes_them),
		cmocka_unit_test(digits_have_zeroes_in_front),
		cmocka_unit_test(padding_counts_characters_not_bytes),
		cmocka_unit_test(nothing_that_a_terminal_obeys_is_visible),
		cmocka_unit_test(a_short_write_is_continued),
		cmocka_unit_test(who_waits_for_a_reader_may_give_up),
		cmocka_unit_test(a_reader_that_is_gone_is_epipe),
		cmocka_unit_test(what_could_not_be_written_is_the_first_the_next_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
