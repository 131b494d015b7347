// SPDX-License-Identifier: GPL-2.0-only
/* Which processes come from the one that is followed: daemons too, for a parent that ends changes nothing here. */
#include "portlog.bpf.h"

unsigned int tree_has_begun = 0; /* its first process has been seen; the number may be another's later */

static __always_inline void tree_add(struct task_struct *leader)
{
	u64 start = BPF_CORE_READ(leader, start_boottime);
	u32 tgid = BPF_CORE_READ(leader, tgid);

	if (bpf_map_update_elem(&tree, &tgid, &start, BPF_ANY))
		__sync_fetch_and_add(&tree_full, 1);
}

/* Before the child runs for the first time. A thread is of its group. */
SEC("tp_btf/sched_process_fork")
int BPF_PROG(tree_forked, struct task_struct *parent, struct task_struct *child)
{
	if (BPF_CORE_READ(child, tgid) == BPF_CORE_READ(child, pid) && tree_flag(parent))
		tree_add(child);
	return 0;
}

/*
 * The first process is held until the hooks are there, then executes its program: that is where it is met, for here its
 * number in portlog's own pid namespace can be told.
 */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(tree_begun, struct task_struct *task)
{
	struct task_struct *leader;

	if (tree_has_begun)
		return 0;
	leader = BPF_CORE_READ(task, group_leader);
	if (task_pid(leader) != opt_tree)
		return 0;
	tree_has_begun = 1;
	tree_add(leader);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(tree_exited, struct task_struct *task)
{
	u32 tgid;

	/* Counted down before: 0 is the last thread. */
	if (BPF_CORE_READ(task, signal, live.counter))
		return 0;
	tgid = BPF_CORE_READ(task, tgid);
	bpf_map_delete_elem(&tree, &tgid);
	return 0;
}
