/* SPDX-License-Identifier: GPL-2.0-only */
/* Cheap questions to the kernel's BTF: does it have a thing of this name? For differences that no type shows. */
#ifndef SOURCE_KERNEL_NAMES_H
#define SOURCE_KERNEL_NAMES_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Which of @names are names of a type, member, function or constant: ret[i]. 0; negative errno without a story when there
 * is no BTF to be read (then nothing is written).
 */
int kernel_names_find(const char *const *names, size_t n, bool *ret);

#endif
