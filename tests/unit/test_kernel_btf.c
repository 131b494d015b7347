/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's types: what is found by name, and the small copy that libbpf is handed. */
#include "source/kernel_btf.h"
#include "util/cleanup.h"
#include "util/fail.h"
#undef fail /* cmocka has one of its own */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- a BTF made by hand ---- */

struct maker {
	unsigned char types[4096];
	char strings[1024];
	uint32_t n_types, n_strings, n;
};

static uint32_t add_string(struct maker *m, const char *text)
{
	uint32_t at = m->n_strings;

	memcpy(m->strings + at, text, strlen(text) + 1);
	m->n_strings += (uint32_t)strlen(text) + 1;
	return at;
}

static void add_words(struct maker *m, const uint32_t *words, size_t n)
{
	memcpy(m->types + m->n_types, words, n * 4);
	m->n_types += (uint32_t)n * 4;
}

/* @type: size or type, as the kind has it. */
static uint32_t add_type(struct maker *m, const char *name, unsigned kind, unsigned vlen, uint32_t type)
{
	const uint32_t head[] = { *name ? add_string(m, name) : 0, kind << 24 | vlen, type };

	add_words(m, head, 3);
	return ++m->n;
}

static void add_member(struct maker *m, const char *name, uint32_t type, uint32_t offset)
{
	const uint32_t member[] = { add_string(m, name), type, offset };

	add_words(m, member, 3);
}

static void add_parameters(struct maker *m, unsigned n)
{
	const uint32_t none[2] = { 0 };

	for (unsigned i = 0; i < n; i++)
		add_words(m, none, 2);
}

static size_t finish(const struct maker *m, unsigned char *out)
{
	struct btf_header h = { .magic = BTF_MAGIC,
				.version = BTF_VERSION,
				.hdr_len = sizeof(h),
				.type_len = m->n_types,
				.str_off = m->n_types,
				.str_len = m->n_strings };

	memcpy(out, &h, sizeof(h));
	memcpy(out + sizeof(h), m->types, m->n_types);
	memcpy(out + sizeof(h) + m->n_types, m->strings, m->n_strings);
	return sizeof(h) + m->n_types + m->n_strings;
}

/*
 * struct inner { int x; }; struct far { int x; }; struct outer { struct inner in; struct far *p; row r; };
 * typedef int row[3]; a tracepoint with four parameters, and a function that is called like a struct.
 */
static size_t make(unsigned char *out)
{
	static const uint32_t int_bits = 32;
	struct maker m = { .n_strings = 1 };
	uint32_t number, far, inner, pointer, array, row;
	uint32_t dimension[3];

	far = add_type(&m, "far", BTF_KIND_STRUCT, 1, 4);
	add_member(&m, "x", 2, 0);
	number = add_type(&m, "int", BTF_KIND_INT, 0, 4);
	add_words(&m, &int_bits, 1);
	inner = add_type(&m, "inner", BTF_KIND_STRUCT, 1, 4);
	add_member(&m, "x", number, 0);
	pointer = add_type(&m, "", BTF_KIND_PTR, 0, far);
	array = add_type(&m, "", BTF_KIND_ARRAY, 0, 0);
	dimension[0] = dimension[1] = number;
	dimension[2] = 3;
	add_words(&m, dimension, 3);
	row = add_type(&m, "row", BTF_KIND_TYPEDEF, 0, array);
	add_type(&m, "outer", BTF_KIND_STRUCT, 3, 24);
	add_member(&m, "in", inner, 0);
	add_member(&m, "p", pointer, 64);
	add_member(&m, "r", row, 128);
	add_type(&m, "", BTF_KIND_FUNC_PROTO, 4, 0);
	add_parameters(&m, 4);
	add_type(&m, "", BTF_KIND_PTR, 0, m.n);
	add_type(&m, "btf_trace_poked", BTF_KIND_TYPEDEF, 0, m.n);
	add_type(&m, "btf_trace_odd", BTF_KIND_TYPEDEF, 0, number);
	add_type(&m, "inner", BTF_KIND_FUNC, 0, m.n - 3);
	return finish(&m, out);
}

static int open_bytes(const unsigned char *bytes, size_t len, struct kernel_btf **ret)
{
	auto_close int fd = memfd_create("btf", MFD_CLOEXEC);
	char path[32];

	assert_int_equal(write(fd, bytes, len), len);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return kernel_btf_open(path, ret);
}

static struct kernel_btf *made(void)
{
	unsigned char bytes[8192];
	size_t len = make(bytes);
	struct kernel_btf *k = NULL;

	assert_int_equal(open_bytes(bytes, len, &k), 0);
	return k;
}

/* ---- facts ---- */

static void a_type_is_found_by_name_and_kind(void **state)
{
	struct kernel_btf *k = made();

	(void)state;
	assert_int_equal(kernel_btf_find(k, "far", BTF_KIND_STRUCT), 1);
	assert_int_equal(kernel_btf_find(k, "inner", BTF_KIND_STRUCT), 3);
	assert_int_equal(kernel_btf_find(k, "inner", BTF_KIND_FUNC), 12);
	assert_int_equal(kernel_btf_find(k, "far", BTF_KIND_FUNC), 0);
	assert_int_equal(kernel_btf_find(k, "nothing", BTF_KIND_STRUCT), 0);
	assert_int_equal(kernel_btf_find(k, "", BTF_KIND_STRUCT), 0);
	kernel_btf_close(k);
}

static void functions_are_found_in_one_pass(void **state)
{
	static const char *const names[] = { "nothing", "inner", "far", "inne" };
	uint32_t ids[ARRAY_SIZE(names)] = { 1, 1, 1, 1 };
	struct kernel_btf *k = made();

	(void)state;
	kernel_btf_functions(k, names, ARRAY_SIZE(names), ids);
	assert_int_equal(ids[0], 0);
	assert_int_equal(ids[1], kernel_btf_find(k, "inner", BTF_KIND_FUNC));
	assert_int_equal(ids[2], 0); /* a struct */
	assert_int_equal(ids[3], 0);
	kernel_btf_close(k);
}

static void a_tracepoint_says_its_parameters(void **state)
{
	struct kernel_btf *k = made();

	(void)state;
	assert_int_equal(kernel_btf_tracepoint(k, "poked"), 4);
	assert_int_equal(kernel_btf_tracepoint(k, "odd"), 0);
	assert_int_equal(kernel_btf_tracepoint(k, "missing"), 0);
	kernel_btf_close(k);
}

static struct kernel_btf *extracted(const char *const *names, size_t n)
{
	struct kernel_btf *k = made(), *small = NULL;
	char path[32];
	int fd = -1;

	assert_int_equal(kernel_btf_extract(k, names, n, &fd), 0);
	kernel_btf_close(k);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	assert_int_equal(kernel_btf_open(path, &small), 0);
	close(fd);
	return small;
}

static void a_word_is_found_whole_or_not_at_all(void **state)
{
	struct kernel_btf *k = made();

	(void)state;
	assert_true(kernel_btf_has_word(k, "far")); /* the first */
	assert_true(kernel_btf_has_word(k, "p"));   /* a member's */
	assert_true(kernel_btf_has_word(k, "btf_trace_odd"));
	assert_false(kernel_btf_has_word(k, "ar"));
	assert_false(kernel_btf_has_word(k, "fa"));
	assert_false(kernel_btf_has_word(k, "trace_odd"));
	assert_false(kernel_btf_has_word(k, "nothing"));
	kernel_btf_close(k);
}

static void what_a_type_contains_comes_along(void **state)
{
	struct kernel_btf *small = extracted((const char *const[]){ "outer" }, 1);

	(void)state;
	assert_true(kernel_btf_find(small, "outer", BTF_KIND_STRUCT));
	assert_true(kernel_btf_find(small, "inner", BTF_KIND_STRUCT));
	assert_true(kernel_btf_find(small, "row", BTF_KIND_TYPEDEF));
	kernel_btf_close(small);
}

static void what_a_pointer_points_at_does_not(void **state)
{
	struct kernel_btf *small = extracted((const char *const[]){ "outer" }, 1);

	(void)state;
	assert_false(kernel_btf_find(small, "far", BTF_KIND_STRUCT));
	assert_false(kernel_btf_find(small, "inner", BTF_KIND_FUNC));
	kernel_btf_close(small);
}

static void a_name_that_the_kernel_does_not_have_is_left_out(void **state)
{
	struct kernel_btf *small = extracted((const char *const[]){ "nothing", "far" }, 2);

	(void)state;
	assert_int_equal(kernel_btf_find(small, "far", BTF_KIND_STRUCT), 1);
	assert_false(kernel_btf_find(small, "nothing", BTF_KIND_STRUCT));
	kernel_btf_close(small);
}

static void every_cut_is_refused(void **state)
{
	unsigned char bytes[8192];
	size_t len = make(bytes);
	struct kernel_btf *k = NULL;

	(void)state;
	for (size_t cut = 0; cut < len; cut++) {
		assert_true(open_bytes(bytes, cut, &k) < 0);
		fail_clear();
	}
}

/* Any byte may be wrong: then it is refused or read, and asking does no harm. */
static void no_wrong_byte_does_harm(void **state)
{
	static const char *const names[] = { "outer", "far" };
	unsigned char bytes[8192];
	size_t len = make(bytes);

	(void)state;
	for (size_t i = 0; i < len; i++) {
		struct kernel_btf *k = NULL;
		int fd;

		bytes[i] ^= 0xff;
		if (!open_bytes(bytes, len, &k)) {
			(void)kernel_btf_tracepoint(k, "poked");
			if (!kernel_btf_extract(k, names, 2, &fd))
				close(fd);
		}
		bytes[i] ^= 0xff;
		kernel_btf_close(k);
		fail_clear();
	}
}

static void a_missing_file_is_said(void **state)
{
	struct kernel_btf *k = NULL;

	(void)state;
	assert_int_equal(kernel_btf_open("/nonexistent/btf", &k), -ENOENT);
	assert_non_null(strstr(fail_story(), "/nonexistent/btf"));
	fail_clear();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_type_is_found_by_name_and_kind),
		cmocka_unit_test(functions_are_found_in_one_pass),
		cmocka_unit_test(a_tracepoint_says_its_parameters),
		cmocka_unit_test(a_word_is_found_whole_or_not_at_all),
		cmocka_unit_test(what_a_type_contains_comes_along),
		cmocka_unit_test(what_a_pointer_points_at_does_not),
		cmocka_unit_test(a_name_that_the_kernel_does_not_have_is_left_out),
		cmocka_unit_test(every_cut_is_refused),
		cmocka_unit_test(no_wrong_byte_does_harm),
		cmocka_unit_test(a_missing_file_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
