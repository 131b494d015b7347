#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The recorder as a service: what its manager hears, what each thread may do, and that this is enough; TAP."""
import os
import re
import signal
import socket
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import recording
from recording import Recorder, await_history, barrier, events, fact, listener, skip


class Manager:
    """What a service manager hears."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.socket.settimeout(recording.PATIENCE_S)
        self.env = dict(os.environ, NOTIFY_SOCKET=path, WATCHDOG_USEC="400000")

    def hears(self, line):
        """The next message with @line in it, as lines; None: it does not come."""
        try:
            while line not in (lines := self.socket.recv(4096).decode().split("\n")):
                pass
        except TimeoutError:
            return None
        return lines


CAPABILITIES = {"cap_chown": 0, "cap_dac_override": 1, "cap_dac_read_search": 2, "cap_sys_ptrace": 19, "cap_sys_admin": 21}


def capabilities(pid):
    """Of each thread: what it has in any set."""
    all_threads = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status", encoding="ascii") as file:
            words = dict(line.split(":\t") for line in file.read().splitlines() if line.startswith(("Cap", "NoNewPrivs")))
        have = [int(words[name], 16) for name in ("CapEff", "CapPrm", "CapInh", "CapAmb")]
        all_threads.append((have[0], have[1], have[2] | have[3], int(words["CapBnd"], 16), words["NoNewPrivs"]))
    return sorted(all_threads)


def wanted_capabilities():
    """As documented, as far as this test has them itself. Without CAP_SETPCAP the bounding set cannot be made smaller."""
    with open("/proc/self/status", encoding="ascii") as file:
        words = dict(line.split(":\t") for line in file.read().splitlines() if line.startswith("Cap"))
    mine, bound = int(words["CapEff"], 16), int(words["CapBnd"], 16)
    wanted = []
    for names in (("cap_chown", "cap_dac_override"), ("cap_dac_read_search", "cap_sys_ptrace", "cap_sys_admin")):
        mask = sum(1 << CAPABILITIES[name] for name in names)
        wanted.append((mine & mask, mine & mask, 0, bound & mask if mine & 1 << 8 else bound, "1"))
    return sorted(wanted)


def child(does):
    """A process of nobody's that does something and then waits to be killed; returns when it has done it."""
    begun, go = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(begun)
        try:
            keep = does()  # noqa: F841 (its sockets live as long as it)
            os.write(go, b"1")
            signal.pause()
        finally:
            os._exit(1)
    os.close(go)
    done = os.read(begun, 1) == b"1"
    os.close(begun)
    return pid if done else None


def end_child(pid):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def nobodys(port):
    def does():
        s = listener(port)
        os.setgid(65534)
        os.setuid(65534)
        return s
    return does


def elsewhere():
    """In a namespace of its own: a port with a connection in TIME_WAIT, and a bind that fails for it."""
    recording.libc.unshare(recording.CLONE_NEWNET)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    server = listener(7103)
    client = socket.create_connection(("127.0.0.1", 7103))
    accepted = server.accept()[0]
    accepted.close()
    client.recv(1)
    client.close()
    server.close()
    for _ in range(40):  # the kernel is not asked about a port each time, nor right after its release
        try:
            socket.socket().bind(("127.0.0.1", 7103))
        except OSError:
            pass
        time.sleep(0.05)


def handed_over():
    """A listener whose first owner ends and whose second one goes on."""
    s = listener(7104)
    pid = child(lambda: (os.setuid(65534), s))
    s.close()
    return pid


def few_privileges(store):
    """Whatever needs the kernel or /proc after the start, of other users and in other namespaces."""
    manager = Manager(store + ".notify")
    r = Recorder(store, "--queue", "64M", netns=False, env=manager.env)
    ready = manager.hears("READY=1")
    if not ready:
        r.end()
        skip("cannot record: " + "".join(r.err.lines).replace("\n", " ")[:200])
    fact("a service manager is told that all is ready", ready and any("STATUS=" in line for line in ready), r.err.lines)
    listener(7101).close()
    barrier(store)
    fact("what happens right after that is seen", [e["action"] for e in events(store, "port", "7101", "netns", recording.NETNS)] ==
         ["bind", "listen", "release"], events(store, "port", "7101"))
    fact("each thread has only what it needs", capabilities(r.process.pid) == wanted_capabilities(),
         capabilities(r.process.pid), wanted_capabilities())
    pid = child(nobodys(7102))
    try:
        listener(7102)
    except OSError:
        pass
    holder = await_history(store, lambda e: e.get("errno") == "EADDRINUSE", "port", "7102", "netns", recording.NETNS)["holder"]
    fact("a holder of another user is named", (holder.get("pid"), holder.get("kind")) == (pid, "listener"), holder)
    end_child(pid)
    pid = child(elsewhere)
    failed = await_history(store, lambda e: e.get("errno") and e.get("holder", {}).get("expires"), "port", "7103")
    fact("TIME_WAIT in another network namespace is found, and when it ends",
         failed and failed["reason_code"] == "time-wait" and failed["holder"]["expires"] > failed["ts"],
         events(store, "port", "7103"))
    end_child(pid)
    first = os.fork()
    if first == 0:
        handed_over()
        os._exit(0)
    os.waitpid(first, 0)
    handoff = await_history(store, lambda e: e["action"] == "handoff", "port", "7104", "netns", recording.NETNS)
    fact("a socket that goes over to another process is followed", len(handoff.get("owners", [])) == 1, handoff)
    os.kill(handoff["owners"][0]["pid"], signal.SIGKILL)
    after_a_loss(store, r)
    signals(manager, r)


def after_a_loss(store, r):
    """More than the ring takes, while nobody reads it."""
    r.process.send_signal(signal.SIGSTOP)
    kept = listener(7105)
    for _ in range(20000):
        listener(7106).close()
    r.process.send_signal(signal.SIGCONT)
    lost = resync = None
    late = time.monotonic() + recording.PATIENCE_S
    while not (lost and resync) and time.monotonic() < late:
        barrier(store)
        actions = {e["action"] for e in events(store, "action", "lost", "or", "action", "resync")}
        lost, resync = "lost" in actions, "resync" in actions
    held = [e["process"]["pid"] for e in events(store, "--at", "now", "port", "7105-7106", "netns", recording.NETNS)]
    fact("after a loss it looks at all that is held", lost and resync and held == [os.getpid()], lost, resync, held)
    kept.close()


def signals(manager, r):
    r.process.send_signal(signal.SIGUSR1)
    fact("it can be asked for its totals", r.err.await_line(lambda line: "events told" in line) is not None, r.err.lines)
    r.process.send_signal(signal.SIGHUP)
    reloading = manager.hears("RELOADING=1")
    fact("SIGHUP is a reload, with its time and its end", reloading and reloading[1].startswith("MONOTONIC_USEC=") and
         manager.hears("READY=1"), reloading)
    beats = [manager.hears("WATCHDOG=1") for _ in range(3)]
    fact("there are signs of life", all(beats), beats)
    r.process.send_signal(signal.SIGTERM)
    fact("that it stops is told first", manager.hears("STOPPING=1") is not None)
    fact("and it ends well", r.end() == 0, r.err.lines)
    said = [line for line in r.err.lines if not re.search("recording to|events (told|written)", line)]
    fact("nothing was refused to it", not said, said)


sys.exit(recording.run((few_privileges,)))
