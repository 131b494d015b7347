/* SPDX-License-Identifier: GPL-2.0-only */
/* The ledger. */
#include "core/ledger.h"

#include <stdlib.h>
#include <string.h>

#define PAST_MAX 4096
#define PAST_BUCKETS 4096
#define TCP_STATE_ESTABLISHED 1
#define TCP_STATE_LISTEN 10

struct port_key {
	uint32_t netns;
	uint16_t port;
	bool udp;
};

/* Links are index + 1; 0: none. */
struct past {
	struct port_key key;
	struct past_owner owner;
	uint32_t next; /* in its bucket */
	uint32_t older, newer;
};

struct ledger {
	struct entry **by_sk; /* keys without sk are there by cookie */
	struct entry **by_port;
	struct entry **by_pid;
	struct entry *first, *last;
	size_t mask;
	size_t count;
	size_t max;
	uint64_t refused;
	struct past *past;
	uint32_t past_heads[PAST_BUCKETS];
	uint32_t past_used;
	uint32_t past_oldest, past_newest;
};

static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdull;
	x ^= x >> 29;
	return x;
}

static struct port_key port_key(uint32_t netns, enum proto proto, uint16_t port)
{
	struct port_key key = { .netns = netns, .port = port, .udp = proto == PROTO_UDP };

	return key;
}

static bool port_equal(const struct port_key *a, const struct port_key *b)
{
	return a->netns == b->netns && a->port == b->port && a->udp == b->udp;
}

static uint64_t port_hash(const struct port_key *key)
{
	return mix((uint64_t)key->netns << 32 | (uint64_t)key->port << 1 | key->udp);
}

static struct port_key entry_port(const struct entry *e)
{
	return port_key(e->told.netns, e->told.proto, e->told.port);
}

static uint64_t sk_hash(uint64_t sk, uint64_t cookie)
{
	return mix(sk ? sk : cookie);
}

struct ledger *ledger_new(size_t max)
{
	struct ledger *led = calloc(1, sizeof(*led));
	size_t buckets = 256;

	if (!led)
		return NULL;
	while (buckets < max / 2 && buckets < 65536)
		buckets *= 2;
	led->mask = buckets - 1;
	led->max = max;
	led->by_sk = calloc(buckets, sizeof(struct entry *));
	led->by_port = calloc(buckets, sizeof(struct entry *));
	led->by_pid = calloc(buckets, sizeof(struct entry *));
	led->past = calloc(PAST_MAX, sizeof(*led->past));
	if (!led->by_sk || !led->by_port || !led->by_pid || !led->past)
		return ledger_free(led);
	return led;
}

static void entry_free(struct entry *e)
{
	process_unref(e->process);
	free(e->owners);
	free(e);
}

struct ledger *ledger_free(struct ledger *led)
{
	struct entry *e, *next;

	if (!led)
		return NULL;
	for (e = led->first; e; e = next) {
		next = e->all_next;
		entry_free(e);
	}
	for (size_t i = 0; led->past && i < PAST_MAX; i++)
		process_unref(led->past[i].owner.process);
	free(led->by_sk);
	free(led->by_port);
	free(led->by_pid);
	free(led->past);
	free(led);
	return NULL;
}

struct entry *ledger_find(struct ledger *led, uint64_t sk)
{
	struct entry *e = sk ? led->by_sk[sk_hash(sk, 0) & led->mask] : NULL;

	while (e && e->sk != sk)
		e = e->by_sk_next;
	return e;
}

struct entry *ledger_find_cookie(struct ledger *led, uint64_t cookie)
{
	struct entry *e = cookie ? led->by_sk[sk_hash(0, cookie) & led->mask] : NULL;

	while (e && (e->sk || e->cookie != cookie))
		e = e->by_sk_next;
	return e;
}

static struct entry **port_bucket(struct ledger *led, const struct port_key *key)
{
	return &led->by_port[port_hash(key) & led->mask];
}

static void port_link(struct ledger *led, struct entry *e)
{
	struct port_key key = entry_port(e);
	struct entry **bucket = port_bucket(led, &key);

	e->by_port_next = *bucket;
	e->by_port_at = bucket;
	if (*bucket)
		(*bucket)->by_port_at = &e->by_port_next;
	*bucket = e;
}

static void port_unlink(struct entry *e)
{
	*e->by_port_at = e->by_port_next;
	if (e->by_port_next)
		e->by_port_next->by_port_at = e->by_port_at;
}

static struct entry **pid_bucket(struct ledger *led, uint32_t pid)
{
	return &led->by_pid[mix(pid) & led->mask];
}

static void pid_link(struct ledger *led, struct entry *e)
{
	struct entry **bucket = pid_bucket(led, e->key.pid);

	e->by_pid_next = *bucket;
	e->by_pid_at = bucket;
	if (*bucket)
		(*bucket)->by_pid_at = &e->by_pid_next;
	*bucket = e;
}

static void pid_unlink(struct entry *e)
{
	*e->by_pid_at = e->by_pid_next;
	if (e->by_pid_next)
		e->by_pid_next->by_pid_at = e->by_pid_at;
}

static void all_link(struct ledger *led, struct entry *e)
{
	e->all_prev = led->last;
	if (led->last)
		led->last->all_next = e;
	else
		led->first = e;
	led->last = e;
	led->count++;
}

static void all_unlink(struct ledger *led, struct entry *e)
{
	if (e->all_prev)
		e->all_prev->all_next = e->all_next;
	else
		led->first = e->all_next;
	if (e->all_next)
		e->all_next->all_prev = e->all_prev;
	else
		led->last = e->all_prev;
	led->count--;
}

static void entry_unlink(struct ledger *led, struct entry *e)
{
	struct entry **at = &led->by_sk[sk_hash(e->sk, e->cookie) & led->mask];

	while (*at && *at != e)
		at = &(*at)->by_sk_next;
	if (*at)
		*at = e->by_sk_next;
	port_unlink(e);
	pid_unlink(e);
	all_unlink(led, e);
}

/* A chain that is being walked must not change under an update that leaves the port as it was. */
static void entry_set_port(struct ledger *led, struct entry *e, uint16_t port)
{
	if (e->told.port == port)
		return;
	port_unlink(e);
	e->told.port = port;
	port_link(led, e);
}

/* What a later record of the same socket changes: a listen after a bind knows the port of a bind to port 0, and more. */
static void entry_update(struct ledger *led, struct entry *e, const struct record *rec)
{
	entry_set_port(led, e, rec->port);
	e->told.addr = rec->addr;
	e->told.state = rec->state;
	e->told.options = rec->options;
	if (rec->cookie)
		e->told.cookie = e->cookie = rec->cookie;
	if (rec->inode)
		e->told.inode = e->inode = rec->inode;
	if (rec->action == ACTION_LISTEN)
		e->listened = true;
}

static struct entry *entry_new(struct ledger *led, const struct record *rec, struct process *process)
{
	struct entry *e, **bucket;

	/* Without any key it could never be found again. */
	e = led->count < led->max && (rec->sk || rec->cookie) ? calloc(1, sizeof(*e)) : NULL;
	if (!e) {
		led->refused++;
		return NULL;
	}
	e->sk = rec->sk;
	e->tracked_ns = rec->tracked_ns;
	e->since_ns = rec->since_ns ? rec->since_ns : rec->time_ns;
	e->cookie = rec->cookie;
	e->inode = rec->inode;
	e->process = process_ref(process);
	e->key.pid = rec->pid;
	e->key.start_ns = rec->start_ns;
	e->key.exec_id = rec->exec_id;
	e->told = *rec;
	e->told.since_ns = e->since_ns;
	e->owners_count = rec->pid ? 1 : 0;
	e->listened = rec->action == ACTION_LISTEN || rec->state == TCP_STATE_LISTEN;
	bucket = &led->by_sk[sk_hash(e->sk, e->cookie) & led->mask];
	e->by_sk_next = *bucket;
	*bucket = e;
	port_link(led, e);
	pid_link(led, e);
	all_link(led, e);
	return e;
}

bool entry_is_stale(const struct entry *e, const struct record *rec)
{
	return e->tracked_ns && rec->tracked_ns && e->tracked_ns != rec->tracked_ns;
}

struct entry *ledger_hold(struct ledger *led, const struct record *rec, struct process *process)
{
	struct entry *e = rec->sk ? ledger_find(led, rec->sk) : ledger_find_cookie(led, rec->cookie);

	if (!e)
		return entry_new(led, rec, process);
	entry_update(led, e, rec);
	return e;
}

static uint32_t *past_head(struct ledger *led, const struct port_key *key)
{
	return &led->past_heads[port_hash(key) % PAST_BUCKETS];
}

static void past_unlink(struct ledger *led, uint32_t index)
{
	uint32_t *at = past_head(led, &led->past[index].key);

	while (*at && *at != index + 1)
		at = &led->past[*at - 1].next;
	if (*at)
		*at = led->past[index].next;
}

static void past_age_unlink(struct ledger *led, const struct past *p)
{
	*(p->older ? &led->past[p->older - 1].newer : &led->past_oldest) = p->newer;
	*(p->newer ? &led->past[p->newer - 1].older : &led->past_newest) = p->older;
}

static void past_age_link(struct ledger *led, struct past *p)
{
	uint32_t link = (uint32_t)(p - led->past) + 1;

	p->older = led->past_newest;
	p->newer = 0;
	*(p->older ? &led->past[p->older - 1].newer : &led->past_oldest) = link;
	led->past_newest = link;
}

static struct past *past_find(struct ledger *led, const struct port_key *key)
{
	for (uint32_t at = *past_head(led, key); at; at = led->past[at - 1].next)
		if (port_equal(&led->past[at - 1].key, key))
			return &led->past[at - 1];
	return NULL;
}

/* Returns the place that it had. */
static uint32_t past_forget_oldest(struct ledger *led)
{
	uint32_t index = led->past_oldest - 1;

	past_unlink(led, index);
	past_age_unlink(led, &led->past[index]);
	process_unref(led->past[index].owner.process);
	return index;
}

static struct past *past_new(struct ledger *led, const struct port_key *key)
{
	uint32_t *head = past_head(led, key);
	uint32_t index = led->past_used;
	struct past *p;

	if (led->past_used < PAST_MAX)
		led->past_used++;
	else
		index = past_forget_oldest(led);
	p = &led->past[index];
	memset(p, 0, sizeof(*p));
	p->key = *key;
	p->next = *head;
	*head = index + 1;
	past_age_link(led, p);
	return p;
}

/* The one that went last is the newest, also when the port has been here before. */
static struct past *past_renew(struct ledger *led, struct past *p)
{
	past_age_unlink(led, p);
	past_age_link(led, p);
	return p;
}

/* An owner that is not known must not leave the one before it standing as the last. */
static void past_remember(struct ledger *led, const struct entry *e, uint64_t now_ns)
{
	struct port_key key = entry_port(e);
	struct past *p = past_find(led, &key);

	if (!p && !e->key.pid)
		return;
	p = p ? past_renew(led, p) : past_new(led, &key);
	process_ref(e->process);
	process_unref(p->owner.process);
	p->owner.process = e->process;
	p->owner.gone_ns = now_ns;
	p->owner.since_ns = e->since_ns;
	p->owner.id = e->id;
	p->owner.pid = e->key.pid;
	p->owner.uid = e->told.uid;
	p->owner.start_ns = e->key.start_ns;
	p->owner.exec_id = e->key.exec_id;
	memcpy(p->owner.comm, e->told.comm, sizeof(p->owner.comm));
}

void ledger_release(struct ledger *led, struct entry *e, uint64_t now_ns)
{
	past_remember(led, e, now_ns);
	entry_unlink(led, e);
	entry_free(e);
}

bool entry_owner_add(struct entry *e, const struct owner *owner)
{
	struct owner *more;

	if (owner->pid == e->key.pid && !e->handed)
		return false;
	for (uint32_t i = 0; i < e->n_owners; i++)
		if (e->owners[i].pid == owner->pid)
			return false;
	e->owners_count++;
	if (e->n_owners >= LEDGER_OWNERS_MAX - 1)
		return false;
	more = realloc(e->owners, (e->n_owners + 1) * sizeof(*more));
	if (!more)
		return false;
	e->owners = more;
	e->owners[e->n_owners++] = *owner;
	return true;
}

enum holder_kind record_holder_kind(const struct record *rec, bool listened)
{
	if (rec->kind)
		return (enum holder_kind)rec->kind;
	if (rec->kernel)
		return HOLDER_KERNEL;
	if (rec->proto == PROTO_UDP || rec->state == TCP_STATE_LISTEN)
		return HOLDER_LISTENER;
	return listened ? HOLDER_SHUTDOWN : HOLDER_BOUND;
}

bool record_is_connected(const struct record *rec)
{
	return rec->proto == PROTO_UDP && rec->state == TCP_STATE_ESTABLISHED;
}

void entry_holder(const struct entry *e, struct holder *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->kind = record_holder_kind(&e->told, e->listened);
	ret->proto = e->told.proto;
	ret->options = e->told.options;
	ret->has_options = e->told.has_options;
	ret->explicit_port = e->told.explicit_port;
	ret->v6only = e->told.v6only;
	ret->bhash2 = e->told.bhash2;
	ret->by_family = e->told.by_family;
	ret->sk = e->sk;
	ret->cookie = e->cookie;
	ret->inode = e->inode;
	ret->since_ns = e->since_ns;
	ret->since_precision = e->told.since_precision;
	ret->expires_ns = e->told.expires_ns;
	ret->addr = e->told.addr;
	ret->port = e->told.port;
	ret->family = e->told.family;
	ret->state = e->told.state;
	ret->ifindex = e->told.ifindex;
	ret->l3mdev = e->told.l3mdev;
	ret->sock_uid = e->told.sock_uid;
	ret->pid = e->key.pid;
	ret->uid = e->told.uid;
	ret->owners_count = e->owners_count > 1 ? e->owners_count : 0;
	for (uint32_t i = 0; i < e->n_owners; i++)
		ret->init_too = ret->init_too || e->owners[i].pid == 1;
	ret->start_ns = e->key.start_ns;
	ret->exec_id = e->key.exec_id;
	memcpy(ret->comm, e->told.comm, sizeof(ret->comm));
}

struct entry *ledger_on_port(struct ledger *led, uint32_t netns, enum proto proto, uint16_t port,
			     struct entry *after)
{
	struct port_key key = port_key(netns, proto, port);
	struct entry *e = after ? after->by_port_next : *port_bucket(led, &key);

	for (; e; e = e->by_port_next) {
		struct port_key own = entry_port(e);

		if (port_equal(&own, &key))
			break;
	}
	return e;
}

struct entry *ledger_of_pid(struct ledger *led, uint32_t pid, struct entry *after)
{
	struct entry *e = after ? after->by_pid_next : *pid_bucket(led, pid);

	while (e && e->key.pid != pid)
		e = e->by_pid_next;
	return e;
}

struct entry *ledger_next(struct ledger *led, struct entry *after)
{
	return after ? after->all_next : led->first;
}

const struct past_owner *ledger_past(struct ledger *led, uint32_t netns, enum proto proto, uint16_t port)
{
	struct port_key key = port_key(netns, proto, port);
	struct past *p = past_find(led, &key);

	return p && p->owner.pid ? &p->owner : NULL;
}

void ledger_forget_past(struct ledger *led, uint32_t netns, enum proto proto, uint16_t port)
{
	struct port_key key = port_key(netns, proto, port);
	struct past *p = past_find(led, &key);

	if (p)
		p->owner.pid = 0;
}

size_t ledger_count(const struct ledger *led)
{
	return led->count;
}

uint64_t ledger_refused(const struct ledger *led)
{
	return led->refused;
}
