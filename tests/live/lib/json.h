/* SPDX-License-Identifier: GPL-2.0-only */
/* A strict reader of one line of JSON, for tests: what a careless parser would let pass is an error here. */
#ifndef LIVE_JSON_H
#define LIVE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json {
	enum json_type type;
	const char *key;    /* of a member of an object; NULL elsewhere */
	const char *text;   /* string: decoded; number, bool: as written; else "" */
	size_t len;         /* of text: a string may have NULs in it */
	struct json *child; /* first element or member */
	struct json *next;
};

/* A parsed line. Owns all that hangs off it. */
struct json_doc;

/* NULL when @text is not exactly one valid value in valid UTF-8; *ret_why then says why (static text). */
struct json_doc *json_parse(const char *text, size_t len, const char **ret_why);
struct json_doc *json_free(struct json_doc *doc); /* NULL is fine; always returns NULL */

const struct json *json_root(const struct json_doc *doc);

/* The value at "socket.netns.id" or "process.args.2"; NULL: none. */
const struct json *json_at(const struct json *from, const char *path);

/* Its text ("" when it is not there), its number (0 when it is no whole number). */
const char *json_text_at(const struct json *from, const char *path);
uint64_t json_number_at(const struct json *from, const char *path);

#endif
