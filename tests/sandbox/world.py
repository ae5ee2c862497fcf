"""What is there on the host for a jailed program to reach: listeners that answer and count, processes, files.

All of it belongs to this test run; each listener answers "host" and remembers that somebody came.
"""

import contextlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

import lib.paths as paths

UNPRIVILEGED = 23456  # a user whom nobody else is, without an entry in passwd(5)
TOKENS = {"GITHUB_TOKEN": "of-the-host", "AWS_SECRET_ACCESS_KEY": "of-the-host", "DB_PASSWORD": "of-the-host"}


class Listener:
    """Answers "host" to whoever sends something; `seen` holds what came."""

    def __init__(self, sock):
        self.sock, self.seen = sock, []
        if sock.type == socket.SOCK_STREAM:
            sock.listen(50)
        threading.Thread(target=self._datagrams if sock.type == socket.SOCK_DGRAM else self._connections, daemon=True).start()

    def _datagrams(self):
        with contextlib.suppress(OSError):
            while True:
                data, peer = self.sock.recvfrom(1000)
                if peer is None:  # closed
                    return
                self.seen.append(data)
                self.sock.sendto(b"host\n", peer)

    def _connections(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.sock.accept()
                self.seen.append(b"")
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection):
        with connection, contextlib.suppress(OSError):
            connection.settimeout(10)
            self.seen.append(connection.recv(1000))
            connection.sendall(b"host\n")

    def close(self):
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


def bound(family, kind, address):
    sock = socket.socket(family, kind)
    sock.bind(address)
    return sock


def own_address():
    """An address of this machine that is not loopback; the loopback where it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        with contextlib.suppress(OSError):
            s.connect(("192.0.2.1", 9))  # sends nothing
            return s.getsockname()[0]
    return "127.0.0.1"


def install(folder):
    """The programs where any user may execute them, laid out as `make install` does."""
    (folder / "bin").mkdir()
    (folder / "libexec/exeat").mkdir(parents=True)
    shutil.copy2(paths.EXEAT, folder / "bin/exeat")
    for program in paths.BINDIR.iterdir():
        if program.name != "exeat" and program.is_file():
            shutil.copy2(program, folder / "libexec/exeat")
    shutil.copytree(paths.SOURCE / "conf", folder / "share/exeat", dirs_exist_ok=True)
    return folder / "bin/exeat"


class World:
    """The host of one user, to whom the project belongs. `uid` None: the user who runs the tests. `as_root`: root
    starts the jail, which then is that user's. `uid` 0: root's own project, below a folder that is closed to others."""

    def __init__(self, uid=None, as_root=False):
        self.uid = os.geteuid() if uid is None else uid
        self.as_root = as_root
        self.top = pathlib.Path(tempfile.mkdtemp(prefix="exeat-world-"))
        self.top.chmod(0o700 if self.uid == 0 else 0o755)
        self.project, self.home = self.top / "work/project", self.top / "home"
        self.listeners, self.processes = {}, []
        self.exeat = install(self._folder(self.top / "programs"))
        self._make_files()
        self._make_listeners()
        self._make_process()
        self.give(self.home, self.top / "work", self.socket_tmp, self.file_tmp)

    def give(self, *paths):
        """To its user, with what is below."""
        for top in paths:
            for path in [top, *top.rglob("*")]:
                os.chown(path, self.uid, self.uid, follow_symlinks=False)

    @staticmethod
    def _folder(path):
        path.mkdir(parents=True)
        return path

    def _make_files(self):
        for folder in (self.project / "sub", self.home / ".ssh", self.home / ".aws"):
            folder.mkdir(parents=True)
        self.file_tmp = pathlib.Path(tempfile.mkstemp(prefix="exeat-probe-")[1])
        self.file_beside = self.top / "work/beside.txt"
        for path in (self.home / ".ssh/id_probe", self.home / ".netrc", self.home / ".aws/credentials", self.home / ".bashrc",
                     self.file_tmp, self.file_beside, self.project / ".env", self.project / ".env.production",
                     self.project / ".npmrc", self.project / "sub/.netrc"):
            path.write_text("of the host\n")
        (self.project / ".env.example").write_text("an example\n")
        (self.project / "link-out").symlink_to(self.file_beside)
        (self.top / "left-open").write_text("left open\n")
        (self.top / "policy.yaml").write_text("exeat: 1\ntask: probes\nallow: []\n")

    def _listen(self, name, family, kind, address):
        self.listeners[name] = Listener(bound(family, kind, address))
        return self.listeners[name].sock.getsockname()

    def _make_listeners(self):
        tcp, udp, v4, v6, unix = socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.AF_INET, socket.AF_INET6, socket.AF_UNIX
        self.socket_tmp = pathlib.Path(tempfile.mkdtemp(prefix="exeat-probe-")) / "socket"
        self.socket_run = f"/run/exeat-probe-{os.getpid()}-{self.uid}.sock" if paths.IS_ROOT else None
        self.known = {
            "tcp4": self._listen("tcp4", v4, tcp, ("127.0.0.1", 0))[1],
            "tcp6": self._listen("tcp6", v6, tcp, ("::1", 0))[1],
            "tcp_any": self._listen("tcp_any", v4, tcp, ("0.0.0.0", 0))[1],
            "udp4": self._listen("udp4", v4, udp, ("127.0.0.1", 0))[1],
            "udp6": self._listen("udp6", v6, udp, ("::1", 0))[1],
            "udp_any": self._listen("udp_any", v4, udp, ("0.0.0.0", 0))[1],
            "abstract": self._listen("abstract", unix, tcp, f"\0exeat-probe-{os.getpid()}-{self.uid}")[1:].decode(),
            "socket_tmp": self._listen("socket_tmp", unix, tcp, str(self.socket_tmp)),
            "socket_project": self._listen("socket_project", unix, tcp, str(self.project / "sub/host.sock")),
            "socket_home": self._listen("socket_home", unix, tcp, str(self.home / "host.sock")),
            "socket_run": self._listen("socket_run", unix, tcp, self.socket_run) if self.socket_run else "",
            "address": own_address(),
            "file_tmp": str(self.file_tmp),
            "file_beside": str(self.file_beside),
            "neighbour": "beside.txt",
            "state": str(self.home / ".local/state/exeat"),
            "hostname": socket.gethostname(),
        }
        os.chown(self.socket_tmp.parent, self.uid, self.uid)

    def _make_process(self):
        self.processes.append(subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(3600)", "of-the-host"], stdin=subprocess.DEVNULL, **self.as_user()))
        self.known["pid"] = self.processes[0].pid
        for key, path in (("machine_id", "/etc/machine-id"), ("resolv_conf", "/etc/resolv.conf")):
            with contextlib.suppress(OSError):
                text = pathlib.Path(path).read_text()
                self.known[key] = text.strip() if key == "machine_id" else text
        (self.home / ".local/state/exeat").mkdir(parents=True)
        (self.home / ".local/state/exeat").chmod(0o700)
        (self.home / ".local/state/exeat/something").touch()

    # --- running something as its user ---

    def as_user(self):
        """For subprocess.Popen; empty where the tests run as that user."""
        return {} if self.as_root or self.uid == os.geteuid() else {"user": self.uid, "group": self.uid, "extra_groups": []}

    def environment(self):
        return {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": str(self.home), "LANG": "C.UTF-8",
                "SSH_AUTH_SOCK": self.known["socket_home"], "DBUS_SESSION_BUS_ADDRESS": f"unix:path={self.known['socket_home']}",
                **TOKENS, **{k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")}}

    def run(self, command, stdin="", timeout=60, environment=None, cwd=None, **keywords):
        return subprocess.run([str(word) for word in command], input=stdin, capture_output=True, text=True, timeout=timeout,
                              cwd=cwd or self.project, env={**self.environment(), **(environment or {})}, **self.as_user(),
                              **keywords)

    def jail(self, *command, options=(), policy=None, **keywords):
        """`exeat run` in the project."""
        return self.run([self.exeat, "run", "--policy", policy or self.top / "policy.yaml", *options, "--", *command],
                        **keywords)

    def configure(self, roots, resolve):
        """`--config`: where the names of the tests lead. Returns the options."""
        copy = self.top / "roots.pem"
        copy.write_bytes(pathlib.Path(roots).read_bytes())
        lines = ", ".join(f'"{line}"' for line in resolve)
        (self.top / "exeat.yaml").write_text(f"exeat: 1\nupstream: {{ca_file: {copy}, resolve: [{lines}]}}\n")
        return ["--config", self.top / "exeat.yaml"]

    def records(self, kind=None):
        """Those of the last run."""
        logs = sorted((self.home / ".local/state/exeat/audit").glob("*.jsonl"), key=lambda p: p.stat().st_mtime)
        lines = [json.loads(line) for line in logs[-1].read_text().splitlines()]
        return [r for r in lines if kind in (None, r["kind"])]

    def visits(self):
        """What has come to the listeners, by name."""
        return {name: list(listener.seen) for name, listener in self.listeners.items() if listener.seen}

    def forget(self):
        for listener in self.listeners.values():
            listener.seen.clear()

    def close(self):
        for process in self.processes:
            process.kill()
            process.wait()
        for listener in self.listeners.values():
            listener.close()
        for path in (self.socket_run, self.file_tmp):
            if path:
                pathlib.Path(path).unlink(missing_ok=True)
        shutil.rmtree(self.socket_tmp.parent, ignore_errors=True)
        shutil.rmtree(self.top, ignore_errors=True)
