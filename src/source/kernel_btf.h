/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the running kernel says of its types (BTF), as far as a tracer asks. libbpf can say all of it too, but it looks
 * through more than 100,000 types once for each type that our programs name, at each start. Here they are read once, and
 * libbpf is handed a description that has only what our programs name. Format: Documentation/bpf/btf.rst.
 */
#ifndef SOURCE_KERNEL_BTF_H
#define SOURCE_KERNEL_BTF_H

#include <linux/btf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kernel_btf;

/* 0; negative errno with a story, -EPROTO when it makes no sense. */
int kernel_btf_open(const char *path, struct kernel_btf **ret);
struct kernel_btf *kernel_btf_close(struct kernel_btf *k); /* NULL is fine; always returns NULL */

/* The id of a type by name and BTF_KIND_*; 0: there is none. */
uint32_t kernel_btf_find(const struct kernel_btf *k, const char *name, unsigned kind);

/* Ids of the functions @names in one pass, which for a few costs less than the table that kernel_btf_find() makes; 0: none. */
void kernel_btf_functions(const struct kernel_btf *k, const char *const *names, size_t n, uint32_t *ret_ids);

/* Does any type, member or enumerator have this very name? What has no type of its own is found so. */
bool kernel_btf_has_word(const struct kernel_btf *k, const char *word);

/* How many parameters a BTF tracepoint's function has (its private data is the first); 0: there is no such tracepoint. */
unsigned kernel_btf_tracepoint(const struct kernel_btf *k, const char *name);

/*
 * The same in small: the structs, unions, enums and typedefs that have one of @names, and what they contain; pointers
 * lead nowhere. A file without a name to be read from its beginning; the caller closes *ret_fd. 0 or negative errno.
 */
int kernel_btf_extract(const struct kernel_btf *k, const char *const *names, size_t n, int *ret_fd);

#endif
