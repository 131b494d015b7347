/* SPDX-License-Identifier: GPL-2.0-only */
/* Files of other programs: whoever writes them may put anything in their place. */
#include "enrich/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "util/cleanup.h"

int file_read(int root_fd, const char *path, int flags, size_t max, char **ret_text, size_t *ret_len)
{
	auto_close int fd = openat(root_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | flags);
	auto_free char *text = NULL;
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode) || (size_t)st.st_size > max)
		return -EINVAL;
	text = malloc((size_t)st.st_size + 1);
	if (!text)
		return -ENOMEM;
	n = read(fd, text, (size_t)st.st_size);
	if (n < 0)
		return -errno;

	text[n] = '\0';
	*ret_len = (size_t)n;
	*ret_text = take(text);
	return 0;
}

void dir_walk(int root_fd, const char *path, size_t max, bool (*each)(void *arg, const char *name), void *arg)
{
	int fd = openat(root_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_DIRECTORY);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *d;

	if (!dir && fd >= 0)
		close(fd);
	for (size_t n = 0; dir && n < max && (d = readdir(dir)); n++) {
		if (each(arg, d->d_name))
			break;
	}
	if (dir)
		closedir(dir);
}
