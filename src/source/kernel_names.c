/* SPDX-License-Identifier: GPL-2.0-only */
/* The table of names in the kernel's BTF: one text with a NUL behind each. */
#include "source/kernel_names.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/btf.h>
#include <string.h>

#include "util/cleanup.h"

#define KERNEL_BTF "/sys/kernel/btf/vmlinux"
#define NAMES_MAX (64u << 20)

static int names_read(char **ret, size_t *ret_len)
{
	auto_close int fd = open(KERNEL_BTF, O_RDONLY | O_CLOEXEC);
	auto_free char *text = NULL;
	struct btf_header head;
	size_t at = 0;
	off_t begin;

	if (fd < 0)
		return -errno;
	if (pread(fd, &head, sizeof(head), 0) != sizeof(head) || head.magic != BTF_MAGIC ||
	    head.str_len > NAMES_MAX)
		return -EPROTO;
	text = malloc(head.str_len + 1);
	if (!text)
		return -ENOMEM;
	begin = (off_t)head.hdr_len + head.str_off;
	while (at < head.str_len) {
		ssize_t n = pread(fd, text + at, head.str_len - at, begin + (off_t)at);

		if (n <= 0)
			return n ? -errno : -EPROTO;
		at += (size_t)n;
	}
	*ret = take(text);
	*ret_len = at;
	return 0;
}

static bool names_have(const char *text, size_t len, const char *name)
{
	size_t size = strlen(name) + 1;
	const char *at = text;

	while ((at = memmem(at, len - (size_t)(at - text), name, size))) {
		if (at == text || !at[-1])
			return true;
		at++;
	}
	return false;
}

int kernel_names_find(const char *const *names, size_t n, bool *ret)
{
	auto_free char *text = NULL;
	size_t len = 0;
	int r = names_read(&text, &len);

	for (size_t i = 0; !r && i < n; i++)
		ret[i] = names_have(text, len, names[i]);
	return r;
}
