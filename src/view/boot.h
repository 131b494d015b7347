/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who took which port in a boot, in order, and who came too late. Events go in one by one, a table or one object of JSON
 * comes out:
 *
 *	owner    took a port that nobody or somebody else had before; what it does with it later is folded into its row
 *	failure  a bind or listen that failed
 *	holder   was in the way of a failure and is known from that alone: a client's port, the kernel, TIME_WAIT
 */
#ifndef VIEW_BOOT_H
#define VIEW_BOOT_H

#include "core/boot.h"
#include "core/field.h"
#include "core/filter.h"
#include "util/buf.h"

#define BOOT_AFTER_NS 30000000000UL    /* after systemd has finished */
#define BOOT_UNKNOWN_NS 300000000000UL /* after the hooks are on, where that is not known */

struct boot_options {
	struct boot_times times;
	bool booting; /* systemd says that it has not finished yet */
	bool every_netns;
	bool all; /* that, and ports that were not asked for by number */
	const struct filter *filter;
};

struct boot;

struct boot *boot_new(const struct boot_options *o); /* @o is copied; NULL only when out of memory */
struct boot *boot_free(struct boot *b);              /* NULL is fine; always returns NULL */

/*
 * One more event, @id its place in the history. 0; BOOT_OVER: it and what follows are after the end; -ENOMEM with a story.
 */
#define BOOT_OVER 1
int boot_add(struct boot *b, int64_t id, const struct view *v);
/* No more events. *ret_shown: how many rows there are to show. 0 or -ENOMEM with a story. */
int boot_end(struct boot *b, size_t *ret_shown);

enum boot_clock { BOOT_UPTIME, BOOT_LOCAL, BOOT_UTC, BOOT_DELTA };

struct boot_form {
	enum boot_clock clock;
	bool wide;
	bool no_heading; /* not the lines that say what this is */
	bool header;     /* of the columns */
	bool color;
	unsigned limit; /* columns that lines may take; 0: no limit */
	bool hints;     /* what to do about a port that is taken, too */
	struct field_options field;
	const struct field *const *only; /* -F */
	size_t n_only;
};

/* 0 or negative errno with a story. */
int boot_text(const struct boot *b, const struct boot_form *form, struct buf *out);
int boot_json(const struct boot *b, const struct boot_form *form, struct buf *out);

#endif
