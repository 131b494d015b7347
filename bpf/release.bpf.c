// SPDX-License-Identifier: GPL-2.0-only
/* A socket gives its port up. Hooks may overlap: whoever finds the socket in the map takes it out and tells. */
#include "tell.bpf.h"

/* Does user space wait for the port that @sk, tracked by nobody, is about to leave? */
static __always_inline bool port_lingers(struct pl_port *key, struct sock *sk, u16 proto)
{
	struct inet_sock *inet = (void *)sk;

	key->netns = socket_netns(sk);
	key->l3mdev = proto == IPPROTO_TCP ? socket_l3mdev(sk) : 0;
	key->port = bpf_ntohs(BPF_CORE_READ(inet, inet_sport));
	key->proto = proto;
	return bpf_map_lookup_elem(&lingering, key);
}

static __always_inline void hint(const struct pl_port *key, u64 sk, u32 free)
{
	struct pl_event *e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);

	if (!e) {
		count_lost(PL_HINT, 0);
		return;
	}
	__builtin_memset(e, 0, sizeof(*e));
	e->kind = PL_HINT;
	e->size = sizeof(*e);
	e->time_ns = bpf_ktime_get_boot_ns();
	e->sk = sk;
	e->netns = key->netns;
	e->l3mdev = key->l3mdev;
	e->port = key->port;
	e->proto = key->proto;
	e->flags = free;
	bpf_ringbuf_submit(e, wake_flags());
	if (free & PL_FREE)
		bpf_map_delete_elem(&lingering, key);
}

/* What is left on the port is counted last: every client on the host comes here while anything lingers. */
static __always_inline void socket_gone(struct sock *sk, u16 proto, u8 via, bool process_context)
{
	u64 key = (u64)sk;
	struct pl_tracked *t = bpf_map_lookup_elem(&tracked, &key);
	struct pl_port port = {};
	u32 free;

	if (!t && (!*(volatile unsigned int *)&watch_lingering || !port_lingers(&port, sk, proto)))
		return;
	/* connect(AF_UNSPEC) may have taken a UDP socket's port from it before. */
	free = proto == IPPROTO_TCP ? tcp_free(sk)
				    : udp_free(sk, t ? t->port : BPF_CORE_READ(sk, __sk_common.skc_num));
	if (!t) {
		hint(&port, key, free);
		return;
	}
	/* A TCP socket that was never connected is let go by whoever closes it; others may die in a softirq. */
	if (proto == IPPROTO_TCP)
		process_context = !BPF_CORE_READ(sk, __sk_common.skc_dport);
	if (t->port)
		release(key, t, free, via, process_context);
	else
		bpf_map_delete_elem(&tracked, &key);
}

/* Fires for every TCP socket before its port is put back: bound-only, subflow, kernel's, orphan. Softirq or not. */
SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(tcp_destroyed, struct sock *sk)
{
	socket_gone(sk, IPPROTO_TCP, PL_VIA_STATE, false);
	return 0;
}

SEC("cgroup/sock_release")
int udp_released(struct bpf_sock *ctx)
{
	struct sock *sk = NULL;
	void *p = ctx;

	if (ctx->protocol != IPPROTO_UDP)
		return 1;
	bpf_probe_read_kernel(&sk, sizeof(sk), &p);
	socket_gone(sk, IPPROTO_UDP, PL_VIA_CGROUP, true);
	return 1;
}

SEC("fentry/inet_put_port")
int BPF_PROG(put_port, struct sock *sk)
{
	if (BPF_CORE_READ(sk, sk_protocol) == IPPROTO_TCP)
		socket_gone(sk, IPPROTO_TCP, PL_VIA_FEXIT, false);
	return 0;
}

SEC("fentry/udp_lib_unhash")
int BPF_PROG(udp_unhash, struct sock *sk)
{
	if (BPF_CORE_READ(sk, sk_protocol) == IPPROTO_UDP && BPF_CORE_READ(sk, __sk_common.skc_num))
		socket_gone(sk, IPPROTO_UDP, PL_VIA_FEXIT, true);
	return 0;
}

/* connect(AF_UNSPEC) gives an autobound port back; newer kernels have udp_lib_unhash inlined in there. */
SEC("fexit/__udp_disconnect")
int BPF_PROG(udp_disconnected, struct sock *sk)
{
	if (BPF_CORE_READ(sk, sk_protocol) == IPPROTO_UDP && !BPF_CORE_READ(sk, __sk_common.skc_num))
		socket_gone(sk, IPPROTO_UDP, PL_VIA_FEXIT, true);
	return 0;
}
