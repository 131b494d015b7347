/* SPDX-License-Identifier: GPL-2.0-only */
/* One JSON object a line, for pipelines: gathered in one buffer, written in whole lines. */
#include <errno.h>
#include <stdlib.h>

#include "sink/sink.h"
#include "util/buf.h"
#include "util/fail.h"

#define WRITE_AT (64u << 10) /* bytes gathered before a write */
#define HOLD_MAX (1u << 20)  /* bytes kept while they cannot be written: more is dropped, in whole lines */

struct ndjson {
	struct sink_options o;
	struct buf lines;
};

static int ndjson_open(const struct sink_options *o, void **ret_state)
{
	struct ndjson *nd = calloc(1, sizeof(*nd));

	if (!nd)
		return fail(-ENOMEM, "open the JSON output");
	nd->o = *o;
	*ret_state = nd;
	return 0;
}

/* What an error leaves unwritten goes out first the next time: no half of a line is ever followed by another line. */
static int ndjson_flush(void *state)
{
	struct ndjson *nd = state;
	int r = sink_put(&nd->o, &nd->lines, nd->o.fd);

	return r < 0 && r != -EPIPE ? fail(r, "write JSON") : r;
}

static int ndjson_write(void *state, const struct view *view)
{
	struct ndjson *nd = state;
	struct buf *b = &nd->lines;
	size_t before = b->len;

	if (before >= HOLD_MAX)
		return ndjson_flush(nd);
	field_write_json(b, view, &nd->o.field, nd->o.only, nd->o.n_only);
	buf_putc(b, '\n');
	if (b->error) {
		int r = b->error;

		b->len = before;
		b->error = 0;
		return fail(r, "render an event");
	}
	if (nd->o.line_buffered || b->len >= WRITE_AT)
		return ndjson_flush(nd);
	return 0;
}

/* Nothing is held back for its sake: -j never folds or waits. */
static int ndjson_tick(void *state, uint64_t now_ns, uint64_t *ret_next_ns)
{
	(void)state;
	(void)now_ns;
	*ret_next_ns = 0;
	return 0;
}

static void ndjson_close(void *state)
{
	struct ndjson *nd = state;

	if (!nd)
		return;
	buf_done(&nd->lines);
	free(nd);
}

const struct sink_ops sink_ndjson = {
	.name = "json",
	.open = ndjson_open,
	.write = ndjson_write,
	.tick = ndjson_tick,
	.flush = ndjson_flush,
	.close = ndjson_close,
};
