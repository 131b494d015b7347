#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Boot one cached kernel with a folder of programs: run.sh KERNEL PAYLOADDIR [SECONDS].
#
# KERNEL is a suite (trixie) or the start of a release (6.12). PAYLOADDIR becomes /t and its run.sh is run. What it
# prints is printed from the line VM-START on; its status is ours, 125 when there was none (panic, hang, time-out).
set -euo pipefail

die()
{
	echo "$*" >&2
	exit 125
}

[ $# -ge 2 ] || die "usage: run.sh KERNEL PAYLOADDIR [SECONDS]"
kernel=$1 payload=$2 seconds=${3:-120}
here=$(cd "$(dirname "$0")" && pwd)
cache=${KERNEL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/portlog/kernels}
dir=
for release in "$cache"/*/release; do
	[ -e "$release" ] || continue
	case $(cat "$release") in
	"$kernel" | "$kernel".* | "$kernel"-*) dir=${release%/release} ;;
	esac
done
[ ! -e "$cache/$kernel/release" ] || dir=$cache/$kernel
[ -n "$dir" ] || die "no kernel $kernel in $cache: run tests/vm/fetch.sh SUITE"
busybox=$(command -v busybox) || die "no busybox: run \"tools/deps.sh test\""

work=$(mktemp -d)
qemu=
trap 'rm -rf "$work"; [ -z "$qemu" ] || kill "$qemu" 2>/dev/null || :' EXIT

archive()
{
	(cd "$1" && find . | cpio -o -H newc --quiet | gzip -1)
}

# Three archives, one after the other: the kernel unpacks them in order.
mkdir -p "$work"/base/{bin,dev,proc,sys,tmp,run,etc,mods} "$work/payload/t"
cp "$busybox" "$work/base/bin/busybox"
cp "$here/init" "$work/base/init"
chmod 755 "$work/base/init"
cp -rL "$payload/." "$work/payload/t"
{
	archive "$work/base"
	cat "$dir/modules.cpio.gz"
	archive "$work/payload"
} > "$work/initrd"

# cx16=off: with a plain "max" QEMU 7.2 crashes newer kernels in cmpxchg16b. Always tcg: /dev/kvm is no promise.
timeout --kill-after=5 "$seconds" qemu-system-x86_64 \
	-accel tcg,thread=multi -cpu max,cx16=off -smp "${VM_SMP:-1}" -m "${VM_MEM:-1024}" \
	-nographic -no-reboot -net none -kernel "$dir/vmlinuz" -initrd "$work/initrd" \
	-append "console=ttyS0 panic=-1 quiet ${VM_APPEND:-}" < /dev/null > "$work/console" 2>&1 &
qemu=$!
wait "$qemu" || :
qemu=

tr -d '\r' < "$work/console" > "$work/text"
sed -n '/VM-START/,$p' "$work/text" | sed -e '1s/^.*VM-START/VM-START/' -e '/reboot: Power down/d'
status=$(sed -n 's/^VM-EXIT:\([0-9]*\)$/\1/p' "$work/text" | tail -n 1)
if [ -z "$status" ]; then
	echo "no exit status from the machine within $seconds s; the end of its console:"
	tail -n 30 "$work/text"
	exit 125
fi
exit "$status"
