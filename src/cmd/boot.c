/* SPDX-License-Identifier: GPL-2.0-only */
/* boot: who took which port first while the machine booted, who came too late, out of what `record` kept. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/boots.h"
#include "cmd/cmd.h"
#include "cmd/common_opts.h"
#include "enrich/boot_times.h"
#include "enrich/enrich.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/fail.h"
#include "view/boot.h"

struct boot_opts {
	struct common_opts common; /* first */
	const char *store;
	const char *boot;
	bool all, failures;
};

#define AT(member) offsetof(struct boot_opts, member)

/* clang-format off */
static const struct arg boot_args[] = {
	{ 'b', "boot",   ARG_STRING, AT(boot),  "BOOT", "0 the last recorded, -1 before, or its id" },
	{ 'a', "all",    ARG_FLAG, AT(all), NULL, "every network namespace, ephemeral ports" },
	{ 'x', "failed", ARG_FLAG, AT(failures), NULL, "failures only, and who was in their way" },
	{ 0,   "store",  ARG_STRING, AT(store), "FILE", "the history; " STORE_DEFAULT },
	{ 0 },
};
/* clang-format on */

static void boot_defaults(void *opts)
{
	struct boot_opts *o = opts;

	*o = (struct boot_opts){ .store = STORE_DEFAULT, .common.time = TIME_STYLE_BOOT };
}

struct booting {
	const struct boot_opts *opts;
	struct store *store;
	struct filter *filter;
	struct sink_options sink;
	struct boot *boot;
	char boot_id[33]; /* of this machine, now; empty: unknown */
};

/* ---- which boot ---- */

/* What is not there is no error: it is what a person gets who has not recorded yet. */
static int nothing_recorded(struct booting *b, const char *text)
{
	char boots[160] = "none";
	int r = b->store ? boots_list(b->store, boots, sizeof(boots)) : 0;

	if (r)
		return r;
	if (text)
		fprintf(stderr, "portlog: nothing was recorded of boot '%.40s'", text);
	else
		fprintf(stderr, "portlog: nothing was recorded of this boot (%.8s)", b->boot_id);
	if (b->store)
		fprintf(stderr, "; recorded are: %s\n", boots);
	else
		fprintf(stderr, ": there is no history in %s\n", b->opts->store);
	fprintf(stderr,
		"portlog: sudo systemctl enable --now portlog records every boot from its start on, sudo portlog "
		"record from now on\n");
	return EXIT_NO;
}

static int store_find(struct booting *b)
{
	int r = store_open_read(b->opts->store, &b->store);

	if (r != -ENOENT)
		return r;
	fail_clear();
	return nothing_recorded(b, b->opts->boot);
}

/* ---- what was recorded of it ---- */

static int event_note(void *arg, int64_t id, const struct view *v)
{
	struct booting *b = arg;

	return boot_add(b->boot, id, v);
}

/* Of this boot systemd can still be asked, where the recorder has not. */
static int times_find(struct booting *b, const struct boot_range *range, struct boot_options *o)
{
	int r = store_boot(b->store, range->boot_id, &o->times);

	if (r || o->times.finished_ns || strcmp(range->boot_id, b->boot_id) != 0)
		return r;
	o->booting = boot_times_ask(&o->times) && !o->times.finished_ns;
	return 0;
}

static int boot_read(struct booting *b, const struct boot_range *range)
{
	struct boot_options o = { .all = b->opts->all,
				  .every_netns = b->opts->common.netns, /* the filter picks */
				  .filter = b->filter };
	struct store_query q = { .after = range->first - 1, .until = range->last };
	int r = times_find(b, range, &o);

	if (r)
		return r;
	b->boot = boot_new(&o);
	if (!b->boot)
		return fail(-ENOMEM, "read the history");
	r = store_each(b->store, &q, event_note, b);
	return r < 0 ? r : 0;
}

/* ---- shown ---- */

static void form_fill(const struct booting *b, struct boot_form *form)
{
	static const enum boot_clock clocks[] = { [TIME_STYLE_LOCAL] = BOOT_LOCAL,
						  [TIME_STYLE_UTC] = BOOT_UTC,
						  [TIME_STYLE_BOOT] = BOOT_UPTIME,
						  [TIME_STYLE_DELTA] = BOOT_DELTA };
	const struct sink_options *sink = &b->sink;

	*form = (struct boot_form){
		.clock = clocks[sink->time],
		.wide = sink->wide,
		.no_heading = b->opts->common.no_header,
		.header = sink->header,
		.color = sink->color,
		.limit = sink->tty ? sink->columns : 0,
		.hints = sink->hints,
		.field = sink->field,
		.only = sink->only,
		.n_only = sink->n_only,
	};
}

static int boot_put(struct booting *b)
{
	bool json = b->opts->common.output == OUTPUT_JSON;
	struct boot_form form;
	struct buf out = { 0 };
	size_t shown;
	int r = boot_end(b->boot, &shown);

	form_fill(b, &form);
	if (!r)
		r = json ? boot_json(b->boot, &form, &out) : boot_text(b->boot, &form, &out);
	if (!r) {
		r = buf_write(&out, STDOUT_FILENO);
		if (r < 0 && r != -EPIPE)
			fail(r, "write to standard output");
	}
	buf_done(&out);
	if (!r && !shown && !json && !b->opts->common.quiet)
		fprintf(stderr, "portlog: no such port was taken or refused then\n");
	return r;
}

static int boot_show(struct booting *b)
{
	const char *text = b->opts->boot ? b->opts->boot : b->boot_id;
	struct boot_range range;
	int r = store_find(b);

	if (!r)
		r = boots_find(b->store, text, &range);
	else
		return r;
	if (r == BOOTS_NONE)
		return nothing_recorded(b, b->opts->boot);
	if (!r)
		r = boot_read(b, &range);
	return r ? r : boot_put(b);
}

static int boot_run(const void *opts, int argc, char **argv)
{
	auto_close int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct booting b = { .opts = opts };
	int r = common_filter(&b.opts->common, b.opts->failures, argc, argv, &b.filter);

	if (!r)
		r = common_sink(&b.opts->common, STDOUT_FILENO, &b.sink);
	if (!r && proc_fd >= 0)
		enrich_boot_id(proc_fd, b.boot_id);
	if (!r)
		r = boot_show(&b);
	boot_free(b.boot);
	store_close(b.store);
	free((void *)b.sink.only);
	filter_free(b.filter);
	return r;
}

static const char boot_status[] =
	"Status: 0 shown, 1 nothing was recorded of that boot, 2 usage or bad filter,\n"
	"3 the history cannot be read.\n";

const struct cmd cmd_boot = {
	.name = "boot",
	.synopsis = "[OPTIONS] [FILTER]",
	.summary = "Show who took which port at boot, and who came too late",
	.examples = "  sudo portlog boot                             who took which port at boot\n"
		    "  sudo portlog boot -b -1                       at the boot before\n"
		    "  sudo portlog boot 80                          one port\n"
		    "  sudo portlog boot -x                          what could not bind, and why\n"
		    "  sudo portlog boot -j | jq '.rows[].event.unit'\n",
	.status = boot_status,
	.args = boot_args,
	.common = common_args,
	.opts_size = sizeof(struct boot_opts),
	.defaults = boot_defaults,
	.run = boot_run,
};
