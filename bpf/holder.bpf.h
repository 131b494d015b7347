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
#define OWNER_STEPS 64  /* sockets on one port: every step costs time at each load */
#define SLOT_STEPS 32   /* sockets in one UDP hash slot */
#define CHILDREN_MAX 4  /* connected or closing sockets kept, so that they cannot push out a listener */

/* @ret_cut: the chain is longer than was looked at. */
static __always_inline struct inet_bind_bucket *bucket_find(struct sock *sk, struct net *net, u16 port,
							    u32 l3mdev, bool *ret_cut)
{
	struct inet_hashinfo *info = tcp_hashinfo(sk, net);
	struct inet_bind_hashbucket *heads = BPF_CORE_READ(info, bhash);
	u32 mask = BPF_CORE_READ(info, bhash_size) - 1;
	u32 mix = BPF_CORE_READ(net, hash_mix);
	struct hlist_node *node = NULL;
	void *head;

	head = (void *)heads + (u64)((port + mix) & mask) * bpf_core_type_size(struct inet_bind_hashbucket) +
	       bpf_core_field_offset(struct inet_bind_hashbucket, chain);
	bpf_probe_read_kernel(&node, sizeof(node), head);
	*ret_cut = false;
	for (int i = 0; i < BUCKET_STEPS && node; i++) {
		struct inet_bind_bucket *tb =
			(void *)node - bpf_core_field_offset(struct inet_bind_bucket, node);

		if (BPF_CORE_READ(tb, port) == port && BPF_CORE_READ(tb, ib_net.net) == net &&
		    BPF_CORE_READ(tb, l3mdev) == (int)l3mdev)
			return tb;
		node = BPF_CORE_READ(node, next);
	}
	*ret_cut = node;
	return NULL;
}

/* Steps over the sockets of a bucket, flat: the owners of one inet_bind2_bucket after the other. */
struct owner_walk {
	struct hlist_node *owner;
	struct hlist_node *bucket2;
};

static __always_inline void owner_walk_begin(struct owner_walk *w, struct inet_bind_bucket *tb)
{
	struct inet_bind_bucket___owners *old = (void *)tb;

	w->owner = NULL;
	w->bucket2 = NULL;
	if (bucket_has_bhash2(tb))
		w->bucket2 = BPF_CORE_READ(tb, bhash2.first);
	else
		w->owner = BPF_CORE_READ(old, owners.first);
}

/* The next socket; NULL when this step only crossed to the next bucket or the walk is over (owner_walk_done). */
static __always_inline struct sock *owner_walk_next(struct owner_walk *w)
{
	struct hlist_node *owner = w->owner, *bucket2 = w->bucket2;
	struct inet_bind2_bucket *tb2;

	if (!owner) {
		tb2 = (void *)bucket2 - bpf_core_field_offset(struct inet_bind2_bucket, bhash_node);
		w->owner = BPF_CORE_READ(tb2, owners.first);
		w->bucket2 = BPF_CORE_READ(bucket2, next);
		return NULL;
	}
	w->owner = BPF_CORE_READ(owner, next);
	return (void *)owner - bpf_core_field_offset(struct sock_common, skc_bind_node);
}

static __always_inline bool owner_walk_done(const struct owner_walk *w)
{
	return !w->owner && !w->bucket2;
}

/* Keep @other among the candidates of @f unless it is @sk itself or there already. */
static __always_inline void candidate_add(struct pl_failure *f, struct sock *sk, struct sock *other)
{
	u8 state;

	if (other == sk || (u64)other == f->holder[0].sk)
		return;
	state = BPF_CORE_READ(other, __sk_common.skc_state);
	if (state != TCP_LISTEN && state != TCP_CLOSE) {
		if (f->children >= CHILDREN_MAX) {
			f->more = 1;
			return;
		}
		f->children++;
	}
	if (f->count >= PL_HOLDERS_MAX) {
		f->more = 1;
		return;
	}
	f->holder[f->count & (PL_HOLDERS_MAX - 1)].sk = (u64)other;
	f->count++;
}

static __always_inline void candidates_tcp(struct pl_failure *f, struct sock *sk, struct net *net, u16 port,
					   u32 l3mdev)
{
	bool cut;
	struct inet_bind_bucket *tb = bucket_find(sk, net, port, l3mdev, &cut);
	struct owner_walk w;

	f->more |= cut;
	if (!tb)
		return;
	owner_walk_begin(&w, tb);
	for (int i = 0; i < OWNER_STEPS; i++) {
		struct sock *other;

		if (owner_walk_done(&w))
			return;
		other = owner_walk_next(&w);
		if (other)
			candidate_add(f, sk, other);
	}
	f->more = 1;
}

static __always_inline struct hlist_node *udp_slot(struct sock *sk, struct net *net, u16 port)
{
	struct udp_table *table = udp_tables(sk, net);
	u32 mask = BPF_CORE_READ(table, mask);
	u32 mix = BPF_CORE_READ(net, hash_mix);
	struct hlist_node *node = NULL;

	bpf_probe_read_kernel(&node, sizeof(node),
			      (void *)BPF_CORE_READ(table, hash) +
				      (u64)((port + mix) & mask) * bpf_core_type_size(struct udp_hslot) +
				      bpf_core_field_offset(struct udp_hslot, head));
	return node;
}

static __always_inline struct sock *udp_next(struct hlist_node **node, struct net *net, u16 port)
{
	struct hlist_node *at = *node;
	struct sock *other = (void *)at - bpf_core_field_offset(struct sock_common, skc_node);

	*node = BPF_CORE_READ(at, next);
	if (BPF_CORE_READ(other, __sk_common.skc_num) != port ||
	    BPF_CORE_READ(other, __sk_common.skc_net.net) != net)
		return NULL;
	return other;
}

static __always_inline void candidates_udp(struct pl_failure *f, struct sock *sk, struct net *net, u16 port)
{
	struct hlist_node *node = udp_slot(sk, net, port);

	for (int i = 0; i < SLOT_STEPS; i++) {
		struct sock *other;

		if (!node)
			return;
		other = udp_next(&node, net, port);
		if (other)
			candidate_add(f, sk, other);
	}
	f->more = 1;
}

/* Is another UDP socket left on @sk's port? PL_FREE, 0, or PL_FREE_UNKNOWN when the slot is too long to tell. */
static __always_inline u32 udp_free(struct sock *sk, u16 port)
{
	struct net *net = BPF_CORE_READ(sk, __sk_common.skc_net.net);
	struct hlist_node *node = udp_slot(sk, net, port);

	for (int i = 0; i < SLOT_STEPS; i++) {
		struct sock *other;

		if (!node)
			return PL_FREE;
		other = udp_next(&node, net, port);
		if (other && other != sk)
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

static __always_inline void holder_owner(struct pl_holder *h, const struct pl_tracked *t)
{
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
	u64 key = h->sk;

	h->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	h->state = BPF_CORE_READ(sk, __sk_common.skc_state);
	h->port = BPF_CORE_READ(sk, __sk_common.skc_num);
	h->ifindex = BPF_CORE_READ(sk, __sk_common.skc_bound_dev_if);
	h->cookie = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
	socket_addr(h->addr, sk, h->family);
	if (h->state != TCP_TIME_WAIT && h->state != TCP_NEW_SYN_RECV) {
		h->flags |= socket_flags(sk);
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

/* The kernel's own verdict comes first: fexit hooks leave the pair they compared last. */
static __always_inline void candidate_tripped(struct pl_failure *f, struct sock *sk)
{
	u64 id = bpf_get_current_pid_tgid();
	struct conflict *c = bpf_map_lookup_elem(&conflicts, &id);

	if (c && c->sk == (u64)sk) {
		f->holder[0].sk = c->other;
		f->holder[0].flags = PL_TRIPPED;
		f->count = 1;
	}
	bpf_map_delete_elem(&conflicts, &id);
}

static __always_inline void holders_fill(struct pl_failure *f, struct sock *sk, const struct pl_tracked *t,
					 u16 port)
{
	struct net *net = BPF_CORE_READ(sk, __sk_common.skc_net.net);

	candidate_tripped(f, sk);
	if (t->proto == IPPROTO_TCP)
		candidates_tcp(f, sk, net, port, t->l3mdev);
	else
		candidates_udp(f, sk, net, port);
	for (int i = 0; i < PL_HOLDERS_MAX; i++) {
		if (i >= f->count)
			break;
		holder_fill(&f->holder[i], &f->event, port);
	}
}

#endif
