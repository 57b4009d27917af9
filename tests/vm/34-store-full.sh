# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# vm-limit: 240
# DESCRIPTION: the store's file system is full: FLUSH waits, status says why, no I/O fails; a daemon killed in that state
# loses nothing either; when room is made all goes on by itself, and what was written is there after a restart.
# Seen to fail with a daemon that answers a FLUSH at once.
. tests/vm/lib.sh
z_setup
Z_STORE=$Z/small
mkdir -p "$Z_STORE"
mount -t tmpfs -o size=12M small "$Z_STORE"
z_format f --size 128M
z_start f
dev=$(z_dev f)
z_put "$dev" 0 1024 first
z_flush "$dev"
zt_say "4 MiB flushed; now 16 MiB more than fit"
z_put "$dev" 1024 4096 second
z_bg flush z_flush "$dev"
zt_wait 30 sh -c "zerofs status f | grep -qiE 'no space|full'"
zerofs status f
sleep 4
z_running flush || { cat "$Z/flush.out"; zt_fail "the FLUSH returned"; }
[ "$(z_json f .flushes_waiting)" -ge 1 ] || zt_fail "no FLUSH is counted as waiting"
z_is f LIVE
zt_say "reads and writes go on"
z_same "$dev" 2000 100 nothing && zt_fail "the comparison is blind"
z_put "$dev" 6000 16 third
z_same "$dev" 6000 16 third || zt_fail "reads back wrongly"
z_same "$dev" 0 1024 first || zt_fail "the flushed part reads back wrongly"

zt_say "a kill while the store is full"
z_kill f
z_launch f
sleep 5
mount -o remount,size=64M "$Z_STORE"
zt_say "room made"
# Its first object may have found room or not; then it says so and goes, and the next one comes up.
z_ready f || { zt_say "gave up: $(tail -1 "$Z/f.log")"; z_start f; }
z_rc flush 30
[ "$Z_RC" = 0 ] || { cat "$Z/flush.out"; zt_fail "the FLUSH failed"; }
z_is f LIVE
check() {
	z_same "$dev" 0 1024 first || zt_fail "$1: first"
	z_same "$dev" 1024 4096 second || zt_fail "$1: second"
	z_same "$dev" 6000 16 third || zt_fail "$1: third"
}
check "after room was made"
z_stop f
z_start f
check "after a restart"
z_stop f
umount "$Z_STORE"
