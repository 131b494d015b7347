# SPDX-License-Identifier: GPL-2.0-only
"""A service that listens on a port which is not its own, and tells systemd when it does."""
import os
import signal
import socket
import sys

server = socket.create_server(("", int(sys.argv[1])))
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
    notify.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
signal.pause()
