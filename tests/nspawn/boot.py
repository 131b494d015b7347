# SPDX-License-Identifier: GPL-2.0-only
"""A boot in which a rogue takes nginx's port: the service's history has all of it, and equals what strace saw of that boot."""
import contextlib
import json
import re
import sqlite3
from collections import Counter

from lib import boot_number, has, must, ok, play, reboot, run, say, systemctl, unit_pid, wait_until

ENDPOINT = re.compile(r'sa_family=AF_INET6?, sin6?_port=htons\((\d+)\).*?(?:inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)")')
CALL = re.compile(r"^(\d+) +(bind|listen)\((\d+), (.*)\) += (-1 (E[A-Z]+)|0)")


def events():
    return [json.loads(line) for line in must("portlog", "history", "-j").splitlines()]


def witnessed():
    """What strace saw: (call, address, port, errno or "ok") of each bind with a port, and of each listen after it."""
    calls, bound, begun = [], {}, {}
    with open("/out/strace") as file:
        for line in file:
            pid = line.split(" ", 1)[0]
            # Another thread came between: strace writes the call in two parts.
            if "<unfinished ...>" in line:
                begun[pid] = line.split("<unfinished")[0].rstrip()
                continue
            if "resumed>" in line:
                line = begun.pop(pid, "") + line.split("resumed>", 1)[1]
            call = CALL.match(line)
            if not call:
                continue
            name, fd, rest, outcome = call[2], (pid, call[3]), call[4], call[6] or "ok"
            endpoint = ENDPOINT.search(rest)
            if name == "bind" and endpoint and endpoint[1] != "0":
                where = (endpoint[2] or endpoint[3], int(endpoint[1]))
                calls.append(("bind", *where, outcome))
                if outcome == "ok":
                    bound[fd] = where
            elif name == "bind":
                bound.pop(fd, None)
            elif fd in bound:
                calls.append(("listen", *bound[fd], outcome))
    return Counter(calls)


def told(all_events):
    return Counter((e["action"], e["socket"]["addr"], e["socket"]["port"], e.get("errno", "ok"))
                   for e in all_events if e["action"] in ("bind", "listen"))


def booted():
    systemctl("is-system-running", "--wait")
    ok(unit_pid("rogue.service") > 0 and systemctl("is-failed", "nginx").stdout == "failed\n",
       "the boot came out as staged: the rogue runs, nginx failed")


def reached(unit):
    """When, on systemd's monotonic clock. It and the boot clock differ by the time spent in suspend: none in a test."""
    return int(must("systemctl", "show", "-P", "ActiveEnterTimestampMonotonic", unit))


def nothing_before():
    first = events()
    has(first[0], "portlog starts before any port is taken", action="start")
    has(first[1], "its snapshot is empty", action="synced", count=0)
    on, ready = first[1]["uptime_us"], reached("portlog.service")
    targets = {name: reached(name) for name in ("sysinit.target", "sockets.target", "basic.target")}
    say(f"on at {on} us, ready at {ready} us, {targets}")
    ok(on < ready < min(targets.values()), "all is seen before the service is ready, and that is before any port's target",
       f"{on} {ready} {targets}")


def rogue_is_first():
    of_80 = [e for e in events() if e.get("socket", {}).get("port") == 80 and e["socket"]["family"] == "ipv4"]
    has(of_80[0], "the first who takes port 80 is the rogue", action="bind", result="ok", unit="rogue.service",
        process__comm="python3", process__pid=unit_pid("rogue.service"))
    failed = [e for e in of_80 if e.get("result") == "error"]
    has(failed[0], "nginx clashes with it, by its unit", errno="EADDRINUSE", unit="nginx.service",
        process__comm="nginx", holder__unit="rogue.service", holder__pid=unit_pid("rogue.service"),
        holder__since=of_80[0]["ts"], holder__since_precision="exact")
    say(f"the rogue had it {(failed[0]['uptime_us'] - of_80[0]['uptime_us']) / 1000} ms before")
    wanted = Counter(e["unit"] for e in failed)
    ok(set(wanted) == {"nginx.service"}, "nobody else clashed there", str(wanted))


def the_service_behind_the_socket():
    listen = next(e for e in events() if e["action"] == "listen" and e["socket"]["port"] == 22)
    has(listen, "port 22 is taken for ssh.service, by its socket unit", unit="ssh.socket",
        bound_by={"kind": "socket-unit", "unit": "ssh.socket", "service": "ssh.service"})


def nothing_missing():
    with contextlib.suppress(TimeoutError):  # what is missing then is said below
        wait_until(lambda: witnessed() == told(events()), "the record is complete")
    seen, recorded = witnessed(), told(events())
    for call, count in sorted(seen.items()):
        say(f"{count} {' '.join(map(str, call))}")
    ok(seen == recorded and sum(seen.values()) > 8, "every bind and listen of the boot is told once, and no other",
       f"not told: {seen - recorded}\ntold beside: {recorded - seen}")
    lost = [e for e in events() if e["action"] in ("lost", "resync")]
    ok(not lost, "nothing was lost", str(lost))


def the_clash_in_its_own_journal():
    def clash():
        said = must("journalctl", "-b", "-u", "nginx", "-o", "json", "--no-pager").splitlines()
        return [line for line in map(json.loads, said) if line.get("SYSLOG_IDENTIFIER") == "portlog"]
    wait_until(clash, "the line in the journal")
    say(must("journalctl", "-b", "-u", "nginx", "--no-pager", "-n", "4"))
    failed = next(e for e in events() if e.get("errno") == "EADDRINUSE" and e["unit"] == "nginx.service")
    has(clash()[0], "journalctl -u nginx shows the clash, with who has the port", _SYSTEMD_UNIT="portlog.service",
        OBJECT_SYSTEMD_UNIT="nginx.service", PORTLOG_PORT="80", PORTLOG_HOLDER_UNIT="rogue.service",
        PORTLOG_SEQ=str(failed["seq"]), MESSAGE=lambda text: "could not bind tcp 0.0.0.0:80" in text and "rogue" in text)


def boot_rows(*words):
    """What `portlog boot -j` says, and its rows by kind, address and port."""
    boot = json.loads(must("portlog", "boot", "-j", *words))
    rows = {}
    for row in boot["rows"]:
        socket = row.get("event", {}).get("socket") or row["holder"]
        rows.setdefault((row["row"], socket["addr"], socket["port"]), row)
    return boot, rows


def line_of(text, *words):
    return next((line for line in text.splitlines() if all(word in line for word in words)), "")


def the_table_of_the_boot():
    text = must("portlog", "boot")
    say(text)
    boot, rows = boot_rows()
    has(boot, "the boot: from the hooks on until systemd had finished and 30 seconds", end="finished",
        hooks_on_us=events()[0]["uptime_us"], lost=0, beginning_missing=None, gaps=None,
        until_us=reached_finish() + 30_000_000, systemd__sysinit_us=reached("sysinit.target"))
    ok("before sysinit.target" in text.splitlines()[0], "its first line says so", text.splitlines()[0])
    rogue, failure = rows.get(("owner", "0.0.0.0", 80)), rows.get(("failure", "0.0.0.0", 80))
    has(rogue, "the first owner of port 80 is the rogue", event__unit="rogue.service",
        event__process__pid=unit_pid("rogue.service"), at_precision="exact", listening=True)
    has(failure, "nginx is the clash, by its unit, with how long the rogue had had the port", event__unit="nginx.service",
        event__errno="EADDRINUSE", event__holder__unit="rogue.service", had_for_precision="exact",
        had_for_us=lambda us: us and abs(us - failure["at_us"] + rogue["at_us"]) <= 1)
    line = line_of(text, "0.0.0.0:80", "FAILED")
    earlier = re.search(r"EADDRINUSE: python3\[(\d+)\] had it (\d+) ms earlier", line)
    ok(earlier and int(earlier[1]) == unit_pid("rogue.service") and int(earlier[2]) == failure["had_for_us"] // 1000 and
       "nginx.service" in line, "as a person reads it", line)
    line = line_of(text, ":22 ")
    ok(re.search(r"systemd\[1\] for ssh\.service +ssh\.socket +socket activation", line),
       "the service behind the socket is named, beside systemd", line)
    lines = text.splitlines()
    at = next((i for i, line in enumerate(lines) if "EADDRNOTAVAIL" in line), 0)
    ok(at and "early-address.service" in lines[at] and "network-online.target in early-address.service" in lines[at + 1],
       "an address that comes with the network has its own hint", "\n".join(lines[at:at + 2]))


def reached_finish():
    return int(must("systemctl", "show", "-P", "FinishTimestampMonotonic"))


def first_owners_agree():
    """Every address and port that strace saw bound has an owner in the table, and each failure is there."""
    _, rows = boot_rows("--all")
    wanted = {("owner" if outcome == "ok" else "failure", address, port) for _, address, port, outcome in witnessed()}
    ok(set(rows) == wanted, "the table has every port of the boot and every failure, and no other",
       f"missing: {wanted - set(rows)}\nbeside: {set(rows) - wanted}")


def the_recorder_keeps_when_systemd_had_finished():
    def kept():
        with contextlib.closing(sqlite3.connect("file:/var/lib/portlog/history.db?mode=ro", uri=True)) as db:
            return db.execute("SELECT finished / 1000, sysinit / 1000 FROM boots WHERE finished").fetchall()
    wait_until(kept, "the recorder has asked systemd")
    ok(kept() == [(reached_finish(), reached("sysinit.target"))], "the history has it for later boots", str(kept()))


def no_such_boot():
    other = run("portlog", "boot", "-b", "ffffffff")
    ok(other.returncode == 1 and not other.stdout and "systemctl enable" in other.stderr and "(0)" in other.stderr,
       "of a boot that was not recorded it says so, and how to get a recording", other.stdout + other.stderr)
    wrong = run("portlog", "boot", "-b", "yesterday")
    ok(wrong.returncode == 2 and "no boot" in wrong.stderr, "what is no boot is wrong usage", wrong.stderr)


def next_boot():
    with open("/out/first", "w", encoding="utf-8") as file:
        json.dump(boot_rows()[0], file)
    reboot(1)


def the_boot_before():
    """What systemd knows no more: it has begun anew."""
    with open("/out/first", encoding="utf-8") as file:
        first = json.load(file)
    before, _ = boot_rows("-b", "-1")
    now, _ = boot_rows()
    same = ("boot_id", "hooks_on_us", "systemd", "end", "until_us")
    ok({key: before[key] for key in same} == {key: first[key] for key in same}, "after a reboot the boot before is as it was",
       json.dumps(before))
    told = [(row["row"], row["at_us"], row["event"]["socket"]["port"]) for row in before["rows"]]
    ok(told == [(row["row"], row["at_us"], row["event"]["socket"]["port"]) for row in first["rows"]],
       "with the same rows in the same order", json.dumps(told))
    has(before["gaps"][0], "that the machine went down before the end of it is told", from_us=lambda us: us > before["hooks_on_us"],
        to_us=before["until_us"])
    ok(now["boot_id"] != first["boot_id"] and any(row["event"].get("unit") == "nginx.service" for row in now["rows"]),
       "this boot is another one", json.dumps(now))
    text = must("portlog", "boot", "-b", first["boot_id"][:8], "-x", "80")
    say(text)
    ok("nginx" in line_of(text, "FAILED", "0.0.0.0:80"), "it is found by its id too, and a filter picks rows", text)


number = boot_number()
print(f"# boot {number}")
if number == 1:
    play(booted, nothing_before, rogue_is_first, the_service_behind_the_socket, nothing_missing,
         the_clash_in_its_own_journal, the_table_of_the_boot, first_owners_agree,
         the_recorder_keeps_when_systemd_had_finished, no_such_boot, next_boot)
else:
    play(booted, the_boot_before)
