/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A boot as a person reads it:
 *
 *	BOOT d23062da  kernel 6.18.44  hooks on at 0.293s, before sysinit.target; until systemd finished at 4.102s (+30 s)
 *	 +TIME  PORT            OWNER                       UNIT                NOTE
 *	1.312s  tcp [::]:8081   systemd[1] for web.service  web.socket          socket activation
 *	1.365s  tcp 0.0.0.0:80  nginx[53]                   nginx.service
 *	1.410s  tcp 0.0.0.0:80  python3[61]  FAILED         early-http.service  EADDRINUSE: nginx[53] had it 45 ms earlier
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "core/cells.h"
#include "core/explain.h"
#include "core/process.h"
#include "util/cleanup.h"
#include "util/fail.h"
#include "util/human.h"
#include "view/boot_rows.h"
#include "view/grid.h"

#define NS_PER_S 1000000000UL
#define NS_PER_MS 1000000UL
#define SOON_NS (250 * NS_PER_MS) /* a listen that comes so soon after its bind is not worth a word */
#define DOING_LEN 160

/* ---- pieces ---- */

static void put_span(struct buf *b, uint64_t ns)
{
	char text[HUMAN_LEN];

	buf_puts(b, human_span(ns, text));
}

/* "1.365s" of the boot clock. */
static void put_uptime(struct buf *b, uint64_t ns)
{
	buf_printf(b, "%" PRIu64 ".%03us", ns / NS_PER_S, (unsigned)(ns % NS_PER_S / NS_PER_MS));
}

/* What is put next is one more of the things that the note says. */
static void note_begin(struct buf *b, size_t begin)
{
	if (b->len > begin)
		buf_puts(b, "; ");
}

static void put_who(struct buf *b, const struct boot_row *row)
{
	cell_process(b, row->view);
}

/* ---- when ---- */

static void put_wall(struct buf *b, const struct boot_row *row, bool utc)
{
	const struct record *rec = row->view->rec;
	int64_t wall_ns = (int64_t)((uint64_t)rec->wall_ns - (rec->time_ns - row->time_ns));
	time_t s = (time_t)(wall_ns / (int64_t)NS_PER_S);
	char text[32];
	struct tm tm;

	if (!(utc ? gmtime_r(&s, &tm) : localtime_r(&s, &tm)) || !strftime(text, sizeof(text), "%T", &tm))
		return;
	buf_printf(b, "%s.%03d%s", text, (int)(wall_ns % (int64_t)NS_PER_S / (int64_t)NS_PER_MS),
		   utc ? "Z" : "");
}

static void put_time(struct buf *b, const struct boot_row *row, uint64_t last_ns,
		     const struct boot_form *form)
{
	static const char *const about[] = { [SINCE_NOT_BEFORE] = ">= ", [SINCE_NOT_AFTER] = "<= " };

	if (row->precision < ARRAY_SIZE(about) && about[row->precision])
		buf_puts(b, about[row->precision]);
	if (form->clock == BOOT_UPTIME)
		put_uptime(b, row->time_ns);
	else if (form->clock == BOOT_DELTA)
		put_uptime(b, row->time_ns - (last_ns ? last_ns : row->time_ns));
	else
		put_wall(b, row, form->clock == BOOT_UTC);
}

/* ---- who ---- */

/* "systemd[1] for web.service": a socket unit's port is taken by a child of systemd, which gets it then. */
static void put_owner(struct buf *b, const struct boot_row *row)
{
	const struct bound_by *by = row->view->bound_by;
	const char *unit = row->view->process ? row->view->process->where.unit : NULL;
	char whom[256];

	if (by && row->handed && row->to.pid == 1)
		cell_put_process(b, row->to.comm, row->to.pid);
	else
		put_who(b, row);
	if (by && by->service && !(unit && !strcmp(by->service, unit))) {
		buf_puts(b, " for ");
		buf_puts_visible(b, by->service);
	} else if (by && !by->service && *explain_for(by, whom, sizeof(whom))) {
		buf_puts(b, " for ");
		buf_puts_visible(b, whom);
	}
	if (row->kind == BOOT_FAILURE)
		buf_puts(b, "  FAILED");
}

/* ---- what is to be said of it ---- */

static void note_before(struct buf *b, const struct boot *boot, const struct boot_row *row, size_t begin)
{
	const struct boot_row *before = row->before == BOOT_NONE ? NULL : &boot->rows[row->before];

	if (!before)
		return;
	note_begin(b, begin);
	if (row->before_open) {
		buf_puts(b, "shared with ");
		put_who(b, before);
	} else if (before->released_ns && before->released_ns <= row->time_ns) {
		put_span(b, row->time_ns - before->released_ns);
		buf_puts(b, " after ");
		put_who(b, before);
		buf_puts(b, " let it go");
	} else {
		buf_puts(b, "after ");
		put_who(b, before);
	}
}

static void note_listens(struct buf *b, const struct boot_row *row, size_t begin)
{
	if (row->view->rec->kernel)
		return;
	if (!row->listened_ns) {
		note_begin(b, begin);
		buf_puts(b, "not listening");
	} else if (!row->held_before && !row->unseen && row->listened_ns > row->time_ns + SOON_NS) {
		note_begin(b, begin);
		buf_puts(b, "listening ");
		put_span(b, row->listened_ns - row->time_ns);
		buf_puts(b, " later");
	}
}

static void note_end(struct buf *b, const struct boot_row *row, size_t begin)
{
	if (row->again) {
		note_begin(b, begin);
		buf_puts(b, "again ");
		if (row->again > 1)
			buf_printf(b, "%u times, last ", row->again);
		buf_puts(b, "at ");
		put_uptime(b, row->again_ns);
	}
	if (row->released_ns && !row->open) {
		note_begin(b, begin);
		buf_puts(b, "let go ");
		if (row->again) {
			buf_puts(b, "at ");
			put_uptime(b, row->released_ns);
		} else {
			buf_puts(b, "after ");
			put_span(b, row->released_ns - row->time_ns);
		}
	}
}

static void note_owner(struct buf *b, const struct boot *boot, const struct boot_row *row)
{
	const struct bound_by *by = row->view->bound_by;
	size_t begin = b->len;

	if (row->held_before || row->unseen)
		buf_puts(b, row->unseen ? "taken while nothing was recorded" : "held before");
	if (by && by->kind && !strcmp(by->kind, "socket-unit")) {
		note_begin(b, begin);
		buf_puts(b, "socket activation");
	}
	note_before(b, boot, row, begin);
	note_listens(b, row, begin);
	if (row->handed && !by && row->to.pid != row->view->rec->pid) {
		note_begin(b, begin);
		buf_puts(b, "now ");
		cell_put_process(b, row->to.comm, row->to.pid);
	}
	note_end(b, row, begin);
}

static void note_holder(struct buf *b, const struct boot_row *row)
{
	char doing[DOING_LEN];

	buf_puts_visible(b, explain_doing(&row->holder, row->view->rec->time_ns, doing, sizeof(doing)));
	buf_puts(b, "; known from a failure alone");
}

/* "nginx[53] had it 45 ms earlier", as exactly as it is known. */
static void note_had(struct buf *b, const struct boot_row *row, const struct holder *h)
{
	static const char *const how[] = { [SINCE_NOT_BEFORE] = "at most ", [SINCE_NOT_AFTER] = "at least " };
	char doing[DOING_LEN];

	if (h->pid)
		cell_put_process(b, h->comm, h->pid);
	else if (h->kind == HOLDER_KERNEL)
		buf_puts(b, "the kernel");
	else
		buf_printf(b, "a socket of uid %u", h->sock_uid);
	buf_puts(b, " had it");
	if (row->had) {
		buf_putc(b, ' ');
		if (row->had_precision < ARRAY_SIZE(how) && how[row->had_precision])
			buf_puts(b, how[row->had_precision]);
		put_span(b, row->had_ns);
		buf_puts(b, " earlier");
	}
	if (h->kind == HOLDER_LISTENER || row->told_apart)
		return;
	buf_puts(b, ", ");
	buf_puts_visible(b, explain_doing(h, row->view->rec->time_ns, doing, sizeof(doing)));
}

/* An address that comes with the network. */
static void note_network(struct buf *b, const struct boot *boot, const struct record *rec)
{
	uint64_t network_ns = boot->o.times.network_ns;

	if (rec->error != EADDRNOTAVAIL || network_ns <= rec->time_ns)
		return;
	buf_puts(b, "; network-online.target came ");
	put_span(b, network_ns - rec->time_ns);
	buf_puts(b, " later");
}

static void note_failure(struct buf *b, const struct boot *boot, const struct boot_row *row)
{
	const struct view *v = row->view;
	const struct holder *h = v->n_holders ? &v->holders[0] : NULL;
	char scratch[16];

	if (v->rec->action == ACTION_LISTEN)
		buf_puts(b, "listen: ");
	buf_puts(b, errno_name(v->rec->error, scratch));
	if (h && !h->last_owner && h->kind != HOLDER_TIME_WAIT) {
		buf_puts(b, ": ");
		note_had(b, row, h);
	} else if (v->explanation && v->explanation->reason[0]) {
		buf_puts(b, ": ");
		buf_puts_visible(b, v->explanation->reason);
	}
	note_network(b, boot, v->rec);
	if (row->times > 1) {
		buf_printf(b, " (x%u in ", row->times);
		put_span(b, row->last_ns - row->time_ns);
		buf_putc(b, ')');
	}
}

static void put_note(struct buf *b, const struct boot *boot, const struct boot_row *row)
{
	if (row->kind == BOOT_FAILURE)
		note_failure(b, boot, row);
	else if (row->kind == BOOT_HOLDER)
		note_holder(b, row);
	else
		note_owner(b, boot, row);
}

/* A port that is taken is a matter of who comes first, which the table shows. */
static const char *hint_of(const struct boot_row *row, const struct boot_form *form)
{
	const struct explanation *e = row->view->explanation;

	if (row->kind != BOOT_FAILURE || !e || !e->hint[0] ||
	    (row->view->rec->error == EADDRINUSE && !form->hints))
		return NULL;
	return e->hint;
}

/* ---- the lines above ---- */

static void put_on(const struct boot *b, struct buf *out)
{
	uint64_t sysinit_ns = b->o.times.sysinit_ns;

	if (!b->on_ns) {
		buf_puts(out, "when hooks were on is not known");
		return;
	}
	buf_puts(out, "hooks on at ");
	put_uptime(out, b->on_ns);
	if (!sysinit_ns)
		return;
	buf_puts(out, ", ");
	if (b->on_ns > sysinit_ns)
		put_span(out, b->on_ns - sysinit_ns);
	buf_puts(out, b->on_ns > sysinit_ns ? " after sysinit.target" : "before sysinit.target");
}

static void put_until(const struct boot *b, struct buf *out)
{
	if (b->o.times.finished_ns) {
		buf_puts(out, "until systemd finished at ");
		put_uptime(out, b->o.times.finished_ns);
		buf_printf(out, " (+%lu s)", BOOT_AFTER_NS / NS_PER_S);
	} else if (b->o.booting) {
		buf_puts(out, "systemd has not finished yet");
	} else {
		buf_printf(out, "%lu minutes of it: when systemd finished is not known",
			   BOOT_UNKNOWN_NS / NS_PER_S / 60);
	}
}

static void put_range(struct buf *out, const char *what, uint64_t from_ns, uint64_t to_ns)
{
	buf_puts(out, what);
	put_uptime(out, from_ns);
	if (to_ns != UINT64_MAX) {
		buf_puts(out, " to ");
		put_uptime(out, to_ns);
	} else {
		buf_puts(out, " on");
	}
	buf_putc(out, '\n');
}

/* What the table cannot show, for want of having been there. */
static void put_caveats(const struct boot *b, struct buf *out)
{
	bool early = b->on_ns && b->o.times.sysinit_ns && b->on_ns <= b->o.times.sysinit_ns;

	if (b->cut)
		buf_puts(out, "  the beginning of it is not in the history any more\n");
	if (b->on_ns && (!early || b->held_before))
		buf_printf(out, "  what happened before the hooks were on is not known%s\n",
			   b->held_before ? "; what was held then is marked \"held before\"" : "");
	if (b->on_ns > b->end_ns)
		buf_puts(out, "  the boot was over by then\n");
	for (size_t i = 0; i < b->n_gaps; i++)
		put_range(out, "  not recorded: ", b->gaps[i].from_ns, b->gaps[i].to_ns);
	if (b->stopped && b->last_ns < b->end_ns)
		put_range(out, "  not recorded: ", b->last_ns, b->end_ns);
	if (b->lost)
		buf_printf(out, "  %" PRIu64 " events were lost\n", b->lost);
	if (b->left_out > b->left_out_again)
		buf_printf(out, "  %zu more rows are left out\n", b->left_out - b->left_out_again);
}

static void put_heading(const struct boot *b, struct buf *out)
{
	buf_printf(out, "BOOT %.8s  kernel ", b->session.boot_id);
	buf_puts_visible(out, b->session.kernel);
	buf_puts(out, "  ");
	put_on(b, out);
	buf_puts(out, "; ");
	put_until(b, out);
	buf_putc(out, '\n');
	put_caveats(b, out);
}

/* ---- columns that are those of a view ---- */

struct column {
	const char *header;
	void (*put)(struct buf *b, const struct view *v); /* NULL: the field of that name */
	const char *field;
};

static const struct column wide_columns[] = {
	{ "USER", cell_user_id, NULL },    { "NETNS", cell_netns, NULL }, { "SERVICE", NULL, "service" },
	{ "OPTIONS", cell_options, NULL }, { "EXE", NULL, "exe" },        { "ARGS", NULL, "args" },
};

static void put_column(struct buf *b, const struct column *c, const struct view *v,
		       const struct boot_form *form)
{
	if (c->put)
		c->put(b, v);
	else
		field_write_text(b, field_find(c->field, strlen(c->field)), v, &form->field);
}

/* ---- the table ---- */

static void columns_choose(struct grid *g, const struct boot_form *form)
{
	if (form->only) {
		for (size_t i = 0; i < form->n_only; i++)
			grid_column(g, form->only[i]->name, 0);
		return;
	}
	grid_column(g, form->clock == BOOT_UPTIME ? "+TIME" : "TIME", 0);
	g->columns[0].right = true;
	grid_column(g, "PORT", 0);
	grid_column(g, "OWNER", 16);
	grid_column(g, "UNIT", 12);
	for (size_t i = 0; form->wide && i < ARRAY_SIZE(wide_columns); i++)
		grid_column(g, wide_columns[i].header, 0);
	grid_column(g, "NOTE", 0);
	g->columns[g->n_columns - 1].loose = true;
}

static void put_fields(struct grid *g, const struct boot_row *row, const struct boot_form *form)
{
	for (size_t i = 0; i < form->n_only && i < GRID_COLUMNS_MAX; i++) {
		field_write_text(&g->text, form->only[i], row->view, &form->field);
		grid_cell_end(g);
	}
	grid_line_end(g);
}

static void put_hint(struct grid *g, const char *hint)
{
	for (size_t i = 0; i + 1 < g->n_columns; i++)
		grid_cell_end(g);
	buf_puts(&g->text, "Try: ");
	buf_puts_visible(&g->text, hint);
	grid_line_end(g);
}

static void put_row(struct grid *g, const struct boot *b, const struct boot_row *row, uint64_t last_ns,
		    const struct boot_form *form)
{
	put_time(&g->text, row, last_ns, form);
	grid_cell_end(g);
	cell_port(&g->text, row->view);
	grid_cell_end(g);
	put_owner(&g->text, row);
	if (row->kind == BOOT_FAILURE)
		grid_cell_bad(g);
	else
		grid_cell_end(g);
	cell_who(&g->text, row->view);
	grid_cell_end(g);
	for (size_t i = 0; form->wide && i < ARRAY_SIZE(wide_columns); i++) {
		put_column(&g->text, &wide_columns[i], row->view, form);
		grid_cell_end(g);
	}
	put_note(&g->text, b, row);
	grid_line_end(g);
	if (hint_of(row, form))
		put_hint(g, hint_of(row, form));
}

int boot_text(const struct boot *b, const struct boot_form *form, struct buf *out)
{
	struct grid_options options = { .header = form->header,
					.color = form->color,
					.limit = form->only ? 0 : form->limit };
	struct grid g = { 0 };
	uint64_t last_ns = 0;
	int r;

	columns_choose(&g, form);
	for (size_t i = 0; i < b->n_order; i++) {
		const struct boot_row *row = &b->rows[b->order[i]];

		if (form->only) {
			put_fields(&g, row, form);
		} else if (row->first == b->order[i]) { /* the same again is counted there */
			put_row(&g, b, row, last_ns, form);
			last_ns = row->time_ns;
		}
	}
	if (!form->no_heading && !form->only)
		put_heading(b, out);
	r = grid_put(&g, &options, out);
	grid_done(&g);
	return r < 0 ? fail(r, "make the table") : 0;
}
