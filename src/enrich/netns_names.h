/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What network namespaces are called: "host", the name below /run/netns, or one learned from who lives there. Bounded;
 * numbers without a name cost no more than those with one.
 */
#ifndef ENRICH_NETNS_NAMES_H
#define ENRICH_NETNS_NAMES_H

#include <stdint.h>

struct netns_names;

struct netns_names *netns_names_new(int root_fd,
				    int proc_fd); /* both borrowed; NULL only when out of memory */
struct netns_names *netns_names_free(struct netns_names *ns); /* NULL is fine; always returns NULL */

/* @now_ns: any clock that only goes forward. NULL: no name. Borrowed until the next call. */
const char *netns_names_find(struct netns_names *ns, uint32_t inode, uint64_t now_ns);

/*
 * Remember a name. The system's own names come first. Of two learned ones the first stays until it was not learned
 * again for a minute: numbers are used again, and a pod's containers share one namespace.
 */
void netns_names_learn(struct netns_names *ns, uint32_t inode, const char *name, uint64_t now_ns);

uint32_t netns_names_host(const struct netns_names *ns); /* inode of the host's; 0: cannot be told */

#endif
