// SPDX-License-Identifier: GPL-2.0-only
/*
 * The sockets that were there before, and the processes that have them open: an iterator over every descriptor, into
 * the same map and the same ring as the live events, so that nobody has to join two streams.
 */
#include "tell.bpf.h"

#define UNDER_WAY_NS 1000000000ull /* longer than any bind or listen takes to return */

/* Does @sk hold a port that portlog tells of: a listener, bound, or UDP; no connection that only got some port. */
static __always_inline bool holds_port(struct sock *sk)
{
	u8 state = BPF_CORE_READ(sk, __sk_common.skc_state);

	if (!BPF_CORE_READ(sk, __sk_common.skc_num))
		return false;
	if (state == TCP_LISTEN || state == TCP_CLOSE)
		return true;
	return BPF_CORE_READ_BITFIELD_PROBED(sk, sk_userlocks) & SOCK_BINDPORT_LOCK;
}

static __always_inline bool row_hidden(const struct pl_tracked *t)
{
	if (opt_failed_only || !pid_wanted(t->pid))
		return true;
	return t->flags & PL_EPHEMERAL && !opt_ephemeral;
}

static __always_inline void row_tell(struct seq_file *seq, u16 kind, u64 key, struct pl_tracked *t)
{
	struct pl_event *e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);

	if (!e) {
		count_lost(kind, 0);
		return;
	}
	event_fill(e, kind, key, t);
	event_owner(e, t);
	e->via = PL_VIA_ITER;
	bpf_ringbuf_submit(e, wake_flags());
	/* So that the reader's read() returns now and then and it can drain the ring. */
	bpf_seq_write(seq, &key, sizeof(key));
}

/* Not tracked yet: it was there before. A port-0 socket that does not listen is ephemeral, as if its bind had been seen. */
static __always_inline void row_first(struct seq_file *seq, u64 key, struct pl_tracked *t)
{
	if (t->state == TCP_LISTEN)
		t->flags |= PL_LISTENED;
	else if (!(t->flags & PL_EXPLICIT))
		t->flags |= PL_EPHEMERAL;
	t->flags |= PL_BEFORE;
	t->since_ns = bpf_ktime_get_boot_ns();
	t->told = row_hidden(t) ? PL_TOLD_HIDDEN : PL_TOLD_SNAPSHOT;
	if (bpf_map_update_elem(&tracked, &key, t, BPF_NOEXIST)) {
		/* Counted by the first pass over the files alone: others would count the same sockets again. */
		if (*(volatile unsigned int *)&tell_owners && !bpf_map_lookup_elem(&tracked, &key))
			__sync_fetch_and_add(&tracked_full, 1);
		return;
	}
	if (t->told == PL_TOLD_SNAPSHOT)
		row_tell(seq, PL_SNAPSHOT, key, t);
}

/* An answer goes to whoever reads the iterator, not into the ring: it is no event. */
subprog void row_write(struct seq_file *seq, struct sock *sk, struct task_struct *task)
{
	struct pl_owner row = { .sk = (u64)sk };
	struct caller c = {};
	u32 uid;

	caller_fill(&c, task);
	row.inode = socket_inode(sk, &uid);
	row.start_ns = c.start_ns;
	row.exec_id = c.exec_id;
	row.cgroup_id = c.cgroup_id;
	row.pid = c.pid;
	row.uid = c.uid;
	__builtin_memcpy(row.comm, c.comm, sizeof(row.comm));
	bpf_seq_write(seq, &row, sizeof(row));
}

/*
 * The socket is there and its bind or listen returned long ago, but the program that should have seen it was skipped: what
 * it would have noted is noted here, as lost, for the resync to tell. A bind that is under way is left alone.
 */
subprog void row_missed(struct sock *sk, struct pl_tracked *t)
{
	bool listens = BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_LISTEN;
	u32 uid;

	if (t->told != PL_TOLD_NOT && (!listens || t->flags & PL_LISTENED))
		return;
	if (bpf_ktime_get_boot_ns() - t->since_ns < UNDER_WAY_NS || t->inode != socket_inode(sk, &uid))
		return;
	if (listens) {
		t->port = BPF_CORE_READ(sk, __sk_common.skc_num);
		t->state = TCP_LISTEN;
		t->flags = (t->flags | PL_LISTENED) & ~PL_EPHEMERAL;
	}
	t->told = success_hidden(t) ? PL_TOLD_HIDDEN : PL_TOLD_LOST;
}

SEC("iter/task_file")
int each_file(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct seq_file *seq = ctx->meta->seq;
	struct pl_tracked *known_as, t = {};
	struct socket *sock;
	struct sock *sk;
	u64 key, wanted;

	if (!task || !file || BPF_CORE_READ(file, f_inode, i_sb, s_magic) != SOCKFS_MAGIC)
		return 0;
	sock = BPF_CORE_READ(file, private_data);
	sk = BPF_CORE_READ(sock, sk);
	if (!sk)
		return 0;
	sk = socket_normal(sk);
	if (!socket_is_ours(sk))
		return 0;
	key = (u64)sk;
	wanted = *(volatile unsigned long long *)&wanted_sk;
	if (wanted) {
		if (key == wanted || (wanted == PL_WANTED_TRACKED && bpf_map_lookup_elem(&tracked, &key)))
			row_write(seq, sk, task);
		return 0;
	}
	if (!netns_wanted(sk) || !holds_port(sk) || !port_wanted(BPF_CORE_READ(sk, __sk_common.skc_num)))
		return 0;
	known_as = bpf_map_lookup_elem(&tracked, &key);
	if (known_as)
		row_missed(sk, known_as);
	if (known_as && (!*(volatile unsigned int *)&tell_owners || known_as->told == PL_TOLD_HIDDEN ||
			 known_as->told == PL_TOLD_NOT))
		return 0;
	facts_fill(&t, sk, task);
	t.files = (u64)BPF_CORE_READ(task, files);
	t.fd = ctx->fd + 1;
	if (known_as)
		row_tell(seq, PL_OWNER, key, &t);
	else
		row_first(seq, key, &t);
	return 0;
}

/* What no file leads to: the kernel's own sockets, and descriptors on their way in a message. Of the reader's namespace. */
static __always_inline void without_file(struct seq_file *seq, struct sock *sk)
{
	struct pl_tracked t = {};
	u64 key = (u64)sk;

	if (!socket_is_ours(sk) || bpf_map_lookup_elem(&tracked, &key) || !holds_port(sk) ||
	    !netns_wanted(sk) || !port_wanted(BPF_CORE_READ(sk, __sk_common.skc_num)))
		return;
	facts_fill(&t, sk, current_task());
	t.pid = 0; /* whoever reads the iterator has nothing to do with it */
	t.start_ns = 0;
	row_first(seq, key, &t);
}

SEC("iter/tcp")
int each_tcp(struct bpf_iter__tcp *ctx)
{
	struct sock_common *common = ctx->sk_common;

	/* TIME_WAIT and request sockets are no full sockets; connections without a file hold no port of their own. */
	if (common && BPF_CORE_READ(common, skc_state) == TCP_LISTEN)
		without_file(ctx->meta->seq, (struct sock *)common);
	return 0;
}

SEC("iter/udp")
int each_udp(struct bpf_iter__udp *ctx)
{
	struct seq_file *seq = ctx->meta->seq;
	struct udp_sock *udp = ctx->udp_sk;

	if (!udp)
		return 0;
	without_file(seq, (struct sock *)udp);
	return 0;
}
