/* SPDX-License-Identifier: GPL-2.0-only */
/* Streams of views that tell a story, for golden files: each is played to a sink. */
#ifndef TESTS_SUPPORT_SCENES_H
#define TESTS_SUPPORT_SCENES_H

#include "sink/sink.h"
#include "support/views.h"

/* Where a scene is played. */
struct stage {
	const struct sink_ops *sink;
	void *state;
	int error; /* the first one */
};

typedef void scene(struct stage *s);

void show(struct stage *s, const struct view *v);
/* Nothing happens until @ms after VIEWS_BASE_NS: what is due by then is let go, as the loop's timer does it. */
void wait_until(struct stage *s, int64_t ms);

/* One event for each action, in the order of events.md. */
scene scene_actions;
/* A clash for each kind of holder. */
scene scene_holders;
/* Every other errno with an explanation. */
scene scene_failures;
/* Quotes, newlines, escape codes, bad UTF-8, bidi marks wherever bytes come from outside. */
scene scene_hostile;
/* Events with more to say than a line has room for. */
scene scene_long;
/* Containers, pods, namespaces, options of sockets. */
scene scene_surroundings;

#endif
