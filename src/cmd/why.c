/* SPDX-License-Identifier: GPL-2.0-only */
/* why: would a bind of this port fail now, who holds it, and what to do. Nothing is bound to find out. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/common_opts.h"
#include "cmd/targets.h"
#include "enrich/enrich.h"
#include "pipeline/answer.h"
#include "pipeline/inventory.h"
#include "pipeline/judge.h"
#include "source/netns.h"
#include "store/store.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/fail.h"
#include "util/parse.h"
#include "view/why.h"

#define CAP_NET_BIND_SERVICE 10 /* linux/capability.h */
#define WORD_SHOWN 60

enum yes_no { GIVEN_NOT, GIVEN_YES, GIVEN_NO };

struct why_opts {
	bool json, hints, quiet;
	bool tcp, udp, ipv4, ipv6;
	int reuseaddr; /* enum yes_no */
	bool reuseport, v6only;
	const char *user;
	const char *netns;
	bool utc;
	bool no_bpf;
};

#define AT(member) offsetof(struct why_opts, member)

/* clang-format off */
static const struct arg why_args[] = {
	{ 'j', "json",      ARG_FLAG,   AT(json), NULL, "JSON: an object for each port" },
	{ 't', "tcp",       ARG_FLAG,   AT(tcp), NULL, "TCP only" },
	{ 'u', "udp",       ARG_FLAG,   AT(udp), NULL, "UDP only" },
	{ '4', "ipv4",      ARG_FLAG,   AT(ipv4), NULL, "0.0.0.0 only, not [::]" },
	{ '6', "ipv6",      ARG_FLAG,   AT(ipv6), NULL, "[::] only, not 0.0.0.0" },
	{ 0,   "reuseaddr", ARG_CHOICE, AT(reuseaddr), "both|yes|no", "does the bind set SO_REUSEADDR (alone: yes)",
	  .bare = "yes" },
	{ 0,   "reuseport", ARG_FLAG,   AT(reuseport), NULL, "the bind sets SO_REUSEPORT" },
	{ 0,   "v6only",    ARG_FLAG,   AT(v6only), NULL, "the bind sets IPV6_V6ONLY" },
	{ 0,   "user",      ARG_STRING, AT(user), "USER", "who binds, by name or number" },
	{ 'N', "netns",     ARG_STRING, AT(netns), "NETNS", "in this network namespace" },
	{ 0,   "utc",       ARG_FLAG,   AT(utc), NULL, "times in UTC" },
	{ 0,   "hints",     ARG_FLAG,   AT(hints), NULL, "reasons and remedies in JSON too" },
	{ 'q', "quiet",     ARG_FLAG,   AT(quiet), NULL, "no talk beside the answer" },
	{ 0,   "no-bpf",    ARG_FLAG,   AT(no_bpf), NULL, "look as without privilege", .hidden = true },
	{ 0 },
};
/* clang-format on */

static int wrong(const char *word, const char *why, const char *hint)
{
	fail_text(-EINVAL, "'%.*s': %s", WORD_SHOWN, word, why);
	return fail_hint(-EINVAL, "%s", hint);
}

/* ---- who asks ---- */

/* /etc/passwd alone: no name service is waited for. */
static int user_find(const char *name, uint32_t *ret)
{
	auto_fclose FILE *f = NULL;
	char line[1024], user[256];

	if (!parse_u32(name, ret))
		return 0;
	f = fopen("/etc/passwd", "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%255[^:]:%*[^:]:%u:", user, ret) == 2 && !strcmp(user, name))
			return 0;
	return wrong(name, "no such user", "a name of /etc/passwd, or a number");
}

/* Under sudo it is who called sudo. */
static int asker_uid(const struct why_opts *o, uint32_t *ret)
{
	const char *sudo = getenv("SUDO_UID");

	if (o->user)
		return user_find(o->user, ret);
	if (geteuid() == 0 && sudo && !parse_u32(sudo, ret))
		return 0;
	*ret = getuid();
	return 0;
}

/*
 * May a program of @uid take a low port? Root may, unless that was taken from portlog too; another user's programs may
 * when portlog, which is one of them, has the capability from its environment. File capabilities are not known.
 */
static bool asker_is_capable(uint32_t uid)
{
	auto_fclose FILE *f = fopen("/proc/self/status", "re");
	const char *set = uid ? "CapAmb:" : "CapEff:";
	unsigned long long bits = 0;
	char line[128];

	if (uid ? uid != getuid() : geteuid() != 0)
		return !uid;
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, set, strlen(set)))
			sscanf(line + strlen(set), "%llx", &bits);
	return bits >> CAP_NET_BIND_SERVICE & 1;
}

static uint32_t asker_options(const struct why_opts *o)
{
	return (o->reuseaddr == GIVEN_NO ? 0 : OPT_REUSEADDR) | (o->reuseport ? OPT_REUSEPORT : 0) |
	       (o->v6only ? OPT_V6ONLY : 0);
}

/* ---- answering ---- */

struct why {
	const struct why_opts *opts;
	const struct target *targets;
	size_t n;
	uint32_t uid;
	bool capable;
	struct filter_kernel kernel; /* the ports */
	struct inventory *inv;
	struct answer_place where;
	bool may_fail;
	struct buf out;
};

/* The interface of a link-local address, in the namespace that is asked about. */
static int scope_find(const struct target *t, uint32_t *ret)
{
	char name[IF_NAMESIZE];

	*ret = t->iface[0] ? if_nametoindex(t->iface) : 0;
	if (*ret || !t->iface[0] || (!parse_u32(t->iface, ret) && if_indextoname(*ret, name)))
		return 0;
	fail_text(-EINVAL, "there is no interface '%s'", t->iface);
	return fail_hint(-EINVAL, "ip -br link shows those there are");
}

static int answer_make(struct why *w, const struct target *t, enum proto proto, struct port_answer *ret)
{
	struct question q = {
		.proto = proto,
		.port = t->port,
		.addr = t->addr,
		.options = asker_options(w->opts),
		.reuseaddr_given = w->opts->reuseaddr != GIVEN_NOT,
		.ipv4 = w->opts->ipv4,
		.ipv6 = w->opts->ipv6,
		.uid = w->uid,
		.capable = w->capable,
	};
	int r = scope_find(t, &q.scope);

	if (!r)
		r = answer_take(w->inv, &w->where, &q, ret);
	if (r < 0)
		return r;
	ret->history = !access(STORE_DEFAULT, F_OK);
	/* Who asks for a number means TCP, and is told of UDP. */
	if (t->proto_said || w->opts->udp || proto != PROTO_UDP)
		w->may_fail |= answer_may_fail(ret);
	return 0;
}

static int answer_one(struct why *w, const struct target *t, enum proto proto)
{
	struct port_answer a;
	int r = answer_make(w, t, proto, &a);

	if (r < 0)
		return r;
	if (w->opts->json)
		why_json(&a, inventory_session(w->inv), w->opts->hints, &w->out);
	else
		why_text(&a, w->opts->utc, &w->out);
	answer_done(&a);
	return 0;
}

/* To people: what is the same in both tables is told once. */
static int answer_both(struct why *w, const struct target *t)
{
	struct port_answer tcp, udp;
	int r = answer_make(w, t, PROTO_TCP, &tcp);

	if (r < 0)
		return r;
	r = answer_make(w, t, PROTO_UDP, &udp);
	if (r >= 0) {
		why_text_both(&tcp, &udp, w->opts->utc, &w->out);
		answer_done(&udp);
	}
	answer_done(&tcp);
	return r;
}

static int answer_all(struct why *w)
{
	bool all = w->opts->tcp == w->opts->udp;
	int r = 0;

	place_read(w->where.proc_fd, &w->where.place);
	for (size_t i = 0; i < w->n && r >= 0; i++) {
		const struct target *t = &w->targets[i];

		if (t->proto_said) {
			r = answer_one(w, t, t->proto);
			continue;
		}
		if (all && !w->opts->json) {
			r = answer_both(w, t);
			continue;
		}
		if (all || w->opts->tcp)
			r = answer_one(w, t, PROTO_TCP);
		if (r >= 0 && (all || w->opts->udp))
			r = answer_one(w, t, PROTO_UDP);
	}
	return r;
}

/* In the namespace that is asked about: its sysctls and addresses are seen from inside. */
static int answer_inside(struct why *w)
{
	auto_close int fd = -1;
	int home, r, left;

	if (!w->opts->netns)
		return answer_all(w);
	w->where.netns = enrich_netns_inode(inventory_enrich(w->inv), w->opts->netns);
	if (!w->where.netns)
		return netns_missing(w->opts->netns, -ENOENT);
	if (w->where.netns == netns_self())
		return answer_all(w);
	r = netns_open_inode(w->where.netns, &fd);
	if (r >= 0)
		r = netns_enter(fd, &home);
	if (r < 0)
		return netns_missing(w->opts->netns, r);
	r = answer_all(w);
	left = netns_leave(home);
	return r < 0 ? r : left;
}

static int inventory_open(struct why *w)
{
	struct inventory_options o = { .kernel = &w->kernel,
				       .connections = true,
				       .connections_netns = w->opts->netns,
				       .no_bpf = w->opts->no_bpf };

	w->kernel.ports_valid = true;
	for (size_t i = 0; i < w->n; i++)
		w->kernel.ports[w->targets[i].port >> 3] |= (uint8_t)(1 << (w->targets[i].port & 7));
	return inventory_take(&o, &w->inv);
}

static void blind_say(const struct why *w)
{
	if (!w->opts->quiet)
		common_blind_say(inventory_blind(w->inv));
}

static int answer_write(struct why *w)
{
	int r = buf_write(&w->out, STDOUT_FILENO);

	return r < 0 && r != -EPIPE ? fail(r, "write to standard output") : r;
}

static int why_answer(struct why *w)
{
	auto_close int root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	auto_close int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = inventory_open(w);

	if (r < 0)
		return r;
	w->where = (struct answer_place){ .netns = netns_self(), .root_fd = root_fd, .proc_fd = proc_fd };
	judge_facts(w->inv, &w->where.kernel);
	r = answer_inside(w);
	if (r >= 0)
		r = answer_write(w);
	if (r >= 0)
		blind_say(w);
	inventory_free(w->inv);
	return r;
}

static int why_run(const void *opts, int argc, char **argv)
{
	auto_free struct target *targets = NULL;
	struct why w = { .opts = opts };
	int r = targets_parse("why", argc, argv, &targets);

	if (r >= 0)
		r = common_needs_proc();
	if (r >= 0)
		r = asker_uid(w.opts, &w.uid);
	if (r < 0)
		return r;
	w.targets = targets;
	w.n = (size_t)argc;
	w.capable = asker_is_capable(w.uid);
	r = why_answer(&w);
	buf_done(&w.out);
	if (r < 0)
		return r;
	return w.may_fail ? 0 : EXIT_NO;
}

static const char why_examples[] =
	"  portlog why 8080              who has it, and what to do\n"
	"  portlog why 53/udp [::1]:80   several; with a protocol, with an address\n"
	"  sudo portlog why 8080         processes of other users and all options too\n"
	"  portlog why -j 8080 | jq '.binds[] | [.addr, .bind, .reason_code]'\n";

const struct cmd cmd_why = {
	.name = "why",
	.synopsis = "[OPTIONS] PORT...",
	.summary = "Would a bind of the port fail now, who holds it, what to do",
	.examples = why_examples,
	.args = why_args,
	.opts_size = sizeof(struct why_opts),
	.run = why_run,
};
