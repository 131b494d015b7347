/* SPDX-License-Identifier: GPL-2.0-only */
/* Ask another program, for a bounded time and a bounded answer. */
#ifndef UTIL_COMMAND_H
#define UTIL_COMMAND_H

#include <stddef.h>

/*
 * Standard output of @argv (argv[0] an absolute path), terminated; its input and standard error are /dev/null. NULL: it is
 * not there, it failed, or @timeout_ms passed (then it is killed). What is over @max bytes is cut. To be freed.
 */
char *command_read(const char *const *argv, int timeout_ms, size_t max);

#endif
