# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# DESCRIPTION: kill -9 of the plugin at random moments of a load, ten times in each way that a FLUSH can be answered, on a bucket behind a
# network that now and then loses, delays and refuses: each time all that a FLUSH or FUA has covered is there. The journal is then the
# only thing that this host has kept.
# limit: 200
# slow
. tests/s3/nbd.sh
s3 PUT /kill > /dev/null
seed=$RANDOM
say "seed $seed"
proxy_start "$dir/proxy" "$ZT_S3" --seed "$seed"
at=$(cat "$dir/proxy/endpoint")
proxy "$dir/proxy" add fault=delay ms=40 p=0.2 > /dev/null
for fault in slowdown error_before error_after reset_before reset_after half_request short_body conflict; do
	proxy "$dir/proxy" add fault=$fault p=0.01 > /dev/null
done
# kills N NAME PARAMETER...: of a new volume. Where NAME begins with "lost", what the plugin keeps on this host, but for a journal, is
# gone at each start.
kills() {
	local n=$1 name=$2 format=()
	shift 2
	[[ $name != *local ]] || format=(--flush local --journal "$dir/$name.journal" --journal-size 64M)
	# Not through the proxy: format takes its own object for another's when the answer to its PUT was lost.
	zerofs format --size 64M --kdf min "${format[@]}" --key-file key "$(at "kill/$name")" > /dev/null
	# shellcheck disable=SC2016
	nbd kills "$n" $((seed++)) -- sh -c 'rm -rf "$0" lost*.state; exec "$@"' "$sock" nbdkit -f -U "$sock" "$plugin" \
		"$(at "kill/$name" "$at")" "state-dir=$dir/$name.state" "key-file=$dir/key" memory=128M "$@" 2> "$name.log" ||
		{ tail -30 "$name.log"; fail "kills, $name"; }
	! grep -iE 'damage|SUPERSEDED|CACHE_LOST' "$name.log" || fail "that must not be said"
	say "$name: ok"
}
kills 5 kept-store
kills 5 lost-store
# So long that what is flushed is in the journal alone
kills 5 kept-local flush=local "journal=$dir/kept-local.journal" segment-age=1h
kills 5 lost-local flush=local "journal=$dir/lost-local.journal" segment-age=1h
for name in kept lost; do
	grep -qE '[1-9][0-9]* writes taken over from the journal' $name-local.log || fail "the journal was never needed"
done
all_hit "$dir/proxy"
