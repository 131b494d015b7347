/* SPDX-License-Identifier: GPL-2.0-only */
/* TAP on standard output, a line at once. */
#include "live/lib/tap.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"

static unsigned n_results, n_failed;

void tap_result(bool ok, const char *fmt, ...)
{
	va_list ap;

	n_failed += !ok;
	printf("%s %u - ", ok ? "ok" : "not ok", ++n_results);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

void tap_skip(const char *name, const char *why)
{
	printf("ok %u - %s # SKIP %s\n", ++n_results, name, why);
	fflush(stdout);
}

static void put_safely(const char *text, size_t len)
{
	fputs("# ", stdout);
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c < 0x20 || c >= 0x7f)
			printf("\\x%02x", c);
		else
			putchar(c);
	}
	putchar('\n');
}

void tap_note_text(const char *text)
{
	while (*text) {
		size_t len = strcspn(text, "\n");

		put_safely(text, len);
		text += len + (text[len] == '\n');
	}
	fflush(stdout);
}

void tap_note(const char *fmt, ...)
{
	auto_free char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	if (text)
		tap_note_text(text);
}

int tap_end(void)
{
	printf("1..%u\n", n_results);
	fflush(stdout);
	return n_failed ? 1 : 0;
}

int tap_skip_all(const char *why)
{
	printf("1..0 # SKIP %s\n", why);
	fflush(stdout);
	return 0;
}

void tap_bail(const char *fmt, ...)
{
	va_list ap;

	fputs("Bail out! ", stdout);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
	exit(1);
}
