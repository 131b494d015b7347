/* SPDX-License-Identifier: GPL-2.0-only */
/* What is filled in from a fake tree of /proc, /etc and /run, and from the real one. */
#include "enrich/enrich.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "enrich/names.h"
#include "enrich/netns_names.h"
#include "enrich/proc.h"
#include "util/cleanup.h"

#include <cmocka.h>

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define TICK_NS (1000000000ull / (uint64_t)sysconf(_SC_CLK_TCK))

struct world {
	char path[64];
	int fd;
	struct processes *ps;
	struct enrich *e;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	strcpy(w->path, "/tmp/test_enrich.XXXXXX");
	if (!mkdtemp(w->path))
		return -1;
	w->fd = open(w->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	mkdirat(w->fd, "proc", 0755);
	w->ps = processes_new(16);
	w->e = enrich_new(w->fd, w->ps);
	*state = w;
	return !w->e;
}

static int teardown(void **state)
{
	struct world *w = *state;
	char command[96];

	enrich_free(w->e);
	processes_free(w->ps);
	close(w->fd);
	snprintf(command, sizeof(command), "rm -rf '%s'", w->path);
	free(w);
	return system(command);
}

static void make_dirs(const struct world *w, const char *path)
{
	auto_free char *copy = strdup(path);

	for (char *c = copy; (c = strchr(c, '/')); c++) {
		*c = '\0';
		mkdirat(w->fd, copy, 0755);
		*c = '/';
	}
}

static void put_bytes(const struct world *w, const char *path, const char *text, size_t len)
{
	auto_close int fd = -1;

	make_dirs(w, path);
	fd = openat(w->fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), len);
}

static void put(const struct world *w, const char *path, const char *text)
{
	put_bytes(w, path, text, strlen(text));
}

static void put_link(const struct world *w, const char *path, const char *to)
{
	make_dirs(w, path);
	assert_int_equal(symlinkat(to, w->fd, path), 0);
}

static void put_stat_of(const struct world *w, unsigned pid, const char *comm, unsigned long long ticks)
{
	char text[256], path[32];

	snprintf(
		text, sizeof(text),
		"%u (%s) S 7 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 %llu 1 2 18446744073709551615 1 1\n",
		pid, comm, ticks);
	snprintf(path, sizeof(path), "proc/%u/stat", pid);
	put(w, path, text);
}

static void put_stat(const struct world *w, const char *comm, unsigned long long ticks)
{
	put_stat_of(w, 42, comm, ticks);
}

/* Process 42, started at tick 5000: nginx of www-data. */
static void put_process(const struct world *w)
{
	put_stat(w, "nginx", 5000);
	put_bytes(w, "proc/42/cmdline", "nginx\0-g\0daemon off;", 21);
	put_link(w, "proc/42/exe", "/usr/sbin/nginx");
	put(w, "proc/42/cgroup", "0::/system.slice/nginx.service\n");
	put(w, "proc/42/status", "Name:\tnginx\nUid:\t0\t33\t33\t33\nGid:\t0\t34\t34\t34\n");
}

/* It, as the kernel side knows it: nothing but the key. */
static struct process *seen(const struct world *w, uint64_t start_ns)
{
	struct process_key key = { 42, start_ns, 1 };
	struct process *p;
	bool fresh;

	p = processes_get(w->ps, &key, &fresh);
	assert_non_null(p);
	return p;
}

#define START (5000 * TICK_NS + 123)

/* ---- processes ---- */

static void a_process_seen_too_late_is_filled_from_proc(void **state)
{
	struct world *w = *state;
	struct process *p = seen(w, START);

	put_process(w);
	enrich_process(w->e, p);
	assert_string_equal(p->exe, "/usr/sbin/nginx");
	assert_int_equal(p->args_len, 21);
	assert_memory_equal(p->args, "nginx\0-g\0daemon off;", 21);
	assert_false(p->args_cut);
	assert_string_equal(p->cgroup, "/system.slice/nginx.service");
	assert_string_equal(p->where.unit, "nginx.service");
	assert_string_equal(p->comm, "nginx");
	assert_int_equal(p->ppid, 7);
	assert_int_equal(p->uid, 33);
	assert_int_equal(p->gid, 34);
}

static void what_the_hook_said_is_not_replaced(void **state)
{
	struct world *w = *state;
	struct process *p = seen(w, START);

	put_process(w);
	p->exe = strdup("/other");
	p->cgroup = strdup("/system.slice/other.service");
	p->ppid = 3;
	p->uid = 5;
	strcpy(p->comm, "nginx");
	enrich_process(w->e, p);
	assert_string_equal(p->exe, "/other");
	assert_string_equal(p->where.unit, "other.service");
	assert_int_equal(p->ppid, 3);
	assert_int_equal(p->uid, 5);
	assert_int_equal(p->args_len, 21);
}

static void another_process_with_the_same_number_is_not_taken_for_it(void **state)
{
	static const struct {
		int ticks;
		bool same;
	} rows[] = { { -3, false }, { -2, false }, { -1, true },   { 0, true },
		     { 1, true },   { 2, false },  { 1000, false } };
	struct world *w = *state;

	put_process(w);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct process *p = seen(w, (uint64_t)((int64_t)START + rows[i].ticks * (int64_t)TICK_NS));

		enrich_process(w->e, p);
		assert_int_equal(p->exe != NULL, rows[i].same);
		assert_int_equal(p->cgroup != NULL, rows[i].same);
	}
}

static void a_process_whose_ids_cannot_be_read_is_not_root(void **state)
{
	struct world *w = *state;
	struct process *p = seen(w, START);

	put_process(w);
	put(w, "proc/42/status", "");
	enrich_process(w->e, p);
	assert_string_equal(p->exe, "/usr/sbin/nginx");
	assert_string_equal(p->comm, ""); /* as is said of one whose user is not known */
}

static void a_process_that_is_gone_stays_as_it_was(void **state)
{
	struct world *w = *state;
	struct process *p = seen(w, START);

	enrich_process(w->e, p);
	assert_true(p->enriched);
	assert_null(p->exe);
	assert_null(p->cgroup);
	assert_null(p->where.unit);
}

static void after_an_exec_the_next_programs_name_is_not_the_old_ones(void **state)
{
	struct world *w = *state;
	struct process *p = seen(w, START);

	put_process(w);
	strcpy(p->comm, "sh");
	enrich_process(w->e, p);
	assert_null(p->exe);
	assert_null(p->args);
	assert_string_equal(p->where.unit, "nginx.service");
}

static void a_name_with_brackets_does_not_shift_the_fields(void **state)
{
	struct world *w = *state;
	struct process *p = seen(w, START);

	put_process(w);
	put_stat(w, "a) S 1 (b\n)", 5000);
	enrich_process(w->e, p);
	assert_memory_equal(p->comm, "a) S 1 (b\n)", 12);
	assert_int_equal(p->ppid, 7);
}

static void stat_lines_that_are_none_are_refused(void **state)
{
	static const char *const texts[] = {
		"", "42", "42 (x", "42 x) S 1", ")(", "42 (x) S 1 2 3", "42 (x)"
	};
	struct proc_stat st;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_int_equal(proc_stat_parse(texts[i], &st), -EINVAL);
}

/* state and threads of "42 (comm) STATE ... THREADS ..." */
static bool ended_by_stat(char state, unsigned threads)
{
	struct proc_stat st;
	char text[200];

	snprintf(text, sizeof(text),
		 "42 (a) Z 1 (b) %c 1 42 42 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 %u 0 700 0 0", state, threads);
	assert_int_equal(proc_stat_parse(text, &st), 0);
	assert_int_equal(st.ppid, 1);
	assert_int_equal(st.start_ticks, 700);
	return st.ended;
}

static void a_process_has_ended_when_its_last_thread_has(void **state)
{
	(void)state;
	assert_false(ended_by_stat('S', 1));
	assert_true(ended_by_stat('Z', 1));
	assert_true(ended_by_stat('Z', 0));
	assert_false(ended_by_stat('Z', 2)); /* the first thread left by pthread_exit(3) */
	assert_true(ended_by_stat('X', 0));
}

static void an_executable_that_was_replaced_keeps_its_path(void **state)
{
	struct world *w = *state;
	struct process *p = seen(w, START);

	put_process(w);
	unlinkat(w->fd, "proc/42/exe", 0);
	put_link(w, "proc/42/exe", "/usr/sbin/nginx (deleted)");
	enrich_process(w->e, p);
	assert_string_equal(p->exe, "/usr/sbin/nginx");
}

static void a_title_without_its_nul_and_a_long_one_are_both_ended(void **state)
{
	struct world *w = *state;
	struct process *p = seen(w, START);
	char longer[5000];

	put_process(w);
	put(w, "proc/42/cmdline", "nginx: worker");
	enrich_process(w->e, p);
	assert_int_equal(p->args_len, 14);
	assert_string_equal(p->args, "nginx: worker");

	memset(longer, 'x', sizeof(longer));
	put_bytes(w, "proc/42/cmdline", longer, sizeof(longer));
	p = seen(w, START + 1);
	enrich_process(w->e, p);
	assert_int_equal(p->args_len, 1024);
	assert_true(p->args_cut);
	assert_int_equal(strlen(p->args), 1023);
}

static void a_kernel_thread_has_no_arguments_and_no_executable(void **state)
{
	struct world *w = *state;
	struct process *p = seen(w, START);

	put_stat(w, "kworker/0:1", 5000);
	put(w, "proc/42/cmdline", "");
	put(w, "proc/42/cgroup", "0::/\n");
	enrich_process(w->e, p);
	assert_null(p->exe);
	assert_null(p->args);
	assert_string_equal(p->cgroup, "/");
	assert_null(p->where.unit);
}

static void where_only_v1_has_groups_they_say_the_container(void **state)
{
	struct world *w = *state;
	struct process *p = seen(w, START);
	struct enrich *e;

	put_process(w);
	put(w, "proc/self/cgroup", "12:memory:/\n1:name=systemd:/\n0::/\n");
	put(w, "proc/42/cgroup", "12:memory:/docker/" ID "\n1:name=systemd:/docker/" ID "\n0::/\n");
	p->cgroup = strdup("/");
	e = enrich_new(w->fd, w->ps);
	enrich_process(e, p);
	enrich_free(e);
	assert_string_equal(p->cgroup, "/");
	assert_string_equal(p->where.container_id, ID);
	assert_string_equal(p->where.container_runtime, "docker");
}

/* Process @pid, of the set of cgroups 7, with a v1 group of that name; which unit it is told to be of. */
static const char *unit_in_a_set(struct world *w, struct enrich *e, unsigned pid, const char *group)
{
	struct process_key key = { pid, START, 1 };
	char path[32], text[128];
	struct process *p;
	bool fresh;

	put_stat_of(w, pid, "nginx", 5000);
	snprintf(path, sizeof(path), "proc/%u/cgroup", pid);
	snprintf(text, sizeof(text), "1:name=systemd:/system.slice/%s.service\n0::/\n", group);
	put(w, path, text);
	p = processes_get(w->ps, &key, &fresh);
	assert_non_null(p);
	p->css_set = 7;
	enrich_process_where(e, p);
	return p->where.unit ?: "";
}

static void two_that_agree_speak_for_all_in_their_cgroups(void **state)
{
	struct world *w = *state;
	struct enrich *e;

	put(w, "proc/self/cgroup", "1:name=systemd:/\n0::/\n");
	e = enrich_new(w->fd, w->ps);
	assert_string_equal(unit_in_a_set(w, e, 42, "a"), "a.service");
	assert_string_equal(unit_in_a_set(w, e, 43, "a"), "a.service");
	assert_string_equal(unit_in_a_set(w, e, 44, "unread"), "a.service");
	enrich_free(e);
}

static void where_they_do_not_agree_each_is_asked(void **state)
{
	struct world *w = *state;
	struct enrich *e;

	put(w, "proc/self/cgroup", "1:name=systemd:/\n0::/\n");
	e = enrich_new(w->fd, w->ps);
	assert_string_equal(unit_in_a_set(w, e, 42, "a"), "a.service");
	assert_string_equal(unit_in_a_set(w, e, 43, "b"), "b.service");
	assert_string_equal(unit_in_a_set(w, e, 44, "b"), "b.service");
	assert_string_equal(unit_in_a_set(w, e, 45, "b"), "b.service");
	enrich_free(e);
}

static void a_process_is_asked_about_once_until_it_is_dirty(void **state)
{
	struct world *w = *state;
	struct process *p = seen(w, START);

	enrich_process(w->e, p);
	put_process(w);
	enrich_process(w->e, p);
	assert_null(p->exe);
	process_dirty(p);
	enrich_process(w->e, p);
	assert_string_equal(p->exe, "/usr/sbin/nginx");
}

static void what_was_rendered_before_is_forgotten(void **state)
{
	struct world *w = *state;
	struct process *p = seen(w, START);

	p->rendered[0] = malloc(8);
	enrich_process(w->e, p);
	assert_null(p->rendered[0]);
}

static void containers_of_the_same_id_are_read_once(void **state)
{
	struct world *w = *state;
	struct process *a = seen(w, START), *b = seen(w, START + 1);

	put(w, "var/lib/docker/containers/" ID "/config.v2.json", "{\"Name\":\"/shop\"}");
	a->cgroup = strdup("/system.slice/docker-" ID ".scope");
	b->cgroup = strdup("/system.slice/docker-" ID ".scope/x");
	enrich_process(w->e, a);
	put(w, "var/lib/docker/containers/" ID "/config.v2.json", "{\"Name\":\"/other\"}");
	enrich_process(w->e, b);
	assert_string_equal(a->where.container_name, "shop");
	assert_string_equal(b->where.container_name, "shop");
}

static void thousands_of_containers_are_not_all_kept(void **state)
{
	struct world *w = *state;

	for (unsigned i = 0; i < 3000; i++) {
		struct process *p = seen(w, START + i);
		char path[128];

		snprintf(path, sizeof(path), "/docker/%064x", i);
		p->cgroup = strdup(path);
		enrich_process(w->e, p);
		assert_string_equal(p->where.container_id, path + 8);
	}
}

static void this_process_is_found_in_the_real_proc(void **state)
{
	auto_close int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_close int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct processes *ps = processes_new(4);
	struct enrich *e = enrich_new(root, ps);
	struct process_key key = { .pid = (uint32_t)getpid(), .exec_id = 1 };
	char text[1024], exe[PATH_MAX] = "";
	struct proc_stat st;
	struct process *p;
	size_t len;
	bool fresh;

	(void)state;
	assert_int_equal(proc_read(proc, "self/stat", text, sizeof(text), &len), 0);
	assert_int_equal(proc_stat_parse(text, &st), 0);
	assert_int_equal(st.ppid, getppid());
	key.start_ns = st.start_ticks * TICK_NS;
	p = processes_get(ps, &key, &fresh);
	enrich_process(e, p);
	assert_true(readlink("/proc/self/exe", exe, sizeof(exe) - 1) > 0);
	assert_string_equal(p->exe, exe);
	assert_int_equal(p->uid, geteuid());
	assert_non_null(p->args);
	enrich_free(e);
	processes_free(ps);
}

/* ---- users and services ---- */

static void users_have_the_first_name_of_their_number(void **state)
{
	struct world *w = *state;

	put(w, "etc/passwd",
	    "root:x:0:0:root:/root:/bin/sh\ntoor:x:0:0::/:\n\n:x:5:5\nbad\nalso:bad\nno:x:12a:1::\n+nis:x:7:7::\n"
	    "www-data:x:33:33:www:/var/www:\nbig:x:4294967294:1::\nhuge:x:4294967296:1::\nlast:x:1000:1000");
	assert_string_equal(enrich_user(w->e, 0), "root");
	assert_string_equal(enrich_user(w->e, 33), "www-data");
	assert_string_equal(enrich_user(w->e, 4294967294u), "big");
	assert_string_equal(enrich_user(w->e, 1000), "last");
	assert_null(enrich_user(w->e, 5));
	assert_null(enrich_user(w->e, 7));
	assert_null(enrich_user(w->e, 12));
	assert_null(enrich_user(w->e, 99));
}

static void without_a_file_nobody_has_a_name(void **state)
{
	struct world *w = *state;

	assert_null(enrich_user(w->e, 0));
	assert_null(enrich_service(w->e, 80, PROTO_TCP));
}

static void a_pipe_in_place_of_the_file_does_not_stop_us(void **state)
{
	struct world *w = *state;

	make_dirs(w, "etc/passwd");
	assert_int_equal(mkfifoat(w->fd, "etc/passwd", 0644), 0);
	assert_null(enrich_user(w->e, 0));
}

static void a_changed_file_is_read_again_but_looked_at_once_a_second(void **state)
{
	struct world *w = *state;
	struct names *n = names_new(w->fd);
	const uint64_t second = 1000000000;

	put(w, "etc/passwd", "old:x:1:1::\n");
	assert_string_equal(names_user(n, 1, 5 * second), "old");
	put(w, "etc/passwd", "newer:x:1:1::\n");
	assert_string_equal(names_user(n, 1, 6 * second - 1), "old");
	assert_string_equal(names_user(n, 1, 6 * second), "newer");
	unlinkat(w->fd, "etc/passwd", 0);
	assert_string_equal(names_user(n, 1, 6 * second + 5), "newer");
	assert_null(names_user(n, 1, 7 * second));
	names_free(n);
}

static void services_go_by_port_and_protocol(void **state)
{
	struct world *w = *state;

	put(w, "etc/services",
	    "# comment\nhttp\t\t80/tcp\t\twww # WorldWideWeb\nwww2 80/tcp\ndomain 53/tcp\ndomain 53/udp\nsyslog\t514/udp\n"
	    "shell 514/tcp cmd\nrtmp 1/ddp\nbad 99999/tcp\nbad x/tcp\nbad\n#no 81/tcp\nlast 65535/tcp");
	assert_string_equal(enrich_service(w->e, 80, PROTO_TCP), "http");
	assert_string_equal(enrich_service(w->e, 80, PROTO_MPTCP), "http");
	assert_null(enrich_service(w->e, 80, PROTO_UDP));
	assert_string_equal(enrich_service(w->e, 514, PROTO_UDP), "syslog");
	assert_string_equal(enrich_service(w->e, 514, PROTO_TCP), "shell");
	assert_string_equal(enrich_service(w->e, 65535, PROTO_TCP), "last");
	assert_null(enrich_service(w->e, 1, PROTO_TCP));
	assert_null(enrich_service(w->e, 81, PROTO_TCP));
	assert_null(enrich_service(w->e, 0, PROTO_TCP));
	assert_null(enrich_service(w->e, 80, PROTO_NONE));
}

/* ---- network namespaces ---- */

static uint32_t inode_of(const struct world *w, const char *path)
{
	struct stat st;

	assert_int_equal(fstatat(w->fd, path, &st, 0), 0);
	return (uint32_t)st.st_ino;
}

static void namespaces_have_the_hosts_a_mounted_or_a_learned_name(void **state)
{
	struct world *w = *state;

	put_link(w, "proc/1/ns/net", "net:[4026531840]");
	put(w, "run/netns/blue", "");
	assert_string_equal(enrich_netns(w->e, 4026531840u), "host");
	assert_string_equal(enrich_netns(w->e, inode_of(w, "run/netns/blue")), "blue");
	assert_null(enrich_netns(w->e, 4026532000u));
	assert_null(enrich_netns(w->e, 0));
	enrich_netns_learn(w->e, 4026532000u, "shop");
	assert_string_equal(enrich_netns(w->e, 4026532000u), "shop");
}

static void a_learned_name_replaces_none_that_is_known(void **state)
{
	struct world *w = *state;

	put_link(w, "proc/1/ns/net", "net:[4026531840]");
	put(w, "run/netns/blue", "");
	enrich_netns_learn(w->e, 4026531840u, "shop");
	enrich_netns_learn(w->e, inode_of(w, "run/netns/blue"), "shop");
	enrich_netns_learn(w->e, 4026532000u, "first");
	enrich_netns_learn(w->e, 4026532000u, "second");
	enrich_netns_learn(w->e, 4026532001u, "");
	enrich_netns_learn(w->e, 4026532001u, NULL);
	assert_string_equal(enrich_netns(w->e, 4026531840u), "host");
	assert_string_equal(enrich_netns(w->e, inode_of(w, "run/netns/blue")), "blue");
	assert_string_equal(enrich_netns(w->e, 4026532000u), "first");
	assert_null(enrich_netns(w->e, 4026532001u));
}

static void the_host_is_told_by_the_first_kernel_thread_too(void **state)
{
	static const struct {
		const char *stat;
		bool kernel;
	} rows[] = {
		{ "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 1 0 0", true },
		{ "2 (kthreadd) S 1 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 1 0 0", false },
		{ "2 (bash) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 1 0 0", false },
		{ "", false },
	};
	struct world *w = *state;

	put_link(w, "proc/2/ns/net", "net:[4026531840]");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct session s = { 0 };

		put(w, "proc/2/stat", rows[i].stat);
		enrich_session(w->e, &s);
		assert_int_equal(s.host_netns, rows[i].kernel ? 4026531840u : 0);
	}
}

static void nothing_is_learned_while_the_host_is_unknown(void **state)
{
	struct world *w = *state;

	enrich_netns_learn(w->e, 4026532000u, "shop");
	assert_null(enrich_netns(w->e, 4026532000u));
}

#define MS 1000000ull

/* Looked for again a quarter of a second later, not before: unknown numbers come in streams. */
static void a_namespace_named_later_is_found_soon(void **state)
{
	struct world *w = *state;
	auto_close int proc = openat(w->fd, "proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct netns_names *ns = netns_names_new(w->fd, proc);
	uint32_t green;

	put_link(w, "proc/1/ns/net", "net:[4026531840]");
	assert_null(netns_names_find(ns, 1, 1000 * MS));
	put(w, "run/netns/green", "");
	green = inode_of(w, "run/netns/green");
	assert_null(netns_names_find(ns, green, 1249 * MS));
	assert_string_equal(netns_names_find(ns, green, 1250 * MS), "green");
	unlinkat(w->fd, "run/netns/green", 0);
	assert_string_equal(netns_names_find(ns, green, 1499 * MS), "green");
	assert_null(netns_names_find(ns, green, 1500 * MS));
	netns_names_free(ns);
}

static void a_learned_name_yields_when_it_was_not_seen_for_a_minute(void **state)
{
	struct world *w = *state;
	auto_close int proc = openat(w->fd, "proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct netns_names *ns;

	put_link(w, "proc/1/ns/net", "net:[4026531840]");
	ns = netns_names_new(w->fd, proc);
	netns_names_learn(ns, 7, "first", 1000 * MS);
	netns_names_learn(ns, 7, "first", 50000 * MS);
	netns_names_learn(ns, 7, "second", 100000 * MS);
	assert_string_equal(netns_names_find(ns, 7, 100000 * MS), "first");
	netns_names_learn(ns, 7, "second", 110000 * MS);
	assert_string_equal(netns_names_find(ns, 7, 110000 * MS), "second");
	netns_names_free(ns);
	assert_null(netns_names_free(NULL));
}

static void thousands_of_learned_names_are_not_all_kept(void **state)
{
	struct world *w = *state;
	unsigned known = 0;

	put_link(w, "proc/1/ns/net", "net:[4026531840]");
	for (uint32_t i = 1; i <= 5000; i++)
		enrich_netns_learn(w->e, i, "name");
	for (uint32_t i = 1; i <= 5000; i++)
		known += !!enrich_netns(w->e, i);
	assert_int_equal(known, 1024);
	assert_string_equal(enrich_netns(w->e, 5000), "name");
}

static void a_view_gets_all_its_names_at_once(void **state)
{
	struct world *w = *state;
	struct process p = { .where = { .container_id = (char *)"x", .container_name = (char *)"shop" } };
	struct record rec = { .has_process = true,
			      .has_socket = true,
			      .uid = 33,
			      .port = 80,
			      .proto = PROTO_TCP,
			      .netns = 4026532000u };
	struct view v = { .rec = &rec, .process = &p };

	put_link(w, "proc/1/ns/net", "net:[4026531840]");
	put(w, "etc/passwd", "www-data:x:33:33::\n");
	put(w, "etc/services", "http 80/tcp\n");
	enrich_view(w->e, &v);
	assert_string_equal(v.user_name, "www-data");
	assert_string_equal(v.service, "http");
	assert_string_equal(v.netns_name, "shop");

	rec = (struct record){ .netns = 4026531840u };
	v = (struct view){ .rec = &rec };
	enrich_view(w->e, &v);
	assert_null(v.user_name);
	assert_null(v.service);
	assert_string_equal(v.netns_name, "host");
}

/* ---- the machine ---- */

static void the_session_knows_boot_host_and_namespace(void **state)
{
	struct world *w = *state;
	struct session s = { 0 };

	enrich_session(w->e, &s);
	assert_string_equal(s.boot_id, "");
	assert_string_equal(s.hostname, "");
	assert_int_equal(s.host_netns, 0);
	put(w, "proc/sys/kernel/random/boot_id", "d23062da-472e-41e8-97d2-b39cc46f5ea8\n");
	put(w, "proc/sys/kernel/hostname", "web1\n");
	put_link(w, "proc/1/ns/net", "net:[4026531840]");
	enrich_session(w->e, &s);
	assert_string_equal(s.boot_id, "d23062da472e41e897d2b39cc46f5ea8");

	put(w, "proc/1/root/proc/sys/kernel/random/boot_id", "b7bc4a9f-c721-4eff-8bce-226bbc91694f\n");
	enrich_session(w->e, &s);
	assert_string_equal(s.boot_id, "b7bc4a9fc7214eff8bce226bbc91694f");
	put(w, "proc/1/root/proc/sys/kernel/random/boot_id", "");
	assert_string_equal(s.hostname, "web1");
	assert_int_equal(s.host_netns, 4026531840u);
	put(w, "proc/sys/kernel/random/boot_id", "d23062da-472e\n");
	enrich_session(w->e, &s);
	assert_string_equal(s.boot_id, "");
}

static void ports_that_the_kernel_chooses_are_those_of_its_range(void **state)
{
	static const struct {
		const char *range;
		uint16_t port;
		bool ephemeral;
	} rows[] = {
		{ NULL, 32767, false },
		{ NULL, 32768, true },
		{ NULL, 60999, true },
		{ NULL, 61000, false },
		{ "1024\t2000\n", 1023, false },
		{ "1024\t2000\n", 1024, true },
		{ "1024\t2000\n", 2000, true },
		{ "1024\t2000\n", 2001, false },
		{ "x", 40000, true },
	};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct enrich *e = enrich_new(w->fd, w->ps);

		if (rows[i].range)
			put(w, "proc/sys/net/ipv4/ip_local_port_range", rows[i].range);
		assert_int_equal(enrich_port_is_ephemeral(e, rows[i].port), rows[i].ephemeral);
		enrich_free(e);
	}
}

static void an_empty_world_is_no_fault(void **state)
{
	struct world *w = *state;
	struct session s = { 0 };
	struct enrich *e;

	unlinkat(w->fd, "proc", AT_REMOVEDIR);
	e = enrich_new(w->fd, w->ps);
	assert_non_null(e);
	enrich_process(e, seen(w, START));
	enrich_session(e, &s);
	assert_null(enrich_netns(e, 5));
	enrich_free(e);
	assert_null(enrich_free(NULL));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_process_seen_too_late_is_filled_from_proc),
		T(what_the_hook_said_is_not_replaced),
		T(another_process_with_the_same_number_is_not_taken_for_it),
		T(a_process_whose_ids_cannot_be_read_is_not_root),
		T(a_process_that_is_gone_stays_as_it_was),
		T(after_an_exec_the_next_programs_name_is_not_the_old_ones),
		T(a_name_with_brackets_does_not_shift_the_fields),
		T(stat_lines_that_are_none_are_refused),
		T(a_process_has_ended_when_its_last_thread_has),
		T(an_executable_that_was_replaced_keeps_its_path),
		T(a_title_without_its_nul_and_a_long_one_are_both_ended),
		T(a_kernel_thread_has_no_arguments_and_no_executable),
		T(where_only_v1_has_groups_they_say_the_container),
		T(two_that_agree_speak_for_all_in_their_cgroups),
		T(where_they_do_not_agree_each_is_asked),
		T(a_process_is_asked_about_once_until_it_is_dirty),
		T(what_was_rendered_before_is_forgotten),
		T(containers_of_the_same_id_are_read_once),
		T(thousands_of_containers_are_not_all_kept),
		T(this_process_is_found_in_the_real_proc),
		T(users_have_the_first_name_of_their_number),
		T(without_a_file_nobody_has_a_name),
		T(a_pipe_in_place_of_the_file_does_not_stop_us),
		T(a_changed_file_is_read_again_but_looked_at_once_a_second),
		T(services_go_by_port_and_protocol),
		T(namespaces_have_the_hosts_a_mounted_or_a_learned_name),
		T(a_learned_name_replaces_none_that_is_known),
		T(the_host_is_told_by_the_first_kernel_thread_too),
		T(nothing_is_learned_while_the_host_is_unknown),
		T(a_namespace_named_later_is_found_soon),
		T(a_learned_name_yields_when_it_was_not_seen_for_a_minute),
		T(thousands_of_learned_names_are_not_all_kept),
		T(a_view_gets_all_its_names_at_once),
		T(the_session_knows_boot_host_and_namespace),
		T(ports_that_the_kernel_chooses_are_those_of_its_range),
		T(an_empty_world_is_no_fault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
