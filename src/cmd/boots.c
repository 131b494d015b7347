/* SPDX-License-Identifier: GPL-2.0-only */
/* Which boot is meant. A boot is all streams of its id, which follow each other. */
#include "cmd/boots.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/fail.h"

#define KEPT 64 /* boots that a number can reach */
#define LISTED 4
#define ID_DIGITS_MIN 4

struct boots {
	char ids[KEPT][33]; /* the last ones, a ring */
	size_t n;
};

static const char *boots_back(const struct boots *b, size_t back)
{
	return back < b->n && back < KEPT ? b->ids[(b->n - 1 - back) % KEPT] : NULL;
}

static int boot_note(void *arg, const struct store_stream *st)
{
	struct boots *b = arg;
	const char *last = boots_back(b, 0);

	if (!last || strcmp(last, st->boot_id) != 0)
		snprintf(b->ids[b->n++ % KEPT], sizeof(b->ids[0]), "%s", st->boot_id);
	return 0;
}

struct search {
	const char *wanted; /* how the id begins */
	struct boot_range range;
	bool found, several;
};

static int stream_match(void *arg, const struct store_stream *st)
{
	struct search *s = arg;

	if (strncasecmp(s->wanted, st->boot_id, strlen(s->wanted)) != 0)
		return 0;
	if (s->found && strcmp(s->range.boot_id, st->boot_id) != 0)
		s->several = true;
	if (!s->found)
		s->range.first = st->first;
	s->range.last = st->last;
	snprintf(s->range.boot_id, sizeof(s->range.boot_id), "%s", st->boot_id);
	s->found = true;
	return 0;
}

static int id_find(struct store *store, const char *id, struct boot_range *ret)
{
	struct search s = { .wanted = id };
	int r = store_streams(store, stream_match, &s);

	if (r)
		return r;
	if (s.several) {
		fail_text(-EINVAL, "--boot: '%s' is the beginning of more than one boot's id", id);
		return fail_hint(-EINVAL, "give more digits");
	}
	if (!s.found)
		return BOOTS_NONE;
	*ret = s.range;
	return 0;
}

/* Without dashes, as the store has it. False: it is no part of an id. */
static bool id_plain(const char *text, char out[33])
{
	size_t n = 0;

	for (; *text && n < 32; text++) {
		if (*text == '-')
			continue;
		if (!isxdigit((unsigned char)*text))
			return false;
		out[n++] = *text;
	}
	out[n] = '\0';
	return n >= ID_DIGITS_MIN && !*text;
}

int boots_find(struct store *s, const char *text, struct boot_range *ret)
{
	struct boots b = { .n = 0 };
	char id[33], *end;
	long long number = strtoll(text, &end, 10);
	const char *found;
	int r;

	if (*text && !*end && strlen(text) < ID_DIGITS_MIN && number <= 0) {
		r = store_streams(s, boot_note, &b);
		found = r ? NULL : boots_back(&b, (size_t)-number);
		return found ? id_find(s, found, ret) : r ? r : BOOTS_NONE;
	}
	if (id_plain(text, id))
		return id_find(s, id, ret);
	fail_text(-EINVAL, "--boot: '%.40s' is no boot", text);
	return fail_hint(-EINVAL,
			 "0 is the last that was recorded, -1 the one before; or its id, at least %d digits",
			 ID_DIGITS_MIN);
}

int boots_list(struct store *s, char *out, size_t size)
{
	struct boots b = { .n = 0 };
	size_t len = 0;
	int r = store_streams(s, boot_note, &b);

	snprintf(out, size, "none");
	for (size_t back = 0; !r && back < LISTED && boots_back(&b, back) && len < size; back++)
		len += (size_t)snprintf(out + len, size - len, "%s%.8s (%s%zu)", back ? ", " : "",
					boots_back(&b, back), back ? "-" : "", back);
	if (!r && b.n > LISTED && len < size)
		snprintf(out + len, size - len, ", %zu more", b.n - LISTED);
	return r;
}
