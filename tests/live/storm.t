#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# More binds than a reader can take.
exec "${BUILD:-build}/tests/live/storm"
