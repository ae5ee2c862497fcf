"""nginx as the origin that real clients meet: TLS by server name, files, git over fcgiwrap, and a log of what came."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import time

from . import certs, paths

GOOD = ("api.test", "files.test", "other.test", "git.test", "blocked.test")
# Names whose certificate is wrong, and how.
BAD = ("expired.test", "wronghost.test", "selfsigned.test", "unknownca.test", "clientonly.test")
BIG = 50 * 1024 * 1024

MAIN = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
{user}
events {{ worker_connections 512; }}
http {{
    default_type application/octet-stream;
    types {{ text/plain txt; application/json json; }}
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    client_max_body_size 0;
    keepalive_timeout 60s; keepalive_requests 100000;
    ssl_protocols TLSv1.2 TLSv1.3;
    log_format facts escape=json '{{"host":"$host","sni":"$ssl_server_name","request":"$request","status":$status,'
        '"connection":$connection,"nth":$connection_requests,"length":"$content_length","agent":"$http_user_agent"}}';
    access_log {folder}/access.log facts;
    {servers}
}}
"""

SERVER = """
    server {{
        listen 127.0.0.1:{tls_port} ssl;
        {plain}
        server_name {name};
        ssl_certificate {cert}; ssl_certificate_key {key};
        root {root};
        location = / {{ return 200 "hello from {name}\\n"; }}
        location /v1/ {{ default_type application/json; return 200 '{{"path":"$request_uri","method":"$request_method"}}\\n'; }}
        location = /connection {{ return 200 "$connection $connection_requests\\n"; }}
        location = /empty {{ return 204; }}
        location = /unchanged {{ return 304; }}
        location = /old {{ return 301 https://{name}/v1/new; }}
        location /files/ {{ }}
        {extra}
    }}
"""

GIT = """
        location /git/ {{
            include /etc/nginx/fastcgi_params;
            fastcgi_param SCRIPT_FILENAME {backend};
            fastcgi_param GIT_PROJECT_ROOT {root};
            fastcgi_param GIT_HTTP_EXPORT_ALL "";
            fastcgi_param PATH_INFO $uri;
            fastcgi_pass unix:{socket};
        }}
"""


class Nginx:
    """One server for the whole test session."""

    def __init__(self, folder, ca):
        self.folder = pathlib.Path(folder)
        self.root = self.folder / "root"
        (self.root / "files").mkdir(parents=True)
        self.ca = ca
        self.tls_port, self.plain_port = paths.free_port(), paths.free_port()
        self.processes = []
        with open(self.root / "files" / "big", "wb") as f:
            block = bytes(range(256)) * 4096
            for _ in range(BIG // len(block)):
                f.write(block)
        (self.root / "files" / "small.txt").write_text("small\n")
        self._make_repository()
        self._write_configuration()
        self._start_fcgiwrap()
        self._start("nginx", paths.program("nginx"), "-c", str(self.folder / "nginx.conf"), "-p", str(self.folder))
        paths.wait_until(self._listens, "nginx listens")

    def _start(self, name, *command, **keywords):
        assert command[0], f"{name} is not installed: ./bootstrap check installs what the tests need"
        with open(self.folder / f"{name}.out", "wb") as out:
            process = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, **keywords)
        self.processes.append((name, process))

    def _listens(self):
        for name, process in self.processes:
            assert process.poll() is None, f"{name} ended: {(self.folder / f'{name}.out').read_text()}"
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.tls_port)).close()
            return True

    def _certificates(self):
        table = {name: self.ca.issue(name) for name in GOOD}
        table["expired.test"] = self.ca.issue("expired.test", days=-1)
        table["wronghost.test"] = self.ca.issue("elsewhere.test")
        table["selfsigned.test"] = certs.self_signed(self.folder, "selfsigned.test")
        table["unknownca.test"] = certs.TestCA(self.folder / "unknown", "Tests only: nobody trusts it").issue("unknownca.test")
        table["clientonly.test"] = self.ca.issue("clientonly.test", usage="clientAuth")
        return table

    def _write_configuration(self):
        servers = []
        for name, pair in self._certificates().items():
            extra = ""
            if name == "git.test":
                extra = GIT.format(backend=paths.program("git-http-backend"), root=self.root,
                                   socket=self.folder / "fcgi.sock")
            servers.append(SERVER.format(
                name=name, cert=pair.cert, key=pair.key, root=self.root, tls_port=self.tls_port, extra=extra,
                plain=f"listen 127.0.0.1:{self.plain_port};" if name in GOOD else ""))
        user = "user root;" if paths.IS_ROOT else ""
        (self.folder / "nginx.conf").write_text(
            MAIN.format(folder=self.folder, user=user, servers="".join(servers)))

    def _make_repository(self):
        work, bare = self.folder / "work", self.root / "git" / "widgets.git"
        bare.parent.mkdir()
        env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "HOME": str(self.folder)}
        name = ["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "init.defaultBranch=main"]

        def git(*arguments):
            subprocess.run(["git", *name, *arguments], check=True, env=env, capture_output=True, timeout=30)

        git("init", str(work))
        (work / "README").write_text("widgets\n")
        (work / "data").write_bytes(os.urandom(300_000))
        git("-C", str(work), "add", ".")
        git("-C", str(work), "commit", "-m", "first")
        git("clone", "--bare", str(work), str(bare))
        git("-C", str(bare), "config", "http.receivepack", "true")
        self.commit = subprocess.run(["git", "-C", str(work), "rev-parse", "HEAD"], env=env, check=True,
                                     capture_output=True, text=True).stdout.strip()

    def _start_fcgiwrap(self):
        self._start("fcgiwrap", paths.program("fcgiwrap"), "-c", "2", "-s", f"unix:{self.folder / 'fcgi.sock'}",
                    env={"PATH": os.environ["PATH"], "HOME": str(self.folder), "GIT_CONFIG_COUNT": "1",
                         "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}, start_new_session=True)

    def log(self):
        """What reached nginx, as a list of dicts."""
        with contextlib.suppress(FileNotFoundError):
            return [json.loads(line) for line in (self.folder / "access.log").read_text().splitlines()]
        return []

    @contextlib.contextmanager
    def watch(self):
        """Collects what arrives inside the with block: a list that is filled at its end."""
        before, seen = len(self.log()), []
        yield seen
        time.sleep(0.05)  # nginx writes its line after the last byte
        seen.extend(self.log()[before:])

    def stop(self):
        for name, process in self.processes:
            if name == "fcgiwrap":  # its prefork children are its process group
                os.killpg(process.pid, signal.SIGTERM)
            else:
                process.terminate()
        for _, process in self.processes:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
