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

zt_say "a detach while the store is full"
mount -o remount,size=1M "$Z_STORE" 2>/dev/null || mount -o "remount,size=$(df --output=used -k "$Z_STORE" | tail -1)k" "$Z_STORE"
z_put "$dev" 7000 1024 fourth
z_bg detach zerofs detach f
client=$!
zt_wait 10 grep -q 'waiting for the store: .*full.* for [0-9]* s now' "$Z/detach.out"
[ "$(wc -l < "$Z/detach.out")" = 1 ] || zt_fail "detach says: $(cat "$Z/detach.out")"
z_running detach || zt_fail "the detach came back"
pkill -TERM -P "$client" zerofs || zt_fail "no client to interrupt"
z_rc detach 10
[ -e "/sys/block/${dev#/dev/}" ] && kill -0 "${Z_PID[f]}" || zt_fail "an interrupted client took the daemon with it"
zerofs status f | grep -q full || zt_fail "the daemon does not answer"
z_bg again zerofs detach f
zt_wait 10 grep -q 'waiting for the store: .*full' "$Z/again.out"
mount -o remount,size=64M "$Z_STORE"
rc=0
wait "${Z_PID[f]}" || rc=$?
[ $rc = 0 ] || zt_fail "the detach ended with status $rc"
z_rc again 10
[ "$Z_RC" = 0 ] && grep -q 'is detached' "$Z/again.out" || zt_fail "who joined it was told: $(cat "$Z/again.out")"
[ ! -e "/sys/block/${dev#/dev/}" ] || zt_fail "the device is still there"
unset 'Z_PID[f]'
z_start f
check "after the detach"
z_same "$dev" 7000 1024 fourth || zt_fail "after the detach: fourth"
z_stop f
umount "$Z_STORE"
