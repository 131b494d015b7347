/* SPDX-License-Identifier: GPL-2.0-only */
/* Option tables over getopt_long, which permutes: options may stand among the operands. */
#include "util/args.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/fail.h"
#include "util/parse.h"

#define ROWS_MAX 64
#define WORD_MAX 32 /* longer words are near to nothing */
#define LETTERS_MAX (2 * ROWS_MAX + 5)
#define FIRST_LONG 256 /* getopt's value of row i is FIRST_LONG + i */
#define HELP_COLUMN 30

/* ---- the nearest word ---- */

static size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* How many letters to insert, drop, change or swap with their neighbour to turn @a into @b. */
static size_t distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t d[WORD_MAX + 1][WORD_MAX + 1];

	for (size_t i = 0; i <= a_len; i++)
		d[i][0] = i;
	for (size_t j = 0; j <= b_len; j++)
		d[0][j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		for (size_t j = 1; j <= b_len; j++) {
			bool same = lower(a[i - 1]) == lower(b[j - 1]);

			d[i][j] = min_size(d[i - 1][j - 1] + !same, min_size(d[i - 1][j], d[i][j - 1]) + 1);
			if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
			    lower(a[i - 2]) == lower(b[j - 1]))
				d[i][j] = min_size(d[i][j], d[i - 2][j - 2] + 1);
		}
	}
	return d[a_len][b_len];
}

const char *nearest_word(const char *word, const char *const *words)
{
	size_t len = strnlen(word, WORD_MAX + 1), best_distance = (len + 2) / 4 + 1;
	const char *best = NULL;

	if (len > WORD_MAX)
		return NULL;
	for (; *words; words++) {
		size_t other = strlen(*words), d;

		if (other > WORD_MAX)
			continue;
		d = distance(word, len, *words, other);
		/* A beginning is as good as a slip: "cont" for "container". */
		if (d > 1 && len >= 3 && strncasecmp(word, *words, len) == 0)
			d = 1;
		if (d < best_distance) {
			best_distance = d;
			best = *words;
		}
	}
	return best;
}

/* ---- rows ---- */

static bool takes_value(const struct arg *arg)
{
	return arg->type != ARG_FLAG && !(arg->type == ARG_CALL && arg->flag);
}

/* Pointers to the rows of both tables. */
static size_t collect(const struct arg *args, const struct arg *common, const struct arg *rows[ROWS_MAX])
{
	size_t n = 0;

	for (; args && args->name && n < ROWS_MAX; args++)
		rows[n++] = args;
	for (; common && common->name && n < ROWS_MAX; common++)
		rows[n++] = common;
	return n;
}

static const struct arg *find_letter(const struct arg *const *rows, size_t n, int letter)
{
	for (size_t i = 0; i < n; i++) {
		if (rows[i]->letter && rows[i]->letter == letter)
			return rows[i];
	}
	return NULL;
}

static const char help_name[] = "help";

/*
 * getopt's own tables: a leading ':' makes it silent and tell a missing value from an unknown option; '+' before it
 * stops at the first operand.
 */
static void describe(const struct arg *const *rows, size_t n, bool leading, char *letters,
		     struct option *longs)
{
	if (leading)
		*letters++ = '+';
	*letters++ = ':';
	*letters++ = 'h';
	for (size_t i = 0; i < n; i++) {
		int value = rows[i]->bare ? optional_argument : takes_value(rows[i]);

		longs[i] = (struct option){ rows[i]->name, value, NULL, FIRST_LONG + (int)i };
		if (!rows[i]->letter)
			continue;
		*letters++ = rows[i]->letter;
		if (takes_value(rows[i]))
			*letters++ = ':';
	}
	longs[n] = (struct option){ help_name, no_argument, NULL, 'h' };
	longs[n + 1] = (struct option){ 0 };
	*letters = '\0';
}

/* ---- values ---- */

static int bad_value(const struct arg *arg, const char *text, const char *what)
{
	return fail_text(-EINVAL, "'%s' is not %s: --%s takes %s", text, what, arg->name, arg->value);
}

static int bad_number(const struct arg *arg, const char *text, const char *what, int error)
{
	if (error == -ERANGE)
		return fail_text(-EINVAL, "'%s' is too large for --%s", text, arg->name);
	return bad_value(arg, text, what);
}

static int parse_choice(const struct arg *arg, const char *text, int *ret)
{
	char names[ROWS_MAX][WORD_MAX];
	const char *words[ROWS_MAX + 1] = { NULL }, *near, *p = arg->value;
	size_t len;
	int n = 0;

	for (; n < ROWS_MAX; p += len + 1) {
		len = strcspn(p, "|");
		if (strlen(text) == len && strncmp(p, text, len) == 0) {
			*ret = n;
			return 0;
		}
		snprintf(names[n], sizeof(names[n]), "%.*s", (int)len, p);
		words[n] = names[n];
		n++;
		if (p[len] == '\0')
			break;
	}
	near = nearest_word(text, words);
	fail_text(-EINVAL, "--%s takes %s, not '%s'", arg->name, arg->value, text);
	return near ? fail_hint(-EINVAL, "did you mean %s?", near) : -EINVAL;
}

static int set_value(const struct arg *arg, void *opts, const char *text)
{
	void *where = (char *)opts + arg->offset;
	int r;

	switch (arg->type) {
	case ARG_FLAG:
		*(bool *)where = true;
		return 0;
	case ARG_U32:
		r = parse_u32(text, where);
		return r < 0 ? bad_number(arg, text, "a number", r) : 0;
	case ARG_SIZE:
		r = parse_size(text, where);
		return r < 0 ? bad_number(arg, text, "a size like 8M or 512K", r) : 0;
	case ARG_DURATION:
		r = parse_duration(text, where);
		return r < 0 ? bad_number(arg, text, "a time like 30s, 250ms or 5m", r) : 0;
	case ARG_STRING:
		*(const char **)where = text;
		return 0;
	case ARG_CHOICE:
		return parse_choice(arg, text, where);
	case ARG_CALL:
		return arg->set(opts, text);
	}
	return fail_text(-EINVAL, "--%s is of no known type", arg->name);
}

/* ---- errors ---- */

/* An option that is a beginning of more than one row, or of none. */
static int unknown_long(const struct arg *const *rows, size_t n, const char *word)
{
	const char *names[ROWS_MAX + 2] = { NULL }, *near;
	char name[WORD_MAX + 2];
	size_t n_names = 0, len = strcspn(word, "=");

	snprintf(name, sizeof(name), "%.*s", (int)min_size(len, sizeof(name) - 1), word);
	for (size_t i = 0; i < n; i++) {
		if (!rows[i]->hidden)
			names[n_names++] = rows[i]->name;
	}
	names[n_names] = help_name;
	near = nearest_word(name, names);
	fail_text(-EINVAL, "unknown option '--%.*s'", (int)min_size(len, 64), word);
	return near ? fail_hint(-EINVAL, "did you mean --%s?", near) : -EINVAL;
}

static int ambiguous_long(const struct arg *const *rows, size_t n, const char *word)
{
	size_t len = strcspn(word, "=");
	char list[256] = "";

	for (size_t i = 0; i < n; i++) {
		size_t used = strlen(list);

		if (strncmp(rows[i]->name, word, len) == 0 && !rows[i]->hidden)
			snprintf(list + used, sizeof(list) - used, "%s--%s", used ? ", " : "", rows[i]->name);
	}
	fail_text(-EINVAL, "option '--%.*s' is cut too short", (int)min_size(len, 64), word);
	return fail_hint(-EINVAL, "it may be %s", list);
}

static size_t count_beginnings(const struct arg *const *rows, size_t n, const char *word)
{
	size_t len = strcspn(word, "="), count = 0;

	for (size_t i = 0; i < n; i++)
		count += strncmp(rows[i]->name, word, len) == 0;
	return count;
}

/* What getopt answered '?' to: @word is the argument it was at, optopt the letter or the row's value. */
static int refuse(const struct arg *const *rows, size_t n, const char *word)
{
	if (optopt >= FIRST_LONG || optopt == 'h')
		return fail_text(-EINVAL, "option '--%s' takes no value",
				 optopt == 'h' ? help_name : rows[optopt - FIRST_LONG]->name);
	if (optopt)
		return fail_text(-EINVAL, "unknown option '-%c'", optopt);
	word += strspn(word, "-");
	if (count_beginnings(rows, n, word) > 1)
		return ambiguous_long(rows, n, word);
	return unknown_long(rows, n, word);
}

static int missing_value(const struct arg *const *rows, size_t n)
{
	const struct arg *arg =
		optopt >= FIRST_LONG ? rows[optopt - FIRST_LONG] : find_letter(rows, n, optopt);

	if (!arg)
		return fail_text(-EINVAL, "an option lacks its value");
	return fail_text(-EINVAL, "option '--%s' needs a value: %s", arg->name, arg->value);
}

/* One of "a|b|c", whole. */
static bool is_choice(const struct arg *arg, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = arg->value; *p; p += strcspn(p, "|"), p += *p == '|')
		if (len && strcspn(p, "|") == len && !strncmp(p, word, len))
			return true;
	return false;
}

static int parse(int argc, char **argv, const struct arg *args, const struct arg *common, void *opts,
		 bool leading, char ***ret_operands, int *ret_n)
{
	struct option longs[ROWS_MAX + 2];
	const struct arg *rows[ROWS_MAX];
	char letters[LETTERS_MAX];
	size_t n = collect(args, common, rows);
	int c, r;

	describe(rows, n, leading, letters, longs);
	opterr = 0;
	optind = 0; /* start anew, wherever an earlier call stopped */
	while ((c = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
		const struct arg *arg = c >= FIRST_LONG ? rows[c - FIRST_LONG] : find_letter(rows, n, c);

		if (c == 'h')
			return ARGS_HELP;
		if (c == ':')
			return missing_value(rows, n);
		if (c == '?' || !arg)
			return refuse(rows, n, argv[optind > 0 ? optind - 1 : 0]);
		if (arg->bare && !optarg)
			optarg = optind < argc && is_choice(arg, argv[optind]) ? argv[optind++]
									       : (char *)arg->bare;
		r = set_value(arg, opts, optarg);
		if (r < 0)
			return r;
	}
	*ret_operands = argv + optind;
	*ret_n = argc - optind;
	return 0;
}

int args_parse(int argc, char **argv, const struct arg *args, const struct arg *common, void *opts,
	       char ***ret_operands, int *ret_n)
{
	return parse(argc, argv, args, common, opts, false, ret_operands, ret_n);
}

int args_parse_leading(int argc, char **argv, const struct arg *args, const struct arg *common, void *opts,
		       char ***ret_operands, int *ret_n)
{
	return parse(argc, argv, args, common, opts, true, ret_operands, ret_n);
}

/* ---- help ---- */

void args_help(FILE *out, const struct arg *args)
{
	for (; args && args->name; args++) {
		char left[80];
		int n;

		if (args->hidden)
			continue;
		n = snprintf(left, sizeof(left), "%s%c%s--%s%s%s%s", args->letter ? "-" : " ",
			     args->letter ? args->letter : ' ', args->letter ? ", " : "  ", args->name,
			     !takes_value(args) ? ""
			     : args->bare       ? " ["
						: " ",
			     takes_value(args) ? args->value : "", args->bare ? "]" : "");
		if (n >= HELP_COLUMN)
			fprintf(out, "  %s\n  %*s  %s\n", left, HELP_COLUMN, "", args->help);
		else
			fprintf(out, "  %-*s  %s\n", HELP_COLUMN, left, args->help);
	}
}
