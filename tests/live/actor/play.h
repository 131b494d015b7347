/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a player may do. Every call that the kernel does not answer as the situation needs ends the player, and the
 * situation fails saying which it was.
 */
#ifndef PLAY_H
#define PLAY_H

#include "live/actor/actor.h"

/* End this player: the situation cannot be made. */
void give_up(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

/* Remember a text under a name, for "@name" in the expected events. Shared by all processes of a situation. */
void note(const char *name, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
const char *noted(const char *name); /* NULL: nothing under that name */

/* ---- sockets. The family is that of the address: one with a colon is IPv6 ---- */
int new_socket(int family, int type, int proto);
int tcp_socket(const char *addr);
int udp_socket(const char *addr);
socklen_t make_addr(struct sockaddr_storage *ret, const char *addr, unsigned port);
int try_bind(int fd, const char *addr, unsigned port);               /* 0 or negative errno */
void bind_to(int fd, const char *addr, unsigned port);               /* must work */
void bind_fails(int fd, const char *addr, unsigned port, int error); /* must fail just so */
void listen_on(int fd, int backlog);
void listen_fails(int fd, int error);
int tcp_at(const char *addr, unsigned port); /* socket and bind */
int udp_at(const char *addr, unsigned port);
int listener_at(const char *addr, unsigned port); /* and listen */
void connect_to(int fd, const char *addr, unsigned port);
void disconnect(int fd); /* connect(AF_UNSPEC) */
int accept_one(int fd);
void set_option(int fd, int level, int option, int value);
unsigned port_of(int fd);
void note_cookie(const char *name, int fd);
void reset_on_close(int fd); /* no TIME_WAIT: the close sends a reset */
void become_user(unsigned uid);
void need(bool fine, const char *what); /* with errno's text when not */

/* ---- what may be missing here: why, or NULL ---- */
const char *no_ipv6(void);
bool kernel_says(bool (*try)(void)); /* tried in a process of its own */

/* ---- processes ---- */
pid_t start_child(void (*play)(void *arg), void *arg); /* a failure there is one of the situation */
void end_child(pid_t pid);                             /* wait until it is gone */
/* Run this program again as the role @role of roles[]; does not return. */
void become_role(const char *role, const char *const *args) __attribute__((noreturn));
int play_role(int argc, char **argv); /* what main does then */

/* ---- the tracer ---- */
void sync_ledger(void);               /* all told so far has been read, and equals the kernel's list */
void await_event(const char *action); /* the next event of that kind of this situation has been read */
void start_tracer(void);
void pause_tracer(void); /* it sees nothing and reads nothing until resumed */
void resume_tracer(void);

#endif
