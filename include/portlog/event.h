/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What travels through the ring buffer: the ABI between bpf/ and src/, read by two compilers.
 *
 * Every record starts with kind and size. Addresses are in network order, ports in host order, times are nanoseconds
 * of the boot clock (CLOCK_BOOTTIME), pids are those of portlog's own pid namespace where the task lives in it.
 * It carries no version: the BPF object and the program that embeds it are one build.
 */
#ifndef PORTLOG_EVENT_H
#define PORTLOG_EVENT_H

#ifndef __VMLINUX_H__ /* there the kernel's own types are */
#include <linux/types.h>
#endif

#define PL_COMM_LEN 16
#define PL_IFACE_LEN 16
#define PL_HOLDERS_MAX 8 /* owners of a port handed up with one failure */
#define PL_PATH_MAX 1024 /* bytes of components of an executable's or cgroup's path */
#define PL_NAME_MAX 256  /* one component, with its NUL */
#define PL_ARGS_MAX 1024 /* bytes of argv kept; args_full says how long it was */

/* kind */
#define PL_BIND 1     /* a bind returned */
#define PL_LISTEN 2   /* a listen returned */
#define PL_RELEASE 3  /* a tracked socket gave its port up */
#define PL_AUTOBIND 4 /* a port was taken without bind */
#define PL_SNAPSHOT 5 /* a socket that was there before, and one process that has it open */
#define PL_OWNER 6    /* one more process that has a known socket open */
#define PL_PROCESS 7  /* who a process is, once for each exec: struct pl_process */
#define PL_HINT 8     /* a socket on a lingering port died: the port may be free now */
#define PL_KIND_MAX 9
#define PL_ROW 16 /* of an inventory: struct pl_row, through an iterator's file or the object's memory */

/* flags of pl_event and pl_holder */
#define PL_REUSEADDR 0x1u
#define PL_REUSEPORT 0x2u
#define PL_V6ONLY 0x4u
#define PL_FREEBIND 0x8u
#define PL_TRANSPARENT 0x10u
#define PL_NO_PORT 0x20u    /* IP_BIND_ADDRESS_NO_PORT */
#define PL_KERNEL 0x40u     /* the kernel's own socket (sk_kern_sock); a subflow when its MPTCP socket is */
#define PL_MPTCP 0x80u      /* the socket is the first subflow of an MPTCP socket */
#define PL_EXPLICIT 0x100u  /* SOCK_BINDPORT_LOCK: the port was asked for by number */
#define PL_EPHEMERAL 0x200u /* port 0 was asked for, and no listen yet */
#define PL_FREE 0x400u      /* release: nothing is left on the port */
#define PL_FREE_UNKNOWN 0x800u /* release: whether something is left could not be told in the hook */
#define PL_ASKED 0x1000u       /* asked_addr and asked_port are valid */
#define PL_TOLD 0x2000u        /* the snapshot has told this socket already */
#define PL_TRACKED 0x4000u     /* holder: the process fields are the tracked owner's */
#define PL_LAST 0x8000u        /* holder: the process fields are the last owner's of a socket that is gone */
#define PL_TRIPPED 0x10000u    /* holder: the one that the kernel's own conflict check stopped at */
/* release: tid and asked_addr are pid and comm of who dropped the last reference */
#define PL_PROCESS_CTX 0x20000u
#define PL_HOOK_ADDR 0x40000u   /* asked_* is the kernel's own copy; unset: read from the caller's memory */
#define PL_PEER 0x80000u        /* the socket is connected */
#define PL_LISTENED 0x100000u   /* the socket has listened at some time */
#define PL_CONNECT 0x800000u    /* row: connect(2) chose the port (known from 6.18 on) */
#define PL_IN_FLIGHT 0x1000000u /* row: its descriptor is in a message that nobody has read */
/* row: its inet_bind2_bucket knows the family, not the kind of address (6.1 to 6.7) */
#define PL_BY_FAMILY 0x2000000u
#define PL_BHASH2 0x400000u /* row: it is in an inet_bind2_bucket */
#define PL_BEFORE 0x200000u /* it was there before the tracer: since_ns is when the snapshot saw it */
#define PL_OPEN 0x4000000u  /* holder: its process has it open, by the descriptor that it was bound by */
#define PL_TREE 0x8000000u  /* the process is of the tree that is followed */

/* via: which hook told it */
#define PL_VIA_FEXIT 1
#define PL_VIA_TRACEPOINT 2 /* a syscall's exit */
#define PL_VIA_URING 3
#define PL_VIA_CGROUP 4
#define PL_VIA_STATE 5 /* tp_btf/inet_sock_set_state */
#define PL_VIA_ITER 6
#define PL_VIA_LSM 7 /* fexit/security_socket_bind */

struct pl_event {
	__u16 kind;
	__u16 size;
	__u32 flags;
	__u64 time_ns;
	__u64 sk;             /* address of the struct sock: the key, used again after a release */
	__u64 cookie;         /* 0: the kernel has not made one */
	__u64 inode;          /* of the socket's file; 0: none or not readable here */
	__u64 since_ns;       /* release: when the port was taken */
	__u64 start_ns;       /* caller's group leader: start_boottime */
	__u64 exec_id;        /* caller's self_exec_id */
	__u64 cgroup_id;      /* of the caller, cgroup v2 */
	__u64 owner_start_ns; /* release: the owner as tracked */
	__u64 owner_exec_id;
	__u32 pid; /* caller's thread group */
	__u32 tid;
	__u32 ppid;
	__u32 uid; /* effective, of the caller */
	__u32 gid;
	__u32 owner_pid;
	__u32 sock_uid; /* uid of the socket's inode: what the reuseport rule compares */
	__u32 netns;    /* inode number */
	__u32 ifindex;  /* SO_BINDTODEVICE or scope */
	__u32 l3mdev;   /* VRF of the bind bucket */
	__s32 error;    /* errno, positive; 0: it worked */
	__s32 backlog;  /* listen only */
	__u16 port;     /* the socket's own; 0: it has none */
	__u16 asked_port;
	__u16 proto;  /* IPPROTO_TCP or IPPROTO_UDP; MPTCP is TCP with PL_MPTCP */
	__u16 family; /* the socket's: AF_INET or AF_INET6 */
	__u8 state;   /* TCP state number, also for UDP */
	__u8 via;
	__u8 reserved0[2];
	__u16 asked_family;
	__u16 reserved1;
	__u8 addr[16]; /* IPv4 in the first four bytes */
	__u8 asked_addr[16];
	char comm[PL_COMM_LEN];   /* of the group leader; may be any bytes */
	char iface[PL_IFACE_LEN]; /* bound device; empty: none */
};

struct pl_holder {
	__u64 sk;
	__u64 cookie;
	__u64 inode;
	__u64 since_ns; /* PL_TRACKED: when it took the port; PL_LAST: when the last owner let go */
	__u64 start_ns;
	__u64 exec_id;
	__u64 cgroup_id;
	__u32 flags;
	__u32 pid; /* 0: not tracked */
	__u32 uid; /* of the tracked process */
	__u32 sock_uid;
	__u32 ifindex;
	__u16 port;
	__u16 family;
	__u8 state;
	__u8 reserved0[3];
	__u8 addr[16];
	char comm[PL_COMM_LEN];
	__u32 reserved1;
};

/* A bind or listen that failed with EADDRINUSE, and who was found on the port. size tells it from a plain event. */
struct pl_failure {
	struct pl_event event;
	__u32 count;    /* valid entries of holder */
	__u16 more;     /* 1: the walk stopped before the end, or there was no room */
	__u16 children; /* entries that neither listen nor are merely bound */
	struct pl_holder holder[PL_HOLDERS_MAX];
};

/*
 * Fixed in size although most of it is air: it is sent once for each exec, and a record built in place needs no scratch
 * memory that a preempted program could share.
 */
struct pl_process {
	__u16 kind;
	__u16 size;
	__u32 pid;
	__u64 start_ns;
	__u64 exec_id;
	__u64 cgroup_id;
	__u32 ppid;
	__u32 uid;
	__u32 gid;
	__u32 args_full; /* length of argv in the process; more than args_len: cut */
	__u16 exe_len;   /* bytes of exe in use */
	__u16 args_len;
	__u16 cgroup_len;
	__u8 exe_cut;    /* 1: the walk ended before the root */
	__u8 cgroup_cut; /* the same of cgroup */
	char comm[PL_COMM_LEN];
	char exe[PL_PATH_MAX + PL_NAME_MAX];    /* path components, leaf first, each with its NUL */
	char args[PL_ARGS_MAX];                 /* each argument with its NUL; the last may be cut */
	char cgroup[PL_PATH_MAX + PL_NAME_MAX]; /* as exe, in the v2 hierarchy */
};

/* What told says of a tracked socket. */
#define PL_TOLD_NOT 0 /* its bind or listen is still under way */
#define PL_TOLD_YES 1
#define PL_TOLD_LOST 2   /* the ring was full: a resync has to tell it */
#define PL_TOLD_HIDDEN 3 /* ephemeral or filtered: only kept to name a holder */
#define PL_TOLD_SNAPSHOT 4

/* Value of the map of tracked sockets; its key is the socket's address. Whoever holds a port is here. */
struct pl_tracked {
	__u64 since_ns;
	__u64 start_ns; /* of the process that took the port */
	__u64 exec_id;
	__u64 cgroup_id;
	__u64 cookie;
	__u64 inode;
	__u64 files; /* address of the process's descriptors; 0: unknown */
	__u32 flags;
	__u32 pid;
	__u32 ppid;
	__u32 uid;
	__u32 gid;
	__u32 sock_uid;
	__u32 netns;
	__u32 ifindex;
	__u32 l3mdev;
	__u16 port;
	__u16 family;
	__u16 proto;
	__u8 state;
	__u8 told;
	__u8 addr[16];
	char comm[PL_COMM_LEN];
	char iface[PL_IFACE_LEN];
	__u32 fd; /* of the socket there, plus 1; 0: unknown */
};

/* One row of the iterator when it is asked who has a socket open. */
struct pl_owner {
	__u64 sk;
	__u64 inode;
	__u64 start_ns;
	__u64 exec_id;
	__u64 cgroup_id;
	__u32 pid;
	__u32 uid;
	char comm[PL_COMM_LEN];
};

#define PL_WANTED_TRACKED 1 /* wanted_sk: every tracked socket; no socket has this address */

/* struct inet_bind_bucket as the conflict rules read it; valid 0: the socket is in none. */
struct pl_bucket {
	__u8 valid;
	__s8 fastreuse;
	__s8 fastreuseport;
	__u8 fast_ipv6_only;
	__u16 fast_family;
	__u16 reserved;
	__u32 fastuid;
	__u8 fast_addr4[4];
	__u8 fast_addr6[16];
};

#define PL_ROWS_AT_ONCE 256 /* that are handed over in the object's memory */

/* One socket that holds a port, and one process that has it open (pid 0: no file led to it). */
struct pl_row {
	__u16 kind;
	__u16 size;
	__u32 flags;
	__u64 sk;
	__u64 cookie;
	__u64 inode;
	__u64 start_ns;
	__u64 exec_id;
	__u64 cgroup_id;
	__u64 css_set; /* key of the process's cgroups, in every hierarchy: whose are equal are in the same ones */
	__u32 pid;
	__u32 ppid;
	__u32 uid;
	__u32 gid;
	__u32 sock_uid;
	__u32 netns;
	__u32 ifindex;
	__u32 l3mdev;
	__u16 port;
	__u16 proto;
	__u16 family;
	__u8 state;
	__u8 reserved0;
	__u8 addr[16];
	char comm[PL_COMM_LEN];
	char iface[PL_IFACE_LEN];
	struct pl_bucket bucket;
};

/* Key and value of the map of ports that were let go while something lingered on them. */
struct pl_port {
	__u32 netns;
	__u32 l3mdev;
	__u16 port;
	__u16 proto; /* table: IPPROTO_TCP or IPPROTO_UDP */
};

struct pl_last_owner {
	__u64 gone_ns;
	__u64 start_ns;
	__u64 exec_id;
	__u64 cgroup_id;
	__u32 pid;
	__u32 uid;
	char comm[PL_COMM_LEN];
};

_Static_assert(sizeof(struct pl_tracked) == 152, "pl_tracked has a hole");
_Static_assert(sizeof(struct pl_owner) == 64, "pl_owner has a hole");
_Static_assert(sizeof(struct pl_bucket) == 32, "pl_bucket has a hole");
_Static_assert(sizeof(struct pl_row) == 184, "pl_row has a hole");
_Static_assert(sizeof(struct pl_port) == 12, "pl_port has a hole");
_Static_assert(sizeof(struct pl_last_owner) == 56, "pl_last_owner has a hole");
_Static_assert(sizeof(struct pl_event) == 216, "pl_event has a hole");
_Static_assert(__builtin_offsetof(struct pl_event, pid) == 88, "pl_event moved");
_Static_assert(__builtin_offsetof(struct pl_event, port) == 136, "pl_event moved");
_Static_assert(__builtin_offsetof(struct pl_event, addr) == 152, "pl_event moved");
_Static_assert(sizeof(struct pl_holder) == 120, "pl_holder has a hole");
_Static_assert(sizeof(struct pl_failure) == 216 + 8 + 8 * 120, "pl_failure has a hole");
_Static_assert(sizeof(struct pl_process) == 72 + 2 * (PL_PATH_MAX + PL_NAME_MAX) + PL_ARGS_MAX,
	       "pl_process has a hole");

#endif
