#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules about sources that no other tool checks: licence lines, lengths, blanks, words of unfinished work, machine names.

With --fix, comments in C that are too wide are broken into lines; nothing else is changed.
"""
import re
import subprocess
import sys
import textwrap

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


def wrap(text, first, rest, limit):
    """The words of text on lines of at most limit columns, the first line after `first`, the others after `rest`."""
    room = limit - width(rest)
    lines = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False)
    return [(first if i == 0 else rest) + line for i, line in enumerate(lines)]


def fix_comment(line, limit):
    """The lines to stand in place of one that is too wide because of a comment that begins and ends on it."""
    m = re.match(r"^(\s*)/\* (.*) \*/$", line)
    if m:
        indent = m.group(1)
        return [indent + "/*"] + wrap(m.group(2), indent + " * ", indent + " * ", limit) + [indent + " */"]
    m = re.match(r"^(\s*)(\S.*?)\s*/\* (.*) \*/$", line)
    if m and not re.match(r"\s*#\s*(?!define)", line):
        indent, code, text = m.groups()
        one = f"{indent}/* {text} */"
        above = [one] if width(one) <= limit else fix_comment(one, limit)
        return above + [indent + code]
    return [line]


BLOCK_LINE = re.compile(r"^(\s*)(/\*\*?| \*|\*)( )(.*?)( \*/)?$")


def fix_block_line(lines, i, limit):
    """Line i, too wide, of a comment of several lines: broken, and what does not fit put before the next line's words."""
    m = BLOCK_LINE.match(lines[i])
    if not m or (m.group(2).startswith("/*") and m.group(5)):
        return None
    indent, star, _, text, end = m.groups()
    star_rest = " *" if star.startswith("/*") else star
    # What is indented within the comment (a list, a table) stays so.
    mark = re.match(r"\s*(?:(?:@\w+:|[-*]|\d+\.)\s+)?", text).group(0)
    pad = re.sub(r"[^\t]", " ", mark)
    head = f"{indent}{star} {mark}"
    rest = f"{indent}{star_rest} {pad}"
    broken = wrap(text[len(mark):], head, rest, limit)
    if end:
        broken[-1] += end
    following = BLOCK_LINE.match(lines[i + 1]) if i + 1 < len(lines) and not end else None
    if following and len(broken) > 1:
        more = following.group(4)
        plain = more.startswith(pad) and re.match(r"[\w(*`,.\"'=<>]", more[len(pad):]) and "\t" not in more[len(pad):]
        if plain and not re.match(r"(\d+\.|@|\* )", more[len(pad):]):
            joined = broken.pop() + " " + more[len(pad):] + (following.group(5) or "")
            return broken, joined
    return broken, None


def fix_file(path, kind, lines):
    limit = COLUMNS[kind]
    todo, out, i = list(lines), [], 0
    while i < len(todo):
        line = todo[i]
        if width(line) > limit:
            block = fix_block_line(todo, i, limit)
            if block and len(block[0]) >= 1:
                out += block[0]
                if block[1] is not None:
                    todo[i + 1] = block[1]
            else:
                out += fix_comment(line, limit)
        else:
            out.append(line)
        i += 1
    if out != lines:
        with open(path, "w", encoding="utf-8") as f:
            f.write("\n".join(out))
    return out


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
        fix = "--fix" in sys.argv
        kind = path.rsplit(".", 1)[-1] if "." in path.rsplit("/", 1)[-1] else ""
        if fix and kind in COLUMNS:
            lines = fix_file(path, kind, lines)
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
