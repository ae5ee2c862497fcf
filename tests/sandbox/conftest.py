"""The harness of the end-to-end tests is that of the sandbox tests too (lib/harness.py); their own is world.py.

    world    the host of a user who may do nothing special
"""

import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]

import pytest  # noqa: E402

from lib import paths  # noqa: E402
from world import UNPRIVILEGED, World  # noqa: E402

pytest_plugins = ["lib.harness"]


@pytest.fixture(scope="module")
def world():
    one = World(UNPRIVILEGED if paths.IS_ROOT else None)
    yield one
    one.close()
