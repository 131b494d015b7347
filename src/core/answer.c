/* SPDX-License-Identifier: GPL-2.0-only */
/* What can be said of an answer without a look at the machine. */
#include "core/answer.h"

#include <stdlib.h>

static bool same_first(const struct ask *a, const struct ask *b)
{
	if (!a->n_in_way || !b->n_in_way)
		return a->n_in_way == b->n_in_way;
	return a->in_way[0].sk == b->in_way[0].sk && a->in_way[0].cookie == b->in_way[0].cookie &&
	       a->in_way[0].pid == b->in_way[0].pid;
}

bool asks_equal(const struct ask *a, const struct ask *b)
{
	return verdict_equal(&a->verdict, &b->verdict) && verdict_equal(&a->bare, &b->bare) &&
	       verdict_equal(&a->shared, &b->shared) && same_first(a, b);
}

bool answer_may_fail(const struct port_answer *a)
{
	for (size_t i = 0; i < a->n_asks; i++)
		if (a->asks[i].verdict.bind != ANSWER_YES || a->asks[i].verdict.listen != ANSWER_YES)
			return true;
	return false;
}

void answer_done(struct port_answer *a)
{
	for (size_t i = 0; i < a->n_asks; i++)
		free(a->asks[i].in_way);
	a->n_asks = 0;
}
