/* SPDX-License-Identifier: GPL-2.0-only */
/* The table of fields and what is written by it. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/field.h"
#include "support/views.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/utf8.h"

static struct buf line;

static int setup(void **state)
{
	(void)state;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	buf_done(&line);
	views_free();
	return 0;
}

static const char *json_with(const struct view *v, const struct field_options *o)
{
	buf_reset(&line);
	field_write_json(&line, v, o, NULL, 0);
	return buf_str(&line);
}

static const char *json_of(const struct view *v)
{
	return json_with(v, &(struct field_options){ 0 });
}

static const struct field *field_named(const char *name)
{
	const struct field *f = field_find(name, strlen(name));

	if (!f)
		fail_msg("no field %s", name);
	return f;
}

/* Only @name of @v, as a line. */
static const char *picked(const struct view *v, const char *name)
{
	const struct field *f = field_named(name);

	buf_reset(&line);
	field_write_json(&line, v, &(struct field_options){ 0 }, &f, 1);
	return buf_str(&line);
}

static const char *text_of(const struct view *v, const char *name)
{
	buf_reset(&line);
	field_write_text(&line, field_named(name), v, &(struct field_options){ 0 });
	return buf_str(&line);
}

static void check_holds(const char *text, const char *part, bool expected)
{
	if (!strstr(text, part) == expected)
		fail_msg("%s %s in %s", part, expected ? "is not" : "is", text);
}

#define assert_has(text, part) check_holds(text, part, true)
#define assert_lacks(text, part) check_holds(text, part, false)

/* The end of the JSON value that @s begins with, or NULL: enough of a parser to see that nothing is left open. */
static const char *skip_value(const char *s);

static const char *skip_string(const char *s)
{
	for (s++; *s && *s != '"'; s++) {
		if ((unsigned char)*s < 0x20 || (*s == '\\' && !*++s))
			return NULL;
	}
	return *s ? s + 1 : NULL;
}

static const char *skip_members(const char *s, char close)
{
	if (*++s == close)
		return s + 1;
	for (;; s++) {
		if (close == '}') {
			s = *s == '"' ? skip_string(s) : NULL;
			if (!s || *s++ != ':')
				return NULL;
		}
		s = skip_value(s);
		if (!s)
			return NULL;
		if (*s == close)
			return s + 1;
		if (*s != ',')
			return NULL;
	}
}

static const char *skip_value(const char *s)
{
	static const char *const words[] = { "true", "false" };

	if (*s == '"')
		return skip_string(s);
	if (*s == '{' || *s == '[')
		return skip_members(s, *s == '{' ? '}' : ']');
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (!strncmp(s, words[i], strlen(words[i])))
			return s + strlen(words[i]);
	}
	return strspn(s, "-0123456789") ? s + strspn(s, "-0123456789") : NULL;
}

static void assert_is_line(const char *text)
{
	const char *end = skip_value(text);

	if (!end || *end)
		fail_msg("not JSON: %s", text);
	assert_true(strlen(text) < FIELD_LINE_MAX);
	assert_true(utf8_valid(text, strlen(text)));
}

static void a_field_is_found_by_name_and_by_path(void **state)
{
	(void)state;
	assert_ptr_equal(field_named("port"), field_named("socket.port"));
	assert_ptr_equal(field_named("container"), field_named("container.name"));
	assert_null(field_find("por", 3));
	assert_null(field_find("ports", 5));
	assert_null(field_find("", 0));
	assert_ptr_equal(field_find("portable", 4), field_named("port"));
}

static void no_two_fields_share_a_name_or_a_path(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_fields; i++) {
		assert_ptr_equal(field_named(fields[i].name), &fields[i]);
		assert_ptr_equal(field_named(fields[i].path), &fields[i]);
		assert_true(strlen(fields[i].help) > 5);
	}
}

/* The writer opens an object when its first row comes and closes it when another's does. */
static void rows_of_one_object_stand_together(void **state)
{
	(void)state;
	for (size_t i = 1; i < n_fields; i++) {
		size_t len = strcspn(fields[i].path, ".") + 1;
		bool inside = fields[i].path[len - 1] == '.', left = false;

		for (size_t k = i; inside && k-- > 0;) {
			bool same = !strncmp(fields[k].path, fields[i].path, len);

			assert_false(same && left);
			left |= !same;
		}
	}
}

static void a_key_is_the_last_word_of_the_path(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_fields; i++) {
		const char *dot = strrchr(fields[i].path, '.'), *word = dot ? dot + 1 : fields[i].path;

		assert_int_equal(fields[i].key_len, strlen(word) + 3);
		assert_memory_equal(fields[i].key + 1, word, strlen(word));
		assert_int_equal(fields[i].key[fields[i].key_len - 1], ':');
	}
}

static void what_is_unknown_is_absent(void **state)
{
	static const struct session unknown = { .stream = "0000000000000000" };
	const char *text = json_of(bind_ok(.no_process = true, .no_options = true, .session = &unknown));

	(void)state;
	assert_string_equal(text,
			    "{\"schema\":\"portlog/1\",\"stream\":\"0000000000000000\",\"seq\":1,"
			    "\"ts\":\"2026-11-22T08:14:08.000000000Z\",\"uptime_us\":2556000000,"
			    "\"action\":\"bind\",\"result\":\"ok\",\"socket\":{\"id\":1,\"proto\":\"tcp\","
			    "\"family\":\"ipv4\",\"addr\":\"0.0.0.0\",\"port\":8080,"
			    "\"netns\":{\"id\":4026531840,\"name\":\"host\"}}}");
}

static void v6only_is_of_ipv6_alone(void **state)
{
	(void)state;
	assert_lacks(json_of(bind_ok(.options = OPT_V6ONLY)), "v6only");
	assert_has(json_of(bind_ok(.addr = "::", .options = OPT_V6ONLY)), "\"v6only\":true");
	assert_has(json_of(bind_ok(.addr = "::")), "\"v6only\":false");
	assert_lacks(json_of(bind_ok(.addr = "::", .no_options = true)), "v6only");
}

static void the_request_is_told_where_it_differs(void **state)
{
	(void)state;
	assert_lacks(json_of(bind_ok(.port = 80)), "requested");
	assert_has(json_of(bind_ok(.port = 35871, .has_asked_port = true)),
		   "\"port\":35871,\"requested_port\":0");
	assert_has(json_of(bind_ok(.addr = "10.0.0.2", .asked_addr = "0.0.0.0")),
		   "\"requested_addr\":\"0.0.0.0\"");
}

static void only_calls_have_a_result(void **state)
{
	(void)state;
	assert_has(json_of(listen_ok(.port = 80)), "\"result\":\"ok\"");
	assert_has(json_of(listen_failed(.error = EADDRINUSE)),
		   "\"result\":\"error\",\"errno\":\"EADDRINUSE\"");
	assert_lacks(json_of(release_of(.port = 80)), "result");
	assert_lacks(json_of(snapshot_of(.port = 80)), "result");
}

static void free_has_three_answers(void **state)
{
	(void)state;
	assert_has(json_of(release_of(.free = FREE_YES)), "\"free\":true");
	assert_has(json_of(release_of(.free = FREE_NO)), "\"free\":false");
	assert_lacks(json_of(release_of(.free = FREE_UNKNOWN)), "\"free\"");
}

static void how_long_is_told_only_of_a_known_start(void **state)
{
	(void)state;
	assert_lacks(json_of(release_of(.held_ms = 0)), "held_us");
	assert_has(json_of(release_of(.since_ms = -5, .held_ms = 5)), "\"held_us\":5000");
}

static void prose_is_there_on_request(void **state)
{
	const struct view *v =
		bind_failed(.error = EACCES, .code = "low-port", .why = "below", .hint = "above");

	(void)state;
	assert_has(json_of(v), "\"reason_code\":\"low-port\",\"socket\"");
	assert_has(json_with(v, &(struct field_options){ .hints = true }),
		   "\"reason\":\"below\",\"hint\":\"above\"");
}

static void the_holder_that_the_kernel_named_comes_first(void **state)
{
	const struct view *v =
		bind_failed(.error = EADDRINUSE,
			    .holders = {
				    { .kind = HOLDER_LISTENER, .pid = 1, .comm = "best" },
				    { .kind = HOLDER_CLIENT, .pid = 2, .comm = "tripped", .tripped = true } });

	(void)state;
	assert_string_equal(picked(v, "holder.comm"), "{\"holder\":{\"comm\":\"tripped\"}}");
	assert_has(json_of(v), "\"holders\":[{\"kind\":\"listener\",\"pid\":1,");
}

static void one_holder_is_no_list(void **state)
{
	(void)state;
	assert_lacks(json_of(bind_failed(.error = EADDRINUSE, .holders = { { .kind = HOLDER_BOUND } })),
		     "holders");
}

static void a_holder_that_let_go_has_no_since(void **state)
{
	const char *text = json_of(bind_failed(.error = EADDRINUSE, .holders = { { .kind = HOLDER_TIME_WAIT,
										   .last_owner = true,
										   .since_ms = -1000,
										   .expires_ms = 59000 } }));

	(void)state;
	assert_has(text, "\"gone_since\":\"2026-11-22T08:14:07.000000000Z\"");
	assert_has(text, "\"expires\":\"2026-11-22T08:15:07.000000000Z\"");
	assert_lacks(text, "\"since\"");
}

static void one_owner_is_no_list_but_after_a_handoff(void **state)
{
	(void)state;
	assert_lacks(json_of(snapshot_of(.owners = { { .pid = 1 } })), "owners");
	assert_has(json_of(snapshot_of(.owners = { { .pid = 1 }, { .pid = 2 } })), "\"owners_count\":2");
	assert_has(json_of(view_of(.action = ACTION_HANDOFF, .owners = { { .pid = 7 } })),
		   "\"owners\":[{\"pid\":7,");
}

static void numbers_stay_below_2_to_the_53(void **state)
{
	(void)state;
	assert_string_equal(picked(bind_ok(.inode = UINT64_MAX), "inode"),
			    "{\"socket\":{\"inode\":9007199254740991}}");
	assert_string_equal(picked(bind_ok(.cookie = UINT64_MAX), "cookie"),
			    "{\"socket\":{\"cookie\":\"18446744073709551615\"}}");
}

static void a_comm_may_fill_its_16_bytes(void **state)
{
	(void)state;
	assert_string_equal(picked(bind_ok(.comm = "0123456789abcdef"), "comm"),
			    "{\"process\":{\"comm\":\"0123456789abcdef\"}}");
	assert_string_equal(picked(bind_ok(.comm = "\xff"
						   "123456789abcdef"),
				   "comm_hex"),
			    "{\"process\":{\"comm_hex\":\"ff313233343536373839616263646566\"}}");
}

static void picked_fields_keep_the_order_of_the_table(void **state)
{
	const struct field *only[] = { field_named("pid"), field_named("netns"), field_named("action"),
				       field_named("port"), field_named("holder.pid") };

	(void)state;
	field_write_json(&line, bind_ok(.port = 80), &(struct field_options){ 0 }, only, ARRAY_SIZE(only));
	assert_string_equal(buf_str(&line), "{\"action\":\"bind\",\"socket\":{\"port\":80,"
					    "\"netns\":{\"id\":4026531840}},\"process\":{\"pid\":61}}");
}

static void an_event_without_what_was_picked_is_an_empty_object(void **state)
{
	(void)state;
	assert_string_equal(picked(view_of(.action = ACTION_SYNCED), "port"), "{}");
	assert_string_equal(picked(bind_ok(.port = 80), "holder.pid"), "{}");
}

static void a_line_is_appended_to_what_is_there(void **state)
{
	(void)state;
	buf_puts(&line, "before ");
	field_write_json(&line, bind_ok(.args = { "a" }), &(struct field_options){ 0 }, NULL, 0);
	assert_memory_equal(buf_str(&line), "before {\"schema\":", 16);
	assert_is_line(buf_str(&line) + 7);
}

static void args_are_made_once_and_again_when_the_process_changed(void **state)
{
	struct process p = { .args = (char[]){ "a\0--token=x" }, .args_len = 12 };
	struct view v = *bind_ok(.no_details = true);

	(void)state;
	v.process = &p;
	assert_string_equal(picked(&v, "args"), "{\"process\":{\"args\":[\"a\",\"--token=***\"]}}");
	assert_non_null(p.rendered[0]);
	p.args = (char[]){ "b" };
	p.args_len = 2;
	assert_string_equal(picked(&v, "args"), "{\"process\":{\"args\":[\"a\",\"--token=***\"]}}");
	process_dirty(&p);
	assert_string_equal(picked(&v, "args"), "{\"process\":{\"args\":[\"b\"]}}");
	process_dirty(&p);
}

static void args_are_masked_unless_asked_otherwise(void **state)
{
	const struct view *v = bind_ok(.args = { "x", "--password", "hunter2" });

	(void)state;
	assert_has(json_of(v), "[\"x\",\"--password\",\"***\"]");
	assert_has(json_with(v, &(struct field_options){ .args = ARGS_FULL }), "hunter2");
	assert_lacks(json_with(v, &(struct field_options){ .args = ARGS_NONE }), "args");
	assert_lacks(json_of(v), "hunter2");
}

static void a_last_argument_may_lack_its_nul(void **state)
{
	struct process p = { .args = (char[]){ 'a', 0, 'b', 'c' }, .args_len = 4, .args_cut = true };
	struct view v = *bind_ok(.no_details = true);

	(void)state;
	v.process = &p;
	assert_has(json_of(&v), "\"args\":[\"a\",\"bc\"]");
	assert_has(json_of(&v), "\"truncated\":[\"process.args\"]");
	process_dirty(&p);
}

static void args_keep_to_512_bytes_at_any_length(void **state)
{
	static char arg[600];

	(void)state;
	for (size_t len = 490; len < 530; len++) {
		const char *text, *args;
		bool cut;

		memset(arg, 'x', len);
		arg[len / 2] = '\n';
		arg[len] = '\0';
		text = json_of(bind_ok(.args = { "a", arg, "" }));
		assert_is_line(text);
		args = strstr(text, "\"args\":") + 7;
		cut = strstr(text, "\"truncated\":[\"process.args\"]");
		assert_true(skip_value(args) - args <= FIELD_ARGS_MAX);
		/* ["a","x...\n...x",""] is len + 12 bytes */
		assert_int_equal(cut, len + 12 > FIELD_ARGS_MAX);
	}
}

static void what_is_cut_is_named(void **state)
{
	static char long_name[900];
	const char *text;

	(void)state;
	memset(long_name, '\x01', sizeof(long_name) - 1);
	text = json_of(bind_ok(.unit = long_name, .args = { "a" }, .service = "http"));
	assert_is_line(text);
	assert_has(
		text,
		"\"truncated\":[\"socket.service\",\"socket.netns.name\",\"process.user_name\",\"process.exe\","
		"\"process.args\",\"unit\"]");
	text = json_of(bind_ok(.exe = "/x", .exe_cut = true));
	assert_has(text, "\"exe\":\"/x\"");
	assert_has(text, "\"truncated\":[\"process.exe\"]");
	assert_lacks(json_of(bind_ok(.port = 80)), "truncated");
}

static void a_long_list_is_shortened_first(void **state)
{
	static char exe[500];
	const char *text;

	(void)state;
	memset(exe, 'e', sizeof(exe) - 1);
	text = json_of(bind_failed(.error = EADDRINUSE,
				   .holders = { { .kind = HOLDER_BOUND, .pid = 1, .exe = exe },
						{ .kind = HOLDER_BOUND, .pid = 2, .exe = exe },
						{ .kind = HOLDER_BOUND, .pid = 3, .exe = exe },
						{ .kind = HOLDER_BOUND, .pid = 4, .exe = exe },
						{ .kind = HOLDER_BOUND, .pid = 5, .exe = exe },
						{ .kind = HOLDER_BOUND, .pid = 6, .exe = exe } }));
	assert_is_line(text);
	assert_has(text, "\"pid\":4,");
	assert_lacks(text, "\"pid\":5,");
	assert_has(text, "\"truncated\":[\"holders\"]");
}

/* Text of less than @size bytes, good until the next view is made. */
static const char *random_text(size_t size)
{
	static const char *const bits[] = {
		"\x01", "\xff", "\"", "\\", "a", "\xe2\x80\xae", "\xf0\x9f\x92\xa9", "\xc2"
	};
	static char pool[1 << 16];
	static size_t used;
	const char *bit =
		bits[(size_t)rand() % ARRAY_SIZE(bits)]; /* mostly one kind: the worst ones fill it */
	size_t len = (size_t)rand() % size, at = 0;
	char *out;

	if (used + size > sizeof(pool))
		used = 0;
	out = pool + used;
	used += size;
	while (at + 4 < len) {
		if (rand() % 8 == 0)
			bit = bits[(size_t)rand() % ARRAY_SIZE(bits)];
		at += (size_t)(stpcpy(out + at, bit) - (out + at));
	}
	out[at] = '\0';
	return out;
}

static const struct view *random_view(void)
{
	struct view_spec s = {
		.action = (enum action)(rand() % N_ACTIONS),
		.error = rand() % 3 ? EADDRINUSE : 0,
		.comm = random_text(20),
		.exe = random_text(1200),
		.exe_cut = rand() % 2,
		.user_name = random_text(40),
		.service = random_text(40),
		.netns_name = random_text(300),
		.iface = random_text(20),
		.closed_by_comm = random_text(20),
		.closed_by_pid = 3,
		.code = "listener",
		.why = random_text(320),
		.hint = random_text(320),
		.where = { .unit = (char *)random_text(300),
			   .container_id = (char *)random_text(100),
			   .container_name = (char *)random_text(300),
			   .container_runtime = (char *)random_text(20),
			   .pod_uid = (char *)random_text(50),
			   .pod_name = (char *)random_text(300),
			   .pod_namespace = (char *)random_text(100) },
		.args = { "x", random_text(1000), random_text(1000) },
		.since_ms = -1,
		.inode = UINT64_MAX,
		.cookie = UINT64_MAX,
		.addr = "1111:2222:3333:4444:5555:6666:7777:8888",
		.options = 0x3f,
		.kernel = true,
	};

	for (int i = rand() % 9; i-- > 0;)
		s.holders[i] = (struct holder_spec){
			.kind = HOLDER_INHERITED,
			.pid = 4194304,
			.comm = random_text(20),
			.exe = random_text(1200),
			.unit = (char *)random_text(300),
			.container = random_text(300),
			.since_ms = -1,
			.options = 0x3f,
			.modifiers = 3,
			.addr = s.addr,
			.expires_ms = 5,
			.owners_count = 9,
			.cookie = UINT64_MAX,
			.inode = UINT64_MAX,
		};
	for (int i = rand() % 17; i-- > 0;)
		s.owners[i] =
			(struct owner_spec){ .pid = 4194304, .uid = UINT32_MAX, .comm = random_text(20) };
	return views_make(&s);
}

static void no_event_is_longer_than_a_line_whatever_is_in_it(void **state)
{
	static char host[65];
	struct session worst = *views_session();

	(void)state;
	memset(host, 1, sizeof(host) - 1);
	memcpy(worst.hostname, host, sizeof(host));
	memcpy(worst.kernel, host, sizeof(host));
	srand(2);
	for (int i = 0; i < 3000; i++) {
		struct view v = *random_view();

		v.session = &worst;
		assert_is_line(json_with(&v, &(struct field_options){ .hints = true,
								      .args = (enum args_mode)(i % 3) }));
		for (size_t f = 0; f < n_fields && i % 50 == 0; f++)
			assert_is_line(picked(&v, fields[f].name));
		views_free();
	}
}

static void columns_are_plain_text(void **state)
{
	const struct view *v = bind_failed(.port = 80, .error = EADDRINUSE, .comm = "a\x1b\"b\\",
					   .args = { "x", "a b", "say \"hi\", ok" }, .options = OPT_REUSEADDR,
					   .holders = { { .kind = HOLDER_BOUND, .modifiers = 3 } });

	(void)state;
	assert_string_equal(text_of(v, "port"), "80");
	assert_string_equal(text_of(v, "addr"), "0.0.0.0");
	assert_string_equal(text_of(v, "reuseaddr"), "true");
	assert_string_equal(text_of(v, "comm"), "a\\u001b\"b\\\\");
	assert_string_equal(text_of(v, "args"), "x a b say \"hi\", ok");
	assert_string_equal(text_of(v, "holder.modifiers"), "dual-stack reuseport-uid");
	assert_string_equal(text_of(v, "errno"), "EADDRINUSE");
	assert_string_equal(text_of(v, "container"), "-");
	assert_string_equal(text_of(v, "holder.comm"), "-");
	assert_string_equal(text_of(v, "count"), "-");
	assert_string_equal(text_of(view_of(.action = ACTION_LOST, .count = 3), "port"), "-");
	assert_string_equal(
		text_of(snapshot_of(.owners = { { 1 }, { 2 } }), "owners"),
		"[{\"pid\":1,\"key\":\"1@419000\",\"uid\":0},{\"pid\":2,\"key\":\"2@838000\",\"uid\":0}]");
}

static void addresses_are_as_inet_ntop_writes_them(void **state)
{
	char got[ADDRESS_TEXT_MAX], want[INET6_ADDRSTRLEN];

	(void)state;
	srand(3);
	for (int i = 0; i < 100000; i++) {
		struct address a = { .family = i % 4 ? AF_INET6 : AF_INET };

		for (size_t k = 0; k < 16; k++)
			a.bytes[k] = rand() % 3 ? 0 : (uint8_t)rand();
		if (i % 8 == 1)
			memcpy(a.bytes, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
		inet_ntop(a.family, a.bytes, want, sizeof(want));
		/* "::1.2.3.4", long deprecated, is written so by the C library alone. */
		if (a.family == AF_INET6 && strchr(want, '.') && strncmp(want, "::ffff:", 7) != 0)
			continue;
		assert_int_equal(address_text(&a, got), strlen(want));
		assert_string_equal(got, want);
	}
}

static void an_endpoint_has_brackets_round_ipv6(void **state)
{
	char out[64];

	(void)state;
	assert_string_equal(endpoint_text(&(struct address){ AF_INET, { 127, 0, 0, 1 } }, 80, out,
					  sizeof(out)),
			    "127.0.0.1:80");
	assert_string_equal(endpoint_text(&(struct address){ .family = AF_INET6 }, 65535, out, sizeof(out)),
			    "[::]:65535");
	assert_string_equal(endpoint_text(&(struct address){ 0 }, 53, out, sizeof(out)), "?:53");
}

static void names_are_known_for_all_values_and_no_others(void **state)
{
	char scratch[16];

	(void)state;
	for (unsigned a = ACTION_START; a < N_ACTIONS; a++)
		assert_string_not_equal(action_name((enum action)a), "unknown");
	for (uint8_t via = 1; via <= 7; via++)
		assert_string_not_equal(via_name(via), "unknown");
	assert_string_equal(via_name(255), "unknown");
	assert_string_equal(action_name((enum action)1000), "unknown");
	assert_string_equal(proto_name((enum proto)77), "unknown");
	assert_string_equal(precision_name((enum precision)77), "unknown");
	assert_string_equal(errno_name(EADDRINUSE, scratch), "EADDRINUSE");
	assert_string_equal(errno_name(512, scratch), "512");
	assert_string_equal(errno_name(-1, scratch), "-1");
}

#define unit(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit(a_field_is_found_by_name_and_by_path),
		unit(no_two_fields_share_a_name_or_a_path),
		unit(rows_of_one_object_stand_together),
		unit(a_key_is_the_last_word_of_the_path),
		unit(what_is_unknown_is_absent),
		unit(v6only_is_of_ipv6_alone),
		unit(the_request_is_told_where_it_differs),
		unit(only_calls_have_a_result),
		unit(free_has_three_answers),
		unit(how_long_is_told_only_of_a_known_start),
		unit(prose_is_there_on_request),
		unit(the_holder_that_the_kernel_named_comes_first),
		unit(one_holder_is_no_list),
		unit(a_holder_that_let_go_has_no_since),
		unit(one_owner_is_no_list_but_after_a_handoff),
		unit(numbers_stay_below_2_to_the_53),
		unit(a_comm_may_fill_its_16_bytes),
		unit(picked_fields_keep_the_order_of_the_table),
		unit(an_event_without_what_was_picked_is_an_empty_object),
		unit(a_line_is_appended_to_what_is_there),
		unit(args_are_made_once_and_again_when_the_process_changed),
		unit(args_are_masked_unless_asked_otherwise),
		unit(a_last_argument_may_lack_its_nul),
		unit(args_keep_to_512_bytes_at_any_length),
		unit(what_is_cut_is_named),
		unit(a_long_list_is_shortened_first),
		unit(no_event_is_longer_than_a_line_whatever_is_in_it),
		unit(columns_are_plain_text),
		unit(addresses_are_as_inet_ntop_writes_them),
		unit(an_endpoint_has_brackets_round_ipv6),
		unit(names_are_known_for_all_values_and_no_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
