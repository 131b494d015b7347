/* SPDX-License-Identifier: GPL-2.0-only */
/* The stories that the text golden files are rendered from. */
#include "support/scenes_text.h"

#include <errno.h>

#include "core/explain.h"

/* With what explain makes of it. */
static void show_explained(struct stage *s, const struct view *v)
{
	struct explain_facts facts = { .unprivileged_port_start = 1024, .now_ns = v->rec->time_ns };
	struct explanation e;
	struct view copy = *v;

	explain(v, &facts, &e);
	copy.explanation = &e;
	show(s, &copy);
}

#define NGINX .pid = 53, .comm = "nginx", .unit = "nginx.service"
#define EARLY .unit = "early-http.service", .error = EADDRINUSE, .port = 80
#define BY_NGINX .holders = { { .kind = HOLDER_LISTENER, NGINX, .since_ms = 556 } }
#define SHOP                                         \
	.where = { .container_id = "3f1c7d0a9b52",   \
		   .container_runtime = "docker",    \
		   .container_name = "shop-api-1" }, \
	.netns = 4026532871, .netns_name = "shop-api-1"

void scene_watch(struct stage *s)
{
	show(s, view_of(.action = ACTION_START));
	show(s, snapshot_of(.at_ms = 1, .port = 22, .pid = 7, .comm = "sshd", .unit = "ssh.service",
			    .since_ms = -1800000));
	show(s, snapshot_of(.at_ms = 1, .addr = "::", .port = 5353, .proto = PROTO_UDP, .pid = 9,
			    .comm = "avahi-daemon", .unit = "avahi-daemon.service", .options = OPT_V6ONLY,
			    .since_ms = -2000000, .precision = SINCE_NOT_BEFORE,
			    .owners = { { .pid = 9, .comm = "avahi-daemon" },
					{ .pid = 10, .comm = "avahi-daemon" } }));
	show(s, view_of(.action = ACTION_SYNCED, .at_ms = 5, .count = 143));
	show(s, bind_ok(.at_ms = 550, .port = 80, .socket_id = 90, NGINX, .options = OPT_REUSEADDR));
	show(s, listen_ok(.at_ms = 556, .port = 80, .socket_id = 90, NGINX, .options = OPT_REUSEADDR,
			  .backlog = 511));
	show_explained(s, bind_failed(.at_ms = 601, EARLY, BY_NGINX));
	show(s, release_of(.at_ms = 3004, .addr = "::", .pid = 812, .comm = "java", SHOP,
			   .since_ms = -187200000, .held_ms = 187203000, .free = FREE_NO,
			   .holders = { { .kind = HOLDER_TIME_WAIT },
					{ .kind = HOLDER_TIME_WAIT },
					{ .kind = HOLDER_TIME_WAIT } }));
	show(s, listen_ok(.at_ms = 4100, .addr = "2001:db8::1:0:0:1", .port = 443, .pid = 4711,
			  .comm = "caddy", .uid = 1000, .user_name = "alice", .netns = 4026532990,
			  .netns_name = "blue", .unit = "session-3.scope"));
	show(s, view_of(.action = ACTION_LOST, .at_ms = 5000, .count = 1204, .where_lost = LOST_RING));
	show(s, release_of(.at_ms = 5010, .port = 22, .pid = 7, .comm = "sshd", .unit = "ssh.service",
			   .since_ms = -1800000, .held_ms = 1805010, .free = FREE_YES, .correction = true));
	show(s, view_of(.action = ACTION_RESYNC, .at_ms = 5020, .removed = 1, .kept = 142));
	show(s, view_of(.action = ACTION_FREE, .at_ms = 62500, .addr = "::", .pid = 812, .comm = "java", SHOP,
			.lingered_ms = 59496));
	show(s, view_of(.action = ACTION_HANDOFF, .at_ms = 62600, .port = 80, NGINX,
			.owners = { { .pid = 54, .comm = "nginx" }, { .pid = 55, .comm = "nginx" } }));
	show(s, view_of(.action = ACTION_STOP, .at_ms = 242900, .lost = 1204, .hidden = 1204));
}

void scene_folds(struct stage *s)
{
	show(s, view_of(.action = ACTION_START));
	show(s, view_of(.action = ACTION_SYNCED, .count = 1));
	for (unsigned i = 0; i < 13; i++)
		show_explained(s, bind_failed(.at_ms = 1000 + 500 * i, .pid = 61 + i, EARLY, BY_NGINX));
	wait_until(s, 10000);
	show(s, bind_ok(.at_ms = 10000, .port = 25, .socket_id = 500, .comm = "master"));
	show(s, bind_ok(.at_ms = 10010, .port = 587, .socket_id = 501, .comm = "master"));
	show(s, listen_failed(.at_ms = 10020, .port = 587, .socket_id = 501, .comm = "master",
			      .error = EADDRINUSE));
	wait_until(s, 10300);
	for (unsigned i = 0; i < 1000; i++) {
		show(s, bind_ok(.at_ms = 20000 + 10 * i, .proto = PROTO_UDP, .port = (uint16_t)(5000 + i),
				.pid = 99, .comm = "scan", .socket_id = 1000 + i));
		show(s, release_of(.at_ms = 20000 + 10 * i, .at_ns = 500, .proto = PROTO_UDP,
				   .port = (uint16_t)(5000 + i), .pid = 99, .comm = "scan",
				   .socket_id = 1000 + i, .free = FREE_YES));
	}
	show(s, view_of(.action = ACTION_STOP, .at_ms = 40000));
}

#define clash(...) \
	bind_failed(.error = EADDRINUSE, .port = 5432, .comm = "postgres", .holders = { { __VA_ARGS__ } })

static void show_kinds(struct stage *s)
{
	static const char app[] = "app.service";

	show_explained(s,
		       clash(.kind = HOLDER_LISTENER, .pid = 7, .comm = "redis-server", .since_ms = -5000));
	show_explained(s, clash(.kind = HOLDER_LISTENER, .pid = 7, .comm = "redis-server", .addr = "::",
				.since_ms = -5000, .modifiers = HOLDER_DUAL_STACK, .container = "cache-1"));
	show_explained(s, clash(.kind = HOLDER_LISTENER, .pid = 1, .comm = "systemd", .unit = "init.scope"));
	show_explained(s, clash(.kind = HOLDER_LISTENER, .pid = 61, .comm = "postgres", .since_ms = -100));
	show_explained(s, clash(.kind = HOLDER_BOUND, .pid = 8, .comm = "java", .unit = app,
				.since_ms = -1800000, .precision = SINCE_NOT_AFTER));
	show_explained(s, clash(.kind = HOLDER_SHUTDOWN, .pid = 8, .comm = "java", .since_ms = -60000));
	show_explained(s, clash(.kind = HOLDER_INHERITED, .pid = 9, .comm = "sh", .since_ms = -60000,
				.owners_count = 3));
	show_explained(s, clash(.kind = HOLDER_IN_FLIGHT, .sock_uid = 1000));
	show_explained(s, clash(.kind = HOLDER_ACCEPTED, .pid = 10, .comm = "worker", .unit = app));
	show_explained(s, clash(.kind = HOLDER_TIME_WAIT, .pid = 11, .comm = "myserver", .last_owner = true,
				.since_ms = -17000, .expires_ms = 41500));
	show_explained(s, clash(.kind = HOLDER_CLIENT, .pid = 12, .comm = "curl", .addr = "10.1.2.3",
				.since_ms = -20));
	show_explained(s, clash(.kind = HOLDER_KERNEL));
	show_explained(s, clash(.kind = HOLDER_UNKNOWN, .sock_uid = 33));
	show_explained(s, bind_failed(.error = EADDRINUSE, .port = 51820, .proto = PROTO_UDP, .comm = "wg",
				      .holders = { { .kind = HOLDER_KERNEL } }));
	show_explained(s,
		       bind_failed(.error = EADDRINUSE, .port = 5432, .options = OPT_REUSEPORT, .uid = 1000,
				   .holders = { { .kind = HOLDER_LISTENER,
						  .pid = 20,
						  .comm = "a",
						  .sock_uid = 33,
						  .options = OPT_REUSEPORT,
						  .modifiers = HOLDER_REUSEPORT_UID } }));
}

/* In another second than the kinds, or they would be a flood. */
#define refusal(...) bind_failed(.at_ms = 5000, __VA_ARGS__)

static void show_errors(struct stage *s)
{
	show_explained(s, refusal(.error = EADDRINUSE, .port = 5432, .reason = REASON_NO_HOLDER));
	show_explained(s,
		       refusal(.error = EADDRINUSE, .port_zero = true, .reason = REASON_EPHEMERAL_EXHAUSTED));
	show_explained(s, refusal(.error = EACCES, .port = 80, .uid = 1000, .user_name = "alice",
				  .reason = REASON_LOW_PORT));
	show_explained(s, refusal(.error = EACCES, .port = 8080, .reason = REASON_LSM));
	show_explained(s,
		       refusal(.error = EPERM, .port = 8080, .reason = REASON_CGROUP, .unit = "app.service"));
	show_explained(s, refusal(.error = EADDRNOTAVAIL, .addr = "192.0.2.7", .port = 443,
				  .reason = REASON_NOT_LOCAL));
	show_explained(s, refusal(.error = EADDRNOTAVAIL, .addr = "2001:db8::7", .port = 443,
				  .reason = REASON_NOT_LOCAL, .unit = "app.service"));
	show_explained(s, refusal(.error = EINVAL, .port = 9090, .asked_port = 8081,
				  .reason = REASON_ALREADY_BOUND));
	show_explained(s, refusal(.error = EINVAL, .port = 8082, .reason = REASON_INVALID));
	show_explained(s, refusal(.error = EAFNOSUPPORT, .reason = REASON_FAMILY));
	show_explained(s, refusal(.error = ENETDOWN));
}

void scene_explained(struct stage *s)
{
	show_kinds(s);
	show_errors(s);
}
