#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""portlog list beside ss: every socket that ss shows is listed, with the same processes; TAP."""
import json
import os
import re
import socket
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from tap import CLONE_NEWNET, PORTLOG, end, fact, libc, skip

CHILDREN = 20


def held(number):
    """Sockets of one child: listeners of both families, one with SO_REUSEPORT, UDP, and a connected UDP socket."""
    def at(family, kind, address):
        s = socket.socket(family, kind)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        s.bind(address)
        if kind == socket.SOCK_STREAM:
            s.listen()
        return s

    sockets = [at(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 22000 + number)),
               at(socket.AF_INET6, socket.SOCK_STREAM, ("::1", 22000 + number)),
               at(socket.AF_INET, socket.SOCK_STREAM, ("0.0.0.0", 22500)),
               at(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 22000 + number)),
               at(socket.AF_INET6, socket.SOCK_DGRAM, ("::", 22000 + number))]
    connected = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    connected.connect(("127.0.0.1", 22000))
    return sockets + [connected]


def child(number):
    """Up when its byte is read; with a child of its own that shares all sockets; both live until killed."""
    ready, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        libc.prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL
        keep = held(number)
        if os.fork() == 0:
            libc.prctl(1, 9)
        os.write(tell, b"x")
        while keep:
            time.sleep(3600)
    os.read(ready, 1)
    os.read(ready, 1)
    return pid


def by_ss():
    """(proto, address, port, inode-free pids) of each line of ss that holds a port."""
    rows = []
    out = subprocess.run(["ss", "-Hanp", "-tu"], check=True, capture_output=True, text=True).stdout
    for line in out.splitlines():
        words = line.split()
        if words[0] == "tcp" and words[1] not in ("LISTEN", "UNCONN"):
            continue
        address, port = words[4].rsplit(":", 1)
        address = address.strip("[]").split("%")[0]
        pids = frozenset(int(pid) for pid in re.findall(r"pid=(\d+)", line))
        rows.append((words[0], "::" if address == "*" else address, int(port), pids))
    return rows


def by_list(own):
    rows = []
    done = subprocess.run([PORTLOG, "list", "-j", "--all"], capture_output=True, text=True, check=False)
    if done.returncode == 3 or "load the BPF iterators" in done.stderr:
        skip("list beside ss", "portlog cannot run here: " + done.stderr.strip())
    for line in done.stdout.splitlines():
        row = json.loads(line)
        s = row["socket"]
        if s["netns"]["id"] != own:
            continue
        pids = frozenset(o["pid"] for o in row.get("owners", [row["process"]] if "process" in row else []))
        rows.append(("udp" if s["proto"] == "udp" else "tcp", s["addr"], s["port"], pids, row["kind"]))
    return rows


if os.geteuid() != 0:
    skip("list beside ss", "needs root")
if libc.unshare(CLONE_NEWNET) != 0:
    skip("list beside ss", "no network namespace of our own")
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
for i in range(CHILDREN):
    child(i)
namespace = os.stat("/proc/self/ns/net").st_ino
bound = socket.socket()
bound.bind(("127.0.0.1", 22900))
ss, listed = by_ss(), by_list(namespace)
plain = [row[:4] for row in listed]
missing = [row for row in ss if row not in plain]
fact(f"every one of {len(ss)} sockets that ss shows is listed with the same processes",
     len(ss) == CHILDREN * 6 and not missing, *missing)
only = [row for row in listed if row[:4] not in ss]
fact("beside them only the one that ss does not show is listed",
     [row[2:] for row in only] == [(22900, frozenset([os.getpid()]), "bound")], *only)
end()
