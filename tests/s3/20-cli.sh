# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# DESCRIPTION: the commands on s3://: a volume is made, read and given keys. What is wrong is said in one line, with a status, and
# nothing is written: no consent to plain HTTP, a bucket that is not there, wrong keys, a certificate that does not verify, HTML.
. tests/s3/lib.sh

s3 PUT /cli > "$ZT_TMP/out"
head -c 32 /dev/urandom > "$ZT_TMP/key"
key=$ZT_TMP/key
at="endpoint=$ZT_S3&plain-http=yes"

# keys BUCKET: the names of its objects.
keys() { s3 GET "/$1" | grep -o '<Key>[^<]*' || true; }

# A volume.
zerofs format --size 1G --devices 2 --key-file "$key" "s3://cli/vol?$at" > "$ZT_TMP/out" || fail "format: $(cat "$ZT_TMP/out")"
grep -q "^formatted 'vol' .*: 2 devices of 1.0 GiB" "$ZT_TMP/out" || fail "format says: $(cat "$ZT_TMP/out")"
before=$(keys cli)
[ -n "$before" ] || fail "format made no object"
[ -z "$(grep -v '<Key>vol/' <<< "$before")" ] || fail "objects beside the prefix: $before"
zerofs key list --key-file "$key" "s3://cli/vol?$at" | grep -q key-file || fail "key list"
refused 1 'already' zerofs format --size 1G --key-file "$key" "s3://cli/vol?$at"
head -c 32 /dev/urandom > "$ZT_TMP/other"
refused 1 'does not unlock' zerofs key list --key-file "$ZT_TMP/other" "s3://cli/vol?$at"
[ "$before" = "$(keys cli)" ] || fail "a command that only reads changed the store"
zerofs key add --key-file "$key" --new-key-file "$ZT_TMP/other" "s3://cli/vol?$at" > "$ZT_TMP/out"
zerofs key list --key-file "$ZT_TMP/other" "s3://cli/vol?$at" > "$ZT_TMP/out" || fail "the key that was added opens nothing"
before=$(keys cli)

# Others' objects among those of a volume: more than a page, with characters that XML cannot carry, also where a page ends.
(cd tests/s3 && $python - "$ZT_S3" <<'P'
import sys
from s3req import S3
s = S3(sys.argv[1])
for folder in "", "keys/", "head/":
    for name in ["", *(f"A\x01{i:03}" for i in range(120))]:
        assert s.request("PUT", f"/cli/vol/{folder}{name}", body=b"x")[0] == 200
P
)
zerofs key list --key-file "$key" "s3://cli/vol?$at" | grep -q key-file || fail "key list among others' objects"
refused 1 'already' zerofs format --size 1G --key-file "$key" "s3://cli/vol?$at"
before=$(keys cli)

# format PATTERN URL: is refused so.
format() { refused 1 "$1" zerofs format --size 1G --key-file "$key" "$2"; }
refused 2 'plain http' zerofs format --size 1G --key-file "$key" "s3://cli/new?endpoint=$ZT_S3"
format 'bucket' "s3://no-such-bucket/new?$at"
AWS_SECRET_ACCESS_KEY=wrong format 'SignatureDoesNotMatch|secret|key' "s3://cli/new?$at"
AWS_ACCESS_KEY_ID=NOBODY format 'InvalidAccessKeyId|key' "s3://cli/new?$at"

openssl req -x509 -newkey rsa:2048 -nodes -keyout "$ZT_TMP/key.pem" -out "$ZT_TMP/cert.pem" -days 2 -subj /CN=127.0.0.1 \
	-addext subjectAltName=IP:127.0.0.1 2> "$ZT_TMP/out"
proxy_start "$ZT_TMP/tls" "$ZT_S3" --tls "$ZT_TMP/cert.pem" "$ZT_TMP/key.pem"
tls=$(cat "$ZT_TMP/tls/endpoint")
format 'certificate' "s3://cli/new?endpoint=$tls"
zerofs key list --key-file "$key" "s3://cli/vol?endpoint=$tls&ca=$ZT_TMP/cert.pem" > "$ZT_TMP/out" || fail "a certificate that verifies"

proxy_start "$ZT_TMP/proxy"
proxy "$ZT_TMP/proxy" add fault=html > "$ZT_TMP/out"
format 'no list in XML' "s3://cli/new?endpoint=$(cat "$ZT_TMP/proxy/endpoint")&plain-http=yes"
[ "$before" = "$(keys cli)" ] || fail "what was refused has written: $(keys cli)"
