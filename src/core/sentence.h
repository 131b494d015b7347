/* SPDX-License-Identifier: GPL-2.0-only */
/* Parts of sentences about one event, for people: appended to a buf, escaped for a terminal. Pure. */
#ifndef CORE_SENTENCE_H
#define CORE_SENTENCE_H

#include "core/record.h"

struct buf;

/* "python3[61] (early-http.service)"; of a tree that is followed without the place. */
void sentence_who(struct buf *b, const struct view *v);
/* "tcp 0.0.0.0:8080", and where, if that is another network namespace than @own_netns (0: not known). */
void sentence_port(struct buf *b, const struct view *v, uint32_t own_netns);
/* "python3[61] (early-http.service) could not bind tcp 0.0.0.0:80: EADDRINUSE" */
void sentence_failure(struct buf *b, const struct view *v, uint32_t own_netns);

#endif
