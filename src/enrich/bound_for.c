/* SPDX-License-Identifier: GPL-2.0-only */
/* For whom a holder has its port, as text of its own: an answer outlives what the tables of bound_by.c point at. */
#include "enrich/bound_for.h"

#include <stdio.h>
#include <string.h>

#include "core/process.h"

/* The argument after @name, terminated; NULL: there is none. */
static const char *argument_of(const struct process *p, const char *name)
{
	const char *end = p->args + p->args_len;

	for (const char *a = p->args; a < end;) {
		size_t len = strnlen(a, (size_t)(end - a));
		const char *next = a + len + 1;

		if (len == strlen(name) && !memcmp(a, name, len) && next < end &&
		    memchr(next, '\0', (size_t)(end - next)))
			return next;
		a = next;
	}
	return NULL;
}

/* docker-proxy -proto tcp -host-ip 0.0.0.0 -host-port 8080 -container-ip 172.17.0.2 -container-port 80 */
static const char *proxied_address(const struct holder *h)
{
	if (strncmp(h->comm, "docker-proxy", sizeof(h->comm)) || !h->process || !h->process->args)
		return NULL;
	return argument_of(h->process, "-container-ip");
}

static void text_copy(char *to, const char *text)
{
	snprintf(to, BOUND_FOR_MAX, "%s", text ?: "");
}

void bound_for_find(struct enrich *e, const struct holder *h, struct bound_for *ret)
{
	const struct record nobody = { 0 };
	struct holder asked = *h;
	struct view v = { .rec = &nobody, .holders = &asked, .n_holders = 1 };
	const struct bound_by *by;

	memset(ret, 0, sizeof(*ret));
	enrich_bound_by(e, &v);
	by = asked.bound_by;
	if (by) {
		text_copy(ret->unit, by->unit);
		text_copy(ret->service, by->service);
		text_copy(ret->container, by->container_name ?: by->container_id);
	}
	if (!ret->unit[0] && !ret->container[0]) /* Docker has not written down yet what it published */
		text_copy(ret->container, proxied_address(h));
}
