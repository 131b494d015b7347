#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The command line from outside: help, errors and their status. Needs no root; nothing here starts tracing.
cd "$(dirname "$0")/../.." || exit 1
portlog=${PORTLOG:-build/portlog}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
chmod 755 "$dir"
. tests/live/lib/tap.sh
shown=("$dir/err")

# Run portlog with these words: status, $dir/out and $dir/err. What should end at once but traces is ended here, with 124.
run()
{
	timeout 20 "$portlog" "$@" > "$dir/out" 2> "$dir/err" < /dev/null
	status=$?
}

has() { grep -qF -- "$2" "$dir/$1"; }
lacks() { ! grep -qE -- "$2" "$dir/$1"; }
is_empty() { [ ! -s "$dir/$1" ]; }
has_lines() { [ "$(wc -l < "$dir/$1")" -eq "$2" ]; }
line_is() { [ "$(sed -n "${2}p" "$dir/$1")" = "$3" ]; }
status_is() { [ "$status" -eq "$1" ]; }
is_plain() { ! LC_ALL=C grep -q '[^[:print:][:space:]]' "$dir/$1"; }
is_narrow() { [ -z "$(awk 'length > 80' "$dir/$1")" ]; }

# refuses STORY SECOND-LINE WORDS...: status 2 and these two lines
refuses()
{
	local story=$1 second=$2
	shift 2
	problem=
	run "$@"
	check status_is 2
	check is_empty out
	check has_lines err 2
	check line_is err 1 "portlog: $story"
	check line_is err 2 "$second"
	report "portlog $* is refused in two lines" "$problem"
}

# marks STORY TEXT MARK WORDS...: status 2, the story, and a mark under the place
marks()
{
	local story=$1 text=$2 mark=$3
	shift 3
	problem=
	run "$@"
	check status_is 2
	check is_empty out
	check has_lines err 3
	check line_is err 1 "portlog: $story"
	check line_is err 2 "  $text"
	check line_is err 3 "  $mark"
	report "portlog $* is refused with a mark under the place" "$problem"
}

try="Try 'portlog trace --help'"

refuses "unknown option '--colour'" "$try; did you mean --color?" --colour
refuses "unknown option '--port'" "$try; a filter has no dashes: port" --port 80
refuses "unknown option '--prot'" "$try; did you mean 'port'? a filter has no dashes" trace --prot 80
refuses "unknown option '-z'" "$try" -z
refuses "option '--no' is cut too short" "$try; it may be --no-snapshot, --no-header" --no
refuses "option '--count' needs a value: N" "$try" -c
refuses "option '--json' takes no value" "$try" --json=yes
refuses "--output takes table|wide|json, not 'jsn'" "$try; did you mean json?" -o jsn
refuses "--hooks takes auto|fexit|tracepoint, not 'kprobe'" "$try" --hooks kprobe
refuses "--count takes a number from 1, not '0'" "$try" -c 0
refuses "--duration takes a time like 30s, 250ms or 5m, not '1y'" "$try" --duration 1y
refuses "--ring takes a power of two, not '3M'" "$try; did you mean 4M?" --ring 3M
refuses "--ring takes 256K to 1024M, not '4K'" "$try" --ring 4K
refuses "'big' is not a size like 8M or 512K: --ring takes SIZE" "$try" --ring big
refuses "--netns needs a name, an inode number or 'host'" "$try" -N ''
refuses "unknown command 'traec'" "Try 'portlog --help'; did you mean 'trace'? a process name is 'comm traec'" traec
refuses "unknown command 'nginx'" "Try 'portlog --help'; a process name is 'comm nginx'" nginx
refuses "unknown command 'prot'" "Try 'portlog --help'; did you mean 'port'?" prot 80
refuses "unknown command 'tcp'" "Try 'portlog --help'; did you mean 'proto tcp'?" tcp
refuses "unknown command 'nginx'" "Try 'portlog --help'; a process name is 'comm nginx'" -j -c 3 nginx
refuses "unknown command ''" "Try 'portlog --help'" ''
refuses "unknown command 'everything'" "Try 'portlog --help'; a process name is 'comm everything'" help everything

marks "65536 is no port: ports end at 65535" "port 65536" "     ^~~~~" port 65536
marks "65536 is no port: ports end at 65535" ":65536" " ^~~~~" :65536
marks "nothing follows 'or'" "port 80 and (failed or" "                    ^~" port 80 and '(failed or'
marks "'nginx' is no keyword of a filter; a process name is 'comm nginx'" "nginx" "^~~~~" trace nginx
marks "'EADDRINSUE' is not an error; did you mean 'errno EADDRINUSE'?" "errno EADDRINSUE" "      ^~~~~~~~~~" \
	errno EADDRINSUE
marks "two 'port' side by side, which nothing can be both of; join them with 'or'" "80 90" "   ^~" 80 -x 90
# The word behind an option is its value, also when the option is cut or stands in a cluster: no command, no filter.
for options in "--out json" "--netn host" "-Nbasic" "-tuN host" "-tc5"; do
	# shellcheck disable=SC2086 # two words
	marks "65536 is no port: ports end at 65535" "port 65536" "     ^~~~~" $options trace port 65536
done
marks "there is no field 'prot'; did you mean 'proto'?" "pid,prot" "    ^~~~" -F pid,prot
marks "a field is missing; portlog-fields(7) lists them" "pid," "    ^" -F pid,
marks "a field is given twice" "pid,port,pid" "         ^~~" -F pid,port,pid

refuses "there is no field 'prt' to sort by" "Try 'portlog list --help'; portlog-fields(7) lists them" list --sort prt

refuses "unknown option '-l'" "Try 'portlog trace --help'; did you mean 'portlog list -tulpn'?" -tulpn
refuses "wait needs a port" "Try 'portlog wait --help'; portlog wait 8080" wait
refuses "'htpp' is no port: it takes 8080, 53/udp, 127.0.0.1:80 or [::1]:80" "Try 'portlog wait --help'" wait htpp
refuses "'htpp' is no port: it takes 8080, 53/udp, 127.0.0.1:80 or [::1]:80" "Try 'portlog why --help'" why htpp
refuses "'65536' is no port: ports end at 65535" "Try 'portlog why --help'" why 80 65536
refuses "there is no interface 'none7'" "Try 'portlog why --help'; ip -br link shows those there are" why '[fe80::1%none7]:80'
refuses "wait takes no interface, not 'lo'" "Try 'portlog wait --help'; leave out %lo" wait '[fe80::1%lo]:80'
refuses "'65536' is no port: ports end at 65535" "Try 'portlog wait --help'" wait 80 65536
refuses "'0' is no port: 0 means any free port, which nobody can hold" "Try 'portlog wait --help'" wait 0
refuses "'::1:80' is no port: an IPv6 address goes in brackets" "Try 'portlog wait --help'; as in [::1]:80" wait ::1:80
refuses "'soon' is not a time like 30s, 250ms or 5m: --timeout takes TIME" "Try 'portlog wait --help'" \
	wait 80 --timeout soon
refuses "doctor takes no operand, not 'me'" "Try 'portlog doctor --help'" doctor me

refuses "--at: 'yesterdy' is no time" \
	"Try 'portlog history --help'; try \"yesterday 03:12\", -2h, 2026-11-22 03:12:07, today or @SECONDS" \
	history --at yesterdy
refuses "--intervals has a form of its own: not with --fields" "Try 'portlog history --help'" history --intervals -F port
refuses "--intervals shows days and times: --time local or utc" "Try 'portlog history --help'" history --intervals --time delta
refuses "--retain takes an age and a size like 30d,512M, not '5x'" "Try 'portlog record --help'" record --retain 5x
refuses "--retain takes an age and a size like 30d,512M, not '30'" "Try 'portlog record --help'" record --retain 30
refuses "--retain takes an age and a size like 30d,512M, not '1G'" "Try 'portlog record --help'" record --retain 30d,512M,1G
refuses "--store takes the name of a file" "Try 'portlog record --help'" record --store ""
refuses "--metrics-file takes the name of a file" "Try 'portlog record --help'" record --metrics-file ""
refuses "record takes no filter ('foo'): history does" "Try 'portlog record --help'" record foo

problem=
run history --store /
check status_is 3
check line_is err 1 "portlog: open /: Is a directory"
run history --store "$dir/none.db"
check status_is 3
check line_is err 1 "portlog: there is no history in $dir/none.db"
check has_lines err 2
report "a history that cannot be had is told" "$problem"

problem=
for word in fleet plot top; do
	run "$word"
	check status_is 2
	check has err "unknown command '$word'"
done
report "what does not exist yet is an unknown command" "$problem"

problem=
run "$(printf 'comm x \033[2J\r\n\302\233')"
check status_is 2
check is_plain err
check has_lines err 3
run "$(printf 'x\033[2J\n\377')"
check status_is 2
check is_plain err
check has_lines err 2
run "$(printf -- '--x\033[2J\n\377')"
check is_plain err
check has_lines err 2
run -F "$(printf 'port,\033]0;x\a')"
check is_plain err
run port 80 and "$(head -c 60000 /dev/zero | tr '\0' '(')"
check status_is 2
check has_lines err 3
run "$(head -c 100000 /dev/zero | tr '\0' 'x')"
check status_is 2
check has_lines err 2
report "no word of the command line reaches the terminal raw or without end" "$problem"

problem=
run port 80 and "comm $(head -c 300 /dev/zero | tr '\0' 'x')" and prot 5
check is_narrow err
check has err "^~~~"
report "of a long filter only the place is shown" "$problem"

problem=
run --help
check status_is 0
check is_empty err
check line_is out 1 "Examples:"
check has out "Usage: portlog [COMMAND] [OPTIONS] [FILTER]"
check is_narrow out
check lacks out '^  (plot|top|check|fleet) '
cp "$dir/out" "$dir/help"
run help
check cmp -s "$dir/out" "$dir/help"
run -h
check cmp -s "$dir/out" "$dir/help"
report "help goes to standard output, examples first, and names only what exists" "$problem"

problem=
run trace --help
check status_is 0
check is_empty err
check line_is out 1 "Examples:"
check is_narrow out
for option in -o -j -F -H -t -u -4 -6 -N --time -q -v --args --hints --color -x -c --duration --no-snapshot --ephemeral \
	--autobind --hooks --ring; do
	check grep -qE -- "^ +(-., )?$option\\b" "$dir/out"
done
for word in port proto family addr action failed errno pid comm exe user uid unit container cgroup netns; do
	check grep -qwF -- "$word" "$dir/out"
done
cp "$dir/out" "$dir/help"
for words in "help trace" "-j --help" "port 80 -h"; do
	# shellcheck disable=SC2086 # words
	run $words
	check cmp -s "$dir/out" "$dir/help"
done
report "the help of a command has its options and the filter language" "$problem"

# The options that a help names, and those that the manual page has for a command, one a line.
help_options() { sed -nE 's/^  (-., |    )(--[a-z0-9-]+).*/\2/p' "$dir/out" | grep -vx -- --help | sort; }
page_options()
{
	awk -v title=".Ss $1" '
		/^\.S[sh]/ { inside = $0 == title }
		inside && /^\.It Fl/ { sub(/^\.It Fl (. , Fl )?-/, "--"); print $1 }' man/portlog.1
}
mapfile -t commands < <("$portlog" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' | grep -vx help)
for word in "${commands[@]}"; do
	problem=
	run "$word" --help
	check status_is 0
	check is_empty err
	check line_is out 1 "Examples:"
	check grep -qE '^  (sudo )?portlog ' "$dir/out"
	check has out "Usage: portlog $word "
	check has out "Status: "
	check is_narrow out
	{
		page_options "Options of $word"
		if grep -q -- '--fields' "$dir/out"; then
			page_options "Common options" | grep -vxE -- '--(help|version)'
		fi
	} | sort > "$dir/page"
	help_options > "$dir/options"
	check diff "$dir/page" "$dir/options"
	cp "$dir/out" "$dir/help"
	run help "$word"
	check cmp -s "$dir/out" "$dir/help"
	report "portlog $word --help has examples first, and the options that the manual page has" "$problem"
done

problem=
run --version
check status_is 0
check is_empty err
check grep -qE '^portlog [0-9]' "$dir/out"
cp "$dir/out" "$dir/version"
run -V
check cmp -s "$dir/out" "$dir/version"
report "the version comes alone" "$problem"

problem=
"$portlog" --help 2> "$dir/err" > /dev/full
status=$?
check status_is 3
check has err "No space left on device"
mkfifo "$dir/fifo"
exec 4<> "$dir/fifo"
exec 5> "$dir/fifo"
exec 4<&-
"$portlog" --help 2> "$dir/err" >&5
status=$?
exec 5>&-
check status_is 0
check is_empty err
report "a full disk is an error, a reader that has gone is none" "$problem"

problem=
"$portlog" --help 2> "$dir/err" >&-
status=$?
check status_is 3
check has err "Bad file descriptor"
"$portlog" --version > "$dir/out" <&- 2>&-
status=$?
check status_is 0
check has out "portlog "
(
	ulimit -f 0
	"$portlog" --help > "$dir/out" 2> /dev/null
)
status=$?
check status_is 3
report "closed standard descriptors and a limit of the file size are errors like others" "$problem"

problem=
"$portlog" why 8080 > /dev/full 2> "$dir/err"
status=$?
check status_is 3
check line_is err 1 "portlog: write to standard output: No space left on device"
report "why says what it could not write to" "$problem"

if [ "$(id -u)" -eq 0 ] && unshare -m true 2> /dev/null; then
	problem=
	for words in list "why 8080" "wait 8080 --free --timeout 0"; do
		# shellcheck disable=SC2016,SC2086 # the inner shell expands these; words
		unshare -m sh -c 'mount -t tmpfs none /proc && exec "$0" "$@"' "$portlog" $words > "$dir/out" 2> "$dir/err"
		status=$?
		check status_is 3
		check is_empty out
		check line_is err 2 "mount -t proc proc /proc"
	done
	report "without /proc there is no answer rather than a wrong one" "$problem"
fi

for words in list "why 8080" "wait 8080 --timeout 0"; do
	for name in nosuchnetns 5; do
		problem=
		# shellcheck disable=SC2086 # words
		run $words -N "$name"
		check status_is 2
		check is_empty out
		check has err "there is no network namespace '$name'"
		if [ "$(id -u)" -eq 0 ] || [ "$name" != 5 ]; then
			report "$words -N $name says that there is no such namespace" "$problem"
		fi
	done
done

# As an ordinary user, who may not trace.
problem=
as_nobody=()
[ "$(id -u)" -ne 0 ] || as_nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all)
if "${as_nobody[@]}" true 2> /dev/null && install -m 755 "$portlog" "$dir/portlog" &&
	"${as_nobody[@]}" "$dir/portlog" --version > /dev/null 2>&1; then
	timeout 20 "${as_nobody[@]}" "$dir/portlog" > "$dir/out" 2> "$dir/err" < /dev/null
	status=$?
	check status_is 3
	check is_empty out
	check grep -q '^portlog: ' "$dir/err"
	check line_is err 1 "portlog: tracing needs root"
	check [ "$(wc -l < "$dir/err")" -le 2 ]
	report "without root it says so in two lines at most" "$problem"
	for words in list "why 8080" "wait 8080 --timeout 0"; do
		problem=
		# shellcheck disable=SC2086 # words
		timeout 20 "${as_nobody[@]}" "$dir/portlog" $words -N 5 > "$dir/out" 2> "$dir/err" < /dev/null
		status=$?
		check status_is 3
		check is_empty out
		check has err "only root may look into network namespace '5'"
		check has err "sudo portlog ${words%% *}"
		report "without root, $words -N INODE says what root would add" "$problem"
		[ -e /proc/sys/net/core/netdev_budget ] || continue
		problem=
		# shellcheck disable=SC2086 # words
		timeout 20 "${as_nobody[@]}" "$dir/portlog" $words -N host > "$dir/out" 2> "$dir/err" < /dev/null
		check lacks err "no network namespace|only root|no such"
		report "without root, $words -N host is answered on the host" "$problem"
	done
	problem=
	if timeout 20 "${as_nobody[@]}" unshare -Ur "$dir/portlog" > "$dir/out" 2> "$dir/err" < /dev/null ||
		! grep -q '^unshare: ' "$dir/err"; then
		check line_is err 1 "portlog: tracing needs root of the host, not of a user namespace"
		report "root of a user namespace is told that it is none" "$problem"
	fi
else
	n=$((n + 1))
	echo "ok $n - without root it says so in two lines at most # SKIP cannot run it as an ordinary user"
fi

end
