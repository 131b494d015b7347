/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which programs see which event: the table, and the choice made from it for the running kernel. Sets mix row by row,
 * because every program keys by the address of the socket.
 */
#ifndef SOURCE_HOOKS_H
#define SOURCE_HOOKS_H

#include <stdbool.h>
#include <stddef.h>

enum hook_set { HOOKS_ANY, HOOKS_FEXIT, HOOKS_TRACEPOINT, N_HOOK_SETS };

#define HOOK_PROGRAMS_MAX 5

/* Rows of one event stand together, best first; the first that the kernel has is taken. */
struct hook {
	const char *event;
	enum hook_set set; /* HOOKS_ANY: in every set */
	/* Names of programs; "name:category/tracepoint" attaches one at another tracepoint too. NULL-terminated. */
	const char *programs[HOOK_PROGRAMS_MAX + 1];
	bool required; /* of the event: without any row of it nothing runs */
	/* Last row of an event: what is not seen when no row can be had; NULL: nothing is missed. */
	const char *without;
	const char *blind; /* what this row does not see even when it runs; NULL: nothing */
};

extern const struct hook hooks[];
extern const size_t n_hooks;

/* Can the program called @name be had? Asked for each program of a row. */
typedef bool hook_available(void *arg, const char *name);

/*
 * Choose rows for @set (HOOKS_ANY: the best of each event): chosen[i] for hooks[i]. 0; -ENOTSUP when a required event
 * has no row, *@ret_missing names it.
 */
int hooks_choose(enum hook_set set, hook_available *available, void *arg, bool *chosen,
		 const char **ret_missing);

/* "fexit", "tracepoint" or "mixed", by the rows chosen. */
const char *hooks_name(const bool *chosen);

/* What the chosen rows cannot see; at most @max texts and a NULL. Returns how many. */
size_t hooks_blind(const bool *chosen, const char **ret, size_t max);

/* Is the program called @name in rows that are not required only? */
bool hook_is_optional(const char *name);

/* "name" of "name:category/tracepoint", its length. */
size_t hook_program_len(const char *spec);

#endif
