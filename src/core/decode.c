/* SPDX-License-Identifier: GPL-2.0-only */
/* Bytes from the ring to values. */
#include "core/decode.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define TCP_STATE_TIME_WAIT 6
#define TCP_STATE_CLOSE 7
#define TCP_STATE_LISTEN 10
#define TCP_STATE_SYN_RECV 12 /* a request: TCP_NEW_SYN_RECV */

static const uint8_t any_addr[16];

/* What the kinds of the ring are called in a record. */
static const enum action actions[PL_KIND_MAX] = {
	[PL_BIND] = ACTION_BIND,         [PL_LISTEN] = ACTION_LISTEN,     [PL_RELEASE] = ACTION_RELEASE,
	[PL_AUTOBIND] = ACTION_AUTOBIND, [PL_SNAPSHOT] = ACTION_SNAPSHOT,
};

static bool is_event(uint16_t kind)
{
	return kind != PL_PROCESS && kind > 0 && kind < PL_KIND_MAX;
}

int decode(const void *data, size_t len, struct decoded *ret)
{
	struct {
		uint16_t kind;
		uint16_t size;
	} head;

	memset(ret, 0, sizeof(*ret));
	if (len < sizeof(head))
		return DECODE_BAD;
	memcpy(&head, data, sizeof(head));
	if (head.size != len)
		return DECODE_BAD;
	if (head.kind == PL_PROCESS && len == sizeof(struct pl_process)) {
		ret->process = data;
		return 0;
	}
	if (is_event(head.kind) && len == sizeof(struct pl_event)) {
		ret->event = data;
		return 0;
	}
	if ((head.kind == PL_BIND || head.kind == PL_LISTEN) && len == sizeof(struct pl_failure)) {
		const struct pl_failure *failure = data;

		if (failure->count > PL_HOLDERS_MAX)
			return DECODE_BAD;
		ret->failure = failure;
		ret->event = &failure->event;
		return 0;
	}
	return DECODE_BAD;
}

enum proto decode_proto(uint16_t ipproto, uint32_t flags)
{
	if (flags & PL_MPTCP)
		return PROTO_MPTCP;
	return ipproto == IPPROTO_UDP ? PROTO_UDP : PROTO_TCP;
}

/*
 * V6ONLY is the user's option only on the wildcard: binding any other address that is not v4-mapped sets it in the
 * kernel (__inet6_bind).
 */
uint32_t decode_options(uint32_t flags, uint8_t family, const uint8_t addr[16])
{
	static const struct {
		uint32_t flag;
		uint32_t option;
	} map[] = {
		{ PL_REUSEADDR, OPT_REUSEADDR }, { PL_REUSEPORT, OPT_REUSEPORT },
		{ PL_FREEBIND, OPT_FREEBIND },   { PL_TRANSPARENT, OPT_TRANSPARENT },
		{ PL_NO_PORT, OPT_NO_PORT },
	};
	uint32_t options = 0;

	for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
		if (flags & map[i].flag)
			options |= map[i].option;
	if (flags & PL_V6ONLY && family == AF_INET6 && !memcmp(addr, any_addr, 16))
		options |= OPT_V6ONLY;
	return options;
}

static uint8_t family_known(uint16_t family)
{
	return family == AF_INET || family == AF_INET6 ? (uint8_t)family : 0;
}

/* An address of another family is none. */
static void address_set(struct address *a, uint16_t family, const uint8_t *bytes)
{
	memset(a, 0, sizeof(*a));
	a->family = family_known(family);
	if (a->family)
		memcpy(a->bytes, bytes, a->family == AF_INET6 ? 16 : 4);
}

static bool address_equal(const struct address *a, const struct address *b)
{
	return a->family == b->family && !memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

/* What the event is about: what was asked for when a bind failed, what the socket has otherwise. */
static void decode_address(const struct pl_event *e, struct record *r)
{
	struct address asked;

	address_set(&r->addr, e->family, e->addr);
	r->port = e->port;
	if (e->kind != PL_BIND)
		return;
	r->addr_unknown = e->error && !(e->flags & PL_ASKED);
	if (!(e->flags & PL_ASKED))
		return;
	address_set(&asked, e->asked_family, e->asked_addr);
	if (e->error) {
		/* An already bound socket keeps what it has: that is the other half of the story. */
		r->addr = asked;
		r->port = e->asked_port;
		if (e->port)
			address_set(&r->bound_addr, e->family, e->addr);
		r->bound_port = e->port;
		return;
	}
	if (!address_equal(&asked, &r->addr))
		r->asked_addr = asked;
	if (e->asked_port != e->port) {
		r->has_asked_port = true;
		r->asked_port = e->asked_port;
	}
}

/* Of a socket from before the tracer is known only that its owner had to be there, or that it was seen by the snapshot. */
void decode_since(uint32_t flags, uint64_t since_ns, uint64_t start_ns, uint64_t *ret_ns,
		  uint8_t *ret_precision)
{
	bool before = flags & PL_BEFORE;

	*ret_ns = before && start_ns ? start_ns : since_ns;
	*ret_precision = !before ? SINCE_EXACT : start_ns ? SINCE_NOT_BEFORE : SINCE_NOT_AFTER;
}

static void decode_release(const struct pl_event *e, struct record *r)
{
	decode_since(e->flags, e->since_ns, e->owner_start_ns, &r->since_ns, &r->since_precision);
	r->free = e->flags & PL_FREE_UNKNOWN ? FREE_UNKNOWN : e->flags & PL_FREE ? FREE_YES : FREE_NO;
	r->tid = 0;
	if (e->flags & PL_PROCESS_CTX && e->tid && e->tid != e->owner_pid) {
		r->closed_by_pid = e->tid;
		memcpy(r->closed_by_comm, e->asked_addr, sizeof(r->closed_by_comm));
	}
}

void decode_event(const struct pl_event *e, struct record *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->action = actions[e->kind];
	ret->proto = decode_proto(e->proto, e->flags);
	ret->time_ns = e->time_ns;
	ret->sk = e->sk;
	ret->tracked_ns = e->since_ns;
	ret->cookie = e->cookie;
	ret->inode = e->inode;
	ret->cgroup_id = e->cgroup_id;
	ret->family = family_known(e->family);
	ret->state = e->state;
	ret->via = e->via;
	ret->has_socket = true;
	ret->has_options = true;
	ret->options = decode_options(e->flags, ret->family, e->addr);
	ret->kernel = e->flags & PL_KERNEL;
	ret->ephemeral = e->flags & PL_EPHEMERAL;
	ret->explicit_port = e->flags & PL_EXPLICIT;
	ret->hook_addr = e->flags & PL_HOOK_ADDR;
	ret->tree = e->flags & PL_TREE;
	ret->sock_uid = e->sock_uid;
	ret->netns = e->netns;
	ret->ifindex = e->ifindex;
	ret->error = e->error;
	ret->has_process = e->pid != 0;
	ret->pid = e->pid;
	ret->tid = e->tid;
	ret->ppid = e->ppid;
	ret->uid = e->uid;
	ret->gid = e->gid;
	ret->start_ns = e->start_ns;
	ret->exec_id = e->exec_id;
	memcpy(ret->comm, e->comm, sizeof(ret->comm));
	memcpy(ret->iface, e->iface, sizeof(ret->iface));
	if (e->kind == PL_LISTEN) {
		ret->has_backlog = !e->error;
		ret->backlog = e->backlog;
	}
	decode_address(e, ret);
	if (e->kind == PL_RELEASE)
		decode_release(e, ret);
}

/* By what the socket is; what only others know (inherited, in-flight, accepted) is found later. */
static enum holder_kind holder_kind(const struct pl_holder *h, enum proto proto)
{
	if (h->state == TCP_STATE_TIME_WAIT)
		return HOLDER_TIME_WAIT;
	if (h->flags & PL_KERNEL)
		return HOLDER_KERNEL;
	if (proto == PROTO_UDP)
		return h->flags & PL_EXPLICIT || h->state == TCP_STATE_CLOSE ? HOLDER_LISTENER
									     : HOLDER_CLIENT;
	if (h->state == TCP_STATE_LISTEN)
		return HOLDER_LISTENER;
	if (h->state == TCP_STATE_CLOSE)
		return h->flags & PL_LISTENED ? HOLDER_SHUTDOWN : HOLDER_BOUND;
	if (!(h->flags & PL_TRACKED) && h->flags & PL_LAST)
		return HOLDER_ACCEPTED;
	return HOLDER_CLIENT;
}

void decode_holder(const struct pl_holder *h, enum proto proto, struct holder *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->proto = h->flags & PL_MPTCP ? PROTO_MPTCP : proto == PROTO_MPTCP ? PROTO_TCP : proto;
	ret->kind = holder_kind(h, ret->proto);
	ret->sk = h->sk;
	ret->cookie = h->cookie;
	ret->inode = h->inode;
	ret->family = family_known(h->family);
	ret->state = h->state;
	ret->port = h->port;
	ret->ifindex = h->ifindex;
	ret->sock_uid = h->sock_uid;
	ret->options = decode_options(h->flags, ret->family, h->addr);
	ret->tripped = h->flags & PL_TRIPPED;
	ret->open = h->flags & PL_OPEN;
	address_set(&ret->addr, h->family, h->addr);
	if (!(h->flags & (PL_TRACKED | PL_LAST)))
		return;
	ret->pid = h->pid;
	ret->uid = h->uid;
	ret->start_ns = h->start_ns;
	ret->exec_id = h->exec_id;
	ret->tracked_ns = h->flags & PL_TRACKED ? h->since_ns : 0;
	decode_since(h->flags, h->since_ns, h->start_ns, &ret->since_ns, &ret->since_precision);
	ret->last_owner = !(h->flags & PL_TRACKED);
	memcpy(ret->comm, h->comm, sizeof(ret->comm));
}

int decode_row(const void *data, size_t len, const struct pl_row **ret)
{
	const struct pl_row *row = data;

	if (len != sizeof(*row) || row->kind != PL_ROW || row->size != len)
		return DECODE_BAD;
	*ret = row;
	return 0;
}

/* Who accepted and who connected looks alike before 6.18; the range of ports says it then, or a listener: inventory.c. */
static enum holder_kind row_kind(const struct pl_row *row)
{
	if (row->state == TCP_STATE_TIME_WAIT)
		return HOLDER_TIME_WAIT;
	if (row->flags & PL_IN_FLIGHT)
		return HOLDER_IN_FLIGHT;
	if (row->flags & PL_KERNEL)
		return HOLDER_KERNEL;
	if (row->proto == IPPROTO_UDP)
		return row->flags & PL_EXPLICIT || !(row->flags & PL_PEER) ? HOLDER_LISTENER : HOLDER_CLIENT;
	if (row->state == TCP_STATE_LISTEN)
		return HOLDER_LISTENER;
	if (row->state == TCP_STATE_CLOSE)
		return row->flags & PL_LISTENED ? HOLDER_SHUTDOWN : HOLDER_BOUND;
	return row->flags & (PL_EXPLICIT | PL_CONNECT) ? HOLDER_CLIENT : HOLDER_ACCEPTED;
}

void decode_row_record(const struct pl_row *row, struct record *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->action = ACTION_SNAPSHOT;
	ret->proto = decode_proto(row->proto, row->flags);
	ret->kind = (uint8_t)row_kind(row);
	ret->sk = row->sk;
	ret->cookie = row->cookie;
	ret->inode = row->inode;
	ret->cgroup_id = row->cgroup_id;
	ret->family = family_known(row->family);
	address_set(&ret->addr, row->family, row->addr);
	ret->port = row->port;
	ret->state = row->state;
	ret->via = PL_VIA_ITER;
	ret->has_socket = true;
	ret->has_options = row->state != TCP_STATE_SYN_RECV;
	ret->options = decode_options(row->flags, ret->family, row->addr);
	ret->kernel = row->flags & PL_KERNEL;
	ret->explicit_port = row->flags & PL_EXPLICIT;
	ret->v6only = row->flags & PL_V6ONLY;
	ret->bhash2 = row->flags & PL_BHASH2;
	ret->by_family = row->flags & PL_BY_FAMILY;
	ret->sock_uid = row->sock_uid;
	ret->netns = row->netns;
	ret->ifindex = row->ifindex;
	ret->l3mdev = row->l3mdev;
	memcpy(ret->iface, row->iface, sizeof(ret->iface));
	ret->has_process = row->pid != 0;
	if (!row->pid)
		return;
	ret->pid = row->pid;
	ret->ppid = row->ppid;
	ret->uid = row->uid;
	ret->gid = row->gid;
	ret->start_ns = row->start_ns;
	ret->exec_id = row->exec_id;
	memcpy(ret->comm, row->comm, sizeof(ret->comm));
}

bool decode_row_bucket(const struct pl_row *row, struct port_bucket *ret)
{
	const struct pl_bucket *b = &row->bucket;

	if (!b->valid)
		return false;
	memset(ret, 0, sizeof(*ret));
	ret->fastreuse = b->fastreuse;
	ret->fastreuseport = b->fastreuseport;
	ret->fastuid = b->fastuid;
	address_set(&ret->fast_rcv_saddr, AF_INET, b->fast_addr4);
	address_set(&ret->fast_v6_rcv_saddr, AF_INET6, b->fast_addr6);
	ret->fast_sk_family = b->fast_family;
	ret->fast_ipv6_only = b->fast_ipv6_only;
	ret->l3mdev = row->l3mdev;
	return true;
}

void decode_key(const struct pl_event *e, struct process_key *ret)
{
	ret->pid = e->pid;
	ret->start_ns = e->start_ns;
	ret->exec_id = e->exec_id;
}

/* "bash\0bin\0usr\0" to "/usr/bin/bash". NULL with *ret_error 0: the components make no sense. */
static char *path_join(const char *parts, size_t len, int *ret_error)
{
	char *path, *at;

	*ret_error = 0;
	if (len < 2 || parts[len - 1] != '\0')
		return NULL;
	path = malloc(len + 1);
	if (!path) {
		*ret_error = -ENOMEM;
		return NULL;
	}
	at = path;
	for (size_t end = len - 1; end > 0;) {
		size_t begin = end;

		while (begin > 0 && parts[begin - 1] != '\0')
			begin--;
		*at++ = '/';
		memcpy(at, parts + begin, end - begin);
		at += end - begin;
		end = begin ? begin - 1 : 0;
	}
	*at = '\0';
	return path;
}

static int text_take(char **where, const char *parts, size_t len, size_t max)
{
	int error = 0;

	if (*where || len > max)
		return 0;
	*where = path_join(parts, len, &error);
	return error;
}

static int exe_take(const struct pl_process *p, struct process *ret)
{
	bool had = ret->exe;
	int r = text_take(&ret->exe, p->exe, p->exe_len, sizeof(p->exe));

	if (!had)
		ret->exe_cut = ret->exe && p->exe_cut;
	return r;
}

static int args_take(const struct pl_process *p, struct process *ret)
{
	if (ret->args || !p->args_len || p->args_len > sizeof(p->args))
		return 0;
	ret->args = malloc(p->args_len);
	if (!ret->args)
		return -ENOMEM;
	memcpy(ret->args, p->args, p->args_len);
	ret->args_len = p->args_len;
	ret->args_cut = p->args_full > p->args_len;
	return 0;
}

int decode_process(const struct pl_process *p, struct process *ret)
{
	int r;

	ret->cgroup_id = p->cgroup_id;
	ret->ppid = p->ppid;
	ret->uid = p->uid;
	ret->gid = p->gid;
	memcpy(ret->comm, p->comm, sizeof(ret->comm));
	r = args_take(p, ret);
	if (!r)
		r = exe_take(p, ret);
	if (!r)
		r = p->cgroup_cut ? 0 : text_take(&ret->cgroup, p->cgroup, p->cgroup_len, sizeof(p->cgroup));
	/* The root cgroup has no components; a path without its beginning is left to /proc. */
	if (!r && !ret->cgroup && !p->cgroup_len && !p->cgroup_cut && p->cgroup_id) {
		ret->cgroup = strdup("/");
		r = ret->cgroup ? 0 : -ENOMEM;
	}
	return r;
}
