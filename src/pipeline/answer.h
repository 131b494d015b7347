/* SPDX-License-Identifier: GPL-2.0-only */
/* From an inventory to all that `why` tells of a port: core/answer.h filled in. */
#ifndef PIPELINE_ANSWER_H
#define PIPELINE_ANSWER_H

#include "core/answer.h"
#include "source/place.h"

struct inventory;

/* What is asked: one port of one table, and who would bind it how. */
struct question {
	enum proto proto;
	uint16_t port;
	struct address addr; /* family 0: 0.0.0.0 and [::] */
	uint32_t scope;      /* interface of a link-local address; 0: none */
	uint32_t options;    /* OPT_* */
	bool reuseaddr_given;
	bool ipv4, ipv6; /* of the wildcards only these; both or none: both */
	uint32_t uid;
	bool capable; /* CAP_NET_BIND_SERVICE */
};

/* The namespace that is asked about; the calling thread is in it. */
struct answer_place {
	uint32_t netns;
	int root_fd, proc_fd; /* borrowed */
	struct place place;
	struct verdict_facts kernel; /* judge_facts() of the inventory */
};

/* 0; -ENOMEM with a story. *ret borrows from @inv; answer_done() when it is told. */
int answer_take(struct inventory *inv, const struct answer_place *where, const struct question *q,
		struct port_answer *ret);

#endif
