/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sets of hooks that outlive the process: files of a BPF file system, one folder a set. The file `about` is made last: a
 * folder without it is what was left when somebody was killed on the way, and is taken off. For source/bpf*.c alone.
 */
#ifndef SOURCE_BPF_PIN_H
#define SOURCE_BPF_PIN_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PIN_VERSION 1 /* of struct pin_about */

/* Value of the map that is pinned as `about`. Another version's is another size, or has another version. */
struct pin_about {
	uint32_t version;
	uint32_t abi;      /* of the records, the maps and the counters */
	uint64_t identity; /* of the programs and the options that they were loaded with */
	uint64_t ring;     /* a random name: positions in this ring mean nothing in another */
	uint64_t sk_mask;
	uint64_t chosen;  /* rows of hooks[] */
	uint64_t made_ns; /* boot clock */
	uint32_t ring_bytes;
	uint32_t own_pid; /* of the last recorder */
	uint32_t n_links;
	uint8_t part; /* attached to a part of the cgroup tree */
	uint8_t reserved[3];
	char stream[24];
	char made_by[24];
};

struct pin_set {
	char path[PATH_MAX];
	struct pin_about about;
	int about_fd; /* -1: none */
};

/*
 * Make the folder @dir in a BPF file system, for us alone as long as *ret_lock is open. 0; -EBUSY: another portlog has it;
 * other negative errno. All with a story.
 */
int pins_lock(const char *dir, int *ret_lock);

/*
 * The oldest complete set in @dir: a younger one beside it was to be its successor, and nothing of that has been told. That,
 * and what is incomplete, is taken off; *ret_incomplete says how many. 0, -ENOENT (without a story), or another negative errno.
 */
int pins_find(const char *dir, struct pin_set *ret, size_t *ret_incomplete);
int pins_remove(const char *dir, size_t *ret_sets); /* all of it; -ENOENT without a story: there is nothing */

int pin_begin(const char *dir, uint64_t ring, struct pin_set *ret); /* its folder */
int pin_put(const struct pin_set *set, const char *name, int fd);
int pin_get(const struct pin_set *set, const char *name); /* a descriptor, or negative errno with a story */
int pin_finish(struct pin_set *set);                      /* writes about */
int pin_update(const struct pin_set *set);                /* writes it anew */
void pin_remove(struct pin_set *set);                     /* takes it off */
void pin_done(struct pin_set *set);                       /* closes what is open */

/* Each file whose name begins with @prefix; @name: the rest of it. Nonzero ends it and is returned. */
int pin_each(const struct pin_set *set, const char *prefix, int (*each)(void *arg, const char *name, int fd),
	     void *arg);

#endif
