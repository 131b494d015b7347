/* SPDX-License-Identifier: GPL-2.0-only */
/* Moments as people type them. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "util/cleanup.h"
#include "util/when.h"

#define NOW 1795403696500000000ll /* Mon 2026-11-23 03:14:56.5 UTC, 04:14:56.5 in Berlin */
#define S 1000000000ll

static const struct {
	const char *text;
	int64_t ns; /* -EINVAL, -ERANGE: it is refused */
} rows[] = {
	{ "now", NOW },
	{ "  now", NOW },
	{ "@1795403696", 1795403696 * S },
	{ "@1795403696.25", 1795403696 * S + S / 4 },
	{ "@0", 0 },
	{ "-2h", NOW - 7200 * S },
	{ "+90", NOW + 90 * S },
	{ "-1h 30min", NOW - 5400 * S },
	{ "-1h30m", NOW - 5400 * S },
	{ "2 days ago", NOW - 2 * 86400 * S },
	{ "5min left", NOW + 300 * S },
	{ "-250ms", NOW - S / 4 },
	{ "-0.25s", NOW - S / 4 },
	{ "-1.5h", NOW - 5400 * S },
	{ "-1.5h 0.5min", NOW - 5430 * S },
	{ "-1M", NOW - 2629800 * S },
	/* Berlin has UTC+1 in winter and UTC+2 in summer. */
	{ "2026-11-22 03:12:07", 1795313527 * S },
	{ "2026-11-22T03:12:07", 1795313527 * S },
	{ "2026-11-22 03:12:07.5", 1795313527 * S + S / 2 },
	{ "2026-11-22 03:12:07.123456789123", 1795313527 * S + 123456789 },
	{ "2026-11-22 03:12", 1795313520 * S },
	{ "2026-11-22", 1795302000 * S },
	{ "26-11-22", 1795302000 * S },
	{ "2026-07-01 12:00", 1782900000 * S },
	{ "2026-11-22 03:12:07 UTC", 1795317127 * S },
	{ "2026-11-22T03:12:07Z", 1795317127 * S },
	{ "2026-11-22T03:12:07+02:00", 1795309927 * S },
	{ "2026-11-22 03:12:07 -0500", 1795335127 * S },
	{ "Sun 2026-11-22 03:12", 1795313520 * S },
	{ "sunday, 2026-11-22", 1795302000 * S },
	{ "03:12", 1795399920 * S },
	{ "3:12", 1795399920 * S },
	{ "03:12 UTC", 1795403520 * S },
	{ "today", 1795388400 * S },
	{ "today UTC", 1795392000 * S },
	{ "yesterday", 1795302000 * S },
	{ "yesterday 03:12", 1795313520 * S },
	{ "Tomorrow 00:00:01", 1795474801 * S },
	{ "", -EINVAL },
	{ "yesterda", -EINVAL },
	{ "yesterdayx", -EINVAL },
	{ "Mon 2026-11-22", -EINVAL }, /* it was a Sunday */
	{ "Mon", -EINVAL },
	{ "2026-13-01", -EINVAL },
	{ "2026-04-31", -EINVAL },
	{ "2026-11", -EINVAL },
	{ "2026-11-22 24:00", -EINVAL },
	{ "2026-11-22 03:1", -EINVAL },
	{ "2026-11-22 03:12:07.", -EINVAL },
	{ "2026-11-22 CET", -EINVAL },
	{ "2026-11-22 03:12 +25:00", -EINVAL },
	{ "2h", -EINVAL }, /* which way? */
	{ "-", -EINVAL },
	{ "-1.h", -EINVAL },
	{ "-.5h", -EINVAL },
	{ "-2 fortnights", -EINVAL },
	{ "-2h ago", -EINVAL },
	{ "@", -EINVAL },
	{ "@-1", -EINVAL },
	{ "@12x", -EINVAL },
	{ "2262-01-01", -ERANGE },
	{ "1901-01-01", -ERANGE },
	{ "-999999999999999999y", -ERANGE },
	{ "-100y", -ERANGE },
	{ "@999999999999", -ERANGE },
};

static void each_text_is_its_moment(void **state)
{
	(void)state;
	setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
	tzset();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int64_t ns = -1;
		int r = when_parse(rows[i].text, NOW, &ns);

		if ((r ? r : ns) != rows[i].ns)
			print_error("\"%s\": %d, %lld instead of %lld\n", rows[i].text, r, (long long)ns,
				    (long long)rows[i].ns);
		assert_true((r ? r : ns) == rows[i].ns);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(each_text_is_its_moment) };

	return cmocka_run_group_tests_name("when", tests, NULL, NULL);
}
