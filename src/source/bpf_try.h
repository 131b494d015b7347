/* SPDX-License-Identifier: GPL-2.0-only */
/* Does bpf(2) work here at all? Tried with a map of one entry, which is gone at once. */
#ifndef SOURCE_BPF_TRY_H
#define SOURCE_BPF_TRY_H

#include <stdbool.h>

int bpf_try_map(void); /* 0 or negative errno */

/* Does the kernel count BPF memory as locked memory, as those before 5.11 do? Known only where bpf_try_map() works. */
bool bpf_counts_memlock(void);

#endif
