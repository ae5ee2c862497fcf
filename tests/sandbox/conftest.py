"""The harness of the end-to-end tests is that of the sandbox tests too (lib/harness.py); their own is world.py."""

import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]

pytest_plugins = ["lib.harness"]
