/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What /proc knows of a process. All its files are read through one descriptor of its directory, and its start time is
 * compared before and after, so that a number used again is never taken for the process that had it first.
 */
#include "enrich/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "enrich/span.h"
#include "portlog/event.h"
#include "util/cleanup.h"

#define STATUS_MAX 4096
#define CGROUP_FILE_MAX 65536 /* v1 has a line for each controller */
#define NS_A_SECOND 1000000000ull

/* Everything that was read, before it is known to be of the right process. */
struct found {
	struct proc_stat stat;
	char *exe, *args, *cgroup, *legacy;
	size_t args_len;
	bool exe_cut, args_cut;
	bool has_ids; /* or else it would be root's */
	uint32_t uid, gid;
};

static void found_done(struct found *f)
{
	free(f->exe);
	free(f->args);
	free(f->cgroup);
	free(f->legacy);
}

int proc_read(int dir_fd, const char *path, char *text, size_t size, size_t *ret_len)
{
	auto_close int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	size_t len = 0;
	ssize_t n = 1;

	if (fd < 0)
		return -errno;
	while (n > 0 && len < size - 1) {
		n = read(fd, text + len, size - 1 - len);
		if (n < 0)
			return -errno;
		len += (size_t)n;
	}
	text[len] = '\0';
	*ret_len = len;
	return 0;
}

uint32_t proc_ns_inode(int dir_fd, const char *path)
{
	char link[64] = "";
	struct stat st;
	unsigned inode;

	if (readlinkat(dir_fd, path, link, sizeof(link) - 1) > 0 && sscanf(link, "%*[a-z]:[%u]", &inode) == 1)
		return inode;
	return fstatat(dir_fd, path, &st, 0) ? 0 : (uint32_t)st.st_ino;
}

int proc_stat_parse(const char *text, struct proc_stat *ret)
{
	const char *open = strchr(text, '('), *close = strrchr(text, ')');
	struct proc_stat st = { 0 };
	unsigned long long start;
	unsigned threads;
	size_t len = 0;
	char state;

	/* then state ppid pgrp session tty tpgid flags, 4 fault counts, 4 times, priority nice threads, 0, start */
	if (!open || !close || close < open ||
	    sscanf(close + 1,
		   " %c %u %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %u %*d %llu", &state,
		   &st.ppid, &threads, &start) != 4)
		return -EINVAL;
	st.start_ticks = start;
	st.ended = (state == 'Z' || state == 'X') && threads < 2;
	len = (size_t)(close - open - 1);
	memcpy(st.comm, open + 1, len < sizeof(st.comm) ? len : sizeof(st.comm));
	*ret = st;
	return 0;
}

/* The kernel cuts the nanoseconds to ticks; a tick either way is allowed for rounding. */
static bool same_process(int pid_dir, const struct process_key *key, struct proc_stat *ret)
{
	uint64_t tick_ns = NS_A_SECOND / (uint64_t)sysconf(_SC_CLK_TCK);
	uint64_t ticks = key->start_ns / tick_ns;
	char text[1024];
	size_t len = 0;

	if (proc_read(pid_dir, "stat", text, sizeof(text), &len) || proc_stat_parse(text, ret))
		return false;
	return ret->start_ticks + 1 >= ticks && ret->start_ticks <= ticks + 1;
}

static int read_exe(int pid_dir, struct found *f)
{
	char path[PATH_MAX];
	ssize_t n = readlinkat(pid_dir, "exe", path, sizeof(path));
	struct span exe = { path, (size_t)n };

	if (n <= 0)
		return 0; /* a kernel thread, or not ours to see */
	f->exe_cut = exe.len == sizeof(path);
	cut_suffix(&exe, " (deleted)"); /* the kernel's word that the file is not there any more */
	f->exe = span_dup(exe);
	return f->exe ? 0 : -ENOMEM;
}

static int read_args(int pid_dir, struct found *f)
{
	char text[PL_ARGS_MAX + 2];
	size_t len = 0;

	if (proc_read(pid_dir, "cmdline", text, sizeof(text), &len) || !len)
		return 0;
	f->args_cut = len > PL_ARGS_MAX;
	f->args_len = f->args_cut ? PL_ARGS_MAX : len;
	/* a process that wrote a title over it may have left no NUL */
	if (text[f->args_len - 1] && !f->args_cut)
		f->args_len++;
	text[f->args_len - 1] = '\0';
	f->args = malloc(f->args_len);
	if (!f->args)
		return -ENOMEM;
	memcpy(f->args, text, f->args_len);
	return 0;
}

/* Lines are "hierarchy:controllers:path"; v2 is "0::path". Of v1 take systemd's, else the first that says something. */
static int read_cgroup(int pid_dir, struct found *f)
{
	auto_free char *text = malloc(CGROUP_FILE_MAX);
	const char *v2 = NULL, *v1 = NULL;
	char *rest = text, *line;
	size_t len = 0;

	if (!text)
		return -ENOMEM;
	if (proc_read(pid_dir, "cgroup", text, CGROUP_FILE_MAX, &len) || !len)
		return 0;
	while ((line = strsep(&rest, "\n"))) {
		const char *controllers = strchr(line, ':');
		const char *path = controllers ? strchr(controllers + 1, ':') : NULL;

		if (!path || path[1] != '/')
			continue;
		if (!strncmp(line, "0::", 3))
			v2 = path + 1;
		else if (path[2] && (!v1 || !strncmp(controllers, ":name=systemd:", 14)))
			v1 = path + 1;
	}
	if (v1 && (!v2 || !strcmp(v2, "/")))
		f->legacy = strdup(v1);
	if (v2)
		f->cgroup = strdup(v2);
	return (v2 && !f->cgroup) ? -ENOMEM : 0;
}

static bool read_ids(int pid_dir, struct found *f)
{
	char text[STATUS_MAX];
	const char *at;
	size_t len = 0;

	if (proc_read(pid_dir, "status", text, sizeof(text), &len))
		return false;
	/* real, effective, saved, file system; the name in a line above cannot have a raw newline */
	at = strstr(text, "\nUid:");
	if (!at || sscanf(at + 5, "%*u %u", &f->uid) != 1)
		return false;
	at = strstr(text, "\nGid:");
	return at && sscanf(at + 5, "%*u %u", &f->gid) == 1;
}

/* An exec since then shows in the name: exe and argv would be the next program's. */
static bool same_program(const struct process *p, const struct found *f)
{
	return !p->comm[0] || !strncmp(p->comm, f->stat.comm, sizeof(p->comm) - 1);
}

static void adopt(struct process *p, struct found *f, char **ret_legacy)
{
	if (!p->exe && same_program(p, f)) {
		p->exe = take(f->exe);
		p->exe_cut = f->exe_cut;
	}
	if (!p->args && same_program(p, f)) {
		p->args = take(f->args);
		p->args_len = p->args ? f->args_len : 0;
		p->args_cut = p->args && f->args_cut;
	}
	if (!p->cgroup)
		p->cgroup = take(f->cgroup);
	if (!p->ppid)
		p->ppid = f->stat.ppid;
	if (!p->comm[0] && f->has_ids) {
		memcpy(p->comm, f->stat.comm, sizeof(p->comm));
		p->uid = f->uid;
		p->gid = f->gid;
	}
	*ret_legacy = take(f->legacy);
}

int proc_fill(int proc_fd, struct process *p, char **ret_legacy)
{
	__attribute__((cleanup(found_done))) struct found f = { 0 };
	auto_close int pid_dir = -1;
	struct proc_stat after;
	char path[16];

	*ret_legacy = NULL;
	snprintf(path, sizeof(path), "%u", p->key.pid);
	pid_dir = openat(proc_fd, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (pid_dir < 0 || !same_process(pid_dir, &p->key, &f.stat))
		return PROC_GONE;

	if ((!p->exe && read_exe(pid_dir, &f)) || (!p->args && read_args(pid_dir, &f)) ||
	    read_cgroup(pid_dir, &f))
		return -ENOMEM;
	if (!p->comm[0])
		f.has_ids = read_ids(pid_dir, &f);
	if (!same_process(pid_dir, &p->key, &after))
		return PROC_GONE;
	adopt(p, &f, ret_legacy);
	return 0;
}

int proc_fill_cgroup(int proc_fd, struct process *p, char **ret_legacy)
{
	__attribute__((cleanup(found_done))) struct found f = { 0 };
	auto_close int pid_dir = -1;
	struct proc_stat after;
	char path[16];

	*ret_legacy = NULL;
	snprintf(path, sizeof(path), "%u", p->key.pid);
	pid_dir = openat(proc_fd, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (pid_dir < 0)
		return PROC_GONE;
	if (read_cgroup(pid_dir, &f))
		return -ENOMEM;
	/* The directory is one process's for good: one look, afterwards, says whose file that was. */
	if (!same_process(pid_dir, &p->key, &after))
		return PROC_GONE;
	if (!p->cgroup)
		p->cgroup = take(f.cgroup);
	*ret_legacy = take(f.legacy);
	return 0;
}
