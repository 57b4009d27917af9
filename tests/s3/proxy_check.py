#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""proxy_check.py UPSTREAM BUCKET PROXY_FOLDER: each fault of proxy.py really happens: what the client gets, and what the server has
afterwards, asked without the proxy. Prints a line per fault."""
import email.utils
import http.client
import json
import os
import subprocess
import sys
import threading
import time

import proxy
from s3req import S3

upstream, bucket, folder = sys.argv[1:4]
with open(os.path.join(folder, "endpoint")) as ep:
    endpoint = ep.read().strip()
direct = S3(upstream)
body = bytes(range(256)) * 400
BROKEN = (OSError, http.client.HTTPException)
counter = 0


def ctl(what, **args):
    return proxy.ctl(folder, what, [f"{k}={v}" for k, v in args.items()])


def name():
    global counter
    counter += 1
    return f"/{bucket}/p/{counter:04d}"


def there(n):
    """The server's bytes, or None."""
    status, _, data = direct.request("GET", n)
    assert status in (200, 404), status
    return data if status == 200 else None


def through(method, n, data=b"", headers=None, timeout=20):
    """Status, headers, body; or what broke."""
    try:
        return S3(endpoint, timeout=timeout).request(method, n, headers=headers, body=data)
    except BROKEN as e:
        return e


def expect(cond, why):
    if not cond:
        sys.exit(f"proxy_check: {why}")


def until(fn, why, seconds=20):
    end = time.monotonic() + seconds
    while not fn():
        expect(time.monotonic() < end, why)
        time.sleep(0.05)


def error_of(r, status, code):
    return not isinstance(r, Exception) and r[0] == status and f"<Code>{code}</Code>".encode() in r[2]


def reset(r):
    return isinstance(r, ConnectionResetError)


def put_fault(fault, good, stored, **args):
    """One PUT under the fault, then one without: the answer, and whether the server has it."""
    n = name()
    rule = ctl("add", fault=fault, op="PUT", count=1, **args)
    r = through("PUT", n, body)
    expect(good(r), f"{fault}: the client got {r}")
    expect(there(n) == (body if stored else None), f"{fault}: the server has {'nothing' if stored else 'something'}")
    expect(ctl("fired", id=rule) == 1, f"{fault}: not counted")
    again = through("PUT", n, body, {"if-none-match": "*"})
    expect(again[0] == (412 if stored else 200), f"{fault}: another create got {again}")
    ctl("clear")
    print(f"{fault}: ok")
    return r


def pass_through():
    n = name()
    r = through("PUT", n, body)
    expect(r[0] == 200 and there(n) == body, f"PUT without a fault: {r}")
    r = through("GET", n, headers={"range": "bytes=100-299"})
    expect(r[0] == 206 and r[2] == body[100:300], f"ranged GET without a fault: {r}")
    r = through("HEAD", n)
    expect(r[0] == 200 and int(r[1]["content-length"]) == len(body), f"HEAD without a fault: {r}")
    r = S3(endpoint).request("GET", f"/{bucket}", {"list-type": "2", "prefix": "p/"})
    expect(r[0] == 200 and b"<Key>p/" in r[2], f"LIST without a fault: {r}")
    r = through("DELETE", n)
    expect(r[0] == 204 and there(n) is None, f"DELETE without a fault: {r}")
    print("without a fault: ok")


def plain_faults():
    put_fault("slowdown", lambda r: error_of(r, 503, "SlowDown"), False)
    put_fault("error_before", lambda r: error_of(r, 500, "InternalError"), False)
    put_fault("error_after", lambda r: error_of(r, 500, "InternalError"), True)
    put_fault("reset_before", reset, False)
    put_fault("reset_after", reset, True)
    put_fault("half_request", reset, False)
    put_fault("expired", lambda r: error_of(r, 403, "ExpiredToken"), False)
    put_fault("conflict", lambda r: error_of(r, 409, "ConditionalRequestConflict"), False)
    put_fault("answer", lambda r: error_of(r, 403, "AccessDenied"), False, status=403, code="AccessDenied")
    put_fault("html", lambda r: r[0] == 200 and r[1]["content-type"] == "text/html" and b"<html>" in r[2], False)
    r = put_fault("skewed", lambda r: error_of(r, 403, "RequestTimeTooSkewed"), False, shift=-7200)
    off = email.utils.parsedate_to_datetime(r[1]["date"]).timestamp() - time.time()
    expect(abs(off + 7200) < 60, f"skewed: Date is off by {off} s")


def short_body():
    n = name()
    direct.request("PUT", n, body=body)
    ctl("add", fault="short_body", op="GET", count=1)
    r = through("GET", n)
    expect(isinstance(r, http.client.IncompleteRead) and r.partial == body[:len(body) // 2], f"short_body: the client got {r!r:.200}")
    expect(through("GET", n)[2] == body, "short_body: the next GET")
    ctl("clear")
    print("short_body: ok")


def other_ranges():
    """Answers that are whole, and for another range than was asked for."""
    n = name()
    direct.request("PUT", n, body=body)
    for fault, want, said in (("less", body[100:200], f"bytes 100-199/{len(body)}"), ("shifted", body[101:300] + b"\0", f"bytes 101-300/{len(body)}")):
        ctl("add", fault=fault, op="GET", count=1)
        r = through("GET", n, headers={"range": "bytes=100-299"})
        expect(r[0] == 206 and r[2] == want and r[1]["content-range"] == said, f"{fault}: the client got {r}")
        expect(through("GET", n, headers={"range": "bytes=100-299"})[2] == body[100:300], f"{fault}: the next GET")
        ctl("clear")
    print("less, shifted: ok")


def redirected():
    n = name()
    ctl("add", fault="redirect", op="PUT", count=1)
    r = through("PUT", n, body)
    expect(r[0] == 307 and r[1]["location"] == endpoint + n and there(n) is None, f"redirect: the client got {r}")
    expect(through("PUT", n, body)[0] == 200, "redirect: the next PUT")
    ctl("clear")
    print("redirect: ok")


def late():
    """What lands when nobody waits for it any more, and what lands twice."""
    n = name()
    ctl("add", fault="late", op="PUT", count=1, ms=700, upto=900)
    t = time.monotonic()
    expect(reset(through("PUT", n, body)) and there(n) is None, "late: the connection is not reset at once")
    until(lambda: there(n) == body, "late: the PUT never arrived")
    expect(time.monotonic() - t >= 0.7, "late: too early")
    ctl("clear")
    n = name()
    ctl("add", fault="again", op="PUT", count=1, ms=700)
    expect(through("PUT", n, body)[0] == 200 and there(n) == body, "again: the first")
    direct.request("DELETE", n)
    until(lambda: there(n) == body, "again: it did not come a second time")
    ctl("clear")
    expect([h for h in ctl("hits") if h[0] in ("late", "again")] == [["late", "PUT", 1], ["again", "PUT", 1]], f"hits: {ctl('hits')}")
    print("late, again: ok")


def replace():
    n = name()
    direct.request("PUT", n, body=b"first")
    ctl("add", fault="replace", op="PUT", count=1)
    r = through("PUT", n, body, {"if-none-match": "*"})
    expect(r[0] == 200 and "etag" in r[1] and there(n) == body, f"replace: the client got {r}")
    r = through("PUT", n, b"third", {"if-none-match": "*"})
    expect(r[0] == 412 and there(n) == body, f"replace: the next create got {r}")
    ctl("clear")
    print("replace: ok")


def slow():
    n = name()
    ctl("add", fault="delay", ms=300, op="PUT")
    t = time.monotonic()
    expect(through("PUT", n, b"x")[0] == 200, "delay: PUT")
    expect(0.3 <= time.monotonic() - t < 5, f"delay: took {time.monotonic() - t} s")
    ctl("clear")
    direct.request("PUT", n, body=body)
    ctl("add", fault="bandwidth", bps=len(body), op="GET")
    t = time.monotonic()
    expect(through("GET", n)[2] == body, "bandwidth: GET")
    expect(0.8 <= time.monotonic() - t < 6, f"bandwidth: took {time.monotonic() - t} s for a second's bytes")
    ctl("clear")
    print("delay, bandwidth: ok")


def held():
    for how in ("seconds", "release"):
        n = name()
        ctl("add", fault="hold", op="PUT", count=1, **({"seconds": 2} if how == "seconds" else {}))
        r = through("PUT", n, body, timeout=0.5)
        expect(isinstance(r, TimeoutError), f"hold: the client got {r}")
        expect(ctl("held") == 1 and there(n) is None, "hold: the PUT is not held")
        if how == "release":
            time.sleep(1)
            expect(there(n) is None, "hold: it did not wait for the release")
            ctl("release")
        until(lambda: there(n) == body, f"hold ({how}): the PUT never arrived though it was let through")
        ctl("clear")
    print("hold, by the clock and by hand: ok")
    ctl("add", fault="hang", count=1)
    r = through("GET", name(), timeout=0.5)
    expect(isinstance(r, TimeoutError) and ctl("held") == 1, f"hang: the client got {r}")
    ctl("release")
    ctl("clear")
    print("hang: ok")


def selection():
    ctl("add", fault="slowdown", op="PUT", name="^sel/b", skip=1, count=2)
    got = [through("PUT", f"/{bucket}/sel/{n}", b"x")[0] for n in ("a", "b1", "b2", "b3", "b4", "c")]
    expect(got == [200, 200, 503, 503, 200, 200], f"name, skip, count: {got}")
    ctl("clear")
    ctl("add", fault="slowdown", op="LIST", name="^sel/")
    expect(S3(endpoint).request("GET", f"/{bucket}", {"list-type": "2", "prefix": "sel/"})[0] == 503, "LIST by prefix")
    expect(S3(endpoint).request("GET", f"/{bucket}", {"list-type": "2", "prefix": "p/"})[0] == 200, "LIST of another prefix")
    expect(through("GET", f"/{bucket}/sel/a")[0] == 200, "a LIST rule took a GET")
    ctl("clear")
    ctl("add", fault="expired", key="OLD")
    expect(error_of(S3(endpoint, access="OLD").request("GET", f"/{bucket}/sel/a"), 403, "ExpiredToken"), "a request of the old key")
    expect(through("GET", f"/{bucket}/sel/a")[0] == 200, "a request of the new key")
    ctl("clear")
    ctl("add", fault="delay", ms=200)
    ctl("add", fault="slowdown", count=1)
    t = time.monotonic()
    expect(through("GET", f"/{bucket}/sel/a")[0] == 503 and time.monotonic() - t >= 0.2, "a delay and a fault together")
    ctl("clear")
    for bad in ({"fault": "nonsense"}, {"fault": "delay", "name": "("}):
        try:
            ctl("add", **bad)
        except SystemExit:
            continue
        expect(False, f"a bad rule was taken: {bad}")
    print("selection by method, name, key, skip and count: ok")


def dice():
    """The same seed: the same faults for a name, whatever comes in between. Proxies of their own, for their dice."""
    seen = []
    for run, seed in enumerate((7, 7, 8)):
        d = os.path.join(folder, f"dice{run}")
        os.mkdir(d)
        p = subprocess.Popen([sys.executable, "proxy.py", "serve", upstream, d, "--seed", str(seed)])
        try:
            until(lambda d=d: os.path.exists(os.path.join(d, "endpoint")), "a proxy does not start")
            with open(os.path.join(d, "endpoint")) as f:
                c = S3(f.read().strip())
            proxy.ctl(d, "add", ["fault=slowdown", "p=0.3"])
            got = []
            for i in range(100):
                if run and i % 3:
                    c.request("GET", f"/{bucket}/sel/b1")
                got.append(c.request("GET", f"/{bucket}/sel/a")[0])
            seen.append(got)
        finally:
            p.kill()
            p.wait()
    expect(seen[0] == seen[1] != seen[2], "the seed does not decide")
    n = seen[0].count(503)
    expect(10 <= n <= 55 and seen[0].count(200) == 100 - n, f"p=0.3 hit {n} of 100")
    print(f"probability and seed: ok ({n} of 100 at 0.3)")


def parallel():
    """Many connections; what was faulted stands in the log."""
    ctl("add", fault="error_after", op="PUT", name="^par/", p=0.5)
    got = {}

    def work(t):
        c = S3(endpoint)
        for i in range(10):
            n = f"par/{t:02d}{i}"
            got[n] = c.request("PUT", f"/{bucket}/{n}", body=n.encode())[0]

    threads = [threading.Thread(target=work, args=(t,)) for t in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    ctl("clear")
    with open(os.path.join(folder, "log")) as f:
        log = {e["name"]: e for e in map(json.loads, f) if e.get("name", "").startswith("par/")}
    expect(len(got) == len(log) == 160, f"{len(got)} answers, {len(log)} in the log")
    for n, status in got.items():
        expect(status == (500 if log[n]["faults"] else 200), f"{n}: status {status}, the log says {log[n]}")
        expect(there(f"/{bucket}/{n}") == n.encode(), f"{n} is not there, whatever its answer was")
    print("16 connections at once, log: ok")


pass_through()
plain_faults()
short_body()
other_ranges()
redirected()
replace()
slow()
held()
late()
selection()
dice()
parallel()
