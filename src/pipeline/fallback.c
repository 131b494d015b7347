/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What was there before, where the kernel has no iterator over open files: sock_diag in every network namespace, and
 * owners out of /proc. Poorer than the iterators, and said so: a socket found this way has no key, so its release is
 * not seen.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "core/field.h"
#include "enrich/proc.h"
#include "enrich/sockets.h"
#include "pipeline/state.h"
#include "source/netns.h"
#include "util/cleanup.h"

#define TCP_STATE_LISTEN 10
#define STATE_BIT_BOUND 13 /* TCPF_BOUND_INACTIVE, Linux 6.8 */

struct fallback {
	struct pipeline *pipeline;
	struct socket_owners owners;
	uint64_t now_ns;
};

static bool port_asked(const struct pipeline *p, uint16_t port)
{
	const struct filter_kernel *k = p->config->kernel;

	return !k || !k->ports_valid || k->ports[port / 8] & 1u << (port % 8);
}

void record_from_row(struct record *rec, const struct diag_row *row, uint64_t now_ns)
{
	memset(rec, 0, sizeof(*rec));
	rec->action = ACTION_SNAPSHOT;
	rec->time_ns = now_ns;
	rec->proto = row->proto;
	rec->has_socket = true;
	rec->cookie = row->cookie;
	rec->inode = row->inode;
	rec->addr = row->addr;
	rec->port = row->port;
	rec->family = row->family;
	rec->state = row->state;
	rec->netns = row->netns;
	rec->ifindex = row->ifindex;
	rec->sock_uid = row->uid;
	rec->via = VIA_PROC;
	rec->since_ns = now_ns;
	rec->since_precision = SINCE_NOT_AFTER;
}

/* The process of @pid as far as /proc still shows it. */
static void record_owner(struct fallback *f, uint32_t pid, struct record *rec)
{
	struct owner owner;

	if (!process_start(pid, &owner))
		return;
	rec->has_process = true;
	rec->pid = rec->tid = pid;
	rec->start_ns = owner.start_ns;
	rec->uid = rec->sock_uid;
	rec->since_ns = owner.start_ns;
	rec->since_precision = SINCE_NOT_BEFORE;
	memcpy(rec->comm, owner.comm, sizeof(rec->comm));
	(void)process_of(f->pipeline, rec);
}

static int row_found(void *arg, const struct diag_row *row)
{
	struct fallback *f = arg;
	struct pipeline *p = f->pipeline;
	const struct socket_owner *o = row->inode ? socket_owners_find(&f->owners, row->inode) : NULL;
	struct record rec;
	struct entry *e;

	if (!row->port || !port_asked(p, row->port) || ledger_find_cookie(p->ledger, row->cookie))
		return 0;
	record_from_row(&rec, row, f->now_ns);
	if (o)
		record_owner(f, o->pid, &rec);
	e = ledger_hold(p->ledger, &rec, process_of(p, &rec));
	if (!e)
		return 0;
	e->snapshot_untold = true;
	for (const struct socket_owner *end = f->owners.items + f->owners.n;
	     o && ++o < end && o->inode == row->inode;) {
		struct owner owner;

		if (process_start(o->pid, &owner))
			(void)entry_owner_add(e, &owner);
	}
	return 0;
}

static void netns_read(struct fallback *f, const struct netns *ns)
{
	struct diag_query listening = { .tcp = true,
					.states = 1u << TCP_STATE_LISTEN | 1u << STATE_BIT_BOUND };
	struct diag_query datagrams = { .udp = true };
	struct sockdiag *sd;

	if (sockdiag_open(ns->fd, ns->inode, &sd) < 0)
		return;
	(void)sockdiag_dump(sd, &listening, row_found, f);
	(void)sockdiag_dump(sd, &datagrams, row_found, f);
	sockdiag_close(sd);
}

int snapshot_from_proc(struct pipeline *p)
{
	struct fallback f = { .pipeline = p, .now_ns = clock_boot_ns() };
	auto_close int proc_fd = openat(p->root_fd, "proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct netns_list list = { 0 };
	int r;

	r = socket_owners_read(proc_fd, &f.owners);
	if (r < 0)
		return r;
	r = netns_list_all(&list);
	for (size_t i = 0; i < list.n; i++)
		if (netns_asked(p, list.items[i].inode))
			netns_read(&f, &list.items[i]);
	netns_list_done(&list);
	socket_owners_done(&f.owners);
	return r;
}
