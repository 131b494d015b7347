/* SPDX-License-Identifier: GPL-2.0-only */
/* Calls that fail (T1, T2): what was asked for is told, though the socket remembers nothing of it. */
#include <errno.h>
#include <unistd.h>

#include "live/actor/play.h"

static void tcp_in_use(void)
{
	int holder = listener_at("127.0.0.1", 5101), fd = tcp_socket("127.0.0.1");

	bind_fails(fd, "127.0.0.1", 5101, EADDRINUSE);
	close(fd);
	close(holder);
}

static void udp_in_use(void)
{
	int holder = udp_at("127.0.0.1", 5102), fd = udp_socket("127.0.0.1");

	bind_fails(fd, "127.0.0.1", 5102, EADDRINUSE);
	close(fd);
	sync_ledger();
	close(holder);
}

/* The same socket fails, then gets another port: no trace of the failure may stick to it. */
static void fails_then_works(void)
{
	int holder = tcp_at("127.0.0.1", 5103), fd = tcp_socket("127.0.0.1");

	bind_fails(fd, "127.0.0.1", 5103, EADDRINUSE);
	bind_to(fd, "127.0.0.1", 5104);
	sync_ledger();
	close(fd);
	close(holder);
}

static void no_such_address(void)
{
	int tcp = tcp_socket("10.99.99.99"), udp = udp_socket("10.99.99.99");

	bind_fails(tcp, "10.99.99.99", 5105, EADDRNOTAVAIL);
	bind_fails(udp, "10.99.99.99", 5106, EADDRNOTAVAIL);
	close(tcp);
	close(udp);
}

static void short_address(void)
{
	struct sockaddr_storage a;
	int fd = tcp_socket("127.0.0.1");

	make_addr(&a, "127.0.0.1", 5107);
	need(bind(fd, (struct sockaddr *)&a, 3) < 0 && errno == EINVAL, "a bind with 3 bytes of address");
	close(fd);
}

static void already_bound(void)
{
	int fd = tcp_at("127.0.0.1", 5108);

	bind_fails(fd, "127.0.0.1", 5109, EINVAL);
	sync_ledger();
	close(fd);
}

static void wrong_family(void)
{
	int fd = tcp_socket("127.0.0.1");

	bind_fails(fd, "::1", 5110, EAFNOSUPPORT);
	close(fd);
}

static void low_port(void)
{
	int fd = tcp_socket("127.0.0.1");

	become_user(65534);
	bind_fails(fd, "127.0.0.1", 81, EACCES);
	close(fd);
}

/* No socket, or no address that could be read: these are no attempts to take a port. */
static void no_attempts(void)
{
	struct sockaddr_storage a;
	socklen_t len = make_addr(&a, "127.0.0.1", 5111);
	int tcp = tcp_socket("127.0.0.1"), pipes[2], local = new_socket(AF_UNIX, SOCK_STREAM, 0);

	need(!pipe(pipes), "pipe");
	need(bind(999, (struct sockaddr *)&a, len) < 0 && errno == EBADF, "bind of no descriptor");
	need(bind(pipes[0], (struct sockaddr *)&a, len) < 0 && errno == ENOTSOCK, "bind of a pipe");
	need(bind(tcp, (struct sockaddr *)8, len) < 0 && errno == EFAULT, "bind with a bad pointer");
	need(bind(local, (struct sockaddr *)&a, len) < 0, "bind of a Unix socket to a port");
	need(listen(pipes[0], 1) < 0 && errno == ENOTSOCK, "listen on a pipe");
	need(listen(udp_socket("127.0.0.1"), 1) < 0 && errno == EOPNOTSUPP, "listen on udp");
}

/*
 * T2: both may bind; the port is decided again when the second one listens. The kernel announces TCP_LISTEN first and
 * takes it back.
 */
static void listen_fails_late(void)
{
	int a = tcp_socket("127.0.0.1"), b = tcp_socket("127.0.0.1");

	set_option(a, SOL_SOCKET, SO_REUSEADDR, 1);
	set_option(b, SOL_SOCKET, SO_REUSEADDR, 1);
	bind_to(a, "127.0.0.1", 5112);
	bind_to(b, "127.0.0.1", 5112);
	listen_on(a, 5);
	listen_fails(b, EADDRINUSE);
	sync_ledger();
	close(b);
	close(a);
}

/* Each failure is an event of its own, in JSON never folded. */
static void many_sockets_fail(void)
{
	int holder = listener_at("0.0.0.0", 5113);

	for (int i = 0; i < 20; i++) {
		int fd = tcp_socket("127.0.0.1");

		bind_fails(fd, "127.0.0.1", 5113, EADDRINUSE);
		close(fd);
	}
	close(holder);
}

/* To look for the holder must not keep his socket from being closed: else the next bind here would fail. */
static void clash_and_bind_again(void)
{
	for (int i = 0; i < 5; i++) {
		int holder = listener_at("127.0.0.1", 5118), fd = tcp_socket("127.0.0.1");

		bind_fails(fd, "127.0.0.1", 5118, EADDRINUSE);
		close(fd);
		close(holder);
	}
}

#define CLASH_ROUND                                                            \
	"bind tcp 127.0.0.1:5118", "listen tcp 127.0.0.1:5118",                \
		"bind!EADDRINUSE tcp 127.0.0.1:5118 kind=listener hpid=@self", \
		"release tcp 127.0.0.1:5118 free=true -closed_by"

static void connected(void)
{
	int server = listener_at("127.0.0.1", 5114), client = tcp_socket("127.0.0.1");

	connect_to(client, "127.0.0.1", 5114);
	bind_fails(client, "127.0.0.1", 5115, EINVAL);
	reset_on_close(client);
	close(server);
	close(client);
}

/* listen on a connected socket: the port stays what it was, and it is no listener. */
static void listen_connected(void)
{
	int server = listener_at("127.0.0.1", 5116), client = tcp_at("127.0.0.1", 5117);

	connect_to(client, "127.0.0.1", 5116);
	listen_fails(client, EINVAL);
	reset_on_close(client);
	close(client);
	close(accept_one(server));
	close(server);
}

/* clang-format off */
const struct situation errors_situations[] = {
	{ "EADDRINUSE, tcp: the listener is named", NULL, tcp_in_use,
	  { "bind tcp 127.0.0.1:5101",
	    "listen tcp 127.0.0.1:5101",
	    "bind!EADDRINUSE tcp 127.0.0.1:5101 code=listener kind=listener hpid=@self hcomm=@comm "
	      "haddr=127.0.0.1 hport=5101 holder.since_precision=exact +holder.since -holders",
	    "release tcp 127.0.0.1:5101 free=true" } },
	{ "EADDRINUSE, udp: the holder is named", NULL, udp_in_use,
	  { "bind udp 127.0.0.1:5102",
	    "bind!EADDRINUSE udp 127.0.0.1:5102 code=listener kind=listener hpid=@self hcomm=@comm hport=5102",
	    "release udp 127.0.0.1:5102 free=true" } },
	{ "EADDRINUSE, then another port on the same socket", NULL, fails_then_works,
	  { "bind tcp 127.0.0.1:5103",
	    "bind!EADDRINUSE tcp 127.0.0.1:5103 kind=bound hpid=@self",
	    "bind tcp 127.0.0.1:5104",
	    "release tcp 127.0.0.1:5104 free=true",
	    "release tcp 127.0.0.1:5103 free=true" } },
	{ "EADDRNOTAVAIL", NULL, no_such_address,
	  { "bind!EADDRNOTAVAIL tcp 10.99.99.99:5105 code=address-not-available -holder",
	    "bind!EADDRNOTAVAIL udp 10.99.99.99:5106 code=address-not-available -holder" } },
	{ "EINVAL: an address of 3 bytes", NULL, short_address,
	  { "bind!EINVAL tcp - code=invalid" } },
	{ "EINVAL: the socket has a port already", NULL, already_bound,
	  { "bind tcp 127.0.0.1:5108",
	    "bind!EINVAL tcp 127.0.0.1:5109 code=already-bound",
	    "release tcp 127.0.0.1:5108 free=true" } },
	{ "EAFNOSUPPORT: an IPv6 address on an IPv4 socket", NULL, wrong_family,
	  { "bind!EAFNOSUPPORT tcp *:5110 code=family family=ipv4" } },
	{ "EACCES: a low port as nobody", NULL, low_port,
	  { "bind!EACCES tcp 127.0.0.1:81 code=low-port uid=65534" } },
	{ "EBADF, ENOTSOCK, EFAULT: no attempts", NULL, no_attempts, { NULL } },
	{ "EADDRINUSE at listen", NULL, listen_fails_late,
	  { "bind tcp 127.0.0.1:5112 #a reuseaddr=true",
	    "bind tcp 127.0.0.1:5112 #b reuseaddr=true",
	    "listen tcp 127.0.0.1:5112 #a",
	    "listen!EADDRINUSE tcp 127.0.0.1:5112 #b code=listener kind=listener hpid=@self hport=5112",
	    "release tcp 127.0.0.1:5112 #b free=false",
	    "release tcp 127.0.0.1:5112 #a free=true",
	    "free tcp 127.0.0.1:5112 #b" } },
	{ "the same clash twenty times", NULL, many_sockets_fail,
	  { "bind tcp 0.0.0.0:5113",
	    "listen tcp 0.0.0.0:5113",
	    "bind!EADDRINUSE tcp 127.0.0.1:5113 kind=listener hpid=@self haddr=0.0.0.0 *20",
	    "release tcp 0.0.0.0:5113 free=true" } },
	{ "a clash, and the port is free at once when its holder closes", NULL, clash_and_bind_again,
	  { CLASH_ROUND, CLASH_ROUND, CLASH_ROUND, CLASH_ROUND, CLASH_ROUND } },
	{ "EINVAL: bind of a connected socket", NULL, connected,
	  { "bind tcp 127.0.0.1:5114",
	    "listen tcp 127.0.0.1:5114",
	    "bind!EINVAL tcp 127.0.0.1:5115 code=already-bound|invalid",
	    "release tcp 127.0.0.1:5114 free=true|false" } },
	{ "EINVAL: listen on a connected socket", NULL, listen_connected,
	  { "bind tcp 127.0.0.1:5116",
	    "listen tcp 127.0.0.1:5116",
	    "bind tcp 127.0.0.1:5117",
	    "listen!EINVAL tcp 127.0.0.1:5117",
	    "release tcp 127.0.0.1:5117",
	    "release tcp 127.0.0.1:5116" } },
};
/* clang-format on */
TABLE_SIZE(errors);
