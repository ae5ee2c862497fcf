"""A name server for tests: it answers from a table and remembers every question."""

import contextlib
import select
import socket
import struct
import threading

A, AAAA = 1, 28
NXDOMAIN, SERVFAIL = 3, 2


def read_name(data, at):
    labels = []
    while data[at]:
        labels.append(data[at + 1:at + 1 + data[at]].decode("latin-1"))
        at += 1 + data[at]
    return ".".join(labels), at + 1


class NameServer:
    """zone: name → list of addresses, or "silent", or "servfail". Everything else does not exist."""

    def __init__(self, udp, tcp, zone=None):
        self.udp, self.tcp, self.zone = udp, tcp, dict(zone or {})
        self.queries = []  # (name, type)
        self.stopping = False
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def names(self):
        return {name for name, _ in self.queries}

    def _answer(self, data):
        name, end = read_name(data, 12)
        kind = struct.unpack_from("!H", data, end)[0]
        self.queries.append((name.lower(), kind))
        entry = self.zone.get(name.lower())
        if entry == "silent":
            return None
        code = SERVFAIL if entry == "servfail" else NXDOMAIN if entry is None else 0
        family = {A: socket.AF_INET, AAAA: socket.AF_INET6}.get(kind)
        records = []
        for address in entry if isinstance(entry, list) else []:
            with contextlib.suppress(OSError, TypeError):
                packed = socket.inet_pton(family, address)
                records.append(struct.pack("!HHHIH", 0xC00C, kind, 1, 60, len(packed)) + packed)
        header = data[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, len(records), 0, 0)
        return header + data[12:end + 4] + b"".join(records)

    def _serve(self):
        while not self.stopping:
            try:
                ready, _, _ = select.select([self.udp, self.tcp], [], [], 0.2)
                if self.udp in ready:
                    data, peer = self.udp.recvfrom(4096)
                    answer = self._answer(data)
                    if answer:
                        self.udp.sendto(answer, peer)
                if self.tcp in ready:
                    connection, _ = self.tcp.accept()
                    with connection:
                        connection.settimeout(2)
                        size = struct.unpack("!H", connection.recv(2))[0]
                        answer = self._answer(connection.recv(size))
                        if answer:
                            connection.sendall(struct.pack("!H", len(answer)) + answer)
            except (OSError, ValueError, struct.error, IndexError):
                continue

    def stop(self):
        self.stopping = True
        self.thread.join(2)
        self.udp.close()
        self.tcp.close()
