# SPDX-License-Identifier: GPL-2.0-only
"""Docker publishes a port: the proxy that holds it is nobody a person knows, the container is."""
from lib import Trace, Watch, clash, docker_image, end_unit, has, must, play, remedied, rogue, run, say

# iptables is left alone: the proxy is what holds the port, with or without it.
DAEMON = '{"iptables":false,"ip6tables":false,"storage-driver":"vfs"}'

trace = Trace()


def published(name, *more):
    return run("docker", "run", "-d", "--name", name, "--security-opt", "seccomp=unconfined",
               "--stop-signal", "KILL", "-p", "8080:80", *more,
               "box", "/bin/httpd", "-f", "-p", "80")


def a_container_holds_a_port():
    must("docker", "inspect", "--type", "image", "box")
    started = published("shop")
    say(started.stderr)
    event = trace.wait_for("listen", 8080, result="ok")
    # Docker writes down what it has published when all of it is; until then the proxy's arguments say the most.
    has(event, "docker: the proxy's listen is told with its arguments", process__comm="docker-proxy",
        unit="docker.service", process__args=lambda a: a and a[a.index("-host-port") + 1] == "8080")
    proxy = event["process"]["pid"]
    run("python3", "-m", "http.server", "8080")
    event = clash(trace, "docker: who wants a published port is told of the container", 8080, "python3",
                  ("docker-proxy", proxy, "docker.service"), holder__bound_by__container_name="shop")
    say(run("/portlog", "list").stdout)
    remedied(event, "docker: stopping the container frees the port")
    must("docker", "rm", "-f", "shop")


def a_container_finds_it_taken():
    pid = rogue("rogue-web", 8080)
    trace.wait_for("listen", 8080, unit="rogue-web.service")
    say(published("shop").stderr)
    clash(trace, "docker: a container that cannot publish its port is told of the rogue", 8080, "docker-proxy",
          ("python3", pid, "rogue-web.service"), unit="docker.service")
    end_unit("rogue-web")
    must("docker", "rm", "-f", "shop")


with open("/etc/docker/daemon.json", "w") as file:
    file.write(DAEMON)
must("systemctl", "start", "docker")
docker_image("box")
watch = Watch()
try:
    play(a_container_holds_a_port, a_container_finds_it_taken, watch=watch)
finally:
    run("systemctl", "stop", "docker", "docker.socket", "containerd")
