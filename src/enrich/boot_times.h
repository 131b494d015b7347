/* SPDX-License-Identifier: GPL-2.0-only */
/* How far systemd is in this boot. Only the running systemd knows, and only of its own boot. */
#ifndef ENRICH_BOOT_TIMES_H
#define ENRICH_BOOT_TIMES_H

#include <stdbool.h>

#include "core/boot.h"

/* Ask it, for a second at most each of two times. False: there is no systemd, or it did not answer. */
bool boot_times_ask(struct boot_times *ret);

/* What `systemctl show` said, of the manager or of units, into what is in @ret. */
void boot_times_read(const char *text, struct boot_times *ret);

#endif
