/* SPDX-License-Identifier: GPL-2.0-only */
/* The simplest ledger there can be, so that the one under test has something to be wrong against. */
#include "live/lib/ledger.h"

#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"

#define STATE_ESTABLISHED 1
#define STATE_LISTEN 10
#define STATE_CLOSE 7

static struct held *find(const struct ledger *l, uint64_t id)
{
	for (size_t i = 0; i < l->n; i++) {
		if (l->held[i].id == id)
			return &l->held[i];
	}
	return NULL;
}

static bool refuse(struct ledger *l, const char *what, const struct event *e)
{
	snprintf(l->why, sizeof(l->why), "%s: socket %s, port %s", what, json_text_at(e->root, "socket.id"),
		 json_text_at(e->root, "socket.port"));
	return false;
}

static struct held *add(struct ledger *l)
{
	if (l->n == l->size) {
		l->size = l->size ? l->size * 2 : 64;
		l->held = realloc(l->held, l->size * sizeof(*l->held));
		if (!l->held)
			abort();
	}
	return &l->held[l->n++];
}

static void fill(struct held *h, const struct event *e)
{
	bool listens = !strcmp(json_text_at(e->root, "action"), "listen");

	*h = (struct held){
		.id = json_number_at(e->root, "socket.id"),
		.cookie = strtoull(json_text_at(e->root, "socket.cookie"), NULL, 10),
		.udp = !strcmp(json_text_at(e->root, "socket.proto"), "udp"),
		.listens = listens,
		.port = (uint16_t)json_number_at(e->root, "socket.port"),
	};
	snprintf(h->addr, sizeof(h->addr), "%s", json_text_at(e->root, "socket.addr"));
}

static bool apply_taken(struct ledger *l, const struct event *e)
{
	bool is_listen = !strcmp(json_text_at(e->root, "action"), "listen");
	struct held *h = find(l, json_number_at(e->root, "socket.id"));

	if (!json_number_at(e->root, "socket.id"))
		return refuse(l, "a socket without an id", e);
	if (!json_number_at(e->root, "socket.port"))
		return refuse(l, "a port that is held and is 0", e);
	if (h && !is_listen)
		return refuse(l, "taken, but it is held already", e);
	if (h && h->port != json_number_at(e->root, "socket.port"))
		return refuse(l, "listens on another port than it took", e);
	fill(h ? h : add(l), e);
	return true;
}

static bool apply_release(struct ledger *l, const struct event *e)
{
	struct held *h = find(l, json_number_at(e->root, "socket.id"));

	if (!h)
		return l->lossy || refuse(l, "released, but nobody took it", e);
	if (h->port != json_number_at(e->root, "socket.port"))
		return refuse(l, "released from another port than it took", e);
	*h = l->held[--l->n];
	return true;
}

bool ledger_apply(struct ledger *l, const struct event *e)
{
	const char *action = json_text_at(e->root, "action");

	if (!strcmp(json_text_at(e->root, "result"), "error"))
		return true;
	if (!strcmp(action, "bind") || !strcmp(action, "listen") || !strcmp(action, "snapshot") ||
	    !strcmp(action, "autobind"))
		return apply_taken(l, e);
	return strcmp(action, "release") != 0 || apply_release(l, e);
}

void ledger_forget(struct ledger *l, uint16_t port)
{
	for (size_t i = l->n; i-- > 0;) {
		if (l->held[i].port == port)
			l->held[i] = l->held[--l->n];
	}
}

void ledger_unlist(struct ledger *l)
{
	for (size_t i = 0; i < l->n; i++)
		l->held[i].listens = false;
}

void ledger_done(struct ledger *l)
{
	free(l->held);
	*l = (struct ledger){ 0 };
}

/* ---- against the kernel ---- */

/* The range of ports the kernel chooses from, as it is by default in every namespace. */
static bool is_hidden_port(uint16_t port)
{
	return port >= 32768 && port <= 60999;
}

static bool must_be_told(const struct net_row *row)
{
	bool holds = row->udp || row->state == STATE_LISTEN || row->state == STATE_CLOSE;

	return holds && (row->state == STATE_LISTEN || !is_hidden_port(row->port));
}

/* connect gives a UDP socket of any address the one that it sends from. */
static bool became_definite(const struct held *h, const struct net_row *row)
{
	bool is_any = !strcmp(h->addr, "0.0.0.0") || !strcmp(h->addr, "::");

	return is_any && row->udp && row->state == STATE_ESTABLISHED;
}

static bool is_same(const struct held *h, const struct net_row *row)
{
	return h->udp == row->udp && h->port == row->port &&
	       (!strcmp(h->addr, row->addr) || became_definite(h, row));
}

static bool has_cookie(const struct held *h, const struct net_row *row)
{
	return h->udp == row->udp && h->port == row->port && h->cookie && h->cookie == row->cookie;
}

/* Pair each row with one entry: by cookie where there is one, since a group shares address and port. */
static struct held *pair(const struct ledger *l, bool *taken, const struct net_row *row, bool by_cookie)
{
	for (size_t i = 0; i < l->n; i++) {
		struct held *h = &l->held[i];

		if (taken[i] || !(by_cookie ? has_cookie(h, row) : is_same(h, row)))
			continue;
		taken[i] = true;
		return h;
	}
	return NULL;
}

/* By cookie; then by address, those first that must have an entry, since a listener's connections share its address. */
static void pair_all(const struct ledger *l, const struct net_list *kernel, bool *taken, bool *done)
{
	for (unsigned pass = 0; pass < 3; pass++) {
		for (size_t i = 0; i < kernel->n; i++) {
			if (!done[i] && (pass != 1 || must_be_told(&kernel->rows[i])))
				done[i] = pair(l, taken, &kernel->rows[i], pass == 0);
		}
	}
}

static bool match_rows(const struct ledger *l, const struct net_list *kernel, bool *taken, FILE *out)
{
	auto_free bool *done = calloc(kernel->n + 1, sizeof(*done));
	bool same = true;

	pair_all(l, kernel, taken, done);
	for (size_t i = 0; i < kernel->n; i++) {
		const struct net_row *row = &kernel->rows[i];

		if (done[i] || !must_be_told(row))
			continue;
		fprintf(out, "the kernel has %s %s port %u (state %u, cookie %ju), the stream does not\n",
			row->udp ? "udp" : "tcp", row->addr, row->port, row->state, (uintmax_t)row->cookie);
		same = false;
	}
	return same;
}

/* What is left may still be in the kernel's list in another shape: connected, or not listed at all. */
static bool is_excused(const struct held *h, const struct net_list *kernel, bool lists_bound)
{
	for (size_t i = 0; i < kernel->n; i++) {
		if (has_cookie(h, &kernel->rows[i]))
			return true;
	}
	return !lists_bound && !h->udp && !h->listens;
}

bool ledger_equals(const struct ledger *l, const struct net_list *kernel, bool lists_bound, FILE *out)
{
	auto_free bool *taken = calloc(l->n + 1, sizeof(*taken));
	bool same = match_rows(l, kernel, taken, out);

	for (size_t i = 0; i < l->n; i++) {
		const struct held *h = &l->held[i];

		if (taken[i] || is_excused(h, kernel, lists_bound))
			continue;
		fprintf(out, "the stream has %s %s port %u (cookie %ju), the kernel does not\n",
			h->udp ? "udp" : "tcp", h->addr, h->port, (uintmax_t)h->cookie);
		same = false;
	}
	return same;
}
