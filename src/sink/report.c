/* SPDX-License-Identifier: GPL-2.0-only */
/* Sentences about one command for whoever runs it: why a bind failed and what to do. Lines as in sink/report.h. */
#include "sink/report.h"

#include <stdlib.h>
#include <string.h>

#include "core/cells.h"
#include "core/explain.h"
#include "core/sentence.h"
#include "sink/sink.h"
#include "sink/text.h"
#include "util/cleanup.h"
#include "util/fail.h"
#include "util/human.h"

#define SEEN_MAX 64 /* failures told one by one; more are counted */

/* What makes two failures the same. Compared as bytes: always begun as zeroes. */
struct failure_key {
	uint32_t netns;
	int error;
	uint16_t port;
	uint8_t action;
	uint8_t proto;
	struct address addr;
	uint8_t unused[3];
};

_Static_assert(sizeof(struct failure_key) == 32, "padding would be compared too");

/* The command's own failures and those of others have room of their own: a storm elsewhere hides nothing. */
struct failures {
	struct {
		struct failure_key key;
		uint64_t again;
	} seen[SEEN_MAX];
	size_t n;
	uint64_t untold; /* beyond them */
};

struct report {
	struct sink_options o;
	struct buf out;
	struct failures own, elsewhere;
};

static char tag_of(bool tree)
{
	return tree ? REPORT_FAILURE : REPORT_ELSEWHERE;
}

static void put_more(struct buf *b, char tag, const char *before, const char *text)
{
	if (!text[0])
		return;
	buf_putc(b, tag);
	buf_puts(b, REPORT_INDENT);
	buf_puts(b, before);
	buf_puts_visible(b, text);
	buf_putc(b, '\n');
}

/* ---- failures ---- */

static void key_fill(struct failure_key *key, const struct record *rec)
{
	memset(key, 0, sizeof(*key));
	key->addr.family = rec->addr.family;
	memcpy(key->addr.bytes, rec->addr.bytes, sizeof(key->addr.bytes));
	key->port = rec->port;
	key->action = (uint8_t)rec->action;
	key->proto = (uint8_t)rec->proto;
	key->netns = rec->netns;
	key->error = rec->error;
}

/* A server that tries again is told once. False: it has been told, or there is no room. */
static bool is_new(struct failures *f, const struct record *rec)
{
	struct failure_key key;

	key_fill(&key, rec);
	for (size_t i = 0; i < f->n; i++) {
		if (memcmp(&f->seen[i].key, &key, sizeof(key)) != 0)
			continue;
		f->seen[i].again++;
		return false;
	}
	if (f->n == SEEN_MAX) {
		f->untold++;
		return false;
	}
	f->seen[f->n++].key = key;
	return true;
}

static void on_failure(struct report *r, const struct view *v)
{
	const struct record *rec = v->rec;
	char tag = tag_of(rec->tree);

	if (!is_new(rec->tree ? &r->own : &r->elsewhere, rec))
		return;
	buf_putc(&r->out, tag);
	buf_puts(&r->out, "portlog: ");
	sentence_failure(&r->out, v, r->o.own_netns);
	buf_putc(&r->out, '\n');
	if (!v->explanation)
		return;
	put_more(&r->out, tag, "", v->explanation->reason);
	put_more(&r->out, tag, "try: ", v->explanation->hint);
}

static void put_again(struct report *r, char tag, const struct failure_key *key, uint64_t n)
{
	char endpoint[64], count[HUMAN_LEN];

	buf_putc(&r->out, tag);
	buf_printf(&r->out, "portlog: %s ", proto_name(key->proto));
	buf_puts_visible(&r->out, endpoint_text(&key->addr, key->port, endpoint, sizeof(endpoint)));
	buf_printf(&r->out, " failed %s more time%s\n", human_count(n, count), n == 1 ? "" : "s");
}

/* How often each came again, and how many were not told: once, at the end. */
static void put_counts(struct report *r, char tag, struct failures *f)
{
	char count[HUMAN_LEN];

	for (size_t i = 0; i < f->n; i++) {
		if (f->seen[i].again)
			put_again(r, tag, &f->seen[i].key, f->seen[i].again);
		f->seen[i].again = 0;
	}
	if (f->untold)
		buf_printf(&r->out, "%cportlog: and %s other failure%s\n", tag, human_count(f->untold, count),
			   f->untold == 1 ? "" : "s");
	f->untold = 0;
}

static void tell_counts(struct report *r)
{
	put_counts(r, REPORT_FAILURE, &r->own);
	put_counts(r, REPORT_ELSEWHERE, &r->elsewhere);
}

/* ---- all else ---- */

static void on_success(struct report *r, const struct view *v)
{
	if (!r->o.verbose || !v->rec->tree)
		return;
	buf_printf(&r->out, "%cportlog: ", REPORT_NOTE);
	sentence_who(&r->out, v);
	buf_puts(&r->out, v->rec->action == ACTION_LISTEN ? " listens on " : " bound ");
	sentence_port(&r->out, v, r->o.own_netns);
	buf_putc(&r->out, '\n');
}

static void on_left(struct report *r, const struct view *v)
{
	if (!v->rec->tree || v->rec->correction || r->o.quiet)
		return;
	tell_counts(r);
	buf_printf(&r->out, "%cportlog: left behind: ", REPORT_NOTE);
	sentence_who(&r->out, v);
	cell_put_others(&r->out, v->owners_count);
	buf_puts(&r->out, " still holds ");
	sentence_port(&r->out, v, r->o.own_netns);
	buf_putc(&r->out, '\n');
}

static void on_start(struct report *r, const struct view *v)
{
	if (r->o.verbose)
		buf_printf(&r->out, "%cportlog: traced by %s hooks\n", REPORT_NOTE,
			   v->session->hooks ? v->session->hooks : "no");
}

static void on_lost(struct report *r, const struct view *v)
{
	char count[HUMAN_LEN];

	human_count(v->rec->count, count);
	if (v->rec->lost_where == LOST_TREE)
		buf_printf(&r->out,
			   "%cportlog: %s processes too many to be followed: what they do is told as "
			   "somebody else's\n",
			   REPORT_NOTE, count);
	else
		buf_printf(&r->out, "%cportlog: %s events were lost: a failure may be missing here\n",
			   REPORT_NOTE, count);
}

static void (*const handlers[N_ACTIONS])(struct report *r, const struct view *v) = {
	[ACTION_START] = on_start,   [ACTION_BIND] = on_success, [ACTION_LISTEN] = on_success,
	[ACTION_SNAPSHOT] = on_left, [ACTION_LOST] = on_lost,
};

/* ---- the form ---- */

static int report_open(const struct sink_options *o, void **ret_state)
{
	struct report *r = calloc(1, sizeof(*r));

	if (!r)
		return fail(-ENOMEM, "open the report");
	r->o = *o;
	*ret_state = r;
	return 0;
}

static int report_flush(void *state)
{
	struct report *r = state;
	int e = r->out.len || r->out.error ? sink_put(&r->o, &r->out, r->o.fd) : 0;

	return e == 0 || e == -EPIPE ? e : fail(e, "write the report");
}

static int report_write(void *state, const struct view *v)
{
	struct report *r = state;
	const struct record *rec = v->rec;

	if (r->o.json) {
		buf_putc(&r->out, REPORT_EVENT);
		field_write_json(&r->out, v, &r->o.field, NULL, 0);
		buf_putc(&r->out, '\n');
	} else if (rec->error) {
		on_failure(r, v);
	} else if (rec->action < N_ACTIONS && handlers[rec->action]) {
		handlers[rec->action](r, v);
	}
	if (rec->action == ACTION_SYNCED)
		buf_printf(&r->out, "%c\n", REPORT_READY);
	if (rec->action == ACTION_STOP)
		buf_printf(&r->out, "%c\n", REPORT_COMPLETE);
	return report_flush(r);
}

static int report_tick(void *state, uint64_t now_ns, uint64_t *ret_next_ns)
{
	*ret_next_ns = 0;
	if (now_ns == UINT64_MAX)
		tell_counts(state);
	return 0;
}

static void report_close(void *state)
{
	struct report *r = state;

	if (r)
		buf_done(&r->out);
	free(r);
}

const struct sink_ops sink_report = {
	.name = "report",
	.open = report_open,
	.write = report_write,
	.tick = report_tick,
	.flush = report_flush,
	.close = report_close,
};
