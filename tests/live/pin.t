#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""record --pin: what a load says that it did, and what the history has after recorders were killed, stopped, replaced; TAP."""
import ctypes
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import recording
from recording import PORTLOG, await_history, barrier, events, fact, libc, listener, mount, skip

KILLS = int(os.environ.get("PIN_KILLS", "50"))
FIRST, PORTS, WORKERS = 10000, 40, 3  # each worker has ports of its own
ALL_PORTS = f"{FIRST}-{FIRST + WORKERS * PORTS - 1}"
pins = ""


class Recorder(recording.Recorder):
    def __init__(self, store, *options):
        super().__init__(store, f"--pin={pins}", *options)

    def said(self):
        return "".join(self.err.lines)


def own_bpffs(part):
    """Each part has a BPF file system, and with it hooks, of its own."""
    def begun(path):
        global pins
        os.mkdir(path)
        try:
            mount("bpf", path, "bpf", 0, None)
        except OSError as e:
            skip(f"no BPF file system: {e}")
        pins = path + "/portlog"
        part(path + ".db")
    begun.__name__ = part.__name__
    return begun


def unpin():
    return subprocess.run([PORTLOG, "record", f"--unpin={pins}"], capture_output=True, text=True, check=False)


# ---- a load that writes down what it does ----


class Spawner:
    """Runs short-lived processes: of its own, since a fork has every socket of its parent open for a moment."""

    SCRIPT = "import socket, sys\ntry: s = socket.socket(); s.bind(('127.0.0.1', %d))\nexcept OSError: sys.exit(3)"

    def __init__(self):
        self.ours, theirs = socket.socketpair()
        self.lock = threading.Lock()
        if os.fork() == 0:
            self.ours.close()
            while ask := theirs.recv(16):
                script = self.SCRIPT % int(ask)
                status = subprocess.run([sys.executable, "-S", "-E", "-c", script], check=False).returncode
                theirs.send(b"taken" if status == 3 else b"done")
            os._exit(0)
        theirs.close()

    def bind(self, port):
        with self.lock:
            self.ours.send(str(port).encode())
            return self.ours.recv(16) == b"done"


class Worker(threading.Thread):
    """Binds, listens, closes and clashes on ports of its own, and has it written down: per port what must be told."""

    def __init__(self, number, spawner):
        super().__init__()
        self.ports = range(FIRST + number * PORTS, FIRST + (number + 1) * PORTS)
        self.done = {port: [] for port in self.ports}  # a port is always of the same protocol
        self.held, self.enough = {}, threading.Event()
        self.random, self.spawner = random.Random(number), spawner

    def take(self, port):
        udp = port % 4 == 0
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            s.close()
            self.done[port].append("clash")
            return
        self.done[port].append("bind")
        if not udp and self.random.random() < 0.8:
            s.listen()
            self.done[port].append("listen")
        self.held[port] = s

    def clash(self, port):
        kind = socket.SOCK_DGRAM if port % 4 == 0 else socket.SOCK_STREAM
        with socket.socket(socket.AF_INET, kind) as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                self.done[port].append("clash")

    def drop(self, port):
        self.held.pop(port).close()
        self.done[port].append("release")

    def child(self, port):
        """A process that is gone when it is told: who it was cannot be asked any more."""
        self.done[port] += ["bind", "release"] if self.spawner.bind(port) else ["clash"]

    def run(self):
        while not self.enough.wait(0.0005):
            port = self.random.choice(self.ports)
            dice = self.random.random()
            if port in self.held:
                self.clash(port) if dice < 0.2 else self.drop(port)
            elif dice < 0.01 and port % 4:
                self.child(port)
            else:
                self.take(port)


class Load:
    """The workers, in a process without any other: end() has what they did, let_go() closes what they still hold."""

    def __init__(self):
        self.ours, theirs = socket.socketpair()
        self.pid = os.fork()
        if self.pid:
            theirs.close()
            return
        libc.prctl(1, 9)
        self.ours.close()
        spawner = Spawner()
        workers = [Worker(n, spawner) for n in range(WORKERS)]
        for w in workers:
            w.start()
        theirs.recv(1)
        for w in workers:
            w.enough.set()
        for w in workers:
            w.join()
        answer = {"done": {}, "held": []}
        for w in workers:
            answer["done"].update(w.done)
            answer["held"] += w.held
        theirs.sendall(json.dumps(answer).encode() + b"\n")
        theirs.recv(1)
        os._exit(0)

    def end(self):
        self.ours.send(b"e")
        answer = json.loads(self.ours.makefile().readline())
        self.done = {int(port): done for port, done in answer["done"].items()}
        self.held = set(answer["held"])

    def let_go(self):
        self.ours.send(b"e")
        os.waitpid(self.pid, 0)


def word(e):
    return "clash" if e.get("errno") else e["action"]


def in_order(words):
    """
    A pass over descriptors has a socket open for a moment: then its port outlives the close, and whoever asks for it fails.
    Which of these comes first is nobody's to say: a clash between two owners is put before the end of the first.
    """
    words = list(words)
    for i in range(len(words) - 1):
        k = i
        while k >= 0 and words[k:k + 2] == ["release", "clash"]:
            words[k:k + 2] = ["clash", "release"]
            k -= 1
    return words


def told(store):
    per_port = {}
    for e in events(store, "port", ALL_PORTS, "netns", recording.NETNS):
        if e.get("socket") and e["action"] != "free":
            per_port.setdefault(e["socket"]["port"], []).append(e)
    return per_port


def compare(store, load):
    """What is missing or double: every event of every port in its order."""
    per_port, wrong = told(store), []
    for port, done in load.done.items():
        seen, done = in_order(word(e) for e in per_port.get(port, [])), in_order(done)
        if seen != done:
            at = next((i for i, (a, b) in enumerate(zip(seen, done)) if a != b), min(len(seen), len(done)))
            wrong.append((port, f"{len(seen)} told, {len(done)} done", "from", at, "told", seen[at:at + 4], "done",
                          done[at:at + 4], per_port.get(port, [])[max(at - 1, 0):at + 2]))
    return wrong


def intervals_wrong(store, load):
    """Ownership without holes: begun by each bind, ended by its release, of one socket, one after the other."""
    wrong = []
    spans = {}
    for i in events(store, "--intervals", "port", ALL_PORTS, "and", "netns", recording.NETNS):
        spans.setdefault(i["opened"]["socket"]["port"], []).append(i)
    for port, done in load.done.items():
        mine = spans.get(port, [])
        ends = [i["ended"] for i in mine]
        wanted = ["release"] * done.count("release") + ["held"] * (port in load.held)
        if ends != wanted:
            wrong.append((port, len(ends), "intervals", len(wanted), "wanted", ends[-3:], wanted[-3:]))
        for i in mine:
            closed = i.get("closed")
            if closed and closed["socket"]["id"] != i["opened"]["socket"]["id"]:
                wrong.append((port, "another socket's end", i))
    return wrong


def details_wrong(store, load):
    """Who it was, since when and for how long: as if nobody had been killed."""
    wrong = []
    for port, list_ in told(store).items():
        taken = None
        for e in list_:
            if not e["process"].get("exe") or not e["process"].get("args"):
                wrong.append((port, "no exe or args", e))
            if e["action"] == "bind" and not e.get("errno"):
                taken = e
            if e["action"] == "release" and taken:
                held = e["uptime_us"] - taken["uptime_us"]
                if e.get("held_us") is None or abs(e["held_us"] - held) > 1000 or e["socket"]["id"] != taken["socket"]["id"]:
                    wrong.append((port, "held", held, e, taken))
            # A socket that is being closed may be nobody's by then.
            if word(e) == "clash" and e.get("holder", {}).get("pid") not in (None, load.pid):
                wrong.append((port, "holder", e))
            if e.get("correction"):
                wrong.append((port, "a correction", e))
    return wrong


def seqs_wrong(store):
    all_ = events(store)
    streams = {e["stream"] for e in all_}
    seqs = [e["seq"] for e in all_]
    if len(streams) != 1 or seqs != list(range(1, len(seqs) + 1)):
        gaps = [(a, b) for a, b in zip(seqs, seqs[1:]) if b != a + 1]
        return f"streams {streams}, {len(seqs)} events, gaps {gaps[:5]}"
    return ""


# ---- the parts ----


def killed(store):
    r = Recorder(store)
    if not await_history(store, lambda e: e["action"] == "synced"):
        r.end()
        skip("cannot pin: " + r.said().replace("\n", " ")[:300])
    load = Load()
    chance = random.Random(int(os.environ.get("PIN_SEED", "1")))
    begin = time.monotonic()
    for _ in range(KILLS):
        time.sleep(chance.random() * 0.4)  # a random moment is what this is about; the first are while it begins
        r.end(signal.SIGKILL)
        if chance.random() < 0.3:
            time.sleep(chance.random() * 0.1)
        r = Recorder(store, "-q")
    barrier(store)
    load.end()
    barrier(store)
    n = sum(len(done) for done in load.done.values())
    print(f"# {n} events in {time.monotonic() - begin:.1f} s, {KILLS} kills")
    fact("the load was one", n > KILLS * 20, n)
    wrong = compare(store, load)
    fact(f"after {KILLS} kills under load no event is missing or double", not wrong, len(wrong), wrong[:2])
    wrong = intervals_wrong(store, load)
    fact("each interval has its own end", not wrong, len(wrong), wrong[:4])
    wrong = details_wrong(store, load)
    fact("who it was, for how long and who was in the way is known across kills", not wrong, len(wrong), wrong[:2])
    fact("it is one stream without a gap", seqs_wrong(store) == "", seqs_wrong(store))
    lost = [e for e in events(store) if e["action"] == "lost" and e.get("where") != "hook"]
    fact("nothing was lost", not lost, lost)
    now = {e["socket"]["port"] for e in events(store, "--at", "now", "port", ALL_PORTS)}
    fact("who holds what now is known", now == load.held, sorted(now ^ load.held))
    starts = [bool(e.get("pinned")) for e in events(store) if e["action"] == "start"]
    fact("each start but the first says that the hooks were there", starts[0] is False and all(starts[1:]), starts)
    load.let_go()
    barrier(store)
    left = [i for i in events(store, "--intervals", "port", ALL_PORTS, "and", "netns", recording.NETNS) if i["ended"] == "held"]
    fact("what was held over many kills ends when it is let go", not left, left)
    r.end()
    fact("taken off, nothing is left", unpin().returncode == 0 and not os.path.exists(pins), unpin())


def await_synced(r, store):
    if not await_history(store, lambda e: e["action"] == "synced"):
        r.end()
        fact("it records", False, r.said())


def await_starts(store, n):
    """The n-th start is told: what happened before it is, too."""
    seen = set()  # it is asked again for what came before

    def is_last(e):
        if e["action"] == "start":
            seen.add((e["stream"], e["seq"]))
        return len(seen) == n
    return await_history(store, is_last)


def stopped(store):
    r = Recorder(store)
    await_synced(r, store)
    other = Recorder(store)
    other.process.wait()
    status = other.end()
    fact("a second recorder of the same hooks is refused", status == 3 and "another portlog record" in other.said(),
         status, other.said())
    fact("nor are they taken off under it", "another portlog record" in unpin().stderr)
    before = listener(7001)
    barrier(store)
    fact("it stops and says that the hooks stay", r.end() == 0 and "the hooks stay in" in r.said(), r.said())
    before.close()
    with listener(7002):
        pass
    held = listener(7003)
    r = Recorder(store)
    await_starts(store, 2)
    said = [(e["action"], bool(e.get("pinned"))) for e in events(store) if e["action"] in ("start", "stop")]
    fact("the history has where it stopped and began", said == [("start", False), ("stop", True), ("start", True)], said)
    what = [(e["action"], e["socket"]["port"]) for e in events(store, "port", "7001-7003", "and", "netns", recording.NETNS)
            if e.get("socket")]
    fact("what happened meanwhile is told", what == [("bind", 7001), ("listen", 7001), ("release", 7001), ("bind", 7002),
                                                     ("listen", 7002), ("release", 7002), ("bind", 7003), ("listen", 7003)],
         what)
    ends = [(i["opened"]["socket"]["port"], i["ended"]) for i in events(store, "--intervals", "port", "7001-7003", "and",
                                                                         "netns", recording.NETNS)]
    fact("and when each ended", ends == [(7001, "release"), (7002, "release"), (7003, "held")], ends)
    fact("in one stream without a gap", seqs_wrong(store) == "", seqs_wrong(store))
    held.close()
    barrier(store)
    r.end()
    other = store + ".other"
    r = Recorder(other)
    await_synced(r, other)
    fact("a history that does not know their stream begins one, and says so", "a new stream begins" in r.said() and
         [bool(e.get("pinned")) for e in events(other) if e["action"] == "start"] == [False], r.said())
    r.end()
    os.unlink(os.path.join(pins, next(n for n in os.listdir(pins) if n.startswith("set-")), "link_0"))
    r = Recorder(other)
    r.process.wait()
    fact("hooks of which one is missing are not taken for all", r.end() == 3 and "has not all its hooks" in r.said(), r.said())
    unpin()


def lingering(store):
    """A port that was busy after its release when the recorder was killed."""
    r = Recorder(store)
    await_synced(r, store)
    s = listener(7005)
    client = socket.create_connection(("127.0.0.1", 7005))
    child = s.accept()[0]
    s.close()
    await_history(store, lambda e: e["action"] == "release", "port", "7005", "netns", recording.NETNS)
    r.end(signal.SIGKILL)
    client.close()  # the client waits in TIME_WAIT, on a port of its own
    child.close()
    r = Recorder(store)
    e = await_history(store, lambda e: e["action"] == "free", "port", "7005", "netns", recording.NETNS)
    fact("that it is free is told by the next", e is not None and e["process"]["pid"] == os.getpid(), e)
    r.end()
    unpin()


def overflow(store):
    r = Recorder(store, "--ring", "256K")
    await_synced(r, store)
    barrier(store)
    r.end(signal.SIGKILL)
    made = 4000  # more than the ring has room for
    for _ in range(made):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.bind(("127.0.0.1", 7006))
    held = listener(7007)
    r = Recorder(store, "--ring", "256K")
    await_history(store, lambda e: e["action"] == "resync")
    barrier(store)
    every = events(store, "netns", recording.NETNS)
    seen = {a: sum(1 for e in every if e["action"] == a and e.get("socket", {}).get("port") == 7006 and
                   not e.get("correction"))
            for a in ("bind", "release")}
    lost = {a: sum(e["count"] for e in every if e["action"] == "lost" and e.get("lost_action") == a)
            for a in ("bind", "release", "listen")}
    fact("what found no room while nobody read is counted", lost["bind"] > 0 and seen["bind"] + lost["bind"] == made + 1 and
         seen["release"] + lost["release"] == made, seen, lost)
    at = [e["action"] for e in every]
    fact("and told after what there was room for", "lost" in at and at.index("lost") > made // 4, at.index("lost"))
    spans = [i["ended"] for i in events(store, "--intervals", "port", "7007", "and", "netns", recording.NETNS)]
    fact("what was taken in the gap is found", spans == ["held"], spans)
    r.end(signal.SIGKILL)
    r = Recorder(store, "--ring", "256K")
    await_starts(store, 3)
    again = sum(e["count"] for e in events(store) if e["action"] == "lost" and e.get("lost_action") == "bind")
    fact("a loss is told once", again == lost["bind"], again, lost)
    held.close()
    barrier(store)
    r.end()
    unpin()


def replaced(store):
    """By another build: under load, and killed in the middle of it."""
    r = Recorder(store)
    await_synced(r, store)
    load = Load()
    chance = random.Random(int(os.environ.get("PIN_SEED", "1")))
    for salt in range(1, 9):
        time.sleep(0.2)
        r.end(random.choice((signal.SIGKILL, signal.SIGTERM)))
        r = Recorder(store, "--pin-salt", str(salt))
        if salt % 2:
            time.sleep(chance.random() * 0.7)
        else:
            barrier(store)
    barrier(store)
    said = r.said()
    load.end()
    barrier(store)
    fact("it says that the hooks are another build's", "new ones take over" in said, said)
    wrong = compare(store, load)
    fact("no event is missing or double", not wrong, len(wrong), wrong[:2])
    wrong = intervals_wrong(store, load)
    fact("each interval has its own end", not wrong, len(wrong), wrong[:4])
    fact("it is one stream without a gap", seqs_wrong(store) == "", seqs_wrong(store))
    fact("one set is left", len([n for n in os.listdir(pins) if n.startswith("set-")]) == 1, os.listdir(pins))
    load.let_go()
    barrier(store)
    left = [i for i in events(store, "--intervals", "port", ALL_PORTS, "and", "netns", recording.NETNS) if i["ended"] == "held"]
    fact("what was held all the time ends when it is let go", not left, left)
    r.end()
    unpin()



# ---- what this build cannot read ----


def sets():
    return sorted(name for name in os.listdir(pins) if name.startswith("set-"))


class BpfObject(ctypes.Structure):
    _fields_ = [("path", ctypes.c_uint64), ("fd", ctypes.c_uint32), ("flags", ctypes.c_uint32)]


class BpfElement(ctypes.Structure):
    _fields_ = [("fd", ctypes.c_uint32), ("key", ctypes.c_uint64), ("value", ctypes.c_uint64), ("flags", ctypes.c_uint64)]


def bpf(command, attr):
    number = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
    r = libc.syscall(number, command, ctypes.byref(attr), ctypes.sizeof(attr))
    if r < 0:
        raise OSError(ctypes.get_errno(), f"bpf {command}")
    return r


def about_change(name, offset):
    """The set is of another version (offset 0), or of one whose records are others (4): see struct pin_about."""
    path = ctypes.create_string_buffer(os.path.join(pins, name, "about").encode())
    key, value = ctypes.create_string_buffer(4), ctypes.create_string_buffer(4096)
    fd = bpf(7, BpfObject(path=ctypes.addressof(path)))
    element = BpfElement(fd=fd, key=ctypes.addressof(key), value=ctypes.addressof(value))
    bpf(1, element)
    value[offset] = bytes([value[offset][0] ^ 0x55])
    bpf(2, element)
    os.close(fd)


def killed_with_binds(store):
    """Nobody has read them: there are 30 of them."""
    r = Recorder(store)
    await_synced(r, store)
    barrier(store)
    r.end(signal.SIGKILL)
    for _ in range(10):
        listener(7020).close()
    return sets()


def of_another_abi(store):
    old = killed_with_binds(store)
    about_change(old[0], 4)
    r = Recorder(store)
    await_starts(store, 2)
    barrier(store)
    fact("hooks whose records cannot be read are said to be another build's", "were another build's" in r.said(), r.said())
    fact("they are gone, and a set of our own is there", len(sets()) == 1 and sets() != old, old, sets())
    begun = [e["stream"] for e in events(store) if e["action"] == "start"]
    fact("a new stream begins", len(set(begun)) == 2, begun)
    lost = [e for e in events(store) if e["action"] == "lost" and e["stream"] == begun[-1]]
    fact("what they had not told is counted as lost", sum(e["count"] for e in lost if e.get("where") == "ring") >= 30, lost)
    told_of_it = [e["action"] for e in events(store, "port", "7020", "netns", recording.NETNS) if e.get("socket")]
    fact("and is not told", told_of_it == [], told_of_it)
    r.end(signal.SIGKILL)
    held = listener(7021)
    r = Recorder(store)
    await_starts(store, 3)
    seen = [e["action"] for e in events(store, "port", "7021", "netns", recording.NETNS) if e.get("socket")]
    again = [e for e in events(store) if e["action"] == "lost" and e["stream"] == begun[-1]]
    fact("from then on it is as ever, and the loss is told once", seen == ["bind", "listen"] and len(again) == len(lost), seen, again)
    held.close()
    barrier(store)
    r.end()
    unpin()


def not_whole(store):
    for name, change in (("half made", lambda old: os.unlink(os.path.join(pins, old, "about"))),
                         ("of another version", lambda old: about_change(old, 0))):
        old = killed_with_binds(store)
        n = sum(1 for e in events(store) if e["action"] == "start")
        change(old[0])
        r = Recorder(store)
        await_starts(store, n + 1)
        barrier(store)
        fact(f"a set that is {name} is taken off, and it is said", "1 sets of hooks" in r.said() and "were taken off" in r.said() and
             len(sets()) == 1 and sets() != old, r.said(), old, sets())
        r.end()
        unpin()


sys.exit(recording.run([own_bpffs(part) for part in (killed, stopped, lingering, overflow, replaced, of_another_abi, not_whole)]))
