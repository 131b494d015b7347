#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Every line that the table of situations makes portlog tell is valid by the published schema.
cd "$(dirname "$0")/../.." || exit 1
lines=$(mktemp)
waits=$(mktemp)
trap 'rm -f "$lines" "$waits"' EXIT
if [ "$(id -u)" != 0 ]; then
	echo "ok 1 - live events against the schema # SKIP needs root"
	echo 1..1
	exit 0
fi
"${BUILD:-build}/tests/live/actor" --portlog "${PORTLOG:-build/portlog}" --hooks tracepoint --tee "$lines" > /dev/null
# A namespace with nothing in it, and the machine's own with whatever listens there.
{
	unshare -n "${PORTLOG:-build/portlog}" wait -j --timeout 0 80 '[::1]:53/udp'
	unshare -n "${PORTLOG:-build/portlog}" wait -j --timeout 0 --free 80 127.0.0.1:81
	"${PORTLOG:-build/portlog}" list -H -F port,proto | awk '{ print $1 "/" ($2 == "udp" ? "udp" : "tcp") }' | sort -u | head -n 20 |
		xargs "${PORTLOG:-build/portlog}" wait -j --timeout 0 1
} > "$waits"
tests/check-schema.py "$lines" --schema docs/schema/portlog-wait-1.schema.json "$waits"
