/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Hooks that outlived a recorder. What is in the ring stays there until it is on disk, so nothing is lost with whoever reads
 * it; what the reader knew is made anew out of the history, as of the very event that the ring goes on from.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/state.h"
#include "store/store.h"
#include "util/fail.h"

#define PROCESSES_KEPT 2048 /* of those that the history knows: who these are is not told again by the ring */
#define HELD_NAP_NS (20 * NS_PER_MS) /* while the disk is waited for: it takes a quarter of a second */
#define BUSY_NAP_NS NS_PER_MS
#define BUSY_NS (4 * NS_PER_MS)

struct resume {
	struct store *store;
	struct store_left left;
	bool on; /* the stream goes on; else the history does not know it, or not as its last */
};

bool resume_is_on(const struct pipeline *p)
{
	return p->resume && p->resume->on;
}

void resume_free(struct resume *res)
{
	if (!res)
		return;
	store_close(res->store);
	free(res);
}

/* ---- the place in the ring ---- */

bool keep_is_behind(const struct pipeline *p)
{
	return p->pinned && ring_released(p->ring) != ring_produced(p->ring);
}

bool keep_is_full(const struct pipeline *p)
{
	return p->pinned && p->config->sink->full(p->sink);
}

void keep_mark(struct pipeline *p)
{
	struct sink_place kept;

	if (!p->pinned || p->error)
		return;
	if (ring_is_empty(p->ring))
		p->whole_to = ring_position(p->ring);
	p->config->sink->mark(p->sink, (struct sink_place){ p->session.ring, p->whole_to });
	kept = p->config->sink->kept(p->sink);
	if (kept.ring == p->session.ring && kept.position > ring_released(p->ring))
		ring_release(p->ring, kept.position);
}

/*
 * The ring can be slept on only when all of it is released: poll(2) on it asks for that. Until then we look by ourselves,
 * seldom unless records come.
 */
int keep_nap(struct pipeline *p, uint64_t timeout_ns)
{
	uint64_t nap = HELD_NAP_NS;
	int r;

	p->busy = clock_boot_ns() - p->last_record_ns < BUSY_NS;
	if (p->busy)
		nap = BUSY_NAP_NS;
	if (p->config->sink->flush) {
		r = p->config->sink->flush(p->sink);
		if (r)
			return r;
	}
	r = loop_wait(p->loop, -1, timeout_ns < nap ? timeout_ns : nap);
	keep_mark(p);
	return r;
}

/* ---- where to go on ---- */

static int stream_find(struct pipeline *p, const struct tracer_pinned *pinned)
{
	struct resume *res = p->resume;
	int r = store_open_read(p->config->history, &res->store);

	if (!r)
		r = store_left(res->store, pinned->stream, &res->left);
	if (r == -ENOENT) {
		fail_clear();
		return 0;
	}
	if (r)
		return fail_add(r, "going on with the hooks pinned in %s", p->config->pin);
	res->on = true;
	snprintf(p->session.stream, sizeof(p->session.stream), "%.16s", pinned->stream);
	p->seq = res->left.seq;
	if (res->left.ring == pinned->ring)
		ring_hold(p->ring, res->left.position);
	return 0;
}

static void resume_say(const struct pipeline *p, const struct tracer_pinned *pinned)
{
	if (pinned->incomplete)
		keeper_say(p,
			   "%zu sets of hooks in %s were half made or another version's, and were taken off",
			   pinned->incomplete, p->config->pin);
	if (pinned->unread)
		keeper_say(p, "the hooks in %s were another build's, and what they had not told yet is lost",
			   p->config->pin);
	if (pinned->stale)
		keeper_say(p, "the hooks in %s are another build's or have other options: new ones take over",
			   p->config->pin);
	if (resume_is_on(p))
		keeper_say(p, "going on with the hooks in %s: what happened meanwhile is told",
			   p->config->pin);
	else if (pinned->adopted)
		keeper_say(
			p,
			"the hooks in %s are taken over; %s does not end with their events, so a new stream begins",
			p->config->pin, p->config->history);
}

void resume_losses(struct pipeline *p)
{
	const struct tracer_pinned *pinned = tracer_pinned(p->tracer);

	if (pinned && pinned->unread)
		lost_tell(p, pinned->unread, LOST_RING, ACTION_NONE);
}

int resume_open(struct pipeline *p)
{
	const struct tracer_pinned *pinned = tracer_pinned(p->tracer);
	int r = 0;

	p->pinned = true;
	p->session.ring = pinned->ring;
	p->session.sk_mask = pinned->sk_mask;
	p->looked_at = ring_released(p->ring);
	ring_hold(p->ring, 0);
	if (pinned->adopted) {
		p->own_pid_before = pinned->own_pid;
		p->resume = calloc(1, sizeof(*p->resume));
		r = p->resume ? stream_find(p, pinned) : fail(-ENOMEM, "go on with pinned hooks");
	}
	p->whole_to = ring_position(p->ring);
	if (!r)
		resume_say(p, pinned);
	return r ? r : tracer_pinned_stream(p->tracer, p->session.stream);
}

/* ---- what the one before knew ---- */

static struct process *process_keep(struct pipeline *p, const struct process *from)
{
	struct process *process = processes_keep(p->processes, from);

	if (process && !process->exe)
		process->enriched = false; /* /proc may say more */
	return process;
}

static void process_known(void *arg, const struct process *from)
{
	(void)process_keep(arg, from);
}

static void loss_known(void *arg, enum lost_where where, enum action action, uint64_t count)
{
	losses_resume(arg, where, action, count);
}

struct holding {
	struct pipeline *pipeline;
	const struct store_held *held;
	struct entry *entry;
};

static void owners_keep(struct pipeline *p, struct entry *e, const struct view *v)
{
	for (size_t i = 0; i < v->n_owners; i++) {
		(void)process_keep(p, v->owners[i].process);
		(void)entry_owner_add(e, &v->owners[i]);
	}
}

static int hold_record(void *arg, int64_t id, const struct view *v)
{
	struct holding *h = arg;
	struct pipeline *p = h->pipeline;
	struct record rec = *v->rec;

	(void)id;
	rec.sk = h->held->sk ? h->held->sk ^ p->session.sk_mask : 0;
	rec.tracked_ns = p->resume->left.ring == p->session.ring ? h->held->tracked_ns : 0;
	if (rec.action == ACTION_HANDOFF && h->entry) {
		h->entry->handed = true;
		h->entry->n_owners = 0;
		h->entry->owners_count = 0;
	} else {
		h->entry = ledger_hold(p->ledger, &rec, process_keep(p, v->process));
		if (!h->entry)
			return 0; /* counted */
		h->entry->id = rec.socket_id;
		h->entry->handed = h->entry->handed || rec.action == ACTION_HANDOFF;
		if (!h->entry->told.since_precision)
			h->entry->told.since_precision = SINCE_EXACT;
	}
	owners_keep(p, h->entry, v);
	return 0;
}

/* As it was told: a handoff's listen is before it. A record that retention has taken is missing, no more. */
static int hold_socket(void *arg, const struct store_held *held)
{
	struct holding h = { .pipeline = arg, .held = held };
	struct store *s = h.pipeline->resume->store;
	const struct store_interval *i = &held->interval;
	bool before = i->listened < i->opened;
	const int64_t ids[] = {
		i->socket != i->opened ? i->socket : 0,
		before && i->listened != i->socket ? i->listened : 0,
		i->opened,
		before ? 0 : i->listened,
	};
	int r = 0;

	for (size_t k = 0; k < sizeof(ids) / sizeof(ids[0]) && (!r || r == -ENOENT); k++)
		r = ids[k] ? store_record(s, ids[k], hold_record, &h) : 0;
	return r == -ENOENT ? 0 : r;
}

/* ---- ports that were busy after their release ---- */

struct last_of_port {
	struct pipeline *pipeline;
	uint32_t netns;
	enum proto proto;
};

static int last_record(void *arg, int64_t id, const struct view *v)
{
	struct last_of_port *last = arg;
	const struct record *rec = v->rec;

	(void)id;
	if (rec->netns != last->netns || rec->error ||
	    (rec->proto == PROTO_UDP) != (last->proto == PROTO_UDP))
		return 0;
	if (rec->action == ACTION_RELEASE && rec->free == FREE_NO)
		linger_begin(last->pipeline, rec, process_keep(last->pipeline, v->process));
	return 1;
}

void resume_linger(struct pipeline *p, uint32_t netns, enum proto proto, uint16_t port)
{
	struct last_of_port last = { .pipeline = p, .netns = netns, .proto = proto };
	uint8_t ports[65536 / 8] = { 0 };
	struct store_query q = { .until = INT64_MAX, .ports = ports, .reverse = true };

	if (!resume_is_on(p) || linger_is_known(p, netns, proto, port))
		return;
	ports[port / 8] = (uint8_t)(1u << port % 8);
	q.after = p->resume->left.first;
	q.until = q.after + (int64_t)p->resume->left.seq;
	(void)store_each(p->resume->store, &q, last_record, &last);
}

static int linger_known(void *arg, const struct pl_port *port)
{
	resume_linger(arg, port->netns, decode_proto(port->proto, 0), port->port);
	return 0;
}

/* ---- the whole ---- */

static int state_read(struct pipeline *p)
{
	struct store *s = p->resume->store;
	int r = store_processes(s, PROCESSES_KEPT, process_known, p);

	if (!r && p->resume->left.ring == p->session.ring)
		r = store_losses(s, loss_known, p);
	if (!r)
		r = store_held(s, hold_socket, p);
	if (!r)
		r = tracer_lingering_all(p->tracer, linger_known, p);
	return r;
}

/* By its inode where the time of tracking is not known: another set of hooks had begun at another time. */
static void entries_join(struct pipeline *p)
{
	struct pl_tracked now;

	for (struct entry *e = ledger_next(p->ledger, NULL); e; e = ledger_next(p->ledger, e))
		if (e->sk && !e->tracked_ns && !tracer_tracked_get(p->tracer, e->sk, &now) &&
		    now.inode == e->inode)
			e->tracked_ns = e->told.tracked_ns = now.since_ns;
}

int resume_begin(struct pipeline *p)
{
	int r = resume_is_on(p) ? state_read(p) : 0;

	if (r)
		return fail_add(r, "going on with the hooks pinned in %s", p->config->pin);
	if (!resume_is_on(p))
		return 0;
	drain_to_here(p);
	entries_join(p);
	return tracer_pinned(p->tracer)->stale && !p->stop ? pipeline_replace(p) : p->error;
}

int resume_end(struct pipeline *p)
{
	bool fresh = !p->resume->on, synced = !fresh && p->resume->left.synced;
	int r = 0;

	p->syncing = !synced;
	drain_to_here(p);
	if (tracer_pinned(p->tracer)->stale && !p->stop)
		r = pipeline_replace(p); /* a stream of our own, but their hooks */
	if (r < 0)
		return r;
	for (struct entry *e = ledger_next(p->ledger, NULL); e; e = ledger_next(p->ledger, e))
		if (!e->handed)
			handoff_watch(p, e);
	r = p->stop ? p->error : pipeline_resync(p);
	resume_free(p->resume);
	p->resume = NULL;
	if (fresh)
		p->resync_added = p->resync_removed = 0;
	if (r || p->stop)
		return r;
	if (!synced)
		return pipeline_snapshot(p);
	keeper_synced(p);
	return p->error;
}
