"""What a run leaves on the host: nothing of ours, not even when it was killed; what the command made is the user's, is told
where somebody else would run it, and is looked through whatever the command did against that."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

import pytest

from lib import paths
from world import UNPRIVILEGED, World

CACHES = pathlib.Path("/var/lib/exeat-jails/cache")
KINDS = ["unprivileged", "root", "root-owned"] if paths.IS_ROOT else ["unprivileged"]


@pytest.fixture
def world():
    one = World(UNPRIVILEGED if paths.IS_ROOT else None)
    yield one
    one.close()


@pytest.fixture(params=KINDS)
def any_world(request):
    """Whoever starts the jail, and whoever the project belongs to."""
    uid = 0 if request.param == "root-owned" else UNPRIVILEGED if paths.IS_ROOT else None
    one = World(uid, as_root=request.param.startswith("root"))
    yield one
    one.close()


def files(world):
    return {str(p.relative_to(world.project)) for p in world.project.rglob("*") if not p.is_socket()}


def git(world, *arguments):
    done = world.run(["git", "-c", "user.name=x", "-c", "user.email=x@example.com", *arguments])
    assert done.returncode == 0, done.stderr
    return done.stdout


def sh(world, script, *options, **keywords):
    return world.jail("sh", "-c", script, options=options, **keywords)


# --- nothing of ours is left ---

@pytest.mark.parametrize("repository", [False, True], ids=["no repository", "a repository"])
def test_a_killed_run_leaves_no_file_in_the_project_at_the_next_start(any_world, repository):
    if repository:
        git(any_world, "init", "-q")
    before = files(any_world)
    command = [any_world.exeat, "run", "--quiet", "--policy", any_world.top / "policy.yaml", "--", "sh", "-c", "echo up; sleep 600"]
    run = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
                           cwd=any_world.project, env=any_world.environment(), **any_world.as_user())
    assert run.stdout.readline() == "up\n"
    run.send_signal(signal.SIGKILL)
    run.wait()
    run.stdout.read()  # until the jail has ended too
    run.stdout.close()
    assert sh(any_world, "true").returncode == 0
    assert files(any_world) == before


def test_an_ended_run_leaves_what_the_command_made_and_nothing_else(any_world):
    before = files(any_world)
    assert sh(any_world, "mkdir -p made/here && echo x > made/here/file && ln -s here made/link").returncode == 0
    assert files(any_world) - before == {"made", "made/here", "made/here/file", "made/link"}


def test_what_the_command_makes_is_the_users_and_has_no_setuid_bit(any_world):
    done = sh(any_world, "mkdir made && cp /bin/true made/true && chmod 700 made/true && ln -s true made/link; chmod u+s made/true;"
              "install -m 4755 /bin/true made/s; cp -p /usr/bin/passwd made/p; echo x >> sub/.netrc; true")
    assert done.returncode == 0
    for path in [any_world.project / "made", *(any_world.project / "made").rglob("*")]:
        assert path.lstat().st_uid == any_world.uid, path
        assert path.is_symlink() or path.is_dir() or not path.lstat().st_mode & 0o6000, path
    assert (any_world.project / "sub/.netrc").read_text() == "of the host\n"


# --- what is told ---

HOST_FILES = [".envrc", ".vscode/tasks.json", ".husky/pre-commit", "Makefile", "package.json", ".github/workflows/ci.yml",
              "sub/Makefile", ".gitlab-ci.yml"]


def test_new_and_changed_files_that_others_run_are_named(world):
    (world.project / "package.json").write_text("{}")
    (world.project / "Makefile").write_text("all:\n")
    (world.project / "setup.py").write_text("\n")
    world.give(world.project)
    done = sh(world, "".join(f"mkdir -p $(dirname {p}); echo >> {p}; " for p in HOST_FILES) + "touch -d 2001-01-01 Makefile")
    told = [line for line in done.stderr.splitlines() if "look at " in line]
    for path in HOST_FILES:
        kind = "changed" if path in ("package.json", "Makefile") else "new"
        assert [line for line in told if f"{world.project}/{path}: {kind}," in line], (path, told)
    assert "setup.py" not in done.stderr


def test_a_name_cannot_drive_the_terminal(world):
    done = sh(world, r"""printf 'd\033]0;x\007\302\233\342\200\256' | { read -r d; mkdir "$d"; touch "$d/Makefile"; }""")
    line = next(line for line in done.stderr.splitlines() if "Makefile" in line)
    assert line.isprintable() and "\x9b" not in line, repr(line)


def test_many_such_files_are_a_few_lines_and_a_number(world):
    done = sh(world, "for i in $(seq 300); do mkdir d$i; touch d$i/Makefile; done")
    told = [line for line in done.stderr.splitlines() if "look at " in line]
    assert len(told) < 60 and any("260 more" in line for line in told), told[-3:]


# --- what was made against the look at the end ---

ARMED = ("git init -q {0} && git -C {0} -c user.name=x -c user.email=x@x commit -q --allow-empty -m x &&"
         "git -C {0} config core.fsmonitor \"touch $PWD/mark\"; ")


@pytest.mark.parametrize("script", [
    ARMED.format("n"),
    ARMED.format("a/n") + "chmod 300 a",
    ARMED.format("a/n") + "chmod 100 a/n a; chmod 300 .",
    ARMED.format("n") + "mkdir -p n/.git.disarmed/x; chmod 500 n",
    ARMED.format("/".join(["d"] * 80)),
    ARMED.format("/".join(["long" * 50] * 17)),
    ARMED.format("n") + "mkfifo n/.git/hooks/p n/.git/p; mkfifo p; for i in $(seq 20); do ln -s .. l$i; done",
    "git init -q --bare . && git config core.bare false && git config core.worktree ./ && git config core.fsmonitor 'touch mark'",
], ids=["plain", "unlisted", "closed", "taken", "deep", "long", "pipes", "bare"])
def test_no_repository_that_would_run_something_is_left(world, script):
    done = sh(world, script)
    assert "look at " in done.stderr, done.stderr
    armed = []
    world.run(["chmod", "-R", "u+rwX", "."])
    for folder, names, _ in os.walk(world.project):
        names[:] = [name for name in names if not name.startswith("exeat-deep.")]  # to be removed, as was said
        if ".git" in names or "HEAD" in os.listdir(folder):
            armed.append(folder)
            world.run(["git", "status"], cwd=folder)
    assert not (world.project / "mark").exists(), armed


def test_who_is_impatient_at_the_end_finds_no_such_repository_either(world):
    script = ARMED.format("n") + "trap '' INT; echo ready; sleep 0.2"
    run = subprocess.Popen([world.exeat, "run", "--policy", world.top / "policy.yaml", "--", "sh", "-c", script], cwd=world.project,
                           env=world.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **world.as_user())
    assert run.stdout.readline() == "ready\n"
    while run.poll() is None:
        run.send_signal(signal.SIGINT)
    told = run.communicate()[1]
    assert (world.project / "n/.git.disarmed").exists() and not (world.project / "n/.git").exists(), told
    assert not (world.project / ".git").exists(), told


def test_who_does_not_read_what_is_said_finds_no_such_repository_either(world):
    reader, writer = os.pipe()
    os.close(reader)
    script = "trap - PIPE; yes | head -1 >/dev/null; " + ARMED.format("n") + ARMED.format("o") + "exit 3"
    command = [world.exeat, "run", "--policy", world.top / "policy.yaml", "--", "sh", "-c", script]
    run = subprocess.run(command, cwd=world.project, env=world.environment(), stderr=writer, **world.as_user())
    os.close(writer)
    assert run.returncode == 3
    for name in ("n", "o"):
        assert (world.project / name / ".git.disarmed").exists() and not (world.project / name / ".git").exists()
    assert not (world.project / ".git").exists()


@pytest.mark.parametrize("more, kept", [("true", "config"), ("git config core.sshCommand 'touch mark'", "config.disarmed")])
def test_a_kept_repository_gives_its_commits_and_runs_nothing(world, more, kept):
    done = sh(world, f"git init -q . && git -c user.name=x -c user.email=x@x commit -q --allow-empty -m inside && {more}")
    path = pathlib.Path(re.search(r"git fetch (\S+)", done.stderr)[1])
    assert {p.name for p in path.glob("config*")} == {kept}
    git(world, "init", "-q", "mine")
    git(world, "-C", "mine", "fetch", "-q", str(path))
    assert git(world, "-C", "mine", "log", "--format=%s", "-1", "FETCH_HEAD") == "inside\n"


def test_links_that_were_left_lead_nowhere_in_the_next_run(world):
    """Of one task: the first run exchanges what the policy shows, hides and starts by path."""
    (world.project / "notes").mkdir()
    (world.project / "conf/deep").mkdir(parents=True)
    (world.project / "conf/deep/secret").write_text("hidden\n")
    world.give(world.project)
    policy = world.top / "files.yaml"
    policy.write_text("exeat: 1\ntask: files\nfiles: {read: [notes], hide: [conf/deep/secret]}\n")
    first = sh(world, "mv conf c2; mkdir -p conf/deep; echo mine > conf/deep/secret; rmdir notes; ln -s ~/.ssh notes; cat c2/deep/secret",
               policy=policy)
    assert "hidden" not in first.stdout
    second = sh(world, "cat notes/id_probe conf/deep/secret c2/deep/secret", policy=policy)
    assert "of the host" not in second.stdout and "hidden" not in second.stdout
    assert second.returncode == 125 and "through a link in" in second.stderr, second.stderr


# --- large projects ---

MANY = """
import os
for i in range(500):
    os.makedirs(f"node_modules/p{i}/lib")
    for j in range(100): os.mknod(f"node_modules/p{i}/lib/f{j}.js")
"""


def test_a_project_of_fifty_thousand_files_starts_and_ends_in_a_few_seconds(world):
    git(world, "init", "-q")
    world.run(["/usr/bin/python3", "-c", MANY], timeout=300)
    began = time.monotonic()
    done = sh(world, "find . -name '*.js' | wc -l; mkdir -p " + "/".join(["x"] * 50))
    assert done.stdout.strip() == "50000", done.stderr
    assert time.monotonic() - began < 15


# --- root ---

@pytest.mark.skipif(not paths.IS_ROOT, reason="only root can start it")
def test_a_file_system_that_cannot_show_roots_files_as_anothers_is_said():
    one = World(0, as_root=True)
    try:
        layers = [one.top / name for name in ("lower", "upper", "work2")]
        for layer in layers:
            layer.mkdir()
        lower, upper, work = layers
        mounted = subprocess.run(["mount", "-t", "overlay", "overlay", "-o", f"lowerdir={lower},upperdir={upper},workdir={work}",
                                  str(one.project)], capture_output=True, text=True)
        if mounted.returncode:
            pytest.skip(mounted.stderr)
        try:
            done = one.jail("touch", "made")
            if done.returncode == 0:
                assert (one.project / "made").stat().st_uid == 0
                pytest.skip("this kernel can")
            assert done.returncode == 125 and "cannot show it as another user's" in done.stderr, done.stderr
            assert not (one.project / "made").exists()
            assert one.jail("touch", "made", options=["--as-root"]).returncode == 0
        finally:
            subprocess.run(["umount", str(one.project)], check=True)
    finally:
        one.close()


@pytest.mark.skipif(not paths.IS_ROOT, reason="only root can start it")
@pytest.mark.parametrize("link", [".npm", ".npm/_cacache"])
def test_links_in_the_owners_cache_lead_root_nowhere(tmp_path, link):
    """Its owner writes there outside of any jail."""
    one = World(UNPRIVILEGED, as_root=True)
    try:
        known = set(CACHES.glob("*"))
        assert one.jail("true").returncode == 0
        cache, = [path for path in set(CACHES.glob("*")) - known if path.stat().st_uid == UNPRIVILEGED]
        target = tmp_path / "roots"
        target.mkdir()
        one.run(["sh", "-c", "rm -r \"$1\" && ln -s \"$2\" \"$1\"", "sh", cache / link, target], cwd="/",
                user=UNPRIVILEGED, group=UNPRIVILEGED, extra_groups=[])
        done = one.jail("touch", one.home / ".npm/_cacache/x")
        assert done.returncode == 125 and str(cache / link) in done.stderr, done.stderr
        assert not list(target.iterdir())
        shutil.rmtree(cache)
    finally:
        one.close()
