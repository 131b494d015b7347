/* SPDX-License-Identifier: GPL-2.0-only */
/* Any bytes as a command line: masked or not, they become a short, valid line, and never read past their end. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/field.h"
#include "core/process.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void render(const struct view *v, enum args_mode mode)
{
	struct field_options o = { .args = mode };
	struct buf b = { 0 };

	field_write_json(&b, v, &o, NULL, 0);
	if (b.error || b.len >= FIELD_LINE_MAX || !utf8_valid(b.data, b.len))
		abort();
	for (size_t i = 0; i < b.len; i++) {
		if ((unsigned char)b.data[i] < 0x20 || b.data[i] == 0x7f)
			abort();
	}
	buf_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free char *args = malloc(size + 1);
	const struct record rec = { .action = ACTION_BIND, .has_process = true };
	struct process p = { .args = args, .args_len = size };
	const struct view v = { .rec = &rec, .process = &p };

	if (!args)
		return 0;
	memcpy(args, data, size);
	render(&v, ARGS_MASKED);
	render(&v, ARGS_FULL);
	process_dirty(&p);
	return 0;
}
