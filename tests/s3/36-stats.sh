# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# DESCRIPTION: what zerofs stats says went over the wire is what a proxy before the gateway saw, request for request, also when some
# are refused and tried again; the price section is found by the endpoint's host.
. tests/s3/lib.sh
plugin=$ZT_TOP/build/nbdkit-zerofs-plugin.so
[ -e "$plugin" ] || { echo "SKIP: nbdkit-plugin-dev is not installed"; exit 77; }
name=wire-$$
pid=
end() {
	[ -z "$pid" ] || kill -9 "$pid" 2> /dev/null || true
	rm -f "/run/zerofs-nbd/$name.sock"
	end_proxies
}
trap end EXIT
s3 PUT /stats > "$ZT_TMP/out"
head -c 32 /dev/urandom > "$ZT_TMP/key"
chmod 600 "$ZT_TMP/key"
proxy_start "$ZT_TMP/proxy"
at="endpoint=$(cat "$ZT_TMP/proxy/endpoint")&plain-http=yes"
zerofs format --size 64M --name "$name" --key-file "$ZT_TMP/key" "s3://stats/vol?$at" > "$ZT_TMP/out"
lines=$(wc -l < "$ZT_TMP/proxy/log")
nbdkit -f -U "$ZT_TMP/sock" "$plugin" "s3://stats/vol?$at" key-file="$ZT_TMP/key" state-dir="$ZT_TMP/state" memory=128M 2> "$ZT_TMP/log" &
pid=$!
nbd() { $python tests/integration/nbd.py "$ZT_TMP/sock" "$@" > /dev/null || { cat "$ZT_TMP/log"; fail "nbd $*"; }; }
nbd io write:0:1048576:7 flush read:0:4096:7

# agree: once nothing is under way, the counts are those of the proxy since the server's start. In $json.
agree() {
	local seen
	for _ in $(seq 50); do
		json=$(zerofs stats --json "$name")
		seen=$(tail -n +$((lines + 1)) "$ZT_TMP/proxy/log" | jq -s -c '[.[].op] | {put: map(select(. == "PUT")) | length, get: map(select(. == "GET")) | length,
			list: map(select(. == "LIST")) | length, delete: map(select(. == "DELETE")) | length}')
		[ "$seen" != "$(jq -c '{put: .wire.put.attempts, get: .wire.get.attempts, list: .wire.list.attempts, delete: .wire.delete.attempts}' <<< "$json")" ] || return 0
		sleep 0.2
	done
	jq -c .wire <<< "$json"
	fail "the proxy saw $seen"
}
q() { jq -e "$1" <<< "$json" > /dev/null || { jq -c '.wire, .store, .usage' <<< "$json"; fail "not so: $1"; }; }
agree
q '.wire.host == "127.0.0.1" and .usage.counted == "wire" and .wire.put.attempts > 2'
q 'all(.wire | del(.host)[]; (.retried | add) + (.errors | add) == 0)'
q 'all((.store, (.wire | del(.host)))[]; (.us_buckets | map(.[1]) | add // 0) == (.requests // .attempts - .hedges))'
q '.usage.since_start.put == .wire.put.attempts and .usage.since_start.bytes_up == ([.wire[] | objects | .bytes_up] | add)'
q '.wire.put.bytes_up >= .store.put.bytes and .wire.get.bytes_down >= .store.get.bytes'
q '.cost.none | test("has no section for 127.0.0.1") or test("there is no file of prices")'

# The next segment is refused three times, in two ways.
puts=$(jq .store.put.requests <<< "$json")
proxy "$ZT_TMP/proxy" add fault=slowdown op=PUT name=seg/ count=2 > "$ZT_TMP/out"
proxy "$ZT_TMP/proxy" add fault=error_before op=PUT name=seg/ count=1 > "$ZT_TMP/out"
nbd io write:2097152:65536:9 flush
agree
q '.wire.put.retried.throttled == 2 and .wire.put.retried.server == 1 and (.wire.put.errors | add) == 0'
q ".wire.put.attempts == .store.put.requests + 3 and .store.put.requests > $puts"

cat > "$ZT_TMP/prices" <<- 'X'
	[elsewhere]
	match = s3.example.org
	[here]
	match = 127.0.0.*
	currency = EUR
	put-1000 = 5
	get-1000 = 1
	storage-gb-month = 0.02
X
json=$(zerofs stats --json --prices "$ZT_TMP/prices" "$name")
q '.cost.section == "here" and .cost.since_start.put > 0'
kill -TERM "$pid"
wait "$pid" || fail "it did not end well"
pid=
echo "$(wc -l < "$ZT_TMP/proxy/log") requests, all of them counted"
