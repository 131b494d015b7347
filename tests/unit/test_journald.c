/* SPDX-License-Identifier: GPL-2.0-only */
/* The journald sink against a socket of ours, read as the protocol's documentation says. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#undef fail /* ours is another */
#include <ctype.h>
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/field.h"
#include "sink/fold.h"
#include "sink/sink.h"
#include "support/views.h"
#include "util/cleanup.h"
#include "util/fail.h"

#define MINUTE_MS 60000

struct stage {
	char folder[32];
	struct sockaddr_un where;
	int fd; /* journald's end */
	void *sink;
	char datagram[1 << 20];
	size_t len;
	char value[8192];
	size_t value_len;
};

static void journald_starts(struct stage *s)
{
	s->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(s->fd >= 0);
	assert_int_equal(bind(s->fd, (struct sockaddr *)&s->where, sizeof(s->where)), 0);
}

static void journald_ends(struct stage *s)
{
	close(s->fd);
	s->fd = -1;
	unlink(s->where.sun_path);
}

static int setup(void **state)
{
	struct stage *s = calloc(1, sizeof(*s));
	struct sink_options o = { 0 };

	if (!s)
		return -1;
	strcpy(s->folder, "/tmp/portlog-test-XXXXXX");
	if (!mkdtemp(s->folder))
		return -1;
	s->where.sun_family = AF_UNIX;
	snprintf(s->where.sun_path, sizeof(s->where.sun_path), "%s/socket", s->folder);
	o.arg = s->where.sun_path;
	*state = s;
	journald_starts(s);
	return sink_journald.open(&o, &s->sink);
}

static int teardown(void **state)
{
	struct stage *s = *state;

	sink_journald.close(s->sink);
	if (s->fd >= 0)
		journald_ends(s);
	rmdir(s->folder);
	free(s);
	views_free();
	fail_clear();
	return 0;
}

static int give(struct stage *s, const struct view *v)
{
	return sink_journald.write(s->sink, v);
}

/* Is there another entry? */
static bool receive(struct stage *s)
{
	ssize_t n = recv(s->fd, s->datagram, sizeof(s->datagram), 0);

	s->len = n > 0 ? (size_t)n : 0;
	return n > 0;
}

/* The value of @name in the entry; NULL: it has none. Checks the form of all of it. */
static const char *value(struct stage *s, const char *name)
{
	const char *found = NULL, *at = s->datagram, *end = at + s->len;

	while (at < end) {
		size_t name_len = strcspn(at, "=\n"), len;
		const char *from = at;
		uint64_t size;

		assert_true(name_len > 0 && name_len <= 64);
		assert_true(strspn(at, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == name_len);
		at += name_len + 1;
		if (at[-1] == '=') {
			len = (size_t)((const char *)memchr(at, '\n', (size_t)(end - at)) - at);
		} else {
			memcpy(&size, at, sizeof(size));
			at += sizeof(size);
			len = le64toh(size);
		}
		assert_true(at + len < end && at[len] == '\n' && len < sizeof(s->value));
		if (strlen(name) == name_len && !memcmp(from, name, name_len)) {
			memcpy(s->value, at, len);
			s->value[len] = '\0';
			s->value_len = len;
			found = s->value;
		}
		at += len + 1;
	}
	return found;
}

#define has(s, name, wanted) assert_string_equal(value(s, name) ? value(s, name) : "(none)", wanted)

#define CLASH                                                                                         \
	.error = EADDRINUSE, .port = 80, .pid = 61, .unit = "early-http.service", .code = "listener", \
	.why = "held by nginx[53] (nginx.service), listening for 45 ms",                              \
	.hint = "systemctl stop nginx, or another port",                                              \
	.holders = { { .kind = HOLDER_LISTENER, .pid = 53, .comm = "nginx", .unit = "nginx.service" } }

static void a_clash_is_a_line_to_act_on_and_fields_to_ask_for(void **state)
{
	struct stage *s = *state;

	assert_int_equal(give(s, bind_failed(CLASH)), 0);
	assert_true(receive(s));
	has(s, "MESSAGE",
	    "python3[61] (early-http.service) could not bind tcp 0.0.0.0:80: EADDRINUSE: held by nginx[53] "
	    "(nginx.service), listening for 45 ms. Try: systemctl stop nginx, or another port");
	has(s, "MESSAGE_ID", "3fce3150fa7a219c5dcb478c4b741b4a");
	has(s, "PRIORITY", "4");
	has(s, "SYSLOG_IDENTIFIER", "portlog");
	has(s, "OBJECT_SYSTEMD_UNIT", "early-http.service");
	has(s, "PORTLOG_ACTION", "bind");
	has(s, "PORTLOG_ERRNO", "EADDRINUSE");
	has(s, "PORTLOG_PORT", "80");
	has(s, "PORTLOG_HOLDER_PID", "53");
	has(s, "PORTLOG_HOLDER_UNIT", "nginx.service");
	has(s, "PORTLOG_HINT", "systemctl stop nginx, or another port");
	has(s, "PORTLOG_MORE", "(none)");
	has(s, "PORTLOG_BACKLOG", "(none)");
	assert_false(receive(s));
}

/* Each field that the record has, under its name for -F, with its value. */
static void every_field_of_the_table_is_there(void **state)
{
	static const struct field_options o = { .hints = true };
	struct stage *s = *state;
	const struct view *v = bind_failed(CLASH, .args = { "python3", "x.py" }, .user_name = "root");
	size_t n = 0;

	assert_int_equal(give(s, v), 0);
	assert_true(receive(s));
	for (const struct field *f = fields; f < fields + n_fields; f++) {
		struct buf b = { 0 };
		char name[80] = "PORTLOG_";

		for (size_t i = 0; f->name[i]; i++)
			name[8 + i] = f->name[i] == '.' ? '_' : (char)toupper(f->name[i]);
		if (field_write_value(&b, f, v, &o)) {
			has(s, name, buf_str(&b));
			n++;
		} else {
			has(s, name, "(none)");
		}
		buf_done(&b);
	}
	assert_true(n > 30);
}

static void foreign_bytes_make_no_fields_of_their_own(void **state)
{
	struct stage *s = *state;

	assert_int_equal(give(s, bind_failed(CLASH, .comm = "a\nPRIORITY=0\x1b", .args = { "x\ny", "\xff" })),
			 0);
	assert_true(receive(s));
	has(s, "PRIORITY", "4");
	has(s, "PORTLOG_COMM", "a\\nPRIORITY=0\\u001b");
	assert_non_null(strstr(value(s, "MESSAGE"), "a\\x0aPRIORITY=0\\x1b[61]"));
}

static void a_unit_with_a_line_end_goes_with_its_length(void **state)
{
	struct stage *s = *state;

	assert_int_equal(give(s, bind_failed(.error = EACCES, .unit = "a\nb.service")), 0);
	assert_true(receive(s));
	has(s, "OBJECT_SYSTEMD_UNIT", "a\nb.service");
}

static void a_unit_in_a_container_is_none_of_this_machine(void **state)
{
	struct stage *s = *state;
	struct cgroup_info inside = { .unit = "nginx.service", .container_id = "box" },
			   itself = { .unit = "docker-4f5e.scope", .container_id = "4f5e" };

	assert_int_equal(give(s, bind_failed(.error = EACCES, .where = inside)), 0);
	assert_true(receive(s));
	has(s, "OBJECT_SYSTEMD_UNIT", "(none)");
	has(s, "PORTLOG_UNIT", "nginx.service");
	assert_int_equal(give(s, bind_failed(.error = EACCES, .where = itself)), 0);
	assert_true(receive(s));
	has(s, "OBJECT_SYSTEMD_UNIT", "docker-4f5e.scope");
}

static void a_loss_is_told_and_other_bookkeeping_is_not(void **state)
{
	struct stage *s = *state;

	assert_int_equal(give(s, view_of(.action = ACTION_START)), 0);
	assert_int_equal(give(s, view_of(.action = ACTION_SYNCED)), 0);
	assert_int_equal(give(s, view_of(.action = ACTION_LOST, .count = 1234, .where_lost = LOST_RING)), 0);
	assert_int_equal(give(s, view_of(.action = ACTION_STOP)), 0);
	assert_true(receive(s));
	has(s, "MESSAGE", "1,234 events were lost: a failure may be missing here");
	has(s, "MESSAGE_ID", "38c09fb326b2a2dd3b8298c7a1a02b33");
	has(s, "PORTLOG_COUNT", "1234");
	assert_false(receive(s));
}

static void what_a_filter_asks_for_is_told_too(void **state)
{
	struct stage *s = *state;

	assert_int_equal(give(s, listen_ok(.port = 80, .comm = "nginx", .pid = 53, .unit = "nginx.service")),
			 0);
	assert_true(receive(s));
	has(s, "MESSAGE", "nginx[53] (nginx.service) listens on tcp 0.0.0.0:80");
	has(s, "PRIORITY", "6");
	has(s, "PORTLOG_BACKLOG", "128");
}

/* ---- again and again ---- */

static uint64_t moment(int64_t ms)
{
	return VIEWS_BASE_NS + (uint64_t)ms * 1000000;
}

static uint64_t tick(struct stage *s, int64_t ms)
{
	uint64_t next;

	assert_int_equal(sink_journald.tick(s->sink, moment(ms), &next), 0);
	return next;
}

static void what_comes_again_is_counted_for_a_minute(void **state)
{
	struct stage *s = *state;

	assert_int_equal(give(s, bind_failed(CLASH, .at_ms = 0)), 0);
	assert_true(receive(s));
	for (int64_t i = 1; i <= 5; i++)
		assert_int_equal(give(s, bind_failed(CLASH, .ppid = 100 + (uint32_t)i, .at_ms = i * 1000)),
				 0);
	assert_int_equal(tick(s, 5000), moment(MINUTE_MS));
	assert_false(receive(s));
	assert_int_equal(tick(s, MINUTE_MS), moment(2 * MINUTE_MS));
	assert_true(receive(s));
	assert_non_null(
		strstr(value(s, "MESSAGE"), "tcp 0.0.0.0:80: EADDRINUSE, 5 more times: held by nginx[53]"));
	has(s, "PORTLOG_MORE", "5");
	has(s, "PORTLOG_PPID", "105"); /* of the last */
	has(s, "OBJECT_SYSTEMD_UNIT", "early-http.service");
	assert_int_equal(tick(s, 2 * MINUTE_MS), 0); /* a quiet minute: the next one is told at once */
	assert_int_equal(give(s, bind_failed(CLASH, .at_ms = 2 * MINUTE_MS + 1)), 0);
	assert_true(receive(s));
	has(s, "PORTLOG_MORE", "(none)");
	assert_false(receive(s));
}

static void another_unit_port_or_errno_is_another_matter(void **state)
{
	struct stage *s = *state;
	const struct view *views[] = {
		bind_failed(.error = EADDRINUSE, .port = 80, .unit = "a.service"),
		bind_failed(.error = EADDRINUSE, .port = 81, .unit = "a.service"),
		bind_failed(.error = EACCES, .port = 80, .unit = "a.service"),
		bind_failed(.error = EADDRINUSE, .port = 80, .unit = "b.service"),
		bind_failed(.error = EADDRINUSE, .port = 80, .comm = "no unit"),
	};

	for (size_t i = 0; i < ARRAY_SIZE(views); i++) {
		assert_int_equal(give(s, views[i]), 0);
		assert_true(receive(s));
		assert_int_equal(give(s, views[i]), 0);
		assert_false(receive(s));
	}
}

static void what_is_counted_is_told_at_the_end(void **state)
{
	struct stage *s = *state;
	uint64_t next;

	assert_int_equal(give(s, bind_failed(CLASH)), 0);
	assert_int_equal(give(s, bind_failed(CLASH)), 0);
	assert_int_equal(sink_journald.tick(s->sink, UINT64_MAX, &next), 0);
	assert_true(receive(s));
	assert_true(receive(s));
	has(s, "PORTLOG_MORE", "1");
	assert_false(receive(s));
}

static void a_storm_on_all_ports_is_one_sum(void **state)
{
	struct stage *s = *state;

	for (unsigned i = 0; i < FOLD_MAX + 1000; i++) {
		assert_int_equal(give(s, bind_failed(.error = EADDRINUSE, .port = (uint16_t)(1000 + i),
						     .unit = "a.service", .at_ms = i)),
				 0);
		assert_int_equal(receive(s), i < FOLD_MAX);
		views_free();
	}
	for (unsigned i = 0; i < FOLD_MAX; i++)
		assert_true(tick(s, 2 * MINUTE_MS + i) > 0);
	assert_true(receive(s));
	has(s, "MESSAGE",
	    "1,000 more binds and listens failed, of too many units and ports to tell each; the last: python3[61] "
	    "(a.service) could not bind tcp 0.0.0.0:2255: EADDRINUSE");
	has(s, "OBJECT_SYSTEMD_UNIT", "(none)");
	assert_false(receive(s));
}

/* ---- trouble ---- */

static void a_journald_that_is_gone_is_an_error_and_the_event_is_told_later(void **state)
{
	struct stage *s = *state;
	const struct view *v = bind_failed(CLASH);

	assert_int_equal(give(s, bind_failed(.error = EACCES)), 0);
	journald_ends(s);
	assert_int_equal(give(s, v), -ENOENT);
	assert_non_null(strstr(fail_story(), "connect to /tmp/portlog-test-"));
	assert_int_equal(give(s, v), -ENOENT);
	journald_starts(s);
	assert_int_equal(give(s, v), 0);
	assert_true(receive(s));
	has(s, "PORTLOG_PORT", "80");
	assert_false(receive(s));
}

static void a_journald_that_was_restarted_is_found_without_an_error(void **state)
{
	struct stage *s = *state;

	assert_int_equal(give(s, bind_failed(.error = EACCES)), 0);
	journald_ends(s);
	journald_starts(s);
	assert_int_equal(give(s, bind_failed(CLASH)), 0);
	assert_true(receive(s));
	has(s, "PORTLOG_ERRNO", "EADDRINUSE");
}

static void a_journald_that_takes_nothing_is_an_error(void **state)
{
	struct stage *s = *state;
	unsigned n = 0, seen = 0;
	int r;

	do {
		r = give(s, listen_ok(.port = 80));
		n++;
	} while (!r);
	assert_int_equal(r, -EAGAIN);
	assert_non_null(strstr(fail_story(), "takes nothing"));
	while (receive(s))
		seen++;
	assert_int_equal(seen, n - 1);
	assert_int_equal(give(s, listen_ok(.port = 80)), 0);
}

/* The longest that a record can be still fits; what does not is told without its fields. */
static void an_entry_that_is_too_long_is_told_in_brief(void **state)
{
	struct stage *s = *state;
	struct holder_spec h = { .kind = HOLDER_LISTENER, .pid = 5, .comm = "x" };
	static char exe[2 << 20];

	memset(exe, 'x', sizeof(exe) - 1);
	h.exe = exe;
	assert_int_equal(give(s, bind_failed(.error = EADDRINUSE, .exe = exe, .unit = "a.service",
					     .holders = { h, h, h, h, h, h, h, h })),
			 0);
	assert_true(receive(s));
	has(s, "OBJECT_SYSTEMD_UNIT", "a.service");
	has(s, "PORTLOG_PORT", "(none)");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_clash_is_a_line_to_act_on_and_fields_to_ask_for),
		TEST(every_field_of_the_table_is_there),
		TEST(foreign_bytes_make_no_fields_of_their_own),
		TEST(a_unit_with_a_line_end_goes_with_its_length),
		TEST(a_unit_in_a_container_is_none_of_this_machine),
		TEST(a_loss_is_told_and_other_bookkeeping_is_not),
		TEST(what_a_filter_asks_for_is_told_too),
		TEST(what_comes_again_is_counted_for_a_minute),
		TEST(another_unit_port_or_errno_is_another_matter),
		TEST(what_is_counted_is_told_at_the_end),
		TEST(a_storm_on_all_ports_is_one_sum),
		TEST(a_journald_that_is_gone_is_an_error_and_the_event_is_told_later),
		TEST(a_journald_that_was_restarted_is_found_without_an_error),
		TEST(a_journald_that_takes_nothing_is_an_error),
		TEST(an_entry_that_is_too_long_is_told_in_brief),
	};
#undef TEST

	return cmocka_run_group_tests_name("journald", tests, NULL, NULL);
}
