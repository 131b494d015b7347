#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Boot a real systemd with real servers, and play a scene in it: boot.sh SCENE [SECONDS]. Prints TAP. As root.
#
# tests/nspawn/SCENE.py is run when the machine has booted, as the last unit of multi-user.target; what is in the folder
# SCENE.d is copied over the root before. In the machine /t is this folder and /portlog the program (static, read-only).
# The root comes from build.sh and is the lower half of an overlay: nothing of a scene is left behind.
#
# NSPAWN_INSTALL=1 installs portlog in the machine ("make install"), and enables its service.
# A scene that reboots the machine is played again: /out stays as it is.
# NSPAWN_STRACE=1 lets strace write all binds and listens of the machine to /out/strace, beside what portlog tells.
# A root that cannot be had is skipped by name, unless NSPAWN_REQUIRED=1. NSPAWN_KEEP=FOLDER keeps the journal there.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
scene=${1:?usage: boot.sh SCENE [SECONDS]}
seconds=${2:-120}

skip()
{
	echo "1..0 # SKIP $*"
	exit 0
}

bail()
{
	echo "Bail out! $*"
	exit 1
}

[ "$(id -u)" = 0 ] || skip "needs root"
# Mounts in a namespace of our own: they end with us.
[ -n "${NSPAWN_INSIDE:-}" ] || NSPAWN_INSIDE=1 exec unshare --mount "$0" "$@"

program=${PORTLOG_STATIC:-${BUILD:-build}/static/portlog}
[ -x "$program" ] || bail "no $program: run \"make static\""
program=$(realpath "$program")

work=$(mktemp -d)
machine=
# shellcheck disable=SC2317 # run by the trap
cleanup()
{
	[ -z "$machine" ] || { kill "$machine" && wait "$machine"; } 2> /dev/null
	[ -z "$cgroup" ] || { echo $$ > "$cgroup/../cgroup.procs"; cgroup_remove; } 2> /dev/null
	umount -lR "$work" 2> /dev/null
	rm -rf --one-file-system "$work"
}
cgroup=
trap cleanup EXIT
trap 'exit 1' INT TERM

command -v systemd-nspawn > /dev/null || skip "no systemd-nspawn: run \"tools/deps.sh test\""
if ! root=$("$here/build.sh" 2> "$work/why"); then
	why="the Debian root cannot be built: $(tail -n 1 "$work/why")"
	[ "${NSPAWN_REQUIRED:-0}" = 0 ] || bail "$why"
	skip "$why"
fi

# A cgroup of our own, so that machines of two runs do not meet in one "payload". The first v2 mount is the real one.
# shellcheck disable=SC2317 # run by the trap
cgroup_remove()
{
	find "$cgroup" -depth -type d -exec rmdir {} \;
}
v2=$(awk '/ - cgroup2 / { print $5; exit }' /proc/self/mountinfo)
if [ -n "$v2" ]; then
	cgroup=$v2$(sed -n 's/^0:://p' /proc/self/cgroup)/portlog-nspawn-$$
	{ mkdir "$cgroup" && echo $$ > "$cgroup/cgroup.procs"; } 2> /dev/null || cgroup=
fi

# ---- the machine's root ----
mount -t tmpfs -o mode=755 tmpfs "$work" || bail "cannot mount a tmpfs"
mkdir "$work"/{upper,work,root,out}
mount -t overlay -o "lowerdir=$root,upperdir=$work/upper,workdir=$work/work" overlay "$work/root" ||
	bail "cannot mount an overlay"
touch "$work/root/portlog"
[ ! -d "$here/$scene.d" ] || cp -a --no-preserve=ownership "$here/$scene.d/." "$work/root/"
if [ -n "${NSPAWN_INSTALL:-}" ]; then
	make --no-print-directory -C "$here/../.." install PROGRAM="$program" DESTDIR="$work/root" > "$work/out/install" 2>&1 ||
		bail "cannot install: $(tail -n 1 "$work/out/install")"
	systemctl --quiet --root="$work/root" enable portlog || bail "cannot enable the service"
fi
units=$work/root/etc/systemd/system
mkdir -p "$units/multi-user.target.wants"
cat > "$units/scene.service" << UNIT
[Unit]
Description=The scene that the test plays
After=multi-user.target
SuccessAction=exit-force
FailureAction=exit-force

[Service]
ExecStart=/usr/bin/python3 -B -u /t/$scene.py
ExecStopPost=/bin/sh -c 'echo "\$EXIT_STATUS" > /out/status; journalctl --no-hostname -o short-monotonic > /out/journal'
StandardOutput=append:/out/tap
StandardError=append:/out/tap
Environment=PYTHONUNBUFFERED=1
TimeoutStopSec=20
UNIT
ln -s ../scene.service "$units/multi-user.target.wants/"

# ---- boot ----
# --register=no and --keep-unit: no systemd is needed out here. Docker wants a keyring for each container.
witness=()
if [ -n "${NSPAWN_STRACE:-}" ]; then
	command -v strace > /dev/null || skip "no strace: run \"tools/deps.sh test\""
	witness=(strace -f --seccomp-bpf -qq -e "trace=bind,listen" -e signal=none -A -o "$work/out/strace")
fi
start=$SECONDS
REBOOT=133 # what systemd-nspawn ends with then
status=$REBOOT
while [ "$status" = "$REBOOT" ]; do
	SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 SYSTEMD_NSPAWN_LOCK=0 timeout --kill-after=5 $((seconds - SECONDS + start)) \
		"${witness[@]}" systemd-nspawn --quiet -D "$work/root" --boot \
		--machine="portlog-$$" --hostname=portlog-test --register=no --keep-unit --private-network \
		--resolv-conf=off --timezone=off --link-journal=no --console=pipe \
		--capability=all --system-call-filter="bpf perf_event_open @keyring" \
		--bind-ro="$program:/portlog" --bind-ro="$here:/t" --bind="$work/out:/out" \
		< /dev/null >> "$work/console" 2>&1 &
	machine=$!
	wait "$machine"
	status=$?
	machine=
done

[ ! -e "$work/out/tap" ] || cat "$work/out/tap"
[ -z "${NSPAWN_KEEP:-}" ] || { mkdir -p "$NSPAWN_KEEP" && cp "$work/console" "$work"/out/* "$NSPAWN_KEEP/"; }
if [ ! -e "$work/out/status" ]; then
	echo "# the machine ended without an answer after $((SECONDS - start)) s; the end of its console:"
	tail -n 30 "$work/console" | tr -d '\r' | sed 's/^/# /'
	exit 125
fi
status=$(cat "$work/out/status")
case $status in
*[!0-9]*)
	echo "# the scene was ended by SIG$status after $((SECONDS - start)) s"
	status=125
	;;
esac
exit "$status"
