#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Put the root of a Debian machine with real servers into the cache: build.sh. As root.
#
# Prints the folder of that root. One that is there already costs nothing and needs no network; boot.sh never writes into
# it. On failure: status 1, the reason on stderr. The mirror is the one this machine's own apt uses, or DEBIAN_MIRROR.
# NSPAWN_SUITE=bookworm.
set -euo pipefail

packages="systemd systemd-sysv dbus iproute2 jq strace python3 nginx-light openssh-server redis-server postgresql nodejs busybox-static docker.io"
# Installed, but started only by a scene that wants them.
servers="nginx ssh redis-server postgresql docker docker.socket containerd"

die()
{
	echo "$*" >&2
	exit 1
}

[ "$(id -u)" = 0 ] || die "needs root"
command -v debootstrap > /dev/null || die "no debootstrap: run \"tools/deps.sh test\""
suite=${NSPAWN_SUITE:-bookworm}
cache=${NSPAWN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/portlog/nspawn}
dir=$cache/$suite
stamp=$(cksum < "$0")

if [ "$(cat "$dir/stamp" 2> /dev/null)" = "$stamp" ]; then
	echo "$dir/root"
	exit 0
fi

# shellcheck disable=SC2016 # apt expands these, not the shell
mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 'Identifier: Packages' 2> /dev/null |
	sed -n 's/^Debian|Debian|//p' | head -n 1)}
[ -n "$mirror" ] || die "no Debian mirror among this machine's apt sources (set DEBIAN_MIRROR, or run apt-get update)"

mkdir -p "$cache"
work=$(mktemp -d "$cache/.build-$suite.XXXXXX")
# A build that was cut off may have left /proc mounted in there.
# shellcheck disable=SC2317 # run by the trap
cleanup()
{
	umount -lR "$work/root/proc" "$work/root/sys" 2> /dev/null || :
	rm -rf --one-file-system "$work"
}
trap cleanup EXIT
chmod 755 "$work"

debootstrap --variant=minbase --include="${packages// /,}" "$suite" "$work/root" "$mirror" > "$work/log" 2>&1 ||
	die "debootstrap of $suite failed: $(tail -n 1 "$work/log")"
for server in $servers; do
	systemctl --quiet --root="$work/root" disable "$server" 2> /dev/null || die "cannot disable $server"
done
rm -rf "$work/root/var/cache/apt/archives" "$work/root/var/lib/apt/lists"
mkdir -p "$work/root/var/cache/apt/archives/partial" "$work/root/var/lib/apt/lists/partial"
# Each boot is a first one: systemd makes an id of its own.
: > "$work/root/etc/machine-id"
echo portlog-test > "$work/root/etc/hostname"

echo "$stamp" > "$work/stamp"
rm -rf --one-file-system "$dir"
mv -T "$work" "$dir"
trap - EXIT
echo "$dir/root"
