/* SPDX-License-Identifier: GPL-2.0-only */
/* The heap grows once, by huge pages where the machine lends them (a program has to ask on most), and its pages are there. */
#include "util/memory.h"

#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define HUGE_PAGE (2u << 20)

#ifndef MADV_POPULATE_WRITE /* Linux 5.14 */
#define MADV_POPULATE_WRITE 23
#endif

void memory_expect(size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *begin = sbrk(0), *end;
	void *volatile room; /* a compiler that sees nothing done with it would not ask for it */

	/* What is large would come from mappings of its own, page by page. */
	mallopt(M_MMAP_THRESHOLD, (int)(bytes < HUGE_PAGE ? HUGE_PAGE : 16 * HUGE_PAGE));
	mallopt(M_TOP_PAD, (int)bytes);
	room = malloc(bytes / 2);
	free(room);
	end = sbrk(0);
	begin += -(uintptr_t)begin & (page - 1);
	if (end <= begin)
		return;
	(void)madvise(begin, (size_t)(end - begin), MADV_HUGEPAGE);
	(void)madvise(begin, (size_t)(end - begin), MADV_POPULATE_WRITE);
}
