/* SPDX-License-Identifier: GPL-2.0-only */
/* What filter_parse.c (the grammar) and filter_value.c (words and values) share. */
#ifndef CORE_FILTER_PARSER_H
#define CORE_FILTER_PARSER_H

#include "core/filter_tree.h"

#define FILTER_SPACES " \t\n\r\v\f"

struct parser {
	const char *text;
	size_t at;
	size_t joint_at,
		joint_len; /* the last `and`, `or`, `not` or `(`, as long as nothing has followed it */
	unsigned depth;
	int error;
	struct filter_error *said;
};

/* Say what is wrong with @len bytes at @at, unless something was wrong before. Returns the parser's error. */
int parser_bad(struct parser *p, size_t at, size_t len, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
int parser_suggest(struct parser *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int parser_no_memory(struct parser *p);
int parser_shown(size_t len); /* for "%.*s": only so much of a word is repeated */

void parser_skip_spaces(struct parser *p);
size_t parser_word_len(const struct parser *p); /* of the keyword, shorthand or joint that begins here */
bool parser_word_is(const char *text, size_t len, const char *word);
/* Move behind @word or @sign if it stands here. */
bool parser_accept(struct parser *p, const char *word, const char *sign);

bool keyword_find(const char *text, size_t len, enum filter_key *ret);
const char *keyword_nearest(const char *word); /* NULL: none is near */
bool keyword_word(const struct filter_keyword *key, const char *text, size_t len, uint32_t *ret);
const char *keyword_known_as(const char *word); /* what people call otherwise; NULL: nothing */

/* One more value of @node; NULL when out of memory. */
struct filter_value *value_add(struct parser *p, struct filter_node *node);
/* a,b, c: the values of @node, from here on; an error for a missing one marks @at, @len. */
int value_parse_list(struct parser *p, struct filter_node *node, size_t at, size_t len);
/* @len bytes at @at as an address. */
int value_parse_addr(struct parser *p, size_t at, size_t len, struct filter_value *ret);

#endif
