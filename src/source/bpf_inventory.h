/* SPDX-License-Identifier: GPL-2.0-only */
/* Iterators over open files and sockets, without a tracer: bpf/inventory.bpf.c, loaded and read. */
#ifndef SOURCE_BPF_INVENTORY_H
#define SOURCE_BPF_INVENTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/filter.h"

#define LISTER_NETNS_MAX 8

struct lister_options {
	const struct filter_kernel *filter; /* ports; NULL: all; to be there as long as the lister */
	uint32_t netns[LISTER_NETNS_MAX];   /* inodes; n_netns 0: all */
	size_t n_netns;
	bool connections; /* every socket with a port, and bind buckets */
};

struct lister;

/* 0; negative errno with a story and a remedy. */
int lister_open(const struct lister_options *o, struct lister **ret);
struct lister *lister_close(struct lister *l); /* NULL is fine; always returns NULL */

/*
 * Call @each with struct pl_row after struct pl_row: one for each socket and process that has it open, in every
 * namespace. A process may come twice with one socket. 0; what @each returned when it was not 0; negative errno with a
 * story. What is left over at the end and is no row is handed over with its length.
 */
int lister_files(struct lister *l, int (*each)(void *arg, const void *row, size_t len), void *arg);
/* Connections on these ports (65,536 bits, to be there as long as the lister) too; before the first pass. */
void lister_connections(struct lister *l, const uint8_t *ports);
/* The same of the sockets of the calling thread's network namespace, without processes: UDP, TCP that listens (or all). */
int lister_sockets(struct lister *l, bool udp, int (*each)(void *arg, const void *row, size_t len),
		   void *arg);

/*
 * The same of sockets that are in flight in messages of Unix sockets of that namespace. -ENOTSUP where the kernel has no
 * iterator over Unix sockets (before 5.15).
 */
int lister_flying(struct lister *l, int (*each)(void *arg, const void *row, size_t len), void *arg);
bool lister_sees_flying(const struct lister *l);

/* False: portlog is in a pid namespace of its own, and processes outside of it are not shown. */
bool lister_sees_everybody(const struct lister *l);

#endif
