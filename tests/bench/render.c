/* SPDX-License-Identifier: GPL-2.0-only */
/* How long one event takes to become a line of JSON: ns for each, best and median of several rounds. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/field.h"
#include "support/views.h"
#include "util/buf.h"
#include "util/cleanup.h"

#define ROUNDS 31
#define EVENTS 20000

static const struct field_options options = { .args = ARGS_MASKED };

static double now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double round_ns(const struct view *v, size_t *ret_len)
{
	struct buf b = { 0 };
	double start;

	field_write_json(&b, v, &options, NULL,
			 0); /* the buffer and what is kept of a process are there in real life too */
	*ret_len = b.len;
	start = now_ns();
	for (int i = 0; i < EVENTS; i++) {
		if (b.len > 1u << 16)
			buf_reset(&b);
		field_write_json(&b, v, &options, NULL, 0);
	}
	start = now_ns() - start;
	if (b.error)
		abort();
	buf_done(&b);
	return start / EVENTS;
}

static void measure(const char *name, const struct view *v)
{
	double ns[ROUNDS];
	size_t len = 0;

	for (int i = 0; i < ROUNDS; i++)
		ns[i] = round_ns(v, &len);
	qsort(ns, ROUNDS, sizeof(ns[0]), by_value);
	printf("render %-16s %5zu bytes  best %6.0f ns  median %6.0f ns\n", name, len, ns[0], ns[ROUNDS / 2]);
}

int main(void)
{
	measure("bind",
		bind_ok(.port = 30080, .pid = 4242, .cookie = 41, .inode = 223050, .cgroup_id = 348, .via = 1,
			.unit = "web.service", .args = { "/usr/bin/server", "--port", "30080" }));
	measure("listen", listen_ok(.addr = "::", .port = 443, .pid = 4242, .cookie = 41, .inode = 223050,
				    .cgroup_id = 348, .via = 1, .service = "https", .unit = "web.service",
				    .args = { "/usr/bin/server", "--port", "443" }));
	measure("release",
		release_of(.port = 30080, .pid = 4242, .cookie = 41, .inode = 223050, .cgroup_id = 348,
			   .via = 1, .since_ms = -1500, .held_ms = 1500, .free = FREE_YES,
			   .unit = "web.service", .args = { "/usr/bin/server", "--port", "30080" }));
	measure("release, no exe",
		release_of(.port = 30080, .pid = 4242, .cookie = 41, .via = 1, .since_ms = -1500,
			   .held_ms = 1500, .free = FREE_YES, .no_details = true));
	measure("failure", bind_failed(.port = 80, .error = EADDRINUSE, .code = "listener",
				       .unit = "early-http.service", .args = { "python3", "/srv/early.py" },
				       .holders = { { .kind = HOLDER_LISTENER,
						      .pid = 53,
						      .comm = "nginx",
						      .unit = "nginx.service",
						      .since_ms = -45 } }));
	views_free();
	return 0;
}
