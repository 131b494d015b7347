/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the one loop sleeps on: descriptors with a function each, and signals. Time-outs are the caller's: it says how
 * long to sleep, so an idle program has no timer at all.
 */
#ifndef UTIL_LOOP_H
#define UTIL_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct loop;

typedef int loop_fn(void *arg, int fd); /* nonzero: loop_wait() returns it */

int loop_new(struct loop **ret);        /* 0 or negative errno with a story */
struct loop *loop_free(struct loop *l); /* NULL is fine; always returns NULL */

int loop_watch(struct loop *l, int fd, loop_fn *fn, void *arg); /* readable; 0 or negative errno */
void loop_unwatch(struct loop *l, int fd);

/* Block @signals (0-terminated) and hand each that comes to @fn, its number in place of the descriptor. */
int loop_signals(struct loop *l, const int *signals, loop_fn *fn, void *arg);

/*
 * Sleep until something is readable, @timeout_ns has passed (UINT64_MAX: for ever) or @fd (-1: none) is readable, which
 * only ends the sleep. 0; what a function returned; negative errno.
 */
int loop_wait(struct loop *l, int fd, uint64_t timeout_ns);

/* Sleep until @fd can be written, a signal has been handed on or @timeout_ns has passed. 0, or negative errno. */
int loop_wait_writable(struct loop *l, int fd, uint64_t timeout_ns);

uint64_t clock_boot_ns(void);
int64_t clock_boot_offset_ns(void); /* wall clock minus boot clock */

#endif
