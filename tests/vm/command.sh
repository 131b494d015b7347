#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# `portlog run` in a test machine: command.sh HOOKS. Beside it lie portlog and errand.
hooks=$1 n=0 bad=0
mkdir -p "/tmp/$hooks" && cd "/tmp/$hooks" || exit 1

# report NAME: of the command before
report()
{
	status=$?
	n=$((n + 1))
	if [ "$status" = 0 ]; then
		echo "ok $n - run: $1"
		return
	fi
	bad=1
	echo "not ok $n - run: $1"
	sed 's/^/# /' err
}

# fails WORDS...: the command fails, and it is said that its own bind of 4001 did
fails()
{
	/t/portlog run --hooks "$hooks" -- "$@" > out 2> err
	status=$?
	[ "$status" != 77 ] || return 77
	[ "$status" != 0 ] && grep -q '\] could not bind tcp 127.0.0.1:4001: EADDRINUSE' err &&
		grep -q 'held by errand\[' err && ! grep -q outside err
}

mkfifo never
/t/errand hold 4001 < never > up &
holder=$!
exec 9> never
until grep -q up up; do usleep 10000; done

fails /t/errand try 4001
report "a bind that fails is explained"
fails /t/errand thread 4001
report "a thread's too"
fails /t/errand late 4001
report "a process that has cut itself loose is the command's"
fails unshare -p -f /t/errand try 4001
report "a pid namespace below is of the tree"
fails /t/errand uring 4001
case $? in
77) n=$((n + 1)) && echo "ok $n - run: io_uring # SKIP $(cat out)" ;;
0) true && report "a bind through io_uring is the command's" ;;
*) false || report "a bind through io_uring is the command's" ;;
esac
/t/portlog run --hooks "$hooks" -- /t/errand daemon 4002 pid > out 2> err && grep -q "left behind: errand\[$(cat pid)\] still holds" err
report "a port left behind is told"
/t/portlog run --hooks "$hooks" -v -- /t/errand fork 500 > out 2> err && ! grep -q -e lost -e 'too many' err
report "500 processes one after the other"
/t/portlog run --hooks "$hooks" -q -- sh -c 'kill -TERM $$' > out 2> err
[ $? = 143 ]
report "the status of a command that a signal ends"
kill "$holder" "$(cat pid)"
echo "1..$n"
exit $bad
