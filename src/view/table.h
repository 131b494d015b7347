/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The table of what holds ports: a ledger's live entries, sorted, one line each. It does not know where the ledger comes
 * from: an inventory of now and a history replayed to some moment look the same.
 */
#ifndef VIEW_TABLE_H
#define VIEW_TABLE_H

#include "core/field.h"
#include "core/ledger.h"
#include "util/buf.h"

enum table_form { TABLE_NARROW, TABLE_WIDE, TABLE_JSON };

struct table_options {
	enum table_form form;
	bool header;
	bool tty;         /* long values are cut to fit */
	unsigned columns; /* of the terminal; 0: unknown */
	bool utc;
	bool all;            /* TIME_WAIT, and sockets that only connected, too */
	bool clients;        /* the latter */
	uint32_t host_netns; /* its entries come first */
	struct field_options field;
	const struct field *const *only; /* -F */
	size_t n_only;
	const struct field *sort; /* NULL: namespace, protocol, port, address */
	/*
	 * @e as a view, borrowed until the next call; @owners has room for LEDGER_OWNERS_MAX. False: it does not match.
	 */
	bool (*view)(void *arg, const struct entry *e, struct owner *owners, struct view *ret);
	void *arg;
};

/* Append the table to @out. 0 or negative errno; *ret_shown: lines, without the header. */
int table_render(struct ledger *led, const struct table_options *o, struct buf *out, size_t *ret_shown);

#endif
