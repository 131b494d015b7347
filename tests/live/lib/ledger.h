/* SPDX-License-Identifier: GPL-2.0-only */
/* What a stream says is held, and whether the kernel says the same. */
#ifndef LIVE_LEDGER_H
#define LIVE_LEDGER_H

#include <stdbool.h>
#include <stdio.h>

#include "live/lib/net.h"
#include "live/lib/tracer.h"

struct held {
	uint64_t id;     /* socket.id */
	uint64_t cookie; /* 0: not told */
	bool udp;
	bool listens;
	char addr[46];
	uint16_t port;
};

struct ledger {
	struct held *held;
	size_t n, size;
	bool lossy;    /* events were lost: a release of a socket that was never told is no error */
	char why[256]; /* of the last refusal */
};

/* Fold an event in. false: it cannot be (a release of what nobody holds, a bind of what is held): ledger->why. */
bool ledger_apply(struct ledger *l, const struct event *e);
void ledger_forget(struct ledger *l,
		   uint16_t port);    /* all sockets on it, when the stream cannot know of their end */
void ledger_unlist(struct ledger *l); /* listeners were shut down: some may only be bound now */
void ledger_done(struct ledger *l);

/*
 * Compare with what the kernel lists now. Sockets of hidden ports (the kernel's choice, not listening) may be missing in
 * the ledger; with @lists_bound unset, TCP sockets that do not listen may be missing in the kernel's list. Differences
 * are written to @out, one a line. true: none.
 */
bool ledger_equals(const struct ledger *l, const struct net_list *kernel, bool lists_bound, FILE *out);

#endif
