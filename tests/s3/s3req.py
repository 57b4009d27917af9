# SPDX-License-Identifier: GPL-2.0-or-later
"""S3 requests for tests, signed (Signature Version 4), with nothing but Python's own library. On purpose it shares nothing with
the daemon's signer, so that neither can be wrong in the other's way."""
import hashlib
import hmac
import http.client
import ssl
import time
import urllib.parse


def quote(s):
    return urllib.parse.quote(s, safe="-_.~")


class S3:
    """One connection to an endpoint; not for several threads at once."""

    def __init__(self, endpoint, access="AK", secret="SK", region="default", token=None, timeout=60, ca=None):
        u = urllib.parse.urlsplit(endpoint)
        self.host, self.access, self.secret, self.region, self.token = u.netloc, access, secret, region, token
        if u.scheme == "https":
            self.conn = http.client.HTTPSConnection(u.netloc, timeout=timeout, context=ssl.create_default_context(cafile=ca))
        else:
            self.conn = http.client.HTTPConnection(u.netloc, timeout=timeout)

    def sign(self, method, path, query, headers, body):
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        scope = f"{now[:8]}/{self.region}/s3/aws4_request"
        h = {k.lower(): v for k, v in headers.items()}
        h["host"] = self.host
        h["x-amz-date"] = now
        h["x-amz-content-sha256"] = hashlib.sha256(body).hexdigest()
        if self.token:
            h["x-amz-security-token"] = self.token
        names = ";".join(sorted(h))
        canon = "\n".join([method, path, query, "".join(f"{k}:{h[k]}\n" for k in sorted(h)), names, h["x-amz-content-sha256"]])
        what = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canon.encode()).hexdigest()])
        k = ("AWS4" + self.secret).encode()
        for part in scope.split("/"):
            k = hmac.new(k, part.encode(), hashlib.sha256).digest()
        sig = hmac.new(k, what.encode(), hashlib.sha256).hexdigest()
        h["authorization"] = f"AWS4-HMAC-SHA256 Credential={self.access}/{scope}, SignedHeaders={names}, Signature={sig}"
        return h

    def request(self, method, path, query=None, headers=None, body=b""):
        """Status, headers, body. Errors of the connection are OSError or http.client.HTTPException; the next call connects anew."""
        q = "&".join(f"{quote(k)}={quote(v)}" for k, v in sorted((query or {}).items()))
        p = urllib.parse.quote(path, safe="/-_.~")
        h = self.sign(method, p, q, headers or {}, body)
        try:
            self.conn.request(method, p + ("?" + q if q else ""), body=body if method == "PUT" else None, headers=h)
            r = self.conn.getresponse()
            return r.status, r.headers, r.read()
        except BaseException:
            self.conn.close()
            raise

    def create(self, path, body):
        """A PUT that must not find the name taken."""
        return self.request("PUT", path, headers={"if-none-match": "*"}, body=body)[0]
