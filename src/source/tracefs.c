/* SPDX-License-Identifier: GPL-2.0-only */
/* Tracepoints by number. */
#include "source/tracefs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/fail.h"
#include "util/parse.h"

/* linux/mount.h; older headers of the C library clash with it. */
#define FSCONFIG_CMD_CREATE_ 6
#define FSOPEN_CLOEXEC_ 1
#define FSMOUNT_CLOEXEC_ 1

static const char *const mounts[] = { "/sys/kernel/tracing", "/sys/kernel/debug/tracing" };

int mount_private(const char *type, int *ret_fd)
{
	auto_close int fs = (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC_);
	int fd;

	if (fs < 0)
		return -errno;
	if (syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE_, NULL, NULL, 0) < 0)
		return -errno;
	fd = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC_, 0);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

static int id_read(int dir_fd, const char *tracepoint, uint64_t *ret_id)
{
	auto_close int fd = -1;
	char path[128], text[32];
	ssize_t n;

	snprintf(path, sizeof(path), "events/%s/id", tracepoint);
	fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fail(-errno, "read %s", path);
	n = read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return fail(-errno, "read %s", path);
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return parse_u64(text, ret_id);
}

static int tracepoint_id(const char *tracepoint, uint64_t *ret_id)
{
	auto_close int own = -1;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(mounts); i++) {
		auto_close int fd = open(mounts[i], O_PATH | O_DIRECTORY | O_CLOEXEC);

		if (fd >= 0 && !id_read(fd, tracepoint, ret_id))
			return 0;
	}
	r = mount_private("tracefs", &own);
	if (r < 0)
		return r;
	return id_read(own, tracepoint, ret_id);
}

int tracepoint_open(const char *tracepoint, int *ret_fd)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_TRACEPOINT,
		.size = sizeof(attr),
		.sample_period = 1,
		.wakeup_events = 1,
	};
	uint64_t id;
	int fd, r;

	r = tracepoint_id(tracepoint, &id);
	if (r < 0) {
		fail(r, "find tracepoint %s", tracepoint);
		return fail_hint(r,
				 r == -EPERM || r == -EACCES
					 ? "CAP_SYS_ADMIN is missing, or CAP_DAC_READ_SEARCH to read tracefs"
					 : "mount -t tracefs tracefs /sys/kernel/tracing");
	}
	attr.config = id;
	/* A program on one processor's event runs on all: it hangs on the tracepoint, not on the event. */
	fd = (int)syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0)
		return fail(-errno, "open tracepoint %s", tracepoint);
	*ret_fd = fd;
	return 0;
}
