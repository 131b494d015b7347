/* SPDX-License-Identifier: GPL-2.0-only */
/* Ports as operands of a command. */
#include "cmd/targets.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/fail.h"

/* Out of /etc/services alone: no name service is waited for. */
static bool service_port(const char *name, enum proto proto, uint16_t *ret_port)
{
	auto_fclose FILE *f = fopen("/etc/services", "re");
	char line[512], service[128], rest[8];
	unsigned port;

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%127s %5u/%7s", service, &port, rest) != 3 || strcmp(service, name) != 0 ||
		    port < 1 || port > 65535 || (proto == PROTO_UDP) != !strcmp(rest, "udp"))
			continue;
		*ret_port = (uint16_t)port;
		return true;
	}
	return false;
}

int targets_parse(const char *cmd, int argc, char **argv, struct target **ret)
{
	auto_free struct target *targets = calloc((size_t)argc + 1, sizeof(*targets));

	if (!targets)
		return fail(-ENOMEM, "read the ports");
	if (!argc) {
		fail_text(-EINVAL, "%s needs a port", cmd);
		return fail_hint(-EINVAL, "portlog %s 8080", cmd);
	}
	for (int i = 0; i < argc; i++) {
		int r = target_parse(argv[i], service_port, &targets[i]);

		if (r < 0)
			return r;
	}
	*ret = take(targets);
	return 0;
}
