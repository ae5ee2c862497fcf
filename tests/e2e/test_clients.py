"""Real clients, led through exeat by the variables that `exeat env` prints."""

import hashlib
import json
import subprocess

import pytest

from lib import nginx as nginx_module, paths
from lib.clients import WITH_TOKEN, Clients, java

@pytest.fixture(scope="module")
def clients(scratch):
    folder = scratch / "clients"
    folder.mkdir()
    return Clients(folder)


@pytest.fixture(params=WITH_TOKEN)
def client(request, clients):
    """Asks for a URL through an exeat: (status, body)."""
    name = request.param
    if not clients.command(name):
        pytest.skip(f"{name} is not installed")

    def ask(exeat, method, url, *file):
        return clients.run(name, exeat.client_env(), method, url, *file)

    ask.name = name
    return ask


def test_an_allowed_request_succeeds(shared, nginx, client):
    mark = shared.mark()
    assert client(shared, "GET", "https://api.test/v1/x?y=z") == (200, '{"path":"/v1/x?y=z","method":"GET"}\n')
    record = shared.one_record(mark)
    assert (record["verdict"], record["rule"]["name"], record["status"]) == ("allow", "read the api", 200)
    assert nginx.log()[-1]["sni"] == "api.test"


@pytest.mark.parametrize("method, url, reason", [
    ("DELETE", "https://api.test/v1/x", "method-not-allowed"),
    ("GET", "https://api.test/private", "path-not-allowed"),
    ("GET", "https://api.test/v1/secret/key", "denied-by-rule"),
    ("GET", "https://blocked.test/", "host-not-allowed"),
    ("GET", "https://nowhere.test/", "host-not-allowed"),
])
def test_a_blocked_request_is_explained_and_does_not_leave(shared, nginx, client, method, url, reason):
    mark = shared.mark()
    with nginx.watch() as arrived:
        status, body = client(shared, method, url)
    assert status == 403
    assert reason in body and url.split("/")[2] in body
    assert arrived == []
    record = shared.one_record(mark)
    assert (record["verdict"], record["reason"], record["status"], record["url"]) == ("block", reason, 403, url)


@pytest.mark.parametrize("host, word", [
    ("expired.test", "expired"), ("wronghost.test", "name"), ("selfsigned.test", "self"), ("unknownca.test", "issuer"),
    ("clientonly.test", "purpose")])
def test_a_bad_certificate_upstream_is_502(shared, nginx, client, host, word):
    mark = shared.mark()
    with nginx.watch() as arrived:
        status, body = client(shared, "GET", f"https://{host}/")
    assert status == 502
    assert "upstream-tls" in body
    assert arrived == []
    record = shared.one_record(mark)
    assert (record["reason"], record["status"]) == ("upstream-tls", 502)
    assert word in json.dumps(record).lower(), "the record says what is wrong with it"


def test_plain_http_goes_in_absolute_form(shared, plain, client):
    if client.name.startswith("node"):
        pytest.skip("its script speaks https only")
    assert client(shared, "GET", "http://plain.test/x") == (200, "ok")
    assert plain.requests[0].line == "GET /x HTTP/1.1"


def test_an_upload_of_eight_mebibytes_arrives_whole(shared, raw, client, tmp_path):
    (tmp_path / "body").write_bytes(bytes(range(256)) * (8 << 12))
    assert client(shared, "POST", "https://raw.test/upload", tmp_path / "body") == (200, "ok")
    assert raw.requests[-1].body == (tmp_path / "body").read_bytes()


def test_an_upload_over_the_rules_limit_is_413_or_cut(shared, nginx, client, tmp_path):
    """A client that still sends when the answer comes may see the end of its connection instead."""
    (tmp_path / "body").write_bytes(b"x" * 4_000_000)
    mark = shared.mark()
    with nginx.watch() as arrived:
        try:
            assert client(shared, "POST", "https://api.test/v1/notes", tmp_path / "body")[0] == 413
        except AssertionError as e:
            assert client.name not in ("curl", "go"), e
    assert not any(line["status"] == 200 for line in arrived)
    assert shared.one_record(mark)["reason"] == "body-too-large"


def test_java_is_known_by_its_address_and_trusts_the_store(start, nginx, tmp_path):
    """A JVM answers no demand for credentials on CONNECT (jdk.http.auth.tunneling.disabledSchemes)."""
    command = java(tmp_path)
    if not command:
        pytest.skip("javac is not installed")
    exeat = start(tasks="  - {task: widgets, policy: ./widgets.yaml, sources: [127.0.0.1/32]}\n")

    def ask(method, url):
        done = subprocess.run([*command, method, url], env=exeat.client_env(), capture_output=True, text=True, timeout=60)
        status, _, body = done.stdout.partition("\n")
        assert status, done.stderr
        return int(status), body

    assert ask("GET", "https://api.test/v1/x") == (200, '{"path":"/v1/x","method":"GET"}\n')
    assert "method-not-allowed" in ask("DELETE", "https://api.test/v1/x")[1]
    assert "path-not-allowed" in ask("GET", "https://api.test/private")[1]
    assert "host-not-allowed" in ask("GET", "https://blocked.test/")[1]
    assert ask("GET", "https://expired.test/")[0] == 502


def test_wget_downloads_through_exeat(shared, nginx, tmp_path):
    if not paths.program("wget"):
        pytest.skip("wget is not installed")
    env = shared.client_env()
    done = subprocess.run(["wget", "-q", "-O", "-", f"--ca-certificate={env['SSL_CERT_FILE']}", "https://files.test/files/small.txt"],
                          env=env, capture_output=True, text=True, timeout=30, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "small\n"), done.stderr


def curl(exeat, *arguments, **keywords):
    return subprocess.run(["curl", "-sS", "--max-time", "60", *arguments], env=exeat.client_env(), capture_output=True,
                          timeout=90, **keywords)


def test_curl_downloads_fifty_mebibytes(shared, nginx):
    done = curl(shared, "https://files.test/files/big")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout) == nginx_module.BIG
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256((nginx.root / "files/big").read_bytes()).digest()


def test_curl_resumes_a_download_by_range(shared, nginx):
    done = curl(shared, "-r", "256-511", "https://files.test/files/big")
    assert done.stdout == bytes(range(256))


def test_curl_uploads_what_the_rule_allows_and_no_more(shared, nginx, tmp_path):
    (tmp_path / "fits").write_bytes(b"x" * 60_000)
    (tmp_path / "too-large").write_bytes(b"x" * 70_000)
    json_type = ["-H", "Content-Type: application/json"]

    def post(name, *more):
        done = curl(shared, "-o", "/dev/null", "-w", "%{http_code}", "--data-binary", f"@{tmp_path / name}", *more,
                    "https://api.test/v1/notes")
        return int(done.stdout)

    assert post("fits", *json_type) == 200
    with nginx.watch() as arrived:
        assert post("too-large", *json_type) == 413
        assert post("fits", "-H", "Content-Type: text/plain") == 403
        assert post("fits", "-H", "Content-Type:") == 403
    assert arrived == []


def test_curl_uploads_in_chunks(shared, nginx):
    done = curl(shared, "-H", "Content-Type: application/json", "-H", "Transfer-Encoding: chunked", "--data-binary", "@-",
                "https://api.test/v1/notes", input=b"x" * 60_000)
    assert json.loads(done.stdout)["method"] == "POST", done


def test_curl_reuses_its_connection_and_so_does_exeat(start, nginx):
    exeat = start(workers=1)
    done = curl(exeat, *["https://api.test/connection"] * 5)
    numbers = [line.split() for line in done.stdout.decode().splitlines()]
    assert [n for _, n in numbers] == ["1", "2", "3", "4", "5"]
    assert len({c for c, _ in numbers}) == 1
    assert len(exeat.records("request")) == 5


def test_curl_understands_the_block_in_json(shared):
    done = curl(shared, "-D", "-", "-H", "Accept: application/json", "-X", "PUT", "https://api.test/v1/x?key=0123456789")
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    if head.startswith(b"HTTP/1.1 200"):  # the answer to CONNECT comes first
        head, _, body = body.partition(b"\r\n\r\n")
    assert b"content-type: application/json" in head.lower()
    answer = json.loads(body)
    assert list(answer) == ["error", "reason", "message", "method", "url", "nearest", "hint", "id", "pending"]
    assert (answer["error"], answer["reason"], answer["method"]) == ("exeat", "method-not-allowed", "PUT")
    assert answer["nearest"] == "read the api" and answer["pending"] is None
    assert answer["id"] in answer["hint"] and "exeat why" in answer["hint"]
    assert "0123456789" not in body.decode(), "query values are redacted"


def git(exeat, *arguments, cwd=None):
    return subprocess.run(["git", *arguments], env={**exeat.client_env(), "GIT_CONFIG_GLOBAL": "/dev/null"}, cwd=cwd,
                          capture_output=True, text=True, timeout=60)


def test_git_clones_over_https(shared, nginx, tmp_path):
    done = git(shared, "clone", "https://git.test/git/widgets.git", str(tmp_path / "clone"))
    assert done.returncode == 0, done.stderr
    assert git(shared, "-C", str(tmp_path / "clone"), "rev-parse", "HEAD").stdout.strip() == nginx.commit
    assert git(shared, "-C", str(tmp_path / "clone"), "fsck").returncode == 0
    assert git(shared, "-C", str(tmp_path / "clone"), "fetch").returncode == 0


def test_git_push_is_blocked_where_the_policy_allows_reading_only(start, nginx, tmp_path):
    exeat = start(policy="""\
exeat: 1
allow:
  - {host: git.test, methods: [GET], paths: [/git/widgets.git/info/refs]}
  - {host: git.test, methods: [POST], paths: [/git/widgets.git/git-upload-pack], body: {max: 10MiB}}
""")
    clone = str(tmp_path / "clone")
    assert git(exeat, "clone", "https://git.test/git/widgets.git", clone).returncode == 0
    name = ["-c", "user.name=Test", "-c", "user.email=test@example.com"]
    assert git(exeat, "-C", clone, *name, "commit", "--allow-empty", "-m", "evil").returncode == 0
    with nginx.watch() as arrived:
        done = git(exeat, "-C", clone, "push")
    assert done.returncode != 0 and "403" in done.stderr
    assert not any(line["request"].startswith("POST") for line in arrived)


def test_git_cannot_clone_what_the_policy_does_not_name(shared, nginx, tmp_path):
    with nginx.watch() as arrived:
        done = git(shared, "clone", "https://git.test/git/widgets-evil.git", str(tmp_path / "clone"))
    assert done.returncode != 0 and "403" in done.stderr
    assert arrived == []
