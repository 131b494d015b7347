#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Hooks that the kernel skips.
exec "${BUILD:-build}/tests/live/missed"
