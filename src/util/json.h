/* SPDX-License-Identifier: GPL-2.0-only */
/* JSON values appended to a buf. Strings become valid UTF-8 whatever the bytes: bad ones are U+FFFD. RFC 8259. */
#ifndef UTIL_JSON_H
#define UTIL_JSON_H

#include "util/buf.h"
#include "util/utf8.h"

void json_string(struct buf *b, const char *text, size_t len); /* with quotes */
void json_cstring(struct buf *b, const char *text);            /* NULL is an empty string */
/* As json_string(), at most @max bytes with the quotes (@max >= 2), cut between characters. How much of @text is in. */
size_t json_string_max(struct buf *b, const char *text, size_t len, size_t max);
void json_u64(struct buf *b, uint64_t v);
void json_i64(struct buf *b, int64_t v);
void json_u64_string(struct buf *b, uint64_t v); /* quoted: ids above 2^53 */
void json_bool(struct buf *b, bool v);
void json_time(struct buf *b, int64_t wall_ns); /* quoted RFC 3339 UTC, nine digits */

/*
 * What an object or a list under way gets next; commas are put where they are needed. What is absent is left out: a text
 * that is NULL or empty.
 */
void json_next(struct buf *b);                  /* an entry of a list */
void json_key(struct buf *b, const char *name); /* of a member; @name is plain */
void json_put_text(struct buf *b, const char *name, const char *text);
void json_put_number(struct buf *b, const char *name, uint64_t v);
void json_put_flag(struct buf *b, const char *name, bool v);

#endif
