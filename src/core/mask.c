/* SPDX-License-Identifier: GPL-2.0-only */
/* Finds what looks like a secret in an argument: by the name before it, or as the password of a URL. */
#include "core/mask.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "util/buf.h"
#include "util/cleanup.h"

#define MASKED "***"

struct text {
	const char *at;
	size_t len;
};

struct span {
	size_t from, to;
};

enum where { ANYWHERE, AT_END };

/* A name with one of these words in it names a secret. A header's value goes on to the end of its line. */
static const struct word {
	const char *word;
	enum where where;
	bool header;
} secret_words[] = {
	{ "password", ANYWHERE, false },     { "passwd", ANYWHERE, false },
	{ "passphrase", ANYWHERE, false },   { "secret", ANYWHERE, false },
	{ "credential", ANYWHERE, false },   { "apikey", ANYWHERE, false },
	{ "api-key", ANYWHERE, false },      { "pass", AT_END, false },
	{ "-pwd", AT_END, false },           { "_pwd", AT_END, false },
	{ "token", AT_END, false },          { "_key", AT_END, false },
	{ "accesskey", AT_END, false },      { "access-key", AT_END, false },
	{ "privatekey", AT_END, false },     { "private-key", AT_END, false },
	{ "authkey", AT_END, false },        { "auth-key", AT_END, false },
	{ "account-key", AT_END, false },    { "accountkey", AT_END, false },
	{ "master-key", AT_END, false },     { "signing-key", AT_END, false },
	{ "encryption-key", AT_END, false }, { "license-key", AT_END, false },
	{ "masterauth", AT_END, false },     { "authorization", AT_END, true },
	{ "cookie", AT_END, true },
};

/* ... unless it ends in one of these: then the value says where the secret is. */
static const char *const harmless_ends[] = { "file", "path", "dir", "stdin", "prompt" };

/* Options whose value is user:password. */
static const char *const login_options[] = { "-u", "--user", "--proxy-user" };

static bool ends_in(struct text t, const char *end)
{
	size_t len = strlen(end);

	return t.len >= len && !strncasecmp(t.at + t.len - len, end, len);
}

static bool contains(struct text t, const char *word)
{
	for (; t.len >= strlen(word); t.at++, t.len--) {
		if (!strncasecmp(t.at, word, strlen(word)))
			return true;
	}
	return false;
}

/* The word that makes @name the name of a secret, or NULL. */
static const struct word *secret_word(struct text name)
{
	for (size_t i = 0; i < ARRAY_SIZE(harmless_ends); i++) {
		if (ends_in(name, harmless_ends[i]))
			return NULL;
	}
	for (size_t i = 0; i < ARRAY_SIZE(secret_words); i++) {
		const struct word *w = &secret_words[i];

		if (w->where == AT_END ? ends_in(name, w->word) : contains(name, w->word))
			return w;
	}
	return NULL;
}

static bool in_name(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '.';
}

static bool is_quote(char c)
{
	return c == '"' || c == '\'';
}

static bool is_space(char c)
{
	return isspace((unsigned char)c);
}

/* Does something end at @c: a parameter of a URL, a part of a connection string, a word of a script? */
static bool ends_value(char c)
{
	return is_space(c) || is_quote(c) || c == '&' || c == ';' || c == ',';
}

/* The name before the separator at @sep. Before a colon there may be a quote and spaces, as in JSON. */
static struct text name_before(struct text arg, size_t sep)
{
	size_t end = sep, from;

	while (arg.at[sep] == ':' && end > 0 &&
	       (is_space(arg.at[end - 1]) || is_quote(arg.at[end - 1]) || arg.at[end - 1] == '\\'))
		end--;
	for (from = end; from > 0 && in_name(arg.at[from - 1]); from--)
		;
	return (struct text){ arg.at + from, end - from };
}

/* Is the argument one thing up to @name, so that its value is all the rest? */
static bool is_whole(struct text arg, struct text name)
{
	for (const char *c = arg.at; c < name.at; c++) {
		if (ends_value(*c) || *c == '?' || *c == '{')
			return false;
	}
	return true;
}

static size_t quoted_end(struct text arg, size_t from, char quote, bool escaped)
{
	size_t i = from;

	for (; i < arg.len; i++) {
		if (escaped && arg.at[i] == '\\' && i + 1 < arg.len && arg.at[i + 1] == quote)
			return i;
		if (!escaped && arg.at[i] == quote)
			return i;
		if (!escaped && arg.at[i] == '\\')
			i++;
	}
	return arg.len;
}

/* Where the value of @name after the separator at @sep begins and ends. */
static struct span value_after(struct text arg, size_t sep, struct text name, bool header)
{
	struct span s = { sep + 1, arg.len };
	bool escaped;

	while (s.from < arg.len && is_space(arg.at[s.from]))
		s.from++;
	escaped = s.from + 1 < arg.len && arg.at[s.from] == '\\' && is_quote(arg.at[s.from + 1]);
	if (is_whole(arg, name))
		return s;
	if (s.from < arg.len && (escaped || is_quote(arg.at[s.from]))) {
		s.from += escaped;
		s.to = quoted_end(arg, s.from + 1, arg.at[s.from], escaped);
		s.from++;
		return s;
	}
	for (s.to = s.from; s.to < arg.len; s.to++) {
		char c = arg.at[s.to];

		if (header ? is_quote(c) || c == '\n' : ends_value(c))
			break;
	}
	return s;
}

/* The password between the colon at @colon and the last @ of this word: of user:password@host, with a scheme or not. */
static struct span login_after(struct text arg, size_t colon)
{
	struct span s = { colon + 1, colon + 1 };
	static const char digest[] = "@sha256:"; /* the name of an image, which is no secret */

	for (size_t i = s.from;
	     i < arg.len && arg.at[i] != '/' && !is_space(arg.at[i]) && !is_quote(arg.at[i]); i++) {
		if (arg.at[i] != '@')
			continue;
		if (arg.len - i >= sizeof(digest) - 1 && !memcmp(arg.at + i, digest, sizeof(digest) - 1))
			break;
		s.to = i;
	}
	return s;
}

/* The word after "Bearer " at @at, if that is there. */
static struct span bearer_at(struct text arg, size_t at)
{
	static const char scheme[] = "bearer ";
	struct span s = { at, at };

	if (arg.len - at < sizeof(scheme) || strncasecmp(arg.at + at, scheme, sizeof(scheme) - 1))
		return s;
	if (at > 0 && in_name(arg.at[at - 1]))
		return s;
	s.from = s.to = at + sizeof(scheme) - 1;
	while (s.to < arg.len && !is_space(arg.at[s.to]) && !is_quote(arg.at[s.to]))
		s.to++;
	return s;
}

/* What is secret because of what stands at @at; empty: nothing. */
static struct span secret_at(struct text arg, size_t at)
{
	const struct word *w;
	struct text name;

	if (arg.at[at] != '=' && arg.at[at] != ':')
		return bearer_at(arg, at);
	name = name_before(arg, at);
	w = secret_word(name);
	if (w)
		return value_after(arg, at, name, w->header);
	if (arg.at[at] == ':')
		return login_after(arg, at);
	return (struct span){ at, at };
}

static void put_masked(struct buf *b, struct text arg)
{
	size_t done = 0;

	for (size_t i = 0; i < arg.len; i++) {
		struct span s = secret_at(arg, i);

		if (s.from >= s.to)
			continue;
		buf_put(b, arg.at + done, s.from - done);
		buf_puts(b, MASKED);
		done = s.to;
		i = s.to - 1;
	}
	buf_put(b, arg.at + done, arg.len - done);
}

static bool is_login_option(struct text arg)
{
	for (size_t i = 0; i < ARRAY_SIZE(login_options); i++) {
		if (arg.len == strlen(login_options[i]) && !memcmp(arg.at, login_options[i], arg.len))
			return true;
	}
	return false;
}

/* An option alone, whose value is the next argument. */
static bool is_secret_option(struct text arg)
{
	if (!arg.len || arg.at[0] != '-' || memchr(arg.at, '=', arg.len) || memchr(arg.at, ':', arg.len))
		return false;
	return secret_word(arg) != NULL;
}

void mask_arg(struct buf *b, struct mask *m, const char *arg, size_t len)
{
	struct text text = { arg, len };
	const struct mask before = *m;
	const char *colon = memchr(arg, ':', len);

	*m = (struct mask){ .next_is_secret = is_secret_option(text),
			    .next_is_login = is_login_option(text) };
	if (before.next_is_secret && len && arg[0] != '-') {
		buf_puts(b, MASKED);
	} else if (before.next_is_login && colon) {
		buf_put(b, arg, (size_t)(colon - arg) + 1);
		buf_puts(b, MASKED);
	} else {
		put_masked(b, text);
	}
}
