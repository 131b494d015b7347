/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every field of a record, described once, rendered many times: NDJSON, -F columns, man page. Rows of one object stand
 * together, so a writer opens and closes objects as it walks.
 */
#ifndef CORE_FIELD_H
#define CORE_FIELD_H

#include "core/record.h"

#define FIELD_LINE_MAX 4096 /* bytes of one event in JSON, with its newline */
#define FIELD_ARGS_MAX 512  /* bytes of process.args in JSON */

struct buf;
struct field_context;

enum args_mode { ARGS_MASKED, ARGS_FULL, ARGS_NONE };

struct field_options {
	enum args_mode args;
	bool hints; /* reason and hint in JSON */
};

/* What a field's offset is into. Where there is no such thing, the field is absent. */
enum field_from {
	FROM_RECORD,
	FROM_VIEW,
	FROM_SESSION,
	FROM_PROCESS,
	FROM_EXPLANATION,
	FROM_HOLDER,
	FROM_HOLDER_PROCESS,
	FROM_BOUND_BY,
	FROM_HOLDER_BOUND_BY,
	N_FROM
};

/* How a value is kept. Nothing is shown of 0, false and an empty text, unless .zero says that 0 is a value. */
enum field_type {
	FIELD_CALL,    /* written by a function */
	FIELD_WORD,    /* found by a function */
	FIELD_STRING,  /* char *, any bytes, may be NULL */
	FIELD_CHARS,   /* char[] with a NUL, any bytes before it */
	FIELD_COMM,    /* char[16], any bytes, ended by NUL or its size */
	FIELD_ADDRESS, /* struct address */
	FIELD_U16,
	FIELD_U32,
	FIELD_I32,
	FIELD_U64,
	FIELD_US, /* kept in ns, shown in us */
	FIELD_ID, /* u64, shown as a string */
	FIELD_BOOL,
	FIELD_OPTION, /* one bit of a u32 */
	FIELD_MOMENT, /* boot clock in ns, shown as a date */
	FIELD_DATE,   /* wall clock in ns */
};

/* An object in JSON, or (no name) a set of rows that are there together. */
struct field_object {
	const char *name;                  /* its key in its parent, or NULL */
	const struct field_object *parent; /* NULL: the event itself */
	enum field_from from;
	uint32_t actions; /* bits 1 << enum action; 0: all */
	uint16_t flag;    /* offset of a bool of the record that must be true; 0: none */
	bool (*has)(const struct field_context *c); /* NULL: no more to ask */
};

struct field {
	const char *name; /* what -F and the man page call it */
	const char *path; /* in JSON, dots between objects */
	const char *help; /* one line for portlog-fields(7) */
	/* Is what is shown less than all of it? NULL: never. */
	bool (*partial)(const struct field_context *c);

	/* From here on what is looked at for each event. */
	char key[24]; /* "port": with quotes and colon; copied whole, which is faster than to count */
	const struct field_object *in;
	bool (*has)(const struct field_context *c); /* beside the below: is there a value? NULL: yes */
	const char *(*word)(const struct field_context *c);         /* FIELD_WORD; NULL: absent */
	void (*json)(struct buf *b, const struct field_context *c); /* FIELD_CALL */
	uint32_t bit;                                               /* FIELD_OPTION */
	uint16_t at;                                                /* offset of the value */
	uint8_t key_len;
	uint8_t type; /* enum field_type */
	bool zero;    /* 0 is a value */
	uint8_t cut;  /* a line over FIELD_LINE_MAX loses the fields with 1 first, then 2 ...; 0: never */
};

extern const struct field fields[];
extern const size_t n_fields;

/* By name ("port") or path ("socket.port"); NULL: no such field. */
const struct field *field_find(const char *name, size_t len);

/*
 * Append one event as a JSON object without a newline, shorter than FIELD_LINE_MAX; @only picks fields (NULL: all).
 * Fields cut or left out to fit are named in "truncated".
 */
void field_write_json(struct buf *b, const struct view *v, const struct field_options *o,
		      const struct field *const *only, size_t n_only);

/* Append one field's value as text in one line, escaped for a terminal. False: it is absent, and nothing is appended. */
bool field_write_value(struct buf *b, const struct field *f, const struct view *v,
		       const struct field_options *o);

/* Append one field's value as text for a column, escaped for a terminal; "-" when absent. */
void field_write_text(struct buf *b, const struct field *f, const struct view *v,
		      const struct field_options *o);

/* via of what no hook told: values of record.via beside PL_VIA_*. */
#define VIA_NETLINK 32
#define VIA_PROC 33

const char *action_name(enum action a);              /* "bind" ... */
const char *proto_name(enum proto p);                /* "tcp" ... */
const char *precision_name(enum precision p);        /* "exact" ... */
const char *errno_name(int error, char scratch[16]); /* "EADDRINUSE", else the number */
const char *lost_where_name(enum lost_where where);  /* "ring" ...; NULL: nowhere */
const char *via_name(uint8_t via);                   /* "fexit" ..., "unknown" */

#define ADDRESS_TEXT_MAX 48
size_t address_text(const struct address *addr,
		    char out[ADDRESS_TEXT_MAX]); /* "::1"; length, 0: no address */
bool address_is_v4(
	const struct address *addr); /* so is a v4-mapped one: the kernel treats it by the rules of IPv4 */
/* "0.0.0.0:80", "[::]:80"; @size at least 64. Returns @out. */
const char *endpoint_text(const struct address *addr, uint16_t port, char *out, size_t size);

#endif
