#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""s3_servers.py nbd|s3backer FOLDER: what needs servers of `make bench-s3`, over tests/bench/s3d.c; prints as tests/lib/bench.h does.

nbd:      hot 4 KiB random reads over NBD, our plugin and nbdkit's memory plugin by turns.
s3backer: the same jobs through our plugin and on s3backer with blocks of 4 KiB and of 128 KiB.

fio is the client of all. In FOLDER it makes a folder for mount points, keys and logs, which stays when something fails. Everything that was
started is ended.
"""
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

BUILD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../build")
FOLDER = ""
MIB = 1 << 20
KINDS = ("put", "get", "head", "list", "delete")
children = []


def say(text):
    print(f"say\t{text}", flush=True)


def figure(name, value, unit="x", better="higher"):
    print(f"figure\t{name}\t{value:.6g}\t{unit}\t{better}", flush=True)


def job(name, system, ops, size, seconds, cost):
    """One line for engine.py: see bench_job()."""
    print("\t".join(["job", name, system, str(ops), f"{ops / seconds:.6g}", f"{ops * size / seconds / 1e6:.6g}",
                     *(str(cost[k]) for k in KINDS), str(cost["up"]), str(cost["down"])]), flush=True)


def start(args, log, **kw):
    with open(os.path.join(FOLDER, log), "ab") as f:
        p = subprocess.Popen(args, stdin=subprocess.DEVNULL, stderr=f, cwd=FOLDER, **kw)
    children.append(p)
    return p


def gone(what, how, log):
    with open(os.path.join(FOLDER, log), encoding="utf-8", errors="replace") as f:
        sys.exit(f"{what} {how}; the end of {FOLDER}/{log}:\n{''.join(f.readlines()[-5:])}")


def finish(what, p, limit, log):
    """It ends by itself, with status 0."""
    status = p.wait(timeout=limit)
    children.remove(p)
    if status:
        gone(what, f"ended with status {status}", log)


def until(what, cond, p, log):
    end = time.monotonic() + 60
    while not cond():
        if p.poll() is not None or time.monotonic() > end:
            gone(what, "does not come up", log)
        time.sleep(0.02)


class Store:
    """s3d. It begins without delays, so that volumes are filled at once."""

    def __init__(self):
        self.process = start([f"{BUILD}/tests/bench/s3d", "-g", "0", "-u", "0"], "s3d.log", stdout=subprocess.PIPE, text=True)
        self.endpoint = self.process.stdout.readline().strip()

    def ask(self, method, path):
        with urllib.request.urlopen(urllib.request.Request(f"{self.endpoint}/-/{path}", method=method)) as r:
            return r.read()

    def delays(self, on):
        self.ask("PUT", "times?get=30&put=60" if on else "times?get=0&put=0")

    def counts(self):
        c = json.loads(self.ask("GET", "counts"))
        return {**{k: c[k]["requests"] for k in KINDS}, "up": c["put"]["bytes"], "down": c["get"]["bytes"] + c["list"]["bytes"]}

    def since(self, before):
        return {k: v - before[k] for k, v in self.counts().items()}

    def end(self):
        self.process.kill()
        self.process.wait()
        children.remove(self.process)


class Ours:
    """The plugin. Stopping it puts everything into the store."""
    name = "zerofs"

    def __init__(self, store, size, memory="512M"):
        self.key, self.sock, self.memory = f"{FOLDER}/key", f"{FOLDER}/zerofs.sock", memory
        self.url = f"s3://bench/vol?endpoint={store.endpoint}&region=default&plain-http=yes"
        self.fio = {"ioengine": "nbd", "uri": f"nbd+unix:///?socket={self.sock}"}
        with open(os.open(self.key, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as f:
            f.write(os.urandom(32))
        subprocess.run([f"{BUILD}/zerofs", "format", "--size", str(size), "--name", "bench", "--key-file", self.key, self.url],
                       check=True, stdout=subprocess.DEVNULL)

    def start(self):
        if os.path.exists(self.sock):
            os.unlink(self.sock)
        self.process = start(["nbdkit", "-f", "-U", self.sock, f"{BUILD}/nbdkit-zerofs-plugin.so", self.url, f"key-file={self.key}",
                              f"state-dir={FOLDER}/state", f"memory={self.memory}"], "zerofs.log")
        until("our plugin", lambda: os.path.exists(self.sock), self.process, "zerofs.log")
        # it answers the first client once the volume is attached
        info = ["nbdinfo", "--size", f"nbd+unix:///?socket={self.sock}"]
        if subprocess.run(info, stdout=subprocess.DEVNULL, check=False).returncode:
            gone("our plugin", "does not come up", "zerofs.log")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        finish("our plugin", self.process, 120, "zerofs.log")


class Memory:
    """nbdkit's memory plugin."""

    def __init__(self, size):
        self.sock, self.size = f"{FOLDER}/memory.sock", size
        self.fio = {"ioengine": "nbd", "uri": f"nbd+unix:///?socket={self.sock}"}

    def start(self):
        self.process = start(["nbdkit", "-f", "-U", self.sock, "memory", str(self.size)], "memory.log")
        until("nbdkit's memory plugin", lambda: os.path.exists(self.sock), self.process, "memory.log")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        finish("nbdkit's memory plugin", self.process, 20, "memory.log")


class S3backer:
    """s3backer, mounted. Unmounting it, and waiting for its end, puts everything into the store."""
    # As many requests at once as it has threads. The store is consistent, so what guards against stale reads is off.
    settings = ["--blockCacheThreads=64", "--readAhead=64", "--md5CacheSize=0", "--md5CacheTime=0", "--minWriteDelay=0", "-o", "big_writes"]

    def __init__(self, store, size, block):
        self.name, self.store, self.size, self.block = f"s3backer {block}", store, size, block
        self.mount = f"{FOLDER}/mnt-{block}"
        os.makedirs(self.mount, exist_ok=True)
        self.fio = {"ioengine": "psync", "filename": f"{self.mount}/file", "direct": "1"}

    def start(self):
        # -f: else it forks
        self.process = start(["s3backer", "-f", "--accessId=AK", "--accessKey=SK", f"--baseURL={self.store.endpoint}/", f"--size={self.size}",
                              f"--blockSize={self.block}", *self.settings, f"s3backer-{self.block}", self.mount], "s3backer.log")
        until("s3backer", lambda: os.path.exists(f"{self.mount}/file"), self.process, "s3backer.log")

    def stop(self):
        subprocess.run(["umount", self.mount], check=True)
        finish("s3backer", self.process, 120, "s3backer.log")


def fio(system, *sections, **options):
    """Runs sections (a dictionary of options each) at once; returns the sum of operations, and seconds."""
    path = f"{FOLDER}/job.fio"
    with open(path, "w", encoding="ascii") as f:
        base = {**system.fio, "thread": "1", "group_reporting": "1", "randrepeat": "0", **options}
        f.write("[global]\n" + "".join(f"{k}={v}\n" for k, v in base.items()))
        for i, s in enumerate(sections or ({},)):
            f.write(f"[job{i}]\n" + "".join(f"{k}={v}\n" for k, v in s.items()))
    r = subprocess.run(["fio", "--output-format=json", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=FOLDER, check=False)
    if r.returncode:
        sys.exit(f"fio: status {r.returncode}: {r.stderr}{r.stdout}")
    jobs = json.loads(r.stdout[r.stdout.index("{"):])["jobs"]
    if any(j["error"] for j in jobs):
        sys.exit(f"fio: errors: {r.stdout}")
    both = [j[way] for j in jobs for way in ("read", "write") if j[way]["total_ios"]]
    return sum(b["total_ios"] for b in both), max(b["runtime"] for b in both) / 1000


def fill(system, size):
    fio(system, rw="write", bs="128k", size=size, iodepth=16, refill_buffers=1, end_fsync=1)


# ---- hot reads over NBD ------------------------------------------------------------------------

def nbd():
    size, rounds, seconds = 64 * MIB, 5, 2
    store = Store()
    ours, memory = Ours(store, size), Memory(size)
    for s in (ours, memory):
        s.start()
        fill(s, size)
    store.delays(True)
    for s in (ours, ours, memory):
        fio(s, rw="read", bs="128k", size=size, iodepth=4)
    before = store.counts()
    ratios, ours_ops, ours_took = [], 0, 0
    for i in range(rounds):
        rate = {}
        for s in (ours, memory) if i % 2 else (memory, ours):
            ops, took = fio(s, rw="randread", bs="4k", size=size, iodepth=32, time_based=1, runtime=seconds, norandommap=1)
            rate[s] = ops / took
            if s is ours:
                ours_ops, ours_took = ours_ops + ops, ours_took + took
        ratios.append(rate[ours] / rate[memory])
        say(f"hot 4 KiB over NBD: {rate[ours]:.0f} reads/s, nbdkit's memory plugin {rate[memory]:.0f}")
    cost = store.since(before)
    if cost["get"]:
        sys.exit(f"these reads were not hot: {cost}")
    job("hot 4 KiB random read, QD32", ours.name, ours_ops, 4096, ours_took, cost)
    figure("hot_nbd_4k_vs_memory", statistics.median(ratios))
    ours.stop()
    memory.stop()
    store.end()


# ---- the same jobs on s3backer -----------------------------------------------------------------

STEP = 128 << 10  # one read of each: another frame of ours, another block of s3backer's


def cold_random(system, store, size, depth, each, rng):
    """@depth jobs with one read under way, @each reads; no two of all in the same STEP."""
    places = [i * STEP + rng.randrange(STEP >> 12) * 4096 for i in rng.sample(range(size // STEP), depth * each)]
    sections = []
    for i in range(depth):
        log = f"{FOLDER}/iolog.{i}"
        with open(log, "w", encoding="ascii") as f:
            f.write("fio version 2 iolog\nvol add\nvol open\n" + "".join(f"vol read {p} 4096\n" for p in places[i::depth]) + "vol close\n")
        sections.append({"read_iolog": log})
    extra = {"replay_redirect": system.fio["filename"]} if "filename" in system.fio else {}
    system.start()
    before = store.counts()
    ops, took = fio(system, *sections, rw="randread", bs="4k", replay_no_stall=1, **extra)
    if ops != depth * each:
        sys.exit(f"fio did {ops} reads of {depth * each}")
    job(f"cold 4 KiB random read, QD{depth}", system.name, ops, 4096, took, store.since(before))
    system.stop()
    return ops / took


def cold_sequential(system, store, size):
    system.start()
    before = store.counts()
    ops, took = fio(system, rw="read", bs="128k", size=size, iodepth=4, runtime=8)
    job("cold sequential read, 128 KiB", system.name, ops, 128 << 10, took, store.since(before))
    system.stop()


def random_writes(system, store, size, seconds):
    """Writes per second, all of them in the store: from fio's start until the server has ended."""
    depth = {"iodepth": 32} if system.fio["ioengine"] == "nbd" else {"numjobs": 32}
    system.start()
    before, began = store.counts(), time.monotonic()
    ops, _ = fio(system, rw="randwrite", bs="4k", size=size, refill_buffers=1, time_based=1, runtime=seconds, end_fsync=1, **depth)
    system.stop()
    took = time.monotonic() - began
    job("random 4 KiB write, QD32", system.name, ops, 4096, took, store.since(before))
    return ops / took


def s3backer():
    size, read, rng = 1024 * MIB, 256 * MIB, random.Random(4)
    version = subprocess.run(["s3backer", "--version"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False).stdout.split("\n")[0]
    say(f"{version}, {' '.join(S3backer.settings)}; ours: memory=512M. Incompressible data")
    say(f"reads: of {read // MIB} MiB that were written in sequence, after a new start each. 32 deep: 32 connections or threads with one each.")
    say("in sequence: ours over NBD with 4 reads under way, s3backer one after the other with its own read-ahead; for 8 s at most")
    say(f"writes: anywhere in {size // MIB} MiB, so that few meet. s3backer acknowledges what is in its memory, an fsync too; ours so, but an")
    say("fsync when it is in the store. Counted are writes that were in the store when the server had ended, per second until then")
    writes = {}
    for make in (lambda s: Ours(s, size), lambda s: S3backer(s, size, "4k"), lambda s: S3backer(s, size, "128k")):
        store = Store()
        system = make(store)
        system.start()
        fill(system, read)
        system.stop()
        store.delays(True)
        cold_random(system, store, read, 1, 150, rng)
        cold_random(system, store, read, 32, 32, rng)
        cold_sequential(system, store, read)
        writes[system.name] = random_writes(system, store, size, 8)
        store.end()
    figure("randwrite_4k_vs_s3backer", writes["zerofs"] / writes["s3backer 4k"])


def main():
    global FOLDER
    job_name, FOLDER = sys.argv[1], tempfile.mkdtemp(prefix="s3.", dir=os.path.abspath(sys.argv[2]))
    os.environ.update(AWS_ACCESS_KEY_ID="AK", AWS_SECRET_ACCESS_KEY="SK")
    for name in ("AWS_SESSION_TOKEN", "AWS_PROFILE", "http_proxy", "https_proxy", "all_proxy"):
        os.environ.pop(name, None)
    try:
        {"nbd": nbd, "s3backer": s3backer}[job_name]()
    finally:
        for p in children:
            p.kill()
        for block in ("4k", "128k"):
            subprocess.run(["umount", "-l", f"{FOLDER}/mnt-{block}"], stderr=subprocess.DEVNULL, check=False)
    shutil.rmtree(FOLDER)


main()
