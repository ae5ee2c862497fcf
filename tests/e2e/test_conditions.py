"""What a rule may ask of a request beyond host, method and path, through the real proxy."""

import datetime
import time

import pytest

RULE = "exeat: 1\nallow:\n  - {name: only, host: raw.test, paths: [/**]%s}\n"


def get(stream, target, *fields):
    lines = [f"GET {target} HTTP/1.1", "Host: raw.test", *fields, "", ""]
    return stream.request("\r\n".join(lines).encode())


@pytest.fixture
def under(prepare):
    """Starts a proxy whose rule for raw.test has these keys."""
    def under(keys):
        exeat = prepare()
        exeat.start()
        exeat.reload(policy=RULE % keys)
        return exeat

    return under


@pytest.mark.parametrize("target, reason", [
    ("/x", None), ("/x?page=12", None), ("/x?page=1&page=2", None), ("/x?page=%31", None),
    ("/x?page=a", "query-not-allowed"), ("/x?page=1&page=a", "query-not-allowed"), ("/x?page=1&more", "query-not-allowed"),
])
def test_parameters_are_judged(under, raw, target, reason):
    exeat = under(', query: {page: {regex: "[0-9]+"}}')
    response = get(exeat.client().tunnel("raw.test:443"), target)
    assert (response.status, response.reason) == ((200, None) if reason is None else (403, reason))
    assert [r.target for r in raw.requests] == ([target] if reason is None else [])


@pytest.mark.parametrize("fields, allowed", [
    (["X-Mode: safe"], True), (["x-mode: safe", "X-MODE: safe"], True),
    ([], False), (["X-Mode: other"], False), (["X-Mode: safe", "X-Mode: other"], False),
    (["X-Mode: safe", "Connection: x-mode"], False),
])
def test_fields_are_judged_as_they_are_sent(under, raw, fields, allowed):
    exeat = under(", headers: {x-mode: safe}")
    response = get(exeat.client().tunnel("raw.test:443"), "/x", *fields)
    assert (response.status, response.reason) == ((200, None) if allowed else (403, "header-not-allowed"))
    assert len(raw.requests) == allowed


@pytest.mark.parametrize("field", ["X-HTTP-Method-Override: DELETE", "x_http_method_override: DELETE", "X-Original-URL: /admin"])
def test_a_field_that_overrides_what_was_judged_stays_here(under, raw, field):
    exeat = under("")
    response = get(exeat.client().tunnel("raw.test:443"), "/x", field)
    assert (response.status, response.reason) == (403, "header-not-allowed")
    assert not raw.requests
    assert get(exeat.client().tunnel("raw.test:443"), "/x", field, "Connection: " + field.split(":")[0]).status == 200
    assert field.split(":")[0].lower().encode() not in raw.received.lower()


def test_an_encoded_slash_is_sent_as_it_came(under, raw):
    exeat = under(", encoded_slash: true")
    assert get(exeat.client().tunnel("raw.test:443"), "/acme%2Fwidgets").status == 200
    assert [r.target for r in raw.requests] == ["/acme%2Fwidgets"]


def soon(seconds):
    """A moment, and as a policy writes it."""
    until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return until, f"expires: \"{until.isoformat(timespec='milliseconds')}\""


def test_a_rule_expires_on_a_live_connection(under, raw):
    exeat = under("")
    until, text = soon(2)
    exeat.reload(policy=RULE % f", {text}")
    stream = exeat.client().tunnel("raw.test:443")
    assert get(stream, "/x").status == 200
    time.sleep(max(0, (until - datetime.datetime.now(datetime.timezone.utc)).total_seconds()) + 0.05)
    response = get(stream, "/x")
    assert (response.status, response.reason) == (403, "rule-expired")
    assert len(raw.requests) == 1


def download(raw, seconds=2):
    """An answer that lasts."""
    def script(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        for _ in range(100):
            connection.send(b"x" * 1000)
            time.sleep(seconds / 100)
    raw.script = script


@pytest.mark.parametrize("policy, reason", [
    (lambda text: RULE % f", {text}", "rule-expired"), (lambda text: f"{text}\n" + RULE % "", "rule-expired"),
    (lambda text: RULE % f", {text}" + RULE.partition("allow:\n")[2].replace("only", "other") % "", None),
], ids=["a rule", "the policy", "a rule beside one that stays"])
def test_what_is_running_ends_within_a_second_of_its_rules_end(under, raw, policy, reason):
    download(raw, 4)
    exeat = under("")
    until, text = soon(2)
    exeat.reload(policy=policy(text))
    stream = exeat.client().tunnel("raw.test:443")
    stream.send(b"GET /x HTTP/1.1\r\nHost: raw.test\r\n\r\n")
    stream.read_head()
    _, complete = stream.take(100_000)
    after = (datetime.datetime.now(datetime.timezone.utc) - until).total_seconds()
    record = exeat.one_record()
    assert (complete, record["reason"]) == (reason is None, reason)
    assert complete or (0 <= after < 1 and record["outcome"] == "aborted")


@pytest.mark.parametrize("before, after, survives", [
    (", headers: {x-mode: safe}", ", headers: {x-mode: safe, x-other?: a}", True),
    (", headers: {x-mode: safe}", ", headers: {x-mode: other}", False),
    (", headers: {x-mode: safe}", "", True),
    ("", ", headers: {x-mode?: safe}", False),  # nobody kept them: not known is not allowed
])
def test_a_reload_judges_the_fields_of_what_is_running(under, raw, before, after, survives):
    download(raw)
    exeat = under(before)
    stream = exeat.client().tunnel("raw.test:443")
    stream.send(b"GET /x HTTP/1.1\r\nHost: raw.test\r\nX-Mode: safe\r\n\r\n")
    stream.read_head()
    exeat.reload(policy=RULE % after)
    _, complete = stream.take(100_000)
    assert complete == survives
