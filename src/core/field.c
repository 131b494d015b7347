/* SPDX-License-Identifier: GPL-2.0-only */
/* The table of all fields: what they are called, where their values are, and when they are there. */
#include <errno.h>
#include <sys/socket.h>

#include "core/explain.h"
#include "core/field_context.h"
#include "util/cleanup.h"
#include "util/json.h"

typedef const struct field_context context;

/* ---- words ---- */

static const char *action_word(context *c)
{
	return action_name(c->rec->action);
}

static const char *result_word(context *c)
{
	return c->rec->error ? "error" : "ok";
}

static const char *code_word(context *c)
{
	return c->v->explanation->code;
}

static const char *proto_word(context *c)
{
	return c->rec->proto ? proto_name(c->rec->proto) : NULL;
}

static const char *family_word(context *c)
{
	return c->rec->family == AF_INET ? "ipv4" : c->rec->family == AF_INET6 ? "ipv6" : NULL;
}

static const char *precision_word(context *c)
{
	return precision_name(c->rec->since_precision);
}

static const char *via_word(context *c)
{
	return c->rec->via ? via_name(c->rec->via) : NULL;
}

static const char *holder_kind_word(context *c)
{
	return holder_kind_name(c->holder->kind);
}

static const char *holder_precision_word(context *c)
{
	bool known = c->holder->since_ns && c->holder->since_precision;

	return known ? precision_name(c->holder->since_precision) : NULL;
}

static const char *holder_proto_word(context *c)
{
	bool differs = c->holder->proto && c->holder->proto != c->rec->proto;

	return differs ? proto_name(c->holder->proto) : NULL;
}

static const char *where_word(context *c)
{
	return lost_where_name(c->rec->lost_where);
}

static const char *lost_action_word(context *c)
{
	return c->rec->lost_action ? action_name(c->rec->lost_action) : NULL;
}

static const char *schema_word(context *c)
{
	return c->v->session && c->v->session->schema ? c->v->session->schema : "portlog/1";
}

static const char *kind_word(context *c)
{
	return holder_kind_name((enum holder_kind)c->rec->kind);
}

/* RFC 6335, section 6. */
static const char *range_word(context *c)
{
	return c->rec->port < 1024 ? "well-known" : c->rec->port < 49152 ? "registered" : "dynamic";
}

/* ---- values that are made ---- */

static void errno_json(struct buf *b, context *c)
{
	char scratch[16];

	json_cstring(b, errno_name(c->rec->error, scratch));
}

/* Names one exec's process for as long as the machine is up: a pid alone is used again. */
static void put_key(struct buf *b, uint32_t pid, uint64_t start_ns)
{
	buf_putc(b, '"');
	buf_u64(b, pid);
	buf_putc(b, '@');
	buf_u64(b, start_ns / 1000);
	buf_putc(b, '"');
}

static void key_json(struct buf *b, context *c)
{
	put_key(b, c->rec->pid, c->rec->start_ns);
}

static void holder_key_json(struct buf *b, context *c)
{
	put_key(b, c->holder->pid, c->holder->start_ns);
}

static bool is_odd_comm(const char comm[16])
{
	return !utf8_valid(comm, strnlen(comm, 16));
}

static void put_hex(struct buf *b, const char comm[16])
{
	static const char hex[] = "0123456789abcdef";

	buf_putc(b, '"');
	for (size_t i = 0; i < strnlen(comm, 16); i++) {
		buf_putc(b, hex[(uint8_t)comm[i] >> 4]);
		buf_putc(b, hex[comm[i] & 15]);
	}
	buf_putc(b, '"');
}

static void comm_hex_json(struct buf *b, context *c)
{
	put_hex(b, c->rec->comm);
}

static void holder_comm_hex_json(struct buf *b, context *c)
{
	put_hex(b, c->holder->comm);
}

static void closed_by_comm_hex_json(struct buf *b, context *c)
{
	put_hex(b, c->rec->closed_by_comm);
}

static void args_json(struct buf *b, context *c)
{
	field_args_json(b, c->process, c->o->args);
}

static void modifiers_json(struct buf *b, context *c)
{
	bool both =
		(c->holder->modifiers & HOLDER_DUAL_STACK) && (c->holder->modifiers & HOLDER_REUSEPORT_UID);

	buf_putc(b, '[');
	if (c->holder->modifiers & HOLDER_DUAL_STACK)
		buf_puts(b, "\"dual-stack\"");
	if (both)
		buf_putc(b, ',');
	if (c->holder->modifiers & HOLDER_REUSEPORT_UID)
		buf_puts(b, "\"reuseport-uid\"");
	buf_putc(b, ']');
}

static size_t at_most(size_t n, size_t max)
{
	return n < max ? n : max;
}

static size_t holders_shown(context *c)
{
	return at_most(c->v->n_holders, c->cut ? FIELD_LIST_SHORT : HOLDERS_SHOWN);
}

static size_t owners_shown(context *c)
{
	return at_most(c->v->n_owners, c->cut ? FIELD_LIST_SHORT : OWNERS_SHOWN);
}

static const struct field_object holder = { .name = "holder", .from = FROM_HOLDER };

static void holders_json(struct buf *b, context *c)
{
	struct field_context each = *c;

	for (size_t i = 0; i < holders_shown(c); i++) {
		field_context_holder(&each, &c->v->holders[i]);
		buf_putc(b, i ? ',' : '[');
		field_write_object(b, &holder, &each);
	}
	buf_putc(b, ']');
}

static void put_owner(struct buf *b, const struct owner *o)
{
	buf_puts(b, "{\"pid\":");
	buf_u64(b, o->pid);
	if (o->start_ns) {
		buf_puts(b, ",\"key\":");
		put_key(b, o->pid, o->start_ns);
	}
	buf_puts(b, ",\"uid\":");
	buf_u64(b, o->uid);
	if (o->comm[0]) {
		buf_puts(b, ",\"comm\":");
		json_string(b, o->comm, strnlen(o->comm, sizeof(o->comm)));
	}
	if (is_odd_comm(o->comm)) {
		buf_puts(b, ",\"comm_hex\":");
		put_hex(b, o->comm);
	}
	buf_putc(b, '}');
}

static void owners_json(struct buf *b, context *c)
{
	for (size_t i = 0; i < owners_shown(c); i++) {
		buf_putc(b, i ? ',' : '[');
		put_owner(b, &c->v->owners[i]);
	}
	buf_putc(b, ']');
}

static void owners_count_json(struct buf *b, context *c)
{
	buf_u64(b, c->v->owners_count > c->v->n_owners ? c->v->owners_count : c->v->n_owners);
}

static void free_json(struct buf *b, context *c)
{
	json_bool(b, c->rec->free == FREE_YES);
}

static void blind_json(struct buf *b, context *c)
{
	const char *const *lines = c->v->session->blind;

	buf_putc(b, '[');
	for (const char *const *line = lines; *line; line++) {
		if (line != lines)
			buf_putc(b, ',');
		json_cstring(b, *line);
	}
	buf_putc(b, ']');
}

/* ---- when they are there, beside being not 0 ---- */

static bool wants_hints(context *c)
{
	return c->o->hints;
}

static bool has_failed(context *c)
{
	return c->rec->error;
}

static bool has_asked_port(context *c)
{
	return c->rec->has_asked_port;
}

static bool is_ipv6(context *c)
{
	return c->rec->family == AF_INET6;
}

static bool has_backlog(context *c)
{
	return c->rec->has_backlog;
}

/* A row of an inventory, which knows what kind of holder it is. */
static bool is_listed(context *c)
{
	return c->rec->kind;
}

/* A socket's user is that who made it, who need not be who binds it. Nobody makes a TIME_WAIT. */
static bool has_other_uid(context *c)
{
	if (c->rec->action == ACTION_SNAPSHOT && !c->rec->has_process)
		return c->rec->kind && c->rec->kind != HOLDER_TIME_WAIT;
	return c->rec->has_process && c->rec->sock_uid != c->rec->uid &&
	       (c->rec->action != ACTION_SNAPSHOT || c->rec->kind);
}

static bool has_key(context *c)
{
	return c->rec->start_ns;
}

static bool has_comm_hex(context *c)
{
	return is_odd_comm(c->rec->comm);
}

static bool has_args(context *c)
{
	return c->process->args && c->process->args_len && c->o->args != ARGS_NONE;
}

static bool has_container(context *c)
{
	return c->process->where.container_id;
}

static bool has_pod(context *c)
{
	return c->process->where.pod_uid;
}

static bool has_holders(context *c)
{
	return c->v->n_holders > 1;
}

static bool has_modifiers(context *c)
{
	return c->holder->modifiers & (HOLDER_DUAL_STACK | HOLDER_REUSEPORT_UID);
}

static bool has_holder_pid(context *c)
{
	return c->holder->pid;
}

static bool has_holder_key(context *c)
{
	return c->holder->pid && c->holder->start_ns;
}

static bool has_holder_comm_hex(context *c)
{
	return is_odd_comm(c->holder->comm);
}

static bool has_holder_other_uid(context *c)
{
	return !c->holder->pid || c->holder->sock_uid != c->holder->uid;
}

static bool is_held(context *c)
{
	return !c->holder->last_owner;
}

static bool is_let_go(context *c)
{
	return c->holder->last_owner;
}

/* Who has it after a handoff; else one owner is in "process", and only more of them are a list. */
static bool has_owners(context *c)
{
	return c->v->n_owners > (c->rec->action == ACTION_HANDOFF ? 0 : 1);
}

static bool has_since(context *c)
{
	return c->rec->since_ns && c->rec->since_precision;
}

static bool has_precision(context *c)
{
	return c->rec->since_precision;
}

static bool has_free(context *c)
{
	return c->rec->free == FREE_YES || c->rec->free == FREE_NO;
}

static bool has_closer(context *c)
{
	return c->rec->closed_by_pid;
}

static bool has_closer_comm_hex(context *c)
{
	return is_odd_comm(c->rec->closed_by_comm);
}

static bool has_blind(context *c)
{
	return c->v->session->blind && c->v->session->blind[0];
}

/* ---- what was cut ---- */

static bool is_exe_partial(context *c)
{
	return c->process->exe_cut;
}

static bool is_args_partial(context *c)
{
	return field_args_partial(c->process, c->o->args);
}

static bool is_holder_exe_partial(context *c)
{
	return c->holder->process->exe_cut;
}

static bool is_holders_partial(context *c)
{
	return c->v->n_holders > holders_shown(c);
}

/* Up to OWNERS_SHOWN is what is promised; owners_count says how many there are. */
static bool is_owners_partial(context *c)
{
	return c->cut && c->v->n_owners > owners_shown(c);
}

static bool is_cut(const struct field *f, context *c)
{
	if (!f->cut || (!f->partial && f->cut > c->cut) || !object_is_there(f->in, c) ||
	    !field_is_there(f, c))
		return false;
	return f->cut <= c->cut || (f->partial && f->partial(c));
}

static bool has_cuts(context *c)
{
	for (size_t i = 0; i < n_fields; i++) {
		if (is_cut(&fields[i], c))
			return true;
	}
	return false;
}

static void truncated_json(struct buf *b, context *c)
{
	bool first = true;

	for (size_t i = 0; i < n_fields; i++) {
		if (!is_cut(&fields[i], c))
			continue;
		buf_putc(b, first ? '[' : ',');
		json_cstring(b, fields[i].path);
		first = false;
	}
	buf_putc(b, ']');
}

/* ---- objects, and sets of rows that are there together ---- */
/* clang-format off */

#define ON(action) (1u << ACTION_##action)
#define FLAG(member) .flag = offsetof(struct record, member)
#define CALLS (ON(BIND) | ON(LISTEN))

static const struct field_object event = { 0 };
static const struct field_object of_session = { .from = FROM_SESSION };
static const struct field_object call = { .actions = CALLS };
static const struct field_object failure = { .actions = CALLS, .has = has_failed };
static const struct field_object explained = { .actions = CALLS, .has = has_failed, .from = FROM_EXPLANATION };
static const struct field_object socket_object = { .name = "socket", FLAG(has_socket) };
static const struct field_object of_socket = { .parent = &socket_object, .from = FROM_VIEW };
static const struct field_object netns = { .name = "netns", .parent = &socket_object };
static const struct field_object of_netns = { .parent = &netns, .from = FROM_VIEW };
static const struct field_object options = { .parent = &socket_object, FLAG(has_options) };
static const struct field_object called = { .parent = &socket_object, .actions = CALLS | ON(SNAPSHOT) };
static const struct field_object listed = { .actions = ON(SNAPSHOT), .has = is_listed };
static const struct field_object listed_socket = { .parent = &socket_object, .actions = ON(SNAPSHOT), .has = is_listed };
static const struct field_object process = { .name = "process", FLAG(has_process) };
static const struct field_object user = { .parent = &process, .from = FROM_VIEW };
static const struct field_object program = { .parent = &process, .from = FROM_PROCESS };
static const struct field_object of_process = { .from = FROM_PROCESS };
static const struct field_object container = { .name = "container", .from = FROM_PROCESS, .has = has_container };
static const struct field_object k8s = { .name = "k8s", .from = FROM_PROCESS, .has = has_pod };
static const struct field_object of_holder = { .parent = &holder, .from = FROM_HOLDER_PROCESS };
static const struct field_object bound_by = { .name = "bound_by", .from = FROM_BOUND_BY };
static const struct field_object holder_bound_by = { .name = "bound_by", .parent = &holder, .from = FROM_HOLDER_BOUND_BY };
static const struct field_object since = { .actions = ~(ON(BIND) | ON(AUTOBIND)), .has = has_since };
static const struct field_object release = { .actions = ON(RELEASE) };
static const struct field_object freed = { .actions = ON(FREE) };
static const struct field_object closed_by = { .name = "closed_by", .actions = ON(RELEASE), .has = has_closer };
static const struct field_object start = { .actions = ON(START), .from = FROM_SESSION };
static const struct field_object counted = { .actions = ON(SYNCED) | ON(LOST) };
static const struct field_object synced = { .actions = ON(SYNCED) };
static const struct field_object lost = { .actions = ON(LOST) };
static const struct field_object resync = { .actions = ON(RESYNC) };
static const struct field_object run = { .actions = ON(START) | ON(STOP) };
static const struct field_object stop = { .actions = ON(STOP) };
static const struct field_object clock_step = { .actions = ON(CLOCK) };
/* clang-format on */

/* ---- the table ---- */

/* name for -F, and path: the last word of it, or said. */
#define NAMED(text, object, word) \
	.name = text, .path = object word, .key = "\"" word "\":", .key_len = sizeof("\"" word "\":") - 1
#define PATH(object, word) NAMED(word, object, word)

#define RECORD(member) offsetof(struct record, member)
#define VIEW(member) offsetof(struct view, member)
#define SESSION(member) offsetof(struct session, member)
#define PROCESS(member) offsetof(struct process, member)
#define EXPLANATION(member) offsetof(struct explanation, member)
#define HOLDER(member) offsetof(struct holder, member)
#define BOUND_BY(member) offsetof(struct bound_by, member)

/*
 * What goes when a line is too long, in this order (.cut): 1 lists keep four entries, 2 lists, 3 args, 4 reason and
 * hint, 5 holder.exe, 6 exe, 7 names of containers and pods, blind, 8 names of service, namespace and user, 9 unit,
 * ids. The rest fits, whatever bytes are in it.
 */
const struct field fields[] = {
	{ PATH("", "schema"), .in = &event, .type = FIELD_WORD, .word = schema_word,
	  .help = "version of this format: portlog/1" },
	{ PATH("", "stream"), .in = &of_session, .type = FIELD_CHARS, .at = SESSION(stream),
	  .help = "random for each start of the tracer; with seq the key of an event" },
	{ PATH("", "seq"), .in = &event, .type = FIELD_U64, .at = RECORD(seq),
	  .help = "position in the stream, from 1 and without gaps" },
	{ PATH("", "ts"), .in = &event, .type = FIELD_DATE, .at = RECORD(wall_ns), .zero = true,
	  .help = "when it happened, UTC" },
	{ PATH("", "uptime_us"), .in = &event, .type = FIELD_US, .at = RECORD(time_ns), .zero = true,
	  .help = "when it happened, microseconds since boot, suspend included" },
	{ PATH("", "boot_id"), .in = &of_session, .type = FIELD_CHARS, .at = SESSION(boot_id),
	  .help = "which boot of the machine" },
	{ PATH("", "hostname"), .in = &of_session, .type = FIELD_CHARS, .at = SESSION(hostname),
	  .help = "name of the machine" },
	{ PATH("", "action"), .in = &event, .type = FIELD_WORD, .word = action_word,
	  .help = "what happened: bind, listen, release, ..." },
	{ PATH("", "result"), .in = &call, .type = FIELD_WORD, .word = result_word,
	  .help = "bind, listen: ok or error" },
	{ PATH("", "errno"), .in = &failure, .type = FIELD_CALL, .json = errno_json,
	  .help = "why the call failed: EADDRINUSE, ..." },
	{ PATH("", "reason_code"), .in = &explained, .type = FIELD_WORD, .word = code_word,
	  .help = "why it failed, as a stable word: listener, time-wait, low-port, ..." },
	{ PATH("", "reason"), .in = &explained, .type = FIELD_CHARS, .at = EXPLANATION(reason),
	  .has = wants_hints, .cut = 4, .help = "why it failed, for people (--hints)" },
	{ PATH("", "hint"), .in = &explained, .type = FIELD_CHARS, .at = EXPLANATION(hint),
	  .has = wants_hints, .cut = 4, .help = "what to do about it, for people (--hints)" },
	{ NAMED("socket_id", "socket.", "id"), .in = &socket_object, .type = FIELD_U64,
	  .at = RECORD(socket_id),
	  .help = "seq of the first event of this socket: joins its bind, listen, release and free" },
	{ PATH("socket.", "proto"), .in = &socket_object, .type = FIELD_WORD, .word = proto_word,
	  .help = "the protocol: tcp, udp or mptcp" },
	{ PATH("socket.", "family"), .in = &socket_object, .type = FIELD_WORD, .word = family_word,
	  .help = "of the socket: ipv4 or ipv6" },
	{ PATH("socket.", "addr"), .in = &socket_object, .type = FIELD_ADDRESS, .at = RECORD(addr),
	  .help = "the address it is about: asked for when the call failed, else the one it has" },
	{ PATH("socket.", "port"), .in = &socket_object, .type = FIELD_U16, .at = RECORD(port), .zero = true,
	  .help = "the port it is about: asked for when the call failed, else the one it has" },
	{ PATH("socket.", "requested_addr"), .in = &socket_object, .type = FIELD_ADDRESS,
	  .at = RECORD(asked_addr), .help = "the address that was asked for, where addr is another" },
	{ PATH("socket.", "requested_port"), .in = &socket_object, .type = FIELD_U16,
	  .at = RECORD(asked_port), .zero = true, .has = has_asked_port,
	  .help = "the port that was asked for, where port is another (0: any)" },
	{ PATH("socket.", "service"), .in = &of_socket, .type = FIELD_STRING, .at = VIEW(service), .cut = 8,
	  .help = "name of the port in /etc/services" },
	{ NAMED("netns", "socket.netns.", "id"), .in = &netns, .type = FIELD_U32, .at = RECORD(netns),
	  .help = "network namespace: inode number" },
	{ NAMED("netns_name", "socket.netns.", "name"), .in = &of_netns, .type = FIELD_STRING,
	  .at = VIEW(netns_name), .cut = 8,
	  .help = "network namespace: host, a name of ip netns, or a container's" },
	{ PATH("socket.", "cookie"), .in = &socket_object, .type = FIELD_ID, .at = RECORD(cookie),
	  .help = "the kernel's number of the socket, as ss -e prints it" },
	{ PATH("socket.", "inode"), .in = &socket_object, .type = FIELD_U64, .at = RECORD(inode),
	  .help = "inode number of the socket's file" },
	{ PATH("socket.", "iface"), .in = &socket_object, .type = FIELD_COMM, .at = RECORD(iface),
	  .help = "interface that it is bound to" },
	{ PATH("socket.", "reuseaddr"), .in = &options, .type = FIELD_OPTION, .at = RECORD(options),
	  .bit = OPT_REUSEADDR, .zero = true, .help = "SO_REUSEADDR is set" },
	{ PATH("socket.", "reuseport"), .in = &options, .type = FIELD_OPTION, .at = RECORD(options),
	  .bit = OPT_REUSEPORT, .zero = true, .help = "SO_REUSEPORT is set" },
	{ PATH("socket.", "v6only"), .in = &options, .type = FIELD_OPTION, .at = RECORD(options),
	  .bit = OPT_V6ONLY, .zero = true, .has = is_ipv6, .help = "IPV6_V6ONLY is set; IPv6 only" },
	{ PATH("socket.", "freebind"), .in = &options, .type = FIELD_OPTION, .at = RECORD(options),
	  .bit = OPT_FREEBIND, .help = "there when IP_FREEBIND is set" },
	{ PATH("socket.", "transparent"), .in = &options, .type = FIELD_OPTION, .at = RECORD(options),
	  .bit = OPT_TRANSPARENT, .help = "there when IP_TRANSPARENT is set" },
	{ PATH("socket.", "bind_address_no_port"), .in = &options, .type = FIELD_OPTION,
	  .at = RECORD(options), .bit = OPT_NO_PORT, .help = "there when IP_BIND_ADDRESS_NO_PORT is set" },
	{ NAMED("socket_uid", "socket.", "uid"), .in = &called, .type = FIELD_U32, .at = RECORD(sock_uid),
	  .zero = true, .has = has_other_uid,
	  .help = "user of the socket's file, where it is not the process's or that is unknown" },
	{ PATH("socket.", "range"), .in = &listed_socket, .type = FIELD_WORD, .word = range_word,
	  .help = "list: well-known, registered or dynamic, by IANA's ranges" },
	{ PATH("socket.", "backlog"), .in = &socket_object, .type = FIELD_I32, .at = RECORD(backlog),
	  .zero = true, .has = has_backlog, .help = "listen: the length of its queue that was asked for" },
	{ NAMED("kernel_socket", "socket.", "kernel"), .in = &socket_object, .type = FIELD_BOOL,
	  .at = RECORD(kernel), .help = "there when it is a socket of the kernel itself" },
	{ PATH("process.", "key"), .in = &process, .type = FIELD_CALL, .has = has_key, .json = key_json,
	  .help = "pid@start in microseconds since boot: a name that is not used again" },
	{ PATH("process.", "pid"), .in = &process, .type = FIELD_U32, .at = RECORD(pid),
	  .help = "process that made the call, or that has the socket" },
	{ PATH("process.", "tid"), .in = &process, .type = FIELD_U32, .at = RECORD(tid),
	  .help = "thread that made the call" },
	{ PATH("process.", "ppid"), .in = &process, .type = FIELD_U32, .at = RECORD(ppid),
	  .help = "its parent" },
	{ PATH("process.", "uid"), .in = &process, .type = FIELD_U32, .at = RECORD(uid), .zero = true,
	  .help = "its effective user" },
	{ NAMED("user", "process.", "user_name"), .in = &user, .type = FIELD_STRING, .at = VIEW(user_name),
	  .cut = 8, .help = "name of uid" },
	{ PATH("process.", "gid"), .in = &process, .type = FIELD_U32, .at = RECORD(gid), .zero = true,
	  .help = "its effective group" },
	{ PATH("process.", "comm"), .in = &process, .type = FIELD_COMM, .at = RECORD(comm),
	  .help = "its short name, the group leader's; bad UTF-8 as U+FFFD" },
	{ PATH("process.", "comm_hex"), .in = &process, .type = FIELD_CALL, .has = has_comm_hex,
	  .json = comm_hex_json, .help = "comm in hex, when it is not UTF-8" },
	{ PATH("process.", "exe"), .in = &program, .type = FIELD_STRING, .at = PROCESS(exe), .cut = 6,
	  .partial = is_exe_partial, .help = "path of its executable" },
	{ PATH("process.", "args"), .in = &program, .type = FIELD_CALL, .has = has_args, .json = args_json,
	  .cut = 3, .partial = is_args_partial,
	  .help = "its command line, secrets masked (--args), at most 512 bytes" },
	{ PATH("", "unit"), .in = &of_process, .type = FIELD_STRING, .at = PROCESS(where.unit), .cut = 9,
	  .help = "its systemd unit" },
	{ PATH("", "cgroup_id"), .in = &event, .type = FIELD_ID, .at = RECORD(cgroup_id),
	  .help = "its cgroup v2" },
	{ NAMED("container_id", "container.", "id"), .in = &container, .type = FIELD_STRING,
	  .at = PROCESS(where.container_id), .cut = 9, .help = "its container" },
	{ NAMED("container", "container.", "name"), .in = &container, .type = FIELD_STRING,
	  .at = PROCESS(where.container_name), .cut = 7, .help = "name of its container" },
	{ NAMED("container_runtime", "container.", "runtime"), .in = &container, .type = FIELD_STRING,
	  .at = PROCESS(where.container_runtime), .cut = 7,
	  .help = "who runs it: docker, containerd, podman, ..." },
	{ PATH("k8s.", "pod_uid"), .in = &k8s, .type = FIELD_STRING, .at = PROCESS(where.pod_uid), .cut = 9,
	  .help = "its Kubernetes pod" },
	{ NAMED("pod_namespace", "k8s.", "namespace"), .in = &k8s, .type = FIELD_STRING,
	  .at = PROCESS(where.pod_namespace), .cut = 7, .help = "namespace of the pod" },
	{ PATH("k8s.", "pod"), .in = &k8s, .type = FIELD_STRING, .at = PROCESS(where.pod_name), .cut = 7,
	  .help = "name of the pod" },
	{ NAMED("bound_by.kind", "bound_by.", "kind"), .in = &bound_by, .type = FIELD_STRING,
	  .at = BOUND_BY(kind), .help = "socket-unit or docker: who takes ports for others" },
	{ NAMED("bound_by.unit", "bound_by.", "unit"), .in = &bound_by, .type = FIELD_STRING,
	  .at = BOUND_BY(unit), .cut = 9, .help = "the systemd socket unit that asked for the port" },
	{ NAMED("bound_by.service", "bound_by.", "service"), .in = &bound_by, .type = FIELD_STRING,
	  .at = BOUND_BY(service), .cut = 9, .help = "the unit that it starts" },
	{ NAMED("bound_by.container_id", "bound_by.", "container_id"), .in = &bound_by, .type = FIELD_STRING,
	  .at = BOUND_BY(container_id), .cut = 9, .help = "the container that it is published for" },
	{ NAMED("bound_by.container_name", "bound_by.", "container_name"), .in = &bound_by,
	  .type = FIELD_STRING, .at = BOUND_BY(container_name), .cut = 7, .help = "name of that container" },
	{ NAMED("holder.kind", "holder.", "kind"), .in = &holder, .type = FIELD_WORD,
	  .word = holder_kind_word, .help = "who is in the way: listener, bound, time-wait, ..." },
	{ NAMED("holder.modifiers", "holder.", "modifiers"), .in = &holder, .type = FIELD_CALL,
	  .has = has_modifiers, .json = modifiers_json,
	  .help = "what else keeps the two apart: dual-stack, reuseport-uid" },
	{ NAMED("holder.tripped", "holder.", "tripped"), .in = &holder, .type = FIELD_BOOL,
	  .at = HOLDER(tripped), .help = "there when the kernel's own check stopped at this one" },
	{ NAMED("holder.last_owner", "holder.", "last_owner"), .in = &holder, .type = FIELD_BOOL,
	  .at = HOLDER(last_owner),
	  .help = "there when the process has let go, and what it left is in the way" },
	{ NAMED("holder.pid", "holder.", "pid"), .in = &holder, .type = FIELD_U32, .at = HOLDER(pid),
	  .help = "process that has it, or had it last" },
	{ NAMED("holder.key", "holder.", "key"), .in = &holder, .type = FIELD_CALL, .has = has_holder_key,
	  .json = holder_key_json, .help = "as process.key" },
	{ NAMED("holder.comm", "holder.", "comm"), .in = &holder, .type = FIELD_COMM, .at = HOLDER(comm),
	  .help = "its short name" },
	{ NAMED("holder.comm_hex", "holder.", "comm_hex"), .in = &holder, .type = FIELD_CALL,
	  .has = has_holder_comm_hex, .json = holder_comm_hex_json,
	  .help = "comm in hex, when it is not UTF-8" },
	{ NAMED("holder.uid", "holder.", "uid"), .in = &holder, .type = FIELD_U32, .at = HOLDER(uid),
	  .zero = true, .has = has_holder_pid, .help = "its user" },
	{ NAMED("holder.socket_uid", "holder.", "socket_uid"), .in = &holder, .type = FIELD_U32,
	  .at = HOLDER(sock_uid), .has = has_holder_other_uid,
	  .help = "user of the socket's file, where it is not uid" },
	{ NAMED("holder.unit", "holder.", "unit"), .in = &of_holder, .type = FIELD_STRING,
	  .at = PROCESS(where.unit), .cut = 9, .help = "its systemd unit" },
	{ NAMED("holder.container_id", "holder.", "container_id"), .in = &of_holder, .type = FIELD_STRING,
	  .at = PROCESS(where.container_id), .cut = 7, .help = "its container" },
	{ NAMED("holder.container_name", "holder.", "container_name"), .in = &of_holder, .type = FIELD_STRING,
	  .at = PROCESS(where.container_name), .cut = 7, .help = "name of its container" },
	{ NAMED("holder.exe", "holder.", "exe"), .in = &of_holder, .type = FIELD_STRING, .at = PROCESS(exe),
	  .cut = 5, .partial = is_holder_exe_partial, .help = "path of its executable" },
	{ NAMED("holder.owners_count", "holder.", "owners_count"), .in = &holder, .type = FIELD_U32,
	  .at = HOLDER(owners_count), .help = "how many processes have it open, when more than one" },
	{ NAMED("holder.proto", "holder.", "proto"), .in = &holder, .type = FIELD_WORD,
	  .word = holder_proto_word, .help = "protocol of its socket, where it is not socket.proto" },
	{ NAMED("holder.addr", "holder.", "addr"), .in = &holder, .type = FIELD_ADDRESS, .at = HOLDER(addr),
	  .help = "address of its socket" },
	{ NAMED("holder.port", "holder.", "port"), .in = &holder, .type = FIELD_U16, .at = HOLDER(port),
	  .help = "port of its socket" },
	{ NAMED("holder.cookie", "holder.", "cookie"), .in = &holder, .type = FIELD_ID, .at = HOLDER(cookie),
	  .help = "as socket.cookie" },
	{ NAMED("holder.inode", "holder.", "inode"), .in = &holder, .type = FIELD_U64, .at = HOLDER(inode),
	  .help = "as socket.inode" },
	{ NAMED("holder.reuseaddr", "holder.", "reuseaddr"), .in = &holder, .type = FIELD_OPTION,
	  .at = HOLDER(options), .bit = OPT_REUSEADDR, .help = "there when it has SO_REUSEADDR" },
	{ NAMED("holder.reuseport", "holder.", "reuseport"), .in = &holder, .type = FIELD_OPTION,
	  .at = HOLDER(options), .bit = OPT_REUSEPORT, .help = "there when it has SO_REUSEPORT" },
	{ NAMED("holder.v6only", "holder.", "v6only"), .in = &holder, .type = FIELD_OPTION,
	  .at = HOLDER(options), .bit = OPT_V6ONLY, .help = "there when it has IPV6_V6ONLY" },
	{ NAMED("holder.since", "holder.", "since"), .in = &holder, .type = FIELD_MOMENT,
	  .at = HOLDER(since_ns), .has = is_held, .help = "when it took the port" },
	{ NAMED("holder.gone_since", "holder.", "gone_since"), .in = &holder, .type = FIELD_MOMENT,
	  .at = HOLDER(since_ns), .has = is_let_go, .help = "last_owner: when it let go" },
	{ NAMED("holder.since_precision", "holder.", "since_precision"), .in = &holder, .type = FIELD_WORD,
	  .word = holder_precision_word,
	  .help = "how that moment is known: exact, not-before or not-after it" },
	{ NAMED("holder.expires", "holder.", "expires"), .in = &holder, .type = FIELD_MOMENT,
	  .at = HOLDER(expires_ns), .help = "time-wait: when it ends by itself" },
	{ NAMED("holder.bound_by.kind", "holder.bound_by.", "kind"), .in = &holder_bound_by,
	  .type = FIELD_STRING, .at = BOUND_BY(kind),
	  .help = "socket-unit or docker: who takes ports for others" },
	{ NAMED("holder.bound_by.unit", "holder.bound_by.", "unit"), .in = &holder_bound_by,
	  .type = FIELD_STRING, .at = BOUND_BY(unit), .cut = 9,
	  .help = "the systemd socket unit that asked for the port" },
	{ NAMED("holder.bound_by.service", "holder.bound_by.", "service"), .in = &holder_bound_by,
	  .type = FIELD_STRING, .at = BOUND_BY(service), .cut = 9, .help = "the unit that it starts" },
	{ NAMED("holder.bound_by.container_id", "holder.bound_by.", "container_id"), .in = &holder_bound_by,
	  .type = FIELD_STRING, .at = BOUND_BY(container_id), .cut = 9,
	  .help = "the container that it is published for" },
	{ NAMED("holder.bound_by.container_name", "holder.bound_by.", "container_name"),
	  .in = &holder_bound_by, .type = FIELD_STRING, .at = BOUND_BY(container_name), .cut = 7,
	  .help = "name of that container" },
	{ PATH("", "holders"), .in = &event, .type = FIELD_CALL, .has = has_holders, .json = holders_json,
	  .cut = 2, .partial = is_holders_partial,
	  .help = "all who are in the way, best first, when there are more than one" },
	{ PATH("", "owners"), .in = &event, .type = FIELD_CALL, .has = has_owners, .json = owners_json,
	  .cut = 2, .partial = is_owners_partial,
	  .help = "processes that have it open, when more than one (handoff: who has it now); at most 16" },
	{ PATH("", "owners_count"), .in = &event, .type = FIELD_CALL, .has = has_owners,
	  .json = owners_count_json, .help = "how many processes have it open" },
	{ PATH("", "since"), .in = &since, .type = FIELD_MOMENT, .at = RECORD(since_ns),
	  .help = "when the port was taken" },
	{ PATH("", "since_precision"), .in = &since, .type = FIELD_WORD, .word = precision_word,
	  .help = "how that moment is known: exact, not-before or not-after it" },
	{ PATH("", "kind"), .in = &listed, .type = FIELD_WORD, .word = kind_word,
	  .help = "list: what has the port: listener, bound, time-wait, ..." },
	{ PATH("", "expires"), .in = &listed, .type = FIELD_MOMENT, .at = RECORD(expires_ns),
	  .help = "list: when a time-wait ends by itself" },
	{ PATH("", "held_us"), .in = &release, .type = FIELD_US, .at = RECORD(held_ns), .zero = true,
	  .has = has_precision, .help = "release: how long the port was held, in microseconds" },
	{ PATH("", "free"), .in = &release, .type = FIELD_CALL, .has = has_free, .json = free_json,
	  .help = "release: whether the port can be bound again now" },
	{ PATH("", "lingered_us"), .in = &freed, .type = FIELD_US, .at = RECORD(lingered_ns), .zero = true,
	  .help = "free: how long the port stayed busy after its release, in microseconds" },
	{ NAMED("closed_by", "closed_by.", "pid"), .in = &closed_by, .type = FIELD_U32,
	  .at = RECORD(closed_by_pid),
	  .help = "release: process that dropped the last reference, if another" },
	{ NAMED("closed_by_comm", "closed_by.", "comm"), .in = &closed_by, .type = FIELD_COMM,
	  .at = RECORD(closed_by_comm), .help = "its short name" },
	{ NAMED("closed_by_comm_hex", "closed_by.", "comm_hex"), .in = &closed_by, .type = FIELD_CALL,
	  .has = has_closer_comm_hex, .json = closed_by_comm_hex_json,
	  .help = "comm in hex, when it is not UTF-8" },
	{ PATH("", "tree"), .in = &event, .type = FIELD_BOOL, .at = RECORD(tree),
	  .help = "portlog run: there when a process of the command did it, not somebody else" },
	{ PATH("", "correction"), .in = &event, .type = FIELD_BOOL, .at = RECORD(correction),
	  .help = "there when a comparison with the kernel told it, not the event itself" },
	{ PATH("", "via"), .in = &event, .type = FIELD_WORD, .word = via_word, .help = "which hook told it" },
	{ PATH("", "version"), .in = &start, .type = FIELD_STRING, .at = SESSION(version),
	  .help = "start: version of portlog" },
	{ PATH("", "kernel"), .in = &start, .type = FIELD_CHARS, .at = SESSION(kernel),
	  .help = "start: release of the kernel" },
	{ PATH("", "hooks"), .in = &start, .type = FIELD_STRING, .at = SESSION(hooks),
	  .help = "start: set of hooks in use" },
	{ PATH("", "blind"), .in = &start, .type = FIELD_CALL, .has = has_blind, .json = blind_json, .cut = 7,
	  .help = "start: what these hooks cannot see" },
	{ PATH("", "pinned"), .in = &run, .type = FIELD_BOOL, .at = RECORD(pinned),
	  .help = "start: the hooks of a run before go on; nothing between them is missing; stop: they stay" },
	{ PATH("", "count"), .in = &counted, .type = FIELD_U64, .at = RECORD(count), .zero = true,
	  .help = "synced: sockets found; lost: events lost" },
	{ PATH("", "took_us"), .in = &synced, .type = FIELD_U64, .at = RECORD(took_us), .zero = true,
	  .help = "synced: how long that took, in microseconds" },
	{ PATH("", "netns_cut"), .in = &synced, .type = FIELD_U32, .at = RECORD(netns_cut),
	  .help = "synced: network namespaces that could not be looked into" },
	{ PATH("", "where"), .in = &lost, .type = FIELD_WORD, .word = where_word,
	  .help = "lost: ring, queue, map or hook; history: it misses them, this reader does not" },
	{ PATH("", "lost_action"), .in = &lost, .type = FIELD_WORD, .word = lost_action_word,
	  .help = "lost: what they were, where it is known: bind, listen, release, ..." },
	{ PATH("", "added"), .in = &resync, .type = FIELD_U64, .at = RECORD(added), .zero = true,
	  .help = "resync: sockets that were missed" },
	{ PATH("", "removed"), .in = &resync, .type = FIELD_U64, .at = RECORD(removed), .zero = true,
	  .help = "resync: sockets that were gone" },
	{ PATH("", "kept"), .in = &resync, .type = FIELD_U64, .at = RECORD(kept), .zero = true,
	  .help = "resync: sockets that were right" },
	{ PATH("", "told"), .in = &stop, .type = FIELD_U64, .at = RECORD(told), .zero = true,
	  .help = "stop: events told" },
	{ PATH("", "lost"), .in = &stop, .type = FIELD_U64, .at = RECORD(lost), .zero = true,
	  .help = "stop: events lost" },
	{ PATH("", "hidden"), .in = &stop, .type = FIELD_U64, .at = RECORD(hidden), .zero = true,
	  .help = "stop: ephemeral binds counted and not told" },
	{ PATH("", "old"), .in = &clock_step, .type = FIELD_DATE, .at = RECORD(clock_old_ns), .zero = true,
	  .help = "clock: the wall clock before the step" },
	{ PATH("", "new"), .in = &clock_step, .type = FIELD_DATE, .at = RECORD(clock_new_ns), .zero = true,
	  .help = "clock: the wall clock after it" },
	{ PATH("", "truncated"), .in = &event, .type = FIELD_CALL, .has = has_cuts, .json = truncated_json,
	  .help = "paths of fields that were shortened or left out" },
};

const size_t n_fields = ARRAY_SIZE(fields);
