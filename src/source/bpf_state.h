/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of the tracer share; private to bpf.c (makes it), bpf_pinned.c (pins it) and bpf_run.c (uses it). */
#ifndef SOURCE_BPF_STATE_H
#define SOURCE_BPF_STATE_H

#include "portlog.skel.h"
#include "source/bpf.h"
#include "source/bpf_pin.h"

#define LINKS_MAX 40
#define ROWS_MAX 40
#define NAME_LEN 64 /* of a program */
#define REFUSED_MAX 8
#define PROGRAMS_MAX 64
#define LINGERING_MAX 16384 /* entries of the map */

struct program {
	char name[NAME_LEN];
	int fd;
};

/* What is used of a set of hooks while it runs: of the skeleton, or of one that was pinned. */
struct parts {
	struct portlog_bpf__bss *bss;
	size_t bss_size; /* mapped by us; 0: it is the skeleton's */
	int ring, tracked, known, lingering;
	struct program programs[PROGRAMS_MAX];
	size_t n_programs;
	int links[LINKS_MAX]; /* of a set that was pinned: so the hooks stay on as long as somebody reads */
	size_t n_links;
};

struct tracer {
	struct portlog_bpf *skel; /* NULL: the set was pinned by another process */
	struct parts parts;
	struct pin_set *pin;     /* NULL: it goes with the process */
	struct pin_set *foreign; /* of another build, which this one cannot read; NULL: none */
	struct tracer_pinned pinned;
	int lock_fd;            /* of the folder of pins; -1: none */
	struct kernel_btf *btf; /* only while opening */
	int small_btf_fd;       /* the part of it that our programs name; -1: libbpf looks by itself */
	struct bpf_link *links[LINKS_MAX];
	size_t n_links;
	bool chosen[ROWS_MAX];
	const char *blind[TRACER_BLIND_MAX + 1];
	int cgroup_fd;
	bool autobind; /* ports taken without bind are asked for */
	bool no_iterators;
	bool tree; /* that of a process is followed */
	/* Programs that the kernel did not take, though it seems to have all for them. */
	char refused[REFUSED_MAX][NAME_LEN];
	size_t n_refused;
	bool only_required; /* it refused more than that: rows that are not required are given up */
	bool fexit_refused; /* probed: the host does not take fexit programs */
};

/* ---- bpf.c ---- */
struct tracer *tracer_new(void); /* NULL: out of memory */
int tracer_make(struct tracer *t,
		const struct tracer_options *o); /* load and attach; errors as tracer_open() */
void blind_find(struct tracer *t);
bool is_chosen(const struct tracer *t, const char *event, enum hook_set set);
bool needs_cgroup(const struct tracer *t);
bool is_whole_hierarchy(int fd);              /* of cgroups, that @fd is a folder of */
const void *programs_bytes(size_t *ret_size); /* the programs as this build has them */

/* ---- bpf_pinned.c ---- */
int pinned_open(struct tracer *t,
		const struct tracer_options *o); /* 0: taken over; 1: there is none to take over */
/* @mask: not 0, that of the set before. Not finished: nobody takes it for whole. */
int pinned_make(struct tracer *t, const struct tracer_options *o, uint64_t mask);
/* There from now on, for whoever comes after us. What cannot be read by this build goes when ours is there. */
int pinned_settle(struct tracer *t);

#endif
