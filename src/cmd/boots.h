/* SPDX-License-Identifier: GPL-2.0-only */
/* Which boot of a history is meant by -b. */
#ifndef CMD_BOOTS_H
#define CMD_BOOTS_H

#include "store/store.h"

struct boot_range {
	char boot_id[33];
	int64_t first, last; /* ids of records */
};

/*
 * "0" is the last that was recorded, "-1" the one before; or the beginning of an id, with or without dashes. 0;
 * BOOTS_NONE: nothing was recorded of it; negative errno with a story, -EINVAL when @text means no boot.
 */
#define BOOTS_NONE 1
int boots_find(struct store *s, const char *text, struct boot_range *ret);

/* The last ones that were recorded, the newest first: "d23062da (0), 40c1e6b2 (-1)"; "none". 0 or negative errno. */
int boots_list(struct store *s, char *out, size_t size);

#endif
