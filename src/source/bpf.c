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
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "source/bpf_common.h"
#include "source/bpf_state.h"
#include "source/kernel_btf.h"
#include "source/tracefs.h"
#include "util/cleanup.h"
#include "util/fail.h"

#define TREE_MAX 32768 /* processes of a tree at one time */

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

bool is_chosen(const struct tracer *t, const char *event, enum hook_set set)
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

bool needs_cgroup(const struct tracer *t)
{
	return is_chosen(t, "bind", HOOKS_TRACEPOINT) || is_chosen(t, "release-udp", HOOKS_TRACEPOINT);
}

/* Inode 1 is the hierarchy's root; a container's own view of it begins lower. */
bool is_whole_hierarchy(int fd)
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

void blind_find(struct tracer *t)
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

struct tracer *tracer_new(void)
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

const void *programs_bytes(size_t *ret_size)
{
	return portlog_bpf__elf_bytes(ret_size);
}

/* Inside a cgroup namespace the mount shows a part of the tree: attach to it, and say so. */
int tracer_make(struct tracer *t, const struct tracer_options *o)
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
		r = pinned_make(t, o, 0);
		if (!r)
			r = pinned_settle(t);
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
