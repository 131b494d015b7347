/* SPDX-License-Identifier: GPL-2.0-only */
/* For whom systemd and Docker hold a port, out of a fake tree of their files. */
#include "enrich/bound_by.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "util/cleanup.h"

#include <cmocka.h>

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define S 1000000000ull

struct world {
	char path[64];
	int fd;
	struct bound_table *t;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	strcpy(w->path, "/tmp/test_bound_by.XXXXXX");
	if (!mkdtemp(w->path))
		return -1;
	w->fd = open(w->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	w->t = bound_table_new(w->fd);
	*state = w;
	return !w->t;
}

static int teardown(void **state)
{
	struct world *w = *state;
	char command[96];

	bound_table_free(w->t);
	close(w->fd);
	snprintf(command, sizeof(command), "rm -rf '%s'", w->path);
	free(w);
	return system(command);
}

static void put(const struct world *w, const char *path, const char *text)
{
	auto_free char *copy = strdup(path);
	auto_close int fd = -1;

	for (char *c = copy; (c = strchr(c, '/')); c++) {
		*c = '\0';
		mkdirat(w->fd, copy, 0755);
		*c = '/';
	}
	fd = openat(w->fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

/* For whom does @comm[@pid] hold @port of @address? */
static const struct bound_by *ask_at(struct world *w, uint32_t pid, const char *comm, enum proto proto,
				     const char *address, uint16_t port, uint64_t now_ns)
{
	struct record rec = { .action = ACTION_LISTEN,
			      .has_socket = true,
			      .has_process = true,
			      .proto = proto,
			      .pid = pid,
			      .port = port };
	struct view v = { .rec = &rec };

	rec.addr.family = strchr(address, ':') ? AF_INET6 : AF_INET;
	assert_int_equal(inet_pton(rec.addr.family, address, rec.addr.bytes), 1);
	snprintf(rec.comm, sizeof(rec.comm), "%s", comm);
	bound_table_fill(w->t, &v, now_ns);
	return v.bound_by;
}

static const struct bound_by *ask_systemd(struct world *w, const char *address, uint16_t port)
{
	return ask_at(w, 1, "systemd", PROTO_TCP, address, port, S);
}

static void a_socket_unit_names_its_service(void **state)
{
	struct world *w = *state;
	const struct bound_by *by;

	put(w, "etc/systemd/system/web.socket",
	    "[Unit]\nListenStream=1\n[Socket]\n# ListenStream=2\nListenStream = 8081\n");
	by = ask_systemd(w, "::", 8081);
	assert_non_null(by);
	assert_string_equal(by->kind, "socket-unit");
	assert_string_equal(by->unit, "web.socket");
	assert_string_equal(by->service, "web.service");
	assert_null(ask_systemd(w, "::", 1));
	assert_null(ask_systemd(w, "::", 2));
}

static void the_child_that_binds_for_systemd_is_asked_about_too(void **state)
{
	struct world *w = *state;

	put(w, "etc/systemd/system/web.socket", "[Socket]\nListenStream=8081\n");
	assert_non_null(ask_at(w, 77, "(sd-listen)", PROTO_TCP, "0.0.0.0", 8081, S));
}

static void others_hold_ports_for_themselves(void **state)
{
	struct world *w = *state;

	put(w, "etc/systemd/system/web.socket", "[Socket]\nListenStream=8081\n");
	assert_null(ask_at(w, 77, "systemd", PROTO_TCP, "::", 8081, S));
	assert_null(ask_at(w, 77, "nginx", PROTO_TCP, "::", 8081, S));
}

static void an_address_picks_among_units_of_one_port(void **state)
{
	struct world *w = *state;

	put(w, "etc/systemd/system/a.socket", "[Socket]\nListenStream=127.0.0.1:80\n");
	put(w, "etc/systemd/system/b.socket", "[Socket]\nListenStream=[::1]:80\nService=other.service\n");
	put(w, "etc/systemd/system/c.socket", "[Socket]\nListenStream=80\n");
	assert_string_equal(ask_systemd(w, "127.0.0.1", 80)->unit, "a.socket");
	assert_string_equal(ask_systemd(w, "::1", 80)->unit, "b.socket");
	assert_string_equal(ask_systemd(w, "::1", 80)->service, "other.service");
	assert_string_equal(ask_systemd(w, "::", 80)->unit, "c.socket");
	assert_null(ask_systemd(w, "127.0.0.2", 80));
}

static void udp_is_another_table(void **state)
{
	struct world *w = *state;

	put(w, "etc/systemd/system/dns.socket", "[Socket]\nListenDatagram=53\n");
	assert_null(ask_systemd(w, "::", 53));
	assert_non_null(ask_at(w, 1, "systemd", PROTO_UDP, "::", 53, S));
}

static void a_unit_of_etc_wins_over_the_packaged_one(void **state)
{
	struct world *w = *state;

	put(w, "usr/lib/systemd/system/ssh.socket", "[Socket]\nListenStream=22\nAccept=yes\n");
	put(w, "usr/lib/systemd/system/old.socket", "[Socket]\nListenStream=23\n");
	put(w, "etc/systemd/system/old.socket", "[Socket]\nListenStream=2323\n");
	assert_string_equal(ask_systemd(w, "::", 22)->service, "ssh@.service");
	assert_null(ask_systemd(w, "::", 23));
	assert_non_null(ask_systemd(w, "::", 2323));
}

static void a_masked_unit_asks_for_nothing(void **state)
{
	struct world *w = *state;

	put(w, "usr/lib/systemd/system/old.socket", "[Socket]\nListenStream=23\n");
	put(w, "etc/systemd/system/x", "");
	assert_int_equal(symlinkat("/dev/null", w->fd, "etc/systemd/system/old.socket"), 0);
	assert_null(ask_systemd(w, "::", 23));
}

static void a_drop_in_takes_back_and_adds(void **state)
{
	struct world *w = *state;

	put(w, "usr/lib/systemd/system/ssh.socket", "[Socket]\nListenStream=22\n");
	put(w, "etc/systemd/system/ssh.socket.d/port.conf", "[Socket]\nListenStream=\nListenStream=2222\n");
	put(w, "etc/systemd/system/ssh.socket.d/port.conf.bak", "[Socket]\nListenStream=2223\n");
	assert_null(ask_systemd(w, "::", 22));
	assert_non_null(ask_systemd(w, "::", 2222));
	assert_null(ask_systemd(w, "::", 2223));
}

static void what_is_no_port_is_left_out(void **state)
{
	static const char *const texts[] = { "/run/x.sock", "@abstract",  "0",       "65536",
					     "vsock:2:22",  "%i",         "[::1:80", ":80",
					     "a:b:c:80",    "127.0.0.1:", "" };
	struct world *w = *state;
	char unit[256], path[64];

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		snprintf(unit, sizeof(unit), "[Socket]\nListenStream=%s\nService", texts[i]);
		snprintf(path, sizeof(path), "etc/systemd/system/u%zu.socket", i);
		put(w, path, unit);
	}
	put(w, "etc/systemd/system/t@.socket", "[Socket]\nListenStream=80\n");
	put(w, "etc/systemd/system/ok.socket", "[Socket]\nListenStream=81");
	assert_null(ask_systemd(w, "::", 80));
	assert_null(ask_systemd(w, "::", 22));
	assert_non_null(ask_systemd(w, "::", 81));
}

static void what_is_not_known_is_looked_for_again_soon(void **state)
{
	struct world *w = *state;

	assert_null(ask_at(w, 1, "systemd", PROTO_TCP, "::", 80, S));
	put(w, "run/systemd/transient/new.socket", "[Socket]\nListenStream=80\n");
	assert_null(ask_at(w, 1, "systemd", PROTO_TCP, "::", 80, S + S / 100));
	assert_non_null(ask_at(w, 1, "systemd", PROTO_TCP, "::", 80, S + S / 5));
}

static void what_is_known_is_looked_at_again_later(void **state)
{
	struct world *w = *state;

	put(w, "etc/systemd/system/web.socket", "[Socket]\nListenStream=80\n");
	assert_non_null(ask_at(w, 1, "systemd", PROTO_TCP, "::", 80, S));
	put(w, "etc/systemd/system/web.socket", "[Socket]\nListenStream=81\n");
	assert_non_null(ask_at(w, 1, "systemd", PROTO_TCP, "::", 80, 2 * S));
	assert_null(ask_at(w, 1, "systemd", PROTO_TCP, "::", 80, 7 * S));
}

static void docker_s_proxy_works_for_a_container(void **state)
{
	struct world *w = *state;
	const struct bound_by *by;

	put(w, "var/lib/docker/containers/" ID "/config.v2.json",
	    "{\"State\":{\"HostPort\":\"9\"},\"ID\":\"" ID
	    "\",\"Name\":\"/shop-web-1\",\"NetworkSettings\":{\"Ports\":{"
	    "\"443/tcp\":[{\"HostIp\":\"127.0.0.1\",\"HostPort\":\"8443\"}],\"53/udp\":null,"
	    "\"80/tcp\":[{\"HostIp\":\"0.0.0.0\",\"HostPort\":\"8080\"},{\"HostIp\":\"::\",\"HostPort\":\"8080\"}]}}}");
	by = ask_at(w, 55, "docker-proxy", PROTO_TCP, "0.0.0.0", 8080, S);
	assert_non_null(by);
	assert_string_equal(by->kind, "docker");
	assert_string_equal(by->container_name, "shop-web-1");
	assert_string_equal(by->container_id, ID);
	assert_null(by->unit);
	assert_non_null(ask_at(w, 55, "docker-proxy", PROTO_TCP, "::", 8080, S));
	assert_non_null(ask_at(w, 56, "dockerd", PROTO_TCP, "127.0.0.1", 8443, S));
	assert_null(ask_at(w, 56, "dockerd", PROTO_TCP, "127.0.0.1", 9, S));
}

static void holders_are_answered_beside_the_caller(void **state)
{
	struct world *w = *state;
	struct holder holders[2] = {
		{ .kind = HOLDER_LISTENER, .proto = PROTO_TCP, .pid = 40, .port = 80, .comm = "nginx" },
		{ .kind = HOLDER_LISTENER, .proto = PROTO_TCP, .pid = 1, .port = 80, .comm = "systemd" },
	};
	struct record rec = {
		.action = ACTION_BIND, .has_socket = true, .has_process = true, .pid = 9, .port = 80
	};
	struct view v = { .rec = &rec, .holders = holders, .n_holders = 2 };

	holders[0].addr.family = holders[1].addr.family = AF_INET6;
	put(w, "etc/systemd/system/web.socket", "[Socket]\nListenStream=80\n");
	bound_table_fill(w->t, &v, S);
	assert_null(v.bound_by);
	assert_null(holders[0].bound_by);
	assert_string_equal(holders[1].bound_by->unit, "web.socket");
}

static void a_service_that_shares_the_socket_with_systemd_is_not_alone(void **state)
{
	struct world *w = *state;
	struct owner owners[2] = { { .pid = 134, .comm = "python3" }, { .pid = 1, .comm = "systemd" } };
	struct holder holder = {
		.proto = PROTO_TCP, .pid = 134, .port = 80, .comm = "python3", .init_too = true
	};
	struct record rec = {
		.has_socket = true, .has_process = true, .pid = 134, .port = 80, .comm = "python3"
	};
	struct view v = { .rec = &rec, .owners = owners, .n_owners = 2, .holders = &holder, .n_holders = 1 };

	rec.addr.family = holder.addr.family = AF_INET6;
	put(w, "etc/systemd/system/web.socket", "[Socket]\nListenStream=80\n");
	bound_table_fill(w->t, &v, S);
	assert_non_null(v.bound_by);
	assert_non_null(holder.bound_by);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_socket_unit_names_its_service),
		TEST(the_child_that_binds_for_systemd_is_asked_about_too),
		TEST(others_hold_ports_for_themselves),
		TEST(an_address_picks_among_units_of_one_port),
		TEST(udp_is_another_table),
		TEST(a_unit_of_etc_wins_over_the_packaged_one),
		TEST(a_masked_unit_asks_for_nothing),
		TEST(a_drop_in_takes_back_and_adds),
		TEST(what_is_no_port_is_left_out),
		TEST(what_is_not_known_is_looked_for_again_soon),
		TEST(what_is_known_is_looked_at_again_later),
		TEST(docker_s_proxy_works_for_a_container),
		TEST(holders_are_answered_beside_the_caller),
		TEST(a_service_that_shares_the_socket_with_systemd_is_not_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
