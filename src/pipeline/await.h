/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Wait until ports are listened on, or until they can be bound. What is true is always asked of the kernel (sock_diag);
 * events only say when to ask: the tracer's as root, else the end of sockets (netlink), timers of TIME_WAIT, and for opens,
 * of which nobody tells, a look every 100 ms.
 */
#ifndef PIPELINE_AWAIT_H
#define PIPELINE_AWAIT_H

#include "core/filter.h"
#include "core/target.h"

struct diag_row;

struct await_config {
	const struct target *targets; /* all have to be met at the same time */
	size_t n;
	bool free;           /* until they can be bound; false: until they are listened on */
	uint64_t timeout_ns; /* 0: look once; UINT64_MAX: for ever */
	const char *netns;   /* NULL: the caller's own; else as in filters */
	bool no_bpf;         /* as without privilege (tests) */
	/* NULL, or called when the waiting begins and when the way of it changes; @why: why no tracer runs, or "". */
	void (*waiting)(const char *how, const char *why);
};

enum await_result { AWAIT_MET, AWAIT_TIMEOUT, AWAIT_SIGNALLED };

struct await_outcome {
	enum await_result result;
	int signal; /* AWAIT_SIGNALLED: SIGINT or SIGTERM */
	uint32_t netns;
	uint64_t waited_ns;
	const char *how; /* "look", "events", "poll", "destroy": what it was waiting with when it ended */
	bool unsure;     /* free: this kernel hides bound sockets, and nobody with privilege has looked */
};

/* What of the tracer and of an inventory concerns the targets. @netns: text that lives as long as @ret. */
void await_filter(const struct await_config *c, const char *netns, struct filter_kernel *ret);

/* Is a socket at @addr (IPV6_V6ONLY: @v6only) one that answers at the target's address? */
bool target_served_by(const struct target *t, const struct address *addr, bool v6only);

/* What the last look at a target saw. */
struct await_found {
	bool met;
	size_t n;       /* until listening: sockets that serve it */
	uint64_t inode; /* of the first of them */
	/* The last bind or listen on its port that an event told of; action 0: none. Another's, unless the inode says so. */
	struct record record;
};

/* Is the one socket that serves the target the one of the record, process and all? */
bool await_told(const struct await_found *f);

/* @found: zeroed, one for each target. 0; negative errno with a story. */
int await_run(const struct await_config *c, struct await_found *found, struct await_outcome *ret);

#endif
