"""What presets allow: every list of tests/cases/presets, through the real loader, under that preset alone.

    # where the list comes from, and when
    extends: [npm]
    allow GET https://packages.test/npm/widgets
    block PUT https://packages.test/npm/widgets type=application/json body=2000     (body=?: not known before)
"""

import json
import os
import re
import subprocess

import pytest

from lib import paths

CASES = paths.SOURCE / "tests/cases/presets"
PRESETS = paths.SOURCE / "conf/presets"
LISTS = sorted(str(p.relative_to(CASES)) for p in CASES.glob("*/*"))
LINE = re.compile(r"(allow|block) ([A-Z]+) (\S+)((?: \w+=\S+)*)$")


def read_list(name):
    """(the policy's line, [(verdict, method, url, options)])"""
    policy, requests = None, []
    for line in (CASES / name).read_text().splitlines():
        if line.startswith("extends:"):
            policy = line
        elif line and not line.startswith("#"):
            verdict, method, url, options = LINE.match(line).groups()
            requests.append((verdict, method, url, tuple(sorted(tuple(o.split("=", 1)) for o in options.split()))))
    return policy, requests


@pytest.fixture
def exeat(tmp_path):
    """exeat check where no tool is configured, and none of the caller's variables counts."""
    (tmp_path / "home").mkdir()

    def exeat(*arguments, policy, stdin=None, env=None):
        (tmp_path / "policy.yaml").write_text(f"exeat: 1\n{policy}\n")
        return subprocess.run([paths.EXEAT, *arguments, "--policy", "policy.yaml"], input=stdin, capture_output=True,
                              text=True, cwd=tmp_path, timeout=30,
                              env={"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home"), "LANG": "C.UTF-8",
                                   **{k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")}, **(env or {})})
    return exeat


def flags(options):
    """One call of `check` judges requests of the same type and size."""
    names = {"type": "--type", "body": "--body-size"}
    return [word for name, value in options if value != "?" for word in (names[name], value)]


@pytest.mark.parametrize("name", LISTS)
def test_a_preset_allows_what_its_list_says_and_no_more(exeat, name):
    policy, requests = read_list(name)
    assert name.split("/")[0] in policy, "the list is about the preset of its folder"
    wrong = []
    for options in sorted({o for *_, o in requests}):
        some = [r for r in requests if r[3] == options]
        done = exeat("check", "--json", *flags(options), "-", policy=policy,
                     stdin="".join(f"{method} {url}\n" for _, method, url, _ in some))
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        assert len(answers) == len(some), done.stderr
        for (verdict, method, url, _), answer in zip(some, answers):
            if answer["verdict"] != verdict:
                wrong.append(f"{method} {url} {dict(options)}: {answer['verdict']}, {answer['reason']}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("preset", sorted(p.stem for p in PRESETS.glob("*.yaml")))
def test_every_preset_has_a_list_and_says_what_it_was_not_tried_against(preset):
    verdicts = {request[0] for name in LISTS if name.startswith(f"{preset}/") for request in read_list(name)[1]}
    assert verdicts == {"allow", "block"}, "a folder in tests/cases/presets"
    text = (PRESETS / f"{preset}.yaml").read_text()
    comment = " ".join(line.lstrip("# ") for line in text.split("exeat: 1")[0].splitlines())
    assert re.search(r"[Nn]ot tried|no \w+ was at hand|not tried", comment), comment
    assert f"%D%/presets/{preset}.yaml" in (paths.SOURCE / "conf/local.mk").read_text(), "installed"


@pytest.mark.parametrize("name", LISTS)
def test_every_list_says_when_and_from_where(name):
    comment = [line for line in (CASES / name).read_text().splitlines() if line.startswith("#")]
    head = " ".join(comment[:3])
    assert re.search(r"\b20\d\d-\d\d-\d\d\b", head), head


@pytest.mark.parametrize("preset, variable, value, url", [
    ("npm", "npm_config_registry", "https://packages.corp.example/npm/", "https://packages.corp.example/npm/widgets"),
    ("pypi", "PIP_INDEX_URL", "https://u:s3cret@packages.corp.example/simple", "https://packages.corp.example/simple/x/"),
    ("go", "GOPROXY", "https://packages.corp.example/go,direct", "https://packages.corp.example/go/example.com/x/@v/list"),
])
def test_a_preset_takes_the_host_from_the_tools_own_configuration(exeat, preset, variable, value, url):
    done = exeat("check", "GET", url, policy=f"extends: [{preset}]", env={variable: value})
    assert done.returncode == 0, done.stdout + done.stderr
    other = exeat("check", "GET", url.replace("corp", "evil"), policy=f"extends: [{preset}]", env={variable: value})
    assert other.returncode == 1, other.stdout + other.stderr
    assert "s3cret" not in done.stdout + done.stderr


def test_a_mirror_in_the_users_home_counts(exeat, tmp_path):
    (tmp_path / "home/.npmrc").write_text("registry=https://packages.corp.example/\n"
                                          "@acme:registry=https://acme.corp.example/npm\n")
    for url in ("https://packages.corp.example/widgets", "https://acme.corp.example/npm/@acme%2ftools"):
        done = exeat("check", "GET", url, policy="extends: [npm]")
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_projects_own_npmrc_does_not_count(exeat, tmp_path):
    (tmp_path / ".npmrc").write_text("registry=https://evil.example/\n")
    (tmp_path / "home/.npmrc").write_text("registry=https://packages.corp.example/\n")
    done = exeat("check", "GET", "https://evil.example/widgets", policy="extends: [npm]")
    assert done.returncode == 1, done.stdout + done.stderr


def test_a_broken_configuration_is_an_error_with_its_place(exeat, tmp_path):
    (tmp_path / "home/.npmrc").write_text("\nregistry=https://packages corp/\n")
    done = exeat("check", "GET", "https://packages.corp.example/widgets", policy="extends: [npm]")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "~/.npmrc:2" in done.stderr and "policy.yaml:2" in done.stderr, done.stderr
