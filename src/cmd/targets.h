/* SPDX-License-Identifier: GPL-2.0-only */
/* The operands of `why` and `wait`: ports, by number or by the name of a service. */
#ifndef CMD_TARGETS_H
#define CMD_TARGETS_H

#include "core/target.h"

/*
 * All @argc of them, at least one; the caller frees *ret. 0; -ENOMEM; -EINVAL with a story and a remedy. @cmd is the name
 * of the command.
 */
int targets_parse(const char *cmd, int argc, char **argv, struct target **ret);

#endif
