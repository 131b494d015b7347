/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The answer of `why` as a person reads it:
 *
 *	tcp 8080: TAKEN: bind(2) on 0.0.0.0 or [::] fails with EADDRINUSE (as alice, with SO_REUSEADDR)
 *	  holder  java[455], user app, app.service, on [::]:8080, bound but not listening: ss -l and lsof do not show it
 *	  since   Tue 03:12:07 (5 h ago)
 *	  fix     systemctl stop app, or another port
 *	udp 8080: free
 */
#include "view/why.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/field.h"
#include "core/process.h"
#include "util/human.h"

#define NS_PER_S 1000000000ULL
#define DAY_NS (86400 * NS_PER_S)
#define HOLDERS_SHOWN 4
#define ENDPOINT_LEN 64
#define WHERE_LEN 160

/* What is being written: a line is put together raw, and escaped as a whole. */
struct page {
	const struct port_answer *a;
	const struct port_answer *with; /* of UDP, told in the same lines; NULL: none */
	bool utc;
	struct buf line;
	struct buf *out;
};

static void line_end(struct page *p)
{
	const char *text = buf_str(&p->line);

	buf_visible(p->out, text, p->line.len);
	buf_putc(p->out, '\n');
	buf_reset(&p->line);
}

static void row_begin(struct page *p, const char *what)
{
	buf_printf(&p->line, "  %-8s", what);
}

/* ---- the first line ---- */

static void put_addr(struct page *p, const struct asker *a)
{
	char endpoint[ENDPOINT_LEN], *colon;

	endpoint_text(&a->addr, a->port, endpoint, sizeof(endpoint));
	colon = strrchr(endpoint, ':');
	if (colon)
		*colon = '\0';
	buf_puts(&p->line, endpoint);
}

/* @n asks that are told as one. */
static void put_addrs(struct page *p, const struct ask *ask, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		buf_puts(&p->line, i ? " or " : "");
		put_addr(p, &ask[i].asker);
	}
}

static void put_options(struct page *p, uint32_t options)
{
	static const struct {
		uint32_t bit;
		const char *name;
	} names[] = { { OPT_REUSEADDR, "SO_REUSEADDR" },
		      { OPT_REUSEPORT, "SO_REUSEPORT" },
		      { OPT_V6ONLY, "IPV6_V6ONLY" } };
	const char *before = ", with ";

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!(options & names[i].bit))
			continue;
		buf_printf(&p->line, "%s%s", before, names[i].name);
		before = " and ";
	}
}

static void put_as(struct page *p, const struct ask *ask)
{
	if (p->a->user_name[0])
		buf_printf(&p->line, " (as %s", p->a->user_name);
	else
		buf_printf(&p->line, " (as uid %u", p->a->uid);
	put_options(p, ask->asker.options);
	buf_putc(&p->line, ')');
}

static const char *call_name(const struct ask *ask)
{
	return ask->verdict.bind == ANSWER_YES ? "bind(2) works, but listen(2)" : "bind(2)";
}

static void put_taken(struct page *p, const struct ask *ask, size_t n)
{
	int error = ask->verdict.bind_error ? ask->verdict.bind_error : ask->verdict.listen_error;
	char scratch[16];

	buf_printf(&p->line, "%s: %s on ", error == EADDRINUSE ? "TAKEN" : "REFUSED", call_name(ask));
	put_addrs(p, ask, n);
	buf_printf(&p->line, " fails with %s", errno_name(error, scratch));
	put_as(p, ask);
}

static void put_unknown(struct page *p, const struct ask *ask, size_t n)
{
	buf_printf(&p->line, "UNKNOWN: whether %s on ", call_name(ask));
	put_addrs(p, ask, n);
	buf_puts(&p->line, " works");
	put_as(p, ask);
	buf_printf(&p->line, " depends on %s", missing_text(ask->verdict.missing));
	if (p->a->reach == REACH_NEEDS_ROOT)
		buf_printf(&p->line, ": sudo portlog why %u", p->a->port);
}

static size_t count_kind(const struct ask *ask, enum holder_kind kind)
{
	size_t n = 0;

	for (size_t i = 0; i < ask->n_in_way; i++)
		n += ask->in_way[i].kind == kind;
	return n;
}

/* The kernel lets a TIME_WAIT outlive its timer by up to 1.4 s. 0: unknown. */
static uint64_t seconds_left(const struct page *p, const struct ask *ask)
{
	uint64_t last_ns = 0;

	for (size_t i = 0; i < ask->n_in_way; i++)
		if (ask->in_way[i].expires_ns > last_ns)
			last_ns = ask->in_way[i].expires_ns;
	return last_ns > p->a->now_ns ? (last_ns - p->a->now_ns) / NS_PER_S + 3 : 0;
}

/* "without it taken for <= 43 s: 2 TIME_WAIT" */
static void put_bare(struct page *p, const struct ask *ask, const struct verdict *bare)
{
	size_t n = count_kind(ask, HOLDER_TIME_WAIT);
	uint64_t left_s = seconds_left(p, ask);

	buf_puts(&p->line, bare->bind == ANSWER_NO ? "; without it taken" : "; without it unknown");
	if (!n || n != ask->n_in_way)
		return;
	if (left_s)
		buf_printf(&p->line, " for <= %" PRIu64 " s", left_s);
	buf_printf(&p->line, ": %zu TIME_WAIT, whose last owner is not known", n);
}

static bool bare_differs(const struct page *p, const struct ask *ask)
{
	return !p->a->reuseaddr_given && ask->bare.bind != ANSWER_YES;
}

static void put_free(struct page *p, const struct ask *ask, size_t n)
{
	buf_puts(&p->line, "free");
	if (p->a->single || n != p->a->n_asks) {
		buf_puts(&p->line, " on ");
		put_addrs(p, ask, n);
	}
	if (!bare_differs(p, ask))
		return;
	buf_puts(&p->line, " with SO_REUSEADDR (most servers set it)");
	put_bare(p, ask, &ask->bare);
}

static void first_line(struct page *p, const struct ask *ask, size_t n)
{
	const struct verdict *v = &ask->verdict;

	buf_printf(&p->line, "%s%s %u: ", proto_name(p->a->proto), p->with ? " and udp" : "", p->a->port);
	if (v->bind == ANSWER_NO || (v->bind == ANSWER_YES && v->listen == ANSWER_NO))
		put_taken(p, ask, n);
	else if (v->bind == ANSWER_UNKNOWN || v->listen == ANSWER_UNKNOWN)
		put_unknown(p, ask, n);
	else
		put_free(p, ask, n);
	line_end(p);
}

/* ---- holders ---- */

static void put_process(struct page *p, const struct holder *h)
{
	buf_printf(&p->line, "%.*s[%u]", (int)strnlen(h->comm, sizeof(h->comm)), h->comm, h->pid);
	if (h->owners_count > 1)
		buf_printf(&p->line, " +%u", h->owners_count - 1);
}

/* " for web.socket, which starts web.service", " for container shop-api-1" */
static void put_bound_for(struct page *p)
{
	const struct bound_for *b = &p->a->bound_for;

	if (b->unit[0])
		buf_printf(&p->line, " for %s", b->unit);
	if (b->unit[0] && b->service[0])
		buf_printf(&p->line, ", which starts %s", b->service);
	if (b->container[0])
		buf_printf(&p->line, " for container %s", b->container);
}

static void put_user(struct page *p, const char *name, uint32_t uid)
{
	if (name && name[0])
		buf_printf(&p->line, "user %s", name);
	else
		buf_printf(&p->line, "uid %u", uid);
}

/* "uid 1001 (app), process hidden: sudo portlog why 8080" */
static void put_nobody(struct page *p, const struct holder *h, const char *user)
{
	static const char *const hidden[] = {
		[REACH_ALL] = ", no process has it open",
		[REACH_NEEDS_ROOT] = ", process hidden: sudo portlog why",
		[REACH_NEEDS_PTRACE] = ", process hidden: CAP_SYS_PTRACE is missing",
		[REACH_NEEDS_FILES] = ", process hidden: ulimit -n 1024",
		[REACH_OF_PIDNS] = ", no process of this pid namespace has it open",
	};

	if (h->kind == HOLDER_TIME_WAIT || h->kind == HOLDER_KERNEL || h->kind == HOLDER_IN_FLIGHT)
		return;
	buf_printf(&p->line, "uid %u", h->sock_uid);
	if (user && user[0])
		buf_printf(&p->line, " (%s)", user);
	if (h->inode)
		buf_puts(&p->line, hidden[p->a->reach]);
	if (h->inode && p->a->reach == REACH_NEEDS_ROOT)
		buf_printf(&p->line, " %u", p->a->port);
	buf_puts(&p->line, ", ");
}

static void holder_row(struct page *p, const struct holder *h, bool best)
{
	char where[WHERE_LEN], endpoint[ENDPOINT_LEN], doing[WHERE_LEN];
	const char *user = best ? p->a->user_of_holder : NULL;

	row_begin(p, best ? "holder" : "");
	if (h->pid) {
		put_process(p, h);
		if (best)
			put_bound_for(p);
		buf_puts(&p->line, ", ");
		put_user(p, user, h->uid);
		if (*explain_where(h->process, where, sizeof(where)))
			buf_printf(&p->line, ", %s", where);
		buf_puts(&p->line, ", ");
	} else {
		put_nobody(p, h, user);
	}
	buf_printf(&p->line, "on %s, %s", endpoint_text(&h->addr, p->a->port, endpoint, sizeof(endpoint)),
		   explain_doing(h, p->a->now_ns, doing, sizeof(doing)));
	line_end(p);
}

static void since_row(struct page *p, const struct holder *h)
{
	static const char *const how[] = {
		[SINCE_EXACT] = "", [SINCE_NOT_BEFORE] = "not before ", [SINCE_NOT_AFTER] = "not after "
	};
	uint64_t age_ns = p->a->now_ns - h->since_ns;
	char text[48], span[HUMAN_LEN];
	struct tm tm;
	time_t s;

	/* That it is there now is no news. */
	if (!h->since_ns || h->since_ns > p->a->now_ns || !h->since_precision ||
	    h->since_precision >= SINCE_NOT_AFTER)
		return;
	s = (time_t)(((int64_t)h->since_ns + p->a->boot_offset_ns) / (int64_t)NS_PER_S);
	if (!(p->utc ? gmtime_r(&s, &tm) : localtime_r(&s, &tm)) ||
	    !strftime(text, sizeof(text), age_ns < DAY_NS ? "%a %H:%M:%S" : "%F %H:%M:%S", &tm))
		return;
	row_begin(p, "since");
	buf_printf(&p->line, "%s%s (%s ago)", how[h->since_precision], text, human_span(age_ns, span));
	line_end(p);
}

static void fix_row(struct page *p, const struct explanation *e)
{
	const struct bound_for *b = &p->a->bound_for;

	row_begin(p, "fix");
	if (b->unit[0] && b->service[0] && !strstr(b->service, "@.")) /* a template cannot be stopped */
		buf_printf(&p->line, "systemctl stop %s %s, or another port", b->unit, b->service);
	else if (b->unit[0])
		buf_printf(&p->line, "systemctl stop %s, or another port", b->unit);
	else if (b->container[0])
		buf_printf(&p->line, "docker stop %s, or another port", b->container);
	else
		buf_puts(&p->line, e->hint);
	line_end(p);
}

static void holders_say(struct page *p, const struct ask *ask)
{
	size_t shown = ask->n_in_way < HOLDERS_SHOWN ? ask->n_in_way : HOLDERS_SHOWN;

	for (size_t i = 0; i < shown; i++)
		holder_row(p, &ask->in_way[i], !i);
	if (shown < ask->n_in_way) {
		row_begin(p, "");
		buf_printf(&p->line, "and %zu more", ask->n_in_way - shown);
		line_end(p);
	}
	if (shown)
		since_row(p, &ask->in_way[0]);
}

/* ---- what an option would change ---- */

static void variant_rows(struct page *p, const struct ask *ask)
{
	const struct verdict *v = &ask->verdict;

	if (v->bind != ANSWER_YES && ask->shared.bind == ANSWER_YES) {
		row_begin(p, "or");
		buf_puts(
			&p->line,
			"SO_REUSEPORT before bind: it works, the socket there has it and is of the same user");
		line_end(p);
	}
	if (v->bind != ANSWER_YES && ask->only6.bind == ANSWER_YES) {
		row_begin(p, "or");
		buf_puts(&p->line, "IPV6_V6ONLY before bind: [::] works then, without IPv4");
		line_end(p);
	}
	if (v->bind == ANSWER_YES && v->listen == ANSWER_YES && v->race) {
		row_begin(p, "note");
		buf_puts(
			&p->line,
			"another socket with SO_REUSEADDR is bound there: of the two that listen the second fails");
		line_end(p);
	}
}

/* What the user meets next, who may have the port one day: it is taken as well. */
static void allowed_say(struct page *p, const struct ask *ask)
{
	const struct verdict *v = &ask->allowed;
	const char *call = v->bind == ANSWER_YES ? "listen(2)" : "bind(2)";
	bool sure = v->bind == ANSWER_NO || (v->bind == ANSWER_YES && v->listen == ANSWER_NO);

	if (!ask->n_in_way || (verdict_works(v) && p->a->reuseaddr_given))
		return;
	row_begin(p, "and");
	if (verdict_works(v)) {
		buf_printf(&p->line, "with the capability %s %u is free with SO_REUSEADDR",
			   proto_name(p->a->proto), p->a->port);
		put_bare(p, ask, &ask->allowed_bare);
	} else {
		buf_printf(&p->line, "%s %u is %staken too: with the capability %s %s with EADDRINUSE",
			   proto_name(p->a->proto), p->a->port, sure ? "" : "maybe ", call,
			   sure ? "fails" : "may fail");
	}
	line_end(p);
	if (count_kind(ask, HOLDER_TIME_WAIT) == ask->n_in_way && verdict_works(v))
		return;
	holders_say(p, ask);
	if (ask->behind.hint[0])
		fix_row(p, &ask->behind);
}

static void refusal_say(struct page *p, const struct ask *ask)
{
	row_begin(p, "reason");
	buf_puts(&p->line, ask->explanation.reason);
	line_end(p);
	row_begin(p, "fix");
	buf_puts(&p->line, ask->explanation.hint);
	line_end(p);
	allowed_say(p, ask);
}

static void ask_say(struct page *p, const struct ask *ask, size_t n)
{
	const struct verdict *v = &ask->verdict;
	bool free = v->bind == ANSWER_YES && v->listen == ANSWER_YES;

	first_line(p, ask, n);
	if (v->bind_error == EACCES && ask->explanation.code) {
		refusal_say(p, ask);
		return;
	}
	if (ask->n_in_way &&
	    (!free || (bare_differs(p, ask) && count_kind(ask, HOLDER_TIME_WAIT) != ask->n_in_way)))
		holders_say(p, ask);
	else if (!free && ask->explanation.code && v->bind == ANSWER_NO) {
		row_begin(p, "reason");
		buf_puts(&p->line, ask->explanation.reason);
		line_end(p);
	}
	if (!free && ask->explanation.hint[0])
		fix_row(p, &ask->explanation);
	variant_rows(p, ask);
}

/* ---- notes ---- */

static void note_range(struct page *p)
{
	const struct port_answer *a = p->a;

	if (!a->ephemeral)
		return;
	row_begin(p, "note");
	buf_printf(&p->line,
		   "in ip_local_port_range (%u-%u): a client may get it first; keep it: sudo sysctl -w"
		   " net.ipv4.ip_local_reserved_ports=%u (and what the list has already)",
		   a->range_low, a->range_high, a->port);
	line_end(p);
}

static void note_low(struct page *p)
{
	const struct port_answer *a = p->a;

	if (a->unprivileged_port_start < 0 || a->port >= a->unprivileged_port_start ||
	    a->asks[0].verdict.bind_error == EACCES)
		return;
	row_begin(p, "note");
	buf_printf(&p->line, "below ip_unprivileged_port_start (%d): only with CAP_NET_BIND_SERVICE",
		   a->unprivileged_port_start);
	line_end(p);
}

static void note_elsewhere(struct page *p)
{
	const struct port_answer *a = p->a;
	size_t shown = a->n_elsewhere < ELSEWHERE_MAX ? a->n_elsewhere : ELSEWHERE_MAX;

	for (size_t i = 0; i < shown; i++) {
		const struct elsewhere *e = &a->elsewhere[i];

		row_begin(p, "note");
		if (e->holder.pid)
			put_process(p, &e->holder);
		else
			buf_printf(&p->line, "uid %u", e->holder.sock_uid);
		if (p->with)
			buf_printf(&p->line, " has %s %u in network namespace ", proto_name(a->proto),
				   a->port);
		else
			buf_puts(&p->line, " has it in network namespace ");
		if (e->netns_name[0])
			buf_printf(&p->line, "%s: no clash", e->netns_name);
		else
			buf_printf(&p->line, "%u: no clash", e->netns);
		line_end(p);
	}
	if (shown == a->n_elsewhere)
		return;
	row_begin(p, "");
	buf_printf(&p->line, "and %zu more in other namespaces", a->n_elsewhere - shown);
	line_end(p);
}

/* Without a recording nobody knows who had a free port last. */
static void note_last(struct page *p)
{
	if (answer_may_fail(p->a) || p->a->proto == PROTO_UDP || bare_differs(p, &p->a->asks[0]))
		return;
	row_begin(p, "last");
	if (p->a->history)
		buf_printf(&p->line, "who had it before: sudo portlog history %u --intervals", p->a->port);
	else
		buf_printf(&p->line,
			   "who had it before is not recorded; to catch the next failure: sudo portlog -x %u",
			   p->a->port);
	line_end(p);
}

static void note_redirect(struct page *p)
{
	if (!p->a->redirect[0])
		return;
	row_begin(p, "note");
	buf_printf(&p->line, "the firewall sends %s elsewhere, whoever listens: %s",
		   p->with ? proto_name(p->a->proto) : "it", p->a->redirect);
	line_end(p);
}

static void notes_say(struct page *p)
{
	const struct port_answer *a = p->a;

	note_low(p);
	note_range(p);
	if (a->reserved) {
		row_begin(p, "note");
		buf_puts(&p->line, "in ip_local_reserved_ports: no client gets it by chance");
		line_end(p);
	}
	note_redirect(p);
	note_elsewhere(p);
	note_last(p);
}

static void answer_say(struct page *p)
{
	const struct port_answer *a = p->a;

	if (a->n_asks == 2 && asks_equal(&a->asks[0], &a->asks[1])) {
		ask_say(p, &a->asks[0], 2);
	} else {
		for (size_t i = 0; i < a->n_asks; i++)
			ask_say(p, &a->asks[i], 1);
	}
}

static void page_done(struct page *p)
{
	if (p->line.error)
		p->out->error = p->line.error;
	buf_done(&p->line);
}

void why_text(const struct port_answer *a, bool utc, struct buf *out)
{
	struct page p = { .a = a, .utc = utc, .out = out };

	answer_say(&p);
	notes_say(&p);
	page_done(&p);
}

void why_text_both(const struct port_answer *tcp, const struct port_answer *udp, bool utc, struct buf *out)
{
	struct page p = { .a = tcp, .with = udp, .utc = utc, .out = out };

	if (!answers_refused_alike(tcp, udp)) {
		why_text(tcp, utc, out);
		why_text(udp, utc, out);
		return;
	}
	answer_say(&p);
	p.a = udp;
	allowed_say(&p, &udp->asks[0]);
	p.a = tcp;
	notes_say(&p);
	p.a = udp;
	note_redirect(&p);
	note_elsewhere(&p);
	page_done(&p);
}
