# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# vm-limit: 240
# vm-boots: 2
# vm-disk: store 512M
# vm-disk: control 512M
# DESCRIPTION: the power fails under three volumes: one flushed all the time, one never flushed, and a control whose daemon
# runs with its syncs made void. What the first acknowledged as flushed is there, with a prefix of the rest; the second holds
# some prefix; the control's loss must be noticed, or this test proves nothing.
# Seen to fail with a daemon that answers a FLUSH at once, and with all of them under nosync.
. tests/vm/lib.sh
z_setup
flushed=(--tag 1 --seed 50 --blocks 4096 --discard 5 --fua 2 --ops 100000)
never=(--tag 2 --seed 51 --blocks 4096 --discard 5 --ops 100000)
control=(--tag 3 --seed 52 --blocks 4096 --discard 5 --ops 100000)
log=$ZT_SHARE/out
# As late as ext4 allows, so that a missing sync is missed.
opt=noatime,commit=300
mkdir -p "$Z/a" "$Z/b"

if [ "$ZT_BOOT" = 1 ]; then
	for d in store:a control:b; do
		mkfs.ext4 -q -E lazy_itable_init=1,lazy_journal_init=1 "$(zt_disk ${d%:*})"
		mount -o $opt "$(zt_disk ${d%:*})" "$Z/${d#*:}"
		cp "$Z/key" "$Z/${d#*:}/key"
	done
	Z_STORE=$Z/a
	z_format flushed --size 64M --devices 2
	z_format never --size 64M
	Z_STORE=$Z/b
	z_format control --size 64M
	sync -f "$Z/a"
	sync -f "$Z/b"
	Z_STORE=$Z/a Z_STATE=$Z/a
	z_start flushed
	z_start never
	Z_STORE=$Z/b Z_STATE=$Z/b
	Z_UNDER=(nosync)
	z_start control
	stamp write "${flushed[@]}" --flush-every 16 --log "$log/flushed" "$(z_dev flushed 0)" "$(z_dev flushed 1)" &
	stamp write "${never[@]}" --delay-us 5000 --log "$log/never" "$(z_dev never)" &
	stamp write "${control[@]}" --flush-every 16 --log "$log/control" "$(z_dev control)" &
	zt_wait 100 sh -c "[ \$(grep -c flushed $log/flushed) -ge 20 ] && [ \$(grep -c flushed $log/control) -ge 12 ]"
	zt_say "flushed: $(tail -1 "$log/flushed"), control: $(tail -1 "$log/control")"
	zt_power_cut
fi

mount -o $opt "$(zt_disk store)" "$Z/a"
mount -o $opt "$(zt_disk control)" "$Z/b"
cp "$Z/a/key" "$Z/key"
Z_STORE=$Z/a Z_STATE=$Z/a
z_start flushed
stamp check "${flushed[@]}" --log "$log/flushed" "$(z_dev flushed 0)" "$(z_dev flushed 1)"
z_start never
stamp check "${never[@]}" "$(z_dev never)"
z_stop flushed
z_stop never

Z_STORE=$Z/b Z_STATE=$Z/b
if z_try_start control; then
	rc=0
	stamp check "${control[@]}" --log "$log/control" "$(z_dev control)" || rc=$?
	[ $rc = 3 ] || zt_fail "the control, which never synced, was to lose what it had acknowledged (status $rc)"
	zt_say "the control's loss was noticed by the checker"
	z_stop control
else
	zt_say "the control's loss was noticed by the daemon: $(tail -1 "$Z/control.log")"
fi
umount "$Z/a" "$Z/b"
