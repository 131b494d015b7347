/* SPDX-License-Identifier: GPL-2.0-only */
/* The recorder as a service. */
#include "cmd/service.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "util/buf.h"
#include "util/cleanup.h"
#include "util/human.h"

#define READY_TRIES 50 /* of 100 ms: a manager that is busy at boot */

int service_open(struct service *s)
{
	*s = (struct service){ 0 };
	pthread_mutex_init(&s->lock, NULL);
	return notify_open(&s->notify);
}

/* The lock stays: a sink that hangs is left behind, and may still tell its trouble. */
void service_close(struct service *s)
{
	notify_close(&s->notify);
}

/* Half of what is asked for, as sd_watchdog_enabled(3) advises. */
uint64_t service_look_ns(const struct service *s)
{
	return s->notify.watchdog_ns / 2;
}

/* ---- the line of `systemctl status` ---- */

static void count_put(struct buf *b, uint64_t n, const char *one, const char *many)
{
	char text[HUMAN_LEN];

	buf_printf(b, "%s %s", human_count(n, text), n == 1 ? one : many);
}

static void status_put(struct buf *b, const struct service *s)
{
	uint64_t held = 0, lost = 0;

	for (unsigned proto = 0; proto < ARRAY_SIZE(s->stats.held); proto++)
		held += s->stats.held[proto];
	for (unsigned where = 0; where < N_LOST; where++)
		lost += s->stats.lost[where];
	count_put(b, held, "socket holds a port, ", "sockets hold a port, ");
	count_put(b, s->stats.failed, "bind or listen failed, ", "binds and listens failed, ");
	if (lost)
		count_put(b, lost, "event lost", "events lost");
	else
		buf_puts(b, "nothing lost");
	for (size_t i = 0; i < SERVICE_TROUBLES_MAX; i++) {
		if (!s->troubles[i].sink)
			continue;
		buf_printf(b, "; %s fails: ", s->troubles[i].sink);
		buf_visible(b, s->troubles[i].story, strlen(s->troubles[i].story));
	}
}

/* @lines and the status in one datagram. Under the lock. */
static int status_send(struct service *s, const char *lines)
{
	struct buf b = { 0 };
	int r;

	status_put(&b, s);
	r = notify_send(&s->notify, "%sSTATUS=%s", lines, buf_str(&b));
	buf_done(&b);
	return r;
}

/* ---- how it is ---- */

/* Nobody listens to us if not now: this one message is worth a wait. */
static void ready_send(struct service *s)
{
	for (int i = 0; !s->ready && i < READY_TRIES; i++)
		s->ready = !status_send(s, "READY=1\nWATCHDOG=1\n");
	if (!s->ready)
		fprintf(stderr, "portlog: the service manager cannot be told that all is ready\n");
}

void service_synced(struct service *s, const struct pipeline_stats *stats)
{
	if (!notify_wanted(&s->notify))
		return;
	pthread_mutex_lock(&s->lock);
	s->stats = *stats;
	ready_send(s);
	pthread_mutex_unlock(&s->lock);
}

void service_look(struct service *s, const struct pipeline_stats *stats)
{
	if (!notify_wanted(&s->notify))
		return;
	pthread_mutex_lock(&s->lock);
	s->stats = *stats;
	if (s->ready)
		(void)status_send(s, "WATCHDOG=1\n");
	pthread_mutex_unlock(&s->lock);
}

void service_stopping(struct service *s)
{
	(void)notify_send(&s->notify, "STOPPING=1");
}

/* Managers that wait for a reload to end tell this one from another by its time. */
void service_reloading(struct service *s)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	(void)notify_send(&s->notify, "RELOADING=1\nMONOTONIC_USEC=%llu",
			  (unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000);
}

void service_reloaded(struct service *s)
{
	(void)notify_send(&s->notify, "READY=1");
}

/* ---- trouble ---- */

/* The place of @sink, else a free one, else SERVICE_TROUBLES_MAX: then the first ones are told. */
static size_t trouble_find(const struct service *s, const char *sink)
{
	size_t free_one = SERVICE_TROUBLES_MAX;

	for (size_t i = 0; i < SERVICE_TROUBLES_MAX; i++) {
		if (s->troubles[i].sink && !strcmp(s->troubles[i].sink, sink))
			return i;
		if (!s->troubles[i].sink && free_one == SERVICE_TROUBLES_MAX)
			free_one = i;
	}
	return free_one;
}

void service_trouble(struct service *s, const char *sink, const char *story)
{
	size_t at;

	if (!notify_wanted(&s->notify))
		return;
	pthread_mutex_lock(&s->lock);
	at = trouble_find(s, sink);
	if (at < SERVICE_TROUBLES_MAX) {
		s->troubles[at].sink = story ? sink : NULL;
		snprintf(s->troubles[at].story, sizeof(s->troubles[at].story), "%s", story ? story : "");
		(void)status_send(s, "");
	}
	pthread_mutex_unlock(&s->lock);
}
