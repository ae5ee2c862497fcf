"""A scripted origin: it keeps every byte that reaches it and answers as the test says, well or badly."""

import contextlib
import dataclasses
import re
import select
import socket
import ssl
import struct
import threading
import time

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"


class Closed(Exception):
    """The other side has closed."""


@dataclasses.dataclass
class Request:
    head: bytes  # the request line and fields, with the empty line
    body: bytes  # as it came, chunk lines included
    size: int = 0  # payload bytes

    @property
    def line(self):
        return self.head.split(b"\r\n", 1)[0].decode("latin-1")

    @property
    def target(self):
        return self.line.split(" ")[1]

    def fields(self):
        """(lower-case name, value) in order."""
        pairs = []
        for line in self.head.split(b"\r\n")[1:-2]:
            name, _, value = line.decode("latin-1").partition(":")
            pairs.append((name.lower(), value.strip()))
        return pairs

    def field(self, name):
        return next((value for key, value in self.fields() if key == name.lower()), None)


class Connection:
    """One accepted connection, as the script sees it."""

    def __init__(self, origin, sock):
        self.origin, self.sock = origin, sock
        self.received = bytearray()  # everything, decrypted
        self.pending = bytearray()   # what no request has taken yet
        self.requests = []
        self.resumed = None
        self.sni = None
        self.alpn = None
        self.ended = None  # "clean", "cut" or "reset" once the other side has gone
        self.keep = True   # whether `received` grows (large uploads do not need it)

    def recv(self):
        try:
            data = self.sock.recv(65536)
        except ssl.SSLEOFError:
            self.ended = "cut"
            raise Closed from None
        except (ConnectionError, ssl.SSLError) as e:
            self.ended = "reset"
            raise Closed from e
        except OSError as e:
            self.ended = "reset"
            raise Closed from e
        if not data:
            self.ended = "clean"
            raise Closed
        if self.keep:
            self.received += data
        return data

    def fill(self):
        self.pending += self.recv()

    def read_head(self):
        while b"\r\n\r\n" not in self.pending:
            self.fill()
        end = self.pending.index(b"\r\n\r\n") + 4
        head = bytes(self.pending[:end])
        del self.pending[:end]
        return Request(head, b"")

    def read_exactly(self, count):
        while len(self.pending) < count:
            self.fill()
        data = bytes(self.pending[:count])
        del self.pending[:count]
        return data

    def read_line(self):
        while b"\r\n" not in self.pending:
            self.fill()
        return self.read_exactly(self.pending.index(b"\r\n") + 2)

    def read_body(self, request):
        length = request.field("content-length")
        if "chunked" in (request.field("transfer-encoding") or ""):
            raw = bytearray()
            while True:
                line = self.read_line()
                size = int(line.split(b";")[0], 16)
                chunk = self.read_exactly(size + 2) if size else self.read_line()
                request.size += size
                if self.keep:
                    raw += line + chunk
                if size == 0:
                    break
            request.body = bytes(raw)
        elif length:
            left = int(length)
            request.size = left
            raw = bytearray()
            while left:
                if not self.pending:
                    self.fill()
                piece = self.pending[:left]
                del self.pending[:len(piece)]
                left -= len(piece)
                if self.keep:
                    raw += piece
            request.body = bytes(raw)
        return request

    def read_request(self):
        """The next whole request; raises Closed at the end."""
        request = self.read_head()
        self.requests.append(request)
        return self.read_body(request)

    def send(self, data):
        try:
            self.sock.sendall(data)
        except OSError as e:
            self.ended = self.ended or "reset"
            raise Closed from e

    def reset(self):
        """Ends with RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def cut(self):
        """Ends the TCP stream without TLS's close_notify."""
        if isinstance(self.sock, ssl.SSLSocket):
            raw = socket.socket(fileno=self.sock.detach())
            raw.close()
        else:
            self.sock.close()

    def wait_closed(self, seconds=10):
        """Reads until the other side goes; says how."""
        self.sock.settimeout(seconds)
        with contextlib.suppress(Closed):
            while True:
                self.fill()
        return self.ended


def answer_with(response):
    """The plain script: the same answer to each request until the client goes."""
    def script(connection):
        while True:
            connection.read_request()
            connection.send(response)
    return script


class Origin:
    """Listens on loopback (or on a given socket), one thread a connection.

    origin.script is called with each Connection; it may be changed between requests of a test. names: TLS with a
    certificate for these names; None: plain http.
    """

    def __init__(self, certificate=None, listener=None, alpn=("http/1.1",)):
        self.certificate = certificate
        self.script = answer_with(OK)
        self.connections = []
        self.accepted = 0  # TCP connections, also those whose handshake failed
        self.failures = []  # handshakes that failed, in words
        self.hellos = []  # the server names of all ClientHellos, None where there was none
        self.delay_handshake = 0
        self.context = None
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(certificate.cert, certificate.key)
            self.context.set_alpn_protocols(list(alpn))
            self.context.sni_callback = self._saw_name
        self.listener = listener or socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        self.stopping = False
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def answer(self, response):
        self.script = answer_with(response)

    @property
    def requests(self):
        return [r for c in self.connections for r in c.requests]

    @property
    def received(self):
        return b"".join(bytes(c.received) for c in self.connections)

    def forget(self):
        """As if new: a proxy's pool must not carry one test's connections into the next."""
        had = self.connections
        for connection in had:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)
        if had:
            time.sleep(0.02)
        self.connections, self.accepted, self.failures, self.hellos = [], 0, [], []

    def stop(self):
        self.stopping = True
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(5)
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.sock.close()

    def _saw_name(self, sock, name, _context):
        self.hellos.append(name)
        sock.exeat_name = name

    def _accept(self):
        while not self.stopping:
            try:
                ready, _, _ = select.select([self.listener], [], [], 1)
                if not ready:
                    continue
                sock, _ = self.listener.accept()
            except (OSError, ValueError):
                return
            self.accepted += 1
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        sock.settimeout(60)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.context:
            time.sleep(self.delay_handshake)
            try:
                sock = self.context.wrap_socket(sock, server_side=True, suppress_ragged_eofs=False)
            except (OSError, ssl.SSLError) as e:
                self.failures.append(str(e))
                sock.close()
                return
        connection = Connection(self, sock)
        if self.context:
            connection.resumed = sock.session_reused
            connection.alpn = sock.selected_alpn_protocol()
            connection.sni = getattr(sock, "exeat_name", None)
        self.connections.append(connection)
        with contextlib.suppress(Closed, OSError, ValueError):
            self.script(connection)
        with contextlib.suppress(OSError, ValueError):
            if isinstance(connection.sock, ssl.SSLSocket) and connection.sock.fileno() >= 0 and not connection.ended:
                connection.sock.settimeout(1)
                connection.sock.unwrap()
        with contextlib.suppress(OSError):
            connection.sock.close()


def strip_dates(head):
    """A head without its Date field: the one thing that differs from run to run."""
    return re.sub(rb"(?im)^date:[^\r]*\r\n", b"", head)
