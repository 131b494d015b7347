/* SPDX-License-Identifier: GPL-2.0-only */
/* Sysctls and addresses of a network namespace: see place.h. */
#include "source/place.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fib_rules.h>
#include <linux/netlink.h>
#include <linux/nsfs.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "util/cleanup.h"
#include "util/parse.h"

#define SYSCTL_MAX (64 << 10) /* a list of reserved ports may be long */
#define INET6_MAX (1 << 20)
#define ANSWER_MS 500
#define DUMP_BYTES 65536
#define DUMP_MAX 4096 /* answers of one dump, of hundreds of routes each */

/* A whole small file, terminated; NULL: there is none. */
static char *read_text(int dir_fd, const char *path, size_t max)
{
	auto_close int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	auto_free char *text = fd < 0 ? NULL : malloc(max);
	size_t len = 0;
	ssize_t n = 1;

	if (!text)
		return NULL;
	while (n > 0 && len < max - 1) {
		n = read(fd, text + len, max - 1 - len);
		if (n < 0)
			return NULL;
		len += (size_t)n;
	}
	text[len] = '\0';
	return take(text);
}

/* ---- sysctls ---- */

static int read_number(int proc_fd, const char *path)
{
	auto_free char *text = read_text(proc_fd, path, 64);
	uint32_t n;

	if (!text)
		return -1;
	text[strcspn(text, "\n")] = '\0';
	return parse_u32(text, &n) || n > 65536 ? -1 : (int)n;
}

/* What is no port or no range is passed over. */
void place_parse_ports(const char *text, uint8_t *ret)
{
	while (*text) {
		unsigned low, high;
		int n = sscanf(text, "%5u-%5u", &low, &high);

		if (n == 1)
			high = low;
		for (; n > 0 && low <= high && low <= 65535; low++)
			ret[low >> 3] |= (uint8_t)(1 << (low & 7));
		text += strcspn(text, ",");
		text += *text == ',';
	}
}

/* NS_GET_USERNS refuses what is neither of the caller's user namespace nor of one below it. */
static bool is_foreign(int proc_fd)
{
	auto_close int fd = openat(proc_fd, "thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	auto_close int owner = fd < 0 ? -1 : ioctl(fd, NS_GET_USERNS);

	return fd >= 0 && owner < 0 && errno == EPERM;
}

void place_read(int proc_fd, struct place *ret)
{
	auto_free char *range = read_text(proc_fd, "sys/net/ipv4/ip_local_port_range", 64);
	auto_free char *reserved = read_text(proc_fd, "sys/net/ipv4/ip_local_reserved_ports", SYSCTL_MAX);
	unsigned low, high;

	memset(ret, 0, sizeof(*ret));
	ret->unprivileged_port_start = read_number(proc_fd, "sys/net/ipv4/ip_unprivileged_port_start");
	ret->nonlocal4 = read_number(proc_fd, "sys/net/ipv4/ip_nonlocal_bind") > 0;
	ret->nonlocal6 = read_number(proc_fd, "sys/net/ipv6/ip_nonlocal_bind") > 0;
	ret->v6only = read_number(proc_fd, "sys/net/ipv6/bindv6only") > 0;
	ret->foreign = is_foreign(proc_fd);
	if (range && sscanf(range, "%5u %5u", &low, &high) == 2 && low <= 65535 && high <= 65535) {
		ret->range_low = (uint16_t)low;
		ret->range_high = (uint16_t)high;
	}
	if (reserved)
		place_parse_ports(reserved, ret->reserved);
}

bool place_reserves(const struct place *p, uint16_t port)
{
	return p->reserved[port >> 3] & 1 << (port & 7);
}

bool place_is_ephemeral(const struct place *p, uint16_t port)
{
	return p->range_high && port >= p->range_low && port <= p->range_high && !place_reserves(p, port);
}

/* ---- IPv4: what the routing table says of the address as a destination ---- */

struct route_request {
	struct nlmsghdr head;
	struct rtmsg route;
	struct rtattr attr;
	uint8_t addr[4];
};

union route_answer {
	struct nlmsghdr head;
	char bytes[4096];
};

static int ask_route(const uint8_t addr[4], union route_answer *ret, size_t *ret_len)
{
	auto_close int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct timeval patience = { .tv_usec = ANSWER_MS * 1000 };
	struct route_request req = {
		.head = { .nlmsg_len = sizeof(req), .nlmsg_type = RTM_GETROUTE, .nlmsg_flags = NLM_F_REQUEST },
		.route = { .rtm_family = AF_INET, .rtm_dst_len = 32 },
		.attr = { .rta_len = RTA_LENGTH(4), .rta_type = RTA_DST },
	};
	ssize_t n;

	memcpy(req.addr, addr, 4);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) ||
	    send(fd, &req, sizeof(req), 0) < 0)
		return -errno;
	n = recv(fd, ret, sizeof(*ret), 0);
	if (n < 0)
		return -errno;
	*ret_len = (size_t)n;
	return 0;
}

typedef int (*each_message)(void *arg, const struct nlmsghdr *m); /* nonzero ends the dump */

/* One answer of several messages. 1: it was the last; 0: more come; or negative errno. */
static int messages_read(const char *bytes, unsigned len, each_message each, void *arg)
{
	for (const struct nlmsghdr *m = (const void *)bytes; NLMSG_OK(m, len); m = NLMSG_NEXT(m, len)) {
		if (m->nlmsg_type == NLMSG_DONE)
			return 1;
		if (m->nlmsg_type == NLMSG_ERROR || m->nlmsg_len < NLMSG_LENGTH(sizeof(struct rtmsg)))
			return -EBADMSG;
		if (each(arg, m))
			return 1;
	}
	return 0;
}

static int dump_read(int fd, each_message each, void *arg)
{
	auto_free char *bytes = malloc(DUMP_BYTES);
	int r = bytes ? 0 : -ENOMEM;

	for (unsigned i = 0; !r && i < DUMP_MAX; i++) {
		ssize_t n = recv(fd, bytes, DUMP_BYTES, MSG_TRUNC);

		if (n <= 0 || n > DUMP_BYTES)
			return n < 0 ? -errno : -EMSGSIZE;
		r = messages_read(bytes, (unsigned)n, each, arg);
	}
	return r == 1 ? 0 : r ? r : -E2BIG;
}

/* Rules or routes: both requests begin alike. 0 or negative errno. */
static int dump(uint16_t type, uint8_t table, each_message each, void *arg)
{
	auto_close int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct timeval patience = { .tv_usec = ANSWER_MS * 1000 };
	struct {
		struct nlmsghdr head;
		struct rtmsg route;
	} req = {
		.head = { .nlmsg_len = sizeof(req),
			  .nlmsg_type = type,
			  .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.route = { .rtm_family = AF_INET, .rtm_table = table },
	};
	int strict = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)))
		return -errno;
	/* Where it is not known (before 4.20) all tables come, and those that are not asked for are passed over. */
	(void)setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &strict, sizeof(strict));
	return send(fd, &req, sizeof(req), 0) < 0 ? -errno : dump_read(fd, each, arg);
}

/* The first rule decides: is it the kernel's own, which sends everything to the table local? */
static int rule_first(void *arg, const struct nlmsghdr *m)
{
	const struct fib_rule_hdr *rule = NLMSG_DATA(m);
	bool *local = arg;
	const struct rtattr *a = (const void *)((const char *)rule + NLMSG_ALIGN(sizeof(*rule)));
	unsigned len = (unsigned)NLMSG_PAYLOAD(m, sizeof(*rule));

	*local = rule->action == FR_ACT_TO_TBL && rule->table == RT_TABLE_LOCAL && !rule->dst_len &&
		 !rule->src_len && !rule->tos && !(rule->flags & FIB_RULE_INVERT);
	for (; RTA_OK(a, len); a = RTA_NEXT(a, len))
		if (a->rta_type != FRA_TABLE && a->rta_type != FRA_PRIORITY && a->rta_type != FRA_PROTOCOL &&
		    a->rta_type != FRA_SUPPRESS_PREFIXLEN)
			*local = false; /* it is for some packets only */
	return 1;
}

struct match {
	const uint8_t *addr;
	int bits; /* of the longest prefix so far; -1: none */
	uint8_t type;
};

static bool prefix_has(const uint8_t *prefix, unsigned bits, const uint8_t *addr)
{
	unsigned whole = bits / 8, rest = bits % 8;

	return bits <= 32 && !memcmp(prefix, addr, whole) &&
	       (!rest || !((prefix[whole] ^ addr[whole]) >> (8 - rest)));
}

static int route_match(void *arg, const struct nlmsghdr *m)
{
	const struct rtmsg *route = NLMSG_DATA(m);
	struct match *found = arg;
	const uint8_t *prefix = (const uint8_t *)"\0\0\0\0";
	unsigned len = (unsigned)RTM_PAYLOAD(m);

	for (const struct rtattr *a = RTM_RTA(route); RTA_OK(a, len); a = RTA_NEXT(a, len))
		if (a->rta_type == RTA_DST && RTA_PAYLOAD(a) == 4)
			prefix = RTA_DATA(a);
	if (m->nlmsg_type != RTM_NEWROUTE || route->rtm_table != RT_TABLE_LOCAL || route->rtm_tos ||
	    route->rtm_dst_len <= found->bits || !prefix_has(prefix, route->rtm_dst_len, found->addr))
		return 0;
	found->bits = route->rtm_dst_len;
	found->type = route->rtm_type;
	return 0;
}

static enum locality locality_of_type(uint8_t type)
{
	return type == RTN_LOCAL || type == RTN_BROADCAST ? LOCALITY_HERE : LOCALITY_ABSENT;
}

/*
 * inet_addr_type() looks at the table local alone, a question for a route follows the rules: the same while the first rule
 * leads to that table, which is so unless somebody changed it (and where there are no rules at all).
 */
static bool rules_lead_elsewhere(void)
{
	bool local = true;

	return !dump(RTM_GETRULE, 0, rule_first, &local) && !local;
}

static enum locality locality_of_table(const uint8_t addr[4])
{
	struct match found = { .addr = addr, .bits = -1, .type = RTN_UNICAST };

	return dump(RTM_GETROUTE, RT_TABLE_LOCAL, route_match, &found) ? LOCALITY_UNKNOWN
								       : locality_of_type(found.type);
}

/* An error is "no route to it", so that it is no address of ours. */
static enum locality locality_v4(const uint8_t addr[4])
{
	union route_answer answer;
	const struct rtmsg *route = NLMSG_DATA(&answer.head);
	size_t len = 0;

	/* inet_addr_type(): 0.0.0.0 and 255.255.255.255 are broadcast, 224.0.0.0/4 multicast, without a look. */
	if (!memcmp(addr, "\0\0\0\0", 4) || addr[0] >> 4 == 14 || !memcmp(addr, "\xff\xff\xff\xff", 4))
		return LOCALITY_HERE;
	if (rules_lead_elsewhere())
		return locality_of_table(addr);
	if (ask_route(addr, &answer, &len) || len < sizeof(answer.head))
		return LOCALITY_UNKNOWN;
	if (answer.head.nlmsg_type == NLMSG_ERROR)
		return LOCALITY_ABSENT;
	if (answer.head.nlmsg_type != RTM_NEWROUTE || len < NLMSG_LENGTH(sizeof(*route)))
		return LOCALITY_UNKNOWN;
	return locality_of_type(route->rtm_type);
}

/* ---- IPv6: /proc/net/if_inet6, "addr ifindex prefix scope flags name" a line, all in hexadecimal ---- */

static bool parse_hex_addr(const char *text, uint8_t ret[16])
{
	for (int i = 0; i < 16; i++) {
		unsigned byte;

		if (sscanf(text + (size_t)i * 2, "%2x", &byte) != 1)
			return false;
		ret[i] = (uint8_t)byte;
	}
	return true;
}

/* ipv6_chk_addr(): a tentative address does not count, unless it is an optimistic one. */
static enum locality locality_of_line(const char *line, const uint8_t addr[16], uint32_t scope)
{
	unsigned ifindex, prefix, addr_scope, flags;
	char hex[33];
	uint8_t mine[16];

	if (sscanf(line, "%32s %x %x %x %x", hex, &ifindex, &prefix, &addr_scope, &flags) != 5 ||
	    strlen(hex) != 32 || !parse_hex_addr(hex, mine) || memcmp(mine, addr, 16))
		return LOCALITY_ABSENT;
	/* A link-local or host address counts on its own device alone (IPV6_ADDR_LINKLOCAL, IPV6_ADDR_LOOPBACK). */
	if (scope && ifindex != scope && addr_scope & 0x30)
		return LOCALITY_ABSENT;
	if (flags & IFA_F_TENTATIVE && !(flags & IFA_F_OPTIMISTIC))
		return LOCALITY_TENTATIVE;
	return LOCALITY_HERE;
}

enum locality place_parse_inet6(const char *text, const uint8_t addr[16], uint32_t scope)
{
	enum locality found = LOCALITY_ABSENT;

	while (*text && found != LOCALITY_HERE) {
		enum locality l = locality_of_line(text, addr, scope);

		if (l != LOCALITY_ABSENT)
			found = l;
		text += strcspn(text, "\n");
		text += *text == '\n';
	}
	return found;
}

/* A group of one interface (ff01::) or one link (ff02::): __ipv6_addr_needs_scope_id(). */
static bool is_one_link(const uint8_t group[16])
{
	return (group[1] & 0x0f) == 1 || (group[1] & 0x0f) == 2;
}

static enum locality locality_v6(int proc_fd, const uint8_t addr[16], uint32_t scope)
{
	bool multicast = addr[0] == 0xff, link_local = addr[0] == 0xfe && (addr[1] & 0xc0) == 0x80;
	auto_free char *text = NULL;
	char name[IF_NAMESIZE];

	if (!scope && (link_local || (multicast && is_one_link(addr))))
		return LOCALITY_NEEDS_SCOPE;
	if (scope && !if_indextoname(scope, name))
		return LOCALITY_NO_DEVICE;
	if (multicast)
		return LOCALITY_HERE;
	text = read_text(proc_fd, "thread-self/net/if_inet6", INET6_MAX);
	return text ? place_parse_inet6(text, addr, scope) : LOCALITY_UNKNOWN;
}

enum locality place_locality(int proc_fd, const struct address *addr, uint32_t scope)
{
	static const uint8_t zeroes[16];
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (addr->family == AF_INET)
		return locality_v4(addr->bytes);
	if (!memcmp(addr->bytes, zeroes, 16))
		return LOCALITY_HERE;
	if (!memcmp(addr->bytes, mapped, sizeof(mapped)))
		return locality_v4(addr->bytes + 12);
	return locality_v6(proc_fd, addr->bytes, scope);
}
