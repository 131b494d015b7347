/* SPDX-License-Identifier: GPL-2.0-only */
/* Bytes to the id of their row. */
#include "store/intern.h"

#include <stdlib.h>
#include <string.h>

/* Out of memory costs a look-up in the file, not the program. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

struct intern_entry {
	UT_hash_handle hh;
	int64_t id;
	size_t len;
	char key[];
};

static void generation_free(struct intern_entry **all)
{
	struct intern_entry *e, *next;

	HASH_ITER(hh, *all, e, next) {
		HASH_DEL(*all, e);
		free(e);
	}
}

/* Takes @e, which is in no generation. */
static void entry_link(struct intern *in, struct intern_entry *e)
{
	unsigned before;

	if (HASH_COUNT(in->young) >= in->max) {
		generation_free(&in->old);
		in->old = in->young;
		in->young = NULL;
	}
	before = HASH_COUNT(in->young);
	HASH_ADD_KEYPTR(hh, in->young, e->key, e->len, e);
	if (HASH_COUNT(in->young) == before)
		free(e);
}

bool intern_find(struct intern *in, const void *key, size_t len, int64_t *ret_id)
{
	struct intern_entry *e;

	HASH_FIND(hh, in->young, key, len, e);
	if (e) {
		*ret_id = e->id;
		return true;
	}
	HASH_FIND(hh, in->old, key, len, e);
	if (!e)
		return false;
	*ret_id = e->id;
	HASH_DEL(in->old, e);
	entry_link(in, e);
	return true;
}

void intern_add(struct intern *in, const void *key, size_t len, int64_t id)
{
	struct intern_entry *e = malloc(sizeof(*e) + len);

	if (!e)
		return;
	e->id = id;
	e->len = len;
	memcpy(e->key, key, len);
	entry_link(in, e);
}

void intern_clear(struct intern *in)
{
	generation_free(&in->young);
	generation_free(&in->old);
}
