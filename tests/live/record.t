#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The recorder and its history: real sockets in a namespace of our own, kill -9, a disk that is full or not there; TAP."""
import json
import os
import random
import re
import signal
import socket
import sqlite3
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import recording
from recording import (Recorder, accounted, await_history, barrier, events, fact, history, intervals, listener, mount, skip)

KILLS = int(os.environ.get("RECORD_KILLS", "6"))


def what_happened(store):
    r = Recorder(store)
    if not await_history(store, lambda e: e["action"] == "synced"):
        r.end()
        skip("cannot record: " + "".join(r.err.lines).replace("\n", " ")[:200])
    s = listener(7001)
    clash = socket.socket()
    try:
        clash.bind(("127.0.0.1", 7001))
    except OSError:
        pass
    between = time.time()
    s.close()
    barrier(store)
    seen = events(store, "port", "7001", "netns", recording.NETNS)
    told = [(e["action"], e.get("result"), e.get("holder", {}).get("pid")) for e in seen if e.get("socket")]
    fact("every event is in the history, with who was in the way",
         told == [("bind", "ok", None), ("listen", "ok", None), ("bind", "error", os.getpid()), ("release", None, None)],
         told)
    out, err, _ = history(store, "-j", "7001", "--at", f"@{between}")
    rows = [json.loads(line) for line in out.splitlines()]
    fact("a moment later asked for has its holder",
         [(e["process"]["pid"], e["socket"]["port"]) for e in rows] == [(os.getpid(), 7001)], out, err)
    fact("after the release it has none", history(store, "-j", "7001", "--at", "now")[0] == "")
    spans = intervals(store, "7001")
    fact("the interval has its end", [(i["ended"], i["opened"]["action"], i["closed"]["action"]) for i in spans] ==
         [("release", "bind", "release")], spans)
    with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as db:
        row = db.execute("SELECT pid, holder_pid FROM clashes WHERE port = 7001").fetchone()
    fact("sqlite3 can ask while it runs", row == (os.getpid(), os.getpid()), row)
    with open(f"/proc/{r.process.pid}/status", encoding="ascii") as status:
        rss = int(re.search(r"VmHWM:\s+(\d+)", status.read()).group(1))
    print(f"# at most {rss} KiB of memory")
    fact("it stays below 32 MiB", rss < 32 * 1024, rss)
    fact("it ends well", r.end() == 0, r.err.lines)
    fact("nothing is missing", accounted(store) == "", accounted(store))


def killed(store):
    s = listener(7002)
    r = Recorder(store)
    await_history(store, lambda e: e["action"] == "snapshot", "port", "7002", "netns", recording.NETNS)
    barrier(store)
    r.end(signal.SIGKILL)
    gone = listener(7003)
    gone.close()
    r = Recorder(store)
    barrier(store)
    spans = intervals(store, "7002")
    fact("what a killed recorder left open is closed by the next, and begun again",
         [i["ended"] for i in spans[-2:]] == ["killed", "held"] and spans[-2]["next"]["process"]["pid"] == os.getpid(), spans)
    s.close()
    barrier(store)
    fact("and ends when it is let go", intervals(store, "7002")[-1]["ended"] == "release")
    r.end()


def who_came_next(store):
    """Several at one port: who came and went meanwhile did not come next, who shared it and stayed did."""
    r = Recorder(store)
    barrier(store)
    first, second, third = (listener(7006, socket.SO_REUSEPORT) for _ in range(3))
    barrier(store)
    for s in (second, first, third):
        s.close()
        barrier(store)
    last = listener(7006)
    barrier(store)
    of_it = ("7006", "netns", recording.NETNS)
    spans = intervals(store, *of_it)
    at = [i["opened"]["seq"] for i in spans]
    fact("the next is who had it afterwards", [i["ended"] for i in spans] == ["release"] * 3 + ["held"] and
         [i.get("next", {}).get("seq") for i in spans] == [at[2], at[2], at[3], None], spans)
    fact("-r: the last to begin first", [i["opened"]["seq"] for i in intervals(store, "-r", *of_it)] == at[::-1])
    fact("-n: the last of them", [i["opened"]["seq"] for i in intervals(store, "-n", "2", *of_it)] == at[2:])
    fact("both", [i["opened"]["seq"] for i in intervals(store, "-r", "-n", "3", *of_it)] == at[:0:-1])
    last.close()
    r.end()


def killed_under_load(store):
    stop = threading.Event()
    kept = {}

    def load():
        while not stop.wait(0.001):  # as fast as a loaded machine can record
            port = random.randrange(10000, 10200)
            if port in kept:
                kept.pop(port).close()
            else:
                try:
                    kept[port] = listener(port)
                except OSError:
                    pass  # somebody's ephemeral port

    thread = threading.Thread(target=load)
    thread.start()
    for _ in range(KILLS):
        r = Recorder(store, "-q")
        barrier(store)
        time.sleep(random.random() * 0.3)  # a random moment is what this is about
        r.end(signal.SIGKILL)
    r = Recorder(store, "-q")
    barrier(store)
    stop.set()
    thread.join()
    barrier(store)
    now = {e["socket"]["port"] for e in events(store, "--at", "now", "port", "10000-10199", "and", "netns", recording.NETNS)}
    fact(f"after {KILLS} kills under load the history knows who holds what", now == set(kept), sorted(now ^ set(kept)))
    spans = [i["opened"]["socket"]["port"] for i in intervals(store, "port", "10000-10199") if i["ended"] == "held"]
    fact("and so do its intervals", sorted(spans) == sorted(kept), sorted(set(spans) ^ set(kept)))
    r.end()
    with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as db:
        whole = db.execute("PRAGMA integrity_check").fetchone()[0]
    fact("and the file is whole", whole == "ok", whole)
    for s in kept.values():
        s.close()


def disk_full(folder):
    os.mkdir(folder)
    mount("none", folder, "tmpfs", 0, "size=2m")
    store = folder + "/history.db"
    r = Recorder(store, "--queue", "256K")
    barrier(store)
    filler = open(folder + "/filler", "wb", buffering=0)
    try:
        while True:
            filler.write(b"x" * 4096)
    except OSError:
        pass
    full, deadline = None, time.monotonic() + 60
    while time.monotonic() < deadline:
        for port in range(7100, 7110):
            listener(port).close()
        full = next((line for line in r.err.lines if "No space left" in line or "full" in line), None)
        if full:
            break
    for _ in range(10):
        for port in range(7200, 7800):  # more than there is room for in memory
            listener(port).close()
    fact("a full disk is told in a clear line", full is not None, r.err.lines)
    held = listener(7004)
    os.ftruncate(filler.fileno(), 0)
    fact("it goes on by itself when there is room again", r.err.await_line(lambda l: "works again" in l) is not None,
         r.err.lines)
    fact("a loss is told where it was", await_history(store, lambda e: e["action"] == "lost" and e["where"] == "queue")
         is not None, r.err.lines)
    await_history(store, lambda e: e["action"] == "resync")
    out, said, status = history(store, "-F", "port", "netns", recording.NETNS)
    fact("rows of chosen fields have no place for it: it is said beside them",
         status == 0 and "lost" not in out and "lost" in said, said)
    barrier(store)
    fact("nothing is missing that is not counted", accounted(store) == "", accounted(store))
    spans = intervals(store, "7004", "netns", recording.NETNS)
    fact("what is held is known again after it", [i["ended"] for i in spans][-1:] == ["held"], spans)
    held.close()
    r.end()


def moment_to_come(folder):
    store = folder + "/history.db"
    os.umask(0o777)
    r = Recorder(store)
    barrier(store)
    os.umask(0o022)
    fact("a folder that is made can be entered, whatever the umask", os.stat(folder).st_mode & 0o777 == 0o750,
         oct(os.stat(folder).st_mode))
    _, said, status = history(store, "--at", "tomorrow")
    fact("a moment that has not come yet is said to be one", status == 0 and "has not come yet" in said, said)
    r.end()


def disk_later(folder):
    os.mkdir(folder)
    mount("none", folder, "tmpfs", 1, "size=8m")  # MS_RDONLY
    store = folder + "/history.db"
    r = Recorder(store)
    fact("a disk that cannot be written yet is told", r.err.await_line(lambda l: "Read-only file system" in l) is not None,
         r.err.lines)
    r.err.await_line(lambda l: "recording to" in l)
    s = listener(7005)
    mount(None, folder, None, 32, "size=8m")  # MS_REMOUNT
    fact("what happened meanwhile is in the history", await_history(
        store, lambda e: e["action"] in ("listen", "snapshot"), "port", "7005", "netns", recording.NETNS) is not None, r.err.lines)
    s.close()
    r.end()
    fact("from the start on", events(store)[0]["action"] == "start" and events(store)[0]["seq"] == 1)


sys.exit(recording.run((what_happened, killed, who_came_next, killed_under_load, disk_full, moment_to_come, disk_later)))
