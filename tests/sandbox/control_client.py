"""A client of a daemon's `control` socket that says what it likes: the messages of src/app/ipc.h, by hand."""

import array
import fcntl
import os
import pathlib
import re
import select
import socket
import struct
import subprocess

from lib import paths

MESSAGES = pathlib.Path(paths.SOURCE, "src/app/ipc_messages.def").read_text()
TYPES = {name: i for i, name in enumerate(re.findall(r"^MESSAGE\((\w+)", MESSAGES, re.M), 1)}
NAMES = {i: name for name, i in TYPES.items()}
BUNDLE_POLICY = 2
SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL


def version():
    return subprocess.run([paths.EXEAT, "--version"], capture_output=True, check=True).stdout.split()[1]


def header(name, length):
    return struct.pack("<II", TYPES[name], length)


def bundle(policy, kind=BUNDLE_POLICY, name=b"policy.yaml"):
    text = policy.encode()
    return b"EXEATBN1" + struct.pack("<IIQ", kind, len(name) + 1, len(text)) + name + b"\0" + text


def memory(text):
    fd = os.memfd_create("policy", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(fd, text) if text else None
    return fd


def sealed(text):
    fd = memory(text)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, SEALS)
    return fd


def namespace():
    return os.open("/proc/self/ns/net", os.O_RDONLY)


class Client:
    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self.sock.settimeout(20)
        self.sock.connect(str(path))

    def send(self, packet, fds=()):
        """The descriptors are closed here: the daemon has its own."""
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            self.sock.sendmsg([packet], rights)
        finally:
            for fd in fds:
                os.close(fd)

    def say(self, name, payload=b"", fds=()):
        self.send(header(name, len(payload)) + payload, fds)

    def hear(self):
        """(name, payload); None at the end."""
        try:
            packet = self.sock.recv(1 << 17)
        except ConnectionResetError:
            return None
        return (NAMES[struct.unpack_from("<I", packet)[0]], packet[8:]) if packet else None

    def is_closed(self, seconds=20):
        """Whether the daemon has ended it, what it says at last aside."""
        while select.select([self.sock], [], [], seconds)[0]:
            if self.hear() is None:
                return True
        return False

    def expect(self, name):
        heard = self.hear()
        assert heard and heard[0] == name, heard
        return heard[1]

    # --- the messages ---

    def hello(self, policy="exeat: 1\n", fds=None, task=b"hostile", mode=0, version_text=None):
        payload = struct.pack("<32s64s600sI", version_text or version(), task, b"a jail of its own making", mode)
        self.say("RUN_HELLO", payload, [sealed(bundle(policy)), namespace()] if fds is None else fds)

    def welcome(self):
        return self.expect("RUN_WELCOME")

    def network(self, sockets):
        """By their places (enum jail_socket)."""
        present = sum(1 << place for place in sockets)
        self.say("RUN_NETWORK", struct.pack("<II", present, 0), [os.dup(sockets[place].fileno()) for place in sorted(sockets)])

    def ready(self):
        self.expect("RUN_READY")

    def refused(self):
        text = self.expect("RUN_REFUSED").decode()
        assert self.is_closed()
        return text

    def close(self):
        self.sock.close()
