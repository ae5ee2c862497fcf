"""Connections of programs that know nothing of proxies, in a jail's network: led to exeat, or ended."""

import contextlib
import os
import socket
import threading

import pytest

from lib import jailed, origin, paths

pytestmark = pytest.mark.jail

POLICY = """\
exeat: 1
allow:
  - name: the api
    host: api.test
    methods: [GET, POST]
    paths: [/v1/**]
    body: {max: 1MiB}
  - name: plain
    host: plain.test
    scheme: http
    paths: [/**]
  - name: another port
    host: api.test
    ports: [8443]
    paths: [/**]
  - name: by address
    host: 203.0.113.7
    paths: [/**]
  - name: opaque
    host: opaque.test
    tls: passthrough
deny:
  - host: evil.test
    message: Not there.
"""


@pytest.fixture(scope="module")
def api(origin_ca):
    server = origin.Origin(origin_ca.issue("api.test", "203.0.113.7", "opaque.test"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def plain_origin():
    server = origin.Origin()
    yield server
    server.stop()


@pytest.fixture(scope="module", params=["root", "unprivileged"] if paths.IS_ROOT else ["own"])
def jail(request, tmp_path_factory, origin_ca, api, plain_origin):
    folder = tmp_path_factory.mktemp("jail")
    for up in [folder, *list(folder.parents)[:-2]]:
        os.chmod(up, 0o755)
    here = f"127.0.0.1:{api.port}"
    return jailed.Jailed(
        folder, POLICY, origin_ca.cert,
        resolve=[f"api.test:443:{here}", f"api.test:8443:{here}", f"203.0.113.7:443:{here}", f"opaque.test:443:{here}",
                 f"plain.test:80:127.0.0.1:{plain_origin.port}"],
        user=jailed.UNPRIVILEGED if request.param == "unprivileged" else None)


def skip_where_root_keeps_capabilities(jail):
    """In a network alone; in a whole jail bubblewrap takes them from root too (tests/sandbox)."""
    if paths.IS_ROOT and jail.user is None:
        pytest.skip("user 0, mapped to itself, keeps its capabilities in the namespace")


def only(records):
    assert len(records) == 1, records
    return records[0]


def test_tls_is_terminated_by_its_server_name(jail, api):
    api.forget()
    done = jail.python("say(ask(tls('api.test'), 'api.test', '/v1/x'))")
    assert done.said.startswith("HTTP/1.1 200") and done.said.endswith("ok")
    record = only(done.of("request"))
    assert (record["verdict"], record["url"], record["task"]) == ("allow", "https://api.test/v1/x", "jailed")
    assert api.hellos == ["api.test"]


def until_known(run, kind="request"):
    """A record waits 50 ms at most to hear who asked: on a busy machine that may take more than one try."""
    for _ in range(10):
        done = run()
        client = only(done.of(kind))["client"]
        if client["pid"] is not None:
            break
    return done, client


def test_the_record_says_who_asked(jail):
    done, client = until_known(
        lambda: jail.python("say(os.getpid()) if ask(tls('api.test'), 'api.test', '/v1/x') else None"))
    assert client["pid"] == done.said
    assert client["exe"] == os.path.realpath("/proc/self/exe") and client["args"][1] == "-c"


def test_arguments_on_record_hold_no_secret(jail):
    done, client = until_known(
        lambda: jail.command("curl", "-sS", "--cacert", jail.ca, "-H", "Authorization: Bearer s3cr3t", "-u", "me:s3cr3t",
                             "https://api.test/v1/x?token=s3cr3t&q=1"))
    assert client["exe"].endswith("/curl") and client["args"][0] == "curl"
    assert "s3cr3t" not in str(done.records)


def test_plain_http_is_judged_by_its_host(jail, plain_origin):
    plain_origin.forget()
    done = jail.python("say(ask(connect('plain.test', 80), 'plain.test', '/y'))")
    assert done.said.startswith("HTTP/1.1 200")
    assert only(done.of("request"))["url"] == "http://plain.test/y"
    assert plain_origin.requests[0].line == "GET /y HTTP/1.1" and plain_origin.requests[0].field("host") == "plain.test"


@pytest.mark.parametrize("call, url, reason", [
    ("tls('api.test'), 'api.test', '/private'", "https://api.test/private", "path-not-allowed"),
    ("tls('blocked.test'), 'blocked.test'", "https://blocked.test/", "host-not-allowed"),
    ("tls('evil.test'), 'evil.test'", "https://evil.test/", "denied-by-rule"),
    ("tls('blocked.test', 9443), 'blocked.test:9443'", "https://blocked.test:9443/", "host-not-allowed"),
    ("connect('blocked.test', 80), 'blocked.test'", "http://blocked.test/", "host-not-allowed"),
    ("connect('api.test', 80), 'api.test', '/v1/x'", "http://api.test/v1/x", None),
    ("connect('198.51.100.9', 80), '198.51.100.9'", "http://198.51.100.9/", "host-not-allowed"),
])
def test_a_block_is_explained(jail, call, url, reason):
    done = jail.python(f"say(ask({call}))")
    record = only(done.of("request"))
    assert done.said.startswith("HTTP/1.1 403") and record["reason"] in done.said
    assert (record["verdict"], record["url"]) == ("block", url)
    assert reason in (None, record["reason"])


def test_nothing_is_sent_to_the_synthetic_address_of_a_name(jail):
    """Whoever keeps an address for later gets the name that it was made for, and no other run's."""
    done = jail.python("""
        one = address(dns('api.test')[0])
        say(one, ask(tls(one, sni='api.test'), 'api.test', '/v1/x'))""")
    assert done.said[0].startswith("198.1") and done.said[1].startswith("HTTP/1.1 200")
    never = jail.python("say(ask(connect('198.18.77.77', 80), '198.18.77.77'))")
    assert never.said.startswith("HTTP/1.1 403")


@pytest.mark.parametrize("sni", ["'plain.test'", "''"])
def test_another_server_name_than_the_one_looked_up_ends_the_connection(jail, api, sni):
    api.forget()
    done = jail.python(f"""
        one = address(dns('api.test')[0])
        context = ssl._create_unverified_context()
        s = connect(one, 443)
        say(said(lambda: context.wrap_socket(s, server_hostname={sni} or None).version())[0])""")
    assert done.said.startswith("ssl")
    assert only(done.of("connect"))["reason"] == "sni-mismatch" and api.accepted == 0


def test_another_host_than_the_one_looked_up_is_misdirected(jail, api, plain_origin):
    done = jail.python("""say(ask(tls('api.test'), 'plain.test', '/v1/x'), ask(connect('plain.test', 80), 'api.test'),
                               ask(connect('plain.test', 80), 'plain.test', 'http://api.test/v1/x'))""")
    assert all(answer.startswith("HTTP/1.1 421") for answer in done.said)
    assert [r["reason"] for r in done.of("request")] == ["authority-mismatch"] * 3


def test_an_address_is_allowed_where_a_rule_writes_it(jail):
    done = jail.python("""
        s = ssl._create_unverified_context().wrap_socket(connect('203.0.113.7', 443))
        say(ask(s, '203.0.113.7'), [v for k, v in ssl.create_default_context(cafile=CA).wrap_socket(
            connect('203.0.113.7', 443), server_hostname='203.0.113.7').getpeercert()['subjectAltName']])""")
    assert done.said[0].startswith("HTTP/1.1 200") and done.said[1] == ["203.0.113.7"]
    assert done.of("request")[0]["url"] == "https://203.0.113.7/"


def test_a_server_that_speaks_first_ends_fast_where_nothing_is_allowed(jail):
    done = jail.python("""
        s = connect('github.test', 22)
        say(said(lambda: s.recv(100).decode()))""")
    answer, seconds = done.said
    assert answer in ("", "ECONNRESET") and seconds < 1
    record = only(done.of("connect"))
    assert (record["reason"], record["verdict"], record["url"]) == ("port-denied", "block", "tcp://github.test:22")
    assert record["client"]["exe"]


def test_ssh_gets_a_clear_end(jail):
    if not paths.program("ssh"):
        pytest.skip("ssh is not installed")
    done = jail.command("ssh", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "git@github.test")
    if "No user exists" in done.errors:
        pytest.skip("ssh wants its user to have a name")
    assert done.status == 255 and ("closed" in done.errors.lower() or "reset" in done.errors.lower())
    assert only(done.of("connect"))["reason"] == "port-denied"


@pytest.mark.parametrize("first", [b"SSH-2.0-x\r\n", b"\x00\x01\x02\x03", b"hello there\r\n", b"NICK me\r\n"])
def test_what_is_neither_tls_nor_http_is_closed_and_recorded(jail, api, first):
    api.forget()
    done = jail.python(f"""
        s = connect('api.test', 443)
        s.sendall({first!r})
        say(said(lambda: s.recv(100).decode()))""")
    assert done.said[0] in ("", "ECONNRESET") and done.said[1] < 2
    assert only(done.of("connect"))["reason"] == "tunnel-not-tls" and api.accepted == 0


def test_a_client_hello_that_comes_byte_by_byte_is_waited_for(jail):
    done = jail.python("""
        s = connect('plain.test', 80)
        for byte in b"GET /slow HTTP/1.1\\r\\nHost: plain.test\\r\\nConnection: close\\r\\n\\r\\n":
            s.sendall(bytes([byte]))
            time.sleep(0.002)
        say(read_all(s))""")
    assert done.said.startswith("HTTP/1.1 200")


def test_the_capture_port_itself_leads_nowhere(jail):
    done = jail.python("""
        s = connect('127.0.0.1', 3129)
        s.sendall(b"GET / HTTP/1.1\\r\\nHost: api.test\\r\\n\\r\\n")
        say(said(lambda: s.recv(10).decode())[0])""")
    assert done.said in ("", "ECONNRESET")
    assert only(done.of("connect"))["reason"] == "port-denied"


def test_the_explicit_proxy_needs_no_token_and_heeds_none(jail):
    done = jail.command("curl", "-sS", "--cacert", jail.ca, "-x", "http://stolen:token@127.0.0.1:3128",
                        "https://api.test/v1/x", "https://api.test/v1/y")
    assert (done.status, done.text) == (0, "okok")
    assert [r["task"] for r in done.of("request")] == ["jailed", "jailed"]
    known = [r["client"]["exe"] for r in done.of("request") if r["client"]["exe"]]
    assert all(exe.endswith("/curl") for exe in known)


def test_passthrough_is_not_terminated(jail, api, origin_ca):
    api.forget()
    done, client = until_known(lambda: jail.command("curl", "-sS", "--cacert", jail.roots, "https://opaque.test/any"), "tunnel")
    assert (done.status, done.text) == (0, "ok"), done.errors
    assert client["exe"].endswith("/curl")


CLIENTS = {
    "python": ["python3", "-c", "import urllib.request as u; print(u.urlopen('https://api.test/v1/x').read())"],
    "node": ["node", "-e", "fetch('https://api.test/v1/x').then(async r => console.log(r.status, await r.text()))"],
    "curl --noproxy": ["curl", "-sS", "--noproxy", "*", "https://api.test/v1/x"],
    "wget": ["wget", "-qO-", "https://api.test/v1/x"],
}


@pytest.mark.parametrize("name", CLIENTS)
def test_programs_that_know_no_proxy_work(jail, name):
    command = CLIENTS[name]
    if not paths.program(command[0]):
        pytest.skip(f"{command[0]} is not installed")
    bundle = str(jail.folder / "state" / "ca-bundle.pem")
    env = {"SSL_CERT_FILE": bundle, "NODE_EXTRA_CA_CERTS": str(jail.ca), "CURL_CA_BUNDLE": bundle, "NO_PROXY": "*"}
    done = jail.command(*command, *(["--ca-certificate", bundle] if name == "wget" else []), env=env)
    assert "ok" in done.text, done.errors
    assert only(done.of("request"))["verdict"] == "allow"


# --- the name server ---

def test_every_name_gets_one_address_of_its_own(jail):
    done = jail.python("""
        names = ['a.test', 'b.test', 'A.TeSt', 'a.test.', 'blocked.test', 'very.long.' + 'x' * 63 + '.test']
        say([[address(dns(n)[0]), address(dns(n, 28)[0])] for n in names])""")
    a, b, mixed, dotted, blocked, long = done.said
    assert a == mixed == dotted and len({a[0], b[0], blocked[0], long[0]}) == 4
    assert a[0].startswith("198.18.") and a[1].startswith("2001:2:")
    assert [r["url"] for r in done.of("dns")][:2] == ["dns:a.test", "dns:b.test"] and len(done.of("dns")) == 4


def test_dns_answers_from_the_address_that_was_asked(jail):
    done = jail.python("""
        say(dns('a.test', server='8.8.8.8')[1], dns('a.test', server='2001:db8::8', family=socket.AF_INET6)[1][:2],
            dns('a.test', server='127.0.0.53')[1])""")
    assert done.said == [["8.8.8.8", 53], ["2001:db8::8", 53], ["127.0.0.53", 53]]


def test_dns_over_tcp_answers_several_questions(jail):
    done = jail.python("""
        s = connect('8.8.8.8', 53)
        asked = b"".join(struct.pack("!H", len(q)) + q for q in (question(f"n{i}.test", 1, i) for i in range(20)))
        s.sendall(asked[:7]); time.sleep(0.05); s.sendall(asked[7:])
        s.shutdown(socket.SHUT_WR)
        data, ids = read_all(s).encode("latin-1"), []
        while data:
            n = struct.unpack("!H", data[:2])[0]
            ids.append(struct.unpack("!H", data[2:4])[0])
            data = data[2 + n:]
        say(ids)""")
    assert done.said == list(range(20))


@pytest.mark.parametrize("name, kind, rcode, count", [
    ("a.test", 65, 0, 0),             # HTTPS
    ("a.test", 64, 0, 0),             # SVCB
    ("a.test", 16, 0, 0),             # TXT
    ("a.test", 255, 0, 0),            # ANY
    ("1.2.3.4", 1, 3, 0),             # an address is no name
    ("4.3.2.1.in-addr.arpa", 12, 3, 0),
    ("bad name.test", 1, 3, 0),
    ("localhost", 1, 0, 1),
    ("x.localhost", 28, 0, 1),
])
def test_other_questions(jail, name, kind, rcode, count):
    done = jail.python(f"d = dns({name!r}, {kind})[0]; say(rcode(d), answers(d))")
    assert done.said == [rcode, count]


def test_an_address_has_its_name(jail):
    done = jail.python("""
        import ipaddress
        found = []
        for kind in (1, 28):
            reverse = ipaddress.ip_address(address(dns('api.test', kind)[0])).reverse_pointer
            found.append(b'\\3api\\4test\\0' in dns(reverse, 12)[0])
        say(found)""")
    assert done.said == [True, True]


# --- what does not pass ---

def test_udp_ends_at_once_and_is_on_record(jail):
    done = jail.python("""
        def send(family, to, times=1):
            s = socket.socket(family, socket.SOCK_DGRAM)
            s.settimeout(2)
            s.connect(to)
            return said(lambda: [s.send(b'x') for _ in range(times)] and s.recv(10).decode())
        name = address(dns('quic.test')[0])
        say(send(socket.AF_INET, ('192.0.2.1', 443)), send(socket.AF_INET6, ('2001:db8::1', 443)),
            send(socket.AF_INET, (name, 4433)))""")
    for answer, seconds in done.said:
        assert answer in ("EPERM", "ECONNREFUSED") and seconds < 0.5
    udp = {r["url"]: r for r in done.of("udp")}
    assert set(udp) == {"udp://192.0.2.1:443", "udp://[2001:db8::1]:443", "udp://quic.test:4433"}
    assert all((r["verdict"], r["reason"]) == ("block", "udp-denied") for r in udp.values())


@pytest.mark.parametrize("make", [
    "socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)",
    "socket.socket(socket.AF_INET6, socket.SOCK_RAW, 58)",
    "socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)",
    "socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)",
    "socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 3)",
])
def test_raw_sockets_are_refused(jail, make):
    skip_where_root_keeps_capabilities(jail)
    done = jail.python(f"say(said(lambda: {make} and 'made')[0])")
    assert done.said in ("EPERM", "EACCES")


def test_the_hosts_loopback_is_not_there(jail):
    came = []

    def accept(server):
        with contextlib.suppress(OSError):
            while True:
                came.append(server.accept())

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        threading.Thread(target=accept, args=(server,), daemon=True).start()
        with socket.create_connection(("127.0.0.1", port)):
            pass
        paths.wait_until(lambda: came, "the listener works outside")
        done = jail.python(f"say([said(lambda: connect(a, {port}) and 'connected')[0] for a in ('127.0.0.1', '127.1.2.3')])")
        assert done.said == ["ECONNREFUSED", "ECONNREFUSED"] and len(came) == 1
        server.shutdown(socket.SHUT_RDWR)


def test_loopback_inside_works_as_usual(jail):
    done = jail.python("""
        got = []
        for family, host in ((socket.AF_INET, '127.0.0.1'), (socket.AF_INET6, '::1')):
            with socket.create_server((host, 0), family=family) as server:
                with connect(host, server.getsockname()[1]) as s:
                    peer = server.accept()[0]
                    peer.sendall(b"here"); peer.close()
                    got.append(read_all(s))
        a, b = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        a.bind(('127.0.0.1', 0)); b.sendto(b"datagram", a.getsockname()); a.settimeout(2)
        say(got, a.recv(20).decode())""")
    assert done.said == [["here", "here"], "datagram"]


def test_the_jail_cannot_take_a_listeners_place(jail):
    skip_where_root_keeps_capabilities(jail)
    done = jail.python("""
        def bind(kind, host, port):
            s = socket.socket(socket.AF_INET, kind)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            s.bind((host, port))
            if kind == socket.SOCK_STREAM:
                s.listen()
            return "bound"
        say([said(lambda: bind(*what))[0] for what in (
            (socket.SOCK_STREAM, '127.0.0.1', 3128), (socket.SOCK_STREAM, '127.0.0.1', 3129),
            (socket.SOCK_STREAM, '0.0.0.0', 3129), (socket.SOCK_DGRAM, '0.0.0.0', 53))])""")
    assert all(answer in ("EADDRINUSE", "EACCES") for answer in done.said)
