"""A private network and mount namespace, so that a test has a name server of its own on port 53 and nothing else.

In it only `lo` exists. /etc/resolv.conf names 127.0.0.1, the system's roots also hold the tests' CA, and the
networks of ROUTES answer although they are no address of this machine: exeat may dial them like any public one.
"""

import json
import os
import pathlib
import socket
import subprocess
import sys

from . import paths

ROUTES = [("8.8.4.0", 24), ("9.9.9.0", 24), ("2606:4700::", 32)]
PUBLIC = "8.8.4.10"  # where tests put an origin that exeat may dial
OTHER_PUBLIC = "9.9.9.10"
RESOLVER = "nameserver 127.0.0.1\noptions timeout:1 attempts:1\nsearch search.test\n"
BUNDLE = pathlib.Path("/etc/ssl/certs/ca-certificates.crt")


class Namespace:
    def __init__(self, folder, ca):
        folder = pathlib.Path(folder)
        self.folder = folder
        self.resolver(None)
        (folder / "roots.pem").write_bytes(BUNDLE.read_bytes() + ca.cert.read_bytes())
        (folder / "hosts").write_text("127.0.0.1 localhost\n")
        setup = {"routes": ROUTES, "binds": [(str(folder / "resolv.conf"), os.path.realpath("/etc/resolv.conf")),
                                             (str(folder / "roots.pem"), str(BUNDLE)), (str(folder / "hosts"), "/etc/hosts")]}
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        flags = ["--net", "--mount"] if paths.IS_ROOT else ["--user", "--map-root-user", "--net", "--mount"]
        holder = pathlib.Path(__file__).with_name("namespace_holder.py")
        with theirs:
            self.holder = subprocess.Popen(
                ["unshare", *flags, sys.executable, str(holder), str(theirs.fileno()), json.dumps(setup)],
                pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.control.settimeout(10)
        if self.control.recv(100) != b"ready":
            raise OSError("no namespace: " + self.holder.stderr.read().decode())

    def _ask(self, **question):
        self.control.send(json.dumps(question).encode())
        message, descriptors, _, _ = socket.recv_fds(self.control, 4096, 1)
        if not descriptors:
            raise OSError(message.decode())
        return socket.socket(fileno=descriptors[0])

    def listen(self, address, port):
        return self._ask(op="bind", address=address, port=port)

    def udp(self, address, port):
        return self._ask(op="bind", address=address, port=port, udp=True)

    def connect(self, address, *_):
        """In place of socket.create_connection."""
        return self._ask(op="connect", address=address[0], port=address[1])

    def route(self, network, prefix):
        """One more network that answers here."""
        self._ask(op="route", network=network, prefix=prefix).close()

    def black_hole(self, address, port):
        """A listener that takes no connection: its queue is full, so what comes is dropped in silence."""
        held = [self._ask(op="bind", address=address, port=port, backlog=0)]
        return held + [self._ask(op="connect", address=address, port=port, nowait=True) for _ in range(3)]

    def resolver(self, text):
        """Another /etc/resolv.conf, for what starts from now on; None: the first one."""
        (self.folder / "resolv.conf").write_text(text or RESOLVER)

    def run(self, command, folder=None, as_self=False):
        """The command line that runs `command` inside, in `folder` (same pid: nsenter replaces itself). For who is not
        root the namespace has a root of its own, which is that user; `as_self`: no root there either."""
        user = [] if paths.IS_ROOT else ["--user", "--preserve-credentials"]
        back = ["unshare", f"--map-user={os.geteuid()}", f"--map-group={os.getegid()}"] if user and as_self else []
        return ["nsenter", "--target", str(self.holder.pid), "--net", "--mount", *user, f"--wd={folder or os.getcwd()}",
                *back, *map(str, command)]

    def close(self):
        self.control.close()
        self.holder.wait(5)
        self.holder.stderr.close()
