#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Five seconds of live trace while tools/demo.c takes a port and clashes with itself. What "make run" ends with.
set -u
build=${BUILD:-build}
sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
talk=$(mktemp)
trap 'rm -f "$talk"' EXIT

# The demonstration starts when portlog says that it watches, or after two seconds.
{
	for _ in {1..20}; do
		grep -q watching "$talk" && break
		sleep 0.1
	done
	exec "$build/demo"
} &

echo "\$ ${sudo:+$sudo }$build/portlog trace --duration 5s"
$sudo "$build/portlog" trace --duration 5s 2> >(tee "$talk" >&2)
status=$?
wait $!
exit $status
