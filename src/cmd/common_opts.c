/* SPDX-License-Identifier: GPL-2.0-only */
/* The options that commands share, and what follows from them. */
#include "cmd/common_opts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "source/netns.h"
#include "util/buf.h"
#include "util/caret.h"
#include "util/cleanup.h"
#include "util/fail.h"
#include "util/parse.h"

static int set_json(void *opts, const char *text)
{
	struct common_opts *o = opts;

	(void)text;
	o->output = OUTPUT_JSON;
	return 0;
}

static int set_verbose(void *opts, const char *text)
{
	struct common_opts *o = opts;

	(void)text;
	o->verbose++;
	return 0;
}

#define AT(member) offsetof(struct common_opts, member)

/* clang-format off */
const struct arg common_args[] = {
	{ 'o', "output",    ARG_CHOICE, AT(output), "table|wide|json", "how events are shown" },
	{ 'j', "json",      ARG_CALL, 0, NULL, "one JSON object a line: -o json", set_json, true },
	{ 'F', "fields",    ARG_STRING, AT(fields), "FIELD,...", "only these: see portlog-fields(7)" },
	{ 'H', "no-header", ARG_FLAG,   AT(no_header), NULL, "no header line" },
	{ 't', "tcp",       ARG_FLAG,   AT(tcp), NULL, "TCP and MPTCP only: proto tcp,mptcp" },
	{ 'u', "udp",       ARG_FLAG,   AT(udp), NULL, "UDP only, with -t both: proto udp" },
	{ '4', "ipv4",      ARG_FLAG,   AT(ipv4), NULL, "IPv4 sockets only: family ipv4" },
	{ '6', "ipv6",      ARG_FLAG,   AT(ipv6), NULL, "IPv6 sockets only: family ipv6" },
	{ 'N', "netns",     ARG_STRING, AT(netns), "NETNS", "one network namespace: netns NETNS" },
	{ 0,   "time",      ARG_CHOICE, AT(time), "local|utc|boot|delta", "how times are shown" },
	{ 0,   "args",      ARG_CHOICE, AT(args), "masked|full|none", "command lines: mask secrets, or not" },
	{ 0,   "hints",     ARG_FLAG,   AT(hints), NULL, "reasons and remedies in JSON too" },
	{ 0,   "color",     ARG_CHOICE, AT(color), "auto|always|never", "when to use colour" },
	{ 'q', "quiet",     ARG_FLAG,   AT(quiet), NULL, "no talk beside the events" },
	{ 'v', "verbose",   ARG_CALL, 0, NULL, "say what hooks cannot see, what was counted", set_verbose, true },
	{ 0 },
};
/* clang-format on */

/* ---- the filter ---- */

static void append_joined(struct buf *b, int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		if (i)
			buf_putc(b, ' ');
		buf_puts(b, argv[i]);
	}
}

/* A namespace's name as a value of the language; @text may be a list, unless it has to be quoted. */
static void append_value(struct buf *b, const char *text)
{
	if (!text[strcspn(text, " \t\r\n\v\f()\"'\\")] && text[0]) {
		buf_puts(b, text);
		return;
	}
	buf_putc(b, '"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			buf_putc(b, '\\');
		buf_putc(b, *text);
	}
	buf_putc(b, '"');
}

static void append_options(struct buf *b, const struct common_opts *opts, bool failed_only)
{
	if (opts->tcp || opts->udp)
		buf_printf(b, " and proto %s",
			   !opts->udp  ? "tcp,mptcp"
			   : opts->tcp ? "tcp,mptcp,udp"
				       : "udp");
	if (opts->ipv4 != opts->ipv6)
		buf_printf(b, " and family %s", opts->ipv4 ? "ipv4" : "ipv6");
	if (opts->netns) {
		buf_puts(b, " and netns ");
		append_value(b, opts->netns);
	}
	if (failed_only)
		buf_puts(b, " and failed");
}

static int parse(struct buf *b, struct filter **ret)
{
	const char *text = buf_str(b);
	struct filter_error error;
	int r;

	if (b->error)
		return fail(b->error, "read the filter");
	r = filter_parse(text, ret, &error);
	if (r == -EINVAL)
		return fail_caret(text, error.at, error.len, error.message, error.suggestion);
	return r < 0 ? fail(r, "read the filter") : 0;
}

#define auto_buf __attribute__((cleanup(buf_done))) struct buf

int common_filter(const struct common_opts *opts, bool failed_only, int argc, char **argv,
		  struct filter **ret)
{
	auto_buf words = { 0 }, all = { 0 };
	struct filter *user = NULL;
	const char *text;
	bool is_empty;
	int r;

	if (opts->netns && !opts->netns[0])
		return fail_text(-EINVAL, "--netns needs a name, an inode number or 'host'");
	append_joined(&words, argc, argv);
	r = parse(&words, &user);
	if (r < 0)
		return r;
	is_empty = filter_is_empty(user);
	append_options(&all, opts, failed_only);
	if (!all.len) {
		*ret = user;
		return 0;
	}
	filter_free(user);
	if (is_empty) {
		text = buf_str(&all) + strlen(" and ");
		buf_reset(&words);
		buf_puts(&words, text);
		return parse(&words, ret);
	}
	/* What was typed goes in parentheses: "a or b" and -x. */
	text = buf_str(&words);
	buf_reset(&all);
	buf_printf(&all, "(%s)", text);
	append_options(&all, opts, failed_only);
	return parse(&all, ret);
}

/* ---- how it is shown ---- */

static int unknown_field(const char *list, size_t at, size_t len)
{
	const char **names = calloc(n_fields + 1, sizeof(*names)), *near = NULL;
	char word[64], what[128], suggestion[96] = "portlog-fields(7) lists them";

	snprintf(word, sizeof(word), "%.*s", (int)(len < sizeof(word) ? len : sizeof(word) - 1), list + at);
	for (size_t i = 0; names && i < n_fields; i++)
		names[i] = fields[i].name;
	if (names)
		near = nearest_word(word, names);
	if (near)
		snprintf(suggestion, sizeof(suggestion), "did you mean '%s'?", near);
	snprintf(what, sizeof(what), len ? "there is no field '%s'" : "a field is missing%s", word);
	free(names);
	return fail_caret(list, at, len, what, suggestion);
}

static bool is_among(const struct field *f, const struct field *const *only, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (only[i] == f)
			return true;
	return false;
}

static int parse_fields(const char *list, struct sink_options *ret)
{
	const struct field **only = calloc(n_fields, sizeof(*only)), *f;
	size_t n = 0, at = 0, len;

	if (!only)
		return fail(-ENOMEM, "read the fields");
	for (;; at += len + 1) {
		len = strcspn(list + at, ",");
		f = len ? field_find(list + at, len) : NULL;
		if (!f || is_among(f, only, n)) {
			free(only);
			return f ? fail_caret(list, at, len, "a field is given twice", "")
				 : unknown_field(list, at, len);
		}
		only[n++] = f;
		if (!list[at + len])
			break;
	}
	ret->only = only;
	ret->n_only = n;
	return 0;
}

static bool wants_color(int when, bool tty)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	if (when != COLOR_AUTO)
		return when == COLOR_ALWAYS;
	return tty && !(no && no[0]) && term && strcmp(term, "dumb") != 0;
}

/* COLUMNS, as a shell's user may set it, before what the terminal says; 0: unknown. */
static unsigned columns_of(int fd, bool tty)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;
	uint32_t n;

	if (columns && parse_u32(columns, &n) == 0 && n > 0)
		return n;
	return tty && ioctl(fd, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

int common_sink(const struct common_opts *opts, int fd, struct sink_options *ret)
{
	bool tty = isatty(fd);
	struct stat st;

	*ret = (struct sink_options){
		.fd = fd,
		.talk_fd = opts->quiet ? 0 : STDERR_FILENO,
		.tty = tty,
		.color = wants_color(opts->color, tty),
		.wide = opts->output == OUTPUT_WIDE,
		.header = tty && !opts->no_header,
		.hints = opts->hints,
		.quiet = opts->quiet,
		.verbose = opts->verbose > 0,
		.line_buffered = fstat(fd, &st) < 0 || !S_ISREG(st.st_mode),
		.columns = columns_of(fd, tty),
		.time = (enum time_style)opts->time,
		.field = { .args = (enum args_mode)opts->args, .hints = opts->hints },
	};
	return opts->fields ? parse_fields(opts->fields, ret) : 0;
}

void common_blind_say(const char *const *texts)
{
	for (; *texts; texts++) {
		struct buf line = { 0 };

		buf_puts(&line, "portlog: not seen: ");
		buf_visible(&line, *texts, strlen(*texts));
		buf_putc(&line, '\n');
		(void)buf_write(&line, STDERR_FILENO);
		buf_done(&line);
	}
}

int common_needs_proc(void)
{
	if (netns_self())
		return 0;
	fail_text(-ENOENT, "/proc cannot be looked at here, and without it no answer would be true");
	return fail_hint(-ENOENT, "mount -t proc proc /proc");
}
