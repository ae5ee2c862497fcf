"""What an agent does to its own policy has no effect; what a person outside trusts and orders has, at once."""

import contextlib
import shutil
import subprocess
import threading

import pytest

from lib import origin as origins, paths
from world import UNPRIVILEGED, World

ONE = """\
exeat: 1
task: changes
allow:
  - {name: one, host: one.test, scheme: http, paths: [/**]}
"""
TWO = ONE + "  - {name: two, host: two.test, scheme: http, paths: [/**]}\n"
WIDE = "files: {read: [~/.ssh]}\n" + TWO


class Session:
    """A shell in the jail that does what it is told, line by line."""

    def __init__(self, world, options):
        # what a command prints may lack its last newline
        line = [world.exeat, "run", *options, "--", "bash", "-c",
                'while read -r line; do eval "$line"; printf "\\ndone %d\\n" $?; done']
        self.process = subprocess.Popen([str(w) for w in line], cwd=world.project, env=world.environment(), text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **world.as_user())

    def do(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        said = []
        while not said or not said[-1].startswith("done "):
            said.append(self.process.stdout.readline())
            assert said[-1], self.process.communicate(timeout=20)[1]
        return "".join(said[:-1]).strip()

    def status(self, host):
        return self.do(f"curl -s -o /dev/null -w '%{{http_code}}' http://{host}/x")

    def end(self):
        with contextlib.suppress(subprocess.TimeoutExpired, ValueError):
            return self.process.communicate(timeout=20)[1]
        self.process.kill()
        return self.process.communicate()[1]


@pytest.fixture(scope="module")
def world(origin_ca):
    one, origin = World(UNPRIVILEGED if paths.IS_ROOT else None), origins.Origin()
    origin.answer(origins.OK)
    one.options = one.configure(origin_ca.cert, [f"{name}.test:80:127.0.0.1:{origin.port}" for name in ("one", "two")])
    one.origin = origin
    yield one
    origin.stop()
    one.close()


@pytest.fixture
def project(world):
    """A work tree with a policy that is trusted."""
    subprocess.run(["git", "init", "-q", str(world.project)], check=True, env=world.environment(), **world.as_user())
    write(world, ONE)
    assert world.run([world.exeat, "trust"]).returncode == 0
    yield world
    for path in (world.project / ".git", world.project / "planted"):
        shutil.rmtree(path, ignore_errors=True)


def write(world, text, name=".exeat.yaml"):
    """As the user outside would."""
    world.run(["sh", "-c", 'mkdir -p "$(dirname "$0")" && cat > .new && mv .new "$0"', name], stdin=text)


@pytest.fixture
def session(project):
    one = Session(project, project.options)
    yield one
    one.end()


def test_what_the_agent_writes_into_its_policy_changes_nothing(project, session):
    assert (session.status("one.test"), session.status("two.test")) == ("200", "403")
    session.do("cat > new <<< " + f"$'{TWO}'".replace("\n", "\\n"))
    session.do("cat new > .exeat.yaml")
    session.do("mv new .exeat.yaml; ln -sf .exeat.yaml other; touch .exeat.yaml")
    assert (session.status("one.test"), session.status("two.test")) == ("200", "403")
    assert session.do("exeat reload 2>&1; exeat trust 2>&1 | tail -1").find("is trusted from now on") < 0
    assert session.status("two.test") == "403"


def test_a_policy_that_the_agent_left_behind_is_asked_for(project, session):
    session.do("rm -f .exeat.yaml; mkdir -p planted/deep")
    for place in (".", "planted", "planted/deep"):
        session.do(f"cat > {place}/.exeat.yaml <<< " + f"$'{WIDE}'".replace("\n", "\\n"))
    session.end()
    changed = (project.project / ".exeat.yaml").read_text() != ONE
    done = project.run([project.exeat, "run", *project.options, "--", "cat", "/dev/null"])
    assert done.returncode == (125 if changed else 0), "a policy that has changed is asked for"
    if not changed:
        write(project, WIDE)
        done = project.run([project.exeat, "run", *project.options, "--", "cat", "/dev/null"])
        assert done.returncode == 125
    assert "exeat trust" in done.stderr
    write(project, ONE)
    planted = project.project / "planted/deep"
    assert (planted / ".exeat.yaml").exists()
    done = project.run([project.exeat, "run", *project.options, "--", "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}",
                        "http://two.test/x"], cwd=planted)
    assert done.stdout == "403", "the policy is that of the top of the work tree: " + done.stderr
    shutil.rmtree(project.project / ".git")
    done = project.run([project.exeat, "run", *project.options, "--", "true"], cwd=planted)
    assert done.returncode == 125 and "exeat trust" in done.stderr, "without a work tree the planted one is asked for"


def test_a_change_from_outside_takes_effect_after_trust_and_reload_and_not_before(project, session):
    assert (session.status("one.test"), session.status("two.test")) == ("200", "403")
    write(project, TWO)
    assert session.status("two.test") == "403", "written"
    refused = project.run([project.exeat, "reload"])
    assert refused.returncode == 2 and "exeat trust" in refused.stderr
    assert session.status("two.test") == "403", "not trusted"
    assert 'new: allow "two"' in project.run([project.exeat, "trust"]).stdout
    assert session.status("two.test") == "403", "not reloaded"
    done = project.run([project.exeat, "reload"])
    assert done.returncode == 0 and 'new: allow "two"' in done.stdout, done
    assert (session.status("one.test"), session.status("two.test")) == ("200", "200")


def test_what_a_reload_forbids_ends_at_once_and_what_it_allows_goes_on(project, session):
    begun, finish = threading.Barrier(3, timeout=20), threading.Event()

    def half(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
        begun.wait()
        if finish.wait(20):
            connection.send(b" last")

    session.do("true")  # it runs
    write(project, TWO)
    assert project.run([project.exeat, "trust"]).returncode == 0
    assert project.run([project.exeat, "reload"]).returncode == 0
    project.origin.script = half
    try:
        session.do("curl -s http://one.test/x > kept & kept=$!; curl -s http://two.test/x > cut & cut=$!")
        begun.wait()
        write(project, ONE)
        assert 'gone: allow "two"' in project.run([project.exeat, "trust"]).stdout
        assert project.run([project.exeat, "reload"]).returncode == 0
        assert session.do("wait $cut; echo $?") in ("18", "56"), "ended before the origin says another word"
        finish.set()
        assert session.do("wait $kept; echo $?; cat kept") == "0\nfirst last"
        assert session.do("cat cut") == "first"
    finally:
        finish.set()
        project.origin.answer(origins.OK)


def test_what_the_policy_extends_is_trusted_and_reloaded_with_it(project):
    extends = "exeat: 1\ntask: changes\nextends: [../team.yaml, ./more/rules.yaml]\n"
    rule = "allow:\n  - {{name: one, host: {}.test, scheme: http, paths: [/**]}}\n"
    write(project, extends)
    write(project, rule.format("one"), "../team.yaml")
    write(project, rule.format("nobody"), "more/rules.yaml")
    assert project.run([project.exeat, "trust"]).returncode == 0
    session = Session(project, project.options)
    try:
        assert (session.status("one.test"), session.status("two.test")) == ("200", "403")
        write(project, rule.format("two"), "more/rules.yaml")
        assert project.run([project.exeat, "reload"]).returncode == 2, "nobody has trusted it"
        assert 'more/rules.yaml:2): host: nobody.test -> two.test' in project.run([project.exeat, "trust"]).stdout
        assert project.run([project.exeat, "reload"]).returncode == 0
        assert (session.status("one.test"), session.status("two.test")) == ("200", "200")
    finally:
        session.end()
    assert {r["rule"]["file"] for r in project.records("request") if r["rule"]} == {"../team.yaml", "more/rules.yaml"}


@pytest.mark.parametrize("start, reload", [("./named.yaml", "named.yaml"), ("named.yaml", "./named.yaml")])
def test_a_run_with_a_named_policy_reloads_that_file_and_no_other(project, start, reload):
    write(project, ONE, "named.yaml")
    session = Session(project, [*project.options, "--policy", start])
    try:
        assert (session.status("one.test"), session.status("two.test")) == ("200", "403")
        refused = project.run([project.exeat, "reload"])
        assert refused.returncode == 2 and "it was started with the policy named.yaml" in refused.stderr, refused
        write(project, TWO, "named.yaml")
        assert project.run([project.exeat, "reload", "--policy", reload]).returncode == 0
        assert session.status("two.test") == "200"
    finally:
        session.end()


@pytest.fixture
def elsewhere(project):
    """`--config` with a state of its own. What is trusted stays where it was."""
    config, state = project.top / "elsewhere.yaml", project.top / "work/elsewhere"
    config.write_text((project.top / "exeat.yaml").read_text() + f"state: {state}\n")
    yield ["--config", config]
    shutil.rmtree(state, ignore_errors=True)


def test_a_run_whose_state_is_elsewhere_is_reloaded_too(project, elsewhere):
    session = Session(project, elsewhere)
    try:
        assert (session.status("one.test"), session.status("two.test")) == ("200", "403")
        write(project, TWO)
        assert project.run([project.exeat, "trust"]).returncode == 0
        done = project.run([project.exeat, "reload"])
        assert done.returncode == 0, done
        assert session.status("two.test") == "200"
    finally:
        session.end()


def test_what_is_trusted_is_not_written_by_a_run_whose_state_is_elsewhere(project, elsewhere):
    for folder in (".local/state", ".local/state/exeat", ".local/state/exeat/trust"):
        done = project.run([project.exeat, "run", *elsewhere, "--rw", project.home / folder, "--", "touch", "started"])
        assert done.returncode == 125 and "would be writable in the jail" in done.stderr, (folder, done.stderr)
    assert not (project.project / "started").exists()


def test_what_a_reload_would_open_on_this_machine_is_said_to_wait_for_the_next_run(project, session):
    assert session.do("ls ~/.ssh | wc -l") == "0"
    write(project, WIDE)
    assert "files.read of the policy: none -> ~/.ssh" in project.run([project.exeat, "trust"]).stdout
    done = project.run([project.exeat, "reload"])
    assert done.returncode == 0 and "files.read" in done.stdout and "takes effect at the next run" in done.stdout, done
    assert session.do("ls ~/.ssh | wc -l") == "0"


def test_what_a_killed_run_leaves_in_the_state_folder_goes_with_the_next_one(project):
    state = project.home / ".local/state/exeat"

    def left():
        return {name: [p.name for p in (state / name).glob("20*Z-*")] for name in ("orders", "runs", "mounts")}

    one = Session(project, project.options)
    one.do("true")
    assert all(len(names) == 1 for names in left().values()), left()
    one.process.kill()
    one.end()
    other = Session(project, project.options)
    other.do("true")
    assert all(len(names) == 1 for names in left().values()), f"its own: {left()}"
    other.end()
    assert not any(left().values()), left()


@pytest.mark.parametrize("what", ["configuration", "log", "state", "a link to the configuration"])
def test_what_decides_about_a_jail_lies_nowhere_that_it_may_write(project, what):
    inside, outside = project.project / "inside", project.top / "decides.yaml"
    outside.write_text(f"exeat: 1\naudit: {{file: {inside}/audit.jsonl}}\n" if what == "log" else "exeat: 1\n")
    environment = {"XDG_STATE_HOME": str(inside)} if what == "state" else {}
    config = outside
    if what in ("configuration", "a link to the configuration"):
        config = project.project / "decides.yaml"
        config.write_text("exeat: 1\n")
    if what == "a link to the configuration":
        outside.unlink()
        outside.symlink_to(config)
        config = outside
    try:
        policy = ["--policy", project.top / "policy.yaml"] if what == "state" else []
        done = project.run([project.exeat, "run", *policy, "--config", config, "--", "touch", "started"], environment=environment)
        assert done.returncode == 125 and "would be writable in the jail" in done.stderr, done.stderr
        assert not (project.project / "started").exists()
    finally:
        outside.unlink()
        for name in ("decides.yaml", "started"):
            (project.project / name).unlink(missing_ok=True)
        shutil.rmtree(inside, ignore_errors=True)
