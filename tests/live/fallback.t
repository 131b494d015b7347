#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""What was there before, read from /proc and sock_diag as where the kernel has no BPF iterator; TAP."""
import json
import os
import socket
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from tap import CLONE_NEWNET, PORTLOG, end, fact, libc, skip

WHAT = "what was there before, without iterators"


def held():
    """Three sockets on ports of their own: a listener shared with a child, one merely bound, one of UDP."""
    sockets = [socket.socket(), socket.socket(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    sockets[0].listen()
    return sockets


def main():
    if os.geteuid() != 0:
        skip(WHAT, "needs root")
    if libc.unshare(CLONE_NEWNET) != 0:
        skip(WHAT, "needs root: unshare(2)")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    sockets = held()
    # The iterators see a socket on port 0 that does not listen as ephemeral; /proc cannot know, and tells it.
    ports = {s.getsockname()[1]: s for s in sockets}
    netns = os.stat("/proc/self/ns/net").st_ino
    out = subprocess.run([PORTLOG, "trace", "-j", "--no-iterators", "--duration", "1s", "netns", str(netns)],
                         capture_output=True, text=True, check=False)
    events = [json.loads(line) for line in out.stdout.splitlines()]
    rows = {e["socket"]["port"]: e for e in events if e["action"] == "snapshot"}
    start = next((e for e in events if e["action"] == "start"), {})
    facts = {
        "portlog ends well": out.returncode == 0,
        "every socket is told, with its process": all(
            p in rows and rows[p]["process"]["pid"] == os.getpid() and rows[p]["socket"]["inode"] == os.fstat(
                s.fileno()).st_ino for p, s in ports.items()),
        "they say where that is from": all(e["via"] == "proc" for e in rows.values()),
        "nothing else is told": len(rows) <= len(ports),
        "start says what is missed": any("/proc" in text for text in start.get("blind", [])),
        "synced counts them": any(e["action"] == "synced" and e["count"] == len(rows) for e in events),
    }
    for name, true in facts.items():
        fact(name, true, out.stdout + out.stderr)
    end()


main()
