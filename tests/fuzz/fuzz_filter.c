/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Any text as a filter: parsed or refused with a caret within the text; and what the kernel is told to let through is
 * never less than what matches.
 */
#include "core/filter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/process.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct session session = { .host_netns = 7 };
static struct process process = {
	.exe = (char *)"/usr/bin/nginx",
	.cgroup = (char *)"/system.slice/nginx.service",
	.where = { .unit = (char *)"nginx.service",
		   .container_id = (char *)"abc",
		   .container_name = (char *)"shop" },
};

static const struct record records[] = {
	{ .action = ACTION_BIND,
	  .proto = PROTO_TCP,
	  .family = AF_INET,
	  .port = 80,
	  .netns = 7,
	  .has_socket = true,
	  .has_process = true,
	  .pid = 12,
	  .comm = "nginx",
	  .addr = { AF_INET, { 127, 0, 0, 1 } } },
	{ .action = ACTION_BIND,
	  .proto = PROTO_TCP,
	  .family = AF_INET,
	  .port = 80,
	  .netns = 7,
	  .has_socket = true,
	  .has_process = true,
	  .pid = 1,
	  .error = EADDRINUSE,
	  .addr = { AF_INET, { 10, 0, 0, 1 } } },
	{ .action = ACTION_BIND,
	  .proto = PROTO_UDP,
	  .family = AF_INET6,
	  .port = 40000,
	  .netns = 8,
	  .has_socket = true,
	  .has_process = true,
	  .pid = 9,
	  .uid = 1000,
	  .has_asked_port = true,
	  .addr = { AF_INET6, { 0 } } },
	{ .action = ACTION_BIND,
	  .proto = PROTO_TCP,
	  .family = AF_INET,
	  .port = 8080,
	  .netns = 8,
	  .has_socket = true,
	  .has_asked_port = true,
	  .asked_port = 81,
	  .addr = { AF_INET, { 0 } } },
	{ .action = ACTION_BIND,
	  .proto = PROTO_TCP,
	  .family = AF_INET,
	  .port = 81,
	  .bound_port = 80,
	  .error = EINVAL,
	  .netns = 7,
	  .has_socket = true,
	  .has_process = true,
	  .pid = 12,
	  .addr = { AF_INET, { 0 } } },
	{ .action = ACTION_LISTEN,
	  .proto = PROTO_MPTCP,
	  .family = AF_INET6,
	  .port = 65535,
	  .netns = 1,
	  .has_socket = true,
	  .has_process = true,
	  .pid = 4194304,
	  .addr = { AF_INET6, { [15] = 1 } } },
	{ .action = ACTION_RELEASE,
	  .proto = PROTO_TCP,
	  .family = AF_INET,
	  .port = 1,
	  .netns = 7,
	  .has_socket = true,
	  .has_process = true,
	  .pid = 12,
	  .uid = 33 },
};

static bool has_port(const struct filter_kernel *k, uint16_t port)
{
	return k->ports[port / 8] >> (port % 8) & 1;
}

/* Names that are no number need the machine: everything passes. */
static bool netns_passes(const struct filter_kernel *k, uint32_t netns)
{
	for (size_t i = 0; i < k->n_netns; i++) {
		uint32_t number;

		if (parse_u32(k->netns[i], &number) || number == netns)
			return true;
	}
	return !k->netns_valid;
}

static bool kernel_passes(const struct filter_kernel *k, const struct record *rec)
{
	if (k->ports_valid && !has_port(k, rec->port) &&
	    !(rec->has_asked_port && has_port(k, rec->asked_port)) &&
	    !(rec->bound_port && has_port(k, rec->bound_port)))
		return false;
	if (k->failed_only && !rec->error)
		return false;
	if (k->pid_valid && rec->pid != k->pid)
		return false;
	return netns_passes(k, rec->netns);
}

static void check(const struct filter *f)
{
	static struct filter_kernel kernel;
	struct buf shown = { 0 };
	char words[200];

	filter_kernel(f, &kernel);
	for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
		struct view v = { .rec = &records[i],
				  .session = &session,
				  .process = i % 2 ? NULL : &process,
				  .netns_name = records[i].netns == 7 ? "host" : NULL };

		if (filter_match(f, &v) && !kernel_passes(&kernel, &records[i]))
			abort();
	}
	memset(words, 'x', sizeof(words));
	filter_describe(f, words, sizeof(words));
	if (!memchr(words, '\0', sizeof(words)))
		abort();
	buf_visible(&shown, words, strlen(words)); /* raw until then */
	for (const char *c = buf_str(&shown); *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			abort();
	buf_done(&shown);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free char *text = strndup((const char *)data, size);
	struct filter_error error;
	struct filter *f = NULL;
	int r;

	if (!text)
		return 0;
	memset(&error, 'x', sizeof(error));
	r = filter_parse(text, &f, &error);
	if (r == 0) {
		check(f);
		filter_free(f);
	} else if (r == -EINVAL) {
		if (error.at > strlen(text) || !error.len || error.at + error.len > strlen(text) + 1)
			abort();
		if (!error.message[0] || !memchr(error.message, '\0', sizeof(error.message)) ||
		    !memchr(error.suggestion, '\0', sizeof(error.suggestion)))
			abort();
	} else if (r != -ENOMEM) {
		abort();
	}
	(void)filter_word_starts(text);
	return 0;
}
