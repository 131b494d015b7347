/* SPDX-License-Identifier: GPL-2.0-only */
/* Ports that the kernel chooses (T3, T8, T9): hidden until somebody listens, but known when they are in the way. */
#include <errno.h>
#include <unistd.h>

#include "live/actor/play.h"

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

static void hidden(void)
{
	int tcp = tcp_at("127.0.0.1", 0), udp = udp_at("127.0.0.1", 0);

	close(tcp);
	close(udp);
}

static void tcp_listens(void)
{
	int fd = tcp_at("127.0.0.1", 0);

	note("port", "%u", port_of(fd));
	listen_on(fd, 5);
	sync_ledger();
	close(fd);
}

static void listen_alone(void)
{
	int fd = tcp_socket("127.0.0.1");

	listen_on(fd, 5);
	note("port", "%u", port_of(fd));
	sync_ledger();
	close(fd);
}

static void in_the_way(void)
{
	int tcp = tcp_at("127.0.0.1", 0), udp = udp_at("127.0.0.1", 0);

	note("tcp", "%u", port_of(tcp));
	note("udp", "%u", port_of(udp));
	bind_fails(tcp_socket("127.0.0.1"), "127.0.0.1", port_of(tcp), EADDRINUSE);
	bind_fails(udp_socket("127.0.0.1"), "127.0.0.1", port_of(udp), EADDRINUSE);
	close(tcp);
	close(udp);
}

/* T8: ports taken without bind. A client's is an ephemeral one, too. */
static void taken_without_bind(void)
{
	int sends = udp_socket("127.0.0.1"), connects = udp_socket("127.0.0.1");
	struct sockaddr_storage a;
	socklen_t len = make_addr(&a, "127.0.0.1", 9);

	need(sendto(sends, "x", 1, 0, (struct sockaddr *)&a, len) == 1, "sendto");
	note("sends", "%u", port_of(sends));
	connect_to(connects, "127.0.0.1", 9);
	note("connects", "%u", port_of(connects));
	sync_ledger();
	close(sends);
	close(connects);
}

static void client(void)
{
	int server = listener_at("127.0.0.1", 5205), fd = tcp_socket("127.0.0.1");

	connect_to(fd, "127.0.0.1", 5205);
	reset_on_close(fd);
	close(fd);
	close(accept_one(server));
	close(server);
}

/* T8: bind returns 0 and holds nothing; the port comes with connect. */
static void no_port_yet(void)
{
	int server = listener_at("127.0.0.1", 5206), fd = tcp_socket("127.0.0.1");

	set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
	bind_to(fd, "127.0.0.1", 0);
	need(port_of(fd) == 0, "no port after bind");
	sync_ledger();
	connect_to(fd, "127.0.0.1", 5206);
	reset_on_close(fd);
	close(fd);
	close(accept_one(server));
	close(server);
}

static void bound_then_connected(void)
{
	int server = listener_at("127.0.0.1", 5207), fd = tcp_at("127.0.0.1", 5208);

	connect_to(fd, "127.0.0.1", 5207);
	sync_ledger();
	reset_on_close(fd);
	close(fd);
	close(accept_one(server));
	close(server);
}

static void told_on_request(void)
{
	int tcp = tcp_at("127.0.0.1", 0), udp = udp_at("127.0.0.1", 0);

	note("tcp", "%u", port_of(tcp));
	note("udp", "%u", port_of(udp));
	sync_ledger();
	close(tcp);
	close(udp);
}

/* clang-format off */
const struct situation port0_situations[] = {
	{ "port 0 is not told by default", NULL, hidden, { NULL } },
	{ "port 0, tcp: told at its listen", NULL, tcp_listens,
	  { "listen tcp 127.0.0.1:@port backlog=5",
	    "release tcp 127.0.0.1:@port free=true" } },
	{ "listen without bind: the real port", NULL, listen_alone,
	  { "listen tcp 0.0.0.0:@port backlog=5",
	    "release tcp 0.0.0.0:@port free=true" } },
	{ "a clash with a hidden port names its owner", NULL, in_the_way,
	  { "bind!EADDRINUSE tcp 127.0.0.1:@tcp kind=bound hpid=@self hcomm=@comm",
	    "bind!EADDRINUSE udp 127.0.0.1:@udp kind=listener|bound hpid=@self hcomm=@comm" } },
	{ "udp: a port taken by sendto or connect is not told", NULL, taken_without_bind, { NULL } },
	{ "tcp: a client's port is not told", NULL, client,
	  { "bind tcp 127.0.0.1:5205",
	    "listen tcp 127.0.0.1:5205",
	    "release tcp 127.0.0.1:5205 free=true" } },
	{ "IP_BIND_ADDRESS_NO_PORT: nothing is held", NULL, no_port_yet,
	  { "bind tcp 127.0.0.1:5206",
	    "listen tcp 127.0.0.1:5206",
	    "release tcp 127.0.0.1:5206 free=true" } },
	{ "a bound port used to connect from", NULL, bound_then_connected,
	  { "bind tcp 127.0.0.1:5207",
	    "listen tcp 127.0.0.1:5207",
	    "bind tcp 127.0.0.1:5208",
	    "release tcp 127.0.0.1:5208 free=true",
	    "release tcp 127.0.0.1:5207 free=true" } },
	{ "--ephemeral: port 0 is told", NULL, told_on_request,
	  { "bind tcp 127.0.0.1:@tcp requested_port=0",
	    "bind udp 127.0.0.1:@udp requested_port=0",
	    "release tcp 127.0.0.1:@tcp free=true",
	    "release udp 127.0.0.1:@udp free=true" },
	  .options = "--ephemeral" },
	{ "--autobind: udp, a port taken by sendto or connect is told", NULL, taken_without_bind,
	  { "autobind udp 0.0.0.0:@sends #s",
	    "autobind udp *:@connects #c",
	    "release udp *:@sends #s free=true",
	    "release udp *:@connects #c free=true" },
	  .options = "--autobind" },
};
/* clang-format on */
TABLE_SIZE(port0);
