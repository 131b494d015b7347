#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""list and why as a root that may not see everything: what they cannot know is said; TAP."""
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
PORTLOG = os.environ.get("PORTLOG", os.path.join(ROOT, "build", "portlog"))
CLONE_NEWNET = 0x40000000
NO_PTRACE = ["setpriv", "--bounding-set", "-sys_ptrace"]
NO_CAPS = ["setpriv", "--bounding-set", "-all"]
PIDNS = ["unshare", "--pid", "--fork", "--mount-proc"]
n_checks = n_failed = 0
libc = ctypes.CDLL(None, use_errno=True)


def skip(why):
    print(f"ok 1 - a root that may not see everything # SKIP {why}\n1..1")
    sys.exit(0)


def report(ok, what, *notes):
    global n_checks, n_failed
    n_checks += 1
    n_failed += not ok
    print(f"{'ok' if ok else 'not ok'} {n_checks} - {what}")
    if not ok:
        for note in notes:
            print("# " + str(note).replace("\n", "\n# "))


def child(port, elsewhere):
    """A process that listens on the port, here or in a namespace of its own; up when this returns, until we end."""
    up, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if elsewhere:
            libc.unshare(CLONE_NEWNET)
        s = socket.socket()
        s.bind(("0.0.0.0", port))
        s.listen()
        os.write(tell, b"x")
        signal.pause()
    os.close(tell)
    if os.read(up, 1) != b"x":
        skip("no network namespace of our own")
    os.close(up)
    return pid


def asked(as_whom, *words):
    """Status, lines, what was said."""
    done = subprocess.run([*as_whom, PORTLOG, *words], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.splitlines(), done.stderr


def main():
    if os.geteuid() != 0:
        skip("needs root")
    if libc.unshare(CLONE_NEWNET) != 0:
        skip("no network namespace of our own")
    here, there = child(8301, False), child(8302, True)
    inode = os.stat(f"/proc/{there}/ns/net").st_ino
    status, rows, said = asked([], "list", "port", "8301-8302")
    if status == 3 or "load the BPF iterators" in said:
        skip("needs BPF: " + said.strip())
    report(status == 0 and "CAP_" not in said and "pid namespace" not in said,
           "root that sees everything is told of nothing that is missing", rows, said)

    status, rows, said = asked(NO_PTRACE, "list", "port", "8301-8302")
    ports = [row.split()[1] for row in rows if f"[{here}]" in row or f"[{there}]" in row]
    report(status == 0 and ports == ["0.0.0.0:8301", f"0.0.0.0:8302@{inode}"],
           "without CAP_SYS_PTRACE: another namespace's socket is shown as such", *rows)
    report("network namespaces of " in said and "CAP_SYS_PTRACE" in said, "and what may not be looked at is said", said)

    status, rows, said = asked(NO_CAPS, "why", "8301/tcp")
    report(status == 0 and any("process hidden: CAP_SYS_PTRACE" in row for row in rows),
           "without capabilities: why says that the process is hidden", *rows)
    status, rows, _ = asked(NO_CAPS, "why", "-j", "8301/tcp")
    report(status == 0 and json.loads(rows[0])["sees_owners"] is False, "and that owners are not seen", *rows)
    status, rows, said = asked(NO_CAPS, "list", "port", "8301")
    report(status == 0 and len(rows) == 1 and "not all processes may be looked at" in said, "list says it too", *rows, said)

    status, rows, said = asked(PIDNS, "why", "8301/tcp")
    report(status == 0 and any("no process of this pid namespace has it open" in row for row in rows),
           "in a pid namespace of its own: why says whose processes it saw", *rows)
    status, rows, said = asked(PIDNS, "list", "port", "8301")
    report(status == 0 and len(rows) == 1 and "outside of this pid namespace" in said, "list says it too", *rows, said)
    print(f"1..{n_checks}")
    return n_failed > 0


sys.exit(main())
