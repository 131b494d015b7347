/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Network namespaces: find every one, enter it, come back. A namespace is known by the inode of its file; most processes
 * share one, so each is asked for the inode only and one descriptor is opened for each namespace.
 */
#include "source/netns.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/fail.h"
#include "util/parse.h"

#define SPARE_FDS 256 /* left for everything else */
#define OWN_NETNS "/proc/thread-self/ns/net"

/*
 * Walks over /proc and /run/netns call this for each file that stands for a namespace; nonzero ends the walk. @inode 0: it
 * may not be asked for.
 */
typedef int (*visit_fn)(void *arg, int dir_fd, const char *path, uint32_t inode);

/* What cannot be asked is passed over: gone, or a zombie (which has none any more). */
static int walk_file(visit_fn visit, void *arg, int dir_fd, const char *path)
{
	struct stat st;

	if (!fstatat(dir_fd, path, &st, 0))
		return visit(arg, dir_fd, path, (uint32_t)st.st_ino);
	return errno == EACCES || errno == EPERM ? visit(arg, dir_fd, path, 0) : 0;
}

static int walk_dir(visit_fn visit, void *arg, const char *dir_path, bool pids)
{
	DIR *dir = opendir(dir_path);
	struct dirent *d;
	char path[300];
	int r = 0;

	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while (!r && (d = readdir(dir))) {
		if (pids ? !isdigit((unsigned char)d->d_name[0]) : d->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), pids ? "%s/ns/net" : "%s", d->d_name);
		r = walk_file(visit, arg, dirfd(dir), path);
	}
	closedir(dir);
	return r;
}

/* The own namespace first, then those with a name, then those that only processes keep. */
static int walk_all(visit_fn visit, void *arg)
{
	static const struct {
		const char *path;
		bool pids;
	} dirs[] = { { "/run/netns", false }, { "/var/run/netns", false }, { "/proc", true } };
	int r = walk_file(visit, arg, AT_FDCWD, OWN_NETNS);

	for (size_t i = 0; !r && i < ARRAY_SIZE(dirs); i++)
		r = walk_dir(visit, arg, dirs[i].path, dirs[i].pids);
	return r;
}

/* A set of inode numbers: open addressing, 0 is an empty place. */
struct seen {
	uint32_t *slot;
	size_t size, used;
};

static void seen_put(struct seen *s, uint32_t inode)
{
	size_t i = inode * 2654435761u;

	while (s->slot[i & (s->size - 1)] && s->slot[i & (s->size - 1)] != inode)
		i++;
	s->used += !s->slot[i & (s->size - 1)];
	s->slot[i & (s->size - 1)] = inode;
}

static bool seen_has(const struct seen *s, uint32_t inode)
{
	size_t i = inode * 2654435761u;

	while (s->size && s->slot[i & (s->size - 1)] && s->slot[i & (s->size - 1)] != inode)
		i++;
	return s->size && s->slot[i & (s->size - 1)] == inode;
}

static int seen_add(struct seen *s, uint32_t inode)
{
	struct seen bigger = { .size = s->size ? s->size * 2 : 256 };

	if (s->used * 2 >= s->size) {
		bigger.slot = calloc(bigger.size, sizeof(*bigger.slot));
		if (!bigger.slot)
			return -ENOMEM;
		for (size_t i = 0; i < s->size; i++) {
			if (s->slot[i])
				seen_put(&bigger, s->slot[i]);
		}
		free(s->slot);
		*s = bigger;
	}
	seen_put(s, inode);
	return 0;
}

/* Open the namespace file @path, which must still be that of @inode: pids are used again. */
static int open_netns(int dir_fd, const char *path, uint32_t inode, int *ret_fd)
{
	auto_close int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return -errno;
	if ((uint32_t)st.st_ino != inode)
		return -ENOENT;
	*ret_fd = take_fd(fd);
	return 0;
}

struct collect {
	struct netns_list list;
	struct seen seen;
	size_t room; /* of list.items */
	size_t fds_max;
};

/* How many descriptors the list may take. */
static size_t fds_allowed(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim))
		return SIZE_MAX;
	return lim.rlim_cur > SPARE_FDS ? lim.rlim_cur - SPARE_FDS : 1;
}

static int collect_room(struct collect *c)
{
	size_t room = c->room ? c->room * 2 : 16;
	struct netns *items;

	if (c->list.n < c->room)
		return 0;
	items = reallocarray(c->list.items, room, sizeof(*items));
	if (!items)
		return -ENOMEM;
	c->list.items = items;
	c->room = room;
	return 0;
}

static int collect_visit(void *arg, int dir_fd, const char *path, uint32_t inode)
{
	struct collect *c = arg;
	int fd = -1, r;

	c->list.refused += !inode;
	if (!inode || seen_has(&c->seen, inode))
		return 0;
	r = c->list.n < c->fds_max ? open_netns(dir_fd, path, inode, &fd) : -EMFILE;
	if (r == -ENOENT || r == -ESRCH)
		return 0; /* gone since; if others live in it they come up too */
	if (r) {
		c->list.cut++;
		return seen_add(&c->seen, inode);
	}
	r = collect_room(c);
	if (!r)
		r = seen_add(&c->seen, inode);
	if (r) {
		close(fd);
		return r;
	}
	c->list.items[c->list.n++] = (struct netns){ .inode = inode, .fd = fd };
	return 0;
}

void netns_list_done(struct netns_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		close(list->items[i].fd);
	free(list->items);
	*list = (struct netns_list){ 0 };
}

int netns_list_all(struct netns_list *ret)
{
	struct collect c = { .fds_max = fds_allowed() };
	int r = walk_all(collect_visit, &c);

	free(c.seen.slot);
	if (r) {
		netns_list_done(&c.list);
		fail(r, "find network namespaces");
		return r == -EMFILE ? fail_hint(r, "more open files are needed: ulimit -n 1024") : r;
	}
	*ret = c.list;
	return 0;
}

int netns_enter(int fd, int *ret_home_fd)
{
	auto_close int home = open(OWN_NETNS, O_RDONLY | O_CLOEXEC);

	if (home < 0)
		return fail(-errno, "open %s", OWN_NETNS);
	if (setns(fd, CLONE_NEWNET))
		return fail(-errno, "enter a network namespace");
	*ret_home_fd = take_fd(home);
	return 0;
}

int netns_leave(int home_fd)
{
	int r = setns(home_fd, CLONE_NEWNET) ? fail(-errno, "go back to the own network namespace") : 0;

	close(home_fd);
	return r;
}

uint32_t netns_self(void)
{
	struct stat st;

	return stat(OWN_NETNS, &st) ? 0 : (uint32_t)st.st_ino;
}

struct search {
	uint32_t inode;
	int fd;
	int error;
};

static int search_visit(void *arg, int dir_fd, const char *path, uint32_t inode)
{
	struct search *s = arg;

	if (inode != s->inode)
		return 0;
	s->error = open_netns(dir_fd, path, inode, &s->fd);
	return !s->error;
}

int netns_open_inode(uint32_t inode, int *ret_fd)
{
	struct search s = { .inode = inode, .fd = -1, .error = -ENOENT };
	int r = walk_all(search_visit, &s);

	if (r < 0)
		return fail(r, "find network namespace %u", inode);
	if (s.fd < 0)
		return fail(s.error, "find network namespace %u", inode);
	*ret_fd = s.fd;
	return 0;
}

int netns_missing(const char *name, int error)
{
	bool root = geteuid() == 0;
	uint32_t inode;

	fail_clear();
	if (root && error != -ENOENT)
		return fail(error, "enter network namespace '%.40s'", name);
	/* Others' processes do not show an ordinary user where they live. */
	if (!root && (error != -ENOENT || !parse_u32(name, &inode) || !strcmp(name, "host")))
		return fail_text(-EACCES, "only root may look into network namespace '%.40s'", name);
	fail_text(-EINVAL, "there is no network namespace '%.40s'", name);
	return fail_hint(-EINVAL, "it takes a name of 'ip netns', an inode number or 'host'");
}
