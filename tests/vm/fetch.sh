#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Put one Debian cloud kernel and the modules the tests need into the cache: fetch.sh SUITE.
#
# Prints the cache folder of that kernel, which then holds vmlinuz, modules.cpio.gz and release. A kernel that is
# there already costs nothing and needs no network. On failure: status 1, the reason on stderr.
# The mirror is the one this machine's own apt uses, or KERNEL_MIRROR; everything is checked against Debian's keys.
set -euo pipefail

modules="inet_diag tcp_diag udp_diag raw_diag mptcp_diag vxlan"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

die()
{
	echo "$*" >&2
	exit 1
}

suite=${1:?usage: fetch.sh SUITE}
arch=$(dpkg --print-architecture 2>/dev/null) || die "no dpkg here, so no Debian kernels"
cache=${KERNEL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/portlog/kernels}
dir=$cache/$suite
stamp="$arch $modules"

if [ "$(cat "$dir/stamp" 2>/dev/null)" = "$stamp" ]; then
	echo "$dir"
	exit 0
fi

[ -e "$keyring" ] || die "no $keyring: install debian-archive-keyring"
# shellcheck disable=SC2016 # apt expands these, not the shell
mirror=${KERNEL_MIRROR:-$(apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 'Identifier: Packages' |
	sed -n 's/^Debian|Debian|//p' | head -n 1)}
[ -n "$mirror" ] || die "no Debian mirror among this machine's apt sources (set KERNEL_MIRROR, or run apt-get update)"
mirror=${mirror%/}

mkdir -p "$cache"
work=$(mktemp -d "$cache/.fetch-$suite.XXXXXX")
trap 'rm -rf "$work"' EXIT

# An apt of our own: its sources, lists and cache are in $work, and it believes that nothing is installed.
mkdir -p "$work/lists/partial" "$work/archives/partial" "$work/root"
: > "$work/status"
cat > "$work/apt.conf" <<CONF
Dir::Etc::sourcelist "$work/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::State::lists "$work/lists";
Dir::State::status "$work/status";
Dir::Cache "$work";
Dir::Cache::archives "$work/archives";
Acquire::Languages "none";
Acquire::Retries "2";
APT::Sandbox::User "";
CONF
export APT_CONFIG=$work/apt.conf

update()
{
	echo "deb [signed-by=$keyring] $1 $suite main" > "$work/sources.list"
	apt-get -qq update >> "$work/update.log" 2>&1 && apt-cache show "linux-image-cloud-$arch" > /dev/null 2>&1
}
# A suite that has left the mirror's usual place may be in the archive beside it.
update "$mirror" || update "${mirror%/debian}/debian-archive/debian" ||
	die "the mirror does not offer $suite: $(grep -oE 'Failed to fetch .*|E: .*' "$work/update.log" | head -n 1)"

# The kernel is one package, or (newer) a shell that depends on the image and the modules: follow the dependencies.
packages="linux-image-cloud-$arch"
todo=$packages
while [ -n "$todo" ]; do
	# shellcheck disable=SC2086 # a list of words
	found=$(apt-cache depends --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
		--no-enhances $todo | sed -nE 's/^ *\|?(Pre)?Depends: (linux-(image|binary|modules)-[^ ]*).*/\2/p' | sort -u)
	todo=
	for package in $found; do
		case " $packages " in
		*" $package "*) ;;
		*) todo="$todo $package" packages="$packages $package" ;;
		esac
	done
done
# shellcheck disable=SC2086 # a list of words
(cd "$work/archives" && apt-get -qq download ${packages#* }) > "$work/download.log" 2>&1 ||
	die "cannot download the kernel of $suite: $(tail -n 1 "$work/download.log")"
for deb in "$work"/archives/*.deb; do
	dpkg-deb -x "$deb" "$work/root"
done

vmlinuz=$(find "$work/root" -name 'vmlinuz*' -type f | head -n 1)
moddir=$(find "$work/root" -path '*lib/modules/*' -name kernel -type d | head -n 1)
[ -n "$vmlinuz" ] || die "no kernel image in the packages of $suite"
[ -n "$moddir" ] || die "no modules in the packages of $suite"
moddir=${moddir%/kernel}

# modules.cpio.gz: /mods/*.ko and /mods/order, each module after those it depends on
mkdir -p "$work/mods/mods" "$work/new"
: > "$work/mods/mods/order"
add_module()
{
	local name=$1 file ko=$work/mods/mods/$1.ko dep

	[ ! -e "$ko" ] || return 0
	file=$(find "$moddir" -name "$name.ko*" -o -name "${name//_/-}.ko*" | head -n 1)
	case $file in
	"") return 0 ;; # built in, or this kernel has no such thing: the tests probe for the feature
	*.xz) xz -dc "$file" > "$ko" ;;
	*.zst) zstd -qdc "$file" > "$ko" ;;
	*) cp "$file" "$ko" ;;
	esac
	for dep in $(tr '\0' '\n' < "$ko" | sed -n 's/^depends=//p' | tr ',-' ' _'); do
		add_module "$dep"
	done
	echo "$name.ko" >> "$work/mods/mods/order"
}
for module in $modules; do
	add_module "$module"
done

basename "$moddir" > "$work/new/release"
cp "$vmlinuz" "$work/new/vmlinuz"
(cd "$work/mods" && find . | cpio -o -H newc --quiet | gzip -9) > "$work/new/modules.cpio.gz"
echo "$stamp" > "$work/new/stamp"
chmod 755 "$work/new"
rm -rf "$dir"
mv -T "$work/new" "$dir"
echo "$dir"
