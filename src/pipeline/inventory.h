/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The inventory: what holds ports now, taken once, without a tracer. As root by BPF iterators over every descriptor of
 * every process, and sock_diag for what no descriptor leads to (TIME_WAIT, orphans, descriptors in flight, the kernel's
 * own); without root by sock_diag and the caller's own /proc. It fills a ledger with ACTION_SNAPSHOT records.
 */
#ifndef PIPELINE_INVENTORY_H
#define PIPELINE_INVENTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/bucket.h"
#include "core/explain.h"
#include "core/filter.h"
#include "core/ledger.h"

struct enrich;
struct inventory;

/* Connections that hold a port, beside their listeners. */
enum inventory_remains {
	REMAINS_NONE,
	REMAINS_UNSERVED, /* of ports that nobody listens on; in ip_local_port_range only where few ports are asked for */
	REMAINS_ALL,
};

struct inventory_options {
	const struct filter_kernel *kernel; /* ports and namespaces that can match; NULL: all */
	bool time_wait;                     /* TIME_WAIT too */
	enum inventory_remains remains;
	/*
	 * Everything on these ports in one namespace: accepted, client, SYN_RECV, TIME_WAIT ...; with kernel->ports_valid
	 * only. In the others they are in nobody's way, and thousands of tables would be walked for them.
	 */
	bool connections;
	const char *
		connections_netns; /* which; NULL: portlog's own. One that is known by no name yet: all of them */
	bool no_bpf;               /* as without privilege (tests) */
};

/*
 * 0 or negative errno with a story. Missing privilege is no error: see inventory_reach() and inventory_blind().
 * Sockets come and go meanwhile: what was there all the time is in it.
 */
int inventory_take(const struct inventory_options *o, struct inventory **ret);
struct inventory *inventory_free(struct inventory *inv); /* NULL is fine; always returns NULL */

/* Entries are ACTION_SNAPSHOT; told.kind, told.expires_ns and told.has_options are set. The inventory's own. */
struct ledger *inventory_ledger(struct inventory *inv);
const struct session *inventory_session(const struct inventory *inv);
struct enrich *inventory_enrich(struct inventory *inv); /* names of users, services, namespaces */

/*
 * Was the namespace that is called @name looked at? 0; -ENOENT: there is none, or it is not known; -EPERM: it may not be
 * entered. One that vanished meanwhile was. A container's name is known once its sockets have been viewed.
 */
int inventory_netns_seen(struct inventory *inv, const char *name);

enum reach inventory_reach(const struct inventory *inv); /* whose processes were looked at */
bool inventory_asks_few(const struct inventory *inv);    /* of ports: those of clients are listed too */
bool inventory_uses_bpf(const struct inventory *inv);    /* false: options and bind buckets are unknown */
/* What could not be looked at ("network namespace blue: Operation not permitted"), NULL-terminated. */
const char *const *inventory_blind(const struct inventory *inv);

/* The process with unit, container, exe, args filled in; NULL: gone, or nothing known. */
const struct process *inventory_process(struct inventory *inv, uint32_t pid, uint64_t start_ns);

/* Who shows neither exe nor args need not pay for them: inventory_view() leaves them out from now on. */
void inventory_brief(struct inventory *inv);

/*
 * @e as a view: its record, processes, owners (the first is the record's own; only with more than one) and names, for
 * filters and sinks. @owners: LEDGER_OWNERS_MAX of them, borrowed by *ret.
 */
void inventory_view(struct inventory *inv, const struct entry *e, struct owner *owners, struct view *ret);

/*
 * All sockets on one port of one table (MPTCP counts as TCP) in one namespace, unranked; holder.process is filled in.
 * Returns how many there are, which may be more than @max.
 */
size_t inventory_on_port(struct inventory *inv, uint32_t netns, enum proto proto, uint16_t port,
			 struct holder *ret, size_t max);

/*
 * The kernel's bind bucket of a TCP port outside of every VRF, as seen by any socket on it; only with options.connections
 * and BPF. 0 or -ENOENT.
 */
int inventory_bucket(struct inventory *inv, uint32_t netns, uint16_t port, struct port_bucket *ret);

#endif
