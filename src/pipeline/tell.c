/* SPDX-License-Identifier: GPL-2.0-only */
/* One record to filter and sink. */
#include <errno.h>
#include <string.h>

#include "pipeline/state.h"

static bool is_bookkeeping(enum action action)
{
	return action == ACTION_START || action == ACTION_STOP || action == ACTION_SYNCED ||
	       action == ACTION_LOST || action == ACTION_RESYNC || action == ACTION_CLOCK;
}

void record_now(struct record *rec, enum action action)
{
	memset(rec, 0, sizeof(*rec));
	rec->action = action;
	rec->time_ns = clock_boot_ns();
}

struct process *process_of(struct pipeline *p, const struct record *rec)
{
	return processes_of_record(p->processes, rec);
}

void record_from_entry(struct record *rec, const struct entry *e, enum action action)
{
	*rec = e->told;
	rec->action = action;
	rec->seq = 0;
	rec->socket_id = e->id;
	rec->error = 0;
	rec->has_backlog = false;
	rec->has_asked_port = false;
	rec->asked_addr.family = 0;
	rec->since_ns = e->since_ns;
	rec->tid = 0;
}

static struct process *enriched(struct pipeline *p, struct process *process)
{
	if (process && !process->enriched)
		enrich_process(p->enrich, process);
	return process;
}

struct process *side_process(struct pipeline *p, uint32_t pid, uint64_t start_ns, uint64_t exec_id)
{
	struct process_key key = { .pid = pid, .start_ns = start_ns, .exec_id = exec_id };

	return pid ? enriched(p, processes_find_program(p->processes, &key)) : NULL;
}

static void view_sides(struct pipeline *p, struct view *v)
{
	/* The arrays are the pipeline's own; they are const for those who render. */
	struct holder *holders = (struct holder *)v->holders;
	struct owner *owners = (struct owner *)v->owners;

	for (size_t i = 0; i < v->n_holders; i++)
		if (!holders[i].process)
			holders[i].process =
				side_process(p, holders[i].pid, holders[i].start_ns, holders[i].exec_id);
	for (size_t i = 0; i < v->n_owners; i++)
		owners[i].process = side_process(p, owners[i].pid, owners[i].start_ns, owners[i].exec_id);
}

/* A namespace without a name of its own is called like the container that lives in it. */
static void view_names(struct pipeline *p, struct view *v)
{
	enrich_view(p->enrich, v);
	if (v->netns_name || !v->process || !v->process->where.container_name || !v->rec->netns)
		return;
	enrich_netns_learn(p->enrich, v->rec->netns, v->process->where.container_name);
	enrich_view(p->enrich, v);
}

void pipeline_tell(struct pipeline *p, struct record *rec, struct entry *e, struct process *process,
		   const struct view *extra)
{
	struct view v = { 0 };
	int r;

	if (p->error)
		return;
	if (extra)
		v = *extra;
	rec->wall_ns = (int64_t)rec->time_ns + p->session.boot_offset_ns;
	v.rec = rec;
	v.session = &p->session;
	v.process = enriched(p, process);
	view_sides(p, &v);
	if (rec->has_socket || rec->action == ACTION_FREE)
		view_names(p, &v);
	if (!v.explanation) /* else it was filled for that */
		enrich_bound_by(p->enrich, &v);
	if (!filter_match(p->config->filter, &v) || (!is_bookkeeping(rec->action) && !tree_wants(p, rec)))
		return;
	rec->seq = ++p->seq;
	if (!p->oldest_ns && !is_bookkeeping(rec->action))
		p->oldest_ns = rec->time_ns;
	if (rec->has_socket && !rec->socket_id)
		rec->socket_id = e && e->id ? e->id : rec->seq;
	if (e && !e->id)
		e->id = rec->socket_id;
	if (!is_bookkeeping(rec->action))
		p->told++;
	p->failed += rec->error != 0;
	r = p->config->sink->write(p->sink, &v);
	if (r < 0)
		p->error = r;
	if (p->config->count && p->told >= p->config->count)
		p->stop = true;
}

void tell_release_of(struct pipeline *p, struct entry *e, uint64_t now_ns)
{
	struct record rec;

	record_from_entry(&rec, e, ACTION_RELEASE);
	rec.time_ns = now_ns;
	rec.correction = true;
	rec.free = FREE_UNKNOWN;
	pipeline_tell(p, &rec, e, e->process, NULL);
	p->corrected[p->corrected_at].sk = e->sk;
	p->corrected[p->corrected_at].tracked_ns = e->tracked_ns;
	p->corrected_at = (p->corrected_at + 1) % CORRECTED_MAX;
}
