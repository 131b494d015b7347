#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# What holds ports now.
exec "${BUILD:-build}/tests/live/list"
