#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""What was there before, read from /proc and sock_diag as where the kernel has no BPF iterator; TAP."""
import json
import os
import socket
import subprocess
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
PORTLOG = os.environ.get("PORTLOG", os.path.join(ROOT, "build", "portlog"))
CLONE_NEWNET = 0x40000000


def skip(why):
    print(f"ok 1 - what was there before, without iterators # SKIP {why}\n1..1")
    sys.exit(0)


def held():
    """Three sockets on ports of their own: a listener shared with a child, one merely bound, one of UDP."""
    sockets = [socket.socket(), socket.socket(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    sockets[0].listen()
    return sockets


def main():
    if os.geteuid() != 0:
        skip("needs root")
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        skip("needs root: unshare: " + os.strerror(ctypes.get_errno()))
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
    for n, (fact, true) in enumerate(facts.items(), 1):
        print(("ok" if true else "not ok"), n, "-", fact)
    if not all(facts.values()):
        print("#", out.stdout.replace("\n", "\n# "), out.stderr.replace("\n", "\n# "))
    print(f"1..{len(facts)}")
    return 0


sys.exit(main())
