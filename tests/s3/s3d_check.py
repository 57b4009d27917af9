#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""s3d_check.py S3D: the benchmarks' S3 server keeps what it is given, takes the time that it says, and counts right."""
import base64
import hashlib
import json
import re
import subprocess
import sys
import threading
import time

from s3req import S3


def expect(cond, why):
    if not cond:
        sys.exit(f"s3d_check: {why}")


def start(*args):
    p = subprocess.Popen([sys.argv[1], *args], stdout=subprocess.PIPE, text=True)
    return p, p.stdout.readline().strip()


def timed(fn):
    t = time.monotonic()
    r = fn()
    return time.monotonic() - t, r


def semantics(endpoint):
    c = S3(endpoint)
    body = bytes(range(256)) * 4096
    expect(c.create("/b/x/1", body) == 200 and c.create("/b/x/1", b"other") == 412, "create-only PUT")
    expect(c.request("GET", "/b/x/1")[2] == body, "GET")
    s, h, d = c.request("GET", "/b/x/1", headers={"range": "bytes=1000-4095"})
    expect(s == 206 and d == body[1000:4096] and h["content-range"] == f"bytes 1000-4095/{len(body)}", "ranged GET")
    s, _, d = c.request("GET", "/b/x/1", headers={"range": f"bytes={len(body) - 5}-{len(body) + 99}"})
    expect(s == 206 and d == body[-5:], "a range over the end")
    expect(c.request("GET", "/b/x/1", headers={"range": f"bytes={len(body)}-"})[0] == 416, "a range behind the end")
    expect(c.request("GET", "/b/none")[0] == 404, "GET of nothing")
    s, h, d = c.request("HEAD", "/b/x/1")
    expect(s == 200 and int(h["content-length"]) == len(body) and d == b"", "HEAD")
    expect(c.request("PUT", "/b/x/1", body=b"new")[0] == 200 and c.request("GET", "/b/x/1")[2] == b"new", "overwriting")
    md5 = hashlib.md5(body)
    c.request("PUT", "/b/m", headers={"content-md5": base64.b64encode(md5.digest()).decode(), "x-amz-meta-one": "1", "x-amz-meta-two": "b"}, body=body)
    for method in ("HEAD", "GET"):
        h = c.request(method, "/b/m")[1]
        expect(h["etag"] == f'"{md5.hexdigest()}"' and h["x-amz-meta-one"] == "1" and h["x-amz-meta-two"] == "b", f"what {method} says of an object")
    expect("x-amz-meta-one" not in c.request("HEAD", "/b/x/1")[1], "another's headers")
    expect(c.request("PUT", "/b/n", headers={"content-md5": "AAAA"}, body=b"")[0] == 400, "a broken MD5")
    c = S3(endpoint)
    expect(c.request("HEAD", "/b/none")[0] == 404, "HEAD of nothing")
    c.request("DELETE", "/b/m")
    names = sorted(f"l/{i:03x}" for i in range(300))
    for n in names:
        c.create("/b/" + n, b"1234")
    got, after = [], ""
    while True:
        q = {"list-type": "2", "prefix": "l/", "max-keys": "70"}
        if after:
            q["start-after"] = after
        _, _, d = c.request("GET", "/b", q)
        keys = re.findall(r"<Key>([^<]*)</Key>", d.decode())
        got += keys
        expect((b"<IsTruncated>true" in d) == (len(got) < 300), "IsTruncated")
        if len(got) >= 300 or not keys:
            break
        after = keys[-1]
    expect(got == names, "LIST in pages")
    expect(c.request("DELETE", "/b/x/1")[0] == 204 and c.request("DELETE", "/b/x/1")[0] == 204, "DELETE")
    expect(c.request("GET", "/b/x/1")[0] == 404, "what was deleted is there")
    counts = json.loads(c.request("GET", "/-/counts")[2])
    expect(counts["put"] == {"requests": 304, "bytes": 2 * len(body) + 5 + 3 + 1200}, f"counts of PUT: {counts}")
    expect(counts["get"] == {"requests": 8, "bytes": 2 * len(body) + 3096 + 5 + 3}, f"counts of GET: {counts}")
    expect(counts["head"] == {"requests": 4, "bytes": 0}, f"counts of HEAD: {counts}")
    expect(counts["list"]["requests"] == 5 and counts["delete"]["requests"] == 3, f"counts: {counts}")
    expect(counts["refused"] == 1 and counts["objects"] == 300, f"counts: {counts}")
    print("semantics and counts: ok")


def times(endpoint):
    c = S3(endpoint)
    big = bytes(9_000_000)
    small, large = min(timed(lambda: c.create(f"/b/s{i}", b"x"))[0] for i in range(5)), timed(lambda: c.create("/b/big", big))[0]
    expect(0.060 <= small < 0.075 and 0.160 <= large < 0.3, f"PUT took {small:.3f} and {large:.3f} s")
    g1 = min(timed(lambda: c.request("GET", "/b/s1"))[0] for _ in range(5))
    g2 = min(timed(lambda: c.request("GET", "/b/big"))[0] for _ in range(3))
    expect(0.030 <= g1 < 0.045 and 0.125 <= g2 < 0.2, f"GET took {g1:.3f} and {g2:.3f} s")
    print(f"PUT {small * 1e3:.1f} ms, of 9 MB {large * 1e3:.0f}; GET {g1 * 1e3:.1f} ms, of 9 MB {g2 * 1e3:.0f}: ok")

    # Other delays, from here on.
    c.request("PUT", "/-/times", {"get": "100", "put": "0"})
    p0, g0 = min(timed(lambda: c.request("PUT", "/b/s1", body=b"x"))[0] for _ in range(5)), timed(lambda: c.request("GET", "/b/s1"))[0]
    expect(p0 < 0.03 and 0.100 <= g0 < 0.13, f"after a change PUT took {p0:.3f} s, GET {g0:.3f}")
    c.request("PUT", "/-/times", {"get": "30", "put": "60"})

    # The delay is each connection's own: 32 at once take the time of one.
    def work(i):
        S3(endpoint).request("GET", f"/b/s{i % 5}")
    threads = [threading.Thread(target=work, args=(i,)) for i in range(32)]
    t = timed(lambda: ([x.start() for x in threads], [x.join() for x in threads]))[0]
    expect(0.030 <= t < 0.5, f"32 GETs at once took {t:.3f} s")
    print(f"32 connections at once: {t * 1e3:.0f} ms: ok")


for args, fn in ((("-g", "0", "-u", "0"), semantics), ((), times)):
    server, at = start(*args)
    try:
        fn(at)
        expect(server.poll() is None, "the server has died")
    finally:
        server.kill()
        server.wait()
