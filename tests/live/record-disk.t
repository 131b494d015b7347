#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""What may happen to the recorder's file: damaged, of another version, moved away, a disk that does not answer; TAP."""
import ctypes
import glob
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import recording
from recording import Recorder, accounted, await_history, barrier, events, fact, history, intervals, listener, libc

PTRACE_SYSCALL, PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_GET_SYSCALL_INFO = 24, 0x4206, 0x4207, 0x420e
WALL = 0x40000000
WRITES = {"x86_64": (1, 18, 74, 75), "aarch64": (64, 68, 82, 83)}.get(os.uname().machine)  # write pwrite64 fsync fdatasync
PAGE = 4096


def content(path):
    with open(path, "rb") as f:
        return f.read()


def garble(path, start):
    with open(path, "r+b") as f:
        size = f.seek(0, 2)
        f.seek(start)
        f.write(b"\xa5" * max(size - start, PAGE))


def filled(store):
    """A history of its own that is whole, with its recorder gone."""
    r = Recorder(store, "-q")
    listener(7001).close()
    barrier(store)
    r.end()


def held(store, port):
    spans = intervals(store, str(port), "netns", recording.NETNS)
    return [(i["ended"], i["opened"]["process"]["pid"]) for i in spans[-1:]]


def refused(store, what, word):
    before = content(store)
    r = Recorder(store, "--duration", "60s")
    status = r.process.wait(recording.PATIENCE_S)
    r.err.join()
    fact(f"{what} ends the recorder at once with a clear line", status not in (0, -9) and any(word in l for l in r.err.lines),
         status, r.err.lines)
    fact(f"{what} is left as it is", content(store) == before and not glob.glob(store + "*damaged*"))
    out, err, status = history(store)
    fact(f"{what}: history says so too", status != 0 and not out and word in err, status, out, err)


def somebody_elses(store):
    with open(store, "w", encoding="ascii") as f:
        f.write("Dear diary, today somebody took port 80.\n" * 200)
    refused(store, "a file of somebody else", "damaged or not a database")


def newer(store):
    filled(store)
    with sqlite3.connect(store) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    refused(store, "a newer portlog's history", "newer portlog")


def another_writes(store):
    r = Recorder(store)
    barrier(store)
    s = listener(7019)
    barrier(store)
    other = Recorder(store, "--duration", "60s")
    status = other.process.wait(recording.PATIENCE_S)
    other.err.join()
    fact("a second recorder of the same history is refused", status == 3 and
         any("another portlog record writes" in line for line in other.err.lines), status, other.err.lines)
    s.close()
    barrier(store)
    fact("the first goes on in its file", [i["ended"] for i in intervals(store, "7019", "netns", recording.NETNS)] ==
         ["release"] and not glob.glob(store + "*damaged*"), r.err.lines)
    fact("and has nothing to complain of", r.end() == 0 and len(r.err.lines) == 1, r.err.lines)
    fact("nothing is missing", accounted(store) == "", accounted(store))


def damaged_before(store):
    filled(store)
    garble(store, PAGE // 8)  # the first bytes say whose it is
    broken = content(store)
    s = listener(7002)
    r = Recorder(store)
    barrier(store)
    fact("a damaged history is told", any("damaged" in l for l in r.err.lines), r.err.lines)
    fact("and kept, where the line says", any(store + ".damaged-1" in l for l in r.err.lines) and
         content(store + ".damaged-1") == broken, glob.glob(store + "*"))
    fact("the recorder goes on in a new one", held(store, 7002) == [("held", os.getpid())], held(store, 7002))
    r.end()
    for n in (2, 3, 4):
        garble(store, PAGE // 8)
        r = Recorder(store, *(["--duration", "60s"] if n == 4 else []))
        if n < 4:
            barrier(store)
            r.end()
    status = r.process.wait(recording.PATIENCE_S)
    r.err.join()
    fact("three are kept, then it says that they lie there", status not in (0, -9) and len(glob.glob(store + ".damaged-?")) == 3
         and any("already" in l for l in r.err.lines), status, r.err.lines, glob.glob(store + "*"))
    s.close()


def damaged_while(store):
    s = listener(7003)
    r = Recorder(store)
    barrier(store)
    db = sqlite3.connect(store, isolation_level=None)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.execute("BEGIN IMMEDIATE")
    db.execute("INSERT INTO marks VALUES('test', 1)")  # with this the recorder has to read everything again
    garble(store, PAGE)
    db.execute("COMMIT")
    db.close()
    listener(7004).close()
    fact("damage under a running recorder is told", r.err.await_line(lambda l: "damaged or not a database" in l) is not None,
         r.err.lines)
    fact("and it works again by itself", r.err.await_line(lambda l: "works again" in l) is not None, r.err.lines)
    goes_on(store, r, 7003)
    fact("the damaged one is kept", os.path.exists(store + ".damaged-1"), glob.glob(store + "*"))
    s.close()


def goes_on(store, r, port):
    """In a new file: what is not in it is told as lost, what is held is told again."""
    lost = await_history(store, lambda e: e["action"] == "lost" and e["where"] == "queue")
    first = min(e["seq"] for e in events(store))
    fact("what was in the other file counts as lost here", lost is not None and lost["count"] == first - 1, lost, first)
    await_history(store, lambda e: e["action"] == "resync")
    barrier(store)
    fact("nothing is missing that is not counted", accounted(store) == "", accounted(store))
    fact("what is held is known again", held(store, port) == [("held", os.getpid())], held(store, port))
    fact("it ends well", r.end() == 0, r.err.lines)
    with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as db:
        whole = db.execute("PRAGMA integrity_check").fetchone()[0]
    fact("the new file is whole", whole == "ok", whole)


def moved(store):
    s = listener(7005)
    r = Recorder(store)
    barrier(store)
    os.rename(store, store + ".away")
    listener(7006).close()
    fact("a file that was moved away is told", r.err.await_line(lambda l: "moved or deleted" in l) is not None, r.err.lines)
    fact("and it goes on with a new one", r.err.await_line(lambda l: "works again" in l) is not None, r.err.lines)
    goes_on(store, r, 7005)
    with sqlite3.connect(store + ".away") as db:
        whole = db.execute("PRAGMA integrity_check").fetchone()[0]
        known = db.execute("SELECT count(*) FROM events WHERE port = 7005 AND action = 'snapshot'").fetchone()[0]
    fact("the one that was moved is whole, with all that it had", (whole, known) == ("ok", 1), whole, known)
    s.close()


def deleted(store):
    s = listener(7007)
    r = Recorder(store)
    barrier(store)
    for path in glob.glob(store + "*"):
        os.unlink(path)
    listener(7008).close()
    fact("a file that was deleted is told", r.err.await_line(lambda l: "moved or deleted" in l) is not None, r.err.lines)
    goes_on(store, r, 7007)
    s.close()


def followed(store):
    """history -f and a shell that reads: across retention, a new recorder and a new file."""
    r = Recorder(store, "--retain", "1s,1M")
    barrier(store)
    follow = subprocess.Popen([recording.PORTLOG, "history", "--store", store, "-j", "-f", "port", "7020-7029", "and", "netns",
                               recording.NETNS], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lines = recording.Lines(follow.stdout)
    shell = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
    seen = []
    for port, meanwhile in ((7020, None), (7021, "retention"), (7022, "restart"), (7023, "moved")):
        if meanwhile == "retention":
            await_swept(store)
        elif meanwhile == "restart":
            r.end()
            r = Recorder(store)
            barrier(store)
        elif meanwhile == "moved":
            os.rename(store, store + ".old")
        listener(port).close()
        seen.append(lines.await_line(lambda line, port=port: f'"port":{port}' in line and '"release"' in line) is not None)
        shell.execute("SELECT count(*), max(time) FROM events").fetchall()
    fact("history -f goes on across retention, a restart and a new file", seen == [True] * 4, seen, follow.poll())
    shell.close()
    follow.send_signal(signal.SIGINT)
    follow.wait()
    fact("and nobody who reads was in the way", r.end() == 0 and not any("busy" in l or "locked" in l for l in r.err.lines),
         r.err.lines)


def size_of_data(db):
    pages, unused, size = (db.execute("PRAGMA " + name).fetchone()[0] for name in ("page_count", "freelist_count", "page_size"))
    return (pages - unused) * size


def bounded(store):
    """--retain by size under more load than can be kept: what is held is there after all else of its time is gone."""
    bound = 2 << 20
    s = listener(7031)
    r = Recorder(store, "--retain", "30d,2M")
    barrier(store)
    db = sqlite3.connect(f"file:{store}?mode=ro", uri=True, isolation_level=None)
    end = time.monotonic() + 120
    load, most, full = 0, 0, False
    while time.monotonic() < end and not (full and size_of_data(db) <= bound):
        for port in range(7300, 7500):
            listener(port).close()
        load += 200
        most = max(most, os.path.getsize(store))
        full = full or size_of_data(db) > bound  # there has been something to do
    fact("the history gets too large, and then as small as it may be, under load", full and size_of_data(db) <= bound,
         load, size_of_data(db))
    print(f"# {load} sockets; the file was at most {most} bytes; marks {db.execute('SELECT * FROM marks').fetchall()}")
    barrier(store)
    left = db.execute("SELECT min(id) FROM events WHERE port >= 7300 AND action = 'release'").fetchone()[0]
    fact("the oldest are gone", left is not None and left > 1000, left)
    now = events(store, "--at", "now", "port", "7031")
    fact("what is held keeps the records that it began with", [e["process"]["pid"] for e in now] == [os.getpid()], now)
    lost = {e["where"] for e in events(store) if e["action"] == "lost"}
    fact("what came faster than it could be kept is counted", lost <= {"queue"}, lost)
    whole = db.execute("PRAGMA integrity_check").fetchone()[0]
    db.close()
    fact("the file is whole", r.end() == 0 and whole == "ok", whole, r.err.lines)
    s.close()


def await_swept(store):
    """Until retention has been there: it looks every ten seconds."""
    listener(7030).close()
    end = time.monotonic() + recording.PATIENCE_S
    with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as db:
        while time.monotonic() < end and not db.execute("SELECT id FROM marks WHERE name = 'swept'").fetchone():
            time.sleep(0.1)  # the file tells nobody that it has changed


def ptrace(request, tid, addr=0, data=0):
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long
    if libc.ptrace(request, tid, addr, data) < 0:
        raise OSError(ctypes.get_errno(), "ptrace")


class Hung:
    """The writer's thread, held where it enters a call that writes to the disk: as one that does not come back."""

    def __init__(self, recorder, load):
        tids = [int(t) for t in os.listdir(f"/proc/{recorder.process.pid}/task") if int(t) != recorder.process.pid]
        self.tid = tids[0]
        ptrace(PTRACE_SEIZE, self.tid, 0, 1)  # PTRACE_O_TRACESYSGOOD: which stop is a call
        ptrace(PTRACE_INTERRUPT, self.tid)
        os.waitpid(self.tid, WALL)
        load()
        while not self.writes():
            ptrace(PTRACE_SYSCALL, self.tid)
            os.waitpid(self.tid, WALL)

    def writes(self):
        info = (ctypes.c_uint8 * 88)()
        ptrace(PTRACE_GET_SYSCALL_INFO, self.tid, len(info), ctypes.addressof(info))
        return info[0] == 1 and int.from_bytes(bytes(info[24:32]), sys.byteorder) in WRITES

    def go_on(self):
        ptrace(17, self.tid)  # PTRACE_DETACH


def hung(store):
    if WRITES is None:
        fact("a disk that hangs # SKIP needs the numbers of this machine's system calls", True)
        return
    r = Recorder(store, "--queue", "256K")
    barrier(store)
    h = Hung(r, lambda: listener(7009).close())
    s = listener(7010)
    for _ in range(10):
        for port in range(7200, 7800):  # more than there is room for
            listener(port).close()
    h.go_on()
    lost = await_history(store, lambda e: e["action"] == "lost")
    fact("while the disk hangs the tracer goes on: nothing is lost but what found no room in memory",
         lost is not None and lost["where"] == "queue", lost)
    await_history(store, lambda e: e["action"] == "resync")
    barrier(store)
    fact("which is counted", accounted(store) == "" and {e["where"] for e in events(store) if e["action"] == "lost"} == {"queue"},
         accounted(store))
    fact("and what is held is known", held(store, 7010) == [("held", os.getpid())], held(store, 7010))
    h = Hung(r, lambda: listener(7011).close())
    begin = time.monotonic()
    r.process.send_signal(signal.SIGTERM)
    os.waitpid(h.tid, WALL)  # a thread that is traced is not gone before that
    status = r.end()
    took = time.monotonic() - begin
    fact("it can be stopped while the disk hangs", status == 0 and took < 15, status, took)
    fact("and says that something was not written", any("given up; " in l for l in r.err.lines), r.err.lines)
    s.close()


# As a service has it: nothing but the folder of the history can be written.
WRITE_THERE = """
cd /proc && unset SQLITE_TMPDIR TMPDIR
for folder in /tmp /var/tmp; do
	mount --bind $folder $folder && mount -o remount,bind,ro $folder || exit
done
mount --bind "$1" "$1" && mount -o remount,bind,rw "$1" || exit
shift
exec "$@"
"""
ROWS = 200000


def older(store):
    """A file of the first version that is large: what is sorted on the way does not fit in memory."""
    with open(f"{recording.ROOT}/tests/unit/history-1.sql", encoding="utf-8") as f, sqlite3.connect(store) as db:
        db.executescript(f.read())
        columns = ", ".join(row[1] for row in db.execute("PRAGMA table_info(records)"))
        db.execute(f"INSERT INTO records SELECT n.value, {columns.replace('id, ', '', 1).replace('port', 'n.value % 60000')}"
                   f" FROM records r, (WITH RECURSIVE n(value) AS (SELECT 4 UNION ALL SELECT value + 1 FROM n WHERE value < {ROWS})"
                   " SELECT value FROM n) n WHERE r.id = 2")
        db.execute("INSERT INTO intervals SELECT id, NULL, NULL, id, 1, port, 0, 1 FROM records WHERE id > 3")
    db.close()
    r = Recorder(store, prefix=("unshare", "-m", "sh", "-c", WRITE_THERE, "sh", os.path.dirname(store)))
    barrier(store)
    fact("a large history of the first version is brought up to date where nothing but its folder can be written",
         r.end() == 0 and not any("history:" in line for line in r.err.lines), r.err.lines)
    with sqlite3.connect(store) as db:
        fact("it is whole", db.execute("PRAGMA integrity_check").fetchone() == ("ok",))
        fact("and of a later version", db.execute("PRAGMA user_version").fetchone()[0] > 4)
    db.close()
    left = [n for n in os.listdir(os.path.dirname(store)) if not n.startswith(os.path.basename(store))]
    fact("nothing is left beside it", left == [], left)


sys.exit(recording.run((older, somebody_elses, newer, another_writes, damaged_before, damaged_while, moved, deleted, followed, bounded, hung)))
