/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For whom init or a proxy holds a port: the .socket unit that asked systemd for it, the container that docker-proxy
 * publishes. As enrich_bound_by() knows it, or by the proxy's arguments; nobody is asked, nothing is waited for.
 */
#ifndef ENRICH_BOUND_FOR_H
#define ENRICH_BOUND_FOR_H

#include "core/answer.h"
#include "enrich/enrich.h"

/* Fill @ret for @h, a socket on a port, where it is held for somebody. What enrich_bound_by() gave before is gone. */
void bound_for_find(struct enrich *e, const struct holder *h, struct bound_for *ret);

#endif
