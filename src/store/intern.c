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
	char key[];
};

bool intern_find(const struct intern *in, const void *key, size_t len, int64_t *ret_id)
{
	struct intern_entry *e;

	HASH_FIND(hh, in->entries, key, len, e);
	if (e)
		*ret_id = e->id;
	return e;
}

void intern_clear(struct intern *in)
{
	struct intern_entry *e, *next;

	HASH_ITER(hh, in->entries, e, next) {
		HASH_DEL(in->entries, e);
		free(e);
	}
}

void intern_add(struct intern *in, const void *key, size_t len, int64_t id)
{
	struct intern_entry *e = malloc(sizeof(*e) + len);
	unsigned before;

	if (!e)
		return;
	if (HASH_COUNT(in->entries) >= in->max)
		intern_clear(in);
	before = HASH_COUNT(in->entries);
	e->id = id;
	memcpy(e->key, key, len);
	HASH_ADD_KEYPTR(hh, in->entries, e->key, len, e);
	if (HASH_COUNT(in->entries) == before)
		free(e);
}
