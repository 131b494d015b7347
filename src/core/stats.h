/* SPDX-License-Identifier: GPL-2.0-only */
/* A run in figures: the pipeline takes them, others show them. */
#ifndef CORE_STATS_H
#define CORE_STATS_H

#include "core/record.h"

/* The state of a run in figures; counts are since its start. */
struct pipeline_stats {
	uint64_t held[PROTO_MPTCP + 1]; /* sockets that hold a port, by protocol */
	uint64_t told;                  /* events, bookkeeping not counted */
	uint64_t failed;                /* of these: binds and listens that did not work */
	uint64_t lost[N_LOST];          /* events, by place */
	uint64_t ephemeral;             /* binds to port 0, counted and not told */
	uint64_t refused;               /* sockets that found no room in the ledger */
	uint64_t bad_records;           /* of the wrong size or kind */
	uint64_t processes;             /* kept */
	uint64_t ring_used, ring_bytes;
	uint64_t lag_ns; /* at most, since the last look: from a call to its event */
};

#endif
