/* SPDX-License-Identifier: GPL-2.0-only */
/* Who has which socket open, by /proc. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "enrich/sockets.h"

#include <cmocka.h>

static uint64_t inode_of(int fd)
{
	struct stat st;

	assert_return_code(fstat(fd, &st), 0);
	return st.st_ino;
}

static void a_socket_of_ours_is_found_once(void **state)
{
	int s = socket(AF_INET, SOCK_STREAM, 0), again = dup(s), proc = open("/proc", O_PATH | O_DIRECTORY);
	struct socket_owners owners;
	const struct socket_owner *o;

	(void)state;
	assert_int_equal(socket_owners_read(proc, &owners), 0);
	o = socket_owners_find(&owners, inode_of(s));
	assert_non_null(o);
	assert_int_equal(o->pid, getpid());
	assert_true(o + 1 == owners.items + owners.n || o[1].inode != o->inode);
	socket_owners_done(&owners);
	close(again);
	close(s);
	close(proc);
}

static void two_processes_stand_side_by_side(void **state)
{
	int s = socket(AF_INET, SOCK_STREAM, 0), proc = open("/proc", O_PATH | O_DIRECTORY), line[2];
	struct socket_owners owners;
	const struct socket_owner *o;
	char byte;
	pid_t child;

	(void)state;
	assert_return_code(pipe(line), 0);
	child = fork();
	if (child == 0) {
		close(line[1]);
		_exit((int)read(line[0], &byte, 1));
	}
	assert_int_equal(socket_owners_read(proc, &owners), 0);
	o = socket_owners_find(&owners, inode_of(s));
	assert_non_null(o);
	assert_int_equal(o[0].inode, o[1].inode);
	assert_true((o[0].pid == (uint32_t)child && o[1].pid == (uint32_t)getpid()) ||
		    (o[1].pid == (uint32_t)child && o[0].pid == (uint32_t)getpid()));
	socket_owners_done(&owners);
	close(line[1]);
	waitpid(child, NULL, 0);
	close(line[0]);
	close(s);
	close(proc);
}

static void nobody_has_what_is_not_there(void **state)
{
	struct socket_owners none = { 0 };
	int empty = open("/proc/self/task", O_PATH | O_DIRECTORY);

	(void)state;
	assert_null(socket_owners_find(&none, 4711));
	assert_int_equal(socket_owners_read(-1, &none), 0);
	assert_int_equal(none.n, 0);
	close(empty);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_socket_of_ours_is_found_once),
		cmocka_unit_test(two_processes_stand_side_by_side),
		cmocka_unit_test(nobody_has_what_is_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
