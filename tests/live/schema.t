#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Every line that the table of situations makes portlog tell is valid by the published schema, and what list says of this
# machine by its own.
cd "$(dirname "$0")/../.." || exit 1
lines=$(mktemp)
trap 'rm -f "$lines"' EXIT
if [ "$(id -u)" != 0 ]; then
	echo "ok 1 - live events against the schema # SKIP needs root"
	echo 1..1
	exit 0
fi
"${BUILD:-build}/tests/live/actor" --portlog "${PORTLOG:-build/portlog}" --hooks tracepoint --tee "$lines" > /dev/null
listed=$(mktemp)
trap 'rm -f "$lines" "$listed"' EXIT
"${PORTLOG:-build/portlog}" list -j --all > "$listed" 2> /dev/null
"${PORTLOG:-build/portlog}" list -j --all --no-bpf >> "$listed" 2> /dev/null
tests/check-schema.py "$lines" --schema docs/schema/portlog-list-1.schema.json "$listed"
