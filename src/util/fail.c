/* SPDX-License-Identifier: GPL-2.0-only */
/* The error trail. */
#include "util/fail.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define STORY_MAX 1024

static _Thread_local char story[STORY_MAX];
static _Thread_local char remedy[STORY_MAX];

int fail(int error, const char *fmt, ...)
{
	va_list ap;
	int n;

	remedy[0] = '\0';
	va_start(ap, fmt);
	n = vsnprintf(story, sizeof(story), fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < sizeof(story))
		snprintf(story + n, sizeof(story) - (size_t)n, ": %s", strerror(-error));
	return error;
}

int fail_text(int error, const char *fmt, ...)
{
	va_list ap;

	remedy[0] = '\0';
	va_start(ap, fmt);
	vsnprintf(story, sizeof(story), fmt, ap);
	va_end(ap);
	return error;
}

int fail_add(int error, const char *fmt, ...)
{
	char before[STORY_MAX];
	va_list ap;
	int n;

	memcpy(before, story, sizeof(before));
	va_start(ap, fmt);
	n = vsnprintf(story, sizeof(story), fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < sizeof(story))
		snprintf(story + n, sizeof(story) - (size_t)n, ": %s", before[0] ? before : strerror(-error));
	return error;
}

int fail_hint(int error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(remedy, sizeof(remedy), fmt, ap);
	va_end(ap);
	return error;
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
