"""What the lint scripts share: where the sources are, how to read C roughly, and TAP."""

import os
import pathlib
import re
import subprocess
import sys

TOP = pathlib.Path(os.environ.get("EXEAT_TOP_SRCDIR") or pathlib.Path(__file__).resolve().parents[2])


class Tap:
    """One `report` a check; its problems are shown below the line that failed."""

    def __init__(self):
        self.count = 0
        self.failed = 0

    def report(self, name, problems=(), skip=None):
        self.count += 1
        problems = list(problems)
        directive = f" # SKIP {skip}" if skip else ""
        print(f"{'not ok' if problems else 'ok'} {self.count} - {name}{directive}")
        for problem in problems:
            print(f"# {problem}")
        self.failed += bool(problems)

    def finish(self):
        print(f"1..{self.count}", flush=True)
        sys.exit(1 if self.failed else 0)


def files(folder, *suffixes):
    """Files below a folder as paths relative to the top. In a clone only those that git knows: a file that somebody
    is still writing beside us is nobody's business yet."""
    found = sorted(p.relative_to(TOP) for p in (TOP / folder).rglob("*") if p.suffix in suffixes and p.is_file())
    tracked = git_files()
    return [p for p in found if tracked is None or str(p) in tracked]


def git_files():
    if not (TOP / ".git").exists():
        return None
    try:
        listing = subprocess.run(["git", "-c", f"safe.directory={TOP}", "-C", str(TOP), "ls-files", "-z"],
                                 capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return set(os.fsdecode(listing.stdout).split("\0"))


def read(path):
    return (TOP / path).read_text(encoding="utf-8")


def table(path):
    """The rows of a data file, without comments."""
    rows = (line.split("#")[0].strip() for line in read(path).splitlines())
    return [row for row in rows if row]


_NOT_CODE = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


def code_only(text):
    """C without comments, strings and characters; the lines stay where they are."""
    return _NOT_CODE.sub(lambda m: " " + "\n" * m.group().count("\n"), text)
