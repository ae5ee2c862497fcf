"""When a part is missing, traffic stops and says why."""

import contextlib
import os
import resource
import signal
import subprocess
import time

import pytest

from conftest import POLICY
from lib import paths, processes
from lib.client import NoResponse

BAD_POLICIES = {
    "an unknown key": ("exeat: 1\nallow:\n  - {host: a.test, pathes: [/]}\n", "3:"),
    "no version": ("allow: []\n", ""),
    "another version": ("exeat: 2\nallow: []\n", "1:"),
    "broken YAML": ("exeat: 1\nallow: [\n", ""),
    "a rule without a host": ("exeat: 1\nallow:\n  - {paths: [/]}\n", "3:"),
    "a rule without paths": ("exeat: 1\nallow:\n  - {host: a.test}\n", "3:"),
    "a wildcard over a public suffix": ('exeat: 1\nallow:\n  - {host: "*.co.uk", paths: [/**]}\n', "3:"),
    "a key of a later version": ("exeat: 1\nhold: {}\nallow: []\n", "2:"),
    "an unquoted star": ("exeat: 1\nallow:\n  - host: *.example.com\n    paths: [/**]\n", "3:11"),
}


def failed_start(exeat):
    exeat.spawn()
    try:
        code = exeat.process.wait(10)
    except subprocess.TimeoutExpired:
        pytest.fail(f"it started\n{exeat.stderr()}")
    exeat.process = None
    return code, exeat.stderr()


@pytest.mark.parametrize("text, place", BAD_POLICIES.values(), ids=[n.replace(" ", "-") for n in BAD_POLICIES])
def test_a_broken_policy_is_an_error_at_start_with_its_place(prepare, text, place):
    code, said = failed_start(prepare(policy=text))
    assert code == 2
    assert f"widgets.yaml:{place}" in said, said


@pytest.mark.parametrize("text", ["", "exeat: 1\n", "exeat: 1\nallow: []\n", "# nothing\n"], ids=["no-byte", "no-rule", "no-rules", "a-comment"])
def test_an_empty_policy_allows_nothing(prepare, raw, text):
    """Either it is an error at start, or it is in force and blocks everything."""
    exeat = prepare(policy=text).spawn()
    paths.wait_until(lambda: exeat.process.poll() is not None or "ready" in exeat.stderr(), "a decision", 30)
    if exeat.process.poll() is not None:
        assert exeat.process.returncode == 2 and "widgets.yaml" in exeat.stderr()
        exeat.process = None
        return
    exeat.port = exeat._ready_port()
    assert exeat.client().get("https://raw.test/").status == 403
    assert exeat.client().get("http://raw.test/").status == 403
    assert raw.accepted == 0


def test_a_missing_policy_is_an_error_at_start(prepare):
    exeat = prepare()
    (exeat.folder / "widgets.yaml").unlink()
    code, said = failed_start(exeat)
    assert code == 2 and "widgets.yaml" in said


def test_a_policy_that_is_a_folder_is_an_error_at_start(prepare):
    exeat = prepare()
    (exeat.folder / "widgets.yaml").unlink()
    (exeat.folder / "widgets.yaml").mkdir()
    code, said = failed_start(exeat)
    assert code == 2 and "widgets.yaml" in said


@pytest.mark.parametrize("change, place", [
    (("workers: 2", "workers: 0"), "exeat.yaml:3"), (("workers: 2", "worker: 2"), "exeat.yaml:3"),
    (("exeat: 1", "exeat: 9"), "exeat.yaml:1"), (("listen: [127.0.0.1", "listen: [localhost"), "exeat.yaml:2"),
    (("audit: {", "audit: {compress: true, "), "exeat.yaml:5")],
    ids=["no-workers", "a-typing-error", "another-version", "no-address", "an-unknown-key"])
def test_a_broken_configuration_is_an_error_at_start_with_its_place(prepare, change, place):
    exeat = prepare()
    assert change[0] in exeat.config_text
    exeat.write_config(exeat.config_text.replace(*change))
    code, said = failed_start(exeat)
    assert code == 2 and place in said, said


def test_a_port_in_use_is_an_error_at_start(prepare, shared):
    code, said = failed_start(prepare(listen=f"127.0.0.1:{shared.port}"))
    assert code == 2 and str(shared.port) in said


def test_a_key_that_others_may_read_or_that_does_not_fit_is_an_error_at_start(prepare, origin_ca):
    exeat = prepare()
    (exeat.folder / "ca.pem").write_bytes(origin_ca.cert.read_bytes())
    (exeat.folder / "ca.key").write_bytes(origin_ca.issue("x.test").key.read_bytes())
    (exeat.folder / "ca.key").chmod(0o600)
    code, said = failed_start(exeat)
    assert code == 2 and "CA key" in said


def test_a_log_that_cannot_be_opened_is_an_error_at_start(prepare):
    exeat = prepare()
    exeat.audit.mkdir()
    exeat.check_chain = False
    code, said = failed_start(exeat)
    assert code == 2 and "audit.jsonl" in said
    exeat.audit.rmdir()


def test_two_proxies_do_not_write_one_log(start, prepare):
    exeat = start()
    second = prepare()
    second.write_config(second.config_text.replace("./audit.jsonl", str(exeat.audit)))
    code, said = failed_start(second)
    assert code == 2 and "audit.jsonl" in said


# --- while it runs ---


@pytest.mark.parametrize("text", [t for t, _ in BAD_POLICIES.values()], ids=[n.replace(" ", "-") for n in BAD_POLICIES])
def test_a_broken_policy_on_reload_keeps_the_old_one_says_so_and_records_it(shared_for_reload, raw, text):
    exeat = shared_for_reload
    before = exeat.stderr()
    record = exeat.reload(policy=text)
    assert "widgets.yaml" in exeat.stderr()[len(before):]
    assert "widgets.yaml" in str(record), "the record says what was wrong"
    assert exeat.client().get("https://raw.test/").status == 200, "the old policy is in force"
    assert exeat.client().get("https://nowhere.test/").status == 403
    exeat.reload(policy=POLICY)


@pytest.fixture(scope="module")
def module_exeat(scratch, origin_ca, resolve):
    from lib.exeat import Exeat
    one = Exeat(scratch / "reloads", {"widgets": POLICY}, origin_ca.cert, resolve=resolve).start()
    yield one
    one.stop()


@pytest.fixture
def shared_for_reload(module_exeat):
    module_exeat.write_policy(POLICY)
    return module_exeat


def test_a_policy_that_disappears_keeps_the_old_one(shared_for_reload, raw):
    exeat = shared_for_reload
    (exeat.folder / "widgets.yaml").unlink()
    exeat.reload()
    assert exeat.client().get("https://raw.test/").status == 200
    exeat.reload(policy=POLICY)


def test_without_the_keeper_new_names_are_503_and_known_ones_go_on(start, raw):
    exeat = start(workers=1)
    client = exeat.client()
    assert client.get("https://raw.test/").status == 200
    keeper = exeat.pid_of("keeper")
    os.kill(keeper, signal.SIGSTOP)  # so that it cannot be started anew before we have seen this
    os.kill(keeper, signal.SIGKILL)
    deadline, seen = time.monotonic() + 5, None
    while time.monotonic() < deadline and seen is None:
        stream, response = client.connect("second.test:443")
        stream.close()
        if response.status == 503:
            seen = response
        elif response.status == 200 and "keeper" in processes.below(exeat.process.pid).values():
            break  # it is back already: that is also right
    if seen:
        assert seen.reason == "keeper-unavailable"
        assert exeat.records("connect")[-1]["reason"] == "keeper-unavailable"
    assert raw.hellos.count("second.test") == 0
    assert seen or paths.wait_until(lambda: client.get("https://second.test/").status == 200, "the keeper is back")


def test_a_keeper_that_hangs_holds_up_new_names_only(start, raw):
    exeat = start(workers=1, extra="timeouts: {tls_handshake: 2s}")
    client = exeat.client()
    assert client.get("https://raw.test/").status == 200
    keeper = exeat.pid_of("keeper")
    os.kill(keeper, signal.SIGSTOP)
    try:
        waiting = client.plain()
        waiting.send(b"CONNECT second.test:443 HTTP/1.1\r\nHost: second.test:443\r\n" + client.auth() + b"\r\n")
        for _ in range(3):
            assert client.get("https://raw.test/").status == 200, "its certificate is there"
        response = waiting.read_response("CONNECT")
        assert response.status in (200, 503)
        if response.status == 503:
            assert response.reason == "keeper-unavailable"
    finally:
        os.kill(keeper, signal.SIGCONT)


def assert_no_traffic(exeat, raw):
    """503 audit-unavailable, in whatever way the connection got that far; nothing reaches the origin."""
    raw.forget()
    client = exeat.client()
    stream, response = client.connect("raw.test:443")
    if response.status == 200:
        stream.close()
        response = client.get("https://raw.test/unrecorded")
    assert (response.status, response.reason) == (503, "audit-unavailable")
    assert raw.requests == []


def test_when_the_log_cannot_grow_nothing_passes(prepare, raw):
    """A limit on file size stands for a full disk: write(2) fails."""
    exeat = prepare(workers=1)
    exeat.check_chain = False
    exeat.start(preexec=lambda: signal.signal(signal.SIGXFSZ, signal.SIG_IGN))
    for pid in exeat.family:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (60_000, 60_000))
    client, passed = exeat.client(), 0
    stream = client.tunnel("raw.test:443")
    for number in range(2000):
        try:
            response = stream.request(b"GET /%d?%s HTTP/1.1\r\nHost: raw.test\r\n\r\n" % (number, b"x" * 50))
        except NoResponse:
            break
        if response.status != 200:
            assert (response.status, response.reason) == (503, "audit-unavailable")
            break
        passed += 1
    else:
        pytest.fail("2000 requests passed a log of 60,000 bytes")
    recorded = [r for r in exeat.records("request") if r["verdict"] == "allow" and r["status"] == 200]
    assert len(recorded) >= passed, "whatever was answered is on record"
    assert_no_traffic(exeat, raw)


@pytest.mark.root
def test_traffic_comes_back_with_space_on_the_disk(prepare, raw, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", disk], check=True)
    try:
        exeat = prepare(workers=1)
        exeat.write_config(exeat.config_text.replace("./audit.jsonl", f"{disk}/audit.jsonl"))
        exeat.start()
        client = exeat.client()
        assert client.get("https://raw.test/1").status == 200
        with contextlib.suppress(OSError), open(disk / "ballast", "wb", buffering=0) as ballast:
            while ballast.write(b"x" * 4096):
                pass
        answers = []
        for _ in range(40):  # the last page of the log may have room for some records
            answers.append(client.get(f"https://raw.test/{'y' * 400}"))
            if answers[-1].status == 503:
                break
        assert answers[-1].reason == "audit-unavailable", answers
        assert_no_traffic(exeat, raw)
        (disk / "ballast").unlink()
        paths.wait_until(lambda: client.connect("raw.test:443")[1].status == 200, "traffic comes back", 10, 0.2)
        assert client.get("https://raw.test/again").status == 200
        exeat.stop()
        done = exeat.cli("log", "--log", disk / "audit.jsonl", "--verify")
        assert done.returncode == 0, done.stdout + done.stderr
    finally:
        subprocess.run(["umount", "-l", disk], check=False)


def test_a_proxy_killed_in_mid_request_leaves_a_record(start, raw):
    def script(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nthe first bytes")
        connection.wait_closed()
    raw.script = script
    exeat = start()
    stream = exeat.client().tunnel("raw.test:443")
    stream.send(b"GET /cut?by=kill HTTP/1.1\r\nHost: raw.test\r\n\r\n")
    stream.read_head()
    exeat.expected_exit = None
    os.kill(exeat.pid_of("proxy"), signal.SIGKILL)
    record = paths.wait_until(lambda: next((r for r in exeat.records("request") if r["url"] == "https://raw.test/cut?by=kill"), None),
                              "a record of the request that was cut")
    assert (record["outcome"], record["method"], record["task"]) == ("interrupted", "GET", "widgets")
    assert record["verdict"] == "allow"


def test_everything_killed_in_mid_request_is_on_record_at_the_next_start(start, raw):
    """kill -9 of the supervisor takes all with it; what was answered is on file, and the chain goes on."""
    exeat = start()
    client = exeat.client()
    assert client.get("https://raw.test/before").status == 200
    exeat.expected_exit = None
    family = dict(exeat.family)
    os.kill(exeat.process.pid, signal.SIGKILL)
    exeat.process.wait()
    paths.wait_until(lambda: not any(processes.is_alive(pid) for pid in family), f"the roles are gone with it: {family}", 5)
    exeat.verify()
    exeat.stderr_path.write_text("")
    exeat.start()
    exeat.expected_exit = 0
    assert exeat.client().get("https://raw.test/after").status == 200
    assert [r["url"] for r in exeat.records("request")] == ["https://raw.test/before", "https://raw.test/after"]


def test_verify_finds_a_changed_a_missing_and_a_swapped_line(start, raw):
    exeat = start()
    for number in range(5):
        exeat.client().get(f"https://raw.test/{number}")
    exeat.stop()
    whole = exeat.audit.read_bytes()
    lines = whole.splitlines(keepends=True)
    for changed in ([*lines[:2], lines[2].replace(b"raw.test", b"raw.best"), *lines[3:]], [*lines[:2], *lines[3:]],
                    [*lines[:2], lines[3], lines[2], *lines[4:]]):
        exeat.audit.write_bytes(b"".join(changed))
        done = exeat.cli("log", "--config", exeat.config, "--verify")
        assert done.returncode == 1, done.stdout + done.stderr
        assert "3" in done.stdout + done.stderr or "4" in done.stdout + done.stderr
    exeat.audit.write_bytes(whole)
    exeat.verify()
