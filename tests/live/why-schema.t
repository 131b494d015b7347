#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Every line that why tells of those holders is valid by the published schema.
cd "$(dirname "$0")/../.." || exit 1
lines=$(mktemp)
trap 'rm -f "$lines"' EXIT
if [ "$(id -u)" != 0 ]; then
	echo "ok 1 - answers of why against the schema # SKIP needs root"
	echo 1..1
	exit 0
fi
"${BUILD:-build}/tests/live/why" --portlog "${PORTLOG:-build/portlog}" --tee "$lines" > /dev/null
tests/check-schema.py --schema docs/schema/portlog-why-1.schema.json "$lines"
