/* SPDX-License-Identifier: GPL-2.0-only */
/* Iterators over open files and sockets, without a tracer. */
#include "source/bpf_inventory.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <portlog/event.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "inventory.skel.h"
#include "source/bpf_common.h"
#include "source/kernel_btf.h"
#include "util/cleanup.h"
#include "util/fail.h"

#define ROWS_AT_ONCE 256 /* a seq_file's buffer is 32 KiB, which is about 180 rows */

struct lister {
	struct inventory_bpf *skel;
};

/* ---- iterators, without libbpf's own look at the kernel's types ---- */

#define SECTION "pl_iter"

/* The functions that the programs attach to, by section. */
static const char *const targets[] = { "bpf_iter_task", "bpf_iter_tcp", "bpf_iter_udp", "bpf_iter_unix" };

#define TARGET_UNIX 3 /* before 5.15 there is no iterator over Unix sockets */

static _Thread_local const uint32_t *target_ids; /* while an object is being loaded; 0: the kernel has none */

/*
 * To find the functions that iterators attach to, libbpf would read all of the kernel's BTF into memory, twice 5 to
 * 10 MB for each run. They are known already; so until its load a program of ours is of a kind that attaches to nothing.
 */
static int program_prepare(struct bpf_program *p, struct bpf_prog_load_opts *opts, long cookie)
{
	const char *target = bpf_program__section_name(p) + strlen(SECTION "/");
	int r;

	(void)cookie;
	for (size_t i = 0; i < ARRAY_SIZE(targets); i++)
		if (!strcmp(targets[i] + strlen("bpf_iter_"), target))
			opts->attach_btf_id = target_ids[i];
	if (!opts->attach_btf_id)
		return -ENOENT;
	opts->expected_attach_type = BPF_TRACE_ITER;
	r = bpf_program__set_type(p, BPF_PROG_TYPE_TRACING);
	return r < 0 ? r : bpf_program__set_expected_attach_type(p, BPF_TRACE_ITER);
}

/*
 * The handler is the process's, and stays: libbpf 1.1 frees its list twice when the last one is taken away and another one
 * comes. 0 or negative errno.
 */
static int handler_add(void)
{
	static int handler;
	LIBBPF_OPTS(libbpf_prog_handler_opts, opts, .prog_prepare_load_fn = program_prepare);

	if (handler <= 0)
		handler = libbpf_register_prog_handler(SECTION "+", BPF_PROG_TYPE_RAW_TRACEPOINT, 0, &opts);
	return handler < 0 ? handler : 0;
}

/* ---- loading ---- */

struct lister *lister_close(struct lister *l)
{
	if (!l)
		return NULL;
	inventory_bpf__destroy(l->skel);
	free(l);
	return NULL;
}

static void knobs_set(struct inventory_bpf__rodata *k, const struct lister_options *o)
{
	k->opt_pidns = bpf_own_pidns();
	k->opt_connections = o->connections;
	k->opt_netns_count = (unsigned)o->n_netns;
	for (size_t i = 0; i < o->n_netns; i++)
		k->opt_netns[i] = o->netns[i];
	if (!o->filter)
		return;
	k->opt_ports = o->filter->ports_valid;
	memcpy((void *)k->opt_port_bits, o->filter->ports, sizeof(o->filter->ports));
}

static int skeleton_load(const struct lister_options *o, int small_btf_fd, struct inventory_bpf **ret)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts);
	char path[32];
	int r;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", small_btf_fd);
	if (small_btf_fd >= 0 && !access(path, R_OK))
		opts.btf_custom_path = path;
	*ret = inventory_bpf__open_opts(&opts);
	if (!*ret)
		return bpf_cannot_load(-errno, "open the BPF object");
	knobs_set((*ret)->rodata, o);
	bpf_program__set_autoload((*ret)->progs.list_unix, target_ids[TARGET_UNIX]);
	r = inventory_bpf__load(*ret);
	return r < 0 ? bpf_cannot_load(r == -EINVAL ? -ENOTSUP : r, "load the BPF iterators") : 0;
}

int lister_open(const struct lister_options *o, struct lister **ret)
{
	struct lister *l = calloc(1, sizeof(*l));
	auto_close int small_btf_fd = -1;
	uint32_t ids[ARRAY_SIZE(targets)];
	struct kernel_btf *btf;
	const void *elf;
	size_t size;
	int r;

	if (!l)
		return fail(-ENOMEM, "open the BPF iterators");
	bpf_prepare();
	r = kernel_btf_open(KERNEL_BTF, &btf);
	if (r < 0) {
		lister_close(l);
		return bpf_cannot_load(r, "read the kernel's BTF");
	}
	elf = inventory_bpf__elf_bytes(&size);
	small_btf_fd = bpf_small_btf(btf, elf, size);
	kernel_btf_functions(btf, targets, ARRAY_SIZE(targets), ids);
	kernel_btf_close(btf);
	target_ids = ids;
	r = handler_add();
	r = r < 0 ? fail(r, "tell libbpf of our sections") : skeleton_load(o, small_btf_fd, &l->skel);
	target_ids = NULL;
	if (r < 0) {
		lister_close(l);
		return r;
	}
	*ret = l;
	return 0;
}

/* A read may end in the middle of a row: what is left is moved to the front and filled up by the next. */
static int rows_read(int fd, int (*each)(void *arg, const void *row, size_t len), void *arg)
{
	auto_free struct pl_row *rows = calloc(ROWS_AT_ONCE, sizeof(*rows));
	size_t have = 0, whole;
	ssize_t n;
	int r = 0;

	if (!rows)
		return fail(-ENOMEM, "read a BPF iterator");
	while (!r &&
	       (n = bpf_iterator_read(fd, (char *)rows + have, ROWS_AT_ONCE * sizeof(*rows) - have)) > 0) {
		have += (size_t)n;
		whole = have / sizeof(*rows);
		for (size_t i = 0; i < whole && !r; i++)
			r = each(arg, &rows[i], sizeof(*rows));
		have %= sizeof(*rows);
		memmove(rows, rows + whole, have);
	}
	if (r)
		return r;
	if (n < 0)
		return (int)n;
	return have ? each(arg, rows, have) : 0;
}

bool lister_sees_everybody(const struct lister *l)
{
	return !l->skel->rodata->opt_pidns;
}

static int iterate(struct bpf_program *p, int (*each)(void *arg, const void *row, size_t len), void *arg)
{
	struct bpf_link *link;
	int fd, r;

	r = bpf_iterator_open(p, 0, &link, &fd);
	if (r < 0)
		return r;
	r = rows_read(fd, each, arg);
	close(fd);
	bpf_link__destroy(link);
	return r;
}

/* Hand over the rows that lie in the object's memory, which then has room for more. */
static int rows_hand(struct inventory_bpf__bss *shared, int (*each)(void *arg, const void *row, size_t len),
		     void *arg)
{
	unsigned n = shared->rows_count < PL_ROWS_AT_ONCE ? shared->rows_count : PL_ROWS_AT_ONCE;
	int r = 0;

	for (unsigned i = 0; i < n && !r; i++)
		r = each(arg, &shared->rows[i], sizeof(shared->rows[i]));
	shared->rows_count = 0;
	return r;
}

/*
 * The program writes nothing into its file. It says EAGAIN when its memory is full, or a table of descriptors is so long
 * that there shall be a pause, and goes on from there; the end of the file is the end of the processes.
 */
static int files_read(int fd, struct inventory_bpf__bss *shared,
		      int (*each)(void *arg, const void *row, size_t len), void *arg)
{
	ssize_t n = -1;
	char nothing;
	int r = 0;

	while (n < 0 && !r) {
		n = read(fd, &nothing, sizeof(nothing));
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return fail(-errno, "read a BPF iterator");
		r = rows_hand(shared, each, arg);
	}
	return r;
}

int lister_files(struct lister *l, int (*each)(void *arg, const void *row, size_t len), void *arg)
{
	struct inventory_bpf__bss *shared = l->skel->bss;
	struct bpf_link *link;
	int fd, r;

	r = bpf_iterator_open(l->skel->progs.list_file, 0, &link, &fd);
	if (r < 0)
		return r;
	shared->pass_task = 0;
	r = files_read(fd, shared, each, arg);
	close(fd);
	bpf_link__destroy(link);
	return r;
}

int lister_sockets(struct lister *l, bool udp, int (*each)(void *arg, const void *row, size_t len), void *arg)
{
	return iterate(udp ? l->skel->progs.list_udp : l->skel->progs.list_tcp, each, arg);
}

bool lister_sees_flying(const struct lister *l)
{
	return bpf_program__autoload(l->skel->progs.list_unix);
}

int lister_flying(struct lister *l, int (*each)(void *arg, const void *row, size_t len), void *arg)
{
	return lister_sees_flying(l) ? iterate(l->skel->progs.list_unix, each, arg) : -ENOTSUP;
}
