/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who is in the way: walk the bind bucket of a port after a call on it failed, and say whether anything is left on a
 * port that is let go. The walk takes no lock: it reads with probe reads, so a bucket that changes under it can end it
 * early but cannot harm; the socket that the kernel's own check stopped at (bpf/conflict.bpf.c) is put first where known.
 */
#ifndef HOLDER_BPF_H
#define HOLDER_BPF_H

#include "portlog.bpf.h"

#define BUCKET_STEPS 12 /* buckets in one hash chain */
#define SLOT_STEPS 32   /* sockets in one UDP hash slot: every step of a loop costs time at each load */

/* Note who is on a port, for holders_fill(): bpf/walk.bpf.c. */
int holders_walk(u64 sk, u32 port, u32 l3mdev, u32 proto);

/* @ret_cut: the chain is longer than was looked at. */
static __always_inline struct inet_bind_bucket *bucket_find(struct sock *sk, struct net *net, u16 port,
							    u32 l3mdev, bool *ret_cut)
{
	struct inet_hashinfo *info = tcp_hashinfo(sk, net);
	struct inet_bind_hashbucket *heads = BPF_CORE_READ(info, bhash);
	u32 mask = BPF_CORE_READ(info, bhash_size) - 1;
	u32 mix = BPF_CORE_READ(net, hash_mix);
	u64 node = 0;
	void *head;

	head = (void *)heads + (u64)((port + mix) & mask) * bpf_core_type_size(struct inet_bind_hashbucket) +
	       bpf_core_field_offset(struct inet_bind_hashbucket, chain);
	bpf_probe_read_kernel(&node, sizeof(node), head);
	*ret_cut = false;
	for (int i = 0; i < BUCKET_STEPS && node; i++) {
		u64 next = bucket_step(node, (u64)net, port, l3mdev);

		if (next & STEP_FOUND)
			return (void *)node - bpf_core_field_offset(struct inet_bind_bucket, node);
		node = next;
	}
	*ret_cut = node != 0;
	return NULL;
}

static __always_inline u64 udp_slot(struct sock *sk, struct net *net, u16 port)
{
	struct udp_table *table = udp_tables(sk, net);
	u32 mask = BPF_CORE_READ(table, mask);
	u32 mix = BPF_CORE_READ(net, hash_mix);
	u64 node = 0;

	bpf_probe_read_kernel(&node, sizeof(node),
			      (void *)BPF_CORE_READ(table, hash) +
				      (u64)((port + mix) & mask) * bpf_core_type_size(struct udp_hslot) +
				      bpf_core_field_offset(struct udp_hslot, head));
	return node;
}

/* Is another UDP socket left on @sk's port? PL_FREE, 0, or PL_FREE_UNKNOWN when the slot is too long to tell. */
static __always_inline u32 udp_free(struct sock *sk, u16 port)
{
	struct net *net = BPF_CORE_READ(sk, __sk_common.skc_net.net);
	u64 node = udp_slot(sk, net, port), own = (u64)scalar_socket(sk);

	for (int i = 0; i < SLOT_STEPS; i++) {
		if (!node)
			return PL_FREE;
		node = udp_step(node, (u64)net, port, own);
		if (node & STEP_FOUND)
			return 0;
	}
	return PL_FREE_UNKNOWN;
}

/* Is @sk, about to let go, the only owner of its bind bucket? */
static __always_inline u32 tcp_free(struct sock *sk)
{
	struct inet_connection_sock *icsk = (void *)sk;
	struct inet_bind_bucket *tb = BPF_CORE_READ(icsk, icsk_bind_hash);
	struct inet_bind_bucket___owners *old = (void *)tb;
	struct hlist_node *first;

	if (!tb)
		return PL_FREE_UNKNOWN;
	if (bucket_has_bhash2(tb)) {
		struct inet_bind2_bucket *tb2;

		first = BPF_CORE_READ(tb, bhash2.first);
		if (!first || BPF_CORE_READ(first, next))
			return 0;
		tb2 = (void *)first - bpf_core_field_offset(struct inet_bind2_bucket, bhash_node);
		first = BPF_CORE_READ(tb2, owners.first);
	} else {
		first = BPF_CORE_READ(old, owners.first);
	}
	return !first || BPF_CORE_READ(first, next) ? 0 : PL_FREE;
}

/*
 * Has whoever took the port the socket open still, where it was bound? What is passed over by this look, a descriptor that
 * was moved or sent away, is looked for by user space. Its way, through an iterator, holds each file for a moment, so that
 * a close meanwhile does not free the port at once.
 */
static __always_inline bool is_open(u64 sk, const struct pl_tracked *t)
{
	struct sock *there = t->fd ? files_socket((struct files_struct *)t->files, t->fd - 1) : NULL;

	return there && (u64)socket_normal(there) == sk;
}

static __always_inline void holder_owner(struct pl_holder *h, const struct pl_tracked *t)
{
	if (is_open(h->sk, t))
		h->flags |= PL_OPEN;
	h->flags |= PL_TRACKED | (t->flags & (PL_LISTENED | PL_EPHEMERAL | PL_BEFORE));
	h->since_ns = t->since_ns;
	h->start_ns = t->start_ns;
	h->exec_id = t->exec_id;
	h->cgroup_id = t->cgroup_id;
	h->pid = t->pid;
	h->uid = t->uid;
	__builtin_memcpy(h->comm, t->comm, sizeof(h->comm));
}

static __always_inline void holder_last_owner(struct pl_holder *h, const struct pl_last_owner *last)
{
	h->flags |= PL_LAST;
	h->since_ns = last->gone_ns;
	h->start_ns = last->start_ns;
	h->exec_id = last->exec_id;
	h->cgroup_id = last->cgroup_id;
	h->pid = last->pid;
	h->uid = last->uid;
	__builtin_memcpy(h->comm, last->comm, sizeof(h->comm));
}

/* What one candidate is. TIME_WAIT and request sockets are small: only sock_common may be read of them. */
subprog void holder_fill(struct pl_holder *h, const struct pl_event *e, u16 port)
{
	struct pl_port gone = { .netns = e->netns, .l3mdev = e->l3mdev, .port = port, .proto = e->proto };
	struct sock *sk = (void *)h->sk;
	struct pl_last_owner *last;
	struct pl_tracked *t;
	struct common copy;
	const struct sock_common *common = common_read(&copy, sk);
	u64 key = h->sk;

	h->family = common->skc_family;
	h->state = common->skc_state;
	h->port = common->skc_num;
	h->ifindex = common->skc_bound_dev_if;
	h->cookie = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
	socket_addr(h->addr, sk, common);
	if (h->state != TCP_TIME_WAIT && h->state != TCP_NEW_SYN_RECV) {
		h->flags |= socket_flags(sk, common);
		h->inode = socket_inode(sk, &h->sock_uid);
	}
	t = bpf_map_lookup_elem(&tracked, &key);
	if (t) {
		holder_owner(h, t);
		return;
	}
	last = bpf_map_lookup_elem(&lingering, &gone);
	if (last)
		holder_last_owner(h, last);
}

/* A walk's candidates into the record, each with all that is known of it. */
static __always_inline void holders_fill(struct pl_failure *f, u16 port)
{
	u64 id = bpf_get_current_pid_tgid();
	struct walk *w = bpf_map_lookup_elem(&walks, &id);

	if (!w)
		return;
	f->count = w->count;
	f->more = w->more;
	f->children = w->children;
	f->holder[0].flags = w->tripped ? PL_TRIPPED : 0;
	for (int i = 0; i < PL_HOLDERS_MAX; i++)
		f->holder[i].sk = w->found[i];
	walk_end(id);
	for (int i = 0; i < PL_HOLDERS_MAX; i++) {
		if (i >= f->count)
			break;
		holder_fill(&f->holder[i], &f->event, port);
	}
}

#endif
