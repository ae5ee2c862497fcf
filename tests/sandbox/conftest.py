"""Fixtures and paths of the sandbox tests; the harness of the end-to-end tests is theirs too."""

import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]

import pytest  # noqa: E402

from lib import certs, nginx as nginx_module, origin  # noqa: E402


@pytest.fixture(scope="session")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("sandbox")


@pytest.fixture(scope="session")
def origin_ca(scratch):
    return certs.TestCA(scratch / "origin-ca")


@pytest.fixture(scope="session")
def nginx(scratch, origin_ca):
    server = nginx_module.Nginx(scratch / "nginx", origin_ca)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def plain_origin():
    server = origin.Origin()
    yield server
    server.stop()
