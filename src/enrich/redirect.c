/* SPDX-License-Identifier: GPL-2.0-only */
/* Rules of nftables and iptables that lead a port elsewhere: see redirect.h. */
#include "enrich/redirect.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/command.h"

#define TIMEOUT_MS 300
#define RULES_MAX (1 << 20)
#define LINE_LEN 1024

/* Where a rule of either kind names its ports, by protocol, and what says that it leads elsewhere. */
static const struct dialect {
	const char *ports[2]; /* TCP, UDP: the ports follow */
	const char *also[2];  /* must be in the line too; NULL: nothing */
	const char *targets[2];
} dialects[] = {
	{ { "tcp dport ", "udp dport " }, { NULL, NULL }, { "redirect", "dnat" } },
	{ { "--dport ", "--dport " }, { "-p tcp", "-p udp" }, { "-j REDIRECT", "-j DNAT" } },
	{ { "--dports ", "--dports " }, { "-p tcp", "-p udp" }, { "-j REDIRECT", "-j DNAT" } },
};

/* "80", "80-90", "80:90", "80,443", "{ 80, 443 }": is @port one of them? */
static bool ports_have(const char *text, uint16_t port)
{
	bool braces = *text == '{';

	for (text += braces; *text && (isdigit((unsigned char)*text) || strchr(" ,", *text));) {
		unsigned low, high;
		int n = 0;

		text += strspn(text, " ,");
		if (sscanf(text, "%5u%n", &low, &n) != 1)
			return false;
		text += n;
		high = low;
		if ((*text == '-' || *text == ':') && sscanf(text + 1, "%5u%n", &high, &n) == 1)
			text += 1 + n;
		if (port >= low && port <= high)
			return true;
		if (!braces && *text != ',')
			return false;
	}
	return false;
}

static bool rule_leads_away(const char *line, const struct dialect *d, bool udp, uint16_t port)
{
	const char *ports = strstr(line, d->ports[udp]);

	if (!ports || (d->also[udp] && !strstr(line, d->also[udp])))
		return false;
	if (!strstr(line, d->targets[0]) && !strstr(line, d->targets[1]))
		return false;
	return ports_have(ports + strlen(d->ports[udp]), port);
}

bool redirect_parse(const char *text, enum proto proto, uint16_t port, char *ret, size_t size)
{
	while (*text) {
		size_t len = strcspn(text, "\n");
		char line[LINE_LEN];

		snprintf(line, sizeof(line), "%.*s", (int)(len < LINE_LEN ? len : LINE_LEN - 1), text);
		for (size_t i = 0; i < ARRAY_SIZE(dialects); i++)
			if (rule_leads_away(line, &dialects[i], proto == PROTO_UDP, port)) {
				snprintf(ret, size, "%s", line + strspn(line, " \t"));
				return true;
			}
		text += len + (text[len] == '\n');
	}
	return false;
}

void redirect_find(enum proto proto, uint16_t port, char *ret, size_t size)
{
	static const char *const nft[] = { "/usr/sbin/nft", "list", "ruleset", NULL };
	static const char *const iptables[] = { "/usr/sbin/iptables-save", "-t", "nat", NULL };
	static const char *const *const commands[] = { nft, iptables };

	ret[0] = '\0';
	if (geteuid() != 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		auto_free char *text = NULL;

		if (access(commands[i][0], X_OK))
			continue;
		text = command_read(commands[i], TIMEOUT_MS, RULES_MAX);
		if (text && redirect_parse(text, proto, port, ret, size))
			return;
	}
}
