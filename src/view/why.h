/* SPDX-License-Identifier: GPL-2.0-only */
/* What `why` tells of a port, for people and for programs. */
#ifndef VIEW_WHY_H
#define VIEW_WHY_H

#include "core/answer.h"
#include "util/buf.h"

/* A few lines, escaped for a terminal. */
void why_text(const struct port_answer *a, bool utc, struct buf *out);

/* The same of both tables' answers to one number, which are one when the user may not have the port in either. */
void why_text_both(const struct port_answer *tcp, const struct port_answer *udp, bool utc, struct buf *out);

/* One line of portlog.why/1, with its newline. @hints: reasons and remedies too, which are prose and may change. */
void why_json(const struct port_answer *a, const struct session *session, bool hints, struct buf *out);

#endif
