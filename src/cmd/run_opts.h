/* SPDX-License-Identifier: GPL-2.0-only */
/* The options of `run`. */
#ifndef CMD_RUN_OPTS_H
#define CMD_RUN_OPTS_H

#include <stdbool.h>
#include <stdint.h>

#include "util/args.h"

struct run_opts {
	bool json;
	bool verbose;
	bool quiet;
	bool try_only;    /* run it untraced when it cannot be traced */
	const char *log;  /* NULL: standard error */
	const char *sudo; /* NULL: what is found */
	int hooks;        /* index in RUN_HOOKS */
	int args;         /* enum args_mode */
	bool hints;
	uint64_t ring_bytes;
	uint32_t follow; /* this is the tracing half, and follows that process; 0: it is not */
};

#define RUN_HOOKS "auto|fexit|tracepoint"
#define RUN_ARGS "masked|full|none"

extern const struct arg run_args[];

#endif
