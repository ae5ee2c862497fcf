"""What is wrong with a configuration is said once, with its place."""

import subprocess

import pytest

from lib import paths

POLICY = "exeat: 1\nallow: [GET https://raw.test/one]\n"
CONFIG = "exeat: 1\nlisten: [\"127.0.0.1:0\"]\nstate: ./state\n"


@pytest.fixture
def check(tmp_path):
    (tmp_path / "p.yaml").write_text(POLICY)

    def check(text, command="proxy"):
        (tmp_path / "exeat.yaml").write_text(text)
        (tmp_path / "exeat.yaml").chmod(0o600)
        words = {"proxy": ["proxy", "--config", "exeat.yaml"],
                 "check": ["check", "--config", "exeat.yaml", "GET", "https://raw.test/one"]}[command]
        return subprocess.run([str(paths.EXEAT), *words], cwd=tmp_path, capture_output=True, text=True, timeout=20)
    return check


def test_a_file_of_roots_that_is_missing_or_no_pem_is_named_at_its_key(check, tmp_path):
    text = CONFIG + "upstream:\n  ca_file: ./roots.pem\ntasks: []\n"
    assert "exeat.yaml:5:12: " in check(text).stderr
    (tmp_path / "roots.pem").write_text("junk")
    done = check(text)
    assert done.returncode == 2 and "exeat.yaml:5:12: " in done.stderr


def test_a_token_of_two_tasks_is_named_at_the_second(check):
    done = check(CONFIG + "tasks:\n  - {task: a, policy: ./p.yaml, token: s}\n  - {task: b, policy: ./p.yaml, token: s}\n")
    assert done.returncode == 2 and "exeat.yaml:6:12: tasks `a` and `b` have the same token" in done.stderr


def test_check_says_each_problem_once(check):
    done = check(CONFIG + "nope: 1\nfoo: 2\ntasks: []\n", "check")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 2 and done.stderr.count('"nope"') == 1


def test_a_proxy_without_tasks_says_so(prepare):
    one = prepare(POLICY, tasks="  []\n").start()
    assert "nobody is let in" in one.stderr()


def test_paths_in_a_configuration_behind_a_link_start_from_where_it_lies(prepare, tmp_path, raw):
    one = prepare(POLICY)
    link = tmp_path / "link.yaml"
    link.symlink_to(one.config)
    one.config = link
    one.start()
    assert one.client().get("https://raw.test/one").status == 200
    assert not (tmp_path / "state").exists()
