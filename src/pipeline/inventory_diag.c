/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What no file leads to, namespace by namespace: TIME_WAIT, orphans, descriptors in flight, the kernel's own. sock_diag
 * says quickly whether there is any; only then the kernel's tables are walked by an iterator, which knows more of them.
 * Without BPF all there is comes from sock_diag, and owners from /proc.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/inventory_state.h"
#include "pipeline/state.h"
#include "util/cleanup.h"
#include "util/fail.h"

#define TCP_STATE_TIME_WAIT 6
#define TCP_STATE_CLOSE 7
#define TCP_STATE_LISTEN 10
#define STATE_BIT_BOUND 13 /* TCPF_BOUND_INACTIVE, Linux 6.8 */
#define UNKNOWN_MAX 262144
#define TIME_MAX_NS (5 * NS_PER_S) /* for all namespaces together */
#define NAMED_MAX 4                /* namespaces that could not be entered, by name */

struct pass {
	struct inventory *inv;
	uint64_t now_ns;
	size_t refused; /* namespaces that could not be entered */
	bool udp_unknown, tcp_unknown;
	bool no_module;
};

/* ---- without BPF: owners by /proc ---- */

/* Started after the walk over /proc began: the number was another's when its descriptors were read. */
static bool owner_of(const struct inventory *inv, uint32_t pid, struct owner *ret)
{
	return process_start(pid, ret) && ret->start_ns <= inv->began_ns;
}

static void owners_fill(struct inventory *inv, const struct socket_owner *o, struct entry *e)
{
	const struct socket_owner *end = inv->owners.items + inv->owners.n;
	struct owner owner;

	for (; o < end && o->inode == e->inode; o++)
		if (o->pid != e->key.pid && owner_of(inv, o->pid, &owner))
			(void)entry_owner_add(e, &owner);
}

/* The process that is there longest, as in a pass over files. */
static bool owner_first(const struct inventory *inv, const struct socket_owner *o, struct owner *ret)
{
	const struct socket_owner *end = inv->owners.items + inv->owners.n;
	uint64_t inode = o->inode;
	struct owner owner;
	bool any = false;

	for (; o < end && o->inode == inode; o++) {
		if (!owner_of(inv, o->pid, &owner))
			continue;
		if (!any || owner.start_ns < ret->start_ns)
			*ret = owner;
		any = true;
	}
	return any;
}

/* Whose effective ids the process runs under; the socket's uid may be another. */
static void record_ids(struct inventory *inv, struct record *rec)
{
	struct process *p = inventory_intern(inv, rec);

	if (!p)
		return;
	p->comm[0] = '\0';
	enrich_process(inv->enrich, p);
	rec->uid = p->uid;
	rec->gid = p->gid;
	rec->ppid = p->ppid;
}

static void record_owner(struct inventory *inv, struct record *rec, const struct owner *owner)
{
	rec->has_process = true;
	rec->pid = owner->pid;
	rec->start_ns = owner->start_ns;
	rec->since_ns = owner->start_ns;
	rec->since_precision = SINCE_NOT_BEFORE;
	memcpy(rec->comm, owner->comm, sizeof(rec->comm));
	record_ids(inv, rec);
}

/* ---- one row ---- */

/* Who asked for a port by its number is not told; a connected UDP socket on a port that the kernel gives did not. */
static enum holder_kind row_kind(const struct inventory *inv, const struct diag_row *row)
{
	if (row->state == TCP_STATE_TIME_WAIT)
		return HOLDER_TIME_WAIT;
	if (row->proto == PROTO_UDP && row->peer_port && enrich_port_is_ephemeral(inv->enrich, row->port))
		return HOLDER_CLIENT;
	if (row->state == TCP_STATE_LISTEN || row->proto == PROTO_UDP)
		return HOLDER_LISTENER;
	if (row->state == TCP_STATE_CLOSE)
		return HOLDER_BOUND;
	return HOLDER_ACCEPTED;
}

static void row_hold(struct pass *p, const struct diag_row *row)
{
	struct inventory *inv = p->inv;
	const struct socket_owner *o = row->inode ? socket_owners_find(&inv->owners, row->inode) : NULL;
	struct owner first;
	struct record rec;
	struct entry *e;

	record_from_row(&rec, row, p->now_ns);
	rec.via = VIA_NETLINK;
	rec.kind = (uint8_t)row_kind(inv, row);
	rec.v6only = row->has_v6only && row->v6only;
	if (row->state == TCP_STATE_TIME_WAIT && row->expires_ms)
		rec.expires_ns = p->now_ns + row->expires_ms * NS_PER_MS;
	if (row->state == TCP_STATE_TIME_WAIT)
		rec.since_ns = rec.since_precision = 0;
	if (o && owner_first(inv, o, &first))
		record_owner(inv, &rec, &first);
	e = inventory_hold(inv, &rec);
	if (e && o)
		owners_fill(inv, o, e);
}

/* A socket that is known: what only sock_diag tells. One of MPTCP has two rows, with one inode. */
static void row_known(struct entry *e, const struct diag_row *row, uint64_t now_ns)
{
	if (row->proto == PROTO_MPTCP)
		e->told.proto = PROTO_MPTCP;
	else if (!e->cookie)
		e->cookie = e->told.cookie = row->cookie;
	if (row->state == TCP_STATE_TIME_WAIT && row->expires_ms)
		e->told.expires_ns = now_ns + row->expires_ms * NS_PER_MS;
}

static int unknown_add(struct inventory *inv, const struct diag_row *row)
{
	size_t room;
	struct diag_row *more;

	if (inv->n_unknown == inv->unknown_room) {
		room = inv->unknown_room ? inv->unknown_room * 2 : 64;
		more = reallocarray(inv->unknown, room, sizeof(*more));
		if (!more)
			return fail(-ENOMEM, "list sockets");
		inv->unknown = more;
		inv->unknown_room = room;
	}
	inv->unknown[inv->n_unknown++] = *row;
	return 0;
}

static int row_found(void *arg, const struct diag_row *row)
{
	struct pass *p = arg;
	struct inventory *inv = p->inv;
	struct entry *e;

	if (!row->port || !inventory_port_asked(inv, row->port))
		return 0;
	if (row->state == TCP_STATE_TIME_WAIT && !inv->o.connections) {
		row_hold(p, row); /* thousands on one port: nothing else could know them */
		return 0;
	}
	e = inventory_find(inv, row);
	if (e) {
		row_known(e, row, p->now_ns);
		return 0;
	}
	if (!inv->lister || inv->n_unknown >= UNKNOWN_MAX) {
		row_hold(p, row);
		return 0;
	}
	p->udp_unknown = p->udp_unknown || row->proto == PROTO_UDP;
	p->tcp_unknown = p->tcp_unknown || row->proto != PROTO_UDP;
	return unknown_add(inv, row);
}

/* ---- one namespace ---- */

/* The one port that is asked for, which the kernel can pick; 0: several. */
static uint16_t single_port(const struct inventory *inv)
{
	unsigned found = 0, count = 0;

	if (!inv->o.kernel || !inv->o.kernel->ports_valid)
		return 0;
	for (unsigned port = 1; port < 65536 && count < 2; port++)
		if (inventory_port_asked(inv, (uint16_t)port)) {
			found = port;
			count++;
		}
	return count == 1 ? (uint16_t)found : 0;
}

static int netns_dump(struct pass *p, struct sockdiag *sd)
{
	const struct inventory *inv = p->inv;
	uint16_t port = single_port(inv);
	uint32_t states = 1u << TCP_STATE_LISTEN | 1u << STATE_BIT_BOUND |
			  (inv->o.time_wait ? 1u << TCP_STATE_TIME_WAIT : 0);
	struct diag_query queries[] = {
		{ .tcp = true, .states = inv->o.connections ? 0 : states, .port = port },
		{ .udp = true, .port = port },
		{ .mptcp = !inv->lister, .states = states, .port = port },
	};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(queries) && r >= 0; i++) {
		r = sockdiag_dump(sd, &queries[i], row_found, p);
		p->no_module = p->no_module || (r == SOCKDIAG_NO_MODULE && !queries[i].mptcp);
	}
	return r < 0 ? r : 0;
}

/* In the namespace itself: iterators show the reader's own. */
static int netns_walk(struct pass *p)
{
	bool all = p->inv->o.connections;
	int r = 0;

	if (p->udp_unknown || all)
		r = inventory_sockets(p->inv, true);
	if (r >= 0 && (p->tcp_unknown || all))
		r = inventory_sockets(p->inv, false);
	return r;
}

static int netns_walk_in(struct pass *p, const struct netns *ns)
{
	int home, r;

	if (ns->inode == netns_self())
		return netns_walk(p);
	r = netns_enter(ns->fd, &home);
	if (r < 0)
		return r;
	r = netns_walk(p);
	return netns_leave(home) ?: r;
}

static void unknown_hold(struct pass *p)
{
	struct inventory *inv = p->inv;

	for (size_t i = 0; i < inv->n_unknown; i++) {
		struct entry *e = inventory_find(inv, &inv->unknown[i]);

		if (e)
			row_known(e, &inv->unknown[i], p->now_ns);
		else
			row_hold(p, &inv->unknown[i]);
	}
}

static int netns_read(struct pass *p, const struct netns *ns)
{
	struct inventory *inv = p->inv;
	struct sockdiag *sd;
	int r;

	inv->n_unknown = 0;
	p->udp_unknown = p->tcp_unknown = false;
	p->now_ns = clock_boot_ns();
	r = sockdiag_open(ns->inode == netns_self() ? -1 : ns->fd, ns->inode, &sd);
	if (r < 0)
		return r;
	r = netns_dump(p, sd);
	inv->bad_rows += sockdiag_bad_records(sd);
	sockdiag_close(sd);
	if (r >= 0 && inv->lister && (inv->n_unknown || inv->o.connections))
		r = netns_walk_in(p, ns);
	if (r != -ENOMEM)
		unknown_hold(p);
	return r;
}

/* ---- all of them ---- */

/* A namespace that may not be entered is named; one that vanished meanwhile is left out. */
static int netns_failed(struct pass *p, const struct netns *ns, int error)
{
	const char *name = enrich_netns(p->inv->enrich, ns->inode);

	if (error == -ENOMEM)
		return error;
	if (error == -ENOENT || error == -ESRCH)
		return 0;
	if (p->refused++ < NAMED_MAX)
		inventory_blind_add(p->inv, "network namespace %s%.*u: %s", name ? name : "", name ? 0 : 10,
				    name ? 0 : ns->inode, strerror(-error));
	return 0;
}

static void namespaces_say(struct pass *p, const struct netns_list *list, size_t late)
{
	if (p->refused > NAMED_MAX)
		inventory_blind_add(p->inv, "%zu more network namespaces", p->refused - NAMED_MAX);
	if (list->cut)
		inventory_blind_add(
			p->inv, "%zu network namespaces that cannot be opened, or are too many: ulimit -n",
			list->cut);
	if (late)
		inventory_blind_add(p->inv, "%zu network namespaces: it took too long", late);
	if (p->no_module)
		inventory_blind_add(p->inv, "sockets that no process has open: modprobe tcp_diag udp_diag");
}

int inventory_namespaces(struct inventory *inv)
{
	struct pass p = { .inv = inv };
	struct netns_list list = { 0 };
	uint64_t end_ns = clock_boot_ns() + TIME_MAX_NS;
	size_t late = 0;
	int r = netns_list_all(&list);

	for (size_t i = 0; i < list.n && r >= 0; i++) {
		if (!inventory_netns_asked(inv, list.items[i].inode))
			continue;
		if (clock_boot_ns() > end_ns) {
			late++;
			continue;
		}
		r = netns_read(&p, &list.items[i]);
		if (r < 0) {
			r = netns_failed(&p, &list.items[i], r);
			if (!r)
				fail_clear();
		}
	}
	namespaces_say(&p, &list, late);
	netns_list_done(&list);
	return r < 0 ? r : 0;
}
