/* SPDX-License-Identifier: GPL-2.0-only */
/* Tracepoints by number, also where nobody has mounted tracefs. */
#ifndef SOURCE_TRACEFS_H
#define SOURCE_TRACEFS_H

/* A perf event on @tracepoint ("syscalls/sys_exit_bind") to attach a program to. 0 or negative errno with a story. */
int tracepoint_open(const char *tracepoint, int *ret_fd);

/* A directory of file system @type ("tracefs", "cgroup2") mounted for this process alone. 0 or negative errno. */
int mount_private(const char *type, int *ret_fd);

#endif
