# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# DESCRIPTION: the plugin on a bucket: random writes with fio's checksums and flushes in between; writes, trims and zeroes, with and
# without FUA, through four connections; after a detach a start with nothing kept on this host finds all of it.
# limit: 200
. tests/s3/nbd.sh
s3 PUT /fio > /dev/null
at=$(at fio/vol)
zerofs format --size 640M --key-file key "$at" > /dev/null

# Of each job's own place: job NAME OFFSET SIZE OPTION...
jobs=("small 0 16M --bs=4k --rw=randwrite --fsync=128" "mixed 32M 96M --bsrange=4k-256k --rw=randwrite --fsync=64"
	"half 128M 48M --bs=16k --rw=randrw --fsync=32" "large 256M 128M --bs=1M --rw=write --end_fsync=1 --buffer_compress_percentage=50")
job() {
	local name off size rest
	read -r name off size rest <<< "$1"
	shift
	# shellcheck disable=SC2086
	fio_nbd "$name" --offset="$off" --size="$size" $rest --iodepth=32 "$@"
}
start log "$at" state-dir=state memory=128M
for j in "${jobs[@]}"; do
	job "$j"
	say "fio: ${j%% *}: written and read back"
done
# fio's NBD engine knows no FUA, and what it has trimmed it does not know at the next start.
zerofs format --size 64M --key-file key "$(at fio/mix)" > /dev/null
stop log
start log "$(at fio/mix)" state-dir=state-mix memory=128M
nbd mix 250 "$RANDOM" "$dir/mix" | tee mixed
! grep -q ' 0,' mixed || fail "of some kind there was none"
nbd same "$dir/mix" > /dev/null
stop log
say "detached"

rm -r state state-mix
start log "$(at fio/mix)" state-dir=state-mix memory=128M
nbd same "$dir/mix"
stop log
start log "$at" state-dir=state memory=128M
for j in "${jobs[@]}"; do
	# randrw: what it wrote is in no order that a job that only verifies would know
	case $j in half*) continue ;; esac
	job "$j" --verify_only=1
	say "fio: ${j%% *}: cold, read and right"
done
stop log
