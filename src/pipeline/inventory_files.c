/* SPDX-License-Identifier: GPL-2.0-only */
/* Rows of the BPF iterators into the ledger: sockets, with all processes that have them open. */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/inventory_state.h"
#include "util/cleanup.h"
#include "util/fail.h"
#include "util/loop.h"

#define ROWS_MAX 524288 /* about 90 MiB, if there are so many */

/* Wrong ones are counted and left out; past the limit the rest is counted. */
static int row_take(void *arg, const void *data, size_t len)
{
	struct inventory *inv = arg;
	const struct pl_row *row;
	size_t room;
	struct pl_row *more;

	if (decode_row(data, len, &row)) {
		inv->bad_rows++;
		return 0;
	}
	if (inv->n_rows == ROWS_MAX) {
		inv->rows_cut++;
		return 0;
	}
	if (inv->n_rows == inv->rows_room) {
		room = inv->rows_room ? inv->rows_room * 2 : 1024;
		more = reallocarray(inv->rows, room, sizeof(*more));
		if (!more)
			return fail(-ENOMEM, "list sockets");
		inv->rows = more;
		inv->rows_room = room;
	}
	inv->rows[inv->n_rows++] = *row;
	return 0;
}

/* Rows of one socket together, who is there longest first. */
static int row_compare(const void *a, const void *b)
{
	const struct pl_row *x = *(const struct pl_row *const *)a, *y = *(const struct pl_row *const *)b;

	if (x->sk != y->sk)
		return x->sk < y->sk ? -1 : 1;
	if (x->start_ns != y->start_ns)
		return x->start_ns < y->start_ns ? -1 : 1;
	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

/*
 * Who took the port is not known, but who has it open longest was there when it was taken, or got it from who was. A
 * service that init opened the socket for is the one to be named; since when goes by init all the same.
 */
static const struct pl_row *row_named(struct pl_row *const *rows, size_t n)
{
	return n > 1 && rows[0]->pid == 1 ? rows[1] : rows[0];
}

static void process_know(struct process *p, const struct pl_row *row)
{
	if (p)
		p->css_set = row->css_set;
}

static void owner_add(struct inventory *inv, struct entry *e, const struct pl_row *row)
{
	struct owner owner = { .pid = row->pid, .uid = row->uid, .start_ns = row->start_ns };
	struct record rec;

	memcpy(owner.comm, row->comm, sizeof(owner.comm));
	if (!entry_owner_add(e, &owner))
		return;
	decode_row_record(row, &rec);
	process_know(inventory_intern(inv, &rec), row);
}

static void record_times(struct inventory *inv, struct record *rec, uint64_t start_ns)
{
	rec->time_ns = inv->began_ns;
	rec->since_ns = start_ns ? start_ns : inv->began_ns;
	rec->since_precision = start_ns ? SINCE_NOT_BEFORE : SINCE_NOT_AFTER;
}

/* All rows of one socket; an entry without owner was made by an earlier pass and is made again. */
static void socket_fold(struct inventory *inv, struct pl_row *const *rows, size_t n)
{
	const struct pl_row *named = row_named(rows, n);
	struct entry *e = ledger_find(inv->ledger, rows[0]->sk);
	struct record rec;

	inventory_bucket_keep(inv, rows[0]);
	if (e && e->key.pid)
		return;
	decode_row_record(named, &rec);
	record_times(inv, &rec, rows[0]->start_ns);
	if (e && !rec.cookie)
		rec.cookie = e->cookie;
	inventory_drop(inv, e);
	e = inventory_hold(inv, &rec);
	if (!e)
		return;
	process_know(e->process, named);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || rows[i]->pid != rows[i - 1]->pid)
			owner_add(inv, e, rows[i]);
}

static int rows_fold(struct inventory *inv)
{
	auto_free struct pl_row **sorted = calloc(inv->n_rows + 1, sizeof(*sorted));

	if (!sorted)
		return fail(-ENOMEM, "list sockets");
	for (size_t i = 0; i < inv->n_rows; i++)
		sorted[i] = &inv->rows[i];
	qsort(sorted, inv->n_rows, sizeof(*sorted), row_compare);
	for (size_t i = 0, end; i < inv->n_rows; i = end) {
		for (end = i + 1; end < inv->n_rows && sorted[end]->sk == sorted[i]->sk; end++)
			;
		socket_fold(inv, sorted + i, end - i);
	}
	return 0;
}

int inventory_files(struct inventory *inv)
{
	int r;

	inv->n_rows = 0;
	r = lister_files(inv->lister, row_take, inv);
	return r < 0 ? r : rows_fold(inv);
}

/* Those that a file led to are there already: only the others are new. */
static void row_fileless(struct inventory *inv, const struct pl_row *row)
{
	struct record rec;

	inventory_bucket_keep(inv, row);
	if (ledger_find(inv->ledger, row->sk) || !row->port || !inventory_port_asked(inv, row->port) ||
	    (row->proto != IPPROTO_TCP && row->proto != IPPROTO_UDP))
		return;
	decode_row_record(row, &rec);
	record_times(inv, &rec, 0);
	(void)inventory_hold(inv, &rec);
}

int inventory_sockets(struct inventory *inv, bool udp)
{
	int r;

	inv->n_rows = 0;
	r = lister_sockets(inv->lister, udp, row_take, inv);
	for (size_t i = 0; r >= 0 && i < inv->n_rows; i++)
		row_fileless(inv, &inv->rows[i]);
	return r;
}

/* Known already by sock_diag, mostly; then only what it is changes. */
static void row_flying(struct inventory *inv, const struct pl_row *row)
{
	struct diag_row as = {
		.inode = row->inode, .cookie = row->cookie, .netns = row->netns, .port = row->port
	};
	struct entry *e = ledger_find(inv->ledger, row->sk) ?: inventory_find(inv, &as);

	if (e && !e->key.pid)
		e->told.kind = HOLDER_IN_FLIGHT;
}

int inventory_flying(struct inventory *inv)
{
	int r;

	inv->n_rows = 0;
	r = lister_flying(inv->lister, row_take, inv);
	for (size_t i = 0; r >= 0 && i < inv->n_rows; i++)
		row_flying(inv, &inv->rows[i]);
	return r;
}
