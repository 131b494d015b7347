# SPDX-License-Identifier: GPL-2.0-only
"""Real servers, each clashed on purpose: the failure names the right holder, its unit and its pid."""
import os
import signal
import socket

from lib import (LATE, Trace, Watch, children, clash, end_unit, has, must, ok, play, remedied, rogue, run, start_unit,
                 systemctl, unit_pid, wait_until)

trace = Trace()


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
    event = clash(trace, "nginx: a second one is told who has port 80", 80, "nginx", ("nginx", master, "nginx.service"),
          kind="inherited", unit="scene.service", socket__addr="0.0.0.0")
    remedied(event, "nginx: stopping its unit frees the port")
    trace.wait_for("release", 80)


def nginx_is_taken():
    pid = rogue("rogue-web", 80)
    trace.wait_for("listen", 80, unit="rogue-web.service")
    systemctl("start", "nginx")
    event = clash(trace, "nginx: its unit fails against a rogue that was first", 80, "nginx", ("python3", pid, "rogue-web.service"),
          unit="nginx.service")
    remedied(event, "nginx: once the rogue is stopped as told, the port is free")
    ok(systemctl("start", "nginx").returncode == 0, "nginx: then its unit starts")
    end_unit("nginx")
    trace.wait_for("release", 80)


def nginx_handoff():
    """A new master takes the port over by inheriting; one that is killed leaves its workers with it."""
    master = start_unit("proxy", "nginx", "-c", "/etc/nginx/second.conf", type="forking",
                        options=["PIDFile=/run/second.pid", "KillMode=process"])
    event = trace.wait_for("handoff", 80, unit="proxy.service")
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
    clash(trace, "nginx: after an upgrade the new master is named", 80, "python3", ("nginx", new, "proxy.service"), "inherited")

    workers = children(new)
    os.kill(new, signal.SIGKILL)
    wait_until(lambda: not os.path.exists(f"/proc/{new}"), "the new nginx is gone")
    run("python3", "-m", "http.server", "80")
    clash(trace, "nginx: workers whose master was killed are named", 80, "python3", ("nginx", workers[0], "proxy.service"),
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
    event = clash(trace, "redis: a second one is told who has its port", 6379, "redis-server",
          ("redis-server", pid, "redis-server.service"), process__args=lambda a: a and "redis-server" in a[0])
    remedied(event, "redis: stopping its unit frees the port")
    trace.wait_for("release", 6379)


def postgresql():
    pid = rogue("rogue-db", 5432, "127.0.0.1")
    trace.wait_for("listen", 5432)
    systemctl("start", "postgresql@15-main")
    clash(trace, "PostgreSQL: its unit fails against a rogue", 5432, "postgres", ("python3", pid, "rogue-db.service"),
          unit="postgresql@15-main.service", process__user_name="postgres")
    end_unit("rogue-db", "postgresql@15-main")
    trace.wait_for("release", 5432)

    must("systemctl", "start", "postgresql@15-main")
    pid = unit_pid("postgresql@15-main")
    trace.wait_for("listen", 5432, result="ok")
    run("timeout", "2", "python3", "-m", "http.server", "5432", "--bind", "127.0.0.1")
    clash(trace, "PostgreSQL: who wants its port is told of the postmaster", 5432, "python3",
          ("postgres", pid, "postgresql@15-main.service"), holder__uid=int(must("id", "-u", "postgres")))
    end_unit("postgresql@15-main")


def python_http():
    pid = start_unit("files", "python3", "-m", "http.server", "8000")
    trace.wait_for("listen", 8000)
    run("python3", "-m", "http.server", "8000", timeout=30)
    event = clash(trace, "python: a second http.server is told of the first", 8000, "python3", ("python3", pid, "files.service"))
    remedied(event, "python: stopping its unit frees the port")


def node():
    program = "require('http').createServer().listen(3000)"
    pid = start_unit("app", "node", "-e", program)
    trace.wait_for("listen", 3000)
    run("node", "-e", program, timeout=30)
    event = clash(trace, "node: a second one is told of the first", 3000, "node", ("node", pid, "app.service"), socket__addr="::")
    remedied(event, "node: stopping its unit frees the port")


def sshd():
    pid = rogue("rogue-ssh", 22)
    trace.wait_for("listen", 22)
    systemctl("start", "ssh")
    clash(trace, "sshd: its unit fails against a rogue", 22, "sshd", ("python3", pid, "rogue-ssh.service"),
          unit="ssh.service")
    end_unit("rogue-ssh", "ssh")
    trace.wait_for("release", 22)

    must("systemctl", "start", "ssh")
    pid = unit_pid("ssh")
    trace.wait_for("listen", 22, result="ok")
    run("/usr/sbin/sshd", "-D", "-o", "PidFile=none", timeout=30)
    event = clash(trace, "sshd: a second one is told of the first", 22, "sshd", ("sshd", pid, "ssh.service"))
    remedied(event, "sshd: stopping its unit frees the port")


def socket_activation():
    """systemd has the socket; what a person knows is the service behind it."""
    web = {"kind": "socket-unit", "unit": "web.socket", "service": "web.service"}
    must("systemctl", "start", "web.socket")
    event = trace.wait_for("listen", 8081)
    has(event, "a socket unit: its listen says for which service", unit="web.socket", bound_by=web)
    run("python3", "-m", "http.server", "8081")
    clash(trace, "a socket unit: who wants its port is told of the service", 8081, "python3",
          ("systemd", 1, "init.scope"), holder__bound_by=web)

    with socket.create_connection(("127.0.0.1", 8081), LATE) as connection:
        server = int(connection.recv(100))
    again = Trace("port", "8081")
    has(again.snapshot[0], "a socket unit: systemd and the service it has started own the socket", bound_by=web,
        owners=lambda o: {p["pid"] for p in o or []} == {1, server})
    again.stop()
    run("python3", "-m", "http.server", "8081")
    event = clash(trace, "a socket unit: once it has started its service, too", 8081, "python3",
                  ("systemd", 1, "init.scope"), holder__bound_by=web)
    remedied(event, "a socket unit: stopping it with its service frees the port")

    pid = rogue("rogue-app", 8081, "::")
    trace.wait_for("listen", 8081, unit="rogue-app.service")
    systemctl("start", "web.socket")
    event = clash(trace, "a socket unit: it fails against a rogue", 8081, "(sd-listen)",
                  ("python3", pid, "rogue-app.service"), unit="web.socket", bound_by=web)
    remedied(event, "a socket unit: once the rogue is stopped as told, the port is free")
    ok(systemctl("start", "web.socket").returncode == 0, "a socket unit: then it starts")
    end_unit("web.socket")


play(nginx, nginx_is_taken, nginx_handoff, redis, postgresql, python_http, node, sshd, socket_activation, watch=Watch())
