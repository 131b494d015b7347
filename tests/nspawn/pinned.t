#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The installed service with --pin: it is restarted, killed and stopped while ports are bound, and nothing is missed.
NSPAWN_INSTALL=1 exec tests/nspawn/boot.sh pinned 90
