/* SPDX-License-Identifier: GPL-2.0-only */
/* Files of other programs, read without trusting them: whole, bounded, never waiting for a writer. */
#ifndef ENRICH_FILES_H
#define ENRICH_FILES_H

#include <stdbool.h>
#include <stddef.h>

/*
 * All of a plain file of at most @max bytes, with a NUL after it; the caller frees it. @flags: O_NOFOLLOW or 0.
 * 0, -EINVAL (no plain file, or larger) or another negative errno.
 */
int file_read(int root_fd, const char *path, int flags, size_t max, char **ret_text, size_t *ret_len);

/* Call @each for the names in a directory, at most @max of them, until it returns true. */
void dir_walk(int root_fd, const char *path, size_t max, bool (*each)(void *arg, const char *name),
	      void *arg);

#endif
