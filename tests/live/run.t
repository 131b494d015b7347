#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# `portlog run`: the command finds everything as without it, its failures are explained; as root, and as a user with sudo.
cd "$(dirname "$0")/../.." || exit 1
portlog=$(readlink -f "${PORTLOG:-build/portlog}")
errand=$(readlink -f "${BUILD:-build}/tests/live/errand")
. tests/live/lib/tap.sh
[ "$(id -u)" = 0 ] || skip_all "portlog run" "needs root"
if [ -z "${RUN_T_NETNS:-}" ]; then
	RUN_T_NETNS=1 exec "$errand" netns "$0" "$@"
fi
dir=$(mktemp -d)
holders=()
trap 'for p in "${holders[@]}"; do kill "$p" 2> /dev/null; done; rm -rf "$dir"' EXIT
chmod 755 "$dir"
mkdir "$dir/bin" "$dir/refusing" "$dir/user"
install -m 755 "$portlog" "$dir/bin/portlog"
install -m 755 "$errand" "$dir/bin/errand"
install -m 4755 "$errand" "$dir/bin/sudo"
install -m 4755 "$errand" "$dir/refusing/sudo"
touch "$dir/refusing/refuse"
mkfifo "$dir/never"
exec 9<> "$dir/never"
chmod 777 "$dir/user"
cd "$dir/user" || exit 1
p=$dir/bin/portlog e=$dir/bin/errand
shown=(out err log)
has() { grep -qF -- "$2" "$1"; }
lacks() { ! grep -qF -- "$2" "$1"; }
status_is() { [ "$status" -eq "$1" ]; }
is_empty() { [ ! -s "$1" ]; }
# until_true COMMAND...: wait for it, 20 s at most
until_true()
{
	for _ in $(seq 2000); do
		"$@" 2> /dev/null && return
		read -rt 0.01 <> <(:)
	done
	return 1
}
run()
{
	rm -f out err log
	"${as[@]}" "$p" run "${options[@]}" "$@" > out 2> err < /dev/null
	status=$?
}
# hold PORT: somebody has it from now on
hold()
{
	"$e" hold "$1" < "$dir/never" > "$dir/holding.$1" &
	holders+=($!)
	until_true has "$dir/holding.$1" up
}

# What a machine cannot do is known before.
"$p" run -- true > "$dir/out" 2> "$dir/err"
case $? in
0) ;;
3)
	echo "ok 1 - portlog run # SKIP $(head -n 1 "$dir/err")"
	echo 1..1
	[ -z "${REQUIRE_BPF:-}" ]
	exit
	;;
*)
	sed 's/^/# /' "$dir/err"
	echo "not ok 1 - portlog run runs true"
	echo 1..1
	exit 1
	;;
esac
hold 4001
holder=${holders[0]}

everything()
{
	problem=
	"${as[@]}" "$e" try 4001 > out.bare 2> err.bare < /dev/null
	bare=$?
	run --log "$dir/user/log" -- "$e" try 4001
	check status_is "$bare"
	check cmp out out.bare
	check cmp err err.bare
	check has log "could not bind tcp 127.0.0.1:4001: EADDRINUSE"
	check has log "held by errand[$holder]"
	check has log "try: "
	report "a server that fails prints and returns the same bytes, and it is explained" "$problem"

	problem=
	run -- "$e" try 4001
	check status_is 1
	check [ "$(sed -n 1p err)" = "errand: bind: Address already in use" ]
	check grep -q "^portlog: errand\[[0-9]*\] could not bind" err
	check [ "$(wc -l < err)" -eq 4 ]
	report "the explanation follows the command's own message" "$problem"

	problem=
	(
		ulimit -n 200 -c 0
		"${as[@]}" "$e" odd "$e" facts a 'b  c' "" > facts.bare 2> err.bare
		"${as[@]}" "$e" odd "$p" run "${options[@]}" --log "$dir/user/log" -- "$e" facts a 'b  c' "" > told 2> err
	)
	check cmp told facts.bare
	check cmp err err.bare
	check has told "word b  c"
	check lacks facts.bare "fd 0 "
	check has facts.bare "fd 7 "
	check grep -q "^SigBlk:.*[1-9a-f]" facts.bare
	report "environment, descriptors, signals, ids, limits, group, directory are as without portlog" "$problem"

	for status_case in "7 exit 7" "0 true" "143 kill -TERM \$\$" "137 kill -KILL \$\$" "255 exit 255"; do
		problem=
		run -q -- sh -c "${status_case#* }"
		check status_is "${status_case%% *}"
		report "the status of '${status_case#* }' is ${status_case%% *}" "$problem"
	done

	problem=
	run -- no-such-command
	check status_is 127
	check [ "$(cat err)" = "portlog: no-such-command: command not found" ]
	run -- ./no-such-file
	check status_is 127
	check has err "No such file or directory"
	run -- "$dir"
	check status_is 126
	check has err "Is a directory"
	touch plain
	run -- ./plain
	check status_is 126
	check has err "Permission denied"
	printf '#!/no/such/interpreter\n' > script
	chmod 755 script
	run -- ./script
	check status_is 127
	check has err "portlog: ./script: No such file or directory"
	run -- ""
	check status_is 127
	rm -f plain script
	report "what cannot be executed ends as in a shell" "$problem"

	problem=
	run -q echo -v --json -x
	check status_is 0
	check [ "$(cat out)" = "-v --json -x" ]
	report "options behind the command's word are the command's" "$problem"

	problem=
	printf 'one\ntwo\n' | "${as[@]}" "$p" run "${options[@]}" -- cat > out 2> err
	check [ "$(cat out)" = $'one\ntwo' ]
	check is_empty err
	report "standard input is the command's" "$problem"

	for way in thread uring; do
		problem=
		run -- "$e" "$way" 4001
		if [ "$status" -eq 77 ]; then
			skip "a bind by $way is the command's" "$(cat out)"
			continue
		fi
		check status_is 1
		check has err "] could not bind tcp 127.0.0.1:4001: EADDRINUSE"
		check lacks err "outside"
		report "a bind by $way is the command's" "$problem"
	done

	problem=
	run -- "$e" late 4001
	check status_is 3
	check has err "] could not bind tcp 127.0.0.1:4001: EADDRINUSE"
	check lacks err "outside"
	report "a process that has cut itself loose is the command's" "$problem"

	problem=
	run -- "$e" daemon 4002 "$dir/user/daemon.pid"
	check status_is 0
	daemon=$(cat daemon.pid)
	holders+=("$daemon")
	check grep -q "^portlog: left behind: errand\[$daemon\] still holds tcp 127.0.0.1:4002$" err
	kill "$daemon"
	rm -f daemon.pid
	report "a port left behind is told, with who has it" "$problem"

	problem=
	run -v -- "$e" hold 4003
	check status_is 0
	check has err "] bound tcp 127.0.0.1:4003"
	check has err "] listens on tcp 127.0.0.1:4003"
	check lacks err "left behind"
	report "-v tells the binds that work" "$problem"

	problem=
	run -j -- "$e" try 4001
	check status_is 1
	grep '^{' err > "$dir/lines.$who"
	check grep -q '"action":"bind","result":"error","errno":"EADDRINUSE".*"port":4001.*"holder":.*"tree":true' err
	check grep -q '"action":"stop"' err
	check lacks err "portlog: "
	report "-j tells events that say whose they are" "$problem"

	problem=
	rm -f signals
	"${as[@]}" "$p" run "${options[@]}" -q -- "$e" count "$dir/user/signals" > out 2> err &
	pid=$!
	check until_true has signals up
	kill -HUP $pid
	check until_true has signals 1
	kill -USR1 $pid
	check until_true has signals 10
	kill -TERM $pid
	wait $pid
	status=$?
	check status_is 5
	check [ "$(tr '\n' ' ' < signals)" = "up 1 10 15 " ]
	report "signals are passed on, once" "$problem"

	problem=
	rm -f signals
	"${as[@]}" "$p" run "${options[@]}" -q -- "$e" count "$dir/user/signals" > out 2> err &
	pid=$!
	check until_true has signals up
	child=$(pgrep -P $pid errand)
	kill -KILL $pid
	wait $pid 2> /dev/null
	check kill -USR1 "$child"
	check until_true has signals 10
	kill -TERM "$child"
	check until_true has signals 15
	report "the command lives on when portlog is killed" "$problem"

	problem=
	rm -f failed
	run -- sh -c "touch '$dir/user/go'; while [ ! -e '$dir/user/failed' ]; do sleep 0.02; done; exit 6" &
	runner=$!
	until_true [ -e go ]
	"$e" try 4001 2> /dev/null
	touch failed
	wait $runner
	rm -f go failed
	check has err "portlog: status 6, and no bind or listen of the command failed; outside of it, meanwhile:"
	check has err "] could not bind tcp 127.0.0.1:4001: EADDRINUSE"
	report "when the command fails for no bind of its own, failures elsewhere are told as such" "$problem"
}

who=root as=() options=()
everything

problem=
# shellcheck disable=SC2016 # the command's shell expands these
run -- sh -c 'kill -KILL "$(pgrep -f "run --follow $$ ")"; exit 5'
check status_is 5
check has err "portlog: tracing has ended early: "
check lacks err "no bind or listen"
report "tracing that is killed is said, and nothing is claimed" "$problem"

problem=
run -- unshare -pf "$e" try 4001
check status_is 1
check has err "] could not bind tcp 127.0.0.1:4001: EADDRINUSE"
check lacks err "outside"
report "a pid namespace below is of the tree" "$problem"

problem=
SUDO_UID=65534 SUDO_GID=65534 SUDO_USER=nobody run -- "$e" facts
check status_is 0
check grep -q "^Uid:.65534.65534.65534.65534$" out
check grep -q "^Gid:.65534.65534.65534.65534$" out
check grep -q "^CapEff:.0000000000000000$" out
check has err "portlog: the command runs as nobody (uid 65534), in the environment that sudo has made"
report "under sudo the command is the caller's, and that is said" "$problem"

problem=
run -v --ring 32M -- "$e" fork 3000 # all that they make fits, however late it is read
check status_is 0
check lacks err "lost"
check lacks err "too many"
report "3,000 processes one after the other are followed, none is kept" "$problem"

who=user as=(setpriv --reuid=65534 --regid=65534 --clear-groups) options=(--sudo "$dir/bin/sudo")
if ! "${as[@]}" "$dir/bin/sudo" /usr/bin/id -u 2> /dev/null | grep -qx 0; then
	skip "as a user with sudo" "no setuid program can be made in $dir"
else
	everything

	problem=
	install -m 4755 "$errand" "$dir/bin/setuid"
	run -- "$dir/bin/setuid" facts
	check status_is 0
	check grep -q "^Uid:.65534.0.0.0$" out
	check grep -q "^NoNewPrivs:.0$" out
	report "a setuid command is setuid" "$problem"

	problem=
	options=(--sudo "$dir/refusing/sudo")
	run -- touch "$dir/user/started"
	check status_is 3
	check [ ! -e started ]
	check has err "sudo: a password is required"
	check has err "portlog: the command was not started, for it cannot be traced"
	report "without root the command is not started" "$problem"

	problem=
	run --try -- sh -c 'echo yes; exit 4'
	check status_is 4
	check [ "$(cat out)" = yes ]
	check has err "portlog: the command runs untraced"
	check lacks err "no bind or listen"
	options=(--sudo "$dir/no/such/sudo")
	run --try -- sh -c 'exit 4'
	check status_is 4
	report "--try starts it all the same" "$problem"
fi

who=usage as=() options=()
problem=
run
check status_is 2
check has err "portlog: there is no command to run"
run --bogus -- true
check status_is 2
check has err "unknown option '--bogus'"
check lacks err "filter"
run -j --log /dev/full -- true
check status_is 0
check has err "portlog: write /dev/full: No space left on device"
run --log /no/such/folder/log -- true
check status_is 3
report "bad usage is refused before anything starts" "$problem"

end
