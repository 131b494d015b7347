#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Waiting for ports.
exec "${BUILD:-build}/tests/live/wait"
