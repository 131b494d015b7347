/* SPDX-License-Identifier: GPL-2.0-only */
/* Failures that come again and again: the first is told, and once a minute how many more there were. */
#ifndef SINK_FOLD_H
#define SINK_FOLD_H

#include "core/record.h"

#define FOLD_NS (60 * 1000000000ull)
#define FOLD_MAX 256 /* kinds of failure kept apart; what is of more is told in one sum */

struct fold;

/*
 * Tell @v; @more > 0: it stands for so many that were not told, the last of which it is. @mixed: these are of several
 * kinds. Negative errno with a story: nothing was told, and it is tried again.
 */
typedef int fold_tell(void *arg, const struct view *v, uint64_t more, bool mixed);

struct fold *fold_new(fold_tell *tell, void *arg); /* NULL: out of memory */
struct fold *fold_free(struct fold *f);            /* NULL is fine; always returns NULL; tells nothing */

/* A failure, by its own time. As fold_tell. */
int fold_failure(struct fold *f, const struct view *v);
/* Tell the sums that are due; UINT64_MAX: all. *ret_next_ns: when to come again, 0: there is nothing. As fold_tell. */
int fold_expire(struct fold *f, uint64_t now_ns, uint64_t *ret_next_ns);

#endif
