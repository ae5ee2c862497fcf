"""Which task a connection belongs to: by token, by source, by both; and never by two."""

import pytest

from conftest import POLICY
from lib import paths
from lib.client import basic

OTHER = """\
exeat: 1
allow:
  - {name: only second, host: second.test, paths: [/**]}
"""


@pytest.fixture
def two(start):
    return start(policies={"widgets": POLICY.replace("host: second.test", "host: third.test"), "gadgets": OTHER})


def test_a_token_finds_its_task_and_its_policy(two, raw):
    for task, allowed, blocked in (("widgets", "raw.test", "second.test"), ("gadgets", "second.test", "raw.test")):
        client = two.client(task)
        assert client.get(f"https://{allowed}/").status == 200
        response = client.get(f"https://{blocked}/")
        assert (response.status, response.reason) == (403, "host-not-allowed")
    assert [r["task"] for r in two.records("request")] == ["widgets"] * 2 + ["gadgets"] * 2


CREDENTIALS = {
    "none": (b"", "credentials-missing"),
    "a wrong token": (basic("wrong"), "credentials-wrong"),
    "an empty token": (basic(""), "credentials-wrong"),
    "a part of the token": (basic("s3cret-widget"), "credentials-wrong"),
    "the token and more": (basic("s3cret-widgets2"), "credentials-wrong"),
    "the token as user": (b"Proxy-Authorization: Basic czNjcmV0LXdpZGdldHM6eA==\r\n", "credentials-wrong"),
    "no base64": (b"Proxy-Authorization: Basic !!!\r\n", "credentials-wrong"),
    "no colon": (b"Proxy-Authorization: Basic czNjcmV0\r\n", "credentials-wrong"),
    "another scheme": (b"Proxy-Authorization: Bearer s3cret-widgets\r\n", "credentials-wrong"),
    "a scheme alone": (b"Proxy-Authorization: Basic\r\n", "credentials-wrong"),
}


@pytest.mark.parametrize("request_line", ["CONNECT raw.test:443 HTTP/1.1\r\nHost: raw.test:443\r\n",
                                          "GET http://plain.test/ HTTP/1.1\r\nHost: plain.test\r\n"],
                         ids=["connect", "absolute"])
@pytest.mark.parametrize("field, reason", CREDENTIALS.values(), ids=[n.replace(" ", "-") for n in CREDENTIALS])
def test_without_the_right_token_nothing_passes(shared, raw, plain, request_line, field, reason):
    mark = shared.mark()
    response = shared.client().plain().request(request_line.encode() + field + b"\r\n")
    assert (response.status, response.reason) == (407, reason)
    assert response["proxy-authenticate"] == 'Basic realm="exeat"'
    record = shared.one_record(mark)
    assert (record["verdict"], record["reason"], record["task"]) == ("block", reason, None)
    assert raw.accepted == plain.accepted == 0
    assert "s3cret" not in str(record)


def test_any_user_name_goes_with_the_token(shared, raw):
    stream = shared.client().plain()
    response = stream.request(b"CONNECT raw.test:443 HTTP/1.1\r\nHost: raw.test:443\r\n" + basic("s3cret-widgets", "me") + b"\r\n")
    assert response.status == 200


def test_a_client_may_try_again_with_its_credential(shared, plain):
    """curl --anyauth and many others ask without first."""
    stream = shared.client().plain()
    first = stream.request(b"GET http://plain.test/ HTTP/1.1\r\nHost: plain.test\r\n\r\n")
    assert first.status == 407
    if first["connection"] == "close":
        stream = shared.client().plain()
    second = stream.request(b"GET http://plain.test/ HTTP/1.1\r\nHost: plain.test\r\n" + basic("s3cret-widgets") + b"\r\n")
    assert second.status == 200


def test_the_first_credential_fixes_the_task(two, plain):
    stream = two.client("widgets").plain()
    first = stream.request(b"GET http://plain.test/1 HTTP/1.1\r\nHost: plain.test\r\n" + basic("s3cret-widgets") + b"\r\n")
    assert first.status == 200
    other = stream.request(b"GET http://plain.test/2 HTTP/1.1\r\nHost: plain.test\r\n" + basic("s3cret-gadgets") + b"\r\n")
    assert (other.status, other.reason) == (407, "credentials-wrong")
    assert [r.target for r in plain.requests] == ["/1"]


def test_a_credential_inside_the_tunnel_changes_nothing(two, raw):
    stream = two.client("widgets").tunnel("raw.test:443")
    head = b"GET / HTTP/1.1\r\nHost: raw.test\r\n" + basic("s3cret-gadgets") + b"\r\n"
    assert stream.request(head).status == 200
    assert two.records("request")[-1]["task"] == "widgets"
    assert raw.requests[0].field("proxy-authorization") is None


def tasks(text):
    return "".join(f"  - {{{line}}}\n" for line in text)


def test_a_source_address_finds_its_task(start, raw):
    exeat = start(policies={"widgets": POLICY, "gadgets": OTHER}, tasks=tasks([
        "task: widgets, policy: ./widgets.yaml, sources: [127.0.0.0/8]",
        "task: gadgets, policy: ./gadgets.yaml, token: s3cret-gadgets"]))
    client = exeat.client(token="")
    client.token = ""
    assert client.get("https://raw.test/").status == 200
    assert exeat.records("request")[-1]["task"] == "widgets"


def test_a_source_that_is_not_named_needs_a_token(start, raw):
    exeat = start(tasks=tasks(["task: widgets, policy: ./widgets.yaml, sources: [10.1.2.0/24]"]))
    client = exeat.client()
    client.token = ""
    _, response = client.connect("raw.test:443")
    assert (response.status, response.reason) == (407, "credentials-missing")


@pytest.mark.parametrize("sources, token, status", [
    ("127.0.0.0/8", "s3cret-widgets", 200), ("127.0.0.0/8", "wrong", 407), ("127.0.0.0/8", None, 407),
    ("10.1.2.0/24", "s3cret-widgets", 407)], ids=["both", "wrong-token", "no-token", "wrong-source"])
def test_where_both_are_written_both_must_fit(start, raw, sources, token, status):
    exeat = start(tasks=tasks([f"task: widgets, policy: ./widgets.yaml, token: s3cret-widgets, sources: [{sources}]"]))
    client = exeat.client()
    client.token = token or ""
    _, response = client.connect("raw.test:443")
    assert response.status == status


def test_a_token_may_stand_in_a_file(prepare, raw):
    exeat = prepare(tasks=tasks(["task: widgets, policy: ./widgets.yaml, token_file: ./token"]))
    (exeat.folder / "token").write_text("from-a-file\n")
    (exeat.folder / "token").chmod(0o600)
    exeat.start()
    assert exeat.client(token="from-a-file").get("https://raw.test/").status == 200


def test_a_task_has_no_more_connections_than_its_limit(start, raw):
    exeat = start(extra="limits: {connections_per_task: 4}")
    client = exeat.client()
    held = [client.tunnel("raw.test:443") for _ in range(4)]
    _, response = client.connect("raw.test:443")
    assert (response.status, response.reason) == (429, "too-many-connections")
    held.pop().close()
    paths.wait_until(lambda: client.connect("raw.test:443")[1].status == 200, "there is room again")


def test_what_is_not_known_of_a_refused_request_is_null_on_record(shared):
    mark = shared.mark()
    response = shared.client().plain().request(b"GET /x HTTP/1.1\r\nHost: plain.test\r\n\r\n")
    assert response.status in (400, 407)
    assert shared.one_record(mark)["url"] in (None, "/x", "http://plain.test/x")
