/* SPDX-License-Identifier: GPL-2.0-only */
/* wait: until ports are listened on, or can be bound; then who has them, or who still has. */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/common_opts.h"
#include "cmd/targets.h"
#include "cmd/wait_show.h"
#include "pipeline/await.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/fail.h"

#define EXIT_TIMEOUT 124 /* as timeout(1) */
#define EXIT_SIGNAL 128  /* and its number, as a shell has it */

struct wait_opts {
	bool free;
	uint64_t timeout_ns;
	const char *netns;
	bool json, quiet, verbose;
	bool no_bpf;
};

#define AT(member) offsetof(struct wait_opts, member)

/* clang-format off */
static const struct arg wait_args[] = {
	{ 0,   "free",    ARG_FLAG,     AT(free), NULL, "until they can be bound" },
	{ 0,   "timeout", ARG_DURATION, AT(timeout_ns), "TIME", "give up then: status 124; 0 looks once" },
	{ 'N', "netns",   ARG_STRING,   AT(netns), "NETNS", "in another network namespace" },
	{ 'j', "json",    ARG_FLAG,     AT(json), NULL, "one JSON object at the end" },
	{ 'q', "quiet",   ARG_FLAG,     AT(quiet), NULL, "the status alone says how it went" },
	{ 'v', "verbose", ARG_FLAG,     AT(verbose), NULL, "say how it was waited" },
	{ 0,   "no-bpf",  ARG_FLAG,     AT(no_bpf), NULL, "wait as without privilege", .hidden = true },
	{ 0 },
};
/* clang-format on */

static void wait_defaults(void *opts)
{
	struct wait_opts *o = opts;

	*o = (struct wait_opts){ .timeout_ns = UINT64_MAX };
}

/* What is waited for is seen by address, whatever its interface; MPTCP's ports are TCP's. */
static int targets_check(struct target *targets, int n)
{
	for (int i = 0; i < n; i++) {
		if (targets[i].iface[0]) {
			fail_text(-EINVAL, "wait takes no interface, not '%s'", targets[i].iface);
			return fail_hint(-EINVAL, "leave out %%%s", targets[i].iface);
		}
		if (targets[i].proto == PROTO_MPTCP)
			targets[i].proto = PROTO_TCP;
	}
	return 0;
}

/* A person who waits wants to know what for. */
static void waiting_say(const char *how, const char *why)
{
	struct buf b = { 0 };

	buf_printf(&b, "portlog: waiting by %s%s", how, why[0] ? ": " : "");
	buf_visible(&b, why, strlen(why));
	buf_putc(&b, '\n');
	(void)buf_write(&b, STDERR_FILENO);
	buf_done(&b);
}

static void unsure_say(const struct wait_opts *o, const struct await_outcome *outcome)
{
	if (outcome->unsure && !o->quiet)
		fprintf(stderr,
			"portlog: this kernel does not list sockets that are bound and do not listen: only "
			"root is sure that a port is free\n");
}

/* Text: who on standard output when it is as it should be, what is missing on standard error when it is not. */
static int outcome_show(const struct wait_opts *o, const struct wait_scene *s)
{
	bool is_answer = o->json || s->outcome->result == AWAIT_MET;
	struct buf b = { 0 };
	int r;

	unsure_say(o, s->outcome);
	if (o->quiet && !o->json)
		return 0;
	if (o->json)
		wait_show_json(&b, s);
	else
		wait_show_text(&b, s);
	r = buf_write(&b, is_answer ? STDOUT_FILENO : STDERR_FILENO);
	buf_done(&b);
	return r == 0 || r == -EPIPE || !is_answer ? 0 : fail(r, "write to standard output");
}

static int exit_status_of(const struct await_outcome *outcome)
{
	if (outcome->result == AWAIT_MET)
		return 0;
	return outcome->result == AWAIT_TIMEOUT ? EXIT_TIMEOUT : EXIT_SIGNAL + outcome->signal;
}

static int wait_for(const struct wait_opts *o, const struct await_config *c)
{
	auto_free struct await_found *found = calloc(c->n, sizeof(*found));
	struct await_outcome outcome;
	struct wait_scene scene = { .config = c, .outcome = &outcome, .found = found };
	int r;

	if (!found)
		return fail(-ENOMEM, "wait");
	r = await_run(c, found, &outcome);
	if (r < 0)
		return fail_add(r, "wait");
	if (!o->quiet || o->json)
		wait_scene_look(&scene);
	r = outcome_show(o, &scene);
	wait_scene_done(&scene);
	return r < 0 ? r : exit_status_of(&outcome);
}

static int wait_run(const void *opts, int argc, char **argv)
{
	const struct wait_opts *o = opts;
	auto_free struct target *targets = NULL;
	struct await_config c = {
		.n = (size_t)argc,
		.free = o->free,
		.timeout_ns = o->timeout_ns,
		.netns = o->netns,
		.no_bpf = o->no_bpf,
		.waiting = o->verbose && !o->quiet ? waiting_say : NULL,
	};
	int r = targets_parse("wait", argc, argv, &targets);

	if (!r)
		r = targets_check(targets, argc);
	if (!r)
		r = common_needs_proc();
	if (r < 0)
		return r;
	c.targets = targets;
	return wait_for(o, &c);
}

const struct cmd cmd_wait = {
	.name = "wait",
	.synopsis = "[OPTIONS] PORT...",
	.summary = "Wait until ports are listened on, or can be bound (--free)",
	.examples = "  portlog wait 8080                   until somebody listens; prints who\n"
		    "  portlog wait 5432 6379 --timeout 30s && ./app\n"
		    "  portlog wait 8080 --free --timeout 0 && ./start\n"
		    "  portlog wait 53/udp 127.0.0.1:80    UDP; one address\n",
	.status = "Status: 0 it is so, 124 not within the time, 128 and the number of a signal that\n"
		  "ended it, 2 usage, 3 cannot run here.\n",
	.args = wait_args,
	.opts_size = sizeof(struct wait_opts),
	.defaults = wait_defaults,
	.run = wait_run,
};
