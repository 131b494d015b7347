/* SPDX-License-Identifier: GPL-2.0-only */
/* What the parts of the inventory share; private to src/pipeline/inventory*.c. */
#ifndef PIPELINE_INVENTORY_STATE_H
#define PIPELINE_INVENTORY_STATE_H

#include "core/decode.h"
#include "enrich/enrich.h"
#include "enrich/sockets.h"
#include "pipeline/inventory.h"
#include "source/bpf_inventory.h"
#include "source/netns.h"
#include "source/sockdiag.h"

#define INVENTORY_BLIND_MAX 12
#define INVENTORY_BUCKETS_MAX 1024
#define PORT_BITS (65536 / 8)
#define REMAINS_MAX_NS (2 * NS_PER_S)

/* Entries by inode and by cookie. */
struct entry_index {
	uint64_t *keys; /* 0: empty */
	struct entry **entries;
	size_t used, size; /* size: a power of two, or 0 */
};

struct bucket_of {
	uint32_t netns;
	uint16_t port;
	struct port_bucket bucket;
};

/* Sorted: (namespace, port) of TCP that somebody listens on. */
struct served_ports {
	uint64_t *keys;
	size_t n;
};

struct inventory {
	struct inventory_options o;
	struct processes *processes;
	struct ledger *ledger;
	struct enrich *enrich;
	struct session session;
	struct lister *lister; /* NULL: without BPF */
	struct entry_index index;
	struct socket_owners owners; /* without BPF: by /proc */
	struct pl_row *rows;         /* of one pass */
	size_t n_rows, rows_room;
	uint64_t rows_cut;
	uint64_t bad_rows;
	struct netns_list namespaces;
	struct diag_row *found; /* what sock_diag has, namespace by namespace */
	size_t n_found, found_room;
	size_t *found_ends;       /* for each namespace: where its rows end */
	bool *refused;            /* ... and whether it could not be entered */
	struct diag_row *unknown; /* of one namespace: sock_diag has them, no file led to them */
	size_t n_unknown, unknown_room;
	struct bucket_of *buckets;
	size_t n_buckets;
	uint32_t netns[LISTER_NETNS_MAX]; /* only these; n_netns 0: all */
	size_t n_netns;
	uint32_t connections_netns; /* with o.connections: there alone; 0: everywhere */
	uint64_t began_ns;
	int root_fd, proc_fd;
	size_t netns_refused;                /* could not be entered */
	size_t netns_late;                   /* there was no time for */
	size_t netns_unbound;                /* not asked for sockets that are only bound */
	size_t netns_unremained;             /* not asked for connections */
	uint8_t remains_ports[PORT_BITS];    /* whose connections are asked for, where nobody listens */
	uint8_t connection_ports[PORT_BITS]; /* of connections that sock_diag has and somebody may have open */
	uint16_t single_port;                /* the only one that is asked for; 0: there is none */
	bool no_module;
	bool brief;
	bool root; /* may look at everybody's processes */
	bool bpf; /* owners come from a pass over the files, or will: the programs may still be on their way */
	const char *blind[INVENTORY_BLIND_MAX + 1];
	char *blind_texts[INVENTORY_BLIND_MAX];
	size_t n_blind;
};

/* ---- inventory.c ---- */
void inventory_blind_add(struct inventory *inv, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool inventory_port_asked(const struct inventory *inv, uint16_t port);
/* Is everything on the ports looked at there? */
bool inventory_connections_asked(const struct inventory *inv, uint32_t inode);
bool inventory_netns_asked(const struct inventory *inv, uint32_t inode);
/* Forget an entry again (NULL is fine): what the index has of it is found no more. */
void inventory_drop(struct inventory *inv, struct entry *e);
/* A socket's entry, findable by inode and cookie; NULL: no room. */
struct entry *inventory_hold(struct inventory *inv, struct record *rec);
struct process *inventory_intern(struct inventory *inv,
				 const struct record *rec);                      /* of rec->pid; NULL: none */
struct entry *inventory_find(struct inventory *inv, const struct diag_row *row); /* NULL: not there yet */
void inventory_bucket_keep(struct inventory *inv, const struct pl_row *row);

/* ---- inventory_files.c: rows of the iterators ---- */
int inventory_files(struct inventory *inv);             /* a pass over every descriptor, into the ledger */
int inventory_sockets(struct inventory *inv, bool udp); /* what no file led to, of this thread's namespace */
int inventory_flying(struct inventory *inv); /* which of those that nobody has are in messages; as above */

/* ---- inventory_remains.c: connections that hold a port by themselves ---- */
void inventory_remains_begin(struct inventory *inv); /* before the first namespace */
bool inventory_is_connection(const struct diag_row *row);
/* What o.remains asks for, of one namespace whose other rows are found[begin..end): call @each as sockdiag_dump() does. */
int inventory_remains_ask(struct inventory *inv, struct sockdiag *sd, const struct netns *ns, size_t begin,
			  size_t end, int (*each)(void *arg, const struct diag_row *row), void *arg);
int inventory_served(struct inventory *inv, struct served_ports *ret); /* the caller frees ret->keys */
bool served_has(const struct served_ports *served, const struct record *rec);

/* ---- inventory_diag.c: namespace by namespace ---- */
int inventory_ask(struct inventory *inv); /* what sock_diag has, kept in found; TIME_WAIT into the ledger */
void inventory_ask_forget(struct inventory *inv); /* forget what inventory_ask() found */
int inventory_settle(struct inventory *inv); /* after the files: what is in found and not in the ledger yet */

#endif
