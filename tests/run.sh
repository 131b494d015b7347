#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Run every test there is, or the kinds named: run.sh [unit] [golden] [live] [nspawn] [vm]. Last line: N passed, N failed, N skipped.
#
# Whatever prints TAP is a test: the cmocka programs in build/tests/unit, tests/golden/*.t, tests/live/*.t,
# tests/nspawn/*.t and tests/vm/all.sh. Each runs in the checkout with BUILD (the build folder) and PORTLOG (the program) set; its whole output
# is kept in build/test-logs. REQUIRE_BPF=1 turns a skip for want of root or BPF into a failure. TEST=pattern picks by name.
set -u
cd "$(dirname "$0")/.." || exit 1

export BUILD=${BUILD:-build}
export PORTLOG=${PORTLOG:-$BUILD/portlog}
export CMOCKA_MESSAGE_OUTPUT=TAP
export LC_ALL=C.UTF-8
kinds=${*:-unit golden live nspawn vm}
logs=$BUILD/test-logs
rm -rf "$logs"
mkdir -p "$logs"
n_passed=0 n_failed=0 n_skipped=0

# run_one NAME SECONDS COMMAND...
run_one()
{
	local name=$1 seconds=$2 log=$logs/${1//\//-}.log status verdict counts start=$SECONDS
	shift 2

	# shellcheck disable=SC2053 # TEST is a pattern
	[[ $name == *${TEST:-}* ]] || return 0
	{ timeout --kill-after=10 "$seconds" "$@" > "$log" 2>&1 < /dev/null; } 2> /dev/null
	status=$?
	verdict=$(awk -v name="$name" -v status="$status" -v require_bpf="${REQUIRE_BPF:-0}" -f tests/tap.awk "$log")
	read -r -a counts <<< "${verdict##*COUNTS }"
	printf '%s' "${verdict%COUNTS *}"
	n_passed=$((n_passed + counts[0])) n_failed=$((n_failed + counts[1])) n_skipped=$((n_skipped + counts[2]))
	printf '%-32s %4d passed %3d failed %3d skipped  %3d s\n' "$name" "${counts[@]}" $((SECONDS - start))
	[ "${counts[1]}" = 0 ] || echo "    its whole output: $log"
}

for kind in $kinds; do
	case $kind in
	unit)
		for source in tests/unit/test_*.c; do
			[ -e "$source" ] || continue
			name=$(basename "$source" .c)
			run_one "unit/$name" 300 "$BUILD/tests/unit/$name"
		done
		;;
	golden | live | nspawn)
		for script in tests/"$kind"/*.t; do
			[ -e "$script" ] || continue
			run_one "$kind/$(basename "$script" .t)" "${LIVE_SECONDS:-600}" "$script"
		done
		;;
	vm)
		run_one vm "${VM_SECONDS:-1800}" tests/vm/all.sh
		;;
	*)
		echo "usage: tests/run.sh [unit] [golden] [live] [nspawn] [vm]" >&2
		exit 2
		;;
	esac
done

echo "$n_passed passed, $n_failed failed, $n_skipped skipped"
[ "$n_failed" = 0 ]
