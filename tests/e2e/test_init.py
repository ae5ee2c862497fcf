"""exeat init: a first policy from what lies in the project, read as data."""

import os
import subprocess

import pytest

from lib import paths


class Project:
    def __init__(self, folder):
        self.home, self.folder = folder / "home", folder / "shop"
        self.home.mkdir()
        self.folder.mkdir()
        self.policy = self.folder / ".exeat.yaml"
        (self.home / ".npmrc").write_text("registry=https://packages.corp.example/npm/\n")

    def git(self, config):
        (self.folder / ".git").mkdir()
        (self.folder / ".git/config").write_text(config)
        (self.folder / ".git/HEAD").write_text("ref: refs/heads/main\n")

    def exeat(self, *arguments, cwd=None, env=None):
        env = {"PATH": os.environ["PATH"], "HOME": str(self.home), "LANG": "C.UTF-8", **(env or {}),
               **{k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")}}
        return subprocess.run([paths.EXEAT, *arguments], cwd=cwd or self.folder, env=env, capture_output=True, text=True, timeout=30)

    def entries(self):
        """The list under `extends`, without comments."""
        done = self.exeat("init", "--print")
        assert done.returncode == 0, done.stderr
        return [line.split("#")[0].strip().removeprefix("- ") for line in done.stdout.splitlines() if line.startswith("  - ")]


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


@pytest.mark.parametrize("file, preset", [
    ("package-lock.json", "npm"), ("yarn.lock", "npm"), ("pnpm-lock.yaml", "npm"), ("requirements.txt", "pypi"),
    ("requirements-dev.txt", "pypi"), ("pyproject.toml", "pypi"), ("uv.lock", "pypi"), ("poetry.lock", "pypi"),
    ("Cargo.lock", "crates"), ("go.sum", "go"), ("pom.xml", "maven"), ("build.gradle", "gradle"), ("build.gradle.kts", "gradle"),
    ("Gemfile.lock", "rubygems"), ("Dockerfile", "docker-pull"), ("web/package.json", "npm"), ("services/go.mod", "go"),
])
def test_a_file_asks_for_a_preset(project, file, preset):
    (project.folder / file).parent.mkdir(exist_ok=True)
    (project.folder / file).write_text("")
    assert project.entries() == [preset]


@pytest.mark.parametrize("url, entry", [
    ("https://github.com/acme/shop.git", "github.com/acme/shop"),
    ("https://user:s3cret@github.com/acme/shop", "github.com/acme/shop"),
    ("git@github.com:acme/shop.git", "github.com/acme/shop"),
    ("ssh://git@gitlab.corp.example:2222/team/sub/shop.git/", "gitlab.corp.example/team/sub/shop"),
    ("git://git.corp.example/shop.git", "git.corp.example/shop"),
    ("http://git.corp.example:8080/shop", '"http://git.corp.example:8080/shop"'),
    ('"https://git.corp.example/a%20b" ; why', '"git.corp.example/a%20b"'),
    ("https://git.corp.example/x,push:true}", '"git.corp.example/x,push:true%7D"'),
])
def test_a_remote_is_fetched_from_and_not_pushed_to(project, url, entry):
    project.git(f'[core]\n\turl = https://evil.example/core\n[remote "origin"]\n\turl = {url}\n\tfetch = +x:y\n')
    assert project.entries() == [f"{{git: {entry}, push: false}}"]
    done = project.exeat("init")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("url", ["/srv/git/shop.git", "../shop", "file:///srv/shop", "C:\\shop", "https://", "https://*.example/x",
                                 "https://host.example/*", "ext::sh -c date", "https://host.example/", "-x:y", "a\\",
                                 "https://git.corp.example/x, push: true}", '"https://git.corp.example/x'])
def test_what_is_no_place_on_the_network_is_left_out(project, url):
    project.git(f'[remote "origin"]\n\turl = {url}\n')
    assert project.entries() == []
    assert project.exeat("init").returncode == 0


def test_the_policy_is_written_and_loads(project):
    project.git('[remote "origin"]\n\turl = https://github.com/acme/shop.git\n')
    (project.folder / "package-lock.json").write_text("{}")
    done = project.exeat("init")
    assert done.returncode == 0, done.stderr
    assert str(project.policy) in done.stdout and "hosts" in done.stdout, done.stdout
    assert "exeat trust" in done.stdout
    check = project.exeat("check", "GET", "https://packages.corp.example/npm/widgets")
    assert check.returncode == 0, check.stdout + check.stderr
    assert project.exeat("check", "GET", "https://github.com/acme/shop.git/info/refs?service=git-upload-pack").returncode == 0
    assert project.exeat("check", "POST", "https://github.com/acme/shop.git/git-receive-pack").returncode == 1
    assert project.exeat("policy", "lint").returncode == 0


def test_an_empty_project_gets_a_policy_that_allows_nothing(project):
    done = project.exeat("init")
    assert done.returncode == 0, done.stderr
    assert project.exeat("check", "GET", "https://github.com/").returncode == 1


def test_it_never_overwrites(project):
    project.policy.write_text("exeat: 1\n# mine\n")
    done = project.exeat("init")
    assert done.returncode == 2 and "already" in done.stderr
    assert project.policy.read_text() == "exeat: 1\n# mine\n"


def test_it_follows_no_link(project, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    project.policy.symlink_to(tmp_path / "elsewhere/target")
    assert project.exeat("init").returncode == 2
    assert not (tmp_path / "elsewhere/target").exists()
    (tmp_path / "elsewhere/Cargo.lock").write_text("")
    (project.folder / "linked").symlink_to(tmp_path / "elsewhere")
    (project.folder / "go.sum").symlink_to(tmp_path / "elsewhere/Cargo.lock")
    assert project.entries() == []


def test_printing_writes_nothing(project):
    assert project.exeat("init", "--print").returncode == 0
    assert list(project.folder.iterdir()) == []


def test_it_works_from_a_folder_below_the_top(project):
    project.git('[remote "origin"]\n\turl = https://github.com/acme/shop\n')
    (project.folder / "src").mkdir()
    assert project.exeat("init", cwd=project.folder / "src").returncode == 0
    assert project.policy.exists()


def test_a_linked_work_tree_leads_to_its_repository(project, tmp_path):
    main = tmp_path / "main/.git"
    (main / "worktrees/shop").mkdir(parents=True)
    (main / "config").write_text('[remote "origin"]\n\turl = https://github.com/acme/shop\n')
    (main / "worktrees/shop/commondir").write_text("../..\n")
    (project.folder / ".git").write_text(f"gitdir: {main}/worktrees/shop\n")
    assert project.entries() == ["{git: github.com/acme/shop, push: false}"]


def test_a_registry_that_nobody_named_is_a_question(project):
    (project.folder / "package.json").write_text("{}")
    (project.home / ".npmrc").write_text("registry=not a url://x\n@a:registry=https://b r o k e n/\n")
    done = project.exeat("init", "--print")
    assert done.returncode == 0 and "# - {npm: packages.example.com}" in done.stdout, done.stdout + done.stderr
    assert project.exeat("init").returncode == 0


def test_the_home_directory_is_no_project(project):
    done = project.exeat("init", cwd=project.home)
    assert done.returncode == 2, done.stdout
    assert not (project.home / ".exeat.yaml").exists()


def test_no_program_is_started(project, tmp_path):
    bait = tmp_path / "bait"
    bait.mkdir()
    (bait / "git").write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    (bait / "git").chmod(0o755)
    project.git(f'[core]\n\tfsmonitor = {bait}/git\n\tsshCommand = {bait}/git\n[remote "origin"]\n\turl = git@github.com:a/b\n')
    assert project.exeat("init", env={"PATH": str(bait)}).returncode == 0
    assert not (tmp_path / "ran").exists()
