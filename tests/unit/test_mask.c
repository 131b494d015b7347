/* SPDX-License-Identifier: GPL-2.0-only */
/* Secrets in command lines: hidden where they can be told, and nothing else. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "core/mask.h"
#include "util/buf.h"
#include "util/cleanup.h"

/* Arguments with | between them, before and after. */
struct row {
	const char *raw, *shown;
};

static void check(const struct row *rows, size_t n)
{
	struct buf b = { 0 };

	for (size_t i = 0; i < n; i++) {
		struct mask m = { 0 };

		buf_reset(&b);
		for (const char *arg = rows[i].raw; arg;
		     arg = strchr(arg, '|') ? strchr(arg, '|') + 1 : NULL) {
			if (arg != rows[i].raw)
				buf_putc(&b, '|');
			mask_arg(&b, &m, arg, strcspn(arg, "|"));
		}
		assert_string_equal(buf_str(&b), rows[i].shown);
	}
	buf_done(&b);
}

static void a_value_named_as_a_secret_is_hidden(void **state)
{
	static const struct row rows[] = {
		{ "--password=hunter2", "--password=***" },
		{ "--Password=a=b&c;d e", "--Password=***" },
		{ "DB_PASSWORD=x", "DB_PASSWORD=***" },
		{ "token=abc", "token=***" },
		{ "--access-token=abc", "--access-token=***" },
		{ "AWS_SECRET_ACCESS_KEY=a/b+c", "AWS_SECRET_ACCESS_KEY=***" },
		{ "STRIPE_KEY=sk", "STRIPE_KEY=***" },
		{ "--api-key=k", "--api-key=***" },
		{ "-Dspring.datasource.password=x", "-Dspring.datasource.password=***" },
		{ "-Dclient.clientSecret=x", "-Dclient.clientSecret=***" },
		{ "--env=MYSQL_PWD=x", "--env=MYSQL_PWD=***" },
		{ "--from-literal=password=a&b", "--from-literal=password=***" },
		{ "pass:abc", "pass:***" },
	};

	(void)state;
	check(rows, ARRAY_SIZE(rows));
}

static void the_argument_after_a_secret_option_is_hidden(void **state)
{
	static const struct row rows[] = {
		{ "mysql|--password|x y|db", "mysql|--password|***|db" },
		{ "--requirepass|foo", "--requirepass|***" },
		{ "--token|a=b", "--token|***" },
		{ "--password|--host|h", "--password|--host|h" },
		{ "curl|-u|alice:x|http://h/", "curl|-u|alice:***|http://h/" },
		{ "docker|-u|alice", "docker|-u|alice" },
		{ "--password", "--password" },
		{ "--password|", "--password|" },
	};

	(void)state;
	check(rows, ARRAY_SIZE(rows));
}

static void the_password_of_a_url_is_hidden(void **state)
{
	static const struct row rows[] = {
		{ "postgres://bob:x@db/app", "postgres://bob:***@db/app" },
		{ "redis://:x@h:6379/0", "redis://:***@h:6379/0" },
		{ "--url=https://u:p@ss@h/?a=b", "--url=https://u:***@h/?a=b" },
		{ "root:x@tcp(127.0.0.1:3306)/db", "root:***@tcp(127.0.0.1:3306)/db" },
		{ "https://h/cb?token=abc&user=bob", "https://h/cb?token=***&user=bob" },
		{ "https://h/?a=1&api_key=k;b=2", "https://h/?a=1&api_key=***;b=2" },
	};

	(void)state;
	check(rows, ARRAY_SIZE(rows));
}

static void headers_scripts_and_json_are_looked_into(void **state)
{
	static const struct row rows[] = {
		{ "-H|Authorization: Bearer abc.def", "-H|Authorization: ***" },
		{ "-H|authorization:Basic YTpi", "-H|authorization:***" },
		{ "X-Api-Key: abc", "X-Api-Key: ***" },
		{ "sh|-c|curl -H 'Authorization: Bearer x y' http://h",
		  "sh|-c|curl -H 'Authorization: ***' http://h" },
		{ "echo Bearer abc next", "echo Bearer *** next" },
		{ "env A=1 PASSWORD=x ./run --fast", "env A=1 PASSWORD=*** ./run --fast" },
		{ "a 'b' PASSWORD='x y' c", "a 'b' PASSWORD='***' c" },
		{ "Server=h;Password=x;Timeout=5", "Server=h;Password=***;Timeout=5" },
		{ "{\"user\":\"bob\",\"password\":\"x\\\"y\",\"n\":1}",
		  "{\"user\":\"bob\",\"password\":\"***\",\"n\":1}" },
		{ "{\"password\" : \"x\"}", "{\"password\" : \"***\"}" },
		{ "{\\\"secret\\\":\\\"x\\\",\\\"n\\\":1}", "{\\\"secret\\\":\\\"***\\\",\\\"n\\\":1}" },
	};

	(void)state;
	check(rows, ARRAY_SIZE(rows));
}

static void what_is_no_secret_stays(void **state)
{
	static const char *const args[] = {
		"--port=8080",
		"-p8080",
		"-pX",
		"--key=/etc/x.pem",
		"--ssl-key=/etc/x.pem",
		"--max-tokens=5",
		"--tokenizer=bpe",
		"--password-file=/run/x",
		"--password-stdin|registry",
		"http://host:80/path",
		"user@host:/path",
		"10.0.0.1:5432",
		"[::1]:80",
		"image@sha256:abc",
		"repo:tag@sha256:abc",
		"daemon off;",
		"",
		"=",
		":",
		"--",
		"a=b",
		"PWD=/home/x",
		"--passthrough=no",
		"--token=",
		"password:",
		"09:30:00",
		"ssh://git@h/x",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(args); i++)
		check(&(struct row){ args[i], args[i] }, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_value_named_as_a_secret_is_hidden),
		cmocka_unit_test(the_argument_after_a_secret_option_is_hidden),
		cmocka_unit_test(the_password_of_a_url_is_hidden),
		cmocka_unit_test(headers_scripts_and_json_are_looked_into),
		cmocka_unit_test(what_is_no_secret_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
