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

enum { FILES, TCP, UDP, UNIX, N_PROGRAMS };

/* Verifying a program takes a millisecond or two: what may not be needed is loaded when it is, as an object of its own. */
struct lister {
	struct lister_options o;
	int small_btf_fd; /* -1: libbpf reads the kernel's */
	unsigned pidns;
	const uint8_t *connection_ports;          /* NULL: none */
	uint32_t targets[N_PROGRAMS];             /* what they attach to; 0: the kernel has none */
	struct inventory_bpf *loaded[N_PROGRAMS]; /* n_loaded of them */
	size_t n_loaded;
	struct inventory_bpf *has[N_PROGRAMS]; /* the one that has the program; NULL: not needed yet */
};

/* ---- iterators, without libbpf's own look at the kernel's types ---- */

#define SECTION "pl_iter"

static const char *const program_names[] = { "list_file", "list_tcp", "list_udp", "list_unix" };
/* Before 5.15 there is no iterator over Unix sockets. */
static const char *const target_names[] = { "bpf_iter_task", "bpf_iter_tcp", "bpf_iter_udp",
					    "bpf_iter_unix" };

static _Thread_local const uint32_t *targets; /* while an object is being loaded */

/*
 * To find the functions that iterators attach to, libbpf would read all of the kernel's BTF into memory, twice 5 to
 * 10 MB for each run. They are known already; so until its load a program of ours is of a kind that attaches to nothing.
 */
static int program_prepare(struct bpf_program *p, struct bpf_prog_load_opts *opts, long cookie)
{
	int r;

	(void)cookie;
	for (size_t i = 0; i < N_PROGRAMS; i++)
		if (!strcmp(bpf_program__name(p), program_names[i]))
			opts->attach_btf_id = targets[i];
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
	for (size_t i = 0; i < l->n_loaded; i++)
		inventory_bpf__destroy(l->loaded[i]);
	if (l->small_btf_fd >= 0)
		close(l->small_btf_fd);
	free(l);
	return NULL;
}

static void knobs_set(struct inventory_bpf__rodata *k, const struct lister *l)
{
	const struct lister_options *o = &l->o;

	k->opt_pidns = l->pidns;
	k->opt_connections = o->connections;
	k->opt_netns_count = (unsigned)o->n_netns;
	for (size_t i = 0; i < o->n_netns; i++)
		k->opt_netns[i] = o->netns[i];
	if (!o->filter)
		return;
	k->opt_ports = o->filter->ports_valid;
	memcpy((void *)k->opt_port_bits, o->filter->ports, sizeof(o->filter->ports));
}

/* @which: a bit for each program. One that the kernel has no iterator for is left out. */
static int programs_load(struct lister *l, unsigned which)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts);
	struct inventory_bpf *skel;
	char path[32];
	int r;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", l->small_btf_fd);
	if (l->small_btf_fd >= 0 && !access(path, R_OK))
		opts.btf_custom_path = path;
	skel = inventory_bpf__open_opts(&opts);
	if (!skel)
		return bpf_cannot_load(-errno, "open the BPF object");
	l->loaded[l->n_loaded++] = skel;
	knobs_set(skel->rodata, l);
	if (l->connection_ports)
		memcpy(skel->bss->connection_ports, l->connection_ports, sizeof(skel->bss->connection_ports));
	for (size_t i = 0; i < N_PROGRAMS; i++) {
		bool wanted = which & 1u << i && (l->targets[i] || i != UNIX);

		bpf_program__set_autoload(bpf_object__find_program_by_name(skel->obj, program_names[i]),
					  wanted);
		l->has[i] = wanted ? skel : l->has[i];
	}
	targets = l->targets;
	r = inventory_bpf__load(skel);
	targets = NULL;
	return r < 0 ? bpf_cannot_load(r == -EINVAL ? -ENOTSUP : r, "load the BPF iterators") : 0;
}

/* What is read of the kernel's types: all of it once, then a small copy. */
static int types_read(struct lister *l)
{
	struct kernel_btf *btf;
	const void *elf;
	size_t size;
	int r = kernel_btf_open(KERNEL_BTF, &btf);

	if (r < 0)
		return bpf_cannot_load(r, "read the kernel's BTF");
	elf = inventory_bpf__elf_bytes(&size);
	l->small_btf_fd = bpf_small_btf(btf, elf, size);
	kernel_btf_functions(btf, target_names, N_PROGRAMS, l->targets);
	kernel_btf_close(btf);
	return 0;
}

int lister_open(const struct lister_options *o, struct lister **ret)
{
	struct lister *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return fail(-ENOMEM, "open the BPF iterators");
	bpf_prepare();
	l->o = *o;
	l->small_btf_fd = -1;
	l->pidns = bpf_own_pidns();
	r = handler_add();
	r = r < 0 ? fail(r, "tell libbpf of our sections") : types_read(l);
	if (!r)
		r = programs_load(l, o->connections ? 1u << FILES | 1u << TCP | 1u << UDP : 1u << FILES);
	if (r < 0) {
		lister_close(l);
		return r;
	}
	*ret = l;
	return 0;
}

/* Loaded now, if it was not needed before. One that did not load then is not tried again. */
static int program_get(struct lister *l, unsigned which, struct bpf_program **ret)
{
	int r = 0;

	if (!l->has[which])
		r = l->n_loaded < N_PROGRAMS ? programs_load(l, 1u << which) : -ENOTSUP;
	if (r < 0)
		return r;
	*ret = bpf_object__find_program_by_name(l->has[which]->obj, program_names[which]);
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

void lister_connections(struct lister *l, const uint8_t *ports)
{
	l->connection_ports = ports;
	for (size_t i = 0; i < l->n_loaded; i++)
		memcpy(l->loaded[i]->bss->connection_ports, ports,
		       sizeof(l->loaded[i]->bss->connection_ports));
}

bool lister_sees_everybody(const struct lister *l)
{
	return !l->pidns;
}

static int iterate(struct lister *l, unsigned which, int (*each)(void *arg, const void *row, size_t len),
		   void *arg)
{
	struct bpf_program *p;
	int link, fd, r = program_get(l, which, &p);

	if (r < 0)
		return r;
	r = bpf_iterator_open(bpf_program__fd(p), bpf_program__section_name(p), 0, &link, &fd);
	if (r < 0)
		return r;
	r = rows_read(fd, each, arg);
	close(fd);
	close(link);
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
	struct inventory_bpf__bss *shared = l->has[FILES]->bss;
	struct bpf_program *p = l->has[FILES]->progs.list_file;
	int link, fd, r;

	r = bpf_iterator_open(bpf_program__fd(p), bpf_program__section_name(p), 0, &link, &fd);
	if (r < 0)
		return r;
	shared->pass_task = 0;
	r = files_read(fd, shared, each, arg);
	close(fd);
	close(link);
	return r;
}

int lister_sockets(struct lister *l, bool udp, int (*each)(void *arg, const void *row, size_t len), void *arg)
{
	return iterate(l, udp ? UDP : TCP, each, arg);
}

bool lister_sees_flying(const struct lister *l)
{
	return l->targets[UNIX];
}

int lister_flying(struct lister *l, int (*each)(void *arg, const void *row, size_t len), void *arg)
{
	return lister_sees_flying(l) ? iterate(l, UNIX, each, arg) : -ENOTSUP;
}
