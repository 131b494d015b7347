/* SPDX-License-Identifier: GPL-2.0-only */
/* Find the command, parse its options, run it, print one error. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "core/filter.h"
#include "util/args.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/fail.h"
#include "util/inherit.h"

#ifndef PORTLOG_VERSION
#define PORTLOG_VERSION "unknown"
#endif

/* libbpf's own; weak and without its header, since only source/ knows libbpf. */
const char *libbpf_version_string(void) __attribute__((weak));

#define COMMAND_ROW(x) &cmd_##x,
static const struct cmd *const commands[] = { COMMANDS(COMMAND_ROW) };
#undef COMMAND_ROW

/* Without a word for it, the first command runs. */
static const struct cmd *const default_command = &cmd_trace;

#define COMPLAIN_MS 1000
#define EXAMPLE_WIDTH 35
#define WORD_SHOWN 40 /* bytes of a wrong word that are repeated */

static const char filter_lines[] =
	"Filter: tests joined by and, or, not, ( ); side by side means and\n"
	"  8080   :8080   ADDR:PORT   port 8000-8099,443   addr 10.0.0.0/8\n"
	"  proto tcp|udp|mptcp   family ipv4|ipv6   netns host|NAME|INODE\n"
	"  action bind|listen|release|free|...   failed   errno EADDRINUSE\n"
	"  pid N   comm NAME   exe PATH   user NAME   uid >= N (also = != < <= >)\n"
	"  unit NAME   container NAME|ID   cgroup PATH   (names may have * and ?)\n";

static const char status_lines[] =
	"Status: 0 done, 1 the answer is no, 2 usage or bad filter, 3 cannot run here.\n";

/* ---- words ---- */

static const struct cmd *find_command(const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		const struct cmd *cmd = commands[i];

		if (strcmp(cmd->name, word) == 0 || (cmd->alias && strcmp(cmd->alias, word) == 0))
			return cmd;
	}
	return NULL;
}

static const char *nearest_command(const char *word)
{
	const char *words[ARRAY_SIZE(commands) + 2] = { NULL };

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		words[i] = commands[i]->name;
	words[ARRAY_SIZE(commands)] = "help";
	return nearest_word(word, words);
}

/* A word that is no command and begins no filter: a typo must not become a filter that waits for ever. */
static int unknown_command(const char *word)
{
	const char *near = nearest_command(word);
	struct filter_error error = { 0 };
	struct filter *f;

	fail_text(-EINVAL, "unknown command '%.*s'", WORD_SHOWN, word);
	if (near)
		return fail_hint(-EINVAL, "did you mean '%s'? a process name is 'comm %.*s'", near,
				 WORD_SHOWN, word);
	if (filter_parse(word, &f, &error) == 0)
		filter_free(f);
	return error.suggestion[0] ? fail_hint(-EINVAL, "%s", error.suggestion) : -EINVAL;
}

/* The row of @cmd for the long option @word, which may be cut as long as one row alone begins so; NULL: none. */
static const struct arg *find_long(const struct cmd *cmd, const char *word)
{
	const struct arg *tables[] = { cmd->args, cmd->common }, *found = NULL;
	unsigned n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		for (const struct arg *arg = tables[i]; arg && arg->name; arg++) {
			if (strcmp(word, arg->name) == 0)
				return arg;
			if (strncmp(word, arg->name, strlen(word)) != 0)
				continue;
			found = arg;
			n++;
		}
	}
	return n == 1 ? found : NULL;
}

static const struct arg *find_letter(const struct cmd *cmd, char letter)
{
	const struct arg *tables[] = { cmd->args, cmd->common };

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		for (const struct arg *arg = tables[i]; arg && arg->name; arg++) {
			if (arg->letter && arg->letter == letter)
				return arg;
		}
	}
	return NULL;
}

static bool takes_value(const struct arg *arg)
{
	return arg && arg->type != ARG_FLAG && !arg->flag;
}

/* Is the word behind the option @word its value? What follows a letter that takes one, as in -c5, is it already. */
static bool takes_next_word(const struct cmd *cmd, const char *word)
{
	const char *c = word + 1;

	if (*c == '-')
		return takes_value(find_long(cmd, c + 1));
	while (*c && !takes_value(find_letter(cmd, *c)))
		c++;
	return *c && !c[1];
}

/* Index of the first word that is neither an option nor an option's value, or @argc. */
static int first_word(int argc, char **argv, const struct cmd *cmd)
{
	for (int i = 1; i < argc; i++) {
		if (argv[i][0] != '-' || argv[i][1] == '\0')
			return i;
		if (strcmp(argv[i], "--") == 0)
			return argc;
		if (takes_next_word(cmd, argv[i]))
			i++;
	}
	return argc;
}

/* Would list take all of these options? */
static const struct cmd *list_takes(int argc, char **argv)
{
	const struct cmd *list = find_command("list");
	bool any = false;

	for (int i = 1; list && i < argc; i++) {
		if (argv[i][0] != '-' || argv[i][1] == '-')
			continue;
		for (const char *c = argv[i] + 1; *c; c++) {
			const struct arg *arg = find_letter(list, *c);

			if (!arg || takes_value(arg))
				return NULL;
			any = true;
		}
	}
	return any ? list : NULL;
}

/* An option has been refused: if it is a word of the filter language with dashes, say so. */
static int hint_at_filter(const struct cmd *cmd, int argc, char **argv)
{
	if (cmd == default_command && list_takes(argc, argv))
		return fail_hint(-EINVAL, "did you mean 'portlog list %.*s'?", WORD_SHOWN, argv[1]);
	for (int i = 1; i < argc; i++) {
		struct filter_error error = { 0 };
		struct filter *f;
		char word[WORD_SHOWN];

		if (strncmp(argv[i], "--", 2) != 0)
			continue;
		snprintf(word, sizeof(word), "%.*s", (int)strcspn(argv[i], "="), argv[i]);
		if (find_long(cmd, word + 2))
			continue;
		if (filter_word_starts(word + 2))
			return fail_hint(-EINVAL, "a filter has no dashes: %s", word + 2);
		if (filter_parse(word + 2, &f, &error) == 0)
			filter_free(f);
		if (strncmp(error.suggestion, "did you", strlen("did you")) == 0)
			return fail_hint(-EINVAL, "%s a filter has no dashes", error.suggestion);
	}
	return -EINVAL;
}

/* ---- help ---- */

static void print_version(void)
{
	const char *libbpf = libbpf_version_string ? libbpf_version_string() : NULL;

	printf("portlog " PORTLOG_VERSION "\n");
	if (libbpf)
		printf("libbpf %s\n", libbpf[0] == 'v' ? libbpf + 1 : libbpf);
}

/* The first line of its examples. Each command has its own width for them; here they stand under each other. */
static void print_example(const struct cmd *cmd)
{
	const char *words = cmd->examples + strspn(cmd->examples, " "), *gap = strstr(words, "  ");
	size_t len = strcspn(words, "\n");

	if (!gap || gap > words + len) {
		printf("  %.*s\n", (int)len, words);
		return;
	}
	printf("  %-*.*s  ", EXAMPLE_WIDTH, (int)(gap - words), words);
	gap += strspn(gap, " ");
	printf("%.*s\n", (int)(words + len - gap), gap);
}

static void print_help(void)
{
	printf("Examples:\n");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		print_example(commands[i]);
	printf("\nUsage: portlog [COMMAND] [OPTIONS] [FILTER]\n"
	       "Who owns this port, since when, and why did my bind fail?\n\n"
	       "Commands:\n");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		printf("  %-12s%s%s\n", commands[i]->name, commands[i]->summary,
		       commands[i] == default_command ? " (the default)" : "");
	printf("  %-12s%s\n", "help", "Show this, or the options of a command: portlog help COMMAND");
	printf("\nportlog COMMAND --help has examples and options; see also portlog(1).\n\n");
	printf("%s\n%s", filter_lines, status_lines);
}

static void print_command_help(const struct cmd *cmd)
{
	printf("Examples:\n%s\n", cmd->examples);
	printf("Usage: portlog %s %s\n%s\n\nOptions:\n", cmd->name, cmd->synopsis, cmd->summary);
	args_help(stdout, cmd->args);
	args_help(stdout, cmd->common);
	printf("  %-30s  %s\n\n", "-h, --help", "show this");
	if (strstr(cmd->synopsis, "FILTER"))
		printf("%s\n", filter_lines);
	printf("%s", cmd->status ? cmd->status : status_lines);
}

/* portlog help [COMMAND] */
static int run_help(int argc, char **argv)
{
	const struct cmd *cmd;

	if (argc < 2) {
		print_help();
		return 0;
	}
	cmd = find_command(argv[1]);
	if (!cmd)
		return unknown_command(argv[1]);
	print_command_help(cmd);
	return 0;
}

/* ---- running ---- */

static int run_command(const struct cmd *cmd, int argc, char **argv)
{
	auto_free void *opts = calloc(1, cmd->opts_size);
	char **operands;
	int n, r;

	if (!opts)
		return fail(-ENOMEM, "%s", cmd->name);
	if (cmd->defaults)
		cmd->defaults(opts);
	r = (cmd->takes_command ? args_parse_leading : args_parse)(argc, argv, cmd->args, cmd->common, opts,
								   &operands, &n);
	if (r == ARGS_HELP) {
		print_command_help(cmd);
		return 0;
	}
	if (r == -EINVAL && !fail_remedy()[0] && !cmd->takes_command)
		return hint_at_filter(cmd, argc, argv);
	return r < 0 ? r : cmd->run(opts, n, operands);
}

/* *ret_cmd: whose help to point at, if any. */
static int run(int argc, char **argv, const struct cmd **ret_cmd)
{
	int first = first_word(argc, argv, default_command);
	const struct cmd *cmd = default_command;

	if (argc > 1 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)) {
		print_version();
		return 0;
	}
	if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
		return run_help(1, argv);
	if (first < argc) {
		cmd = find_command(argv[first]);
		if (!cmd && strcmp(argv[first], "help") == 0)
			return run_help(argc - first, argv + first);
		if (!cmd && !filter_word_starts(argv[first]))
			return unknown_command(argv[first]);
	}
	*ret_cmd = cmd ? cmd : default_command;
	if (!cmd)
		return run_command(default_command, argc, argv);
	if (first == argc)
		return run_command(cmd, argc, argv);
	/* Options may stand before the command: its word goes, the rest stays in order. */
	memmove(argv + 1, argv, (size_t)first * sizeof(*argv));
	return run_command(cmd, argc - 1, argv + 1);
}

/* ---- one error ---- */

static int exit_status(int r)
{
	if (r >= 0)
		return r;
	if (r == -EPIPE)
		return 0; /* the reader has gone, which is an end like another */
	return r == -EINVAL ? EXIT_USAGE : EXIT_CANNOT;
}

static void put_line(struct buf *b, const char *before, const char *text, size_t len)
{
	buf_puts(b, before);
	buf_visible(b, text, len);
	buf_putc(b, '\n');
}

/* A remedy of lines (the text with its caret) is shown as it is, another in one line. Only line ends are not escaped. */
static void put_remedy(struct buf *b, const char *remedy)
{
	while (*remedy) {
		size_t len = strcspn(remedy, "\n");

		put_line(b, "", remedy, len);
		remedy += len + (remedy[len] == '\n');
	}
}

static void complain(int r, const struct cmd *cmd)
{
	const char *story = fail_story(), *remedy = fail_remedy();
	struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };
	struct buf b = { 0 };
	char root[64];

	if (!story[0])
		story = strerror(-r);
	if (!remedy[0] && (r == -EPERM || r == -EACCES) && geteuid() != 0) {
		snprintf(root, sizeof(root), "It may need root: sudo portlog%s%s",
			 cmd && cmd != default_command ? " " : "",
			 cmd && cmd != default_command ? cmd->name : "");
		remedy = root;
	}
	put_line(&b, "portlog: ", story, strlen(story));
	if (r == -EINVAL && !strchr(remedy, '\n')) {
		buf_printf(&b, "Try 'portlog%s%s --help'%s", cmd ? " " : "", cmd ? cmd->name : "",
			   remedy[0] ? "; " : "");
		put_line(&b, "", remedy, strlen(remedy));
	} else {
		put_remedy(&b, remedy);
	}
	if (poll(&p, 1, COMPLAIN_MS) > 0) /* it may be the pipe of a reader that has stopped reading */
		(void)buf_write(&b, STDERR_FILENO);
	buf_done(&b);
}

/* A standard descriptor that is closed would become whatever is opened next: writing to it has to go on failing. */
static void keep_standard_fds(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDONLY);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

int main(int argc, char **argv)
{
	static char name[] = "portlog";
	static char *nothing[] = { name, NULL };
	const struct cmd *cmd = NULL;
	int r;

	inherit_note();
	inherit_files_raise();
	keep_standard_fds();
	signal(SIGPIPE, SIG_IGN); /* a closed pipe is an error of write(2), seen where it happens */
	signal(SIGXFSZ, SIG_IGN); /* a file of the size that is allowed too */
	r = argc > 0 ? run(argc, argv, &cmd) : run(1, nothing, &cmd);
	if (r >= 0 && (fflush(stdout) == EOF || ferror(stdout)))
		r = errno == EPIPE ? -EPIPE : fail(-errno, "write to standard output");
	if (r < 0 && r != -EPIPE)
		complain(r, cmd);
	return exit_status(r);
}
