/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's list of sockets: made-up answers taken apart, and real sockets in a namespace of the test's own. */
#include "source/sockdiag.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include "util/fail.h" /* before cmocka.h, which makes a macro of fail */

#include <cmocka.h>

#include "source/netns.h"
#include "util/cleanup.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
#define BOUND (1u << 13)

/* What a dump told, in order. */
struct told {
	struct diag_row row[64];
	size_t n;
	int stop_at; /* return @stop from this row on; 0: never */
	int stop;
};

static int tell(void *arg, const struct diag_row *row)
{
	struct told *t = arg;

	if (t->n < ARRAY_SIZE(t->row))
		t->row[t->n] = *row;
	t->n++;
	return t->stop_at && t->n >= (size_t)t->stop_at ? t->stop : 0;
}

/* ---- made-up answers ---- */

struct answer {
	_Alignas(8) char data[4096];
	size_t len;
};

static void *add(struct answer *a, unsigned type, unsigned flags, const void *payload, size_t len)
{
	struct nlmsghdr *nlh = (struct nlmsghdr *)(a->data + a->len);

	*nlh = (struct nlmsghdr){ .nlmsg_len = (__u32)NLMSG_LENGTH(len),
				  .nlmsg_type = (__u16)type,
				  .nlmsg_flags = (__u16)flags };
	memcpy(NLMSG_DATA(nlh), payload, len);
	a->len += NLMSG_SPACE(len);
	return nlh;
}

static struct inet_diag_msg listener(unsigned port)
{
	return (struct inet_diag_msg){
		.idiag_family = AF_INET,
		.idiag_state = TCP_LISTEN,
		.idiag_wqueue = 128,
		.idiag_uid = 33,
		.idiag_inode = 777,
		.id = { .idiag_sport = htons((uint16_t)port),
			.idiag_if = 3,
			.idiag_src = { htonl(INADDR_LOOPBACK) },
			.idiag_cookie = { 5, 1 } },
	};
}

static int decode(const struct answer *a, struct told *t, uint64_t *bad, bool *done)
{
	return sockdiag_decode(a->data, a->len, 42, PROTO_TCP, tell, t, bad, done);
}

static void a_row_carries_all_that_the_kernel_says(void **state)
{
	struct inet_diag_msg m = listener(80);
	struct answer a = { 0 };
	struct told t = { 0 };
	uint64_t bad;
	bool done;

	(void)state;
	add(&a, SOCK_DIAG_BY_FAMILY, NLM_F_MULTI, &m, sizeof(m));
	assert_int_equal(decode(&a, &t, &bad, &done), 0);
	assert_int_equal(t.n, 1);
	assert_false(done);
	assert_int_equal(bad, 0);
	assert_int_equal(t.row[0].proto, PROTO_TCP);
	assert_int_equal(t.row[0].family, AF_INET);
	assert_int_equal(t.row[0].state, TCP_LISTEN);
	assert_false(t.row[0].bound_only);
	assert_int_equal(t.row[0].addr.family, AF_INET);
	assert_memory_equal(t.row[0].addr.bytes, "\x7f\0\0\1\0\0\0\0\0\0\0\0\0\0\0", 16);
	assert_int_equal(t.row[0].port, 80);
	assert_true(t.row[0].cookie == 0x100000005);
	assert_int_equal(t.row[0].inode, 777);
	assert_int_equal(t.row[0].uid, 33);
	assert_int_equal(t.row[0].ifindex, 3);
	assert_int_equal(t.row[0].netns, 42);
	assert_int_equal(t.row[0].backlog, 128);
	assert_false(t.row[0].has_v6only);
	assert_false(t.row[0].has_sockopt);
}

static void attributes_say_v6only_freebind_and_transparent(void **state)
{
	struct {
		struct inet_diag_msg m;
		struct nlattr v6only;
		uint8_t v6only_value, pad[3];
		struct nlattr opt;
		uint8_t opt_value[2], pad2[2];
	} p = {
		.m = listener(80),
		.v6only = { NLA_HDRLEN + 1, INET_DIAG_SKV6ONLY },
		.v6only_value = 1,
		.opt = { NLA_HDRLEN + 2, INET_DIAG_SOCKOPT },
		.opt_value = { 0x04 | 0x20 },
	};
	struct answer a = { 0 };
	struct told t = { 0 };
	uint64_t bad;
	bool done;

	(void)state;
	p.m.idiag_family = AF_INET6;
	add(&a, SOCK_DIAG_BY_FAMILY, NLM_F_MULTI, &p, sizeof(p));
	assert_int_equal(decode(&a, &t, &bad, &done), 0);
	assert_true(t.row[0].has_v6only && t.row[0].v6only);
	assert_true(t.row[0].has_sockopt && t.row[0].freebind && t.row[0].transparent);
}

static void an_attribute_that_is_too_short_or_too_long_is_left_out(void **state)
{
	struct {
		struct inet_diag_msg m;
		struct nlattr empty, opt;
		uint8_t opt_value, pad[3];
		struct nlattr beyond;
	} p = {
		.m = listener(80),
		.empty = { NLA_HDRLEN, INET_DIAG_SKV6ONLY },
		.opt = { NLA_HDRLEN + 1, INET_DIAG_SOCKOPT },
		.opt_value = 0xff,
		.beyond = { 4000, INET_DIAG_SKV6ONLY },
	};
	struct answer a = { 0 };
	struct told t = { 0 };
	uint64_t bad;
	bool done;

	(void)state;
	p.m.idiag_family = AF_INET6;
	add(&a, SOCK_DIAG_BY_FAMILY, NLM_F_MULTI, &p, sizeof(p));
	assert_int_equal(decode(&a, &t, &bad, &done), 0);
	assert_int_equal(t.n, 1);
	assert_false(t.row[0].has_v6only);
	assert_false(t.row[0].has_sockopt);
}

static void rows_of_the_wrong_size_are_counted_and_left_out(void **state)
{
	struct inet_diag_msg m = listener(80);
	struct answer a = { 0 };
	struct told t = { 0 };
	uint64_t bad;
	bool done;

	(void)state;
	add(&a, SOCK_DIAG_BY_FAMILY, NLM_F_MULTI, &m, sizeof(m) - 4);
	add(&a, SOCK_DIAG_BY_FAMILY, NLM_F_MULTI, &m, 0);
	m.idiag_family = 99;
	add(&a, SOCK_DIAG_BY_FAMILY, NLM_F_MULTI, &m, sizeof(m));
	m = listener(81);
	add(&a, SOCK_DIAG_BY_FAMILY, NLM_F_MULTI, &m, sizeof(m));
	((struct nlmsghdr *)add(&a, SOCK_DIAG_BY_FAMILY, NLM_F_MULTI, &m, sizeof(m)))->nlmsg_len = 100000;
	assert_int_equal(decode(&a, &t, &bad, &done), 0);
	assert_int_equal(t.n, 1);
	assert_int_equal(t.row[0].port, 81);
	assert_int_equal(bad, 4);
}

static void every_cut_of_an_answer_is_survived(void **state)
{
	struct inet_diag_msg m = listener(80);
	struct answer a = { 0 };
	uint64_t bad;
	bool done;

	(void)state;
	add(&a, SOCK_DIAG_BY_FAMILY, NLM_F_MULTI, &m, sizeof(m));
	add(&a, SOCK_DIAG_BY_FAMILY, NLM_F_MULTI, &m, sizeof(m));
	for (size_t len = 0; len <= a.len; len++) {
		struct told t = { 0 };
		auto_free char *copy =
			malloc(len ?: 1); /* exactly as long: the sanitizer sees what is read beyond */

		memcpy(copy, a.data, len);
		assert_int_equal(sockdiag_decode(copy, len, 0, PROTO_TCP, tell, &t, &bad, &done), 0);
		assert_int_equal(t.n, len / (a.len / 2));
	}
}

static void the_end_the_missing_module_and_errors_are_told_apart(void **state)
{
	static const struct {
		unsigned type;
		int error, result;
	} rows[] = {
		{ NLMSG_DONE, 0, 0 },
		{ NLMSG_ERROR, -ENOENT, SOCKDIAG_NO_MODULE },
		{ NLMSG_DONE, -ENOENT, SOCKDIAG_NO_MODULE },
		{ NLMSG_ERROR, -EPERM, -EPERM },
		{ NLMSG_ERROR, 0, 0 },
		{ NLMSG_ERROR, 17, 0 },
		{ NLMSG_ERROR, -2147483647, 0 },
	};
	struct inet_diag_msg m = listener(80);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct answer a = { 0 };
		struct told t = { 0 };
		uint64_t bad;
		bool done;

		add(&a, rows[i].type, NLM_F_MULTI, &rows[i].error, sizeof(int));
		add(&a, SOCK_DIAG_BY_FAMILY, NLM_F_MULTI, &m, sizeof(m));
		assert_int_equal(decode(&a, &t, &bad, &done), rows[i].result);
		assert_true(done);
		assert_int_equal(t.n, 0); /* what comes after the end is not looked at */
		assert_int_equal(bad, 0);
	}
}

static void who_is_told_may_stop_it(void **state)
{
	struct inet_diag_msg m = listener(80);
	struct told t = { .stop_at = 2, .stop = 7 };
	struct answer a = { 0 };
	uint64_t bad;
	bool done;

	(void)state;
	for (int i = 0; i < 4; i++)
		add(&a, SOCK_DIAG_BY_FAMILY, NLM_F_MULTI, &m, sizeof(m));
	assert_int_equal(decode(&a, &t, &bad, &done), 7);
	assert_int_equal(t.n, 2);
}

static void time_wait_has_an_end_and_no_cookie_is_none(void **state)
{
	struct inet_diag_msg m = listener(80);
	struct answer a = { 0 };
	struct told t = { 0 };
	uint64_t bad;
	bool done;

	(void)state;
	m.idiag_state = TCP_TIME_WAIT;
	m.idiag_expires = 59000;
	m.id.idiag_cookie[0] = m.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	add(&a, SOCK_DIAG_BY_FAMILY, NLM_F_MULTI, &m, sizeof(m));
	assert_int_equal(decode(&a, &t, &bad, &done), 0);
	assert_int_equal(t.row[0].expires_ms, 59000);
	assert_int_equal(t.row[0].backlog, 0);
	assert_true(t.row[0].cookie == 0);
}

/* ---- real sockets ---- */

static bool own_netns; /* the test has a network namespace of its own */

static int enter_own_netns(void **state)
{
	struct ifreq lo = { .ifr_name = "lo" };
	int fd;

	(void)state;
	if (unshare(CLONE_NEWNET))
		return 0;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	lo.ifr_flags = IFF_UP | IFF_RUNNING;
	own_netns = fd >= 0 && !ioctl(fd, SIOCSIFFLAGS, &lo);
	close(fd);
	return 0;
}

static void need_netns(void)
{
	if (!own_netns) {
		print_message("needs root\n");
		skip();
	}
}

static int sock(int family, int type, int proto)
{
	int fd = socket(family, type | SOCK_CLOEXEC, proto);

	assert_true(fd >= 0);
	return fd;
}

static uint16_t bind_any(int fd, int family, uint16_t port)
{
	union {
		struct sockaddr sa;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} a = { .sa.sa_family = (sa_family_t)family };
	socklen_t len = family == AF_INET ? sizeof(a.v4) : sizeof(a.v6);

	a.v4.sin_port = htons(port); /* at the same place in both */
	assert_int_equal(bind(fd, &a.sa, len), 0);
	len = sizeof(a);
	assert_int_equal(getsockname(fd, &a.sa, &len), 0);
	return ntohs(a.v4.sin_port);
}

static struct sockdiag *diag(void)
{
	struct sockdiag *sd;

	assert_int_equal(sockdiag_open(-1, netns_self(), &sd), 0);
	return sd;
}

/* All rows of the namespace that @q asks for; skips the test where the kernel has no such module. */
static struct told dump(const struct diag_query *q)
{
	struct sockdiag *sd = diag();
	struct told t = { 0 };
	int r = sockdiag_dump(sd, q, tell, &t);

	assert_int_equal(sockdiag_bad_records(sd), 0);
	sockdiag_close(sd);
	if (r == SOCKDIAG_NO_MODULE) {
		print_message("needs tcp_diag and udp_diag\n");
		skip();
	}
	assert_int_equal(r, 0);
	return t;
}

static const struct diag_row *row_of(const struct told *t, int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	for (size_t i = 0; i < t->n && i < ARRAY_SIZE(t->row); i++) {
		if (t->row[i].inode == st.st_ino)
			return &t->row[i];
	}
	return NULL;
}

static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len), 0);
	return cookie;
}

static void listeners_of_both_families_are_listed_with_what_they_are(void **state)
{
	auto_close int v4 = sock(AF_INET, SOCK_STREAM, 0), v6 = sock(AF_INET6, SOCK_STREAM, 0);
	const struct diag_row *row;
	struct told t;
	uint16_t p4, p6;
	int one = 1;

	(void)state;
	need_netns();
	assert_int_equal(setsockopt(v6, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)), 0);
	p4 = bind_any(v4, AF_INET, 0);
	p6 = bind_any(v6, AF_INET6, 0);
	assert_int_equal(listen(v4, 5), 0);
	assert_int_equal(listen(v6, 6), 0);
	t = dump(&(struct diag_query){ .tcp = true });
	row = row_of(&t, v4);
	assert_non_null(row);
	assert_int_equal(row->port, p4);
	assert_int_equal(row->state, TCP_LISTEN);
	assert_int_equal(row->backlog, 5);
	assert_int_equal(row->netns, netns_self());
	assert_true(row->cookie == cookie_of(v4));
	row = row_of(&t, v6);
	assert_non_null(row);
	assert_int_equal(row->port, p6);
	assert_int_equal(row->family, AF_INET6);
	assert_true(row->has_v6only && row->v6only);
}

static void udp_is_listed_when_asked_for(void **state)
{
	auto_close int udp = sock(AF_INET6, SOCK_DGRAM, 0), tcp = sock(AF_INET, SOCK_STREAM, 0);
	const struct diag_row *row;
	struct told t;
	uint16_t port;

	(void)state;
	need_netns();
	port = bind_any(udp, AF_INET6, 0);
	bind_any(tcp, AF_INET, 0);
	assert_int_equal(listen(tcp, 1), 0);
	t = dump(&(struct diag_query){ .udp = true });
	assert_null(row_of(&t, tcp));
	row = row_of(&t, udp);
	assert_non_null(row);
	assert_int_equal(row->proto, PROTO_UDP);
	assert_int_equal(row->port, port);
	assert_false(row->bound_only);
}

static void a_socket_bound_but_not_listening_is_listed_where_the_kernel_can(void **state)
{
	auto_close int fd = sock(AF_INET, SOCK_STREAM, 0);
	const struct diag_row *row;
	uint16_t port;
	struct told t;

	(void)state;
	need_netns();
	port = bind_any(fd, AF_INET, 0);
	t = dump(&(struct diag_query){ .tcp = true });
	row = row_of(&t, fd);
	if (!row) {
		print_message("needs a kernel that lists bound sockets\n");
		skip();
	}
	assert_true(row->bound_only);
	assert_int_equal(row->port, port);
	t = dump(&(struct diag_query){ .tcp = true, .states = BOUND });
	assert_non_null(row_of(&t, fd));
	t = dump(&(struct diag_query){ .tcp = true, .states = 0xfff });
	assert_null(row_of(&t, fd));
}

static void a_port_asked_for_leaves_all_others_out(void **state)
{
	auto_close int a = sock(AF_INET, SOCK_STREAM, 0), b = sock(AF_INET, SOCK_STREAM, 0);
	auto_close int c = sock(AF_INET, SOCK_DGRAM, 0), below = sock(AF_INET, SOCK_STREAM, 0);
	struct told t;

	(void)state;
	need_netns();
	bind_any(a, AF_INET, 20002);
	bind_any(b, AF_INET, 20003);
	bind_any(below, AF_INET, 20001);
	bind_any(c, AF_INET, 20002);
	assert_int_equal(listen(a, 1) | listen(b, 1) | listen(below, 1), 0);
	t = dump(&(struct diag_query){ .tcp = true, .udp = true, .port = 20002 });
	assert_int_equal(t.n, 2);
	assert_non_null(row_of(&t, a));
	assert_non_null(row_of(&t, c));
	t = dump(&(struct diag_query){ .tcp = true, .udp = true, .port = 65535 });
	assert_int_equal(t.n, 0);
}

static void ask_for(uint8_t ports[8192], unsigned low, unsigned high)
{
	for (unsigned port = low; port <= high; port++)
		ports[port / 8] |= (uint8_t)(1u << port % 8);
}

/* The kernel judges a few ranges, and leaves many to us. */
static void ranges_of_ports_leave_all_others_out(void **state)
{
	static const uint16_t held[] = { 20101, 20102, 20110, 20120, 65535 };
	int fd[ARRAY_SIZE(held)];
	uint8_t ports[8192] = { 0 };
	struct diag_query q = { .tcp = true, .udp = true, .ports = ports };

	(void)state;
	need_netns();
	for (size_t i = 0; i < ARRAY_SIZE(held); i++) {
		fd[i] = sock(AF_INET, i % 2 ? SOCK_DGRAM : SOCK_STREAM, 0);
		bind_any(fd[i], AF_INET, held[i]);
		if (i % 2 == 0)
			assert_int_equal(listen(fd[i], 1), 0);
	}
	ask_for(ports, 20102, 20110);
	ask_for(ports, 20121, 20130);
	for (unsigned ends_high = 0; ends_high < 2; ends_high++) {
		struct told t = dump(&q);

		assert_int_equal(t.n, 2 + ends_high);
		assert_non_null(row_of(&t, fd[1]));
		assert_non_null(row_of(&t, fd[2]));
		assert_int_equal(!row_of(&t, fd[4]), !ends_high);
		ask_for(ports, 65000, 65535);
	}
	for (unsigned port = 1001; port < 2000; port += 2)
		ask_for(ports, port, port);
	assert_int_equal(dump(&q).n, 3);
	for (size_t i = 0; i < ARRAY_SIZE(held); i++)
		close(fd[i]);
}

/* A listener on loopback, a connection to it, and the accepted end. */
static void connected(int listener_fd, int *ret_client, int *ret_server)
{
	struct sockaddr_in to;
	socklen_t len = sizeof(to);

	bind_any(listener_fd, AF_INET, 0);
	assert_int_equal(listen(listener_fd, 1), 0);
	assert_int_equal(getsockname(listener_fd, (struct sockaddr *)&to, &len), 0);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	*ret_client = sock(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(*ret_client, (struct sockaddr *)&to, sizeof(to)), 0);
	*ret_server = accept4(listener_fd, NULL, NULL, SOCK_CLOEXEC);
	assert_true(*ret_server >= 0);
}

static void time_wait_is_listed_with_the_time_left(void **state)
{
	auto_close int fd = sock(AF_INET, SOCK_STREAM, 0);
	struct told t = { 0 };
	int client, server;
	char byte;

	(void)state;
	need_netns();
	connected(fd, &client, &server);
	close(server); /* first to close: this end waits */
	assert_int_equal(read(client, &byte, 1), 0);
	close(client);
	t = dump(&(struct diag_query){ .tcp = true, .states = 1u << TCP_TIME_WAIT });
	assert_int_equal(t.n, 1);
	assert_int_equal(t.row[0].state, TCP_TIME_WAIT);
	assert_int_equal(t.row[0].inode, 0);
	assert_true(t.row[0].expires_ms > 1000 && t.row[0].expires_ms <= 61000);
	assert_int_equal(t.row[0].addr.bytes[0], 127);
	assert_int_equal(t.row[0].peer.bytes[0], 127);
}

static void a_connection_says_both_ends(void **state)
{
	auto_close int fd = sock(AF_INET, SOCK_STREAM, 0);
	const struct diag_row *ours, *theirs;
	int client, server;
	struct told t;

	(void)state;
	need_netns();
	connected(fd, &client, &server);
	t = dump(&(struct diag_query){ .tcp = true, .states = 1u << TCP_ESTABLISHED });
	ours = row_of(&t, client);
	theirs = row_of(&t, server);
	assert_non_null(ours);
	assert_non_null(theirs);
	assert_int_equal(ours->port, theirs->peer_port);
	assert_int_equal(ours->peer_port, theirs->port);
	close(client);
	close(server);
}

static void an_mptcp_listener_is_two_rows_of_one_inode(void **state)
{
	auto_close int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP);
	const struct diag_row *subflow, *msk;
	struct told t;
	uint16_t port;

	(void)state;
	need_netns();
	if (fd < 0) {
		print_message("needs MPTCP\n");
		skip();
	}
	port = bind_any(fd, AF_INET, 0);
	assert_int_equal(listen(fd, 1), 0);
	t = dump(&(struct diag_query){ .tcp = true });
	subflow = row_of(&t, fd);
	assert_non_null(subflow);
	assert_int_equal(subflow->proto, PROTO_TCP);
	assert_int_equal(subflow->port, port);
	t = dump(&(struct diag_query){ .mptcp = true });
	msk = row_of(&t, fd);
	assert_non_null(msk);
	assert_int_equal(msk->proto, PROTO_MPTCP);
	assert_int_equal(msk->port, port);
	assert_true(msk->cookie == cookie_of(fd));
}

static void a_dump_that_was_stopped_does_not_spoil_the_next(void **state)
{
	struct told t = { .stop_at = 3, .stop = -ECANCELED };
	struct sockdiag *sd;
	int fds[200];

	(void)state;
	need_netns();
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = sock(AF_INET, SOCK_DGRAM, 0);
		bind_any(fds[i], AF_INET, 0);
	}
	sd = diag();
	assert_int_equal(sockdiag_dump(sd, &(struct diag_query){ .udp = true }, tell, &t), -ECANCELED);
	assert_int_equal(t.n, 3);
	t = (struct told){ 0 };
	assert_int_equal(sockdiag_dump(sd, &(struct diag_query){ .udp = true }, tell, &t), 0);
	assert_int_equal(t.n, 200);
	sockdiag_close(sd);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
}

static void sockets_of_another_namespace_are_listed_from_here(void **state)
{
	auto_close int fd = sock(AF_INET, SOCK_STREAM, 0), there = -1;
	uint32_t there_inode = netns_self(), here;
	struct told t = { 0 };
	struct sockdiag *sd;

	(void)state;
	need_netns();
	bind_any(fd, AF_INET, 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(netns_open_inode(there_inode, &there), 0);
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	here = netns_self();
	assert_int_equal(sockdiag_open(there, there_inode, &sd), 0);
	assert_int_equal(netns_self(), here);
	assert_int_equal(sockdiag_dump(sd, &(struct diag_query){ .tcp = true }, tell, &t), 0);
	assert_non_null(row_of(&t, fd));
	assert_int_equal(row_of(&t, fd)->netns, there_inode);
	sockdiag_close(sd);
	t = dump(&(struct diag_query){ .tcp = true, .udp = true });
	assert_int_equal(t.n, 0);
	assert_int_equal(setns(there, CLONE_NEWNET), 0);
}

static void what_is_no_namespace_cannot_be_opened(void **state)
{
	auto_close int fd = sock(AF_INET, SOCK_STREAM, 0);
	struct sockdiag *sd;

	(void)state;
	assert_true(sockdiag_open(fd, 1, &sd) < 0);
	assert_string_not_equal(fail_story(), "");
	assert_null(sockdiag_close(NULL));
}

static int count_row(void *arg, const struct diag_row *row)
{
	(void)row;
	++*(unsigned *)arg;
	return 0;
}

static double dump_ms(const struct diag_query *q, unsigned *ret_rows)
{
	struct timespec a, b;
	struct sockdiag *sd = diag();

	*ret_rows = 0;
	clock_gettime(CLOCK_MONOTONIC, &a);
	assert_int_equal(sockdiag_dump(sd, q, count_row, ret_rows), 0);
	clock_gettime(CLOCK_MONOTONIC, &b);
	sockdiag_close(sd);
	return (double)(b.tv_sec - a.tv_sec) * 1e3 + (double)(b.tv_nsec - a.tv_nsec) / 1e6;
}

static void ten_thousand_sockets_are_all_listed(void **state)
{
	struct rlimit lim = { 12000, 12000 };
	struct sockaddr_in to = { .sin_family = AF_INET };
	auto_free int *fds = calloc(10000, sizeof(int));
	double all, one;
	unsigned rows;

	(void)state;
	need_netns();
	if (setrlimit(RLIMIT_NOFILE, &lim)) {
		print_message("needs 12,000 open files\n");
		skip();
	}
	for (int i = 0; i < 10000; i++) {
		fds[i] = sock(AF_INET, SOCK_STREAM, 0);
		to.sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)(i & 15));
		to.sin_port = htons((uint16_t)(2000 + i));
		assert_int_equal(bind(fds[i], (struct sockaddr *)&to, sizeof(to)), 0);
		assert_int_equal(listen(fds[i], 1), 0);
	}
	all = dump_ms(&(struct diag_query){ .tcp = true, .states = 1u << TCP_LISTEN }, &rows);
	assert_int_equal(rows, 10000);
	one = dump_ms(&(struct diag_query){ .tcp = true, .port = 2500 }, &rows);
	assert_int_equal(rows, 1);
	print_message("10,000 listeners: %.2f ms for all, %.2f ms for one port\n", all, one);
	for (int i = 0; i < 10000; i++)
		close(fds[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_row_carries_all_that_the_kernel_says),
		cmocka_unit_test(attributes_say_v6only_freebind_and_transparent),
		cmocka_unit_test(an_attribute_that_is_too_short_or_too_long_is_left_out),
		cmocka_unit_test(rows_of_the_wrong_size_are_counted_and_left_out),
		cmocka_unit_test(every_cut_of_an_answer_is_survived),
		cmocka_unit_test(the_end_the_missing_module_and_errors_are_told_apart),
		cmocka_unit_test(who_is_told_may_stop_it),
		cmocka_unit_test(time_wait_has_an_end_and_no_cookie_is_none),
		cmocka_unit_test_setup(listeners_of_both_families_are_listed_with_what_they_are,
				       enter_own_netns),
		cmocka_unit_test(udp_is_listed_when_asked_for),
		cmocka_unit_test(a_socket_bound_but_not_listening_is_listed_where_the_kernel_can),
		cmocka_unit_test(a_port_asked_for_leaves_all_others_out),
		cmocka_unit_test(ranges_of_ports_leave_all_others_out),
		cmocka_unit_test(time_wait_is_listed_with_the_time_left),
		cmocka_unit_test(a_connection_says_both_ends),
		cmocka_unit_test(an_mptcp_listener_is_two_rows_of_one_inode),
		cmocka_unit_test(a_dump_that_was_stopped_does_not_spoil_the_next),
		cmocka_unit_test(sockets_of_another_namespace_are_listed_from_here),
		cmocka_unit_test(what_is_no_namespace_cannot_be_opened),
		cmocka_unit_test(ten_thousand_sockets_are_all_listed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
