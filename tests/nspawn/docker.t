#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# A container that publishes a port, in a booted machine with a real Docker.
exec tests/nspawn/boot.sh docker 120
