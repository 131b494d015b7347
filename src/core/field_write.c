/* SPDX-License-Identifier: GPL-2.0-only */
/* Walks the table of fields and writes a view: one line of JSON, or one field for a column. */
#include "core/field_context.h"
#include "util/cleanup.h"
#include "util/json.h"

struct writer {
	struct buf *b;
	const struct field_context *c;
	const struct field_object *open; /* innermost open object; NULL: the event itself */
};

/* Numbers stay below 2^53: a reader that has only doubles keeps them as they are. */
static void put_int(struct buf *b, uint64_t v)
{
	const uint64_t max = (1ULL << 53) - 1;

	buf_u64(b, v < max ? v : max);
}

static const void *value_of(const struct field *f, const struct field_context *c)
{
	return (const char *)c->from[f->in->from] + f->at;
}

/* A value, fetched. */
struct value {
	const void *at;
	const char *text;
	uint64_t number;
};

static bool fetch_number(const struct field *f, const void *at, uint64_t *ret_number)
{
	switch (f->type) {
	case FIELD_U16:
		*ret_number = *(const uint16_t *)at;
		break;
	case FIELD_U32:
	case FIELD_I32:
		*ret_number = *(const uint32_t *)at;
		break;
	case FIELD_OPTION:
		*ret_number = *(const uint32_t *)at & f->bit;
		break;
	case FIELD_BOOL:
	case FIELD_ADDRESS: /* its family */
		*ret_number = *(const uint8_t *)at;
		break;
	default:
		*ret_number = *(const uint64_t *)at;
	}
	return *ret_number || f->zero;
}

static bool fetch_text(const char *text, struct value *ret)
{
	ret->text = text;
	return text && *text;
}

/* false: there is none. */
static bool fetch(const struct field *f, const struct field_context *c, struct value *ret)
{
	if (f->has && !f->has(c))
		return false;
	ret->at = value_of(f, c);
	switch (f->type) {
	case FIELD_CALL:
		return true;
	case FIELD_WORD:
		return fetch_text(f->word(c), ret);
	case FIELD_STRING:
		return fetch_text(*(const char *const *)ret->at, ret);
	case FIELD_CHARS:
	case FIELD_COMM:
		return fetch_text(ret->at, ret);
	default:
		return fetch_number(f, ret->at, &ret->number);
	}
}

bool field_is_there(const struct field *f, const struct field_context *c)
{
	struct value v;

	return fetch(f, c, &v);
}

static bool is_for(const struct field_object *o, const struct field_context *c)
{
	return !o->actions || o->actions >> c->rec->action & 1;
}

bool object_is_there(const struct field_object *object, const struct field_context *c)
{
	for (const struct field_object *o = object; o; o = o->parent) {
		if (!is_for(o, c) || !c->from[o->from])
			return false;
		if (o->flag && !*(const bool *)((const char *)c->rec + o->flag))
			return false;
		if (o->has && !o->has(c))
			return false;
	}
	return true;
}

static void put_address(struct buf *b, const struct address *addr)
{
	char text[ADDRESS_TEXT_MAX];

	json_string(b, text, address_text(addr, text));
}

static void put_value(struct buf *b, const struct field *f, const struct value *v,
		      const struct field_context *c)
{
	switch (f->type) {
	case FIELD_CALL:
		f->json(b, c);
		break;
	case FIELD_WORD:
	case FIELD_STRING:
	case FIELD_CHARS:
		json_cstring(b, v->text);
		break;
	case FIELD_COMM:
		json_string(b, v->text, strnlen(v->text, 16));
		break;
	case FIELD_ADDRESS:
		put_address(b, v->at);
		break;
	case FIELD_I32:
		json_i64(b, (int32_t)v->number);
		break;
	case FIELD_US:
		put_int(b, v->number / 1000);
		break;
	case FIELD_ID:
		json_u64_string(b, v->number);
		break;
	case FIELD_BOOL:
	case FIELD_OPTION:
		json_bool(b, v->number);
		break;
	case FIELD_MOMENT:
		json_time(b, (int64_t)(v->number + (uint64_t)c->wall_offset_ns));
		break;
	case FIELD_DATE:
		json_time(b, (int64_t)v->number);
		break;
	default:
		put_int(b, v->number);
	}
}

/* The object that rows of @o are written into: itself, or that around a set without a name. */
static const struct field_object *named(const struct field_object *o)
{
	while (o && !o->name)
		o = o->parent;
	return o;
}

static bool is_inside(const struct field_object *o, const struct field_object *outer)
{
	while (o && o != outer)
		o = o->parent;
	return o == outer;
}

/* Between members, in an object that is open; without a branch, since nobody can guess it. */
static void put_comma(struct buf *b)
{
	if (b->cap - b->len < 1 && !buf_reserve(b, 1))
		return;
	b->data[b->len] = ',';
	b->len += b->data[b->len - 1] != '{';
}

static void put_key(struct buf *b, const struct field *f)
{
	put_comma(b);
	if (b->cap - b->len < sizeof(f->key) && !buf_reserve(b, sizeof(f->key)))
		return;
	memcpy(b->data + b->len, f->key, sizeof(f->key));
	b->len += f->key_len;
}

static void open_object(struct writer *w, const struct field_object *o)
{
	if (!o || o == w->open)
		return;
	open_object(w, named(o->parent));
	put_comma(w->b);
	json_cstring(w->b, o->name);
	buf_put(w->b, ":{", 2);
	w->open = o;
}

static void close_down_to(struct writer *w, const struct field_object *o)
{
	while (w->open && !is_inside(o, w->open)) {
		buf_putc(w->b, '}');
		w->open = named(w->open->parent);
	}
}

static void write_row(struct writer *w, const struct field *f, const struct value *v)
{
	const struct field_object *o = named(f->in);

	if (o != w->open) {
		close_down_to(w, o);
		open_object(w, o);
	}
	put_key(w->b, f);
	put_value(w->b, f, v, w->c);
}

static bool is_picked(const struct field *f, const struct field *const *only, size_t n_only)
{
	for (size_t i = 0; i < n_only; i++) {
		if (only[i] == f)
			return true;
	}
	return !only;
}

/* The rows of @object, or (NULL) all of them; rows of one set stand together, so that it is asked for once. */
static void write_rows(struct writer *w, const struct field_object *object, const struct field *const *only,
		       size_t n_only)
{
	const struct field_object *in = NULL;
	bool there = false;
	struct value v;

	for (const struct field *f = fields; f < fields + n_fields; f++) {
		if (f->in != in) {
			in = f->in;
			there = is_for(in, w->c) && (!object || named(in) == object) &&
				object_is_there(in, w->c);
		}
		if (!there || (f->cut && f->cut <= w->c->cut) || !fetch(f, w->c, &v))
			continue;
		if (!only || is_picked(f, only, n_only))
			write_row(w, f, &v);
	}
}

static void write_event(struct buf *b, const struct field_context *c, const struct field *const *only,
			size_t n_only)
{
	struct writer w = { .b = b, .c = c };

	buf_putc(b, '{');
	write_rows(&w, NULL, only, n_only);
	close_down_to(&w, NULL);
	buf_putc(b, '}');
}

void field_write_object(struct buf *b, const struct field_object *object, const struct field_context *c)
{
	struct writer w = { .b = b, .c = c, .open = object };

	buf_putc(b, '{');
	write_rows(&w, object, NULL, 0);
	buf_putc(b, '}');
}

/* The one that the kernel itself stopped at, else the best. */
static const struct holder *choose_holder(const struct view *v)
{
	for (size_t i = 0; i < v->n_holders; i++) {
		if (v->holders[i].tripped)
			return &v->holders[i];
	}
	return v->n_holders ? v->holders : NULL;
}

void field_context_holder(struct field_context *c, const struct holder *h)
{
	c->holder = h;
	c->from[FROM_HOLDER] = h;
	c->from[FROM_HOLDER_PROCESS] = h && h->pid ? h->process : NULL;
	c->from[FROM_HOLDER_BOUND_BY] = h ? h->bound_by : NULL;
}

static struct field_context context_of(const struct view *v, const struct field_options *o)
{
	struct field_context c = {
		.v = v, .rec = v->rec, .process = v->process, .o = o,
		.wall_offset_ns = (int64_t)((uint64_t)v->rec->wall_ns - v->rec->time_ns),
		.from = {
			[FROM_RECORD] = v->rec, [FROM_VIEW] = v, [FROM_SESSION] = v->session,
			[FROM_PROCESS] = v->process, [FROM_EXPLANATION] = v->explanation,
			[FROM_BOUND_BY] = v->bound_by,
		},
	};

	field_context_holder(&c, choose_holder(v));
	return c;
}

void field_write_json(struct buf *b, const struct view *v, const struct field_options *o,
		      const struct field *const *only, size_t n_only)
{
	struct field_context c = context_of(v, o);
	size_t start = b->len;

	for (;; c.cut++) {
		write_event(b, &c, only, n_only);
		if (b->error || b->len - start < FIELD_LINE_MAX || c.cut == FIELD_CUT_MAX)
			return;
		b->len = start;
	}
}

/* JSON without what a person needs not see: quotes, and in a list of plain values brackets and commas. */
static void put_plain(struct buf *b, const char *json, size_t len)
{
	bool list = len && json[0] == '[' && !memchr(json, '{', len), quoted = false;

	for (size_t i = 0; i < len; i++) {
		bool escape = quoted && json[i] == '\\';

		if (json[i] == '"')
			quoted = !quoted;
		else if (escape && json[i + 1] == '"')
			buf_putc(b, json[++i]);
		else if (escape)
			buf_put(b, json + i++, 2);
		else if (list && !quoted && json[i] == ',')
			buf_putc(b, ' ');
		else if (!list || quoted || (json[i] != '[' && json[i] != ']'))
			buf_putc(b, json[i]);
	}
}

bool field_write_value(struct buf *b, const struct field *f, const struct view *v,
		       const struct field_options *o)
{
	struct field_context c = context_of(v, o);
	struct buf json = { 0 };
	struct value value;

	if (!object_is_there(f->in, &c) || !fetch(f, &c, &value))
		return false;
	put_value(&json, f, &value, &c);
	if (json.error)
		b->error = json.error;
	else if (json.data[0] == '[' && memchr(json.data, '{', json.len))
		buf_put(b, json.data, json.len);
	else
		put_plain(b, json.data, json.len);
	buf_done(&json);
	return true;
}

void field_write_text(struct buf *b, const struct field *f, const struct view *v,
		      const struct field_options *o)
{
	if (!field_write_value(b, f, v, o))
		buf_putc(b, '-');
}

const struct field *field_find(const char *name, size_t len)
{
	for (const struct field *f = fields; f < fields + n_fields; f++) {
		if ((strlen(f->name) == len && !memcmp(f->name, name, len)) ||
		    (strlen(f->path) == len && !memcmp(f->path, name, len)))
			return f;
	}
	return NULL;
}
