"""Fixtures and paths of the sandbox tests; the harness of the end-to-end tests is theirs too."""

import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]
