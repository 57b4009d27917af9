# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# vm-limit: 240
# vm-boots: 6
# vm-disk: store 1G
# vm-copy: yes
# DESCRIPTION: 56-torture.sh [ROUNDS [SEED]]: one boot a round, and one to look at the end. In each: look at what the last cut
# left; then stamped writes on a raw device, files that are fsync'd on ext4 and on xfs, all three of one volume; the daemon dies
# up to twice, and then the power fails, at moments that follow from the seed. Flushes wait for the store and for a journal
# by turns; store and journal lie behind a cache of writes that the cut empties (ext4 with its pages, a loop device over it).
. tests/vm/lib.sh
ROUNDS=${1:-5}
z_setup
out=$ZT_SHARE/out
# Chosen once for all boots.
[ "$ZT_BOOT" != 1 ] || echo "${2:-$((RANDOM * 32768 + RANDOM))}" > "$out/seed"
SEED=$(cat "$out/seed")
[ "$ZT_BOOT" -le "$ROUNDS" ] || zt_say "what round $ROUNDS left"
[ "$ZT_BOOT" -gt "$ROUNDS" ] || zt_say "round $ZT_BOOT of $ROUNDS, seed $SEED"
echo 0 > /proc/sys/vm/dirty_writeback_centisecs
modprobe loop
modprobe xfs
opt=noatime,commit=300
files=$ZT_TOP/tests/vm/fsynced.py
fs=(- ext4 xfs)
Z_STATE=$Z/d Z_STORE=$Z/d/store

# rnd WHAT N: 0..N-1, always the same for one seed, round and WHAT.
rnd() { echo $((0x$(echo "$SEED $ZT_BOOT $1" | sha256sum | cut -c1-8) % $2)); }
stamps() { echo --tag "$1" --seed "$((SEED + $1))" --blocks 2048 --discard 5 --fua 2 --ops 1000000; }
# start ROUND: as round ROUND flushed.
start() {
	if [ $(((SEED + $1) % 2)) = 0 ]; then
		z_start t
	else
		z_start t --flush local --journal /dev/loop0
	fi
	z_is t LIVE
}
mount_fs() { mount -o noatime "$(z_dev t "$1")" "$Z/${fs[$1]}"; }

mkdir -p "$Z/d" "$Z/ext4" "$Z/xfs"
if [ "$ZT_BOOT" = 1 ]; then
	mkfs.ext4 -q -E lazy_itable_init=1,lazy_journal_init=1 "$(zt_disk store)"
	mount -o $opt "$(zt_disk store)" "$Z/d"
	mkdir "$Z_STORE"
	cp "$Z/key" "$Z/d/key"
	z_format t --size 320M --devices 3
	fallocate -l 64M "$Z/d/journal"
	losetup /dev/loop0 "$Z/d/journal"
	zerofs journal create --key-file "$Z/key" "$(z_url t)" /dev/loop0 > /dev/null
	start 0
	mkfs.ext4 -q -E lazy_itable_init=1,lazy_journal_init=1 "$(z_dev t 1)"
	mkfs.xfs -q "$(z_dev t 2)"
	z_stop t
else
	last=$((ZT_BOOT - 1))
	mount -o $opt "$(zt_disk store)" "$Z/d"
	cp "$Z/d/key" "$Z/key"
	losetup /dev/loop0 "$Z/d/journal"
	start $last
	# shellcheck disable=SC2046
	stamp check $(stamps $last) --log "$out/raw.$last" "$(z_dev t 0)"
	for i in 1 2; do
		# Mounting goes through the file system's own journal.
		mount_fs $i
		python3 "$files" check "$Z/${fs[$i]}/$last" "$out/${fs[$i]}.$last" "$SEED.$last.$i"
		umount "$Z/${fs[$i]}"
	done
	e2fsck -fn "$(z_dev t 1)" > "$Z/fsck" 2>&1 || { cat "$Z/fsck"; zt_fail "e2fsck"; }
	xfs_repair -n "$(z_dev t 2)" > "$Z/fsck" 2>&1 || { cat "$Z/fsck"; zt_fail "xfs_repair"; }
	z_stop t
fi
if [ "$ZT_BOOT" -gt "$ROUNDS" ]; then
	z_start t
	# shellcheck disable=SC2046
	stamp check $(stamps "$ROUNDS") --log "$out/raw.$ROUNDS" "$(z_dev t 0)"
	z_stop t
	losetup -d /dev/loop0
	umount "$Z/d"
	zt_say "$ROUNDS rounds, seed $SEED"
	exit 0
fi

start "$ZT_BOOT"
# Stamps of earlier rounds are none of this one's.
blkdiscard -l 8M "$(z_dev t 0)"
z_flush "$(z_dev t 0)"
writers=()
for i in 1 2; do
	mount_fs $i
	rm -rf "${Z:?}/${fs[$i]}/$((ZT_BOOT - 1))"
	mkdir "$Z/${fs[$i]}/$ZT_BOOT"
	sync -f "$Z/${fs[$i]}"
	python3 "$files" write "$Z/${fs[$i]}/$ZT_BOOT" "$out/${fs[$i]}.$ZT_BOOT" "$SEED.$ZT_BOOT.$i" &
	writers+=($!)
done
# shellcheck disable=SC2046
stamp write $(stamps "$ZT_BOOT") --read 10 --flush-every 20 --log "$out/raw.$ZT_BOOT" "$(z_dev t 0)" &
writers+=($!)
for n in raw ext4 xfs; do
	zt_wait 60 [ -s "$out/$n.$ZT_BOOT" ]
done
kills=$(rnd kills 3)
for ((k = 1; k <= kills; k++)); do
	sleep "$(($(rnd "kill $k" 2))).$(rnd "tenth $k" 10)"
	z_kill t
	start "$ZT_BOOT"
done
sleep "$(rnd cut 3).$(rnd tenth 10)"
for p in "${writers[@]}"; do
	kill -0 "$p" || zt_fail "a writer has ended"
done
zt_say "$(zerofs stats --json t | jq -c '{flush, dirty_bytes, flushes_waiting}'), $kills kills; the power fails after" \
	"$(for n in raw ext4 xfs; do echo "$n $(tail -1 "$out/$n.$ZT_BOOT")"; done | tr '\n' ' ')"
zt_power_cut
