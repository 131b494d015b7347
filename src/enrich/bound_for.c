/* SPDX-License-Identifier: GPL-2.0-only */
/* For whom a port is held: systemd's .socket units and docker-proxy's arguments. See bound_for.h. */
#include "enrich/bound_for.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/process.h"
#include "enrich/json_scan.h"
#include "enrich/span.h"
#include "util/cleanup.h"
#include "util/parse.h"

#define UNIT_MAX (64 << 10)     /* bytes of a unit file that are read */
#define ENTRIES_MAX 4096        /* of one folder */
#define CONTAINER_MAX (1 << 20) /* bytes of a container's file */

/* systemd.unit(5): the first of these that has a unit wins. */
static const char *const unit_dirs[] = {
	"etc/systemd/system",     "run/systemd/system", "run/systemd/generator",
	"usr/lib/systemd/system", "lib/systemd/system",
};

/* A whole regular file, terminated, never waiting; NULL: none, or larger than @max. */
static char *read_file(int dir_fd, const char *path, size_t max, size_t *ret_len)
{
	auto_close int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	auto_free char *text = NULL;
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode) || (size_t)st.st_size >= max)
		return NULL;
	text = malloc((size_t)st.st_size + 1);
	n = text ? read(fd, text, (size_t)st.st_size) : -1;
	if (n < 0)
		return NULL;
	text[n] = '\0';
	*ret_len = (size_t)n;
	return take(text);
}

/* ---- .socket units ---- */

bool listen_names_port(const char *value, uint16_t port)
{
	const char *colon = strrchr(value, ':');
	uint16_t named;

	if (*value == '/' || *value == '@')
		return false;
	return !parse_port(colon ? colon + 1 : value, &named) && named == port;
}

struct socket_unit {
	const struct holder *h;
	bool listens; /* on the port of h */
	char service[BOUND_FOR_MAX];
};

/* The value of "Key=value" when @line begins with @key, else NULL. Spaces may stand around the sign. */
static char *value_of(char *line, const char *key)
{
	size_t len = strlen(key);

	if (strncmp(line, key, len) != 0)
		return NULL;
	line += len;
	line += strspn(line, " \t");
	if (*line != '=')
		return NULL;
	line++;
	line += strspn(line, " \t");
	line[strcspn(line, " \t\r")] = '\0';
	return line;
}

static void unit_line(struct socket_unit *u, char *line)
{
	const char *key = u->h->proto == PROTO_UDP ? "ListenDatagram" : "ListenStream";
	char *value = value_of(line, key);

	if (value && !*value) /* an empty one takes back what was said before */
		u->listens = false;
	else if (value && listen_names_port(value, u->h->port))
		u->listens = true;
	value = value_of(line, "Service");
	if (value)
		snprintf(u->service, sizeof(u->service), "%s", value);
	value = value_of(line, "Accept");
	if (value && (!strcasecmp(value, "yes") || !strcasecmp(value, "true") || !strcmp(value, "1")))
		u->service[0] = '\0'; /* a service for each connection */
}

static void unit_read(struct socket_unit *u, int dir_fd, const char *path)
{
	size_t len;
	auto_free char *text = read_file(dir_fd, path, UNIT_MAX, &len);
	char *line, *rest = text;

	while (text && (line = strsep(&rest, "\n")))
		unit_line(u, line + strspn(line, " \t"));
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	return len > end_len && !strcmp(text + len - end_len, end);
}

static int is_drop_in(const struct dirent *d)
{
	return ends_with(d->d_name, ".conf");
}

/* web.socket.d/NAME.conf of every folder, by name. */
static void drop_ins_read(struct socket_unit *u, int root_fd, const char *name)
{
	for (size_t i = ARRAY_SIZE(unit_dirs); i--;) {
		struct dirent **list = NULL;
		char path[512];
		int n;

		snprintf(path, sizeof(path), "%s/%s.d", unit_dirs[i], name);
		n = scandirat(root_fd, path, &list, is_drop_in, by_name);
		for (int k = 0; k < n; k++) {
			char file[800];

			snprintf(file, sizeof(file), "%s/%s", path, list[k]->d_name);
			unit_read(u, root_fd, file);
			free(list[k]);
		}
		free(list);
	}
}

static bool unit_matches(int root_fd, const char *dir, const char *name, const struct holder *h,
			 struct bound_for *ret)
{
	struct socket_unit u = { .h = h };
	char path[512];

	/* Without Service= it is the one of the same name. */
	snprintf(u.service, sizeof(u.service), "%.*s.service", (int)(strlen(name) - strlen(".socket")), name);
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	unit_read(&u, root_fd, path);
	drop_ins_read(&u, root_fd, name);
	if (!u.listens)
		return false;
	snprintf(ret->unit, sizeof(ret->unit), "%s", name);
	snprintf(ret->service, sizeof(ret->service), "%s", u.service);
	return true;
}

static bool unit_find_in(int root_fd, const char *dir, const struct holder *h, struct bound_for *ret)
{
	int fd = openat(root_fd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	bool found = false;

	if (!d)
		return false;
	for (int i = 0; i < ENTRIES_MAX && !found && (entry = readdir(d)); i++)
		if (ends_with(entry->d_name, ".socket") && strlen(entry->d_name) < BOUND_FOR_MAX)
			found = unit_matches(root_fd, dir, entry->d_name, h, ret);
	closedir(d);
	return found;
}

static void unit_find(int root_fd, const struct holder *h, struct bound_for *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(unit_dirs) && !ret->unit[0]; i++)
		unit_find_in(root_fd, unit_dirs[i], h, ret);
}

/* ---- docker-proxy -proto tcp -host-ip 0.0.0.0 -host-port 8080 -container-ip 172.17.0.2 -container-port 80 ---- */

/* The argument after @name, terminated; NULL: there is none. */
static const char *argument_of(const struct process *p, const char *name)
{
	const char *end = p->args + p->args_len;

	for (const char *a = p->args; a < end;) {
		size_t len = strnlen(a, (size_t)(end - a));
		const char *next = a + len + 1;

		if (len == strlen(name) && !memcmp(a, name, len) && next < end &&
		    memchr(next, '\0', (size_t)(end - next)))
			return next;
		a = next;
	}
	return NULL;
}

/* Is "IPAddress" of any of its networks @ip? Then its name. */
static bool container_has_ip(int root_fd, const char *id, const char *ip, char *ret_name)
{
	struct json_scan scan = { 0 };
	auto_free char *text = NULL;
	struct span value, name = { 0 };
	bool found = false;
	char path[512];
	size_t len = 0;

	snprintf(path, sizeof(path), "var/lib/docker/containers/%s/config.v2.json", id);
	text = read_file(root_fd, path, CONTAINER_MAX, &len);
	if (!text)
		return false;
	scan.at = text;
	scan.end = text + len;
	while (json_scan_next(&scan, &value)) {
		if (span_is(scan.key, "IPAddress") && span_is(value, ip))
			found = true;
		if (scan.depth == 1 && span_is(scan.key, "Name"))
			name = value;
	}
	cut_prefix(&name, "/");
	if (!found || !name.len)
		return false;
	snprintf(ret_name, BOUND_FOR_MAX, "%.*s", (int)name.len, name.at);
	return true;
}

static void container_find(int root_fd, const struct process *p, struct bound_for *ret)
{
	const char *ip = argument_of(p, "-container-ip");
	int fd =
		openat(root_fd, "var/lib/docker/containers", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	bool found = false;

	if (ip)
		snprintf(ret->container, sizeof(ret->container), "%s", ip);
	for (int i = 0; d && ip && i < ENTRIES_MAX && !found && (entry = readdir(d)); i++)
		if (entry->d_name[0] != '.')
			found = container_has_ip(root_fd, entry->d_name, ip, ret->container);
	if (d)
		closedir(d);
}

void bound_for_find(int root_fd, const struct holder *h, struct bound_for *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (h->pid == 1 || !strncmp(h->comm, "systemd", sizeof(h->comm)))
		unit_find(root_fd, h, ret);
	else if (!strncmp(h->comm, "docker-proxy", sizeof(h->comm)) && h->process && h->process->args)
		container_find(root_fd, h->process, ret);
}
