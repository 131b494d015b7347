# SPDX-License-Identifier: GPL-2.0-only
# Judge the output of one TAP producer: failures in full, skips by name, then "COUNTS passed failed skipped".
#
# In: -v name=, -v status= (its exit status, 124 for a time-out), -v require_bpf=1. A skip is "ok N - what # SKIP why";
# cmocka writes "not ok" there, and means the same.

function failed(what)
{
	n_failed++
	print "FAILED " name ": " what
}

# What was printed since the last result belongs to this one, and so do the comments that follow it.
function show_block(i)
{
	for (i = 1; i <= n_block; i++)
		print "    " block[i]
}

/^1\.\.[0-9]+/ {
	plan = substr($1, 4) + 0
	has_plan = 1
	if (!plan && match($0, /# *[Ss][Kk][Ii][Pp]/)) {
		n_skipped++
		why = substr($0, RSTART + RLENGTH)
		sub(/^ +/, "", why)
		whole = 1
		if (require_bpf && why ~ /^needs (root|BPF)/) {
			n_skipped--
			failed("all of it skipped: " why)
		} else {
			print "skipped " name ": all of it: " why
		}
	}
	next
}

/^(not )?ok( |$)/ {
	in_failure = 0
	n_run++
	what = $0
	sub(/^(not )?ok *[0-9]* *-? */, "", what)
	if (match(what, /# *[Ss][Kk][Ii][Pp]/)) {
		why = substr(what, RSTART + RLENGTH)
		what = substr(what, 1, RSTART - 1)
		sub(/^ +/, "", why)
		sub(/ +$/, "", what)
		if (require_bpf && why ~ /^needs (root|BPF)/) {
			failed(what ": skipped, but REQUIRE_BPF is set: " why)
		} else {
			n_skipped++
			print "skipped " name ": " what (what != "" && why != "" ? ": " : "") why
		}
	} else if (/^not ok/) {
		failed(what)
		show_block()
		in_failure = 1
	} else {
		n_passed++
	}
	n_block = 0
	next
}

/^Bail out!/ {
	bailed = 1
	failed($0)
	next
}

{
	if (in_failure && /^[# \t]/)
		print "    " $0
	else
		block[++n_block] = $0
}

END {
	problem = ""
	if (status == 124)
		problem = "ran out of time"
	else if (status >= 126)
		problem = "died, status " status
	else if (!has_plan)
		problem = "printed no plan"
	else if (!whole && n_run != plan)
		problem = "planned " plan " tests and ran " n_run + 0
	else if (status && !n_failed && !bailed)
		problem = "exit status " status ", but no test failed"
	if (problem != "") {
		failed(problem)
		show_block()
	}
	print "COUNTS", n_passed + 0, n_failed + 0, n_skipped + 0
}
