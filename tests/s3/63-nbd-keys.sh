# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# DESCRIPTION: keys that end while fio runs: the store says that the token has expired, or knows the key no more; in the file of
# credentials= the new ones are there before that or come 12 s later. No client sees an error, and what was written is there.
# limit: 200
. tests/s3/nbd.sh
s3 PUT /keys > /dev/null
proxy_start "$dir/proxy"
admin() { timeout 60 radosgw-admin -c "$ZT_GATEWAY/ceph.conf" "$@" > admin.out 2>&1 || { tail -5 admin.out; fail "radosgw-admin $*"; }; }
# The file is renamed into place, as whoever renews keys does.
write_keys() { # ACCESS SECRET
	printf '[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n' "$1" "$2" > creds.new
	mv creds.new creds
}
answered() { grep -c "\"key\": \"$1\".*\"status\": 20[046]" proxy/log || true; } # how many requests with that key

key=0
new_key() { # makes the next one, at the gateway
	key=$((key + 1))
	admin key create --uid=test --key-type=s3 --access-key="K$key" --secret-key="S$key"
}
# expect: the newest key is used, soon.
expect() {
	for _ in $(seq 600); do
		[ "$(answered "K$key")" = 0 ] || { say "$1: K$key is in use"; return 0; }
		kill -0 "$fio" 2> /dev/null || fail "fio ended before K$key was used"
		sleep 0.1
	done
	tail -5 log
	fail "K$key is not used"
}

new_key
write_keys "K$key" "S$key"
at=$(at keys/vol "$(cat proxy/endpoint)" "&credentials=$dir/creds")
zerofs format --size 512M --kdf min --key-file key "$at" > /dev/null
# The environment has others, which work, and must not be taken: AK is in it.
start log "$at" state-dir=state memory=128M
load=(--rw=randwrite --bsrange=4k-64k --size=96M)
# As long as it takes: it is ended when all is done, by the rate that it then may have.
fio_nbd load "${load[@]}" --iodepth=16 --fsync=50 --rate=3m &
fio=$!
sleep 2

new_key
write_keys "K$key" "S$key"
proxy "$dir/proxy" add fault=expired key=K1 > rule
expect "ExpiredToken, new keys there"
[ "$(proxy "$dir/proxy" fired id="$(cat rule)")" -ge 1 ] || fail "it was not told that the token has expired"
sleep 1

new_key
write_keys "K$key" "S$key"
admin key rm --uid=test --key-type=s3 --access-key=K2
expect "the key is gone, new ones there"
sleep 1

new_key
admin key rm --uid=test --key-type=s3 --access-key=K3
sleep 12
[ "$(answered K4)" = 0 ] || fail "it has a key that nobody gave it"
before=$(answered K3)
sleep 1
[ "$before" = "$(answered K3)" ] || fail "the gateway still takes a key that is gone"
# Half a file, for a moment
printf '[default]\naws_access_key_id = K4\n' > creds
sleep 2
write_keys "K$key" "S$key"
expect "the key is gone, new ones come 14 s later"
wait "$fio" || fail "fio"
say "fio has written, and read back what it wrote, without an error"
stop log
[ "$(answered AK)" = 0 ] || fail "the environment's keys were used, though the URL names a file"
! grep -E 'S[1-4]\b' log || fail "a secret is in the log"
rm -r state
start log "$at" state-dir=state memory=128M
fio_nbd load "${load[@]}" --iodepth=32 --verify_only=1
stop log
say "cold, read and right"
