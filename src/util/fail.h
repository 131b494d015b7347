/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The error trail: fail() starts the story where an error is found, fail_add() says what we were doing, main prints it
 * once. One story at a time, for each thread.
 */
#ifndef UTIL_FAIL_H
#define UTIL_FAIL_H

#include <errno.h>

/*
 * Begin a story, "what: strerror", and return @error (negative errno) unchanged. What is not negative becomes -EIO, here
 * and below: what these functions return is never taken for success.
 */
int fail(int error, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* As fail(), but the text says all: no strerror(). */
int fail_text(int error, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Put "what: " in front of the story; returns @error. */
int fail_add(int error, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A second line for the user: what to do about it. Returns @error. */
int fail_hint(int error, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The story so far, or "" when there is none; borrowed until the next call of any function here. */
const char *fail_story(void);
const char *fail_remedy(void);
void fail_clear(void);

/* The analyzer reads one file at a time: what fail.c makes sure of, said where it can see it. */
#ifdef __clang_analyzer__
static inline int fail_negative(int error)
{
	return error < 0 ? error : -EIO;
}
#define fail(...) fail_negative((fail)(__VA_ARGS__))
#define fail_text(...) fail_negative((fail_text)(__VA_ARGS__))
#define fail_add(...) fail_negative((fail_add)(__VA_ARGS__))
#define fail_hint(...) fail_negative((fail_hint)(__VA_ARGS__))
#endif

#endif
