/* SPDX-License-Identifier: GPL-2.0-only */
/* doctor: what the machine and the privileges are. Everything is asked of the kernel; no version decides. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cmd/doctor.h"
#include "enrich/cgroup.h"
#include "enrich/proc.h"
#include "source/bpf_common.h"
#include "source/bpf_try.h"
#include "source/kernel_btf.h"
#include "source/netns.h"
#include "source/sockdiag.h"
#include "source/tracefs.h"
#include "util/cleanup.h"
#include "util/fail.h"

#define TEXT_MAX 8192

/* The first line of a small file; "" when it cannot be read. */
static const char *line_of(const char *path, char *text, size_t size)
{
	size_t len;

	if (proc_read(AT_FDCWD, path, text, size, &len) < 0)
		text[0] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return text;
}

/* ---- kernel ---- */

static void look_at_kernel(struct doctor *d)
{
	struct utsname u = { 0 };
	struct finding *f;

	(void)uname(&u);
	finding_add(d, LEVEL_OK, "kernel", "%s", u.release);
	if (!strcmp(u.machine, "x86_64")) {
		finding_add(d, LEVEL_OK, "architecture", "x86_64");
		return;
	}
	f = finding_add(d, LEVEL_WARN, "architecture", "%s: never tested", u.machine);
	finding_lost(f, "events may be missing or wrong");
}

static void look_at_lockdown(struct doctor *d)
{
	char text[128];
	const char *line = line_of("/sys/kernel/security/lockdown", text, sizeof(text));
	struct finding *f;

	if (!strstr(line, "[confidentiality]")) {
		const char *begin = strchr(line, '['), *end = begin ? strchr(begin, ']') : NULL;

		finding_add(d, LEVEL_OK, "lockdown", "%.*s", end ? (int)(end - begin - 1) : 4,
			    end ? begin + 1 : "none");
		return;
	}
	f = finding_add(d, LEVEL_FAIL, "lockdown", "confidentiality: BPF may not read kernel memory");
	finding_lost(f, "tracing, options and owners of sockets");
	finding_fix(f, "boot with lockdown=integrity");
}

static struct kernel_btf *look_at_btf(struct doctor *d)
{
	struct kernel_btf *btf = NULL;
	struct finding *f;

	if (!kernel_btf_open(KERNEL_BTF, &btf)) {
		finding_add(d, LEVEL_OK, "BTF", "%s", KERNEL_BTF);
		return btf;
	}
	f = finding_add(d, LEVEL_FAIL, "BTF", "%s", fail_story());
	fail_clear();
	finding_lost(f, "tracing, options and owners of sockets");
	finding_fix(
		f,
		"a kernel with CONFIG_DEBUG_INFO_BTF=y, as Debian 11, Ubuntu 20.10, Fedora 32 and later have");
	return NULL;
}

/* ---- privileges ---- */

/* The value after "Name:" in /proc/self/status, in base @base. */
static uint64_t status_number(const char *name, int base)
{
	auto_free char *text = malloc(TEXT_MAX);
	const char *at;
	size_t len;

	if (!text || proc_read(AT_FDCWD, "/proc/self/status", text, TEXT_MAX, &len) < 0)
		return 0;
	at = strstr(text, name);
	return at ? strtoull(at + strlen(name), NULL, base) : 0;
}

static const struct {
	unsigned number;
	const char *name;
	const char *lost;
} capabilities[] = {
	{ CAP_SYS_ADMIN, "CAP_SYS_ADMIN", "BPF; other network namespaces" },
	{ CAP_SYS_PTRACE, "CAP_SYS_PTRACE",
	  "programs and arguments of other users' processes that are there already" },
};

static void look_at_privileges(struct doctor *d)
{
	uint64_t have = status_number("CapEff:", 16);
	struct finding *f;

	if (bpf_in_user_namespace()) {
		f = finding_add(d, LEVEL_FAIL, "privileges",
				"a user namespace: its root has no say over the kernel");
		finding_lost(f, "tracing, options, processes of other users");
		finding_fix(f, "start portlog outside of it: sudo portlog doctor");
		return;
	}
	if (geteuid() != 0) {
		f = finding_add(d, have & 1ull << CAP_SYS_ADMIN ? LEVEL_WARN : LEVEL_FAIL, "privileges",
				"uid %u, not root", geteuid());
		finding_lost(f, "tracing, options, processes of other users, other network namespaces");
		finding_fix(f, "sudo portlog doctor");
		return;
	}
	finding_add(d, LEVEL_OK, "privileges", "root");
	for (size_t i = 0; i < ARRAY_SIZE(capabilities); i++) {
		if (have & 1ull << capabilities[i].number)
			continue;
		f = finding_add(d, LEVEL_WARN, "capability", "%s is missing", capabilities[i].name);
		finding_lost(f, "%s", capabilities[i].lost);
		finding_fix(f, "in a container: --privileged, or --cap-add %s", capabilities[i].name + 4);
	}
}

static void look_at_memlock(struct doctor *d)
{
	struct rlimit limit = { 0 };
	struct finding *f;
	bool raised = status_number("CapEff:", 16) & 1ull << CAP_SYS_RESOURCE;

	(void)getrlimit(RLIMIT_MEMLOCK, &limit);
	if (!bpf_counts_memlock()) {
		finding_add(d, LEVEL_OK, "locked memory", "this kernel does not count BPF there");
		return;
	}
	if (limit.rlim_cur == RLIM_INFINITY || raised) {
		finding_add(d, LEVEL_OK, "locked memory", "BPF counts, and the limit %s",
			    limit.rlim_cur == RLIM_INFINITY ? "is none" : "can be raised");
		return;
	}
	f = finding_add(d, LEVEL_FAIL, "locked memory", "BPF counts, and the limit is %llu KiB",
			(unsigned long long)limit.rlim_cur / 1024);
	finding_lost(f, "tracing");
	finding_fix(f, "ulimit -l unlimited");
}

static void look_at_bpf(struct doctor *d)
{
	int r = bpf_try_map();
	struct finding *f;
	char text[64];

	if (!r) {
		finding_add(d, LEVEL_OK, "bpf(2)", "works; kernel.unprivileged_bpf_disabled is %s",
			    line_of("/proc/sys/kernel/unprivileged_bpf_disabled", text, sizeof(text)));
		look_at_memlock(d);
		return;
	}
	f = finding_add(d, LEVEL_FAIL, "bpf(2)", "refused: %s", strerror(-r));
	finding_lost(f, "tracing, options and owners of sockets");
	if (r == -ENOSYS)
		finding_fix(f, "a kernel with CONFIG_BPF_SYSCALL=y");
	else if (geteuid() != 0)
		finding_fix(f, "sudo portlog doctor");
	else if (status_number("Seccomp:", 10) == 2)
		finding_fix(
			f,
			"a seccomp filter is set; in a container: --privileged, or --security-opt seccomp=unconfined");
	else
		finding_fix(f, "ulimit -l unlimited; in a container: --privileged");
}

/* ---- where things are mounted ---- */

static bool mounts_privately(const char *type)
{
	auto_close int fd = -1;

	return !mount_private(type, &fd);
}

static void look_at_cgroup2(struct doctor *d)
{
	struct finding *f;
	struct stat st;

	if (cgroup2_find(d->cgroup2, sizeof(d->cgroup2)) < 0) {
		d->cgroup2[0] = '\0';
		f = finding_add(d, mounts_privately("cgroup2") ? LEVEL_OK : LEVEL_WARN, "cgroup v2",
				"not mounted; portlog mounts it for itself alone");
		if (f->level == LEVEL_OK)
			return;
		snprintf(f->text, sizeof(f->text), "not mounted, and cannot be mounted");
		finding_lost(f, "the hooks of the set tracepoint; names of units and containers");
		finding_fix(f, "mount -t cgroup2 none /sys/fs/cgroup/unified");
		return;
	}
	if (!stat(d->cgroup2, &st) && st.st_ino == 1) {
		finding_add(d, LEVEL_OK, "cgroup v2", "%.200s, the whole hierarchy", d->cgroup2);
		return;
	}
	f = finding_add(d, LEVEL_WARN, "cgroup v2", "%.200s shows a part of the hierarchy", d->cgroup2);
	finding_lost(f, "with the hooks of the set tracepoint, processes outside of this part");
	finding_fix(f, "docker run --cgroupns=host -v /sys/fs/cgroup:/sys/fs/cgroup");
}

static void look_at_tracefs(struct doctor *d)
{
	struct finding *f;

	if (!access("/sys/kernel/tracing/events", X_OK) ||
	    !access("/sys/kernel/debug/tracing/events", X_OK)) {
		finding_add(d, LEVEL_OK, "tracefs", "mounted");
		return;
	}
	if (mounts_privately("tracefs")) {
		finding_add(d, LEVEL_OK, "tracefs", "not mounted; portlog mounts it for itself alone");
		return;
	}
	f = finding_add(d, LEVEL_WARN, "tracefs", "cannot be read");
	finding_lost(f, "the hooks of the set tracepoint");
	finding_fix(f, geteuid() ? "sudo portlog doctor" : "mount -t tracefs tracefs /sys/kernel/tracing");
}

/* ---- namespaces ---- */

static void look_at_pids(struct doctor *d)
{
	struct finding *f;

	if (!bpf_own_pidns()) {
		finding_add(d, LEVEL_OK, "pid namespace", "the first one");
	} else {
		f = finding_add(d, LEVEL_WARN, "pid namespace", "a container's own");
		finding_lost(f, "processes outside of it: their sockets are without an owner");
		finding_fix(f, "docker run --pid=host");
	}
}

/* Its sockets are seen from inside only. */
static bool can_enter(const struct netns *ns)
{
	int home;

	if (ns->inode == netns_self())
		return true;
	if (netns_enter(ns->fd, &home) < 0)
		return false;
	return !netns_leave(home);
}

static void look_at_namespaces(struct doctor *d)
{
	struct netns_list list = { 0 };
	struct finding *f;
	size_t n = 0;

	if (!netns_list_all(&list)) {
		for (size_t i = 0; i < list.n; i++)
			n += can_enter(&list.items[i]);
		f = finding_add(d, n < list.n + list.cut ? LEVEL_WARN : LEVEL_OK, "network namespaces",
				"%zu can be looked at", n);
		if (f->level != LEVEL_OK) {
			finding_lost(f, "what is held in %zu more", list.n + list.cut - n);
			finding_fix(f, geteuid() ? "sudo portlog doctor" : "ulimit -n 65536");
		}
	}
	fail_clear();
	netns_list_done(&list);
}

/* ---- sock_diag ---- */

static int row_ignore(void *arg, const struct diag_row *row)
{
	(void)arg;
	(void)row;
	return 0;
}

static void look_at_diag(struct doctor *d, struct sockdiag *sd, const char *name, const struct diag_query *q,
			 const char *lost)
{
	int r = sockdiag_dump(sd, q, row_ignore, NULL);
	struct finding *f;

	if (!r) {
		finding_add(d, LEVEL_OK, "sock_diag", "%s", name);
		return;
	}
	f = finding_add(d, LEVEL_WARN, "sock_diag", "%s: %s", name,
			r == SOCKDIAG_NO_MODULE ? "there is no such module" : fail_story());
	finding_lost(f, "%s", lost);
	if (r == SOCKDIAG_NO_MODULE)
		finding_fix(f, "sudo modprobe %s_diag", name);
	fail_clear();
}

static void look_at_sock_diag(struct doctor *d)
{
	const struct diag_query tcp = { .tcp = true, .states = 1u << 10 }, udp = { .udp = true, .port = 1 },
				mptcp = { .mptcp = true, .states = 1u << 10 };
	struct sockdiag *sd;
	struct finding *f;

	if (sockdiag_open(-1, netns_self(), &sd) < 0) {
		f = finding_add(d, LEVEL_WARN, "sock_diag", "%s", fail_story());
		finding_lost(f, "TIME_WAIT, orphans, and without root everything");
		finding_fix(f, "sudo modprobe inet_diag");
		fail_clear();
		return;
	}
	look_at_diag(d, sd, "tcp", &tcp,
		     "TIME_WAIT and connections in the way of a bind; list, why, wait without root");
	look_at_diag(d, sd, "udp", &udp, "UDP in list, why, wait without root");
	if (!access("/proc/sys/net/mptcp/enabled", F_OK))
		look_at_diag(d, sd, "mptcp", &mptcp, "which TCP listener is one of MPTCP, without root");
	sockdiag_close(sd);
}

/* ---- features ---- */

static void look_at_features(struct doctor *d, const struct kernel_btf *btf)
{
	struct finding *f;

	if (btf && !kernel_btf_has_word(btf, "TCP_BOUND_INACTIVE")) {
		f = finding_add(d, LEVEL_WARN, "bound TCP sockets",
				"not listed by sock_diag (Linux 6.8 and later do)");
		finding_lost(f, "sockets that are bound and do not listen, without root");
		finding_fix(f, "run list, why and wait as root");
	} else if (btf) {
		finding_add(d, LEVEL_OK, "bound TCP sockets", "listed by sock_diag, also before they listen");
	}
	if (btf)
		finding_add(d, LEVEL_OK, "bind by io_uring", "%s",
			    kernel_btf_find(btf, "io_bind", BTF_KIND_FUNC) ? "the kernel has it"
									   : "the kernel has none");
	finding_add(d, LEVEL_OK, "MPTCP", "%s",
		    access("/proc/sys/net/mptcp/enabled", F_OK) ? "the kernel has none"
								: "the kernel has it");
}

void doctor_look_at_system(struct doctor *d)
{
	struct kernel_btf *btf;

	look_at_kernel(d);
	look_at_privileges(d);
	btf = look_at_btf(d);
	look_at_lockdown(d);
	look_at_bpf(d);
	look_at_cgroup2(d);
	look_at_tracefs(d);
	look_at_pids(d);
	look_at_namespaces(d);
	look_at_sock_diag(d);
	look_at_features(d, btf);
	kernel_btf_close(btf);
}
