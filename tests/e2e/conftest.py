"""Fixtures of the end-to-end tests.

    start(policy=…)  a running exeat with a policy of the test's own; ended and checked when the test ends
    shared           one exeat for the many small cases that need no policy of their own
    raw, plain       scripted origins: TLS as raw.test, http as plain.test
    namespace        a network with a name server of the test's own

and those of lib/harness.py.
"""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from lib import dns, exeat, nginx as nginx_module, origin  # noqa: E402
from lib.namespace import PUBLIC, Namespace  # noqa: E402

pytest_plugins = ["lib.harness"]

POLICY = """\
exeat: 1
task: widgets
allow:
  - name: read the api
    host: api.test
    paths: [/, /v1/**, /connection, /empty, /unchanged, /old]
  - name: post notes
    host: api.test
    methods: [POST]
    paths: [/v1/notes]
    body: {max: 64KiB, types: [application/json]}
  - name: read files
    host: files.test
    paths: ["/files/**"]
  - name: fetch widgets
    host: git.test
    methods: [GET, POST]
    paths: [/git/widgets.git/**]
    body: {max: 10MiB}
  - name: anything on raw
    host: raw.test
    methods: any
    paths: [/**]
    body: {max: 200MiB}
  - name: other tasks' host
    host: second.test
    methods: any
    paths: [/**]
    body: {max: 1MiB}
  - name: origins with bad certificates
    host: [expired.test, wronghost.test, selfsigned.test, unknownca.test, clientonly.test]
    paths: [/**]
  - name: plain http
    host: plain.test
    scheme: http
    methods: any
    paths: [/**]
    body: {max: 200MiB}
deny:
  - name: secrets stay
    host: api.test
    paths: [/v1/secret/**]
    message: Secrets are not for agents.
"""


@pytest.fixture(scope="session")
def raw_origin(origin_ca):
    server = origin.Origin(origin_ca.issue("raw.test", "second.test", "*.raw.test"))
    yield server
    server.stop()


@pytest.fixture
def raw(raw_origin):
    """The scripted TLS origin, with nothing on its mind."""
    raw_origin.answer(origin.OK)
    raw_origin.delay_handshake = 0
    raw_origin.forget()
    return raw_origin


@pytest.fixture
def plain(plain_origin):
    plain_origin.answer(origin.OK)
    plain_origin.forget()
    return plain_origin


@pytest.fixture(scope="session")
def resolve(nginx, raw_origin, plain_origin):
    """upstream.resolve: every name of the tests leads to its origin."""
    lines = [f"{name}:443:127.0.0.1:{nginx.tls_port}" for name in (*nginx_module.GOOD, *nginx_module.BAD)]
    lines += [f"{name}:443:127.0.0.1:{raw_origin.port}" for name in ("raw.test", "second.test")]
    lines += [f"plain.test:80:127.0.0.1:{plain_origin.port}", f"api.test:80:127.0.0.1:{nginx.plain_port}",
              f"raw.test:80:127.0.0.1:{plain_origin.port}"]
    return lines


@pytest.fixture
def prepare(tmp_path, origin_ca, resolve):
    """Makes an Exeat that is not started yet; whatever it starts is ended and checked."""
    made = []

    def prepare(policy=POLICY, policies=None, name="exeat", resolve=resolve, **keywords):
        one = exeat.Exeat(tmp_path / f"{name}-{len(made)}", policies or {"widgets": policy}, origin_ca.cert,
                          resolve=resolve, **keywords)
        made.append(one)
        return one

    yield prepare
    for one in made:
        one.stop()


@pytest.fixture
def start(prepare):
    def start(*arguments, **keywords):
        return prepare(*arguments, **keywords).start()

    return start


@pytest.fixture(scope="session")
def shared_exeat(scratch, origin_ca, resolve):
    one = exeat.Exeat(scratch / "shared", {"widgets": POLICY}, origin_ca.cert, resolve=resolve)
    one.start()
    yield one
    one.stop()


@pytest.fixture
def shared(shared_exeat):
    assert shared_exeat.process.poll() is None, f"exeat has died in an earlier test\n{shared_exeat.stderr()}"
    return shared_exeat


@pytest.fixture(scope="session")
def session_namespace(scratch, origin_ca):
    folder = scratch / "namespace"
    folder.mkdir()
    try:
        space = Namespace(folder, origin_ca)
    except OSError as e:
        pytest.skip(f"namespaces do not work here: {e}")
    yield space
    space.close()


@pytest.fixture
def namespace(session_namespace):
    return session_namespace


@pytest.fixture
def name_server(namespace):
    server = dns.NameServer(namespace.udp("127.0.0.1", 53), namespace.listen("127.0.0.1", 53))
    yield server
    server.stop()


@pytest.fixture
def public(namespace, origin_ca):
    """A scripted TLS origin at a public address of the namespace, port 443, good for *.public.test."""
    server = origin.Origin(origin_ca.issue("public.test", "*.public.test"), namespace.listen(PUBLIC, 443))
    yield server
    server.stop()
