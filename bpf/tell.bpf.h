/* SPDX-License-Identifier: GPL-2.0-only */
/* From what a hook saw to one record in the ring: a bind or listen that worked, one that failed, a release. */
#ifndef TELL_BPF_H
#define TELL_BPF_H

#include "holder.bpf.h"
#include "portlog.bpf.h"

/* What was asked for. family 0: the address is not known. */
struct asked {
	u16 port;
	u16 family;
	bool kernel_copy; /* as the protocol saw it; else read from the caller's memory */
	u8 addr[16] __attribute__((aligned(8)));
};

/* A call that returned: all that is not in the socket. */
struct outcome {
	u16 kind;
	u8 via;
	s32 error;
	union {
		s32 backlog; /* listen */
		u32 fd;      /* bind: the descriptor plus 1; 0: unknown */
	};
	struct asked asked;
};

/*
 * Global functions are verified once for each program, not once for each call: they take scalars, for the verifier would
 * refuse a kernel pointer there (and, until 5.12, any pointer). So an outcome travels in four words.
 */
int process_tell(u64 start_ns, u32 pid, u64 exec_id, u64 cgroup_id);
int told_success(u64 sk, u64 how, u64 asked, u64 addr_low, u64 addr_high);
int portless_note(u64 sk);
int told_failure(u64 sk, u64 how, u64 asked, u64 addr_low, u64 addr_high);

#define outcome_words(o, words)                                                                             \
	u64 words[4] = {                                                                                    \
		(o)->kind | (u64)(o)->via << 8 | (u64)(u16)(o)->error << 16 | (u64)(u32)(o)->backlog << 32, \
		(o)->asked.port | (u64)(o)->asked.family << 16 | (u64)(o)->asked.kernel_copy << 32,         \
	};                                                                                                  \
	__builtin_memcpy(&words[2], (o)->asked.addr, 16)

#define TOLD_EARLY \
	1 /* it is tracked no more: another thread has closed it, and may have left the release to us */

/* Tell a call that worked on the tracked socket @sk. Whether that found room is noted in the map for the resync. */
static __always_inline int tell_success(u64 sk, const struct outcome *o)
{
	outcome_words(o, w);
	return told_success(sk, w[0], w[1], w[2], w[3]);
}

/* Tell a call that failed on @sk. A bind is about what it asked for, a listen about the socket's own port. */
static __always_inline void tell_failure(struct sock *sk, const struct outcome *o)
{
	outcome_words(o, w);
	told_failure((u64)sk, w[0], w[1], w[2], w[3]);
}

/* A bind that worked and holds no port (IP_BIND_ADDRESS_NO_PORT): ephemeral like any port 0, and tracked by nobody. */
static __always_inline void tell_portless(struct sock *sk, const struct outcome *o)
{
	u64 key = (u64)sk;

	portless_note(key);
	tell_success(key, o);
	bpf_map_delete_elem(&early, &key);
}

/* What was noted at the begin of the bind of @sk that this thread is in, or io_uring completes. NULL: nothing. */
static __always_inline struct call *call_find(u64 sk)
{
	u64 id = bpf_get_current_pid_tgid();
	struct call *c = bpf_map_lookup_elem(&calls, &id);

	return c && c->sk == sk ? c : bpf_map_lookup_elem(&requests, &sk);
}

static __always_inline void asked_from_call(struct asked *a, const struct call *c)
{
	a->port = c->asked_port;
	a->family = c->asked_family;
	a->kernel_copy = true;
	__builtin_memcpy(a->addr, c->asked_addr, sizeof(a->addr));
}

/* The sockaddr at @from, @len bytes of the caller's or the kernel's memory. */
static __always_inline void asked_read(struct asked *a, const void *from, u32 len, bool kernel)
{
	struct {
		u16 family;
		__be16 port;
		u32 v4;
		u8 v6[16];
	} sa = {};
	long r;

	if (len < 16)
		return;
	r = len >= 24 ? kernel ? bpf_probe_read_kernel(&sa, 24, from) : bpf_probe_read_user(&sa, 24, from)
	    : kernel ? bpf_probe_read_kernel(&sa, 8, from)
		      : bpf_probe_read_user(&sa, 8, from);
	if (r || (sa.family != AF_INET && sa.family != AF_INET6 && sa.family != 0))
		return;
	if (sa.family == AF_INET6 && len < 24)
		return;
	/* AF_UNSPEC with the wildcard means AF_INET to inet_bind, for compatibility. */
	a->family = sa.family ? sa.family : AF_INET;
	a->port = bpf_ntohs(sa.port);
	a->kernel_copy = kernel;
	if (a->family == AF_INET6)
		__builtin_memcpy(a->addr, sa.v6, 16);
	else
		__builtin_memcpy(a->addr, &sa.v4, 4);
}

/* Nothing more will be told of a socket that finds no room: wake the reader, which says so. */
subprog void no_room(void)
{
	struct pl_event *e;

	__sync_fetch_and_add(&tracked_full, 1);
	e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);
	if (!e)
		return;
	__builtin_memset(e, 0, sizeof(*e));
	e->kind = PL_HINT;
	e->size = sizeof(*e);
	bpf_ringbuf_submit(e, wake_flags());
}

/*
 * Put @sk into the map of tracked sockets. A snapshot may have told it in the middle of its own bind: then the bind's
 * record is marked, not told twice.
 */
static __always_inline void track(u64 sk, struct pl_tracked *t, u8 told)
{
	struct pl_tracked *before;

	t->told = told;
	if (!bpf_map_update_elem(&tracked, &sk, t, BPF_NOEXIST))
		return;
	before = bpf_map_lookup_elem(&tracked, &sk);
	/* Another inode: the snapshot saw a socket on its way out, whose address is this one's now. */
	if (before && before->told == PL_TOLD_SNAPSHOT && before->inode == t->inode)
		t->flags |= PL_TOLD;
	if (bpf_map_update_elem(&tracked, &sk, t, BPF_ANY))
		no_room();
}

static __always_inline bool success_hidden(const struct pl_tracked *t)
{
	bool ephemeral = t->flags & PL_EPHEMERAL && !opt_ephemeral;

	if (ephemeral)
		__sync_fetch_and_add(&hidden_binds, 1);
	return ephemeral || opt_failed_only || !pid_wanted(t->pid) || !tree_wanted(t->flags);
}

static __always_inline void port_key(struct pl_port *key, const struct pl_tracked *t)
{
	key->netns = t->netns;
	key->l3mdev = t->l3mdev;
	key->port = t->port;
	key->proto = t->proto;
}

/* Something is left on the port: remember who had it, for whoever fails on what lingers. */
subprog void linger(const struct pl_tracked *t, u64 now)
{
	struct pl_last_owner last = {};
	struct pl_port key = {};

	port_key(&key, t);
	last.gone_ns = now;
	last.start_ns = t->start_ns;
	last.exec_id = t->exec_id;
	last.cgroup_id = t->cgroup_id;
	last.pid = t->pid;
	last.uid = t->uid;
	__builtin_memcpy(last.comm, t->comm, sizeof(last.comm));
	any_lingered = 1;
	bpf_map_update_elem(&lingering, &key, &last, BPF_ANY);
}

/* Nothing is left: whoever takes the port next without a bind has nothing to do with who had it. */
subprog void linger_forget(const struct pl_tracked *t)
{
	struct pl_port key = {};

	if (!*(volatile unsigned int *)&any_lingered)
		return;
	port_key(&key, t);
	bpf_map_delete_elem(&lingering, &key);
}

subprog void tell_release(u64 sk, const struct pl_tracked *t, u32 free, u8 via, bool process_context)
{
	struct task_struct *task;
	struct pl_event *e;

	e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);
	if (!e) {
		count_lost(PL_RELEASE, 0);
		return;
	}
	event_fill(e, PL_RELEASE, sk, t);
	event_owner(e, t);
	e->owner_pid = t->pid;
	e->owner_start_ns = t->start_ns;
	e->owner_exec_id = t->exec_id;
	e->flags |= free;
	e->via = via;
	if (process_context && (opt_pidns || bpf_get_current_pid_tgid() >> 32 != t->pid)) {
		/* Who dropped the last reference, if it is not the owner: told beside the owner, never as the owner. */
		task = BPF_CORE_READ(current_task(), group_leader);
		e->tid = task_pid(task);
		e->flags |= PL_PROCESS_CTX;
		bpf_probe_read_kernel(&e->asked_addr, sizeof(e->asked_addr),
				      (void *)task + bpf_core_field_offset(struct task_struct, comm));
	}
	bpf_ringbuf_submit(e, wake_flags());
}

/*
 * A tracked socket gives its port up. Exactly once: whoever deletes the entry tells. Another thread may be faster than the
 * return of bind: then the bind's own hook tells both, unless it comes to tell the bind meanwhile; whoever takes the entry
 * out of early tells the release. An entry of tracked that was deleted keeps its value until this processor uses it again.
 */
subprog void release(u64 sk, struct pl_tracked *found, u32 free, u8 via, bool process_context)
{
	struct pl_tracked t = *found;
	bool under_way = t.told == PL_TOLD_NOT;

	if (under_way)
		bpf_map_update_elem(&early, &sk, &t, BPF_ANY);
	if (bpf_map_delete_elem(&tracked, &sk))
		return;
	if (!(free & (PL_FREE | PL_FREE_UNKNOWN)))
		linger(&t, bpf_ktime_get_boot_ns());
	else if (free & PL_FREE)
		linger_forget(&t);
	if (under_way) {
		__sync_fetch_and_add(&barrier, 1);
		t.told = *(volatile __u8 *)&found->told;
		if (t.told == PL_TOLD_NOT || bpf_map_delete_elem(&early, &sk))
			return;
	}
	if (t.told != PL_TOLD_HIDDEN)
		tell_release(sk, &t, free, via, process_context);
}

/*
 * Told when the port is granted or the state changes: the kernel's own sockets and 32-bit callers, who are there to be
 * asked, so no process record goes before it.
 */
subprog void tell_granted(u64 sk, const struct outcome *o)
{
	struct pl_tracked *t = bpf_map_lookup_elem(&tracked, &sk);
	struct pl_event *e;

	if (!t)
		return;
	if (success_hidden(t)) {
		t->told = PL_TOLD_HIDDEN;
		return;
	}
	e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);
	if (!e) {
		count_lost(o->kind, 0);
		t->told = PL_TOLD_LOST;
		return;
	}
	event_fill(e, o->kind, sk, t);
	event_owner(e, t);
	e->via = o->via;
	e->backlog = o->backlog;
	t->told = PL_TOLD_YES;
	bpf_ringbuf_submit(e, wake_flags());
}

/* Tell a call that worked, and the release when another thread has closed the socket already. */
static __always_inline void tell_taken(u64 sk, const struct outcome *o)
{
	struct pl_tracked *t;

	if (tell_success(sk, o) != TOLD_EARLY)
		return;
	t = bpf_map_lookup_elem(&early, &sk);
	if (t && !bpf_map_delete_elem(&early, &sk))
		tell_release(sk, t, PL_FREE_UNKNOWN, o->via, false);
}

/* clang would call a memcmp of so many bytes, and BPF has none. */
static __always_inline bool addr_same(const u8 *a, const u8 *b)
{
	const u64 *x = (const void *)a, *y = (const void *)b;

	return x[0] == y[0] && x[1] == y[1];
}

/*
 * What the caller itself asked for, where a cgroup program has changed it on the way. The caller's memory may have
 * changed since: so it is believed only for what is told beside the socket's own address, never instead of it.
 */
#define asked_is_original(original, family_, port_, addr_) \
	((original)->family == (family_) &&                \
	 ((original)->port != (port_) || !addr_same((original)->addr, addr_)))

static __always_inline void asked_original(struct asked *a, u64 from, u32 len)
{
	struct asked original = {};

	asked_read(&original, (void *)from, len, false);
	if (asked_is_original(&original, a->family, a->port, a->addr))
		*a = original;
}

/* The same of a bind(2), by what was noted at its begin. */
static __always_inline void asked_call(struct asked *a, const struct call *c)
{
	asked_read(a, (void *)c->from, c->len, false);
	if (!asked_is_original(a, c->asked_family, c->asked_port, c->asked_addr))
		asked_from_call(a, c);
}

/* What only the system call itself knows of a bind that worked; a bind of io_uring's or the kernel's has none. */
static __always_inline void outcome_call(struct outcome *o)
{
	struct entry entry = {};

	entry_read(&entry, current_task());
	if (entry.nr != opt_nr_bind)
		return;
	o->fd = (u32)entry.arg[0] + 1;
	asked_original(&o->asked, entry.arg[1], entry.arg[2]);
}

/* The result of a bind(2) that the protocol saw: @c is what was noted at its begin. */
static __always_inline void bind_result(const struct call *c, s32 error)
{
	struct outcome o = { .kind = PL_BIND, .via = PL_VIA_TRACEPOINT, .error = error };
	u64 key = c->sk;

	if (error) {
		asked_from_call(&o.asked, c);
		/* A program after ours refused what the protocol had granted: the port is given back in silence. */
		if (c->bound)
			bpf_map_delete_elem(&tracked, &key);
		tell_failure((void *)key, &o);
		return;
	}
	asked_call(&o.asked, c);
	o.fd = c->fd;
	tell_taken(key, &o);
}

/*
 * The result of a listen. A listener is in the map since its state changed; a port-0 bind that listens is a server and
 * is told from here on. false: it worked, and the socket is not tracked.
 */
static __always_inline bool listen_result(struct sock *sk, s32 error, s32 backlog, u8 via)
{
	struct outcome o = { .kind = PL_LISTEN, .via = via, .error = error, .backlog = backlog };
	struct pl_tracked *t;
	u64 key = (u64)sk;

	if (error) {
		tell_failure(sk, &o);
		return true;
	}
	t = bpf_map_lookup_elem(&tracked, &key);
	if (!t)
		return false;
	t->port = BPF_CORE_READ(sk, __sk_common.skc_num);
	t->l3mdev = socket_l3mdev(sk);
	t->state = TCP_LISTEN;
	t->flags = (t->flags | PL_LISTENED | tree_flag(current_task())) & ~PL_EPHEMERAL;
	if (port_wanted(t->port))
		tell_taken(key, &o);
	return true;
}

/* A TCP socket begins to listen: it holds its port from now on, even where the port is not known yet (port 0). */
subprog void listen_track(struct sock *sk)
{
	struct pl_tracked *before, t = {};
	u64 key = (u64)sk;

	before = bpf_map_lookup_elem(&tracked, &key);
	if (before) {
		before->state = TCP_LISTEN;
		return;
	}
	if (!netns_wanted(sk))
		return;
	facts_fill(&t, sk, current_task());
	if (t.port && !port_wanted(t.port))
		return;
	if (!(t.flags & PL_EXPLICIT))
		t.flags |= PL_EPHEMERAL;
	t.since_ns = bpf_ktime_get_boot_ns();
	track(key, &t, PL_TOLD_NOT);
}

#endif
