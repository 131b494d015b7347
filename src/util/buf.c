/* SPDX-License-Identifier: GPL-2.0-only */
/* Text that grows, remembers its first error, and goes to a file without losing half a line. */
#include "util/buf.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/utf8.h"

#define CAP_MIN 256

static bool fail_sticky(struct buf *b)
{
	b->error = -ENOMEM;
	b->cap = b->len; /* as far as the inline appends know there is no room: each comes here and stops */
	return false;
}

bool buf_reserve(struct buf *b, size_t more)
{
	size_t cap;
	char *data;

	if (b->error)
		return false;
	if (b->cap - b->len >= more)
		return true;
	if (more > SIZE_MAX / 2 - b->len)
		return fail_sticky(b);
	cap = b->cap > CAP_MIN ? b->cap : CAP_MIN;
	while (cap - b->len < more)
		cap *= 2;
	data = realloc(b->data, cap);
	if (!data)
		return fail_sticky(b);
	b->data = data;
	b->cap = cap;
	return true;
}

void buf_done(struct buf *b)
{
	free(b->data);
	*b = (struct buf){ 0 };
}

const char *buf_str(struct buf *b)
{
	if (!buf_reserve(b, 1))
		return "";
	b->data[b->len] = '\0';
	return b->data;
}

static int append_formatted(struct buf *b, const char *fmt, va_list args)
	__attribute__((format(printf, 2, 0)));

static int append_formatted(struct buf *b, const char *fmt, va_list args)
{
	size_t room = b->cap - b->len;
	int n = vsnprintf(b->data ? b->data + b->len : NULL, room, fmt, args);

	if (n >= 0 && (size_t)n < room)
		b->len += (size_t)n;
	return n;
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list args, again;
	size_t room;
	int n;

	if (b->error)
		return;
	room = b->cap - b->len;
	va_start(args, fmt);
	va_copy(again, args);
	n = append_formatted(b, fmt, args);
	if (n < 0)
		fail_sticky(b);
	else if ((size_t)n >= room && buf_reserve(b, (size_t)n + 1))
		(void)append_formatted(b, fmt, again);
	va_end(again);
	va_end(args);
}

static const char digit_pairs[] =
	"00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748495051525354"
	"555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";

/* Powers of ten say how long a number is without dividing. The first is 0, so that 0 has a digit too. */
/* clang-format off */
static const uint64_t pow10_of[] = {
	0ULL, 10ULL, 100ULL, 1000ULL, 10000ULL, 100000ULL, 1000000ULL, 10000000ULL, 100000000ULL, 1000000000ULL,
	10000000000ULL, 100000000000ULL, 1000000000000ULL, 10000000000000ULL, 100000000000000ULL,
	1000000000000000ULL, 10000000000000000ULL, 100000000000000000ULL, 1000000000000000000ULL,
	10000000000000000000ULL,
};
/* clang-format on */

static unsigned digits_of(uint64_t v)
{
	unsigned bits = 64u - (unsigned)__builtin_clzll(v | 1);
	unsigned guess = bits * 1233 >> 12; /* log10(2) = 1233 / 4096, as near as 64 bits need */

	return guess + (v >= pow10_of[guess]);
}

void buf_u64(struct buf *b, uint64_t v)
{
	unsigned left = digits_of(v);
	char *at;

	if (b->cap - b->len < 20 && !buf_reserve(b, 20))
		return;
	at = b->data + b->len;
	b->len += left;
	for (; left >= 2; v /= 100) {
		left -= 2;
		memcpy(at + left, digit_pairs + v % 100 * 2, 2);
	}
	if (left)
		at[0] = (char)('0' + v);
}

void buf_i64(struct buf *b, int64_t v)
{
	if (v >= 0) {
		buf_u64(b, (uint64_t)v);
		return;
	}
	buf_putc(b, '-');
	buf_u64(b, 0 - (uint64_t)v);
}

void buf_digits(struct buf *b, uint64_t v, unsigned width)
{
	char *at;

	if (!buf_reserve(b, width))
		return;
	at = b->data + b->len;
	b->len += width;
	for (; width >= 2; v /= 100) {
		width -= 2;
		memcpy(at + width, digit_pairs + v % 100 * 2, 2);
	}
	if (width)
		at[0] = (char)('0' + v % 10);
}

/* Columns, counting each character as one. */
static size_t columns(const char *text, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += (text[i] & 0xc0) != 0x80;
	return n;
}

void buf_pad(struct buf *b, size_t from, size_t width)
{
	size_t at = b->len > from ? columns(b->data + from, b->len - from) : 0;

	for (; at < width; at++)
		buf_putc(b, ' ');
}

static void put_hex(struct buf *b, const char *bytes, size_t len)
{
	static const char hex[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		uint8_t c = (uint8_t)bytes[i];

		buf_put(b, (char[]){ '\\', 'x', hex[c >> 4], hex[c & 15] }, 4);
	}
}

/* How many of the first bytes are plain letters, digits and signs, as nearly all are. */
static size_t plain_len(const char *text, size_t len)
{
	size_t n = 0;

	while (n < len && text[n] >= ' ' && text[n] <= '~')
		n++;
	return n;
}

void buf_visible(struct buf *b, const char *text, size_t len)
{
	uint32_t rune;
	size_t n;

	for (; len; text += n, len -= n) {
		n = plain_len(text, len);
		if (n) {
			buf_put(b, text, n);
			continue;
		}
		n = utf8_next(text, len, &rune);
		if (n && !utf8_harmful(rune)) {
			buf_put(b, text, n);
			continue;
		}
		if (!n)
			n = 1;
		put_hex(b, text, n);
	}
}

void buf_puts_visible(struct buf *b, const char *text)
{
	buf_visible(b, text, strlen(text));
}

/* A full pipe that must not block is waited for all the same: the line has to get out. */
static int wait_writable(void *arg, int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	(void)arg;
	return poll(&p, 1, -1) < 0 && errno != EINTR ? -errno : 0;
}

/* A flag on a socket would be one for everybody who has it: it is asked call by call not to block. */
static ssize_t write_some(int fd, const char *data, size_t len)
{
	ssize_t n = send(fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);

	return n < 0 && errno == ENOTSOCK ? write(fd, data, len) : n;
}

int buf_write_from(const struct buf *b, size_t *at, int fd, int (*wait)(void *arg, int fd), void *arg)
{
	int r = b->error;

	while (r == 0 && *at < b->len) {
		ssize_t n = write_some(fd, b->data + *at, b->len - *at);

		if (n >= 0)
			*at += (size_t)n;
		else if (errno == EAGAIN)
			r = wait(arg, fd);
		else if (errno != EINTR) /* a socket whose other end is gone says so in words of its own */
			r = errno == ECONNRESET || errno == ECONNREFUSED ? -EPIPE : -errno;
	}
	return r;
}

int buf_write_waiting(struct buf *b, int fd, int (*wait)(void *arg, int fd), void *arg)
{
	size_t done = 0;
	int r = buf_write_from(b, &done, fd, wait, arg);

	if (b->error)
		return r;
	b->len -= done;
	if (b->len) /* the rest goes first the next time, so that no reader sees the half of a line and then another */
		memmove(b->data, b->data + done, b->len);
	return r;
}

int buf_write(struct buf *b, int fd)
{
	return buf_write_waiting(b, fd, wait_writable, NULL);
}
