"""`tls: passthrough`: what goes through uninspected, what does not open, and what is on record of it."""

import datetime
import os
import signal
import socket
import ssl
import struct
import threading
import time

import pytest

from lib import paths
from lib.client import eventually

MIB = 1024 * 1024
POLICY = """\
exeat: 1
task: widgets
allow:
  - {name: opaque, host: [raw.test, "*.raw.test"], tls: passthrough}
  - {name: inspected, host: second.test, paths: [/**]}
"""


@pytest.fixture
def exeat(start, resolve, raw_origin):
    return start(policy=POLICY, resolve=[*resolve, f"www.raw.test:443:127.0.0.1:{raw_origin.port}"], extra="timeouts: {tls_handshake: 1s, idle: 2s}")


@pytest.fixture
def origin_context(origin_ca):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(str(origin_ca.cert))
    return context


def tunnel(exeat, context, authority="raw.test:443", name="raw.test"):
    stream, response = exeat.client().connect(authority)
    assert response.status == 200
    context.check_hostname = False
    stream.sock = context.wrap_socket(stream.sock, server_hostname=name, suppress_ragged_eofs=False)
    return stream


def hello(name):
    """The ClientHello for a name, as Python would send it."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    context.check_hostname = False
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


def with_extension(message, kind):
    """A ClientHello in one record, with one extension more at its end."""
    body = message[9:]
    at = 34 + 1 + body[34]
    at += 2 + int.from_bytes(body[at:at + 2], "big")
    at += 1 + body[at]
    extensions = body[at + 2:] + kind.to_bytes(2, "big") + b"\0\x04grea"
    body = body[:at] + len(extensions).to_bytes(2, "big") + extensions
    handshake = b"\x01" + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x01" + len(handshake).to_bytes(2, "big") + handshake


def ends(stream):
    """What comes until the end."""
    data = b""
    stream.sock.settimeout(5)
    try:
        while piece := stream.sock.recv(65536):
            data += piece
    except (ConnectionError, ssl.SSLError):
        pass
    return data


def test_the_client_sees_the_origins_own_certificate_and_the_record_says_what_went_through(exeat, raw, origin_context):
    stream = tunnel(exeat, origin_context)
    assert "Tests only: origin CA" in str(stream.sock.getpeercert()["issuer"])
    response = stream.request(b"POST /any/thing HTTP/1.1\r\nHost: raw.test\r\nContent-Length: 5\r\n\r\nhello")
    assert (response.status, response.body) == (200, b"ok")
    assert raw.requests[0].line == "POST /any/thing HTTP/1.1", "nobody judged it"
    stream.sock.unwrap().close()
    record = exeat.one_record()
    assert (record["kind"], record["verdict"], record["method"], record["url"]) == \
        ("tunnel", "allow", "CONNECT", "https://raw.test")
    assert record["rule"]["name"] == "opaque"
    assert record["protocol"] == "tls" and record["upstream"]["protocol"] == "tls"
    assert record["upstream"]["tls"] is None and record["upstream"]["address"] == "127.0.0.1"
    assert record["sent"] > 500 and record["received"] > 500 and record["ms"] > 0
    assert record["detail"] == "not inspected" and "outcome" not in record
    text = exeat.cli("log", "--config", exeat.config).stdout
    assert "CONNECT https://raw.test  not inspected" in text


def test_large_bodies_go_through_whole_and_are_counted(exeat, raw, origin_context):
    size = 8 * MIB

    def script(connection):
        connection.keep = False
        request = connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % request.size)
        for _ in range(request.size // MIB):
            connection.send(b"x" * MIB)
    raw.script = script
    stream = tunnel(exeat, origin_context)
    stream.send(b"PUT / HTTP/1.1\r\nHost: raw.test\r\nContent-Length: %d\r\n\r\n" % size + b"y" * size)
    response = stream.read_response()
    assert response.complete and len(response.body) == size
    stream.close()
    record = exeat.one_record()
    assert record["sent"] > size and record["received"] > size
    assert [r["id"] for r in exeat.records("open")] == [record["id"]], "what sends much is on record at once"


def test_a_reader_that_stops_does_not_make_exeat_hold_all_of_it(exeat, raw, origin_context):
    sent = []

    def script(connection):
        connection.read_request()
        connection.sock.settimeout(1)
        while True:
            connection.send(b"x" * 65536)
            sent.append(65536)
    raw.script = script
    stream = tunnel(exeat, origin_context)
    stream.send(b"GET / HTTP/1.1\r\nHost: raw.test\r\n\r\n")
    time.sleep(1.5)
    assert sum(sent) < 24 * MIB, "sockets' buffers, and no more"
    stream.close()


def test_the_end_of_one_side_is_passed_on_and_the_other_still_speaks(exeat, namespaceless_echo):
    """Half-closed: the client's end reaches the origin, whose answer still comes back."""
    stream, response = exeat.client().connect(f"raw.test:{namespaceless_echo}")
    assert response.status == 200
    first = hello("raw.test")
    stream.send(first + b"more")
    stream.sock.shutdown(socket.SHUT_WR)
    assert ends(stream) == first + b"more" + b"[the end]"
    assert exeat.one_record()["sent"] == len(first) + 4


@pytest.fixture
def namespaceless_echo(prepare, start, exeat, resolve):
    """A TCP server that waits for the end, then sends all back."""
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]

    def serve():
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            data = b""
            while piece := connection.recv(65536):
                data += piece
            connection.sendall(data + b"[the end]")
            connection.close()
    threading.Thread(target=serve, daemon=True).start()
    text = exeat.config_text.replace("resolve: [", f'resolve: ["raw.test:{port}:127.0.0.1:{port}", ')
    exeat.reload(POLICY.replace('tls: passthrough}', f'ports: [443, {port}], tls: passthrough}}', 1), config=text)
    yield port
    server.close()


NOT_TLS = {
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n", "http": b"GET / HTTP/1.1\r\nHost: raw.test\r\n\r\n", "zeros": bytes(100),
    "an alert": b"\x15\x03\x01\x00\x02\x02\x28", "application data": b"\x17\x03\x03\x00\x05hello",
    "a server's hello": b"\x16\x03\x03\x00\x04\x02\x00\x00\x00", "version 2": b"\x80\x2e\x01\x00\x02" + bytes(41),
    "a record of no bytes": b"\x16\x03\x01\x00\x00", "a hello of 64 KiB": b"\x16\x03\x01\x40\x00\x01\x00\xff\xff" + bytes(16380),
}


@pytest.mark.parametrize("what", NOT_TLS)
def test_what_is_not_tls_is_closed_and_recorded_and_nothing_is_dialled(exeat, raw, what):
    accepted = raw.accepted
    stream, response = exeat.client().connect("raw.test:443")
    assert response.status == 200
    stream.send(NOT_TLS[what])
    assert ends(stream) == b""
    record = exeat.one_record()
    assert (record["kind"], record["verdict"], record["reason"]) == ("connect", "block", "tunnel-not-tls")
    assert record["sent"] == 0 and record["upstream"] is None
    assert raw.accepted == accepted


@pytest.mark.parametrize("name", ["second.test", "raw.test.evil.test", None, "www.raw.test", "raw.test.",
                                  "127.0.0.1"])
def test_a_server_name_that_is_not_the_connects_gets_an_alert_and_nothing_is_dialled(exeat, raw, name):
    accepted = raw.accepted
    stream, response = exeat.client().connect("raw.test:443")
    assert response.status == 200
    stream.send(hello(name))
    assert ends(stream) == b"\x15\x03\x03\x00\x02\x02\x70", "a fatal alert: unrecognized_name"
    record = exeat.one_record()
    assert (record["kind"], record["verdict"], record["reason"]) == ("connect", "block", "sni-mismatch")
    assert record["sent"] == 0 and raw.accepted == accepted


@pytest.mark.parametrize("kind", [0xfe0d, 0xffce], ids=["ECH or its GREASE", "ESNI"])
def test_a_name_that_may_be_hidden_behind_the_right_one_is_refused(exeat, raw, kind):
    accepted = raw.accepted
    stream, _ = exeat.client().connect("raw.test:443")
    stream.send(with_extension(hello("raw.test"), kind))
    assert ends(stream) == b"\x15\x03\x03\x00\x02\x02\x70"
    record = exeat.one_record()
    assert (record["verdict"], record["reason"], record["upstream"]) == ("block", "sni-mismatch", None)
    assert "ECH" in record["detail"] and raw.accepted == accepted


def test_an_unknown_extension_passes(exeat, raw):
    stream, _ = exeat.client().connect("raw.test:443")
    stream.send(with_extension(hello("raw.test"), 0x1a1a))
    assert stream.sock.recv(5)[:1] == b"\x16", "the origin's ServerHello"
    stream.close()


def test_a_hello_in_many_pieces_is_read_all_the_same(exeat, raw):
    stream, response = exeat.client().connect("raw.test:443")
    for byte in hello("RAW.test"):
        stream.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream.send(bytes([byte]))
    assert stream.sock.recv(5)[:1] == b"\x16", "the origin's ServerHello"
    stream.close()


def in_records(message, most):
    """The same handshake message in records of at most so many bytes (RFC 8446 5.1)."""
    body = message[5:]
    return b"".join(b"\x16\x03\x01" + len(piece).to_bytes(2, "big") + piece
                    for piece in (body[i:i + most] for i in range(0, len(body), most)))


@pytest.mark.parametrize("name, opens", [("raw.test", True), ("second.test", False)])
def test_a_hello_in_many_records_is_one_hello(exeat, raw, name, opens):
    stream, _ = exeat.client().connect("raw.test:443")
    stream.send(in_records(hello(name), 7))
    assert stream.sock.recv(1) == (b"\x16" if opens else b"\x15")
    stream.close()


@pytest.mark.parametrize("name, opens", [(None, True), ("raw.test", False)])
def test_an_address_has_no_server_name(start, raw_origin, raw, name, opens):
    exeat = start(policy=f"exeat: 1\nallow:\n  - {{host: 127.0.0.1, ports: [{raw_origin.port}], tls: passthrough, "
                         "addresses: [127.0.0.1/32]}\n")
    stream, _ = exeat.client().connect(f"127.0.0.1:{raw_origin.port}")
    stream.send(hello(name))
    assert stream.sock.recv(1) == (b"\x16" if opens else b"\x15")
    stream.close()
    assert exeat.one_record()["reason"] == (None if opens else "sni-mismatch")


def test_a_client_that_says_nothing_does_not_stay(exeat, raw):
    stream, _ = exeat.client().connect("raw.test:443")
    before = time.monotonic()
    assert ends(stream) == b"" and time.monotonic() - before < 4
    assert exeat.one_record()["reason"] == "client-tls-failed"


def test_a_tunnel_in_which_nothing_moves_is_ended(exeat, raw, origin_context):
    stream = tunnel(exeat, origin_context)
    before = time.monotonic()
    ends(stream)
    assert 1 < time.monotonic() - before < 5
    record = exeat.one_record()
    assert (record["kind"], record["reason"], record["outcome"]) == ("tunnel", "upstream-timeout", "aborted")
    assert record["detail"] == "not inspected; nothing has moved within timeouts.idle"


def test_the_address_guard_holds(start, namespace, name_server):
    exeat = start(policy=POLICY, resolve=(), namespace=namespace)
    name_server.zone["raw.test"] = ["10.0.0.5"]
    stream, response = exeat.client().connect("raw.test:443")
    stream.send(hello("raw.test"))
    assert ends(stream) == b""
    record = exeat.one_record()
    assert (record["verdict"], record["reason"], record["kind"]) == ("block", "address-blocked", "connect")


def test_an_origin_that_cannot_be_reached_ends_the_tunnel_with_a_record(start, resolve):
    port = paths.free_port()
    exeat = start(policy=POLICY, resolve=[f"raw.test:443:127.0.0.1:{port}"])
    stream, _ = exeat.client().connect("raw.test:443")
    stream.send(hello("raw.test"))
    assert ends(stream) == b""
    assert exeat.one_record()["reason"] == "upstream-refused"


def test_an_origin_that_is_cut_off_cuts_the_client(exeat, raw, origin_context):
    def script(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        time.sleep(0.2)
        connection.reset()
    raw.script = script
    stream = tunnel(exeat, origin_context)
    stream.send(b"GET / HTTP/1.1\r\nHost: raw.test\r\n\r\n")
    response = stream.read_response()
    assert not response.complete and stream.end_error is not None
    assert exeat.one_record()["outcome"] == "aborted"


def test_a_client_that_cuts_the_connection_leaves_a_tunnel_on_record(exeat, raw, origin_context):
    stream = tunnel(exeat, origin_context)
    stream.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.close()
    record = eventually(lambda: exeat.one_record())
    assert (record["kind"], record["verdict"], record["outcome"]) == ("tunnel", "allow", "aborted")
    assert record["detail"] == "not inspected; the client closed the connection"


def test_a_reload_that_takes_the_rule_away_cuts_the_tunnel_within_a_second(exeat, raw, origin_context):
    kept, cut = tunnel(exeat, origin_context, "www.raw.test:443", "www.raw.test"), tunnel(exeat, origin_context)
    mark = exeat.mark()
    exeat.reload(POLICY.replace('[raw.test, "*.raw.test"]', '"*.raw.test"'))
    before = time.monotonic()
    ends(cut)
    assert time.monotonic() - before < 1
    record = exeat.one_record(mark)
    assert (record["kind"], record["verdict"], record["reason"], record["outcome"]) == \
        ("tunnel", "block", "host-not-allowed", "aborted")
    assert record["detail"].startswith("not inspected; ")
    assert kept.request(b"GET / HTTP/1.1\r\nHost: www.raw.test\r\n\r\n").status == 200


def test_a_rule_that_becomes_inspected_cuts_the_tunnel_too(exeat, raw, origin_context):
    stream = tunnel(exeat, origin_context)
    exeat.reload(POLICY.replace("tls: passthrough", "paths: [/**]"))
    ends(stream)
    assert exeat.one_record()["verdict"] == "block"


def test_a_tunnel_ends_with_its_rule(exeat, raw, origin_context):
    until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=1)
    exeat.reload(POLICY.replace("tls: passthrough", f"tls: passthrough, expires: \"{until.isoformat(timespec='milliseconds')}\""))
    stream = tunnel(exeat, origin_context)
    ends(stream)
    after = (datetime.datetime.now(datetime.timezone.utc) - until).total_seconds()
    record = exeat.one_record()
    assert (record["kind"], record["reason"], record["outcome"]) == ("tunnel", "rule-expired", "aborted")
    assert 0 <= after < 1


def test_killing_the_proxy_leaves_a_record_of_the_tunnel(exeat, raw, origin_context):
    exeat.expected_exit = None
    stream = tunnel(exeat, origin_context)
    os.kill(exeat.pid_of("proxy"), signal.SIGKILL)
    record = eventually(lambda: exeat.one_record())
    assert record["outcome"] == "interrupted" and record["url"] == "https://raw.test"
    stream.close()


def test_other_hosts_are_terminated_as_ever(exeat, raw):
    response = exeat.client().get("https://second.test/x")
    assert response.status == 200
    assert exeat.one_record()["kind"] == "request"


def test_the_budget_of_a_passthrough_rule_counts_every_byte(start, raw, origin_context):
    exeat = start(policy=POLICY.replace("tls: passthrough", "tls: passthrough, limits: {upload: 20KiB}"))
    stream = tunnel(exeat, origin_context)
    raw.script = lambda connection: connection.wait_closed()
    try:
        for _ in range(20):
            stream.send(b"x" * 10240)
            time.sleep(0.02)
    except OSError:
        pass
    ends(stream)
    record = exeat.one_record()
    assert (record["reason"], record["outcome"]) == ("upload-budget", "aborted")
    assert record["sent"] <= 20 * 1024
