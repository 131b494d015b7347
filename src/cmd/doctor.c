/* SPDX-License-Identifier: GPL-2.0-only */
/* doctor: can portlog run here, with what, and what to do about what is missing. Looks, tries, changes nothing. */
#include "cmd/doctor.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "core/field.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/fail.h"
#include "util/json.h"

#define COLUMNS 80
#define NAME_COLUMN 6
#define TEXT_COLUMN 26

struct doctor_opts {
	bool json;
	bool quiet;
};

#define AT(member) offsetof(struct doctor_opts, member)

/* clang-format off */
static const struct arg doctor_args[] = {
	{ 'j', "json",  ARG_FLAG, AT(json),  NULL, "one JSON object with all that was found" },
	{ 'q', "quiet", ARG_FLAG, AT(quiet), NULL, "only what is not well, and the verdict" },
	{ 0 },
};
/* clang-format on */

/* ---- findings ---- */

static void __attribute__((format(printf, 3, 0))) put(char *out, size_t size, const char *fmt, va_list ap)
{
	size_t len = strlen(out);

	(void)vsnprintf(out + len, size - len, fmt, ap);
}

struct finding *finding_add(struct doctor *d, enum level level, const char *name, const char *fmt, ...)
{
	struct finding *f = &d->findings[d->n < DOCTOR_FINDINGS_MAX - 1 ? d->n++ : DOCTOR_FINDINGS_MAX - 1];
	va_list ap;

	memset(f, 0, sizeof(*f));
	f->level = level;
	snprintf(f->name, sizeof(f->name), "%s", name);
	va_start(ap, fmt);
	put(f->text, sizeof(f->text), fmt, ap);
	va_end(ap);
	return f;
}

#define DEFINE_PUT(function, member)                           \
	void function(struct finding *f, const char *fmt, ...) \
	{                                                      \
		va_list ap;                                    \
                                                               \
		va_start(ap, fmt);                             \
		put(f->member, sizeof(f->member), fmt, ap);    \
		va_end(ap);                                    \
	}

DEFINE_PUT(finding_more, text)
DEFINE_PUT(finding_lost, lost)
DEFINE_PUT(finding_fix, fix)

static size_t count_level(const struct doctor *d, enum level level)
{
	size_t n = 0;

	for (size_t i = 0; i < d->n; i++)
		n += d->findings[i].level == level;
	return n;
}

/* ---- for people ---- */

/* In lines of @COLUMNS, broken at spaces, all from column @column on. */
static void put_wrapped(struct buf *b, const char *text, size_t column)
{
	size_t room = COLUMNS - column;

	while (strlen(text) > room) {
		size_t len = room, from;

		while (len && text[len] != ' ')
			len--;
		if (!len)
			len = strcspn(text, " ");
		buf_visible(b, text, len);
		text += len + (text[len] == ' ');
		if (!*text)
			break;
		buf_putc(b, '\n');
		from = b->len;
		buf_pad(b, from, column);
	}
	buf_puts_visible(b, text);
	buf_putc(b, '\n');
}

static void put_aside(struct buf *b, const char *label, const char *text)
{
	size_t from = b->len;

	if (!text[0])
		return;
	buf_pad(b, from, TEXT_COLUMN);
	buf_puts(b, label);
	put_wrapped(b, text, TEXT_COLUMN + strlen(label));
}

static void put_finding(struct buf *b, const struct finding *f)
{
	static const char *const words[N_LEVELS] = { "ok", "warn", "FAIL" };
	size_t from = b->len;

	buf_puts(b, words[f->level]);
	buf_pad(b, from, NAME_COLUMN);
	buf_puts_visible(b, f->name);
	buf_pad(b, from, TEXT_COLUMN);
	put_wrapped(b, f->text, TEXT_COLUMN);
	put_aside(b, "lost: ", f->lost);
	put_aside(b, "fix:  ", f->fix);
}

static void put_verdict(struct buf *b, const struct doctor *d)
{
	size_t warnings = count_level(d, LEVEL_WARN);

	if (!d->runs)
		buf_puts(
			b,
			"portlog cannot trace here: see FAIL. list, why and wait work as far as sock_diag does\n");
	else if (warnings)
		buf_printf(b, "portlog can run here, with %s hooks; %zu limits: see warn\n", d->using,
			   warnings);
	else
		buf_printf(b, "portlog can run here, with %s hooks\n", d->using);
}

static void put_report(struct buf *b, const struct doctor *d, bool quiet)
{
	for (size_t i = 0; i < d->n; i++)
		if (!quiet || d->findings[i].level != LEVEL_OK)
			put_finding(b, &d->findings[i]);
	put_verdict(b, d);
}

/* ---- for programs: docs/schema/portlog-doctor-1.schema.json ---- */

static void json_finding(struct buf *b, const struct finding *f)
{
	static const char *const words[N_LEVELS] = { "ok", "warn", "fail" };

	buf_puts(b, b->data[b->len - 1] == '[' ? "{" : ",{");
	json_put_text(b, "level", words[f->level]);
	json_put_text(b, "name", f->name);
	json_put_text(b, "text", f->text);
	json_put_text(b, "lost", f->lost);
	json_put_text(b, "fix", f->fix);
	buf_putc(b, '}');
}

static void json_programs(struct buf *b, const struct hook *h)
{
	json_key(b, "programs");
	buf_putc(b, '[');
	for (const char *const *spec = h->programs; *spec; spec++) {
		if (spec != h->programs)
			buf_putc(b, ',');
		json_string(b, *spec, hook_program_len(*spec));
	}
	buf_putc(b, ']');
}

static void json_hook(struct buf *b, const struct doctor *d, size_t row)
{
	static const char *const states[] = {
		[HOOK_UNTRIED] = "untried", [HOOK_WORKS] = "works", [HOOK_ABSENT] = "absent", [HOOK_REFUSED] = "refused"
	};
	static const char *const sets[N_HOOK_SETS] = { "any", "fexit", "tracepoint" };
	char scratch[16];

	buf_puts(b, b->data[b->len - 1] == '[' ? "{" : ",{");
	json_put_text(b, "event", hooks[row].event);
	json_put_text(b, "set", sets[hooks[row].set]);
	json_programs(b, &hooks[row]);
	json_put_flag(b, "required", hooks[row].required);
	json_put_text(b, "state", states[d->hooks[row].state]);
	json_put_flag(b, "used", d->hooks[row].chosen);
	if (d->hooks[row].error)
		json_put_text(b, "errno", errno_name(d->hooks[row].error, scratch));
	buf_putc(b, '}');
}

static void put_json(struct buf *b, const struct doctor *d)
{
	buf_putc(b, '{');
	json_put_text(b, "schema", "portlog.doctor/1");
	json_put_text(b, "version", PORTLOG_VERSION);
	json_put_text(b, "verdict", !d->runs ? "no" : count_level(d, LEVEL_WARN) ? "limits" : "yes");
	json_put_text(b, "hooks_used", d->using);
	json_key(b, "findings");
	buf_putc(b, '[');
	for (size_t i = 0; i < d->n; i++)
		json_finding(b, &d->findings[i]);
	buf_putc(b, ']');
	json_key(b, "hooks");
	buf_putc(b, '[');
	for (size_t i = 0; i < n_hooks && i < DOCTOR_HOOKS_MAX; i++)
		if (hooks[i].programs[0])
			json_hook(b, d, i);
	buf_puts(b, "]}\n");
}

/* ---- the command ---- */

static int doctor_run(const void *opts, int argc, char **argv)
{
	const struct doctor_opts *o = opts;
	auto_free struct doctor *d = calloc(1, sizeof(*d));
	struct buf out = { 0 };
	int r;

	if (argc)
		return fail_text(-EINVAL, "doctor takes no operand, not '%.40s'", argv[0]);
	if (!d)
		return fail(-ENOMEM, "doctor");
	doctor_look_at_system(d);
	doctor_look_at_hooks(d);
	fail_clear();
	if (o->json)
		put_json(&out, d);
	else
		put_report(&out, d, o->quiet);
	r = buf_write(&out, STDOUT_FILENO);
	buf_done(&out);
	if (r < 0)
		return r == -EPIPE ? r : fail(r, "write to standard output");
	return d->runs ? 0 : EXIT_CANNOT;
}

const struct cmd cmd_doctor = {
	.name = "doctor",
	.synopsis = "[OPTIONS]",
	.summary = "Can it run here, with which hooks, and what to do if not",
	.examples = "  sudo portlog doctor                 everything, each hook tried\n"
		    "  portlog doctor                      what can be told without root\n"
		    "  sudo portlog doctor -q              only what is not well\n"
		    "  sudo portlog doctor -j | jq .verdict\n",
	.status = "Status: 0 it can run here, perhaps with limits, 2 usage, 3 it cannot.\n",
	.args = doctor_args,
	.opts_size = sizeof(struct doctor_opts),
	.run = doctor_run,
};
