# SPDX-License-Identifier: GPL-2.0-only
"""What scenes are made of: TAP, portlog's stream, servers that start and stop. Nothing sleeps: it waits for the event."""
import json
import os
import select
import shlex
import signal
import socket
import subprocess
import sys
import time

PORTLOG = "/portlog"
LATE = 20  # seconds after which something will not come any more
NETNS = str(os.stat("/proc/self/ns/net").st_ino)
ROGUE = """
import socket, sys, time
family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET
s = socket.socket(family)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind((sys.argv[1], int(sys.argv[2])))
s.listen()
time.sleep(1000)
"""

_run = 0
_failed = 0


def say(text):
    """Comments: what a person would look at when it fails, or is to judge the wording."""
    for line in text.splitlines():
        print("#   " + line)


def ok(good, name, detail=""):
    global _run, _failed
    _run += 1
    print(("ok" if good else "not ok") + f" {_run} - {name}")
    if not good:
        _failed += 1
        say(detail)
    return good


def has(event, name, **wanted):
    """Has @event these members? a__b is b in a. One result."""
    wrong = []
    for path, value in wanted.items():
        got = event
        for part in path.split("__"):
            got = got.get(part) if isinstance(got, dict) else None
        if callable(value):
            if not value(got):
                wrong.append(f"{path}: {got!r}")
        elif got != value:
            wrong.append(f"{path}: {got!r}, not {value!r}")
    return ok(event and not wrong, name, "\n".join(wrong) + "\n" + json.dumps(event))


def skip(name, why):
    global _run
    _run += 1
    print(f"ok {_run} - {name} # SKIP {why}")


def end():
    print(f"1..{_run}")
    sys.exit(1 if _failed else 0)


def play(*scenes, watch=None):
    """Each is a function; one that breaks is a failure and does not keep the others from being played."""
    for scene in scenes:
        try:
            scene()
        except Exception as e:  # whatever it is
            ok(False, scene.__name__, f"{type(e).__name__}: {e}")
    if watch:
        watch.text()
    end()


# ---- a machine that is booted more than once ----


def boot_number():
    """Which boot of this machine it is, from 1 on; the results are counted on from the one before."""
    global _run, _failed
    try:
        with open("/out/boots", encoding="ascii") as file:
            number, _run, _failed = json.load(file)
    except FileNotFoundError:
        number = 0
    return number + 1


def reboot(number, *how):
    """End boot @number and this program; the scene is played again. @how: options of systemctl reboot, as -ff."""
    with open("/out/boots", "w", encoding="ascii") as file:
        json.dump([number, _run, _failed], file)
    # The end of the scene is the end of the machine: not this time.
    drop_in("scene.service", "[Unit]\nSuccessAction=none\nFailureAction=none\n", where="/run")
    must("systemctl", "reboot", *how)
    while True:
        signal.pause()


def drop_in(unit, text, where="/etc"):
    """More lines for @unit, or (@text empty) none any more."""
    folder = f"{where}/systemd/system/{unit}.d"
    os.makedirs(folder, exist_ok=True)
    with open(folder + "/scene.conf", "w", encoding="utf-8") as file:
        file.write(text)
    must("systemctl", "daemon-reload")


# ---- commands and servers ----


def run(*command, check=False, **more):
    return subprocess.run(command, check=check, text=True, capture_output=True, stdin=subprocess.DEVNULL, **more)


def must(*command):
    result = run(*command)
    if result.returncode:
        raise RuntimeError(f"{' '.join(command)}: {result.stdout}{result.stderr}")
    return result.stdout


def systemctl(*words):
    return run("systemctl", *words)


def unit_pid(unit):
    return int(must("systemctl", "show", "-P", "MainPID", unit))


def start_unit(name, *command, type="exec", options=()):
    """A service made on the spot, like a person's own unit file. Returns its main pid."""
    options = [word for option in options for word in ("-p", option)]
    must("systemd-run", "--quiet", "--collect", "--unit=" + name, "--service-type=" + type, *options, *command)
    return unit_pid(name)


def rogue(name, port, address="0.0.0.0"):
    """A service of nobody's that listens on a port. The trace is what says that it does."""
    return start_unit(name, "python3", "-c", ROGUE, address, str(port))


def end_unit(*names):
    run("systemctl", "stop", *names)
    run("systemctl", "reset-failed", *names)


def wait_until(true, what):
    """For the few things that announce themselves nowhere."""
    late = time.monotonic() + LATE
    while not true():
        if time.monotonic() > late:
            raise TimeoutError(f"{what} did not come true")
        time.sleep(0.01)


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(word) for word in file.read().split()]


def docker_image(name):
    """An image with busybox and nothing else: there is no registry here."""
    must("sh", "-c", "mkdir -p /tmp/image/bin && cp /bin/busybox /tmp/image/bin/httpd && "
                     f"tar -C /tmp/image -c . | docker import - {name}")


# ---- portlog ----


class Trace:
    """portlog -j in this machine's network namespace, from its start on."""

    def __init__(self, *options):
        self.events = []
        self.seen = 0
        self.rest = b""
        self.process = subprocess.Popen(
            [PORTLOG, "-j", "--hints", "-N", NETNS, *options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        self.snapshot = []
        while (event := self.wait(lambda e: True, "synced"))["action"] != "synced":
            if event["action"] == "snapshot":
                self.snapshot.append(event)

    def read(self, late):
        timeout = late - time.monotonic()
        if timeout <= 0 or not select.select([self.process.stdout], [], [], timeout)[0]:
            return False
        data = os.read(self.process.stdout.fileno(), 1 << 16)
        if not data:
            raise EOFError("portlog ended: " + self.process.stderr.read().decode())
        *lines, self.rest = (self.rest + data).split(b"\n")
        self.events += [json.loads(line) for line in lines]
        return True

    def wait(self, wanted, what):
        """The next event that is @wanted; those before it are passed over."""
        late = time.monotonic() + LATE
        begin = self.seen
        while True:
            while self.seen < len(self.events):
                event = self.events[self.seen]
                self.seen += 1
                if wanted(event):
                    return event
            if not self.read(late):
                passed = "\n".join(json.dumps(e) for e in self.events[begin:])
                raise TimeoutError(f"portlog did not tell {what}; it told:\n{passed}")

    def wait_for(self, action, port, **more):
        def wanted(e):
            return (e["action"] == action and e.get("socket", {}).get("port") == port and
                    all(e.get(name) == value for name, value in more.items()))
        return self.wait(wanted, f"{action} {port} {more}")

    def failure(self, port, comm):
        return self.wait(
            lambda e: e.get("result") == "error" and e["socket"]["port"] == port and e["process"]["comm"] == comm,
            f"that {comm} failed on {port}")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate()


class Watch:
    """portlog as a person sees it. Its words go into the log of the test."""

    def __init__(self, *options):
        self.process = subprocess.Popen([PORTLOG, "-N", NETNS, *options], stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True)
        self.process.stdout.readline()  # that it is watching

    def text(self):
        self.process.send_signal(signal.SIGTERM)
        text = self.process.communicate()[0]
        print("# a person saw:")
        say(text)
        return text


def clash(trace, what, port, comm, holder, kind="listener", **more):
    """@comm has just failed on @port: is it told with the one who holds it? @holder: comm, pid, unit."""
    event = trace.failure(port, comm)
    say(f"{event.get('reason')}. {event.get('hint')}")
    name, pid, unit = holder
    has(event, what, result="error", errno="EADDRINUSE", reason_code=kind, holder__kind=kind,
        holder__comm=name, holder__pid=pid, holder__unit=unit, **more)
    return event


def can_bind(endpoint):
    """Bind and listen as most servers do: with SO_REUSEADDR."""
    six = endpoint["family"] == "ipv6"
    with socket.socket(socket.AF_INET6 if six else socket.AF_INET) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if six:
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(endpoint.get("v6only", False)))
        try:
            s.bind((endpoint["addr"], endpoint["port"]))
            s.listen()
        except OSError:
            return False
    return True


def remedied(event, what):
    """Do what the hint of a failure says first, as it stands. Does the bind succeed then?"""
    command = event["hint"].split(", or ")[0].split(";")[0]
    before = can_bind(event["socket"])
    done = run(*shlex.split(command))
    ok(not before and done.returncode == 0 and can_bind(event["socket"]), what,
       f"before: {before}; {command}: {done.returncode} {done.stdout}{done.stderr}")
