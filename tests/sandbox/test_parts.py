"""When a part of a run dies, the jail ends within a second, and nothing passes meanwhile but what the policy allows."""

import os
import signal
import subprocess
import time

import pytest

from lib import origin as origins, paths, processes
from world import UNPRIVILEGED, World

POLICY = """\
exeat: 1
task: parts
allow:
  - {name: counted, host: counted.test, scheme: http, paths: [/**]}
"""

# Asks without end: the allowed host, a blocked one and listeners of the host; threads, so that one that waits stops no other.
CLIENT = """
import socket, threading, time, urllib.request
def ask(address, text):
    while True:
        try:
            with socket.create_connection(address, timeout=2) as s:
                s.sendall(text)
                s.recv(1000)
        except OSError:
            time.sleep(0.001)
def http(host, path):
    return f"GET {path} HTTP/1.1\\r\\nHost: {host}\\r\\nConnection: close\\r\\n\\r\\n".encode()
for address, text in ((("counted.test", 80), http("counted.test", "/allowed")), (("other.test", 80), http("other.test", "/blocked")),
                      (("127.0.0.1", TCP4), b"probe"), ((ADDRESS, TCP_ANY), b"probe"), (("counted.test", 80), http("other.test", "/host"))):
    threading.Thread(target=ask, args=(address, text), daemon=True).start()
while True:
    open("beat", "a").write("x")
    time.sleep(0.005)
"""


@pytest.fixture(scope="module")
def world(origin_ca):
    one, origin = World(UNPRIVILEGED if paths.IS_ROOT else None), origins.Origin()
    origin.answer(origins.OK)
    one.origin = origin
    (one.top / "parts.yaml").write_text(POLICY)
    one.options = one.configure(origin_ca.cert, [f"{name}.test:80:127.0.0.1:{origin.port}" for name in ("counted", "other")])
    yield one
    origin.stop()
    one.close()


def came(world):
    """Paths that the origin was asked for, in order."""
    return [r.target for c in list(world.origin.connections) for r in list(c.requests)]


@pytest.fixture
def hammering(world):
    """A run whose command asks without end."""
    beat = world.project / "beat"
    beat.unlink(missing_ok=True)
    world.forget()
    before = len(came(world))
    client = CLIENT.replace("TCP4", str(world.known["tcp4"])).replace("TCP_ANY", str(world.known["tcp_any"]))
    client = client.replace("ADDRESS", repr(world.known["address"]))
    line = [world.exeat, "run", "--quiet", "--policy", world.top / "parts.yaml", *world.options, "--", "/usr/bin/python3", "-c", client]
    with subprocess.Popen([str(w) for w in line], cwd=world.project, env=world.environment(), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **world.as_user()) as process:
        paths.wait_until(lambda: len(came(world)) > before + 20, "requests arrive", 30)
        yield process
        if process.poll() is None:
            process.kill()
    beat.unlink()


@pytest.mark.parametrize("name", ["proxy", "keeper", "exeat", "bwrap", "init"])
def test_when_a_part_dies_the_jail_ends_within_a_second(world, hammering, name):
    members = processes.family(hammering.pid)
    victims = {"exeat": [hammering.pid]}.get(name) or [pid for (pid, _), n in members.items() if n == name]
    assert victims, members
    os.kill(victims[0], signal.SIGKILL)
    killed = time.monotonic()
    paths.wait_until(lambda: not any(processes.is_alive(pid) for pid, _ in members), "every process of the run ends", 5, 0.005)
    lasted = time.monotonic() - killed
    arrived, beats = len(came(world)), (world.project / "beat").stat().st_size
    _, stderr = hammering.communicate(timeout=20)
    assert lasted < (5 if paths.SANITIZED else 1), "too long"
    assert hammering.returncode == (-signal.SIGKILL if name == "exeat" else 125)
    assert name == "exeat" or (len(stderr.splitlines()) >= 1 and "the jail is ended" in stderr), stderr
    assert (len(came(world)), (world.project / "beat").stat().st_size) == (arrived, beats), "something goes on"
    assert set(came(world)) == {"/allowed"} and world.visits() == {}, "only what the policy allows has ever arrived"


def test_while_the_proxy_hangs_nothing_passes(world, hammering):
    """Stopped, not dead: what is asked meanwhile waits."""
    proxy = next(pid for (pid, _), n in processes.family(hammering.pid).items() if n == "proxy")
    os.kill(proxy, signal.SIGSTOP)
    paths.wait_until(lambda: processes.is_stopped(proxy), "the proxy has stopped")
    beat = world.project / "beat"
    arrived, beats = settle(lambda: len(came(world))), beat.stat().st_size
    paths.wait_until(lambda: beat.stat().st_size > beats + 20, "the command goes on")
    assert len(came(world)) == arrived and world.visits() == {}
    os.kill(proxy, signal.SIGCONT)
    paths.wait_until(lambda: len(came(world)) > arrived + 5, "requests arrive again", 30)


def test_what_the_command_left_in_the_background_ends_with_it(world):
    """Also what has a session of its own and waits for no signal."""
    before = len(came(world))
    script = "trap '' HUP TERM INT; setsid -f /usr/bin/python3 -c \"$0\"; until [ -s beat ]; do sleep 0.01; done"
    client = CLIENT.replace("TCP4", str(world.known["tcp4"])).replace("TCP_ANY", str(world.known["tcp_any"]))
    client = client.replace("ADDRESS", repr(world.known["address"]))
    done = world.jail("/bin/bash", "-c", script, client, options=["--quiet", *world.options], policy=world.top / "parts.yaml")
    beat = world.project / "beat"
    arrived, beats = len(came(world)), beat.stat().st_size
    assert done.returncode == 0, done.stderr
    assert settle(lambda: len(came(world))) == arrived >= before and beat.stat().st_size == beats > 0
    beat.unlink()


def settle(count):
    """What it is once it stays the same: what was on its way has come."""
    last = count()
    while (time.sleep(0.1), count())[1] != last:
        last = count()
    return last
