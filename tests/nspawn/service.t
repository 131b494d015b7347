#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The service as installed: its line, its watchdog, reboots, and a boot that goes on without it.
NSPAWN_INSTALL=1 exec tests/nspawn/boot.sh service 240
