/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The strings of a JSON text. Three runtimes keep a container's name in files of their own; what is wanted of them is a
 * handful of plain strings, so this reads strings and counts brackets and builds nothing: no recursion, no memory,
 * nothing for a broken or hostile file to exhaust.
 */
#include "enrich/json_scan.h"

static struct span take_string(struct json_scan *s)
{
	struct span text = { ++s->at, 0 };

	while (s->at < s->end && *s->at != '"')
		s->at += *s->at == '\\' && s->at + 1 < s->end ? 2 : 1;
	text.len = (size_t)(s->at - text.at);
	if (s->at < s->end)
		s->at++;
	return text;
}

static void skip_space(struct json_scan *s)
{
	while (s->at < s->end && isspace((unsigned char)*s->at))
		s->at++;
}

bool json_scan_next(struct json_scan *s, struct span *ret)
{
	while (s->at < s->end) {
		char c = *s->at;

		if (c != '"') {
			s->depth += (c == '{' || c == '[') - (c == '}' || c == ']');
			s->at++;
			continue;
		}
		*ret = take_string(s);
		skip_space(s);
		if (s->at == s->end || *s->at != ':')
			return true;
		s->key = *ret;
		s->at++;
	}
	return false;
}
