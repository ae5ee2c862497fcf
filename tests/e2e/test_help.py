"""Help, manual pages and completion: one set of tables in every form."""

import re
import shutil
import subprocess

import pytest

from lib import paths

SOURCE = paths.SOURCE
COMMANDS = re.findall(r"^COMMAND\((\w+),", (SOURCE / "src/cli/commands.def").read_text(), re.M)
COMPLETION = SOURCE / "contrib/completion/exeat.bash"


def exeat(*arguments):
    return subprocess.run([str(paths.EXEAT), *arguments], capture_output=True, text=True, timeout=30, check=True).stdout


def options_of(command):
    return re.findall(r"^  --([\w-]+)", exeat(command, "--help").partition("not available")[0], re.M)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_manual_page_names_every_option_of_the_help(command):
    page = exeat(command, "--help=man").replace("\\-", "-")
    assert page.startswith(f".TH EXEAT-{command} 1"), page[:60]
    assert re.findall(r"^\\fB--([\w-]+)", page, re.M) == options_of(command)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_page_that_is_installed(command):
    assert f"%D%/man/exeat-{command}.1" in (SOURCE / "src/cli/local.mk").read_text()
    assert f"exeat\\-{command} (1)" in exeat("--help=man")


@pytest.mark.parametrize("command", ["", *COMMANDS])
@pytest.mark.skipif(not shutil.which("groff"), reason="groff is not installed")
def test_manual_pages_are_what_troff_understands(command):
    page = exeat(*[command] if command else [], "--help=man")
    done = subprocess.run(["groff", "-man", "-Tutf8", "-wall", "-z"], input=page, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0 and done.stderr == ""


def completions(*words):
    """What bash would offer for the last word."""
    script = (f'source "{COMPLETION}"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _exeat "$1"; '
              'printf "%s\\n" "${COMPREPLY[@]}"')
    done = subprocess.run(["bash", "-c", script, "bash", str(paths.EXEAT), *words], capture_output=True, text=True, timeout=30)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize("words, offered", [
    ([""], COMMANDS),
    (["pro"], ["proxy"]),
    (["ca", "sh"], ["show"]),
    (["check", "--js"], ["--json"]),
    (["run", "--mo"], ["--mode"]),
    (["run", "--mode", ""], []),
])
def test_bash_completes_commands_words_and_options(words, offered):
    assert completions(*words) == offered


def test_bash_completes_files_where_an_option_takes_one(tmp_path, monkeypatch):
    (tmp_path / "policy.yaml").touch()
    monkeypatch.chdir(tmp_path)
    assert completions("check", "--policy", "pol") == ["policy.yaml"]


def test_an_unknown_form_of_help_is_an_error():
    for arguments in (["--help=html"], ["check", "--help=html"]):
        done = subprocess.run([str(paths.EXEAT), *arguments], capture_output=True, text=True, timeout=30)
        assert done.returncode == 2 and done.stdout == "" and "text, man or words" in done.stderr
