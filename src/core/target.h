/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A port as `why` and `wait` take it on the command line: 8080, :8080, 53/udp, 10.0.0.1:80, [::1]:53/udp,
 * [fe80::1%eth0]:80, http. The protocol is TCP unless it is said. Pure.
 */
#ifndef CORE_TARGET_H
#define CORE_TARGET_H

#include "core/record.h"

struct target {
	enum proto proto;    /* PROTO_TCP, PROTO_UDP or PROTO_MPTCP, whose ports are TCP's */
	bool proto_said;     /* "/tcp", "/udp" or "/mptcp" stood there */
	struct address addr; /* family 0: none was said */
	char iface[16];      /* behind the address, after a %; empty: none was said */
	uint16_t port;       /* 1 to 65535 */
};

/* The port of a service by its name; false: there is no such service. */
typedef bool target_service(const char *name, enum proto proto, uint16_t *ret_port);

/* 0; -EINVAL with a story that names @text, and a remedy where one is near. @service NULL: ports have no names. */
int target_parse(const char *text, target_service *service, struct target *ret);

/* "tcp 8080", "udp 127.0.0.1:53", "tcp [::1]:80"; returns @out. */
#define TARGET_TEXT_MAX 72
const char *target_text(const struct target *t, char out[TARGET_TEXT_MAX]);

#endif
