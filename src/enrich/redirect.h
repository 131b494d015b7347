/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Does the firewall lead a port elsewhere, so that whoever listens on it is not asked? nft, or iptables where that is not
 * there, is run once, as root, for 300 ms at most; it says what holds in the calling thread's network namespace.
 */
#ifndef ENRICH_REDIRECT_H
#define ENRICH_REDIRECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/record.h"

/* The rule that does so for @port, as it is written, cut to @size; "" when none is known. */
void redirect_find(enum proto proto, uint16_t port, char *ret, size_t size);

/* The same in the text of "nft list ruleset", or of "iptables-save -t nat": for tests. */
bool redirect_parse(const char *text, enum proto proto, uint16_t port, char *ret, size_t size);

#endif
