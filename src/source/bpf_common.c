/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files that load BPF objects share: what libbpf says, what a refusal means, iterators. For source/bpf*.c alone. */
#include "source/bpf_common.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/fail.h"

#define FDS_LEAST 64             /* what loading needs, and some */
#define MEMORY_LEAST (64u << 20) /* of address space: the program, maps and the kernel's BTF */
#define NAMES_MAX 512
#define PIDNS_FIRST 0xeffffffcu /* PROC_PID_INIT_INO, include/linux/proc_ns.h */

static _Thread_local char libbpf_said[256];

/* libbpf's words are kept for our own story: a verifier log on the terminal helps nobody. */
static int __attribute__((format(printf, 2, 0)))
libbpf_print(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	if (level == LIBBPF_WARN && !libbpf_said[0]) {
		vsnprintf(libbpf_said, sizeof(libbpf_said), fmt, ap);
		libbpf_said[strcspn(libbpf_said, "\n")] = '\0';
	}
	return 0;
}

const char *bpf_said(void)
{
	return libbpf_said;
}

void bpf_said_clear(void)
{
	libbpf_said[0] = '\0';
}

static int file_first_line(const char *path, char *text, size_t size)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);

	if (n < 0)
		return -errno;
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return 0;
}

/* In the first user namespace every number stands for itself; root of another one has no say over the kernel. */
bool bpf_in_user_namespace(void)
{
	unsigned inside, outside, count;
	char line[128];

	return !file_first_line("/proc/self/uid_map", line, sizeof(line)) &&
	       sscanf(line, "%u %u %u", &inside, &outside, &count) == 3 &&
	       (inside || outside || count != UINT32_MAX);
}

static bool is_limited(int resource, rlim_t least)
{
	struct rlimit limit;

	return !getrlimit(resource, &limit) && limit.rlim_cur < least;
}

/* Less than loading needs: libbpf may say anything then. NULL: there is enough. */
static const char *limit_remedy(int error)
{
	if (error == -EMFILE || is_limited(RLIMIT_NOFILE, FDS_LEAST))
		return "more open files may be needed: ulimit -n 1024";
	if (is_limited(RLIMIT_AS, MEMORY_LEAST))
		return "more address space may be needed: ulimit -v unlimited";
	return NULL;
}

int bpf_limit_hint(int error)
{
	const char *remedy = limit_remedy(error);

	return remedy ? fail_hint(error, "%s", remedy) : error;
}

/* One line that names the fix: what keeps BPF from working is one of a few things. */
int bpf_cannot_load(int error, const char *doing)
{
	bool refused = error == -EPERM || error == -EACCES;
	char line[128];

	if (refused && bpf_in_user_namespace()) {
		fail_text(error, "tracing needs root of the host, not of a user namespace");
		return fail_hint(error, "start portlog outside of it: sudo portlog");
	}
	if (refused && geteuid() != 0) {
		fail_text(error, "tracing needs root");
		return fail_hint(error, "sudo portlog");
	}
	if (libbpf_said[0])
		fail(error, "%s: %s", doing, libbpf_said);
	else
		fail(error, "%s", doing);
	if (limit_remedy(error))
		return bpf_limit_hint(error);
	if (access("/sys/kernel", F_OK) != 0)
		return fail_hint(
			error,
			"/sys is hidden here, and with it the kernel's BTF: mount -t sysfs sysfs /sys");
	if (access(KERNEL_BTF, R_OK) != 0)
		return fail_hint(error,
				 "the kernel has no BTF (CONFIG_DEBUG_INFO_BTF); kernels of Debian 11, "
				 "Ubuntu 20.10, Fedora 32 and later have it");
	if (!file_first_line("/sys/kernel/security/lockdown", line, sizeof(line)) &&
	    strstr(line, "[confidentiality]"))
		return fail_hint(
			error, "kernel lockdown is set to confidentiality, which forbids BPF to read kernel "
			       "memory: boot with lockdown=integrity");
	if (error == -EPERM || error == -ENOMEM)
		return fail_hint(error,
				 "more locked memory may be needed: ulimit -l unlimited; in a container: "
				 "--privileged, or CAP_SYS_ADMIN and CAP_SYS_RESOURCE");
	return fail_hint(error, "portlog --hooks tracepoint may work where this does not");
}

/* Inode of portlog's own pid namespace; 0: the first one, where a process has the number that the kernel calls it by. */
unsigned bpf_own_pidns(void)
{
	struct stat st;

	return stat("/proc/self/ns/pid", &st) || st.st_ino == PIDNS_FIRST ? 0 : (unsigned)st.st_ino;
}

static void memlock_raise(void)
{
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };

	/* Only kernels before 5.11 count BPF memory here; without CAP_SYS_RESOURCE this fails and later ones do not care. */
	(void)setrlimit(RLIMIT_MEMLOCK, &unlimited);
}

void bpf_prepare(void)
{
	bpf_said_clear();
	libbpf_set_print(libbpf_print);
	memlock_raise();
}

/* Names of what our programs read of the kernel are among those of our own types; "x___y" is another view of x. */
static size_t type_names(const struct btf *btf, char **ret, size_t max)
{
	size_t n = 0;

	for (__u32 id = 1; id < btf__type_cnt(btf) && n < max; id++) {
		const struct btf_type *type = btf__type_by_id(btf, id);
		const char *name = btf__name_by_offset(btf, type->name_off), *flavour;

		if ((!btf_is_composite(type) && !btf_is_any_enum(type)) || !name || !*name)
			continue;
		flavour = strstr(name, "___");
		ret[n] = flavour ? strndup(name, (size_t)(flavour - name)) : strdup(name);
		n += ret[n] ? 1 : 0;
	}
	return n;
}

int bpf_small_btf(const struct kernel_btf *k, const void *elf, size_t size)
{
	char *names[NAMES_MAX];
	int fd = -1;
	size_t n;
	struct bpf_object *object = bpf_object__open_mem(elf, size, NULL);

	if (!object)
		return -1;
	n = type_names(bpf_object__btf(object), names, NAMES_MAX);
	if (kernel_btf_extract(k, (const char *const *)names, n, &fd) < 0)
		fd = -1;
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	bpf_object__close(object);
	return fd;
}

/* @pid 0: every process. Older kernels do not know the filter: E2BIG. */
int bpf_iterator_open(int program, const char *name, uint32_t pid, int *ret_link, int *ret_fd)
{
	union bpf_iter_link_info info = { .task.pid = pid };
	LIBBPF_OPTS(bpf_link_create_opts, opts, .iter_info = &info, .iter_info_len = sizeof(info));
	int link = bpf_link_create(program, 0, BPF_TRACE_ITER, pid ? &opts : NULL);
	int fd;

	if (link < 0 && pid)
		return -ENOTSUP;
	if (link < 0)
		return bpf_limit_hint(fail(-errno, "attach the iterator %s", name));
	fd = bpf_iter_create(link);
	if (fd < 0) {
		int error = -errno;

		close(link);
		return bpf_limit_hint(fail(error, "create the iterator %s", name));
	}
	*ret_link = link;
	*ret_fd = fd;
	return 0;
}

ssize_t bpf_iterator_read(int fd, void *rows, size_t size)
{
	ssize_t n;

	do
		n = read(fd, rows, size);
	while (n < 0 && (errno == EAGAIN || errno == EINTR));
	return n < 0 ? fail(-errno, "read a BPF iterator") : n;
}
