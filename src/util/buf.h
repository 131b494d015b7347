/* SPDX-License-Identifier: GPL-2.0-only */
/* Growing text. The first error sticks, later appends do nothing; check once at the end. */
#ifndef UTIL_BUF_H
#define UTIL_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct buf {
	char *data; /* not terminated; see buf_str() */
	size_t len;
	size_t cap;
	int error; /* 0 or -ENOMEM */
};

bool buf_reserve(struct buf *b, size_t more); /* room for @more bytes; false: error is set */
void buf_done(struct buf *b);
const char *buf_str(struct buf *b); /* terminated; "" on error */
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_u64(struct buf *b, uint64_t v);
void buf_i64(struct buf *b, int64_t v);
void buf_digits(struct buf *b, uint64_t v, unsigned width); /* the last @width digits, zeroes in front */
/* Spaces until column @width, counted from offset @from. */
void buf_pad(struct buf *b, size_t from, size_t width);
/* Raw text for a terminal: control bytes and bad UTF-8 become \xHH, so nothing can move the cursor. */
void buf_visible(struct buf *b, const char *text, size_t len);
void buf_puts_visible(struct buf *b, const char *text); /* the same, to its NUL */
/*
 * All of it, then reset; 0 or negative errno (-EPIPE, -ENOMEM). What could not be written stays, and is the first the
 * next time.
 */
int buf_write(struct buf *b, int fd);
/*
 * The same, but while @fd takes nothing @wait is called: 0 tries again, another result gives up and is returned. @fd must
 * not block; a socket may.
 */
int buf_write_waiting(struct buf *b, int fd, int (*wait)(void *arg, int fd), void *arg);
/* The same from offset *at on, which moves on; nothing is taken out of @b. */
int buf_write_from(const struct buf *b, size_t *at, int fd, int (*wait)(void *arg, int fd), void *arg);

static inline void buf_reset(struct buf *b)
{
	b->len = 0;
	b->error = 0;
}

static inline void buf_put(struct buf *b, const void *data, size_t len)
{
	/* "<=", so that data is not NULL either when both are 0. */
	if (b->cap - b->len <= len && !buf_reserve(b, len + 1))
		return;
	memcpy(b->data + b->len, data, len);
	b->len += len;
}

static inline void buf_puts(struct buf *b, const char *s)
{
	buf_put(b, s, strlen(s));
}

static inline void buf_putc(struct buf *b, char c)
{
	if (b->cap == b->len && !buf_reserve(b, 1))
		return;
	b->data[b->len++] = c;
}

#endif
