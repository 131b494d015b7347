#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The ledger after a loss.
exec "${BUILD:-build}/tests/live/resync"
