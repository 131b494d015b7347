/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The ledger: who holds each port now, and who held it before. Bounded: past @max live sockets new ones are refused and
 * counted; of those that are gone the oldest is forgotten first. Pure.
 */
#ifndef CORE_LEDGER_H
#define CORE_LEDGER_H

#include "core/process.h"
#include "core/record.h"

#define LEDGER_OWNERS_MAX 16

/* One socket that holds a port. */
struct entry {
	uint64_t sk;         /* the kernel's key; 0: known by its cookie alone */
	uint64_t id;         /* socket.id; 0: nothing of it has been told */
	uint64_t tracked_ns; /* of its record; see there */
	uint64_t since_ns;
	uint64_t cookie;
	uint64_t inode;
	struct process *process; /* who took the port; held; NULL: unknown */
	struct process_key key;  /* of process, also when it is NULL; pid 0: nobody known */
	struct record told;      /* the record it came with: address, options, identity */
	struct owner *owners;    /* processes seen with it open, beside process; n_owners of them */
	uint32_t n_owners;
	uint32_t owners_count; /* seen, which may be more */
	uint32_t mark;         /* of the last resync that found it */
	uint32_t called;       /* of the last one that looked for it in the kernel's own list */
	bool present;          /* it was there */
	bool snapshot_untold;  /* found by a snapshot that is still under way */
	bool unsure; /* nobody has it open: it may have been on its way out when the snapshot saw it */
	bool handed; /* its binder is gone, others have it */
	bool listened;
	struct entry *by_sk_next;
	struct entry *by_port_next, **by_port_at; /* ..._at: what points at it */
	struct entry *by_pid_next, **by_pid_at;
	struct entry *all_prev, *all_next;
};

/* Who let a port go last. */
struct past_owner {
	uint64_t gone_ns;
	uint64_t since_ns;
	uint64_t id;
	uint32_t pid;
	uint32_t uid;
	uint64_t start_ns;
	uint64_t exec_id;
	char comm[16];
	struct process *process; /* NULL: unknown */
};

struct ledger;

struct ledger *ledger_new(size_t max);          /* NULL only when out of memory */
struct ledger *ledger_free(struct ledger *led); /* NULL is fine; always returns NULL */

/*
 * A socket took a port (bind, listen, snapshot, autobind): its entry, made or brought up to date from @rec. NULL: out
 * of memory, full, or nothing to know it by (counted).
 */
struct entry *ledger_hold(struct ledger *led, const struct record *rec, struct process *process);

/* Is @e another socket than the one of @rec, at the same address? Then its release was lost. */
bool entry_is_stale(const struct entry *e, const struct record *rec);

struct entry *ledger_find(struct ledger *led, uint64_t sk); /* NULL: unknown */
/* Of those without key; NULL: unknown. */
struct entry *ledger_find_cookie(struct ledger *led, uint64_t cookie);

/* The socket let its port go: remember who had it, and forget the entry. */
void ledger_release(struct ledger *led, struct entry *e, uint64_t now_ns);

/* One more process has the socket open. False: known already, or no room (counted in owners_count). */
bool entry_owner_add(struct entry *e, const struct owner *owner);

/* What it holds its port as, from its record; @listened: at some time. */
enum holder_kind record_holder_kind(const struct record *rec, bool listened);

/* A UDP socket with a peer, which alone it hears; it holds its port all the same. */
bool record_is_connected(const struct record *rec);

/* The socket of @e as what holds a port; unranked, and without what only a look at the processes tells. */
void entry_holder(const struct entry *e, struct holder *ret);

/*
 * Entries of (netns, table of @proto, port), one after the other: NULL first; NULL at the end. On the way entries may be
 * held again at the same port; before one is released its successor has to be taken.
 */
struct entry *ledger_on_port(struct ledger *led, uint32_t netns, enum proto proto, uint16_t port,
			     struct entry *after);
/* Entries taken by process @pid, the same way. */
struct entry *ledger_of_pid(struct ledger *led, uint32_t pid, struct entry *after);
/* All entries, oldest first, the same way. */
struct entry *ledger_next(struct ledger *led, struct entry *after);
/* Who had the port last, NULL: nobody known. */
const struct past_owner *ledger_past(struct ledger *led, uint32_t netns, enum proto proto, uint16_t port);

/* The port is free: what comes there without an owner is not the last one's. */
void ledger_forget_past(struct ledger *led, uint32_t netns, enum proto proto, uint16_t port);

size_t ledger_count(const struct ledger *led);
uint64_t ledger_refused(const struct ledger *led); /* sockets that found no room */

#endif
