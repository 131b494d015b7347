/* SPDX-License-Identifier: GPL-2.0-only */
/* The words and values of a filter's text, and what to say when one is wrong. */
#include "core/filter_parser.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/args.h"
#include "util/cleanup.h"
#include "util/parse.h"

#define WORD_ENDS FILTER_SPACES "()<>=!&|"
#define VALUE_ENDS FILTER_SPACES "(),"
#define SHOWN_MAX 40
#define ERRNO_WORDS_MAX 160

/* One value as typed. */
struct piece {
	size_t at, len; /* with its quotes */
	char *text;     /* without */
};

/* ---- errors: the first one stays ---- */

int parser_bad(struct parser *p, size_t at, size_t len, const char *fmt, ...)
{
	va_list ap;

	if (p->error)
		return -EINVAL;
	p->said->at = at;
	p->said->len = len ? len : 1;
	va_start(ap, fmt);
	vsnprintf(p->said->message, sizeof(p->said->message), fmt, ap);
	va_end(ap);
	p->error = -EINVAL;
	return -EINVAL;
}

int parser_suggest(struct parser *p, const char *fmt, ...)
{
	va_list ap;

	if (p->said->suggestion[0])
		return p->error;
	va_start(ap, fmt);
	vsnprintf(p->said->suggestion, sizeof(p->said->suggestion), fmt, ap);
	va_end(ap);
	return p->error;
}

int parser_no_memory(struct parser *p)
{
	if (!p->error)
		p->error = -ENOMEM;
	return -ENOMEM;
}

int parser_shown(size_t len)
{
	return (int)(len < SHOWN_MAX ? len : SHOWN_MAX);
}

/* ---- words ---- */

void parser_skip_spaces(struct parser *p)
{
	p->at += strspn(p->text + p->at, FILTER_SPACES);
}

size_t parser_word_len(const struct parser *p)
{
	return strcspn(p->text + p->at, WORD_ENDS);
}

bool parser_word_is(const char *text, size_t len, const char *word)
{
	return strlen(word) == len && strncasecmp(text, word, len) == 0;
}

bool parser_accept(struct parser *p, const char *word, const char *sign)
{
	size_t len;

	parser_skip_spaces(p);
	len = parser_word_len(p);
	if (parser_word_is(p->text + p->at, len, word)) {
		p->at += len;
		return true;
	}
	if (strncmp(p->text + p->at, sign, strlen(sign)) == 0) {
		p->at += strlen(sign);
		return true;
	}
	return false;
}

bool keyword_find(const char *text, size_t len, enum filter_key *ret)
{
	for (size_t i = 0; i < N_FILTER_KEYS; i++) {
		if (parser_word_is(text, len, filter_keys[i].name)) {
			*ret = (enum filter_key)i;
			return true;
		}
	}
	return false;
}

bool keyword_word(const struct filter_keyword *key, const char *text, size_t len, uint32_t *ret)
{
	char scratch[16];

	for (uint32_t i = 0; i <= key->max; i++) {
		const char *word = key->word(i, scratch);

		if (word && parser_word_is(text, len, word)) {
			*ret = i;
			return true;
		}
	}
	return false;
}

const char *keyword_nearest(const char *word)
{
	const char *words[N_FILTER_KEYS + 1] = { NULL };

	for (size_t i = 0; i < N_FILTER_KEYS; i++)
		words[i] = filter_keys[i].name;
	return nearest_word(word, words);
}

/* The value of @key nearest to @word, copied to @ret; false when none is. */
static bool nearest_value(const struct filter_keyword *key, const char *word, char ret[16])
{
	static const char *const digits = "0123456789";
	char names[ERRNO_WORDS_MAX][16];
	const char *words[ERRNO_WORDS_MAX + 1];
	const char *near;
	size_t n = 0;

	for (uint32_t i = 0; i <= key->max && n < ERRNO_WORDS_MAX; i++) {
		char scratch[16];
		const char *name = key->word(i, scratch);

		if (!name || strchr(digits, name[0]))
			continue;
		snprintf(names[n], sizeof(names[n]), "%s", name);
		words[n] = names[n];
		n++;
	}
	words[n] = NULL;
	near = nearest_word(word, words);
	if (near)
		memcpy(ret, near, 16);
	return near != NULL;
}

/* ---- values ---- */

static void piece_done(const struct piece *piece)
{
	free(piece->text);
}

#define auto_piece __attribute__((cleanup(piece_done)))

/* "quoted": a backslash makes the quote and itself ordinary. */
static int read_quoted(struct parser *p, struct piece *ret)
{
	char quote = p->text[p->at];
	size_t at = p->at + 1, n = 0;
	auto_free char *text = malloc(strlen(p->text + p->at));

	if (!text)
		return parser_no_memory(p);
	for (; p->text[at] != quote; at++) {
		if (p->text[at] == '\\' && (p->text[at + 1] == quote || p->text[at + 1] == '\\'))
			at++;
		if (p->text[at] == '\0')
			return parser_bad(p, p->at, 1, "this quote is never closed");
		text[n++] = p->text[at];
	}
	text[n] = '\0';
	at++;
	if (!strchr(VALUE_ENDS, p->text[at]))
		return parser_bad(p, at, 1, "a space is missing after the quote");

	*ret = (struct piece){ p->at, at - p->at, take(text) };
	p->at = at;
	return 0;
}

/* `comm and port 80` has forgotten the name; a process called and is `comm "and"`. */
static bool is_joint(const char *text, size_t len)
{
	return parser_word_is(text, len, "and") || parser_word_is(text, len, "or") ||
	       parser_word_is(text, len, "not");
}

/* The next value of a list for @key, or an error that marks @at, @len when there is none. */
static int read_piece(struct parser *p, enum filter_key key, size_t at, size_t len, struct piece *ret)
{
	const char *start = p->text + p->at;
	size_t n = strcspn(start, VALUE_ENDS);

	if (*start == '"' || *start == '\'')
		return read_quoted(p, ret);
	if (!n && *start == '(') {
		parser_bad(p, p->at, 1, "%s cannot begin with '('", filter_keys[key].what);
		parser_suggest(p, "text with parentheses goes in quotes");
		return -EINVAL;
	}
	if (!n || is_joint(start, n))
		return parser_bad(p, at, len, "'%s' needs %s", filter_keys[key].name, filter_keys[key].what);

	*ret = (struct piece){ p->at, n, strndup(start, n) };
	p->at += n;
	return ret->text ? 0 : parser_no_memory(p);
}

static int bad_number(struct parser *p, const struct piece *piece, const char *text,
		      const struct filter_keyword *key, int error)
{
	size_t digits = strcspn(text, "/");

	if (error == -ERANGE)
		return parser_bad(p, piece->at, piece->len, "%.*s is no %s: %ss end at %u",
				  parser_shown(strlen(text)), text, key->name, key->name, key->max);
	parser_bad(p, piece->at, piece->len, "'%.*s' is not %s", parser_shown(strlen(text)), text, key->what);
	if (key == &filter_keys[KEY_PORT] && text[digits] == '/')
		return parser_suggest(p, "did you mean 'port %.*s and proto %.*s'?", parser_shown(digits),
				      text, parser_shown(strlen(text + digits + 1)), text + digits + 1);
	return parser_suggest(p, "%s is a number, 0 to %u", key->what, key->max);
}

static int parse_number(struct parser *p, const struct piece *piece, const char *text,
			const struct filter_keyword *key, uint32_t *ret)
{
	uint32_t v;
	int r;

	r = parse_u32(text, &v);
	if (r == 0 && v > key->max)
		r = -ERANGE;
	if (r < 0)
		return bad_number(p, piece, text, key, r);
	*ret = v;
	return 0;
}

/* 80 or 8000-8099 */
static int parse_range(struct parser *p, const struct piece *piece, const struct filter_keyword *key,
		       struct filter_value *ret)
{
	char *dash = strchr(piece->text, '-');
	int r;

	if (!dash || dash == piece->text) {
		r = parse_number(p, piece, piece->text, key, &ret->lo);
		ret->hi = ret->lo;
		return r;
	}
	*dash = '\0';
	r = parse_number(p, piece, piece->text, key, &ret->lo);
	if (r < 0)
		return r;
	if (dash[1] == '\0') {
		parser_bad(p, piece->at, piece->len, "the range has no end");
		return parser_suggest(p, "%s >= %s", key->name, piece->text);
	}
	r = parse_number(p, piece, dash + 1, key, &ret->hi);
	if (r < 0)
		return r;
	if (ret->lo > ret->hi) {
		parser_bad(p, piece->at, piece->len, "the range is empty: %u is above %u", ret->lo, ret->hi);
		return parser_suggest(p, "did you mean %u-%u?", ret->hi, ret->lo);
	}
	return 0;
}

const char *keyword_known_as(const char *word)
{
	static const char *const also[][2] = {
		{ "close", "action release" },
		{ "closed", "action release" },
		{ "unbind", "action release" },
		{ "fail", "failed" },
		{ "failure", "failed" },
		{ "error", "failed" },
		{ "process", "comm" },
		{ "name", "comm" },
		{ "ip", "addr" },
		{ "address", "addr" },
		{ "host", "addr" },
		{ "net", "addr" },
		{ "sport", "port" },
		{ "service", "unit" },
		{ "ns", "netns" },
		{ "tcp4", "proto tcp" },
		{ "tcp6", "proto tcp" },
		{ "ip4", "ipv4" },
		{ "ip6", "ipv6" },
		{ "inet", "ipv4" },
		{ "inet6", "ipv6" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(also); i++) {
		if (strcasecmp(word, also[i][0]) == 0)
			return also[i][1];
	}
	return NULL;
}

static int parse_word(struct parser *p, const struct piece *piece, const struct filter_keyword *key,
		      struct filter_value *ret)
{
	const char *other;
	char near[16];

	if (keyword_word(key, piece->text, strlen(piece->text), &ret->lo)) {
		ret->hi = ret->lo;
		return 0;
	}
	if (key == &filter_keys[KEY_ERRNO] && parse_u32(piece->text, &ret->lo) == 0) {
		ret->hi = ret->lo;
		return 0;
	}
	parser_bad(p, piece->at, piece->len, "'%.*s' is not %s", parser_shown(piece->len), piece->text,
		   key->what);
	other = keyword_known_as(piece->text);
	if (nearest_value(key, piece->text, near))
		return parser_suggest(p, "did you mean '%s %s'?", key->name, near);
	return other ? parser_suggest(p, "did you mean '%s'?", other) : p->error;
}

static int parse_addr(struct parser *p, const struct piece *piece, struct filter_value *ret)
{
	char *text = piece->text, *close = strchr(text, ']');
	int r;

	/* [::1] and [fe80::]/10 */
	if (text[0] == '[' && close) {
		memmove(close, close + 1, strlen(close));
		text++;
	}
	r = parse_prefix(text, &ret->addr.family, ret->addr.bytes, &ret->bits);
	if (r == -ERANGE)
		return parser_bad(p, piece->at, piece->len,
				  "the prefix is too long: %s addresses have %d bits",
				  strchr(text, ':') ? "IPv6" : "IPv4", strchr(text, ':') ? 128 : 32);
	if (r < 0) {
		parser_bad(p, piece->at, piece->len, "'%.*s' is not an address", parser_shown(piece->len),
			   p->text + piece->at);
		return parser_suggest(p, "10.0.0.1, 10.0.0.0/8 or fe80::/10");
	}
	return 0;
}

int value_parse_addr(struct parser *p, size_t at, size_t len, struct filter_value *ret)
{
	auto_piece struct piece piece = { at, len, strndup(p->text + at, len) };

	return piece.text ? parse_addr(p, &piece, ret) : parser_no_memory(p);
}

static int parse_value(struct parser *p, const struct piece *piece, enum filter_key key,
		       struct filter_value *ret)
{
	switch (filter_keys[key].type) {
	case VALUE_NUMBER:
		return parse_range(p, piece, &filter_keys[key], ret);
	case VALUE_WORD:
		return parse_word(p, piece, &filter_keys[key], ret);
	case VALUE_PREFIX:
		return parse_addr(p, piece, ret);
	default:
		if (!piece->text[0])
			return parser_bad(p, piece->at, piece->len, "empty text matches nothing");
		ret->is_number = parse_u32(piece->text, &ret->lo) == 0;
		ret->text = strdup(piece->text);
		return ret->text ? 0 : parser_no_memory(p);
	}
}

struct filter_value *value_add(struct parser *p, struct filter_node *node)
{
	struct filter_value *values;

	values = reallocarray(node->values, node->n_values + 1, sizeof(*values));
	if (!values) {
		parser_no_memory(p);
		return NULL;
	}
	node->values = values;
	values[node->n_values] = (struct filter_value){ 0 };
	return &values[node->n_values++];
}

int value_parse_list(struct parser *p, struct filter_node *node, size_t at, size_t len)
{
	for (;;) {
		auto_piece struct piece piece = { 0 };
		struct filter_value *value;
		int r;

		parser_skip_spaces(p);
		(void)read_piece(p, node->key, at, len, &piece);
		if (!piece.text)
			return p->error;
		value = value_add(p, node);
		r = value ? parse_value(p, &piece, node->key, value) : p->error;
		if (r < 0)
			return r;
		if (p->text[p->at] != ',')
			return 0;
		at = p->at++;
		len = 1;
	}
}
