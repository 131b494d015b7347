/* SPDX-License-Identifier: GPL-2.0-only */
/* Bytes from the ring to values; distrusts size, kind and strings. Pure. */
#ifndef CORE_DECODE_H
#define CORE_DECODE_H

#include <portlog/event.h>

#include "core/bucket.h"
#include "core/process.h"
#include "core/record.h"

/* One record of the ring, as what it says it is; exactly one pointer is set. All borrow the ring's memory. */
struct decoded {
	const struct pl_event *event; /* also of a failure */
	const struct pl_failure *failure;
	const struct pl_process *process;
};

#define DECODE_BAD 1 /* wrong size or kind: to be counted and left out */
int decode(const void *data, size_t len, struct decoded *ret);

/* Fill @ret from @e: everything but seq, wall time and what the ledger knows. */
void decode_event(const struct pl_event *e, struct record *ret);

/* Fill @ret from @h, a candidate for what is in the way on a socket of protocol @proto; kind by state alone. */
void decode_holder(const struct pl_holder *h, enum proto proto, struct holder *ret);

/* Fill what @p lacks. 0 or -ENOMEM; a record whose lengths are wrong gives a process without those texts. */
int decode_process(const struct pl_process *p, struct process *ret);

/* One row of an inventory: 0 with *ret in the bytes of @data, or DECODE_BAD. */
int decode_row(const void *data, size_t len, const struct pl_row **ret);
/* Fill @ret but for times, as a snapshot; its kind is by what the socket is, as far as that alone tells. */
void decode_row_record(const struct pl_row *row, struct record *ret);
bool decode_row_bucket(const struct pl_row *row, struct port_bucket *ret); /* false: the socket is in none */

/* Since when a socket is tracked, as (time, precision), by its flags and the start of who took the port. */
void decode_since(uint32_t flags, uint64_t since_ns, uint64_t start_ns, uint64_t *ret_ns,
		  uint8_t *ret_precision);
void decode_key(const struct pl_event *e, struct process_key *ret);
enum proto decode_proto(uint16_t ipproto, uint32_t flags);
uint32_t decode_options(uint32_t flags, uint8_t family, const uint8_t addr[16]);

#endif
