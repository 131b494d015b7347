#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# What portlog needs on this machine: deps.sh [run|test|full] gets it (asks first; AUTO=1 does not ask), silent when
# all is there. "deps.sh check" only says what building needs and is missing, and never installs.
#
# run: to build and use it. test: also to run every test. full: also to lint, fuzz and try clean roots.

level=${1:-run}

# level | what | how to see that it is there | Debian, Ubuntu | Fedora | Arch | Alpine
table()
{
	cat << 'TABLE'
run |gcc             |has gcc                               |gcc               |gcc                   |gcc          |gcc
run |the C library   |header stdio.h && header linux/bpf.h  |libc6-dev         |glibc-devel           |glibc        |musl-dev linux-headers
run |clang           |has clang                             |clang             |clang                 |clang        |clang
run |make            |has make                              |make              |make                  |make         |make
run |pkg-config      |has pkg-config                        |pkg-config        |pkgconf-pkg-config    |pkgconf      |pkgconf
run |bpftool         |bpftool_works                         |bpftool           |bpftool               |bpf          |bpftool
run |libbpf >= 1.0   |lib libbpf 1.0                        |libbpf-dev        |libbpf-devel          |libbpf       |libbpf-dev
run |libelf          |lib libelf 0                          |libelf-dev        |elfutils-libelf-devel |libelf       |elfutils-dev
run |zlib            |lib zlib 0                            |zlib1g-dev        |zlib-devel            |zlib         |zlib-dev
run |libnl-3         |lib libnl-3.0 0                       |libnl-3-dev       |libnl3-devel          |libnl        |libnl3-dev
run |libcap          |lib libcap 0                          |libcap-dev        |libcap-devel          |libcap       |libcap-dev
run |sqlite3         |lib sqlite3 3.35                      |libsqlite3-dev    |sqlite-devel          |sqlite       |sqlite-dev sqlite-static
run |uthash          |header uthash.h                       |uthash-dev        |uthash-devel          |uthash       |uthash-dev
test|cmocka          |lib cmocka 0                          |libcmocka-dev     |libcmocka-devel       |cmocka       |cmocka-dev
test|jq              |has jq                                |jq                |jq                    |jq           |jq
test|python3         |has python3                           |python3           |python3               |python       |python3
test|jsonschema      |python3 -c 'import jsonschema'        |python3-jsonschema|python3-jsonschema    |python-jsonschema|py3-jsonschema
test|procps          |has pgrep                              |procps            |procps-ng             |procps-ng    |procps
test|iproute2        |has ip && has ss                      |iproute2          |iproute               |iproute2     |iproute2
test|qemu            |has qemu-system-x86_64                |qemu-system-x86   |qemu-system-x86-core  |qemu-system-x86|qemu-system-x86_64
test|busybox, static |has busybox && static_busybox         |busybox-static    |busybox               |busybox      |busybox-static
test|cpio            |has cpio                              |cpio              |cpio                  |cpio         |cpio
test|xz              |has xz                                |xz-utils          |xz                    |xz           |xz
test|zstd            |has zstd                              |zstd              |zstd                  |zstd         |zstd
test|Debian's keys   |keyring                               |debian-archive-keyring|debian-keyring    |debian-archive-keyring|debian-archive-keyring
test|strace          |has strace                            |strace            |strace                |strace       |strace
test|debootstrap     |has debootstrap                       |debootstrap       |debootstrap           |debootstrap  |debootstrap
test|systemd-nspawn  |has systemd-nspawn                    |systemd-container |systemd-container     |systemd      |systemd
test|rsyslog         |has rsyslogd                          |rsyslog           |rsyslog               |rsyslog      |rsyslog
test|logrotate       |has logrotate                         |logrotate         |logrotate             |logrotate    |logrotate
test|promtool        |has promtool                          |prometheus        |golang-github-prometheus|prometheus |prometheus
full|net-tools       |has netstat                           |net-tools         |net-tools             |net-tools    |net-tools
full|lsof            |has lsof                              |lsof              |lsof                  |lsof         |lsof
full|git             |has git                               |git               |git                   |git          |git
full|clang-tidy      |has clang-tidy                        |clang-tidy        |clang-tools-extra     |clang        |clang-extra-tools
full|clang-format    |has clang-format                      |clang-format      |clang-tools-extra     |clang        |clang-extra-tools
full|shellcheck      |has shellcheck                        |shellcheck        |ShellCheck            |shellcheck   |shellcheck
full|mandoc          |has mandoc                            |mandoc            |mandoc                |mandoc       |mandoc
full|libFuzzer       |fuzzer                                |libclang-rt-dev   |compiler-rt           |compiler-rt  |compiler-rt
TABLE
}

PATH=$PATH:/usr/sbin:/sbin

has() { command -v "$1"; }
lib() { pkg-config --atleast-version="$2" "$1"; }
header() { echo "#include <$1>" | ${CC:-cc} -E -; }
static_busybox() { ! ldd "$(command -v busybox)"; }
keyring() { [ -e /usr/share/keyrings/debian-archive-keyring.gpg ]; }
fuzzer() { echo 'int LLVMFuzzerTestOneInput(void) { return 0; }' | clang -fsanitize=fuzzer -x c -o /dev/null -; }
bpftool_works()
{
	# Ubuntu's first one is a wrapper that wants the tools of the running kernel; any of them will do.
	for tool in bpftool /usr/lib/linux-tools/*/bpftool; do
		"$tool" version && return
	done
	return 1
}

wanted()
{
	case $level:$1 in
	run:run | check:run | test:run | test:test | full:*) return 0 ;;
	esac
	return 1
}

case $level in
run | test | full | check) ;;
*)
	echo "usage: tools/deps.sh [run|test|full|check]" >&2
	exit 2
	;;
esac

id='' id_like='' version_id=''
if [ -r /etc/os-release ]; then
	# shellcheck source=/dev/null
	id=$(. /etc/os-release && echo "$ID")
	# shellcheck source=/dev/null
	id_like=$(. /etc/os-release && echo "${ID_LIKE-}")
	# shellcheck source=/dev/null
	version_id=$(. /etc/os-release && echo "${VERSION_ID-}")
fi
case " $id $id_like " in
*" debian "* | *" ubuntu "*) column=4 install="apt-get install --no-install-recommends" ;;
*" fedora "* | *" rhel "*) column=5 install="dnf install" ;;
*" arch "*) column=6 install="pacman -S --needed" ;;
*" alpine "*) column=7 install="apk add" ;;
*) column=4 install='' ;;
esac

names='' packages=''
old_ifs=$IFS
while IFS='|' read -r row_level what probe debian fedora arch alpine; do
	IFS=$old_ifs
	# shellcheck disable=SC2086 # unquoted: strips the padding
	if wanted $row_level && ! eval "$probe" > /dev/null 2>&1 < /dev/null; then
		case $column in
		4) package=$debian ;;
		5) package=$fedora ;;
		6) package=$arch ;;
		*) package=$alpine ;;
		esac
		set -- $what
		names="$names${names:+, }$*"
		set -- $package
		packages="$packages $*"
	fi
	IFS='|'
done << ROWS
$(table)
ROWS
IFS=$old_ifs

[ -n "$names" ] || exit 0
if [ "$level" = check ]; then
	echo "missing: $names: run \"make deps\"" >&2
	exit 1
fi

case $id:$version_id in
ubuntu:2[0-4].*) packages=$(echo "$packages" | sed 's/ bpftool/ linux-tools-common linux-tools-generic/') ;;
esac
sudo=
[ "$(id -u)" = 0 ] || sudo="sudo "
case $install in
apt-get*) ;;
"")
	echo "missing: $names. Install them with your package manager (Debian calls them:$packages)" >&2
	exit 1
	;;
*)
	echo "missing: $names. Type: $sudo$install$packages" >&2
	exit 1
	;;
esac

echo "missing: $names" >&2
if [ "${AUTO:-0}" != 1 ]; then
	printf 'Run "%s%s%s"? [Y/n] ' "$sudo" "$install" "$packages" >&2
	read -r answer || answer=n
	case $answer in
	"" | [yY]*) ;;
	*) exit 1 ;;
	esac
fi
# shellcheck disable=SC2086 # lists of words
if ! ${sudo}apt-get -qq update || ! ${sudo}env DEBIAN_FRONTEND=noninteractive $install -y $packages >&2; then
	echo "could not install:$packages" >&2
	exit 1
fi
