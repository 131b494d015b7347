/* SPDX-License-Identifier: GPL-2.0-only */
/* The processes of one command: what of all that happens is told for its sake, and what it leaves behind at the end. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pipeline/state.h"
#include "util/fail.h"

#define LEFT_MAX 256 /* sockets told at the end */

/* ---- the end ---- */

/* Whoever had the other end has let it go: what happened before that is in the ring by now. */
static int until_readable(void *arg, int fd)
{
	struct pipeline *p = arg;
	char skipped[256];
	ssize_t n = read(fd, skipped, sizeof(skipped));

	if (n > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN)))
		return 0;
	loop_unwatch(p->loop, fd);
	p->end_at = ring_produced(p->ring);
	p->ending = true;
	return 0;
}

int until_watch(struct pipeline *p)
{
	int r = p->config->until_fd ? loop_watch(p->loop, p->config->until_fd, until_readable, p) : 0;

	return r < 0 ? fail(r, "wait for the end of the command") : 0;
}

bool until_reached(const struct pipeline *p)
{
	return p->ending && ring_position(p->ring) >= p->end_at;
}

/* ---- what is told ---- */

bool tree_wants(const struct pipeline *p, const struct record *rec)
{
	return !p->config->tree || rec->tree || rec->error;
}

/* ---- what is left ---- */

/* A socket of the tree, and who has it open. */
struct left {
	struct entry *entry;
	struct owner owners[LEDGER_OWNERS_MAX];
	size_t n;
};

struct leaving {
	struct pipeline *pipeline;
	struct left *left;
	size_t n;
};

static void left_add(struct pipeline *p, struct left *left, const struct pl_owner *row)
{
	struct record who = {
		.pid = row->pid, .start_ns = row->start_ns, .exec_id = row->exec_id, .uid = row->uid
	};
	struct owner *o = &left->owners[left->n];

	for (size_t i = 0; i < left->n; i++)
		if (left->owners[i].pid == row->pid)
			return;
	if (!row->pid || left->n == LEDGER_OWNERS_MAX)
		return;
	who.cgroup_id = row->cgroup_id;
	memcpy(who.comm, row->comm, sizeof(who.comm));
	(void)process_of(p, &who);
	*o = (struct owner){ .pid = row->pid, .uid = row->uid, .start_ns = row->start_ns };
	memcpy(o->comm, row->comm, sizeof(o->comm));
	left->n++;
}

static int owner_row(void *arg, const struct pl_owner *row)
{
	struct leaving *l = arg;

	for (size_t i = 0; i < l->n; i++)
		if (l->left[i].entry->sk == row->sk && l->left[i].entry->inode == row->inode)
			left_add(l->pipeline, &l->left[i], row);
	return 0;
}

static void left_tell(struct pipeline *p, struct left *left)
{
	struct view extra = { .owners = left->owners, .n_owners = left->n, .owners_count = left->n };
	struct process *process;
	struct record rec;

	record_from_entry(&rec, left->entry, ACTION_SNAPSHOT);
	rec.time_ns = clock_boot_ns();
	rec.tree = true;
	rec.has_process = false; /* whoever took the port may be gone: who has it now is told */
	process = left->entry->process;
	if (left->n) {
		const struct owner *first = &left->owners[0];

		process = processes_find_pid(p->processes, first->pid, first->start_ns);
		rec.has_process = true;
		rec.pid = rec.tid = first->pid;
		rec.start_ns = first->start_ns;
		rec.uid = first->uid;
		memcpy(rec.comm, first->comm, sizeof(rec.comm));
	}
	pipeline_tell(p, &rec, left->entry, process, &extra);
}

/* One pass over every descriptor names the owners of all of them. */
void tree_left_tell(struct pipeline *p)
{
	struct leaving l = { .pipeline = p, .left = calloc(LEFT_MAX, sizeof(*l.left)) };
	struct entry *e = NULL;

	while (l.left && l.n < LEFT_MAX && (e = ledger_next(p->ledger, e)))
		if (e->told.tree)
			l.left[l.n++].entry = e;
	if (l.n && tracer_owners(p->tracer, PL_WANTED_TRACKED, 0, owner_row, &l) < 0)
		fail_clear();
	for (size_t i = 0; i < l.n; i++)
		left_tell(p, &l.left[i]);
	free(l.left);
}
