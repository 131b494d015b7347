# SPDX-License-Identifier: GPL-2.0-only
"""The installed service with its other sinks: journald shows a clash in the unit's own log, also after it was restarted."""
import json
import os

from lib import end_unit, has, must, ok, play, rogue, run, say, start_unit, systemctl, unit_pid, wait_until

FILE, FIGURES = "/var/log/portlog/failures.ndjson", "/run/portlog/portlog.prom"


def entries(*words):
    return [json.loads(line) for line in run("journalctl", "-q", "-o", "json", "SYSLOG_IDENTIFIER=portlog", "MESSAGE_ID="
                                             "3fce3150fa7a219c5dcb478c4b741b4a", *words).stdout.splitlines()]


def listened(port):
    return f"0.0.0.0:{port}" in run("ss", "-Hltn").stdout


def file_events():
    with open(FILE, encoding="utf-8") as file:
        return [e for e in map(json.loads, file) if e.get("result") == "error"]


def clash():
    pid = rogue("rogue", 80)
    wait_until(lambda: listened(80), "rogue listens")
    systemctl("start", "nginx")
    wait_until(lambda: entries("-u", "nginx"), "a clash is in the log of nginx")
    entry = entries("-u", "nginx")[0]
    message = f"could not bind tcp 0.0.0.0:80: EADDRINUSE: held by python3[{pid}] (rogue.service)"
    ok(entry["MESSAGE"].startswith("nginx[") and message in entry["MESSAGE"], "journalctl -u nginx shows who has its port",
       entry["MESSAGE"])
    has(entry, "with fields to ask for", PORTLOG_PORT="80", PORTLOG_HOLDER_UNIT="rogue.service", OBJECT_SYSTEMD_UNIT="nginx.service",
        OBJECT_SYSTEMD_INVOCATION_ID=lambda i: i and len(i) == 32)
    start = must("journalctl", "-q", "-u", "nginx", "-o", "json", "MESSAGE_ID=39f53479d3a045ac8e11786248231fbf") or \
        must("journalctl", "-q", "-u", "nginx", "-o", "json", "JOB_TYPE=start")
    ok(json.loads(start.splitlines()[0]).get("INVOCATION_ID") == entry.get("OBJECT_SYSTEMD_INVOCATION_ID"),
       "and the very start that failed", start)
    say(must("journalctl", "-u", "nginx", "--no-hostname"))
    end_unit("rogue", "nginx")


def again():
    """nginx tries to bind five times: that is one line, and a count when its minute is over."""
    ok(len(entries("-u", "nginx")) == 1 and len([e for e in file_events() if e["socket"]["port"] == 80]) > 1,
       "what comes again is told once, the file has all", json.dumps(entries("-u", "nginx")))


def restarted():
    must("systemctl", "restart", "systemd-journald")
    rogue("rogue", 6379)
    wait_until(lambda: listened(6379), "rogue listens")
    start_unit("second", "python3", "-c", "import socket; socket.socket().bind(('0.0.0.0', 6379))", options=["SuccessExitStatus=1"])
    wait_until(lambda: entries("-u", "second"), "a clash is in the log of second")
    ok(len(entries("-u", "second")) == 1, "so it does after journald was restarted")
    ok(not [line for line in must("journalctl", "-q", "-u", "portlog", "-o", "cat").splitlines() if "missed" in line],
       "and nothing was missed")
    end_unit("rogue", "second")


def rotated():
    before = len(file_events())
    os.rename(FILE, FILE + ".1")
    must("systemctl", "kill", "--kill-who=main", "--signal=HUP", "portlog.service")
    wait_until(lambda: os.path.exists(FILE), "the file is opened anew")
    ok(before > 0 and os.stat(FILE).st_mode & 0o777 == 0o640, "SIGHUP makes a new file, which its group may read")


def measured():
    with open(FIGURES, encoding="utf-8") as file:
        text = file.read()
    ok('portlog_sink_failing{sink="journald"} 0' in text and os.stat(FIGURES).st_mode & 0o777 == 0o644,
       "the figures are there for everybody", text)
    pid = unit_pid("portlog")
    must("systemctl", "kill", "--kill-who=main", "--signal=USR1", "portlog.service")
    wait_until(lambda: "journald: " in must("journalctl", "-q", "-o", "cat", f"_PID={pid}"), "SIGUSR1 is answered")
    say("\n".join(line for line in must("journalctl", "-q", "-o", "cat", f"_PID={pid}").splitlines() if line.startswith("portlog:")))


play(clash, again, restarted, rotated, measured)
