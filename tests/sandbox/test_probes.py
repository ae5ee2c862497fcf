"""Each way out that somebody thought of, tried by an unprivileged user and by root: it works outside, and not inside."""

import json
import os
import subprocess

import pytest

import probes
from lib import paths
from world import UNPRIVILEGED, World

# Runs all probes one after the other, each in a process and folder of its own, and says what each printed.
DRIVER = """
import json, subprocess, sys
prelude, world, probes = json.load(sys.stdin)
result = {}
for name, code in probes:
    script = f"WORLD = {world!r}\\n" + prelude + code
    try:
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, errors="replace", timeout=25,
                              stdin=subprocess.DEVNULL, close_fds=False)
        result[name] = [done.returncode, done.stdout, done.stderr[-500:]]
    except subprocess.TimeoutExpired:
        result[name] = [None, "", "timed out"]
json.dump(result, sys.stdout)
"""
PYTHON = "/usr/bin/python3"

PROBES = [p for p in probes.PROBES if not (p.plain_build and paths.SANITIZED)]

pytestmark = pytest.mark.limit(400)  # setting up runs all probes inside, and those that work outside


def users():
    return ["root", "root-owned", "unprivileged"] if paths.IS_ROOT else ["unprivileged"]


@pytest.fixture(scope="module", params=users())
def world(request):
    uid = 0 if request.param == "root-owned" else UNPRIVILEGED if paths.IS_ROOT else None
    one = World(uid, as_root=request.param.startswith("root"))
    one.name = request.param
    yield one
    one.close()


def question(world, tried, inside):
    return json.dumps([probes.PRELUDE, {**world.known, "inside": inside}, [[p.name, p.code] for p in tried]])


def run_inside(world, environment=None):
    """What each probe said in the jail, and what came to the host's listeners meanwhile."""
    world.forget()
    with open(world.top / "left-open", "rb") as left_open:
        done = world.jail(PYTHON, "-c", DRIVER, stdin=question(world, PROBES, True), timeout=300, environment=environment,
                          pass_fds=[left_open.fileno()])
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), world.visits()


@pytest.fixture(scope="module")
def inside(world):
    return run_inside(world)


def run_outside(world, kind):
    """The same probes on the host, by the same user if that is enough: all that need the same to succeed, in one go."""
    prefix, keywords = [], world.as_user()
    if kind == "namespace":
        prefix = ["unshare", "-Urnmu"]
    elif kind == "root":
        if not paths.IS_ROOT:
            return {}
        keywords = {}
    with open(world.top / "left-open", "rb") as left_open:
        done = subprocess.run([*prefix, PYTHON, "-c", DRIVER], input=question(world, [p for p in PROBES if p.outside == kind], False),
                              capture_output=True, text=True, timeout=300, cwd=world.project, env=world.environment(),
                              pass_fds=[left_open.fileno()], **keywords)
    assert done.returncode == 0, done.stderr
    for left in world.project.glob("set?id*"):
        left.unlink()
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def outside(world):
    """What each probe said on the host, by name."""
    found = {}
    for kind in sorted({p.outside for p in PROBES}):
        found |= run_outside(world, kind)
    return found


@pytest.mark.parametrize("probe", PROBES, ids=lambda p: p.name)
def test_what_works_outside_does_not_work_inside(inside, outside, probe):
    if probe.name not in outside:
        pytest.skip("only root can do that outside")
    status, said, complaint = outside[probe.name]
    if "REACHED" not in said:
        pytest.skip(f"does not work outside either: {complaint.strip().splitlines()[-1:] or said or status}")
    status, said, _ = inside[0][probe.name]
    assert "REACHED" not in said
    assert status is not None, "it hung instead of failing"


@pytest.mark.parametrize("abi", ["0", "2", "4"])
def test_an_older_landlock_is_no_way_out(world, abi):
    """Namespaces, mounts and seccomp suffice without it; Debian 12 has ABI 2, Ubuntu 24.04 ABI 4."""
    if world.name != "unprivileged":
        pytest.skip("one user is enough: Landlock does not ask who it is")
    older = {"EXEAT_TEST_LANDLOCK": abi}
    plan = world.jail("true", options=["--dry-run", "--json"], environment=older)
    if not any("missing" in w["note"] for w in json.loads(plan.stdout)["walls"] if w["name"] == "landlock"):
        pytest.skip("not a test build")
    said, visits = run_inside(world, older)
    assert [name for name, (_, words, _) in said.items() if "REACHED" in words] == [] and visits == {}


def test_most_probes_say_something(outside):
    """A probe that fails everywhere proves nothing; a machine where many do is no place for this test."""
    works = {name for name, (_, said, _) in outside.items() if "REACHED" in said}
    assert len(works) >= (100 if paths.IS_ROOT else 80), sorted({p.name for p in PROBES} - works)


def test_nothing_came_to_the_hosts_listeners(inside):
    assert inside[1] == {}


def test_the_agents_files_have_no_setuid_bit_afterwards(world, inside):
    bits = [p for p in world.project.rglob("*") if p.stat(follow_symlinks=False).st_mode & 0o6000 and p.is_file()]
    assert bits == []


@pytest.mark.skipif(not paths.IS_ROOT, reason="needs two users")
def test_what_the_jail_writes_belongs_to_the_user(world):
    world.jail("touch", "made-inside")
    made = os.stat(world.project / "made-inside")
    assert (made.st_uid, made.st_gid) == (world.uid, world.uid)
