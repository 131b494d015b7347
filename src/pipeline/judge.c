/* SPDX-License-Identifier: GPL-2.0-only */
/* From an inventory to a verdict. */
#include "pipeline/judge.h"

#include <errno.h>
#include <stdlib.h>

#include "pipeline/inventory.h"
#include "source/kernel_names.h"
#include "util/cleanup.h"
#include "util/fail.h"

int judge_sockets(struct inventory *inv, uint32_t netns, enum proto proto, uint16_t port, struct holder **ret,
		  size_t *ret_n)
{
	size_t n = inventory_on_port(inv, netns, proto, port, NULL, 0);
	struct holder *sockets = n ? calloc(n, sizeof(*sockets)) : NULL;

	if (n && !sockets)
		return fail(-ENOMEM, "look at port %u", port);
	if (n)
		inventory_on_port(inv, netns, proto, port, sockets, n);
	*ret = sockets;
	*ret_n = n;
	return 0;
}

/*
 * sock_i_uid() left with 6.17 (c51da3f7a161). sock_diag lists sockets that are only bound since 6.8 (91051f003948);
 * without BPF and without that, nobody knows what else is on a port.
 */
void judge_facts(struct inventory *inv, struct verdict_facts *facts)
{
	static const char *const names[] = { "sock_i_uid", "TCP_BOUND_INACTIVE" };
	bool has[ARRAY_SIZE(names)] = { false };

	(void)kernel_names_find(names, ARRAY_SIZE(names), has);
	facts->orphans_by_root = has[0];
	facts->cut = !inventory_uses_bpf(inv) && !has[1];
}

void judge(struct inventory *inv, uint32_t netns, const struct verdict_facts *place,
	   const struct asker *asker, struct holder *sockets, size_t n, struct verdict *ret)
{
	struct verdict_facts facts = *place;
	struct port_bucket bucket;

	if (!inventory_bucket(inv, netns, asker->port, &bucket))
		facts.bucket = &bucket;
	verdict(asker, &facts, sockets, n, ret);
}
