/* SPDX-License-Identifier: GPL-2.0-only */
/* The table of hooks, and the choice from it. */
#include "source/hooks.h"

#include <errno.h>
#include <string.h>

/* clang-format off */
const struct hook hooks[] = {
	{ "bind",     HOOKS_FEXIT,      { "bind4_sk", "bind6_sk" },         true },
	{ "bind",     HOOKS_FEXIT,      { "bind4_socket", "bind6_socket" }, true },
	{ "bind",     HOOKS_TRACEPOINT, { "try4", "try6", "granted4", "granted6", "call_exit:syscalls/sys_exit_bind" }, true, NULL,
	  "failed binds of the kernel's own sockets and of 32-bit programs, and who the latter are once they are gone" },
	{ "denial",   HOOKS_FEXIT,      { "bind_denied" },                  false },
	{ "denial",   HOOKS_TRACEPOINT, { NULL },                           false, "binds that a security module refuses" },
	{ "listen",   HOOKS_FEXIT,      { "listen_socket" },                true },
	{ "listen",   HOOKS_TRACEPOINT, { "call_exit:syscalls/sys_exit_listen" }, true, NULL,
	  "failed listens of the kernel's own sockets and of 32-bit programs" },
	{ "listen-sk", HOOKS_FEXIT,     { "listen_sk" },                    false },
	{ "listen-sk", HOOKS_TRACEPOINT, { NULL },                          false },
	{ "listen-denial", HOOKS_FEXIT, { "listen_denied" },                false },
	{ "listen-denial", HOOKS_TRACEPOINT, { NULL },                      false, "listens that a security module refuses" },
	{ "state",    HOOKS_ANY,        { "state_changed" },                true },
	{ "release-tcp", HOOKS_FEXIT,   { "put_port" },                     true },
	{ "release-tcp", HOOKS_TRACEPOINT, { "tcp_destroyed" },             true },
	{ "release-udp", HOOKS_FEXIT,   { "udp_unhash", "udp_disconnected" }, true },
	{ "release-udp", HOOKS_TRACEPOINT, { "udp_released" },              true, NULL,
	  "release of the kernel's own UDP sockets, and of a UDP port by connect(AF_UNSPEC)" },
	{ "conflict-tcp", HOOKS_FEXIT,  { "conflict_tcp" },                 false },
	{ "conflict-addr", HOOKS_FEXIT, { "conflict_addr" },                false },
	{ "uring",    HOOKS_TRACEPOINT, { "uring_entry" },                  false, NULL,
	  "binds through io_uring that ask for no completion (IOSQE_CQE_SKIP_SUCCESS)" },
	{ "uring",    HOOKS_TRACEPOINT, { "uring_result" },                 false, "binds and listens through io_uring",
	  "binds through io_uring that ask for no completion (IOSQE_CQE_SKIP_SUCCESS)" },
	{ "autobind", HOOKS_FEXIT,      { "auto_bound", "auto_connect4", "auto_connect6" }, false },
	{ "autobind", HOOKS_TRACEPOINT, { "auto_connect_exit:syscalls/sys_exit_connect", "auto_sendmsg4", "auto_sendmsg6" }, false, NULL,
	  "ports taken without bind through io_uring" },
	{ "tree",     HOOKS_ANY,        { "tree_forked", "tree_begun", "tree_exited" }, false },
	{ "fileless", HOOKS_ANY,        { "each_tcp", "each_udp" },         false,
	  "ports that the kernel's own sockets held before (no BPF iterators over sockets)" },
	{ "snapshot", HOOKS_ANY,        { "each_file" },                    false,
	  "release of ports that were taken before: no BPF iterator, so they were read from /proc" },
};
/* clang-format on */
const size_t n_hooks = sizeof(hooks) / sizeof(hooks[0]);

size_t hook_program_len(const char *spec)
{
	return strcspn(spec, ":");
}

static bool row_has(const struct hook *h, const char *name)
{
	for (const char *const *p = h->programs; *p; p++)
		if (hook_program_len(*p) == strlen(name) && !strncmp(*p, name, strlen(name)))
			return true;
	return false;
}

bool hook_is_optional(const char *name)
{
	for (size_t i = 0; i < n_hooks; i++)
		if (hooks[i].required && row_has(&hooks[i], name))
			return false;
	return true;
}

static bool row_available(const struct hook *h, hook_available *available, void *arg)
{
	char name[64];

	for (const char *const *p = h->programs; *p; p++) {
		size_t len = hook_program_len(*p);

		if (len >= sizeof(name))
			return false;
		memcpy(name, *p, len);
		name[len] = '\0';
		if (!available(arg, name))
			return false;
	}
	return true;
}

static bool row_allowed(const struct hook *h, enum hook_set set)
{
	return set == HOOKS_ANY || h->set == HOOKS_ANY || h->set == set;
}

/* Some events only complete another: the same set has to see both, or something would be told twice, or never. */
static const struct companion {
	const char *event;
	const char *of;
	enum hook_set set; /* needed only where @of is seen by this set; HOOKS_ANY: by the set that sees @of */
} companions[] = {
	{ "denial", "bind", HOOKS_ANY },          { "listen-sk", "listen", HOOKS_ANY },
	{ "listen-denial", "listen", HOOKS_ANY }, { "uring", "bind", HOOKS_TRACEPOINT },
	{ "uring", "listen", HOOKS_TRACEPOINT },
};

/* The set of the row chosen for @event: rows of what others go with come first in the table. */
static enum hook_set set_of(const char *event, const bool *chosen)
{
	for (size_t i = 0; i < n_hooks; i++)
		if (chosen[i] && !strcmp(hooks[i].event, event))
			return hooks[i].set;
	return HOOKS_ANY;
}

static bool row_needed(const struct hook *h, const bool *chosen)
{
	bool alone = true;

	for (size_t i = 0; i < sizeof(companions) / sizeof(companions[0]); i++) {
		const struct companion *c = &companions[i];

		if (strcmp(c->event, h->event) != 0)
			continue;
		alone = false;
		if (set_of(c->of, chosen) == (c->set == HOOKS_ANY ? h->set : c->set))
			return true;
	}
	return alone;
}

static bool event_needed(const char *event, const bool *chosen)
{
	for (size_t i = 0; i < n_hooks; i++)
		if (!strcmp(hooks[i].event, event) && row_needed(&hooks[i], chosen))
			return true;
	return false;
}

int hooks_choose(enum hook_set set, hook_available *available, void *arg, bool *chosen,
		 const char **ret_missing)
{
	memset(chosen, 0, n_hooks * sizeof(*chosen));
	for (size_t i = 0; i < n_hooks;) {
		size_t end = i;
		bool found = false;

		for (; end < n_hooks && !strcmp(hooks[end].event, hooks[i].event); end++) {
			chosen[end] = !found && row_allowed(&hooks[end], set) &&
				      row_needed(&hooks[end], chosen) &&
				      row_available(&hooks[end], available, arg);
			found = found || chosen[end];
		}
		if (!found && hooks[i].required) {
			*ret_missing = hooks[i].event;
			return -ENOTSUP;
		}
		i = end;
	}
	return 0;
}

const char *hooks_name(const bool *chosen)
{
	bool seen[N_HOOK_SETS] = { false };

	for (size_t i = 0; i < n_hooks; i++)
		if (chosen[i] && hooks[i].programs[0])
			seen[hooks[i].set] = true;
	if (seen[HOOKS_FEXIT] && seen[HOOKS_TRACEPOINT])
		return "mixed";
	return seen[HOOKS_FEXIT] ? "fexit" : "tracepoint";
}

size_t hooks_blind(const bool *chosen, const char **ret, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < n_hooks; i++) {
		bool last = i + 1 == n_hooks || strcmp(hooks[i].event, hooks[i + 1].event) != 0;
		bool any = false;

		if (chosen[i] && hooks[i].blind && n < max)
			ret[n++] = hooks[i].blind;
		for (size_t k = 0; k <= i; k++)
			any = any || (chosen[k] && !strcmp(hooks[k].event, hooks[i].event));
		if (last && !any && hooks[i].without && event_needed(hooks[i].event, chosen) && n < max)
			ret[n++] = hooks[i].without;
	}
	ret[n] = NULL;
	return n;
}
