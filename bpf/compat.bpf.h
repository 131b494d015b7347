/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One accessor for each thing that kernels renamed or moved, with the commit or release that did it. Nothing else reads
 * these members.
 */
#ifndef COMPAT_BPF_H
#define COMPAT_BPF_H

#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define TS_COMPAT 0x2 /* arch/x86/include/asm/thread_info.h */

/* inet_flags bits, include/net/inet_sock.h since 6.6 (c274af224269); bitfields of inet_sock before. */
#define INET_FLAGS_FREEBIND 11
#define INET_FLAGS_TRANSPARENT 15
#define INET_FLAGS_BIND_ADDRESS_NO_PORT 18

static __always_inline u32 inet_options(struct sock *sk)
{
	struct inet_sock *inet = (void *)sk;
	struct inet_sock___bits *bits = (void *)sk;

	if (bpf_core_field_exists(inet->inet_flags))
		return BPF_CORE_READ(inet, inet_flags);
	return (u32)BPF_CORE_READ_BITFIELD_PROBED(bits, freebind) << INET_FLAGS_FREEBIND |
	       (u32)BPF_CORE_READ_BITFIELD_PROBED(bits, transparent) << INET_FLAGS_TRANSPARENT |
	       (u32)BPF_CORE_READ_BITFIELD_PROBED(bits, bind_address_no_port)
		       << INET_FLAGS_BIND_ADDRESS_NO_PORT;
}

/* kernfs_node.parent became __parent in 6.15 (633488947ef6). */
static __always_inline struct kernfs_node *kernfs_parent(struct kernfs_node *kn)
{
	struct kernfs_node___parent *old = (void *)kn;

	if (bpf_core_field_exists(kn->__parent))
		return BPF_CORE_READ(kn, __parent);
	return BPF_CORE_READ(old, parent);
}

/* First owner list of a bind bucket: owners hang below inet_bind2_bucket since 6.8 (8191792c18c5). */
static __always_inline bool bucket_has_bhash2(struct inet_bind_bucket *tb)
{
	return bpf_core_field_exists(tb->bhash2);
}

/* An inet_bind2_bucket has the kind of its address since 6.8 (5a22bba13d01); before, the family of its first socket. */
static __always_inline u32 bucket2_flags(struct inet_bind2_bucket *tb2)
{
	return PL_BHASH2 | (bpf_core_field_exists(tb2->addr_type) ? 0 : PL_BY_FAMILY);
}

/* The TCP hash tables of @sk's namespace: netns_ipv4 names them (by value until 5.16 and from 6.1), else the proto. */
static __always_inline struct inet_hashinfo *tcp_hashinfo(struct sock *sk, struct net *net)
{
	if (bpf_core_field_exists(net->ipv4.tcp_death_row.hashinfo))
		return BPF_CORE_READ(net, ipv4.tcp_death_row.hashinfo);
	return BPF_CORE_READ(sk, __sk_common.skc_prot, h.hashinfo);
}

/* netns_ipv4.udp_table since 6.2 (ba6aac151608); proto.h.udp_table until 7.1. */
static __always_inline struct udp_table *udp_tables(struct sock *sk, struct net *net)
{
	struct proto *prot;

	if (bpf_core_field_exists(net->ipv4.udp_table))
		return BPF_CORE_READ(net, ipv4.udp_table);
	prot = BPF_CORE_READ(sk, __sk_common.skc_prot);
	if (bpf_core_field_exists(prot->h.udp_table))
		return BPF_CORE_READ(prot, h.udp_table);
	return NULL;
}

/* The subflow that has an MPTCP socket's port: `first`; before 6.6 a listener's is `subflow`. */
static __always_inline struct sock *mptcp_port_owner(struct sock *sk)
{
	struct mptcp_sock *msk = (void *)sk;
	struct mptcp_sock___subflow *old = (void *)sk;
	struct sock *first = NULL;

	if (bpf_core_field_exists(msk->first))
		first = BPF_CORE_READ(msk, first);
	if (!first && bpf_core_field_exists(old->subflow))
		first = BPF_CORE_READ(old, subflow, sk);
	return first ? first : sk;
}

/* A 32-bit task's system calls are invisible to the syscall tracepoints (arch_trace_is_compat_syscall). */
static __always_inline bool task_is_compat(struct task_struct *task)
{
#if defined(__TARGET_ARCH_x86)
	if (bpf_core_field_exists(task->thread_info.status))
		return BPF_CORE_READ(task, thread_info.status) & TS_COMPAT;
#endif
	return false;
}

/*
 * The caller's registers at the entry of its system call. The helper exists since 5.15 (dd6e10fbd9fb); before, they lie
 * at the top of the kernel stack, which is 16 KiB on x86-64 and arm64 kernels without KASAN.
 */
#define KERNEL_STACK_SIZE 16384

static __always_inline struct pt_regs *entry_regs(struct task_struct *task)
{
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_task_pt_regs))
		return (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
	return (struct pt_regs *)(BPF_CORE_READ(task, stack) + KERNEL_STACK_SIZE -
				  bpf_core_type_size(struct pt_regs));
}

/* What a system call was entered with, copied at once: the number (io_uring's threads have none there) and arguments. */
struct entry {
	u64 arg[3];
	int nr;
};

static __always_inline void entry_read(struct entry *e, struct task_struct *task)
{
	struct pt_regs *regs = entry_regs(task);
#if defined(__TARGET_ARCH_x86)
	u64 words[4] = {}; /* dx, si, di and orig_ax stand together: asm/ptrace.h */

	bpf_probe_read_kernel(words, sizeof(words), (void *)regs + bpf_core_field_offset(struct pt_regs, dx));
	e->arg[0] = words[2];
	e->arg[1] = words[1];
	e->arg[2] = words[0];
	e->nr = (int)words[3];
#elif defined(__TARGET_ARCH_arm64)
	e->arg[0] = BPF_CORE_READ(regs, orig_x0);
	e->arg[1] = BPF_CORE_READ(regs, regs[1]);
	e->arg[2] = BPF_CORE_READ(regs, regs[2]);
	e->nr = BPF_CORE_READ(regs, syscallno);
#else
#error "which registers carry the arguments of a system call?"
#endif
}

#endif
