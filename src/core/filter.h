/* SPDX-License-Identifier: GPL-2.0-only */
/* The filter language: text to a tree, a tree against a view, and the part of it that the kernel can judge. Pure. */
#ifndef CORE_FILTER_H
#define CORE_FILTER_H

#include "core/record.h"

struct filter;

/* Where and why a text is no filter; a caret goes under text[at]. */
struct filter_error {
	size_t at;
	size_t len; /* of the word at fault, at least 1 */
	char message[160];
	char suggestion[96]; /* "did you mean ...", or empty */
};

/*
 * Parse @text ("" matches everything). 0; -EINVAL with *@ret_error filled; -ENOMEM.
 * Names that need the machine (user, netns) are kept as text and resolved by the view's strings at match time.
 */
int filter_parse(const char *text, struct filter **ret_filter, struct filter_error *ret_error);
struct filter *filter_free(struct filter *f); /* NULL is fine; always returns NULL */

/* Bookkeeping kinds (start, stop, synced, lost, resync, clock) always match. NULL matches everything. */
bool filter_match(const struct filter *f, const struct view *view);
bool filter_is_empty(const struct filter *f);

/* Is @word the first word of a filter (a keyword, number, :PORT, ADDR:PORT)? Else a typo of a command. */
bool filter_word_starts(const char *word);

/*
 * What of a filter the kernel can judge, always weaker than or equal to the filter: a socket it lets pass may still not
 * match. Only port and netns may suppress everything; failed and pid suppress the ring record alone, and pid only those of
 * a call or release (of a release: its owner's): a snapshot or handoff matches by any process that has the socket open.
 * A netns name that cannot be resolved to an inode number must let everything pass.
 */
struct filter_kernel {
	bool ports_valid;         /* only these ports (asked or held) can match */
	uint8_t ports[65536 / 8]; /* bit p%8 of byte p/8 */
	bool netns_valid; /* only these namespaces can match; NULL-terminated names or numbers, as typed */
	const char *netns[8];
	size_t n_netns;
	bool failed_only;
	bool pid_valid;
	uint32_t pid;
};

void filter_kernel(const struct filter *f, struct filter_kernel *ret);
/* For -v, raw: "in the kernel: port 8080; here: comm nginx". */
void filter_describe(const struct filter *f, char *buf, size_t size);

#endif
