/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For whom init or a proxy holds a port: the .socket unit that asked systemd for it, the container that docker-proxy
 * publishes. Read from unit files, the command line and the engine's own files; nobody is asked, nothing is waited for.
 */
#ifndef ENRICH_BOUND_FOR_H
#define ENRICH_BOUND_FOR_H

#include "core/answer.h"

/* Fill @ret for @h, a socket on a port, where it is held for somebody. @root_fd: the directory that stands for /. */
void bound_for_find(int root_fd, const struct holder *h, struct bound_for *ret);

/* Does "8080", "0.0.0.0:8080" or "[::]:8080", as Listen...= has it, name @port? For tests. */
bool listen_names_port(const char *value, uint16_t port);

#endif
