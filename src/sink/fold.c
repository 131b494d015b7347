/* SPDX-License-Identifier: GPL-2.0-only */
/* Failures, told once a minute for each unit (or program), port and errno. */
#include "sink/fold.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/copy.h"
#include "core/process.h"

/* Compared as bytes: always begun as zeroes. */
struct fold_key {
	char who[122];
	uint16_t port;
	int error;
};

_Static_assert(sizeof(struct fold_key) == 128, "padding would be compared too");

struct kind {
	struct fold_key key;
	uint64_t end_ns;   /* 0: unused */
	uint64_t more;     /* since it was told */
	struct view *last; /* of these; NULL: there are none, or no memory for it */
};

struct fold {
	fold_tell *tell;
	void *arg;
	struct kind kinds[FOLD_MAX + 1]; /* the last one: of all for which there is no place */
};

struct fold *fold_new(fold_tell *tell, void *arg)
{
	struct fold *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->tell = tell;
	f->arg = arg;
	return f;
}

static void kind_forget(struct kind *k)
{
	view_copy_free(k->last);
	*k = (struct kind){ 0 };
}

struct fold *fold_free(struct fold *f)
{
	if (!f)
		return NULL;
	for (size_t i = 0; i <= FOLD_MAX; i++)
		kind_forget(&f->kinds[i]);
	free(f);
	return NULL;
}

static void key_fill(struct fold_key *key, const struct view *v)
{
	const char *unit = v->process ? v->process->where.unit : NULL;

	memset(key, 0, sizeof(*key));
	if (unit)
		snprintf(key->who, sizeof(key->who), "%s", unit);
	else if (v->rec->has_process)
		snprintf(key->who, sizeof(key->who), " %.*s", (int)sizeof(v->rec->comm), v->rec->comm);
	key->port = v->rec->port;
	key->error = v->rec->error;
}

/* The place of @key, else a free one, else the last. */
static struct kind *kind_find(struct fold *f, const struct fold_key *key)
{
	struct kind *free_one = NULL;

	for (struct kind *k = f->kinds; k < f->kinds + FOLD_MAX; k++) {
		if (k->end_ns && !memcmp(&k->key, key, sizeof(*key)))
			return k;
		if (!k->end_ns && !free_one)
			free_one = k;
	}
	return free_one ? free_one : &f->kinds[FOLD_MAX];
}

static bool is_mixed(const struct fold *f, const struct kind *k)
{
	return k == &f->kinds[FOLD_MAX];
}

static void kind_count(struct kind *k, const struct view *v)
{
	size_t size;
	struct view *copy = view_copy(v, &size);

	k->more++;
	if (!copy)
		return;
	view_copy_free(k->last);
	k->last = copy;
}

/* Its minute is over: tell how many more there were, and begin another; or forget it. */
static int kind_expire(struct fold *f, struct kind *k, uint64_t now_ns)
{
	int r;

	if (!k->last) {
		kind_forget(k);
		return 0;
	}
	r = f->tell(f->arg, k->last, k->more, is_mixed(f, k));
	if (r < 0)
		return r;
	k->last = view_copy_free(k->last);
	k->more = 0;
	k->end_ns = now_ns + FOLD_NS;
	return 0;
}

int fold_failure(struct fold *f, const struct view *v)
{
	const uint64_t now_ns = v->rec->time_ns;
	struct fold_key key;
	struct kind *k;
	int r = 0;

	key_fill(&key, v);
	k = kind_find(f, &key);
	if (k->end_ns && now_ns >= k->end_ns)
		r = kind_expire(f, k, now_ns);
	if (r < 0)
		return r;
	if (!k->end_ns && !is_mixed(f, k)) {
		r = f->tell(f->arg, v, 0, false);
		if (r < 0)
			return r;
	} else {
		kind_count(k, v);
	}
	k->key = key;
	k->end_ns = k->end_ns ? k->end_ns : now_ns + FOLD_NS;
	return 0;
}

int fold_expire(struct fold *f, uint64_t now_ns, uint64_t *ret_next_ns)
{
	uint64_t next = UINT64_MAX;
	int r = 0;

	for (struct kind *k = f->kinds; !r && k <= f->kinds + FOLD_MAX; k++) {
		if (k->end_ns && k->end_ns <= now_ns)
			r = kind_expire(f, k, now_ns);
		if (!r && k->end_ns && k->end_ns < next)
			next = k->end_ns;
	}
	*ret_next_ns = next == UINT64_MAX ? 0 : next;
	return r;
}
