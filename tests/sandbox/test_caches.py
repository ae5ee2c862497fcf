"""Package managers in a jail, from small local registries: what they fetch is kept for the next run of the same task under
the same policy, and nothing else of home is."""

import json

import pytest

from lib import paths, registry as registry_module
from lib.registry import HOST, ROOT
from world import UNPRIVILEGED, World

POLICY = f"""\
exeat: 1
task: packages
extends: [{{npm: "{ROOT}/npm/"}}, {{pypi: "{ROOT}/pypi/simple", files: "{ROOT}/pypi/packages"}}, {{go: "{ROOT}/go"}}]
environment:
  set: {{npm_config_registry: "{ROOT}/npm/", PIP_INDEX_URL: "{ROOT}/pypi/simple", PIP_DISABLE_PIP_VERSION_CHECK: "1",
        GOPROXY: "{ROOT}/go", GONOSUMDB: "*", GOFLAGS: -mod=mod, GOTOOLCHAIN: local}}
"""

# Each installs in the project what is not there yet, and fails where it cannot.
NPM = "rm -rf node_modules && npm install {} && test -e node_modules/@acme/tools/package.json"
PIP = "rm -rf site && /usr/bin/python3 -m pip install -q --no-deps --target site widgets && test -e site/widgets.py"
GO = "cd gopher && go build ./... && go list -m example.com/widgets"
NEEDS = {NPM: "npm", PIP: "/usr/bin/pip3", GO: "go"}


@pytest.fixture(scope="module")
def registry(origin_ca):
    server = registry_module.Registry(origin_ca.issue(HOST))
    yield server
    server.stop()


@pytest.fixture(scope="module", params=["unprivileged", "root-owned"] if paths.IS_ROOT else ["unprivileged"])
def world(request, registry, origin_ca):
    own = request.param == "root-owned"
    one = World(0 if own else UNPRIVILEGED if paths.IS_ROOT else None, as_root=own)
    one.options = one.configure(origin_ca.cert, [f"{HOST}:443:127.0.0.1:{registry.port}"])
    (one.project / "package.json").write_text(json.dumps(
        {"name": "shop", "version": "1.0.0", "dependencies": {"widgets": "^1.0.0", "@acme/tools": "^2.0.0"}}))
    (one.project / "gopher").mkdir()
    (one.project / "gopher/go.mod").write_text("module example.com/shop\n\ngo 1.19\n\nrequire example.com/widgets v1.0.0\n")
    (one.project / "gopher/shop.go").write_text('package shop\n\nimport _ "example.com/widgets"\n')
    one.give(one.project)
    yield one
    one.close()


def sh(world, script, extra=""):
    policy = world.top / "packages.yaml"
    policy.write_text(POLICY + extra)
    return world.jail("sh", "-c", script, options=[*world.options, "--quiet"], policy=policy, timeout=120)


def downloads(registry):
    return [r for r in registry.requests if r.endswith((".tgz", ".whl", ".zip"))]


def install(world, script):
    if not paths.program(NEEDS[script]):
        pytest.skip(f"{NEEDS[script]} is not installed")
    done = sh(world, script.format(""))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("script", [NPM, PIP, GO], ids=["npm", "pip", "go"])
def test_the_second_run_takes_packages_from_the_cache_of_the_first(world, registry, script):
    registry.requests.clear()
    install(world, script)
    assert downloads(registry), registry.requests
    registry.requests.clear()
    install(world, script)
    assert not downloads(registry)


def test_npm_works_offline_from_it_and_under_another_policy_it_is_another(world):
    install(world, NPM)
    offline = NPM.format("--offline")
    assert sh(world, offline).returncode == 0
    assert sh(world, offline, "deny:\n  - host: other.test\n").returncode != 0


def test_without_a_cache_each_run_begins_anew(world, registry):
    install(world, NPM)
    for _ in range(2):
        registry.requests.clear()
        done = sh(world, NPM.format(""), "cache: none\n")
        assert done.returncode == 0, done.stderr
        assert downloads(registry)


# What a tool would run, or obey, the next time.
LEFT = [".npmrc", ".npm/bin/x", ".config/pip/pip.conf", ".cargo/config.toml", ".cargo/bin/x", ".cargo/env", "go/bin/x", "go/env",
        ".local/bin/x", ".gradle/init.gradle", ".gradle/gradle.properties", ".m2/settings.xml", ".bashrc", ".profile", ".gitconfig",
        ".config/git/config"]


def test_neither_programs_nor_settings_are_kept(world):
    make = "".join(f'mkdir -p "$(dirname ~/{p})" && echo x > ~/{p} && ' for p in LEFT)
    assert sh(world, make + "true").returncode == 0
    done = sh(world, "".join(f"ls ~/{p} 2>/dev/null; " for p in LEFT) + "true")
    assert done.stdout == "", done.stdout


def test_caches_are_mounted_without_setuid_and_devices_and_off_the_path(world):
    done = sh(world, "cat /proc/self/mountinfo; echo; echo $PATH")
    mounts, _, path = done.stdout.partition("\n\n")
    caches = [line.split() for line in mounts.splitlines() if line.split()[4].startswith(f"{world.home}/")]
    assert len(caches) >= 8, mounts
    for words in caches:
        assert {"nosuid", "nodev"} <= set(words[5].split(",")), words
    assert not [p for p in path.strip().split(":") if p.startswith(str(world.home))]
