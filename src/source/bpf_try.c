/* SPDX-License-Identifier: GPL-2.0-only */
/* Does bpf(2) work here at all? */
#include "source/bpf_try.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/cleanup.h"

int bpf_try_map(void)
{
	auto_close int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "portlog_try", sizeof(uint32_t),
					   sizeof(uint64_t), 1, NULL);

	return fd < 0 ? -errno : 0;
}

/* In a child that may lock nothing, so that no limit of ours changes. */
bool bpf_counts_memlock(void)
{
	const struct rlimit none = { 0, 0 };
	pid_t child = fork();
	int status = 0;

	if (child < 0)
		return false;
	if (child == 0)
		_exit(!setrlimit(RLIMIT_MEMLOCK, &none) && bpf_try_map() == -EPERM);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) && WEXITSTATUS(status) == 1;
}
