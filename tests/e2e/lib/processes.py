"""Processes below another one, as /proc shows them."""

import contextlib
import os
import pathlib
import signal


def _stat(pid):
    """(state, start time) of a process, None once it is gone."""
    with contextlib.suppress(OSError):
        text = pathlib.Path("/proc", str(pid), "stat").read_text()
        rest = text[text.rindex(")") + 2:].split()
        return rest[0], int(rest[19])
    return None


def name_of(pid):
    with contextlib.suppress(OSError):
        return pathlib.Path("/proc", str(pid), "comm").read_text().strip()
    return ""


def children(pid):
    """Those that one of its threads has started, or that it was given when their parent died (PR_SET_CHILD_SUBREAPER)."""
    found = []
    for path in pathlib.Path("/proc", str(pid), "task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(child) for child in path.read_text().split()]
    return found


def is_alive(pid):
    """A zombie is not: it runs nothing any more."""
    stat = _stat(pid)
    return stat is not None and stat[0] != "Z"


def is_stopped(pid):
    """By SIGSTOP: each of its threads."""
    stat = _stat(pid)
    return stat is not None and stat[0] == "T"


def below(pid):
    """pid → name of every living descendant."""
    found, todo = {}, children(pid)
    while todo:
        child = todo.pop()
        if child not in found and is_alive(child):
            found[child] = name_of(child)
            todo += children(child)
    return found


def family(pid):
    """{(pid, start time): name} of every living descendant: a pid that is used again is another process."""
    return {(child, stat[1]): name for child, name in below(pid).items() if (stat := _stat(child))}


def kill(members):
    """SIGKILL to each of a family(); they may be gone already."""
    for pid, began in members:
        if (stat := _stat(pid)) and stat[1] == began:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
