/* SPDX-License-Identifier: GPL-2.0-only */
/* What the parts of `history` share. */
#ifndef CMD_HISTORY_H
#define CMD_HISTORY_H

#include "cmd/common_opts.h"
#include "store/store.h"

struct history_opts {
	struct common_opts common; /* first */
	const char *store;
	const char *since, *until, *boot, *at;
	uint32_t lines; /* -n; 0: all */
	bool follow, reverse, intervals, failures;
};

/* What is asked for. */
struct history {
	const struct history_opts *opts;
	struct store *store;
	struct filter *filter;
	struct filter_kernel *kernel;
	const uint8_t *ports; /* of kernel; NULL: all */
	struct sink_options sink;
	int64_t now_ns;       /* wall clock when it was asked */
	int64_t after, until; /* ids: after < id <= until */
};

/* "2026-11-22 03:12:07"; @size at least 32. In UTC with --time utc. Returns @out. */
const char *history_moment(const struct history *h, int64_t wall_ns, char *out, size_t size);

int history_at(struct history *h);        /* --at: exit status, or negative errno with a story */
int history_intervals(struct history *h); /* --intervals: the same */

#endif
