"""Budgets: how often and how much, by rule and by task; and that nothing but time refills them."""

import hashlib
import json
import os
import re
import signal
import time

import pytest

from lib import paths

POLICY = """\
exeat: 1
task: widgets
{limits}
allow:
  - name: limited
    host: raw.test
    methods: any
    paths: ["/limited/**"]
    body: {{max: 10MiB}}
    limits: {{{rule}}}
  - name: second choice
    host: raw.test
    methods: any
    paths: [/**]
    body: {{max: 10MiB}}
"""


def policy(rule="requests: 1000000/min", task=""):
    return POLICY.format(rule=rule, limits=f"limits: {{{task}}}" if task else "")


def get(path="/limited/x", extra=""):
    return f"GET {path} HTTP/1.1\r\nHost: raw.test\r\n{extra}\r\n".encode()


def post(size, path="/limited/x"):
    return f"POST {path} HTTP/1.1\r\nHost: raw.test\r\nContent-Length: {size}\r\n\r\n".encode()


def ask(exeat, request=None, task="widgets"):
    return exeat.client(task).tunnel("raw.test:443").request(request or get())


def spend(exeat, times, request=None):
    stream = exeat.client().tunnel("raw.test:443")
    for n in range(times):
        assert stream.request(request or get()).status == 200, n


def refused(response, reason):
    assert (response.status, response.reason) == (429, reason), response
    return response


def test_the_31st_request_of_a_minute_is_too_much(start, raw):
    exeat = start(policy("requests: 30/min"))
    spend(exeat, 30)
    raw.forget()
    mark = exeat.mark()
    response = refused(ask(exeat), "request-rate")
    assert 50 <= int(response["retry-after"]) <= 61
    record = exeat.one_record(mark)
    assert (record["verdict"], record["reason"], record["status"]) == ("block", "request-rate", 429)
    assert record["rule"]["name"] == "limited" and record["sent"] == 0 and record["upstream"] is None
    assert raw.requests == []
    assert ask(exeat, get("/free")).status == 200


def test_the_first_rule_that_fits_is_charged_and_no_other_is_tried(start, raw):
    """/limited/x fits `second choice` too."""
    exeat = start(policy("requests: 1"))
    spend(exeat, 1)
    response = refused(ask(exeat), "request-rate")
    assert response["retry-after"] is None, "for a daemon task's life: waiting does not help"


def test_many_connections_share_one_budget(start, raw):
    exeat = start(policy("requests: 20/min"), workers=4)
    streams = [exeat.client().tunnel("raw.test:443") for _ in range(40)]
    for stream in streams:
        stream.send(get())
    statuses = [stream.read_response().status for stream in streams]
    assert sorted(statuses) == [200] * 20 + [429] * 20
    assert len(raw.requests) == 20


def test_what_was_refused_elsewhere_costs_nothing(start, raw):
    exeat = start(policy("requests: 2/min"), resolve=["raw.test:443:127.0.0.1:1"])
    for _ in range(5):
        assert ask(exeat).reason == "upstream-refused"


def test_a_task_has_its_budget_over_all_rules(start, raw):
    exeat = start(policy(task="requests: 3/hour"))
    spend(exeat, 2)
    spend(exeat, 1, get("/free"))
    refused(ask(exeat), "request-rate")
    response = refused(ask(exeat, get("/free")), "request-rate")
    assert 3500 <= int(response["retry-after"]) <= 3601


def test_a_blocked_request_costs_nothing(start, raw):
    exeat = start(policy("requests: 1/min").replace("methods: any", "methods: [GET]"))
    for _ in range(5):
        assert ask(exeat, post(0)).reason == "method-not-allowed"
    spend(exeat, 1)
    refused(ask(exeat), "request-rate")


def test_the_configuration_is_a_ceiling(prepare, raw):
    exeat = prepare(policies={"widgets": policy(task="requests: 100"), "gadgets": policy()},
                    extra="limits: {task: {requests: 2, upload: 1MiB}}").start()
    for task in ("widgets", "gadgets"):
        assert [ask(exeat, task=task).status for _ in range(3)] == [200, 200, 429], task


def test_a_known_body_that_does_not_fit_is_refused_before_a_byte_is_sent(start, raw):
    exeat = start(policy("upload: 100KiB/day"))
    stream = exeat.client().tunnel("raw.test:443")
    assert stream.request(post(60_000) + b"x" * 60_000).status == 200
    raw.forget()
    response = refused(ask(exeat, post(60_000)), "upload-budget")
    assert 80_000 < int(response["retry-after"]) < 90_000
    assert raw.received == b""
    assert stream.request(post(20_000) + b"x" * 20_000).status == 200


def test_heads_count_too(start, raw):
    exeat = start(policy("upload: 10KiB"))
    assert ask(exeat, get(extra=f"X: {'a' * 6000}\r\n")).status == 200
    refused(ask(exeat, get(extra=f"X: {'a' * 6000}\r\n")), "upload-budget")
    refused(ask(exeat, get("/limited/" + "b" * 6000)), "upload-budget")
    record = exeat.records("request")[0]
    assert 6000 < record["sent"] < 6400


def test_the_sum_of_what_was_sent_is_what_is_on_record(start, raw):
    exeat = start(policy("upload: 50KiB"))
    stream, sent = exeat.client().tunnel("raw.test:443"), 0
    while True:
        response = stream.request(post(1000) + b"x" * 1000)
        if response.status != 200:
            break
        sent += 1
    refused(response, "upload-budget")
    total = sum(r["sent"] for r in exeat.records("request"))
    assert total == len(raw.received)
    each = total // sent
    assert total <= 50 * 1024 < total + each


def chunks(count, size=8192):
    chunk = b"%x\r\n" % size + b"y" * size + b"\r\n"
    return chunk * count


def test_an_upload_of_unknown_length_is_aborted_in_the_middle(start, raw):
    seen = []

    def script(connection):
        seen.append(connection)
        connection.wait_closed()

    raw.script = script
    exeat = start(policy("upload: 64KiB"))
    stream = exeat.client().tunnel("raw.test:443")
    stream.send(b"POST /limited/x HTTP/1.1\r\nHost: raw.test\r\nTransfer-Encoding: chunked\r\n\r\n")
    stream.send(chunks(4))
    paths.wait_until(lambda: seen and len(seen[0].received) > 4 * 8192, "the origin has what fits")
    stream.send(chunks(8))
    refused(stream.read_response(), "upload-budget")
    paths.wait_until(lambda: seen and seen[0].ended, "the origin sees the end")
    assert seen[0].ended in ("reset", "cut"), "an abort, not a clean end"
    assert len(seen[0].received) <= 64 * 1024
    assert not seen[0].received.endswith(b"0\r\n\r\n")
    record = exeat.one_record(kinds=("request",))
    assert record["reason"] == "upload-budget" and record["sent"] == len(seen[0].received)


def test_what_was_not_sent_is_given_back(start, raw):
    def script(connection):
        connection.read_head()
        connection.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    raw.script = script
    exeat = start(policy("upload: 1MiB"))
    for _ in range(5):
        stream = exeat.client().tunnel("raw.test:443")
        stream.send(post(1_000_000))
        assert stream.read_response().status == 413


def test_a_reload_does_not_refill(start, raw):
    text = policy("requests: 2/day, upload: 1MiB", task="requests: 5/day")
    exeat = start(text)
    spend(exeat, 2)
    for changed in (text, text.replace("2/day", "2/hour"), text.replace("2/day", "1/day"), "# new\n" + text):
        assert exeat.reload(policy=changed).get("outcome") is None
        refused(ask(exeat), "request-rate")
    exeat.reload(policy=text.replace("requests: 2/day", "requests: 3/day"))
    paths.wait_until(lambda: ask(exeat).status == 200, "the new limit is in force")
    refused(ask(exeat), "request-rate")
    assert [ask(exeat, get("/free")).status for _ in range(3)] == [200, 200, 429], "five of the task"


def test_a_restart_does_not_refill(start, raw):
    exeat = start(policy("requests: 3, upload: 1MiB/day"))
    spend(exeat, 3)
    exeat.stop()
    file = exeat.folder / "state" / "budgets"
    assert file.stat().st_mode & 0o777 == 0o600
    exeat.stderr_path.write_text("")
    exeat.start()
    refused(ask(exeat), "request-rate")


def test_what_was_spent_survives_the_death_of_all(start, raw):
    exeat = start(policy("requests: 3"))
    spend(exeat, 3)
    file = exeat.folder / "state" / "budgets"
    paths.wait_until(lambda: file.exists() and b"counter" in file.read_bytes(), "the file of budgets")
    exeat.expected_exit = exeat.check_chain = None
    for pid in (exeat.process.pid, exeat.pid_of("proxy")):
        os.kill(pid, signal.SIGKILL)
    exeat.process.wait()
    exeat.stop()
    exeat.stderr_path.write_text("")
    exeat.expected_exit = 0
    exeat.start()
    refused(ask(exeat), "request-rate")


def test_a_proxy_that_dies_takes_no_budget_along(start, raw):
    exeat = start(policy("requests: 3"))
    spend(exeat, 3)
    exeat.expected_exit = None
    os.kill(exeat.pid_of("proxy"), signal.SIGKILL)
    exeat.process.wait(10)
    exeat.stop()
    exeat.stderr_path.write_text("")
    exeat.expected_exit = 0
    exeat.start()
    refused(ask(exeat), "request-rate")


@pytest.mark.parametrize("damage", [b"", b"exeat budgets 1\n", None])
def test_a_broken_file_of_budgets_is_an_error(start, raw, damage):
    exeat = start(policy("requests: 3"))
    spend(exeat, 1)
    exeat.stop()
    file = exeat.folder / "state" / "budgets"
    file.write_bytes(file.read_bytes().replace(b"counter", b"cuonter") if damage is None else damage)
    done = exeat.cli("proxy", "--config", exeat.config)
    assert done.returncode == 2 and "state/budgets" in done.stderr, done.stderr


def test_a_clock_that_was_set_back_or_forward_refills_nothing_while_it_runs_or_after(start, raw):
    """What is in the file of the wall clock only tells how long nobody ran."""
    exeat = start(policy("requests: 2/hour"))
    spend(exeat, 2)
    exeat.stop()
    file = exeat.folder / "state" / "budgets"
    text = file.read_text()
    wall = int(re.search(r"clock \d+ (\d+)", text).group(1))
    assert abs(wall / 1000 - time.time()) < 60
    body = text[:text.index("sum ")].replace(f" {wall}\n", f" {wall + 10 * 86_400_000}\n")
    file.write_text(body + f"sum {hashlib.sha256(body.encode()).hexdigest()}\n")
    exeat.stderr_path.write_text("")
    exeat.start()
    refused(ask(exeat), "request-rate")


def test_budgets_hold_in_mode_monitor(start, raw):
    exeat = start("mode: monitor\n" + policy("requests: 1/min", task="requests: 3/min"))
    spend(exeat, 1)
    refused(ask(exeat), "request-rate")
    other = b"GET /x HTTP/1.1\r\nHost: second.test\r\n\r\n"
    stream = exeat.client().tunnel("second.test:443")
    assert [stream.request(other).status for _ in range(3)] == [200, 200, 429]


def test_idle_cuts_what_moves_nothing(start, raw):
    def script(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n12345")
        connection.wait_closed()

    raw.script = script
    exeat = start(policy("idle: 500ms"))
    stream = exeat.client().tunnel("raw.test:443")
    began = time.monotonic()
    stream.send(get())
    response = stream.read_response()
    assert not response.complete and 0.4 < time.monotonic() - began < 3
    record = exeat.one_record(kinds=("request",))
    assert "limits.idle" in record["detail"] and record["outcome"] == "aborted"


def test_idle_waits_for_no_answer_longer(start, raw):
    raw.script = lambda connection: connection.wait_closed()
    exeat = start(policy("idle: 500ms"))
    response = ask(exeat)
    assert (response.status, response.reason) == (504, "upstream-timeout")


def test_a_json_answer_says_why(start, raw):
    exeat = start(policy("requests: 0"))
    response = ask(exeat, get(extra="Accept: application/json\r\n"))
    assert json.loads(response.body)["reason"] == "request-rate"


def test_what_is_in_progress_is_charged_to_the_new_limits(start, raw):
    """A reload that allows less than was sent already cuts the upload."""
    raw.script = lambda connection: connection.wait_closed()
    exeat = start(policy("upload: 1MiB"))
    stream = exeat.client().tunnel("raw.test:443")
    stream.send(b"POST /limited/x HTTP/1.1\r\nHost: raw.test\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(10))
    paths.wait_until(lambda: len(raw.received) > 70_000, "the origin has it")
    exeat.reload(policy=policy("upload: 16KiB"))
    refused(stream.read_response(), "upload-budget")


@pytest.mark.parametrize("limits", [{"rule": "upload: 128KiB"}, {"task": "upload: 128KiB"}], ids=["rule", "task"])
def test_what_is_in_progress_is_charged_to_limits_that_were_not_there(start, raw, limits):
    """The whole body, whose length is known: most of it is still to come."""
    raw.script = lambda connection: connection.wait_closed()
    exeat = start(policy())
    stream = exeat.client().tunnel("raw.test:443")
    stream.send(post(1 << 20) + b"x" * 70_000)
    paths.wait_until(lambda: len(raw.received) > 70_000, "the origin has it")
    exeat.reload(policy=policy(**limits))
    refused(stream.read_response(), "upload-budget")
