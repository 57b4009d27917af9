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
                     each time all that a FLUSH of any connection has covered must be there; now and then it is killed
                     while it starts, too
  until SEED FILE    the same load, until the server says that another host has the volume (ESHUTDOWN) or is gone; FILE then
                     knows what was written and what a FLUSH has covered
  holds FILE         what that says is there
  mix N SEED FILE    N requests of every kind and of many sizes through each of four connections, then a FLUSH; FILE then has
                     what each block holds
  same FILE          that is what they hold
"""
import array
import errno
import json
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
    AT_ONCE = 40

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
        self.told = 0
        self.bad = []

    def fenced(self, err):
        """No error but this one may come, and only where it is waited for."""
        if err == errno.ESHUTDOWN and self.killed is None:
            self.told += 1
            return True
        assert not err, errno.errorcode[err]
        return False

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
            if self.fenced(err):
                return
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
            if self.fenced(err):
                return
            with self.lock:
                self.flushes += 1
                self.flushed = [max(a, b) for a, b in zip(self.flushed, covered)]
            time.sleep(rnd.random() * 0.05)

    def check(self, anything=False):
        c = Client(self.path)
        # Many at once: from a store, one after the other takes long.
        for first in range(0, self.BLOCKS, self.AT_ONCE):
            err, data = c.ask(READ, first * BLOCK, self.AT_ONCE * BLOCK)
            assert not err, errno.errorcode[err]
            for b in range(first, first + self.AT_ONCE):
                self.check_block(b, data[(b - first) * BLOCK:(b - first + 1) * BLOCK], anything)

    def check_block(self, b, data, anything):
        s = struct.unpack("<Q", data[:8])[0]
        if anything:
            self.sent[b] = {s}
            self.stamp = max(self.stamp, s)
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

    def threads(self):
        seed = self.random.randrange(1 << 30) & ~1
        return [self.thread(self.write, seed, 0.02), self.thread(self.write, seed + 1, 0), self.thread(self.flush, seed)]

    def until(self, file):
        # None: neither killed nor to go on for ever.
        self.killed = None
        self.check(anything=True)
        print("ready", flush=True)
        for t in self.threads():
            t.join()
        if self.bad and set(self.bad) != {"a connection broke"}:
            sys.exit(f"before the end: {self.bad}")
        with open(file, "w", encoding="ascii") as f:
            json.dump({"sent": [sorted(s) for s in self.sent], "acked": self.acked, "flushed": self.flushed}, f)
        print(f"{self.writes} writes, {self.flushes} flushes; {self.told} of 3 connections were told", flush=True)

    def holds(self, file):
        with open(file, encoding="ascii") as f:
            was = json.load(f)
        self.sent, self.acked, self.flushed = [set(s) for s in was["sent"]], was["acked"], was["flushed"]
        if not any(self.flushed):
            sys.exit("nothing was flushed: this shows nothing")
        self.check()
        print(f"all of it is there; {self.lost} blocks lost a write that nobody had flushed")

    def run(self, n, server):
        early = 0
        for _ in range(n):
            while self.random.random() < 0.25:
                early += 1
                child = subprocess.Popen(server)
                time.sleep(self.random.random() * 0.6)
                child.kill()
                child.wait()
            child = subprocess.Popen(server)
            try:
                self.check()
                self.killed = False
                want = self.flushes + 2
                threads = self.threads()
                time.sleep(0.3 + self.random.random() * 1.2)
                # On a slow store, or a busy machine, that may have been too soon to show anything.
                end = time.monotonic() + 60
                while self.flushes < want and not self.bad and time.monotonic() < end:
                    time.sleep(self.random.random() * 0.1)
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
        print(f"{n} kills and {early} of a start: {self.writes} writes, {self.flushes} flushes; {self.lost} blocks lost a write that nobody had flushed")


class Mix:
    """Each connection has blocks of its own, so what a block holds is known: n << 24 | block of the write, or 0."""
    CONNECTIONS = 4
    KINDS = ["write"] * 6 + ["read"] * 4 + ["writefua"] * 2 + ["trim"] * 2 + ["zero"] * 2 + ["trimfua", "zerofua", "flush"]
    MOST = 64

    def __init__(self, path):
        self.path = path
        self.blocks = Client(path).size // BLOCK
        self.holds = array.array("Q", bytes(8 * self.blocks))
        self.done = dict.fromkeys(self.KINDS, 0)
        self.bad = []

    def look(self, c, first, n):
        err, data = c.ask(READ, first * BLOCK, n * BLOCK)
        assert not err, errno.errorcode[err]
        for b in range(first, first + n):
            piece = data[(b - first) * BLOCK:(b - first + 1) * BLOCK]
            if piece != fill(self.holds[b], BLOCK):
                was, got = self.holds[b], struct.unpack("<Q", piece[:8])[0]
                raise ValueError(f"block {b} holds write {got >> 24} of block {got & 0xffffff}, not {was >> 24}")

    def one(self, c, rnd, stamp, lo, hi):
        kind = rnd.choice(self.KINDS)
        op, flags = OPS[kind]
        n = rnd.choice((1, 1, 2, 5, 16, self.MOST))
        first = rnd.randrange(lo, hi - n)
        if kind == "read":
            self.look(c, first, n)
        elif kind == "flush":
            err, _ = c.ask(op)
            assert not err, errno.errorcode[err]
        else:
            values = [0] * n
            if op == WRITE:
                values = [stamp << 24 | b for b in range(first, first + n)]
            data = b"".join(fill(v, BLOCK) for v in values) if op == WRITE else b""
            err, _ = c.ask(op, first * BLOCK, n * BLOCK, flags, data)
            assert not err, errno.errorcode[err]
            self.holds[first:first + n] = array.array("Q", values)
        self.done[kind] += 1

    def connection(self, n, seed, i):
        try:
            rnd, each = random.Random(seed * self.CONNECTIONS + i), self.blocks // self.CONNECTIONS
            c = Client(self.path)
            for k in range(n):
                self.one(c, rnd, k + 1, i * each, (i + 1) * each)
        except BaseException as e:
            self.bad.append(repr(e))

    def run(self, n, seed, file):
        threads = [threading.Thread(target=self.connection, args=(n, seed, i)) for i in range(self.CONNECTIONS)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        err, _ = Client(self.path).ask(FLUSH)
        if err or self.bad:
            sys.exit(f"{self.bad}, flush: {err}")
        with open(file, "wb") as f:
            self.holds.tofile(f)
        print("done:", ", ".join(f"{k} {v}" for k, v in self.done.items()))

    def same(self, file):
        with open(file, "rb") as f:
            self.holds = array.array("Q", f.read())
        assert len(self.holds) == self.blocks
        c = Client(self.path)
        for first in range(0, self.blocks, 256):
            self.look(c, first, min(256, self.blocks - first))
        print(f"{self.blocks} blocks are what they were, {sum(1 for v in self.holds if v)} of them written")


def main():
    path, command, *args = sys.argv[1:]
    if command == "io":
        io(path, args)
    elif command == "kills" and args[2] == "--":
        Kills(path, int(args[1])).run(int(args[0]), args[3:])
    elif command == "until":
        Kills(path, int(args[0])).until(args[1])
    elif command == "holds":
        Kills(path, 0).holds(args[0])
    elif command == "mix":
        Mix(path).run(int(args[0]), int(args[1]), args[2])
    elif command == "same":
        Mix(path).same(args[0])
    else:
        sys.exit(__doc__)


main()
