/* SPDX-License-Identifier: GPL-2.0-only */
/* Numbers, ports, sizes, durations (which may have a fraction) and addresses from text. Stricter than strtoul: no sign, no space, nothing after. */
#include "util/parse.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "util/cleanup.h"

struct unit {
	const char *suffix;
	uint64_t factor;
};

static const struct unit size_units[] = {
	{ "", 1 },
	{ "B", 1 },
	{ "K", 1024 },
	{ "KiB", 1024 },
	{ "M", 1024 * 1024 },
	{ "MiB", 1024 * 1024 },
	{ "G", 1024 * 1024 * 1024 },
	{ "GiB", 1024 * 1024 * 1024 },
};

static const struct unit duration_units[] = {
	{ "", 1000000000 },
	{ "ns", 1 },
	{ "us", 1000 },
	{ "ms", 1000000 },
	{ "s", 1000000000 },
	{ "m", 60 * UINT64_C(1000000000) },
	{ "min", 60 * UINT64_C(1000000000) },
	{ "h", 3600 * UINT64_C(1000000000) },
	{ "d", 86400 * UINT64_C(1000000000) },
};

/* The digits at *@text, which moves behind them. */
static int parse_digits(const char **text, uint64_t *ret)
{
	const char *p = *text;
	uint64_t v = 0;

	if (*p < '0' || *p > '9')
		return -EINVAL;
	for (; *p >= '0' && *p <= '9'; p++) {
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
			return -ERANGE;
	}
	*text = p;
	*ret = v;
	return 0;
}

/* The digits behind a point, which must be there; *@text moves behind them. NULL: it begins with no point. */
static int parse_fraction(const char **text, const char **ret_digits, size_t *ret_n)
{
	*ret_digits = NULL;
	*ret_n = 0;
	if (**text != '.')
		return 0;
	*ret_digits = *text + 1;
	*ret_n = strspn(*ret_digits, "0123456789");
	*text += 1 + *ret_n;
	return *ret_n ? 0 : -EINVAL;
}

uint64_t parse_fraction_of(const char *digits, size_t n, uint64_t factor)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n && factor; i++) {
		factor /= 10;
		v += (uint64_t)(digits[i] - '0') * factor;
	}
	return v;
}

static int parse_scaled(const char *text, const struct unit *units, size_t n_units, bool fraction,
			uint64_t *ret)
{
	const char *digits = NULL;
	size_t n = 0;
	uint64_t v;
	int r;

	r = parse_digits(&text, &v);
	if (r >= 0 && fraction)
		r = parse_fraction(&text, &digits, &n);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n_units; i++) {
		if (strcasecmp(text, units[i].suffix) != 0)
			continue;
		if (__builtin_mul_overflow(v, units[i].factor, &v) ||
		    __builtin_add_overflow(v, parse_fraction_of(digits, n, units[i].factor), &v))
			return -ERANGE;
		*ret = v;
		return 0;
	}
	return -EINVAL;
}

static int parse_max(const char *text, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;
	int r;

	r = parse_digits(&text, &v);
	if (r == -EINVAL)
		return r;
	/* "99999999999x" is no number at all, however large. */
	if (text[strspn(text, "0123456789")] != '\0')
		return -EINVAL;
	if (r < 0 || v > max)
		return -ERANGE;
	*ret = v;
	return 0;
}

int parse_u64(const char *text, uint64_t *ret)
{
	return parse_max(text, UINT64_MAX, ret);
}

int parse_u32(const char *text, uint32_t *ret)
{
	uint64_t v;
	int r;

	r = parse_max(text, UINT32_MAX, &v);
	if (r < 0)
		return r;
	*ret = (uint32_t)v;
	return 0;
}

int parse_port(const char *text, uint16_t *ret)
{
	uint64_t v;
	int r;

	r = parse_max(text, UINT16_MAX, &v);
	if (r < 0)
		return r;
	*ret = (uint16_t)v;
	return 0;
}

int parse_size(const char *text, uint64_t *ret_bytes)
{
	return parse_scaled(text, size_units, ARRAY_SIZE(size_units), false, ret_bytes);
}

int parse_duration(const char *text, uint64_t *ret_ns)
{
	return parse_scaled(text, duration_units, ARRAY_SIZE(duration_units), true, ret_ns);
}

int parse_prefix(const char *text, uint8_t *ret_family, uint8_t ret_addr[16], unsigned *ret_prefix)
{
	uint8_t family = strchr(text, ':') ? AF_INET6 : AF_INET;
	size_t len = strcspn(text, "/");
	char addr[INET6_ADDRSTRLEN];
	uint8_t bytes[16] = { 0 };
	unsigned bits = family == AF_INET6 ? 128 : 32;
	uint64_t prefix = bits;
	int r;

	if (len >= sizeof(addr))
		return -EINVAL;
	memcpy(addr, text, len);
	addr[len] = '\0';
	if (inet_pton(family, addr, bytes) != 1)
		return -EINVAL;
	if (text[len] == '/') {
		r = parse_max(text + len + 1, bits, &prefix);
		if (r < 0)
			return r;
	}

	*ret_family = family;
	memcpy(ret_addr, bytes, sizeof(bytes));
	*ret_prefix = (unsigned)prefix;
	return 0;
}
