/* SPDX-License-Identifier: GPL-2.0-only */
/* The store: everything that goes in comes out, and what may happen to its file. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#undef fail /* ours is another */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/field.h"
#include "store/db.h"
#include "store/store.h"
#include "support/scenes.h"
#include "support/views.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/fail.h"

struct place {
	char folder[64];
	char path[96];
	struct store *store;
};

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	if (!p)
		return -1;
	snprintf(p->folder, sizeof(p->folder), "/tmp/portlog-store.XXXXXX");
	if (!mkdtemp(p->folder))
		return -1;
	snprintf(p->path, sizeof(p->path), "%s/history.db", p->folder);
	*state = p;
	return 0;
}

static void forget_store(const char *name)
{
	static const char *const suffixes[] = { "", "-wal", "-shm", "-journal" };
	char path[160];

	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		snprintf(path, sizeof(path), "%s%s", name, suffixes[i]);
		if (unlink(path) && errno == EISDIR)
			(void)rmdir(path);
	}
}

static int teardown(void **state)
{
	struct place *p = *state;

	store_close(p->store);
	forget_store(p->path);
	(void)rmdir(p->folder);
	free(p);
	views_free();
	fail_clear();
	return 0;
}

static void open_store(struct place *p)
{
	int r = store_open(p->path, &p->store);

	if (r)
		print_error("%s\n", fail_story());
	assert_int_equal(r, 0);
}

static void put(struct place *p, const struct view *v)
{
	int r = store_put(p->store, v);

	if (r)
		print_error("%s\n", fail_story());
	assert_int_equal(r, 0);
}

static void commit(struct place *p)
{
	assert_int_equal(store_commit(p->store), 0);
}

/* ---- round trip ---- */

/* A sink that puts into the store, and keeps the lines that the events had. */
struct lines {
	struct place *place;
	struct buf json;
	size_t n;
};

static const struct field_options all_options = { .args = ARGS_FULL, .hints = true };

static int lines_write(void *state, const struct view *v)
{
	struct lines *l = state;

	field_write_json(&l->json, v, &all_options, NULL, 0);
	buf_putc(&l->json, '\n');
	l->n++;
	put(l->place, v);
	return 0;
}

static int lines_tick(void *state, uint64_t now_ns, uint64_t *ret_next_ns)
{
	(void)state;
	(void)now_ns;
	*ret_next_ns = 0;
	return 0;
}

static const struct sink_ops sink_lines = { .write = lines_write, .tick = lines_tick };

static int line_of(void *arg, int64_t id, const struct view *v)
{
	struct buf *b = arg;

	(void)id;
	field_write_json(b, v, &all_options, NULL, 0);
	buf_putc(b, '\n');
	return 0;
}

static void assert_round_trip(struct place *p, scene *play)
{
	struct lines l = { .place = p };
	struct stage stage = { .sink = &sink_lines, .state = &l };
	struct store_query q = { .until = INT64_MAX };
	struct buf out = { 0 };

	play(&stage);
	commit(p);
	assert_int_equal(store_each(p->store, &q, line_of, &out), 0);
	assert_true(l.n > 0);
	assert_string_equal(buf_str(&out), buf_str(&l.json));
	buf_done(&out);
	buf_done(&l.json);
}

#define ROUND_TRIP(name)                                             \
	static void every_field_of_##name##_comes_back(void **state) \
	{                                                            \
		open_store(*state);                                  \
		assert_round_trip(*state, scene_##name);             \
	}

ROUND_TRIP(actions)
ROUND_TRIP(holders)
ROUND_TRIP(failures)
ROUND_TRIP(hostile)
ROUND_TRIP(long)
ROUND_TRIP(surroundings)

/* Every member of a record that is shown or used, also those that no scene has. */
static int same_record(void *arg, int64_t id, const struct view *v)
{
	(void)id;
	assert_memory_equal(v->rec, arg, sizeof(struct record));
	return 0;
}

static void every_member_of_a_record_comes_back(void **state)
{
	struct view v = *release_of(.since_ms = -5, .ppid = 7, .gid = 8, .cgroup_id = UINT64_MAX);
	struct record rec;
	struct store_query q = { .until = INT64_MAX };
	struct place *p = *state;

	memset(&rec, 0, sizeof(rec));
	rec = *v.rec;
	v.rec = &rec;
	rec.cookie = UINT64_MAX;
	rec.inode = 1;
	rec.held_ns = 3;
	rec.bound_addr = rec.asked_addr = rec.addr;
	rec.bound_port = 2;
	rec.state = 10;
	rec.ifindex = 4;
	rec.sock_uid = UINT32_MAX;
	rec.backlog = -1;
	rec.has_backlog = rec.hook_addr = rec.explicit_port = rec.correction = rec.v6only = rec.bhash2 = true;
	rec.kind = HOLDER_TIME_WAIT;
	rec.l3mdev = 5;
	rec.expires_ns = 1ull << 60;
	rec.tid = 0;
	rec.exec_id = 12;
	rec.since_ns = rec.time_ns + 1; /* nothing says that clocks agree */
	rec.reason = 3;
	open_store(p);
	put(p, &v);
	commit(p);
	assert_int_equal(store_each(p->store, &q, same_record, &rec), 0);
}

/* ---- the file ---- */

static void only_owner_and_group_may_read_it(void **state)
{
	static const char *const suffixes[] = { "", "-wal", "-shm" };
	struct place *p = *state;
	char path[128];
	struct stat st;

	umask(0);
	open_store(p);
	put(p, listen_ok(.port = 80));
	commit(p);
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		snprintf(path, sizeof(path), "%s%s", p->path, suffixes[i]);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 0777, 0640);
	}
}

static void write_file(const char *path, const char *text)
{
	auto_fclose FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
}

static void assert_file(const char *path, const char *text)
{
	auto_fclose FILE *f = fopen(path, "r");
	char got[256] = "";

	assert_non_null(f);
	got[fread(got, 1, sizeof(got) - 1, f)] = '\0';
	assert_string_equal(got, text);
}

static void what_is_no_database_is_left_as_it_is(void **state)
{
	static const char text[] =
		"Dear diary, today somebody took port 80. I wish to find this again tomorrow.\n"
		"It was not nginx. It is never nginx.";
	struct place *p = *state;

	write_file(p->path, text);
	assert_int_equal(store_open(p->path, &p->store), -EBADMSG);
	assert_non_null(strstr(fail_story(), p->path));
	assert_true(fail_remedy()[0]);
	assert_file(p->path, text);
}

static void a_folder_is_no_store(void **state)
{
	struct place *p = *state;

	assert_int_equal(mkdir(p->path, 0700), 0);
	assert_int_equal(store_open(p->path, &p->store), -EISDIR);
	assert_int_equal(store_open_read(p->path, &p->store), -EISDIR);
}

static void a_store_that_is_not_there_is_not_made_by_a_reader(void **state)
{
	struct place *p = *state;

	assert_int_equal(store_open_read(p->path, &p->store), -ENOENT);
	assert_int_equal(access(p->path, F_OK), -1);
}

/* Byte 60..63 of the header is user_version, 68..71 application_id (sqlite.org/fileformat2.html). */
static void poke(const char *path, off_t at, const char bytes[4])
{
	auto_close int fd = open(path, O_RDWR | O_CLOEXEC);

	assert_int_equal(pwrite(fd, bytes, 4, at), 4);
}

static void a_newer_versions_store_is_refused(void **state)
{
	struct place *p = *state;

	open_store(p);
	p->store = store_close(p->store);
	poke(p->path, 60, "\0\0\0\x63");
	assert_int_equal(store_open(p->path, &p->store), -EPROTO);
	assert_non_null(strstr(fail_story(), "newer portlog (version 99"));
	assert_int_equal(store_open_read(p->path, &p->store), -EPROTO);
}

/* tests/unit/history-@version.sql as a file: never changed, since files of that version are out there. */
static void make_old(struct place *p, int version)
{
	auto_free char *sql = calloc(1, 1 << 16);
	char path[128];
	struct db *db;

	snprintf(path, sizeof(path), PORTLOG_TESTS "/unit/history-%d.sql", version);
	{
		auto_fclose FILE *f = fopen(path, "r");

		assert_non_null(f);
		assert_non_null(sql);
		assert_true(fread(sql, 1, (1 << 16) - 1, f) > 1000);
	}
	assert_int_equal(db_open(p->path, DB_WRITE, &db), 0);
	assert_int_equal(db_exec(db, sql), 0);
	db_close(db);
}

static int events_put(void *arg, int64_t id, const struct view *v)
{
	static const char *const fields_shown[] = { "action", "port", "comm", "unit", "holder.comm", "hint" };
	struct buf *b = arg;

	(void)id;
	for (size_t i = 0; i < ARRAY_SIZE(fields_shown); i++) {
		field_write_text(b, field_find(fields_shown[i], strlen(fields_shown[i])), v, &all_options);
		buf_putc(b, i + 1 < ARRAY_SIZE(fields_shown) ? ' ' : '\n');
	}
	return 0;
}

static void a_store_of_version_1_is_brought_up_to_date(void **state)
{
	struct store_query q = { .until = INT64_MAX };
	struct place *p = *state;
	struct buf out = { 0 };

	make_old(p, 1);
	assert_int_equal(store_open_read(p->path, &p->store), -EPROTO);
	assert_non_null(strstr(fail_story(), "older portlog"));
	open_store(p);
	assert_int_equal(store_each(p->store, &q, events_put, &out), 0);
	assert_string_equal(buf_str(&out), "start - - - - -\n"
					   "listen 80 nginx nginx.service - -\n"
					   "bind 80 python3 early-http.service nginx another port\n");
	buf_done(&out);
	put(p, listen_ok(.port = 22, .seq = 4, .bound_by = { .kind = "socket-unit", .unit = "ssh.socket" }));
	commit(p);
	p->store = store_close(p->store);
	assert_int_equal(store_open_read(p->path, &p->store), 0);
}

static void another_programs_database_is_refused(void **state)
{
	struct place *p = *state;

	open_store(p);
	p->store = store_close(p->store);
	poke(p->path, 68, "\0\0\0\1");
	assert_int_equal(store_open(p->path, &p->store), -EPROTO);
	assert_non_null(strstr(fail_story(), "another program"));
}

static int64_t number_of(const char *path, const char *sql)
{
	struct db *db;
	int64_t n;

	assert_int_equal(db_open(path, DB_READ, &db), 0);
	assert_int_equal(db_number(db, sql, &n), 0);
	db_close(db);
	return n;
}

#define RACES 40

/* A reader that comes while the file is being made finds nothing, or all that it needs. */
static void a_new_store_is_there_as_a_whole(void **state)
{
	static const char words[] = "SELECT count(*) FROM words";
	struct place *p = *state;
	int64_t first[RACES], most = 0;
	char path[RACES][128];
	pid_t maker;

	for (unsigned i = 0; i < RACES; i++)
		snprintf(path[i], sizeof(path[i]), "%s.%u", p->path, i);
	maker = fork();
	for (unsigned i = 0; !maker && i < RACES; i++)
		if (store_open(path[i], &p->store))
			_exit(1);
	if (!maker)
		_exit(0);
	for (unsigned i = 0; i < RACES; i++) {
		while (store_open_read(path[i], &p->store))
			sched_yield();
		p->store = store_close(p->store);
		first[i] = number_of(path[i], words);
	}
	waitpid(maker, NULL, 0);
	for (unsigned i = 0; i < RACES; i++)
		most = first[i] > most ? first[i] : most;
	for (unsigned i = 0; i < RACES; i++) {
		assert_int_equal(first[i], most);
		forget_store(path[i]);
	}
}

static void a_damaged_store_gets_out_of_the_way_with_its_journal(void **state)
{
	char name[STORE_NAME_MAX], journal[128];
	struct place *p = *state;

	open_store(p);
	p->store = store_close(p->store);
	snprintf(journal, sizeof(journal), "%s-wal", p->path);
	write_file(journal, "not a journal");
	assert_int_equal(store_set_aside(p->path, false, name), 0); /* its first bytes say what it is */
	assert_int_equal(access(p->path, F_OK), -1);
	assert_int_equal(access(journal, F_OK), -1);
	assert_int_equal(unlink(name), 0);
	snprintf(journal, sizeof(journal), "%s.damaged-1-wal", p->path);
	assert_file(journal, "not a journal");
	assert_int_equal(unlink(journal), 0);
}

static void a_file_of_somebody_else_is_not_moved(void **state)
{
	static const char text[] =
		"A text that is longer than the header of a database is, so that nobody can say that it was"
		" not looked at because of that.";
	char name[STORE_NAME_MAX];
	struct place *p = *state;

	write_file(p->path, text);
	assert_int_equal(store_set_aside(p->path, false, name), -EPROTO);
	assert_file(p->path, text);
	assert_int_equal(unlink(p->path), 0);
	open_store(p);
	p->store = store_close(p->store);
	poke(p->path, 60, "\0\0\0\x63"); /* a newer version's: this one cannot tell what is damaged in it */
	assert_int_equal(store_set_aside(p->path, false, name), -EPROTO);
}

static void a_store_without_its_tables_is_damaged(void **state)
{
	struct place *p = *state;
	struct db *db;

	open_store(p);
	p->store = store_close(p->store);
	assert_int_equal(db_open(p->path, DB_WRITE, &db), 0);
	assert_int_equal(db_exec(db, "DROP TABLE intervals"), 0);
	db_close(db);
	assert_int_equal(store_open(p->path, &p->store), -EBADMSG);
}

static void a_file_that_was_moved_is_noticed(void **state)
{
	struct place *p = *state;
	char away[128];
	bool has;

	open_store(p);
	put(p, bind_ok(.port = 80, .seq = 1));
	commit(p);
	assert_int_equal(store_in_place(p->store), 0);
	assert_int_equal(store_has(p->store, bind_ok(.seq = 2), 1, &has), 0);
	assert_true(has);
	assert_int_equal(store_has(p->store, bind_ok(.seq = 2), 2, &has), 0);
	assert_false(has);
	snprintf(away, sizeof(away), "%s.away", p->path);
	assert_int_equal(rename(p->path, away), 0);
	assert_int_equal(store_in_place(p->store), -ESTALE);
	p->store = store_close(p->store);
	open_store(p);
	assert_int_equal(store_has(p->store, bind_ok(.seq = 2), 1, &has), 0);
	assert_false(has);
	assert_int_equal(unlink(away), 0);
}

/* ---- streams and intervals ---- */

static struct session session_named(const char *stream, const char *boot)
{
	struct session s = *views_session();

	snprintf(s.stream, sizeof(s.stream), "%s", stream);
	snprintf(s.boot_id, sizeof(s.boot_id), "%s", boot);
	return s;
}

struct intervals {
	struct store_interval list[16];
	size_t n;
};

static int interval_keep(void *arg, const struct store_interval *i)
{
	struct intervals *all = arg;

	assert_true(all->n < ARRAY_SIZE(all->list));
	all->list[all->n++] = *i;
	return 0;
}

static struct intervals intervals_all(struct place *p)
{
	struct store_interval_query q = { .to = INT64_MAX, .next = true };
	struct intervals all = { .n = 0 };

	assert_int_equal(store_intervals(p->store, &q, interval_keep, &all), 0);
	return all;
}

static void a_bind_a_listen_and_a_release_are_one_interval(void **state)
{
	struct place *p = *state;
	struct intervals all;

	open_store(p);
	put(p, bind_ok(.port = 80, .seq = 1));
	put(p, listen_ok(.port = 80, .seq = 2, .socket_id = 1));
	put(p, bind_failed(.port = 80, .error = EADDRINUSE, .seq = 3));
	put(p, release_of(.port = 80, .seq = 4, .socket_id = 1));
	put(p, listen_ok(.port = 80, .seq = 5));
	commit(p);
	all = intervals_all(p);
	assert_int_equal(all.n, 2);
	assert_int_equal(all.list[0].opened, 1);
	assert_int_equal(all.list[0].listened, 2);
	assert_int_equal(all.list[0].closed, 4);
	assert_int_equal(all.list[0].ended, ENDED_RELEASE);
	assert_int_equal(all.list[0].next, 5);
	assert_int_equal(all.list[1].opened, 5);
	assert_int_equal(all.list[1].ended, ENDED_NOT);
}

/* The indexes by port are cut into blocks of 65,536 ids. */
struct ids {
	int64_t list[16];
	size_t n;
};

static int id_keep(void *arg, int64_t id, const struct view *v)
{
	struct ids *all = arg;

	assert_int_equal(v->rec->port, 80);
	assert_true(all->n < ARRAY_SIZE(all->list));
	all->list[all->n++] = id;
	return 0;
}

#define FAR (1ll << 40)
static const int64_t on_port_80[] = { 1, 65535, 65536, 131071, 131072, FAR, FAR + 65536 };
#define N_ON_PORT_80 ARRAY_SIZE(on_port_80)

/* From on_port_80[first], so many of them. */
static void assert_each(struct place *p, const struct store_query *q, size_t first, size_t n)
{
	struct ids all = { .n = 0 };

	assert_int_equal(store_each(p->store, q, id_keep, &all), 0);
	assert_int_equal(all.n, n);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(all.list[i], on_port_80[q->reverse ? first + n - 1 - i : first + i]);
}

static void put_far_apart(struct place *p)
{
	for (size_t i = 0; i < N_ON_PORT_80; i++)
		put(p, bind_ok(.port = 80, .seq = (uint64_t)on_port_80[i], .at_ms = (int64_t)i));
	put(p, bind_ok(.port = 82, .seq = FAR + 65537, .at_ms = 10));
	put(p, release_of(.port = 82, .seq = FAR + 65538, .socket_id = FAR + 65537, .at_ms = 11));
	put(p, bind_ok(.port = 82, .seq = 2 * FAR, .at_ms = 12));
	commit(p);
}

static void a_port_is_found_in_every_block_of_ids(void **state)
{
	uint8_t port_80[65536 / 8] = { [80 / 8] = 1 << 80 % 8 };
	struct place *p = *state;

	open_store(p);
	put_far_apart(p);
	for (int reverse = 0; reverse < 2; reverse++) {
		assert_each(p,
			    &(struct store_query){ .until = INT64_MAX, .ports = port_80, .reverse = reverse },
			    0, N_ON_PORT_80);
		assert_each(p,
			    &(struct store_query){
				    .after = INT64_MIN, .until = 0, .ports = port_80, .reverse = reverse },
			    0, 0);
		for (size_t from = 0; from < N_ON_PORT_80; from++)
			for (size_t to = from; to < N_ON_PORT_80; to++)
				assert_each(p,
					    &(struct store_query){ .after = on_port_80[from] - 1,
								   .until = on_port_80[to],
								   .ports = port_80,
								   .reverse = reverse },
					    from, to - from + 1);
	}
}

/* What the recorder's journal has goes into the file, and the journal is empty: no reader is in the way of that. */
static void assert_checkpoint(const char *path)
{
	sqlite3 *db;
	int busy = 1;

	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
	busy = sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	sqlite3_close(db);
	assert_int_equal(busy, SQLITE_OK);
}

/* A recorder commits at the end of one block and in the next while somebody who walks is between the two. */
struct late {
	struct place *place;
	struct ids ids;
};

static int commit_late(void *arg, int64_t id, const struct view *v)
{
	struct late *l = arg;

	if (id == 1 && !l->ids.n) {
		put(l->place, bind_ok(.port = 80, .seq = 65535, .at_ms = 1));
		put(l->place, bind_ok(.port = 80, .seq = 65536, .at_ms = 2));
		commit(l->place);
	}
	assert_checkpoint(l->place->path);
	return id_keep(&l->ids, id, v);
}

static int checkpoint_at(void *arg, const struct store_interval *i)
{
	struct late *l = arg;

	(void)i;
	assert_checkpoint(l->place->path);
	return 0;
}

static void a_walk_ends_with_what_is_there_and_keeps_no_journal(void **state)
{
	uint8_t port_80[65536 / 8] = { [80 / 8] = 1 << 80 % 8 };
	struct store_query q = { .until = INT64_MAX, .ports = port_80 };
	struct place *p = *state;
	struct late l = { .place = p };
	struct store *reader;

	open_store(p);
	put(p, bind_ok(.port = 80, .seq = 1, .at_ms = 0));
	commit(p);
	assert_int_equal(store_open_read(p->path, &reader), 0);
	assert_int_equal(store_each(reader, &q, commit_late, &l), 0);
	assert_int_equal(l.ids.n, 1);
	q.after = 1;
	assert_int_equal(store_each(reader, &q, commit_late, &l), 0);
	assert_int_equal(l.ids.n, 3);
	assert_int_equal(store_each(reader, &(struct store_query){ .until = 1 }, commit_late, &l), 0);
	assert_int_equal(store_intervals(reader, &(struct store_interval_query){ .to = INT64_MAX },
					 checkpoint_at, &l),
			 0);
	store_close(reader);
}

static void an_interval_is_found_in_every_block_of_ids(void **state)
{
	uint8_t port_80[65536 / 8] = { [80 / 8] = 1 << 80 % 8 },
				port_82[65536 / 8] = { [82 / 8] = 1 << 82 % 8 };
	struct store_interval_query q = { .to = INT64_MAX, .ports = port_80 };
	struct place *p = *state;
	struct intervals all;

	open_store(p);
	put_far_apart(p);
	for (q.reverse = false;; q.reverse = true) {
		all.n = 0;
		assert_int_equal(store_intervals(p->store, &q, interval_keep, &all), 0);
		assert_int_equal(all.n, N_ON_PORT_80);
		for (size_t i = 0; i < all.n; i++)
			assert_int_equal(all.list[i].opened, on_port_80[q.reverse ? all.n - 1 - i : i]);
		if (q.reverse)
			break;
	}
	all.n = 0;
	q = (struct store_interval_query){ .to = INT64_MAX, .ports = port_82, .next = true };
	assert_int_equal(store_intervals(p->store, &q, interval_keep, &all), 0);
	assert_int_equal(all.n, 2);
	assert_int_equal(all.list[0].next, 2 * FAR);
	assert_int_equal(all.list[1].next, 0);
}

static void a_handoff_begins_an_interval_of_the_same_socket(void **state)
{
	struct place *p = *state;
	struct intervals all;

	open_store(p);
	put(p, listen_ok(.port = 80, .seq = 1));
	put(p, view_of(.action = ACTION_HANDOFF, .port = 80, .seq = 2, .socket_id = 1,
		       .owners = { { .pid = 9 } }));
	commit(p);
	all = intervals_all(p);
	assert_int_equal(all.n, 2);
	assert_int_equal(all.list[0].ended, ENDED_HANDOFF);
	assert_int_equal(all.list[1].socket, 1);
	assert_int_equal(all.list[1].ended, ENDED_NOT);
}

static void assert_left_open(struct place *p, bool stop, const char *next_boot, enum ended ended)
{
	struct session first = session_named("aaaaaaaaaaaaaaaa", "b0"),
		       second = session_named("bbbbbbbbbbbbbbbb", next_boot);
	struct intervals all;

	open_store(p);
	put(p, listen_ok(.port = 80, .seq = 1, .session = &first));
	if (stop)
		put(p, view_of(.action = ACTION_STOP, .seq = 2, .session = &first));
	commit(p);
	p->store = store_close(p->store);
	open_store(p);
	put(p, view_of(.action = ACTION_START, .seq = 1, .session = &second));
	put(p, snapshot_of(.port = 80, .seq = 2, .session = &second));
	commit(p);
	all = intervals_all(p);
	assert_int_equal(all.n, 2);
	assert_int_equal(all.list[0].ended, ended);
	assert_int_equal(all.list[0].closed, stop ? 3 : 2);
	assert_int_equal(all.list[0].next, all.list[1].opened);
	assert_int_equal(all.list[1].ended, ENDED_NOT);
}

static void what_a_killed_recorder_left_open_is_closed_by_the_next(void **state)
{
	assert_left_open(*state, false, "b0", ENDED_KILLED);
}

static void what_a_stopped_recorder_left_open_is_closed_by_the_next(void **state)
{
	assert_left_open(*state, true, "b0", ENDED_STOPPED);
}

static void what_a_reboot_left_open_is_closed_by_the_next_boot(void **state)
{
	assert_left_open(*state, false, "b1", ENDED_REBOOT);
}

static int count_one(void *arg, int64_t id, const struct view *v)
{
	(void)id;
	(void)v;
	++*(size_t *)arg;
	return 0;
}

static size_t count_of(struct place *p)
{
	struct store_query q = { .until = INT64_MAX };
	size_t n = 0;

	assert_int_equal(store_each(p->store, &q, count_one, &n), 0);
	return n;
}

static void what_is_rolled_back_can_be_put_again(void **state)
{
	struct place *p = *state;

	open_store(p);
	put(p, bind_ok(.port = 80, .seq = 1));
	commit(p);
	put(p, listen_ok(.port = 80, .seq = 2, .socket_id = 1, .comm = "other"));
	put(p, release_of(.port = 80, .seq = 3, .socket_id = 1));
	store_rollback(p->store);
	assert_int_equal(count_of(p), 1);
	assert_int_equal(intervals_all(p).list[0].ended, ENDED_NOT);
	put(p, listen_ok(.port = 80, .seq = 2, .socket_id = 1, .comm = "other"));
	put(p, release_of(.port = 80, .seq = 3, .socket_id = 1));
	commit(p);
	assert_int_equal(count_of(p), 3);
	assert_int_equal(intervals_all(p).list[0].ended, ENDED_RELEASE);
	assert_int_equal(intervals_all(p).list[0].listened, 2);
}

static void what_was_committed_is_not_put_twice(void **state)
{
	struct place *p = *state;

	open_store(p);
	put(p, bind_ok(.port = 80, .seq = 1));
	commit(p);
	store_rollback(p->store); /* as after a commit that said it failed and did not */
	put(p, bind_ok(.port = 80, .seq = 1));
	put(p, bind_ok(.port = 81, .seq = 2));
	commit(p);
	assert_int_equal(count_of(p), 2);
}

static void a_moment_is_found_by_its_time(void **state)
{
	struct place *p = *state;
	int64_t id, base;

	open_store(p);
	put(p, bind_ok(.port = 80, .seq = 1, .at_ms = 1000));
	put(p, bind_ok(.port = 81, .seq = 2, .at_ms = 2000));
	commit(p);
	base = record_of(.action = ACTION_BIND, .at_ms = 1000).wall_ns;
	assert_int_equal(store_id_at(p->store, base - 1, &id), 0);
	assert_int_equal(id, 0);
	assert_int_equal(store_id_at(p->store, base, &id), 0);
	assert_int_equal(id, 1);
	assert_int_equal(store_id_at(p->store, INT64_MAX, &id), 0);
	assert_int_equal(id, 2);
}

static void how_far_systemd_was_is_known_by_boot(void **state)
{
	const struct boot_times early = { .userspace_ns = 1, .sysinit_ns = 2 },
				late = { 1, 2, 3, 1ull << 60 };
	struct place *p = *state;
	struct boot_times got;

	make_old(p, 1);
	open_store(p);
	assert_int_equal(store_boot(p->store, "b0", &got), 0);
	assert_int_equal(got.sysinit_ns + got.finished_ns, 0);
	assert_int_equal(store_put_boot(p->store, "b0", &early), 0);
	assert_int_equal(store_put_boot(p->store, "b0", &late), 0);
	assert_int_equal(store_put_boot(p->store, "b1", &early), 0);
	p->store = store_close(p->store);
	assert_int_equal(store_open_read(p->path, &p->store), 0);
	assert_int_equal(store_boot(p->store, "b0", &got), 0);
	assert_memory_equal(&got, &late, sizeof(got));
	assert_int_equal(store_boot(p->store, "b1", &got), 0);
	assert_memory_equal(&got, &early, sizeof(got));
}

/* The wall clock is not what it is said to be, by so much. */
static const struct view *with_clock(const struct view *v, int64_t wrong_ms)
{
	((struct record *)v->rec)->wall_ns += wrong_ms * 1000000;
	return v;
}

static int64_t wall_of(int64_t at_ms)
{
	return record_of(.action = ACTION_BIND, .at_ms = at_ms).wall_ns;
}

static int64_t id_at(struct place *p, int64_t at_ms)
{
	int64_t id;

	assert_int_equal(store_id_at(p->store, wall_of(at_ms), &id), 0);
	return id;
}

/* A machine without a clock: at each boot it is years ago, until somebody on the network says what time it is. */
static void put_boot_without_a_clock(struct place *p, const char *stream, int64_t at_ms)
{
	static const int64_t years = -3ll * 365 * 86400000;
	struct session s = session_named(stream, stream);

	put(p, with_clock(view_of(.action = ACTION_START, .seq = 1, .at_ms = at_ms, .session = &s), years));
	put(p, with_clock(listen_ok(.port = 80, .seq = 2, .at_ms = at_ms + 1000, .session = &s), years));
	put(p, view_of(.action = ACTION_CLOCK, .seq = 3, .at_ms = at_ms + 2000, .session = &s));
	put(p, release_of(.port = 80, .seq = 4, .at_ms = at_ms + 60000, .socket_id = 2, .session = &s));
	put(p, listen_ok(.port = 80, .seq = 5, .at_ms = at_ms + 120000, .session = &s));
	commit(p);
}

#define HOUR_MS 3600000ll
#define DAY_MS (24 * HOUR_MS)

static void a_moment_is_found_after_a_boot_without_a_clock(void **state)
{
	struct place *p = *state;

	open_store(p);
	put_boot_without_a_clock(p, "aaaaaaaaaaaaaaaa", 1000);
	put_boot_without_a_clock(p, "bbbbbbbbbbbbbbbb", DAY_MS);
	assert_int_equal(id_at(p, HOUR_MS), 5);
	assert_int_equal(id_at(p, DAY_MS + 30000), 8);
	assert_int_equal(id_at(p, DAY_MS + 90000), 9);
	assert_int_equal(id_at(p, 2 * DAY_MS), 10);
	assert_int_equal(id_at(p, DAY_MS + 1500), 7); /* by the clock as it was set later */
}

static void of_a_time_that_was_twice_the_later_is_meant(void **state)
{
	struct place *p = *state;

	open_store(p);
	for (uint64_t minute = 0; minute < 120; minute++) /* one hour ahead, until it is set */
		put(p, with_clock(bind_ok(.port = 80, .seq = minute + 1, .at_ms = (int64_t)minute * 60000),
				  minute < 60 ? HOUR_MS : 0));
	commit(p);
	for (int64_t minute = 0; minute < 120; minute++)
		assert_int_equal(id_at(p, minute * 60000 + 1), minute + 1);
	assert_int_equal(id_at(p, -1), 0);
}

/* The recorder was started again while it was a year later, and then the clock was set right. */
static void a_run_that_began_in_the_future_is_found_when_the_clock_is_right(void **state)
{
	static const int64_t year = 365ll * 86400000;
	struct session s = session_named("bbbbbbbbbbbbbbbb", "bbbbbbbbbbbbbbbb");
	struct session before = session_named("aaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaa");
	struct place *p = *state;

	open_store(p);
	put(p, bind_ok(.port = 79, .seq = 1, .at_ms = 500, .session = &before));
	put(p, bind_ok(.port = 80, .seq = 1, .at_ms = 1000));
	put(p, with_clock(view_of(.action = ACTION_CLOCK, .seq = 2, .at_ms = 2000), year));
	put(p, with_clock(bind_ok(.port = 81, .seq = 3, .at_ms = 3000), year));
	commit(p);
	assert_int_equal(id_at(p, 1500), 2);
	put(p, with_clock(view_of(.action = ACTION_START, .seq = 1, .at_ms = 10000, .session = &s), year));
	put(p, with_clock(bind_ok(.port = 82, .seq = 2, .at_ms = 11000, .session = &s), year));
	put(p, view_of(.action = ACTION_CLOCK, .seq = 3, .at_ms = 12000, .session = &s));
	put(p, bind_ok(.port = 83, .seq = 4, .at_ms = 13000, .session = &s));
	commit(p);
	assert_int_equal(id_at(p, 1500), 2);
	assert_int_equal(id_at(p, year + 2500), 3);
	assert_int_equal(id_at(p, 10500), 5);
	assert_int_equal(id_at(p, 11500), 6);
	assert_int_equal(id_at(p, 12500), 7);
	assert_int_equal(id_at(p, 13500), 8);
}

/* ---- retention ---- */

static void retain_all(struct place *p, const struct store_limits *limits, int64_t at_ms)
{
	int64_t now_ns = VIEWS_BOOT_WALL_NS + (int64_t)VIEWS_BASE_NS + at_ms * 1000000;
	bool more;

	do
		assert_int_equal(store_retain(p->store, limits, now_ns, (uint64_t)now_ns, &more), 0);
	while (more);
}

static void a_boot_without_a_clock_does_not_make_the_history_old(void **state)
{
	static const struct store_limits month = { .age_ns = 30ull * 86400 * 1000000000 };
	struct place *p = *state;

	open_store(p);
	put_boot_without_a_clock(p, "aaaaaaaaaaaaaaaa", 1000);
	put_boot_without_a_clock(p, "bbbbbbbbbbbbbbbb", 10 * DAY_MS);
	retain_all(p, &month, 11 * DAY_MS);
	assert_int_equal(count_of(p), 10);
	put_boot_without_a_clock(p, "cccccccccccccccc", 35 * DAY_MS);
	retain_all(p, &month, 36 * DAY_MS);
	assert_int_equal(count_of(p), 12); /* of the first run: two that listened */
}

static void a_clock_far_ahead_does_not_make_the_history_old(void **state)
{
	static const struct store_limits month = { .age_ns = 30ull * 86400 * 1000000000 };
	struct place *p = *state;
	bool more;

	open_store(p);
	put_boot_without_a_clock(p, "aaaaaaaaaaaaaaaa", 1000);
	retain_all(p, &month, HOUR_MS);
	for (uint64_t s = 0; s < 600; s += 10) { /* ten minutes in which it is 70 years later */
		uint64_t up_ns = (uint64_t)wall_of(HOUR_MS) + s * 1000000000;

		assert_int_equal(store_retain(p->store, &month, wall_of(70 * 365 * DAY_MS), up_ns, &more), 0);
		assert_false(more);
	}
	put(p, with_clock(bind_ok(.port = 81, .seq = 6, .at_ms = HOUR_MS), 70 * 365 * DAY_MS));
	put(p, bind_ok(.port = 81, .seq = 7, .at_ms = HOUR_MS + 1000));
	commit(p);
	p->store = store_close(p->store);
	open_store(p);
	retain_all(p, &month, 2 * HOUR_MS);
	assert_int_equal(count_of(p), 7);
	retain_all(p, &month, 40 * DAY_MS); /* and it is old when it is old */
	assert_int_equal(count_of(p), 3 + 1);
}

static void a_clock_that_was_set_before_retention_is_looked_at_does_not_either(void **state)
{
	static const struct store_limits month = { .age_ns = 30ull * 86400 * 1000000000 };
	struct place *p = *state;

	open_store(p);
	assert_int_equal(store_clock_begin(p->store, wall_of(0)), 0);
	put_boot_without_a_clock(p, "aaaaaaaaaaaaaaaa", 1000);
	p->store = store_close(p->store);
	open_store(p);
	assert_int_equal(store_clock_begin(p->store, wall_of(365 * DAY_MS)), 0);
	put(p, with_clock(bind_ok(.port = 81, .seq = 6, .at_ms = HOUR_MS), 365 * DAY_MS));
	retain_all(p, &month, 365 * DAY_MS);
	assert_int_equal(count_of(p), 6);
}

static void an_id_is_used_once(void **state)
{
	static const struct store_limits second = { .age_ns = 1000000000 };
	struct session s = session_named("bbbbbbbbbbbbbbbb", "b1");
	struct place *p = *state;

	open_store(p);
	for (uint64_t i = 1; i <= 10; i++)
		put(p, bind_failed(.port = 80, .error = EADDRINUSE, .seq = i, .at_ms = (int64_t)i));
	commit(p);
	retain_all(p, &second, DAY_MS);
	retain_all(p, &second, 2 * DAY_MS);
	assert_int_equal(count_of(p), 0);
	put(p, bind_ok(.port = 80, .seq = 1, .session = &s));
	commit(p);
	assert_int_equal(number_of(p->path, "SELECT id FROM records"), 11);
}

/* Four events an hour ago, one of each fate, and an old socket that is still held. */
static void put_old(struct place *p)
{
	put(p, bind_ok(.port = 1, .seq = 1, .at_ms = 1));
	put(p, bind_ok(.port = 80, .seq = 2, .at_ms = 2));
	put(p, listen_ok(.port = 81, .seq = 3, .at_ms = 3));
	put(p, bind_failed(.port = 81, .error = EADDRINUSE, .seq = 4, .at_ms = 4, .code = "listener",
			   .holders = { { .kind = HOLDER_LISTENER, .pid = 7, .comm = "x" } }));
	put(p, release_of(.port = 80, .socket_id = 2, .seq = 5, .at_ms = 5));
	put(p, release_of(.port = 81, .socket_id = 3, .seq = 6, .at_ms = 6));
	put(p, bind_ok(.port = 90, .seq = 7, .at_ms = HOUR_MS));
	commit(p);
}

static void failures_and_listens_outlive_the_rest(void **state)
{
	static const struct store_limits hour = { .age_ns = HOUR_MS * 1000000 };
	struct place *p = *state;

	open_store(p);
	put_old(p);
	retain_all(p, &hour, HOUR_MS);
	assert_int_equal(count_of(p), 7);
	retain_all(p, &hour, HOUR_MS + 10); /* left: port 1 is still held; listen, failure; port 90 */
	assert_int_equal(count_of(p), 4);
	assert_int_equal(intervals_all(p).n, 2);
	retain_all(p, &hour, 5 * HOUR_MS - 1000);
	assert_int_equal(intervals_all(p).n, 2);
	retain_all(p, &hour, 5 * HOUR_MS + 1000); /* what is held stays, however old */
	assert_int_equal(count_of(p), 2);
	assert_int_equal(intervals_all(p).n, 2);
}

static void what_was_held_long_goes_when_it_is_let_go(void **state)
{
	static const struct store_limits hour = { .age_ns = HOUR_MS * 1000000 };
	struct place *p = *state;

	open_store(p);
	put_old(p);
	retain_all(p, &hour, 2 * HOUR_MS);
	put(p, release_of(.port = 1, .socket_id = 1, .seq = 8, .at_ms = 2 * HOUR_MS));
	put(p, bind_ok(.port = 91, .seq = 9, .at_ms = 4 * HOUR_MS));
	commit(p);
	retain_all(p, &hour, 10 * HOUR_MS);
	assert_int_equal(intervals_all(p).n, 2);
	assert_int_equal(count_of(p), 2); /* 90 and 91 */
}

static void the_oldest_go_when_the_file_is_too_large(void **state)
{
	static const struct store_limits small = { .bytes = 1 << 20 };
	struct place *p = *state;
	uint64_t bytes;

	open_store(p);
	for (uint64_t i = 0; i < 40000; i += 4) {
		put(p, bind_ok(.port = 80, .seq = i + 1, .pid = (uint32_t)(i / 4000 + 1)));
		put(p,
		    listen_ok(.port = 80, .seq = i + 2, .socket_id = i + 1, .pid = (uint32_t)(i / 4000 + 1)));
		put(p, bind_failed(.port = 80, .seq = i + 3, .error = EADDRINUSE, .code = "listener"));
		put(p, release_of(.port = 80, .seq = i + 4, .socket_id = i + 1,
				  .pid = (uint32_t)(i / 4000 + 1)));
		views_free();
	}
	commit(p);
	assert_int_equal(store_bytes(p->store, &bytes), 0);
	assert_true(bytes > small.bytes);
	retain_all(p, &small, 0);
	assert_int_equal(store_bytes(p->store, &bytes), 0);
	assert_true(bytes <= small.bytes);
	assert_true(count_of(p) > 1000);
}

/* ---- going on with a stream ---- */

static struct session session_pinned(uint64_t ring)
{
	struct session s = session_named("aaaaaaaaaaaaaaaa", "boot");

	s.ring = ring;
	s.sk_mask = 0xff00;
	return s;
}

struct held {
	struct store_held list[8];
	size_t n;
};

static int held_keep(void *arg, const struct store_held *h)
{
	struct held *all = arg;

	assert_true(all->n < ARRAY_SIZE(all->list));
	all->list[all->n++] = *h;
	return 0;
}

/* @v is of the kernel's socket @sk, tracked since @tracked_ns. */
static void put_tracked(struct place *p, const struct view *v, uint64_t sk, uint64_t tracked_ns)
{
	struct record rec = *v->rec;
	struct view with = *v;

	rec.sk = sk;
	rec.tracked_ns = tracked_ns;
	with.rec = &rec;
	put(p, &with);
}

static struct store_left left_of(struct place *p, const char *stream)
{
	struct store_left left;

	p->store = store_close(p->store);
	assert_int_equal(store_open_read(p->path, &p->store), 0);
	assert_int_equal(store_left(p->store, stream, &left), 0);
	return left;
}

static void the_place_in_the_ring_is_committed_with_the_events(void **state)
{
	const struct session now = session_pinned(77);
	struct place *p = *state;
	struct store_left left;

	open_store(p);
	put(p, view_of(.action = ACTION_START, .seq = 1, .session = &now));
	assert_int_equal(store_place(p->store, 77, 1000), 0);
	commit(p);
	put(p, listen_ok(.port = 80, .seq = 2, .session = &now));
	assert_int_equal(store_place(p->store, 77, 2000), 0);
	left = left_of(p, now.stream); /* what was not committed is gone, both of it */
	assert_int_equal(left.seq, 1);
	assert_int_equal(left.ring, 77);
	assert_int_equal(left.position, 1000);
	assert_false(left.synced);
}

static void what_is_held_is_known_by_the_kernels_socket(void **state)
{
	const struct session now = session_pinned(77);
	struct held all = { .n = 0 };
	struct place *p = *state;

	open_store(p);
	put_tracked(p, bind_ok(.port = 80, .seq = 1, .session = &now), 0x1234, 5);
	put_tracked(p, listen_ok(.port = 80, .seq = 2, .socket_id = 1, .session = &now), 0x1234, 5);
	put_tracked(p, listen_ok(.port = 81, .seq = 3, .session = &now), 0x5678, 6);
	put_tracked(p, release_of(.port = 81, .seq = 4, .socket_id = 3, .session = &now), 0x5678, 6);
	put(p, view_of(.action = ACTION_SYNCED, .seq = 5, .session = &now));
	commit(p);
	assert_true(left_of(p, now.stream).synced);
	assert_int_equal(store_held(p->store, held_keep, &all), 0);
	assert_int_equal(all.n, 1);
	assert_int_equal(all.list[0].sk, 0x1234 ^ 0xff00); /* the address itself is not on disk */
	assert_int_equal(all.list[0].tracked_ns, 5);
	assert_int_equal(all.list[0].interval.listened, 2);
}

static void another_ring_tracks_the_same_sockets_since_another_moment(void **state)
{
	const struct session before = session_pinned(77), after = session_pinned(78);
	struct held all = { .n = 0 };
	struct place *p = *state;

	open_store(p);
	put_tracked(p, listen_ok(.port = 80, .seq = 1, .session = &before), 0x1234, 5);
	commit(p);
	put_tracked(p, listen_ok(.port = 81, .seq = 2, .session = &after), 0x5678, 9);
	commit(p);
	(void)left_of(p, after.stream);
	assert_int_equal(store_held(p->store, held_keep, &all), 0);
	assert_int_equal(all.n, 2);
	assert_int_equal(all.list[0].tracked_ns, 0);
	assert_int_equal(all.list[1].tracked_ns, 9);
}

struct sums {
	uint64_t binds, hooks;
};

static void loss_add(void *arg, enum lost_where where, enum action action, uint64_t count)
{
	struct sums *sums = arg;

	if (where == LOST_RING && action == ACTION_BIND)
		sums->binds += count;
	if (where == LOST_HOOK)
		sums->hooks += count;
}

static void what_was_told_as_lost_is_summed_up(void **state)
{
	const struct session now = session_pinned(77);
	struct sums sums = { 0 };
	struct place *p = *state;

	open_store(p);
	for (uint64_t seq = 1; seq <= 3; seq++)
		put(p, view_of(.action = ACTION_LOST, .seq = seq, .count = 10 * seq, .where_lost = LOST_RING,
			       .action_lost = ACTION_BIND, .session = &now));
	put(p,
	    view_of(.action = ACTION_LOST, .seq = 4, .count = 7, .where_lost = LOST_HOOK, .session = &now));
	commit(p);
	(void)left_of(p, now.stream);
	assert_int_equal(store_losses(p->store, loss_add, &sums), 0);
	assert_int_equal(sums.binds, 60);
	assert_int_equal(sums.hooks, 7);
}

static void a_stream_that_another_came_after_is_not_gone_on_with(void **state)
{
	const struct session pinned = session_pinned(77), other = session_named("bbbbbbbbbbbbbbbb", "boot");
	struct place *p = *state;
	struct store_left left;

	open_store(p);
	put(p, listen_ok(.port = 80, .seq = 1, .session = &pinned));
	put(p, listen_ok(.port = 80, .seq = 1, .session = &other));
	commit(p);
	assert_int_equal(store_left(p->store, pinned.stream, &left), -ENOENT);
	assert_int_equal(store_left(p->store, "cccccccccccccccc", &left), -ENOENT);
	assert_int_equal(store_left(p->store, other.stream, &left), 0);
	assert_int_equal(left.ring, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(every_field_of_actions_comes_back),
		TEST(every_field_of_holders_comes_back),
		TEST(every_field_of_failures_comes_back),
		TEST(every_field_of_hostile_comes_back),
		TEST(every_field_of_long_comes_back),
		TEST(every_field_of_surroundings_comes_back),
		TEST(every_member_of_a_record_comes_back),
		TEST(only_owner_and_group_may_read_it),
		TEST(what_is_no_database_is_left_as_it_is),
		TEST(a_folder_is_no_store),
		TEST(a_store_that_is_not_there_is_not_made_by_a_reader),
		TEST(a_newer_versions_store_is_refused),
		TEST(a_store_of_version_1_is_brought_up_to_date),
		TEST(another_programs_database_is_refused),
		TEST(a_new_store_is_there_as_a_whole),
		TEST(a_damaged_store_gets_out_of_the_way_with_its_journal),
		TEST(a_file_of_somebody_else_is_not_moved),
		TEST(a_store_without_its_tables_is_damaged),
		TEST(a_file_that_was_moved_is_noticed),
		TEST(a_bind_a_listen_and_a_release_are_one_interval),
		TEST(a_port_is_found_in_every_block_of_ids),
		TEST(a_walk_ends_with_what_is_there_and_keeps_no_journal),
		TEST(an_interval_is_found_in_every_block_of_ids),
		TEST(a_handoff_begins_an_interval_of_the_same_socket),
		TEST(what_a_killed_recorder_left_open_is_closed_by_the_next),
		TEST(what_a_stopped_recorder_left_open_is_closed_by_the_next),
		TEST(what_a_reboot_left_open_is_closed_by_the_next_boot),
		TEST(what_is_rolled_back_can_be_put_again),
		TEST(what_was_committed_is_not_put_twice),
		TEST(a_moment_is_found_by_its_time),
		TEST(how_far_systemd_was_is_known_by_boot),
		TEST(a_moment_is_found_after_a_boot_without_a_clock),
		TEST(of_a_time_that_was_twice_the_later_is_meant),
		TEST(a_run_that_began_in_the_future_is_found_when_the_clock_is_right),
		TEST(a_boot_without_a_clock_does_not_make_the_history_old),
		TEST(a_clock_far_ahead_does_not_make_the_history_old),
		TEST(a_clock_that_was_set_before_retention_is_looked_at_does_not_either),
		TEST(an_id_is_used_once),
		TEST(failures_and_listens_outlive_the_rest),
		TEST(what_was_held_long_goes_when_it_is_let_go),
		TEST(the_oldest_go_when_the_file_is_too_large),
		TEST(the_place_in_the_ring_is_committed_with_the_events),
		TEST(what_is_held_is_known_by_the_kernels_socket),
		TEST(another_ring_tracks_the_same_sockets_since_another_moment),
		TEST(what_was_told_as_lost_is_summed_up),
		TEST(a_stream_that_another_came_after_is_not_gone_on_with),
	};
#undef TEST

	return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
