/* SPDX-License-Identifier: GPL-2.0-only */
/* Sysctls and addresses of a namespace, out of the kernel's texts. */
#include "source/place.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void a_list_of_reserved_ports_is_read(void **state)
{
	struct place p = { 0 };

	(void)state;
	place_parse_ports("8080,9148-9150,x,70000,65535\n", p.reserved);
	assert_true(place_reserves(&p, 8080));
	assert_false(place_reserves(&p, 8081));
	assert_false(place_reserves(&p, 9147));
	assert_true(place_reserves(&p, 9148) && place_reserves(&p, 9149) && place_reserves(&p, 9150));
	assert_false(place_reserves(&p, 9151));
	assert_true(place_reserves(&p, 65535));
	assert_false(place_reserves(&p, 4464)); /* 70000 modulo 65536 */
}

static void a_reserved_port_is_not_ephemeral(void **state)
{
	struct place p = { .range_low = 32768, .range_high = 60999 };

	(void)state;
	assert_true(place_is_ephemeral(&p, 32768));
	assert_false(place_is_ephemeral(&p, 61000));
	place_parse_ports("40000", p.reserved);
	assert_false(place_is_ephemeral(&p, 40000));
	memset(&p, 0, sizeof(p));
	assert_false(place_is_ephemeral(&p, 40000));
}

static enum locality in6(const char *text, const char *addr, uint32_t scope)
{
	uint8_t bytes[16];

	assert_int_equal(inet_pton(AF_INET6, addr, bytes), 1);
	return place_parse_inet6(text, bytes, scope);
}

static void addresses_are_looked_up_as_the_kernel_does(void **state)
{
	const char *text = "00000000000000000000000000000001 01 80 10 80       lo\n"
			   "fe800000000000000000000000000001 02 40 20 80     eth0\n"
			   "20010db8000000000000000000000001 02 40 00 c0     eth0\n"
			   "20010db8000000000000000000000002 02 40 00 c4     eth0\n"
			   "20010db8000000000000000000000003 02 40 00 80     eth0";

	(void)state;
	assert_int_equal(in6(text, "::1", 0), LOCALITY_HERE);
	assert_int_equal(in6(text, "fe80::1", 2), LOCALITY_HERE);
	assert_int_equal(in6(text, "fe80::1", 3), LOCALITY_ABSENT);
	assert_int_equal(in6(text, "2001:db8::1", 0), LOCALITY_TENTATIVE);
	assert_int_equal(in6(text, "2001:db8::2", 0), LOCALITY_HERE); /* optimistic */
	assert_int_equal(in6(text, "2001:db8::3", 0), LOCALITY_HERE);
	assert_int_equal(in6(text, "2001:db8::4", 0), LOCALITY_ABSENT);
	assert_int_equal(in6("nonsense\n\n20010db8 1\n", "2001:db8::4", 0), LOCALITY_ABSENT);
	assert_int_equal(in6("", "::1", 0), LOCALITY_ABSENT);
}

static enum locality where(const char *text)
{
	struct address a = { .family = strchr(text, ':') ? AF_INET6 : AF_INET };
	int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	enum locality l;

	assert_int_equal(inet_pton(a.family, text, a.bytes), 1);
	l = place_locality(proc_fd, &a, 0);
	close(proc_fd);
	return l;
}

static void this_machine_has_loopback_and_no_documentation_address(void **state)
{
	(void)state;
	assert_int_equal(where("0.0.0.0"), LOCALITY_HERE);
	assert_int_equal(where("127.0.0.1"), LOCALITY_HERE);
	assert_int_equal(where("127.9.9.9"), LOCALITY_HERE);
	assert_int_equal(where("::ffff:127.0.0.1"), LOCALITY_HERE);
	assert_int_equal(where("::"), LOCALITY_HERE);
	assert_int_equal(where("192.0.2.77"), LOCALITY_ABSENT);
	assert_int_equal(where("fe80::1"), LOCALITY_NEEDS_SCOPE);
}

static void write_file(int dir_fd, const char *path, const char *text)
{
	int fd = openat(dir_fd, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void what_cannot_be_read_is_unknown(void **state)
{
	char dir[] = "/tmp/portlog-place-XXXXXX";
	struct place p;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	place_read(fd, &p);
	assert_int_equal(p.unprivileged_port_start, -1);
	assert_int_equal(p.range_high, 0);

	assert_int_equal(mkdirat(fd, "sys", 0700) | mkdirat(fd, "sys/net", 0700) |
				 mkdirat(fd, "sys/net/ipv4", 0700),
			 0);
	write_file(fd, "sys/net/ipv4/ip_unprivileged_port_start", "80\n");
	write_file(fd, "sys/net/ipv4/ip_local_port_range", "40000\t50000\n");
	write_file(fd, "sys/net/ipv4/ip_local_reserved_ports", "\n");
	place_read(fd, &p);
	assert_int_equal(p.unprivileged_port_start, 80);
	assert_int_equal(p.range_low, 40000);
	assert_int_equal(p.range_high, 50000);

	assert_int_equal(unlinkat(fd, "sys/net/ipv4/ip_unprivileged_port_start", 0) |
				 unlinkat(fd, "sys/net/ipv4/ip_local_port_range", 0) |
				 unlinkat(fd, "sys/net/ipv4/ip_local_reserved_ports", 0) |
				 unlinkat(fd, "sys/net/ipv4", AT_REMOVEDIR) |
				 unlinkat(fd, "sys/net", AT_REMOVEDIR) | unlinkat(fd, "sys", AT_REMOVEDIR),
			 0);
	close(fd);
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_of_reserved_ports_is_read),
		cmocka_unit_test(a_reserved_port_is_not_ephemeral),
		cmocka_unit_test(addresses_are_looked_up_as_the_kernel_does),
		cmocka_unit_test(this_machine_has_loopback_and_no_documentation_address),
		cmocka_unit_test(what_cannot_be_read_is_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
