/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Views for tests, said in one line: view_of(.action = ACTION_LISTEN, .port = 80, .pid = 42), or listen_ok(.port = 80).
 * What is left out is ordinary: TCP over IPv4 on 0.0.0.0:8080 by python3[61] of uid 0, in the host's namespace, at
 * 2026-11-22T08:14:08Z. All storage lives until views_free(), which a test's teardown calls.
 */
#ifndef TESTS_SUPPORT_VIEWS_H
#define TESTS_SUPPORT_VIEWS_H

#include "core/explain.h"
#include "core/process.h"
#include "core/record.h"

#define VIEWS_BASE_NS 2556000000000ULL           /* boot clock of the default moment, 08:14:08Z */
#define VIEWS_BOOT_WALL_NS 1795332692000000000LL /* wall clock at boot, 2026-11-22T07:31:32Z */
#define VIEWS_HOST_NETNS 4026531840u

/* A process that has the socket open (owners), or who made the call. pid 0 ends a list. */
struct owner_spec {
	uint32_t pid;
	uint32_t uid;
	uint64_t start_ms; /* since boot; 0: pid * 419 ms, so that each pid has a key of its own */
	const char *comm;  /* at most 16 bytes */
	const char *exe;
	const char *unit;
};

struct holder_spec {
	enum holder_kind kind; /* HOLDER_NONE ends a list */
	enum proto proto;      /* PROTO_NONE: as the socket */
	uint32_t modifiers;
	uint32_t options;
	uint32_t pid; /* 0: none known */
	uint32_t uid;
	uint32_t sock_uid;
	uint32_t owners_count;
	uint32_t others[HOLDER_OTHERS];
	uint64_t cookie;
	uint64_t inode;
	const char *comm;
	const char *exe;
	const char *unit;
	const char *container;    /* name; its id is made up */
	const char *addr;         /* NULL: "0.0.0.0" */
	uint16_t port;            /* 0: that of the socket */
	int64_t since_ms;         /* after VIEWS_BASE_NS, mostly negative; 0: unknown */
	int64_t expires_ms;       /* after VIEWS_BASE_NS; 0: unknown */
	enum precision precision; /* with since_ms; 0: exact */
	bool last_owner;
	bool tripped;
	struct bound_by bound_by; /* kind NULL: for itself */
};

struct view_spec {
	enum action action;
	int error;
	enum reason reason; /* 0 for an error: REASON_HOLDER or REASON_OTHER */

	/* when: nanoseconds after VIEWS_BASE_NS, at_ms + at_ns */
	int64_t at_ms;
	int64_t at_ns;
	uint64_t seq; /* 0: one more than the last view's */

	/* the socket */
	bool no_socket;   /* bookkeeping kinds never have one */
	enum proto proto; /* PROTO_NONE: tcp */
	const char *addr; /* NULL: 0.0.0.0; decides the family */
	uint16_t port;    /* 0: 8080, unless port_zero */
	bool port_zero;
	const char *asked_addr; /* NULL: as addr */
	uint16_t asked_port;
	bool has_asked_port;
	uint64_t socket_id; /* 0: seq */
	uint64_t cookie;
	uint64_t inode;
	uint32_t options; /* OPT_* */
	bool no_options;  /* not known */
	uint32_t netns;   /* 0: VIEWS_HOST_NETNS, "host" */
	const char *netns_name;
	const char *service;
	const char *iface;
	int backlog; /* listen only; 0: 128 */
	bool kernel;
	bool ephemeral;
	uint8_t via;
	uint8_t state; /* TCP state number */

	/* the process */
	bool no_process;
	bool no_details; /* pid, uid, comm are known, the rest is not */
	uint32_t pid, tid, ppid, uid, gid;
	uint64_t start_ms;    /* as in owner_spec */
	const char *comm;     /* NULL: python3; at most 16 bytes, raw */
	const char *exe;      /* NULL: /usr/bin/<comm> */
	const char *args[16]; /* none: unknown */
	bool exe_cut, args_cut;
	const char *user_name; /* NULL: "root" for uid 0 */
	const char *unit;
	uint64_t cgroup_id;
	struct cgroup_info where; /* used when unit is NULL; borrowed strings */

	/* the end */
	int64_t since_ms;         /* after VIEWS_BASE_NS, mostly negative; 0: unknown */
	enum precision precision; /* with since_ms; 0: exact */
	int64_t held_ms;
	int64_t lingered_ms;
	uint8_t free; /* FREE_* */
	uint32_t closed_by_pid;
	const char *closed_by_comm;
	bool correction;
	bool tree;

	/* bookkeeping */
	enum lost_where where_lost;
	enum action action_lost;
	uint64_t count, took_us, added, removed, kept, told, lost, hidden;
	int64_t clock_old_ns, clock_new_ns;

	struct holder_spec holders[8];
	struct owner_spec owners[16];
	size_t owners_count; /* 0: as many as owners[] has */

	struct bound_by bound_by; /* for whom the process has it; kind NULL: for itself */

	const char *code, *why, *hint; /* the explanation; all NULL: none */
	const struct session *session; /* NULL: views_session() */
};

const struct view *views_make(const struct view_spec *spec);
const struct session *views_session(void);
struct record views_record(const struct view_spec *spec); /* the record alone, for what takes no view */
void views_free(void);                                    /* all of them; seq starts at 1 again */

#define view_of(...) views_make(&(struct view_spec){ __VA_ARGS__ })
#define record_of(...) views_record(&(struct view_spec){ __VA_ARGS__ })

#define bind_ok(...) view_of(.action = ACTION_BIND, __VA_ARGS__)
#define bind_failed(...) view_of(.action = ACTION_BIND, __VA_ARGS__) /* say .error */
#define listen_ok(...) view_of(.action = ACTION_LISTEN, __VA_ARGS__)
#define listen_failed(...) view_of(.action = ACTION_LISTEN, __VA_ARGS__)
#define release_of(...) view_of(.action = ACTION_RELEASE, __VA_ARGS__)
#define snapshot_of(...) view_of(.action = ACTION_SNAPSHOT, __VA_ARGS__)

#endif
