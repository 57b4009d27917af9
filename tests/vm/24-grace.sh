# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# vm-limit: 240
# DESCRIPTION: without a daemon I/O waits for the grace time and then fails, all of it, within a second; a daemon that
# attaches later brings the volume back with all that was acknowledged.
# Seen to fail with a grace of 30 s in place of the 8 that it expects.
. tests/vm/lib.sh
z_setup
z_format g --size 64M
z_start g --grace 8s
dev=$(z_dev g)
stamps=(--tag 6 --seed 24 --blocks 2048 --ops 100)
stamp write "${stamps[@]}" --flush-every 30 "$dev"

z_kill g
t0=$EPOCHREALTIME
z_bg read dd if="$dev" of=/dev/null bs=4096 count=1 iflag=direct
z_bg write dd if=/dev/zero of="$dev" bs=4096 count=1 seek=4000 oflag=direct
z_bg flush z_flush "$dev"
z_bg discard blkdiscard -o $((4096 * 5000)) -l 4096 "$dev"
sleep 1.5
for t in read write flush discard; do z_running $t || zt_fail "$t did not wait"; done
z_is g DETACHED
for t in read write flush discard; do
	z_rc $t 20
	[ "$Z_RC" != 0 ] || zt_fail "$t succeeded without a daemon"
	took=$(bc <<< "$(cut -d' ' -f2 "$Z/$t.rc") - $t0")
	zt_say "$t failed after $took s: $(tail -1 "$Z/$t.out")"
	[ "$(bc <<< "$took >= 7.5 && $took <= 9.5")" = 1 ] || zt_fail "$t: not within grace + 1 s"
	[ $t = discard ] || grep -qi 'input/output error' "$Z/$t.out" || zt_fail "$t: not EIO"
done
z_is g FAILED
z_eio dd if="$dev" of=/dev/null bs=4096 count=1 iflag=direct

zt_say "attached anew"
z_start g --grace 20s
z_is g LIVE
stamp check "${stamps[@]}" --flushed 100 "$dev"
z_put "$dev" 4000 2 x
z_flush "$dev"
z_same "$dev" 4000 2 x || zt_fail "does not hold what was written after the failure"

zt_say "within grace nothing fails"
z_kill g
z_bg read dd if="$dev" of=/dev/null bs=4096 count=1 iflag=direct
sleep 1
z_start g
z_rc read 10
[ "$Z_RC" = 0 ] || zt_fail "a read failed within grace"
z_stop g
