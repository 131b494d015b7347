/* SPDX-License-Identifier: GPL-2.0-only */
/* Events into the store. For the writer's thread: it waits for the disk. */
#ifndef SINK_HISTORY_H
#define SINK_HISTORY_H

#include "sink/sink.h"
#include "store/store.h"

/* sink_options.arg of sink_history. */
struct history_options {
	const char *path; /* of which STORE_DEFAULT is nobody else's */
	struct store_limits limits;
	/* How far systemd is in this boot; false: it is not known. Asked a few times, until it has finished. NULL: never. */
	bool (*boot_times)(struct boot_times *ret);
};

/*
 * It opens its file when there is something to write, and again after an error. A damaged file is set aside and a new one
 * begun, also when somebody has moved or deleted it; what the new one has not is lost().
 */
extern const struct sink_ops sink_history;

/* After -EBADMSG with its story: store_set_aside() it. 0: the story now says where it is; else it says why not. */
int history_set_aside(const char *path, bool was_open);

#endif
