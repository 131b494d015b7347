/* SPDX-License-Identifier: GPL-2.0-only */
/* The words and addresses that all renderings share: stable names of actions, protocols, errors. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/types.h>
#include <stdio.h>
#include <string.h>

#include "core/field.h"
#include "portlog/event.h"
#include "util/buf.h"
#include "util/cleanup.h"

/* The word at @i of @names, or "unknown": a value from the kernel's side may be any number. */
static const char *name_at(const char *const *names, size_t n, size_t i)
{
	return i < n && names[i] ? names[i] : "unknown";
}

const char *action_name(enum action a)
{
	static const char *const names[N_ACTIONS] = {
		[ACTION_NONE] = "none",         [ACTION_START] = "start",       [ACTION_STOP] = "stop",
		[ACTION_SNAPSHOT] = "snapshot", [ACTION_SYNCED] = "synced",     [ACTION_BIND] = "bind",
		[ACTION_LISTEN] = "listen",     [ACTION_RELEASE] = "release",   [ACTION_FREE] = "free",
		[ACTION_HANDOFF] = "handoff",   [ACTION_AUTOBIND] = "autobind", [ACTION_LOST] = "lost",
		[ACTION_RESYNC] = "resync",     [ACTION_CLOCK] = "clock",
	};

	return name_at(names, ARRAY_SIZE(names), a);
}

const char *proto_name(enum proto p)
{
	static const char *const names[] = {
		[PROTO_NONE] = "none",
		[PROTO_TCP] = "tcp",
		[PROTO_UDP] = "udp",
		[PROTO_MPTCP] = "mptcp",
	};

	return name_at(names, ARRAY_SIZE(names), p);
}

const char *precision_name(enum precision p)
{
	static const char *const names[] = {
		[SINCE_UNKNOWN] = "unknown",
		[SINCE_EXACT] = "exact",
		[SINCE_NOT_BEFORE] = "not-before",
		[SINCE_NOT_AFTER] = "not-after",
	};

	return name_at(names, ARRAY_SIZE(names), p);
}

const char *lost_where_name(enum lost_where where)
{
	static const char *const names[N_LOST] = {
		[LOST_RING] = "ring", [LOST_QUEUE] = "queue", [LOST_MAP] = "map",
		[LOST_HOOK] = "hook", [LOST_TREE] = "tree",   [LOST_HISTORY] = "history",
	};

	return (unsigned)where < N_LOST ? names[where] : NULL;
}

const char *via_name(uint8_t via)
{
	static const char *const names[] = {
		[PL_VIA_FEXIT] = "fexit",   [PL_VIA_TRACEPOINT] = "tracepoint", [PL_VIA_URING] = "io_uring",
		[PL_VIA_CGROUP] = "cgroup", [PL_VIA_STATE] = "state",           [PL_VIA_ITER] = "iterator",
		[PL_VIA_LSM] = "lsm",       [VIA_NETLINK] = "netlink",          [VIA_PROC] = "proc",
	};

	return name_at(names, ARRAY_SIZE(names), via);
}

/* What bind, listen and the hooks around them may return; a C library's own table is not everywhere. */
/* clang-format off */
#define ERRNOS(X)                                                                                           \
	X(EPERM) X(ENOENT) X(EINTR) X(EIO) X(ENXIO) X(EBADF) X(EAGAIN) X(ENOMEM) X(EACCES) X(EFAULT)        \
	X(EBUSY) X(EEXIST) X(ENODEV) X(ENOTDIR) X(EISDIR) X(EINVAL) X(ENFILE) X(EMFILE) X(ENOSPC) X(EROFS)  \
	X(EPIPE) X(ERANGE) X(ENAMETOOLONG) X(ENOSYS) X(ELOOP) X(EPROTO) X(EOVERFLOW) X(ENOTSOCK)            \
	X(EDESTADDRREQ) X(EMSGSIZE) X(EPROTOTYPE) X(ENOPROTOOPT) X(EPROTONOSUPPORT) X(ESOCKTNOSUPPORT)      \
	X(EOPNOTSUPP) X(EPFNOSUPPORT) X(EAFNOSUPPORT) X(EADDRINUSE) X(EADDRNOTAVAIL) X(ENETDOWN)            \
	X(ENETUNREACH) X(ENETRESET) X(ECONNABORTED) X(ECONNRESET) X(ENOBUFS) X(EISCONN) X(ENOTCONN)         \
	X(ESHUTDOWN) X(ETIMEDOUT) X(ECONNREFUSED) X(EHOSTUNREACH) X(EALREADY) X(EINPROGRESS) X(ECANCELED)
/* clang-format on */

const char *errno_name(int error, char scratch[16])
{
#define ERRNO_ROW(e) [e] = #e,
	static const char *const names[] = { ERRNOS(ERRNO_ROW) };
#undef ERRNO_ROW

	if (error > 0 && (size_t)error < ARRAY_SIZE(names) && names[error])
		return names[error];
	snprintf(scratch, 16, "%d", error);
	return scratch;
}

static char *put_decimal(char *out, unsigned v)
{
	if (v >= 100)
		*out++ = (char)('0' + v / 100);
	if (v >= 10)
		*out++ = (char)('0' + v / 10 % 10);
	*out++ = (char)('0' + v % 10);
	return out;
}

static char *put_ipv4(char *out, const uint8_t bytes[4])
{
	for (unsigned i = 0; i < 4; i++) {
		if (i)
			*out++ = '.';
		out = put_decimal(out, bytes[i]);
	}
	return out;
}

static char *put_group(char *out, unsigned v)
{
	static const char hex[] = "0123456789abcdef";
	int shift = 12;

	while (shift > 0 && !(v >> shift))
		shift -= 4;
	for (; shift >= 0; shift -= 4)
		*out++ = hex[v >> shift & 15];
	return out;
}

static unsigned group_at(const uint8_t bytes[16], unsigned i)
{
	return (unsigned)bytes[2 * i] << 8 | bytes[2 * i + 1];
}

/* The first of the longest runs of at least two zero groups: what "::" stands for (RFC 5952). */
static void longest_zeroes(const uint8_t bytes[16], unsigned *ret_from, unsigned *ret_len)
{
	unsigned run = 0;

	*ret_from = 8;
	*ret_len = 1;
	for (unsigned i = 0; i < 8; i++) {
		run = group_at(bytes, i) ? 0 : run + 1;
		if (run <= *ret_len)
			continue;
		*ret_len = run;
		*ret_from = i + 1 - run;
	}
}

static char *put_ipv6(char *out, const uint8_t bytes[16])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	unsigned from, len;

	if (!memcmp(bytes, mapped, sizeof(mapped)))
		return put_ipv4(stpcpy(out, "::ffff:"), bytes + 12);
	longest_zeroes(bytes, &from, &len);
	for (unsigned i = 0; i < 8; i++) {
		if (i == from) {
			*out++ = ':';
			if (from + len == 8)
				*out++ = ':';
			i += len - 1;
			continue;
		}
		if (i)
			*out++ = ':';
		out = put_group(out, group_at(bytes, i));
	}
	return out;
}

bool address_is_v4(const struct address *addr)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	return addr->family == AF_INET ||
	       (addr->family == AF_INET6 && !memcmp(addr->bytes, mapped, sizeof(mapped)));
}

size_t address_text(const struct address *addr, char out[ADDRESS_TEXT_MAX])
{
	char *end = out;

	if (addr->family == AF_INET)
		end = put_ipv4(out, addr->bytes);
	else if (addr->family == AF_INET6)
		end = put_ipv6(out, addr->bytes);
	*end = '\0';
	return (size_t)(end - out);
}

const char *endpoint_text(const struct address *addr, uint16_t port, char *out, size_t size)
{
	char text[ADDRESS_TEXT_MAX];

	if (!address_text(addr, text))
		memcpy(text, "?", 2); /* a port without a known address */
	snprintf(out, size, addr->family == AF_INET6 ? "[%s]:%u" : "%s:%u", text, port);
	return out;
}
