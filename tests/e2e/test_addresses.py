"""Names and addresses: a blocked host is never resolved, and an allowed name that leads inside is not dialled.

All of it runs in a network of its own, with the tests' name server on port 53: what exeat asks and whom it dials is seen.
"""

import pytest

from lib.origin import Origin
from lib.namespace import OTHER_PUBLIC, PUBLIC

POLICY = """\
exeat: 1
task: widgets
allow:
  - name: public names
    host: "**.public.test"
    paths: [/**]
  - name: names that lead inside
    host: "**.inside.test"
    paths: [/**]
  - name: addresses themselves
    host: [8.8.4.10, 127.0.0.1, 10.0.0.1, "[::1]"]
    paths: [/**]
  - {name: one label, host: printer, paths: [/**]}
"""


@pytest.fixture
def exeat(start, namespace, name_server):
    return start(policy=POLICY, resolve=(), namespace=namespace, extra="timeouts: {connect: 2s}")


def test_an_allowed_name_is_resolved_and_reached(exeat, name_server, public):
    name_server.zone["www.public.test"] = [PUBLIC]
    assert exeat.client().get("https://www.public.test/x").status == 200
    assert public.requests[0].line == "GET /x HTTP/1.1"
    assert name_server.names() == {"www.public.test"}, "absolutely: no search list"
    assert exeat.records("request")[0]["upstream"]["address"] == PUBLIC


def test_a_blocked_request_puts_no_byte_on_the_origin_and_no_query_on_the_name_server(exeat, name_server, public):
    """Host, method and path: each blocked for its own reason, each in a fresh tunnel, and in absolute form."""
    name_server.zone.update({"www.public.test": [PUBLIC], "evil.test": [PUBLIC]})
    client = exeat.client()
    answers = [client.get("https://evil.test/steal?data=1"), client.get("https://www.public.test/x", method="DELETE"),
               client.get("https://www.public.test/a%2fb"), client.get("http://www.public.test/x"),
               client.get("https://www.public.test:8443/x")]
    assert [a.reason for a in answers] == ["host-not-allowed", "method-not-allowed", "ambiguous-target",
                                           "port-not-allowed", "port-not-allowed"]
    assert public.accepted == 0 and public.received == b""
    assert name_server.queries == []
    assert [r["verdict"] for r in exeat.records("request")] == ["block"] * 5


INSIDE = {
    "loopback": ["127.0.0.1"], "loopback elsewhere": ["127.9.9.9"], "this host": ["0.0.0.0"], "private ten": ["10.0.0.5"],
    "private 172": ["172.16.3.4"], "private 192": ["192.168.1.1"], "link local": ["169.254.1.1"],
    "cloud metadata": ["169.254.169.254"], "carrier NAT": ["100.64.0.1"], "multicast": ["224.0.0.1"],
    "broadcast": ["255.255.255.255"], "reserved": ["240.0.0.1"], "the jail's own": ["198.18.0.1"],
    "IPv6 loopback": ["::1"], "IPv6 mapped loopback": ["::ffff:127.0.0.1"], "IPv6 unique local": ["fd00::1"],
    "IPv6 link local": ["fe80::1"], "NAT64 of a private one": ["64:ff9b::a00:1"], "6to4 of a private one": ["2002:a00:1::1"],
    "IPv6 metadata": ["fd00:ec2::254"], "one good and one bad": [PUBLIC, "10.0.0.5"], "good IPv4 and bad IPv6": [PUBLIC, "::1"],
}


def test_a_name_that_leads_inside_is_blocked_and_nothing_is_dialled(exeat, name_server, public, namespace):
    watch = Origin(listener=namespace.listen("0.0.0.0", 8080))  # nothing listens on 443 of these: dialling would be 502
    for number, (what, addresses) in enumerate(INSIDE.items()):
        name = f"n{number}.inside.test"
        name_server.zone[name] = addresses
        response = exeat.client().get(f"https://{name}/")
        assert (response.status, response.reason) == (403, "address-blocked"), what
        for address in addresses:
            assert address not in response.text, f"{what}: a block names no address"
    records = exeat.records("request")
    assert [r["reason"] for r in records] == ["address-blocked"] * len(INSIDE)
    assert public.accepted == watch.accepted == 0
    watch.stop()


def test_an_address_literal_matches_only_a_rule_that_writes_it_and_the_guard_still_holds(exeat, name_server, namespace, origin_ca):
    origin = Origin(origin_ca.issue(PUBLIC), namespace.listen(PUBLIC, 443))
    client = exeat.client()
    assert client.get(f"https://{PUBLIC}/x").status == 200
    assert origin.hellos == [None], "an address has no server name"
    assert client.get(f"https://{OTHER_PUBLIC}/").reason == "host-not-allowed"
    assert client.get("https://127.0.0.1/").reason == "address-blocked"
    assert client.get("https://10.0.0.1/").reason == "address-blocked"
    assert client.get("https://[::1]/").reason == "address-blocked"
    assert name_server.queries == []
    origin.stop()


def test_exeats_own_port_cannot_be_reached_through_it(start, namespace, name_server):
    exeat = start(policy="exeat: 1\nallow:\n  - {host: loop.test, scheme: http, ports: [3128], paths: [/**]}\n",
                  resolve=["loop.test:3128:127.0.0.1:3128"], namespace=namespace, listen="127.0.0.1:3128")
    response = exeat.client().get("http://loop.test:3128/x")
    assert (response.status, response.reason) == (403, "address-blocked")


@pytest.mark.parametrize("answer, name", [(None, "missing.public.test"), ("servfail", "broken.public.test"), ([], "empty.public.test")],
                         ids=["no-such-name", "servfail", "no-address"])
def test_a_name_that_does_not_resolve_is_502(exeat, name_server, answer, name):
    if answer is not None:
        name_server.zone[name] = answer
    response = exeat.client().get(f"https://{name}/")
    assert (response.status, response.reason) == (502, "upstream-dns")
    assert exeat.records("request")[0]["reason"] == "upstream-dns"


def test_a_silent_name_server_holds_nobody_else_up(exeat, name_server, public):
    name_server.zone.update({"silent.public.test": "silent", "www.public.test": [PUBLIC]})
    client = exeat.client()
    waiting = client.tunnel("silent.public.test:443")
    waiting.send(b"GET / HTTP/1.1\r\nHost: silent.public.test\r\n\r\n")
    for _ in range(5):
        assert client.get("https://www.public.test/").status == 200
    response = waiting.read_response()
    assert response.reason in ("upstream-dns", "upstream-timeout"), response
    assert response.status in (502, 504)


def test_a_name_of_one_label_is_resolved_absolutely(exeat, name_server):
    name_server.zone["printer.search.test"] = [PUBLIC]
    assert exeat.client().get("https://printer/").reason == "upstream-dns"
    assert name_server.names() <= {"printer"}


def test_a_refused_connection_is_502(exeat, name_server):
    name_server.zone["closed.public.test"] = [OTHER_PUBLIC]
    response = exeat.client().get("https://closed.public.test/")
    assert (response.status, response.reason) == (502, "upstream-refused")


def test_the_next_address_is_tried_when_one_refuses(exeat, name_server, public):
    name_server.zone["two.public.test"] = [OTHER_PUBLIC, PUBLIC]
    assert exeat.client().get("https://two.public.test/").status == 200


def test_a_name_that_turns_inside_later_is_blocked_then(exeat, name_server, public):
    """DNS rebinding: the address is judged each time a connection is made."""
    name_server.zone["turn.public.test"] = [PUBLIC]
    public.script = lambda c: (c.read_request(), c.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"))
    client = exeat.client()
    assert client.get("https://turn.public.test/").status == 200
    name_server.zone["turn.public.test"] = ["127.0.0.1"]
    assert client.get("https://turn.public.test/").reason == "address-blocked"
