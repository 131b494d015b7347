/* SPDX-License-Identifier: GPL-2.0-only */
/* A view, kept. The same walk is made twice: to measure, then to copy. */
#include "core/copy.h"

#include <stdlib.h>
#include <string.h>

#include "core/explain.h"
#include "core/process.h"

/* base NULL: measure only; pointers are then of no use. */
struct arena {
	char *base;
	size_t used;
};

static void *place(struct arena *a, const void *from, size_t len)
{
	size_t at = (a->used + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);

	a->used = at + len;
	if (!a->base || !from)
		return NULL;
	return memcpy(a->base + at, from, len);
}

/* Packed: texts need no alignment. */
static char *place_text(struct arena *a, const char *from, size_t len)
{
	size_t at = a->used;

	if (!from)
		return NULL;
	a->used += len + 1;
	if (!a->base)
		return NULL;
	memcpy(a->base + at, from, len);
	a->base[at + len] = '\0';
	return a->base + at;
}

static char *place_string(struct arena *a, const char *from)
{
	return from ? place_text(a, from, strlen(from)) : NULL;
}

static void place_where(struct arena *a, struct cgroup_info *to, const struct cgroup_info *from)
{
	to->unit = place_string(a, from->unit);
	to->container_id = place_string(a, from->container_id);
	to->container_runtime = place_string(a, from->container_runtime);
	to->container_name = place_string(a, from->container_name);
	to->pod_uid = place_string(a, from->pod_uid);
	to->pod_name = place_string(a, from->pod_name);
	to->pod_namespace = place_string(a, from->pod_namespace);
}

static const struct process *place_process(struct arena *a, const struct process *from)
{
	struct process p;

	if (!from)
		return NULL;
	p = *from;
	p.exe = place_string(a, from->exe);
	p.args = place_text(a, from->args, from->args_len);
	p.cgroup = place_string(a, from->cgroup);
	place_where(a, &p.where, &from->where);
	memset(p.rendered, 0, sizeof(p.rendered));
	p.lru_prev = p.lru_next = p.hash_next = NULL;
	return place(a, &p, sizeof(p));
}

static const struct bound_by *place_bound_by(struct arena *a, const struct bound_by *from)
{
	struct bound_by by;

	if (!from)
		return NULL;
	by.kind = place_string(a, from->kind);
	by.unit = place_string(a, from->unit);
	by.service = place_string(a, from->service);
	by.container_id = place_string(a, from->container_id);
	by.container_name = place_string(a, from->container_name);
	return place(a, &by, sizeof(by));
}

static const struct holder *place_holders(struct arena *a, const struct view *v)
{
	struct holder *to;

	if (!v->n_holders)
		return NULL;
	to = place(a, v->holders, v->n_holders * sizeof(*to));
	for (size_t i = 0; i < v->n_holders; i++) {
		const struct process *p = place_process(a, v->holders[i].process);
		const struct bound_by *by = place_bound_by(a, v->holders[i].bound_by);

		if (!to)
			continue;
		to[i].process = p;
		to[i].bound_by = by;
	}
	return to;
}

static const struct owner *place_owners(struct arena *a, const struct view *v)
{
	struct owner *to;

	if (!v->n_owners)
		return NULL;
	to = place(a, v->owners, v->n_owners * sizeof(*to));
	for (size_t i = 0; i < v->n_owners; i++) {
		const struct process *p = place_process(a, v->owners[i].process);

		if (to)
			to[i].process = p;
	}
	return to;
}

static const struct explanation *place_explanation(struct arena *a, const struct explanation *from)
{
	struct explanation e;

	if (!from)
		return NULL;
	e = *from;
	e.code = place_string(a, from->code);
	return place(a, &e, sizeof(e));
}

static struct view *place_view(struct arena *a, const struct view *v)
{
	struct view *to = place(a, v, sizeof(*v)), copy = *v;

	copy.rec = place(a, v->rec, sizeof(*v->rec));
	copy.session = v->session ? place(a, v->session, sizeof(*v->session)) : NULL;
	copy.process = place_process(a, v->process);
	copy.user_name = place_string(a, v->user_name);
	copy.service = place_string(a, v->service);
	copy.netns_name = place_string(a, v->netns_name);
	copy.holders = place_holders(a, v);
	copy.owners = place_owners(a, v);
	copy.explanation = place_explanation(a, v->explanation);
	copy.bound_by = place_bound_by(a, v->bound_by);
	if (to)
		*to = copy;
	return to;
}

struct view *view_copy(const struct view *v, size_t *ret_size)
{
	struct arena a = { 0 };

	(void)place_view(&a, v);
	a.base = malloc(a.used);
	*ret_size = a.used;
	a.used = 0;
	return a.base ? place_view(&a, v) : NULL; /* the view is its first thing */
}

/* What renderers made of it. */
static void rendered_free(const struct process *p)
{
	for (size_t i = 0; p && i < sizeof(p->rendered) / sizeof(p->rendered[0]); i++)
		free(p->rendered[i]);
}

struct view *view_copy_free(struct view *v)
{
	if (!v)
		return NULL;
	rendered_free(v->process);
	for (size_t i = 0; i < v->n_holders; i++)
		rendered_free(v->holders[i].process);
	for (size_t i = 0; i < v->n_owners; i++)
		rendered_free(v->owners[i].process);
	free(v);
	return NULL;
}
