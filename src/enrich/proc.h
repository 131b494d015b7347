/* SPDX-License-Identifier: GPL-2.0-only */
/* What /proc knows of a process that the hooks saw too late or not at all. Text in it is hostile and stays raw. */
#ifndef ENRICH_PROC_H
#define ENRICH_PROC_H

#include "core/process.h"

#define PROC_GONE 1 /* it has exited, another has its number, or it may not be looked at: all ordinary */

struct proc_stat {
	char comm[16]; /* not always terminated */
	uint32_t ppid;
	uint64_t start_ticks; /* since boot, CLK_TCK a second */
};

/* Take /proc/PID/stat apart: comm may contain anything, also ") S 1 ". 0 or -EINVAL. */
int proc_stat_parse(const char *text, struct proc_stat *ret);

/*
 * Fill what @p lacks of exe, args and cgroup, and ppid, uid, gid and comm when it has no comm yet, if /proc still shows
 * the process of @p's key. *ret_legacy (NULL: none) is its path in a cgroup v1 hierarchy where the v2 path says nothing;
 * the caller frees it. 0, PROC_GONE (@p is as it was) or -ENOMEM.
 */
int proc_fill(int proc_fd, struct process *p, char **ret_legacy);

/* The same of its cgroup alone, which costs half as much. */
int proc_fill_cgroup(int proc_fd, struct process *p, char **ret_legacy);

/* A small text file, at most size - 1 bytes of it, terminated; never waits. 0 or negative errno. */
int proc_read(int dir_fd, const char *path, char *text, size_t size, size_t *ret_len);

/* The number in "net:[4026531840]", else the file's own inode; 0: none. */
uint32_t proc_ns_inode(int dir_fd, const char *path);

#endif
