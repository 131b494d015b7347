#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The recorder's other sinks with the real readers: rsyslog over a rotation, a pipe, journald, Prometheus' checker; TAP."""
import glob
import gzip
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import recording
import tap
from recording import PATIENCE_S, ROOT, Lines, Recorder, accounted, await_history, barrier, events, fact, listener, mount

os.environ["PATH"] += ":/usr/sbin:/sbin:/lib/systemd"


def has(name, *programs):
    missing = [p for p in programs if not shutil.which(p)]
    if missing:
        tap.n_tests += 1
        print(f"ok {tap.n_tests} - {name} # SKIP no {', '.join(missing)}", flush=True)
    return not missing


def await_true(true):
    """For programs that announce nothing."""
    end = time.monotonic() + PATIENCE_S
    while not true() and time.monotonic() < end:
        time.sleep(0.02)
    return true()


def clash(port):
    with listener(port), socket.socket() as second:
        try:
            second.bind(("127.0.0.1", port))
        except OSError:
            pass


def content(path):
    with (gzip.open if path.endswith(".gz") else open)(path, "rt", encoding="utf-8") as file:
        return file.read().splitlines()


def seqs(lines):
    return [json.loads(line)["seq"] for line in lines]


def unaccounted(lines):
    """Numbers of the stream that are neither there nor told as lost where they are missing."""
    wrong, last = [], 0
    for e in map(json.loads, lines):
        gap = e["count"] if e["action"] == "lost" and e["where"] == "queue" else 1
        if e["seq"] != last + gap:
            wrong.append((last, e["seq"], gap))
        last = e["seq"]
    return wrong


# ---- files ----


def files(folder):
    os.mkdir(folder)
    store, every, some = folder + "/history.db", folder + "/every.ndjson", folder + "/some.ndjson"
    r = Recorder(store, "--sink", "ndjson:" + every, "--sink", f"ndjson:{some} failed and port 7001")
    await_history(store, lambda e: e["action"] == "synced")
    clash(7001)
    clash(7002)
    barrier(store)
    r.end()
    fact("a sink has every event that the history has", seqs(content(every)) == [e["seq"] for e in events(store)],
         seqs(content(every)))
    told = [e for e in map(json.loads, content(some)) if e.get("socket")]
    fact("one with a filter has what matches", [(e["errno"], e["socket"]["port"]) for e in told] == [("EADDRINUSE", 7001)],
         told)
    fact("and the bookkeeping", [e["action"] for e in map(json.loads, content(some)) if not e.get("socket")][-1] == "stop")
    fact("group may read it, others may not", os.stat(every).st_mode & 0o777 == 0o640, oct(os.stat(every).st_mode))


def shipped(name):
    with open(os.path.join(ROOT, "packaging", name), encoding="utf-8") as file:
        return file.read()


class Rsyslog:
    """rsyslogd, set up as shipped but for the paths, that follows one file and writes each line to another."""

    def __init__(self, folder, source):
        self.out = folder + "/taken"
        text = shipped("portlog-rsyslog.conf").replace("/var/log/portlog/events.ndjson", source)
        with open(folder + "/rsyslog.conf", "w", encoding="utf-8") as file:
            file.write(f'global(workDirectory="{folder}")\n' + text.replace("/var/log/ports.ndjson", self.out))
        self.process = subprocess.Popen(["rsyslogd", "-n", "-f", folder + "/rsyslog.conf", "-i", folder + "/rsyslog.pid"],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def lines(self):
        return content(self.out) if os.path.exists(self.out) else []

    def end(self):
        self.process.terminate()
        self.process.wait()


def logrotate(folder, source, recorder):
    """As it is shipped, but for the path; systemctl is one that knows the recorder."""
    os.makedirs(folder + "/bin", exist_ok=True)
    with open(folder + "/bin/systemctl", "w", encoding="utf-8") as file:
        file.write(f'#!/bin/sh\n[ "$1 $3 $4" = "kill --signal=HUP portlog.service" ] && kill -HUP {recorder.process.pid}\n')
    os.chmod(folder + "/bin/systemctl", 0o755)
    with open(folder + "/logrotate.conf", "w", encoding="utf-8") as file:
        file.write(shipped("portlog.logrotate").replace("/var/log/portlog/*.ndjson", source))
    done = subprocess.run(["logrotate", "-f", "-s", folder + "/state", folder + "/logrotate.conf"], capture_output=True,
                          text=True, check=False, env={**os.environ, "PATH": f"{folder}/bin:{os.environ['PATH']}"})
    return done.returncode, done.stderr


def rotated(folder):
    name = "rsyslog reads a file that logrotate takes away, each line once"
    if not has(name, "rsyslogd", "logrotate"):
        return
    os.mkdir(folder, 0o700)
    store, source = folder + "/history.db", folder + "/events.ndjson"
    r = Recorder(store, "--sink", "ndjson:" + source)
    await_history(store, lambda e: e["action"] == "synced")
    rsyslog = Rsyslog(folder, source)
    stop = threading.Event()

    def load():
        while not stop.wait(0.002):
            clash(7100)

    thread = threading.Thread(target=load)
    thread.start()
    answers = []
    for _ in range(3):
        known = len(rsyslog.lines())
        await_true(lambda: len(rsyslog.lines()) > known + 50)  # it follows, days apart in life
        answers.append(logrotate(folder, source, r))
        fact("SIGHUP makes portlog write into a new file", await_true(lambda: os.path.exists(source)), r.err.lines, answers)
    stop.set()
    thread.join()
    barrier(store)
    r.end()
    paths = sorted(glob.glob(source + ".*"), key=lambda p: -int(p[len(source) + 1:].split(".")[0])) + [source]
    written = [line for path in paths for line in content(path)]
    fact("logrotate takes what is shipped", all(a == (0, "") for a in answers) and len(paths) == 4, answers, paths)
    fact("over three rotations no line is missing, double or cut", unaccounted(written) == [], unaccounted(written)[:5])
    await_true(lambda: len(rsyslog.lines()) >= len(written))
    rsyslog.end()
    fact(name, sorted(rsyslog.lines()) == sorted(written), len(rsyslog.lines()), len(written),
         sorted(set(written) - set(rsyslog.lines()))[:2])
    print(f"# {len(written)} lines in {len(paths)} files")


def unread(folder):
    os.mkdir(folder)
    store, pipe = folder + "/history.db", folder + "/pipe"
    os.mkfifo(pipe)
    r = Recorder(store, "--queue", "2M", "--sink", "ndjson:" + pipe)
    await_history(store, lambda e: e["action"] == "synced")

    def missed():
        clash(7200)
        return any("pipe: no more events can wait" in line for line in r.err.lines)

    fact("a pipe that nobody reads is told, and when no more can wait for it", await_true(missed), r.err.lines)
    fact("with its reason", any("pipe: nobody reads it" in line for line in r.err.lines), r.err.lines)
    for _ in range(6):
        for _ in range(50):
            clash(7201)
        barrier(store)  # the history has no more room than the pipe
    fact("the history has all meanwhile", accounted(store) == "" and
         not any(e["action"] == "lost" for e in events(store)), accounted(store))
    with open(pipe, encoding="utf-8") as file:  # somebody reads
        reader = Lines(file)
        fact("when it is read again it goes on by itself", r.err.await_line(lambda l: "pipe: works again" in l) is not None,
             r.err.lines)
        barrier(store)
        r.end()
        reader.await_line(lambda l: '"action":"stop"' in l)
        reader.join()
    lines = list(reader.lines)
    lost = [json.loads(line)["count"] for line in lines if '"action":"lost"' in line]
    fact("every event is there, or in the count that stands where it is missing",
         unaccounted(lines) == [] and len(lost) >= 1, unaccounted(lines)[:5], lost)
    said = [line for line in r.err.lines if "works again;" in line]
    fact("and that count is said", sum(int(l.split("; ")[1].split()[0].replace(",", "")) for l in said) == sum(lost),
         said, lost)
    print(f"# {sum(lost)} of {json.loads(lines[-1])['seq']} events were missed")


def disk_later(folder):
    os.mkdir(folder)
    os.mkdir(folder + "/disk")
    store, path = folder + "/history.db", folder + "/disk/x.ndjson"
    mount("none", folder + "/disk", "tmpfs", 1, "size=8m")  # MS_RDONLY
    r = Recorder(store, "--sink", "ndjson:" + path)
    fact("a disk that cannot be written yet is told", r.err.await_line(lambda l: "x.ndjson: open: Read-only" in l) is not None,
         r.err.lines)
    barrier(store)
    fact("the history does not wait for it", accounted(store) == "", accounted(store))
    mount(None, folder + "/disk", None, 32, "size=8m")  # MS_REMOUNT
    fact("it goes on when the disk can be written", r.err.await_line(lambda l: "x.ndjson: works again" in l) is not None,
         r.err.lines)
    barrier(store)
    r.end()
    fact("all is there, from the start on", seqs(content(path)) == [e["seq"] for e in events(store)], content(path)[:2])
    recording.libc.umount2((folder + "/disk").encode(), 0)


def unheard(folder):
    """Nobody reads what the recorder says of a sink that misses events."""
    os.mkdir(folder)
    store, pipe = folder + "/history.db", folder + "/pipe"
    os.mkfifo(pipe)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(writer, True)
    process = subprocess.Popen([recording.PORTLOG, "record", "-q", "-N", recording.NETNS, "--store", store, "--queue", "1M",
                                "--sink", "ndjson:" + pipe, "--metrics-file", folder + "/x.prom"], stderr=writer)
    os.close(writer)
    await_history(store, lambda e: e["action"] == "synced")
    for _ in range(10):
        for _ in range(50):
            clash(7250)
        seen = barrier(store)
    fact("a standard error that nobody reads does not stop the recorder", seen is not None)
    process.terminate()
    fact("nor keep it from ending", process.wait(PATIENCE_S) == 0)
    missed = figures(folder + "/x.prom")[f'portlog_sink_missed_events_total{{sink="ndjson:{pipe}"}}']
    fact("and what was missed is counted", int(missed) > 0, missed)
    os.close(reader)


# ---- journald ----


PATH_SINK = "journald:/run/systemd/journal/socket"
EVENT_ID = "b8ca27281a287c29a70a2df7a3e886f4"  # of what is no failure: three events of a clash


def journald():
    process = subprocess.Popen(["systemd-journald"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    await_true(lambda: os.path.exists("/run/systemd/journal/socket"))
    return process


def journal(*words):
    out = subprocess.run(["journalctl", "-q", "-o", "json", *words], capture_output=True, text=True, check=False)
    return [json.loads(line) for line in out.stdout.splitlines()]


def await_journal(*words):
    await_true(lambda: journal(*words))
    return journal(*words)


def v2_mount():
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        return next((line.split()[4] for line in file if " - cgroup2 " in line), None)


def in_unit(unit, port):
    """A clash by a process in a cgroup of that name."""
    code = f"import socket\na, b = socket.socket(), socket.socket()\na.bind(('127.0.0.1', {port}))\n" \
           f"try: b.bind(('127.0.0.1', {port}))\nexcept OSError: pass\n"
    path = f"{v2_mount()}/system.slice/{unit}"
    os.makedirs(path)
    shell = 'echo $$ > "$1/cgroup.procs" && exec "$2" -c "$3"'
    done = subprocess.run(["sh", "-c", shell, "sh", path, sys.executable, code], capture_output=True, text=True, check=False)
    os.rmdir(path)
    return done


def paused(store, daemon, r):
    """journald is there and reads nothing."""
    daemon.send_signal(signal.SIGSTOP)

    def told():
        clash(7350)
        return any("takes nothing" in line for line in r.err.lines)

    fact("a journald that reads nothing is told", await_true(told), r.err.lines)
    barrier(store)
    daemon.send_signal(signal.SIGCONT)
    fact("and works again when it reads", r.err.await_line(lambda l: PATH_SINK + ": works again" in l) is not None, r.err.lines)
    made = len([e for e in events(store, "port", "7350", "netns", recording.NETNS) if e.get("socket")])
    await_true(lambda: len(journal("PORTLOG_PORT=7350", "MESSAGE_ID=" + EVENT_ID)) >= made * 3 // 4)
    fact("then it has all", len(journal("PORTLOG_PORT=7350", "MESSAGE_ID=" + EVENT_ID)) == made * 3 // 4,
         made, len(journal("PORTLOG_PORT=7350", "MESSAGE_ID=" + EVENT_ID)))


def journaled(folder):
    if not has("journald shows a clash in the log of its unit", "systemd-journald", "journalctl"):
        return
    os.mkdir(folder)
    store = folder + "/history.db"
    mount("none", "/run", "tmpfs", 0, None)  # a journal of our own
    os.makedirs("/run/log/journal")
    os.makedirs("/run/systemd/units")
    unit, start = f"portlog-test-{os.getpid()}.service", "0123456789abcdef0123456789abcdef"
    os.symlink(start, "/run/systemd/units/invocation:" + unit)
    daemon = journald()
    r = Recorder(store, "--sink", "journald", "--sink", PATH_SINK + " port 7350 and not failed")
    await_history(store, lambda e: e["action"] == "synced")
    done = in_unit(unit, 7300)
    entries = await_journal("-u", unit)
    fact("a clash is in the log of the unit that failed",
         len(entries) == 1 and entries[0]["MESSAGE"].startswith("python3[") and
         f" ({unit}) could not bind tcp 127.0.0.1:7300 in namespace {recording.NETNS}: EADDRINUSE: held by python3[" in
         entries[0]["MESSAGE"],
         entries, done.stderr)
    e = entries[0] if entries else {}
    fact("with its start, its fields and an identifier", (e.get("OBJECT_SYSTEMD_INVOCATION_ID"), e.get("SYSLOG_IDENTIFIER"),
         e.get("PORTLOG_ERRNO"), e.get("PORTLOG_HOLDER_KIND"), e.get("PRIORITY")) ==
         (start, "portlog", "EADDRINUSE", "bound", "4"), e)
    for _ in range(50):
        clash(7301)
    daemon.terminate()
    daemon.wait()
    clash(7302)
    fact("a journald that is gone is told", r.err.await_line(lambda l: "journald: send to" in l or "journald: connect" in l)
         is not None, r.err.lines)
    clash(7303)
    barrier(store)
    daemon = journald()
    fact("and found again by itself", r.err.await_line(lambda l: "journald: works again" in l) is not None, r.err.lines)
    paused(store, daemon, r)
    fact("what waited is in it", len(await_journal("PORTLOG_PORT=7302")) == 1 and len(await_journal("PORTLOG_PORT=7303")) == 1,
         journal("PORTLOG_ACTION=bind"))
    fact("nothing was missed", not any("missed" in line for line in r.err.lines), r.err.lines)
    r.end()
    entries = await_journal("PORTLOG_PORT=7301", "PORTLOG_MORE=49")
    fact("what comes again is one entry and a count", len(entries) == 1 and len(journal("PORTLOG_PORT=7301")) == 2,
         journal("PORTLOG_PORT=7301"))
    daemon.terminate()
    daemon.wait()
    recording.libc.umount2(b"/run", 2)


# ---- figures ----


def figures(path):
    with open(path, encoding="utf-8") as file:
        return dict(line.rsplit(" ", 1) for line in file.read().splitlines() if not line.startswith("#"))


def measured(folder):
    os.mkdir(folder)
    store, path = folder + "/history.db", folder + "/portlog.prom"
    r = Recorder(store, "--metrics-file", path, "--sink", f"ndjson:{folder}/x.ndjson")
    fact("the file of figures is there once all is known", await_true(lambda: os.path.exists(path)), r.err.lines)
    held = listener(7400)
    for _ in range(5):
        clash(7401)
    barrier(store)
    r.end()
    f = figures(path)
    failures = 'portlog_failures_total{errno="EADDRINUSE",reason_code="listener"}'
    last = events(store)[-1]
    fact("at the end it says all", (f.get(failures), f['portlog_sockets_held{proto="tcp"}'], f["portlog_events_total"]) ==
         ("5", "1", str(last["told"])), f)
    fact("a sink's events too", f[f'portlog_sink_events_total{{sink="ndjson:{folder}/x.ndjson"}}'] == str(last["seq"]) and
         f['portlog_sink_missed_events_total{sink="history"}'] == "0", f)
    fact("others may read it", os.stat(path).st_mode & 0o777 == 0o644)
    fact("and nothing else is left of it", glob.glob(path + "*") == [path], os.listdir(folder))
    held.close()
    if has("promtool finds nothing wrong with it", "promtool"):
        with open(path, encoding="utf-8") as file:
            done = subprocess.run(["promtool", "check", "metrics"], stdin=file, capture_output=True, text=True, check=False)
        fact("promtool finds nothing wrong with it", (done.returncode, done.stdout, done.stderr) == (0, "", ""), done)


sys.exit(recording.run((files, rotated, unread, disk_later, unheard, journaled, measured)))
