/* SPDX-License-Identifier: GPL-2.0-only */
/* The interner of processes: what is one process, what is kept, what is forgotten, how long a look-up takes. */
#include "core/process.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "util/cleanup.h"

#define KEY(...) (&(struct process_key){ __VA_ARGS__ })

static int setup(void **state)
{
	*state = processes_new(4);
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	*state = processes_free(*state);
	return 0;
}

static struct process *get(struct processes *ps, const struct process_key *key)
{
	bool fresh;
	struct process *p = processes_get(ps, key, &fresh);

	assert_non_null(p);
	return p;
}

static void the_same_key_is_the_same_process(void **state)
{
	struct process *p;
	bool fresh;

	p = processes_get(*state, KEY(42, 1000, 1), &fresh);
	assert_true(fresh);
	assert_ptr_equal(processes_get(*state, KEY(42, 1000, 1), &fresh), p);
	assert_false(fresh);
	assert_ptr_equal(processes_find(*state, KEY(42, 1000, 1)), p);
	assert_int_equal(processes_count(*state), 1);
}

static void pid_start_and_exec_each_make_another_process(void **state)
{
	struct process *p = get(*state, KEY(42, 1000, 1));

	assert_ptr_not_equal(get(*state, KEY(43, 1000, 1)), p);
	assert_ptr_not_equal(get(*state, KEY(42, 1001, 1)), p);
	assert_ptr_not_equal(get(*state, KEY(42, 1000, 2)), p);
	assert_null(processes_find(*state, KEY(42, 1001, 2)));
	assert_int_equal(processes_count(*state), 4);
}

static void by_pid_the_newest_exec_is_found_in_whatever_order_they_came(void **state)
{
	struct process *newest;

	get(*state, KEY(42, 1000, 2));
	newest = get(*state, KEY(42, 1000, 9));
	get(*state, KEY(42, 1000, 3));
	assert_ptr_equal(processes_find_pid(*state, 42, 1000), newest);
	assert_ptr_equal(processes_find_program(*state, KEY(42, 1000, 0)), newest);
	assert_null(processes_find_program(*state, KEY(42, 1000, 7)));
	assert_null(processes_find_pid(*state, 42, 1001));
	assert_null(processes_find_pid(*state, 41, 1000));
}

static void the_one_used_longest_ago_is_forgotten_first(void **state)
{
	for (unsigned pid = 1; pid <= 4; pid++)
		get(*state, KEY(pid, 1, 1));
	processes_find(*state, KEY(1, 1, 1));
	get(*state, KEY(5, 1, 1));
	assert_non_null(processes_find(*state, KEY(1, 1, 1)));
	assert_null(processes_find(*state, KEY(2, 1, 1)));
	assert_int_equal(processes_count(*state), 4);
	assert_int_equal(processes_refused(*state), 0);
}

static void a_process_that_is_held_is_never_forgotten(void **state)
{
	struct process *held = process_ref(get(*state, KEY(1, 1, 1)));

	for (unsigned pid = 2; pid < 40; pid++)
		get(*state, KEY(pid, 1, 1));
	assert_ptr_equal(processes_find(*state, KEY(1, 1, 1)), held);
	process_unref(held);
	for (unsigned pid = 2; pid < 40; pid++)
		get(*state, KEY(pid, 1, 1));
	assert_null(processes_find(*state, KEY(1, 1, 1)));
}

static void it_takes_as_many_unrefs_as_refs_to_let_go(void **state)
{
	struct process *p = process_ref(process_ref(get(*state, KEY(1, 1, 1))));

	process_unref(p);
	for (unsigned pid = 2; pid < 40; pid++)
		get(*state, KEY(pid, 1, 1));
	assert_ptr_equal(processes_find(*state, KEY(1, 1, 1)), p);
	process_unref(p);
}

static void when_all_are_held_a_new_one_is_refused_and_counted(void **state)
{
	struct process *held[4];
	bool fresh;

	for (unsigned i = 0; i < 4; i++)
		held[i] = process_ref(get(*state, KEY(i + 1, 1, 1)));
	assert_null(processes_get(*state, KEY(9, 1, 1), &fresh));
	assert_int_equal(processes_refused(*state), 1);
	assert_ptr_equal(processes_get(*state, KEY(2, 1, 1), &fresh), held[1]);
	process_unref(held[3]);
	assert_non_null(processes_get(*state, KEY(9, 1, 1), &fresh));
	assert_null(processes_find(*state, KEY(4, 1, 1)));
}

static void dirty_forgets_what_others_made_of_it(void **state)
{
	struct process *p = get(*state, KEY(1, 1, 1));

	p->exe = strdup("/bin/true");
	p->where.unit = strdup("a.service");
	p->where.pod_name = strdup("pod");
	p->rendered[0] = malloc(10);
	p->rendered[1] = malloc(10);
	p->enriched = true;
	process_dirty(p);
	assert_null(p->where.unit);
	assert_null(p->where.pod_name);
	assert_null(p->rendered[0]);
	assert_null(p->rendered[1]);
	assert_false(p->enriched);
	assert_string_equal(p->exe, "/bin/true");
}

static void forgetting_frees_all_that_it_has(void **state)
{
	struct process *p = get(*state, KEY(1, 1, 1));

	p->exe = strdup("/bin/true");
	p->args = strdup("true");
	p->cgroup = strdup("/a");
	p->where.container_id = strdup("x");
	p->rendered[1] = malloc(10);
	for (unsigned pid = 2; pid < 9; pid++) /* the leak checker judges */
		get(*state, KEY(pid, 1, 1));
	assert_null(processes_find(*state, KEY(1, 1, 1)));
}

static void nothing_and_a_process_of_no_table_can_be_held(void **state)
{
	struct process loose = { .key = { 1, 1, 1 } };

	(void)state;
	assert_null(process_ref(NULL));
	process_unref(NULL);
	assert_ptr_equal(process_ref(&loose), &loose);
	assert_int_equal(loose.refs, 1);
	process_unref(&loose);
	process_unref(&loose);
	assert_int_equal(loose.refs, 0);
	assert_null(processes_free(NULL));
}

/* What a plain array of the same entries would say, step by step. */
static void it_agrees_with_a_simple_model_over_many_random_steps(void **state)
{
	struct processes *ps = processes_new(64);
	struct process *held[256] = { 0 };
	unsigned seed = 1, n_held = 0;
	bool fresh;

	(void)state;
	for (unsigned step = 0; step < 200000; step++) {
		unsigned id = (seed = seed * 1103515245 + 12345) >> 16 & 255;
		struct process_key key = { id >> 4, id >> 2 & 3, id & 3 };
		struct process *p = processes_get(ps, &key, &fresh);

		assert_true(p || n_held == 64);
		if (held[id]) {
			assert_ptr_equal(p, held[id]);
			assert_false(fresh);
			process_unref(take(held[id]));
			n_held--;
		} else if (p && (seed >> 8 & 1)) {
			held[id] = process_ref(p);
			n_held++;
		}
		assert_true(processes_count(ps) <= 64);
	}
	processes_free(ps);
}

static double find_ns(struct processes *ps, unsigned n, unsigned turns)
{
	struct timespec a, b;
	unsigned found = 0;

	clock_gettime(CLOCK_MONOTONIC, &a);
	for (unsigned i = 0; i < turns; i++)
		found += !!processes_find(ps, KEY(i * 7 % n, 1000 + i * 7 % n, 1));
	clock_gettime(CLOCK_MONOTONIC, &b);
	assert_int_equal(found, turns);
	return ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) / turns;
}

/* Chains that grow with the number of entries would make this thousands of times slower, whatever the machine. */
static void a_look_up_does_not_slow_down_with_the_number_kept(void **state)
{
	struct processes *ps = processes_new(16384);
	double few, many;

	(void)state;
	for (unsigned i = 0; i < 16; i++)
		get(ps, KEY(i, 1000 + i, 1));
	few = find_ns(ps, 16, 200000);
	for (unsigned i = 0; i < 16384; i++)
		get(ps, KEY(i, 1000 + i, 1));
	many = find_ns(ps, 16384, 200000);
	print_message("look-up: %.1f ns among 16, %.1f ns among 16,384\n", few, many);
	assert_true(many < few * 200 + 1000);
	processes_free(ps);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_same_key_is_the_same_process, setup, teardown),
		cmocka_unit_test_setup_teardown(pid_start_and_exec_each_make_another_process, setup,
						teardown),
		cmocka_unit_test_setup_teardown(by_pid_the_newest_exec_is_found_in_whatever_order_they_came,
						setup, teardown),
		cmocka_unit_test_setup_teardown(the_one_used_longest_ago_is_forgotten_first, setup, teardown),
		cmocka_unit_test_setup_teardown(a_process_that_is_held_is_never_forgotten, setup, teardown),
		cmocka_unit_test_setup_teardown(it_takes_as_many_unrefs_as_refs_to_let_go, setup, teardown),
		cmocka_unit_test_setup_teardown(when_all_are_held_a_new_one_is_refused_and_counted, setup,
						teardown),
		cmocka_unit_test_setup_teardown(dirty_forgets_what_others_made_of_it, setup, teardown),
		cmocka_unit_test_setup_teardown(forgetting_frees_all_that_it_has, setup, teardown),
		cmocka_unit_test(nothing_and_a_process_of_no_table_can_be_held),
		cmocka_unit_test(it_agrees_with_a_simple_model_over_many_random_steps),
		cmocka_unit_test(a_look_up_does_not_slow_down_with_the_number_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
