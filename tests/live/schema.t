#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Every line that the table of situations makes portlog tell is valid by the published schema.
cd "$(dirname "$0")/../.." || exit 1
lines=$(mktemp)
trap 'rm -f "$lines"' EXIT
if [ "$(id -u)" != 0 ]; then
	echo "ok 1 - live events against the schema # SKIP needs root"
	echo 1..1
	exit 0
fi
"${BUILD:-build}/tests/live/actor" --portlog "${PORTLOG:-build/portlog}" --hooks tracepoint --tee "$lines" > /dev/null
tests/check-schema.py "$lines"
