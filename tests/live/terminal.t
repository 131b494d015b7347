#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# `portlog run` at a terminal.
exec "${BUILD:-build}/tests/live/terminal"
