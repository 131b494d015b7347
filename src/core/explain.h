/* SPDX-License-Identifier: GPL-2.0-only */
/* Why a call failed and what to do: facts in, a stable code and two sentences out. Pure. */
#ifndef CORE_EXPLAIN_H
#define CORE_EXPLAIN_H

#include "core/record.h"

struct explanation {
	const char *code; /* stable word: reason_code of events.md, never NULL once explained */
	char reason[320]; /* a clause for people, no full stop: "held by nginx[53] (nginx.service), listening for 45 ms" */
	char hint[320]; /* what to do: "systemctl stop nginx, or another port"; empty: nothing known */
};

/* Whose processes were looked at, to find who has a socket open. */
enum reach {
	REACH_ALL,
	REACH_NEEDS_ROOT,   /* the caller's own */
	REACH_NEEDS_PTRACE, /* root's without CAP_SYS_PTRACE: not all */
	REACH_NEEDS_FILES,  /* as many as files could be opened */
	REACH_OF_PIDNS,     /* those of portlog's own pid namespace */
};

/* Facts of the machine that explanations use; what is unknown is -1. */
struct explain_facts {
	int unprivileged_port_start; /* ip_unprivileged_port_start of the record's namespace */
	uint64_t now_ns;             /* boot clock */
	bool fresh;                  /* who has what open was looked up for all holders, just now */
	enum reach reach;            /* ... as far as that could be */
};

/*
 * Rank @holders (best first, in place) by the kernel's own conflict rules for the failed call in @rec (semantics.md
 * T7), set their modifiers, and drop those that cannot conflict. Returns how many are left.
 */
size_t explain_rank(const struct record *rec, struct holder *holders, size_t n);

/* Choose rec->reason from the errno and the holders. */
enum reason explain_reason(const struct record *rec, const struct holder *holders, size_t n,
			   const struct explain_facts *facts);

/* Fill @ret for the failed call in @view (holders ranked, rec->reason chosen). */
void explain(const struct view *view, const struct explain_facts *facts, struct explanation *ret);

/*
 * Where a process belongs, raw: "nginx.service", "docker:shop-api-1", "pod:shop/api-0"; "" when nothing is known or it
 * is a login session. Cut at a whole character. Returns @out.
 */
const char *explain_where(const struct process *p, char *out, size_t size);

/* For whom a port is held, raw: "web.socket", "docker:shop-web-1"; "" when for nobody else. Returns @out. */
const char *explain_for(const struct bound_by *b, char *out, size_t size);

/* What the socket of a holder does: "bound but not listening: ss -l and lsof do not show it". Returns @out. */
const char *explain_doing(const struct holder *h, uint64_t now_ns, char *out, size_t size);

const char *holder_kind_name(enum holder_kind kind); /* "listener", "time-wait" ... */

#endif
