/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Pinned hooks of another build, or with other options: ours take their place. Both see everything for a while; in a moment in
 * which nothing happens the one ring ends and the other begins, so that no event is told by both or by none. The old hooks
 * are taken off when what came from them is on disk: whoever kills us before that begins again with them.
 */
#include <errno.h>
#include <string.h>

#include "pipeline/state.h"
#include "util/fail.h"

#define QUIET_NS 500000ull /* nothing for so long is a moment to change in; less when that does not come */
#define QUIET_LEAST_NS 8000ull
#define TRIES 256 /* for one length */

struct succession {
	struct pipeline *pipeline;
	struct tracer *heir;
	struct ring *ring; /* the heir's */
};

/* Before the change the old ring tells it; who a process is stays known. */
static int record_skip(void *arg, const void *data, size_t len)
{
	struct decoded d;

	if (decode(data, len, &d) != DECODE_BAD && d.process)
		feed_process(arg, d.process);
	return 0;
}

static void heir_drain(const struct succession *s)
{
	size_t n;

	(void)ring_drain(s->ring, SIZE_MAX, record_skip, s->pipeline, &n);
}

static int drain_both(void *arg)
{
	const struct succession *s = arg;
	struct pipeline *p = s->pipeline;
	bool any;

	heir_drain(s);
	return pipeline_drain(p, &any) || pipeline_look(p) || p->stop;
}

/* Both rings are read to their ends, and neither grows for @span_ns. */
static bool is_quiet(const struct succession *s, uint64_t span_ns)
{
	struct pipeline *p = s->pipeline;
	uint64_t old, heir, begin;

	drain_to_here(p);
	heir_drain(s);
	begin = clock_boot_ns();
	old = ring_position(p->ring);
	heir = ring_position(s->ring);
	do {
		if (!ring_is_empty(p->ring) || !ring_is_empty(s->ring))
			return false;
	} while (clock_boot_ns() - begin < span_ns);
	return old == ring_produced(p->ring) && heir == ring_produced(s->ring);
}

/* False: in a storm there is none. Then what is under way now may be told twice. */
static bool quiet_await(const struct succession *s)
{
	for (uint64_t span = QUIET_NS; span >= QUIET_LEAST_NS; span /= 2)
		for (unsigned i = 0; i < TRIES && !s->pipeline->stop; i++)
			if (is_quiet(s, span))
				return true;
	return s->pipeline->stop;
}

/* All that was told from the old ring is on disk; what it has beyond @end is the heir's to tell. */
static int kept_await(struct pipeline *p, uint64_t end)
{
	int r = 0;

	p->whole_to = end;
	keep_mark(p);
	while (!r && !p->stop && ring_released(p->ring) < end)
		r = keep_nap(p, UINT64_MAX);
	return r ? r : p->stop ? -EINTR : 0;
}

static void change(struct succession *s)
{
	struct pipeline *p = s->pipeline;
	const struct tracer_pinned *pinned = tracer_pinned(s->heir);
	struct pl_tracked now;

	tracer_retire(p->tracer, s->heir);
	ring_close(p->ring);
	tracer_close(p->tracer);
	p->tracer = s->heir;
	p->ring = s->ring;
	s->heir = NULL;
	s->ring = NULL;
	ring_hold(p->ring, 0);
	p->whole_to = p->looked_at = ring_position(p->ring);
	p->lost_place = 0;
	p->session.ring = pinned->ring;
	p->session.hooks = tracer_hooks(p->tracer);
	p->session.blind = tracer_blind(p->tracer);
	losses_begin(p);
	/* The heir tracks them since another moment. */
	for (struct entry *e = ledger_next(p->ledger, NULL); e; e = ledger_next(p->ledger, e))
		if (e->sk) {
			bool same = !tracer_tracked_get(p->tracer, e->sk, &now) && now.inode == e->inode;

			e->tracked_ns = e->told.tracked_ns = same ? now.since_ns : 0;
		}
}

static int succession_run(struct succession *s)
{
	struct pipeline *p = s->pipeline;
	uint64_t end;
	int r;

	tracer_set_awake(s->heir, true);
	r = tracer_iterate(s->heir, false, drain_both, s);
	if (!r)
		(void)fileless_all(p, s->heir, drain_both, s);
	else if (r < 0 && r != -ENOTSUP)
		return r;
	if (!quiet_await(s))
		keeper_say(
			p,
			"there was no moment without events to change the hooks in: some may be told twice");
	end = ring_position(p->ring);
	r = p->stop ? -EINTR : tracer_ready(s->heir);
	if (!r)
		r = kept_await(p, end);
	if (!r)
		change(s);
	return r;
}

int pipeline_replace(struct pipeline *p)
{
	struct succession s = { .pipeline = p };
	struct tracer_options o;
	char mount[4096];
	int r;

	tracer_options_fill(p, &o, mount, sizeof(mount));
	r = tracer_succeed(p->tracer, &o, &s.heir);
	if (!r)
		r = ring_open(tracer_ring_fd(s.heir), o.ring_bytes, &s.ring);
	if (!r)
		r = succession_run(&s);
	ring_close(s.ring);
	if (s.heir)
		tracer_discard(s.heir);
	if (r == -EINTR)
		return 0; /* told to end: the old ones stay */
	return r < 0 ? fail_add(r, "replacing the hooks pinned in %s", p->config->pin) : p->error;
}
