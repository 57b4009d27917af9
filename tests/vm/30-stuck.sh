# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# vm-limit: 240
# DESCRIPTION: a daemon that is there but does nothing (SIGSTOP): I/O waits, and `zerofs fail` ends all of it with an error.
# The daemon, let go, answers nobody any more; a new one brings the volume back.
# Seen to fail without `zerofs fail`.
. tests/vm/lib.sh
z_setup
z_format s --size 64M
z_start s
dev=$(z_dev s)
stamps=(--tag 7 --seed 30 --blocks 2048 --ops 60)
stamp write "${stamps[@]}" --flush-every 20 "$dev"
kill -STOP "${Z_PID[s]}"
z_bg read dd if="$dev" of=/dev/null bs=4096 count=1 iflag=direct
z_bg write dd if=/dev/zero of="$dev" bs=4096 count=1 seek=4000 oflag=direct
z_bg flush z_flush "$dev"
sleep 2
for t in read write flush; do z_running $t || zt_fail "$t did not wait"; done
# Answers from the module alone: the daemon cannot be asked.
timeout 20 zerofs list | grep -w s || zt_fail "list does not answer while the daemon is stuck"
timeout 20 zerofs fail s || zt_fail "zerofs fail"
for t in read write flush; do
	z_rc $t 5
	[ "$Z_RC" != 0 ] || zt_fail "$t succeeded"
	grep -qi 'input/output error' "$Z/$t.out" || zt_fail "$t: not EIO"
done
z_is s FAILED
z_eio dd if="$dev" of=/dev/null bs=4096 count=1 iflag=direct
kill -CONT "${Z_PID[s]}"
sleep 1
z_eio z_flush "$dev"
kill -KILL "${Z_PID[s]}" 2>/dev/null || true
wait "${Z_PID[s]}" 2>/dev/null || true
unset 'Z_PID[s]'
z_start s
z_is s LIVE
stamp check "${stamps[@]}" --flushed 60 "$dev"
z_put "$dev" 4000 2 x
z_flush "$dev"
z_stop s
