/* SPDX-License-Identifier: GPL-2.0-only */
/* What every hook shares: maps, knobs, and the inline steps from a socket to a record in the ring. */
#ifndef PORTLOG_BPF_H
#define PORTLOG_BPF_H

#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include <portlog/event.h>

#include "compat.bpf.h"

/*
 * A function of its own, so that the 512 bytes of stack are shared one after the other. Static, because the verifier
 * checks a global one alone and then refuses kernel pointers.
 */
#define subprog static __noinline __attribute__((unused))

#define barrier_of_compiler() asm volatile("" ::: "memory")

#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_MPTCP 262
#define TCP_ESTABLISHED 1
#define TCP_SYN_SENT 2
#define TCP_TIME_WAIT 6
#define TCP_CLOSE 7
#define TCP_LISTEN 10
#define TCP_NEW_SYN_RECV 12
#define SOCK_BINDPORT_LOCK 8 /* include/net/sock.h: the port was asked for by number */
#define SOCK_CONNECT_BIND 16 /* the same, 6.18: connect chose it */
#define SOCKFS_MAGIC 0x534F434B
#define NULL ((void *)0)

#define EPERM 1
#define EBADF 9
#define EFAULT 14
#define EINVAL 22
#define ENOTSOCK 88
#define EOPNOTSUPP 95
#define EADDRINUSE 98

#define TRACKED_MAX 65536
#define PL_NETNS_MAX 8
#define PIDNS_STEPS 4 /* pid namespaces from a process's own to portlog's */

/*
 * A call under way, from the hook that sees its address to the one that sees its result. The descriptor cannot stand for
 * the socket: another thread may close it, or put another file there, before the call returns.
 */
struct call {
	u64 sk;        /* being bound; 0: none */
	u64 listening; /* the socket that this system call made a listener; 0: none */
	u64 from;      /* bind(2): where the caller has the address, */
	union {
		u32 len;     /* how long it is, */
		s32 backlog; /* or of the listen */
	};
	u32 fd; /* and the descriptor plus 1; 0: no system call */
	u16 asked_port;
	u16 asked_family;
	u32 bound; /* 1: the protocol has given the socket its port */
	u8 asked_addr[16];
};

/* The last pair that the kernel compared and found in conflict. Key: pid_tgid. */
struct conflict {
	u64 sk;
	u64 other;
};

/* A walk under way over the sockets on a port or up a path, and what it found: bpf/walk.bpf.c. Key: pid_tgid. */
struct walk {
	u64 node; /* of the next socket; 0: the next bucket's first */
	union {
		u64 bucket2; /* node of the next inet_bind2_bucket; 0: none */
		u64 mount;   /* of the dentry that node is, on the way to the root */
	};
	u64 net; /* UDP: the namespace, for a slot is shared; 0: TCP */
	u64 sk;  /* whose call failed */
	u64 found[PL_HOLDERS_MAX];
	u16 port;
	u16 count; /* of found */
	u16 children;
	u8 more;    /* there are, or may be, others */
	u8 tripped; /* found[0] is the one that the kernel's own check stopped at */
};

struct process_id {
	u64 start_ns;
	u32 pid;
	u32 reserved;
};

/* The exec and cgroup that the ring has been told for a process. */
struct process_told {
	u64 exec_id;
	u64 cgroup_id;
};

struct ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
};

struct tracked {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, TRACKED_MAX);
	__type(key, u64);
	__type(value, struct pl_tracked);
};

/* System calls: one at a time in each thread, and its exit is seen. Key: pid_tgid. */
struct calls {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, u64);
	__type(value, struct call);
};

/*
 * Binds of no bind(2): io_uring tells the results of many at once, maybe in another thread, and of those that fail for
 * the kernel itself nobody sees a result. Key: the socket.
 */
struct requests {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, u64);
	__type(value, struct call);
};

/* Sockets to be told that are not tracked: released before their bind was told, or bound without a port. */
struct early {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, u64);
	__type(value, struct pl_tracked);
};

struct conflicts {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, u64);
	__type(value, struct conflict);
};

struct walks {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, u64);
	__type(value, struct walk);
};

struct known {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct process_id);
	__type(value, struct process_told);
};

struct lingering {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct pl_port);
	__type(value, struct pl_last_owner);
};

/*
 * Processes of the tree that is followed. Key: thread group, as the kernel's first pid namespace numbers it, so that
 * containers below are like any others; value: start_boottime, for a number is used again.
 */
struct tree {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1); /* more when a tree is followed */
	__type(key, u32);
	__type(value, u64);
};

extern struct ring ring SEC(".maps");
extern struct tracked tracked SEC(".maps");
extern struct calls calls SEC(".maps");
extern struct requests requests SEC(".maps");
extern struct early early SEC(".maps");
extern struct conflicts conflicts SEC(".maps");
extern struct walks walks SEC(".maps");
extern struct known known SEC(".maps");
extern struct lingering lingering SEC(".maps");
extern struct tree tree SEC(".maps");

/* Knobs, set before the programs are loaded. */
extern const volatile unsigned int opt_netns[PL_NETNS_MAX]; /* only these; opt_netns_count 0: all */
extern const volatile unsigned int opt_netns_count;
extern const volatile bool opt_ports; /* only ports with a bit in opt_port_bits */
extern const volatile unsigned char opt_port_bits[65536 / 8];
extern const volatile bool opt_failed_only;   /* successes are tracked and not told */
extern const volatile bool opt_ephemeral;     /* port-0 binds are told */
extern const volatile unsigned int opt_pid;   /* only calls of this process are told; 0: all */
extern const volatile unsigned int opt_pidns; /* inode of portlog's own pid namespace; 0: the first one */
extern const volatile unsigned int
	opt_tree; /* follow the tree of this process, and tell of others only failures; 0: all */
extern const volatile unsigned long long
	zeros[16];                     /* a value to begin with: on the stack it would take too much */
extern const volatile int opt_nr_bind; /* numbers of system calls: __NR_bind */
extern const volatile int opt_nr_listen;

/* Shared with the reader while it runs. */
extern unsigned int reader_awake;  /* the reader will look again by itself: no wake-up needed */
extern unsigned long long barrier; /* its atomic add orders reserve before the read of reader_awake */
extern unsigned long long lost[PL_KIND_MAX];        /* records that found no room, by kind */
extern unsigned long long lost_failed[PL_KIND_MAX]; /* of those, failed calls */
extern unsigned long long tracked_full;             /* sockets that found no room in tracked */
extern unsigned long long tree_full;                /* processes that found no room in tree */
extern unsigned long long hidden_binds;             /* ephemeral binds counted and not told */
extern unsigned int watch_lingering;                /* user space waits for a port to become free */
extern unsigned int any_lingered;                   /* the map lingering was ever written to */
extern unsigned int tell_owners;                    /* the iterator tells owners of sockets known already */
extern unsigned long long wanted_sk; /* the iterator answers who has this socket, and tells nothing; 0: all */

/*
 * One step along a list of the kernel's (bpf/walk.bpf.c): the next node, with STEP_FOUND when the one at @node is what is
 * looked for. Global functions, because those are verified once, whatever is known of their arguments; the body of a loop
 * is verified again for each turn.
 */
#define STEP_FOUND 1 /* nodes are aligned */
u64 device_step(u64 node, u32 ifindex);
u64 bucket_step(u64 node, u64 net, u32 port, u32 l3mdev);
u64 udp_step(u64 node, u64 net, u32 port, u64 own); /* a socket on the port that is not @own */

/* One step up the path that a walk is begun for: the address of a component's name, or one of these. */
#define PATH_ROOT 0
#define PATH_CROSSED 1
u64 path_step(u64 id);

/* @id is that of the task, bpf_get_current_pid_tgid(). NULL: too many walks at once. */
static __always_inline struct walk *walk_new(u64 id)
{
	bpf_map_update_elem(&walks, &id, (void *)zeros, BPF_ANY);
	return bpf_map_lookup_elem(&walks, &id);
}

static __always_inline void walk_end(u64 id)
{
	bpf_map_delete_elem(&walks, &id);
}

/* Who makes a call, by thread group: never an io_uring worker's own name. */
struct caller {
	u64 start_ns;
	u64 exec_id;
	u64 cgroup_id;
	u32 pid;
	u32 ppid;
	u32 uid;
	u32 gid;
	char comm[PL_COMM_LEN];
};

static __always_inline struct task_struct *current_task(void)
{
	return (struct task_struct *)bpf_get_current_task();
}

/* PL_TREE when @task belongs to the tree that is followed. */
static __always_inline u32 tree_flag(struct task_struct *task)
{
	struct task_struct *leader;
	u64 *start;
	u32 tgid;

	if (!opt_tree)
		return 0;
	tgid = BPF_CORE_READ(task, tgid);
	start = bpf_map_lookup_elem(&tree, &tgid);
	if (!start)
		return 0;
	leader = BPF_CORE_READ(task, group_leader);
	return BPF_CORE_READ(leader, start_boottime) == *start ? PL_TREE : 0;
}

/* The number of @leader in portlog's pid namespace; 0 when it lives outside. */
static __always_inline u32 task_pid(struct task_struct *leader)
{
	struct pid *pid;
	u32 level;

	if (!opt_pidns)
		return BPF_CORE_READ(leader, tgid);
	pid = BPF_CORE_READ(leader, thread_pid);
	level = BPF_CORE_READ(pid, level);
	/* From its own namespace outwards. A level says nothing: another container's is as deep. */
	for (u32 i = 0; i < PIDNS_STEPS && i <= level; i++) {
		struct upid *at = (void *)pid + bpf_core_field_offset(struct pid, numbers) +
				  (u64)(level - i) * bpf_core_type_size(struct upid);

		if (BPF_CORE_READ(at, ns, ns.inum) == opt_pidns)
			return BPF_CORE_READ(at, nr);
	}
	return 0;
}

static __always_inline struct kernfs_node *task_cgroup(struct task_struct *task)
{
	return BPF_CORE_READ(task, cgroups, dfl_cgrp, kn);
}

/* @c: a struct caller or a struct pl_tracked, which name these members alike; a copy of them would cost stack. */
#define caller_fill(c, task)                                                                              \
	do {                                                                                              \
		struct task_struct *leader_ = BPF_CORE_READ(task, group_leader);                          \
		const struct cred *cred_ = BPF_CORE_READ(task, cred);                                     \
		struct kernfs_node *kn_ = task_cgroup(task);                                              \
		u32 ids_[2] = {};                                                                         \
                                                                                                          \
		(c)->start_ns = BPF_CORE_READ(leader_, start_boottime);                                   \
		(c)->exec_id = BPF_CORE_READ(leader_, self_exec_id);                                      \
		(c)->cgroup_id = BPF_CORE_READ(kn_, id);                                                  \
		(c)->pid = task_pid(leader_);                                                             \
		(c)->ppid = task_pid(BPF_CORE_READ(leader_, real_parent));                                \
		bpf_probe_read_kernel(ids_, sizeof(ids_),                                                 \
				      (void *)cred_ + bpf_core_field_offset(struct cred, euid));          \
		(c)->uid = ids_[0];                                                                       \
		(c)->gid = ids_[1]; /* egid stands behind euid, always did */                             \
		bpf_probe_read_kernel(&(c)->comm, sizeof((c)->comm),                                      \
				      (void *)leader_ + bpf_core_field_offset(struct task_struct, comm)); \
	} while (0)

/* Which wake-up a record just reserved needs: the order reserve, barrier, flag loses none (the reverse does). */
static __always_inline u64 wake_flags(void)
{
	__sync_fetch_and_add(&barrier, 1);
	return *(volatile unsigned int *)&reader_awake ? BPF_RB_NO_WAKEUP : BPF_RB_FORCE_WAKEUP;
}

static __always_inline void count_lost(u32 kind, s32 error)
{
	if (kind >= PL_KIND_MAX)
		return;
	__sync_fetch_and_add(&lost[kind], 1);
	if (error)
		__sync_fetch_and_add(&lost_failed[kind], 1);
}

/* Is @sk a TCP or UDP socket over IPv4 or IPv6? (MPTCP's own socket holds no port: its subflow does.) */
static __always_inline bool socket_is_ours(struct sock *sk)
{
	u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);
	u16 proto = BPF_CORE_READ(sk, sk_protocol);

	return (family == AF_INET || family == AF_INET6) && (proto == IPPROTO_TCP || proto == IPPROTO_UDP);
}

/* The same address as a plain number: a typed pointer may not be passed to a global function. */
static __always_inline struct sock *scalar_socket(struct sock *sk)
{
	struct sock *plain = NULL;

	bpf_probe_read_kernel(&plain, sizeof(plain), &sk);
	return plain;
}

/* The context's socket: the verifier allows no reads through it, but its address is a key like any other. */
static __always_inline struct sock *context_socket(void *ctx_sk)
{
	struct sock *sk = NULL;

	bpf_probe_read_kernel(&sk, sizeof(sk), &ctx_sk);
	return sk;
}

/* The file behind descriptor @fd of @from; NULL: no descriptor. No reference is taken. */
static __always_inline struct file *files_file(struct files_struct *from, u32 fd)
{
	struct fdtable *table = BPF_CORE_READ(from, fdt);
	struct file **files = BPF_CORE_READ(table, fd);
	struct file *file = NULL;

	if (fd < BPF_CORE_READ(table, max_fds))
		bpf_probe_read_kernel(&file, sizeof(file), files + fd);
	return file;
}

/* The socket behind descriptor @fd of @from; NULL: no descriptor, or of something else. */
static __always_inline struct sock *files_socket(struct files_struct *from, u32 fd)
{
	struct file *file = files_file(from, fd);
	struct socket *sock;

	if (!file || BPF_CORE_READ(file, f_inode, i_sb, s_magic) != SOCKFS_MAGIC)
		return NULL;
	sock = BPF_CORE_READ(file, private_data);
	return BPF_CORE_READ(sock, sk);
}

static __always_inline struct sock *descriptor_socket(struct task_struct *task, u32 fd)
{
	return files_socket(BPF_CORE_READ(task, files), fd);
}

/* From the socket a program holds to the one that holds the port. */
static __always_inline struct sock *socket_normal(struct sock *sk)
{
	return BPF_CORE_READ(sk, sk_protocol) == IPPROTO_MPTCP ? mptcp_port_owner(sk) : sk;
}

static __always_inline bool socket_is_mptcp(struct sock *sk)
{
	struct tcp_sock *tp = (void *)sk;

	if (BPF_CORE_READ(sk, sk_protocol) != IPPROTO_TCP || !bpf_core_field_exists(tp->is_mptcp))
		return false;
	return BPF_CORE_READ(tp, is_mptcp);
}

/*
 * PL_MPTCP for the subflow of an MPTCP socket, PL_KERNEL for a socket of the kernel's own: a subflow is one for itself,
 * and is the kernel's own when its MPTCP socket is (an endpoint with a port, since 5.12).
 */
static __always_inline u32 socket_owner_flags(struct sock *sk)
{
	struct sock *msk;

	if (!BPF_CORE_READ_BITFIELD_PROBED(sk, sk_kern_sock))
		return 0;
	if (!socket_is_mptcp(sk))
		return PL_KERNEL;
	msk = mptcp_of_subflow(sk);
	return msk && BPF_CORE_READ_BITFIELD_PROBED(msk, sk_kern_sock) ? PL_MPTCP | PL_KERNEL : PL_MPTCP;
}

/* @bit (0 or 1) moved to where @flag stands: a branch for each would double the verifier's states each time. */
#define flag_of(bit, flag) ((u32)(bit) << __builtin_ctz(flag))

/*
 * What every socket begins with, also one in TIME_WAIT, up to its namespace, copied at once: a probe read of one member
 * costs as much as one of them all. Not more of it, for the stack: the IPv6 address and the cookie lie behind.
 */
struct common {
	u8 bytes[56];
} __attribute__((aligned(8)));

static __always_inline const struct sock_common *common_read(struct common *copy, struct sock *sk)
{
	bpf_probe_read_kernel(copy, sizeof(*copy), sk);
	return (const struct sock_common *)copy;
}

static __always_inline u32 socket_flags(struct sock *sk, const struct sock_common *common)
{
	u32 locks = BPF_CORE_READ_BITFIELD_PROBED(sk, sk_userlocks);
	u32 reuse = BPF_CORE_READ_BITFIELD(common, skc_reuse);
	u32 inet = inet_options(sk);

	/* sk_reuse is 0, 1 (SK_CAN_REUSE) or 2 (SK_FORCE_REUSE, for TCP_REPAIR). */
	return socket_owner_flags(sk) | flag_of((reuse | reuse >> 1) & 1, PL_REUSEADDR) |
	       flag_of(BPF_CORE_READ_BITFIELD(common, skc_reuseport) & 1, PL_REUSEPORT) |
	       flag_of(BPF_CORE_READ_BITFIELD(common, skc_ipv6only) & 1, PL_V6ONLY) |
	       flag_of(locks / SOCK_BINDPORT_LOCK & 1, PL_EXPLICIT) |
	       flag_of(inet >> INET_FLAGS_FREEBIND & 1, PL_FREEBIND) |
	       flag_of(inet >> INET_FLAGS_TRANSPARENT & 1, PL_TRANSPARENT) |
	       flag_of(inet >> INET_FLAGS_BIND_ADDRESS_NO_PORT & 1, PL_NO_PORT);
}

static __always_inline void socket_addr(u8 *addr, struct sock *sk, const struct sock_common *common)
{
	if (common->skc_family == AF_INET6)
		bpf_probe_read_kernel(
			addr, 16, (void *)sk + bpf_core_field_offset(struct sock_common, skc_v6_rcv_saddr));
	else
		__builtin_memcpy(addr, &common->skc_rcv_saddr, 4);
}

static __always_inline u64 socket_inode(struct sock *sk, u32 *uid)
{
	struct socket *sock = BPF_CORE_READ(sk, sk_socket);
	struct inode *inode;

	if (!sock) {
		*uid = BPF_CORE_READ(sk, sk_uid.val);
		return 0;
	}
	inode = (void *)sock + bpf_core_field_offset(struct socket_alloc, vfs_inode) -
		bpf_core_field_offset(struct socket_alloc, socket);
	*uid = BPF_CORE_READ(inode, i_uid.val);
	return BPF_CORE_READ(inode, i_ino);
}

/* Name of the bound device: a few steps down its hash chain (256 chains a namespace, net/core/dev.c). */
static __always_inline void iface_name(char *name, struct net *net, u32 ifindex)
{
	struct hlist_head *heads = BPF_CORE_READ(net, dev_index_head);
	u64 node = 0;

	bpf_probe_read_kernel(&node, sizeof(node), heads + (ifindex & 255));
	for (int i = 0; i < 8 && node; i++) {
		u64 next = device_step(node, ifindex);

		if (next & STEP_FOUND)
			break;
		node = next;
	}
	if (node)
		bpf_probe_read_kernel(name, PL_IFACE_LEN,
				      (void *)node - bpf_core_field_offset(struct net_device, index_hlist) +
					      bpf_core_field_offset(struct net_device, name));
}

static __always_inline u32 socket_netns(struct sock *sk)
{
	return BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
}

static __always_inline u32 socket_l3mdev(struct sock *sk)
{
	struct inet_connection_sock *icsk = (void *)sk;

	return BPF_CORE_READ(icsk, icsk_bind_hash, l3mdev);
}

/*
 * All there is to say of @sk and of who makes the call; since_ns and told are the caller's. @t is zeroed before.
 */
subprog void facts_fill(struct pl_tracked *t, struct sock *sk, struct task_struct *task)
{
	struct common copy;
	const struct sock_common *common = common_read(&copy, sk);
	struct net *net = common->skc_net.net;

	caller_fill(t, task);
	t->cookie = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
	t->inode = socket_inode(sk, &t->sock_uid);
	t->flags = socket_flags(sk, common) | tree_flag(task);
	t->netns = BPF_CORE_READ(net, ns.inum);
	t->ifindex = common->skc_bound_dev_if;
	t->port = common->skc_num;
	t->family = common->skc_family;
	t->proto = BPF_CORE_READ(sk, sk_protocol);
	t->state = common->skc_state;
	socket_addr(t->addr, sk, common);
	if (!t->ifindex)
		return; /* without a device there is no VRF either (inet_sk_bound_l3mdev) */
	iface_name(t->iface, net, t->ifindex);
	if (t->proto == IPPROTO_TCP)
		t->l3mdev = socket_l3mdev(sk);
}

static __always_inline bool port_wanted(u16 port)
{
	return !opt_ports || opt_port_bits[port >> 3] & 1 << (port & 7);
}

static __always_inline bool netns_wanted(struct sock *sk)
{
	u32 netns;

	if (!opt_netns_count)
		return true;
	netns = socket_netns(sk);
	for (int i = 0; i < PL_NETNS_MAX; i++)
		if (i < opt_netns_count && opt_netns[i] == netns)
			return true;
	return false;
}

static __always_inline bool pid_wanted(u32 pid)
{
	return !opt_pid || opt_pid == pid;
}

/* A call that worked is told of the tree alone, where one is followed. */
static __always_inline bool tree_wanted(u32 flags)
{
	return !opt_tree || flags & PL_TREE;
}

/* The event's part that comes from a tracked socket (or from facts just gathered). */
static __always_inline void event_fill(struct pl_event *e, u16 kind, u64 sk, const struct pl_tracked *t)
{
	__builtin_memset(e, 0, sizeof(*e));
	e->kind = kind;
	e->size = sizeof(*e);
	e->flags = t->flags;
	e->time_ns = bpf_ktime_get_boot_ns();
	e->sk = sk;
	e->cookie = t->cookie;
	e->inode = t->inode;
	e->since_ns = t->since_ns;
	e->sock_uid = t->sock_uid;
	e->netns = t->netns;
	e->ifindex = t->ifindex;
	e->l3mdev = t->l3mdev;
	e->port = t->port;
	e->proto = t->proto;
	e->family = t->family;
	e->state = t->state;
	__builtin_memcpy(e->addr, t->addr, sizeof(e->addr));
	__builtin_memcpy(e->iface, t->iface, sizeof(e->iface));
}

static __always_inline void event_caller(struct pl_event *e, const struct caller *c)
{
	e->start_ns = c->start_ns;
	e->exec_id = c->exec_id;
	e->cgroup_id = c->cgroup_id;
	e->pid = c->pid;
	e->tid = c->pid;
	e->ppid = c->ppid;
	e->uid = c->uid;
	e->gid = c->gid;
	__builtin_memcpy(e->comm, c->comm, sizeof(e->comm));
}

/* The event's caller is the one who took the port. */
static __always_inline void event_owner(struct pl_event *e, const struct pl_tracked *t)
{
	e->start_ns = t->start_ns;
	e->exec_id = t->exec_id;
	e->cgroup_id = t->cgroup_id;
	e->pid = t->pid;
	e->tid = t->pid;
	e->ppid = t->ppid;
	e->uid = t->uid;
	e->gid = t->gid;
	__builtin_memcpy(e->comm, t->comm, sizeof(e->comm));
}

static __always_inline u32 current_tid(u32 pid)
{
	/* In a nested pid namespace only thread groups are translated. */
	return opt_pidns ? pid : (u32)bpf_get_current_pid_tgid();
}

#endif
