// SPDX-License-Identifier: GPL-2.0-only
/*
 * The socket that the kernel's own check stops at, seen under its bucket lock. `true` alone is no conflict (binds that
 * then succeed see it too): the last one before -EADDRINUSE is.
 */
#include "portlog.bpf.h"

static __always_inline int compared(struct sock *sk, struct sock *other, u64 result)
{
	u64 id = bpf_get_current_pid_tgid();
	struct conflict c = { .sk = (u64)sk, .other = (u64)other };

	/* A bool return has garbage above its eight bits. */
	if (result & 0xff)
		bpf_map_update_elem(&conflicts, &id, &c, BPF_ANY);
	return 0;
}

SEC("fexit/inet_bind_conflict")
int BPF_PROG(conflict_tcp, struct sock *sk, struct sock *other, u32 uid, bool relax, bool cb, bool ok,
	     u64 result)
{
	return compared(sk, other, result);
}

SEC("fexit/inet_rcv_saddr_equal")
int BPF_PROG(conflict_addr, struct sock *sk, struct sock *other, bool wildcard, u64 result)
{
	return compared(sk, other, result);
}
