"""Proxies that stand between exeat and the origins: HTTP CONNECT and SOCKS5, with and without credentials, and squid."""

import base64
import contextlib
import pathlib
import socket
import struct
import subprocess
import threading

from . import paths


def relay(a, b):
    """Both ways, until both have ended."""
    def copy(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
    back = threading.Thread(target=copy, args=(b, a), daemon=True)
    back.start()
    copy(a, b)
    back.join()


class Upstream:
    """routes: "host:port" → (address, port); asked: what was asked for; credentials: (user, password) or None."""

    def __init__(self, routes, credentials=None, listener=None):
        self.routes, self.credentials = routes, credentials
        self.asked, self.accepted, self.seen = [], 0, []
        self.answer = None  # another answer than yes
        self.listener = listener or socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        with sock, contextlib.suppress(OSError, EOFError, struct.error):
            self.speak(sock)

    def open(self, where):
        self.asked.append(where)
        return socket.create_connection(self.routes[where])

    def stop(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


class ConnectProxy(Upstream):
    def speak(self, sock):
        head = b""
        while b"\r\n\r\n" not in head:
            piece = sock.recv(4096)
            if not piece:
                raise EOFError
            head += piece
        self.seen.append(head)
        line = head.split(b"\r\n")[0].decode()
        if self.answer is not None:
            self.asked.append(line.split(" ")[1])
            sock.sendall(self.answer)
            return
        if self.credentials:
            wanted = base64.b64encode(":".join(self.credentials).encode())
            if b"Proxy-Authorization: Basic " + wanted + b"\r\n" not in head:
                sock.sendall(b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 4\r\n\r\nno!\n")
                return
        assert line.startswith("CONNECT "), line
        with self.open(line.split(" ")[1]) as origin:
            sock.sendall(b"HTTP/1.1 200 Connection established\r\nX-Proxy: yes\r\n\r\n")
            relay(sock, origin)


def exactly(sock, count):
    data = b""
    while len(data) < count:
        piece = sock.recv(count - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


class SocksProxy(Upstream):
    """RFC 1928 and RFC 1929. answer: the reply code."""

    def speak(self, sock):
        _, count = exactly(sock, 2)
        methods = exactly(sock, count)
        method = 2 if self.credentials else 0
        if method not in methods:
            sock.sendall(b"\x05\xff")
            return
        sock.sendall(bytes([5, method]))
        if self.credentials:
            exactly(sock, 1)
            user = exactly(sock, exactly(sock, 1)[0]).decode()
            password = exactly(sock, exactly(sock, 1)[0]).decode()
            good = (user, password) == tuple(self.credentials)
            sock.sendall(bytes([1, 0 if good else 1]))
            if not good:
                return
        _, _, _, kind = exactly(sock, 4)
        self.seen.append(kind)
        host = {1: lambda: socket.inet_ntop(socket.AF_INET, exactly(sock, 4)),
                3: lambda: exactly(sock, exactly(sock, 1)[0]).decode(),
                4: lambda: "[" + socket.inet_ntop(socket.AF_INET6, exactly(sock, 16)) + "]"}[kind]()
        where = f"{host}:{struct.unpack('!H', exactly(sock, 2))[0]}"
        if self.answer is not None:
            self.asked.append(where)
            sock.sendall(bytes([5, self.answer, 0, 1]) + bytes(6))
            return
        with self.open(where) as origin:
            sock.sendall(b"\x05\x00\x00\x01" + bytes(6))
            relay(sock, origin)


SQUID = """\
http_port 127.0.0.1:{port}
pid_filename {folder}/squid.pid
cache_log {folder}/cache.log
access_log stdio:{folder}/access.log
cache_mem 8 MB
pinger_enable off
cache deny all
coredump_dir {folder}
hosts_file {folder}/hosts
auth_param basic program /usr/lib/squid/basic_ncsa_auth {folder}/users
acl known proxy_auth REQUIRED
http_access allow known
http_access deny all
shutdown_lifetime 0 seconds
cache_effective_user proxy
"""


class Squid:
    """The real thing, for user:password; names come from a hosts file of its own."""

    def __init__(self, folder, names, user, password):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True)
        self.port = paths.free_port()
        (self.folder / "hosts").write_text("".join(f"127.0.0.1 {name}\n" for name in names))
        hashed = subprocess.run(["openssl", "passwd", "-apr1", password], capture_output=True, text=True, check=True).stdout
        (self.folder / "users").write_text(f"{user}:{hashed}")
        (self.folder / "squid.conf").write_text(SQUID.format(port=self.port, folder=self.folder))
        subprocess.run(["chmod", "-R", "a+rwX", str(self.folder)], check=True)
        self.process = subprocess.Popen([paths.program("squid"), "-N", "-f", str(self.folder / "squid.conf")],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def answers():
            assert self.process.poll() is None, self.log("cache.log")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return True
            return False
        paths.wait_until(answers, "squid answers", 20)

    def log(self, name="access.log"):
        path = self.folder / name
        return path.read_text(errors="replace") if path.exists() else ""

    def stop(self):
        self.process.terminate()
        self.process.wait(15)
