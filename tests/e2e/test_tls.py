"""TLS towards the client: whose name, whose certificate, whose session, and where the key is."""

import datetime
import socket
import ssl
import time
import warnings

import pytest

from conftest import POLICY
from lib.certs import openssl
from lib.client import Stream


def certificate(stream):
    """The server's certificate as openssl's text."""
    return openssl("x509", "-inform", "DER", "-noout", "-text", "-nameopt", "RFC2253",
                   stdin=stream.sock.getpeercert(binary_form=True)).decode()


def dates(stream):
    text = openssl("x509", "-inform", "DER", "-noout", "-dates", "-dateopt", "iso_8601",
                   stdin=stream.sock.getpeercert(binary_form=True)).decode()
    values = [line.split("=")[1].rstrip("Z") for line in text.splitlines()]
    return [datetime.datetime.fromisoformat(v).replace(tzinfo=datetime.timezone.utc) for v in values]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_both_versions_are_spoken(shared, raw, version):
    client = shared.client()
    stream = client.tunnel("raw.test:443", context=client.context(version=version))
    assert stream.sock.version() == f"TLSv1.{version.name[-1]}"
    assert stream.request(b"GET / HTTP/1.1\r\nHost: raw.test\r\n\r\n").status == 200


def test_old_versions_are_refused(shared, raw):
    client = shared.client()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context = client.context(version=ssl.TLSVersion.TLSv1_1)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        client.tunnel("raw.test:443", context=context)
    assert raw.accepted == 0


def test_the_certificate_is_what_strict_verifiers_ask_for(shared, raw):
    client = shared.client()
    stream = client.tunnel("raw.test:443", context=client.context(strict=True))
    text = certificate(stream)
    assert "DNS:raw.test" in text and text.count("DNS:") == 1, "one name"
    for part in ("X509v3 Authority Key Identifier", "X509v3 Subject Key Identifier", "X509v3 Key Usage: critical",
                 "Digital Signature", "TLS Web Server Authentication", "ASN1 OID: prime256v1"):
        assert part in text, text
    assert "CA:TRUE" not in text
    not_before, not_after = dates(stream)
    now = datetime.datetime.now(datetime.timezone.utc)
    assert not_after - now <= datetime.timedelta(hours=24)
    assert not_after - not_before <= datetime.timedelta(hours=25)
    assert not_before < now - datetime.timedelta(minutes=1), "clocks differ a little"


def test_the_certificate_of_a_blocked_name_is_strict_as_well(shared):
    client = shared.client()
    stream = client.tunnel("nowhere.test:443", context=client.context(strict=True))
    assert "DNS:nowhere.test" in certificate(stream)


def test_an_address_gets_a_certificate_with_the_address(start, origin_ca):
    exeat = start()
    client = exeat.client()
    context = client.context(strict=True)
    stream = client.tunnel("192.0.2.7:443", context=context)
    assert "IP Address:192.0.2.7" in certificate(stream)
    response = stream.request(b"GET / HTTP/1.1\r\nHost: 192.0.2.7\r\n\r\n")
    assert (response.status, response.reason) == (403, "host-not-allowed")


def test_serial_numbers_differ_and_the_key_is_one(shared, raw):
    client = shared.client()
    first, second = (openssl("x509", "-inform", "DER", "-noout", "-serial", "-pubkey",
                             stdin=client.tunnel(f"{name}:443").sock.getpeercert(binary_form=True)).decode().split("\n", 1)
                     for name in ("raw.test", "second.test"))
    assert first[0] != second[0]
    assert first[1] == second[1], "one key a process"


def test_the_ca_is_a_ca_and_its_key_is_private(shared):
    text = openssl("x509", "-in", shared.ca, "-noout", "-text").decode()
    assert "CA:TRUE" in text and "Certificate Sign" in text and "prime256v1" in text
    assert (shared.folder / "ca.key").stat().st_mode & 0o777 == 0o600


def test_http_1_1_is_what_alpn_gives(shared, raw):
    client = shared.client()
    stream = client.tunnel("raw.test:443", context=client.context(alpn=("h2", "http/1.1")))
    assert stream.sock.selected_alpn_protocol() == "http/1.1"
    assert client.tunnel("raw.test:443", context=client.context(alpn=None)).sock.selected_alpn_protocol() is None


def test_a_client_of_http_1_0_may_say_so(shared, raw):
    client = shared.client()
    stream = client.tunnel("raw.test:443", context=client.context(alpn=("http/1.0",)))
    assert stream.sock.selected_alpn_protocol() == "http/1.0"
    assert stream.request(b"GET / HTTP/1.0\r\nHost: raw.test\r\n\r\n").status == 200


@pytest.mark.parametrize("sni", ["evil.test", "second.test", "x.raw.test", "raw.test.evil.test", ""],
                         ids=["evil", "another-allowed-one", "below", "suffix", "none"])
def test_another_server_name_than_the_tunnels_gets_an_alert(shared, raw, sni):
    mark = shared.mark()
    with pytest.raises(ssl.SSLError) as caught:
        shared.client().tunnel("raw.test:443", sni=sni)
    assert "UNRECOGNIZED_NAME" in str(caught.value).upper()
    record = shared.one_record(mark)
    assert (record["kind"], record["verdict"], record["reason"]) == ("connect", "block", "sni-mismatch")
    assert raw.accepted == 0


def test_the_server_name_may_be_in_upper_case(shared, raw):
    stream = shared.client().tunnel("raw.test:443", sni="RAW.test")
    assert stream.request(b"GET / HTTP/1.1\r\nHost: raw.test\r\n\r\n").status == 200


def test_a_server_name_in_a_tunnel_to_an_address_gets_an_alert(shared):
    mark = shared.mark()
    with pytest.raises(ssl.SSLError):
        shared.client().tunnel("192.0.2.7:443", sni="raw.test")
    assert shared.one_record(mark)["reason"] == "sni-mismatch"


def test_every_request_of_a_connection_is_held_to_its_name(shared, raw):
    stream = shared.client().tunnel("raw.test:443")
    assert stream.request(b"GET / HTTP/1.1\r\nHost: raw.test\r\n\r\n").status == 200
    mark = shared.mark()
    response = stream.request(b"GET /2 HTTP/1.1\r\nHost: second.test\r\n\r\n")
    assert (response.status, response.reason) == (421, "authority-mismatch")
    assert shared.one_record(mark)["reason"] == "authority-mismatch"
    assert [r.target for r in raw.requests] == ["/"]


def session_of(client, name, context):
    """A session that the server has offered for this name."""
    stream = client.tunnel(f"{name}:443", context=context)
    stream.request(f"GET / HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())  # tickets come with the first bytes
    return stream.sock.session


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_a_session_resumes_for_its_name_and_task_only(start, raw, version):
    exeat = start(policies={"widgets": POLICY, "gadgets": POLICY}, workers=1)
    client, other_task = exeat.client("widgets"), exeat.client("gadgets")
    context = client.context(version=version)
    context.check_hostname = False  # so that the client lets a session of another name go out
    session = session_of(client, "raw.test", context)
    assert session is not None
    again = client.tunnel("raw.test:443", context=context, session=session)
    assert again.sock.session_reused
    other_name = client.tunnel("second.test:443", context=context, session=session_of(client, "raw.test", context))
    assert not other_name.sock.session_reused
    assert "DNS:second.test" in certificate(other_name)
    elsewhere = other_task.tunnel("raw.test:443", context=context, session=session_of(client, "raw.test", context))
    assert not elsewhere.sock.session_reused


def test_a_client_that_does_not_trust_us_is_on_record(shared, raw):
    client, mark = shared.client(), shared.mark()
    with pytest.raises(ssl.SSLCertVerificationError):
        client.tunnel("raw.test:443", context=client.context(trust=False))
    record = shared.one_record(mark)
    assert (record["kind"], record["reason"]) == ("connect", "client-tls-failed")
    assert raw.accepted == 0


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\nHost: raw.test\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"\x00" * 64,
                                  b"\x16\x03\x01\x00\x05\xff\xff\xff\xff\xff"], ids=["http", "ssh", "zeros", "no-hello"])
def test_what_is_not_tls_is_closed_and_on_record(shared, raw, data):
    stream, response = shared.client().connect("raw.test:443")
    assert response.status == 200
    mark = shared.mark()
    stream.send(data)
    while stream.fill():
        pass
    assert b"HTTP" not in stream.buffer, "no answer in clear"
    record = shared.one_record(mark)
    assert (record["kind"], record["verdict"], record["reason"]) == ("connect", "block", "tunnel-not-tls")
    assert raw.accepted == 0


def test_a_tunnel_in_which_nothing_comes_is_one_connect_record(shared, raw):
    mark = shared.mark()
    stream, response = shared.client().connect("raw.test:443")
    assert response.status == 200
    stream.close()
    assert shared.one_record(mark)["kind"] == "connect"
    assert raw.accepted == 0


def test_a_connection_ends_with_close_notify(shared, raw):
    stream = shared.client().tunnel("raw.test:443")
    assert stream.request(b"GET / HTTP/1.1\r\nHost: raw.test\r\nConnection: close\r\n\r\n").status == 200
    assert stream.is_closed()
    assert stream.end_error is None


def test_a_hello_in_pieces_is_read(shared, raw):
    client = shared.client()
    stream, _ = client.connect("raw.test:443")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client.context().wrap_bio(incoming, outgoing, server_hostname="raw.test")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    hello = outgoing.read()
    stream.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for at in range(0, len(hello), 40):
        stream.send(hello[at:at + 40])
        time.sleep(0.002)
    assert stream.fill() and stream.buffer[0] == 0x16 and stream.buffer[5] == 2, "a ServerHello comes"


def memory_holds(pid, needles):
    """Which of the byte strings stand in the process's readable memory."""
    found, longest = set(), max(map(len, needles))
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            span, rights = line.split()[:2]
            if "r" not in rights or line.rstrip().endswith(("[vvar]", "[vsyscall]")):
                continue
            start, end = (int(part, 16) for part in span.split("-"))
            tail = b""
            while start < end:
                try:
                    memory.seek(start)
                    block = memory.read(min(1 << 24, end - start))
                except OSError:
                    break
                if not block:
                    break
                data = tail + block
                found |= {n for n in needles if n in data}
                tail, start = data[-longest:], start + len(block)
    return found


@pytest.mark.root
@pytest.mark.plain_build
def test_the_ca_key_is_in_the_keeper_and_nowhere_else(shared, raw):
    for name in ("raw.test", "second.test", "nowhere.test"):
        shared.client().get(f"https://{name}/")
    key = shared.folder / "ca.key"
    der = openssl("ec", "-in", key, "-outform", "DER")
    scalar = der[der.index(b"\x04\x20") + 2:][:32]
    # As text, DER, and the number as OpenSSL holds it: 32 bytes in either order.
    base64_line = key.read_bytes().splitlines()[1]
    needles = {scalar, scalar[::-1], der[:40], base64_line}
    assert memory_holds(shared.pid_of("proxy"), needles) == set()
    assert memory_holds(shared.process.pid, needles) == set(), "nor does the supervisor keep it"
    held = memory_holds(shared.pid_of("keeper"), needles)
    assert held & {scalar, scalar[::-1]}, "the search itself works: the keeper has it"


@pytest.mark.root
@pytest.mark.plain_build
def test_the_roles_are_locked_in(shared):
    for role in ("keeper", "proxy"):
        pid = shared.pid_of(role)
        with open(f"/proc/{pid}/status", encoding="ascii") as f:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
        assert status["NoNewPrivs"] == "1"
        assert status["Seccomp"] == "2", f"{role} has a seccomp filter"
        with open(f"/proc/{pid}/environ", "rb") as f:
            names = {v.split(b"=")[0] for v in f.read().split(b"\0") if v}
        assert names <= {b"LANG", b"TZ", b"ASAN_OPTIONS", b"UBSAN_OPTIONS", b"TSAN_OPTIONS"}


def test_many_names_at_once_get_their_own_certificates(shared):
    """The keeper answers in order of arrival; nobody gets another's certificate."""
    client = shared.client()
    streams = []
    for n in range(30):
        stream, response = client.connect(f"n{n}.nowhere.test:443")
        assert response.status == 200
        streams.append((n, stream))
    for n, stream in reversed(streams):
        stream = Stream(client.context().wrap_socket(stream.sock, server_hostname=f"n{n}.nowhere.test"))
        assert f"DNS:n{n}.nowhere.test" in certificate(stream)
