/* SPDX-License-Identifier: GPL-2.0-only */
/* Which kinds of sinks there are, and the words that ask for one. */
#include "sink/sinks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "util/args.h"
#include "util/caret.h"
#include "util/cleanup.h"
#include "util/fail.h"

static const struct {
	const char *name;
	const struct sink_kind *kind; /* NULL: not in this build */
} kinds[] = {
#define SINK_ROW(x) { #x, &kind_##x },
	SINKS(SINK_ROW)
#undef SINK_ROW
};

/* A part of a text. */
struct part {
	size_t at, len;
};

/* "KIND[:ARGUMENT][ FILTER]", by places. */
struct words {
	struct part kind, argument, name;
	bool has_argument;
	size_t filter_at;
};

static int words_find(const char *text, struct words *ret)
{
	size_t at = strcspn(text, ": ");

	*ret = (struct words){ .kind = { 0, at } };
	ret->has_argument = text[at] == ':';
	if (ret->has_argument && text[at + 1] == '"') {
		ret->argument.at = at + 2;
		ret->argument.len = strcspn(text + at + 2, "\"");
		at = ret->argument.at + ret->argument.len;
		if (!text[at])
			return fail_caret(text, ret->argument.at - 1, 1, "this quote is not closed", "");
		at++;
		if (text[at] && text[at] != ' ')
			return fail_caret(text, at, 1, "a space has to follow the quote", "");
	} else if (ret->has_argument) {
		ret->argument.at = at + 1;
		ret->argument.len = strcspn(text + at + 1, " ");
		at = ret->argument.at + ret->argument.len;
	}
	ret->name.len = at;
	ret->filter_at = at + strspn(text + at, " ");
	return 0;
}

static void kind_unknown(const char *text, struct part word)
{
	const char *names[ARRAY_SIZE(kinds) + 1] = { 0 }, *near;
	char what[96], suggestion[96] = "the kinds are ", typed[32];
	size_t n = 0, len = strlen(suggestion);

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].kind)
			names[n++] = kinds[i].name;
	for (size_t i = 0; i < n && len < sizeof(suggestion); i++)
		len += (size_t)snprintf(suggestion + len, sizeof(suggestion) - len, "%s%s", i ? ", " : "",
					names[i]);
	snprintf(typed, sizeof(typed), "%.*s", (int)(word.len < 31 ? word.len : 31), text + word.at);
	near = nearest_word(typed, names);
	if (near)
		snprintf(suggestion, sizeof(suggestion), "did you mean '%s'?", near);
	snprintf(what, sizeof(what), "there is no kind of sink called '%s'", typed);
	fail_caret(text, word.at, word.len ? word.len : 1, what, suggestion);
}

/* NULL: there is none, with a story. */
static const struct sink_kind *kind_find(const char *text, struct part word)
{
	char what[96];

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (strlen(kinds[i].name) != word.len || memcmp(kinds[i].name, text + word.at, word.len) != 0)
			continue;
		if (kinds[i].kind)
			return kinds[i].kind;
		snprintf(what, sizeof(what), "this build has no %s sink", kinds[i].name);
		fail_caret(text, word.at, word.len, what, "");
		return NULL;
	}
	kind_unknown(text, word);
	return NULL;
}

static int argument_check(const char *text, const struct words *w, const struct sink_kind *kind)
{
	char what[96];

	if (w->has_argument && !kind->argument)
		return fail_caret(text, w->argument.at, w->argument.len ? w->argument.len : 1,
				  "this kind of sink takes no argument", "");
	if (w->argument.len || (!w->has_argument && (kind->optional || !kind->argument)))
		return 0;
	snprintf(what, sizeof(what), "%s is missing", kind->argument);
	return fail_caret(text, w->name.len, 1, what, "");
}

/* Also under another name: two sinks in one file would write their lines into each other. */
static bool is_same(const struct sink_spec *a, const struct sink_spec *b)
{
	struct stat one, other;

	if (a->kind != b->kind || !a->argument != !b->argument)
		return false;
	if (!a->argument || !strcmp(a->argument, b->argument))
		return true;
	return !stat(a->argument, &one) && !stat(b->argument, &other) && one.st_dev == other.st_dev &&
	       one.st_ino == other.st_ino;
}

static int same_check(const struct sinks *s, const char *text, const struct words *w,
		      const struct sink_spec *spec)
{
	for (size_t i = 0; i < s->n; i++)
		if (is_same(&s->list[i], spec))
			return fail_caret(text, 0, w->name.len, "another --sink writes there already", "");
	return 0;
}

static int filter_read(const char *text, size_t at, const struct sink_kind *kind, struct filter **ret)
{
	const bool given = text[at];
	const char *words = given ? text + at : kind->filter;
	struct filter_error error;
	int r;

	if (!words)
		return 0;
	r = filter_parse(words, ret, &error);
	if (r == -EINVAL)
		return fail_caret(text, given ? at + error.at : 0, error.len, error.message,
				  error.suggestion);
	return r ? fail(r, "read a filter") : 0;
}

static void spec_done(struct sink_spec *spec)
{
	free(spec->name);
	free(spec->argument);
	filter_free(spec->filter);
}

static int spec_read(const struct sinks *s, const char *text, struct sink_spec *spec)
{
	struct words w;
	int r = words_find(text, &w);

	if (r)
		return r;
	spec->kind = kind_find(text, w.kind);
	if (!spec->kind)
		return -EINVAL;
	r = argument_check(text, &w, spec->kind);
	if (r)
		return r;
	spec->name = strndup(text, w.name.len);
	spec->argument = w.has_argument ? strndup(text + w.argument.at, w.argument.len) : NULL;
	if (!spec->name || (w.has_argument && !spec->argument))
		return fail(-ENOMEM, "read --sink");
	r = same_check(s, text, &w, spec);
	return r ? r : filter_read(text, w.filter_at, spec->kind, &spec->filter);
}

int sinks_add(struct sinks *s, const char *text)
{
	struct sink_spec spec = { 0 };
	int r;

	if (s->n == ARRAY_SIZE(s->list) - 2) /* the history and the metrics are sinks too */
		return fail_text(-EINVAL, "--sink can be given %zu times", s->n);
	r = spec_read(s, text, &spec);
	if (r)
		spec_done(&spec);
	else
		s->list[s->n++] = spec;
	return r;
}

void sinks_done(struct sinks *s)
{
	for (size_t i = 0; i < s->n; i++)
		spec_done(&s->list[i]);
	s->n = 0;
}

struct writer_sink sink_spec_writer(const struct sink_spec *spec)
{
	return (struct writer_sink){
		.ops = spec->kind->ops,
		.options = { .fd = -1, .arg = spec->argument },
		.name = spec->name,
		.filter = spec->filter,
	};
}
