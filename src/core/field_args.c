/* SPDX-License-Identifier: GPL-2.0-only */
/* Command lines in JSON: secrets masked, cut to a size, and made once for each process. */
#include <errno.h>

#include "core/field_context.h"
#include "core/mask.h"
#include "util/cleanup.h"
#include "util/json.h"

#define SLOT 0 /* of process.rendered: ours; the text sink has the other */

struct args_text {
	enum args_mode mode;
	bool partial;
	size_t len;
	char text[];
};

/* Append @arg in at most @room bytes; false: not all of it. */
static bool put_arg(struct buf *b, const char *arg, size_t len, size_t room)
{
	if (room < 3) /* a comma and two quotes */
		return false;
	if (b->data[b->len - 1] != '[') {
		buf_putc(b, ',');
		room--;
	}
	return json_string_max(b, arg, len, room) == len;
}

/* The array; false: it does not hold all. */
static bool put_args(struct buf *b, const struct process *p, enum args_mode mode)
{
	struct buf masked = { 0 };
	struct mask m = { 0 };
	bool whole = true;

	buf_putc(b, '[');
	for (size_t at = 0, len; at < p->args_len && whole && !b->error; at += len + 1) {
		const char *arg = p->args + at;

		len = strnlen(arg, p->args_len - at);
		buf_reset(&masked);
		if (mode == ARGS_MASKED)
			mask_arg(&masked, &m, arg, len);
		else
			buf_put(&masked, arg, len);
		if (masked.error)
			b->error = masked.error;
		else
			whole = put_arg(b, masked.data, masked.len, FIELD_ARGS_MAX - 1 - b->len);
	}
	buf_putc(b, ']');
	buf_done(&masked);
	return whole;
}

static struct args_text *make(const struct process *p, enum args_mode mode)
{
	struct buf b = { 0 };
	bool whole = put_args(&b, p, mode);
	struct args_text *t = b.error ? NULL : malloc(sizeof(*t) + b.len);

	if (t) {
		*t = (struct args_text){ .mode = mode, .partial = !whole || p->args_cut, .len = b.len };
		memcpy(t->text, b.data, b.len);
	}
	buf_done(&b);
	return t;
}

/* What was made before, or makes it; NULL when out of memory. The process is ours to look at only, but for this slot. */
static const struct args_text *args_text(const struct process *p, enum args_mode mode)
{
	void **slot = &((struct process *)p)->rendered[SLOT];
	struct args_text *t = *slot;

	if (t && t->mode == mode)
		return t;
	free(t);
	t = make(p, mode);
	*slot = t;
	return t;
}

void field_args_json(struct buf *b, const struct process *p, enum args_mode mode)
{
	const struct args_text *t = args_text(p, mode);

	if (t)
		buf_put(b, t->text, t->len);
	else
		b->error = -ENOMEM;
}

bool field_args_partial(const struct process *p, enum args_mode mode)
{
	const struct args_text *t = args_text(p, mode);

	return t && t->partial;
}
