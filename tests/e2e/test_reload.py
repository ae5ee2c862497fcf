"""What takes effect while exeat runs: the watch of policy files, exeat reload, ca rotate."""

import os
import re
import signal
import subprocess
import time

import pytest

from lib import paths
from lib.certs import openssl

ONE = "exeat: 1\ntask: widgets\nallow:\n  - {name: one, host: raw.test, paths: [/one], query: {}}\ndeny:\n  - {name: never, host: raw.test, paths: [/never]}\n"
TWO = "exeat: 1\ntask: widgets\nallow:\n  - {name: one, host: raw.test, paths: [/one]}\n  - {name: two, host: raw.test, paths: [/two]}\n"


@pytest.fixture
def watching(prepare):
    def watching(policy=ONE, **keywords):
        one = prepare(policy, reload="watch", **keywords)
        return one.start()
    return watching


def status(one, path):
    return one.client().get(f"https://raw.test{path}").status


def said(one, text, seconds=5):
    paths.wait_until(lambda: text in one.stderr(), f"{text!r} is said\n{one.stderr()}", seconds)


def write_anew(path, text):
    """As editors do: another file, renamed over."""
    other = path.with_name("." + path.name + ".new")
    other.write_text(text)
    other.rename(path)


# --- the watch ---


@pytest.mark.parametrize("write", [lambda path, text: path.write_text(text), write_anew], ids=["written", "renamed"])
def test_a_changed_policy_takes_effect_by_itself(watching, raw, write):
    one = watching()
    assert status(one, "/two") == 403
    write(one.folder / "widgets.yaml", TWO)
    said(one, "reloaded")
    assert status(one, "/two") == 200


def test_a_reload_that_asks_for_less_says_so(watching, raw):
    one = watching()
    one.write_policy(TWO)
    said(one, "reloaded")
    assert re.search(r'gone: deny "never".*less', one.stderr()) and re.search(r'changed: allow "one".*query: none -> any.*less', one.stderr())
    assert re.search(r'new: allow "two"', one.stderr())


def test_many_changes_hide_no_dropped_rule(watching):
    """Changes are told in the order of the files: a hundred allow rules come before it."""
    def allow(letter):
        rules = (f"  - {{name: {letter}{i}, host: raw.test, paths: [/{letter}{i}]}}\n" for i in range(100))
        return "exeat: 1\nallow:\n" + "".join(rules)

    one = watching(allow("a") + "deny:\n  - {name: never, host: raw.test, paths: [/never]}\n")
    write_anew(one.folder / "widgets.yaml", allow("b"))
    said(one, 'gone: deny "never"')
    said(one, "and 160 changes more, of which 0 ask for or forbid less")


def test_a_broken_file_keeps_what_was_in_force_and_the_next_good_one_takes_effect(watching, raw):
    one = watching()
    one.write_policy("exeat: 1\nallow: nonsense\n")
    said(one, "not reloaded, what was in force")
    assert status(one, "/one") == 200
    one.write_policy(TWO)
    said(one, "reloaded (")
    assert status(one, "/two") == 200


def test_a_half_written_file_is_not_read(watching, raw):
    one = watching()
    with open(one.folder / "widgets.yaml", "w", encoding="utf-8") as f:
        f.write("exeat: 1\nallow: [")
        f.flush()
        time.sleep(0.4)
        assert "not reloaded" not in one.stderr() and status(one, "/one") == 200
        f.write("]\n")
    said(one, "reloaded (")
    assert status(one, "/one") == 403


def test_a_file_behind_a_link_is_not_read_by_the_watch(watching, raw, tmp_path):
    one = watching()
    (tmp_path / "elsewhere.yaml").write_text(TWO)
    link = one.folder / ".link"
    link.symlink_to(tmp_path / "elsewhere.yaml")
    link.rename(one.folder / "widgets.yaml")
    said(one, "symbolic link")
    assert status(one, "/two") == 403


def test_a_file_with_two_links_is_not_read_by_the_watch(watching, raw, tmp_path):
    one = watching()
    other = one.folder / "other"
    other.write_text(TWO)
    os.link(other, one.folder / "second")
    other.rename(one.folder / "widgets.yaml")
    said(one, "links")
    assert status(one, "/two") == 403


def test_a_link_is_not_followed_either_while_another_reload_is_pending(watching, raw, tmp_path):
    other = "exeat: 1\ntask: gadgets\nallow: [GET https://raw.test/{}]\n"
    one = watching(policies={"widgets": ONE, "gadgets": other.format("first")})
    proxy = one.pid_of("proxy")
    os.kill(proxy, signal.SIGSTOP)
    try:
        write_anew(one.folder / "gadgets.yaml", other.format("second"))
        said(one, "a policy file has changed")
        write_anew(one.folder / "gadgets.yaml", other.format("third"))
        paths.wait_until(lambda: one.stderr().count("a policy file has changed") == 2, "the second change is seen")
        (tmp_path / "elsewhere.yaml").write_text(TWO)
        (one.folder / ".link").symlink_to(tmp_path / "elsewhere.yaml")
        (one.folder / ".link").rename(one.folder / "widgets.yaml")
        said(one, "symbolic link")
    finally:
        os.kill(proxy, signal.SIGCONT)
    said(one, "not reloaded, what was in force")
    gadgets = one.client("gadgets")
    paths.wait_until(lambda: [gadgets.get(f"https://raw.test/{n}").status for n in ("first", "second", "third")] == [403, 200, 403],
                     "what was written before the link is in force")
    assert status(one, "/two") == 403


def test_an_extended_file_is_watched_too(prepare, raw):
    one = prepare("exeat: 1\ntask: widgets\nextends: [./team.yaml]\n", reload="watch")
    (one.folder / "team.yaml").write_text("exeat: 1\nallow: [GET https://raw.test/one]\n")
    one.start()
    assert status(one, "/one") == 200
    (one.folder / "team.yaml").write_text("exeat: 1\n")
    said(one, "reloaded (")
    assert status(one, "/one") == 403


def test_reload_signal_switches_the_watch_off(start, raw):
    one = start(ONE)  # the harness' configuration says `reload: signal`
    one.write_policy(TWO)
    time.sleep(0.5)
    assert status(one, "/two") == 403 and "changed" not in one.stderr()


def test_a_watch_that_is_lost_is_said(watching, tmp_path):
    one = watching(tasks="  - {task: widgets, policy: ./sub/p.yaml, token: s3cret-widgets}\n", make={"sub/p.yaml": ONE})
    (one.folder / "sub").rename(tmp_path / "moved")
    said(one, "not watched any more")
    (tmp_path / "moved").rename(one.folder / "sub")


# --- exeat reload ---


def test_reload_from_outside_prints_what_changes(start, raw):
    one = start(ONE)
    one.write_policy(TWO)
    done = one.cli("reload", "--config", one.config)
    assert done.returncode == 0, done.stderr
    assert 'gone: deny "never"' in done.stdout and 'new: allow "two"' in done.stdout and "warning" in done.stdout
    assert status(one, "/two") == 200


def test_reload_of_a_broken_policy_is_status_2_and_says_where(start, raw):
    one = start(ONE)
    one.write_policy("exeat: 1\nallow:\n  - {host: a.test, pathes: [/]}\n")
    done = one.cli("reload", "--config", one.config)
    assert done.returncode == 2 and "widgets.yaml:3" in done.stderr and "stays in force" in done.stderr
    assert status(one, "/one") == 200


def test_reload_without_a_proxy_is_status_2(prepare):
    one = prepare(ONE)
    done = one.cli("reload", "--config", one.config)
    assert done.returncode == 2 and "no proxy" in done.stderr


def test_the_socket_is_for_its_owner_alone_and_goes_with_the_proxy(start):
    one = start(ONE)
    socket = one.folder / "state" / "reload.sock"
    assert socket.is_socket() and socket.stat().st_mode & 0o777 == 0o600
    one.stop()
    assert not socket.exists()


@pytest.mark.root
def test_another_user_is_turned_away(start):
    one = start(ONE)
    socket = one.folder / "state" / "reload.sock"
    for folder in [socket.parent, *socket.parents]:
        if str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    socket.chmod(0o666)
    script = ("import socket,sys; s=socket.socket(socket.AF_UNIX,socket.SOCK_SEQPACKET); s.settimeout(3); s.connect(sys.argv[1])\n"
              "try: s.send(b'R'); print(len(s.recv(100)))\n"
              "except OSError: print(0)")
    done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/python3", "-c", script, str(socket)],
                          capture_output=True, text=True, timeout=20)
    assert done.stdout.strip() == "0", done.stdout + done.stderr
    assert "reloaded" not in one.stderr()


# --- ca rotate ---


def test_a_rotated_ca_signs_at_once_and_the_bundle_holds_both(start, raw):
    one = start(ONE)
    before = one.ca.read_text()
    assert status(one, "/one") == 200
    done = one.cli("ca", "rotate", "--config", one.config)
    assert done.returncode == 0 and "new CA" in done.stdout, done.stdout + done.stderr
    after = one.ca.read_text()
    assert before != after
    assert status(one, "/one") == 200, "trusted by the new certificate alone"
    bundle = (one.folder / "state" / "ca-bundle.pem").read_text()
    assert before.strip() in bundle and after.strip() in bundle
    assert (one.folder / "state" / "ca.pem").read_text().strip() == after.strip()
    assert (one.folder / "ca.key").stat().st_mode & 0o777 == 0o600
    key = openssl("pkey", "-in", one.folder / "ca.key", "-pubout")
    assert key == openssl("x509", "-in", one.ca, "-noout", "-pubkey")
    one.pid_of("keeper")


def test_rotating_without_a_proxy_prepares_the_next_start(prepare, raw):
    one = prepare(ONE).start()
    one.stop()
    before = one.ca.read_text()
    done = one.cli("ca", "rotate", "--config", one.config)
    assert done.returncode == 0 and "next start" in done.stdout
    one.stderr_path.unlink()
    one.start()
    assert one.ca.read_text() != before and status(one, "/one") == 200
    assert before.strip() in (one.folder / "state" / "ca-bundle.pem").read_text()


def test_a_rotation_that_was_cut_off_is_completed(prepare, raw):
    one = prepare(ONE).start()
    one.stop()
    done = one.cli("ca", "rotate", "--config", one.config)
    assert done.returncode == 0
    new = one.ca.read_text()
    (one.folder / "ca.pem.new").write_text(new)  # the key is in place, the certificate is not yet
    one.ca.write_text((one.folder / "ca.pem.old").read_text())
    assert one.cli("ca", "rotate", "--config", one.config).returncode == 0
    assert one.ca.read_text() == new
    one.stderr_path.unlink()
    one.start()
    assert status(one, "/one") == 200


def test_without_a_ca_there_is_nothing_to_rotate(prepare):
    one = prepare(ONE)
    done = one.cli("ca", "rotate", "--config", one.config)
    assert done.returncode == 2 and "no CA yet" in done.stderr
