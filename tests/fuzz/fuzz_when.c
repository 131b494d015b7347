/* SPDX-License-Identifier: GPL-2.0-only */
/* Moments: whatever is typed is a moment that can be shown, or is refused and nothing else happens. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/when.h"

#define NOW 1795403696500000000ll
#define UNTOUCHED 0x5a5a5a5a5a5a5a5all

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free char *text = strndup((const char *)data, size);
	int64_t ns = UNTOUCHED;

	if (text && when_parse(text, NOW, &ns) == 0 && ns < 0)
		abort();
	return 0;
}
