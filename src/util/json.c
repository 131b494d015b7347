/* SPDX-License-Identifier: GPL-2.0-only */
/* Writes JSON values. Nearly every string is plain ASCII, so that is copied; the rest is looked at byte by byte. */
#include "util/json.h"

#define ESCAPED_MAX 6 /* \u0000 */
#define REPLACEMENT "\xef\xbf\xbd"

/* Which of eight bytes stop the copying, as 0x80 in their place: controls, quote, backslash, DEL and above. */
static uint64_t odd_bytes(uint64_t w)
{
	const uint64_t ones = 0x0101010101010101ULL, tops = 0x8080808080808080ULL;
	uint64_t quote = w ^ (ones * '"'), slash = w ^ (ones * '\\');
	uint64_t control = (w - ones * 0x20), del = w + ones;

	return (w | control | del | (quote - ones) | (slash - ones)) & tops;
}

static bool is_odd(uint8_t c)
{
	return c < 0x20 || c == '"' || c == '\\' || c >= 0x7f;
}

/* Length of the plain ASCII that @text begins with. */
static size_t plain_len(const char *text, size_t len)
{
	size_t i = 0;
	uint64_t w;

	/* A borrow can mark a byte too many, never one too few, so a marked word is only looked at again. */
	for (; len - i >= sizeof(w); i += sizeof(w)) {
		memcpy(&w, text + i, sizeof(w));
		if (odd_bytes(w))
			break;
	}
	while (i < len && !is_odd((uint8_t)text[i]))
		i++;
	return i;
}

static size_t escape_rune(char out[12], uint32_t rune)
{
	static const char hex[] = "0123456789abcdef";
	static const char letters[32] = {
		['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'
	};

	out[0] = '\\';
	if (rune == '"' || rune == '\\' || (rune < sizeof(letters) && letters[rune])) {
		out[1] = rune < sizeof(letters) ? letters[rune] : (char)rune;
		return 2;
	}
	out[1] = 'u';
	for (unsigned i = 0; i < 4; i++)
		out[2 + i] = hex[rune >> (12 - 4 * i) & 15];
	return ESCAPED_MAX;
}

/* One character of @text as it stands in JSON; *ret_len is how much of @text it was. */
static size_t convert(char out[12], const char *text, size_t len, size_t *ret_len)
{
	uint32_t rune;
	size_t n = utf8_next(text, len, &rune);

	*ret_len = n ? n : 1;
	if (!n) {
		memcpy(out, REPLACEMENT, sizeof(REPLACEMENT) - 1);
		return sizeof(REPLACEMENT) - 1;
	}
	if (rune == '"' || rune == '\\' || utf8_harmful(rune)) /* all harmful ones are below U+FFFF */
		return escape_rune(out, rune);
	memcpy(out, text, n);
	return n;
}

size_t json_string_max(struct buf *b, const char *text, size_t len, size_t max)
{
	size_t i = 0, end = b->len + max - 1;
	char out[12];

	buf_putc(b, '"');
	while (i < len && !b->error) {
		size_t taken = plain_len(text + i, len - i);
		size_t room = end - b->len, n;

		if (taken) {
			n = taken = taken < room ? taken : room;
			buf_put(b, text + i, taken);
		} else {
			n = convert(out, text + i, len - i, &taken);
			if (n > room)
				break;
			buf_put(b, out, n);
		}
		if (!n)
			break;
		i += taken;
	}
	buf_putc(b, '"');
	return i;
}

void json_string(struct buf *b, const char *text, size_t len)
{
	char *at;

	if (plain_len(text, len) != len) {
		(void)json_string_max(b, text, len, SIZE_MAX / 4);
		return;
	}
	if (b->cap - b->len < len + 2 && !buf_reserve(b, len + 2))
		return;
	at = b->data + b->len;
	at[0] = '"';
	memcpy(at + 1, text, len);
	at[len + 1] = '"';
	b->len += len + 2;
}

void json_cstring(struct buf *b, const char *text)
{
	json_string(b, text ? text : "", text ? strlen(text) : 0);
}

void json_u64(struct buf *b, uint64_t v)
{
	buf_u64(b, v);
}

void json_i64(struct buf *b, int64_t v)
{
	buf_i64(b, v);
}

void json_u64_string(struct buf *b, uint64_t v)
{
	buf_putc(b, '"');
	buf_u64(b, v);
	buf_putc(b, '"');
}

void json_bool(struct buf *b, bool v)
{
	buf_put(b, v ? "true" : "false", v ? 4 : 5);
}

/* Days since 1970 to a date. Years are counted from March, so that the leap day is the last of one. */
static void civil_from_days(int64_t days, unsigned *ret_year, unsigned *ret_month, unsigned *ret_day)
{
	uint64_t since_march_0 = (uint64_t)(days + 719468);
	uint64_t era = since_march_0 / 146097, of_era = since_march_0 % 146097;
	uint64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	uint64_t of_year = of_era - (365 * year + year / 4 - year / 100);
	uint64_t month = (5 * of_year + 2) / 153; /* 0 is March */

	*ret_day = (unsigned)(of_year - (153 * month + 2) / 5 + 1);
	*ret_month = (unsigned)(month < 10 ? month + 3 : month - 9);
	*ret_year = (unsigned)(era * 400 + year + (*ret_month <= 2));
}

void json_time(struct buf *b, int64_t wall_ns)
{
	const int64_t day_ns = 86400LL * 1000000000;
	int64_t days = wall_ns / day_ns - (wall_ns % day_ns < 0);
	uint64_t of_day = (uint64_t)(wall_ns % day_ns + (wall_ns % day_ns < 0 ? day_ns : 0)),
		 second = of_day / 1000000000;
	unsigned year, month, day;

	if (b->cap - b->len < 32 && !buf_reserve(b, 32))
		return;
	civil_from_days(days, &year, &month, &day);
	buf_putc(b, '"');
	buf_digits(b, year, 4);
	buf_putc(b, '-');
	buf_digits(b, month, 2);
	buf_putc(b, '-');
	buf_digits(b, day, 2);
	buf_putc(b, 'T');
	buf_digits(b, second / 3600, 2);
	buf_putc(b, ':');
	buf_digits(b, second / 60 % 60, 2);
	buf_putc(b, ':');
	buf_digits(b, second % 60, 2);
	buf_putc(b, '.');
	buf_digits(b, of_day % 1000000000, 9);
	buf_put(b, "Z\"", 2);
}

void json_next(struct buf *b)
{
	char last = b->len ? b->data[b->len - 1] : '{';

	if (last != '{' && last != '[')
		buf_putc(b, ',');
}

void json_key(struct buf *b, const char *name)
{
	json_next(b);
	buf_printf(b, "\"%s\":", name);
}

void json_put_text(struct buf *b, const char *name, const char *text)
{
	if (!text || !*text)
		return;
	json_key(b, name);
	json_cstring(b, text);
}

void json_put_number(struct buf *b, const char *name, uint64_t v)
{
	json_key(b, name);
	json_u64(b, v);
}

void json_put_flag(struct buf *b, const char *name, bool v)
{
	json_key(b, name);
	json_bool(b, v);
}
