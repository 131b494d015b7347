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
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "portlog.skel.h"
#include "portlog_abi.h"
#include "source/bpf_common.h"
#include "source/bpf_pin.h"
#include "source/kernel_btf.h"
#include "source/ring.h"
#include "source/tracefs.h"
#include "util/cleanup.h"
#include "util/fail.h"

#define LINKS_MAX 40
#define ROWS_MAX 40
#define TRACKED_BATCH 512
#define NAME_LEN 64    /* of a program */
#define TREE_MAX 32768 /* processes of a tree at one time */
#define REFUSED_MAX 8
#define PROGRAMS_MAX 64
#define KNOWN_BATCH 1024
#define LINGERING_MAX 16384 /* entries of the map */

struct program {
	char name[NAME_LEN];
	int fd;
};

/* What is used of a set of hooks while it runs: of the skeleton, or of one that was pinned. */
struct parts {
	struct portlog_bpf__bss *bss;
	size_t bss_size; /* mapped by us; 0: it is the skeleton's */
	int ring, tracked, known, lingering;
	struct program programs[PROGRAMS_MAX];
	size_t n_programs;
	int links[LINKS_MAX]; /* of a set that was pinned: so the hooks stay on as long as somebody reads */
	size_t n_links;
};

struct tracer {
	struct portlog_bpf *skel; /* NULL: the set was pinned by another process */
	struct parts parts;
	struct pin_set *pin;     /* NULL: it goes with the process */
	struct pin_set *foreign; /* of another build, which this one cannot read; NULL: none */
	struct tracer_pinned pinned;
	int lock_fd;            /* of the folder of pins; -1: none */
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

/* A pinned link stays attached: libbpf would switch a tracepoint's event off, and it is not this process's any more. */
static void links_close(struct tracer *t)
{
	for (size_t i = 0; i < t->n_links; i++) {
		if (t->pin)
			bpf_link__disconnect(t->links[i]);
		bpf_link__destroy(t->links[i]);
	}
	t->n_links = 0;
}

/* What the skeleton has is its own. */
static void parts_close(struct tracer *t)
{
	struct parts *p = &t->parts;

	if (t->skel)
		return;
	if (p->bss_size)
		munmap(p->bss, p->bss_size);
	for (size_t i = 0; i < p->n_programs; i++)
		close(p->programs[i].fd);
	for (size_t i = 0; i < p->n_links; i++)
		close(p->links[i]);
	if (p->ring >= 0)
		close(p->ring);
	if (p->tracked >= 0)
		close(p->tracked);
	if (p->known >= 0)
		close(p->known);
	if (p->lingering >= 0)
		close(p->lingering);
}

struct tracer *tracer_close(struct tracer *t)
{
	if (!t)
		return NULL;
	links_close(t);
	parts_close(t);
	if (t->pin)
		pin_done(t->pin);
	free(t->pin);
	if (t->foreign)
		pin_done(t->foreign);
	free(t->foreign);
	if (t->lock_fd >= 0)
		close(t->lock_fd);
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

	bool part = t->pin ? t->pin->about.part : needs_cgroup(t) && !is_whole_hierarchy(t->cgroup_fd);

	if (part && n < TRACER_BLIND_MAX)
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

	if (!t)
		return NULL;
	t->cgroup_fd = t->small_btf_fd = t->lock_fd = -1;
	t->parts.ring = t->parts.tracked = t->parts.known = t->parts.lingering = -1;
	return t;
}

static void parts_take(struct tracer *t)
{
	struct parts *p = &t->parts;
	struct bpf_program *program;

	p->bss = t->skel->bss;
	p->ring = bpf_map__fd(t->skel->maps.ring);
	p->tracked = bpf_map__fd(t->skel->maps.tracked);
	p->known = bpf_map__fd(t->skel->maps.known);
	p->lingering = bpf_map__fd(t->skel->maps.lingering);
	bpf_object__for_each_program(program, t->skel->obj) {
		struct program *to = &p->programs[p->n_programs];

		if (!bpf_program__autoload(program) || p->n_programs == PROGRAMS_MAX)
			continue;
		snprintf(to->name, sizeof(to->name), "%s", bpf_program__name(program));
		to->fd = bpf_program__fd(program);
		p->n_programs++;
	}
}

/* Inside a cgroup namespace the mount shows a part of the tree: attach to it, and say so. */
static int tracer_make(struct tracer *t, const struct tracer_options *o)
{
	int r = tracer_prepare(t);

	if (r < 0)
		return r;
	t->fexit_refused = o->hooks == HOOKS_TRACEPOINT || !fexit_taken(t);
	r = tracer_load(t, o);
	if (!r && needs_cgroup(t))
		r = cgroup_open(t, o->cgroup2);
	if (!r)
		r = tracer_attach(t);
	if (!r && o->tree && !is_chosen(t, "tree", HOOKS_ANY))
		r = fail_text(-ENOTSUP, "this kernel does not let a command's processes be followed");
	if (r < 0)
		return bpf_limit_hint(r);
	t->btf = kernel_btf_close(t->btf);
	parts_take(t);
	return 0;
}

/* ---- hooks that outlive the process ---- */

static uint64_t hash_bytes(uint64_t h, const void *data, size_t len)
{
	const uint8_t *at = data;

	for (size_t i = 0; i < len; i++)
		h = (h ^ at[i]) * 0x100000001b3ull; /* FNV-1a */
	return h;
}

static uint64_t hash_number(uint64_t h, uint64_t number)
{
	return hash_bytes(h, &number, sizeof(number));
}

static uint64_t hash_options(uint64_t h, const struct tracer_options *o)
{
	const struct filter_kernel *f = o->filter;

	h = hash_number(h, o->hooks);
	h = hash_number(h, o->ring_bytes);
	h = hash_number(h,
			(uint64_t)o->ephemeral | (uint64_t)o->autobind << 1 | (uint64_t)o->no_iterators << 2);
	h = hash_number(h, bpf_own_pidns());
	h = hash_bytes(h, o->netns, o->n_netns * sizeof(o->netns[0]));
	if (!f)
		return h;
	if (f->ports_valid)
		h = hash_bytes(h, f->ports, sizeof(f->ports));
	return hash_number(h, (uint64_t)f->failed_only << 33 | (uint64_t)f->pid_valid << 32 | f->pid);
}

/* Of the programs, how they are attached, and the options that were built into them. */
static uint64_t identity(const struct tracer_options *o)
{
	uint64_t h = 0xcbf29ce484222325ull;
	const void *elf;
	size_t size;

	elf = portlog_bpf__elf_bytes(&size);
	h = hash_bytes(h, elf, size);
	for (size_t i = 0; i < n_hooks; i++) {
		h = hash_bytes(h, hooks[i].event, strlen(hooks[i].event) + 1);
		for (const char *const *p = hooks[i].programs; *p; p++)
			h = hash_bytes(h, *p, strlen(*p) + 1);
	}
	return hash_number(hash_options(h, o), o->pin_salt);
}

static uint64_t boot_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static uint64_t random_number(void)
{
	uint64_t n = 0;

	while (!n)
		if (getrandom(&n, sizeof(n), 0) != (ssize_t)sizeof(n))
			n = (uint64_t)getpid();
	return n;
}

static int links_pin(struct tracer *t)
{
	char name[32];
	int r = 0;

	for (size_t i = 0; i < t->n_links && !r; i++) {
		snprintf(name, sizeof(name), "link_%zu", i);
		r = pin_put(t->pin, name, bpf_link__fd(t->links[i]));
		if (r != -EINVAL)
			continue;
		fail_text(r = -ENOTSUP,
			  "this kernel cannot keep tracepoint hooks without a process (it can since 5.15)");
		fail_hint(r, "record without --pin, or --hooks fexit");
	}
	return r;
}

static int parts_pin(struct tracer *t)
{
	const struct parts *p = &t->parts;
	const struct {
		const char *name;
		int fd;
	} maps[] = {
		{ "ring", p->ring },
		{ "tracked", p->tracked },
		{ "known", p->known },
		{ "lingering", p->lingering },
		{ "bss", bpf_map__fd(t->skel->maps.bss) },
	};
	char name[NAME_LEN + 8];
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(maps) && !r; i++)
		r = pin_put(t->pin, maps[i].name, maps[i].fd);
	for (size_t i = 0; i < p->n_programs && !r; i++) {
		snprintf(name, sizeof(name), "prog_%s", p->programs[i].name);
		r = pin_put(t->pin, name, p->programs[i].fd);
	}
	return r;
}

static void about_fill(const struct tracer *t, const struct tracer_options *o, struct pin_about *a)
{
	*a = (struct pin_about){
		.version = PIN_VERSION,
		.abi = PORTLOG_ABI,
		.identity = identity(o),
		.ring = random_number(),
		.made_ns = boot_ns(),
		.sk_mask = random_number(),
		.ring_bytes = o->ring_bytes,
		.own_pid = (uint32_t)getpid(),
		.n_links = (uint32_t)t->n_links,
		.part = needs_cgroup(t) && !is_whole_hierarchy(t->cgroup_fd),
	};
	for (size_t i = 0; i < n_hooks; i++)
		a->chosen |= (uint64_t)t->chosen[i] << i;
	snprintf(a->made_by, sizeof(a->made_by), "%s", PORTLOG_VERSION);
	snprintf(a->stream, sizeof(a->stream), "%s", o->stream);
}

static void pinned_note(struct tracer *t, bool adopted)
{
	const struct pin_about *a = &t->pin->about;

	t->pinned.adopted = adopted;
	t->pinned.ring = a->ring;
	t->pinned.sk_mask = a->sk_mask;
	t->pinned.ring_bytes = a->ring_bytes;
	t->pinned.own_pid = a->own_pid;
	memcpy(t->pinned.stream, a->stream, sizeof(t->pinned.stream));
	t->pinned.stream[sizeof(t->pinned.stream) - 1] = '\0';
}

/* @mask: not 0, that of the set before. Not finished: nobody takes it for whole. */
static int tracer_pin(struct tracer *t, const struct tracer_options *o, uint64_t mask)
{
	struct pin_about about;
	struct pin_set *set;
	int r;

	about_fill(t, o, &about);
	about.sk_mask = mask ?: about.sk_mask;
	set = calloc(1, sizeof(*set));
	if (!set)
		return fail(-ENOMEM, "pin the hooks");
	r = pin_begin(o->pin, about.ring, set);
	set->about = about;
	t->pin = set;
	if (!r)
		r = links_pin(t);
	if (!r)
		r = parts_pin(t);
	if (r < 0) {
		auto_free char *story = strdup(fail_story()), *remedy = strdup(fail_remedy());

		pin_remove(set);
		t->pin = NULL; /* the links go with us */
		free(set);
		fail_text(r, "%s", story ?: "");
		return remedy && remedy[0] ? fail_hint(r, "%s", remedy) : r;
	}
	pinned_note(t, false);
	return 0;
}

static int program_adopt(void *arg, const char *name, int fd)
{
	struct parts *p = arg;
	struct program *to = &p->programs[p->n_programs];

	if (p->n_programs == PROGRAMS_MAX) {
		close(fd);
		return fail_text(-E2BIG, "too many programs are pinned");
	}
	snprintf(to->name, sizeof(to->name), "%s", name);
	to->fd = fd;
	p->n_programs++;
	return 0;
}

static int link_adopt(void *arg, const char *name, int fd)
{
	struct parts *p = arg;

	(void)name;
	if (p->n_links == LINKS_MAX) {
		close(fd);
		return fail_text(-E2BIG, "too many hooks are pinned");
	}
	p->links[p->n_links++] = fd;
	return 0;
}

static int bss_map(struct tracer *t)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct parts *p = &t->parts;
	auto_close int fd = pin_get(t->pin, "bss");
	void *map;

	if (fd < 0)
		return fd;
	p->bss_size = (sizeof(*p->bss) + page - 1) & ~(page - 1);
	map = mmap(NULL, p->bss_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED) {
		p->bss_size = 0;
		return fail(-errno, "map the counters");
	}
	p->bss = map;
	return 0;
}

/* What the one before was in the middle of when it was killed. */
static void flags_reset(struct parts *p)
{
	__atomic_store_n(&p->bss->reader_awake, 1, __ATOMIC_SEQ_CST);
	p->bss->tell_owners = 0;
	p->bss->wanted_sk = 0;
}

/* A process is told again, since what the one before knew of it is gone. */
static void known_forget(const struct parts *p)
{
	auto_free uint64_t(*keys)[2] = calloc(KNOWN_BATCH, sizeof(*keys));
	auto_free uint64_t(*values)[2] = calloc(KNOWN_BATCH, sizeof(*values));
	uint32_t at = 0, n;
	bool first = true;
	int r = 0;

	while (keys && values && !r) {
		n = KNOWN_BATCH;
		r = bpf_map_lookup_and_delete_batch(p->known, first ? NULL : &at, &at, keys, values, &n,
						    NULL);
		first = false;
	}
}

static int parts_adopt(struct tracer *t)
{
	struct parts *p = &t->parts;
	const struct {
		const char *name;
		int *fd;
	} maps[] = {
		{ "ring", &p->ring },
		{ "tracked", &p->tracked },
		{ "known", &p->known },
		{ "lingering", &p->lingering },
	};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(maps) && r >= 0; i++)
		r = *maps[i].fd = pin_get(t->pin, maps[i].name);
	if (r >= 0)
		r = bss_map(t);
	if (!r)
		r = pin_each(t->pin, "prog_", program_adopt, p);
	if (!r)
		r = pin_each(t->pin, "link_", link_adopt, p);
	if (r || p->n_links == t->pin->about.n_links)
		return r;
	fail_text(-ENOENT, "%s has not all its hooks any more", t->pin->path);
	return fail_hint(-ENOENT, "portlog record --unpin takes the others off; then begin anew");
}

/* The set that is pinned goes on with us as its reader. */
static int tracer_adopt(struct tracer *t)
{
	int r = parts_adopt(t);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n_hooks; i++)
		t->chosen[i] = t->pin->about.chosen >> i & 1;
	pinned_note(t, true);
	flags_reset(&t->parts);
	known_forget(&t->parts);
	return 0;
}

static int count_record(void *arg, const void *data, size_t len)
{
	uint64_t *n = arg;

	(void)data;
	(void)len;
	(*n)++;
	return 0;
}

/* What another build pinned and only it could read. */
static uint64_t records_unread(const struct pin_set *set)
{
	auto_close int fd = pin_get(set, "ring");
	struct ring *ring;
	uint64_t n = 0;
	size_t read;

	if (fd < 0 || ring_open(fd, set->about.ring_bytes, &ring) < 0)
		return 1; /* at least */
	(void)ring_drain(ring, SIZE_MAX, count_record, &n, &read);
	ring_close(ring);
	return n;
}

/* 0: taken over; 1: there is none to take over. */
static int pinned_open(struct tracer *t, const struct tracer_options *o)
{
	struct pin_set *set = calloc(1, sizeof(*set));
	int r = set ? pins_find(o->pin, set, &t->pinned.incomplete) : fail(-ENOMEM, "read %s", o->pin);

	if (r < 0) {
		free(set);
		return r == -ENOENT ? 1 : r;
	}
	if (set->about.abi != PORTLOG_ABI) {
		t->foreign = set;
		return 1;
	}
	t->pin = set;
	t->pinned.stale = set->about.identity != identity(o);
	return tracer_adopt(t);
}

/* There from now on, for whoever comes after us. What cannot be read by this build goes when ours is there. */
static int pins_settle(struct tracer *t)
{
	int r = pin_finish(t->pin);

	if (!r && t->foreign) {
		t->pinned.unread = records_unread(t->foreign);
		pin_remove(t->foreign);
	}
	return r;
}

int tracer_open(const struct tracer_options *o, struct tracer **ret)
{
	struct tracer *t = tracer_new();
	int r = 1;

	if (!t)
		return fail(-ENOMEM, "open the tracer");
	t->autobind = o->autobind;
	t->no_iterators = o->no_iterators;
	t->tree = o->tree != 0;
	bpf_prepare();
	if (o->pin)
		r = pins_lock(o->pin, &t->lock_fd);
	if (o->pin && !r)
		r = pinned_open(t, o);
	if (r > 0)
		r = tracer_make(t, o);
	if (!r && o->pin && !t->pin) {
		r = tracer_pin(t, o, 0);
		if (!r)
			r = pins_settle(t);
	}
	if (r < 0) {
		tracer_close(t);
		if (o->pin)
			(void)rmdir(o->pin); /* if it is empty */
		return r;
	}
	blind_find(t);
	*ret = t;
	return 0;
}

const struct tracer_pinned *tracer_pinned(const struct tracer *t)
{
	return t->pin ? &t->pinned : NULL;
}

int tracer_pinned_stream(struct tracer *t, const char *stream)
{
	struct pin_about *a = &t->pin->about;

	snprintf(a->stream, sizeof(a->stream), "%s", stream);
	a->own_pid = (uint32_t)getpid();
	return pin_update(t->pin);
}

int tracer_succeed(struct tracer *old, const struct tracer_options *o, struct tracer **ret)
{
	struct tracer *t = tracer_new();
	int r;

	if (!t)
		return fail(-ENOMEM, "open the tracer");
	t->autobind = o->autobind;
	t->no_iterators = o->no_iterators;
	r = tracer_make(t, o);
	if (!r)
		r = tracer_pin(t, o, old->pin->about.sk_mask);
	if (r < 0) {
		tracer_close(t);
		return r;
	}
	blind_find(t);
	*ret = t;
	return 0;
}

int tracer_ready(struct tracer *t)
{
	return pin_finish(t->pin);
}

void tracer_retire(struct tracer *old, struct tracer *heir)
{
	struct pl_last_owner last;
	struct pl_port key, next;
	int r = bpf_map_get_next_key(old->parts.lingering, NULL, &next);

	for (unsigned n = 0; !r && n < LINGERING_MAX; n++) {
		key = next;
		if (!bpf_map_lookup_elem(old->parts.lingering, &key, &last))
			(void)bpf_map_update_elem(heir->parts.lingering, &key, &last, BPF_NOEXIST);
		r = bpf_map_get_next_key(old->parts.lingering, &key, &next);
	}
	heir->parts.bss->any_lingered |= old->parts.bss->any_lingered;
	tracer_watch_lingering(heir, old->parts.bss->watch_lingering);
	heir->lock_fd = take_fd(old->lock_fd);
	pin_remove(old->pin);
}

void tracer_discard(struct tracer *t)
{
	if (t->pin)
		pin_remove(t->pin);
	tracer_close(t);
}

int tracer_unpin(const char *dir)
{
	auto_close int lock = -1;
	size_t n;
	int r;

	if (access(dir, F_OK))
		return -ENOENT;
	r = pins_lock(dir, &lock);
	return r ? r : pins_remove(dir, &n);
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
	int link, fd, r = 0;

	for (const char *const *name = h->programs; !r && *name; name++) {
		struct bpf_program *p = bpf_object__find_program_by_name(t->skel->obj, *name);

		if (!p || strncmp(bpf_program__section_name(p), "iter/", 5) != 0)
			continue;
		r = bpf_iterator_open(bpf_program__fd(p), *name, 0, &link, &fd);
		if (r < 0)
			break;
		close(fd);
		close(link);
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
	return t->parts.ring;
}

void tracer_set_awake(struct tracer *t, bool awake)
{
	__atomic_store_n(&t->parts.bss->reader_awake, awake, __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

uint64_t tracer_lost(const struct tracer *t, unsigned kind, bool failed)
{
	const unsigned long long *counts = failed ? t->parts.bss->lost_failed : t->parts.bss->lost;

	return kind < PL_KIND_MAX ? __atomic_load_n(&counts[kind], __ATOMIC_RELAXED) : 0;
}

uint64_t tracer_tracked_full(const struct tracer *t)
{
	return __atomic_load_n(&t->parts.bss->tracked_full, __ATOMIC_RELAXED);
}

uint64_t tracer_tree_full(const struct tracer *t)
{
	return __atomic_load_n(&t->parts.bss->tree_full, __ATOMIC_RELAXED);
}

uint64_t tracer_hidden(const struct tracer *t)
{
	return __atomic_load_n(&t->parts.bss->hidden_binds, __ATOMIC_RELAXED);
}

uint64_t tracer_missed(const struct tracer *t, void (*each)(void *arg, const char *program, uint64_t missed),
		       void *arg)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < t->parts.n_programs; i++) {
		const struct program *p = &t->parts.programs[i];
		struct bpf_prog_info info = { 0 };
		__u32 len = sizeof(info);

		if (bpf_obj_get_info_by_fd(p->fd, &info, &len))
			continue;
		sum += info.recursion_misses;
		if (each && info.recursion_misses)
			each(arg, p->name, info.recursion_misses);
	}
	return sum;
}

static int program_fd(const struct tracer *t, const char *name)
{
	for (size_t i = 0; i < t->parts.n_programs; i++)
		if (!strcmp(t->parts.programs[i].name, name))
			return t->parts.programs[i].fd;
	return -1;
}

/* The iterator writes eight bytes for each row it tells, so that a read returns now and then and the ring is drained. */
static int iterate(const struct tracer *t, const char *name, int (*between)(void *arg), void *arg)
{
	char rows[2048];
	int link, fd, r, b;

	r = bpf_iterator_open(program_fd(t, name), name, 0, &link, &fd);
	if (r < 0)
		return r;
	do {
		r = (int)bpf_iterator_read(fd, rows, sizeof(rows));
		b = r >= 0 ? between(arg) : 0;
	} while (r > 0 && !b);
	close(fd);
	close(link);
	return b ? b : r;
}

int tracer_iterate(struct tracer *t, bool owners, int (*between)(void *arg), void *arg)
{
	int r;

	if (!is_chosen(t, "snapshot", HOOKS_ANY))
		return -ENOTSUP;
	t->parts.bss->tell_owners = owners;
	r = iterate(t, "each_file", between, arg);
	t->parts.bss->tell_owners = 0;
	return r;
}

int tracer_iterate_fileless(struct tracer *t, int (*between)(void *arg), void *arg)
{
	int r;

	if (!is_chosen(t, "fileless", HOOKS_ANY))
		return -ENOTSUP;
	r = iterate(t, "each_udp", between, arg);
	return r ? r : iterate(t, "each_tcp", between, arg);
}

int tracer_owners(struct tracer *t, uint64_t sk, uint32_t pid,
		  int (*each)(void *arg, const struct pl_owner *row), void *arg)
{
	struct pl_owner rows[64];
	size_t have = 0;
	int link, fd, r;
	ssize_t n;

	if (!is_chosen(t, "snapshot", HOOKS_ANY))
		return -ENOTSUP;
	r = bpf_iterator_open(program_fd(t, "each_file"), "each_file", pid, &link, &fd);
	if (r < 0)
		return r;
	t->parts.bss->wanted_sk = sk;
	while ((n = bpf_iterator_read(fd, (char *)rows + have, sizeof(rows) - have)) > 0 && !r) {
		have += (size_t)n;
		for (size_t i = 0; i < have / sizeof(rows[0]) && !r; i++)
			r = each(arg, &rows[i]);
		/* A read may end in the middle of a row. */
		memmove(rows, (char *)rows + have / sizeof(rows[0]) * sizeof(rows[0]),
			have % sizeof(rows[0]));
		have %= sizeof(rows[0]);
	}
	t->parts.bss->wanted_sk = 0;
	close(fd);
	close(link);
	return n < 0 ? (int)n : r;
}

int tracer_tracked_all(struct tracer *t, int (*each)(void *arg, uint64_t sk, const struct pl_tracked *value),
		       void *arg)
{
	auto_free uint64_t *keys = calloc(TRACKED_BATCH, sizeof(*keys));
	auto_free struct pl_tracked *values = calloc(TRACKED_BATCH, sizeof(*values));
	int map = t->parts.tracked;
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
	return bpf_map_lookup_elem(t->parts.tracked, &sk, ret) ? -errno : 0;
}

void tracer_untrack(struct tracer *t, uint64_t sk, uint64_t tracked_ns)
{
	struct pl_tracked now;

	if (!tracer_tracked_get(t, sk, &now) && now.since_ns == tracked_ns)
		(void)bpf_map_delete_elem(t->parts.tracked, &sk);
}

void tracer_forget_lingering(struct tracer *t, uint32_t netns, bool udp, uint16_t port)
{
	struct pl_port key = { .netns = netns, .port = port, .proto = udp ? IPPROTO_UDP : IPPROTO_TCP };

	(void)bpf_map_delete_elem(t->parts.lingering, &key);
}

int tracer_lingering_all(struct tracer *t, int (*each)(void *arg, const struct pl_port *port), void *arg)
{
	struct pl_port key, next;
	int r = bpf_map_get_next_key(t->parts.lingering, NULL, &next) ? 1 : 0, result = 0;

	/* One that is gone meanwhile begins it anew: the caller sees a port twice at worst. */
	for (unsigned n = 0; !r && !result && n < 4 * LINGERING_MAX; n++) {
		key = next;
		result = each(arg, &key);
		r = bpf_map_get_next_key(t->parts.lingering, &key, &next) ? 1 : 0;
	}
	return result;
}

void tracer_watch_lingering(struct tracer *t, bool watch)
{
	__atomic_store_n(&t->parts.bss->watch_lingering, watch, __ATOMIC_SEQ_CST);
}
