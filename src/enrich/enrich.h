/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Fill in what the kernel did not say: unit and container from the cgroup path, names of users, services and network
 * namespaces, and of processes seen too late for the hooks what /proc knows. Never blocks on a name service; cached.
 */
#ifndef ENRICH_ENRICH_H
#define ENRICH_ENRICH_H

#include "core/process.h"
#include "core/record.h"

struct enrich;

/* @root_fd: directory that stands for / (tests pass a fake tree: proc, etc, run, var below it); borrowed. */
struct enrich *enrich_new(int root_fd, struct processes *ps);
struct enrich *enrich_free(struct enrich *e);

/* Fill @p->where from @p->cgroup once; where @p has no exe, args or cgroup yet, from /proc/PID if it is still the same
 * process (start time compared). */
void enrich_process(struct enrich *e, struct process *p);

/* Only @p->where, for who shows neither exe nor args: a call of the above fills in the rest. */
void enrich_process_where(struct enrich *e, struct process *p);

/* Names for a record: view->user_name, service, netns_name. Borrowed until the next call of any function here. */
void enrich_view(struct enrich *e, struct view *v);

/*
 * For whom the record's process and its holders have their ports: view->bound_by, holder->bound_by. Borrowed until the
 * next call of this one.
 */
void enrich_bound_by(struct enrich *e, struct view *v);

const char *enrich_user(struct enrich *e, uint32_t uid);                       /* NULL: none */
const char *enrich_service(struct enrich *e, uint16_t port, enum proto proto); /* NULL: none */
const char *enrich_netns(struct enrich *e, uint32_t inode);                    /* NULL: none */
/* The inode of the namespace called @name ("host", a name below /run/netns, a number); 0: none now. */
uint32_t enrich_netns_inode(struct enrich *e, const char *name);
/* Remember what a namespace is called (a container's name), unless it is known already. */
void enrich_netns_learn(struct enrich *e, uint32_t inode, const char *name);
/* Does the kernel choose @port by itself (ip_local_port_range of portlog's own namespace)? */
bool enrich_port_is_ephemeral(struct enrich *e, uint16_t port);
void enrich_ephemeral_range(struct enrich *e, unsigned *ret_low, unsigned *ret_high);
/* boot id and hostname for @s. */
void enrich_session(struct enrich *e, struct session *s);
/* Of the boot under way, 32 hex digits; empty when it is not known. @proc_fd: /proc. */
void enrich_boot_id(int proc_fd, char out[33]);

#endif
