// SPDX-License-Identifier: GPL-2.0-only
/* Listens by fexit, and what the state tracepoint says of listeners in every set. */
#include "tell.bpf.h"

/* __inet_listen_sk exists: kernel and MPTCP listeners come that way. */
const volatile bool opt_listen_sk = false;
const volatile bool opt_state_listens = false;  /* nobody else tells the kernel's and 32-bit listeners */
const volatile bool opt_state_releases = false; /* nobody else sees that a port-0 socket gives its port up */

static __always_inline int listen_returned(struct sock *sk, int backlog, int ret)
{
	if (!socket_is_ours(sk) || BPF_CORE_READ(sk, sk_protocol) != IPPROTO_TCP)
		return 0;
	listen_result(sk, -ret, backlog, PL_VIA_FEXIT);
	return 0;
}

SEC("fexit/inet_listen")
int BPF_PROG(listen_socket, struct socket *sock, int backlog, int ret)
{
	struct sock *sk = BPF_CORE_READ(sock, sk);

	if (opt_listen_sk && BPF_CORE_READ_BITFIELD_PROBED(sk, sk_kern_sock))
		return 0;
	return listen_returned(sk, backlog, ret);
}

SEC("fexit/__inet_listen_sk")
int BPF_PROG(listen_sk, struct sock *sk, int backlog, int ret)
{
	if (!BPF_CORE_READ_BITFIELD_PROBED(sk, sk_kern_sock))
		return 0;
	return listen_returned(scalar_socket(sk), backlog, ret);
}

SEC("fexit/security_socket_listen")
int BPF_PROG(listen_denied, struct socket *sock, int backlog, int ret)
{
	struct sock *sk;

	if (!ret)
		return 0;
	sk = socket_normal(BPF_CORE_READ(sock, sk));
	return listen_returned(sk, backlog, ret);
}

/* A socket that was tracked while it listens for the first time and got no port after all. */
static __always_inline void listen_failed(u64 key, const struct pl_tracked *t)
{
	if (!t->port && t->told == PL_TOLD_NOT)
		bpf_map_delete_elem(&tracked, &key);
}

/* A port that was not asked for by number is given back when the state becomes CLOSE, not when the socket dies. */
static __always_inline u32 port_left(struct sock *sk, const struct pl_tracked *t)
{
	struct net *net = BPF_CORE_READ(sk, __sk_common.skc_net.net);
	bool cut;

	if (bucket_find(sk, net, t->port, t->l3mdev, &cut))
		return 0;
	return cut ? PL_FREE_UNKNOWN : PL_FREE;
}

static __always_inline void state_closed(struct sock *sk)
{
	u64 key = (u64)sk;
	struct pl_tracked *t = bpf_map_lookup_elem(&tracked, &key);

	if (!t)
		return;
	t->state = TCP_CLOSE;
	if (BPF_CORE_READ(sk, __sk_common.skc_num))
		return;
	if (!t->port)
		listen_failed(key, t);
	else if (opt_state_releases)
		release(key, t, port_left(sk, t), PL_VIA_STATE, false);
}

/*
 * listen(2) has made @sk a listener: for its exit, which may find another socket behind the descriptor. A listen of
 * io_uring's or of the kernel's own comes by another call, or none.
 */
static __always_inline void listen_note(u64 sk)
{
	u64 id = bpf_get_current_pid_tgid();
	struct entry entry = {};
	struct call *c;

	entry_read(&entry, current_task());
	if (entry.nr != opt_nr_listen || !bpf_map_lookup_elem(&tracked, &sk))
		return;
	bpf_map_update_elem(&calls, &id, (void *)zeros, BPF_NOEXIST);
	c = bpf_map_lookup_elem(&calls, &id);
	if (!c)
		return;
	c->backlog = entry.arg[1];
	c->listening = sk;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(state_changed, struct sock *sk, int before, int after)
{
	struct pl_tracked *t;
	struct outcome o = { .kind = PL_LISTEN, .via = PL_VIA_STATE };
	u64 key = (u64)sk;

	if (after != TCP_LISTEN && after != TCP_CLOSE)
		return 0;
	if (after == before || BPF_CORE_READ(sk, sk_protocol) != IPPROTO_TCP)
		return 0;
	if (after == TCP_CLOSE) {
		state_closed(sk);
		return 0;
	}
	listen_track(sk);
	if (!opt_state_listens)
		return 0;
	if (!(socket_owner_flags(sk) & PL_KERNEL || task_is_compat(current_task()))) {
		listen_note(key);
		return 0;
	}
	t = bpf_map_lookup_elem(&tracked, &key);
	if (!t)
		return 0;
	t->flags = (t->flags | PL_LISTENED) & ~PL_EPHEMERAL;
	o.backlog = BPF_CORE_READ(sk, sk_max_ack_backlog);
	tell_granted(key, &o);
	return 0;
}
