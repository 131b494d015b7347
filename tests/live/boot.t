#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""portlog boot: a real recording, real sockets in a namespace of our own, and what the table makes of them; TAP."""
import contextlib
import errno
import json
import os
import re
import socket
import sqlite3
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import recording
from recording import PORTLOG, ROOT, Recorder, await_history, barrier, events, fact, history, listener, skip

CLASH = """
import socket, sys
s = socket.socket()
try:
    s.bind((sys.argv[1], int(sys.argv[2])))
except OSError as e:
    sys.exit(e.errno)
"""


def boot(store, *words):
    out = subprocess.run([PORTLOG, "boot", "--store", store, *words], capture_output=True, text=True, check=False)
    return out.stdout, out.stderr, out.returncode


def boot_ended(store, table):
    """As if systemd had finished when the hooks came on: this machine may have none, or have booted long ago."""
    on = table[0]["uptime_us"] * 1000
    with contextlib.closing(sqlite3.connect(store)) as db, db:
        db.execute("INSERT OR REPLACE INTO boots VALUES(?, ?, ?, 0, ?)", (table[0]["boot_id"], on - 2, on + 1, on + 2))


def rows(store, *words):
    out, err, status = boot(store, "-j", "-N", recording.NETNS, *words)
    if status:
        raise RuntimeError(err)
    return json.loads(out)


def of_port(table, port):
    return [(r["row"], r) for r in table["rows"]
            if (r.get("event", {}).get("socket") or r["holder"])["port"] == port]


def clash(address, port):
    """Another process that fails to bind. Its pid and errno."""
    p = subprocess.Popen([sys.executable, "-c", CLASH, address, str(port)])
    return p.pid, p.wait()


def line_of(text, *words):
    return next((line for line in text.splitlines() if all(word in line for word in words)), "")


def recorder(store):
    r = Recorder(store, "-q")
    if not await_history(store, lambda e: e["action"] == "synced"):
        r.end()
        skip("cannot record: " + "".join(r.err.lines).replace("\n", " ")[:200])
    return r


def a_boot(store):
    before = listener(7000)
    r = recorder(store)
    first = listener(7001)
    pid, error = clash("127.0.0.1", 7001)
    fact("the clash is one", error == errno.EADDRINUSE, error)
    _, gone = clash("192.0.2.7", 7002)
    fact("so is the address that is not there", gone == errno.EADDRNOTAVAIL, gone)
    # A client whose port nobody was told of.
    client = socket.create_connection(("127.0.0.1", 7001))
    port = client.getsockname()[1]
    _, taken = clash("127.0.0.1", port)
    fact("a client's port is in the way", taken == errno.EADDRINUSE, taken)
    bound = socket.socket()
    bound.bind(("127.0.0.1", 7003))
    ephemeral = listener(0)
    barrier(store)
    r.end()
    boot_ended(store, events(store))
    text, _, _ = boot(store, "-N", recording.NETNS)
    for line in text.splitlines():
        print("#", line)
    table = rows(store)
    me = os.getpid()

    fact("it ends half a minute after systemd had finished", table["end"] == "finished" and
         table["until_us"] == table["systemd"]["finished_us"] + 30_000_000, table)
    fact("what lies between the recorder's end and that is told", len(table["gaps"]) == 1, table.get("gaps"))
    held = of_port(table, 7000)[0][1]
    fact("what was there before is said to be so", held["held_before"] and held["at_precision"] == "not-before" and
         held["event"]["process"]["pid"] == me, held)
    fact("a bind and its listen are one row of the first owner",
         [(kind, row["event"]["process"]["pid"], row.get("listening")) for kind, row in of_port(table, 7001)] ==
         [("owner", me, True), ("failure", pid, None)], table["rows"])
    owner, failure = (row for _, row in of_port(table, 7001))
    fact("a failure says for how long the holder had had the port",
         abs(failure["at_us"] - owner["at_us"] - failure["had_for_us"]) <= 1 and failure["event"]["holder"]["pid"] == me, failure)
    line = line_of(text, "7001", "FAILED")
    fact("and so does the line", re.search(rf"EADDRINUSE: python3\[{me}\] had it \d+ (us|ms) earlier$", line), line)
    failure = of_port(table, 7002)[0][1]
    at = text.splitlines().index(line_of(text, "7002"))
    fact("every errno is told, with what to do", failure["event"]["errno"] == "EADDRNOTAVAIL" and
         "network-online.target" in text.splitlines()[at + 1], text)
    kinds = [(kind, row.get("holder", {}).get("kind"), row.get("holder", {}).get("pid")) for kind, row in of_port(table, port)]
    fact("who is known from a failure alone has a row, before it", kinds == [("holder", "client", me), ("failure", None, None)],
         kinds)
    fact("it says what it is", "local port of a connection" in line_of(text, f":{port}@", "known from a failure"), text)
    fact("what is only bound is said to be so", line_of(text, "7003").endswith("not listening"), line_of(text, "7003"))
    mine = ephemeral.getsockname()[1]
    fact("a port that nobody asked for by number is for --all", not of_port(table, mine) and
         of_port(rows(store, "--all"), mine), mine)
    out, err, status = boot(store)
    fact("the host's namespace alone is shown unless another is asked for", status == 0 and "7001" not in out, out, err)
    only = rows(store, "-x")["rows"]
    fact("-x has failures and who is known from them", {r["row"] for r in only} == {"failure", "holder"}, only)
    out, _, _ = boot(store, "-N", recording.NETNS, "-H", "-F", "action,port,errno", "7001")
    fact("fields can be picked, and rows by a filter", [line.split() for line in out.splitlines()] ==
         [["bind", "7001", "-"], ["bind", "7001", "EADDRINUSE"]], out)
    for s in (before, first, client, bound, ephemeral):
        s.close()


def valid(store):
    if not os.path.exists(store):
        return
    with tempfile.NamedTemporaryFile("w") as lines:
        for words in ((), ("--all",), ("-x",), ("--hints",)):
            lines.write(boot(store, "-j", "-N", recording.NETNS, *words)[0])
        lines.flush()
        check = subprocess.run([os.path.join(ROOT, "tests", "check-schema.py"), "--schema",
                                os.path.join(ROOT, "docs", "schema", "portlog-boot-1.schema.json"), lines.name],
                               capture_output=True, text=True, check=False)
    fact("all of it is valid by the schema", check.returncode == 0, check.stdout)


def two_runs(store):
    held = listener(7001)
    r = recorder(store)
    r.end()
    late = listener(7005)
    r = recorder(store)
    await_history(store, lambda e: e["action"] == "snapshot" and e["socket"]["port"] == 7005, "port", "7005")
    barrier(store)
    r.end()
    boot_ended(store, events(store))
    table = rows(store)
    fact("a time without a recorder is told", len(table.get("gaps", [])) == 2 and
         table["gaps"][0]["from_us"] < table["gaps"][0]["to_us"], table.get("gaps"))
    fact("who is there still is one row", [kind for kind, _ in of_port(table, 7001)] == ["owner"], table["rows"])
    fact("who came meanwhile is told as such", [row.get("unseen") for _, row in of_port(table, 7005)] == [True], table["rows"])
    fact("and both are as a person reads it", "not recorded: " in boot(store, "-N", recording.NETNS)[0])
    held.close()
    late.close()
    valid(store)


def which_boot(store):
    out, err, status = boot(store)
    fact("without a history it says how to get one, with status 1", status == 1 and not out and store in err and
         "systemctl enable --now portlog" in err and "portlog record" in err, out, err, status)
    r = recorder(store)
    r.end()
    this = events(store)[0]["boot_id"]
    fact("this boot, the last, and by its id are one",
         len({json.loads(boot(store, "-j", *words)[0])["boot_id"] for words in ((), ("-b", "0"), ("-b", this[:6]))}) == 1)
    out, err, status = boot(store, "-b", "-1")
    fact("of a boot that was not recorded it says so, and which there are", status == 1 and not out and this[:8] in err, err)
    for wrong in ("yesterday", "", "1", "0x12"):
        out, err, status = boot(store, "-b", wrong)
        fact(f"-b '{wrong}' is wrong usage", status == 2 and not out and "no boot" in err, err, status)
    out, err, status = boot(store, "nonsense")
    fact("so is a bad filter, with a caret", status == 2 and "^" in err, err)
    with open(store, "r+b") as file:
        file.write(b"this is no database any more")
    out, err, status = boot(store)
    fact("a history that is damaged is told", status == 3 and not out and store in err, err, status)


sys.exit(recording.run((a_boot, two_runs, which_boot)))
