/* SPDX-License-Identifier: GPL-2.0-only */
/* Any text as --sink: taken with parts that are in it, or refused with a caret. */
#include "sink/sinks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/fail.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Named, so that they are linked. */
static const struct sink_ops *const linked[] = { &sink_ndjson_file, &sink_journald };

static void check(const char *text, const struct sinks *s)
{
	const struct sink_spec *spec = &s->list[0];

	if (s->n != 1 || !spec->kind || strncmp(spec->name, text, strlen(spec->name)) != 0)
		abort();
	if (spec->argument && (!spec->argument[0] || !strstr(text, spec->argument)))
		abort();
	if (spec->kind->ops != linked[0] && spec->kind->ops != linked[1])
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free char *text = strndup((const char *)data, size);
	struct sinks s = { 0 };
	int r;

	if (!text)
		return 0;
	r = sinks_add(&s, text);
	if (r == 0) {
		check(text, &s);
		if (sinks_add(&s, text) != -EINVAL) /* the same twice */
			abort();
	} else if (r != -EINVAL || s.n || !fail_story()[0] || !strchr(fail_remedy(), '^')) {
		abort();
	}
	sinks_done(&s);
	fail_clear();
	return 0;
}
