/* SPDX-License-Identifier: GPL-2.0-only */
/* The cgroup v2 hierarchy: where it is mounted, and what the path of an id in it is. */
#include "enrich/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>

#include "enrich/span.h"
#include "util/cleanup.h"

#define MOUNTINFO_MAX (1 << 16)
#define CGROUP_ID_HANDLE 0xfe /* FILEID_KERNFS, linux/exportfs.h: a file handle of kernfs is the 64-bit id */

/* mountinfo writes space, tab, newline and backslash as \040 and so on. 0, or -ENAMETOOLONG. */
static int unescape_octal(struct span s, char *ret, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++, n++) {
		const char *c = s.at + i;
		bool octal = *c == '\\' && i + 3 < s.len && c[1] >= '0' && c[1] <= '3' && c[2] >= '0' &&
			     c[2] <= '7' && c[3] >= '0' && c[3] <= '7';

		if (n + 1 >= size)
			return -ENAMETOOLONG;
		ret[n] = octal ? (char)((c[1] - '0') << 6 | (c[2] - '0') << 3 | (c[3] - '0')) : *c;
		i += octal ? 3 : 0;
	}
	ret[n] = '\0';
	return 0;
}

/* The next word of a line, up to a space; an empty one at its end. */
static struct span take_word(struct span *line)
{
	struct span word = { line->at, 0 };

	while (word.len < line->len && line->at[word.len] != ' ')
		word.len++;
	line->at += word.len;
	line->len -= word.len;
	cut_prefix(line, " ");
	return word;
}

/* A line is "id parent major:minor root mountpoint options [optional...] - fstype source options". */
static bool is_cgroup2(struct span line, struct span *ret_root, struct span *ret_point)
{
	struct span word;

	for (int i = 0; i < 3; i++)
		take_word(&line);
	*ret_root = take_word(&line);
	*ret_point = take_word(&line);
	do
		word = take_word(&line);
	while (line.len && !span_is(word, "-"));
	return span_is(take_word(&line), "cgroup2");
}

int cgroup2_mount(const char *mountinfo, char *ret_path, size_t size)
{
	struct span best = { 0 };

	for (const char *at = mountinfo; *at;) {
		const char *end = strchrnul(at, '\n');
		struct span root, point;

		/* one that shows the whole hierarchy is better than a part of it bound somewhere */
		if (is_cgroup2((struct span){ at, (size_t)(end - at) }, &root, &point) &&
		    (!best.at || span_is(root, "/"))) {
			best = point;
			if (span_is(root, "/"))
				break;
		}
		at = *end ? end + 1 : end;
	}
	return best.at ? unescape_octal(best, ret_path, size) : -ENOENT;
}

int cgroup2_find(char *ret_path, size_t size)
{
	auto_free char *text = malloc(MOUNTINFO_MAX);
	auto_close int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n = 1;

	if (!text)
		return -ENOMEM;
	if (fd < 0)
		return -errno;
	while (n > 0 && len < MOUNTINFO_MAX - 1) {
		n = read(fd, text + len, MOUNTINFO_MAX - 1 - len);
		len += n > 0 ? (size_t)n : 0;
	}
	text[len] = '\0';
	return cgroup2_mount(text, ret_path, size);
}

int cgroup_path_by_id(int mount_fd, const char *mount_path, uint64_t id, char *ret_path, size_t size)
{
	union {
		struct file_handle head;
		char room[sizeof(struct file_handle) + sizeof(id)];
	} handle = { .head = { .handle_bytes = sizeof(id), .handle_type = CGROUP_ID_HANDLE } };
	size_t skip = strcmp(mount_path, "/") ? strlen(mount_path) : 0;
	auto_close int fd = -1;
	char link[40], path[PATH_MAX];
	ssize_t n;

	memcpy(handle.room + offsetof(struct file_handle, f_handle), &id, sizeof(id));
	fd = open_by_handle_at(mount_fd, &handle.head, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0)
		return -errno;
	path[n] = '\0';

	/* from a mount that is on no path (a private one) it is already below the hierarchy's root */
	if (strncmp(path, mount_path, skip) || (path[skip] != '/' && path[skip] != '\0'))
		skip = 0;
	if ((size_t)snprintf(ret_path, size, "%s", path[skip] ? path + skip : "/") >= size)
		return -ENAMETOOLONG;
	return 0;
}
