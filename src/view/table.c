/* SPDX-License-Identifier: GPL-2.0-only */
/* The table of what holds ports. Widths are those of what is shown, so every line is made before the first is put. */
#include "view/table.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/cells.h"
#include "core/explain.h"
#include "core/process.h"
#include "util/cleanup.h"
#include "util/fail.h"
#include "util/human.h"
#include "view/grid.h"

#define NS_PER_S 1000000000l

/* ---- cells that only this table has ---- */

static void put_field(struct buf *b, const char *name, const struct view *v, const struct table_options *o)
{
	const struct field *f = field_find(name, strlen(name));

	if (f)
		field_write_text(b, f, v, &o->field);
	else
		buf_putc(b, '-');
}

/* How long the port has been held: "<=" where only the process's start is known. */
static void put_held(struct buf *b, const struct view *v, const struct table_options *o)
{
	const struct record *rec = v->rec;
	char text[HUMAN_LEN];

	(void)o;
	if (!rec->since_ns || rec->since_ns > rec->time_ns ||
	    (rec->since_precision != SINCE_EXACT && rec->since_precision != SINCE_NOT_BEFORE)) {
		buf_putc(b, '-');
		return;
	}
	if (rec->since_precision == SINCE_NOT_BEFORE)
		buf_puts(b, "<= ");
	buf_puts(b, human_span(rec->time_ns - rec->since_ns, text));
}

static void put_since(struct buf *b, const struct view *v, const struct table_options *o)
{
	const struct record *rec = v->rec;
	int64_t wall_ns = (int64_t)((uint64_t)rec->wall_ns - (rec->time_ns - rec->since_ns));
	time_t s = (time_t)(wall_ns / NS_PER_S);
	char text[48];
	struct tm tm;

	if (!rec->since_ns || !rec->since_precision || rec->since_precision == SINCE_NOT_AFTER ||
	    !(o->utc ? gmtime_r(&s, &tm) : localtime_r(&s, &tm)) ||
	    !strftime(text, sizeof(text), "%F %H:%M:%S", &tm)) {
		buf_putc(b, '-');
		return;
	}
	buf_puts(b, rec->since_precision == SINCE_NOT_BEFORE ? ">= " : "");
	buf_puts(b, text);
}

/* A plain listener says nothing, and of the kernel's own PROCESS does. */
static const char *const kind_notes[N_HOLDER_KINDS] = {
	[HOLDER_BOUND] = "not listening", [HOLDER_SHUTDOWN] = "shut down",
	[HOLDER_INHERITED] = "inherited", [HOLDER_IN_FLIGHT] = "in flight",
	[HOLDER_ACCEPTED] = NULL,         [HOLDER_CLIENT] = "client",
	[HOLDER_KERNEL] = NULL,           [HOLDER_UNKNOWN] = "owner unknown",
};

/* The kernel may exceed what it says by up to 1.4 s. */
static void note_time_wait(struct buf *b, const struct record *rec)
{
	uint64_t left_ns = rec->expires_ns > rec->time_ns ? rec->expires_ns - rec->time_ns : 0;

	buf_puts(b, "TIME_WAIT");
	if (rec->expires_ns)
		buf_printf(b, " <= %" PRIu64 " s", (left_ns + 3 * NS_PER_S / 2 + NS_PER_S - 1) / NS_PER_S);
}

static void put_note(struct buf *b, const struct view *v, const struct table_options *o)
{
	enum holder_kind kind = record_holder_kind(v->rec, false);

	(void)o;
	if (kind == HOLDER_TIME_WAIT)
		note_time_wait(b, v->rec);
	else if (kind == HOLDER_LISTENER && record_is_connected(v->rec))
		buf_puts(b, "connected");
	else if (kind < N_HOLDER_KINDS && kind_notes[kind])
		buf_puts(b, kind_notes[kind]);
}

/* All of them, where the narrow table says "+2". */
static void put_owners(struct buf *b, const struct view *v, const struct table_options *o)
{
	(void)o;
	if (v->n_owners < 2) {
		buf_putc(b, '-');
		return;
	}
	for (size_t i = 0; i < v->n_owners; i++) {
		if (i)
			buf_putc(b, ' ');
		cell_put_process(b, v->owners[i].comm, v->owners[i].pid);
	}
	if (v->owners_count > v->n_owners)
		buf_printf(b, " +%zu", v->owners_count - v->n_owners);
}

static void put_service(struct buf *b, const struct view *v, const struct table_options *o)
{
	put_field(b, "service", v, o);
}

static void put_range(struct buf *b, const struct view *v, const struct table_options *o)
{
	put_field(b, "range", v, o);
}

static void put_exe(struct buf *b, const struct view *v, const struct table_options *o)
{
	put_field(b, "exe", v, o);
}

static void put_args(struct buf *b, const struct view *v, const struct table_options *o)
{
	put_field(b, "args", v, o);
}

#define SHARED(name)                                                                               \
	static void put_##name(struct buf *b, const struct view *v, const struct table_options *o) \
	{                                                                                          \
		(void)o;                                                                           \
		cell_##name(b, v);                                                                 \
	}

SHARED(port)
SHARED(process)
SHARED(who)
SHARED(user_id)
SHARED(netns)
SHARED(options)

/* ---- columns ---- */

struct column {
	const char *header;
	unsigned min; /* shrunk no further when the terminal is narrow; 0: never */
	bool wide;    /* only with -o wide */
	void (*put)(struct buf *b, const struct view *v, const struct table_options *o);
};

static const struct column columns[] = {
	{ "PORT", 0, false, put_port },    { "PROCESS", 12, false, put_process },
	{ "WHO", 12, false, put_who },     { "HELD", 0, false, put_held },
	{ "SINCE", 0, true, put_since },   { "USER", 8, true, put_user_id },
	{ "NETNS", 8, true, put_netns },   { "SERVICE", 0, true, put_service },
	{ "RANGE", 0, true, put_range },   { "OPTIONS", 0, true, put_options },
	{ "OWNERS", 0, true, put_owners }, { "EXE", 0, true, put_exe },
	{ "ARGS", 0, true, put_args },     { "NOTE", 0, false, put_note },
};

#define N_COLUMNS ARRAY_SIZE(columns)

struct table {
	const struct table_options *o;
	struct grid grid;
	size_t n_lines;
	uint8_t served[65536 / 8]; /* TCP ports that are listened on, wherever that is */
};

static bool is_shown(const struct table *t, size_t column)
{
	return t->o->form == TABLE_WIDE || !columns[column].wide;
}

static void columns_choose(struct table *t)
{
	for (size_t i = 0; t->o->only && i < t->o->n_only; i++)
		grid_column(&t->grid, t->o->only[i]->name, 0);
	for (size_t i = 0; i < N_COLUMNS && !t->o->only; i++)
		if (is_shown(t, i))
			grid_column(&t->grid, columns[i].header, columns[i].min);
}

static bool is_accepted(const struct record *rec)
{
	return rec->kind == HOLDER_ACCEPTED;
}

/* What nobody has open only waits for its other end. */
static void note_connections(struct buf *b, const struct table *t, const struct record *rec, size_t n)
{
	bool is_served = t->served[rec->port / 8] & 1u << rec->port % 8;

	buf_puts(b, rec->inode || rec->has_process ? "accepted" : "closing");
	buf_puts(b, is_served ? "" : ", listener gone");
	buf_printf(b, ": %zu connection%s", n, n == 1 ? "" : "s");
}

/* @n: connections that are told in one line. */
static void line_render(struct table *t, const struct view *v, size_t n)
{
	for (size_t i = 0; t->o->only && i < t->o->n_only && i < GRID_COLUMNS_MAX; i++) {
		field_write_text(&t->grid.text, t->o->only[i], v, &t->o->field);
		grid_cell_end(&t->grid);
	}
	for (size_t i = 0; i < N_COLUMNS && !t->o->only; i++) {
		if (!is_shown(t, i))
			continue;
		columns[i].put(&t->grid.text, v, t->o);
		if (columns[i].put == put_note && is_accepted(v->rec))
			note_connections(&t->grid.text, t, v->rec, n);
		grid_cell_end(&t->grid);
	}
	grid_line_end(&t->grid);
}

/* ---- which, and in what order ---- */

struct candidate {
	const struct entry *entry;
	uint64_t rank; /* the first part of the usual order, as one number */
	char *key;     /* --sort; else NULL */
	const struct table_options *o;
};

static int compare_number(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

/* The host's namespace first, then the others; TCP before UDP; by port. */
static uint64_t rank_of(const struct record *rec, uint32_t host_netns)
{
	return (uint64_t)(rec->netns != host_netns) << 49 | (uint64_t)rec->netns << 17 |
	       (uint64_t)(rec->proto == PROTO_UDP) << 16 | rec->port;
}

static int compare_usual(const struct candidate *a, const struct candidate *b)
{
	const struct record *x = &a->entry->told, *y = &b->entry->told;
	int r = compare_number(a->rank, b->rank) ?: compare_number(x->addr.family, y->addr.family);

	r = r ?: memcmp(x->addr.bytes, y->addr.bytes, sizeof(x->addr.bytes));
	r = r ?: compare_number(x->start_ns, y->start_ns);
	r = r ?: compare_number(x->pid, y->pid) ?: compare_number(x->kind, y->kind);
	return r ?: compare_number(x->inode, y->inode);
}

/* Numbers by size, others by their bytes; what has none comes last. */
static int compare_keys(const char *a, const char *b)
{
	bool a_none = !strcmp(a, "-"), b_none = !strcmp(b, "-");
	char *a_end, *b_end;
	uint64_t x, y;

	if (a_none || b_none)
		return (int)a_none - (int)b_none;
	x = strtoull(a, &a_end, 10);
	y = strtoull(b, &b_end, 10);
	return !*a_end && !*b_end ? compare_number(x, y) : strcmp(a, b);
}

static int compare(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	int r = x->key && y->key ? compare_keys(x->key, y->key) : 0;

	return r ?: compare_usual(x, y);
}

/* What only has a port because it is connected is no answer to "who holds this port?" unless all is asked for. */
static bool is_wanted(const struct table_options *o, const struct entry *e)
{
	if (o->all)
		return true;
	return e->told.kind != HOLDER_TIME_WAIT &&
	       (e->told.kind != HOLDER_CLIENT || e->told.explicit_port || o->clients);
}

static void candidate_key(struct candidate *c)
{
	struct owner owners[LEDGER_OWNERS_MAX];
	struct buf text = { 0 };
	struct view v;

	if (!c->o->sort || !c->o->view(c->o->arg, c->entry, owners, &v))
		return;
	field_write_text(&text, c->o->sort, &v, &c->o->field);
	c->key = strdup(buf_str(&text));
	buf_done(&text);
}

static struct candidate *candidates_find(struct ledger *led, const struct table_options *o, size_t *ret_n)
{
	struct candidate *all = calloc(ledger_count(led) + 1, sizeof(*all));
	size_t n = 0;

	for (struct entry *e = ledger_next(led, NULL); all && e; e = ledger_next(led, e)) {
		if (!is_wanted(o, e))
			continue;
		all[n] = (struct candidate){ .entry = e, .o = o, .rank = rank_of(&e->told, o->host_netns) };
		candidate_key(&all[n++]);
	}
	if (n)
		qsort(all, n, sizeof(*all), compare);
	*ret_n = n;
	return all;
}

static void served_note(struct table *t, struct ledger *led)
{
	for (struct entry *e = ledger_next(led, NULL); e; e = ledger_next(led, e))
		if (e->told.kind == HOLDER_LISTENER && e->told.proto != PROTO_UDP)
			t->served[e->told.port / 8] |= (uint8_t)(1u << e->told.port % 8);
}

/* ---- putting it together ---- */

/* Connections of one process from one address and port: nothing that a line shows tells them apart. */
static bool is_same_line(const struct candidate *a, const struct candidate *b)
{
	const struct record *x = &a->entry->told, *y = &b->entry->told;

	return a->rank == b->rank && is_accepted(x) && is_accepted(y) && x->proto == y->proto &&
	       x->pid == y->pid && x->start_ns == y->start_ns && !x->inode == !y->inode &&
	       x->sock_uid == y->sock_uid && !memcmp(&x->addr, &y->addr, sizeof(x->addr));
}

/* How many from the first on are one line. JSON, picked fields and an order of one's own have one each. */
static size_t same_lines(const struct table *t, const struct candidate *all, size_t n)
{
	size_t same = 1;

	if (t->o->form == TABLE_JSON || t->o->only || t->o->sort)
		return 1;
	while (same < n && is_same_line(&all[0], &all[same]))
		same++;
	return same;
}

static void put_json(const struct table *t, const struct view *v, struct buf *out)
{
	field_write_json(out, v, &t->o->field, t->o->only, t->o->n_only);
	buf_putc(out, '\n');
}

static int lines_make(struct table *t, const struct candidate *all, size_t n, struct buf *out)
{
	struct owner owners[LEDGER_OWNERS_MAX];
	struct view v;

	for (size_t i = 0, same; i < n; i += same) {
		same = same_lines(t, all + i, n - i);
		if (!t->o->view(t->o->arg, all[i].entry, owners, &v))
			continue;
		t->n_lines++;
		if (t->o->form == TABLE_JSON)
			put_json(t, &v, out);
		else
			line_render(t, &v, same);
	}
	return 0;
}

int table_render(struct ledger *led, const struct table_options *o, struct buf *out, size_t *ret_shown)
{
	struct grid_options grid = { .header = o->header, .limit = o->tty && !o->only ? o->columns : 0 };
	struct table t = { .o = o };
	struct candidate *all;
	size_t n;
	int r;

	columns_choose(&t);
	served_note(&t, led);
	all = candidates_find(led, o, &n);
	r = all ? lines_make(&t, all, n, out) : fail(-ENOMEM, "make the table");
	if (!r && o->form != TABLE_JSON)
		r = grid_put(&t.grid, &grid, out);
	*ret_shown = t.n_lines;
	for (size_t i = 0; all && i < n; i++)
		free(all[i].key);
	grid_done(&t.grid);
	free(all);
	return r ? r : out->error;
}
