/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a service manager is told, by the protocol of sd_notify(3): datagrams of lines to the socket in NOTIFY_SOCKET. Ours
 * instead of libsystemd's: it is so little, and that library brings four compressors and libgcrypt along.
 */
#ifndef UTIL_NOTIFY_H
#define UTIL_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct notify {
	int fd; /* -1: nobody is to be told */
	struct sockaddr_un to;
	socklen_t to_len;
	uint64_t watchdog_ns; /* a sign of life is wanted at least so often; 0: none is */
};

/*
 * Read the environment and take it away, so that no child speaks for us. 0, also when there is no manager; negative errno
 * with a story when there is one that cannot be told.
 */
int notify_open(struct notify *n);
void notify_close(struct notify *n);

static inline bool notify_wanted(const struct notify *n)
{
	return n->fd >= 0;
}

/*
 * Lines like "READY=1\nSTATUS=fine"; what is too long is cut. Waits 100 ms at most for a manager that does not read. 0, also
 * when there is none; negative errno (no story).
 */
int notify_send(const struct notify *n, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
