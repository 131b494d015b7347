/* SPDX-License-Identifier: GPL-2.0-only */
/* What network namespaces are called. */
#include "enrich/netns_names.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "enrich/proc.h"
#include "util/cleanup.h"

/* Out of memory must not end the program in a table of names: an element that does not fit is left out. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define CHECK_NS 250000000ull
#define SURE_NS 60000000000ull
#define MOUNTED_MAX 8192
#define LEARNED_MAX 1024

struct named {
	UT_hash_handle hh;
	uint32_t inode;
	uint64_t seen_ns;
	char name[];
};

struct netns_names {
	int root_fd;
	int proc_fd;
	uint32_t host;         /* 0: not known (yet) */
	struct named *mounted; /* by inode; the first of a table is its oldest */
	struct named *learned;
	bool checked;
	uint64_t checked_ns;
	struct timespec dir_mtime;
};

static void forget(struct named **table, struct named *it)
{
	HASH_DEL(*table, it);
	free(it);
}

static void forget_all(struct named **table)
{
	while (*table)
		forget(table, *table);
}

static struct named *lookup(struct named *table, uint32_t inode)
{
	struct named *it = NULL;

	HASH_FIND(hh, table, &inode, sizeof(inode), it);
	return it;
}

static void remember(struct named **table, uint32_t inode, const char *name, uint64_t now_ns, size_t max)
{
	size_t len = strlen(name);
	unsigned before = HASH_COUNT(*table);
	struct named *it = calloc(1, sizeof(*it) + len + 1);

	if (!it)
		return;
	memcpy(it->name, name, len);
	it->inode = inode;
	it->seen_ns = now_ns;
	HASH_ADD(hh, *table, inode, sizeof(inode), it);
	if (HASH_COUNT(*table) == before)
		free(it);
	else if (before >= max)
		forget(table, *table);
}

/* The kernel's first namespace alone has this file, and everybody may see it in his own. */
static uint32_t own_if_first(const struct netns_names *ns)
{
	if (faccessat(ns->proc_fd, "sys/net/core/netdev_budget", F_OK, 0))
		return 0;
	return proc_ns_inode(ns->proc_fd, "thread-self/ns/net");
}

/* That of pid 1, or of the first kernel thread where pid 1 may not be looked at, or portlog's own when it is the first. */
uint32_t netns_names_host(const struct netns_names *ns)
{
	uint32_t inode = proc_ns_inode(ns->proc_fd, "1/ns/net");
	struct proc_stat st;
	char text[512];
	size_t len;

	if (inode)
		return inode;
	if (proc_read(ns->proc_fd, "2/stat", text, sizeof(text), &len) || proc_stat_parse(text, &st) ||
	    st.ppid || strncmp(st.comm, "kthreadd", sizeof(st.comm)))
		return own_if_first(ns); /* in a pid namespace 2 is anybody */
	inode = proc_ns_inode(ns->proc_fd, "2/ns/net");
	return inode ? inode : own_if_first(ns);
}

static int open_dir(const struct netns_names *ns)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK;
	int fd = openat(ns->root_fd, "run/netns", flags);

	return fd >= 0 ? fd : openat(ns->root_fd, "var/run/netns", flags);
}

/* Takes @dir_fd over. */
static void read_dir(struct netns_names *ns, int dir_fd)
{
	DIR *dir = fdopendir(dir_fd);
	struct dirent *d;
	struct stat st;

	if (!dir) {
		close(dir_fd);
		return;
	}
	while (HASH_COUNT(ns->mounted) < MOUNTED_MAX && (d = readdir(dir))) {
		if (d->d_name[0] != '.' && !fstatat(dirfd(dir), d->d_name, &st, 0) &&
		    !lookup(ns->mounted, (uint32_t)st.st_ino))
			remember(&ns->mounted, (uint32_t)st.st_ino, d->d_name, 0, MOUNTED_MAX);
	}
	closedir(dir);
}

/*
 * Names are read again when the directory changed, or when @missed: a new one is mounted a moment after its file is made,
 * and mounting changes no time stamp. Seldom enough that a stream of unknown numbers costs nothing.
 */
static void refresh(struct netns_names *ns, bool missed, uint64_t now_ns)
{
	auto_close int dir_fd = -1;
	struct stat st = { 0 };

	if (ns->checked && now_ns - ns->checked_ns < CHECK_NS)
		return;
	ns->checked = true;
	ns->checked_ns = now_ns;
	if (!ns->host)
		ns->host = netns_names_host(ns);
	dir_fd = open_dir(ns);
	if (dir_fd >= 0)
		(void)fstat(dir_fd, &st);
	if (!missed && st.st_mtim.tv_sec == ns->dir_mtime.tv_sec &&
	    st.st_mtim.tv_nsec == ns->dir_mtime.tv_nsec)
		return;
	ns->dir_mtime = st.st_mtim;
	forget_all(&ns->mounted);
	if (dir_fd >= 0)
		read_dir(ns, take_fd(dir_fd));
}

/* The name that the system itself gives it. */
static const char *official(struct netns_names *ns, uint32_t inode, uint64_t now_ns)
{
	struct named *it;

	refresh(ns, inode != ns->host && !lookup(ns->mounted, inode), now_ns);
	if (inode == ns->host)
		return "host";
	it = lookup(ns->mounted, inode);
	return it ? it->name : NULL;
}

const char *netns_names_find(struct netns_names *ns, uint32_t inode, uint64_t now_ns)
{
	const char *name = inode ? official(ns, inode, now_ns) : NULL;
	struct named *it = name || !inode ? NULL : lookup(ns->learned, inode);

	return it ? it->name : name;
}

void netns_names_learn(struct netns_names *ns, uint32_t inode, const char *name, uint64_t now_ns)
{
	struct named *it;

	/* as long as the host's is not known, a container that shares it would give it its own name */
	if (!inode || !name || !name[0] || official(ns, inode, now_ns) || !ns->host)
		return;
	it = lookup(ns->learned, inode);
	if (it && !strcmp(it->name, name))
		it->seen_ns = now_ns;
	if (it && now_ns - it->seen_ns < SURE_NS)
		return;
	if (it)
		forget(&ns->learned, it);
	remember(&ns->learned, inode, name, now_ns, LEARNED_MAX);
}

struct netns_names *netns_names_free(struct netns_names *ns)
{
	if (!ns)
		return NULL;
	forget_all(&ns->mounted);
	forget_all(&ns->learned);
	free(ns);
	return NULL;
}

struct netns_names *netns_names_new(int root_fd, int proc_fd)
{
	struct netns_names *ns = calloc(1, sizeof(*ns));

	if (!ns)
		return NULL;
	ns->root_fd = root_fd;
	ns->proc_fd = proc_fd;
	return ns;
}
