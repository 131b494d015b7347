/* SPDX-License-Identifier: GPL-2.0-only */
/* MPTCP (T13): the port belongs to a subflow that the program never sees; each thing that happens is told once. */
#include <errno.h>
#include <unistd.h>

#include "live/actor/play.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static bool opens(void)
{
	return socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP) >= 0;
}

static const char *no_mptcp(void)
{
	return kernel_says(opens) ? NULL : "no MPTCP here";
}

static bool opens6(void)
{
	return !try_bind(socket(AF_INET6, SOCK_STREAM, IPPROTO_MPTCP), "::1", 0);
}

static const char *no_mptcp6(void)
{
	return kernel_says(opens6) ? NULL : "no MPTCP over IPv6 here";
}

static int mptcp_at(int family, const char *addr, unsigned port)
{
	int fd = new_socket(family, SOCK_STREAM, IPPROTO_MPTCP);

	bind_to(fd, addr, port);
	return fd;
}

static void life(void)
{
	int fd = mptcp_at(AF_INET, "127.0.0.1", 6001);

	listen_on(fd, 5);
	sync_ledger();
	close(fd);
}

static void life6(void)
{
	int fd = mptcp_at(AF_INET6, "::1", 6002);

	listen_on(fd, 5);
	sync_ledger();
	close(fd);
}

static void bound(void)
{
	int fd = mptcp_at(AF_INET, "127.0.0.1", 6003);

	sync_ledger();
	close(fd);
}

static void clash(void)
{
	int fd = mptcp_at(AF_INET, "127.0.0.1", 6004),
	    other = new_socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);

	listen_on(fd, 5);
	bind_fails(other, "127.0.0.1", 6004, EADDRINUSE);
	bind_fails(tcp_socket("127.0.0.1"), "127.0.0.1", 6004, EADDRINUSE);
	close(other);
	close(fd);
}

static void against_tcp(void)
{
	int fd = listener_at("127.0.0.1", 6005), other = new_socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);

	bind_fails(other, "127.0.0.1", 6005, EADDRINUSE);
	close(other);
	close(fd);
}

static void listen_alone(void)
{
	int fd = new_socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);

	listen_on(fd, 5);
	note("port", "%u", port_of(fd));
	sync_ledger();
	close(fd);
}

static void listen_twice(void)
{
	int fd = mptcp_at(AF_INET, "127.0.0.1", 6006);

	listen_on(fd, 5);
	listen_on(fd, 9);
	close(fd);
}

static void unused(void)
{
	close(new_socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP));
}

/* clang-format off */
const struct situation mptcp_situations[] = {
	{ "mptcp: bind, listen, close, each once", no_mptcp, life,
	  { "bind mptcp 127.0.0.1:6001 family=ipv4",
	    "listen mptcp 127.0.0.1:6001 backlog=5",
	    "release mptcp 127.0.0.1:6001 free=true" } },
	{ "mptcp over IPv6: bind, listen, close, each once", no_mptcp6, life6,
	  { "bind mptcp [::1]:6002 family=ipv6",
	    "listen mptcp [::1]:6002",
	    "release mptcp [::1]:6002 free=true" } },
	{ "mptcp: bound, never listening, closed", no_mptcp, bound,
	  { "bind mptcp 127.0.0.1:6003",
	    "release mptcp 127.0.0.1:6003 free=true" } },
	{ "mptcp: a clash is told once, with its holder", no_mptcp, clash,
	  { "bind mptcp 127.0.0.1:6004",
	    "listen mptcp 127.0.0.1:6004",
	    "bind!EADDRINUSE mptcp 127.0.0.1:6004 kind=listener hpid=@self",
	    "bind!EADDRINUSE tcp 127.0.0.1:6004 kind=listener hpid=@self holder.proto=mptcp",
	    "release mptcp 127.0.0.1:6004 free=true" } },
	{ "mptcp: a clash with plain tcp", no_mptcp, against_tcp,
	  { "bind tcp 127.0.0.1:6005",
	    "listen tcp 127.0.0.1:6005",
	    "bind!EADDRINUSE mptcp 127.0.0.1:6005 kind=listener hpid=@self holder.proto=tcp",
	    "release tcp 127.0.0.1:6005 free=true" } },
	{ "mptcp: listen without bind", no_mptcp, listen_alone,
	  { "listen mptcp *:@port backlog=5",
	    "release mptcp *:@port free=true" } },
	{ "mptcp: a second listen", no_mptcp, listen_twice,
	  { "bind mptcp 127.0.0.1:6006",
	    "listen mptcp 127.0.0.1:6006 backlog=5",
	    "listen mptcp 127.0.0.1:6006 backlog=9",
	    "release mptcp 127.0.0.1:6006 free=true" } },
	{ "mptcp: a socket that is never bound", no_mptcp, unused, { NULL } },
};
/* clang-format on */
TABLE_SIZE(mptcp);
