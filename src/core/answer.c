/* SPDX-License-Identifier: GPL-2.0-only */
/* What can be said of an answer without a look at the machine. */
#include "core/answer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
	       verdict_equal(&a->shared, &b->shared) && verdict_equal(&a->allowed, &b->allowed) &&
	       verdict_equal(&a->allowed_bare, &b->allowed_bare) && same_first(a, b);
}

/* All that is asked of the port is refused with EACCES, and is told as one; NULL: it is not so. */
static const struct ask *ask_refused(const struct port_answer *a)
{
	if (!a->n_asks || (a->n_asks == 2 && !asks_equal(&a->asks[0], &a->asks[1])))
		return NULL;
	return a->asks[0].verdict.bind_error == EACCES ? &a->asks[0] : NULL;
}

bool answers_refused_alike(const struct port_answer *tcp, const struct port_answer *udp)
{
	const struct ask *t = ask_refused(tcp), *u = ask_refused(udp);

	return t && u && tcp->n_asks == udp->n_asks &&
	       !strcmp(t->explanation.reason, u->explanation.reason) &&
	       !strcmp(t->explanation.hint, u->explanation.hint);
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
