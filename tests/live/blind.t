#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""list and why as a root that may not see everything: what they cannot know is said; TAP."""
import json
import os
import signal
import socket
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from tap import CLONE_NEWNET, PORTLOG, end, fact, libc, skip

NO_PTRACE = ["setpriv", "--bounding-set", "-sys_ptrace"]
NO_CAPS = ["setpriv", "--bounding-set", "-all"]
PIDNS = ["unshare", "--pid", "--fork", "--mount-proc"]


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
        skip("a root that may not see everything", "no network namespace of our own")
    os.close(up)
    return pid


def asked(as_whom, *words):
    """Status, lines, what was said."""
    done = subprocess.run([*as_whom, PORTLOG, *words], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.splitlines(), done.stderr


def main():
    if os.geteuid() != 0:
        skip("a root that may not see everything", "needs root")
    if libc.unshare(CLONE_NEWNET) != 0:
        skip("a root that may not see everything", "no network namespace of our own")
    here, there = child(8301, False), child(8302, True)
    inode = os.stat(f"/proc/{there}/ns/net").st_ino
    status, rows, said = asked([], "list", "port", "8301-8302")
    if status == 3 or "load the BPF iterators" in said:
        skip("a root that may not see everything", "needs BPF: " + said.strip())
    fact("root that sees everything is told of nothing that is missing",
         status == 0 and "CAP_" not in said and "pid namespace" not in said, rows, said)

    status, rows, said = asked(NO_PTRACE, "list", "port", "8301-8302")
    ports = [row.split()[1] for row in rows if f"[{here}]" in row or f"[{there}]" in row]
    fact("without CAP_SYS_PTRACE: another namespace's socket is shown as such",
         status == 0 and ports == ["0.0.0.0:8301", f"0.0.0.0:8302@{inode}"], *rows)
    fact("and what may not be looked at is said", "network namespaces of " in said and "CAP_SYS_PTRACE" in said, said)

    status, rows, said = asked(NO_CAPS, "why", "8301/tcp")
    fact("without capabilities: why says that the process is hidden",
         status == 0 and any("process hidden: CAP_SYS_PTRACE" in row for row in rows), *rows)
    status, rows, _ = asked(NO_CAPS, "why", "-j", "8301/tcp")
    fact("and that owners are not seen", status == 0 and json.loads(rows[0])["sees_owners"] is False, *rows)
    status, rows, said = asked(NO_CAPS, "list", "port", "8301")
    fact("list says it too",
         status == 0 and len(rows) == 1 and "not all processes may be looked at" in said, *rows, said)

    status, rows, said = asked(PIDNS, "why", "8301/tcp")
    fact("in a pid namespace of its own: why says whose processes it saw",
         status == 0 and any("no process of this pid namespace has it open" in row for row in rows), *rows)
    status, rows, said = asked(PIDNS, "list", "port", "8301")
    fact("list says it too", status == 0 and len(rows) == 1 and "outside of this pid namespace" in said, *rows, said)
    end()


main()
