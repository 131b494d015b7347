// SPDX-License-Identifier: GPL-2.0-only
/* Ports taken without bind, by connect or sendto. On request only: every client does it. */
#include "tell.bpf.h"

#define EINPROGRESS 115

static __always_inline void autobound(struct sock *sk, u8 via)
{
	struct outcome o = { .kind = PL_AUTOBIND, .via = via };
	struct pl_tracked t = {};
	u64 key = (u64)sk;

	if (!socket_is_ours(sk) || !BPF_CORE_READ(sk, __sk_common.skc_num) ||
	    bpf_map_lookup_elem(&tracked, &key) || !netns_wanted(sk))
		return;
	facts_fill(&t, sk, current_task());
	if (!port_wanted(t.port))
		return;
	t.since_ns = bpf_ktime_get_boot_ns();
	track(key, &t, PL_TOLD_NOT);
	tell_success(key, &o);
}

SEC("fexit/inet_autobind")
int BPF_PROG(auto_bound, struct sock *sk, int ret)
{
	if (!ret)
		autobound(scalar_socket(sk), PL_VIA_FEXIT);
	return 0;
}

SEC("fexit/inet_hash_connect")
int BPF_PROG(auto_connect4, void *death_row, struct sock *sk, int ret)
{
	if (!ret)
		autobound(scalar_socket(sk), PL_VIA_FEXIT);
	return 0;
}

SEC("fexit/inet6_hash_connect")
int BPF_PROG(auto_connect6, void *death_row, struct sock *sk, int ret)
{
	if (!ret)
		autobound(scalar_socket(sk), PL_VIA_FEXIT);
	return 0;
}

/* A socket that connect(AF_UNSPEC) has taken its port from: nobody else sees it in the tracepoint set. */
static __always_inline void disconnected(struct sock *sk)
{
	u64 key = (u64)sk;
	struct pl_tracked *t = bpf_map_lookup_elem(&tracked, &key);

	if (t && t->port && BPF_CORE_READ(sk, sk_protocol) == IPPROTO_UDP)
		release(key, t, PL_FREE_UNKNOWN, PL_VIA_TRACEPOINT, true);
}

SEC("tracepoint/syscalls/sys_exit_connect")
int auto_connect_exit(struct syscall_exit *ctx)
{
	struct task_struct *task = current_task();
	struct entry entry = {};
	struct sock *sk;

	if (ctx->ret && ctx->ret != -EINPROGRESS)
		return 0;
	entry_read(&entry, task);
	sk = descriptor_socket(task, entry.arg[0]);
	if (!sk)
		return 0;
	sk = socket_normal(sk);
	if (!BPF_CORE_READ(sk, __sk_common.skc_num))
		disconnected(sk);
	else
		autobound(sk, PL_VIA_TRACEPOINT);
	return 0;
}

/* The socket has its port by the time that this is asked. */
SEC("cgroup/sendmsg4")
int auto_sendmsg4(struct bpf_sock_addr *ctx)
{
	autobound(context_socket(ctx->sk), PL_VIA_CGROUP);
	return 1;
}

SEC("cgroup/sendmsg6")
int auto_sendmsg6(struct bpf_sock_addr *ctx)
{
	autobound(context_socket(ctx->sk), PL_VIA_CGROUP);
	return 1;
}
