/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The options that commands share: what is shown and how, and the shorthands for filters. A command's options struct
 * begins with struct common_opts and its form says `.common = common_args`.
 */
#ifndef CMD_COMMON_OPTS_H
#define CMD_COMMON_OPTS_H

#include "core/filter.h"
#include "sink/sink.h"
#include "util/args.h"

enum output { OUTPUT_TABLE, OUTPUT_WIDE, OUTPUT_JSON };
enum color_when { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER };

struct common_opts {
	int output;         /* enum output */
	const char *fields; /* -F, NULL: the usual ones */
	bool no_header;
	bool tcp, udp, ipv4, ipv6;
	const char *netns;
	int time; /* enum time_style */
	bool quiet;
	unsigned verbose; /* how often -v was given */
	int args;         /* enum args_mode */
	bool hints;
	int color; /* enum color_when */
};

extern const struct arg common_args[];

/*
 * The filter of the operands (words of the language, joined by spaces) and of the shorthand options; @failed_only adds
 * `failed`. 0; -ENOMEM; -EINVAL with a story, and a caret as the remedy. *ret is never NULL on success.
 */
int common_filter(const struct common_opts *opts, bool failed_only, int argc, char **argv,
		  struct filter **ret);

/*
 * How to write to @fd: terminal, colour, width, -F. 0; -ENOMEM; -EINVAL with a story when -F names no field.
 * ret->only is allocated: free((void *)ret->only).
 */
int common_sink(const struct common_opts *opts, int fd, struct sink_options *ret);

/* What could not be looked at, a line each to standard error; @texts is NULL-terminated. */
void common_blind_say(const char *const *texts);

/* Which namespace is our own, and much else, comes from /proc: without it nothing would be found, and no word said. */
int common_needs_proc(void);

#endif
