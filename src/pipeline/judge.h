/* SPDX-License-Identifier: GPL-2.0-only */
/* A verdict on what an inventory saw: who would get a port now. */
#ifndef PIPELINE_JUDGE_H
#define PIPELINE_JUDGE_H

#include "core/verdict.h"

struct inventory;

/*
 * What holds @port in the table of @proto, in namespace @netns of an inventory with connections. *ret is allocated, NULL
 * when there is none; the caller frees it. 0 or -ENOMEM with a story.
 */
int judge_sockets(struct inventory *inv, uint32_t netns, enum proto proto, uint16_t port, struct holder **ret,
		  size_t *ret_n);

/* What the kernel and the inventory are like, into @facts: orphans_by_root, cut. Once for each inventory. */
void judge_facts(struct inventory *inv, struct verdict_facts *facts);

/*
 * Would @asker get its port in namespace @netns? @place: the facts of the namespace; of the bucket the inventory knows.
 * @sockets of judge_sockets(): those in the way come first then.
 */
void judge(struct inventory *inv, uint32_t netns, const struct verdict_facts *place,
	   const struct asker *asker, struct holder *sockets, size_t n, struct verdict *ret);

#endif
