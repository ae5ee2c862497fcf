"""Policies that extend files and presets: through the real proxy, by check and by policy show."""

import json
import subprocess

import pytest

from lib import paths

TEAM = "exeat: 1\nallow:\n  - {name: team, host: raw.test, paths: [/team]}\n"
OWN = "exeat: 1\nextends: [%s]\nallow:\n  - {name: own, host: raw.test, paths: [/own]}\n"


def exeat(folder, *arguments, env=None):
    return subprocess.run([paths.EXEAT, *arguments], cwd=folder, capture_output=True, text=True, timeout=30, env=env,
                          check=False)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "policies").mkdir()
    (tmp_path / "team.yaml").write_text(TEAM)
    (tmp_path / "policies" / "own.yaml").write_text(OWN % "../team.yaml")
    return tmp_path


def test_the_proxy_judges_by_what_a_policy_extends(prepare, raw):
    proxy = prepare()
    (proxy.folder / "team.yaml").write_text(TEAM)
    proxy.start()
    proxy.reload(policy=OWN % "./team.yaml")
    client = proxy.client()
    assert client.get("https://raw.test/team").status == 200
    assert client.get("https://raw.test/own").status == 200
    assert client.get("https://raw.test/other").reason == "path-not-allowed"
    files = {r["rule"]["name"]: r["rule"]["file"] for r in proxy.records("request") if r["rule"]}
    assert files["team"].endswith("team.yaml") and files["team"] != files["own"]


def test_a_reload_reads_extended_files_again_or_keeps_all(prepare, raw):
    proxy = prepare()
    (proxy.folder / "team.yaml").write_text(TEAM)
    proxy.start()
    proxy.reload(policy=OWN % "./team.yaml")
    (proxy.folder / "team.yaml").write_text("exeat: 1\n")
    proxy.reload()
    # the file watch may have put a reload of its own on record first
    paths.wait_until(lambda: proxy.client().get("https://raw.test/team").reason == "path-not-allowed", "the new policy")
    (proxy.folder / "team.yaml").write_text("exeat: 1\nallow: [{host: raw.test}]\n")
    proxy.reload()
    paths.wait_until(lambda: "team.yaml:2:9: an allow rule has `paths`" in proxy.stderr(), "the error")
    assert proxy.client().get("https://raw.test/own").status == 200


def test_names_are_relative_to_the_file_that_extends(folder):
    check = exeat(folder, "check", "--json", "--policy", "policies/own.yaml", "GET", "https://raw.test/team")
    assert check.returncode == 0, check.stderr
    assert json.loads(check.stdout)["rule"] == {"name": "team", "file": "team.yaml", "line": 3}


def test_an_extended_file_that_is_missing_is_told_where_it_is_named(folder):
    (folder / "team.yaml").unlink()
    check = exeat(folder, "check", "--policy", "policies/own.yaml", "GET", "https://raw.test/team")
    assert check.returncode == 2
    assert "policies/own.yaml:2:11: team.yaml: " in check.stderr


@pytest.mark.parametrize("deep, code", [(8, 0), (9, 2)])
def test_files_extend_each_other_eight_deep(folder, deep, code):
    for i in range(1, deep):
        (folder / f"{i}.yaml").write_text(f"extends: ./{i + 1}.yaml\n")
    (folder / f"{deep}.yaml").write_text("allow: [GET https://raw.test/deep]\n")
    (folder / "p.yaml").write_text("exeat: 1\nextends: ./1.yaml\n")
    check = exeat(folder, "check", "--policy", "p.yaml", "GET", "https://raw.test/deep")
    assert check.returncode == code, check.stdout + check.stderr
    assert code == 0 or f"{deep - 1}.yaml:1:10: files extend each other more than 8 deep" in check.stderr


def test_a_device_is_no_extended_file(folder):
    (folder / "policies" / "own.yaml").write_text(OWN % "/dev/zero")
    check = exeat(folder, "check", "--policy", "policies/own.yaml", "GET", "https://raw.test/own")
    assert check.returncode == 2 and "/dev/zero" in check.stderr


@pytest.mark.parametrize("entry, url, code", [
    ("{git: github.com/acme/shop}", "https://github.com/acme/shop/info/refs?service=git-upload-pack", 0),
    ("{git: github.com/acme/shop}", "https://github.com/acme/shop/info/refs?service=git-receive-pack", 1),
    ("{git: github.com/acme/shop, push: true}", "https://github.com/acme/shop/info/refs?service=git-receive-pack", 0),
    ("{git: github.com/acme/shop}", "https://github.com/acme/other/info/refs?service=git-upload-pack", 1),
    ("{npm: packages.corp.example}", "https://packages.corp.example/left-pad", 0),
])
def test_presets_are_found_by_name(folder, entry, url, code):
    (folder / "p.yaml").write_text(f"exeat: 1\nextends: [{entry}]\n")
    check = exeat(folder, "check", "--policy", "p.yaml", "GET", url)
    assert check.returncode == code, check.stdout + check.stderr


def test_a_preset_in_the_project_is_not_found(folder):
    for place in ("presets", "conf/presets"):
        (folder / place).mkdir(parents=True)
        (folder / place / "mine.yaml").write_text(TEAM)
    (folder / "p.yaml").write_text("exeat: 1\nextends: [mine]\n")
    check = exeat(folder, "check", "--policy", "p.yaml", "GET", "https://raw.test/team")
    assert check.returncode == 2 and "p.yaml:2:11: there is no preset `mine`" in check.stderr


def test_a_registry_is_read_from_the_tools_own_configuration(folder):
    (folder / ".npmrc").write_text("registry=https://packages.corp.example/npm/\n")
    (folder / "p.yaml").write_text("exeat: 1\nextends: [npm]\n")
    show = exeat(folder, "policy", "show", "--json", "p.yaml", env={"HOME": str(folder), "PATH": "/usr/bin:/bin"})
    assert show.returncode == 0, show.stderr
    shown = json.loads(show.stdout)
    assert "registry https://packages.corp.example/npm" in shown["extends"][0]["values"]
    assert {tuple(rule["host"]) for rule in shown["rules"]} == {("packages.corp.example",)}


def test_show_says_what_is_in_force(folder):
    (folder / "p.yaml").write_text(
        "exeat: 1\nlimits: {upload: 200MiB/day}\nextends: [./team.yaml]\nservices: [127.0.0.1:5432]\n"
        "allow:\n  - {rule: POST https://api.test/x, limits: {requests: 30/min}}\n")
    show = exeat(folder, "policy", "show", "p.yaml").stdout
    assert show.startswith("task ") and "2 hosts, 1 may be written to, at most 200 MiB a day" in show
    assert "what the agent reads can reach api.test" in show
    assert "limits: upload 200MiB/day\n" in show and "  limits  requests 30/min\n" in show
    assert "extends team.yaml\n" in show and 'allow "team" (team.yaml:3)' in show
    assert "services 127.0.0.1:5432 (not inspected)" in show
