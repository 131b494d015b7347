/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The reader's end of a BPF ring buffer. Our own and not libbpf's, because a reader that naps must know whether the
 * ring is empty, not only that nothing is ready (a record under way is not empty), and because what was read may have to
 * stay until it is on disk. Layout: linux/bpf.h and Documentation/bpf/ringbuf.rst.
 */
#ifndef SOURCE_RING_H
#define SOURCE_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ring;

#define RING_RECORD_MAX 65536 /* bytes; the end of a longer one that wraps is not handed over */

int ring_open(int map_fd, size_t size, struct ring **ret); /* 0 or negative errno with a story */
struct ring *ring_close(struct ring *r);                   /* NULL is fine; always returns NULL */

/*
 * Hand at most @max finished records to @each, in order. Stops early when @each returns nonzero, which is returned; the
 * record it was given is consumed. *ret_n: how many were handed over.
 */
int ring_drain(struct ring *r, size_t max, int (*each)(void *arg, const void *data, size_t len), void *arg,
	       size_t *ret_n);

size_t ring_record_size(size_t len);      /* what a record of @len bytes takes, with its header */
bool ring_is_empty(const struct ring *r); /* no record to read, not even one under way */
uint64_t ring_position(
	const struct ring *r); /* read so far, bytes since the ring was made; in @each: with its record */
uint64_t ring_produced(const struct ring *r); /* of the producer */

/*
 * From now on what was read takes up room until ring_release(): then a reader that is killed has lost nothing, the next
 * one reads on from what was released. What lies before @position is known to the caller and not read again.
 */
void ring_hold(struct ring *r, uint64_t position);
void ring_release(struct ring *r, uint64_t position);
uint64_t ring_released(const struct ring *r); /* what the producers see */
int ring_fd(const struct ring *r);            /* to sleep on with poll(2) */

#endif
