/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Names of users and services out of /etc/passwd and /etc/services, never through the name service switch: that may ask
 * a server, which blocks, and a static program has none. Read once, looked at again at most once a second.
 */
#ifndef ENRICH_NAMES_H
#define ENRICH_NAMES_H

#include <stdint.h>

#include "core/record.h"

struct names;

struct names *names_new(int root_fd);      /* NULL only when out of memory; @root_fd is borrowed */
struct names *names_free(struct names *n); /* NULL is fine; always returns NULL */

/* @now_ns: any clock that only goes forward. NULL: no such name. Borrowed until the next call of the same function. */
const char *names_user(struct names *n, uint32_t uid, uint64_t now_ns);
const char *names_service(struct names *n, uint16_t port, enum proto proto, uint64_t now_ns);

#endif
