/* SPDX-License-Identifier: GPL-2.0-only */
/* Ports of other network namespaces: their own, and told apart by the namespace's inode. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "live/actor/play.h"
#include "live/lib/net.h"

static void elsewhere(void *arg)
{
	int fd;

	(void)arg;
	need(!net_new_namespace(), "a network namespace");
	note("other", "%u", net_namespace_inode());
	fd = listener_at("127.0.0.1", 6301);
	close(udp_at("127.0.0.1", 6301));
	close(fd);
}

static void both(void)
{
	int fd = listener_at("127.0.0.1", 6301);
	pid_t child = start_child(elsewhere, NULL);

	note("child", "%d", child);
	end_child(child);
	close(fd);
}

/* The socket lives in the namespace it was made in, wherever its process goes. */
static void moved(void)
{
	int fd = tcp_socket("127.0.0.1");

	need(!net_new_namespace(), "a network namespace");
	bind_to(fd, "127.0.0.1", 6302);
	listen_on(fd, 5);
	close(fd);
}

/* What a low port is says the namespace of the socket, not that of the one who watches. */
static void low_here(void *arg)
{
	int sysctl, fd;

	(void)arg;
	need(!net_new_namespace(), "a network namespace");
	note("other", "%u", net_namespace_inode());
	sysctl = open("/proc/sys/net/ipv4/ip_unprivileged_port_start", O_WRONLY | O_CLOEXEC);
	need(sysctl >= 0 && write(sysctl, "6400", 4) == 4, "ip_unprivileged_port_start");
	fd = tcp_socket("127.0.0.1");
	become_user(65534);
	bind_fails(fd, "127.0.0.1", 6303, EACCES);
	await_event("bind");
}

static void low_elsewhere(void)
{
	pid_t child = start_child(low_here, NULL);

	note("child", "%d", child);
	end_child(child);
}

/* clang-format off */
const struct situation namespaces_situations[] = {
	{ "another namespace, filtered out", NULL, both,
	  { "bind tcp 127.0.0.1:6301",
	    "listen tcp 127.0.0.1:6301",
	    "release tcp 127.0.0.1:6301 free=true" } },
	{ "a process that has left its socket's namespace", NULL, moved,
	  { "bind tcp 127.0.0.1:6302",
	    "listen tcp 127.0.0.1:6302",
	    "release tcp 127.0.0.1:6302 free=true" } },
	{ "EACCES: a low port by the namespace's own sysctl", NULL, low_elsewhere,
	  { "bind!EACCES tcp 127.0.0.1:6303 netns=@other pid=@child code=low-port uid=65534" },
	  .flags = UNFILTERED },
	{ "no filter: each namespace's ports are its own", NULL, both,
	  { "bind tcp 127.0.0.1:6301 #ours",
	    "listen tcp 127.0.0.1:6301 #ours",
	    "bind tcp 127.0.0.1:6301 #other netns=@other pid=@child",
	    "listen tcp 127.0.0.1:6301 #other netns=@other pid=@child",
	    "bind udp 127.0.0.1:6301 netns=@other pid=@child",
	    "release udp 127.0.0.1:6301 netns=@other pid=@child free=true",
	    "release tcp 127.0.0.1:6301 #other netns=@other pid=@child free=true",
	    "release tcp 127.0.0.1:6301 #ours free=true" },
	  .flags = UNFILTERED },
};
/* clang-format on */
TABLE_SIZE(namespaces);
