# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# DESCRIPTION: volumes on the gateway whose daemons come, die and go while clients write, read and flush, and the proxy does all that
# it can, at random: no request fails, and what was promised is there (tests/s3/lives.c).
# limit: 600
#
# SEED=n runs that seed alone.
. tests/s3/lib.sh

lives=$ZT_TOP/build/tests/s3/lives
seeds="1 2 3 4"
bucket=lives-$$
s3 PUT "/$bucket" > "$ZT_TMP/out"

# one SEED
one() {
	local seed=$1 dir=$ZT_TMP/$1 r url
	proxies=()
	trap end_proxies EXIT
	proxy_start "$dir" "$ZT_S3" --seed "$seed"
	url=$(at "$bucket/v$seed" "$(cat "$dir/endpoint")")
	$lives format "$url" || return 1
	for r in error_before error_after reset_before reset_after html conflict half_request short_body less shifted "delay ms=5 upto=100" \
		"late ms=10 upto=1500" "again ms=0 upto=1500" "answer status=503 code=ServiceUnavailable" "hold ms=50 upto=800"; do
		# shellcheck disable=SC2086
		proxy "$dir" add fault=$r p=.04 > "$dir/id"
	done
	# What ends an attach (keys and regions are looked at once) comes in the first life, which is a long one.
	for r in "slowdown p=.01 count=5" "skewed shift=7200 op=PUT name=seg/ skip=16 count=1" "redirect op=PUT name=seg/ skip=12 count=1" \
		"hang op=GET skip=5 count=2"; do
		# shellcheck disable=SC2086
		proxy "$dir" add fault=$r > "$dir/id"
	done
	mkdir "$dir/host"
	timeout 540 $lives run "$url" "$(at "$bucket/v$seed")" "$dir/host" "$seed" 4 || return 1
	all_hit "$dir"
}

for seed in ${SEED:-$seeds}; do
	(
		if one "$seed" > "$ZT_TMP/$seed.log" 2>&1; then
			cat "$ZT_TMP/$seed.log"
		else
			echo "FAIL: seed $seed"
			cat "$ZT_TMP/$seed.log"
			echo "to have it again: SEED=$seed tests/s3/run.sh tests/s3/32-lives.sh"
			touch "$ZT_TMP/failed"
		fi
	) &
done
wait
[ ! -e "$ZT_TMP/failed" ] || fail "see above"
