/* SPDX-License-Identifier: GPL-2.0-only */
/* What the writer of fields (field_write.c) and the functions of the table (field.c) share; for these alone. */
#ifndef CORE_FIELD_CONTEXT_H
#define CORE_FIELD_CONTEXT_H

#include "core/field.h"
#include "core/process.h"

#define FIELD_CUT_MAX 9    /* the last field.cut */
#define FIELD_LIST_SHORT 4 /* entries that a list keeps with cut 1 */
#define HOLDERS_SHOWN 8
#define OWNERS_SHOWN 16

/* What a line is made of. */
struct field_context {
	const struct view *v;
	const struct record *rec;
	const struct process *process; /* of the record; NULL: nothing more is known */
	const struct holder *holder;   /* the one that holder.* is about; NULL: none */
	const void *from[N_FROM];      /* where the offsets of fields start; NULL: not there */
	const struct field_options *o;
	int64_t wall_offset_ns; /* wall clock minus boot clock when it happened */
	unsigned cut;           /* fields up to this are left out */
};

void field_context_holder(struct field_context *c,
			  const struct holder *h); /* now holder.* is about @h; may be NULL */
bool object_is_there(const struct field_object *object, const struct field_context *c);
bool field_is_there(const struct field *f, const struct field_context *c);

/* The rows of @object alone, as an object: an entry of a list. */
void field_write_object(struct buf *b, const struct field_object *object, const struct field_context *c);

/* argv as a JSON array of at most FIELD_ARGS_MAX bytes, kept in @p->rendered[0]. */
void field_args_json(struct buf *b, const struct process *p, enum args_mode mode);
bool field_args_partial(const struct process *p, enum args_mode mode);

#endif
