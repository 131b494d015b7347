// SPDX-License-Identifier: GPL-2.0-only
/* Bind attempts and their results, IPv4 and IPv6: by fexit, or by cgroup hooks and the exit of the system call. */
#include "tell.bpf.h"

#define SOCKADDR_MAX 128 /* sizeof(struct sockaddr_storage): what is longer no kernel takes */

/* ---- fexit set: one hook sees request and result ---- */

/* Does @sk, which has just got its port, pass the filters? Then it is tracked. */
subprog bool bind_tracked(struct sock *sk, bool ephemeral)
{
	struct pl_tracked t = {};
	u64 key = (u64)sk;

	if (!netns_wanted(sk))
		return false;
	facts_fill(&t, sk, current_task());
	if (!port_wanted(t.port))
		return false;
	if (ephemeral)
		t.flags |= PL_EPHEMERAL;
	t.since_ns = bpf_ktime_get_boot_ns();
	track(key, &t, PL_TOLD_NOT);
	return true;
}

static __always_inline int bind_returned(struct sock *sk, const void *addr, int len, int ret)
{
	struct outcome o = { .kind = PL_BIND, .via = PL_VIA_FEXIT, .error = -ret };

	if (!socket_is_ours(sk))
		return 0;
	asked_read(&o.asked, addr, len, true);
	if (ret) {
		tell_failure(sk, &o);
		return 0;
	}
	outcome_call(&o);
	if (!BPF_CORE_READ(sk, __sk_common.skc_num))
		tell_portless(sk, &o);
	else if (bind_tracked(sk, o.asked.family && !o.asked.port))
		tell_success((u64)sk, &o);
	return 0;
}

SEC("fexit/inet_bind_sk")
int BPF_PROG(bind4_sk, struct sock *sk, void *addr, int len, int ret)
{
	return bind_returned(scalar_socket(sk), addr, len, ret);
}

SEC("fexit/inet6_bind_sk")
int BPF_PROG(bind6_sk, struct sock *sk, void *addr, int len, int ret)
{
	return bind_returned(scalar_socket(sk), addr, len, ret);
}

/* Before 6.6 (e6d6131ef8b5 and its neighbours) the common point took the socket. */
SEC("fexit/inet_bind")
int BPF_PROG(bind4_socket, struct socket *sock, void *addr, int len, int ret)
{
	return bind_returned(BPF_CORE_READ(sock, sk), addr, len, ret);
}

SEC("fexit/inet6_bind")
int BPF_PROG(bind6_socket, struct socket *sock, void *addr, int len, int ret)
{
	return bind_returned(BPF_CORE_READ(sock, sk), addr, len, ret);
}

/* A security module refuses before the protocol is asked. */
SEC("fexit/security_socket_bind")
int BPF_PROG(bind_denied, struct socket *sock, void *addr, int len, int ret)
{
	struct outcome o = { .kind = PL_BIND, .via = PL_VIA_LSM, .error = -ret };
	struct sock *sk;

	if (!ret)
		return 0;
	sk = socket_normal(BPF_CORE_READ(sock, sk));
	if (!socket_is_ours(sk) && BPF_CORE_READ(sk, sk_protocol) != IPPROTO_MPTCP)
		return 0;
	asked_read(&o.asked, addr, len, true);
	o.asked.kernel_copy = false; /* it never reached the protocol */
	tell_failure(sk, &o);
	return 0;
}

/* ---- tracepoint set: request, grant and result come from three hooks ---- */

static __always_inline bool protocol_is_ours(u32 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP;
}

/* Nobody's system call will return for these: they are told when the port is granted. */
static __always_inline bool told_at_grant(struct sock *sk)
{
	return socket_owner_flags(sk) & PL_KERNEL || task_is_compat(current_task());
}

/* What system call this is, the caller knows itself: io_uring's threads and the kernel's own binds come by none, or another. */
static __always_inline void call_begin(struct sock *sk, struct call *c)
{
	u64 id = bpf_get_current_pid_tgid();
	struct entry entry = {};
	struct call *before;

	if (!netns_wanted(sk) || (c->asked_port && !port_wanted(c->asked_port)))
		return;
	c->sk = (u64)sk;
	entry_read(&entry, current_task());
	if (entry.nr != opt_nr_bind) {
		bpf_map_update_elem(&requests, &c->sk, c, BPF_ANY);
		return;
	}
	c->fd = (u32)entry.arg[0] + 1;
	c->from = entry.arg[1];
	c->len = entry.arg[2];
	/* A thread's entry stays and is written again: that costs half of what making and deleting one does. */
	before = bpf_map_lookup_elem(&calls, &id);
	if (before)
		*before = *c;
	else
		bpf_map_update_elem(&calls, &id, c, BPF_ANY);
}

SEC("cgroup/bind4")
int try4(struct bpf_sock_addr *ctx)
{
	struct call c = { .asked_family = AF_INET };
	u32 ip;

	if (!protocol_is_ours(ctx->protocol))
		return 1;
	c.asked_port = bpf_ntohs((u16)ctx->user_port);
	ip = ctx->user_ip4;
	__builtin_memcpy(c.asked_addr, &ip, sizeof(ip));
	call_begin(context_socket(ctx->sk), &c);
	return 1;
}

SEC("cgroup/bind6")
int try6(struct bpf_sock_addr *ctx)
{
	struct call c = { .asked_family = AF_INET6 };
	u32 ip[4];

	if (!protocol_is_ours(ctx->protocol))
		return 1;
	c.asked_port = bpf_ntohs((u16)ctx->user_port);
	ip[0] = ctx->user_ip6[0];
	ip[1] = ctx->user_ip6[1];
	ip[2] = ctx->user_ip6[2];
	ip[3] = ctx->user_ip6[3];
	__builtin_memcpy(c.asked_addr, ip, sizeof(ip));
	call_begin(context_socket(ctx->sk), &c);
	return 1;
}

/*
 * The protocol has given @sk a port; the socket is locked, so nothing of it can be released meanwhile. Whether the port
 * was asked for by number says the call: SOCK_BINDPORT_LOCK is set only after this hook.
 */
static __always_inline int granted(struct bpf_sock *ctx)
{
	struct outcome o = { .kind = PL_BIND, .via = PL_VIA_CGROUP };
	struct pl_tracked t = {};
	struct call *c;
	struct sock *sk;
	u64 key;

	if (!protocol_is_ours(ctx->protocol))
		return 1;
	t.cookie = bpf_get_socket_cookie(ctx);
	sk = context_socket(ctx);
	key = (u64)sk;
	if (!netns_wanted(sk))
		return 1;
	facts_fill(&t, sk, current_task());
	t.since_ns = bpf_ktime_get_boot_ns();
	if (!port_wanted(t.port))
		return 1;
	c = call_find(key);
	if (!c || c->sk != key)
		return 1; /* begun before the hooks were there: the snapshot finds it */
	t.flags |= c->asked_port ? PL_EXPLICIT : PL_EPHEMERAL;
	c->bound = 1;
	track(key, &t, PL_TOLD_NOT);
	if (!told_at_grant(sk))
		return 1;
	c->sk = 0;
	tell_granted(key, &o);
	return 1;
}

SEC("cgroup/post_bind4")
int granted4(struct bpf_sock *ctx)
{
	return granted(ctx);
}

SEC("cgroup/post_bind6")
int granted6(struct bpf_sock *ctx)
{
	return granted(ctx);
}

/*
 * What bind(2) was called with that never got to the protocol's hook: an LSM's denial, a sockaddr too short. Where the
 * descriptor is none any more it cannot be told, and counts as lost when the address says that it was ours. The address
 * is read last: what is in use on the way costs stack, and nearly all of its 512 bytes are needed to tell a failure.
 */
static __always_inline void bind_refused_early(s32 error)
{
	struct outcome o = { .kind = PL_BIND, .via = PL_VIA_TRACEPOINT, .error = error };
	struct task_struct *task = current_task();
	struct entry entry = {};
	struct sock *sk;

	entry_read(&entry, task);
	if ((u32)entry.arg[2] > SOCKADDR_MAX)
		return;
	sk = descriptor_socket(task, entry.arg[0]);
	if (sk) {
		sk = socket_normal(sk);
		if (!socket_is_ours(sk) && BPF_CORE_READ(sk, sk_protocol) != IPPROTO_MPTCP)
			return;
	}
	asked_read(&o.asked, (void *)entry.arg[1], entry.arg[2], false);
	if (sk)
		tell_failure(sk, &o);
	else if (o.asked.family && !opt_netns_count && !opt_ports)
		count_lost(PL_BIND, error);
}

/* bind(2) with port 0 under IP_BIND_ADDRESS_NO_PORT works and gets no port: no grant is seen for it. */
static __always_inline void bind_ungranted(const struct call *c)
{
	struct outcome o = { .kind = PL_BIND, .via = PL_VIA_TRACEPOINT };

	asked_from_call(&o.asked, c);
	tell_portless((void *)c->sk, &o);
}

static __always_inline void bind_exit(long ret)
{
	u64 id = bpf_get_current_pid_tgid();
	struct call *c = bpf_map_lookup_elem(&calls, &id);

	if (c && c->sk) {
		if (!ret && !c->bound)
			bind_ungranted(c);
		else
			bind_result(c, -ret);
		c->sk = 0;
	} else if (ret < 0 && ret != -EBADF && ret != -ENOTSOCK && ret != -EFAULT) {
		bind_refused_early(-ret);
	}
}

/*
 * A listen that changed no state: of a socket that listens already, or one that was refused. Nothing but the descriptor
 * names the socket; where it listens not, though the call worked, that is another one by now.
 */
static __always_inline struct sock *listen_unnoted(long ret, s32 *ret_backlog)
{
	struct entry entry = {};
	struct sock *sk;

	entry_read(&entry, current_task());
	*ret_backlog = entry.arg[1];
	sk = descriptor_socket(current_task(), entry.arg[0]);
	if (!sk)
		return NULL;
	sk = socket_normal(sk);
	if (!socket_is_ours(sk) || BPF_CORE_READ(sk, sk_protocol) != IPPROTO_TCP)
		return NULL;
	return ret || BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_LISTEN ? sk : NULL;
}

/*
 * Another thread has closed the socket already. Its release waits for the listen that is the first thing told of it; was
 * something told before, so is its end by now. false: that.
 */
static __always_inline bool listen_late(u64 sk, s32 backlog)
{
	struct outcome o = { .kind = PL_LISTEN, .via = PL_VIA_TRACEPOINT, .backlog = backlog };
	struct pl_tracked *t = bpf_map_lookup_elem(&early, &sk);

	if (t && port_wanted(t->port))
		tell_taken(sk, &o);
	return t;
}

static __always_inline void listen_exit(long ret)
{
	u64 id = bpf_get_current_pid_tgid();
	struct call *c = bpf_map_lookup_elem(&calls, &id);
	struct sock *sk;
	s32 backlog;

	if (ret == -EBADF || ret == -ENOTSOCK || ret == -EOPNOTSUPP)
		return;
	if (c && c->listening) {
		sk = (void *)c->listening;
		backlog = c->backlog;
	} else {
		sk = listen_unnoted(ret, &backlog);
	}
	if (sk && !listen_result(sk, -ret, backlog, PL_VIA_TRACEPOINT) && c && c->listening &&
	    !listen_late((u64)sk, backlog))
		count_lost(PL_LISTEN, 0);
	if (c)
		c->listening = 0;
}

/* One program for both tracepoints: the verifier's time is most of what starting takes. */
SEC("tracepoint/syscalls/sys_exit_bind")
int call_exit(struct syscall_exit *ctx)
{
	if (ctx->nr == opt_nr_bind)
		bind_exit(ctx->ret);
	else
		listen_exit(ctx->ret);
	return 0;
}
