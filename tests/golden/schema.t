#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The published schema has the fields that the program has, and every line that is shown anywhere is valid by it.
# picked.ndjson and the like are no whole events: -F leaves out what every event has.
cd "$(dirname "$0")/../.." || exit 1
mapfile -t shown < <(grep -l '^{"schema"' tests/golden/*.ndjson)
"$BUILD/tests/golden/golden" paths |
	tests/check-schema.py --ecs --paths - --examples docs/schema/examples.ndjson "${shown[@]}"
