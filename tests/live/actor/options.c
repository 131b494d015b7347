/* SPDX-License-Identifier: GPL-2.0-only */
/* What a socket was told to be (T15, T16), and sockets that are no ports at all (T6). */
#include <fcntl.h>
#include <netinet/ip_icmp.h>
#include <string.h>
#include <unistd.h>

#include "live/actor/play.h"

static void reuse(void)
{
	int fd = tcp_socket("127.0.0.1");

	set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	bind_to(fd, "127.0.0.1", 5601);
	close(fd);
}

static void device(void)
{
	int tcp = tcp_socket("127.0.0.1"), udp = udp_socket("127.0.0.1");

	need(!setsockopt(tcp, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3), "SO_BINDTODEVICE");
	need(!setsockopt(udp, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3), "SO_BINDTODEVICE");
	bind_to(tcp, "127.0.0.1", 5602);
	bind_to(udp, "127.0.0.1", 5602);
	close(tcp);
	close(udp);
}

static void freebind(void)
{
	int fd = tcp_socket("10.99.99.99");

	set_option(fd, IPPROTO_IP, IP_FREEBIND, 1);
	bind_to(fd, "10.99.99.99", 5603);
	listen_on(fd, 5);
	close(fd);
}

static void transparent(void)
{
	int fd = udp_socket("127.0.0.1");

	set_option(fd, IPPROTO_IP, IP_TRANSPARENT, 1);
	bind_to(fd, "127.0.0.1", 5604);
	close(fd);
}

static void v6only(void)
{
	int tcp = tcp_socket("::"), udp = udp_socket("::");

	set_option(tcp, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	set_option(udp, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	bind_to(tcp, "::", 5605);
	bind_to(udp, "::", 5605);
	listen_on(tcp, 5);
	close(tcp);
	close(udp);
}

/* T16: bind to an address of IPv6 alone sets the flag in the kernel; the program never asked for it. */
static void v6only_not_asked(void)
{
	int fd = tcp_socket("::1");

	bind_to(fd, "::1", 5606);
	close(fd);
}

/* T15: the socket belongs to who made it, the call to who makes it. */
static void other_user(void)
{
	int fd = tcp_socket("127.0.0.1");

	become_user(65534);
	bind_to(fd, "127.0.0.1", 5607);
	listen_on(fd, 5);
	close(fd);
}

static void effective_user(void)
{
	int fd;

	need(!seteuid(1234), "seteuid");
	fd = tcp_at("127.0.0.1", 5608);
	close(fd);
}

static bool opens_raw(void)
{
	return socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) >= 0;
}

static const char *no_raw(void)
{
	return kernel_says(opens_raw) ? NULL : "no raw sockets here";
}

/* T6: the number of a raw socket is its protocol, that of a ping socket an ICMP id. */
static void no_ports(void)
{
	int raw = new_socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), range, ping;

	bind_to(raw, "127.0.0.1", 0);
	range = open("/proc/sys/net/ipv4/ping_group_range", O_WRONLY);
	if (range >= 0 && write(range, "0 65535", 7) == 7) {
		ping = new_socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
		bind_to(ping, "127.0.0.1", 777);
		close(ping);
	}
	close(raw);
}

static void no_ports6(void)
{
	int raw = new_socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6);

	bind_to(raw, "::1", 0);
	close(raw);
}

/* clang-format off */
const struct situation options_situations[] = {
	{ "SO_REUSEADDR and SO_REUSEPORT", NULL, reuse,
	  { "bind tcp 127.0.0.1:5601 reuseaddr=true reuseport=true",
	    "release tcp 127.0.0.1:5601" } },
	{ "SO_BINDTODEVICE", NULL, device,
	  { "bind tcp 127.0.0.1:5602 iface=lo",
	    "bind udp 127.0.0.1:5602 iface=lo",
	    "release tcp 127.0.0.1:5602",
	    "release udp 127.0.0.1:5602" } },
	{ "IP_FREEBIND: an address that is not there", NULL, freebind,
	  { "bind tcp 10.99.99.99:5603 freebind=true",
	    "listen tcp 10.99.99.99:5603",
	    "release tcp 10.99.99.99:5603" } },
	{ "IP_TRANSPARENT", NULL, transparent,
	  { "bind udp 127.0.0.1:5604 transparent=true",
	    "release udp 127.0.0.1:5604" } },
	{ "IPV6_V6ONLY", no_ipv6, v6only,
	  { "bind tcp [::]:5605 v6only=true",
	    "bind udp [::]:5605 v6only=true",
	    "listen tcp [::]:5605",
	    "release tcp [::]:5605",
	    "release udp [::]:5605" } },
	{ "IPV6_V6ONLY set by the bind itself is not the program's", no_ipv6, v6only_not_asked,
	  { "bind tcp [::1]:5606 v6only=false|-",
	    "release tcp [::1]:5606" } },
	{ "setuid between socket and bind: both users", NULL, other_user,
	  { "bind tcp 127.0.0.1:5607 uid=65534 sock_uid=0",
	    "listen tcp 127.0.0.1:5607 uid=65534 sock_uid=0",
	    "release tcp 127.0.0.1:5607" } },
	{ "the effective user", NULL, effective_user,
	  { "bind tcp 127.0.0.1:5608 uid=1234 -sock_uid",
	    "release tcp 127.0.0.1:5608" } },
	{ "raw and ping sockets have no ports", no_raw, no_ports, { NULL } },
	{ "raw IPv6 sockets have no ports", no_ipv6, no_ports6, { NULL } },
};
/* clang-format on */
TABLE_SIZE(options);
