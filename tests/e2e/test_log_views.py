"""What a reviewer asks of logs that are there already, without a proxy: log --all, --ids, why, check's notes."""

import json
import subprocess

import pytest

from lib import paths


def exeat(*words, **keywords):
    return subprocess.run([str(w) for w in (paths.EXEAT, *words)], capture_output=True, text=True, timeout=30, **keywords)


def record(seq, run, **fields):
    return {"v": 1, "seq": seq, "id": f"{run}{seq:025}", "time": f"2026-11-2{run}T08:00:0{seq}.000Z", "kind": "request",
            "task": "widgets", "run": f"2026112{run}T080000Z-aaaaa{run}", "verdict": "block", "reason": "host-not-allowed",
            "method": "GET", "url": f"https://run{run}.test/", "status": 403, **fields}


SSH = {"address": "198.18.0.1", "pid": 812, "exe": "/usr/bin/ssh", "args": ["ssh", "-T", "git@\u202eforge.test"]}


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """Two runs of two records."""
    folder = tmp_path_factory.mktemp("logs")
    for run in (1, 2):
        lines = [record(1, run, client=SSH), record(2, run, verdict="allow", reason=None, status=200)]
        name = folder / f"{lines[0]['run']}.jsonl"
        name.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_all_runs_are_shown_oldest_first(logs):
    shown = exeat("log", "--log", logs, "--all", "--verdict", "block").stdout.splitlines()
    assert [line.split("//")[1].split("/")[0] for line in shown] == ["run1.test", "run2.test"]
    assert len(exeat("log", "--log", logs, "--verdict", "block").stdout.splitlines()) == 1


def test_the_last_lines_are_those_of_all_runs(logs):
    shown = exeat("log", "--log", logs, "--all", "-n", "3").stdout.splitlines()
    assert [line.split("//")[1].split("/")[0] for line in shown] == ["run1.test", "run2.test", "run2.test"]
    assert exeat("log", "--log", logs, "--all", "--follow").returncode == 2


def test_an_id_of_the_log_is_what_why_takes(logs):
    first = exeat("log", "--log", logs, "--all", "--ids").stdout.splitlines()[0]
    done = exeat("why", "--log", logs, first.split()[0])
    assert done.returncode == 0 and "run1.test" in done.stdout
    assert "/usr/bin/ssh (pid 812): ssh -T git@?forge.test\n" in done.stdout  # what reorders text is not printed


@pytest.mark.parametrize("rule, note", [
    ("host: 10.0.0.5", 'addresses: ["10.0.0.5/32"]'),
    ('host: "fd00::5"', 'addresses: ["fd00::5/128"]'),
    ("host: 198.18.0.9, addresses: [198.18.0.0/15]", "never connected to"),
    ("host: 10.0.0.5, addresses: [10.0.0.0/8]", None),
    ("host: 8.8.8.8", None),
])
def test_check_says_which_address_the_guard_keeps(tmp_path, rule, note):
    policy = tmp_path / "policy.yaml"
    policy.write_text(f"exeat: 1\nallow:\n  - {{{rule}, paths: [/**]}}\n")
    host = rule.split(",")[0].removeprefix("host: ").strip('"')
    done = exeat("check", "--policy", policy, "GET", f"https://{f'[{host}]' if ':' in host else host}/")
    assert done.returncode == 0 and ("not connected" in done.stdout or "never connected" in done.stdout) == bool(note)
    assert not note or note in done.stdout
