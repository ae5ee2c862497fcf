"""`services:` and `publish:`: what a policy lets through without inspection, counted and on record."""

import concurrent.futures
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
from world import bound


def policy(world, lines):
    path = world.top / "services.yaml"
    path.write_text("exeat: 1\ntask: services\nallow: []\n" + lines)
    return path


class Echo:
    """Sends back what comes, until the end; `got` counts."""

    def __init__(self, family=socket.AF_INET):
        self.sock = bound(family, socket.SOCK_STREAM, ("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        self.sock.listen(600)
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


@contextlib.contextmanager
def jailed(world, path, *command):
    """A program in the jail while something is done outside; `said` on standard error, afterwards."""
    line = [str(word) for word in (world.exeat, "run", "--policy", path, "--", *command)]
    process = subprocess.Popen(line, cwd=world.project, env=world.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, **world.as_user())
    try:
        yield process
    finally:
        process.terminate()
        process.said = process.communicate(timeout=30)[1]


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
    port = paths.free_port()
    done = ask(world, policy(world, f"services: [127.0.0.1:{port}]\n"), port)
    assert "ConnectionResetError" in done.stderr and done.stdout in ("", "GOT 0\n")  # whoever of the two hears it
    record, = world.records("service")
    assert record["reason"] == "upstream-refused" and record["sent"] == 0 and "nothing listens there" in record["detail"]
    assert f"nothing listened for 1 of them, the last to tcp://127.0.0.1:{port}" in done.stderr


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


def test_more_connections_than_there_may_be_wait_for_their_turn(world, echo):
    code = """
import asyncio, sys
async def one(i):
    reader, writer = await asyncio.open_connection('127.0.0.1', int(sys.argv[1]))
    writer.write(b'%d' % i)
    got = await reader.read(10)
    writer.close()
    return int(got)
async def all(): return await asyncio.gather(*(one(i) for i in range(600)))
print(asyncio.run(all()) == list(range(600)))
"""
    done = world.jail("/usr/bin/python3", "-c", code, str(echo.port), policy=policy(world, f"services: [127.0.0.1:{echo.port}]\n"))
    assert done.stdout == "True\n", done.stderr
    assert len(world.records("service")) == 600 and echo.visits == 600


class Slow:
    """Reads what comes when told to, and counts it."""

    def __init__(self):
        self.sock = bound(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
        self.sock.listen(5)
        self.port, self.go, self.got, self.end = self.sock.getsockname()[1], threading.Event(), 0, None
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        connection, _ = self.sock.accept()
        with connection:
            self.go.wait(30)
            try:
                while data := connection.recv(65536):
                    self.got += len(data)
                self.end = "end"
            except ConnectionResetError:
                self.end = "reset"

    def close(self):
        self.go.set()
        self.thread.join(30)
        self.sock.close()


@pytest.fixture
def slow():
    server = Slow()
    yield server
    server.close()


FULL = """
import socket, sys
s = socket.create_connection(('127.0.0.1', int(sys.argv[1])), 10)
s.setblocking(False)
sent = 0
try:
    while True: sent += s.send(bytes(65536))
except BlockingIOError: print(sent, flush=True)
"""


def test_what_the_last_program_sent_arrives_though_the_jail_has_ended(world, slow):
    threading.Timer(1, slow.go.set).start()  # long after the program has ended
    done = world.jail("/usr/bin/python3", "-c", FULL, str(slow.port), policy=policy(world, f"services: [127.0.0.1:{slow.port}]\n"))
    slow.thread.join(30)
    assert slow.end == "end" and slow.got == int(done.stdout) > 100_000, done.stderr
    record, = world.records("service")
    assert record["sent"] == slow.got and "outcome" not in record


def test_a_service_that_reads_nothing_costs_no_memory(world, slow):
    code = FULL + """
import os, time
while not os.path.exists('go'): time.sleep(0.02)
"""
    path = policy(world, f"services: [127.0.0.1:{slow.port}]\n")
    with jailed(world, path, "/usr/bin/python3", "-c", code, str(slow.port)) as process:
        sent = int(process.stdout.readline())
        assert sent < 20_000_000, "somebody keeps what nobody takes"
        slow.go.set()
        (world.project / "go").touch()
        process.wait(30)
    slow.thread.join(30)
    (world.project / "go").unlink()
    assert slow.got == sent


def reload(world, path, lines):
    policy(world, lines)
    return world.run([world.exeat, "reload", "--policy", path])


def test_a_reload_that_takes_a_service_away_ends_its_connections_and_leaves_the_others(world, echo):
    other = Echo()
    code = """
import socket, sys, time
kept, cut = (socket.create_connection(('127.0.0.1', int(port)), 10) for port in sys.argv[1:])
for s in kept, cut:
    s.sendall(b'x'); s.recv(1)
print('open', flush=True)
sys.stdin.readline()
began = time.monotonic()
try: print('cut', cut.recv(1))
except ConnectionResetError: print('cut', time.monotonic() - began < 1)
kept.sendall(b'y'); print('kept', kept.recv(1))
try:
    again = socket.create_connection(('127.0.0.1', int(sys.argv[2])), 10); again.sendall(b'z'); print('again', again.recv(1))
except ConnectionResetError: print('again refused', flush=True)
"""
    both = f"services: [127.0.0.1:{echo.port}, 127.0.0.1:{other.port}]\n"
    path = policy(world, both)
    with jailed(world, path, "/usr/bin/python3", "-c", code, str(echo.port), str(other.port)) as process:
        assert process.stdout.readline() == "open\n"
        done = reload(world, path, f"services: [127.0.0.1:{echo.port}]\n")
        assert done.returncode == 0 and "what has gone ends now" in done.stdout + done.stderr, done
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.read() == "cut True\nkept b'y'\nagain refused\n"
        process.wait(30)
    other.close()
    blocked = [r for r in world.records("service") if r["verdict"] == "block"]
    assert [r["reason"] for r in blocked] == ["port-not-allowed"] * 2 and blocked[0]["outcome"] == "aborted"
    assert "1 blocked" not in process.said and "2 blocked (port-not-allowed 2)" in process.said, process.said


# --- a real database ---


def postgres():
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/pg_ctl"))
    return pathlib.Path(found[-1]).parent if found else None


@pytest.fixture(scope="module")
def database():
    if not postgres() or not shutil.which("psql"):
        pytest.skip("PostgreSQL is not installed")
    folder, port = pathlib.Path(tempfile.mkdtemp(prefix="exeat-postgres-")), paths.free_port()
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
    with jailed(world, path, "/usr/bin/python3", "-c", SERVER, address, port) as process:
        assert process.stdout.readline() == "ready\n", process.stderr.read()
        yield process


def get(url):
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=10) as answer:
        return answer.read().decode()


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "0.0.0.0"])
def test_a_published_server_is_reached_from_the_host(world, address):
    on = paths.free_port()
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
    on = paths.free_port()
    with jailed_server(world, policy(world, f"publish: [{{port: 3000, on: {on}}}]\n"), "127.0.0.1", 3000):
        listening = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
        at = {row[1] for row in listening if row[3] == "0A" and row[1].endswith(f":{on:04X}")}
        assert at == {f"0100007F:{on:04X}"}
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", on), 5)


def test_a_published_port_without_a_server_is_closed_at_once(world):
    on = paths.free_port()
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


def test_many_connections_to_a_published_port_at_once(world):
    on = paths.free_port()
    with jailed_server(world, policy(world, f"publish: [{{port: 3000, on: {on}}}]\n"), "127.0.0.1", 3000):
        with concurrent.futures.ThreadPoolExecutor(60) as pool:
            answers = list(pool.map(lambda i: get(f"http://127.0.0.1:{on}/{i}"), range(120)))
    assert answers == [f"from the jail/{i}" for i in range(120)]


def test_a_port_that_a_user_may_not_have_is_said(world):
    done = world.jail("true", policy=policy(world, "publish: [{port: 3000, on: 81}]\n"))
    if int(pathlib.Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) > 81:
        assert done.returncode == 125 and "publish: 127.0.0.1:81" in done.stderr and "on: PORT" in done.stderr, done.stderr


NODE = """
require('http').createServer((q, a) => a.end('<title>' + q.url + '</title><h1>made in the jail</h1>')).listen(3000, () => console.log('ready'));
"""


@pytest.mark.parametrize("browser", ["curl", "chromium"])
def test_a_page_of_a_dev_server_is_opened_on_the_host(world, browser):
    if not shutil.which("node") or not shutil.which(browser):
        pytest.skip(f"no node, or no {browser}")
    on = paths.free_port()
    with jailed(world, policy(world, f"publish: [{{port: 3000, on: {on}}}]\n"), "node", "-e", NODE) as server:
        assert server.stdout.readline() == "ready\n"
        options = {"curl": ["--noproxy", "*", "-sS"],
                   "chromium": ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={world.home}/browser", "--dump-dom"]}
        done = world.run([browser, *options[browser], f"http://127.0.0.1:{on}/page"])
    assert "<h1>made in the jail</h1>" in done.stdout, done.stderr
