#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The table of situations on other kernels, as one TAP stream: every kernel of tests/vm/kernels with every set of hooks.
#
# A kernel that cannot be had is skipped by name; with fewer than VM_MIN kernels (default 0) the run fails.
# VM_HOOKS="" leaves the table of situations out, VM_KERNELS="trixie sid" picks some of them. Needs build/static/portlog, actor and list.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
static=${STATIC:-build/static}
n=0 n_kernels=0

# result STATUS TEXT: one line of TAP; STATUS is "ok" or "not ok"
result()
{
	n=$((n + 1))
	echo "$1 $n - $2"
}

# The actor's TAP with our numbers and the kernel in each name; a machine that died is a failure of its own.
report()
{
	local label=$1 status=$2 output=$3 line run=0 plan='' bad=0

	while IFS= read -r line; do
		case $line in
		1..*)
			plan=${line#1..}
			plan=${plan%% *}
			;;
		"ok "* | "not ok "*)
			run=$((run + 1))
			[ "${line%%ok *}" = "" ] || bad=$((bad + 1))
			line=$(sed -E 's/^((not )?ok) *[0-9]* *-? */\1|/' <<< "$line")
			result "${line%%|*}" "$label: ${line#*|}"
			;;
		"#"*) echo "$line" ;;
		*) echo "# $line" ;;
		esac
	done < "$output"
	if [ "$plan" = "$run" ] && { [ "$status" = 0 ] || { [ "$status" -lt 125 ] && [ "$bad" -gt 0 ]; }; }; then
		result ok "$label: ran to its end"
	else
		result "not ok" "$label: ran to its end"
		echo "# status $status, planned ${plan:-nothing}, ran $run"
	fi
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/payload"
if ! cp "$static/portlog" "$static/actor" "$static/list" "$work/payload/"; then
	echo "Bail out! no static programs: run \"make static\""
	exit 1
fi

while read -r suite <&3; do
	case $suite in "" | "#"*) continue ;; esac
	[ -z "${VM_KERNELS:-}" ] || [[ " $VM_KERNELS " == *" $suite "* ]] || continue
	if ! dir=$("$here/fetch.sh" "$suite" 2> "$work/why"); then
		result ok "kernel of $suite # SKIP cannot be fetched: $(tail -n 1 "$work/why")"
		continue
	fi
	n_kernels=$((n_kernels + 1))
	release=$(sed 's/[-+].*//' "$dir/release")

	# Copied alone into an empty root: no library, no loader, no /proc.
	cat > "$work/payload/run.sh" << 'SH'
mkdir /empty && cp /t/portlog /empty/ && chroot /empty /portlog --version
SH
	if "$here/run.sh" "$suite" "$work/payload" 60 > "$work/output" 2>&1; then
		result ok "$release: the static program runs alone in an empty root"
	else
		result "not ok" "$release: the static program runs alone in an empty root"
		sed 's/^/# /' "$work/output"
	fi

	echo "exec /t/list /t/portlog --must-start" > "$work/payload/run.sh"
	"$here/run.sh" "$suite" "$work/payload" "${VM_TIMEOUT:-300}" > "$work/output" 2>&1
	report "$release list" $? "$work/output"

	for hooks in ${VM_HOOKS-fexit tracepoint}; do
		echo "exec /t/actor --portlog /t/portlog --hooks $hooks --must-start" > "$work/payload/run.sh"
		start=$SECONDS
		"$here/run.sh" "$suite" "$work/payload" "${VM_TIMEOUT:-300}" > "$work/output" 2>&1
		report "$release $hooks" $? "$work/output"
		echo "# $release $hooks: $((SECONDS - start)) s"
	done
done 3< "$here/kernels"

if [ "$n_kernels" -lt "${VM_MIN:-0}" ]; then
	result "not ok" "at least $VM_MIN kernels"
	echo "# only $n_kernels could be had"
fi
echo "1..$n"
