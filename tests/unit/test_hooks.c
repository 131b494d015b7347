/* SPDX-License-Identifier: GPL-2.0-only */
/* The table of hooks against the BPF object, and the choice from it for kernels that lack this or that. */
#include "source/hooks.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "portlog.skel.h"
#include "util/cleanup.h"

#define ROWS_MAX 64
#define LACKS(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* A kernel, and what was chosen for it. */
struct choice {
	bool chosen[ROWS_MAX];
	const char *missing;
	int result;
};

static bool has_all_but(void *arg, const char *name)
{
	for (const char *const *lacking = arg; *lacking; lacking++)
		if (!strcmp(*lacking, name))
			return false;
	return true;
}

static bool has_nothing(void *arg, const char *name)
{
	(void)arg;
	assert_true(name[0]);
	return false;
}

static bool in_set(const char *name, enum hook_set set)
{
	for (size_t i = 0; i < n_hooks; i++)
		for (const char *const *p = hooks[i].programs; *p; p++)
			if (hooks[i].set == set && strlen(name) == hook_program_len(*p) &&
			    !strncmp(*p, name, strlen(name)))
				return true;
	return false;
}

static bool refuses_fexit(void *arg, const char *name)
{
	(void)arg;
	return !in_set(name, HOOKS_FEXIT);
}

static struct choice choose(enum hook_set set, hook_available *available, const char *const *lacking)
{
	struct choice c = { .missing = NULL };

	assert_true(n_hooks <= ROWS_MAX);
	memset(c.chosen, 1, sizeof(c.chosen)); /* of another kernel: must not count */
	c.result = hooks_choose(set, available, (void *)lacking, c.chosen, &c.missing);
	return c;
}

static struct choice choose_with_all(enum hook_set set)
{
	return choose(set, has_all_but, LACKS(NULL));
}

/* Programs of the chosen rows contain @program. */
static bool runs(const struct choice *c, const char *program)
{
	for (size_t i = 0; i < n_hooks; i++)
		for (const char *const *p = hooks[i].programs; c->chosen[i] && *p; p++)
			if (!strcmp(*p, program))
				return true;
	return false;
}

static bool is_blind_to(const struct choice *c, const char *words)
{
	const char *texts[ROWS_MAX + 1];
	size_t n = hooks_blind(c->chosen, texts, ROWS_MAX);

	assert_null(texts[n]);
	for (size_t i = 0; i < n; i++)
		if (strstr(texts[i], words))
			return true;
	return false;
}

static size_t rows_of(const struct choice *c, const char *event)
{
	size_t n = 0;

	for (size_t i = 0; i < n_hooks; i++)
		n += c->chosen[i] && !strcmp(hooks[i].event, event);
	return n;
}

/* ---- the choice ---- */

static void a_kernel_with_everything_is_watched_by_fexit_alone(void **state)
{
	struct choice c = choose_with_all(HOOKS_ANY);

	(void)state;
	assert_int_equal(c.result, 0);
	assert_string_equal(hooks_name(c.chosen), "fexit");
	assert_true(runs(&c, "bind4_sk"));
	assert_false(runs(&c, "bind4_socket"));
	assert_false(runs(&c, "try4"));
	assert_false(runs(&c, "tcp_destroyed"));
	assert_true(runs(&c, "state_changed"));
	assert_true(runs(&c, "each_file"));
	assert_false(is_blind_to(&c, ""));
}

static void an_older_kernel_takes_the_second_row_of_the_same_set(void **state)
{
	struct choice c = choose(HOOKS_ANY, has_all_but, LACKS("bind6_sk"));

	(void)state;
	assert_false(runs(&c, "bind4_sk"));
	assert_true(runs(&c, "bind4_socket"));
	assert_true(runs(&c, "bind6_socket"));
	assert_string_equal(hooks_name(c.chosen), "fexit");
}

static void of_no_event_are_two_rows_taken(void **state)
{
	struct choice c = choose_with_all(HOOKS_ANY);

	(void)state;
	for (size_t i = 0; i < n_hooks; i++)
		assert_true(rows_of(&c, hooks[i].event) <= 1);
}

static void a_host_that_refuses_fexit_is_watched_by_tracepoints(void **state)
{
	struct choice c = choose(HOOKS_ANY, refuses_fexit, NULL);

	(void)state;
	assert_int_equal(c.result, 0);
	assert_string_equal(hooks_name(c.chosen), "tracepoint");
	assert_true(runs(&c, "try4"));
	assert_true(runs(&c, "call_exit:syscalls/sys_exit_listen"));
	assert_true(runs(&c, "tcp_destroyed"));
	assert_true(runs(&c, "udp_released"));
}

static void a_set_that_is_asked_for_is_the_only_one(void **state)
{
	struct choice tracepoint = choose_with_all(HOOKS_TRACEPOINT);
	struct choice fexit = choose_with_all(HOOKS_FEXIT);

	(void)state;
	for (size_t i = 0; i < n_hooks; i++) {
		assert_false(tracepoint.chosen[i] && hooks[i].set == HOOKS_FEXIT);
		assert_false(fexit.chosen[i] && hooks[i].set == HOOKS_TRACEPOINT);
		if (hooks[i].set == HOOKS_ANY)
			assert_true(tracepoint.chosen[i] && fexit.chosen[i]);
	}
	assert_string_equal(hooks_name(tracepoint.chosen), "tracepoint");
	assert_string_equal(hooks_name(fexit.chosen), "fexit");
}

static void sets_mix_event_by_event(void **state)
{
	struct choice c = choose(HOOKS_ANY, has_all_but, LACKS("udp_unhash"));

	(void)state;
	assert_int_equal(c.result, 0);
	assert_string_equal(hooks_name(c.chosen), "mixed");
	assert_true(runs(&c, "bind4_sk"));
	assert_true(runs(&c, "udp_released"));
	assert_false(runs(&c, "udp_disconnected"));
	assert_true(is_blind_to(&c, "UDP sockets"));
}

/* ---- what only completes another event ---- */

static void a_denial_is_told_by_one_set_only(void **state)
{
	struct choice by_fexit = choose_with_all(HOOKS_ANY);
	struct choice by_call = choose(HOOKS_ANY, has_all_but, LACKS("bind6_sk", "bind6_socket"));

	(void)state;
	assert_true(runs(&by_fexit, "bind_denied"));
	/* sys_exit_bind tells denials already: both would make two events of one. */
	assert_true(runs(&by_call, "try6"));
	assert_false(runs(&by_call, "bind_denied"));
	assert_false(is_blind_to(&by_call, "security module"));
}

static void denials_that_fexit_cannot_see_are_a_blind_spot(void **state)
{
	struct choice binds = choose(HOOKS_ANY, has_all_but, LACKS("bind_denied"));
	struct choice listens = choose(HOOKS_ANY, has_all_but, LACKS("listen_denied"));

	(void)state;
	assert_int_equal(binds.result, 0);
	assert_true(is_blind_to(&binds, "binds that a security module refuses"));
	assert_true(is_blind_to(&listens, "listens that a security module refuses"));
	assert_false(is_blind_to(&listens, "binds that"));
}

static void listens_are_told_by_one_set_only(void **state)
{
	struct choice c = choose(HOOKS_ANY, has_all_but, LACKS("listen_socket"));

	(void)state;
	assert_true(runs(&c, "call_exit:syscalls/sys_exit_listen"));
	assert_false(runs(&c, "listen_sk"));
	assert_false(runs(&c, "listen_denied"));
	assert_false(is_blind_to(&c, "security module"));
}

static void io_uring_needs_hooks_of_its_own_only_beside_system_call_hooks(void **state)
{
	struct choice fexit = choose_with_all(HOOKS_ANY);
	struct choice calls = choose(HOOKS_ANY, refuses_fexit, NULL);
	struct choice binds = choose(HOOKS_ANY, has_all_but, LACKS("bind4_sk", "bind4_socket"));
	struct choice listens = choose(HOOKS_ANY, has_all_but, LACKS("listen_socket"));
	struct choice none = choose(HOOKS_TRACEPOINT, has_all_but, LACKS("uring_entry", "uring_result"));

	(void)state;
	assert_int_equal(rows_of(&fexit, "uring"), 0);
	assert_int_equal(rows_of(&calls, "uring"), 1);
	assert_int_equal(rows_of(&binds, "uring"), 1);
	assert_int_equal(rows_of(&listens, "uring"), 1);
	assert_int_equal(rows_of(&none, "uring"), 0);
	assert_int_equal(none.result, 0);
}

/* ---- what cannot be had ---- */

static void a_required_event_that_nobody_sees_is_named(void **state)
{
	struct choice nothing = choose(HOOKS_ANY, has_nothing, NULL);
	struct choice state_less = choose(HOOKS_ANY, has_all_but, LACKS("state_changed"));
	struct choice fexit_less = choose(HOOKS_FEXIT, refuses_fexit, NULL);
	struct choice udp = choose(HOOKS_TRACEPOINT, has_all_but, LACKS("udp_released"));

	(void)state;
	assert_int_equal(nothing.result, -ENOTSUP);
	assert_string_equal(nothing.missing, "bind");
	assert_int_equal(state_less.result, -ENOTSUP);
	assert_string_equal(state_less.missing, "state");
	assert_int_equal(fexit_less.result, -ENOTSUP);
	assert_string_equal(fexit_less.missing, "bind");
	assert_int_equal(udp.result, -ENOTSUP);
	assert_string_equal(udp.missing, "release-udp");
}

static void a_missing_program_is_never_chosen_and_only_a_required_event_ends_it(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_hooks; i++) {
		for (const char *const *p = hooks[i].programs; *p; p++) {
			char name[64];
			struct choice c;

			snprintf(name, sizeof(name), "%.*s", (int)hook_program_len(*p), *p);
			c = choose(HOOKS_ANY, has_all_but, LACKS(name));
			assert_false(runs(&c, name));
			assert_true(c.result == 0 || (c.result == -ENOTSUP && c.missing));
			if (c.result < 0)
				assert_true(hooks[i].required);
		}
	}
}

static void what_is_optional_is_not_needed_and_its_lack_is_said(void **state)
{
	struct choice c = choose(HOOKS_ANY, has_all_but, LACKS("each_file"));

	(void)state;
	assert_int_equal(c.result, 0);
	assert_null(c.missing);
	assert_true(is_blind_to(&c, "no BPF iterator"));
}

static void what_a_set_never_sees_is_said_while_it_runs(void **state)
{
	struct choice c = choose(HOOKS_ANY, refuses_fexit, NULL);

	(void)state;
	assert_true(is_blind_to(&c, "failed binds of the kernel's own sockets"));
	assert_true(is_blind_to(&c, "failed listens of the kernel's own sockets"));
	assert_true(is_blind_to(&c, "connect(AF_UNSPEC)"));
	assert_false(is_blind_to(&c, "security module"));
}

static void a_row_that_would_not_attach_is_told_like_one_that_is_missing(void **state)
{
	struct choice c = choose_with_all(HOOKS_ANY);

	(void)state;
	for (size_t i = 0; i < n_hooks; i++)
		if (!strcmp(hooks[i].event, "snapshot") || !strcmp(hooks[i].event, "denial"))
			c.chosen[i] = false;
	assert_true(is_blind_to(&c, "no BPF iterator"));
	assert_true(is_blind_to(&c, "binds that a security module refuses"));
}

static void blind_spots_stop_where_there_is_no_room(void **state)
{
	struct choice c = choose(HOOKS_ANY, refuses_fexit, NULL);
	const char *all[ROWS_MAX + 1], *some[3] = { NULL, NULL, "canary" };
	size_t n = hooks_blind(c.chosen, all, ROWS_MAX);

	(void)state;
	assert_true(n > 1);
	assert_int_equal(hooks_blind(c.chosen, some, 1), 1);
	assert_ptr_equal(some[0], all[0]);
	assert_null(some[1]);
	assert_string_equal(some[2], "canary");
	assert_int_equal(hooks_blind(c.chosen, some, 0), 0);
	assert_null(some[0]);
}

/* ---- the table itself ---- */

static void rows_of_one_event_stand_together(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_hooks; i++)
		for (size_t k = i + 1; k < n_hooks; k++)
			if (!strcmp(hooks[i].event, hooks[k].event))
				assert_string_equal(hooks[k - 1].event, hooks[i].event);
}

static void rows_of_one_event_agree_on_whether_it_is_required(void **state)
{
	(void)state;
	for (size_t i = 1; i < n_hooks; i++)
		if (!strcmp(hooks[i - 1].event, hooks[i].event))
			assert_int_equal(hooks[i - 1].required, hooks[i].required);
}

static void only_the_last_row_of_an_event_says_what_is_missed_without_it(void **state)
{
	(void)state;
	for (size_t i = 0; i + 1 < n_hooks; i++)
		if (!strcmp(hooks[i].event, hooks[i + 1].event))
			assert_null(hooks[i].without);
}

static bool in_table(const char *name)
{
	return in_set(name, HOOKS_ANY) || in_set(name, HOOKS_FEXIT) || in_set(name, HOOKS_TRACEPOINT);
}

static void every_program_of_the_table_is_in_the_bpf_object(void **state)
{
	const struct portlog_bpf *skel = *state;

	for (size_t i = 0; i < n_hooks; i++) {
		for (const char *const *p = hooks[i].programs; *p; p++) {
			char name[64];

			assert_true(hook_program_len(*p) < sizeof(name));
			snprintf(name, sizeof(name), "%.*s", (int)hook_program_len(*p), *p);
			if (!bpf_object__find_program_by_name(skel->obj, name))
				fail_msg("%s is in the table of hooks, not in the BPF object", name);
		}
	}
}

static void every_program_of_the_bpf_object_is_in_the_table(void **state)
{
	const struct portlog_bpf *skel = *state;
	struct bpf_program *p;
	size_t n = 0;

	bpf_object__for_each_program(p, skel->obj) {
		if (!in_table(bpf_program__name(p)))
			fail_msg("%s is in the BPF object, not in the table of hooks", bpf_program__name(p));
		n++;
	}
	assert_true(n > 10);
}

/* fexit and fentry programs need what only some kernels give: none may hide in another set's row. */
static void programs_are_in_the_set_that_their_section_says(void **state)
{
	const struct portlog_bpf *skel = *state;
	struct bpf_program *p;

	bpf_object__for_each_program(p, skel->obj) {
		const char *section = bpf_program__section_name(p);
		bool trampoline = !strncmp(section, "fexit/", 6) || !strncmp(section, "fentry/", 7);

		if (in_set(bpf_program__name(p), HOOKS_FEXIT) != trampoline)
			fail_msg("%s (%s) is in the wrong set", bpf_program__name(p), section);
	}
}

static int object_open(void **state)
{
	*state = portlog_bpf__open();
	return *state ? 0 : -1;
}

static int object_close(void **state)
{
	portlog_bpf__destroy(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_kernel_with_everything_is_watched_by_fexit_alone),
		cmocka_unit_test(an_older_kernel_takes_the_second_row_of_the_same_set),
		cmocka_unit_test(of_no_event_are_two_rows_taken),
		cmocka_unit_test(a_host_that_refuses_fexit_is_watched_by_tracepoints),
		cmocka_unit_test(a_set_that_is_asked_for_is_the_only_one),
		cmocka_unit_test(sets_mix_event_by_event),
		cmocka_unit_test(a_denial_is_told_by_one_set_only),
		cmocka_unit_test(denials_that_fexit_cannot_see_are_a_blind_spot),
		cmocka_unit_test(listens_are_told_by_one_set_only),
		cmocka_unit_test(io_uring_needs_hooks_of_its_own_only_beside_system_call_hooks),
		cmocka_unit_test(a_required_event_that_nobody_sees_is_named),
		cmocka_unit_test(a_missing_program_is_never_chosen_and_only_a_required_event_ends_it),
		cmocka_unit_test(what_is_optional_is_not_needed_and_its_lack_is_said),
		cmocka_unit_test(what_a_set_never_sees_is_said_while_it_runs),
		cmocka_unit_test(a_row_that_would_not_attach_is_told_like_one_that_is_missing),
		cmocka_unit_test(blind_spots_stop_where_there_is_no_room),
		cmocka_unit_test(rows_of_one_event_stand_together),
		cmocka_unit_test(rows_of_one_event_agree_on_whether_it_is_required),
		cmocka_unit_test(only_the_last_row_of_an_event_says_what_is_missed_without_it),
		cmocka_unit_test_setup_teardown(every_program_of_the_table_is_in_the_bpf_object, object_open,
						object_close),
		cmocka_unit_test_setup_teardown(every_program_of_the_bpf_object_is_in_the_table, object_open,
						object_close),
		cmocka_unit_test_setup_teardown(programs_are_in_the_set_that_their_section_says, object_open,
						object_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
