"""What benches share: an origin, HAProxy, exeat, the load generator, and the CPU time that processes have used.

All of it on loopback. The measured proxy has one core, load and origin share another.
"""

import base64
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))

from lib import certs, paths, processes  # noqa: E402
from lib.exeat import Exeat  # noqa: E402

NAME = "bench.test"

NGINX = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.error warn; worker_processes 1; {user}
events {{ worker_connections 18000; }}
http {{
    access_log off; keepalive_timeout 600s; keepalive_requests 1000000000;
    client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    server {{
        listen 127.0.0.1:{port} ssl backlog=4096; server_name {name};
        ssl_certificate {cert}; ssl_certificate_key {key}; ssl_protocols TLSv1.2 TLSv1.3;
        default_type text/plain;
        location = /1k {{ return 200 "{body}"; }}
    }}
}}
"""

HAPROXY = """
global
    nbthread 1
    maxconn 8000
    tune.ssl.cachesize 20000
defaults
    mode http
    timeout connect 10s
    timeout client 600s
    timeout server 600s
    timeout http-keep-alive 600s
    option http-keep-alive
    http-reuse always
frontend f
    bind 127.0.0.1:{port} ssl crt {pem} alpn http/1.1
    default_backend b
backend b
    server origin 127.0.0.1:{origin} ssl verify required ca-file {ca} sni str({name}) verifyhost {name} alpn http/1.1
"""

POLICY = f"""\
exeat: 1
task: widgets
allow:
  - name: the bench
    host: {NAME}
    paths: [/1k]
"""


def cores():
    """(the measured proxy's, everybody else's)"""
    have = sorted(os.sched_getaffinity(0))
    return (have[0], have[1] if len(have) > 1 else have[0])


def cpu_ns(pids):
    """CPU time of all threads of these processes: /proc/PID/task/TID/schedstat, or stat's ticks without it."""
    total = 0
    for pid in pids:
        for thread in pathlib.Path(f"/proc/{pid}/task").iterdir():
            try:
                total += int((thread / "schedstat").read_text().split()[0])
            except (OSError, IndexError):
                fields = (thread / "stat").read_text().rsplit(")", 1)[1].split()
                total += (int(fields[11]) + int(fields[12])) * (1_000_000_000 // os.sysconf("SC_CLK_TCK"))
    return total


def proportional_bytes(pids):
    """Memory that these processes hold, shared pages divided among their users."""
    total = 0
    for pid in pids:
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        total += next(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:"))
    return total


class Bench:
    """Starts servers in a scratch folder; `with Bench() as bench` ends them all."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="exeat-bench-"))
        self.stack = contextlib.ExitStack()
        self.proxy_core, self.other_core = cores()

    def __enter__(self):
        self.ca = certs.TestCA(self.folder / "ca")
        self.pair = self.ca.issue(NAME)
        self._start_origin()
        return self

    def __exit__(self, *_):
        self.stack.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def spawn(self, core, *command, **keywords):
        assert command[0], "a program that the bench needs is not installed"
        process = subprocess.Popen(["taskset", "-c", str(core), *map(str, command)], stdin=keywords.pop("stdin", subprocess.DEVNULL), **keywords)
        self.stack.callback(self._end, process)
        return process

    @staticmethod
    def _end(process):
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _start_origin(self):
        self.origin_port = paths.free_port()
        (self.folder / "nginx.conf").write_text(NGINX.format(
            folder=self.folder, port=self.origin_port, name=NAME, cert=self.pair.cert, key=self.pair.key, body="x" * 1024,
            user="user root;" if paths.IS_ROOT else ""))
        self.spawn(self.other_core, paths.program("nginx"), "-c", self.folder / "nginx.conf", "-p", self.folder, stderr=subprocess.DEVNULL)
        paths.wait_until(lambda: self._listens(self.origin_port), "nginx listens")

    @staticmethod
    def _listens(port):
        import socket
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()
            return True

    def start_haproxy(self):
        """(process ids, arguments for load)"""
        port = paths.free_port()
        pem = self.folder / "haproxy.pem"
        pem.write_bytes(self.pair.cert.read_bytes() + self.pair.key.read_bytes())
        (self.folder / "haproxy.cfg").write_text(HAPROXY.format(port=port, pem=pem, origin=self.origin_port, ca=self.ca.cert, name=NAME))
        process = self.spawn(self.proxy_core, paths.program("haproxy"), "-db", "-f", self.folder / "haproxy.cfg")
        paths.wait_until(lambda: self._listens(port), "haproxy listens")
        return [process.pid], ["--to", f"127.0.0.1:{port}", "--ca", self.ca.cert]

    def start_exeat(self):
        """(process ids, arguments for load)"""
        exeat = Exeat(self.folder / "exeat", {"widgets": POLICY}, self.ca.cert, workers=1,
                      resolve=[f"{NAME}:443:127.0.0.1:{self.origin_port}"], extra="limits: {connections_per_task: 100000}")
        exeat.start(preexec=lambda: os.sched_setaffinity(0, {self.proxy_core}))
        self.stack.callback(exeat.stop)
        self.exeat = exeat
        credential = base64.b64encode(f"exeat:{exeat.token('widgets')}".encode()).decode()
        pids = [exeat.process.pid, *processes.below(exeat.process.pid)]
        return pids, ["--to", f"127.0.0.1:{exeat.port}", "--ca", exeat.ca, "--connect", "--credential", credential]

    def load(self, arguments, connections, requests=1, seconds=60):
        """A load generator whose connections stand, before its first measured request."""
        program = paths.BUILD / "tests" / "bench" / "load"
        process = self.spawn(self.other_core, program, "--name", NAME, "--path", "/1k", "--connections", connections,
                             "--requests", requests, "--seconds", seconds, *arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = process.stdout.readline()
        assert line == "ready\n", "the load generator could not start"
        return process

    def measure(self, target, connections, requests):
        """One round: {"cpu_us": CPU microseconds a request, …what load says}."""
        pids, arguments = target
        process = self.load(arguments, connections, requests)
        before = cpu_ns(pids)
        process.stdin.write("go\n")
        process.stdin.flush()
        result = json.loads(process.stdout.readline())
        used = cpu_ns(pids) - before
        process.stdin.close()
        process.wait(10)
        assert result["errors"] == 0, f"{result['errors']} answers were not 200"
        return {"cpu_us": used / 1000 / result["requests"], **result}
