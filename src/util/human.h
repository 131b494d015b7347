/* SPDX-License-Identifier: GPL-2.0-only */
/* Numbers and spans of time as people read them. */
#ifndef UTIL_HUMAN_H
#define UTIL_HUMAN_H

#include <stdint.h>

#define HUMAN_LEN 32

const char *human_span(uint64_t ns, char out[HUMAN_LEN]); /* "45 ms", "6 s", "4m02s", "2d 4h"; returns @out */
const char *human_count(uint64_t n, char out[HUMAN_LEN]); /* "1,204"; returns @out */

#endif
