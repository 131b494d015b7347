/* SPDX-License-Identifier: GPL-2.0-only */
/* Bytes to the id of their row. Bounded: a full one forgets all, and the rows are looked up again. */
#ifndef STORE_INTERN_H
#define STORE_INTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct intern {
	struct intern_entry *entries;
	size_t max;
};

bool intern_find(const struct intern *in, const void *key, size_t len, int64_t *ret_id);
void intern_add(struct intern *in, const void *key, size_t len, int64_t id); /* or not, without memory */
void intern_clear(struct intern *in);

#endif
