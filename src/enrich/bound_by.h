/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For whom a port is held by one that takes it for others: systemd for what a socket unit starts, Docker's proxy (or its
 * daemon) for a container. Read when such a holder is met, out of unit files and Docker's own; nobody is asked.
 */
#ifndef ENRICH_BOUND_BY_H
#define ENRICH_BOUND_BY_H

#include "core/record.h"
#include "enrich/span.h"

struct bound_table;

/* NULL only when out of memory; @root_fd is borrowed. */
struct bound_table *bound_table_new(int root_fd);
struct bound_table *bound_table_free(struct bound_table *t); /* NULL is fine; always returns NULL */

/*
 * Fill view->bound_by and bound_by of its holders. What they point at stays until the next call. @now_ns: any clock that
 * only goes forward.
 */
void bound_table_fill(struct bound_table *t, struct view *v, uint64_t now_ns);

/* ---- for the readers ---- */

/* One address that is held for somebody. */
struct bound_row {
	struct bound_by who; /* its texts belong to the row */
	enum proto proto;    /* PROTO_NONE: any */
	struct address addr; /* family 0: not said, so a wildcard */
	uint16_t port;
};

struct bound_rows {
	struct bound_row *row;
	size_t n;
};

/* One more row, zeroed, to be filled in; NULL: no room. */
struct bound_row *bound_rows_add(struct bound_rows *rows);

/* "8081", "127.0.0.1:80", "[::1]:80" of a unit file, or an address beside a port. False: no such thing. */
bool bound_row_address(struct bound_row *row, struct span text);

void socket_units_read(int root_fd, struct bound_rows *rows); /* .socket units */
void docker_ports_read(int root_fd, struct bound_rows *rows); /* published ports of containers */

#endif
