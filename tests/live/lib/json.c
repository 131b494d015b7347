/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A strict reader of JSON: RFC 8259, valid UTF-8, no key twice in an object, at most 16 deep.
 *
 * All nodes come from one array, large enough because each takes a character of its own; strings are decoded in place
 * in a copy of the line, because decoding never makes them longer.
 */
#include "live/lib/json.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 16

struct json_doc {
	char *at; /* where we read */
	const char *end;
	const char *why; /* NULL: fine so far */
	size_t n_nodes;
	struct json *nodes;
	char text[];
};

static bool refuse(struct json_doc *d, const char *why)
{
	if (!d->why)
		d->why = why;
	return false;
}

static void skip_space(struct json_doc *d)
{
	while (d->at < d->end && strchr(" \t\r\n", *d->at) && *d->at)
		d->at++;
}

static bool take_char(struct json_doc *d, char c)
{
	if (d->at == d->end || *d->at != c)
		return false;
	d->at++;
	return true;
}

/* The length of the UTF-8 sequence at @p; 0: broken, overlong, a surrogate or beyond U+10FFFF. */
static size_t utf8_len(const char *p, const char *end)
{
	static const struct {
		unsigned char mask, lead;
		uint32_t min;
	} kinds[] = { { 0x80, 0, 0 }, { 0xe0, 0xc0, 0x80 }, { 0xf0, 0xe0, 0x800 }, { 0xf8, 0xf0, 0x10000 } };
	unsigned char lead = (unsigned char)*p;
	uint32_t code;

	for (size_t n = 1; n <= 4; n++) {
		if ((lead & kinds[n - 1].mask) != kinds[n - 1].lead)
			continue;
		if ((size_t)(end - p) < n)
			return 0;
		code = lead & (uint8_t)~kinds[n - 1].mask;
		for (size_t i = 1; i < n; i++) {
			if (((unsigned char)p[i] & 0xc0) != 0x80)
				return 0;
			code = code << 6 | ((unsigned char)p[i] & 0x3f);
		}
		return code < kinds[n - 1].min || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? 0
												       : n;
	}
	return 0;
}

static char *utf8_put(char *out, uint32_t code)
{
	if (code < 0x80) {
		*out++ = (char)code;
	} else if (code < 0x800) {
		*out++ = (char)(0xc0 | code >> 6);
		*out++ = (char)(0x80 | (code & 0x3f));
	} else if (code < 0x10000) {
		*out++ = (char)(0xe0 | code >> 12);
		*out++ = (char)(0x80 | (code >> 6 & 0x3f));
		*out++ = (char)(0x80 | (code & 0x3f));
	} else {
		*out++ = (char)(0xf0 | code >> 18);
		*out++ = (char)(0x80 | (code >> 12 & 0x3f));
		*out++ = (char)(0x80 | (code >> 6 & 0x3f));
		*out++ = (char)(0x80 | (code & 0x3f));
	}
	return out;
}

static bool read_hex4(struct json_doc *d, uint32_t *ret)
{
	uint32_t code = 0;

	if (d->end - d->at < 4)
		return refuse(d, "\\u is cut");
	for (int i = 0; i < 4; i++) {
		char c = *d->at++;

		if (!isxdigit((unsigned char)c))
			return refuse(d, "\\u without four hexadecimal digits");
		code = code << 4 | (uint32_t)(isdigit((unsigned char)c) ? c - '0' : (c | 0x20) - 'a' + 10);
	}
	*ret = code;
	return true;
}

static bool read_unicode(struct json_doc *d, char **out)
{
	uint32_t code, low;

	if (!read_hex4(d, &code))
		return false;
	if (code >= 0xdc00 && code < 0xe000)
		return refuse(d, "a low surrogate alone");
	if (code >= 0xd800 && code < 0xdc00) {
		if (!take_char(d, '\\') || !take_char(d, 'u') || !read_hex4(d, &low))
			return refuse(d, "a high surrogate alone");
		if (low < 0xdc00 || low >= 0xe000)
			return refuse(d, "a high surrogate without a low one");
		code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
	}
	*out = utf8_put(*out, code);
	return true;
}

static bool read_escape(struct json_doc *d, char **out)
{
	static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
	const char *found;
	char c = d->at < d->end ? *d->at++ : '\0';

	if (c == 'u')
		return read_unicode(d, out);
	found = c ? strchr(names, c) : NULL;
	if (!found)
		return refuse(d, "an escape that JSON does not have");
	*(*out)++ = values[found - names];
	return true;
}

/* After the opening quote. The text is decoded where it stands, and ends in a NUL there. */
static bool read_string(struct json_doc *d, const char **ret_text, size_t *ret_len)
{
	char *start = d->at, *out = d->at;

	while (d->at < d->end && *d->at != '"') {
		size_t n = utf8_len(d->at, d->end);

		if (!n)
			return refuse(d, "broken UTF-8");
		if ((unsigned char)*d->at < 0x20)
			return refuse(d, "a raw control character in a string");
		if (*d->at == '\\') {
			d->at++;
			if (!read_escape(d, &out))
				return false;
			continue;
		}
		memmove(out, d->at, n);
		out += n;
		d->at += n;
	}
	if (d->at == d->end)
		return refuse(d, "a string without an end");
	d->at++;
	*out = '\0'; /* at the closing quote at the latest */
	*ret_text = start;
	*ret_len = (size_t)(out - start);
	return true;
}

static size_t skip_digits(struct json_doc *d)
{
	char *start = d->at;

	while (d->at < d->end && isdigit((unsigned char)*d->at))
		d->at++;
	return (size_t)(d->at - start);
}

static bool scan_number(struct json_doc *d)
{
	const char *first;
	size_t n;

	(void)take_char(d, '-');
	first = d->at;
	n = skip_digits(d);
	if (!n || (n > 1 && *first == '0'))
		return false;
	if (take_char(d, '.') && !skip_digits(d))
		return false;
	if (d->at < d->end && (*d->at | 0x20) == 'e') {
		d->at++;
		if (!take_char(d, '+'))
			(void)take_char(d, '-');
		return skip_digits(d) > 0;
	}
	return true;
}

static bool scan_word(struct json_doc *d, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(d->end - d->at) < len || strncmp(d->at, word, len) != 0)
		return false;
	d->at += len;
	return true;
}

/* A number or a word. Its text is copied: what follows it must stay readable. */
static bool read_plain(struct json_doc *d, struct json *v)
{
	char *start = d->at, *copy;
	bool fine;

	v->type = *start == 'n' ? JSON_NULL : *start == 't' || *start == 'f' ? JSON_BOOL : JSON_NUMBER;
	fine = v->type == JSON_NUMBER ? scan_number(d)
				      : scan_word(d, "null") || scan_word(d, "true") || scan_word(d, "false");
	if (!fine)
		return refuse(d, "neither a value nor the end of one");
	copy = strndup(start, (size_t)(d->at - start));
	if (!copy)
		return refuse(d, "out of memory");
	v->text = copy;
	v->len = (size_t)(d->at - start);
	return true;
}

static bool read_value(struct json_doc *d, struct json *v, unsigned depth);

static bool has_key(const struct json *parent, const struct json *but)
{
	for (const struct json *c = parent->child; c; c = c->next) {
		if (c != but && !strcmp(c->key, but->key))
			return true;
	}
	return false;
}

static bool read_key(struct json_doc *d, const struct json *parent, struct json *member)
{
	size_t len;

	skip_space(d);
	if (!take_char(d, '"'))
		return refuse(d, "a member without a name");
	if (!read_string(d, &member->key, &len))
		return false;
	if (has_key(parent, member))
		return refuse(d, "a name twice in one object");
	skip_space(d);
	return take_char(d, ':') || refuse(d, "a name without a value");
}

/* After the opening bracket. */
static bool read_members(struct json_doc *d, struct json *parent, unsigned depth)
{
	char closing = parent->type == JSON_OBJECT ? '}' : ']';
	struct json **link = &parent->child;

	skip_space(d);
	if (take_char(d, closing))
		return true;
	do {
		struct json *v = &d->nodes[d->n_nodes++];

		*link = v;
		link = &v->next;
		if (parent->type == JSON_OBJECT) {
			v->key = "";
			if (!read_key(d, parent, v))
				return false;
		}
		if (!read_value(d, v, depth + 1))
			return false;
		skip_space(d);
	} while (take_char(d, ','));
	return take_char(d, closing) || refuse(d, "a list without an end");
}

static bool read_value(struct json_doc *d, struct json *v, unsigned depth)
{
	v->text = "";
	skip_space(d);
	if (depth > DEPTH_MAX)
		return refuse(d, "too deep");
	if (d->at == d->end)
		return refuse(d, "nothing where a value should be");
	if (take_char(d, '"')) {
		v->type = JSON_STRING;
		return read_string(d, &v->text, &v->len);
	}
	if (*d->at != '{' && *d->at != '[')
		return read_plain(d, v);
	v->type = *d->at++ == '{' ? JSON_OBJECT : JSON_ARRAY;
	return read_members(d, v, depth);
}

/* Every node but the root follows a bracket or a comma. */
static size_t count_nodes(const char *text, size_t len)
{
	size_t n = 1;

	for (size_t i = 0; i < len; i++)
		n += text[i] == ',' || text[i] == '{' || text[i] == '[';
	return n;
}

struct json_doc *json_parse(const char *text, size_t len, const char **ret_why)
{
	struct json_doc *d = calloc(1, sizeof(*d) + len + 1);

	*ret_why = "out of memory";
	if (!d)
		return NULL;
	d->nodes = calloc(count_nodes(text, len), sizeof(*d->nodes));
	if (!d->nodes)
		return json_free(d);
	memcpy(d->text, text, len);
	d->at = d->text;
	d->end = d->text + len;
	d->n_nodes = 1;
	if (read_value(d, d->nodes, 0)) {
		skip_space(d);
		if (d->at != d->end)
			refuse(d, "more after the value");
	}
	*ret_why = d->why;
	return d->why ? json_free(d) : d;
}

struct json_doc *json_free(struct json_doc *d)
{
	if (!d)
		return NULL;
	for (size_t i = 0; d->nodes && i < d->n_nodes; i++) {
		if (d->nodes[i].len && d->nodes[i].type != JSON_STRING)
			free((void *)d->nodes[i].text);
	}
	free(d->nodes);
	free(d);
	return NULL;
}

const struct json *json_root(const struct json_doc *doc)
{
	return doc->nodes;
}

static const struct json *find_child(const struct json *parent, const char *name, size_t len)
{
	size_t index = strtoul(name, NULL, 10);
	const struct json *c = parent->child;

	if (parent->type == JSON_ARRAY) {
		while (c && index--)
			c = c->next;
		return c;
	}
	while (c && (strncmp(c->key, name, len) != 0 || c->key[len]))
		c = c->next;
	return c;
}

const struct json *json_at(const struct json *from, const char *path)
{
	while (from && *path) {
		size_t len = strcspn(path, ".");

		from = find_child(from, path, len);
		path += len + (path[len] == '.');
	}
	return from;
}

const char *json_text_at(const struct json *from, const char *path)
{
	const struct json *v = json_at(from, path);

	return v ? v->text : "";
}

uint64_t json_number_at(const struct json *from, const char *path)
{
	const struct json *v = json_at(from, path);

	return v && v->type == JSON_NUMBER ? strtoull(v->text, NULL, 10) : 0;
}
