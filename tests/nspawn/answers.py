# SPDX-License-Identifier: GPL-2.0-only
"""Someone has an error on the screen: why names who has the port and what to do, that is done, and the server starts."""
import json
import re
import shlex
import socket

from lib import (LATE, PORTLOG, children, end_unit, must, ok, play, rogue, run, say, skip, start_unit, systemctl, unit_pid,
                 wait_until)

# unit, port, what has the port when it runs
SERVERS = (("nginx.service", 80, "nginx"), ("redis-server.service", 6379, "redis-server"),
           ("postgresql@15-main.service", 5432, "postgres"), ("ssh.service", 22, "sshd"))


def has_command(name):
    return run(PORTLOG, name, "--help").returncode == 0


def listening(port):
    wait_until(lambda: f":{port} " in run("ss", "-tlnH").stdout, f"something listens on {port}")


def why(port):
    """The first TCP answer as an object, and what a person reads."""
    answer = json.loads(run(PORTLOG, "why", "-j", f"{port}/tcp").stdout.splitlines()[0])
    text = run(PORTLOG, "why", f"{port}/tcp").stdout
    say(text)
    return answer, text


def names(what, port, comm, pid, unit):
    answer, text = why(port)
    holder = answer["binds"][0]["holders"][0]
    ok(answer["may_fail"] and (holder["comm"], holder["pid"], holder.get("unit")) == (comm, pid, unit), what,
       json.dumps(answer))
    return text


def fixed(text):
    """Do what the answer says first, as it stands."""
    command = re.search(r"^ +fix +(.*)$", text, re.M)[1].split(", or ")[0].split(";")[0]
    done = run(*shlex.split(command))
    return ok(done.returncode == 0, f'"{command}" can be done', done.stderr)


def servers():
    for unit, port, comm in SERVERS:
        must("systemctl", "start", unit)
        listening(port)
        pid = unit_pid(unit)
        text = names(f"{unit}: why names it", port, comm, pid, unit)
        fixed(text)
        ok(run(PORTLOG, "why", f"{port}/tcp").returncode == 1, f"{unit}: then the port is free")
        end_unit(unit)


def rogues():
    for unit, port, _ in SERVERS:
        pid = rogue("rogue", port, "::")  # both families: sshd and PostgreSQL are content with one
        listening(port)
        failed = systemctl("start", unit).returncode != 0
        text = names(f"{unit}: why names the rogue that has its port", port, "python3", pid, "rogue.service")
        end_unit(unit)
        fixed(text)
        ok(failed and systemctl("start", unit).returncode == 0, f"{unit}: then it starts, which it did not before")
        end_unit(unit, "rogue")


def workers():
    must("systemctl", "start", "nginx")
    master = unit_pid("nginx")
    wait_until(lambda: len(children(master)) > 0, "nginx has workers")
    owners = {master, *children(master)}
    row = json.loads(run(PORTLOG, "list", "-j", "port", "80").stdout.splitlines()[0])
    ok({o["pid"] for o in row["owners"]} == owners, "list: nginx's master and workers own its socket", json.dumps(row))
    say(run(PORTLOG, "list").stdout)
    end_unit("nginx")


def activation():
    must("systemctl", "start", "web.socket")
    _, text = why(8081)
    ok("web.socket" in text and "web.service" in text, "a socket unit: why names the service behind it")
    with socket.create_connection(("127.0.0.1", 8081), LATE) as connection:
        connection.recv(100)
    _, text = why(8081)
    fixed(text)
    ok(run(PORTLOG, "why", "8081/tcp").returncode == 1, "a socket unit: stopped as told with its service, the port is free")
    end_unit("web.socket", "web.service")


def answers():
    if not has_command("why"):
        return skip("why", "this build has no such command")
    for scene in (servers, rogues, workers, activation):
        scene()


def explained(what, *command, wanted):
    """run does not change the status of a command, and says why it failed."""
    bare, traced = run(*command), run(PORTLOG, "run", "--", *command)
    say(traced.stderr)
    ok(traced.returncode == bare.returncode != 0 and wanted in traced.stderr, what, f"{bare}\n{traced}")


def runs():
    if not has_command("run"):
        return skip("run", "this build has no such command")
    pid = rogue("rogue", 80)
    listening(80)
    held = f"held by python3[{pid}] (rogue.service)"
    explained("run: nginx by hand", "nginx", "-c", "/etc/nginx/second.conf", wanted=held)
    explained("run: systemctl start nginx, whose bind is not in its tree", "systemctl", "start", "nginx", wanted=held)
    explained("run: python's http.server", "python3", "-m", "http.server", "80", wanted=held)
    explained("run: node", "node", "-e", "require('http').createServer().listen(80)", wanted=held)
    end_unit("rogue", "nginx")
    pid = start_unit("store", "redis-server", "--port", "7000")
    listening(7000)
    explained("run: redis", "redis-server", "--port", "7000", wanted=f"held by redis-server[{pid}] (store.service)")
    end_unit("store")


play(answers, runs)
