/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every field of a record, described once, rendered many times: NDJSON, -F columns, man page. Rows are sorted by path,
 * so a writer opens and closes objects as it walks.
 */
#ifndef CORE_FIELD_H
#define CORE_FIELD_H

#include "core/record.h"

struct buf;

enum args_mode { ARGS_MASKED, ARGS_FULL, ARGS_NONE };

struct field_options {
	enum args_mode args;
	bool hints;         /* reason and hint in JSON */
};

struct field {
	const char *name;   /* what -F and the man page call it */
	const char *path;   /* in JSON, dots between objects */
	const char *help;   /* one line for portlog-fields(7) */
	/* Is there a value in @v? */
	bool (*has)(const struct view *v, const struct field_options *o);
	/* Append the value as JSON. */
	void (*json)(struct buf *b, const struct view *v, const struct field_options *o);
};

extern const struct field fields[];
extern const size_t n_fields;

const struct field *field_find(const char *name, size_t len); /* NULL: no such field */

/* Append one event as a JSON object without a newline, at most 4 KiB; @only picks fields (NULL: all). */
void field_write_json(struct buf *b, const struct view *v, const struct field_options *o,
		      const struct field *const *only, size_t n_only);

/* Append one field's value as text for a column, escaped for a terminal; "-" when absent. */
void field_write_text(struct buf *b, const struct field *f, const struct view *v, const struct field_options *o);

const char *action_name(enum action a);       /* "bind" ... */
const char *proto_name(enum proto p);         /* "tcp" ... */
const char *precision_name(enum precision p); /* "exact" ... */
const char *errno_name(int error, char scratch[16]); /* "EADDRINUSE", else the number */
const char *via_name(uint8_t via);
/* "0.0.0.0:80", "[::]:80"; @size at least 64. Returns @out. */
const char *endpoint_text(const struct address *addr, uint16_t port, char *out, size_t size);

#endif
