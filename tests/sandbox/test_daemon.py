"""`exeat run --daemon SOCKET`: a running proxy takes runs of this machine's users, and believes none of them."""

import http.client
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import time

import pytest

import control_client as wire
from lib import paths
from lib.exeat import Exeat
from lib.namespace import Namespace
from world import UNPRIVILEGED, World

POLICY = """\
exeat: 1
task: guest
allow:
  - {name: the api, host: api.test, paths: [/v1/**], methods: [GET, POST], body: {max: 1MiB}}
  - {name: plain, host: plain.test, scheme: http, paths: [/**], methods: [GET, POST], body: {max: 1MiB}}
  - {name: forbidden by the site, host: second.test, paths: [/**]}
"""
SITE = """\
exeat: 1
deny:
  - {name: not from here, host: second.test, message: The site forbids it.}
"""


class Daemon(Exeat):
    """`exeat proxy` with a control socket, in a folder that others may look into."""

    def __init__(self, folder, roots, resolve, site=SITE, control="./control/exeat.sock", extra="", tasks="  []", user=None):
        self.user = user
        folder = pathlib.Path(folder)
        folder.mkdir(mode=0o755)
        (folder / "control").mkdir(mode=0o755)
        (folder / "roots.pem").write_bytes(pathlib.Path(roots).read_bytes())
        super().__init__(folder, {}, folder / "roots.pem", resolve, tasks=tasks, workers=2,
                         extra=f"control: {control}\nsite: ./site.yaml\n{extra}", make={"site.yaml": site})
        self.socket = folder / "control/exeat.sock"
        if user is not None:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, user, user)

    def command(self, *arguments):
        line = super().command(*arguments)
        return line if self.user is None else ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--clear-groups", *line]

    def of(self, task, *kinds):
        return [r for r in self.records() if r["task"] == task and (not kinds or r["kind"] in kinds)]


@pytest.fixture(scope="module")
def worlds():
    """Two users, each with a project."""
    uids = [UNPRIVILEGED, UNPRIVILEGED + 1] if paths.IS_ROOT else [None]
    all = [World(uid) for uid in uids]
    for world in all:
        (world.top / "policy.yaml").write_text(POLICY)
    yield all
    for world in all:
        world.close()


@pytest.fixture(scope="module")
def world(worlds):
    return worlds[0]


@pytest.fixture(scope="module")
def resolve(nginx, plain_origin):
    return [f"{name}.test:443:127.0.0.1:{nginx.tls_port}" for name in ("api", "second")] + [
        f"plain.test:80:127.0.0.1:{plain_origin.port}"]


@pytest.fixture
def make(world, origin_ca, resolve):
    """Starts a daemon; it is stopped, and its log is verified, at the end."""
    made = []

    def make(**keywords):
        folder = world.top / f"daemon-{len(made)}-{time.monotonic_ns()}"
        made.append(Daemon(folder, origin_ca.cert, resolve, **keywords))
        return made[-1].start()

    yield make
    for one in made:
        one.stop()


@pytest.fixture(scope="module")
def shared(world, origin_ca, resolve):
    one = Daemon(world.top / "daemon", origin_ca.cert, resolve).start()
    yield one
    one.stop()


def run(world, daemon, script, *options, policy=None, **keywords):
    return world.jail("sh", "-c", script, options=["--daemon", daemon.socket, *options], policy=policy, **keywords)


def start(world, daemon, script, *options, policy=None):
    """In the background; `script` is given a pipe as its standard input."""
    command = [world.exeat, "run", "--policy", policy or world.top / "policy.yaml", "--daemon", daemon.socket, *options, "--", "sh", "-c", script]
    return subprocess.Popen([str(word) for word in command], cwd=world.project, env=world.environment(), text=True,
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **world.as_user())


def end(process):
    out, err = process.communicate("\n", timeout=60)
    return process.returncode, out, err


GET = "curl -sS --max-time 20 https://api.test/v1/x"


# --- a run of it ---


def test_a_command_works_and_is_judged_by_its_own_policy(shared, world):
    done = run(world, shared, f"{GET} -o /dev/null -w '%{{http_code}} '; curl -s -o /dev/null -w '%{{http_code}} ' https://api.test/other;"
                              " curl -s -o /dev/null -w '%{http_code}' http://plain.test/x; exit 7", "--task", "works")
    assert (done.returncode, done.stdout) == (7, "200 403 200"), done.stderr
    task = f"{world.uid}/works"
    records = shared.of(task, "request")
    assert [r["reason"] for r in records] == [None, "path-not-allowed", None]
    assert records[0]["rule"]["name"] == "the api"
    assert [r["kind"] for r in shared.of(task)][0] == "start" and [r["kind"] for r in shared.of(task)][-1] == "stop"


def test_the_summary_says_what_came_of_it_and_where_the_log_is(shared, world):
    done = run(world, shared, f"{GET} -o /dev/null; curl -s -o /dev/null https://nobody.test/; curl -s -o /dev/null https://api.test/other",
               "--task", "summary")
    sent = sum(r["sent"] for r in shared.of(f"{world.uid}/summary", "request"))
    assert re.search(r"exeat run: 1 request allowed, 2 blocked \((host|path)-not-allowed 1, (host|path)-not-allowed 1\); "
                     f"{sent} bytes sent\n", done.stderr), done.stderr
    log, seq, last = re.search(r"exeat run: log (\S+), last record (\d+):([0-9a-f]{64}), seals by key [0-9a-f]{64}\n", done.stderr).groups()
    assert log == str(shared.audit)
    verified = shared.cli("log", "--log", log, "--verify", "--head", f"{seq}:{last}")
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_quiet_is_quiet(shared, world):
    done = run(world, shared, f"{GET} -o /dev/null", "--quiet", "--task", "quiet")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_sites_word_is_the_last(shared, world):
    done = run(world, shared, "curl -s https://second.test/x", "--task", "site")
    assert "The site forbids it." in done.stdout, done.stderr
    record, = shared.of(f"{world.uid}/site", "request")
    assert (record["reason"], record["rule"]["name"]) == ("denied-by-rule", "not from here")


def test_a_monitored_run_is_still_under_the_sites_word(shared, world):
    done = run(world, shared, "curl -s -o /dev/null -w '%{http_code} ' https://second.test/x; curl -s -o /dev/null -w '%{http_code}' "
                              "-X POST -d x https://api.test/", "--mode", "monitor", "--task", "monitor")
    assert done.stdout.startswith("403 ") and not done.stdout.endswith("403"), done.stdout + done.stderr
    assert "1 of them left that the policy would block" in done.stderr


def test_what_udp_it_tried_is_on_record(shared, world):
    script = "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ntry: s.sendto(b'x', ('192.0.2.7', 4433))\nexcept OSError: pass"
    done = world.jail("python3", "-c", script, options=["--daemon", shared.socket, "--task", "udp"])
    assert done.returncode == 0, done.stderr
    record, = shared.of(f"{world.uid}/udp", "udp")
    assert (record["url"], record["reason"]) == ("udp://192.0.2.7:4433", "udp-denied")


def test_what_it_tried_last_is_on_record_too(shared, world):
    """The run ends in the same moment."""
    script = "import os, socket; s = socket.socket(); s.connect(('192.0.2.9', 22)); os._exit(0)"
    for i in range(3):
        done = world.jail("python3", "-c", script, options=["--daemon", shared.socket, "--task", f"last-{i}"])
        assert done.returncode == 0 and "1 blocked" in done.stderr, done.stderr
        record, = shared.of(f"{world.uid}/last-{i}", "connect")
        assert record["url"] == "tcp://192.0.2.9:22"


def test_programs_that_know_of_the_proxy_work_too(shared, world):
    done = run(world, shared, f"{GET} --proxy http://127.0.0.1:3128 -o /dev/null -w '%{{http_code}}'", "--task", "explicit")
    assert done.stdout == "200", done.stderr


def test_names_are_looked_up_by_tcp_as_well(shared, world):
    script = ("import socket, struct\nq = b'\\0\\1\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\3api\\4test\\0\\0\\1\\0\\1'\n"
              "s = socket.create_connection(('127.0.0.1', 53), 10); s.sendall(struct.pack('>H', len(q)) + q); print(len(s.recv(512)) > 30)")
    done = world.jail("python3", "-c", script, options=["--daemon", shared.socket, "--task", "dns"])
    assert done.stdout == "True\n", done.stderr


@pytest.mark.root
def test_two_users_have_each_their_own_tasks(shared, worlds):
    """The same name, at the same time: neither is in the other's way."""
    first = start(worlds[0], shared, f"read x; {GET} -o /dev/null -w '%{{http_code}}'", "--task", "same")
    paths.wait_until(lambda: shared.of(f"{worlds[0].uid}/same", "start"), "the first is served")
    done = run(worlds[1], shared, f"{GET} -o /dev/null -w '%{{http_code}}'", "--task", "same")
    assert (done.returncode, done.stdout) == (0, "200"), done.stderr
    assert end(first)[:2] == (0, "200")
    for world in worlds:
        assert len(shared.of(f"{world.uid}/same", "request")) == 1


def test_one_user_has_a_task_of_that_name_once(shared, world):
    first = start(world, shared, "read x", "--task", "once")
    paths.wait_until(lambda: shared.of(f"{world.uid}/once", "start"), "the first is served")
    done = run(world, shared, "echo started", "--task", "once")
    assert (done.returncode, done.stdout) == (125, "") and f"a task called {world.uid}/once runs already" in done.stderr
    assert end(first)[0] == 0
    assert run(world, shared, "echo again", "--task", "once").stdout == "again\n"


# --- what is refused ---


def test_without_a_daemon_there_the_run_says_so(world):
    done = world.jail("echo", "started", options=["--daemon", world.top / "nobody.sock"])
    assert (done.returncode, done.stdout) == (125, "") and "nobody.sock: no daemon serves there" in done.stderr


WRONG = {
    "a service": ("services: [127.0.0.1:5432]\n", "services"),
    "a published port": ("publish: [3000]\n", "publish"),
    "internal addresses": ("allow: [{name: inside, host: wiki.test, paths: [/**], addresses: [10.1.0.0/16]}]\n", "addresses"),
}


@pytest.mark.parametrize("text, key", WRONG.values(), ids=[n.replace(" ", "-") for n in WRONG])
def test_what_a_strangers_policy_may_not_say(shared, world, text, key):
    path = world.top / "wrong.yaml"
    path.write_text("exeat: 1\n" + text)
    done = run(world, shared, "echo started", policy=path)
    assert (done.returncode, done.stdout) == (125, "")
    assert re.search(rf"wrong\.yaml:\d+:\d+: .*`{key}`", done.stderr), done.stderr


def test_addresses_that_the_operator_lends(make, world, plain_origin):
    daemon = make(control="{socket: ./control/exeat.sock, addresses: [127.0.0.0/8]}",
                  extra="")
    path = world.top / "lent.yaml"
    path.write_text(f"exeat: 1\nallow: [{{name: inside, host: 127.0.0.1, scheme: http, ports: [{plain_origin.port}], paths: [/**], "
                    "addresses: [127.0.0.0/8]}]\n")
    done = run(world, daemon, f"curl -s -o /dev/null -w '%{{http_code}}' --proxy http://localhost:3128 --noproxy '' http://127.0.0.1:{plain_origin.port}/x",
               policy=path)
    assert done.stdout == "200", done.stdout + done.stderr


def test_config_and_daemon_do_not_go_together(world, shared):
    done = run(world, shared, "true", "--config", world.top / "policy.yaml")
    assert done.returncode == 125 and "--config" in done.stderr


@pytest.mark.root
def test_a_group_that_alone_may_connect(make, world):
    daemon = make(control="{socket: ./control/exeat.sock, group: daemon}")
    assert daemon.socket.stat().st_mode & 0o777 == 0o660
    done = run(world, daemon, "echo started")
    assert (done.returncode, done.stdout) == (125, "") and "may not connect" in done.stderr


# --- ceilings ---


def test_a_ceiling_counts_for_all_tasks_of_a_user(make, world):
    """A new name, a new run: what the operator lets this user do in an hour is not refilled."""
    daemon = make(site=SITE + "limits: {requests: 3/hour}\n")
    codes = []
    for name in ("one", "two", "three"):
        done = run(world, daemon, f"for i in 1 2; do {GET} -o /dev/null -w '%{{http_code}} '; done", "--task", name)
        codes += done.stdout.split()
    assert codes == ["200", "200", "200", "429", "429", "429"]


def test_limits_of_the_run_itself_are_for_the_run(shared, world):
    path = world.top / "limited.yaml"
    path.write_text(POLICY + "limits: {requests: 1}\n")
    for _ in range(2):
        done = run(world, shared, f"for i in 1 2; do {GET} -o /dev/null -w '%{{http_code}} '; done", "--task", "limited", policy=path)
        assert done.stdout == "200 429 ", done.stderr


# --- the end ---


def test_a_killed_run_is_no_task_any_more(shared, world):
    process = start(world, shared, "sleep 100", "--task", "killed")
    paths.wait_until(lambda: shared.of(f"{world.uid}/killed", "start"), "it is served")
    process.kill()
    process.communicate()
    paths.wait_until(lambda: shared.of(f"{world.uid}/killed", "stop"), "it is no task")
    assert run(world, shared, "echo again", "--task", "killed").stdout == "again\n"


@pytest.mark.parametrize("who", ["exeat", "proxy"])
def test_a_killed_daemon_ends_the_jail_at_once(make, world, who):
    daemon = make()
    process = start(world, daemon, "echo running; sleep 100", "--task", "orphan")
    assert process.stdout.readline() == "running\n"
    daemon.expected_exit = None
    os.kill(daemon.process.pid if who == "exeat" else daemon.pid_of("proxy"), signal.SIGKILL)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out) == (125, "") and "the daemon has gone: the jail is ended" in err


def test_a_daemon_that_stops_ends_the_jails(make, world):
    daemon = make()
    process = start(world, daemon, "echo running; sleep 100", "--task", "stopped")
    assert process.stdout.readline() == "running\n"
    daemon.stop()
    out, err = process.communicate(timeout=10)
    assert process.returncode == 125 and "the daemon has gone" in err


def test_a_reload_of_the_site_counts_for_runs_at_once(make, world):
    daemon = make()
    process = start(world, daemon, f"{GET} -o /dev/null -w '%{{http_code}}\\n'; read x; {GET} -o /dev/null -w '%{{http_code}}\\n'",
                    "--task", "reloaded")
    assert process.stdout.readline() == "200\n"
    (daemon.folder / "site.yaml").write_text(SITE + "  - {name: no more, host: api.test}\n")
    daemon.reload()
    assert end(process)[1] == "403\n"
    assert daemon.of(f"{world.uid}/reloaded", "request")[-1]["rule"]["name"] == "no more"


def test_the_runs_own_policy_is_reloaded_through_the_daemon(shared, world):
    path = world.top / "changed.yaml"
    path.write_text(POLICY)
    process = start(world, shared, f"{GET} -o /dev/null -w '%{{http_code}}\\n'; read x; {GET} -o /dev/null -w '%{{http_code}}\\n'",
                    "--task", "own-reload", policy=path)
    assert process.stdout.readline() == "200\n"
    for wrong, said in (("allow: [{hosts: x}]\n", "changed.yaml:2:"), ("publish: [3000]\n", "publish"),
                        ("allow: [{host: a.test, paths: [/**], addresses: [10.0.0.0/8]}]\n", "addresses")):
        path.write_text("exeat: 1\n" + wrong)
        done = world.run([world.exeat, "reload", "--policy", path])
        assert done.returncode == 2 and said in done.stderr + done.stdout, done
    path.write_text(POLICY.replace("/v1/**", "/v2/**"))

    def reloaded():
        """The daemon takes one a second."""
        done = world.run([world.exeat, "reload", "--policy", path])
        return done.returncode == 0 and done.stderr + done.stdout

    assert "the api" in paths.wait_until(reloaded, "a reload")
    assert end(process)[1] == "403\n"
    kinds = [(r["kind"], r.get("outcome")) for r in shared.of(f"{world.uid}/own-reload", "reload")]
    assert kinds == [("reload", "refused"), ("reload", None)]


def test_a_daemon_of_an_unprivileged_user_serves_its_own(make, world):
    daemon = make(user=world.uid if paths.IS_ROOT else None)
    done = run(world, daemon, f"{GET} -o /dev/null -w '%{{http_code}}'", "--task", "own")
    assert done.stdout == "200", done.stderr


@pytest.mark.root
def test_a_daemon_of_an_unprivileged_user_serves_others_too(make, worlds):
    daemon = make(user=worlds[0].uid)
    done = run(worlds[1], daemon, f"{GET} -o /dev/null -w '%{{http_code}}'", "--task", "others")
    assert done.stdout == "200", done.stderr
    assert daemon.of(f"{worlds[1].uid}/others", "request")


# --- hostile clients ---


@pytest.fixture(scope="module")
def space(origin_ca, scratch):
    """A network namespace whose sockets we can have."""
    folder = scratch / "daemon-namespace"
    folder.mkdir()
    one = Namespace(folder, origin_ca)
    yield one
    one.close()


def listeners(space):
    """What a jail has at least, by their places (enum jail_socket)."""
    return {0: space.listen("127.0.0.1", 0)}


@pytest.fixture
def hostile(shared):
    made = []

    def hostile(daemon=shared):
        made.append(wire.Client(daemon.socket))
        return made[-1]

    yield hostile
    for one in made:
        one.close()


def still_serves(world, daemon):
    done = run(world, daemon, f"{GET} -o /dev/null -w '%{{http_code}}'", "--task", f"after-{time.monotonic_ns()}")
    assert done.stdout == "200", done.stderr


GARBAGE = {
    "nothing": b"",
    "a byte": b"x",
    "half a header": b"\1\0\0\0",
    "a length that lies": wire.header("RUN_HELLO", 5) + b"abc",
    "a type that is none": (255).to_bytes(4, "little") + (0).to_bytes(4, "little"),
    "a message of the supervisor's": wire.header("RUN_WELCOME", 0),
    "a message of the proxy's": wire.header("JAIL_READY", 4) + b"\0\0\0\0",
    "an order to stop": wire.header("STOP", 8) + b"\0" * 8,
    "an end before the beginning": wire.header("RUN_END", 0),
    "as large as it gets": wire.header("RUN_HELLO", 60000) + b"A" * 60000,
    "larger than that": wire.header("RUN_HELLO", 150000) + b"A" * 150000,
}


@pytest.mark.parametrize("bytes", GARBAGE.values(), ids=[n.replace(" ", "-") for n in GARBAGE])
def test_garbage_is_the_end_of_that_client_alone(shared, world, hostile, bytes):
    client = hostile()
    if bytes:
        client.send(bytes)
        assert client.is_closed()
    still_serves(world, shared)


def memory(text=b"x", seal=True):
    return wire.sealed(text) if seal else wire.memory(text)


HELLOS = {
    "a policy that is not sealed": (lambda: [memory(wire.bundle(POLICY), seal=False), wire.namespace()], {}, "not a policy"),
    "a policy that is a file": (lambda: [os.open("/etc/passwd", os.O_RDONLY), wire.namespace()], {}, "not a policy"),
    "a policy that is a pipe": (lambda: [os.pipe()[0], wire.namespace()], {}, "not a policy"),
    "a policy that is too large": (lambda: [memory(b"x" * (2 << 20)), wire.namespace()], {}, "not a policy"),
    "another namespace": (lambda: [memory(wire.bundle(POLICY)), os.open("/proc/self/ns/mnt", os.O_RDONLY)], {}, "network namespace"),
    "no namespace at all": (lambda: [memory(wire.bundle(POLICY)), os.open("/dev/null", os.O_RDONLY)], {}, "network namespace"),
    "a name with a slash": (None, {"task": b"0/root"}, "task's name"),
    "a name that leads up": (None, {"task": b"../x"}, "task's name"),
    "an empty name": (None, {"task": b""}, "task's name"),
    "a name without an end": (None, {"task": b"x" * 64}, "task's name"),
    "another version": (None, {"version_text": b"0.0.1"}, "another version"),
    "a mode that is none": (None, {"mode": 77}, "not a policy"),
}


@pytest.mark.parametrize("make_fds, what, said", HELLOS.values(), ids=[n.replace(" ", "-") for n in HELLOS])
def test_a_hello_that_is_none_is_refused(shared, world, hostile, make_fds, what, said):
    client = hostile()
    client.hello(fds=make_fds() if make_fds else None, policy=POLICY, **what)
    assert said in client.refused()
    still_serves(world, shared)


POLICIES = {
    "no bundle": (b"x" * 100, "bundle"),
    "a bundle without a policy": (b"EXEATBN1", "no policy"),
    "a policy that is broken": (wire.bundle("exeat: 1\nallow: [{hosts: x}]\n"), "policy.yaml:2:"),
    "services": (wire.bundle("exeat: 1\nservices: [127.0.0.1:22]\n"), "services"),
    "publish": (wire.bundle("exeat: 1\npublish: [3000]\n"), "publish"),
    "internal addresses": (wire.bundle("exeat: 1\nallow: [{host: a.test, paths: [/**], addresses: [10.0.0.0/8]}]\n"), "addresses"),
    "a site of its own": (wire.bundle("exeat: 1\n", kind=10), "no policy"),
}


@pytest.mark.parametrize("text, said", POLICIES.values(), ids=[n.replace(" ", "-") for n in POLICIES])
def test_policies_of_strangers_are_judged_by_the_daemon_itself(shared, world, hostile, space, text, said):
    client = hostile()
    client.hello(fds=[wire.sealed(text), wire.namespace()])
    client.welcome()
    client.network(listeners(space))
    assert said in client.refused()
    still_serves(world, shared)


NETWORKS = {
    "files": lambda space: {0: open("/etc/passwd", "rb")},
    "a socket that does not listen": lambda space: {0: space.connect((listener := space.listen("127.0.0.1", 0)).getsockname()), 9: listener},
    "UDP for TCP": lambda space: {0: space.udp("127.0.0.1", 0)},
    "TCP for UDP": lambda space: {**listeners(space), 4: space.listen("127.0.0.1", 0)},
    "IPv4 for IPv6": lambda space: {**listeners(space), 1: space.listen("127.0.0.1", 0)},
    "of this machine": lambda space: {0: socket.create_server(("127.0.0.1", 0))},
    "nothing but names": lambda space: {4: space.udp("127.0.0.1", 0)},
}


@pytest.mark.parametrize("sockets", NETWORKS.values(), ids=[n.replace(" ", "-") for n in NETWORKS])
def test_sockets_that_are_no_jails_are_refused(shared, world, hostile, space, sockets):
    client = hostile()
    client.hello(policy=POLICY)
    client.welcome()
    made = sockets(space)
    client.network({place: sock for place, sock in made.items() if place < 8})
    assert "sockets" in (said := client.refused()) or "no network" in said
    still_serves(world, shared)


def lingering(held):
    """A connection that close(2) waits for: it has more to send than its peer takes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        held.append(listener.accept()[0])
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3600))
    ours.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            ours.send(b"x" * 65536)
    return ours.detach()


WAITING = {
    "as a policy": lambda client, held: client.hello(fds=[lingering(held), wire.namespace()]),
    "as a namespace": lambda client, held: client.hello(fds=[wire.sealed(wire.bundle(POLICY)), lingering(held)]),
    "with what is no message": lambda client, held: client.send(b"x", [lingering(held)]),
    "out of turn": lambda client, held: client.say("RUN_NETWORK", struct.pack("<II", 1, 0), [lingering(held)]),
    "behind what is refused": lambda client, held: (client.send(b"x"), client.send(b"x", [lingering(held)])),
}


@pytest.mark.parametrize("say", WAITING.values(), ids=[n.replace(" ", "-") for n in WAITING])
def test_a_descriptor_whose_close_waits_keeps_nobody_waiting(shared, world, hostile, say):
    """The daemon's is the last: who closes an earlier one does not wait."""
    held, client = [], hostile()
    try:
        os.kill(shared.process.pid, signal.SIGSTOP)
        try:
            say(client, held)
        finally:
            os.kill(shared.process.pid, signal.SIGCONT)
        assert client.is_closed()
        still_serves(world, shared)
    finally:
        for peer in held:
            peer.close()


def test_whoever_says_nothing_is_not_waited_for_and_does_not_hinder(shared, world, hostile):
    silent = [hostile() for _ in range(5)]
    still_serves(world, shared)
    assert not any(client.is_closed(0) for client in silent)


def test_a_user_has_so_many_connections_and_no_more(make, world, worlds):
    daemon = make()
    clients = [wire.Client(daemon.socket) for _ in range(40)]
    try:
        assert any("as many runs" in client.refused() for client in clients[32:])
        if paths.IS_ROOT:  # who is another user than the one that floods
            still_serves(world, daemon)
    finally:
        for client in clients:
            client.close()


def test_a_user_starts_so_many_runs_and_no_more_are_on_record(make, world, space):
    """One after the other, each with a policy that is refused: what is beyond the rate is told, and not written."""
    daemon, sockets = make(), listeners(space)
    began, said = time.monotonic(), []
    while not any("too fast" in text for text in said):
        assert len(said) < 1000
        client = wire.Client(daemon.socket)
        client.hello(policy="exeat: 2\n", task=b"often")
        if (heard := client.hear())[0] == "RUN_WELCOME":
            client.network(sockets)
            said.append(client.refused())
        else:
            said.append(heard[1].decode())
        client.close()
    assert 64 < len(said) <= 64 + 1 + 4 * (time.monotonic() - began)
    assert len(daemon.of(f"{os.getuid()}/often")) == len(said) - 1
    if paths.IS_ROOT:  # who is another user than the one that came so often
        still_serves(world, daemon)


def admitted(client, sockets, task):
    client.hello(policy=POLICY, task=task)
    client.welcome()
    client.network(sockets)
    client.ready()


def gone(daemon, task):
    """Each that was admitted is on record as ended."""
    name = f"{os.getuid()}/{task}"
    paths.wait_until(lambda: len(daemon.of(name, "stop")) == len([r for r in daemon.of(name, "start") if "outcome" not in r]),
                     f"{task} is no task any more")


def test_a_blocking_socket_stops_nobody(shared, world, hostile, space):
    """O_NONBLOCK belongs to the open file, which the client still has."""
    client, sockets = hostile(), listeners(space)
    admitted(client, sockets, b"blocking")
    sockets[0].setblocking(True)
    for _ in range(20):  # what the daemon is woken for, and perhaps too late
        space.connect(sockets[0].getsockname()).close()
        sockets[0].settimeout(0.01)
        try:
            sockets[0].accept()[0].close()
        except OSError:
            pass
        sockets[0].setblocking(True)
    still_serves(world, shared)
    client.close()
    gone(shared, "blocking")


def cpu_ticks(pid):
    return sum(map(int, pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]))


@pytest.mark.plain_build
def test_a_shut_socket_for_names_keeps_nobody_busy(shared, world, hostile, space):
    client, sockets = hostile(), {**listeners(space), 4: space.udp("127.0.0.1", 0)}
    admitted(client, sockets, b"shut")
    try:
        sockets[4].shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    still_serves(world, shared)
    before = cpu_ticks(shared.pid_of("proxy"))
    still_serves(world, shared)  # a run's time: a loop in vain would take all of it
    assert cpu_ticks(shared.pid_of("proxy")) - before < os.sysconf("SC_CLK_TCK") // 4
    client.close()
    gone(shared, "shut")


ASK = b"GET http://plain.test/x HTTP/1.1\r\nHost: plain.test\r\n\r\n"


def answer(stream):
    """What comes first; nothing where it was cut."""
    stream.settimeout(5)
    try:
        stream.sendall(ASK)
        return stream.recv(100)
    except OSError:
        return b""


def status_of(stream, request):
    """Of one more exchange on this connection, whose answer is small."""
    stream.sendall(request)
    response = http.client.HTTPResponse(stream)
    response.begin()
    response.read()
    return response.status


def test_a_users_runs_share_his_part_of_the_log(make, world, hostile, space):
    """Another run does not make it larger, and what it was refused is counted though it ends at once."""
    daemon = make(extra="limits: {task_records: 1MiB}\n")
    long = b"GET http://plain.test/" + b"x" * 4000 + b" HTTP/1.1\r\nHost: plain.test\r\n\r\n"
    statuses = {}
    for name in (b"first", b"second"):
        client, sockets = hostile(daemon), listeners(space)
        admitted(client, sockets, name)
        stream = space.connect(sockets[0].getsockname())
        stream.settimeout(20)
        seen = statuses[name] = [status_of(stream, long)]
        while seen[-1] == 200:
            assert len(seen) < 1000
            seen.append(status_of(stream, long))
        stream.close()
        client.close()
    assert len(statuses[b"first"]) > 100 and statuses[b"first"][-1] == 429
    assert statuses[b"second"] == [429]
    paths.wait_until(lambda: any("without a record" in r.get("detail", "") for r in daemon.of(f"{os.getuid()}/second", "request")),
                     "what the second one was refused is counted")
    if paths.IS_ROOT:
        still_serves(world, daemon)


def test_its_connections_are_cut_when_it_goes(shared, hostile, space, plain_origin):
    """The namespace lives on, and so do the client's ends: nothing passes any more."""
    client, sockets = hostile(), listeners(space)
    address = sockets[0].getsockname()
    admitted(client, sockets, b"cut")
    stream = space.connect(address)
    assert answer(stream).startswith(b"HTTP/1.1 200")
    client.close()
    gone(shared, "cut")
    plain_origin.forget()
    assert answer(stream) == b""
    late = space.connect(address)
    late.settimeout(1)
    late.sendall(ASK)
    with pytest.raises(OSError):
        assert late.recv(100) == b""
        raise OSError("its end")
    assert plain_origin.requests == []


def test_what_it_says_later_is_bounded_too(shared, world, hostile, space):
    """UDP that it claims to have tried: some of it is on record, and the others go on."""
    client = hostile()
    admitted(client, listeners(space), b"talks")
    one = struct.pack("<Q16sHH4x", 1, socket.inet_aton("192.0.2.1"), 53, 0)
    for _ in range(300):
        client.say("RUN_UDP", struct.pack("<II", 7, 64) + one * 64)
    still_serves(world, shared)
    assert not client.is_closed(0)
    client.say("RUN_END")
    assert client.expect("RUN_LEFT")
    assert 0 < len(shared.of(f"{os.getuid()}/talks", "udp")) <= 2048
    assert all(r["task"] != f"{os.getuid()}/talks" for r in shared.of(f"{world.uid}/udp"))


OUT_OF_TURN = {
    "hello twice": lambda client: client.hello(),
    "network before it": None,
    "a policy that is too short": lambda client: client.say("RUN_POLICY", b"", [os.open("/dev/null", os.O_RDONLY)]),
    "a UDP count that lies": lambda client: client.say("RUN_UDP", struct.pack("<II", 1, 4000000)),
    "descriptors where there are none": lambda client: client.say("RUN_END", b"", [os.open("/dev/null", os.O_RDONLY)]),
}


@pytest.mark.parametrize("say", OUT_OF_TURN.values(), ids=[n.replace(" ", "-") for n in OUT_OF_TURN])
def test_what_is_out_of_turn_is_the_end_of_that_client_alone(shared, world, hostile, space, say):
    client = hostile()
    if say:
        admitted(client, listeners(space), b"turn")
        say(client)
        heard = client.hear()
        assert heard is None or heard[0] == "RUN_REFUSED"
        client.close()
        gone(shared, "turn")
    else:
        client.network(listeners(space))
        assert client.is_closed()
    client.close()
    still_serves(world, shared)
