/* SPDX-License-Identifier: GPL-2.0-only */
/* A view that is borrowed for one call, kept: for whoever renders it later, on another thread. */
#ifndef CORE_COPY_H
#define CORE_COPY_H

#include "core/record.h"

/*
 * @v with all that belongs to it, in one piece of memory; of the session only its texts (version, hooks, blind) stay
 * borrowed. *ret_size: bytes. NULL: out of memory.
 */
struct view *view_copy(const struct view *v, size_t *ret_size);
struct view *view_copy_free(struct view *v); /* NULL is fine; always returns NULL */

#endif
