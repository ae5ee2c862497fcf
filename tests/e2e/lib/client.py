"""A client with full control: CONNECT, TLS with any name, and then exactly these bytes."""

import base64
import json
import socket
import ssl
import time


class Response:
    def __init__(self, raw, head, body, complete):
        self.raw, self.head, self.body, self.complete = raw, head, body, complete
        line, *fields = head.decode("latin-1").split("\r\n")
        parts = line.split(" ", 2)
        self.version = parts[0]
        self.status = int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else 0
        self.fields = [(n.strip().lower(), v.strip()) for n, _, v in (f.partition(":") for f in fields if f)]

    def __getitem__(self, name):
        return next((v for n, v in self.fields if n == name.lower()), None)

    @property
    def reason(self):
        return self["exeat-reason"]

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.reason or ''} {self.body[:200]!r}>"


class NoResponse(Exception):
    """The connection ended before a whole head had come."""


class Stream:
    """A byte stream with a reader of HTTP/1 responses."""

    def __init__(self, sock, timeout=15):
        self.sock = sock
        self.sock.settimeout(timeout)
        self.buffer = b""
        self.ended = False
        self.end_error = None

    def send(self, data):
        self.sock.sendall(data)

    def fill(self):
        """False at the end of the stream."""
        try:
            data = self.sock.recv(65536)
        except ssl.SSLEOFError as e:
            self.end_error, data = e, b""
        except (ConnectionError, ssl.SSLError) as e:
            self.end_error, data = e, b""
        self.buffer += data
        self.ended = self.ended or not data
        return bool(data)

    def read_head(self):
        while b"\r\n\r\n" not in self.buffer:
            if not self.fill():
                raise NoResponse(f"got {self.buffer!r}, then {self.end_error or 'the end'}")
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        return head

    def take(self, count):
        """(bytes, whether all of them came)"""
        pieces, left = [], count
        while left:
            if not self.buffer and not self.fill():
                return b"".join(pieces), False
            piece, self.buffer = self.buffer[:left], self.buffer[left:]
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces), True

    def take_line(self):
        while b"\r\n" not in self.buffer:
            if not self.fill():
                return b"", False
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line, True

    def take_chunked(self):
        body = bytearray()
        while True:
            line, ok = self.take_line()
            if not ok:
                return bytes(body), False
            size = int(line.split(b";")[0], 16)
            if size == 0:
                while True:
                    line, ok = self.take_line()
                    if not line:
                        return bytes(body), ok
            data, ok = self.take(size + 2)
            body += data[:size]
            if not ok:
                return bytes(body), False

    def read_response(self, method="GET"):
        head = self.read_head()
        response = Response(head, head, b"", True)
        if method == "HEAD" or response.status in (204, 304) or 100 <= response.status < 200:
            return response
        if method == "CONNECT" and 200 <= response.status < 300:
            return response
        length = response["content-length"]
        if "chunked" in (response["transfer-encoding"] or ""):
            response.body, response.complete = self.take_chunked()
        elif length is not None:
            response.body, response.complete = self.take(int(length))
        else:
            while self.fill():
                pass
            response.body, self.buffer = self.buffer, b""
            response.complete = self.end_error is None
        return response

    def request(self, data, method=None):
        """Sends these bytes and reads the answer."""
        self.send(data)
        return self.read_response(method or data.split(b" ", 1)[0].decode("latin-1"))

    def is_closed(self, seconds=3):
        """Whether the other side ends the stream within that time, without another byte."""
        self.sock.settimeout(seconds)
        try:
            return not self.fill()
        except TimeoutError:
            return False

    def close(self):
        self.sock.close()


def basic(token, user="exeat"):
    """The field that names a task: Basic, whatever user, the token as the password."""
    return b"Proxy-Authorization: Basic " + base64.b64encode(f"{user}:{token}".encode()) + b"\r\n"


class Client:
    """Opens connections to one exeat. connect: how a TCP connection is made (in a namespace it is another's)."""

    def __init__(self, port, token, ca, address="127.0.0.1", connector=None):
        self.port, self.token, self.ca, self.address = port, token, str(ca), address
        self.connector = connector or socket.create_connection

    def plain(self, timeout=15):
        """The proxy's port itself."""
        return Stream(self.connector((self.address, self.port)), timeout)

    def auth(self, token=None):
        token = self.token if token is None else token
        return basic(token) if token else b""

    def connect(self, authority, token=None, host=None, extra=b""):
        """CONNECT: (stream, response)."""
        stream = self.plain()
        host = authority if host is None else host
        head = f"CONNECT {authority} HTTP/1.1\r\nHost: {host}\r\n".encode() + self.auth(token) + extra + b"\r\n"
        return stream, stream.request(head)

    def context(self, strict=False, trust=True, alpn=("http/1.1",), version=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # the system's roots would cost 30 ms each time
        if trust:
            context.load_verify_locations(self.ca)
        if strict:
            context.verify_flags |= ssl.VERIFY_X509_STRICT
        if alpn:
            context.set_alpn_protocols(list(alpn))
        if version:
            context.minimum_version = context.maximum_version = version
        return context

    def tunnel(self, authority, sni=None, token=None, context=None, session=None, extra=b""):
        """CONNECT, then TLS under the authority's name or another (sni)."""
        stream, response = self.connect(authority, token, extra=extra)
        assert response.status == 200, response
        name = authority.rsplit(":", 1)[0] if sni is None else sni
        context = context or self.context()
        if sni is not None and sni != authority.rsplit(":", 1)[0]:
            context.check_hostname = False
        stream.sock = context.wrap_socket(stream.sock, server_hostname=name.strip("[]") or None, session=session,
                                          suppress_ragged_eofs=False)
        return stream

    def get(self, url, token=None, method="GET", headers=(), body=b""):
        """One request through a tunnel of its own (https) or in absolute form (http)."""
        scheme, _, rest = url.partition("://")
        authority, slash, path = rest.partition("/")
        fields = "".join(f"{n}: {v}\r\n" for n, v in headers)
        if body and not any(n.lower() in ("content-length", "transfer-encoding") for n, _ in headers):
            fields += f"Content-Length: {len(body)}\r\n"
        if scheme == "http":
            stream = self.plain()
            head = f"{method} {url} HTTP/1.1\r\nHost: {authority}\r\n{fields}".encode() + self.auth(token)
        else:
            port = "" if authority.rsplit(":", 1)[-1].isdigit() else ":443"
            stream = self.tunnel(authority + port, token=token)
            head = f"{method} {slash}{path} HTTP/1.1\r\nHost: {authority}\r\n{fields}".encode()
        try:
            return stream.request(head + b"\r\n" + body, method)
        finally:
            stream.close()


def eventually(call, seconds=5, step=0.02):
    """Repeats call() until it raises no AssertionError."""
    end = time.monotonic() + seconds
    while True:
        try:
            return call()
        except AssertionError:
            if time.monotonic() > end:
                raise
        time.sleep(step)
