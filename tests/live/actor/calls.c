/* SPDX-License-Identifier: GPL-2.0-only */
/* What every program does: bind, listen, close. */
#include <unistd.h>

#include "live/actor/play.h"

static void tcp4(void)
{
	int fd = tcp_at("127.0.0.1", 5001);

	note_cookie("cookie", fd);
	listen_on(fd, 5);
	sync_ledger();
	close(fd);
}

static void tcp6(void)
{
	int fd = tcp_at("::1", 5002);

	listen_on(fd, 7);
	sync_ledger();
	close(fd);
}

static void udp4(void)
{
	int fd = udp_at("127.0.0.1", 5003);

	note_cookie("cookie", fd);
	sync_ledger();
	close(fd);
}

static void udp6(void)
{
	int fd = udp_at("::1", 5004);

	sync_ledger();
	close(fd);
}

static void wildcards(void)
{
	int tcp = listener_at("0.0.0.0", 5005), udp = udp_at("::", 5005);

	close(tcp);
	close(udp);
}

/* T4: a socket that never listened; the state of it never changes. */
static void bound_only(void)
{
	int v4 = tcp_at("127.0.0.1", 5006), v6 = tcp_at("::1", 5007);

	sync_ledger();
	close(v4);
	close(v6);
}

static void mapped(void)
{
	int fd = listener_at("::ffff:127.0.0.1", 5008);

	close(fd);
}

static void listen_twice(void)
{
	int fd = listener_at("127.0.0.1", 5009);

	listen_on(fd, 9);
	sync_ledger();
	close(fd);
}

/* The address of the kernel's socket is used again at once: no record may be taken for one of the socket before. */
static void again(void)
{
	for (int i = 0; i < 3; i++)
		close(listener_at("127.0.0.1", 5010));
	for (int i = 0; i < 3; i++)
		close(udp_at("127.0.0.1", 5010));
}

/* A socket that is closed and was never bound is nobody's business. */
static void nothing(void)
{
	close(tcp_socket("127.0.0.1"));
	close(udp_socket("::1"));
}

/* The tables of TCP and UDP know nothing of each other. */
static void both_tables(void)
{
	int tcp = listener_at("127.0.0.1", 5011), udp = udp_at("127.0.0.1", 5011);

	sync_ledger();
	close(udp);
	close(tcp);
}

/* clang-format off */
const struct situation calls_situations[] = {
	{ "tcp over IPv4: bind, listen, close", NULL, tcp4,
	  { "bind tcp 127.0.0.1:5001 family=ipv4 reuseaddr=false reuseport=false cookie=@cookie|- -v6only "
	      "-requested_port -requested_addr -reason_code -holder",
	    "listen tcp 127.0.0.1:5001 backlog=5 family=ipv4 cookie=@cookie|-",
	    "release tcp 127.0.0.1:5001 free=true cookie=@cookie|-" } },
	{ "tcp over IPv6: bind, listen, close", no_ipv6, tcp6,
	  { "bind tcp [::1]:5002 family=ipv6",
	    "listen tcp [::1]:5002 backlog=7",
	    "release tcp [::1]:5002 free=true" } },
	{ "udp over IPv4: bind, close", NULL, udp4,
	  { "bind udp 127.0.0.1:5003 family=ipv4 cookie=@cookie|- -backlog",
	    "release udp 127.0.0.1:5003 free=true" } },
	{ "udp over IPv6: bind, close", no_ipv6, udp6,
	  { "bind udp [::1]:5004 family=ipv6",
	    "release udp [::1]:5004 free=true" } },
	{ "wildcards", no_ipv6, wildcards,
	  { "bind tcp 0.0.0.0:5005",
	    "listen tcp 0.0.0.0:5005",
	    "bind udp [::]:5005 v6only=false|-",
	    "release tcp 0.0.0.0:5005 free=true",
	    "release udp [::]:5005 free=true" } },
	{ "tcp: bound, never listening, closed", no_ipv6, bound_only,
	  { "bind tcp 127.0.0.1:5006",
	    "bind tcp [::1]:5007",
	    "release tcp 127.0.0.1:5006 free=true",
	    "release tcp [::1]:5007 free=true" } },
	{ "an IPv4 address on an IPv6 socket", no_ipv6, mapped,
	  { "bind tcp [::ffff:127.0.0.1]:5008 family=ipv6",
	    "listen tcp [::ffff:127.0.0.1]:5008",
	    "release tcp [::ffff:127.0.0.1]:5008" } },
	{ "a second listen changes the backlog", NULL, listen_twice,
	  { "bind tcp 127.0.0.1:5009",
	    "listen tcp 127.0.0.1:5009 backlog=5",
	    "listen tcp 127.0.0.1:5009 backlog=9",
	    "release tcp 127.0.0.1:5009 free=true" } },
	{ "the same port again and again: another socket each time", NULL, again,
	  { "bind tcp 127.0.0.1:5010",
	    "listen tcp 127.0.0.1:5010",
	    "release tcp 127.0.0.1:5010 free=true",
	    "bind tcp 127.0.0.1:5010",
	    "listen tcp 127.0.0.1:5010",
	    "release tcp 127.0.0.1:5010 free=true",
	    "bind tcp 127.0.0.1:5010",
	    "listen tcp 127.0.0.1:5010",
	    "release tcp 127.0.0.1:5010 free=true",
	    "bind udp 127.0.0.1:5010",
	    "release udp 127.0.0.1:5010 free=true",
	    "bind udp 127.0.0.1:5010",
	    "release udp 127.0.0.1:5010 free=true",
	    "bind udp 127.0.0.1:5010",
	    "release udp 127.0.0.1:5010 free=true" } },
	{ "sockets that are never bound", NULL, nothing, { NULL } },
	{ "tcp and udp on one port", NULL, both_tables,
	  { "bind tcp 127.0.0.1:5011",
	    "listen tcp 127.0.0.1:5011",
	    "bind udp 127.0.0.1:5011",
	    "release udp 127.0.0.1:5011 free=true",
	    "release tcp 127.0.0.1:5011 free=true" } },
};
/* clang-format on */
TABLE_SIZE(calls);
