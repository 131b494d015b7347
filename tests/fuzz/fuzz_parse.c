/* SPDX-License-Identifier: GPL-2.0-only */
/* Any text as a number, a size, a duration, an address: what is taken reads back the same, what is refused changes nothing. */
#include "util/parse.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"

#define UNTOUCHED 0x5a5a5a5a5a5a5a5au

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_result(int r, uint64_t value)
{
	if (r != 0 && r != -EINVAL && r != -ERANGE)
		abort();
	if (r < 0 && value != UNTOUCHED)
		abort();
}

static void check_scaled(const char *text, int (*parse)(const char *text, uint64_t *ret),
			 const char *smallest_unit)
{
	uint64_t value = UNTOUCHED, again = UNTOUCHED;
	char plain[32];
	int r;

	r = parse(text, &value);
	check_result(r, value);
	if (r < 0)
		return;
	snprintf(plain, sizeof(plain), "%" PRIu64 "%s", value, smallest_unit);
	if (parse(plain, &again) || again != value)
		abort();
}

static void check_numbers(const char *text)
{
	uint64_t u64 = UNTOUCHED;
	uint32_t u32 = (uint32_t)UNTOUCHED;
	uint16_t port = (uint16_t)UNTOUCHED;
	int r64 = parse_u64(text, &u64), r32 = parse_u32(text, &u32), r16 = parse_port(text, &port);

	check_result(r64, u64);
	check_result(r32, r32 ? (u32 == (uint32_t)UNTOUCHED ? UNTOUCHED : 0) : u32);
	check_result(r16, r16 ? (port == (uint16_t)UNTOUCHED ? UNTOUCHED : 0) : port);
	if (!r64 && !r32 && u64 != u32)
		abort();
	if ((!r16 && (r32 || u32 != port)) || (!r32 && r64))
		abort();
	/* Too large for one is no syntax error of another. */
	if ((r16 == -EINVAL) != (r64 == -EINVAL) || (r32 == -EINVAL) != (r64 == -EINVAL))
		abort();
}

static void check_prefix(const char *text)
{
	char name[INET6_ADDRSTRLEN], plain[INET6_ADDRSTRLEN + 8];
	uint8_t family = 0, family2 = 0, addr[16], addr2[16];
	unsigned prefix = 0, prefix2 = 0;
	int r;

	memset(addr, 0x5a, sizeof(addr));
	r = parse_prefix(text, &family, addr, &prefix);
	if (r < 0) {
		check_result(r, UNTOUCHED);
		if (family || prefix || addr[0] != 0x5a)
			abort();
		return;
	}
	if ((family != AF_INET && family != AF_INET6) || prefix > (family == AF_INET ? 32 : 128))
		abort();
	if (!inet_ntop(family, addr, name, sizeof(name)))
		abort();
	snprintf(plain, sizeof(plain), "%s/%u", name, prefix);
	if (parse_prefix(plain, &family2, addr2, &prefix2) || family2 != family || prefix2 != prefix ||
	    memcmp(addr, addr2, sizeof(addr)) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free char *text = strndup((const char *)data, size);

	if (!text)
		return 0;
	check_scaled(text, parse_size, "");
	check_scaled(text, parse_duration, "ns");
	check_numbers(text);
	check_prefix(text);
	return 0;
}
