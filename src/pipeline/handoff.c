/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The process that bound a socket is gone, and the socket lives: others have it open. A pidfd for each owner says when;
 * the kernel closes a process's files before its pidfd turns readable, so what is left in the ledger then was inherited.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <uthash.h>

#include "enrich/proc.h"
#include "pipeline/state.h"

#define WATCHES_MAX 4096
#define SCAN_SHARE 20                   /* a pass may take a twentieth of the time */
#define SCAN_BURST_NS (100 * NS_PER_MS) /* ahead of that share by so much */
#define SCAN_LEAST_NS (2 * NS_PER_MS)
#define SETTLE_NS (2 * NS_PER_MS) /* the ring's last releases of the process are drained meanwhile */

struct watch {
	uint32_t pid; /* key */
	uint64_t start_ns;
	int fd;
	UT_hash_handle hh;
};

/* A process that has exited; what it held is looked for at due_ns. */
struct gone {
	uint32_t pid;
	uint64_t start_ns;
	uint64_t noted_ns;
	uint64_t due_ns;
	struct gone *next;
};

struct handoffs {
	struct watch *watches;
	struct gone *gone;
	uint64_t unwatched; /* owners beyond WATCHES_MAX */
};

struct handoffs *handoffs_new(void)
{
	return calloc(1, sizeof(struct handoffs));
}

static void watch_free(struct pipeline *p, struct watch *w)
{
	HASH_DEL(p->handoffs->watches, w);
	loop_unwatch(p->loop, w->fd);
	close(w->fd);
	free(w);
}

struct handoffs *handoffs_free(struct handoffs *h, struct pipeline *p)
{
	struct watch *w, *next;

	if (!h)
		return NULL;
	for (w = h->watches; w; w = next) {
		next = w->hh.next;
		watch_free(p, w);
	}
	while (h->gone) {
		struct gone *g = h->gone;

		h->gone = g->next;
		free(g);
	}
	free(h);
	return NULL;
}

/* Field 22 of /proc/PID/stat is start_boottime in clock ticks. */
bool process_start(uint32_t pid, struct owner *ret)
{
	uint64_t tick_ns = NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK);
	char path[32], text[1024];
	struct proc_stat stat;
	size_t len;

	snprintf(path, sizeof(path), "/proc/%u/stat", pid);
	if (proc_read(-1, path, text, sizeof(text), &len) < 0 || proc_stat_parse(text, &stat) < 0)
		return false;
	memset(ret, 0, sizeof(*ret));
	ret->pid = pid;
	ret->start_ns = stat.start_ticks * tick_ns;
	memcpy(ret->comm, stat.comm, sizeof(ret->comm));
	return true;
}

bool process_alive(uint32_t pid, uint64_t start_ns)
{
	char path[32], text[1024];
	uint64_t tick_ns = NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK);
	struct proc_stat stat;
	size_t len;

	snprintf(path, sizeof(path), "/proc/%u/stat", pid);
	if (proc_read(-1, path, text, sizeof(text), &len) < 0 || proc_stat_parse(text, &stat) < 0 ||
	    stat.ended)
		return false;
	return !start_ns || stat.start_ticks == start_ns / tick_ns;
}

/* What @pid still holds is looked for as soon as its last releases have been drained. */
static void gone_note(struct handoffs *h, uint32_t pid, uint64_t start_ns)
{
	struct gone *g;

	for (g = h->gone; g; g = g->next)
		if (g->pid == pid && g->start_ns == start_ns)
			return;
	g = calloc(1, sizeof(*g));
	if (!g)
		return;
	g->pid = pid;
	g->start_ns = start_ns;
	g->noted_ns = clock_boot_ns();
	g->due_ns = g->noted_ns + SETTLE_NS;
	g->next = h->gone;
	h->gone = g;
}

bool gone_before(const struct handoffs *h, uint32_t pid, uint64_t start_ns, uint64_t time_ns)
{
	for (const struct gone *g = h->gone; g; g = g->next)
		if (g->pid == pid && g->start_ns == start_ns)
			return g->noted_ns < time_ns;
	return false;
}

static int owner_exited(void *arg, int fd)
{
	struct pipeline *p = arg;
	struct watch *w;

	for (w = p->handoffs->watches; w && w->fd != fd; w = w->hh.next)
		;
	if (!w)
		return 0;
	gone_note(p->handoffs, w->pid, w->start_ns);
	watch_free(p, w);
	return 0;
}

void handoff_watch(struct pipeline *p, struct entry *e)
{
	struct handoffs *h = p->handoffs;
	struct watch *w;
	int fd;

	if (!e->key.pid || e->told.kernel)
		return;
	HASH_FIND(hh, h->watches, &e->key.pid, sizeof(e->key.pid), w);
	if (w && w->start_ns == e->key.start_ns)
		return;
	if (w)
		watch_free(p, w);
	if (HASH_COUNT(h->watches) >= WATCHES_MAX) {
		h->unwatched++;
		return;
	}
	fd = (int)syscall(SYS_pidfd_open, e->key.pid, 0);
	if (fd < 0) {
		if (errno == ESRCH)
			gone_note(h, e->key.pid, e->key.start_ns);
		return;
	}
	w = calloc(1, sizeof(*w));
	if (!w || loop_watch(p->loop, fd, owner_exited, p) < 0) {
		free(w);
		close(fd);
		return;
	}
	w->pid = e->key.pid;
	w->start_ns = e->key.start_ns;
	w->fd = fd;
	HASH_ADD(hh, h->watches, pid, sizeof(w->pid), w);
}

/* ---- who has a socket open ---- */

struct owner_set {
	struct pipeline *pipeline;
	uint64_t inode; /* 0: not known; else another socket at the address is not meant */
	struct owner *owners;
	size_t n, max;
};

static bool owner_in(const struct owner *owners, size_t n, uint32_t pid)
{
	for (size_t i = 0; i < n; i++)
		if (owners[i].pid == pid)
			return true;
	return false;
}

/* Intern the process of a row, so that renderers find it. */
static void row_process(struct pipeline *p, const struct pl_owner *row)
{
	struct record who = {
		.pid = row->pid, .start_ns = row->start_ns, .exec_id = row->exec_id, .uid = row->uid
	};

	who.cgroup_id = row->cgroup_id;
	memcpy(who.comm, row->comm, sizeof(who.comm));
	(void)process_of(p, &who);
}

static void row_owner(struct owner *o, const struct pl_owner *row)
{
	memset(o, 0, sizeof(*o));
	o->pid = row->pid;
	o->uid = row->uid;
	o->start_ns = row->start_ns;
	o->exec_id = row->exec_id;
	memcpy(o->comm, row->comm, sizeof(o->comm));
}

static int owner_found(void *arg, const struct pl_owner *row)
{
	struct owner_set *set = arg;

	if (set->inode && row->inode && row->inode != set->inode)
		return 0;
	if (!row->pid || set->n == set->max || owner_in(set->owners, set->n, row->pid))
		return 0;
	row_process(set->pipeline, row);
	row_owner(&set->owners[set->n++], row);
	return 0;
}

/* What a pass costs is processor time: on a busy machine it takes longer and costs no more. */
static uint64_t thread_cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static bool scan_begin(struct pipeline *p, uint64_t *ret_begin)
{
	*ret_begin = thread_cpu_ns();
	if (clock_boot_ns() + SCAN_BURST_NS >= p->scan.next_ns)
		return true;
	p->scan.refused++;
	return false;
}

static void scan_end(struct pipeline *p, uint64_t begin)
{
	uint64_t now = clock_boot_ns(), rest = (thread_cpu_ns() - begin) * SCAN_SHARE;

	if (p->scan.next_ns < now)
		p->scan.next_ns = now;
	p->scan.next_ns += rest > SCAN_LEAST_NS ? rest : SCAN_LEAST_NS;
}

bool owner_has(struct pipeline *p, uint64_t sk, uint64_t inode, uint32_t pid)
{
	struct owner one;
	struct owner_set set = { .pipeline = p, .inode = inode, .owners = &one, .max = 1 };

	return tracer_owners(p->tracer, sk, pid, owner_found, &set) < 0 || set.n;
}

bool owners_scan(struct pipeline *p, uint64_t sk, uint64_t inode, struct owner *ret, size_t max,
		 size_t *ret_n)
{
	struct owner_set set = { .pipeline = p, .inode = inode, .owners = ret, .max = max };
	uint64_t begin;
	int r;

	*ret_n = 0;
	if (!sk || !scan_begin(p, &begin))
		return false;
	r = tracer_owners(p->tracer, sk, 0, owner_found, &set);
	scan_end(p, begin);
	*ret_n = set.n;
	return r >= 0;
}

/* ---- handoffs: one pass for all processes that have exited ---- */

struct heir {
	uint64_t sk;
	struct owner owner;
};

struct heirs {
	struct pipeline *pipeline;
	struct heir *items;
	size_t n, room;
	uint64_t now_ns;
};

static bool is_gone(const struct handoffs *h, const struct process_key *key, uint64_t now_ns)
{
	for (const struct gone *g = h->gone; g; g = g->next)
		if (g->pid == key->pid && g->start_ns == key->start_ns && g->due_ns <= now_ns)
			return true;
	return false;
}

static int heir_found(void *arg, const struct pl_owner *row)
{
	struct heirs *heirs = arg;
	struct entry *e = ledger_find(heirs->pipeline->ledger, row->sk);

	if (!e || e->handed || !row->pid || !is_gone(heirs->pipeline->handoffs, &e->key, heirs->now_ns))
		return 0;
	if (heirs->n == heirs->room) {
		size_t room = heirs->room ? heirs->room * 2 : 64;
		struct heir *more = reallocarray(heirs->items, room, sizeof(*more));

		if (!more)
			return 0;
		heirs->items = more;
		heirs->room = room;
	}
	row_process(heirs->pipeline, row);
	heirs->items[heirs->n].sk = row->sk;
	row_owner(&heirs->items[heirs->n++].owner, row);
	return 0;
}

static void handoff_tell(struct pipeline *p, struct entry *e, struct owner *owners, size_t n)
{
	struct view extra = { .owners = owners, .n_owners = n, .owners_count = n };
	struct record rec;

	entry_tell_snapshot(p, e);
	record_from_entry(&rec, e, ACTION_HANDOFF);
	rec.time_ns = clock_boot_ns();
	rec.since_precision = e->told.since_precision;
	pipeline_tell(p, &rec, e, e->process, &extra);
	e->n_owners = 0;
	e->owners_count = 0;
	for (size_t i = 0; i < n; i++)
		(void)entry_owner_add(e, &owners[i]);
}

/* Every socket that @g still holds in the ledger: whoever the pass found has it now; nobody: it is in flight. */
static void handoffs_of(struct pipeline *p, const struct gone *g, const struct heirs *heirs)
{
	struct owner owners[LEDGER_OWNERS_MAX];
	struct entry *e = NULL;

	while ((e = ledger_of_pid(p->ledger, g->pid, e))) {
		size_t n = 0;

		if (e->handed || e->key.start_ns != g->start_ns)
			continue;
		for (size_t i = 0; i < heirs->n && n < LEDGER_OWNERS_MAX; i++)
			if (heirs->items[i].sk == e->sk && !owner_in(owners, n, heirs->items[i].owner.pid))
				owners[n++] = heirs->items[i].owner;
		e->handed = true;
		if (n)
			handoff_tell(p, e, owners, n);
	}
}

static bool any_held(struct pipeline *p, uint64_t now_ns)
{
	for (const struct gone *g = p->handoffs->gone; g; g = g->next)
		for (struct entry *e = NULL;
		     g->due_ns <= now_ns && (e = ledger_of_pid(p->ledger, g->pid, e));)
			if (!e->handed && e->key.start_ns == g->start_ns)
				return true;
	return false;
}

void handoffs_tick(struct pipeline *p, uint64_t now_ns)
{
	struct heirs heirs = { .pipeline = p, .now_ns = now_ns };
	struct gone **at = &p->handoffs->gone;
	uint64_t begin;

	if (!*at || handoffs_next_ns(p->handoffs) > now_ns)
		return;
	if (any_held(p, now_ns)) {
		if (!scan_begin(p, &begin)) {
			for (struct gone *g = *at; g; g = g->next)
				if (g->due_ns < p->scan.next_ns)
					g->due_ns = p->scan.next_ns;
			return;
		}
		(void)tracer_owners(p->tracer, PL_WANTED_TRACKED, 0, heir_found, &heirs);
		scan_end(p, begin);
	}
	while (*at) {
		struct gone *g = *at;

		if (g->due_ns > now_ns) {
			at = &g->next;
			continue;
		}
		handoffs_of(p, g, &heirs);
		*at = g->next;
		free(g);
	}
	free(heirs.items);
}

uint64_t handoffs_next_ns(const struct handoffs *h)
{
	uint64_t next = 0;

	for (const struct gone *g = h->gone; g; g = g->next)
		if (!next || g->due_ns < next)
			next = g->due_ns;
	return next;
}
