/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The error trail: fail() starts the story where an error is found, fail_add() says what we were doing, main prints it
 * once. One story at a time, for each thread.
 */
#ifndef UTIL_FAIL_H
#define UTIL_FAIL_H

/* Begin a story and return @error (negative errno) unchanged; its strerror() is appended when it is read. */
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

#endif
