/* SPDX-License-Identifier: GPL-2.0-only */
/* Moments as journalctl(1) takes them. A cursor goes through the text; what follows the last part is an error. */
#include "util/when.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "util/cleanup.h"
#include "util/parse.h"

#define US 1000ll
#define MS (1000 * US)
#define SECOND (1000 * MS)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define YEAR_LAST 2261 /* the next one does not fit in 63 bits of nanoseconds */

/* clang-format off */
static const struct { const char *word; int64_t ns; } units[] = {
	{ "us", US }, { "usec", US }, { "ms", MS }, { "msec", MS }, { "s", SECOND }, { "sec", SECOND }, { "second", SECOND },
	{ "seconds", SECOND }, { "m", MINUTE }, { "min", MINUTE }, { "minute", MINUTE }, { "minutes", MINUTE }, { "h", HOUR },
	{ "hr", HOUR }, { "hour", HOUR }, { "hours", HOUR }, { "d", DAY }, { "day", DAY }, { "days", DAY }, { "w", 7 * DAY },
	{ "week", 7 * DAY }, { "weeks", 7 * DAY }, { "M", 2629800 * SECOND }, { "month", 2629800 * SECOND },
	{ "months", 2629800 * SECOND }, { "y", 31557600 * SECOND }, { "year", 31557600 * SECOND }, { "years", 31557600 * SECOND },
};
/* clang-format on */

static void skip_spaces(const char **at)
{
	while (**at == ' ')
		(*at)++;
}

/* The word at the cursor, and the cursor after it. */
static bool take_word(const char **at, const char *word)
{
	size_t len = strlen(word);

	if (strncasecmp(*at, word, len) != 0 || isalpha((unsigned char)(*at)[len]))
		return false;
	*at += len;
	return true;
}

/* Of @min to @max digits. */
static bool take_number(const char **at, size_t min, size_t max, int64_t *ret)
{
	size_t n = 0;

	*ret = 0;
	for (; isdigit((unsigned char)**at) && n < max; n++)
		*ret = *ret * 10 + (*(*at)++ - '0');
	return n >= min && !isdigit((unsigned char)**at);
}

/* ".25": of a second, in ns; digits after the ninth mean nothing. */
static bool take_fraction(const char **at, int64_t *ret_ns)
{
	int64_t weight = SECOND / 10;

	*ret_ns = 0;
	if (**at != '.')
		return true;
	if (!isdigit((unsigned char)*++*at))
		return false;
	for (; isdigit((unsigned char)**at); weight /= 10)
		*ret_ns += (*(*at)++ - '0') * weight;
	return true;
}

static int64_t take_unit(const char **at)
{
	size_t len = 0;

	while (isalpha((unsigned char)(*at)[len]))
		len++;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (strlen(units[i].word) == len && !strncmp(units[i].word, *at, len)) {
			*at += len;
			return units[i].ns;
		}
	}
	return 0;
}

/* The digits behind a point of a number, if there is one; false: none follows it. */
static bool take_digits(const char **at, const char **ret_digits, size_t *ret_n)
{
	*ret_digits = *at + 1;
	*ret_n = 0;
	if (**at != '.')
		return true;
	while (isdigit((unsigned char)(*ret_digits)[*ret_n]))
		(*ret_n)++;
	*at += 1 + *ret_n;
	return *ret_n;
}

/* "1h 30min", "1.5h", "90" (seconds). */
static int take_span(const char **at, int64_t *ret_ns)
{
	int64_t number, unit, part;
	const char *digits;
	size_t n;

	*ret_ns = 0;
	do {
		if (!take_number(at, 1, 18, &number) || !take_digits(at, &digits, &n))
			return -EINVAL;
		skip_spaces(at);
		unit = isalpha((unsigned char)**at) ? take_unit(at) : SECOND;
		if (!unit)
			return -EINVAL;
		if (__builtin_mul_overflow(number, unit, &part) ||
		    __builtin_add_overflow(part, (int64_t)parse_fraction_of(digits, n, (uint64_t)unit),
					   &part) ||
		    __builtin_add_overflow(*ret_ns, part, ret_ns))
			return -ERANGE;
		skip_spaces(at);
	} while (isdigit((unsigned char)**at));
	return 0;
}

static int moved(int64_t now_ns, int64_t by_ns, int64_t *ret_ns)
{
	if (__builtin_add_overflow(now_ns, by_ns, ret_ns) || *ret_ns < 0)
		return -ERANGE;
	return 0;
}

/* "-2h", "+5min", "2h ago". @sign 0: it is said at the end. */
static int parse_relative(const char *at, int sign, int64_t now_ns, int64_t *ret_ns)
{
	int64_t span;
	int r;

	skip_spaces(&at);
	r = take_span(&at, &span);
	if (r)
		return r;
	if (!sign)
		sign = take_word(&at, "ago") ? -1 : take_word(&at, "left") ? 1 : 0;
	skip_spaces(&at);
	if (!sign || *at)
		return -EINVAL;
	return moved(now_ns, sign * span, ret_ns);
}

/* "@1795332692.25". */
static int parse_epoch(const char *at, int64_t *ret_ns)
{
	int64_t seconds, fraction;

	if (!take_number(&at, 1, 12, &seconds) || !take_fraction(&at, &fraction) || *at)
		return -EINVAL;
	if (__builtin_mul_overflow(seconds, SECOND, ret_ns) ||
	    __builtin_add_overflow(*ret_ns, fraction, ret_ns))
		return -ERANGE;
	return 0;
}

/* A date and a time as they are put together. */
struct parts {
	struct tm tm;
	int64_t fraction;
	bool has_date, has_time;
	bool zoned; /* offset is that of the text, else local time */
	int64_t offset_s;
	int weekday; /* -1: none was said */
};

static void take_weekday(const char **at, struct parts *p)
{
	static const char *const names[] = { "sunday",   "monday", "tuesday", "wednesday",
					     "thursday", "friday", "saturday" };

	p->weekday = -1;
	for (int i = 0; i < 7; i++) {
		char brief[4] = { names[i][0], names[i][1], names[i][2] };

		if (!take_word(at, names[i]) && !take_word(at, brief))
			continue;
		p->weekday = i;
		if (**at == ',')
			(*at)++;
		skip_spaces(at);
		return;
	}
}

static void day_of(int64_t now_ns, int days, bool utc, struct tm *ret)
{
	time_t now = (time_t)(now_ns / SECOND);

	if (!(utc ? gmtime_r(&now, ret) : localtime_r(&now, ret)))
		memset(ret, 0, sizeof(*ret));
	ret->tm_mday += days;
	ret->tm_hour = ret->tm_min = ret->tm_sec = 0;
}

/* "2026-11-22", "26-11-22". False: it begins like one and is none. */
static bool take_date(const char **at, struct parts *p)
{
	const char *from = *at;
	int64_t year, month, day;

	if (!isdigit((unsigned char)*from) || !take_number(&from, 2, 4, &year) || *from != '-')
		return true;
	from++;
	if (!take_number(&from, 1, 2, &month) || *from++ != '-' || !take_number(&from, 1, 2, &day))
		return false;
	if (year < 100)
		year += year < 70 ? 2000 : 1900;
	p->tm.tm_year = (int)year - 1900;
	p->tm.tm_mon = (int)month - 1;
	p->tm.tm_mday = (int)day;
	p->has_date = true;
	*at = from;
	return month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

/* "03:12", "03:12:07.5". */
static bool take_time(const char **at, struct parts *p)
{
	int64_t hour, minute, second = 0;

	if (!isdigit((unsigned char)**at))
		return true;
	if (!take_number(at, 1, 2, &hour) || *(*at)++ != ':' || !take_number(at, 2, 2, &minute))
		return false;
	if (**at == ':') {
		(*at)++;
		if (!take_number(at, 2, 2, &second) || !take_fraction(at, &p->fraction))
			return false;
	}
	p->tm.tm_hour = (int)hour;
	p->tm.tm_min = (int)minute;
	p->tm.tm_sec = (int)second;
	p->has_time = true;
	return hour < 24 && minute < 60 && second < 60;
}

/* "UTC", "Z", "+02:00", "-0500". */
static bool take_zone(const char **at, struct parts *p)
{
	int64_t hours, minutes;
	int sign;

	skip_spaces(at);
	if (!**at)
		return true;
	p->zoned = true;
	if (take_word(at, "UTC") || (p->has_time && take_word(at, "Z")))
		return true;
	if (!p->has_time || (**at != '+' && **at != '-'))
		return false;
	sign = *(*at)++ == '-' ? -1 : 1;
	hours = 0;
	for (int i = 0; i < 2; i++, (*at)++) {
		if (!isdigit((unsigned char)**at))
			return false;
		hours = hours * 10 + (**at - '0');
	}
	if (**at == ':')
		(*at)++;
	minutes = 0;
	if (**at && !take_number(at, 2, 2, &minutes))
		return false;
	p->offset_s = sign * (hours * 3600 + minutes * 60);
	return hours < 24 && minutes < 60;
}

static bool said_utc(const char *text)
{
	size_t len = strlen(text);

	return len > 3 && !strcasecmp(text + len - 3, "UTC");
}

static int parts_join(struct parts *p, int64_t *ret_ns)
{
	struct tm tm = p->tm;
	int day = tm.tm_mday, month = tm.tm_mon;
	time_t s;

	tm.tm_isdst = -1;
	s = p->zoned ? timegm(&tm) : mktime(&tm);
	/* The 31st of April is no day. A time that a change of the clock leaves out is moved, as mktime(3) does. */
	if (p->has_date && (tm.tm_mday != day || tm.tm_mon != month))
		return -EINVAL;
	if (p->weekday >= 0 && p->weekday != tm.tm_wday)
		return -EINVAL;
	if (tm.tm_year + 1900 > YEAR_LAST || tm.tm_year < 70 - 1)
		return -ERANGE;
	return moved((int64_t)(s - p->offset_s) * SECOND, p->fraction, ret_ns);
}

static int parse_calendar(const char *text, int64_t now_ns, int64_t *ret_ns)
{
	static const struct {
		const char *word;
		int days;
	} days[] = { { "yesterday", -1 }, { "today", 0 }, { "tomorrow", 1 } };
	struct parts p = { 0 };
	const char *at = text;
	bool named = false;

	take_weekday(&at, &p);
	for (size_t i = 0; i < ARRAY_SIZE(days) && !named && p.weekday < 0; i++) {
		named = take_word(&at, days[i].word);
		if (named)
			day_of(now_ns, days[i].days, said_utc(text), &p.tm);
	}
	if (!named && !take_date(&at, &p))
		return -EINVAL;
	if (!named && !p.has_date)
		day_of(now_ns, 0, said_utc(text), &p.tm);
	if (p.has_date && (*at == 'T' || *at == 't'))
		at++;
	skip_spaces(&at);
	if (!take_time(&at, &p) || !take_zone(&at, &p) || *at)
		return -EINVAL;
	if (!named && !p.has_date && !p.has_time)
		return -EINVAL;
	return parts_join(&p, ret_ns);
}

int when_parse(const char *text, int64_t now_ns, int64_t *ret_ns)
{
	int r;

	skip_spaces(&text);
	if (*text == '@')
		return parse_epoch(text + 1, ret_ns);
	if (*text == '+' || *text == '-')
		return parse_relative(text + 1, *text == '-' ? -1 : 1, now_ns, ret_ns);
	if (!strcasecmp(text, "now")) {
		*ret_ns = now_ns;
		return 0;
	}
	r = parse_relative(text, 0, now_ns, ret_ns);
	return r == -EINVAL ? parse_calendar(text, now_ns, ret_ns) : r;
}
