/* SPDX-License-Identifier: GPL-2.0-only */
/* A filter's tree against a view, and the table of keywords: what each is called, takes and looks at. */
#include "core/filter_tree.h"

#include <sys/socket.h>
#include <string.h>

#include "core/field.h"
#include "core/process.h"

#define COMM_MAX 15
#define CONTAINER_PREFIX_MIN 4 /* digits of a container's id: fewer are a name */

static const char *proto_word(uint32_t value, char scratch[16])
{
	(void)scratch;
	return value == PROTO_NONE ? NULL : proto_name((enum proto)value);
}

static const char *family_word(uint32_t value, char scratch[16])
{
	(void)scratch;
	return value == AF_INET ? "ipv4" : value == AF_INET6 ? "ipv6" : NULL;
}

static const char *action_word(uint32_t value, char scratch[16])
{
	(void)scratch;
	return value == ACTION_NONE ? NULL : action_name((enum action)value);
}

static const char *errno_word(uint32_t value, char scratch[16])
{
	return value ? errno_name((int)value, scratch) : NULL;
}

static bool in_range(const struct filter_value *value, uint32_t number)
{
	return value->lo <= number && number <= value->hi;
}

/* `*` and `?`; one step back at most for each byte, so a hostile pattern costs no more than length times length. */
static bool glob_match(const char *pattern, const char *text, size_t len)
{
	const char *end = text + len, *star = NULL, *retry = NULL;

	while (text < end) {
		if (*pattern == '*') {
			star = ++pattern;
			retry = text;
		} else if (*pattern != '\0' && (*pattern == '?' || *pattern == *text)) {
			pattern++;
			text++;
		} else if (star) {
			pattern = star;
			text = ++retry;
		} else {
			return false;
		}
	}
	return pattern[strspn(pattern, "*")] == '\0';
}

static bool glob_match_text(const char *pattern, const char *text)
{
	return text && glob_match(pattern, text, strlen(text));
}

static bool is_glob(const char *text)
{
	return strpbrk(text, "*?") != NULL;
}

static bool match_port(const struct filter_value *value, const struct view *view)
{
	const struct record *rec = view->rec;

	return rec->has_socket &&
	       (in_range(value, rec->port) || (rec->has_asked_port && in_range(value, rec->asked_port)));
}

static bool match_proto(const struct filter_value *value, const struct view *view)
{
	return in_range(value, view->rec->proto);
}

static bool match_family(const struct filter_value *value, const struct view *view)
{
	return in_range(value, view->rec->family);
}

/* The first @bits of both are equal. */
static bool bits_equal(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	unsigned rest = bits % 8;

	if (memcmp(a, b, bits / 8) != 0)
		return false;
	return !rest || (uint8_t)((a[bits / 8] ^ b[bits / 8]) >> (8 - rest)) == 0;
}

/* An IPv4 prefix also holds the addresses that an IPv6 socket writes as ::ffff:a.b.c.d. */
static bool prefix_holds(const struct filter_value *value, const struct address *addr)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (addr->family == value->addr.family)
		return bits_equal(addr->bytes, value->addr.bytes, value->bits);
	return addr->family == AF_INET6 && value->addr.family == AF_INET &&
	       memcmp(addr->bytes, mapped, sizeof(mapped)) == 0 &&
	       bits_equal(addr->bytes + sizeof(mapped), value->addr.bytes, value->bits);
}

static bool match_addr(const struct filter_value *value, const struct view *view)
{
	return prefix_holds(value, &view->rec->addr) || prefix_holds(value, &view->rec->asked_addr);
}

static bool match_action(const struct filter_value *value, const struct view *view)
{
	return in_range(value, view->rec->action);
}

static bool match_failed(const struct filter_value *value, const struct view *view)
{
	(void)value;
	return view->rec->error != 0;
}

static bool match_errno(const struct filter_value *value, const struct view *view)
{
	return view->rec->error > 0 && in_range(value, (uint32_t)view->rec->error);
}

static bool match_netns(const struct filter_value *value, const struct view *view)
{
	uint32_t netns = view->rec->netns;

	if (value->is_number)
		return netns && netns == value->lo;
	if (strcmp(value->text, "host") == 0 && view->session && netns && netns == view->session->host_netns)
		return true;
	return glob_match_text(value->text, view->netns_name);
}

static bool match_pid(const struct filter_value *value, const struct filter_who *who)
{
	return in_range(value, who->pid);
}

static bool match_uid(const struct filter_value *value, const struct filter_who *who)
{
	return in_range(value, who->uid);
}

static bool match_user(const struct filter_value *value, const struct filter_who *who)
{
	if (value->is_number)
		return who->uid == value->lo;
	return glob_match_text(value->text, who->user_name);
}

/* The kernel keeps 15 bytes of a name, so of a longer one the first 15 are compared. */
static bool match_comm(const struct filter_value *value, const struct filter_who *who)
{
	size_t len = strnlen(who->comm, COMM_MAX + 1);

	if (is_glob(value->text) || strlen(value->text) <= COMM_MAX)
		return glob_match(value->text, who->comm, len);
	return len == COMM_MAX && memcmp(value->text, who->comm, COMM_MAX) == 0;
}

/* Without a slash it is the file's name, wherever that lies. */
static bool match_exe(const struct filter_value *value, const struct filter_who *who)
{
	const char *exe = who->process ? who->process->exe : NULL;
	const char *slash = exe && !strchr(value->text, '/') ? strrchr(exe, '/') : NULL;

	return glob_match_text(value->text, slash ? slash + 1 : exe);
}

/* As in systemctl, `nginx` is nginx.service. */
static bool match_unit(const struct filter_value *value, const struct filter_who *who)
{
	const char *unit = who->process ? who->process->where.unit : NULL;
	size_t len = strlen(value->text);

	if (!unit)
		return false;
	if (glob_match_text(value->text, unit))
		return true;
	return !strchr(value->text, '.') && strncmp(unit, value->text, len) == 0 &&
	       strcmp(unit + len, ".service") == 0;
}

static bool match_container(const struct filter_value *value, const struct filter_who *who)
{
	const struct cgroup_info *where = who->process ? &who->process->where : NULL;
	size_t len = strlen(value->text);

	if (!where)
		return false;
	if (glob_match_text(value->text, where->container_name) ||
	    glob_match_text(value->text, where->container_id))
		return true;
	return where->container_id && len >= CONTAINER_PREFIX_MIN &&
	       strncmp(where->container_id, value->text, len) == 0;
}

static bool match_cgroup(const struct filter_value *value, const struct filter_who *who)
{
	return who->process && glob_match_text(value->text, who->process->cgroup);
}

/* clang-format off */
const struct filter_keyword filter_keys[N_FILTER_KEYS] = {
	[KEY_PORT]      = { "port",      VALUE_NUMBER, "a port",              65535,         NULL,        match_port,   NULL },
	[KEY_PROTO]     = { "proto",     VALUE_WORD,   "a protocol",          PROTO_MPTCP,   proto_word,  match_proto,  NULL },
	[KEY_FAMILY]    = { "family",    VALUE_WORD,   "an address family",   AF_INET6,      family_word, match_family, NULL },
	[KEY_ADDR]      = { "addr",      VALUE_PREFIX, "an address",          0,             NULL,        match_addr,   NULL },
	[KEY_ACTION]    = { "action",    VALUE_WORD,   "an action",           N_ACTIONS - 1, action_word, match_action, NULL },
	[KEY_FAILED]    = { "failed",    VALUE_NONE,   NULL,                  0,             NULL,        match_failed, NULL },
	[KEY_ERRNO]     = { "errno",     VALUE_WORD,   "an error",            133,           errno_word,  match_errno,  NULL },
	[KEY_PID]       = { "pid",       VALUE_NUMBER, "a pid",               UINT32_MAX,    NULL,        NULL, match_pid },
	[KEY_COMM]      = { "comm",      VALUE_GLOB,   "a process name",      0,             NULL,        NULL, match_comm },
	[KEY_EXE]       = { "exe",       VALUE_GLOB,   "a program's path",    0,             NULL,        NULL, match_exe },
	[KEY_USER]      = { "user",      VALUE_GLOB,   "a user",              0,             NULL,        NULL, match_user },
	[KEY_UID]       = { "uid",       VALUE_NUMBER, "a uid",               UINT32_MAX,    NULL,        NULL, match_uid },
	[KEY_UNIT]      = { "unit",      VALUE_GLOB,   "a unit",              0,             NULL,        NULL, match_unit },
	[KEY_CONTAINER] = { "container", VALUE_GLOB,   "a container",         0,             NULL,        NULL, match_container },
	[KEY_CGROUP]    = { "cgroup",    VALUE_GLOB,   "a cgroup's path",     0,             NULL,        NULL, match_cgroup },
	[KEY_NETNS]     = { "netns",     VALUE_GLOB,   "a network namespace", 0,             NULL,        match_netns,  NULL },
};
/* clang-format on */

/* Some process of @view is what one of the values says: the one that the record names, or one that has the socket open. */
static bool test_who(const struct filter_node *node, const struct filter_who *who)
{
	for (size_t i = 0; i < node->n_values; i++) {
		if (filter_keys[node->key].match_who(&node->values[i], who))
			return true;
	}
	return false;
}

static bool has_owners(enum action action)
{
	return action == ACTION_SNAPSHOT || action == ACTION_HANDOFF;
}

static bool test_processes(const struct filter_node *node, const struct view *view)
{
	const struct record *rec = view->rec;
	struct filter_who who = { rec->pid, rec->uid, view->user_name, rec->comm, view->process };

	if (rec->has_process && test_who(node, &who))
		return true;
	for (size_t i = 0; has_owners(rec->action) && i < view->n_owners; i++) {
		const struct owner *o = &view->owners[i];

		who = (struct filter_who){ o->pid, o->uid, NULL, o->comm, o->process };
		if (rec->has_process && o->uid == rec->uid)
			who.user_name = view->user_name;
		if (test_who(node, &who))
			return true;
	}
	return false;
}

static bool test_match(const struct filter_node *node, const struct view *view)
{
	const struct filter_keyword *key = &filter_keys[node->key];

	if (key->match_who)
		return test_processes(node, view);
	if (key->type == VALUE_NONE)
		return key->match(NULL, view);
	for (size_t i = 0; i < node->n_values; i++) {
		if (key->match(&node->values[i], view))
			return true;
	}
	return false;
}

static bool node_match(const struct filter_node *node, const struct view *view)
{
	bool any = node->op == NODE_OR;

	if (node->op == NODE_TEST)
		return test_match(node, view);
	if (node->op == NODE_NOT)
		return !node_match(node->child, view);
	for (const struct filter_node *child = node->child; child; child = child->next) {
		if (node_match(child, view) == any)
			return any;
	}
	return !any;
}

static bool is_bookkeeping(enum action action)
{
	switch (action) {
	case ACTION_START:
	case ACTION_STOP:
	case ACTION_SYNCED:
	case ACTION_LOST:
	case ACTION_RESYNC:
	case ACTION_CLOCK:
		return true;
	default:
		return false;
	}
}

bool filter_is_empty(const struct filter *f)
{
	return !f || !f->root;
}

bool filter_match(const struct filter *f, const struct view *view)
{
	return filter_is_empty(f) || is_bookkeeping(view->rec->action) || node_match(f->root, view);
}
