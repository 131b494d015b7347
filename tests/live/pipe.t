#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# How portlog ends.
exec "${BUILD:-build}/tests/live/pipe"
