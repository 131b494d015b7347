// SPDX-License-Identifier: GPL-2.0-only
/*
 * What holds ports now: iterators that write a row for each socket and process through their file. An object of its own,
 * without the tracer's maps, ring and hooks, so that a look at the ports costs a scan and little more. The sections are
 * "iter" to the kernel; src/source/bpf_inventory.c says why they have a name of their own.
 */
#include "portlog.bpf.h"

#define FLYING_MAX 8    /* sockets told of one Unix socket's queue, a power of two */
#define MESSAGES_MAX 16 /* looked at in one queue */
#define FILES_MAX 8     /* looked at in one message */

u64 message_step(u64 message);

char LICENSE[] SEC("license") = "GPL";

const volatile unsigned int opt_netns[PL_NETNS_MAX] = {};
const volatile unsigned int opt_netns_count = 0;
const volatile bool opt_ports = false;
const volatile unsigned char opt_port_bits[65536 / 8] = {};
const volatile unsigned int opt_pidns = 0;
unsigned long long flying[FLYING_MAX] = {}; /* sockets in the messages of the Unix socket under way */
unsigned int flying_count = 0;

const volatile bool opt_connections = false; /* every socket with a port, and the bind buckets */

/* TIME_WAIT and request sockets are small: of them only struct sock_common may be read. */
static __always_inline bool is_small(u8 state)
{
	return state == TCP_TIME_WAIT || state == TCP_NEW_SYN_RECV;
}

/* A connection only has some port, unless it was asked for by number; UDP has one table for all. */
static __always_inline bool is_holder(struct sock *sk, u8 state, u16 proto)
{
	if (opt_connections || proto == IPPROTO_UDP || state == TCP_LISTEN || state == TCP_CLOSE)
		return true;
	return BPF_CORE_READ_BITFIELD_PROBED(sk, sk_userlocks) & SOCK_BINDPORT_LOCK;
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
static __always_inline void row_common(struct pl_row *row, struct sock *sk, struct net *net)
{
	row->kind = PL_ROW;
	row->size = sizeof(*row);
	row->sk = (u64)sk;
	row->cookie = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
	row->netns = BPF_CORE_READ(net, ns.inum);
	row->ifindex = BPF_CORE_READ(sk, __sk_common.skc_bound_dev_if);
	row->port = BPF_CORE_READ(sk, __sk_common.skc_num);
	row->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	row->state = BPF_CORE_READ(sk, __sk_common.skc_state);
	socket_addr(row->addr, sk, row->family);
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
		row->flags |= PL_BHASH2;
	row_bucket(&row->bucket, BPF_CORE_READ(icsk, icsk_bind_hash));
}

static __always_inline void row_time_wait(struct pl_row *row, struct sock *sk)
{
	struct inet_timewait_sock *tw = (void *)sk;

	row->flags = flag_of((BPF_CORE_READ_BITFIELD_PROBED(sk, __sk_common.skc_reuse) & 1), PL_REUSEADDR) |
		     flag_of(BPF_CORE_READ_BITFIELD_PROBED(sk, __sk_common.skc_reuseport) & 1, PL_REUSEPORT) |
		     flag_of(BPF_CORE_READ_BITFIELD_PROBED(sk, __sk_common.skc_ipv6only) & 1, PL_V6ONLY);
	row->l3mdev = BPF_CORE_READ(tw, tw_tb, l3mdev);
	if (bpf_core_field_exists(tw->tw_tb2) && BPF_CORE_READ(tw, tw_tb2))
		row->flags |= PL_BHASH2;
	row_bucket(&row->bucket, BPF_CORE_READ(tw, tw_tb));
}

static __always_inline void row_full(struct pl_row *row, struct sock *sk)
{
	u32 locks = BPF_CORE_READ_BITFIELD_PROBED(sk, sk_userlocks);

	row->proto = BPF_CORE_READ(sk, sk_protocol);
	row->flags = socket_flags(sk) | flag_of(locks / SOCK_CONNECT_BIND & 1, PL_CONNECT);
	row->inode = socket_inode(sk, &row->sock_uid);
	if (BPF_CORE_READ(sk, __sk_common.skc_dport))
		row->flags |= PL_PEER;
	if (row->proto == IPPROTO_TCP)
		row_tcp(row, sk);
}

/* @task: who has it open; NULL: no file led here. */
subprog void row_write(struct seq_file *seq, struct sock *sk, struct task_struct *task)
{
	struct pl_row row = {};

	row_common(&row, sk, BPF_CORE_READ(sk, __sk_common.skc_net.net));
	if (is_small(row.state)) {
		row.proto = IPPROTO_TCP;
		if (row.state == TCP_TIME_WAIT)
			row_time_wait(&row, sk);
	} else {
		row_full(&row, sk);
	}
	if (task)
		caller_fill(&row, task);
	bpf_seq_write(seq, &row, sizeof(row));
}

SEC("pl_iter/task_file")
int list_file(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct sock *sk;
	u16 proto;

	/* Nearly every file ends here: plain loads, which the verifier guards, cost a tenth of a helper's call. */
	if (!task || !file || file->f_inode->i_sb->s_magic != SOCKFS_MAGIC)
		return 0;
	sk = BPF_CORE_READ((struct socket *)file->private_data, sk);
	if (!sk)
		return 0;
	sk = socket_normal(sk);
	if (!socket_is_ours(sk))
		return 0;
	proto = BPF_CORE_READ(sk, sk_protocol);
	if (!BPF_CORE_READ(sk, __sk_common.skc_num) || !port_wanted(BPF_CORE_READ(sk, __sk_common.skc_num)) ||
	    !netns_wanted(sk) || !is_holder(sk, BPF_CORE_READ(sk, __sk_common.skc_state), proto))
		return 0;
	row_write(ctx->meta->seq, sk, task);
	return 0;
}

/* The sockets of the reader's network namespace, with a file or without. */
SEC("pl_iter/tcp")
int list_tcp(struct bpf_iter__tcp *ctx)
{
	struct sock_common *common = ctx->sk_common;
	struct sock *sk = (void *)common;
	u8 state;

	if (!common)
		return 0;
	state = common->skc_state;
	if (!opt_connections && state != TCP_LISTEN)
		return 0;
	if (!port_wanted(common->skc_num))
		return 0;
	row_write(ctx->meta->seq, scalar_socket(sk), NULL);
	return 0;
}

SEC("pl_iter/udp")
int list_udp(struct bpf_iter__udp *ctx)
{
	struct sock *sk = (void *)ctx->udp_sk;

	if (!sk || !sk->__sk_common.skc_num || !port_wanted(sk->__sk_common.skc_num))
		return 0;
	row_write(ctx->meta->seq, scalar_socket(sk), NULL);
	return 0;
}

/* The socket of a file, as the one that has the port; 0: it is none of ours. */
static __always_inline u64 file_holder(struct file *file)
{
	struct socket *sock;
	struct sock *sk;

	if (!file || BPF_CORE_READ(file, f_inode, i_sb, s_magic) != SOCKFS_MAGIC)
		return 0;
	sock = BPF_CORE_READ(file, private_data);
	sk = BPF_CORE_READ(sock, sk);
	sk = sk ? socket_normal(sk) : NULL;
	if (!sk || !socket_is_ours(sk) || !BPF_CORE_READ(sk, __sk_common.skc_num))
		return 0;
	return (u64)sk;
}

/* Note what one message carries; the next one. A global function is verified once, not for each turn of the loop. */
u64 message_step(u64 message)
{
	struct sk_buff *skb = (void *)message;
	struct unix_skb_parms *parms = (void *)skb + bpf_core_field_offset(struct sk_buff, cb);
	struct scm_fp_list *list = BPF_CORE_READ(parms, fp);
	short count = list ? BPF_CORE_READ(list, count) : 0;

	for (int i = 0; i < FILES_MAX && i < count; i++) {
		struct file *file = NULL;
		u64 sk;

		bpf_probe_read_kernel(&file, sizeof(file),
				      (void *)list + bpf_core_field_offset(struct scm_fp_list, fp) +
					      i * sizeof(file));
		sk = file_holder(file);
		if (sk)
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
