// SPDX-License-Identifier: GPL-2.0-only
/*
 * What holds ports now: iterators that write a row for each socket and process through their file. An object of its own,
 * without the tracer's maps, ring and hooks, so that a look at the ports costs a scan and little more. The sections are
 * "iter" to the kernel; src/source/bpf_inventory.c says why they have a name of their own.
 */
#include "portlog.bpf.h"

#define FILES_AT_ONCE 32 /* tables of descriptors are multiples of 64 */
#define STEPS_MAX 32     /* so many descriptors times that in one call */
#define FILES_END (~0ull)
#define FLYING_MAX 8    /* sockets told of one Unix socket's queue, a power of two */
#define MESSAGES_MAX 16 /* looked at in one queue */
#define FILES_MAX 8     /* looked at in one message */

u64 files_step(u64 task, u32 begin);
u64 file_sock(u64 file);
u32 file_row(u64 task, u32 fd, u64 file);
u64 message_step(u64 message);

char LICENSE[] SEC("license") = "GPL";

const volatile unsigned int opt_netns[PL_NETNS_MAX] = {};
const volatile unsigned int opt_netns_count = 0;
const volatile bool opt_ports = false;
const volatile unsigned char opt_port_bits[65536 / 8] = {};
const volatile unsigned int opt_pidns = 0;
/* Rows of the pass over descriptors: the reader takes them from here each time that it is told to come again. */
struct pl_row rows[PL_ROWS_AT_ONCE] = {};
unsigned int rows_count = 0;
/* Where the pass is, when it is to go on in the middle of a process. */
unsigned long long pass_task = 0, pass_start_ns = 0, pass_at = 0;
static u64 files[FILES_AT_ONCE]; /* a piece of a table of descriptors, copied */
static u64 socket_ops;           /* what files of sockets have as f_op, once one has been met */
static u64 who_task;             /* whose facts are in who; 0: nobody's yet */
static struct caller who;

unsigned long long flying[FLYING_MAX] = {}; /* sockets in the messages of the Unix socket under way */
unsigned int flying_count = 0;

/* Ports whose connections count too: of those that sock_diag has and no listener explains. */
unsigned char connection_ports[65536 / 8] = {};

const volatile bool opt_connections = false; /* every socket with a port, and the bind buckets */

/* TIME_WAIT and request sockets are small: of them only struct sock_common may be read. */
static __always_inline bool is_small(u8 state)
{
	return state == TCP_TIME_WAIT || state == TCP_NEW_SYN_RECV;
}

static __always_inline bool is_connection_wanted(u16 port)
{
	return connection_ports[port >> 3] & 1 << (port & 7);
}

/* A connection only has some port, unless it was asked for by number; UDP has one table for all. */
static __always_inline bool is_holder(struct sock *sk, u8 state, u16 proto, u16 port)
{
	if (opt_connections || proto == IPPROTO_UDP || state == TCP_LISTEN || state == TCP_CLOSE)
		return true;
	return BPF_CORE_READ_BITFIELD_PROBED(sk, sk_userlocks) & SOCK_BINDPORT_LOCK ||
	       is_connection_wanted(port);
}

static __always_inline void row_bucket(struct pl_bucket *b, struct inet_bind_bucket *tb)
{
	if (!tb)
		return;
	b->valid = 1;
	b->fastreuse = BPF_CORE_READ(tb, fastreuse);
	b->fastreuseport = BPF_CORE_READ(tb, fastreuseport);
	b->fastuid = BPF_CORE_READ(tb, fastuid.val);
	b->fast_family = BPF_CORE_READ(tb, fast_sk_family);
	b->fast_ipv6_only = BPF_CORE_READ(tb, fast_ipv6_only);
	bpf_probe_read_kernel(b->fast_addr4, sizeof(b->fast_addr4),
			      (void *)tb + bpf_core_field_offset(struct inet_bind_bucket, fast_rcv_saddr));
	if (bpf_core_field_exists(tb->fast_v6_rcv_saddr))
		bpf_probe_read_kernel(b->fast_addr6, sizeof(b->fast_addr6),
				      (void *)tb + bpf_core_field_offset(struct inet_bind_bucket,
									 fast_v6_rcv_saddr));
}

/* What struct sock_common has, which every socket begins with. */
static __always_inline void row_common(struct pl_row *row, struct sock *sk, const struct sock_common *common,
				       struct net *net)
{
	row->kind = PL_ROW;
	row->size = sizeof(*row);
	row->sk = (u64)sk;
	row->cookie = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
	row->netns = BPF_CORE_READ(net, ns.inum);
	row->ifindex = common->skc_bound_dev_if;
	row->port = common->skc_num;
	row->family = common->skc_family;
	row->state = common->skc_state;
	socket_addr(row->addr, sk, common);
	if (row->ifindex)
		iface_name(row->iface, net, row->ifindex);
}

static __always_inline void row_tcp(struct pl_row *row, struct sock *sk)
{
	struct inet_connection_sock *icsk = (void *)sk;

	/* Set by listen(2) and kept by shutdown(2), which takes the socket back to CLOSE. */
	if (row->state == TCP_LISTEN || BPF_CORE_READ(sk, sk_max_ack_backlog))
		row->flags |= PL_LISTENED;
	if (row->ifindex || opt_connections)
		row->l3mdev = socket_l3mdev(sk);
	if (!opt_connections)
		return;
	if (bpf_core_field_exists(icsk->icsk_bind2_hash) && BPF_CORE_READ(icsk, icsk_bind2_hash))
		row->flags |= bucket2_flags(NULL);
	row_bucket(&row->bucket, BPF_CORE_READ(icsk, icsk_bind_hash));
}

static __always_inline void row_time_wait(struct pl_row *row, struct sock *sk,
					  const struct sock_common *common)
{
	struct inet_timewait_sock *tw = (void *)sk;

	row->flags = flag_of((BPF_CORE_READ_BITFIELD(common, skc_reuse) & 1), PL_REUSEADDR) |
		     flag_of(BPF_CORE_READ_BITFIELD(common, skc_reuseport) & 1, PL_REUSEPORT) |
		     flag_of(BPF_CORE_READ_BITFIELD(common, skc_ipv6only) & 1, PL_V6ONLY);
	row->l3mdev = BPF_CORE_READ(tw, tw_tb, l3mdev);
	if (bpf_core_field_exists(tw->tw_tb2) && BPF_CORE_READ(tw, tw_tb2))
		row->flags |= bucket2_flags(NULL);
	row_bucket(&row->bucket, BPF_CORE_READ(tw, tw_tb));
}

static __always_inline void row_full(struct pl_row *row, struct sock *sk, const struct sock_common *common)
{
	u32 locks = BPF_CORE_READ_BITFIELD_PROBED(sk, sk_userlocks);

	row->proto = BPF_CORE_READ(sk, sk_protocol);
	row->flags = socket_flags(sk, common) | flag_of(locks / SOCK_CONNECT_BIND & 1, PL_CONNECT);
	row->inode = socket_inode(sk, &row->sock_uid);
	if (common->skc_dport)
		row->flags |= PL_PEER;
	if (row->proto == IPPROTO_TCP)
		row_tcp(row, sk);
}

static __always_inline void row_fill(struct pl_row *row, struct sock *sk, const struct sock_common *common)
{
	row_common(row, sk, common, common->skc_net.net);
	if (is_small(row->state)) {
		row->proto = IPPROTO_TCP;
		if (row->state == TCP_TIME_WAIT)
			row_time_wait(row, sk, common);
	} else {
		row_full(row, sk, common);
	}
}

/* A socket that no file led to. */
subprog void row_write(struct seq_file *seq, struct sock *sk)
{
	struct pl_row row = {};
	struct common copy;

	row_fill(&row, sk, common_read(&copy, sk));
	bpf_seq_write(seq, &row, sizeof(row));
}

/* ---- the pass over descriptors ---- */

/*
 * NULL: it is of something else. What sockets have as f_op is learned from the first of them, which is one by
 * its file system and points back at its file (one that was opened with O_PATH does not).
 */
static __always_inline struct socket *file_socket(struct file *file)
{
	u64 ops = (u64)BPF_CORE_READ(file, f_op);
	struct socket *sock;

	if (socket_ops && ops != socket_ops)
		return NULL;
	sock = BPF_CORE_READ(file, private_data);
	if (socket_ops)
		return sock;
	if (BPF_CORE_READ(file, f_inode, i_sb, s_magic) != SOCKFS_MAGIC || BPF_CORE_READ(sock, file) != file)
		return NULL;
	socket_ops = ops;
	return sock;
}

/* The socket of a file, as the one that would have its port; 0: it is of something else. */
__noinline u64 file_sock(u64 file)
{
	struct socket *sock = file_socket((void *)file);
	struct sock *sk = sock ? BPF_CORE_READ(sock, sk) : NULL;

	return sk ? (u64)socket_normal(sk) : 0;
}

static __always_inline bool is_wanted(struct sock *sk, const struct sock_common *common)
{
	u16 family = common->skc_family, proto;

	if ((family != AF_INET && family != AF_INET6) || !common->skc_num || !port_wanted(common->skc_num))
		return false;
	proto = BPF_CORE_READ(sk, sk_protocol);
	return (proto == IPPROTO_TCP || proto == IPPROTO_UDP) && netns_wanted(sk) &&
	       is_holder(sk, common->skc_state, proto, common->skc_num);
}

static __always_inline void row_caller(struct pl_row *row, struct task_struct *task)
{
	if (who_task != (u64)task) {
		caller_fill(&who, task);
		who_task = (u64)task;
	}
	row->start_ns = who.start_ns;
	row->exec_id = who.exec_id;
	row->cgroup_id = who.cgroup_id;
	row->css_set = (u64)BPF_CORE_READ(task, cgroups);
	row->pid = who.pid;
	row->ppid = who.ppid;
	row->uid = who.uid;
	row->gid = who.gid;
	__builtin_memcpy(row->comm, who.comm, sizeof(row->comm));
}

/*
 * A row, if descriptor @fd of @id leads to a socket that holds a port. No lock is held and no reference taken, so what was
 * read counts only when the process still has the file there afterwards: then it had it all the time. 1: done; 0: no room.
 */
__noinline u32 file_row(u64 id, u32 fd, u64 file)
{
	struct task_struct *task = (void *)id;
	struct sock *sk = (void *)file_sock(file);
	const struct sock_common *common;
	struct common copy;
	struct pl_row *row;
	u32 n;

	if (!sk)
		return 1;
	common = common_read(&copy, sk);
	if (!is_wanted(sk, common))
		return 1;
	n = rows_count;
	if (n >= PL_ROWS_AT_ONCE)
		return 0;
	asm volatile("" : "+r"(n)); /* else the mask, which older verifiers need, goes as being of no use */
	row = &rows[n & (PL_ROWS_AT_ONCE - 1)];
	__builtin_memset(row, 0, sizeof(*row));
	row_fill(row, sk, common);
	row_caller(row, task);
	if (files_file(BPF_CORE_READ(task, files), fd) == (void *)file)
		rows_count = n + 1;
	return 1;
}

/* Nearly every file ends here, with one read. */
static __always_inline bool may_be_socket(u64 file)
{
	return file && (!socket_ops || (u64)BPF_CORE_READ((struct file *)file, f_op) == socket_ops);
}

/* Descriptors of process @id from @begin on, as far as the table goes in one piece; where to go on, or FILES_END. */
__noinline u64 files_step(u64 id, u32 begin)
{
	struct task_struct *task = (void *)id;
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file **all = BPF_CORE_READ(table, fd);
	u32 first = begin & ~(FILES_AT_ONCE - 1);

	if (!all || begin >= BPF_CORE_READ(table, max_fds))
		return FILES_END;
	bpf_probe_read_kernel(files, sizeof(files), all + first);
	for (u32 i = 0; i < FILES_AT_ONCE; i++)
		if (first + i >= begin && may_be_socket(files[i]) && !file_row(id, first + i, files[i]))
			return first + i;
	return first + FILES_AT_ONCE;
}

/*
 * The same address as a plain number. A load through a typed pointer costs the verifier a walk over all of the kernel's
 * types, which takes longer than everything else that it has to look at here.
 */
static __always_inline struct task_struct *scalar_task(struct task_struct *task)
{
	struct task_struct *plain = NULL;

	bpf_probe_read_kernel(&plain, sizeof(plain), &task);
	return plain;
}

/* A thread that shares the descriptors of its process, or a process that has none any more. */
static __always_inline bool adds_nothing(struct task_struct *task)
{
	struct files_struct *own = BPF_CORE_READ(task, files);

	return !own || (BPF_CORE_READ(task, pid) != BPF_CORE_READ(task, tgid) &&
			own == BPF_CORE_READ(task, group_leader, files));
}

/*
 * Every thread comes by. Descriptor by descriptor the kernel's own iterator over files takes some 250 ns for each, mostly
 * for locks and references; a copied table takes a tenth.
 */
SEC("pl_iter/task")
int list_file(struct bpf_iter__task *ctx)
{
	struct task_struct *task;
	u64 at = 0, start_ns;

	if (!ctx->task)
		return 0;
	task = scalar_task(ctx->task);
	if (adds_nothing(task))
		return 0;
	start_ns = BPF_CORE_READ(task, start_boottime);
	if (pass_task == (u64)task && pass_start_ns == start_ns)
		at = pass_at;
	pass_task = who_task = 0;
	for (int i = 0; i < STEPS_MAX && at != FILES_END && rows_count < PL_ROWS_AT_ONCE; i++)
		at = files_step((u64)task, at);
	if (at == FILES_END)
		return 0;
	pass_task = (u64)task;
	pass_start_ns = start_ns;
	pass_at = at;
	return 1; /* the reader is to come again: EAGAIN */
}

/* The sockets of the reader's network namespace, with a file or without. */
SEC("pl_iter/tcp")
int list_tcp(struct bpf_iter__tcp *ctx)
{
	struct sock *sk;
	u16 port;
	u8 state;

	if (!ctx->sk_common)
		return 0;
	sk = scalar_socket((void *)ctx->sk_common);
	port = BPF_CORE_READ(sk, __sk_common.skc_num);
	state = BPF_CORE_READ(sk, __sk_common.skc_state);
	if (!opt_connections && state != TCP_LISTEN && (is_small(state) || !is_connection_wanted(port)))
		return 0;
	if (port_wanted(port))
		row_write(ctx->meta->seq, sk);
	return 0;
}

SEC("pl_iter/udp")
int list_udp(struct bpf_iter__udp *ctx)
{
	struct sock *sk;
	u16 port;

	if (!ctx->udp_sk)
		return 0;
	sk = scalar_socket((void *)ctx->udp_sk);
	port = BPF_CORE_READ(sk, __sk_common.skc_num);
	if (port && port_wanted(port))
		row_write(ctx->meta->seq, sk);
	return 0;
}

/* Note what one message carries; the next one. A global function is verified once, not for each turn of the loop. */
u64 message_step(u64 message)
{
	struct sk_buff *skb = (void *)message;
	struct unix_skb_parms *parms = (void *)skb + bpf_core_field_offset(struct sk_buff, cb);
	struct scm_fp_list *list = BPF_CORE_READ(parms, fp);
	short count = list ? BPF_CORE_READ(list, count) : 0;

	for (int i = 0; i < FILES_MAX && i < count; i++) {
		u64 file = 0, sk;

		bpf_probe_read_kernel(&file, sizeof(file),
				      (void *)list + bpf_core_field_offset(struct scm_fp_list, fp) +
					      i * sizeof(file));
		sk = file ? file_sock(file) : 0;
		if (sk && socket_is_ours((void *)sk) && BPF_CORE_READ((struct sock *)sk, __sk_common.skc_num))
			flying[flying_count++ & (FLYING_MAX - 1)] = sk;
	}
	return (u64)BPF_CORE_READ(skb, next);
}

/* Only what finds the socket among those that are known: each member more is verified for each turn of the loop. */
static __always_inline void flying_write(struct seq_file *seq, struct sock *sk)
{
	struct pl_row row = { .kind = PL_ROW, .size = sizeof(row), .flags = PL_IN_FLIGHT };

	row.sk = (u64)sk;
	row.cookie = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
	row.inode = socket_inode(sk, &row.sock_uid);
	row.netns = socket_netns(sk);
	row.port = BPF_CORE_READ(sk, __sk_common.skc_num);
	bpf_seq_write(seq, &row, sizeof(row));
}

/* The queue is not locked: what a reader takes away meanwhile ends the walk, or is told though it has just arrived. */
SEC("pl_iter/unix")
int list_unix(struct bpf_iter__unix *ctx)
{
	struct sock *sk = (void *)ctx->unix_sk;
	u64 head, message;

	if (!sk)
		return 0;
	head = (u64)scalar_socket(sk) + bpf_core_field_offset(struct sock, sk_receive_queue);
	message = (u64)BPF_CORE_READ((struct sk_buff_head *)head, next);
	flying_count = 0;
	for (int i = 0; i < MESSAGES_MAX && message && message != head; i++)
		message = message_step(message);
	for (int i = 0; i < FLYING_MAX; i++) {
		if (i >= flying_count)
			break;
		flying_write(ctx->meta->seq, (void *)flying[i]);
	}
	return 0;
}
