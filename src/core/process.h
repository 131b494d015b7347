/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Processes seen, interned by (pid, start, exec id): pid numbers are used again and exec keeps the first two.
 * Bounded: the one used longest ago and referred to by nobody is forgotten first.
 */
#ifndef CORE_PROCESS_H
#define CORE_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct process_key {
	uint32_t pid;
	uint64_t start_ns; /* boot clock */
	uint64_t exec_id;
};

/* Where a cgroup path says that a process belongs; any member may be NULL. */
struct cgroup_info {
	char *unit; /* systemd unit, as in the path with \x2d undone */
	char *container_id;
	char *container_runtime; /* docker, containerd, crio, podman, lxc, nspawn ... */
	char *container_name;    /* from the runtime's own files */
	char *pod_uid;           /* with dashes */
	char *pod_name;
	char *pod_namespace;
};

struct process {
	struct process_key key;
	uint64_t cgroup_id;
	uint64_t css_set; /* of one pass over all processes: whose are equal are in the same cgroups; 0: not known */
	uint32_t ppid;
	uint32_t uid;
	uint32_t gid;
	char comm[16];
	char *exe;    /* NULL: unknown */
	bool exe_cut; /* the path is longer */
	char *args;   /* args_len bytes, each argument with its NUL; NULL: unknown, or a kernel thread */
	size_t args_len;
	bool args_cut;            /* argv is longer */
	char *cgroup;             /* path in the v2 hierarchy, "/" first; NULL: unknown */
	struct cgroup_info where; /* filled by enrich/cgroup.c from cgroup */
	bool enriched;
	void *rendered[2]; /* room for renderers to keep what they made of it; freed with the process by free() */
	unsigned refs;     /* the ledger's and others' holds */
	struct process *lru_prev, *lru_next;
	struct process *hash_next;
};

struct processes;
struct record;

struct processes *processes_new(size_t max); /* NULL only when out of memory */
/* With all entries, held or not. NULL is fine; always returns NULL. */
struct processes *processes_free(struct processes *ps);

/*
 * The entry of @key, made if it was not there; *ret_new says which. NULL when out of memory or when @max entries are
 * all referred to (counted, processes_refused()). Borrowed until the next call unless process_ref() holds it.
 */
struct process *processes_get(struct processes *ps, const struct process_key *key, bool *ret_new);
struct process *processes_find(struct processes *ps, const struct process_key *key); /* NULL: not seen */
/* The same; with exec_id 0, which no program has, the newest one of that process. */
struct process *processes_find_program(struct processes *ps, const struct process_key *key);
/* The newest exec of (pid, start_ns); NULL: not seen. */
struct process *processes_find_pid(struct processes *ps, uint32_t pid, uint64_t start_ns);
/* Who made the call of @rec, with what the record says of it when it is new; NULL: nobody, or no room. */
struct process *processes_of_record(struct processes *ps, const struct record *rec);
/* The entry of @from, with all that @from says when it is new. NULL: @from is NULL or nobody, or no room. */
struct process *processes_keep(struct processes *ps, const struct process *from);
struct process *process_ref(struct process *p); /* NULL is fine */
void process_unref(struct process *p);          /* NULL is fine */
uint64_t processes_refused(const struct processes *ps);
size_t processes_count(const struct processes *ps);

/* Forget what renderers and enrichers made of @p (its members changed). */
void process_dirty(struct process *p);
void cgroup_info_done(struct cgroup_info *info);

#endif
