# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# DESCRIPTION: TLS with a real server: certificates that verify by ca= and by the environment, and those that do not (unknown, another
# host's, expired): one line, nothing written; bodies are not hashed twice; proxies by the usual environment, CONNECT too.
# limit: 240
. tests/s3/lib.sh

s3 PUT /tls > "$ZT_TMP/out"
key=$ZT_TMP/key
head -c 32 /dev/urandom > "$key"
keys() { s3 GET /tls | grep -o '<Key>[^<]*' || true; }
# format PATTERN URL: is refused so, and nothing was written.
format() {
	refused 1 "$1" zerofs format --size 1G --key-file "$key" "$2"
	[ "$before" = "$(keys)" ] || fail "what was refused has written: $(keys)"
}

# ---- a CA, and a server for each certificate of it
c=$ZT_TMP/certs
mkdir "$c"
ec=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
openssl req -x509 "${ec[@]}" -keyout "$c/ca.key" -out "$c/ca.pem" -days 2 -subj '/CN=a CA of this test' 2> "$ZT_TMP/out"
# server NAME SAN DAYS: its endpoint is in $c/NAME/endpoint.
server() {
	openssl req "${ec[@]}" -keyout "$c/$1.key" -out "$c/$1.csr" -subj '/CN=a store' 2> "$ZT_TMP/out"
	openssl x509 -req -in "$c/$1.csr" -CA "$c/ca.pem" -CAkey "$c/ca.key" -CAcreateserial -days "$3" -out "$c/$1.pem" \
		-extfile <(echo "subjectAltName=$2") 2> "$ZT_TMP/out"
	proxy_start "$c/$1" "$ZT_S3" --tls "$c/$1.pem" "$c/$1.key"
}
server good IP:127.0.0.1 2
server other DNS:elsewhere.test 2
server old IP:127.0.0.1 -1
good=$(cat "$c/good/endpoint") other=$(cat "$c/other/endpoint") old=$(cat "$c/old/endpoint")

# ---- those that verify
zerofs format --size 1G --key-file "$key" "s3://tls/vol?endpoint=$good&ca=$c/ca.pem" > "$ZT_TMP/out" || fail "a certificate that verifies"
AWS_CA_BUNDLE=$c/ca.pem zerofs key list --key-file "$key" "s3://tls/vol?endpoint=$good" | grep -q key-file || fail "AWS_CA_BUNDLE"
before=$(keys)
[ -n "$before" ] || fail "nothing was written over TLS"
# Each body went unhashed, but for its CRC; what has none, too.
$python - "$c/good/log" <<'P' || fail "the payload over TLS"
import json
import sys
puts = [e for e in map(json.loads, open(sys.argv[1])) if "op" in e]
assert any(e["op"] == "PUT" and e["body"] for e in puts)
for e in puts:
    assert e["payload"] == "UNSIGNED-PAYLOAD", e
    assert e["op"] != "PUT" or e["crc32c"], e
P
proxy_start "$ZT_TMP/plain"
zerofs key list --key-file "$key" "s3://tls/vol?endpoint=$(cat "$ZT_TMP/plain/endpoint")&plain-http=yes" > "$ZT_TMP/out"
! grep -q UNSIGNED "$ZT_TMP/plain/log" || fail "unsigned over plain HTTP"
echo "TLS: ok"

# ---- those that do not
format 'certificate problem: unable to get local issuer' "s3://tls/new?endpoint=$good"
format "certificate.* name .*127\.0\.0\.1" "s3://tls/new?endpoint=$other&ca=$c/ca.pem"
format 'certificate has expired' "s3://tls/new?endpoint=$old&ca=$c/ca.pem"
format "$c/none" "s3://tls/new?endpoint=$good&ca=$c/none"
format "$key" "s3://tls/new?endpoint=$good&ca=$key"
# the other protocol than the URL says, either way
format 'SSL' "s3://tls/new?endpoint=${ZT_S3/http:/https:}"
format 'does not answer' "s3://tls/new?endpoint=${good/https:/http:}&plain-http=yes"

# ---- proxies
mkdir "$ZT_TMP/fwd"
$python tests/s3/forward.py "$ZT_TMP/fwd" &
proxies+=($!)
for _ in $(seq 100); do
	[ ! -e "$ZT_TMP/fwd/url" ] || break
	sleep 0.1
done
via=$(cat "$ZT_TMP/fwd/url")
log=$ZT_TMP/fwd/log
plain="s3://tls/vol?endpoint=$ZT_S3&plain-http=yes" tls="s3://tls/vol?endpoint=$good&ca=$c/ca.pem"
# list VARIABLE=VALUE... URL PATTERN: key list works, and what the proxy saw is PATTERN ("": nothing).
list() {
	local url=${*: -2:1} want=${*: -1}
	: > "$log"
	env "${@:1:$#-2}" zerofs key list --key-file "$key" "$url" > "$ZT_TMP/out" 2>&1 || fail "key list with ${*:1:$#-2}: $(cat "$ZT_TMP/out")"
	grep -q key-file "$ZT_TMP/out" || fail "key list says: $(cat "$ZT_TMP/out")"
	if [ -n "$want" ]; then
		[ -s "$log" ] && ! grep -qvE "$want" "$log" || fail "${*:1:$#-2}: the proxy saw: $(cat "$log")"
	else
		[ ! -s "$log" ] || fail "${*:1:$#-2}: the proxy was asked: $(cat "$log")"
	fi
}
list http_proxy="$via" "$plain" "^GET $ZT_S3/tls.* 20[06]$"
list http_proxy="$via" no_proxy=localhost,127.0.0.1 "$plain" ''
list http_proxy="$via" no_proxy='*' "$plain" ''
list https_proxy="$via" "$plain" ''
list https_proxy="$via" "$tls" "^CONNECT ${good#https://} 200$"
list HTTPS_PROXY="$via" "$tls" "^CONNECT ${good#https://} 200$"
list all_proxy="$via" "$tls" "^CONNECT ${good#https://} 200$"
list https_proxy="$via" no_proxy=127.0.0.1 "$tls" ''
list http_proxy="$via" "$tls" ''
https_proxy=$via zerofs key add --key-file "$key" --new-key-file <(head -c 32 /dev/urandom) "$tls" > "$ZT_TMP/out" || fail "a PUT by CONNECT"
before=$(keys)
# A certificate is the store's also behind a proxy, and one that refuses is said.
https_proxy=$via format "certificate.* name .*127\.0\.0\.1" "s3://tls/new?endpoint=$other&ca=$c/ca.pem"
touch "$ZT_TMP/fwd/deny"
https_proxy=$via format 'does not answer.*403' "s3://tls/new?endpoint=$good&ca=$c/ca.pem"
http_proxy=$via format '403 with a page of HTML' "s3://tls/new?endpoint=$ZT_S3&plain-http=yes"
https_proxy=http://someone:hunter2@127.0.0.1:1 format 'does not answer.*127.0.0.1' "s3://tls/new?endpoint=$good&ca=$c/ca.pem"
! grep -q hunter2 "$ZT_TMP/stderr" || fail "the proxy's password is said"
echo "proxies: ok"
