#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Planted bugs: NN-name.mutant says what to change in one source file.

    breaks: the promise that the change breaks, on one line
    file: the source file
    tests: the unit tests that ought to notice, tried first; all others come after them
    --- old
    lines that stand in the file exactly once
    --- new
    the lines to put there
    --- end

There may be several old/new/end parts. Usage, in the top folder:

    mutant.py check              all of them apply: to what is there, and to nothing else
    mutant.py get FIELD FILE     a field's value
    mutant.py apply FILE TREE    changes the tree
"""
import glob
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
FIELDS = ("breaks", "file", "tests")


class Bad(Exception):
    pass


def parse(path):
    """The fields, and in "parts" a list of (old, new)."""
    m, part, text = {"parts": []}, None, {}
    with open(path, encoding="utf-8") as f:
        lines = f.read().split("\n")
    for i, line in enumerate(lines, 1):
        if line in ("--- old", "--- new", "--- end"):
            expected = {None: "old", "old": "new", "new": "end"}[part]
            if line != "--- " + expected:
                raise Bad(f"line {i}: --- {expected} is due")
            if expected == "end":
                m["parts"].append((text["old"], text["new"]))
                part, text = None, {}
            else:
                part = expected
                text[part] = ""
        elif part:
            text[part] += line + "\n"
        elif line:
            field, colon, value = line.partition(": ")
            if not colon or field not in FIELDS or field in m or not value.strip():
                raise Bad(f"line {i}: not one of {', '.join(FIELDS)}, or twice, or empty")
            m[field] = value.strip()
    if part:
        raise Bad("no --- end")
    for field in FIELDS:
        if field not in m:
            raise Bad(f"no {field}")
    if not m["parts"]:
        raise Bad("changes nothing")
    return m


def changed(m, top):
    """The text of the file with the change made."""
    path = os.path.join(top, m["file"])
    if not os.path.isfile(path):
        raise Bad(f"mutant is stale: there is no {m['file']}")
    with open(path, encoding="utf-8") as f:
        text = f.read()
    spans = []
    for old, new in m["parts"]:
        n = ("\n" + text).count("\n" + old) if old else 0
        if n != 1:
            first = old.split("\n")[0].strip()
            raise Bad(f"mutant is stale: the text that begins with '{first}' stands in {m['file']} {n} times")
        if old == new:
            raise Bad("old and new are the same")
        at = ("\n" + text).index("\n" + old)
        spans.append((at, at + len(old), new))
    spans.sort(reverse=True)
    for (at, _, _), (_, end, _) in zip(spans, spans[1:]):
        if end > at:
            raise Bad("two parts change the same text")
    for at, end, new in spans:
        text = text[:at] + new + text[end:]
    return text


def check(top):
    bad, numbers = [], {}
    paths = sorted(glob.glob(os.path.join(HERE, "*.mutant")))
    for path in paths:
        name = os.path.basename(path)
        number = re.fullmatch(r"(\d\d)-[a-z0-9-]+\.mutant", name)
        try:
            if not number:
                raise Bad("its name is not NN-name.mutant")
            if number.group(1) in numbers:
                raise Bad(f"{numbers[number.group(1)]} has the same number")
            numbers[number.group(1)] = name
            m = parse(path)
            if not m["file"].startswith("daemon/"):
                raise Bad("a planted bug is one of the daemon's")
            changed(m, top)
            for t in m["tests"].split():
                if not os.path.isfile(os.path.join(top, "tests/unit", t + ".c")):
                    raise Bad(f"there is no unit test {t}")
        except Bad as e:
            bad.append(f"tests/mutants/{name}: {e}")
    for line in bad:
        print(line, file=sys.stderr)
    if not paths:
        print("tests/mutants: nothing there", file=sys.stderr)
    return 1 if bad or not paths else 0


def main(args):
    if args == ["check"]:
        return check(".")
    if len(args) != 3 or args[0] not in ("get", "apply"):
        print(__doc__, file=sys.stderr)
        return 2
    path = args[2] if args[0] == "get" else args[1]
    try:
        m = parse(path)
        if args[0] == "get":
            print(m[args[1]])
            return 0
        text = changed(m, args[2])
    except Bad as e:
        print(f"{path}: {e}", file=sys.stderr)
        return 1
    with open(os.path.join(args[2], m["file"]), "w", encoding="utf-8") as f:
        f.write(text)
    return 0


sys.exit(main(sys.argv[1:]))
