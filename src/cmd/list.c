/* SPDX-License-Identifier: GPL-2.0-only */
/* list: what holds ports now, and who. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/common_opts.h"
#include "pipeline/inventory.h"
#include "source/netns.h"
#include "util/cleanup.h"
#include "util/fail.h"
#include "view/table.h"

struct list_opts {
	struct common_opts common; /* first */
	bool all;
	bool habit; /* -l, -p, -n: what ss is told, and what list does anyway */
	bool no_bpf;
	const char *sort;
};

#define AT(member) offsetof(struct list_opts, member)

/* clang-format off */
static const struct arg list_args[] = {
	{ 'a', "all",       ARG_FLAG,   AT(all), NULL, "TIME_WAIT and connected sockets too" },
	{ 0,   "sort",      ARG_STRING, AT(sort), "FIELD", "by this field: see portlog-fields(7)" },
	{ 'l', "listening", ARG_FLAG,   AT(habit), NULL, "as it is anyway: for the habit of ss -tulpn" },
	{ 'p', "processes", ARG_FLAG,   AT(habit), NULL, "the same" },
	{ 'n', "numeric",   ARG_FLAG,   AT(habit), NULL, "the same" },
	{ 0,   "no-bpf",    ARG_FLAG,   AT(no_bpf), NULL, "look as without privilege", .hidden = true },
	{ 0 },
};
/* clang-format on */

/* What is shown, and of what. */
struct list {
	const struct list_opts *opts;
	struct filter *filter;
	struct filter_kernel *kernel;
	struct sink_options sink;
	struct table_options table;
	struct inventory *inv;
	struct session session; /* the inventory's, with a schema of its own */
	bool ownerless;         /* something is shown that no process is known to have open */
};

static bool entry_view(void *arg, const struct entry *e, struct owner *owners, struct view *ret)
{
	struct list *l = arg;

	inventory_view(l->inv, e, owners, ret);
	ret->session = &l->session;
	if (!filter_match(l->filter, ret))
		return false;
	l->ownerless = l->ownerless || (ret->rec->kind == HOLDER_UNKNOWN && !ret->rec->has_process);
	return true;
}

/* "port 8080", "1024 sockets": a person is to know that nothing was hidden from them. */
static void nothing_say(const struct list *l)
{
	if (l->opts->common.quiet)
		return;
	if (filter_is_empty(l->filter))
		fprintf(stderr, "portlog: no port is held\n");
	else
		fprintf(stderr, "portlog: nothing matches: no such port is held%s%s\n",
			l->opts->all ? "" : "; --all adds TIME_WAIT",
			l->opts->all || inventory_asks_few(l->inv) ? "" : " and clients");
}

/* What was not seen, and what root would add: one line each, on standard error. */
static void blind_say(const struct list *l)
{
	static const char *const hidden[] = {
		[REACH_NEEDS_ROOT] =
			("as root it also shows processes of other users, options and other namespaces: "
			 "sudo portlog list"),
		[REACH_NEEDS_PTRACE] =
			"not seen: not all processes may be looked at: CAP_SYS_PTRACE is missing",
		[REACH_NEEDS_FILES] = "not seen: not all processes could be looked at: ulimit -n 1024",
		[REACH_OF_PIDNS] =
			"not seen: processes outside of this pid namespace, which may be the owners that are missing",
	};
	enum reach reach = inventory_reach(l->inv);

	if (l->opts->common.quiet)
		return;
	if (hidden[reach] && (reach != REACH_OF_PIDNS || l->ownerless))
		fprintf(stderr, "portlog: %s\n", hidden[reach]);
	common_blind_say(inventory_blind(l->inv));
}

/* Nothing was found: is it for want of the namespace? */
static int netns_check(const struct list *l)
{
	for (size_t i = 0; l->kernel->netns_valid && i < l->kernel->n_netns; i++) {
		int r = inventory_netns_seen(l->inv, l->kernel->netns[i]);

		if (r < 0)
			return netns_missing(l->kernel->netns[i], r);
	}
	return 0;
}

static int sort_find(struct list *l)
{
	const char *name = l->opts->sort;

	if (!name)
		return 0;
	l->table.sort = field_find(name, strlen(name));
	if (l->table.sort)
		return 0;
	fail_text(-EINVAL, "there is no field '%.40s' to sort by", name);
	return fail_hint(-EINVAL, "portlog-fields(7) lists them");
}

static int list_options(struct list *l, int argc, char **argv)
{
	const struct common_opts *common = &l->opts->common;
	int r = common_filter(common, false, argc, argv, &l->filter);

	if (r < 0)
		return r;
	l->kernel = malloc(sizeof(*l->kernel));
	if (!l->kernel)
		return fail(-ENOMEM, "read the filter");
	filter_kernel(l->filter, l->kernel);
	r = common_sink(common, STDOUT_FILENO, &l->sink);
	return r < 0 ? r : sort_find(l);
}

static void table_options(struct list *l)
{
	static const enum table_form forms[] = {
		[OUTPUT_TABLE] = TABLE_NARROW, [OUTPUT_WIDE] = TABLE_WIDE, [OUTPUT_JSON] = TABLE_JSON
	};
	struct table_options *t = &l->table;

	l->session = *inventory_session(l->inv);
	l->session.schema = "portlog.list/1";
	t->form = forms[l->opts->common.output];
	t->header = l->sink.header;
	t->tty = l->sink.tty;
	t->columns = l->sink.columns;
	t->utc = l->sink.time == TIME_STYLE_UTC;
	t->all = l->opts->all;
	t->clients = l->opts->all || inventory_asks_few(l->inv);
	t->host_netns = l->session.host_netns ? l->session.host_netns : l->session.own_netns;
	t->field = l->sink.field;
	t->only = l->sink.only;
	t->n_only = l->sink.n_only;
	t->view = entry_view;
	t->arg = l;
}

static int list_show(struct list *l)
{
	struct inventory_options o = { .kernel = l->kernel,
				       .time_wait = l->opts->all,
				       .remains = l->opts->all ? REMAINS_ALL : REMAINS_UNSERVED,
				       .no_bpf = l->opts->no_bpf };
	struct buf out = { 0 };
	size_t shown;
	int r = inventory_take(&o, &l->inv);

	if (r < 0)
		return r;
	table_options(l);
	if (l->table.form == TABLE_NARROW && !l->table.only && !l->table.sort && filter_is_empty(l->filter))
		inventory_brief(l->inv);
	r = table_render(inventory_ledger(l->inv), &l->table, &out, &shown);
	if (!r)
		r = buf_write(&out, STDOUT_FILENO);
	buf_done(&out);
	if (r < 0)
		return r == -EPIPE ? r : fail(r, "write to standard output");
	r = shown ? 0 : netns_check(l);
	if (r < 0)
		return r;
	if (!shown)
		nothing_say(l);
	blind_say(l);
	return shown || filter_is_empty(l->filter) ? 0 : EXIT_NO;
}

static int list_run(const void *opts, int argc, char **argv)
{
	struct list l = { .opts = opts };
	int r = list_options(&l, argc, argv);

	if (!r)
		r = common_needs_proc();
	if (!r)
		r = list_show(&l);
	inventory_free(l.inv);
	free((void *)l.sink.only);
	free(l.kernel);
	filter_free(l.filter);
	return r;
}

const struct cmd cmd_list = {
	.name = "list",
	.alias = "ls",
	.synopsis = "[OPTIONS] [FILTER]",
	.summary = "Show every port that is held, and who holds it",
	.examples = "  sudo portlog list                   all of them, in every network namespace\n"
		    "  sudo portlog list 8080              who has port 8080\n"
		    "  sudo portlog list -a port 443       with what lingers in TIME_WAIT\n"
		    "  sudo portlog ls -tulpn              as typed for ss\n"
		    "  sudo portlog list -j unit nginx.service\n",
	.status = "Status: 0 done, 1 nothing matches the filter, 2 usage, a bad filter or no such\n"
		  "  network namespace, 3 cannot run here.\n",
	.args = list_args,
	.common = common_args,
	.opts_size = sizeof(struct list_opts),
	.run = list_run,
};
