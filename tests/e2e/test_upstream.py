"""The way to the origins: through another proxy, over two address families, on connections that are whose they are."""

import base64
import socket
import ssl
import time

import pytest

from lib import dns, paths, upstreams
from lib.namespace import PUBLIC
from lib.origin import Origin

POLICY = """\
exeat: 1
task: widgets
allow:
  - {name: raw, host: [raw.test, second.test], methods: any, paths: [/**], body: {max: 1MiB}}
  - {name: plain, host: plain.test, scheme: http, methods: any, paths: [/**], body: {max: 1MiB}}
  - {name: literals, host: [127.0.0.1, 10.0.0.1, 8.8.4.4], paths: [/**]}
  - {name: this machine, host: localhost, paths: [/**]}
"""


# --- another proxy in between ---

@pytest.fixture
def routes(raw, plain):
    return {"raw.test:443": ("127.0.0.1", raw.port), "second.test:443": ("127.0.0.1", raw.port),
            "plain.test:80": ("127.0.0.1", plain.port)}


@pytest.fixture
def begin(prepare):
    """Starts exeat with an upstream proxy."""
    def begin(proxy_text, more="", **keywords):
        exeat = prepare(**{"resolve": (), "policy": POLICY, **keywords})
        exeat.write_config(exeat.config_text.replace("upstream:\n", f"upstream:\n  proxy: {proxy_text}\n{more}"))
        return exeat.start()
    return begin


KINDS = {"http": (upstreams.ConnectProxy, "http"), "socks5": (upstreams.SocksProxy, "socks5"),
         "socks5h": (upstreams.SocksProxy, "socks5h")}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("credentials", [None, ("us er", "p@ss:w%rd")], ids=["open", "with-credentials"])
def test_http_and_https_go_through_the_upstream_proxy_and_names_are_resolved_there(begin, routes, raw, plain, kind, credentials):
    make, scheme = KINDS[kind]
    proxy = make(routes, credentials)
    login = "us%20er:p%40ss%3Aw%25rd@" if credentials else ""
    exeat = begin(f"{scheme}://{login}127.0.0.1:{proxy.port}")
    client = exeat.client()
    assert client.get("https://raw.test/a?b=c").status == 200
    assert client.get("http://plain.test/x").status == 200
    assert proxy.asked == ["raw.test:443", "plain.test:80"]
    assert raw.requests[0].line == "GET /a?b=c HTTP/1.1" and plain.requests[0].line == "GET /x HTTP/1.1"
    assert raw.hellos == ["raw.test"], "TLS is exeat's with the origin"
    for record in exeat.records("request"):
        assert record["upstream"]["via"] == f"{scheme}://127.0.0.1:{proxy.port}", "and no credentials"
    if credentials:
        secrets = ("p@ss", "p%40ss", base64.b64encode(":".join(credentials).encode()).decode())
        assert not any(s in exeat.audit.read_text() + exeat.stderr() for s in secrets)
    proxy.stop()


def test_connections_through_a_proxy_are_used_again(begin, routes, raw):
    proxy = upstreams.ConnectProxy(routes)
    exeat = begin(f"http://127.0.0.1:{proxy.port}", workers=1)
    for _ in range(3):
        assert exeat.client().get("https://raw.test/").status == 200
    assert proxy.accepted == 1
    proxy.stop()


def test_credentials_may_stand_in_a_file(begin, routes, raw, tmp_path):
    proxy = upstreams.ConnectProxy(routes, ("user", "pa:ss word"))
    secret = tmp_path / "secret"
    secret.write_text("user:pa:ss word\n")
    secret.chmod(0o600)
    exeat = begin(f"http://127.0.0.1:{proxy.port}", f"  proxy_credentials_file: {secret}\n")
    assert exeat.client().get("https://raw.test/").status == 200
    proxy.stop()


REFUSALS = {
    "connect 407": ("http", b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n", "credentials"),
    "connect 403": ("http", b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "403"),
    "connect 502": ("http", b"HTTP/1.0 502 Bad Gateway\r\n\r\nsorry", "502"),
    "no http": ("http", b"SSH-2.0-x\r\n", "upstream proxy"),
    "nothing": ("http", b"", "upstream proxy"),
    "socks not allowed": ("socks5", 2, "not allowed"), "socks refused": ("socks5", 5, "connection refused"),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_a_proxy_that_says_no_is_502_and_says_so(begin, routes, raw, what):
    kind, answer, words = REFUSALS[what]
    proxy = KINDS[kind][0](routes)
    proxy.answer = answer
    exeat = begin(f"{kind}://127.0.0.1:{proxy.port}")
    response = exeat.client().get("https://raw.test/")
    assert (response.status, response.reason) == (502, "upstream-refused")
    assert words in exeat.one_record()["detail"]
    assert raw.accepted == 0
    proxy.stop()


@pytest.mark.parametrize("kind", ["http", "socks5"])
def test_wrong_credentials_are_502_and_say_where_they_stand(begin, routes, raw, kind):
    proxy = KINDS[kind][0](routes, ("user", "right"))
    for login in ("user:wrong@", ""):
        exeat = begin(f"{kind}://{login}127.0.0.1:{proxy.port}")
        assert exeat.client().get("https://raw.test/").reason == "upstream-refused"
        assert "credentials" in exeat.one_record()["detail"] and "upstream.proxy" in exeat.one_record()["detail"]
    assert proxy.asked == []
    proxy.stop()


def test_a_proxy_that_is_not_there_is_502(begin, raw):
    exeat = begin(f"http://127.0.0.1:{paths.free_port()}")
    response = exeat.client().get("https://raw.test/")
    assert (response.status, response.reason) == (502, "upstream-refused")
    assert "upstream proxy" in exeat.one_record()["detail"]


def test_a_proxy_that_says_nothing_is_given_up(begin, raw):
    silent = socket.create_server(("127.0.0.1", 0))
    exeat = begin(f"http://127.0.0.1:{silent.getsockname()[1]}", extra="timeouts: {connect: 1s}")
    response = exeat.client().get("https://raw.test/")
    assert (response.status, response.reason) == (504, "upstream-timeout")
    silent.close()


def test_the_guard_still_judges_literals_and_blocked_requests_never_reach_the_proxy(begin, routes, raw):
    proxy = upstreams.ConnectProxy({**routes, "8.8.4.4:443": ("127.0.0.1", raw.port)})
    exeat = begin(f"http://127.0.0.1:{proxy.port}")
    client = exeat.client()
    for url in ("https://127.0.0.1/", "https://10.0.0.1/", "https://localhost/"):
        assert client.get(url).reason == "address-blocked", url
    assert client.get("https://evil.test/").reason == "host-not-allowed"
    assert proxy.accepted == 0
    assert client.get("https://8.8.4.4/").reason == "upstream-tls", "the name is judged there, the certificate here"
    assert proxy.asked == ["8.8.4.4:443"]
    proxy.stop()


def test_rules_with_addresses_go_direct(begin, routes, plain, resolve):
    proxy = upstreams.ConnectProxy(routes)
    policy = POLICY + f"  - {{name: inside, host: 127.0.0.1, scheme: http, ports: [{plain.port}], paths: [/**], addresses: [127.0.0.0/8]}}\n"
    exeat = begin(f"http://127.0.0.1:{proxy.port}", policy=policy)
    assert exeat.client().get(f"http://127.0.0.1:{plain.port}/x").status == 200
    assert proxy.accepted == 0
    assert exeat.one_record()["upstream"]["via"] is None
    proxy.stop()


def test_the_proxy_itself_may_be_a_name_and_is_never_exeat(begin, routes, raw):
    proxy = upstreams.ConnectProxy(routes)
    exeat = begin("http://proxy.corp.test:3128", resolve=[f"proxy.corp.test:3128:127.0.0.1:{proxy.port}"])
    assert exeat.client().get("https://raw.test/").status == 200
    proxy.stop()
    port = paths.free_port()
    loop = begin(f"http://127.0.0.1:{port}", listen=f"127.0.0.1:{port}")
    assert loop.client().get("https://raw.test/").reason == "address-blocked"


@pytest.mark.parametrize("env", [{"HTTPS_PROXY": "http://127.0.0.1:9"}, {"all_proxy": "socks5://127.0.0.1:9"}])
def test_inherited_proxy_variables_are_not_used_and_a_failed_connection_mentions_them(prepare, raw, resolve, env):
    exeat = prepare(policy=POLICY, resolve=[r for r in resolve if not r.startswith("second.test")]
                          + [f"second.test:443:127.0.0.1:{paths.free_port()}"]).start(env=env)
    client = exeat.client()
    assert client.get("https://raw.test/").status == 200
    assert client.get("https://second.test/").reason == "upstream-refused"
    details = [r.get("detail") for r in exeat.records("request")]
    assert details[0] is None and "upstream.proxy" in details[1] and "127.0.0.1:9" not in details[1]


def test_a_real_squid(begin, tmp_path, raw, plain, origin_ca):
    if not paths.program("squid") or not paths.IS_ROOT:
        pytest.skip("no squid here")
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)  # squid runs as another user
    squid = upstreams.Squid(tmp_path / "squid", ["raw.test", "plain.test"], "user", "pass")
    policy = f"""\
exeat: 1
allow:
  - {{host: raw.test, ports: [{raw.port}], methods: any, paths: [/**], body: {{max: 10MiB}}}}
  - {{host: plain.test, ports: [{plain.port}], scheme: http, paths: [/**]}}
"""
    try:
        exeat = begin(f"http://user:pass@127.0.0.1:{squid.port}", policy=policy)
        body = b"x" * (2 << 20)
        assert exeat.client().get(f"https://raw.test:{raw.port}/", method="POST", body=body).status == 200, squid.log("cache.log")
        assert raw.requests[0].size == len(body)
        assert exeat.client().get(f"http://plain.test:{plain.port}/").status == 200
        assert {r["upstream"]["via"] for r in exeat.records("request")} == {f"http://127.0.0.1:{squid.port}"}
        wrong = begin(f"http://user:wrong@127.0.0.1:{squid.port}", policy=policy)
        assert wrong.client().get(f"https://raw.test:{raw.port}/").reason == "upstream-refused"
        assert "credentials" in wrong.one_record()["detail"]
    finally:
        squid.stop()


BAD = ["ftp://proxy.test:21", "https://proxy.test:443", "proxy.test:3128", "http://proxy.test", "http://:p@proxy.test:1",
       "http://us%0aer:p@proxy.test:1", "http://proxy.test:0", "http://proxy.test:3128/path", "socks4://proxy.test:1080"]


@pytest.mark.parametrize("text", BAD)
def test_a_proxy_that_cannot_be_meant_is_an_error_with_its_place(prepare, text):
    exeat = prepare(policy=POLICY)
    exeat.write_config(exeat.config_text.replace("upstream:\n", f"upstream:\n  proxy: \"{text}\"\n"))
    done = exeat.cli("proxy", "--config", exeat.config)
    assert done.returncode == 2 and "exeat.yaml:" in done.stderr and "`proxy`" in done.stderr


# --- `addresses` ---

ADDRESSES = """\
exeat: 1
allow:
  - {name: inside, host: "*.inside.test", scheme: http, ports: [8080], paths: [/**], addresses: [10.1.0.0/16, "fd00:1::/32"]}
  - {name: outside, host: "*.outside.test", scheme: http, ports: [8080], paths: [/**]}
  - {name: the lab, host: [10.1.2.3, 10.2.0.1], scheme: http, ports: [8080], paths: [/**], addresses: [10.1.0.0/16]}
  - {name: one path, host: both.inside.test, scheme: http, ports: [8080], methods: [DELETE], paths: [/**]}
"""


@pytest.fixture
def lab(namespace):
    origin = Origin(listener=namespace.listen("0.0.0.0", 8080))
    yield origin
    origin.stop()


def test_a_rule_reaches_the_networks_that_it_writes_and_no_others(start, namespace, name_server, lab):
    namespace.route("10.1.0.0", 16)
    namespace.route("10.2.0.0", 16)
    exeat = start(policy=ADDRESSES, resolve=(), namespace=namespace)
    name_server.zone.update({"a.inside.test": ["10.1.2.3"], "b.inside.test": ["10.2.0.1"], "a.outside.test": ["10.1.2.3"],
                             "c.inside.test": ["10.1.2.3", "10.2.0.1"], "d.inside.test": ["127.0.0.1"],
                             "e.inside.test": ["198.18.0.1"], "both.inside.test": ["10.1.2.3"], "p.inside.test": [PUBLIC]})
    client = exeat.client()

    def ask(host, method="GET"):
        response = client.get(f"http://{host}:8080/", method=method)
        return response.reason or response.status
    assert ask("a.inside.test") == 200
    assert ask("p.inside.test") == 200, "what anybody may dial, too"
    assert ask("10.1.2.3") == 200
    for host in ("b.inside.test", "a.outside.test", "c.inside.test", "d.inside.test", "e.inside.test", "10.2.0.1"):
        assert ask(host) == "address-blocked", host
    before = lab.accepted
    assert ask("both.inside.test") == 200
    assert ask("both.inside.test", "DELETE") == "address-blocked", "a pooled peer is judged by each request's own rule"
    assert lab.accepted == before + 1


def test_a_reload_that_takes_the_networks_away_holds_for_who_is_being_connected(start, namespace, name_server, lab):
    namespace.route("10.1.0.0", 16)
    exeat = start(policy=ADDRESSES, resolve=(), namespace=namespace)
    name_server.zone["slow.inside.test"] = "silent"
    client = exeat.client()
    asked = client.plain()
    asked.send(b"GET http://slow.inside.test:8080/ HTTP/1.1\r\nHost: slow.inside.test:8080\r\n" + client.auth() + b"\r\n")
    paths.wait_until(lambda: "slow.inside.test" in name_server.names(), "the name is looked up")
    exeat.reload(policy=ADDRESSES.replace(", addresses: [10.1.0.0/16, \"fd00:1::/32\"]", ""))
    name_server.zone["slow.inside.test"] = ["10.1.2.3"]
    assert asked.read_response().reason == "address-blocked"
    assert lab.accepted == 0


def test_a_reload_that_takes_the_networks_away_cuts_what_is_in_progress_there(start, plain):
    text = f"exeat: 1\nallow:\n  - {{host: 127.0.0.1, scheme: http, ports: [{plain.port}], paths: [/**]%s}}\n"
    exeat = start(policy=text % ", addresses: [127.0.0.0/8]", resolve=())
    plain.script = lambda c: (c.read_request(), c.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"), c.wait_closed())
    stream = exeat.client().plain()
    stream.send(f"GET http://127.0.0.1:{plain.port}/ HTTP/1.1\r\nHost: 127.0.0.1:{plain.port}\r\n".encode() + exeat.client().auth() + b"\r\n")
    stream.read_head()
    exeat.reload(text % "")
    assert stream.is_closed(1) or stream.end_error
    record = exeat.one_record()
    assert (record["reason"], record["outcome"], record["verdict"]) == ("address-blocked", "aborted", "block")


# --- names and families ---

def test_ndots_and_a_search_list_change_nothing(start, namespace, name_server, public):
    namespace.resolver("nameserver 127.0.0.1\nsearch corp.test search.test\noptions ndots:5 timeout:1\n")
    exeat = start(policy="exeat: 1\nallow:\n  - {host: [www.public.test, printer], paths: [/**]}\n", resolve=(), namespace=namespace)
    name_server.zone.update({"www.public.test": [PUBLIC], "www.public.test.corp.test": ["9.9.9.9"], "printer.corp.test": [PUBLIC]})
    client = exeat.client()
    assert client.get("https://www.public.test/").status == 200
    assert client.get("https://printer/").reason == "upstream-dns"
    assert client.get("https://intranet/").reason == "host-not-allowed"
    assert name_server.names() == {"www.public.test", "printer"}
    namespace.resolver(None)


def test_a_black_hole_in_ipv6_costs_no_more_than_a_moment(start, namespace, name_server, public):
    """Happy eyeballs: packets to the AAAA vanish, the A is tried soon after."""
    hole = namespace.black_hole("2606:4700::10", 443)
    exeat = start(policy='exeat: 1\nallow:\n  - {host: "*.public.test", paths: [/**]}\n', resolve=(), namespace=namespace)
    name_server.zone["dual.public.test"] = ["2606:4700::10", PUBLIC]
    before = time.monotonic()
    assert exeat.client().get("https://dual.public.test/").status == 200
    assert time.monotonic() - before < 2
    assert {kind for name, kind in name_server.queries if name == "dual.public.test"} == {dns.A, dns.AAAA}
    assert exeat.one_record()["upstream"]["address"] == PUBLIC
    for sock in hole:
        sock.close()


def test_an_origin_that_has_only_ipv6_is_reached(start, namespace, name_server, origin_ca):
    origin = Origin(origin_ca.issue("six.public.test"), namespace.listen("2606:4700::20", 443))
    exeat = start(policy='exeat: 1\nallow:\n  - {host: "*.public.test", paths: [/**]}\n', resolve=(), namespace=namespace)
    name_server.zone["six.public.test"] = ["2606:4700::20"]
    assert exeat.client().get("https://six.public.test/").status == 200
    assert exeat.one_record()["upstream"]["address"] == "2606:4700::20"
    origin.stop()


# --- authentication that belongs to the connection ---

def ntlm(connection):
    """An origin that knows a connection's user once three messages have passed on it."""
    user = None
    while True:
        request = connection.read_request()
        given = request.field("authorization") or ""
        if given == "NTLM three":
            user = "alice"
        if user:
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nalice")
        elif given == "NTLM one":
            connection.send(b"HTTP/1.1 401 No\r\nWWW-Authenticate: NTLM two\r\nContent-Length: 0\r\n\r\n")
        else:
            connection.send(b"HTTP/1.1 401 No\r\nWWW-Authenticate: Negotiate\r\nWWW-Authenticate: NTLM\r\n"
                            b"WWW-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n")


def ask(stream, authorization=None):
    field = f"Authorization: {authorization}\r\n" if authorization else ""
    return stream.request(f"GET / HTTP/1.1\r\nHost: raw.test\r\n{field}\r\n".encode())


def test_a_connection_that_ntlm_has_authenticated_serves_its_client_only(start, raw):
    raw.script = ntlm
    exeat = start(policy=POLICY, workers=1)
    first = exeat.client().tunnel("raw.test:443")
    assert [ask(first, a).status for a in (None, "NTLM one", "NTLM three", None)] == [401, 401, 200, 200]
    assert raw.accepted == 1, "one connection for the whole handshake, and after it"
    second = exeat.client().tunnel("raw.test:443")
    assert ask(second).status == 401, "nobody speaks as alice who is not"
    assert raw.accepted == 2
    assert ask(first).status == 200
    first.close()
    paths.wait_until(lambda: raw.connections[0].ended, "the origin's side ends with the client")
    assert ask(second).status == 401 and raw.accepted == 2
    third = exeat.client().tunnel("raw.test:443")
    assert ask(third).status == 401


@pytest.mark.parametrize("given", ["Negotiate token", "ntlm xyz", "NEGOTIATE abc"])
def test_what_a_request_authenticates_is_pinned_although_no_challenge_came(start, raw, given):
    exeat = start(policy=POLICY, workers=1)
    first = exeat.client().tunnel("raw.test:443")
    assert ask(first, given).status == 200
    second = exeat.client().tunnel("raw.test:443")
    assert ask(second).status == 200
    assert raw.accepted == 2


def test_other_schemes_share_as_ever(start, raw):
    raw.answer(b"HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=\"NTLM, Negotiate\"\r\nContent-Length: 0\r\n\r\n")
    exeat = start(policy=POLICY, workers=1)
    for given in ("Bearer NTLM", "Basic bmVnb3RpYXRl", "Digest username=\"ntlm\""):
        assert ask(exeat.client().tunnel("raw.test:443"), given).status == 401
    assert raw.accepted == 1


def test_a_pinned_connection_that_the_origin_ends_is_made_anew(start, raw):
    raw.script = ntlm
    exeat = start(policy=POLICY, workers=1)
    stream = exeat.client().tunnel("raw.test:443")
    assert ask(stream).status == 401
    raw.connections[0].sock.shutdown(socket.SHUT_RDWR)
    time.sleep(0.05)
    assert ask(stream).status == 401
    assert raw.accepted == 2


def test_a_reload_leaves_no_pinned_connection(start, raw):
    raw.script = ntlm
    exeat = start(policy=POLICY, workers=1)
    stream = exeat.client().tunnel("raw.test:443")
    assert [ask(stream, a).status for a in ("NTLM one", "NTLM three")] == [401, 200]
    exeat.reload(POLICY + "  # another\n")
    assert ask(stream).status == 401, "it was made under the old policy"


# --- TLS sessions ---

@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_tls_sessions_with_an_origin_resume_within_task_host_and_port_only(start, raw, version):
    raw.context.minimum_version = raw.context.maximum_version = getattr(ssl.TLSVersion, version)
    raw.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    try:
        exeat = start(policies={"widgets": POLICY, "gadgets": POLICY}, workers=1)
        for task, host in (("widgets", "raw.test"), ("widgets", "raw.test"), ("gadgets", "raw.test"),
                           ("widgets", "second.test"), ("gadgets", "raw.test")):
            assert exeat.client(task).get(f"https://{host}/").status == 200
        assert [c.resumed for c in raw.connections] == [False, True, False, False, True]
    finally:
        raw.context.minimum_version, raw.context.maximum_version = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
