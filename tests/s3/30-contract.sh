# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# DESCRIPTION: the contract of store.h (tests/unit/test_store_contract.c) on the gateway; then through the proxy, with each fault by
# itself, and with all of them at random. A fault that has not hit is a failure.
# limit: 900
#
# FAULT="NAME ..." runs only these, SEED=n only that seed of the random ones.
. tests/s3/lib.sh

contract=build/gcc/tests/unit/test_store_contract
# The dice know names without the bucket.
bucket=contract-$$
s3 PUT "/$bucket" > "$ZT_TMP/out"

# At a time: they mostly wait.
ways=6
seeds="1 2 3 4"
usual='op=PUT p=.3; op=GET p=.3; op=LIST p=.1; op=DELETE p=.5'
# What costs seconds each time.
few='op=PUT count=3 p=.1; op=GET count=3 p=.1; op=LIST count=3 p=.1; op=DELETE count=2'
bodies='op=PUT p=.3'
answers='op=GET p=.3; op=LIST p=.1'
ranges='op=GET p=.3'

# NAME | how the contract runs | proxy's fault and its settings | rules. Of what arrives late or twice a name that is used again gets
# something older, so the contract's tests of that are left out (names-once).
faults="delay||delay ms=20 upto=300|$usual
bandwidth||bandwidth bps=1500000|op=PUT name=big; op=GET name=big
slowdown|faults|slowdown|$few
throttled|faults|answer status=429 code=TooManyRequests|$few
unavailable|faults|answer status=503 code=ServiceUnavailable|$usual
bad_gateway|faults|html status=502|$usual
gateway_timeout|faults|answer status=504 code=GatewayTimeout|$usual
error_before|faults|error_before|$usual
error_after|faults|error_after|$usual
reset_before|faults|reset_before|$usual
reset_after|faults|reset_after|$usual
half_request|faults|half_request|$bodies
short_body|faults|short_body|$answers
less|faults|less|$ranges
shifted|faults|shifted|$ranges
html|faults|html|$usual
request_timeout|faults|answer status=400 code=RequestTimeout|$usual
bad_digest|faults|answer status=400 code=BadDigest|$bodies
conflict|faults|conflict|$bodies
redirect|faults|redirect|$few
hold||hold ms=300 upto=1500|$few
late|faults names-once|late ms=50 upto=1500|op=PUT p=.3; op=GET p=.2; op=LIST p=.1
again|names-once|again ms=0 upto=1500|op=PUT p=.5; op=GET p=.2; op=LIST p=.1
skewed|faults|skewed shift=7200|$few"

# one NAME HOW SEED RULES...: the contract through a proxy of its own, each RULES' words being one rule.
one() {
	local name=$1 how=$2 seed=$3 dir=$ZT_TMP/$1 r
	shift 3
	proxies=()
	trap end_proxies EXIT
	proxy_start "$dir" "$ZT_S3" --seed "$seed"
	for r in "$@"; do
		# shellcheck disable=SC2086
		proxy "$dir" add $r > "$dir/id"
	done
	# shellcheck disable=SC2086
	timeout 400 $contract "$(at "$bucket/$name" "$(cat "$dir/endpoint")")" $how > "$dir/out" 2>&1 || { cat "$dir/out"; return 1; }
	all_hit "$dir"
}

# Keys that expire on the way, in a file where others are meanwhile. The fourth test makes the most requests.
expired() {
	local dir=$ZT_TMP/expired
	proxies=()
	trap end_proxies EXIT
	proxy_start "$dir"
	proxy "$dir" add fault=expired key=AK name=^expired/3 skip=5 > "$dir/id"
	printf '[default]\naws_access_key_id = AK\naws_secret_access_key = SK\n' > "$dir/keys"
	(
		until grep -q '"expired/3' "$dir/log"; do sleep 0.02; done
		printf '[default]\naws_access_key_id = AK2\naws_secret_access_key = SK2\n' > "$dir/keys.new"
		mv "$dir/keys.new" "$dir/keys"
	) &
	env -u AWS_ACCESS_KEY_ID timeout 400 $contract "$(at "$bucket/expired" "$(cat "$dir/endpoint")" "&credentials=$dir/keys")" faults \
		> "$dir/out" 2>&1 || { cat "$dir/out"; return 1; }
	wait $!
	all_hit "$dir"
}

# This machine's clock is off, and the gateway says so.
clock() {
	local dir=$ZT_TMP/clock n
	proxies=()
	trap end_proxies EXIT
	proxy_start "$dir"
	for by in 5000 -5000; do
		timeout 400 $contract "$(at "$bucket/clock$by" "$(cat "$dir/endpoint")")" skew=$by > "$dir/out" 2>&1 || { cat "$dir/out"; return 1; }
	done
	n=$(jq -s 'map(select(.status == 403)) | length' "$dir/log")
	[ "$n" -ge 16 ] || { echo "the gateway has refused $n requests, not one for each store that was opened"; return 1; }
	echo "  hit: $n requests refused for their date"
}

# All at random. Rare each, so that a request gets through in the end.
random() {
	local r rules=()
	for r in delay\ ms=5\ upto=200 error_before error_after reset_before reset_after html conflict half_request short_body less shifted \
		again\ ms=0\ upto=800 late\ ms=10\ upto=800 answer\ status=503\ code=ServiceUnavailable; do
		rules+=("fault=$r p=.06")
	done
	rules+=("fault=slowdown p=.02 count=5" "fault=hang op=GET count=2 skip=15" "fault=hold op=PUT p=.05 ms=100 upto=1000")
	one "random$1" "faults names-once" "$1" "${rules[@]}"
}

# job NAME RERUN COMMAND...: in the background; says how it went and how to have it again.
job() {
	local name=$1 rerun=$2
	shift 2
	while [ "$(jobs -rp | wc -l)" -ge $ways ]; do wait -n || true; done
	(
		s=$SECONDS
		if "$@" > "$ZT_TMP/$name.log" 2>&1; then
			echo "$name: ok ($((SECONDS - s)) s)"
			grep 'hit: ' "$ZT_TMP/$name.log"
		else
			echo "FAIL: $name"
			cat "$ZT_TMP/$name.log"
			echo "to have it again: $rerun tests/s3/run.sh tests/s3/30-contract.sh"
			touch "$ZT_TMP/failed"
		fi
	) &
}

wanted() { case " ${FAULT:-$1} " in *" $1 "*) return 0 ;; esac; return 1; }

if [ -z "${FAULT:-}${SEED:-}" ]; then
	$contract "$(at "$bucket/plain")" > "$ZT_TMP/plain" 2>&1 || { cat "$ZT_TMP/plain"; fail "the contract on the gateway"; }
	echo "on the gateway: $(grep -c '^\[       OK' "$ZT_TMP/plain") tests passed"
fi
if [ -z "${SEED:-}" ]; then
	# The slow ones first.
	! wanted hang || job hang FAULT=hang one hang faults 1 "fault=hang op=PUT count=1 skip=3" "fault=hang op=GET count=2 skip=3" \
		"fault=hang op=LIST count=1 skip=3" "fault=hang op=DELETE count=1"
	! wanted expired || job expired FAULT=expired expired
	! wanted clock || job clock FAULT=clock clock
	while IFS='|' read -r name how what rules; do
		wanted "$name" || continue
		each=()
		while read -r rule; do
			each+=("fault=$what $rule")
		done <<< "${rules//; /$'\n'}"
		job "$name" "FAULT=$name" one "$name" "$how" 1 "${each[@]}"
	done <<< "$faults"
fi
if [ -z "${FAULT:-}" ]; then
	for seed in ${SEED:-$seeds}; do
		job "random$seed" "SEED=$seed" random "$seed"
	done
fi
wait
[ ! -e "$ZT_TMP/failed" ] || fail "see above"
