"""What the origin gets is what was judged; what the client gets is what the origin said."""

import base64
import hashlib
import time

import pytest

from conftest import POLICY
from lib import paths, tables
from lib.client import NoResponse

MIB = 1024 * 1024


@pytest.mark.parametrize("sent, judged", tables.load("targets.txt", 3))
def test_the_judged_url_is_the_url_that_is_sent(shared, raw, sent, judged):
    mark = shared.mark()
    stream = shared.client().tunnel("raw.test:443")
    assert stream.request(f"GET {sent} HTTP/1.1\r\nHost: raw.test\r\n\r\n".encode()).status == 200
    assert raw.requests[0].line == f"GET {judged} HTTP/1.1"
    assert shared.one_record(mark)["url"] == f"https://raw.test{judged}"


def test_end_to_end_fields_pass_and_hop_by_hop_fields_stay(shared, raw):
    stream = shared.client().tunnel("raw.test:443")
    stream.send(b"GET / HTTP/1.1\r\nHost: RAW.test:443\r\nAccept: text/x\r\nX-One: 1\r\nX-One: 2\r\nCookie: a=b; c=d\r\n"
                b"Authorization: Bearer t0ken\r\nConnection: keep-alive, X-Secret-Hop\r\nX-Secret-Hop: gone\r\n"
                b"Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: Basic eDp5\r\n"
                b"TE: trailers\r\nTrailer: X\r\n\r\n")
    assert stream.read_response().status == 200
    fields = dict(raw.requests[0].fields())
    assert fields["host"] == "raw.test"
    assert [v for n, v in raw.requests[0].fields() if n == "x-one"] == ["1", "2"]
    assert (fields["accept"], fields["cookie"], fields["authorization"]) == ("text/x", "a=b; c=d", "Bearer t0ken")
    gone = {"x-secret-hop", "keep-alive", "proxy-connection", "proxy-authorization", "te", "trailer", "upgrade"}
    assert not gone & set(fields)


def test_the_origin_cannot_tell_that_a_proxy_is_there(shared, raw, plain):
    """Neither Via nor any kind of Forwarded; the token stays here, in a tunnel and in absolute form."""
    client = shared.client()
    assert client.get("https://raw.test/x").status == 200
    assert client.get("http://plain.test/x?y=1").status == 200
    token = base64.b64encode(f"exeat:{client.token}".encode())
    for origin in (raw, plain):
        seen = origin.received
        assert seen and token not in seen and client.token.encode() not in seen
        names = {name for name, _ in origin.requests[0].fields()}
        assert not names & {"via", "forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto",
                            "proxy-authorization", "proxy-connection", "x-real-ip"}
    assert plain.requests[0].line == "GET /x?y=1 HTTP/1.1", "absolute form ends at the proxy"
    assert plain.requests[0].field("host") == "plain.test"


def test_a_field_that_connection_names_cannot_be_host_or_length(shared, raw):
    """Connection: Host, Content-Length must not take away what the message's meaning hangs on."""
    stream = shared.client().tunnel("raw.test:443")
    stream.send(b"POST / HTTP/1.1\r\nHost: raw.test\r\nContent-Length: 5\r\nConnection: content-length, host\r\n\r\nhello")
    response = stream.read_response()
    if response.status == 200:
        assert raw.requests[0].field("host") == "raw.test"
        assert raw.requests[0].body == b"hello"
    else:
        assert response.status == 400 and raw.accepted == 0


def test_a_response_passes_as_it_is_without_hop_by_hop_fields(shared, raw):
    raw.answer(b"HTTP/1.1 203 Quite Fine\r\nX-A: 1\r\nX-A: 2\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\nKeep-Alive: max=5\r\n"
               b"Connection: keep-alive, X-Hop\r\nX-Hop: gone\r\nExeat-Reason: forged\r\nExeat-Id: forged\r\n"
               b"Proxy-Authenticate: Basic realm=\"phish\"\r\nContent-Length: 3\r\n\r\nabc")
    response = shared.client().get("https://raw.test/")
    assert (response.status, response.body) == (203, b"abc")
    assert [v for n, v in response.fields if n == "x-a"] == ["1", "2"]
    assert [v for n, v in response.fields if n == "set-cookie"] == ["a=b", "c=d"]
    names = {name for name, _ in response.fields}
    assert not names & {"x-hop", "keep-alive", "proxy-authenticate", "exeat-reason", "exeat-id"}


def test_head_has_no_body_whatever_its_length_says(shared, raw):
    def script(connection):
        while True:
            request = connection.read_request()
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + (b"" if request.line[:4] == "HEAD" else b"x" * 1000))
    raw.script = script
    stream = shared.client().tunnel("raw.test:443")
    response = stream.request(b"HEAD / HTTP/1.1\r\nHost: raw.test\r\n\r\n")
    assert (response.status, response["content-length"], response.body) == (200, "1000", b"")
    assert stream.request(b"GET / HTTP/1.1\r\nHost: raw.test\r\n\r\n").body == b"x" * 1000


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_a_status_without_a_body_keeps_the_connection(shared, raw, status):
    raw.answer(b"HTTP/1.1 " + status + b"\r\nETag: \"x\"\r\n\r\n")
    stream = shared.client().tunnel("raw.test:443")
    for _ in range(3):
        response = stream.request(b"GET / HTTP/1.1\r\nHost: raw.test\r\n\r\n")
        assert (str(response.status).encode(), response["etag"]) == (status[:3], '"x"')
    assert raw.accepted == 1


def test_chunks_pass_both_ways(shared, raw):
    raw.answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\nX-Trailer: y\r\n\r\n")
    stream = shared.client().tunnel("raw.test:443")
    for _ in range(2):
        response = stream.request(b"POST /c HTTP/1.1\r\nHost: raw.test\r\nTransfer-Encoding: chunked\r\n\r\n"
                                  b"3\r\nabc\r\nA;x=\"y\"\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\n")
        assert (response.status, response.body, response.complete) == (200, b"hello world", True)
    assert [r.size for r in raw.requests] == [13, 13]
    assert all(r.field("content-length") is None for r in raw.requests)


def test_a_response_that_ends_with_the_connection_reaches_an_http_1_0_client_and_1_1_alike(shared, raw):
    def script(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the end")
    raw.script = script
    response = shared.client().get("https://raw.test/")
    assert (response.status, response.body, response.complete) == (200, b"until the end", True)
    stream = shared.client().tunnel("raw.test:443")
    response = stream.request(b"GET / HTTP/1.0\r\nHost: raw.test\r\n\r\n")
    assert (response.status, response.body) == (200, b"until the end")
    assert response["transfer-encoding"] is None, "HTTP/1.0 has no chunks"


def test_expect_100_continue_is_answered_and_the_body_arrives(shared, raw):
    def script(connection):
        request = connection.read_head()
        connection.requests.append(request)
        if request.field("expect"):
            connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.read_body(request)
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    raw.script = script
    stream = shared.client().tunnel("raw.test:443")
    stream.send(b"POST / HTTP/1.1\r\nHost: raw.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    first = stream.read_response()
    if first.status == 100:
        stream.send(b"hello")
        first = stream.read_response()
    assert first.status == 200, first
    assert raw.requests[0].body == b"hello"


def test_a_blocked_upload_is_refused_before_its_body_is_asked_for(shared, raw):
    stream = shared.client().tunnel("api.test:443")
    stream.send(b"POST /v1/other HTTP/1.1\r\nHost: api.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    response = stream.read_response()
    assert (response.status, response.reason) == (403, "method-not-allowed")
    assert stream.is_closed(), "its body was not read"


def test_an_early_answer_reaches_the_client_while_it_uploads(shared, raw):
    def script(connection):
        connection.read_head()
        connection.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
    raw.script = script
    stream = shared.client().tunnel("raw.test:443")
    stream.send(b"POST / HTTP/1.1\r\nHost: raw.test\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1000)
    response = stream.read_response()
    assert (response.status, response.body) == (413, b"big")
    assert response.reason is None


@pytest.fixture
def without_tickets(raw):
    """A ticket that the origin writes into a reset connection would take the error that its next read is to see."""
    before, raw.context.num_tickets = raw.context.num_tickets, 0
    yield
    raw.context.num_tickets = before


def test_a_body_that_grows_over_its_limit_on_the_way_is_never_whole_upstream(start, raw, without_tickets):
    exeat = start(policy="exeat: 1\nallow:\n  - {host: raw.test, methods: [POST], paths: [/**], body: {max: 100KiB}}\n")
    stream = exeat.client().tunnel("raw.test:443")
    stream.send(b"POST / HTTP/1.1\r\nHost: raw.test\r\nTransfer-Encoding: chunked\r\n\r\n")
    try:
        for _ in range(20):
            stream.send(b"2000\r\n" + b"x" * 8192 + b"\r\n")
        stream.send(b"0\r\n\r\n")
        response = stream.read_response("POST")
        assert (response.status, response.reason) == (413, "body-too-large")
    except (NoResponse, OSError):
        pass  # cut: bytes had gone upstream
    assert exeat.one_record()["reason"] == "body-too-large"
    assert all(r.body == b"" for r in raw.requests)
    paths.wait_until(lambda: all(c.ended for c in raw.connections), "the connection upstream has ended")
    assert "clean" not in [c.ended for c in raw.connections], "it was aborted"


def test_interim_responses_do_not_end_the_exchange(shared, raw):
    raw.answer(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    stream = shared.client().tunnel("raw.test:443")
    response = stream.request(b"GET / HTTP/1.1\r\nHost: raw.test\r\n\r\n")
    while response.status < 200:
        response = stream.read_response()
    assert (response.status, response.body) == (200, b"ok")


def test_connections_upstream_are_used_again_within_a_task_only(start, raw):
    exeat = start(policies={"widgets": POLICY, "gadgets": POLICY.replace("widgets", "gadgets")}, workers=1)
    for _ in range(3):
        assert exeat.client("widgets").get("https://raw.test/").status == 200
    assert raw.accepted == 1, "three client connections of one task share a connection upstream"
    assert exeat.client("gadgets").get("https://raw.test/").status == 200
    assert raw.accepted == 2, "another task has its own"
    assert exeat.client("widgets").get("https://second.test/").status == 200
    assert raw.accepted == 3, "another host has its own, though it is the same server"


def test_the_record_counts_what_went_and_came(shared, raw):
    raw.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"y" * 1000)
    mark = shared.mark()
    shared.client().get("https://raw.test/count?x=1", method="POST", body=b"z" * 500)
    record = shared.one_record(mark)
    assert (record["verdict"], record["reason"], record["status"]) == ("allow", None, 200)
    assert (record["method"], record["url"]) == ("POST", "https://raw.test/count?x=1")
    assert record["rule"]["name"] == "anything on raw" and record["rule"]["line"] > 1
    assert record["sent"] >= 500 + len("POST /count?x=1 HTTP/1.1\r\n\r\n")
    assert record["received"] >= 1000
    assert record["upstream"]["address"] == "127.0.0.1" and record["upstream"]["port"] == raw.port
    assert record["upstream"]["tls"].startswith("TLSv1.") and record["upstream"]["protocol"] == "http/1.1"
    assert record["client"]["address"].startswith("127.0.0.1")
    assert record["ms"] >= 0 and len(record["id"]) == 26 and record["task"] == "widgets"


BROKEN = {
    "not HTTP": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "a status that is no number": b"HTTP/1.1 2xx OK\r\nContent-Length: 2\r\n\r\nok",
    "two lengths that differ": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    "length beside chunked": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bare line feeds": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "a folded field": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
    "a space before the colon": b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok",
    "a NUL in a value": b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nok",
    "a field behind a bare carriage return": b"HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\nContent-Length: 2\r\n\r\nok",
    "a carriage return in the reason": b"HTTP/1.1 200 O\rK\r\nContent-Length: 2\r\n\r\nok",
    "a length that Connection takes away": b"HTTP/1.1 200 OK\r\nConnection: content-length\r\nContent-Length: 2\r\n\r\nok",
    "chunks in HTTP 1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "chunks where no body can be": b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP 2": b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "an unknown transfer coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok",
    "switching protocols unasked": b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    "a head without end": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000,
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=[n.replace(" ", "-") for n in BROKEN])
def test_a_malformed_answer_is_502(shared, raw, answer):
    raw.answer(answer)
    mark = shared.mark()
    response = shared.client().get("https://raw.test/")
    assert (response.status, response.reason) == (502, "upstream-protocol")
    record = shared.one_record(mark)
    assert (record["status"], record["reason"]) == (502, "upstream-protocol")


CUT = {
    "before the head": b"",
    "within the head": b"HTTP/1.1 200 OK\r\nContent-Le",
}


@pytest.mark.parametrize("piece", CUT.values(), ids=[n.replace(" ", "-") for n in CUT])
def test_an_answer_that_is_cut_in_its_head_is_502(shared, raw, piece):
    def script(connection):
        connection.read_request()
        connection.send(piece)
        connection.cut()
    raw.script = script
    mark = shared.mark()
    response = shared.client().get("https://raw.test/", method="POST", body=b"x")
    assert (response.status, response.reason) == (502, "upstream-closed")
    assert shared.one_record(mark)["reason"] == "upstream-closed"


@pytest.mark.parametrize("head", [b"Content-Length: 1000\r\n\r\n" + b"x" * 10,
                                  b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
                                  b"Content-Type: text/plain\r\n\r\nuntil the end, but without close_notify"],
                         ids=["length", "chunks", "until-the-end"])
def test_a_body_that_is_cut_never_looks_whole(shared, raw, head):
    def script(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\n" + head)
        connection.cut()
    raw.script = script
    mark = shared.mark()
    stream = shared.client().tunnel("raw.test:443")
    try:
        response = stream.request(b"GET / HTTP/1.1\r\nHost: raw.test\r\n\r\n")
        assert not response.complete, response
    except NoResponse:
        pass
    record = shared.one_record(mark)
    assert record["reason"] == "upstream-closed" or record.get("outcome"), record


def test_a_pooled_connection_that_has_gone_is_not_the_clients_problem(shared, raw):
    """The origin closes after each answer without saying so: the next request still succeeds."""
    def script(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    raw.script = script
    stream = shared.client().tunnel("raw.test:443")
    for _ in range(5):
        assert stream.request(b"GET / HTTP/1.1\r\nHost: raw.test\r\n\r\n").status == 200
        time.sleep(0.05)  # so that its going is there to be seen


def test_bytes_on_an_idle_connection_upstream_are_never_an_answer(shared, raw):
    """An origin that answers once more than it was asked: the surplus is not the next request's answer."""
    def script(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")
        connection.wait_closed()
    raw.script = script
    stream = shared.client().tunnel("raw.test:443")
    for _ in range(3):
        try:
            assert stream.request(b"GET / HTTP/1.1\r\nHost: raw.test\r\n\r\n").body == b"ok"
        except NoResponse:
            stream = shared.client().tunnel("raw.test:443")
        time.sleep(0.1)  # so that the surplus is there before the next request is


def test_a_request_that_may_have_been_read_is_not_sent_twice(shared, raw):
    def script(connection):
        connection.read_request()
        if len(raw.requests) == 1:
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            connection.read_request()
        connection.cut()
    raw.script = script
    stream = shared.client().tunnel("raw.test:443")
    post = b"POST /once HTTP/1.1\r\nHost: raw.test\r\nContent-Length: 1\r\n\r\nx"
    assert stream.request(b"GET /first HTTP/1.1\r\nHost: raw.test\r\n\r\n").status == 200
    assert stream.request(post).status == 502
    assert [r.target for r in raw.requests].count("/once") == 1


@pytest.mark.plain_build
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunks"])
def test_a_large_upload_streams_and_memory_stays_small(start, raw, chunked):
    size, piece = 50 * MIB, b"u" * 65536
    seen = []

    def script(connection):
        connection.keep = False
        seen.append(connection.read_request())
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    raw.script = script
    exeat = start(workers=1)
    stream = exeat.client().tunnel("raw.test:443")
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % size
    stream.send(b"PUT /big HTTP/1.1\r\nHost: raw.test\r\n" + framing + b"\r\n\r\n")
    before = peak_memory(exeat)
    for _ in range(size // len(piece)):
        stream.send(b"10000\r\n" + piece + b"\r\n" if chunked else piece)
    if chunked:
        stream.send(b"0\r\n\r\n")
    assert stream.read_response().status == 200
    assert seen[0].size == size
    assert peak_memory(exeat) - before < 4 * MIB
    assert exeat.records("request")[-1]["sent"] >= size


@pytest.mark.plain_build
def test_a_large_download_waits_for_a_slow_reader_in_small_memory(start, raw):
    size, piece = 50 * MIB, bytes(range(256)) * 256
    whole = hashlib.sha256(piece * (size // len(piece))).hexdigest()

    def script(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // len(piece)):
            connection.send(piece)
    raw.script = script
    exeat = start(workers=1)
    stream = exeat.client().tunnel("raw.test:443")
    before = peak_memory(exeat)
    stream.send(b"GET /big HTTP/1.1\r\nHost: raw.test\r\n\r\n")
    head = stream.read_head()
    assert b"200 OK" in head
    time.sleep(0.5)  # the origin would have sent it all by now
    assert peak_memory(exeat) - before < 4 * MIB
    body, complete = stream.take(size)
    assert complete and hashlib.sha256(body).hexdigest() == whole
    assert peak_memory(exeat) - before < 4 * MIB


def peak_memory(exeat):
    """The most that the proxy process has held, in bytes."""
    with open(f"/proc/{exeat.pid_of('proxy')}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmHWM"))



def test_answers_may_come_in_any_pieces(shared, raw):
    def script(connection):
        while True:
            connection.read_request()
            for byte in b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n":
                connection.send(bytes([byte]))
    raw.script = script
    stream = shared.client().tunnel("raw.test:443")
    assert [stream.request(b"GET / HTTP/1.1\r\nHost: raw.test\r\n\r\n").body for _ in range(2)] == [b"abc", b"abc"]


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "proxy.example:{port}", "raw.test"])
def test_a_connect_may_name_the_proxy_in_host(shared, raw, host):
    """As Node's http.request does; a name of somebody else is refused (cases/explicit.txt)."""
    client = shared.client()
    _, response = client.connect("raw.test:443", host=host.format(port=client.port))
    assert response.status == 200, response
