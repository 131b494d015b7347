/* SPDX-License-Identifier: GPL-2.0-only */
/* Decides what is valid UTF-8 and what is safe to show. */
#include "util/utf8.h"

#include "util/cleanup.h"

/* The lead byte says how long it is and how small the character may be: a longer way to write it is not valid. */
static const struct lead {
	uint8_t mask, value, len;
	uint32_t least;
} leads[] = {
	{ 0x80, 0x00, 1, 0 },
	{ 0xe0, 0xc0, 2, 0x80 },
	{ 0xf0, 0xe0, 3, 0x800 },
	{ 0xf8, 0xf0, 4, 0x10000 },
};

static const struct range {
	uint32_t first, last;
} harmful[] = {
	{ 0x00, 0x1f },     { 0x7f, 0x9f }, { 0x061c, 0x061c }, /* Arabic letter mark */
	{ 0x200e, 0x200f },                                     /* left-to-right and right-to-left mark */
	{ 0x2028, 0x202e }, /* line and paragraph separator; embeddings and overrides */
	{ 0x2066, 0x2069 }, /* isolates */
};

static size_t decode(const struct lead *lead, const uint8_t *text, size_t len, uint32_t *ret_rune)
{
	uint32_t rune = text[0] & (uint8_t)~lead->mask;

	if (len < lead->len)
		return 0;
	for (size_t i = 1; i < lead->len; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		rune = rune << 6 | (text[i] & 0x3f);
	}
	if (rune < lead->least || rune > 0x10ffff || (rune >= 0xd800 && rune <= 0xdfff))
		return 0;
	*ret_rune = rune;
	return lead->len;
}

size_t utf8_next(const char *text, size_t len, uint32_t *ret_rune)
{
	const uint8_t *bytes = (const uint8_t *)text;

	for (size_t i = 0; i < ARRAY_SIZE(leads); i++) {
		if ((bytes[0] & leads[i].mask) == leads[i].value)
			return decode(&leads[i], bytes, len, ret_rune);
	}
	return 0;
}

bool utf8_valid(const char *text, size_t len)
{
	uint32_t rune;
	size_t n;

	for (; len; text += n, len -= n) {
		n = utf8_next(text, len, &rune);
		if (!n)
			return false;
	}
	return true;
}

bool utf8_harmful(uint32_t rune)
{
	for (size_t i = 0; i < ARRAY_SIZE(harmful); i++) {
		if (rune >= harmful[i].first && rune <= harmful[i].last)
			return true;
	}
	return false;
}

static bool begins_character(char c)
{
	return ((unsigned char)c & 0xc0) != 0x80;
}

unsigned utf8_columns(const char *text, size_t len)
{
	unsigned n = 0;

	for (size_t i = 0; i < len; i++)
		n += begins_character(text[i]);
	return n;
}

size_t utf8_prefix(const char *text, size_t len, unsigned width)
{
	size_t i = 0;

	for (; i < len; i++)
		if (begins_character(text[i]) && !width--)
			break;
	return i;
}
