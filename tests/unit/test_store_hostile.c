/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A history is a file: its cells may hold anything, by damage or on purpose. Whoever reads it comes to an end, with an
 * error that says something or with what can be shown. HOSTILE_ROUNDS and SEED choose how often and which.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#undef fail /* ours is another */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sink/sink.h"
#include "source/replay.h"
#include "store/db.h"
#include "store/store.h"
#include "support/scenes.h"
#include "support/views.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/fail.h"
#include "view/table.h"

#define ROUNDS 150
#define CELLS_MAX 256
#define MANY "9223372036854775807"

struct cell {
	char table[32], column[32];
};

struct hostile {
	char folder[64];
	char path[96];
	struct buf whole; /* the file before it was touched */
	struct cell cells[CELLS_MAX];
	size_t n_cells;
	unsigned seed;
	int null;
};

/* What a column may be set to: wrong types, ends of ranges, and what is long. */
static const char *const values[] = {
	"NULL",
	"0",
	"-1",
	"1",
	"abs(random() % 200)",
	"random()",
	MANY,
	"-" MANY " - 1",
	"1e300",
	"'text'",
	"''",
	"x'00ff1b5b324a0a0d'",
	"CAST(x'1b5d303b00ff0a22275c' AS TEXT)",
	"zeroblob(100000)",
	"replace(hex(zeroblob(50000)), '0', char(27))",
	"'''; DROP TABLE records; --'",
	"randomblob(30)",
};

static int put(void *state, const struct view *v)
{
	assert_int_equal(store_put(state, v), 0);
	return 0;
}

static int no_tick(void *state, uint64_t now_ns, uint64_t *ret_next_ns)
{
	(void)state;
	(void)now_ns;
	*ret_next_ns = 0;
	return 0;
}

static const struct sink_ops sink_into_store = { .write = put, .tick = no_tick };

static void make(const char *path)
{
	static scene *const scenes[] = { scene_actions, scene_holders, scene_failures, scene_hostile,
					 scene_surroundings };
	struct stage stage = { .sink = &sink_into_store };
	struct store *s;

	assert_int_equal(store_open(path, &s), 0);
	stage.state = s;
	for (size_t i = 0; i < ARRAY_SIZE(scenes); i++)
		scenes[i](&stage);
	assert_int_equal(store_commit(s), 0);
	store_close(s);
}

static void cells_find(struct hostile *h)
{
	struct query *q;
	struct db *db;
	size_t len;

	assert_int_equal(db_open(h->path, DB_READ, &db), 0);
	assert_int_equal(db_prepare(db,
				    "SELECT m.name, p.name FROM sqlite_schema m, pragma_table_info(m.name) p"
				    " WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%'",
				    &q),
			 0);
	while (query_step(q) == QUERY_ROW && h->n_cells < CELLS_MAX) {
		struct cell *c = &h->cells[h->n_cells++];

		snprintf(c->table, sizeof(c->table), "%s", query_get_text(q, 0, &len));
		snprintf(c->column, sizeof(c->column), "%s", query_get_text(q, 1, &len));
	}
	db_close(db);
	assert_true(h->n_cells > 100 && h->n_cells < CELLS_MAX);
}

static void file_read(const char *path, struct buf *b)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	char part[4096];
	ssize_t n;

	while ((n = read(fd, part, sizeof(part))) > 0)
		buf_put(b, part, (size_t)n);
	assert_int_equal(n, 0);
}

static void file_write(const char *path, const struct buf *b)
{
	auto_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, b->data, b->len), (ssize_t)b->len);
}

static void journal_forget(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s-wal", name);
	(void)unlink(path);
	snprintf(path, sizeof(path), "%s-shm", name);
	(void)unlink(path);
}

/* A few columns, in one row of three each. What the table refuses stays as it was. */
static void cells_spoil(struct hostile *h)
{
	struct db *db;
	char sql[512];

	assert_int_equal(db_open(h->path, DB_WRITE, &db), 0);
	for (unsigned n = 1 + (unsigned)rand_r(&h->seed) % 6; n; n--) {
		const struct cell *c = &h->cells[(size_t)rand_r(&h->seed) % h->n_cells];

		snprintf(sql, sizeof(sql), "UPDATE OR IGNORE %s SET %s = %s WHERE random() %% 3 = 0",
			 c->table, c->column, values[(size_t)rand_r(&h->seed) % ARRAY_SIZE(values)]);
		(void)db_exec(db, sql);
	}
	db_close(db);
	fail_clear();
}

/* Or bytes anywhere, also in what makes it a database. */
static void bytes_spoil(struct hostile *h)
{
	auto_close int fd = open(h->path, O_RDWR | O_CLOEXEC);

	for (unsigned n = 1 + (unsigned)rand_r(&h->seed) % 64; n; n--) {
		uint8_t byte = (uint8_t)rand_r(&h->seed);
		off_t at = (off_t)((size_t)rand_r(&h->seed) % h->whole.len);

		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	}
}

/* Nothing but 0, or a negative errno that says what is wrong. */
static bool fine(int r)
{
	assert_true(r <= 0);
	assert_true(!r || r == -ENOENT || fail_story()[0]);
	fail_clear();
	return !r;
}

/* ---- readers ---- */

struct sink_pair {
	const struct sink_ops *ops[2];
	void *state[2];
};

static int show_both(void *arg, int64_t id, const struct view *v)
{
	struct sink_pair *pair = arg;
	uint64_t next;
	int r = 0;

	(void)id;
	for (size_t i = 0; i < ARRAY_SIZE(pair->ops) && !r; i++)
		r = pair->ops[i]->write(pair->state[i], v);
	return r ? r : pair->ops[0]->tick(pair->state[0], UINT64_MAX, &next);
}

static void read_events(struct hostile *h, struct store *s)
{
	struct sink_options o = { .fd = h->null,
				  .columns = 80,
				  .hints = true,
				  .current_first = true,
				  .field = { .args = ARGS_FULL, .hints = true } };
	struct sink_pair pair = { .ops = { &sink_text, &sink_ndjson } };
	struct store_query q = { .after = INT64_MIN, .until = INT64_MAX };

	for (size_t i = 0; i < ARRAY_SIZE(pair.ops); i++)
		assert_int_equal(pair.ops[i]->open(&o, &pair.state[i]), 0);
	(void)fine(store_each(s, &q, show_both, &pair));
	q.reverse = true;
	(void)fine(store_each(s, &q, show_both, &pair));
	for (size_t i = 0; i < ARRAY_SIZE(pair.ops); i++)
		pair.ops[i]->close(pair.state[i]);
}

struct looking {
	struct replay *replay;
	struct record rec;
	struct session session;
};

static bool entry_view(void *arg, const struct entry *e, struct owner *owners, struct view *ret)
{
	struct looking *l = arg;

	replay_view(l->replay, e, VIEWS_BOOT_WALL_NS, &l->rec, owners, ret);
	ret->session = &l->session;
	return true;
}

static void read_moment(struct store *s, int64_t time_ns)
{
	static const enum table_form forms[] = { TABLE_NARROW, TABLE_WIDE, TABLE_JSON };
	struct looking l = { .replay = replay_new(), .session = *views_session() };
	struct table_options o = { .columns = 80, .view = entry_view, .arg = &l };
	struct buf out = { 0 };
	size_t shown;
	int64_t id;

	assert_non_null(l.replay);
	if (fine(store_id_at(s, time_ns, &id)) && fine(replay_at(l.replay, s, id, NULL))) {
		for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
			o.form = forms[i];
			(void)fine(table_render(replay_ledger(l.replay), &o, &out, &shown));
		}
	}
	buf_done(&out);
	replay_free(l.replay);
}

static int stream_ignore(void *arg, const struct store_stream *st)
{
	(void)arg;
	(void)st;
	return 0;
}

static int interval_ignore(void *arg, const struct store_interval *i)
{
	(void)arg;
	(void)i;
	return 0;
}

static void read_all(struct hostile *h)
{
	struct store_interval_query q = { .from = INT64_MIN, .to = INT64_MAX, .next = true };
	struct boot_times times;
	struct store *s;

	if (!fine(store_open_read(h->path, &s)))
		return;
	read_events(h, s);
	read_moment(s, INT64_MAX);
	read_moment(s, VIEWS_BOOT_WALL_NS + (int64_t)VIEWS_BASE_NS);
	read_moment(s, INT64_MIN);
	(void)fine(store_streams(s, stream_ignore, NULL));
	(void)fine(store_intervals(s, &q, interval_ignore, NULL));
	(void)fine(store_boot(s, views_session()->boot_id, &times));
	store_close(s);
}

/* ---- the recorder ---- */

static void write_on(struct hostile *h)
{
	static const struct store_limits limits = { .age_ns = 1000000000, .bytes = 1 << 16 };
	int64_t now_ns = VIEWS_BOOT_WALL_NS + 86400000000000;
	struct session next = *views_session();
	bool more = true;
	struct store *s;
	int r;

	if (!fine(store_open(h->path, &s)))
		return;
	snprintf(next.stream, sizeof(next.stream), "ffffffffffffffff");
	r = store_put(s, view_of(.action = ACTION_START, .seq = 1, .session = &next));
	if (!r)
		r = store_put(s, listen_ok(.port = 80, .seq = 2, .session = &next));
	if (!r)
		r = store_put(s, release_of(.port = 80, .seq = 3, .socket_id = 2, .session = &next));
	if (!r)
		r = store_commit(s);
	if (!fine(r))
		store_rollback(s);
	for (unsigned i = 0; i < 10 && more; i++)
		if (!fine(store_retain(s, &limits, now_ns, (uint64_t)now_ns, &more)))
			break;
	store_close(s);
	views_free();
}

static unsigned number_from(const char *name, unsigned otherwise)
{
	const char *text = getenv(name);

	return text ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

static void spoil_and_read(struct hostile *h, void (*spoil)(struct hostile *h))
{
	unsigned rounds = number_from("HOSTILE_ROUNDS", ROUNDS);

	h->seed = number_from("SEED", (unsigned)time(NULL));
	print_message("# SEED=%u\n", h->seed);
	for (unsigned i = 0; i < rounds; i++) {
		file_write(h->path, &h->whole);
		journal_forget(h->path);
		spoil(h);
		read_all(h);
		write_on(h);
		read_all(h);
	}
}

static void any_cell_may_hold_anything(void **state)
{
	spoil_and_read(*state, cells_spoil);
}

static void any_byte_may_be_another(void **state)
{
	spoil_and_read(*state, bytes_spoil);
}

static int setup(void **state)
{
	struct hostile *h = calloc(1, sizeof(*h));

	if (!h)
		return -1;
	snprintf(h->folder, sizeof(h->folder), "/tmp/portlog-hostile.XXXXXX");
	if (!mkdtemp(h->folder))
		return -1;
	snprintf(h->path, sizeof(h->path), "%s/history.db", h->folder);
	h->null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	make(h->path);
	cells_find(h);
	file_read(h->path, &h->whole);
	views_free();
	*state = h;
	return 0;
}

static int teardown(void **state)
{
	struct hostile *h = *state;

	journal_forget(h->path);
	(void)unlink(h->path);
	(void)rmdir(h->folder);
	buf_done(&h->whole);
	close(h->null);
	free(h);
	views_free();
	fail_clear();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(any_cell_may_hold_anything, setup, teardown),
		cmocka_unit_test_setup_teardown(any_byte_may_be_another, setup, teardown),
	};

	return cmocka_run_group_tests_name("store_hostile", tests, NULL, NULL);
}
