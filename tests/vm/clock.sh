#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# `portlog record` in a test machine whose clock is set forward by a year, back again, and back by an hour. Beside it lie portlog and errand.
n=0 bad=0 pid='' phase=0 done="" year=31536000
mkdir -p /tmp/clock && cd /tmp/clock || exit 1
mkfifo odd even

# report NAME: of the command before
report()
{
	status=$?
	n=$((n + 1))
	if [ "$status" = 0 ]; then
		echo "ok $n - clock: $1"
		return
	fi
	bad=1
	echo "not ok $n - clock: $1"
	sed 's/^/# /' err why
	told | tail -n 12 | cut -c 1-200 | sed 's/^/# /'
}

told()
{
	/t/portlog history --store h.db -j "$@" 2> /dev/null
}

# events ACTION...: of the recorder itself too, which pass every filter
events()
{
	told | grep -E "\"action\":\"($1)\""
}

# await COUNT ACTION: so many are told
await()
{
	tries=0
	until [ "$(events "$2" | wc -l)" -ge "$1" ]; do
		tries=$((tries + 1))
		[ "$tries" -lt 300 ] && kill -0 "$pid" || return 1
		usleep 50000
	done
}

record()
{
	runs=$((${runs:-0} + 1))
	/t/portlog record -q --hooks fexit --store h.db --retain 30d,512M 2> err 8>&- 9>&- &
	pid=$!
	await "$runs" synced && read -r begun _ < /proc/uptime
}

stop()
{
	kill "$pid" && wait "$pid"
}

# The port of this phase is bound, listened on and clashed over; then that of the phase before is given back.
act()
{
	phase=$((phase + 1)) port=$((4000 + phase)) before=$((3999 + phase)) last_holder=${holder:-}
	fifo=odd fd=8
	[ $((phase % 2)) = 1 ] || fifo=even fd=9
	rm -f up
	/t/errand hold "$port" < "$fifo" > up 8>&- 9>&- &
	holder=$!
	eval "exec $fd> $fifo"
	until grep -qs up up; do usleep 10000; done
	/t/errand try "$port" > out 2>&1 8>&- 9>&- && return 1
	done="$done bind:$port listen:$port clash:$port"
	if [ "$phase" -gt 1 ]; then
		eval "exec $((17 - fd))>&-"
		wait "$last_holder"
		done="$done release:$before"
	fi
	await "$((phase * 3 + 2))" "bind|listen" && await "$phase" release
}

# A line for each event: action:port and its boot clock, in microseconds
words()
{
	awk '{
		action = uptime = $0
		sub(/.*"action":"/, "", action)
		sub(/".*/, "", action)
		if (/"errno":/)
			action = "clash"
		sub(/.*"uptime_us":/, "", uptime)
		port = substr($0, index($0, "\"port\":") + 7)
		print action ":" port + 0, uptime + 0
	}'
}

# seconds MICROSECONDS
seconds()
{
	echo "${1%??????}.${1#"${1%??????}"}"
}

# held_at MOMENT: the ports that --at has for it, in microseconds
held_at()
{
	told --at "@$(seconds "$1")" | sed 's/.*"port":\([0-9]*\),.*/\1/' | sort | tr '\n' ' '
}

# The file list: what was done so far
reread()
{
	events "bind|listen|release|snapshot|clock" | grep -v '"port":4100,' | words > list
}

# before WORD OFFSET: the middle between that event and the one before it, by a clock so much ahead of the boot clock
before()
{
	awk -v word="$1" -v offset="$2" '$1 == word { printf "%.0f\n", int(($2 + last) / 2) + offset; exit } { last = $2 }' list
}

# after WORD OFFSET
after()
{
	awk -v word="$1" -v offset="$2" '$1 == word { printf "%.0f\n", $2 + 1000 + offset; exit }' list
}

# moments PHASE OFFSET: around its events it is as it was
moments()
{
	port=$((4000 + $1)) old='' last=clash:$port
	[ "$1" = 1 ] || old="$((port - 1)) " last=release:$((port - 1))
	a=$(held_at "$(before "bind:$port" "$2")")
	b=$(held_at "$(before "clash:$port" "$2")")
	c=$(held_at "$(after "$last" "$2")")
	echo "around $port, clock $2: $a, $b, $c" >> why
	[ "$a" = "$old" ] && [ "$b" = "$old$port " ] && [ "$c" = "$port " ]
}

# look NAME PHASE CLOCK...: what was held in each phase, asked for by that clock
look()
{
	name=$1 good=0
	shift
	: > why
	reread
	while [ $# -gt 1 ]; do
		moments "$1" "$2" || good=1
		shift 2
	done
	[ "$good" = 0 ]
	report "$name"
}

# How much the clock is ahead of the boot clock, as the last event has it
clock()
{
	told -n 1 | sed 's/.*"ts":"\([0-9-]*\)T\([0-9:]*\)\.\([0-9]\{6\}\)[0-9]*Z","uptime_us":\([0-9]*\),.*/\1 \2 \3 \4/' | {
		read -r day time us uptime
		echo "$(date -u -d "$day $time" +%s)$us $uptime" | awk '{ printf "%.0f\n", $1 - $2 }'
	}
}

# set_by SECONDS: the clock; it is told, with the time before and after
set_by()
{
	steps=$((${steps:-0} + 1))
	was=$(date +%s)
	date -u -s "@$((was + $1))" > out 2>&1
	await "$steps" clock || return 1
	events clock | tail -n 1 | sed 's/.*"old":"\([0-9-]*\)T\([0-9:]*\)\..*"new":"\([0-9-]*\)T\([0-9:]*\)\..*/\1 \2 \3 \4/' > step
	read -r day time new_day new_time < step
	old=$(date -u -d "$day $time" +%s) new=$(date -u -d "$new_day $new_time" +%s)
	echo "by $1: $old to $new" > why
	[ $((old - was)) -ge 0 ] && [ $((old - was)) -le 3 ] && [ $((new - old - $1)) -ge -3 ] && [ $((new - old - $1)) -le 1 ]
}

: > why
# Of a run that is over when the clock is set: that could be taken for old.
record && /t/errand try 4100 && await 1 release && stop && record && act
report "it records"
right=$(clock)
set_by "$year" && act
report "a year forward is told, with the time before and after"
ahead=$(clock)
look "who held what then is found, before the step and after it" 1 "$right" 2 "$ahead"
n_before=$(told | wc -l)
# It looks for what is too old every ten seconds; that announces itself nowhere.
until awk -v begun="$begun" '{ exit $1 < begun + 11 }' /proc/uptime; do usleep 100000; done
told | grep '"port":4100,' > why
[ "$(wc -l < why)" = 3 ]
report "nothing is taken for old"
stop && record && act && [ "$(told | wc -l)" = $((n_before + 8)) ]
report "the next recorder goes on"
set_by -"$year" && act
report "a year back is told"
right_again=$(clock)
look "who held what is found, of the year ahead and of now" 1 "$right" 2 "$ahead" 3 "$right_again" 4 "$right_again"
set_by -3600 && act
report "an hour back is told"
early=$(clock)
look "and of the hour that is there twice the later one is meant" 2 "$ahead" 3 "$early" 4 "$early" 5 "$early"

told --since "@$(seconds "$(before bind:4005 "$early")")" --until "@$(seconds "$(after release:4004 "$early")")" \
	port 4001-4010 | grep -vE '"action":"(st|clock)' | words | cut -d ' ' -f 1 | tr '\n' ' ' > why
[ "$(cat why)" = "bind:4005 listen:4005 clash:4005 release:4004 " ]
report "--since and --until mean it as --at does"
seen=$(grep -vE 'snapshot|clock' list | cut -d ' ' -f 1 | tr '\n' ' ')
echo "told: $seen done:$done" > why
[ " $seen" = "$done " ]
report "every event is told once, in the order in which it happened"
told | sed 's/.*"stream":"\([0-9a-f]*\)","seq":\([0-9]*\).*/\1 \2/' | awk '$2 != ++n[$1] { exit 1 }'
report "without a gap"
told --intervals port 4001-4010 > all
awk '{ ended = $0; sub(/.*"ended":"/, "", ended); sub(/".*/, "", ended); print substr($0, index($0, "\"port\":") + 7) + 0 ":" ended }' all | tr '\n' ' ' > why
[ "$(cat why)" = "4001:release 4002:stopped 4002:release 4003:release 4004:release 4005:held " ]
report "each interval has its end"
events release | grep -v '"port":4100,' | grep '"since_precision":"exact"' | sed 's/.*"held_us":\([0-9]*\).*/\1/' > why
awk '!($1 > 0 && $1 < 300000000) { exit 1 }' why && [ "$(wc -l < why)" = 3 ]
report "a time that was held is as long as it was"
stop
report "it ends"
echo "1..$n"
exit $bad
