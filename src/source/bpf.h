/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel side, loaded and attached: programs by the table of hooks, maps and counters by name. */
#ifndef SOURCE_BPF_H
#define SOURCE_BPF_H

#include <portlog/event.h>

#include "core/filter.h"
#include "source/hooks.h"

#define TRACER_NETNS_MAX 8
#define TRACER_BLIND_MAX 12

struct tracer_options {
	enum hook_set hooks;
	uint32_t ring_bytes;
	const struct filter_kernel *filter; /* NULL: everything */
	uint32_t netns[TRACER_NETNS_MAX];   /* inodes; n_netns 0: all */
	size_t n_netns;
	bool ephemeral;
	bool autobind;
	bool no_iterators;   /* do as if the kernel had none */
	uint32_t tree;       /* follow the tree of this process from its next exec on; 0: none */
	const char *cgroup2; /* where the v2 hierarchy is mounted; NULL: nowhere */
	const char *
		pin; /* folder of a BPF file system in which the hooks outlive the process; NULL: they do not */
	const char *stream; /* with pin: the name of the stream that begins, where none goes on */
	uint64_t pin_salt;  /* for tests: makes it another build */
};

/* Hooks that outlive the process. */
struct tracer_pinned {
	bool adopted;        /* they were there */
	char stream[24];     /* of the recorder that had them last */
	uint64_t ring;       /* the ring's name: a position in it means nothing in another */
	uint64_t sk_mask;    /* under which addresses of sockets may be kept on disk */
	uint32_t ring_bytes; /* of that ring */
	uint32_t own_pid;    /* of the recorder before */
	bool stale;          /* of another build or with other options: to be succeeded by a set of our own */
	uint64_t unread;     /* records that only another build could read: gone with its hooks */
	size_t incomplete; /* sets that somebody who was killed had left half made, or of another version: taken off */
};

struct tracer;

/*
 * Load and attach. 0; negative errno with a story and a remedy. Attached means seen: from its return on every event is
 * in the ring or counted as lost.
 */
int tracer_open(const struct tracer_options *o, struct tracer **ret);
struct tracer *tracer_close(struct tracer *t); /* NULL is fine; always returns NULL */

const char *tracer_hooks(const struct tracer *t);        /* "fexit", "tracepoint", "mixed" */
const char *const *tracer_blind(const struct tracer *t); /* NULL-terminated */
int tracer_ring_fd(const struct tracer *t);
const struct tracer_pinned *tracer_pinned(const struct tracer *t); /* NULL: they go with the process */
/*
 * A set as @o says beside @old, in the same folder; both see everything. It is not there for the next run before
 * tracer_ready(), which that is to adopt only when @old has been taken off. 0 or negative errno with a story.
 */
int tracer_succeed(struct tracer *old, const struct tracer_options *o, struct tracer **ret);
int tracer_ready(struct tracer *t);
void tracer_retire(struct tracer *old,
		   struct tracer *heir); /* take @old off: what it knew that goes on is @heir's */
void tracer_discard(struct tracer *t);   /* take it off, and close it */
/* From now on it is the ring of @stream, and we are its reader. 0 or negative errno with a story. */
int tracer_pinned_stream(struct tracer *t, const char *stream);
/* Take off what is pinned in @dir. 0; -ENOENT without a story: nothing is; -EBUSY: it is used; other negative errno. */
int tracer_unpin(const char *dir);
bool tracer_uses(const struct tracer *t, size_t row); /* is row @row of hooks[] attached? */

/*
 * Load and attach each row of hooks[] that has programs, alone, and take it off again. @each: 0, it works; -ENOENT, the
 * kernel has no such function or tracepoint; other negative errno, refused; all with a story. 0, or negative errno with a
 * story when none could be tried.
 */
int tracer_try_rows(const char *cgroup2, void (*each)(void *arg, size_t row, int error), void *arg);

/* The reader says that it will look again by itself. A full barrier: what is in the ring after false is found awake. */
void tracer_set_awake(struct tracer *t, bool awake);

/* Records that found no room so far, by kind; @failed: of those, calls that failed. */
uint64_t tracer_lost(const struct tracer *t, unsigned kind, bool failed);
uint64_t tracer_tracked_full(const struct tracer *t); /* sockets that found no room in the map */
uint64_t tracer_tree_full(const struct tracer *t);    /* processes that could not be followed */
uint64_t tracer_hidden(const struct tracer *t);       /* ephemeral binds counted and not told */
/* Runs of programs that the kernel skipped, because one was running on that processor; @each (or NULL): by program. */
uint64_t tracer_missed(const struct tracer *t, void (*each)(void *arg, const char *program, uint64_t missed),
		       void *arg);

/*
 * One pass over every open descriptor of every process: PL_SNAPSHOT and PL_OWNER records come out of the ring.
 * @owners: also of sockets known already. @between is called now and then so that the ring can be drained. 0; what
 * @between returned; -ENOTSUP without the iterator; other negative errno with a story.
 */
int tracer_iterate(struct tracer *t, bool owners, int (*between)(void *arg), void *arg);

/* The same over the sockets of the calling thread's network namespace that no file led to. */
int tracer_iterate_fileless(struct tracer *t, int (*between)(void *arg), void *arg);

/*
 * Who has socket @sk open (PL_WANTED_TRACKED: any tracked one): one call of @each for every descriptor. @pid not 0: only
 * that process is looked at; -ENOTSUP where the kernel cannot (before 6.1). As above.
 */
int tracer_owners(struct tracer *t, uint64_t sk, uint32_t pid,
		  int (*each)(void *arg, const struct pl_owner *row), void *arg);

/* Every entry of the map of tracked sockets; each bucket is copied whole, so what stays is found. 0 or negative errno. */
int tracer_tracked_all(struct tracer *t, int (*each)(void *arg, uint64_t sk, const struct pl_tracked *value),
		       void *arg);
int tracer_tracked_get(struct tracer *t, uint64_t sk, struct pl_tracked *ret); /* -ENOENT: not there */

/* Forget a socket that turned out to be gone, unless its address is another's by now. */
void tracer_untrack(struct tracer *t, uint64_t sk, uint64_t tracked_ns);
/* A port is free (no VRF's): whoever takes it without a bind has nothing to do with who had it last. */
void tracer_forget_lingering(struct tracer *t, uint32_t netns, bool udp, uint16_t port);
/* Every port on which something was left. 0, or what @each returned. */
int tracer_lingering_all(struct tracer *t, int (*each)(void *arg, const struct pl_port *port), void *arg);
void tracer_watch_lingering(struct tracer *t, bool watch); /* tell deaths on lingering ports: PL_HINT */

#endif
