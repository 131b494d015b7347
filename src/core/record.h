/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The record: one thing that happened to a port, as a plain value. What is big or shared (argv, exe, cgroup) lives in
 * core/process.h; a record and what belongs to it are shown together as a struct view.
 */
#ifndef CORE_RECORD_H
#define CORE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct process;
struct explanation;

enum action {
	ACTION_NONE,
	ACTION_START,
	ACTION_STOP,
	ACTION_SNAPSHOT,
	ACTION_SYNCED,
	ACTION_BIND,
	ACTION_LISTEN,
	ACTION_RELEASE,
	ACTION_FREE,
	ACTION_HANDOFF,
	ACTION_AUTOBIND,
	ACTION_LOST,
	ACTION_RESYNC,
	ACTION_CLOCK,
	N_ACTIONS
};

enum proto { PROTO_NONE, PROTO_TCP, PROTO_UDP, PROTO_MPTCP };

enum precision {
	SINCE_UNKNOWN,
	SINCE_EXACT,      /* seen */
	SINCE_NOT_BEFORE, /* the opener's start */
	SINCE_NOT_AFTER,  /* the snapshot's time */
};

/* An address in network order; IPv4 in the first four bytes. family 0: none. */
struct address {
	uint8_t family; /* AF_INET, AF_INET6 or 0 */
	uint8_t bytes[16];
};

/* Where events were lost. */
enum lost_where { LOST_NOWHERE, LOST_RING, LOST_QUEUE, LOST_MAP, LOST_HOOK, LOST_TREE, LOST_HISTORY, N_LOST };

/* What a socket was told to be; has_options says whether they are known. */
#define OPT_REUSEADDR 0x1u
#define OPT_REUSEPORT 0x2u
#define OPT_V6ONLY 0x4u
#define OPT_FREEBIND 0x8u
#define OPT_TRANSPARENT 0x10u
#define OPT_NO_PORT 0x20u

enum holder_kind {
	HOLDER_NONE,
	HOLDER_LISTENER,
	HOLDER_BOUND,
	HOLDER_SHUTDOWN,
	HOLDER_INHERITED,
	HOLDER_IN_FLIGHT,
	HOLDER_ACCEPTED,
	HOLDER_TIME_WAIT,
	HOLDER_CLIENT,
	HOLDER_KERNEL,
	HOLDER_UNKNOWN,
	N_HOLDER_KINDS
};

#define HOLDER_DUAL_STACK 0x1u    /* an IPv6 wildcard that covers IPv4 too, or the reverse */
#define HOLDER_REUSEPORT_UID 0x2u /* SO_REUSEPORT group of another uid */
#define HOLDER_SAME_PROGRAM 0x4u  /* inherited by a fork of who bound it: no exec came between. Not told */

/* Why a call failed, or HOLDER's kind as a stable word: enum values are not stable, their names (core/explain.h) are. */
enum reason {
	REASON_NONE,
	REASON_HOLDER,              /* EADDRINUSE: the code is the holder's kind */
	REASON_NO_HOLDER,           /* EADDRINUSE and nobody found any more: "gone" */
	REASON_EPHEMERAL_EXHAUSTED, /* EADDRINUSE for port 0 */
	REASON_LOW_PORT,            /* EACCES below ip_unprivileged_port_start */
	REASON_LSM,                 /* EACCES or EPERM from an LSM */
	REASON_CGROUP,              /* EPERM from a cgroup BPF program */
	REASON_NOT_LOCAL,           /* EADDRNOTAVAIL */
	REASON_ALREADY_BOUND,       /* EINVAL on a bound socket */
	REASON_INVALID,             /* EINVAL otherwise */
	REASON_FAMILY,              /* EAFNOSUPPORT */
	REASON_OTHER,
};

struct record {
	enum action action;
	enum proto proto;
	uint64_t seq;         /* position in the stream, from 1 */
	uint64_t time_ns;     /* boot clock */
	int64_t wall_ns;      /* since the epoch */
	uint64_t socket_id;   /* seq of this socket's first record; 0: no socket */
	uint64_t sk;          /* the kernel's key, never shown */
	uint64_t tracked_ns;  /* when the hooks began to track it: with sk it names one socket for good */
	uint64_t cookie;      /* 0: unknown */
	uint64_t inode;       /* 0: unknown */
	uint64_t cgroup_id;   /* 0: unknown */
	uint64_t since_ns;    /* boot clock: when the port was taken */
	uint64_t held_ns;     /* release: how long; 0 with since_precision unknown */
	uint64_t lingered_ns; /* free: since the release */
	struct address addr;  /* what the event is about */
	struct address asked_addr; /* when it differs from addr; family 0: it does not */
	struct address bound_addr; /* bind failed on a bound socket: what it has; family 0: it has nothing */
	uint16_t bound_port;       /* the same */
	uint16_t port;
	uint16_t asked_port; /* valid with has_asked_port */
	uint8_t family;      /* of the socket: AF_INET, AF_INET6 */
	uint8_t state;       /* TCP state number */
	uint8_t via;         /* PL_VIA_* */
	uint8_t kind;        /* snapshot: enum holder_kind where it is known; else by state */
	bool has_socket;
	bool has_asked_port; /* asked_port differs from port */
	bool has_options;
	bool kernel;    /* a kernel socket */
	bool ephemeral; /* port 0 was asked for */
	bool explicit_port;
	bool has_backlog;
	bool has_process; /* pid, tid, ppid, uid, gid, comm are valid */
	bool hook_addr;   /* the call got as far as the protocol's bind (the address is the kernel's copy) */
	bool correction;  /* told by a resync */
	bool pinned;      /* start: the hooks were there, nothing before it is missing; stop: they stay */
	bool v6only; /* as the kernel has it, which sets it itself for most addresses; OPT_V6ONLY is the user's */
	bool bhash2;       /* it is in the kernel's second table of bound sockets (6.1 and later) */
	bool by_family;    /* that table compares families: a mapped wildcard is not seen (until 6.7) */
	bool tree;         /* of the tree of processes that is followed */
	bool addr_unknown; /* a bind failed, and what it asked for is not known: addr and port say nothing */
	uint8_t free;      /* release: FREE_* */
	uint8_t since_precision; /* enum precision */
	uint8_t lost_where;      /* enum lost_where */
	uint8_t lost_action;     /* lost: enum action of what was lost; ACTION_NONE: any */
	uint8_t reason;          /* enum reason */
	uint32_t options;        /* OPT_* */
	uint32_t sock_uid;
	uint32_t netns; /* inode number */
	uint32_t ifindex;
	uint32_t l3mdev;     /* VRF of the port; 0: none */
	uint64_t expires_ns; /* snapshot of a TIME_WAIT: boot clock when it ends; 0 unknown */
	int error;           /* errno, positive; 0: it worked */
	int backlog;
	uint32_t pid;
	uint32_t tid;
	uint32_t ppid;
	uint32_t uid;
	uint32_t gid;
	uint32_t closed_by_pid; /* release: who dropped the last reference, if another process and known; else 0 */
	uint64_t start_ns;      /* of the process, boot clock */
	uint64_t exec_id;
	/* numbers of the bookkeeping kinds: synced count/took_us, lost count, resync added/removed/kept, stop totals */
	uint64_t count;
	uint64_t took_us;
	uint64_t added, removed, kept;
	uint32_t netns_cut;          /* synced: network namespaces that could not be looked into */
	uint64_t told, lost, hidden; /* stop: events told, lost, ephemeral binds counted and not told */
	int64_t clock_old_ns, clock_new_ns; /* wall clock before and after a step */
	char comm[16]; /* of the thread group's leader; any bytes, not always terminated */
	char closed_by_comm[16];
	char iface[16]; /* bound device */
};

_Static_assert(sizeof(struct record) <= 512, "a record is a small value");

#define FREE_UNKNOWN 0
#define FREE_YES 1
#define FREE_NO 2

/* A process that has a socket open. */
struct owner {
	uint32_t pid;
	uint32_t uid;
	uint64_t start_ns;
	uint64_t exec_id; /* as in struct process_key; 0: not known */
	char comm[16];
	const struct process *process; /* NULL: nothing more is known */
};

/* For whom a port is held by one that takes it for others. All but kind may be NULL; borrowed. */
struct bound_by {
	const char *kind;    /* "socket-unit", "docker" */
	const char *unit;    /* of systemd, that asked for it: "web.socket" */
	const char *service; /* what it starts: "web.service" */
	const char *container_id;
	const char *container_name;
};

#define HOLDER_OTHERS 7

/* Who is in the way of a failed bind or listen. */
struct holder {
	enum holder_kind kind;
	enum proto proto;
	uint32_t modifiers;  /* HOLDER_DUAL_STACK ... */
	uint32_t options;    /* OPT_* of the socket */
	uint64_t sk;         /* key, never shown */
	uint64_t tracked_ns; /* with sk it names one socket for good; 0: not tracked */
	uint64_t cookie;
	uint64_t inode;
	uint64_t since_ns;   /* boot clock: when it took the port, or when it let go (last_owner) */
	uint64_t expires_ns; /* TIME_WAIT: boot clock when it ends; 0 unknown */
	struct address addr;
	uint16_t port;
	uint8_t family;
	uint8_t state;
	uint8_t since_precision;
	bool last_owner;    /* the process is the one that had it last: it is gone or has let go */
	bool tripped;       /* the kernel's own check stopped here */
	bool open;          /* its process is known to have it open */
	bool has_options;   /* options are known: sock_diag does not tell them */
	bool explicit_port; /* the port was asked for by number (SOCK_BINDPORT_LOCK) */
	bool v6only, bhash2, by_family; /* as in struct record */
	bool init_too;                  /* so has pid 1 */
	uint32_t sock_uid;
	uint32_t uid;
	uint32_t pid;                   /* 0: no process known */
	uint32_t owners_count;          /* processes that have it open, when more than one is known */
	uint32_t others[HOLDER_OTHERS]; /* pids of them beside pid, those that are alive; the rest 0 */
	uint32_t ifindex;               /* bound device; 0: none */
	uint32_t l3mdev;                /* VRF of the port; 0: none */
	uint64_t start_ns;
	uint64_t exec_id; /* which program of its process it was; 0: not known */
	char comm[16];
	const struct process *process;   /* NULL: nothing more than pid, uid, comm is known */
	const struct bound_by *bound_by; /* NULL: for itself, as far as is known */
};

/* What is the same for every record of a run. */
struct session {
	const char *schema; /* of JSON; NULL: "portlog/1" */
	char stream[17];    /* 16 hex digits, random for each tracer start */
	char boot_id[33];   /* 32 hex digits; empty: unknown */
	char hostname[65];
	const char *version;
	char kernel[65];          /* uname -r */
	const char *hooks;        /* "fexit", "tracepoint" or "mixed" */
	uint32_t own_pid;         /* of portlog itself */
	const char *const *blind; /* what this set cannot see; NULL-terminated, may be NULL */
	uint32_t host_netns;      /* inode of pid 1's network namespace; 0 unknown */
	uint32_t own_netns;       /* portlog's own; 0 unknown, or long ago */
	int64_t boot_offset_ns;   /* wall clock minus boot clock, now */
	uint64_t ring;            /* the ring that events come from, where it outlives the recorder; else 0 */
	uint64_t sk_mask;         /* addresses of sockets are kept on disk by this alone; 0: not at all */
};

/*
 * A record with all that belongs to it, borrowed for one call: what filters see and sinks render.
 * Strings are raw: any bytes may be in them; whoever renders escapes.
 */
struct view {
	const struct record *rec;
	const struct session *session;
	const struct process *process; /* of rec->pid; NULL: nothing more is known */
	const char *user_name;         /* of rec->uid; NULL unknown */
	const char *service;           /* of port and proto, /etc/services; NULL none */
	const char *netns_name;        /* "host", an `ip netns` name, a container's; NULL none */
	const struct holder *holders;  /* best first */
	size_t n_holders;
	const struct owner *owners;            /* snapshot: who has it open; handoff: who has it now */
	size_t n_owners;                       /* entries */
	size_t owners_count;                   /* how many there are, which may be more */
	const struct explanation *explanation; /* of a failure; NULL: none */
	const struct bound_by *bound_by;       /* for whom the process has it; NULL: for itself */
};

#endif
