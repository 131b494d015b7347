/* SPDX-License-Identifier: GPL-2.0-only */
/* What is shown of the tracing half's lines, and when. */
#include "cmd/run_show.h"

#include <stdarg.h>
#include <stdio.h>

#include "sink/report.h"
#include "util/loop.h"

#define HOLD_NS 300000000ull /* what a command that fails needs to say so itself */
#define HELD_MAX (64u << 10)
#define ELSEWHERE_MAX 8

static void write_now(struct show *s, struct buf *b)
{
	int r = b->len ? buf_write(b, s->fd) : 0;

	if (r < 0 &&
	    !s->error) /* whoever has closed standard error does not want to know; of a log it is said */
		s->error = -r;
	buf_reset(b);
}

static void hold(struct show *s, const char *text, size_t len)
{
	if (!s->held.len)
		s->due_ns = clock_boot_ns() + HOLD_NS;
	buf_put(&s->held, text, len);
	buf_putc(&s->held, '\n');
	if (s->held.len > HELD_MAX)
		show_due(s, UINT64_MAX);
}

static void keep_elsewhere(struct show *s, const char *text, size_t len)
{
	s->n_elsewhere += text[0] != REPORT_INDENT[0];
	if (s->n_elsewhere > ELSEWHERE_MAX)
		return;
	buf_put(&s->elsewhere, text, len);
	buf_putc(&s->elsewhere, '\n');
}

void show_line(void *arg, const char *line, size_t len)
{
	struct show *s = arg;
	struct buf event = { 0 };

	switch (line[0]) {
	case REPORT_READY:
		s->ready = true;
		break;
	case REPORT_COMPLETE:
		s->complete = true;
		break;
	case REPORT_FAILURE:
		s->own = true;
		hold(s, line + 1, len - 1);
		break;
	case REPORT_NOTE:
		hold(s, line + 1, len - 1);
		break;
	case REPORT_ELSEWHERE:
		keep_elsewhere(s, line + 1, len - 1);
		break;
	case REPORT_EVENT:
		buf_put(&event, line + 1, len - 1);
		buf_putc(&event, '\n');
		write_now(s, &event);
		buf_done(&event);
		break;
	}
}

void show_due(struct show *s, uint64_t now_ns)
{
	if (!s->held.len || (now_ns < s->due_ns && !s->over))
		return;
	s->due_ns = 0;
	write_now(s, &s->held);
}

void show_say(struct show *s, const char *fmt, ...)
{
	struct buf b = { 0 };
	char text[512];
	va_list ap;

	if (s->json)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	buf_puts(&b, "portlog: ");
	buf_visible(&b, text, strlen(text));
	buf_putc(&b, '\n');
	write_now(s, &b);
	buf_done(&b);
}

void show_end(struct show *s, int status, bool explained)
{
	s->over = true;
	show_due(s, UINT64_MAX);
	if (!status || s->own || explained)
		return;
	if (!s->n_elsewhere) {
		if (!s->quiet)
			show_say(
				s,
				"status %d, and no bind or listen failed, neither the command's nor elsewhere",
				status);
		return;
	}
	show_say(s,
		 "status %d, and no bind or listen of the command failed; outside of it, meanwhile:", status);
	write_now(s, &s->elsewhere);
	if (s->n_elsewhere > ELSEWHERE_MAX)
		show_say(s, "and %u more", s->n_elsewhere - ELSEWHERE_MAX);
}

void show_done(struct show *s)
{
	buf_done(&s->held);
	buf_done(&s->elsewhere);
}
