#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The table of situations with the tracepoint hooks, which every supported kernel takes.
exec "${BUILD:-build}/tests/live/actor" --portlog "${PORTLOG:-build/portlog}" --hooks tracepoint
