/* SPDX-License-Identifier: GPL-2.0-only */
/* The stories that golden files are rendered from. */
#include "support/scenes.h"

#include <errno.h>
#include <string.h>

void show(struct stage *s, const struct view *v)
{
	int r = s->sink->write(s->state, v);

	if (!s->error)
		s->error = r;
}

void wait_until(struct stage *s, int64_t ms)
{
	uint64_t next = 0;
	int r = s->sink->tick(s->state, (uint64_t)((int64_t)VIEWS_BASE_NS + ms * 1000000), &next);

	if (!s->error)
		s->error = r;
}

static void show_nginx_and_a_clash(struct stage *s)
{
	show(s, bind_ok(.at_ms = 556, .port = 80, .pid = 53, .comm = "nginx", .exe = "/usr/sbin/nginx",
			.args = { "nginx", "-g", "daemon off;" }, .unit = "nginx.service", .service = "http",
			.cookie = 40, .inode = 223049, .cgroup_id = 347, .options = OPT_REUSEADDR, .via = 1,
			.seq = 3));
	show(s, listen_ok(.at_ms = 557, .port = 80, .pid = 53, .comm = "nginx", .exe = "/usr/sbin/nginx",
			  .args = { "nginx", "-g", "daemon off;" }, .unit = "nginx.service",
			  .service = "http", .cookie = 40, .inode = 223049, .cgroup_id = 347,
			  .options = OPT_REUSEADDR, .via = 1, .backlog = 511, .socket_id = 3));
	show(s, bind_failed(.at_ms = 601, .at_ns = 123456, .error = EADDRINUSE, .port = 80, .pid = 61,
			    .exe = "/usr/bin/python3.11", .args = { "python3", "/srv/early.py" },
			    .unit = "early-http.service", .service = "http", .cookie = 41, .inode = 223050,
			    .cgroup_id = 348, .options = OPT_REUSEADDR, .via = 1, .code = "listener",
			    .why = "held by nginx[53] (nginx.service), listening for 45 ms",
			    .hint = "systemctl stop nginx, or another port",
			    .holders = { { .kind = HOLDER_LISTENER,
					   .pid = 53,
					   .comm = "nginx",
					   .exe = "/usr/sbin/nginx",
					   .unit = "nginx.service",
					   .since_ms = 556,
					   .options = OPT_REUSEADDR } }));
}

static void show_the_end_of_a_server(struct stage *s)
{
	show(s, release_of(.at_ms = 3004, .addr = "::", .port = 8080, .pid = 812, .uid = 33,
			   .user_name = "www-data", .comm = "java", .exe = "/usr/bin/java",
			   .args = { "java", "-jar", "shop.jar" }, .socket_id = 2, .since_ms = -187200000,
			   .held_ms = 187203004, .free = FREE_NO, .closed_by_pid = 900,
			   .closed_by_comm = "java-child"));
	show(s, view_of(.action = ACTION_FREE, .at_ms = 61204, .addr = "::", .port = 8080, .pid = 812,
			.uid = 33, .user_name = "www-data", .comm = "java", .exe = "/usr/bin/java",
			.socket_id = 2, .lingered_ms = 58200));
}

void scene_actions(struct stage *s)
{
	show(s, view_of(.action = ACTION_START));
	show(s, snapshot_of(.at_ms = 10, .addr = "::", .port = 8080, .pid = 812, .uid = 33,
			    .user_name = "www-data", .comm = "java", .exe = "/usr/bin/java",
			    .args = { "java", "-jar", "shop.jar" }, .since_ms = -187200000,
			    .precision = SINCE_NOT_BEFORE,
			    .owners = { { .pid = 812, .uid = 33, .comm = "java" },
					{ .pid = 900, .uid = 33, .comm = "java-child" } }));
	show_nginx_and_a_clash(s);
	show(s, view_of(.action = ACTION_SYNCED, .at_ms = 700, .count = 143, .took_us = 41200));
	show(s, view_of(.action = ACTION_HANDOFF, .at_ms = 900, .port = 80, .pid = 53, .comm = "nginx",
			.exe = "/usr/sbin/nginx", .unit = "nginx.service", .socket_id = 3, .since_ms = 556,
			.owners = { { .pid = 54, .uid = 33, .comm = "nginx", .unit = "nginx.service" } }));
	show(s, view_of(.action = ACTION_AUTOBIND, .at_ms = 950, .proto = PROTO_UDP, .port = 40123,
			.ephemeral = true, .pid = 77, .comm = "dig"));
	show_the_end_of_a_server(s);
	show(s, view_of(.action = ACTION_LOST, .at_ms = 61300, .count = 12, .where_lost = LOST_RING,
			.action_lost = ACTION_RELEASE));
	show(s, release_of(.at_ms = 61310, .port = 80, .pid = 53, .comm = "nginx", .socket_id = 3,
			   .since_ms = 556, .held_ms = 60754, .correction = true));
	show(s, view_of(.action = ACTION_RESYNC, .at_ms = 61320, .added = 0, .removed = 1, .kept = 142));
	show(s, view_of(.action = ACTION_CLOCK, .at_ms = 61400, .clock_old_ns = 1795335309400000000,
			.clock_new_ns = 1795335312400000000));
	show(s, view_of(.action = ACTION_STOP, .at_ms = 62000, .told = 15, .lost = 12, .hidden = 1204));
}

/* The clash that all of scene_holders are. */
#define clash(...) \
	bind_failed(.error = EADDRINUSE, .port = 5432, .comm = "postgres", .holders = { { __VA_ARGS__ } })

void scene_holders(struct stage *s)
{
	show(s, clash(.kind = HOLDER_LISTENER, .pid = 7, .comm = "redis-server", .since_ms = -5000,
		      .tripped = true, .modifiers = HOLDER_DUAL_STACK, .addr = "::", .cookie = 900,
		      .inode = 12345));
	show(s, clash(.kind = HOLDER_BOUND, .pid = 8, .comm = "java", .unit = "app.service",
		      .since_ms = -60000, .precision = SINCE_NOT_BEFORE));
	show(s, clash(.kind = HOLDER_SHUTDOWN, .pid = 8, .comm = "java", .since_ms = -60000));
	show(s,
	     clash(.kind = HOLDER_INHERITED, .pid = 9, .comm = "sh", .since_ms = -60000, .owners_count = 3));
	show(s, clash(.kind = HOLDER_IN_FLIGHT, .sock_uid = 1000));
	show(s, clash(.kind = HOLDER_ACCEPTED, .pid = 10, .comm = "worker", .container = "shop-api-1"));
	show(s, clash(.kind = HOLDER_TIME_WAIT, .pid = 11, .comm = "myserver", .last_owner = true,
		      .since_ms = -17000, .expires_ms = 43000));
	show(s, clash(.kind = HOLDER_CLIENT, .pid = 12, .uid = 1000, .sock_uid = 1000, .comm = "curl",
		      .addr = "10.1.2.3", .since_ms = -20));
	show(s, clash(.kind = HOLDER_KERNEL, .proto = PROTO_UDP));
	show(s, clash(.kind = HOLDER_UNKNOWN, .sock_uid = 33));
	show(s, bind_failed(.error = EADDRINUSE, .port = 5432, .comm = "postgres",
			    .options = OPT_REUSEADDR | OPT_REUSEPORT,
			    .holders = { { .kind = HOLDER_LISTENER,
					   .pid = 20,
					   .comm = "a",
					   .uid = 1000,
					   .options = OPT_REUSEPORT,
					   .modifiers = HOLDER_REUSEPORT_UID },
					 { .kind = HOLDER_LISTENER,
					   .pid = 21,
					   .comm = "b",
					   .uid = 1000,
					   .options = OPT_REUSEPORT,
					   .modifiers = HOLDER_REUSEPORT_UID,
					   .tripped = true } }));
}

void scene_failures(struct stage *s)
{
	show(s,
	     bind_failed(.error = EACCES, .port = 80, .uid = 1000, .user_name = "alice", .code = "low-port",
			 .why = "port 80 is below 1024 and the process lacks CAP_NET_BIND_SERVICE",
			 .hint = "setcap cap_net_bind_service=+ep on the program, or a port from 1024"));
	show(s, bind_failed(.error = EADDRNOTAVAIL, .addr = "192.0.2.7", .port = 443, .code = "not-local",
			    .why = "192.0.2.7 is on no interface", .hint = "After=network-online.target"));
	show(s, bind_failed(.error = EINVAL, .port = 8081, .asked_port = 9090, .code = "already-bound",
			    .why = "the socket is bound to 8081 already", .hint = "use a new socket"));
	show(s,
	     listen_failed(.error = EADDRINUSE, .port = 8080, .options = OPT_REUSEADDR, .code = "listener",
			   .holders = {
				   { .kind = HOLDER_LISTENER, .pid = 4, .comm = "first", .since_ms = -1 } }));
	show(s, bind_failed(.error = EADDRINUSE, .port_zero = true, .code = "ephemeral-exhausted"));
	show(s, bind_failed(.error = 512, .port = 8080, .no_options = true, .code = "other"));
}

static const char evil[] = "a\x1b[2J\"b\\\n\xff\xe2\x80\xae"; /* 16 bytes with its NUL */

void scene_hostile(struct stage *s)
{
	show(s,
	     bind_failed(.error = EADDRINUSE, .port = 80, .comm = "\xc3(\x1b]0;t\x07\xf0\x9f\x92\xa9\xe2\x80",
			 .exe = "/tmp/\xe2\x80\xaegpj.exe\n", .user_name = "ro\x1bot", .service = "ht\"tp",
			 .netns_name = "\t\x9b", .iface = "eth\r\n0", .code = "listener", .why = evil,
			 .hint = "kill \x1b[31m", .unit = "a\\x2db\x7f.service",
			 .args = { "", "two\nlines", "tab\tquote\"back\\slash", "\x1b[31mred", "\xff\xfe",
				   "caf\xc3\xa9", "--password=hunter2" },
			 .holders = { { .kind = HOLDER_LISTENER,
					.pid = 5,
					.comm = evil,
					.exe = evil,
					.unit = evil,
					.container = evil } }));
	show(s, release_of(.comm = "sixteen bytes no", .closed_by_pid = 9, .closed_by_comm = evil));
	show(s, snapshot_of(.owners = { { .pid = 1, .comm = evil }, { .pid = 2, .comm = "\x80" } }));
}

void scene_long(struct stage *s)
{
	static char exe[1025], arg[301];

	memset(exe, '/', sizeof(exe) - 1);
	memset(arg, 'x', sizeof(arg) - 1);
	show(s, bind_ok(.exe = exe, .exe_cut = true, .args = { arg, arg, "never seen" }));
	show(s, bind_ok(.args = { "short" }, .args_cut = true));
	memset(exe, 1, sizeof(exe) - 1); /* six bytes each */
	show(s, bind_ok(.exe = exe, .args = { arg, "and more" }));
	show(s, bind_failed(.error = EADDRINUSE, .args = { arg },
			    .holders = { { .kind = HOLDER_LISTENER, .pid = 1, .exe = exe, .unit = arg },
					 { .kind = HOLDER_LISTENER, .pid = 2, .unit = arg },
					 { .kind = HOLDER_LISTENER, .pid = 3, .unit = arg },
					 { .kind = HOLDER_LISTENER, .pid = 4, .unit = arg },
					 { .kind = HOLDER_LISTENER, .pid = 5, .unit = arg },
					 { .kind = HOLDER_LISTENER, .pid = 6, .unit = arg } }));
	show(s, snapshot_of(.owners = { { 1 },
					{ 2 },
					{ 3 },
					{ 4 },
					{ 5 },
					{ 6 },
					{ 7 },
					{ 8 },
					{ 9 },
					{ 10 },
					{ 11 },
					{ 12 },
					{ 13 },
					{ 14 },
					{ 15 },
					{ 16 } },
			    .owners_count = 40));
}

void scene_surroundings(struct stage *s)
{
	static const struct cgroup_info docker = {
		.container_id = "3f1c7d0a9b52",
		.container_runtime = "docker",
		.container_name = "shop-api-1",
	};
	static const struct cgroup_info pod = {
		.unit = "cri-containerd-77aa.scope",
		.container_id = "77aa",
		.container_runtime = "containerd",
		.pod_uid = "6f9d0d5e-6a4c-4b7e-9c39-0d4f2e5a1b22",
		.pod_name = "web-0",
		.pod_namespace = "shop",
	};

	show(s, listen_ok(.addr = "::", .port = 3000, .where = docker, .netns = 4026532871,
			  .netns_name = "shop-api-1", .options = OPT_V6ONLY | OPT_REUSEADDR));
	show(s, listen_ok(.addr = "2001:db8::1:0:0:1", .port = 3001, .proto = PROTO_MPTCP, .where = pod,
			  .netns = 4026532872));
	show(s, bind_ok(.addr = "::ffff:10.0.0.1", .port = 3002, .proto = PROTO_UDP, .iface = "eth0",
			.options = OPT_FREEBIND | OPT_TRANSPARENT | OPT_NO_PORT | OPT_REUSEPORT));
	show(s, bind_ok(.port = 35871, .has_asked_port = true, .asked_port = 0, .ephemeral = true));
	show(s, bind_ok(.addr = "10.0.0.2", .port = 8080, .asked_addr = "0.0.0.0", .asked_port = 80));
	show(s, bind_ok(.no_process = true, .kernel = true, .port = 51820, .proto = PROTO_UDP));
	show(s, bind_ok(.no_details = true, .uid = 1000, .tid = 63, .gid = 100, .port = 7000));
	show(s, listen_ok(.port = 22, .pid = 1, .comm = "systemd", .unit = "init.scope",
			  .bound_by = {
				  .kind = "socket-unit", .unit = "ssh.socket", .service = "ssh.service" }));
	show(s, bind_failed(.port = 8080, .error = EADDRINUSE,
			    .holders = { { .kind = HOLDER_LISTENER,
					   .pid = 812,
					   .comm = "docker-proxy",
					   .unit = "docker.service",
					   .bound_by = { .kind = "docker",
							 .container_id = "3f1c7d0a9b52",
							 .container_name = "shop-web-1" } },
					 { .kind = HOLDER_BOUND, .pid = 813, .comm = "other" } }));
}
