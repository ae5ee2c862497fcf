"""HTTP/1.1 whole: trailers, ranges, interim responses, lengths, and what belongs to one connection only."""

import socket
import time

import pytest

from lib import paths
from lib.client import NoResponse
from lib.origin import OK

HEAD = b"Host: raw.test\r\n"


@pytest.fixture
def stream(shared):
    stream = shared.client().tunnel("raw.test:443")
    yield stream
    stream.close()


def exchange(stream, answer_bytes, raw, request=b"GET / HTTP/1.1\r\n" + HEAD + b"\r\n"):
    """All bytes of the answer, until nothing comes for a moment."""
    raw.answer(answer_bytes)
    stream.send(request)
    head = stream.read_head()
    stream.sock.settimeout(0.3)
    try:
        while stream.fill():
            pass
    except TimeoutError:
        pass
    stream.sock.settimeout(15)
    body, stream.buffer = stream.buffer, b""
    return head, body


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"


# --- trailers ---

def test_a_responses_trailers_reach_the_client(stream, raw):
    head, body = exchange(stream, CHUNKED + b"5\r\nhello\r\n0\r\nX-Sum: 5d41\r\nServer-Timing: a;dur=1\r\n\r\n", raw)
    assert b"\r\nTrailer: X-Sum" in head
    assert body == b"5\r\nhello\r\n0\r\nX-Sum: 5d41\r\nServer-Timing: a;dur=1\r\n\r\n"
    assert stream.request(b"GET /next HTTP/1.1\r\n" + HEAD + b"\r\n").status == 200, "the connection goes on"


def test_a_requests_trailers_reach_the_origin(stream, raw):
    raw.script = lambda c: (c.read_head(), read_until(c, b"X-Sum: 1\r\n\r\n"), c.send(OK))
    stream.send(b"POST / HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\n"
                b"X-Sum: 1\r\n\r\n")
    assert stream.read_response().status == 200
    received = raw.received
    assert received.endswith(b"3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n") and b"Trailer: X-Sum\r\n" in received


def read_until(connection, end):
    while end not in connection.received:
        connection.fill()


FORBIDDEN = [b"Content-Length: 3", b"Transfer-Encoding: chunked", b"Host: evil.test", b"Authorization: Bearer x", b"Set-Cookie: a=b",
             b"Content-Encoding: gzip", b"Content-Type: text/html", b"Content-Range: bytes 0-1/2", b"Cache-Control: public",
             b"Proxy-Authenticate: Basic", b"Connection: close", b"Exeat-Reason: none", b"exeat-id: x", b"Location: /", b"Age: 1",
             b"Set_Cookie: a=b", b"X-HTTP-Method-Override: DELETE"]


def test_trailers_that_would_change_the_message_are_dropped_both_ways(stream, raw):
    lines = b"".join(line + b"\r\n" for line in FORBIDDEN)
    _, body = exchange(stream, CHUNKED + b"2\r\nok\r\n0\r\n" + lines + b"X-Good: 1\r\n\r\n", raw)
    assert body == b"2\r\nok\r\n0\r\nX-Good: 1\r\n\r\n"
    raw.script = lambda c: (c.read_head(), read_until(c, b"X-Good: 1\r\n\r\n"), c.send(OK))
    raw.forget()
    other = stream
    other.send(b"POST / HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n" + lines + b"X-Good: 1\r\n\r\n")
    assert other.read_response().status == 200
    assert raw.received.endswith(b"2\r\nok\r\n0\r\nX-Good: 1\r\n\r\n")


def test_trailers_are_not_sent_on_where_the_policy_speaks_of_header_fields(start, raw):
    """They come after the verdict: nobody judged them."""
    exeat = start(policy='exeat: 1\nallow:\n  - {host: raw.test, methods: [POST], paths: [/**], body: {max: 1KiB}}\n'
                         'deny:\n  - {host: raw.test, headers: {x-evil: "*"}}\n')
    raw.script = lambda c: (c.read_head(), read_until(c, b"0\r\n"), time.sleep(0.2), c.send(OK))
    stream = exeat.client().tunnel("raw.test:443")
    stream.send(b"POST / HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Evil: 1\r\n\r\n")
    assert stream.read_response().status == 200
    assert raw.received.endswith(b"2\r\nok\r\n0\r\n\r\n")


@pytest.mark.parametrize("trailer", [b"X A: 1\r\n", b"no colon\r\n", b" folded\r\n", b"X: a\x00b\r\n", b"X: " + b"y" * 9000 + b"\r\n",
                                     b"X: 1\r\n" * 2000], ids=["space", "no-colon", "fold", "nul", "long", "many"])
def test_bad_trailers_never_end_a_message(stream, raw, trailer):
    _, body = exchange(stream, CHUNKED + b"2\r\nok\r\n0\r\n" + trailer + b"\r\n", raw)
    assert not body.endswith(b"0\r\n\r\n")
    assert stream.ended


def test_an_http_1_0_client_gets_the_body_without_chunks_and_trailers(shared, raw):
    raw.answer(CHUNKED + b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n")
    stream = shared.client().tunnel("raw.test:443")
    stream.send(b"GET / HTTP/1.0\r\n" + HEAD + b"\r\n")
    assert stream.read_response().body == b"hello"


# --- lengths ---

@pytest.mark.parametrize("lengths", [b"Content-Length: 2\r\nContent-Length: 2\r\n", b"Content-Length: 2, 2\r\n"], ids=["lines", "list"])
def test_the_same_length_twice_is_that_length_and_is_written_once(stream, raw, lengths):
    head, body = exchange(stream, b"HTTP/1.1 200 OK\r\n" + lengths + b"\r\nok", raw)
    assert head.count(b"Content-Length") == 1 and b"Content-Length: 2" in head.split(b"\r\n") and body == b"ok"
    head, body = exchange(stream, b"HTTP/1.1 200 OK\r\n" + lengths + b"\r\n", raw, b"HEAD / HTTP/1.1\r\n" + HEAD + b"\r\n")
    assert head.count(b"Content-Length") == 1 and b"Content-Length: 2" in head.split(b"\r\n") and body == b""


@pytest.mark.parametrize("lengths", [b"Content-Length: 2\r\nContent-Length: 3\r\n", b"Content-Length: 2, 3\r\n", b"Content-Length: 2,\r\n",
                                     b"Content-Length: +2\r\n", b"Content-Length: 0x2\r\n", b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
                                     b"Transfer-Encoding: identity\r\n", b"Transfer-Encoding: chunked, chunked\r\n",
                                     b"Transfer-Encoding: xchunked\r\n", b"Transfer-Encoding:\x0bchunked\r\n"])
def test_lengths_that_two_readers_could_read_differently_are_502(stream, raw, lengths):
    head, _ = exchange(stream, b"HTTP/1.1 200 OK\r\n" + lengths + b"\r\n0\r\n\r\n", raw)
    assert head.startswith(b"HTTP/1.1 502 ") and b"upstream-protocol" in head


@pytest.mark.parametrize("lengths", [b"Content-Length: 2\r\nContent-Length: 2\r\n", b"Content-Length: 2, 2\r\n"], ids=["lines", "list"])
def test_in_requests_a_second_length_is_refused_even_if_equal(stream, raw, lengths):
    stream.send(b"POST / HTTP/1.1\r\n" + HEAD + lengths + b"\r\nok")
    assert stream.read_response().reason == "ambiguous-framing"
    assert raw.accepted == 0


@pytest.mark.parametrize("size", [b"5 ", b"5\t", b"5  ;ext", b"5 ; a = b", b"00005    "])
def test_white_space_behind_a_chunk_size_is_taken_of_origins_and_not_of_clients(stream, raw, size):
    _, body = exchange(stream, CHUNKED + size + b"\r\nhello\r\n0 \r\n\r\n", raw)
    assert body == b"5\r\nhello\r\n0\r\n\r\n", "what is sent on has no white space and no extension"
    stream.send(b"POST / HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + size + b"\r\nhello\r\n0\r\n\r\n")
    assert stream.read_response().reason == "ambiguous-framing"


# --- answers without a body, parts, and interim ones ---

@pytest.mark.parametrize("fields", [b"Content-Length: 12345\r\n", b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n", b""],
                         ids=["length", "zero", "chunked", "none"])
def test_an_answer_to_head_keeps_its_length_and_the_connection(stream, raw, fields):
    for _ in range(2):
        head, body = exchange(stream, b"HTTP/1.1 200 OK\r\nETag: \"x\"\r\n" + fields + b"\r\n", raw, b"HEAD /f HTTP/1.1\r\n" + HEAD + b"\r\n")
        assert body == b"" and b'ETag: "x"' in head
        assert (b"Content-Length: 12345" in head) == (b"12345" in fields)
    assert len(raw.connections) == 1


def test_not_modified_keeps_what_it_says_of_the_length(stream, raw):
    head, body = exchange(stream, b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 500\r\nDate: x\r\n\r\n", raw,
                          b"GET /f HTTP/1.1\r\n" + HEAD + b'If-None-Match: "x"\r\n\r\n')
    assert head.startswith(b"HTTP/1.1 304 Not Modified") and b"Content-Length: 500" in head and body == b""
    assert raw.requests[0].field("if-none-match") == '"x"'


PARTS = b"--B\r\nContent-Range: bytes 0-1/9\r\n\r\nab\r\n--B\r\nContent-Range: bytes 5-6/9\r\n\r\nfg\r\n--B--\r\n"


@pytest.mark.parametrize("status, fields, body", [
    (b"206 Partial Content", b"Content-Range: bytes 2-4/9\r\n", b"cde"),
    (b"206 Partial Content", b"Content-Type: multipart/byteranges; boundary=B\r\n", PARTS),
    (b"416 Range Not Satisfiable", b"Content-Range: bytes */9\r\n", b""),
], ids=["one", "many", "none"])
def test_ranges_pass_as_they_are(stream, raw, status, fields, body):
    head, got = exchange(stream, b"HTTP/1.1 " + status + b"\r\n" + fields + b"Content-Length: %d\r\n\r\n" % len(body) + body, raw,
                         b"GET /f HTTP/1.1\r\n" + HEAD + b"Range: bytes=0-1,5-6\r\nIf-Range: \"x\"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 " + status) and fields.strip() in head and got == body
    assert (raw.requests[0].field("range"), raw.requests[0].field("if-range")) == ("bytes=0-1,5-6", '"x"')


def test_all_kinds_of_interim_responses_pass_in_order(stream, raw):
    raw.answer(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\nExeat-Reason: x\r\n\r\n"
               b"HTTP/1.1 199 Odd\r\nX-A: 1\r\n\r\n" + OK)
    stream.send(b"GET / HTTP/1.1\r\n" + HEAD + b"\r\n")
    heads = [stream.read_head() for _ in range(5)]
    assert [h.split(b" ")[1] for h in heads] == [b"100", b"102", b"103", b"199", b"200"]
    assert b"Link: </a>" in heads[2] and b"Exeat" not in heads[2]


def test_interim_responses_without_end_are_502(stream, raw):
    raw.answer(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 50 + OK)
    stream.send(b"GET / HTTP/1.1\r\n" + HEAD + b"\r\n")
    status = b"103"
    while status == b"103":
        try:
            status = stream.read_head().split(b" ")[1]
        except NoResponse:
            return
    assert status == b"502"


def test_switching_protocols_unasked_is_502(stream, raw):
    head, _ = exchange(stream, b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", raw)
    assert head.startswith(b"HTTP/1.1 502")


# --- what belongs to one connection ---

def test_hop_by_hop_and_proxy_fields_of_origins_stay_here(stream, raw):
    head, body = exchange(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=9\r\n"
                          b"Proxy-Authenticate: Basic realm=x\r\nProxy-Authentication-Info: x\r\nProxy-Connection: keep-alive\r\n"
                          b"Upgrade: h2c\r\nTE: x\r\nExeat-Reason: none\r\nEXEAT-ID: 1\r\nX-End: 1\r\n\r\nok", raw)
    names = {line.split(b":")[0].lower() for line in head.split(b"\r\n")[1:]}
    assert names == {b"content-length", b"x-end"} and body == b"ok"


def test_requests_sent_at_once_are_answered_in_order(stream, raw):
    def script(connection):
        while True:
            request = connection.read_request()
            time.sleep(0.1 if request.target == "/0" else 0)
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(request.target), request.target.encode()))
    raw.script = script
    stream.send(b"".join(b"GET /%d HTTP/1.1\r\n" % i + HEAD + b"\r\n" for i in range(8)))
    assert [stream.read_response().body for i in range(8)] == [b"/%d" % i for i in range(8)]


@pytest.mark.parametrize("body", [b"Content-Length: 100\r\n\r\nhalf", b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
                                  b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n", b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\nX: 1\r\n"],
                         ids=["length", "chunks", "last-chunk", "trailers"])
def test_a_client_that_is_cut_off_in_its_body_is_never_a_whole_message_upstream(shared, raw, body):
    ends = []
    raw.script = lambda c: ends.append((c.wait_closed(), bytes(c.received)))
    stream = shared.client().tunnel("raw.test:443")
    stream.send(b"POST / HTTP/1.1\r\n" + HEAD + body)
    time.sleep(0.2)
    stream.sock.shutdown(socket.SHUT_RDWR)
    stream.close()
    paths.wait_until(lambda: ends, "the origin sees the end")
    how, received = ends[0]
    assert how in ("cut", "reset"), "no close_notify: a message of no known length would look whole otherwise"
    assert not received.endswith(b"0\r\n\r\n") and not received.endswith(b"X: 1\r\n\r\n")
