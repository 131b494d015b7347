#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Who may include whom (docs/architecture.md): only downward, neighbours do not know each other, one file a foreign library.
cd "$(dirname "$0")/.." || exit 1
bad=0

# allow FILES-REGEX INCLUDE-REGEX WHY: any other file of src/ that includes it is wrong
allow()
{
	local hits
	hits=$(grep -rnE --include='*.[ch]' "^ *# *include *[<\"]$2" src | grep -vE "^src/($1):")
	[ -z "$hits" ] || { printf '%s\n    %s\n' "$hits" "$3"; bad=1; }
}

neighbours='(enrich|source|sink|forward|view)/.*'
top='pipeline/.*|cmd/.*|main\.c'
allow ".*" "util/" ""
allow "core/.*|store/.*|$neighbours|$top" "core/" "only what is above core may use core"
allow "store/.*|source/replay\\.[ch]|sink/history\\.[ch]|forward/forward\\.c|$top" "store/" "the store has three users"
for layer in enrich source sink forward view; do
	allow "$layer/.*|$top" "$layer/" "$layer is known only to itself and to the pipeline and commands"
done
allow "$top" "pipeline/" "only commands use the pipeline"
allow "pipeline/.*" "pipeline/state\\.h" "the pipeline's insides are its own"
allow "cmd/.*|main\\.c" "cmd/" "only main uses commands"

allow "source/bpf(_[a-z]+)?\\.c" "bpf/" "libbpf lives in source/bpf*.c"
allow "source/bpf_state\\.h" "portlog\\.skel\\.h" "the tracer's skeleton belongs to source/bpf_state.h, for its three files"
allow "source/bpf_inventory\\.c" "inventory\\.skel\\.h" "the inventory's skeleton belongs to source/bpf_inventory.c"
allow "source/sockdiag\\.c" "netlink/" "libnl lives in source/sockdiag.c"
allow "store/db\\.c" "sqlite3" "sqlite3 lives in store/db.c"
allow "store/.*" "store/(state|db|intern)\\.h" "the store's insides are its own"
allow "view/tui\\.c" "n?curses" "curses lives in view/tui.c"
allow "none" "(.*/)?vmlinux\\.h" "src/ never sees kernel types"

caps=$(grep -rlE '^ *# *include *<sys/capability\.h>' src)
[ "$(wc -w <<< "$caps")" -le 1 ] || { printf 'libcap in more than one file:\n%s\n' "$caps"; bad=1; }
hits=$(grep -rnE '^ *# *include' bpf | grep -vE '["<](vmlinux\.h|bpf/bpf_[a-z_]+\.h|portlog/event\.h|[a-z]+\.bpf\.h)[">]')
[ -z "$hits" ] || { echo "$hits -- bpf/ includes vmlinux.h, libbpf's headers, event.h and its own"; bad=1; }
exit $bad
