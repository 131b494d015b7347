// SPDX-License-Identifier: GPL-2.0-only
/* One step along a chain of network devices, for every object that tells a bound device's name. */
#include "portlog.bpf.h"

u64 device_step(u64 node, u32 ifindex)
{
	struct net_device *dev = (void *)node - bpf_core_field_offset(struct net_device, index_hlist);
	u64 next = (u64)BPF_CORE_READ((struct hlist_node *)node, next);

	return BPF_CORE_READ(dev, ifindex) == (int)ifindex ? next | STEP_FOUND : next;
}
