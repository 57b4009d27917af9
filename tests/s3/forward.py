#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""forward.py FOLDER: an HTTP proxy as http_proxy and https_proxy name one, on a free port of loopback until it is killed: whole
URLs, and CONNECT. FOLDER then has `url` and `log`, a line "METHOD TARGET STATUS" per request. With FOLDER/deny it answers 403."""
import http.client
import http.server
import os
import select
import socket
import sys
import urllib.parse

folder = sys.argv[1]
HOP = ("proxy-connection", "connection", "keep-alive", "transfer-encoding", "content-length")


class Forward(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def note(self, status):
        with open(os.path.join(folder, "log"), "a") as f:
            f.write(f"{self.command} {self.path} {status}\n")

    def denied(self):
        if not os.path.exists(os.path.join(folder, "deny")):
            return False
        self.note(403)
        self.answer(403, "Forbidden", [("Content-Type", "text/html")], b"<!DOCTYPE html><html><body>not from here<br></body></html>")
        return True

    def answer(self, status, reason, headers, data):
        self.send_response_only(status, reason)
        for k, v in headers:
            if k.lower() not in HOP:
                self.send_header(k, v)
        if status != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_CONNECT(self):
        if self.denied():
            return
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port))) as up:
            self.note(200)
            self.connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            self.close_connection = True
            ends = {self.connection: up, up: self.connection}
            while True:
                for s in select.select(list(ends), [], [])[0]:
                    data = s.recv(65536)
                    if not data:
                        return
                    ends[s].sendall(data)

    def forward(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.denied():
            return
        u = urllib.parse.urlsplit(self.path)
        up = http.client.HTTPConnection(u.netloc)
        up.putrequest(self.command, u.path + ("?" + u.query if u.query else ""), skip_host=True, skip_accept_encoding=True)
        for k, v in self.headers.items():
            if k.lower() not in HOP:
                up.putheader(k, v)
        if "Content-Length" in self.headers:
            up.putheader("Content-Length", str(len(body)))
        up.endheaders(body or None)
        r = up.getresponse()
        data = r.read()
        up.close()
        self.note(r.status)
        self.answer(r.status, r.reason, r.headers.items(), data)

    do_GET = do_PUT = do_DELETE = forward


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_):
        """A client that resets its connection, or a server that does, is no news here."""


server = Server(("127.0.0.1", 0), Forward)
server.daemon_threads = True
path = os.path.join(folder, "url")
with open(path + ".new", "w") as f:
    f.write(f"http://127.0.0.1:{server.server_address[1]}\n")
os.rename(path + ".new", path)
server.serve_forever()
