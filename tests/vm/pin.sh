#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# `portlog record --pin` in a test machine, with the fexit hooks: pin.sh SUITE. Beside it lie portlog and errand.
suite=$1 n=0 bad=0 pid=
mkdir -p /tmp/pin && cd /tmp/pin || exit 1

# report NAME: of the command before
report()
{
	status=$?
	n=$((n + 1))
	if [ "$status" = 0 ]; then
		echo "ok $n - pin: $1"
		return
	fi
	bad=1
	echo "not ok $n - pin: $1"
	sed 's/^/# /' err
	told | tail -n 12 | cut -c 1-300 | sed 's/^/# /'
}

record()
{
	/t/portlog record --pin --hooks fexit --store h.db "$@" 2> err &
	pid=$!
}

told()
{
	/t/portlog history --store h.db -j 2> /dev/null
}

# await WORDS COUNT: so many events have these words in them
await()
{
	tries=0
	until [ "$(told | grep -c -e "$1")" -ge "$2" ]; do
		tries=$((tries + 1))
		[ "$tries" -lt 300 ] && kill -0 "$pid" || return 1
		usleep 100000
	done
}

record
await '"action":"synced"' 1
report "the hooks can be pinned"
mkfifo never
for round in 1 2; do
	rm -f up
	/t/errand hold 4001 < never > up &
	holder=$!
	exec 9> never
	until grep -qs up up; do usleep 10000; done
	kill -9 "$pid"
	wait "$pid" 2> /dev/null
	/t/errand try 4001 > out
	exec 9>&-
	wait "$holder"
	# The last time it is another build that goes on.
	if [ "$round" = 2 ]; then record --pin-salt 1; else record; fi
	await '"action":"start"' $((round + 1)) && await '"action":"release"' "$round"
	report "round $round: what happened while nobody was there is told"
done
seen=$(told | grep '"port":4001,' | sed 's/.*"action":"\([a-z]*\)".*/\1/' | tr '\n' ' ')
once="bind listen bind release "
[ "$seen" = "$once$once" ] || ! echo "told: $seen" >> err
report "nothing is missing or double"
told | sed 's/.*"seq":\([0-9]*\).*/\1/' | awk '$1 != NR { exit 1 }'
report "in one stream without a gap"
kill "$pid"
wait "$pid" && ls /sys/fs/bpf/portlog/set-*/about > /dev/null
report "the hooks stay when it ends"
/t/portlog record --unpin 2> err && ! ls /sys/fs/bpf/portlog 2> /dev/null
report "and can be taken off"
if [ "$suite" = bullseye ]; then
	/t/portlog record --pin --hooks tracepoint --store h.db 2> err
	[ $? = 3 ] && grep -q 'cannot keep tracepoint hooks without a process' err && ! ls /sys/fs/bpf/portlog/set-* 2> /dev/null
	report "what this kernel cannot pin is said"
fi
echo "1..$n"
exit $bad
