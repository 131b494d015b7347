#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Golden files: what the sinks make of scenes built in C.
exec "$BUILD/tests/golden/golden"
