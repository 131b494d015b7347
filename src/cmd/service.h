/* SPDX-License-Identifier: GPL-2.0-only */
/* The recorder as a service: what its manager is told of how it is. Without a manager all of this does nothing. */
#ifndef CMD_SERVICE_H
#define CMD_SERVICE_H

#include <pthread.h>

#include "pipeline/pipeline.h"
#include "util/notify.h"

#define SERVICE_TROUBLES_MAX 16

struct service {
	struct notify notify;
	pthread_mutex_t lock; /* of all below: sinks fail on a thread of their own */
	struct pipeline_stats stats;
	bool ready;
	struct {
		const char *sink; /* NULL: none */
		char story[256];
	} troubles[SERVICE_TROUBLES_MAX];
};

int service_open(struct service *s); /* 0 or negative errno with a story */
void service_close(struct service *s);

/* How often service_look() is to be called; 0: never. */
uint64_t service_look_ns(const struct service *s);

/* For a struct pipeline_keeper. */
void service_synced(struct service *s, const struct pipeline_stats *stats); /* ready */
void service_look(struct service *s, const struct pipeline_stats *stats);   /* a sign of life */
void service_stopping(struct service *s);
/* Round what SIGHUP does. */
void service_reloading(struct service *s);
void service_reloaded(struct service *s);

/* @sink (a string that stays) has failed, or (@story NULL) works again. From any thread. */
void service_trouble(struct service *s, const char *sink, const char *story);

#endif
