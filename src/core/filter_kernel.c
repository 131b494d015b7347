/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The part of a filter that the kernel can judge. What it lets through is judged again here, so it may be weaker, never
 * stronger: of `and` one side is enough, `or` needs both sides, `not` gives nothing.
 *
 * Of `port 80 and port 90` only one side is taken, never what both have in common: an event has the port that was asked
 * for and the one that is held, and each side may mean another of them.
 */
#include "core/filter.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "core/filter_tree.h"

#define UNBOUND UINT32_MAX
#define NETNS_MAX (sizeof(((struct filter_kernel *)NULL)->netns) / sizeof(const char *))

/* The questions that the kernel can answer. */
enum judge { JUDGE_PORT, JUDGE_NETNS, JUDGE_FAILED, JUDGE_PID, N_JUDGES };

static const enum filter_key judged[N_JUDGES] = {
	[JUDGE_PORT] = KEY_PORT,
	[JUDGE_NETNS] = KEY_NETNS,
	[JUDGE_FAILED] = KEY_FAILED,
	[JUDGE_PID] = KEY_PID,
};

/* Port 0 can only be asked for: a release of such a socket does not show it, so it binds nothing. */
static uint32_t ports_weight(const struct filter_node *test)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < test->n_values; i++) {
		const struct filter_value *value = &test->values[i];

		if (value->lo == 0)
			return UNBOUND;
		sum += value->hi - value->lo + 1;
	}
	return sum;
}

static uint32_t netns_weight(const struct filter_node *test)
{
	for (size_t i = 0; i < test->n_values; i++) {
		if (strpbrk(test->values[i].text, "*?"))
			return UNBOUND;
	}
	return test->n_values <= NETNS_MAX ? (uint32_t)test->n_values : UNBOUND;
}

/* How much is let through when @test alone judges: the less the better; UNBOUND when it cannot judge. */
static uint32_t test_weight(const struct filter_node *test, enum judge judge)
{
	if (judge == JUDGE_FAILED && test->key == KEY_ERRNO)
		return 1;
	if (test->key != judged[judge])
		return UNBOUND;
	switch (judge) {
	case JUDGE_PORT:
		return ports_weight(test);
	case JUDGE_NETNS:
		return netns_weight(test);
	case JUDGE_PID:
		return test->n_values == 1 && test->values[0].lo == test->values[0].hi ? 1 : UNBOUND;
	default:
		return 1;
	}
}

static uint32_t weight(const struct filter_node *node, enum judge judge)
{
	uint32_t best = UNBOUND, w;
	uint64_t sum = 0;

	if (node->op == NODE_TEST)
		return test_weight(node, judge);
	if (node->op == NODE_NOT)
		return UNBOUND;
	for (const struct filter_node *child = node->child; child; child = child->next) {
		w = weight(child, judge);
		best = w < best ? w : best;
		sum = w == UNBOUND || sum >= UNBOUND ? UNBOUND : sum + w;
	}
	if (node->op == NODE_AND)
		return best;
	return sum < UNBOUND ? (uint32_t)sum : UNBOUND;
}

/* Call @each for the tests that judge, of a @node that is bound. */
static void walk(const struct filter_node *node, enum judge judge,
		 void (*each)(void *arg, const struct filter_node *test), void *arg)
{
	const struct filter_node *best = node->child;

	if (node->op == NODE_TEST) {
		each(arg, node);
		return;
	}
	for (const struct filter_node *child = node->child; child; child = child->next) {
		if (node->op == NODE_OR)
			walk(child, judge, each, arg);
		else if (weight(child, judge) < weight(best, judge))
			best = child;
	}
	if (node->op == NODE_AND)
		walk(best, judge, each, arg);
}

static void add_ports(void *arg, const struct filter_node *test)
{
	struct filter_kernel *ret = arg;

	ret->ports_valid = true;
	for (size_t i = 0; i < test->n_values; i++) {
		for (uint32_t port = test->values[i].lo; port <= test->values[i].hi; port++)
			ret->ports[port / 8] |= (uint8_t)(1U << (port % 8));
	}
}

static void add_netns(void *arg, const struct filter_node *test)
{
	struct filter_kernel *ret = arg;

	ret->netns_valid = true;
	for (size_t i = 0; i < test->n_values && ret->n_netns < NETNS_MAX; i++)
		ret->netns[ret->n_netns++] = test->values[i].text;
}

static void add_failed(void *arg, const struct filter_node *test)
{
	struct filter_kernel *ret = arg;

	(void)test;
	ret->failed_only = true;
}

static void add_pid(void *arg, const struct filter_node *test)
{
	struct filter_kernel *ret = arg;

	ret->pid_valid = true;
	ret->pid = test->values[0].lo;
}

/* The most that each may let through: more namespaces than there is room for, or more than one pid, cannot be said. */
static const struct {
	uint32_t max;
	void (*add)(void *arg, const struct filter_node *test);
} judges[N_JUDGES] = {
	[JUDGE_PORT] = { UNBOUND - 1, add_ports },
	[JUDGE_NETNS] = { NETNS_MAX, add_netns },
	[JUDGE_FAILED] = { UNBOUND - 1, add_failed },
	[JUDGE_PID] = { 1, add_pid },
};

static bool can_judge(const struct filter_node *node, enum judge judge)
{
	return weight(node, judge) <= judges[judge].max;
}

void filter_kernel(const struct filter *f, struct filter_kernel *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (int judge = 0; judge < N_JUDGES && !filter_is_empty(f); judge++) {
		if (can_judge(f->root, (enum judge)judge))
			walk(f->root, (enum judge)judge, judges[judge].add, ret);
	}
}

/* ---- in words ---- */

struct words {
	const struct filter *f;
	char *buf;
	size_t size;
	const char *joint; /* before the next */
};

static void words_add(struct words *w, const char *text, size_t len)
{
	size_t n = strlen(w->buf);

	snprintf(w->buf + n, w->size - n, "%s%.*s", w->joint, (int)len, text);
}

static void words_add_test(void *arg, const struct filter_node *test)
{
	struct words *w = arg;

	/* Of errno the kernel takes only that the call failed. */
	if (test->key == KEY_ERRNO)
		words_add(w, "failed", strlen("failed"));
	else
		words_add(w, w->f->text + test->at, test->len);
	w->joint = " or ";
}

/* The kernel's answer is all there is to @node: a test, or such tests joined by or. */
static bool is_exact(const struct filter_node *node, enum judge judge)
{
	if (node->op == NODE_TEST)
		return node->key == judged[judge] && can_judge(node, judge);
	if (node->op != NODE_OR)
		return false;
	for (const struct filter_node *child = node->child; child; child = child->next) {
		if (!is_exact(child, judge))
			return false;
	}
	return can_judge(node, judge);
}

/* Is @node, the filter or one side of its outermost and, wholly judged in the kernel? */
static bool in_kernel(const struct filter_node *root, const struct filter_node *node)
{
	for (int judge = 0; judge < N_JUDGES; judge++) {
		const struct filter_node *best = root == node ? node : root->child;

		for (const struct filter_node *child = best; root != node && child; child = child->next) {
			if (weight(child, (enum judge)judge) < weight(best, (enum judge)judge))
				best = child;
		}
		if (best == node && is_exact(node, (enum judge)judge))
			return true;
	}
	return false;
}

static void describe_rest(struct words *w)
{
	const struct filter_node *root = w->f->root;
	const struct filter_node *node = root->op == NODE_AND ? root->child : root;
	const char *first = w->joint;

	for (; node; node = node->next) {
		if (in_kernel(root, node))
			continue;
		words_add(w, w->f->text + node->at, node->len);
		w->joint = " and ";
	}
	if (w->joint == first)
		words_add(w, "nothing", strlen("nothing"));
}

void filter_describe(const struct filter *f, char *buf, size_t size)
{
	struct words w = { f, buf, size, "in the kernel: " };
	bool any = false;

	if (!size)
		return;
	buf[0] = '\0';
	if (filter_is_empty(f)) {
		snprintf(buf, size, "no filter");
		return;
	}
	for (int judge = 0; judge < N_JUDGES; judge++) {
		if (!can_judge(f->root, (enum judge)judge))
			continue;
		w.joint = any ? ", " : w.joint;
		any = true;
		walk(f->root, (enum judge)judge, words_add_test, &w);
	}
	if (!any)
		words_add(&w, "nothing", strlen("nothing"));
	w.joint = "; here: ";
	describe_rest(&w);
}
