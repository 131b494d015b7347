/* SPDX-License-Identifier: GPL-2.0-only */
/* The error trail. */
#include "util/fail.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define STORY_MAX 1024

static _Thread_local char story[STORY_MAX];
static _Thread_local char remedy[STORY_MAX];

/* A foreign function may fail and leave errno at 0: that must not look like success. */
static int negative(int error)
{
	return error < 0 ? error : -EIO;
}

/* ": @more" behind the story, as far as there is room; three dots say that there was none. */
static void story_append(const char *more)
{
	size_t len = strlen(story);

	if ((size_t)snprintf(story + len, sizeof(story) - len, ": %s", more) >= sizeof(story) - len)
		memcpy(story + sizeof(story) - 4, "...", 4);
}

int(fail)(int error, const char *fmt, ...)
{
	va_list ap;

	remedy[0] = '\0';
	va_start(ap, fmt);
	vsnprintf(story, sizeof(story), fmt, ap);
	va_end(ap);
	story_append(strerror(-negative(error)));
	return negative(error);
}

int(fail_text)(int error, const char *fmt, ...)
{
	va_list ap;

	remedy[0] = '\0';
	va_start(ap, fmt);
	vsnprintf(story, sizeof(story), fmt, ap);
	va_end(ap);
	return negative(error);
}

int(fail_add)(int error, const char *fmt, ...)
{
	char before[STORY_MAX];
	va_list ap;

	memcpy(before, story, sizeof(before));
	va_start(ap, fmt);
	vsnprintf(story, sizeof(story), fmt, ap);
	va_end(ap);
	story_append(before[0] ? before : strerror(-negative(error)));
	return negative(error);
}

int(fail_hint)(int error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(remedy, sizeof(remedy), fmt, ap);
	va_end(ap);
	return negative(error);
}

const char *fail_story(void)
{
	return story;
}

const char *fail_remedy(void)
{
	return remedy;
}

void fail_clear(void)
{
	story[0] = '\0';
	remedy[0] = '\0';
}
