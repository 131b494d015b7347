#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The recorder and its history: real sockets in a namespace of our own, kill -9, a disk that is full or not there; TAP."""
import ctypes
import json
import os
import random
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
PORTLOG = os.environ.get("PORTLOG", os.path.join(ROOT, "build", "portlog"))
KILLS = int(os.environ.get("RECORD_KILLS", "6"))
CLONE_NEWNS, CLONE_NEWNET = 0x20000, 0x40000000
PATIENCE_S = 30
libc = ctypes.CDLL(None, use_errno=True)
n_tests = 0
failed = False


def fact(name, true, *story):
    global n_tests, failed
    n_tests += 1
    print(("ok" if true else "not ok"), n_tests, "-", name, flush=True)
    if not true:
        failed = True
        text = str(story)
        for at in range(0, min(len(text), 3000), 150):
            print("#", text[at:at + 150].replace("\n", " "))


def skip(why):
    if os.environ.get("REQUIRE_BPF") == "1" and "root" not in why:
        print(f"not ok 1 - the recorder # {why}\n1..1")
        sys.exit(1)
    print(f"ok 1 - the recorder # SKIP {why}\n1..1")
    sys.exit(0)


def mount(source, target, kind, flags, options):
    if libc.mount(source and source.encode(), target.encode(), kind and kind.encode(), flags,
                  options and options.encode()) != 0:
        raise OSError(ctypes.get_errno(), "mount " + target)


class Lines(threading.Thread):
    """What a program says, line by line; await_line() waits for one."""

    def __init__(self, stream):
        super().__init__(daemon=True)
        self.lines, self.stream, self.news = [], stream, threading.Condition()
        self.ended = False
        self.start()

    def run(self):
        for line in self.stream:
            with self.news:
                self.lines.append(line)
                self.news.notify_all()
        with self.news:
            self.ended = True
            self.news.notify_all()

    def await_line(self, wanted):
        end = time.monotonic() + PATIENCE_S
        with self.news:
            while True:
                for line in self.lines:
                    if wanted(line):
                        return line
                if self.ended or not self.news.wait(end - time.monotonic()):
                    return None


class Recorder:
    def __init__(self, store, *options):
        self.process = subprocess.Popen([PORTLOG, "record", "-N", NETNS, "--store", store, *options], stderr=subprocess.PIPE,
                                        text=True, errors="replace")
        self.err = Lines(self.process.stderr)
        self.store = store

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        status = self.process.wait()
        self.err.join()
        return status


def history(store, *words):
    out = subprocess.run([PORTLOG, "history", "--store", store, *words], capture_output=True, text=True, check=False)
    return out.stdout, out.stderr, out.returncode


def events(store, *words):
    return [json.loads(line) for line in history(store, "-j", *words)[0].splitlines()]


def intervals(store, *words):
    return events(store, "--intervals", *words)


def await_history(store, wanted, *words):
    """The first event that is wanted, as it comes."""
    end = time.monotonic() + PATIENCE_S
    while not os.path.exists(store) and time.monotonic() < end:
        time.sleep(0.01)  # there is nothing to wait on before there is a file
    while time.monotonic() < end:
        follow = subprocess.Popen([PORTLOG, "history", "--store", store, "-j", "-f", *words], stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, text=True)
        lines = Lines(follow.stdout)
        line = lines.await_line(lambda text: wanted(json.loads(text)))
        follow.kill()
        follow.wait()
        if line:
            return json.loads(line)
    return None


def barrier(store):
    """All that was done so far is in the history: this socket is, with its end. A recorder that starts finds it."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        of_it = ("port", str(port), "netns", NETNS)
        await_history(store, lambda e: e["action"] in ("listen", "snapshot"), *of_it)
    return await_history(store, lambda e: e["action"] == "release", *of_it)


def listener(port):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("127.0.0.1", port))
    s.listen()
    return s


def accounted(store):
    """Every event of every run is there or counted as lost."""
    for stream in {e["stream"] for e in events(store)}:
        mine = [e for e in events(store) if e["stream"] == stream]
        seqs = [e["seq"] for e in mine]
        lost = sum(e["count"] for e in mine if e["action"] == "lost" and e.get("where") == "queue")
        if len(set(seqs)) != len(seqs) or max(seqs) - len(seqs) != lost:
            return f"stream {stream}: last seq {max(seqs)}, {len(seqs)} events, {lost} counted as lost"
    return ""


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
    seen = events(store, "port", "7001", "netns", NETNS)
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
    await_history(store, lambda e: e["action"] == "snapshot", "port", "7002", "netns", NETNS)
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
    now = {e["socket"]["port"] for e in events(store, "--at", "now", "port", "10000-10199", "and", "netns", NETNS)}
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
    barrier(store)
    fact("nothing is missing that is not counted", accounted(store) == "", accounted(store))
    spans = intervals(store, "7004", "netns", NETNS)
    fact("what is held is known again after it", [i["ended"] for i in spans][-1:] == ["held"], spans)
    held.close()
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
        store, lambda e: e["action"] in ("listen", "snapshot"), "port", "7005", "netns", NETNS) is not None, r.err.lines)
    s.close()
    r.end()
    fact("from the start on", events(store)[0]["action"] == "start" and events(store)[0]["seq"] == 1)


def main():
    global NETNS
    if os.geteuid() != 0:
        skip("needs root")
    if libc.unshare(CLONE_NEWNET | CLONE_NEWNS) != 0:
        skip("needs root: unshare: " + os.strerror(ctypes.get_errno()))
    mount("none", "/", None, 0x4000 | 0x40000, None)  # MS_REC | MS_PRIVATE
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    NETNS = str(os.stat("/proc/self/ns/net").st_ino)
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        parts = (what_happened, killed, killed_under_load, disk_full, disk_later)
        for number, part in enumerate(parts):
            if not sys.argv[1:] or part.__name__ in sys.argv[1:]:
                part(f"{folder}/{number}")
            libc.umount2(f"{folder}/{number}".encode(), 2)
    print(f"1..{n_tests}")
    return failed


NETNS = ""
sys.exit(main())
