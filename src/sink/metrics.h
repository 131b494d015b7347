/* SPDX-License-Identifier: GPL-2.0-only */
/* The recorder in figures, as a file in Prometheus' text format: for node_exporter's textfile collector, or any reader. */
#ifndef SINK_METRICS_H
#define SINK_METRICS_H

#include <pthread.h>

#include "core/stats.h"
#include "sink/writer.h"

#define METRICS_NS (15 * 1000000000ull) /* between two files */

/* From the loop to the one who writes the file. Begins as zeroes. */
struct metrics_board {
	pthread_mutex_t lock;
	struct pipeline_stats stats;
	bool valid;
};

/* The loop: how it is now. */
void metrics_show(struct metrics_board *board, const struct pipeline_stats *stats);

/* sink_options.arg of sink_metrics, which wants failures alone. What is pointed at stays for ever. */
struct metrics_options {
	const char *path;  /* copied */
	const char *store; /* of the history; copied */
	struct metrics_board *board;
	const struct writer_sink *sinks; /* name and gauge of each are kept */
	size_t n;
};

extern const struct sink_ops sink_metrics;

#endif
