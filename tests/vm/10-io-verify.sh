# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# vm-limit: 270
# DESCRIPTION: what fio writes to the raw device it reads back, hot and after a restart: mixed sizes, trims, one and two
# queues each way, O_DIRECT and through the page cache.
# Seen to fail with a daemon that forgets where in a frame a block lies.
. tests/vm/lib.sh
z_setup
z_format io --size 256M

verify() { # OPTION... of fio
	fio --name=v --filename="$dev" --ioengine=libaio --iodepth=16 --verify=crc32c --verify_fatal=1 --verify_dump=0 \
		--randrepeat=1 --allrandrepeat=1 --norandommap=0 --output-format=terse --output="$Z/fio.out" "$@" ||
		{ cat "$Z/fio.out"; zt_fail "fio: $*"; }
}

declare -A jobs=(
	[mixed]="--rw=randwrite --bsrange=4k-1M --blockalign=4k --direct=1 --size=24M --randseed=11"
	[rw]="--rw=randrw --rwmixread=40 --bssplit=4k/60:16k/30:64k/10 --direct=1 --offset=64M --size=6M --randseed=12"
	[trim]="--rw=randtrimwrite --bs=8k --direct=1 --offset=128M --size=4M --randseed=13"
	[buffered]="--rw=randwrite --bsrange=4k-128k --direct=0 --offset=192M --size=8M --end_fsync=1 --invalidate=1
		--randseed=14"
)

for q in 1 2; do
	zt_say "$q write and $q read queues"
	z_start io --queues $q,$q
	dev=$(z_dev io)
	for job in mixed rw trim buffered; do
		read -r -d '' -a o <<< "${jobs[$job]}" || true
		verify "${o[@]}"
		zt_say "  $job"
	done
	# The blocks must have come from the module, not from the test's own cache.
	[ "$(z_counter "$dev" bytes_read)" -gt $((24 << 20)) ] || zt_fail "fio did not read from the device"
	[ "$(z_counter "$dev" requests_discard)" -gt 0 ] || zt_fail "fio discarded nothing"
	z_stop io
	z_start io --queues $q,$q
	dev=$(z_dev io)
	for job in mixed buffered; do
		read -r -d '' -a o <<< "${jobs[$job]}" || true
		verify "${o[@]}" --verify_only --direct=1
		zt_say "  $job again, after a restart"
	done
	z_stop io
done
