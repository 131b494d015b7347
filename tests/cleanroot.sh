#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Try the two commands of the README where nothing is installed: cleanroot.sh [run] [test], default both. As root.
#
# Makes a Debian root by debootstrap (kept as a tarball in the cache folder), adds git, make and ca-certificates and nothing
# else, clones the last commit of this checkout into it, and types "make run AUTO=1" and "make test AUTO=1" there.
# VM_KERNELS and TEST are handed on. CLEANROOT_SUITE=bookworm, CLEANROOT_KEEP=1 leaves the root for a look. Kernels for the VM tests come from our cache.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)

die()
{
	echo "cleanroot: $*" >&2
	exit 1
}

[ "$(id -u)" = 0 ] || die "needs root"
# Mounts in a namespace of our own: nothing of it can be left behind.
[ -n "${CLEANROOT_INSIDE:-}" ] || CLEANROOT_INSIDE=1 exec unshare --mount "$0" "$@"
command -v debootstrap > /dev/null || die "no debootstrap: run \"tools/deps.sh full\""
suite=${CLEANROOT_SUITE:-bookworm}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/portlog
kernels=${KERNEL_CACHE:-$cache/kernels}
tarball=$cache/root-$suite.tar
# shellcheck disable=SC2016 # apt expands these, not the shell
mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 'Identifier: Packages' |
	sed -n 's/^Debian|Debian|//p' | head -n 1)}
[ -n "$mirror" ] || die "no Debian mirror among this machine's apt sources: set DEBIAN_MIRROR"

mkdir -p "$cache"
work=$(mktemp -d "$cache/.cleanroot.XXXXXX")
root=$work/root
# shellcheck disable=SC2317 # run by the trap
cleanup()
{
	for tree in proc sys dev tmp run root/.cache/portlog/kernels; do
		umount -lR "$root/$tree" 2> /dev/null || :
	done
	if [ -n "${CLEANROOT_KEEP:-}" ]; then
		echo "cleanroot: left in $root"
	else
		rm -rf --one-file-system "$work"
	fi
}
trap cleanup EXIT

mkdir "$root"
if [ ! -e "$tarball" ]; then
	debootstrap --variant=minbase "$suite" "$root" "$mirror" > "$work/log" 2>&1 ||
		die "debootstrap failed: $(tail -n 3 "$work/log")"
	# The same way to the mirror as this machine has: its settings, not only its address.
	cp -L /etc/resolv.conf "$root/etc/resolv.conf"
	find /etc/apt/apt.conf.d -name '*prox*' -exec cp {} "$root/etc/apt/apt.conf.d/" \;
	{
		chroot "$root" apt-get -qq update
		chroot "$root" env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends \
			git make ca-certificates
	} > "$work/log" 2>&1 || die "apt-get failed: $(tail -n 3 "$work/log")"
	tar -C "$root" -cf "$tarball.new" .
	mv "$tarball.new" "$tarball"
else
	tar -C "$root" -xf "$tarball"
fi
cp -L /etc/resolv.conf "$root/etc/resolv.conf"
echo "cleanroot: Debian $suite with $(chroot "$root" dpkg-query -W | wc -l) packages"

mount -t proc proc "$root/proc"
for tree in /sys /dev; do
	mount --rbind "$tree" "$root$tree"
	mount --make-rslave "$root$tree"
done
[ -e /sys/kernel/tracing/events ] || mount -t tracefs tracefs "$root/sys/kernel/tracing"
mount -t tmpfs tmpfs "$root/tmp"
mount -t tmpfs tmpfs "$root/run"
mkdir -p "$root/root/.cache/portlog/kernels" "$kernels"
mount --bind "$kernels" "$root/root/.cache/portlog/kernels"

git -C "$here" bundle create -q "$work/portlog.bundle" HEAD
cp "$work/portlog.bundle" "$root/root/"
# As its root, not by chroot(2): the kernel would go on telling paths from the real one.
in_root()
{
	# shellcheck disable=SC2016 # expanded in there
	unshare --mount sh -c 'mount --rbind "$1" "$1" && cd "$1" && mkdir -p .before && pivot_root . .before &&
		umount -l /.before && shift && exec env -i "$@"' sh "$root" \
		PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb \
		REQUIRE_BPF="${REQUIRE_BPF:-0}" ${VM_KERNELS:+VM_KERNELS="$VM_KERNELS"} ${TEST:+TEST="$TEST"} \
		${http_proxy:+http_proxy="$http_proxy"} sh -c "$1"
}
in_root "cd /root && git clone -q portlog.bundle portlog"

status=0
[ $# -gt 0 ] || set -- run test
for what; do
	start=$SECONDS
	echo "cleanroot: \$ make $what AUTO=1"
	in_root "cd /root/portlog && make $what AUTO=1" < /dev/null > "$work/output" 2>&1 || { status=1; echo "cleanroot: FAILED"; }
	grep -vE '^(Selecting|Preparing|Unpacking|Setting up|Processing|Get:|\(Reading)' "$work/output" || :
	echo "cleanroot: make $what took $((SECONDS - start)) s"
done
exit $status
