/* SPDX-License-Identifier: GPL-2.0-only */
/* A day of a busy machine, made up: the same for whoever asks. */
#ifndef SUPPORT_DAY_H
#define SUPPORT_DAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/record.h"

#define DAY_NS (86400 * 1000000000ull)
#define DAY_SLOTS 512 /* sockets that live at one time, at most */
#define DAY_EVENTS 2000000

/* What is true of a socket. */
struct model {
	uint64_t socket_id; /* 0: free slot */
	uint32_t pid;
	uint32_t owner; /* after a handoff; 0: none */
	uint32_t netns;
	uint16_t port;
	enum proto proto;
	bool listened;
	uint64_t since_ns;
};

struct day {
	/* Takes an event, whose view is borrowed. Nonzero ends the day. */
	int (*put)(void *arg, const struct view *v);
	/* Before the event of @time_ns happens: what is held until then is in slots. NULL: nobody looks. */
	void (*before)(void *arg, uint64_t time_ns);
	void *arg;
	struct model slots[DAY_SLOTS];
	size_t events, streams;
	/* its own */
	struct session session;
	uint64_t random;
	uint64_t seq;
	uint64_t time_ns;
	int error;
};

void day_init(struct day *d);
uint64_t day_random(struct day *d);
uint32_t day_below(struct day *d, uint32_t n);
int day_live(struct day *d, size_t events); /* 0, or what put() returned */

#endif
