// SPDX-License-Identifier: GPL-2.0-only
/* A call that returned, as one record in the ring: it worked, it worked and got no port, or it failed. */
#include "tell.bpf.h"

/* The words of outcome_words(), taken apart straight into a record: a struct between would cost stack. */
#define how_kind(how) ((u16)(0xff & (how)))
#define how_error(how) ((s32)(u16)((how) >> 16))

static __always_inline void event_outcome(struct pl_event *e, u64 how, u64 asked, u64 low, u64 high)
{
	e->via = how >> 8;
	e->error = how_error(how);
	e->backlog = how_kind(how) == PL_LISTEN ? how >> 32 : 0;
	e->asked_family = asked >> 16;
	if (!e->asked_family)
		return;
	e->flags |= PL_ASKED | (asked >> 32 & 1 ? PL_HOOK_ADDR : 0);
	e->asked_port = asked;
	__builtin_memcpy(e->asked_addr, &low, 8);
	__builtin_memcpy(e->asked_addr + 8, &high, 8);
}

/* Who makes the call: whoever took the port, unless a descriptor was passed on and another process listens. */
static __always_inline void outcome_caller(struct caller *c, const struct pl_tracked *t, u16 kind)
{
	if (kind == PL_LISTEN) {
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

/* The process of a call that worked is told before the record gets its place. */
subprog void success_process(const struct pl_tracked *t, u16 kind)
{
	struct caller c = {};

	outcome_caller(&c, t, kind);
	process_tell(c.start_ns, c.pid, c.exec_id, c.cgroup_id);
}

subprog void success_caller(struct pl_event *e, const struct pl_tracked *t, u16 kind)
{
	struct caller c = {};

	outcome_caller(&c, t, kind);
	event_caller(e, &c);
	e->tid = current_tid(c.pid);
}

/*
 * After told was set: is the socket still tracked? Then its release, which looks at told once more after it has taken
 * the socket out, will see it. Else it may have been too early to see.
 */
static __always_inline int told_outcome(u64 sk)
{
	__sync_fetch_and_add(&barrier, 1);
	return bpf_map_lookup_elem(&tracked, &sk) ? 0 : TOLD_EARLY;
}

/*
 * Another thread may close the socket at any time, and the kernel gives the entry of the map to another socket at once,
 * under whoever looks at it. The time of tracking says whose it is.
 */
static __always_inline bool is_still(const struct pl_tracked *t, u64 since_ns)
{
	return *(volatile u64 *)&t->since_ns == since_ns;
}

int told_success(u64 sk, u64 how, u64 asked, u64 addr_low, u64 addr_high)
{
	struct pl_tracked *t = bpf_map_lookup_elem(&tracked, &sk);
	struct pl_event *e;
	u64 since;

	if (!t)
		t = bpf_map_lookup_elem(&early, &sk);
	if (!t)
		return 0;
	since = t->since_ns;
	if (how_kind(how) == PL_BIND && how >> 32) {
		t->files = (u64)BPF_CORE_READ(current_task(), files);
		t->fd = how >> 32;
	}
	if (success_hidden(t)) {
		if (is_still(t, since))
			t->told = PL_TOLD_HIDDEN;
		if (told_outcome(sk))
			bpf_map_delete_elem(&early, &sk);
		return 0;
	}
	success_process(t, how_kind(how));
	e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);
	if (!e) {
		count_lost(how_kind(how), 0);
		if (is_still(t, since))
			t->told = PL_TOLD_LOST;
		return told_outcome(sk);
	}
	event_fill(e, how_kind(how), sk, t);
	success_caller(e, t, how_kind(how));
	event_outcome(e, how, asked, addr_low, addr_high);
	if (!is_still(t, since)) {
		bpf_ringbuf_discard(e, wake_flags()); /* the reader is to look at the count */
		count_lost(how_kind(how), 0);
		return told_outcome(sk);
	}
	t->told = PL_TOLD_YES;
	bpf_ringbuf_submit(e, wake_flags());
	return told_outcome(sk);
}

int portless_note(u64 sk)
{
	struct sock *socket = (void *)sk;
	struct pl_tracked t = {};

	if (!netns_wanted(socket) || !port_wanted(0))
		return 0;
	facts_fill(&t, socket, current_task());
	t.flags |= PL_EPHEMERAL;
	bpf_map_update_elem(&early, &sk, &t, BPF_ANY);
	return 0;
}

static __always_inline void failure_fill(struct pl_event *e, u16 kind, u64 sk, const struct pl_tracked *t)
{
	event_fill(e, kind, sk, t);
	event_owner(e, t);
	e->since_ns = 0;
	e->tid = current_tid(t->pid);
}

static __always_inline struct pl_failure *conflict_reserve(void)
{
	struct pl_failure *f = bpf_ringbuf_reserve(&ring, sizeof(*f), 0);

	if (!f)
		return NULL;
	for (int i = 0; i < PL_HOLDERS_MAX; i++)
		__builtin_memset(&f->holder[i], 0, sizeof(f->holder[i]));
	f->count = 0;
	f->more = 1;
	f->children = 0;
	barrier_of_compiler(); /* else it joins the stores into one memset, which BPF has no call for */
	return f;
}

int told_failure(u64 sk, u64 how, u64 asked, u64 addr_low, u64 addr_high)
{
	struct pl_tracked t = {};
	struct pl_failure *f;
	struct pl_event *e;
	u16 port;

	if (!netns_wanted((struct sock *)sk))
		return 0;
	facts_fill(&t, (struct sock *)sk, current_task());
	port = (u16)(asked >> 16) ? (u16)asked : t.port;
	if ((!port_wanted(port) && !port_wanted(t.port)) || !pid_wanted(t.pid))
		return 0;
	process_tell(t.start_ns, t.pid, t.exec_id, t.cgroup_id);
	if (how_error(how) == EADDRINUSE && port) {
		holders_walk(sk, port, t.l3mdev, t.proto);
		f = conflict_reserve();
		if (!f) {
			count_lost(how_kind(how), EADDRINUSE);
			walk_end(bpf_get_current_pid_tgid());
			return 0;
		}
		failure_fill(&f->event, how_kind(how), sk, &t);
		event_outcome(&f->event, how, asked, addr_low, addr_high);
		f->event.size = sizeof(*f);
		holders_fill(f, port);
		bpf_ringbuf_submit(f, wake_flags());
		return 0;
	}
	e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);
	if (!e) {
		count_lost(how_kind(how), how_error(how));
		return 0;
	}
	failure_fill(e, how_kind(how), sk, &t);
	event_outcome(e, how, asked, addr_low, addr_high);
	bpf_ringbuf_submit(e, wake_flags());
	return 0;
}
