/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files that load BPF objects share: what libbpf says, what a refusal means, iterators. For source/bpf*.c alone. */
#ifndef SOURCE_BPF_COMMON_H
#define SOURCE_BPF_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "source/kernel_btf.h"

#define KERNEL_BTF "/sys/kernel/btf/vmlinux"

void bpf_prepare(void);     /* before the first object is opened */
const char *bpf_said(void); /* what libbpf complained of first; "": of nothing */
void bpf_said_clear(void);  /* what libbpf complained of so far is another attempt's */

/* The story of what could not be done, and the one fix that fits this machine. Returns @error. */
int bpf_cannot_load(int error, const char *doing);

/* The remedy of a story told elsewhere, if a limit of this process is to blame. Returns @error. */
int bpf_limit_hint(int error);
bool bpf_in_user_namespace(void); /* not the first one: its root has no say over the kernel */

/* Inode of portlog's own pid namespace; 0: the first one, where a process has the number that the kernel calls it by. */
unsigned bpf_own_pidns(void);

/*
 * A description of the kernel's types that has only what the object at @elf names, to be read from its beginning; the
 * caller closes it. -1: none, a help only: without it libbpf looks for each type in all that the kernel has.
 */
int bpf_small_btf(const struct kernel_btf *k, const void *elf, size_t size);

/* @pid 0: every process. Older kernels cannot pick one: -ENOTSUP. Else 0 or negative errno with a story. */
int bpf_iterator_open(int program, const char *name, uint32_t pid, int *ret_link, int *ret_fd);
ssize_t bpf_iterator_read(int fd, void *rows, size_t size); /* 0: the end; negative errno with a story */

#endif
