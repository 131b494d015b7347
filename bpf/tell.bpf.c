// SPDX-License-Identifier: GPL-2.0-only
/* A call that returned, as one record in the ring: it worked, it worked and got no port, or it failed. */
#include "tell.bpf.h"

static __always_inline void outcome_unpack(struct outcome *o, u64 how, u64 asked, u64 low, u64 high)
{
	o->kind = how & 0xff;
	o->via = how >> 8;
	o->error = (u16)(how >> 16);
	o->backlog = how >> 32;
	o->asked.port = asked;
	o->asked.family = asked >> 16;
	o->asked.kernel_copy = asked >> 32 & 1;
	__builtin_memcpy(o->asked.addr, &low, 8);
	__builtin_memcpy(o->asked.addr + 8, &high, 8);
}

static __always_inline void event_outcome(struct pl_event *e, const struct outcome *o)
{
	const struct asked *a = &o->asked;

	e->via = o->via;
	e->error = o->error;
	e->backlog = o->backlog;
	if (!a->family)
		return;
	e->flags |= PL_ASKED | (a->kernel_copy ? PL_HOOK_ADDR : 0);
	e->asked_port = a->port;
	e->asked_family = a->family;
	__builtin_memcpy(e->asked_addr, a->addr, sizeof(e->asked_addr));
}


/* Who makes the call: whoever took the port, unless a descriptor was passed on and another process listens. */
static __always_inline void outcome_caller(struct caller *c, const struct pl_tracked *t, const struct outcome *o)
{
	if (o->kind == PL_LISTEN) {
		caller_fill(c, current_task());
		return;
	}
	c->start_ns = t->start_ns;
	c->exec_id = t->exec_id;
	c->cgroup_id = t->cgroup_id;
	c->pid = t->pid;
	c->ppid = t->ppid;
	c->uid = t->uid;
	c->gid = t->gid;
	__builtin_memcpy(c->comm, t->comm, sizeof(c->comm));
}

subprog u8 success_submit(u64 sk, const struct pl_tracked *t, const struct outcome *o)
{
	struct caller c = {};
	struct pl_event *e;

	if (success_hidden(t))
		return PL_TOLD_HIDDEN;
	outcome_caller(&c, t, o);
	process_tell(c.start_ns, c.pid, c.exec_id, c.cgroup_id);
	e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);
	if (!e) {
		count_lost(o->kind, 0);
		return PL_TOLD_LOST;
	}
	event_fill(e, o->kind, sk, t);
	event_caller(e, &c);
	e->tid = current_tid(c.pid);
	event_outcome(e, o);
	bpf_ringbuf_submit(e, wake_flags());
	return PL_TOLD_YES;
}

int told_success(u64 sk, u64 how, u64 asked, u64 addr_low, u64 addr_high)
{
	struct outcome o = {};
	struct pl_tracked *t;

	t = bpf_map_lookup_elem(&tracked, &sk);
	if (!t)
		t = bpf_map_lookup_elem(&early, &sk);
	if (!t)
		return 0;
	outcome_unpack(&o, how, asked, addr_low, addr_high);
	t->told = success_submit(sk, t, &o);
	return 0;
}

int told_portless(u64 sk, u64 how, u64 asked, u64 addr_low, u64 addr_high)
{
	struct sock *socket = (void *)sk;
	struct pl_tracked t = {};
	struct outcome o = {};

	if (!netns_wanted(socket) || !port_wanted(0))
		return 0;
	outcome_unpack(&o, how, asked, addr_low, addr_high);
	facts_fill(&t, socket, current_task());
	t.flags |= PL_EPHEMERAL;
	success_submit(sk, &t, &o);
	return 0;
}

static __always_inline void failure_fill(struct pl_event *e, struct sock *sk, const struct pl_tracked *t,
					 const struct outcome *o)
{
	event_fill(e, o->kind, (u64)sk, t);
	event_owner(e, t);
	e->since_ns = 0;
	e->tid = current_tid(t->pid);
	event_outcome(e, o);
}

static __always_inline void conflict_submit(struct sock *sk, const struct pl_tracked *t, const struct outcome *o,
					    u16 port)
{
	struct pl_failure *f = bpf_ringbuf_reserve(&ring, sizeof(*f), 0);

	if (!f) {
		count_lost(o->kind, o->error);
		return;
	}
	for (int i = 0; i < PL_HOLDERS_MAX; i++)
		__builtin_memset(&f->holder[i], 0, sizeof(f->holder[i]));
	f->count = 0;
	f->more = 0;
	f->children = 0;
	barrier_of_compiler(); /* else it joins the stores into one memset, which BPF has no call for */
	failure_fill(&f->event, sk, t, o);
	f->event.size = sizeof(*f);
	holders_fill(f, sk, t, port);
	bpf_ringbuf_submit(f, wake_flags());
}

int told_failure(u64 sk, u64 how, u64 asked, u64 addr_low, u64 addr_high)
{
	struct sock *socket = (void *)sk;
	struct pl_tracked t = {};
	struct outcome o = {};
	struct pl_event *e;
	u16 port;

	if (!netns_wanted(socket))
		return 0;
	outcome_unpack(&o, how, asked, addr_low, addr_high);
	facts_fill(&t, socket, current_task());
	port = o.asked.family ? o.asked.port : t.port;
	if ((!port_wanted(port) && !port_wanted(t.port)) || !pid_wanted(t.pid))
		return 0;
	process_tell(t.start_ns, t.pid, t.exec_id, t.cgroup_id);
	if (o.error == EADDRINUSE && port) {
		conflict_submit(socket, &t, &o, port);
		return 0;
	}
	e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);
	if (!e) {
		count_lost(o.kind, o.error);
		return 0;
	}
	failure_fill(e, socket, &t, &o);
	bpf_ringbuf_submit(e, wake_flags());
	return 0;
}
