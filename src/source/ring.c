/* SPDX-License-Identifier: GPL-2.0-only */
/* The reader's end of a BPF ring buffer. */
#include "source/ring.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "util/fail.h"

#define RELEASE_EVERY 64 /* records between two stores of the position: the producers read that cache line */

struct ring {
	int fd;
	size_t size;
	size_t page;
	uint64_t read;            /* our position */
	bool held;                /* what was read stays until it is released */
	uint64_t *consumer;       /* what is released to the producers; one page, writable */
	const uint64_t *producer; /* theirs; one page, then the data, then the data again */
	size_t mapped; /* of the data: what lies behind its end is the beginning, for a record that wraps */
	const unsigned char *data;
};

struct ring *ring_close(struct ring *r)
{
	if (!r)
		return NULL;
	if (r->consumer)
		munmap(r->consumer, r->page);
	if (r->producer)
		munmap((void *)r->producer, r->page + r->mapped);
	free(r);
	return NULL;
}

int ring_open(int map_fd, size_t size, struct ring **ret)
{
	struct ring *r = calloc(1, sizeof(*r));
	void *map;

	if (!r)
		return fail(-ENOMEM, "map the ring buffer");
	r->fd = map_fd;
	r->size = size;
	r->page = (size_t)sysconf(_SC_PAGESIZE);
	r->mapped = size + (size < RING_RECORD_MAX ? size : RING_RECORD_MAX);
	map = mmap(NULL, r->page, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);
	if (map != MAP_FAILED) {
		r->consumer = map;
		map = mmap(NULL, r->page + r->mapped, PROT_READ, MAP_SHARED, map_fd, (off_t)r->page);
	}
	if (map == MAP_FAILED) {
		int error = -errno;

		ring_close(r);
		return fail(error, "map the ring buffer");
	}
	r->producer = map;
	r->data = (const unsigned char *)map + r->page;
	r->read = ring_released(r);
	*ret = r;
	return 0;
}

/* What can be seen of a record of @len bytes at @head. */
static size_t seen_of(const struct ring *r, const unsigned char *head, size_t len)
{
	size_t most = r->mapped - (size_t)(head - r->data) - BPF_RINGBUF_HDR_SZ;

	return len < most ? len : most;
}

int ring_drain(struct ring *r, size_t max, int (*each)(void *arg, const void *data, size_t len), void *arg,
	       size_t *ret_n)
{
	uint64_t end = ring_produced(r);
	size_t n = 0;
	int result = 0;

	while (r->read < end && n < max && !result) {
		const unsigned char *head = r->data + (r->read & (r->size - 1));
		uint32_t word = __atomic_load_n((const uint32_t *)head, __ATOMIC_ACQUIRE);
		uint32_t len = word & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);

		if (word & BPF_RINGBUF_BUSY_BIT)
			break;
		r->read += ring_record_size(len);
		if (!(word & BPF_RINGBUF_DISCARD_BIT)) {
			result = each(arg, head + BPF_RINGBUF_HDR_SZ, seen_of(r, head, len));
			n++;
		}
		if (!r->held && n % RELEASE_EVERY == 0)
			ring_release(r, r->read);
		if (r->read >= end)
			end = ring_produced(r);
	}
	if (!r->held)
		ring_release(r, r->read);
	*ret_n = n;
	return result;
}

size_t ring_record_size(size_t len)
{
	return (len + BPF_RINGBUF_HDR_SZ + 7) & ~(size_t)7;
}

bool ring_is_empty(const struct ring *r)
{
	return __atomic_load_n(r->producer, __ATOMIC_SEQ_CST) == r->read;
}

uint64_t ring_position(const struct ring *r)
{
	return r->read;
}

void ring_hold(struct ring *r, uint64_t position)
{
	r->held = true;
	if (position > r->read && position <= ring_produced(r))
		r->read = position;
}

void ring_release(struct ring *r, uint64_t position)
{
	__atomic_store_n(r->consumer, position, __ATOMIC_RELEASE);
}

uint64_t ring_released(const struct ring *r)
{
	return __atomic_load_n(r->consumer, __ATOMIC_RELAXED);
}

uint64_t ring_produced(const struct ring *r)
{
	return __atomic_load_n(r->producer, __ATOMIC_ACQUIRE);
}

int ring_fd(const struct ring *r)
{
	return r->fd;
}
