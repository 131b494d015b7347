/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Fill in what the kernel did not say. Everything comes from files below one root directory, is kept for a while, and is
 * bounded; "there is no such name" is kept like a name, so that unknown ones cost no more than known ones.
 */
#include "enrich/enrich.h"

#include <sys/stat.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "enrich/bound_by.h"
#include "enrich/cgroup.h"
#include "enrich/names.h"
#include "enrich/netns_names.h"
#include "enrich/proc.h"
#include "util/cleanup.h"
#include "util/parse.h"

/* Out of memory must not end the program in a table of names: an element that does not fit is left out. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define MS 1000000ull
#define CONTAINERS_MAX 1024
#define CSS_SETS_MAX 4096
#define CONTAINER_KNOWN_NS (60000 * MS)
#define CONTAINER_UNKNOWN_NS (2000 * MS)
#define SYSCTL_NS (1000 * MS)
#define MOUNTINFO_MAX (1 << 20)

/* What the runtimes' files said of one container, which may be nothing. */
struct container {
	UT_hash_handle hh;
	uint64_t read_ns;
	struct cgroup_info names;
	char id[];
};

/* What the file of a process said that is in these cgroups. */
struct css_set {
	UT_hash_handle hh;
	uint64_t key;
	char *cgroup, *legacy; /* as of proc_fill_cgroup() */
	bool agreed;           /* so did that of another one */
	bool disputed;         /* another one's said something else: one of them has moved since */
};

struct enrich {
	int root_fd;
	int proc_fd;
	struct names *names;
	struct netns_names *netns;
	struct bound_table *bound;
	struct container *containers;
	struct css_set *css_sets;
	int cgroup_fd; /* v2 mount; -1: none */
	bool cgroup_looked;
	bool legacy_cgroups; /* there are v1 hierarchies, which may say more */
	char cgroup_mount[PATH_MAX];
	uint64_t sysctls_ns; /* when these were read; 0: never */
	unsigned ephemeral_low, ephemeral_high;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return (uint64_t)ts.tv_sec * 1000 * MS + (uint64_t)ts.tv_nsec;
}

/* ---- containers ---- */

static void container_forget(struct enrich *e, struct container *c)
{
	HASH_DEL(e->containers, c);
	cgroup_info_done(&c->names);
	free(c);
}

static struct container *container_remember(struct enrich *e, const char *id)
{
	size_t len = strlen(id);
	struct container *c = calloc(1, sizeof(*c) + len + 1);
	unsigned before = HASH_COUNT(e->containers);

	if (!c)
		return NULL;
	memcpy(c->id, id, len);
	HASH_ADD_KEYPTR(hh, e->containers, c->id, len, c);
	if (HASH_COUNT(e->containers) == before) {
		free(c);
		return NULL;
	}
	if (before >= CONTAINERS_MAX)
		container_forget(e, e->containers); /* the first is the oldest */
	return c;
}

static void copy_name(char **to, const char *from)
{
	if (!*to && from)
		*to = strdup(from);
}

static void copy_names(struct cgroup_info *to, const struct cgroup_info *from)
{
	copy_name(&to->container_runtime, from->container_runtime);
	copy_name(&to->container_name, from->container_name);
	copy_name(&to->pod_name, from->pod_name);
	copy_name(&to->pod_namespace, from->pod_namespace);
}

/* Names of the container or pod that @where tells by its id, from the files or as they were read a short while ago. */
static void fill_container(struct enrich *e, struct cgroup_info *where)
{
	const char *id = where->container_id ?: where->pod_uid;
	struct container *c = NULL;
	uint64_t now = now_ns(), age_max;

	if (!id)
		return;
	HASH_FIND_STR(e->containers, id, c);
	age_max = c && c->names.container_name ? CONTAINER_KNOWN_NS : CONTAINER_UNKNOWN_NS;
	if (c && now - c->read_ns < age_max) {
		copy_names(where, &c->names);
		return;
	}
	if (c)
		container_forget(e, c);
	container_names(e->root_fd, where);
	c = container_remember(e, id);
	if (c) {
		c->read_ns = now;
		copy_names(&c->names, where);
	}
}

/* ---- processes ---- */

/* All of a file, however long it says it is; NULL when it cannot be had. */
static char *read_all(int dir_fd, const char *path, size_t max)
{
	auto_free char *text = malloc(max);
	size_t len;

	if (!text || proc_read(dir_fd, path, text, max, &len))
		return NULL;
	return take(text);
}

static void cgroup_mount_open(struct enrich *e)
{
	auto_free char *text = NULL;

	if (e->cgroup_looked)
		return;
	e->cgroup_looked = true;
	text = read_all(e->proc_fd, "self/mountinfo", MOUNTINFO_MAX);
	if (!text || cgroup2_mount(text, e->cgroup_mount, sizeof(e->cgroup_mount)) ||
	    e->cgroup_mount[0] != '/')
		return;
	e->cgroup_fd = openat(e->root_fd, e->cgroup_mount[1] ? e->cgroup_mount + 1 : ".",
			      O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
}

/* The path of a cgroup outlives the process that was in it. */
static char *cgroup_of_id(struct enrich *e, uint64_t id)
{
	char path[PATH_MAX];

	cgroup_mount_open(e);
	if (e->cgroup_fd < 0 || cgroup_path_by_id(e->cgroup_fd, e->cgroup_mount, id, path, sizeof(path)))
		return NULL;
	return strdup(path);
}

/* Are there cgroup v1 hierarchies? A process has a line for each. */
static bool has_legacy_cgroups(int proc_fd)
{
	char text[64];
	size_t len;

	return !proc_read(proc_fd, "self/cgroup", text, sizeof(text), &len) && len && strncmp(text, "0::", 3);
}

static bool lacks_something(const struct enrich *e, const struct process *p)
{
	return !p->exe || !p->args || !p->cgroup || (e->legacy_cgroups && !strcmp(p->cgroup, "/"));
}

void enrich_process(struct enrich *e, struct process *p)
{
	auto_free char *legacy = NULL;

	if (p->enriched)
		return;
	process_dirty(p); /* what was made of it before its members change */
	p->enriched = true;
	if (lacks_something(e, p) && p->key.pid && p->key.start_ns)
		(void)proc_fill(e->proc_fd, p, &legacy);
	if (!p->cgroup && p->cgroup_id)
		p->cgroup = cgroup_of_id(e, p->cgroup_id);
	if (p->cgroup || legacy)
		(void)cgroup_parse(legacy ?: p->cgroup, &p->where);
	fill_container(e, &p->where);
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static void css_set_remember(struct enrich *e, const struct process *p, const char *legacy)
{
	struct css_set *s;

	if (!p->css_set || HASH_COUNT(e->css_sets) >= CSS_SETS_MAX)
		return;
	s = calloc(1, sizeof(*s));
	if (!s)
		return;
	s->key = p->css_set;
	s->cgroup = p->cgroup ? strdup(p->cgroup) : NULL;
	s->legacy = legacy ? strdup(legacy) : NULL;
	HASH_ADD(hh, e->css_sets, key, sizeof(s->key), s);
}

static void css_sets_forget(struct enrich *e)
{
	struct css_set *s, *next;

	HASH_ITER(hh, e->css_sets, s, next) {
		HASH_DEL(e->css_sets, s);
		free(s->cgroup);
		free(s->legacy);
		free(s);
	}
}

/*
 * Processes in the same cgroups have the same file, which is read twice, not for each of them: a process that moved
 * between the pass and the first look would stand for all.
 */
static void fill_cgroup(struct enrich *e, struct process *p, char **ret_legacy)
{
	struct css_set *s = NULL;

	if (p->css_set)
		HASH_FIND(hh, e->css_sets, &p->css_set, sizeof(p->css_set), s);
	if (s && s->agreed && !s->disputed) {
		copy_name(&p->cgroup, s->cgroup);
		copy_name(ret_legacy, s->legacy);
		return;
	}
	if (proc_fill_cgroup(e->proc_fd, p, ret_legacy))
		return;
	if (!s)
		css_set_remember(e, p, *ret_legacy);
	else if (same_text(s->cgroup, p->cgroup) && same_text(s->legacy, *ret_legacy))
		s->agreed = true;
	else
		s->disputed = true;
}

static bool has_place(const struct cgroup_info *where)
{
	return where->unit || where->container_id || where->pod_uid;
}

void enrich_process_where(struct enrich *e, struct process *p)
{
	auto_free char *legacy = NULL;

	if (p->enriched || p->cgroup || has_place(&p->where))
		return;
	if (e->legacy_cgroups || !p->cgroup_id)
		fill_cgroup(e, p, &legacy);
	if (!p->cgroup && p->cgroup_id)
		p->cgroup = cgroup_of_id(e, p->cgroup_id);
	if (p->cgroup || legacy)
		(void)cgroup_parse(legacy ?: p->cgroup, &p->where);
	fill_container(e, &p->where);
}

/* ---- one record ---- */

const char *enrich_user(struct enrich *e, uint32_t uid)
{
	return names_user(e->names, uid, now_ns());
}

const char *enrich_service(struct enrich *e, uint16_t port, enum proto proto)
{
	return names_service(e->names, port, proto, now_ns());
}

const char *enrich_netns(struct enrich *e, uint32_t inode)
{
	return netns_names_find(e->netns, inode, now_ns());
}

void enrich_netns_learn(struct enrich *e, uint32_t inode, const char *name)
{
	netns_names_learn(e->netns, inode, name, now_ns());
}

void enrich_view(struct enrich *e, struct view *v)
{
	const struct record *rec = v->rec;
	const struct cgroup_info *where = v->process ? &v->process->where : NULL;

	if (where && where->container_id && rec->has_socket) /* a pod's containers share one namespace */
		enrich_netns_learn(e, rec->netns, where->pod_name ?: where->container_name);
	v->user_name = rec->has_process ? enrich_user(e, rec->uid) : NULL;
	v->service = rec->has_socket ? enrich_service(e, rec->port, rec->proto) : NULL;
	v->netns_name = enrich_netns(e, rec->netns);
}

void enrich_bound_by(struct enrich *e, struct view *v)
{
	bound_table_fill(e->bound, v, now_ns());
}

/* ---- the machine ---- */

/* Read again at most once a second; what cannot be read or is no port stays what it is without the file. */
static void read_sysctls(struct enrich *e)
{
	uint64_t now = now_ns();
	unsigned low, high;
	char text[32];
	size_t len;

	if (e->sysctls_ns && now - e->sysctls_ns < SYSCTL_NS)
		return;
	e->sysctls_ns = now;
	e->ephemeral_low = 32768; /* the kernel's own range */
	e->ephemeral_high = 60999;
	if (!proc_read(e->proc_fd, "sys/net/ipv4/ip_local_port_range", text, sizeof(text), &len) &&
	    sscanf(text, "%5u %5u", &low, &high) == 2) {
		e->ephemeral_low = low;
		e->ephemeral_high = high;
	}
}

void enrich_ephemeral_range(struct enrich *e, unsigned *ret_low, unsigned *ret_high)
{
	read_sysctls(e);
	*ret_low = e->ephemeral_low;
	*ret_high = e->ephemeral_high;
}

bool enrich_port_is_ephemeral(struct enrich *e, uint16_t port)
{
	read_sysctls(e);
	return port >= e->ephemeral_low && port <= e->ephemeral_high;
}

/*
 * The boot id without its dashes; empty when it is none. First as pid 1 has it: in a machine in a container that is another
 * than the kernel's, and a service in a sandbox has a /proc of its own, which shows the kernel's.
 */
void enrich_boot_id(int proc_fd, char out[33])
{
	const size_t size = 33;
	char text[64];
	size_t len, n = 0;

	out[0] = '\0';
	if (proc_read(proc_fd, "1/root/proc/sys/kernel/random/boot_id", text, sizeof(text), &len) &&
	    proc_read(proc_fd, "sys/kernel/random/boot_id", text, sizeof(text), &len))
		return;
	for (const char *c = text; *c && n + 1 < size; c++) {
		if (isxdigit((unsigned char)*c))
			out[n++] = *c;
	}
	out[n + 1 == size ? n : 0] = '\0';
}

void enrich_session(struct enrich *e, struct session *s)
{
	size_t len;

	enrich_boot_id(e->proc_fd, s->boot_id);
	if (proc_read(e->proc_fd, "sys/kernel/hostname", s->hostname, sizeof(s->hostname), &len))
		s->hostname[0] = '\0';
	s->hostname[strcspn(s->hostname, "\n")] = '\0';
	s->host_netns = netns_names_host(e->netns);
	s->own_netns = proc_ns_inode(e->proc_fd, "thread-self/ns/net");
}

struct enrich *enrich_free(struct enrich *e)
{
	if (!e)
		return NULL;
	while (e->containers)
		container_forget(e, e->containers);
	css_sets_forget(e);
	netns_names_free(e->netns);
	names_free(e->names);
	bound_table_free(e->bound);
	if (e->proc_fd >= 0)
		close(e->proc_fd);
	if (e->cgroup_fd >= 0)
		close(e->cgroup_fd);
	free(e);
	return NULL;
}

struct enrich *enrich_new(int root_fd, struct processes *ps)
{
	struct enrich *e = calloc(1, sizeof(*e));

	(void)ps; /* a process is enriched when it is shown; nobody else's has to be looked up for that */
	if (!e)
		return NULL;
	e->root_fd = root_fd;
	e->cgroup_fd = -1;
	e->proc_fd = openat(root_fd, "proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	e->legacy_cgroups = has_legacy_cgroups(e->proc_fd);
	e->names = names_new(root_fd);
	e->netns = netns_names_new(root_fd, e->proc_fd);
	e->bound = bound_table_new(root_fd);
	return e->names && e->netns && e->bound ? e : enrich_free(e);
}

uint32_t enrich_netns_inode(struct enrich *e, const char *name)
{
	char path[300];
	struct stat st;
	uint32_t inode;

	if (!parse_u32(name, &inode))
		return inode;
	if (!strcmp(name, "host"))
		return netns_names_host(e->netns);
	if (strchr(name, '/') || strlen(name) > NAME_MAX)
		return 0;
	snprintf(path, sizeof(path), "run/netns/%s", name);
	return fstatat(e->root_fd, path, &st, 0) ? 0 : (uint32_t)st.st_ino;
}
