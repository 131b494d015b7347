/* SPDX-License-Identifier: GPL-2.0-only */
/* Expected events against told ones. The language of the patterns: actor.h. */
#ifndef EXPECT_H
#define EXPECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "live/lib/tracer.h"

struct expect_facts {
	const char *hooks; /* the set that is in use */
	uint32_t netns;    /* inode of the namespace of the situation */
};

/*
 * Compare @events with @patterns (NULL-terminated), in order; or with @any_order only in the order of each socket.
 * What differs is written to @out. true: nothing does.
 */
bool expect_check(const char *const *patterns, bool any_order, const struct event *events, size_t n,
		  const struct expect_facts *facts, FILE *out);

#endif
