# SPDX-License-Identifier: GPL-2.0-only
"""What live tests in Python share: where things are, and TAP."""
import ctypes
import os
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
PORTLOG = os.environ.get("PORTLOG", os.path.join(ROOT, "build", "portlog"))
CLONE_NEWNS, CLONE_NEWNET = 0x20000, 0x40000000
libc = ctypes.CDLL(None, use_errno=True)
n_tests = 0
failed = False


def fact(name, true, *story):
    """The next test; the story of one that failed, in lines that a terminal takes."""
    global n_tests, failed
    n_tests += 1
    print(("ok" if true else "not ok"), n_tests, "-", name, flush=True)
    if not true:
        failed = True
        text = str(story[0] if len(story) == 1 else story)
        for at in range(0, min(len(text), 3000), 150):
            print("#", text[at:at + 150].replace("\n", " "))


def skip(what, why):
    """All of it. Only what is not root may be skipped where BPF is required."""
    if os.environ.get("REQUIRE_BPF") == "1" and "root" not in why:
        print(f"not ok 1 - {what} # {why}\n1..1")
        sys.exit(1)
    print(f"ok 1 - {what} # SKIP {why}\n1..1")
    sys.exit(0)


def end():
    print(f"1..{n_tests}")
    sys.exit(failed)
