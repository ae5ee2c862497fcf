"""Start, reload, stop; and the times after which nobody waits any longer."""

import os
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from conftest import POLICY
from lib import paths
from lib.client import NoResponse


def test_it_says_when_it_is_ready_and_where(start):
    exeat = start()
    assert f"127.0.0.1:{exeat.port}" in exeat.stderr()
    record = exeat.records()[0]
    assert (record["kind"], record["seq"], record["prev"], record["v"]) == ("start", 1, "0" * 64, 1)


def test_it_listens_on_every_address_of_the_configuration(prepare):
    exeat = prepare()
    ports = [paths.free_port(), paths.free_port()]
    exeat.write_config(re.sub(r"listen: .*", f'listen: [127.0.0.1:{ports[0]}, "[::1]:{ports[1]}"]', exeat.config_text))
    exeat.start()
    for address, port in (("127.0.0.1", ports[0]), ("::1", ports[1])):
        socket.create_connection((address, port)).close()
        assert str(port) in exeat.stderr()


def test_it_speaks_sd_notify(prepare, tmp_path):
    address = str(tmp_path / "n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(address)
        s.settimeout(10)
        exeat = prepare()
        exeat.start(env={"NOTIFY_SOCKET": address})
        assert "READY=1" in s.recv(4096).decode().splitlines()
        exeat.signal(signal.SIGHUP)
        said = [s.recv(4096).decode(), s.recv(4096).decode()]
        assert "RELOADING=1" in said[0] and "MONOTONIC_USEC=" in said[0] and "READY=1" in said[1], said
        exeat.signal(signal.SIGTERM)
        assert "STOPPING=1" in s.recv(4096).decode()


def test_the_ca_is_made_once_and_kept(start):
    exeat = start()
    first = exeat.ca.read_bytes()
    exeat.stop()
    exeat.stderr_path.write_text("")
    exeat.start()
    assert exeat.ca.read_bytes() == first


def test_the_log_is_for_its_owner_only(start):
    exeat = start()
    assert exeat.audit.stat().st_mode & 0o777 == 0o600


def test_reload_changes_what_follows_on_a_live_connection(start, raw):
    exeat = start()
    stream = exeat.client().tunnel("raw.test:443")
    get = b"GET /x HTTP/1.1\r\nHost: raw.test\r\n\r\n"
    assert stream.request(get).status == 200
    exeat.reload(policy=POLICY.replace("methods: any", "methods: [POST]"))
    response = stream.request(get)
    assert (response.status, response.reason) == (403, "method-not-allowed")
    exeat.reload(policy=POLICY)
    stream = exeat.client().tunnel("raw.test:443")
    assert stream.request(get).status == 200


def test_reload_cuts_what_the_new_policy_does_not_allow(start, raw):
    """A download in progress is judged again within a second."""
    def script(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n")
        for _ in range(200):
            connection.send(b"x" * 1000)
            time.sleep(0.02)
    raw.script = script
    exeat = start()
    stream = exeat.client().tunnel("raw.test:443")
    stream.send(b"GET /x HTTP/1.1\r\nHost: raw.test\r\n\r\n")
    stream.read_head()
    exeat.reload(policy="exeat: 1\nallow: []\n")
    began = time.monotonic()
    _, complete = stream.take(10_000_000)
    assert not complete and time.monotonic() - began < 2


def test_reload_swaps_tasks_and_tokens(start, raw):
    exeat = start()
    exeat.reload(config=exeat.config_text.replace("token: s3cret-widgets", "token: an0ther"))
    assert exeat.client().connect("raw.test:443")[1].status == 407
    assert exeat.client(token="an0ther").get("https://raw.test/").status == 200


def test_a_broken_configuration_on_reload_keeps_the_old_one(start, raw):
    exeat = start()
    exeat.reload(config=exeat.config_text + "nonsense: true\n")
    assert "exeat.yaml" in exeat.stderr() and "nonsense" in exeat.stderr()
    assert exeat.client().get("https://raw.test/").status == 200
    exeat.write_config(exeat.config_text)


def test_many_reloads_under_load_lose_no_request(start, raw):
    exeat = start()
    stop, statuses = threading.Event(), []

    def load():
        stream = exeat.client().tunnel("raw.test:443")
        while not stop.is_set():
            statuses.append(stream.request(b"GET / HTTP/1.1\r\nHost: raw.test\r\n\r\n").status)

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(10):
        exeat.reload(policy=POLICY)
    stop.set()
    for thread in threads:
        thread.join()
    assert set(statuses) == {200} and len(statuses) > 10
    assert len(exeat.records("request")) == len(statuses)


def slow(connection):
    connection.read_request()
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n")
    for _ in range(20):
        time.sleep(0.05)
        connection.send(b".")


def test_sigterm_lets_a_download_finish_and_closes_what_idles(start, raw):
    raw.script = slow
    exeat = start()
    idle = exeat.client().tunnel("raw.test:443")
    stream = exeat.client().tunnel("raw.test:443")
    stream.send(b"GET /slow HTTP/1.1\r\nHost: raw.test\r\n\r\n")
    stream.read_head()
    exeat.signal(signal.SIGTERM)
    body, complete = stream.take(20)
    assert complete and body == b"." * 20
    assert idle.is_closed()
    assert exeat.process.wait(5) == 0
    assert [r["status"] for r in exeat.records("request")] == [200]
    assert exeat.records()[-1]["kind"] in ("stop", "seal")


def test_sigterm_accepts_nothing_more(start, raw):
    raw.script = slow
    exeat = start()
    stream = exeat.client().tunnel("raw.test:443")
    stream.send(b"GET /slow HTTP/1.1\r\nHost: raw.test\r\n\r\n")
    stream.read_head()
    exeat.signal(signal.SIGTERM)
    time.sleep(0.3)
    with pytest.raises((OSError, NoResponse)):
        exeat.client().connect("raw.test:443")
    exeat.process.wait(5)


def test_sigterm_cuts_what_does_not_end(start, raw):
    def endless(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while True:
            connection.send(b".")
            time.sleep(0.1)
    raw.script = endless
    exeat = start(extra="timeouts: {shutdown: 1s}")
    stream = exeat.client().tunnel("raw.test:443")
    stream.send(b"GET /endless HTTP/1.1\r\nHost: raw.test\r\n\r\n")
    stream.read_head()
    began = time.monotonic()
    exeat.signal(signal.SIGTERM)
    assert exeat.process.wait(8) == 0
    assert 0.5 < time.monotonic() - began < 5
    assert exeat.records("request")[-1]["url"] == "https://raw.test/endless", "it is on record"


def test_sigint_ends_it_as_well(start):
    exeat = start()
    exeat.signal(signal.SIGINT)
    assert exeat.process.wait(10) == 0


# --- nobody waits for ever ---

SHORT = "timeouts: {head: 700ms, connect: 700ms, tls_handshake: 700ms, response_head: 700ms, idle: 700ms, body_stall: 700ms}"


@pytest.fixture(scope="module")
def hasty_exeat(scratch, origin_ca, resolve):
    from lib.exeat import Exeat
    one = Exeat(scratch / "hasty", {"widgets": POLICY}, origin_ca.cert, resolve=resolve, extra=SHORT).start()
    yield one
    one.stop()


@pytest.fixture
def hasty(hasty_exeat):
    assert hasty_exeat.process.poll() is None
    return hasty_exeat


def test_a_head_that_does_not_end_in_a_tunnel_is_408(hasty, raw):
    stream, mark = hasty.client().tunnel("raw.test:443"), hasty.mark()
    response = stream.request(b"GET / HTTP/1.1\r\nHost: raw", "GET")
    assert (response.status, response.reason) == (408, "head-timeout")
    assert stream.is_closed()
    assert hasty.one_record(mark)["reason"] == "head-timeout"
    assert raw.accepted == 0


def test_a_head_that_trickles_is_408_all_the_same(hasty):
    stream, mark = hasty.client().plain(), hasty.mark()

    def trickle():
        try:
            for byte in b"GET http://plain.test/ HTTP/1.1\r\n" + b"X: y\r\n" * 100:
                stream.send(bytes([byte]))
                time.sleep(0.05)
        except OSError:
            pass
    threading.Thread(target=trickle, daemon=True).start()
    began = time.monotonic()
    assert stream.read_response().status == 408
    assert time.monotonic() - began < 3
    assert hasty.one_record(mark)["reason"] == "head-timeout"


def test_an_idle_connection_is_closed_without_a_record(hasty, raw):
    stream = hasty.client().tunnel("raw.test:443")
    assert stream.request(b"GET / HTTP/1.1\r\nHost: raw.test\r\n\r\n").status == 200
    mark = hasty.mark()
    assert stream.is_closed(4)
    assert hasty.since(mark) == []


def test_a_client_that_says_nothing_is_closed(hasty):
    assert hasty.client().plain().is_closed(4)


def test_a_handshake_that_does_not_end_is_closed_and_on_record(hasty, raw):
    mark = hasty.mark()
    stream, _ = hasty.client().connect("raw.test:443")
    stream.send(b"\x16\x03\x01\x02\x00\x01")
    assert not stream.fill() or stream.buffer[0] == 0x15, "an alert at most"
    assert hasty.one_record(mark)["kind"] == "connect"


def test_an_origin_that_does_not_answer_is_504(hasty, raw):
    raw.script = lambda c: (c.read_request(), c.wait_closed())
    mark = hasty.mark()
    response = hasty.client().get("https://raw.test/")
    assert (response.status, response.reason) == (504, "upstream-timeout")
    assert hasty.one_record(mark)["reason"] == "upstream-timeout"


def test_an_origin_that_stops_in_its_head_is_504(hasty, raw):
    raw.script = lambda c: (c.read_request(), c.send(b"HTTP/1.1 200 OK\r\nX: "), c.wait_closed())
    assert hasty.client().get("https://raw.test/").reason == "upstream-timeout"


def test_an_origin_that_does_not_shake_hands_is_504(hasty, raw):
    raw.delay_handshake = 2
    response = hasty.client().get("https://second.test/")
    assert (response.status, response.reason) == (504, "upstream-timeout")


def test_a_body_that_stalls_upstream_is_cut(hasty, raw):
    raw.script = lambda c: (c.read_request(), c.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"), c.wait_closed())
    stream, mark = hasty.client().tunnel("raw.test:443"), hasty.mark()
    response = stream.request(b"GET / HTTP/1.1\r\nHost: raw.test\r\n\r\n")
    assert not response.complete and response.body == b"abc"
    assert hasty.one_record(mark)["reason"] == "upstream-timeout"


def test_a_body_that_stalls_from_the_client_is_cut(hasty, raw):
    stream, mark = hasty.client().tunnel("raw.test:443"), hasty.mark()
    stream.send(b"POST / HTTP/1.1\r\nHost: raw.test\r\nContent-Length: 100\r\n\r\nabc")
    began = time.monotonic()
    while stream.fill():
        pass
    assert time.monotonic() - began < 5
    hasty.one_record(mark)
    assert all(r.body == b"" for r in raw.requests)


def test_a_client_that_goes_away_frees_the_connection_upstream(shared, raw):
    ended = []

    def script(connection):
        connection.read_request()
        ended.append(connection.wait_closed(5))
    raw.script = script
    stream, mark = shared.client().tunnel("raw.test:443"), shared.mark()
    stream.send(b"GET /gone HTTP/1.1\r\nHost: raw.test\r\n\r\n")
    paths.wait_until(lambda: raw.requests, "the origin has the request")
    stream.close()
    paths.wait_until(lambda: ended, "the connection upstream ends")
    record = shared.one_record(mark)
    assert record["url"] == "https://raw.test/gone" and record["outcome"] == "aborted"


@pytest.mark.root
def test_no_descriptor_is_left_over(start, raw):
    exeat = start(workers=1)
    proxy = exeat.pid_of("proxy")

    def descriptors():
        return len(os.listdir(f"/proc/{proxy}/fd"))

    client = exeat.client()
    assert client.get("https://raw.test/").status == 200
    before = descriptors()
    for _ in range(20):
        client.get("https://raw.test/")
        client.get("https://nowhere.test/")
        client.connect("raw.test:443")[0].close()
        client.plain().close()
    paths.wait_until(lambda: descriptors() <= before + 1, f"descriptors: {before} before, {descriptors()} now")


@pytest.mark.parametrize("how", ["blocked", "ignored"])
def test_signals_that_the_parent_left_blocked_or_ignored_work_all_the_same(prepare, raw, how):
    """Runners and nohup leave them so; SIGTERM must stop it and SIGHUP reload."""
    exeat = prepare()
    names = {signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD}

    def before_exec():
        if how == "blocked":
            signal.pthread_sigmask(signal.SIG_BLOCK, names)
        else:
            for name in names:
                signal.signal(name, signal.SIG_IGN)

    process = subprocess.Popen([paths.EXEAT, "proxy", "--config", exeat.config], env=exeat.env, preexec_fn=before_exec,
                               stderr=subprocess.PIPE, text=True)
    try:
        assert "ready on" in process.stderr.readline()
        process.send_signal(signal.SIGHUP)
        assert "reloaded" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
