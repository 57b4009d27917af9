# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# DESCRIPTION: zerofs stats of a volume that nbdkit serves: JSON that adds up, plain text, what Prometheus reads, money by the
# prices in a file of the user's, one line for a file that is wrong; zerofs status of it; the socket goes with the server.
. tests/integration/lib.sh
plugin=$ZT_TOP/build/nbdkit-zerofs-plugin.so
[ -e "$plugin" ] || { echo "SKIP: nbdkit-plugin-dev is not installed"; exit 77; }
[ "$(id -u)" = 0 ] || { echo "SKIP: /run/zerofs-nbd is root's"; exit 77; }
dir=$ZT_TMP
name=stats-$$
pid=
end() {
	[ -z "$pid" ] || kill -9 "$pid" 2> /dev/null || true
	rm -f "/run/zerofs-nbd/$name.sock"
}
trap end EXIT
head -c 32 /dev/urandom > "$dir/key"
chmod 600 "$dir/key"
zerofs format --size 64M --name "$name" --key-file "$dir/key" "file://$dir/store" > /dev/null
nbdkit -f -U "$dir/sock" "$plugin" "file://$dir/store" key-file="$dir/key" state-dir="$dir/state" memory=128M 2> "$dir/log" &
pid=$!
nbd() { python3 "$ZT_TOP/tests/integration/nbd.py" "$dir/sock" "$@" > /dev/null; }
nbd io write:0:1048576:7 flush read:0:4096:7 || { cat "$dir/log"; fail "nbd"; }

# ---- JSON: what a program relies on
zerofs stats --json "$name" > "$dir/json"
q() { jq -e "$1" "$dir/json" > /dev/null || { jq . "$dir/json"; fail "not so: $1"; }; }
q '.ok and .name == "'"$name"'" and .served_by == "nbd" and .phase == "serving" and .uptime_us > 0'
q '.requests.write >= 1 and .requests.flush >= 1 and .bytes.write >= 1048576'
q '.wire == null and .usage.counted == "store"'
q '.store.put.requests > 2 and .store.put.bytes > 0 and .store.list.requests > 0'
q 'all(.store[]; (.us_buckets | map(.[1]) | add // 0) == .requests)'
q 'all(.store[]; .us_p50 <= .us_p99 and .us_p99 <= .us_p999 and .us_p999 <= .us_max)'
q 'all(.store[]; .us_buckets | map(.[0]) | . == sort)'
q '.usage.since_start.put == .store.put.requests and .usage.since_start.get == .store.get.requests'
q '.usage.since_start.bytes_up == .store.put.bytes and .usage.last_hour.put == .usage.since_start.put'
q '.usage.since_start | (.per_hour.put - .put * 3600000000 / .us | fabs) < 1'
q '.usage.stored_bytes == .stored_bytes and .stored_bytes > 0'
q '.cost.none | test("not reached over a network")'
# a flush of something new is a PUT more
nbd io write:2097152:65536:9 flush
before=$(jq .usage.since_start.put "$dir/json")
zerofs stats --json "$name" > "$dir/json"
q ".usage.since_start.put > $before"

# Every member has a word in the page: by its own name, wherever it stands.
jq -r '[del(.store, .wire, .requests, .bytes, .transport)] + [.store.put, .usage.since_start] | map(keys) | add | .[]' "$dir/json" |
	grep -vx 'ok' | sort -u | while read -r word; do
	grep -qE "(^|[ ,])$word( |,|$)" "$ZT_TOP/man/zerofs-stats.8" || fail "zerofs-stats(8) does not say what $word is"
done

# ---- money: 2 a PUT, 3 a LIST, 5 a GET, 7 a GB kept, in a month of 730 hours
cat > "$dir/prices" <<- 'X'
	[test/a]
	currency = EUR
	as-of = 2026-11
	put-1000 = 2000
	list-1000 = 3000
	get-1000 = 5000
	storage-gb-month = 700000	# or nothing would be seen of it
	[test/b]
	currency = EUR
X
zerofs stats --json --prices "$dir/prices" --price-section test/a "$name" > "$dir/json"
q '.cost.section == "test/a" and .cost.file == "'"$dir/prices"'" and .cost.currency == "EUR" and .cost.as_of == "2026-11" and .cost.short'
near() { q "($1) as \$want | ($2 - \$want | fabs) <= \$want / 1000 + $3"; }
month='730 * 3600 * 1000000 / .usage.since_start.us'
near ".usage.since_start.put * $month * 2e9" .cost.since_start.put 2e9
near ".usage.since_start.list * $month * 3e9" .cost.since_start.list 3e9
near ".usage.since_start.get * $month * 5e9" .cost.since_start.get 5e9
near ".stored_bytes / 1e9 * 700000 * 1e9" .cost.since_start.storage 1
q '.cost.since_start | .delete == 0 and .egress == 0 and .total == .put + .list + .get + .storage'
zerofs stats --prices "$dir/prices" --price-section test/a "$name" > "$dir/text"
grep -qE '^cost.since_start.total +[0-9]+\.[0-9]{4} EUR a month$' "$dir/text" || { cat "$dir/text"; fail "no total"; }
grep -qE '^cost.note .*less than an hour' "$dir/text" || fail "no note"
grep -qE '^store.put.us_p99 +[0-9]+$' "$dir/text" || fail "no p99"

# ---- files that are wrong
refused 1 'section test/b has no put-1000 yet' zerofs stats "$name" --prices "$dir/prices" --price-section test/b
refused 1 'has no section test/c' zerofs stats "$name" --prices "$dir/prices" --price-section test/c
refused 1 'none: No such file' zerofs stats "$name" --prices "$dir/none"
echo 'get-1000 = x' >> "$dir/prices"
refused 1 "$dir/prices:10: get-1000: 'x' is not a price" zerofs stats "$name" --prices "$dir/prices"
refused 2 'exclude' zerofs stats "$name" --json --prometheus

# ---- Prometheus
zerofs stats --prometheus --prices "$ZT_TOP/share/zerofs/prices.conf" --price-section aws/us-east-1 "$name" > "$dir/prom"
python3 - "$dir/prom" <<- 'X' || { cat "$dir/prom"; fail "Prometheus would not read that"; }
	import re, sys
	types, last, n = {}, {}, 0
	for line in open(sys.argv[1]):
	    if line.startswith("# TYPE "):
	        _, _, name, kind = line.split()
	        assert name not in types, name
	        types[name] = kind
	        continue
	    m = re.fullmatch(r'([a-z0-9_]+)\{((?:[a-z]+="[^"\\]*",?)+)\} (-?[0-9.]+)\n', line)
	    assert m, line
	    name, labels, value = m[1], dict(re.findall(r'([a-z]+)="([^"]*)"', m[2])), float(m[3])
	    base = re.sub(r"_(bucket|sum|count)$", "", name)
	    if types.get(base) == "histogram":
	        key = (base, labels["op"])
	        if name.endswith("_bucket"):
	            assert value >= last.get(key, 0), line
	            last[key] = value
	            inf = labels["le"] == "+Inf"
	        elif name.endswith("_count"):
	            assert inf and value == last[key], line
	    else:
	        assert name in types, name
	    n += 1
	assert n > 100 and types["zerofs_store_seconds"] == "histogram" and types["zerofs_cost_per_month"] == "gauge", n
X

# ---- status, and the end
zerofs status "$name" > "$dir/text"
grep -q 'served by nbdkit' "$dir/text" && grep -q "store:    file://$dir/store" "$dir/text" || { cat "$dir/text"; fail "status"; }
zerofs status | grep -q "^$name: served by nbdkit" || fail "status of all does not have it"
zerofs status --json | jq -e 'any(.[]; .name == "'"$name"'" and .served_by == "nbd")' > /dev/null || fail "status --json of all"
[ "$(zerofs status --json "$name" | jq -r '.daemon.phase + .served_by')" = servingnbd ] || fail "status --json"
[ -S "/run/zerofs-nbd/$name.sock" ] && [ "$(stat -c %a "/run/zerofs-nbd/$name.sock")" = 600 ] || fail "the socket is not root's alone"
kill -TERM "$pid"
wait "$pid" || fail "it did not end well"
pid=
[ ! -e "/run/zerofs-nbd/$name.sock" ] || fail "the socket is still there"
refused 1 '' zerofs stats "$name"
echo "counters, buckets, prices and metrics agree"
