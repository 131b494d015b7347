/* SPDX-License-Identifier: GPL-2.0-only */
/* Calls that a policy refuses or changes (T14): BPF programs of a cgroup, a security module. */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/landlock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "live/actor/play.h"
#include "util/cleanup.h"

/* ---- a cgroup of our own ---- */

/* Where cgroup v2 is mounted, as /proc/self/mountinfo says. */
static bool find_cgroup2(char out[256])
{
	auto_fclose FILE *f = fopen("/proc/self/mountinfo", "re");
	char line[1024];

	while (f && fgets(line, sizeof(line), f)) {
		if (strstr(line, " - cgroup2 ") && sscanf(line, "%*s %*s %*s %*s %255s", out) == 1)
			return true;
	}
	return false;
}

static bool makes_cgroup(void)
{
	char top[256], path[300];

	if (!find_cgroup2(top))
		return false;
	snprintf(path, sizeof(path), "%s/portlog-probe-%d", top, getpid());
	return !mkdir(path, 0755) && !rmdir(path);
}

static const char *no_cgroup2(void)
{
	return kernel_says(makes_cgroup) ? NULL : "no cgroup v2 that can be written here";
}

static void write_pid(const char *group, pid_t pid)
{
	auto_close int fd = -1;
	char path[330];

	snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	need(fd >= 0 && dprintf(fd, "%d", pid) > 0, "move to a cgroup");
}

static long bpf(int cmd, union bpf_attr *attr)
{
	return syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

static int load(enum bpf_prog_type type, enum bpf_attach_type attach, const struct bpf_insn *insns,
		unsigned n)
{
	union bpf_attr a = {
		.prog_type = type,
		.expected_attach_type = attach,
		.insns = (__u64)(size_t)insns,
		.insn_cnt = n,
		.license = (__u64)(size_t) "GPL",
	};
	struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	int fd;

	setrlimit(RLIMIT_MEMLOCK, &all); /* older kernels count programs there */
	fd = (int)bpf(BPF_PROG_LOAD, &a);

	need(fd >= 0, "load a cgroup program");
	return fd;
}

static void attach(int prog, int group, enum bpf_attach_type type)
{
	union bpf_attr a = { .target_fd = (__u32)group, .attach_bpf_fd = (__u32)prog, .attach_type = type };

	need(!bpf(BPF_PROG_ATTACH, &a), "attach a cgroup program");
}

struct rule {
	enum bpf_prog_type type;
	enum bpf_attach_type attach;
	const struct bpf_insn *insns;
	unsigned n;
	void (*play)(void);
};

/* @rule->play runs in a cgroup with its program; all is undone afterwards. */
static void member(void *arg)
{
	const struct rule *rule = arg;

	rule->play();
}

static void play_under(const struct rule *rule)
{
	char top[256], path[300];
	pid_t child;
	int group;

	need(find_cgroup2(top), "find cgroup v2");
	snprintf(path, sizeof(path), "%s/portlog-test-%d", top, getpid());
	need(!mkdir(path, 0755), "make a cgroup");
	group = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	attach(load(rule->type, rule->attach, rule->insns, rule->n), group, rule->attach);
	write_pid(path, getpid());
	child = start_child(member, (void *)rule);
	note("child", "%d", child);
	end_child(child);
	write_pid(top, getpid());
	close(group);
	need(!rmdir(path), "remove the cgroup");
}

#define RETURN(value)                                                                  \
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = (value) }, \
	{                                                                              \
		.code = BPF_JMP | BPF_EXIT                                             \
	}

static const struct bpf_insn deny[] = { RETURN(0) };

/* r2 = port in network order; *(u32 *)(r1 + user_port) = r2 */
#define REWRITTEN_PORT 6103
static const struct bpf_insn rewrite[] = {
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K,
	  .dst_reg = BPF_REG_2,
	  .imm = (REWRITTEN_PORT & 0xff) << 8 | REWRITTEN_PORT >> 8 },
	{ .code = BPF_STX | BPF_MEM | BPF_W,
	  .dst_reg = BPF_REG_1,
	  .src_reg = BPF_REG_2,
	  .off = offsetof(struct bpf_sock_addr, user_port) },
	RETURN(1),
};

static void refused(void)
{
	bind_fails(tcp_socket("127.0.0.1"), "127.0.0.1", 6101, EPERM);
	bind_fails(udp_socket("127.0.0.1"), "127.0.0.1", 6101, EPERM);
}

static void refused_afterwards(void)
{
	int fd = tcp_socket("127.0.0.1");

	bind_fails(fd, "127.0.0.1", 6102, EPERM);
	sync_ledger();
	close(fd);
}

static void moved(void)
{
	int fd = tcp_at("127.0.0.1", 6104);

	need(port_of(fd) == REWRITTEN_PORT, "the rewritten port");
	sync_ledger();
	close(fd);
}

static void cgroup_refuses(void)
{
	play_under(&(struct rule){ BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_BIND, deny,
				   ARRAY_SIZE(deny), refused });
}

static void cgroup_refuses_afterwards(void)
{
	play_under(&(struct rule){ BPF_PROG_TYPE_CGROUP_SOCK, BPF_CGROUP_INET4_POST_BIND, deny,
				   ARRAY_SIZE(deny), refused_afterwards });
}

static void cgroup_rewrites(void)
{
	play_under(&(struct rule){ BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_BIND, rewrite,
				   ARRAY_SIZE(rewrite), moved });
}

/* ---- Landlock ---- */

/* Of include/uapi/linux/landlock.h, 6.7. */
#define ACCESS_NET_BIND_TCP 1ULL

struct ruleset {
	__u64 handled_access_fs;
	__u64 handled_access_net;
};

static bool restrict_binds(void)
{
	struct ruleset r = { .handled_access_net = ACCESS_NET_BIND_TCP };
	int fd = (int)syscall(SYS_landlock_create_ruleset, &r, sizeof(r), 0);

	return fd >= 0 && !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
	       !syscall(SYS_landlock_restrict_self, fd, 0);
}

static const char *no_landlock(void)
{
	return kernel_says(restrict_binds) ? NULL : "Landlock has no network rules here";
}

static void landlock_refuses(void)
{
	int fd = tcp_socket("127.0.0.1");

	need(restrict_binds(), "Landlock");
	bind_fails(fd, "127.0.0.1", 6105, EACCES);
	sync_ledger();
	close(fd);
}

/* clang-format off */
const struct situation policy_situations[] = {
	{ "a cgroup program refuses the bind", no_cgroup2, cgroup_refuses,
	  { "bind!EPERM tcp 127.0.0.1:6101 pid=@child code=cgroup -holder",
	    "bind!EPERM udp 127.0.0.1:6101 pid=@child code=cgroup -holder" } },
	{ "a cgroup program refuses after the port was given", no_cgroup2, cgroup_refuses_afterwards,
	  { "bind!EPERM tcp 127.0.0.1:6102 pid=@child code=cgroup -holder" } },
	{ "a cgroup program rewrites the port", no_cgroup2, cgroup_rewrites,
	  { "bind tcp 127.0.0.1:6103 pid=@child requested_port=6104",
	    "release tcp 127.0.0.1:6103 pid=@child free=true" } },
	{ "Landlock refuses the bind", no_landlock, landlock_refuses,
	  { "bind!EACCES tcp 127.0.0.1:6105 code=lsm -holder" } },
};
/* clang-format on */
TABLE_SIZE(policy);
