/* SPDX-License-Identifier: GPL-2.0-only */
/* The history on disk: opening it. write.c puts events in, read.c and walk.c take them out, retain.c lets them go. */
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/state.h"
#include "util/cleanup.h"
#include "util/fail.h"

#define FOLDER_MODE 0750

/* The last part of the way to it alone: a way that is not there at all is a mistake, or a disk that comes later. */
static int folder_make(const char *path)
{
	auto_free char *folder = strdup(path);
	char *slash = folder ? strrchr(folder, '/') : NULL;

	if (!folder)
		return fail(-ENOMEM, "open %s", path);
	if (!slash || slash == folder)
		return 0;
	*slash = '\0';
	/* Whatever the umask: who makes it has to get in. */
	if (mkdir(folder, FOLDER_MODE) ? errno != EEXIST : chmod(folder, FOLDER_MODE) != 0)
		return fail(-errno, "make the folder of %s", path);
	return 0;
}

struct store *store_close(struct store *s)
{
	if (!s)
		return NULL;
	writer_free(s->writer);
	retainer_free(s->retainer);
	walker_free(s->walker);
	reader_free(s->reader);
	db_close(s->db);
	free(s);
	return NULL;
}

static int store_prepare(struct store *s, enum db_mode mode)
{
	int r = mode == DB_WRITE ? schema_update(s) : schema_check(s);

	if (!r && mode == DB_READ)
		r = words_load(s, false);
	if (!r && mode == DB_WRITE)
		r = writer_new(s);
	if (!r && mode == DB_WRITE)
		r = retainer_new(s);
	if (!r)
		r = reader_new(s);
	return r ? r : walker_new(s);
}

static int open_as(const char *path, enum db_mode mode, struct store **ret)
{
	struct store *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return fail(-ENOMEM, "open %s", path);
	r = db_open(path, mode, &s->db);
	if (!r)
		r = store_prepare(s, mode);
	if (r == -EBADMSG)
		fail_hint(r, "nothing was changed; move it away, or give another file: --store FILE");
	if (r) {
		store_close(s);
		return r;
	}
	*ret = s;
	return 0;
}

int store_open(const char *path, struct store **ret)
{
	int r = folder_make(path);

	return r ? r : open_as(path, DB_WRITE, ret);
}

int store_open_read(const char *path, struct store **ret)
{
	return open_as(path, DB_READ, ret);
}

int store_probe(const char *path)
{
	struct store s = { 0 };
	int r = db_free(path);

	if (!r)
		r = db_open(path, DB_READ, &s.db);
	if (!r)
		r = schema_known(&s);
	db_close(s.db);
	if (r != -ENOENT)
		return r;
	fail_clear();
	return 0;
}

int store_in_place(struct store *s)
{
	return db_in_place(s->db);
}

void store_leave(struct store *s)
{
	store_rollback(s);
	db_leave(s->db);
}

/* ---- damaged ---- */

static bool file_is_ours(const char *path)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	uint8_t header[HEADER_SIZE];

	return fd >= 0 && read(fd, header, sizeof(header)) == sizeof(header) && header_is_ours(header);
}

/* The journal belongs to its file: left there, it would be taken for the next one's. It goes first, so that it is never. */
static int aside_rename(const char *path, const char *name)
{
	static const char *const suffixes[] = { "-wal", "-shm", "" };
	char from[STORE_NAME_MAX + 8], to[STORE_NAME_MAX + 8];

	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		snprintf(from, sizeof(from), "%s%s", path, suffixes[i]);
		snprintf(to, sizeof(to), "%s%s", name, suffixes[i]);
		if (rename(from, to) && errno != ENOENT)
			return fail(-errno, "rename %s", from);
	}
	return 0;
}

int store_set_aside(const char *path, bool ours, char ret_name[STORE_NAME_MAX])
{
	if (!ours && !file_is_ours(path))
		return fail_text(-EPROTO, "%s may be a file of somebody else", path);
	for (unsigned n = 1; n <= STORE_ASIDE_MAX; n++) {
		if ((size_t)snprintf(ret_name, STORE_NAME_MAX, "%s.damaged-%u", path, n) >= STORE_NAME_MAX)
			return fail(-ENAMETOOLONG, "rename %s", path);
		if (access(ret_name, F_OK) && errno == ENOENT)
			return aside_rename(path, ret_name);
	}
	return fail_text(-EEXIST, "%d damaged ones lie there already", STORE_ASIDE_MAX);
}
