# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# vm-limit: 240
# DESCRIPTION: two devices of one volume and a second volume, all written at once by programs that stamp volume, device and
# address into every sector: no sector turns up elsewhere, and what befalls one daemon does not touch the other.
# Seen to fail with a daemon that keeps unflushed writes of all devices in one map.
. tests/vm/lib.sh
z_setup
z_format one --size 64M --devices 2
z_format two --size 64M
z_start one
z_start two
a0=$(z_dev one 0) a1=$(z_dev one 1) b=$(z_dev two)
zt_say "volume one: $a0 $a1, volume two: $b"
[ "$(echo "$a0 $a1 $b" | tr ' ' '\n' | sort -u | wc -l)" = 3 ] || zt_fail "devices share a name"

one=(--tag 1 --seed 3 --blocks 2048 --discard 5 --fua 3 --ops 400)
two=(--tag 2 --seed 4 --blocks 2048 --discard 5 --fua 3 --ops 400)
z_bg one stamp write "${one[@]}" --read 30 --flush-every 40 "$a0" "$a1"
z_bg two stamp write "${two[@]}" --read 30 --flush-every 40 "$b"
sleep 1
zt_say "one's daemon dies and comes back while two is at work"
z_kill one
z_start one
for t in one two; do
	z_rc $t 90
	[ "$Z_RC" = 0 ] || { cat "$Z/$t.out"; zt_fail "writer of volume $t"; }
done
check_all() {
	stamp check "${one[@]}" --flushed 400 "$a0" "$a1"
	stamp check "${two[@]}" --flushed 400 "$b"
}
check_all
[ "$(z_counter "$b" attach_gen)" = 1 ] || zt_fail "two was attached anew"
z_stop one
z_stop two
z_start two
z_start one
a0=$(z_dev one 0) a1=$(z_dev one 1) b=$(z_dev two)
zt_say "restarted the other way round: $a0 $a1, $b"
check_all
z_stop one
check_two=$(stamp check "${two[@]}" --flushed 400 "$b")
zt_say "$check_two"
z_stop two
