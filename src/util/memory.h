/* SPDX-License-Identifier: GPL-2.0-only */
/* Memory that is about to be needed, had in one piece. */
#ifndef UTIL_MEMORY_H
#define UTIL_MEMORY_H

#include <stddef.h>

/*
 * About @bytes more will be allocated: bring them in with one call, for the kernel's way in and out at each new page takes
 * longer than what is done with it. No promise: where it cannot be done nothing is different but the time.
 */
void memory_expect(size_t bytes);

#endif
