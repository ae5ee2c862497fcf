"""exeat policy lint and test, and the replay of a log."""

import json
import os
import subprocess

import pytest

from lib import paths

POLICY = """\
exeat: 1
allow:
  - name: read the api
    host: api.test
    paths: [/v1/**]
  - name: write anything
    host: api.test
    methods: [POST]
    paths: [/**]
tests:
  - allow GET https://api.test/v1/x
  - block DELETE https://api.test/v1/x
  - block GET https://other.test/
"""


def exeat(*arguments, cwd, env=None):
    return subprocess.run([str(paths.EXEAT), *map(str, arguments)], capture_output=True, text=True, cwd=cwd, timeout=30,
                          env={"PATH": os.environ["PATH"], "HOME": str(cwd), **{k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")},
                               **(env or {})})


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "p.yaml").write_text(POLICY)
    return tmp_path


def findings(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


# --- lint ---


def test_lint_json_has_a_line_for_each_finding_with_its_place(folder):
    done = exeat("policy", "lint", "--json", "p.yaml", cwd=folder)
    assert done.returncode == 0, "warnings alone are no failure"
    found = findings(done)
    assert [set(f) for f in found] == [{"file", "line", "column", "level", "id", "message"}] * len(found) and found
    assert {f["id"] for f in found} >= {"write-whole-host", "unlimited-write"}
    assert {(f["file"], f["line"], f["column"], f["level"]) for f in found} == {("p.yaml", 6, 5, "warning")}


def test_lint_strict_fails_on_warnings_and_not_where_there_are_none(folder):
    assert exeat("policy", "lint", "--strict", "p.yaml", cwd=folder).returncode == 1
    (folder / "good.yaml").write_text("exeat: 1\nallow: [GET https://api.test/v1/x]\n")
    done = exeat("policy", "lint", "--strict", "--json", "good.yaml", cwd=folder)
    assert done.returncode == 0 and done.stdout == ""


def test_what_does_not_load_is_a_finding_of_level_error(folder):
    (folder / "bad.yaml").write_text("exeat: 1\nallow:\n  - {host: a.test, pathes: [/]}\n  - {host: '*.com', paths: [/]}\n")
    done = exeat("policy", "lint", "--json", "bad.yaml", cwd=folder)
    assert done.returncode == 1
    found = findings(done)
    assert [(f["line"], f["level"]) for f in found] == [(3, "error"), (4, "error")]


def test_an_agent_that_is_not_known_is_an_error_that_names_those_that_are(folder):
    (folder / "p.yaml").write_text("exeat: 1\nallow: [GET https://api.test/x]\nfiles: {agent: claud}\n")
    done = exeat("policy", "lint", "--json", "p.yaml", cwd=folder)
    assert done.returncode == 1
    assert [(f["level"], f["id"]) for f in findings(done)] == [("error", "unknown-agent")]
    assert '"claud" is not known' in findings(done)[0]["message"] and " claude," in findings(done)[0]["message"]


def test_an_extended_file_is_linted_too_and_a_preset_is_not(folder):
    (folder / "team.yaml").write_text("exeat: 1\nallow:\n  - POST https://team.test/**\n")
    (folder / "top.yaml").write_text("exeat: 1\nextends: [./team.yaml, openai]\n")
    done = exeat("policy", "lint", "--json", "top.yaml", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert {f["file"] for f in findings(done)} <= {"team.yaml", "top.yaml"}
    assert "write-whole-host" in {f["id"] for f in findings(done)}


def test_a_finding_brings_no_control_to_the_terminal(folder):
    (folder / "odd.yaml").write_text('exeat: 1\nallow:\n  - {name: "a \u202e b", host: a.test, methods: [POST], paths: [/**]}\n', encoding="utf-8")
    for options in ([], ["--json"]):
        done = exeat("policy", "lint", *options, "odd.yaml", cwd=folder)
        assert done.stdout and "\u202e" not in done.stdout


def test_lint_of_no_file_is_an_error(folder):
    assert exeat("policy", "lint", "missing.yaml", cwd=folder).returncode == 2
    (folder / "empty").mkdir()
    assert exeat("policy", "lint", cwd=folder / "empty").returncode == 2


# --- test ---


def test_the_tests_of_a_policy_are_judged(folder):
    done = exeat("policy", "test", "p.yaml", cwd=folder)
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert [line.split(" - ")[0] for line in lines[:3]] == ["ok 1", "ok 2", "ok 3"] and lines[-1] == "1..3"


@pytest.mark.parametrize("test, why", [
    ("block GET https://api.test/v1/x", "read the api"),
    ("allow GET https://api.test/v2", "path-not-allowed"),
    ("allow GET https://nobody.test/", "host-not-allowed"),
    ("block GET nonsense", "malformed-request"),
])
def test_a_test_that_fails_says_why_and_where(folder, test, why):
    (folder / "p.yaml").write_text(POLICY + f"  - {test}\n")
    done = exeat("policy", "test", "p.yaml", cwd=folder)
    assert done.returncode == 1
    assert "not ok 4" in done.stdout and why in done.stdout and "p.yaml:14" in done.stdout, done.stdout


def test_json_has_a_line_for_each_test(folder):
    done = exeat("policy", "test", "--json", "p.yaml", cwd=folder)
    found = findings(done)
    assert done.returncode == 0 and [f["ok"] for f in found] == [True] * 3
    assert found[1]["expected"] == found[1]["verdict"] == "block" and found[1]["reason"] == "method-not-allowed" and found[1]["line"] == 12


def test_in_mode_monitor_a_block_is_still_what_the_policy_says(folder):
    (folder / "p.yaml").write_text(POLICY.replace("exeat: 1\n", "exeat: 1\nmode: monitor\n"))
    assert exeat("policy", "test", "p.yaml", cwd=folder).returncode == 0


def test_no_tests_are_no_failure_and_said(folder):
    (folder / "none.yaml").write_text("exeat: 1\n")
    done = exeat("policy", "test", "none.yaml", cwd=folder)
    assert done.returncode == 0 and "no tests" in done.stderr


@pytest.mark.parametrize("arguments", [["nonsense"], [], ["lint", "a", "b"], ["show", "--strict"], ["lint", "--replay", "x"],
                                       ["test", "--task", "t"], ["test", "--replay", "/nonexistent", "p.yaml"]])
def test_what_makes_no_sense_is_an_error(folder, arguments):
    done = exeat("policy", *arguments, cwd=folder)
    assert done.returncode == 2 and done.stderr


# --- replay ---


def test_replay_finds_the_requests_that_change_verdict(start, raw, tmp_path):
    one = start("exeat: 1\ntask: widgets\nallow:\n  - {name: all, host: raw.test, methods: any, paths: [/**], body: {max: 1MiB}}\n")
    client = one.client()
    client.get("https://raw.test/keep")
    client.get("https://raw.test/lose?access_token=Zm9vYmFyYmF6cXV4")
    client.get("https://other.test/now")
    policy = tmp_path / "next.yaml"
    policy.write_text("exeat: 1\nallow:\n  - GET https://raw.test/keep\n  - GET https://other.test/now\n")
    done = one.cli("policy", "test", "--replay", one.audit, "--json", policy)
    assert done.returncode == 1, done.stdout + done.stderr
    found = {(f["url"].split("?")[0], f["was"], f["now"]) for f in findings(done)}
    assert found == {("https://raw.test/lose", "allow", "block"), ("https://other.test/now", "block", "allow")}
    text = one.cli("policy", "test", "--replay", one.audit.parent, policy) if one.audit.parent.is_dir() else done
    assert "https://raw.test/lose" not in text.stdout and "hxxps://raw.test/lose" in text.stdout, "a blocked URL is no link"
    assert "3 requests replayed, 2 would" in done.stderr
    assert one.cli("policy", "test", "--replay", one.audit, "--task", "nobody", policy).returncode == 0
    policy.write_text("exeat: 1\nallow: [{host: raw.test, methods: any, paths: [/**]}]\n")
    assert one.cli("policy", "test", "--replay", one.audit, policy).returncode == 0


def test_replay_says_what_it_cannot_judge(start, raw, tmp_path):
    one = start("exeat: 1\ntask: widgets\nallow:\n  - {name: all, host: raw.test, methods: any, paths: [/**], body: {max: 1MiB}}\n")
    one.client().get("https://raw.test/a?token=geheim")
    policy = tmp_path / "next.yaml"
    policy.write_text("exeat: 1\nallow:\n  - {host: raw.test, paths: [/a], query: {token: geheim}}\n")
    done = one.cli("policy", "test", "--replay", one.audit, policy)
    assert done.returncode == 0 and "cannot be replayed" in done.stderr and "0 requests replayed" in done.stderr
    policy.write_text("exeat: 1\nallow:\n  - {host: raw.test, paths: [/a], headers: {accept: '*'}}\n")
    done = one.cli("policy", "test", "--replay", one.audit, policy)
    assert done.returncode == 0 and "header" in done.stderr


def test_replay_reads_rotated_logs_too(start, raw, tmp_path):
    one = start("exeat: 1\ntask: widgets\nallow: [{host: raw.test, paths: [/**]}]\n")
    one.client().get("https://raw.test/first")
    one.stop()
    lines = one.audit.read_bytes()
    one.audit.rename(one.folder / f"{one.audit.name}.000000000001")
    one.audit.write_bytes(b"")
    one.check_chain = False
    policy = tmp_path / "next.yaml"
    policy.write_text("exeat: 1\n")
    done = one.cli("policy", "test", "--replay", one.audit, policy)
    assert lines and done.returncode == 1 and "raw.test/first" in done.stdout


def test_replay_of_what_is_no_log_is_an_error_that_says_where(start, raw, tmp_path):
    one = start("exeat: 1\ntask: widgets\nallow: [{host: raw.test, paths: [/**]}]\n")
    one.client().get("https://raw.test/first")
    one.stop()
    policy, log = tmp_path / "next.yaml", tmp_path / "log.jsonl"
    policy.write_text("exeat: 1\nallow: [{host: raw.test, paths: [/**]}]\n")
    lines = one.audit.read_bytes().splitlines(keepends=True)
    for text, line in ((b"nothing of ours\n", 1), (b"\0" * 3_000_000 + b"\n" + lines[0], 1),
                       (lines[0] + b"\x1f\x8b\n" + lines[1], 2), (lines[0] + lines[1][:-20] + b"\n" + lines[1], 2)):
        log.write_bytes(text)
        done = one.cli("policy", "test", "--replay", log, policy)
        assert done.returncode == 2 and f"{log}:{line}: not a record" in done.stderr, done.stderr
    for text in (b"", b"".join(lines), b"".join(lines) + lines[-1][:-20]):  # nothing yet, whole, cut off by a crash
        log.write_bytes(text)
        assert one.cli("policy", "test", "--replay", log, policy).returncode == 0
    missing = one.cli("policy", "test", "--replay", tmp_path / "none.jsonl", policy)
    assert missing.returncode == 2 and "none.jsonl" in missing.stderr and "replayed" not in missing.stderr
