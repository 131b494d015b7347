/* SPDX-License-Identifier: GPL-2.0-only */
/* Scenes for the lines that people see: what is joined, folded, held back, and explained. */
#ifndef TESTS_SUPPORT_SCENES_TEXT_H
#define TESTS_SUPPORT_SCENES_TEXT_H

#include "support/scenes.h"

/* An ordinary morning: servers start, one clashes, one stops and lingers. */
scene scene_watch;
/* A unit that is started again and again, a process that binds without end, binds that stay alone. */
scene scene_folds;
/* What explain says of each kind of holder and each errno. */
scene scene_explained;

#endif
