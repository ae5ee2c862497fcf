"""One task, or one address, does not take from the others what they need: connections, and room in the log."""

import select
import socket
import time

from conftest import POLICY
from lib import paths
from lib.client import Stream

GET = b"GET /x HTTP/1.1\r\nHost: raw.test\r\n\r\n"
BLOCKED = b"GET /blocked HTTP/1.1\r\nHost: raw.test\r\n\r\n"
ONLY_X = """\
exeat: 1
allow:
  - name: only x
    host: raw.test
    paths: [/x]
"""


def connect(exeat):
    return Stream(socket.create_connection(("127.0.0.1", exeat.port)))


def test_one_address_has_so_many_connections(prepare, raw):
    exeat = prepare(extra="limits: {connections_per_source: 5}").start()
    mark = exeat.mark()
    held = [connect(exeat) for _ in range(6)]  # the workers need not accept them in this order
    answered = select.select([stream.sock for stream in held], [], [], 5)[0]
    assert len(answered) == 1
    refused = next(stream for stream in held if stream.sock in answered)
    held.remove(refused)
    response = refused.read_response()
    assert (response.status, response.reason) == (429, "too-many-connections")
    assert response["retry-after"] and response["connection"] == "close"
    record = exeat.one_record(mark)
    assert record["task"] is None and record["reason"] == "too-many-connections"
    held.pop().sock.close()

    def works():
        try:
            return exeat.client().connect("raw.test:443")[1].status == 200
        except Exception:
            return False
    paths.wait_until(works, "a place is free again")


def test_another_address_is_not_touched(prepare, raw):
    exeat = prepare(extra="limits: {connections_per_source: 2}").start()
    held = [connect(exeat) for _ in range(2)]
    other = socket.socket()
    other.bind(("127.0.0.2", 0))
    other.connect(("127.0.0.1", exeat.port))
    other.sendall(b"GET / HTTP/1.1\r\n\r\n")
    assert Stream(other).read_response().status == 400
    assert len(held) == 2


def test_a_task_that_floods_the_log_with_blocks_gets_429_alone(prepare, raw):
    exeat = prepare(policies={"widgets": ONLY_X, "gadgets": ONLY_X}).start()
    stream = exeat.client().tunnel("raw.test:443")
    statuses, reasons = [], set()
    for _ in range(60):
        stream.send(BLOCKED * 200)
        for _ in range(200):
            response = stream.read_response()
            statuses.append(response.status)
            reasons.add(response.reason)
    assert reasons == {"path-not-allowed", "request-rate"}
    recorded, counted = statuses.count(403), statuses.count(429)
    assert 10_000 <= recorded < 11_500
    assert statuses[:9_999].count(403) == 9_999
    assert response["retry-after"] == "1"
    assert stream.request(GET).status == 200, "what is allowed goes on"
    assert exeat.client("gadgets").tunnel("raw.test:443").request(BLOCKED).status == 403

    def refused():
        return [r for r in exeat.records("request") if r["reason"] == "request-rate"]
    paths.wait_until(lambda: sum(int(r["detail"].split()[0]) for r in refused()) == counted, "all of them are counted")
    assert {r["task"] for r in refused()} == {"widgets"} and len(refused()) < 60
    assert len([r for r in exeat.records("request") if r["reason"] == "path-not-allowed"]) == recorded + 1
    time.sleep(0.3)
    assert stream.request(BLOCKED).status == 403, "a hundred a second"


def test_a_task_fills_its_share_of_the_log_and_no_more(prepare, raw):
    exeat = prepare(policies={"widgets": ONLY_X, "gadgets": ONLY_X}, extra="limits: {task_records: 1MiB}").start()
    stream, statuses = exeat.client().tunnel("raw.test:443"), []
    for _ in range(10):
        stream.send(GET * 200)
        statuses += [stream.read_response().status for _ in range(200)]
    assert set(statuses) == {200, 429}
    first = statuses.index(429)
    assert 1000 < first < 1600
    assert exeat.client("gadgets").tunnel("raw.test:443").request(GET).status == 200
    assert len([r for r in exeat.records("request") if r["task"] == "widgets" and r["status"] == 200]) == \
        statuses.count(200)


def test_tunnels_that_are_passed_through_fill_their_tasks_share_too(prepare, raw):
    policy = "exeat: 1\nallow:\n  - {name: all of it, host: raw.test, tls: passthrough}\n"
    exeat = prepare(policies={"widgets": policy, "gadgets": policy}, extra="limits: {task_records: 1MiB}").start()
    statuses = []
    while 429 not in statuses and len(statuses) < 2000:
        stream, response = exeat.client().connect("raw.test:443")
        statuses.append(response.status)
        stream.close()
    assert response.reason == "request-rate"
    assert 1000 < len(statuses) < 1600 and set(statuses[:-1]) == {200}
    assert exeat.client("gadgets").connect("raw.test:443")[1].status == 200


def test_one_task_alone_has_the_whole_log(start, raw):
    exeat = start(POLICY)
    stream = exeat.client().tunnel("raw.test:443")
    for _ in range(10):
        stream.send(GET * 200)
        assert {stream.read_response().status for _ in range(200)} == {200}
