#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Holders of every kind for real, and what why says of them.
exec "${BUILD:-build}/tests/live/why" --portlog "${PORTLOG:-build/portlog}"
