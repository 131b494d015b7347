/* SPDX-License-Identifier: GPL-2.0-only */
/* Numbers, sizes, durations and addresses as people type them. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "util/parse.h"
#include "util/cleanup.h"

#define UNTOUCHED 0x5a

struct row {
	const char *text;
	int result;
	uint64_t value;
};

static void check(const struct row *rows, size_t n, int (*parse)(const char *, uint64_t *))
{
	for (size_t i = 0; i < n; i++) {
		uint64_t v = UNTOUCHED;
		int r = parse(rows[i].text, &v);

		if (r != rows[i].result || v != (r ? UNTOUCHED : rows[i].value))
			fail_msg("'%s': %d, %llu", rows[i].text, r, (unsigned long long)v);
	}
}

static int as_u32(const char *text, uint64_t *ret)
{
	uint32_t v = UNTOUCHED;
	int r = parse_u32(text, &v);

	*ret = v;
	return r;
}

static int as_port(const char *text, uint64_t *ret)
{
	uint16_t v = UNTOUCHED;
	int r = parse_port(text, &v);

	*ret = v;
	return r;
}

static void a_number_is_digits_and_nothing_else(void **state)
{
	static const struct row rows[] = {
		{ "0", 0, 0 },
		{ "007", 0, 7 },
		{ "18446744073709551615", 0, UINT64_MAX },
		{ "18446744073709551616", -ERANGE, 0 },
		{ "99999999999999999999999", -ERANGE, 0 },
		{ "99999999999999999999999x", -EINVAL, 0 },
		{ "", -EINVAL, 0 },
		{ " 1", -EINVAL, 0 },
		{ "1 ", -EINVAL, 0 },
		{ "+1", -EINVAL, 0 },
		{ "-1", -EINVAL, 0 },
		{ "0x10", -EINVAL, 0 },
		{ "1\n", -EINVAL, 0 },
	};

	(void)state;
	check(rows, ARRAY_SIZE(rows), parse_u64);
}

static void a_u32_ends_at_32_bits(void **state)
{
	static const struct row rows[] = {
		{ "4294967295", 0, UINT32_MAX },
		{ "4294967296", -ERANGE, 0 },
		{ "abc", -EINVAL, 0 },
	};

	(void)state;
	check(rows, ARRAY_SIZE(rows), as_u32);
}

static void a_port_ends_at_65535(void **state)
{
	static const struct row rows[] = {
		{ "0", 0, 0 },          { "65535", 0, 65535 },    { "65536", -ERANGE, 0 },
		{ "http", -EINVAL, 0 }, { "80/tcp", -EINVAL, 0 },
	};

	(void)state;
	check(rows, ARRAY_SIZE(rows), as_port);
}

static void a_size_has_binary_units(void **state)
{
	static const struct row rows[] = {
		{ "8388608", 0, 8388608 },
		{ "512K", 0, 512 * 1024 },
		{ "8M", 0, 8 * 1024 * 1024 },
		{ "8m", 0, 8 * 1024 * 1024 },
		{ "8MiB", 0, 8 * 1024 * 1024 },
		{ "1G", 0, 1024 * 1024 * 1024 },
		{ "17179869183G", 0, UINT64_C(17179869183) << 30 },
		{ "17179869184G", -ERANGE, 0 },
		{ "8 M", -EINVAL, 0 },
		{ "8T", -EINVAL, 0 },
		{ "8MM", -EINVAL, 0 },
		{ "1.5M", -EINVAL, 0 },
		{ "M", -EINVAL, 0 },
	};

	(void)state;
	check(rows, ARRAY_SIZE(rows), parse_size);
}

static void a_bare_duration_is_seconds(void **state)
{
	static const struct row rows[] = {
		{ "30", 0, UINT64_C(30000000000) },
		{ "30s", 0, UINT64_C(30000000000) },
		{ "250ms", 0, 250000000 },
		{ "10us", 0, 10000 },
		{ "7ns", 0, 7 },
		{ "5m", 0, UINT64_C(300000000000) },
		{ "2h", 0, UINT64_C(7200000000000) },
		{ "1d", 0, UINT64_C(86400000000000) },
		{ "0.2s", 0, 200000000 },
		{ "0.2", 0, 200000000 },
		{ "1.5h", 0, UINT64_C(5400000000000) },
		{ "2.25min", 0, UINT64_C(135000000000) },
		{ "1.000000001s", 0, 1000000001 },
		{ "0.0000000019s", 0, 1 },
		{ "0.999999999999999999999999999999ms", 0, 999999 },
		{ "0.5ns", 0, 0 },
		{ "18446744073.709551615s", 0, UINT64_MAX },
		{ "18446744073.709551616s", -ERANGE, 0 },
		{ "1.s", -EINVAL, 0 },
		{ ".5s", -EINVAL, 0 },
		{ "1.5.5s", -EINVAL, 0 },
		{ "1.5", 0, 1500000000 },
		{ "1.-5s", -EINVAL, 0 },
		{ "0", 0, 0 },
		{ "213504d", -ERANGE, 0 },
		{ "30 s", -EINVAL, 0 },
		{ "30sec", -EINVAL, 0 },
		{ "-5s", -EINVAL, 0 },
		{ "s", -EINVAL, 0 },
	};

	(void)state;
	check(rows, ARRAY_SIZE(rows), parse_duration);
}

static void a_prefix_is_an_address_and_maybe_bits(void **state)
{
	static const struct {
		const char *text;
		int result;
		uint8_t family;
		uint8_t last; /* byte of the address */
		unsigned prefix;
	} rows[] = {
		{ "127.0.0.1", 0, AF_INET, 1, 32 },
		{ "10.0.0.0/8", 0, AF_INET, 0, 8 },
		{ "0.0.0.0/0", 0, AF_INET, 0, 0 },
		{ "::1", 0, AF_INET6, 1, 128 },
		{ "fe80::/10", 0, AF_INET6, 0, 10 },
		{ "::ffff:1.2.3.4", 0, AF_INET6, 4, 128 },
		{ "10.0.0.0/33", -ERANGE, 0, 0, 0 },
		{ "::/129", -ERANGE, 0, 0, 0 },
		{ "10.0.0.0/", -EINVAL, 0, 0, 0 },
		{ "10.0.0/8", -EINVAL, 0, 0, 0 },
		{ "10.0.0.256", -EINVAL, 0, 0, 0 },
		{ "localhost", -EINVAL, 0, 0, 0 },
		{ "", -EINVAL, 0, 0, 0 },
		{ "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb", -EINVAL, 0, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint8_t addr[16], family = UNTOUCHED;
		unsigned prefix = UNTOUCHED;
		int r = parse_prefix(rows[i].text, &family, addr, &prefix);

		if (r != rows[i].result || family != (r ? UNTOUCHED : rows[i].family) ||
		    prefix != (r ? UNTOUCHED : rows[i].prefix))
			fail_msg("'%s': %d, family %u, prefix %u", rows[i].text, r, family, prefix);
		if (!r)
			assert_int_equal(addr[family == AF_INET ? 3 : 15], rows[i].last);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_number_is_digits_and_nothing_else),
		cmocka_unit_test(a_u32_ends_at_32_bits),
		cmocka_unit_test(a_port_ends_at_65535),
		cmocka_unit_test(a_size_has_binary_units),
		cmocka_unit_test(a_bare_duration_is_seconds),
		cmocka_unit_test(a_prefix_is_an_address_and_maybe_bits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
