/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A boot for programs: one object of portlog.boot/1, with the events themselves in its rows. As in portlog/1 what is absent
 * is unknown or does not apply: no null, no empty string.
 */
#include <string.h>

#include "core/explain.h"
#include "core/process.h"
#include "util/fail.h"
#include "util/json.h"
#include "view/boot_rows.h"

#define NS_PER_US 1000

static void put_true(struct buf *b, const char *name, bool v)
{
	if (v)
		json_put_flag(b, name, true);
}

/* A moment of the boot clock; 0 is none. */
static void put_moment(struct buf *b, const char *name, uint64_t ns)
{
	if (ns)
		json_put_number(b, name, ns / NS_PER_US);
}

static void put_precision(struct buf *b, const char *name, uint8_t precision)
{
	if (precision)
		json_put_text(b, name, precision_name((enum precision)precision));
}

static void put_comm(struct buf *b, const char comm[16])
{
	if (!comm[0])
		return;
	json_key(b, "comm");
	json_string(b, comm, strnlen(comm, 16));
}

/* ---- rows ---- */

static void put_owner(struct buf *b, const struct boot_row *row)
{
	put_true(b, "held_before", row->held_before);
	put_true(b, "unseen", row->unseen);
	put_moment(b, "listening_us", row->held_before || row->unseen ? 0 : row->listened_ns);
	json_put_flag(b, "listening", row->listened_ns);
	if (row->again) {
		json_put_number(b, "again", row->again);
		put_moment(b, "again_us", row->again_ns);
	}
	if (!row->open)
		put_moment(b, "released_us", row->released_ns);
	if (!row->handed)
		return;
	json_key(b, "handed_to");
	buf_putc(b, '{');
	json_put_number(b, "pid", row->to.pid);
	put_comm(b, row->to.comm);
	buf_putc(b, '}');
}

static void put_failure(struct buf *b, const struct boot_row *row)
{
	if (!row->had)
		return;
	json_put_number(b, "had_for_us", row->had_ns / NS_PER_US);
	put_precision(b, "had_for_precision", row->had_precision);
}

static void put_holder(struct buf *b, const struct boot_row *row)
{
	const struct holder *h = &row->holder;
	const struct process *p = h->process;
	char addr[ADDRESS_TEXT_MAX];

	json_key(b, "holder");
	buf_putc(b, '{');
	json_put_text(b, "kind", holder_kind_name(h->kind));
	if (h->pid) {
		json_put_number(b, "pid", h->pid);
		put_comm(b, h->comm);
		json_put_number(b, "uid", h->uid);
	}
	json_put_text(b, "exe", p ? p->exe : NULL);
	json_put_text(b, "unit", p ? p->where.unit : NULL);
	json_put_text(b, "proto", proto_name(row->view->rec->proto));
	if (address_text(&row->view->rec->addr, addr))
		json_put_text(b, "addr", addr);
	json_put_number(b, "port", row->view->rec->port);
	put_true(b, "last_owner", h->last_owner);
	buf_putc(b, '}');
}

static const struct {
	const char *word;
	void (*put)(struct buf *b, const struct boot_row *row);
} kinds[] = {
	[BOOT_OWNER] = { "owner", put_owner },
	[BOOT_FAILURE] = { "failure", put_failure },
	[BOOT_HOLDER] = { "holder", put_holder },
};

static void put_row(struct buf *b, const struct boot_row *row, const struct boot_form *form)
{
	json_next(b);
	buf_putc(b, '{');
	json_put_text(b, "row", kinds[row->kind].word);
	json_put_number(b, "at_us", row->time_ns / NS_PER_US);
	put_precision(b, "at_precision", row->precision);
	kinds[row->kind].put(b, row);
	/* Of a holder there was no event: that of the failure is a row of its own. */
	if (row->kind != BOOT_HOLDER) {
		json_key(b, "event");
		field_write_json(b, row->view, &form->field, form->only, form->n_only);
	}
	buf_putc(b, '}');
}

/* ---- the boot ---- */

static void put_systemd(struct buf *b, const struct boot_times *t)
{
	if (!t->userspace_ns)
		return;
	json_key(b, "systemd");
	buf_putc(b, '{');
	put_moment(b, "started_us", t->userspace_ns);
	put_moment(b, "sysinit_us", t->sysinit_ns);
	put_moment(b, "network_online_us", t->network_ns);
	put_moment(b, "finished_us", t->finished_ns);
	buf_putc(b, '}');
}

static void put_gap(struct buf *b, uint64_t from_ns, uint64_t to_ns)
{
	json_next(b);
	buf_putc(b, '{');
	json_put_number(b, "from_us", from_ns / NS_PER_US);
	if (to_ns != UINT64_MAX)
		json_put_number(b, "to_us", to_ns / NS_PER_US);
	buf_putc(b, '}');
}

static void put_gaps(struct buf *b, const struct boot *boot)
{
	bool ended = boot->stopped && boot->last_ns < boot->end_ns;

	if (!boot->n_gaps && !ended)
		return;
	json_key(b, "gaps");
	buf_putc(b, '[');
	for (size_t i = 0; i < boot->n_gaps; i++)
		put_gap(b, boot->gaps[i].from_ns, boot->gaps[i].to_ns);
	if (ended)
		put_gap(b, boot->last_ns, boot->end_ns);
	buf_putc(b, ']');
}

int boot_json(const struct boot *b, const struct boot_form *form, struct buf *out)
{
	const char *end = b->o.times.finished_ns ? "finished" : b->o.booting ? "booting" : "unknown";

	buf_puts(out, "{\"schema\":\"portlog.boot/1\"");
	json_put_text(out, "boot_id", b->session.boot_id);
	json_put_text(out, "hostname", b->session.hostname);
	json_put_text(out, "kernel", b->session.kernel);
	json_put_text(out, "hooks", b->hooks);
	put_moment(out, "hooks_on_us", b->on_ns);
	put_systemd(out, &b->o.times);
	json_put_text(out, "end", end);
	put_moment(out, "until_us", b->end_ns == UINT64_MAX ? 0 : b->end_ns);
	put_true(out, "beginning_missing", b->cut);
	put_gaps(out, b);
	json_put_number(out, "lost", b->lost);
	if (b->left_out)
		json_put_number(out, "left_out", b->left_out);
	json_key(out, "rows");
	buf_putc(out, '[');
	for (size_t i = 0; i < b->n_order; i++)
		put_row(out, &b->rows[b->order[i]], form);
	buf_puts(out, "]}\n");
	return out->error ? fail(out->error, "make the answer") : 0;
}
