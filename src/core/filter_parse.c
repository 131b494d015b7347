/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Text to a filter's tree.
 *
 *   any   = all { "or" all }
 *   all   = not { ["and"] not }                  side by side means and
 *   not   = { "not" } ( "(" any ")" | test )
 *   test  = KEYWORD [= != < <= > >=] values | 8000-8099,443 | :8080 | *:8080 | ADDR:PORT | ADDR:*
 *
 * It recurses once for each parenthesis, no deeper than FILTER_DEPTH_MAX.
 */
#include "core/filter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/filter_parser.h"
#include "util/cleanup.h"
#include "util/parse.h"

enum compare { IS_EQUAL, IS_NOT_EQUAL, IS_LESS, IS_AT_MOST, IS_GREATER, IS_AT_LEAST };

static struct filter_node *parse_any(struct parser *p);

static struct filter_node *node_free(struct filter_node *node)
{
	struct filter_node *next;

	for (; node; node = next) {
		next = node->next;
		node_free(node->child);
		for (size_t i = 0; i < node->n_values; i++)
			free(node->values[i].text);
		free(node->values);
		free(node);
	}
	return NULL;
}

/* ---- tests ---- */

static struct filter_node *node_new(struct parser *p, enum node_op op, size_t at)
{
	struct filter_node *node;

	if (p->error)
		return NULL;
	node = calloc(1, sizeof(*node));
	if (!node) {
		parser_no_memory(p);
		return NULL;
	}
	node->op = op;
	node->at = at;
	return node;
}

/* @node with its end set, or NULL and nothing left of it when something was wrong. */
static struct filter_node *finish(struct parser *p, struct filter_node *node)
{
	if (p->error || !node)
		return node_free(node);
	node->len = p->at - node->at;
	return node;
}

static struct filter_node *negate(struct parser *p, struct filter_node *node, size_t at)
{
	struct filter_node *outer;

	if (!node)
		return NULL;
	outer = node_new(p, NODE_NOT, at);
	if (!outer)
		return node_free(node);
	outer->child = node;
	return finish(p, outer);
}

/* Longest first, as signs; as words for shells, where < and > mean something else. */
static const struct {
	const char *sign, *word;
	enum compare compare;
} compares[] = {
	{ ">=", "ge", IS_AT_LEAST }, { "<=", "le", IS_AT_MOST }, { "!=", "ne", IS_NOT_EQUAL },
	{ "==", "eq", IS_EQUAL },    { "=", "eq", IS_EQUAL },    { ">", "gt", IS_GREATER },
	{ "<", "lt", IS_LESS },
};

static enum compare parse_compare(struct parser *p, bool words)
{
	for (size_t i = 0; i < ARRAY_SIZE(compares); i++) {
		if (parser_accept(p, words ? compares[i].word : compares[i].sign, compares[i].sign))
			return compares[i].compare;
	}
	return IS_EQUAL;
}

/* uid >= 1000 is the range 1000 to the largest. */
static int compare_value(struct parser *p, struct filter_node *node, enum compare compare)
{
	struct filter_value *value = &node->values[0];
	uint64_t lo = 0, hi = filter_keys[node->key].max;

	if (node->n_values > 1 || value->lo != value->hi)
		return parser_bad(p, node->at, p->at - node->at, "a comparison takes one number");
	if (compare == IS_LESS || compare == IS_AT_MOST)
		hi = (uint64_t)value->lo - (compare == IS_LESS);
	else
		lo = (uint64_t)value->lo + (compare == IS_GREATER);
	if (lo > hi || hi > UINT32_MAX)
		return parser_bad(p, node->at, p->at - node->at, "no %s can be that",
				  filter_keys[node->key].name);
	value->lo = (uint32_t)lo;
	value->hi = (uint32_t)hi;
	return 0;
}

static struct filter_node *parse_keyword(struct parser *p, enum filter_key key, size_t at, size_t len)
{
	struct filter_node *node = node_new(p, NODE_TEST, at);
	bool is_number = filter_keys[key].type == VALUE_NUMBER;
	enum compare compare;
	size_t sign;

	if (!node)
		return NULL;
	node->key = key;
	p->at = at + len;
	if (filter_keys[key].type == VALUE_NONE)
		return finish(p, node);
	parser_skip_spaces(p);
	sign = p->at;
	compare = parse_compare(p, is_number);
	if (!is_number && compare > IS_NOT_EQUAL)
		parser_bad(p, sign, p->at - sign, "%s has no order: only = and !=", filter_keys[key].what);
	value_parse_list(p, node, at, len);
	if (!p->error && compare > IS_NOT_EQUAL)
		compare_value(p, node, compare);
	node = finish(p, node);
	return compare == IS_NOT_EQUAL ? negate(p, node, at) : node;
}

/* 8080 and :8080 */
static struct filter_node *parse_ports(struct parser *p, size_t at, size_t start, size_t len)
{
	struct filter_node *node = node_new(p, NODE_TEST, at);

	if (!node)
		return NULL;
	node->key = KEY_PORT;
	p->at = start;
	value_parse_list(p, node, at, len);
	return finish(p, node);
}

static struct filter_node *parse_one_addr(struct parser *p, size_t at, size_t len)
{
	struct filter_node *node = node_new(p, NODE_TEST, at);
	struct filter_value *value = node ? value_add(p, node) : NULL;

	if (!value)
		return finish(p, node);
	node->key = KEY_ADDR;
	p->at = at + len;
	value_parse_addr(p, at, len, value);
	return finish(p, node);
}

/* ADDR:PORT; @colon is where the second of them stands in the text. */
static struct filter_node *parse_endpoint(struct parser *p, size_t at, size_t colon, size_t len)
{
	struct filter_node *both;

	if (at + len == colon + 2 && p->text[colon + 1] == '*') { /* any port, as ss has it */
		both = parse_one_addr(p, at, colon - at);
		p->at = at + len;
		return both;
	}
	both = node_new(p, NODE_AND, at);
	if (!both)
		return NULL;
	both->child = parse_one_addr(p, at, colon - at);
	if (both->child)
		both->child->next = parse_ports(p, colon, colon + 1, at + len - colon);
	return finish(p, both);
}

/* A word that is no keyword and no shorthand. */
static struct filter_node *unknown_word(struct parser *p, size_t at, size_t len)
{
	static const enum filter_key named[] = { KEY_PROTO, KEY_FAMILY, KEY_ACTION, KEY_ERRNO };
	auto_free char *word = strndup(p->text + at, len);
	const char *near = word ? keyword_nearest(word) : NULL;
	const char *other = word ? keyword_known_as(word) : NULL;
	uint32_t value;

	parser_bad(p, at, len, "'%.*s' is no keyword of a filter", parser_shown(len), p->text + at);
	for (size_t i = 0; i < ARRAY_SIZE(named); i++) {
		if (keyword_word(&filter_keys[named[i]], p->text + at, len, &value))
			parser_suggest(p, "did you mean '%s %.*s'?", filter_keys[named[i]].name,
				       parser_shown(len), p->text + at);
	}
	if (other)
		parser_suggest(p, "did you mean '%s'?", other);
	if (near)
		parser_suggest(p, "did you mean '%s'?", near);
	parser_suggest(p, "a process name is 'comm %.*s'", parser_shown(len), p->text + at);
	return NULL;
}

static bool is_address(const char *text, size_t len)
{
	uint8_t family, addr[16];
	char word[64];
	unsigned bits;

	if (len >= sizeof(word))
		return false;
	memcpy(word, text, len);
	word[len] = '\0';
	return parse_prefix(word, &family, addr, &bits) != -EINVAL;
}

/* Where the port of ADDR:PORT begins (its colon), or 0. One colon only, unless the address is in brackets. */
static size_t endpoint_colon(const char *text, size_t len)
{
	const char *bracket = memchr(text, ']', len), *colon;

	if (text[0] == '[') {
		colon = bracket ? memchr(bracket, ':', len - (size_t)(bracket - text)) : NULL;
		return colon ? (size_t)(colon - text) : 0;
	}
	colon = memchr(text, ':', len);
	if (!colon || memchr(colon + 1, ':', len - (size_t)(colon + 1 - text)))
		return 0;
	return (size_t)(colon - text);
}

enum shorthand { NO_SHORTHAND, PORTS, COLON_PORTS, STAR_PORTS, ENDPOINT, ADDRESS_ALONE };

static enum shorthand shorthand_of(const char *text, size_t len)
{
	bool digit = text[0] >= '0' && text[0] <= '9';

	if (!len)
		return NO_SHORTHAND;
	if (is_address(text, len))
		return ADDRESS_ALONE;
	if (text[0] == ':')
		return COLON_PORTS;
	if (text[0] == '*' && len > 1 && text[1] == ':')
		return STAR_PORTS;
	if ((digit || text[0] == '[') && endpoint_colon(text, len))
		return ENDPOINT;
	if (text[0] == '[')
		return ADDRESS_ALONE;
	return digit ? PORTS : NO_SHORTHAND;
}

static struct filter_node *parse_test(struct parser *p)
{
	size_t at = p->at, len = parser_word_len(p);
	const char *text = p->text + at;
	enum filter_key key;

	if (keyword_find(text, len, &key))
		return parse_keyword(p, key, at, len);
	switch (shorthand_of(text, len)) {
	case PORTS:
		return parse_ports(p, at, at, len);
	case COLON_PORTS:
		return parse_ports(p, at, at + 1, len);
	case STAR_PORTS:
		return parse_ports(p, at, at + 2, len);
	case ENDPOINT:
		return parse_endpoint(p, at, at + endpoint_colon(text, len), len);
	case ADDRESS_ALONE:
		parser_bad(p, at, len, "an address alone needs its keyword");
		parser_suggest(p, "did you mean 'addr %.*s'?", parser_shown(len), text);
		return NULL;
	default:
		return unknown_word(p, at, len);
	}
}

/* ---- and, or, not, ( ) ---- */

/* What stands here cannot begin anything. */
static struct filter_node *misplaced(struct parser *p)
{
	const char *text = p->text + p->at;
	size_t len = parser_word_len(p);

	if (*text == '\0' && p->joint_len)
		parser_bad(p, p->joint_at, p->joint_len, "nothing follows '%.*s'", (int)p->joint_len,
			   p->text + p->joint_at);
	else if (*text == ')')
		parser_bad(p, p->at, 1,
			   p->depth ? "nothing stands before this ')'" : "no '(' belongs to this ')'");
	else if (*text == '"' || *text == '\'')
		parser_bad(p, p->at, 1, "text in quotes needs a keyword before it");
	else if (!len)
		parser_bad(p, p->at, 1, "'%c' cannot stand here", *text);
	else
		parser_bad(p, p->at, len, "nothing stands before '%.*s'", parser_shown(len), text);
	return NULL;
}

static bool starts_operand(const struct parser *p)
{
	const char *text = p->text + p->at;
	size_t len = parser_word_len(p);

	if (*text == '(' || (*text == '!' && text[1] != '='))
		return true;
	return len && *text != '"' && *text != '\'' && !parser_word_is(text, len, "and") &&
	       !parser_word_is(text, len, "or");
}

static bool accept_joint(struct parser *p, const char *word, const char *sign)
{
	size_t at;

	parser_skip_spaces(p);
	at = p->at;
	if (!parser_accept(p, word, sign))
		return false;
	p->joint_at = at;
	p->joint_len = p->at - at;
	return true;
}

static struct filter_node *parse_parenthesis(struct parser *p)
{
	struct filter_node *node;
	size_t open = p->at;

	if (p->depth == FILTER_DEPTH_MAX) {
		parser_bad(p, open, 1, "parentheses are nested more than %d deep", FILTER_DEPTH_MAX);
		return NULL;
	}
	accept_joint(p, "(", "(");
	p->depth++;
	node = parse_any(p);
	p->depth--;
	parser_skip_spaces(p);
	if (p->text[p->at] == ')')
		p->at++;
	else if (p->text[p->at])
		misplaced(p);
	else
		parser_bad(p, open, 1, "this '(' is never closed");
	if (node)
		node->at = open;
	return finish(p, node);
}

static struct filter_node *parse_not(struct parser *p)
{
	struct filter_node *node;
	bool negated = false;
	size_t start;

	parser_skip_spaces(p);
	start = p->at;
	while (accept_joint(p, "not", "!"))
		negated = !negated;
	if (!starts_operand(p))
		return misplaced(p);
	node = p->text[p->at] == '(' ? parse_parenthesis(p) : parse_test(p);
	return negated ? negate(p, node, start) : node;
}

/* `8080 9090` can only be a mistake: no port is both. */
static void refuse_twins(struct parser *p, const struct filter_node *a, const struct filter_node *b)
{
	if (a->op != NODE_TEST || b->op != NODE_TEST || a->key != b->key)
		return;
	parser_bad(p, b->at, b->len, "two '%s' side by side, which nothing can be both of",
		   filter_keys[b->key].name);
	parser_suggest(p, "join them with 'or'");
}

struct nodes {
	struct filter_node *first, *last;
};

static void nodes_add(struct nodes *nodes, struct filter_node *node)
{
	if (nodes->last)
		nodes->last->next = node;
	else
		nodes->first = node;
	nodes->last = node;
}

/* One node stays what it is, more become an @op of them. */
static struct filter_node *nodes_join(struct parser *p, enum node_op op, struct nodes *nodes)
{
	struct filter_node *node = nodes->first;

	if (node && node == nodes->last && !p->error)
		return node;
	node = node ? node_new(p, op, node->at) : NULL;
	if (!node)
		return node_free(nodes->first);
	node->child = nodes->first;
	node->len = nodes->last->at + nodes->last->len - node->at;
	return node;
}

static struct filter_node *parse_all(struct parser *p)
{
	struct nodes nodes = { NULL };

	do {
		bool said = p->joint_len != 0;
		struct filter_node *node = parse_not(p);

		if (node && nodes.last && !said)
			refuse_twins(p, nodes.last, node);
		if (node)
			nodes_add(&nodes, node);
		p->joint_len = 0;
	} while (!p->error && (accept_joint(p, "and", "&&") || starts_operand(p)));
	return nodes_join(p, NODE_AND, &nodes);
}

static struct filter_node *parse_any(struct parser *p)
{
	struct nodes nodes = { NULL };

	do {
		struct filter_node *node = parse_all(p);

		if (node)
			nodes_add(&nodes, node);
	} while (!p->error && accept_joint(p, "or", "||"));
	return nodes_join(p, NODE_OR, &nodes);
}

static int parse_text(struct parser *p, struct filter_node **ret)
{
	struct filter_node *root;

	parser_skip_spaces(p);
	if (p->text[p->at] == '\0')
		return 0;
	if (strlen(p->text) > FILTER_LENGTH_MAX)
		return parser_bad(p, 0, 1, "the filter is longer than %d bytes", FILTER_LENGTH_MAX);
	root = parse_any(p);
	parser_skip_spaces(p);
	if (!p->error && p->text[p->at])
		misplaced(p);
	if (p->error) {
		node_free(root);
		return p->error;
	}
	*ret = root;
	return 0;
}

struct filter *filter_free(struct filter *f)
{
	if (!f)
		return NULL;
	node_free(f->root);
	free(f->text);
	free(f);
	return NULL;
}

bool filter_word_starts(const char *word)
{
	struct parser p = { .text = word };
	enum filter_key key;
	size_t len;

	parser_skip_spaces(&p);
	word += p.at;
	len = parser_word_len(&p);
	if (*word == '(' || *word == '!')
		return true;
	return parser_word_is(word, len, "not") || keyword_find(word, len, &key) ||
	       shorthand_of(word, len) != NO_SHORTHAND;
}

int filter_parse(const char *text, struct filter **ret_filter, struct filter_error *ret_error)
{
	struct parser p = { .text = text, .said = ret_error };
	struct filter *f;
	int r;

	*ret_error = (struct filter_error){ 0 };
	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	f->text = strdup(text);
	r = f->text ? parse_text(&p, &f->root) : -ENOMEM;
	if (r < 0) {
		filter_free(f);
		return r;
	}
	*ret_filter = f;
	return 0;
}
