"""What a user meets: an agent that calls exeat itself."""

import pytest

from lib import paths
from world import UNPRIVILEGED, World


@pytest.fixture(scope="module")
def world():
    one = World(UNPRIVILEGED if paths.IS_ROOT else None)
    yield one
    one.close()


def inside(world, *words):
    """`exeat WORDS` in the jail, where its programs can be read."""
    return world.jail(world.exeat, *words, options=["--quiet", "--ro", world.top / "programs"])


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


def test_judging_and_help_work_in_a_jail(world):
    (world.project / "mine.yaml").write_text("exeat: 1\nallow:\n  - GET https://a.example/x\n")
    assert inside(world, "check", "--policy", "mine.yaml", "GET", "https://a.example/x").returncode == 0
    assert inside(world, "run", "--help").stdout.startswith("usage: exeat run")
