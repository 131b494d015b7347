# SPDX-License-Identifier: GPL-2.0-only
"""What tests of the recorder share: a recorder in a namespace of our own, its history, TAP."""
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import tap
from tap import CLONE_NEWNET, CLONE_NEWNS, PORTLOG, ROOT, fact, libc  # the last ones also for those who import us

PATIENCE_S = 30
NETNS = ""


def skip(why):
    tap.skip("the recorder", why)


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
    def __init__(self, store, *options, netns=True, env=None, prefix=()):
        where = ("-N", NETNS) if netns else ()
        self.process = subprocess.Popen([*prefix, os.path.abspath(PORTLOG), "record", *where, "--store", store, *options], stderr=subprocess.PIPE,
                                        text=True, errors="replace", env=env)
        self.err = Lines(self.process.stderr)
        self.store = store

    def end(self, number=signal.SIGTERM):
        if self.process.poll() is None:
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


def listener(port, option=socket.SO_REUSEADDR):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, option, 1)
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


def run(parts):
    """Each part gets a path of its own; the words of the command line choose among them."""
    global NETNS
    if os.geteuid() != 0:
        skip("needs root")
    if libc.unshare(CLONE_NEWNET | CLONE_NEWNS) != 0:
        skip("needs root: unshare: " + os.strerror(ctypes.get_errno()))
    mount("none", "/", None, 0x4000 | 0x40000, None)  # MS_REC | MS_PRIVATE
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    NETNS = str(os.stat("/proc/self/ns/net").st_ino)
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        for number, part in enumerate(parts):
            if not sys.argv[1:] or part.__name__ in sys.argv[1:]:
                part(f"{folder}/{number}")
            libc.umount2(f"{folder}/{number}".encode(), 2)
    print(f"1..{tap.n_tests}")
    return tap.failed
