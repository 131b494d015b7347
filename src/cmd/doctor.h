/* SPDX-License-Identifier: GPL-2.0-only */
/* What doctor found, private to src/cmd/doctor*.c: checks fill findings, doctor.c shows them. */
#ifndef CMD_DOCTOR_H
#define CMD_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>

#include "source/hooks.h"

#define DOCTOR_FINDINGS_MAX 64
#define DOCTOR_HOOKS_MAX 40

enum level { LEVEL_OK, LEVEL_WARN, LEVEL_FAIL, N_LEVELS };

/* One line: what was looked at, what it is, and if it is not well what is lost by it and what to do. */
struct finding {
	enum level level;
	char name[32];
	char text[256];
	char lost[256]; /* empty: nothing */
	char fix[192];  /* a command, or else a sentence; empty: nothing to be done */
};

/* What became of a row of hooks[]. */
enum hook_state { HOOK_UNTRIED, HOOK_NONE, HOOK_WORKS, HOOK_ABSENT, HOOK_REFUSED };

struct doctor {
	struct finding findings[DOCTOR_FINDINGS_MAX];
	size_t n;
	struct {
		enum hook_state state;
		int error; /* errno, positive: why it is refused */
		bool chosen;
	} hooks[DOCTOR_HOOKS_MAX];
	bool untried;       /* for want of privilege nothing was loaded */
	bool runs;          /* the tracer was loaded and attached */
	char using[16];     /* "fexit", "tracepoint", "mixed" */
	char cgroup2[4096]; /* where it is mounted; empty: nowhere */
};

/* A finding to be filled in; past the limit one that is not shown. */
struct finding *finding_add(struct doctor *d, enum level level, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void finding_more(struct finding *f, const char *fmt, ...)
	__attribute__((format(printf, 2, 3))); /* of the text */
void finding_lost(struct finding *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void finding_fix(struct finding *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void doctor_look_at_system(struct doctor *d); /* kernel, privileges, file systems, modules, features */
void doctor_look_at_hooks(struct doctor *d);  /* loads, attaches and takes off */

#endif
