"""`services:` and `publish:`: what a policy lets through without inspection, counted and on record."""

import contextlib
import glob
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request

import pytest

from lib import paths
from world import UNPRIVILEGED, World, bound


def free_port(address="127.0.0.1"):
    with socket.socket() as s:
        s.bind((address, 0))
        return s.getsockname()[1]


@pytest.fixture(scope="module")
def world():
    one = World(UNPRIVILEGED if paths.IS_ROOT else None)
    yield one
    one.close()


def policy(world, lines):
    path = world.top / "services.yaml"
    path.write_text("exeat: 1\ntask: services\nallow: []\n" + lines)
    return path


class Echo:
    """Sends back what comes, until the end; `got` counts."""

    def __init__(self, family=socket.AF_INET):
        self.sock = bound(family, socket.SOCK_STREAM, ("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        self.sock.listen(20)
        self.port, self.visits, self.got = self.sock.getsockname()[1], 0, 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.sock.accept()
                self.visits += 1
                threading.Thread(target=self._echo, args=(connection,), daemon=True).start()

    def _echo(self, connection):
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(65536):
                self.got += len(data)
                connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)

    def close(self):
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


@pytest.fixture
def echo():
    server = Echo()
    yield server
    server.close()


ASK = """
import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 10)
size = int(sys.argv[3])
import threading
threading.Thread(target=lambda: (s.sendall(b'x' * size), s.shutdown(socket.SHUT_WR))).start()
got = 0
while data := s.recv(65536): got += len(data)
print('GOT', got)
"""


def ask(world, policy_path, port, size=5, host="127.0.0.1"):
    return world.jail("/usr/bin/python3", "-c", ASK, host, str(port), str(size), policy=policy_path)


@pytest.mark.parametrize("size", [5, 3_000_000])
def test_a_service_is_reached_and_its_bytes_are_counted(world, echo, size):
    done = ask(world, policy(world, f"services: [{{target: 127.0.0.1:{echo.port}, port: 5432}}]\n"), 5432, size)
    assert done.stdout == f"GOT {size}\n", done.stderr
    record, = world.records("service")
    assert (record["sent"], record["received"]) == (size, size)
    assert record["url"] == "tcp://127.0.0.1:5432" and record["verdict"] == "allow"
    assert record["upstream"]["address"] == "127.0.0.1" and record["upstream"]["port"] == echo.port
    assert "not inspected" in record["detail"]
    assert [r["id"] for r in world.records("open")] == [record["id"]]


def test_services_are_listed_as_not_inspected_at_start_and_end(world, echo):
    done = ask(world, policy(world, f"services: [127.0.0.1:{echo.port}]\n"), echo.port)
    lines = [line for line in done.stderr.splitlines() if "not inspected" in line]
    assert f"127.0.0.1:{echo.port}" in lines[0]
    assert "1 connection" in lines[-1] and "5 bytes out" in lines[-1], done.stderr


def test_a_port_that_is_no_service_leads_nowhere(world, echo):
    other = Echo()
    done = ask(world, policy(world, f"services: [127.0.0.1:{echo.port}]\n"), other.port)
    assert "ConnectionRefused" in done.stderr and other.visits == 0
    other.close()


def test_a_service_on_the_other_loopback(world):
    echo = Echo(socket.AF_INET6)
    done = ask(world, policy(world, f'services: [{{target: "[::1]:{echo.port}", port: 6379}}]\n'), 6379)
    assert done.stdout == "GOT 5\n", done.stderr
    assert world.records("service")[0]["upstream"]["address"] == "::1"
    echo.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_a_service_stands_on_both_loopbacks_of_the_jail(world, echo, host):
    done = ask(world, policy(world, f"services: [{{target: 127.0.0.1:{echo.port}, port: 5432}}]\n"), 5432, host=host)
    assert done.stdout == "GOT 5\n", done.stderr


def test_a_port_of_exeat_itself_is_no_service(world, echo):
    done = ask(world, policy(world, f"services: [{{target: 127.0.0.1:{echo.port}, port: 3128}}]\n"), 3128)
    assert done.returncode == 125 and "port 3128" in done.stderr and "services" in done.stderr, done.stderr


def test_a_record_says_who_asked_for_a_service(world, echo):
    ask(world, policy(world, f"services: [127.0.0.1:{echo.port}]\n"), echo.port)
    for record in world.records("open") + world.records("service"):
        assert record["client"]["exe"].startswith("/usr/bin/python3") and record["client"]["pid"] > 1
        assert record["client"]["args"][-1] == "5", record


def test_a_service_that_does_not_run_is_an_end_on_record(world):
    port = free_port()
    done = ask(world, policy(world, f"services: [127.0.0.1:{port}]\n"), port)
    assert done.returncode != 0 or done.stdout == "GOT 0\n"
    record, = world.records("service")
    assert record["reason"] == "upstream-refused" and record["sent"] == 0


def test_services_and_explicit_networks_go_together(world, echo):
    done = ask(world, policy(world, f"network: explicit\nservices: [127.0.0.1:{echo.port}]\n"), echo.port)
    assert done.stdout == "GOT 5\n", done.stderr


def test_many_connections_to_a_service_at_once(world, echo):
    code = """
import socket, sys
all = [socket.create_connection(('127.0.0.1', int(sys.argv[1])), 10) for i in range(100)]
for i, s in enumerate(all): s.sendall(b'%d' % i)
print(sorted(int(s.recv(100)) for s in all) == list(range(100)))
"""
    done = world.jail("/usr/bin/python3", "-c", code, str(echo.port), policy=policy(world, f"services: [127.0.0.1:{echo.port}]\n"))
    assert done.stdout == "True\n", done.stderr
    assert len(world.records("service")) == 100


# --- a real database ---


def postgres():
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/pg_ctl"))
    return pathlib.Path(found[-1]).parent if found else None


@pytest.fixture(scope="module")
def database():
    if not postgres() or not shutil.which("psql"):
        pytest.skip("PostgreSQL is not installed")
    folder, port = pathlib.Path(tempfile.mkdtemp(prefix="exeat-postgres-")), free_port()
    owner = {}
    if paths.IS_ROOT:  # it refuses root, and users whom nobody knows
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        owner = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}

    def run(program, *options, output=subprocess.PIPE):
        subprocess.run([postgres() / program, "-D", folder / "data", *options], check=True, cwd=folder, stdout=output, timeout=120,
                       env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}, **owner)

    run("initdb", "-U", "tester", "-A", "trust", "--no-sync", "-E", "UTF8")
    settings = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories= -c fsync=off"
    run("pg_ctl", "-w", "-l", folder / "log", "-o", settings, "start", output=subprocess.DEVNULL)
    yield port
    run("pg_ctl", "-m", "immediate", "stop")
    shutil.rmtree(folder, ignore_errors=True)


def test_a_database_of_the_host_is_used_as_ever(world, database):
    path = policy(world, f"services: [{{target: 127.0.0.1:{database}, port: 5432}}]\n")
    sql = "create table t as select generate_series(1, 1000) as n; select sum(n) from t; drop table t;"
    done = world.jail("psql", "-h", "localhost", "-U", "tester", "-d", "postgres", "-qtAc", sql, policy=path)
    assert done.stdout == "500500\n", done.stderr
    record = world.records("service")[-1]
    assert record["sent"] > 100 and record["received"] > 100 and record["upstream"]["port"] == database


# --- publish ---

SERVER = """
import http.server, socket, sys
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b'from the jail' + self.path.encode())
    def log_message(self, *_): pass
server = Server((sys.argv[1], int(sys.argv[2])), Handler)
print('ready', flush=True)
server.serve_forever()
"""


@contextlib.contextmanager
def jailed_server(world, path, address, port):
    command = [str(word) for word in (world.exeat, "run", "--policy", path, "--", "/usr/bin/python3", "-c", SERVER, address, port)]
    process = subprocess.Popen(command, cwd=world.project, env=world.environment(), stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **world.as_user())
    try:
        assert process.stdout.readline() == "ready\n", process.stderr.read()
        yield process
    finally:
        process.terminate()
        process.said = process.communicate(timeout=30)[1]


def get(url):
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=10) as answer:
        return answer.read().decode()


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "0.0.0.0"])
def test_a_published_server_is_reached_from_the_host(world, address):
    on = free_port()
    with jailed_server(world, policy(world, f"publish: [{{port: 3000, on: {on}}}]\n"), address, 3000) as server:
        for i in range(40):
            assert get(f"http://127.0.0.1:{on}/{i}") == f"from the jail/{i}"
    assert "a browser here is not in the jail" in server.said
    assert f"127.0.0.1:{on}" in server.said
    records = world.records("service")
    assert len(records) == 40 and all("not inspected" in r["detail"] for r in records)
    assert all(r["sent"] > 20 and r["received"] > 20 for r in records)
    assert "40 connections" in server.said


def test_published_ports_listen_on_loopback_only(world):
    on = free_port()
    with jailed_server(world, policy(world, f"publish: [{{port: 3000, on: {on}}}]\n"), "127.0.0.1", 3000):
        listening = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
        at = {row[1] for row in listening if row[3] == "0A" and row[1].endswith(f":{on:04X}")}
        assert at == {f"0100007F:{on:04X}"}
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", on), 5)


def test_a_published_port_without_a_server_is_closed_at_once(world):
    on = free_port()
    with jailed_server(world, policy(world, f"publish: [3000, {{port: 3001, on: {on}}}]\n"), "127.0.0.1", 3000):
        began = time.monotonic()
        with socket.create_connection(("127.0.0.1", on), 10) as s, contextlib.suppress(ConnectionError):
            assert s.recv(10) == b""
        assert time.monotonic() - began < 5
        assert get("http://127.0.0.1:3000/x") == "from the jail/x"


def test_a_published_port_that_is_taken_ends_the_run_before_it_begins(world, echo):
    done = world.jail("true", policy=policy(world, f"publish: [{{port: 3000, on: {echo.port}}}]\n"))
    assert done.returncode == 125
    assert f"127.0.0.1:{echo.port}" in done.stderr and "publish" in done.stderr
