/* SPDX-License-Identifier: GPL-2.0-only */
/* What the filter_*.c files share: the tree that a filter is, and the table of its keywords. Nobody else includes it. */
#ifndef CORE_FILTER_TREE_H
#define CORE_FILTER_TREE_H

#include "core/filter.h"

#define FILTER_LENGTH_MAX 8192
#define FILTER_DEPTH_MAX \
	32 /* parentheses in parentheses: walks of the tree recurse no deeper than thrice this */

/* In the order of filter_keys[]. */
enum filter_key {
	KEY_PORT,
	KEY_PROTO,
	KEY_FAMILY,
	KEY_ADDR,
	KEY_ACTION,
	KEY_FAILED,
	KEY_ERRNO,
	KEY_PID,
	KEY_COMM,
	KEY_EXE,
	KEY_USER,
	KEY_UID,
	KEY_UNIT,
	KEY_CONTAINER,
	KEY_CGROUP,
	KEY_NETNS,
	N_FILTER_KEYS
};

enum value_type {
	VALUE_NONE,
	VALUE_NUMBER, /* lo..hi */
	VALUE_WORD,   /* one of a few words: lo */
	VALUE_PREFIX, /* addr, bits */
	VALUE_GLOB,   /* text; where it is a number, lo too */
};

struct filter_value {
	uint32_t lo, hi;
	bool is_number;
	struct address addr;
	unsigned bits;
	char *text; /* as typed, quotes undone; owned */
};

enum node_op { NODE_TEST, NODE_NOT, NODE_AND, NODE_OR };

struct filter_node {
	enum node_op op;
	enum filter_key key;         /* NODE_TEST: */
	struct filter_value *values; /* any of them */
	size_t n_values;
	struct filter_node *child; /* else: one (not) or more (and, or), by next */
	struct filter_node *next;
	size_t at, len; /* where it stands in the text */
};

struct filter {
	char *text;
	struct filter_node *root; /* NULL: matches everything */
};

/* A process that a view is about. */
struct filter_who {
	uint32_t pid;
	uint32_t uid;
	const char *user_name;
	const char *comm; /* 16 bytes, not always terminated */
	const struct process *process;
};

struct filter_keyword {
	const char *name;
	enum value_type type;
	const char *what; /* what its value is called in messages */
	uint32_t max;     /* VALUE_NUMBER */
	const char *(*word)(uint32_t value,
			    char scratch[16]); /* VALUE_WORD: from 0 to max; NULL or a digit: no word */
	bool (*match)(const struct filter_value *value, const struct view *view);
	bool (*match_who)(const struct filter_value *value,
			  const struct filter_who *who); /* instead, of any process */
};

extern const struct filter_keyword filter_keys[N_FILTER_KEYS];

#endif
