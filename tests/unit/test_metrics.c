/* SPDX-License-Identifier: GPL-2.0-only */
/* The file of figures: what is in it, and what happens when it cannot be written. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#undef fail /* ours is another */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sink/metrics.h"
#include "support/views.h"
#include "util/cleanup.h"
#include "util/fail.h"

struct stage {
	char folder[32], path[64], other[64], store[64];
	struct writer_gauge gauges[2];
	struct metrics_board board;
	void *sink;
};

static int open_sink(struct stage *s, const char *path)
{
	const struct sink_ops named = { .name = "history" };
	const struct writer_sink sinks[] = { { .ops = &named, .gauge = &s->gauges[0] },
					     { .name = "ndjson:/a\"b\\c\n", .gauge = &s->gauges[1] } };
	struct metrics_options mo = {
		.path = path, .store = s->store, .board = &s->board, .sinks = sinks, .n = ARRAY_SIZE(sinks)
	};
	const struct sink_options o = { .arg = &mo };

	return sink_metrics.open(&o, &s->sink);
}

static int setup(void **state)
{
	struct stage *s = calloc(1, sizeof(*s));

	if (!s)
		return -1;
	strcpy(s->folder, "/tmp/portlog-test-XXXXXX");
	if (!mkdtemp(s->folder))
		return -1;
	snprintf(s->path, sizeof(s->path), "%s/x.prom", s->folder);
	snprintf(s->other, sizeof(s->other), "%s.gone", s->folder);
	snprintf(s->store, sizeof(s->store), "%s/history.db", s->folder);
	pthread_mutex_init(&s->board.lock, NULL);
	*state = s;
	return open_sink(s, s->path);
}

static int teardown(void **state)
{
	struct stage *s = *state;

	sink_metrics.close(s->sink);
	unlink(s->path);
	unlink(s->store);
	rmdir(s->folder);
	free(s);
	views_free();
	fail_clear();
	return 0;
}

static int tick(struct stage *s, uint64_t now_ns, uint64_t *ret_next_ns)
{
	return sink_metrics.tick(s->sink, now_ns, ret_next_ns);
}

/* The file but for the line that is never the same; the caller frees it. */
static char *content(const struct stage *s)
{
	auto_fclose FILE *f = fopen(s->path, "re");
	char *text = calloc(1, 1 << 16), *start;

	assert_non_null(f);
	assert_non_null(text);
	assert_true(fread(text, 1, (1 << 16) - 1, f) > 0);
	start = strstr(text, "portlog_start_time_seconds 1");
	assert_non_null(start);
	memmove(start, strchr(start, '\n') + 1, strlen(strchr(start, '\n') + 1) + 1);
	return text;
}

static const char wanted[] =
	"# HELP portlog_build_info Always 1: which portlog runs, and by which hooks it sees\n"
	"# TYPE portlog_build_info gauge\n"
	"portlog_build_info{version=\"1.2\",hooks=\"fexit\"} 1\n"
	"# HELP portlog_start_time_seconds When it was started, in seconds since 1970\n"
	"# TYPE portlog_start_time_seconds gauge\n"
	"# HELP portlog_lag_seconds At most, of late: from a call to its event\n"
	"# TYPE portlog_lag_seconds gauge\n"
	"portlog_lag_seconds 0.002500\n"
	"# HELP portlog_sockets_held Sockets that hold a port\n"
	"# TYPE portlog_sockets_held gauge\n"
	"portlog_sockets_held{proto=\"tcp\"} 5\n"
	"portlog_sockets_held{proto=\"udp\"} 3\n"
	"portlog_sockets_held{proto=\"mptcp\"} 1\n"
	"# HELP portlog_ledger_sockets Sockets in the ledger\n"
	"# TYPE portlog_ledger_sockets gauge\n"
	"portlog_ledger_sockets 9\n"
	"# HELP portlog_failures_total Binds and listens that failed\n"
	"# TYPE portlog_failures_total counter\n"
	"portlog_failures_total{errno=\"EADDRINUSE\",reason_code=\"listener\"} 2\n"
	"portlog_failures_total{errno=\"EACCES\",reason_code=\"low-port\"} 1\n"
	"# HELP portlog_events_total Events told, without bookkeeping\n"
	"# TYPE portlog_events_total counter\n"
	"portlog_events_total 100\n"
	"# HELP portlog_ephemeral_binds_total Binds to port 0, counted and not told\n"
	"# TYPE portlog_ephemeral_binds_total counter\n"
	"portlog_ephemeral_binds_total 7\n"
	"# HELP portlog_ledger_refused_total Sockets that found no room in the ledger\n"
	"# TYPE portlog_ledger_refused_total counter\n"
	"portlog_ledger_refused_total 0\n"
	"# HELP portlog_bad_records_total Records of the kernel's side that were not understood\n"
	"# TYPE portlog_bad_records_total counter\n"
	"portlog_bad_records_total 0\n"
	"# HELP portlog_processes Processes that are remembered\n"
	"# TYPE portlog_processes gauge\n"
	"portlog_processes 11\n"
	"# HELP portlog_ring_used_bytes Bytes in the ring from the kernel that were not read yet\n"
	"# TYPE portlog_ring_used_bytes gauge\n"
	"portlog_ring_used_bytes 216\n"
	"# HELP portlog_ring_size_bytes Size of the ring from the kernel\n"
	"# TYPE portlog_ring_size_bytes gauge\n"
	"portlog_ring_size_bytes 8388608\n"
	"# HELP portlog_lost_events_total Events that were lost before they could be told, or before the history\n"
	"# TYPE portlog_lost_events_total counter\n"
	"portlog_lost_events_total{where=\"ring\"} 4\n"
	"portlog_lost_events_total{where=\"queue\"} 0\n"
	"portlog_lost_events_total{where=\"map\"} 0\n"
	"portlog_lost_events_total{where=\"hook\"} 0\n"
	"# HELP portlog_sink_events_total Events that a sink has written\n"
	"# TYPE portlog_sink_events_total counter\n"
	"portlog_sink_events_total{sink=\"history\"} 96\n"
	"portlog_sink_events_total{sink=\"ndjson:/a\\\"b\\\\c\\\\x0a\"} 90\n"
	"# HELP portlog_sink_missed_events_total Events that a sink will never have\n"
	"# TYPE portlog_sink_missed_events_total counter\n"
	"portlog_sink_missed_events_total{sink=\"history\"} 0\n"
	"portlog_sink_missed_events_total{sink=\"ndjson:/a\\\"b\\\\c\\\\x0a\"} 6\n"
	"# HELP portlog_sink_queue_bytes Bytes of events that wait for a sink\n"
	"# TYPE portlog_sink_queue_bytes gauge\n"
	"portlog_sink_queue_bytes{sink=\"history\"} 0\n"
	"portlog_sink_queue_bytes{sink=\"ndjson:/a\\\"b\\\\c\\\\x0a\"} 1024\n"
	"# HELP portlog_sink_failing Whether a sink fails, and is tried again\n"
	"# TYPE portlog_sink_failing gauge\n"
	"portlog_sink_failing{sink=\"history\"} 0\n"
	"portlog_sink_failing{sink=\"ndjson:/a\\\"b\\\\c\\\\x0a\"} 1\n"
	"# HELP portlog_history_size_bytes Size of the history on disk\n"
	"# TYPE portlog_history_size_bytes gauge\n"
	"portlog_history_size_bytes 1000\n";

static const struct pipeline_stats stats = {
	.held = { [PROTO_TCP] = 5, [PROTO_UDP] = 3, [PROTO_MPTCP] = 1 },
	.told = 100,
	.lost = { [LOST_RING] = 4 },
	.ephemeral = 7,
	.processes = 11,
	.ring_used = 216,
	.ring_bytes = 8 << 20,
	.lag_ns = 2500000,
};

static void give_events(struct stage *s)
{
	static const struct session session = { .version = "1.2", .hooks = "fexit" };
	const struct view *views[] = {
		view_of(.action = ACTION_START, .session = &session),
		bind_failed(.error = EADDRINUSE, .code = "listener"),
		bind_failed(.error = EACCES, .port = 80, .code = "low-port"),
		listen_failed(.error = EADDRINUSE, .port = 81, .code = "listener"),
	};

	for (size_t i = 0; i < ARRAY_SIZE(views); i++)
		assert_int_equal(sink_metrics.write(s->sink, views[i]), 0);
}

static void all_figures_are_there_with_their_help_and_type(void **state)
{
	struct stage *s = *state;
	auto_free char *text = NULL;
	struct stat st;
	uint64_t next;

	assert_int_equal(close(creat(s->store, 0600)), 0);
	assert_int_equal(truncate(s->store, 1000), 0);
	s->gauges[0].written = 96;
	s->gauges[1].written = 90;
	s->gauges[1].missed = 6;
	s->gauges[1].queued = 1024;
	s->gauges[1].failing = true;
	give_events(s);
	metrics_show(&s->board, &stats);
	umask(077);
	assert_int_equal(tick(s, 1000, &next), 0);
	assert_int_equal(next, 1000 + METRICS_NS);
	text = content(s);
	assert_string_equal(text, wanted);
	assert_int_equal(stat(s->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0644);
}

static void nothing_is_written_before_there_is_something_to_say(void **state)
{
	struct stage *s = *state;
	uint64_t next;

	assert_int_equal(tick(s, 1000, &next), 0);
	assert_true(next > 1000 && next < 1000 + METRICS_NS);
	assert_int_equal(access(s->path, F_OK), -1);
}

/* Two looks of the loop may come between two files. */
static void the_worst_lag_since_the_last_file_is_shown(void **state)
{
	struct stage *s = *state;
	struct pipeline_stats later = stats;
	uint64_t next;

	later.lag_ns = 1000;
	metrics_show(&s->board, &stats);
	metrics_show(&s->board, &later);
	for (unsigned i = 0; i < 2; i++) {
		auto_free char *text = NULL;

		assert_int_equal(tick(s, 1000, &next), 0);
		text = content(s);
		assert_non_null(strstr(text, i ? "lag_seconds 0.000001\n" : "lag_seconds 0.002500\n"));
		metrics_show(&s->board, &later);
	}
}

static void a_folder_that_goes_is_an_error_until_it_is_back(void **state)
{
	struct stage *s = *state;
	uint64_t next;

	metrics_show(&s->board, &stats);
	assert_int_equal(rename(s->folder, s->other), 0);
	assert_int_equal(tick(s, 1000, &next), -ENOENT);
	assert_non_null(strstr(fail_story(), "x.prom: No such file or directory"));
	assert_int_equal(rename(s->other, s->folder), 0);
	assert_int_equal(tick(s, 1000, &next), 0);
	assert_int_equal(access(s->path, F_OK), 0);
}

static void a_folder_that_is_not_there_yet_is_waited_for(void **state)
{
	struct stage *s = *state;
	uint64_t next;

	sink_metrics.close(s->sink);
	assert_int_equal(rename(s->folder, s->other), 0);
	assert_int_equal(open_sink(s, s->path), 0);
	metrics_show(&s->board, &stats);
	assert_int_equal(tick(s, 1000, &next), -ENOENT);
	assert_int_equal(rename(s->other, s->folder), 0);
	assert_int_equal(tick(s, 1000, &next), 0);
	assert_int_equal(access(s->path, F_OK), 0);
}

static void a_path_that_can_be_no_file_is_told_at_once(void **state)
{
	struct stage *s = *state;

	sink_metrics.close(s->sink);
	s->sink = NULL;
	assert_int_equal(open_sink(s, s->folder), -EISDIR);
	assert_non_null(strstr(fail_story(), "Is a directory"));
	assert_int_equal(open_sink(s, "/dev/null/x.prom"), -ENOTDIR);
	assert_int_equal(open_sink(s, "/dev/null"), -EINVAL);
}

static void many_reasons_end_as_other(void **state)
{
	struct stage *s = *state;
	auto_free char *text = NULL;
	uint64_t next;

	for (int i = 0; i < 100; i++)
		assert_int_equal(sink_metrics.write(s->sink, bind_failed(.error = 1000 + i)), 0);
	metrics_show(&s->board, &stats);
	assert_int_equal(tick(s, 1000, &next), 0);
	text = content(s);
	assert_non_null(strstr(text, "{errno=\"1062\",reason_code=\"unknown\"} 1\n"));
	assert_non_null(strstr(text, "{errno=\"other\",reason_code=\"other\"} 37\n"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(all_figures_are_there_with_their_help_and_type),
		TEST(nothing_is_written_before_there_is_something_to_say),
		TEST(the_worst_lag_since_the_last_file_is_shown),
		TEST(a_folder_that_goes_is_an_error_until_it_is_back),
		TEST(a_folder_that_is_not_there_yet_is_waited_for),
		TEST(a_path_that_can_be_no_file_is_told_at_once),
		TEST(many_reasons_end_as_other),
	};
#undef TEST

	return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
