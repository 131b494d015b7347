/* SPDX-License-Identifier: GPL-2.0-only */
/* Bytes to the id of their row. Bounded: what was not asked for lately is forgotten, and has to be looked up again. */
#ifndef STORE_INTERN_H
#define STORE_INTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct intern {
	struct intern_entry *young,
		*old; /* two generations: when the young are too many the old are forgotten */
	size_t max;   /* of each */
};

bool intern_find(struct intern *in, const void *key, size_t len, int64_t *ret_id);
void intern_add(struct intern *in, const void *key, size_t len, int64_t id); /* or not, without memory */
void intern_clear(struct intern *in);

#endif
