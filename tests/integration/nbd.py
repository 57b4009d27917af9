#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""An NBD client that says exactly what it sends, and the tests that need one.

usage: nbd.py SOCKET COMMAND [ARGUMENTS]
  io REQUEST...      on one connection, one after the other, each answered before the next: write:OFF:LEN:STAMP,
                     writefua:OFF:LEN:STAMP, read:OFF:LEN:STAMP (it must be that), flush, trim:OFF:LEN, trimfua:OFF:LEN,
                     zero:OFF:LEN, zerofua:OFF:LEN; "ERRNO=" before one: it must fail so; "-": read a line from standard
                     input first, and say "ready" before
  kills N SEED -- SERVER...
                     starts SERVER, writes and flushes through three connections, kills it at a random moment, N times;
                     each time all that a FLUSH of any connection has covered must be there
"""
import errno
import random
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

BLOCK = 4096
READ, WRITE, FLUSH, TRIM, ZERO = 0, 1, 3, 4, 6
FUA = 1 << 0
OPS = {"read": (READ, 0), "write": (WRITE, 0), "writefua": (WRITE, FUA), "flush": (FLUSH, 0), "trim": (TRIM, 0),
       "trimfua": (TRIM, FUA), "zero": (ZERO, 0), "zerofua": (ZERO, FUA)}


class Client:
    """One connection, one request at a time."""

    def __init__(self, path, patience=20):
        end = time.monotonic() + patience
        while True:
            self.sock = socket.socket(socket.AF_UNIX)
            try:
                self.sock.connect(path)
                break
            except OSError:
                self.sock.close()
                if time.monotonic() > end:
                    raise
                time.sleep(0.02)
        magic, opts, flags = struct.unpack(">QQH", self.take(18))
        assert magic == 0x4e42444d41474943 and opts == 0x49484156454f5054 and flags & 1
        # NBD_OPT_EXPORT_NAME "", without the 124 zeros
        self.sock.sendall(struct.pack(">IQII", flags & 3, opts, 1, 0))
        self.size, self.flags = struct.unpack(">QH", self.take(10 if flags & 2 else 134)[:10])

    def take(self, n):
        data = b""
        while len(data) < n:
            piece = self.sock.recv(n - len(data))
            if not piece:
                raise ConnectionError("the server has gone")
            data += piece
        return data

    def ask(self, op, off=0, length=0, flags=0, data=b""):
        """(errno, data)"""
        self.sock.sendall(struct.pack(">IHHQQI", 0x25609513, flags, op, 1, off, length) + data)
        magic, err, handle = struct.unpack(">IIQ", self.take(16))
        assert magic == 0x67446698 and handle == 1
        return err, self.take(length) if op == READ and not err else b""


def fill(stamp, length):
    return struct.pack("<Q", stamp) * (length // 8)


def io(path, words):
    c = Client(path)
    for word in words:
        if word == "-":
            print("ready", flush=True)
            sys.stdin.readline()
            continue
        want = 0
        if "=" in word:
            name, word = word.split("=", 1)
            want = getattr(errno, name)
        name, *args = word.split(":")
        op, flags = OPS[name]
        off, length, stamp = ([int(a, 0) for a in args] + [0, 0, 0])[:3]
        data = fill(stamp, length + 8)[:length] if op == WRITE else b""
        err, got = c.ask(op, off, length, flags, data)
        if err != want:
            sys.exit(f"{word}: {errno.errorcode.get(err, err)}, not {errno.errorcode.get(want, want)}")
        if op == READ and not err and got != fill(stamp, length):
            sys.exit(f"{word}: it holds {struct.unpack('<Q', got[:8])[0]}")
    print("done", flush=True)


class Kills:
    BLOCKS = 400

    def __init__(self, path, seed):
        self.path = path
        self.random = random.Random(seed)
        self.lock = threading.Lock()
        self.stamp = 0
        self.sent = [{0} for _ in range(self.BLOCKS)]    # since the last kill, and what was there then
        self.acked = [0] * self.BLOCKS
        self.flushed = [0] * self.BLOCKS
        self.writes = self.flushes = self.lost = 0
        self.killed = False

    def write(self, seed, fua):
        rnd = random.Random(seed)
        c = Client(self.path)
        # Each connection has blocks of its own: two writes of a block are never under way together.
        mine = range(seed % 2, self.BLOCKS, 2)
        while not self.killed:
            b = rnd.choice(mine)
            with self.lock:
                self.stamp += 1
                s = self.stamp
                self.sent[b].add(s)
            flags = FUA if rnd.random() < fua else 0
            err, _ = c.ask(WRITE, b * BLOCK, BLOCK, flags, fill(s, BLOCK))
            assert not err, errno.errorcode[err]
            with self.lock:
                self.writes += 1
                self.acked[b] = s
                if flags:
                    self.flushed[b] = s

    def flush(self, seed):
        rnd = random.Random(seed)
        c = Client(self.path)
        while not self.killed:
            with self.lock:
                covered = list(self.acked)
            err, _ = c.ask(FLUSH)
            assert not err, errno.errorcode[err]
            with self.lock:
                self.flushes += 1
                self.flushed = [max(a, b) for a, b in zip(self.flushed, covered)]
            time.sleep(rnd.random() * 0.05)

    def check(self):
        c = Client(self.path)
        for b in range(self.BLOCKS):
            err, data = c.ask(READ, b * BLOCK, BLOCK)
            assert not err, errno.errorcode[err]
            s = struct.unpack("<Q", data[:8])[0]
            if data != fill(s, BLOCK):
                sys.exit(f"block {b} is torn")
            if s < self.flushed[b] or s not in self.sent[b]:
                sys.exit(f"block {b} holds {s}; flushed was {self.flushed[b]}, written {sorted(self.sent[b])}")
            self.lost += s < self.acked[b]
            self.acked[b] = self.flushed[b] = s
            self.sent[b] = {s}

    def thread(self, fn, *args):
        def run():
            try:
                fn(*args)
            except (ConnectionError, OSError):
                if not self.killed:
                    self.bad.append("a connection broke")
            except BaseException as e:
                self.bad.append(repr(e))
        t = threading.Thread(target=run)
        t.start()
        return t

    def run(self, n, server):
        self.bad = []
        for _ in range(n):
            child = subprocess.Popen(server)
            try:
                self.check()
                self.killed = False
                seed = self.random.randrange(1 << 30) & ~1
                threads = [self.thread(self.write, seed, 0.02), self.thread(self.write, seed + 1, 0),
                           self.thread(self.flush, seed)]
                time.sleep(0.3 + self.random.random() * 1.2)
            finally:
                self.killed = True
                child.send_signal(signal.SIGKILL)
                child.wait()
            for t in threads:
                t.join()
            if self.bad:
                sys.exit(f"before the kill: {self.bad}")
        child = subprocess.Popen(server)
        try:
            self.check()
        finally:
            child.send_signal(signal.SIGTERM)
            rc = child.wait()
        if rc or self.flushes < 2 * n or self.writes < 20 * n:
            sys.exit(f"status {rc}, {self.flushes} flushes, {self.writes} writes")
        print(f"{n} kills: {self.writes} writes, {self.flushes} flushes; {self.lost} blocks lost a write that nobody had flushed")


def main():
    path, command, *args = sys.argv[1:]
    if command == "io":
        io(path, args)
    elif command == "kills" and args[2] == "--":
        Kills(path, int(args[1])).run(int(args[0]), args[3:])
    else:
        sys.exit(__doc__)


main()
