#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""kill -9 of the recorder and the power going, at random moments under load: what the history says afterwards; TAP."""
import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import recording
from recording import Recorder, barrier, events, fact, intervals, mount

KILLS = int(os.environ.get("RECORD_KILLS", "50"))
CUTS = int(os.environ.get("RECORD_CUTS", "40"))
FIRST, PORTS = 10000, 200
RANGE = ("port", f"{FIRST}-{FIRST + PORTS - 1}")
seed = int(os.environ.get("SEED", str(random.randrange(1 << 30))))
rng = random.Random(seed)


class Load(threading.Thread):
    """Takes ports and lets them go, and keeps its own record. With the lock it stands still between two of these."""

    def __init__(self):
        super().__init__()
        self.kept, self.record, self.lock = {}, [], threading.Lock()
        self.over = threading.Event()
        self.start()

    def one(self):
        port = FIRST + rng.randrange(PORTS)
        if port in self.kept:
            self.kept.pop(port).close()
            self.record.append((port, "release"))
            return
        try:
            s = socket.socket()
            s.bind(("127.0.0.1", port))
            s.listen()
        except OSError:
            s.close()
            return
        self.kept[port] = s
        self.record.append((port, "listen"))

    def run(self):
        while not self.over.wait(0.001):
            with self.lock:
                self.one()

    def end(self):
        self.over.set()
        self.join()


def asked(*words):
    out = subprocess.run([recording.PORTLOG, *words], capture_output=True, text=True, check=False).stdout
    return {json.loads(line)["socket"]["port"] for line in out.splitlines()}


def moment(store, load):
    """A moment at which the load stands still: when, what it holds, and what list says of it."""
    with load.lock:
        kept = set(load.kept)
        barrier(store)
        listed = asked("list", "-j", *RANGE, "and", "netns", recording.NETNS)
        return time.time_ns(), kept, listed


def query(store, sql, *values):
    with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as db:
        rows = db.execute(sql, values).fetchall()
    db.close()
    return rows


def assert_whole(store, when):
    whole = query(store, "PRAGMA integrity_check")
    fact(f"{when} the file is whole", whole == [("ok",)], whole)
    twice = query(store, "SELECT coalesce(socket, opened) FROM intervals WHERE closed IS NULL GROUP BY 1 HAVING count(*) > 1")
    fact(f"{when} no socket has two open intervals", not twice, twice)
    crossed = query(store, "SELECT a.opened, b.opened FROM intervals a JOIN intervals b ON coalesce(a.socket, a.opened) ="
                    " coalesce(b.socket, b.opened) AND b.opened > a.opened WHERE a.closed IS NULL OR a.closed > b.opened")
    fact(f"{when} the intervals of a socket follow each other", not crossed, crossed[:5])


def assert_runs(store, ends):
    """Each run's last record says how it ended; what it left open ended so, at the first record of the next one."""
    runs = query(store, "SELECT first, lead(first) OVER (ORDER BY id) FROM streams ORDER BY id")
    wrong = []
    for (first, after), end in zip(runs, ends):
        left = query(store, "SELECT ended, closed FROM ownership WHERE id > ? AND id <= ? AND (closed IS NULL OR closed > ?)",
                     first, after, after)
        wrong += [(end, row) for row in left if row != (end, after + 1)]
    fact("what a run left open is closed by the next one's first record, with the reason", len(runs) == len(ends) + 1 and
         not wrong, len(runs), wrong[:5])
    starts = query(store, "SELECT e.action FROM streams s JOIN events e ON e.id = s.first + 1")
    fact("each run begins with its start: so the gap is seen", {a for (a,) in starts} == {"start"}, starts)


def assert_moments(store, moments):
    wrong = []
    for at, kept, listed in moments:
        then = asked("history", "--store", store, "-j", "--at", f"@{at / 1e9:.9f}", *RANGE, "and", "netns", recording.NETNS)
        if then != kept or listed != kept:
            wrong.append((at, sorted(then ^ kept), sorted(listed ^ kept)))
    fact(f"at each of {len(moments)} moments history --at and list say what the load knows", not wrong, wrong[:3])


def assert_open(store, kept):
    spans = intervals(store, *RANGE, "and", "netns", recording.NETNS)
    held = sorted(i["opened"]["socket"]["port"] for i in spans if i["ended"] == "held")
    fact("what is held at the end is open, and nothing else", held == sorted(kept), held, sorted(kept))


def killed(store):
    print(f"# SEED={seed}")
    load, moments, ends = Load(), [], []
    for n in range(KILLS):
        r = Recorder(store, "-q")
        barrier(store)
        if n % 5 == 0:
            moments.append(moment(store, load))
        time.sleep(rng.random() * 0.3)  # a random moment is what this is about
        stop = n % 10 == 9
        r.end(signal.SIGTERM if stop else signal.SIGKILL)
        ends.append("stopped" if stop else "killed")
    r = Recorder(store, "-q")
    barrier(store)
    load.end()
    moments.append(moment(store, load))
    what = f"after {KILLS} kills under load"
    assert_whole(store, what)
    assert_runs(store, ends)
    assert_moments(store, moments)
    assert_open(store, load.kept)
    assert_record(store, load)
    r.end()
    for s in load.kept.values():
        s.close()


def assert_record(store, load):
    """Of each run: what it told after its snapshot is what the load did, in the same order and without holes."""
    wrong, all_of_it = [], events(store)
    ours = events(store, *RANGE, "and", "netns", recording.NETNS)
    for stream in dict.fromkeys(e["stream"] for e in all_of_it):
        mine = [e for e in ours if e["stream"] == stream]
        synced = min((e["seq"] for e in all_of_it if e["stream"] == stream and e["action"] == "synced"), default=1 << 60)
        wrong += compare([(e["socket"]["port"], e["action"]) for e in mine if e["action"] in ("listen", "release")
                          and e["seq"] > synced], load.record)
        seqs = [e["seq"] for e in all_of_it if e["stream"] == stream]
        if seqs != list(range(1, len(seqs) + 1)):
            wrong.append((stream, "numbers are missing"))
    fact("nothing was told that the load did not do, and nothing between two told events is missing", not wrong, wrong[:5])


LATE = 8  # a socket that some pass over all descriptors holds is let go when that has passed: its release may come later


def piece(said, did, start):
    """How much of @said is @did from @start on, without holes and nearly in order."""
    late, at = list(range(max(0, start - LATE), start)), start  # what may still come, though later ones came
    for told, event in enumerate(said):
        if at >= len(did) or did[at] != event:
            match = next((n for n in late if did[n] == event), None)
            if match is not None:
                late.remove(match)
                continue
            while at < len(did) and did[at] != event:
                late.append(at)
                at += 1
        at += 1
        if at > len(did) or any(start <= n < at - LATE for n in late):
            return told
    return len(said)


def compare(said, did):
    """Ports and actions in the order of the load's thread."""
    best = max((piece(said, did, start) for start, event in enumerate(did) if said and event == said[0]), default=0)
    return [] if best == len(said) else [(f"{best} of {len(said)} are as in the record, then it said", said[best:best + 4])]


def power(store):
    """The disk has what was synced: a journal that ends anywhere, with a torn end. The machine boots after it."""
    load = Load()
    r = Recorder(store, "-q")
    barrier(store)
    time.sleep(1)
    r.end(signal.SIGKILL)
    load.end()
    bad = []
    for n in range(CUTS):
        copy = f"{store}.cut"
        shutil.copy(store, copy)
        shutil.copy(store + "-wal", copy + "-wal")
        size = os.path.getsize(copy + "-wal")
        cut = rng.randrange(size + 1)
        os.truncate(copy + "-wal", cut)
        if n % 2 and cut > 4096:
            with open(copy + "-wal", "r+b") as f:
                f.seek(cut - rng.randrange(512, 4096))
                f.write(rng.randbytes(512))
        out = subprocess.run([recording.PORTLOG, "history", "-j", "--store", copy], capture_output=True, text=True, check=False)
        seqs = [json.loads(line)["seq"] for line in out.stdout.splitlines()]
        empty = out.returncode == 3 and "there is no history" in out.stderr
        if not (out.returncode == 0 or empty) or seqs != list(range(1, len(seqs) + 1)):
            bad.append((cut, out.returncode, out.stderr[:100], len(seqs)))
        elif query(copy, "PRAGMA integrity_check") != [("ok",)]:
            bad.append((cut, "not whole"))
        for path in (copy, copy + "-wal", copy + "-shm"):
            if n + 1 < CUTS and os.path.exists(path):
                os.unlink(path)
    fact(f"after {CUTS} cuts of the power the file is whole up to some event, or said to be empty", not bad, bad[:5])
    with open(store + ".boot", "w", encoding="ascii") as f:
        f.write("01234567-89ab-cdef-0123-456789abcdef\n")
    mount(store + ".boot", "/proc/sys/kernel/random/boot_id", None, 4096, None)  # MS_BIND
    r = Recorder(store, "-q")
    barrier(store)
    r.end()
    left = query(store, "SELECT ended, count(*) FROM ownership WHERE closed = (SELECT max(first) + 1 FROM streams) GROUP BY 1")
    fact("what was open when the machine went down ended with it", [e for e, _ in left] == ["reboot"], left)
    assert_whole(store, "after the next boot")
    recording.libc.umount2(b"/proc/sys/kernel/random/boot_id", 2)
    for s in load.kept.values():
        s.close()


sys.exit(recording.run((killed, power)))
