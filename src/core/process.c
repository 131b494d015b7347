/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Processes seen. A chained table on (pid, start): the execs of one process share a chain, the newest first, so what
 * nearly every event asks for is the first entry, and "the newest exec" is a plain walk. Entries that nobody holds are
 * on a list by last use; held ones are on none, so that forgetting one never has to search.
 */
#include "core/process.h"

#include <stdlib.h>
#include <string.h>

#include "core/record.h"

struct entry {
	struct process process; /* first: an interned process is its entry */
	struct process *idle;   /* head of the list of its table */
	struct process **slot;  /* what points at it in its chain */
};

struct processes {
	struct process idle; /* list head: lru_next was used last, lru_prev is the one to forget */
	struct process **table;
	uint64_t mask;
	uint64_t seed; /* so that who knows the hash cannot make long chains on purpose */
	uint64_t refused;
	size_t count;
	size_t max;
};

static struct entry *entry_of(struct process *p)
{
	return (struct entry *)p;
}

static struct process **table_slot(const struct processes *ps, uint32_t pid, uint64_t start_ns)
{
	uint64_t h = (start_ns ^ ps->seed) * 0x9e3779b97f4a7c15u;

	h = (h ^ h >> 29 ^ pid) * 0xbf58476d1ce4e5b9u;
	return &ps->table[(h ^ h >> 32) & ps->mask];
}

static bool same_life(const struct process *p, uint32_t pid, uint64_t start_ns)
{
	return p->key.start_ns == start_ns && p->key.pid == pid;
}

static void list_remove(struct process *p)
{
	p->lru_prev->lru_next = p->lru_next;
	p->lru_next->lru_prev = p->lru_prev;
	p->lru_prev = p->lru_next = p;
}

static void list_add(struct process *head, struct process *p)
{
	p->lru_prev = head;
	p->lru_next = head->lru_next;
	p->lru_next->lru_prev = p;
	head->lru_next = p;
}

static struct process *touched(struct processes *ps, struct process *p)
{
	if (p->refs == 0 && ps->idle.lru_next != p) {
		list_remove(p);
		list_add(&ps->idle, p);
	}
	return p;
}

/* Into its chain, before older execs of the same process. */
static void table_insert(struct processes *ps, struct process *p)
{
	struct process **slot = table_slot(ps, p->key.pid, p->key.start_ns);

	while (*slot &&
	       (!same_life(*slot, p->key.pid, p->key.start_ns) || (*slot)->key.exec_id > p->key.exec_id))
		slot = &(*slot)->hash_next;

	p->hash_next = *slot;
	entry_of(p)->slot = slot;
	if (*slot)
		entry_of(*slot)->slot = &p->hash_next;
	*slot = p;
}

static void table_remove(struct process *p)
{
	*entry_of(p)->slot = p->hash_next;
	if (p->hash_next)
		entry_of(p->hash_next)->slot = entry_of(p)->slot;
}

void cgroup_info_done(struct cgroup_info *info)
{
	free(info->unit);
	free(info->container_id);
	free(info->container_runtime);
	free(info->container_name);
	free(info->pod_uid);
	free(info->pod_name);
	free(info->pod_namespace);
	memset(info, 0, sizeof(*info));
}

void process_dirty(struct process *p)
{
	for (size_t i = 0; i < sizeof(p->rendered) / sizeof(p->rendered[0]); i++) {
		free(p->rendered[i]);
		p->rendered[i] = NULL;
	}
	cgroup_info_done(&p->where);
	p->enriched = false;
}

static void forget(struct processes *ps, struct process *p)
{
	list_remove(p);
	table_remove(p);
	process_dirty(p);
	free(p->exe);
	free(p->args);
	free(p->cgroup);
	free(entry_of(p));
	ps->count--;
}

static struct process *intern(struct processes *ps, const struct process_key *key)
{
	struct entry *en = calloc(1, sizeof(*en));

	if (!en)
		return NULL;
	en->process.key = *key;
	en->idle = &ps->idle;
	list_add(&ps->idle, &en->process);
	table_insert(ps, &en->process);
	ps->count++;
	return &en->process;
}

struct process *processes_find(struct processes *ps, const struct process_key *key)
{
	struct process *p = *table_slot(ps, key->pid, key->start_ns);

	while (p && !(p->key.exec_id == key->exec_id && same_life(p, key->pid, key->start_ns)))
		p = p->hash_next;
	return p ? touched(ps, p) : NULL;
}

struct process *processes_find_pid(struct processes *ps, uint32_t pid, uint64_t start_ns)
{
	struct process *p = *table_slot(ps, pid, start_ns);

	while (p && !same_life(p, pid, start_ns))
		p = p->hash_next;
	return p ? touched(ps, p) : NULL;
}

struct process *processes_find_program(struct processes *ps, const struct process_key *key)
{
	return key->exec_id ? processes_find(ps, key) : processes_find_pid(ps, key->pid, key->start_ns);
}

struct process *processes_get(struct processes *ps, const struct process_key *key, bool *ret_new)
{
	struct process *p = processes_find(ps, key);
	bool found = p;

	if (!found && ps->count >= ps->max && ps->idle.lru_prev != &ps->idle)
		forget(ps, ps->idle.lru_prev);
	if (!found && ps->count < ps->max)
		p = intern(ps, key);
	if (!p) {
		ps->refused++;
		return NULL;
	}
	*ret_new = !found;
	return p;
}

/* A process that no table made (on a caller's stack) has no neighbours: its count means nothing then. */
struct process *process_ref(struct process *p)
{
	if (p && p->refs++ == 0 && p->lru_next)
		list_remove(p);
	return p;
}

void process_unref(struct process *p)
{
	if (p && p->refs && --p->refs == 0 && p->lru_next)
		list_add(entry_of(p)->idle, p);
}

uint64_t processes_refused(const struct processes *ps)
{
	return ps->refused;
}

size_t processes_count(const struct processes *ps)
{
	return ps->count;
}

struct processes *processes_free(struct processes *ps)
{
	if (!ps)
		return NULL;
	for (size_t i = 0; ps->table && i <= ps->mask; i++) {
		while (ps->table[i])
			forget(ps, ps->table[i]);
	}
	free(ps->table);
	free(ps);
	return NULL;
}

struct processes *processes_new(size_t max)
{
	struct processes *ps = calloc(1, sizeof(*ps));
	size_t slots = 64;

	if (!ps)
		return NULL;
	while (slots < max)
		slots *= 2;
	ps->idle.lru_next = ps->idle.lru_prev = &ps->idle;
	ps->seed = (uintptr_t)ps * 0x94d049bb133111ebu;
	ps->mask = slots - 1;
	ps->max = max;
	ps->table = calloc(slots, sizeof(*ps->table));
	return ps->table ? ps : processes_free(ps);
}

struct process *processes_of_record(struct processes *ps, const struct record *rec)
{
	struct process_key key = { .pid = rec->pid, .start_ns = rec->start_ns, .exec_id = rec->exec_id };
	struct process *process;
	bool new;

	if (!rec->pid)
		return NULL;
	process = processes_get(ps, &key, &new);
	if (!process || !new)
		return process;
	process->cgroup_id = rec->cgroup_id;
	process->ppid = rec->ppid;
	process->uid = rec->uid;
	process->gid = rec->gid;
	memcpy(process->comm, rec->comm, sizeof(process->comm));
	return process;
}

static char *copy(const char *text)
{
	return text ? strdup(text) : NULL;
}

static char *copy_bytes(const char *from, size_t len)
{
	char *to = from ? malloc(len + 1) : NULL;

	if (to) {
		memcpy(to, from, len);
		to[len] = '\0';
	}
	return to;
}

static void where_copy(struct cgroup_info *to, const struct cgroup_info *from)
{
	to->unit = copy(from->unit);
	to->container_id = copy(from->container_id);
	to->container_runtime = copy(from->container_runtime);
	to->container_name = copy(from->container_name);
	to->pod_uid = copy(from->pod_uid);
	to->pod_name = copy(from->pod_name);
	to->pod_namespace = copy(from->pod_namespace);
}

static void process_copy(struct process *to, const struct process *from)
{
	to->cgroup_id = from->cgroup_id;
	to->ppid = from->ppid;
	to->uid = from->uid;
	to->gid = from->gid;
	memcpy(to->comm, from->comm, sizeof(to->comm));
	to->exe = copy(from->exe);
	to->exe_cut = from->exe_cut;
	to->args = copy_bytes(from->args, from->args_len);
	to->args_len = to->args ? from->args_len : 0;
	to->args_cut = from->args_cut;
	to->cgroup = copy(from->cgroup);
	where_copy(&to->where, &from->where);
	to->enriched = true;
}

struct process *processes_keep(struct processes *ps, const struct process *from)
{
	struct process *p;
	bool new;

	if (!from || !from->key.pid)
		return NULL;
	p = processes_get(ps, &from->key, &new);
	if (p && new)
		process_copy(p, from);
	return p;
}
