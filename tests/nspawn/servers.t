#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# nginx, redis, PostgreSQL, python, node, sshd and socket units in a booted machine, each clashed on purpose.
exec tests/nspawn/boot.sh servers 150
