/* SPDX-License-Identifier: GPL-2.0-only */
/* What the parts of explain share, private to src/core/explain*.c: the matter at hand, and text of a fixed size. */
#ifndef CORE_EXPLAIN_MATTER_H
#define CORE_EXPLAIN_MATTER_H

#include "core/explain.h"

/* Text of a fixed size that never ends in half a character. */
struct clause {
	char *text;
	size_t size;
	size_t len;
};

struct clause clause_begin(char *text, size_t size);
void clause_say(struct clause *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* One failed call and all that is known about it. */
struct matter {
	const struct view *view;
	const struct record *rec;
	const struct holder *first; /* NULL: none */
	const struct explain_facts *facts;
	struct clause reason;
	struct clause hint;
};

static inline bool matter_has_option(const struct matter *m, uint32_t option)
{
	return m->rec->has_options && (m->rec->options & option);
}

/* Nothing in @name (may be NULL) means anything to a shell, and no command takes it for an option. */
bool is_shell_plain(const char *name);

/* A service that can be named in a command: no login session, no user's manager, no scope or slice. NULL: none. */
const char *service_of(const struct process *p);

/* Into the hint: how to end whoever has the first holder's socket open. */
void matter_say_stop(struct matter *m);

void explain_holder(struct matter *m);

#endif
