# SPDX-License-Identifier: GPL-2.0-only
"""Real servers, each clashed on purpose: the failure names the right holder, its unit and its pid."""
import os
import signal

from lib import (Trace, Watch, children, end_unit, has, must, ok, play, rogue, run, say, start_unit, systemctl, unit_pid,
                 wait_until)

trace = Trace()


def clash(what, port, comm, holder, kind="listener", **more):
    """@comm has just failed on @port: is it told with the one who holds it? @holder: comm, pid, unit."""
    event = trace.failure(port, comm)
    say(f"{event.get('reason')}. {event.get('hint')}")
    name, pid, unit = holder
    has(event, what, result="error", errno="EADDRINUSE", reason_code=kind, holder__kind=kind,
        holder__comm=name, holder__pid=pid, holder__unit=unit, **more)


def nginx():
    must("systemctl", "start", "nginx")
    master = unit_pid("nginx")
    trace.wait_for("listen", 80, result="ok")
    wait_until(lambda: len(children(master)) > 0, "nginx has workers")
    workers = children(master)

    again = Trace("port", "80")
    has(again.snapshot[0], "nginx: master and workers own its listener", unit="nginx.service",
        owners=lambda o: {p["pid"] for p in o or []} == {master, *workers})
    again.stop()

    run("nginx", "-c", "/etc/nginx/second.conf", timeout=30)
    clash("nginx: a second one is told who has port 80", 80, "nginx", ("nginx", master, "nginx.service"),
          kind="inherited", unit="scene.service", socket__addr="0.0.0.0")
    end_unit("nginx")
    trace.wait_for("release", 80)


def nginx_is_taken():
    pid = rogue("rogue-web", 80)
    trace.wait_for("listen", 80)
    systemctl("start", "nginx")
    clash("nginx: its unit fails against a rogue that was first", 80, "nginx", ("python3", pid, "rogue-web.service"),
          unit="nginx.service")
    end_unit("rogue-web", "nginx")
    trace.wait_for("release", 80)


def nginx_handoff():
    """A new master takes the port over by inheriting; one that is killed leaves its workers with it."""
    master = start_unit("proxy", "nginx", "-c", "/etc/nginx/second.conf", type="forking",
                        options=["PIDFile=/run/second.pid", "KillMode=process"])
    event = trace.wait_for("handoff", 80)
    has(event, "nginx: one that goes to the background hands its port to the master", unit="proxy.service",
        process__comm="nginx", owners=lambda o: o and master in [p["pid"] for p in o])
    wait_until(lambda: len(children(master)) > 0, "nginx has workers")
    os.kill(master, signal.SIGUSR2)
    wait_until(lambda: os.path.exists("/run/second.pid.oldbin") and os.path.exists("/run/second.pid"), "nginx is upgraded")
    with open("/run/second.pid") as file:
        new = int(file.read())
    wait_until(lambda: len(children(new)) > 0, "the new nginx has workers")
    os.kill(master, signal.SIGQUIT)
    wait_until(lambda: not os.path.exists(f"/proc/{master}"), "the old nginx is gone")
    run("python3", "-m", "http.server", "80")
    clash("nginx: after an upgrade the new master is named", 80, "python3", ("nginx", new, "proxy.service"), "inherited")

    workers = children(new)
    os.kill(new, signal.SIGKILL)
    wait_until(lambda: not os.path.exists(f"/proc/{new}"), "the new nginx is gone")
    run("python3", "-m", "http.server", "80")
    clash("nginx: workers whose master was killed are named", 80, "python3", ("nginx", workers[0], "proxy.service"),
          "inherited")
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    end_unit("proxy")
    trace.wait_for("release", 80)


def redis():
    must("systemctl", "start", "redis-server")
    pid = unit_pid("redis-server")
    trace.wait_for("listen", 6379, result="ok")
    run("redis-server", "--port", "6379", "--daemonize", "no", timeout=30)
    clash("redis: a second one is told who has its port", 6379, "redis-server",
          ("redis-server", pid, "redis-server.service"), process__args=lambda a: a and "redis-server" in a[0])
    end_unit("redis-server")
    trace.wait_for("release", 6379)


def postgresql():
    pid = rogue("rogue-db", 5432, "127.0.0.1")
    trace.wait_for("listen", 5432)
    systemctl("start", "postgresql@15-main")
    clash("PostgreSQL: its unit fails against a rogue", 5432, "postgres", ("python3", pid, "rogue-db.service"),
          unit="postgresql@15-main.service", process__user_name="postgres")
    end_unit("rogue-db", "postgresql@15-main")
    trace.wait_for("release", 5432)

    must("systemctl", "start", "postgresql@15-main")
    pid = unit_pid("postgresql@15-main")
    trace.wait_for("listen", 5432, result="ok")
    run("timeout", "2", "python3", "-m", "http.server", "5432", "--bind", "127.0.0.1")
    clash("PostgreSQL: who wants its port is told of the postmaster", 5432, "python3",
          ("postgres", pid, "postgresql@15-main.service"), holder__uid=int(must("id", "-u", "postgres")))
    end_unit("postgresql@15-main")


def python_http():
    pid = start_unit("files", "python3", "-m", "http.server", "8000")
    trace.wait_for("listen", 8000)
    run("python3", "-m", "http.server", "8000", timeout=30)
    clash("python: a second http.server is told of the first", 8000, "python3", ("python3", pid, "files.service"))
    end_unit("files")


def node():
    program = "require('http').createServer().listen(3000)"
    pid = start_unit("app", "node", "-e", program)
    trace.wait_for("listen", 3000)
    run("node", "-e", program, timeout=30)
    clash("node: a second one is told of the first", 3000, "node", ("node", pid, "app.service"), socket__addr="::")
    end_unit("app")


def sshd():
    pid = rogue("rogue-ssh", 22)
    trace.wait_for("listen", 22)
    systemctl("start", "ssh")
    clash("sshd: its unit fails against a rogue", 22, "sshd", ("python3", pid, "rogue-ssh.service"),
          unit="ssh.service")
    end_unit("rogue-ssh", "ssh")
    trace.wait_for("release", 22)

    must("systemctl", "start", "ssh")
    pid = unit_pid("ssh")
    trace.wait_for("listen", 22, result="ok")
    run("/usr/sbin/sshd", "-D", "-o", "PidFile=none", timeout=30)
    clash("sshd: a second one is told of the first", 22, "sshd", ("sshd", pid, "ssh.service"))
    end_unit("ssh")


def socket_activation():
    must("systemctl", "start", "web.socket")
    trace.wait_for("listen", 8081)
    run("python3", "-m", "http.server", "8081", timeout=30)
    clash("a socket unit: who wants its port is told of systemd", 8081, "python3",
          ("systemd", 1, "init.scope"), holder__bound_by={"kind": "socket-unit", "unit": "web.socket", "service": "web.service"})
    end_unit("web.socket")
    trace.wait_for("release", 8081)

    pid = rogue("rogue-app", 8081, "::")
    trace.wait_for("listen", 8081)
    systemctl("start", "web.socket")
    clash("a socket unit: it fails against a rogue", 8081, "(sd-listen)", ("python3", pid, "rogue-app.service"),
          unit="web.socket")
    end_unit("rogue-app", "web.socket")


watch = Watch()
try:
    play(nginx, nginx_is_taken, nginx_handoff, redis, postgresql, python_http, node, sshd, socket_activation)
finally:
    watch.text()
