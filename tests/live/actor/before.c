/* SPDX-License-Identifier: GPL-2.0-only */
/* Sockets that were there before portlog was (T17): told once, known from then on. */
#include <errno.h>
#include <unistd.h>

#include "live/actor/play.h"

static void kinds(void)
{
	int listener = listener_at("127.0.0.1", 6401), bound = tcp_at("127.0.0.1", 6402),
	    udp = udp_at("127.0.0.1", 6403);

	note_cookie("cookie", listener);
	start_tracer();
	sync_ledger();
	close(listener);
	close(bound);
	close(udp);
}

static void kinds6(void)
{
	int listener = listener_at("::", 6404), bound = tcp_at("::1", 6405), udp = udp_at("::1", 6406);

	start_tracer();
	sync_ledger();
	close(listener);
	close(bound);
	close(udp);
}

static void clashes(void)
{
	int listener = listener_at("127.0.0.1", 6407), udp = udp_at("127.0.0.1", 6408),
	    fd = tcp_socket("127.0.0.1");

	start_tracer();
	bind_fails(fd, "127.0.0.1", 6407, EADDRINUSE);
	bind_fails(udp_socket("127.0.0.1"), "127.0.0.1", 6408, EADDRINUSE);
	close(udp);
	close(listener);
	sync_ledger(); /* whoever looks through descriptors may have held it a moment longer */
	bind_to(fd, "127.0.0.1", 6407);
	close(fd);
}

/* Bound before, listens after. */
static void listens_later(void)
{
	int fd = tcp_at("127.0.0.1", 6409);

	start_tracer();
	listen_on(fd, 5);
	sync_ledger();
	close(fd);
}

static void waits(void *arg)
{
	char byte;

	need(read(*(int *)arg, &byte, 1) == 1, "read from a pipe");
}

/* Two processes have it open: both are owners. */
static void two_owners(void)
{
	int fd = listener_at("127.0.0.1", 6410), go[2];
	pid_t child;

	need(!pipe(go), "pipe");
	child = start_child(waits, &go[0]);
	note("child", "%d", child);
	start_tracer();
	need(write(go[1], "x", 1) == 1, "write to a pipe");
	end_child(child);
	close(fd);
}

static void time_wait(void)
{
	int server = listener_at("127.0.0.1", 6411), client = tcp_socket("127.0.0.1"),
	    fd = tcp_socket("127.0.0.1"), child;

	connect_to(client, "127.0.0.1", 6411);
	child = accept_one(server);
	close(child);
	close(client);
	close(server);
	start_tracer();
	bind_fails(fd, "127.0.0.1", 6411, EADDRINUSE);
	close(fd);
}

static void group(void)
{
	int a = tcp_socket("127.0.0.1"), b = tcp_socket("127.0.0.1");

	set_option(a, SOL_SOCKET, SO_REUSEPORT, 1);
	set_option(b, SOL_SOCKET, SO_REUSEPORT, 1);
	bind_to(a, "127.0.0.1", 6412);
	bind_to(b, "127.0.0.1", 6412);
	listen_on(a, 5);
	listen_on(b, 5);
	start_tracer();
	sync_ledger();
	close(a);
	close(b);
}

static void nothing(void)
{
	start_tracer();
}

/* clang-format off */
const struct situation before_situations[] = {
	{ "nothing was there before", NULL, nothing, { NULL },
	  .flags = STARTS_TRACER },
	{ "there before: listener, bound, udp; then closed", NULL, kinds,
	  { "snapshot tcp 127.0.0.1:6401 cookie=@cookie|- comm=@comm exe=@exe uid=0 +since_precision",
	    "snapshot tcp 127.0.0.1:6402 comm=@comm exe=@exe",
	    "snapshot udp 127.0.0.1:6403 comm=@comm exe=@exe",
	    "release tcp 127.0.0.1:6401 free=true",
	    "release tcp 127.0.0.1:6402 free=true",
	    "release udp 127.0.0.1:6403 free=true" },
	  .flags = STARTS_TRACER | ANY_ORDER },
	{ "there before, over IPv6", no_ipv6, kinds6,
	  { "snapshot tcp [::]:6404",
	    "snapshot tcp [::1]:6405",
	    "snapshot udp [::1]:6406",
	    "release tcp [::]:6404 free=true",
	    "release tcp [::1]:6405 free=true",
	    "release udp [::1]:6406 free=true" },
	  .flags = STARTS_TRACER | ANY_ORDER },
	{ "there before, and in the way", NULL, clashes,
	  { "snapshot tcp 127.0.0.1:6407 #a",
	    "snapshot udp 127.0.0.1:6408",
	    "bind!EADDRINUSE tcp 127.0.0.1:6407 kind=listener hpid=@self hcomm=@comm "
	      "holder.since_precision=not-before|not-after|-",
	    "bind!EADDRINUSE udp 127.0.0.1:6408 kind=listener hpid=@self hcomm=@comm",
	    "release udp 127.0.0.1:6408 free=true",
	    "release tcp 127.0.0.1:6407 #a free=true",
	    "bind tcp 127.0.0.1:6407 #b",
	    "release tcp 127.0.0.1:6407 #b free=true" },
	  .flags = STARTS_TRACER | ANY_ORDER },
	{ "bound before, listens after", NULL, listens_later,
	  { "snapshot tcp 127.0.0.1:6409",
	    "listen tcp 127.0.0.1:6409 backlog=5",
	    "release tcp 127.0.0.1:6409 free=true" },
	  .flags = STARTS_TRACER },
	{ "there before, open in two processes", NULL, two_owners,
	  { "snapshot tcp 127.0.0.1:6410 pid=@self|@child owners_count=2 +owners.1 -owners.2",
	    "release tcp 127.0.0.1:6410 pid=@self|@child free=true" },
	  .flags = STARTS_TRACER },
	{ "TIME_WAIT from before: nobody to name", NULL, time_wait,
	  { "bind!EADDRINUSE tcp 127.0.0.1:6411 kind=time-wait code=time-wait -hpid" },
	  .flags = STARTS_TRACER },
	{ "a group from before", NULL, group,
	  { "snapshot tcp 127.0.0.1:6412 *2",
	    "release tcp 127.0.0.1:6412 free=false *1",
	    "release tcp 127.0.0.1:6412 free=true *1",
	    "free tcp 127.0.0.1:6412 *1" },
	  .flags = STARTS_TRACER },
};
/* clang-format on */
TABLE_SIZE(before);
