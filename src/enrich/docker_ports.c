/* SPDX-License-Identifier: GPL-2.0-only */
/* Which container a port is published for, out of Docker's own file of each container. */
#include <fcntl.h>
#include <stdio.h>

#include "enrich/bound_by.h"
#include "enrich/files.h"
#include "enrich/json_scan.h"
#include "util/cleanup.h"
#include "util/parse.h"

#define CONTAINER_FILE_MAX (1 << 20)
#define CONTAINERS_MAX 1024
#define DOCKER_DIR "var/lib/docker/containers"

struct reading {
	int root_fd;
	struct bound_rows *rows;
};

static bool port_of(struct span s, uint16_t *ret)
{
	char text[6];

	if (!s.len || s.len >= sizeof(text))
		return false;
	snprintf(text, sizeof(text), "%.*s", (int)s.len, s.at);
	return !parse_port(text, ret) && *ret;
}

/* NetworkSettings.Ports: {"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"8080"}]}, five brackets deep; Name is in the first. */
static void ports_scan(struct reading *r, struct span text, struct span *ret_name)
{
	struct json_scan scan = { .at = text.at, .end = text.at + text.len };
	struct span value, ip = { 0 };

	while (json_scan_next(&scan, &value)) {
		struct bound_row *row, found = { 0 };

		if (scan.depth == 1 && span_is(scan.key, "Name"))
			*ret_name = value;
		else if (scan.depth == 5 && span_is(scan.key, "HostIp"))
			ip = value;
		if (scan.depth != 5 || !span_is(scan.key, "HostPort") || !port_of(value, &found.port))
			continue;
		if (ip.len && !bound_row_address(&found, ip))
			continue;
		row = bound_rows_add(r->rows);
		if (!row)
			return;
		*row = found;
	}
}

static bool container_read(void *arg, const char *id)
{
	struct reading *r = arg;
	auto_free char *text = NULL;
	struct span name = { 0 };
	size_t first = r->rows->n, len;
	char path[512];

	if (!is_hex((struct span){ id, strlen(id) }, 64))
		return false;
	snprintf(path, sizeof(path), DOCKER_DIR "/%s/config.v2.json", id);
	if (file_read(r->root_fd, path, O_NOFOLLOW, CONTAINER_FILE_MAX, &text, &len))
		return false;
	ports_scan(r, (struct span){ text, len }, &name);
	cut_prefix(&name, "/");
	for (size_t i = first; i < r->rows->n; i++) {
		r->rows->row[i].who.container_id = strdup(id);
		/* A name that would need escapes is none of Docker's. */
		if (name.len && !memchr(name.at, '\\', name.len))
			r->rows->row[i].who.container_name = span_dup(name);
	}
	return false;
}

void docker_ports_read(int root_fd, struct bound_rows *rows)
{
	struct reading r = { root_fd, rows };

	dir_walk(root_fd, DOCKER_DIR, CONTAINERS_MAX, container_read, &r);
}
