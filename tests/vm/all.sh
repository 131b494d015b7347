#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The table of situations on other kernels, as one TAP stream: every kernel of tests/vm/kernels with every set of hooks.
#
# A kernel that cannot be had is skipped by name; with fewer than VM_MIN kernels (default 0) the run fails.
# VM_HOOKS="" leaves the table of situations out, VM_KERNELS="trixie sid" picks some of them. Needs the programs of "make static".
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

# What is known of these kernels, in doctor's words.
declare -A memlock=([bullseye]="BPF counts" [bookworm]="does not count BPF" [trixie]="does not count BPF" [sid]="does not count BPF")
declare -A bound=([bullseye]="not listed" [bookworm]="not listed" [trixie]="listed by" [sid]="listed by")
declare -A uring=([bullseye]="has none" [bookworm]="has none" [trixie]="has it" [sid]="has it")

# doctor LABEL STATUS SUITE OUTPUT: it can run, both sets can be attached, and it says what is known of the kernel
doctor()
{
	local label=$1 status=$2 suite=$3 output=$4 want missing=''

	for want in '"hooks_used":"fexit"' '"verdict":"(yes|limits)"' '"fexit: loaded and attached"' \
		'"tracepoint: loaded and attached"' '"name":"iterators","text":"over' \
		"\"locked memory\",\"text\":\"[^\"]*${memlock[$suite]}" "\"bound TCP sockets\",\"text\":\"${bound[$suite]}" \
		"\"bind by io_uring\",\"text\":\"the kernel ${uring[$suite]}"; do
		grep -qE -- "$want" "$output" || missing="$missing $want"
	done
	if [ "$status" = 0 ] && [ -z "$missing" ]; then
		result ok "$label: says what this kernel is known to have"
		return
	fi
	result "not ok" "$label: says what this kernel is known to have"
	echo "# status $status, missing:$missing"
	sed 's/^/# /' "$output"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/payload"
if ! cp "$static/portlog" "$static/actor" "$static/errand" "$static/list" "$static/verdict" "$static/wait" "$here/command.sh" "$here/pin.sh" "$here/clock.sh" "$work/payload/"; then
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

	echo "exec /t/verdict --rounds 25 --must-run" > "$work/payload/run.sh"
	"$here/run.sh" "$suite" "$work/payload" "${VM_TIMEOUT:-300}" > "$work/output" 2>&1
	report "$release verdict" $? "$work/output"

	echo "exec /t/portlog doctor -j" > "$work/payload/run.sh"
	"$here/run.sh" "$suite" "$work/payload" 60 > "$work/output" 2>&1
	doctor "$release doctor" $? "$suite" "$work/output"

	echo "exec /t/wait /t/portlog --must-start" > "$work/payload/run.sh"
	"$here/run.sh" "$suite" "$work/payload" "${VM_TIMEOUT:-300}" > "$work/output" 2>&1
	report "$release wait" $? "$work/output"

	# The oldest, which cannot pin all, and the newest.
	if [ "$suite" = bullseye ] || [ "$suite" = sid ]; then
		echo "exec sh /t/pin.sh $suite" > "$work/payload/run.sh"
		"$here/run.sh" "$suite" "$work/payload" "${VM_TIMEOUT:-300}" > "$work/output" 2>&1
		report "$release" $? "$work/output"
	fi

	# Of this the kernel does nothing that another one would not.
	if [ "$suite" = trixie ]; then
		echo "exec sh /t/clock.sh" > "$work/payload/run.sh"
		"$here/run.sh" "$suite" "$work/payload" "${VM_TIMEOUT:-300}" > "$work/output" 2>&1
		report "$release" $? "$work/output"
	fi

	for hooks in ${VM_HOOKS-fexit tracepoint}; do
		echo "exec /t/actor --portlog /t/portlog --hooks $hooks --must-start" > "$work/payload/run.sh"
		start=$SECONDS
		"$here/run.sh" "$suite" "$work/payload" "${VM_TIMEOUT:-300}" > "$work/output" 2>&1
		report "$release $hooks" $? "$work/output"
		echo "# $release $hooks: $((SECONDS - start)) s"

		echo "exec sh /t/command.sh $hooks" > "$work/payload/run.sh"
		"$here/run.sh" "$suite" "$work/payload" "${VM_TIMEOUT:-300}" > "$work/output" 2>&1
		report "$release $hooks" $? "$work/output"
	done
done 3< "$here/kernels"

if [ "$n_kernels" -lt "${VM_MIN:-0}" ]; then
	result "not ok" "at least $VM_MIN kernels"
	echo "# only $n_kernels could be had"
fi
echo "1..$n"
