/* SPDX-License-Identifier: GPL-2.0-only */
/* Cgroup paths: which systemd unit, container and pod they name. Table-driven, read from the right, never anchored. */
#ifndef ENRICH_CGROUP_H
#define ENRICH_CGROUP_H

#include "core/process.h"

/* Fill @ret (zeroed by the caller) from @path. 0 or -ENOMEM; what the path does not say stays NULL. */
int cgroup_parse(const char *path, struct cgroup_info *ret);

/* Container and pod names from the runtimes' own files below @root_fd; what is not found stays NULL. */
void container_names(int root_fd, struct cgroup_info *info);

/* Where the cgroup v2 hierarchy is mounted, from mountinfo text; 0 or -ENOENT. */
int cgroup2_mount(const char *mountinfo, char *ret_path, size_t size);

/* The same for this process, now; 0 or negative errno. */
int cgroup2_find(char *ret_path, size_t size);

/* Path of the cgroup with id @id (kernfs file handle) below the v2 mount @mount_fd; 0 or negative errno. */
int cgroup_path_by_id(int mount_fd, const char *mount_path, uint64_t id, char *ret_path, size_t size);

#endif
