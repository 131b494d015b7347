/* SPDX-License-Identifier: GPL-2.0-only */
/* A ledger out of the history: who held which port at a moment. */
#ifndef SOURCE_REPLAY_H
#define SOURCE_REPLAY_H

#include "core/ledger.h"
#include "store/store.h"

struct replay;

struct replay *replay_new(void);                /* NULL only when out of memory */
struct replay *replay_free(struct replay *r);   /* NULL is fine; always returns NULL */
struct ledger *replay_ledger(struct replay *r); /* borrowed; another one after each begin or start event */

/*
 * Fold the record @id in. A `start` (but of pinned hooks), or a loss in the queue, begins anew: what was held before is not
 * known any more, and told again. 0 or -ENOMEM.
 */
int replay_apply(struct replay *r, int64_t id, const struct view *v);

/*
 * Fill the ledger with what was held when record @id was the newest, without replaying what came before: only @ports
 * (struct filter_kernel.ports; NULL: all). The same as replay_apply() of all of them. 0 or negative errno with a story.
 */
int replay_at(struct replay *r, struct store *s, int64_t id, const uint8_t *ports);

/*
 * @e of the ledger as a view of wall clock @now_ns, with the names that it had: for the table of what is held. @rec and
 * @owners (LEDGER_OWNERS_MAX) are room for it. ret->session is left to the caller.
 */
void replay_view(const struct replay *r, const struct entry *e, int64_t now_ns, struct record *rec,
		 struct owner *owners, struct view *ret);

#endif
