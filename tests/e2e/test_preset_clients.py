"""Package managers and git, for real, under one preset alone: what they ask for passes, what they would write does not
leave. Their requests are also held against the lists of tests/cases/presets, which say where they come from."""

import json
import os
import re
import subprocess
import sys

import pytest

from lib import paths, registry as registry_module
from lib.registry import HOST, ROOT
from test_presets import CASES, read_list


@pytest.fixture(scope="module")
def registry(origin_ca):
    server = registry_module.Registry(origin_ca.issue(HOST))
    yield server
    server.stop()


class Client:
    """A program's home, and an exeat whose policy is one preset."""

    def __init__(self, exeat, folder, registry):
        self.exeat, self.folder, self.registry = exeat, folder, registry
        self.work = folder / "work"
        self.work.mkdir()
        self.env = exeat.client_env()
        self.failed = None

    def run(self, *command, env=None, ok=True, cwd=None):
        done = subprocess.run([str(c) for c in command], env={**self.env, **(env or {})}, cwd=cwd or self.work,
                              capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
        text = done.stdout + done.stderr
        assert (done.returncode == 0) == ok, text + "\n" + "\n".join(self.requests())
        return text

    def records(self):
        return [r for r in self.exeat.records("request")]

    def requests(self):
        return [f"{r['verdict']} {r['method']} {r['url']}" for r in self.records()]

    def all_pass(self):
        assert self.records(), "nothing was asked for"
        blocked = [line for line in self.requests() if not line.startswith("allow")]
        assert not blocked, "\n".join(blocked)

    def blocked(self, method, path):
        """One such request was made, and none of its method reached the registry."""
        assert f"block {method} {ROOT}{path}" in self.requests(), "\n".join(self.requests())
        assert not [r for r in self.registry.requests if r.split()[0] == method], self.registry.requests

    def stands_in(self, preset):
        """What was recorded is of a shape that the preset's lists have, with the verdict that they say."""
        known = {(verdict, method, shape(url)) for name in os.listdir(CASES / preset)
                 for verdict, method, url, _ in read_list(f"{preset}/{name}")[1]}
        unknown = {line for line in self.requests()
                   if (line.split()[0], line.split()[1], shape(line.split()[2])) not in known}
        assert not unknown, "\n".join(sorted(unknown))


def shape(url):
    """A URL without what differs from one recording to the next."""
    url = url.split("?service=")[0] + ("?service=" + url.split("?service=")[1] if "?service=" in url else "")
    return re.sub(r"\?(?!service=).*", "", url).lower()


@pytest.fixture
def client(start, registry, tmp_path):
    def client(preset, folder="client"):
        exeat = start(policy=f"exeat: 1\ntask: widgets\nextends: [{preset}]\n", resolve=[
            f"{HOST}:443:127.0.0.1:{registry.port}", f"{HOST}:80:127.0.0.1:{registry.plain_port}"])
        registry.requests.clear()
        (tmp_path / folder).mkdir()
        return Client(exeat, tmp_path / folder, registry)
    return client


def need(program):
    if not paths.program(program):
        pytest.skip(f"{program} is not installed")


# --- npm ---

@pytest.fixture
def npm(client):
    need("npm")
    c = client(f'{{npm: "{ROOT}/npm/"}}')
    c.env.update(npm_config_registry=f"{ROOT}/npm/", npm_config_cache=str(c.folder / "cache"), npm_config_audit="false",
                 npm_config_fund="false", npm_config_update_notifier="false", npm_config_fetch_retries="0",
                 npm_config_userconfig=str(c.folder / "npmrc"))
    (c.folder / "npmrc").write_text(f"//{HOST}/npm/:_authToken=made-up\n")
    (c.work / "package.json").write_text(json.dumps(
        {"name": "shop", "version": "1.0.0", "dependencies": {"widgets": "^1.0.0", "@acme/tools": "^2.0.0"}}))
    return c


def test_npm_installs_views_and_searches(npm):
    npm.run("npm", "install")
    assert (npm.work / "node_modules/@acme/tools/package.json").exists()
    subprocess.run(["rm", "-rf", npm.work / "node_modules", npm.folder / "cache"], check=True)
    npm.run("npm", "ci")
    assert (npm.work / "node_modules/widgets/package.json").exists()
    npm.run("npm", "view", "widgets", "version")
    npm.run("npm", "view", "@acme/tools", "version")
    npm.run("npm", "outdated")
    npm.run("npm", "pack", "widgets")
    npm.run("npm", "ping")
    npm.run("npm", "search", "widgets")
    npm.run("npm", "dist-tag", "ls", "widgets")
    npm.all_pass()
    npm.stands_in("npm")


def test_npm_installs_though_its_audit_is_blocked(npm):
    npm.run("npm", "install", env={"npm_config_audit": "true"})
    assert (npm.work / "node_modules/widgets/package.json").exists()
    npm.blocked("POST", "/npm/-/npm/v1/security/advisories/bulk")


@pytest.mark.parametrize("command, method, path", [
    (["publish"], "PUT", "/npm/shop"),
    (["dist-tag", "add", "widgets@1.0.0", "next"], "PUT", "/npm/-/package/widgets/dist-tags/next"),
    (["token", "list"], "GET", "/npm/-/npm/v1/tokens"),
    (["whoami"], "GET", "/npm/-/whoami"),
    (["login", "--auth-type=web"], "POST", "/npm/-/v1/login"),
    (["audit"], "POST", "/npm/-/npm/v1/security/advisories/bulk"),
    (["deprecate", "widgets@1.0.0", "old"], "PUT", "/npm/widgets"),
])
def test_npm_does_not_write(npm, command, method, path):
    env = {"npm_config_audit": "true"} if command == ["audit"] else {}
    if command == ["audit"]:
        npm.run("npm", "install", "--package-lock-only")
    npm.run("npm", *command, ok=False, env=env)
    assert f"block {method} {ROOT}{path}" in npm.requests(), "\n".join(npm.requests())
    assert not [r for r in npm.registry.requests if r == f"{method} {path}"], npm.registry.requests


# --- pip ---

def test_pip_downloads_and_installs(client):
    c = client(f'{{pypi: "{ROOT}/pypi/simple"}}')
    c.env.update(PIP_INDEX_URL=f"{ROOT}/pypi/simple", PIP_NO_CACHE_DIR="1", PIP_DISABLE_PIP_VERSION_CHECK="1")
    pip = [sys.executable, "-m", "pip"]
    if subprocess.run([*pip, "--version"], capture_output=True).returncode:
        pytest.skip("pip is not installed")
    c.run(*pip, "download", "widgets", "--no-deps", "-d", "files")
    c.run(*pip, "install", "widgets", "--target", "site")
    assert (c.work / "site/widgets.py").exists()
    c.all_pass()
    c.stands_in("pypi")


# --- cargo ---

@pytest.fixture
def cargo(client):
    need("cargo")
    c = client(f'{{crates: "{ROOT}/crates/index", downloads: "{ROOT}/crates/dl"}}')
    home = c.folder / "cargo"
    home.mkdir()
    (home / "config.toml").write_text(
        f'[source.crates-io]\nreplace-with = "local"\n[source.local]\nregistry = "sparse+{ROOT}/crates/index/"\n'
        f'[registries.local]\nindex = "sparse+{ROOT}/crates/index/"\n')
    c.env.update(CARGO_HOME=str(home), CARGO_NET_RETRY="0", RUSTUP_HOME=os.environ.get("RUSTUP_HOME", os.path.expanduser("~/.rustup")))
    (c.work / "src").mkdir()
    (c.work / "src/lib.rs").write_text("")
    (c.work / "Cargo.toml").write_text(
        '[package]\nname = "shop"\nversion = "1.0.0"\nedition = "2018"\ndescription = "x"\nlicense = "MIT"\n'
        '[dependencies]\nwidgets = "1.0"\n')
    return c


def test_cargo_fetches_and_updates(cargo):
    cargo.run("cargo", "fetch")
    cargo.run("cargo", "update")
    cargo.all_pass()
    cargo.stands_in("crates")


@pytest.mark.parametrize("command, method, path", [
    (["publish", "--registry", "local", "--token", "made-up", "--no-verify", "--allow-dirty"], "PUT", "/crates/api/v1/crates/new"),
    (["yank", "widgets@1.0.0", "--registry", "local", "--token", "made-up"], "DELETE", "/crates/api/v1/crates/widgets/1.0.0/yank"),
    (["owner", "--add", "me", "widgets", "--registry", "local", "--token", "made-up"], "PUT", "/crates/api/v1/crates/widgets/owners"),
])
def test_cargo_does_not_write(cargo, command, method, path):
    if command[0] == "publish":
        (cargo.work / "Cargo.toml").write_text('[package]\nname = "shop"\nversion = "1.0.0"\nedition = "2018"\n'
                                               'description = "x"\nlicense = "MIT"\n')
    cargo.run("cargo", *command, ok=False)
    cargo.blocked(method, path)


# --- go ---

def test_go_downloads_modules(client):
    need("go")
    c = client(f'{{go: "{ROOT}/go"}}')
    c.env.update(GOPROXY=f"{ROOT}/go", GONOSUMDB="*", GOFLAGS="-mod=mod", GOPATH=str(c.folder / "go"), GOTOOLCHAIN="local",
                 GOCACHE=str(c.folder / "build"))
    (c.work / "go.mod").write_text("module example.com/shop\n\ngo 1.19\n\nrequire example.com/widgets v1.0.0\n")
    (c.work / "shop.go").write_text('package shop\n\nimport _ "example.com/widgets"\n')
    c.run("go", "mod", "download")
    c.run("go", "list", "-m", "-versions", "example.com/widgets")
    c.run("go", "get", "example.com/widgets@latest")
    c.run("chmod", "-R", "u+w", c.folder / "go")
    c.all_pass()
    c.stands_in("go")


# --- maven ---

def test_maven_resolves_a_parent(start, registry, tmp_path):
    need("mvn")
    (tmp_path / "client").mkdir()
    exeat = start(policy=f'exeat: 1\ntask: widgets\nextends: [{{maven: "{ROOT}/maven2"}}]\n',
                  resolve=[f"{HOST}:443:127.0.0.1:{registry.port}"],
                  tasks="  - {task: widgets, policy: ./widgets.yaml, sources: [127.0.0.1/32]}\n")
    c = Client(exeat, tmp_path / "client", registry)
    (c.work / "pom.xml").write_text(
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion><parent><groupId>test.acme</groupId>'
        "<artifactId>parent</artifactId><version>1.0</version><relativePath/></parent><artifactId>shop</artifactId>"
        "<packaging>pom</packaging></project>")
    (c.folder / "settings.xml").write_text(
        f"<settings><mirrors><mirror><id>local</id><mirrorOf>*</mirrorOf><url>{ROOT}/maven2</url></mirror></mirrors></settings>")
    c.run("mvn", "-B", "-q", "-s", c.folder / "settings.xml", f"-Dmaven.repo.local={c.folder / 'm2'}", "validate")
    c.all_pass()
    c.stands_in("maven")


# --- apt ---

@pytest.mark.parametrize("source, path", [("debian stable main", "debian"), ("flat ./", "flat")])
def test_apt_updates_and_downloads(client, source, path):
    need("apt-get")
    c = client(f'{{debian: "http://{HOST}/{path}"}}')
    (c.folder / "sources.list").write_text(f"deb [trusted=yes arch=amd64] http://{HOST}/{source}\n")
    for name in ("state/lists/partial", "cache/archives/partial", "etc"):
        (c.folder / name).mkdir(parents=True)
    (c.folder / "status").write_text("")
    options = ["-q", "-o", f"Dir::Etc={c.folder / 'etc'}", "-o", f"Dir::Etc::SourceList={c.folder / 'sources.list'}",
               "-o", "Dir::Etc::SourceParts=-", "-o", f"Dir::State={c.folder / 'state'}", "-o", f"Dir::State::status={c.folder / 'status'}",
               "-o", f"Dir::Cache={c.folder / 'cache'}", "-o", "APT::Architecture=amd64", "-o", "APT::Sandbox::User=",
               "-o", "Acquire::Languages=none"]
    c.run("apt-get", *options, "update", env={"APT_CONFIG": "/dev/null"})
    c.run("apt-get", *options, "download", "widgets", env={"APT_CONFIG": "/dev/null"})
    assert (c.work / "widgets_1.0_all.deb").exists()
    c.all_pass()


# --- git ---

def git_client(start, resolve, tmp_path, argument):
    (tmp_path / "client").mkdir()
    exeat = start(policy=f"exeat: 1\ntask: widgets\nextends: [{argument}]\n", resolve=resolve)
    c = Client(exeat, tmp_path / "client", None)
    c.env.update(GIT_AUTHOR_NAME="T", GIT_AUTHOR_EMAIL="t@example.com", GIT_COMMITTER_NAME="T", GIT_COMMITTER_EMAIL="t@example.com")
    return c


@pytest.mark.parametrize("version", ["0", "2"])
def test_git_clones_and_fetches_and_does_not_push(start, nginx, resolve, tmp_path, version):
    c = git_client(start, resolve, tmp_path, "{git: git.test/git/widgets}")
    git = ["git", "-c", f"protocol.version={version}"]
    c.run(*git, "clone", "https://git.test/git/widgets.git", "w")
    c.run(*git, "fetch", "--all", cwd=c.work / "w")
    c.run(*git, "ls-remote", cwd=c.work / "w")
    c.all_pass()
    c.stands_in("git")
    c.run(*git, "commit", "--allow-empty", "-m", "leak", cwd=c.work / "w")
    with nginx.watch() as arrived:
        c.run(*git, "push", "origin", "HEAD:refs/heads/leak", cwd=c.work / "w", ok=False)
    assert not arrived
    c.run(*git, "clone", "https://git.test/git/other.git", "o", ok=False)


def test_git_pushes_where_push_is_true(start, nginx, resolve, tmp_path):
    c = git_client(start, resolve, tmp_path, '{git: "https://git.test/git/widgets.git", push: true}')
    c.run("git", "clone", "https://git.test/git/widgets.git", "w")
    c.run("git", "commit", "--allow-empty", "-m", "x", cwd=c.work / "w")
    c.run("git", "push", "origin", "HEAD:refs/heads/pushed-by-the-preset", cwd=c.work / "w")
    c.run("git", "push", "origin", ":pushed-by-the-preset", cwd=c.work / "w")
    c.all_pass()
    c.stands_in("git")
