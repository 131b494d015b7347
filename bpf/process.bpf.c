// SPDX-License-Identifier: GPL-2.0-only
/* Who a process is, told once for each exec: what /proc could not say any more when it has exited. */
#include "tell.bpf.h"

#define PATH_STEPS 24
#define CGROUP_STEPS 10

/*
 * Append @name and its NUL to a list of components; false: no room or no name. The length lives in the record, not in a
 * register: so the verifier knows nothing of it and one state stands for every turn of the loops below.
 */
static __always_inline bool component_add(char *out, volatile u16 *len, const void *name)
{
	u32 used = *len;
	long n;

	if (used >= PL_PATH_MAX)
		return false;
	n = bpf_probe_read_kernel_str(out + (used & (PL_PATH_MAX - 1)), PL_NAME_MAX, name);
	if (n <= 0)
		return false;
	*len = used + n;
	return true;
}

/* Path components of @file, leaf first, up to the root of the mount tree. */
static __always_inline void path_walk(char *out, volatile u16 *len, struct file *file, u8 *ret_cut)
{
	u64 id = bpf_get_current_pid_tgid();
	struct walk *w = walk_new(id);
	u64 name = 0;

	*ret_cut = 1;
	if (!w)
		return;
	w->node = (u64)BPF_CORE_READ(file, f_path.dentry);
	w->mount = (u64)BPF_CORE_READ(file, f_path.mnt) - bpf_core_field_offset(struct mount, mnt);
	for (int i = 0; i < PATH_STEPS; i++) {
		name = path_step(id);
		if (name == PATH_ROOT || (name != PATH_CROSSED && !component_add(out, len, (void *)name)))
			break;
	}
	*ret_cut = name != PATH_ROOT;
	walk_end(id);
}

/* Components of a cgroup's path, leaf first, without the root. */
static __always_inline void cgroup_walk(char *out, volatile u16 *len, struct kernfs_node *kn, u8 *ret_cut)
{
	*ret_cut = 1;
	for (int i = 0; i < CGROUP_STEPS && kn; i++) {
		struct kernfs_node *parent = kernfs_parent(kn);

		if (!parent) {
			*ret_cut = 0;
			break;
		}
		if (!component_add(out, len, BPF_CORE_READ(kn, name)))
			break;
		kn = parent;
	}
}

static __always_inline void process_args(struct pl_process *p, struct mm_struct *mm)
{
	u64 start = BPF_CORE_READ(mm, arg_start);
	u64 end = BPF_CORE_READ(mm, arg_end);
	u32 len = end - start;

	if (end <= start)
		return;
	p->args_full = len;
	if (len > PL_ARGS_MAX - 1)
		len = PL_ARGS_MAX - 1;
	len &= PL_ARGS_MAX - 1;
	if (!bpf_probe_read_user(p->args, len, (void *)start))
		p->args_len = len;
}

/*
 * Tell who the current process is, unless its exec and cgroup have been told. Marked only after the record got its
 * place: the next event tries again.
 */
int process_tell(u64 start_ns, u32 pid, u64 exec_id, u64 cgroup_id)
{
	struct process_id id = { .start_ns = start_ns, .pid = pid };
	struct process_told told = { .exec_id = exec_id, .cgroup_id = cgroup_id };
	struct process_told *before = bpf_map_lookup_elem(&known, &id);
	struct task_struct *task = current_task();
	struct task_struct *leader;
	struct mm_struct *mm;
	struct pl_process *p;
	struct file *exe;

	if (before && before->exec_id == exec_id && before->cgroup_id == cgroup_id)
		return 0;
	p = bpf_ringbuf_reserve(&ring, sizeof(*p), 0);
	if (!p) {
		count_lost(PL_PROCESS, 0);
		return 0;
	}
	leader = BPF_CORE_READ(task, group_leader);
	p->kind = PL_PROCESS;
	p->size = sizeof(*p);
	p->pid = pid;
	p->start_ns = start_ns;
	p->exec_id = exec_id;
	p->cgroup_id = cgroup_id;
	p->ppid = task_pid(BPF_CORE_READ(leader, real_parent));
	p->uid = BPF_CORE_READ(task, cred, euid.val);
	p->gid = BPF_CORE_READ(task, cred, egid.val);
	p->args_full = 0;
	p->exe_len = 0;
	p->args_len = 0;
	p->cgroup_len = 0;
	p->exe_cut = 0;
	bpf_probe_read_kernel(&p->comm, sizeof(p->comm),
			      (void *)leader + bpf_core_field_offset(struct task_struct, comm));
	mm = BPF_CORE_READ(task, mm);
	exe = mm ? BPF_CORE_READ(mm, exe_file) : NULL;
	if (exe)
		path_walk(p->exe, &p->exe_len, exe, &p->exe_cut);
	if (mm)
		process_args(p, mm);
	cgroup_walk(p->cgroup, &p->cgroup_len, task_cgroup(task), &p->cgroup_cut);
	bpf_ringbuf_submit(p, BPF_RB_NO_WAKEUP); /* the event follows at once, and wakes */
	bpf_map_update_elem(&known, &id, &told, BPF_ANY);
	return 0;
}
