/* SPDX-License-Identifier: GPL-2.0-only */
/* When is a port free? Not always when its socket is gone (T4). */
#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>

#include "live/actor/play.h"

#define N_LINGERING 1500

/* A connection to @server: *ret_client connected, and the accepted end returned. */
static int connection(int server, unsigned port, int *ret_client)
{
	*ret_client = tcp_socket("127.0.0.1");
	connect_to(*ret_client, "127.0.0.1", port);
	return accept_one(server);
}

static void child_lives_on(void)
{
	int server = listener_at("127.0.0.1", 5301), client, child = connection(server, 5301, &client);

	close(server);
	sync_ledger();
	reset_on_close(child);
	close(child);
	await_event("free");
	close(client);
	close(listener_at("127.0.0.1", 5301));
}

static void two_children(void)
{
	int server = listener_at("0.0.0.0", 5302), clients[2], children[2];

	for (int i = 0; i < 2; i++)
		children[i] = connection(server, 5302, &clients[i]);
	close(server);
	for (int i = 0; i < 2; i++) {
		reset_on_close(children[i]);
		close(children[i]);
		close(clients[i]);
	}
	await_event("free");
}

/* The side that closes first keeps the port for a minute. */
static void leave_time_wait(unsigned port)
{
	int server = tcp_socket("127.0.0.1"), client, child;

	set_option(server, SOL_SOCKET, SO_REUSEADDR, 1);
	bind_to(server, "127.0.0.1", port);
	listen_on(server, 5);
	child = connection(server, port, &client);
	close(child);
	close(client);
	close(server);
}

static void time_wait(void)
{
	leave_time_wait(5303);
	sync_ledger();
}

static void time_wait_ends(void)
{
	leave_time_wait(5304);
	for (int i = 0; i < 5; i++) {
		sync_ledger(); /* keeps reading */
		sleep(10);
	}
	await_event("free");
	close(tcp_at("127.0.0.1", 5304));
}

static void time_wait_taken_over(void)
{
	int fd = tcp_socket("127.0.0.1");

	leave_time_wait(5305);
	set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	bind_to(fd, "127.0.0.1", 5305);
	listen_on(fd, 5);
	sync_ledger();
	close(fd);
}

static void shut_down(void)
{
	int server = listener_at("127.0.0.1", 5306);

	need(!shutdown(server, SHUT_RDWR), "shutdown");
	sync_ledger();
	bind_fails(tcp_socket("127.0.0.1"), "127.0.0.1", 5306, EADDRINUSE);
	listen_on(server, 6);
	sync_ledger();
	close(server);
}

/* T9: a port that nobody asked for by number goes when the listener is shut down. */
static void shut_down_autobound(void)
{
	int server = tcp_socket("127.0.0.1");

	listen_on(server, 5);
	note("port", "%u", port_of(server));
	need(!shutdown(server, SHUT_RDWR), "shutdown");
	sync_ledger();
	close(server);
}

static void shut_down_port0(void)
{
	int server = tcp_at("127.0.0.1", 0);

	listen_on(server, 5);
	note("port", "%u", port_of(server));
	need(!shutdown(server, SHUT_RDWR), "shutdown");
	sync_ledger();
	close(server);
}

/* The last of a group frees the port, no other does. */
static void group_leaves(void)
{
	int fds[3];

	for (int i = 0; i < 3; i++) {
		fds[i] = tcp_socket("127.0.0.1");
		set_option(fds[i], SOL_SOCKET, SO_REUSEPORT, 1);
		bind_to(fds[i], "127.0.0.1", 5309);
		listen_on(fds[i], 5);
	}
	sync_ledger();
	for (int i = 0; i < 3; i++)
		close(fds[i]);
}

static void udp_group_leaves(void)
{
	int fds[2];

	for (int i = 0; i < 2; i++) {
		fds[i] = udp_socket("127.0.0.1");
		set_option(fds[i], SOL_SOCKET, SO_REUSEPORT, 1);
		bind_to(fds[i], "127.0.0.1", 5310);
	}
	close(fds[0]);
	sync_ledger();
	close(fds[1]);
}

/* A connection still in the queue of the listener dies with it. */
static void not_accepted(void)
{
	int server = listener_at("127.0.0.1", 5311), client = tcp_socket("127.0.0.1");

	connect_to(client, "127.0.0.1", 5311);
	close(server);
	close(client);
	close(listener_at("127.0.0.1", 5311));
}

/* Each port has two sockets: the end of the first leaves it busy, that of the second makes it free. */
static void many_linger(void)
{
	static int fds[2][N_LINGERING];
	struct rlimit files = { 4096, 4096 };

	need(!setrlimit(RLIMIT_NOFILE, &files), "setrlimit");
	for (unsigned i = 0; i < 2 * N_LINGERING; i++) {
		int *fd = &fds[i / N_LINGERING][i % N_LINGERING];

		*fd = udp_socket("127.0.0.1");
		set_option(*fd, SOL_SOCKET, SO_REUSEPORT, 1);
		bind_to(*fd, "127.0.0.1", 7000 + i % N_LINGERING);
	}
	for (unsigned i = 0; i < 2 * N_LINGERING; i++)
		close(fds[i / N_LINGERING][i % N_LINGERING]);
}

/* clang-format off */
const struct situation release_situations[] = {
	{ "a listener's child keeps the port, then frees it", NULL, child_lives_on,
	  { "bind tcp 127.0.0.1:5301 #a",
	    "listen tcp 127.0.0.1:5301 #a",
	    "release tcp 127.0.0.1:5301 #a free=false",
	    "free tcp 127.0.0.1:5301 #a +lingered_us",
	    "bind tcp 127.0.0.1:5301 #b",
	    "listen tcp 127.0.0.1:5301 #b",
	    "release tcp 127.0.0.1:5301 #b free=true" } },
	{ "two children: the last one frees the port", NULL, two_children,
	  { "bind tcp 0.0.0.0:5302",
	    "listen tcp 0.0.0.0:5302",
	    "release tcp 0.0.0.0:5302 free=false",
	    "free tcp 0.0.0.0:5302 +lingered_us" } },
	{ "TIME_WAIT keeps the port", NULL, time_wait,
	  { "bind tcp 127.0.0.1:5303",
	    "listen tcp 127.0.0.1:5303",
	    "release tcp 127.0.0.1:5303 free=false" } },
	{ "TIME_WAIT ends: the port is free", NULL, time_wait_ends,
	  { "bind tcp 127.0.0.1:5304 #a",
	    "listen tcp 127.0.0.1:5304 #a",
	    "release tcp 127.0.0.1:5304 #a free=false",
	    "free tcp 127.0.0.1:5304 #a +lingered_us",
	    "bind tcp 127.0.0.1:5304 #b",
	    "release tcp 127.0.0.1:5304 #b free=true" },
	  .flags = SLOW },
	{ "TIME_WAIT under a new owner", NULL, time_wait_taken_over,
	  { "bind tcp 127.0.0.1:5305 #a",
	    "listen tcp 127.0.0.1:5305 #a",
	    "release tcp 127.0.0.1:5305 #a free=false",
	    "bind tcp 127.0.0.1:5305 #b reuseaddr=true",
	    "listen tcp 127.0.0.1:5305 #b",
	    "release tcp 127.0.0.1:5305 #b free=false" } },
	{ "shutdown of a listener: bound as before, may listen again", NULL, shut_down,
	  { "bind tcp 127.0.0.1:5306",
	    "listen tcp 127.0.0.1:5306 backlog=5",
	    "bind!EADDRINUSE tcp 127.0.0.1:5306 code=shutdown kind=shutdown hpid=@self",
	    "listen tcp 127.0.0.1:5306 backlog=6",
	    "release tcp 127.0.0.1:5306 free=true" },
	  .flags = STOPS_LISTENING },
	{ "shutdown of a listener that never bound: released", NULL, shut_down_autobound,
	  { "listen tcp 0.0.0.0:@port",
	    "release tcp 0.0.0.0:@port free=true" } },
	{ "shutdown of a listener on port 0: released", NULL, shut_down_port0,
	  { "listen tcp 127.0.0.1:@port #a",
	    "release tcp *:@port #a free=true" } },
	{ "tcp: the last of a group frees the port", NULL, group_leaves,
	  { "bind tcp 127.0.0.1:5309 #a reuseport=true",
	    "listen tcp 127.0.0.1:5309 #a",
	    "bind tcp 127.0.0.1:5309 #b reuseport=true",
	    "listen tcp 127.0.0.1:5309 #b",
	    "bind tcp 127.0.0.1:5309 #c reuseport=true",
	    "listen tcp 127.0.0.1:5309 #c",
	    "release tcp 127.0.0.1:5309 #a free=false",
	    "release tcp 127.0.0.1:5309 #b free=false",
	    "release tcp 127.0.0.1:5309 #c free=true",
	    "free tcp 127.0.0.1:5309 #b" } },
	{ "udp: the last of a group frees the port", NULL, udp_group_leaves,
	  { "bind udp 127.0.0.1:5310 #a reuseport=true",
	    "bind udp 127.0.0.1:5310 #b reuseport=true",
	    "release udp 127.0.0.1:5310 #a free=false",
	    "release udp 127.0.0.1:5310 #b free=true",
	    "free udp 127.0.0.1:5310 #a" } },
	{ "a connection that nobody accepted dies with its listener", NULL, not_accepted,
	  { "bind tcp 127.0.0.1:5311 #a",
	    "listen tcp 127.0.0.1:5311 #a",
	    "release tcp 127.0.0.1:5311 #a +free",
	    "bind tcp 127.0.0.1:5311 #b",
	    "listen tcp 127.0.0.1:5311 #b",
	    "release tcp 127.0.0.1:5311 #b free=true" } },
	{ "1,500 ports linger at once: each is told free", NULL, many_linger,
	  { "bind udp 127.0.0.1:* #b *3000",
	    "release udp 127.0.0.1:* #r free=false *1500",
	    "release udp 127.0.0.1:* #s free=true *1500",
	    "free udp 127.0.0.1:* #f *1500" },
	  .flags = ANY_ORDER },
};
/* clang-format on */
TABLE_SIZE(release);
