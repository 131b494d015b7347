/* SPDX-License-Identifier: GPL-2.0-only */
/* Numbers and spans of time as people read them. */
#include "util/human.h"

#include <inttypes.h>
#include <stdio.h>

#define NS_PER_US 1000UL
#define NS_PER_MS 1000000UL
#define NS_PER_S 1000000000UL

/* Two units at most: what follows is noise to a reader. */
static void long_span(uint64_t s, char *out)
{
	if (s < 3600)
		snprintf(out, HUMAN_LEN, "%" PRIu64 "m%02us", s / 60, (unsigned)(s % 60));
	else if (s < 86400)
		snprintf(out, HUMAN_LEN, "%" PRIu64 "h%02um", s / 3600, (unsigned)(s % 3600 / 60));
	else
		snprintf(out, HUMAN_LEN, "%" PRIu64 "d %uh", s / 86400, (unsigned)(s % 86400 / 3600));
}

const char *human_span(uint64_t ns, char out[HUMAN_LEN])
{
	if (ns < NS_PER_MS)
		snprintf(out, HUMAN_LEN, "%" PRIu64 " us", ns / NS_PER_US);
	else if (ns < NS_PER_S)
		snprintf(out, HUMAN_LEN, "%" PRIu64 " ms", ns / NS_PER_MS);
	else if (ns < 60 * NS_PER_S)
		snprintf(out, HUMAN_LEN, "%" PRIu64 " s", ns / NS_PER_S);
	else
		long_span(ns / NS_PER_S, out);
	return out;
}

const char *human_count(uint64_t n, char out[HUMAN_LEN])
{
	char digits[HUMAN_LEN];
	int len = snprintf(digits, sizeof(digits), "%" PRIu64, n);
	char *at = out;

	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			*at++ = ',';
		*at++ = digits[i];
	}
	*at = '\0';
	return out;
}
