/* SPDX-License-Identifier: GPL-2.0-only */
/* A day of a busy machine, made up. */
#include "support/day.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "support/views.h"
#include "util/cleanup.h"

#define PROCESSES 3000 /* pids in use; each has many lives */

uint64_t day_random(struct day *d)
{
	d->random ^= d->random << 13;
	d->random ^= d->random >> 7;
	d->random ^= d->random << 17;
	return d->random;
}

uint32_t day_below(struct day *d, uint32_t n)
{
	return (uint32_t)(day_random(d) >> 20) % n;
}

void day_init(struct day *d)
{
	memset(d, 0, sizeof(*d));
	d->random = 88172645463325252ull;
	d->session = *views_session();
}

/* ---- one event ---- */

struct actor_names {
	char comm[16];
	char exe[64];
	char unit[32];
	char args[3][32];
};

static struct actor_names names_of(uint32_t pid)
{
	struct actor_names n;

	snprintf(n.comm, sizeof(n.comm), "server-%u", pid % 40);
	snprintf(n.exe, sizeof(n.exe), "/usr/lib/services/bin/%s", n.comm);
	snprintf(n.unit, sizeof(n.unit), "%s.service", n.comm);
	snprintf(n.args[0], sizeof(n.args[0]), "%s", n.comm);
	snprintf(n.args[1], sizeof(n.args[1]), "--config=/etc/%u.conf", pid % 40);
	snprintf(n.args[2], sizeof(n.args[2]), "--worker=%u", pid);
	return n;
}

static void put(struct day *d, struct view_spec *spec)
{
	struct actor_names n = names_of(spec->pid);

	spec->seq = ++d->seq;
	spec->at_ns = (int64_t)(d->time_ns - VIEWS_BASE_NS);
	spec->session = &d->session;
	spec->start_ms = 1000 + spec->pid % PROCESSES;
	if (spec->pid) {
		spec->comm = n.comm;
		spec->exe = n.exe;
		spec->unit = n.unit;
		for (size_t i = 0; i < ARRAY_SIZE(n.args); i++)
			spec->args[i] = n.args[i];
	}
	if (!d->error)
		d->error = d->put(d->arg, views_make(spec));
	d->events++;
	views_free();
}

static struct view_spec of_socket(struct model *m, enum action action)
{
	return (struct view_spec){
		.action = action,
		.socket_id = m->socket_id,
		.pid = m->pid,
		.port = m->port,
		.proto = m->proto,
		.netns = m->netns,
		.cookie = m->socket_id * 4 + 4096,
		.inode = 20000 + m->socket_id * 3,
		.options = OPT_REUSEADDR,
		.uid = m->pid % 3 ? 33 : 0,
		.ppid = 1,
		.tid = m->pid,
		.via = 1,
		.cgroup_id = m->pid,
		.addr = m->pid % 5 ? "0.0.0.0" : "::",
		.since_ms = action == ACTION_RELEASE || action == ACTION_HANDOFF
				    ? (int64_t)((m->since_ns - VIEWS_BASE_NS) / 1000000) ?: 1
				    : 0,
	};
}

static void begin(struct day *d, struct model *m)
{
	struct view_spec spec;

	*m = (struct model){
		.socket_id = d->seq + 1,
		.pid = 100 + day_below(d, PROCESSES),
		.netns = VIEWS_HOST_NETNS + day_below(d, 4),
		.port = (uint16_t)(day_below(d, 4) ? 1 + day_below(d, 9999) : 8000 + day_below(d, 20)),
		.proto = day_below(d, 3) ? PROTO_TCP : PROTO_UDP,
		.since_ns = d->time_ns,
	};
	spec = of_socket(m, ACTION_BIND);
	put(d, &spec);
}

static void go_on(struct day *d, struct model *m)
{
	struct view_spec spec;
	uint32_t what = day_below(d, 100);

	if (m->proto == PROTO_TCP && !m->listened && what < 80) {
		spec = of_socket(m, ACTION_LISTEN);
		m->listened = true;
	} else if (what < 5) {
		m->owner = 100 + day_below(d, PROCESSES);
		spec = of_socket(m, ACTION_HANDOFF);
		spec.owners[0] = (struct owner_spec){ .pid = m->owner, .comm = "heir" };
	} else {
		spec = of_socket(m, ACTION_RELEASE);
		put(d, &spec);
		m->socket_id = 0;
		return;
	}
	put(d, &spec);
}

/* Somebody else wants a port that is taken. */
static void clash(struct day *d, struct model *m)
{
	struct view_spec spec = of_socket(m, ACTION_BIND);

	spec.error = EADDRINUSE;
	spec.socket_id = 0;
	spec.code = "listener";
	spec.why = "held by server-7[812] (server-7.service), listening for 45 ms";
	spec.hint = "systemctl stop server-7, or another port";
	spec.holders[0] = (struct holder_spec){
		.kind = HOLDER_LISTENER, .pid = m->pid, .comm = "server-7", .since_ms = -45
	};
	spec.pid = 100 + day_below(d, PROCESSES);
	put(d, &spec);
}

static void start(struct day *d)
{
	struct view_spec spec = { .action = ACTION_START };

	d->streams++;
	snprintf(d->session.stream, sizeof(d->session.stream), "%016zu", d->streams);
	d->seq = 0;
	put(d, &spec);
}

/* What lives through a gap is told by the snapshot again, with new ids. */
static void restart(struct day *d)
{
	start(d);
	for (size_t i = 0; i < DAY_SLOTS; i++) {
		struct model *m = &d->slots[i];
		struct view_spec spec;

		if (!m->socket_id || day_below(d, 4) == 0) {
			m->socket_id = 0;
			continue;
		}
		m->socket_id = d->seq + 1;
		m->owner = 0;
		m->listened = false; /* a snapshot of these says nothing of it */
		spec = of_socket(m, ACTION_SNAPSHOT);
		put(d, &spec);
	}
}

int day_live(struct day *d, size_t events)
{
	size_t restart_at = events / 3;

	d->time_ns = VIEWS_BASE_NS;
	start(d);
	while (d->events < events && !d->error) {
		struct model *m = &d->slots[day_below(d, DAY_SLOTS)];
		uint64_t next_ns =
			VIEWS_BASE_NS + (uint64_t)((double)DAY_NS / (double)events * (double)d->events);

		if (d->before)
			d->before(d->arg, next_ns);
		d->time_ns = next_ns;
		if (d->events >= restart_at) {
			restart(d);
			restart_at += events / 3;
		} else if (!m->socket_id) {
			begin(d, m);
		} else if (day_below(d, 20) == 0) {
			clash(d, m);
		} else {
			go_on(d, m);
		}
	}
	if (d->before)
		d->before(d->arg, UINT64_MAX / 4);
	return d->error;
}
