/* SPDX-License-Identifier: GPL-2.0-only */
/* Wait until ports are listened on, or until they can be bound. */
#include "pipeline/await.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/verdict.h"
#include "pipeline/inventory.h"
#include "pipeline/state.h"
#include "pipeline/watch.h"
#include "source/bpf_common.h"
#include "source/destroy.h"
#include "source/kernel_btf.h"
#include "source/netns.h"
#include "util/cleanup.h"
#include "util/fail.h"

#define POLL_NS (100 * NS_PER_MS)
#define RECORD_NS (20 * NS_PER_MS)
#define AGAIN_NS NS_PER_S         /* what nobody tells of is found so late */
#define SETTLE_NS (2 * NS_PER_MS) /* a socket leaves the kernel's list a moment before it leaves its port */

struct await {
	const struct await_config *config;
	struct await_outcome *outcome;
	struct await_found *found;
	struct sockdiag *sd;
	struct loop *loop;
	uint32_t netns;
	int netns_fd;                   /* -1: the caller's own */
	uint64_t began_ns, deadline_ns; /* UINT64_MAX: none */
	uint64_t next_ns;               /* when the answer may change without a word */
	bool hides_bound; /* this kernel's list lacks TCP sockets that are bound and do not listen */
	bool all;         /* of the last look: every target was met */
	bool due;         /* something happened since the last look */
	bool watching;    /* the tracer's hooks are there */
	struct watch watch;
	int destroy_fd;
	int signal;
};

/* ---- what meets a target ---- */

static const uint8_t zeroes[16];
static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

/* ::ffff:a.b.c.d is a.b.c.d. */
static struct address plain_address(const struct address *addr)
{
	struct address v4 = { .family = AF_INET };

	if (addr->family != AF_INET6 || memcmp(addr->bytes, mapped, sizeof(mapped)) != 0)
		return *addr;
	memcpy(v4.bytes, addr->bytes + sizeof(mapped), 4);
	return v4;
}

bool target_served_by(const struct target *t, const struct address *addr, bool v6only)
{
	struct address asked = plain_address(&t->addr), held = plain_address(addr);
	size_t len = held.family == AF_INET6 ? 16 : 4;

	if (!asked.family)
		return true;
	if (!memcmp(held.bytes, zeroes, len))
		return held.family == asked.family || (held.family == AF_INET6 && !v6only);
	return held.family == asked.family && !memcmp(held.bytes, asked.bytes, len);
}

/* A UDP socket with a peer hears from that one alone. */
static bool row_serves(const struct target *t, const struct diag_row *row)
{
	if (t->proto == PROTO_UDP ? row->peer_port != 0 : row->state != TCP_LISTEN)
		return false;
	return target_served_by(t, &row->addr, row->has_v6only && row->v6only);
}

/*
 * Whoever binds without any option, by the rules of core/verdict.c. Where no address was said that is [::] without
 * IPV6_V6ONLY, which any socket on the port is in the way of; so 0.0.0.0 works too.
 */
static bool holder_hinders(const struct target *t, const struct holder *h)
{
	const struct asker asker = {
		.proto = t->proto,
		.family = t->addr.family ? t->addr.family : AF_INET6,
		.addr = t->addr.family ? t->addr : (struct address){ .family = AF_INET6 },
		.port = t->port,
		.capable = true,
	};
	const struct verdict_facts facts = { .locality = LOCALITY_HERE };
	struct holder socket = *h;
	struct verdict v;

	verdict(&asker, &facts, &socket, 1, &v);
	return v.bind != ANSWER_YES;
}

static bool row_hinders(const struct target *t, const struct diag_row *row)
{
	struct holder h = {
		.proto = row->proto,
		.addr = row->addr,
		.port = row->port,
		.family = row->family,
		.state = row->state,
		.v6only = row->has_v6only && row->v6only,
		.sock_uid = row->uid,
		.ifindex = row->ifindex,
	};

	return holder_hinders(t, &h);
}

/* ---- one look ---- */

struct sight {
	const struct target *target;
	bool free;
	bool hindered;
	struct await_found found;
	bool beside_timers;  /* more than TIME_WAIT is in the way */
	uint32_t expires_ms; /* the longest TIME_WAIT */
};

static int row_seen(void *arg, const struct diag_row *row)
{
	struct sight *s = arg;

	if (!s->free) {
		if (row_serves(s->target, row) && !s->found.n++)
			s->found.inode = row->inode;
		return 0;
	}
	if (!row_hinders(s->target, row))
		return 0;
	s->hindered = true;
	if (row->state != TCP_TIME_WAIT)
		s->beside_timers = true;
	else if (row->expires_ms > s->expires_ms)
		s->expires_ms = row->expires_ms;
	return 0;
}

/* The kernel lets a TIME_WAIT outlive its timer by up to 1.4 s. */
static void next_look(struct await *a, const struct sight *s)
{
	uint64_t in_ns = a->config->free || a->watching ? AGAIN_NS : POLL_NS;

	if (s->hindered && !s->beside_timers && s->expires_ms < AGAIN_NS / NS_PER_MS)
		in_ns = s->expires_ms * NS_PER_MS > POLL_NS ? s->expires_ms * NS_PER_MS : POLL_NS;
	if (clock_boot_ns() + in_ns < a->next_ns)
		a->next_ns = clock_boot_ns() + in_ns;
}

static int target_look(struct await *a, const struct target *t, struct await_found *found)
{
	const struct diag_query q = {
		.tcp = t->proto != PROTO_UDP,
		.udp = t->proto == PROTO_UDP,
		.states = a->config->free || t->proto == PROTO_UDP ? 0 : 1u << TCP_LISTEN,
		.port = t->port,
	};
	struct sight s = { .target = t, .free = a->config->free };
	int r = sockdiag_dump(a->sd, &q, row_seen, &s);

	if (r == SOCKDIAG_NO_MODULE) {
		fail_text(-ENOTSUP, "the kernel cannot list %s sockets", q.udp ? "UDP" : "TCP");
		return fail_hint(-ENOTSUP, "modprobe %s", q.udp ? "udp_diag" : "tcp_diag");
	}
	if (r < 0)
		return r;
	found->met = a->config->free ? !s.hindered : s.found.n;
	found->n = s.found.n;
	found->inode = s.found.inode;
	if (!found->met)
		next_look(a, &s);
	return 0;
}

static int targets_look(struct await *a)
{
	a->all = true;
	a->next_ns = UINT64_MAX;
	for (size_t i = 0; i < a->config->n; i++) {
		int r = target_look(a, &a->config->targets[i], &a->found[i]);

		if (r < 0)
			return r;
		a->all = a->all && a->found[i].met;
	}
	return 0;
}

/* ---- sockets that sock_diag does not list ---- */

static void inventory_check(struct await *a, struct inventory *inv)
{
	for (size_t i = 0; i < a->config->n; i++) {
		const struct target *t = &a->config->targets[i];
		struct entry *e = NULL;

		while ((e = ledger_on_port(inventory_ledger(inv), a->netns, t->proto, t->port, e))) {
			struct holder h;

			entry_holder(e, &h);
			if (holder_hinders(t, &h))
				a->found[i].met = a->all = false;
		}
	}
}

static int hidden_look(struct await *a)
{
	struct filter_kernel kernel;
	struct inventory_options o = { .kernel = &kernel, .no_bpf = a->config->no_bpf };
	struct inventory *inv;
	char netns[16];
	int r;

	snprintf(netns, sizeof(netns), "%u", a->netns);
	await_filter(a->config, netns, &kernel);
	r = inventory_take(&o, &inv);
	if (r < 0)
		return r;
	a->outcome->unsure = !inventory_uses_bpf(inv);
	inventory_check(a, inv);
	inventory_free(inv);
	if (!a->all)
		a->next_ns = clock_boot_ns() + AGAIN_NS;
	return 0;
}

/* A number that is the same as long as the same sockets serve the targets. */
static uint64_t servers_seen(const struct await *a)
{
	uint64_t seen = 0;

	for (size_t i = 0; i < a->config->n; i++)
		seen = (seen ^ a->found[i].inode) * 1099511628211ull; /* FNV-1a */
	return seen;
}

/*
 * The targets are looked at one after the other, and a listener may go while the next one comes. The same sockets seen
 * twice were there together in between.
 */
static int listeners_look(struct await *a)
{
	uint64_t before;
	int r = targets_look(a);

	if (r < 0 || !a->all || a->config->n == 1)
		return r;
	before = servers_seen(a);
	r = targets_look(a);
	if (r < 0 || !a->all || servers_seen(a) == before)
		return r;
	a->all = false;
	a->next_ns = clock_boot_ns() + SETTLE_NS;
	return 0;
}

/* What is free has to be free twice, and where the kernel hides sockets, to those who see them. */
static int await_look(struct await *a)
{
	const struct timespec moment = { .tv_nsec = SETTLE_NS };
	int r = a->config->free ? targets_look(a) : listeners_look(a);

	a->due = false;
	if (r < 0 || !a->all || !a->config->free)
		return r;
	(void)nanosleep(&moment, NULL);
	r = targets_look(a);
	return r < 0 || !a->all || !a->hides_bound ? r : hidden_look(a);
}

/* ---- woken by timers and by the end of sockets ---- */

static int signal_taken(void *arg, int number)
{
	struct await *a = arg;

	a->signal = number;
	return 0;
}

static int socket_gone(void *arg, int fd)
{
	struct await *a = arg;

	destroy_drain(fd);
	a->due = true;
	return 0;
}

/* What was bound or listened on last at each target: the process is in it, which sock_diag does not know. */
static void record_keep(struct await *a, const struct record *rec)
{
	for (size_t i = 0; i < a->config->n; i++) {
		const struct target *t = &a->config->targets[i];

		if (t->port == rec->port && (t->proto == PROTO_UDP) == (rec->proto == PROTO_UDP))
			a->found[i].record = *rec;
	}
}

static void way_is(struct await *a, const char *how, const char *why)
{
	a->outcome->how = how;
	if (a->config->waiting)
		a->config->waiting(how, why);
}

/* From here on nobody tells of opens. */
static void watch_failed(struct await *a, const char *story)
{
	way_is(a, "poll", story);
	a->watching = false;
	loop_unwatch(a->loop, a->watch.fd);
	watch_stop(&a->watch);
}

static int news_came(void *arg, int fd)
{
	struct await *a = arg;
	struct news news;

	(void)fd;
	while (a->watch.fd >= 0 && watch_read(&a->watch, &news)) {
		a->due = true;
		if (news.kind == NEWS_READY) {
			a->watching = true;
			way_is(a, "events", "");
		}
		if (news.kind == NEWS_RECORD)
			record_keep(a, &news.record);
		if (news.kind == NEWS_FAILED)
			watch_failed(a, news.story);
	}
	return 0;
}

bool await_told(const struct await_found *f)
{
	return f->met && f->n == 1 && f->inode && f->record.inode == f->inode;
}

static bool all_told(const struct await *a)
{
	for (size_t i = 0; i < a->config->n; i++)
		if (!await_told(&a->found[i]))
			return false;
	return true;
}

/* A look may be quicker than the event; with it nobody has to search for the process. */
static int record_await(struct await *a)
{
	uint64_t now_ns = clock_boot_ns(), until_ns = now_ns + RECORD_NS;
	int r = 0;

	for (; !r && a->watching && !all_told(a) && now_ns < until_ns; now_ns = clock_boot_ns())
		r = loop_wait(a->loop, -1, until_ns - now_ns);
	return r;
}

static int await_loop(struct await *a)
{
	for (;;) {
		uint64_t now_ns = clock_boot_ns(), until_ns;
		int r;

		if (a->due || now_ns >= a->next_ns || now_ns >= a->deadline_ns) {
			r = await_look(a);
			if (r < 0)
				return r;
			if (a->all)
				return record_await(a);
		}
		now_ns = clock_boot_ns();
		if (a->signal || now_ns >= a->deadline_ns)
			return 0;
		until_ns = a->next_ns < a->deadline_ns ? a->next_ns : a->deadline_ns;
		r = loop_wait(a->loop, -1, until_ns > now_ns ? until_ns - now_ns : 0);
		if (r < 0)
			return fail(r, "wait");
	}
}

static int destroy_watch(struct await *a)
{
	auto_free uint16_t *ports = calloc(a->config->n, sizeof(*ports));

	if (!ports)
		return fail(-ENOMEM, "wait");
	for (size_t i = 0; i < a->config->n; i++)
		ports[i] = a->config->targets[i].port;
	if (destroy_open(a->netns_fd, ports, a->config->n, &a->destroy_fd) < 0) {
		way_is(a, "poll", fail_story()); /* a look every second */
		fail_clear();
		return 0;
	}
	way_is(a, "destroy", "");
	return loop_watch(a->loop, a->destroy_fd, socket_gone, a);
}

static int tracer_watch(struct await *a)
{
	struct filter_kernel filter;
	char netns[16];
	int r;

	way_is(a, "poll", "");
	if (a->config->no_bpf || geteuid() != 0)
		return 0;
	snprintf(netns, sizeof(netns), "%u", a->netns);
	await_filter(a->config, netns, &filter);
	r = watch_start(&filter, &a->watch);
	return r < 0 ? r : loop_watch(a->loop, a->watch.fd, news_came, a);
}

/*
 * Of a port that is taken the tracer tells at once. It costs the machine something and takes a while to start, so what is
 * true already needs none; and the end of a socket is told by netlink as quickly.
 */
static int await_wait(struct await *a)
{
	static const int signals[] = { SIGINT, SIGTERM, 0 };
	int r = await_look(a);

	if (r < 0 || a->all || a->config->timeout_ns == 0)
		return r;
	r = loop_new(&a->loop);
	if (!r)
		r = loop_signals(a->loop, signals, signal_taken, a);
	if (!r)
		r = a->config->free ? destroy_watch(a) : tracer_watch(a);
	a->due = true;
	return r < 0 ? r : await_loop(a);
}

/* ---- begin and end ---- */

/* The name as a number, and a file to enter it by. */
static int netns_find(struct await *a)
{
	struct processes *ps = processes_new(1);
	auto_close int root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct enrich *e = ps ? enrich_new(root_fd, ps) : NULL;
	int r = 0;

	a->netns = e ? enrich_netns_inode(e, a->config->netns) : 0;
	enrich_free(e);
	processes_free(ps);
	if (a->netns && a->netns != netns_self())
		r = netns_open_inode(a->netns, &a->netns_fd);
	if (!a->netns)
		r = -ENOENT;
	return r < 0 ? netns_missing(a->config->netns, r) : 0;
}

static bool kernel_hides_bound(void)
{
	struct kernel_btf *btf;
	bool hides;

	if (kernel_btf_open(KERNEL_BTF, &btf) < 0) {
		fail_clear();
		return true;
	}
	hides = !kernel_btf_has_word(btf, "TCP_BOUND_INACTIVE");
	kernel_btf_close(btf);
	return hides;
}

static bool any_tcp(const struct await_config *c)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->targets[i].proto != PROTO_UDP)
			return true;
	return false;
}

static int await_open(struct await *a)
{
	int r = 0;

	a->netns = netns_self();
	if (a->config->netns)
		r = netns_find(a);
	if (!r)
		r = sockdiag_open(a->netns_fd, a->netns, &a->sd);
	if (a->config->netns && (r == -EPERM || r == -EACCES))
		r = netns_missing(a->config->netns, r);
	a->hides_bound = a->config->free && any_tcp(a->config) && kernel_hides_bound();
	return r;
}

static void await_close(struct await *a)
{
	sockdiag_close(a->sd);
	loop_free(a->loop);
	watch_stop(&a->watch);
	if (a->destroy_fd >= 0)
		close(a->destroy_fd);
	if (a->netns_fd >= 0)
		close(a->netns_fd);
}

void await_filter(const struct await_config *c, const char *netns, struct filter_kernel *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->ports_valid = true;
	for (size_t i = 0; i < c->n; i++)
		ret->ports[c->targets[i].port / 8] |= (uint8_t)(1u << c->targets[i].port % 8);
	ret->netns_valid = true;
	ret->netns[ret->n_netns++] = netns;
}

int await_run(const struct await_config *c, struct await_found *found, struct await_outcome *ret)
{
	struct await a = { .config = c,
			   .outcome = ret,
			   .found = found,
			   .began_ns = clock_boot_ns(),
			   .netns_fd = -1,
			   .destroy_fd = -1,
			   .watch.fd = -1 };
	int r;

	memset(ret, 0, sizeof(*ret));
	ret->how = "look";
	a.deadline_ns = c->timeout_ns > UINT64_MAX - a.began_ns ? UINT64_MAX : a.began_ns + c->timeout_ns;
	r = await_open(&a);
	if (!r)
		r = await_wait(&a);
	await_close(&a);
	ret->netns = a.netns;
	ret->signal = a.signal;
	ret->waited_ns = clock_boot_ns() - a.began_ns;
	ret->result = a.all ? AWAIT_MET : a.signal ? AWAIT_SIGNALLED : AWAIT_TIMEOUT;
	return r;
}
