#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The service with journald, a file and metrics: a clash is in the log of the unit that failed.
NSPAWN_INSTALL=1 exec tests/nspawn/boot.sh sinks 90
