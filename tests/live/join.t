#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# portlog started again and again under load.
exec "${BUILD:-build}/tests/live/join"
