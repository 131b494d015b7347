/* SPDX-License-Identifier: GPL-2.0-only */
/* Who is in the way (T5, T7): every kind of holder that a program of one namespace can make. */
#include <errno.h>
#include <unistd.h>

#include "live/actor/play.h"

static void clash(const char *addr, unsigned port)
{
	int fd = tcp_socket(addr);

	bind_fails(fd, addr, port, EADDRINUSE);
	close(fd);
}

static void bound(void)
{
	int holder = tcp_at("127.0.0.1", 5401);

	clash("127.0.0.1", 5401);
	close(holder);
}

static void wildcard_over_specific(void)
{
	int holder = listener_at("127.0.0.1", 5402);

	clash("0.0.0.0", 5402);
	close(listener_at("127.0.0.2", 5402));
	close(holder);
}

static void accepted(void)
{
	int server = listener_at("127.0.0.1", 5403), client = tcp_socket("127.0.0.1"), child;

	connect_to(client, "127.0.0.1", 5403);
	child = accept_one(server);
	close(server);
	clash("127.0.0.1", 5403);
	reset_on_close(child);
	close(child);
	await_event("free");
	close(client);
}

static void time_wait(void)
{
	int server = listener_at("127.0.0.1", 5404), client = tcp_socket("127.0.0.1"), child;

	connect_to(client, "127.0.0.1", 5404);
	child = accept_one(server);
	close(child);
	close(client);
	close(server);
	clash("127.0.0.1", 5404);
}

/* A connection that took this port by itself: SO_REUSEADDR does not help against it. */
static void client(void)
{
	int server = listener_at("127.0.0.1", 5405), fd = tcp_socket("127.0.0.1"), other;

	connect_to(fd, "127.0.0.1", 5405);
	note("port", "%u", port_of(fd));
	other = tcp_socket("127.0.0.1");
	set_option(other, SOL_SOCKET, SO_REUSEADDR, 1);
	bind_fails(other, "127.0.0.1", port_of(fd), EADDRINUSE);
	reset_on_close(fd);
	close(fd);
	close(accept_one(server));
	close(server);
}

static void reuseport_group(void)
{
	int a = tcp_socket("127.0.0.1"), b = tcp_socket("127.0.0.1");

	set_option(a, SOL_SOCKET, SO_REUSEPORT, 1);
	set_option(b, SOL_SOCKET, SO_REUSEPORT, 1);
	bind_to(a, "127.0.0.1", 5406);
	listen_on(a, 5);
	bind_to(b, "127.0.0.1", 5406);
	listen_on(b, 5);
	clash("127.0.0.1", 5406);
	close(b);
	close(a);
}

static void reuseport_of_another(void *arg)
{
	int fd;

	(void)arg;
	become_user(1234);
	fd = tcp_socket("127.0.0.1");
	set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	bind_fails(fd, "127.0.0.1", 5407, EADDRINUSE);
	close(fd);
}

static void reuseport_other_user(void)
{
	int fd = tcp_socket("127.0.0.1");
	pid_t other;

	set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	bind_to(fd, "127.0.0.1", 5407);
	listen_on(fd, 5);
	other = start_child(reuseport_of_another, NULL);
	note("other", "%d", other);
	end_child(other);
	close(fd);
}

static void dual_stack(void)
{
	int holder = listener_at("::", 5408);

	clash("0.0.0.0", 5408);
	clash("127.0.0.1", 5408);
	close(holder);
}

static void dual_stack_reversed(void)
{
	int holder = listener_at("0.0.0.0", 5409);

	clash("::", 5409);
	close(holder);
}

static void v6only(void)
{
	int v6 = tcp_socket("::"), v4;

	set_option(v6, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	bind_to(v6, "::", 5410);
	listen_on(v6, 5);
	v4 = listener_at("0.0.0.0", 5410);
	sync_ledger();
	clash("0.0.0.0", 5410);
	close(v4);
	close(v6);
}

static void reuseaddr_against_listener(void)
{
	int holder = tcp_socket("127.0.0.1"), fd = tcp_socket("127.0.0.1");

	set_option(holder, SOL_SOCKET, SO_REUSEADDR, 1);
	set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	bind_to(holder, "127.0.0.1", 5411);
	listen_on(holder, 5);
	bind_fails(fd, "127.0.0.1", 5411, EADDRINUSE);
	close(fd);
	close(holder);
}

static void udp_dual_stack(void)
{
	int holder = udp_at("::", 5412), fd = udp_socket("127.0.0.1");

	bind_fails(fd, "127.0.0.1", 5412, EADDRINUSE);
	close(fd);
	close(holder);
}

static void udp_connected(void)
{
	int holder = udp_at("127.0.0.1", 5413), fd = udp_socket("127.0.0.1");

	connect_to(holder, "127.0.0.1", 9);
	bind_fails(fd, "0.0.0.0", 5413, EADDRINUSE);
	close(fd);
	close(holder);
}

/* More in the way than one: all are named, the kernel's own stumbling block or the best first. */
static void several(void)
{
	int a = listener_at("127.0.0.1", 5414), b = listener_at("127.0.0.2", 5414),
	    c = listener_at("127.0.0.3", 5414);

	clash("0.0.0.0", 5414);
	close(a);
	close(b);
	close(c);
}

static void to_device(void)
{
	int a = tcp_socket("127.0.0.1"), b;

	need(!setsockopt(a, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3), "SO_BINDTODEVICE");
	bind_to(a, "0.0.0.0", 5415);
	listen_on(a, 5);
	clash("127.0.0.1", 5415);
	b = tcp_socket("127.0.0.1");
	close(b);
	close(a);
}

/* clang-format off */
const struct situation holders_situations[] = {
	{ "holder: bound and not listening", NULL, bound,
	  { "bind tcp 127.0.0.1:5401",
	    "bind!EADDRINUSE tcp 127.0.0.1:5401 code=bound kind=bound hpid=@self",
	    "release tcp 127.0.0.1:5401 free=true" } },
	{ "holder: a wildcard against an address; another address does not clash", NULL, wildcard_over_specific,
	  { "bind tcp 127.0.0.1:5402",
	    "listen tcp 127.0.0.1:5402",
	    "bind!EADDRINUSE tcp 0.0.0.0:5402 kind=listener haddr=127.0.0.1 hpid=@self",
	    "bind tcp 127.0.0.2:5402",
	    "listen tcp 127.0.0.2:5402",
	    "release tcp 127.0.0.2:5402 free=false",
	    "release tcp 127.0.0.1:5402 free=true",
	    "free tcp 127.0.0.2:5402" } },
	{ "holder: an accepted connection of a listener that is gone", NULL, accepted,
	  { "bind tcp 127.0.0.1:5403",
	    "listen tcp 127.0.0.1:5403",
	    "release tcp 127.0.0.1:5403 free=false",
	    "bind!EADDRINUSE tcp 127.0.0.1:5403 code=accepted kind=accepted hpid=@self",
	    "free tcp 127.0.0.1:5403" } },
	{ "holder: TIME_WAIT, with its last owner", NULL, time_wait,
	  { "bind tcp 127.0.0.1:5404",
	    "listen tcp 127.0.0.1:5404",
	    "release tcp 127.0.0.1:5404 free=false",
	    "bind!EADDRINUSE tcp 127.0.0.1:5404 code=time-wait kind=time-wait hpid=@self hcomm=@comm "
	      "holder.last_owner=true" } },
	{ "holder: a client's connection", NULL, client,
	  { "bind tcp 127.0.0.1:5405",
	    "listen tcp 127.0.0.1:5405",
	    "bind!EADDRINUSE tcp 127.0.0.1:@port code=client kind=client hpid=@self|-",
	    "release tcp 127.0.0.1:5405 free=true" } },
	{ "holder: a group with SO_REUSEPORT, against one without", NULL, reuseport_group,
	  { "bind tcp 127.0.0.1:5406 #a reuseport=true",
	    "listen tcp 127.0.0.1:5406 #a",
	    "bind tcp 127.0.0.1:5406 #b reuseport=true",
	    "listen tcp 127.0.0.1:5406 #b",
	    "bind!EADDRINUSE tcp 127.0.0.1:5406 kind=listener hpid=@self holder.reuseport=true "
	      "holders.0.pid=@self holders.1.pid=@self -holders.2",
	    "release tcp 127.0.0.1:5406 #b free=false",
	    "release tcp 127.0.0.1:5406 #a free=true",
	    "free tcp 127.0.0.1:5406 #b" } },
	{ "holder: a SO_REUSEPORT group of another user", NULL, reuseport_other_user,
	  { "bind tcp 127.0.0.1:5407 reuseport=true",
	    "listen tcp 127.0.0.1:5407",
	    "bind!EADDRINUSE tcp 127.0.0.1:5407 pid=@other uid=1234 reuseport=true kind=listener hpid=@self "
	      "huid=0 holder.modifiers.0=reuseport-uid",
	    "release tcp 127.0.0.1:5407 free=true" } },
	{ "holder: [::] covers IPv4 too", no_ipv6, dual_stack,
	  { "bind tcp [::]:5408 v6only=false",
	    "listen tcp [::]:5408",
	    "bind!EADDRINUSE tcp 0.0.0.0:5408 kind=listener haddr=:: hpid=@self holder.modifiers.0=dual-stack",
	    "bind!EADDRINUSE tcp 127.0.0.1:5408 kind=listener haddr=:: hpid=@self holder.modifiers.0=dual-stack",
	    "release tcp [::]:5408 free=true" } },
	{ "holder: 0.0.0.0 against [::]", no_ipv6, dual_stack_reversed,
	  { "bind tcp 0.0.0.0:5409",
	    "listen tcp 0.0.0.0:5409",
	    "bind!EADDRINUSE tcp [::]:5409 kind=listener haddr=0.0.0.0 hpid=@self holder.modifiers.0=dual-stack",
	    "release tcp 0.0.0.0:5409 free=true" } },
	{ "IPV6_V6ONLY: both bind, and only one is in the way", no_ipv6, v6only,
	  { "bind tcp [::]:5410 v6only=true",
	    "listen tcp [::]:5410",
	    "bind tcp 0.0.0.0:5410",
	    "listen tcp 0.0.0.0:5410",
	    "bind!EADDRINUSE tcp 0.0.0.0:5410 kind=listener haddr=0.0.0.0 -holders",
	    "release tcp 0.0.0.0:5410 free=false",
	    "release tcp [::]:5410 free=true",
	    "free tcp 0.0.0.0:5410" } },
	{ "holder: a listener, though both have SO_REUSEADDR", NULL, reuseaddr_against_listener,
	  { "bind tcp 127.0.0.1:5411 reuseaddr=true",
	    "listen tcp 127.0.0.1:5411",
	    "bind!EADDRINUSE tcp 127.0.0.1:5411 reuseaddr=true kind=listener holder.reuseaddr=true",
	    "release tcp 127.0.0.1:5411 free=true" } },
	{ "holder: udp, [::] covers IPv4 too", no_ipv6, udp_dual_stack,
	  { "bind udp [::]:5412",
	    "bind!EADDRINUSE udp 127.0.0.1:5412 kind=listener haddr=:: hpid=@self holder.modifiers.0=dual-stack",
	    "release udp [::]:5412 free=true" } },
	{ "holder: udp, connected", NULL, udp_connected,
	  { "bind udp 127.0.0.1:5413",
	    "bind!EADDRINUSE udp 0.0.0.0:5413 kind=listener|client|bound hpid=@self",
	    "release udp 127.0.0.1:5413 free=true" } },
	{ "holder: three of them", NULL, several,
	  { "bind tcp 127.0.0.1:5414",
	    "listen tcp 127.0.0.1:5414",
	    "bind tcp 127.0.0.2:5414",
	    "listen tcp 127.0.0.2:5414",
	    "bind tcp 127.0.0.3:5414",
	    "listen tcp 127.0.0.3:5414",
	    "bind!EADDRINUSE tcp 0.0.0.0:5414 kind=listener hpid=@self holders.2.kind=listener -holders.3",
	    "release tcp 127.0.0.1:5414 free=false",
	    "release tcp 127.0.0.2:5414 free=false",
	    "release tcp 127.0.0.3:5414 free=true",
	    "free tcp 127.0.0.2:5414" } },
	{ "holder: bound to a device, against no device", NULL, to_device,
	  { "bind tcp 0.0.0.0:5415 iface=lo",
	    "listen tcp 0.0.0.0:5415 iface=lo",
	    "bind!EADDRINUSE tcp 127.0.0.1:5415 -iface kind=listener hpid=@self",
	    "release tcp 0.0.0.0:5415 free=true" } },
};
/* clang-format on */
TABLE_SIZE(holders);
