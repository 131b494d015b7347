/* SPDX-License-Identifier: GPL-2.0-only */
/* How a wait went, for people and for programs; private to src/cmd/wait*.c. */
#ifndef CMD_WAIT_SHOW_H
#define CMD_WAIT_SHOW_H

#include "pipeline/await.h"

struct buf;
struct enrich;
struct inventory;
struct processes;

struct wait_scene {
	const struct await_config *config;
	const struct await_outcome *outcome;
	const struct await_found *found;
	struct inventory *inv; /* who has the ports now; NULL: not needed, or that could not be found out */
	/* For what an event told: the same names without an inventory. */
	struct processes *processes;
	struct enrich *enrich;
	struct session session;
	int root_fd;
};

void wait_scene_look(struct wait_scene *s); /* fills inv */
void wait_scene_done(struct wait_scene *s);

void wait_show_text(struct buf *b, const struct wait_scene *s); /* a line for each port that it is about */
void wait_show_json(struct buf *b, const struct wait_scene *s); /* docs/schema/portlog-wait-1.schema.json */

#endif
