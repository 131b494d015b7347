/* SPDX-License-Identifier: GPL-2.0-only */
/* Match what was told with what must be told, one pattern an event. */
#include "live/actor/expect.h"

#include <stdlib.h>
#include <string.h>

#include "live/actor/actor.h"
#include "live/actor/play.h"
#include "util/cleanup.h"

#define WORDS_MAX 32
#define SOCKETS_MAX 512
#define TEXT_MAX 384

static const struct {
	const char *name;
	const char *path;
} short_names[] = {
	{ "family", "socket.family" },
	{ "cookie", "socket.cookie" },
	{ "inode", "socket.inode" },
	{ "netns", "socket.netns.id" },
	{ "reuseaddr", "socket.reuseaddr" },
	{ "reuseport", "socket.reuseport" },
	{ "v6only", "socket.v6only" },
	{ "freebind", "socket.freebind" },
	{ "transparent", "socket.transparent" },
	{ "iface", "socket.iface" },
	{ "backlog", "socket.backlog" },
	{ "requested_port", "socket.requested_port" },
	{ "requested_addr", "socket.requested_addr" },
	{ "sock_uid", "socket.uid" },
	{ "closer", "closed_by.pid" },
	{ "code", "reason_code" },
	{ "kind", "holder.kind" },
	{ "hpid", "holder.pid" },
	{ "hcomm", "holder.comm" },
	{ "haddr", "holder.addr" },
	{ "hport", "holder.port" },
	{ "huid", "holder.uid" },
	{ "pid", "process.pid" },
	{ "tid", "process.tid" },
	{ "uid", "process.uid" },
	{ "comm", "process.comm" },
	{ "comm_hex", "process.comm_hex" },
	{ "exe", "process.exe" },
};

/* What an event of these actions must have when its pattern does not speak of the same field. */
static const struct {
	const char *actions;
	const char *word;
} defaults[] = {
	{ "bind listen autobind release free handoff snapshot", "netns=@netns" },
	{ "bind listen autobind release free handoff snapshot", "+socket.id" },
	{ "bind listen autobind release free snapshot", "pid=@self" },
	{ "bind listen autobind release", "comm=@comm" },
	{ "bind listen autobind", "uid=0" },
	{ "bind listen autobind", "exe=@exe" },
	{ "release", "+held_us" },
};

/* A pattern cut into words. */
struct pattern {
	char text[TEXT_MAX];
	const char *action;
	const char *error; /* NULL: it worked */
	const char *proto; /* NULL: not about a socket */
	const char *endpoint;
	char label[64];
	const char *words[WORDS_MAX];
	size_t n_words;
	unsigned repeat;
	bool many; /* one pattern for several sockets: nothing is said about their ids */
	bool told; /* with the hooks that are in use */
	bool matched;
};

static bool is_proto(const char *word)
{
	return !strcmp(word, "tcp") || !strcmp(word, "udp") || !strcmp(word, "mptcp");
}

static void take_repeat(struct pattern *p, const char *count)
{
	p->repeat = (unsigned)atoi(*count == '@' ? noted(count + 1) ?: "0" : count);
	p->many = true;
}

static void take_word(struct pattern *p, const char *word)
{
	if (!p->proto && is_proto(word))
		p->proto = word;
	else if (p->proto && !p->endpoint && !strchr(word, '=') && !strchr("#*+", *word ?: '#'))
		p->endpoint = word;
	else if (p->proto && !p->endpoint && *word == '*' && word[1] == ':')
		p->endpoint = word;
	else if (*word == '#')
		snprintf(p->label, sizeof(p->label), "%s", word);
	else if (*word == '*')
		take_repeat(p, word + 1);
	else
		p->words[p->n_words++] = word;
}

static bool is_said(const struct pattern *p, const char *word);

static void add_defaults(struct pattern *p)
{
	for (size_t i = 0; i < ARRAY_SIZE(defaults); i++) {
		if (!is_said(p, defaults[i].word) && strstr(defaults[i].actions, p->action) &&
		    p->n_words < WORDS_MAX)
			p->words[p->n_words++] = defaults[i].word;
	}
}

static void pattern_parse(struct pattern *p, const char *text, const char *hooks)
{
	char *save, *word;

	*p = (struct pattern){ .repeat = 1, .told = true };
	snprintf(p->text, sizeof(p->text), "%s", text);
	word = strtok_r(p->text, " ", &save);
	if (word[strlen(word) - 1] == ':') {
		p->told = strlen(word) == strlen(hooks) + 1 && !strncmp(word, hooks, strlen(hooks));
		word = strtok_r(NULL, " ", &save);
	}
	p->action = strsep(&word, "!");
	p->error = word;
	while ((word = strtok_r(NULL, " ", &save)) && p->n_words < WORDS_MAX)
		take_word(p, word);
	if (!*p->label && p->proto)
		snprintf(p->label, sizeof(p->label), "%s %s", p->proto, p->endpoint ?: "");
	add_defaults(p);
}

/* ---- one word against one event ---- */

/* "pid=@self" into its path and "@self"; the operator is returned: '=', '!', '+', '-'. */
static char split_word(const char *word, char path[64], const char **ret_value)
{
	size_t len = strcspn(word, "=");
	char op = '=';

	if (*word == '+' || *word == '-') {
		op = *word++;
		len = strlen(word);
	} else if (word[len - 1] == '!') {
		op = '!';
	}
	*ret_value = word[len] ? word + len + 1 : "";
	snprintf(path, 64, "%.*s", (int)(op == '!' ? len - 1 : len), word);
	for (size_t i = 0; i < ARRAY_SIZE(short_names); i++) {
		if (!strcmp(path, short_names[i].name))
			snprintf(path, 64, "%s", short_names[i].path);
	}
	return op;
}

static bool is_said(const struct pattern *p, const char *word)
{
	char path[64], other[64];
	const char *value;

	split_word(word, path, &value);
	for (size_t i = 0; i < p->n_words; i++) {
		split_word(p->words[i], other, &value);
		if (!strcmp(path, other))
			return true;
	}
	return false;
}

/* @want is one of several: a text, "@name", or "-" for absent. */
static bool is_one(const struct json *v, const char *want, size_t len)
{
	char text[TEXT_MAX];
	const char *meant = text;

	snprintf(text, sizeof(text), "%.*s", (int)len, want);
	if (!strcmp(text, "-"))
		return !v;
	if (*text == '@')
		meant = noted(text + 1);
	return v && meant && !strcmp(v->text, meant);
}

static bool is_any_of(const struct json *v, const char *wanted)
{
	for (;;) {
		size_t len = strcspn(wanted, "|");

		if (is_one(v, wanted, len))
			return true;
		if (!wanted[len])
			return false;
		wanted += len + 1;
	}
}

static bool word_holds(const char *word, const struct event *e)
{
	const char *value;
	const struct json *v;
	char path[64], op = split_word(word, path, &value);

	v = json_at(e->root, path);
	switch (op) {
	case '+':
		return v;
	case '-':
		return !v;
	case '!':
		return !is_any_of(v, value);
	default:
		return is_any_of(v, value);
	}
}

static bool refuse(FILE *out, const struct event *e, const char *path, const char *want)
{
	const struct json *v = json_at(e->root, path);

	if (out)
		fprintf(out, "    %s is %s, not %s%s%s\n", path, v ? v->text : "absent", want,
			*want == '@' ? ", which is " : "",
			*want == '@' ? noted(want + 1) ?: "not known" : "");
	return false;
}

/* "127.0.0.1:5001", "[::1]:@port", "*:5001", "-" */
static bool endpoint_holds(const char *endpoint, const struct event *e, FILE *out)
{
	const char *colon = strrchr(endpoint, ':');
	char addr[64];

	if (!colon)
		return true;
	snprintf(addr, sizeof(addr), "%.*s", (int)(colon - endpoint), endpoint);
	if (*addr == '[') {
		memmove(addr, addr + 1, strlen(addr));
		addr[strlen(addr) - 1] = '\0';
	}
	if (strcmp(addr, "*") != 0 && !is_any_of(json_at(e->root, "socket.addr"), addr))
		return refuse(out, e, "socket.addr", addr);
	if (strcmp(colon, ":*") != 0 && !is_any_of(json_at(e->root, "socket.port"), colon + 1))
		return refuse(out, e, "socket.port", colon + 1);
	return true;
}

static bool result_holds(const struct pattern *p, const struct event *e, FILE *out)
{
	bool is_call = !strcmp(p->action, "bind") || !strcmp(p->action, "listen");

	if (is_call && !is_any_of(json_at(e->root, "result"), p->error ? "error" : "ok"))
		return refuse(out, e, "result", p->error ? "error" : "ok");
	if (!is_any_of(json_at(e->root, "errno"), p->error ?: "-"))
		return refuse(out, e, "errno", p->error ?: "absent");
	return true;
}

static bool pattern_holds(const struct pattern *p, const struct event *e, FILE *out)
{
	char path[64];
	const char *value;

	if (!is_any_of(json_at(e->root, "action"), p->action))
		return refuse(out, e, "action", p->action);
	if (!result_holds(p, e, out))
		return false;
	if (p->proto && !is_any_of(json_at(e->root, "socket.proto"), p->proto))
		return refuse(out, e, "socket.proto", p->proto);
	if (p->endpoint && !endpoint_holds(p->endpoint, e, out))
		return false;
	for (size_t i = 0; i < p->n_words; i++) {
		if (word_holds(p->words[i], e))
			continue;
		split_word(p->words[i], path, &value);
		return refuse(out, e, path, *value ? value : p->words[i]);
	}
	return true;
}

/* ---- the same socket, the same id ---- */

struct identity {
	char label[64];
	uint64_t id;
};

struct identities {
	struct identity known[SOCKETS_MAX];
	size_t n;
};

static struct identity *identity_of(struct identities *ids, const char *label)
{
	for (size_t i = 0; i < ids->n; i++) {
		if (!strcmp(ids->known[i].label, label))
			return &ids->known[i];
	}
	if (ids->n == SOCKETS_MAX)
		return NULL;
	snprintf(ids->known[ids->n].label, sizeof(ids->known[0].label), "%s", label);
	return &ids->known[ids->n++];
}

/* A socket's first record names it; a bind or a snapshot is always the first. */
static bool identity_holds(struct identities *ids, const struct pattern *p, const struct event *e, FILE *out)
{
	bool is_one = p->proto && !p->error && !p->many;
	struct identity *known = is_one ? identity_of(ids, p->label) : NULL;
	uint64_t id = json_number_at(e->root, "socket.id"), seq = json_number_at(e->root, "seq");
	bool first = known && (!known->id || !strcmp(p->action, "bind") || !strcmp(p->action, "snapshot"));

	if (!known)
		return true;
	if (id == (first ? seq : known->id)) {
		known->id = id;
		return true;
	}
	fprintf(out, "    socket.id is %ju, not %ju (%s)\n", (uintmax_t)id,
		(uintmax_t)(first ? seq : known->id), first ? "seq of its first record" : "as before");
	return false;
}

/* ---- a whole situation ---- */

static size_t count_all(const char *const *texts, const char *hooks)
{
	struct pattern p;
	size_t n = 0;

	for (; *texts; texts++) {
		pattern_parse(&p, *texts, hooks);
		n += p.told ? p.repeat : 0;
	}
	return n;
}

/* A parsed pattern points into itself, so it is parsed where it stays. */
static struct pattern *parse_all(const char *const *texts, const char *hooks, size_t n)
{
	struct pattern *all = calloc(n + 1, sizeof(*all)), *p = all;

	if (!all)
		abort();
	for (; *texts; texts++) {
		pattern_parse(p, *texts, hooks);
		for (unsigned left = p->told ? p->repeat : 0; left; left--)
			pattern_parse(p++, *texts, hooks);
	}
	return all;
}

static void show_pattern(const struct pattern *p, FILE *out)
{
	fprintf(out, "  expected: %s%s%s%s%s %s", p->action, p->error ? "!" : "", p->error ?: "",
		p->proto ? " " : "", p->proto ?: "", p->endpoint ?: "");
	for (size_t i = 0; i < p->n_words; i++)
		fprintf(out, " %s", p->words[i]);
	fputc('\n', out);
}

static bool is_first_of_its_socket(const struct pattern *all, const struct pattern *p)
{
	for (const struct pattern *q = all; q < p; q++) {
		if (!q->matched && *p->label && !strcmp(q->label, p->label))
			return false;
	}
	return true;
}

/* The pattern that @e fulfils; with @any_order any that is its socket's next. NULL: none. */
static struct pattern *find_pattern(struct pattern *all, size_t n, bool any_order, const struct event *e)
{
	for (struct pattern *p = all; p < all + n; p++) {
		if (p->matched)
			continue;
		if (pattern_holds(p, e, NULL) && (!any_order || is_first_of_its_socket(all, p)))
			return p;
		if (!any_order)
			return NULL;
	}
	return NULL;
}

/* Meant for @e, if any is: the first one left, or with @any_order the first of the same socket. */
static struct pattern *likely_pattern(struct pattern *all, size_t n, bool any_order, const struct event *e)
{
	struct pattern *first = NULL;

	for (struct pattern *p = all; p < all + n; p++) {
		if (p->matched)
			continue;
		first = first ?: p;
		if (!any_order || (is_any_of(json_at(e->root, "action"), p->action) && p->endpoint &&
				   endpoint_holds(p->endpoint, e, NULL)))
			return p;
	}
	return first;
}

/* What was told, beside what it should have been; a pattern of the same action is then done with: NULL, or that one. */
static struct pattern *explain_mismatch(struct pattern *all, size_t n, bool any_order, const struct event *e,
					FILE *out)
{
	struct pattern *p = likely_pattern(all, n, any_order, e);

	fprintf(out, "  got: %s\n", e->line);
	if (!p) {
		fprintf(out, "  expected: nothing more\n");
		return NULL;
	}
	show_pattern(p, out);
	(void)pattern_holds(p, e, out);
	return is_any_of(json_at(e->root, "action"), p->action) ? p : NULL;
}

bool expect_check(const char *const *patterns, bool any_order, const struct event *events, size_t n,
		  const struct expect_facts *facts, FILE *out)
{
	auto_free struct identities *ids = calloc(1, sizeof(*ids));
	size_t n_all = count_all(patterns, facts->hooks);
	auto_free struct pattern *all = parse_all(patterns, facts->hooks, n_all);
	bool fine = true;

	note("netns", "%u", facts->netns);
	for (size_t i = 0; i < n; i++) {
		struct pattern *p = find_pattern(all, n_all, any_order, &events[i]);

		if (!p) {
			p = explain_mismatch(all, n_all, any_order, &events[i], out);
			fine = false;
		}
		if (p) {
			p->matched = true;
			fine &= identity_holds(ids, p, &events[i], out);
		}
	}
	for (size_t i = 0; i < n_all; i++) {
		if (all[i].matched)
			continue;
		fprintf(out, "  never told:\n");
		show_pattern(&all[i], out);
		fine = false;
	}
	return fine;
}
