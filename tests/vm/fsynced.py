# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that were fsync'd, with content that follows from a seed, and whether a power cut left them.

  fsynced.py write DIR LOG SEED   makes file 0, 1, 2... until killed; "N" goes into LOG when file N has been fsync'd. Odd ones are
                                  written under another name first and renamed. File N - KEEP is removed then, unsynced
  fsynced.py check DIR LOG SEED   the last KEEP of LOG are there, whole; of older ones those that are there are whole
"""

import hashlib
import os
import random
import re
import sys

KEEP = 32


def content(seed, n):
    """Of odd lengths, half of it compressible."""
    r = random.Random(f"{seed} {n}")
    return b"".join(r.randbytes(32) + b"%032d" % n for _ in range(r.randrange(1, 1500))) + r.randbytes(r.randrange(64))


def write(folder, log, seed):
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    dirfd = os.open(folder, os.O_RDONLY)
    n = 0
    while True:
        name = f"{folder}/{n}"
        fd = os.open(name + ".new" if n % 2 else name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        data = memoryview(content(seed, n))
        while data:
            data = data[os.write(fd, data):]
        os.fsync(fd)
        os.close(fd)
        if n % 2:
            os.rename(name + ".new", name)
        # A new name is not promised by the file's fsync alone.
        os.fsync(dirfd)
        os.write(out, b"%d\n" % n)
        if n >= KEEP:
            os.unlink(f"{folder}/{n - KEEP}")
        n += 1


def check(folder, log, seed):
    with open(log, encoding="ascii") as f:
        last = max((int(x) for x in f if x.endswith("\n")), default=-1)
    if last < 0:
        sys.exit(f"{log}: no file was ever fsync'd: this shows nothing")
    bad = []
    for n in range(last + 1):
        try:
            with open(f"{folder}/{n}", "rb") as f:
                found = f.read()
        except FileNotFoundError:
            if n > last - KEEP:
                bad.append(f"{n}: gone")
            continue
        want = content(seed, n)
        if found != want:
            bad.append(f"{n}: {len(found)} bytes {hashlib.sha256(found).hexdigest()[:8]}, "
                       f"not {len(want)} bytes {hashlib.sha256(want).hexdigest()[:8]}")
    others = [x for x in os.listdir(folder) if not re.fullmatch(r"\d+(\.new)?", x)]
    if bad or others:
        sys.exit(f"{folder}: file {last} had been fsync'd; {'; '.join(bad)} {others or ''}")
    print(f"{folder}: {min(last + 1, KEEP)} files are whole, the last is {last}")


if len(sys.argv) != 5 or sys.argv[1] not in ("write", "check"):
    sys.exit(__doc__)
(write if sys.argv[1] == "write" else check)(*sys.argv[2:])
