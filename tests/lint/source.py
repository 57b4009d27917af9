#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules about sources that no other tool checks: licence lines, lengths, blanks, words of unfinished work, machine names."""
import re
import subprocess
import sys

FILE_LINES = 800
FUNCTION_LINES = 100
COLUMNS = {"c": 100, "h": 100}
UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b|not impl" + r"emented|unimpl" + r"emented|for n" + r"ow\b|\bst" + r"ub(bed)?\b")
NOT_HERE = re.compile(r"\.\./(shared|\.library)|(^|[\s\"'=])/wor" + r"k/")

bad = []


def complain(path, line, what):
    bad.append(f"{path}:{line}: {what}")


def width(line):
    return len(line.expandtabs(8))


def functions(lines):
    """(name, first line, length) of each function body: kernel style puts its braces in column 0."""
    start = None
    for i, line in enumerate(lines):
        if line == "{":
            start = i
        elif line == "}" and start is not None:
            j = start - 1
            while j > 0 and lines[j][:1] in ("\t", " "):
                j -= 1
            m = re.search(r"(\w+)\(", lines[j])
            yield (m.group(1) if m else "?", start + 1, i - start - 1)
            start = None


def check_code(path, kind, lines):
    if len(lines) > FILE_LINES:
        complain(path, len(lines), f"{len(lines)} lines; at most {FILE_LINES}")
    for i, line in enumerate(lines, 1):
        if kind in COLUMNS and width(line) > COLUMNS[kind]:
            complain(path, i, f"{width(line)} columns; at most {COLUMNS[kind]}")
        if kind in ("c", "h") and re.match(r" {8}", line):
            complain(path, i, "indented with blanks instead of a tab")
        if UNFINISHED.search(line):
            complain(path, i, "a word of unfinished work")
    if kind == "c":
        for name, line, length in functions(lines):
            if length > FUNCTION_LINES:
                complain(path, line, f"{name} has {length} lines; at most {FUNCTION_LINES}, better 70")


def main():
    out = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], check=True, stdout=subprocess.PIPE).stdout
    for path in sorted(p for p in out.decode().split("\0") if p):
        if path.startswith("tests/format/golden/"):
            continue    # bytes on purpose
        try:
            text = open(path, "rb").read().decode()
        except FileNotFoundError:
            continue
        except UnicodeDecodeError:
            complain(path, 1, "is not UTF-8 text")
            continue
        if path == "COPYING":
            continue
        lines = text.split("\n")
        kind = path.rsplit(".", 1)[-1] if "." in path.rsplit("/", 1)[-1] else ""
        if text and not text.endswith("\n"):
            complain(path, len(lines), "no newline at its end")
        for i, line in enumerate(lines, 1):
            if line != line.rstrip() and kind != "md":
                complain(path, i, "blanks at the end of the line")
            if NOT_HERE.search(line):
                complain(path, i, "names a place that only one machine has")
        code = kind in ("c", "h", "sh", "py") or path in ("Makefile", "Kbuild")
        if code:
            if text.strip() and not any("SPDX-License-Identifier:" in line for line in lines[:3]):
                complain(path, 1, "no SPDX line")
            check_code(path, kind, lines[:-1])
    for line in bad[:200]:
        print(line, file=sys.stderr)
    return 1 if bad else 0


sys.exit(main())
