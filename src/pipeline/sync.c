/* SPDX-License-Identifier: GPL-2.0-only */
/* What was there before the tracer, and what a loss took away: the ledger made equal to the kernel. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pipeline/state.h"
#include "source/netns.h"

#define RESYNC_AFTER_NS (50 * NS_PER_MS) /* after a loss: let the burst pass */
#define UNDER_WAY_NS \
	(1100 * NS_PER_MS) /* after which bpf/sockets.bpf.c takes a return that was not seen for missed */
#define MAP_LOST_EVERY_NS (100 * NS_PER_MS)
#define TCP_STATE_LISTEN 10
#define PLACES_MAX 64 /* namespaces whose sockets are asked for at one resync */

/* ---- snapshot ---- */

static int drain_between(void *arg)
{
	struct pipeline *p = arg;
	bool any;

	return pipeline_drain(p, &any) || pipeline_look(p) || p->stop;
}

/* Everything that is in the ring now. Bounded: what producers add meanwhile waits for the loop. */
void drain_to_here(struct pipeline *p)
{
	uint64_t end = ring_produced(p->ring);
	bool any = true;

	while (any && !p->error && !p->stop && ring_position(p->ring) < end) {
		(void)pipeline_drain(p, &any);
		if (!any && keep_is_full(p) && !keep_nap(p, UINT64_MAX))
			any = true; /* until there is room: who compares with the kernel has to know all that was told */
	}
}

bool netns_asked(const struct pipeline *p, uint32_t inode)
{
	for (size_t i = 0; i < p->n_netns; i++)
		if (p->netns[i] == inode)
			return true;
	return !p->n_netns;
}

/*
 * Sockets that no file led to, namespace by namespace; one that vanishes meanwhile is left out. How many could not be
 * looked into: too many for the limit of open files, or a /proc that hides them.
 */
uint32_t fileless_all(struct pipeline *p, struct tracer *t, int (*between)(void *arg), void *arg)
{
	struct netns_list list = { 0 };
	uint32_t cut;
	int home;

	if (netns_list_all(&list) < 0)
		return 1;
	cut = (uint32_t)list.cut;
	for (size_t i = 0; i < list.n && !p->stop; i++) {
		if (!netns_asked(p, list.items[i].inode))
			continue;
		if (netns_enter(list.items[i].fd, &home) < 0) {
			cut++;
			continue;
		}
		(void)tracer_iterate_fileless(t, between, arg);
		(void)netns_leave(home);
	}
	netns_list_done(&list);
	return cut;
}

struct presence {
	uint64_t inode;
	bool found;
};

static int presence_row(void *arg, const struct diag_row *row)
{
	struct presence *here = arg;

	here->found = here->found || row->inode == here->inode;
	return here->found;
}

/* Is the socket of @e in the kernel's own list? A UDP socket that is being closed stays in the iterator's a moment longer. */
static bool entry_is_there(struct pipeline *p, const struct entry *e)
{
	struct diag_query q = { .tcp = e->told.proto != PROTO_UDP,
				.udp = e->told.proto == PROTO_UDP,
				.port = e->told.port };
	struct sockdiag *sd = diags_get(p->diags, e->told.netns, NULL);
	struct presence here = { .inode = e->inode };

	return !sd || sockdiag_dump(sd, &q, presence_row, &here) < 0 || here.found;
}

/* Sockets that nobody has open and that are no kernel's: in flight, or gone since. */
static void unsure_check(struct pipeline *p)
{
	struct entry *e, *next;

	for (e = ledger_next(p->ledger, NULL); e; e = next) {
		next = ledger_next(p->ledger, e);
		if (!e->unsure || !e->snapshot_untold || entry_is_there(p, e))
			continue;
		tracer_untrack(p->tracer, e->sk, e->tracked_ns);
		ledger_release(p->ledger, e, clock_boot_ns());
	}
}

static void untold_tell(struct pipeline *p)
{
	struct entry *e = NULL, *next;

	for (e = ledger_next(p->ledger, NULL); e && !p->error && !p->stop; e = next) {
		next = ledger_next(p->ledger, e);
		entry_tell_snapshot(p, e);
	}
}

static int tracked_count(void *arg, uint64_t sk, const struct pl_tracked *value)
{
	uint64_t *count = arg;

	(void)sk;
	if (!(value->flags & PL_EPHEMERAL))
		(*count)++;
	return 0;
}

/* How many sockets were found: told or, where the filter keeps their rows in the kernel, only tracked. */
static uint64_t snapshot_found(struct pipeline *p)
{
	const struct filter_kernel *k = p->config->kernel;
	uint64_t count = 0;

	if (!k || !(k->failed_only || k->pid_valid) ||
	    tracer_tracked_all(p->tracer, tracked_count, &count) < 0)
		return p->snapshot_count;
	return count;
}

int pipeline_snapshot(struct pipeline *p)
{
	uint64_t begin = clock_boot_ns();
	uint32_t netns_cut = 0;
	struct record rec;
	int r;

	p->syncing = true;
	r = tracer_iterate(p->tracer, true, drain_between, p);
	if (r == -ENOTSUP)
		r = snapshot_from_proc(p, &netns_cut);
	else if (!r)
		netns_cut = fileless_all(p, p->tracer, drain_between, p);
	if (r < 0 || p->asked_to_end)
		return r < 0 ? r : p->error; /* told to end before it was complete: nothing is in step */
	drain_to_here(p);
	unsure_check(p);
	untold_tell(p);
	p->syncing = false;
	record_now(&rec, ACTION_SYNCED);
	rec.count = snapshot_found(p);
	rec.netns_cut = netns_cut;
	rec.took_us = (rec.time_ns - begin) / 1000;
	pipeline_tell(p, &rec, NULL, NULL, NULL);
	losses_check(p);
	keeper_synced(p);
	return p->error;
}

/* ---- losses ---- */

void lost_tell(struct pipeline *p, uint64_t count, enum lost_where where, enum action action)
{
	struct record rec;

	record_now(&rec, ACTION_LOST);
	rec.count = count;
	rec.lost_where = where;
	rec.lost_action = action;
	p->lost_at[where] += count;
	pipeline_tell(p, &rec, NULL, NULL, NULL);
}

/* Which events the kinds of the ring stand for; what is no event (who a process is, hints) is mended in silence. */
static const enum action lost_actions[PL_KIND_MAX] = {
	[PL_BIND] = ACTION_BIND,         [PL_LISTEN] = ACTION_LISTEN,     [PL_RELEASE] = ACTION_RELEASE,
	[PL_AUTOBIND] = ACTION_AUTOBIND, [PL_SNAPSHOT] = ACTION_SNAPSHOT,
};

static bool ring_has_lost(const struct pipeline *p)
{
	for (unsigned kind = 0; kind < PL_KIND_MAX; kind++)
		if (tracer_lost(p->tracer, kind, false) != p->lost_seen[kind])
			return true;
	return false;
}

/* Another set of hooks counts anew. */
void losses_begin(struct pipeline *p)
{
	for (unsigned kind = 0; kind < PL_KIND_MAX; kind++)
		p->lost_seen[kind] = tracer_lost(p->tracer, kind, false);
	p->map_full.now = p->map_full.told = tracer_tracked_full(p->tracer);
	p->missed_seen = tracer_missed(p->tracer, NULL, NULL);
}

void losses_resume(struct pipeline *p, enum lost_where where, enum action action, uint64_t count)
{
	for (unsigned kind = 0; where == LOST_RING && kind < PL_KIND_MAX; kind++)
		if (lost_actions[kind] == action)
			p->lost_seen[kind] = count;
	if (where == LOST_MAP && !action)
		p->map_full.now = p->map_full.told = count;
	if (where == LOST_HOOK)
		p->missed_seen = count;
}

static bool ring_losses(struct pipeline *p)
{
	bool any = false;

	for (unsigned kind = 0; kind < PL_KIND_MAX; kind++) {
		uint64_t now = tracer_lost(p->tracer, kind, false);

		if (now == p->lost_seen[kind])
			continue;
		if (lost_actions[kind])
			lost_tell(p, now - p->lost_seen[kind], LOST_RING, lost_actions[kind]);
		p->lost_seen[kind] = now;
		any = true;
	}
	return any;
}

/* The ledger is right, but who reads the sink has missed something: tell it all again. */
static bool queue_losses(struct pipeline *p)
{
	uint64_t lost = p->config->sink->lost ? p->config->sink->lost(p->sink) : 0,
		 before = p->queue_lost_seen;

	if (lost == before)
		return false;
	p->queue_lost_seen = lost;
	p->retell = true;
	lost_tell(p, lost - before, LOST_QUEUE, ACTION_NONE);
	return true;
}

static void map_loss_tell(struct pipeline *p, struct map_loss *loss, enum action action)
{
	if (loss->now != loss->told)
		lost_tell(p, loss->now - loss->told, LOST_MAP, action);
	loss->told = loss->now;
}

/* Processes of the tree that is followed found no room: no resync finds out what comes from them. */
static void tree_losses(struct pipeline *p)
{
	uint64_t full = tracer_tree_full(p->tracer);

	if (full != p->tree_full_seen)
		lost_tell(p, full - p->tree_full_seen, LOST_TREE, ACTION_NONE);
	p->tree_full_seen = full;
}

/*
 * With the map full each bind of a storm is one more. They have no place in the stream that would say more than the sum
 * does, so ten lines a second say it. True: there are new ones.
 */
static bool map_losses(struct pipeline *p, bool at_once)
{
	uint64_t full = tracer_tracked_full(p->tracer), now_ns = clock_boot_ns();
	bool any = full != p->map_full.now;

	p->map_full.now = full;
	p->map_lingers.now = lingers_forgotten(p->lingers);
	if (p->map_full.now == p->map_full.told && p->map_lingers.now == p->map_lingers.told)
		return any;
	if (!at_once && now_ns < p->map_next_ns) {
		p->map_due_ns = p->map_next_ns;
		return any;
	}
	map_loss_tell(p, &p->map_full, ACTION_NONE);
	map_loss_tell(p, &p->map_lingers, ACTION_FREE);
	p->map_next_ns = now_ns + MAP_LOST_EVERY_NS;
	p->map_due_ns = 0;
	return any;
}

static void losses_fold(struct pipeline *p, bool at_once)
{
	bool ring = ring_losses(p), map = map_losses(p, at_once), queue = queue_losses(p);

	tree_losses(p);
	p->lost_place = 0;
	if ((ring || map || queue) && !p->resync_due_ns)
		p->resync_due_ns = clock_boot_ns() + RESYNC_AFTER_NS;
}

void losses_check(struct pipeline *p)
{
	losses_fold(p, true);
}

/*
 * What finds no room is lost when the ring is full, so its place is one ring's size after where the reader stood then, or
 * at most one record before that. It stood no earlier than when it looked last. There the loss is told, before whatever
 * came after it; the ring need not be as full as that any more.
 */
void losses_look(struct pipeline *p)
{
	uint64_t at = ring_position(p->ring);

	if (!p->lost_place && ring_has_lost(p))
		p->lost_place =
			p->looked_at + p->config->ring_bytes - ring_record_size(sizeof(struct pl_process));
	p->looked_at = ring_released(p->ring);
	if (!p->lost_place || at >= p->lost_place || ring_is_empty(p->ring))
		losses_fold(p, false);
}

/* Runs of programs that the kernel skipped because one was running already on that processor. Asked for rarely. */
void missed_check(struct pipeline *p)
{
	uint64_t missed = tracer_missed(p->tracer, NULL, NULL);

	if (missed == p->missed_seen)
		return;
	if (p->config->verbose)
		statistics_print(p);
	lost_tell(p, missed - p->missed_seen, LOST_HOOK, ACTION_NONE);
	p->hooks_missed = true;
	p->missed_seen = missed;
	if (!p->resync_due_ns)
		p->resync_due_ns = clock_boot_ns() + RESYNC_AFTER_NS;
}

/* ---- resync ---- */

/* A socket that is tracked and not in the ledger, although it should have been told; or there, and its listen is not. */
struct missing {
	uint64_t sk;
	struct pl_tracked value;
};

struct comparison {
	struct pipeline *pipeline;
	struct missing *missing;
	size_t n, room;
	uint64_t kept;
	bool under_way; /* a call had not returned, or its return was not seen: that shows a second later */
};

static bool listen_was_lost(const struct entry *e, const struct pl_tracked *value)
{
	return value->told == PL_TOLD_LOST && value->flags & PL_LISTENED && !e->listened;
}

static bool is_under_way(const struct pl_tracked *value)
{
	return value->told == PL_TOLD_NOT ||
	       (value->state == TCP_STATE_LISTEN && !(value->flags & PL_LISTENED));
}

static int tracked_compare(void *arg, uint64_t sk, const struct pl_tracked *value)
{
	struct comparison *c = arg;
	struct entry *e = ledger_find(c->pipeline->ledger, sk);

	c->under_way = c->under_way || is_under_way(value);
	if (e && e->tracked_ns == value->since_ns) {
		e->mark = c->pipeline->mark;
		c->kept++;
		if (!listen_was_lost(e, value))
			return 0;
	}
	if (value->told == PL_TOLD_NOT || value->told == PL_TOLD_HIDDEN)
		return 0;
	if (c->n == c->room) {
		size_t room = c->room ? c->room * 2 : 256;
		struct missing *more = reallocarray(c->missing, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		c->missing = more;
		c->room = room;
	}
	c->missing[c->n].sk = sk;
	c->missing[c->n++].value = *value;
	return 0;
}

/* The same facts as the record that was lost, out of the map. */
static void missing_record(const struct missing *m, struct record *rec)
{
	struct pl_event e = {
		.kind = PL_SNAPSHOT,
		.flags = m->value.flags,
		.time_ns = clock_boot_ns(),
		.sk = m->sk,
		.cookie = m->value.cookie,
		.inode = m->value.inode,
		.since_ns = m->value.since_ns,
		.start_ns = m->value.start_ns,
		.exec_id = m->value.exec_id,
		.cgroup_id = m->value.cgroup_id,
		.pid = m->value.pid,
		.tid = m->value.pid,
		.ppid = m->value.ppid,
		.uid = m->value.uid,
		.gid = m->value.gid,
		.sock_uid = m->value.sock_uid,
		.netns = m->value.netns,
		.ifindex = m->value.ifindex,
		.port = m->value.port,
		.proto = m->value.proto,
		.family = m->value.family,
		.state = m->value.state,
		.via = PL_VIA_ITER,
	};

	memcpy(e.addr, m->value.addr, sizeof(e.addr));
	memcpy(e.comm, m->value.comm, sizeof(e.comm));
	memcpy(e.iface, m->value.iface, sizeof(e.iface));
	decode_event(&e, rec);
	decode_since(m->value.flags, m->value.since_ns, m->value.start_ns, &rec->since_ns,
		     &rec->since_precision);
	rec->correction = true;
}

static bool still_tracked(struct pipeline *p, uint64_t sk, uint64_t tracked_ns)
{
	struct pl_tracked now;

	return !tracer_tracked_get(p->tracer, sk, &now) && now.since_ns == tracked_ns;
}

/* A socket that was told as bound listens, and the ring was full then. */
static void missing_listen(struct pipeline *p, const struct missing *m, struct entry *e)
{
	struct record rec;

	if (!listen_was_lost(e, &m->value) || !still_tracked(p, m->sk, m->value.since_ns))
		return;
	missing_record(m, &rec);
	rec.action = ACTION_LISTEN;
	rec.socket_id = e->id;
	(void)ledger_hold(p->ledger, &rec, e->process);
	pipeline_tell(p, &rec, e, e->process, NULL);
}

static uint64_t missing_add(struct pipeline *p, const struct comparison *c)
{
	uint64_t added = 0;

	for (size_t i = 0; i < c->n; i++) {
		const struct missing *m = &c->missing[i];
		struct record rec;
		struct entry *e;

		e = ledger_find(p->ledger, m->sk);
		if (e && e->tracked_ns == m->value.since_ns) {
			e->mark = p->mark; /* its record was in the ring */
			missing_listen(p, m, e);
			continue;
		}
		if (!still_tracked(p, m->sk, m->value.since_ns))
			continue;
		missing_record(m, &rec);
		rec.correction = !p->syncing;
		if (e) {
			tell_release_of(p, e, rec.time_ns);
			ledger_release(p->ledger, e, rec.time_ns);
		}
		e = ledger_hold(p->ledger, &rec, process_of(p, &rec));
		if (!e)
			continue;
		e->mark = p->mark;
		e->snapshot_untold = true;
		entry_tell_snapshot(p, e);
		handoff_watch(p, e);
		added++;
	}
	return added;
}

/* Entries from before @begin_ns that the map does not have: their releases were lost. */
static uint64_t gone_remove(struct pipeline *p, uint64_t begin_ns)
{
	struct entry *e, *next;
	uint64_t removed = 0;

	for (e = ledger_next(p->ledger, NULL); e; e = next) {
		next = ledger_next(p->ledger, e);
		if (e->mark == p->mark || !e->sk || e->tracked_ns >= begin_ns ||
		    still_tracked(p, e->sk, e->tracked_ns))
			continue;
		entry_tell_snapshot(p, e);
		tell_release_of(p, e, clock_boot_ns());
		ledger_release(p->ledger, e, clock_boot_ns());
		removed++;
	}
	return removed;
}

/* ---- what the hooks still track and the kernel has no more ---- */

/*
 * No hook of the tracepoint set sees the end of a kernel's UDP socket, and any may have been skipped. Only what the
 * kernel's list is sure to have is looked for there: a TCP socket that is bound and does not listen is in none before 6.8.
 */
static bool is_listed(struct pipeline *p, const struct entry *e, uint64_t begin_ns)
{
	struct pl_tracked now;

	if (!(e->told.kernel || p->hooks_missed) || !e->sk || e->tracked_ns >= begin_ns ||
	    tracer_tracked_get(p->tracer, e->sk, &now) || now.since_ns != e->tracked_ns)
		return false;
	return e->told.proto == PROTO_UDP || now.state == TCP_STATE_LISTEN;
}

struct roll_call {
	struct pipeline *pipeline;
	uint32_t netns;
};

/* Sockets of the kernel may have no inode, and cookies are made late: what could be it is taken for it. */
static int present_row(void *arg, const struct diag_row *row)
{
	const struct roll_call *call = arg;
	struct pipeline *p = call->pipeline;
	struct entry *e = NULL;

	while ((e = ledger_on_port(p->ledger, call->netns, row->proto, row->port, e)))
		if (e->inode == row->inode || (e->cookie && e->cookie == row->cookie))
			e->present = true;
	return 0;
}

static bool places_have(const uint32_t *places, size_t n, uint32_t netns)
{
	for (size_t i = 0; i < n; i++)
		if (places[i] == netns)
			return true;
	return false;
}

static bool places_add(uint32_t *places, size_t *n, uint32_t netns)
{
	if (places_have(places, *n, netns))
		return true;
	if (*n == PLACES_MAX)
		return false;
	places[(*n)++] = netns;
	return true;
}

/* false: it could not be asked, so nobody there is known to be gone. */
static bool roll_call(struct pipeline *p, uint32_t netns)
{
	struct diag_query tcp = { .tcp = true, .states = 1u << TCP_STATE_LISTEN };
	struct diag_query udp = { .udp = true };
	struct roll_call call = { .pipeline = p, .netns = netns };
	struct sockdiag *sd = diags_get(p->diags, netns, NULL);

	return sd && !sockdiag_dump(sd, &tcp, present_row, &call) &&
	       !sockdiag_dump(sd, &udp, present_row, &call);
}

static uint64_t ghosts_remove(struct pipeline *p, uint64_t begin_ns)
{
	uint32_t places[PLACES_MAX];
	struct entry *e, *next;
	uint64_t removed = 0;
	size_t n = 0;

	for (e = ledger_next(p->ledger, NULL); e; e = ledger_next(p->ledger, e)) {
		if (!is_listed(p, e, begin_ns) || !places_add(places, &n, e->told.netns))
			continue;
		e->called = p->mark;
		e->present = false;
	}
	for (size_t i = 0; i < n; i++)
		if (!roll_call(p, places[i]))
			places[i] = 0;
	drain_to_here(p); /* whoever closed meanwhile has told so */
	for (e = ledger_next(p->ledger, NULL); e; e = next) {
		next = ledger_next(p->ledger, e);
		if (e->called != p->mark || e->present || !places_have(places, n, e->told.netns))
			continue;
		tracer_untrack(p->tracer, e->sk, e->tracked_ns);
		entry_tell_snapshot(p, e);
		tell_release_of(p, e, clock_boot_ns());
		ledger_release(p->ledger, e, clock_boot_ns());
		removed++;
	}
	p->hooks_missed = false;
	return removed;
}

/* Only a pass in which nothing more was lost makes the ledger right: until then what was mended is summed up. */
static void resync_tell(struct pipeline *p, uint64_t kept)
{
	struct record rec;

	if (p->resync_due_ns || (p->resume && (!resume_is_on(p) || (!p->resync_added && !p->resync_removed))))
		return;
	record_now(&rec, ACTION_RESYNC);
	rec.added = p->resync_added;
	rec.removed = p->resync_removed;
	rec.kept = kept;
	p->resync_added = p->resync_removed = 0;
	pipeline_tell(p, &rec, NULL, NULL, NULL);
}

/* Somewhere in a storm some call is always under way: one more look, then what there is is told. */
static void resync_again(struct pipeline *p, bool under_way)
{
	p->resync_repeats = under_way && !p->resync_repeats;
	if (p->resync_repeats && !p->resync_due_ns)
		p->resync_due_ns = clock_boot_ns() + UNDER_WAY_NS;
}

/* Every socket that is held, for who may have missed any. */
static void ledger_retell(struct pipeline *p)
{
	if (!p->retell)
		return;
	p->retell = false;
	for (struct entry *e = ledger_next(p->ledger, NULL); e && !p->error; e = ledger_next(p->ledger, e)) {
		e->told.correction = true;
		e->told.time_ns = clock_boot_ns();
		e->snapshot_untold = true;
		entry_tell_snapshot(p, e);
	}
}

int pipeline_resync(struct pipeline *p)
{
	struct comparison c = { .pipeline = p };
	uint64_t begin_ns = clock_boot_ns(), before = p->snapshot_count;
	int r;

	p->resync_due_ns = 0;
	p->mark++;
	/* What found no room in the map is found by its file. */
	r = tracer_iterate(p->tracer, false, drain_between, p);
	if (r < 0 && r != -ENOTSUP)
		return r;
	r = tracer_tracked_all(p->tracer, tracked_compare, &c);
	drain_to_here(p);
	if (r >= 0) {
		(void)missing_add(p, &c);
		untold_tell(p);
		p->resync_removed += gone_remove(p, begin_ns);
		p->resync_removed += ghosts_remove(p, begin_ns);
	}
	free(c.missing);
	p->resync_added += p->snapshot_count - before;
	ledger_retell(p);
	losses_check(p);
	resync_again(p, c.under_way);
	resync_tell(p, c.kept);
	return r < 0 ? r : p->error;
}
