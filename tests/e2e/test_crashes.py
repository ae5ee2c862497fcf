"""A worker that crashes, or hangs, and memory that runs out: nothing leaves that should not, and it is on record."""

import os
import pathlib
import resource
import signal
import time

import pytest

from lib import paths
from lib.client import NoResponse

GET = b"GET /x HTTP/1.1\r\nHost: raw.test\r\n\r\n"


def threads_of(pid, name):
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        if name in (task / "comm").read_text():
            found.append(int(task.name))
    return found


def test_a_worker_that_crashes_ends_the_proxy_and_leaves_a_record(start, raw):
    raw.script = lambda connection: connection.wait_closed()
    exeat = start(workers=4)
    exeat.expected_exit = None
    stream = exeat.client().tunnel("raw.test:443")
    stream.send(GET)
    paths.wait_until(lambda: raw.received, "the request is on its way")
    os.kill(exeat.pid_of("proxy"), signal.SIGSEGV)
    try:
        response = stream.read_response()
    except NoResponse:
        response = None
    assert response is None
    exeat.process.wait(10)
    record = next(r for r in exeat.records("request") if r["outcome"] == "interrupted")
    assert record["url"] == "https://raw.test/x"
    assert exeat.records("stop")[-1]["outcome"] == "interrupted"
    if paths.SANITIZED:
        exeat.stderr_path.write_text("")  # our signal is all that a sanitizer has to report there


def test_a_proxy_that_hangs_lets_nothing_through_and_goes_on(start, raw):
    exeat = start()
    stream = exeat.client().tunnel("raw.test:443")
    assert stream.request(GET).status == 200
    raw.forget()
    os.kill(exeat.pid_of("proxy"), signal.SIGSTOP)
    stream.send(GET)
    time.sleep(1)
    assert raw.received == b""
    os.kill(exeat.pid_of("proxy"), signal.SIGCONT)
    assert stream.read_response().status == 200


@pytest.mark.plain_build
def test_without_memory_nothing_passes_and_then_it_goes_on(start, raw):
    """The address space may not grow any more; what was refused for that leaves nothing upstream unrecorded."""
    exeat = start(workers=1)
    pid = exeat.pid_of("proxy")
    size = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.prlimit(pid, resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))
    held, statuses = [], []
    while len(held) < 2000 and statuses[-1:] in ([], [200]):
        try:
            stream = exeat.client().tunnel("raw.test:443")
            held.append(stream)
            statuses.append(stream.request(GET).status)
        except (NoResponse, OSError, AssertionError):
            statuses.append(None)
    resource.prlimit(pid, resource.RLIMIT_AS, before)
    served = len([r for r in raw.requests])
    recorded = len([r for r in exeat.records("request") if r["verdict"] == "allow"])
    assert exeat.process.poll() is None, exeat.stderr()
    assert statuses[-1] != 200, "the limit was met"
    assert recorded >= served
    del held[:]
    assert exeat.client().tunnel("raw.test:443").request(GET).status == 200
