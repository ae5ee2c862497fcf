"""What the end-to-end and the sandbox tests share (a pytest plugin): no test hangs, none leaves a process behind, and

    scratch          a folder of the session     origin_ca     whom the proxy trusts, and nobody else
    nginx            what real clients talk to   plain_origin  a scripted origin without TLS

A phase of a test (setting up, itself, cleaning up) gets LIMIT seconds; `@pytest.mark.limit(N)` says otherwise. Then an
exception ends it, wherever it waits. Where not even that helps, the whole run ends with a trace of every thread.
"""

import faulthandler
import os
import signal
import time

import pytest

from . import certs, nginx as nginx_module, origin, paths, processes

LIMIT = 180
AGAIN = 10  # the exception may get lost in code that catches all of them, and is raised once more
HOPELESS = 60  # after LIMIT
GRACE = 3  # from the end of a test to that of all it has started
SLOWER = 3 if paths.SANITIZED else 1

MARKERS = (
    "plain_build: judges sizes or speeds; not under a sanitizer",
    "root: needs root",
    "jail: starts one; not under the thread sanitizer",
    "limit(seconds): how long each phase of the test may take",
)

# Orphans fall to the process that `run` started us from; without it they are out of sight.
REAPER = os.getppid() if os.environ.get("EXEAT_TEST_REAPER") == str(os.getppid()) else os.getpid()

TRACES = pytest.StashKey()  # of a session: where traces of all threads go
BEFORE = pytest.StashKey()  # of a test: the processes that were there when it began


class TooLong(Exception):
    """A phase of a test has had its time."""


def _limited(item, phase):
    marker = item.get_closest_marker("limit")
    limit = (marker.args[0] if marker else LIMIT) * SLOWER

    def ring(_number, _frame):
        raise TooLong(f"{phase} takes longer than {limit} s")

    previous = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, limit, AGAIN)
    faulthandler.dump_traceback_later(limit + HOPELESS, exit=True, file=item.config.stash[TRACES])
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def pytest_configure(config):
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    if not paths.EXEAT.exists():
        raise pytest.UsageError(f"{paths.EXEAT} is missing: run make first, or set EXEAT_BINDIR")
    # where standard error led before pytest began to capture it
    capture = config.pluginmanager.getplugin("capturemanager")
    capture.suspend_global_capture()
    config.stash[TRACES] = os.fdopen(os.dup(2), "w")
    capture.resume_global_capture()


def pytest_collection_modifyitems(items):
    for item in items:
        if paths.SANITIZED and item.get_closest_marker("plain_build"):
            item.add_marker(pytest.mark.skip(reason="sizes and speeds are judged on the plain build"))
        if paths.NO_JAILS and item.get_closest_marker("jail"):
            item.add_marker(pytest.mark.skip(reason="no jails under the thread sanitizer"))
        if not paths.IS_ROOT and item.get_closest_marker("root"):
            item.add_marker(pytest.mark.skip(reason="needs root"))


def _started_since(item):
    """What was started after the test had been set up, and lives."""
    return {member: name for member, name in processes.family(REAPER).items() if member not in item.stash[BEFORE]}


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_setup(item):
    yield from _limited(item, "setting up")
    item.stash[BEFORE] = processes.family(REAPER)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    yield from _limited(item, "the test")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_teardown(item):
    yield from _limited(item, "cleaning up")
    if BEFORE not in item.stash:  # it was skipped
        return
    end = time.monotonic() + GRACE * SLOWER
    while (left := _started_since(item)) and time.monotonic() < end:
        time.sleep(0.02)
    for _ in range(10 if left else 0):  # what one of them starts while it is being killed
        processes.kill(_started_since(item))
    if left:
        pytest.fail(f"the test has left processes behind: {left}", pytrace=False)


@pytest.fixture(scope="session")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("exeat")


@pytest.fixture(scope="session")
def origin_ca(scratch):
    return certs.TestCA(scratch / "origin-ca")


@pytest.fixture(scope="session")
def nginx(scratch, origin_ca):
    server = nginx_module.Nginx(scratch / "nginx", origin_ca)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def plain_origin():
    server = origin.Origin()
    yield server
    server.stop()
