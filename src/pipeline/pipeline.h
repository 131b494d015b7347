/* SPDX-License-Identifier: GPL-2.0-only */
/* The one line that records flow down: kernel hooks, decode, ledger, enrich, filter, sink. */
#ifndef PIPELINE_PIPELINE_H
#define PIPELINE_PIPELINE_H

#include "core/filter.h"
#include "core/stats.h"
#include "sink/sink.h"
#include "source/hooks.h"

/* Who looks after the run, from its loop: nothing here may wait. Each function may be NULL. */
struct pipeline_keeper {
	void (*synced)(void *arg,
		       const struct pipeline_stats *s); /* once: hooks are on, the state is complete */
	void (*look)(void *arg, const struct pipeline_stats *s); /* every look_ns, and at the end */
	void (*reopen)(void *arg);                               /* SIGHUP, which then does not end the run */
	void (*figures)(void *arg);  /* SIGUSR1: what else there is to say, after the run's own */
	void (*stopping)(void *arg); /* once: the run ends; what is left is told and written after it */
	void (*say)(void *arg, const char *text); /* what whoever started the run should know */
	void *arg;
	uint64_t look_ns;
};

struct pipeline_config {
	const struct filter *filter;
	const struct filter_kernel *kernel; /* NULL: nothing is judged in the kernel */
	const struct sink_ops *sink;
	const struct sink_options *sink_options;
	enum hook_set hooks;
	uint32_t ring_bytes;
	uint64_t count;       /* stop after so many events (bookkeeping not counted); 0: no limit */
	uint64_t duration_ns; /* stop after so long; 0: no limit */
	/*
	 * Not 0: a process that waits to execute a program. Told is what it does from then on, and whoever comes from it
	 * (record.tree), and of all others what fails. At the end a snapshot row for each port that the tree still holds.
	 */
	uint32_t tree;
	int until_fd; /* not 0: no signal but the end of this pipe ends the run, once all that came before it is told */
	const struct pipeline_keeper *keeper; /* NULL: nobody */
	/*
	 * Not NULL: a folder of a BPF file system where the hooks and the ring live on when the run ends, however it does.
	 * The next run tells what is in the ring from where this one's sink has kept it (sink_ops.kept); @history is where
	 * its stream is read from then.
	 */
	const char *pin;
	const char *history;
	uint64_t pin_salt; /* for tests: as if another build had pinned */
	bool snapshot;
	bool ephemeral;
	bool autobind;
	bool no_iterators; /* for tests: read what was there before from /proc */
	bool verbose;      /* what is used and what is lost, on standard error */
};

/*
 * Trace until a signal, the count or the duration. 0; PIPELINE_SHORT when the duration came before the count; -EPIPE
 * when the reader has gone; other negative errno with a story.
 */
#define PIPELINE_SHORT 1
int pipeline_run(const struct pipeline_config *config);

#endif
