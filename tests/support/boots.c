/* SPDX-License-Identifier: GPL-2.0-only */
/* Boots that are told. */
#include "support/boots.h"

#include <errno.h>

#define MS(ms) BOOT_MS(ms)
#define LISTENING 10 /* TCP_LISTEN */

const struct boot_times boot_usual_times = { .userspace_ns = 280000000,
					     .sysinit_ns = 812000000,
					     .network_ns = 3900000000,
					     .finished_ns = 4102000000 };

static int add(struct boot *b, const struct view *v)
{
	return boot_add(b, (int64_t)v->rec->seq, v);
}

static void sockets_of_systemd(struct boot *b)
{
	const struct bound_by web = { .kind = "socket-unit", .unit = "web.socket", .service = "web.service" };

	add(b, bind_ok(.at_ms = MS(1312), .seq = 3, .addr = "::", .port = 8081, .pid = 48,
		       .comm = "(sd-listen)", .unit = "web.socket", .bound_by = web));
	add(b, listen_ok(.at_ms = MS(1313), .seq = 4, .socket_id = 3, .addr = "::", .port = 8081, .pid = 48,
			 .comm = "(sd-listen)", .unit = "web.socket", .bound_by = web));
	add(b, view_of(.action = ACTION_HANDOFF, .at_ms = MS(1315), .seq = 5, .socket_id = 3,
		       .addr = "::", .port = 8081, .pid = 48, .comm = "(sd-listen)",
		       .owners = { { .pid = 1, .comm = "systemd" } }));
	add(b, listen_ok(.at_ms = MS(2800), .port = 8000, .pid = 70, .comm = "docker-proxy",
			 .unit = "docker.service",
			 .bound_by = { .kind = "docker", .container_name = "shop-web-1" }));
}

static void a_clash(struct boot *b)
{
	add(b, bind_ok(.at_ms = MS(1365), .seq = 10, .port = 80, .pid = 53, .comm = "nginx",
		       .unit = "nginx.service"));
	add(b, listen_ok(.at_ms = MS(1366), .socket_id = 10, .port = 80, .pid = 53, .comm = "nginx",
			 .unit = "nginx.service"));
	for (int i = 0; i < 2; i++)
		add(b, bind_failed(.at_ms = MS(1410 + 500 * i), .port = 80, .error = EADDRINUSE,
				   .unit = "early-http.service", .code = "listener",
				   .why = "held by nginx[53] (nginx.service), listening for 45 ms",
				   .hint = "systemctl stop nginx, or another port",
				   .holders = { { .kind = HOLDER_LISTENER,
						  .pid = 53,
						  .comm = "nginx",
						  .unit = "nginx.service",
						  .since_ms = MS(1365) } }));
}

static void other_errors(struct boot *b)
{
	add(b,
	    bind_failed(.at_ms = MS(1600), .seq = 20, .addr = "192.0.2.7", .port = 5432, .pid = 71,
			.comm = "postgres", .unit = "postgresql.service", .error = EADDRNOTAVAIL,
			.code = "address-not-available",
			.why = "no interface of this network namespace has 192.0.2.7 (yet)",
			.hint = "Wants= and After=network-online.target in postgresql.service, or IP_FREEBIND (FreeBind=yes "
				"in a .socket)"));
	add(b,
	    bind_failed(.at_ms = MS(1700), .port = 81, .pid = 72, .uid = 1000, .user_name = "alice",
			.error = EACCES, .code = "low-port",
			.why = "ports below 1024 need CAP_NET_BIND_SERVICE, which uid 1000 here does not have",
			.hint = "a port from 1024 up"));
	add(b,
	    listen_failed(.at_ms = MS(1710), .proto = PROTO_UDP, .port = 82, .pid = 73, .error = EOPNOTSUPP,
			  .code = "other", .why = "a socket of this type does not listen"));
}

/* In the way of others, and told by nothing else. */
static void unknown_holders(struct boot *b)
{
	add(b, bind_failed(.at_ms = MS(1800), .seq = 30, .port = 33000, .pid = 74, .comm = "app",
			   .unit = "app.service", .error = EADDRINUSE, .code = "client",
			   .holders = { { .kind = HOLDER_CLIENT,
					  .pid = 99,
					  .comm = "curl",
					  .unit = "fetch.service",
					  .addr = "10.0.0.2",
					  .since_ms = MS(1750) } }));
	add(b, bind_failed(.at_ms = MS(1850), .proto = PROTO_UDP, .port = 51820, .pid = 75, .comm = "vpn",
			   .error = EADDRINUSE, .code = "kernel", .holders = { { .kind = HOLDER_KERNEL } }));
	add(b,
	    bind_failed(.at_ms = MS(1900), .port = 8443, .pid = 76, .comm = "app", .unit = "app.service",
			.error = EADDRINUSE, .code = "time-wait",
			.why = "1 closed connection is in TIME_WAIT for at most 44 s more; last held by a process that is "
			       "not known",
			.holders = { { .kind = HOLDER_TIME_WAIT, .expires_ms = MS(44000) } }));
	/* A resolver's socket, whose bind nobody was told of. */
	add(b, bind_failed(.at_ms = MS(1950), .proto = PROTO_UDP, .port = 40000, .pid = 77, .comm = "game",
			   .error = EADDRINUSE, .code = "listener",
			   .holders = { { .kind = HOLDER_LISTENER,
					  .pid = 78,
					  .comm = "resolver",
					  .since_ms = MS(900),
					  .precision = SINCE_NOT_BEFORE } }));
}

static void one_after_another(struct boot *b)
{
	add(b, listen_ok(.at_ms = MS(2000), .seq = 40, .port = 6379, .pid = 80, .comm = "redis",
			 .unit = "redis.service"));
	add(b, release_of(.at_ms = MS(2100), .socket_id = 40, .port = 6379, .pid = 80, .comm = "redis"));
	add(b,
	    listen_ok(.at_ms = MS(2200), .port = 6379, .pid = 81, .comm = "redis", .unit = "redis.service"));
	add(b, listen_ok(.at_ms = MS(2300), .seq = 43, .port = 9000, .pid = 82, .comm = "rogue"));
	add(b, release_of(.at_ms = MS(2400), .socket_id = 43, .port = 9000, .pid = 82, .comm = "rogue"));
	add(b, listen_ok(.at_ms = MS(2412), .port = 9000, .pid = 83, .comm = "app", .unit = "app.service"));
	add(b, bind_ok(.at_ms = MS(2500), .proto = PROTO_UDP, .addr = "::", .port = 5353, .pid = 84,
		       .comm = "avahi"));
	add(b, bind_ok(.at_ms = MS(2510), .proto = PROTO_UDP, .addr = "::", .port = 5353, .pid = 85,
		       .comm = "chrome", .uid = 1000));
	add(b, bind_ok(.at_ms = MS(2700), .port = 9001, .pid = 86, .comm = "stuck"));
	add(b, bind_ok(.at_ms = MS(2710), .seq = 49, .port = 9002, .pid = 87, .comm = "slow"));
	add(b, listen_ok(.at_ms = MS(4000), .seq = 50, .socket_id = 49, .port = 9002, .pid = 87,
			 .comm = "slow"));
	add(b, listen_ok(.at_ms = MS(2720), .seq = 51, .port = 9003, .pid = 88, .comm = "daemon"));
	add(b, view_of(.action = ACTION_HANDOFF, .at_ms = MS(2730), .socket_id = 51, .port = 9003, .pid = 88,
		       .comm = "daemon", .owners = { { .pid = 89, .comm = "daemon" } }));
}

/* Shown with --all alone. */
static void out_of_the_way(struct boot *b)
{
	add(b, bind_ok(.at_ms = MS(2600), .port = 40001, .ephemeral = true, .pid = 90, .comm = "rpc.statd"));
	add(b, listen_ok(.at_ms = MS(2610), .port = 80, .netns = 4026532301u, .netns_name = "shop-web-1",
			 .pid = 91, .comm = "httpd",
			 .where = { .container_id = (char *)"0f1e2d3c4b5a",
				    .container_runtime = (char *)"docker",
				    .container_name = (char *)"shop-web-1" }));
}

/* Another run of the recorder: nginx is there still, and somebody has come meanwhile. */
static int recorder_comes_back(struct boot *b)
{
	add(b, view_of(.action = ACTION_LOST, .at_ms = MS(2900), .seq = 70, .count = 3,
		       .where_lost = LOST_RING));
	add(b, view_of(.action = ACTION_STOP, .at_ms = MS(3000)));
	add(b, view_of(.action = ACTION_START, .at_ms = MS(3400)));
	add(b, snapshot_of(.state = LISTENING, .at_ms = MS(3401), .port = 80, .pid = 53, .comm = "nginx",
			   .unit = "nginx.service", .since_ms = MS(1300), .precision = SINCE_NOT_BEFORE));
	add(b, snapshot_of(.state = LISTENING, .at_ms = MS(3402), .port = 7777, .pid = 92, .comm = "late",
			   .since_ms = MS(3100), .precision = SINCE_NOT_BEFORE));
	add(b, view_of(.action = ACTION_SYNCED, .at_ms = MS(3403)));
	add(b, listen_ok(.at_ms = MS(34102), .port = 7778, .pid = 93, .comm = "just"));
	return add(b, listen_ok(.at_ms = MS(34103), .port = 7779, .pid = 94, .comm = "toolate"));
}

int boot_of_everything(struct boot *b)
{
	add(b, view_of(.action = ACTION_START, .at_ms = MS(293), .seq = 1));
	add(b, view_of(.action = ACTION_SYNCED, .at_ms = MS(301)));
	sockets_of_systemd(b);
	a_clash(b);
	other_errors(b);
	unknown_holders(b);
	one_after_another(b);
	out_of_the_way(b);
	return recorder_comes_back(b);
}

int boot_seen_late(struct boot *b)
{
	add(b, view_of(.action = ACTION_START, .at_ms = MS(812000), .seq = 1));
	add(b, snapshot_of(.state = LISTENING, .at_ms = MS(812001), .port = 22, .pid = 600, .comm = "sshd",
			   .unit = "ssh.service", .since_ms = MS(1200), .precision = SINCE_NOT_BEFORE,
			   .owners = { { .pid = 600, .comm = "sshd" }, { .pid = 1, .comm = "systemd" } }));
	add(b, snapshot_of(.state = LISTENING, .at_ms = MS(812002), .port = 631, .pid = 601, .comm = "cupsd",
			   .precision = SINCE_NOT_AFTER));
	add(b, snapshot_of(.state = LISTENING, .at_ms = MS(812003), .port = 8080, .pid = 9000,
			   .comm = "since-then", .since_ms = MS(500000), .precision = SINCE_NOT_BEFORE));
	add(b, listen_ok(.at_ms = MS(812004), .port = 8090, .pid = 9001, .comm = "just-now"));
	add(b, view_of(.action = ACTION_SYNCED, .at_ms = MS(812005)));
	return add(b, listen_ok(.at_ms = MS(813000), .port = 8081, .pid = 9002, .comm = "later"));
}

int boot_of_enemies(struct boot *b)
{
	add(b, view_of(.action = ACTION_START, .at_ms = MS(293), .seq = 1));
	add(b,
	    listen_ok(.at_ms = MS(1000), .port = 80, .pid = 53, .comm = "a\x1b[2J\"b\\\nc",
		      .unit = "x\x1b]0;pwned\x07.service",
		      .bound_by = {
			      .kind = "socket-unit", .unit = "y\n.socket", .service = "z\xff\r.service" }));
	return add(b, bind_failed(.at_ms = MS(1001), .port = 80, .pid = 54, .comm = "\xe2\x80\xae\x7f\x01",
				  .error = EADDRINUSE, .code = "client", .why = "held by \x1b[31m",
				  .hint = "\x07\nkill 53",
				  .holders = { { .kind = HOLDER_CLIENT,
						 .pid = 55,
						 .comm = "\x1b[1mred",
						 .unit = "q\t.service",
						 .since_ms = MS(900) } }));
}
