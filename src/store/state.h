/* SPDX-License-Identifier: GPL-2.0-only */
/* What the parts of the store share; private to src/store. */
#ifndef STORE_STATE_H
#define STORE_STATE_H

#include "core/process.h"
#include "store/db.h"
#include "store/intern.h"
#include "store/store.h"

/* Words of fixed sets. Numbers of enums are this build's; the database has a table of words and its own numbers. */
enum vocabulary {
	WORDS_ACTION,
	WORDS_PROTO,
	WORDS_PRECISION,
	WORDS_VIA,
	WORDS_HOLDER,
	WORDS_LOST,
	WORDS_ENDED,
	N_VOCABULARIES
};

#define WORDS_MAX 128 /* in one set; numbers are less */

/* What else a record has: bits of records.sides. */
#define SIDE_DETAILS 1
#define SIDE_COUNTS 2
#define SIDE_FAILURE 4
#define SIDE_HOLDERS 8
#define SIDE_OWNERS 16
#define SIDE_BOUND_BY 32

struct open_interval;

struct store {
	struct db *db;
	uint8_t to_file[N_VOCABULARIES][WORDS_MAX];   /* number here to number there */
	uint8_t from_file[N_VOCABULARIES][WORDS_MAX]; /* and back; 0 is 0 */
	struct writer *writer;
	struct retainer *retainer;
	struct reader *reader;
	struct walker *walker;
};

/* A file may hold any number: differences of what it holds wrap, as nobody can say what else they should do. */
static inline int64_t plus(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a + (uint64_t)b);
}

static inline int64_t minus(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a - (uint64_t)b);
}

/*
 * The indexes by port are cut into blocks of ids: new entries of all ports go to the newest block, whose pages stay in the cache
 * and are written once. By port alone each event would go to a page of its own.
 */
#define BLOCK_BITS 16
#define BLOCK_IDS ((int64_t)((1 << BLOCK_BITS) - 1))
#define BLOCK_OF(id) id " >> 16" /* as in the file: an index is used by who asks in its words */
_Static_assert(BLOCK_BITS == 16, "BLOCK_OF");

/* ---- schema.c ---- */

int schema_update(struct store *s); /* to this version, with its words, in one transaction */
int schema_check(struct store *s);  /* is it this version's? */
int schema_known(struct store *s);  /* is it one's that schema_update() can take? */
#define MARK_CLOCK "clock"          /* the one of marks that is no id */
#define HEADER_SIZE 100
bool header_is_ours(const uint8_t header[HEADER_SIZE]); /* of this version or an older one */
int words_load(struct store *s, bool write);

/* ---- columns.c: members of a record that are columns ---- */

enum column_type {
	COLUMN_U8,
	COLUMN_U16,
	COLUMN_U32,
	COLUMN_U64,
	COLUMN_ADDRESS,
	COLUMN_TEXT16,
	COLUMN_WORD
};

struct column {
	enum column_type type;
	uint16_t offset;    /* in the struct */
	uint8_t vocabulary; /* COLUMN_WORD: a byte or an int that is a number of it */
	bool wide;          /* COLUMN_WORD: an int */
};

#define RECORD_FIRST_COLUMN 10 /* in the table of records; see write.c */
extern const struct column record_columns[], detail_columns[], count_columns[], holder_columns[];
extern const size_t n_record_columns, n_detail_columns, n_count_columns, n_holder_columns;

bool columns_empty(const struct column *c, size_t n, const void *base);
/* Bits of records.flags, and what they are in a record. */
uint32_t flags_of(const struct record *rec);
void flags_into(struct record *rec, uint32_t flags);
uint32_t holder_flags_of(const struct holder *h);
void holder_flags_into(struct holder *h, uint32_t flags);
#define FLAG_HELD_IS_AGE 0x8000u /* held_ns is the age */
#define FLAG_PINNED 0x10000u
#define FLAG_NO_TID 0x4000u /* tid is not pid, as it is else, but 0 */

/* The texts of a bound_by in the order of its columns, as an array of so many. */
#define BOUND_BY_TEXTS 5
_Static_assert(sizeof(struct bound_by) == BOUND_BY_TEXTS * sizeof(const char *), "nothing but texts");

/* ---- write.c ---- */
struct writer *writer_free(struct writer *w);
int writer_new(struct store *s);
void writer_forget_rows(struct store *s); /* ids of processes, addresses, names: rows may be gone */
/* ---- read.c: times, as the clock that a run ended with would have shown them ---- */

/* Records of one run: first < id <= last. */
struct run {
	int64_t first, last; /* last: its newest record; 0: it has none */
	int64_t drift;       /* of that one: how far the clock was set while it ran */
	int64_t end_ns;      /* its time */
};

int run_find(struct store *s, int64_t first, int64_t next, struct run *ret); /* first < id <= next */
/* The newest record of @run not later than @time_ns; 0: there is none. */
int run_id_at(struct store *s, const struct run *run, int64_t time_ns, int64_t *ret_id);

/* ---- retain.c ---- */
int retainer_new(struct store *s);
struct retainer *retainer_free(struct retainer *rt);
/* ---- read.c ---- */
int reader_process(struct store *s, int64_t id, const struct process **ret); /* NULL: no such row */
struct reader *reader_free(struct reader *r);
int reader_new(struct store *s);

/* ---- walk.c ---- */
struct walker *walker_free(struct walker *w);
int walker_new(struct store *s);

#endif
