/* SPDX-License-Identifier: GPL-2.0-only */
/* One ring record into the ledger, and told. The file to read first. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/state.h"

#define DRAIN_MAX 4096    /* records between two looks at everything else */
#define LOOKS_PER_RING 16 /* and so much of the ring: what is lost is to be told where it happened */

void feed_process(struct pipeline *p, const struct pl_process *told)
{
	struct process_key key = { .pid = told->pid, .start_ns = told->start_ns, .exec_id = told->exec_id };
	struct process *process;
	bool new;

	process = processes_get(p->processes, &key, &new);
	if (!process)
		return;
	if (!new && process->cgroup_id != told->cgroup_id) {
		/* It has moved to another cgroup since. */
		free(process->cgroup);
		process->cgroup = NULL;
	}
	process_dirty(process);
	(void)decode_process(told, process); /* out of memory: a process without texts */
}

void entry_tell_snapshot(struct pipeline *p, struct entry *e)
{
	struct owner owners[LEDGER_OWNERS_MAX];
	struct view extra = { .owners = owners };
	struct record rec;

	if (!e->snapshot_untold)
		return;
	e->snapshot_untold = false;
	record_from_entry(&rec, e, ACTION_SNAPSHOT);
	rec.time_ns = e->told.time_ns;
	rec.since_precision = e->told.since_precision;
	if (e->key.pid) {
		owners[extra.n_owners] = (struct owner){ .pid = e->key.pid,
							 .uid = e->told.uid,
							 .start_ns = e->key.start_ns,
							 .exec_id = e->key.exec_id };
		memcpy(owners[extra.n_owners++].comm, e->told.comm, sizeof(owners[0].comm));
	}
	for (uint32_t i = 0; i < e->n_owners && extra.n_owners < LEDGER_OWNERS_MAX; i++)
		owners[extra.n_owners++] = e->owners[i];
	extra.owners_count = e->owners_count;
	if (extra.n_owners < 2)
		extra.n_owners = 0;
	p->snapshot_count++;
	pipeline_tell(p, &rec, e, e->process, &extra);
}

/* Another socket at the address of one that we know: the release of that one was lost. */
static void stale_release(struct pipeline *p, const struct record *rec)
{
	struct entry *e = ledger_find(p->ledger, rec->sk);

	if (!e || !entry_is_stale(e, rec))
		return;
	if (!e->unsure || !e->snapshot_untold) { /* else it was on its way out when the snapshot saw it */
		entry_tell_snapshot(p, e);
		tell_release_of(p, e, rec->time_ns);
	}
	ledger_release(p->ledger, e, rec->time_ns);
}

static void feed_success(struct pipeline *p, const struct pl_event *event, struct record *rec)
{
	struct process *process = process_of(p, rec);
	struct entry *e;

	if (event->flags & PL_TOLD && event->kind == PL_BIND) {
		/* The snapshot came in the middle of this bind and has told the socket. */
		e = ledger_find(p->ledger, rec->sk);
		if (e) {
			e->tracked_ns = e->told.tracked_ns = rec->tracked_ns;
			e->since_ns = e->told.since_ns = rec->time_ns;
			e->told.since_precision = SINCE_EXACT;
			return;
		}
	}
	if (!rec->port) {
		/* IP_BIND_ADDRESS_NO_PORT: it worked and holds nothing. */
		pipeline_tell(p, rec, NULL, process, NULL);
		return;
	}
	stale_release(p, rec);
	e = ledger_hold(p->ledger, rec, process);
	linger_cancel(p, rec);
	if (e) {
		entry_tell_snapshot(p, e);
		e->told.since_precision = e->told.since_precision ? e->told.since_precision : SINCE_EXACT;
		rec->socket_id = e->id;
		handoff_watch(p, e);
	}
	pipeline_tell(p, rec, e, process, NULL);
}

static bool was_corrected(const struct pipeline *p, const struct pl_event *event)
{
	for (unsigned i = 0; i < CORRECTED_MAX; i++)
		if (p->corrected[i].sk == event->sk && p->corrected[i].tracked_ns == event->since_ns)
			return true;
	return false;
}

/* What the ledger knows better than the socket: which records it had, since when, and who took it. */
static void release_from_entry(struct record *rec, const struct entry *e)
{
	rec->socket_id = e->id;
	rec->since_ns = e->since_ns;
	rec->since_precision = e->told.since_precision;
	rec->addr = e->told.addr;
	if (!rec->pid && e->key.pid) {
		rec->has_process = true;
		rec->pid = e->key.pid;
		rec->start_ns = e->key.start_ns;
		rec->exec_id = e->key.exec_id;
		rec->uid = e->told.uid;
		rec->gid = e->told.gid;
		rec->ppid = e->told.ppid;
		memcpy(rec->comm, e->told.comm, sizeof(rec->comm));
	}
}

static void feed_release(struct pipeline *p, const struct pl_event *event, struct record *rec)
{
	struct entry *e = ledger_find(p->ledger, rec->sk);
	struct holder left[HOLDERS_MAX];
	struct view extra = { .holders = left };
	struct process *process;

	if (e && entry_is_stale(e, rec)) {
		/* Two records were lost: the release of that one, and how this one began. */
		stale_release(p, rec);
		e = NULL;
	}
	if (!e && rec->cookie)
		e = ledger_find_cookie(p->ledger, rec->cookie);
	if (!e && was_corrected(p, event))
		return;
	if (rec->closed_by_pid == p->session.own_pid || rec->closed_by_pid == p->own_pid_before)
		rec->closed_by_pid = 0; /* the snapshot held the last reference for a moment */
	if (e) {
		entry_tell_snapshot(p, e);
		release_from_entry(rec, e);
	}
	if (rec->since_ns && rec->since_ns <= rec->time_ns && rec->since_precision == SINCE_EXACT)
		rec->held_ns = rec->time_ns - rec->since_ns;
	process = e && e->process ? e->process : process_of(p, rec);
	process_ref(process);
	if (rec->free == FREE_NO)
		extra.n_holders = holders_left(p, rec, left, HOLDERS_MAX);
	pipeline_tell(p, rec, e, process, &extra);
	if (e)
		ledger_release(p->ledger, e, rec->time_ns);
	if (rec->free == FREE_NO)
		linger_begin(p, rec, process);
	if (rec->free == FREE_YES) {
		ledger_forget_past(p->ledger, rec->netns, rec->proto, rec->port);
		linger_end(p, rec->netns, rec->proto, rec->port, rec->time_ns);
	}
	process_unref(process);
}

/* A row of the snapshot. Told when the pass is complete, because more owners may follow; see entry_tell_snapshot(). */
static void feed_snapshot(struct pipeline *p, struct record *rec)
{
	struct process *process = process_of(p, rec);
	struct entry *e;

	rec->since_precision = rec->start_ns ? SINCE_NOT_BEFORE : SINCE_NOT_AFTER;
	rec->since_ns = rec->start_ns ? rec->start_ns : rec->time_ns;
	rec->correction = !p->syncing;
	stale_release(p, rec);
	e = ledger_hold(p->ledger, rec, process);
	if (!e)
		return;
	e->snapshot_untold = true;
	e->unsure = !rec->pid && !rec->kernel;
	handoff_watch(p, e);
}

static void feed_owner(struct pipeline *p, const struct pl_event *event)
{
	struct entry *e = ledger_find(p->ledger, event->sk);
	struct owner owner = {
		.pid = event->pid, .uid = event->uid, .start_ns = event->start_ns, .exec_id = event->exec_id
	};
	struct record rec;

	memcpy(owner.comm, event->comm, sizeof(owner.comm));
	if (!e || !event->pid)
		return;
	decode_event(event, &rec);
	(void)process_of(p, &rec);
	(void)entry_owner_add(e, &owner);
}

static void feed_event(struct pipeline *p, const struct decoded *d)
{
	const struct pl_event *event = d->event;
	struct record rec;

	if (event->kind == PL_OWNER) {
		feed_owner(p, event);
		return;
	}
	if (event->kind == PL_HINT) {
		linger_hint(p, event);
		return;
	}
	decode_event(event, &rec);
	if (event->kind == PL_RELEASE)
		feed_release(p, event, &rec);
	else if (event->kind == PL_SNAPSHOT)
		feed_snapshot(p, &rec);
	else if (rec.error && d->failure)
		conflict_tell(p, &rec, process_of(p, &rec), d->failure);
	else if (rec.error)
		failure_tell(p, &rec, process_of(p, &rec));
	else
		feed_success(p, event, &rec);
}

int pipeline_feed(void *arg, const void *data, size_t len)
{
	struct pipeline *p = arg;
	struct decoded d;

	if (decode(data, len, &d) == DECODE_BAD)
		p->bad_records++;
	else if (d.process)
		feed_process(p, d.process);
	else
		feed_event(p, &d);
	if (!d.process)
		p->whole_to = ring_position(p->ring); /* a process belongs to the event after it */
	p->fed_to += ring_record_size(len);
	return p->error || p->stop || p->fed_to >= p->feed_end;
}

int pipeline_drain(struct pipeline *p, bool *ret_any)
{
	size_t n;

	*ret_any = false;
	if (keep_is_full(p))
		return p->error;
	p->fed_to = ring_position(p->ring);
	p->feed_end = p->fed_to + p->config->ring_bytes / LOOKS_PER_RING;
	if (p->lost_place && p->lost_place < p->feed_end)
		p->feed_end = p->lost_place;
	(void)ring_drain(p->ring, DRAIN_MAX, pipeline_feed, p, &n);
	*ret_any = n > 0;
	losses_look(p);
	keep_mark(p);
	return p->error;
}
