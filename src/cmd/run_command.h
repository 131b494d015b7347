/* SPDX-License-Identifier: GPL-2.0-only */
/* The command that `run` runs: an untouched child, made early and held until it is let go. */
#ifndef CMD_RUN_COMMAND_H
#define CMD_RUN_COMMAND_H

#include <stdbool.h>
#include <sys/types.h>

#define STATUS_NOT_EXECUTABLE 126 /* as a shell says it */
#define STATUS_NOT_FOUND 127
#define STATUS_SIGNAL 128 /* and the signal's number */

struct command {
	char **argv; /* NULL-terminated, at least one word */
	pid_t pid;   /* 0: none */
	int hold_fd; /* closed: it ends; a byte: it goes; -1: it has gone */
	int error_fd;
};

/* Who the caller of sudo is; false: portlog was not started through it, or by root itself. */
struct caller {
	uid_t uid;
	gid_t gid;
	const char *name; /* or NULL */
};
bool command_caller(struct caller *ret);

/*
 * 0; or what a shell would end with if @word cannot be run, and it is said why on standard error, as a shell says it.
 * What cannot be known before is left to exec.
 */
int command_check(const char *word);

/* Make the child; it runs as @caller (NULL: as it is). 0 or negative errno with a story. */
int command_hold(struct command *c, const struct caller *caller);

/* Let it execute its program. 0; or the status of a shell, and it is said why. */
int command_go(struct command *c);
void command_drop(struct command *c); /* it never ran: end it and wait */

#endif
