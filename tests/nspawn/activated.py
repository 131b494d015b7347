# SPDX-License-Identifier: GPL-2.0-only
"""A server of the socket that systemd hands over: it answers each connection with its pid."""
import os
import socket

server = socket.socket(fileno=3)
while True:
    connection, _ = server.accept()
    connection.sendall(f"{os.getpid()}\n".encode())
    connection.close()
