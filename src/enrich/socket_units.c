/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which .socket unit asks systemd for which port, out of the unit files themselves (systemd.socket(5), systemd.unit(5)).
 * systemctl would say it too; but that is a process to wait for, and it asks one that may be the very one in trouble.
 * What specifiers and templates make of a unit is not known to its file, so those are left out.
 */
#include <fcntl.h>
#include <stdio.h>

#include "enrich/bound_by.h"
#include "enrich/files.h"
#include "util/cleanup.h"
#include "util/parse.h"

#define UNIT_FILE_MAX (64 << 10)
#define UNITS_MAX 512
#define ENTRIES_MAX 8192
#define NAME_LEN 256
#define LISTENS_MAX 32

/* Where units are, the ones that win first; what a drop-in says comes after, whichever of them it is in. */
static const char *const unit_dirs[] = {
	"etc/systemd/system.control",  "run/systemd/system.control",   "run/systemd/transient",
	"run/systemd/generator.early", "etc/systemd/system",           "run/systemd/system",
	"run/systemd/generator",       "usr/local/lib/systemd/system", "usr/lib/systemd/system",
	"lib/systemd/system",          "run/systemd/generator.late",
};

struct unit {
	char name[NAME_LEN]; /* without .socket */
	char service[NAME_LEN];
	bool accept; /* a service of its own for each connection */
	struct {
		enum proto proto;
		struct address addr;
		uint16_t port;
	} listen[LISTENS_MAX];
	size_t n;
};

struct reading {
	int root_fd;
	struct bound_rows *rows;
	size_t dir; /* of unit_dirs */
	size_t n_units;
	struct unit *unit; /* under way */
	char path[NAME_LEN + 64];
};

static struct span trimmed(struct span s)
{
	while (s.len && isspace((unsigned char)s.at[0]))
		s = (struct span){ s.at + 1, s.len - 1 };
	while (s.len && isspace((unsigned char)s.at[s.len - 1]))
		s.len--;
	return s;
}

/* "8081", "127.0.0.1:80", "[::1]:80"; paths, sequences of other families and what has a specifier in it are no ports. */
static void unit_listen(struct unit *u, enum proto proto, struct span value)
{
	const char *colon = memrchr(value.at, ':', value.len);
	struct bound_row row = { .proto = proto };
	char port[6];
	size_t len = colon ? (size_t)(value.at + value.len - colon - 1) : value.len;

	if (!value.len) { /* an empty one takes back those before */
		u->n = 0;
		return;
	}
	if (!len || len >= sizeof(port) || u->n == LISTENS_MAX)
		return;
	memcpy(port, value.at + value.len - len, len);
	port[len] = '\0';
	if (parse_port(port, &row.port) || !row.port)
		return;
	if (colon && !bound_row_address(&row, (struct span){ value.at, (size_t)(colon - value.at) }))
		return;
	u->listen[u->n].proto = row.proto;
	u->listen[u->n].addr = row.addr;
	u->listen[u->n++].port = row.port;
}

static bool is_true(struct span value)
{
	return span_is(value, "yes") || span_is(value, "true") || span_is(value, "on") || span_is(value, "1");
}

static void unit_setting(struct unit *u, struct span key, struct span value)
{
	if (span_is(key, "ListenStream"))
		unit_listen(u, PROTO_TCP, value);
	else if (span_is(key, "ListenDatagram"))
		unit_listen(u, PROTO_UDP, value);
	else if (span_is(key, "Accept"))
		u->accept = is_true(value);
	else if (span_is(key, "Service") && value.len < sizeof(u->service))
		snprintf(u->service, sizeof(u->service), "%.*s", (int)value.len, value.at);
}

static void unit_parse(struct unit *u, struct span text)
{
	bool ours = false;

	while (text.len) {
		const char *end = memchr(text.at, '\n', text.len) ?: text.at + text.len;
		struct span line = trimmed((struct span){ text.at, (size_t)(end - text.at) });
		const char *equals = memchr(line.at, '=', line.len);

		if (line.len && line.at[0] == '[')
			ours = span_is(line, "[Socket]");
		else if (ours && equals && line.at[0] != '#' && line.at[0] != ';')
			unit_setting(u, trimmed((struct span){ line.at, (size_t)(equals - line.at) }),
				     trimmed((struct span){ equals + 1,
							    (size_t)(line.at + line.len - equals - 1) }));
		text.len -= (size_t)(end - text.at) + (end < text.at + text.len);
		text.at = end + (text.len > 0);
	}
}

static bool unit_read_file(struct reading *r, const char *path)
{
	auto_free char *text = NULL;
	size_t len;

	if (file_read(r->root_fd, path, 0, UNIT_FILE_MAX, &text, &len))
		return false;
	unit_parse(r->unit, (struct span){ text, len });
	return true;
}

static bool dropin_read(void *arg, const char *name)
{
	struct reading *r = arg;
	char path[2 * NAME_LEN + 128];

	if (cut_suffix(&(struct span){ name, strlen(name) }, ".conf")) {
		snprintf(path, sizeof(path), "%s/%s", r->path, name);
		(void)unit_read_file(r, path);
	}
	return false;
}

static void dropins_read(struct reading *r)
{
	for (size_t i = ARRAY_SIZE(unit_dirs); i-- > 0;) {
		snprintf(r->path, sizeof(r->path), "%s/%s.socket.d", unit_dirs[i], r->unit->name);
		dir_walk(r->root_fd, r->path, UNITS_MAX, dropin_read, r);
	}
}

static void unit_rows(const struct unit *u, struct bound_rows *rows)
{
	for (size_t i = 0; i < u->n; i++) {
		struct bound_row *row = bound_rows_add(rows);
		char *text = NULL;

		if (!row)
			return;
		row->proto = u->listen[i].proto;
		row->addr = u->listen[i].addr;
		row->port = u->listen[i].port;
		row->who.unit = asprintf(&text, "%s.socket", u->name) < 0 ? NULL : text;
		text = NULL;
		if (u->service[0])
			row->who.service = strdup(u->service);
		else
			row->who.service = asprintf(&text, "%s%s.service", u->name, u->accept ? "@" : "") < 0
						   ? NULL
						   : text;
	}
}

/* Is there a file of this name that wins? */
static bool is_shadowed(const struct reading *r, const char *name)
{
	char path[NAME_LEN + 64];

	for (size_t i = 0; i < r->dir; i++) {
		snprintf(path, sizeof(path), "%s/%s", unit_dirs[i], name);
		if (!faccessat(r->root_fd, path, F_OK, AT_SYMLINK_NOFOLLOW))
			return true;
	}
	return false;
}

static bool unit_read(void *arg, const char *name)
{
	struct span s = { name, strlen(name) };
	struct reading *r = arg;
	struct unit u = { 0 };

	if (!cut_suffix(&s, ".socket") || !s.len || s.at[s.len - 1] == '@' || s.len >= NAME_LEN - 16 ||
	    is_shadowed(r, name))
		return false;
	snprintf(u.name, sizeof(u.name), "%.*s", (int)s.len, s.at);
	r->unit = &u;
	snprintf(r->path, sizeof(r->path), "%s/%s", unit_dirs[r->dir], name);
	if (!unit_read_file(r, r->path)) /* masked, or no file */
		return false;
	dropins_read(r);
	unit_rows(&u, r->rows);
	return ++r->n_units >= UNITS_MAX;
}

void socket_units_read(int root_fd, struct bound_rows *rows)
{
	struct reading r = { .root_fd = root_fd, .rows = rows };

	for (r.dir = 0; r.dir < ARRAY_SIZE(unit_dirs) && r.n_units < UNITS_MAX; r.dir++)
		dir_walk(root_fd, unit_dirs[r.dir], ENTRIES_MAX, unit_read, &r);
}
