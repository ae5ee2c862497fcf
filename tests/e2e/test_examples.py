"""What is shipped as an example must work as it stands."""

import json
import re
import shutil
import subprocess

from lib import paths

EXAMPLES = paths.SOURCE / "conf" / "examples"
SCHEMA = json.loads((paths.SOURCE / "conf" / "policy.schema.json").read_text())


def keys_of(schema):
    """The names of all keys that a policy may have."""
    if isinstance(schema, list):
        return set().union(*map(keys_of, schema)) if schema else set()
    if not isinstance(schema, dict):
        return set()
    return set(schema.get("properties", {})) | keys_of(list(schema.values()))


def test_the_example_of_all_keys_has_them_all_and_works():
    file = EXAMPLES / "all-keys.yaml"
    written = set(re.findall(r"([a-z_]+):(?= |$)", re.sub(r"#.*", "", file.read_text()), re.M))
    assert keys_of(SCHEMA) - written == set()
    done = subprocess.run([str(paths.EXEAT), "policy", "test", str(file)], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_example_configuration_names_every_key():
    """Commented or not; but for what only exeat itself writes, and what is for later."""
    tables = "".join((paths.SOURCE / "src/app" / f"config{part}.c").read_text() for part in ("", "_control"))
    keys = set(re.findall(r'^    \{"([a-z_]+)", (?!schema_later)', tables, re.M)) - {"jail", "given"}
    written = set(re.findall(r"([a-z_]+):(?= |$)", (EXAMPLES / "exeat.yaml").read_text(), re.M))
    assert len(keys) > 30 and keys - written == set()


def test_the_example_configuration_starts(prepare):
    exeat = prepare()
    for file in ("exeat.yaml", "policy.yaml"):
        shutil.copy(EXAMPLES / file, exeat.folder / file)
    (exeat.folder / "widgets.token").write_text(exeat.token("widgets") + "\n")
    (exeat.folder / "widgets.token").chmod(0o600)
    exeat.write_config((EXAMPLES / "exeat.yaml").read_text().replace("127.0.0.1:3128", "127.0.0.1:0"))
    exeat.start()
    response = exeat.client().get("https://www.pastebin.com/raw/x")
    assert (response.status, response.reason) == (403, "denied-by-rule")
    assert b"Paste sites are not for work data." in response.body


def test_a_ca_made_by_hand_is_accepted(prepare, raw):
    exeat = prepare()
    made = subprocess.run([paths.SOURCE / "certs" / "make-ca", exeat.folder], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    ca = (exeat.folder / "ca.pem").read_bytes()
    exeat.start()
    assert exeat.client().get("https://raw.test/").status == 200
    assert (exeat.folder / "ca.pem").read_bytes() == ca
    again = subprocess.run([paths.SOURCE / "certs" / "make-ca", exeat.folder], capture_output=True, text=True)
    assert again.returncode == 2 and "is there already" in again.stderr
