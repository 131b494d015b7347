/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Names of users and services. Each file is kept whole in memory, cut into words in place, with a sorted list of numbers
 * beside it: a number that has no name costs a search, not a read.
 */
#include "enrich/names.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "util/cleanup.h"
#include "util/parse.h"

#define CHECK_NS 1000000000ull
#define FILE_MAX (8 << 20)

struct row {
	uint32_t number;
	const char *name; /* in the table's text */
};

struct table {
	const char *path; /* below the root */
	/* Find number and name in a line (cut up as needed); false: there is none in it. */
	bool (*parse)(char *line, struct row *ret);
	char *text;
	struct row *rows;
	size_t n, room;
	struct stat seen;
	uint64_t checked_ns;
	bool checked;
};

struct names {
	int root_fd;
	struct table users;
	struct table services;
};

/* name:password:uid:... A line of "+" asks for a name service, which we have none of. */
static bool parse_user(char *line, struct row *ret)
{
	const char *name = strsep(&line, ":");
	const char *uid;

	strsep(&line, ":");
	uid = strsep(&line, ":");
	if (!uid || !name[0] || name[0] == '+' || name[0] == '-')
		return false;
	ret->name = name;
	return !parse_u32(uid, &ret->number);
}

static uint32_t service_number(uint16_t port, bool udp)
{
	return (uint32_t)udp << 16 | port;
}

/* name port/protocol aliases # comment */
static bool parse_service(char *line, struct row *ret)
{
	char *save = NULL, *name, *port, *slash;
	uint16_t number;

	line[strcspn(line, "#")] = '\0';
	name = strtok_r(line, " \t\r", &save);
	port = strtok_r(NULL, " \t\r", &save);
	slash = port ? strchr(port, '/') : NULL;
	if (!slash || (strcmp(slash, "/tcp") && strcmp(slash, "/udp")))
		return false;
	*slash = '\0';
	if (parse_port(port, &number))
		return false;
	*ret = (struct row){ service_number(number, slash[1] == 'u'), name };
	return true;
}

/* By number; of two names the one that stands first in the file. */
static int row_compare(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	if (x->number != y->number)
		return x->number < y->number ? -1 : 1;
	return x->name < y->name ? -1 : x->name > y->name;
}

static void table_clear(struct table *t)
{
	free(t->text);
	free(t->rows);
	t->text = NULL;
	t->rows = NULL;
	t->n = t->room = 0;
}

static bool table_add(struct table *t, const struct row *row)
{
	size_t room = t->room ? t->room * 2 : 64;
	struct row *rows;

	if (t->n == t->room) {
		rows = reallocarray(t->rows, room, sizeof(*rows));
		if (!rows)
			return false;
		t->rows = rows;
		t->room = room;
	}
	t->rows[t->n++] = *row;
	return true;
}

static char *read_text(int root_fd, const char *path, const struct stat *st)
{
	auto_close int fd = openat(root_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	auto_free char *text = NULL;
	ssize_t n;

	if (fd < 0 || !S_ISREG(st->st_mode) || st->st_size > FILE_MAX)
		return NULL;
	text = malloc((size_t)st->st_size + 1);
	if (!text)
		return NULL;
	n = read(fd, text, (size_t)st->st_size);
	if (n < 0)
		return NULL;
	text[n] = '\0';
	return take(text);
}

static void table_load(struct table *t, int root_fd)
{
	struct row row;
	char *rest, *line;

	table_clear(t);
	t->text = read_text(root_fd, t->path, &t->seen);
	rest = t->text;
	while (rest && (line = strsep(&rest, "\n"))) {
		if (t->parse(line, &row) && !table_add(t, &row))
			break; /* out of memory: the names read so far are still right */
	}
	if (t->n)
		qsort(t->rows, t->n, sizeof(*t->rows), row_compare);
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static void table_refresh(struct table *t, int root_fd, uint64_t now_ns)
{
	struct stat st;

	if (t->checked && now_ns - t->checked_ns < CHECK_NS)
		return;
	if (fstatat(root_fd, t->path, &st, 0))
		memset(&st, 0, sizeof(st));
	if (!t->checked || !same_file(&st, &t->seen)) {
		t->seen = st;
		table_load(t, root_fd);
	}
	t->checked = true;
	t->checked_ns = now_ns;
}

static const char *table_find(const struct table *t, uint32_t number)
{
	size_t low = 0, high = t->n;

	while (low < high) { /* the first row that is not smaller */
		size_t mid = low + (high - low) / 2;

		if (t->rows[mid].number < number)
			low = mid + 1;
		else
			high = mid;
	}
	return low < t->n && t->rows[low].number == number ? t->rows[low].name : NULL;
}

const char *names_user(struct names *n, uint32_t uid, uint64_t now_ns)
{
	table_refresh(&n->users, n->root_fd, now_ns);
	return table_find(&n->users, uid);
}

const char *names_service(struct names *n, uint16_t port, enum proto proto, uint64_t now_ns)
{
	if (!port || proto == PROTO_NONE)
		return NULL;
	table_refresh(&n->services, n->root_fd, now_ns);
	return table_find(&n->services, service_number(port, proto == PROTO_UDP));
}

struct names *names_free(struct names *n)
{
	if (!n)
		return NULL;
	table_clear(&n->users);
	table_clear(&n->services);
	free(n);
	return NULL;
}

struct names *names_new(int root_fd)
{
	struct names *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->root_fd = root_fd;
	n->users = (struct table){ .path = "etc/passwd", .parse = parse_user };
	n->services = (struct table){ .path = "etc/services", .parse = parse_service };
	return n;
}
