"""Seals: the keeper's signature under the log, which whoever holds the log cannot make."""

import json
import os
import re
import signal

from lib import paths

GET = b"GET / HTTP/1.1\r\nHost: raw.test\r\n\r\n"


def verify(exeat, *arguments):
    return exeat.cli("log", *(arguments or ("--config", exeat.config)), "--verify")


def some_requests(exeat, count):
    stream = exeat.client().tunnel("raw.test:443")
    for _ in range(count):
        assert stream.request(GET).status == 200


def test_the_end_of_a_run_is_sealed(start, raw):
    exeat = start()
    some_requests(exeat, 3)
    exeat.stop()
    last = exeat.records()[-1]
    assert last["kind"] == "seal" and last["seal"]["seq"] == last["seq"] - 1
    assert exeat.records()[-2]["kind"] == "stop"
    done = verify(exeat)
    assert done.returncode == 0
    assert f"sealed to seq {last['seq'] - 1}" in done.stdout
    assert f"nothing is sealed from seq {last['seq']} on" in done.stdout


def test_the_key_is_kept_and_stays_the_same(start, raw):
    exeat = start()
    exeat.stop()
    exeat.stderr_path.write_text("")
    exeat.start()
    exeat.stop()
    keys = {r["seal"]["key"] for r in exeat.records("seal")}
    assert len(keys) == 1
    assert (exeat.folder / "state" / "seal.pub").read_text() == f"ed25519 {keys.pop()}\n"


def test_many_records_are_sealed_while_it_runs(start, raw):
    exeat = start()
    some_requests(exeat, 1)
    stream = exeat.client().tunnel("raw.test:443")
    batch = GET * 50
    for _ in range(202):
        stream.send(batch)
        for _ in range(50):
            stream.read_response()
    paths.wait_until(lambda: exeat.records("seal"), "a seal after 10,000 records")
    seal = exeat.records("seal")[0]
    assert 10_000 <= seal["seal"]["seq"] < 10_102


def test_a_rotated_file_ends_with_a_seal(prepare, raw):
    exeat = prepare()
    exeat.write_config(exeat.config_text.replace("audit: {file: ./audit.jsonl}",
                                                 "audit: {file: ./audit.jsonl, rotate: 20KiB}"))
    exeat.start()
    for _ in range(3):
        some_requests(exeat, 40)
        paths.wait_until(lambda: list(exeat.folder.glob("audit.jsonl.*")), "a rotated file")
    exeat.stop()
    for file in exeat.folder.glob("audit.jsonl.*"):
        kinds = [json.loads(line)["kind"] for line in file.read_text().splitlines()]
        assert "seal" in kinds[-5:], file


def forge(exeat, edit):
    """The whole chain written anew by somebody who can write the log, with one record changed."""
    import hashlib
    lines, prev = [], "0" * 64
    for line in exeat.audit.read_text().splitlines():
        line = edit(line)
        line = re.sub(r'"prev":"[0-9a-f]{64}"}$', f'"prev":"{prev}"}}', line)
        prev = hashlib.sha256(line.encode()).hexdigest()
        lines.append(line)
    exeat.audit.write_text("\n".join(lines) + "\n")


def test_a_chain_that_was_written_anew_does_not_fit_its_seal(start, raw):
    exeat = start()
    some_requests(exeat, 3)
    exeat.stop()
    exeat.check_chain = False
    forge(exeat, lambda line: line.replace('"status":200', '"status":404'))
    done = verify(exeat)
    assert done.returncode == 1 and "audit.jsonl:" in done.stdout and "seal" in done.stdout, done.stdout


def test_a_seal_of_another_key_is_found(start, raw, prepare):
    exeat = start()
    exeat.stop()
    exeat.check_chain = False
    other = start(name="other")
    other.stop()
    key = other.records("seal")[-1]["seal"]["key"]
    keys = exeat.folder / "state" / "seal.pub"
    good = keys.read_text()
    keys.write_text(f"ed25519 {key}\n")
    done = verify(exeat)
    assert done.returncode == 1 and "not the keeper's" in done.stdout
    keys.write_text(f"# a comment\n\ned25519 {key}\n{good}")
    assert verify(exeat).returncode == 0
    keys.write_text("ed25519 zz\n")
    assert verify(exeat).returncode == 2


def test_the_key_may_be_given(start, raw):
    exeat = start()
    exeat.stop()
    key = exeat.records("seal")[-1]["seal"]["key"]
    given = ("--log", exeat.audit, "--seal-key")
    assert verify(exeat, *given, key).returncode == 0
    assert verify(exeat, *given, "0" * 64).returncode == 1
    assert verify(exeat, *given, "nonsense").returncode == 2
    assert key in verify(exeat, "--log", exeat.audit).stdout


def test_without_a_keeper_the_log_goes_on_unsealed(start, raw):
    exeat = start()
    some_requests(exeat, 1)
    exeat.expected_exit = None
    os.kill(exeat.pid_of("keeper"), signal.SIGKILL)
    some = exeat.client()
    assert some.connect("second.test:443")[1].reason == "keeper-unavailable"
    exeat.stop()
    assert exeat.records("seal") == [] and exeat.records()[-1]["kind"] == "stop"
    done = verify(exeat)
    assert done.returncode == 0 and "nothing is sealed from seq 1 on" in done.stdout


def test_a_new_keeper_seals_again(start, raw):
    exeat = start()
    os.kill(exeat.pid_of("keeper"), signal.SIGKILL)
    paths.wait_until(lambda: "keeper has ended" in exeat.stderr(), "its end")
    exeat.reload()
    paths.wait_until(lambda: "started anew" in exeat.stderr(), "a new keeper")
    exeat.stop()
    assert exeat.records()[-1]["kind"] == "seal"


def test_json_says_it_too(start, raw):
    exeat = start()
    exeat.stop()
    done = exeat.cli("log", "--config", exeat.config, "--verify", "--json")
    found = json.loads(done.stdout)
    assert found["seals"] == 1 and found["sealed"]["seq"] == found["last"] - 1
