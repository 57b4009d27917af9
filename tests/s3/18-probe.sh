# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# DESCRIPTION: zerofs probe on s3://: beside a volume of which nothing changes; a store without create-only PUT is found out, and
# gets no volume from format either; what cannot be used is said in one line; SIGTERM. Nothing is left in the bucket.
# limit: 300
. tests/s3/lib.sh

s3 PUT /probe > "$ZT_TMP/out"
head -c 32 /dev/urandom > "$ZT_TMP/key"
key=$ZT_TMP/key
at="region=default&plain-http=yes"
prices="--prices share/zerofs/prices.conf --price-section aws/us-east-1"

# keys: the names and sums of all objects.
keys() { s3 GET /probe | grep -oE '<(Key|ETag)>[^<]*' || true; }

zerofs format --size 1G --key-file "$key" "s3://probe/vol?endpoint=$ZT_S3&$at" > "$ZT_TMP/out"
before=$(keys)
[ -n "$before" ] || fail "format made no object"

# unchanged WHAT: nothing was written, or nothing is left.
unchanged() { [ "$before" = "$(keys)" ] || fail "$1: the bucket has changed: $(diff <(echo "$before") <(keys))"; }

# The table, beside the volume.
# shellcheck disable=SC2086 # several words
zerofs probe $prices --samples 5 --seconds 300ms "s3://probe/vol?endpoint=$ZT_S3&$at" > "$ZT_TMP/table" || fail "probe: $(cat "$ZT_TMP/table")"
unchanged 'probe'
[ "$(tail -1 "$ZT_TMP/table")" = 'verdict: usable' ] || fail "verdict: $(cat "$ZT_TMP/table")"
[ "$(grep -c ' PASS ' "$ZT_TMP/table")" -ge 12 ] || fail "not all is well: $(cat "$ZT_TMP/table")"
grep -qE "^clock +PASS +the store's" "$ZT_TMP/table" || fail "the clock: $(cat "$ZT_TMP/table")"
grep -qE '^PUT throughput +- +[0-9.]+ MB/s' "$ZT_TMP/table" || fail "no throughput: $(cat "$ZT_TMP/table")"
grep -qE '^  total +[0-9]+\.[0-9]{4} USD' "$ZT_TMP/table" || fail "no bill: $(cat "$ZT_TMP/table")"
cat "$ZT_TMP/table"

# A store that does not know If-None-Match: the condition is lost on the way, the request is signed without it.
proxy_start "$ZT_TMP/proxy"
via="endpoint=$(cat "$ZT_TMP/proxy/endpoint")&$at"
proxy "$ZT_TMP/proxy" add fault=replace op=PUT > "$ZT_TMP/out"
rc=0
zerofs probe --samples 5 --seconds 300ms "s3://probe/vol?$via" > "$ZT_TMP/table" 2> "$ZT_TMP/err" || rc=$?
[ $rc = 1 ] || fail "status $rc on a store without create-only PUT: $(cat "$ZT_TMP/table")"
grep -qE '^create-only PUT +FAIL +.*overwritten' "$ZT_TMP/table" || fail "create-only: $(cat "$ZT_TMP/table")"
grep -qE '^race of creates +FAIL ' "$ZT_TMP/table" || fail "race: $(cat "$ZT_TMP/table")"
tail -1 "$ZT_TMP/table" | grep -qE '^verdict: NOT usable: create-only PUT: .*never use zerofs on it' || fail "verdict: $(tail -1 "$ZT_TMP/table")"
! grep -q '^PUT 4 KiB' "$ZT_TMP/table" || fail "figures of a store that is of no use"
unchanged 'a store without create-only PUT'
refused 1 'created twice' zerofs format --size 1G --key-file "$key" "s3://probe/new?$via"
unchanged 'format on it'
# Nor is one served that was made elsewhere.
rc=0
timeout 60 nbdkit -f -U "$ZT_TMP/sock" build/nbdkit-zerofs-plugin.so "s3://probe/vol?$via" key-file="$key" state-dir="$ZT_TMP/state" \
	memory=128M > "$ZT_TMP/out" 2>&1 || rc=$?
[ $rc = 1 ] && grep -q '^nbdkit: error: .*lets a name be created twice' "$ZT_TMP/out" || fail "the plugin: status $rc, $(cat "$ZT_TMP/out")"
unchanged 'an attach to it'
# Only where they race.
proxy "$ZT_TMP/proxy" clear > "$ZT_TMP/out"
proxy "$ZT_TMP/proxy" add fault=replace op=PUT name=/r/ > "$ZT_TMP/out"
rc=0
zerofs probe --json --samples 0 --seconds 0 "s3://probe/vol?$via" > "$ZT_TMP/json" || rc=$?
$python - "$ZT_TMP/json" $rc <<'P' || fail "JSON: $(cat "$ZT_TMP/json")"
import json
import sys
j = json.load(open(sys.argv[1]))
assert sys.argv[2] == "1" and j["usable"] is False and j["verdict"] == "NOT usable"
assert [c["name"] for c in j["checks"] if c["result"] == "fail"] == ["race"]
P
unchanged 'a race'

# Latencies are those of the store.
proxy "$ZT_TMP/proxy" clear > "$ZT_TMP/out"
proxy "$ZT_TMP/proxy" add fault=delay ms=150 op=GET > "$ZT_TMP/out"
zerofs probe --samples 5 --seconds 0 "s3://probe/vol?$via" > "$ZT_TMP/table" || fail "delays: $(cat "$ZT_TMP/table")"
[ "$(sed -nE 's/^GET 4 KiB +- +p50 ([0-9]+)\..*/\1/p' "$ZT_TMP/table")" -ge 150 ] || fail "a GET takes 150 ms: $(cat "$ZT_TMP/table")"
unchanged 'delays'

# Something that a volume can do without.
proxy "$ZT_TMP/proxy" clear > "$ZT_TMP/out"
proxy "$ZT_TMP/proxy" add fault=answer status=403 code=AccessDenied op=PUT name='/p$' skip=1 > "$ZT_TMP/out"
zerofs probe --samples 1 --seconds 0 "s3://probe/vol?$via" > "$ZT_TMP/table" || fail "no replacing PUT: $(cat "$ZT_TMP/table")"
tail -1 "$ZT_TMP/table" | grep -qE '^verdict: usable, but replacing PUT: .*AccessDenied' || fail "verdict: $(tail -1 "$ZT_TMP/table")"
unchanged 'a replacing PUT that is refused'

# SIGTERM in the middle of it.
zerofs probe --samples 10000 --seconds 60 "s3://probe/vol?endpoint=$ZT_S3&$at" > "$ZT_TMP/table" 2> "$ZT_TMP/err" &
pid=$!
for _ in $(seq 200); do
	[ "$(keys | grep -c /s/)" -lt 5 ] || break
	sleep 0.05
done
keys | grep -q '/trial/' || fail "it writes nothing"
kill -TERM $pid
rc=0
wait $pid || rc=$?
[ $rc = 1 ] && grep -qx 'zerofs: probe: interrupted; everything that was written has been removed' "$ZT_TMP/err" || fail "SIGTERM: status $rc, $(cat "$ZT_TMP/err")"
unchanged 'SIGTERM'

# What cannot be used: one line, nothing on standard output, nothing written.
no() { refused "$1" "$2" zerofs probe --samples 1 --seconds 0 "$3"; }
no 2 'plain http' "s3://probe/vol?endpoint=$ZT_S3"
no 2 'no bucket' 's3:///vol'
no 2 'endpiont' "s3://probe/vol?endpiont=$ZT_S3&$at"
no 1 'NoSuchBucket' "s3://no-such-bucket/vol?endpoint=$ZT_S3&$at"
# With STS, which the gateway has, it does not say what of the keys is wrong; others do.
AWS_SECRET_ACCESS_KEY=wrong no 1 'AccessDenied; allow these keys' "s3://probe/vol?endpoint=$ZT_S3&$at"
AWS_ACCESS_KEY_ID=NOBODY no 1 'AccessDenied; allow these keys' "s3://probe/vol?endpoint=$ZT_S3&$at"
for code in SignatureDoesNotMatch InvalidAccessKeyId; do
	proxy "$ZT_TMP/proxy" clear > "$ZT_TMP/out"
	proxy "$ZT_TMP/proxy" add fault=answer status=403 code=$code > "$ZT_TMP/out"
	no 1 "403 $code" "s3://probe/vol?$via"
done
no 1 'connect' "s3://probe/vol?endpoint=http://127.0.0.1:1&$at"
proxy "$ZT_TMP/proxy" clear > "$ZT_TMP/out"
proxy "$ZT_TMP/proxy" add fault=html > "$ZT_TMP/out"
no 1 'no list in XML' "s3://probe/vol?$via"
proxy "$ZT_TMP/proxy" clear > "$ZT_TMP/out"
proxy "$ZT_TMP/proxy" add fault=answer status=301 code=PermanentRedirect region=eu-north-7 > "$ZT_TMP/out"
no 1 'region eu-north-7' "s3://probe/vol?$via"
# The region that the store names once is taken.
proxy "$ZT_TMP/proxy" clear > "$ZT_TMP/out"
proxy "$ZT_TMP/proxy" add fault=answer status=400 code=AuthorizationHeaderMalformed region=default count=1 > "$ZT_TMP/out"
zerofs probe --samples 1 --seconds 0 "s3://probe/vol?${via/region=default/region=eu-west-1}" > "$ZT_TMP/table" || fail "a wrong region: $(cat "$ZT_TMP/table")"
proxy "$ZT_TMP/proxy" clear > "$ZT_TMP/out"
proxy "$ZT_TMP/proxy" add fault=answer status=403 code=AccessDenied op=PUT > "$ZT_TMP/out"
rc=0
zerofs probe --samples 1 --seconds 0 "s3://probe/vol?$via" > "$ZT_TMP/table" 2> "$ZT_TMP/err" || rc=$?
[ $rc = 1 ] && tail -1 "$ZT_TMP/table" | grep -qE '^verdict: NOT usable: .*AccessDenied' || fail "keys that may not write: status $rc, $(cat "$ZT_TMP/table")"
unchanged 'what was refused'
# May write, and not delete: it says what it could not remove.
proxy "$ZT_TMP/proxy" clear > "$ZT_TMP/out"
proxy "$ZT_TMP/proxy" add fault=answer status=403 code=AccessDenied op=DELETE > "$ZT_TMP/out"
rc=0
zerofs probe --samples 1 --seconds 0 "s3://probe/vol?$via" > "$ZT_TMP/table" 2> "$ZT_TMP/err" || rc=$?
n=$(keys | grep -c /trial/) || true
[ $rc = 1 ] && [ "$n" -gt 0 ] && grep -qE "^clean-up +WARN +$n objects could not be removed from trial/.*AccessDenied" "$ZT_TMP/table" ||
	fail "keys that may not delete: status $rc, $n objects, $(cat "$ZT_TMP/table")"
