/* SPDX-License-Identifier: GPL-2.0-only */
/* A tracer's hooks that outlive the process: pinned, taken over, succeeded by another build's, taken off. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "portlog_abi.h"
#include "source/bpf_common.h"
#include "source/bpf_state.h"
#include "source/ring.h"
#include "util/cleanup.h"
#include "util/fail.h"

#define KNOWN_BATCH 1024

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

	elf = programs_bytes(&size);
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

int pinned_make(struct tracer *t, const struct tracer_options *o, uint64_t mask)
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

int pinned_open(struct tracer *t, const struct tracer_options *o)
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

int pinned_settle(struct tracer *t)
{
	int r = pin_finish(t->pin);

	if (!r && t->foreign) {
		t->pinned.unread = records_unread(t->foreign);
		pin_remove(t->foreign);
	}
	return r;
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
		r = pinned_make(t, o, old->pin->about.sk_mask);
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
