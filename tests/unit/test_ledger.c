/* SPDX-License-Identifier: GPL-2.0-only */
/* The ledger: who holds a port, who held it last, what changes an entry, and what happens when there is no room. */
#include "core/ledger.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <cmocka.h>

#include "util/cleanup.h"

#define HOST 4026531840u
#define ROOM 64
#define PAST_MAX 4096 /* ports remembered after their release */

#define RECORD(...) usual(&(struct record){ .has_socket = true, __VA_ARGS__ })
#define OWNER(...) (&(struct owner){ __VA_ARGS__ })

/* A TCP bind on the host, unless it says otherwise. */
static const struct record *usual(struct record *rec)
{
	rec->action = rec->action ? rec->action : ACTION_BIND;
	rec->proto = rec->proto ? rec->proto : PROTO_TCP;
	rec->netns = rec->netns ? rec->netns : HOST;
	rec->family = AF_INET;
	return rec;
}

static int setup(void **state)
{
	*state = ledger_new(ROOM);
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	*state = ledger_free(*state);
	return 0;
}

static struct entry *hold(struct ledger *led, const struct record *rec)
{
	struct entry *e = ledger_hold(led, rec, NULL);

	assert_non_null(e);
	return e;
}

static size_t count_on_port(struct ledger *led, enum proto proto, uint16_t port)
{
	size_t n = 0;

	for (struct entry *e = NULL; (e = ledger_on_port(led, HOST, proto, port, e));)
		n++;
	return n;
}

static size_t count_of_pid(struct ledger *led, uint32_t pid)
{
	size_t n = 0;

	for (struct entry *e = NULL; (e = ledger_of_pid(led, pid, e));)
		n++;
	return n;
}

/* ---- holding ---- */

static void a_socket_that_took_a_port_is_found_by_key_port_and_process(void **state)
{
	struct ledger *led = *state;
	struct entry *e = hold(led, RECORD(.sk = 1, .port = 80, .pid = 42, .start_ns = 7, .exec_id = 3,
					   .cookie = 9, .inode = 11, .time_ns = 100));

	assert_ptr_equal(ledger_find(led, 1), e);
	assert_ptr_equal(ledger_on_port(led, HOST, PROTO_TCP, 80, NULL), e);
	assert_ptr_equal(ledger_of_pid(led, 42, NULL), e);
	assert_ptr_equal(ledger_next(led, NULL), e);
	assert_int_equal(ledger_count(led), 1);
	assert_int_equal(e->since_ns, 100);
	assert_int_equal(e->key.start_ns, 7);
	assert_int_equal(e->key.exec_id, 3);
	assert_int_equal(e->cookie, 9);
	assert_int_equal(e->inode, 11);
	assert_int_equal(e->owners_count, 1);
	assert_false(e->listened);
	assert_null(ledger_find(led, 2));
	assert_null(ledger_of_pid(led, 43, NULL));
}

static void a_known_beginning_counts_and_not_the_time_it_was_told(void **state)
{
	struct entry *e = hold(*state, RECORD(.sk = 1, .port = 80, .time_ns = 100, .since_ns = 5));

	assert_int_equal(e->since_ns, 5);
	assert_int_equal(e->told.since_ns, 5);
}

static void ports_differ_by_namespace_and_table(void **state)
{
	struct ledger *led = *state;
	struct entry *tcp = hold(led, RECORD(.sk = 1, .port = 80));
	struct entry *udp = hold(led, RECORD(.sk = 2, .port = 80, .proto = PROTO_UDP));
	struct entry *other = hold(led, RECORD(.sk = 3, .port = 80, .netns = HOST + 1));

	assert_ptr_equal(ledger_on_port(led, HOST, PROTO_TCP, 80, NULL), tcp);
	assert_null(ledger_on_port(led, HOST, PROTO_TCP, 80, tcp));
	assert_ptr_equal(ledger_on_port(led, HOST, PROTO_UDP, 80, NULL), udp);
	assert_ptr_equal(ledger_on_port(led, HOST + 1, PROTO_TCP, 80, NULL), other);
	assert_null(ledger_on_port(led, HOST, PROTO_TCP, 81, NULL));
}

static void mptcp_and_tcp_share_their_ports(void **state)
{
	struct ledger *led = *state;
	struct entry *e = hold(led, RECORD(.sk = 1, .port = 80, .proto = PROTO_MPTCP));

	assert_ptr_equal(ledger_on_port(led, HOST, PROTO_TCP, 80, NULL), e);
	assert_ptr_equal(ledger_on_port(led, HOST, PROTO_MPTCP, 80, NULL), e);
	assert_null(ledger_on_port(led, HOST, PROTO_UDP, 80, NULL));
}

static void a_listen_after_a_bind_changes_the_same_entry(void **state)
{
	struct ledger *led = *state;
	struct entry *e = hold(led, RECORD(.sk = 1, .port = 80, .pid = 42, .time_ns = 100));
	struct entry *again =
		hold(led, RECORD(.sk = 1, .port = 80, .pid = 43, .time_ns = 200, .action = ACTION_LISTEN,
				 .state = 10, .cookie = 9, .inode = 11, .options = OPT_REUSEADDR));

	assert_ptr_equal(again, e);
	assert_int_equal(ledger_count(led), 1);
	assert_true(e->listened);
	assert_int_equal(e->since_ns, 100);
	assert_int_equal(e->told.since_ns, 100);
	assert_int_equal(e->key.pid, 42);
	assert_int_equal(e->told.state, 10);
	assert_int_equal(e->told.options, OPT_REUSEADDR);
	assert_int_equal(e->cookie, 9);
	assert_int_equal(e->inode, 11);
	assert_int_equal(e->told.cookie, 9);
}

static void what_a_later_record_does_not_know_stays(void **state)
{
	struct entry *e = hold(*state, RECORD(.sk = 1, .port = 80, .cookie = 9, .inode = 11));

	hold(*state, RECORD(.sk = 1, .port = 80, .action = ACTION_LISTEN));
	assert_int_equal(e->cookie, 9);
	assert_int_equal(e->inode, 11);
}

static void an_entry_moves_with_its_port(void **state)
{
	struct ledger *led = *state;
	struct entry *e = hold(led, RECORD(.sk = 1, .port = 0, .pid = 42));

	hold(led, RECORD(.sk = 2, .port = 40000));
	assert_ptr_equal(hold(led, RECORD(.sk = 1, .port = 40000, .action = ACTION_LISTEN)), e);
	assert_null(ledger_on_port(led, HOST, PROTO_TCP, 0, NULL));
	assert_int_equal(count_on_port(led, PROTO_TCP, 40000), 2);
	ledger_release(led, e, 300);
	assert_int_equal(count_on_port(led, PROTO_TCP, 40000), 1);
}

static void a_socket_that_listened_before_is_known_to_have_listened(void **state)
{
	assert_true(
		hold(*state, RECORD(.sk = 1, .port = 80, .action = ACTION_SNAPSHOT, .state = 10))->listened);
	assert_true(hold(*state, RECORD(.sk = 2, .port = 81, .action = ACTION_LISTEN))->listened);
	assert_false(
		hold(*state, RECORD(.sk = 3, .port = 82, .action = ACTION_SNAPSHOT, .state = 7))->listened);
}

/* ---- another socket at the same address ---- */

static void an_entry_is_stale_when_its_key_was_tracked_at_another_time(void **state)
{
	struct entry *e = hold(*state, RECORD(.sk = 1, .port = 80, .tracked_ns = 100));

	assert_true(entry_is_stale(e, RECORD(.sk = 1, .port = 80, .tracked_ns = 200)));
	assert_false(entry_is_stale(e, RECORD(.sk = 1, .port = 81, .tracked_ns = 100)));
}

static void who_does_not_know_when_calls_nothing_stale(void **state)
{
	struct entry *known = hold(*state, RECORD(.sk = 1, .port = 80, .tracked_ns = 100));
	struct entry *unknown = hold(*state, RECORD(.cookie = 5, .port = 81));

	assert_false(entry_is_stale(known, RECORD(.sk = 1, .port = 80)));
	assert_false(entry_is_stale(unknown, RECORD(.cookie = 5, .port = 81, .tracked_ns = 200)));
}

static void an_update_leaves_when_it_was_tracked(void **state)
{
	struct entry *e = hold(*state, RECORD(.sk = 1, .port = 80, .tracked_ns = 100));

	hold(*state, RECORD(.sk = 1, .port = 80, .tracked_ns = 100, .action = ACTION_LISTEN));
	assert_int_equal(e->tracked_ns, 100);
}

/* ---- known by cookie alone ---- */

static void a_socket_without_key_is_known_by_its_cookie(void **state)
{
	struct ledger *led = *state;
	struct entry *e = hold(led, RECORD(.cookie = 5, .port = 80));

	assert_ptr_equal(ledger_find_cookie(led, 5), e);
	assert_ptr_equal(hold(led, RECORD(.cookie = 5, .port = 80)), e);
	assert_ptr_not_equal(hold(led, RECORD(.cookie = 6, .port = 80)), e);
	assert_int_equal(count_on_port(led, PROTO_TCP, 80), 2);
	ledger_release(led, e, 1);
	assert_null(ledger_find_cookie(led, 5));
	assert_non_null(ledger_find_cookie(led, 6));
}

static void keys_and_cookies_of_the_same_number_are_not_mixed_up(void **state)
{
	struct ledger *led = *state;
	struct entry *by_key = hold(led, RECORD(.sk = 5, .cookie = 77, .port = 80));
	struct entry *by_cookie = hold(led, RECORD(.cookie = 5, .port = 81));

	assert_ptr_not_equal(by_key, by_cookie);
	assert_ptr_equal(ledger_find(led, 5), by_key);
	assert_ptr_equal(ledger_find_cookie(led, 5), by_cookie);
	assert_null(ledger_find_cookie(led, 77));
	ledger_release(led, by_key, 1);
	assert_null(ledger_find(led, 5));
	assert_ptr_equal(ledger_find_cookie(led, 5), by_cookie);
}

static void nothing_is_found_by_no_key_and_no_cookie(void **state)
{
	struct ledger *led = *state;

	assert_null(ledger_hold(led, RECORD(.port = 80), NULL));
	assert_int_equal(ledger_refused(led), 1);
	assert_int_equal(ledger_count(led), 0);
	for (uint64_t i = 1; i < ROOM; i++)
		hold(led, RECORD(.cookie = i, .port = 80));
	assert_null(ledger_find(led, 0));
	assert_null(ledger_find_cookie(led, 0));
}

/* ---- walking ---- */

static void entries_are_walked_from_the_oldest(void **state)
{
	struct ledger *led = *state;
	uint64_t sk = 0;

	for (uint64_t i = 1; i <= 10; i++)
		hold(led, RECORD(.sk = i, .port = (uint16_t)i));
	ledger_release(led, ledger_find(led, 1), 1);
	ledger_release(led, ledger_find(led, 5), 1);
	ledger_release(led, ledger_find(led, 10), 1);
	hold(led, RECORD(.sk = 11, .port = 11));
	for (struct entry *e = NULL; (e = ledger_next(led, e));) {
		assert_true(e->sk > sk && e->sk != 5 && e->sk != 10);
		sk = e->sk;
	}
	assert_int_equal(sk, 11);
	assert_int_equal(ledger_count(led), 8);
}

static void entries_of_a_port_may_be_held_again_while_they_are_walked(void **state)
{
	struct ledger *led = *state;
	size_t n = 0;

	for (uint64_t i = 1; i <= 10; i++)
		hold(led, RECORD(.sk = i, .port = 80));
	for (struct entry *e = NULL; (e = ledger_on_port(led, HOST, PROTO_TCP, 80, e));) {
		hold(led, RECORD(.sk = e->sk, .port = 80, .action = ACTION_LISTEN));
		assert_true(n++ < 10);
	}
	assert_int_equal(n, 10);
}

static void entries_of_a_port_may_be_released_when_the_next_is_taken_before(void **state)
{
	struct ledger *led = *state;
	struct entry *e, *next;

	for (uint64_t i = 1; i <= 10; i++)
		hold(led, RECORD(.sk = i, .port = (uint16_t)(i % 2 ? 80 : 81), .pid = 42));
	for (e = ledger_on_port(led, HOST, PROTO_TCP, 80, NULL); e; e = next) {
		next = ledger_on_port(led, HOST, PROTO_TCP, 80, e);
		ledger_release(led, e, 1);
	}
	assert_int_equal(count_on_port(led, PROTO_TCP, 80), 0);
	assert_int_equal(count_on_port(led, PROTO_TCP, 81), 5);
	assert_int_equal(count_of_pid(led, 42), 5);
	for (e = ledger_of_pid(led, 42, NULL); e; e = next) {
		next = ledger_of_pid(led, 42, e);
		ledger_release(led, e, 1);
	}
	assert_int_equal(count_of_pid(led, 42), 0);
	assert_int_equal(ledger_count(led), 0);
}

static void what_is_taken_while_walking_does_not_disturb_the_walk(void **state)
{
	struct ledger *led = *state;
	size_t n = 0;

	for (uint64_t i = 1; i <= 5; i++)
		hold(led, RECORD(.sk = i, .port = 80, .pid = 42));
	for (struct entry *e = NULL; (e = ledger_on_port(led, HOST, PROTO_TCP, 80, e));) {
		if (n++ < 5)
			hold(led, RECORD(.sk = 100 + e->sk, .port = 80, .pid = 43));
		assert_true(n <= 10);
	}
	assert_true(n >= 5);
	n = 0;
	for (struct entry *e = NULL; (e = ledger_of_pid(led, 42, e));) {
		hold(led,
		     RECORD(.sk = e->sk, .port = 90, .pid = 42)); /* its port moves, its process does not */
		assert_true(n++ < 5);
	}
	assert_int_equal(n, 5);
	assert_int_equal(count_on_port(led, PROTO_TCP, 90), 5);
}

/* ---- owners ---- */

static void other_owners_are_added_once(void **state)
{
	struct entry *e = hold(*state, RECORD(.sk = 1, .port = 80, .pid = 42));

	assert_false(entry_owner_add(e, OWNER(.pid = 42)));
	assert_true(entry_owner_add(e, OWNER(.pid = 43, .comm = "child")));
	assert_false(entry_owner_add(e, OWNER(.pid = 43)));
	assert_int_equal(e->owners_count, 2);
	assert_int_equal(e->n_owners, 1);
	assert_string_equal(e->owners[0].comm, "child");
}

static void owners_past_the_limit_are_counted_only(void **state)
{
	struct entry *e = hold(*state, RECORD(.sk = 1, .port = 80, .pid = 42));

	for (uint32_t pid = 100; pid < 130; pid++)
		assert_int_equal(entry_owner_add(e, OWNER(.pid = pid)), pid - 100 < LEDGER_OWNERS_MAX - 1);
	assert_int_equal(e->n_owners, LEDGER_OWNERS_MAX - 1);
	assert_int_equal(e->owners_count, 31);
}

static void of_a_socket_whose_binder_is_unknown_all_owners_are_others(void **state)
{
	struct entry *e = hold(*state, RECORD(.sk = 1, .port = 80));

	assert_int_equal(e->owners_count, 0);
	assert_true(entry_owner_add(e, OWNER(.pid = 42)));
	assert_int_equal(e->owners_count, 1);
}

/* The binder's number may be used again by one of those who inherited. */
static void after_a_handoff_the_binders_number_is_an_owner_like_others(void **state)
{
	struct entry *e = hold(*state, RECORD(.sk = 1, .port = 80, .pid = 42));

	e->handed = true;
	assert_true(entry_owner_add(e, OWNER(.pid = 42)));
	assert_false(entry_owner_add(e, OWNER(.pid = 42)));
}

/* ---- who had it last ---- */

static void a_released_port_remembers_its_last_owner(void **state)
{
	struct ledger *led = *state;
	struct entry *e = hold(led, RECORD(.sk = 1, .port = 80, .pid = 42, .uid = 33, .start_ns = 7,
					   .time_ns = 100, .comm = "nginx"));
	const struct past_owner *past;

	e->id = 17;
	assert_null(ledger_past(led, HOST, PROTO_TCP, 80));
	ledger_release(led, e, 500);
	past = ledger_past(led, HOST, PROTO_TCP, 80);
	assert_non_null(past);
	assert_int_equal(past->pid, 42);
	assert_int_equal(past->uid, 33);
	assert_int_equal(past->start_ns, 7);
	assert_int_equal(past->since_ns, 100);
	assert_int_equal(past->gone_ns, 500);
	assert_int_equal(past->id, 17);
	assert_string_equal(past->comm, "nginx");
	assert_null(ledger_find(led, 1));
	assert_null(ledger_past(led, HOST, PROTO_UDP, 80));
	assert_null(ledger_past(led, HOST + 1, PROTO_TCP, 80));
	assert_ptr_equal(ledger_past(led, HOST, PROTO_MPTCP, 80), past);
}

static void the_last_of_several_owners_is_the_last_owner(void **state)
{
	struct ledger *led = *state;

	for (uint32_t pid = 1; pid <= 3; pid++) {
		hold(led, RECORD(.sk = 1, .port = 80, .pid = pid));
		ledger_release(led, ledger_find(led, 1), pid * 100);
	}
	assert_int_equal(ledger_past(led, HOST, PROTO_TCP, 80)->pid, 3);
	assert_int_equal(ledger_past(led, HOST, PROTO_TCP, 80)->gone_ns, 300);
}

static void when_nobody_knows_who_had_it_last_nobody_is_named(void **state)
{
	struct ledger *led = *state;

	hold(led, RECORD(.sk = 1, .port = 80, .pid = 42));
	ledger_release(led, ledger_find(led, 1), 100);
	hold(led, RECORD(.sk = 2, .port = 80));
	ledger_release(led, ledger_find(led, 2), 200);
	assert_null(ledger_past(led, HOST, PROTO_TCP, 80));
	hold(led, RECORD(.sk = 3, .port = 80, .pid = 44));
	ledger_release(led, ledger_find(led, 3), 300);
	assert_int_equal(ledger_past(led, HOST, PROTO_TCP, 80)->pid, 44);
}

/* Port @i of as many namespaces as it takes. */
static void take_and_release(struct ledger *led, uint32_t i, uint32_t pid)
{
	hold(led, RECORD(.sk = 1, .port = (uint16_t)(1 + i % 60000), .netns = HOST + i / 60000, .pid = pid));
	ledger_release(led, ledger_find(led, 1), i + 1);
}

static const struct past_owner *past_of(struct ledger *led, uint32_t i)
{
	return ledger_past(led, HOST + i / 60000, PROTO_TCP, (uint16_t)(1 + i % 60000));
}

static void of_too_many_last_owners_the_one_gone_longest_is_forgotten(void **state)
{
	struct ledger *led = *state;

	for (uint32_t i = 0; i < PAST_MAX; i++)
		take_and_release(led, i, 1000 + i);
	assert_int_equal(past_of(led, 0)->pid, 1000);
	take_and_release(led, PAST_MAX, 9);
	assert_null(past_of(led, 0));
	for (uint32_t i = 1; i < PAST_MAX; i++)
		assert_int_equal(past_of(led, i)->pid, 1000 + i);
	assert_int_equal(past_of(led, PAST_MAX)->pid, 9);
}

static void a_port_that_is_released_again_is_the_newest_again(void **state)
{
	struct ledger *led = *state;

	for (uint32_t i = 0; i < PAST_MAX; i++)
		take_and_release(led, i, 1000 + i);
	take_and_release(led, 0, 5);
	take_and_release(led, 7, 6);
	take_and_release(led, PAST_MAX - 1, 7);
	for (uint32_t i = PAST_MAX; i < 2 * PAST_MAX - 3; i++)
		take_and_release(led, i, 9);
	assert_int_equal(past_of(led, 0)->pid, 5);
	assert_int_equal(past_of(led, 7)->pid, 6);
	assert_int_equal(past_of(led, PAST_MAX - 1)->pid, 7);
	assert_null(past_of(led, 1));
	take_and_release(led, 2 * PAST_MAX, 9);
	assert_null(past_of(led, 0));
	assert_int_equal(past_of(led, 7)->pid, 6);
}

static void one_busy_port_does_not_push_out_the_others(void **state)
{
	struct ledger *led = *state;

	take_and_release(led, 1, 42);
	for (uint32_t i = 0; i < 3 * PAST_MAX; i++)
		take_and_release(led, 0, 7);
	assert_int_equal(past_of(led, 1)->pid, 42);
}

static void many_rounds_leave_just_the_newest(void **state)
{
	struct ledger *led = *state;
	const uint32_t n = 50000;

	for (uint32_t i = 0; i < n; i++)
		take_and_release(led, i, i + 1);
	for (uint32_t i = 0; i < n; i++) {
		const struct past_owner *past = past_of(led, i);

		assert_int_equal(past ? past->pid : 0, i >= n - PAST_MAX ? i + 1 : 0);
	}
}

/* ---- processes are held ---- */

static void an_entry_and_its_memory_hold_the_process(void **state)
{
	struct ledger *led = *state;
	struct process process = { .key = { 42, 1, 1 } };

	assert_non_null(ledger_hold(led, RECORD(.sk = 1, .port = 80, .pid = 42), &process));
	assert_int_equal(process.refs, 1);
	assert_non_null(ledger_hold(led, RECORD(.sk = 1, .port = 80, .pid = 42), &process));
	assert_int_equal(process.refs, 1);
	ledger_release(led, ledger_find(led, 1), 100);
	assert_int_equal(process.refs, 1);
	assert_ptr_equal(ledger_past(led, HOST, PROTO_TCP, 80)->process, &process);
	/* The same process has the same port again, and lets it go again. */
	assert_non_null(ledger_hold(led, RECORD(.sk = 1, .port = 80, .pid = 42), &process));
	assert_int_equal(process.refs, 2);
	ledger_release(led, ledger_find(led, 1), 200);
	assert_int_equal(process.refs, 1);
	*state = ledger_free(led);
	assert_int_equal(process.refs, 0);
}

static void a_forgotten_last_owner_is_let_go(void **state)
{
	struct ledger *led = *state;
	struct process process = { .key = { 42, 1, 1 } };

	assert_non_null(ledger_hold(led, RECORD(.sk = 1, .port = 1, .netns = 1, .pid = 42), &process));
	ledger_release(led, ledger_find(led, 1), 100);
	for (uint32_t i = 0; i < PAST_MAX; i++)
		take_and_release(led, i, 7);
	assert_int_equal(process.refs, 0);
}

static void freeing_lets_go_of_what_is_still_held(void **state)
{
	struct process process = { .key = { 42, 1, 1 } };
	struct entry *e = ledger_hold(*state, RECORD(.sk = 1, .port = 80, .pid = 42), &process);

	entry_owner_add(e, OWNER(.pid = 43)); /* the leak checker judges */
	*state = ledger_free(*state);
	assert_int_equal(process.refs, 0);
	assert_null(ledger_free(NULL));
}

/* ---- room ---- */

static void past_the_limit_sockets_are_refused_and_counted(void **state)
{
	struct ledger *led = *state;
	struct process process = { .key = { 42, 1, 1 } };

	for (uint64_t i = 1; i <= ROOM; i++)
		hold(led, RECORD(.sk = i, .port = 80));
	assert_int_equal(ledger_refused(led), 0);
	assert_null(ledger_hold(led, RECORD(.sk = 1000, .port = 80, .pid = 42), &process));
	assert_int_equal(ledger_refused(led), 1);
	assert_int_equal(process.refs, 0);
	assert_int_equal(ledger_count(led), ROOM);
	assert_null(ledger_find(led, 1000));
	/* One that is known is brought up to date all the same, and one that goes makes room. */
	assert_non_null(ledger_hold(led, RECORD(.sk = 3, .port = 81), NULL));
	ledger_release(led, ledger_find(led, 3), 1);
	hold(led, RECORD(.sk = 1000, .port = 80));
	assert_int_equal(ledger_refused(led), 1);
}

/* ---- many ---- */

#define MODEL 256

/* What a plain array of the same sockets would say, step by step. */
static void it_agrees_with_a_simple_model_over_many_random_steps(void **state)
{
	struct ledger *led = ledger_new(MODEL);
	struct {
		uint16_t port;
		uint32_t pid;
		bool there;
	} model[MODEL] = { 0 };
	unsigned seed = 1;
	size_t there = 0;

	(void)state;
	for (unsigned step = 0; step < 100000; step++) {
		unsigned r = (seed = seed * 1103515245 + 12345) >> 8;
		unsigned i = r & (MODEL - 1);
		uint16_t port = (uint16_t)(r >> 8 & 7);
		uint32_t pid = r >> 11 & 7;

		if (model[i].there && r >> 14 & 1) {
			ledger_release(led, ledger_find(led, i + 1), step);
			model[i].there = false;
			there--;
		} else {
			hold(led, RECORD(.sk = i + 1, .port = port, .pid = pid));
			if (!model[i].there)
				model[i].pid = pid;
			there += !model[i].there;
			model[i].port = port;
			model[i].there = true;
		}
		assert_int_equal(ledger_count(led), there);
		if (step % 1000)
			continue;
		for (uint16_t p = 0; p < 8; p++) {
			size_t on_port = 0, of_pid = 0;

			for (unsigned k = 0; k < MODEL; k++) {
				on_port += model[k].there && model[k].port == p;
				of_pid += model[k].there && model[k].pid == p;
			}
			assert_int_equal(count_on_port(led, PROTO_TCP, p), on_port);
			assert_int_equal(count_of_pid(led, p), of_pid);
		}
	}
	ledger_free(led);
}

static double release_all_ns(uint32_t n)
{
	struct ledger *led = ledger_new(n);
	struct timespec a, b;

	assert_non_null(led);
	for (uint32_t i = 1; i <= n; i++)
		hold(led, RECORD(.sk = i, .port = 80, .pid = 42));
	clock_gettime(CLOCK_MONOTONIC, &a);
	for (uint32_t i = 1; i <= n; i++)
		ledger_release(led, ledger_find(led, i), i);
	clock_gettime(CLOCK_MONOTONIC, &b);
	assert_int_equal(ledger_count(led), 0);
	ledger_free(led);
	return ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) / n;
}

/* A process with very many sockets exits: its oldest go first. Searched chains would be thousands of times slower. */
static void a_release_costs_the_same_however_many_share_its_port_and_process(void **state)
{
	double few, many;

	(void)state;
	few = release_all_ns(1000);
	many = release_all_ns(100000);
	print_message("release: %.0f ns among 1,000, %.0f ns among 100,000\n", few, many);
	assert_true(many < few * 30 + 20000);
}

#define LEDGER_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LEDGER_TEST(a_socket_that_took_a_port_is_found_by_key_port_and_process),
		LEDGER_TEST(a_known_beginning_counts_and_not_the_time_it_was_told),
		LEDGER_TEST(ports_differ_by_namespace_and_table),
		LEDGER_TEST(mptcp_and_tcp_share_their_ports),
		LEDGER_TEST(a_listen_after_a_bind_changes_the_same_entry),
		LEDGER_TEST(what_a_later_record_does_not_know_stays),
		LEDGER_TEST(an_entry_moves_with_its_port),
		LEDGER_TEST(a_socket_that_listened_before_is_known_to_have_listened),
		LEDGER_TEST(an_entry_is_stale_when_its_key_was_tracked_at_another_time),
		LEDGER_TEST(who_does_not_know_when_calls_nothing_stale),
		LEDGER_TEST(an_update_leaves_when_it_was_tracked),
		LEDGER_TEST(a_socket_without_key_is_known_by_its_cookie),
		LEDGER_TEST(keys_and_cookies_of_the_same_number_are_not_mixed_up),
		LEDGER_TEST(nothing_is_found_by_no_key_and_no_cookie),
		LEDGER_TEST(entries_are_walked_from_the_oldest),
		LEDGER_TEST(entries_of_a_port_may_be_held_again_while_they_are_walked),
		LEDGER_TEST(entries_of_a_port_may_be_released_when_the_next_is_taken_before),
		LEDGER_TEST(what_is_taken_while_walking_does_not_disturb_the_walk),
		LEDGER_TEST(other_owners_are_added_once),
		LEDGER_TEST(owners_past_the_limit_are_counted_only),
		LEDGER_TEST(of_a_socket_whose_binder_is_unknown_all_owners_are_others),
		LEDGER_TEST(after_a_handoff_the_binders_number_is_an_owner_like_others),
		LEDGER_TEST(a_released_port_remembers_its_last_owner),
		LEDGER_TEST(the_last_of_several_owners_is_the_last_owner),
		LEDGER_TEST(when_nobody_knows_who_had_it_last_nobody_is_named),
		LEDGER_TEST(of_too_many_last_owners_the_one_gone_longest_is_forgotten),
		LEDGER_TEST(a_port_that_is_released_again_is_the_newest_again),
		LEDGER_TEST(one_busy_port_does_not_push_out_the_others),
		LEDGER_TEST(many_rounds_leave_just_the_newest),
		LEDGER_TEST(an_entry_and_its_memory_hold_the_process),
		LEDGER_TEST(a_forgotten_last_owner_is_let_go),
		LEDGER_TEST(freeing_lets_go_of_what_is_still_held),
		LEDGER_TEST(past_the_limit_sockets_are_refused_and_counted),
		cmocka_unit_test(it_agrees_with_a_simple_model_over_many_random_steps),
		cmocka_unit_test(a_release_costs_the_same_however_many_share_its_port_and_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
