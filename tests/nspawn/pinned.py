# SPDX-License-Identifier: GPL-2.0-only
"""The installed service with --pin, as /etc/default/portlog gives it: what a load did by its own record is in the history once."""
import json
import os
import signal
import socket
import threading

from lib import must, ok, play, run, say, systemctl, unit_pid, wait_until

UNIT, OPTIONS, PINS = "portlog.service", "/etc/default/portlog", "/sys/fs/bpf/portlog"
FIRST, LAST = 20000, 29999


class Load(threading.Thread):
    """One port after the other: bound, listened on, closed."""

    def __init__(self):
        super().__init__()
        self.done, self.enough, self.news = [], threading.Event(), threading.Condition()

    def run(self):
        port = FIRST
        while port <= LAST and not self.enough.wait(0.001):
            with socket.socket() as s:
                s.bind(("127.0.0.1", port))
                s.listen()
            with self.news:
                self.done += [("bind", port), ("listen", port), ("release", port)]
                self.news.notify_all()
            port += 1

    def goes_on(self, ports):
        """So many more are done."""
        with self.news:
            wanted = len(self.done) + 3 * ports
            self.news.wait_for(lambda: len(self.done) >= wanted)

    def end(self):
        self.enough.set()
        self.join()


def history(*words):
    return [json.loads(line) for line in run("portlog", "history", "-j", *words).stdout.splitlines()]


def told():
    return [(e["action"], e["socket"]["port"]) for e in history("port", f"{FIRST}-{LAST}") if e.get("socket")]


def starts():
    return [bool(e.get("pinned")) for e in history("-b", "0") if e["action"] == "start"]


def began():
    """What a machine has at /sys/fs/bpf, and a container not even a folder for."""
    must("mount", "-o", "remount,rw", "/sys")
    os.makedirs("/sys/fs/bpf", exist_ok=True)
    must("mount", "-t", "bpf", "bpf", "/sys/fs/bpf")
    with open(OPTIONS, "w", encoding="utf-8") as file:
        file.write('PORTLOG_OPTIONS="--netns host --pin"\n')
    wait_until(starts, "the first commit of the boot")
    n = len(starts())
    must("systemctl", "restart", UNIT)
    wait_until(lambda: len(starts()) > n, "its start")
    ok(os.path.isdir(PINS) and starts()[n:] == [False], "the service can pin its hooks", str(os.listdir("/sys/fs/bpf")))


def interrupted():
    n = len(starts())
    load.start()
    load.goes_on(50)
    must("systemctl", "restart", UNIT)
    wait_until(lambda: len(starts()) == n + 1, "the start after a restart")
    load.goes_on(50)
    before = unit_pid(UNIT)
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: unit_pid(UNIT) not in (0, before), "another one")
    wait_until(lambda: len(starts()) == n + 2, "the start after a kill")
    load.goes_on(50)
    load.end()
    wait_until(lambda: told()[-1:] == load.done[-1:], "the last of it")
    ok(starts()[n:] == [True, True], "a restart and a kill: each time the hooks were there", str(starts()))


def whole():
    seen = told()
    at = next((i for i, (a, b) in enumerate(zip(seen, load.done)) if a != b), min(len(seen), len(load.done)))
    ok(seen == load.done, "nothing is missing or double by the load's own record",
       f"{len(seen)} told, {len(load.done)} done; from {at}: {seen[at:at + 5]}, done {load.done[at:at + 5]}")
    say(f"{len(seen)} events")
    stream = history("port", str(FIRST), "and", "action", "bind")[-1]["stream"]
    seqs = [e["seq"] for e in history() if e["stream"] == stream]
    ok(seqs == list(range(1, len(seqs) + 1)) and {e["stream"] for e in history("port", f"{FIRST}-{LAST}") if e.get("socket")} == {stream},
       "it is one stream without a gap")


def stopped():
    must("systemctl", "stop", UNIT)
    said = must("journalctl", "--no-pager", "-b", "-o", "cat", "-u", UNIT)
    ok(f"the hooks stay in {PINS}" in said and os.listdir(PINS), "when it is stopped it says that the hooks stay", said)
    must("portlog", "record", "--unpin")
    ok(not os.path.exists(PINS) and systemctl("is-failed", UNIT).returncode != 0, "portlog record --unpin takes them off")


load = Load()
play(began, interrupted, whole, stopped)
