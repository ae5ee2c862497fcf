"""`exeat run` as its user sees it: what it returns, says and prints; what happens when a part of it fails or dies."""

import json
import shutil

import pytest

BASH = "/bin/bash"


def plan(world, *options):
    done = world.jail("true", options=["--dry-run", "--json", *options])
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def has_test_hooks(world):
    done = world.jail("true", environment={"EXEAT_TEST_FAIL_STEP": "plan"})
    return done.returncode == 125


# --- steps that fail ---

def test_each_step_that_fails_ends_the_run_before_the_command_starts(world):
    if not has_test_hooks(world):
        pytest.skip("not a test build")
    steps = [step["name"] for step in plan(world)["steps"]]
    assert len(steps) >= 12
    for step in steps:
        done = world.jail("touch", "started", options=["--quiet"], environment={"EXEAT_TEST_FAIL_STEP": step})
        assert done.returncode == 125, (step, done.stderr)
        lines = done.stderr.splitlines()
        assert len(lines) == 1 and f"(step {step})" in lines[0] and ";" in lines[0], (step, lines)
        assert not (world.project / "started").exists(), step
        assert done.stdout == ""


def test_without_a_place_for_orders_it_ends_at_once_and_says_so(world):
    orders = world.home / ".local/state/exeat/orders"
    if orders.exists():
        shutil.rmtree(orders)
    orders.write_text("in the way\n")
    try:
        done = world.jail("touch", "started", timeout=30)
    finally:
        orders.unlink()
    assert done.returncode == 125 and "orders: not a folder" in done.stderr
    assert not (world.project / "started").exists()
    assert [r["kind"] for r in world.records() if r["kind"] != "seal"] == ["start", "stop"]


def test_without_a_failure_the_same_command_starts(world):
    assert world.jail("touch", "started").returncode == 0
    (world.project / "started").unlink()


@pytest.mark.parametrize("abi", ["0", "2", "4"])
def test_an_older_landlock_is_said_and_the_jail_holds(world, abi):
    if not has_test_hooks(world):
        pytest.skip("not a test build")
    environment = {"EXEAT_TEST_LANDLOCK": abi}
    walls = json.loads(world.jail("true", options=["--dry-run", "--json"], environment=environment).stdout)["walls"]
    landlock = next(w for w in walls if w["name"] == "landlock")
    assert "missing" in landlock["note"] and landlock["holds"] == (abi != "0")
    assert all(w["holds"] for w in walls if w["name"] != "landlock")
    assert "missing" not in str([w for w in walls if w["name"] != "landlock"])
    done = world.jail(BASH, "-c", f"cat {world.file_tmp} {world.home}/.netrc; mkdir a && mv a b && rmdir b; echo rc=$?",
                      environment=environment)
    assert done.stdout == "rc=0\n", done.stderr
    assert "the jail lacks landlock" in world.records("start")[0]["detail"]


# --- what comes in and out ---

def test_streams_that_are_no_terminals_pass_unchanged(world):
    done = world.jail(BASH, "-c", "cat; echo to-stderr >&2; tty", stdin="in\0put\n", options=["--quiet"])
    assert done.stdout == "in\0put\nnot a tty\n" and done.stderr == "to-stderr\n" and done.returncode == 1


def test_a_closed_descriptor_and_a_file_are_fine_and_a_folder_is_not(world):
    run = f"{world.exeat} run --quiet --policy {world.top}/policy.yaml -- "
    assert world.run([BASH, "-c", run + "cat < .env.example > copied; cat copied"]).stdout == "an example\n"
    done = world.run([BASH, "-c", run + "true < /"])
    assert done.returncode == 125 and "standard input" in done.stderr and "folder" in done.stderr
    assert world.run([BASH, "-c", run + "true <&-"]).returncode == 0


CHANGE = """
import os
tried = [lambda: os.open("/proc/self/fd/0", os.O_WRONLY), lambda: os.truncate("/proc/self/fd/0", 0), lambda: os.fchmod(0, 0o666),
         lambda: os.utime(0, (0, 0)), lambda: os.chmod("/proc/self/fd/0", 0o666), lambda: os.setxattr(0, "user.probe", b"x"),
         lambda: os.open("/dev/stdin", os.O_RDWR | os.O_TRUNC), lambda: os.link("/proc/self/fd/0", "linked", follow_symlinks=True)]
for i, change in enumerate(tried):
    try:
        change()
        print("changed", i)
    except OSError as e:
        pass
print(os.read(0, 100))
"""


@pytest.mark.parametrize("abi", ["0", "2", "4", "1000"])
def test_a_file_on_standard_input_cannot_be_changed_through_it(world, abi):
    before = world.file_tmp.stat()
    run = f"{world.exeat} run --quiet --policy {world.top}/policy.yaml -- "
    done = world.run([BASH, "-c", f"exec < {world.file_tmp}; read -rn 3; exec {run} /usr/bin/python3 -c \"$0\"", CHANGE],
                     environment={"EXEAT_TEST_LANDLOCK": abi})
    assert done.stdout == "b'the host\\n'\n" and done.stderr == "", (done.stdout, done.stderr)
    after = world.file_tmp.stat()
    assert (before.st_mode, before.st_mtime_ns, before.st_size) == (after.st_mode, after.st_mtime_ns, after.st_size)
    assert world.file_tmp.read_text() == "of the host\n"


def test_a_file_without_a_name_and_one_of_somebody_else_are_fine_on_standard_input(world):
    run = f"{world.exeat} run --quiet --policy {world.top}/policy.yaml -- "
    done = world.run([BASH, "-c", f"exec 9> gone; echo text > gone; exec 8< gone; rm gone; {run} cat <&8; {run} head -n 1 < /etc/passwd"])
    assert done.stdout.splitlines()[0] == "text" and ":0:0:" in done.stdout.splitlines()[1], done.stderr


def test_credentials_and_sockets_stay_outside_and_the_policy_may_keep_some(world):
    kept = {"PLAIN": "1", "COLORTERM": "truecolor", "MAX_OUTPUT_TOKENS": "10"}
    gone = {"GITHUB_TOKEN": "x", "AWS_PROFILE": "x", "MY_API_KEY": "x", "SSH_AUTH_SOCK": "/x", "TMUX": "/x,1,0",
            "DBUS_SESSION_BUS_ADDRESS": "x", "FOO": "ghp_abcdef", "GIT_DIR": "/x", "FTP_PROXY": "http://x", "DB_PASSWORD": "x"}
    policy = world.top / "keeping.yaml"
    policy.write_text("exeat: 1\nallow: []\nenvironment: {keep: [MY_API_KEY], set: {PLAIN: set, NEW: '1'}}\n")
    inside = world.jail("env", "-0", environment={**kept, **gone}).stdout
    inside = dict(line.split("=", 1) for line in inside.split("\0") if line)
    assert {**inside, **kept} == inside and not gone.keys() & inside.keys()
    assert inside["HTTPS_PROXY"] == "http://127.0.0.1:3128" and inside["NO_PROXY"] == "localhost,127.0.0.1,::1"
    assert inside["npm_config_audit"] == "false" and inside["GIT_CONFIG_COUNT"].isdigit()
    inside = world.jail("env", "-0", policy=policy, environment={**kept, **gone}).stdout
    inside = dict(line.split("=", 1) for line in inside.split("\0") if line)
    assert inside["MY_API_KEY"] == "x" and inside["PLAIN"] == "set" and inside["NEW"] == "1"
    assert "GITHUB_TOKEN" not in inside


def test_limits_of_resources_hold(world):
    done = world.jail(BASH, "-c", "ulimit -c; ulimit -u")
    core, processes = done.stdout.split()
    assert core == "0" and int(processes) <= 4096


def test_the_start_record_says_what_this_kernel_lacks(world):
    lacking = [w["name"] for w in plan(world)["walls"] if "missing" in w["note"]]
    assert world.jail("true").returncode == 0
    detail = world.records("start")[0]["detail"]
    assert all(f"{name} (" in detail for name in lacking) if lacking else "the jail lacks nothing" in detail


def test_the_plan_names_steps_walls_mounts_and_variables_and_starts_nothing(world):
    found = plan(world)
    assert {"steps", "walls", "mounts", "environment", "user", "network", "project", "command"} <= found.keys()
    assert found["project"] == str(world.project) and found["user"]["uid"] == world.uid
    assert "GITHUB_TOKEN" in found["environment"]["dropped"] and "HTTPS_PROXY" in found["environment"]["set"]
    assert next(w for w in found["walls"] if w["name"] == "network")["holds"]
    text = world.jail("touch", "started", options=["--dry-run"])
    assert text.returncode == 0 and not (world.project / "started").exists()
    assert "walls" in text.stdout and str(world.project) in text.stdout


def test_names_of_files_in_the_printed_plan_cannot_drive_the_terminal(world):
    name = world.project / ".env.\x1b]0;title\x07"
    name.write_text("a secret\n")
    world.give(name)
    try:
        done = world.jail("true", options=["--dry-run"])
        listed = [m["to"] for m in plan(world)["mounts"]]
    finally:
        name.unlink()
    assert ".env.?]0;title?" in done.stdout and "\x1b" not in done.stdout
    assert str(name) in listed
