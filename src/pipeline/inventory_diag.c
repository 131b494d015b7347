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
#include "util/parse.h"
#include "util/privileges.h"

#define TCP_STATE_TIME_WAIT 6
#define TCP_STATE_CLOSE 7
#define TCP_STATE_LISTEN 10
#define STATE_BIT_BOUND 13 /* TCPF_BOUND_INACTIVE, Linux 6.8 */
#define FOUND_MAX 524288
#define BOUND_MAX_NS NS_PER_S
#define TIME_MAX_NS (5 * NS_PER_S) /* for all namespaces together */
#define STILL_THERE 0x80000000u
#define NAMED_MAX 4 /* namespaces that could not be entered, by name */

#define CHECKED_MAX 256 /* sockets without a file that are asked for again */

struct pass {
	struct inventory *inv;
	uint64_t now_ns;
	size_t begin, end; /* its rows in found; end 0: as far as they go now */
	bool udp_unknown, tcp_unknown;
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
	if (!p->comm[0]) { /* it has just gone: who made the socket is the best that is known */
		memcpy(p->comm, rec->comm, sizeof(p->comm));
		p->uid = rec->sock_uid;
	}
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

static int row_push(struct diag_row **rows, size_t *n, size_t *room, const struct diag_row *row)
{
	if (*n == *room) {
		size_t bigger = *room ? *room * 2 : 64;
		struct diag_row *more = reallocarray(*rows, bigger, sizeof(*more));

		if (!more)
			return fail(-ENOMEM, "list sockets");
		*rows = more;
		*room = bigger;
	}
	(*rows)[(*n)++] = *row;
	return 0;
}

/* A dump's row: TIME_WAIT, of which thousands may be on one port, is nobody else's to know; others wait for the files. */
static int row_found(void *arg, const struct diag_row *row)
{
	struct pass *p = arg;
	struct inventory *inv = p->inv;

	if (!row->port || !inventory_port_asked(inv, row->port))
		return 0;
	if (row->state == TCP_STATE_TIME_WAIT && !inventory_connections_asked(inv, row->netns)) {
		row_hold(p, row);
		return 0;
	}
	if (inv->n_found == FOUND_MAX) {
		inv->rows_cut++;
		return 0;
	}
	if (inventory_is_connection(row))
		inv->connection_ports[row->port / 8] |= (uint8_t)(1u << row->port % 8);
	return row_push(&inv->found, &inv->n_found, &inv->found_room, row);
}

static int row_settle(struct pass *p, const struct diag_row *row)
{
	struct inventory *inv = p->inv;
	struct entry *e = inventory_find(inv, row);

	if (e) {
		row_known(e, row, p->now_ns);
		return 0;
	}
	if (!inv->lister) {
		row_hold(p, row);
		return 0;
	}
	p->udp_unknown = p->udp_unknown || row->proto == PROTO_UDP;
	p->tcp_unknown = p->tcp_unknown || row->proto != PROTO_UDP;
	return row_push(&inv->unknown, &inv->n_unknown, &inv->unknown_room, row);
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

/*
 * Sockets that are only bound cost a walk over a table of all namespaces each time. With BPF they have a file; without, the
 * first second is theirs, which is enough for a hundred namespaces.
 */
static bool asks_for_bound(struct inventory *inv)
{
	if (inv->bpf)
		return false;
	if (clock_boot_ns() <= inv->began_ns + BOUND_MAX_NS)
		return true;
	inv->netns_unbound++;
	return false;
}

static int netns_ask(struct pass *p, const struct netns *ns,
		     int (*each)(void *arg, const struct diag_row *row))
{
	struct inventory *inv = p->inv;
	bool all = inventory_connections_asked(inv, ns->inode);
	uint16_t port = inv->single_port;
	uint32_t states = 1u << TCP_STATE_LISTEN | (asks_for_bound(inv) ? 1u << STATE_BIT_BOUND : 0) |
			  (inv->o.time_wait ? 1u << TCP_STATE_TIME_WAIT : 0);
	struct diag_query queries[] = {
		{ .tcp = true, .states = all ? 0 : states, .port = port },
		{ .udp = true, .port = port },
		{ .mptcp = !inv->bpf, .states = states, .port = port },
	};
	struct sockdiag *sd;
	int r = sockdiag_open(ns->inode == netns_self() ? -1 : ns->fd, ns->inode, &sd);

	if (r < 0)
		return r;
	p->now_ns = clock_boot_ns();
	for (size_t i = 0; i < ARRAY_SIZE(queries) && r >= 0; i++) {
		r = sockdiag_dump(sd, &queries[i], each, p);
		inv->no_module = inv->no_module || (r == SOCKDIAG_NO_MODULE && !queries[i].mptcp);
	}
	if (r >= 0)
		r = inventory_remains_ask(inv, sd, ns, p->begin, p->end ?: inv->n_found, each, p);
	inv->bad_rows += sockdiag_bad_records(sd);
	sockdiag_close(sd);
	return r < 0 ? r : 0;
}

/* In the namespace itself: iterators show the reader's own. */
static int netns_walk(struct pass *p, const struct netns *ns)
{
	bool all = inventory_connections_asked(p->inv, ns->inode);
	int r = 0;

	if (p->udp_unknown || all)
		r = inventory_sockets(p->inv, true);
	if (r >= 0 && (p->tcp_unknown || all))
		r = inventory_sockets(p->inv, false);
	return r;
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

/* Mark it as still there; a row that is no TIME_WAIT has no other use for the bit, and none waits so long. */
static int row_is_there(void *arg, const struct diag_row *row)
{
	struct pass *p = arg;
	struct inventory *inv = p->inv;

	for (size_t i = 0; i < inv->n_unknown; i++)
		if (inv->unknown[i].cookie == row->cookie)
			inv->unknown[i].expires_ms = row->expires_ms | STILL_THERE;
	return 0;
}

/* Closed after sock_diag had it and before the pass over the files came by: no socket that nobody has. */
static int unknown_check(struct pass *p, const struct netns *ns)
{
	struct inventory *inv = p->inv;
	size_t kept = 0;
	int r;

	if (!inv->n_unknown || inv->n_unknown > CHECKED_MAX)
		return 0;
	r = netns_ask(p, ns, row_is_there);
	for (size_t i = 0; i < inv->n_unknown && r >= 0; i++) {
		if (!(inv->unknown[i].expires_ms & STILL_THERE))
			continue;
		inv->unknown[kept] = inv->unknown[i];
		inv->unknown[kept++].expires_ms &= ~STILL_THERE;
	}
	if (r >= 0)
		inv->n_unknown = kept;
	return r;
}

/* What the namespace's own tables know of those that sock_diag has and no file led to. */
static int unknown_settle(struct pass *p, const struct netns *ns)
{
	int r = unknown_check(p, ns);

	if (r >= 0)
		r = netns_walk(p, ns);
	if (r == -ENOMEM)
		return r;
	unknown_hold(p);
	if (p->inv->n_unknown && lister_sees_flying(p->inv->lister))
		r = inventory_flying(p->inv);
	return r;
}

static int unknown_settle_in(struct pass *p, const struct netns *ns)
{
	int home, r;

	if (ns->inode == netns_self())
		return unknown_settle(p, ns);
	r = netns_enter(ns->fd, &home);
	if (r < 0)
		return r;
	r = unknown_settle(p, ns);
	return netns_leave(home) ?: r;
}

/* The rows of one namespace against what the pass over the files found. */
static int netns_settle(struct inventory *inv, const struct netns *ns, size_t begin, size_t end)
{
	struct pass p = { .inv = inv, .now_ns = clock_boot_ns(), .begin = begin, .end = end };
	int r = 0;

	inv->n_unknown = 0;
	for (size_t i = begin; i < end && r >= 0; i++)
		r = row_settle(&p, &inv->found[i]);
	if (r >= 0 && inv->lister && (inv->n_unknown || inventory_connections_asked(inv, ns->inode)))
		r = unknown_settle_in(&p, ns);
	return r;
}

/* ---- all of them ---- */

/* A namespace that may not be entered is named; one that vanished meanwhile is left out. 0, or -ENOMEM. */
static int netns_failed(struct inventory *inv, const struct netns *ns, int error)
{
	const char *name = enrich_netns(inv->enrich, ns->inode);
	char number[16];

	if (error == -ENOMEM)
		return error;
	fail_clear();
	if (error == -ENOENT || error == -ESRCH)
		return 0;
	snprintf(number, sizeof(number), "%u", ns->inode);
	inv->refused[ns - inv->namespaces.items] = true;
	if (inv->netns_refused++ < NAMED_MAX)
		inventory_blind_add(inv, "network namespace %s: %s", name ? name : number, strerror(-error));
	return 0;
}

static void namespaces_say(struct inventory *inv)
{
	if (inv->netns_refused > NAMED_MAX)
		inventory_blind_add(inv, "%zu more network namespaces", inv->netns_refused - NAMED_MAX);
	if (inv->namespaces.cut)
		inventory_blind_add(
			inv, "%zu network namespaces that cannot be opened, or are too many: ulimit -n",
			inv->namespaces.cut);
	/* A process may refuse even who has that, as one of a security module; only of others it is worth a word. */
	if (inv->root && inv->namespaces.refused && !inv->n_netns && !privileges_has("cap_sys_ptrace"))
		inventory_blind_add(
			inv,
			"network namespaces of %zu processes that may not be looked at: CAP_SYS_PTRACE is missing",
			inv->namespaces.refused);
	if (inv->netns_late)
		inventory_blind_add(inv, "%zu network namespaces: it took too long", inv->netns_late);
	if (inv->netns_unbound)
		inventory_blind_add(
			inv, "TCP sockets that do not listen, of %zu network namespaces: it took too long",
			inv->netns_unbound);
	if (inv->netns_unremained)
		inventory_blind_add(inv,
				    "connections whose listener is gone, of %zu network namespaces: it took "
				    "too long",
				    inv->netns_unremained);
	if (inv->no_module)
		inventory_blind_add(inv, "sockets that no process has open: modprobe tcp_diag udp_diag");
}

/* Is it one that is asked for, and is there time? */
static bool netns_is_due(struct inventory *inv, const struct netns *ns)
{
	if (!inventory_netns_asked(inv, ns->inode))
		return false;
	if (clock_boot_ns() <= inv->began_ns + TIME_MAX_NS)
		return true;
	inv->netns_late++;
	return false;
}

int inventory_ask(struct inventory *inv)
{
	struct pass p = { .inv = inv };
	const struct netns *ns;
	int r = netns_list_all(&inv->namespaces);

	inv->single_port = single_port(inv);
	inventory_remains_begin(inv);
	if (r < 0)
		return r;
	inv->found_ends = calloc(inv->namespaces.n + 1, sizeof(*inv->found_ends));
	inv->refused = calloc(inv->namespaces.n + 1, sizeof(*inv->refused));
	if (!inv->found_ends || !inv->refused)
		return fail(-ENOMEM, "list sockets");
	for (size_t i = 0; i < inv->namespaces.n && r >= 0; i++) {
		ns = &inv->namespaces.items[i];
		if (netns_is_due(inv, ns)) {
			p.begin = inv->n_found;
			r = netns_ask(&p, ns, row_found);
			r = r < 0 ? netns_failed(inv, ns, r) : 0;
		}
		inv->found_ends[i] = inv->n_found;
	}
	return r;
}

void inventory_ask_forget(struct inventory *inv)
{
	netns_list_done(&inv->namespaces);
	free(inv->found_ends);
	free(inv->refused);
	inv->found_ends = NULL;
	inv->refused = NULL;
	inv->n_found = inv->netns_late = inv->netns_refused = inv->netns_unremained = inv->bad_rows = 0;
	memset(inv->connection_ports, 0, sizeof(inv->connection_ports));
	while (inv->n_blind)
		free(inv->blind_texts[--inv->n_blind]);
}

static int netns_seen_at(const struct inventory *inv, size_t i)
{
	return inv->refused && inv->refused[i] ? -EPERM : 0;
}

int inventory_netns_seen(struct inventory *inv, const char *name)
{
	uint32_t inode = enrich_netns_inode(inv->enrich, name), number;

	for (size_t i = 0; i < inv->namespaces.n; i++) {
		const struct netns *ns = &inv->namespaces.items[i];
		const char *called = inode ? NULL : enrich_netns(inv->enrich, ns->inode);

		if (inode == ns->inode || (called && !strcmp(called, name)))
			return netns_seen_at(inv, i);
	}
	/* A name that was there at the beginning is of one that came, or went, meanwhile. */
	for (size_t i = 0; i < inv->n_netns && parse_u32(name, &number); i++)
		if (inv->netns[i] == inode || (inv->n_netns == 1 && !inode))
			return 0;
	return inode && inv->namespaces.cut ? -EMFILE : -ENOENT;
}

int inventory_settle(struct inventory *inv)
{
	int r = 0;

	for (size_t i = 0; i < inv->namespaces.n && r >= 0; i++) {
		const struct netns *ns = &inv->namespaces.items[i];
		size_t begin = i ? inv->found_ends[i - 1] : 0, end = inv->found_ends[i];

		if (begin == end && !(inventory_connections_asked(inv, ns->inode) && netns_is_due(inv, ns)))
			continue;
		r = netns_settle(inv, ns, begin, end);
		r = r < 0 ? netns_failed(inv, ns, r) : 0;
	}
	namespaces_say(inv);
	return r;
}
