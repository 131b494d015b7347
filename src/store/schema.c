/* SPDX-License-Identifier: GPL-2.0-only */
/* The tables, and how a database of an older version becomes one of this. docs/history.md explains them. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/explain.h"
#include "core/field.h"
#include "store/state.h"
#include "util/cleanup.h"
#include "util/fail.h"

#define APPLICATION_ID 0x706f7274 /* "port": file(1) and we know whose database it is */
#define TO_TEXT(x) #x
#define APPLICATION_ID_TEXT(x) TO_TEXT(x)

/* clang-format off */
static const char tables_1[] =
	/* Numbers of this file's words. errno is the kernel's number. */
	"CREATE TABLE words(kind TEXT, id INTEGER, word TEXT NOT NULL, PRIMARY KEY(kind, id)) WITHOUT ROWID;"
	/* A run of the recorder. first: records.id - seq. offset: wall clock minus boot clock, ns, at its start. */
	"CREATE TABLE streams(id INTEGER PRIMARY KEY, stream TEXT UNIQUE, boot_id TEXT, hostname TEXT, version TEXT,"
	" kernel TEXT, hooks TEXT, blind TEXT, host_netns INTEGER, first INTEGER NOT NULL, offset INTEGER NOT NULL);"
	"CREATE TABLE names(id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL);"
	"CREATE TABLE addresses(id INTEGER PRIMARY KEY, family INTEGER, addr TEXT, UNIQUE(family, addr));"
	"CREATE TABLE namespaces(id INTEGER PRIMARY KEY, inode INTEGER, name TEXT, UNIQUE(inode, name));"
	/* A process at a time: one that moves to another cgroup has another row. start: boot clock, ns. */
	"CREATE TABLE processes(id INTEGER PRIMARY KEY, pid INTEGER, start INTEGER, exec_id INTEGER, ppid INTEGER,"
	" uid INTEGER, gid INTEGER, cgroup_id INTEGER, comm TEXT, user TEXT, exe TEXT, args BLOB, cut INTEGER, cgroup TEXT,"
	" unit TEXT, container_id TEXT, container_runtime TEXT, container_name TEXT, pod_uid TEXT, pod_name TEXT,"
	" pod_namespace TEXT);"
	/*
	 * time: wall clock, ns. drift: how far wall clock minus boot clock is from the stream's offset. age: ns since the
	 * port was taken. socket: first record of the socket, NULL: this one. sides: which tables have more of it.
	 */
	"CREATE TABLE records(id INTEGER PRIMARY KEY, stream INTEGER, time INTEGER, drift INTEGER, action INTEGER,"
	" flags INTEGER, sides INTEGER, socket INTEGER, process INTEGER, age INTEGER,"
	" errno INTEGER, proto INTEGER, family INTEGER, addr INTEGER, port INTEGER, cookie INTEGER, inode INTEGER,"
	" options INTEGER, sock_uid INTEGER, backlog INTEGER, state INTEGER, via INTEGER, precision INTEGER,"
	" netns INTEGER, service INTEGER);"
	/* Where to look for a time: a record in every few hundred, and wherever the clock went back. */
	"CREATE TABLE moments(time INTEGER, id INTEGER, PRIMARY KEY(time, id)) WITHOUT ROWID;"
	"CREATE INDEX records_port ON records(port) WHERE port IS NOT NULL;"
	"CREATE TABLE details(record INTEGER PRIMARY KEY, tid INTEGER, asked_addr INTEGER, asked_port INTEGER,"
	" bound_addr INTEGER, bound_port INTEGER, iface TEXT, ifindex INTEGER, closed_by INTEGER, closed_by_comm TEXT,"
	" held INTEGER, lingered INTEGER, reason INTEGER, kind INTEGER,"
	" l3mdev INTEGER, expires INTEGER, owners_count INTEGER);"
	"CREATE TABLE counts(record INTEGER PRIMARY KEY, count INTEGER, took_us INTEGER, lost_where INTEGER,"
	" lost_action INTEGER, added INTEGER, removed INTEGER, kept INTEGER, told INTEGER, lost INTEGER, hidden INTEGER,"
	" clock_old INTEGER, clock_new INTEGER);"
	"CREATE TABLE failures(record INTEGER PRIMARY KEY, code INTEGER, reason TEXT, hint TEXT);"
	"CREATE TABLE holders(record INTEGER, rank INTEGER, process INTEGER, flags INTEGER, kind INTEGER, proto INTEGER,"
	" modifiers INTEGER, options INTEGER, cookie INTEGER, inode INTEGER, since INTEGER, precision INTEGER,"
	" expires INTEGER, addr INTEGER, port INTEGER, family INTEGER, state INTEGER, sock_uid INTEGER,"
	" owners_count INTEGER, ifindex INTEGER, l3mdev INTEGER, PRIMARY KEY(record, rank)) WITHOUT ROWID;"
	"CREATE TABLE owners(record INTEGER, rank INTEGER, process INTEGER, PRIMARY KEY(record, rank)) WITHOUT ROWID;"
	/* Who held a port: ids of records. closed NULL: still held. socket NULL: opened is its first record. */
	"CREATE TABLE intervals(opened INTEGER PRIMARY KEY, socket INTEGER, listened INTEGER, closed INTEGER, ended INTEGER,"
	" port INTEGER, udp INTEGER, netns INTEGER);"
	"CREATE INDEX intervals_port ON intervals(port, closed);"
	/* How far retention has come: ids of records. See retain.c. */
	"CREATE TABLE marks(name TEXT PRIMARY KEY, id INTEGER) WITHOUT ROWID;"
	"CREATE TRIGGER records_gone AFTER DELETE ON records WHEN old.sides BEGIN"
	" DELETE FROM details WHERE old.sides & 1 AND record = old.id;"
	" DELETE FROM counts WHERE old.sides & 2 AND record = old.id;"
	" DELETE FROM failures WHERE old.sides & 4 AND record = old.id;"
	" DELETE FROM holders WHERE old.sides & 8 AND record = old.id;"
	" DELETE FROM owners WHERE old.sides & 16 AND record = old.id; END;";

/* For people with a shell: words instead of numbers, times as text (UTC). */
#define WORD(kind, id) "(SELECT word FROM words WHERE kind = '" kind "' AND id = " id ")"
#define MOMENT(ns) "strftime('%Y-%m-%dT%H:%M:%fZ', (" ns ") / 1000000000.0, 'unixepoch')"
#define PLAIN_ARGS(p) "trim(replace(CAST(" p ".args AS TEXT), char(0), ' '))"
static const char views_1[] =
	"CREATE VIEW events AS SELECT r.id, " MOMENT("r.time") " AS time, " WORD("action", "r.action") " AS action,"
	" iif(coalesce(r.errno, 0) = 0, 'ok', 'error') AS result, " WORD("errno", "r.errno") " AS errno,"
	" (SELECT name FROM names WHERE id = f.code) AS reason_code, " WORD("proto", "r.proto") " AS proto,"
	" a.addr, r.port, n.name AS netns, n.inode AS netns_id, coalesce(r.socket, iif(r.port IS NULL, NULL, r.id)) AS socket,"
	" p.pid, p.comm, p.uid, p.user, p.exe, " PLAIN_ARGS("p") " AS args, p.unit, p.container_name AS container,"
	" f.reason, f.hint, s.boot_id"
	" FROM records r JOIN streams s ON s.id = r.stream LEFT JOIN processes p ON p.id = r.process"
	" LEFT JOIN addresses a ON a.id = r.addr LEFT JOIN namespaces n ON n.id = r.netns"
	" LEFT JOIN failures f ON f.record = r.id;"
	"CREATE VIEW ownership AS SELECT i.opened AS id, " WORD("proto", "r.proto") " AS proto, a.addr, i.port, n.name AS netns,"
	" p.pid, p.comm, p.user, p.unit, p.container_name AS container,"
	" " MOMENT("r.time - coalesce(r.age, 0)") " AS since, " WORD("precision", "r.precision") " AS since_precision,"
	" " MOMENT("c.time") " AS until, " WORD("ended", "i.ended") " AS ended,"
	" (c.time - r.time + coalesce(r.age, 0)) / 1000000000.0 AS seconds, i.listened IS NOT NULL OR r.action ="
	" (SELECT id FROM words WHERE kind = 'action' AND word = 'listen') AS listened, i.closed"
	" FROM intervals i JOIN records r ON r.id = i.opened LEFT JOIN records c ON c.id = i.closed"
	" LEFT JOIN processes p ON p.id = r.process LEFT JOIN addresses a ON a.id = r.addr"
	" LEFT JOIN namespaces n ON n.id = i.netns;"
	"CREATE VIEW clashes AS SELECT r.id, " MOMENT("r.time") " AS time, " WORD("action", "r.action") " AS action,"
	" " WORD("errno", "r.errno") " AS errno, " WORD("proto", "r.proto") " AS proto, a.addr, r.port, n.name AS netns,"
	" p.pid, p.comm, p.user, p.unit, " WORD("holder", "h.kind") " AS holder_kind, o.pid AS holder_pid,"
	" o.comm AS holder_comm, o.unit AS holder_unit, f.reason, f.hint"
	" FROM failures f JOIN records r ON r.id = f.record LEFT JOIN holders h ON h.record = r.id AND h.rank = 0"
	" LEFT JOIN processes p ON p.id = r.process LEFT JOIN processes o ON o.id = h.process"
	" LEFT JOIN addresses a ON a.id = r.addr LEFT JOIN namespaces n ON n.id = r.netns"
	" WHERE r.errno IN (SELECT id FROM words WHERE kind = 'errno' AND word = 'EADDRINUSE');";

/* For whom a process holds its port: of the event itself (rank 0), of its holders (1 and up). All are ids of names. */
static const char tables_2[] =
	"CREATE TABLE bound_by(record INTEGER, rank INTEGER, kind INTEGER, unit INTEGER, service INTEGER,"
	" container_id INTEGER, container_name INTEGER, PRIMARY KEY(record, rank)) WITHOUT ROWID;"
	"CREATE TRIGGER bound_by_gone AFTER DELETE ON records WHEN old.sides & 32 BEGIN"
	" DELETE FROM bound_by WHERE record = old.id; END;";

/* How far systemd was, by boot: boot clock, ns; 0: not known, or not so far yet. */
static const char tables_3[] =
	"CREATE TABLE boots(boot_id TEXT PRIMARY KEY, userspace INTEGER NOT NULL, sysinit INTEGER NOT NULL,"
	" network INTEGER NOT NULL, finished INTEGER NOT NULL) WITHOUT ROWID;";

/*
 * Hooks that outlive their recorder. ring, position: how far which ring had been read when what is here was committed. sk,
 * tracked: which socket of the kernel an open interval is of (its address, by a mask that goes with the hooks). losses: told
 * in all of a stream, also by records that retention has taken.
 */
static const char tables_4[] =
	"ALTER TABLE streams ADD COLUMN ring INTEGER; ALTER TABLE streams ADD COLUMN position INTEGER;"
	"ALTER TABLE intervals ADD COLUMN sk INTEGER; ALTER TABLE intervals ADD COLUMN tracked INTEGER;"
	"CREATE TABLE losses(stream INTEGER, lost_where INTEGER, lost_action INTEGER, count INTEGER NOT NULL,"
	" PRIMARY KEY(stream, lost_where, lost_action)) WITHOUT ROWID;";

/* By port within a block of ids: see state.h. */
static const char indexes_5[] =
	"DROP INDEX records_port; CREATE INDEX records_port ON records(" BLOCK_OF("id") ", port) WHERE port IS NOT NULL;"
	"DROP INDEX intervals_port; CREATE INDEX intervals_port ON intervals(" BLOCK_OF("opened") ", port, closed);";

/* From version n to n + 1: append only, files of every version exist. */
static const char *const migrations[][3] = {
	{ tables_1, views_1, NULL },
	{ tables_2, NULL },
	{ tables_3, NULL },
	{ tables_4, NULL },
	{ indexes_5, NULL },
};
/* clang-format on */

#define SCHEMA_VERSION ((int64_t)ARRAY_SIZE(migrations))

static int newer_fail(struct store *s, int64_t version)
{
	fail_text(-EPROTO, "%s was made by a newer portlog (version %lld of its tables; this one knows %lld)",
		  db_path(s->db), (long long)version, (long long)SCHEMA_VERSION);
	return fail_hint(-EPROTO, "nothing was changed; update portlog, or give another file: --store FILE");
}

/* *ret_version: of its tables; 0: it is empty. */
static int schema_version(struct store *s, int64_t *ret_version)
{
	int64_t application, objects;
	int r;

	r = db_number(s->db, "PRAGMA application_id", &application);
	if (!r)
		r = db_number(s->db, "PRAGMA user_version", ret_version);
	if (!r)
		r = db_number(s->db, "SELECT count(*) FROM sqlite_schema", &objects);
	if (r)
		return r;
	if (application != APPLICATION_ID && (application || objects)) {
		fail_text(-EPROTO, "%s is a database of another program", db_path(s->db));
		return fail_hint(-EPROTO, "nothing was changed; give another file: --store FILE");
	}
	return *ret_version > SCHEMA_VERSION ? newer_fail(s, *ret_version) : 0;
}

static uint32_t be32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* The beginning of a file is enough to say whose it is, whatever has become of the rest (sqlite.org/fileformat2.html). */
bool header_is_ours(const uint8_t header[HEADER_SIZE])
{
	return !memcmp(header, "SQLite format 3", 16) && be32(header + 68) == APPLICATION_ID &&
	       be32(header + 60) <= SCHEMA_VERSION;
}

int schema_known(struct store *s)
{
	int64_t version;

	return schema_version(s, &version);
}

int schema_check(struct store *s)
{
	int64_t version;
	int r = schema_version(s, &version);

	if (r)
		return r;
	if (version == SCHEMA_VERSION)
		return 0;
	if (!version)
		return fail_text(-ENOENT, "%s is empty: nothing has been recorded yet", db_path(s->db));
	fail_text(-EPROTO, "%s was made by an older portlog", db_path(s->db));
	return fail_hint(-EPROTO, "portlog record brings it up to date when it starts");
}

static int migrate(struct store *s, int64_t from)
{
	char version[64];
	int r = 0;

	for (int64_t at = from; at < SCHEMA_VERSION && !r; at++)
		for (size_t i = 0; migrations[at][i] && !r; i++)
			r = db_exec(s->db, migrations[at][i]);
	snprintf(version, sizeof(version), "PRAGMA user_version = %lld", (long long)SCHEMA_VERSION);
	return r ? r : db_exec(s->db, version);
}

/* ---- words ---- */

static const char *action_word(unsigned n)
{
	return n < N_ACTIONS ? action_name((enum action)n) : NULL;
}

static const char *proto_word(unsigned n)
{
	return n <= PROTO_MPTCP ? proto_name((enum proto)n) : NULL;
}

static const char *precision_word(unsigned n)
{
	return n <= SINCE_NOT_AFTER ? precision_name((enum precision)n) : NULL;
}

static const char *via_word(unsigned n)
{
	const char *name = via_name((uint8_t)n);

	return strcmp(name, "unknown") != 0 ? name : NULL;
}

static const char *holder_word(unsigned n)
{
	return n < N_HOLDER_KINDS ? holder_kind_name((enum holder_kind)n) : NULL;
}

static const char *lost_word(unsigned n)
{
	static const char *const names[] = {
		[LOST_RING] = "ring", [LOST_QUEUE] = "queue", [LOST_MAP] = "map", [LOST_HOOK] = "hook"
	};

	return n < ARRAY_SIZE(names) ? names[n] : NULL;
}

const char *ended_name(enum ended ended)
{
	static const char *const names[] = {
		[ENDED_NOT] = "held",        [ENDED_RELEASE] = "release", [ENDED_HANDOFF] = "handoff",
		[ENDED_STOPPED] = "stopped", [ENDED_KILLED] = "killed",   [ENDED_REBOOT] = "reboot",
		[ENDED_LOST] = "lost",
	};

	return names[ended];
}

static const char *ended_word(unsigned n)
{
	return n < N_ENDED ? ended_name((enum ended)n) : NULL;
}

static const struct {
	const char *kind;
	const char *(*word)(unsigned n); /* NULL: there is none of that number */
} vocabularies[N_VOCABULARIES] = {
	[WORDS_ACTION] = { "action", action_word },
	[WORDS_PROTO] = { "proto", proto_word },
	[WORDS_PRECISION] = { "precision", precision_word },
	[WORDS_VIA] = { "via", via_word },
	[WORDS_HOLDER] = { "holder", holder_word },
	[WORDS_LOST] = { "lost", lost_word },
	[WORDS_ENDED] = { "ended", ended_word },
};

static unsigned word_number(enum vocabulary v, const char *word)
{
	for (unsigned n = 1; n < WORDS_MAX; n++) {
		const char *own = vocabularies[v].word(n);

		if (own && !strcmp(own, word))
			return n;
	}
	return 0; /* of another version: not known here */
}

/* What the file has. *ret_max: its largest number. */
static int vocabulary_read(struct store *s, struct query *q, enum vocabulary v, int64_t *ret_max)
{
	size_t len;
	int r;

	*ret_max = 0;
	query_text(q, 0, vocabularies[v].kind, strlen(vocabularies[v].kind));
	while ((r = query_step(q)) == QUERY_ROW) {
		int64_t id = query_get(q, 0);
		const char *word = query_get_text(q, 1, &len);
		unsigned number = word ? word_number(v, word) : 0;

		if (id <= 0 || id >= WORDS_MAX)
			continue;
		if (id > *ret_max)
			*ret_max = id;
		s->from_file[v][id] = (uint8_t)number;
		s->to_file[v][number] = (uint8_t)id;
	}
	s->to_file[v][0] = 0;
	return r;
}

/* Words that the file has not: this version's number if it is not taken, else the next. */
static int vocabulary_add(struct store *s, struct query *q, enum vocabulary v, int64_t max)
{
	int r = 0;

	for (unsigned n = 1; n < WORDS_MAX && !r; n++) {
		const char *word = vocabularies[v].word(n);
		int64_t id = n > max ? (int64_t)n : max + 1;

		if (!word || s->to_file[v][n])
			continue;
		if (id >= WORDS_MAX)
			return fail_text(-EPROTO, "%s has too many words", db_path(s->db));
		query_text(q, 0, vocabularies[v].kind, strlen(vocabularies[v].kind));
		query_int(q, 1, id);
		query_text(q, 2, word, strlen(word));
		r = query_run(q);
		s->to_file[v][n] = (uint8_t)id;
		s->from_file[v][id] = (uint8_t)n;
		max = id;
	}
	return r;
}

int words_load(struct store *s, bool write)
{
	struct query *read, *add = NULL;
	int64_t max;
	int r;

	r = db_prepare(s->db, "SELECT id, word FROM words WHERE kind = ?", &read);
	if (!r && write)
		r = db_prepare(s->db, "INSERT INTO words VALUES(?, ?, ?)", &add);
	for (unsigned v = 0; v < N_VOCABULARIES && !r; v++) {
		r = vocabulary_read(s, read, (enum vocabulary)v, &max);
		if (!r && add)
			r = vocabulary_add(s, add, (enum vocabulary)v, max);
	}
	return r;
}

/* ---- all of it ---- */

/* Who opens it to read finds all or nothing of this. */
static int tables_update(struct store *s)
{
	int64_t version;
	int r = schema_version(s, &version); /* somebody else may have been first */

	if (!r && version < SCHEMA_VERSION)
		r = db_exec(s->db, "PRAGMA application_id = " APPLICATION_ID_TEXT(APPLICATION_ID));
	if (!r && version < SCHEMA_VERSION)
		r = migrate(s, version);
	return r ? r : words_load(s, true);
}

int schema_update(struct store *s)
{
	int64_t version;
	int r = schema_version(s, &version);

	if (r)
		return r;
	/* Both before there is a table; the first takes no effect later. */
	if (!version)
		r = db_exec(s->db, "PRAGMA auto_vacuum = INCREMENTAL");
	if (!r)
		r = db_exec(s->db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
				   "PRAGMA journal_size_limit = 16777216;"
				   "PRAGMA cache_size = -4000; PRAGMA wal_autocheckpoint = 4000;"
				   "BEGIN IMMEDIATE");
	if (!r)
		r = tables_update(s);
	if (!r)
		r = db_exec(s->db, "COMMIT");
	if (r && db_in_transaction(s->db))
		(void)db_exec(s->db, "ROLLBACK"); /* the story is the first error's */
	return r;
}
