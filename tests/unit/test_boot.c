/* SPDX-License-Identifier: GPL-2.0-only */
/* The rows of a boot: events through a store, folded into who had which port first and who came too late. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#undef fail /* ours is another */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/store.h"
#include "support/boots.h"
#include "util/cleanup.h"
#include "view/boot_rows.h"

#define MS(ms) BOOT_MS(ms)
#define NS_PER_MS 1000000ull

struct world {
	char path[64];
	struct store *store;
	struct boot_options options;
	struct boot *boot;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	int fd;

	if (!w)
		return -1;
	strcpy(w->path, "/tmp/portlog-boot.XXXXXX");
	fd = mkstemp(w->path);
	if (fd < 0 || store_open(w->path, &w->store))
		return -1;
	close(fd);
	w->options.times = boot_usual_times;
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	static const char *const suffixes[] = { "", "-wal", "-shm" };
	struct world *w = *state;
	char path[96];

	boot_free(w->boot);
	store_close(w->store);
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		snprintf(path, sizeof(path), "%s%s", w->path, suffixes[i]);
		(void)unlink(path);
	}
	free(w);
	views_free();
	return 0;
}

static void put(struct world *w, const struct view *v)
{
	assert_int_equal(store_put(w->store, v), 0);
}

static void start(struct world *w)
{
	put(w, view_of(.action = ACTION_START, .at_ms = MS(293), .seq = 1));
	put(w, view_of(.action = ACTION_SYNCED, .at_ms = MS(300)));
}

static int note(void *arg, int64_t id, const struct view *v)
{
	return boot_add(arg, id, v);
}

/* What is in the store by now. Returns how many rows are shown. */
static size_t read_boot(struct world *w)
{
	struct store_query q = { .until = INT64_MAX };
	size_t shown;
	int r;

	assert_int_equal(store_commit(w->store), 0);
	w->boot = boot_new(&w->options);
	assert_non_null(w->boot);
	r = store_each(w->store, &q, note, w->boot);
	assert_true(r == 0 || r == BOOT_OVER);
	assert_int_equal(boot_end(w->boot, &shown), 0);
	return shown;
}

static const struct boot_row *row_at(const struct world *w, size_t i)
{
	assert_true(i < w->boot->n_order);
	return &w->boot->rows[w->boot->order[i]];
}

static void assert_row(const struct world *w, size_t i, enum boot_kind kind, uint32_t pid, uint64_t at_ms)
{
	const struct boot_row *row = row_at(w, i);

	assert_int_equal(row->kind, kind);
	assert_int_equal(row->view->rec->pid, pid);
	assert_int_equal(row->time_ns, at_ms * NS_PER_MS);
}

static void a_bind_and_its_listen_are_one_row(void **state)
{
	struct world *w = *state;

	start(w);
	put(w, bind_ok(.at_ms = MS(1000), .seq = 3, .port = 80, .pid = 53));
	put(w, listen_ok(.at_ms = MS(1002), .socket_id = 3, .port = 80, .pid = 53));
	put(w, bind_ok(.at_ms = MS(1003), .port = 81, .pid = 54));
	put(w, bind_ok(.at_ms = MS(1004), .port = 81, .proto = PROTO_UDP, .pid = 55));
	assert_int_equal(read_boot(w), 3);
	assert_row(w, 0, BOOT_OWNER, 53, 1000);
	assert_int_equal(row_at(w, 0)->listened_ns, 1002 * NS_PER_MS);
	assert_int_equal(row_at(w, 1)->listened_ns, 0);
	assert_int_equal(row_at(w, 2)->listened_ns, 1004 * NS_PER_MS); /* UDP: that is all there is */
}

static void a_clash_says_how_long_the_holder_had_the_port(void **state)
{
	struct world *w = *state;

	start(w);
	put(w, listen_ok(.at_ms = MS(1000), .port = 80, .pid = 53, .comm = "nginx"));
	put(w, bind_failed(.at_ms = MS(1045), .port = 80, .pid = 61, .error = EADDRINUSE,
			   .holders = { { .kind = HOLDER_LISTENER,
					  .pid = 53,
					  .comm = "nginx",
					  .since_ms = MS(1000) } }));
	/* Nothing is known of since when: its row is. */
	put(w, bind_failed(.at_ms = MS(1100), .port = 80, .pid = 62, .error = EADDRINUSE,
			   .holders = { { .kind = HOLDER_LISTENER, .pid = 53, .comm = "nginx" } }));
	/* Nobody: it was gone by then. */
	put(w, bind_failed(.at_ms = MS(1200), .port = 80, .pid = 63, .error = EADDRINUSE,
			   .reason = REASON_NO_HOLDER));
	assert_int_equal(read_boot(w), 4);
	assert_row(w, 1, BOOT_FAILURE, 61, 1045);
	assert_true(row_at(w, 1)->had);
	assert_int_equal(row_at(w, 1)->had_ns, 45 * NS_PER_MS);
	assert_int_equal(row_at(w, 2)->had_ns, 100 * NS_PER_MS);
	assert_int_equal(row_at(w, 2)->had_precision, SINCE_EXACT);
	assert_false(row_at(w, 3)->had);
}

static void a_holder_that_nothing_else_tells_of_has_a_row_once(void **state)
{
	struct world *w = *state;

	start(w);
	for (int i = 0; i < 3; i++)
		put(w, bind_failed(.at_ms = MS(1000 + i), .port = 33000, .pid = 61, .error = EADDRINUSE,
				   .holders = { { .kind = HOLDER_CLIENT,
						  .pid = 99,
						  .comm = "curl",
						  .since_ms = MS(900) },
						{ .kind = HOLDER_TIME_WAIT } }));
	assert_int_equal(read_boot(w), 5);
	assert_row(w, 0, BOOT_HOLDER, 99, 900);
	assert_row(w, 1, BOOT_HOLDER, 0, 1000);
	assert_int_equal(row_at(w, 1)->precision, SINCE_NOT_AFTER);
	assert_row(w, 2, BOOT_FAILURE, 61, 1000);
	assert_int_equal(row_at(w, 2)->times, 3); /* in one line of the table */
	assert_int_equal(row_at(w, 4)->first, w->boot->order[2]);
}

static void one_server_is_one_row_and_another_is_another(void **state)
{
	struct world *w = *state;

	start(w);
	put(w, listen_ok(.at_ms = MS(1000), .seq = 3, .port = 80, .pid = 53, .unit = "a.service"));
	put(w, listen_ok(.at_ms = MS(1001), .seq = 4, .port = 80, .pid = 54,
			 .unit = "a.service")); /* SO_REUSEPORT */
	put(w, release_of(.at_ms = MS(1100), .socket_id = 3, .port = 80, .pid = 53));
	put(w, listen_ok(.at_ms = MS(1200), .seq = 6, .port = 80, .pid = 70,
			 .unit = "b.service")); /* shares it */
	put(w, release_of(.at_ms = MS(1300), .socket_id = 4, .port = 80, .pid = 54));
	put(w, listen_ok(.at_ms = MS(1400), .port = 80, .pid = 55, .unit = "a.service")); /* a restart */
	put(w, listen_ok(.at_ms = MS(1500), .port = 80, .pid = 53, .unit = "a.service", .addr = "127.0.0.1"));
	assert_int_equal(read_boot(w), 3);
	assert_row(w, 0, BOOT_OWNER, 53, 1000);
	assert_int_equal(row_at(w, 0)->again, 1);
	assert_int_equal(row_at(w, 0)->again_ns, 1400 * NS_PER_MS);
	assert_int_equal(row_at(w, 0)->released_ns, 0);
	assert_row(w, 1, BOOT_OWNER, 70, 1200);
	assert_int_equal(row_at(w, 1)->before, w->boot->order[0]);
	assert_true(row_at(w, 1)->before_open);
	assert_row(w, 2, BOOT_OWNER, 53, 1500); /* another address */
}

static void other_namespaces_and_ephemeral_ports_are_for_all(void **state)
{
	struct world *w = *state;

	start(w);
	put(w, listen_ok(.at_ms = MS(1000), .port = 80, .pid = 53, .netns = 77));
	put(w, listen_ok(.at_ms = MS(1001), .port = 40000, .pid = 54, .ephemeral = true));
	put(w, bind_failed(.at_ms = MS(1002), .port = 80, .pid = 55, .error = EADDRINUSE, .netns = 77));
	assert_int_equal(read_boot(w), 0);
	boot_free(w->boot);
	w->options.all = true;
	assert_int_equal(read_boot(w), 3);
}

static void an_ephemeral_port_that_somebody_fails_on_is_shown(void **state)
{
	struct world *w = *state;

	start(w);
	put(w, listen_ok(.at_ms = MS(1001), .port = 40000, .pid = 54, .comm = "rpc", .ephemeral = true));
	put(w, bind_failed(.at_ms = MS(1100), .port = 40000, .pid = 61, .error = EADDRINUSE,
			   .holders = { { .kind = HOLDER_LISTENER,
					  .pid = 54,
					  .comm = "rpc",
					  .since_ms = MS(1001) } }));
	assert_int_equal(read_boot(w), 2);
	assert_row(w, 0, BOOT_OWNER, 54, 1001);
}

static void it_ends_thirty_seconds_after_systemd_has_finished(void **state)
{
	struct world *w = *state;

	start(w);
	put(w, listen_ok(.at_ms = MS(34102), .port = 80));
	put(w, listen_ok(.at_ms = MS(34103), .port = 81));
	assert_int_equal(read_boot(w), 1);
	boot_free(w->boot);
	w->options.times.finished_ns = 0;
	w->options.booting = true;
	put(w, listen_ok(.at_ms = MS(3600000), .port = 82));
	assert_int_equal(read_boot(w), 3);
	boot_free(w->boot);
	w->options.booting = false; /* not known: 5 minutes from the hooks on */
	assert_int_equal(read_boot(w), 2);
}

static void a_recorder_that_came_late_tells_what_it_found(void **state)
{
	struct world *w = *state;

	put(w, view_of(.action = ACTION_START, .at_ms = MS(900000), .seq = 1));
	put(w, snapshot_of(.at_ms = MS(900001), .port = 22, .pid = 60, .state = 10, .since_ms = MS(1000),
			   .precision = SINCE_NOT_BEFORE));
	put(w, snapshot_of(.at_ms = MS(900001), .port = 8080, .pid = 61, .state = 10, .since_ms = MS(800000),
			   .precision = SINCE_NOT_BEFORE));
	put(w, view_of(.action = ACTION_SYNCED, .at_ms = MS(900002)));
	put(w, listen_ok(.at_ms = MS(900003), .port = 8081));
	assert_int_equal(read_boot(w), 1);
	assert_row(w, 0, BOOT_OWNER, 60, 1000);
	assert_true(row_at(w, 0)->held_before);
	assert_int_equal(row_at(w, 0)->precision, SINCE_NOT_BEFORE);
}

static void another_run_of_the_recorder_finds_who_is_there_still(void **state)
{
	struct session second = *views_session();
	struct world *w = *state;

	snprintf(second.stream, sizeof(second.stream), "0123456789abcdef");
	start(w);
	put(w, listen_ok(.at_ms = MS(1000), .port = 80, .pid = 53, .comm = "nginx"));
	put(w, view_of(.action = ACTION_START, .at_ms = MS(2000), .seq = 1, .session = &second));
	put(w, snapshot_of(.at_ms = MS(2001), .seq = 2, .port = 80, .pid = 53, .comm = "nginx",
			   .session = &second));
	put(w, snapshot_of(.at_ms = MS(2001), .seq = 3, .port = 81, .pid = 54, .session = &second));
	put(w, view_of(.action = ACTION_SYNCED, .at_ms = MS(2002), .seq = 4, .session = &second));
	put(w, release_of(.at_ms = MS(2100), .seq = 5, .socket_id = 2, .port = 80, .pid = 53,
			  .session = &second));
	assert_int_equal(read_boot(w), 2);
	assert_row(w, 0, BOOT_OWNER, 53, 1000);
	assert_int_equal(row_at(w, 0)->again, 0);
	assert_int_equal(row_at(w, 0)->released_ns, 2100 * NS_PER_MS);
	assert_true(row_at(w, 1)->unseen);
	assert_int_equal(w->boot->n_gaps, 1);
	assert_int_equal(w->boot->gaps[0].from_ns, 1000 * NS_PER_MS);
	assert_int_equal(w->boot->gaps[0].to_ns, 2000 * NS_PER_MS);
}

static void the_socket_of_a_unit_is_handed_to_systemd(void **state)
{
	struct world *w = *state;

	start(w);
	put(w,
	    listen_ok(.at_ms = MS(1000), .seq = 3, .port = 22, .pid = 48, .comm = "(sd-listen)",
		      .bound_by = { .kind = "socket-unit", .unit = "ssh.socket", .service = "ssh.service" }));
	put(w, view_of(.action = ACTION_HANDOFF, .at_ms = MS(1002), .socket_id = 3, .port = 22, .pid = 48,
		       .owners = { { .pid = 1, .comm = "systemd" } }));
	put(w, bind_failed(.at_ms = MS(1100), .port = 22, .pid = 61, .error = EADDRINUSE,
			   .holders = { { .kind = HOLDER_LISTENER, .pid = 1, .comm = "systemd" } }));
	assert_int_equal(read_boot(w), 2); /* systemd is the owner of the row */
	assert_true(row_at(w, 0)->handed);
	assert_string_equal(row_at(w, 0)->view->bound_by->service, "ssh.service");
	assert_int_equal(row_at(w, 1)->had_ns, 100 * NS_PER_MS);
}

static void what_has_no_room_is_counted(void **state)
{
	struct world *w = *state;
	size_t before;

	w->boot = boot_new(&w->options);
	assert_non_null(w->boot);
	for (uint32_t i = 0; i < BOOT_ROWS_MAX + 10; i++) {
		const struct view *v = bind_failed(.at_ms = MS(1000 + i), .seq = i + 1,
						   .port = (uint16_t)(i + 1), .error = EACCES);

		assert_int_equal(boot_add(w->boot, i + 1, v), 0);
		views_free();
	}
	assert_int_equal(boot_end(w->boot, &before), 0);
	assert_int_equal(before, BOOT_ROWS_MAX);
	assert_int_equal(w->boot->left_out, 10);
}

static void a_storm_of_one_failure_is_counted_and_bounded(void **state)
{
	const uint32_t n = 10 * BOOT_ROWS_MAX;
	struct world *w = *state;
	const struct view *v;
	size_t shown;

	w->boot = boot_new(&w->options);
	assert_non_null(w->boot);
	assert_int_equal(boot_add(w->boot, 1,
				  listen_ok(.at_ms = MS(1000), .port = 80, .pid = 53, .comm = "nginx")),
			 0);
	v = bind_failed(.at_ms = MS(1045), .port = 80, .error = EADDRINUSE,
			.holders = { { .kind = HOLDER_LISTENER, .pid = 53, .comm = "nginx" } });
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(boot_add(w->boot, 2 + i, v), 0);
	assert_int_equal(
		boot_add(w->boot, n + 2, bind_failed(.at_ms = MS(1046), .port = 81, .error = EACCES)), 0);
	assert_int_equal(boot_end(w->boot, &shown), 0);
	assert_int_equal(shown, BOOT_ROWS_MAX);
	assert_int_equal(row_at(w, 1)->times, n);
	assert_int_equal(w->boot->left_out - w->boot->left_out_again,
			 1); /* the other failure, which is nowhere */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_bind_and_its_listen_are_one_row),
		TEST(a_clash_says_how_long_the_holder_had_the_port),
		TEST(a_holder_that_nothing_else_tells_of_has_a_row_once),
		TEST(one_server_is_one_row_and_another_is_another),
		TEST(other_namespaces_and_ephemeral_ports_are_for_all),
		TEST(an_ephemeral_port_that_somebody_fails_on_is_shown),
		TEST(it_ends_thirty_seconds_after_systemd_has_finished),
		TEST(a_recorder_that_came_late_tells_what_it_found),
		TEST(another_run_of_the_recorder_finds_who_is_there_still),
		TEST(the_socket_of_a_unit_is_handed_to_systemd),
		TEST(what_has_no_room_is_counted),
		TEST(a_storm_of_one_failure_is_counted_and_bounded),
	};
#undef TEST

	return cmocka_run_group_tests_name("boot", tests, NULL, NULL);
}
