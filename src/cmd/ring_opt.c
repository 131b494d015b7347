/* SPDX-License-Identifier: GPL-2.0-only */
/* --ring. */
#include "cmd/ring_opt.h"

#include <errno.h>
#include <stdbool.h>
#include <unistd.h>

#include "util/fail.h"
#include "util/parse.h"

#define RING_MIN (256 * 1024)
#define RING_MAX (1024 * 1024 * 1024)

static int fail_ring_power(const char *text, uint64_t near)
{
	bool whole = near % (1024 * 1024) == 0;

	fail_text(-EINVAL, "--ring takes a power of two, not '%s'", text);
	return fail_hint(-EINVAL, "did you mean %llu%c?",
			 (unsigned long long)(near / (whole ? 1024 * 1024 : 1024)), whole ? 'M' : 'K');
}

/* What bpf(2) asks of a ring buffer: a power of two, in whole pages. */
int ring_parse(const char *text, uint64_t *ret)
{
	uint64_t bytes, least = RING_MIN, more;

	if (sysconf(_SC_PAGESIZE) > RING_MIN)
		least = (uint64_t)sysconf(_SC_PAGESIZE);
	if (parse_size(text, &bytes) < 0)
		return fail_text(-EINVAL, "'%s' is not a size like 8M or 512K: --ring takes SIZE", text);
	if (bytes < least || bytes > RING_MAX)
		return fail_text(-EINVAL, "--ring takes %lluK to %uM, not '%s'",
				 (unsigned long long)(least / 1024), RING_MAX / 1024 / 1024, text);
	if (bytes & (bytes - 1)) {
		for (more = least; more < bytes; more *= 2)
			;
		return fail_ring_power(text, more);
	}
	*ret = bytes;
	return 0;
}
