"""Malformed and ambiguous requests: an answer, an end, one record, and nothing upstream."""

import pytest

from lib import tables
from lib.client import NoResponse, basic


def bytes_of(text, exeat=None):
    data = tables.unescape(text)
    if exeat:
        data = data.replace(b"{AUTH}", basic(exeat.token("widgets")))
    return tables.repeat(data)


def fits(status, expected):
    """Whether a status is as a table says: 400, or 4xx."""
    return str(status) == expected or (expected == "4xx" and 400 <= status < 500)


def assert_refused(response, record, status, reason):
    assert fits(response.status, status), response
    assert response.reason == record["reason"]
    assert reason in ("*", response.reason), response
    assert record["verdict"] == "block"
    assert record["status"] == response.status
    assert record["upstream"] is None
    assert record["sent"] == 0


@pytest.mark.parametrize("status, reason, text", tables.load("requests.txt", 4))
def test_request_in_a_tunnel_is_refused(shared, raw, status, reason, text):
    stream = shared.client().tunnel("raw.test:443")
    mark = shared.mark()
    response = stream.request(bytes_of(text))
    assert response.status != 400 or stream.is_closed(), "a malformed request ends its connection"
    assert_refused(response, shared.one_record(mark), status, reason)
    assert raw.accepted == 0


@pytest.mark.parametrize("status, reason, text", tables.load("explicit.txt", 4))
def test_request_on_the_explicit_port_is_refused(shared, raw, plain, status, reason, text):
    stream, mark = shared.client().plain(), shared.mark()
    response = stream.request(bytes_of(text, shared))
    assert response.status != 400 or stream.is_closed(), "a malformed request ends its connection"
    assert_refused(response, shared.one_record(mark), status, reason)
    assert raw.accepted == plain.accepted == 0


@pytest.mark.parametrize("text", tables.load("chunks.txt", 2))
def test_broken_chunks_never_become_a_whole_message(shared, raw, text):
    stream, mark = shared.client().tunnel("raw.test:443"), shared.mark()
    head = b"POST /upload HTTP/1.1\r\nHost: raw.test\r\nTransfer-Encoding: chunked\r\n\r\n"
    try:
        response = stream.request(head + bytes_of(text))
        assert response.status in (400, 431), response
    except NoResponse:
        pass  # cut: that is also right once the head has gone upstream
    assert stream.is_closed()
    record = shared.one_record(mark)
    assert record["reason"] in ("malformed-request", "ambiguous-framing", "head-too-large")
    for connection in raw.connections:
        assert not any(r.body for r in connection.requests), "the origin saw a message end"
        assert b"evil" not in connection.received


def test_a_head_that_is_not_read_to_its_end_ends_its_connection(shared, raw):
    stream = shared.client().tunnel("raw.test:443")
    response = stream.request(b"GET / HTTP/1.1\r\nHost: raw.test\r\nX: " + b"a" * 70_000)
    assert (response.status, response.reason) == (431, "head-too-large")
    assert stream.is_closed()


def test_what_follows_a_refused_request_is_not_read(shared, raw):
    """The smuggled second request is never judged: the connection ends with the first."""
    stream, mark = shared.client().tunnel("raw.test:443"), shared.mark()
    response = stream.request(b"POST / HTTP/1.1\r\nHost: raw.test\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
                              b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: raw.test\r\n\r\n")
    assert response.status == 400
    assert stream.is_closed()
    assert shared.one_record(mark)["reason"] == "ambiguous-framing"
    assert raw.accepted == 0


def test_pipelined_requests_are_answered_in_order(shared, raw):
    stream = shared.client().tunnel("raw.test:443")
    stream.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: raw.test\r\n\r\n" % n for n in range(5)))
    assert [stream.read_response().status for _ in range(5)] == [200] * 5
    assert [r.target for r in raw.requests] == [f"/{n}" for n in range(5)]


def test_a_head_that_comes_byte_by_byte_is_read_all_the_same(shared, raw):
    stream = shared.client().tunnel("raw.test:443")
    for byte in b"GET /slowly HTTP/1.1\r\nHost: raw.test\r\n\r\n":
        stream.send(bytes([byte]))
    assert stream.read_response().status == 200
    assert raw.requests[0].target == "/slowly"


def test_a_body_does_not_become_the_next_request(shared, raw):
    stream = shared.client().tunnel("raw.test:443")
    body = b"GET /inner HTTP/1.1\r\nHost: raw.test\r\n\r\n"
    stream.send(b"POST /outer HTTP/1.1\r\nHost: raw.test\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    stream.send(b"GET /next HTTP/1.1\r\nHost: raw.test\r\n\r\n")
    assert stream.read_response().status == stream.read_response().status == 200
    assert [r.target for r in raw.requests] == ["/outer", "/next"]
    assert raw.requests[0].body == body
