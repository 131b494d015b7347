/* SPDX-License-Identifier: GPL-2.0-only */
/* An SQLite file and its prepared queries. */
#include "store/db.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/fail.h"

#define DB_MODE 0640
#define BUSY_MS 2000 /* somebody else's transaction is waited for so long */
#define BUSY_STEP_MS 20

struct query {
	struct db *db;
	sqlite3_stmt *stmt;
	struct query *next;
};

struct db {
	sqlite3 *handle;
	struct query *queries;
	int lock; /* DB_WRITE: that no other recorder writes it; -1: none */
	dev_t device;
	ino_t inode;
	ino_t journal; /* when it was last seen in its place; 0: none */
	char path[];
};

static int errno_of(int code, int system)
{
	switch (code & 0xff) {
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return -EACCES;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_ERROR: /* our queries are the same everywhere: it is the tables that are others */
	case SQLITE_SCHEMA:
	case SQLITE_CONSTRAINT:
	case SQLITE_MISMATCH:
		return -EBADMSG;
	case SQLITE_CANTOPEN:
		return system > 0 ? -system : -ENOENT;
	default:
		return system > 0 ? -system : -EIO;
	}
}

static int db_fail(struct db *db, int code)
{
	int r = errno_of(code, db->handle ? sqlite3_system_errno(db->handle) : 0);

	if (r == -EBADMSG)
		return fail_text(r, "%s: it is damaged or not a database (%s)", db->path,
				 sqlite3_errstr(code));
	if (r == -EROFS || r == -EIO)
		return fail_text(r, "%s: %s", db->path, sqlite3_errmsg(db->handle));
	return fail(r, "%s", db->path);
}

/*
 * SQLite says "unable to open" of everything; the system says why. It would also follow the umask: a history of command
 * lines is not for everybody, and for its group whatever the umask is. The files beside it follow this one.
 */
static int file_check(const char *path, enum db_mode mode, int fd, struct stat *ret)
{
	if (fstat(fd, ret))
		return fail(-errno, "look at %s", path);
	if (S_ISDIR(ret->st_mode))
		return fail(-EISDIR, "open %s", path);
	if (!S_ISREG(ret->st_mode))
		return fail_text(-EINVAL, "%s is no regular file", path);
	if (mode == DB_WRITE && !ret->st_size)
		(void)fchmod(fd, DB_MODE);
	return 0;
}

/*
 * Two recorders would each take the other's rows for damage. flock(2) is not what SQLite locks with, so whoever only reads is
 * not in the way; it ends with the process, however that ends.
 */
static int file_lock(const char *path, int fd)
{
	if (!flock(fd, LOCK_EX | LOCK_NB))
		return 0;
	if (errno != EWOULDBLOCK)
		return fail(-errno, "lock %s", path);
	fail_text(-EALREADY, "another portlog record writes %s", path);
	return fail_hint(-EALREADY, "one is enough; or give this one another file: --store FILE");
}

/* *ret_lock: stays open as long as SQLite has the file: to close it would take SQLite's locks away. */
static int file_open(const char *path, enum db_mode mode, struct stat *ret, int *ret_lock)
{
	int flags = mode == DB_WRITE ? O_RDWR | O_CREAT : O_RDONLY;
	auto_close int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK, DB_MODE);
	int r;

	if (fd < 0)
		return fail(-errno, "open %s", path);
	r = file_check(path, mode, fd, ret);
	if (r || mode == DB_READ)
		return r;
	r = file_lock(path, fd);
	if (r)
		return r;
	*ret_lock = take_fd(fd);
	return 0;
}

struct db *db_close(struct db *db)
{
	struct query *next;

	if (!db)
		return NULL;
	for (struct query *q = db->queries; q; q = next) {
		next = q->next;
		sqlite3_finalize(q->stmt);
		free(q);
	}
	sqlite3_close(db->handle);
	if (db->lock >= 0)
		(void)close(db->lock);
	free(db);
	return NULL;
}

/*
 * What SQLite sorts or sets aside goes into files when it is much. Of the folders it would take a service may write none: they
 * go beside the history, without a name. The last that was opened to be written has it; one is, by one thread.
 */
static int temporary_beside(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *folder = slash ? sqlite3_mprintf("%.*s", (int)(slash - path) + 1, path) : sqlite3_mprintf("./");

	if (!folder)
		return fail(-ENOMEM, "open %s", path);
	sqlite3_free(sqlite3_temp_directory);
	sqlite3_temp_directory = folder;
	return 0;
}

int db_open(const char *path, enum db_mode mode, struct db **ret)
{
	int flags = mode == DB_WRITE ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY;
	auto_close int lock = -1;
	struct stat st;
	struct db *db;
	int r;

	r = file_open(path, mode, &st, &lock);
	if (!r && mode == DB_WRITE)
		r = temporary_beside(path);
	if (r < 0)
		return r;
	db = calloc(1, sizeof(*db) + strlen(path) + 1);
	if (!db)
		return fail(-ENOMEM, "open %s", path);
	db->lock = lock;
	lock = -1;
	memcpy(db->path, path, strlen(path) + 1);
	db->device = st.st_dev;
	db->inode = st.st_ino;
	r = sqlite3_open_v2(path, &db->handle, flags | SQLITE_OPEN_NOMUTEX, NULL);
	if (r != SQLITE_OK) {
		r = db_fail(db, r);
		db_close(db);
		return r;
	}
	sqlite3_extended_result_codes(db->handle, 1);
	sqlite3_busy_timeout(db->handle, BUSY_MS);
	*ret = db;
	return 0;
}

int db_free(const char *path)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int r = fd < 0 ? 0 : file_lock(path, fd);

	/* One that was killed a moment ago may still be on its way out. */
	for (int waited = 0; r == -EALREADY && waited < BUSY_MS; waited += BUSY_STEP_MS) {
		(void)usleep(BUSY_STEP_MS * 1000);
		r = file_lock(path, fd);
	}
	if (!r)
		fail_clear();
	return r;
}

const char *db_path(const struct db *db)
{
	return db->path;
}

/* The inode of what lies beside it under that name; 0: nothing does. */
static ino_t beside(const struct db *db, const char *suffix, char path[PATH_MAX])
{
	struct stat st;

	snprintf(path, PATH_MAX, "%s%s", db->path, suffix);
	return stat(path, &st) ? 0 : st.st_ino;
}

/* By its name alone: to open and close it would take SQLite's locks away, which are the process's. */
int db_in_place(struct db *db)
{
	char journal[PATH_MAX];
	struct stat st;

	if (stat(db->path, &st))
		return errno == ENOENT ? fail_text(-ESTALE, "%s was moved or deleted", db->path)
				       : fail(-errno, "look at %s", db->path);
	if (st.st_dev != db->device || st.st_ino != db->inode)
		return fail_text(-ESTALE, "%s is another file now", db->path);
	db->journal = beside(db, "-wal", journal);
	return 0;
}

void db_leave(struct db *db)
{
	char path[PATH_MAX];

	(void)sqlite3_wal_checkpoint_v2(db->handle, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	if (!db->journal || beside(db, "-wal", path) != db->journal)
		return;
	(void)unlink(path);
	(void)beside(db, "-shm", path);
	(void)unlink(path);
}

int db_exec(struct db *db, const char *sql)
{
	int code = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);

	return code == SQLITE_OK ? 0 : db_fail(db, code);
}

bool db_in_transaction(const struct db *db)
{
	return !sqlite3_get_autocommit(db->handle);
}

int64_t db_last_id(const struct db *db)
{
	return sqlite3_last_insert_rowid(db->handle);
}

int db_prepare(struct db *db, const char *sql, struct query **ret)
{
	struct query *q = calloc(1, sizeof(*q));
	int code;

	if (!q)
		return fail(-ENOMEM, "%s", db->path);
	code = sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &q->stmt, NULL);
	if (code != SQLITE_OK) {
		free(q);
		return db_fail(db, code);
	}
	q->db = db;
	q->next = db->queries;
	db->queries = q;
	*ret = q;
	return 0;
}

int db_prepare_all(struct db *db, const char *const *sql, size_t n, struct query **ret)
{
	int r = 0;

	for (size_t i = 0; i < n && !r; i++)
		r = db_prepare(db, sql[i], &ret[i]);
	return r;
}

void query_int(struct query *q, int at, int64_t value)
{
	sqlite3_bind_int64(q->stmt, at + 1, value);
}

void query_null(struct query *q, int at)
{
	sqlite3_bind_null(q->stmt, at + 1);
}

void query_text(struct query *q, int at, const char *text, size_t len)
{
	sqlite3_bind_text(q->stmt, at + 1, text, (int)len, SQLITE_STATIC);
}

void query_blob(struct query *q, int at, const void *data, size_t len)
{
	sqlite3_bind_blob(q->stmt, at + 1, data, (int)len, SQLITE_STATIC);
}

void query_reset(struct query *q)
{
	sqlite3_reset(q->stmt);
	sqlite3_clear_bindings(q->stmt);
}

int query_step(struct query *q)
{
	int code = sqlite3_step(q->stmt), r;

	if (code == SQLITE_ROW)
		return QUERY_ROW;
	r = code == SQLITE_DONE ? 0 : db_fail(q->db, code);
	query_reset(q);
	return r;
}

int query_run(struct query *q)
{
	int r;

	do
		r = query_step(q);
	while (r == QUERY_ROW);
	return r;
}

int query_number(struct query *q, int64_t *ret)
{
	int r = query_step(q);

	*ret = r == QUERY_ROW ? query_get(q, 0) : 0;
	query_reset(q);
	return r < 0 ? r : 0;
}

bool query_is_null(struct query *q, int at)
{
	return sqlite3_column_type(q->stmt, at) == SQLITE_NULL;
}

int64_t query_get(struct query *q, int at)
{
	return sqlite3_column_int64(q->stmt, at);
}

const char *query_get_text(struct query *q, int at, size_t *ret_len)
{
	const char *text = (const char *)sqlite3_column_text(q->stmt, at);

	*ret_len = text ? (size_t)sqlite3_column_bytes(q->stmt, at) : 0;
	return text;
}

int db_number(struct db *db, const char *sql, int64_t *ret)
{
	sqlite3_stmt *stmt;
	int code = sqlite3_prepare_v2(db->handle, sql, -1, &stmt, NULL);

	if (code != SQLITE_OK)
		return db_fail(db, code);
	code = sqlite3_step(stmt);
	*ret = code == SQLITE_ROW ? sqlite3_column_int64(stmt, 0) : 0;
	sqlite3_finalize(stmt);
	return code == SQLITE_ROW || code == SQLITE_DONE ? 0 : db_fail(db, code);
}
