/* SPDX-License-Identifier: GPL-2.0-only */
/* connect(AF_UNSPEC): a release without close, or not (T10). */
#include <errno.h>
#include <unistd.h>

#include "live/actor/play.h"

static void udp_bound(void)
{
	int fd = udp_at("127.0.0.1", 5701);

	connect_to(fd, "127.0.0.1", 9);
	disconnect(fd);
	sync_ledger();
	bind_fails(udp_socket("127.0.0.1"), "127.0.0.1", 5701, EADDRINUSE);
	close(fd);
}

/* The port went with the disconnect; what is closed later holds another one, or none. */
static void udp_autobound(void)
{
	int fd = udp_socket("127.0.0.1");

	connect_to(fd, "127.0.0.1", 9);
	disconnect(fd);
	need(port_of(fd) == 0, "no port after connect(AF_UNSPEC)");
	sync_ledger();
	bind_to(fd, "127.0.0.1", 5702);
	sync_ledger();
	close(fd);
}

static void udp_port0(void)
{
	int fd = udp_at("127.0.0.1", 0);

	connect_to(fd, "127.0.0.1", 9);
	disconnect(fd);
	need(port_of(fd) == 0, "no port after connect(AF_UNSPEC)");
	bind_to(fd, "127.0.0.1", 5703);
	sync_ledger();
	close(fd);
}

static void udp_failed_bind(void)
{
	int holder = udp_at("127.0.0.1", 5704), fd = udp_socket("127.0.0.1");

	bind_fails(fd, "127.0.0.1", 5704, EADDRINUSE);
	connect_to(fd, "127.0.0.1", 9);
	disconnect(fd);
	close(fd);
	close(holder);
}

static void listener(void)
{
	int fd = listener_at("127.0.0.1", 5705);

	disconnect(fd);
	sync_ledger();
	bind_fails(tcp_socket("127.0.0.1"), "127.0.0.1", 5705, EADDRINUSE);
	listen_on(fd, 4);
	close(fd);
}

static void told_autobound(void)
{
	int fd = udp_socket("127.0.0.1");

	connect_to(fd, "127.0.0.1", 9);
	note("port", "%u", port_of(fd));
	disconnect(fd);
	close(fd);
}

/* clang-format off */
const struct situation disconnect_situations[] = {
	{ "connect(AF_UNSPEC), udp bound by number: keeps its port", NULL, udp_bound,
	  { "bind udp 127.0.0.1:5701",
	    "bind!EADDRINUSE udp 127.0.0.1:5701 hpid=@self",
	    "release udp 127.0.0.1:5701 free=true" } },
	{ "connect(AF_UNSPEC), udp autobound: lets go, can be bound", NULL, udp_autobound,
	  { "bind udp 127.0.0.1:5702",
	    "release udp 127.0.0.1:5702 free=true" } },
	{ "connect(AF_UNSPEC), udp on port 0: lets go, can be bound", NULL, udp_port0,
	  { "bind udp 127.0.0.1:5703",
	    "release udp 127.0.0.1:5703 free=true" } },
	{ "connect(AF_UNSPEC) after a failed bind", NULL, udp_failed_bind,
	  { "bind udp 127.0.0.1:5704",
	    "bind!EADDRINUSE udp 127.0.0.1:5704",
	    "release udp 127.0.0.1:5704 free=true" } },
	{ "connect(AF_UNSPEC) on a listener: keeps its port", NULL, listener,
	  { "bind tcp 127.0.0.1:5705",
	    "listen tcp 127.0.0.1:5705 backlog=5",
	    "bind!EADDRINUSE tcp 127.0.0.1:5705 kind=shutdown hpid=@self",
	    "listen tcp 127.0.0.1:5705 backlog=4",
	    "release tcp 127.0.0.1:5705 free=true" },
	  .flags = STOPS_LISTENING },
	{ "--autobind: connect(AF_UNSPEC) lets go of a port taken by connect", NULL, told_autobound,
	  { "autobind udp *:@port",
	    "release udp *:@port" },
	  .options = "--autobind" },
};
/* clang-format on */
TABLE_SIZE(disconnect);
