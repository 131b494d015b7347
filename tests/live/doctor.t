#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What doctor says is so: against what trace does on this machine, with privileges and without.
cd "$(dirname "$0")/../.." || exit 1
portlog=${PORTLOG:-build/portlog}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
chmod 755 "$dir"
. tests/live/lib/tap.sh
shown=("$dir/out")

# Run doctor by way of COMMAND...: status, $dir/out, $dir/err
doctor() { timeout 60 "$@" > "$dir/out" 2> "$dir/err" < /dev/null; status=$?; }
status_is() { [ "$status" = "$1" ]; }
has() { grep -qE -- "$1" "$dir/out"; }
lacks() { ! grep -qE -- "$1" "$dir/out"; }
is_empty() { [ ! -s "$dir/$1" ]; }
is_narrow() { [ -z "$(awk 'length > 80' "$dir/out")" ]; }
last_line_begins() { [[ $(tail -n 1 "$dir/out") == "$1"* ]]; }
# What jq would say, without jq.
json() { python3 -c 'import json,sys; d = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$dir/out" "$1"; }
says() { [ "$(json "$1")" = "$2" ]; }

every_line_has_a_level()
{
	! sed '$d' "$dir/out" | grep -qvE '^(ok   |warn |FAIL )|^ {26}(lost: |fix:  |      )?[^ ]'
}

[ "$(id -u)" = 0 ] || skip_all doctor "needs root"

"$portlog" --duration 1ms -j > "$dir/trace" 2> /dev/null
traces=$?

doctor "$portlog" doctor
if [ "$traces" = 0 ]; then
	check status_is 0
	check has '^ok +tracer +loaded and attached'
	check last_line_begins 'portlog can run here, with '
	check lacks '^FAIL'
else
	check status_is 3
	check has '^FAIL'
	check last_line_begins 'portlog cannot trace here'
fi
check is_empty err
check every_line_has_a_level
check is_narrow
report "its verdict is what trace does here"

if [ "$traces" = 0 ]; then
	doctor "$portlog" doctor -j
	used=$(sed -n '1s/.*"hooks":"\([a-z]*\)".*/\1/p' "$dir/trace")
	check says 'd["hooks_used"]' "$used"
	check says 'len(d["hooks"]) > 15' True
	check says 'all(h["used"] <= (h["state"] == "works") for h in d["hooks"])' True
	check says 'all(("errno" in h) == (h["state"] == "refused") for h in d["hooks"])' True
	check says 'all(any(h["used"] for h in d["hooks"] if h["event"] == e) for e in ["bind", "listen", "state"])' True
	check says "[h[\"state\"] for h in d[\"hooks\"] if h[\"event\"] == \"tree\"]" "['works']"
	check says '[f["level"] for f in d["findings"] if f["name"] == "iterators"]' "['ok']"
	report "it uses the hooks that trace says it uses, and each of them works"

	for set in fexit tracepoint; do
		doctor "$portlog" doctor -j
		level=$(json "[f['level'] for f in d['findings'] if f['name'] == 'set of hooks' and f['text'].startswith('$set')][0]")
		if timeout 60 "$portlog" --duration 1ms --hooks "$set" -q > /dev/null 2>&1; then
			check [ "$level" = ok ]
		else
			check [ "$level" = warn ]
		fi
		report "what it says of the set $set is what --hooks $set does"
	done
else
	skip "hooks one by one" "needs BPF: portlog cannot trace here"
fi

# In a mount namespace of our own, since others may mount something meanwhile.
# shellcheck disable=SC2016 # the inner shell's
doctor unshare -m --propagation private sh -c '
	cat /proc/mounts > "$1/before"; ls /sys/fs/bpf >> "$1/before" 2> /dev/null
	"$0" doctor -q
	cat /proc/mounts > "$1/after"; ls /sys/fs/bpf >> "$1/after" 2> /dev/null' "$portlog" "$dir"
check cmp -s "$dir/before" "$dir/after"
check lacks '^ok '
report "it leaves no mount and no pin behind; -q is only what is not well"

as_nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all)
if install -m 755 "$portlog" "$dir/portlog" && "${as_nobody[@]}" "$dir/portlog" --version > /dev/null 2>&1; then
	doctor "${as_nobody[@]}" "$dir/portlog" doctor
	check status_is 3
	check is_empty err
	check has '^FAIL  privileges +uid 65534, not root$'
	check has '^ {26}fix:  sudo portlog doctor$'
	check has '^ok    sock_diag +tcp$'
	check has '^warn  hooks +not tried'
	check last_line_begins 'portlog cannot trace here'
	check every_line_has_a_level
	report "without root it tells what it can, and that root is missing"

	doctor "${as_nobody[@]}" unshare -Ur "$dir/portlog" doctor
	if grep -q '^unshare: ' "$dir/err"; then
		skip "root of a user namespace" "user namespaces are not allowed"
	else
		check status_is 3
		check has '^FAIL  privileges +a user namespace'
		report "root of a user namespace is told that it is none"
	fi
fi

doctor setpriv --bounding-set=-sys_admin,-bpf "$portlog" doctor
check status_is 3
check has '^warn  capability +CAP_SYS_ADMIN is missing$'
check has '^FAIL  bpf\(2\) +refused: Operation not permitted$'
report "a capability that is missing is named"

# shellcheck disable=SC2016 # the inner shell's
doctor unshare -m --propagation private sh -c 'umount -l /sys/kernel/btf 2>/dev/null; mount -t tmpfs none /sys/kernel/btf && exec "$0" doctor' "$portlog"
if grep -q 'mount' "$dir/err"; then
	skip "a kernel without BTF" "cannot hide it"
else
	check status_is 3
	check has '^FAIL  BTF +'
	check has 'CONFIG_DEBUG_INFO_BTF=y'
	report "a kernel without BTF is told so"
fi

doctor unshare -pf --mount-proc "$portlog" doctor
check has "^warn  pid namespace +a container's own$"
check has 'docker run --pid=host'
report "a pid namespace of its own is told"

# The published schema, and its example.
{
	"$portlog" doctor -j
	"${as_nobody[@]}" "$dir/portlog" doctor -j
} > "$dir/lines" 2> /dev/null
if python3 -c 'import jsonschema' 2> /dev/null; then
	tests/check-schema.py --schema docs/schema/portlog-doctor-1.schema.json "$dir/lines" > "$dir/out"
	check grep -q '^1\.\.' "$dir/out"
	check lacks '^not ok'
	report "its JSON is valid by the published schema"
else
	skip "its JSON is valid by the published schema" "python3-jsonschema is not installed"
fi

end
