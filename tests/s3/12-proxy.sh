# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# DESCRIPTION: each fault of the proxy really happens, and only where it was asked for; over TLS too.
. tests/s3/lib.sh

s3 PUT /faults > "$ZT_TMP/out"
proxy_start "$ZT_TMP/proxy"
(cd tests/s3 && $python proxy_check.py "$ZT_S3" faults "$ZT_TMP/proxy")

openssl req -x509 -newkey rsa:2048 -nodes -keyout "$ZT_TMP/key.pem" -out "$ZT_TMP/cert.pem" -days 2 -subj /CN=127.0.0.1 \
	-addext subjectAltName=IP:127.0.0.1 2> "$ZT_TMP/out"
proxy_start "$ZT_TMP/tls" "$ZT_S3" --tls "$ZT_TMP/cert.pem" "$ZT_TMP/key.pem"
(cd tests/s3 && $python - "$(cat "$ZT_TMP/tls/endpoint")" "$ZT_TMP/cert.pem" <<'P'
import ssl
import sys
from s3req import S3
assert S3(sys.argv[1], ca=sys.argv[2]).create("/faults/tls", b"over TLS") == 200
try:
    S3(sys.argv[1]).create("/faults/tls2", b"")
    sys.exit("a certificate that does not verify was taken")
except ssl.SSLCertVerificationError:
    pass
P
)
[ "$(s3 GET /faults/tls)" = 'over TLS' ] || fail "what was put over TLS is not there"
echo "TLS: ok"
