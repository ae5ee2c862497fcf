"""A project's policy takes effect once a person has trusted it: exeat trust, and the question of exeat run."""

import hashlib
import os
import pty
import re
import select
import subprocess
import threading
import time

import pytest

from lib import paths

POLICY = """\
exeat: 1
allow:
  - name: read issues
    host: api.test
    paths: [/issues]
"""
WIDER = POLICY + """\
  - name: post anything
    host: evil.test
    methods: [POST]
    paths: [/**]
"""


class Project:
    def __init__(self, folder, home):
        self.folder, self.home = folder, home
        self.env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(home), "XDG_STATE_HOME": str(home / "state"), "LANG": "C.UTF-8",
                    **{k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")}}

    @property
    def policy(self):
        return self.folder / ".exeat.yaml"

    def exeat(self, *arguments, cwd=None):
        """Without a terminal: in a session of its own."""
        return subprocess.run([str(paths.EXEAT), *map(str, arguments)], cwd=cwd or self.folder, env=self.env, capture_output=True,
                              text=True, stdin=subprocess.DEVNULL, start_new_session=True, timeout=30)

    def run(self, *options, cwd=None):
        """Whether a run would start; what follows in the jail is tested elsewhere."""
        return self.exeat("run", "--dry-run", *(["--as-root"] if paths.IS_ROOT else []), *options, "--", "true", cwd=cwd)

    def ask(self, answer):
        """The same on a terminal: (what was shown, status)."""
        pid, fd = pty.fork()
        if pid == 0:
            os.chdir(self.folder)
            line = [str(paths.EXEAT), "run", "--dry-run", *(["--as-root"] if paths.IS_ROOT else []), "--", "true"]
            os.execve(line[0], line, self.env)
        shown, answered, end = b"", False, time.monotonic() + 20
        while time.monotonic() < end:
            if not select.select([fd], [], [], 0.2)[0]:
                continue
            try:
                data = os.read(fd, 65536)
            except OSError:
                break
            if not data:
                break
            shown += data
            if b"[y/N]" in shown and not answered:
                os.write(fd, answer)
                answered = True
        os.close(fd)
        return shown.decode("utf-8", "replace").replace("\r\n", "\n"), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    (folder / "sub" / "deep").mkdir(parents=True)
    (folder / ".exeat.yaml").write_text(POLICY)
    (tmp_path / "home").mkdir()
    subprocess.run(["git", "init", "-q", str(folder)], check=True, env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)})
    return Project(folder, tmp_path / "home")


def test_a_run_without_a_terminal_is_125_until_the_policy_is_trusted(project):
    done = project.run()
    assert done.returncode == 125 and "exeat trust" in done.stderr and str(project.policy) in done.stderr, done.stderr
    trusted = project.exeat("trust")
    assert trusted.returncode == 0 and "read issues" in trusted.stdout and "1 host" in trusted.stdout
    assert project.run().returncode == 0
    assert project.run(cwd=project.folder / "sub" / "deep").returncode == 0, "the project is the top of the work tree"


def test_trust_is_kept_under_the_state_folder_with_path_and_hash_for_its_owner_alone(project):
    project.exeat("trust")
    records = list((project.home / "state" / "exeat" / "trust").iterdir())
    assert len(records) == 1 and records[0].stat().st_mode & 0o777 == 0o600
    text = records[0].read_text()
    assert str(project.policy) in text and hashlib.sha256(POLICY.encode()).hexdigest() in text
    assert not list(project.folder.glob("*trust*")), "nothing in the project"


def test_each_change_is_asked_for_again_with_the_difference(project):
    project.exeat("trust")
    project.policy.write_text(WIDER)
    done = project.run()
    assert done.returncode == 125 and "changed" in done.stderr
    shown = project.exeat("trust", "--show")
    assert shown.returncode == 1
    assert "post anything" in shown.stdout and "evil.test" in shown.stdout and "read issues" not in shown.stdout, shown.stdout
    assert project.exeat("trust").returncode == 0
    assert project.run().returncode == 0
    project.policy.write_text(POLICY)
    assert project.run().returncode == 125, "also a narrower one is another text"


@pytest.mark.parametrize("answer, status", [(b"y\n", 0), (b"yes\n", 0), (b"Y\n", 0), (b"n\n", 125), (b"\n", 125), (b"yy\n", 125),
                                            (b"\x04", 125), (b"yes please, and much more than that\n", 125)],
                         ids=["y", "yes", "Y", "n", "nothing", "yy", "end-of-file", "a-long-line"])
def test_on_a_terminal_a_person_is_asked_and_only_yes_means_yes(project, answer, status):
    shown, code = project.ask(answer)
    assert code == status, shown
    assert "read issues" in shown and "[y/N]" in shown
    assert (project.run().returncode == 0) == (status == 0), "the answer is kept, or nothing is"


def test_the_question_shows_what_has_changed(project):
    project.exeat("trust")
    project.policy.write_text(WIDER.replace("/issues", "/issues/**"))
    shown, code = project.ask(b"n\n")
    assert code == 125
    assert 'new: allow "post anything"' in shown and "path: /issues -> /issues/**" in shown, shown


JAIL_CHANGES = [("files: {read: [~/.ssh]}", "files.read of the policy: none -> ~/.ssh", "!"),
                ("files: {write: [.github/]}", "files.write of the policy: the project -> .github/", " "),
                ("files: {agent: claude}", "files.agent of the policy: none -> claude", "!"),
                ("environment: {keep: [GITHUB_TOKEN]}", "environment.keep of the policy: none -> GITHUB_TOKEN", "!"),
                ("environment: {set: {PAGER: less}}", "environment.set of the policy: none -> PAGER", "!"),
                ("services: [127.0.0.1:5432]", "services of the policy: none -> 127.0.0.1:5432", "!"),
                ("publish: [3000]", "publish of the policy: none -> 3000", "!"),
                ("cache: none", "cache of the policy: private -> none", " "),
                ("network: explicit", "network of the policy: capture -> explicit", " "),
                ("jail: {debug: true}", "jail.debug of the policy: false -> true", "!"),
                ("mode: monitor", "mode of the policy: enforce -> monitor", "!"),
                ("expires: 2099-01-01", "expires of the policy: never -> 2099-01-01", " "),
                ("limits: {requests: 30/min}", "limits of the policy: none -> requests 30/min", " ")]


@pytest.mark.parametrize("key, line, mark", JAIL_CHANGES, ids=[key for key, *_ in JAIL_CHANGES])
def test_what_a_changed_policy_opens_on_this_machine_stands_in_the_question(project, key, line, mark):
    project.exeat("trust")
    project.policy.write_text(POLICY.replace("allow:", key + "\nallow:"))
    shown, code = project.ask(b"n\n")
    assert code == 125 and f"{mark} changed: {line}" in shown and "nothing in what it allows" not in shown, shown
    assert line in project.exeat("trust").stdout
    project.policy.write_text(POLICY)
    shown, _ = project.ask(b"n\n")
    assert line.split(":")[0] in shown, "and also when it has gone"


def test_what_a_policy_opens_on_this_machine_stands_in_the_first_question(project):
    keys = ("files: {read: [~/.ssh], agent: claude}", "environment: {keep: [GITHUB_TOKEN]}", "services: [127.0.0.1:5432]",
            "publish: [3000]", "jail: {debug: true}", "mode: monitor")
    project.policy.write_text(POLICY.replace("allow:", "\n".join(keys) + "\nallow:"))
    shown, code = project.ask(b"n\n")
    assert code == 125
    for word in ("~/.ssh", "claude", "GITHUB_TOKEN", "127.0.0.1:5432", "3000", "debug", "monitor"):
        assert word in shown, word


def test_a_value_is_not_shown_but_that_it_is_another_one_is(project):
    project.policy.write_text(POLICY.replace("allow:", "environment: {set: {PAGER: hunter2}}\nallow:"))
    project.exeat("trust")
    project.policy.write_text(POLICY.replace("allow:", "environment: {set: {PAGER: hunter3}}\nallow:"))
    shown, _ = project.ask(b"n\n")
    assert "PAGER (another value)" in shown and "hunter" not in shown, shown


def test_once_trusted_nobody_is_asked(project):
    project.exeat("trust")
    shown, code = project.ask(b"n\n")
    assert code == 0 and "[y/N]" not in shown


def test_nothing_in_a_policy_reaches_the_terminal_as_a_control(project):
    bidi = "\u202eevil\u200b"
    project.policy.write_text(POLICY.replace("read issues", f'"read {bidi} issues"'), encoding="utf-8")
    shown, _ = project.ask(b"n\n")
    assert "\u202e" not in shown and "\u200b" not in shown and "\x1b" not in shown.replace("\x1b[?2004", ""), shown


def test_what_is_extended_by_path_is_trusted_with_it(project):
    project.policy.write_text(POLICY.replace("allow:", "extends: [./team.yaml]\nallow:"))
    (project.folder / "team.yaml").write_text("exeat: 1\nallow: [GET https://docs.test/a]\n")
    assert project.exeat("trust").returncode == 0
    assert project.run().returncode == 0
    (project.folder / "team.yaml").write_text("exeat: 1\nallow: [POST https://evil.test/**]\n")
    done = project.run()
    assert done.returncode == 125 and "changed" in done.stderr
    assert "evil.test" in project.exeat("trust", "--show").stdout


def test_a_policy_named_on_the_command_line_is_trusted(project, tmp_path):
    (tmp_path / "mine.yaml").write_text(POLICY)
    assert project.run("--policy", tmp_path / "mine.yaml").returncode == 0
    assert project.run("--policy", ".exeat.yaml").returncode == 0


def test_trust_is_taken_back(project):
    project.exeat("trust")
    assert project.exeat("trust", "--revoke").returncode == 0
    assert project.run().returncode == 125
    assert project.exeat("trust", "--revoke").returncode == 0, "nothing to take back is no failure"


def test_show_stores_nothing(project):
    assert project.exeat("trust", "--show").returncode == 1
    assert project.run().returncode == 125
    project.exeat("trust")
    assert project.exeat("trust", "--show").returncode == 0


def test_first_trusts_only_what_was_never_trusted(project):
    assert project.exeat("trust", "--first").returncode == 0
    assert project.run().returncode == 0
    project.policy.write_text(WIDER)
    assert project.exeat("trust", "--first").returncode == 0
    assert project.run().returncode == 125


def test_a_broken_policy_cannot_be_trusted(project):
    project.policy.write_text("exeat: 1\nallow: [{host: a.test, pathes: [/]}]\n")
    done = project.exeat("trust")
    assert done.returncode == 2 and ".exeat.yaml:2:" in done.stderr
    assert project.run().returncode == 125


def test_a_record_that_others_could_have_written_counts_for_nothing(project):
    project.exeat("trust")
    record = next((project.home / "state" / "exeat" / "trust").iterdir())
    record.chmod(0o666)
    assert project.run().returncode == 125
    record.chmod(0o600)
    assert project.run().returncode == 0


def test_only_the_policy_at_the_top_is_looked_for(project):
    project.exeat("trust")
    (project.folder / "sub" / ".exeat.yaml").write_text(WIDER)
    assert project.run(cwd=project.folder / "sub").returncode == 0
    judged = project.exeat("check", "POST", "https://evil.test/x", cwd=project.folder / "sub")
    assert judged.returncode == 1


@pytest.mark.parametrize("command", [["check", "GET", "https://api.test/issues"], ["policy", "show"], ["policy", "test"]],
                         ids=["check", "show", "test"])
def test_commands_that_only_look_need_no_trust_and_say_that_it_lacks(project, command):
    done = project.exeat(*command)
    assert done.returncode == 0 and "not trusted" in done.stderr, done.stderr
    project.exeat("trust")
    assert "not trusted" not in project.exeat(*command).stderr


# --- where nothing is let loose ---


def test_a_home_directory_is_no_project(project):
    done = project.run(cwd=project.home)
    assert done.returncode == 125 and "home" in done.stderr and "--rw" in done.stderr


def test_what_holds_a_home_is_no_project(project):
    assert project.run(cwd=project.home.parent).returncode == 125


def test_a_work_tree_in_the_home_directory_itself_is_no_project(project):
    subprocess.run(["git", "init", "-q", str(project.home)], check=True, env={"PATH": os.environ["PATH"], "HOME": str(project.home)})
    (project.home / "notes").mkdir()
    assert project.run(cwd=project.home / "notes").returncode == 125


@pytest.mark.parametrize("folder", ["/", "/home", "/tmp", "/root"])
def test_the_system_and_homes_are_no_project(project, folder):
    if not os.access(folder, os.X_OK):
        pytest.skip("not for this user")
    assert project.run(cwd=folder).returncode == 125


def test_another_folder_is_named_by_rw(project):
    other = project.folder.parent / "other"
    other.mkdir()
    done = project.run("--rw", other, cwd=project.home)
    assert done.returncode == 0, done.stderr


@pytest.mark.root
def test_another_users_folder_is_no_project(tmp_path):
    """As nobody, in a folder of root's."""
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    for folder in [tmp_path, *tmp_path.parents]:
        if folder != folder.parent and folder.stat().st_mode & 0o005 != 0o005 and str(folder).startswith("/tmp/"):
            folder.chmod(folder.stat().st_mode | 0o005)
    if not os.access(paths.EXEAT, os.X_OK) or paths.EXEAT.stat().st_mode & 0o001 == 0:
        pytest.skip("others may not execute exeat here")
    done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", str(paths.EXEAT), "run", "--dry-run", "--", "true"],
                          cwd=theirs, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=30,
                          env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "XDG_STATE_HOME": "/nonexistent"})
    if "Permission denied" in done.stderr and "setpriv" in done.stderr:
        pytest.skip("others may not execute exeat here")
    assert done.returncode == 125 and re.search("another user", done.stderr), done.stderr


GIT = "exeat: 1\nextends: [{{git: github.com/acme/widgets, push: {}}}, {{npm: packages.corp.example{}}}]\n"


@pytest.mark.parametrize("narrow, wide, line", [
    (("false", ""), ("true", ""), '! new: allow "git push" (preset:git:'),
    (("false", ""), ("false", ", addresses: [10.0.0.0/8]"), "addresses: none -> 10.0.0.0/8"),
], ids=["a parameter", "addresses that it is lent"])
def test_what_a_preset_is_given_is_told_rule_by_rule(project, narrow, wide, line):
    def marks():
        return {row[0] for row in project.exeat("trust").stdout.splitlines() if re.match(r"[! ] (new|gone|changed): ", row)}

    project.policy.write_text(GIT.format(*narrow))
    project.exeat("trust")
    project.policy.write_text(GIT.format(*wide))
    assert line in project.exeat("trust", "--show").stdout and marks() == {"!"}
    project.policy.write_text(GIT.format(*narrow))
    assert marks() == {" "}, "and nothing opens on the way back"


# --- what is read is what was trusted ---

@pytest.mark.parametrize("link", [os.symlink, os.link], ids=["symbolic", "hard"])
def test_the_policy_of_a_project_is_no_link(project, link):
    project.exeat("trust")
    project.policy.rename(project.folder / "kept.yaml")
    link(project.folder / "kept.yaml", project.policy)
    for done in (project.run(), project.exeat("trust"), project.exeat("reload")):
        assert done.returncode in (2, 125) and ("symbolic link" in done.stderr or "several links" in done.stderr), done.stderr
    (project.folder / "kept.yaml").unlink()
    if link is os.symlink:
        done = project.run()
        assert done.returncode == 125 and "link" in done.stderr, "one that leads nowhere is not no policy: " + done.stderr
    else:
        assert project.run().returncode == 0, "the last name of the text that was trusted"


def test_an_extended_file_counts_by_its_text_wherever_a_link_leads(project):
    project.policy.write_text("exeat: 1\nextends: [./more/rules.yaml]\n")
    (project.folder / "more").mkdir()
    (project.folder / "more/rules.yaml").write_text("allow:\n  - GET https://api.test/issues\n")
    project.exeat("trust")
    assert project.run().returncode == 0
    (project.folder / "more").rename(project.folder / "same")
    (project.folder / "more").symlink_to("same")
    assert project.run().returncode == 0, "the same text"
    (project.folder / "other").mkdir()
    (project.folder / "other/rules.yaml").write_text("allow:\n  - GET https://evil.test/**\n")
    (project.folder / "more").unlink()
    (project.folder / "more").symlink_to("other")
    done = project.run()
    assert done.returncode == 125 and "has changed since it was trusted" in done.stderr


def test_a_policy_that_changes_while_it_is_read_runs_as_it_was_trusted_or_not_at_all(project):
    """Somebody swaps the file, and what it extends, all the time."""
    policy, wide = project.folder / ".exeat.yaml", "services: [127.0.0.1:5432]\n"
    policy.write_text("exeat: 1\nextends: [./rules.yaml]\n")
    (project.folder / "rules.yaml").write_text("allow:\n  - GET https://api.test/issues\n")
    project.exeat("trust")
    over = threading.Event()

    def swap():
        texts = {policy: ("exeat: 1\nextends: [./rules.yaml]\n", "exeat: 1\nextends: [./rules.yaml]\n" + wide),
                 project.folder / "rules.yaml": ("allow:\n  - GET https://api.test/issues\n", "allow:\n  - GET https://evil.test/**\n")}
        turn = 0
        while not over.is_set():
            for path, choice in texts.items():
                turn += 1
                path.with_suffix(".new").write_text(choice[turn // 3 % 2])
                path.with_suffix(".new").rename(path)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        codes = []
        for _ in range(60):
            done = project.exeat("run", "--dry-run", *(["--as-root"] if paths.IS_ROOT else []), "--", "true")
            codes.append(done.returncode)
            assert done.returncode == 125 or (done.returncode == 0 and "5432" not in done.stdout), done.stdout
    finally:
        over.set()
        thread.join()
    assert 125 in codes
