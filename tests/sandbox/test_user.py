"""What a user meets: an agent that calls exeat itself, the record of what was tried last."""

import os
import pathlib
import shutil
import signal
import subprocess

import pytest

from lib import paths

PATH = "/usr/local/bin:/usr/bin:/bin"  # of the jailed programs


def inside(world, *words):
    """`exeat WORDS` in the jail, where its programs can be read."""
    unable = ["env", "ASAN_OPTIONS=detect_leaks=0"] if paths.SANITIZED else []  # for want of ptrace(2)
    return world.jail(*unable, world.exeat, *words, options=["--quiet", "--ro", world.top / "programs"])


@pytest.mark.parametrize("words, status", [
    (["run", "--", "true"], 125),
    (["trust"], 2),
    (["init"], 2),
    (["doctor"], 2),
    (["reload", "--all"], 2),
])
def test_what_is_for_outside_says_so_in_a_jail(world, words, status):
    done = inside(world, *words)
    assert done.returncode == status and "in a jail of exeat already" in done.stderr, done
    assert not done.stdout and not (world.project / ".exeat.yaml").exists()


@pytest.mark.parametrize("words", [["why", "0" * 26], ["log"]])
def test_the_log_is_asked_for_outside(world, words):
    done = inside(world, *words)
    assert done.returncode == 2 and "lies outside this jail" in done.stderr, done


def test_the_projects_policy_is_judged_by_as_it_stands_in_the_jail(world):
    (world.project / ".exeat.yaml").write_text("exeat: 1\nallow:\n  - GET https://a.example/x\n")
    done = inside(world, "check", "GET", "https://a.example/x")
    (world.project / ".exeat.yaml").unlink()
    assert done.returncode == 0 and "in force is what was trusted outside" in done.stderr, done


def test_judging_and_help_work_in_a_jail(world):
    (world.project / "mine.yaml").write_text("exeat: 1\nallow:\n  - GET https://a.example/x\n")
    assert inside(world, "check", "--policy", "mine.yaml", "GET", "https://a.example/x").returncode == 0
    assert inside(world, "run", "--help").stdout.startswith("usage: exeat run")


@pytest.mark.skipif(not shutil.which("npm", path=PATH), reason="npm is not installed")
def test_npm_finds_nothing_to_warn_of(world):
    """Of variables that begin with npm_config_ and that it does not know, it warns at each start."""
    done = world.jail("npm", "config", "get", "cafile", options=["--quiet"])
    assert done.returncode == 0 and done.stdout.startswith("/run/exeat/") and "warn" not in done.stderr, done


def test_pnpm_keeps_its_store_out_of_the_project(world):
    done = world.jail("cat", world.home / ".config/pnpm/rc", options=["--quiet"])
    assert done.stdout == "store-dir=~/.local/share/pnpm/store\n", done


def test_tools_below_the_home_that_the_jail_does_not_see_are_named(world):
    """Each once, and no folder that is there, that holds nothing or that is no folder."""
    for name in ("tools/bin", "empty/bin"):
        (world.home / name).mkdir(parents=True)
    (world.home / "tools/bin/tool").write_text("#!/bin/sh\necho tool\n")
    (world.home / "tools/bin/tool").chmod(0o755)
    folders = [world.home / "tools/bin", "/bin", world.home / "empty/bin", world.home / "none", world.home / "tools/bin"]
    environment = {"PATH": ":".join(map(str, folders)) + ":" + PATH}
    said = world.jail("true", environment=environment).stderr
    assert "of PATH not in the jail: ~/tools/bin; " in said, said
    assert "of PATH" not in world.jail("true", environment=environment, options=["--quiet"]).stderr
    assert "of PATH" not in world.jail("tool", environment=environment).stderr, "its folder comes with a command"


def role(supervisor, name):
    """The process of this name among the supervisor's."""
    children = pathlib.Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    return next(int(pid) for pid in children if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == name)


def test_what_was_tried_last_is_on_record(world):
    """The proxy sees these connections only when the jail has ended already."""
    tries = "read -r line; for port in $(seq 4001 4100); do exec 3<>/dev/tcp/192.0.2.7/$port; done"
    command = [world.exeat, "run", "--policy", world.top / "policy.yaml", "--", "bash", "-c", f"echo ready; {tries}; echo done"]
    run = subprocess.Popen([str(word) for word in command], cwd=world.project, env=world.environment(), text=True,
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **world.as_user())
    assert run.stdout.readline() == "ready\n"
    proxy = role(run.pid, "proxy")
    os.kill(proxy, signal.SIGSTOP)
    try:
        run.stdin.write("go\n")
        run.stdin.flush()
        assert run.stdout.readline() == "done\n"
    finally:
        os.kill(proxy, signal.SIGCONT)
    said = run.communicate(timeout=30)[1]
    tried = {r["url"] for r in world.records("connect") if r["verdict"] == "block" and r["reason"] == "port-denied"}
    assert tried == {f"tcp://192.0.2.7:{port}" for port in range(4001, 4101)}, said
