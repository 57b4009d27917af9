#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A proxy before an S3 server that does on demand what networks and stores do. Only Python's own library.

  proxy.py serve UPSTREAM FOLDER [--seed N] [--tls CERT KEY]   serves on a free port of loopback until it is killed; FOLDER then
                                 [--port N]                    has endpoint, pid, log (a JSON line per request) and ctl, a socket
  proxy.py ctl FOLDER COMMAND [KEY=VALUE...]                   one command to it; prints the answer, a line of JSON

Commands:
  add fault=NAME [op=PUT|GET|LIST|DELETE|HEAD] [name=REGEX] [key=ACCESS] [skip=N] [count=N] [p=PROBABILITY] [FAULT'S OWN...]
             a rule; answers its id. name: the object's name after the bucket (LIST: the prefix); key: only requests signed with
             that access key; skip: so many first ones pass; count: so many at most, then never again; p: with the seed's dice.
             The first rule that applies is what happens; delay and bandwidth go together with it.
             ms=A upto=B, seconds=A upto=B: as many as the dice say, from A to B
  fired id=N       how often it has
  hits             the same of all there were since the start: [[fault, op, often]...]
  clear            forget all rules (what is held stays held)
  release          let everything held through, now
  held             how many are

Faults:
  delay ms=N              before anything else
  bandwidth bps=N         bytes a second, both ways, of this request
  slowdown                503 SlowDown; the store sees nothing
  error_before            500 InternalError; the store sees nothing
  error_after             500 InternalError, when the store has done it
  reset_before            the connection is reset; the store sees nothing
  reset_after             the connection is reset, when the store has done it
  half_request            the store gets half of the body, then both connections are reset
  short_body              the answer's headers promise all of the body, half of it comes, then the connection ends
  skewed shift=SECONDS    403 RequestTimeTooSkewed; Date is so much off from here
  expired                 403 ExpiredToken
  conflict                409 ConditionalRequestConflict
  hold [seconds=N, ms=N]  taken whole, then held for so long or until `release`; then let through even if the client is gone
  replace                 a create replaces what is there, as by a store that does not know the condition; signed anew with AK, SK
  html [status=200]       a page of HTML; the store sees nothing
  answer status=N code=X [region=R]  an error of the store's form; the store sees nothing
  hang                    no answer at all; the store sees nothing (`release` ends it: the connection is reset)
  late ms=N               the connection is reset at once; the store gets the request so much later
  again ms=N              done and answered; so much later the store gets the same request once more
  less                    a whole and consistent answer of half of the range that was asked for
  shifted                 as many bytes as were asked for, of a range that begins one byte later, and says so
  redirect                307, back to the same place; the store sees nothing

The dice are the seed's, for each rule, kind of request and name by themselves: what happens to the third PUT of a name does not
depend on what else there is, or in which order it comes.
"""
import email.utils
import http.client
import json
import os
import random
import re
import socket
import ssl
import struct
import sys
import threading
import time
import urllib.parse

from s3req import S3

FAULTS = {"delay", "bandwidth", "slowdown", "error_before", "error_after", "reset_before", "reset_after", "half_request", "short_body",
          "skewed", "expired", "conflict", "hold", "html", "answer", "hang", "late", "again", "less", "shifted", "redirect",
          "replace"}
WITH_OTHERS = {"delay", "bandwidth"}
NUMBERS = {"skip", "count", "ms", "bps", "upto", "shift", "seconds", "status", "id"}
CODES = {"slowdown": (503, "SlowDown"), "error_before": (500, "InternalError"), "error_after": (500, "InternalError"),
         "skewed": (403, "RequestTimeTooSkewed"), "expired": (403, "ExpiredToken"), "conflict": (409, "ConditionalRequestConflict")}


class Gone(Exception):
    """The client's connection has ended."""


class Rules:
    def __init__(self, seed):
        self.lock = threading.Lock()
        self.seed = seed
        self.seen = {}
        self.rules = []
        self.all = []
        self.fired = []
        self.generation = 0
        self.held = 0
        self.released = threading.Condition(self.lock)

    def add(self, rule):
        if rule.get("fault") not in FAULTS:
            raise ValueError(f"no such fault: {rule.get('fault')}")
        rule["p"] = float(rule.get("p", 1))
        rule["re"] = re.compile(rule.pop("name", ""))
        with self.lock:
            rule["id"] = len(self.fired)
            self.fired.append(0)
            self.rules.append(rule)
            self.all.append(rule)
            return rule["id"]

    def dice(self, rule, req):
        """Of this request under this rule."""
        which = (rule["id"], req.op, req.name)
        n = self.seen[which] = self.seen.get(which, 0) + 1
        return random.Random(f"{self.seed} {which} {n}")

    def applies(self, rule, req):
        if rule.get("op", req.op) != req.op or not rule["re"].search(req.name) or rule.get("key", req.key) != req.key:
            return False
        if rule.get("skip", 0) > 0:
            rule["skip"] -= 1
            return False
        if "count" in rule and self.fired[rule["id"]] >= rule["count"]:
            return False
        dice = self.dice(rule, req)
        if rule["p"] < 1 and dice.random() >= rule["p"]:
            return False
        drawn = {}
        for unit in ("ms", "seconds"):
            if unit in rule:
                drawn[unit] = dice.uniform(rule[unit], rule.get("upto", rule[unit]))
        return {**rule, **drawn}

    def choose(self, req):
        """What happens to this request: {fault: rule, with what the dice say of it}."""
        ret = {}
        with self.lock:
            for rule in self.rules:
                kind = rule["fault"] if rule["fault"] in WITH_OTHERS else "fault"
                applied = kind not in ret and self.applies(rule, req)
                if applied:
                    self.fired[rule["id"]] += 1
                    ret[kind] = applied
        return ret

    def hold(self, seconds):
        with self.lock:
            self.held += 1
            was = self.generation
            self.released.wait_for(lambda: self.generation != was, seconds)
            self.held -= 1

    def command(self, c):
        what = c.pop("command")
        if what == "add":
            return self.add(c)
        with self.lock:
            if what == "fired":
                return self.fired[c["id"]]
            if what == "hits":
                return [[r["fault"], r.get("op", ""), self.fired[r["id"]]] for r in self.all]
            if what == "held":
                return self.held
            if what == "clear":
                self.rules = []
                return None
            if what == "release":
                self.generation += 1
                self.released.notify_all()
                return None
        raise ValueError(f"no such command: {what}")


class Request:
    """What came in: the head, and the body whole."""

    def __init__(self, f):
        line = f.readline(65536)
        if not line:
            raise Gone
        self.method, self.target, _ = line.decode("latin-1").split()
        self.headers = http.client.parse_headers(f)
        u = urllib.parse.urlsplit(self.target)
        query = urllib.parse.parse_qs(u.query, keep_blank_values=True)
        self.name = urllib.parse.unquote(u.path).lstrip("/").partition("/")[2]
        self.op = self.method
        if self.method == "GET" and not self.name:
            self.op, self.name = "LIST", query.get("prefix", [""])[0]
        m = re.search(r"Credential=([^/]*)/", self.headers.get("Authorization", ""))
        self.key = m.group(1) if m else ""
        self.length = int(self.headers.get("Content-Length", 0))
        self.keep = self.headers.get("Connection", "").lower() != "close"


def paced(write, data, bps):
    """Writes in pieces of 20 ms."""
    if not bps:
        write(data)
        return
    step = max(bps // 50, 1)
    start = time.monotonic()
    for off in range(0, len(data), step):
        piece = data[off:off + step]
        write(piece)
        wait = start + (off + len(piece)) / bps - time.monotonic()
        if wait > 0:
            time.sleep(wait)


class Connection:
    def __init__(self, proxy, sock):
        self.proxy, self.sock = proxy, sock
        self.up = None

    def serve(self):
        try:
            if self.proxy.tls:
                self.sock = self.proxy.tls.wrap_socket(self.sock, server_side=True)
            self.file = self.sock.makefile("rb")
            while self.one():
                pass
        except (Gone, OSError, ValueError, http.client.HTTPException) as e:
            self.proxy.log(error=repr(e))
        finally:
            if self.up:
                self.up.close()
            self.sock.close()

    def reset(self):
        """RST, not FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.file.close()
        self.sock.close()
        return False

    def read_body(self, req, bps):
        if req.headers.get("Expect", "").lower() == "100-continue":
            self.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        parts = []
        paced(lambda p: parts.append(self.file.read(len(p))), bytes(req.length), bps)
        body = b"".join(parts)
        if len(body) != req.length:
            raise Gone
        return body

    def forward(self, req, body, promise=None):
        """To the server, headers as they came: the signature covers Host. @promise: more bytes than the body has are announced."""
        if not self.up:
            self.up = http.client.HTTPConnection(self.proxy.upstream, timeout=600)
            self.up.connect()
            self.up.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.up.putrequest(req.method, req.target, skip_host=True, skip_accept_encoding=True)
        for k, v in req.headers.items():
            if k.lower() not in ("expect", "connection", "content-length"):
                self.up.putheader(k, v)
        if body or promise or "Content-Length" in req.headers:
            self.up.putheader("Content-Length", str(promise or len(body)))
        self.up.endheaders(body or None)
        if promise:
            self.up.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.up.close()
            self.up = None
            return None
        r = self.up.getresponse()
        data = r.read()
        if r.will_close:
            self.up.close()
            self.up = None
        return r.status, r.reason, r.headers, data

    def send(self, req, status, reason, headers, data, bps=None, cut=False):
        head = [f"HTTP/1.1 {status} {reason}"]
        head += [f"{k}: {v}" for k, v in headers if k.lower() not in ("content-length", "connection", "transfer-encoding", "keep-alive")]
        length = len(data)
        if req.method == "HEAD":
            length = next((v for k, v in headers if k.lower() == "content-length"), 0)
        if status != 204:
            head.append(f"Content-Length: {length}")
        head.append("Connection: " + ("keep-alive" if req.keep else "close"))
        self.sock.sendall("\r\n".join(head).encode("latin-1") + b"\r\n\r\n")
        paced(self.sock.sendall, data[:len(data) // 2] if cut else data, bps)
        return req.keep and not cut

    def error(self, req, status, code, shift=0, region=None):
        xml = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>injected</Message>' \
              f"{f'<Region>{region}</Region>' if region else ''}<RequestId>proxy</RequestId></Error>"
        headers = [("Date", email.utils.formatdate(time.time() + shift, usegmt=True)), ("Content-Type", "application/xml")]
        return self.send(req, status, http.client.responses.get(status, "Error"), headers,
                         b"" if req.method == "HEAD" else xml.encode())

    def later(self, req, body, ms, entry):
        """The store gets it after so long, whatever has become of the client."""
        came = entry["came"]

        def run():
            time.sleep(ms / 1000)
            conn = Connection(self.proxy, None)
            try:
                status = conn.forward(req, body)[0]
                self.proxy.log(op=req.op, name=req.name, faults=["landed"], came=came, landed=time.monotonic(), status=status)
            except (OSError, http.client.HTTPException) as e:
                self.proxy.log(op=req.op, name=req.name, faults=["landed"], came=came, upstream=repr(e))
            finally:
                if conn.up:
                    conn.up.close()

        threading.Thread(target=run, daemon=True).start()

    @staticmethod
    def spoil(fault, headers, data):
        """A GET's answer for another range than the one that was asked for."""
        m = re.match(r"bytes (\d+)-(\d+)/(\d+)$", headers.get("Content-Range", ""))
        if not m or len(data) < 2:
            return data
        start, end, total = map(int, m.groups())
        if fault == "less":
            data = data[:len(data) // 2]
            end = start + len(data) - 1
        else:
            data = data[1:] + b"\0"
            start, end, total = start + 1, end + 1, max(total, end + 2)
        del headers["Content-Range"]
        headers["Content-Range"] = f"bytes {start}-{end}/{total}"
        return data

    def one(self):
        """One request and its answer; False ends the connection."""
        req = Request(self.file)
        what = self.proxy.rules.choose(req)
        bps = what["bandwidth"]["bps"] if "bandwidth" in what else None
        rule = what.get("fault", {})
        fault = rule.get("fault")
        body = self.read_body(req, bps)
        entry = {"op": req.op, "name": req.name, "key": req.key, "faults": sorted(r["fault"] for r in what.values()), "body": len(body),
                 "payload": req.headers.get("x-amz-content-sha256"), "crc32c": req.headers.get("x-amz-checksum-crc32c"),
                 "came": time.monotonic()}
        try:
            if "delay" in what:
                time.sleep(what["delay"]["ms"] / 1000)
            return self.answer(req, body, rule, fault, bps, entry)
        finally:
            self.proxy.log(**entry)

    def answer(self, req, body, rule, fault, bps, entry):
        if fault == "hang":
            self.proxy.rules.hold(None)
            return self.reset()
        if fault == "reset_before":
            return self.reset()
        if fault == "late":
            self.later(req, body, rule["ms"], entry)
            return self.reset()
        if fault == "redirect":
            self.send(req, 307, "Temporary Redirect", [("Location", f"http://{req.headers.get('Host')}{req.target}")], b"")
            return req.keep
        if fault == "html":
            page = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body><p>Welcome to this network<br></body></html>"
            return self.send(req, rule.get("status", 200), "OK", [("Content-Type", "text/html")], page)
        if fault == "answer":
            return self.error(req, rule["status"], rule["code"], region=rule.get("region"))
        if fault in ("slowdown", "error_before", "skewed", "expired", "conflict"):
            return self.error(req, *CODES[fault], shift=rule.get("shift", 0))
        if fault == "half_request":
            self.forward(req, body[:len(body) // 2], promise=max(len(body), 1))
            return self.reset()
        if fault == "replace":
            # The condition is signed, too.
            path = urllib.parse.unquote(urllib.parse.urlsplit(req.target).path)
            status, headers, data = S3("http://" + self.proxy.upstream).request("PUT", path, body=body)
            entry.update(status=status, data=len(data))
            return self.send(req, status, http.client.responses.get(status, ""), headers.items(), data, bps)
        if fault == "hold":
            self.proxy.rules.hold(rule["ms"] / 1000 if "ms" in rule else rule.get("seconds"))
        try:
            status, reason, headers, data = self.forward(req, body)
        except (OSError, http.client.HTTPException) as e:
            # The server is away or has ended the connection: so does this, and nothing is made up.
            entry["upstream"] = repr(e)
            return self.reset()
        entry.update(status=status, data=len(data), landed=time.monotonic())
        if fault == "again":
            self.later(req, body, rule["ms"], entry)
        if fault in ("less", "shifted") and status == 206:
            data = self.spoil(fault, headers, data)
        if fault == "error_after":
            return self.error(req, *CODES[fault])
        if fault == "reset_after":
            return self.reset()
        return self.send(req, status, reason, headers.items(), data, bps, cut=fault == "short_body" and len(data) > 0)


class Proxy:
    def __init__(self, upstream, folder, seed, tls, port):
        self.upstream = urllib.parse.urlsplit(upstream).netloc
        self.rules = Rules(seed)
        self.folder = folder
        self.port = port
        self.tls = None
        if tls:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(*tls)
        self.log_lock = threading.Lock()
        self.log_file = open(os.path.join(folder, "log"), "a", buffering=1)
        self.t0 = time.monotonic()

    def log(self, **entry):
        with self.log_lock:
            self.log_file.write(json.dumps({"t": round(time.monotonic() - self.t0, 3), **entry}) + "\n")

    def control(self, listener):
        while True:
            sock, _ = listener.accept()
            with sock, sock.makefile("rw") as f:
                try:
                    answer = {"ok": self.rules.command(json.loads(f.readline()))}
                except (ValueError, KeyError, IndexError, TypeError, re.error) as e:
                    answer = {"error": str(e)}
                f.write(json.dumps(answer) + "\n")

    def serve(self):
        ctl = socket.socket(socket.AF_UNIX)
        ctl.bind(os.path.join(self.folder, "ctl"))
        ctl.listen(16)
        threading.Thread(target=self.control, args=(ctl,), daemon=True).start()
        listener = socket.create_server(("127.0.0.1", self.port), backlog=256)
        with open(os.path.join(self.folder, "pid"), "w") as f:
            f.write(f"{os.getpid()}\n")
        # Renamed into place: who sees it sees all of it.
        path = os.path.join(self.folder, "endpoint")
        with open(path + ".new", "w") as f:
            f.write(f"{'https' if self.tls else 'http'}://127.0.0.1:{listener.getsockname()[1]}\n")
        os.rename(path + ".new", path)
        while True:
            sock, _ = listener.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=Connection(self, sock).serve, daemon=True).start()


def ctl(folder, what, args):
    c = {"command": what}
    for a in args:
        k, _, v = a.partition("=")
        c[k] = int(v) if k in NUMBERS else v
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(os.path.join(folder, "ctl"))
        with s.makefile("rw") as f:
            f.write(json.dumps(c) + "\n")
            f.flush()
            answer = json.loads(f.readline())
    if "error" in answer:
        sys.exit(f"proxy: {answer['error']}")
    return answer["ok"]


def main():
    args = sys.argv[1:]
    if len(args) >= 3 and args[0] == "ctl":
        print(json.dumps(ctl(args[1], args[2], args[3:])))
        return
    if len(args) < 3 or args[0] != "serve":
        sys.exit(__doc__)
    seed, tls, port, rest = 1, None, 0, args[3:]
    while rest:
        if rest[0] == "--seed":
            seed, rest = int(rest[1]), rest[2:]
        elif rest[0] == "--port":
            port, rest = int(rest[1]), rest[2:]
        elif rest[0] == "--tls":
            tls, rest = rest[1:3], rest[3:]
        else:
            sys.exit(__doc__)
    Proxy(args[1], args[2], seed, tls, port).serve()


if __name__ == "__main__":
    main()
