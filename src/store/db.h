/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An SQLite file and its prepared queries: all that the store needs of sqlite3, with our errors. Not shared by threads.
 *
 * Errors: negative errno with a story. -EBADMSG: no database, corrupted, or its tables are not those that are asked.
 * -ENOSPC, -EROFS, -EIO, -EACCES, -ENOENT: the disk or the way to it. -EBUSY: another process writes. -EALREADY:
 * another recorder does.
 */
#ifndef STORE_DB_H
#define STORE_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct db;
struct query;

enum db_mode { DB_READ, DB_WRITE };

/* DB_WRITE makes the file, mode 0640, when it is not there. Only one at a time has it so. */
int db_open(const char *path, enum db_mode mode, struct db **ret);
/* Has nobody opened @path with DB_WRITE? 0, or -EALREADY after some waiting. Not while this process has it open. */
int db_free(const char *path);
struct db *db_close(struct db *db); /* with all its queries; NULL is fine; always returns NULL */
const char *db_path(const struct db *db);
/* Has its path still the file that was opened? 0, or -ESTALE: what is written goes where nobody will find it. */
int db_in_place(struct db *db);
/*
 * It is not: what is in its journal goes into the file, wherever that is, and the journal's names are free. Another file of
 * its name would share them with those who still read this one.
 */
void db_leave(struct db *db);

int db_exec(struct db *db, const char *sql); /* one or more statements without result */
int db_number(struct db *db, const char *sql,
	      int64_t *ret); /* the first column of the first row; 0 if there is none */
bool db_in_transaction(const struct db *db);

/* Prepared once; lives as long as @db. Parameters and columns count from 0. */
int db_prepare(struct db *db, const char *sql, struct query **ret);
int db_prepare_all(struct db *db, const char *const *sql, size_t n, struct query **ret); /* ret[n] */
void query_int(struct query *q, int at, int64_t value);
void query_null(struct query *q, int at);
void query_text(struct query *q, int at, const char *text,
		size_t len); /* NULL: null. Not copied: valid until the reset */
void query_blob(struct query *q, int at, const void *data, size_t len); /* the same */

#define QUERY_ROW 1
/* QUERY_ROW; 0: there is no (more) row; negative errno. After these two the query is reset and all parameters are null. */
int query_step(struct query *q);
void query_reset(struct query *q);               /* before the last row was fetched */
int query_run(struct query *q);                  /* step to the end, rows do not matter */
int query_number(struct query *q, int64_t *ret); /* the first column of the first row; 0 if there is none */

bool query_is_null(struct query *q, int at);
int64_t query_get(struct query *q, int at); /* 0 when null */
const char *query_get_text(struct query *q, int at,
			   size_t *ret_len); /* borrowed until the next step; NULL: null */

int64_t db_last_id(const struct db *db);

#endif
