# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# vm-limit: 360
# DESCRIPTION: the daemon is killed $ROUNDS times under fio --verify and a stamping writer; each successor adopts what was
# acknowledged. No I/O error, no verify error, the volume is never anything but intact.
# Seen to fail with a daemon that says it adopted the arena and did not.
. tests/vm/lib.sh
ROUNDS=${ROUNDS:-20}
z_setup
z_format k --size 256M --devices 2
z_start k
dev=$(z_dev k 0) dev1=$(z_dev k 1)
stamps=(--tag 9 --seed 20 --blocks 4096 --discard 5 --fua 2 --ops 1000000)

hammer() {
	local pass=0
	while [ ! -e "$Z/enough" ]; do
		fio --name=k --filename="$dev" --rw=randwrite --bsrange=4k-64k --blockalign=4k --direct=1 --ioengine=libaio \
			--iodepth=32 --size=24M --randseed=$pass --fsync=200 --verify=crc32c --verify_fatal=1 --verify_backlog=64 \
			--output-format=terse --output="$Z/fio.out" || { cat "$Z/fio.out"; return 1; }
		pass=$((pass + 1))
	done
	echo "$pass passes of fio"
}
rm -f "$Z/enough" "$Z/flushed"
z_bg fio hammer
stamp write "${stamps[@]}" --read 20 --flush-every 25 --log "$Z/flushed" "$dev1" > "$Z/stamp.out" 2>&1 &
stamp=$!

for ((round = 1; round <= ROUNDS; round++)); do
	sleep "0.$((RANDOM % 9 + 1))"
	z_kill k
	z_start k
	z_is k LIVE
	z_running fio || { cat "$Z/fio.out"; zt_fail "fio ended in round $round"; }
	kill -0 $stamp || { cat "$Z/stamp.out"; zt_fail "the stamping writer ended in round $round"; }
done
reissued=$(z_counter "$dev" reissued)
touch "$Z/enough"
kill -TERM $stamp
wait $stamp || { cat "$Z/stamp.out"; zt_fail "the stamping writer failed"; }
z_rc fio 90
[ "$Z_RC" = 0 ] || { cat "$Z/fio.out"; zt_fail "fio failed"; }
zt_say "$ROUNDS kills; $(cat "$Z/stamp.out"); $(cat "$Z/fio.out"); $reissued requests delivered again"
issued=$(sed -n 's/^issued //p' "$Z/flushed")

# Of 20 kills under queue depth 32 some must have met requests in flight, and none more than its tags.
[ "$reissued" -ge 1 ] || zt_fail "no request was ever in flight at a kill"
tags=$((ROUNDS * 64 * 4))
[ "$reissued" -le $tags ] || zt_fail "more reissues than there are tags"
gen=$(z_counter "$dev" attach_gen)
[ "$gen" = $((ROUNDS + 1)) ] || zt_fail "attach_gen is $gen after $ROUNDS restarts"
[ "$(z_counter "$dev" protocol_errors)" = 0 ] || zt_fail "the daemon broke the protocol"
if dmesg | grep -E 'zerofs.*(I/O error|critical)|I/O error, dev zerofs'; then zt_fail "the kernel logged I/O errors"; fi

stamp check "${stamps[@]}" --flushed "$issued" "$dev1"
z_stop k
z_start k
stamp check "${stamps[@]}" --flushed "$issued" "$(z_dev k 1)"
z_stop k
