/* SPDX-License-Identifier: GPL-2.0-only */
/* Sets of hooks that outlive the process, as files. */
#include "source/bpf_pin.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/fail.h"

#define FOLDER_MODE 0700
#define SET "set-"
#define ABOUT "about"

/* ---- the folder ---- */

static int not_bpffs(const char *dir, int error)
{
	fail_text(error, "%s is in no BPF file system, where pinned hooks live", dir);
	return fail_hint(error,
			 "mount -t bpf bpf /sys/fs/bpf (systemd does so), or --pin=FOLDER of another one");
}

static int folder_make(const char *dir)
{
	struct statfs fs;

	if (mkdir(dir, FOLDER_MODE) && errno != EEXIST)
		return errno == ENOENT || errno == EPERM ? not_bpffs(dir, -errno)
							 : fail(-errno, "make %s", dir);
	if (statfs(dir, &fs))
		return fail(-errno, "look at %s", dir);
	if (fs.f_type == BPF_FS_MAGIC)
		return 0;
	(void)rmdir(dir); /* only if it is empty: then it was ours */
	return not_bpffs(dir, -EINVAL);
}

int pins_lock(const char *dir, int *ret_lock)
{
	auto_close int fd = -1;
	int r = folder_make(dir);

	if (r < 0)
		return r;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return fail(-errno, "open %s", dir);
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		r = -errno;
		if (r != -EWOULDBLOCK)
			return fail(r, "lock %s", dir);
		fail_text(-EBUSY, "another portlog record uses the hooks pinned in %s", dir);
		return fail_hint(-EBUSY,
				 "end that one first, or give this one a folder of its own: --pin=FOLDER");
	}
	*ret_lock = take_fd(fd);
	return 0;
}

/* ---- a set ---- */

static int file_path(const struct pin_set *set, const char *name, char path[PATH_MAX])
{
	if (snprintf(path, PATH_MAX, "%s/%s", set->path, name) >= PATH_MAX)
		return fail(-ENAMETOOLONG, "pin %s", name);
	return 0;
}

static int set_path(const char *dir, const char *name, struct pin_set *set)
{
	memset(set, 0, sizeof(*set));
	set->about_fd = -1;
	if (snprintf(set->path, sizeof(set->path), "%s/%s", dir, name) >= (int)sizeof(set->path))
		return fail(-ENAMETOOLONG, "pin hooks in %s", dir);
	return 0;
}

int pin_begin(const char *dir, uint64_t ring, struct pin_set *ret)
{
	char name[32];
	int r;

	snprintf(name, sizeof(name), SET "%016llx", (unsigned long long)ring);
	r = set_path(dir, name, ret);
	if (!r && mkdir(ret->path, FOLDER_MODE))
		r = fail(-errno, "make %s", ret->path);
	return r;
}

int pin_put(const struct pin_set *set, const char *name, int fd)
{
	char path[PATH_MAX];
	int r = file_path(set, name, path);

	if (!r && bpf_obj_pin(fd, path))
		r = fail(-errno, "pin %s", path);
	return r;
}

int pin_get(const struct pin_set *set, const char *name)
{
	char path[PATH_MAX];
	int r = file_path(set, name, path), fd;

	if (r)
		return r;
	fd = bpf_obj_get(path);
	return fd < 0 ? fail(-errno, "open %s", path) : fd;
}

int pin_update(const struct pin_set *set)
{
	uint32_t zero = 0;

	if (bpf_map_update_elem(set->about_fd, &zero, &set->about, BPF_ANY))
		return fail(-errno, "write %s/" ABOUT, set->path);
	return 0;
}

int pin_finish(struct pin_set *set)
{
	int r;

	set->about_fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "portlog_about", sizeof(uint32_t),
				       sizeof(set->about), 1, NULL);
	if (set->about_fd < 0)
		return fail(-errno, "make a map");
	r = pin_update(set);
	return r ? r : pin_put(set, ABOUT, set->about_fd);
}

void pin_done(struct pin_set *set)
{
	if (set->about_fd >= 0)
		close(set->about_fd);
	set->about_fd = -1;
}

/* One level: a set has no folders in it. Whatever else somebody put there is left. */
void pin_remove(struct pin_set *set)
{
	DIR *d = opendir(set->path);
	struct dirent *e;
	char path[PATH_MAX];

	pin_done(set);
	/* First of all: what is half gone is not to be taken for whole. */
	if (!file_path(set, ABOUT, path))
		(void)unlink(path);
	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.' && !file_path(set, e->d_name, path))
			(void)unlink(path);
	if (d)
		closedir(d);
	(void)rmdir(set->path);
	fail_clear();
}

int pin_each(const struct pin_set *set, const char *prefix, int (*each)(void *arg, const char *name, int fd),
	     void *arg)
{
	size_t len = strlen(prefix);
	DIR *d = opendir(set->path);
	struct dirent *e;
	int r = d ? 0 : fail(-errno, "open %s", set->path);

	while (!r && (e = readdir(d))) {
		int fd;

		if (strncmp(e->d_name, prefix, len) != 0)
			continue;
		fd = pin_get(set, e->d_name);
		r = fd < 0 ? fd : each(arg, e->d_name + len, fd);
	}
	if (d)
		closedir(d);
	return r;
}

/* ---- which sets there are ---- */

/* False: it was left on the way, or is of a version that made it another way. */
static bool set_is_complete(struct pin_set *set)
{
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info), zero = 0;
	char path[PATH_MAX];

	if (file_path(set, ABOUT, path))
		return false;
	set->about_fd = bpf_obj_get(path);
	return set->about_fd >= 0 && !bpf_obj_get_info_by_fd(set->about_fd, &info, &len) &&
	       info.value_size == sizeof(set->about) &&
	       !bpf_map_lookup_elem(set->about_fd, &zero, &set->about) && set->about.version == PIN_VERSION;
}

/* Each folder of a set. Nonzero from @each ends it and is returned. */
static int sets_each(const char *dir, int (*each)(void *arg, struct pin_set *set), void *arg)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	int r = 0;

	if (!d)
		return errno == ENOENT ? -ENOENT : fail(-errno, "open %s", dir);
	while (!r && (e = readdir(d))) {
		auto_free struct pin_set *set = NULL;

		if (strncmp(e->d_name, SET, strlen(SET)) != 0)
			continue;
		set = malloc(sizeof(*set));
		r = set ? set_path(dir, e->d_name, set) : fail(-ENOMEM, "read %s", dir);
		if (!r)
			r = each(arg, set);
		if (set)
			pin_done(set);
	}
	closedir(d);
	return r;
}

struct search {
	struct pin_set *found;
	size_t incomplete;
	bool any;
};

static int set_look(void *arg, struct pin_set *set)
{
	struct search *s = arg;
	struct pin_set other;

	if (!set_is_complete(set)) {
		pin_remove(set);
		s->incomplete++;
		return 0;
	}
	if (!s->any || set->about.made_ns < s->found->about.made_ns) {
		other = *s->found;
		*s->found = *set;
		*set = other;
	}
	if (s->any)
		pin_remove(set);
	else
		set->about_fd = -1; /* given away */
	s->any = true;
	return 0;
}

int pins_find(const char *dir, struct pin_set *ret, size_t *ret_incomplete)
{
	struct search s = { .found = ret };
	int r = sets_each(dir, set_look, &s);

	*ret_incomplete = s.incomplete;
	if (r && s.any)
		pin_done(ret);
	return r ? r : s.any ? 0 : -ENOENT;
}

static int set_remove(void *arg, struct pin_set *set)
{
	size_t *n = arg;

	pin_remove(set);
	(*n)++;
	return 0;
}

int pins_remove(const char *dir, size_t *ret_sets)
{
	int r;

	*ret_sets = 0;
	r = sets_each(dir, set_remove, ret_sets);
	if (!r)
		(void)rmdir(dir);
	return r ? r : *ret_sets ? 0 : -ENOENT;
}
