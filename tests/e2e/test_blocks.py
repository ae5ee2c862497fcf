"""Blocks are explained: one answer, in words or JSON, one record, and the connection ends."""

import pytest

from conftest import POLICY
from lib import paths

KEYS = ["error", "reason", "message", "method", "url", "nearest", "hint", "id", "pending"]


def test_a_blocked_host_is_terminated_here_answered_once_and_closed(shared):
    client, mark = shared.client(), shared.mark()
    stream = client.tunnel("nowhere.test:443")
    response = stream.request(b"GET /path?q=1 HTTP/1.1\r\nHost: nowhere.test\r\n\r\n")
    assert (response.status, response.reason) == (403, "host-not-allowed")
    assert stream.is_closed()
    record = shared.one_record(mark)
    assert (record["kind"], record["method"], record["url"]) == ("request", "GET", "https://nowhere.test/path?q=1")
    assert record["upstream"] is None and record["sent"] == record["received"] == 0


def test_a_blocked_port_is_explained_as_well(shared, raw):
    response = shared.client().get("https://raw.test:8443/x")
    assert (response.status, response.reason) == (403, "port-not-allowed")
    assert raw.accepted == 0


def test_http_where_only_https_is_allowed_is_a_scheme_or_port_block(shared):
    response = shared.client().get("http://raw.test/x")
    assert response.status == 403 and response.reason in ("scheme-not-allowed", "port-not-allowed")


def test_the_answer_as_text_is_short_and_says_what_why_and_what_to_do(shared):
    response = shared.client().get("https://api.test/v1/x", method="DELETE")
    assert response["content-type"].startswith("text/plain")
    assert len(response.body) < 2000
    for part in ("DELETE", "https://api.test/v1/x", "method-not-allowed", "read the api", "exeat why"):
        assert part in response.text, response.text
    for secret in ("/v1/**", "127.0.0.1", "s3cret", "widgets.yaml"):
        assert secret not in response.text, "no address, no secret, no rule's content"


@pytest.mark.parametrize("accept", ["application/json", "text/html;q=0.1, application/json", "application/json; charset=utf-8"])
def test_the_answer_in_json_has_these_keys(shared, accept):
    mark = shared.mark()
    response = shared.client().get("https://api.test/v1/x?q=abcdefgh&n", method="DELETE", headers=[("Accept", accept)])
    assert response["content-type"].startswith("application/json")
    answer = response.json()
    assert list(answer) == KEYS
    assert (answer["error"], answer["reason"], answer["method"]) == ("exeat", "method-not-allowed", "DELETE")
    assert answer["url"] == "https://api.test/v1/x?q=[redacted]&n"
    assert answer["nearest"] == "read the api"
    assert answer["id"] == shared.one_record(mark)["id"]
    assert answer["hint"] and f"exeat why {answer['id']}" in answer["hint"]
    assert answer["pending"] is None


def test_nearest_is_null_where_no_rule_comes_near(shared):
    answer = shared.client().get("https://nowhere.test/", headers=[("Accept", "application/json")]).json()
    assert answer["nearest"] is None and answer["reason"] == "host-not-allowed"


def test_a_deny_rule_answers_in_its_own_words(shared, nginx):
    with nginx.watch() as arrived:
        for path in ("/v1/secret/x", "/v1/SECRET/x", "/v1/%73ecret/x", "/v1/./secret/x"):
            response = shared.client().get(f"https://api.test{path}", headers=[("Accept", "application/json")])
            assert (response.status, response.reason) == (403, "denied-by-rule"), path
            assert "Secrets are not for agents." in response.json()["message"]
    assert arrived == []


def test_nothing_of_the_request_becomes_markup_or_header(shared):
    response = shared.client().get("https://api.test/<script>alert(1)</script>", method="GET")
    assert response["content-type"].startswith("text/plain")
    assert response["x-content-type-options"] in (None, "nosniff")
    response = shared.client().get('https://api.test/"%3e<b>"', headers=[("Accept", "application/json")])
    assert list(response.json()) == KEYS, "still JSON"


def test_a_block_is_not_cached(shared):
    response = shared.client().get("https://api.test/private")
    assert response["cache-control"] == "no-store"


def test_the_answer_to_head_has_no_body(shared):
    stream = shared.client().tunnel("nowhere.test:443")
    stream.send(b"HEAD / HTTP/1.1\r\nHost: nowhere.test\r\n\r\n")
    response = stream.read_response("HEAD")
    assert (response.status, response.reason) == (403, "host-not-allowed")
    assert stream.is_closed() and stream.buffer == b""


def test_a_block_without_a_body_keeps_the_connection_for_what_is_allowed(shared, nginx):
    stream = shared.client().tunnel("api.test:443")
    assert stream.request(b"GET /private HTTP/1.1\r\nHost: api.test\r\n\r\n").status == 403
    assert stream.request(b"GET /v1/x HTTP/1.1\r\nHost: api.test\r\n\r\n").status == 200


def test_a_block_of_a_request_with_a_body_ends_the_connection(shared, nginx):
    """Or reads the body whole: it never takes the rest of it for a request."""
    stream = shared.client().tunnel("api.test:443")
    inner = b"GET /v1/inner HTTP/1.1\r\nHost: api.test\r\n\r\n"
    with nginx.watch() as arrived:
        response = stream.request(b"POST /v1/x HTTP/1.1\r\nHost: api.test\r\nContent-Length: 5000\r\n\r\n" + inner)
        assert response.status == 403
        assert stream.is_closed()
    assert arrived == []


def test_refusing_the_connect_itself_is_a_setting(start):
    exeat = start(extra="blocked_connect: refuse")
    stream, response = exeat.client().connect("nowhere.test:443")
    assert (response.status, response.reason) == (403, "host-not-allowed")
    assert stream.is_closed()
    record = exeat.one_record()
    assert (record["kind"], record["verdict"], record["reason"], record["status"]) == ("connect", "block", "host-not-allowed", 403)
    assert exeat.client().get("https://api.test/v1/x").status == 200


def test_certificates_for_blocked_names_have_a_budget(start):
    """Beyond it the CONNECT itself gets the 403; allowed names are not affected."""
    exeat = start(workers=1)
    client, refused = exeat.client(), 0
    for number in range(400):
        stream, response = client.connect(f"n{number}.nowhere.test:443")
        stream.close()
        if response.status == 403:
            refused += 1
            assert response.reason == "host-not-allowed"
    assert client.get("https://api.test/v1/x").status == 200


def test_monitor_mode_lets_pass_what_no_rule_allows_and_says_so(start, nginx, raw):
    exeat = start(policy=POLICY.replace("task: widgets", "task: widgets\nmode: monitor"))
    client = exeat.client()
    assert client.get("https://api.test/private").status == 404, "nginx's own answer"
    record = exeat.records("request")[-1]
    assert (record["verdict"], record["would"], record["reason"]) == ("allow", "block", "path-not-allowed")
    assert client.get("https://api.test/v1/x").status == 200
    assert exeat.records("request")[-1]["would"] is None
    for url, reason in (("https://api.test/v1/secret/x", "denied-by-rule"), ("https://api.test/a%2fb", "ambiguous-target")):
        response = client.get(url)
        assert response.reason == reason, "deny rules and guards hold in every mode"


def test_monitor_mode_reaches_hosts_that_no_rule_names(start, nginx):
    exeat = start(policy="exeat: 1\nmode: monitor\nallow: []\n")
    assert exeat.client().get("https://other.test/").status == 200
    record = exeat.records("request")[-1]
    assert (record["verdict"], record["would"], record["reason"], record["rule"]) == ("allow", "block", "host-not-allowed", None)


def test_monitor_mode_records_why_it_would_block_also_where_the_origin_fails(start):
    exeat = start(policy="exeat: 1\nmode: monitor\nallow: []\n", resolve=[f"gone.test:443:127.0.0.1:{paths.free_port()}"])
    response = exeat.client().get("https://gone.test/")
    assert (response.status, response.reason) == (502, "upstream-refused")
    record = exeat.one_record()
    assert (record["verdict"], record["would"], record["reason"]) == ("allow", "block", "host-not-allowed")
    assert (record["status"], record["sent"]) == (502, 0)
