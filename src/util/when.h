/* SPDX-License-Identifier: GPL-2.0-only */
/* Moments as journalctl(1) takes them: see systemd.time(7). */
#ifndef UTIL_WHEN_H
#define UTIL_WHEN_H

#include <stdint.h>

/*
 * "2026-11-22 03:12:07.5", "2026-11-22T03:12:07Z", "2026-11-22", "03:12", "Sun 2026-11-22 03:12 UTC", "yesterday",
 * "yesterday 03:12", "today", "tomorrow", "now", "-2h", "+1h 30min", "2 days ago", "@1795332692.25". In local time
 * (TZ) unless it says UTC, Z or an offset. @now_ns, *ret_ns: wall clock. 0; -EINVAL; -ERANGE outside 1970 to 2261.
 */
int when_parse(const char *text, int64_t now_ns, int64_t *ret_ns);

#endif
