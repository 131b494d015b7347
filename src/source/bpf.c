/* SPDX-License-Identifier: GPL-2.0-only */
/* The tracer's kernel side, loaded and attached. */
#include "source/bpf.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "portlog.skel.h"
#include "source/bpf_common.h"
#include "source/kernel_btf.h"
#include "source/tracefs.h"
#include "util/cleanup.h"
#include "util/fail.h"

#define LINKS_MAX 40
#define ROWS_MAX 40
#define TRACKED_BATCH 512
#define NAME_LEN 64    /* of a program */
#define TREE_MAX 32768 /* processes of a tree at one time */
#define REFUSED_MAX 8

struct tracer {
	struct portlog_bpf *skel;
	struct kernel_btf *btf; /* only while opening */
	int small_btf_fd;       /* the part of it that our programs name; -1: libbpf looks by itself */
	struct bpf_link *links[LINKS_MAX];
	size_t n_links;
	bool chosen[ROWS_MAX];
	const char *blind[TRACER_BLIND_MAX + 1];
	int cgroup_fd;
	bool autobind; /* ports taken without bind are asked for */
	bool no_iterators;
	bool tree; /* that of a process is followed */
	/* Programs that the kernel did not take, though it seems to have all for them. */
	char refused[REFUSED_MAX][NAME_LEN];
	size_t n_refused;
	bool only_required; /* it refused more than that: rows that are not required are given up */
	bool fexit_refused; /* probed: the host does not take fexit programs */
};

struct tracer *tracer_close(struct tracer *t)
{
	if (!t)
		return NULL;
	for (size_t i = 0; i < t->n_links; i++)
		bpf_link__destroy(t->links[i]);
	portlog_bpf__destroy(t->skel);
	kernel_btf_close(t->btf);
	if (t->small_btf_fd >= 0)
		close(t->small_btf_fd);
	if (t->cgroup_fd >= 0)
		close(t->cgroup_fd);
	free(t);
	return NULL;
}

/* ---- what this kernel has ---- */

static bool has_function(const struct tracer *t, const char *name)
{
	return kernel_btf_find(t->btf, name, BTF_KIND_FUNC);
}

/* Does the tracepoint pass a completion entry (6.16 and later), or the result in its place? */
static bool uring_passes_entry(const struct tracer *t)
{
	return kernel_btf_tracepoint(t->btf, "io_uring_complete") == 4;
}

/* A program of no effect on a function that every kernel has: does this host take its kind at all? */
static bool fexit_taken(const struct tracer *t)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_TRACE_FEXIT);
	const struct bpf_insn nothing[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	uint32_t id = kernel_btf_find(t->btf, "inet_listen", BTF_KIND_FUNC);
	int fd, link;

	if (!id)
		return false;
	opts.attach_btf_id = id;
	fd = bpf_prog_load(BPF_PROG_TYPE_TRACING, "portlog_probe", "GPL", nothing, ARRAY_SIZE(nothing),
			   &opts);
	if (fd < 0)
		return false;
	link = bpf_raw_tracepoint_open(NULL, fd);
	close(fd);
	if (link < 0)
		return false;
	close(link);
	return true;
}

static bool has_iterator(const struct tracer *t, const char *target)
{
	char context[64];

	snprintf(context, sizeof(context), "bpf_iter__%s", target);
	return kernel_btf_find(t->btf, context, BTF_KIND_STRUCT);
}

static bool was_refused(const struct tracer *t, const char *name)
{
	for (size_t i = 0; i < t->n_refused; i++)
		if (!strcmp(t->refused[i], name))
			return true;
	return false;
}

static bool program_available(void *arg, const char *name)
{
	struct tracer *t = arg;
	struct bpf_program *p = bpf_object__find_program_by_name(t->skel->obj, name);
	const char *section, *target;

	if (!p || (!strncmp(name, "auto_", 5) && !t->autobind) || (!strncmp(name, "tree_", 5) && !t->tree) ||
	    (t->only_required && hook_is_optional(name)) || was_refused(t, name))
		return false;
	section = bpf_program__section_name(p);
	target = strchr(section, '/');
	if (!target)
		return false;
	target++;
	if (!strncmp(section, "fexit/", 6) || !strncmp(section, "fentry/", 7))
		return !t->fexit_refused && has_function(t, target);
	if (!strncmp(section, "tp_btf/", 7))
		return kernel_btf_tracepoint(t->btf, target) &&
		       (strcmp(name, "uring_entry") != 0 || uring_passes_entry(t)) &&
		       (strcmp(name, "uring_result") != 0 || !uring_passes_entry(t));
	if (!strncmp(section, "iter/", 5))
		return !t->no_iterators && has_iterator(t, target);
	return true;
}

/* ---- loading ---- */

static bool is_chosen(const struct tracer *t, const char *event, enum hook_set set)
{
	for (size_t i = 0; i < n_hooks; i++)
		if (t->chosen[i] && hooks[i].set == set && !strcmp(hooks[i].event, event))
			return true;
	return false;
}

static void knobs_set(struct tracer *t, const struct tracer_options *o)
{
	struct portlog_bpf__rodata *k = t->skel->rodata;

	k->opt_nr_bind = SYS_bind;
	k->opt_nr_listen = SYS_listen;
	k->opt_ephemeral = o->ephemeral;
	k->opt_tree = o->tree;
	k->opt_pidns = bpf_own_pidns();
	k->own_pid = (unsigned)getpid();
	k->opt_listen_sk = is_chosen(t, "listen-sk", HOOKS_FEXIT);
	k->opt_state_listens = is_chosen(t, "listen", HOOKS_TRACEPOINT);
	k->opt_state_releases = is_chosen(t, "release-tcp", HOOKS_TRACEPOINT);
	k->opt_netns_count = (unsigned)o->n_netns;
	for (size_t i = 0; i < o->n_netns; i++)
		k->opt_netns[i] = o->netns[i];
	if (!o->filter)
		return;
	k->opt_ports = o->filter->ports_valid;
	memcpy((void *)k->opt_port_bits, o->filter->ports, sizeof(o->filter->ports));
	k->opt_failed_only = o->filter->failed_only;
	k->opt_pid = o->filter->pid_valid ? o->filter->pid : 0;
}

static void programs_select(struct tracer *t)
{
	struct bpf_program *p;

	bpf_object__for_each_program(p, t->skel->obj)
		bpf_program__set_autoload(p, false);
	for (size_t i = 0; i < n_hooks; i++) {
		for (const char *const *name = hooks[i].programs; t->chosen[i] && *name; name++) {
			char own[NAME_LEN];

			snprintf(own, sizeof(own), "%.*s", (int)hook_program_len(*name), *name);
			p = bpf_object__find_program_by_name(t->skel->obj, own);
			if (p)
				bpf_program__set_autoload(p, true);
		}
	}
}

static struct portlog_bpf *skeleton_open(const struct tracer *t)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts);
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", t->small_btf_fd);
	if (t->small_btf_fd >= 0 && !access(path, R_OK))
		opts.btf_custom_path = path;
	return portlog_bpf__open_opts(&opts);
}

/* With all that the kernel seems to have; on refusal the caller tries again with less. */
static int load_once(struct tracer *t, const struct tracer_options *o)
{
	const char *missing = NULL;
	int r;

	bpf_said_clear();
	portlog_bpf__destroy(t->skel);
	t->skel = skeleton_open(t);
	if (!t->skel)
		return bpf_cannot_load(-errno, "open the BPF object");
	r = hooks_choose(o->hooks, program_available, t, t->chosen, &missing);
	if (r < 0) {
		fail_text(r, "no hook for `%s` can be had%s", missing,
			  o->hooks == HOOKS_FEXIT ? " in the set fexit" : "");
		return fail_hint(r, o->hooks == HOOKS_FEXIT
					    ? "this kernel or host refuses fexit programs: --hooks auto"
					    : "portlog needs a kernel of 5.10 or later with BTF");
	}
	programs_select(t);
	knobs_set(t, o);
	if (o->tree)
		(void)bpf_map__set_max_entries(t->skel->maps.tree, TREE_MAX);
	r = bpf_map__set_max_entries(t->skel->maps.ring, o->ring_bytes);
	if (r < 0)
		return fail(r, "set the ring's size to %u", o->ring_bytes);
	r = portlog_bpf__load(t->skel);
	if (r < 0)
		return bpf_cannot_load(r == -EINVAL ? -ENOTSUP : r, "load the BPF programs");
	return 0;
}

static bool any_chosen(const struct tracer *t, enum hook_set set)
{
	for (size_t i = 0; i < n_hooks; i++)
		if (t->chosen[i] && hooks[i].set == set)
			return true;
	return false;
}

/* libbpf names the program that the kernel did not take. False: it was none, or one that cannot be done without. */
static bool refusal_note(struct tracer *t)
{
	char *name = t->refused[t->n_refused % REFUSED_MAX];

	if (t->n_refused == REFUSED_MAX || sscanf(bpf_said(), "libbpf: prog '%63[^']'", name) != 1 ||
	    !hook_is_optional(name))
		return false;
	t->n_refused++;
	return true;
}

/*
 * A kernel may have a function or tracepoint and refuse our program on it all the same. Then first that program is given
 * up if it is not required, then all such programs, then the fexit set; what is missed for it is said like any other
 * blind spot.
 */
static int tracer_load(struct tracer *t, const struct tracer_options *o)
{
	int r;

	do
		r = load_once(t, o);
	while (r < 0 && refusal_note(t));
	if (r < 0 && !t->only_required) {
		t->only_required = true;
		r = load_once(t, o);
	}
	if (r < 0 && o->hooks == HOOKS_ANY && any_chosen(t, HOOKS_FEXIT)) {
		t->fexit_refused = true;
		t->only_required = false;
		t->n_refused = 0;
		r = load_once(t, o);
	}
	return r;
}

/* ---- attaching ---- */

static int link_keep(struct tracer *t, struct bpf_link *link)
{
	if (t->n_links >= LINKS_MAX) {
		bpf_link__destroy(link);
		return -ENOSPC;
	}
	t->links[t->n_links++] = link;
	return 0;
}

static int attach_tracepoint(struct tracer *t, struct bpf_program *p, const char *tracepoint)
{
	struct bpf_link *link;
	int fd, r;

	r = tracepoint_open(tracepoint, &fd);
	if (r < 0)
		return r;
	link = bpf_program__attach_perf_event(p, fd);
	if (!link) {
		r = -errno;
		close(fd);
		return fail(r, "attach to tracepoint %s", tracepoint);
	}
	return link_keep(t, link);
}

static int attach_cgroup(struct tracer *t, struct bpf_program *p)
{
	struct bpf_link *link = bpf_program__attach_cgroup(p, t->cgroup_fd);

	if (!link)
		return fail(-errno, "attach %s to the root of cgroup v2", bpf_program__name(p));
	return link_keep(t, link);
}

static int program_attach(struct tracer *t, const char *spec)
{
	size_t len = hook_program_len(spec);
	struct bpf_program *p;
	struct bpf_link *link;
	const char *section;
	char name[64];

	snprintf(name, sizeof(name), "%.*s", (int)len, spec);
	p = bpf_object__find_program_by_name(t->skel->obj, name);
	section = bpf_program__section_name(p);
	if (spec[len] == ':')
		return attach_tracepoint(t, p, spec + len + 1);
	if (!strncmp(section, "cgroup/", 7))
		return attach_cgroup(t, p);
	if (!strncmp(section, "iter/", 5))
		return 0;
	link = bpf_program__attach(p);
	if (!link)
		return fail(-errno, "attach %s (%s)", name, section);
	return link_keep(t, link);
}

/*
 * What tells results and releases comes before what tracks a socket, and that before what begins a call: else a call
 * under way meanwhile would be tracked and never told. What none of them has seen whole is found by the snapshot.
 */
static int attach_phase(const char *spec)
{
	static const struct {
		const char *prefix;
		int phase;
	} later[] = {
		{ "granted", 1 },       { "bind4_", 1 }, { "bind6_", 1 },
		{ "state_changed", 1 }, { "auto_", 1 },  { "try", 2 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(later); i++)
		if (!strncmp(spec, later[i].prefix, strlen(later[i].prefix)))
			return later[i].phase;
	return 0;
}

#define ATTACH_PHASES 3

/* Optional rows that fail are dropped and said; a required one ends it. */
static int row_attach(struct tracer *t, size_t i, int phase)
{
	int r;

	for (const char *const *spec = hooks[i].programs; t->chosen[i] && *spec; spec++) {
		if (attach_phase(*spec) != phase)
			continue;
		r = program_attach(t, *spec);
		if (r < 0 && hooks[i].required)
			return r == -EINVAL ? -ENOTSUP : r;
		if (r < 0)
			t->chosen[i] = false;
	}
	return 0;
}

static int tracer_attach(struct tracer *t)
{
	int r = 0;

	for (int phase = 0; phase < ATTACH_PHASES; phase++)
		for (size_t i = 0; i < n_hooks && !r; i++)
			r = row_attach(t, i, phase);
	return r;
}

/* ---- the cgroup hooks' root ---- */

static bool needs_cgroup(const struct tracer *t)
{
	return is_chosen(t, "bind", HOOKS_TRACEPOINT) || is_chosen(t, "release-udp", HOOKS_TRACEPOINT);
}

/* Inode 1 is the hierarchy's root; a container's own view of it begins lower. */
static bool is_whole_hierarchy(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_ino == 1;
}

static int cgroup_open(struct tracer *t, const char *mounted)
{
	int r;

	if (mounted)
		t->cgroup_fd = open(mounted, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (t->cgroup_fd >= 0)
		return 0;
	r = mount_private("cgroup2", &t->cgroup_fd);
	if (r < 0) {
		fail(r, "mount cgroup v2");
		return fail_hint(r, "mount -t cgroup2 none /sys/fs/cgroup/unified");
	}
	return 0;
}

static void blind_find(struct tracer *t)
{
	size_t n = hooks_blind(t->chosen, t->blind, TRACER_BLIND_MAX);

	if (needs_cgroup(t) && !is_whole_hierarchy(t->cgroup_fd) && n < TRACER_BLIND_MAX)
		t->blind[n++] = "processes outside of this container's own cgroup";
	if (bpf_own_pidns() && n < TRACER_BLIND_MAX)
		t->blind[n++] = "who processes outside of this pid namespace are (docker run --pid=host)";
	if (access("/proc/self/ns/net", F_OK) != 0 && n < TRACER_BLIND_MAX)
		t->blind[n++] = "which network namespaces there are: no /proc here";
	t->blind[n] = NULL;
}

/* All that comes before loading: the kernel's types, and the part of them that our programs name. */
static int tracer_prepare(struct tracer *t)
{
	const void *elf;
	size_t size;
	int r;

	bpf_prepare();
	r = kernel_btf_open(KERNEL_BTF, &t->btf);
	if (r < 0)
		return bpf_cannot_load(r, "read the kernel's BTF");
	elf = portlog_bpf__elf_bytes(&size);
	t->small_btf_fd = bpf_small_btf(t->btf, elf, size);
	return 0;
}

static struct tracer *tracer_new(void)
{
	struct tracer *t = calloc(1, sizeof(*t));

	if (t)
		t->cgroup_fd = t->small_btf_fd = -1;
	return t;
}

/* Inside a cgroup namespace the mount shows a part of the tree: attach to it, and say so. */
int tracer_open(const struct tracer_options *o, struct tracer **ret)
{
	struct tracer *t = tracer_new();
	int r;

	if (!t)
		return fail(-ENOMEM, "open the tracer");
	t->autobind = o->autobind;
	t->no_iterators = o->no_iterators;
	t->tree = o->tree != 0;
	r = tracer_prepare(t);
	if (r < 0) {
		tracer_close(t);
		return r;
	}
	t->fexit_refused = o->hooks == HOOKS_TRACEPOINT || !fexit_taken(t);
	r = tracer_load(t, o);
	if (!r && needs_cgroup(t))
		r = cgroup_open(t, o->cgroup2);
	if (!r)
		r = tracer_attach(t);
	if (!r && o->tree && !is_chosen(t, "tree", HOOKS_ANY))
		r = fail_text(-ENOTSUP, "this kernel does not let a command's processes be followed");
	if (r < 0) {
		tracer_close(t);
		return bpf_limit_hint(r);
	}
	t->btf = kernel_btf_close(t->btf);
	blind_find(t);
	*ret = t;
	return 0;
}

bool tracer_uses(const struct tracer *t, size_t row)
{
	return t->chosen[row];
}

/* ---- each row alone ---- */

#define TRY_RING (256 * 1024)

static int row_missing(struct tracer *t, const struct hook *h)
{
	for (const char *const *spec = h->programs; *spec; spec++) {
		char name[64];

		snprintf(name, sizeof(name), "%.*s", (int)hook_program_len(*spec), *spec);
		if (!program_available(t, name))
			return fail_text(-ENOENT, "the kernel has no %s",
					 bpf_program__section_name(
						 bpf_object__find_program_by_name(t->skel->obj, name)));
	}
	return 0;
}

static int row_load(struct tracer *t, size_t row)
{
	const struct tracer_options o = { .ring_bytes = TRY_RING };
	int r;

	bpf_said_clear();
	t->skel = skeleton_open(t);
	if (!t->skel)
		return fail(-errno, "open the BPF object");
	r = row_missing(t, &hooks[row]);
	if (r < 0)
		return r;
	memset(t->chosen, 0, sizeof(t->chosen));
	t->chosen[row] = true;
	programs_select(t);
	knobs_set(t, &o);
	(void)bpf_map__set_max_entries(t->skel->maps.ring, TRY_RING);
	r = portlog_bpf__load(t->skel);
	return r < 0 ? fail(r, "load") : 0;
}

/* Iterators are attached when they are read: here only opened. */
static int iterators_try(const struct tracer *t, const struct hook *h)
{
	struct bpf_link *link;
	int fd, r = 0;

	for (const char *const *name = h->programs; !r && *name; name++) {
		struct bpf_program *p = bpf_object__find_program_by_name(t->skel->obj, *name);

		if (!p || strncmp(bpf_program__section_name(p), "iter/", 5) != 0)
			continue;
		r = bpf_iterator_open(p, 0, &link, &fd);
		if (r < 0)
			break;
		close(fd);
		bpf_link__destroy(link);
	}
	return r;
}

static int row_try(struct tracer *t, size_t row)
{
	int r = row_load(t, row);

	for (const char *const *spec = hooks[row].programs; !r && *spec; spec++)
		r = program_attach(t, *spec);
	return r ? r : iterators_try(t, &hooks[row]);
}

static void row_take_off(struct tracer *t)
{
	while (t->n_links)
		bpf_link__destroy(t->links[--t->n_links]);
	portlog_bpf__destroy(t->skel);
	t->skel = NULL;
}

int tracer_try_rows(const char *cgroup2, void (*each)(void *arg, size_t row, int error), void *arg)
{
	struct tracer *t = tracer_new();
	int r;

	if (!t)
		return fail(-ENOMEM, "try the hooks");
	t->autobind = t->tree = true;
	r = tracer_prepare(t);
	if (!r && cgroup_open(t, cgroup2) < 0)
		fail_clear(); /* whoever needs it says so */
	for (size_t i = 0; !r && i < n_hooks; i++) {
		if (!hooks[i].programs[0])
			continue;
		fail_clear();
		each(arg, i, row_try(t, i));
		row_take_off(t);
	}
	tracer_close(t);
	return r;
}

/* ---- while it runs ---- */

const char *tracer_hooks(const struct tracer *t)
{
	return hooks_name(t->chosen);
}

const char *const *tracer_blind(const struct tracer *t)
{
	return t->blind;
}

int tracer_ring_fd(const struct tracer *t)
{
	return bpf_map__fd(t->skel->maps.ring);
}

void tracer_set_awake(struct tracer *t, bool awake)
{
	__atomic_store_n(&t->skel->bss->reader_awake, awake, __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

uint64_t tracer_lost(const struct tracer *t, unsigned kind, bool failed)
{
	const unsigned long long *counts = failed ? t->skel->bss->lost_failed : t->skel->bss->lost;

	return kind < PL_KIND_MAX ? __atomic_load_n(&counts[kind], __ATOMIC_RELAXED) : 0;
}

uint64_t tracer_tracked_full(const struct tracer *t)
{
	return __atomic_load_n(&t->skel->bss->tracked_full, __ATOMIC_RELAXED);
}

uint64_t tracer_tree_full(const struct tracer *t)
{
	return __atomic_load_n(&t->skel->bss->tree_full, __ATOMIC_RELAXED);
}

uint64_t tracer_hidden(const struct tracer *t)
{
	return __atomic_load_n(&t->skel->bss->hidden_binds, __ATOMIC_RELAXED);
}

uint64_t tracer_missed(const struct tracer *t, void (*each)(void *arg, const char *program, uint64_t missed),
		       void *arg)
{
	struct bpf_program *p;
	uint64_t sum = 0;

	bpf_object__for_each_program(p, t->skel->obj) {
		struct bpf_prog_info info = { 0 };
		__u32 len = sizeof(info);

		if (!bpf_program__autoload(p) || bpf_obj_get_info_by_fd(bpf_program__fd(p), &info, &len))
			continue;
		sum += info.recursion_misses;
		if (each && info.recursion_misses)
			each(arg, bpf_program__name(p), info.recursion_misses);
	}
	return sum;
}

/* The iterator writes eight bytes for each row it tells, so that a read returns now and then and the ring is drained. */
static int iterate(struct bpf_program *p, int (*between)(void *arg), void *arg)
{
	struct bpf_link *link;
	char rows[2048];
	int fd, r, b;

	r = bpf_iterator_open(p, 0, &link, &fd);
	if (r < 0)
		return r;
	do {
		r = (int)bpf_iterator_read(fd, rows, sizeof(rows));
		b = r >= 0 ? between(arg) : 0;
	} while (r > 0 && !b);
	close(fd);
	bpf_link__destroy(link);
	return b ? b : r;
}

int tracer_iterate(struct tracer *t, bool owners, int (*between)(void *arg), void *arg)
{
	int r;

	if (!is_chosen(t, "snapshot", HOOKS_ANY))
		return -ENOTSUP;
	t->skel->bss->tell_owners = owners;
	r = iterate(t->skel->progs.each_file, between, arg);
	t->skel->bss->tell_owners = 0;
	return r;
}

int tracer_iterate_fileless(struct tracer *t, int (*between)(void *arg), void *arg)
{
	int r;

	if (!is_chosen(t, "fileless", HOOKS_ANY))
		return -ENOTSUP;
	r = iterate(t->skel->progs.each_udp, between, arg);
	return r ? r : iterate(t->skel->progs.each_tcp, between, arg);
}

int tracer_owners(struct tracer *t, uint64_t sk, uint32_t pid,
		  int (*each)(void *arg, const struct pl_owner *row), void *arg)
{
	struct pl_owner rows[64];
	struct bpf_link *link;
	size_t have = 0;
	ssize_t n;
	int fd, r;

	if (!is_chosen(t, "snapshot", HOOKS_ANY))
		return -ENOTSUP;
	r = bpf_iterator_open(t->skel->progs.each_file, pid, &link, &fd);
	if (r < 0)
		return r;
	t->skel->bss->wanted_sk = sk;
	while ((n = bpf_iterator_read(fd, (char *)rows + have, sizeof(rows) - have)) > 0 && !r) {
		have += (size_t)n;
		for (size_t i = 0; i < have / sizeof(rows[0]) && !r; i++)
			r = each(arg, &rows[i]);
		/* A read may end in the middle of a row. */
		memmove(rows, (char *)rows + have / sizeof(rows[0]) * sizeof(rows[0]),
			have % sizeof(rows[0]));
		have %= sizeof(rows[0]);
	}
	t->skel->bss->wanted_sk = 0;
	close(fd);
	bpf_link__destroy(link);
	return n < 0 ? (int)n : r;
}

int tracer_tracked_all(struct tracer *t, int (*each)(void *arg, uint64_t sk, const struct pl_tracked *value),
		       void *arg)
{
	auto_free uint64_t *keys = calloc(TRACKED_BATCH, sizeof(*keys));
	auto_free struct pl_tracked *values = calloc(TRACKED_BATCH, sizeof(*values));
	int map = bpf_map__fd(t->skel->maps.tracked);
	__u32 at = 0, n;
	bool first = true, last;
	int r;

	if (!keys || !values)
		return fail(-ENOMEM, "read the map of tracked sockets");
	do {
		n = TRACKED_BATCH;
		r = bpf_map_lookup_batch(map, first ? NULL : &at, &at, keys, values, &n, NULL);
		last = r < 0 && errno == ENOENT;
		if (r < 0 && !last)
			return fail(-errno, "read the map of tracked sockets");
		for (__u32 i = 0; i < n; i++) {
			r = each(arg, keys[i], &values[i]);
			if (r)
				return r;
		}
		first = false;
	} while (!last);
	return 0;
}

int tracer_tracked_get(struct tracer *t, uint64_t sk, struct pl_tracked *ret)
{
	return bpf_map_lookup_elem(bpf_map__fd(t->skel->maps.tracked), &sk, ret) ? -errno : 0;
}

void tracer_untrack(struct tracer *t, uint64_t sk, uint64_t tracked_ns)
{
	struct pl_tracked now;

	if (!tracer_tracked_get(t, sk, &now) && now.since_ns == tracked_ns)
		(void)bpf_map_delete_elem(bpf_map__fd(t->skel->maps.tracked), &sk);
}

void tracer_forget_lingering(struct tracer *t, uint32_t netns, bool udp, uint16_t port)
{
	struct pl_port key = { .netns = netns, .port = port, .proto = udp ? IPPROTO_UDP : IPPROTO_TCP };

	(void)bpf_map_delete_elem(bpf_map__fd(t->skel->maps.lingering), &key);
}

void tracer_watch_lingering(struct tracer *t, bool watch)
{
	__atomic_store_n(&t->skel->bss->watch_lingering, watch, __ATOMIC_SEQ_CST);
}
