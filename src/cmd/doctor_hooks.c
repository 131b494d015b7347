/* SPDX-License-Identifier: GPL-2.0-only */
/* doctor: the hooks, each tried alone, then the sets as trace would use them, and the iterators of list and why. */
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/doctor.h"
#include "source/bpf.h"
#include "source/bpf_inventory.h"
#include "source/bpf_try.h"
#include "util/cleanup.h"
#include "util/fail.h"

#define TRY_RING (256 * 1024)

static const char *const set_names[N_HOOK_SETS] = { [HOOKS_ANY] = "every set",
						    [HOOKS_FEXIT] = "fexit",
						    [HOOKS_TRACEPOINT] = "tracepoint" };

/* ---- the sets, as trace would use them ---- */

static int set_open(struct doctor *d, enum hook_set set, struct tracer **ret)
{
	const struct tracer_options o = {
		.hooks = set,
		.ring_bytes = TRY_RING,
		.cgroup2 = d->cgroup2[0] ? d->cgroup2 : NULL,
	};

	return tracer_open(&o, ret);
}

static void set_try(struct doctor *d, enum hook_set set)
{
	struct tracer *t;
	struct finding *f;

	if (!set_open(d, set, &t)) {
		finding_add(d, LEVEL_OK, "set of hooks", "%s: loaded and attached", set_names[set]);
		tracer_close(t);
		return;
	}
	f = finding_add(d, LEVEL_WARN, "set of hooks", "%s: %s", set_names[set], fail_story());
	finding_lost(f, set == HOOKS_FEXIT ? "the very socket that the kernel's own check stopped at"
					   : "nothing as long as the set fexit works");
	fail_clear();
}

static const char *event_without(const char *event)
{
	const char *without = NULL;

	for (size_t i = 0; i < n_hooks; i++)
		if (!strcmp(hooks[i].event, event) && hooks[i].without)
			without = hooks[i].without;
	return without;
}

/* Is @text among what the tracer does not see? An event that only completes another may not be needed at all. */
static bool is_blind_to(const struct tracer *t, const char *text)
{
	for (const char *const *blind = tracer_blind(t); text && *blind; blind++)
		if (!strcmp(*blind, text))
			return true;
	return false;
}

/* What trace would use, and what it would not see with that. */
static void best_try(struct doctor *d)
{
	struct tracer *t;
	struct finding *f;

	if (set_open(d, HOOKS_ANY, &t) < 0) {
		f = finding_add(d, LEVEL_FAIL, "tracer", "%s", fail_story());
		finding_lost(f, "trace and all that follows events");
		finding_fix(f, "%s", fail_remedy());
		fail_clear();
		return;
	}
	d->runs = true;
	snprintf(d->using, sizeof(d->using), "%s", tracer_hooks(t));
	for (size_t i = 0; i < n_hooks && i < DOCTOR_HOOKS_MAX; i++) {
		d->hooks[i].chosen = tracer_uses(t, i);
		d->hooks[i].missed = is_blind_to(t, event_without(hooks[i].event));
	}
	finding_add(d, LEVEL_OK, "tracer", "loaded and attached, with %s hooks", d->using);
	for (const char *const *blind = tracer_blind(t); *blind; blind++)
		finding_add(d, LEVEL_WARN, "not seen", "%s", *blind);
	tracer_close(t);
}

/* ---- each row alone ---- */

static void row_tried(void *arg, size_t row, int error)
{
	struct doctor *d = arg;

	if (row >= DOCTOR_HOOKS_MAX)
		return;
	d->hooks[row].state = !error ? HOOK_WORKS : error == -ENOENT ? HOOK_ABSENT : HOOK_REFUSED;
	d->hooks[row].error = error == -ENOENT ? 0 : -error;
}

/* Does another row of the event do its work? */
static bool event_is_seen(const struct doctor *d, const char *event)
{
	for (size_t i = 0; i < n_hooks && i < DOCTOR_HOOKS_MAX; i++)
		if (d->hooks[i].chosen && !strcmp(hooks[i].event, event))
			return true;
	return false;
}

static void programs_text(const struct hook *h, char *out, size_t size)
{
	size_t len = 0;

	out[0] = '\0';
	for (const char *const *spec = h->programs; *spec && len < size; spec++)
		len += (size_t)snprintf(out + len, size - len, "%s%.*s", len ? ", " : "",
					(int)hook_program_len(*spec), *spec);
}

/* Refused or missing is no harm as long as another row sees the event. */
static enum level row_level(const struct doctor *d, size_t row)
{
	if (d->hooks[row].state == HOOK_WORKS || event_is_seen(d, hooks[row].event))
		return LEVEL_OK;
	if (hooks[row].required)
		return LEVEL_FAIL;
	return d->hooks[row].missed ? LEVEL_WARN : LEVEL_OK;
}

static const char *wanted_for(const char *event)
{
	if (!strcmp(event, "autobind"))
		return "for --autobind";
	return strcmp(event, "tree") != 0 ? "not needed" : "for `portlog run`";
}

static void row_state_say(const struct doctor *d, size_t row, struct finding *f)
{
	if (d->hooks[row].state == HOOK_REFUSED)
		finding_more(f, "refused: %s", strerror(d->hooks[row].error));
	else if (d->hooks[row].state == HOOK_ABSENT)
		finding_more(f, "not in this kernel");
	else if (d->hooks[row].chosen)
		finding_more(f, "used");
	else
		finding_more(f, "works, %s", wanted_for(hooks[row].event));
}

static void row_say(struct doctor *d, size_t row)
{
	const struct hook *h = &hooks[row];
	struct finding *f;
	char programs[128];

	programs_text(h, programs, sizeof(programs));
	f = finding_add(d, row_level(d, row), "hook", "%s, %s (%s): ", h->event, set_names[h->set], programs);
	row_state_say(d, row, f);
	if (f->level == LEVEL_FAIL)
		finding_lost(f, "tracing, unless another row of this event works");
	else if (f->level == LEVEL_WARN)
		finding_lost(f, "%s", event_without(h->event));
}

static void rows_try(struct doctor *d)
{
	if (tracer_try_rows(d->cgroup2[0] ? d->cgroup2 : NULL, row_tried, d) < 0) {
		fail_clear(); /* the tracer has said it */
		return;
	}
	for (size_t i = 0; i < n_hooks && i < DOCTOR_HOOKS_MAX; i++) {
		if (hooks[i].programs[0])
			row_say(d, i);
		else
			d->hooks[i].state = HOOK_NONE;
	}
}

/* ---- what list, why and wait use as root ---- */

static int row_count(void *arg, const void *row, size_t len)
{
	size_t *n = arg;

	(void)row;
	(void)len;
	(*n)++;
	return 0;
}

static void lister_try(struct doctor *d)
{
	const struct lister_options o = { 0 };
	struct lister *l = NULL;
	struct finding *f;
	size_t n = 0;
	int r = lister_open(&o, &l);

	if (!r)
		r = lister_files(l, row_count, &n);
	if (!r)
		r = lister_sockets(l, true, row_count, &n) ?: lister_sockets(l, false, row_count, &n);
	lister_close(l);
	if (!r) {
		finding_add(d, LEVEL_OK, "iterators", "over open files and sockets: %zu rows read", n);
		return;
	}
	f = finding_add(d, LEVEL_WARN, "iterators", "%s", fail_story());
	finding_lost(f, "list and why are slower, and do not know options");
	fail_clear();
}

void doctor_look_at_hooks(struct doctor *d)
{
	struct finding *f;

	if (bpf_try_map() < 0) {
		d->untried = true;
		f = finding_add(d, LEVEL_WARN, "hooks", "not tried: bpf(2) is refused");
		finding_lost(f, "what doctor could say about them");
		finding_fix(f, geteuid() ? "sudo portlog doctor" : "");
		return;
	}
	best_try(d);
	set_try(d, HOOKS_FEXIT);
	set_try(d, HOOKS_TRACEPOINT);
	lister_try(d);
	rows_try(d);
}
