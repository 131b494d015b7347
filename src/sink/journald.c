/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * journald[:SOCKET]: events into the systemd journal, by its native protocol (systemd.io, "Native Journal Protocol"): a datagram
 * of fields. OBJECT_SYSTEMD_UNIT= makes `journalctl -u UNIT` of the unit that failed show them, if the sender is root.
 */
#include <ctype.h>
#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/explain.h"
#include "core/process.h"
#include "core/sentence.h"
#include "sink/fold.h"
#include "sink/sink.h"
#include "util/buf.h"
#include "util/fail.h"
#include "util/human.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"
#define INVOCATION_LINK "/run/systemd/units/invocation:"
#define TAKE_MS 1000 /* for it to take something */
#define ID_LEN 32

/* What journalctl can be asked for: MESSAGE_ID=... */
#define ID_FAILURE "3fce3150fa7a219c5dcb478c4b741b4a"
#define ID_LOST "38c09fb326b2a2dd3b8298c7a1a02b33"
#define ID_EVENT "b8ca27281a287c29a70a2df7a3e886f4"

#define PRIORITY_WARNING '4'
#define PRIORITY_INFO '6'

struct journal {
	struct field_options field;
	struct sockaddr_un where;
	int fd; /* -1: not connected */
	struct buf b;
	struct fold *fold;
};

/* ---- the protocol ---- */

/* A value with a line end goes with its length before it. */
static void put_field(struct buf *b, const char *name, const char *value, size_t len)
{
	const uint64_t size = htole64(len);

	buf_puts(b, name);
	if (memchr(value, '\n', len)) {
		buf_putc(b, '\n');
		buf_put(b, &size, sizeof(size));
	} else {
		buf_putc(b, '=');
	}
	buf_put(b, value, len);
	buf_putc(b, '\n');
}

static void put_string(struct buf *b, const char *name, const char *value)
{
	put_field(b, name, value, strlen(value));
}

static int journal_connect(struct journal *j)
{
	const int more = 1 << 20;

	if (j->fd >= 0)
		return 0;
	j->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (j->fd < 0)
		return fail(-errno, "make a socket");
	(void)setsockopt(j->fd, SOL_SOCKET, SO_SNDBUF, &more, sizeof(more));
	if (connect(j->fd, (const struct sockaddr *)&j->where, sizeof(j->where))) {
		int r = -errno;

		close(j->fd);
		j->fd = -1;
		return fail(r, "connect to %s", j->where.sun_path);
	}
	return 0;
}

static int journal_wait(const struct journal *j)
{
	struct pollfd p = { .fd = j->fd, .events = POLLOUT };
	int n = poll(&p, 1, TAKE_MS);

	if (n == 0)
		return fail_text(-EAGAIN, "%s takes nothing", j->where.sun_path);
	return n < 0 && errno != EINTR ? fail(-errno, "wait for %s", j->where.sun_path) : 0;
}

/* A journald that was restarted has another socket. */
static int journal_send(struct journal *j)
{
	int r = 0;

	for (bool again = false; !r; again = true) {
		r = journal_connect(j);
		if (r)
			return r;
		if (send(j->fd, j->b.data, j->b.len, MSG_NOSIGNAL) >= 0)
			return 0;
		r = -errno;
		if (r == -EAGAIN) {
			r = journal_wait(j);
		} else if (r == -EINTR) {
			r = 0;
		} else if (r != -EMSGSIZE) {
			close(j->fd);
			j->fd = -1;
			r = again ? fail(r, "send to %s", j->where.sun_path) : 0;
		}
	}
	return r;
}

/* ---- whose it is ---- */

/* Which start of the unit it was; the link is there while that runs. */
static void put_invocation(struct buf *b, const char *name, const char *unit)
{
	char path[320], id[ID_LEN + 1];

	if ((size_t)snprintf(path, sizeof(path), INVOCATION_LINK "%s", unit) < sizeof(path) &&
	    !strchr(unit, '/') && readlink(path, id, sizeof(id)) == ID_LEN)
		put_field(b, name, id, ID_LEN);
}

/* A unit in a container is no unit of this machine: only the one that is the container is. */
static bool is_ours(const struct process *p)
{
	return p->where.unit && (!p->where.container_id || strstr(p->where.unit, p->where.container_id));
}

/* The unit that its log is shown for. A user's unit has a name of its own for that. */
static void put_object(struct buf *b, const struct process *p)
{
	if (!p || !is_ours(p))
		return;
	if (p->cgroup && strstr(p->cgroup, "/user@")) {
		put_string(b, "OBJECT_SYSTEMD_USER_UNIT", p->where.unit);
		return;
	}
	put_string(b, "OBJECT_SYSTEMD_UNIT", p->where.unit);
	put_invocation(b, "OBJECT_SYSTEMD_INVOCATION_ID", p->where.unit);
}

/* ---- what it says ---- */

static const char *const did[N_ACTIONS] = {
	[ACTION_BIND] = " bound ",          [ACTION_LISTEN] = " listens on ",
	[ACTION_RELEASE] = " let go of ",   [ACTION_SNAPSHOT] = " holds ",
	[ACTION_AUTOBIND] = " took ",       [ACTION_FREE] = " left free ",
	[ACTION_HANDOFF] = " handed over ",
};

static void put_reason(struct buf *b, const struct explanation *e)
{
	if (!e)
		return;
	if (e->reason[0]) {
		buf_puts(b, ": ");
		buf_puts_visible(b, e->reason);
	}
	if (e->hint[0]) {
		buf_puts(b, ". Try: ");
		buf_puts_visible(b, e->hint);
	}
}

static void message_put(struct buf *b, const struct view *v, uint64_t more, bool mixed)
{
	const uint32_t here = v->session ? v->session->host_netns : 0;
	const struct record *rec = v->rec;
	char count[HUMAN_LEN];

	human_count(rec->action == ACTION_LOST ? rec->count : more, count);
	if (rec->action == ACTION_LOST) {
		buf_printf(b, "%s event%s lost: a failure may be missing %s", count,
			   rec->count == 1 ? " was" : "s were",
			   rec->lost_where == LOST_HISTORY ? "in the history" : "here");
	} else if (mixed) {
		buf_printf(
			b,
			"%s more binds and listens failed, of too many units and ports to tell each; the last: ",
			count);
		sentence_failure(b, v, here);
	} else if (rec->error) {
		sentence_failure(b, v, here);
		if (more)
			buf_printf(b, ", %s more time%s", count, more == 1 ? "" : "s");
		put_reason(b, v->explanation);
	} else {
		sentence_who(b, v);
		buf_puts(b, did[rec->action] ? did[rec->action] : " ");
		sentence_port(b, v, here);
	}
}

static const char *message_id(const struct record *rec)
{
	return rec->action == ACTION_LOST ? ID_LOST : rec->error ? ID_FAILURE : ID_EVENT;
}

/* PORTLOG_HOLDER_PID of "holder.pid". */
static void name_put(struct buf *b, const char *name)
{
	buf_puts(b, "PORTLOG_");
	for (; *name; name++)
		buf_putc(b, *name == '.' ? '_' : (char)toupper((unsigned char)*name));
	buf_putc(b, '=');
}

/* Their values are in one line: they are escaped. */
static void fields_put(struct journal *j, const struct view *v)
{
	struct buf *b = &j->b;

	for (const struct field *f = fields; f < fields + n_fields; f++) {
		size_t before = b->len;

		name_put(b, f->name);
		if (field_write_value(b, f, v, &j->field))
			buf_putc(b, '\n');
		else
			b->len = before;
	}
}

static void datagram_make(struct journal *j, const struct view *v, uint64_t more, bool mixed)
{
	struct buf *b = &j->b, message = { 0 };
	bool bad = v->rec->error || v->rec->action == ACTION_LOST;

	buf_reset(b);
	message_put(&message, v, more, mixed);
	put_string(b, "MESSAGE", buf_str(&message));
	buf_done(&message);
	put_string(b, "MESSAGE_ID", message_id(v->rec));
	buf_printf(b, "PRIORITY=%c\nSYSLOG_IDENTIFIER=portlog\n", bad ? PRIORITY_WARNING : PRIORITY_INFO);
	if (more)
		buf_printf(b, "PORTLOG_MORE=%llu\n", (unsigned long long)more);
	if (!mixed)
		put_object(b, v->process);
}

/* Without its fields it is always short enough: an event that could never be sent would be tried for ever. */
static int journal_tell(void *arg, const struct view *v, uint64_t more, bool mixed)
{
	struct journal *j = arg;
	size_t brief;
	int r;

	datagram_make(j, v, more, mixed);
	brief = j->b.len;
	fields_put(j, v);
	if (j->b.error)
		return fail(j->b.error, "render an event");
	r = journal_send(j);
	if (r != -EMSGSIZE)
		return r;
	j->b.len = brief;
	r = journal_send(j);
	return r == -EMSGSIZE ? 0 : r;
}

/* ---- the form ---- */

static bool is_bookkeeping(enum action a)
{
	return a == ACTION_START || a == ACTION_STOP || a == ACTION_SYNCED || a == ACTION_RESYNC ||
	       a == ACTION_CLOCK;
}

static int journal_write(void *state, const struct view *v)
{
	struct journal *j = state;

	if (is_bookkeeping(v->rec->action))
		return 0;
	return v->rec->error ? fold_failure(j->fold, v) : journal_tell(j, v, 0, false);
}

static int journal_tick(void *state, uint64_t now_ns, uint64_t *ret_next_ns)
{
	struct journal *j = state;

	return fold_expire(j->fold, now_ns, ret_next_ns);
}

static void journal_close(void *state)
{
	struct journal *j = state;

	if (!j)
		return;
	if (j->fd >= 0)
		close(j->fd);
	fold_free(j->fold);
	buf_done(&j->b);
	free(j);
}

/* That it is not there yet is no error: at boot portlog may be first. */
static int journal_open(const struct sink_options *o, void **ret_state)
{
	const char *path = o->arg ? o->arg : JOURNAL_SOCKET;
	struct journal *j = calloc(1, sizeof(*j));

	if (!j)
		return fail(-ENOMEM, "open the journal");
	j->fd = -1;
	j->field = o->field;
	j->field.hints = true;
	j->where.sun_family = AF_UNIX;
	j->fold = fold_new(journal_tell, j);
	if (!j->fold || strlen(path) >= sizeof(j->where.sun_path)) {
		int r = j->fold ? -ENAMETOOLONG : -ENOMEM;

		journal_close(j);
		return fail(r, "journald:%s", path);
	}
	memcpy(j->where.sun_path, path, strlen(path) + 1);
	*ret_state = j;
	return 0;
}

const struct sink_ops sink_journald = {
	.name = "journald",
	.open = journal_open,
	.write = journal_write,
	.tick = journal_tick,
	.close = journal_close,
};

const struct sink_kind kind_journald = {
	.ops = &sink_journald,
	.argument = "SOCKET",
	.optional = true,
	.filter = "failed",
};
