#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""list and why where there are two thousand network namespaces: all of them are looked at; TAP."""
import json
import os
import signal
import socket
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from tap import CLONE_NEWNET, PORTLOG, end, fact, libc, skip

MANY = 2000


def nothing():
    """A namespace and no more."""


def listener():
    s = socket.socket()
    s.bind(("0.0.0.0", 8000))
    s.listen()
    return s


def time_wait():
    """What is left of a connection that this side closed first."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    s = socket.socket()
    s.bind(("127.0.0.1", 8001))
    s.listen()
    client = socket.create_connection(("127.0.0.1", 8001))
    served, _ = s.accept()
    served.close()
    client.recv(1)
    client.close()
    s.close()


def child(what):
    """A process in a namespace of its own, where it has what @what made; up when this returns, and until it is ended."""
    up, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if libc.unshare(CLONE_NEWNET) == 0:
            keep = what()
            os.write(tell, b"x")
            signal.pause()
            del keep
        os._exit(1)
    os.close(tell)
    if os.read(up, 1) != b"x":
        skip("two thousand namespaces", "no network namespace of our own")
    os.close(up)
    return pid, os.stat(f"/proc/{pid}/ns/net").st_ino


def asked(*words):
    """Status, objects, what was said."""
    done = subprocess.run([PORTLOG, *words], capture_output=True, text=True, check=False)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def main():
    if os.geteuid() != 0:
        skip("two thousand namespaces", "needs root")
    if libc.unshare(CLONE_NEWNET) != 0:
        skip("two thousand namespaces", "no network namespace of our own")
    crowd = [child(nothing) for _ in range(MANY)]
    crowd += [child(listener), child(time_wait)]
    holder, where = crowd[MANY]
    status, rows, said = asked("list", "-j", "port", "8000")
    if status == 3 or "load the BPF iterators" in said:
        skip("two thousand namespaces", "needs BPF: " + said.strip())
    places = [r["socket"]["netns"]["id"] for r in rows if r.get("process", {}).get("pid") == holder]
    # Connections whose listener is gone have a second only, which may not be enough for all of them: that is said.
    left_out = [line for line in said.splitlines() if "connections whose listener is gone" not in line]
    fact("list looks at all of them", status == 0 and not left_out and places == [where], rows, said)
    status, rows, said = asked("why", "-j", "8000/tcp")
    fact("why looks at all of them",
         status == 1 and not said and holder in [e.get("pid") for e in rows[0].get("elsewhere", [])], rows, said)
    status, rows, said = asked("why", "-j", "--reuseaddr=no", "-N", str(crowd[-1][1]), "8001/tcp")
    fact("what counts in the one that is asked about is seen there",
         status == 0 and not said and rows[0]["binds"][0]["holders"][0]["kind"] == "time-wait", rows, said)
    status, rows, said = asked("why", "-j", "--reuseaddr=no", "8001/tcp")
    fact("and in no other one", status == 1 and not said and not rows[0].get("elsewhere"), rows, said)
    for pid, _ in crowd:
        os.kill(pid, signal.SIGKILL)
    for pid, _ in crowd:
        os.waitpid(pid, 0)
    end()


main()
