/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A tracer in a process of its own, which tells what it sees of some ports. The kernel takes its hooks off in 60 to 100 ms:
 * whoever waits for a port is not to wait for that too.
 */
#ifndef PIPELINE_WATCH_H
#define PIPELINE_WATCH_H

#include <sys/types.h>

#include "core/filter.h"
#include "core/record.h"

struct watch {
	pid_t pid; /* 0: none */
	int fd;    /* readable when there is news; -1: none */
};

enum news_kind {
	NEWS_READY,  /* hooked: from now on nothing is missed */
	NEWS_RECORD, /* a bind or listen that worked */
	NEWS_OTHER,  /* something else happened on the ports, or events were lost */
	NEWS_FAILED, /* it cannot trace, or does no longer: story */
};

struct news {
	enum news_kind kind;
	struct record record;
	char story[256];
};

/* 0 or negative errno with a story. That it cannot trace is news. */
int watch_start(const struct filter_kernel *filter, struct watch *ret);

/* The next piece of news, without waiting. 1: *ret is filled; 0: there is none now. */
int watch_read(struct watch *w, struct news *ret);

/* It goes by itself, later. */
void watch_stop(struct watch *w);

#endif
