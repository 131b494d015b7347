/* SPDX-License-Identifier: GPL-2.0-only */
/* What a service manager is told: sockets of both kinds, an environment that is not for us, a manager that does not read. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#undef fail /* ours is another */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/fail.h"
#include "util/notify.h"

static char folder[] = "/tmp/portlog-notify-XXXXXX";

/* The manager's side of @name, "@" for an abstract one; NOTIFY_SOCKET says so. */
static int manager_at(const char *name)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	size_t len = strlen(name);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0 && len < sizeof(at.sun_path));
	memcpy(at.sun_path, name, len);
	if (name[0] == '@')
		at.sun_path[0] = '\0';
	assert_return_code(bind(fd, (struct sockaddr *)&at,
				(socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
			   errno);
	setenv("NOTIFY_SOCKET", name, 1);
	return fd;
}

static int manager(void)
{
	char name[64];

	snprintf(name, sizeof(name), "%s/notify", folder);
	(void)unlink(name);
	return manager_at(name);
}

/* The next datagram; "" when there is none. */
static const char *heard(int fd)
{
	static char text[8192];
	ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

	text[n < 0 ? 0 : n] = '\0';
	return text;
}

static void opened(struct notify *n)
{
	assert_int_equal(notify_open(n), 0);
	assert_true(notify_wanted(n));
}

static void a_socket_with_a_path_is_told(void **state)
{
	auto_close int fd = manager();
	struct notify n;

	(void)state;
	opened(&n);
	assert_int_equal(notify_send(&n, "READY=1\nSTATUS=%d ports", 3), 0);
	assert_string_equal(heard(fd), "READY=1\nSTATUS=3 ports");
	assert_string_equal(heard(fd), "");
	notify_close(&n);
}

static void a_socket_without_a_file_is_told(void **state)
{
	auto_close int fd = -1;
	struct notify n;
	char name[64];

	(void)state;
	snprintf(name, sizeof(name), "@portlog-test-%d", (int)getpid());
	fd = manager_at(name);
	opened(&n);
	assert_int_equal(notify_send(&n, "WATCHDOG=1"), 0);
	assert_string_equal(heard(fd), "WATCHDOG=1");
	notify_close(&n);
}

static void the_longest_path_is_told_and_no_longer_one(void **state)
{
	char name[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 1];
	struct notify n;

	(void)state;
	memset(name, 'x', sizeof(name));
	name[0] = '@';
	name[sizeof(name) - 1] = '\0';
	setenv("NOTIFY_SOCKET", name, 1);
	assert_int_equal(notify_open(&n), -EINVAL);
	assert_false(notify_wanted(&n));
	name[sizeof(name) - 2] = '\0';
	setenv("NOTIFY_SOCKET", name, 1);
	opened(&n);
	notify_close(&n);
}

static void without_a_manager_nothing_happens(void **state)
{
	struct notify n;

	(void)state;
	unsetenv("NOTIFY_SOCKET");
	setenv("WATCHDOG_USEC", "1000000", 1);
	assert_int_equal(notify_open(&n), 0);
	assert_false(notify_wanted(&n));
	assert_int_equal(n.watchdog_ns, 0);
	assert_int_equal(notify_send(&n, "READY=1"), 0);
	setenv("NOTIFY_SOCKET", "", 1);
	assert_int_equal(notify_open(&n), 0);
	assert_false(notify_wanted(&n));
	notify_close(&n);
}

static void another_kind_of_socket_is_refused(void **state)
{
	static const char *const names[] = { "vsock:2:1234", "relative", "@", "/" };
	struct notify n;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		setenv("NOTIFY_SOCKET", names[i], 1);
		assert_true(notify_open(&n) < 0);
		assert_true(fail_story()[0] != '\0');
		assert_false(notify_wanted(&n));
		fail_clear();
	}
}

static void children_do_not_speak_for_us(void **state)
{
	auto_close int fd = manager();
	struct notify n;

	(void)state;
	assert_true(fd >= 0);
	setenv("WATCHDOG_USEC", "1000", 1);
	setenv("WATCHDOG_PID", "1", 1);
	opened(&n);
	assert_null(getenv("NOTIFY_SOCKET"));
	assert_null(getenv("WATCHDOG_USEC"));
	assert_null(getenv("WATCHDOG_PID"));
	notify_close(&n);
}

static uint64_t watchdog_with(const char *usec, const char *pid)
{
	auto_close int fd = manager();
	struct notify n;

	assert_true(fd >= 0);
	setenv("WATCHDOG_USEC", usec, 1);
	if (pid)
		setenv("WATCHDOG_PID", pid, 1);
	opened(&n);
	notify_close(&n);
	return n.watchdog_ns;
}

static void the_watchdog_is_ours_only_with_our_pid(void **state)
{
	char mine[16], other[16];

	(void)state;
	snprintf(mine, sizeof(mine), "%d", (int)getpid());
	snprintf(other, sizeof(other), "%d", (int)getppid());
	assert_int_equal(watchdog_with("30000000", mine), 30000000000ull);
	assert_int_equal(watchdog_with("30000000", NULL), 30000000000ull);
	assert_int_equal(watchdog_with("30000000", other), 0);
	assert_int_equal(watchdog_with("30000000", "me"), 0);
	assert_int_equal(watchdog_with("often", mine), 0);
	assert_int_equal(watchdog_with("18446744073709551615", mine), 0);
}

static void what_is_too_long_is_cut(void **state)
{
	auto_close int fd = manager();
	struct notify n;
	char text[6000];

	(void)state;
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	opened(&n);
	assert_int_equal(notify_send(&n, "STATUS=%s", text), 0);
	assert_int_equal(strlen(heard(fd)), 2047);
	notify_close(&n);
}

static void a_manager_that_does_not_read_is_not_waited_for(void **state)
{
	auto_close int fd = manager();
	struct notify n;
	int r = 0;

	(void)state;
	opened(&n);
	for (int i = 0; !r && i < 100000; i++)
		r = notify_send(&n, "WATCHDOG=1");
	assert_int_equal(r, -EAGAIN);
	assert_string_equal(heard(fd), "WATCHDOG=1");
	assert_int_equal(notify_send(&n, "READY=1"), 0);
	notify_close(&n);
}

static void a_manager_that_has_gone_is_an_error(void **state)
{
	int fd = manager();
	struct notify n;

	(void)state;
	opened(&n);
	close(fd);
	assert_int_equal(notify_send(&n, "READY=1"), -ECONNREFUSED);
	notify_close(&n);
}

static int folder_make(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int folder_remove(void **state)
{
	char name[64];

	(void)state;
	snprintf(name, sizeof(name), "%s/notify", folder);
	(void)unlink(name);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_socket_with_a_path_is_told),
		cmocka_unit_test(a_socket_without_a_file_is_told),
		cmocka_unit_test(the_longest_path_is_told_and_no_longer_one),
		cmocka_unit_test(without_a_manager_nothing_happens),
		cmocka_unit_test(another_kind_of_socket_is_refused),
		cmocka_unit_test(children_do_not_speak_for_us),
		cmocka_unit_test(the_watchdog_is_ours_only_with_our_pid),
		cmocka_unit_test(what_is_too_long_is_cut),
		cmocka_unit_test(a_manager_that_does_not_read_is_not_waited_for),
		cmocka_unit_test(a_manager_that_has_gone_is_an_error),
	};

	return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
