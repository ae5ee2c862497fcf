"""Where things are: the programs under test, the sources, free ports."""

import os
import pathlib
import shutil
import socket
import time

E2E = pathlib.Path(__file__).resolve().parent.parent
SOURCE = pathlib.Path(os.environ.get("EXEAT_TOP_SRCDIR", E2E.parent.parent))
BUILD = pathlib.Path(os.environ.get("EXEAT_TOP_BUILDDIR", SOURCE / "build"))
BINDIR = pathlib.Path(os.environ.get("EXEAT_BINDIR", BUILD / "bin"))
EXEAT = BINDIR / "exeat"
CASES = E2E / "cases"

# A build under a sanitizer has other sizes and speeds; what depends on them is judged on the plain build.
SANITIZED = bool(os.environ.get("EXEAT_SANITIZERS", ""))
NO_JAILS = "thread" in os.environ.get("EXEAT_SANITIZERS", "")  # it has a thread itself, and so no unshare(2)
IS_ROOT = os.geteuid() == 0


def program(name):
    """The path of a program, also where sbin is not in PATH; None where it is not installed."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin:/usr/lib/git-core")


def free_port():
    """A port that nobody uses at the moment."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until(condition, what, seconds=10, step=0.01):
    """Polls until condition() is true and returns its value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"still not after {seconds} s: {what}")
        time.sleep(step)
