#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The published schemas have the fields that the program has, and every line that is shown anywhere is valid by it.
# picked.ndjson and the like are no whole events: -F leaves out what every event has.
cd "$(dirname "$0")/../.." || exit 1
mapfile -t shown < <(grep -l '^{"schema"' tests/golden/*.ndjson)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"$BUILD/tests/golden/golden" paths > "$dir/paths"
"$BUILD/tests/golden/golden" paths list > "$dir/list-paths"
tests/check-schema.py --ecs --paths "$dir/paths" --examples docs/schema/examples.ndjson "${shown[@]}" \
	--schema docs/schema/portlog-list-1.schema.json --ecs --some-paths "$dir/list-paths" \
	docs/schema/list-examples.ndjson \
	--schema docs/schema/portlog-why-1.schema.json docs/schema/why-examples.ndjson \
	--schema docs/schema/portlog-wait-1.schema.json docs/schema/wait-examples.ndjson \
	--schema docs/schema/portlog-boot-1.schema.json docs/schema/boot-examples.ndjson \
	--schema docs/schema/portlog-doctor-1.schema.json docs/schema/doctor-examples.ndjson
