#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Few open files: a soft limit is no matter, with a hard one it is said what is missing; a command of `run` finds its own.
cd "$(dirname "$0")/../.." || exit 1
portlog=${PORTLOG:-build/portlog}
errand=$(readlink -f "${BUILD:-build}/tests/live/errand")
. tests/live/lib/tap.sh
[ "$(id -u)" = 0 ] || skip_all "few open files" "needs root"
if [ -z "${LIMITS_T_NETNS:-}" ]; then
	LIMITS_T_NETNS=1 exec "$errand" netns "$0" "$@"
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# tried OPTION FILES WORDS...: status, $dir/out and $dir/err of portlog with that limit
tried()
{
	local option=$1 files=$2
	shift 2
	(ulimit "$option" "$files" && exec timeout 60 "$portlog" "$@") > "$dir/out" 2> "$dir/err"
	status=$?
}

said() { printf '%s\n' "$*"; sed 's/^/  /' "$dir/err"; }

if tried -n 1024 list; grep -q "load the BPF iterators" "$dir/err"; then
	skip_all "few open files" "needs BPF: $(head -n 1 "$dir/err")"
fi

problem=
for words in list "why 8000/tcp" "wait 8000 --timeout 0" "-q --duration 100ms" "-q -j --duration 100ms port 8000"; do
	# shellcheck disable=SC2086
	tried -Sn 16 $words
	case $words:$status in why*:1 | wait*:124 | list:0 | -q*:0) ;; *) problem+=$(said "$words: status $status") ;; esac
	! grep -q "not seen\|open files" "$dir/err" || problem+=$(said "$words")
done
report "a soft limit of 16 open files is raised" "$problem"

problem=
for files in $(seq 6 40); do
	for words in list "why 8000/tcp"; do
		# shellcheck disable=SC2086
		tried -n "$files" $words
		case $words:$status in
		list:0 | why*:1) ;;
		*:3) grep -q "^more open files.*ulimit -n" "$dir/err" || problem+=$(said "$words at $files: no remedy") ;;
		*) problem+=$(said "$words at $files: status $status") ;;
		esac
		[ "$files" -lt 14 ] || [ "$status" -ne 3 ] || problem+=$(said "$words at $files: no answer at all")
	done
done
report "with few open files and no more allowed they do what they can, or say what helps" "$problem"

problem=
want=$(printf '90\n200')
(ulimit -Sn 90 && ulimit -Hn 200 && exec "$portlog" run -- sh -c 'ulimit -Sn; ulimit -Hn') > "$dir/out" 2> "$dir/err"
status=$?
[ "$status" -eq 0 ] && [ "$(cat "$dir/out")" = "$want" ] || problem=$(said "status $status: $(tr '\n' ' ' < "$dir/out")")
report "a command of run has the limits of its caller" "$problem"

end
