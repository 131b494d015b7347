/* SPDX-License-Identifier: GPL-2.0-only */
/* Pieces of text that are not terminated: what paths and files are cut into without copying. */
#ifndef ENRICH_SPAN_H
#define ENRICH_SPAN_H

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct span {
	const char *at;
	size_t len;
};

#define SPAN(text) ((struct span){ (text), sizeof(text) - 1 })

static inline bool span_is(struct span s, const char *word)
{
	return strlen(word) == s.len && !memcmp(s.at, word, s.len);
}

static inline bool cut_prefix(struct span *s, const char *prefix)
{
	size_t n = strlen(prefix);

	if (s->len < n || memcmp(s->at, prefix, n))
		return false;
	s->at += n;
	s->len -= n;
	return true;
}

static inline bool cut_suffix(struct span *s, const char *suffix)
{
	size_t n = strlen(suffix);

	if (s->len < n || memcmp(s->at + s->len - n, suffix, n))
		return false;
	s->len -= n;
	return true;
}

static inline char *span_dup(struct span s)
{
	return strndup(s.at, s.len);
}

static inline bool is_hex(struct span s, size_t len)
{
	for (size_t i = 0; i < s.len; i++) {
		if (!isdigit((unsigned char)s.at[i]) && !(s.at[i] >= 'a' && s.at[i] <= 'f'))
			return false;
	}
	return s.len == len;
}

#endif
