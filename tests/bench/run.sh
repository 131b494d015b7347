#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Run every benchmark that was built; each prints its numbers with their spread and what they may be at most.
BUILD=${BUILD:-build}
export PORTLOG="${PORTLOG:-$BUILD/portlog}"
failed=0
for bench in "$BUILD"/tests/bench/*; do
	case $bench in *.d) continue ;; esac
	if ! "$bench"; then
		echo "$(basename "$bench"): over its bound, or could not run"
		failed=1
	fi
done
exit $failed
