/* SPDX-License-Identifier: GPL-2.0-only */
/* Who has which socket open, by /proc/PID/fd. */
#include "enrich/sockets.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/parse.h"

struct growing {
	struct socket_owners *owners;
	size_t room;
};

static int owner_add(struct growing *g, uint64_t inode, uint32_t pid)
{
	struct socket_owners *o = g->owners;

	if (o->n == g->room) {
		size_t room = g->room ? g->room * 2 : 1024;
		struct socket_owner *more = reallocarray(o->items, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		o->items = more;
		g->room = room;
	}
	o->items[o->n++] = (struct socket_owner){ .inode = inode, .pid = pid };
	return 0;
}

static bool is_refusal(int error)
{
	return error == EACCES || error == EPERM;
}

/* "socket:[4711]" */
static bool socket_inode(int fd_dir, const char *name, uint64_t *ret_inode, bool *refused)
{
	char text[64];
	ssize_t n = readlinkat(fd_dir, name, text, sizeof(text) - 1);

	if (n < 0 && is_refusal(errno))
		*refused = true;
	if (n < 10 || strncmp(text, "socket:[", 8) != 0 || text[n - 1] != ']')
		return false;
	text[n - 1] = '\0';
	return !parse_u64(text + 8, ret_inode);
}

static int process_read(int proc_fd, uint32_t pid, struct growing *g)
{
	char path[32];
	struct dirent *d;
	uint64_t inode;
	DIR *dir;
	bool refused = false;
	int fd, r = 0;

	snprintf(path, sizeof(path), "%u/fd", pid);
	fd = openat(proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		g->owners->refused += is_refusal(errno);
		g->owners->cut += errno == EMFILE || errno == ENFILE;
		return 0;
	}
	dir = fdopendir(fd);
	if (!dir) {
		r = errno == ENOMEM ? -ENOMEM
				    : 0; /* else it has just exited: fdopendir looks at the folder again */
		close(fd);
		return r;
	}
	while (!r && (d = readdir(dir)))
		if (socket_inode(dirfd(dir), d->d_name, &inode, &refused))
			r = owner_add(g, inode, pid);
	closedir(dir);
	g->owners->refused += refused;
	return r;
}

static int owner_compare(const void *a, const void *b)
{
	const struct socket_owner *x = a, *y = b;

	if (x->inode != y->inode)
		return x->inode < y->inode ? -1 : 1;
	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

/* A process may have a socket open more than once. */
static void owners_unique(struct socket_owners *o)
{
	size_t kept = 0;

	for (size_t i = 0; i < o->n; i++)
		if (!kept || owner_compare(&o->items[kept - 1], &o->items[i]) != 0)
			o->items[kept++] = o->items[i];
	o->n = kept;
}

int socket_owners_read(int proc_fd, struct socket_owners *ret)
{
	struct growing g = { .owners = ret };
	int fd = openat(proc_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	struct dirent *d;
	uint32_t pid;
	DIR *dir;

	memset(ret, 0, sizeof(*ret));
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		if (fd >= 0)
			close(fd);
		return 0; /* no /proc: nobody is known */
	}
	while (!r && (d = readdir(dir)))
		if (!parse_u32(d->d_name, &pid))
			r = process_read(proc_fd, pid, &g);
	closedir(dir);
	if (r < 0) {
		socket_owners_done(ret);
		return r;
	}
	if (ret->n)
		qsort(ret->items, ret->n, sizeof(*ret->items), owner_compare);
	owners_unique(ret);
	return 0;
}

void socket_owners_done(struct socket_owners *owners)
{
	free(owners->items);
	memset(owners, 0, sizeof(*owners));
}

const struct socket_owner *socket_owners_find(const struct socket_owners *owners, uint64_t inode)
{
	size_t low = 0, high = owners->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (owners->items[middle].inode < inode)
			low = middle + 1;
		else
			high = middle;
	}
	return low < owners->n && owners->items[low].inode == inode ? &owners->items[low] : NULL;
}
