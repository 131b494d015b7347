#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The table of situations with the fexit hooks, where the machine allows them.
exec "${BUILD:-build}/tests/live/actor" --portlog "${PORTLOG:-build/portlog}" --hooks fexit
