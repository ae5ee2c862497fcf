"""Cases as data: the files under cases/."""

import pytest

from . import paths


def unescape(text):
    """\\r \\n \\t \\0 \\xHH \\\\ in a case file's text, to bytes. Also \\s (space) and {NxTEXT} for repetition."""
    out, at = bytearray(), 0
    simple = {"r": 13, "n": 10, "t": 9, "0": 0, "\\": 92, "s": 32}
    while at < len(text):
        c = text[at]
        if c == "\\":
            at += 1
            if text[at] == "x":
                out.append(int(text[at + 1:at + 3], 16))
                at += 2
            else:
                out.append(simple[text[at]])
        else:
            out += c.encode("utf-8")
        at += 1
    return bytes(out)


def repeat(data):
    """{100xAB} becomes AB a hundred times."""
    while b"{" in data:
        start, end = data.index(b"{"), data.index(b"}")
        count, _, piece = data[start + 1:end].partition(b"x")
        if not count.isdigit():
            break
        data = data[:start] + piece * int(count) + data[end + 1:]
    return data


def load(name, columns):
    """Rows of cases/NAME: columns apart by ` | `, # comments, as pytest parameters named by the first column.

    A line that begins with | continues the last column of the row before.
    """
    rows = []
    for number, line in enumerate((paths.CASES / name).read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("| "):
            rows[-1][-1] += line[2:]
            continue
        cells = [cell.strip() for cell in line.split(" | ", columns - 1)]
        assert len(cells) == columns, f"{name}:{number}: {columns} columns are needed"
        rows.append(cells)
    names = [row[0] for row in rows]
    assert len(set(names)) == len(names), f"{name}: two cases of one name"
    return [pytest.param(*row[1:], id=row[0].replace(" ", "-")) for row in rows]
