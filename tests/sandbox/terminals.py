"""Terminals for the tests: one that a test reads and writes itself, and one that tmux shows."""

import contextlib
import fcntl
import os
import pty
import re
import select
import shlex
import signal
import struct
import subprocess
import tempfile
import termios
import time

from lib import paths

BASH = "/bin/bash"
SHELL = [BASH, "--norc", "--noprofile", "-i"]


class Pty:
    """A program of the world's user on a terminal of its own, whose other side is ours."""

    def __init__(self, world, command, rows=30, columns=100, **environment):
        self.seen = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            if world.as_user():
                os.setgroups([])
                os.setgid(world.uid)
                os.setuid(world.uid)
            os.chdir(world.project)
            os.execve(command[0], [str(w) for w in command], {**world.environment(), "TERM": "xterm", **environment})
        self.resize(rows, columns)

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text):
        os.write(self.fd, text.encode())

    def read(self, seconds=0.1):
        """What has come, "" where nothing did, None at the end."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return ""
        with contextlib.suppress(OSError):  # EIO: nobody holds the other side any more
            return os.read(self.fd, 65536).decode(errors="replace") or None
        return None

    def expect(self, pattern, seconds=20):
        """Reads until the pattern has come; what stands before it is gone afterwards."""
        end = time.monotonic() + seconds
        while not (found := re.search(pattern, self.seen)):
            assert time.monotonic() < end, f"no {pattern!r} in {self.seen[-2000:]!r}"
            more = self.read()
            assert more is not None, f"the end, and no {pattern!r} in {self.seen[-2000:]!r}"
            self.seen += more
        self.seen = self.seen[found.end():]
        return found

    def rest(self):
        """All that comes until the end."""
        while (more := self.read(20)) is not None:
            assert more, "nothing more comes, and no end"
            self.seen += more
        return self.seen

    def modes(self):
        return termios.tcgetattr(self.fd)

    def wait(self):
        """The program's status, as a shell has it."""
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def close(self):
        with contextlib.suppress(OSError):
            os.kill(self.pid, signal.SIGKILL)
        os.close(self.fd)
        with contextlib.suppress(OSError):
            os.waitpid(self.pid, 0)


class Terminal(Pty):
    """A shell with job control."""

    def __init__(self, world, rows=30, columns=100):
        super().__init__(world, SHELL, rows, columns, PS1="outer$ ")
        self.exeat = f"{world.exeat} run --quiet --policy {world.top}/policy.yaml -- "
        self.expect("outer\\$ ")


class Tmux:
    """The same in tmux, with a server of its own: what a person sees."""

    def __init__(self, world, rows=24, columns=80):
        self.world = world
        self.socket = tempfile.mktemp(prefix="exeat-tmux-")
        self.exeat = f"{world.exeat} run --quiet --policy {world.top}/policy.yaml -- "
        line = f"env PS1='outer$ ' TERM=screen {shlex.join(SHELL)}"
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", columns, "-y", rows, line)
        self.sees("outer\\$")

    def tmux(self, *words):
        done = subprocess.run(["tmux", "-S", self.socket, *map(str, words)], capture_output=True, text=True, timeout=20,
                              cwd=self.world.project, env=self.world.environment(), **self.world.as_user())
        assert done.returncode == 0, done.stderr
        return done.stdout

    def type(self, *keys):
        """Words are typed as they are; those in a tuple are names of keys."""
        for key in keys:
            self.tmux("send-keys", *(["-l", "--", key] if isinstance(key, str) else key))

    def enter(self, line):
        self.type(line, ("Enter",))

    def resize(self, rows, columns):
        self.tmux("resize-window", "-x", columns, "-y", rows)

    def screen(self):
        return self.tmux("capture-pane", "-p")

    def sees(self, pattern):
        try:
            return paths.wait_until(lambda: re.search(pattern, self.screen(), re.MULTILINE), pattern, 20, 0.05)
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.screen()}") from None

    def close(self):
        with contextlib.suppress(AssertionError):
            self.tmux("kill-server")
