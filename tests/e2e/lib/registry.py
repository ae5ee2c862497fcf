"""One origin that answers as the registries of many package managers, over files in memory: what their clients need to
install one small package, and 201 for what they should not be able to send at all."""

import base64
import gzip
import hashlib
import http.server
import io
import json
import lzma
import ssl
import tarfile
import threading
import zipfile

HOST = "packages.test"
ROOT = f"https://{HOST}"


def tar_gz(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text))
    return out.getvalue()


def zipped(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return out.getvalue()


def npm():
    def package(name, version, short):
        body = tar_gz({"package/package.json": json.dumps({"name": name, "version": version}).encode()})
        path = f"/npm/{name}/-/{short}-{version}.tgz"
        integrity = "sha512-" + base64.b64encode(hashlib.sha512(body).digest()).decode()
        entry = {"name": name, "version": version, "dist": {"tarball": ROOT + path, "integrity": integrity}}
        document = {"_id": name, "name": name, "dist-tags": {"latest": version}, "versions": {version: entry}, "maintainers": []}
        return {path: body, f"/npm/{name}": json.dumps(document).encode(),
                f"/npm/-/package/{name}/dist-tags": json.dumps({"latest": version}).encode()}

    return {**package("widgets", "1.0.0", "widgets"), **package("@acme/tools", "2.0.0", "tools"),
            "/npm/-/ping": b"{}", "/npm/-/v1/search": b'{"objects":[],"total":0,"time":"now"}',
            "/npm/-/npm/v1/security/advisories/bulk": b"{}"}


def pypi():
    wheel = zipped({"widgets.py": "", "widgets-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: widgets\nVersion: 1.0\n",
                    "widgets-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
                    "widgets-1.0.dist-info/RECORD": ""})
    name = "widgets-1.0-py3-none-any.whl"
    page = f'<!DOCTYPE html><a href="../../packages/{name}#sha256={hashlib.sha256(wheel).hexdigest()}">{name}</a>'
    return {"/pypi/simple/widgets/": page.encode(), f"/pypi/packages/{name}": wheel}


def crates():
    crate = tar_gz({"widgets-1.0.0/Cargo.toml": b'[package]\nname = "widgets"\nversion = "1.0.0"\n',
                    "widgets-1.0.0/src/lib.rs": b""})
    line = {"name": "widgets", "vers": "1.0.0", "deps": [], "cksum": hashlib.sha256(crate).hexdigest(), "features": {}, "yanked": False}
    config = {"dl": f"{ROOT}/crates/dl", "api": f"{ROOT}/crates"}
    return {"/crates/index/config.json": json.dumps(config).encode(), "/crates/index/wi/dg/widgets": json.dumps(line).encode() + b"\n",
            "/crates/dl/widgets/1.0.0/download": crate}


def go():
    mod = b"module example.com/widgets\n"
    top = "example.com/widgets@v1.0.0/"
    at = "/go/example.com/widgets/@v/"
    return {at + "list": b"v1.0.0\n", at + "v1.0.0.info": b'{"Version":"v1.0.0","Time":"2026-01-01T00:00:00Z"}', at + "v1.0.0.mod": mod,
            at + "v1.0.0.zip": zipped({top + "go.mod": mod.decode(), top + "widgets.go": "package widgets\n"})}


def maven():
    pom = (b'<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion><groupId>test.acme</groupId>'
           b"<artifactId>parent</artifactId><version>1.0</version><packaging>pom</packaging></project>")
    at = "/maven2/test/acme/parent/1.0/parent-1.0.pom"
    return {at: pom, at + ".sha1": hashlib.sha1(pom).hexdigest().encode()}


def deb():
    """A package with a control file alone: an ar(1) archive."""
    def member(name, body):
        return f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(body):<10}`\n".encode() + body + b"\n" * (len(body) % 2)

    control = tar_gz({"./control": b"Package: widgets\nVersion: 1.0\nArchitecture: all\nMaintainer: Test <test@example.com>\nDescription: x\n"})
    return b"!<arch>\n" + member("debian-binary", b"2.0\n") + member("control.tar.gz", control) + member("data.tar.gz", tar_gz({}))


def apt():
    """The same package in both layouts: dists and pool, and flat."""
    package = deb()

    def packages(filename):
        return (f"Package: widgets\nVersion: 1.0\nArchitecture: all\nMaintainer: Test <test@example.com>\nFilename: {filename}\n"
                f"Size: {len(package)}\nSHA256: {hashlib.sha256(package).hexdigest()}\nDescription: x\n\n").encode()

    def release(names):
        lines = "".join(f" {hashlib.sha256(body).hexdigest()} {len(body)} {name}\n" for name, body in names.items())
        return f"Suite: stable\nCodename: stable\nArchitectures: amd64\nComponents: main\nDate: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n{lines}".encode()

    pool = packages("pool/main/w/widgets/widgets_1.0_all.deb")
    lists = {"main/binary-amd64/Packages": pool, "main/binary-amd64/Packages.xz": lzma.compress(pool)}
    flat = {"Packages": packages("./widgets_1.0_all.deb"), "Packages.gz": gzip.compress(packages("./widgets_1.0_all.deb"))}
    return {"/debian/dists/stable/Release": release(lists), **{f"/debian/dists/stable/{n}": b for n, b in lists.items()},
            "/debian/pool/main/w/widgets/widgets_1.0_all.deb": package, "/flat/Release": release(flat),
            **{f"/flat/{n}": b for n, b in flat.items()}, "/flat/widgets_1.0_all.deb": package}


class Registry:
    """https at .port and http at .plain_port; .requests lists "METHOD path" of what arrived."""

    def __init__(self, certificate):
        self.files = {**npm(), **pypi(), **crates(), **go(), **maven(), **apt()}
        self.requests = []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.cert, certificate.key)
        self.servers = [http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler()) for _ in range(2)]
        self.servers[0].socket = context.wrap_socket(self.servers[0].socket, server_side=True, do_handshake_on_connect=False)
        self.port, self.plain_port = (server.server_address[1] for server in self.servers)
        for server in self.servers:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, daemon=True).start()

    def _handler(registry):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                path = self.path.split("?")[0].replace("%2f", "/").replace("%2F", "/")
                registry.requests.append(f"{self.command} {path}")
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                reading = self.command in ("GET", "HEAD")
                body = registry.files.get(path.replace("/./", "/"))
                if body is None:
                    body = b"not here" if reading else b"{}"
                    self.send_response(404 if reading else 201)
                else:
                    self.send_response(200)
                self.send_header("Content-Type", "text/html" if path.endswith("/") else "application/json")
                self.send_header("Content-Length", str(len(body)))
                if path.endswith(".whl"):
                    self.send_header("Cache-Control", "max-age=365000000, immutable, public")
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = answer

            def log_message(self, *_):
                pass

        return Handler

    def stop(self):
        for server in self.servers:
            server.shutdown()
            server.server_close()
