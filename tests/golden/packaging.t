#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What "make install" leaves, what "make uninstall" leaves of that, and what systemd thinks of the unit. TAP.
set -u
cd "$(dirname "$0")/../.." || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
n=0
bad=0

# fact NAME STATUS [DETAIL]
fact()
{
	n=$((n + 1))
	if [ "$2" = 0 ]; then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1"
		[ -z "${3:-}" ] || printf '# %s\n' "${3//$'\n'/$'\n'# }"
		bad=1
	fi
}

# build/portlog need not be there for this: any program will do.
printf '#!/bin/sh\n' > "$work/program"
chmod 755 "$work/program"
# The make that runs the tests hands its own flags down.
unset MAKEFLAGS MFLAGS MAKELEVEL
make_it()
{
	make --no-print-directory "$@" PROGRAM="$work/program" DESTDIR="$work/root" 2>&1
}

said=$(make_it install)
fact "it installs into DESTDIR" $? "$said"
last=$(tail -n 1 <<< "$said")
[[ $last == *"sudo systemctl enable --now portlog" ]]
fact "it says how to enable the service" $? "$last"
[ "$(find "$work/root/etc" ! -type d)" = "$work/root/etc/logrotate.d/portlog" ] && [ -z "$(find "$work/root" -name '*.wants')" ]
fact "it does not enable it, and has nothing in /etc but for logrotate" $? "$(find "$work/root")"
unit=$work/root/usr/local/lib/systemd/system/portlog.service
grep -q '^ExecStart=/usr/local/bin/portlog record ' "$unit" && ! grep -q @bindir@ "$unit"
fact "the unit starts what was installed" $? "$(grep -n -e ExecStart -e @bindir "$unit")"
if command -v systemd-analyze > /dev/null; then
	said=$(systemd-analyze security --offline=true --threshold=25 --no-pager "$unit" 2>&1)
	fact "systemd-analyze security: at most 2.5" $? "$(grep -v '^.[^a-zA-Z]*✓' <<< "$said")"
	sed "s|/usr/local/bin|$work/root/usr/local/bin|" "$unit" > "$work/portlog.service"
	said=$(systemd-analyze verify --man=no "$work/portlog.service" 2>&1) && [ -z "$said" ]
	fact "systemd-analyze verify: no complaint" $? "$said"
	# Where systemd does not look, a name is not enough.
	said=$(make --no-print-directory install PROGRAM="$work/program" DESTDIR="$work/opt" PREFIX=/opt/portlog 2>&1 | tail -n 1)
	[[ $said == *"--now /opt/portlog/lib/systemd/system/portlog.service" ]]
	fact "with another PREFIX it names the file" $? "$said"
else
	echo "ok $((n += 1)) - what systemd thinks of the unit # SKIP no systemd-analyze"
fi

said=$(make_it uninstall)
[ -z "$(find "$work/root" -type f)" ] && [[ $said != *enabled* ]]
fact "uninstall leaves no file" $? "$said $(find "$work/root" -type f)"
make_it install > "$work/said"
mkdir -p "$work/root/etc/systemd/system/sysinit.target.wants" "$work/root/var/lib/portlog"
ln -s /usr/local/lib/systemd/system/portlog.service "$work/root/etc/systemd/system/sysinit.target.wants/"
said=$(make_it uninstall)
[[ $said == *"still enabled: sudo rm $work/root/etc/systemd/system/sysinit.target.wants/portlog.service"* ]]
fact "uninstall says when the service is still enabled" $? "$said"
[[ $said == *"history stays in $work/root/var/lib/portlog"* ]] && [ -d "$work/root/var/lib/portlog" ]
fact "and that the history stays" $? "$said"
echo "1..$n"
exit $bad
