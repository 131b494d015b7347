/* SPDX-License-Identifier: GPL-2.0-only */
/* Network namespaces: find every one, enter it, come back. */
#ifndef SOURCE_NETNS_H
#define SOURCE_NETNS_H

#include <stddef.h>
#include <stdint.h>

struct netns {
	uint32_t inode;
	int fd; /* open namespace file */
};

struct netns_list {
	struct netns *items;
	size_t n;
	size_t cut;     /* found and not kept: over the limit of open files or unreadable */
	size_t refused; /* processes whose namespace may not be asked for */
};

/*
 * Every namespace that a process lives in or that is mounted below /run/netns (or /var/run/netns); own one first.
 * 0 or negative errno with a story; one that vanishes in between is left out without a word.
 */
int netns_list_all(struct netns_list *ret);
void netns_list_done(struct netns_list *list);

/* The calling thread's namespace for the rest of the call; 0 or negative errno. netns_leave() goes back. */
int netns_enter(int fd, int *ret_home_fd);
int netns_leave(int home_fd);
uint32_t netns_self(void);                         /* inode of the caller's; 0 unknown */
int netns_open_inode(uint32_t inode, int *ret_fd); /* find one by number; -ENOENT: nobody lives there */

/*
 * The story of one that was asked for by @name and cannot be looked at, with @error (-ENOENT: it was not found): -EINVAL
 * where there is none, -EACCES where root may know it.
 */
int netns_missing(const char *name, int error);

#endif
