/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Connections that hold a port by themselves: their listener is gone, or nobody has them any more and they only wait for
 * their other end. Those of a listener that is there are its own, and a busy server has very many: the kernel is asked for
 * the ports that nobody serves, and leaves the others out.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "enrich/proc.h"
#include "pipeline/inventory_state.h"
#include "pipeline/state.h"
#include "util/fail.h"

#define TCP_STATE_LISTEN 10
#define FEW_PORTS 64 /* that are asked for by number: then those of clients too */
/* ESTABLISHED, SYN_SENT, FIN_WAIT1, FIN_WAIT2, CLOSE_WAIT, LAST_ACK, CLOSING */
#define CONNECTION_STATES (1u << 1 | 1u << 2 | 1u << 4 | 1u << 5 | 1u << 8 | 1u << 9 | 1u << 11)

static bool is_set(const uint8_t *ports, unsigned port)
{
	return ports[port / 8] & 1u << port % 8;
}

static void clear(uint8_t *ports, unsigned port)
{
	ports[port / 8] &= (uint8_t) ~(1u << port % 8);
}

bool inventory_asks_few(const struct inventory *inv)
{
	unsigned n = 0;

	if (!inv->o.kernel || !inv->o.kernel->ports_valid)
		return false;
	for (unsigned port = 1; port < 65536 && n <= FEW_PORTS; port++)
		n += is_set(inv->o.kernel->ports, port);
	return n <= FEW_PORTS;
}

bool inventory_is_connection(const struct diag_row *row)
{
	return row->proto != PROTO_UDP && row->state < 32 && 1u << row->state & CONNECTION_STATES;
}

/* What is asked for in every namespace; the range of portlog's own counts for all. */
void inventory_remains_begin(struct inventory *inv)
{
	bool clients = inv->o.remains == REMAINS_ALL || inventory_asks_few(inv);
	unsigned low, high;

	if (inv->o.remains == REMAINS_NONE)
		return;
	if (inv->o.kernel && inv->o.kernel->ports_valid)
		memcpy(inv->remains_ports, inv->o.kernel->ports, PORT_BITS);
	else
		memset(inv->remains_ports, 0xff, PORT_BITS);
	enrich_ephemeral_range(inv->enrich, &low, &high);
	for (unsigned port = low; port <= high && port < 65536 && !clients; port++)
		clear(inv->remains_ports, port);
}

/* False: there is no such port. */
static bool ports_of_interest(const struct inventory *inv, size_t begin, size_t end, uint8_t *ports)
{
	static const uint8_t none[PORT_BITS];

	memcpy(ports, inv->remains_ports, PORT_BITS);
	for (size_t i = begin; i < end && inv->o.remains == REMAINS_UNSERVED; i++)
		if (inv->found[i].state == TCP_STATE_LISTEN && inv->found[i].proto != PROTO_UDP)
			clear(ports, inv->found[i].port);
	return memcmp(ports, none, PORT_BITS);
}

/* The number behind @word of a file of this thread's namespace; false: it is not there. */
static bool sockstat_number(const struct inventory *inv, const char *path, const char *word, unsigned *ret)
{
	char text[1024];
	const char *at;
	size_t len;

	if (proc_read(inv->proc_fd, path, text, sizeof(text), &len))
		return false;
	at = strstr(text, word);
	return at && sscanf(at + strlen(word), "%u", ret) == 1;
}

/*
 * In the namespace itself: are there more TCP sockets than its @listeners, or TIME_WAIT, among which closed connections
 * may be? To ask for them is a walk over a table of all namespaces.
 */
static bool may_be_connected(const struct inventory *inv, size_t listeners)
{
	unsigned v4 = 0, v6 = 0, waiting = 0;

	if (!sockstat_number(inv, "thread-self/net/sockstat", "TCP: inuse ", &v4) ||
	    !sockstat_number(inv, "thread-self/net/sockstat", " tw ", &waiting))
		return true;
	(void)sockstat_number(inv, "thread-self/net/sockstat6", "TCP6: inuse ", &v6);
	return waiting || (size_t)v4 + v6 > listeners;
}

static bool netns_may_be_connected(const struct inventory *inv, const struct netns *ns, size_t listeners)
{
	bool may = true;
	int home;

	if (ns->inode == netns_self())
		return may_be_connected(inv, listeners);
	if (netns_enter(ns->fd, &home) >= 0) {
		may = may_be_connected(inv, listeners);
		may = netns_leave(home) < 0 || may;
	}
	fail_clear();
	return may;
}

/* Of its rows; one of MPTCP has a second row, and is none of those that are counted. */
static size_t listeners_count(const struct inventory *inv, size_t begin, size_t end)
{
	size_t n = 0;

	for (size_t i = begin; i < end; i++)
		n += inv->found[i].state == TCP_STATE_LISTEN && inv->found[i].proto == PROTO_TCP;
	return n;
}

int inventory_remains_ask(struct inventory *inv, struct sockdiag *sd, const struct netns *ns, size_t begin,
			  size_t end, int (*each)(void *arg, const struct diag_row *row), void *arg)
{
	uint8_t ports[PORT_BITS];
	struct diag_query q = {
		.tcp = true,
		.mptcp = !inv->bpf,
		.states = CONNECTION_STATES,
		.port = inv->single_port,
		.ports = ports,
	};

	if (inv->o.remains == REMAINS_NONE || !ports_of_interest(inv, begin, end, ports) ||
	    !netns_may_be_connected(inv, ns, listeners_count(inv, begin, end)))
		return 0;
	if (ns->inode != netns_self() && clock_boot_ns() > inv->began_ns + REMAINS_MAX_NS) {
		inv->netns_unremained++;
		return 0;
	}
	return sockdiag_dump(sd, &q, each, arg);
}

/* ---- which ports are served ---- */

static int compare_keys(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static uint64_t served_key(const struct record *rec)
{
	return (uint64_t)rec->netns << 16 | rec->port;
}

int inventory_served(struct inventory *inv, struct served_ports *ret)
{
	struct entry *e = NULL;

	ret->n = 0;
	ret->keys = calloc(ledger_count(inv->ledger) + 1, sizeof(*ret->keys));
	if (!ret->keys)
		return fail(-ENOMEM, "list sockets");
	while ((e = ledger_next(inv->ledger, e)))
		if (e->told.state == TCP_STATE_LISTEN && e->told.proto != PROTO_UDP)
			ret->keys[ret->n++] = served_key(&e->told);
	qsort(ret->keys, ret->n, sizeof(*ret->keys), compare_keys);
	return 0;
}

bool served_has(const struct served_ports *served, const struct record *rec)
{
	uint64_t key = served_key(rec);

	return bsearch(&key, served->keys, served->n, sizeof(key), compare_keys);
}
