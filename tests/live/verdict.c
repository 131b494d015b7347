/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The verdict against the kernel: ports with holders of every kind, an inventory, a verdict for many who might ask, and
 * then the real bind and listen of each. Where the two differ the seed and the whole situation are printed.
 *
 *	verdict [--seed N] [--rounds N] [--must-run]
 *
 * A bind that fails changes nothing, so all that are to fail are tried; of those that are to work one is tried on each
 * port, last, because it changes what the kernel remembers of it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "live/lib/net.h"
#include "live/lib/tap.h"
#include "pipeline/inventory.h"
#include "pipeline/judge.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/fail.h"

#define PORTS 12 /* judged by one inventory */
#define HOLDERS 3
#define ASKERS 24
#define FDS_MAX 8 /* of one holder: itself, the other end, its listener */
#define FIRST_PORT 2000
#define PEER_PORT 1999 /* what clients connect to */
#define ACCEPT_MS 50

/* ---- chance that can be repeated: xorshift64* ---- */

static uint64_t chance_state;

static uint32_t chance(uint32_t below)
{
	chance_state ^= chance_state >> 12;
	chance_state ^= chance_state << 25;
	chance_state ^= chance_state >> 27;
	return (uint32_t)((chance_state * 0x2545f4914f6cdd1dull) >> 33) % below;
}

static bool one_in(uint32_t n)
{
	return chance(n) == 0;
}

/* ---- one side of a situation ---- */

static const char *const addresses[] = {
	"0.0.0.0", "127.0.0.1", "127.0.0.2", "::", "::1", "fd00::1", "::ffff:127.0.0.1", "::ffff:0.0.0.0",
};

static const uid_t uids[] = { 0, 1000, 1001 };

struct side {
	bool udp;
	const char *addr;
	bool reuseaddr, reuseport, v6only, on_lo;
	uid_t uid;
};

static bool is6(const struct side *s)
{
	return strchr(s->addr, ':');
}

static struct side side_random(bool udp)
{
	struct side s = { .udp = udp };

	s.addr = addresses[chance(ARRAY_SIZE(addresses))];
	s.reuseaddr = chance(2);
	s.reuseport = one_in(3);
	s.v6only = is6(&s) && one_in(3);
	s.on_lo = one_in(8);
	s.uid = uids[one_in(2) ? 0 : chance(ARRAY_SIZE(uids))];
	return s;
}

static void side_say(struct buf *b, const struct side *s)
{
	buf_printf(b, "%s %s uid %u%s%s%s%s", s->udp ? "udp" : "tcp", s->addr, s->uid,
		   s->reuseaddr ? " reuseaddr" : "", s->reuseport ? " reuseport" : "",
		   s->v6only ? " v6only" : "", s->on_lo ? " on lo" : "");
}

static socklen_t sockaddr_of(const char *addr, uint16_t port, struct sockaddr_storage *ret)
{
	struct sockaddr_in6 *six = (void *)ret;
	struct sockaddr_in *four = (void *)ret;

	memset(ret, 0, sizeof(*ret));
	if (strchr(addr, ':')) {
		six->sin6_family = AF_INET6;
		six->sin6_port = htons(port);
		inet_pton(AF_INET6, addr, &six->sin6_addr);
		return sizeof(*six);
	}
	four->sin_family = AF_INET;
	four->sin_port = htons(port);
	inet_pton(AF_INET, addr, &four->sin_addr);
	return sizeof(*four);
}

static void set_option(int fd, int level, int option, int value)
{
	if (setsockopt(fd, level, option, &value, sizeof(value)))
		tap_bail("setsockopt %d %d: %s", level, option, strerror(errno));
}

/* A socket belongs to whoever made it. */
static int side_socket(const struct side *s)
{
	int fd;

	if (seteuid(s->uid))
		tap_bail("seteuid %u: %s", s->uid, strerror(errno));
	fd = socket(is6(s) ? AF_INET6 : AF_INET, (s->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
	if (seteuid(0))
		tap_bail("seteuid 0: %s", strerror(errno));
	if (fd < 0)
		tap_bail("socket: %s", strerror(errno));
	set_option(fd, SOL_SOCKET, SO_REUSEADDR, s->reuseaddr);
	set_option(fd, SOL_SOCKET, SO_REUSEPORT, s->reuseport);
	if (is6(s))
		set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, s->v6only);
	if (s->on_lo && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3))
		tap_bail("bind to lo: %s", strerror(errno));
	return fd;
}

static int side_bind(const struct side *s, int fd, uint16_t port)
{
	struct sockaddr_storage sa;
	socklen_t len = sockaddr_of(s->addr, port, &sa);

	return bind(fd, (struct sockaddr *)&sa, len) ? errno : 0;
}

/* ---- holders: each kind is made for real ---- */

enum kind {
	BOUND,
	LISTENING,
	SHUT_DOWN,
	CLIENT,
	AUTOBOUND,
	PENDING,
	ACCEPTED,
	TIME_WAIT,
	FIN_WAIT,
	CLOSE_WAIT,
	N_KINDS
};

static const char *const kind_names[N_KINDS] = {
	[BOUND] = "bound",
	[LISTENING] = "listening",
	[SHUT_DOWN] = "shut down",
	[CLIENT] = "client",
	[AUTOBOUND] = "client without bind",
	[PENDING] = "listening, with a connection nobody accepted",
	[ACCEPTED] = "accepted, listener gone",
	[TIME_WAIT] = "time-wait",
	[FIN_WAIT] = "fin-wait-2",
	[CLOSE_WAIT] = "close-wait, listener gone",
};

struct holding {
	enum kind kind;
	struct side side;
	bool flipped; /* SO_REUSEADDR and SO_REUSEPORT were turned over afterwards */
	int fds[FDS_MAX];
	size_t n_fds;
};

static void holding_keep(struct holding *h, int fd)
{
	h->fds[h->n_fds++] = fd;
}

static void holding_end(struct holding *h)
{
	while (h->n_fds)
		close(h->fds[--h->n_fds]);
}

/* The address that reaches a socket bound to @addr. */
static const char *reach(const char *addr)
{
	if (!strcmp(addr, "0.0.0.0"))
		return "127.0.0.1";
	if (!strcmp(addr, "::"))
		return "::1";
	return strcmp(addr, "::ffff:0.0.0.0") ? addr : "::ffff:127.0.0.1";
}

static int connect_to(int fd, const char *addr, uint16_t port)
{
	struct sockaddr_storage sa;
	socklen_t len = sockaddr_of(addr, port, &sa);

	return connect(fd, (struct sockaddr *)&sa, len) ? errno : 0;
}

/* Another end for a listener at @addr; its own port is the kernel's choice. -1: it did not work. */
static int client_of(const char *addr, uint16_t port)
{
	int fd = socket(strchr(addr, ':') ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect_to(fd, addr, port)) {
		close(fd);
		return -1;
	}
	return fd;
}

static void range_set(unsigned low, unsigned high)
{
	int fd = open("/proc/sys/net/ipv4/ip_local_port_range", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || dprintf(fd, "%u %u\n", low, high) < 0)
		tap_bail("ip_local_port_range: %s", strerror(errno));
	close(fd);
}

/* Wait until the other end has seen our FIN: then who closed first is settled. */
static void await_end(int fd)
{
	char byte;

	while (recv(fd, &byte, 1, 0) > 0)
		;
}

/* The server's end of the connection that was just made; -1: another listener of the port has got it. */
static int accept_now(int listener)
{
	struct pollfd p = { .fd = listener, .events = POLLIN };

	return poll(&p, 1, ACCEPT_MS) == 1 ? accept4(listener, NULL, NULL, SOCK_CLOEXEC) : -1;
}

/* A connection whose server end has the port. false: the listener could not be made or reached. */
static bool make_connection(struct holding *h, int listener, uint16_t port)
{
	int client, child;

	if (listen(listener, 4))
		return false;
	client = client_of(reach(h->side.addr), port);
	if (client < 0)
		return false;
	if (h->kind == PENDING) {
		holding_keep(h, client);
		return true;
	}
	child = accept_now(listener);
	if (child < 0) {
		close(client);
		return false;
	}
	switch (h->kind) {
	case TIME_WAIT:
		close(child);
		await_end(client);
		close(client);
		break;
	case FIN_WAIT:
		close(child);
		await_end(client);
		holding_keep(h, client);
		break;
	case CLOSE_WAIT:
		close(client);
		await_end(child);
		holding_keep(h, child);
		break;
	default:
		holding_keep(h, client);
		holding_keep(h, child);
	}
	return true;
}

/* A connected UDP socket has only its own address left; a TCP one may find that its 4-tuple is taken. */
static bool make_client(struct holding *h, int fd, uint16_t port)
{
	bool ok;

	if (h->kind == AUTOBOUND)
		range_set(port, port);
	ok = !connect_to(fd, reach(h->side.addr), PEER_PORT);
	if (h->kind == AUTOBOUND)
		range_set(61000, 64999);
	return ok;
}

static bool make_state(struct holding *h, int fd, uint16_t port)
{
	switch (h->kind) {
	case BOUND:
		return true;
	case LISTENING:
		return !listen(fd, 4);
	case SHUT_DOWN:
		return !listen(fd, 4) && !shutdown(fd, SHUT_RDWR);
	case CLIENT:
	case AUTOBOUND:
		return make_client(h, fd, port);
	default:
		return make_connection(h, fd, port);
	}
}

static bool keeps_listener(enum kind kind)
{
	return kind < PENDING || kind == PENDING;
}

/* true: @h is there. Some situations cannot be, beside what is on the port already. */
static bool holding_make(struct holding *h, uint16_t port)
{
	int fd = side_socket(&h->side);
	bool ok = h->kind == AUTOBOUND || !side_bind(&h->side, fd, port);

	ok = ok && make_state(h, fd, port);
	if (ok && keeps_listener(h->kind)) {
		if (h->flipped) {
			set_option(fd, SOL_SOCKET, SO_REUSEADDR, !h->side.reuseaddr);
			set_option(fd, SOL_SOCKET, SO_REUSEPORT, !h->side.reuseport);
		}
		holding_keep(h, fd);
		return true;
	}
	close(fd);
	if (!ok)
		holding_end(h);
	return ok;
}

static struct holding holding_random(bool udp)
{
	static const enum kind udp_kinds[] = { BOUND, BOUND, CLIENT };
	struct holding h = { .side = side_random(udp) };

	h.kind = udp ? udp_kinds[chance(ARRAY_SIZE(udp_kinds))] : (enum kind)chance(N_KINDS);
	h.flipped = one_in(10);
	return h;
}

/* ---- a port, and who might ask for it ---- */

struct trial {
	struct side side;
	struct verdict verdict;
};

struct scene {
	uint16_t port;
	bool udp;
	struct holding held[HOLDERS];
	size_t n_held;
	struct trial trials[ASKERS];
};

static int peer; /* listens on PEER_PORT */

static struct {
	uint64_t seed;
	unsigned judged[2][3]; /* by udp, answer */
	unsigned tried[2], listened[2];
	unsigned kinds[N_KINDS];
	unsigned wrong;
	unsigned listen_no;
} totals;

static struct asker asker_of(const struct side *s, uint16_t port)
{
	struct asker a = {
		.proto = s->udp ? PROTO_UDP : PROTO_TCP, .port = port, .uid = s->uid, .capable = true
	};

	a.family = is6(s) ? AF_INET6 : AF_INET;
	a.addr.family = a.family;
	inet_pton(a.family, s->addr, a.addr.bytes);
	a.options = (s->reuseaddr ? OPT_REUSEADDR : 0) | (s->reuseport ? OPT_REUSEPORT : 0) |
		    (s->v6only ? OPT_V6ONLY : 0);
	a.ifindex = s->on_lo ? 1 : 0;
	return a;
}

static void scene_make(struct scene *s, uint16_t port)
{
	unsigned want = 1 + chance(HOLDERS);

	memset(s, 0, sizeof(*s));
	s->port = port;
	s->udp = one_in(3);
	for (unsigned turn = 0; turn < 2 * want && s->n_held < want; turn++) {
		struct holding h = holding_random(s->udp);

		if (!holding_make(&h, port))
			continue;
		totals.kinds[h.kind]++;
		s->held[s->n_held++] = h;
	}
	for (size_t i = 0; i < ASKERS; i++)
		s->trials[i].side = side_random(s->udp);
}

static void scene_end(struct scene *s)
{
	for (size_t i = 0; i < s->n_held; i++)
		holding_end(&s->held[i]);
}

static void scene_judge(struct scene *s, struct inventory *inv, uint32_t netns)
{
	struct verdict_facts place = { .unprivileged_port_start = 1024, .locality = LOCALITY_HERE };
	auto_free struct holder *sockets = NULL;
	size_t n = 0;

	judge_facts(inv, &place);
	if (judge_sockets(inv, netns, s->udp ? PROTO_UDP : PROTO_TCP, s->port, &sockets, &n))
		tap_bail("%s", fail_story());
	for (size_t i = 0; i < ASKERS; i++) {
		struct asker a = asker_of(&s->trials[i].side, s->port);

		judge(inv, netns, &place, &a, sockets, n, &s->trials[i].verdict);
		totals.judged[s->udp][s->trials[i].verdict.bind]++;
	}
}

/* ---- the kernel's word ---- */

struct outcome {
	int bind, listen; /* errno */
};

static struct outcome try_out(const struct side *s, uint16_t port)
{
	int fd = side_socket(s);
	struct outcome o = { .bind = side_bind(s, fd, port) };

	if (!s->udp && !o.bind)
		o.listen = listen(fd, 4) ? errno : 0;
	close(fd);
	return o;
}

static const char *answer_name(enum answer a)
{
	static const char *const names[] = { "no", "yes", "unknown" };

	return names[a];
}

static void complain(const struct scene *s, const struct trial *t, const struct outcome *o)
{
	struct buf b = { 0 };

	buf_printf(&b, "port %u: ", s->port);
	side_say(&b, &t->side);
	buf_printf(&b, "\n  verdict: bind %s (%d), listen %s (%d), missing '%s'; kernel: bind %d, listen %d",
		   answer_name(t->verdict.bind), t->verdict.bind_error, answer_name(t->verdict.listen),
		   t->verdict.listen_error, missing_name(t->verdict.missing), o->bind, o->listen);
	for (size_t i = 0; i < s->n_held; i++) {
		buf_printf(&b, "\n  %s%s: ", kind_names[s->held[i].kind],
			   s->held[i].flipped ? ", flipped" : "");
		side_say(&b, &s->held[i].side);
	}
	tap_note_text(buf_str(&b));
	buf_done(&b);
}

static bool answer_holds(enum answer a, int said, int error)
{
	return a == ANSWER_UNKNOWN || (a == ANSWER_YES ? !error : error == said);
}

static void trial_compare(const struct scene *s, const struct trial *t)
{
	struct outcome o = try_out(&t->side, s->port);
	const struct verdict *v = &t->verdict;
	bool holds = answer_holds(v->bind, v->bind_error, o.bind);

	totals.tried[s->udp]++;
	if (!s->udp && !o.bind && v->bind == ANSWER_YES) {
		holds = holds && answer_holds(v->listen, v->listen_error, o.listen);
		totals.listened[0]++;
		totals.listen_no += v->listen == ANSWER_NO;
	}
	if (holds)
		return;
	if (totals.wrong++ < 10)
		complain(s, t, &o);
}

static void scene_compare(const struct scene *s)
{
	const struct trial *works[ASKERS];
	size_t n = 0;

	for (size_t i = 0; i < ASKERS; i++) {
		if (s->trials[i].verdict.bind == ANSWER_NO)
			trial_compare(s, &s->trials[i]);
		else
			works[n++] = &s->trials[i];
	}
	/* An unknown verdict claims nothing; it is not tried where one that claims something can be. */
	for (size_t i = 0; i < n; i++)
		if (works[i]->verdict.bind == ANSWER_YES &&
		    (works[i]->verdict.listen != ANSWER_YES || i + 1 == n || one_in(4))) {
			trial_compare(s, works[i]);
			return;
		}
}

/* ---- a round: one inventory for a few ports ---- */

static struct inventory *inventory_of(uint16_t first, bool no_bpf)
{
	static char netns[16];
	static struct filter_kernel filter;
	struct inventory_options o = { .kernel = &filter, .connections = true, .no_bpf = no_bpf };
	struct inventory *inv;

	memset(&filter, 0, sizeof(filter));
	filter.ports_valid = filter.netns_valid = true;
	for (uint16_t port = first; port < first + PORTS; port++)
		filter.ports[port >> 3] |= (uint8_t)(1 << (port & 7));
	snprintf(netns, sizeof(netns), "%u", net_namespace_inode());
	filter.netns[filter.n_netns++] = netns;
	if (inventory_take(&o, &inv) < 0)
		tap_bail("%s", fail_story());
	return inv;
}

static void round_play(uint16_t first, bool no_bpf)
{
	static struct scene scenes[PORTS];
	struct inventory *inv;

	for (uint16_t i = 0; i < PORTS; i++)
		scene_make(&scenes[i], first + i);
	inv = inventory_of(first, no_bpf);
	for (size_t i = 0; i < PORTS; i++)
		scene_judge(&scenes[i], inv, net_namespace_inode());
	inventory_free(inv);
	for (size_t i = 0; i < PORTS; i++) {
		scene_compare(&scenes[i]);
		scene_end(&scenes[i]);
	}
	for (int fd; (fd = accept4(peer, NULL, NULL, SOCK_NONBLOCK)) >= 0;)
		close(fd);
}

static void rounds_play(unsigned rounds, bool no_bpf, uint16_t *port)
{
	for (unsigned i = 0; i < rounds; i++) {
		round_play(*port, no_bpf);
		*port += PORTS;
		if (*port + PORTS > 60000) /* those of the beginning have left TIME_WAIT by then */
			*port = FIRST_PORT;
	}
}

static void totals_say(void)
{
	for (int udp = 0; udp < 2; udp++)
		tap_note("%s: %u verdicts no, %u yes, %u unknown; %u binds tried", udp ? "udp" : "tcp",
			 totals.judged[udp][ANSWER_NO], totals.judged[udp][ANSWER_YES],
			 totals.judged[udp][ANSWER_UNKNOWN], totals.tried[udp]);
	tap_note("%u listens, of them %u that were to fail", totals.listened[0], totals.listen_no);
	for (int i = 0; i < N_KINDS; i++)
		if (totals.kinds[i])
			tap_note("%u holders: %s", totals.kinds[i], kind_names[i]);
}

static void part(const char *name, unsigned rounds, bool no_bpf, uint16_t *port)
{
	uint64_t seed = totals.seed;

	memset(&totals, 0, sizeof(totals));
	totals.seed = seed;
	chance_state = seed * 2 + 1;
	rounds_play(rounds, no_bpf, port);
	tap_result(!totals.wrong && totals.tried[0] + totals.tried[1] > rounds, "%s (seed %llu, %u rounds)",
		   name, (unsigned long long)seed, rounds);
	if (totals.wrong)
		tap_note("%u disagreements", totals.wrong);
	totals_say();
}

/* ---- the named ones ---- */

static struct verdict verdict_on(const struct side *s, uint16_t port)
{
	struct verdict_facts place = { .unprivileged_port_start = 1024, .locality = LOCALITY_HERE };
	struct inventory *inv = inventory_of(port, false);
	auto_free struct holder *sockets = NULL;
	struct asker a = asker_of(s, port);
	struct verdict v;
	size_t n = 0;

	judge_facts(inv, &place);
	if (judge_sockets(inv, net_namespace_inode(), a.proto, port, &sockets, &n))
		tap_bail("%s", fail_story());
	judge(inv, net_namespace_inode(), &place, &a, sockets, n, &v);
	inventory_free(inv);
	return v;
}

/* Is the verdict what the kernel does? *ret_outcome: what that is. */
static bool agrees(const struct side *s, uint16_t port, struct outcome *ret_outcome)
{
	struct verdict v = verdict_on(s, port);
	struct outcome o = try_out(s, port);

	*ret_outcome = o;
	tap_note("verdict: bind %s, listen %s; kernel: bind %d, listen %d", answer_name(v.bind),
		 answer_name(v.listen), o.bind, o.listen);
	return v.bind == (o.bind ? ANSWER_NO : ANSWER_YES) &&
	       v.listen == (o.bind || o.listen ? ANSWER_NO : ANSWER_YES);
}

/* tb->fastreuseport outlives the flag of the socket that set it. */
static void flag_cleared_after_bind(void)
{
	struct side first = { .addr = "0.0.0.0", .reuseport = true, .uid = 1000 };
	struct side stranger = first, second = first;
	int fd = side_socket(&first);
	struct outcome o;
	bool ok;

	stranger.uid = 1001;
	if (side_bind(&first, fd, 1990))
		tap_bail("bind: %s", strerror(errno));
	set_option(fd, SOL_SOCKET, SO_REUSEPORT, 0);
	ok = agrees(&stranger, 1990, &o);
	tap_result(ok && o.bind == EADDRINUSE, "a flag cleared after bind: a stranger still fails");
	ok = agrees(&second, 1990, &o);
	tap_result(ok && !o.bind && !o.listen, "a flag cleared after bind: the same uid still gets in");
	close(fd);
}

/* Until 6.7 tb->fastreuse does so too, and listen takes a second look; since then nothing sets it. */
static void reuse_cleared_after_bind(void)
{
	struct side first = { .addr = "0.0.0.0", .reuseaddr = true };
	int fd = side_socket(&first);
	struct outcome o;

	if (side_bind(&first, fd, 1991))
		tap_bail("bind: %s", strerror(errno));
	set_option(fd, SOL_SOCKET, SO_REUSEADDR, 0);
	tap_result(agrees(&first, 1991, &o),
		   "SO_REUSEADDR cleared after bind: the verdicts of bind and listen are the kernel's");
	close(fd);
}

/* ---- */

static void prepare(void)
{
	struct side any = { .addr = "::", .reuseaddr = true };
	int r = net_new_namespace();

	if (r)
		tap_bail("new network namespace: %s", strerror(-r));
	range_set(61000, 64999);
	if (net_add_address6("lo", "fd00::1"))
		tap_bail("fd00::1: %s", strerror(errno));
	peer = side_socket(&any);
	fcntl(peer, F_SETFL, O_NONBLOCK);
	if (side_bind(&any, peer, PEER_PORT) || listen(peer, 128))
		tap_bail("peer: %s", strerror(errno));
}

static const char *cannot_run(void)
{
	struct inventory *inv;
	const char *why = NULL;

	if (geteuid())
		return "needs root";
	prepare();
	inv = inventory_of(FIRST_PORT, false);
	if (!inventory_uses_bpf(inv))
		why = "needs BPF";
	inventory_free(inv);
	return why;
}

int main(int argc, char **argv)
{
	unsigned rounds = 60;
	uint16_t port = FIRST_PORT;
	bool must_run = false;
	const char *why;

	totals.seed = (uint64_t)time(NULL) & 0xffffff;
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--seed") && i + 1 < argc)
			totals.seed = strtoull(argv[++i], NULL, 10);
		else if (!strcmp(argv[i], "--rounds") && i + 1 < argc)
			rounds = (unsigned)strtoul(argv[++i], NULL, 10);
		else if (!strcmp(argv[i], "--must-run"))
			must_run = true;
	}
	why = cannot_run();
	if (why && must_run)
		tap_bail("%s", why);
	if (why)
		return tap_skip_all(why);
	flag_cleared_after_bind();
	reuse_cleared_after_bind();
	part("the verdict and the kernel agree", rounds, false, &port);
	part("without BPF the verdict claims nothing wrong", rounds / 4 + 1, true, &port);
	return tap_end();
}
