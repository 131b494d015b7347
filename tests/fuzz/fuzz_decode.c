/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Any bytes as records of the ring, all the way to what is shown: refused, or decoded, held, ranked, explained and
 * rendered as one valid line that moves no cursor.
 */
#include "core/decode.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/explain.h"
#include "core/field.h"
#include "core/ledger.h"
#include "sink/sink.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct run {
	struct processes *processes;
	struct ledger *ledger;
	void *text;
	int text_fd;
	uint64_t seq;
};

static const struct session session = { .version = "0", .hooks = "fexit" };

static void check_visible(const char *text, size_t len, bool lines)
{
	if (!utf8_valid(text, len))
		abort();
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if ((c < 0x20 && !(lines && c == '\n')) || c == 0x7f)
			abort();
	}
}

static void render(struct run *run, const struct view *v)
{
	struct field_options o = { .args = ARGS_MASKED, .hints = true };
	struct buf b = { 0 };

	field_write_json(&b, v, &o, NULL, 0);
	if (b.error || b.len < 2 || b.len >= FIELD_LINE_MAX || b.data[0] != '{' || b.data[b.len - 1] != '}')
		abort();
	check_visible(b.data, b.len, false);
	buf_done(&b);
	if (sink_text.write(run->text, v) < 0)
		abort();
}

static void feed_failure(struct run *run, struct view *v, struct record *rec, const struct pl_failure *f)
{
	struct explain_facts facts = { .unprivileged_port_start = 1024, .now_ns = rec->time_ns };
	struct holder holders[PL_HOLDERS_MAX];
	struct explanation why = { 0 };
	size_t n = f ? f->count : 0;

	for (size_t i = 0; i < n; i++)
		decode_holder(&f->holder[i], rec->proto, &holders[i]);
	n = explain_rank(rec, holders, n);
	for (size_t i = 0; i < n; i++)
		holders[i].process = processes_find_pid(run->processes, holders[i].pid, holders[i].start_ns);
	v->holders = holders;
	v->n_holders = n;
	rec->reason = explain_reason(rec, holders, n, &facts);
	explain(v, &facts, &why);
	v->explanation = &why;
	if (!why.code || !memchr(why.reason, '\0', sizeof(why.reason)))
		abort();
	render(run, v);
}

static void feed_event(struct run *run, const struct decoded *d)
{
	struct view v = { .session = &session };
	struct process_key key;
	struct record rec;
	struct entry *e;
	bool fresh;

	decode_event(d->event, &rec);
	decode_key(d->event, &key);
	if (rec.action == ACTION_NONE)
		return;
	rec.seq = ++run->seq;
	rec.socket_id = rec.seq;
	v.rec = &rec;
	v.process = rec.pid ? processes_get(run->processes, &key, &fresh) : NULL;
	if (rec.error) {
		feed_failure(run, &v, &rec, d->failure);
		return;
	}
	e = ledger_find(run->ledger, rec.sk);
	if (e && (rec.action == ACTION_RELEASE || entry_is_stale(e, &rec)))
		ledger_release(run->ledger, e, rec.time_ns);
	if (rec.action != ACTION_RELEASE)
		(void)ledger_hold(run->ledger, &rec, (struct process *)v.process);
	render(run, &v);
}

static void feed_process(struct run *run, const struct pl_process *told)
{
	struct process_key key = { told->pid, told->start_ns, told->exec_id };
	struct process *p;
	bool fresh;

	p = processes_get(run->processes, &key, &fresh);
	if (!p)
		return;
	process_dirty(p);
	if (decode_process(told, p) < 0)
		return;
	if ((p->exe && p->exe[0] != '/') || (p->cgroup && p->cgroup[0] != '/') || p->args_len > PL_ARGS_MAX)
		abort();
}

/* The next record: what comes first in the input says of which size it claims to be. Returns how much it took. */
static size_t feed(struct run *run, const uint8_t *data, size_t size)
{
	static const size_t sizes[] = { sizeof(struct pl_event), sizeof(struct pl_failure),
					sizeof(struct pl_process) };
	size_t len = data[0] % 4 < 3 ? sizes[data[0] % 4] : size - 1;
	size_t have = size - 1 < len ? size - 1 : len;
	auto_free unsigned char *record = calloc(1, len ? len : 1);
	struct decoded d;

	if (!record)
		return size;
	memcpy(record, data + 1, have);
	if (data[0] % 4 < 3) {
		uint16_t head[2] = { data[0] % 4 == 2 ? PL_PROCESS : (uint16_t)(data[0] / 4 % PL_KIND_MAX),
				     (uint16_t)len };

		memcpy(record, head, sizeof(head));
	}
	if (decode(record, len, &d) == DECODE_BAD) {
		if (d.event || d.failure || d.process)
			abort();
	} else if (d.process) {
		feed_process(run, d.process);
	} else {
		feed_event(run, &d);
	}
	return 1 + have;
}

static void text_check(struct run *run)
{
	auto_free char *text = NULL;
	uint64_t next;
	off_t len;

	if (sink_text.tick(run->text, UINT64_MAX, &next) < 0 || sink_text.flush(run->text) < 0)
		abort();
	len = lseek(run->text_fd, 0, SEEK_CUR);
	text = malloc((size_t)len + 1);
	if (!text || pread(run->text_fd, text, (size_t)len, 0) != len)
		abort();
	check_visible(text, (size_t)len, true);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct run run = { .processes = processes_new(16),
			   .ledger = ledger_new(16),
			   .text_fd = memfd_create("text", MFD_CLOEXEC) };
	struct sink_options o = {
		.fd = run.text_fd, .header = true, .hints = true, .wide = size % 2, .columns = 80
	};

	if (!run.processes || !run.ledger || run.text_fd < 0 || sink_text.open(&o, &run.text) < 0)
		abort();
	for (size_t at = 0; at < size;)
		at += feed(&run, data + at, size - at);
	text_check(&run);
	sink_text.close(run.text);
	ledger_free(run.ledger); /* before the processes that it holds */
	processes_free(run.processes);
	close(run.text_fd);
	return 0;
}
