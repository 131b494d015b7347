/* SPDX-License-Identifier: GPL-2.0-only */
/* The inventory: what holds ports now, taken once. */
#include "pipeline/inventory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "pipeline/inventory_state.h"
#include "source/bpf_common.h"
#include "util/cleanup.h"
#include "util/fail.h"
#include "util/loop.h"
#include "util/memory.h"
#include "util/privileges.h"

#define PROCESSES_MAX 65536
#define LEDGER_MAX 262144
#define COOKIE_KEY (1ull << 63) /* an inode is a number of 32 bits, and a cookie never grows so large */
#define TCP_STATE_LISTEN 10
#define ROWS_FEW 500
#define ROW_BYTES 1200 /* of memory that a socket takes until it is shown */

/* ---- what was not seen ---- */

void inventory_blind_add(struct inventory *inv, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;
	int n;

	if (inv->n_blind == INVENTORY_BLIND_MAX)
		return;
	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	inv->blind_texts[inv->n_blind] = text;
	inv->blind[inv->n_blind++] = text;
}

bool inventory_port_asked(const struct inventory *inv, uint16_t port)
{
	const struct filter_kernel *k = inv->o.kernel;

	return !k || !k->ports_valid || k->ports[port / 8] & 1u << (port % 8);
}

bool inventory_netns_asked(const struct inventory *inv, uint32_t inode)
{
	for (size_t i = 0; i < inv->n_netns; i++)
		if (inv->netns[i] == inode)
			return true;
	return !inv->n_netns;
}

bool inventory_connections_asked(const struct inventory *inv, uint32_t inode)
{
	return inv->o.connections && (!inv->connections_netns || inv->connections_netns == inode);
}

/* ---- entries by inode and cookie ---- */

static size_t index_slot(const struct entry_index *x, uint64_t key)
{
	size_t at = (size_t)(key * 0x9e3779b97f4a7c15ull >> 17) & (x->size - 1);

	while (x->keys[at] && x->keys[at] != key)
		at = (at + 1) & (x->size - 1);
	return at;
}

static bool index_grow(struct entry_index *x)
{
	struct entry_index bigger = { .size = x->size ? x->size * 2 : 1024, .used = x->used };

	bigger.keys = calloc(bigger.size, sizeof(*bigger.keys));
	bigger.entries = calloc(bigger.size, sizeof(struct entry *));
	if (!bigger.keys || !bigger.entries) {
		free(bigger.keys);
		free(bigger.entries);
		return false;
	}
	for (size_t i = 0; i < x->size; i++) {
		size_t at;

		if (!x->keys[i])
			continue;
		at = index_slot(&bigger, x->keys[i]);
		bigger.keys[at] = x->keys[i];
		bigger.entries[at] = x->entries[i];
	}
	free(x->keys);
	free(x->entries);
	*x = bigger;
	return true;
}

/* Out of memory: the entry is not found later, and its socket may be listed twice. */
static void index_put(struct entry_index *x, uint64_t key, struct entry *e)
{
	size_t at;

	if (!key || (x->used + 1 > x->size / 2 && !index_grow(x)))
		return;
	at = index_slot(x, key);
	x->used += x->keys[at] ? 0 : 1;
	x->keys[at] = key;
	x->entries[at] = e;
}

static struct entry *index_get(const struct entry_index *x, uint64_t key)
{
	return key && x->size ? x->entries[index_slot(x, key)] : NULL;
}

static uint64_t cookie_key(uint64_t cookie)
{
	return cookie ? cookie | COOKIE_KEY : 0;
}

struct entry *inventory_find(struct inventory *inv, const struct diag_row *row)
{
	struct entry *e = index_get(&inv->index, row->inode);

	/* The numbers of inodes begin again after 2^32. */
	if (e && e->told.netns == row->netns && e->told.port == row->port)
		return e;
	e = index_get(&inv->index, cookie_key(row->cookie));
	return e && e->told.netns == row->netns ? e : NULL;
}

void inventory_drop(struct inventory *inv, struct entry *e)
{
	if (!e)
		return;
	index_put(&inv->index, e->inode, NULL);
	index_put(&inv->index, cookie_key(e->cookie), NULL);
	ledger_release(inv->ledger, e, inv->began_ns);
}

/* ---- the ledger ---- */

struct process *inventory_intern(struct inventory *inv, const struct record *rec)
{
	return processes_of_record(inv->processes, rec);
}

struct entry *inventory_hold(struct inventory *inv, struct record *rec)
{
	struct entry *e;

	rec->wall_ns = (int64_t)rec->time_ns + inv->session.boot_offset_ns;
	e = ledger_hold(inv->ledger, rec, inventory_intern(inv, rec));
	if (!e)
		return NULL;
	index_put(&inv->index, e->inode, e);
	index_put(&inv->index, cookie_key(e->cookie), e);
	return e;
}

void inventory_bucket_keep(struct inventory *inv, const struct pl_row *row)
{
	struct port_bucket bucket;

	if (!inv->o.connections || !decode_row_bucket(row, &bucket) || bucket.l3mdev)
		return;
	for (size_t i = 0; i < inv->n_buckets; i++)
		if (inv->buckets[i].port == row->port && inv->buckets[i].netns == row->netns)
			return;
	if (!inv->buckets)
		inv->buckets = calloc(INVENTORY_BUCKETS_MAX, sizeof(*inv->buckets));
	if (!inv->buckets || inv->n_buckets == INVENTORY_BUCKETS_MAX)
		return;
	inv->buckets[inv->n_buckets++] =
		(struct bucket_of){ .netns = row->netns, .port = row->port, .bucket = bucket };
}

/* ---- what a socket is that only the others on its port tell ---- */

static bool may_be_in_flight(const struct inventory *inv, const struct entry *e)
{
	return inv->lister && !e->key.pid && !e->told.kernel && e->inode &&
	       (e->told.kind == HOLDER_LISTENER || e->told.kind == HOLDER_BOUND ||
		e->told.kind == HOLDER_SHUTDOWN);
}

/*
 * A live socket that no process has open is on its way in a message: it was found in one, or the kernel cannot say
 * (before 5.15) and nothing else explains it. Else it is unknown: a process outside of portlog's pid namespace has it, one
 * that nobody may look at, or io_uring.
 */
static enum holder_kind kind_without_owner(const struct inventory *inv)
{
	return lister_sees_flying(inv->lister) || !lister_sees_everybody(inv->lister) ? HOLDER_UNKNOWN
										      : HOLDER_IN_FLIGHT;
}

static void kind_settle(struct inventory *inv, struct entry *e, const struct served_ports *served)
{
	if (may_be_in_flight(inv, e))
		e->told.kind = (uint8_t)kind_without_owner(inv);
	if (e->told.kind != HOLDER_ACCEPTED)
		return;
	if (served_has(served, &e->told)) { /* another namespace's were asked for, or it has just come */
		if (inv->o.remains == REMAINS_UNSERVED)
			inventory_drop(inv, e);
		return;
	}
	/* Before 6.18 the kernel does not remember who connected. */
	if (enrich_port_is_ephemeral(inv->enrich, e->told.port))
		e->told.kind = HOLDER_CLIENT;
}

static int kinds_settle(struct inventory *inv)
{
	struct entry *e = ledger_next(inv->ledger, NULL), *next;
	struct served_ports served;
	int r = inventory_served(inv, &served);

	for (; r >= 0 && e; e = next) {
		next = ledger_next(inv->ledger, e);
		kind_settle(inv, e, &served);
	}
	free(served.keys);
	return r;
}

/* ---- taking it ---- */

/* Names of namespaces become numbers while they exist; one that does not is nobody's. */
static void netns_resolve(struct inventory *inv)
{
	const struct filter_kernel *k = inv->o.kernel;
	const char *one = inv->o.connections_netns;

	inv->connections_netns = one ? enrich_netns_inode(inv->enrich, one) : netns_self();
	for (size_t i = 0; k && k->netns_valid && i < k->n_netns; i++) {
		uint32_t inode = enrich_netns_inode(inv->enrich, k->netns[i]);

		if (!inode || inv->n_netns == LISTER_NETNS_MAX) {
			inv->n_netns = 0; /* a container's name is known only once its processes are */
			return;
		}
		inv->netns[inv->n_netns++] = inode;
	}
}

static int parts_make(struct inventory *inv)
{
	inv->root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	inv->proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	inv->processes = processes_new(PROCESSES_MAX);
	inv->ledger = ledger_new(LEDGER_MAX);
	if (inv->processes)
		inv->enrich = enrich_new(inv->root_fd, inv->processes);
	return inv->ledger && inv->enrich ? 0 : fail(-ENOMEM, "list sockets");
}

static void session_fill(struct inventory *inv)
{
	struct utsname kernel;

	inv->session.own_pid = (uint32_t)getpid();
	inv->session.version = PORTLOG_VERSION;
	inv->session.boot_offset_ns = clock_boot_offset_ns();
	if (!uname(&kernel))
		snprintf(inv->session.kernel, sizeof(inv->session.kernel), "%s", kernel.release);
	enrich_session(inv->enrich, &inv->session);
}

static int lister_start(struct inventory *inv)
{
	struct lister_options o = {
		.filter = inv->o.kernel,
		.n_netns = inv->n_netns,
		.connections = inv->o.connections,
	};

	memcpy(o.netns, inv->netns, sizeof(o.netns));
	return lister_open(&o, &inv->lister);
}

/* A thread that asks sock_diag: the kernel takes as long for that as for the programs. */
struct asking {
	struct inventory *inv;
	pthread_t thread;
	bool started;
	int r;
	char story[256], remedy[128];
};

static void *asking_run(void *arg)
{
	struct asking *a = arg;

	a->r = inventory_ask(a->inv);
	snprintf(a->story, sizeof(a->story), "%s", fail_story());
	snprintf(a->remedy, sizeof(a->remedy), "%s", fail_remedy());
	return NULL;
}

/* Signals are for the thread that was there before. */
static void asking_start(struct asking *a)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	a->started = !pthread_create(&a->thread, NULL, asking_run, a);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* 0, or negative errno with a story. */
static int asking_end(struct asking *a)
{
	if (!a->started)
		return inventory_ask(a->inv);
	pthread_join(a->thread, NULL);
	if (a->r >= 0)
		return 0;
	fail_text(a->r, "%s", a->story);
	return a->remedy[0] ? fail_hint(a->r, "%s", a->remedy) : a->r;
}

/* The walk over /proc takes long, and there is nothing after it to be asked. */
static int look_without_bpf(struct inventory *inv)
{
	int r = socket_owners_read(inv->proc_fd, &inv->owners);

	return r < 0 ? r : inventory_ask(inv);
}

/* Without BPF it works as well as it can; root is told why, and what helps. */
static int look_instead(struct inventory *inv, const char *why)
{
	inv->bpf = false;
	inv->lister = lister_close(inv->lister);
	inventory_ask_forget(inv);
	inventory_blind_add(inv, "options, and what /proc does not show: %s", why);
	fail_clear();
	return look_without_bpf(inv);
}

static void why_not(char *ret, size_t size)
{
	const char *remedy = fail_remedy();

	snprintf(ret, size, "%s%s%s%s", fail_story(), *remedy ? " (" : "", remedy, *remedy ? ")" : "");
}

/*
 * With BPF sock_diag is asked first: what is opened meanwhile has a file when the pass over the files comes, and what is
 * closed meanwhile is asked for again.
 */
static int look_with_bpf(struct inventory *inv)
{
	struct asking asking = { .inv = inv };
	char why[512];
	int r, loaded;

	inv->bpf = true;
	asking_start(&asking);
	loaded = lister_start(inv);
	if (loaded < 0)
		why_not(why, sizeof(why));
	r = asking_end(&asking);
	if (loaded >= 0 && r == -EMFILE) /* both take files at the same time; one alone may have enough */
		why_not(why, sizeof(why));
	if (loaded < 0 || r == -EMFILE)
		return look_instead(inv, why);
	if (r < 0)
		return r;
	if (inv->n_found > ROWS_FEW)
		memory_expect(inv->n_found * ROW_BYTES);
	lister_connections(inv->lister, inv->connection_ports);
	r = inventory_files(inv);
	if (r >= 0 || r == -ENOMEM)
		return r;
	why_not(why, sizeof(why));
	return look_instead(inv, why);
}

static int inventory_look(struct inventory *inv)
{
	inv->root = geteuid() == 0;
	return inv->root && !inv->o.no_bpf ? look_with_bpf(inv) : look_without_bpf(inv);
}

static int inventory_fill(struct inventory *inv)
{
	int r = inventory_look(inv);

	if (r >= 0)
		r = inventory_settle(inv);
	if (r >= 0)
		r = kinds_settle(inv);
	if (r < 0)
		return r;
	if (ledger_refused(inv->ledger) || inv->rows_cut)
		inventory_blind_add(inv, "%" PRIu64 " sockets: too many",
				    ledger_refused(inv->ledger) + inv->rows_cut);
	if (inv->bad_rows)
		inventory_blind_add(inv, "%" PRIu64 " records that make no sense", inv->bad_rows);
	return 0;
}

int inventory_take(const struct inventory_options *o, struct inventory **ret)
{
	struct inventory *inv = calloc(1, sizeof(*inv));
	int r;

	if (!inv)
		return fail(-ENOMEM, "list sockets");
	inv->o = *o;
	inv->o.connections = o->connections && o->kernel && o->kernel->ports_valid;
	inv->root_fd = inv->proc_fd = -1;
	inv->began_ns = clock_boot_ns();
	r = parts_make(inv);
	if (!r) {
		session_fill(inv);
		netns_resolve(inv);
		r = inventory_fill(inv);
	}
	if (r < 0) {
		inventory_free(inv);
		return fail_add(r, "look at the ports that are held");
	}
	*ret = inv;
	return 0;
}

struct inventory *inventory_free(struct inventory *inv)
{
	if (!inv)
		return NULL;
	lister_close(inv->lister);
	ledger_free(inv->ledger);
	enrich_free(inv->enrich);
	processes_free(inv->processes);
	socket_owners_done(&inv->owners);
	free(inv->index.keys);
	free(inv->index.entries);
	free(inv->rows);
	netns_list_done(&inv->namespaces);
	free(inv->found);
	free(inv->found_ends);
	free(inv->refused);
	free(inv->unknown);
	free(inv->buckets);
	for (size_t i = 0; i < inv->n_blind; i++)
		free(inv->blind_texts[i]);
	if (inv->root_fd >= 0)
		close(inv->root_fd);
	if (inv->proc_fd >= 0)
		close(inv->proc_fd);
	free(inv);
	return NULL;
}

/* ---- looking at it ---- */

struct ledger *inventory_ledger(struct inventory *inv)
{
	return inv->ledger;
}

const struct session *inventory_session(const struct inventory *inv)
{
	return &inv->session;
}

struct enrich *inventory_enrich(struct inventory *inv)
{
	return inv->enrich;
}

/* An iterator needs nobody's leave; /proc asks for each process, and with hidepid= does not even show it. */
enum reach inventory_reach(const struct inventory *inv)
{
	if (!inv->root)
		return REACH_NEEDS_ROOT;
	if (!inv->lister && inv->owners.cut)
		return REACH_NEEDS_FILES;
	if (!inv->lister && (inv->owners.refused || !privileges_has("cap_sys_ptrace")))
		return REACH_NEEDS_PTRACE;
	return bpf_own_pidns() ? REACH_OF_PIDNS : REACH_ALL;
}

bool inventory_uses_bpf(const struct inventory *inv)
{
	return inv->lister;
}

const char *const *inventory_blind(const struct inventory *inv)
{
	return inv->blind;
}

static const struct process *enriched(struct inventory *inv, struct process *p)
{
	if (p && inv->brief)
		enrich_process_where(inv->enrich, p);
	else if (p && !p->enriched)
		enrich_process(inv->enrich, p);
	return p;
}

void inventory_brief(struct inventory *inv)
{
	inv->brief = true;
}

const struct process *inventory_process(struct inventory *inv, uint32_t pid, uint64_t start_ns)
{
	return pid ? enriched(inv, processes_find_pid(inv->processes, pid, start_ns)) : NULL;
}

/* The record's own process first, then the others. */
static size_t owners_list(struct inventory *inv, const struct entry *e, struct owner *ret)
{
	size_t n = 0;

	if (e->owners_count < 2)
		return 0;
	if (e->key.pid) {
		ret[n] = (struct owner){ .pid = e->key.pid, .uid = e->told.uid, .start_ns = e->key.start_ns };
		memcpy(ret[n++].comm, e->told.comm, sizeof(ret[0].comm));
	}
	for (uint32_t i = 0; i < e->n_owners && n < LEDGER_OWNERS_MAX; i++)
		ret[n++] = e->owners[i];
	for (size_t i = 0; i < n; i++)
		ret[i].process = inventory_process(inv, ret[i].pid, ret[i].start_ns);
	return n;
}

void inventory_view(struct inventory *inv, const struct entry *e, struct owner *owners, struct view *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->rec = &e->told;
	ret->session = &inv->session;
	ret->process = enriched(inv, e->process);
	ret->owners = owners;
	ret->n_owners = owners_list(inv, e, owners);
	ret->owners_count = ret->n_owners ? e->owners_count : 0;
	enrich_view(inv->enrich, ret);
	enrich_bound_by(inv->enrich, ret);
	if (!e->told.has_process && !e->told.kernel)
		ret->user_name = enrich_user(inv->enrich, e->told.sock_uid);
}

static void holder_others(const struct entry *e, struct holder *ret)
{
	for (uint32_t i = 0; i < e->n_owners && i < HOLDER_OTHERS; i++)
		ret->others[i] = e->owners[i].pid;
}

size_t inventory_on_port(struct inventory *inv, uint32_t netns, enum proto proto, uint16_t port,
			 struct holder *ret, size_t max)
{
	struct entry *e = NULL;
	size_t n = 0;

	while ((e = ledger_on_port(inv->ledger, netns, proto, port, e))) {
		if (n < max) {
			entry_holder(e, &ret[n]);
			holder_others(e, &ret[n]);
			ret[n].process = inventory_process(inv, e->key.pid, e->key.start_ns);
		}
		n++;
	}
	return n;
}

int inventory_bucket(struct inventory *inv, uint32_t netns, uint16_t port, struct port_bucket *ret)
{
	for (size_t i = 0; i < inv->n_buckets; i++)
		if (inv->buckets[i].port == port && inv->buckets[i].netns == netns) {
			*ret = inv->buckets[i].bucket;
			return 0;
		}
	return -ENOENT;
}
