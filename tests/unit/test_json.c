/* SPDX-License-Identifier: GPL-2.0-only */
/* JSON values: strings of any bytes, times, numbers. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "util/cleanup.h"
#include "util/json.h"

static void strings_are_escaped_as_rfc_8259_says(void **state)
{
	static const struct row {
		const char *raw, *json;
	} rows[] = {
		{ "", "\"\"" },
		{ "plain text longer than eight bytes /~", "\"plain text longer than eight bytes /~\"" },
		{ "quote\" back\\slash", "\"quote\\\" back\\\\slash\"" },
		{ "\b\t\n\f\r", "\"\\b\\t\\n\\f\\r\"" },
		{ "\x01\x1f\x7f", "\"\\u0001\\u001f\\u007f\"" },
		{ "caf\xc3\xa9 \xf0\x9f\x92\xa9", "\"caf\xc3\xa9 \xf0\x9f\x92\xa9\"" },
		{ "\xc2\x9b[31m", "\"\\u009b[31m\"" },
		{ "\xe2\x80\xa8\xe2\x80\xae\xe2\x81\xa6", "\"\\u2028\\u202e\\u2066\"" },
		{ "bad \xff.", "\"bad \xef\xbf\xbd.\"" },
		{ "\xc0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "cut \xe2\x82", "\"cut \xef\xbf\xbd\xef\xbf\xbd\"" },
	};
	struct buf b = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		buf_reset(&b);
		json_string(&b, rows[i].raw, strlen(rows[i].raw));
		assert_string_equal(buf_str(&b), rows[i].json);
	}
	buf_done(&b);
}

static void a_nul_and_a_null_are_no_end(void **state)
{
	struct buf b = { 0 };

	(void)state;
	json_string(&b, "a\0b", 3);
	json_cstring(&b, NULL);
	assert_string_equal(buf_str(&b), "\"a\\u0000b\"\"\"");
	buf_done(&b);
}

/* The fast path looks at eight bytes at a time: an odd byte must be found at any place among any neighbours. */
static void each_byte_is_found_at_each_place(void **state)
{
	struct buf b = { 0 };
	char raw[24];

	(void)state;
	for (unsigned c = 0; c < 256; c++) {
		bool plain = c >= 0x20 && c < 0x7f && c != '"' && c != '\\';

		for (size_t at = 0; at < sizeof(raw); at++) {
			memset(raw, "a!~ "[at % 4], sizeof(raw));
			raw[at] = (char)c;
			buf_reset(&b);
			json_string(&b, raw, sizeof(raw));
			assert_int_equal(plain, b.len == sizeof(raw) + 2);
			if (plain)
				assert_memory_equal(b.data + 1, raw, sizeof(raw));
		}
	}
	buf_done(&b);
}

static void any_bytes_become_valid_utf8(void **state)
{
	struct buf b = { 0 };
	char raw[64];

	(void)state;
	srand(1);
	for (int i = 0; i < 20000; i++) {
		size_t len = (size_t)rand() % sizeof(raw);

		for (size_t k = 0; k < len; k++)
			raw[k] = (char)(rand() % 4 ? rand() | 0x80 : rand());
		buf_reset(&b);
		json_string(&b, raw, len);
		assert_true(utf8_valid(b.data, b.len));
		for (size_t k = 0; k < b.len; k++)
			assert_true((unsigned char)b.data[k] >= 0x20);
	}
	buf_done(&b);
}

static void a_cut_string_ends_between_characters(void **state)
{
	static const char raw[] = "ab\n\xc3\xa9\xff\x1b"
				  "cdefghij";
	struct buf b = { 0 };

	(void)state;
	for (size_t max = 2; max < 40; max++) {
		size_t taken, full;

		buf_reset(&b);
		buf_puts(&b, "before");
		taken = json_string_max(&b, raw, sizeof(raw) - 1, max);
		assert_true(b.len - 6 <= max);
		assert_int_equal(b.data[b.len - 1], '"');
		assert_true(utf8_valid(b.data, b.len));
		full = b.len;
		buf_puts(&b, "|");
		json_string(&b, raw, taken); /* is just what was taken */
		assert_int_equal(b.len - full - 1, full - 6);
		assert_memory_equal(b.data + 6, b.data + full + 1, full - 6);
		if (taken < sizeof(raw) - 1) /* nothing more had fitted */
			assert_true(full - 6 + 6 > max);
	}
	buf_done(&b);
}

static void numbers_and_truth(void **state)
{
	struct buf b = { 0 };

	(void)state;
	json_u64(&b, UINT64_MAX);
	json_i64(&b, INT64_MIN);
	json_u64_string(&b, 41);
	json_bool(&b, true);
	json_bool(&b, false);
	assert_string_equal(buf_str(&b), "18446744073709551615-9223372036854775808\"41\"truefalse");
	buf_done(&b);
}

static void check_time(struct buf *b, int64_t wall_ns)
{
	time_t seconds = (time_t)(wall_ns / 1000000000 - (wall_ns % 1000000000 < 0));
	char day[64], want[96];
	struct tm tm;

	assert_non_null(gmtime_r(&seconds, &tm));
	strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(want, sizeof(want), "\"%s.%09lldZ\"", day, (long long)(wall_ns - seconds * 1000000000LL));
	buf_reset(b);
	json_time(b, wall_ns);
	assert_string_equal(buf_str(b), want);
}

static void times_are_as_the_c_library_has_them(void **state)
{
	static const int64_t times[] = {
		0,
		-1,
		1,
		1795335248601123456LL,
		951782400000000000LL,
		951868799999999999LL,
		4107542400000000000LL,
		9223372036000000000LL,
		-9223372035000000000LL,
	};
	struct buf b = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(times); i++)
		check_time(&b, times[i]);
	for (int64_t day = -40000; day < 60000; day++)
		check_time(&b, day * 86400000000000LL + day % 86400 * 1000000000LL);
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strings_are_escaped_as_rfc_8259_says),
		cmocka_unit_test(a_nul_and_a_null_are_no_end),
		cmocka_unit_test(each_byte_is_found_at_each_place),
		cmocka_unit_test(any_bytes_become_valid_utf8),
		cmocka_unit_test(a_cut_string_ends_between_characters),
		cmocka_unit_test(numbers_and_truth),
		cmocka_unit_test(times_are_as_the_c_library_has_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
