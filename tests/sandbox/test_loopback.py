"""Loopback inside a jail is the jail's own and works as usual: dev servers, test databases, datagrams."""

import json
import shutil

import pytest

from lib import paths
from world import UNPRIVILEGED, World


@pytest.fixture(scope="module", params=["capture", "explicit"])
def world(request):
    one = World(UNPRIVILEGED if paths.IS_ROOT else None)
    (one.top / "policy.yaml").write_text(f"exeat: 1\ntask: loopback\nnetwork: {request.param}\nallow: []\n")
    yield one
    one.close()


SERVERS_AND_CLIENTS = """
import http.server, json, socket, subprocess, sys, threading
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b'from a server inside')
    def log_message(self, *_): pass
for at, host, clients in json.loads(sys.argv[1]):
    class Server(http.server.ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ':' in at else socket.AF_INET
    server = Server((at, 8123), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name, command in clients.items():
        done = subprocess.run([word.replace('URL', f'http://{host}:8123/') for word in command], capture_output=True, text=True)
        print(at, host, name, done.stdout.strip() or done.stderr)
    server.shutdown(); server.server_close()
"""
CLIENTS = {
    "curl": ["curl", "-sS", "URL"],
    "wget": ["wget", "-q", "-O", "-", "URL"],
    "python": ["/usr/bin/python3", "-c", "import urllib.request; print(urllib.request.urlopen('URL').read().decode())"],
    "node": ["node", "-e", "fetch('URL').then(a => a.text()).then(console.log)"],
}
PLACES = [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("127.0.0.1", "localhost"), ("::1", "[::1]"), ("::", "localhost")]


def clients_for(host):
    """Python's urllib holds "[::1]" against NO_PROXY with its brackets, which all others write without."""
    return {name: command for name, command in CLIENTS.items() if shutil.which(command[0]) and (name, host) != ("python", "[::1]")}


def test_a_server_inside_is_reached_from_inside(world):
    cases = [(at, host, clients_for(host)) for at, host in PLACES]
    done = world.jail("/usr/bin/python3", "-c", SERVERS_AND_CLIENTS, json.dumps(cases))
    expected = [f"{at} {host} {name} from a server inside" for at, host, clients in cases for name in clients]
    assert done.stdout.splitlines() == expected, done.stderr
    assert world.records("request") == world.records("connect") == [], "it did not go through the proxy"


def test_datagrams_inside_arrive_and_are_answered(world):
    code = """
import socket
for family, address in (socket.AF_INET, '127.0.0.1'), (socket.AF_INET6, '::1'):
    server, client = (socket.socket(family, socket.SOCK_DGRAM) for _ in range(2))
    server.bind((address, 0))
    client.sendto(b'ping', server.getsockname()[:2])
    data, who = server.recvfrom(10)
    server.sendto(data + b' pong', who)
    print(client.recv(20).decode())
"""
    done = world.jail("/usr/bin/python3", "-c", code)
    assert done.stdout == "ping pong\n" * 2, done.stderr
    assert world.records("udp") == []


def test_one_port_inside_and_outside_are_two(world):
    """What listens on the host's loopback keeps its port there, and a server inside may have the same."""
    code = """
import socket, sys
server = socket.create_server(('127.0.0.1', int(sys.argv[1])))
client = socket.create_connection(server.getsockname(), 5)
server.accept()[0].sendall(b'inside')
print(client.recv(10).decode())
"""
    world.forget()
    done = world.jail("/usr/bin/python3", "-c", code, str(world.known["tcp4"]))
    assert done.stdout == "inside\n", done.stderr
    assert world.visits() == {}
