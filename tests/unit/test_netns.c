/* SPDX-License-Identifier: GPL-2.0-only */
/* Network namespaces: finding them, entering one and coming back, and what happens when there are too many. */
#include "source/netns.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "util/cleanup.h"
#include "util/fail.h"

#include <cmocka.h>

/* A process that waits in a namespace of its own. */
struct tenant {
	pid_t pid;
	uint32_t inode;
};

static void need_root(void)
{
	if (geteuid() != 0) {
		print_message("needs root\n");
		skip();
	}
}

/* inode 0: it could not be made. Asserts nothing, since a child may not return into the test's frame. */
static struct tenant tenant(void)
{
	struct tenant t = { 0 };
	pid_t landlord = getpid();
	int up[2];

	if (pipe2(up, O_CLOEXEC))
		return t;
	t.pid = fork();
	if (t.pid == 0) {
		uint32_t inode = 0;

		/* in this order, so that it never outlives who made it */
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != landlord)
			_exit(1);
		if (!unshare(CLONE_NEWNET))
			inode = netns_self();
		if (write(up[1], &inode, sizeof(inode)) == sizeof(inode))
			pause();
		_exit(1);
	}
	close(up[1]);
	if (read(up[0], &t.inode, sizeof(t.inode)) != sizeof(t.inode))
		t.inode = 0;
	close(up[0]);
	return t;
}

static void evict(struct tenant t)
{
	if (t.pid <= 0)
		return;
	kill(t.pid, SIGKILL);
	waitpid(t.pid, NULL, 0);
}

static int index_of(const struct netns_list *list, uint32_t inode)
{
	for (size_t i = 0; i < list->n; i++) {
		if (list->items[i].inode == inode)
			return (int)i;
	}
	return -1;
}

/* Run @body in a child with namespaces and limits that are its own; the test takes over what it says. */
static void in_a_child(bool (*body)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(body() ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void the_own_namespace_is_the_first(void **state)
{
	struct netns_list list;

	(void)state;
	assert_true(netns_self() != 0);
	assert_int_equal(netns_list_all(&list), 0);
	assert_true(list.n >= 1);
	assert_int_equal(list.items[0].inode, netns_self());
	netns_list_done(&list);
	assert_int_equal(list.n, 0);
}

static void each_is_listed_once_with_a_descriptor_of_its_own(void **state)
{
	struct netns_list list;
	struct stat st;

	(void)state;
	assert_int_equal(netns_list_all(&list), 0);
	for (size_t i = 0; i < list.n; i++) {
		assert_int_equal(fstat(list.items[i].fd, &st), 0);
		assert_int_equal(st.st_ino, list.items[i].inode);
		assert_int_equal(index_of(&list, list.items[i].inode), i);
		assert_true(fcntl(list.items[i].fd, F_GETFD) & FD_CLOEXEC);
	}
	netns_list_done(&list);
}

static void one_that_a_process_lives_in_is_found_while_it_lives(void **state)
{
	struct netns_list list;
	struct tenant t;

	(void)state;
	need_root();
	t = tenant();
	assert_true(t.inode != 0);
	assert_int_equal(netns_list_all(&list), 0);
	assert_true(index_of(&list, t.inode) > 0);
	netns_list_done(&list);
	evict(t);
	assert_int_equal(netns_list_all(&list), 0);
	assert_int_equal(index_of(&list, t.inode), -1);
	netns_list_done(&list);
}

static bool find_mounted(void)
{
	struct netns_list list;
	uint32_t inode;
	int fd = -1;

	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", "/run", "tmpfs", 0, NULL) || mkdir("/run/netns", 0755) ||
	    mkdir("/run/netns/odd", 0755))
		return false;
	close(open("/run/netns/blue", O_CREAT | O_CLOEXEC, 0600));
	if (netns_enter(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), &fd) || unshare(CLONE_NEWNET) ||
	    mount("/proc/self/ns/net", "/run/netns/blue", NULL, MS_BIND, NULL))
		return false;
	inode = netns_self();
	if (netns_leave(fd) || netns_self() == inode || netns_list_all(&list) || index_of(&list, inode) < 1)
		return false;
	netns_list_done(&list);
	return !netns_open_inode(inode, &fd) && !netns_enter(fd, &fd) && netns_self() == inode;
}

static void one_that_nobody_lives_in_is_found_by_its_mount(void **state)
{
	(void)state;
	need_root();
	in_a_child(find_mounted);
}

static void entering_and_leaving_ends_where_it_began(void **state)
{
	uint32_t home_inode = netns_self();
	struct tenant t;
	int fd, home;

	(void)state;
	need_root();
	t = tenant();
	assert_true(t.inode != 0);
	assert_int_equal(netns_open_inode(t.inode, &fd), 0);
	assert_int_equal(netns_enter(fd, &home), 0);
	assert_int_equal(netns_self(), t.inode);
	assert_int_equal(netns_leave(home), 0);
	assert_int_equal(netns_self(), home_inode);
	assert_int_equal(fcntl(home, F_GETFD), -1);
	close(fd);
	evict(t);
}

static void what_is_no_namespace_cannot_be_entered(void **state)
{
	auto_close int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	uint32_t before = netns_self();
	int home;

	(void)state;
	assert_true(netns_enter(fd, &home) < 0);
	assert_string_not_equal(fail_story(), "");
	assert_int_equal(netns_self(), before);
}

static void a_number_that_nobody_has_is_not_found(void **state)
{
	int fd;

	(void)state;
	assert_int_equal(netns_open_inode(7, &fd), -ENOENT);
}

static unsigned open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void nothing_is_left_open(void **state)
{
	struct netns_list list;
	unsigned before = open_files();

	(void)state;
	assert_int_equal(netns_list_all(&list), 0);
	netns_list_done(&list);
	assert_int_equal(open_files(), before);
}

#define CROWD 40

static struct netns_list crowd_list(rlim_t soft, rlim_t hard)
{
	struct tenant crowd[CROWD];
	struct netns_list list = { 0 };

	for (int i = 0; i < CROWD; i++)
		crowd[i] = tenant();
	if (setrlimit(RLIMIT_NOFILE, &(struct rlimit){ soft, hard }) || netns_list_all(&list))
		list.n = 0;
	for (int i = 0; i < CROWD; i++)
		evict(crowd[i]);
	return list;
}

static bool cut_at_hard_limit(void)
{
	struct netns_list list = crowd_list(256 + 20, 256 + 20);
	int spare = dup(0);

	return list.n == 20 && list.cut >= CROWD - 20 && list.items[0].inode == netns_self() && spare >= 0;
}

static bool leave_soft_limit(void)
{
	struct netns_list list = crowd_list(256 + 20, 256 + 4 * CROWD);
	struct rlimit lim;

	return list.n == 20 && !getrlimit(RLIMIT_NOFILE, &lim) && lim.rlim_cur == 256 + 20;
}

static void more_than_may_be_open_are_counted_and_files_are_spared(void **state)
{
	(void)state;
	need_root();
	in_a_child(cut_at_hard_limit);
}

static void the_soft_limit_is_left_to_whoever_starts_the_program(void **state)
{
	(void)state;
	need_root();
	in_a_child(leave_soft_limit);
}

static void they_may_come_and_go_while_they_are_listed(void **state)
{
	struct netns_list list;
	pid_t churn;

	(void)state;
	need_root();
	churn = fork();
	assert_true(churn >= 0);
	if (churn == 0) {
		for (;;)
			evict(tenant());
	}
	for (int i = 0; i < 200; i++) {
		assert_int_equal(netns_list_all(&list), 0);
		assert_int_equal(list.items[0].inode, netns_self());
		netns_list_done(&list);
	}
	kill(churn, SIGKILL);
	waitpid(churn, NULL, 0);
}

static void what_a_listing_costs(void **state)
{
	struct timespec a, b;
	struct netns_list list;
	double us;

	(void)state;
	clock_gettime(CLOCK_MONOTONIC, &a);
	assert_int_equal(netns_list_all(&list), 0);
	clock_gettime(CLOCK_MONOTONIC, &b);
	us = (double)(b.tv_sec - a.tv_sec) * 1e6 + (double)(b.tv_nsec - a.tv_nsec) / 1e3;
	print_message("%zu namespaces (%zu cut) in %.0f us\n", list.n, list.cut, us);
	assert_true(us < 10e6);
	netns_list_done(&list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_own_namespace_is_the_first),
		cmocka_unit_test(each_is_listed_once_with_a_descriptor_of_its_own),
		cmocka_unit_test(one_that_a_process_lives_in_is_found_while_it_lives),
		cmocka_unit_test(one_that_nobody_lives_in_is_found_by_its_mount),
		cmocka_unit_test(entering_and_leaving_ends_where_it_began),
		cmocka_unit_test(what_is_no_namespace_cannot_be_entered),
		cmocka_unit_test(a_number_that_nobody_has_is_not_found),
		cmocka_unit_test(nothing_is_left_open),
		cmocka_unit_test(more_than_may_be_open_are_counted_and_files_are_spared),
		cmocka_unit_test(the_soft_limit_is_left_to_whoever_starts_the_program),
		cmocka_unit_test(they_may_come_and_go_while_they_are_listed),
		cmocka_unit_test(what_a_listing_costs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
