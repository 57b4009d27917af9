# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# vm-limit: 240
# DESCRIPTION: a daemon that cannot adopt what was acknowledged (its predecessor's arena is damaged) leaves the volume
# CACHE_LOST: every I/O fails, no FLUSH ever succeeds, one that was waiting neither; `zerofs clear` is refused while the
# device is open, and after it the volume holds a prefix no older than the last flush.
# Seen to fail with a daemon that says INTACT whatever it recovered.
. tests/vm/lib.sh
z_setup

lose() { # NAME ARENA-DAMAGE...: serve, write, kill, damage, serve
	local name=$1 i
	shift
	stamps=(--tag 5 --seed 22 --blocks 2048 --discard 5 --ops 100000)
	z_format "$name" --size 64M
	# Nothing goes to the store but what a flush takes there.
	z_start "$name" --segment-age 60s
	dev=$(z_dev "$name")
	rm -f "$Z/flushed"
	stamp write "${stamps[@]}" --ops 215 --flush-every 50 --log "$Z/flushed" "$dev"
	kill -STOP "${Z_PID[$name]}"
	# Nobody answers these; they are in flight when the daemon dies.
	z_bg flush z_flush "$dev"
	z_bg write dd if=/dev/zero of="$dev" bs=4096 count=1 seek=3000 oflag=direct status=none
	sleep 0.5
	z_running flush && z_running write || zt_fail "a stopped daemon answered"
	z_kill "$name"
	zt_say "$(arena "$name" "$@")"
	z_start "$name"
	z_is "$name" CACHE_LOST
	z_rc flush 10
	[ "$Z_RC" != 0 ] || zt_fail "a FLUSH succeeded that was under way when the daemon died"
	z_rc write 10
	[ "$Z_RC" != 0 ] || zt_fail "a WRITE succeeded that was under way when the daemon died"
	for i in 1 2 3 4 5; do
		z_eio z_flush "$dev"
		z_eio dd if="$dev" of=/dev/null bs=4096 count=1 skip=$i iflag=direct
		z_eio dd if=/dev/zero of="$dev" bs=4096 count=1 seek=$i oflag=direct
		if blkdiscard -l 4096 "$dev" 2>/dev/null; then zt_fail "a discard succeeded"; fi
	done
}

zt_say "damaged head of the index"
lose head 0 64
zt_say "a restart does not heal it"
z_kill head
z_start head
z_is head CACHE_LOST
z_eio z_flush "$dev"
exec 8< "$dev"
z_fails '(open|use|umount|unmount)' zerofs clear head
exec 8<&-
z_is head CACHE_LOST
zerofs clear head
z_is head LIVE
stamp check "${stamps[@]}" --log "$Z/flushed" "$dev"
# And what was not flushed is gone: it is no prefix of all that was written.
stamp check "${stamps[@]}" --ops 214 "$dev"
flushed=$(awk '$1 == "flushed" { n = $2 } END { print n }' "$Z/flushed")
zt_say "usable again: goes on behind flushed write $flushed"
z_put "$dev" 4000 4 after
z_flush "$dev"
z_stop head
z_start head
z_same "$(z_dev head)" 4000 4 after || zt_fail "what was written after clear is gone"
z_stop head

zt_say "one damaged entry"
lose entry entry 8
zerofs clear entry
z_is entry LIVE
stamp check "${stamps[@]}" --log "$Z/flushed" "$dev"
z_stop entry

zt_say "the newest entries gone without a trace"
lose gone forget 3
zerofs clear gone
z_is gone LIVE
stamp check "${stamps[@]}" --log "$Z/flushed" "$dev"
z_stop gone
