/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's types: one table of names over them, and a small copy of some. */
#include "source/kernel_btf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/buf.h"
#include "util/cleanup.h"
#include "util/fail.h"

#define TYPES_MAX (1u << 24)

/* Ids by hash of the name. */
struct names {
	uint32_t *slots; /* 0: empty; NULL: nobody has asked yet */
	uint32_t mask;
};

struct kernel_btf {
	unsigned char *data;
	size_t mapped;              /* bytes of data that are the kernel's own pages; 0: data is allocated */
	const unsigned char *types; /* inside data */
	const char *strings;        /* inside data; ends with a NUL */
	uint32_t types_len, strings_len;
	uint32_t n;          /* types; ids are 1 to n */
	uint32_t *offsets;   /* by id: where the type begins in types */
	struct names *names; /* two: of functions, which are the half of all, and of the other types */
};

struct kernel_btf *kernel_btf_close(struct kernel_btf *k)
{
	if (!k)
		return NULL;
	if (k->mapped)
		munmap(k->data, k->mapped);
	else
		free(k->data);
	free(k->offsets);
	for (int i = 0; k->names && i < 2; i++)
		free(k->names[i].slots);
	free(k->names);
	free(k);
	return NULL;
}

static int nonsense(void)
{
	return fail(-EPROTO, "the kernel's BTF makes no sense");
}

static const struct btf_type *type_by_id(const struct kernel_btf *k, uint32_t id)
{
	return id && id <= k->n ? (const struct btf_type *)(k->types + k->offsets[id]) : NULL;
}

static const char *type_name(const struct kernel_btf *k, const struct btf_type *t)
{
	return t->name_off < k->strings_len ? k->strings + t->name_off : "";
}

/* How a kind is laid out behind struct btf_type, and where it names other types. */
struct layout {
	uint8_t fixed;    /* bytes */
	uint8_t each;     /* bytes of each of its vlen entries */
	bool refers;      /* the type member is an id */
	bool each_refers; /* each entry has one, at 4 */
	bool named;       /* one that is looked for by name */
	bool known;
};

static const struct layout layouts[] = {
	[BTF_KIND_INT] = { .known = true, .fixed = 4 },
	[BTF_KIND_PTR] = { .known = true },
	[BTF_KIND_ARRAY] = { .known = true, .fixed = sizeof(struct btf_array) },
	[BTF_KIND_STRUCT] = { .known = true, .each = 12, .each_refers = true, .named = true },
	[BTF_KIND_UNION] = { .known = true, .each = 12, .each_refers = true, .named = true },
	[BTF_KIND_ENUM] = { .known = true, .each = 8, .named = true },
	[BTF_KIND_FWD] = { .known = true },
	[BTF_KIND_TYPEDEF] = { .known = true, .refers = true, .named = true },
	[BTF_KIND_VOLATILE] = { .known = true, .refers = true },
	[BTF_KIND_CONST] = { .known = true, .refers = true },
	[BTF_KIND_RESTRICT] = { .known = true, .refers = true },
	[BTF_KIND_FUNC] = { .known = true, .named = true },
	[BTF_KIND_FUNC_PROTO] = { .known = true, .each = 8 },
	[BTF_KIND_VAR] = { .known = true, .fixed = 4 },
	[BTF_KIND_DATASEC] = { .known = true, .each = 12 },
	[BTF_KIND_FLOAT] = { .known = true },
	[BTF_KIND_DECL_TAG] = { .known = true, .fixed = 4 },
	[BTF_KIND_TYPE_TAG] = { .known = true, .refers = true },
	[BTF_KIND_ENUM64] = { .known = true, .each = 12, .named = true },
};

static const struct layout *layout_of(const struct btf_type *t)
{
	unsigned kind = BTF_INFO_KIND(t->info);

	return kind < ARRAY_SIZE(layouts) && layouts[kind].known ? &layouts[kind] : NULL;
}

static size_t type_size(const struct btf_type *t, const struct layout *l)
{
	return sizeof(*t) + l->fixed + (size_t)l->each * BTF_INFO_VLEN(t->info);
}

/* ---- reading ---- */

static int read_into(struct kernel_btf *k, int fd, const char *path, size_t size, size_t *ret_len)
{
	size_t len = 0;
	ssize_t n = 1;

	k->data = malloc(size);
	if (!k->data)
		return fail(-ENOMEM, "read the kernel's BTF");
	for (; n > 0 && len < size; len += (size_t)(n > 0 ? n : 0))
		n = read(fd, k->data + len, size - len);
	if (n < 0)
		return fail(-errno, "read %s", path);
	*ret_len = len;
	return 0;
}

/* Linux 6.16 and later (a539e2a6d51d) lend their own pages, which spares a copy of 10 MB; others are read. */
static int read_all(struct kernel_btf *k, const char *path, size_t *ret_len)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *pages;

	if (fd < 0 || fstat(fd, &st))
		return fail(-errno, "read the kernel's BTF: open %s", path);
	pages = st.st_size > 0 ? mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
	if (pages == MAP_FAILED)
		return read_into(k, fd, path, (size_t)st.st_size, ret_len);
	k->data = pages;
	k->mapped = *ret_len = (size_t)st.st_size;
	return 0;
}

static int sections_find(struct kernel_btf *k, size_t len)
{
	const struct btf_header *h = (const struct btf_header *)k->data;
	size_t rest;

	if (len < sizeof(*h) || h->magic != BTF_MAGIC || h->hdr_len < sizeof(*h) || h->hdr_len > len)
		return nonsense();
	rest = len - h->hdr_len;
	if (h->type_off > rest || h->type_len > rest - h->type_off || h->str_off > rest || !h->str_len ||
	    h->str_len > rest - h->str_off || h->type_off % 4 || h->hdr_len % 4)
		return nonsense();
	k->types = k->data + h->hdr_len + h->type_off;
	k->types_len = h->type_len;
	k->strings = (const char *)k->data + h->hdr_len + h->str_off;
	k->strings_len = h->str_len;
	return k->strings[k->strings_len - 1] ? nonsense() : 0;
}

static int types_find(struct kernel_btf *k)
{
	uint32_t room = k->types_len / sizeof(struct btf_type) + 1, at = 0;

	k->offsets = room < TYPES_MAX ? malloc((room + 1) * sizeof(*k->offsets)) : NULL;
	if (!k->offsets)
		return fail(-ENOMEM, "read the kernel's BTF");
	while (at < k->types_len) {
		const struct btf_type *t = (const struct btf_type *)(k->types + at);
		const struct layout *l = k->types_len - at < sizeof(*t) ? NULL : layout_of(t);

		if (!l || type_size(t, l) > k->types_len - at)
			return nonsense();
		k->offsets[++k->n] = at;
		at += (uint32_t)type_size(t, l);
	}
	return 0;
}

static uint32_t name_hash(const char *name)
{
	uint32_t h = 2166136261u;

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 16777619u;
	return h ^ h >> 15;
}

static bool is_function(const struct btf_type *t)
{
	return BTF_INFO_KIND(t->info) == BTF_KIND_FUNC;
}

static bool is_named(const struct btf_type *t, bool functions)
{
	return t->name_off && layout_of(t)->named && is_function(t) == functions;
}

/* A table of the names of functions, or of the others; made when the first is looked for. NULL: out of memory. */
static const struct names *names_of(const struct kernel_btf *k, bool functions)
{
	struct names *names = &k->names[functions];
	uint32_t size = 1024, n = 0, at;

	if (names->slots)
		return names;
	for (uint32_t id = 1; id <= k->n; id++)
		n += is_named(type_by_id(k, id), functions);
	while (size < n + n / 2)
		size *= 2;
	names->mask = size - 1;
	names->slots = calloc(size, sizeof(*names->slots));
	for (uint32_t id = 1; names->slots && id <= k->n; id++) {
		const struct btf_type *t = type_by_id(k, id);

		if (!is_named(t, functions))
			continue;
		for (at = name_hash(type_name(k, t)) & names->mask; names->slots[at];
		     at = (at + 1) & names->mask)
			;
		names->slots[at] = id;
	}
	return names->slots ? names : NULL;
}

int kernel_btf_open(const char *path, struct kernel_btf **ret)
{
	struct kernel_btf *k = calloc(1, sizeof(*k));
	size_t len = 0;
	int r;

	if (!k)
		return fail(-ENOMEM, "read the kernel's BTF");
	r = read_all(k, path, &len);
	if (!r)
		r = sections_find(k, len);
	if (!r)
		r = types_find(k);
	k->names = calloc(2, sizeof(*k->names));
	if (!r && !k->names)
		r = fail(-ENOMEM, "read the kernel's BTF");
	if (r < 0)
		kernel_btf_close(k);
	else
		*ret = k;
	return r;
}

/* ---- asking ---- */

/* The next type called @name from place *@at of the table on; 0: no more. */
static uint32_t named_next(const struct kernel_btf *k, const struct names *names, const char *name,
			   uint32_t *at)
{
	uint32_t id;

	while (names && (id = names->slots[*at & names->mask])) {
		++*at;
		if (!strcmp(type_name(k, type_by_id(k, id)), name))
			return id;
	}
	return 0;
}

uint32_t kernel_btf_find(const struct kernel_btf *k, const char *name, unsigned kind)
{
	const struct names *names = names_of(k, kind == BTF_KIND_FUNC);
	uint32_t at = name_hash(name), id;

	do
		id = named_next(k, names, name, &at);
	while (id && BTF_INFO_KIND(type_by_id(k, id)->info) != kind);
	return id;
}

void kernel_btf_functions(const struct kernel_btf *k, const char *const *names, size_t n, uint32_t *ret_ids)
{
	memset(ret_ids, 0, n * sizeof(*ret_ids));
	for (uint32_t id = 1; id <= k->n; id++) {
		const struct btf_type *t = type_by_id(k, id);
		const char *name = is_function(t) ? type_name(k, t) : NULL;

		for (size_t i = 0; name && i < n; i++)
			if (name[0] == names[i][0] && !strcmp(name, names[i]))
				ret_ids[i] = id;
	}
}

bool kernel_btf_has_word(const struct kernel_btf *k, const char *word)
{
	size_t size = strlen(word) + 1;
	const char *at = k->strings, *end = k->strings + k->strings_len;

	/* Each name ends with a NUL, and so does the one before it: the first of all is empty. */
	while ((at = memmem(at, (size_t)(end - at), word, size))) {
		if (at > k->strings && !at[-1])
			return true;
		at++;
	}
	return false;
}

unsigned kernel_btf_tracepoint(const struct kernel_btf *k, const char *name)
{
	const struct btf_type *t;
	char typedef_name[96];

	/* A typedef of a pointer to the function's type. */
	snprintf(typedef_name, sizeof(typedef_name), "btf_trace_%s", name);
	t = type_by_id(k, kernel_btf_find(k, typedef_name, BTF_KIND_TYPEDEF));
	t = t ? type_by_id(k, t->type) : NULL;
	t = t && BTF_INFO_KIND(t->info) == BTF_KIND_PTR ? type_by_id(k, t->type) : NULL;
	return t && BTF_INFO_KIND(t->info) == BTF_KIND_FUNC_PROTO ? BTF_INFO_VLEN(t->info) : 0;
}

/* ---- a small copy ---- */

struct extract {
	const struct kernel_btf *k;
	uint32_t *new_ids; /* by id of the kernel; 0: left out */
	uint32_t *kept;    /* the kernel's ids, in the order of the new ones */
	uint32_t n;
	uint32_t types_len;
	struct buf strings;
};

static void keep(struct extract *x, uint32_t id)
{
	const struct btf_type *t = type_by_id(x->k, id);

	if (!t || x->new_ids[id])
		return;
	x->kept[x->n++] = id;
	x->new_ids[id] = x->n;
	x->types_len += (uint32_t)type_size(t, layout_of(t));
}

/* Types that @t contains; what a pointer points at is not one. */
static void keep_parts(struct extract *x, const struct btf_type *t)
{
	const struct layout *l = layout_of(t);
	const unsigned char *entry = (const unsigned char *)(t + 1);

	if (l->refers)
		keep(x, t->type);
	if (BTF_INFO_KIND(t->info) == BTF_KIND_ARRAY) {
		keep(x, ((const struct btf_array *)entry)->type);
		keep(x, ((const struct btf_array *)entry)->index_type);
	}
	for (unsigned i = 0; l->each_refers && i < BTF_INFO_VLEN(t->info); i++)
		keep(x, ((const struct btf_member *)(entry + (size_t)i * l->each))->type);
}

static void keep_named(struct extract *x, const char *name)
{
	uint32_t at = name_hash(name), id;

	while ((id = named_next(x->k, names_of(x->k, false), name, &at)))
		keep(x, id);
}

/* 0 is void. */
static uint32_t new_id(const struct extract *x, uint32_t id)
{
	return id <= x->k->n ? x->new_ids[id] : 0;
}

/* Where a name is in the copy's own strings; a name of many members is there many times, which does no harm. */
static uint32_t new_name(struct extract *x, uint32_t offset)
{
	uint32_t at = (uint32_t)x->strings.len;
	const char *name = offset && offset < x->k->strings_len ? x->k->strings + offset : "";

	if (!*name)
		return 0;
	buf_put(&x->strings, name, strlen(name) + 1);
	return at;
}

/* Entries of these kinds begin with a name. */
static bool has_names(unsigned kind)
{
	return kind == BTF_KIND_STRUCT || kind == BTF_KIND_UNION || kind == BTF_KIND_ENUM ||
	       kind == BTF_KIND_ENUM64 || kind == BTF_KIND_FUNC_PROTO;
}

static void rename_all(struct extract *x, struct btf_type *t)
{
	const struct layout *l = layout_of(t);
	unsigned char *entry = (unsigned char *)(t + 1);

	t->name_off = new_name(x, t->name_off);
	for (unsigned i = 0; has_names(BTF_INFO_KIND(t->info)) && i < BTF_INFO_VLEN(t->info); i++) {
		uint32_t *name_off = (uint32_t *)(entry + (size_t)i * l->each);

		*name_off = new_name(x, *name_off);
	}
}

static void renumber(const struct extract *x, struct btf_type *t)
{
	const struct layout *l = layout_of(t);
	unsigned char *entry = (unsigned char *)(t + 1);

	if (l->refers)
		t->type = new_id(x, t->type);
	if (BTF_INFO_KIND(t->info) == BTF_KIND_PTR)
		t->type = 0; /* void */
	if (BTF_INFO_KIND(t->info) == BTF_KIND_ARRAY) {
		struct btf_array *a = (struct btf_array *)entry;

		a->type = new_id(x, a->type);
		a->index_type = new_id(x, a->index_type);
	}
	for (unsigned i = 0; l->each_refers && i < BTF_INFO_VLEN(t->info); i++) {
		struct btf_member *m = (struct btf_member *)(entry + (size_t)i * l->each);

		m->type = new_id(x, m->type);
	}
}

static int extract_write(struct extract *x, int *ret_fd)
{
	struct btf_header head = {
		.magic = BTF_MAGIC,
		.version = BTF_VERSION,
		.hdr_len = sizeof(head),
		.type_len = x->types_len,
		.str_off = x->types_len,
	};
	auto_close int fd = memfd_create("btf", MFD_CLOEXEC);
	auto_free unsigned char *types = malloc(x->types_len + 1);
	uint32_t at = 0;

	if (fd < 0 || !types)
		return fail(fd < 0 ? -errno : -ENOMEM, "make a small BTF");
	for (uint32_t i = 0; i < x->n; i++) {
		const struct btf_type *t = type_by_id(x->k, x->kept[i]);
		size_t size = type_size(t, layout_of(t));

		memcpy(types + at, t, size);
		renumber(x, (struct btf_type *)(types + at));
		rename_all(x, (struct btf_type *)(types + at));
		at += (uint32_t)size;
	}
	if (x->strings.error)
		return fail(x->strings.error, "make a small BTF");
	head.str_len = (uint32_t)x->strings.len;
	if (write(fd, &head, sizeof(head)) != sizeof(head) || write(fd, types, at) != (ssize_t)at ||
	    write(fd, x->strings.data, head.str_len) != (ssize_t)head.str_len)
		return fail(-EIO, "write a small BTF");
	*ret_fd = take_fd(fd);
	return 0;
}

int kernel_btf_extract(const struct kernel_btf *k, const char *const *names, size_t n, int *ret_fd)
{
	auto_free uint32_t *new_ids = calloc((size_t)k->n + 1, sizeof(*new_ids));
	auto_free uint32_t *kept = calloc((size_t)k->n + 1, sizeof(*kept));
	struct extract x = { .k = k, .new_ids = new_ids, .kept = kept };
	int r;

	if (!new_ids || !kept)
		return fail(-ENOMEM, "make a small BTF");
	for (size_t i = 0; i < n; i++)
		keep_named(&x, names[i]);
	for (uint32_t i = 0; i < x.n; i++) /* grows while it is walked */
		keep_parts(&x, type_by_id(k, x.kept[i]));
	buf_putc(&x.strings, '\0'); /* the name of what has none */
	r = extract_write(&x, ret_fd);
	buf_done(&x.strings);
	return r;
}
