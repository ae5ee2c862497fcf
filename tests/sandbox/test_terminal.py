"""A jailed command on a terminal is a command on a terminal: job control, sizes, modes, nothing lost; and without one."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import termios
import time

import pytest

from lib import paths, processes
from terminals import BASH, Pty, Terminal, Tmux

INNER = "env PS1='inner> ' bash --norc --noprofile -i"


@pytest.fixture
def terminal(world):
    one = Terminal(world)
    yield one
    one.close()


@pytest.fixture
def tmux(world):
    if not shutil.which("tmux"):
        pytest.skip("no tmux")
    one = Tmux(world)
    yield one
    one.close()


@pytest.fixture
def alone(world):
    """Starts a jailed command on a terminal without any shell, which would put modes right by itself."""
    started = []

    def start(*command):
        one = Pty(world, [world.exeat, "run", "--quiet", "--policy", world.top / "policy.yaml", "--", *command])
        started.append(one)
        return one
    yield start
    for one in started:
        one.close()


def is_raw(modes):
    return not modes[3] & (0o10 | 0o2)  # ECHO, ICANON


# --- as a person sees it ---

def test_a_shell_in_tmux_has_job_control_sizes_and_an_exit_status(tmux):
    tmux.enter(tmux.exeat + INNER)
    tmux.sees("^inner>")
    tmux.enter("stty size; tty")
    tmux.sees(r"^24 80\n/dev/pts/\d+$")
    tmux.enter("sleep 100")
    tmux.sees(r"sleep 100$")
    paths.wait_until(lambda: "sleep" in processes.below(server_of(tmux)).values(), "sleep runs")
    tmux.type(("C-z",))
    tmux.sees(r"Stopped +sleep 100")
    tmux.enter("fg")
    tmux.sees(r"fg\nsleep 100")
    tmux.type(("C-c",))
    tmux.sees(r"\^C\ninner>")
    tmux.resize(33, 77)
    tmux.enter("clear; stty size")
    tmux.sees(r"^33 77$")
    tmux.enter("exit 7")
    tmux.sees(r"^outer\$ *$")
    tmux.enter("echo status=$?")
    tmux.sees(r"^status=7$")
    assert len(re.findall("echo status=", tmux.screen())) == 1, "what is typed is shown once"


def server_of(tmux):
    return int(tmux.tmux("display-message", "-p", "#{pid}"))


def draws(tmux, count):
    """vim has so many lines that are not there: it has heard of the window's size, and listens."""
    paths.wait_until(lambda: len(re.findall(r"^~", tmux.screen(), re.MULTILINE)) == count, f"vim draws {count} lines", 20, 0.05)


def test_vim_follows_the_size_of_its_window(tmux):
    if not shutil.which("vim"):
        pytest.skip("no vim")
    tmux.enter(tmux.exeat + "vim -u NONE -N some-text")
    tmux.sees(r"^~$")
    assert len(re.findall(r"^~", tmux.screen(), re.MULTILINE)) == 22
    tmux.resize(31, 61)
    draws(tmux, 29)
    tmux.enter(":echo 'size' &lines &columns")
    tmux.sees(r"^size 31 61")
    tmux.type(("C-z",))
    tmux.sees(r"Stopped")
    tmux.resize(26, 66)
    tmux.enter("fg")
    draws(tmux, 24)
    tmux.enter(":echo 'size' &lines &columns")
    tmux.sees(r"^size 26 66")
    tmux.enter(":q!")
    tmux.sees(r"^outer\$ *$")


# --- modes and job control, byte by byte ---

def test_a_shell_inside_has_job_control_and_its_own_terminal(terminal):
    before = terminal.modes()
    terminal.type(terminal.exeat + "env PS1='inner> ' bash --norc --noprofile -i\n")
    terminal.expect("inner> ")
    terminal.type("tty; stty size\n")
    terminal.expect(r"/dev/pts/\d+\r\n30 100\r\n")
    terminal.type("sleep 100\n")
    time.sleep(0.3)
    terminal.type("\x1a")
    terminal.expect(r"Stopped\s+sleep 100")
    terminal.type("fg\n")
    terminal.expect("sleep 100")
    time.sleep(0.3)
    terminal.type("\x03")
    terminal.expect("inner> ")
    terminal.resize(33, 77)
    terminal.type("sleep 0.2; stty size\n")
    terminal.expect("33 77\r\n")
    terminal.type("exit 5\n")
    terminal.expect("outer\\$ ")
    terminal.type("echo status $?\n")
    terminal.expect("status 5\r\n")
    paths.wait_until(lambda: terminal.modes() == before, "the modes of a prompt")


def test_a_command_is_stopped_and_continued_by_the_shell_outside(terminal):
    terminal.type(terminal.exeat + "sleep 60\n")
    time.sleep(1.5)
    terminal.type("\x1a")
    terminal.expect("Stopped")
    terminal.type("echo back\n")
    terminal.expect("back\r\n")
    terminal.expect("outer\\$ ")
    terminal.type("fg\n")
    terminal.expect("sleep 60\r\n")
    time.sleep(0.5)
    terminal.type("\x03")
    terminal.expect("outer\\$ ")
    terminal.type("echo status $?\n")
    terminal.expect("status 130\r\n")


def test_a_command_in_a_pipeline_leaves_the_others_their_terminal(terminal):
    terminal.type(terminal.exeat + "cat | tr a-z A-Z\n")
    time.sleep(1)
    terminal.type("hello\n")
    terminal.expect("HELLO\r\n")
    terminal.type("\x04")
    terminal.expect("outer\\$ ")


def test_the_background_gets_no_keystrokes(terminal):
    terminal.type(terminal.exeat + "sleep 2 &\n")
    time.sleep(0.5)
    terminal.type("echo still here\n")
    terminal.expect("still here\r\n")


def supervisor(one):
    paths.wait_until(lambda: is_raw(one.modes()), "raw mode")
    return one.pid


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGKILL])
def test_the_terminal_is_as_it_was_however_the_run_ends(alone, number):
    one = alone("sleep", "60")
    before = one.modes()
    pid = supervisor(one)
    members = paths.wait_until(lambda: "sleep" in processes.below(pid).values() and processes.family(pid), "the command runs")
    os.kill(pid, number)
    paths.wait_until(lambda: one.modes() == before, "the modes of before")
    for member, _ in members:
        paths.wait_until(lambda pid=member: not processes.is_alive(pid), f"{members} end")


def test_a_terminal_that_somebody_else_has_set_is_left_alone(alone):
    one = alone("sleep", "60")
    before = one.modes()
    pid = supervisor(one)
    guardian = paths.wait_until(lambda: [p for p, name in processes.below(pid).items() if name == "exeat-guardian"],
                                "a guardian")[0]
    changed = one.modes()
    changed[0] ^= 0o400  # ICRNL: neither what it was nor what the run has made of it
    termios.tcsetattr(one.fd, termios.TCSANOW, changed)
    os.kill(pid, signal.SIGKILL)
    paths.wait_until(lambda: not processes.is_alive(guardian), "the guardian ends")
    assert one.modes()[0] == changed[0] != before[0]


def test_nothing_of_what_is_written_last_is_lost(alone):
    one = alone(BASH, "-c", "seq 100000; printf end")
    said = one.rest()
    assert said.split() == [*map(str, range(1, 100001)), "end"]
    assert one.wait() == 0


def test_the_end_of_input_reaches_the_command(alone):
    one = alone("cat")
    supervisor(one)
    one.type("first\nsecond\n\x04")
    assert one.rest().split() == ["first", "second"] * 2, "once echoed, once by cat"
    assert one.wait() == 0


# --- without a terminal ---

def test_pipes_carry_every_byte_both_ways(world):
    big = os.urandom(1 << 20) * 9 + b"\r\n\x00\x04\x03\x1a"
    line = [world.exeat, "run", "--quiet", "--policy", world.top / "policy.yaml", "--", "cat"]
    done = subprocess.run([str(w) for w in line], input=big, capture_output=True, timeout=60, cwd=world.project,
                          env=world.environment(), **world.as_user())
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(big).digest() and done.stderr == b""


def test_where_there_is_no_terminal_at_all_the_command_has_none_either(world):
    script = "tty; (: < /dev/tty) 2>/dev/null && echo has one || echo has none; read -r line; echo \"end $?\"; kill -TERM $$"
    line = [world.exeat, "run", "--quiet", "--policy", world.top / "policy.yaml", "--", BASH, "-c", script]
    done = subprocess.run([str(w) for w in line], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
                          cwd=world.project, env=world.environment(), start_new_session=True, **world.as_user())
    assert done.stdout == "not a tty\nhas none\nend 1\n" and done.returncode == 143


def test_a_command_that_reads_lines_gets_each_when_it_comes(world):
    line = [world.exeat, "run", "--quiet", "--policy", world.top / "policy.yaml", "--", BASH, "-c",
            'while read -r line; do echo "got $line"; done']
    with subprocess.Popen([str(w) for w in line], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=world.project,
                          env=world.environment(), **world.as_user()) as process:
        for i in range(3):
            process.stdin.write(f"{i}\n")
            process.stdin.flush()
            assert process.stdout.readline() == f"got {i}\n"
        process.stdin.close()
        assert process.stdout.read() == ""
    assert process.returncode == 0
