/* SPDX-License-Identifier: GPL-2.0-only */
/* sock_diag sockets, one for each network namespace used lately. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "pipeline/state.h"
#include "source/netns.h"

#define DIAGS_MAX 16
#define IDLE_NS (2 * NS_PER_S)

struct diags {
	struct {
		uint32_t netns;
		struct sockdiag *sd;
		uint64_t used_ns;
	} slots[DIAGS_MAX];
	unsigned at; /* the slot to be used again next */
};

struct diags *diags_new(void)
{
	return calloc(1, sizeof(struct diags));
}

struct diags *diags_free(struct diags *d)
{
	for (unsigned i = 0; d && i < DIAGS_MAX; i++)
		sockdiag_close(d->slots[i].sd);
	free(d);
	return NULL;
}

/* The own namespace needs no privilege to be entered. */
static int diag_open(uint32_t netns, struct sockdiag **ret)
{
	int fd, r;

	if (netns == netns_self())
		return sockdiag_open(-1, netns, ret);
	r = netns_open_inode(netns, &fd);
	if (r < 0)
		return r;
	r = sockdiag_open(fd, netns, ret);
	close(fd);
	return r;
}

struct sockdiag *diags_get(struct diags *d, uint32_t netns, bool *ret_gone)
{
	struct sockdiag *sd = NULL;
	unsigned slot;
	int r;

	if (ret_gone)
		*ret_gone = false;
	for (unsigned i = 0; i < DIAGS_MAX; i++)
		if (d->slots[i].sd && d->slots[i].netns == netns) {
			d->slots[i].used_ns = clock_boot_ns();
			return d->slots[i].sd;
		}
	r = diag_open(netns, &sd);
	if (ret_gone)
		*ret_gone = r == -ENOENT;
	if (r < 0)
		return NULL;
	slot = d->at++ % DIAGS_MAX;
	sockdiag_close(d->slots[slot].sd);
	d->slots[slot].sd = sd;
	d->slots[slot].netns = netns;
	d->slots[slot].used_ns = clock_boot_ns();
	return sd;
}

void diags_tick(struct diags *d, uint64_t now_ns)
{
	for (unsigned i = 0; i < DIAGS_MAX; i++)
		if (d->slots[i].sd && d->slots[i].used_ns + IDLE_NS <= now_ns)
			d->slots[i].sd = sockdiag_close(d->slots[i].sd);
}

uint64_t diags_next_ns(const struct diags *d)
{
	uint64_t next = 0;

	for (unsigned i = 0; i < DIAGS_MAX; i++)
		if (d->slots[i].sd && (!next || d->slots[i].used_ns + IDLE_NS < next))
			next = d->slots[i].used_ns + IDLE_NS;
	return next;
}
