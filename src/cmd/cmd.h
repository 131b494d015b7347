/* SPDX-License-Identifier: GPL-2.0-only */
/* A subcommand is a form to fill in. To add one: src/cmd/x.c ending in `const struct cmd cmd_x`, and X(x) here. */
#ifndef CMD_CMD_H
#define CMD_CMD_H

#include <stdbool.h>
#include <stddef.h>

#include "util/args.h"

#define COMMANDS(X) X(trace) X(list) X(why) X(run) X(wait) X(record) X(history) X(boot) X(doctor)

#define EXIT_NO 1 /* the answer is no */
#define EXIT_USAGE 2
#define EXIT_CANNOT 3 /* cannot run here */

struct cmd {
	const char *name;
	const char *alias;    /* or NULL */
	const char *synopsis; /* after "portlog name" */
	const char *summary;  /* one line */
	const char *examples; /* lines shown first in --help; the first of them also in portlog --help */
	const char *status;   /* what the exit status means, lines; NULL: as for most */
	bool takes_command;   /* its first operand ends the options: what follows is another program's */
	const struct arg *args;
	const struct arg *common; /* or NULL */
	size_t opts_size;
	void (*defaults)(void *opts); /* or NULL: zeroes */
	/* Exit status, or negative errno with a story. -EINVAL is a usage error. */
	int (*run)(const void *opts, int argc, char **argv);
};

#define CMD_DECLARE(x) extern const struct cmd cmd_##x;
COMMANDS(CMD_DECLARE)
#undef CMD_DECLARE

#endif
