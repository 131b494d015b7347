/* SPDX-License-Identifier: GPL-2.0-only */
/* Tell the service manager. */
#include "util/notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "util/fail.h"
#include "util/parse.h"

#define TEXT_MAX 2048 /* systemd takes 4 KiB */
#define PATIENCE_US 100000

/* A path, or with "@" in front a name of no file. */
static int address_make(struct notify *n, const char *name)
{
	size_t len = strlen(name);

	if (name[0] != '/' && name[0] != '@')
		return fail_text(-EAFNOSUPPORT,
				 "NOTIFY_SOCKET is neither a path nor an abstract name: '%.80s'", name);
	if (len < 2 || len >= sizeof(n->to.sun_path))
		return fail_text(-EINVAL, "NOTIFY_SOCKET has %zu bytes", len);
	n->to = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(n->to.sun_path, name, len);
	if (name[0] == '@')
		n->to.sun_path[0] = '\0';
	/* A path ends with its zero; an abstract name is exactly so long. */
	n->to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (name[0] == '/'));
	return 0;
}

static int socket_make(struct notify *n)
{
	const struct timeval patience = { .tv_usec = PATIENCE_US };

	n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (n->fd < 0)
		return fail(-errno, "make a socket for NOTIFY_SOCKET");
	if (setsockopt(n->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience))) {
		int error = -errno;

		notify_close(n);
		return fail(error, "bound the wait for NOTIFY_SOCKET");
	}
	return 0;
}

/* Inherited from a parent that is watched itself, it is not for us. */
static uint64_t watchdog_of(const char *usec, const char *pid)
{
	uint64_t us, whose;

	if (!usec || parse_u64(usec, &us) || us > UINT64_MAX / 1000)
		return 0;
	if (pid && (parse_u64(pid, &whose) || whose != (uint64_t)getpid()))
		return 0;
	return us * 1000;
}

int notify_open(struct notify *n)
{
	const char *name = getenv("NOTIFY_SOCKET");
	int r = 0;

	*n = (struct notify){ .fd = -1 };
	if (name && name[0]) {
		r = address_make(n, name);
		if (!r)
			r = socket_make(n);
		if (!r)
			n->watchdog_ns = watchdog_of(getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"));
	}
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	return r;
}

void notify_close(struct notify *n)
{
	if (n->fd >= 0)
		close(n->fd);
	n->fd = -1;
}

int notify_send(const struct notify *n, const char *fmt, ...)
{
	char text[TEXT_MAX];
	va_list ap;
	ssize_t sent;
	int len;

	if (n->fd < 0)
		return 0;
	va_start(ap, fmt);
	len = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (len < 0)
		return -EINVAL;
	if ((size_t)len >= sizeof(text))
		len = (int)sizeof(text) - 1;
	do
		sent = sendto(n->fd, text, (size_t)len, MSG_NOSIGNAL, (const struct sockaddr *)&n->to,
			      n->to_len);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}
