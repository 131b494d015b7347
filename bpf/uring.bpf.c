// SPDX-License-Identifier: GPL-2.0-only
/* Binds and listens through io_uring: no system call returns for them. Tracepoint set; opcodes since 6.11. */
#include "tell.bpf.h"

#define IORING_OP_BIND 56
#define IORING_OP_LISTEN 57

static __always_inline struct sock *request_socket(struct io_kiocb *req)
{
	struct file *file = BPF_CORE_READ(req, file);
	struct socket *sock;

	if (!file || BPF_CORE_READ(file, f_inode, i_sb, s_magic) != SOCKFS_MAGIC)
		return NULL;
	sock = BPF_CORE_READ(file, private_data);
	return BPF_CORE_READ(sock, sk);
}

/* Without a note the protocol has not seen it; the request's own copy of the address may be another one's by now. */
static __always_inline void request_bound(struct sock *sk, s32 res)
{
	struct outcome o = { .kind = PL_BIND, .via = PL_VIA_URING, .error = res < 0 ? -res : 0 };
	u64 key = (u64)sk;
	struct call *c = call_find(key);
	struct pl_tracked *t;

	if (c && c->sk == key) {
		asked_from_call(&o.asked, c);
		/* A program after ours refused what the protocol had granted. */
		if (c->bound && res < 0)
			bpf_map_delete_elem(&tracked, &key);
		c->sk = 0;
	}
	t = bpf_map_lookup_elem(&tracked, &key);
	if (!t)
		t = bpf_map_lookup_elem(&early, &key);
	if (res < 0)
		tell_failure(sk, &o);
	else if (t)
		tell_taken(key, &o);
	else if (!BPF_CORE_READ(sk, __sk_common.skc_num))
		tell_portless(sk, &o);
	bpf_map_delete_elem(&requests, &key);
}

static __always_inline int completed(struct io_kiocb *req, s32 res)
{
	struct sock *sk;
	u8 opcode;

	if (!req)
		return 0;
	opcode = BPF_CORE_READ(req, opcode);
	if (opcode != IORING_OP_BIND && opcode != IORING_OP_LISTEN)
		return 0;
	sk = request_socket(req);
	if (!sk || res == -EFAULT)
		return 0;
	sk = socket_normal(sk);
	if (!socket_is_ours(sk))
		return 0;
	if (opcode == IORING_OP_BIND)
		request_bound(sk, res);
	else if (BPF_CORE_READ(sk, sk_protocol) == IPPROTO_TCP && res != -EOPNOTSUPP)
		listen_result(sk, res < 0 ? -res : 0, BPF_CORE_READ(sk, sk_max_ack_backlog), PL_VIA_URING);
	return 0;
}

/* Until 6.15 the tracepoint passes the result itself ... */
SEC("tp_btf/io_uring_complete")
int BPF_PROG(uring_result, void *ring_ctx, struct io_kiocb *req, u64 user_data, int res)
{
	return completed(req, res);
}

/* ... later the completion entry (072d37b53fd8). */
SEC("tp_btf/io_uring_complete")
int BPF_PROG(uring_entry, void *ring_ctx, struct io_kiocb *req, struct io_uring_cqe *cqe)
{
	return completed(req, BPF_CORE_READ(cqe, res));
}
