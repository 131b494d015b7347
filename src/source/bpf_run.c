/* SPDX-License-Identifier: GPL-2.0-only */
/* A tracer while it runs: its counters, maps and iterators, whether they are our own or were pinned. */
#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "source/bpf_common.h"
#include "source/bpf_state.h"
#include "util/cleanup.h"
#include "util/fail.h"

#define TRACKED_BATCH 512

bool tracer_uses(const struct tracer *t, size_t row)
{
	return t->chosen[row];
}
const char *tracer_hooks(const struct tracer *t)
{
	return hooks_name(t->chosen);
}

const char *const *tracer_blind(const struct tracer *t)
{
	return t->blind;
}

int tracer_ring_fd(const struct tracer *t)
{
	return t->parts.ring;
}

void tracer_set_awake(struct tracer *t, bool awake)
{
	__atomic_store_n(&t->parts.bss->reader_awake, awake, __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

uint64_t tracer_lost(const struct tracer *t, unsigned kind, bool failed)
{
	const unsigned long long *counts = failed ? t->parts.bss->lost_failed : t->parts.bss->lost;

	return kind < PL_KIND_MAX ? __atomic_load_n(&counts[kind], __ATOMIC_RELAXED) : 0;
}

uint64_t tracer_tracked_full(const struct tracer *t)
{
	return __atomic_load_n(&t->parts.bss->tracked_full, __ATOMIC_RELAXED);
}

uint64_t tracer_tree_full(const struct tracer *t)
{
	return __atomic_load_n(&t->parts.bss->tree_full, __ATOMIC_RELAXED);
}

uint64_t tracer_hidden(const struct tracer *t)
{
	return __atomic_load_n(&t->parts.bss->hidden_binds, __ATOMIC_RELAXED);
}

uint64_t tracer_missed(const struct tracer *t, void (*each)(void *arg, const char *program, uint64_t missed),
		       void *arg)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < t->parts.n_programs; i++) {
		const struct program *p = &t->parts.programs[i];
		struct bpf_prog_info info = { 0 };
		__u32 len = sizeof(info);

		if (bpf_obj_get_info_by_fd(p->fd, &info, &len))
			continue;
		sum += info.recursion_misses;
		if (each && info.recursion_misses)
			each(arg, p->name, info.recursion_misses);
	}
	return sum;
}

static int program_fd(const struct tracer *t, const char *name)
{
	for (size_t i = 0; i < t->parts.n_programs; i++)
		if (!strcmp(t->parts.programs[i].name, name))
			return t->parts.programs[i].fd;
	return -1;
}

/* The iterator writes eight bytes for each row it tells, so that a read returns now and then and the ring is drained. */
static int iterate(const struct tracer *t, const char *name, int (*between)(void *arg), void *arg)
{
	char rows[2048];
	int link, fd, r, b;

	r = bpf_iterator_open(program_fd(t, name), name, 0, &link, &fd);
	if (r < 0)
		return r;
	do {
		r = (int)bpf_iterator_read(fd, rows, sizeof(rows));
		b = r >= 0 ? between(arg) : 0;
	} while (r > 0 && !b);
	close(fd);
	close(link);
	return b ? b : r;
}

int tracer_iterate(struct tracer *t, bool owners, int (*between)(void *arg), void *arg)
{
	int r;

	if (!is_chosen(t, "snapshot", HOOKS_ANY))
		return -ENOTSUP;
	t->parts.bss->tell_owners = owners;
	r = iterate(t, "each_file", between, arg);
	t->parts.bss->tell_owners = 0;
	return r;
}

int tracer_iterate_fileless(struct tracer *t, int (*between)(void *arg), void *arg)
{
	int r;

	if (!is_chosen(t, "fileless", HOOKS_ANY))
		return -ENOTSUP;
	r = iterate(t, "each_udp", between, arg);
	return r ? r : iterate(t, "each_tcp", between, arg);
}

int tracer_owners(struct tracer *t, uint64_t sk, uint32_t pid,
		  int (*each)(void *arg, const struct pl_owner *row), void *arg)
{
	struct pl_owner rows[64];
	size_t have = 0;
	int link, fd, r;
	ssize_t n;

	if (!is_chosen(t, "snapshot", HOOKS_ANY))
		return -ENOTSUP;
	r = bpf_iterator_open(program_fd(t, "each_file"), "each_file", pid, &link, &fd);
	if (r < 0)
		return r;
	t->parts.bss->wanted_sk = sk;
	while ((n = bpf_iterator_read(fd, (char *)rows + have, sizeof(rows) - have)) > 0 && !r) {
		have += (size_t)n;
		for (size_t i = 0; i < have / sizeof(rows[0]) && !r; i++)
			r = each(arg, &rows[i]);
		/* A read may end in the middle of a row. */
		memmove(rows, (char *)rows + have / sizeof(rows[0]) * sizeof(rows[0]),
			have % sizeof(rows[0]));
		have %= sizeof(rows[0]);
	}
	t->parts.bss->wanted_sk = 0;
	close(fd);
	close(link);
	return n < 0 ? (int)n : r;
}

int tracer_tracked_all(struct tracer *t, int (*each)(void *arg, uint64_t sk, const struct pl_tracked *value),
		       void *arg)
{
	auto_free uint64_t *keys = calloc(TRACKED_BATCH, sizeof(*keys));
	auto_free struct pl_tracked *values = calloc(TRACKED_BATCH, sizeof(*values));
	int map = t->parts.tracked;
	__u32 at = 0, n;
	bool first = true, last;
	int r;

	if (!keys || !values)
		return fail(-ENOMEM, "read the map of tracked sockets");
	do {
		n = TRACKED_BATCH;
		r = bpf_map_lookup_batch(map, first ? NULL : &at, &at, keys, values, &n, NULL);
		last = r < 0 && errno == ENOENT;
		if (r < 0 && !last)
			return fail(-errno, "read the map of tracked sockets");
		for (__u32 i = 0; i < n; i++) {
			r = each(arg, keys[i], &values[i]);
			if (r)
				return r;
		}
		first = false;
	} while (!last);
	return 0;
}

int tracer_tracked_get(struct tracer *t, uint64_t sk, struct pl_tracked *ret)
{
	return bpf_map_lookup_elem(t->parts.tracked, &sk, ret) ? -errno : 0;
}

void tracer_untrack(struct tracer *t, uint64_t sk, uint64_t tracked_ns)
{
	struct pl_tracked now;

	if (!tracer_tracked_get(t, sk, &now) && now.since_ns == tracked_ns)
		(void)bpf_map_delete_elem(t->parts.tracked, &sk);
}

void tracer_forget_lingering(struct tracer *t, uint32_t netns, bool udp, uint16_t port)
{
	struct pl_port key = { .netns = netns, .port = port, .proto = udp ? IPPROTO_UDP : IPPROTO_TCP };

	(void)bpf_map_delete_elem(t->parts.lingering, &key);
}

int tracer_lingering_all(struct tracer *t, int (*each)(void *arg, const struct pl_port *port), void *arg)
{
	struct pl_port key, next;
	int r = bpf_map_get_next_key(t->parts.lingering, NULL, &next) ? 1 : 0, result = 0;

	/* One that is gone meanwhile begins it anew: the caller sees a port twice at worst. */
	for (unsigned n = 0; !r && !result && n < 4 * LINGERING_MAX; n++) {
		key = next;
		result = each(arg, &key);
		r = bpf_map_get_next_key(t->parts.lingering, &key, &next) ? 1 : 0;
	}
	return result;
}

void tracer_watch_lingering(struct tracer *t, bool watch)
{
	__atomic_store_n(&t->parts.bss->watch_lingering, watch, __ATOMIC_SEQ_CST);
}
