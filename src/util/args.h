/* SPDX-License-Identifier: GPL-2.0-only */
/* Option tables: parsing (getopt_long), help and completion all come from the rows. */
#ifndef UTIL_ARGS_H
#define UTIL_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum arg_type {
	ARG_FLAG,     /* bool: true */
	ARG_U32,      /* uint32_t, decimal */
	ARG_SIZE,     /* uint64_t bytes: 8388608, 8M, 512K */
	ARG_DURATION, /* uint64_t ns: 30s, 250ms, 5m, 2h, 1d; a bare number is seconds */
	ARG_STRING,   /* const char * */
	ARG_CHOICE,   /* int: index in choices, "a|b|c" */
	ARG_CALL,     /* set() is called with the options struct and the text */
};

struct arg {
	char letter;      /* 0: none */
	const char *name; /* long name; NULL ends the table */
	enum arg_type type;
	size_t offset;     /* in the options struct */
	const char *value; /* what the help calls the value; choices for ARG_CHOICE; NULL for a flag */
	const char *help;
	/* ARG_CALL: 0 or -EINVAL with a story; text NULL for a flag */
	int (*set)(void *opts, const char *text);
	bool flag;        /* ARG_CALL takes no value */
	bool hidden;      /* works, but is in no help */
	const char *bare; /* ARG_CHOICE, ARG_STRING: what the option says without a value; NULL: it needs one */
};

/*
 * Parse argv[1..] with the rows of up to two tables (@common may be NULL) into @opts (same struct for both).
 * Options may stand among the operands until "--". Operands stay in order: *ret_operands points at *ret_n of them
 * inside argv. 0; -EINVAL with a story ("unknown option '--prot'") and a remedy ("did you mean --port?"); ARGS_HELP when
 * it came to --help or -h, which every table has.
 */
#define ARGS_HELP 1
int args_parse(int argc, char **argv, const struct arg *args, const struct arg *common, void *opts,
	       char ***ret_operands, int *ret_n);

/* The same, but the first operand ends the options. */
int args_parse_leading(int argc, char **argv, const struct arg *args, const struct arg *common, void *opts,
		       char ***ret_operands, int *ret_n);

/* The rows as help lines. */
void args_help(FILE *out, const struct arg *args);

/* The word of @words (NULL-terminated) nearest to @word, or NULL when none is near. */
const char *nearest_word(const char *word, const char *const *words);

#endif
