/* SPDX-License-Identifier: GPL-2.0-only */
/* Capabilities that are not needed any more are given up. */
#ifndef UTIL_PRIVILEGES_H
#define UTIL_PRIVILEGES_H

#include <stdbool.h>
#include <stddef.h>

/*
 * The calling thread, and those that it starts from now on, keep of what they have only @names ("cap_x,cap_y"; "": none):
 * effective, permitted, inheritable, ambient and, where CAP_SETPCAP is there, bounding. No program that is executed gets
 * more. 0 or negative errno with a story.
 */
int privileges_keep(const char *names);

/* Has the calling thread this capability in effect? @name: "cap_x". False, too, where it cannot be told. */
bool privileges_has(const char *name);

/* What the calling thread has, as libcap writes it; "?" where it cannot be told. Returns @text. */
const char *privileges_text(char *text, size_t size);

#endif
