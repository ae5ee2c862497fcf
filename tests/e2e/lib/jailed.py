"""A program in a jail's network alone (bin/jailed): what it gets to see, and what is on record of it."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import textwrap

from . import paths

PROGRAM = paths.BINDIR / "jailed"
UNPRIVILEGED = 23456  # a user whom nobody else is

CONFIG = """\
exeat: 1
listen: none
workers: {workers}
state: ./state
audit: {{file: ./audit.jsonl}}
ca: {{cert: ./ca.pem, key: ./ca.key}}
{extra}
upstream:
  ca_file: {roots}
  resolve: [{resolve}]
tasks:
  - {{task: jailed, policy: ./policy.yaml, jail: true}}
"""

# What a script inside finds: sockets that answer in words instead of raising, a client for the name server.
PRELUDE = """\
import errno, json, os, socket, ssl, struct, subprocess, sys, time
CA = {ca!r}

def said(f):
    start = time.monotonic()
    try:
        result = f()
    except ssl.SSLError as e:
        result = "ssl: " + str(e.reason)
    except socket.timeout:
        result = "time-out"
    except OSError as e:
        result = errno.errorcode.get(e.errno, str(e))
    return [result, time.monotonic() - start]

def connect(host, port, seconds=5):
    s = socket.create_connection((host, port), seconds)
    s.settimeout(seconds)
    return s

def tls(host, port=443, sni=None, verify=True):
    context = ssl.create_default_context(cafile=CA)
    if not verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(connect(host, port), server_hostname=sni if sni is not None else host)

def read_all(s):
    data = b""
    while True:
        piece = s.recv(65536)
        if not piece:
            return data.decode("latin-1")
        data += piece

def ask(s, host, path="/", more=""):
    s.sendall(f"GET {{path}} HTTP/1.1\\r\\nHost: {{host}}\\r\\nConnection: close\\r\\n{{more}}\\r\\n".encode())
    return read_all(s)

def question(name, kind, id=7, opt=b""):
    labels = b"".join(bytes([len(l)]) + l.encode() for l in name.split(".") if l) + b"\\0"
    return struct.pack("!6H", id, 0x100, 1, 0, 0, bool(opt)) + labels + struct.pack("!2H", kind, 1) + opt

def dns(name, kind=1, server="192.0.2.53", family=socket.AF_INET):
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.settimeout(5)
        s.sendto(question(name, kind), (server, 53))
        data, peer = s.recvfrom(2000)
    return data, peer

def rcode(data):
    return data[3] & 15

def answers(data):
    return struct.unpack("!H", data[6:8])[0]

def address(data):
    return socket.inet_ntop(socket.AF_INET if data[-5] == 4 and data[-6] == 0 else socket.AF_INET6, data[-4:]
                            if data[-5] == 4 and data[-6] == 0 else data[-16:])

def say(*values):
    print(json.dumps(values if len(values) != 1 else values[0]))
"""


class Outcome:
    def __init__(self, done, records):
        self.status, self.text, self.errors, self.records = done.returncode, done.stdout, done.stderr, records

    @property
    def said(self):
        """What the script said last."""
        assert self.status == 0, (self.status, self.text, self.errors)
        return json.loads(self.text.splitlines()[-1])

    def of(self, kind):
        return [r for r in self.records if r["kind"] == kind]


class Jailed:
    """One configuration; each run has a log of its own."""

    def __init__(self, folder, policy, roots, resolve=(), extra="", workers=2, user=None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.user = user
        self.roots = self.folder / "roots.pem"
        shutil.copy(roots, self.roots)
        (self.folder / "policy.yaml").write_text(textwrap.dedent(policy))
        (self.folder / "exeat.yaml").write_text(CONFIG.format(
            workers=workers, extra=extra, roots=self.roots, resolve=", ".join(f'"{r}"' for r in resolve)))
        if user is not None:
            for path in [self.folder, *self.folder.iterdir()]:
                os.chown(path, user, user)

    @property
    def ca(self):
        return self.folder / "state" / "ca.pem"

    def command(self, *arguments, env=(), seconds=30):
        log = self.folder / "audit.jsonl"
        log.unlink(missing_ok=True)
        done = subprocess.run(
            [PROGRAM, "exeat.yaml", "jailed", *map(str, arguments)], cwd=self.folder, capture_output=True, text=True,
            timeout=seconds, stdin=subprocess.DEVNULL, user=self.user, group=self.user,
            extra_groups=[] if self.user is not None else None,
            env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(self.folder), **dict(env)})
        records = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return Outcome(done, records)

    def python(self, script, **more):
        return self.command(sys.executable, "-c", PRELUDE.format(ca=str(self.ca)) + textwrap.dedent(script), **more)
