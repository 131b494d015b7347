# SPDX-License-Identifier: GPL-2.0-only
"""The service in a machine that boots five times: looked at, hung, killed, rebooted, crashed, and with a tracer that is broken."""
import contextlib
import json
import os
import signal
import socket
import sqlite3
import time

from lib import boot_number, drop_in, has, must, ok, play, reboot, say, systemctl, unit_pid, wait_until

UNIT = "portlog.service"
STORE = "/var/lib/portlog/history.db"
TIMEOUT_S = 10  # TimeoutStartSec of the unit


def shown(name, unit=UNIT):
    return must("systemctl", "show", "-P", name, unit).strip()


def status():
    return shown("StatusText")


def history(*words):
    return [json.loads(line) for line in must("portlog", "history", "-j", *words).splitlines()]


def boot_id():
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip().replace("-", "")


def ended(port):
    return [i["ended"] for i in history("--intervals", "port", str(port))]


def listener(port):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("127.0.0.1", port))
    s.listen()
    return s


# ---- boot 1: how it is ----


def watched_closely():
    """As shipped but for the time of the watchdog: its line is renewed twice in that time."""
    ok(shown("ActiveState") == "active" and shown("UnitFileState") == "enabled", "the service has come up with the boot")
    wait_until(history, "its first commit")
    has(history()[0], "its sandbox does not hide from it which boot this is", action="start", boot_id=boot_id())
    drop_in(UNIT, "[Service]\nWatchdogSec=2\n")
    must("systemctl", "restart", UNIT)
    ok(shown("ActiveState") == "active", "it can be restarted")


def enabled():
    """The line that make install prints, and its opposite."""
    must("systemctl", "disable", "--now", "portlog")
    off = shown("ActiveState"), shown("UnitFileState")
    with open("/out/install", encoding="utf-8") as file:
        line = file.read().splitlines()[-1].split("sudo ")[1]
    must("sh", "-c", line)
    ok(off == ("inactive", "disabled") and (shown("ActiveState"), shown("UnitFileState")) == ("active", "enabled"),
       f"the line that is printed at its installation enables and starts it: {line}")


def its_line():
    with listener(7001), contextlib.suppress(OSError):
        listener(7001)
    kept.append(listener(7002))
    wait_until(lambda: status() == "1 socket holds a port, 1 bind or listen failed, nothing lost", "its line")
    ok(True, "systemctl status says how it is")
    say(must("systemctl", "status", "--no-pager", UNIT))


def reloaded():
    pid = unit_pid(UNIT)
    done = systemctl("reload", UNIT)
    wait_until(lambda: shown("ActiveState") == "active", "the end of the reload")
    ok(done.returncode == 0 and unit_pid(UNIT) == pid, "systemctl reload works, and it goes on", done.stderr)


def locked_out():
    """The writer waits for another's transaction, again and again, for longer than the watchdog does."""
    pid = unit_pid(UNIT)
    with sqlite3.connect(STORE, isolation_level=None) as db:
        db.execute("BEGIN EXCLUSIVE")
        kept.append(listener(7003))
        begin = time.monotonic()
        wait_until(lambda: "history fails: " in status(), "that the history fails is in its line")
        say(status())
        wait_until(lambda: time.monotonic() - begin > 5, "five seconds")
        db.execute("COMMIT")
    db.close()
    wait_until(lambda: "fails" not in status(), "that it works again is in its line")
    ok(unit_pid(UNIT) == pid, "a history that cannot be written is in its line; the watchdog does not bite for it")
    wait_until(lambda: ended(7003) == ["held"], "what happened meanwhile")
    ok(True, "what happened meanwhile is in the history")


def restarted(by, wanted):
    before, n = unit_pid(UNIT), int(shown("NRestarts"))
    by(before)
    wait_until(lambda: unit_pid(UNIT) not in (0, before) and shown("ActiveState") == "active", "another one")
    new = unit_pid(UNIT)
    ok(int(shown("NRestarts")) == n + 1, f"{wanted}: it is started again")
    wait_until(lambda: ended(7002)[-2:] == ["killed", "held"], "the interval's end")
    ok(True, f"{wanted}: what was held is closed as killed, and known again")
    return new


def hung():
    restarted(lambda pid: os.kill(pid, signal.SIGSTOP), "a recorder that hangs")
    said = must("journalctl", "--no-pager", "-b", "-u", UNIT)
    ok("Watchdog timeout" in said, "a recorder that hangs: the watchdog has seen it", said)


def killed():
    restarted(lambda pid: os.kill(pid, signal.SIGKILL), "a recorder that is killed")


def read_only():
    """All of /var/lib, from the start of the recorder on: there is not even a folder for the history."""
    must("mount", "-t", "tmpfs", "-o", "ro", "tmpfs", "/var/lib")
    done = systemctl("restart", UNIT)
    ok(done.returncode == 0 and status().endswith("history.db: Read-only file system"),
       "a disk that cannot be written does not keep it from starting; its line says so", status())
    say(status())
    must("umount", "/var/lib")
    must("systemctl", "restart", UNIT)
    wait_until(lambda: ended(7002)[-1:] == ["held"], "that it is recorded again")
    ok("fails" not in status(), "it is started anew when it can be written", status())


def nothing_was_denied():
    """Beside what was done to it here."""
    said = [line for line in must("journalctl", "-o", "cat", "--no-pager", "-b", "_COMM=portlog", "_TRANSPORT=stdout").splitlines()
            if "history" not in line]
    ok(not said, "the sandbox takes nothing from it that it misses", "\n".join(said))


# ---- boots 2 and 3: after a reboot, after a crash ----


def after_a_reboot():
    wait_until(lambda: history("-b", "0")[0]["boot_id"] == boot_id(), "its first commit")
    last = history("-b", "-1")
    has(last[-1], "the boot before ends with the recorder's own end", action="stop")
    ok(len({e["boot_id"] for e in last}) == 1 and last[0]["boot_id"] != history("-b", "0")[0]["boot_id"],
       "-b -1 is that boot, -b 0 this one")
    ok(shown("NRestarts") == "0" and shown("ActiveState") == "active", "it has come up again")
    kept.append(listener(7004))
    wait_until(lambda: ended(7004) == ["held"], "it is written")


def after_a_crash():
    with contextlib.suppress(TimeoutError):
        wait_until(lambda: ended(7004) != ["held"], "the next recorder's first commit")
    ok(ended(7004) == ["reboot"], "what was held when the machine went down is closed as such",
       str(ended(7004)))


# ---- boots 4 and 5: a tracer that does not work ----


def userspace_s():
    """How long this boot has taken from systemd's start to sysinit.target."""
    return (int(shown("ActiveEnterTimestampMonotonic", "sysinit.target")) -
            int(must("systemctl", "show", "-P", "UserspaceTimestampMonotonic"))) / 1e6


def boot_goes_on(wanted, result, seconds):
    ok(userspace_s() < seconds, f"{wanted}: the boot goes on", f"{userspace_s()} s")
    say(f"sysinit.target after {userspace_s():.1f} s")
    said = must("journalctl", "--no-pager", "-b", "-u", UNIT)
    ok(result in said, f"{wanted}: the journal says why", said)
    say(said)


def after_a_hang():
    boot_goes_on("a recorder that never gets ready", "start operation timed out", TIMEOUT_S + 10)


def after_a_refusal():
    boot_goes_on("a kernel that does not let it trace", "Main process exited, code=exited, status=3", TIMEOUT_S)
    ok(shown("NRestarts") == "0" and shown("ActiveState") == "failed", "it is not tried again: it would be the same",
       shown("NRestarts") + shown("ActiveState"))


BOOTS = [
    ((watched_closely, enabled, its_line, reloaded, locked_out, hung, killed, read_only, nothing_was_denied), "", ()),
    ((after_a_reboot,), "", ("-ff",)),
    ((after_a_crash,), "[Service]\nExecStart=\nExecStart=/bin/sleep infinity\n", ()),
    ((after_a_hang,), "[Service]\nCapabilityBoundingSet=\nCapabilityBoundingSet=CAP_SYS_PTRACE\n", ()),
    ((after_a_refusal,), None, ()),
]
kept = []
number = boot_number()
scenes, more, how = BOOTS[number - 1]
if more is not None:
    def next_boot():
        drop_in(UNIT, more)
        reboot(number, *how)
    scenes += (next_boot,)
print(f"# boot {number}")
play(*scenes)
