/* SPDX-License-Identifier: GPL-2.0-only */
/* How far systemd is: what systemctl says, read; and that the history keeps it. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#undef fail /* ours is another */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "enrich/boot_times.h"
#include "sink/history.h"
#include "support/views.h"
#include "util/cleanup.h"

static void what_systemctl_shows_is_read(void **state)
{
	struct boot_times t = { 0 };

	(void)state;
	boot_times_read("UserspaceTimestampMonotonic=293001\nFinishTimestampMonotonic=4102000\n", &t);
	boot_times_read("Id=sysinit.target\nActiveEnterTimestampMonotonic=812345\n\n"
			"ActiveEnterTimestampMonotonic=2000000\nId=network-online.target\n",
			&t);
	assert_int_equal(t.userspace_ns, 293001000);
	assert_int_equal(t.sysinit_ns, 812345000);
	assert_int_equal(t.network_ns, 2000000000);
	assert_int_equal(t.finished_ns, 4102000000);
}

static void what_makes_no_sense_is_not_known(void **state)
{
	struct boot_times t = { 0 };

	(void)state;
	boot_times_read("", &t);
	boot_times_read("\n\n\nId=\nFinishTimestampMonotonic=\nUserspaceTimestampMonotonic=-1\n", &t);
	boot_times_read("Id=sysinit.target", &t);
	boot_times_read("ActiveEnterTimestampMonotonic=18446744073709551615\nId=sysinit.target", &t);
	boot_times_read("FinishTimestampMonotonic=00000000000000000000000000000000000001", &t);
	assert_int_equal(t.userspace_ns + t.sysinit_ns + t.network_ns + t.finished_ns, 0);
}

/* ---- the sink ---- */

static unsigned n_asked;
static struct boot_times answer;

static bool answer_give(struct boot_times *ret)
{
	n_asked++;
	*ret = answer;
	return answer.userspace_ns;
}

static void tick_at(void *sink, uint64_t *now_s, unsigned want_asked)
{
	uint64_t next, now_ns = *now_s * 1000000000ull;

	assert_int_equal(sink_history.tick(sink, now_ns, &next), 0);
	assert_int_equal(n_asked, want_asked);
	assert_true(next > now_ns);
	*now_s = next / 1000000000ull;
}

static void systemd_is_asked_at_growing_intervals_until_the_boot_is_over(void **state)
{
	char path[] = "/tmp/portlog-boot.XXXXXX";
	struct history_options o = { .path = path, .boot_times = answer_give };
	struct sink_options options = { .arg = &o };
	struct session other = *views_session();
	struct boot_times got;
	uint64_t now_s = 100;
	struct store *store;
	void *sink;
	auto_close int fd = mkstemp(path);

	(void)state;
	n_asked = 0;
	answer = (struct boot_times){ 0 };
	assert_true(fd >= 0);
	assert_int_equal(sink_history.open(&options, &sink), 0);
	tick_at(sink, &now_s, 0);
	assert_int_equal(sink_history.write(sink, listen_ok(.port = 80)), 0);
	assert_int_equal(sink_history.flush(sink), 0);
	assert_int_equal(now_s, 101);
	tick_at(sink, &now_s, 1); /* no answer */
	assert_int_equal(now_s, 103);
	answer = (struct boot_times){ .userspace_ns = 1, .sysinit_ns = 2 };
	tick_at(sink, &now_s, 2); /* not over */
	assert_int_equal(now_s, 107);
	answer.finished_ns = 3;
	tick_at(sink, &now_s, 3);
	assert_int_equal(now_s, 117); /* back to what retention wants */
	tick_at(sink, &now_s, 3);
	sink_history.close(sink);
	assert_int_equal(store_open_read(path, &store), 0);
	assert_int_equal(store_boot(store, views_session()->boot_id, &got), 0);
	assert_memory_equal(&got, &answer, sizeof(got));
	store_close(store);

	/* Another run of the same boot finds it in the file. */
	assert_int_equal(sink_history.open(&options, &sink), 0);
	now_s = 200;
	tick_at(sink, &now_s, 3);
	assert_int_equal(sink_history.write(sink, listen_ok(.port = 81)), 0);
	assert_int_equal(sink_history.flush(sink), 0);
	tick_at(sink, &now_s, 3);
	sink_history.close(sink);

	/* A run of another boot, which ends before it is time to ask. */
	snprintf(other.boot_id, sizeof(other.boot_id), "00000000000000000000000000000001");
	snprintf(other.stream, sizeof(other.stream), "0000000000000001");
	assert_int_equal(sink_history.open(&options, &sink), 0);
	assert_int_equal(sink_history.write(sink, listen_ok(.port = 82, .session = &other)), 0);
	assert_int_equal(sink_history.flush(sink), 0);
	assert_int_equal(n_asked, 3);
	assert_int_equal(sink_history.write(sink, view_of(.action = ACTION_STOP, .session = &other)), 0);
	assert_int_equal(sink_history.flush(sink), 0);
	assert_int_equal(n_asked, 4);
	sink_history.close(sink);
	assert_int_equal(store_open_read(path, &store), 0);
	assert_int_equal(store_boot(store, other.boot_id, &got), 0);
	assert_memory_equal(&got, &answer, sizeof(got));
	store_close(store);
	views_free();
	(void)unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_systemctl_shows_is_read),
		cmocka_unit_test(what_makes_no_sense_is_not_known),
		cmocka_unit_test(systemd_is_asked_at_growing_intervals_until_the_boot_is_over),
	};

	return cmocka_run_group_tests_name("boot_times", tests, NULL, NULL);
}
