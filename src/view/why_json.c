/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The answer of `why` for programs: portlog.why/1, one object a line. As in portlog/1 what is absent is unknown or does
 * not apply: no null, no empty string.
 */
#include "view/why.h"

#include <netinet/in.h>
#include <string.h>

#include "core/field.h"
#include "core/process.h"
#include "util/json.h"

#define HOLDERS_TOLD 8

static void put_moment(struct buf *b, const char *name, const struct port_answer *a, uint64_t boot_ns)
{
	if (!boot_ns)
		return;
	json_key(b, name);
	json_time(b, (int64_t)boot_ns + a->boot_offset_ns);
}

static void put_address(struct buf *b, const struct address *addr)
{
	char text[ADDRESS_TEXT_MAX];

	if (address_text(addr, text))
		json_put_text(b, "addr", text);
}

static const char *answer_word(enum answer a)
{
	static const char *const words[] = { "no", "yes", "unknown" };

	return words[a];
}

static void put_verdict(struct buf *b, const struct verdict *v, bool streams)
{
	char scratch[16];

	json_put_text(b, "bind", answer_word(v->bind));
	if (streams)
		json_put_text(b, "listen", answer_word(v->listen));
	if (v->bind_error || v->listen_error)
		json_put_text(b, "errno",
			      errno_name(v->bind_error ? v->bind_error : v->listen_error, scratch));
	json_put_text(b, "missing", missing_name(v->missing));
}

static void put_variant(struct buf *b, const char *name, const struct verdict *v, bool streams)
{
	json_key(b, name);
	buf_putc(b, '{');
	put_verdict(b, v, streams);
	buf_putc(b, '}');
}

static void put_process(struct buf *b, const struct holder *h)
{
	const struct process *p = h->process;

	if (!h->pid)
		return;
	json_put_number(b, "pid", h->pid);
	json_key(b, "comm");
	json_string(b, h->comm, strnlen(h->comm, sizeof(h->comm)));
	json_put_number(b, "uid", h->uid);
	if (!p)
		return;
	json_put_text(b, "exe", p->exe);
	json_put_text(b, "unit", p->where.unit);
	json_put_text(b, "container",
		      p->where.container_name ? p->where.container_name : p->where.container_id);
}

static void put_options(struct buf *b, const struct holder *h)
{
	if (!h->has_options)
		return;
	json_put_flag(b, "reuseaddr", h->options & OPT_REUSEADDR);
	json_put_flag(b, "reuseport", h->options & OPT_REUSEPORT);
	if (h->family == AF_INET6)
		json_put_flag(b, "v6only", h->v6only);
}

static void put_holder(struct buf *b, const struct port_answer *a, const struct holder *h)
{
	json_next(b);
	buf_putc(b, '{');
	json_put_text(b, "kind", holder_kind_name(h->kind));
	put_process(b, h);
	json_put_number(b, "socket_uid", h->sock_uid);
	put_address(b, &h->addr);
	put_options(b, h);
	if (h->inode)
		json_put_number(b, "inode", h->inode);
	if (h->owners_count > 1)
		json_put_number(b, "owners_count", h->owners_count);
	if (h->since_precision) {
		put_moment(b, "since", a, h->since_ns);
		json_put_text(b, "since_precision", precision_name((enum precision)h->since_precision));
	}
	put_moment(b, "expires", a, h->expires_ns);
	buf_putc(b, '}');
}

static void put_holders(struct buf *b, const struct port_answer *a, const struct ask *ask)
{
	if (!ask->n_in_way)
		return;
	json_key(b, "holders");
	buf_putc(b, '[');
	for (size_t i = 0; i < ask->n_in_way && i < HOLDERS_TOLD; i++)
		put_holder(b, a, &ask->in_way[i]);
	buf_putc(b, ']');
	if (ask->n_in_way > HOLDERS_TOLD)
		json_put_number(b, "holders_count", ask->n_in_way);
}

static void put_ask(struct buf *b, const struct port_answer *a, const struct ask *ask, bool hints)
{
	bool streams = a->proto != PROTO_UDP;

	json_next(b);
	buf_putc(b, '{');
	put_address(b, &ask->asker.addr);
	put_verdict(b, &ask->verdict, streams);
	if (ask->verdict.race)
		json_put_flag(b, "race", true);
	json_put_text(b, "reason_code", ask->explanation.code);
	put_variant(b, "without_reuseaddr", &ask->bare, streams);
	put_variant(b, "with_reuseport", &ask->shared, streams);
	if (!verdict_equal(&ask->allowed, &ask->verdict))
		put_variant(b, "with_privilege", &ask->allowed, streams);
	put_holders(b, a, ask);
	if (hints && ask->explanation.code) {
		json_put_text(b, "reason", ask->explanation.reason);
		json_put_text(b, "hint", ask->explanation.hint);
	}
	buf_putc(b, '}');
}

static void put_netns(struct buf *b, uint32_t id, const char *name)
{
	json_key(b, "netns");
	buf_putc(b, '{');
	json_put_number(b, "id", id);
	json_put_text(b, "name", name);
	buf_putc(b, '}');
}

static void put_asker(struct buf *b, const struct port_answer *a)
{
	uint32_t options = a->n_asks ? a->asks[a->n_asks - 1].asker.options : 0;

	json_key(b, "asker");
	buf_putc(b, '{');
	json_put_number(b, "uid", a->uid);
	json_put_text(b, "user_name", a->user_name);
	json_put_flag(b, "reuseaddr", options & OPT_REUSEADDR);
	json_put_flag(b, "reuseport", options & OPT_REUSEPORT);
	json_put_flag(b, "v6only", options & OPT_V6ONLY);
	buf_putc(b, '}');
}

static void put_elsewhere(struct buf *b, const struct port_answer *a)
{
	if (!a->n_elsewhere)
		return;
	json_key(b, "elsewhere");
	buf_putc(b, '[');
	for (size_t i = 0; i < a->n_elsewhere && i < ELSEWHERE_MAX; i++) {
		json_next(b);
		buf_putc(b, '{');
		put_netns(b, a->elsewhere[i].netns, a->elsewhere[i].netns_name);
		put_process(b, &a->elsewhere[i].holder);
		put_address(b, &a->elsewhere[i].holder.addr);
		buf_putc(b, '}');
	}
	buf_putc(b, ']');
	json_put_number(b, "elsewhere_count", a->n_elsewhere);
}

static void put_bound_for(struct buf *b, const struct bound_for *f)
{
	if (!f->unit[0] && !f->container[0])
		return;
	json_key(b, "bound_for");
	buf_putc(b, '{');
	json_put_text(b, "unit", f->unit);
	json_put_text(b, "service", f->service);
	json_put_text(b, "container", f->container);
	buf_putc(b, '}');
}

void why_json(const struct port_answer *a, const struct session *session, bool hints, struct buf *out)
{
	buf_puts(out, "{\"schema\":\"portlog.why/1\"");
	put_moment(out, "ts", a, a->now_ns);
	json_put_text(out, "boot_id", session->boot_id);
	json_put_text(out, "hostname", session->hostname);
	json_put_text(out, "proto", proto_name(a->proto));
	json_put_number(out, "port", a->port);
	json_put_text(out, "service", a->service);
	put_netns(out, a->netns, a->netns_name);
	json_put_flag(out, "may_fail", answer_may_fail(a));
	put_asker(out, a);
	json_key(out, "binds");
	buf_putc(out, '[');
	for (size_t i = 0; i < a->n_asks; i++)
		put_ask(out, a, &a->asks[i], hints);
	buf_putc(out, ']');
	put_bound_for(out, &a->bound_for);
	json_put_flag(out, "ephemeral", a->ephemeral);
	json_put_flag(out, "reserved", a->reserved);
	if (a->unprivileged_port_start >= 0)
		json_put_flag(out, "privileged", a->port < a->unprivileged_port_start);
	json_put_text(out, "redirect", a->redirect);
	put_elsewhere(out, a);
	json_put_flag(out, "sees_owners", a->reach == REACH_ALL);
	buf_puts(out, "}\n");
}
