#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The verdict of why against the kernel, at random.
exec "${BUILD:-build}/tests/live/verdict"
