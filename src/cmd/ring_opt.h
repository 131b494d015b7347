/* SPDX-License-Identifier: GPL-2.0-only */
/* --ring: the size of the ring between kernel and tracer. */
#ifndef CMD_RING_OPT_H
#define CMD_RING_OPT_H

#include <stdint.h>

#define RING_DEFAULT (8 * 1024 * 1024)
#define RING_HELP "size of the ring buffer, 8M unless given"

int ring_parse(const char *text, uint64_t *ret); /* 0, or -EINVAL with a story */

#endif
