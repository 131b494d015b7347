/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The table of situations: each is played by a process of its own in the test's network namespace, while a portlog
 * watches that namespace; what it must tell is written beside it.
 *
 * How an expected event is written: words with spaces between.
 *
 *	bind tcp 127.0.0.1:5001           action, protocol, endpoint the event is about
 *	bind!EADDRINUSE udp [::1]:@port   failed with that errno; @port is what the player noted under that name
 *	listen tcp *:5001                 any address; "-" for the whole endpoint: not looked at
 *	fexit: release udp ...            only with that set of hooks: the other cannot see it
 *	#a                                the socket called a: its events share socket.id (default: its endpoint)
 *	*4  *@n                           so many times
 *	kind=bound  code!=lsm             a field (a short name of expect.c, or a path) has, has not that text
 *	kind=in-flight|unknown            one of them; "-" among them: may be absent
 *	+cookie  -requested_port          is there, is not there
 *
 * Unless said otherwise an event is of the player's process (pid=@self comm=@comm, exe and uid at a bind or listen),
 * in the test's namespace.
 */
#ifndef ACTOR_H
#define ACTOR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#define EXPECT_MAX 24

/* flags of a situation */
#define ANY_ORDER 0x1u     /* sockets are told in any order; each socket's own events are not */
#define UNFILTERED 0x2u    /* portlog watches every namespace */
#define STARTS_TRACER 0x4u /* portlog is not started before the player asks for it: start_tracer() */
#define SLOW 0x8u          /* only with --slow */

#define STOPS_LISTENING \
	0x10u /* a listener is shut down: bound from then on, which older kernels do not list */

struct situation {
	const char *name;
	const char *(*missing)(
		void); /* why it cannot be played here, or NULL; a NULL function: it always can */
	void (*play)(void);
	const char *expect[EXPECT_MAX];
	unsigned flags;
	const char *options;     /* of portlog, words with spaces between; NULL: none */
	uint16_t forgotten_port; /* with tracepoint hooks the release of it is not seen */
};

/* clang-format off */
#define TABLES(X) \
	X(calls) X(errors) X(port0) X(release) X(holders) X(owners) X(options) X(disconnect) X(process) X(uring) \
	X(mptcp) X(race) X(policy) X(kernel) X(namespaces) X(before)
/* clang-format on */

#define DECLARE_TABLE(name)                                \
	extern const struct situation name##_situations[]; \
	extern const size_t n_##name##_situations;
TABLES(DECLARE_TABLE)

/* Ends each file of situations. */
#define TABLE_SIZE(name) \
	const size_t n_##name##_situations = sizeof(name##_situations) / sizeof(name##_situations[0])

#endif
