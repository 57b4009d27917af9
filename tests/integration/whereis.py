# SPDX-License-Identifier: GPL-2.0-or-later
"""whereis.py PID FILE: where the memory of a process has the bytes of FILE, a line each: the address, and locked or open."""
import re
import sys

pid, want = sys.argv[1], open(sys.argv[2], "rb").read()
with open(f"/proc/{pid}/smaps") as smaps, open(f"/proc/{pid}/mem", "rb") as mem:
    parts = re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", smaps.read(), flags=re.M)
    for part in parts[1:]:
        begin, end, perm = re.match(r"(\w+)-(\w+) (\S+)", part).groups()
        if "r" not in perm or "[v" in part.partition("\n")[0]:
            continue
        mem.seek(int(begin, 16))
        try:
            data = mem.read(int(end, 16) - int(begin, 16))
        except OSError:
            continue
        locked = int(re.search(r"^Locked: +(\d+) kB", part, re.M).group(1))
        at = data.find(want)
        while at >= 0:
            print(f"{int(begin, 16) + at:x} {'locked' if locked else 'open'}")
            at = data.find(want, at + 1)
