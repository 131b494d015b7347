#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# A boot with portlog as its first service, a rogue, nginx and a socket unit, beside what strace sees of it.
NSPAWN_INSTALL=1 NSPAWN_STRACE=1 exec tests/nspawn/boot.sh boot 180
