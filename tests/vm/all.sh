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

programs=(portlog actor errand list verdict wait)

# guest SUITE SECONDS COMMAND: a machine that executes it; its output, and its status
guest()
{
	echo "$3" > "$work/payload/run.sh"
	"$here/run.sh" "$1" "$work/payload" "$2" > "$work/output" 2>&1
}

# kernel SUITE RELEASE: all that is tested on one, as results
kernel()
{
	local suite=$1 release=$2 hooks start seconds=${VM_TIMEOUT:-300}

	# Copied alone into an empty root: no library, no loader, no /proc.
	if guest "$suite" 60 "mkdir /empty && cp /t/portlog /empty/ && chroot /empty /portlog --version"; then
		result ok "$release: the static program runs alone in an empty root"
	else
		result "not ok" "$release: the static program runs alone in an empty root"
		sed 's/^/# /' "$work/output"
	fi
	guest "$suite" "$seconds" "exec /t/list /t/portlog --must-start"
	report "$release list" $? "$work/output"
	guest "$suite" "$seconds" "exec /t/verdict --rounds 25 --must-run"
	report "$release verdict" $? "$work/output"
	guest "$suite" 60 "exec /t/portlog doctor -j"
	doctor "$release doctor" $? "$suite" "$work/output"
	guest "$suite" "$seconds" "exec /t/wait /t/portlog --must-start"
	report "$release wait" $? "$work/output"

	# The oldest, which cannot pin all, and the newest.
	if [ "$suite" = bullseye ] || [ "$suite" = sid ]; then
		guest "$suite" "$seconds" "exec sh /t/pin.sh $suite"
		report "$release" $? "$work/output"
	fi
	# One whose clock is set back and forth.
	if [ "$suite" = trixie ]; then
		guest "$suite" "$seconds" "exec sh /t/clock.sh"
		report "$release" $? "$work/output"
	fi

	for hooks in ${VM_HOOKS-fexit tracepoint}; do
		start=$SECONDS
		guest "$suite" "$seconds" "exec /t/actor --portlog /t/portlog --hooks $hooks --must-start"
		report "$release $hooks" $? "$work/output"
		echo "# $release $hooks: $((SECONDS - start)) s"
		guest "$suite" "$seconds" "exec sh /t/command.sh $hooks"
		report "$release $hooks" $? "$work/output"
	done
}

all=$(mktemp -d)
trap 'rm -rf "$all"' EXIT
suites=()
while read -r suite <&3; do
	case $suite in "" | "#"*) continue ;; esac
	[ -z "${VM_KERNELS:-}" ] || [[ " $VM_KERNELS " == *" $suite "* ]] || continue
	if ! dir=$("$here/fetch.sh" "$suite" 2> "$all/why"); then
		result ok "kernel of $suite # SKIP cannot be fetched: $(tail -n 1 "$all/why")"
		continue
	fi
	n_kernels=$((n_kernels + 1))
	suites+=("$suite")
	mkdir -p "$all/$suite/payload"
	if ! cp "${programs[@]/#/$static/}" "$here"/{command,pin,clock}.sh "$all/$suite/payload/"; then
		echo "Bail out! no static programs: run \"make static\""
		exit 1
	fi
	sed 's/[-+].*//' "$dir/release" > "$all/$suite/release"
done 3< "$here/kernels"

# Each has one processor: as many at a time as there are here, at most two.
jobs=$(nproc)
[ "$jobs" -le 2 ] || jobs=2
running=0
for suite in "${suites[@]}"; do
	[ "$running" -lt "$jobs" ] || { wait -n; running=$((running - 1)); }
	(work=$all/$suite && kernel "$suite" "$(< "$work/release")" > "$work/results") &
	running=$((running + 1))
done
wait
for suite in "${suites[@]}"; do
	while IFS= read -r line; do
		case $line in
		"not ok "*) result "not ok" "${line#not ok * - }" ;;
		"ok "*) result ok "${line#ok * - }" ;;
		*) printf '%s\n' "$line" ;;
		esac
	done < "$all/$suite/results"
done

if [ "$n_kernels" -lt "${VM_MIN:-0}" ]; then
	result "not ok" "at least $VM_MIN kernels"
	echo "# only $n_kernels could be had"
fi
echo "1..$n"
