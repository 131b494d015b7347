/* SPDX-License-Identifier: GPL-2.0-only */
/* A ledger with one socket of each kind, for the table of what is held. */
#include "support/tables.h"

#include <errno.h>

#define VIEWS_MAX 32

/* Views by the cookie of their entry, as the program that has the ledger keeps what belongs to one. */
struct shelf {
	const struct view *views[VIEWS_MAX];
	size_t n;
	struct session session;
	struct ledger *ledger;
	int error;
};

static void put(struct shelf *s, const struct view *v, enum holder_kind kind)
{
	struct record *rec = (struct record *)v->rec; /* made for us alone */

	rec->kind = (uint8_t)kind;
	rec->cookie = s->n + 1;
	rec->tid = rec->seq = rec->socket_id = 0;
	rec->has_backlog = false;
	if (kind == HOLDER_TIME_WAIT)
		rec->expires_ns = rec->time_ns + 43 * 1000000000ull;
	s->views[s->n++] = v;
	if (!ledger_hold(s->ledger, rec, (struct process *)v->process))
		s->error = -ENOMEM;
}

static void put_listeners(struct shelf *s)
{
	put(s,
	    snapshot_of(.port = 80, .pid = 53, .comm = "nginx", .unit = "nginx.service", .service = "http",
			.options = OPT_REUSEADDR | OPT_REUSEPORT, .since_ms = -1500000,
			.precision = SINCE_NOT_BEFORE, .args = { "nginx: master process", NULL },
			.owners = { { .pid = 53, .comm = "nginx" },
				    { .pid = 54, .uid = 33, .comm = "nginx" },
				    { .pid = 55, .uid = 33, .comm = "nginx" } }),
	    HOLDER_LISTENER);
	put(s,
	    snapshot_of(.addr = "::", .port = 8080, .pid = 455, .uid = 1001, .user_name = "app",
			.comm = "java", .options = OPT_V6ONLY, .since_ms = -60000,
			.precision = SINCE_NOT_BEFORE),
	    HOLDER_LISTENER);
	put(s,
	    snapshot_of(.addr = "127.0.0.1", .proto = PROTO_UDP, .port = 53, .pid = 90, .uid = 101,
			.user_name = "systemd-resolve", .comm = "systemd-resolve",
			.unit = "systemd-resolved.service", .service = "domain", .since_ms = -3000),
	    HOLDER_LISTENER);
	put(s,
	    snapshot_of(.proto = PROTO_MPTCP, .port = 9000, .pid = 700, .comm = "mptcpd", .since_ms = -900000,
			.precision = SINCE_NOT_BEFORE),
	    HOLDER_LISTENER);
	put(s,
	    snapshot_of(.port = 5432, .pid = 812, .comm = "postgres", .netns = 4026532301u,
			.netns_name = "shop-db-1",
			.where = { .container_id = (char *)"0f1e2d3c4b5a69788796a5b4c3d2e1f0",
				   .container_runtime = (char *)"docker",
				   .container_name = (char *)"shop-db-1" }),
	    HOLDER_LISTENER);
}

static void put_others(struct shelf *s)
{
	put(s, snapshot_of(.port = 8081, .pid = 456, .comm = "java", .since_ms = -2000000), HOLDER_BOUND);
	put(s, snapshot_of(.port = 8082, .pid = 457, .comm = "java"), HOLDER_SHUTDOWN);
	put(s, snapshot_of(.port = 8083, .pid = 458, .comm = "sh"), HOLDER_INHERITED);
	put(s, snapshot_of(.port = 8084, .no_process = true), HOLDER_IN_FLIGHT);
	put(s, snapshot_of(.port = 443, .no_process = true, .no_options = true), HOLDER_TIME_WAIT);
	put(s, snapshot_of(.addr = "10.0.0.1", .port = 7000, .pid = 460, .comm = "curl"), HOLDER_CLIENT);
	((struct record *)s->views[s->n - 1]->rec)->explicit_port = true;
	ledger_find_cookie(s->ledger, s->n)->told.explicit_port = true;
	put(s, snapshot_of(.proto = PROTO_UDP, .port = 51820, .no_process = true, .kernel = true),
	    HOLDER_KERNEL);
	put(s, snapshot_of(.proto = PROTO_UDP, .addr = "127.0.0.1", .port = 40000, .pid = 461, .comm = "dig"),
	    HOLDER_CLIENT);
	put(s, snapshot_of(.port = 6000, .no_process = true, .no_options = true), HOLDER_LISTENER);
	put(s, snapshot_of(.port = 6001, .pid = 470, .comm = "\x1b[31mred\n\xff", .user_name = "\x1b[2J"),
	    HOLDER_UNKNOWN);
}

static bool find(void *arg, const struct entry *e, struct owner *owners, struct view *ret)
{
	const struct shelf *s = arg;

	(void)owners;
	*ret = *s->views[e->cookie - 1];
	ret->rec = &e->told;
	ret->session = &s->session;
	return true;
}

int table_of_everything(const struct table_options *o, struct buf *out)
{
	struct shelf s = { .session = *views_session(), .ledger = ledger_new(64) };
	struct table_options own = *o;
	size_t shown;
	int r;

	if (!s.ledger)
		return -ENOMEM;
	s.session.schema = "portlog.list/1";
	s.session.stream[0] = '\0';
	put_listeners(&s);
	put_others(&s);
	own.view = find;
	own.arg = &s;
	r = table_render(s.ledger, &own, out, &shown);
	ledger_free(s.ledger);
	return s.error ? s.error : r;
}
