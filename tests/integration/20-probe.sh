# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# DESCRIPTION: zerofs probe on a folder: table, verdict, JSON, status; beside a volume, of which nothing changes; ended by a
# signal; what is typed wrongly. Nothing is left in the folder.
. tests/integration/lib.sh
cd "$ZT_TMP"

# In memory, where fsync costs nothing: a probe makes hundreds of files.
ram=$(mktemp -d -p /dev/shm)
trap 'rm -rf "$ram"' EXIT
ln -s "$ram" v
url=file://$ZT_TMP/v
head -c 32 /dev/urandom > key
zerofs format --size 1G --key-file key "$url" > out
before=$(sums v)

# The table.
zerofs probe --samples 5 --seconds 0 "$url" > table 2> err || fail "probe: $(cat table err)"
[ ! -s err ] || fail "probe says: $(cat err)"
for row in 'bucket, credentials' 'read after write' 'create-only PUT' 'race of creates' 'LIST after write' 'ranged GET' 'LIST order' \
	'LIST in pages' 'DELETE' 'replacing PUT' 'clean-up'; do
	grep -qE "^$row +PASS  ." table || fail "no row '$row  PASS': $(cat table)"
done
for row in 'PUT 4 KiB' 'GET 4 KiB' LIST DELETE; do
	grep -qE "^$row +-  +p50 [0-9.]+ ms, p99 [0-9.]+ ms \(5 samples\)$" table || fail "no latency of $row: $(cat table)"
done
grep -qE '^this probe: [0-9]+ PUT, [0-9]+ GET, [0-9]+ LIST, [0-9]+ DELETE; ' table || fail "what it has used is not said"
[ "$(tail -1 table)" = 'verdict: usable' ] || fail "verdict: $(tail -1 table)"
[ "$before" = "$(sums v)" ] || fail "the folder has changed: $(find v/ -type f)"

# JSON.
zerofs probe --json --samples 3 --seconds 200ms "$url" > json
/usr/bin/python3 - <<'P' || fail "JSON: $(cat json)"
import json
j = json.load(open("json"))
assert j["verdict"] == "usable" and j["usable"] is True and j["objects_left"] == 0, j["verdict"]
assert {c["name"]: c["result"] for c in j["checks"]}["race"] == "pass"
assert all(c["result"] in ("pass", "note") for c in j["checks"])
for op in ("put", "get", "list", "delete"):
    assert j["latency"][op]["samples"] == 3 and 0 < j["latency"][op]["p50_ms"] <= j["latency"][op]["p99_ms"], op
    assert j["requests"][op] > 3
for way in ("put", "get"):
    t = j["throughput"][way]
    assert t["mb_per_s"] > 0 and abs(t["mb_per_s"] - t["bytes"] / t["us"]) < 1e-6 * t["mb_per_s"]
    assert t["bytes"] % (8 << 20) == 0
assert j["bytes_up"] > j["throughput"]["put"]["bytes"]
P
[ "$before" = "$(sums v)" ] || fail "the folder has changed: $(find v/ -type f)"

# The bill, by prices of one's own: 1460 hours of a segment every two seconds, in a month.
cat > prices <<'P'
[mine]
currency = EUR
as-of = 2026-11
put-1000 = 1
get-1000 = 2
storage-gb-month = 3
egress-gb = 4
P
bill=(zerofs probe --samples 0 --seconds 0 --size 10000000000 --write-per-day 1M --write-hours 24 --read-per-day 0)
"${bill[@]}" --prices prices --price-section mine "$url" > table || fail "bill: $(cat table)"
puts=$((1314000 + 1314000 / 64 * 4 + 8760)) lists=$((1314000 / 64 * 3))
grep -qE "^  PUT +$puts +$((puts / 1000)).$((puts % 1000))0 EUR\$" table || fail "PUTs: $(cat table)"
grep -qE "^  LIST +$lists +[0-9.]+ EUR$" table && grep -qE '^  GET +0 +0\.0000 EUR$' table || fail "LIST, GET: $(cat table)"
grep -qE '^  stored +9\.3 GiB +30\.0000 EUR$' table || fail "stored: $(cat table)"
total=$((30000000 + puts * 1000 + lists * 1000))
grep -qE "^  total +$((total / 1000000))\.[0-9]{4} EUR  \(prices: mine of 2026-11 in prices\)\$" table || fail "total: $(cat table)"
grep -q '^assumed: .*8.0 MiB or 2 s.*4 PUT and 3 LIST per 64 segments' table || fail "what is assumed: $(cat table)"
"${bill[@]}" "$url" > table
grep -q '^  no price: a folder has none' table && [ "$(tail -1 table)" = 'verdict: usable' ] || fail "without a price: $(cat table)"
"${bill[@]}" --json --prices prices --price-section mine "$url" > json
/usr/bin/python3 - <<'P' || fail "JSON of the bill: $(cat json)"
import json
b = json.load(open("json"))["bill"]
assert b["currency"] == "EUR" and b["workload"]["write_hours"] == 24 and b["use"]["egress"] == 0
p = b["per_month"]
assert abs(p["total"] - sum(v for k, v in p.items() if k != "total")) < 1e-6 and p["storage"] == 30
P
refused 1 'no section' zerofs probe --prices prices --price-section other "$url"
refused 1 'No such file' zerofs probe --prices nowhere "$url"
echo 'put-1000 = x' >> prices
refused 1 'prices:8' zerofs probe --prices prices "$url"
refused 2 'size' zerofs probe --size 1E --write-per-day 2E "$url"
refused 2 'size' zerofs probe --read-per-day much "$url"
refused 2 'number' zerofs probe --write-hours 25 "$url"
refused 2 'number' zerofs probe --flush-per-day -1 "$url"
[ "$before" = "$(sums v)" ] || fail "the folder has changed: $(find v/ -type f)"

# A signal, while it is in the middle of it.
zerofs probe --samples 10000 --seconds 60 "$url" > out 2> err &
pid=$!
for _ in $(seq 100); do
	[ "$(find v/trial/ -type f 2> /dev/null | wc -l)" -lt 100 ] || break
	sleep 0.01
done
[ -d v/trial ] || fail "it writes nothing"
kill -TERM $pid
rc=0
wait $pid || rc=$?
[ $rc = 1 ] || fail "status $rc after SIGTERM"
grep -qx 'zerofs: probe: interrupted; everything that was written has been removed' err || fail "after SIGTERM: $(cat err)"
grep -q '^verdict: interrupted' out || fail "after SIGTERM: $(cat out)"
[ "$before" = "$(sums v)" ] || fail "SIGTERM leaves: $(find v/trial | head -3)"


# What is typed wrongly.
refused 2 "'probe'" zerofs prob
refused 2 '--samples' zerofs probe --sample 3 "$url"
refused 2 'number' zerofs probe --samples -1 "$url"
refused 2 'number' zerofs probe --samples 10001 "$url"
refused 2 '60s' zerofs probe --seconds 61 "$url"
refused 2 'missing' zerofs probe
refused 2 'too many' zerofs probe "$url" "$url"
refused 2 'store URL' zerofs probe http://example.org/x
refused 2 'store URL' zerofs probe s3://
refused 2 'plain http' zerofs probe 's3://bucket/x?endpoint=http://127.0.0.1:1'
refused 1 'no such folder' zerofs probe "$url/none"
[ "$before" = "$(sums v)" ] || fail "what was refused has written: $(find v/ -type f)"
