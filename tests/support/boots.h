/* SPDX-License-Identifier: GPL-2.0-only */
/* Boots that are told, for the table of `boot`. */
#ifndef TESTS_SUPPORT_BOOTS_H
#define TESTS_SUPPORT_BOOTS_H

#include "support/views.h"
#include "view/boot.h"

/* Milliseconds of the boot clock as .at_ms and .since_ms have them. */
#define BOOT_MS(ms) ((int64_t)(ms) - (int64_t)(VIEWS_BASE_NS / 1000000))

/* 0; BOOT_OVER: it was after the end. */
typedef int boot_scene(struct boot *b);

/* One of each thing that a row can be, from the first moment on. systemd finished at 4.102 s. */
boot_scene boot_of_everything;
/* A recorder that was started by hand long after. */
boot_scene boot_seen_late;
/* Text of processes that is hostile. */
boot_scene boot_of_enemies;

extern const struct boot_times boot_usual_times;

#endif
