/* SPDX-License-Identifier: GPL-2.0-only */
/* A port as it is typed: [ADDR:]PORT[/PROTO]; any address may be a star, as ss prints it. */
#include "core/target.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "core/field.h"
#include "util/fail.h"
#include "util/parse.h"

#define WORD_MAX 64   /* the longest that makes sense is an address in brackets with port and protocol */
#define WORD_SHOWN 40 /* bytes of a wrong word that are repeated */

static int bad(const char *text, const char *why, const char *hint)
{
	fail_text(-EINVAL, "'%.*s' is no port: %s", WORD_SHOWN, text, why);
	return hint ? fail_hint(-EINVAL, "%s", hint) : -EINVAL;
}

/* What stands after the slash; cuts it off @word. */
static int parse_proto(const char *text, char *word, struct target *t)
{
	char *slash = strchr(word, '/');

	t->proto = PROTO_TCP;
	if (!slash)
		return 0;
	*slash++ = '\0';
	t->proto_said = true;
	if (!strcasecmp(slash, "udp"))
		t->proto = PROTO_UDP;
	else if (!strcasecmp(slash, "mptcp"))
		t->proto = PROTO_MPTCP;
	else if (strcasecmp(slash, "tcp") != 0)
		return bad(text, "after the slash goes tcp, udp or mptcp", NULL);
	return 0;
}

static int parse_number(const char *text, const char *word, target_service *service, struct target *t)
{
	int r = parse_port(word, &t->port);

	if (r == -ERANGE)
		return bad(text, "ports end at 65535", NULL);
	if (r < 0 && service && service(word, t->proto, &t->port))
		return 0;
	if (r < 0)
		return bad(text, "it takes 8080, 53/udp, 127.0.0.1:80 or [::1]:80", NULL);
	return t->port ? 0 : bad(text, "0 means any free port, which nobody can hold", NULL);
}

static int parse_address(const char *text, char *word, struct target *t)
{
	char *iface = strchr(word, '%');
	unsigned bits;

	if (iface) {
		*iface++ = '\0';
		if (!*iface || (size_t)snprintf(t->iface, sizeof(t->iface), "%s", iface) >= sizeof(t->iface))
			return bad(text, "what stands after the % is no interface",
				   "as in [fe80::1%eth0]:80");
	}
	if (strchr(word, '/') || parse_prefix(word, &t->addr.family, t->addr.bytes, &bits) < 0)
		return bad(text, "what stands before the port is no address", NULL);
	return 0;
}

/* [ADDR]:PORT */
static int parse_bracketed(const char *text, char *word, target_service *service, struct target *t)
{
	char *end = strchr(word, ']');
	int r;

	if (!end || end[1] != ':')
		return bad(text, "a port goes behind the brackets", "as in [::1]:80");
	*end = '\0';
	r = parse_address(text, word + 1, t);
	if (!r && t->addr.family != AF_INET6)
		return bad(text, "only IPv6 addresses have brackets", NULL);
	return r ? r : parse_number(text, end + 2, service, t);
}

int target_parse(const char *text, target_service *service, struct target *ret)
{
	struct target t = { 0 };
	char word[WORD_MAX], *colon;
	int r;

	if ((size_t)snprintf(word, sizeof(word), "%s", text) >= sizeof(word))
		return bad(text, "it is too long", NULL);
	r = parse_proto(text, word, &t);
	if (r < 0)
		return r;
	colon = strrchr(word, ':');
	if (word[0] == '[') {
		r = parse_bracketed(text, word, service, &t);
	} else if (!colon || colon == word || (colon == word + 1 && *word == '*')) {
		r = parse_number(text, colon ? colon + 1 : word, service, &t);
	} else if (strchr(word, ':') != colon) {
		r = bad(text, "an IPv6 address goes in brackets", "as in [::1]:80");
	} else {
		*colon = '\0';
		r = parse_address(text, word, &t) ?: parse_number(text, colon + 1, service, &t);
	}
	if (!r)
		*ret = t;
	return r;
}

const char *target_text(const struct target *t, char out[TARGET_TEXT_MAX])
{
	char endpoint[64];

	if (t->addr.family)
		snprintf(out, TARGET_TEXT_MAX, "%s %s", proto_name(t->proto),
			 endpoint_text(&t->addr, t->port, endpoint, sizeof(endpoint)));
	else
		snprintf(out, TARGET_TEXT_MAX, "%s %u", proto_name(t->proto), t->port);
	return out;
}
