#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# list, why and run beside real servers in a booted machine: what they say is done, and the server starts.
exec tests/nspawn/boot.sh answers 180
