/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The sysctls of the namespace that a socket is in, which need not be ours: looked up when a failure or a connection has
 * to be explained, and kept for a second.
 */
#include <stdlib.h>
#include <unistd.h>

#include "pipeline/state.h"
#include "source/netns.h"
#include "source/place.h"

#define PLACES_MAX 16
#define PLACE_NS NS_PER_S
#define RANGE_LOW 32768 /* the kernel's own ip_local_port_range */
#define RANGE_HIGH 60999

struct kept {
	uint32_t netns;
	uint64_t read_ns; /* 0: never */
	int port_start;   /* -1: unknown */
	uint16_t low, high;
};

struct places {
	struct kept kept[PLACES_MAX];
	unsigned at; /* the one to be used again next */
};

struct places *places_new(void)
{
	return calloc(1, sizeof(struct places));
}

struct places *places_free(struct places *ps)
{
	free(ps);
	return NULL;
}

/* What cannot be read, because nobody lives there any more or we may not go there, is unknown. */
static void place_look(int proc_fd, uint32_t netns, struct place *ret)
{
	int fd, home;

	*ret = (struct place){ .unprivileged_port_start = -1 };
	if (netns == netns_self()) {
		place_read(proc_fd, ret);
		return;
	}
	if (netns_open_inode(netns, &fd) < 0)
		return;
	if (!netns_enter(fd, &home)) {
		place_read(proc_fd, ret);
		(void)netns_leave(home);
	}
	close(fd);
}

static const struct kept *place_of(struct pipeline *p, uint32_t netns)
{
	struct places *ps = p->places;
	uint64_t now_ns = clock_boot_ns();
	struct kept *kept = NULL;
	struct place place;

	for (unsigned i = 0; i < PLACES_MAX; i++)
		if (ps->kept[i].read_ns && ps->kept[i].netns == netns)
			kept = &ps->kept[i];
	if (kept && now_ns - kept->read_ns < PLACE_NS)
		return kept;
	if (!kept)
		kept = &ps->kept[ps->at++ % PLACES_MAX];
	place_look(p->proc_fd, netns, &place);
	kept->netns = netns;
	kept->read_ns = now_ns;
	kept->port_start = place.unprivileged_port_start;
	kept->low = place.range_high ? place.range_low : RANGE_LOW;
	kept->high = place.range_high ? place.range_high : RANGE_HIGH;
	return kept;
}

int place_port_start(struct pipeline *p, uint32_t netns)
{
	return place_of(p, netns)->port_start;
}

bool place_gives_port(struct pipeline *p, uint32_t netns, uint16_t port)
{
	const struct kept *kept = place_of(p, netns);

	return port >= kept->low && port <= kept->high;
}
