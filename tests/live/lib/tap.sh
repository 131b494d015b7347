# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# TAP for the scripts beside this folder. A failure shows the files of $shown; $who, if set, is in each name.
n=0
n_failed=0
problem=
who=
shown=()

# check COMMAND...: the problem, if the command fails
check() { "$@" || problem="$problem${problem:+$'\n'}not so: $*"; }

# report FACT [PROBLEM]: an empty problem is a success.
report()
{
	local text=${2-$problem} file

	n=$((n + 1))
	problem=
	if [ -z "$text" ]; then
		echo "ok $n - ${who:+$who: }$1"
		return
	fi
	n_failed=$((n_failed + 1))
	echo "not ok $n - ${who:+$who: }$1"
	printf '%s\n' "$text" | sed 's/^/# /'
	for file in "${shown[@]}"; do
		[ ! -e "$file" ] || sed "s/^/# ${file##*/}: /" "$file" | cat -v | tail -n 60
	done
}

# skip FACT WHY
skip()
{
	n=$((n + 1))
	echo "ok $n - ${who:+$who: }$1 # SKIP $2"
}

# skip_all WHAT WHY: and that is the end
skip_all()
{
	skip "$@"
	echo "1..$n"
	exit 0
}

# The last line of a script: the plan, and its status.
end()
{
	echo "1..$n"
	[ "$n_failed" -eq 0 ]
}
