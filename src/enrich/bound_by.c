/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who holds ports for others, and which row says for whom. Rows are read anew when they are old, or sooner when none
 * fits: a unit that was just started is not in the ones of a second ago.
 */
#include "enrich/bound_by.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "core/process.h"
#include "util/cleanup.h"
#include "util/parse.h"

#define MS 1000000ull
#define KNOWN_NS (5000 * MS)
#define UNKNOWN_NS (100 * MS)
#define ROWS_MAX 4096

/* Who takes ports for others, and where it is said for whom. */
static const struct proxy {
	const char *comm;
	uint32_t pid; /* 0: any */
	const char *kind;
	void (*read)(int root_fd, struct bound_rows *rows);
} proxies[] = {
	{ "systemd", 1, "socket-unit", socket_units_read },
	/* the child that takes the port in the unit's own cgroup and hands it to systemd */
	{ "(sd-listen)", 0, "socket-unit", socket_units_read },
	{ "docker-proxy", 0, "docker", docker_ports_read },
	{ "dockerd", 0, "docker", docker_ports_read },
};

struct bound_table {
	int root_fd;
	struct {
		struct bound_rows rows;
		uint64_t read_ns; /* 0: never */
	} of[ARRAY_SIZE(proxies)];
};

static void rows_done(struct bound_rows *rows)
{
	for (size_t i = 0; i < rows->n; i++) {
		struct bound_by *who = &rows->row[i].who;

		free((void *)who->unit);
		free((void *)who->service);
		free((void *)who->container_id);
		free((void *)who->container_name);
	}
	free(rows->row);
	*rows = (struct bound_rows){ 0 };
}

struct bound_row *bound_rows_add(struct bound_rows *rows)
{
	struct bound_row *more;

	if (rows->n >= ROWS_MAX)
		return NULL;
	if (!(rows->n & (rows->n - 1))) { /* full at each power of two */
		more = realloc(rows->row, (rows->n ? 2 * rows->n : 1) * sizeof(*more));
		if (!more)
			return NULL;
		rows->row = more;
	}
	rows->row[rows->n] = (struct bound_row){ 0 };
	return &rows->row[rows->n++];
}

bool bound_row_address(struct bound_row *row, struct span text)
{
	char copy[INET6_ADDRSTRLEN + 1];
	bool six = text.len && text.at[0] == '[';

	if (six && (!cut_prefix(&text, "[") || !cut_suffix(&text, "]")))
		return false;
	if (!text.len || text.len >= sizeof(copy))
		return false;
	snprintf(copy, sizeof(copy), "%.*s", (int)text.len, text.at);
	row->addr.family = six || strchr(copy, ':') ? AF_INET6 : AF_INET;
	return inet_pton(row->addr.family, copy, row->addr.bytes) == 1;
}

static bool is_same_address(const struct address *a, const struct address *b)
{
	return a->family == b->family && !memcmp(a->bytes, b->bytes, a->family == AF_INET ? 4 : 16);
}

static bool is_wildcard(const struct address *a)
{
	static const uint8_t none[16];

	return !memcmp(a->bytes, none, a->family == AF_INET ? 4 : 16);
}

/* How well a row fits a socket: 0 not at all. */
static int row_fits(const struct bound_row *row, enum proto proto, const struct address *addr, uint16_t port)
{
	if (row->port != port || (row->proto && (row->proto == PROTO_UDP) != (proto == PROTO_UDP)))
		return 0;
	if (!row->addr.family)
		return is_wildcard(addr) ? 1 : 0;
	return is_same_address(&row->addr, addr) ? 2 : 0;
}

static const struct bound_by *rows_find(const struct bound_rows *rows, enum proto proto,
					const struct address *addr, uint16_t port)
{
	const struct bound_by *best = NULL;
	int fits, best_fits = 0;

	for (size_t i = 0; i < rows->n; i++) {
		fits = row_fits(&rows->row[i], proto, addr, port);
		if (fits <= best_fits)
			continue;
		best_fits = fits;
		best = &rows->row[i].who;
	}
	return best;
}

static const struct proxy *proxy_find(uint32_t pid, const char *comm)
{
	for (size_t i = 0; i < ARRAY_SIZE(proxies); i++)
		if ((!proxies[i].pid || proxies[i].pid == pid) && !strncmp(comm, proxies[i].comm, 16))
			return &proxies[i];
	return NULL;
}

/* A socket that may be held for somebody, and where the answer goes. */
struct question {
	const struct proxy *proxy;
	enum proto proto;
	const struct address *addr;
	uint16_t port;
	const struct bound_by **ret;
};

#define QUESTIONS_MAX 9

/* One that systemd started has the socket open, and so has systemd: stopping the one alone frees nothing. */
static const struct proxy *proxy_of_view(const struct view *v)
{
	const struct proxy *found = proxy_find(v->rec->pid, v->rec->comm);

	for (size_t i = 0; !found && i < v->n_owners; i++)
		if (v->owners[i].pid == 1)
			found = proxy_find(1, v->owners[i].comm);
	return found;
}

static const struct proxy *proxy_of_holder(const struct holder *h)
{
	return proxy_find(h->pid, h->comm) ?: h->init_too ? proxy_find(1, "systemd") : NULL;
}

static size_t questions(struct view *v, struct question *q)
{
	/* The array is the pipeline's own; it is const for those who render. */
	struct holder *holders = (struct holder *)v->holders;
	const struct record *rec = v->rec;
	size_t n = 0;

	if (rec->has_socket && rec->has_process)
		q[n++] = (struct question){ proxy_of_view(v), rec->proto, &rec->addr, rec->port,
					    &v->bound_by };
	for (size_t i = 0; i < v->n_holders && n < QUESTIONS_MAX; i++)
		q[n++] = (struct question){ proxy_of_holder(&holders[i]), holders[i].proto, &holders[i].addr,
					    holders[i].port, &holders[i].bound_by };
	return n;
}

/* True: some answer is missing that newer rows could give. */
static bool answer(struct bound_table *t, const struct question *q, size_t n)
{
	bool missing = false;

	for (size_t i = 0; i < n; i++) {
		*q[i].ret = NULL;
		if (!q[i].proxy)
			continue;
		*q[i].ret = rows_find(&t->of[q[i].proxy - proxies].rows, q[i].proto, q[i].addr, q[i].port);
		missing = missing || !*q[i].ret;
	}
	return missing;
}

/* True: something was read. */
static bool refresh(struct bound_table *t, const struct question *q, size_t n, uint64_t max_age_ns,
		    uint64_t now_ns)
{
	bool any = false;

	for (size_t i = 0; i < n; i++) {
		size_t at = q[i].proxy ? (size_t)(q[i].proxy - proxies) : 0;

		if (!q[i].proxy || (t->of[at].read_ns && now_ns - t->of[at].read_ns < max_age_ns))
			continue;
		rows_done(&t->of[at].rows);
		q[i].proxy->read(t->root_fd, &t->of[at].rows);
		for (size_t j = 0; j < t->of[at].rows.n; j++)
			t->of[at].rows.row[j].who.kind = q[i].proxy->kind;
		t->of[at].read_ns = now_ns;
		any = true;
	}
	return any;
}

void bound_table_fill(struct bound_table *t, struct view *v, uint64_t now_ns)
{
	struct question q[QUESTIONS_MAX];
	size_t n = questions(v, q);

	(void)refresh(t, q, n, KNOWN_NS, now_ns);
	if (answer(t, q, n) && refresh(t, q, n, UNKNOWN_NS, now_ns))
		(void)answer(t, q, n);
}

struct bound_table *bound_table_free(struct bound_table *t)
{
	for (size_t i = 0; t && i < ARRAY_SIZE(t->of); i++)
		rows_done(&t->of[i].rows);
	free(t);
	return NULL;
}

struct bound_table *bound_table_new(int root_fd)
{
	struct bound_table *t = calloc(1, sizeof(*t));

	if (t)
		t->root_fd = root_fd;
	return t;
}
