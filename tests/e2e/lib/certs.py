"""A certificate authority of the tests' own, by the openssl command."""

import dataclasses
import pathlib
import subprocess


def openssl(*arguments, stdin=None):
    done = subprocess.run(["openssl", *map(str, arguments)], input=stdin, capture_output=True, timeout=30)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@dataclasses.dataclass
class Certificate:
    cert: pathlib.Path
    key: pathlib.Path


class TestCA:
    """Signs certificates for origins. Nothing but the tests trusts it."""

    __test__ = False

    def __init__(self, folder, common_name="Tests only: origin CA"):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.cert = self.folder / "ca.pem"
        self.key = self.folder / "ca.key"
        self.issued = 0
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                "-subj", f"/CN={common_name}", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
                "-keyout", self.key, "-out", self.cert)

    def issue(self, *names, days=10, not_before=None, usage="serverAuth"):
        """A certificate for these names (or addresses). days may be negative: expired."""
        self.issued += 1
        stem = self.folder / f"{self.issued}-{names[0].replace(':', '_').replace('*', 'any')}"
        request, cert, key, extensions = (stem.with_name(stem.name + end) for end in (".csr", ".pem", ".key", ".ext"))
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-subj", f"/CN={names[0]}", "-keyout", key, "-out", request)
        alternative = ",".join(("IP:" if n.replace(".", "").isdigit() or ":" in n else "DNS:") + n for n in names)
        extensions.write_text(f"subjectAltName={alternative}\nextendedKeyUsage={usage}\nkeyUsage=digitalSignature\n"
                              "basicConstraints=CA:FALSE\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n")
        openssl("x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self.key, "-set_serial",
                str(1000 + self.issued), "-days", str(days), "-extfile", extensions, "-out", cert)
        return Certificate(cert, key)


def self_signed(folder, name):
    stem = pathlib.Path(folder) / f"self-{name}"
    cert, key = stem.with_name(stem.name + ".pem"), stem.with_name(stem.name + ".key")
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "10",
            "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-keyout", key, "-out", cert)
    return Certificate(cert, key)
