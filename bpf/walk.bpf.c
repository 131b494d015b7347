// SPDX-License-Identifier: GPL-2.0-only
/*
 * Walks along lists of the kernel's: which sockets are on a port whose bind or listen failed, and single steps for the
 * loops of others. What a longer walk knows lives in a map and not in registers: so the verifier knows nothing of it, and
 * checks a step once instead of every turn of the loop with all that might be true there.
 */
#include "holder.bpf.h"

#define WALK_TURNS 8 /* of WALK_STEPS sockets on one port, or in one UDP hash slot */
#define WALK_STEPS 16
#define CHILDREN_MAX 4 /* connected or closing sockets kept, so that they cannot push out a listener */

int walk_step(u64 id);
int walk_turn(u64 id);

_Static_assert(sizeof(struct walk) <= sizeof(zeros), "a walk begins as zeros");

u64 bucket_step(u64 node, u64 net, u32 port, u32 l3mdev)
{
	struct inet_bind_bucket *tb = (void *)node - bpf_core_field_offset(struct inet_bind_bucket, node);
	u64 next = (u64)BPF_CORE_READ((struct hlist_node *)node, next);

	if (BPF_CORE_READ(tb, port) != port || (u64)BPF_CORE_READ(tb, ib_net.net) != net ||
	    BPF_CORE_READ(tb, l3mdev) != (int)l3mdev)
		return next;
	return next | STEP_FOUND;
}

u64 udp_step(u64 node, u64 net, u32 port, u64 own)
{
	struct sock *other = (void *)node - bpf_core_field_offset(struct sock_common, skc_node);
	u64 next = (u64)BPF_CORE_READ((struct hlist_node *)node, next);

	if ((u64)other == own || BPF_CORE_READ(other, __sk_common.skc_num) != port ||
	    (u64)BPF_CORE_READ(other, __sk_common.skc_net.net) != net)
		return next;
	return next | STEP_FOUND;
}

/* The first socket of a bucket: the owners of one inet_bind2_bucket come after the other, or all lie in its own list. */
static __always_inline void walk_begin_tcp(struct walk *w, struct sock *sk, struct net *net, u32 l3mdev)
{
	bool cut;
	struct inet_bind_bucket *tb = bucket_find(sk, net, w->port, l3mdev, &cut);
	struct inet_bind_bucket___owners *old = (void *)tb;

	w->more = cut;
	if (!tb)
		return;
	if (bucket_has_bhash2(tb))
		w->bucket2 = (u64)BPF_CORE_READ(tb, bhash2.first);
	else
		w->node = (u64)BPF_CORE_READ(old, owners.first);
}

/* The next socket; NULL when this step only crossed to the next bucket. */
static __always_inline struct sock *walk_tcp(struct walk *w)
{
	struct hlist_node *node = (void *)w->node, *bucket2 = (void *)w->bucket2;
	struct inet_bind2_bucket *tb2;

	if (!node) {
		w->bucket2 = 0;
		if (!bucket_has_bhash2((struct inet_bind_bucket *)NULL))
			return NULL;
		tb2 = (void *)bucket2 - bpf_core_field_offset(struct inet_bind2_bucket, bhash_node);
		w->node = (u64)BPF_CORE_READ(tb2, owners.first);
		w->bucket2 = (u64)BPF_CORE_READ(bucket2, next);
		return NULL;
	}
	w->node = (u64)BPF_CORE_READ(node, next);
	return (void *)node - bpf_core_field_offset(struct sock_common, skc_bind_node);
}

static __always_inline struct sock *walk_udp(struct walk *w)
{
	u64 next = udp_step(w->node, w->net, w->port, w->sk);
	struct sock *other = (void *)w->node - bpf_core_field_offset(struct sock_common, skc_node);

	w->node = next & ~(u64)STEP_FOUND;
	return next & STEP_FOUND ? other : NULL;
}

/* Keep @other among the candidates unless it is the caller's own socket or there already. */
static __always_inline void candidate_add(struct walk *w, struct sock *other)
{
	u8 state;

	if ((u64)other == w->sk || (u64)other == w->found[0])
		return;
	state = BPF_CORE_READ(other, __sk_common.skc_state);
	if (state != TCP_LISTEN && state != TCP_CLOSE) {
		if (w->children >= CHILDREN_MAX) {
			w->more = 1;
			return;
		}
		w->children++;
	}
	if (w->count >= PL_HOLDERS_MAX) {
		w->more = 1;
		return;
	}
	w->found[w->count & (PL_HOLDERS_MAX - 1)] = (u64)other;
	w->count++;
}

/* 0: the walk is over. */
int walk_step(u64 id)
{
	struct walk *w = bpf_map_lookup_elem(&walks, &id);
	struct sock *other;

	if (!w || (!w->node && !w->bucket2))
		return 0;
	other = w->net ? walk_udp(w) : walk_tcp(w);
	if (other)
		candidate_add(w, other);
	return 1;
}

int walk_turn(u64 id)
{
	for (int i = 0; i < WALK_STEPS; i++)
		if (!walk_step(id))
			return 0;
	return 1;
}

/* The kernel's own verdict comes first: fexit hooks leave the pair they compared last. */
static __always_inline void candidate_tripped(struct walk *w, u64 id)
{
	struct conflict *c = bpf_map_lookup_elem(&conflicts, &id);

	if (c && c->sk == w->sk) {
		w->found[0] = c->other;
		w->tripped = 1;
		w->count = 1;
	}
	bpf_map_delete_elem(&conflicts, &id);
}

int holders_walk(u64 sk, u32 port, u32 l3mdev, u32 proto)
{
	struct net *net = BPF_CORE_READ((struct sock *)sk, __sk_common.skc_net.net);
	u64 id = bpf_get_current_pid_tgid();
	struct walk *w;

	w = walk_new(id);
	if (!w)
		return 0;
	w->sk = sk;
	w->port = port;
	candidate_tripped(w, id);
	if (proto == IPPROTO_TCP) {
		walk_begin_tcp(w, (void *)sk, net, l3mdev);
	} else {
		w->net = (u64)net;
		w->node = udp_slot((void *)sk, net, port);
	}
	for (int i = 0; i < WALK_TURNS; i++)
		if (!walk_turn(id))
			return 0;
	w->more = 1;
	return 0;
}

/* Towards the root of the mount tree. */
u64 path_step(u64 id)
{
	struct walk *w = bpf_map_lookup_elem(&walks, &id);
	struct dentry *dentry, *parent;
	struct mount *mount, *above;

	if (!w)
		return PATH_ROOT;
	dentry = (void *)w->node;
	mount = (void *)w->mount;
	parent = BPF_CORE_READ(dentry, d_parent);
	if (dentry != BPF_CORE_READ(mount, mnt.mnt_root) && dentry != parent) {
		w->node = (u64)parent;
		return (u64)BPF_CORE_READ(dentry, d_name.name);
	}
	above = BPF_CORE_READ(mount, mnt_parent);
	if (above == mount)
		return PATH_ROOT;
	w->node = (u64)BPF_CORE_READ(mount, mnt_mountpoint);
	w->mount = (u64)above;
	return PATH_CROSSED;
}
